//! Checks 41 and 53 on the EventBridge door: whatever is sent, nothing breaks, and no name widens a right.

use super::{ask, entry, fault, managed, signed_node};
use serde_json::{Value, json};

#[tokio::test]
async fn check_53_hostile_bodies_are_refused() {
    let (node, signer) = signed_node().await;
    let deep = "[".repeat(100_000);
    let nested = format!("{{\"Entries\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let many = format!("{{\"Entries\": [{}{{}}]}}", "{},".repeat(500_000));
    for body in [
        "",
        "null",
        "5",
        "{",
        "\u{feff}{}",
        &deep,
        &nested,
        &many,
        "{\"Entries\": [{\"Source\": \"\\ud800\"}]}",
        "{\"Entries\": [], \"Entries\": []}",
    ] {
        let headers = signer.headers("PutEvents", body);
        let answer = node
            .ask(
                "POST",
                "/",
                &headers.iter().map(String::as_str).collect::<Vec<_>>(),
                body,
            )
            .await;
        assert_eq!(answer.status, 400, "{answer}");
    }
    let large = "x".repeat((4 << 20) + 1);
    let headers = signer.headers("PutEvents", &large);
    let answer = node
        .ask(
            "POST",
            "/",
            &headers.iter().map(String::as_str).collect::<Vec<_>>(),
            large,
        )
        .await;
    fault(&answer, 413, "RequestEntityTooLargeException");
    let headers = [
        signer.headers("PutEvents", "{}"),
        vec!["content-encoding: gzip".to_owned()],
    ]
    .concat();
    let answer = node
        .ask(
            "POST",
            "/",
            &headers.iter().map(String::as_str).collect::<Vec<_>>(),
            "{}",
        )
        .await;
    fault(&answer, 400, "SerializationException");
}

/// Serde would take a list of the members' values for an object.
#[tokio::test]
async fn a_list_is_no_object_and_no_fault_names_types_of_this_program() {
    let (node, _, signer) = managed().await;
    let rule = r#"{"source":["s"]}"#;
    for (operation, input) in [
        (
            "PutEvents",
            json!([[{"Source": "s", "DetailType": "t", "Detail": "{}"}], null]),
        ),
        (
            "PutEvents",
            json!({"Entries": [["s", "t", "{}", null, null, null, null]]}),
        ),
        ("PutEvents", json!({"Entries": [5]})),
        ("PutEvents", json!({"Entries": {}})),
        ("PutEvents", json!({"Entries": [{"Source": 5}]})),
        ("PutRule", json!(["r", null, rule, null, null, null, null, []])),
        (
            "PutRule",
            json!({"Name": "r", "EventPattern": rule, "Tags": [["k", "v"]]}),
        ),
        ("PutRule", json!({"Name": ["r"], "EventPattern": rule})),
        ("ListRules", json!([null, null, null])),
        ("TestEventPattern", json!([rule, "{}"])),
        (
            "PutTargets",
            json!({"Rule": "r", "Targets": [{"Id": "1", "Arn": "a", "InputTransformer": [{}, "{}"]}]}),
        ),
        (
            "CreateConnection",
            json!({"Name": "c", "AuthorizationType": "BASIC", "AuthParameters": {"BasicAuthParameters": ["u", "p"]}}),
        ),
    ] {
        let answer = ask(&node, &signer, operation, &input).await;
        let body = fault(&answer, 400, "SerializationException");
        let message = body["message"].as_str().expect("text");
        for of_rust in ["struct", "i64", "tuple", "Input with", "unit"] {
            assert!(!message.contains(of_rust), "{operation} {input}: {message}");
        }
    }
}

#[tokio::test]
async fn check_53_bytes_that_are_no_utf_8_are_refused() {
    let (node, signer) = signed_node().await;
    let body = b"{\"Entries\": [{\"Source\": \"\xff\xfe\"}]}";
    let headers = signer.headers("PutEvents", body);
    let headers = headers.iter().map(String::as_str).collect::<Vec<_>>();
    fault(
        &node.ask("POST", "/", &headers, body).await,
        400,
        "SerializationException",
    );
}

/// Check 41.
#[tokio::test]
async fn check_41_no_name_of_a_bus_means_another_one() {
    let (node, signer) = signed_node().await;
    let long = "a".repeat(1_600);
    for name in [
        "..",
        "../default",
        ".*",
        "default/",
        "default%00",
        "default\u{0}",
        "dеfault",
        "DEFAULT",
        "*",
        &long,
    ] {
        let mut entry = entry();
        entry["EventBusName"] = name.into();
        let answer = ask(&node, &signer, "PutEvents", &json!({"Entries": [entry]})).await;
        assert_eq!(
            (answer.status, &answer.json()["FailedEntryCount"]),
            (200, &json!(1)),
            "{name}: {answer}"
        );
        assert!(
            answer.json()["Entries"][0].get("EventId").is_none_or(Value::is_null),
            "{name}: {answer}"
        );
    }
}
