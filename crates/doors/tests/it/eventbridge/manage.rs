//! Buses, rules, targets, connections, API destinations, archives and replays, and what `/v1` shows of them.

use super::{Signer, done, managed, refused, signing_key, v1};
use crate::harness::Node;
use crate::keys::with;
use serde_json::{Value, json};

/// A connection, an API destination; its ARN.
pub async fn destination(node: &Node, signer: &Signer) -> String {
    let auth = json!({"ApiKeyAuthParameters": {"ApiKeyName": "x-api-key", "ApiKeyValue": "canary-secret"}});
    let connection = json!({"Name": "crm", "AuthorizationType": "API_KEY", "AuthParameters": auth});
    let made = done(node, signer, "CreateConnection", connection).await;
    assert_eq!(made["ConnectionState"], "AUTHORIZED");
    let destination = json!({"Name": "crm-orders", "ConnectionArn": made["ConnectionArn"], "HttpMethod": "PUT",
        "InvocationEndpoint": "https://crm.example.com/orders", "InvocationRateLimitPerSecond": 20});
    let made = done(node, signer, "CreateApiDestination", destination).await;
    assert_eq!(made["ApiDestinationState"], "ACTIVE");
    made["ApiDestinationArn"].as_str().expect("an ARN").to_owned()
}

pub const PATTERN: &str = r#"{"source":["shop"],"detail":{"total":[{"numeric":[">",10]}]}}"#;

async fn rule(node: &Node, signer: &Signer, bus: &str) -> String {
    let rule = json!({"Name": "big", "EventBusName": bus, "EventPattern": PATTERN, "Description": "big orders"});
    let made = done(node, signer, "PutRule", rule).await;
    made["RuleArn"].as_str().expect("an ARN").to_owned()
}

fn target(arn: &str) -> Value {
    json!({"Id": "crm", "Arn": arn, "RetryPolicy": {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 600},
        "InputTransformer": {"InputPathsMap": {"t": "$.detail.total"}, "InputTemplate": "{\"sum\": <t>, \"rule\": \"<aws.events.rule-name>\"}"}})
}

pub async fn put_event(node: &Node, signer: &Signer, bus: &str, total: u32) -> String {
    let entry = json!({"EventBusName": bus, "Source": "shop", "DetailType": "order", "Detail": format!("{{\"total\": {total}}}")});
    let answer = done(node, signer, "PutEvents", json!({"Entries": [entry]})).await;
    answer["Entries"][0]["EventId"].as_str().expect("an id").to_owned()
}

/// Waits until the endpoint has so many events, and gives their data.
pub async fn received(node: &Node, count: usize) -> Vec<String> {
    let deadline = std::time::Instant::now() + crate::harness::PATIENCE;
    loop {
        let events = node.endpoint.events.lock().expect("nobody panics").clone();
        if events.len() >= count {
            let text = |data: Option<Vec<u8>>| String::from_utf8(data.unwrap_or_default()).expect("UTF-8");
            return events.into_iter().map(|(_, data)| text(data)).collect();
        }
        assert!(std::time::Instant::now() < deadline, "only {events:?}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_rule_with_a_target_delivers_what_its_transformer_makes_and_is_a_subscription_in_v1() {
    let (node, admin, signer) = managed().await;
    let arn = destination(&node, &signer).await;
    assert_eq!(
        rule(&node, &signer, "default").await,
        "arn:aws:events:eu-west-1:000000000000:rule/big"
    );
    let put = done(
        &node,
        &signer,
        "PutTargets",
        json!({"Rule": "big", "Targets": [target(&arn)]}),
    )
    .await;
    assert_eq!(put, json!({"FailedEntryCount": 0, "FailedEntries": []}));

    let shown = v1(&node, &admin, "/v1/buses/default/subscriptions/big.crm").await;
    assert_eq!(
        shown["filter"]["eventbridge"],
        serde_json::from_str::<Value>(PATTERN).expect("JSON")
    );
    assert_eq!(
        (&shown["connection"], &shown["delivery"]["rate"]),
        (&json!("crm-orders"), &json!("20/s"))
    );
    assert_eq!(
        (
            &shown["delivery"]["retry"]["attempts"],
            &shown["delivery"]["retry"]["age"]
        ),
        (&json!(4), &json!("10m"))
    );
    let connection = v1(&node, &admin, "/v1/buses/default/connections/crm-orders").await;
    assert_eq!(connection["config"]["method"], "PUT");
    assert!(
        connection["config"]["auth"]["value"]["fingerprint"].is_string(),
        "{connection}"
    );
    assert!(!connection.to_string().contains("canary-secret"));

    put_event(&node, &signer, "default", 5).await;
    put_event(&node, &signer, "default", 50).await;
    assert_eq!(received(&node, 1).await, [r#"{"sum": 50, "rule": "big"}"#]);

    let listed = done(&node, &signer, "ListTargetsByRule", json!({"Rule": "big"})).await;
    assert_eq!(
        listed["Targets"],
        json!([target(&arn)]),
        "a target is shown as it was put"
    );
    let names = done(&node, &signer, "ListRuleNamesByTarget", json!({"TargetArn": arn})).await;
    assert_eq!(names["RuleNames"], json!(["big"]));

    done(&node, &signer, "DisableRule", json!({"Name": "big"})).await;
    assert_eq!(
        v1(&node, &admin, "/v1/buses/default/subscriptions/big.crm").await["enabled"],
        false
    );
    let described = done(&node, &signer, "DescribeRule", json!({"Name": "big"})).await;
    assert_eq!(
        (&described["State"], &described["EventPattern"]),
        (&json!("DISABLED"), &json!(PATTERN))
    );
    put_event(&node, &signer, "default", 60).await;
    done(&node, &signer, "EnableRule", json!({"Name": "big"})).await;
    put_event(&node, &signer, "default", 70).await;
    let second = received(&node, 2).await.pop().expect("two");
    assert!(second.contains("70"), "what came meanwhile is passed over: {second}");

    refused(
        &node,
        &signer,
        "DeleteRule",
        json!({"Name": "big"}),
        "ValidationException",
    )
    .await;
    refused(
        &node,
        &signer,
        "DeleteConnection",
        json!({"Name": "crm"}),
        "ValidationException",
    )
    .await;
    done(&node, &signer, "RemoveTargets", json!({"Rule": "big", "Ids": ["crm"]})).await;
    with(
        &node,
        "GET",
        "/v1/buses/default/subscriptions/big.crm",
        Some(&admin),
        "",
    )
    .await
    .problem(404, "resource_not_found");
    done(&node, &signer, "DeleteRule", json!({"Name": "big"})).await;
    done(&node, &signer, "DeleteApiDestination", json!({"Name": "crm-orders"})).await;
    assert_eq!(
        done(&node, &signer, "DeleteConnection", json!({"Name": "crm"})).await["ConnectionState"],
        "DELETING"
    );
    assert_eq!(
        v1(&node, &admin, "/v1/buses/default/connections").await["items"],
        json!([])
    );
    refused(
        &node,
        &signer,
        "DescribeRule",
        json!({"Name": "big"}),
        "ResourceNotFoundException",
    )
    .await;
}

#[tokio::test]
async fn a_rule_of_another_bus_has_a_copy_of_the_api_destination_that_follows_it() {
    let (node, admin, signer) = managed().await;
    let arn = destination(&node, &signer).await;
    done(
        &node,
        &signer,
        "CreateEventBus",
        json!({"Name": "orders", "Description": "all orders"}),
    )
    .await;
    assert_eq!(v1(&node, &admin, "/v1/buses/orders").await["description"], "all orders");
    assert_eq!(
        rule(&node, &signer, "orders").await,
        "arn:aws:events:eu-west-1:000000000000:rule/orders/big"
    );
    let targets = json!({"Rule": "big", "EventBusName": "orders", "Targets": [{"Id": "1", "Arn": arn}]});
    done(&node, &signer, "PutTargets", targets).await;
    let id = put_event(
        &node,
        &signer,
        "arn:aws:events:eu-west-1:123456789012:event-bus/orders",
        70,
    )
    .await;
    let envelope: Value =
        serde_json::from_str(&received(&node, 1).await[0]).expect("a target without an input gets the event");
    assert_eq!(
        (&envelope["id"], &envelope["detail"]),
        (&json!(id), &json!({"total": 70}))
    );

    let update = json!({"Name": "crm-orders", "InvocationEndpoint": "https://new.example.com/", "InvocationRateLimitPerSecond": 7});
    done(&node, &signer, "UpdateApiDestination", update).await;
    let copy = v1(&node, &admin, "/v1/buses/orders/connections/crm-orders").await;
    assert_eq!(copy["config"]["url"], "https://new.example.com/");
    assert_eq!(
        v1(&node, &admin, "/v1/buses/orders/subscriptions/big.1").await["delivery"]["rate"],
        "7/s"
    );
    let fingerprint = copy["config"]["auth"]["value"].clone();
    let auth = json!({"ApiKeyAuthParameters": {"ApiKeyName": "x-api-key", "ApiKeyValue": "another"}});
    done(
        &node,
        &signer,
        "UpdateConnection",
        json!({"Name": "crm", "AuthParameters": auth}),
    )
    .await;
    let copy = v1(&node, &admin, "/v1/buses/orders/connections/crm-orders").await;
    assert_ne!(
        copy["config"]["auth"]["value"], fingerprint,
        "the copy has the new secret"
    );
    done(&node, &signer, "DeauthorizeConnection", json!({"Name": "crm"})).await;
    let copy = v1(&node, &admin, "/v1/buses/orders/connections/crm-orders").await;
    assert_eq!(copy["config"].get("auth"), None);
    let described = done(&node, &signer, "DescribeApiDestination", json!({"Name": "crm-orders"})).await;
    assert_eq!(described["ApiDestinationState"], "INACTIVE");

    let message = refused(
        &node,
        &signer,
        "DeleteEventBus",
        json!({"Name": "orders"}),
        "ValidationException",
    )
    .await;
    assert!(message.contains("it has rules"), "{message}");
    refused(
        &node,
        &signer,
        "DeleteEventBus",
        json!({"Name": "default"}),
        "ValidationException",
    )
    .await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_in_aws_codes() {
    let (node, _, signer) = managed().await;
    let arn = destination(&node, &signer).await;
    rule(&node, &signer, "default").await;
    let put = |target: Value| json!({"Rule": "big", "Targets": [target]});
    for (operation, input, code, says) in [
        (
            "PutRule",
            json!({"Name": "r", "ScheduleExpression": "rate(1 minute)"}),
            "ValidationException",
            "schedules are not built",
        ),
        (
            "PutRule",
            json!({"Name": "r"}),
            "ValidationException",
            "EventPattern or ScheduleExpression",
        ),
        (
            "PutRule",
            json!({"Name": "r", "EventPattern": "{\"a\": \"b\"}"}),
            "InvalidEventPatternException",
            "Event pattern is not valid. Reason: ",
        ),
        (
            "PutRule",
            json!({"Name": "../x", "EventPattern": PATTERN}),
            "ValidationException",
            "regular expression",
        ),
        (
            "PutRule",
            json!({"Name": "r", "EventPattern": PATTERN, "EventBusName": "none"}),
            "ResourceNotFoundException",
            "none does not exist",
        ),
        (
            "PutTargets",
            put(json!({"Id": "1", "Arn": "arn:aws:states:eu-west-1:000000000000:stateMachine:q"})),
            "ValidationException",
            "API destinations",
        ),
        (
            "PutTargets",
            put(json!({"Id": "1", "Arn": arn, "Input": "{}", "InputPath": "$"})),
            "ValidationException",
            "Only one of Input",
        ),
        (
            "PutTargets",
            put(json!({"Id": "1", "Arn": arn, "Input": "{"})),
            "ValidationException",
            "target 1",
        ),
        (
            "PutTargets",
            put(json!({"Id": "1", "Arn": arn, "InputTransformer": {"InputTemplate": "{\"a\": <b>}"}})),
            "ValidationException",
            "InputTemplate for target 1 contains invalid placeholder b.",
        ),
        (
            "PutTargets",
            put(json!({"Id": "1", "Arn": arn, "RetryPolicy": {"MaximumRetryAttempts": 186}})),
            "ValidationException",
            "between 0 and 185",
        ),
        (
            "PutTargets",
            put(json!({"Id": "1", "Arn": arn, "SqsParameters": {"MessageGroupId": "g"}})),
            "ValidationException",
            "SqsParameters",
        ),
        (
            "PutTargets",
            json!({"Rule": "none", "Targets": [{"Id": "1", "Arn": arn}]}),
            "ResourceNotFoundException",
            "Rule none does not exist",
        ),
        (
            "CreateConnection",
            json!({"Name": "crm", "AuthorizationType": "BASIC", "AuthParameters": {"BasicAuthParameters": {"Username": "u", "Password": "p"}}}),
            "ResourceAlreadyExistsException",
            "crm",
        ),
        (
            "CreateEventBus",
            json!({"Name": "default"}),
            "ResourceAlreadyExistsException",
            "default",
        ),
        (
            "DescribeConnection",
            json!({"Name": "none"}),
            "ResourceNotFoundException",
            "none",
        ),
        (
            "CreateArchive",
            json!({"ArchiveName": "a", "EventSourceArn": "arn:aws:events:eu-west-1:000000000000:event-bus/none"}),
            "ResourceNotFoundException",
            "none",
        ),
        (
            "UpdateArchive",
            json!({"ArchiveName": "none", "Description": "d"}),
            "ResourceNotFoundException",
            "Archive none",
        ),
        (
            "DescribeReplay",
            json!({"ReplayName": "none"}),
            "ResourceNotFoundException",
            "Replay none",
        ),
        (
            "TagResource",
            json!({"ResourceARN": "arn:aws:events:eu-west-1:000000000000:rule/none", "Tags": [{"Key": "a", "Value": "b"}]}),
            "ResourceNotFoundException",
            "Rule none",
        ),
        (
            "TagResource",
            json!({"ResourceARN": "arn:aws:events:eu-west-1:000000000000:rule/big", "Tags": [{"Key": "aws:owner", "Value": "b"}]}),
            "ValidationException",
            "must not begin with aws:",
        ),
    ] {
        let message = refused(&node, &signer, operation, input.clone(), code).await;
        assert!(message.contains(says), "{operation} {input}: {message}");
    }
    let five: Vec<Value> = (0..6).map(|id| json!({"Id": id.to_string(), "Arn": arn})).collect();
    refused(
        &node,
        &signer,
        "PutTargets",
        json!({"Rule": "big", "Targets": five}),
        "LimitExceededException",
    )
    .await;
    assert_eq!(
        done(&node, &signer, "ListTargetsByRule", json!({"Rule": "big"})).await["Targets"],
        json!([]),
        "nothing was changed"
    );
}

#[tokio::test]
async fn an_archive_is_replayed_to_the_targets_of_a_rule() {
    let (node, admin, signer) = managed().await;
    let arn = destination(&node, &signer).await;
    let rule_arn = rule(&node, &signer, "default").await;
    let mut target = target(&arn);
    target["InputTransformer"] =
        json!({"InputPathsMap": {"id": "$.id", "replay": "$.replay-name"}, "InputTemplate": "[<id>, <replay>]"});
    done(
        &node,
        &signer,
        "PutTargets",
        json!({"Rule": "big", "Targets": [target]}),
    )
    .await;
    let bus = "arn:aws:events:eu-west-1:000000000000:event-bus/default";
    let archive = json!({"ArchiveName": "all", "EventSourceArn": bus, "RetentionDays": 30, "Description": "a month"});
    let archive_arn = done(&node, &signer, "CreateArchive", archive).await["ArchiveArn"].clone();
    assert_eq!(
        v1(&node, &admin, "/v1/buses/default/topics/events").await["retention"]["age"],
        "30d"
    );
    put_event(&node, &signer, "default", 50).await;
    received(&node, 1).await;

    let replay = |name: &str, from: i64, to: i64, bus: &str| {
        json!({"ReplayName": name, "EventSourceArn": archive_arn, "EventStartTime": from, "EventEndTime": to,
            "Destination": {"Arn": bus, "FilterArns": [rule_arn]}})
    };
    let (early, late) = (1_600_000_000, 4_000_000_000_i64);
    let other = "arn:aws:events:eu-west-1:000000000000:event-bus/other";
    let message = refused(
        &node,
        &signer,
        "StartReplay",
        replay("r", early, late, other),
        "ValidationException",
    )
    .await;
    assert!(
        message.contains("Cross event bus replay is not permitted."),
        "{message}"
    );
    let message = refused(
        &node,
        &signer,
        "StartReplay",
        replay("r", late, early, bus),
        "ValidationException",
    )
    .await;
    assert!(
        message.contains("EventStartTime must be before EventEndTime."),
        "{message}"
    );
    let started = done(&node, &signer, "StartReplay", replay("again", early, late, bus)).await;
    assert_eq!(started["State"], "STARTING");
    let both = received(&node, 2).await;
    let sent: Vec<[String; 2]> = both
        .iter()
        .map(|body| serde_json::from_str(body).expect("JSON"))
        .collect();
    assert_eq!(sent[0][0], sent[1][0], "the same event once more");
    assert_eq!(
        [&sent[0][1], &sent[1][1]],
        ["", "again"],
        "which carries the replay's name, not its part's"
    );
    let part = v1(&node, &admin, "/v1/buses/default/replays/again.0").await;
    assert_eq!(part["into"]["subscription"], "big.crm");
    for _ in 0..1_000 {
        let described = done(&node, &signer, "DescribeReplay", json!({"ReplayName": "again"})).await;
        if described["State"] == "COMPLETED" {
            break;
        }
        assert_eq!(described["State"], "RUNNING", "{described}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    refused(
        &node,
        &signer,
        "StartReplay",
        replay("again", early, late, bus),
        "ResourceAlreadyExistsException",
    )
    .await;
    refused(
        &node,
        &signer,
        "CancelReplay",
        json!({"ReplayName": "again"}),
        "IllegalStatusException",
    )
    .await;
    let listed = done(&node, &signer, "ListReplays", json!({"State": "COMPLETED"})).await;
    assert_eq!(listed["Replays"][0]["ReplayName"], "again");
    let listed = done(&node, &signer, "ListArchives", json!({"EventSourceArn": bus})).await;
    assert_eq!(
        (
            &listed["Archives"][0]["ArchiveName"],
            &listed["Archives"][0]["RetentionDays"]
        ),
        (&json!("all"), &json!(30))
    );
    done(&node, &signer, "DeleteArchive", json!({"ArchiveName": "all"})).await;
    refused(
        &node,
        &signer,
        "DescribeArchive",
        json!({"ArchiveName": "all"}),
        "ResourceNotFoundException",
    )
    .await;
}

#[tokio::test]
async fn lists_come_in_pages_and_tags_stay_with_their_thing() {
    let (node, admin, signer) = managed().await;
    for number in 0..5 {
        let rule = json!({"Name": format!("rule-{number}"), "EventPattern": PATTERN, "Tags": [{"Key": "n", "Value": number.to_string()}]});
        done(&node, &signer, "PutRule", rule).await;
    }
    let (mut names, mut token) = (Vec::new(), Value::Null);
    loop {
        let page = done(
            &node,
            &signer,
            "ListRules",
            json!({"Limit": 2, "NamePrefix": "rule-", "NextToken": token}),
        )
        .await;
        names.extend(
            page["Rules"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|rule| rule["Name"].clone()),
        );
        match page.get("NextToken") {
            Some(next) => token = next.clone(),
            None => break,
        }
    }
    assert_eq!(names, ["rule-0", "rule-1", "rule-2", "rule-3", "rule-4"]);
    refused(&node, &signer, "ListRules", json!({"Limit": 0}), "ValidationException").await;

    let arn = "arn:aws:events:eu-west-1:000000000000:rule/rule-3";
    done(
        &node,
        &signer,
        "TagResource",
        json!({"ResourceARN": arn, "Tags": [{"Key": "team", "Value": "shop"}]}),
    )
    .await;
    done(
        &node,
        &signer,
        "PutRule",
        json!({"Name": "rule-3", "EventPattern": PATTERN}),
    )
    .await;
    let tags = done(&node, &signer, "ListTagsForResource", json!({"ResourceARN": arn})).await;
    assert_eq!(
        tags["Tags"],
        json!([{"Key": "n", "Value": "3"}, {"Key": "team", "Value": "shop"}])
    );
    done(
        &node,
        &signer,
        "UntagResource",
        json!({"ResourceARN": arn, "TagKeys": ["n"]}),
    )
    .await;
    let tags = done(&node, &signer, "ListTagsForResource", json!({"ResourceARN": arn})).await;
    assert_eq!(tags["Tags"], json!([{"Key": "team", "Value": "shop"}]));
    // Who puts the bus by hand and knows nothing of rules does not lose them.
    let put = with(
        &node,
        "PUT",
        "/v1/buses/default",
        Some(&admin),
        r#"{"description": "by hand"}"#,
    )
    .await;
    assert_eq!(put.status, 200, "{put}");
    assert_eq!(
        done(&node, &signer, "ListRules", json!({})).await["Rules"]
            .as_array()
            .expect("a list")
            .len(),
        5
    );
}

#[tokio::test]
async fn a_key_of_another_bus_has_connections_of_its_own() {
    let (node, admin, ops) = managed().await;
    done(&node, &ops, "CreateEventBus", json!({"Name": "tenant"})).await;
    let arn = destination(&node, &ops).await;
    let tenant = signing_key(
        &node,
        &admin,
        "tenant",
        json!({"scopes": ["manage"], "buses": ["tenant"]}),
    )
    .await;
    assert_eq!(
        done(&node, &tenant, "ListConnections", json!({})).await["Connections"],
        json!([])
    );
    refused(
        &node,
        &tenant,
        "DescribeConnection",
        json!({"Name": "crm"}),
        "ResourceNotFoundException",
    )
    .await;
    done(
        &node,
        &tenant,
        "PutRule",
        json!({"Name": "r", "EventBusName": "tenant", "EventPattern": PATTERN}),
    )
    .await;
    let targets = json!({"Rule": "r", "EventBusName": "tenant", "Targets": [{"Id": "1", "Arn": arn}]});
    refused(&node, &tenant, "PutTargets", targets, "ResourceNotFoundException").await;
    refused(
        &node,
        &tenant,
        "PutRule",
        json!({"Name": "r", "EventPattern": PATTERN}),
        "AccessDeniedException",
    )
    .await;
    let own = destination(&node, &tenant).await;
    assert_ne!(own, arn);
    let targets = |arn: &str| json!({"Rule": "r", "EventBusName": "tenant", "Targets": [{"Id": "1", "Arn": arn}]});
    refused(&node, &tenant, "PutTargets", targets(&arn), "ResourceNotFoundException").await;
    done(&node, &tenant, "PutTargets", targets(&own)).await;
    v1(&node, &admin, "/v1/buses/tenant/connections/crm-orders").await;
    // Another's API destination of the same name is another one.
    let update = json!({"Name": "crm-orders", "InvocationRateLimitPerSecond": 3});
    done(&node, &ops, "UpdateApiDestination", update).await;
    let rate = async || v1(&node, &admin, "/v1/buses/tenant/subscriptions/r.1").await["delivery"]["rate"].clone();
    assert_eq!(rate().await, "20/s");
    // An administrator, whose own connections live elsewhere, changes the tenant's rule and leaves its target where it is.
    done(
        &node,
        &ops,
        "PutRule",
        json!({"Name": "r", "EventBusName": "tenant", "EventPattern": PATTERN, "State": "DISABLED"}),
    )
    .await;
    assert_eq!(rate().await, "20/s");
    // Who may not manage a bus gets no copy of a connection there.
    let subscriber = signing_key(&node, &admin, "subscriber", json!({"scopes": ["subscribe"]})).await;
    done(
        &node,
        &subscriber,
        "PutRule",
        json!({"Name": "s", "EventBusName": "tenant", "EventPattern": PATTERN}),
    )
    .await;
    let targets = json!({"Rule": "s", "EventBusName": "tenant", "Targets": [{"Id": "1", "Arn": arn}]});
    refused(&node, &subscriber, "PutTargets", targets, "AccessDeniedException").await;
}

/// AWS's SDKs for some languages write `null` for what is left out.
#[tokio::test]
async fn null_is_what_is_left_out() {
    let (node, _, signer) = managed().await;
    let arn = destination(&node, &signer).await;
    let rule = json!({"Name": "r", "EventPattern": PATTERN, "Tags": null, "State": null, "ScheduleExpression": null});
    done(&node, &signer, "PutRule", rule).await;
    let target = json!({"Id": "1", "Arn": arn, "Input": null, "EcsParameters": null,
        "InputTransformer": {"InputPathsMap": null, "InputTemplate": "{}"},
        "HttpParameters": {"PathParameterValues": null, "HeaderParameters": null, "QueryStringParameters": {"q": "v"}},
        "RetryPolicy": {"MaximumRetryAttempts": null}});
    let put = json!({"Rule": "r", "Targets": [target], "EventBusName": null});
    let answer = done(&node, &signer, "PutTargets", put).await;
    assert_eq!(answer["FailedEntryCount"], 0, "{answer}");
    let listed = done(&node, &signer, "ListTargetsByRule", json!({"Rule": "r", "Limit": null})).await;
    assert_eq!(
        listed["Targets"],
        json!([{"Id": "1", "Arn": arn, "InputTransformer": {"InputTemplate": "{}"},
            "HttpParameters": {"QueryStringParameters": {"q": "v"}}, "RetryPolicy": {}}])
    );
    done(&node, &signer, "CreateEventBus", json!({"Name": "b", "Tags": null})).await;
    let parameter = json!({"Key": "k", "Value": "v", "IsValueSecret": null});
    let auth = json!({"ApiKeyAuthParameters": {"ApiKeyName": "x-api-key", "ApiKeyValue": "v"},
        "ConnectivityParameters": null,
        "InvocationHttpParameters": {"HeaderParameters": [parameter], "QueryStringParameters": null, "BodyParameters": null}});
    let connection = json!({"Name": "c", "AuthorizationType": "API_KEY", "AuthParameters": auth});
    done(&node, &signer, "CreateConnection", connection).await;
    let remove = json!({"RemoveAllPermissions": null, "StatementId": "none"});
    refused(&node, &signer, "RemovePermission", remove, "ResourceNotFoundException").await;
}

#[tokio::test]
async fn a_state_that_does_not_exist_is_refused_where_lists_are_filtered_by_it() {
    let (node, _, signer) = managed().await;
    for (operation, member, state) in [
        ("ListReplays", "State", "RUNNING"),
        ("ListArchives", "State", "CREATE_FAILED"),
        ("ListConnections", "ConnectionState", "DEAUTHORIZED"),
    ] {
        done(&node, &signer, operation, json!({member: state})).await;
        let message = refused(&node, &signer, operation, json!({member: "X"}), "ValidationException").await;
        assert!(
            message.contains("enum value set") && message.contains(state),
            "{message}"
        );
    }
}
