//! Transforms of subscriptions on their way in and out, and asked by hand.

use crate::harness::{Answer, Node, start};
use serde_json::{Value, json};

const SUBSCRIPTION: &str = "/v1/buses/default/subscriptions/s";

async fn ask(node: &Node, question: Value) -> Answer {
    let path = "/v1/buses/default/transforms:test";
    node.ask("POST", path, &["content-type: application/json"], question.to_string())
        .await
}

fn order(id: &str, data: Value) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/shop", "type": "order", "time": "2026-11-21T10:00:00Z", "data": data})
}

#[tokio::test]
async fn a_transform_is_shown_as_it_was_put() {
    let node = start().await;
    node.subscribe("s", json!({})).await;
    assert_eq!(
        node.get(SUBSCRIPTION).await.json().get("transform"),
        None,
        "raw is the default"
    );
    for transform in [
        json!({"input": {"a": [1, "x"]}}),
        json!({"input": "\"text\""}),
        json!({"input": "3e2"}),
        json!({"input_path": "$.detail"}),
        json!({"input_transformer": {"paths": {"a": "$.id"}, "template": "{\"id\": <a>}"}}),
        json!({"input_transformer": {"template": "\"constant\""}}),
    ] {
        let put = node
            .put(SUBSCRIPTION, json!({"connection": "c", "transform": transform}))
            .await;
        assert_eq!(put.status, 200, "{put}");
        let shown = node.get(SUBSCRIPTION).await.json();
        assert_eq!(shown["transform"], transform);
        let again = node
            .put(
                SUBSCRIPTION,
                json!({"connection": "c", "transform": shown["transform"]}),
            )
            .await;
        assert_eq!(again.json()["version"], shown["version"], "the same changes nothing");
    }
    let put = node
        .put(SUBSCRIPTION, json!({"connection": "c", "transform": "raw"}))
        .await;
    assert_eq!(put.json().get("transform"), None);
}

#[tokio::test]
async fn a_transform_that_does_not_compile_is_refused_with_its_place() {
    let node = start().await;
    node.subscribe("s", json!({})).await;
    for (transform, code, pointer) in [
        (json!({"input": "text"}), "transform_invalid", "/transform/input"),
        (
            json!({"input_path": "detail"}),
            "transform_invalid",
            "/transform/input_path",
        ),
        (
            json!({"input_transformer": {"paths": {"a/b": "$"}, "template": "{}"}}),
            "transform_invalid",
            "/transform/input_transformer/paths/a~1b",
        ),
        (
            json!({"input_transformer": {"template": "{\"a\": <b>}"}}),
            "transform_invalid",
            "/transform/input_transformer/template",
        ),
        (json!({"inputpath": "$"}), "resource_invalid", "/transform/inputpath"),
        (
            json!({"input_transformer": {}}),
            "resource_invalid",
            "/transform/input_transformer",
        ),
        (
            json!({"input_transformer": {"template": "{}", "path": {}}}),
            "field_unknown",
            "/transform/input_transformer/path",
        ),
        (
            json!({"input_path": "$", "input": {}}),
            "resource_invalid",
            "/transform",
        ),
        (json!("cooked"), "resource_invalid", "/transform"),
    ] {
        let put = node
            .put(SUBSCRIPTION, json!({"connection": "c", "transform": transform}))
            .await;
        let problem = put.json();
        assert_eq!(
            (put.status, &problem["code"], &problem["pointer"]),
            (422, &json!(code), &json!(pointer)),
            "{transform}"
        );
    }
}

#[tokio::test]
async fn a_transform_is_tried_on_given_and_stored_events() {
    let node = start().await;
    node.publish(order("kept", json!({"total": 1}))).await;
    let transform = json!({"input_transformer": {"paths": {"t": "$.detail.total"}, "template": "{\"t\": <t>, \"at\": \"<aws.events.rule-name>\"}"}});
    node.subscribe("s", json!({"transform": transform})).await;
    let events = json!([order("1", json!({"total": 7})), {"stored": {"id": "kept"}}]);
    let answer = ask(&node, json!({"subscription": "s", "events": events, "last": 1}))
        .await
        .json();
    let outputs: Vec<_> = (0..3).map(|index| &answer["results"][index]["output"]).collect();
    assert_eq!(
        outputs,
        [
            r#"{"t": 7, "at": "s"}"#,
            r#"{"t": 1, "at": "s"}"#,
            r#"{"t": 1, "at": "s"}"#
        ],
        "{answer}"
    );
    let path = json!({"transform": {"input_path": "$.detail.missing"}, "events": [order("1", json!({}))]});
    let answer = ask(&node, path).await.json();
    assert_eq!(
        answer["results"][0]["error"]["code"], "transform_path_missing",
        "{answer}"
    );
    let raw = ask(
        &node,
        json!({"transform": "raw", "events": [order("1", json!({"a": 1}))]}),
    )
    .await
    .json();
    assert_eq!(raw["results"][0]["output"], r#"{"a":1}"#);
    for (question, code) in [
        (json!({"events": []}), "resource_invalid"),
        (json!({"subscription": "none", "events": []}), "resource_not_found"),
        (json!({"transform": {"input": "x"}, "events": []}), "transform_invalid"),
        (json!({"transform": "raw", "events": [{"a": 1}]}), "resource_invalid"),
        (json!({"transform": "raw", "event": []}), "resource_malformed"),
    ] {
        assert_eq!(ask(&node, question.clone()).await.json()["code"], code, "{question}");
    }
}
