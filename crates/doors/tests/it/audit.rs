//! The audit trail over /v1: changes with before and after, looks at payloads, filters, pages, verification.

use crate::{
    harness::{Node, event, start},
    keys::{create, with},
};
use serde_json::{Value, json};

async fn entries(node: &Node, token: &str, query: &str) -> Vec<Value> {
    let answer = with(node, "GET", &format!("/v1/audit{query}"), Some(token), "").await;
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()["items"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn every_change_of_a_resource_is_in_the_trail_with_who_what_before_and_after() {
    let node = start().await;
    let admin = create(&node, "admin", json!({"scopes": ["administer", "audit"]}), None).await;
    let put = async |path: &str, body: Value| with(&node, "PUT", path, Some(&admin), &body.to_string()).await;
    let bus = "/v1/buses/default";
    let secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";
    let signing = json!({"style": "standard-webhooks", "secrets": [secret]});
    let connection = json!({"provider": "webhook", "config": {"url": "http://127.0.0.1:9/", "signing": signing}});
    assert_eq!(put(&format!("{bus}/connections/c"), connection).await.status, 201);
    assert_eq!(
        put(&format!("{bus}/topics/t"), json!({"partitions": 1})).await.status,
        201
    );
    assert_eq!(
        put(&format!("{bus}/topics/t"), json!({"partitions": 2})).await.status,
        200
    );
    assert_eq!(
        put(&format!("{bus}/topics/t"), json!({"partitions": 2})).await.status,
        200
    );
    assert_eq!(
        put(&format!("{bus}/subscriptions/s"), json!({"connection": "c"}))
            .await
            .status,
        201
    );
    assert_eq!(
        with(&node, "DELETE", &format!("{bus}/subscriptions/s"), Some(&admin), "")
            .await
            .status,
        204
    );
    assert_eq!(
        with(&node, "POST", "/v1/keys/admin:rotate", Some(&admin), "{}")
            .await
            .status,
        200
    );

    let all = entries(&node, &admin, "?order=oldest").await;
    let told: Vec<_> = all
        .iter()
        .map(|entry| {
            let text = |name: &str| entry[name].as_str().unwrap_or_default();
            format!("{} {} {} {}", text("action"), text("kind"), text("bus"), text("name"))
        })
        .collect();
    assert_eq!(
        told,
        [
            "created key  admin",
            "created connection default c",
            "created topic default t",
            "changed topic default t",
            "created subscription default s",
            "deleted subscription default s",
            "rotated key  admin",
        ],
        "a change that changes nothing leaves no entry"
    );
    assert_eq!(
        (&all[0]["by"]["keyless"], &all[1]["by"]["key"]),
        (&json!(true), &json!("admin"))
    );
    assert!(
        all[1]["peer"]
            .as_str()
            .is_some_and(|peer| peer.starts_with("127.0.0.1:")),
        "{}",
        all[1]
    );
    let changes = json!([{"pointer": "/partitions", "before": 1, "after": 2}]);
    assert_eq!(all[3]["changes"], changes);
    let text = all.iter().map(Value::to_string).collect::<String>();
    assert!(
        text.contains("fingerprint") && !text.contains(secret) && !text.contains(&admin),
        "{text}"
    );
    assert!(all[6]["changes"].to_string().contains("fingerprint"), "{}", all[6]);
}

#[tokio::test]
async fn every_look_at_a_payload_is_in_the_trail_once_a_minute() {
    let node = start().await;
    let scopes = json!({"scopes": ["administer", "audit", "publish"]});
    let admin = create(&node, "admin", scopes, None).await;
    let events = "/v1/buses/default/events";
    let published = with(&node, "POST", events, Some(&admin), &event("7").to_string()).await;
    assert_eq!(published.status, 200, "{published}");
    for _ in 0..3 {
        let story = with(&node, "GET", &format!("{events}/7"), Some(&admin), "").await;
        assert_eq!(story.status, 200, "{story}");
    }
    with(&node, "GET", &format!("{events}/absent"), Some(&admin), "")
        .await
        .problem(404, "event_not_found");
    let question = json!({"filter": {"cesql": "true"}, "last": 5}).to_string();
    let asked = with(
        &node,
        "POST",
        "/v1/buses/default/patterns:explain",
        Some(&admin),
        &question,
    )
    .await;
    assert_eq!(asked.status, 200, "{asked}");
    let looks = entries(&node, &admin, "?action=looked&order=oldest").await;
    let told: Vec<_> = looks.iter().map(|look| (&look["kind"], &look["name"])).collect();
    assert_eq!(told, [(&json!("event"), &json!("7")), (&json!("events"), &json!(""))]);
    let discard = json!({"all": true}).to_string();
    let discarded = with(
        &node,
        "POST",
        "/v1/buses/default/dead-letters:discard",
        Some(&admin),
        &discard,
    )
    .await;
    assert_eq!(discarded.status, 200, "{discarded}");
    assert_eq!(entries(&node, &admin, "?action=discarded").await.len(), 1);
}

#[tokio::test]
async fn a_trail_is_filtered_paged_and_verified_and_of_a_bus_where_the_key_is() {
    let node = start().await;
    let admin = create(&node, "admin", json!({"scopes": ["administer", "audit"]}), None).await;
    let put = async |path: &str| with(&node, "PUT", path, Some(&admin), "{}").await;
    assert_eq!(put("/v1/buses/other").await.status, 201);
    for name in ["a", "b", "c"] {
        assert_eq!(put(&format!("/v1/buses/other/topics/{name}")).await.status, 201);
        assert_eq!(put(&format!("/v1/buses/default/topics/{name}")).await.status, 201);
    }
    let spec = json!({"scopes": ["audit"], "buses": ["other"]});
    let auditor = create(&node, "auditor", spec, Some(&admin)).await;
    with(&node, "GET", "/v1/audit", Some(&auditor), "")
        .await
        .problem(403, "scope_missing");
    let own = with(&node, "GET", "/v1/buses/other/audit?order=oldest", Some(&auditor), "")
        .await
        .json();
    let names: Vec<_> = own["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| &item["name"])
        .collect();
    assert_eq!(names, ["other", "a", "b", "c"]);
    assert_eq!(entries(&node, &admin, "?bus=default&kind=topic").await.len(), 3);
    assert_eq!(entries(&node, &admin, "?name=b").await.len(), 2);
    assert_eq!(entries(&node, &admin, "?key=nobody").await.len(), 0);
    assert_eq!(entries(&node, &admin, "?to=2001-01-01T00:00:00Z").await.len(), 0);
    with(&node, "GET", "/v1/audit?from=yesterday", Some(&admin), "")
        .await
        .problem(400, "query_invalid");
    with(&node, "GET", "/v1/audit?order=random", Some(&admin), "")
        .await
        .problem(400, "query_invalid");
    assert_eq!(entries(&node, &admin, "?action=resealed").await.len(), 0);
    let misspelt = with(&node, "GET", "/v1/audit?action=deletd", Some(&admin), "").await;
    assert_eq!(
        misspelt.problem(400, "query_invalid")["detail"],
        "parameter \"action\": unknown value \"deletd\"; did you mean \"deleted\"?"
    );

    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = with(&node, "GET", &format!("/v1/audit?limit=2{cursor}"), Some(&admin), "")
            .await
            .json();
        let items = page["items"].as_array().expect("a list");
        seen.extend(items.iter().map(|item| item["seq"].as_u64().expect("a number")));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, (1..=9).rev().collect::<Vec<_>>());

    let verify = async |body: Value| with(&node, "POST", "/v1/audit:verify", Some(&admin), &body.to_string()).await;
    let verified = verify(json!({})).await;
    assert_eq!(
        (verified.status, &verified.json()["entries"]),
        (200, &json!(9)),
        "{verified}"
    );
    let head = verified.json()["head"].clone();
    assert_eq!(put("/v1/buses/default/topics/d").await.status, 201);
    assert_eq!(
        verify(head.clone()).await.status,
        200,
        "an end that was noted is still there"
    );
    let other = json!({"seq": head["seq"], "hash": "00".repeat(32)});
    verify(other).await.problem(409, "audit_broken");
    verify(json!({"seq": 1})).await.problem(422, "resource_invalid");
}
