//! What targets and parameters may say, of which connection, and what a stored secret among parameters is.

use super::*;
use ResourceKind::{Bus, Connection, Subscription};

const QUEUE: &str = "arn:aws:sqs:eu-west-1:123456789012:orders";
const FIFO: &str = "arn:aws:sqs:eu-west-1:123456789012:orders.fifo";

/// With connections `amazon` (an account), `places` (a webhook with two places), `adds` (one that adds to bodies).
fn furnished() -> Installation {
    let mut installation = Installation::furnished();
    let credentials = json!({"type": "static", "access_key_id": "AKID", "secret_access_key": "canary-secret"});
    let aws = json!({"region": "eu-west-1", "credentials": credentials});
    for (name, body) in [
        (
            "amazon",
            json!({"provider": "aws", "config": {"aws": aws, "serves": ["arn:aws:sqs:*"]}}),
        ),
        (
            "places",
            json!({"provider": "webhook", "config": {"url": "https://crm.example/*/orders/*?a=*"}}),
        ),
        (
            "adds",
            json!({"provider": "webhook", "config": {"url": "https://crm.example/", "parameters": [{"in": "body", "name": "a", "value": "b"}]}}),
        ),
    ] {
        assert_eq!(
            told(installation.put(Connection, name, body)),
            "ConnectionPut",
            "{name}"
        );
    }
    installation
}

#[test]
fn a_target_says_what_its_connection_takes() {
    for (body, expected) in [
        (
            json!({"connection": "amazon", "target": {"arn": QUEUE, "mode": "data", "attributes": {"a": "b"}}}),
            "SubscriptionCreated",
        ),
        (
            json!({"connection": "amazon", "target": {"arn": FIFO, "group_id": "g", "mode": "envelope"}}),
            "SubscriptionCreated",
        ),
        (
            json!({"connection": "crm", "dead_letter": {"connection": "amazon", "target": {"arn": QUEUE, "mode": "envelope"}}}),
            "SubscriptionCreated",
        ),
        (
            json!({"connection": "places", "target": {"path": ["$.detail.id", "x"], "query": {"a": "$.id"}, "headers": {"x-a": "b"}}}),
            "SubscriptionCreated",
        ),
        (
            json!({"connection": "crm", "target": {"mode": "envelope"}}),
            "SubscriptionCreated",
        ),
        (
            json!({"connection": "amazon"}),
            "resource_invalid /target/arn: with aws connections, arn says where events go",
        ),
        (
            json!({"connection": "crm", "target": {"arn": QUEUE}}),
            "resource_invalid /target/arn: arn and role_arn are for aws connections: others say themselves where they lead",
        ),
        (
            json!({"connection": "crm", "dead_letter": {"connection": "amazon"}}),
            "resource_invalid /dead_letter/target/arn: with aws connections, arn says where events go",
        ),
        (
            json!({"connection": "amazon", "target": {"arn": QUEUE, "group_id": "g"}}),
            "resource_invalid /target/group_id: group_id is for FIFO queues and topics (their names end in .fifo) and for kinesis connections",
        ),
        (
            json!({"connection": "amazon", "target": {"arn": FIFO, "group_id": "g", "group": "key"}}),
            "resource_invalid /target/group_id: group, group_id and group_path exclude each other",
        ),
        (
            json!({"connection": "amazon", "target": {"arn": FIFO, "group_path": "detail"}}),
            "resource_invalid /target/group_path: a path begins with '$'",
        ),
        (
            json!({"connection": "crm", "target": {"attributes": {"a": "b"}}}),
            "resource_invalid /target/attributes: attributes are for messages to queues and topics of Amazon's",
        ),
        (
            json!({"connection": "amazon", "target": {"arn": QUEUE, "attributes": {"a b": "c"}}}),
            "resource_invalid /target/attributes/a b: an attribute's name is 1 to 256 letters, digits, _ and -, its value 1 to 1600 bytes without control characters",
        ),
        (
            json!({"connection": "amazon", "target": {"arn": QUEUE, "path": ["a"]}}),
            "resource_invalid /target: path, query and headers are for webhook connections",
        ),
        (
            json!({"connection": "places", "target": {"path": ["a"]}}),
            "resource_invalid /target/path: the connection's URL has 2 places (*), and path has 1 values",
        ),
        (
            json!({"connection": "places", "target": {"path": ["a", ".."]}}),
            "resource_invalid /target/path/1: a value of a path is not empty, . or ..",
        ),
        (
            json!({"connection": "crm", "target": {"headers": {"Authorization": "x"}}}),
            "resource_invalid /target/headers/Authorization: header authorization is reserved; use config.auth",
        ),
        (
            json!({"connection": "crm", "target": {"headers": {"x-a": "1", "X-A": "2"}}}),
            r#"resource_invalid /target/headers/1: header "x-a" is named twice"#,
        ),
        (
            json!({"connection": "crm", "target": {"query": {"a": "$.detail["}}}),
            "resource_invalid /target/query/a: at character 8: ']' is missing",
        ),
        (
            json!({"connection": "adds", "target": {"mode": "batched"}}),
            "resource_invalid /target/mode: with path, query or headers of the target, or parameters in the body, a request holds one event, in mode binary, structured, data or envelope",
        ),
        (
            json!({"connection": "crm", "transform": {"input_path": "$"}, "target": {"mode": "envelope"}}),
            "resource_invalid /target/mode: mode envelope sends the event's envelope, and a transform makes something else of it",
        ),
    ] {
        assert_eq!(
            told(furnished().put(Subscription, "new", body.clone())),
            expected,
            "{body}"
        );
    }
}

#[test]
fn parameters_have_a_value_or_a_secret_that_fit_where_they_go() {
    const RULE: &str = "it has no control characters, and in a header it is visible ASCII with no space at an end, and";
    for (parameters, expected) in [
        (json!([{"in": "query", "name": "a", "secret": "s"}, {"in": "header", "name": "x-a", "value": "v"}]), "ConnectionPut".to_owned()),
        (
            json!([{"in": "query", "name": "a"}]),
            "resource_invalid /config/parameters/0: a parameter has a value or a secret".to_owned(),
        ),
        (
            json!([{"in": "query", "name": "a", "value": "v", "secret": "s"}]),
            "resource_invalid /config/parameters/0: a parameter has a value or a secret".to_owned(),
        ),
        (
            json!([{"in": "body", "name": "", "value": "v"}]),
            "resource_invalid /config/parameters/0/name: a name is 1 to 512 bytes without control characters".to_owned(),
        ),
        (
            json!([{"in": "header", "name": "x-a", "value": "é"}]),
            format!("resource_invalid /config/parameters/0/value: {RULE} has at most 4096 bytes"),
        ),
        (
            json!([{"in": "header", "name": "x-a", "secret": "a\r\nb: c"}]),
            format!("resource_invalid /config/parameters/0/secret: {RULE} is 1 to 4096 bytes long"),
        ),
        (
            json!([{"in": "header", "name": "Content-Length", "value": "1"}]),
            "resource_invalid /config/parameters/0/name: header content-length is reserved".to_owned(),
        ),
        (
            json!([{"in": "header", "name": "X-Own", "value": "1"}]),
            r#"resource_invalid /config/parameters: header "x-own" is named twice"#.to_owned(),
        ),
        (
            json!([{"in": "trailer", "name": "a", "value": "1"}]),
            r#"resource_invalid /config/parameters/0/in: unknown value "trailer"; the values here are header, query, body"#.to_owned(),
        ),
    ] {
        let config = json!({"url": "https://crm.example/", "headers": {"x-own": "1"}, "parameters": parameters});
        let body = json!({"provider": "webhook", "config": config});
        assert_eq!(told(furnished().put(Connection, "new", body.clone())), expected, "{body}");
    }
}

#[test]
fn a_secret_among_parameters_is_sealed_and_shown_as_its_fingerprint() {
    let mut installation = furnished();
    let auth = json!({"type": "oauth2-client-credentials", "token_url": "https://login.example/", "client_id": "c", "client_secret": "canary-1",
        "parameters": [{"in": "body", "name": "resource", "secret": "canary-2"}]});
    let config = json!({"url": "https://crm.example/", "auth": auth, "parameters": [{"in": "query", "name": "token", "secret": "canary-3"}]});
    installation
        .put(Connection, "new", json!({"provider": "webhook", "config": config}))
        .unwrap();
    let shown = installation.export(Connection, "new");
    let documents = format!(
        "{:?}",
        installation
            .documents
            .values()
            .map(|one| String::from_utf8_lossy(&one.body).into_owned())
            .collect::<Vec<_>>()
    );
    assert!(
        !shown.to_string().contains("canary") && !documents.contains("canary"),
        "{shown}"
    );
    assert!(
        shown["config"]["parameters"][0]["secret"]["fingerprint"].is_string(),
        "{shown}"
    );
    assert!(
        shown["config"]["auth"]["parameters"][0]["secret"]["fingerprint"].is_string(),
        "{shown}"
    );
    // What was shown goes in again, unless the address is another one.
    assert_eq!(told(installation.put(Connection, "new", shown.clone())), "Unchanged");
    let mut elsewhere = shown;
    elsewhere["config"]["url"] = "https://other.example/".into();
    let refused = told(installation.put(Connection, "new", elsewhere));
    assert!(refused.starts_with("fingerprint_unknown"), "{refused}");
}

#[test]
fn a_connection_to_a_bus_leads_to_one_that_is_there() {
    let mut installation = furnished();
    let to = |bus: &str| json!({"provider": "bus", "config": {"bus": bus}});
    assert_eq!(
        told(installation.put(Connection, "to", to("audit"))),
        r#"resource_invalid /config/bus: bus "audit" does not exist"#
    );
    installation.put(Bus, "audit", json!({})).unwrap();
    assert_eq!(told(installation.put(Connection, "to", to("audit"))), "ConnectionPut");
    let mode = json!({"connection": "to", "target": {"mode": "data"}});
    let refused = told(installation.put(Subscription, "s", mode));
    assert!(
        refused.starts_with("resource_invalid /target/mode: with bus connections"),
        "{refused}"
    );
    let whole = json!({"connection": "to", "transform": {"input_path": "$.detail"}});
    assert_eq!(told(installation.put(Subscription, "s", whole)), "SubscriptionCreated");
}

#[test]
fn an_account_serves_patterns_of_arns() {
    let credentials = json!({"type": "static", "access_key_id": "AKID", "secret_access_key": "s"});
    for (serves, is_good) in [
        (json!(["arn:aws:sqs:*", "arn:*"]), true),
        (json!(["sqs"]), false),
        (json!(["arn:aws:sqs:a b"]), false),
        (json!(vec!["arn:*"; 51]), false),
    ] {
        let aws = json!({"region": "eu-west-1", "credentials": credentials});
        let body = json!({"provider": "aws", "config": {"aws": aws, "serves": serves}});
        let told = told(furnished().put(Connection, "new", body));
        assert_eq!(told == "ConnectionPut", is_good, "{serves}: {told}");
    }
}
