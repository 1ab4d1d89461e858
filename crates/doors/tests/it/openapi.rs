//! The OpenAPI document: its examples are sent, and its schemas have the fields that are read, neither more nor less.

use crate::harness::{Node, start};
use doors::http::{openapi, routes};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The address of a row with the parameters of an example.
fn address(path: &str, parameters: &Value) -> String {
    let mut path = path.to_owned();
    for (name, value) in parameters.as_object().into_iter().flatten() {
        path = path.replace(&format!("{{{name}}}"), value.as_str().expect("text"));
    }
    path.replace("{bus}", "default")
}

/// In the order in which they need each other.
const ORDER: [&str; 15] = [
    "putBus",
    "putTopic",
    "putEventType",
    "putConnection",
    "putSubscription",
    "previewResources",
    "publish",
    "testFilter",
    "explainFilter",
    "lintFilter",
    "testTransform",
    "redriveDeadLetters",
    "startRedrive",
    "discardDeadLetters",
    "putKey",
];

#[tokio::test]
async fn every_example_of_the_document_is_taken() {
    let node = start().await;
    let examples = openapi::examples();
    let ids: BTreeSet<&str> = examples.keys().map(String::as_str).collect();
    assert_eq!(ids, ORDER.into_iter().collect(), "each example has its place here");
    for id in ORDER {
        let (example, row) = (&examples[id], routes::all().find(|row| row.id == id).expect("a row"));
        let media_type = example["media_type"].as_str().unwrap_or("application/json");
        let headers = [format!("content-type: {media_type}")];
        let path = address(row.path, &example["path"]);
        let answer = node
            .ask(
                row.verb.method().as_str(),
                &path,
                &[&headers[0]],
                example["body"].to_string(),
            )
            .await;
        assert!((200..300).contains(&answer.status), "{id}: {answer}");
        let is_listed = row.gives.iter().any(|gives| gives.status == answer.status);
        assert!(is_listed, "{id} answers {}, which its row does not list", answer.status);
    }
}

#[tokio::test]
async fn the_document_is_served_to_any_key() {
    let node = start().await;
    let answer = node.get("/v1/openapi.json").await;
    assert_eq!((answer.status, answer.json()), (200, openapi::document()));
}

/// Objects that are read: the operation, where they stand in its body, and a body that goes wrong there alone.
fn places() -> Vec<(&'static str, &'static str, Value)> {
    let subscription = |more: Value| {
        let mut body = json!({"connection": "c"});
        body.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        body
    };
    let config = |more: Value| {
        let mut config = json!({"url": "http://127.0.0.1:9/"});
        config
            .as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        json!({"provider": "webhook", "config": config})
    };
    let key = |more: Value| {
        let mut body = json!({"scopes": ["read"]});
        body.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        body
    };
    vec![
        ("putBus", "", json!({"zzz": 1})),
        ("putBus", "/quotas", json!({"quotas": {"zzz": 1}})),
        ("putTopic", "", json!({"zzz": 1})),
        ("putTopic", "/retention", json!({"retention": {"zzz": 1}})),
        ("putEventType", "", json!({"zzz": 1})),
        (
            "putEventType",
            "/routes/0",
            json!({"routes": [{"topic": "t", "zzz": 1}]}),
        ),
        ("putConnection", "/config", config(json!({"zzz": 1}))),
        (
            "putConnection",
            "/config/auth",
            config(json!({"auth": {"type": "none", "zzz": 1}})),
        ),
        (
            "putConnection",
            "/config/signing",
            config(json!({"signing": {"style": "standard-webhooks", "secrets": [], "zzz": 1}})),
        ),
        ("putConnection", "/config/tls", config(json!({"tls": {"zzz": 1}}))),
        (
            "putConnection",
            "/config/handshake",
            config(json!({"handshake": {"origin": "o", "zzz": 1}})),
        ),
        ("putSubscription", "", subscription(json!({"zzz": 1}))),
        (
            "putSubscription",
            "/filter",
            subscription(json!({"filter": {"zzz": 1}})),
        ),
        (
            "putSubscription",
            "/target",
            subscription(json!({"target": {"zzz": 1}})),
        ),
        (
            "putSubscription",
            "/delivery",
            subscription(json!({"delivery": {"zzz": 1}})),
        ),
        (
            "putSubscription",
            "/delivery/retry",
            subscription(json!({"delivery": {"retry": {"zzz": 1}}})),
        ),
        (
            "putSubscription",
            "/delivery/retry/exponential",
            subscription(
                json!({"delivery": {"retry": {"exponential": {"first": "1s", "factor": 2, "max": "1h", "zzz": 1}}}}),
            ),
        ),
        (
            "putSubscription",
            "/delivery/batch",
            subscription(json!({"delivery": {"batch": {"zzz": 1}}})),
        ),
        ("putKey", "", key(json!({"zzz": 1}))),
        ("putKey", "/publish", key(json!({"publish": {"zzz": 1}}))),
        ("putKey", "/quotas", key(json!({"quotas": {"zzz": 1}}))),
    ]
}

#[tokio::test]
async fn the_schemas_have_the_fields_that_are_read_and_no_other() {
    let node = start().await;
    let document = openapi::document();
    for (id, pointer, body) in places() {
        let row = routes::all().find(|row| row.id == id).expect("a row");
        let bus = if id == "putBus" { "new" } else { "default" };
        let path = address(row.path, &json!({"bus": bus, "name": "new"}));
        let refused = node
            .ask("PUT", &path, &["content-type: application/json"], body.to_string())
            .await;
        let problem = refused.json();
        assert_eq!(problem["code"], "field_unknown", "{id} {pointer}: {refused}");
        let read = fields_of(&problem).unwrap_or_else(|| panic!("{id} {pointer}: no fields in {refused}"));
        let schema = &document["components"]["schemas"][row.takes[0].schema];
        let written = properties(&document, schema, pointer);
        assert_eq!(
            read, written,
            "{id} {pointer}: what is read, and what openapi/schemas.json says"
        );
    }
    assert!(node_is_unchanged(&node).await);
}

/// What the refusal of an unknown field lists.
fn fields_of(problem: &Value) -> Option<BTreeSet<String>> {
    let (_, list) = problem["detail"].as_str()?.split_once("the fields here are ")?;
    Some(
        list.split([',', ' '])
            .filter(|name| !name.is_empty() && *name != "and")
            .map(str::to_owned)
            .collect(),
    )
}

/// The properties at a place of a schema that may be written.
fn properties(document: &Value, schema: &Value, pointer: &str) -> BTreeSet<String> {
    let mut schema = resolve(document, schema);
    for name in pointer.split('/').skip(1) {
        let next = match name {
            "0" => &schema["items"],
            name => &schema["properties"][name],
        };
        let first = |name: &str| next[name].get(0);
        let next = first("oneOf").or(first("anyOf")).unwrap_or(next);
        schema = resolve(document, next);
    }
    assert_eq!(schema["additionalProperties"], false, "{pointer}");
    let properties = schema["properties"]
        .as_object()
        .unwrap_or_else(|| panic!("no object at {pointer}"));
    let is_written = |property: &&String| resolve(document, &properties[property.as_str()])["readOnly"] != true;
    properties.keys().filter(is_written).cloned().collect()
}

fn resolve<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    match schema["$ref"].as_str() {
        Some(reference) => document
            .pointer(reference.trim_start_matches('#'))
            .expect("it is defined"),
        None => schema,
    }
}

async fn node_is_unchanged(node: &Node) -> bool {
    node.get("/v1/buses").await.json()["items"].as_array().map(Vec::len) == Some(1)
}
