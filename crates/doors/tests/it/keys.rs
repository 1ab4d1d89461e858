//! Keys: the first one ends the keyless time; tokens, rotation, what a key may publish. The rights of routes are in
//! `authorization`.

use crate::harness::{Answer, Node, event, start};
use serde_json::json;

pub async fn create(node: &Node, id: &str, spec: serde_json::Value, token: Option<&str>) -> String {
    let answer = with(node, "PUT", &format!("/v1/keys/{id}"), token, &spec.to_string()).await;
    assert_eq!(answer.status, 201, "{answer}");
    answer.json()["token"].as_str().expect("it is shown once").to_owned()
}

/// Ends a key that is there: none is made that has ended already.
pub async fn expire(node: &Node, id: &str, mut spec: serde_json::Value, token: &str) {
    spec["not_after"] = "2020-01-01T00:00:00Z".into();
    let ended = with(node, "PUT", &format!("/v1/keys/{id}"), Some(token), &spec.to_string()).await;
    assert_eq!(ended.status, 200, "{ended}");
}

pub async fn with(node: &Node, method: &str, path: &str, token: Option<&str>, body: &str) -> Answer {
    let authorization = token.map(|token| format!("authorization: Bearer {token}"));
    let headers: Vec<&str> = authorization
        .iter()
        .map(String::as_str)
        .chain(["content-type: application/cloudevents+json"])
        .collect();
    node.ask(method, path, &headers, body).await
}

/// Check 38: another tenant's key learns nothing, not even what exists.
#[tokio::test]
async fn a_key_of_another_bus_cannot_tell_what_exists() {
    let node = start().await;
    let admin = create(&node, "admin", json!({"scopes": ["publish", "administer"]}), None).await;
    assert_eq!(
        with(&node, "PUT", "/v1/buses/other", Some(&admin), "{}").await.status,
        201
    );
    let stranger = create(
        &node,
        "stranger",
        json!({"scopes": ["manage"], "buses": ["other"]}),
        Some(&admin),
    )
    .await;
    for path in ["topics/events", "topics/absent", "events/1", "dead-letters/1-1-1-1-1"] {
        let there = with(&node, "GET", &format!("/v1/buses/default/{path}"), Some(&stranger), "").await;
        let nowhere = with(&node, "GET", &format!("/v1/buses/absent0/{path}"), Some(&stranger), "").await;
        there.problem(403, "scope_missing");
        assert_eq!(there.body.len(), nowhere.body.len(), "{there}\n{nowhere}");
    }
    let buses = with(&node, "GET", "/v1/buses", Some(&stranger), "").await.json();
    assert_eq!(buses["items"].as_array().map(Vec::len), Some(1), "{buses}");
}

#[tokio::test]
async fn a_token_is_shown_once_and_may_stand_in_the_query_of_publishing() {
    let node = start().await;
    let admin = create(&node, "admin", json!({"scopes": ["publish", "administer"]}), None).await;
    let read = with(&node, "GET", "/v1/keys/admin", Some(&admin), "").await;
    assert!(
        !read.to_string().contains(&admin) && read.json().get("token").is_none(),
        "{read}"
    );
    let again = with(
        &node,
        "PUT",
        "/v1/keys/admin",
        Some(&admin),
        &json!({"scopes": ["administer", "publish"]}).to_string(),
    )
    .await;
    assert!(again.status == 200 && again.json().get("token").is_none(), "{again}");
    let path = format!("/v1/buses/default/events?access_token={admin}");
    let published = node
        .ask(
            "POST",
            &path,
            &["content-type: application/cloudevents+json"],
            event("1").to_string(),
        )
        .await;
    assert_eq!(published.status, 200, "{published}");
    node.get(&format!("/v1/buses?access_token={admin}"))
        .await
        .problem(401, "unauthenticated");
}

/// Check 44: the types and sources that a key may publish are held before anything is accepted.
#[tokio::test]
async fn check_44_a_key_publishes_only_the_types_and_sources_it_is_for() {
    let node = start().await;
    let admin = create(&node, "admin", json!({"scopes": ["publish", "administer"]}), None).await;
    let limits = json!({"types": ["com.example.*"], "sources": ["/shop/*"]});
    let shop = create(
        &node,
        "shop",
        json!({"scopes": ["publish"], "publish": limits}),
        Some(&admin),
    )
    .await;
    let path = "/v1/buses/default/events";
    let event =
        |id: &str, source: &str, kind: &str| json!({"specversion": "1.0", "id": id, "source": source, "type": kind});
    let publish = async |event: serde_json::Value| with(&node, "POST", path, Some(&shop), &event.to_string()).await;
    assert_eq!(publish(event("1", "/shop/7", "com.example.order")).await.status, 200);
    for (source, kind, attribute) in [
        ("/bank", "com.example.order", "source"),
        ("aws.s3", "com.example.order", "source"),
        ("/shop/../bank", "com.example.order", "source"),
        ("/shop/7", "aws.s3", "type"),
    ] {
        let problem = publish(event("2", source, kind))
            .await
            .problem(403, "event_not_permitted");
        assert_eq!(problem["attribute"], attribute, "{problem}");
    }
    let binary = [
        "ce-specversion: 1.0",
        "ce-id: 2",
        "ce-source: /bank",
        "ce-type: com.example.order",
    ];
    let authorization = format!("authorization: Bearer {shop}");
    let headers: Vec<&str> = binary.into_iter().chain([authorization.as_str()]).collect();
    let answer = node.ask("POST", path, &headers, "").await;
    answer.problem(403, "event_not_permitted");
    let batch = json!([
        event("3", "/shop/1", "com.example.a"),
        event("4", "/bank", "com.example.a"),
        event("5", "/shop/1", "x")
    ]);
    let headers = [
        "content-type: application/cloudevents-batch+json",
        authorization.as_str(),
    ];
    let refused = node
        .ask("POST", path, &headers, batch.to_string())
        .await
        .problem(403, "batch_refused");
    let entries = refused["errors"].as_array().expect("a list").iter();
    let told: Vec<_> = entries
        .map(|entry| (entry["index"].clone(), entry["attribute"].clone()))
        .collect();
    assert_eq!(told, [(json!(1), json!("source")), (json!(2), json!("type"))]);
    for id in ["2", "3"] {
        let story = with(&node, "GET", &format!("{path}/{id}"), Some(&admin), "").await;
        story.problem(404, "event_not_found");
    }
    let partial = node
        .ask("POST", &format!("{path}?partial=true"), &headers, batch.to_string())
        .await;
    assert_eq!(
        (partial.status, partial.json()["events"].as_array().map(Vec::len)),
        (200, Some(1))
    );
}

#[tokio::test]
async fn a_key_that_would_never_work_is_not_made_and_an_expired_one_that_is_rotated_says_so() {
    let node = start().await;
    let admin = create(&node, "admin", json!({"scopes": ["administer"]}), None).await;
    let put = async |id: &str, body: serde_json::Value| {
        with(&node, "PUT", &format!("/v1/keys/{id}"), Some(&admin), &body.to_string()).await
    };
    let past = json!({"scopes": ["read"], "not_after": "2001-01-01T00:00:00Z"});
    let refused = put("late", past).await.problem(422, "resource_invalid");
    assert_eq!(refused["pointer"], "/not_after", "{refused}");
    create(&node, "early", json!({"scopes": ["read"]}), Some(&admin)).await;
    let rotate = async || {
        with(
            &node,
            "POST",
            "/v1/keys/early:rotate",
            Some(&admin),
            r#"{"overlap": "0s"}"#,
        )
        .await
    };
    assert!(rotate().await.json()["expired"].is_null());
    expire(&node, "early", json!({"scopes": ["read"]}), &admin).await;
    assert_eq!(rotate().await.json()["expired"], true);
}

#[tokio::test]
async fn a_rotated_key_has_two_tokens_until_the_overlap_ends() {
    let node = start().await;
    let admin = create(&node, "admin", json!({"scopes": ["administer"]}), None).await;
    let rotate = async |name: &str, token: &str, body: &str| {
        with(&node, "POST", &format!("/v1/keys/{name}:rotate"), Some(token), body).await
    };
    let status = async |token: &str| with(&node, "GET", "/v1/keys/admin", Some(token), "").await;
    let rotated = rotate("admin", &admin, "{}").await;
    assert_eq!(rotated.status, 200, "{rotated}");
    let second = rotated.json()["token"].as_str().expect("shown once").to_owned();
    let shown = status(&admin).await.json();
    assert_eq!(shown["secrets"].as_array().map(Vec::len), Some(2), "{shown}");
    assert!(
        shown["secrets"][1]["not_after"].is_string() && shown["last_used"].is_string(),
        "{shown}"
    );
    rotate("admin", &second, "{}").await.problem(409, "in_use");
    for (body, pointer) in [
        (r#"{"overlap": "soon"}"#, "/overlap"),
        (r#"{"overlap": "100d"}"#, "/overlap"),
    ] {
        let problem = rotate("admin", &second, body).await.problem(422, "resource_invalid");
        assert_eq!(problem["pointer"], pointer, "{problem}");
    }
    rotate("absent", &second, "{}").await.problem(404, "resource_not_found");
    let third = rotate("admin", &second, r#"{"overlap": "0s"}"#).await.json();
    for ended in [&admin, &second] {
        status(ended).await.problem(401, "key_invalid");
    }
    let third = third["token"].as_str().expect("shown once");
    let again = with(
        &node,
        "PUT",
        "/v1/keys/admin",
        Some(third),
        &status(third).await.json().to_string(),
    )
    .await;
    assert_eq!(again.status, 200, "what a GET gives, a PUT takes: {again}");
}

#[tokio::test]
async fn a_key_that_signs_shows_a_secret_and_opens_nothing_as_a_bearer() {
    let node = start().await;
    let admin = create(&node, "admin", json!({"scopes": ["administer"]}), None).await;
    for signing in ["aws", "eventgrid"] {
        let spec = json!({"scopes": ["publish"], "signing": signing}).to_string();
        let made = with(&node, "PUT", &format!("/v1/keys/{signing}"), Some(&admin), &spec).await;
        let made = made.json();
        let secret = made["secret"].as_str().expect("shown once");
        assert!(secret.len() == 44 && made.get("token").is_none(), "{made}");
        let token = format!(
            "tlk_{signing}.{}",
            secret.trim_end_matches('=').replace('+', "-").replace('/', "_")
        );
        with(&node, "GET", "/v1/buses", Some(&token), "")
            .await
            .problem(401, "key_invalid");
    }
}
