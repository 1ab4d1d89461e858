//! Findings as texts, and that what is called certain is.

use super::cover::{accept_every_value, accepts_no_text, covers, no_text_passes_both};
use super::*;
use crate::document::Data;
use crate::fields::Value;
use crate::mounts::Mounts;
use crate::operator::Operator;

const TESTS: [&str; 58] = [
    "\"\"",
    "\"a\"",
    "\"ab\"",
    "\"aB\"",
    "\"b\"",
    "\"é\"",
    "\"10.0.0.1\"",
    "\"::1\"",
    "\"0:0:0:0:0:0:0:1\"",
    "1",
    "1.0",
    "2",
    "1e400",
    "-1.5",
    "true",
    "false",
    "null",
    r#"{"exists":true}"#,
    r#"{"exists":false}"#,
    r#"{"prefix":""}"#,
    r#"{"prefix":"a"}"#,
    r#"{"prefix":"ab"}"#,
    r#"{"suffix":""}"#,
    r#"{"suffix":"b"}"#,
    r#"{"suffix":"ab"}"#,
    r#"{"wildcard":""}"#,
    r#"{"wildcard":"*"}"#,
    r#"{"wildcard":"a*"}"#,
    r#"{"wildcard":"*b"}"#,
    r#"{"wildcard":"a*b"}"#,
    r#"{"wildcard":"*a*"}"#,
    r#"{"wildcard":"a"}"#,
    r#"{"equals-ignore-case":"AB"}"#,
    r#"{"equals-ignore-case":"ab"}"#,
    r#"{"prefix":{"equals-ignore-case":"A"}}"#,
    r#"{"suffix":{"equals-ignore-case":"B"}}"#,
    r#"{"cidr":"10.0.0.0/8"}"#,
    r#"{"cidr":"10.1.1.1/8"}"#,
    r#"{"cidr":"10.0.0.0/24"}"#,
    r#"{"cidr":"::/64"}"#,
    r#"{"numeric":["=",1]}"#,
    r#"{"numeric":[">",0]}"#,
    r#"{"numeric":[">=",1]}"#,
    r#"{"numeric":["<",2]}"#,
    r#"{"numeric":[">",0,"<=",2]}"#,
    r#"{"numeric":[">=",0,"<",2]}"#,
    r#"{"anything-but":"a"}"#,
    r#"{"anything-but":["a","ab"]}"#,
    r#"{"anything-but":1}"#,
    r#"{"anything-but":[1,2]}"#,
    r#"{"anything-but":{"prefix":"a"}}"#,
    r#"{"anything-but":{"prefix":["a","b"]}}"#,
    r#"{"anything-but":{"suffix":"b"}}"#,
    r#"{"anything-but":{"equals-ignore-case":"AB"}}"#,
    r#"{"anything-but":{"wildcard":"*"}}"#,
    r#"{"anything-but":{"wildcard":"a*"}}"#,
    r#"{"anything-but":{"prefix":"ab"}}"#,
    r#"{"anything-but":["b"]}"#,
];

const TEXTS: [&str; 22] = [
    "",
    "a",
    "A",
    "ab",
    "aB",
    "AB",
    "aab",
    "abb",
    "aba",
    "b",
    "B",
    "bb",
    "é",
    "É",
    "10.0.0.1",
    "10.0.1.1",
    "10.200.0.1",
    "::1",
    "0:0:0:0:0:0:0:1",
    "::2",
    "ba",
    "axb",
];

fn operator(test: &str) -> Operator {
    let pattern = format!("{{\"a\":[{test}]}}");
    let filter = Filter::eventbridge(pattern.as_bytes(), &Mounts::bare()).expect(test);
    filter.parts()[0].guard.tests[0].operators()[0].clone()
}

fn values() -> Vec<Value<'static>> {
    let texts = TEXTS.iter().map(|text| Value::Text(text.as_bytes()));
    let numbers = [
        ("0", 0.0),
        ("1", 1.0),
        ("1.5", 1.5),
        ("2", 2.0),
        ("-1.5", -1.5),
        ("3", 3.0),
    ];
    let numbers = numbers.map(|(text, value)| Value::Number(text.as_bytes(), Some(value)));
    let others = [Value::Number(b"1e400", None), Value::True, Value::False, Value::Null];
    texts.chain(numbers).chain(others).collect()
}

#[test]
fn what_covers_takes_everything_and_what_excludes_takes_nothing_of_the_other() {
    let operators: Vec<Operator> = TESTS.iter().map(|test| operator(test)).collect();
    let values = values();
    let mut covered = 0;
    for (left, left_test) in operators.iter().zip(TESTS) {
        for (right, right_test) in operators.iter().zip(TESTS) {
            for value in &values {
                if covers(left, right) && right.accepts(*value) {
                    assert!(
                        left.accepts(*value),
                        "{left_test} covers {right_test}, but not {value:?}"
                    );
                    covered += 1;
                }
                if no_text_passes_both(left, right) && matches!(value, Value::Text(_)) {
                    let both = left.accepts(*value) && right.accepts(*value);
                    assert!(!both, "{left_test} and {right_test} both take {value:?}");
                }
            }
            let pair = [left.clone(), right.clone()];
            for texts_only in [true, false] {
                let asked = values
                    .iter()
                    .filter(|value| !texts_only || matches!(value, Value::Text(_)));
                for value in asked.filter(|_| accept_every_value(&pair, texts_only)) {
                    let taken = pair.iter().any(|operator| operator.accepts(*value));
                    assert!(taken, "{left_test}, {right_test} do not take {value:?}");
                }
            }
        }
        for value in values.iter().filter(|value| matches!(value, Value::Text(_))) {
            assert!(
                !(accepts_no_text(left) && left.accepts(*value)),
                "{left_test} takes {value:?}"
            );
        }
    }
    assert!(covered > 1_000);
}

fn mounts() -> Mounts {
    let builder = Mounts::builder()
        .mount("detail", "/data")
        .mount("detail-type", "/attr/type");
    builder.mount("subject", "/attr/subject").build()
}

fn kind(mount: &str) -> MountKind {
    match mount {
        "/attr/type" => MountKind::RequiredText,
        "/attr/subject" => MountKind::Text,
        _ => MountKind::Json,
    }
}

/// The findings of a pattern, one a line.
fn findings(pattern: &str, surroundings: &Surroundings<'_>) -> String {
    let filter = Filter::eventbridge(pattern.as_bytes(), &mounts()).expect(pattern);
    let surroundings = Surroundings {
        mount: Some(&kind),
        data_name: Some("detail"),
        ..*surroundings
    };
    let mut lines = Vec::new();
    for finding in lint(&filter, &surroundings) {
        let code = serde_json::to_value(finding.code).expect("a word");
        let suggestion = finding.suggestion.map(|text| format!(" ({text})")).unwrap_or_default();
        lines.push(format!(
            "{}: {}{suggestion}",
            code.as_str().expect("a word"),
            finding.message
        ));
    }
    lines.join("\n")
}

fn check(pattern: &str, expected: &str) {
    assert_eq!(findings(pattern, &Surroundings::default()), expected, "{pattern}");
}

#[test]
fn what_can_never_match_is_told_with_its_field() {
    check(
        r#"{"order": ["x"]}"#,
        "never_matches: events never have order: there is no such field at the top (if it is part of the data: detail.order)",
    );
    check(
        r#"{"detail-type": [5]}"#,
        "never_matches: detail-type is always a string, which 5 is not about (write it as a string: \"5\")",
    );
    check(
        r#"{"detail-type": ["a", 5]}"#,
        "test_never_passes: detail-type is always a string, which 5 is not about (write it as a string: \"5\")",
    );
    check(
        r#"{"detail-type": [{"exists": false}]}"#,
        "never_matches: detail-type is never absent",
    );
    check(
        r#"{"detail-type": {"x": ["a"]}}"#,
        "never_matches: events never have detail-type.x: what it lies in is a string",
    );
    check(
        r#"{"detail": {"n": [{"numeric": [">", 1, "<", 1.0000000000000002]}]}}"#,
        "never_matches: no value of detail.n passes {\"numeric\":[\">\",1,\"<\",1.0000000000000002]}",
    );
    check(
        r#"{"$or": [{"order": ["x"]}, {"detail": {"x": [1]}}]}"#,
        "alternative_never_matches: events never have order: there is no such field at the top (if it is part of the data: detail.order)",
    );
}

#[test]
fn a_type_that_the_list_of_types_excludes_is_a_contradiction() {
    let lines = |types: &[&str], pattern: &str| {
        let filter = Filter::all_of(vec![
            Filter::types(types).expect("types"),
            Filter::eventbridge(pattern.as_bytes(), &mounts()).expect("a pattern"),
        ]);
        let surroundings = Surroundings {
            mount: Some(&kind),
            ..Surroundings::default()
        };
        lint(&filter, &surroundings)
            .into_iter()
            .map(|finding| finding.code)
            .collect::<Vec<_>>()
    };
    let never = vec![FindingCode::NeverMatches, FindingCode::NeverMatches];
    assert_eq!(lines(&["order.*"], r#"{"detail-type": ["user.created"]}"#), never);
    assert_eq!(lines(&["order.*"], r#"{"detail-type": [{"prefix": "user."}]}"#), never);
    assert_eq!(lines(&["order.*"], r#"{"detail-type": [{"suffix": "created"}]}"#), []);
    assert_eq!(
        lines(
            &["order.*"],
            r#"{"$or": [{"detail-type": ["user.created"]}, {"detail-type": ["order.placed"]}]}"#
        ),
        [FindingCode::AlternativeNeverMatches]
    );
}

#[test]
fn what_always_matches_or_is_covered_is_told() {
    check(
        r#"{"detail": {"a": [{"exists": true}, {"exists": false}]}}"#,
        "always_matches: every event matches, as it would without the filter",
    );
    check(
        r#"{"detail-type": [{"wildcard": "*"}]}"#,
        "always_matches: every event matches, as it would without the filter",
    );
    check(
        r#"{"detail-type": ["a", {"anything-but": "a"}], "detail": {"a": [1]}}"#,
        "field_always_passes: detail-type passes whatever it is: leave it out",
    );
    check(r#"{"detail": {"a": [{"exists": true}]}}"#, "");
    check(r#"{"subject": [{"exists": true}]}"#, "");
    check(
        r#"{"detail": {"a": ["ab", {"prefix": "a"}, "x", "x", 1, 1.0]}}"#,
        "test_shadowed: detail.a: \"ab\" is covered by {\"prefix\":\"a\"}, beside it\n\
         test_shadowed: detail.a has \"x\" twice\ntest_shadowed: detail.a has 1.0 twice",
    );
    check(
        r#"{"detail": {"$or": [{"a": ["x"]}, {"a": ["x"], "b": [1]}]}}"#,
        "alternative_shadowed: an alternative is covered by another one: whatever matches (detail.a: [\"x\"], detail.b: [1]) \
         matches (detail.a: [\"x\"])",
    );
}

#[test]
fn what_binds_fields_to_one_element_of_an_array_is_no_superfluous_condition() {
    // An absent field is absent from the element that those before it have picked.
    check(
        r#"{"detail": {"$or": [{"x": {"a": ["1"], "b": [{"exists": false}]}}, {"x": {"b": [{"exists": false}]}}]}}"#,
        "",
    );
    check(
        r#"{"detail": {"$or": [{"x": {"a": ["1"], "b": [{"exists": false}]}}, {"x": {"a": ["1"]}}]}}"#,
        "alternative_shadowed: an alternative is covered by another one: whatever matches (detail.x.a: [\"1\"], \
         detail.x.b: [{\"exists\":false}]) matches (detail.x.a: [\"1\"])",
    );
    check(
        r#"{"detail": {"$or": [{"a": ["1"], "b": [{"exists": false}]}, {"b": [{"exists": false}]}]}}"#,
        "alternative_shadowed: an alternative is covered by another one: whatever matches (detail.a: [\"1\"], \
         detail.b: [{\"exists\":false}]) matches (detail.b: [{\"exists\":false}]) (unless the data itself is a list of objects)",
    );
    check(
        r#"{"detail": {"x": {"a": [{"exists": false}, {"exists": true}], "c": [1]}}}"#,
        "",
    );
    check(
        r#"{"detail": {"x": {"a": ["q", {"anything-but": "q"}, {"exists": false}], "c": [1]}}}"#,
        "",
    );
    check(
        r#"{"detail": {"x": {"a": [1], "c": [{"exists": false}, {"exists": true}]}}}"#,
        "field_always_passes: detail.x.c passes whatever it is: leave it out",
    );
    check(
        r#"{"detail": {"a": [{"exists": false}, {"exists": true}], "c": [1]}}"#,
        "field_always_passes: detail.a passes whatever it is: leave it out (unless the data itself is a list of objects)",
    );
}

#[test]
fn a_repeated_field_is_seen_in_the_text() {
    let paths = |pattern: &str| {
        let findings = lint_text(pattern.as_bytes());
        findings
            .into_iter()
            .filter_map(|finding| finding.path)
            .collect::<Vec<_>>()
    };
    assert_eq!(paths(r#"{"a": [1], "a": [2]}"#), ["a"]);
    assert_eq!(paths(r#"{"a": {"b": [1]}, "a.b": [{"numeric": [">", 2]}]}"#), ["a.b"]);
    assert_eq!(paths(r#"{"a": [1], "$or": [{"a": [2]}, {"b": [3]}]}"#), ["a"]);
    assert_eq!(paths(r#"{"$or": [{"a": [2]}, {"a": [3]}], "b": [1]}"#), [""; 0]);
    assert_eq!(paths(r#"{"$or": [{"a": [2]}, {"c": [3]}], "a": [1]}"#), ["a"]);
    assert_eq!(paths("{"), [""; 0]);
}

#[test]
fn a_field_repeated_in_one_alternative_still_counts_for_the_others() {
    let messages = |pattern: &str| {
        let findings = lint_text(pattern.as_bytes());
        findings.into_iter().map(|finding| finding.message).collect::<Vec<_>>()
    };
    let everywhere = "b is asked for twice, and only the last time counts";
    let in_one = "b is asked for again in an alternative of $or, and there only that counts";
    for (pattern, message) in [
        (r#"{"b": ["x"], "$or": [{"c": [1]}, {"b": ["y"], "c": [2]}]}"#, in_one),
        (
            r#"{"$or": [{"b": [1]}, {"c": [1]}], "$or": [{"b": [2]}, {"d": [1]}]}"#,
            in_one,
        ),
        (
            r#"{"$or": [{"b": [1], "$or": [{"b": [2]}, {"c": [1]}]}, {"d": [1]}]}"#,
            in_one,
        ),
        (r#"{"$or": [{"b": [1], "b": [2]}, {"c": [1]}]}"#, everywhere),
        (r#"{"$or": [{"b": [1]}, {"c": [1]}], "b": [2]}"#, everywhere),
    ] {
        assert_eq!(messages(pattern), [message], "{pattern}");
    }
}

#[test]
fn a_schema_knows_names_types_and_values() {
    let schema = serde_json::json!({"type": "object", "properties": {
        "total": {"type": "number"}, "status": {"enum": ["paid", "open"]}, "a.b": {"type": ["string", "null"]},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"sku": {"type": "string"}}}},
        "customer": {"type": "object", "properties": {"id": {"type": "integer"}}}, "free": {}}});
    let check = |pattern: &str, expected: &str| {
        let surroundings = Surroundings {
            schema: Some(&schema),
            ..Surroundings::default()
        };
        assert_eq!(findings(pattern, &surroundings), expected, "{pattern}");
    };
    check(
        r#"{"detail": {"total": ["300"]}}"#,
        "type_not_in_schema: detail.total: \"300\" is about strings, and the schema says number (write 300 without quotes)",
    );
    check(
        r#"{"detail": {"lines": {"skn": ["x"]}}}"#,
        "path_not_in_schema: detail.lines.skn: the schema has no \"skn\" there (did you mean \"sku\"?)",
    );
    check(
        r#"{"detail": {"status": ["payed", "open"]}}"#,
        "value_not_in_schema: detail.status: the schema does not list \"payed\" (did you mean \"paid\"?)",
    );
    check(
        r#"{"detail": {"customer": [{"exists": true}]}}"#,
        "type_not_in_schema: detail.customer: {\"exists\":true} is about values, not objects, and the schema says object",
    );
    check(
        r#"{"detail": {"total": [300], "lines": {"sku": ["x"]}, "a": {"b": ["x", null]}, "customer": {"id": [1]}, "free": {"x": [1]}, "status": ["paid"]}}"#,
        "",
    );
    check(r#"{"detail": {"gone": [{"exists": false}]}}"#, "");
}

#[test]
fn a_name_is_missing_only_where_all_of_a_composed_schema_is_known() {
    let told = |schema: &serde_json::Value| {
        let surroundings = Surroundings {
            schema: Some(schema),
            ..Surroundings::default()
        };
        findings(r#"{"detail": {"a": {"b": ["x"]}}}"#, &surroundings)
    };
    let member = serde_json::json!({"properties": {"a": {"properties": {"b": {}}}}});
    let other = serde_json::json!({"c": {}});
    for schema in [
        serde_json::json!({"allOf": [member], "properties": other}),
        serde_json::json!({"anyOf": [member], "properties": other}),
        serde_json::json!({"oneOf": [member], "properties": other}),
        serde_json::json!({"if": {}, "then": member, "properties": other}),
        serde_json::json!({"if": {}, "else": member, "properties": other}),
        serde_json::json!({"dependentSchemas": {"c": member}, "properties": other}),
        serde_json::json!({"patternProperties": {"^a": {}}, "properties": other}),
        serde_json::json!({"additionalProperties": {"type": "object"}, "properties": other}),
        serde_json::json!({"unevaluatedProperties": {}, "properties": other}),
        serde_json::json!({"$ref": "#/$defs/d", "properties": other, "$defs": {"d": member}}),
        serde_json::json!({"$ref": "other.json", "properties": other}),
        serde_json::json!({"properties": {"a": {"properties": other, "anyOf": [{"properties": {"b": {}}}]}}}),
        serde_json::json!({"properties": {"a": {"properties": other}}, "anyOf": [member]}),
        serde_json::json!({"properties": {"a": {"properties": other}}, "allOf": [member]}),
        serde_json::json!({"properties": {"a": {"properties": other}}, "allOf": [{"additionalProperties": {}}]}),
        serde_json::json!({"properties": {"a": {"properties": other}, "a.b": {}}}),
        serde_json::json!({"properties": {"a": {"prefixItems": [{"properties": {"b": {}}}], "items": {"properties": other}}}}),
        serde_json::json!({"properties": {"a": {"properties": {"b": {}}, "items": {"properties": other}}}}),
        serde_json::json!({"properties": {"a": {"properties": {"b": {"type": ["array", "string"], "items": {"type": "number"}}}}}}),
        serde_json::json!({"$ref": "#"}),
        serde_json::json!({"allOf": [{"$ref": "#"}]}),
    ] {
        assert_eq!(told(&schema), "", "{schema}");
    }
    let missing = r#"path_not_in_schema: detail.a.b: the schema has no "b" there"#;
    let wrong = r#"type_not_in_schema: detail.a.b: "x" is about strings, and the schema says number"#;
    let number = serde_json::json!({"properties": {"a": {"properties": {"b": {"type": "number"}}}}});
    let none = serde_json::json!({"properties": {"a": {"properties": other}}});
    for (schema, expected) in [
        (serde_json::json!({"allOf": [none, {"properties": {"a": {}}}]}), missing),
        (serde_json::json!({"$ref": "#/$defs/d", "$defs": {"d": none}}), missing),
        (
            serde_json::json!({"properties": {"a": {"$ref": "#/$defs/d"}}, "$defs": {"d": {"properties": other}}}),
            missing,
        ),
        (
            serde_json::json!({"properties": {"a": {"type": ["array", "null"], "items": {"properties": other}}}}),
            missing,
        ),
        (serde_json::json!({"allOf": [number], "properties": other}), wrong),
        (serde_json::json!({"$ref": "#/$defs/d", "$defs": {"d": number}}), wrong),
        (serde_json::json!({"allOf": [number, member], "anyOf": [none]}), wrong),
    ] {
        assert_eq!(told(&schema), expected, "{schema}");
    }
}

#[test]
fn samples_know_what_events_look_like() {
    let texts: Vec<String> = (0..12)
        .map(|number| format!(r#"{{"total": {number}, "customer": {{"id": "c{number}"}}, "tags": []}}"#))
        .collect();
    let samples = |ask: &mut dyn FnMut(&Document<'_>)| {
        for text in &texts {
            ask(&Document::new()
                .text("/attr/type", "order")
                .data(Data::Json(text.as_bytes())));
        }
    };
    let check = |pattern: &str, expected: &str| {
        let surroundings = Surroundings {
            samples: Some(&samples),
            ..Surroundings::default()
        };
        assert_eq!(findings(pattern, &surroundings), expected, "{pattern}");
    };
    let none = "no_sample_matches: none of the last 12 events matches";
    check(
        r#"{"detail": {"total": ["3"]}}"#,
        &format!(
            "type_never_seen: detail.total is always a number in the last events, such as 0; \"3\" never passes (write 3 without quotes)\n{none}"
        ),
    );
    check(
        r#"{"detail": {"custmer": {"id": ["x"]}}}"#,
        &format!(
            "path_never_seen: none of the last 12 events has detail.custmer.id (did you mean detail.customer.id?)\n{none}"
        ),
    );
    check(
        r#"{"detail": {"customer": ["x"]}}"#,
        &format!(
            "path_never_seen: detail.customer is an object in the last 12 events; a test looks at values, not at objects \
             (name one of its members, such as detail.customer.id)\n{none}"
        ),
    );
    check(
        r#"{"detail": {"tags": ["x"]}}"#,
        &format!("path_never_seen: none of the last 12 events has detail.tags\n{none}"),
    );
    check(
        r#"{"subject": ["x"]}"#,
        &format!("path_never_seen: none of the last 12 events has subject\n{none}"),
    );
    check(r#"{"detail": {"total": [3]}}"#, "");
    let cesql = Filter::cesql("type = 'order' AND myext = 'x'", crate::Dialect::Standard).expect("an expression");
    let surroundings = Surroundings {
        samples: Some(&samples),
        ..Surroundings::default()
    };
    let messages: Vec<String> = lint(&cesql, &surroundings)
        .into_iter()
        .map(|finding| finding.message)
        .collect();
    assert_eq!(
        messages,
        [
            "none of the last 12 events has myext",
            "none of the last 12 events matches"
        ]
    );
    check(
        r#"{"detail": {"total": [{"exists": true}]}}"#,
        "every_sample_matches: each of the last 12 events matches",
    );
}

#[test]
fn other_languages_are_looked_at_through_what_they_cannot_do_without() {
    let codes = |filters: Vec<Filter>| {
        let surroundings = Surroundings {
            mount: Some(&kind),
            ..Surroundings::default()
        };
        let findings = lint(&Filter::all_of(filters), &surroundings);
        findings.into_iter().map(|finding| finding.code).collect::<Vec<_>>()
    };
    let cesql = |text: &str| Filter::cesql(text, crate::Dialect::Standard).expect(text);
    let cloudevents = |text: &str| Filter::cloudevents(text.as_bytes(), crate::Dialect::Standard).expect(text);
    let types = || Filter::types(&["order.*"]).expect("types");
    assert!(codes(vec![types(), cesql("type = 'user' AND EXISTS subject")]).contains(&FindingCode::NeverMatches));
    assert!(codes(vec![types(), cloudevents(r#"[{"exact": {"type": "user"}}]"#)]).contains(&FindingCode::NeverMatches));
    assert_eq!(codes(vec![types(), cesql("type = 'order.placed'")]), []);
    assert_eq!(
        codes(vec![types(), cloudevents(r#"[{"not": {"exact": {"type": "user"}}}]"#)]),
        []
    );
    assert_eq!(
        codes(vec![cloudevents(
            r#"[{"not": {"any": [{"prefix": {"subject": "a"}}]}}]"#
        )]),
        []
    );
}
