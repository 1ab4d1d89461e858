//! Webhooks as their receivers see them: signatures and their rotation, batches. Check 36.

use crate::{
    sdk::installed,
    support::{
        receiver::{Delivery, Receiver},
        server::Server,
    },
};
use serde_json::{Value, json};
use std::{
    io::Write,
    process::{Command, Stdio},
};

const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
/// RFC 8032, 7.1, test 1.
const PRIVATE: &str = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
const PUBLIC: &str = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/// Check 36: while secrets are rotated every delivery verifies with the old and the new one, afterwards the old one is refused;
/// with libraries of two languages that know nothing of Trunkline.
#[tokio::test]
async fn check_36_every_delivery_verifies_and_a_rotation_loses_none() {
    let (Some(python), Some(packages)) = (installed("TRUNKLINE_PYTHON"), installed("TRUNKLINE_NODE_PACKAGES")) else {
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::healthy().await;
    let server = Server::start(directory.path());
    let path = "/v1/buses/default/connections/c";
    let connection = |secrets: Value| {
        let signing = json!({"style": "standard-webhooks", "secrets": secrets});
        json!({"provider": "webhook", "config": {"url": format!("http://{}/", receiver.address), "signing": signing}})
    };
    server.put(path, connection(json!([OLD]))).await;
    server
        .put("/v1/buses/default/subscriptions/s", json!({"connection": "c"}))
        .await;
    let mut cases = Vec::new();
    let mut expected = Vec::new();
    for (secrets, keys) in [
        (json!([OLD]), [(OLD, true), (NEW, false), (PUBLIC, false)]),
        (json!([NEW, OLD]), [(OLD, true), (NEW, true), (PUBLIC, false)]),
        (json!([NEW]), [(OLD, false), (NEW, true), (PUBLIC, false)]),
        (json!([PRIVATE, NEW]), [(OLD, false), (NEW, true), (PUBLIC, true)]),
        (json!([PRIVATE]), [(OLD, false), (NEW, false), (PUBLIC, true)]),
    ] {
        server.put(path, connection(secrets)).await;
        let number = expected.len();
        server.publish("t", &number.to_string(), json!({})).await;
        let delivery = receiver.took(number / keys.len() + 1).await.pop().expect("a delivery");
        for (key, verifies) in keys {
            cases.push(case(key, &delivery));
            expected.push(verifies);
        }
    }
    let shown = server.get(path).await;
    assert_eq!(shown["config"]["signing"]["public_keys"], json!([PUBLIC]));
    let script = |name: &str| format!("{}/tests/sdk/{name}", env!("CARGO_MANIFEST_DIR"));
    for (program, arguments) in [
        (python.as_str(), vec![script("verify.py")]),
        ("node", vec![script("verify.mjs"), packages.clone()]),
    ] {
        assert_eq!(
            verified(program, &arguments, &json!(cases)),
            json!(expected),
            "{program}"
        );
    }
}

fn case(key: &str, delivery: &Delivery) -> Value {
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers: serde_json::Map<_, _> = names
        .into_iter()
        .map(|name| (name.to_owned(), delivery.header(name).into()))
        .collect();
    json!({"key": key, "headers": headers, "body": String::from_utf8_lossy(&delivery.body)})
}

fn verified(program: &str, arguments: &[String], cases: &Value) -> Value {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the interpreter starts");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(cases.to_string().as_bytes()).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Many events, few requests, and none of them lost.
#[tokio::test]
async fn a_batch_arrives_whole_and_every_event_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::healthy().await;
    let server = Server::start(directory.path());
    let batch = json!({"events": 50, "window": "200ms"});
    let extra = json!({"target": {"mode": "batched"}, "delivery": {"batch": batch}});
    server.subscribe("sink", &receiver, extra).await;
    let ids: std::collections::BTreeSet<String> = (0..100).map(|id| id.to_string()).collect();
    for id in &ids {
        server.publish("t", id, json!({})).await;
    }
    let mut seen = std::collections::BTreeSet::new();
    for requests in 1.. {
        let delivery = receiver.took(requests).await.swap_remove(requests - 1);
        assert_eq!(delivery.header("content-type"), "application/cloudevents-batch+json");
        let events: Vec<Value> = serde_json::from_slice(&delivery.body).expect("a batch");
        for event in events {
            assert!(event["webhookid"].as_str().is_some_and(|id| id.starts_with("msg_")));
            assert!(seen.insert(event["id"].as_str().expect("an id").to_owned()), "twice");
        }
        if seen.len() == ids.len() {
            assert!(requests < ids.len(), "events go together");
            break;
        }
    }
    assert_eq!(seen, ids);
}
