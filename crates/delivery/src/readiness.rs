//! How it all is doing: whether to send traffic here, the state of subscriptions, figures for metrics. Everything is read
//! from what the tasks publish; nobody is asked and nothing waits.

use crate::{
    SubscriptionStatus,
    core::Inner,
    inbox::Doing,
    lane_task::LaneHandle,
    matching::stored,
    metrics::{BusMetrics, Metrics, SubscriptionMetrics},
    restore::partitions_read,
};
use control::{Bus, Subscription};
use journal::{Health, PartitionId};
use std::sync::{Arc, atomic::Ordering::Relaxed};
use store::Millis;

/// Whether the node should get traffic; a failing endpoint never decides that.
pub fn readiness(inner: &Inner) -> Result<(), String> {
    match inner.journal.health() {
        Health::Poisoned { reason } => return Err(format!("the journal is poisoned: {reason}")),
        Health::Closed => return Err("the journal is closed".to_owned()),
        Health::Serving | Health::OutOfSpace { .. } | Health::Behind => {}
    }
    if inner.is_closing() {
        return Err("shutting down".to_owned());
    }
    let now = inner.settings.clock.now();
    let after = crate::backoff::millis(inner.settings.stall_after);
    if let Some(task) = inner.ended_task() {
        return Err(format!("the task of {task} has ended"));
    }
    if inner.view.stuck_since().is_some_and(|since| now - since > after) {
        return Err("the router has events to read and makes no progress".to_owned());
    }
    let lanes = inner.lanes();
    if let Some(lane) = lanes.iter().find(|lane| lane.has_ended()) {
        return Err(format!(
            "the lane of subscription {} has ended",
            lane.inbox.subscription
        ));
    }
    let stuck = |lane: &LaneHandle| lane.inbox.doing().stuck_since.is_some_and(|since| now - since > after);
    match lanes.iter().find(|lane| stuck(lane)) {
        Some(lane) => Err(format!(
            "subscription {} has due work and makes no progress",
            lane.inbox.subscription
        )),
        None => Ok(()),
    }
}

/// How the subscriptions of a bus are doing.
pub fn status(inner: &Inner, bus: &str) -> Vec<(String, SubscriptionStatus)> {
    let model = inner.model.load();
    let Some(bus) = model.buses.get(bus) else {
        return Vec::new();
    };
    let of =
        |subscription: &Arc<Subscription>| Some((subscription.name.clone(), one(inner, bus, subscription)?.status));
    bus.subscriptions.values().filter_map(of).collect()
}

/// Everything there is to show.
pub fn metrics(inner: &Inner) -> Metrics {
    let model = inner.model.load();
    let subscriptions = model.buses.values().flat_map(|bus| {
        bus.subscriptions
            .values()
            .filter_map(|subscription| one(inner, bus, subscription))
            .collect::<Vec<_>>()
    });
    Metrics {
        buses: model.buses.values().map(|bus| bus_metrics(inner, bus)).collect(),
        subscriptions: subscriptions.collect(),
        lanes_bytes: inner.node_bytes.held() as u64,
        routed: inner.view.routed.load(Relaxed),
        catch_up_scans: inner.view.scans.load(Relaxed),
        attempts_unrecorded: inner.attempts.counts().dropped,
        journal: inner.journal.stats(),
    }
}

fn bus_metrics(inner: &Inner, bus: &Bus) -> BusMetrics {
    let gauge = inner.gauge(bus.id);
    BusMetrics {
        bus: bus.name.clone(),
        published: gauge.counters.published.load(Relaxed),
        duplicates: gauge.counters.duplicates.load(Relaxed),
        rejected: gauge.counters.rejected.load(Relaxed),
        busy: gauge.counters.busy.load(Relaxed),
        intake_requests: gauge.requests.load(Relaxed) as u64,
        intake_bytes: gauge.bytes.load(Relaxed) as u64,
    }
}

fn one(inner: &Inner, bus: &Bus, subscription: &Subscription) -> Option<SubscriptionMetrics> {
    let lane = inner.lane(subscription.id)?;
    let doing = lane.inbox.doing();
    let lag = lag(inner, bus, subscription, &lane);
    let counters = &lane.inbox.counters;
    let state = if doing.state == "running" && lag.is_behind {
        "catching-up"
    } else {
        doing.state
    };
    let status = SubscriptionStatus {
        id: subscription.id,
        state,
        reason: doing.reason.clone(),
        lag_events: lag.events,
        lag_seconds: lag
            .oldest
            .map_or(0.0, |oldest| (inner.journal.now() - oldest).max(0) as f64 / 1_000.0),
        in_flight: counters.in_flight.load(Relaxed),
        parked: counters.parked_now.load(Relaxed),
        dead: counters.dead_now.load(Relaxed),
        counters: counters.snapshot(),
    };
    let Doing { events, bytes, .. } = doing;
    Some(SubscriptionMetrics {
        bus: bus.name.clone(),
        subscription: subscription.name.clone(),
        status,
        queued: events as u64,
        queued_bytes: bytes as u64,
        parked_bytes: counters.parked_bytes_now.load(Relaxed),
        dead_bytes: counters.dead_bytes_now.load(Relaxed),
    })
}

#[derive(Default)]
struct Lag {
    events: u64,
    oldest: Option<Millis>,
    is_behind: bool,
}

fn lag(inner: &Inner, bus: &Bus, subscription: &Subscription, lane: &LaneHandle) -> Lag {
    let mut lag = Lag::default();
    for partition in partitions_read(bus, subscription) {
        let Some((position, appended)) = position(inner, subscription, lane, partition, &mut lag.is_behind) else {
            continue;
        };
        let end = inner
            .journal
            .bounds(partition)
            .map_or(position, |bounds| bounds.high_water);
        lag.events += end.saturating_sub(position);
        if let Some(appended) = appended.filter(|_| position < end) {
            lag.oldest = Some(lag.oldest.map_or(appended, |oldest| oldest.min(appended)));
        }
    }
    lag
}

/// Where a lane stands in a partition, and how old what stands there is, where that is known.
fn position(
    inner: &Inner,
    subscription: &Subscription,
    lane: &LaneHandle,
    partition: PartitionId,
    is_behind: &mut bool,
) -> Option<(u64, Option<Millis>)> {
    let standing = lane.inbox.standing(stored(partition));
    let reading = match inner.view.behind(subscription.id, partition) {
        Some((read, appended)) => {
            *is_behind = true;
            (read, Some(appended))
        }
        None => (inner.view.tail(partition), None),
    };
    let unsettled = standing.oldest.map(|(offset, appended)| (offset, Some(appended)));
    [unsettled, Some(reading)]
        .into_iter()
        .flatten()
        .min_by_key(|(offset, _)| *offset)
}
