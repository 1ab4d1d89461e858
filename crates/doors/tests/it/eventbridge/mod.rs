//! The EventBridge door: signatures, publishing, patterns, and what it answers in AWS's shapes.

mod authorization;
mod hostile;
mod manage;
mod put_events;
mod signer;
mod targets;
mod tenants;
mod whole;

use crate::harness::{Answer, Node, raw, start, start_as, start_with};
use doors::{http::eventbridge::EventBridge, server::ServerSettings};
use serde_json::{Value, json};
pub use signer::Signer;

/// The key that ends the keyless time, a bearer one, and its token.
pub async fn administrator(node: &Node) -> String {
    crate::keys::create(node, "admin", json!({"scopes": ["administer"]}), None).await
}

/// Makes a key that signs, and its signer.
pub async fn signing_key(node: &Node, admin: &str, id: &str, mut spec: Value) -> Signer {
    spec["signing"] = "aws".into();
    let made = crate::keys::with(node, "PUT", &format!("/v1/keys/{id}"), Some(admin), &spec.to_string()).await;
    assert_eq!(made.status, 201, "{made}");
    Signer::new(id, made.json()["secret"].as_str().expect("it is shown once"))
}

/// A node with a key that may publish anywhere.
pub async fn signed_node() -> (Node, Signer) {
    let node = start().await;
    let admin = administrator(&node).await;
    let signer = signing_key(&node, &admin, "checkout", json!({"scopes": ["publish"]})).await;
    (node, signer)
}

/// Sends a request as it was signed.
pub async fn ask(node: &Node, signer: &Signer, operation: &str, input: &Value) -> Answer {
    let body = input.to_string();
    let headers = signer.headers(operation, &body);
    node.ask(
        "POST",
        "/",
        &headers.iter().map(String::as_str).collect::<Vec<_>>(),
        body,
    )
    .await
}

/// Asserts an error in AWS's shape.
pub fn fault(answer: &Answer, status: u16, code: &str) -> Value {
    assert_eq!(answer.status, status, "{answer}");
    assert_eq!(answer.header("x-amzn-errortype"), Some(code), "{answer}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/x-amz-json-1.1"),
        "{answer}"
    );
    assert!(
        answer.header("x-amzn-requestid").is_some_and(|id| id.len() == 36),
        "{answer}"
    );
    let body = answer.json();
    assert_eq!(body["__type"], code, "{answer}");
    assert!(
        body["message"].as_str().is_some_and(|message| !message.is_empty()),
        "{answer}"
    );
    body
}

/// A node, its administrator's bearer token, and a key that signs and may do everything.
pub async fn managed() -> (Node, String, Signer) {
    let node = start().await;
    let admin = administrator(&node).await;
    let scopes = json!({"scopes": ["administer", "publish"]});
    let signer = signing_key(&node, &admin, "ops", scopes).await;
    (node, admin, signer)
}

/// What an operation that succeeds answers.
pub async fn done(node: &Node, signer: &Signer, operation: &str, input: Value) -> Value {
    let answer = ask(node, signer, operation, &input).await;
    assert_eq!(answer.status, 200, "{operation}: {answer}");
    answer.json()
}

/// What an operation says that is refused with this code.
pub async fn refused(node: &Node, signer: &Signer, operation: &str, input: Value, code: &str) -> String {
    let answer = ask(node, signer, operation, &input).await;
    let body = fault(&answer, 400, code);
    body["message"].as_str().expect("text").to_owned()
}

/// What `/v1` shows there.
pub async fn v1(node: &Node, admin: &str, path: &str) -> Value {
    let answer = crate::keys::with(node, "GET", path, Some(admin), "").await;
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()
}

/// An entry with all that is required.
pub fn entry() -> Value {
    json!({"Source": "com.example.shop", "DetailType": "Order Placed", "Detail": "{\"total\": 5}"})
}

#[tokio::test]
async fn a_pattern_is_tested_against_an_event() {
    let (node, signer) = signed_node().await;
    let event = json!({
        "id": "1", "account": "1", "source": "s", "time": "2026-01-01T00:00:00Z", "region": "r", "resources": ["a"],
        "detail-type": "t", "detail": {"n": 5},
    });
    for (pattern, expected) in [
        (r#"{"detail": {"n": [{"numeric": [">", 4]}]}, "source": ["s"]}"#, true),
        (r#"{"detail": {"n": [6]}}"#, false),
    ] {
        let input = json!({"EventPattern": pattern, "Event": event.to_string()});
        let answer = ask(&node, &signer, "TestEventPattern", &input).await;
        assert_eq!(
            (answer.status, answer.json()),
            (200, json!({"Result": expected})),
            "{answer}"
        );
    }
    // AWS answers without `resources` as well, and whatever numbers and texts there are.
    let envelope = r#""id": "1", "account": "1", "source": "s", "time": "2026-01-01T00:00:00Z", "region": "r", "detail-type": "t""#;
    for detail in [r#"{"n": 5}"#, r#"{"n": 1e400}"#, r#"{"n": "\ud800"}"#, "[]"] {
        let input =
            json!({"EventPattern": r#"{"source": ["s"]}"#, "Event": format!(r#"{{{envelope}, "detail": {detail}}}"#)});
        let answer = ask(&node, &signer, "TestEventPattern", &input).await;
        assert_eq!(
            (answer.status, answer.json()),
            (200, json!({"Result": true})),
            "{detail}: {answer}"
        );
    }
    let mut partial = event.clone();
    partial.as_object_mut().expect("an object").remove("region");
    for (pattern, event, code, says) in [
        (
            r#"{"a": []}"#,
            event.to_string(),
            "InvalidEventPatternException",
            "Event pattern is not valid. Reason: ",
        ),
        (
            "{",
            event.to_string(),
            "InvalidEventPatternException",
            "Event pattern is not valid. Reason: ",
        ),
        (
            r#"{"a": [1]}"#,
            partial.to_string(),
            "ValidationException",
            "Parameter Event is not valid.",
        ),
        (
            r#"{"a": [1]}"#,
            "[]".to_owned(),
            "ValidationException",
            "Parameter Event is not valid.",
        ),
        (
            r#"{"a": [1]}"#,
            "{".to_owned(),
            "ValidationException",
            "Parameter Event is not valid.",
        ),
    ] {
        let input = json!({"EventPattern": pattern, "Event": event});
        let refused = fault(&ask(&node, &signer, "TestEventPattern", &input).await, 400, code);
        assert!(
            refused["message"].as_str().expect("text").starts_with(says),
            "{refused}"
        );
    }
    let long = json!({"EventPattern": " ".repeat(4_097), "Event": "{}"});
    fault(
        &ask(&node, &signer, "TestEventPattern", &long).await,
        400,
        "ValidationException",
    );
    fault(
        &ask(&node, &signer, "TestEventPattern", &json!({})).await,
        400,
        "ValidationException",
    );
}

#[tokio::test]
async fn what_is_not_built_is_refused_with_its_reason() {
    let (node, signer) = signed_node().await;
    for operation in doors::http::eventbridge::OPERATIONS
        .iter()
        .filter(|operation| !operation.is_built())
    {
        let refused = fault(
            &ask(&node, &signer, operation.name, &json!({})).await,
            400,
            "UnknownOperationException",
        );
        assert!(
            refused["message"].as_str().expect("text").starts_with(operation.name),
            "{refused}"
        );
    }
    fault(
        &ask(&node, &signer, "PutEvent", &json!({})).await,
        400,
        "UnknownOperationException",
    );
}

#[tokio::test]
async fn the_v2_service_is_refused_in_its_own_protocol() {
    let node = start().await;
    let path = "/service/AWSEventsV2/operation/PutEvents";
    let answer = node.ask("POST", path, &["smithy-protocol: rpc-v2-cbor"], b"\xa0").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (400, Some("application/cbor")),
        "{answer}"
    );
    assert_eq!(answer.header("smithy-protocol"), Some("rpc-v2-cbor"));
    assert!(answer.to_string().contains("UnknownOperationException"), "{answer}");
}

#[tokio::test]
async fn a_server_without_keys_takes_any_signature_from_its_own_machine_and_none_from_elsewhere() {
    let node = start().await;
    let input = json!({"Entries": [entry()]});
    let anybody = Signer::new("test", "test");
    assert_eq!(
        ask(&node, &anybody, "PutEvents", &input).await.json()["FailedEntryCount"],
        0
    );
    let target = "x-amz-target: AWSEvents.PutEvents";
    let unsigned = node.ask("POST", "/", &[target], input.to_string()).await;
    assert_eq!(unsigned.json()["FailedEntryCount"], 0, "{unsigned}");
    for header in ["origin: https://evil.example", "x-forwarded-for: 10.0.0.1"] {
        let refused = node.ask("POST", "/", &[target, header], input.to_string()).await;
        fault(&refused, 400, "AccessDeniedException");
    }
}

#[tokio::test]
async fn an_address_of_its_own_answers_this_protocol_alone() {
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let settings = ServerSettings {
        listen: vec![any],
        eventbridge: vec![any],
        ..ServerSettings::default()
    };
    let node = start_with(settings).await;
    let own = node.serving.as_ref().expect("it serves").eventbridge_addresses()[0];
    let send = async |request: &str| Answer::parse(&raw(own, request.as_bytes()).await).expect("an answer");
    let body = json!({"Entries": [entry()]}).to_string();
    let put = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx-amz-target: AWSEvents.PutEvents\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(send(&put).await.json()["FailedEntryCount"], 0);
    for (path, status) in [
        ("/v1/buses", 404),
        ("/metrics", 404),
        ("/api/events", 404),
        ("/healthz", 200),
    ] {
        let answer = send(&format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        ))
        .await;
        assert_eq!(answer.status, status, "{path}: {answer}");
    }
}

#[tokio::test]
async fn events_of_unknown_buses_are_lost_where_that_is_asked_for() {
    let settings = ServerSettings {
        listen: vec![([127, 0, 0, 1], 0).into()],
        ..ServerSettings::default()
    };
    let losing = EventBridge {
        loses_events_of_unknown_buses: true,
        ..EventBridge::default()
    };
    let node = start_as(settings, losing).await;
    let mut lost = entry();
    lost["EventBusName"] = "absent".into();
    let answer = ask(
        &node,
        &Signer::new("a", "b"),
        "PutEvents",
        &json!({"Entries": [lost, entry()]}),
    )
    .await
    .json();
    assert_eq!(answer["FailedEntryCount"], 0, "{answer}");
    let path = |index: usize| {
        format!(
            "/v1/buses/default/events/{}",
            answer["Entries"][index]["EventId"].as_str().expect("an id")
        )
    };
    assert_eq!(
        (node.get(&path(0)).await.status, node.get(&path(1)).await.status),
        (404, 200)
    );
}

#[tokio::test]
async fn a_region_that_is_configured_is_the_only_one() {
    let settings = ServerSettings {
        listen: vec![([127, 0, 0, 1], 0).into()],
        ..ServerSettings::default()
    };
    let here = EventBridge {
        region: Some("eu-central-1".to_owned()),
        ..EventBridge::default()
    };
    let node = start_as(settings, here).await;
    let admin = administrator(&node).await;
    let mut signer = signing_key(&node, &admin, "k", json!({"scopes": ["publish"]})).await;
    let input = json!({"Entries": [entry()]});
    fault(
        &ask(&node, &signer, "PutEvents", &input).await,
        403,
        "InvalidSignatureException",
    );
    signer.region = "eu-central-1".to_owned();
    assert_eq!(ask(&node, &signer, "PutEvents", &input).await.status, 200);
}

#[tokio::test]
async fn a_server_that_drains_says_so_in_this_protocol() {
    let node = start().await;
    node.serving.as_ref().expect("it serves").drain();
    let refused = ask(
        &node,
        &Signer::new("a", "b"),
        "PutEvents",
        &json!({"Entries": [entry()]}),
    )
    .await;
    fault(&refused, 503, "ServiceUnavailableException");
    assert!(refused.header("retry-after").is_some(), "{refused}");
}
