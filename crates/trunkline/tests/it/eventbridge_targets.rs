//! Rules whose targets are queues, topics, streams, buses and functions, put by boto3 as it comes from its registry; what arrives is read back from
//! Amazon's services as moto has them.

use crate::{
    sdk::installed,
    support::{script::Script, server::Server},
};
use serde_json::json;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk/eventbridge_targets.py");

#[tokio::test]
async fn rules_lead_to_amazons_services_to_other_buses_and_to_a_dead_letter_queue() {
    let Some(python) = installed("TRUNKLINE_PYTHON") else {
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
    let mut script = Script::start(&python, &[SCRIPT, server.url()]);
    let told = script.told();

    let subscription = server.get("/v1/buses/default/subscriptions/all.plain").await;
    assert_eq!(
        (&subscription["connection"], &subscription["target"]["arn"]),
        (&json!("amazon"), &told["plain"])
    );
    let function = server.get("/v1/buses/default/subscriptions/functions.whole").await;
    assert_eq!(function["connection"], "functions", "{function}");
    let dying = server.get("/v1/buses/default/subscriptions/dying.1").await;
    assert_eq!(dying["dead_letter"]["target"]["arn"], told["dead"]);
    let to_bus = server.get("/v1/buses/default/connections/event-bus.audit").await;
    assert_eq!(
        (&to_bus["provider"], &to_bus["config"]["bus"]),
        (&json!("bus"), &json!("audit"))
    );
    let connection = server.get("/v1/buses/default/connections/crm-orders").await;
    assert!(!connection.to_string().contains("CANARY"), "{connection}");
    assert!(!server.log().contains("CANARY"), "{}", server.log());

    script.tell("seen");
    assert_eq!(script.ended().as_deref(), Some("gone"));
    let answer = server
        .send("GET", "/v1/buses/default/connections/event-bus.audit", &[], "")
        .await;
    assert_eq!(answer.status, 404, "the connection went with its last target");
}
