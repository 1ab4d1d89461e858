//! Lists and single resources, in the form that `apply` takes back, with `version` beside it and, for subscriptions,
//! `status`; both are ignored on the way in.

use super::{Target, keys, subscriptions};
use crate::http::{
    call::Call,
    json,
    page::{self, Page},
    problem::Problem,
};
use control::{
    Model,
    resources::{ResourceKind, Scope},
};
use serde_json::Value;
use std::ops::Bound;

/// `GET` of a collection.
pub(super) fn list(call: &Call, kind: ResourceKind) -> json::Result {
    let query = call.query()?;
    let limit = query.limit()?;
    let after = page::read_cursor(query.text("cursor"))?;
    let bus = match kind {
        ResourceKind::Bus | ResourceKind::Key => "",
        _ => call.bus()?.name.as_str(),
    };
    let mut names = names_after(&call.model, kind, bus, after.as_deref());
    if kind == ResourceKind::Bus {
        names.retain(|name| call.may(name, Scope::Read));
    }
    let next = (names.len() > limit).then(|| page::cursor(names[limit - 1]));
    names.truncate(limit);
    let items = names
        .into_iter()
        .map(|name| shown(call, &call.model, &Target { kind, bus, name }));
    json::ok(&Page {
        items: items.collect::<Result<Vec<_>, _>>()?,
        next,
    })
}

fn names_after<'a>(model: &'a Model, kind: ResourceKind, bus: &str, after: Option<&str>) -> Vec<&'a str> {
    fn of<'a, T>(behind: impl Iterator<Item = (&'a String, T)>) -> Vec<&'a str> {
        behind.map(|(name, _)| name.as_str()).collect()
    }
    let behind = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
    let owner = model.buses.get(bus);
    match (kind, owner) {
        (ResourceKind::Bus, _) => of(model.buses.range::<str, _>(behind)),
        (ResourceKind::Key, _) => of(model.keys.range::<str, _>(behind)),
        (ResourceKind::Topic, Some(owner)) => of(owner.topics.range::<str, _>(behind)),
        (ResourceKind::EventType, Some(owner)) => of(owner.event_types.range::<str, _>(behind)),
        (ResourceKind::Connection, Some(owner)) => of(owner.connections.range::<str, _>(behind)),
        (ResourceKind::Subscription, Some(owner)) => of(owner.subscriptions.range::<str, _>(behind)),
        (_, None) => Vec::new(),
    }
}

/// `GET` of one.
pub(super) fn one(call: &Call, kind: ResourceKind) -> json::Result {
    let target = Target::of(call, kind)?;
    let value = shown(call, &call.model, &target)?;
    let version = version(&call.model, &target);
    Ok(json::with_etag(json::ok(&value)?, version))
}

pub(super) fn version(model: &Model, target: &Target<'_>) -> u64 {
    model.version(target.kind, target.bus, target.name).unwrap_or(0)
}

/// A resource as it leaves.
pub(super) fn shown(call: &Call, model: &Model, target: &Target<'_>) -> Result<Value, Problem> {
    let Target { kind, bus, name } = *target;
    let mut value = control::export(model, &call.state.sealer, kind, bus, name)?;
    value["version"] = version(model, target).into();
    if kind == ResourceKind::Key
        && let Some(key) = model.keys.get(name)
    {
        keys::describe(&mut value, key);
    }
    if kind == ResourceKind::Subscription
        && let Some(status) = subscriptions::status(call, bus, name)
    {
        value["status"] = status;
    }
    Ok(value)
}
