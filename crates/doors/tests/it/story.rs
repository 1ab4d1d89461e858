//! The story of an event: where it is, who matched, what was tried.

use crate::harness::{event, start};
use serde_json::json;
use std::sync::atomic::Ordering;

const EVENTS: &str = "/v1/buses/default/events";

#[tokio::test]
async fn a_story_tells_where_who_and_what_came_of_it() {
    let node = start().await;
    node.subscribe("all", json!({})).await;
    node.subscribe("other", json!({"types": ["something.else"]})).await;
    assert_eq!(node.publish(event("1")).await.status, 200);
    let path = &format!("{EVENTS}/1");
    let story = node
        .until(path, |story| {
            story["subscriptions"]
                .as_array()
                .is_some_and(|all| all.iter().any(|s| s["attempts"][0].is_object()))
        })
        .await;
    assert_eq!(
        (&story["event"]["id"], &story["stored"][0]["topic"]),
        (&json!("1"), &json!("events"))
    );
    assert!(
        story["received"].as_str().is_some_and(|time| time.ends_with('Z')),
        "{story}"
    );
    let of = |name: &str| {
        story["subscriptions"]
            .as_array()
            .and_then(|all| all.iter().find(|s| s["subscription"] == name))
            .expect("it is told")
    };
    let (all, other) = (of("all"), of("other"));
    assert_eq!(
        (&all["matched"], &all["attempts"][0]["number"]),
        (&json!(true), &json!(1)),
        "{all}"
    );
    assert_eq!(
        (&all["attempts"][0]["outcome"], &all["attempts"][0]["status"]),
        (&json!("delivered"), &json!(200))
    );
    assert_eq!(
        (&other["matched"], &other["state"]),
        (&json!(false), &json!("not-concerned")),
        "{other}"
    );
    assert!(other["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
}

#[tokio::test]
async fn a_failed_attempt_shows_the_answer() {
    let node = start().await;
    node.endpoint.status.store(422, Ordering::Relaxed);
    node.subscribe("s", json!({})).await;
    assert_eq!(node.publish(event("1")).await.status, 200);
    let story = node
        .until(&format!("{EVENTS}/1"), |story| {
            story["subscriptions"][0]["attempts"][0].is_object()
        })
        .await;
    let attempt = &story["subscriptions"][0]["attempts"][0];
    assert_eq!(
        (&attempt["outcome"], &attempt["status"], &attempt["answer"]),
        (&json!("refused"), &json!(422), &json!("its answer"))
    );
    node.until(&format!("{EVENTS}/1"), |story| {
        story["subscriptions"][0]["state"] == "dead-lettered"
    })
    .await;
}

#[tokio::test]
async fn an_id_of_several_sources_needs_the_source() {
    let node = start().await;
    for source in ["/one", "/two"] {
        let mut event = event("1");
        event["source"] = source.into();
        assert_eq!(node.publish(event).await.status, 200);
    }
    let problem = node.get(&format!("{EVENTS}/1")).await.problem(409, "event_ambiguous");
    let mut sources: Vec<&str> = problem["sources"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|s| s.as_str())
        .collect();
    sources.sort_unstable();
    assert_eq!(sources, ["/one", "/two"]);
    let story = node.get(&format!("{EVENTS}/1?source=%2Ftwo")).await.json();
    assert_eq!(story["event"]["source"], "/two");
    node.get(&format!("{EVENTS}/1?source=/three"))
        .await
        .problem(404, "event_not_found");
    node.get(&format!("{EVENTS}/absent"))
        .await
        .problem(404, "event_not_found");
    node.get(&format!("{EVENTS}/1?sauce=/one"))
        .await
        .problem(400, "query_invalid");
}

#[tokio::test]
async fn an_id_may_hold_anything() {
    let node = start().await;
    assert_eq!(node.publish(event("a/b c?%é")).await.status, 200);
    assert_eq!(
        node.get(&format!("{EVENTS}/a%2Fb%20c%3F%25%C3%A9")).await.json()["event"]["id"],
        "a/b c?%é"
    );
}
