//! Checks 1, 16, 27 and 32: the server is killed at random moments while several clients publish and faulty receivers take
//! deliveries, and an operator redrives dead letters and skips; a model then counts every event in and out.

use crate::support::{
    Random, eventually,
    receiver::{Delivery, Receiver, Reply},
    server::Server,
    setting,
};
use event::EventView;
use futures_util::{StreamExt, stream};
use journal::{Embedded, Journal, PartitionId, TopicId, embedded::Settings};
use serde_json::json;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::RwLock;

/// Clients that publish at once; each owns its keys, so that the order of a key is the order of its client.
const PUBLISHERS: u64 = 6;
/// Keys of a client.
const KEYS: u64 = 5;
/// Every so many events one is refused by its receiver for good.
const POISON_EVERY: u64 = 97;

/// Stories that are asked for, spread over all events, and how many at once.
const STORIES_MAX: usize = 5_000;
const STORIES_AT_ONCE: usize = 16;
/// The topics of the bus `default` with their partitions, as a fresh store numbers them: its own, and the one of this test.
const EVENTS: (TopicId, u32) = (TopicId { bus: 1, topic: 1 }, 12);
const ORDERS: (TopicId, u32) = (TopicId { bus: 1, topic: 2 }, 4);
/// Bytes of the journal that are read at once.
const CHUNK_BYTES: usize = 4 << 20;

/// Where an acknowledged event stands.
type Place = (String, u64, u64);

/// What the clients know.
#[derive(Default)]
struct Model {
    acknowledged: Mutex<BTreeMap<String, Place>>,
    published: AtomicU64,
    stop: AtomicBool,
    /// Events that the operator was told were redriven, and skipped.
    redriven: AtomicU64,
    skipped: AtomicU64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_loop_nothing_acknowledged_is_lost_and_every_event_is_accounted_for() {
    let crashes = setting("TRUNKLINE_CRASHES", 20);
    let seed = setting("TRUNKLINE_SEED", 1);
    println!("crash loop: {crashes} crashes, seed {seed}");
    let began = Instant::now();
    let directory = tempfile::tempdir().expect("a directory");
    let receivers = Receivers::start(seed).await;
    let server = Arc::new(RwLock::new(Some(Server::start(directory.path()))));
    declare(server.read().await.as_ref().expect("running"), &receivers).await;

    let model = Arc::new(Model::default());
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|number| tokio::spawn(publish(number, server.clone(), model.clone())))
        .collect();
    let operator = tokio::spawn(operate(seed, server.clone(), model.clone()));
    let slowest = crash(crashes, seed, &server, directory.path()).await;
    model.stop.store(true, Ordering::SeqCst);
    for task in publishers.into_iter().chain([operator]) {
        task.await.expect("publishers and the operator end well");
    }
    receivers.heal();

    let server = server.write().await.take().expect("running");
    println!(
        "crash loop: killed {crashes} times, slowest restart {slowest:?}, {:?}",
        began.elapsed()
    );
    let skip = "/v1/buses/default/subscriptions/hurried:resume?from=now";
    assert_eq!(server.send("POST", skip, &[], "").await.status, 200);
    settle(&server).await;
    println!(
        "crash loop: settled, {} redriven, {} skipped, {:?}",
        model.redriven.load(Ordering::Relaxed),
        model.skipped.load(Ordering::Relaxed),
        began.elapsed()
    );
    verify_stories(&server, &model).await;
    let dead = verify_delivered(&server, &model, &receivers).await;
    assert_eq!(server.stop(), Some(0));
    verify_stored(directory.path(), &model).await;
    let acknowledged = model.acknowledged.lock().expect("no holder panics").len();
    println!(
        "crash loop: {acknowledged} acknowledged of {} sent, {} requests received, {dead} dead letters, {:?}",
        model.published.load(Ordering::Relaxed),
        receivers.requests(),
        began.elapsed()
    );
}

/// One receiver per subscription, so that what each saw is told apart.
struct Receivers {
    plain: Recorder,
    ordered: Recorder,
    picky: Recorder,
    /// Of a subscription that is slow, and that an operator lets go on from now.
    hurried: Recorder,
}

impl Receivers {
    async fn start(seed: u64) -> Receivers {
        Receivers {
            plain: Recorder::start(seed, is_poison).await,
            ordered: Recorder::start(seed + 1, |_| false).await,
            picky: Recorder::start(seed + 2, |_| false).await,
            hurried: Recorder::start(seed + 3, |_| false).await,
        }
    }

    /// No more faults, but that poisonous events stay poisonous.
    fn heal(&self) {
        for recorder in [&self.plain, &self.ordered, &self.picky, &self.hurried] {
            recorder.seen().faulty = false;
        }
    }

    /// Requests that arrived, taken or not.
    fn requests(&self) -> u64 {
        let requests =
            [&self.plain, &self.ordered, &self.picky, &self.hurried].map(|recorder| recorder.seen().requests);
        requests.iter().sum()
    }
}

/// A receiver that keeps what the model asks for, and not the millions of requests that hundreds of crashes repeat.
struct Recorder {
    receiver: Receiver,
    seen: Arc<Mutex<Seen>>,
}

/// What a receiver saw.
struct Seen {
    requests: u64,
    /// Whether it still fails for no reason.
    faulty: bool,
    /// Of all that arrived: whether the event is a rare one.
    rare: HashMap<String, bool>,
    taken: HashSet<String>,
    /// The last number that was taken for the first time, by key.
    last: HashMap<String, u64>,
    /// What was taken for the first time after a later one of its key.
    late: Vec<String>,
}

impl Recorder {
    async fn start(seed: u64, refuses: fn(&str) -> bool) -> Recorder {
        let seen = Arc::new(Mutex::new(Seen {
            requests: 0,
            faulty: true,
            rare: HashMap::new(),
            taken: HashSet::new(),
            last: HashMap::new(),
            late: Vec::new(),
        }));
        let mut random = Random(seed);
        let kept = seen.clone();
        let receiver = Receiver::start_forgetful(move |delivery| {
            let mut seen = kept.lock().expect("no holder panics");
            let reply = match delivery.header("ce-id") {
                id if refuses(id) => Reply::Status(422),
                _ if seen.faulty => fault(&mut random),
                _ => Reply::Status(204),
            };
            seen.note(delivery, reply.takes());
            reply
        })
        .await;
        Recorder { receiver, seen }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no holder panics")
    }
}

impl Seen {
    fn note(&mut self, delivery: &Delivery, taken: bool) {
        self.requests += 1;
        let id = delivery.header("ce-id");
        if self.taken.contains(id) || (!taken && self.rare.contains_key(id)) {
            return;
        }
        let data: serde_json::Value = serde_json::from_slice(&delivery.body).expect("JSON");
        self.rare.insert(id.to_string(), data["kind"] == "rare");
        if taken {
            self.taken.insert(id.to_string());
            let key = data["customer"].as_str().expect("a key");
            let before = self.last.insert(key.to_string(), number(id));
            if before.is_some_and(|before| before > number(id)) {
                self.late.push(format!("{key}: {id} came after {before:?}"));
            }
        }
    }
}

/// Faults for a few of a hundred deliveries each.
fn fault(random: &mut Random) -> Reply {
    match random.below(100) {
        0..3 => Reply::Status(500),
        3..4 => Reply::Status(429),
        4..5 => Reply::Reset,
        5..6 => Reply::TakeAndReset,
        6..7 => Reply::Slow(30),
        _ => Reply::Status(200),
    }
}

fn number(id: &str) -> u64 {
    id.rsplit('-')
        .next()
        .and_then(|text| text.parse().ok())
        .expect("our ids end with a number")
}

fn is_poison(id: &str) -> bool {
    number(id).is_multiple_of(POISON_EVERY)
}

async fn declare(server: &Server, receivers: &Receivers) {
    let bus = "/v1/buses/default";
    server
        .put(&format!("{bus}/topics/orders"), json!({"partitions": ORDERS.1}))
        .await;
    let routes = json!({"routes": [{"topic": "orders", "key": "customer"}]});
    server.put(&format!("{bus}/event-types/order.placed"), routes).await;
    let retry = json!({"schedule": ["0s", "20ms", "50ms", "100ms", "200ms", "500ms"], "age": "24h"});
    for (name, recorder, extra) in [
        ("plain", &receivers.plain, json!({})),
        (
            "ordered",
            &receivers.ordered,
            json!({"delivery": {"ordering": "key", "concurrency": 64}}),
        ),
        (
            "picky",
            &receivers.picky,
            json!({"filter": {"eventbridge": {"detail": {"kind": ["rare"]}}}}),
        ),
        ("hurried", &receivers.hurried, json!({"delivery": {"rate": "100/s"}})),
    ] {
        let config = json!({"url": recorder.receiver.url("/"), "signing": {"style": "standard-webhooks", "secrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]}});
        server
            .put(
                &format!("{bus}/connections/{name}"),
                json!({"provider": "webhook", "config": config}),
            )
            .await;
        let mut subscription = json!({"topics": ["orders"], "connection": name, "delivery": {}});
        for (field, value) in extra.as_object().expect("an object") {
            subscription[field] = value.clone();
        }
        subscription["delivery"]["retry"] = retry.clone();
        subscription["delivery"]["timeout"] = json!("2s");
        server.put(&format!("{bus}/subscriptions/{name}"), subscription).await;
    }
}

/// Publishes until told to stop: one event after the other, each until it is acknowledged, under the same id.
async fn publish(publisher: u64, server: Arc<RwLock<Option<Server>>>, model: Arc<Model>) {
    let mut random = Random(publisher);
    for sequence in 0.. {
        if model.stop.load(Ordering::SeqCst) {
            return;
        }
        let id = format!("event-{publisher}-{sequence}");
        let key = format!("customer-{publisher}-{}", random.below(KEYS));
        let kind = if random.percent(10) { "rare" } else { "common" };
        let data =
            json!({"customer": key, "kind": kind, "filler": "x".repeat(random.below(2000) as usize)}).to_string();
        model.published.fetch_add(1, Ordering::Relaxed);
        let place = acknowledged(&server, &id, &data).await;
        model.acknowledged.lock().expect("no holder panics").insert(id, place);
    }
}

/// Sends one event again and again until the server says where it stands.
async fn acknowledged(server: &RwLock<Option<Server>>, id: &str, data: &str) -> Place {
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-type", "order.placed"),
        ("ce-source", "/crash"),
        ("ce-id", id),
        ("content-type", "application/json"),
    ];
    loop {
        let sent = match server.read().await.as_ref() {
            Some(server) => {
                server
                    .try_send("POST", "/v1/buses/default/events", &headers, data.to_string())
                    .await
            }
            None => Err("down".into()),
        };
        match sent {
            Ok(answer) if answer.status < 300 => {
                let body = answer.json();
                let topic = body["topic"].as_str().expect("a topic").to_string();
                return (
                    topic,
                    body["partition"].as_u64().expect("a partition"),
                    body["offset"].as_u64().expect("an offset"),
                );
            }
            Ok(answer) => assert!(answer.status >= 500, "refused: {} {}", answer.status, answer.json()),
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What an operator does meanwhile, one thing after the other, whatever becomes of it: dead letters are sent out again, at once and
/// by a redrive with a name; a subscription that lags goes on from now.
async fn operate(seed: u64, server: Arc<RwLock<Option<Server>>>, model: Arc<Model>) {
    let mut random = Random(seed + 9);
    let of_plain = json!({"subscription": "plain"}).to_string();
    while !model.stop.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(20 + random.below(400))).await;
        let (path, body) = match random.below(3) {
            0 => ("dead-letters:redrive", of_plain.clone()),
            1 => ("redrives", of_plain.clone()),
            _ => ("subscriptions/hurried:resume?from=now", String::new()),
        };
        let headers = [("content-type", "application/json")];
        let answer = match server.read().await.as_ref() {
            Some(server) => {
                server
                    .try_send("POST", &format!("/v1/buses/default/{path}"), &headers, body)
                    .await
            }
            None => continue,
        };
        let Ok(answer) = answer else { continue };
        // 422: as many redrives run as a bus may have.
        let is_expected = answer.status < 300 || answer.status >= 500 || answer.status == 422;
        assert!(is_expected, "{path}: {} {}", answer.status, answer.json());
        let told = answer.json();
        model
            .redriven
            .fetch_add(told["redriven"].as_u64().unwrap_or(0), Ordering::Relaxed);
        let skipped = told["status"]["skipped"]["events"].as_u64().unwrap_or(0);
        model.skipped.fetch_add(skipped, Ordering::Relaxed);
    }
}

/// Kills and restarts; the longest time from start to ready.
async fn crash(crashes: u64, seed: u64, server: &RwLock<Option<Server>>, directory: &Path) -> Duration {
    let mut random = Random(seed);
    let mut slowest = Duration::ZERO;
    for _ in 0..crashes {
        tokio::time::sleep(Duration::from_millis(50 + random.below(1_950))).await;
        // The signal goes while requests are in flight; the lock is only for the exchange.
        server.read().await.as_ref().expect("running").signal("KILL");
        let mut slot = server.write().await;
        slot.take().expect("running").wait();
        let began = Instant::now();
        *slot = Some(Server::start(directory));
        slowest = slowest.max(began.elapsed());
    }
    slowest
}

/// Waits until no subscription has anything pending or parked.
async fn settle(server: &Server) {
    eventually("every subscription settles", Duration::from_secs(180), async || {
        let list = server.get("/v1/buses/default/subscriptions").await;
        let items = list["items"].as_array().expect("items");
        assert_eq!(items.len(), 4);
        let idle = items.iter().all(|item| {
            let status = &item["status"];
            status["lag"]["events"] == 0 && status["parked"] == 0 && status["in_flight"] == 0
        });
        let redrives = server.get("/v1/buses/default/redrives?limit=500").await;
        let redrives = redrives["items"].as_array().expect("items");
        let over = redrives.iter().all(|redrive| redrive["status"]["state"] == "completed");
        (idle && over).then_some(())
    })
    .await;
}

/// The journal itself, read from its files: every acknowledged event is there once, at the place that was acknowledged; no
/// place was given out twice, and no event, acknowledged or not, is there twice.
async fn verify_stored(data_dir: &Path, model: &Model) {
    let acknowledged = model.acknowledged.lock().expect("no holder panics").clone();
    let places: HashSet<&Place> = acknowledged.values().collect();
    assert_eq!(places.len(), acknowledged.len(), "an offset was given out twice");
    let stored = stored(data_dir).await;
    for (id, (topic, partition, offset)) in &acknowledged {
        assert_eq!(topic, "orders");
        assert_eq!(stored.get(id), Some(&(*partition, *offset)), "{id} was lost or moved");
    }
}

/// Partition and offset of every event of the topic.
async fn stored(data_dir: &Path) -> HashMap<String, (u64, u64)> {
    let settings = Settings::new(data_dir.join("journal"), delivery::identify);
    let journal = Embedded::open(settings, &[EVENTS, ORDERS]).expect("it opens");
    let mut stored = HashMap::new();
    for index in 0..ORDERS.1 {
        let partition = PartitionId { topic: ORDERS.0, index };
        let mut next = 0;
        loop {
            let chunk = journal
                .read(partition, next, CHUNK_BYTES)
                .await
                .expect("it is readable");
            let records = chunk.batches.iter().flat_map(journal::records);
            for record in records.filter(|record| record.offset >= next) {
                let event = EventView::from_record(record.headers(), record.value).expect("an event");
                let place = (u64::from(index), record.offset);
                let before = stored.insert(event.id().to_string(), place);
                assert_eq!(before, None, "{} is there twice, also at {place:?}", event.id());
            }
            if chunk.next >= chunk.high_water {
                break;
            }
            next = chunk.next;
        }
    }
    stored
}

/// Stories say the same, as far as there is time to ask for them.
async fn verify_stories(server: &Server, model: &Model) {
    let acknowledged = model.acknowledged.lock().expect("no holder panics").clone();
    let step = acknowledged.len().div_ceil(STORIES_MAX).max(1);
    stream::iter(acknowledged.iter().step_by(step))
        .for_each_concurrent(STORIES_AT_ONCE, async |(id, place)| {
            let story = server.get(&format!("/v1/buses/default/events/{id}")).await;
            let stored = story["stored"].as_array().expect("places");
            assert_eq!(stored.len(), 1, "{id}: {story}");
            let found = (
                stored[0]["topic"].as_str().expect("a topic").to_string(),
                stored[0]["partition"].as_u64().expect("a partition"),
                stored[0]["offset"].as_u64().expect("an offset"),
            );
            assert_eq!(found, *place, "{id} moved");
        })
        .await;
}

/// Every matched event was taken or is a dead letter; per key, first deliveries are in the order of publishing. Gives the
/// number of dead letters.
async fn verify_delivered(server: &Server, model: &Model, receivers: &Receivers) -> usize {
    let acknowledged: Vec<String> = model
        .acknowledged
        .lock()
        .expect("no holder panics")
        .keys()
        .cloned()
        .collect();
    let dead = dead_letters(server).await;
    let taken = receivers.hurried.seen().taken.clone();
    verify_skipped(server, &acknowledged, &taken).await;
    let (plain, ordered, picky) = (receivers.plain.seen(), receivers.ordered.seen(), receivers.picky.seen());
    for id in &acknowledged {
        let poison = is_poison(id);
        assert_eq!(plain.taken.contains(id), !poison, "{id} at `plain`");
        assert_eq!(
            dead.contains(&("plain".to_string(), id.clone())),
            poison,
            "{id} among the dead of `plain`"
        );
        assert!(ordered.taken.contains(id), "{id} never reached `ordered`");
    }
    let rare = plain.rare.iter().filter(|(_, rare)| **rare).map(|(id, _)| id);
    assert_eq!(
        picky.taken.iter().collect::<HashSet<_>>(),
        rare.collect(),
        "`picky` took what it should not, or missed something"
    );
    assert_eq!(ordered.late, Vec::<String>::new(), "out of order");
    dead.len()
}

/// What was not taken where an operator skipped is told as skipped, as far as there is time to ask, and the other way round.
async fn verify_skipped(server: &Server, acknowledged: &[String], taken: &HashSet<String>) {
    let (missing, there): (Vec<_>, Vec<_>) = acknowledged.iter().partition(|id| !taken.contains(*id));
    assert!(!missing.is_empty(), "nothing was skipped");
    for (ids, is_taken) in [(missing, false), (there, true)] {
        let step = ids.len().div_ceil(STORIES_MAX).max(1);
        stream::iter(ids.into_iter().step_by(step))
            .for_each_concurrent(STORIES_AT_ONCE, async |id| {
                let story = server.get(&format!("/v1/buses/default/events/{id}")).await;
                let of_each = story["subscriptions"].as_array().expect("a list");
                let hurried = of_each
                    .iter()
                    .find(|one| one["subscription"] == "hurried")
                    .expect("it matched");
                // What arrived just before it was skipped, or a kill, may be told as either.
                let state = hurried["state"].as_str().expect("a state");
                let is_right = state == "skipped" || (is_taken && state == "delivered");
                assert!(is_right, "{id}, taken: {is_taken}: {hurried}");
            })
            .await;
    }
}

/// (subscription, event id) of every dead letter.
async fn dead_letters(server: &Server) -> HashSet<(String, String)> {
    let mut dead = HashSet::new();
    let mut cursor = String::new();
    loop {
        let page = server
            .get(&format!("/v1/buses/default/dead-letters?limit=500{cursor}"))
            .await;
        for item in page["items"].as_array().expect("items") {
            let text = |name: &str| item[name].as_str().expect("text").to_string();
            assert!(
                dead.insert((text("subscription"), text("event_id"))),
                "a dead letter twice: {item}"
            );
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return dead,
        }
    }
}
