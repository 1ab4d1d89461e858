//! The handle that doors hold: publish, change, look, pause, redrive. Cheap to clone; the tasks behind it are private.

use crate::{
    Changed, DeadSelection, Error, PublishError, Published, Recent, Skipped, Story, Subject, SubscriptionStatus,
    changes::{Changes, MovedReply, Request},
    dead,
    inbox::{NodeBytes, Unsaved},
    inner::Inner,
    lane_handle::{Command, LaneHandle},
    metrics::Metrics,
    operational,
    router::{Channels, Message, Router},
    start,
    told::not_found,
    watchdog,
};
use arc_swap::ArcSwap;
use control::{Change, Model, audit::Act};
use event::Event;
use journal::{Deduplicate, Health, Journal};
use std::{
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use store::{Operation, Store, SubscriptionId};
use tokio::sync::{Notify, mpsc, oneshot};

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
    pub(crate) inner: Arc<Inner>,
}

impl Core {
    /// Starts the tasks: creates missing journal topics, loads positions, marks and parked rows, starts router and lanes.
    pub async fn start(mut parts: Parts) -> Result<Core, Error> {
        parts.settings.clock = parts.settings.clock.at_least(parts.journal.now());
        let (router, messages) = mpsc::channel(ROUTER_MESSAGES_MAX);
        let (changes, requests) = mpsc::channel(CHANGES_WAITING_MAX);
        // Bounded in fact: a lane has at most one message under way.
        let (room, room_receiver) = mpsc::unbounded_channel();
        let (reporter, reports) = operational::channel(parts.settings.operational_events);
        let inner = Arc::new_cyclic(|itself| Inner {
            itself: itself.clone(),
            journal: parts.journal,
            store: parts.store,
            attempts: Arc::new(parts.attempts),
            model: ArcSwap::from_pointee(parts.model),
            sealer: parts.sealer,
            sealing: crate::sealing::Sealing::default(),
            rules: parts.rules,
            destinations: parts.destinations,
            view: Arc::default(),
            node_bytes: Arc::new(NodeBytes::new(parts.settings.node_bytes)),
            unsaved: Arc::new(Unsaved::default()),
            replaying: Arc::default(),
            replays: crate::replay::Registry::default(),
            redrives: crate::redriving::Registry::default(),
            copies: Arc::default(),
            settings: parts.settings,
            room,
            lanes: RwLock::default(),
            gauges: RwLock::default(),
            router,
            changes,
            closing: AtomicBool::new(false),
            unstarted: Mutex::default(),
            poisoned: Notify::new(),
            reporter,
            live: crate::live::Hubs::default(),
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
        if let Some(reports) = reports {
            let publishing = operational::run(Arc::clone(&inner), reports);
            inner.watch("operational events", tokio::spawn(publishing));
        }
        inner.watch("sealing again", tokio::spawn(crate::sealing::run(Arc::clone(&inner))));
        inner.watch("the watchdog", tokio::spawn(watchdog::run(Arc::clone(&inner))));
        inner.watch("retention", tokio::spawn(crate::retention::run(Arc::clone(&inner))));
        crate::replay::resume_all(&inner);
        crate::redriving::resume_all(&inner);
        Ok(Core { inner })
    }

    /// Publishes events to a bus, all or none; resolves after the sync. The order of the answers is that of the events.
    pub async fn publish(&self, bus: &str, events: Vec<Event>) -> Result<Vec<Published>, PublishError> {
        self.inner.publish(bus, events, Deduplicate::Yes).await
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

    /// Carries out changes of several resources as one: all of them are written, or none. Each is planned on what those before it
    /// leave; every resource is in the list once. What comes or goes in steps (topics, partitions, buses, subscriptions that go) is
    /// refused. Gives the model after them.
    pub async fn change_all(&self, changes: Vec<Change>) -> Result<Arc<Model>, Error> {
        self.ask(|reply| Request::Together(changes, reply)).await
    }

    /// Records something that is no change of a resource in the audit trail; it is durable when this returns.
    pub async fn record(&self, act: &Act) -> Result<(), Error> {
        let operation = act.operation(self.inner.journal.now());
        self.inner.store.apply(act.bus_id, vec![operation]).await?;
        Ok(())
    }

    /// Entries of the audit trail.
    pub async fn audit(&self, query: store::AuditQuery) -> Result<Vec<store::AuditEntry>, Error> {
        Ok(self.inner.store.audit(query).await?)
    }

    /// Walks the chain of the whole audit trail.
    pub async fn verify_audit(
        &self,
        noted: Option<store::AuditEnd>,
    ) -> Result<store::audit::AuditVerified, store::audit::AuditFault> {
        store::audit::verify(&*self.inner.store, noted).await
    }

    /// Saves when a key was last used, beside whatever goes on. If it fails, a later use is saved.
    pub fn save_key_use(&self, key: &str, at: store::Millis) {
        let inner = Arc::clone(&self.inner);
        let operation = control::documents::last_use_operation(key, at);
        tokio::spawn(async move {
            if let Err(error) = inner
                .store
                .apply(control::documents::INSTALLATION, vec![operation])
                .await
            {
                tracing::debug!(%error, "the last use of a key was not saved");
            }
        });
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

    /// An event as it was received; `None` if no such event is kept.
    pub async fn event(&self, bus: &str, id: &str, source: Option<&str>) -> Result<Option<event::Event>, Error> {
        crate::story::event_of(&self.inner, bus, id, source).await
    }

    /// The last events of a bus, the latest first.
    pub async fn recent(&self, bus: &str, wanted: Recent<'_>) -> Result<Vec<Subject>, Error> {
        let model = self.inner.model.load_full();
        Ok(crate::inquiry::recent(&self.inner, model.bus(bus)?, wanted).await)
    }

    /// The event at a position; `None` if there is none.
    pub async fn event_at(
        &self,
        bus: &str,
        topic: &str,
        partition: u32,
        offset: u64,
    ) -> Result<Option<Subject>, Error> {
        let model = self.inner.model.load_full();
        crate::inquiry::at(&self.inner, model.bus(bus)?, topic, partition, offset).await
    }

    /// Opens a live tail of a bus.
    pub async fn live(&self, bus: &str, request: crate::LiveRequest) -> Result<crate::LiveTail, Error> {
        if self.inner.is_closing() {
            return Err(Error::Closing);
        }
        crate::live::open(&self.inner, bus, request).await
    }

    /// How the subscriptions of a bus are doing.
    pub fn status(&self, bus: &str) -> Vec<(String, SubscriptionStatus)> {
        crate::readiness::status(&self.inner, bus)
    }

    /// How one subscription is doing, at the cost of one.
    pub fn status_of(&self, bus: &str, subscription: &str) -> Option<SubscriptionStatus> {
        crate::readiness::status_of(&self.inner, bus, subscription)
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

    /// Waits until [`status_of`](Self::status_of) a subscription shows what was changed of it before.
    pub async fn seen(&self, subscription: SubscriptionId) {
        if let Some(lane) = self.inner.lane(subscription) {
            let (done, seen) = oneshot::channel();
            lane.send(Command::Seen(done));
            // A lane that has ended says nothing, and shows nothing.
            let _ended = seen.await;
        }
    }

    /// Lets a subscription go on from now: what it has not been given yet, or has not settled, is counted, recorded as skipped and
    /// passed over. What is parked is tried on, and dead letters stay. It does not resume it. An act is in the audit trail with it.
    pub async fn skip_to_now(&self, bus: &str, subscription: &str, act: Option<Act>) -> Result<Skipped, Error> {
        if self.inner.is_closing() {
            return Err(Error::Closing);
        }
        crate::skipping::skip_to_now(&self.inner, bus, subscription, act).await
    }

    /// A page of dead letters: at most `limit`, and fewer where they are large ([`dead_page_is_cut`](crate::dead_page_is_cut)). An
    /// empty one is the end.
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

    /// Sends dead letters out again with a new count of attempts, through parked rows; returns how many. The act is in the audit
    /// trail once something has moved, or all of it is done.
    pub async fn redrive(&self, bus: &str, selections: Vec<DeadSelection>, act: &Act) -> Result<u64, Error> {
        self.page_by_page(bus, selections, act, Request::Redrive).await
    }

    /// Puts another event in a dead letter's place; what was received is kept beside it. The audit trail says so. Gives the dead letter as it is then.
    pub async fn edit_dead_letter(&self, edit: dead::Edit) -> Result<store::Dead, Error> {
        let edit = Box::new(edit);
        self.ask(|reply| Request::Edit(edit, reply)).await
    }

    /// Imports dead letters that were exported, all or none, and the act into the audit trail with them; without an act it looks
    /// whether it could.
    pub async fn import_dead_letters(
        &self,
        bus: &str,
        letters: Vec<dead::Exported>,
        act: Option<Act>,
    ) -> Result<dead::Imported, Error> {
        let (bus, act) = (bus.to_owned(), act.map(Box::new));
        self.ask(|reply| Request::Import(bus, letters, act, reply)).await
    }

    /// Discards dead letters for good; returns how many. The same about the act.
    pub async fn discard(&self, bus: &str, selections: Vec<DeadSelection>, act: &Act) -> Result<u64, Error> {
        self.page_by_page(bus, selections, act, Request::Discard).await
    }

    /// One page for each request, so that changes come in between. The act is recorded with the first page that moves something:
    /// what is refused before has done nothing.
    async fn page_by_page(
        &self,
        bus: &str,
        selections: Vec<DeadSelection>,
        act: &Act,
        request: impl Fn(dead::Selected, Option<store::DeliveryKey>, Option<Operation>, MovedReply) -> Request,
    ) -> Result<u64, Error> {
        let mut events = 0;
        for selection in selections {
            let selected = dead::Selected::new(&self.inner, bus, selection)?;
            let mut after = None;
            loop {
                let entry = (events == 0).then(|| act.operation(self.inner.journal.now()));
                let moved = self.ask(|reply| request(selected.clone(), after, entry, reply)).await;
                let moved = moved.map_err(|error| dead::after_some(error, events))?;
                events += moved.events;
                let Some(last) = moved.last else { break };
                after = Some(last);
            }
        }
        if events == 0 {
            self.record(act).await?;
        }
        Ok(events)
    }

    /// Saves now how far deliveries have come, instead of a little later: before a copy of the store is made.
    pub async fn save_positions(&self) {
        let (done, saved) = oneshot::channel();
        if self.inner.tell_router(Message::Save(done)).await.is_ok() {
            // A router that ends saves by itself.
            let _ = saved.await;
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
                operational::remember_poisoning(&self.inner, &reason).await;
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
        crate::copies::abort(&self.inner);
        self.inner.replays.all().iter().for_each(|replay| replay.abort());
        self.inner.redrives.all().iter().for_each(|redrive| redrive.abort());
        self.inner.live.abort();
    }

    /// Stops reading, lets deliveries in flight finish until `deadline`, saves positions, ends the tasks. The journal and the
    /// store are shut down by the wiring afterwards. Idempotent: a second call waits for the first.
    pub async fn shutdown(&self, deadline: Duration) {
        self.inner.closing.store(true, Relaxed);
        let mut ended = self.inner.ended.lock().await;
        if *ended {
            return;
        }
        self.inner.redrives.all().iter().for_each(|redrive| redrive.abort());
        // Each of these may have ended already; then there is nothing to wait for.
        let _ = self.inner.tell_router(Message::Shutdown).await;
        let lanes = self.inner.lanes();
        let lanes = futures_util::future::join_all(lanes.iter().map(|lane| lane.stop(deadline)));
        futures_util::future::join(lanes, self.inner.replays.rest(deadline)).await;
        // Last: the others may have made dead letters until now.
        let copies = self.inner.copies.lanes();
        futures_util::future::join_all(copies.iter().map(|lane| lane.stop(deadline))).await;
        let (done, saved) = oneshot::channel();
        if self.inner.tell_router(Message::SaveAndEnd(done)).await.is_ok() {
            let _ = saved.await;
        }
        let tasks = std::mem::take(&mut *self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for (_, task) in tasks {
            task.abort();
            let _ = task.await;
        }
        self.inner.live.end().await;
        self.inner.attempts.shutdown().await;
        *ended = true;
    }

    pub(crate) async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Request,
    ) -> Result<T, Error> {
        if self.inner.is_closing() {
            return Err(Error::Closing);
        }
        let (reply, answer) = oneshot::channel();
        self.inner.request(request(reply)).await?;
        answer.await.map_err(|_| Error::Closing)?
    }
}
