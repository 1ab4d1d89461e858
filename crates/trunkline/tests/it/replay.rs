//! Replays end to end, on the real journal and store, over kills and from the command line. Checks 14, 33 and 34.

use crate::support::{
    eventually,
    receiver::{Delivery, Receiver},
    server::Server,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

const LIMIT: Duration = Duration::from_secs(60);
const REPLAYS: &str = "/v1/buses/default/replays";

async fn publish(server: &Server, ids: std::ops::Range<u32>) {
    let events: Vec<Value> = ids
        .map(|id| {
            json!({"specversion": "1.0", "type": "shop.order", "source": "/shop", "id": id.to_string(),
                "datacontenttype": "application/json", "data": {"n": id, "paid": id % 2 == 0}})
        })
        .collect();
    let headers = [("content-type", "application/cloudevents-batch+json")];
    let body = Value::from(events).to_string();
    let answer = server.send("POST", "/v1/buses/default/events", &headers, body).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
}

async fn start(server: &Server, document: Value) -> Value {
    let headers = [("content-type", "application/json")];
    let answer = server.send("POST", REPLAYS, &headers, document.to_string()).await;
    assert_eq!(answer.status, 201, "{}", answer.json());
    answer.json()
}

async fn ended(server: &Server, name: &str) -> Value {
    let path = format!("{REPLAYS}/{name}");
    eventually("the end of the replay", LIMIT, async || {
        let replay = server.get(&path).await;
        (replay["status"]["state"] != "running").then_some(replay)
    })
    .await
}

/// How often each event was taken, of a replay or of live traffic.
fn taken(deliveries: &[Delivery], replay: &str) -> BTreeMap<u32, u32> {
    let mut taken = BTreeMap::new();
    for delivery in deliveries.iter().filter(|delivery| delivery.taken) {
        if delivery.headers.get("webhook-replay").map_or("", String::as_str) == replay {
            let id = delivery.header("ce-id").parse().expect("our id");
            *taken.entry(id).or_default() += 1;
        }
    }
    taken
}

/// Check 33: exactly the matching events of the range, marked and rate-limited, whatever is killed in between; live traffic goes
/// on beside it, and each event's story tells of it.
#[tokio::test]
async fn check_33_a_replay_delivers_exactly_the_matching_events_over_kills() {
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::healthy().await;
    let server = Server::start(directory.path());
    let filter = json!({"eventbridge": {"detail": {"paid": [true]}}});
    server.subscribe("sink", &receiver, json!({"filter": filter})).await;
    publish(&server, 0..100).await;
    receiver.took(50).await;
    publish(&server, 100..400).await;
    let middle = server.get("/v1/buses/default/events/100").await["received"].clone();
    receiver.took(200).await;
    let asked = json!({"name": "again", "from": {"time": middle}, "filter": {"cesql": "INT(id) < 350"},
        "into": {"subscription": "sink"}, "rate": "100/s"});
    let began = std::time::Instant::now();
    start(&server, asked).await;
    let mut server = server;
    for round in 0..3_u32 {
        let before = taken(&receiver.deliveries(), "again").len();
        eventually("some of it", LIMIT, async || {
            let now = taken(&receiver.deliveries(), "again").len();
            (now >= (before + 15).min(125)).then_some(())
        })
        .await;
        server.kill();
        server = Server::start(directory.path());
        publish(&server, 1_000 + round * 10..1_010 + round * 10).await;
    }
    let replay = ended(&server, "again").await;
    assert_eq!(replay["status"]["state"], json!("completed"), "{replay}");
    let deliveries = receiver.deliveries();
    let again = taken(&deliveries, "again");
    let expected: Vec<u32> = (100..350).filter(|id| id % 2 == 0).collect();
    assert_eq!(
        again.keys().copied().collect::<Vec<_>>(),
        expected,
        "exactly the matching events"
    );
    assert!(
        again.values().all(|count| *count <= 4),
        "a kill costs one repetition: {again:?}"
    );
    assert!(
        began.elapsed() >= Duration::from_millis(200),
        "125 events at 100/s after a burst of 100"
    );
    eventually("live traffic", LIMIT, async || {
        let live = taken(&receiver.deliveries(), "");
        (live.len() == 215).then_some(())
    })
    .await;
    let ids = |id: &str| -> Vec<String> {
        let of_it = deliveries.iter().filter(|delivery| delivery.header("ce-id") == id);
        of_it.map(|delivery| delivery.header("webhook-id").to_owned()).collect()
    };
    assert!(
        ids("100").windows(2).all(|pair| pair[0] == pair[1]),
        "a replay keeps the webhook-id"
    );
    let story = server.get("/v1/buses/default/events/100").await;
    assert_eq!(story["replays"][0]["replay"], json!("again"), "{story}");
    assert_eq!(story["replays"][0]["state"], json!("delivered"));
}

/// Check 33, from the command line: counted first, held, cancelled.
#[tokio::test(flavor = "multi_thread")]
async fn check_33_a_replay_is_previewed_held_and_cancelled_from_the_command_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::healthy().await;
    let server = Server::start(directory.path());
    server.subscribe("sink", &receiver, json!({})).await;
    publish(&server, 0..30).await;
    receiver.took(30).await;
    let into = ["--from", "earliest", "--into-subscription", "sink"];
    let run = |arguments: &[&str]| server.run(&[&["replay"], arguments].concat());
    let preview = run(&[
        &["start", "--dry-run", "--filter", r#"{"cesql": "INT(id) < 7"}"#],
        &into[..],
    ]
    .concat());
    assert!(preview.contains("7 events of 30 records"), "{preview}");
    let ended = run(&[&["start", "quick", "--rate", "none", "--wait"], &into[..]].concat());
    assert!(
        ended.contains("quick: completed; 30 delivered, 0 dead letters"),
        "{ended}"
    );
    run(&[&["start", "slow", "--rate", "1/m"], &into[..]].concat());
    assert!(run(&["pause", "slow"]).contains("slow: paused"));
    assert!(run(&["list"]).contains("slow"));
    assert!(run(&["resume", "slow"]).contains("slow: running"));
    assert!(run(&["cancel", "slow"]).contains("slow: cancelled"));
    let before = taken(&receiver.deliveries(), "slow").len();
    assert!(before <= 1, "one a minute");
    assert!(run(&["delete", "slow"]).contains("deleted"));
    let missing = server.command(&["replay", "show", "slow"]);
    assert_eq!(
        missing.status.code(),
        Some(5),
        "{}",
        String::from_utf8_lossy(&missing.stderr)
    );
    let story = server.run(&["event", "3"]);
    assert!(story.contains("replay quick"), "{story}");
}

/// A new subscription begins where it is told: at a time, or at offsets.
#[tokio::test]
async fn a_subscription_starts_at_a_time_or_at_offsets() {
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::healthy().await;
    let server = Server::start(directory.path());
    server
        .put("/v1/buses/default/topics/orders", json!({"partitions": 1}))
        .await;
    let routes = json!({"routes": [{"topic": "orders"}]});
    server.put("/v1/buses/default/event-types/shop.order", routes).await;
    publish(&server, 0..10).await;
    publish(&server, 10..20).await;
    let middle = server.get("/v1/buses/default/events/10").await["received"].clone();
    let start = json!({"time": middle});
    server
        .subscribe("later", &receiver, json!({"start": start, "topics": ["orders"]}))
        .await;
    receiver.took(10).await;
    let first: Vec<u32> = taken(&receiver.deliveries(), "").into_keys().collect();
    assert_eq!(first, (10..20).collect::<Vec<_>>());
    let start = json!({"offsets": {"orders": {"0": 17}}});
    server
        .subscribe("last", &receiver, json!({"start": start, "topics": ["orders"]}))
        .await;
    receiver.took(13).await;
    let shown = server.get("/v1/buses/default/subscriptions/last").await;
    assert_eq!(shown["start"], start, "{shown}");
    for (start, pointer) in [
        (json!({"time": "2199-01-01T00:00:00Z"}), "/start/time"),
        (json!({"offsets": {"orders": {"5": 0}}}), "/start/offsets/orders/5"),
        (json!({"offsets": {"events": {"0": 0}}}), "/start/offsets/events"),
    ] {
        let body = json!({"connection": "last", "topics": ["orders"], "start": start}).to_string();
        let headers = [("content-type", "application/json")];
        let path = "/v1/buses/default/subscriptions/wrong";
        let answer = server.send("PUT", path, &headers, body).await;
        assert_eq!(
            (answer.status, &answer.json()["pointer"]),
            (422, &json!(pointer)),
            "{}",
            answer.json()
        );
    }
}

/// Check 34: a subscription gets no event that was acknowledged before its creation began, every event whose publishing began
/// after its creation was answered, and nothing later than 5 s after its deletion; all while others publish.
#[tokio::test(flavor = "multi_thread")]
async fn check_34_a_subscription_sees_what_is_published_while_it_is_there() {
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::healthy().await;
    let server = std::sync::Arc::new(Server::start(directory.path()));
    let connection = json!({"provider": "webhook", "config": {"url": receiver.url("/")}});
    server.put("/v1/buses/default/connections/sink", connection).await;
    let acknowledged = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let stopped = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let publishing = {
        let (server, acknowledged, stopped) = (server.clone(), acknowledged.clone(), stopped.clone());
        tokio::spawn(async move {
            let mut next = 0;
            while !stopped.load(std::sync::atomic::Ordering::SeqCst) {
                publish(&server, next..next + 5).await;
                next += 5;
                acknowledged.store(next, std::sync::atomic::Ordering::SeqCst);
            }
        })
    };
    let now = || acknowledged.load(std::sync::atomic::Ordering::SeqCst);
    let reach = async |count: u32| eventually("publishing", LIMIT, async || (now() >= count).then_some(())).await;
    for round in 0..5 {
        reach(now() + 50).await;
        let before = now();
        let path = format!("/v1/buses/default/subscriptions/rule{round}");
        receiver.decide(|_| crate::support::receiver::Reply::Status(204));
        let seen_before = receiver.deliveries().len();
        server.put(&path, json!({"connection": "sink"})).await;
        // The request that was under way when the creation was answered may belong to it or not.
        let after = now() + 5;
        reach(after + 100).await;
        let until = now();
        let arrived = || -> std::collections::BTreeSet<u32> {
            let deliveries = receiver.deliveries();
            let since = deliveries[seen_before..].iter();
            since
                .map(|delivery| delivery.header("ce-id").parse().expect("our id"))
                .collect()
        };
        eventually("what was published since", LIMIT, async || {
            let arrived = arrived();
            (after..until).all(|id| arrived.contains(&id)).then_some(())
        })
        .await;
        let first = arrived().first().copied();
        assert!(
            first >= Some(before),
            "event {first:?} was acknowledged before the creation, at {before}"
        );
        let answer = server.send("DELETE", &path, &[], "").await;
        assert_eq!(answer.status, 204, "{}", answer.json());
        let deleted = std::time::Instant::now();
        reach(now() + 100).await;
        let late = receiver.deliveries().into_iter().map(|delivery| delivery.at).max();
        assert!(late.is_none_or(|at| at < deleted + Duration::from_secs(5)));
        let count = receiver.deliveries().len();
        reach(now() + 100).await;
        assert_eq!(
            receiver.deliveries().len(),
            count,
            "nothing comes after the deletion was answered"
        );
    }
    stopped.store(true, std::sync::atomic::Ordering::SeqCst);
    publishing.await.expect("it only publishes");
}
