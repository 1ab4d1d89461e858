//! Check 38 on the EventBridge door: what another tenant has cannot be told from what nobody has, whatever the operation.

use super::{Signer, administrator, ask, done, signing_key};
use crate::{
    harness::{Node, start},
    keys::with,
};
use doors::http::eventbridge::OPERATIONS;
use serde_json::{Value, json};

/// The other tenant's bus, and a bus that is not there; as long, so that lengths tell nothing either.
const BUSES: [&str; 2] = ["victim", "absent"];
/// Names of the other tenant's things, and of none.
const NAMES: [&str; 2] = ["canary", "nobody"];
/// In every description of the other tenant's.
const SECRET: &str = "CANARY-DESCRIPTION";
const PATTERN: &str = r#"{"source": ["s"]}"#;

fn arn(kind: &str, place: &str) -> String {
    format!("arn:aws:events:eu-west-1:000000000000:{kind}/{place}")
}

fn authorization() -> Value {
    json!({"ApiKeyAuthParameters": {"ApiKeyName": "x-key", "ApiKeyValue": "sesame"}})
}

/// A tenant that has one of everything, and another one's signer.
async fn tenants() -> (Node, String, Signer) {
    let node = start().await;
    let admin = administrator(&node).await;
    for bus in ["victim", "mine"] {
        let path = format!("/v1/buses/{bus}");
        assert_eq!(with(&node, "PUT", &path, Some(&admin), "{}").await.status, 201);
    }
    let of = |bus: &str| json!({"scopes": ["publish", "manage"], "buses": [bus]});
    let victim = signing_key(&node, &admin, "of-victim", of("victim")).await;
    let tenant = signing_key(&node, &admin, "tenant", of("mine")).await;
    let bus = arn("event-bus", "victim");
    let connection = json!({"Name": "canary", "Description": SECRET, "AuthorizationType": "API_KEY",
        "AuthParameters": authorization()});
    let connection = done(&node, &victim, "CreateConnection", connection).await["ConnectionArn"].clone();
    let destination = json!({"Name": "canary", "Description": SECRET, "ConnectionArn": connection, "HttpMethod": "POST",
        "InvocationEndpoint": "http://127.0.0.1:9/"});
    let destination = done(&node, &victim, "CreateApiDestination", destination).await["ApiDestinationArn"].clone();
    let rule = json!({"Name": "canary", "EventBusName": "victim", "EventPattern": PATTERN, "Description": SECRET});
    done(&node, &victim, "PutRule", rule).await;
    let targets = json!({"Rule": "canary", "EventBusName": "victim", "Targets": [{"Id": "1", "Arn": destination}]});
    assert_eq!(done(&node, &victim, "PutTargets", targets).await["FailedEntryCount"], 0);
    let archive = json!({"ArchiveName": "canary", "EventSourceArn": bus, "Description": SECRET});
    let archive = done(&node, &victim, "CreateArchive", archive).await["ArchiveArn"].clone();
    let replay = json!({"ReplayName": "canary", "EventSourceArn": archive, "EventStartTime": 1_600_000_000,
        "EventEndTime": 1_700_000_000, "Destination": {"Arn": bus}, "Description": SECRET});
    done(&node, &victim, "StartReplay", replay).await;
    (node, admin, tenant)
}

/// All that any operation may want to know, of this bus and these things.
fn input(operation: &str, bus: &str, name: &str) -> Value {
    let named = if operation.ends_with("EventBus") { bus } else { name };
    let source = match operation {
        "StartReplay" => arn("archive", name),
        _ => arn("event-bus", bus),
    };
    json!({
        "Name": named, "EventBusName": bus, "Rule": name, "EventPattern": PATTERN, "Description": "d",
        "Targets": [{"Id": "1", "Arn": arn("api-destination", name)}], "Ids": ["1"], "TargetArn": arn("api-destination", name),
        "ResourceARN": arn("rule", &format!("{bus}/{name}")), "Tags": [{"Key": "a", "Value": "b"}], "TagKeys": ["a"],
        "ArchiveName": name, "ReplayName": name, "EventSourceArn": source, "EventStartTime": 1_600_000_000,
        "EventEndTime": 1_700_000_000, "Destination": {"Arn": arn("event-bus", bus)}, "RetentionDays": 1,
        "ConnectionArn": arn("connection", name), "AuthorizationType": "API_KEY", "AuthParameters": authorization(),
        "InvocationEndpoint": "http://127.0.0.1:9/", "HttpMethod": "POST", "StatementId": "s", "Action": "events:PutEvents",
        "Principal": "111122223333", "Event": r#"{"source": "s"}"#,
        "Entries": [{"Source": "s", "DetailType": "t", "Detail": "{}", "EventBusName": bus}],
    })
}

/// Asks the same of the other tenant's and of nobody's things: the answers are the same but for the names.
async fn compare(node: &Node, tenant: &Signer, operation: &str, inputs: [Value; 2]) {
    let there = ask(node, tenant, operation, &inputs[0]).await;
    let nowhere = ask(node, tenant, operation, &inputs[1]).await;
    assert_eq!(there.status, nowhere.status, "{operation}: {there} {nowhere}");
    let shown = String::from_utf8_lossy(&there.body).into_owned();
    assert!(!shown.contains(SECRET), "{operation}: {shown}");
    // What the tenant made of its own under these names has numbers and times of its own.
    if operation.starts_with("Create") && there.status == 200 {
        return;
    }
    let alike = String::from_utf8_lossy(&nowhere.body).replace(BUSES[1], BUSES[0]);
    assert_eq!(shown, alike.replace(NAMES[1], NAMES[0]), "{operation}");
    assert_eq!(
        there.header("x-amzn-errortype"),
        nowhere.header("x-amzn-errortype"),
        "{operation}"
    );
}

#[tokio::test]
async fn check_38_no_operation_tells_another_tenants_things_from_nothing() {
    let (node, admin, tenant) = tenants().await;
    let pages = async || {
        let mut pages = Vec::new();
        for kind in ["subscriptions", "connections", "replays"] {
            let path = format!("/v1/buses/victim/{kind}");
            let page = with(&node, "GET", &path, Some(&admin), "").await.json();
            pages.extend(
                page["items"]
                    .as_array()
                    .expect("items")
                    .iter()
                    .map(|one| one["name"].clone()),
            );
        }
        let bus = with(&node, "GET", "/v1/buses/victim", Some(&admin), "").await.json();
        (pages, bus)
    };
    let before = pages().await;
    assert_eq!(before.0, ["canary.1", "canary", "connection.canary", "canary.0"]);
    let (creating, others): (Vec<_>, Vec<_>) = OPERATIONS
        .iter()
        .filter(|operation| operation.is_built())
        .partition(|operation| operation.name.starts_with("Create"));
    for operation in others.into_iter().chain(creating) {
        let of = |index: usize| input(operation.name, BUSES[index], NAMES[index]);
        compare(&node, &tenant, operation.name, [of(0), of(1)]).await;
    }
    // From a rule of its own to what is not its own.
    let rule = json!({"Name": "own", "EventBusName": "mine", "EventPattern": PATTERN});
    done(&node, &tenant, "PutRule", rule).await;
    for kind in ["event-bus", "archive", "connection"] {
        let of = |index: usize| {
            let place = if kind == "event-bus" {
                BUSES[index]
            } else {
                NAMES[index]
            };
            json!({"Rule": "own", "EventBusName": "mine", "Targets": [{"Id": "1", "Arn": arn(kind, place)}]})
        };
        compare(&node, &tenant, "PutTargets", [of(0), of(1)]).await;
    }
    assert_eq!(pages().await, before, "and nothing of it changed");
}
