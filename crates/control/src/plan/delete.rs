//! Deleting: refused, with the users named, while anything needs it.

use super::{Edit, Effect, Plan, Planning, edit_bus, key};
use crate::{
    documents::{INSTALLATION, version_name},
    limits::{DEFAULT_BUS, EVENTS_TOPIC},
    model::Bus,
    refusal::Refusal,
    resources::ResourceKind,
};
use store::{BusId, Expect, Kind, Operation, Revision};

/// Users that a refusal names; the rest are counted.
const USERS_NAMED_MAX: usize = 5;

pub(super) fn plan(planning: &Planning<'_>) -> Result<Plan, Refusal> {
    let kind = planning.change.kind;
    let Some(version) = planning.existing()? else {
        return Err(Refusal::not_found(format!(
            "{kind} {:?} does not exist",
            planning.name()
        )));
    };
    match kind {
        ResourceKind::Bus => bus(planning),
        ResourceKind::Topic => topic(planning, version),
        ResourceKind::EventType => event_type(planning, version),
        ResourceKind::Connection => connection(planning, version),
        ResourceKind::Subscription => subscription(planning),
        ResourceKind::Key => key::delete(planning, version),
    }
}

pub(super) fn remove(bus: BusId, kind: Kind, name: &str, version: Revision) -> Operation {
    Operation::DeleteDocument {
        bus,
        kind,
        name: name.to_owned(),
        expect: Expect::Version(version),
    }
}

/// Refuses while there are users.
fn unused(what: &str, by: &str, users: Vec<&str>) -> Result<(), Refusal> {
    if users.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = users
        .iter()
        .take(USERS_NAMED_MAX)
        .map(|name| format!("{name:?}"))
        .collect();
    let more = users.len() - named.len();
    let more = if more == 0 {
        String::new()
    } else {
        format!(" and {more} more")
    };
    Err(Refusal::in_use(format!(
        "{what} is used by {by} {}{more}: delete or change these first",
        named.join(", ")
    )))
}

fn bus(planning: &Planning<'_>) -> Result<Plan, Refusal> {
    let name = planning.name();
    let bus = planning.model.bus(name)?;
    if name == DEFAULT_BUS {
        return Err(Refusal::in_use("bus \"default\" always exists"));
    }
    let what = format!("bus {name:?}");
    unused(
        &what,
        "subscriptions",
        bus.subscriptions.keys().map(String::as_str).collect(),
    )?;
    // A key that names a bus would open a later bus of this name.
    let names_it = |buses: &Vec<String>| buses.iter().any(|bus| bus == name);
    let keys = planning
        .model
        .keys
        .values()
        .filter(|key| key.spec.buses.as_ref().is_some_and(names_it));
    unused(&what, "keys", keys.map(|key| key.id.as_str()).collect())?;
    let removed = name.to_owned();
    let edit: Edit = Box::new(move |model, _| {
        model.buses.remove(&removed);
    });
    Ok(planning.carry_out(documents_of(bus), Effect::BusDeleted, planning.model.counters, edit))
}

fn documents_of(bus: &Bus) -> Vec<Operation> {
    let topics = bus
        .topics
        .values()
        .map(|one| remove(bus.id, Kind::Topic, &one.name, one.version));
    let types = bus
        .event_types
        .values()
        .map(|one| remove(bus.id, Kind::EventType, &one.name, one.version));
    let connections = bus
        .connections
        .values()
        .map(|one| remove(bus.id, Kind::Connection, &one.name, one.version));
    let itself = remove(INSTALLATION, Kind::Bus, &bus.name, bus.version);
    topics.chain(types).chain(connections).chain([itself]).collect()
}

fn topic(planning: &Planning<'_>, version: Revision) -> Result<Plan, Refusal> {
    let (bus, name) = (planning.bus()?, planning.name());
    if name == EVENTS_TOPIC {
        return Err(Refusal::in_use(
            "topic \"events\" exists as long as its bus: events without a route go there",
        ));
    }
    let what = format!("topic {name:?}");
    let routed = bus
        .event_types
        .values()
        .filter(|one| one.spec.routes.iter().any(|route| route.topic == name));
    unused(
        &what,
        "the routes of event types",
        routed.map(|one| one.name.as_str()).collect(),
    )?;
    let names_it = |topics: &Vec<String>| topics.iter().any(|topic| topic == name);
    let readers = bus
        .subscriptions
        .values()
        .filter(|one| one.spec.topics.as_ref().is_some_and(names_it) || one.spec.copies_to_topic(name));
    unused(&what, "subscriptions", readers.map(|one| one.name.as_str()).collect())?;
    let removed = name.to_owned();
    let edit = edit_bus(&bus.name, move |bus, _| drop(bus.topics.remove(&removed)));
    let operations = vec![remove(bus.id, Kind::Topic, name, version)];
    Ok(planning.carry_out(operations, Effect::TopicDeleted, planning.model.counters, edit))
}

fn event_type(planning: &Planning<'_>, version: Revision) -> Result<Plan, Refusal> {
    let (bus, name) = (planning.bus()?, planning.name());
    let removed = name.to_owned();
    let edit = edit_bus(&bus.name, move |bus, _| drop(bus.event_types.remove(&removed)));
    let operations = vec![remove(bus.id, Kind::EventType, name, version)];
    Ok(planning.carry_out(operations, Effect::Other, planning.model.counters, edit))
}

fn connection(planning: &Planning<'_>, version: Revision) -> Result<Plan, Refusal> {
    let (bus, name) = (planning.bus()?, planning.name());
    let users = bus.subscriptions.values().filter(|one| one.spec.uses_connection(name));
    unused(
        &format!("connection {name:?}"),
        "subscriptions",
        users.map(|one| one.name.as_str()).collect(),
    )?;
    let removed = name.to_owned();
    let edit = edit_bus(&bus.name, move |bus, _| drop(bus.connections.remove(&removed)));
    let operations = vec![remove(bus.id, Kind::Connection, name, version)];
    Ok(planning.carry_out(operations, Effect::Other, planning.model.counters, edit))
}

fn subscription(planning: &Planning<'_>) -> Result<Plan, Refusal> {
    let (bus, name) = (planning.bus()?, planning.name());
    let Some(existing) = bus.subscriptions.get(name) else {
        return Ok(planning.unchanged());
    };
    let id = existing.id;
    let kept = planning
        .model
        .versions
        .range((id, 0)..=(id, Revision::MAX))
        .map(|((_, version), _)| *version);
    let mut operations = vec![remove(bus.id, Kind::Subscription, name, existing.version)];
    operations.extend(kept.map(|version| Operation::DeleteDocument {
        bus: bus.id,
        kind: Kind::SubscriptionVersion,
        name: version_name(id, version),
        expect: Expect::Any,
    }));
    let (owner, removed) = (bus.name.clone(), name.to_owned());
    let edit: Edit = Box::new(move |model, revision| {
        model.versions.retain(|(subscription, _), _| *subscription != id);
        edit_bus(&owner, move |bus, _| {
            bus.subscriptions.remove_mut(&removed);
        })(model, revision);
    });
    Ok(planning.carry_out(operations, Effect::SubscriptionDeleted, planning.model.counters, edit))
}
