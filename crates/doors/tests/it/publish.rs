//! Publishing: the three modes, what is refused and how, encodings, deduplication, traces.

use crate::harness::{Answer, Node, event, start};
use serde_json::{Value, json, value::RawValue};

const EVENTS: &str = "/v1/buses/default/events";
const BATCH: [&str; 1] = ["content-type: application/cloudevents-batch+json"];
const BINARY: [&str; 5] = [
    "ce-specversion: 1.0",
    "ce-id: 1",
    "ce-source: /s",
    "ce-type: t",
    "content-type: application/json",
];

async fn binary(node: &Node, headers: &[&str], body: impl AsRef<[u8]>) -> Answer {
    node.ask("POST", EVENTS, headers, body).await
}

async fn story(node: &Node, id: &str) -> Value {
    let answer = node.get(&format!("{EVENTS}/{id}")).await;
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()
}

#[tokio::test]
async fn an_event_in_binary_mode_is_acknowledged_with_its_place() {
    let node = start().await;
    let answer = binary(&node, &BINARY, r#"{"a": 1}"#).await;
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let receipt = answer.json();
    assert_eq!(
        (&receipt["id"], &receipt["topic"], &receipt["offset"]),
        (&json!("1"), &json!("events"), &json!(0))
    );
    assert!(
        receipt["partition"].is_u64() && receipt.get("duplicate").is_none(),
        "{receipt}"
    );
    let event = &story(&node, "1").await["event"];
    assert_eq!(event["data"], json!({"a": 1}));
}

#[tokio::test]
async fn a_duplicate_is_acknowledged_with_the_first_ones_place() {
    let node = start().await;
    let first = binary(&node, &BINARY, "1").await.json();
    let second = binary(&node, &BINARY, "2").await.json();
    assert_eq!(
        (&second["partition"], &second["offset"]),
        (&first["partition"], &first["offset"])
    );
    assert_eq!(second["duplicate"], true);
}

#[tokio::test]
async fn structured_mode_takes_parameters_and_any_case() {
    let node = start().await;
    for (id, media_type) in [
        "Application/CloudEvents+JSON; charset=UTF-8",
        "application/cloudevents+json",
    ]
    .iter()
    .enumerate()
    {
        let header = format!("content-type: {media_type}");
        let answer = node
            .ask("POST", EVENTS, &[&header], event(&id.to_string()).to_string())
            .await;
        assert_eq!(answer.status, 200, "{answer}");
    }
}

#[tokio::test]
async fn a_refused_event_names_the_attribute_and_the_rule() {
    let node = start().await;
    for (remove, code) in [
        ("ce-specversion", "event_attribute_missing"),
        ("ce-id", "event_attribute_missing"),
        ("ce-source", "event_attribute_missing"),
        ("ce-type", "event_attribute_missing"),
    ] {
        let headers: Vec<&str> = BINARY
            .into_iter()
            .filter(|header| !header.starts_with(remove))
            .collect();
        let problem = binary(&node, &headers, "{}").await.problem(400, code);
        assert_eq!(problem["attribute"], remove.trim_start_matches("ce-"));
    }
    let with = |header: &'static str| [&BINARY[..], &[header]].concat();
    for (header, attribute) in [
        ("ce-time: yesterday", "time"),
        ("ce-Bad_Name: x", "bad_name"),
        ("ce-subject: %zz", "subject"),
        ("ce-subject: %ff", "subject"),
        ("ce-id: 2", "id"),
    ] {
        let problem = binary(&node, &with(header), "{}")
            .await
            .problem(400, "event_attribute_invalid");
        assert_eq!(problem["attribute"], attribute, "{header}");
    }
    binary(&node, &BINARY, "{").await.problem(400, "event_data_invalid");
    node.publish(json!({"specversion": "0.3", "id": "1", "source": "/", "type": "t"}))
        .await
        .problem(400, "event_specversion_unsupported");
    node.ask("POST", EVENTS, &["content-type: application/cloudevents+xml"], "<a/>")
        .await
        .problem(415, "event_media_type_unsupported");
    assert_eq!(node.get(&format!("{EVENTS}/1")).await.status, 404, "nothing was kept");
}

#[tokio::test]
async fn sizes_are_bounded_exactly() {
    let node = start().await;
    let octets: Vec<&str> = [&BINARY[..4], &["content-type: application/octet-stream"]].concat();
    assert_eq!(binary(&node, &octets, vec![b'x'; 1 << 20]).await.status, 200);
    let problem = binary(&node, &octets, vec![b'x'; (1 << 20) + 1])
        .await
        .problem(413, "event_too_large");
    assert_eq!(problem["attribute"], "data");
    let long = format!("ce-ext: {}", "x".repeat(70_000));
    binary(&node, &[&octets[..], &[&long]].concat(), "x")
        .await
        .problem(413, "event_too_large");
    let many: Vec<Value> = (0..1_001).map(|id| event(&id.to_string())).collect();
    node.ask("POST", EVENTS, &BATCH, json!(many).to_string())
        .await
        .problem(413, "event_batch_too_large");
    node.ask("POST", EVENTS, &BATCH, vec![b' '; (10 << 20) + 1])
        .await
        .problem(413, "body_too_large");
}

#[tokio::test]
async fn a_batch_is_kept_whole_or_not_at_all() {
    let node = start().await;
    let good = node
        .ask("POST", EVENTS, &BATCH, json!([event("a"), event("b")]).to_string())
        .await;
    let receipts = good.json();
    assert_eq!(
        (&receipts["events"][0]["id"], &receipts["events"][1]["index"]),
        (&json!("a"), &json!(1)),
        "{good}"
    );
    let mixed =
        json!([event("c"), {"specversion": "1.0", "id": "", "source": "/", "type": "t"}, event("d"), 5]).to_string();
    let problem = node
        .ask("POST", EVENTS, &BATCH, &mixed)
        .await
        .problem(400, "batch_refused");
    let errors = problem["errors"].as_array().expect("a list");
    assert_eq!(
        (errors.len(), &errors[0]["index"], &errors[1]["index"]),
        (2, &json!(1), &json!(3))
    );
    assert_eq!(
        (&errors[0]["attribute"], &errors[0]["code"]),
        (&json!("id"), &json!("event_attribute_missing"))
    );
    assert_eq!(node.get(&format!("{EVENTS}/c")).await.status, 404);

    let partial = node
        .ask("POST", &format!("{EVENTS}?partial=true"), &BATCH, &mixed)
        .await;
    assert_eq!(partial.status, 200, "{partial}");
    let kept = partial.json();
    assert_eq!(kept["events"].as_array().map(Vec::len), Some(2), "{kept}");
    assert_eq!(
        (&kept["events"][1]["id"], &kept["events"][1]["index"]),
        (&json!("d"), &json!(2))
    );
    assert_eq!(kept["errors"].as_array().map(Vec::len), Some(2));
    story(&node, "c").await;
    node.ask("POST", &format!("{EVENTS}?partial=maybe"), &BATCH, "[]")
        .await
        .problem(400, "query_invalid");
    let nothing = json!([5]).to_string();
    node.ask("POST", &format!("{EVENTS}?partial=true"), &BATCH, nothing)
        .await
        .problem(400, "batch_refused");
    let only = json!([{"specversion": "1.0", "source": "/", "type": "t"}]).to_string();
    let problem = node
        .ask("POST", EVENTS, &BATCH, only)
        .await
        .problem(400, "batch_refused");
    assert_eq!(
        problem["detail"],
        "entry 0 was refused: id: is required and must not be empty; nothing was kept"
    );
    let empty = node.ask("POST", EVENTS, &BATCH, "[]").await;
    assert_eq!((empty.status, empty.json()), (200, json!({"events": []})), "{empty}");
}

#[tokio::test]
async fn the_buss_own_rules_are_422_and_partial_keeps_the_rest() {
    let node = start().await;
    assert_eq!(
        node.put("/v1/buses/default", json!({"unknown_types": "refuse"}))
            .await
            .status,
        200
    );
    let known = json!({"routes": [{"topic": "events"}]});
    assert_eq!(node.put("/v1/buses/default/event-types/known", known).await.status, 201);
    node.publish(event("1")).await.problem(422, "type_unknown");
    let mut good = event("2");
    good["type"] = "known".into();
    let batch = json!([event("1"), good]).to_string();
    let problem = node
        .ask("POST", EVENTS, &BATCH, &batch)
        .await
        .problem(422, "batch_refused");
    assert_eq!(
        (&problem["errors"][0]["index"], &problem["errors"][0]["code"]),
        (&json!(0), &json!("type_unknown"))
    );
    let partial = node
        .ask("POST", &format!("{EVENTS}?partial=true"), &BATCH, &batch)
        .await
        .json();
    assert_eq!(
        (&partial["events"][0]["id"], &partial["errors"][0]["index"]),
        (&json!("2"), &json!(0))
    );
}

#[tokio::test]
async fn an_unknown_bus_is_404() {
    let node = start().await;
    node.ask("POST", "/v1/buses/nowhere/events", &BINARY, "{}")
        .await
        .problem(404, "bus_not_found");
    node.ask("POST", "/v1/buses/%2e%2e/events", &BINARY, "{}")
        .await
        .problem(404, "bus_not_found");
    let long = format!("/v1/buses/{}/events", "x".repeat(10_000));
    let problem = node
        .ask("POST", &long, &BINARY, "{}")
        .await
        .problem(404, "bus_not_found");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() < 200));
}

#[tokio::test]
async fn an_event_takes_the_trace_of_its_request() {
    let node = start().await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let traced = [
        &BINARY[..],
        &[
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "tracestate: a=b",
        ],
    ]
    .concat();
    assert_eq!(binary(&node, &traced, "{}").await.status, 200);
    let event = story(&node, "1").await["event"].clone();
    assert_eq!(
        (&event["traceparent"], &event["tracestate"]),
        (&json!(parent), &json!("a=b"))
    );
}

/// Check 35, the accepting half: what comes out of the story is what went in.
#[tokio::test]
async fn every_byte_is_kept() {
    let node = start().await;
    let all: Vec<u8> = (0..=255).collect();
    let octets: Vec<&str> = [&BINARY[..4], &["content-type: application/octet-stream"]].concat();
    assert_eq!(binary(&node, &octets, &all).await.status, 200);
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    assert_eq!(story(&node, "1").await["event"]["data_base64"], STANDARD.encode(&all));
}

#[tokio::test]
async fn chunked_and_pipelined_requests_are_answered() {
    let node = start().await;
    let request = "POST /v1/buses/default/events HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\
        ce-specversion: 1.0\r\nce-id: 1\r\nce-source: /s\r\nce-type: t\r\ncontent-type: text/plain\r\n\r\n\
        3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n\
        GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let answers = crate::harness::raw(node.address, request.as_bytes()).await;
    let text = String::from_utf8_lossy(&answers);
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2, "{text}");
    assert_eq!(story(&node, "1").await["event"]["data"], "abcde");
}

#[tokio::test]
async fn a_transfer_that_is_coded_beyond_chunks_is_refused_and_not_kept_as_it_is() {
    let node = start().await;
    let headers = [&BINARY[..], &["transfer-encoding: gzip, chunked"]]
        .concat()
        .join("\r\n");
    let request = format!(
        "POST {EVENTS} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n\r\n3\r\n{{ }}\r\n0\r\n\r\n"
    );
    let answer = crate::harness::raw(node.address, request.as_bytes()).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.starts_with("HTTP/1.1 415 ") && answer.contains(r#"\"gzip\" in Transfer-Encoding"#),
        "{answer}"
    );
    node.get(&format!("{EVENTS}/1")).await.problem(404, "event_not_found");
}

/// Publish and deliver agree on how deep data may nest, whatever surrounds it.
#[tokio::test]
async fn the_deepest_data_is_taken_in_every_mode_told_and_taken_again_as_it_was_told() {
    let node = start().await;
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let structured = |id: &str, data: &str| {
        format!("{{\"specversion\":\"1.0\",\"id\":\"{id}\",\"source\":\"/s\",\"type\":\"t\",\"data\":{data}}}")
    };
    let in_each_mode = async |depth: usize| {
        let data = nested(depth);
        let single = ["content-type: application/cloudevents+json"];
        let batch = format!("[{}]", structured("3", &data));
        [
            binary(&node, &BINARY, &data).await,
            node.ask("POST", EVENTS, &single, structured("2", &data)).await,
            node.ask("POST", EVENTS, &BATCH, batch).await,
        ]
    };
    for answer in in_each_mode(129).await {
        assert_eq!(answer.status, 400, "{answer}");
    }
    for answer in in_each_mode(128).await {
        assert_eq!(answer.status, 200, "{answer}");
    }
    for id in ["1", "2", "3"] {
        let told = node.get(&format!("{EVENTS}/{id}")).await;
        assert_eq!(told.status, 200, "{told}");
        let story: std::collections::HashMap<String, Box<RawValue>> =
            serde_json::from_slice(&told.body).expect("an object");
        let event = story["event"].get();
        assert!(event.contains(&nested(128)), "{event}");
        let headers = ["content-type: application/cloudevents+json"];
        let again = node.ask("POST", EVENTS, &headers, event).await;
        assert_eq!(
            (again.status, &again.json()["duplicate"]),
            (200, &json!(true)),
            "{again}"
        );
    }
}
