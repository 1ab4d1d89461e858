//! The handle that doors hold: publish, change, look, pause, redrive. Cheap to clone; the tasks behind it are private.

use crate::{
    changes::{Changes, Request},
    dead,
    inbox::NodeBytes,
    intake::{self, Gauge},
    lane_task::LaneHandle,
    metrics::Metrics,
    router::{Channels, Message, Router},
    settings::Settings,
    start,
    view::View,
};
use arc_swap::ArcSwap;
use control::{Change, Model, Refusal};
use event::Event;
use journal::{AppendTime, Health, Journal, Position};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use store::{AttemptHistory, BusId, Millis, Store, SubscriptionId};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::JoinHandle,
};

/// Requests of changes that may wait: they are made one at a time, and doors answer when theirs is done.
const CHANGES_WAITING_MAX: usize = 64;
/// How often the journal's health is looked at while nobody publishes.
const HEALTH_INTERVAL: Duration = Duration::from_secs(5);
/// Messages to the router that may wait; their senders wait for it then.
const ROUTER_MESSAGES_MAX: usize = 64;

/// Everything the core needs; plain data and handles, made by the wiring.
pub struct Parts {
    /// Where events are kept.
    pub journal: Arc<dyn Journal>,
    /// Where documents and delivery state are kept.
    pub store: Arc<dyn Store>,
    /// The history of attempts.
    pub attempts: store::AttemptHistory,
    /// The model as loaded from the store.
    pub model: Model,
    /// Seals and opens secrets.
    pub sealer: control::seal::Sealer,
    /// The operator's rules for resources.
    pub rules: control::Rules,
    /// Makes destinations.
    pub destinations: crate::DestinationFactory,
    /// Bounds and intervals.
    pub settings: crate::Settings,
}

/// The handle.
#[derive(Clone)]
pub struct Core {
    inner: Arc<Inner>,
}

/// What the tasks and the handle share.
pub struct Inner {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) attempts: Arc<AttemptHistory>,
    pub(crate) model: ArcSwap<Model>,
    pub(crate) sealer: control::seal::Sealer,
    pub(crate) rules: control::Rules,
    pub(crate) destinations: crate::DestinationFactory,
    pub(crate) settings: Settings,
    pub(crate) view: Arc<View>,
    pub(crate) node_bytes: Arc<NodeBytes>,
    pub(crate) room: mpsc::UnboundedSender<SubscriptionId>,
    lanes: RwLock<HashMap<SubscriptionId, LaneHandle>>,
    gauges: RwLock<HashMap<BusId, Arc<Gauge>>>,
    router: mpsc::Sender<Message>,
    changes: mpsc::Sender<Request>,
    closing: AtomicBool,
    pub(crate) unstarted: Mutex<BTreeMap<SubscriptionId, crate::changes::Unstarted>>,
    poisoned: Notify,
    tasks: Mutex<Vec<(&'static str, JoinHandle<()>)>>,
    /// Held while the core shuts down; whether it has.
    ended: tokio::sync::Mutex<bool>,
}

impl Inner {
    /// A subscription's lane.
    pub(crate) fn lane(&self, subscription: SubscriptionId) -> Option<LaneHandle> {
        self.lanes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&subscription)
            .cloned()
    }

    pub(crate) fn lanes(&self) -> Vec<LaneHandle> {
        self.lanes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    pub(crate) fn insert_lane(&self, subscription: SubscriptionId, lane: LaneHandle) {
        self.lanes
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(subscription, lane);
    }

    pub(crate) fn remove_lane(&self, subscription: SubscriptionId) {
        self.lanes
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&subscription);
    }

    pub(crate) async fn tell_router(&self, message: Message) -> Result<(), Error> {
        self.router.send(message).await.map_err(|_| Error::Closing)
    }

    pub(crate) async fn request(&self, request: Request) -> Result<(), Error> {
        self.changes.send(request).await.map_err(|_| Error::Closing)
    }

    pub(crate) fn gauge(&self, bus: BusId) -> Arc<Gauge> {
        if let Some(gauge) = self.gauges.read().unwrap_or_else(PoisonError::into_inner).get(&bus) {
            return Arc::clone(gauge);
        }
        Arc::clone(
            self.gauges
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(bus)
                .or_default(),
        )
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Relaxed)
    }

    fn watch(&self, name: &'static str, task: JoinHandle<()>) {
        self.tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((name, task));
    }

    /// A task that is over, although none ends before the core does.
    pub(crate) fn ended_task(&self) -> Option<&'static str> {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.iter().find(|(_, task)| task.is_finished()).map(|(name, _)| *name)
    }
}

/// One event's acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Where its primary record stands (a duplicate: where the first one stands).
    pub position: Position,
    /// When it was appended.
    pub append_time: AppendTime,
    /// Whether it was a duplicate.
    pub duplicate: bool,
}

/// Why events were not taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PublishError {
    /// No such bus.
    #[error("bus {0:?} does not exist")]
    UnknownBus(String),
    /// Entries that break a rule of the bus; none was kept.
    #[error("{} events were refused", .0.len())]
    Rejected(Vec<Rejected>),
    /// The journal's own refusal.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The bus has too much in flight, or the core is shutting down: try again.
    #[error("too busy to take the events now")]
    Busy,
    /// Shutting down.
    #[error("shutting down")]
    Closing,
}

/// One entry that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its index in the request.
    pub index: usize,
    /// Stable code, e.g. `type_unknown`, `type_disabled`.
    pub code: &'static str,
    /// The sentence.
    pub detail: String,
}

/// Why a change or a look failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The request is at fault.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The event id names several events: one of these sources must be given.
    #[error("the id names {} events", .0.len())]
    Ambiguous(Vec<String>),
    /// Shutting down.
    #[error("shutting down")]
    Closing,
}

/// What a change did.
#[derive(Clone, Debug)]
pub struct Changed {
    /// Whether it was created.
    pub created: bool,
    /// Whether anything was written.
    pub written: bool,
    /// The model now.
    pub model: Arc<Model>,
}

/// An event's whole story.
#[derive(Clone, Debug)]
pub struct Story {
    /// The event as it was received.
    pub event: Event,
    /// The names of topics and the positions where it is stored, primary first.
    pub stored: Vec<(String, Position)>,
    /// When it was appended.
    pub append_time: AppendTime,
    /// Every subscription that reads one of these topics.
    pub subscriptions: Vec<SubscriptionStory>,
}

/// What one subscription did with it.
#[derive(Clone, Debug)]
pub struct SubscriptionStory {
    /// Its name.
    pub subscription: String,
    /// The version in force for this event.
    pub version: u64,
    /// Whether it matched; why not, in words, when it did not.
    pub matched: Result<(), String>,
    /// Where the delivery stands.
    pub state: DeliveryState,
    /// Every attempt, oldest first.
    pub attempts: Vec<store::Attempt>,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// The subscription did not match it, or starts after it.
    NotConcerned,
    /// Not tried yet, or waiting in memory.
    Pending,
    /// Waiting in the store for its next attempt.
    Parked {
        /// When.
        due: Millis,
    },
    /// Done.
    Delivered,
    /// A dead letter.
    DeadLettered,
    /// Discarded by a person.
    Discarded,
    /// Given up by retention, or lost to a broken file.
    GivenUp,
}

/// How a subscription is doing.
#[derive(Clone, Debug)]
pub struct SubscriptionStatus {
    /// Its internal number.
    pub id: SubscriptionId,
    /// `running`, `paused`, `paused-gone` (410), `stopped` (a bound is reached), `backing-off` (breaker open), `catching-up`.
    pub state: &'static str,
    /// Why, in words, when it is not running.
    pub reason: Option<String>,
    /// Matched or not, records between its position and the end: an estimate of the lag in events.
    pub lag_events: u64,
    /// Age of the oldest unsettled record in seconds.
    pub lag_seconds: f64,
    /// Deliveries in flight.
    pub in_flight: u64,
    /// Parked deliveries.
    pub parked: u64,
    /// Dead letters.
    pub dead: u64,
    /// Counters since start.
    pub counters: LaneCounters,
}

/// A lane's counters since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneCounters {
    /// Events that matched.
    pub matched: u64,
    /// Deliveries that ended delivered.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Attempts that were not the first.
    pub retried: u64,
    /// Deliveries parked.
    pub parked: u64,
    /// Deliveries dead-lettered.
    pub dead_lettered: u64,
    /// Events given up by retention or damage.
    pub given_up: u64,
}

/// Which dead letters to act on.
#[derive(Clone, Debug, Default)]
pub struct DeadSelection {
    /// Of this subscription; absent: of the whole bus.
    pub subscription: Option<String>,
    /// Of this reason.
    pub reason: Option<String>,
    /// Only this one.
    pub key: Option<store::DeliveryKey>,
    /// Only of this event id.
    pub event_id: Option<String>,
}

/// The refusal that something does not exist.
pub(crate) fn not_found(detail: String) -> Refusal {
    Refusal::not_found(detail)
}

impl Core {
    /// Starts the tasks: creates missing journal topics, loads positions, marks and parked rows, starts router and lanes.
    pub async fn start(mut parts: Parts) -> Result<Core, Error> {
        parts.settings.clock = parts.settings.clock.at_least(parts.journal.now());
        let (router, messages) = mpsc::channel(ROUTER_MESSAGES_MAX);
        let (changes, requests) = mpsc::channel(CHANGES_WAITING_MAX);
        // Bounded in fact: a lane has at most one message under way.
        let (room, room_receiver) = mpsc::unbounded_channel();
        let inner = Arc::new(Inner {
            journal: parts.journal,
            store: parts.store,
            attempts: Arc::new(parts.attempts),
            model: ArcSwap::from_pointee(parts.model),
            sealer: parts.sealer,
            rules: parts.rules,
            destinations: parts.destinations,
            view: Arc::default(),
            node_bytes: Arc::new(NodeBytes::new(parts.settings.node_bytes)),
            settings: parts.settings,
            room,
            lanes: RwLock::default(),
            gauges: RwLock::default(),
            router,
            changes,
            closing: AtomicBool::new(false),
            unstarted: Mutex::default(),
            poisoned: Notify::new(),
            tasks: Mutex::default(),
            ended: tokio::sync::Mutex::new(false),
        });
        let tail = inner.journal.tail();
        let (start, boundaries) = start::start(&inner).await?;
        let channels = Channels {
            messages,
            room: room_receiver,
            tail,
        };
        inner.watch("the router", tokio::spawn(Router::new(start).run(channels)));
        let changes = Changes::new(Arc::clone(&inner), boundaries);
        inner.watch("changes", tokio::spawn(changes.run(requests)));
        inner.watch("retention", tokio::spawn(crate::retention::run(Arc::clone(&inner))));
        Ok(Core { inner })
    }

    /// Publishes events to a bus, all or none; resolves after the sync. The order of the answers is that of the events.
    pub async fn publish(&self, bus: &str, events: Vec<Event>) -> Result<Vec<Published>, PublishError> {
        if self.inner.is_closing() {
            return Err(PublishError::Closing);
        }
        let model = self.inner.model.load();
        let bus = model
            .buses
            .get(bus)
            .ok_or_else(|| PublishError::UnknownBus(bus.to_owned()))?;
        let gauge = self.inner.gauge(bus.id);
        let planned = intake::plan(bus, &events);
        if let Err(PublishError::Rejected(rejected)) = &planned {
            gauge.counters.rejected.fetch_add(rejected.len() as u64, Relaxed);
        }
        let append = planned?;
        drop(model);
        if append.entries.is_empty() {
            return Ok(Vec::new());
        }
        let settings = &self.inner.settings;
        let bytes = intake::bytes_of(&append);
        let ticket = gauge
            .enter(bytes, settings.intake_requests, settings.intake_bytes)
            .ok_or(PublishError::Busy)?;
        let published = intake::append(&*self.inner.journal, append).await;
        drop(ticket);
        if let Err(PublishError::Journal(journal::Error::Poisoned { .. })) = &published {
            self.inner.poisoned.notify_waiters();
        }
        let published = published?;
        let duplicates = published.iter().filter(|published| published.duplicate).count();
        gauge.counters.published.fetch_add(published.len() as u64, Relaxed);
        gauge.counters.duplicates.fetch_add(duplicates as u64, Relaxed);
        Ok(published)
    }

    /// The model now; a swapped snapshot.
    pub fn model(&self) -> Arc<Model> {
        self.inner.model.load_full()
    }

    /// Carries out a change: plans it, adds delivery state, applies all in one transaction, publishes the model. When it
    /// returns, events published afterwards see it.
    pub async fn change(&self, change: Change) -> Result<Changed, Error> {
        self.ask(|reply| Request::Change(change, reply)).await
    }

    /// What a change would do, without doing it.
    pub async fn dry_run(&self, change: Change) -> Result<control::Effect, Error> {
        Ok(self.preview(change)?.0)
    }

    /// What a change would do, and what would differ.
    pub fn preview(&self, change: Change) -> Result<(control::Effect, Vec<control::Difference>), Error> {
        let Inner {
            model,
            rules,
            sealer,
            journal,
            ..
        } = &*self.inner;
        Ok(control::preview(&model.load(), rules, sealer, &change, journal.now())?)
    }

    /// An event's whole story; `None` if no such event is kept.
    pub async fn story(&self, bus: &str, id: &str, source: Option<&str>) -> Result<Option<Story>, Error> {
        crate::story::tell(&self.inner, bus, id, source).await
    }

    /// How the subscriptions of a bus are doing.
    pub fn status(&self, bus: &str) -> Vec<(String, SubscriptionStatus)> {
        crate::readiness::status(&self.inner, bus)
    }

    /// Everything there is to show.
    pub fn metrics(&self) -> Metrics {
        crate::readiness::metrics(&self.inner)
    }

    /// Resumes a subscription that 410 or a bound stopped (a person's pause is `enabled: false` in its document).
    pub async fn resume(&self, bus: &str, subscription: &str) -> Result<(), Error> {
        let model = self.inner.model.load();
        let missing = || not_found(format!("subscription {subscription:?} does not exist"));
        let id = model.bus(bus)?.subscriptions.get(subscription).ok_or_else(missing)?.id;
        self.inner.resume_lane(id);
        Ok(())
    }

    /// A page of dead letters.
    pub async fn dead_letters(
        &self,
        bus: &str,
        selection: DeadSelection,
        after: Option<store::DeliveryKey>,
        limit: usize,
    ) -> Result<Vec<store::Dead>, Error> {
        dead::Selected::new(&self.inner, bus, selection)?
            .page(&self.inner, after, limit)
            .await
    }

    /// Sends dead letters out again with a new count of attempts, through parked rows; returns how many.
    pub async fn redrive(&self, bus: &str, selection: DeadSelection) -> Result<u64, Error> {
        let selected = dead::Selected::new(&self.inner, bus, selection)?;
        self.page_by_page(|after, reply| Request::Redrive(selected.clone(), after, reply))
            .await
    }

    /// Discards dead letters for good; returns how many.
    pub async fn discard(&self, bus: &str, selection: DeadSelection) -> Result<u64, Error> {
        let selected = dead::Selected::new(&self.inner, bus, selection)?;
        self.page_by_page(|after, reply| Request::Discard(selected.clone(), after, reply))
            .await
    }

    /// One page for each request, so that changes come in between.
    async fn page_by_page(
        &self,
        request: impl Fn(Option<store::DeliveryKey>, oneshot::Sender<Result<dead::Moved, Error>>) -> Request,
    ) -> Result<u64, Error> {
        let (mut events, mut after) = (0, None);
        loop {
            let moved = self.ask(|reply| request(after, reply)).await;
            let moved = moved.map_err(|error| dead::after_some(error, events))?;
            events += moved.events;
            let Some(last) = moved.last else { return Ok(events) };
            after = Some(last);
        }
    }

    /// Whether the node should get traffic, and if not, why: poisoned, out of reach of the store, or a router or lane with
    /// due work and a closed breaker that made no progress for 60 s.
    pub fn readiness(&self) -> Result<(), String> {
        crate::readiness::readiness(&self.inner)
    }

    /// Resolves with the reason when the journal is poisoned: the process must drain and end. Pends otherwise.
    pub async fn poisoned(&self) -> String {
        loop {
            let told = self.inner.poisoned.notified();
            if let Health::Poisoned { reason } = self.inner.journal.health() {
                return reason;
            }
            // The first request refused for it tells at once; without requests somebody has to look.
            let _ = tokio::time::timeout(HEALTH_INTERVAL, told).await;
        }
    }

    /// Ends every task at once and saves nothing: the next start finds what a crash would have left. For a shutdown that
    /// overran its time, and for tests of crashes.
    pub fn abort(&self) {
        self.inner.closing.store(true, Relaxed);
        for (_, task) in self
            .inner
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
        {
            task.abort();
        }
        self.inner.lanes().iter().for_each(LaneHandle::abort);
    }

    /// Stops reading, lets deliveries in flight finish until `deadline`, saves positions, ends the tasks. The journal and the
    /// store are shut down by the wiring afterwards. Idempotent: a second call waits for the first.
    pub async fn shutdown(&self, deadline: Duration) {
        self.inner.closing.store(true, Relaxed);
        let mut ended = self.inner.ended.lock().await;
        if *ended {
            return;
        }
        // Each of these may have ended already; then there is nothing to wait for.
        let _ = self.inner.tell_router(Message::Shutdown).await;
        let lanes = self.inner.lanes();
        futures_util::future::join_all(lanes.iter().map(|lane| lane.stop(deadline))).await;
        let (done, saved) = oneshot::channel();
        if self.inner.tell_router(Message::SaveAndEnd(done)).await.is_ok() {
            let _ = saved.await;
        }
        let tasks = std::mem::take(&mut *self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for (_, task) in tasks {
            task.abort();
            let _ = task.await;
        }
        self.inner.attempts.shutdown().await;
        *ended = true;
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Request) -> Result<T, Error> {
        if self.inner.is_closing() {
            return Err(Error::Closing);
        }
        let (reply, answer) = oneshot::channel();
        self.inner.request(request(reply)).await?;
        answer.await.map_err(|_| Error::Closing)?
    }
}
