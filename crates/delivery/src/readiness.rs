//! How it all is doing: whether to send traffic here, the state of subscriptions, figures for metrics. Everything is read
//! from what the tasks publish; nobody is asked and nothing waits.

use crate::{
    CopiesStatus, SubscriptionStatus,
    changes::Unstarted,
    inbox::Standing,
    inner::Inner,
    lane_handle::LaneHandle,
    matching::stored,
    metrics::{BusMetrics, KeyMetrics, Metrics, SubscriptionMetrics},
    restore::partitions_of,
};
use control::{Bus, Model, Subscription, Topic};
use journal::{Health, PartitionId};
use std::sync::{Arc, atomic::Ordering::Relaxed};
use store::{Millis, SubscriptionId};

/// Whether the node should get traffic; a failing endpoint never decides that.
pub fn readiness(inner: &Inner) -> Result<(), String> {
    match inner.journal.health() {
        Health::Poisoned { reason } => return Err(format!("the journal is poisoned: {reason}")),
        Health::Closed => return Err("the journal is closed".to_owned()),
        Health::Serving | Health::OutOfSpace { .. } | Health::Exhausted(_) | Health::Behind => {}
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
    if inner.view.unsaved_since().is_some_and(|since| now - since > after) {
        return Err("positions cannot be saved: the store is out of reach".to_owned());
    }
    let mut lanes = inner.lanes();
    lanes.extend(inner.copies.lanes());
    let named = |lane: &LaneHandle| name_of(inner, lane.inbox.subscription);
    if let Some(lane) = lanes.iter().find(|lane| lane.has_failed()) {
        return Err(format!("the lane of {} has ended", named(lane)));
    }
    let stuck = |lane: &&LaneHandle| lane.inbox.doing().stuck_since.is_some_and(|since| now - since > after);
    if let Some(lane) = lanes.iter().find(stuck) {
        return Err(format!("{} has due work and makes no progress", named(lane)));
    }
    let unstarted = inner.unstarted();
    let late = unstarted.iter().find(|(_, unstarted)| now - unstarted.since > after);
    match late {
        Some((id, unstarted)) => Err(format!(
            "the lane of {} could not be started: failed to {}",
            name_of(inner, *id),
            unstarted.reason
        )),
        None => Ok(()),
    }
}

/// A subscription's name for people, with its bus.
fn name_of(inner: &Inner, id: SubscriptionId) -> String {
    let model = inner.model.load();
    let named = model.buses.values().find_map(|bus| {
        let subscription = bus.subscriptions.values().find(|subscription| subscription.id == id)?;
        Some(format!("subscription {:?} of bus {:?}", subscription.name, bus.name))
    });
    named.unwrap_or_else(|| format!("subscription {id}"))
}

/// How the subscriptions of a bus are doing.
pub fn status(inner: &Inner, bus: &str) -> Vec<(String, SubscriptionStatus)> {
    let model = inner.model.load();
    let Some(bus) = model.buses.get(bus) else {
        return Vec::new();
    };
    let ends = Ends::new(inner, bus);
    let of = |subscription: &Arc<Subscription>| {
        Some((subscription.name.clone(), one(inner, bus, subscription, &ends)?.status))
    };
    bus.subscriptions.values().filter_map(of).collect()
}

/// How one subscription is doing, at the cost of one.
pub fn status_of(inner: &Inner, bus: &str, name: &str) -> Option<SubscriptionStatus> {
    let model = inner.model.load();
    let bus = model.buses.get(bus)?;
    Some(one(inner, bus, bus.subscriptions.get(name)?, &Ends::new(inner, bus))?.status)
}

/// Everything there is to show.
pub fn metrics(inner: &Inner) -> Metrics {
    let model = inner.model.load();
    let subscriptions = model.buses.values().flat_map(|bus| {
        let ends = Ends::new(inner, bus);
        bus.subscriptions
            .values()
            .filter_map(|subscription| one(inner, bus, subscription, &ends))
            .collect::<Vec<_>>()
    });
    let (spans, spans_dropped) = inner.settings.tracer.counts();
    Metrics {
        disk: inner.journal.disk_space(),
        keys_expiring: crate::watchdog::keys_expiring(&model, inner.journal.now()),
        spans,
        spans_dropped,
        buses: model.buses.values().map(|bus| bus_metrics(inner, bus)).collect(),
        keys: key_metrics(&model),
        subscriptions: subscriptions.collect(),
        lanes_bytes: inner.node_bytes.held() as u64,
        routed: inner.view.routed.load(Relaxed),
        positions_checked: inner.view.positions_checked.load(Relaxed),
        catch_up_scans: inner.view.scans.load(Relaxed),
        attempts_unrecorded: inner.attempts.counts().dropped,
        operational_events: inner.reporter.published(),
        operational_events_dropped: inner.reporter.dropped(),
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
        quota_refused: bus.usage.refused(),
        replayed: gauge.counters.replayed.load(Relaxed),
        replays: unended(inner, bus.id),
        redrives: redriving(inner, bus.id),
        intake_requests: gauge.requests.load(Relaxed) as u64,
        intake_bytes: gauge.bytes.load(Relaxed) as u64,
    }
}

/// Keys whose figures are shown: a text that is fetched every few seconds stays small, and series stay few.
const KEYS_SHOWN_MAX: usize = 1_000;

/// Of keys with quotas: those that were refused most come first, the rest is left out.
fn key_metrics(model: &Model) -> Vec<KeyMetrics> {
    let limited = model.keys.values().filter(|key| !key.spec.quotas.is_empty());
    let mut keys: Vec<KeyMetrics> = limited
        .map(|key| KeyMetrics {
            key: key.id.clone(),
            quota_refused: key.usage.refused(),
            connections: u64::from(key.usage.connections()),
        })
        .collect();
    // The order of keys that are alike stays that of their ids.
    keys.sort_by_key(|key| std::cmp::Reverse(key.quota_refused));
    keys.truncate(KEYS_SHOWN_MAX);
    keys
}

fn unended(inner: &Inner, bus: store::BusId) -> u64 {
    let replays = inner.replays.of_bus(bus);
    replays.iter().filter(|replay| !replay.is_over()).count() as u64
}

fn redriving(inner: &Inner, bus: store::BusId) -> u64 {
    let redrives = inner.redrives.of_bus(bus);
    redrives.iter().filter(|redrive| !redrive.is_over()).count() as u64
}

fn one(inner: &Inner, bus: &Bus, subscription: &Subscription, ends: &Ends) -> Option<SubscriptionMetrics> {
    let unstarted = inner.unstarted().get(&subscription.id).cloned();
    let lane = inner.lane(subscription.id);
    if lane.is_none() && unstarted.is_none() {
        // It is about to come or to go.
        return None;
    }
    let lag = lag(inner, subscription, lane.as_ref(), ends);
    let (state, reason) = state(lane.as_ref(), unstarted, lag.is_behind);
    let doing = lane.as_ref().map(|lane| lane.inbox.doing());
    let counters = lane.map(|lane| Arc::clone(&lane.inbox.counters)).unwrap_or_default();
    let status = SubscriptionStatus {
        id: subscription.id,
        state,
        reason,
        lag_events: lag.events,
        lag_seconds: lag
            .oldest
            .map_or(0.0, |oldest| (inner.journal.now() - oldest).max(0) as f64 / 1_000.0),
        in_flight: counters.in_flight.load(Relaxed),
        parked: counters.parked_now.load(Relaxed),
        dead: counters.dead_now.load(Relaxed),
        copies: copies(inner, subscription),
        counters: counters.snapshot(),
    };
    Some(SubscriptionMetrics {
        bus: bus.name.clone(),
        subscription: subscription.name.clone(),
        status,
        queued: doing.as_ref().map_or(0, |doing| doing.events as u64),
        queued_bytes: doing.as_ref().map_or(0, |doing| doing.bytes as u64),
        parked_bytes: counters.parked_bytes_now.load(Relaxed),
        dead_bytes: counters.dead_bytes_now.load(Relaxed),
    })
}

/// How copies of its dead letters are doing, if it has a lane for them.
fn copies(inner: &Inner, subscription: &Subscription) -> Option<CopiesStatus> {
    let lane = inner.copies.lane(subscription.id)?;
    let (doing, counters) = (lane.inbox.doing(), &lane.inbox.counters);
    Some(CopiesStatus {
        state: doing.state,
        reason: doing.reason,
        waiting: counters.parked_now.load(Relaxed),
        delivered: counters.delivered.load(Relaxed),
    })
}

/// A state in a word, and why.
fn state(lane: Option<&LaneHandle>, unstarted: Option<Unstarted>, is_behind: bool) -> (&'static str, Option<String>) {
    if let Some(Unstarted { reason, .. }) = unstarted {
        let reason = format!("its lane could not be started, and is tried again: failed to {reason}");
        return ("stopped", Some(reason));
    }
    let Some(doing) = lane.map(|lane| lane.inbox.doing()) else {
        return ("stopped", None);
    };
    match doing.state {
        "running" if is_behind => ("catching-up", doing.reason),
        state => (state, doing.reason),
    }
}

#[derive(Default)]
struct Lag {
    events: u64,
    oldest: Option<Millis>,
    is_behind: bool,
}

/// Where the tail and the end of each partition of a bus are, by topic: looked up once for all its subscriptions.
struct Ends(Vec<(u32, Vec<End>)>);

struct End {
    partition: PartitionId,
    /// Where the router has read to.
    tail: u64,
    /// The durable end; unknown for a topic that is about to go.
    end: Option<u64>,
}

impl Ends {
    fn new(inner: &Inner, bus: &Bus) -> Self {
        let end = |partition: PartitionId| End {
            partition,
            tail: inner.view.tail(partition),
            end: inner.journal.bounds(partition).ok().map(|bounds| bounds.high_water),
        };
        let of_topic = |topic: &Arc<Topic>| (topic.id, partitions_of(bus, topic).map(end).collect());
        Self(bus.topics.values().map(of_topic).collect())
    }
}

fn lag(inner: &Inner, subscription: &Subscription, lane: Option<&LaneHandle>, ends: &Ends) -> Lag {
    let mut lag = Lag::default();
    let Some(lane) = lane else { return lag };
    let Some(rules) = inner.view.rules(subscription.id) else {
        return lag;
    };
    let standings = lane.inbox.standing_everywhere();
    // What an earlier version left unsettled on a topic that is read no more counts as well.
    let topics = ends.0.iter().filter(|(topic, _)| rules.reads(*topic));
    for end in topics.flat_map(|(_, ends)| ends) {
        let standing = standings.get(&stored(end.partition)).copied().unwrap_or_default();
        let (position, appended) = position(inner, subscription, standing, end, &mut lag.is_behind);
        let end = end.end.unwrap_or(position);
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
    standing: Standing,
    end: &End,
    is_behind: &mut bool,
) -> (u64, Option<Millis>) {
    let reading = match inner.view.behind(subscription.id, end.partition) {
        Some((read, appended)) => {
            *is_behind = true;
            (read, Some(appended))
        }
        None => (end.tail, None),
    };
    match standing.oldest {
        Some((offset, appended)) if offset < reading.0 => (offset, Some(appended)),
        _ => reading,
    }
}
