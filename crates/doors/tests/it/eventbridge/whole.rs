//! What an operation changes in several resources, it changes in all of them or in none; and what of a rule never depends on its targets.

use super::{
    Signer, done,
    manage::{PATTERN, destination, put_event, received},
    managed, refused, v1,
};
use crate::{harness::Node, keys::with};
use serde_json::{Value, json};

const OTHER: &str = r#"{"source":["other"]}"#;
const DEAD: &str = "arn:aws:sqs:eu-west-1:123456789012:dead";
const QUEUE: &str = "arn:aws:sqs:eu-west-1:123456789012:orders";
const ELSEWHERE: &str = "arn:aws:events:eu-west-1:000000000000:event-bus/elsewhere";

async fn subscription(node: &Node, admin: &str, name: &str) -> Value {
    v1(node, admin, &format!("/v1/buses/default/subscriptions/{name}")).await
}

/// What stands in a field of two subscriptions.
async fn both(node: &Node, admin: &str, names: [&str; 2], field: &str) -> [Value; 2] {
    let [one, other] = names;
    let (one, other) = (subscription(node, admin, one), subscription(node, admin, other));
    let (one, other) = (one.await, other.await);
    [one[field].clone(), other[field].clone()]
}

/// A connection of provider `aws` that serves an ARN.
async fn serve(node: &Node, admin: &str, name: &str, arn: &str) {
    let credentials = json!({"type": "static", "access_key_id": "AKID", "secret_access_key": "secret"});
    let aws = json!({"region": "eu-west-1", "credentials": credentials});
    let body = json!({"provider": "aws", "config": {"aws": aws, "serves": [arn]}});
    put_connection(node, admin, name, body).await;
}

async fn put_connection(node: &Node, admin: &str, name: &str, body: Value) {
    let path = format!("/v1/buses/default/connections/{name}");
    let answer = with(node, "PUT", &path, Some(admin), &body.to_string()).await;
    assert!(answer.status < 300, "{answer}");
}

async fn put_rule(node: &Node, signer: &Signer, pattern: &str, state: &str) {
    let rule = json!({"Name": "r", "EventPattern": pattern, "State": state});
    done(node, signer, "PutRule", rule).await;
}

async fn put_targets(node: &Node, signer: &Signer, targets: Value) {
    let put = json!({"Rule": "r", "Targets": targets});
    let answer = done(node, signer, "PutTargets", put).await;
    assert_eq!(answer["FailedEntryCount"], 0, "{answer}");
}

async fn described(node: &Node, signer: &Signer) -> (Value, Value) {
    let rule = done(node, signer, "DescribeRule", json!({"Name": "r"})).await;
    (rule["EventPattern"].clone(), rule["State"].clone())
}

#[tokio::test]
async fn a_rule_is_changed_and_disabled_whether_its_targets_can_be_reached_or_not() {
    let (node, admin, signer) = managed().await;
    let arn = destination(&node, &signer).await;
    serve(&node, &admin, "queues", QUEUE).await;
    done(&node, &signer, "CreateEventBus", json!({"Name": "elsewhere"})).await;
    put_rule(&node, &signer, PATTERN, "ENABLED").await;
    let targets = json!([{"Id": "a", "Arn": ELSEWHERE}, {"Id": "b", "Arn": QUEUE}, {"Id": "c", "Arn": arn}]);
    put_targets(&node, &signer, targets).await;
    done(&node, &signer, "DeleteEventBus", json!({"Name": "elsewhere"})).await;
    serve(&node, &admin, "queues", DEAD).await;

    done(&node, &signer, "DisableRule", json!({"Name": "r"})).await;
    for names in [["r.a", "r.b"], ["r.b", "r.c"]] {
        assert_eq!(
            both(&node, &admin, names, "enabled").await,
            [json!(false), json!(false)]
        );
    }
    put_rule(&node, &signer, OTHER, "DISABLED").await;
    done(&node, &signer, "EnableRule", json!({"Name": "r"})).await;
    assert_eq!(described(&node, &signer).await, (json!(OTHER), json!("ENABLED")));
    let pattern: Value = serde_json::from_str(OTHER).expect("JSON");
    for names in [["r.a", "r.b"], ["r.b", "r.c"]] {
        let filter = json!({"eventbridge": pattern});
        assert_eq!(both(&node, &admin, names, "filter").await, [filter.clone(), filter]);
        assert_ne!(both(&node, &admin, names, "enabled").await[0], json!(false));
    }
}

#[tokio::test]
async fn a_pattern_that_one_target_cannot_take_changes_no_other_and_not_the_rule() {
    let (node, admin, signer) = managed().await;
    let arn = destination(&node, &signer).await;
    serve(&node, &admin, "dead", DEAD).await;
    put_rule(&node, &signer, PATTERN, "ENABLED").await;
    let targets = json!([{"Id": "a", "Arn": arn}, {"Id": "b", "Arn": arn, "DeadLetterConfig": {"Arn": DEAD}}]);
    put_targets(&node, &signer, targets).await;
    // Copies of dead letters can go there no more.
    let webhook = json!({"provider": "webhook", "config": {"url": "https://dead.example.com/"}});
    put_connection(&node, &admin, "dead", webhook).await;

    let rule = json!({"Name": "r", "EventPattern": OTHER, "State": "DISABLED"});
    refused(&node, &signer, "PutRule", rule, "ValidationException").await;
    assert_eq!(described(&node, &signer).await, (json!(PATTERN), json!("ENABLED")));
    let names = ["r.a", "r.b"];
    let filter = json!({"eventbridge": serde_json::from_str::<Value>(PATTERN).expect("JSON")});
    assert_eq!(both(&node, &admin, names, "filter").await, [filter.clone(), filter]);
    done(&node, &signer, "DisableRule", json!({"Name": "r"})).await;
    assert_eq!(
        both(&node, &admin, names, "enabled").await,
        [json!(false), json!(false)]
    );
    assert_eq!(described(&node, &signer).await, (json!(PATTERN), json!("DISABLED")));
}

#[tokio::test]
async fn what_cannot_be_remembered_is_not_made() {
    let (node, admin, signer) = managed().await;
    let connection = |name: &str| {
        let auth = json!({"ApiKeyAuthParameters": {"ApiKeyName": "x-api-key", "ApiKeyValue": "v"}});
        json!({"Name": name, "AuthorizationType": "API_KEY", "AuthParameters": auth})
    };
    let made = done(&node, &signer, "CreateConnection", connection("first")).await;
    let connections = v1(&node, &admin, "/v1/buses/default/connections").await;
    let topic = v1(&node, &admin, "/v1/buses/default/topics/events").await;
    // As many annotations as the bus keeps: there is no room for another record.
    let mut annotations = v1(&node, &admin, "/v1/buses/default").await["annotations"].clone();
    for (size, count) in [(4_000, 60), (50, 200)] {
        for number in 0..count {
            let mut more = annotations.clone();
            more[format!("filler.{size}.{number}")] = "x".repeat(size).into();
            let body = json!({"annotations": more}).to_string();
            let answer = with(&node, "PUT", "/v1/buses/default", Some(&admin), &body).await;
            if answer.status >= 300 {
                break;
            }
            annotations = more;
        }
    }
    let destination = json!({"Name": "d", "ConnectionArn": made["ConnectionArn"], "HttpMethod": "PUT",
        "InvocationEndpoint": "https://crm.example.com/orders"});
    let archive =
        json!({"ArchiveName": "a", "EventSourceArn": "arn:aws:events:eu-west-1:000000000000:event-bus/default"});
    for (operation, input) in [
        ("CreateConnection", connection("second")),
        ("CreateApiDestination", destination),
        ("CreateArchive", archive),
    ] {
        let answer = super::ask(&node, &signer, operation, &input).await;
        assert_eq!(answer.status, 400, "{operation}: {answer}");
        let after = v1(&node, &admin, "/v1/buses/default/connections").await;
        assert_eq!(after["items"], connections["items"], "{operation}");
        assert_eq!(
            v1(&node, &admin, "/v1/buses/default/topics/events").await,
            topic,
            "{operation}"
        );
    }
}

#[tokio::test]
async fn a_target_that_is_refused_leaves_nothing_on_its_way() {
    let (node, admin, signer) = managed().await;
    done(&node, &signer, "CreateEventBus", json!({"Name": "elsewhere"})).await;
    put_rule(&node, &signer, PATTERN, "ENABLED").await;
    let put = json!({"Rule": "r", "Targets": [{"Id": "a", "Arn": ELSEWHERE, "Input": "{"}]});
    refused(&node, &signer, "PutTargets", put, "ValidationException").await;
    assert_eq!(
        v1(&node, &admin, "/v1/buses/default/connections").await["items"],
        json!([])
    );
}

#[tokio::test]
async fn nothing_is_sent_while_a_connection_is_deauthorized_and_everything_afterwards() {
    let (node, admin, signer) = managed().await;
    let arn = destination(&node, &signer).await;
    done(&node, &signer, "CreateEventBus", json!({"Name": "orders"})).await;
    for bus in ["default", "orders"] {
        let rule = json!({"Name": "r", "EventBusName": bus, "EventPattern": PATTERN});
        done(&node, &signer, "PutRule", rule).await;
        let targets = json!({"Rule": "r", "EventBusName": bus, "Targets": [{"Id": "a", "Arn": arn}]});
        done(&node, &signer, "PutTargets", targets).await;
    }
    let enabled = async |bus: &str, name: &str| {
        let shown = v1(&node, &admin, &format!("/v1/buses/{bus}/subscriptions/{name}")).await;
        shown["enabled"] != false
    };
    done(&node, &signer, "DeauthorizeConnection", json!({"Name": "crm"})).await;
    assert!(!enabled("default", "r.a").await && !enabled("orders", "r.a").await);
    assert_eq!(described(&node, &signer).await.1, "ENABLED", "the rule is what it was");
    // Neither a new target nor a rule that is changed or enabled sends anything.
    put_targets(&node, &signer, json!([{"Id": "b", "Arn": arn}])).await;
    put_rule(&node, &signer, PATTERN, "ENABLED").await;
    let disabled = json!({"Name": "r", "EventBusName": "orders"});
    done(&node, &signer, "DisableRule", disabled.clone()).await;
    put_event(&node, &signer, "orders", 20).await;
    done(&node, &signer, "EnableRule", disabled.clone()).await;
    for (bus, name) in [("default", "r.a"), ("default", "r.b"), ("orders", "r.a")] {
        assert!(!enabled(bus, name).await, "{bus} {name}");
    }
    put_event(&node, &signer, "default", 30).await;
    put_event(&node, &signer, "orders", 40).await;
    put_rule(&node, &signer, PATTERN, "ENABLED").await;
    assert!(node.endpoint.events.lock().expect("nobody panics").is_empty());

    let auth = json!({"ApiKeyAuthParameters": {"ApiKeyName": "x-api-key", "ApiKeyValue": "another"}});
    let update = json!({"Name": "crm", "AuthParameters": auth});
    done(&node, &signer, "UpdateConnection", update.clone()).await;
    let mut totals: Vec<Value> = received(&node, 3)
        .await
        .iter()
        .map(|text| serde_json::from_str::<Value>(text).expect("JSON")["detail"]["total"].clone())
        .collect();
    totals.sort_by_key(Value::as_u64);
    assert_eq!(totals, [30, 30, 40], "what came to a disabled rule is passed over");
    let destination = done(&node, &signer, "DescribeApiDestination", json!({"Name": "crm-orders"})).await;
    assert_eq!(destination["ApiDestinationState"], "ACTIVE");

    // A rule that is disabled meanwhile stays so.
    done(&node, &signer, "DeauthorizeConnection", json!({"Name": "crm"})).await;
    done(&node, &signer, "DisableRule", disabled).await;
    done(&node, &signer, "UpdateConnection", update).await;
    assert!(enabled("default", "r.a").await && !enabled("orders", "r.a").await);
}
