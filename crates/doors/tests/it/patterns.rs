//! Filters asked by hand: test, explain, lint; and filters of subscriptions on their way in and out.

use crate::harness::{Answer, Node, start};
use serde_json::{Value, json};

async fn ask(node: &Node, verb: &str, question: Value) -> Answer {
    let path = format!("/v1/buses/default/patterns:{verb}");
    node.ask("POST", &path, &["content-type: application/json"], question.to_string())
        .await
}

fn paid() -> Value {
    json!({"eventbridge": {"detail": {"status": ["paid"]}}})
}

fn order(id: &str, status: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/shop", "type": "order", "data": {"status": status}})
}

#[tokio::test]
async fn a_filter_is_tested_against_given_and_stored_events() {
    let node = start().await;
    let published = node.publish(order("kept", "paid")).await.json();
    let position = json!({"topic": "events", "partition": published["partition"], "offset": published["offset"]});
    let events = json!([order("1", "paid"), order("2", "open"), {"detail": {"status": "paid"}}, {"stored": {"id": "kept"}},
        {"stored": position}]);
    let answer = ask(&node, "test", json!({"filter": paid(), "events": events}))
        .await
        .json();
    let matched: Vec<bool> = answer["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|result| result["matched"] == true)
        .collect();
    assert_eq!(matched, [true, false, true, true, true], "{answer}");
    assert_eq!((&answer["matched"], &answer["events"]), (&json!(4), &json!(5)));
    assert_eq!(
        answer["results"][0],
        json!({"index": 0, "id": "1", "source": "/shop", "matched": true})
    );
    let last = ask(&node, "test", json!({"filter": paid(), "last": 10})).await.json();
    assert_eq!(
        (&last["events"], &last["results"][0]["id"]),
        (&json!(1), &json!("kept"))
    );
}

#[tokio::test]
async fn an_explanation_says_what_was_wanted_and_what_was_seen() {
    let node = start().await;
    node.subscribe("s", json!({"types": ["order"], "filter": paid()})).await;
    let answer = ask(
        &node,
        "explain",
        json!({"subscription": "s", "events": [order("1", "open")]}),
    )
    .await
    .json();
    let result = &answer["results"][0];
    assert_eq!(
        result["reason"], "detail.status is \"open\"; wanted [\"paid\"]",
        "{answer}"
    );
    assert_eq!(result["explanation"]["matched"], false);
    assert_eq!(result["explanation"]["root"]["clauses"][0]["matched"], true);
}

#[tokio::test]
async fn a_lint_knows_the_last_events_a_schema_and_the_other_subscriptions() {
    let node = start().await;
    node.subscribe("s", json!({"filter": paid()})).await;
    for id in ["1", "2"] {
        assert_eq!(node.publish(order(id, "open")).await.status, 200);
    }
    let codes = async |question: Value| {
        let answer = ask(&node, "lint", question).await.json();
        let codes = answer["findings"].as_array().expect("findings").iter();
        codes
            .map(|finding| finding["code"].as_str().expect("a code").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        codes(json!({"filter": paid()})).await,
        ["no_sample_matches", "same_as_another"]
    );
    assert_eq!(
        codes(json!({"filter": {"eventbridge": {"order": ["x"]}}})).await,
        ["never_matches", "no_sample_matches"]
    );
    let typo = json!({"filter": {"eventbridge": {"detail": {"sttus": ["open"]}}}});
    assert_eq!(codes(typo).await, ["path_never_seen", "no_sample_matches"]);
    let schema = json!({"properties": {"status": {"type": "number"}}});
    assert_eq!(
        codes(json!({"filter": paid(), "schema": schema, "last": 0})).await,
        ["type_not_in_schema", "same_as_another"]
    );
    let repeated = r#"{"filter": {"eventbridge": {"detail": {"status": ["x"], "status": ["open"]}}}}"#;
    let answer = node
        .ask("POST", "/v1/buses/default/patterns:lint", &[], repeated)
        .await
        .json();
    assert_eq!(answer["findings"][0]["code"], "path_repeated", "{answer}");
}

#[tokio::test]
async fn a_lint_compares_with_the_examples_of_the_types_that_it_names() {
    let node = start().await;
    let order = json!({"lifecycle": "stable", "routes": [], "examples": [{"total": 12.5, "customer": {"id": "c1"}}]});
    let answer = node.put("/v1/buses/default/event-types/shop.order", order).await;
    assert_eq!(answer.status, 201, "{}", answer.json());
    let codes = async |types: Value, detail: Value| {
        let question = json!({"types": types, "filter": {"eventbridge": {"detail": detail}}, "last": 0});
        let answer = ask(&node, "lint", question).await.json();
        let findings = answer["findings"].as_array().cloned().unwrap_or_default();
        let of_finding = |finding: &Value| {
            format!(
                "{} {}",
                finding["severity"].as_str().unwrap(),
                finding["code"].as_str().unwrap()
            )
        };
        (
            answer["schema"].as_str().unwrap().to_owned(),
            findings.iter().map(of_finding).collect::<Vec<_>>(),
        )
    };
    let wrong = json!({"total": ["12.5"]});
    let found = |of: &str, codes: &[&str]| {
        (
            of.to_owned(),
            codes.iter().map(|code| (*code).to_owned()).collect::<Vec<_>>(),
        )
    };
    let expected = found("examples", &["error type_not_in_schema"]);
    assert_eq!(codes(json!(["shop.order"]), wrong.clone()).await, expected);
    assert_eq!(codes(json!(["shop.*"]), wrong.clone()).await, expected);
    let misspelt = json!({"customer": {"di": ["c1"]}});
    assert_eq!(
        codes(json!(["shop.order"]), misspelt).await,
        found("examples", &["warning path_not_in_schema"])
    );
    assert_eq!(
        codes(json!(["shop.order"]), json!({"total": [12.5]})).await,
        found("examples", &[])
    );
    assert_eq!(
        codes(json!(["shop.order", "shop.other"]), wrong.clone()).await,
        found("none", &[])
    );
    assert_eq!(codes(json!(["other.*"]), wrong).await, found("none", &[]));
}

#[tokio::test]
async fn a_bad_question_is_refused_with_its_place() {
    let node = start().await;
    for (question, status, code, pointer) in [
        (json!({}), 422, "resource_invalid", json!("")),
        (
            json!({"filter": {"eventbridge": {"a": 1}}}),
            422,
            "filter_invalid",
            json!("/filter/eventbridge/a"),
        ),
        (
            json!({"filter": {"eventbridg": {}}}),
            422,
            "field_unknown",
            json!("/filter/eventbridg"),
        ),
        (json!({"types": [""]}), 422, "types_invalid", json!("/types/0")),
        (
            json!({"filter": paid(), "subscription": "s"}),
            422,
            "resource_invalid",
            json!("/subscription"),
        ),
        (json!({"subscription": "none"}), 404, "resource_not_found", Value::Null),
        (
            json!({"filter": paid(), "evnts": []}),
            400,
            "resource_malformed",
            Value::Null,
        ),
        (
            json!({"filter": paid(), "last": 1000}),
            422,
            "resource_invalid",
            json!("/last"),
        ),
        (
            json!({"types": ["a"], "events": [{"a": 1}]}),
            422,
            "resource_invalid",
            json!("/events/0"),
        ),
        (
            json!({"filter": paid(), "events": [{"specversion": "1.0"}]}),
            400,
            "event_attribute_missing",
            json!("/events/0"),
        ),
        (
            json!({"filter": paid(), "events": [{"stored": {"id": "none"}}]}),
            404,
            "event_not_found",
            json!("/events/0"),
        ),
        (
            json!({"filter": paid(), "events": [{"stored": {"topic": "events"}}]}),
            422,
            "resource_invalid",
            json!("/events"),
        ),
    ] {
        let problem = ask(&node, "test", question.clone()).await.problem(status, code);
        assert_eq!(
            problem.get("pointer").unwrap_or(&Value::Null),
            &pointer,
            "{question}: {problem}"
        );
    }
    let get = node.get("/v1/buses/default/patterns:test").await;
    assert_eq!(get.status, 405, "{get}");
}

#[tokio::test]
async fn a_refused_filter_names_the_byte_the_line_and_the_correction() {
    let node = start().await;
    node.subscribe("s", json!({})).await;
    let body = "{\"connection\": \"c\", \"filter\": {\"eventbridge\": {\n  \"detail\": {\"status\": \"paid\"}}}}";
    let path = "/v1/buses/default/subscriptions/other";
    let problem = node.ask("PUT", path, &[], body).await.problem(422, "filter_invalid");
    assert_eq!(problem["pointer"], "/filter/eventbridge/detail/status", "{problem}");
    assert_eq!(problem["position"], json!({"byte": 25, "line": 2, "column": 24}));
    assert_eq!(problem["suggestion"], "write it as a list: \"status\": [\"paid\"]");
}

#[tokio::test]
async fn a_filters_text_comes_back_as_it_went_in() {
    let node = start().await;
    node.subscribe("s", json!({})).await;
    let path = "/v1/buses/default/subscriptions/t";
    for (filter, shown) in [
        (
            r#"{"z": [300.0], "detail": {"b": [1], "a": [2]}}"#,
            r#"{"z":[300.0],"detail":{"b":[1],"a":[2]}}"#,
        ),
        (r#"{"a": [1e400, 3e2]}"#, r#""{\"a\": [1e400, 3e2]}""#),
        (r#"{"a": ["x"], "a": ["y"]}"#, r#""{\"a\": [\"x\"], \"a\": [\"y\"]}""#),
    ] {
        let body = format!("{{\"connection\": \"c\", \"filter\": {{\"eventbridge\": {filter}}}}}");
        let put = node.ask("PUT", path, &[], body).await;
        assert!(put.status < 300, "{put}");
        let (version, text) = (
            put.json()["version"].clone(),
            String::from_utf8_lossy(&put.body).into_owned(),
        );
        assert!(
            text.contains(&format!("\"filter\":{{\"eventbridge\":{shown}}}")),
            "{text}"
        );
        let again = node.ask("PUT", path, &[], put.body).await.json();
        assert_eq!(
            again["version"], version,
            "what was read is put again and changes nothing"
        );
    }
}
