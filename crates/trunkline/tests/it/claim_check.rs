//! Events that are too large for their destination: what arrives at SQS (moto's) is where they are, and what is there is what was
//! published, byte for byte.

use crate::{
    aws::{Amazon, deliver_to},
    sdk::installed,
    support::server::Server,
};
use serde_json::{Value, json};

const OUTSIDE: &str = "https://bus.example.com";

/// The path of the place that a message names.
fn place(message: &Value) -> String {
    let event: Value = serde_json::from_str(message["body"].as_str().expect("a text")).expect("JSON");
    assert_eq!(event.get("data"), None, "{event}");
    let place = event["dataref"].as_str().expect("a place");
    place.strip_prefix(OUTSIDE).expect("it is outside's").to_owned()
}

#[tokio::test]
async fn what_is_too_large_for_a_queue_is_fetched_from_the_place_that_its_message_names() {
    let Some(python) = installed("TRUNKLINE_PYTHON") else {
        return;
    };
    let mut amazon = Amazon::start(&python);
    let directory = tempfile::tempdir().expect("a directory");
    let environment = [("TRUNKLINE_PUBLIC_URL", OUTSIDE)];
    let arguments = ["--listen", "127.0.0.1:0", "--allow-network", "127.0.0.0/8"];
    let server = Server::start_with(directory.path(), &arguments, &environment);
    server.put("/v1/buses/archive", json!({})).await;
    let connection = amazon.connection("sqs", json!({"queue": amazon.made["queue"]}));
    let target = json!({"target": {"claim_check": {"over": "100KiB"}}});
    deliver_to(&server, "queue", connection.clone(), target.clone()).await;

    let large = vec![0xfe; 200 << 10];
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-type", "invoice.scanned"),
        ("ce-source", "/scanner/a+b"),
        ("ce-id", "page 1/2"),
        ("content-type", "image/tiff"),
    ];
    let path = "/v1/buses/default/events";
    let answer = server.send("POST", path, &headers, large.clone()).await;
    assert!(answer.status < 300, "{}", answer.json());
    let arrived = amazon.took("queue", 1).await;
    let path = place(&arrived[0]);
    let fetched = server.send("GET", &path, &[], "").await;
    assert_eq!((fetched.status, fetched.bytes.len()), (200, large.len()));
    assert!(fetched.bytes == large, "byte for byte");
    assert_eq!(fetched.headers["content-type"], "image/tiff");
    assert_eq!(fetched.headers["content-disposition"], "attachment");

    // Replayed to another bus, it still is where it is.
    let bus = "/v1/buses/archive";
    server.put(&format!("{bus}/connections/queue"), connection).await;
    let mut subscription = target;
    subscription["connection"] = "queue".into();
    server.put(&format!("{bus}/subscriptions/queue"), subscription).await;
    let into = json!({"subscription": "queue", "bus": "archive"});
    let replay = json!({"name": "again", "into": into, "from": "earliest"});
    let started = server
        .send("POST", "/v1/buses/default/replays", &[], replay.to_string())
        .await;
    assert!(started.status < 300, "{}", started.json());
    let arrived = amazon.took("queue", 2).await;
    assert_eq!(place(&arrived[1]), path);

    for (id, status) in [("page%201%2F2", 200), ("page%203", 404)] {
        let answer = server
            .send("GET", &format!("/v1/buses/default/events/{id}/data"), &[], "")
            .await;
        assert_eq!(answer.status, status, "{id}");
    }
    assert_eq!(server.get("/v1/buses/default/dead-letters").await["items"], json!([]));
}

#[tokio::test]
async fn a_claim_check_that_makes_no_sense_is_refused_when_it_is_saved() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
    let credentials = json!({"type": "static", "access_key_id": "AKIDEXAMPLE", "secret_access_key": "secret"});
    let queue = json!({"queue": "https://sqs.eu-central-1.amazonaws.com/1/q",
        "aws": {"region": "eu-central-1", "credentials": credentials}});
    for (name, provider, config) in [
        ("queue", "sqs", queue),
        ("hook", "webhook", json!({"url": "http://127.0.0.1:1/"})),
    ] {
        let connection = json!({"provider": provider, "config": config});
        server
            .put(&format!("/v1/buses/default/connections/{name}"), connection)
            .await;
    }
    for (subscription, pointer) in [
        (
            json!({"connection": "hook", "target": {"claim_check": {}}}),
            "/target/claim_check",
        ),
        (
            json!({"connection": "queue", "target": {"claim_check": {"over": "1"}}}),
            "/target/claim_check/over",
        ),
        (
            json!({"connection": "queue", "target": {"claim_check": {"above": "1MiB"}}}),
            "/target/claim_check",
        ),
        (
            json!({"connection": "queue", "transform": {"input_path": "$.detail"}, "target": {"claim_check": {}}}),
            "/target/claim_check",
        ),
    ] {
        let path = "/v1/buses/default/subscriptions/s";
        let answer = server.send("PUT", path, &[], subscription.to_string()).await;
        let said = answer.json().to_string();
        assert!((400..500).contains(&answer.status) && said.contains(pointer), "{said}");
    }
}
