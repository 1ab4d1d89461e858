//! What the router shows of itself to whoever asks how things stand. Written by the router alone.

use crate::matching::Rules;
use journal::PartitionId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
};
use store::{Millis, SubscriptionId};

/// What the router shows of itself.
#[derive(Debug, Default)]
pub struct View {
    tails: Mutex<HashMap<PartitionId, u64>>,
    behind: Mutex<HashMap<(SubscriptionId, PartitionId), (u64, Millis)>>,
    rules: Mutex<HashMap<SubscriptionId, Arc<Rules>>>,
    /// Records looked at.
    pub routed: AtomicU64,
    /// Scans under way.
    pub scans: AtomicU64,
    /// Wall time since which it has had something to read without any progress; 0: it has not.
    pub stuck_since: AtomicU64,
}

impl View {
    /// The live tail's place in a partition.
    pub fn tail(&self, partition: PartitionId) -> u64 {
        self.tails
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&partition)
            .copied()
            .unwrap_or_default()
    }

    /// Where a lane reads if it is behind, and the append time there.
    pub fn behind(&self, subscription: SubscriptionId, partition: PartitionId) -> Option<(u64, Millis)> {
        self.behind
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&(subscription, partition))
            .copied()
    }

    /// The rules that a lane is read by.
    pub fn rules(&self, subscription: SubscriptionId) -> Option<Arc<Rules>> {
        self.rules
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&subscription)
            .cloned()
    }

    pub(crate) fn set_rules(&self, subscription: SubscriptionId, rules: &Arc<Rules>) {
        self.rules
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(subscription, Arc::clone(rules));
    }

    pub(crate) fn set_tail(&self, partition: PartitionId, tail: u64) {
        self.tails
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(partition, tail);
    }

    pub(crate) fn set_behind(
        &self,
        subscription: SubscriptionId,
        partition: PartitionId,
        place: Option<(u64, Millis)>,
    ) {
        let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        match place {
            Some(place) => behind.insert((subscription, partition), place),
            None => behind.remove(&(subscription, partition)),
        };
    }

    pub(crate) fn forget(&self, subscription: SubscriptionId) {
        self.rules
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&subscription);
        self.behind
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(other, _), _| *other != subscription);
    }
}
