//! The outgoing form of resources, with fingerprints where secrets are, and what differs between two of them.

use crate::{
    model::{Connection, Model},
    parse::token,
    plan::{Change, Effect, plan},
    refusal::Refusal,
    resources::{DeclaredConnection, ResourceKind},
    rules::Rules,
    seal::{Fingerprints, Sealer},
    trial::shown,
};
use serde::Serialize;
use serde_json::{Map, Value};
use store::{Millis, Revision};

/// A resource as it may leave: what `apply` takes back and finds unchanged.
pub fn export(model: &Model, sealer: &Sealer, kind: ResourceKind, bus: &str, name: &str) -> Result<Value, Refusal> {
    let missing = || Refusal::not_found(format!("{kind} {} does not exist", crate::parse::echo(name)));
    let owner = || model.bus(bus);
    let spec = match kind {
        ResourceKind::Bus => to_object(&model.bus(name)?.spec),
        ResourceKind::Key => to_object(&model.keys.get(name).ok_or_else(missing)?.spec),
        ResourceKind::Topic => to_object(&owner()?.topics.get(name).ok_or_else(missing)?.spec),
        ResourceKind::EventType => to_object(&owner()?.event_types.get(name).ok_or_else(missing)?.spec),
        ResourceKind::Subscription => {
            let mut object = to_object(&owner()?.subscriptions.get(name).ok_or_else(missing)?.spec);
            object.get_mut("filter").into_iter().for_each(crate::filters::show);
            object.get_mut("transform").into_iter().for_each(crate::filters::show);
            object
        }
        ResourceKind::Connection => {
            let connection = owner()?.connections.get(name).ok_or_else(missing)?;
            connection_object(sealer, &sealer.fingerprints(model)?, connection)?
        }
    };
    Ok(enveloped(spec, kind, bus, name))
}

/// Everything that `apply` can make again, in the order that it must be made in: keys are not, their secrets are gone.
pub fn export_all(model: &Model, sealer: &Sealer) -> Result<Vec<Value>, Refusal> {
    let mut all = Vec::new();
    let mut add = |kind, bus: &str, names: Vec<&String>| {
        names
            .into_iter()
            .try_for_each(|name| export(model, sealer, kind, bus, name).map(|one| all.push(one)))
    };
    for bus in model.buses.values() {
        add(ResourceKind::Bus, &bus.name, vec![&bus.name])?;
        add(ResourceKind::Topic, &bus.name, bus.topics.keys().collect())?;
        add(ResourceKind::EventType, &bus.name, bus.event_types.keys().collect())?;
        add(ResourceKind::Connection, &bus.name, bus.connections.keys().collect())?;
        add(
            ResourceKind::Subscription,
            &bus.name,
            bus.subscriptions.keys().collect(),
        )?;
    }
    Ok(all)
}

fn connection_object(
    sealer: &Sealer,
    fingerprints: &Fingerprints,
    connection: &Connection,
) -> Result<Map<String, Value>, Refusal> {
    let spec = sealer.open_connection(connection)?;
    Ok(to_object(&DeclaredConnection {
        spec: fingerprints.of_spec(&connection.bus, &connection.name, &spec),
        dry_run: connection.dry_run,
    }))
}

fn to_object(spec: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(spec) {
        Ok(Value::Object(object)) => object,
        _ => unreachable!("a specification is an object, its secrets not plain"),
    }
}

fn enveloped(object: Map<String, Value>, kind: ResourceKind, bus: &str, name: &str) -> Value {
    let mut whole = Map::new();
    whole.insert("kind".to_owned(), kind.word().into());
    if kind.is_of_a_bus() {
        whole.insert("bus".to_owned(), bus.into());
    }
    whole.insert("name".to_owned(), name.into());
    whole.extend(object);
    Value::Object(whole)
}

/// One place where two resources differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Where.
    pub pointer: String,
    /// What stood there; absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What stands there; absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// What differs between two outgoing forms, in the order of their pointers; lists of other lengths differ item by item.
pub fn diff(before: Option<&Value>, after: Option<&Value>) -> Vec<Difference> {
    let mut differences = Vec::new();
    compare(String::new(), before, after, &mut differences);
    differences
}

fn compare(pointer: String, before: Option<&Value>, after: Option<&Value>, differences: &mut Vec<Difference>) {
    match (before, after) {
        (before, after) if before == after => {}
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let mut names: Vec<_> = before.keys().chain(after.keys()).collect();
            names.sort_unstable();
            names.dedup();
            let inside = |name: &String| format!("{pointer}{}", token(name));
            names
                .into_iter()
                .for_each(|name| compare(inside(name), before.get(name), after.get(name), differences));
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            (0..before.len().max(after.len())).for_each(|index| {
                compare(
                    format!("{pointer}/{index}"),
                    before.get(index),
                    after.get(index),
                    differences,
                )
            })
        }
        (before, after) => {
            differences.push(Difference {
                pointer,
                before: before.cloned(),
                after: after.cloned(),
            });
        }
    }
}

/// What a change would do, without doing it: its effect, and what would differ. Secrets show as fingerprints.
pub fn preview(
    model: &Model,
    rules: &Rules,
    sealer: &Sealer,
    change: &Change,
    now: Millis,
) -> Result<(Effect, Vec<Difference>), Refusal> {
    let planned = plan(model, rules, sealer, change, now)?;
    let effect = planned.effect.clone();
    let after = planned.finish.at(Revision::MAX);
    let (before, after) = (shown(model, sealer, change)?, shown(&after, sealer, change)?);
    Ok((effect, diff(before.as_ref(), after.as_ref())))
}
