//! Checks 31 and 65: what a stuck or greedy neighbour costs the others, in times. Rounds alone and rounds beside the stuck ones take turns
//! in one run, so that the machine's moods hit both. Run by `cargo xtask prove`.

use crate::support::{
    eventually, percentile,
    process::resident_bytes,
    receiver::{Receiver, Reply},
    server::Server,
    setting,
};
use serde_json::json;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Of each kind.
const ROUNDS: usize = 4;
/// What the others' 99th percentile may grow to.
const RATIO_MAX: f64 = 2.0;
/// Events a second that the greedy bus may publish.
const GREEDY_QUOTA: u32 = 50;
const RESIDENT_MAX: u64 = 400 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement of a release build: cargo xtask prove neighbours"]
async fn neighbours_that_are_silent_or_endless_leave_the_healthy_one_its_pace() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Arc::new(Server::start(directory.path()));
    let clock = Clock::default();
    let healthy = clock.receiver().await;
    let silent = Receiver::start_apart(|_| Reply::Silence).await;
    let endless = Receiver::start_apart(|_| Reply::EndlessBody).await;
    server.subscribe("healthy", &healthy, json!({})).await;
    let rate = setting("TRUNKLINE_RATE", 200);
    let mut alone = Vec::new();
    let mut beside = Vec::new();
    for round in 0..ROUNDS {
        alone.extend(clock.round(&server, &format!("alone-{round}"), rate, 1).await);
        server.subscribe("silent", &silent, json!({})).await;
        server.subscribe("endless", &endless, json!({})).await;
        beside.extend(clock.round(&server, &format!("beside-{round}"), rate, 1).await);
        unsubscribe(&server, &["silent", "endless"]).await;
    }
    judge("a silent and an endless neighbour", &mut alone, &mut beside);
    judge_memory(&server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement of a release build: cargo xtask prove neighbours"]
async fn neighbours_of_a_slow_one_among_a_hundred_keep_their_pace() {
    const OTHERS: usize = 99;
    let directory = tempfile::tempdir().expect("a directory");
    let server = Arc::new(Server::start(directory.path()));
    let clock = Clock::default();
    for number in 0..OTHERS {
        let receiver = clock.receiver().await;
        server.subscribe(&format!("other-{number}"), &receiver, json!({})).await;
    }
    let slow = Receiver::start_apart(|_| Reply::Slow(30_000)).await;
    let patient = json!({"delivery": {"timeout": "60s"}});
    let rate = setting("TRUNKLINE_FAN_RATE", 10);
    let mut alone = Vec::new();
    let mut beside = Vec::new();
    for round in 0..ROUNDS {
        alone.extend(clock.round(&server, &format!("alone-{round}"), rate, OTHERS).await);
        server.subscribe("slow", &slow, patient.clone()).await;
        beside.extend(clock.round(&server, &format!("beside-{round}"), rate, OTHERS).await);
        unsubscribe(&server, &["slow"]).await;
    }
    judge("99 beside one of 30 s", &mut alone, &mut beside);
    judge_memory(&server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement of a release build: cargo xtask prove neighbours"]
async fn neighbours_of_a_bus_over_its_quota_keep_their_pace_check_65() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Arc::new(Server::start(directory.path()));
    let quotas = json!({"quotas": {"events": format!("{GREEDY_QUOTA}/s")}});
    server.put("/v1/buses/greedy", quotas).await;
    let clock = Clock::default();
    let healthy = clock.receiver().await;
    server.subscribe("healthy", &healthy, json!({})).await;
    let rate = setting("TRUNKLINE_RATE", 200);
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    let (mut taken, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        alone.extend(clock.round(&server, &format!("alone-{round}"), rate, 1).await);
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let greedy = tokio::spawn(greed(Arc::clone(&server), round, stopped));
        beside.extend(clock.round(&server, &format!("beside-{round}"), rate, 1).await);
        stop.send(()).expect("it is still at it");
        let (more, fewer) = greedy.await.expect("it ends when it is told");
        (taken, refused) = (taken + more, refused + fewer);
    }
    println!("neighbours: the greedy bus: {taken} taken, {refused} refused");
    assert!(taken > 0 && refused > taken, "its quota was never met");
    judge("a bus at its quota", &mut alone, &mut beside);
}

/// Ten times what its bus may publish, until it is told to stop: how many were taken and refused.
async fn greed(server: Arc<Server>, round: usize, mut stop: tokio::sync::oneshot::Receiver<()>) -> (u64, u64) {
    let mut turns = tokio::time::interval(Duration::from_secs(1) / (10 * GREEDY_QUOTA));
    let (mut taken, mut refused) = (0, 0);
    while stop.try_recv().is_err() {
        turns.tick().await;
        let id = format!("{round}-{taken}-{refused}");
        let event = json!({"specversion": "1.0", "id": id, "source": "/greedy", "type": "t", "data": {}});
        let headers = [("content-type", "application/cloudevents+json")];
        let answer = server
            .send("POST", "/v1/buses/greedy/events", &headers, event.to_string())
            .await;
        match answer.status {
            200 => taken += 1,
            429 => refused += 1,
            status => panic!("{status}: {}", answer.json()),
        }
    }
    (taken, refused)
}

async fn unsubscribe(server: &Server, names: &[&str]) {
    for name in names {
        let path = format!("/v1/buses/default/subscriptions/{name}");
        let answer = server.send("DELETE", &path, &[], "").await;
        assert!(answer.status < 300, "{}", answer.json());
    }
}

fn judge(what: &str, alone: &mut [Duration], beside: &mut [Duration]) {
    let figures = |samples: &mut [Duration]| (percentile(samples, 50), percentile(samples, 99));
    let (alone, beside) = (figures(alone), figures(beside));
    let ratio = beside.1.as_secs_f64() / alone.1.as_secs_f64();
    println!(
        "neighbours: {what}: median {:?} alone, {:?} beside; p99 {:?} alone, {:?} beside: {ratio:.2} times",
        alone.0, beside.0, alone.1, beside.1
    );
    assert!(ratio < RATIO_MAX, "p99 is {ratio:.2} times what it is alone");
}

fn judge_memory(server: &Server) {
    let resident = resident_bytes(server.pid());
    println!("neighbours: {} MiB resident at the end", resident >> 20);
    assert!(resident < RESIDENT_MAX, "{resident} bytes resident");
}

/// Times from the beginning of a publish to its receipts.
#[derive(Clone, Default)]
struct Clock {
    begun: Arc<Mutex<HashMap<String, Instant>>>,
    taken: Arc<Mutex<Vec<Duration>>>,
}

impl Clock {
    /// A receiver whose receipts are timed.
    async fn receiver(&self) -> Receiver {
        let clock = self.clone();
        Receiver::start(move |delivery| {
            let begun = clock.begun.lock().expect("no holder panics");
            if let Some(begun) = begun.get(delivery.header("ce-id")) {
                clock.taken.lock().expect("no holder panics").push(begun.elapsed());
            }
            Reply::Status(204)
        })
        .await
    }

    /// Publishes for some seconds at a steady rate, whatever the answers take; the times of all receipts.
    async fn round(&self, server: &Arc<Server>, name: &str, rate: u64, receivers: usize) -> Vec<Duration> {
        let count = rate * setting("TRUNKLINE_ROUND_SECONDS", 5);
        let mut turns = tokio::time::interval(Duration::from_secs(1) / rate as u32);
        let mut publishing = Vec::new();
        for number in 0..count {
            turns.tick().await;
            let id = format!("{name}-{number}");
            let (server, begun) = (server.clone(), self.begun.clone());
            publishing.push(tokio::spawn(async move {
                begun
                    .lock()
                    .expect("no holder panics")
                    .insert(id.clone(), Instant::now());
                server.publish("a.type", &id, json!({"n": number})).await;
            }));
        }
        for publish in publishing {
            publish.await.expect("it was taken");
        }
        let expected = count as usize * receivers;
        eventually("every receipt of the round", Duration::from_secs(30), async || {
            (self.taken.lock().expect("no holder panics").len() >= expected).then_some(())
        })
        .await;
        std::mem::take(&mut *self.taken.lock().expect("no holder panics"))
    }
}
