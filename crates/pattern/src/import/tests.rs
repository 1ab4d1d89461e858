//! Imports: what comes out, what is noted, what is refused.

use serde_json::{Value, json};

use super::*;
use crate::CompileCode;

fn convert(system: System, source: &Value) -> Result<Imported, CompileError> {
    subscription(system, &source.to_string())
}

fn subscription(system: System, source: &str) -> Result<Imported, CompileError> {
    match system.convert(source)? {
        Conversion::Subscription(imported) => Ok(imported),
        Conversion::Skipped(reason) => panic!("{source} is skipped: {reason}"),
    }
}

fn check_skipped(system: System, source: Value, reason: &str) {
    let conversion = system.convert(&source.to_string()).expect("no refusal");
    assert_eq!(conversion, Conversion::Skipped(reason.into()), "{source}");
}

fn check(system: System, source: Value, name: Option<&str>, filter: Value, notes: &[&str]) {
    let imported = convert(system, &source).unwrap_or_else(|error| panic!("{source}: {error}"));
    assert_eq!(imported.name.as_deref(), name, "{source}");
    assert_eq!(imported.notes, notes, "{source}");
    let content = |filter: ImportedFilter| -> Value {
        let content: Value = serde_json::from_str(&filter.json).expect("JSON");
        json!({ filter.language: content })
    };
    assert_eq!(imported.filter.map_or(Value::Null, content), filter, "{source}");
}

fn check_refused(system: System, source: Value, message: &str) {
    let error = convert(system, &source).expect_err("the source is refused");
    assert!(error.to_string().contains(message), "{source}: {error}");
}

/// The content of the filter is this text.
fn check_text(system: System, source: &str, json: &str) {
    let imported = subscription(system, source).unwrap_or_else(|error| panic!("{source}: {error}"));
    let filter = imported.filter.unwrap_or_else(|| panic!("{source}: no filter"));
    assert_eq!(filter.json, json, "{source}");
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
    check(System::EventBridge, described, Some("paid"), filter.clone(), &notes);
    let resource = json!({
        "Type": "AWS::Events::Rule",
        "Properties": {"Name": "paid", "EventPattern": pattern, "State": "ENABLED", "Targets": [{"Arn": "a", "Id": "b"}]},
    });
    let notes = ["not part of a filter, and not imported: Targets"];
    check(System::EventBridge, resource, Some("paid"), filter.clone(), &notes);
    let terraform = json!({"name": "paid", "event_pattern": pattern.to_string(), "is_enabled": true});
    check(System::EventBridge, terraform, Some("paid"), filter.clone(), &[]);
    check(System::EventBridge, pattern, None, filter, &[]);
    let subscriber = json!({"Name": "s", "FilterConfiguration": {"Language": "EVENT_BRIDGE_PATTERN", "Filters": [
        {"Scope": "DATA", "Pattern": "{\"status\": [\"paid\"]}"},
    ]}});
    check(
        System::EventBridge,
        subscriber,
        Some("s"),
        json!({"eventbridge": {"detail": {"status": ["paid"]}}}),
        &[],
    );
}

#[test]
fn a_pattern_keeps_the_text_that_was_written() {
    for pattern in [
        r#"{"detail":{"$or":[{"a":[1]},{"b":[2]}],"$or":[{"c":[3]},{"d":[4]}]}}"#,
        r#"{"detail":{"a":{"b":["x"]},"a":{"c":["y"]}}}"#,
        r#"{"detail":{"a":["x"]},"detail":{"b":["y"]}}"#,
        r#"{"detail": {"a": [123456789012345678901, 1e400, 3.0e2, -0.0]}}"#,
    ] {
        let text = Value::from(pattern);
        check_text(System::EventBridge, pattern, pattern);
        check_text(
            System::EventBridge,
            &format!(r#"{{"EventPattern":{pattern}}}"#),
            pattern,
        );
        check_text(System::EventBridge, &format!(r#"{{"EventPattern":{text}}}"#), pattern);
        let resource = format!(r#"{{"Type":"AWS::Events::Rule","Properties":{{"EventPattern":{pattern}}}}}"#);
        check_text(System::EventBridge, &resource, pattern);
        let subscriber = format!(r#"{{"FilterConfiguration":{{"Filters":[{{"Pattern":{text}}}]}}}}"#);
        check_text(System::EventBridge, &subscriber, &format!(r#"{{"detail":{pattern}}}"#));
    }
    // What the compiler takes is handed on, also if something follows it.
    check_text(
        System::EventBridge,
        r#"{"EventPattern": "{\"a\":[1]} and more"}"#,
        r#"{"a":[1]} and more"#,
    );
    // It would not stay inside `detail`.
    let broken_out = json!({"FilterConfiguration": {"Filters": [{"Pattern": "{\"a\":[1]},\"source\":[\"x\"]"}]}});
    check_refused(System::EventBridge, broken_out, "not JSON");
    check_text(
        System::EventGrid,
        r#"{"filter":{"advancedFilters":[{"operatorType":"NumberIn","key":"data.a","values":[12345678901234567890123,1e400]}]}}"#,
        r#"{"advancedFilters":[{"operatorType":"NumberIn","key":"data.a","values":[12345678901234567890123,1e400]}]}"#,
    );
}

#[test]
fn a_member_that_is_there_twice_is_refused() {
    let refused = |system: System, source: &str| {
        let error = system.convert(source).expect_err(source);
        assert!(error.message.contains("there twice"), "{source}: {error}");
    };
    refused(
        System::EventBridge,
        r#"{"EventPattern":{"a":[1]},"EventPattern":{"b":[1]}}"#,
    );
    refused(
        System::EventBridge,
        r#"{"EventPattern":{"a":[1]},"event_pattern":{"b":[1]}}"#,
    );
    refused(
        System::Knative,
        r#"{"spec":{"filters":[{"exact":{"type":"a"}}]},"spec":{}}"#,
    );
    refused(
        System::EventGrid,
        r#"{"subjectBeginsWith":"/a","SubjectBeginsWith":"/b"}"#,
    );
    let error = System::EventBridge
        .resources(r#"{"Rules":[],"Rules":[]}"#)
        .expect_err("two lists");
    assert!(error.message.contains("there twice"), "{error}");
}

#[test]
fn lists_and_templates_are_opened() {
    let check = |document: &str, expected: &[(Option<&str>, &str)]| {
        let resources = System::EventBridge.resources(document).expect(document);
        let resources: Vec<_> = resources
            .iter()
            .map(|resource| (resource.name.as_deref(), resource.json))
            .collect();
        assert_eq!(resources, expected);
    };
    check(
        r#" {"Rules": [{"Name": "a"}, {"Name":  "b"}], "NextToken": "x"}"#,
        &[(None, r#"{"Name": "a"}"#), (None, r#"{"Name":  "b"}"#)],
    );
    check("[1, 2]", &[(None, "1"), (None, "2")]);
    check(r#"{"detail": {"a": [1]}} "#, &[(None, r#"{"detail": {"a": [1]}}"#)]);
    check(
        r#"{"Resources": {"Paid": {"Type": "AWS::Events::Rule"}, "Bucket": {"Type": "AWS::S3::Bucket"}}}"#,
        &[
            (Some("Paid"), r#"{"Type": "AWS::Events::Rule"}"#),
            (Some("Bucket"), r#"{"Type": "AWS::S3::Bucket"}"#),
        ],
    );
    let pattern = r#"{"resources": ["arn:x"]}"#;
    check(pattern, &[(None, pattern)]);
}

#[test]
fn a_template_of_arm_is_opened_with_what_lies_inside_its_resources() {
    let names = |document: Value| -> Vec<String> {
        let document = document.to_string();
        let resources = System::EventGrid.resources(&document).expect("resources");
        let name = |resource: &Resource<'_>| {
            let resource: Value = serde_json::from_str(resource.json).expect("JSON");
            resource["name"].as_str().expect("a name").to_owned()
        };
        resources.iter().map(name).collect()
    };
    let inside = json!({"name": "a", "type": "Microsoft.EventGrid/topics", "resources": [{"name": "b", "type": "eventSubscriptions"}]});
    assert_eq!(names(json!({"resources": [inside, {"name": "c"}]})), ["a", "c", "b"]);
    assert_eq!(names(json!({"resources": {"s": {"name": "a"}}})), ["a"]);
}

#[test]
fn what_is_no_subscription_is_skipped() {
    let bucket = json!({"Type": "AWS::S3::Bucket", "Properties": {}});
    check_skipped(System::EventBridge, bucket, "its type is \"AWS::S3::Bucket\"");
    let archive = json!({"Type": "AWS::Events::Archive", "Properties": {"EventPattern": {"a": [1]}}});
    check_skipped(System::EventBridge, archive, "its type is \"AWS::Events::Archive\"");
    let broker = json!({"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "metadata": {"name": "default"}});
    check_skipped(System::Knative, broker, "its kind is \"Broker\"");
    let other = json!({"apiVersion": "triggers.tekton.dev/v1beta1", "kind": "Trigger", "spec": {}});
    check_skipped(
        System::Knative,
        other,
        "its apiVersion is \"triggers.tekton.dev/v1beta1\"",
    );
    let topic = json!({"type": "Microsoft.EventGrid/topics", "name": "t"});
    check_skipped(System::EventGrid, topic, "its type is \"Microsoft.EventGrid/topics\"");
}

#[test]
fn what_is_not_known_never_makes_a_subscription_that_takes_everything() {
    let refused = |system: System, source: Value, name: &str| {
        let error = convert(system, &source).expect_err("it is refused");
        assert_eq!(error.path, name, "{source}: {error}");
    };
    refused(System::Knative, json!({"spec": {"broker": "b", "only": "a"}}), "only");
    refused(
        System::Knative,
        json!({"spec": {}, "filter": {"attributes": {"type": "a"}}}),
        "filter",
    );
    refused(
        System::Knative,
        json!({"filter": {"attribute": {"type": "a"}}}),
        "spec.filter.attribute",
    );
    refused(
        System::Knative,
        json!({"filter": [{"exact": {"type": "a"}}]}),
        "spec.filter",
    );
    refused(System::EventGrid, json!({"name": "n", "only": "a"}), "only");
    refused(System::EventGrid, json!({"name": "n", "resources": "a"}), "resources");
    let filter = json!({"isSubjectCaseSensitive": false, "includedEventTypes": ["All"]});
    refused(System::EventGrid, json!({"filter": filter, "only": "a"}), "only");
    refused(
        System::EventGrid,
        json!({"properties": {"topic": "t"}, "filter": {"subjectBeginsWith": "/a"}}),
        "filter",
    );
    refused(
        System::EventGrid,
        json!({"properties": {"filtersConfiguration": {"include": ["a"]}}}),
        "filtersConfiguration.include",
    );
    refused(
        System::EventGrid,
        json!({"filter": {"subjectBeginsWith": "/a"}, "filtersConfiguration": {}}),
        "filtersConfiguration",
    );
    refused(
        System::EventGrid,
        json!({"subject_filter": {"begins": "/a"}}),
        "subject_filter.begins",
    );
    // Names that are written in another case are known.
    check(
        System::EventGrid,
        json!({"SubjectBeginsWith": "/a"}),
        None,
        json!({"eventgrid": {"SubjectBeginsWith": "/a"}}),
        &[],
    );
}

#[test]
fn the_first_version_of_triggers_names_a_source_and_a_type() {
    let trigger = |wanted: Value| json!({"spec": {"filter": {"sourceAndType": wanted}}});
    check(
        System::Knative,
        trigger(json!({"type": "a", "source": "/b"})),
        None,
        json!({"cloudevents": [{"exact": {"type": "a", "source": "/b"}}]}),
        &[],
    );
    check(
        System::Knative,
        trigger(json!({"type": "a", "source": ""})),
        None,
        json!({"cloudevents": [{"exact": {"type": "a"}}]}),
        &[],
    );
    let everything = ["the trigger has no filter: it takes every event"];
    check(
        System::Knative,
        trigger(json!({"type": ""})),
        None,
        Value::Null,
        &everything,
    );
    check_refused(System::Knative, trigger(json!({"subject": "a"})), "not known");
    check_refused(System::Knative, trigger(json!({"type": 1})), "with a string");
    let both = json!({"filter": {"attributes": {"type": "a"}, "sourceAndType": {"type": "a"}}});
    check_refused(System::Knative, both, "either attributes or sourceAndType");
}

#[test]
fn arguments_of_terraform_are_an_event_grid_filter() {
    let arguments = json!({
        "name": "s", "scope": "/subscriptions/1", "included_event_types": ["A"],
        "subject_filter": {"subject_begins_with": "/x", "subject_ends_with": "", "case_sensitive": true},
    });
    check(
        System::EventGrid,
        arguments,
        Some("s"),
        json!({"eventgrid": {"includedEventTypes": ["A"], "subjectBeginsWith": "/x", "isSubjectCaseSensitive": true}}),
        &["not part of a filter, and not imported: scope"],
    );
    let of_state = json!({
        "name": "s", "included_event_types": [], "subject_filter": [], "advanced_filtering_on_arrays_enabled": true,
        "advanced_filter": [{
            "string_in": [{"key": "data.a", "values": ["x"]}, {"key": "data.b", "values": ["y"]}],
            "number_greater_than_or_equals": [{"key": "data.n", "value": 5}],
            "is_not_null": [{"key": "data.c"}],
            "bool_equals": [],
        }],
    });
    check(
        System::EventGrid,
        of_state,
        Some("s"),
        json!({"eventgrid": {
            "advancedFilters": [
                {"operatorType": "StringIn", "key": "data.a", "values": ["x"]},
                {"operatorType": "StringIn", "key": "data.b", "values": ["y"]},
                {"operatorType": "NumberGreaterThanOrEquals", "key": "data.n", "value": 5},
                {"operatorType": "IsNotNull", "key": "data.c"},
            ],
            "enableAdvancedFilteringOnArrays": true,
        }}),
        &[],
    );
    check_refused(
        System::EventGrid,
        json!({"advanced_filter": {"string_like": {"key": "data.a", "values": ["x"]}}}),
        "not known",
    );
    let two = json!({"subject_filter": [{"subject_begins_with": "/a"}, {"subject_begins_with": "/b"}]});
    check_refused(System::EventGrid, two, "one block");
}

#[test]
fn rules_without_a_good_pattern_are_refused() {
    check_refused(System::EventBridge, json!([]), "is an object");
    check_refused(System::EventBridge, json!({}), "no event pattern");
    check_refused(
        System::EventBridge,
        json!({"Name": "x", "ScheduleExpression": "rate(1 hour)"}),
        "schedule",
    );
    check_refused(
        System::EventBridge,
        json!({"EventPattern": "{"}),
        "Unexpected end-of-input",
    );
    check_refused(
        System::EventBridge,
        json!({"EventPattern": {"a": "b"}}),
        "must be an object or an array",
    );
    let scope = json!({"FilterConfiguration": {"Filters": [{"Scope": "METADATA", "Pattern": "{}"}]}});
    check_refused(System::EventBridge, scope, "\"METADATA\" has no counterpart");
    let two = json!({"FilterConfiguration": {"Filters": [{"Pattern": "{}"}, {"Pattern": "{}"}]}});
    check_refused(System::EventBridge, two, "only a single filter");
    assert_eq!(
        convert(System::EventBridge, &json!({})).unwrap_err().code,
        CompileCode::BadImport
    );
}

#[test]
fn a_trigger_is_filters_of_cloudevents() {
    let trigger = |spec: Value| json!({"apiVersion": "eventing.knative.dev/v1", "kind": "Trigger", "metadata": {"name": "t"}, "spec": spec});
    let noted = ["not part of a filter, and not imported: broker, subscriber"];
    check(
        System::Knative,
        trigger(
            json!({"broker": "default", "filter": {"attributes": {"type": "a", "source": "/b"}}, "subscriber": {"uri": "u"}}),
        ),
        Some("t"),
        json!({"cloudevents": [{"exact": {"type": "a", "source": "/b"}}]}),
        &noted,
    );
    check(
        System::Knative,
        trigger(json!({"filter": {"attributes": {"type": "a", "tier": ""}}})),
        Some("t"),
        json!({"cloudevents": [{"exact": {"type": "a"}}, {"sql": "EXISTS tier"}]}),
        &[],
    );
    check(
        System::Knative,
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
    let everything = ["the trigger has no filter: it takes every event"];
    check(System::Knative, trigger(json!({})), Some("t"), Value::Null, &everything);
    check(
        System::Knative,
        json!({"filter": {"attributes": {}}}),
        None,
        Value::Null,
        &everything,
    );
}

#[test]
fn triggers_that_say_something_else_are_refused() {
    let spec = |filters: Value| json!({"spec": {"filters": filters}});
    check_refused(System::Knative, json!(1), "is an object");
    check_refused(System::Knative, spec(json!({})), "filters are a list");
    check_refused(System::Knative, spec(json!([{"js": "x"}])), "unknown dialect \"js\"");
    check_refused(System::Knative, spec(json!([{}])), "the filter is empty");
    check_refused(System::Knative, spec(json!([{"all": [1]}])), "a filter is an object");
    check_refused(
        System::Knative,
        json!({"filter": {"attributes": {"Type": "a"}}}),
        "not the name of an attribute",
    );
    check_refused(
        System::Knative,
        json!({"filter": {"attributes": {"type": 1}}}),
        "is a string",
    );
    let deep = (0..40).fold(json!({"exact": {"type": "a"}}), |inner, _| json!({ "not": inner }));
    check_refused(System::Knative, spec(json!([deep])), "nested more than");
}

#[test]
fn a_trigger_that_does_not_compile_is_refused_with_its_place() {
    let check = |spec: Value, message: &str, path: &str| {
        let error = convert(System::Knative, &json!({ "spec": spec })).expect_err("the trigger is refused");
        assert!(error.message.contains(message), "{spec}: {error}");
        assert_eq!(error.path, path, "{spec}: {error}");
    };
    check(
        json!({"filter": {"attributes": {"type": "a", "in": ""}}}),
        "of the expression",
        "spec.filter.attributes.in",
    );
    check(
        json!({"filter": {"attributes": {"data": "a"}}}),
        "data is no attribute",
        "spec.filter.attributes",
    );
    check(
        json!({"filters": [{"exact": {"type": "a"}}, {"exact": {}}]}),
        "at least one attribute",
        "spec.filters[1].exact",
    );
    check(
        json!({"filters": [{"all": []}]}),
        "at least one filter",
        "spec.filters[0].all",
    );
    check(
        json!({"filters": [{"not": {"any": []}}]}),
        "at least one filter",
        "spec.filters[0].not.any",
    );
    check(
        json!({"filters": [{"any": [{"cesql": "typ LIKE"}]}]}),
        "of the expression",
        "spec.filters[0].any[0].cesql",
    );
    check(
        json!({"filters": [{"prefix": {"type": 1}}]}),
        "compared with a string",
        "spec.filters[0].prefix",
    );
    let twice = r#"{"spec":{"filter":{"attributes":{"type":"a","type":"b"}}}}"#;
    let error = System::Knative.convert(twice).expect_err("a name twice");
    assert!(error.message.contains("named twice"), "{error}");
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
        System::EventGrid,
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
        System::EventGrid,
        answered,
        Some("s"),
        json!({"eventgrid": {"subjectEndsWith": ".jpg"}}),
        &notes,
    );
    check(
        System::EventGrid,
        filter.clone(),
        None,
        json!({ "eventgrid": filter }),
        &[],
    );
    let of_namespace = json!({"name": "n", "properties": {"filtersConfiguration": {
        "includedEventTypes": ["a"], "filters": [{"operatorType": "IsNotNull", "key": "data.a"}],
    }}});
    let expected = json!({"eventgrid": {"includedEventTypes": ["a"], "advancedFilters": [{"operatorType": "IsNotNull", "key": "data.a"}]}});
    check(System::EventGrid, of_namespace, Some("n"), expected, &[]);
    let nothing = json!({"name": "n", "properties": {"filter": {}}});
    let notes = ["the event subscription has no filter: it takes every event"];
    check(System::EventGrid, nothing, Some("n"), Value::Null, &notes);
    check(System::EventGrid, json!({"name": "n"}), Some("n"), Value::Null, &notes);
}

#[test]
fn event_subscriptions_with_a_bad_filter_are_refused() {
    check_refused(System::EventGrid, json!("x"), "is an object");
    check_refused(System::EventGrid, json!({"filter": 1}), "is an object");
    check_refused(System::EventGrid, json!({"filter": {"subject": "x"}}), "not known");
    let operator = json!({"advancedFilters": [{"operatorType": "StringLike", "key": "data.a", "values": ["a"]}]});
    check_refused(System::EventGrid, operator, "not known");
}
