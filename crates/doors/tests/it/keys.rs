//! Keys: the first one ends the keyless time; scopes and buses are held; no route is open but the probes.

use crate::harness::{Answer, Node, event, start};
use control::resources::Scope;
use doors::http::routes::{self, Permission, Route, Verb};
use serde_json::json;

async fn create(node: &Node, id: &str, spec: serde_json::Value, token: Option<&str>) -> String {
    let answer = with(node, "PUT", &format!("/v1/keys/{id}"), token, &spec.to_string()).await;
    assert_eq!(answer.status, 201, "{answer}");
    answer.json()["token"].as_str().expect("it is shown once").to_owned()
}

async fn with(node: &Node, method: &str, path: &str, token: Option<&str>, body: &str) -> Answer {
    let authorization = token.map(|token| format!("authorization: Bearer {token}"));
    let headers: Vec<&str> = authorization
        .iter()
        .map(String::as_str)
        .chain(["content-type: application/cloudevents+json"])
        .collect();
    node.ask(method, path, &headers, body).await
}

/// An address of a row, of things of which only the bus is there; what would be deleted is not.
fn address(row: &Route) -> String {
    let bus = match (row.verb, row.path) {
        (Verb::Delete, "/v1/buses/{bus}") => "absent",
        _ => "default",
    };
    let mut path = row.path.replace("{bus}", bus);
    for name in ["{name}", "{id}", "{code}"] {
        path = path.replace(name, "absent");
    }
    path
}

fn is_allowed(key: &str, permission: Permission) -> bool {
    match permission {
        Permission::Open | Permission::AnyKey => true,
        Permission::Bus(scope) => matches!((key, scope), ("publisher", Scope::Publish) | ("manager", Scope::Manage)),
        Permission::Installation(_) => false,
    }
}

#[tokio::test]
async fn every_route_asks_for_its_right() {
    let node = start().await;
    let admin = create(&node, "admin", json!({"scopes": ["publish", "manage"]}), None).await;
    assert_eq!(
        with(&node, "PUT", "/v1/buses/other", Some(&admin), "{}").await.status,
        201
    );
    let keys = [
        ("publisher", json!({"scopes": ["publish"], "buses": ["default"]})),
        ("manager", json!({"scopes": ["manage"], "buses": ["default"]})),
        ("stranger", json!({"scopes": ["publish", "manage"], "buses": ["other"]})),
        (
            "expired",
            json!({"scopes": ["publish", "manage"], "not_after": "2020-01-01T00:00:00Z"}),
        ),
    ];
    let mut tokens = Vec::new();
    for (id, spec) in keys {
        tokens.push((id, create(&node, id, spec, Some(&admin)).await));
    }
    for row in routes::all() {
        let (method, path) = (row.verb.method().to_string(), address(row));
        let ask = async |token: Option<&str>| with(&node, &method, &path, token, "{}").await;
        if row.permission == Permission::Open {
            assert!(!matches!(ask(None).await.status, 401 | 403), "{method} {path}");
            continue;
        }
        ask(None).await.problem(401, "unauthenticated");
        ask(Some("tlk_admin.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))
            .await
            .problem(401, "key_invalid");
        ask(Some("nonsense")).await.problem(401, "key_invalid");
        for (id, token) in &tokens {
            let answer = ask(Some(token)).await;
            match (*id, is_allowed(id, row.permission)) {
                ("expired", _) => drop(answer.problem(401, "key_expired")),
                (_, true) => assert!(!matches!(answer.status, 401 | 403), "{id} {method} {path}: {answer}"),
                (_, false) => drop(answer.problem(403, "scope_missing")),
            }
        }
        let answer = ask(Some(&admin)).await;
        assert!(
            !matches!(answer.status, 401 | 403) && answer.status < 500,
            "{method} {path}: {answer}"
        );
    }
    for probe in ["/healthz", "/readyz"] {
        assert_eq!(with(&node, "GET", probe, None, "").await.status, 200);
    }
}

/// Check 38: another tenant's key learns nothing, not even what exists.
#[tokio::test]
async fn a_key_of_another_bus_cannot_tell_what_exists() {
    let node = start().await;
    let admin = create(&node, "admin", json!({"scopes": ["publish", "manage"]}), None).await;
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
    let admin = create(&node, "admin", json!({"scopes": ["publish", "manage"]}), None).await;
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
        &json!({"scopes": ["manage", "publish"]}).to_string(),
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
