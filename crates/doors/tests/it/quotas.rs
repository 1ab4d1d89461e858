//! Check 65: quotas of buses and keys. Whoever is over gets 429 (507 for what is stored) with the limit's name and a hint when to come
//! back; nobody else notices.

use crate::{
    harness::{Answer, Node, event, start},
    keys::{create, with},
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn refused(answer: &Answer, status: u16, code: &str, limit: &str) {
    let problem = answer.problem(status, code);
    assert_eq!(problem["limit"], limit, "{problem}");
    let wait = answer.header("retry-after").and_then(|wait| wait.parse::<u64>().ok());
    assert!(wait.is_some_and(|wait| wait > 0), "{answer}");
}

async fn with_quotas(node: &Node, bus: &str, quotas: Value) {
    let put = node.put(&format!("/v1/buses/{bus}"), json!({"quotas": quotas})).await;
    assert!(matches!(put.status, 200 | 201), "{put}");
}

async fn publish(node: &Node, bus: &str, id: &str) -> Answer {
    let headers = ["content-type: application/cloudevents+json"];
    let path = format!("/v1/buses/{bus}/events");
    node.ask("POST", &path, &headers, event(id).to_string()).await
}

#[tokio::test]
async fn check_65_a_bus_over_its_rate_is_told_when_to_come_back_and_another_is_served() {
    let node = start().await;
    with_quotas(&node, "small", json!({"events": "2/h"})).await;
    with_quotas(&node, "large", json!({"events": "1000/s"})).await;
    for id in ["1", "2"] {
        assert_eq!(publish(&node, "small", id).await.status, 200);
    }
    refused(&publish(&node, "small", "3").await, 429, "quota_exceeded", "bus.events");
    for id in 0..20 {
        assert_eq!(publish(&node, "large", &id.to_string()).await.status, 200);
        assert_eq!(publish(&node, "default", &id.to_string()).await.status, 200);
    }
    let metrics = node.get("/metrics").await.to_string();
    assert!(
        metrics.contains("quota_refused_requests_total{bus=\"small\"} 1"),
        "{metrics}"
    );
    with_quotas(&node, "small", json!({"events": "2/h", "subscriptions": 1})).await;
    refused(&publish(&node, "small", "3").await, 429, "quota_exceeded", "bus.events");
    with_quotas(&node, "small", json!({})).await;
    assert_eq!(
        publish(&node, "small", "3").await.status,
        200,
        "without the quota it is served"
    );
}

#[tokio::test]
async fn check_65_bytes_and_what_is_stored_are_bounded() {
    let node = start().await;
    with_quotas(&node, "small", json!({"bytes": "100B/h"})).await;
    assert_eq!(
        publish(&node, "small", "1").await.status,
        200,
        "more than a period's worth may go alone"
    );
    refused(&publish(&node, "small", "2").await, 429, "quota_exceeded", "bus.bytes");
    with_quotas(&node, "full", json!({"stored": "1MiB"})).await;
    let data = "x".repeat(700_000);
    let large =
        |id: &str| json!({"specversion": "1.0", "id": id, "source": "/s", "type": "t", "data": data}).to_string();
    let headers = ["content-type: application/cloudevents+json"];
    let first = node.ask("POST", "/v1/buses/full/events", &headers, large("1")).await;
    assert_eq!(first.status, 200, "{first}");
    let second = node.ask("POST", "/v1/buses/full/events", &headers, large("2")).await;
    refused(&second, 507, "quota_stored", "bus.stored");
}

#[tokio::test]
async fn check_65_subscriptions_and_partitions_of_a_bus_are_bounded() {
    let node = start().await;
    with_quotas(&node, "small", json!({"subscriptions": 1, "partitions": 14})).await;
    let connection = json!({"provider": "webhook", "config": {"url": "http://127.0.0.1:9/"}});
    let put = async |path: &str, body: Value| node.put(&format!("/v1/buses/small/{path}"), body).await;
    assert_eq!(put("connections/c", connection).await.status, 201);
    assert_eq!(put("subscriptions/a", json!({"connection": "c"})).await.status, 201);
    refused(
        &put("subscriptions/b", json!({"connection": "c"})).await,
        429,
        "quota_exceeded",
        "bus.subscriptions",
    );
    assert_eq!(
        put("subscriptions/a", json!({"connection": "c", "description": "changed"}))
            .await
            .status,
        200
    );
    assert_eq!(put("topics/t", json!({"partitions": 2})).await.status, 201);
    refused(
        &put("topics/t", json!({"partitions": 3})).await,
        429,
        "quota_exceeded",
        "bus.partitions",
    );
    refused(
        &put("topics/u", json!({"partitions": 1})).await,
        429,
        "quota_exceeded",
        "bus.partitions",
    );
}

#[tokio::test]
async fn check_65_a_key_over_its_quota_leaves_another_key_of_the_bus_alone() {
    let node = start().await;
    let admin = create(&node, "admin", json!({"scopes": ["administer", "publish"]}), None).await;
    let spec = |quotas: Value| json!({"scopes": ["publish"], "quotas": quotas});
    let slow = create(&node, "slow", spec(json!({"events": "1/h"})), Some(&admin)).await;
    let thin = create(&node, "thin", spec(json!({"bytes": "10B/h"})), Some(&admin)).await;
    let path = "/v1/buses/default/events";
    let publish = async |token: &str, id: &str| with(&node, "POST", path, Some(token), &event(id).to_string()).await;
    assert_eq!(publish(&slow, "1").await.status, 200);
    refused(&publish(&slow, "2").await, 429, "quota_exceeded", "key.events");
    assert_eq!(publish(&thin, "3").await.status, 200);
    refused(&publish(&thin, "4").await, 429, "quota_exceeded", "key.bytes");
    for id in 10..20 {
        assert_eq!(publish(&admin, &id.to_string()).await.status, 200);
    }
    let metrics = with(&node, "GET", "/metrics", Some(&admin), "").await.to_string();
    for key in ["slow", "thin"] {
        let series = format!("trunkline_key_quota_refused_requests_total{{key=\"{key}\"}} 1\n");
        assert!(metrics.contains(&series), "{series} is not in {metrics}");
    }
    assert!(!metrics.contains("key=\"admin\""), "keys without quotas are not shown");
    let changed = spec(json!({"events": "1/h"}))
        .to_string()
        .replace("publish\"]", "publish\", \"read\"]");
    assert_eq!(
        with(&node, "PUT", "/v1/keys/slow", Some(&admin), &changed).await.status,
        200
    );
    refused(&publish(&slow, "5").await, 429, "quota_exceeded", "key.events");
}

#[tokio::test]
async fn check_65_connections_of_a_key_are_bounded_and_given_back() {
    let node = start().await;
    let admin = create(&node, "admin", json!({"scopes": ["administer"]}), None).await;
    let spec = json!({"scopes": ["read"], "quotas": {"connections": 1}});
    let reader = create(&node, "reader", spec, Some(&admin)).await;
    let mut held = tokio::net::TcpStream::connect(node.address).await.expect("it listens");
    let request = format!("GET /v1/buses HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {reader}\r\n\r\n");
    held.write_all(request.as_bytes()).await.expect("it is sent");
    let mut begin = [0; 12];
    held.read_exact(&mut begin).await.expect("it is answered");
    assert_eq!(&begin, b"HTTP/1.1 200");
    let ask = async || with(&node, "GET", "/v1/buses", Some(&reader), "").await;
    refused(&ask().await, 429, "quota_exceeded", "key.connections");
    assert_eq!(with(&node, "GET", "/v1/buses", Some(&admin), "").await.status, 200);
    drop(held);
    let given_back = async { while ask().await.status != 200 {} };
    let patience = std::time::Duration::from_secs(10);
    tokio::time::timeout(patience, given_back)
        .await
        .expect("a closed connection gives its place back");
}
