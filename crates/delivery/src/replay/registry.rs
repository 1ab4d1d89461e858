//! All replays: those that run, and those that are kept after their end. A lock for lines; it starts and saves nothing.

use super::{
    ENDED_KEPT, ENDED_KEPT_MAX, RUNNING_BUS_MAX, RUNNING_NODE_MAX,
    document::Into,
    handle::{Command, Handle},
};
use crate::{Error, backoff::millis, told::not_found};
use control::{Refusal, refusal::Class};
use futures_util::future::join_all;
use journal::TopicId;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};
use store::{BusId, Millis, SubscriptionId};
use tokio::sync::oneshot;

/// All of them.
#[derive(Debug, Default)]
pub struct Registry {
    replays: RwLock<BTreeMap<u32, Arc<Handle>>>,
    /// The next number; 0 is live traffic.
    next: AtomicU32,
}

impl Registry {
    /// The next number is at least this.
    pub fn number_from(&self, next: u32) {
        self.next.fetch_max(next.max(1), Relaxed);
    }

    /// The next number.
    pub fn next_number(&self) -> u32 {
        self.next.load(Relaxed).max(1)
    }

    /// Knows a replay.
    pub fn insert(&self, handle: Arc<Handle>) {
        self.number_from(handle.number.saturating_add(1));
        self.replays
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(handle.number, handle);
    }

    /// Knows it no more; whether it did.
    pub fn remove(&self, number: u32) -> bool {
        let mut replays = self.replays.write().unwrap_or_else(PoisonError::into_inner);
        replays.remove(&number).is_some()
    }

    /// Those of a bus, oldest first.
    pub fn of_bus(&self, bus: BusId) -> Vec<Arc<Handle>> {
        let replays = self.read();
        replays.values().filter(|replay| replay.bus == bus).cloned().collect()
    }

    /// All, oldest first.
    pub fn all(&self) -> Vec<Arc<Handle>> {
        self.read().values().cloned().collect()
    }

    /// One by its number.
    pub fn get(&self, number: u32) -> Option<Arc<Handle>> {
        self.read().get(&number).cloned()
    }

    /// The subscriptions that replays of a bus go to.
    pub fn subscriptions_of(&self, bus: BusId) -> Vec<SubscriptionId> {
        let of_bus = self.of_bus(bus).into_iter();
        let into = of_bus.filter_map(|replay| match replay.into {
            Into::Subscription { id, .. } => Some(id),
            Into::Topic { .. } => None,
        });
        into.collect()
    }

    /// One by its name.
    pub fn find(&self, bus: BusId, name: &str) -> Result<Arc<Handle>, Error> {
        let missing = || not_found(format!("replay {name:?} does not exist"));
        let found = self.of_bus(bus).into_iter().find(|replay| replay.name == name);
        Ok(found.ok_or_else(missing)?)
    }

    /// Refuses one more of this name, or beyond the bounds.
    pub fn check_room(&self, bus: BusId, name: &str) -> Result<(), Refusal> {
        let of_bus = self.of_bus(bus);
        if of_bus.iter().any(|replay| replay.name == name) {
            let detail = format!("replay {name:?} exists already; take another name, or delete it when it is over");
            return Err(Refusal::new("already_exists", Class::Precondition, detail));
        }
        let running = |replays: &[Arc<Handle>]| replays.iter().filter(|replay| !replay.is_over()).count();
        if running(&of_bus) >= RUNNING_BUS_MAX {
            let detail =
                format!("{RUNNING_BUS_MAX} replays of this bus run or are paused already; wait, or cancel one");
            return Err(Refusal::limit(detail));
        }
        if running(&self.all()) >= RUNNING_NODE_MAX {
            let detail = format!("{RUNNING_NODE_MAX} replays run or are paused already; wait, or cancel one");
            return Err(Refusal::limit(detail));
        }
        Ok(())
    }

    /// Those that are kept too long after their end, or are too many.
    pub fn outlived(&self, now: Millis) -> Vec<Arc<Handle>> {
        let mut by_bus: BTreeMap<BusId, Vec<(Millis, Arc<Handle>)>> = BTreeMap::new();
        for replay in self.all() {
            if let Some(ended) = replay.document().ended {
                by_bus.entry(replay.bus).or_default().push((ended, replay));
            }
        }
        let mut outlived = Vec::new();
        for ended in by_bus.values_mut() {
            ended.sort_by_key(|(ended, replay)| (*ended, replay.number));
            let surplus = ended.len().saturating_sub(ENDED_KEPT_MAX);
            let oldest = now.saturating_sub(millis(ENDED_KEPT));
            let old = ended.iter().enumerate();
            let old = old.filter(|(index, (ended, _))| *index < surplus || *ended < oldest);
            outlived.extend(old.map(|(_, (_, replay))| Arc::clone(replay)));
        }
        outlived
    }

    /// Has those into a subscription take up what changed about it.
    pub fn reconfigure(&self, subscription: SubscriptionId) {
        for replay in self.bound_for(subscription) {
            replay.send(Command::Reconfigure);
        }
    }

    /// Has those into topics that are gone notice it now, whatever they wait for.
    pub fn lose_topics(&self, gone: &[TopicId]) {
        let goes_there = |replay: &&Arc<Handle>| match replay.into {
            Into::Topic { bus, id } => gone.contains(&TopicId { bus, topic: id }) && !replay.is_over(),
            Into::Subscription { .. } => false,
        };
        for replay in self.read().values().filter(goes_there) {
            replay.send(Command::Reconfigure);
        }
    }

    /// Ends those into a subscription that is about to go; resolves when none of them makes an attempt any more.
    pub async fn abandon(&self, subscription: SubscriptionId) {
        let abandoned = self.bound_for(subscription).into_iter().map(|replay| async move {
            let (done, rests) = oneshot::channel();
            replay.send(Command::Abandon(done));
            // One that is gone rests already.
            let _ = rests.await;
        });
        join_all(abandoned).await;
    }

    /// Has all come to rest where they are.
    pub async fn rest(&self, grace: Duration) {
        let resting = self.all().into_iter().filter(|replay| !replay.is_over());
        let resting = resting.map(|replay| async move {
            let (done, rests) = oneshot::channel();
            replay.send(Command::Rest(grace, done));
            let _ = rests.await;
        });
        join_all(resting).await;
    }

    fn bound_for(&self, subscription: SubscriptionId) -> Vec<Arc<Handle>> {
        let goes_there = |replay: &&Arc<Handle>| match replay.into {
            Into::Subscription { id, .. } => id == subscription && !replay.is_over(),
            Into::Topic { .. } => false,
        };
        self.read().values().filter(goes_there).cloned().collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<u32, Arc<Handle>>> {
        self.replays.read().unwrap_or_else(PoisonError::into_inner)
    }
}
