//! Rules whose targets are queues, topics, streams and buses, put by boto3 as it comes from its registry; what arrives is read back from
//! Amazon's services as moto has them.

use crate::{sdk::installed, support::server::Server};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk/eventbridge_targets.py");

#[tokio::test]
async fn rules_lead_to_amazons_services_to_other_buses_and_to_a_dead_letter_queue() {
    let Some(python) = installed("TRUNKLINE_PYTHON") else {
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
    let mut script = Command::new(python)
        .args([SCRIPT, server.url()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the interpreter starts");
    let output = BufReader::new(script.stdout.take().expect("piped"));
    let (first, rest) = tokio::task::spawn_blocking(move || {
        let mut lines = output.lines();
        (lines.next().map(|line| line.expect("text")), lines)
    })
    .await
    .expect("it is read");
    let told: Value = serde_json::from_str(&first.expect("the script said what went wrong")).expect("JSON");

    let subscription = server.get("/v1/buses/default/subscriptions/all.plain").await;
    assert_eq!(
        (&subscription["connection"], &subscription["target"]["arn"]),
        (&json!("amazon"), &told["plain"])
    );
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

    writeln!(script.stdin.take().expect("piped"), "seen").expect("written");
    let last = tokio::task::spawn_blocking(move || rest.map_while(Result::ok).last());
    assert_eq!(last.await.expect("it is read").as_deref(), Some("gone"));
    assert!(script.wait().expect("it ends").success());
    let answer = server
        .send("GET", "/v1/buses/default/connections/event-bus.audit", &[], "")
        .await;
    assert_eq!(answer.status, 404, "the connection went with its last target");
}
