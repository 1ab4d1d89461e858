//! The EventBridge door with real clients, as they come from their registries: boto3, the AWS CLI, the AWS SDK for JavaScript; and
//! what becomes of the events they publish.

use crate::{
    sdk::installed,
    support::{receiver::Receiver, server::Server},
};
use serde_json::{Value, json};
use std::process::Command;

/// A server with keys, an access key id and its secret.
async fn signed_server(directory: &std::path::Path) -> (Server, String, String) {
    let data = directory.join("data");
    let data = data.to_str().expect("a path that is text");
    let made = Command::new(crate::support::server::BINARY)
        .args(["--output", "json", "key", "create", "--data-dir", data])
        .args(["--scope", "administer", "--scope", "subscribe", "--scope", "manage"])
        .output()
        .expect("it runs");
    let made: Value = serde_json::from_slice(&made.stdout).expect("JSON");
    let token = made["token"].as_str().expect("a bearer key has a token");
    let server = Server::start_with(
        data.as_ref(),
        &["--listen", "127.0.0.1:0", "--allow-network", "127.0.0.0/8"],
        &[],
    );
    let server = server.with_key(token);
    let made = server.run(&[
        "key",
        "create",
        "--id",
        "checkout",
        "--signing",
        "aws",
        "--scope",
        "publish",
    ]);
    let word = |line: &str| {
        let found = made.lines().find_map(|found| found.strip_prefix(line));
        found.expect("the command shows it").trim().to_owned()
    };
    let (id, secret) = (word("access key id"), word("secret access key"));
    (server, id, secret)
}

/// Runs a script whose asserts are the test, and gives what it says that it published.
async fn run(mut command: Command) -> Value {
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("it ends")
        .expect("it runs");
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{said}\n{complained}");
    serde_json::from_str(said.lines().last().expect("it says what it published")).expect("JSON")
}

async fn event(server: &Server, published: &Value, name: &str) -> Value {
    let id = published[name][0]
        .as_str()
        .unwrap_or_else(|| panic!("{name} published nothing: {published}"));
    let mut event = server.get(&format!("/v1/buses/default/events/{id}")).await["event"].clone();
    assert_eq!(event["id"], id);
    event.as_object_mut().expect("an event").remove("id");
    event
}

#[tokio::test]
async fn boto3_and_the_command_line_publish_and_understand_every_answer() {
    let Some(python) = installed("TRUNKLINE_PYTHON") else {
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let (server, id, secret) = signed_server(directory.path()).await;
    let receiver = Receiver::healthy().await;
    let filter = json!({"eventbridge": {"source": ["shop.example.com"], "detail": {"sku": ["24-MB01"]}, "region": ["eu-west-1"]}});
    server.subscribe("magento", &receiver, json!({"filter": filter})).await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk/eventbridge.py");
    let mut command = Command::new(&python);
    command.args([script, server.url(), &id, &secret]);
    let published = run(command).await;

    let shown = event(&server, &published, "boto3").await;
    let trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
    let expected = json!({
        "specversion": "1.0", "source": "my%20shop%20%C3%A9", "awssource": "my shop \u{e9}", "type": "Order Placed",
        "time": "2023-11-14T22:13:20Z", "datacontenttype": "application/json", "awsregion": "eu-west-1",
        "awsresources": "[\"arn:aws:s3:::bucket\"]", "awstraceheader": trace,
        "traceparent": "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01", "data": {"total": 5},
    });
    assert_eq!(shown, expected);
    for name in ["partial", "presigned", "retried", "cli"] {
        assert_eq!(
            event(&server, &published, name).await["source"],
            "com.example.shop",
            "{name}"
        );
    }

    let magento = event(&server, &published, "magento").await;
    let detail = json!({"sku": "24-MB01", "qty": 1, "metadata": {"date": "2023-11-14 22:13:20", "timestamp": 1_700_000_000, "async": false}});
    let expected = json!({
        "specversion": "1.0", "source": "shop.example.com", "type": "CartProductAdded", "time": "2023-11-14T22:13:20Z",
        "datacontenttype": "application/json", "awsregion": "eu-west-1", "data": detail,
    });
    assert_eq!(magento, expected);
    let delivered = receiver.took(1).await;
    assert_eq!(
        serde_json::from_slice::<Value>(&delivered[0].body).expect("JSON"),
        detail
    );
}

#[tokio::test]
async fn the_javascript_sdk_publishes_and_understands_every_answer() {
    let Some(packages) = installed("TRUNKLINE_NODE_PACKAGES") else {
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let (server, id, secret) = signed_server(directory.path()).await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk/eventbridge.mjs");
    let mut command = Command::new("node");
    command.args([script, &packages, server.url(), &id, &secret]);
    let published = run(command).await;
    let shown = event(&server, &published, "javascript").await;
    assert_eq!(
        (&shown["time"], &shown["data"], &shown["awsresources"]),
        (
            &json!("2023-11-14T22:13:20.123Z"),
            &json!({"total": 5, "name": "\u{e9}"}),
            &json!("[\"arn:aws:s3:::bucket\"]")
        )
    );
}

/// An acknowledged entry survives a kill, and the ids of a call that is tried again are the same after it.
#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
    let body = json!({"Entries": [{"Source": "s", "DetailType": "t", "Detail": "{}"}]}).to_string();
    let put = async |server: &Server| {
        let headers = [
            ("x-amz-target", "AWSEvents.PutEvents"),
            ("amz-sdk-invocation-id", "the-same"),
        ];
        server.send("POST", "/", &headers, body.clone()).await.json()
    };
    let first = put(&server).await;
    let id = first["Entries"][0]["EventId"].as_str().expect("an id").to_owned();
    server.kill();
    let server = Server::start(directory.path());
    server.get(&format!("/v1/buses/default/events/{id}")).await;
    assert_eq!(put(&server).await, first);
}
