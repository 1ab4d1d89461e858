//! Deliveries to Lambda functions of moto (the backend that needs no Docker): both kinds of invocation, functions that fail,
//! throttling, and batches of which a function takes only a part.

use crate::{
    aws::{Amazon, deliver_to, publish_keyed},
    sdk::installed,
    support::{eventually, server::Server},
};
use serde_json::{Value, json};
use std::time::Duration;

/// The attempts of one event, as status and class of the reason, in their order.
async fn attempts(server: &Server, id: &str, count: usize) -> Vec<(u64, String)> {
    eventually(
        &format!("{count} attempts of {id}"),
        Duration::from_secs(30),
        async || {
            let story = server.get(&format!("/v1/buses/default/events/{id}")).await;
            let deliveries = story["subscriptions"].as_array().cloned().unwrap_or_default();
            let attempts: Vec<_> = deliveries
                .iter()
                .flat_map(|delivery| delivery["attempts"].as_array().cloned().unwrap_or_default())
                .map(|attempt| {
                    let reason = attempt["reason"].as_str().unwrap_or_default();
                    let class = reason.split(':').next().unwrap_or_default();
                    (attempt["status"].as_u64().unwrap_or_default(), class.to_owned())
                })
                .collect();
            (attempts.len() >= count).then_some(attempts)
        },
    )
    .await
}

fn of_kind(invocations: &[Value], kind: &str) -> Vec<Value> {
    let of_kind = invocations.iter().filter(|invocation| invocation["kind"] == kind);
    of_kind.cloned().collect()
}

#[tokio::test]
async fn functions_are_invoked_in_both_ways_and_tried_again_when_they_fail_or_are_busy() {
    let Some(python) = installed("TRUNKLINE_PYTHON") else {
        return;
    };
    let mut amazon = Amazon::start(&python);
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
    let retry = json!({"delivery": {"concurrency": 1, "retry": {"schedule": ["0s", "100ms"]}}});
    let function = |more: Value| amazon.connection("lambda", more);
    let queued = function(json!({"function": "orders", "qualifier": "live"}));
    deliver_to(&server, "queued", queued, json!({})).await;
    let said = server
        .send("POST", "/v1/buses/default/connections/queued:test", &[], "")
        .await;
    assert_eq!(said.json()["ok"], true, "{}", said.json());
    publish_keyed(&server, "1", "c", json!({"n": 1})).await;
    let invocations = amazon.took("functions", 2).await;
    assert_eq!(of_kind(&invocations, "DryRun").len(), 1, "the connection's test");
    let queued = of_kind(&invocations, "Event");
    assert_eq!(
        queued[0]["path"],
        "/2015-03-31/functions/orders/invocations?Qualifier=live"
    );
    assert_eq!(queued[0]["events"][0]["data"], json!({"n": 1, "customer": "c"}));
    assert_eq!(attempts(&server, "1", 1).await, [(202, String::new())]);

    let waited = amazon.connection(
        "lambda",
        json!({"function": "orders", "invocation": "request-response"}),
    );
    server
        .send("DELETE", "/v1/buses/default/subscriptions/queued", &[], "")
        .await;
    deliver_to(&server, "waited", waited, retry).await;
    for (id, fault, reason, status) in [
        ("2", "raises", "aws_function_error", 200),
        ("3", "busy", "aws_TooManyRequestsException", 429),
    ] {
        publish_keyed(&server, id, "c", json!({"fault": fault})).await;
        let tried = attempts(&server, id, 2).await;
        assert_eq!(tried[0], (status, reason.to_owned()), "{fault}: {tried:?}");
        assert_eq!(tried[1].0, 200, "{fault}: {tried:?}");
    }
}

/// Only the events that the function named are tried again.
#[tokio::test]
async fn of_a_batch_only_the_events_that_the_function_names_are_tried_again() {
    let Some(python) = installed("TRUNKLINE_PYTHON") else {
        return;
    };
    let mut amazon = Amazon::start(&python);
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
    let connection = amazon.connection(
        "lambda",
        json!({"function": "orders", "invocation": "request-response"}),
    );
    let delivery =
        json!({"concurrency": 1, "retry": {"schedule": ["0s", "100ms"]}, "batch": {"events": 5, "window": "1s"}});
    let extra = json!({"target": {"mode": "batched"}, "delivery": delivery});
    deliver_to(&server, "batched", connection, extra).await;
    for number in 0..5 {
        let data = json!({"n": number, "fail_once": number == 3});
        publish_keyed(&server, &number.to_string(), "c", data).await;
    }
    let tried = attempts(&server, "3", 2).await;
    assert_eq!(tried[0], (500, "http_500".to_owned()), "{tried:?}");
    assert_eq!(tried[1].0, 200, "{tried:?}");
    for number in [0, 1, 2, 4] {
        assert_eq!(attempts(&server, &number.to_string(), 1).await.len(), 1, "{number}");
    }
    let mut seen: Vec<String> = Vec::new();
    for invocation in amazon.took("functions", 2).await {
        let events = invocation["events"].as_array().expect("an array");
        seen.extend(
            events
                .iter()
                .map(|event| event["id"].as_str().expect("a text").to_owned()),
        );
    }
    seen.sort_unstable();
    assert_eq!(seen, ["0", "1", "2", "3", "3", "4"]);
}
