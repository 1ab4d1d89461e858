//! What the router shows of itself to whoever asks how things stand. Written by the router alone.

use crate::matching::Rules;
use journal::PartitionId;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
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
    /// Lanes that were looked at to save positions.
    pub positions_checked: AtomicU64,
    /// Scans under way.
    pub scans: AtomicU64,
    /// Since when there is something to read without any progress: at the tail, or for a lane that is being scanned for.
    unread: Mutex<HashMap<(PartitionId, Option<SubscriptionId>), Millis>>,
    /// Since when positions could not be saved.
    unsaved: Mutex<Option<Millis>>,
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

    /// Since when the router has had something to read somewhere without any progress there.
    pub fn stuck_since(&self) -> Option<Millis> {
        self.lock_unread().values().copied().min()
    }

    /// Since when the router has failed to save positions, without a success.
    pub fn unsaved_since(&self) -> Option<Millis> {
        *self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A save of positions failed.
    pub(crate) fn was_not_saved(&self, now: Millis) {
        let mut unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner);
        unsaved.get_or_insert(now);
    }

    /// A save of positions succeeded.
    pub(crate) fn was_saved(&self) {
        *self.unsaved.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// There is something to read, if that is not known already.
    pub(crate) fn is_unread(&self, partition: PartitionId, subscription: Option<SubscriptionId>, now: Millis) {
        self.lock_unread().entry((partition, subscription)).or_insert(now);
    }

    /// Something was read; `more` is the time now if there is still something.
    pub(crate) fn was_read(&self, partition: PartitionId, subscription: Option<SubscriptionId>, more: Option<Millis>) {
        let mut unread = self.lock_unread();
        match more {
            Some(now) => unread.insert((partition, subscription), now),
            None => unread.remove(&(partition, subscription)),
        };
    }

    /// A lane takes nothing now: nobody waits for its reads.
    pub(crate) fn forget_unread(&self, subscription: SubscriptionId) {
        self.lock_unread().retain(|(_, other), _| *other != Some(subscription));
    }

    /// These partitions are left.
    pub(crate) fn retain_unread(&self, partitions: &BTreeSet<PartitionId>) {
        self.lock_unread()
            .retain(|(partition, _), _| partitions.contains(partition));
    }

    fn lock_unread(&self) -> MutexGuard<'_, HashMap<(PartitionId, Option<SubscriptionId>), Millis>> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.forget_unread(subscription);
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
