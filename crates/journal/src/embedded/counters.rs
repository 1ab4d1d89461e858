//! Counters since start, for metrics.

use crate::Stats;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper bounds of the sync histogram, in microseconds.
const SYNC_BOUNDS: [u64; 12] = [
    100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 204_800, 1_000_000,
];

/// Counters since start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Records made durable.
    pub records: AtomicU64,
    /// Bytes of records made durable.
    pub bytes: AtomicU64,
    /// Duplicates dropped.
    pub duplicates: AtomicU64,
    /// Identities in the map.
    pub identities: AtomicU64,
    syncs: AtomicU64,
    sync_nanoseconds: AtomicU64,
    histogram: [AtomicU64; SYNC_BOUNDS.len()],
}

impl Counters {
    /// Notes a sync.
    pub fn synced(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.sync_nanoseconds
            .fetch_add(micros.saturating_mul(1_000), Ordering::Relaxed);
        if let Some(place) = SYNC_BOUNDS.iter().position(|bound| micros <= *bound) {
            self.histogram[place].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// As the contract's [`Stats`]; what is not counted here stays 0.
    pub fn stats(&self) -> Stats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let bounds = SYNC_BOUNDS.iter().map(|micros| *micros as f64 / 1e6);
        Stats {
            records: load(&self.records),
            bytes: load(&self.bytes),
            syncs: load(&self.syncs),
            sync_seconds: load(&self.sync_nanoseconds) as f64 / 1e9,
            sync_histogram: bounds.zip(self.histogram.iter().map(load)).collect(),
            duplicates: load(&self.duplicates),
            identities: load(&self.identities),
            ..Stats::default()
        }
    }
}
