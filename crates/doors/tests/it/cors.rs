//! Pages of other origins: those of the list may ask, no other, and none while there is no key.

use crate::harness::{Answer, Node, PAGE, start};
use serde_json::json;

const BUSES: &str = "/v1/buses";

async fn with(node: &Node, method: &str, origin: &str, more: &[&str]) -> Answer {
    let origin = format!("origin: {origin}");
    let headers: Vec<&str> = [origin.as_str()].into_iter().chain(more.iter().copied()).collect();
    node.ask(method, BUSES, &headers, "").await
}

async fn key(node: &Node) -> String {
    let spec = json!({"scopes": ["administer"]}).to_string();
    let made = node.ask("PUT", "/v1/keys/admin", &[], spec).await.json();
    format!("authorization: Bearer {}", made["token"].as_str().expect("shown once"))
}

#[tokio::test]
async fn pages_of_the_list_are_answered_once_there_is_a_key() {
    let node = start().await;
    let keyless = with(&node, "GET", PAGE, &[]).await;
    keyless.problem(403, "cross_origin_refused");
    assert_eq!(keyless.header("access-control-allow-origin"), None, "{keyless}");

    let key = key(&node).await;
    let answer = with(&node, "GET", PAGE, &[&key]).await;
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE), "{answer}");
    assert_eq!(
        answer.header("access-control-expose-headers"),
        Some("ETag, Retry-After"),
        "{answer}"
    );
    assert_eq!(answer.header("access-control-allow-credentials"), None, "{answer}");
    assert_eq!(answer.header("vary"), Some("Origin"), "{answer}");
    let refused = with(&node, "GET", PAGE, &[]).await;
    refused.problem(401, "unauthenticated");
    assert_eq!(
        refused.header("access-control-allow-origin"),
        Some(PAGE),
        "a page may read why"
    );

    for other in [
        "https://app.example.com.evil.example",
        "https://APP.example.com",
        "http://app.example.com",
        "null",
        "*",
    ] {
        let answer = with(&node, "GET", other, &[&key]).await;
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (200, None),
            "{other}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_preflight_needs_no_key_and_allows_what_is_asked_for() {
    let node = start().await;
    let ask = [
        "access-control-request-method: PUT",
        "access-control-request-headers: authorization, if-match, ce-id",
    ];
    assert_eq!(with(&node, "OPTIONS", PAGE, &ask).await.status, 405, "no key: no page");
    key(&node).await;
    let answer = with(&node, "OPTIONS", PAGE, &ask).await;
    assert_eq!((answer.status, answer.body.len()), (204, 0), "{answer}");
    assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE), "{answer}");
    assert_eq!(
        answer.header("access-control-allow-methods"),
        Some("GET, PUT, POST, DELETE"),
        "{answer}"
    );
    assert_eq!(
        answer.header("access-control-allow-headers"),
        Some("authorization, if-match, ce-id"),
        "{answer}"
    );
    let other = with(&node, "OPTIONS", "https://evil.example", &ask).await;
    assert_eq!(
        (other.status, other.header("access-control-allow-origin")),
        (405, None),
        "{other}"
    );
}
