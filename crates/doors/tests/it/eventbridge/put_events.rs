//! `PutEvents`: what is taken, what fails and in which words, and that a call which is tried again keeps nothing twice.

use super::{ask, entry, fault, signed_node, signing_key};
use crate::{
    harness::{Node, start},
    keys::{create, with},
};
use serde_json::{Value, json};

/// An entry with other members.
fn with_members(more: Value) -> Value {
    let mut entry = entry();
    for (name, value) in more.as_object().expect("an object") {
        entry[name] = value.clone();
    }
    entry
}

/// The event that a published id names, as a bearer key sees it.
async fn event(node: &Node, admin: &str, bus: &str, id: &str) -> Value {
    let path = format!("/v1/buses/{bus}/events/{id}");
    let answer = with(node, "GET", &path, Some(admin), "").await;
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()["event"].clone()
}

#[tokio::test]
async fn an_entry_becomes_an_event_with_everything_it_had() {
    let node = start().await;
    let admin = create(&node, "admin", json!({"scopes": ["administer", "subscribe"]}), None).await;
    let signer = signing_key(&node, &admin, "checkout", json!({"scopes": ["publish"]})).await;
    let entry = with_members(json!({
        "Source": "my shop", "Time": 1_700_000_000.5, "Resources": ["arn:aws:s3:::b"],
        "TraceHeader": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
    }));
    let answer = ask(&node, &signer, "PutEvents", &json!({"Entries": [entry]})).await;
    assert_eq!(
        (answer.status, &answer.json()["FailedEntryCount"]),
        (200, &json!(0)),
        "{answer}"
    );
    assert!(answer.header("x-amzn-requestid").is_some());
    let id = answer.json()["Entries"][0]["EventId"]
        .as_str()
        .expect("an id")
        .to_owned();
    let event = event(&node, &admin, "default", &id).await;
    let expected = json!({
        "specversion": "1.0", "id": id, "source": "my%20shop", "type": "Order Placed", "time": "2023-11-14T22:13:20.5Z",
        "datacontenttype": "application/json", "awsregion": "eu-west-1", "awsresources": "[\"arn:aws:s3:::b\"]",
        "awssource": "my shop", "awstraceheader": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
        "traceparent": "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01", "data": {"total": 5},
    });
    assert_eq!(event, expected);
}

#[tokio::test]
async fn entries_fail_each_by_itself_and_the_others_are_kept() {
    let (node, signer) = signed_node().await;
    let deep = format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200));
    let failing = [
        (
            json!({"Source": null}),
            "InvalidArgument",
            "Parameter Source is not valid. Reason: Source is a required argument.",
        ),
        (
            json!({"Source": ""}),
            "InvalidArgument",
            "Parameter Source is not valid.",
        ),
        (
            json!({"DetailType": null}),
            "InvalidArgument",
            "Parameter DetailType is not valid. Reason: DetailType is a required argument.",
        ),
        (
            json!({"Detail": null}),
            "InvalidArgument",
            "Parameter Detail is not valid. Reason: Detail is a required argument.",
        ),
        (
            json!({"DetailType": "x".repeat(129)}),
            "InvalidArgument",
            "Parameter DetailType is not valid.",
        ),
        (json!({"Detail": "[]"}), "MalformedDetail", "Detail is malformed."),
        (json!({"Detail": "{\"a\":"}), "MalformedDetail", "Detail is malformed."),
        (json!({"Detail": deep}), "MalformedDetail", "Detail is malformed."),
        (
            json!({"Source": "aws.s3"}),
            "NotAuthorizedForSourceException",
            "Not authorized for the source.",
        ),
        (
            json!({"Source": "io.trunkline.x"}),
            "NotAuthorizedForSourceException",
            "",
        ),
        (
            json!({"Source": "a\u{7}"}),
            "InvalidArgument",
            "Parameter Source is not valid.",
        ),
        (
            json!({"Time": "yesterday"}),
            "InvalidArgument",
            "Parameter Time is not valid.",
        ),
        (json!({"Time": -1}), "InvalidArgument", "Parameter Time is not valid."),
        (
            json!({"EventBusName": "absent"}),
            "ResourceNotFoundException",
            "Event bus absent does not exist.",
        ),
        (
            json!({"EventBusName": "a/b"}),
            "InvalidArgument",
            "Parameter EventBusName is not valid.",
        ),
    ];
    for (members, code, says) in failing {
        let entries = json!([entry(), with_members(members.clone()), entry()]);
        let answer = ask(&node, &signer, "PutEvents", &json!({"Entries": entries})).await;
        let output = answer.json();
        assert_eq!(
            (answer.status, &output["FailedEntryCount"]),
            (200, &json!(1)),
            "{members}: {answer}"
        );
        let failed = &output["Entries"][1];
        assert_eq!(failed["ErrorCode"], code, "{members}: {answer}");
        assert!(
            failed["ErrorMessage"].as_str().expect("text").starts_with(says),
            "{members}: {answer}"
        );
        for kept in [0, 2] {
            assert!(output["Entries"][kept]["EventId"].is_string(), "{answer}");
        }
    }
}

#[tokio::test]
async fn times_are_taken_as_sdks_write_them() {
    let (node, signer) = signed_node().await;
    for time in [
        json!(1_700_000_000),
        json!(1_700_000_000.123),
        json!("2023-11-14T22:13:20Z"),
        json!(0),
        Value::Null,
    ] {
        let input = json!({"Entries": [with_members(json!({"Time": time, "Resources": [], "TraceHeader": null}))]});
        let answer = ask(&node, &signer, "PutEvents", &input).await;
        assert_eq!(answer.json()["FailedEntryCount"], 0, "{time}: {answer}");
    }
}

#[tokio::test]
async fn a_request_that_breaks_the_model_is_refused_whole() {
    let (node, signer) = signed_node().await;
    let many = vec![entry(); 11];
    let half = with_members(json!({"Detail": format!("{{\"a\":\"{}\"}}", "x".repeat(600_000))}));
    for (input, code) in [
        (json!({}), "ValidationException"),
        (json!({"Entries": null}), "ValidationException"),
        (json!({"Entries": []}), "ValidationException"),
        (json!({"Entries": many}), "ValidationException"),
        (json!({"Entries": [half, half]}), "ValidationException"),
        (
            json!({"Entries": [entry()], "EndpointId": "abc.def"}),
            "ValidationException",
        ),
        (
            json!({"Entries": [with_members(json!({"EventBusName": "x".repeat(1_601)}))]}),
            "ValidationException",
        ),
        (
            json!({"Entries": [with_members(json!({"TraceHeader": "x".repeat(501)}))]}),
            "ValidationException",
        ),
        (
            json!({"Entries": [with_members(json!({"TraceHeader": ""}))]}),
            "ValidationException",
        ),
        (
            json!({"Entries": [with_members(json!({"Resources": ["x".repeat(2_049)]}))]}),
            "ValidationException",
        ),
        (
            json!({"Entries": [with_members(json!({"Resources": vec![""; 30_000]}))]}),
            "ValidationException",
        ),
        (
            json!({"Entries": [with_members(json!({"Resources": "x"}))]}),
            "SerializationException",
        ),
        (
            json!({"Entries": [with_members(json!({"Source": 5}))]}),
            "SerializationException",
        ),
        (json!({"Entries": {}}), "SerializationException"),
        (json!([]), "SerializationException"),
    ] {
        fault(&ask(&node, &signer, "PutEvents", &input).await, 400, code);
    }
    let whole = with_members(json!({"Detail": format!("{{\"a\":\"{}\"}}", "x".repeat((1 << 20) - 100))}));
    let answer = ask(&node, &signer, "PutEvents", &json!({"Entries": [whole]})).await;
    assert_eq!(answer.json()["FailedEntryCount"], 0, "{answer}");
}

#[tokio::test]
async fn a_call_that_is_tried_again_keeps_nothing_twice() {
    let (node, mut signer) = signed_node().await;
    let input = json!({"Entries": [entry(), entry()]});
    let invocation = |signer: &mut super::Signer, id: &str, attempt: &str| {
        signer.more = vec![
            ("amz-sdk-invocation-id".to_owned(), id.to_owned()),
            ("amz-sdk-request".to_owned(), format!("attempt={attempt}")),
        ];
    };
    invocation(&mut signer, "7e9b1d3c", "1");
    let first = ask(&node, &signer, "PutEvents", &input).await.json();
    invocation(&mut signer, "7e9b1d3c", "2");
    let again = ask(&node, &signer, "PutEvents", &input).await.json();
    assert_eq!(first, again);
    assert_ne!(
        first["Entries"][0]["EventId"], first["Entries"][1]["EventId"],
        "two entries that are alike are two events"
    );
    invocation(&mut signer, "other", "1");
    assert_ne!(ask(&node, &signer, "PutEvents", &input).await.json(), first);
}

#[tokio::test]
async fn entries_go_to_the_buses_that_they_name() {
    let node = start().await;
    let admin = create(&node, "admin", json!({"scopes": ["administer", "subscribe"]}), None).await;
    for bus in ["orders", "audit"] {
        assert_eq!(
            with(&node, "PUT", &format!("/v1/buses/{bus}"), Some(&admin), "{}")
                .await
                .status,
            201
        );
    }
    let signer = signing_key(
        &node,
        &admin,
        "k",
        json!({"scopes": ["publish"], "buses": ["orders", "default"]}),
    )
    .await;
    let named = |name: &str| with_members(json!({"EventBusName": name}));
    let arn = "arn:aws:events:us-west-2:123456789012:event-bus/orders";
    let input = json!({"Entries": [named("orders"), named("audit"), entry(), named(arn), named(""), named("absent")]});
    let output = ask(&node, &signer, "PutEvents", &input).await.json();
    assert_eq!(output["FailedEntryCount"], 2, "{output}");
    for (index, bus) in [(0, "orders"), (2, "default"), (3, "orders"), (4, "default")] {
        let id = output["Entries"][index]["EventId"].as_str().expect("an id");
        event(&node, &admin, bus, id).await;
    }
    let (theirs, nowhere) = (&output["Entries"][1], &output["Entries"][5]);
    assert_eq!(
        (&theirs["ErrorCode"], &nowhere["ErrorCode"]),
        (&json!("AccessDeniedException"), &json!("AccessDeniedException"))
    );
    let refused = ask(&node, &signer, "PutEvents", &json!({"Entries": [named("audit")]})).await;
    fault(&refused, 400, "AccessDeniedException");
}

/// Check 44.
#[tokio::test]
async fn check_44_a_key_publishes_its_own_sources_and_detail_types_alone() {
    let node = start().await;
    let admin = super::administrator(&node).await;
    let spec = json!({"scopes": ["publish"], "publish": {"sources": ["com.example.*"], "types": ["Order*"]}});
    let signer = signing_key(&node, &admin, "k", spec).await;
    let entries = json!([
        entry(),
        with_members(json!({"Source": "com.other"})),
        with_members(json!({"DetailType": "Invoice"})),
        with_members(json!({"Source": "aws.s3"})),
    ]);
    let output = ask(&node, &signer, "PutEvents", &json!({"Entries": entries}))
        .await
        .json();
    let codes: Vec<_> = output["Entries"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| entry["ErrorCode"].clone())
        .collect();
    let expected = [
        Value::Null,
        json!("NotAuthorizedForSourceException"),
        json!("NotAuthorizedForDetailTypeException"),
        json!("NotAuthorizedForSourceException"),
    ];
    assert_eq!(codes, expected, "{output}");
}

/// Check 65.
#[tokio::test]
async fn check_65_a_quota_that_is_used_up_is_throttling_with_a_hint() {
    let node = start().await;
    let admin = super::administrator(&node).await;
    let limited = signing_key(
        &node,
        &admin,
        "k",
        json!({"scopes": ["publish"], "quotas": {"events": "1/h"}}),
    )
    .await;
    let input = json!({"Entries": [entry()]});
    assert_eq!(
        ask(&node, &limited, "PutEvents", &input).await.json()["FailedEntryCount"],
        0
    );
    let refused = ask(&node, &limited, "PutEvents", &input).await;
    fault(&refused, 400, "ThrottlingException");
    assert!(refused.header("retry-after").is_some(), "{refused}");
    let bus = json!({"quotas": {"events": "1/h"}});
    assert_eq!(
        with(&node, "PUT", "/v1/buses/small", Some(&admin), &bus.to_string())
            .await
            .status,
        201
    );
    let signer = signing_key(&node, &admin, "k2", json!({"scopes": ["publish"]})).await;
    let small = || with_members(json!({"EventBusName": "small"}));
    assert_eq!(
        ask(&node, &signer, "PutEvents", &json!({"Entries": [small()]}))
            .await
            .json()["FailedEntryCount"],
        0
    );
    fault(
        &ask(&node, &signer, "PutEvents", &json!({"Entries": [small()]})).await,
        400,
        "ThrottlingException",
    );
    let mixed = ask(&node, &signer, "PutEvents", &json!({"Entries": [small(), entry()]}))
        .await
        .json();
    assert_eq!(mixed["Entries"][0]["ErrorCode"], "ThrottlingException", "{mixed}");
    assert!(mixed["Entries"][1]["EventId"].is_string(), "{mixed}");
}

#[tokio::test]
async fn what_the_bus_refuses_fails_and_the_rest_of_the_request_is_kept() {
    let node = start().await;
    let admin = super::administrator(&node).await;
    let strict = json!({"unknown_types": "refuse"});
    assert_eq!(
        with(&node, "PUT", "/v1/buses/strict", Some(&admin), &strict.to_string())
            .await
            .status,
        201
    );
    let manager = create(&node, "m", json!({"scopes": ["manage"]}), Some(&admin)).await;
    let made = with(&node, "PUT", "/v1/buses/strict/event-types/Known", Some(&manager), "{}").await;
    assert_eq!(made.status, 201, "{made}");
    let signer = signing_key(&node, &admin, "k", json!({"scopes": ["publish"]})).await;
    let of = |detail_type: &str| with_members(json!({"EventBusName": "strict", "DetailType": detail_type}));
    let output = ask(
        &node,
        &signer,
        "PutEvents",
        &json!({"Entries": [of("Other"), of("Known")]}),
    )
    .await
    .json();
    assert_eq!(
        output["Entries"][0]["ErrorCode"], "NotAuthorizedForDetailTypeException",
        "{output}"
    );
    assert!(output["Entries"][1]["EventId"].is_string(), "{output}");
}
