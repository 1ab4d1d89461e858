//! What an operator sees: figures, readiness, diagnostics. Checks 61 and 62, as far as the diagnostics go.

use crate::support::{
    eventually,
    receiver::{Receiver, Reply},
    server::{BINARY, Server},
};
use serde_json::json;
use std::{process::Command, time::Duration};

const LIMIT: Duration = Duration::from_secs(60);

/// The value of the series that begins with this; panics if there is none.
fn figure(metrics: &str, series: &str) -> f64 {
    metrics
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
        .unwrap_or_else(|| panic!("no {series} in\n{metrics}"))
        .parse()
        .expect("a number")
}

async fn metrics(server: &Server) -> String {
    let answer = server.send("GET", "/metrics", &[], "").await;
    assert_eq!(answer.status, 200);
    String::from_utf8(answer.bytes.to_vec()).expect("text")
}

#[tokio::test]
async fn every_figure_is_there_and_right_after_a_known_run() {
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start({
        let mut failed = false;
        move |delivery| match delivery.header("ce-id") {
            "flaky" if !std::mem::replace(&mut failed, true) => Reply::Status(503),
            "refused" => Reply::Status(422),
            "parked" => Reply::RetryAfter(429, 60),
            _ => Reply::Status(204),
        }
    })
    .await;
    // The dead letter would be told as one more event, some time.
    let quiet = [("TRUNKLINE_OPERATIONAL_EVENTS", "false")];
    let server = Server::start_with(directory.path(), &["--listen", "127.0.0.1:0"], &quiet);
    let policy = json!({"types": ["wanted"], "delivery": {"retry": {"schedule": ["0s", "10ms"]}}});
    server.subscribe("sink", &receiver, policy).await;
    server.subscribe("held", &receiver, json!({"types": ["wanted"]})).await;
    server.run(&["subscription", "pause", "held"]);
    for id in ["1", "2", "3", "3", "flaky", "refused", "parked"] {
        server.publish("wanted", id, json!({})).await;
    }
    server.publish("unwanted", "other", json!({})).await;
    eventually("everything is settled", LIMIT, async || {
        let status = server.status("sink").await;
        (status["since_start"]["delivered"] == 4 && status["parked"] == 1 && status["dead_letters"] == 1).then_some(())
    })
    .await;

    // The router passes what nobody wants a moment after the rest is settled.
    let at_rest = |metrics: &String| {
        let resting = ["lag_events", "queued_events", "in_flight_deliveries"];
        resting.iter().all(|name| {
            figure(
                metrics,
                &format!("trunkline_{name}{{bus=\"default\",subscription=\"sink\"}}"),
            ) == 0.0
        })
    };
    let metrics = eventually("the subscription is at rest", LIMIT, async || {
        Some(metrics(&server).await).filter(at_rest)
    })
    .await;
    let of = |name: &str, subscription: &str| {
        figure(
            &metrics,
            &format!("trunkline_{name}{{bus=\"default\",subscription=\"{subscription}\"}}"),
        )
    };
    for (name, value) in [
        ("matched_events_total", 6.0),
        ("delivered_events_total", 4.0),
        ("failed_attempts_total", 3.0),
        ("retried_attempts_total", 1.0),
        ("parked_events_total", 1.0),
        ("dead_lettered_events_total", 1.0),
        ("parked_deliveries", 1.0),
        ("dead_letters", 1.0),
        ("lag_events", 0.0),
        ("lag_seconds", 0.0),
        ("queued_events", 0.0),
        ("in_flight_deliveries", 0.0),
    ] {
        assert_eq!(of(name, "sink"), value, "{name}");
    }
    assert_eq!(of("lag_events", "held"), 7.0);
    assert!((0.0..60.0).contains(&of("lag_seconds", "held")) && of("lag_seconds", "held") > 0.0);
    for (series, value) in [
        ("trunkline_published_events_total{bus=\"default\"}", 8.0),
        ("trunkline_duplicate_events_total{bus=\"default\"}", 1.0),
        ("trunkline_intake_requests{bus=\"default\"}", 0.0),
        ("trunkline_journal_records_total", 7.0),
        ("trunkline_journal_queued_requests", 0.0),
        ("trunkline_journal_sync_seconds_count", 7.0),
        ("trunkline_journal_sync_seconds_bucket{le=\"+Inf\"}", 7.0),
        ("trunkline_ready", 1.0),
    ] {
        assert_eq!(figure(&metrics, series), value, "{series}");
    }
    assert!(figure(&metrics, "trunkline_journal_sync_seconds_sum") > 0.0);
}

#[tokio::test]
async fn a_failing_endpoint_never_fails_readiness() {
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start(|_| Reply::Status(500)).await;
    let server = Server::start(directory.path());
    let retry = json!({"delivery": {"retry": {"schedule": ["0s", "10ms"]}}});
    server.subscribe("sink", &receiver, retry).await;
    for number in 0..50 {
        server.publish("a.type", &number.to_string(), json!({})).await;
    }
    eventually("the breaker opens", LIMIT, async || {
        (server.status("sink").await["state"] == "backing-off").then_some(())
    })
    .await;
    assert_eq!(server.send("GET", "/readyz", &[], "").await.status, 200);
}

const PAYLOAD: &str = "canary-payload-9d1f";
const PASSWORD: &str = "canary-password-77ab";
const SIGNING: &str = "whsec_Y2FuYXJ5c2lnbmluZ3NlY3JldGtleTEyMzQ1Ng==";

/// Everything goes wrong that may be worth a line: refusals, failures, dead letters, a wrong key.
#[tokio::test]
async fn diagnostics_at_their_loudest_hold_no_payload_no_secret_and_no_forged_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let made = Command::new(BINARY)
        .args(["key", "create", "--data-dir"])
        .arg(directory.path())
        .args(["--scope", "administer", "--scope", "publish", "--output", "json"])
        .output()
        .expect("the binary runs");
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).expect("JSON");
    let token = made["token"].as_str().expect("a token");
    let receiver = Receiver::start(|delivery| match delivery.header("ce-id") {
        "refused" => Reply::Status(422),
        "reset" => Reply::Reset,
        _ => Reply::Status(204),
    })
    .await;
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--log-level",
        "trace",
        "--allow-network",
        "127.0.0.0/8",
    ];
    let server = Server::start_with(directory.path(), &arguments, &[]).with_key(token);
    let config = json!({
        "url": receiver.url("/"),
        "auth": {"type": "basic", "username": "someone", "password": PASSWORD},
        "signing": {"style": "standard-webhooks", "secrets": [SIGNING]},
    });
    let bus = "/v1/buses/default";
    let connection = json!({"provider": "webhook", "config": config});
    let shown = server
        .put(&format!("{bus}/connections/sink"), connection)
        .await
        .to_string();
    let retry = json!({"connection": "sink", "delivery": {"retry": {"schedule": ["0s", "10ms"], "attempts": 2}}});
    server.put(&format!("{bus}/subscriptions/sink"), retry).await;
    for id in ["fine", "refused", "reset"] {
        server.publish("a.type", id, json!({"secret": PAYLOAD})).await;
    }
    eventually("two dead letters", LIMIT, async || {
        (server.status("sink").await["dead_letters"] == 2).then_some(())
    })
    .await;
    hostile_requests(&server).await;
    let metrics = metrics(&server).await;
    server.signal("TERM");
    eventually("it has said everything", LIMIT, async || {
        server.try_send("GET", "/healthz", &[], "").await.is_err().then_some(())
    })
    .await;

    let log = server.log();
    assert!(log.contains("TRACE"), "no trace lines:\n{log}");
    let secret = token.rsplit(['.', '_']).next().expect("a secret");
    let basic = "c29tZW9uZTpjYW5hcnktcGFzc3dvcmQtNzdhYg";
    for canary in [PAYLOAD, PASSWORD, SIGNING, &SIGNING[6..], secret, basic] {
        for (name, text) in [("diagnostics", &log), ("metrics", &metrics), ("the API", &shown)] {
            assert!(!text.contains(canary), "{canary} is in the {name}");
        }
    }
    assert!(!log.contains('\u{1b}'), "a raw escape character");
    let forged: Vec<_> = log.lines().filter(|line| line.starts_with("FORGED")).collect();
    assert_eq!(forged, Vec::<&str>::new());
}

/// Requests whose names and ids would forge lines or drive a terminal.
async fn hostile_requests(server: &Server) {
    let bus = "/v1/buses/default";
    let hostile = "x%0AFORGED%1B%5B31m";
    for path in ["events", "topics", "subscriptions", "dead-letters"] {
        let answer = server.send("GET", &format!("{bus}/{path}/{hostile}"), &[], "").await;
        assert!((400..500).contains(&answer.status), "{path}: {}", answer.status);
    }
    let event = json!({"specversion": "1.0", "id": "x\nFORGED\u{1b}[31m", "source": "/\nFORGED", "type": "t\nFORGED", "data": PAYLOAD});
    let headers = [("content-type", "application/cloudevents+json")];
    server
        .send("POST", &format!("{bus}/events"), &headers, event.to_string())
        .await;
    let broken = format!("{{\"specversion\": \"1.0\", \"data\": \"{PAYLOAD}");
    let answer = server.send("POST", &format!("{bus}/events"), &headers, broken).await;
    assert_eq!(answer.status, 400);
    let wrong = [("authorization", "Bearer tlk_canary.x")];
    server
        .send(
            "PUT",
            &format!("{bus}/topics/x"),
            &wrong,
            "{\"partitions\": \"\\nFORGED\"}",
        )
        .await;
}
