//! Checks 1, 16, 27 and 32: the server is killed at random moments while several clients publish and faulty receivers take
//! deliveries; a model then counts every event in and out.

use crate::support::{
    Random, eventually,
    receiver::{Delivery, Receiver, Reply},
    server::Server,
    setting,
};
use futures_util::{StreamExt, stream};
use serde_json::json;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, Mutex,
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

/// Stories that are asked for at once.
const STORIES_AT_ONCE: usize = 16;

/// Where an acknowledged event stands.
type Place = (String, u64, u64);

/// What the clients know.
#[derive(Default)]
struct Model {
    acknowledged: Mutex<BTreeMap<String, Place>>,
    published: AtomicU64,
    stop: AtomicBool,
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
    let slowest = crash(crashes, seed, &server, directory.path()).await;
    model.stop.store(true, Ordering::SeqCst);
    for publisher in publishers {
        publisher.await.expect("a publisher ends well");
    }
    receivers.heal();

    let server = server.write().await.take().expect("running");
    println!(
        "crash loop: killed {crashes} times, slowest restart {slowest:?}, {:?}",
        began.elapsed()
    );
    settle(&server).await;
    println!("crash loop: settled, {:?}", began.elapsed());
    verify_stored(&server, &model).await;
    let dead = verify_delivered(&server, &model, &receivers).await;
    let acknowledged = model.acknowledged.lock().expect("no holder panics").len();
    println!(
        "crash loop: {acknowledged} acknowledged of {} sent, {} requests received, {dead} dead letters, {:?}",
        model.published.load(Ordering::Relaxed),
        receivers.count(),
        began.elapsed()
    );
    assert_eq!(server.stop(), Some(0));
}

/// One receiver per subscription, so that what each saw is told apart.
struct Receivers {
    plain: Receiver,
    ordered: Receiver,
    picky: Receiver,
}

impl Receivers {
    async fn start(seed: u64) -> Receivers {
        Receivers {
            plain: Receiver::start(faulty(seed, true)).await,
            ordered: Receiver::start(faulty(seed + 1, false)).await,
            picky: Receiver::start(faulty(seed + 2, false)).await,
        }
    }

    /// No more faults, but that poisonous events stay poisonous.
    fn heal(&self) {
        self.plain.decide(|delivery| {
            if is_poison(delivery) {
                Reply::Status(422)
            } else {
                Reply::Status(204)
            }
        });
        self.ordered.decide(|_| Reply::Status(204));
        self.picky.decide(|_| Reply::Status(204));
    }

    /// Requests that arrived, taken or not.
    fn count(&self) -> usize {
        [&self.plain, &self.ordered, &self.picky]
            .map(Receiver::count)
            .iter()
            .sum()
    }
}

/// Faults for a few of a hundred deliveries each.
fn faulty(seed: u64, poison: bool) -> impl FnMut(&Delivery) -> Reply + Send + 'static {
    let mut random = Random(seed);
    move |delivery| match random.below(100) {
        _ if poison && is_poison(delivery) => Reply::Status(422),
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

fn is_poison(delivery: &Delivery) -> bool {
    number(delivery.header("ce-id")).is_multiple_of(POISON_EVERY)
}

async fn declare(server: &Server, receivers: &Receivers) {
    let bus = "/v1/buses/default";
    server
        .put(&format!("{bus}/topics/orders"), json!({"partitions": 4}))
        .await;
    let routes = json!({"routes": [{"topic": "orders", "key": "customer"}]});
    server.put(&format!("{bus}/event-types/order.placed"), routes).await;
    let retry = json!({"schedule": ["0s", "20ms", "50ms", "100ms", "200ms", "500ms"], "age": "24h"});
    for (name, receiver, extra) in [
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
    ] {
        let config = json!({"url": receiver.url("/"), "signing": {"style": "standard-webhooks", "secrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]}});
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

/// Kills and restarts; the longest time from start to ready.
async fn crash(crashes: u64, seed: u64, server: &RwLock<Option<Server>>, directory: &std::path::Path) -> Duration {
    let mut random = Random(seed);
    let mut slowest = Duration::ZERO;
    for _ in 0..crashes {
        tokio::time::sleep(Duration::from_millis(50 + random.below(950))).await;
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
        assert_eq!(items.len(), 3);
        let idle = items.iter().all(|item| {
            let status = &item["status"];
            status["lag"]["events"] == 0 && status["parked"] == 0 && status["in_flight"] == 0
        });
        idle.then_some(())
    })
    .await;
}

/// Every acknowledged event is there once, at the place that was acknowledged; no place was given out twice.
async fn verify_stored(server: &Server, model: &Model) {
    let acknowledged = model.acknowledged.lock().expect("no holder panics").clone();
    let places: HashSet<&Place> = acknowledged.values().collect();
    assert_eq!(places.len(), acknowledged.len(), "an offset was given out twice");
    stream::iter(&acknowledged)
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
    let taken = |receiver: &Receiver| -> HashSet<String> {
        let deliveries = receiver.deliveries();
        deliveries
            .iter()
            .filter(|delivery| delivery.taken)
            .map(|delivery| delivery.header("ce-id").to_string())
            .collect()
    };
    let (plain, ordered, picky) = (
        taken(&receivers.plain),
        taken(&receivers.ordered),
        taken(&receivers.picky),
    );
    for id in &acknowledged {
        let poison = number(id).is_multiple_of(POISON_EVERY);
        assert_eq!(plain.contains(id), !poison, "{id} at `plain`");
        assert_eq!(
            dead.contains(&("plain".to_string(), id.clone())),
            poison,
            "{id} among the dead of `plain`"
        );
        assert!(ordered.contains(id), "{id} never reached `ordered`");
    }
    let rare: HashSet<String> = receivers
        .plain
        .deliveries()
        .iter()
        .filter(|delivery| is_rare(delivery))
        .map(|delivery| delivery.header("ce-id").to_string())
        .collect();
    assert_eq!(picky, rare, "`picky` took what it should not, or missed something");
    verify_order(&receivers.ordered);
    dead.len()
}

fn is_rare(delivery: &Delivery) -> bool {
    let data: serde_json::Value = serde_json::from_slice(&delivery.body).expect("JSON");
    data["kind"] == "rare"
}

fn verify_order(receiver: &Receiver) {
    let mut last: HashMap<String, u64> = HashMap::new();
    let mut seen = HashSet::new();
    for delivery in receiver.deliveries().iter().filter(|delivery| delivery.taken) {
        let id = delivery.header("ce-id").to_string();
        if !seen.insert(id.clone()) {
            continue;
        }
        let data: serde_json::Value = serde_json::from_slice(&delivery.body).expect("JSON");
        let key = data["customer"].as_str().expect("a key").to_string();
        let before = last.insert(key.clone(), number(&id));
        assert!(
            before.is_none_or(|before| before < number(&id)),
            "{key}: {id} came after {before:?}"
        );
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
