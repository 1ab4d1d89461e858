//! Dead letters through the door: list, read, redrive, discard.

use crate::harness::{Node, event, start};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

const LETTERS: &str = "/v1/buses/default/dead-letters";

/// A node with three dead letters of subscription `s`, events `a`, `b` and `c`.
async fn with_three() -> (Node, Vec<Value>) {
    let node = start().await;
    node.endpoint.status.store(422, Ordering::Relaxed);
    node.subscribe("s", json!({})).await;
    for id in ["a", "b", "c"] {
        assert_eq!(node.publish(event(id)).await.status, 200);
    }
    let list = node
        .until(LETTERS, |list| list["items"].as_array().map(Vec::len) == Some(3))
        .await;
    let letters = list["items"].as_array().expect("a list").clone();
    (node, letters)
}

fn is_empty(list: &Value) -> bool {
    list["items"].as_array().is_some_and(Vec::is_empty)
}

#[tokio::test]
async fn a_refused_event_is_listed_and_read_with_its_event() {
    let (node, letters) = with_three().await;
    for letter in &letters {
        assert_eq!(
            (&letter["subscription"], &letter["reason"], &letter["attempts"]),
            (&json!("s"), &json!("http_422"), &json!(1))
        );
        let one = node
            .get(&format!("{LETTERS}/{}", letter["id"].as_str().expect("an id")))
            .await
            .json();
        assert_eq!(
            (&one["event"]["id"], &one["event_id"]),
            (&letter["event_id"], &letter["event_id"])
        );
        assert_eq!(one["event"]["data"]["n"], letter["event_id"]);
    }
    for filter in ["subscription=s", "reason=http_422", "event=b"] {
        let found = node.get(&format!("{LETTERS}?{filter}")).await.json();
        assert!(!is_empty(&found), "{filter}");
    }
    assert!(is_empty(&node.get(&format!("{LETTERS}?reason=dns")).await.json()));
    node.get(&format!("{LETTERS}?subscription=absent"))
        .await
        .problem(404, "resource_not_found");
    for id in ["1-2-3-4-5", "x", "9999-1-0-0-0"] {
        node.get(&format!("{LETTERS}/{id}"))
            .await
            .problem(404, "dead_letter_not_found");
    }
}

#[tokio::test]
async fn the_list_comes_in_pages() {
    let (node, letters) = with_three().await;
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = node.get(&format!("{LETTERS}?limit=1{cursor}")).await.json();
        seen.extend(page["items"].as_array().expect("a list").clone());
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, letters);
}

/// Check 28, the redrive half: the same id, delivered once more.
#[tokio::test]
async fn redriven_letters_are_delivered_with_the_same_id() {
    let (node, letters) = with_three().await;
    node.endpoint.status.store(200, Ordering::Relaxed);
    let one = json!({"ids": [letters[0]["id"]]}).to_string();
    let answer = node.ask("POST", &format!("{LETTERS}:redrive"), &[], one).await;
    assert_eq!(answer.json(), json!({"redriven": 1}), "{answer}");
    let rest = json!({"subscription": "s", "reason": "http_422"}).to_string();
    let answer = node.ask("POST", &format!("{LETTERS}:redrive"), &[], rest).await;
    assert_eq!(answer.json(), json!({"redriven": 2}), "{answer}");
    node.until("/v1/buses/default/subscriptions/s", |s| {
        s["status"]["since_start"]["delivered"] == 3
    })
    .await;
    let mut ids: Vec<String> = node
        .endpoint
        .events
        .lock()
        .expect("held briefly")
        .iter()
        .map(|(id, _)| id.clone())
        .collect();
    ids.sort();
    assert_eq!(ids, ["a", "b", "c"]);
    assert!(is_empty(&node.get(LETTERS).await.json()));
}

#[tokio::test]
async fn discarded_letters_are_gone_and_the_story_says_so() {
    let (node, _) = with_three().await;
    let answer = node
        .ask(
            "POST",
            &format!("{LETTERS}:discard"),
            &[],
            json!({"event": "a"}).to_string(),
        )
        .await;
    assert_eq!(answer.json(), json!({"discarded": 1}), "{answer}");
    let answer = node
        .ask(
            "POST",
            &format!("{LETTERS}:discard"),
            &[],
            json!({"all": true}).to_string(),
        )
        .await;
    assert_eq!(answer.json(), json!({"discarded": 2}), "{answer}");
    assert!(is_empty(&node.get(LETTERS).await.json()));
}

#[tokio::test]
async fn a_selection_that_selects_nothing_or_too_much_is_refused() {
    let node = start().await;
    let act = async |body: Value| {
        node.ask("POST", &format!("{LETTERS}:discard"), &[], body.to_string())
            .await
    };
    act(json!({})).await.problem(422, "resource_invalid");
    act(json!({"all": true, "reason": "dns"}))
        .await
        .problem(422, "resource_invalid");
    act(json!({"reson": "dns"})).await.problem(400, "resource_malformed");
    act(json!({"ids": vec!["1-1-1-1-1"; 1_001]}))
        .await
        .problem(422, "resource_invalid");
    act(json!({"ids": ["1-1-1-1-1"]}))
        .await
        .problem(404, "dead_letter_not_found");
    act(json!({"subscription": "absent"}))
        .await
        .problem(404, "resource_not_found");
}
