//! Lanes that could not be started although their subscriptions are saved: tried again by themselves, less and less often, and
//! shown until they run. Until then nothing changes what their positions hang on, and retention spares their bus.

use super::Changes;
use crate::{
    Error, copies,
    inner::Inner,
    lane::gone_name,
    matching::stored,
    positions::Saved,
    restore::{Remembered, lane, rules},
    router::{Message, Place, Reader},
};
use control::{Bus, Change, Effect, Model, Subscription, resources::ResourceKind};
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::Duration,
};
use store::{Kind, LaneRow, Millis, Partition, SubscriptionId};
use tokio::{sync::oneshot, time::Instant};

/// The wait before the second try; it doubles with each.
const WAIT_MIN: Duration = Duration::from_secs(1);
/// Soon enough that nobody has to help once the store is well again.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// When each of them is tried again, and after what wait.
#[derive(Debug, Default)]
pub(super) struct Waiting(BTreeMap<SubscriptionId, (Instant, Duration)>);

impl Waiting {
    /// When the next one is tried.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().map(|(at, _)| *at).min()
    }

    fn failed(&mut self, subscription: SubscriptionId) -> Duration {
        let wait = self
            .0
            .get(&subscription)
            .map_or(WAIT_MIN, |(_, wait)| (*wait * 2).min(WAIT_MAX));
        self.0.insert(subscription, (Instant::now() + wait, wait));
        wait
    }

    fn due(&self) -> Vec<SubscriptionId> {
        let now = Instant::now();
        let due = self.0.iter().filter(|(_, (at, _))| *at <= now);
        due.map(|(subscription, _)| *subscription).collect()
    }
}

/// A lane that could not be started, for whoever asks how things stand.
#[derive(Clone, Debug)]
pub struct Unstarted {
    /// Since when.
    pub since: Millis,
    /// Why, in words.
    pub reason: String,
}

impl Changes {
    /// Starts a saved subscription's lane. A failure is told, shown, and made good later.
    pub(super) async fn start(&mut self, subscription: SubscriptionId) -> Result<(), Error> {
        let model = self.inner.model.load_full();
        let started = match owner(&model, subscription) {
            Some((bus, found)) => self.try_start(&model, (bus, found), None).await,
            // It was deleted meanwhile.
            None => Ok(()),
        };
        self.note_start(subscription, started)
    }

    /// Starts the lane of a subscription that was saved just now, with the rows that were saved with it.
    pub(super) async fn start_new(
        &mut self,
        model: &Model,
        (bus, subscription): (&Bus, &Subscription),
        rows: Remembered,
    ) -> Result<(), Error> {
        let started = self.try_start(model, (bus, subscription), Some(rows)).await;
        self.note_start(subscription.id, started)
    }

    fn note_start(&mut self, subscription: SubscriptionId, started: Result<(), Error>) -> Result<(), Error> {
        match started {
            Ok(()) => {
                if self.waiting.0.remove(&subscription).is_some() {
                    tracing::info!(subscription, "a subscription's lane has started at last");
                }
                self.inner.unstarted().remove(&subscription);
                Ok(())
            }
            Err(error) => {
                let wait = self.waiting.failed(subscription);
                tracing::error!(%error, subscription, ?wait, "failed to start a subscription's lane; trying again");
                let (since, reason) = (self.inner.settings.clock.now(), error.to_string());
                let mut unstarted = self.inner.unstarted();
                let shown = unstarted.entry(subscription).or_insert(Unstarted {
                    since,
                    reason: String::new(),
                });
                shown.reason = reason;
                Err(error)
            }
        }
    }

    /// Those whose time has come.
    pub(super) async fn start_waiting(&mut self) {
        for subscription in self.waiting.due() {
            // Told, and tried again later.
            let _ = self.start(subscription).await;
        }
    }

    /// A change that moves what a lane's positions hang on waits for none: it fails as the lane does.
    pub(super) async fn start_concerned(&mut self, effect: &Effect, change: &Change) -> Result<(), Error> {
        let of_bus = matches!(effect, Effect::TopicPut | Effect::TopicDeleted | Effect::BusDeleted);
        let model = self.inner.model.load_full();
        let waiting: Vec<_> = self.waiting.0.keys().copied().collect();
        for id in waiting {
            let is_concerned = owner(&model, id).is_some_and(|(bus, subscription)| {
                let is_it = change.kind == ResourceKind::Subscription && subscription.name == change.name;
                bus.name == change.bus && (of_bus || is_it)
            });
            if is_concerned {
                self.start(id).await?;
            }
        }
        Ok(())
    }

    async fn try_start(
        &self,
        model: &Model,
        (bus, subscription): (&Bus, &Subscription),
        remembered: Option<Remembered>,
    ) -> Result<(), Error> {
        copies::claim_held(&self.inner, subscription, 1).await?;
        let (remembered, is_written) = match remembered {
            Some(remembered) => (remembered, true),
            None => self.inner.remembered(subscription.id).await?,
        };
        let rules = rules(model, bus, subscription, &self.boundaries);
        let mut reader = lane(&self.inner, bus, subscription, rules, remembered, &self.inner.tails()).await?;
        if !is_written {
            let cursors = reader.cursors.values_mut();
            cursors.for_each(|cursor| cursor.saved = Saved::Unknown);
        }
        self.add(reader).await
    }

    async fn add(&self, reader: Reader) -> Result<(), Error> {
        let (done, added) = oneshot::channel();
        self.inner.tell_router(Message::Add(Box::new(reader), done)).await?;
        added.await.map_err(|_| Error::Closing)
    }
}

impl Inner {
    /// What is known of a lane that does not run: where it stood when it ended, else what the store says; and whether the store
    /// says so.
    async fn remembered(&self, id: SubscriptionId) -> Result<(Remembered, bool), Error> {
        let places = self.places().await?.remove(&id);
        let is_written = places.is_none();
        let rows: Vec<LaneRow> = match places {
            Some(places) => places.iter().map(|place| row(id, place)).collect(),
            None => self.store.lanes().await?,
        };
        let of_it = rows.into_iter().filter(|row| row.subscription == id);
        let gone = self.store.document(0, Kind::Setting, &gone_name(id)).await?;
        let held = self.store.holdings().await?.into_iter().find(|(other, _)| *other == id);
        let (parked, bytes) = crate::replay::parked_by_replays(self, id).await?;
        let mut holdings = held.map(|(_, holdings)| holdings).unwrap_or_default();
        holdings.parked = holdings.parked.saturating_sub(parked);
        holdings.parked_bytes = holdings.parked_bytes.saturating_sub(bytes);
        let remembered = Remembered {
            rows: of_it.map(|row| (row.partition, row)).collect(),
            holdings,
            is_gone: gone.is_some(),
        };
        Ok((remembered, is_written))
    }

    /// Lanes that could not be started.
    pub(crate) fn unstarted(&self) -> std::sync::MutexGuard<'_, BTreeMap<SubscriptionId, Unstarted>> {
        self.unstarted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn row(subscription: SubscriptionId, place: &Place) -> LaneRow {
    let partition: Partition = stored(place.partition);
    LaneRow {
        subscription,
        partition,
        position: place.position,
        floor: place.floor,
        follows_tail: false,
    }
}

fn owner(model: &Model, id: SubscriptionId) -> Option<(&Arc<Bus>, &Arc<Subscription>)> {
    let of_bus = |bus| {
        let bus: &Arc<Bus> = bus;
        let subscription = bus.subscriptions.values().find(|subscription| subscription.id == id)?;
        Some((bus, subscription))
    };
    model.buses.values().find_map(of_bus)
}
