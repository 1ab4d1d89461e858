//! Replays through the door: looked at, started, held, ended, and refused.

use crate::harness::{Node, event, start};
use crate::keys::{create, with};
use serde_json::{Value, json};

const REPLAYS: &str = "/v1/buses/default/replays";

async fn with_events(count: usize) -> Node {
    let node = start().await;
    node.subscribe("s", json!({})).await;
    for number in 0..count {
        assert_eq!(node.publish(event(&format!("e{number}"))).await.status, 200);
    }
    node
}

async fn post(node: &Node, path: &str, body: Value) -> crate::harness::Answer {
    let body = body.to_string();
    node.ask("POST", path, &["content-type: application/json"], body).await
}

#[tokio::test]
async fn a_replay_is_looked_at_started_and_followed_to_its_end() {
    let node = with_events(5).await;
    let asked = json!({"name": "again", "from": "earliest", "filter": {"cesql": "id <> 'e3'"},
        "into": {"subscription": "s"}});
    let preview = post(&node, &format!("{REPLAYS}?dry_run=true"), asked.clone()).await;
    assert_eq!(preview.status, 200, "{preview}");
    let preview = preview.json();
    assert_eq!((&preview["matched"], &preview["records"]), (&json!(4), &json!(5)));
    assert_eq!(preview["complete"], json!(true));
    assert_eq!(preview["samples"].as_array().map(Vec::len), Some(4));
    assert!(preview["samples"][0]["event"]["id"].is_string(), "{preview}");
    assert_eq!(
        node.get(REPLAYS).await.json()["items"],
        json!([]),
        "a dry run starts nothing"
    );

    let started = post(&node, REPLAYS, asked.clone()).await;
    assert_eq!(started.status, 201, "{started}");
    let path = format!("{REPLAYS}/again");
    let done = node
        .until(&path, |replay| replay["status"]["state"] == "completed")
        .await;
    assert_eq!(done["status"]["delivered"], json!(4));
    assert_eq!(done["status"]["records"], json!({"done": 5, "all": 5}));
    assert_eq!(done["filter"], asked["filter"]);
    let story = node
        .until("/v1/buses/default/events/e1", |story| story["replays"].is_array())
        .await;
    assert_eq!(story["replays"][0]["replay"], json!("again"), "{story}");
    assert_eq!(story["replays"][0]["state"], json!("delivered"));
    post(&node, REPLAYS, asked).await.problem(412, "already_exists");
    post(&node, &format!("{path}:pause"), json!({}))
        .await
        .problem(409, "replay_over");
    assert_eq!(node.ask("DELETE", &path, &[], "").await.status, 204);
    node.get(&path).await.problem(404, "resource_not_found");
    let trail = node.get("/v1/audit?kind=replay&order=oldest").await.json();
    let entries = trail["items"].as_array().expect("a list").iter();
    let told: Vec<_> = entries
        .filter(|entry| entry["action"] != "looked")
        .map(|entry| (&entry["action"], &entry["name"]))
        .collect();
    let again = json!("again");
    assert_eq!(
        told,
        [(&json!("started"), &again), (&json!("deleted"), &again)],
        "what was refused is not in the trail"
    );
}

#[tokio::test]
async fn a_running_replay_is_held_goes_on_and_is_cancelled() {
    let node = with_events(20).await;
    for name in ["one", "two"] {
        let asked = json!({"name": name, "from": "earliest", "into": {"subscription": "s"}, "rate": "1/m"});
        assert_eq!(post(&node, REPLAYS, asked).await.status, 201);
    }
    let page = node.get(&format!("{REPLAYS}?limit=1")).await.json();
    assert_eq!(page["items"][0]["name"], json!("one"));
    let cursor = page["next"].as_str().expect("there is another page");
    let page = node.get(&format!("{REPLAYS}?limit=1&cursor={cursor}")).await.json();
    assert_eq!(
        (page["items"][0]["name"].as_str(), &page["next"]),
        (Some("two"), &Value::Null)
    );
    let verb = async |verb: &str| post(&node, &format!("{REPLAYS}/one:{verb}"), json!({})).await.json();
    assert_eq!(verb("pause").await["status"]["state"], json!("paused"));
    assert_eq!(verb("resume").await["status"]["state"], json!("running"));
    let one = format!("{REPLAYS}/one");
    node.ask("DELETE", &one, &[], "").await.problem(409, "replay_running");
    assert_eq!(verb("cancel").await["status"]["state"], json!("cancelled"));
    assert_eq!(node.ask("DELETE", &one, &[], "").await.status, 204);
}

#[tokio::test]
async fn a_replay_makes_the_subscription_that_it_goes_to() {
    let node = with_events(3).await;
    let create = json!({"connection": "s", "topics": ["events"]});
    let subscription = node.get("/v1/buses/default/subscriptions/s").await.json();
    let create = json!({"connection": subscription["connection"], "topics": create["topics"]});
    let asked = json!({"from": "earliest", "into": {"subscription": "new", "create": create}});
    let preview = post(&node, &format!("{REPLAYS}?dry_run=true"), asked.clone())
        .await
        .json();
    assert_eq!(preview["matched"], json!(3));
    node.get("/v1/buses/default/subscriptions/new")
        .await
        .problem(404, "resource_not_found");
    let mut wrong = asked.clone();
    wrong["topics"] = json!(["absent"]);
    let problem = post(&node, REPLAYS, wrong).await.problem(422, "resource_invalid");
    assert_eq!(problem["pointer"], json!("/topics/0"));
    node.get("/v1/buses/default/subscriptions/new")
        .await
        .problem(404, "resource_not_found");
    let started = post(&node, REPLAYS, asked.clone()).await;
    assert_eq!(started.status, 201, "{started}");
    let name = started.json()["name"].as_str().expect("a name").to_owned();
    node.until(&format!("{REPLAYS}/{name}"), |replay| {
        replay["status"]["delivered"] == json!(3)
    })
    .await;
    post(&node, REPLAYS, asked).await.problem(412, "already_exists");
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_refused_with_its_place() {
    let node = with_events(1).await;
    for (body, code, pointer) in [
        (
            json!({"from": "now", "into": {"subscription": "s"}}),
            "resource_invalid",
            "/from",
        ),
        (
            json!({"from": "earliest", "into": {"subscription": "t"}}),
            "resource_invalid",
            "/into/subscription",
        ),
        (
            json!({"from": "earliest", "into": {"subscription": "s"}, "speed": 1}),
            "field_unknown",
            "/speed",
        ),
        (
            json!({"name": "../x", "from": "earliest", "into": {"subscription": "s"}}),
            "name_invalid",
            "/name",
        ),
        (
            json!({"name": 5, "from": "earliest", "into": {"subscription": "s"}}),
            "resource_invalid",
            "/name",
        ),
        (
            json!({"from": "earliest", "into": {"topic": "events", "create": {}}}),
            "resource_invalid",
            "/into/create",
        ),
        (
            json!({"from": "earliest", "rate": "fast", "into": {"subscription": "s"}}),
            "resource_invalid",
            "/rate",
        ),
    ] {
        let problem = post(&node, REPLAYS, body.clone()).await.problem(422, code);
        assert_eq!(problem["pointer"], json!(pointer), "{body}: {problem}");
    }
    post(&node, REPLAYS, json!([1])).await.problem(422, "resource_invalid");
    node.get(&format!("{REPLAYS}?cursor=x"))
        .await
        .problem(400, "cursor_invalid");
}

/// A key of one bus replays into no other, and into a topic only who may publish.
#[tokio::test]
async fn a_replay_asks_for_the_rights_of_where_it_goes() {
    let node = with_events(1).await;
    let admin = create(&node, "admin", json!({"scopes": ["administer"]}), None).await;
    assert_eq!(
        with(&node, "PUT", "/v1/buses/lab", Some(&admin), "{}").await.status,
        201
    );
    let narrow = json!({"scopes": ["subscribe"], "buses": ["default"]});
    let narrow = create(&node, "narrow", narrow, Some(&admin)).await;
    for into in [json!({"topic": "events"}), json!({"bus": "lab", "subscription": "s"})] {
        let body = json!({"from": "earliest", "into": into}).to_string();
        let refused = with(&node, "POST", REPLAYS, Some(&narrow), &body).await;
        refused.problem(403, "scope_missing");
    }
    let body = json!({"from": "earliest", "into": {"subscription": "s"}}).to_string();
    assert_eq!(with(&node, "POST", REPLAYS, Some(&narrow), &body).await.status, 201);
}
