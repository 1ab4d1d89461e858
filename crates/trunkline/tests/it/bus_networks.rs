//! Check 52: private networks that the operator allows one bus. Another bus does not reach them, whatever its door, and nobody but the
//! operator says otherwise.

use crate::support::{
    eventually,
    receiver::{Receiver, Reply},
    server::Server,
};
use serde_json::{Value, json};
use std::{path::Path, time::Duration};

const PATIENCE: Duration = Duration::from_secs(30);

/// No network is allowed everybody, and this is allowed single buses.
fn start(directory: &Path, bus_networks: &str) -> Server {
    let environment = [
        ("TRUNKLINE_ALLOW_NETWORKS", ""),
        ("TRUNKLINE_BUS_NETWORKS", bus_networks),
    ];
    Server::start_with(directory, &["--listen", "127.0.0.1:0"], &environment)
}

/// Connections that lead to this address by every provider that has one of its own.
fn connections(url: &str) -> [(&'static str, Value); 4] {
    let host = url.trim_end_matches("/hook");
    let aws = json!({"region": "eu-central-1", "endpoint": host,
        "credentials": {"type": "static", "access_key_id": "AKIDEXAMPLE", "secret_access_key": "secret"}});
    let grid = json!({"endpoint": format!("{host}/api/events"), "auth": {"type": "key", "key": "c2VjcmV0"}});
    let token = json!({"type": "oauth2-client-credentials", "token_url": format!("{host}/token"), "client_id": "i", "client_secret": "s"});
    [
        ("hook", json!({"provider": "webhook", "config": {"url": url}})),
        (
            "token",
            json!({"provider": "webhook", "config": {"url": "https://example.com/", "auth": token}}),
        ),
        ("amazon", json!({"provider": "eventbridge", "config": {"aws": aws}})),
        ("grid", json!({"provider": "eventgrid", "config": grid})),
    ]
}

async fn last_reason(server: &Server, id: &str) -> String {
    eventually("an attempt", PATIENCE, async || {
        let story = server.get(&format!("/v1/buses/inside/events/{id}")).await;
        let attempts = story["subscriptions"][0]["attempts"].as_array().cloned();
        let reason = attempts.and_then(|attempts| Some(attempts.last()?["reason"].clone()));
        reason.and_then(|reason| reason.as_str().map(str::to_owned))
    })
    .await
}

async fn publish(server: &Server, id: &str) {
    let event = json!({"specversion": "1.0", "type": "t", "source": "/s", "id": id, "data": {}});
    let headers = [("content-type", "application/cloudevents+json")];
    let answer = server
        .send("POST", "/v1/buses/inside/events", &headers, event.to_string())
        .await;
    assert!(answer.status < 300, "{}", answer.json());
}

#[tokio::test]
async fn check_52_a_bus_reaches_the_networks_that_the_operator_allows_it_and_others_do_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start(|_| Reply::Status(200)).await;
    let server = start(directory.path(), "inside=127.0.0.0/8, inside=::1");
    for bus in ["inside", "outside"] {
        server.put(&format!("/v1/buses/{bus}"), json!({})).await;
    }
    for (name, connection) in connections(&receiver.url("/hook")) {
        for (bus, status) in [("inside", 201), ("outside", 422), ("default", 422)] {
            let path = format!("/v1/buses/{bus}/connections/{name}");
            let answer = server.send("PUT", &path, &[], connection.to_string()).await;
            assert_eq!(answer.status, status, "{bus} {name}: {}", answer.json());
            if status == 422 {
                assert_eq!(answer.json()["code"], "url_refused", "{bus} {name}");
            }
        }
    }
    let path = "/v1/buses/inside/connections/hook:test";
    assert_eq!(server.send("POST", path, &[], "").await.json()["ok"], true);
    server
        .put("/v1/buses/inside/subscriptions/hook", json!({"connection": "hook"}))
        .await;
    publish(&server, "1").await;
    eventually("the delivery", PATIENCE, async || {
        (!receiver.deliveries().is_empty()).then_some(())
    })
    .await;
    let seen = receiver.deliveries().len();
    server.kill();

    // The operator thinks better of it: what was saved is refused when it is connected to.
    let server = start(directory.path(), "outside=127.0.0.0/8");
    publish(&server, "2").await;
    let reason = last_reason(&server, "2").await;
    assert!(reason.starts_with("refused_address: "), "{reason}");
    let said = server.send("POST", path, &[], "").await.json();
    assert_eq!(said["ok"], false, "{said}");
    assert_eq!(receiver.deliveries().len(), seen, "nothing came any more");
}

#[tokio::test]
async fn what_is_no_bus_with_a_network_keeps_a_server_from_starting() {
    let directory = tempfile::tempdir().expect("a directory");
    for (text, said) in [
        ("10.0.0.0/8", "is not BUS=NETWORK, such as shop=10.1.0.0/16"),
        ("shop=10.0.0.0/99", "\"10.0.0.0/99\" is not a network"),
        ("shop=", "is not BUS=NETWORK"),
    ] {
        let environment = [("TRUNKLINE_BUS_NETWORKS", text)];
        let started = Server::try_start(directory.path(), &["--listen", "127.0.0.1:0"], &environment);
        let log = started.err().unwrap_or_default();
        assert!(log.contains("bus_networks: ") && log.contains(said), "{text}: {log}");
    }
}
