//! Creating and replacing: buses, topics, event types. Connections, subscriptions and keys have files of their own.

use super::{Edit, Effect, Plan, Planning, connection, edit_bus, envelope, key, subscription};
use crate::{
    counted,
    documents::{self, INSTALLATION},
    limits,
    model::{Bus, Counters, EventType, Topic},
    parse::{echo, nearest, parse},
    refusal::Refusal,
    resources::{Annotations, BusSpec, EventTypeSpec, ResourceKind, TopicSpec},
    units::format_duration,
    validate,
};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, sync::Arc};
use store::{BusId, Expect, Operation, Revision};

pub(super) fn plan(planning: &Planning<'_>, body: Map<String, Value>) -> Result<Plan, Refusal> {
    match planning.change.kind {
        ResourceKind::Bus => bus(planning, body),
        ResourceKind::Topic => topic(planning, body),
        ResourceKind::EventType => event_type(planning, body),
        ResourceKind::Connection => connection::put(planning, body),
        ResourceKind::Subscription => subscription::put(planning, body),
        ResourceKind::Key => key::put(planning, body),
    }
}

/// The specification of a body.
pub(super) fn spec<T: DeserializeOwned>(body: Map<String, Value>) -> Result<T, Refusal> {
    parse(&Value::Object(body), "", envelope::FIELDS)
}

/// Writes what the change names.
pub(super) fn write(planning: &Planning<'_>, bus: BusId, body: Bytes) -> Result<Operation, Refusal> {
    let (kind, name) = (planning.change.kind.stored(), planning.name().to_owned());
    Ok(Operation::PutDocument {
        bus,
        kind,
        name,
        expect: planning.expect()?,
        body,
    })
}

/// Annotations that are left out stay what they are: who writes a resource by hand does not know those of other systems.
pub(super) fn keep_annotations(body: &mut Map<String, Value>, existing: &Annotations) {
    if !existing.is_empty() {
        body.entry("annotations")
            .or_insert_with(|| existing.clone().into_iter().collect());
    }
}

/// Refuses one more where a bound is reached.
pub(super) fn room(what: &str, count: usize, max: usize) -> Result<(), Refusal> {
    match count < max {
        true => Ok(()),
        false => Err(Refusal::limit(format!(
            "there are {count} {what}; at most {max} may be"
        ))),
    }
}

/// That a resource which another one names is there.
pub(super) fn exists<T>(pointer: &str, what: &str, name: &str, all: &BTreeMap<String, T>) -> Result<(), Refusal> {
    if all.contains_key(name) {
        return Ok(());
    }
    let hint = nearest(name, all.keys().map(String::as_str)).map(|name| format!("; did you mean {name:?}?"));
    let detail = format!("{what} {} does not exist{}", echo(name), hint.unwrap_or_default());
    Err(Refusal::invalid(pointer, detail))
}

/// A bus about to be made, with its topic.
pub(super) struct NewBus {
    bus: Bus,
    topic: Topic,
}

impl NewBus {
    pub(super) fn take(counters: &mut Counters, name: &str, spec: BusSpec) -> Self {
        let bus = Bus::new(counters.bus, name, 0, spec);
        let name = limits::EVENTS_TOPIC.to_owned();
        let topic = Topic {
            id: counters.topic,
            name,
            version: 0,
            spec: TopicSpec::default(),
        };
        counters.bus += 1;
        counters.topic += 1;
        Self { bus, topic }
    }

    pub(super) fn operations(&self) -> [Operation; 2] {
        let Self { bus, topic } = self;
        let put = |owner, kind, name: &str, body| Operation::PutDocument {
            bus: owner,
            kind,
            name: name.to_owned(),
            expect: Expect::Absent,
            body,
        };
        [
            put(
                INSTALLATION,
                store::Kind::Bus,
                &bus.name,
                documents::numbered_body(bus.id, &bus.spec),
            ),
            put(
                bus.id,
                store::Kind::Topic,
                &topic.name,
                documents::numbered_body(topic.id, &topic.spec),
            ),
        ]
    }

    fn at(self, revision: Revision) -> Bus {
        let topic = Topic {
            version: revision,
            ..self.topic
        };
        let mut bus = Bus {
            version: revision,
            ..self.bus
        };
        bus.topics.insert(topic.name.clone(), Arc::new(topic));
        bus
    }
}

fn bus(planning: &Planning<'_>, mut body: Map<String, Value>) -> Result<Plan, Refusal> {
    if let Some(existing) = planning.model.buses.get(planning.name()) {
        keep_annotations(&mut body, &existing.spec.annotations);
    }
    let spec: BusSpec = spec(body)?;
    validate::bus(&spec)?;
    let model = planning.model;
    let mut counters = model.counters;
    let name = planning.name().to_owned();
    let Some(existing) = model.buses.get(&name) else {
        room("buses", model.buses.len(), limits::BUSES_MAX)?;
        partitions_fit(planning, 0, limits::PARTITIONS_DEFAULT)?;
        let new = NewBus::take(&mut counters, &name, spec);
        let operations = new.operations().to_vec();
        let edit: Edit = Box::new(move |model, revision| {
            model.buses.insert(name, Arc::new(new.at(revision)));
        });
        return Ok(planning.carry_out(operations, Effect::BusCreated, counters, edit));
    };
    if existing.spec == spec {
        return Ok(planning.unchanged());
    }
    let operations = vec![write(
        planning,
        INSTALLATION,
        documents::numbered_body(existing.id, &spec),
    )?];
    let effect = match existing.spec.eventbridge == spec.eventbridge {
        true => Effect::Other,
        false => Effect::BusDefaultsPut,
    };
    let edit = edit_bus(&name, move |bus, revision| (bus.spec, bus.version) = (spec, revision));
    Ok(planning.carry_out(operations, effect, counters, edit))
}

/// Partitions that are left out stay what they are: growing cannot be undone.
fn topic(planning: &Planning<'_>, mut body: Map<String, Value>) -> Result<Plan, Refusal> {
    let bus = planning.bus()?;
    let existing = bus.topics.get(planning.name());
    if let Some(existing) = existing {
        body.entry("partitions")
            .or_insert_with(|| existing.spec.partitions.into());
    }
    let spec: TopicSpec = spec(body)?;
    validate::topic(&spec)?;
    let before = existing.map_or(0, |existing| existing.spec.partitions);
    if spec.partitions < before {
        let detail = format!(
            "the topic has {}; they may grow, never shrink",
            counted(before.into(), "partition")
        );
        return Err(Refusal::invalid("/partitions", detail));
    }
    if existing.is_some_and(|existing| existing.spec == spec) {
        return Ok(planning.unchanged());
    }
    partitions_fit(planning, before, spec.partitions)?;
    partitions_within_quota(bus, planning.name(), before, spec.partitions)?;
    holds_long_enough(bus, planning.name(), &spec)?;
    let mut counters = planning.model.counters;
    let id = existing.map_or(counters.topic, |existing| existing.id);
    counters.topic += u32::from(existing.is_none());
    let matters = |existing: &Arc<Topic>| {
        (existing.spec.partitions, &existing.spec.retention) != (spec.partitions, &spec.retention)
    };
    let effect = if existing.is_none_or(matters) {
        Effect::TopicPut
    } else {
        Effect::Other
    };
    let operations = vec![write(planning, bus.id, documents::numbered_body(id, &spec))?];
    let name = planning.name().to_owned();
    let edit = edit_bus(&bus.name, move |bus, version| {
        bus.topics.insert(
            name.clone(),
            Arc::new(Topic {
                id,
                name,
                version,
                spec,
            }),
        );
    });
    Ok(planning.carry_out(operations, effect, counters, edit))
}

fn partitions_fit(planning: &Planning<'_>, before: u32, after: u32) -> Result<(), Refusal> {
    let total = planning.model.partitions() - u64::from(before) + u64::from(after);
    match total <= u64::from(limits::PARTITIONS_MAX) {
        true => Ok(()),
        false => Err(Refusal::limit(format!(
            "the node would have {total} partitions in all; it has at most {}",
            limits::PARTITIONS_MAX
        ))),
    }
}

/// More partitions than the bus may have; what it has already stays when its quota is lowered. The one partition that the system
/// makes for itself to tell of trouble is not the bus's: a bus at its quota is told all the same.
fn partitions_within_quota(bus: &Bus, name: &str, before: u32, after: u32) -> Result<(), Refusal> {
    let own = |name: &str, partitions: u32| {
        let of_the_system = u32::from(name == limits::OPERATIONAL_TOPIC);
        u64::from(partitions.saturating_sub(of_the_system))
    };
    let (before, after) = (own(name, before), own(name, after));
    let Some(max) = bus.spec.quotas.partitions.filter(|_| after > before) else {
        return Ok(());
    };
    let topics = bus.topics.values();
    let has: u64 = topics.map(|topic| own(&topic.name, topic.spec.partitions)).sum();
    let total = has - before + after;
    match total <= u64::from(max) {
        true => Ok(()),
        false => Err(Refusal::quota(
            "bus.partitions",
            format!(
                "bus {:?} would have {}; its quota is {max}",
                bus.name,
                counted(total, "partition")
            ),
        )),
    }
}

/// No reader may keep an event longer than the topic holds it.
fn holds_long_enough(bus: &Bus, topic: &str, spec: &TopicSpec) -> Result<(), Refusal> {
    let Some(hold) = spec.retention.hold_in_effect() else {
        return Ok(());
    };
    let readers = bus
        .subscriptions
        .values()
        .filter(|subscription| subscription.spec.reads(topic));
    let Some(reader) = readers.max_by_key(|subscription| subscription.spec.delivery.retry.age) else {
        return Ok(());
    };
    let age = reader.spec.delivery.retry.age;
    match age <= hold {
        true => Ok(()),
        false => Err(Refusal::invalid(
            "/retention/hold",
            format!(
                "the topic would hold unsettled records for {}, but subscription {:?} tries for {} (delivery.retry.age): \
                 raise retention.hold or lower that age first",
                format_duration(hold),
                reader.name,
                format_duration(age)
            ),
        )),
    }
}

fn event_type(planning: &Planning<'_>, body: Map<String, Value>) -> Result<Plan, Refusal> {
    let bus = planning.bus()?;
    let spec: EventTypeSpec = spec(body)?;
    validate::event_type(&spec)?;
    for (index, route) in spec.routes.iter().enumerate() {
        exists(&format!("/routes/{index}/topic"), "topic", &route.topic, &bus.topics)?;
    }
    match bus.event_types.get(planning.name()) {
        Some(existing) if existing.spec == spec => return Ok(planning.unchanged()),
        Some(_) => {}
        None => room("event types", bus.event_types.len(), limits::EVENT_TYPES_MAX)?,
    }
    let operations = vec![write(planning, bus.id, documents::plain_body(&spec))?];
    let name = planning.name().to_owned();
    let edit = edit_bus(&bus.name, move |bus, version| {
        bus.event_types
            .insert(name.clone(), Arc::new(EventType { name, version, spec }));
    });
    Ok(planning.carry_out(operations, Effect::Other, planning.model.counters, edit))
}
