//! Azure Event Grid's protocol with Azure's own clients, from bus to bus, and to webhooks that are asked first.

use crate::{
    sdk::installed,
    support::{
        eventually,
        receiver::{Delivery, Receiver, Reply},
        server::{BINARY, Server},
    },
};
use serde_json::{Value, json};
use std::{
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with keys, and one of kind `eventgrid`.
async fn with_key(directory: &Path) -> (Server, String) {
    let made = Command::new(BINARY)
        .args(["key", "generate"])
        .output()
        .expect("it runs");
    let admin = String::from_utf8(made.stdout).expect("text").trim().to_owned();
    let environment = [
        ("TRUNKLINE_ADMIN_KEY", admin.as_str()),
        ("TRUNKLINE_ALLOW_NETWORKS", "127.0.0.0/8"),
    ];
    let server = Server::start_with(directory, &["--listen", "127.0.0.1:0"], &environment).with_key(&admin);
    let spec = json!({"scopes": ["publish"], "signing": "eventgrid"});
    let made = server.put("/v1/keys/grid", spec).await;
    let secret = made["secret"].as_str().expect("it is shown once").to_owned();
    (server, secret)
}

/// Runs a script whose asserts are the test; its last line.
async fn said(mut command: Command) -> String {
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("it ends");
    let output = output.expect("the interpreter starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().last().unwrap_or_default().to_owned()
}

fn script(name: &str) -> String {
    format!("{}/tests/sdk/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test]
async fn azures_sdks_publish_with_nothing_changed_but_endpoint_and_key() {
    let (Some(python), Some(packages)) = (installed("TRUNKLINE_PYTHON"), installed("TRUNKLINE_NODE_PACKAGES")) else {
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::healthy().await;
    let (server, secret) = with_key(&directory.path().join("data")).await;
    let extra = json!({"target": {"mode": "structured"}});
    server.subscribe("sink", &receiver, extra).await;
    let endpoint = format!("{}/default/api/events", server.url());
    let mut command = Command::new(&python);
    command.args([script("eventgrid.py"), endpoint.clone(), secret.clone()]);
    assert_eq!(said(command).await, "published 7 events");
    let delivered = directory.path().join("delivered.json");
    std::fs::write(&delivered, delivery_for_javascript()).expect("it is written");
    let mut command = Command::new("node");
    command
        .args([script("eventgrid.mjs"), packages, endpoint, secret])
        .arg(&delivered);
    assert_eq!(said(command).await, "published 5 events");
    let events: Vec<Value> = receiver
        .took(12)
        .await
        .iter()
        .map(|delivery| serde_json::from_slice(&delivery.body).expect("a CloudEvent"))
        .collect();
    let by_id = |id: &str| {
        events
            .iter()
            .find(|event| event["id"] == id)
            .unwrap_or_else(|| panic!("{id}: {events:?}"))
    };
    for id in ["py-1", "py-2", "py-3", "py-7", "js-1", "js-2", "js-5"] {
        let event = by_id(id);
        assert_eq!(
            (
                &event["type"],
                &event["source"],
                &event["subject"],
                &event["dataversion"]
            ),
            (
                &json!("Order.Placed"),
                &json!("/v1/buses/default"),
                &json!("/orders/1"),
                &json!("1.0")
            ),
            "{event}"
        );
    }
    for id in ["py-4", "py-5", "py-6", "js-3", "js-4"] {
        assert_eq!(by_id(id)["customext"], "value");
    }
    for id in ["py-5", "js-4"] {
        assert_eq!(by_id(id)["data_base64"], "AP8=");
    }
    assert_eq!(events.len(), 12, "and nothing that was refused");
}

/// What a webhook in Event Grid's schema got, as `a_webhook_in_event_grids_schema…` asserts it.
fn delivery_for_javascript() -> String {
    json!([{"id": "1", "topic": "/test", "subject": "", "eventType": "Order.Placed", "eventTime": "2026-01-31T12:00:00Z",
        "dataVersion": "", "metadataVersion": "1", "data": {"total": 5}}])
    .to_string()
}

/// From one bus through the Event Grid destination to the door of another and back, in both schemas, with a key and with
/// signatures; a loop of buses ends.
#[tokio::test]
async fn events_go_from_bus_to_bus_and_a_loop_ends() {
    let directory = tempfile::tempdir().expect("a directory");
    let (server, secret) = with_key(&directory.path().join("data")).await;
    server.put("/v1/buses/other", json!({})).await;
    let connection = |bus: &str, schema: &str| {
        json!({"provider": "eventgrid", "config": {"endpoint": format!("{}/{bus}/api/events", server.url()), "schema": schema,
            "auth": {"type": if bus == "other" { "key" } else { "sas" }, "key": secret}}})
    };
    server
        .put(
            "/v1/buses/default/connections/there",
            connection("other", "cloudevents"),
        )
        .await;
    server
        .put("/v1/buses/other/connections/back", connection("default", "eventgrid"))
        .await;
    let path = "/v1/buses/default/connections/there:test";
    let report = server.send("POST", path, &[], "").await.json();
    assert_eq!(report["ok"], true, "{report}");
    for (bus, connection) in [("default", "there"), ("other", "back")] {
        let path = format!("/v1/buses/{bus}/subscriptions/onwards");
        server
            .put(&path, json!({"connection": connection, "types": ["Order.*"]}))
            .await;
    }
    server.publish("Order.Placed", "1", json!({"total": 5})).await;
    // Within minutes a second round would be a duplicate, so that this one begins near the end of a loop.
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-type", "Order.Placed"),
        ("ce-source", "/test"),
        ("ce-id", "2"),
        ("ce-trunklinehops", "15"),
    ];
    let answer = server.send("POST", "/v1/buses/default/events", &headers, "").await;
    assert_eq!(answer.status, 200);
    let letters = eventually("the loop to end as a dead letter", PATIENCE, async || {
        let letters = server.get("/v1/buses/other/dead-letters").await;
        let is_there = letters["items"].as_array().is_some_and(|items| !items.is_empty());
        is_there.then_some(letters)
    })
    .await;
    assert_eq!(letters["items"].as_array().map(Vec::len), Some(1), "{letters}");
    assert!(letters.to_string().contains("too_many_hops"), "{letters}");
    let delivered = async || {
        let status = server.get("/v1/buses/other/subscriptions/onwards").await["status"].clone();
        (status["since_start"]["delivered"] == 1).then_some(())
    };
    eventually("the other event to come back", PATIENCE, delivered).await;
}

fn is_validation(delivery: &Delivery) -> bool {
    delivery.header("aeg-event-type") == "SubscriptionValidation"
}

/// Events wait in the journal, over a kill, until the webhook has said yes; then every one arrives once.
#[tokio::test]
async fn events_for_a_webhook_in_event_grids_schema_are_held_over_a_kill_until_it_is_validated() {
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start(|delivery| match is_validation(delivery) {
        true => Reply::Status(404),
        false => Reply::Status(200),
    })
    .await;
    let environment = [("TRUNKLINE_PUBLIC_URL", "https://bus.example.com")];
    let start = || Server::start_with(directory.path(), &["--listen", "127.0.0.1:0"], &environment);
    let server = start();
    let extra = json!({"target": {"mode": "eventgrid"}, "delivery": {"batch": {"events": 10}}});
    server.subscribe("grid", &receiver, extra).await;
    for id in ["1", "2", "3"] {
        server.publish("Order.Placed", id, json!({"total": 5})).await;
    }
    receiver.saw(1).await;
    let validation = async |server: &Server| server.status("grid").await["validation"].clone();
    eventually("the answer to be shown", PATIENCE, async || {
        let shown = validation(&server).await;
        let is_shown = shown["reason"].as_str().is_some_and(|reason| reason.contains("404"));
        (is_shown && shown["state"] == "awaiting-manual-action").then_some(())
    })
    .await;
    server.kill();
    let server = start();
    let asked: Value = serde_json::from_slice(&receiver.deliveries()[0].body).expect("JSON");
    let url = asked[0]["data"]["validationUrl"].as_str().expect("an address");
    let path = url.strip_prefix("https://bus.example.com").expect("the public address");
    server.get(path).await;
    let mut ids = std::collections::BTreeMap::<String, u32>::new();
    eventually("every event to arrive", PATIENCE, async || {
        let deliveries = receiver.deliveries();
        ids.clear();
        for delivery in deliveries.iter().filter(|delivery| !is_validation(delivery)) {
            let events: Vec<Value> = serde_json::from_slice(&delivery.body).expect("an array");
            for event in events {
                *ids.entry(event["id"].as_str().expect("an id").to_owned()).or_default() += 1;
            }
        }
        (ids.len() == 3).then_some(())
    })
    .await;
    assert!(ids.values().all(|count| *count == 1), "{ids:?}");
    assert_eq!(validation(&server).await["state"], "succeeded");
    assert_eq!(
        receiver
            .deliveries()
            .iter()
            .filter(|delivery| is_validation(delivery))
            .count(),
        1
    );
}

/// Whoever has mended a webhook does not wait until its address ends: a resumed subscription's webhook is asked at once.
#[tokio::test]
async fn a_webhook_that_was_mended_is_asked_again_when_its_subscription_is_resumed() {
    let directory = tempfile::tempdir().expect("a directory");
    let mended = Arc::new(AtomicBool::new(false));
    let answers = Arc::clone(&mended);
    let receiver = Receiver::start(move |delivery| match is_validation(delivery) {
        true if answers.load(Relaxed) => {
            let asked: Value = serde_json::from_slice(&delivery.body).expect("JSON");
            let code = asked[0]["data"]["validationCode"].as_str().expect("a code");
            Reply::ValidationCode(code.as_bytes().try_into().expect("as long as all"))
        }
        _ => Reply::Status(202),
    })
    .await;
    let environment = [("TRUNKLINE_PUBLIC_URL", "https://bus.example.com")];
    let server = Server::start_with(directory.path(), &["--listen", "127.0.0.1:0"], &environment);
    let extra = json!({"target": {"mode": "eventgrid"}});
    server.subscribe("grid", &receiver, extra).await;
    server.publish("Order.Placed", "1", json!({"total": 5})).await;
    eventually("the answer to be shown", PATIENCE, async || {
        let shown = server.status("grid").await["validation"].clone();
        shown["reason"]
            .as_str()
            .filter(|reason| reason.contains("202"))
            .map(|_| ())
    })
    .await;
    let listed = server.run(&["subscription", "list"]);
    assert!(
        listed.contains("validation awaiting-manual-action: the webhook answered its validation with 202"),
        "{listed}"
    );
    mended.store(true, Relaxed);
    let path = "/v1/buses/default/subscriptions/grid:resume";
    assert_eq!(server.send("POST", path, &[], "").await.status, 200);
    eventually("the event to arrive", PATIENCE, async || {
        let status = server.status("grid").await;
        (status["since_start"]["delivered"] == 1 && status["validation"]["state"] == "succeeded").then_some(())
    })
    .await;
    let asked = receiver.deliveries().iter().filter(|one| is_validation(one)).count();
    assert_eq!(asked, 2, "once before it was mended, once after");
}
