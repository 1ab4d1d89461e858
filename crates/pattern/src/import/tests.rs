//! Imports: what comes out, what is noted, what is refused.

use serde_json::{Value, json};

use super::*;
use crate::CompileCode;

type Import = fn(&Value) -> Result<Imported, CompileError>;

fn check(import: Import, source: Value, name: Option<&str>, filter: Value, notes: &[&str]) {
    let imported = import(&source).unwrap_or_else(|error| panic!("{source}: {error}"));
    let expected = Imported {
        name: name.map(Into::into),
        types: None,
        filter,
        notes: notes.iter().map(|note| (*note).to_owned()).collect(),
    };
    assert_eq!(imported, expected, "{source}");
}

fn check_refused(import: Import, source: Value, message: &str) {
    let error = import(&source).expect_err("the source is refused");
    assert!(error.message.contains(message), "{source}: {error}");
}

#[test]
fn a_rule_of_eventbridge_is_its_pattern() {
    let pattern = json!({"source": ["shop"], "detail": {"status": [{"prefix": "pa"}]}});
    let filter = json!({ "eventbridge": pattern });
    let described = json!({
        "Name": "paid", "Arn": "arn:aws:events:us-east-1:1:rule/paid", "EventPattern": pattern.to_string(), "State": "DISABLED",
        "EventBusName": "default", "Description": null,
    });
    let notes = [
        "the rule is disabled: create the subscription with `enabled: false`",
        "not part of a filter, and not imported: Arn, EventBusName",
    ];
    check(eventbridge_rule, described, Some("paid"), filter.clone(), &notes);
    let resource = json!({
        "Type": "AWS::Events::Rule",
        "Properties": {"Name": "paid", "EventPattern": pattern, "State": "ENABLED", "Targets": [{"Arn": "a", "Id": "b"}]},
    });
    let notes = ["not part of a filter, and not imported: Targets"];
    check(eventbridge_rule, resource, Some("paid"), filter.clone(), &notes);
    let terraform = json!({"name": "paid", "event_pattern": pattern.to_string(), "is_enabled": true});
    check(eventbridge_rule, terraform, Some("paid"), filter.clone(), &[]);
    check(eventbridge_rule, pattern, None, filter, &[]);
    let subscriber = json!({"Name": "s", "FilterConfiguration": {"Language": "EVENT_BRIDGE_PATTERN", "Filters": [
        {"Scope": "DATA", "Pattern": "{\"status\": [\"paid\"]}"},
    ]}});
    check(
        eventbridge_rule,
        subscriber,
        Some("s"),
        json!({"eventbridge": {"detail": {"status": ["paid"]}}}),
        &[],
    );
}

#[test]
fn rules_without_a_good_pattern_are_refused() {
    check_refused(eventbridge_rule, json!([]), "is an object");
    check_refused(eventbridge_rule, json!({}), "no event pattern");
    check_refused(
        eventbridge_rule,
        json!({"Name": "x", "ScheduleExpression": "rate(1 hour)"}),
        "schedule",
    );
    check_refused(eventbridge_rule, json!({"EventPattern": "{"}), "not JSON");
    check_refused(
        eventbridge_rule,
        json!({"EventPattern": {"a": "b"}}),
        "must be an object or an array",
    );
    let scope = json!({"FilterConfiguration": {"Filters": [{"Scope": "METADATA", "Pattern": "{}"}]}});
    check_refused(eventbridge_rule, scope, "METADATA has no counterpart");
    let two = json!({"FilterConfiguration": {"Filters": [{"Pattern": "{}"}, {"Pattern": "{}"}]}});
    check_refused(eventbridge_rule, two, "only a single filter");
    assert_eq!(eventbridge_rule(&json!({})).unwrap_err().code, CompileCode::BadImport);
}

#[test]
fn a_trigger_is_filters_of_cloudevents() {
    let trigger = |spec: Value| json!({"apiVersion": "eventing.knative.dev/v1", "kind": "Trigger", "metadata": {"name": "t"}, "spec": spec});
    let noted = ["not part of a filter, and not imported: broker, subscriber"];
    check(
        knative_trigger,
        trigger(
            json!({"broker": "default", "filter": {"attributes": {"type": "a", "source": "/b"}}, "subscriber": {"uri": "u"}}),
        ),
        Some("t"),
        json!({"cloudevents": [{"exact": {"type": "a", "source": "/b"}}]}),
        &noted,
    );
    check(
        knative_trigger,
        trigger(json!({"filter": {"attributes": {"type": "a", "tier": ""}}})),
        Some("t"),
        json!({"cloudevents": [{"exact": {"type": "a"}}, {"sql": "EXISTS tier"}]}),
        &[],
    );
    check(
        knative_trigger,
        trigger(json!({"filters": [
            {"cesql": "source LIKE '%x%'"},
            {"any": [{"prefix": {"type": "a."}}, {"not": {"suffix": {"subject": ".png"}}}]},
            {"exact": {"type": "a"}, "prefix": {"source": "/"}},
        ], "filter": {"attributes": {"type": "ignored"}}})),
        Some("t"),
        json!({"cloudevents": [
            {"sql": "source LIKE '%x%'"},
            {"any": [{"prefix": {"type": "a."}}, {"not": {"suffix": {"subject": ".png"}}}]},
            {"all": [{"exact": {"type": "a"}}, {"prefix": {"source": "/"}}]},
        ]}),
        &["spec.filters is set, so spec.filter is ignored, as Knative does"],
    );
    check(knative_trigger, trigger(json!({})), Some("t"), Value::Null, &[]);
    check(
        knative_trigger,
        json!({"filter": {"attributes": {}}}),
        None,
        Value::Null,
        &[],
    );
}

#[test]
fn triggers_that_say_something_else_are_refused() {
    let spec = |filters: Value| json!({"spec": {"filters": filters}});
    check_refused(knative_trigger, json!(1), "is an object");
    check_refused(knative_trigger, spec(json!({})), "filters are a list");
    check_refused(knative_trigger, spec(json!([{"js": "x"}])), "unknown dialect \"js\"");
    check_refused(knative_trigger, spec(json!([{}])), "the filter is empty");
    check_refused(knative_trigger, spec(json!([{"all": [1]}])), "a filter is an object");
    check_refused(
        knative_trigger,
        json!({"filter": {"attributes": {"Type": "a"}}}),
        "not the name of an attribute",
    );
    check_refused(
        knative_trigger,
        json!({"filter": {"attributes": {"type": 1}}}),
        "is a string",
    );
    let deep = (0..40).fold(json!({"exact": {"type": "a"}}), |inner, _| json!({ "not": inner }));
    check_refused(knative_trigger, spec(json!([deep])), "nested more than");
}

#[test]
fn an_event_subscription_is_its_filter() {
    let filter = json!({
        "includedEventTypes": ["Microsoft.Storage.BlobCreated"], "subjectBeginsWith": "/blobServices/",
        "advancedFilters": [{"operatorType": "StringIn", "key": "data.api", "values": ["PutBlob"]}],
    });
    let resource = json!({
        "type": "Microsoft.EventGrid/eventSubscriptions", "name": "topic/created", "apiVersion": "2022-06-15",
        "properties": {"filter": filter, "destination": {"endpointType": "WebHook"}, "labels": null},
    });
    let notes = ["not part of a filter, and not imported: destination"];
    check(
        event_grid_subscription,
        resource,
        Some("created"),
        json!({ "eventgrid": filter }),
        &notes,
    );
    let answered = json!({
        "name": "s", "id": "/subscriptions/1", "provisioningState": "Succeeded", "retryPolicy": {"maxDeliveryAttempts": 30},
        "filter": {"includedEventTypes": null, "subjectBeginsWith": "", "subjectEndsWith": ".jpg", "isSubjectCaseSensitive": null, "advancedFilters": []},
    });
    let notes = ["not part of a filter, and not imported: retryPolicy"];
    check(
        event_grid_subscription,
        answered,
        Some("s"),
        json!({"eventgrid": {"subjectEndsWith": ".jpg"}}),
        &notes,
    );
    check(
        event_grid_subscription,
        filter.clone(),
        None,
        json!({ "eventgrid": filter }),
        &[],
    );
    let of_namespace = json!({"name": "n", "properties": {"filtersConfiguration": {
        "includedEventTypes": ["a"], "filters": [{"operatorType": "IsNotNull", "key": "data.a"}],
    }}});
    let expected = json!({"eventgrid": {"includedEventTypes": ["a"], "advancedFilters": [{"operatorType": "IsNotNull", "key": "data.a"}]}});
    check(event_grid_subscription, of_namespace, Some("n"), expected, &[]);
    let nothing = json!({"name": "n", "properties": {"filter": {}}});
    check(event_grid_subscription, nothing, Some("n"), Value::Null, &[]);
    let notes = ["the event subscription has no filter: it takes every event"];
    check(
        event_grid_subscription,
        json!({"name": "n"}),
        Some("n"),
        Value::Null,
        &notes,
    );
}

#[test]
fn event_subscriptions_with_a_bad_filter_are_refused() {
    check_refused(event_grid_subscription, json!("x"), "is an object");
    check_refused(event_grid_subscription, json!({"filter": 1}), "is an object");
    check_refused(
        event_grid_subscription,
        json!({"filter": {"subject": "x"}}),
        "not known",
    );
    let operator = json!({"advancedFilters": [{"operatorType": "StringLike", "key": "data.a", "values": ["a"]}]});
    check_refused(event_grid_subscription, operator, "not known");
}
