//! Copies of dead letters on their way to a topic or a connection. A copy is written in one transaction with its dead letter, as
//! a parked delivery of a lane of its own beside the subscription's: whatever that lane's target does, the copy waits until it
//! is taken. The dead letter stays what it is, and where it is.
//!
//! A copy of a copy is never made: what is a dead letter of this lane, or of a subscription that reads copies, stays where it is.

mod lane;
mod record;
mod topic;

pub use lane::{abort, claim_held, held, reconfigure, resume, start, stop};
pub use record::{Facts, copy_of, key_of};

use crate::{lane::Input, lane_handle::Command, lane_handle::LaneHandle, metrics::Counters};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use store::{Parked, SubscriptionId};

/// Persisted; what stands in place of a replay's number in the keys of copies. No replay gets so far.
pub const COPIES: u32 = u32::MAX;

/// What a lane makes copies of its dead letters with.
#[derive(Clone, Debug)]
pub struct CopyMaker {
    /// What each copy says.
    pub facts: Facts,
    /// Of the lane that delivers them: how many wait.
    pub counters: Arc<Counters>,
}

/// The lanes that deliver copies. A mutex for lines.
#[derive(Debug, Default)]
pub struct Copies(Mutex<BTreeMap<SubscriptionId, Known>>);

/// A subscription's: the counters are there before its lane runs.
#[derive(Debug, Default)]
struct Known {
    counters: Arc<Counters>,
    lane: Option<LaneHandle>,
}

impl Copies {
    /// The counters of a subscription's copies.
    pub fn counters(&self, subscription: SubscriptionId) -> Arc<Counters> {
        Arc::clone(&self.lock().entry(subscription).or_default().counters)
    }

    /// A subscription's lane of copies, if it has one.
    pub fn lane(&self, subscription: SubscriptionId) -> Option<LaneHandle> {
        self.lock().get(&subscription)?.lane.clone()
    }

    /// All of them.
    pub fn lanes(&self) -> Vec<LaneHandle> {
        self.lock().values().filter_map(|known| known.lane.clone()).collect()
    }

    /// Copies that were written are their lane's.
    pub fn written(&self, subscription: SubscriptionId, rows: Vec<Parked>) {
        if let Some(lane) = self.lane(subscription) {
            lane.send(Command::Step(Input::Copied(rows)));
        }
    }

    fn set_lane(&self, subscription: SubscriptionId, lane: LaneHandle) {
        self.lock().entry(subscription).or_default().lane = Some(lane);
    }

    fn remove(&self, subscription: SubscriptionId) -> Option<LaneHandle> {
        self.lock().remove(&subscription)?.lane
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SubscriptionId, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
