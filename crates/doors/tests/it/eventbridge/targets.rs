//! Targets of rules beyond API destinations: which connection serves an ARN, what the subscription is then, what is refused, and what other
//! buses need. And the policies that open nothing.

use super::{Signer, done, entry, managed, refused, signing_key, v1};
use crate::harness::Node;
use crate::keys::with;
use serde_json::{Value, json};

const PATTERN: &str = r#"{"source":["com.example.shop"]}"#;
const QUEUE: &str = "arn:aws:sqs:eu-west-1:123456789012:orders";
const FIFO: &str = "arn:aws:sqs:eu-west-1:123456789012:orders.fifo";
const STREAM: &str = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders";
const FUNCTION: &str = "arn:aws:lambda:eu-west-1:123456789012:function:orders";
const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:orders";
const FOREIGN: &str = "arn:aws:events:eu-west-1:123456789012:event-bus/foreign";

/// Asks again until the answer is as wanted.
async fn until(node: &Node, admin: &str, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let asking = async {
        loop {
            let answer = with(node, "GET", path, Some(admin), "").await;
            if answer.status == 200 && wanted(&answer.json()) {
                return answer.json();
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::harness::PATIENCE, asking)
        .await
        .expect("it becomes as wanted")
}

/// A connection that serves these ARNs.
async fn serve(node: &Node, admin: &str, name: &str, more: Value) {
    let credentials = json!({"type": "static", "access_key_id": "AKID", "secret_access_key": "canary-secret"});
    let mut config = json!({"aws": {"region": "eu-west-1", "credentials": credentials}});
    for (field, value) in more.as_object().expect("an object") {
        config[field] = value.clone();
    }
    let body = json!({"provider": "aws", "config": config}).to_string();
    let path = format!("/v1/buses/default/connections/{name}");
    let answer = with(node, "PUT", &path, Some(admin), &body).await;
    assert!(answer.status < 300, "{answer}");
}

async fn rule(node: &Node, signer: &Signer, name: &str) {
    done(node, signer, "PutRule", json!({"Name": name, "EventPattern": PATTERN})).await;
}

fn put(rule: &str, target: Value) -> Value {
    json!({"Rule": rule, "Targets": [target]})
}

#[tokio::test]
async fn an_arn_that_no_connection_serves_is_a_failed_entry() {
    let (node, admin, signer) = managed().await;
    serve(&node, &admin, "topics", json!({"serves": ["arn:aws:sns:*"]})).await;
    rule(&node, &signer, "r").await;
    for (target, arn) in [
        (json!({"Id": "1", "Arn": QUEUE}), QUEUE),
        (json!({"Id": "1", "Arn": STREAM}), STREAM),
        (json!({"Id": "1", "Arn": FUNCTION}), FUNCTION),
        (json!({"Id": "1", "Arn": FOREIGN}), FOREIGN),
        (
            json!({"Id": "1", "Arn": TOPIC, "DeadLetterConfig": {"Arn": QUEUE}}),
            QUEUE,
        ),
    ] {
        let answer = done(&node, &signer, "PutTargets", put("r", target)).await;
        let entry = &answer["FailedEntries"][0];
        assert_eq!(
            (&answer["FailedEntryCount"], &entry["TargetId"], &entry["ErrorCode"]),
            (&json!(1), &json!("1"), &json!("ResourceNotFoundException")),
            "{answer}"
        );
        let message = entry["ErrorMessage"].as_str().expect("text");
        assert!(message.contains(arn) && message.contains("serves"), "{message}");
    }
    assert_eq!(
        v1(&node, &admin, "/v1/buses/default/subscriptions").await["items"],
        json!([])
    );
}

#[tokio::test]
async fn a_target_is_a_subscription_to_what_its_arn_names() {
    let (node, admin, signer) = managed().await;
    serve(
        &node,
        &admin,
        "all",
        json!({"serves": ["arn:aws:*"], "roles": "assume"}),
    )
    .await;
    serve(&node, &admin, "queues", json!({"serves": ["arn:aws:sqs:eu-west-1:*"]})).await;
    rule(&node, &signer, "r").await;
    let role = "arn:aws:iam::123456789012:role/events";
    let rule_arn = "arn:aws:events:eu-west-1:000000000000:rule/r";
    for (target, connection, reached, transform) in [
        (
            json!({"Id": "1", "Arn": QUEUE, "RoleArn": role}),
            "queues",
            json!({"arn": QUEUE, "mode": "data", "role_arn": role}),
            json!({"input_path": "$"}),
        ),
        (
            json!({"Id": "1", "Arn": FIFO, "SqsParameters": {"MessageGroupId": "g"}, "InputPath": "$.detail"}),
            "queues",
            json!({"arn": FIFO, "mode": "data", "group_id": "g"}),
            json!({"input_path": "$.detail"}),
        ),
        (
            json!({"Id": "1", "Arn": STREAM, "KinesisParameters": {"PartitionKeyPath": "$.detail.id"}}),
            "all",
            json!({"arn": STREAM, "mode": "data", "group_path": "$.detail.id"}),
            json!({"input_path": "$"}),
        ),
        (
            json!({"Id": "1", "Arn": STREAM, "Input": "{}"}),
            "all",
            json!({"arn": STREAM, "mode": "data", "group": "event"}),
            json!({"input": {}}),
        ),
        (
            json!({"Id": "1", "Arn": FUNCTION}),
            "all",
            json!({"arn": FUNCTION, "mode": "data"}),
            json!({"input_path": "$"}),
        ),
        (
            json!({"Id": "1", "Arn": FOREIGN}),
            "all",
            json!({"arn": FOREIGN}),
            Value::Null,
        ),
    ] {
        let answer = done(&node, &signer, "PutTargets", put("r", target.clone())).await;
        assert_eq!(answer["FailedEntryCount"], 0, "{target}: {answer}");
        let subscription = v1(&node, &admin, "/v1/buses/default/subscriptions/r.1").await;
        assert_eq!(
            (&subscription["connection"], &subscription["target"]),
            (&json!(connection), &reached),
            "{target}"
        );
        match transform {
            Value::Null => assert_eq!(subscription.get("transform"), None, "{subscription}"),
            transform => assert_eq!(subscription["transform"], transform, "{target}"),
        }
        let listed = done(&node, &signer, "ListTargetsByRule", json!({"Rule": "r"})).await;
        assert_eq!(listed["Targets"], json!([target]));
    }
    let target = json!({"Id": "1", "Arn": TOPIC, "DeadLetterConfig": {"Arn": QUEUE}});
    done(&node, &signer, "PutTargets", put("r", target)).await;
    let subscription = v1(&node, &admin, "/v1/buses/default/subscriptions/r.1").await;
    let attributes = json!({"RULE_ARN": rule_arn, "TARGET_ARN": TOPIC});
    assert_eq!(
        subscription["dead_letter"],
        json!({"connection": "queues", "target": {"arn": QUEUE, "mode": "envelope", "attributes": attributes}})
    );
}

#[tokio::test]
async fn what_a_target_cannot_be_is_refused_and_changes_nothing() {
    let (node, admin, signer) = managed().await;
    serve(&node, &admin, "all", json!({"serves": ["arn:aws:*"]})).await;
    rule(&node, &signer, "r").await;
    for (target, says) in [
        (json!({"Id": "1", "Arn": FIFO}), "SqsParameters must be specified"),
        (
            json!({"Id": "1", "Arn": QUEUE, "SqsParameters": {"MessageGroupId": "g"}}),
            "FIFO queues",
        ),
        (
            json!({"Id": "1", "Arn": FIFO, "SqsParameters": {"MessageGroupId": "a b"}}),
            "visible ASCII",
        ),
        (
            json!({"Id": "1", "Arn": QUEUE, "KinesisParameters": {"PartitionKeyPath": "$.id"}}),
            "KinesisParameters",
        ),
        (
            json!({"Id": "1", "Arn": STREAM, "KinesisParameters": {"PartitionKeyPath": "detail"}}),
            "begins with '$'",
        ),
        (
            json!({"Id": "1", "Arn": QUEUE, "HttpParameters": {"PathParameterValues": ["a"]}}),
            "HttpParameters",
        ),
        (
            json!({"Id": "1", "Arn": QUEUE, "EcsParameters": {"TaskCount": 1}}),
            "EcsParameters",
        ),
        (json!({"Id": "1", "Arn": QUEUE, "RoleArn": "events"}), "role_arn"),
        (
            json!({"Id": "1", "Arn": QUEUE, "DeadLetterConfig": {"Arn": FIFO}}),
            "standard SQS queue",
        ),
        (
            json!({"Id": "1", "Arn": QUEUE, "DeadLetterConfig": {"Arn": TOPIC}}),
            "standard SQS queue",
        ),
        (
            json!({"Id": "1", "Arn": "arn:aws:lambda:eu-west-1:123456789012:function:"}),
            "arn is that of",
        ),
        (json!({"Id": "1", "Arn": "orders"}), "API destinations"),
    ] {
        let message = refused(
            &node,
            &signer,
            "PutTargets",
            put("r", target.clone()),
            "ValidationException",
        )
        .await;
        assert!(message.contains(says), "{target}: {message}");
    }
    assert_eq!(
        v1(&node, &admin, "/v1/buses/default/subscriptions").await["items"],
        json!([])
    );
}

#[tokio::test]
async fn a_bus_of_this_server_is_a_target_for_who_may_publish_there() {
    let (node, admin, signer) = managed().await;
    done(&node, &signer, "CreateEventBus", json!({"Name": "audit"})).await;
    rule(&node, &signer, "r").await;
    let audit = "arn:aws:events:eu-west-1:999999999999:event-bus/audit";
    let target = || put("r", json!({"Id": "1", "Arn": audit}));
    let tenant = json!({"scopes": ["subscribe", "manage", "publish"], "buses": ["default"]});
    let tenant = signing_key(&node, &admin, "tenant", tenant).await;
    let failed = done(&node, &tenant, "PutTargets", target()).await;
    let message = failed["FailedEntries"][0]["ErrorMessage"].as_str().expect("text");
    assert!(
        message.ends_with("Nor is it a bus of this server that you may publish on."),
        "{message}"
    );
    let own = put(
        "r",
        json!({"Id": "1", "Arn": "arn:aws:events:eu-west-1:999999999999:event-bus/default"}),
    );
    let message = refused(&node, &signer, "PutTargets", own, "ValidationException").await;
    assert!(message.contains("own rules"), "{message}");
    assert_eq!(
        done(&node, &signer, "PutTargets", target()).await["FailedEntryCount"],
        0
    );
    let published = done(&node, &signer, "PutEvents", json!({"Entries": [entry()]})).await;
    let id = published["Entries"][0]["EventId"].as_str().expect("an id").to_owned();
    let path = format!("/v1/buses/audit/events/{id}");
    let found = until(&node, &admin, &path, |found| found["event"].is_object()).await;
    let event = &found["event"];
    assert_eq!(
        (&event["trunklinehops"], &event["data"]),
        (&json!("1"), &json!({"total": 5}))
    );
    // `/v1` asks for the same right, and gives the connection to nobody else.
    let token = with(
        &node,
        "PUT",
        "/v1/keys/lodger",
        Some(&admin),
        r#"{"scopes": ["manage"], "buses": ["default"]}"#,
    )
    .await;
    let token = token.json()["token"].as_str().expect("shown once").to_owned();
    let body = json!({"provider": "bus", "config": {"bus": "audit"}}).to_string();
    let answer = with(&node, "PUT", "/v1/buses/default/connections/mine", Some(&token), &body).await;
    assert_eq!(answer.status, 403, "{answer}");
    // Nor is anything told of which buses there are.
    for bus in ["audit", "none"] {
        let one =
            json!({"kind": "connection", "bus": "default", "name": "mine", "provider": "bus", "config": {"bus": bus}});
        let list = json!({"resources": [one]}).to_string();
        let answer = with(&node, "POST", "/v1/resources:preview", Some(&token), &list).await;
        assert_eq!(answer.status, 403, "{answer}");
    }
    done(&node, &signer, "RemoveTargets", json!({"Rule": "r", "Ids": ["1"]})).await;
    assert_eq!(
        v1(&node, &admin, "/v1/buses/default/connections").await["items"],
        json!([])
    );
}

#[tokio::test]
async fn a_loop_of_buses_ends_as_a_dead_letter() {
    let (node, admin, signer) = managed().await;
    done(&node, &signer, "CreateEventBus", json!({"Name": "audit"})).await;
    for (from, to) in [("default", "audit"), ("audit", "default")] {
        let rule = json!({"Name": "on", "EventBusName": from, "EventPattern": PATTERN});
        done(&node, &signer, "PutRule", rule).await;
        let arn = format!("arn:aws:events:eu-west-1:000000000000:event-bus/{to}");
        let targets = json!({"Rule": "on", "EventBusName": from, "Targets": [{"Id": "1", "Arn": arn}]});
        done(&node, &signer, "PutTargets", targets).await;
    }
    done(&node, &signer, "PutEvents", json!({"Entries": [entry()]})).await;
    let path = "/v1/buses/default/dead-letters";
    let dead = until(&node, &admin, path, |page| page["items"][0].is_object()).await;
    let items = dead["items"].as_array().expect("a list");
    assert_eq!(
        (items.len(), &items[0]["reason"]),
        (1, &json!("too_many_hops")),
        "{dead}"
    );
}

#[tokio::test]
async fn a_policy_is_kept_and_shown_and_opens_nothing() {
    let (node, admin, signer) = managed().await;
    let one = json!({"Action": "events:PutEvents", "Principal": "111122223333", "StatementId": "one"});
    done(&node, &signer, "PutPermission", one).await;
    let anybody = json!({"Action": "events:PutEvents", "Principal": "*", "StatementId": "anybody"});
    done(&node, &signer, "PutPermission", anybody.clone()).await;
    done(&node, &signer, "PutPermission", anybody).await;
    let policy = async || {
        let described = done(&node, &signer, "DescribeEventBus", json!({})).await;
        let text = described["Policy"].as_str().map(str::to_owned);
        text.map(|text| serde_json::from_str::<Value>(&text).expect("JSON"))
    };
    assert_eq!(
        policy().await,
        Some(json!({"Version": "2012-10-17", "Statement": [
            {"Sid": "one", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "events:PutEvents",
             "Resource": "arn:aws:events:eu-west-1:000000000000:event-bus/default"},
            {"Sid": "anybody", "Effect": "Allow", "Principal": "*", "Action": "events:PutEvents",
             "Resource": "arn:aws:events:eu-west-1:000000000000:event-bus/default"},
        ]}))
    );
    let reader = signing_key(&node, &admin, "reader", json!({"scopes": ["read"]})).await;
    refused(
        &node,
        &reader,
        "PutEvents",
        json!({"Entries": [entry()]}),
        "AccessDeniedException",
    )
    .await;
    refused(
        &node,
        &reader,
        "RemovePermission",
        json!({"StatementId": "one"}),
        "AccessDeniedException",
    )
    .await;
    let whole = r#"{"Statement": {"Effect": "Deny", "Principal": "*", "Action": "events:*"}}"#;
    done(&node, &signer, "PutPermission", json!({"Policy": whole})).await;
    assert_eq!(policy().await, serde_json::from_str(whole).ok());
    let long = json!({"Statement": {"Effect": "Deny", "Principal": "*", "Action": "x".repeat(11_000)}}).to_string();
    for (operation, input, code) in [
        ("PutPermission", json!({}), "ValidationException"),
        ("PutPermission", json!({"Policy": "{"}), "ValidationException"),
        ("PutPermission", json!({"Policy": "{}"}), "ValidationException"),
        (
            "PutPermission",
            json!({"Policy": r#"{"Statement": [{"Effect": "Maybe"}]}"#}),
            "ValidationException",
        ),
        (
            "PutPermission",
            json!({"Policy": whole, "StatementId": "x"}),
            "ValidationException",
        ),
        (
            "PutPermission",
            json!({"Policy": long}),
            "PolicyLengthExceededException",
        ),
        (
            "PutPermission",
            json!({"Action": "sqs:SendMessage", "Principal": "*", "StatementId": "x"}),
            "ValidationException",
        ),
        (
            "PutPermission",
            json!({"Action": "events:PutEvents", "Principal": "me", "StatementId": "x"}),
            "ValidationException",
        ),
        (
            "PutPermission",
            json!({"Action": "events:PutEvents", "Principal": "*", "StatementId": "a b"}),
            "ValidationException",
        ),
        (
            "PutPermission",
            json!({"Action": "events:PutEvents", "Principal": "*", "StatementId": "x", "EventBusName": "none"}),
            "ResourceNotFoundException",
        ),
        (
            "RemovePermission",
            json!({"StatementId": "none"}),
            "ResourceNotFoundException",
        ),
    ] {
        refused(&node, &signer, operation, input, code).await;
        assert_eq!(policy().await, serde_json::from_str(whole).ok());
    }
    done(
        &node,
        &signer,
        "RemovePermission",
        json!({"RemoveAllPermissions": true}),
    )
    .await;
    assert_eq!(policy().await, None);
    refused(
        &node,
        &signer,
        "RemovePermission",
        json!({"StatementId": "one"}),
        "ResourceNotFoundException",
    )
    .await;
}
