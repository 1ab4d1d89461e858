//! The clock's alarm through the door: it is seen, and an operator ends it.

use crate::harness::{Node, start};
use serde_json::json;

/// The figure of the alarm in the metrics.
async fn figure(node: &Node) -> String {
    let metrics = String::from_utf8(node.get("/metrics").await.body).expect("text");
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("trunkline_clock_alarm "));
    line.expect("a figure").to_owned()
}

#[tokio::test]
async fn an_alarm_of_the_clock_is_told_everywhere_and_ends_when_it_is_confirmed() {
    let node = start().await;
    assert_eq!(node.get("/v1/clock").await.json()["alarm"], json!(false));
    let refused = node.ask("POST", "/v1/clock:confirm", &[], "").await;
    refused.problem(409, "clock_not_alarmed");

    node.journal.raise_clock_alarm();
    assert_eq!(node.get("/v1/clock").await.json()["alarm"], json!(true));
    let ready = node.get("/readyz").await;
    assert_eq!(ready.status, 200, "it serves on");
    let warning = ready.json()["warnings"][0].as_str().expect("a warning").to_owned();
    assert!(warning.contains("trunkline clock confirm"), "{warning}");
    assert_eq!(figure(&node).await, "1");

    let confirm = || node.ask("POST", "/v1/clock:confirm", &[], "");
    let (one, other) = futures_util::future::join(confirm(), confirm()).await;
    let (confirmed, refused) = if one.status == 200 { (one, other) } else { (other, one) };
    refused.problem(409, "clock_not_alarmed");
    let trail = node.get("/v1/audit?action=confirmed").await.json();
    assert_eq!(trail["items"].as_array().map(Vec::len), Some(1), "{trail}");
    assert_eq!(
        (confirmed.status, confirmed.json()["alarm"].clone()),
        (200, json!(false))
    );
    assert_eq!(node.get("/readyz").await.json(), json!({"status": "ready"}));
    assert_eq!(figure(&node).await, "0");
}
