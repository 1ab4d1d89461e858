//! `/v1` resources: create, read, list, replace under conditions, delete, dry runs; and what is refused.

use crate::harness::{Answer, Node, start};
use serde_json::{Value, json};

const TOPICS: &str = "/v1/buses/default/topics";

async fn put_if(node: &Node, path: &str, condition: &str, document: Value) -> Answer {
    node.ask("PUT", path, &[condition], document.to_string()).await
}

#[tokio::test]
async fn a_resource_is_created_read_replaced_and_deleted() {
    let node = start().await;
    let path = &format!("{TOPICS}/orders");
    let created = node
        .put(path, json!({"partitions": 3, "retention": {"age": "7d"}}))
        .await;
    assert_eq!(created.status, 201, "{created}");
    let tag = created.header("etag").expect("a version").to_owned();
    let read = node.get(path).await;
    assert_eq!((read.status, read.header("etag")), (200, Some(tag.as_str())));
    let document = read.json();
    assert_eq!(
        (&document["kind"], &document["name"], &document["partitions"]),
        (&json!("topic"), &json!("orders"), &json!(3))
    );

    let again = node.put(path, document.clone()).await;
    assert_eq!(
        (again.status, again.header("etag")),
        (200, Some(tag.as_str())),
        "nothing changes: {again}"
    );
    let replaced = put_if(&node, path, &format!("if-match: {tag}"), json!({"partitions": 4})).await;
    assert_eq!(replaced.status, 200, "{replaced}");
    assert_ne!(replaced.header("etag"), Some(tag.as_str()));
    put_if(&node, path, &format!("if-match: {tag}"), json!({"partitions": 5}))
        .await
        .problem(412, "version_conflict");
    put_if(&node, path, "if-none-match: *", json!({}))
        .await
        .problem(412, "already_exists");
    put_if(&node, &format!("{TOPICS}/absent"), "if-match: *", json!({}))
        .await
        .problem(412, "version_conflict");
    for broken in [
        "if-match: W/\"1\"",
        "if-match: 1",
        "if-match: \"x\"",
        "if-none-match: \"1\"",
        "if-match: \"01\"",
    ] {
        put_if(&node, path, broken, json!({}))
            .await
            .problem(400, "precondition_invalid");
    }

    let deleted = node.ask("DELETE", path, &[], "").await;
    assert_eq!((deleted.status, deleted.body.len()), (204, 0), "{deleted}");
    node.get(path).await.problem(404, "resource_not_found");
    node.ask("DELETE", path, &[], "")
        .await
        .problem(404, "resource_not_found");
}

#[tokio::test]
async fn lists_come_in_pages() {
    let node = start().await;
    for name in ["a", "b", "c"] {
        assert_eq!(
            node.put(&format!("{TOPICS}/{name}"), json!({"partitions": 1}))
                .await
                .status,
            201
        );
    }
    let first = node.get(&format!("{TOPICS}?limit=3")).await.json();
    let names = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().expect("a list");
        items
            .iter()
            .map(|item| item["name"].as_str().expect("a name").to_owned())
            .collect()
    };
    assert_eq!(names(&first), ["a", "b", "c"]);
    let cursor = first["next"].as_str().expect("there is more");
    let second = node.get(&format!("{TOPICS}?limit=3&cursor={cursor}")).await.json();
    assert_eq!((names(&second), second.get("next")), (vec!["events".to_owned()], None));
    node.get(&format!("{TOPICS}?cursor=%21"))
        .await
        .problem(400, "cursor_invalid");
    node.get(&format!("{TOPICS}?limit=0"))
        .await
        .problem(400, "query_invalid");
    node.get(&format!("{TOPICS}?limt=1"))
        .await
        .problem(400, "query_invalid");
}

#[tokio::test]
async fn a_dry_run_says_what_would_differ_and_changes_nothing() {
    let node = start().await;
    let path = &format!("{TOPICS}/orders?dry_run=true");
    let create = node.put(path, json!({"partitions": 3})).await;
    assert_eq!(
        (create.status, &create.json()["action"]),
        (200, &json!("create")),
        "{create}"
    );
    node.get(&format!("{TOPICS}/orders"))
        .await
        .problem(404, "resource_not_found");
    assert_eq!(
        node.put(&format!("{TOPICS}/orders"), json!({"partitions": 3}))
            .await
            .status,
        201
    );
    let update = node.put(path, json!({"partitions": 5})).await.json();
    assert_eq!(
        update,
        json!({"action": "update", "changes": [{"pointer": "/partitions", "before": 3, "after": 5}]})
    );
    let none = node.put(path, json!({"partitions": 3})).await.json();
    assert_eq!(none, json!({"action": "none", "changes": []}));
    let delete = node.ask("DELETE", path, &[], "").await.json();
    assert_eq!(delete["action"], "delete");
    node.put(path, json!({"partitions": 0}))
        .await
        .problem(422, "resource_invalid");
}

#[tokio::test]
async fn secrets_never_come_back() {
    let node = start().await;
    let path = "/v1/buses/default/connections/crm";
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let config = json!({"url": "http://127.0.0.1:9/", "signing": {"style": "standard-webhooks", "secrets": [secret]},
        "auth": {"type": "bearer", "token": "canary-token"}});
    let put = node.put(path, json!({"provider": "webhook", "config": config})).await;
    assert_eq!(put.status, 201, "{put}");
    let read = node.get(path).await;
    let list = node.get("/v1/buses/default/connections").await;
    let dry = node
        .put(
            &format!("{path}?dry_run=true"),
            json!({"provider": "webhook", "config": {"url": "http://127.0.0.1:9/"}}),
        )
        .await;
    for answer in [&put, &read, &list, &dry] {
        let text = answer.to_string();
        assert!(!text.contains("MfKQ9r8") && !text.contains("canary"), "{text}");
    }
    assert!(read.json()["config"]["auth"]["token"]["fingerprint"].is_string());
    let back = node.put(path, read.json()).await;
    assert_eq!((back.status, back.header("etag")), (200, read.header("etag")), "{back}");
}

#[tokio::test]
async fn what_is_wrong_with_a_resource_has_a_place() {
    let node = start().await;
    let problem = node
        .put(&format!("{TOPICS}/t"), json!({"partitons": 3}))
        .await
        .problem(422, "field_unknown");
    assert_eq!(problem["pointer"], "/partitons");
    node.ask("PUT", &format!("{TOPICS}/t"), &[], "{")
        .await
        .problem(400, "resource_malformed");
    node.ask("PUT", &format!("{TOPICS}/t"), &[], "[]")
        .await
        .problem(400, "resource_invalid");
    node.ask("PUT", &format!("{TOPICS}/t"), &[], "[".repeat(200_000))
        .await
        .problem(400, "resource_malformed");
    node.ask("PUT", &format!("{TOPICS}/t"), &[], vec![b' '; (1 << 20) + 1])
        .await
        .problem(413, "body_too_large");
    node.put(&format!("{TOPICS}/a%20b"), json!({}))
        .await
        .problem(422, "name_invalid");
    node.put(&format!("{TOPICS}/..%2f..%2fetc"), json!({}))
        .await
        .problem(422, "name_invalid");
    node.put("/v1/buses/nowhere/topics/t", json!({}))
        .await
        .problem(404, "bus_not_found");
    let private = json!({"provider": "webhook", "config": {"url": "http://169.254.169.254/latest"}});
    node.put("/v1/buses/default/connections/c", private)
        .await
        .problem(422, "url_refused");
}

#[tokio::test]
async fn event_types_have_names_that_need_encoding() {
    let node = start().await;
    let path = "/v1/buses/default/event-types/com.example%2Forder%3Aplaced";
    assert_eq!(
        node.put(path, json!({"routes": [{"topic": "events"}]})).await.status,
        201
    );
    assert_eq!(node.get(path).await.json()["name"], "com.example/order:placed");
}

#[tokio::test]
async fn a_subscription_shows_its_status_and_can_be_paused_and_resumed() {
    let node = start().await;
    node.subscribe("s", json!({})).await;
    let path = "/v1/buses/default/subscriptions/s";
    node.until(path, |value| value["status"]["state"] == "running").await;
    let paused = node.ask("POST", &format!("{path}:pause"), &[], "").await;
    assert_eq!(
        (paused.status, &paused.json()["enabled"]),
        (200, &json!(false)),
        "{paused}"
    );
    assert_eq!(paused.json()["status"]["state"], "paused", "{paused}");
    let document = node.get(path).await.json();
    assert_eq!(
        node.put(path, document).await.status,
        200,
        "status and version are ignored on the way in"
    );
    let resumed = node.ask("POST", &format!("{path}:resume"), &[], "").await;
    assert_eq!(
        (resumed.status, &resumed.json()["status"]["state"]),
        (200, &json!("running")),
        "{resumed}"
    );
    let mut document = node.get(path).await.json();
    for (enabled, state) in [(false, "paused"), (true, "running")] {
        document["enabled"] = enabled.into();
        let put = node.put(path, document.clone()).await;
        assert_eq!(
            (put.status, &put.json()["status"]["state"]),
            (200, &json!(state)),
            "{put}"
        );
    }
    node.ask("POST", &format!("{path}:explode"), &[], "")
        .await
        .problem(405, "method_not_allowed");
    node.ask("POST", "/v1/buses/default/subscriptions/absent:pause", &[], "")
        .await
        .problem(404, "resource_not_found");
}

#[tokio::test]
async fn unknown_places_and_methods_are_problems_too() {
    let node = start().await;
    node.get("/").await.problem(405, "method_not_allowed");
    node.get("/v2").await.problem(404, "not_found");
    node.get("/v2/buses").await.problem(404, "not_found");
    node.get("/v1/buses/default/topics/%ff").await.problem(404, "not_found");
    let answer = node.ask("PATCH", &format!("{TOPICS}/events"), &[], "").await;
    answer.problem(405, "method_not_allowed");
    let allow = answer.header("allow").expect("RFC 9110 asks for it");
    assert!(
        ["GET", "PUT", "DELETE"].iter().all(|method| allow.contains(method)),
        "{allow}"
    );
    let head = node.ask("HEAD", TOPICS, &[], "").await;
    assert_eq!((head.status, head.body.len()), (200, 0), "{head}");
    let page = node.get("/docs/errors/version_conflict").await;
    assert!(String::from_utf8_lossy(&page.body).contains("(HTTP 412)"), "{page}");
}
