//! The whole life of an EventBridge rule with boto3 as it comes from its registry, and the same things in `/v1`.

use crate::{
    sdk::installed,
    support::{script::Script, server::Server},
};
use serde_json::json;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk/eventbridge_rules.py");

#[tokio::test]
async fn boto3_leads_a_rule_through_its_life_and_v1_shows_the_same_things() {
    let Some(python) = installed("TRUNKLINE_PYTHON") else {
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
    let mut script = Script::start(&python, &[SCRIPT, server.url()]);
    let told = script.told();
    assert_eq!(told["received"].as_array().map(Vec::len), Some(2));

    let subscription = server.get("/v1/buses/orders/subscriptions/big.crm").await;
    assert_eq!(subscription["connection"], "crm-orders");
    assert_eq!(
        subscription["transform"]["input_transformer"]["paths"]["name"],
        "$.detail.name"
    );
    assert_eq!(subscription["delivery"]["retry"]["attempts"], 6);
    let connection = server.get("/v1/buses/default/connections/crm-orders").await;
    assert_eq!(
        (&connection["config"]["method"], &connection["config"]["auth"]["type"]),
        (&json!("PUT"), &json!("api-key"))
    );
    let replays = server.get("/v1/buses/orders/replays").await;
    assert_eq!(
        (&replays["items"][0]["name"], &replays["items"][0]["status"]["state"]),
        (&json!("again.0"), &json!("completed"))
    );
    assert!(replays["items"][0]["status"]["newest"].is_string(), "{replays}");
    let topic = server.get("/v1/buses/orders/topics/events").await;
    assert_eq!(topic["retention"]["age"], "10d");

    script.tell("seen");
    assert_eq!(script.ended().as_deref(), Some("gone"));
    assert_eq!(server.get("/v1/buses/orders/subscriptions").await["items"], json!([]));
}
