//! Which replays have lanes of their own at the moment. The subscription's own lane leaves their rows alone, and whoever moves
//! rows tells the lane that they belong to. A mutex for lines.

use crate::lane_handle::LaneHandle;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};
use store::SubscriptionId;

/// Those replays, by subscription and number, with their lanes once those run.
#[derive(Debug, Default)]
pub struct Replaying(Mutex<BTreeMap<(SubscriptionId, u32), Option<LaneHandle>>>);

impl Replaying {
    /// From now on the rows of a replay are its own.
    pub fn enter(&self, subscription: SubscriptionId, replay: u32) {
        self.lock().entry((subscription, replay)).or_default();
    }

    /// Its lane runs.
    pub fn started(&self, subscription: SubscriptionId, replay: u32, lane: LaneHandle) {
        self.lock().insert((subscription, replay), Some(lane));
    }

    /// It runs no more: what it has left is the subscription's.
    pub fn leave(&self, subscription: SubscriptionId, replay: u32) {
        self.lock().remove(&(subscription, replay));
    }

    /// Whether the rows of a replay are its own.
    pub fn has(&self, subscription: SubscriptionId, replay: u32) -> bool {
        self.lock().contains_key(&(subscription, replay))
    }

    /// The numbers of those into a subscription.
    pub fn numbers(&self, subscription: SubscriptionId) -> Vec<u32> {
        let replays = self.lock();
        let of_it = replays.range((subscription, 0)..=(subscription, u32::MAX));
        of_it.map(|((_, replay), _)| *replay).collect()
    }

    /// The lanes of all into a subscription, by number.
    pub fn lanes(&self, subscription: SubscriptionId) -> Vec<(u32, LaneHandle)> {
        let replays = self.lock();
        let of_it = replays.range((subscription, 0)..=(subscription, u32::MAX));
        of_it
            .filter_map(|((_, replay), lane)| Some((*replay, lane.clone()?)))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(SubscriptionId, u32), Option<LaneHandle>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
