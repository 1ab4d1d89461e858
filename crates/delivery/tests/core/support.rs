//! A world in memory: journal, store, an endpoint, and the core between them, which may crash and start again.

use crate::faulty::{Faulty, Orders};
use bytes::Bytes;
use control::{
    Action, Change, Model, Precondition, Rules,
    audit::{Act, Actor, Deed},
    resources::ResourceKind,
    seal::{MasterKey, Sealer},
};
use delivery::{
    Attempt, AuditOrder, AuditQuery, BoxFuture, Clock, Core, DeadSelection, Destination, Limits, Outcome, Outcomes,
    Parts, Published, Settings, Verdict,
};
use event::Event;
use journal::{Memory as Journal, MemorySettings, PartitionId, TopicId};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use store::{AttemptHistory, Memory as Store, Store as _};

pub const START: i64 = 1_800_000_000_000;

/// One request that the endpoint got.
#[derive(Clone, Debug)]
pub struct Received {
    pub subscription: String,
    /// The connection that it came by.
    pub connection: String,
    pub id: String,
    /// Its extension attributes.
    pub extensions: BTreeMap<String, String>,
    pub message_id: String,
    pub number: u32,
    /// Its data as the endpoint got it, and what that is.
    pub data: (Bytes, Option<String>),
    /// Which request it was in, and how many there were in that.
    pub request: usize,
    pub together: usize,
    /// The replay that it belongs to.
    pub replay: Option<String>,
    pub at: i64,
    pub verdict: Verdict,
}

/// How the endpoint answers.
#[derive(Clone, Debug)]
pub struct Reply {
    pub delay: Duration,
    pub verdict: Verdict,
}

pub fn ok() -> Reply {
    Reply {
        delay: Duration::from_millis(1),
        verdict: Verdict::Delivered,
    }
}

pub fn fails() -> Reply {
    Reply {
        verdict: Verdict::Retry { after: None },
        ..ok()
    }
}

type Script = Box<dyn FnMut(&Received) -> Reply + Send>;

/// An endpoint for all subscriptions.
#[derive(Clone)]
pub struct Endpoint {
    connection: String,
    received: Arc<Mutex<Vec<Received>>>,
    script: Arc<Mutex<Script>>,
    clock: Clock,
    counted: Arc<AtomicUsize>,
    counts_only: Arc<AtomicBool>,
    requests: Arc<AtomicUsize>,
    /// Whether it says what became of each event, or of the whole request what became of its first one.
    pub says_each: Arc<AtomicBool>,
    /// Events that it takes out of a request at most.
    pub fits: Arc<AtomicUsize>,
}

impl Endpoint {
    /// From now on it delivers at once, and counts from 0.
    pub fn count_only(&self) {
        self.counted.store(0, Relaxed);
        self.counts_only.store(true, Relaxed);
    }

    pub fn counted(&self) -> usize {
        self.counted.load(Relaxed)
    }

    pub fn script(&self, script: impl FnMut(&Received) -> Reply + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// How often each event was delivered, by subscription and id.
    pub fn delivered(&self) -> BTreeMap<(String, String), u32> {
        let mut delivered = BTreeMap::new();
        for received in self
            .received()
            .into_iter()
            .filter(|received| received.verdict == Verdict::Delivered)
        {
            *delivered.entry((received.subscription, received.id)).or_default() += 1;
        }
        delivered
    }

    pub fn delivered_ids(&self, subscription: &str) -> Vec<String> {
        let received = self.received().into_iter();
        let delivered = received.filter(|received| received.verdict == Verdict::Delivered);
        delivered
            .filter(|received| received.subscription == subscription)
            .map(|received| received.id)
            .collect()
    }
}

impl Destination for Endpoint {
    fn limits(&self) -> Limits {
        Limits {
            events: 100,
            bytes: 1 << 20,
        }
    }

    fn attempt<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Outcomes> {
        if self.counts_only.load(Relaxed) {
            self.counted.fetch_add(attempt.members.len(), Relaxed);
            return Box::pin(std::future::ready(Outcomes::all(&attempt, outcome(Verdict::Delivered))));
        }
        let request = self.requests.fetch_add(1, Relaxed);
        let sent = attempt.members.len().min(self.fits.load(Relaxed));
        let mut received: Vec<_> = attempt.members[..sent]
            .iter()
            .map(|member| Received {
                subscription: attempt.subscription.to_owned(),
                connection: self.connection.clone(),
                extensions: extensions(member.event),
                id: member.event.id().to_owned(),
                message_id: member.message_id.to_owned(),
                number: member.number,
                data: (
                    Bytes::copy_from_slice(member.event.data().unwrap_or_default()),
                    member.event.data_content_type().map(str::to_owned),
                ),
                replay: attempt.replay.map(str::to_owned),
                request,
                together: sent,
                at: self.clock.now(),
                verdict: Verdict::Delivered,
            })
            .collect();
        let replies: Vec<_> = received.iter().map(|one| (self.script.lock().unwrap())(one)).collect();
        let says_each = self.says_each.load(Relaxed);
        for (one, reply) in received.iter_mut().zip(&replies) {
            one.verdict = if says_each { reply.verdict } else { whole(&replies) };
        }
        let outcomes = match says_each {
            true => Outcomes::Each(replies.iter().map(|reply| outcome(reply.verdict)).collect()),
            false => Outcomes::Whole {
                sent,
                outcome: outcome(whole(&replies)),
            },
        };
        Box::pin(async move {
            tokio::time::sleep(replies[0].delay).await;
            // The endpoint has done its part when it answers, whether or not anybody hears it.
            self.received.lock().unwrap().extend(received);
            outcomes
        })
    }
}

fn extensions(event: &event::EventView<'_>) -> BTreeMap<String, String> {
    let extensions = event.extensions().iter();
    extensions
        .map(|one| (one.name.to_owned(), one.value.to_owned()))
        .collect()
}

/// Of a request, the first thing that went wrong with any of its events.
fn whole(replies: &[Reply]) -> Verdict {
    let failed = replies.iter().find(|reply| reply.verdict != Verdict::Delivered);
    failed.map_or(Verdict::Delivered, |reply| reply.verdict)
}

fn outcome(verdict: Verdict) -> Outcome {
    let (status, reason) = match verdict {
        Verdict::Delivered => (200, ""),
        Verdict::Refused => (422, "http_422"),
        Verdict::Retry { .. } => (503, "http_503"),
        Verdict::Gone => (410, "http_410"),
    };
    let (reason, detail, answer) = (reason.to_owned(), String::new(), Bytes::new());
    Outcome {
        verdict,
        status: Some(status),
        reason,
        detail,
        answer,
    }
}

pub struct World {
    pub journal: Journal,
    pub store: Store,
    pub endpoint: Endpoint,
    pub clock: Clock,
    pub core: Core,
    /// The core's own handle on the store.
    held: Arc<Faulty>,
    pub settings: Settings,
    /// What the store is told to do wrong.
    pub orders: Arc<Orders>,
    /// While it is set, destinations cannot be made.
    pub unmakeable: Arc<AtomicBool>,
    directory: tempfile::TempDir,
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(tune: impl FnOnce(&mut Settings)) -> Self {
        let clock = Clock::simulated(START);
        let journal = empty_journal(clock);
        let mut settings = Settings {
            clock,
            seed: Some(7),
            ..Settings::default()
        };
        tune(&mut settings);
        let endpoint = Endpoint {
            connection: String::new(),
            received: Arc::default(),
            script: Arc::new(Mutex::new(Box::new(|_| ok()))),
            clock,
            counted: Arc::default(),
            counts_only: Arc::default(),
            requests: Arc::default(),
            says_each: Arc::new(AtomicBool::new(true)),
            fits: Arc::new(AtomicUsize::new(usize::MAX)),
        };
        let store = Store::new();
        let directory = tempfile::tempdir().unwrap();
        let (orders, unmakeable) = (Arc::default(), Arc::default());
        let held = handle(&store, &orders);
        let core = start(Start {
            journal: &journal,
            store: &held,
            endpoint: &endpoint,
            settings: &settings,
            unmakeable: &unmakeable,
            directory: directory.path(),
        })
        .await;
        Self {
            journal,
            store,
            endpoint,
            clock,
            core,
            held,
            settings,
            orders,
            unmakeable,
            directory,
        }
    }

    /// Ends, and starts again on a journal that is empty, with the store as it is.
    pub async fn lose_journal(&mut self) {
        self.core.shutdown(Duration::from_secs(10)).await;
        self.journal = empty_journal(self.clock);
        self.start().await;
    }

    /// Kills the core and starts it again on what was durable.
    pub async fn crash(&mut self) {
        self.core.abort();
        self.journal = self.journal.reopen();
        self.store = self.store.reopen();
        self.start().await;
    }

    /// Ends in good order and starts again.
    pub async fn restart(&mut self) {
        self.core.shutdown(Duration::from_secs(10)).await;
        self.start().await;
    }

    /// The history of attempts as it is, after a restart that writes down all of it.
    pub async fn history(&mut self) -> tempfile::TempDir {
        self.restart().await;
        let kept = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(self.directory.path()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), kept.path().join(file.file_name())).unwrap();
        }
        kept
    }

    /// A crash that loses what the history of attempts got since.
    pub async fn crash_with_history(&mut self, history: tempfile::TempDir) {
        self.core.abort();
        self.directory = history;
        self.crash().await;
    }

    /// A process that is gone writes nothing any more, whereas some tasks of a core that was killed only learn of it when they are
    /// polled again.
    async fn start(&mut self) {
        self.held.shutdown().await.unwrap();
        self.held = handle(&self.store, &self.orders);
        self.core = start(Start {
            journal: &self.journal,
            store: &self.held,
            endpoint: &self.endpoint,
            settings: &self.settings,
            unmakeable: &self.unmakeable,
            directory: self.directory.path(),
        })
        .await;
    }

    /// Sends dead letters out again.
    pub async fn redrive(&self, selection: DeadSelection) -> Result<u64, delivery::Error> {
        let act = self.act(Deed::Redriven);
        self.core.redrive("default", vec![selection], &act).await
    }

    /// Throws dead letters away.
    pub async fn discard(&self, selection: DeadSelection) -> Result<u64, delivery::Error> {
        let act = self.act(Deed::Discarded);
        self.core.discard("default", vec![selection], &act).await
    }

    /// What somebody does, for the audit trail.
    pub fn act(&self, action: Deed) -> Act {
        Act {
            by: somebody(),
            action,
            bus_id: 1,
            bus: "default".to_owned(),
            kind: "dead-letters",
            name: String::new(),
            changes: Vec::new(),
            details: Value::Null,
        }
    }

    /// What the audit trail says of a kind of things, oldest first.
    pub async fn trail_of(&self, kind: &str) -> Vec<Value> {
        let query = AuditQuery {
            bus: None,
            after: 0,
            before: u64::MAX,
            order: AuditOrder::OldestFirst,
            limit: 1_000,
        };
        let entries = self.core.audit(query).await.unwrap().into_iter();
        let said = entries.map(|entry| serde_json::from_slice::<Value>(&entry.body).unwrap());
        said.filter(|entry| entry["kind"] == kind).collect()
    }

    pub async fn put(&self, kind: ResourceKind, name: &str, body: Value) -> delivery::Changed {
        self.change(kind, name, Action::Put(body)).await.unwrap()
    }

    /// Tries it; a failing store changes nothing.
    pub async fn try_put(&self, kind: ResourceKind, name: &str, body: Value) {
        let put = self.change(kind, name, Action::Put(body)).await;
        assert!(matches!(put, Ok(_) | Err(delivery::Error::Store(_))), "{put:?}");
    }

    pub async fn delete(&self, kind: ResourceKind, name: &str) {
        self.change(kind, name, Action::Delete).await.unwrap();
    }

    async fn change(
        &self,
        kind: ResourceKind,
        name: &str,
        action: Action,
    ) -> Result<delivery::Changed, delivery::Error> {
        self.core.change(change(kind, name, action)).await
    }

    /// Puts several resources as one.
    pub async fn put_all(&self, bodies: &[(ResourceKind, &str, Value)]) -> Result<(), delivery::Error> {
        let changes = bodies
            .iter()
            .map(|(kind, name, body)| change(*kind, name, Action::Put(body.clone())));
        self.core.change_all(changes.collect()).await.map(drop)
    }

    /// A subscription to the endpoint; `more` is merged into its document.
    pub async fn subscribe(&self, name: &str, more: Value) {
        self.put(
            ResourceKind::Connection,
            "endpoint",
            json!({"provider": "webhook", "config": {"url": "https://example.com/"}}),
        )
        .await;
        self.put(ResourceKind::Subscription, name, subscription(more)).await;
    }

    pub async fn publish(&self, id: &str) -> Published {
        self.publish_event(event(id, "order", json!({}))).await
    }

    pub async fn publish_event(&self, event: Event) -> Published {
        self.core.publish("default", vec![event]).await.unwrap()[0]
    }

    /// An event's story, told while time stands still: the history of attempts has a real thread, and paused time would run
    /// on for as long as that takes.
    pub async fn story(&self, id: &str) -> Option<delivery::Story> {
        let (done, waited_for) = std::sync::mpsc::channel::<()>();
        // Paused time does not advance by itself while a blocking task runs.
        let holds_time = tokio::task::spawn_blocking(move || waited_for.recv());
        let story = self.core.story("default", id, None).await.unwrap();
        drop(done);
        assert!(holds_time.await.unwrap().is_err(), "nothing is ever sent");
        story
    }

    pub fn status(&self, subscription: &str) -> delivery::SubscriptionStatus {
        let status = self
            .core
            .status("default")
            .into_iter()
            .find(|(name, _)| name == subscription);
        status.unwrap().1
    }

    /// Waits, in paused time, until a condition holds.
    pub async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        for _ in 0..200_000 {
            if condition(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{what} did not happen: {:#?}", self.core.status("default"));
    }

    pub async fn delivered(&self, subscription: &str, count: usize) {
        self.until("delivery", |world| {
            world.endpoint.delivered_ids(subscription).len() >= count
        })
        .await;
    }

    /// Lets everything that is under way come to rest.
    pub async fn settle(&self) {
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
}

pub fn change(kind: ResourceKind, name: &str, action: Action) -> Change {
    Change {
        bus: "default".to_owned(),
        kind,
        name: name.to_owned(),
        action,
        precondition: Precondition::Any,
        by: somebody(),
    }
}

pub fn subscription(more: Value) -> Value {
    let mut body = json!({"connection": "endpoint"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// A topic of one partition, for events of type `order`, by their key.
pub async fn one_partition(world: &World) -> PartitionId {
    world.put(ResourceKind::Topic, "orders", json!({"partitions": 1})).await;
    let routes = json!({"routes": [{"topic": "orders", "key": "key"}]});
    world.put(ResourceKind::EventType, "order", routes).await;
    let model = world.core.model();
    let bus = &model.buses["default"];
    let topic = TopicId {
        bus: bus.id,
        topic: bus.topics["orders"].id,
    };
    PartitionId { topic, index: 0 }
}

/// Who asks.
pub fn somebody() -> Actor {
    Actor::System("a test")
}

pub fn event(id: &str, event_type: &str, data: Value) -> Event {
    Event::builder(id, "/shop", event_type)
        .data(event::Data::json(data.to_string()))
        .build()
        .unwrap()
}

fn empty_journal(clock: Clock) -> Journal {
    Journal::new(MemorySettings {
        now: Arc::new(move || clock.now()),
        identify: Some(delivery::identify),
        ..MemorySettings::default()
    })
}

/// Another handle on a store, which can be shut down by itself.
fn handle(store: &Store, orders: &Arc<Orders>) -> Arc<Faulty> {
    Arc::new(Faulty {
        store: store.reopen(),
        orders: Arc::clone(orders),
    })
}

struct Start<'a> {
    journal: &'a Journal,
    store: &'a Arc<Faulty>,
    endpoint: &'a Endpoint,
    settings: &'a Settings,
    unmakeable: &'a Arc<AtomicBool>,
    directory: &'a std::path::Path,
}

async fn start(start: Start<'_>) -> Core {
    let Start {
        journal,
        store,
        endpoint,
        settings,
        unmakeable,
        directory,
    } = start;
    let sealer = Sealer::from_key(MasterKey::from_bytes(&[7; 32]));
    let model = Model::load(&store.documents().await.unwrap()).unwrap();
    if let Some(operations) = control::bootstrap(&model, &sealer).unwrap() {
        store.apply(0, operations).await.unwrap();
    }
    let model = Model::load(&store.documents().await.unwrap()).unwrap();
    let endpoint = endpoint.clone();
    let unmakeable = Arc::clone(unmakeable);
    Core::start(Parts {
        journal: Arc::new(journal.clone()),
        store: store.clone(),
        attempts: AttemptHistory::open(directory, Default::default()).unwrap(),
        model,
        sealer,
        rules: Rules::default(),
        destinations: Arc::new(move |connection, _| match unmakeable.load(Relaxed) {
            true => Err("it is told so".to_owned()),
            false => Ok(Arc::new(Endpoint {
                connection: connection.name.clone(),
                ..endpoint.clone()
            })),
        }),
        settings: settings.clone(),
    })
    .await
    .unwrap()
}
