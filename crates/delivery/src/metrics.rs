//! Counters. Tasks add to atomics; whoever shows them takes a snapshot. Nothing is decided from them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A lane's counters since start, and its gauges.
#[derive(Debug, Default)]
pub struct Counters {
    /// Events that matched.
    pub matched: AtomicU64,
    /// Of these, now neither ended nor safe in the store: in the lane, or gone back to be read again.
    pub unsettled: AtomicU64,
    /// Attempts that ended.
    pub attempts: AtomicU64,
    /// Deliveries that ended delivered.
    pub delivered: AtomicU64,
    /// Attempts that failed.
    pub failed: AtomicU64,
    /// Attempts that were not the first.
    pub retried: AtomicU64,
    /// Deliveries parked.
    pub parked: AtomicU64,
    /// Deliveries dead-lettered.
    pub dead_lettered: AtomicU64,
    /// Dead letters that a person discarded.
    pub discarded: AtomicU64,
    /// Dead letters that a person sent out again.
    pub redriven: AtomicU64,
    /// Events given up by retention or damage.
    pub given_up: AtomicU64,
    /// Events that a person skipped, to go on from a later one.
    pub skipped: AtomicU64,
    /// Now in flight.
    pub in_flight: AtomicU64,
    /// Now parked.
    pub parked_now: AtomicU64,
    /// Bytes now parked.
    pub parked_bytes_now: AtomicU64,
    /// Dead letters now.
    pub dead_now: AtomicU64,
    /// Bytes of dead letters now.
    pub dead_bytes_now: AtomicU64,
}

impl Counters {
    /// A snapshot of what counts since start.
    pub fn snapshot(&self) -> crate::LaneCounters {
        crate::LaneCounters {
            matched: self.matched.load(Relaxed),
            delivered: self.delivered.load(Relaxed),
            failed: self.failed.load(Relaxed),
            retried: self.retried.load(Relaxed),
            parked: self.parked.load(Relaxed),
            dead_lettered: self.dead_lettered.load(Relaxed),
            given_up: self.given_up.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
            discarded: self.discarded.load(Relaxed),
            redriven: self.redriven.load(Relaxed),
        }
    }
}

/// A bus's counters since start.
#[derive(Debug, Default)]
pub struct BusCounters {
    /// Events taken, duplicates included.
    pub published: AtomicU64,
    /// Of these, duplicates.
    pub duplicates: AtomicU64,
    /// Events refused by a rule of the bus.
    pub rejected: AtomicU64,
    /// Requests refused because too much was in flight.
    pub busy: AtomicU64,
    /// Events that its replays delivered, or published once more.
    pub replayed: AtomicU64,
}

/// Everything there is to show, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// By bus.
    pub buses: Vec<BusMetrics>,
    /// By key, of keys with quotas.
    pub keys: Vec<KeyMetrics>,
    /// By subscription.
    pub subscriptions: Vec<SubscriptionMetrics>,
    /// Bytes that lanes hold in memory.
    pub lanes_bytes: u64,
    /// Records that the router has looked at since start.
    pub routed: u64,
    /// Lanes that were looked at to save positions since start: those that had moved or were in trouble.
    pub positions_checked: u64,
    /// Catch-up scans under way.
    pub catch_up_scans: u64,
    /// Attempts that did not get into the history because its writer was behind.
    pub attempts_unrecorded: u64,
    /// Operational events published since start.
    pub operational_events: u64,
    /// Operational events that were dropped since start, because too many waited or they could not be published.
    pub operational_events_dropped: u64,
    /// Spans recorded since start.
    pub spans: u64,
    /// Spans dropped since start, because they could not be sent fast enough, or not at all.
    pub spans_dropped: u64,
    /// The volume.
    pub disk: journal::DiskSpace,
    /// Keys that expire soon.
    pub keys_expiring: u64,
    /// The journal's own.
    pub journal: journal::Stats,
}

/// A bus's figures.
#[derive(Clone, Debug, Default)]
pub struct BusMetrics {
    /// Its name.
    pub bus: String,
    /// Events taken, duplicates included.
    pub published: u64,
    /// Of these, duplicates.
    pub duplicates: u64,
    /// Events refused by a rule of the bus.
    pub rejected: u64,
    /// Requests refused because too much was in flight.
    pub busy: u64,
    /// Requests refused because a quota was used up.
    pub quota_refused: u64,
    /// Events that its replays delivered, or published once more.
    pub replayed: u64,
    /// Replays that run or are paused.
    pub replays: u64,
    /// Redrives that run or are paused.
    pub redrives: u64,
    /// Requests waiting for their sync.
    pub intake_requests: u64,
    /// Bytes waiting for their sync.
    pub intake_bytes: u64,
}

/// The figures of a key that has quotas.
#[derive(Clone, Debug, Default)]
pub struct KeyMetrics {
    /// Its id.
    pub key: String,
    /// Requests refused because a quota of it was used up.
    pub quota_refused: u64,
    /// Connections that are open with it.
    pub connections: u64,
}

/// A subscription's figures.
#[derive(Clone, Debug, Default)]
pub struct SubscriptionMetrics {
    /// Its bus.
    pub bus: String,
    /// Its name.
    pub subscription: String,
    /// Everything else.
    pub status: crate::SubscriptionStatus,
    /// Records handed to the lane and not settled: its queue.
    pub queued: u64,
    /// Bytes of them.
    pub queued_bytes: u64,
    /// Bytes of parked deliveries.
    pub parked_bytes: u64,
    /// Bytes of dead letters.
    pub dead_bytes: u64,
}
