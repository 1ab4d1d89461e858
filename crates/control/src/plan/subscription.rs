//! Creating and replacing subscriptions.

use super::{Effect, Plan, Planning, edit_bus, put};
use crate::{
    counted,
    documents::{self, version_name},
    filters, limits,
    model::{Bus, Subscription},
    places,
    refusal::Refusal,
    resources::{Start, SubscriptionSpec},
    transforms,
    units::format_duration,
    validate,
};
use serde_json::{Map, Value};
use std::sync::Arc;
use store::{Expect, Kind, Operation};

pub(super) fn put(planning: &Planning<'_>, mut body: Map<String, Value>) -> Result<Plan, Refusal> {
    let bus = planning.bus()?;
    let existing = bus.subscriptions.get(planning.name());
    if let Some(existing) = existing {
        keep_start(&mut body, existing)?;
        put::keep_annotations(&mut body, &existing.spec.annotations);
    }
    let spec: SubscriptionSpec = put::spec(body)?;
    if !is_switched_off(&spec, existing) {
        check(bus, &spec, existing)?;
    }
    if existing.is_none() {
        check_start(planning, bus, &spec)?;
    }
    let filter = filters::compile(&spec)?;
    let transform = transforms::compile(&spec.transform)?;
    match existing {
        Some(existing) if existing.spec == spec => Ok(planning.unchanged()),
        Some(existing) => {
            let new = Subscription {
                spec,
                filter,
                transform,
                ..Subscription::clone(existing)
            };
            replace(planning, bus, existing, new)
        }
        None => {
            put::room("subscriptions", bus.subscriptions.size(), limits::SUBSCRIPTIONS_MAX)?;
            within_quota(bus)?;
            let (id, name) = (planning.model.counters.subscription, planning.name().to_owned());
            create(
                planning,
                bus,
                Subscription {
                    id,
                    name,
                    version: 0,
                    created: planning.now,
                    spec,
                    filter,
                    transform,
                },
            )
        }
    }
}

/// A start that is left out stays what it is.
fn keep_start(body: &mut Map<String, Value>, existing: &Subscription) -> Result<(), Refusal> {
    let start = serde_json::to_value(&existing.spec.start).expect("words and numbers");
    let asked = body.entry("start").or_insert_with(|| start.clone());
    // What is no start at all is refused by the parser, with its own words.
    if *asked != start && serde_json::from_value::<crate::resources::Start>(asked.clone()).is_ok() {
        let detail =
            format!("start is fixed at creation (it is {start}); make another subscription to start elsewhere");
        return Err(Refusal::invalid("/start", detail));
    }
    Ok(())
}

/// What is there can always be disabled, whatever became of what it needs.
fn is_switched_off(spec: &SubscriptionSpec, existing: Option<&Arc<Subscription>>) -> bool {
    let before = |existing: &Arc<Subscription>| SubscriptionSpec {
        enabled: false,
        ..existing.spec.clone()
    };
    existing.is_some_and(|existing| before(existing) == *spec)
}

fn check(bus: &Bus, spec: &SubscriptionSpec, existing: Option<&Arc<Subscription>>) -> Result<(), Refusal> {
    debug_assert!(existing.is_none_or(|existing| existing.spec.start == spec.start));
    validate::subscription(spec)?;
    for (index, topic) in spec.topics.iter().flatten().enumerate() {
        put::exists(&format!("/topics/{index}"), "topic", topic, &bus.topics)?;
    }
    put::exists("/connection", "connection", &spec.connection, &bus.connections)?;
    if let Some(target) = &spec.dead_letter {
        if let Some(topic) = &target.topic {
            put::exists("/dead_letter/topic", "topic", topic, &bus.topics)?;
        }
        if let Some(connection) = &target.connection {
            put::exists("/dead_letter/connection", "connection", connection, &bus.connections)?;
            if let Some(connection) = bus.connections.get(connection) {
                let given = target.target.clone().unwrap_or_default();
                validate::dead_letter_target(&given, &connection.spec)?;
            }
        }
    }
    if let Some(connection) = bus.connections.get(&spec.connection) {
        validate::target(spec, &connection.spec)?;
    }
    let age = spec.delivery.retry.age;
    for topic in bus.topics_of(spec) {
        if let Some(hold) = topic.spec.retention.hold_in_effect().filter(|hold| age > *hold) {
            let detail = format!(
                "age is {}, but topic {:?} holds unsettled records for {} only: lower age, or raise the topic's retention.hold",
                format_duration(age),
                topic.name,
                format_duration(hold)
            );
            return Err(Refusal::invalid("/delivery/retry/age", detail));
        }
    }
    Ok(())
}

/// A start lies in what the subscription reads, and not in the future.
fn check_start(planning: &Planning<'_>, bus: &Bus, spec: &SubscriptionSpec) -> Result<(), Refusal> {
    match &spec.start {
        Start::Now | Start::Earliest => Ok(()),
        Start::Time(time) if time.0 > planning.now => {
            let detail = format!("{time} lies ahead; a subscription starts at now or earlier");
            Err(Refusal::invalid("/start/time", detail))
        }
        Start::Time(_) => Ok(()),
        Start::Offsets(offsets) => places::check_offsets("/start/offsets", offsets, bus.topics_of(spec)),
    }
}

fn create(planning: &Planning<'_>, bus: &Bus, new: Subscription) -> Result<Plan, Refusal> {
    let mut counters = planning.model.counters;
    counters.subscription += 1;
    let operations = vec![put::write(planning, bus.id, documents::subscription_body(&new))?];
    let edit = edit_bus(&bus.name, move |bus, version| {
        bus.subscriptions
            .insert_mut(new.name.clone(), Arc::new(Subscription { version, ..new }));
    });
    Ok(planning.carry_out(operations, Effect::SubscriptionCreated, counters, edit))
}

/// The old version is kept when it matched other events: positions below the boundary and parked rows may need it.
fn replace(planning: &Planning<'_>, bus: &Bus, old: &Arc<Subscription>, new: Subscription) -> Result<Plan, Refusal> {
    let mut operations = vec![put::write(planning, bus.id, documents::subscription_body(&new))?];
    let matching = |spec: &SubscriptionSpec| (spec.topics.clone(), spec.types.clone(), spec.filter.clone());
    let kept = (matching(&old.spec) != matching(&new.spec)).then(|| old.clone());
    if let Some(old) = &kept {
        operations.push(Operation::PutDocument {
            bus: bus.id,
            kind: Kind::SubscriptionVersion,
            name: version_name(old.id, old.version),
            expect: Expect::Absent,
            body: documents::subscription_body(old),
        });
    }
    let bus = bus.name.clone();
    let edit = Box::new(move |model: &mut crate::Model, version| {
        model.versions.extend(kept.map(|old| ((old.id, old.version), old)));
        edit_bus(&bus, move |bus, version| {
            bus.subscriptions
                .insert_mut(new.name.clone(), Arc::new(Subscription { version, ..new }));
        })(model, version);
    });
    Ok(planning.carry_out(operations, Effect::SubscriptionChanged, planning.model.counters, edit))
}

/// One more than the bus may have is refused; those it has stay when its quota is lowered.
fn within_quota(bus: &Bus) -> Result<(), Refusal> {
    let (has, quota) = (bus.subscriptions.size(), bus.spec.quotas.subscriptions);
    match quota.filter(|max| has >= *max as usize) {
        None => Ok(()),
        Some(max) => Err(Refusal::quota(
            "bus.subscriptions",
            format!(
                "bus {:?} has {}; its quota is {max}",
                bus.name,
                counted(has as u64, "subscription")
            ),
        )),
    }
}
