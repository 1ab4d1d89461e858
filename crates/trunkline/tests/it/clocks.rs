//! Check 15: the machine's wall clock falls back two hours, leaps ahead ten years or stands still while the server runs.
//! `libfaketime` turns the wall clock alone; what the kernel counts since the boot goes on, as it does on such a machine.

use crate::support::{
    eventually, left_out,
    receiver::{Receiver, Reply},
    server::Server,
};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant, SystemTime},
};

const LIMIT: Duration = Duration::from_secs(60);
/// A wait that stays in memory, and one whose half is above the ten seconds from which waits are parked.
const BACKOFFS: [(&str, u64); 2] = [("memory", 3), ("parked", 21)];
/// What receivers of signed webhooks tolerate.
const TOLERANCE: u64 = 300;

/// The library, where Debian's package puts it on any architecture.
fn library() -> Option<PathBuf> {
    let architectures = std::fs::read_dir("/usr/lib").ok()?.flatten();
    let mut places = architectures.map(|entry| entry.path().join("faketime/libfaketime.so.1"));
    places.find(|place| place.exists())
}

fn start(directory: &Path, library: &Path) -> Server {
    set_clock(directory, "+0");
    let (library, file) = (
        library.display().to_string(),
        clock_file(directory).display().to_string(),
    );
    let environment = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", file.as_str()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    Server::start_with(&directory.join("data"), &["--listen", "127.0.0.1:0"], &environment)
}

fn clock_file(directory: &Path) -> PathBuf {
    directory.join("clock")
}

/// At once, so that no reading meets an empty file.
fn set_clock(directory: &Path, clock: &str) {
    let new = directory.join("clock.new");
    std::fs::write(&new, clock).expect("it is written");
    std::fs::rename(new, clock_file(directory)).expect("it is replaced");
}

async fn subscribe(server: &Server, name: &str, backoff: u64, receiver: &Receiver) {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let signing = json!({"style": "standard-webhooks", "secrets": [secret]});
    let config = json!({"url": receiver.url("/"), "signing": signing});
    let connection = json!({"provider": "webhook", "config": config});
    server
        .put(&format!("/v1/buses/default/connections/{name}"), connection)
        .await;
    let retry = json!({"schedule": ["0s", format!("{backoff}s")], "age": "1h"});
    let subscription = json!({"connection": name, "delivery": {"retry": retry}});
    server
        .put(&format!("/v1/buses/default/subscriptions/{name}"), subscription)
        .await;
}

/// Refuses each event once, then takes it.
async fn refusing_once() -> Receiver {
    let mut seen = std::collections::HashSet::new();
    Receiver::start(
        move |delivery| match seen.insert(delivery.header("ce-id").to_string()) {
            true => Reply::Status(503),
            false => Reply::Status(204),
        },
    )
    .await
}

/// Append times of these events, as the server tells them.
async fn received(server: &Server, ids: &[&str]) -> Vec<String> {
    let mut times = Vec::new();
    for id in ids {
        let told = server.get(&format!("/v1/buses/default/events/{id}")).await;
        times.push(told["received"].as_str().expect("a time").to_string());
    }
    times
}

fn milliseconds(time: &str) -> i64 {
    time.parse::<jiff::Timestamp>().expect("a time").as_millisecond()
}

/// Two attempts of this event arrived: not before their wait, and not after twice the wait.
fn assert_waited(receiver: &Receiver, id: &str, backoff: u64) {
    let all = receiver.deliveries();
    let at: Vec<Instant> = all
        .iter()
        .filter(|one| one.header("ce-id") == id)
        .map(|one| one.at)
        .collect();
    let [first, second] = at[..] else {
        panic!("{id}: {} attempts", at.len())
    };
    let waited = second - first;
    let backoff = Duration::from_secs(backoff);
    assert!(
        waited > backoff / 2 && waited < backoff * 2,
        "{id} waited {waited:?} of {backoff:?}"
    );
}

/// Seconds by which the newest signature's time is off the true one.
fn signature_is_off(receiver: &Receiver) -> u64 {
    let newest = receiver.deliveries().pop().expect("there are some");
    let told: u64 = newest.header("webhook-timestamp").parse().expect("seconds");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.expect("after 1970").as_secs().abs_diff(told)
}

/// Turns the clock while one retry waits in memory and one is parked, and publishes on. What `/v1/clock` and the diagnostics
/// said meanwhile, and by how much signatures were off.
async fn turned(clock: &str) -> Option<(Value, String, u64)> {
    let Some(library) = library() else {
        left_out("libfaketime is not installed: cargo xtask services");
        return None;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let server = start(directory.path(), &library);
    let mut receivers = Vec::new();
    for (name, backoff) in BACKOFFS {
        let receiver = refusing_once().await;
        subscribe(&server, name, backoff, &receiver).await;
        receivers.push((receiver, backoff));
    }
    server.publish("a.type", "before", json!({})).await;
    for (receiver, _) in &receivers {
        receiver.saw(1).await;
    }
    eventually("one is parked", LIMIT, async || {
        (server.status("parked").await["parked"] == 1).then_some(())
    })
    .await;

    set_clock(directory.path(), clock);
    server.publish("a.type", "turned", json!({})).await;
    let shown = server.get("/v1/clock").await;
    for (receiver, backoff) in &receivers {
        receiver.took(2).await;
        assert_waited(receiver, "before", *backoff);
        assert_waited(receiver, "turned", *backoff);
    }
    let off = signature_is_off(&receivers[0].0);
    set_clock(directory.path(), "+0");
    server.publish("a.type", "after", json!({})).await;
    for (receiver, _) in &receivers {
        receiver.took(3).await;
    }

    let times = received(&server, &["before", "turned", "after"]).await;
    assert!(times.is_sorted(), "{times:?}");
    // Nothing that counts in append time, such as retention, met the jump.
    let lasted = milliseconds(&times[2]) - milliseconds(&times[0]);
    assert!((0..600_000).contains(&lasted), "{times:?}");
    for (name, _) in BACKOFFS {
        let status = server.status(name).await;
        assert_eq!(
            (&status["dead_letters"], &status["parked"]),
            (&json!(0), &json!(0)),
            "{status}"
        );
    }
    Some((shown, server.log(), off))
}

#[tokio::test]
async fn a_clock_that_falls_back_two_hours_expires_and_delays_nothing_and_is_told_check_15() {
    let Some((shown, log, _)) = turned("-2h").await else {
        return;
    };
    assert!(shown["append_time"].as_str() > shown["wall_time"].as_str(), "{shown}");
    assert!(
        log.contains("the wall clock is far behind"),
        "signatures are off, and nobody is told: {log}"
    );
}

#[tokio::test]
async fn a_clock_that_leaps_ten_years_ahead_expires_and_hastens_nothing_and_raises_the_alarm_check_15() {
    let Some((shown, log, _)) = turned("+10y").await else {
        return;
    };
    assert_eq!(shown["alarm"], true, "{shown}");
    assert!(log.contains("trunkline clock confirm"), "{log}");
}

#[tokio::test]
async fn a_clock_that_stands_still_stops_nothing_check_15() {
    let now = Command::new("date")
        .arg("+%Y-%m-%d %H:%M:%S")
        .output()
        .expect("date runs");
    let frozen = String::from_utf8(now.stdout).expect("text");
    let Some((shown, _, off)) = turned(frozen.trim()).await else {
        return;
    };
    assert_eq!(shown["alarm"], false, "{shown}");
    assert!(off < TOLERANCE, "signatures are off by {off} s");
}
