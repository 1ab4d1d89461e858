//! Trying a connection over HTTP, and the handshake of those who publish.

use crate::harness::start;
use serde_json::json;

#[tokio::test]
async fn a_connection_is_tried_with_what_is_asked_for() {
    let node = start().await;
    node.subscribe("s", json!({})).await;
    let path = "/v1/buses/default/connections/c:test";
    for (query, sent) in [("", "HEAD"), ("?with=options", "OPTIONS"), ("?with=event", "an event")] {
        let answer = node.ask("POST", &format!("{path}{query}"), &[], "").await;
        let steps = json!([{"step": "answer", "ok": true, "detail": format!("{sent} to c")}]);
        let expected = json!({"ok": true, "status": 204, "steps": steps});
        assert_eq!((answer.status, answer.json()), (200, expected));
    }
    let wrong = node.ask("POST", &format!("{path}?with=love"), &[], "").await;
    wrong.problem(400, "query_invalid");
    let missing = node
        .ask("POST", "/v1/buses/default/connections/none:test", &[], "")
        .await;
    missing.problem(404, "resource_not_found");
}

#[tokio::test]
async fn whoever_may_publish_is_allowed_to_at_any_rate() {
    let node = start().await;
    let path = "/v1/buses/default/events";
    let asked = [
        "webhook-request-origin: sender.example.com",
        "webhook-request-rate: 120",
    ];
    let answer = node.ask("OPTIONS", path, &asked, "").await;
    assert_eq!(answer.status, 204, "{answer}");
    assert_eq!(answer.header("webhook-allowed-origin"), Some("sender.example.com"));
    assert_eq!(answer.header("webhook-allowed-rate"), Some("*"));
    assert_eq!(answer.header("allow"), Some("OPTIONS, POST"));
    let silent = node.ask("OPTIONS", path, &[], "").await;
    assert_eq!((silent.status, silent.header("webhook-allowed-origin")), (204, None));
    let unasked = node.ask("OPTIONS", path, &asked[..1], "").await;
    assert_eq!(unasked.header("webhook-allowed-rate"), None);
    let elsewhere = node.ask("OPTIONS", "/v1/buses/none/events", &asked, "").await;
    elsewhere.problem(404, "bus_not_found");
}
