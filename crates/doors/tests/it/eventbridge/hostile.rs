//! Checks 41 and 53 on the EventBridge door: whatever is sent, nothing breaks, and no name widens a right.

use super::{ask, entry, fault, signed_node};
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
