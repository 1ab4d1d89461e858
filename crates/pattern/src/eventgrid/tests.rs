//! Every operator as Azure documents it: accept, refuse, edge.

use crate::document::{Data, Document};
use crate::explain::explain;
use crate::fields::Scratch;
use crate::filter::Filter;
use crate::matcher::Matcher;
use crate::mounts::Mounts;
use crate::{CompileCode, CompileError};

fn mounts() -> Mounts {
    let names = ["id", "source", "type", "subject", "time"];
    let builder = Mounts::builder().mount("data", "/data");
    let mounted = names
        .iter()
        .fold(builder, |builder, name| builder.mount(name, &format!("/attr/{name}")));
    mounted.build()
}

fn filter(json: &str) -> Filter {
    Filter::eventgrid(json.as_bytes(), &mounts()).unwrap_or_else(|error| panic!("{json}: {error}"))
}

/// The answer alone, explained and in a matcher, which must be one.
fn answer(json: &str, document: &Document<'_>) -> bool {
    let filter = filter(json);
    let mut scratch = Scratch::new();
    let answer = filter.matches_with(document, &mut scratch);
    let explanation = explain(&filter, document);
    assert_eq!(explanation.matched, answer, "{json}");
    assert_eq!(explanation.first_reason().is_none(), answer, "{json}");
    let mut found = Vec::new();
    Matcher::build([(1, filter.into())]).matches(document, &mut scratch, &mut found);
    assert_eq!(found.len(), usize::from(answer), "{json}");
    answer
}

fn document(data: &str) -> Document<'_> {
    Document::new()
        .text("/attr/id", "A-1")
        .text("/attr/source", "/shop")
        .text("/attr/type", "Order.Paid")
        .text("/attr/subject", "/Orders/17.json")
        .text("/attr/tier", "5")
        .data(Data::Json(data.as_bytes()))
}

fn advanced(condition: &str, on_arrays: bool) -> String {
    format!(r#"{{"enableAdvancedFilteringOnArrays": {on_arrays}, "advancedFilters": [{{{condition}}}]}}"#)
}

/// Checks an operator on `data.k` against values of it; an empty one is absent.
fn check(condition: &str, on_arrays: bool, accepted: &[&str], rejected: &[&str]) {
    let json = advanced(&format!(r#""key": "data.k", {condition}"#), on_arrays);
    for (values, expected) in [(accepted, true), (rejected, false)] {
        for value in values {
            let data = if value.is_empty() {
                "{\"x\": 1}".into()
            } else {
                format!("{{\"k\": {value}}}")
            };
            assert_eq!(
                answer(&json, &document(&data)),
                expected,
                "{condition} {value:?} arrays: {on_arrays}"
            );
        }
    }
}

fn whole(json: &str, expected: bool) {
    assert_eq!(answer(json, &document(r#"{"k": 1}"#)), expected, "{json}");
}

fn refused(json: &str) -> CompileError {
    match Filter::eventgrid(json.as_bytes(), &mounts()) {
        Ok(_) => panic!("{json} is taken"),
        Err(error) => error,
    }
}

const OTHER_THAN_NUMBERS: [&str; 5] = ["\"5\"", "true", "null", "{\"a\": 5}", "{}"];
const OTHER_THAN_TEXTS: [&str; 5] = ["5", "true", "null", "{\"a\": \"abc\"}", "{}"];

#[test]
fn numbers_are_compared_by_value_and_nothing_is_converted() {
    check(
        r#""operatorType": "NumberIn", "values": [5, 1.50]"#,
        false,
        &["5", "5.0", "50e-1", "1.5"],
        &["4", "", "[5]", "5.000000000000000000001"],
    );
    check(
        r#""operatorType": "NumberIn", "values": [5]"#,
        false,
        &[],
        &OTHER_THAN_NUMBERS,
    );
    check(
        r#""operatorType": "NumberNotIn", "values": [5, 1.5]"#,
        false,
        &["4", "", "5.000000000000000000001"],
        &["5", "5e0", "1.5", "[4]", "[]"],
    );
    check(
        r#""operatorType": "NumberNotIn", "values": [5]"#,
        false,
        &OTHER_THAN_NUMBERS,
        &[],
    );
    check(
        r#""operatorType": "NumberIn", "values": [12345678901234567890]"#,
        false,
        &["12345678901234567890.0", "1234567890123456789e1"],
        &["12345678901234567891"],
    );
    check(
        r#""operatorType": "NumberLessThan", "value": 100"#,
        false,
        &["99.99", "-1e400", "0"],
        &["100", "100.0", "1e2", "101", "", "[1]"],
    );
    check(
        r#""operatorType": "NumberLessThan", "value": 6"#,
        false,
        &[],
        &OTHER_THAN_NUMBERS,
    );
    check(
        r#""operatorType": "NumberLessThanOrEquals", "value": 100"#,
        false,
        &["100", "1e2", "99"],
        &["100.0000000000000000001", ""],
    );
    check(
        r#""operatorType": "NumberGreaterThan", "values": [20]"#,
        false,
        &["21", "20.00000000000000000000001", "12345678901234567890123", "1e500"],
        &["20", "-21", "", "\"21\""],
    );
    check(
        r#""operatorType": "NumberGreaterThanOrEquals", "value": -1.5"#,
        false,
        &["-1.5", "-15e-1", "0"],
        &["-1.6", "", "null"],
    );
}

#[test]
fn ranges_of_numbers_hold_their_ends() {
    let ranges = r#""values": [[3.14159, 999.95], [3000, 4000]]"#;
    check(
        &format!(r#""operatorType": "NumberInRange", {ranges}"#),
        false,
        &["3.14159", "999.95", "3500", "4e3"],
        &["3.14", "1000", "4001", "", "\"3500\"", "[3500]"],
    );
    check(
        &format!(r#""operatorType": "NumberNotInRange", {ranges}"#),
        false,
        &["3", "1000", "4001", "\"3500\"", "null"],
        &["3.14159", "4000", "", "[1]"],
    );
    check(
        r#""operatorType": "NumberInRange", "values": [3, 4]"#,
        false,
        &["3", "4"],
        &["5"],
    );
    check(
        r#""operatorType": "NumberInRange", "values": [[3, 3]]"#,
        false,
        &["3", "3.0"],
        &["4"],
    );
}

#[test]
fn booleans_are_themselves() {
    check(
        r#""operatorType": "BoolEquals", "value": true"#,
        false,
        &["true"],
        &["false", "1", "\"true\"", "null", "", "[true]", "{}"],
    );
    check(
        r#""operatorType": "BoolEquals", "values": [false]"#,
        false,
        &["false"],
        &["true", "0", "null", ""],
    );
    check(
        r#""operatorType": "BoolEquals", "value": true"#,
        true,
        &["[false, true]", "[1, true]", "true"],
        &["[false]", "[]", "[[true]]"],
    );
}

#[test]
fn texts_are_compared_without_regard_to_case() {
    check(
        r#""operatorType": "StringContains", "values": ["Azure", "é"]"#,
        false,
        &["\"xAZUREx\"", "\"azure\"", "\"\\u00c9\""],
        &["\"azur\"", "\"\"", "", "[\"azure\"]"],
    );
    check(
        r#""operatorType": "StringNotContains", "values": ["azure", "b"]"#,
        false,
        &["\"azur\"", "\"\""],
        &["\"xAzurE\"", "\"B\"", "", "[\"x\"]"],
    );
    check(
        r#""operatorType": "StringBeginsWith", "values": ["Ev", "m"]"#,
        false,
        &["\"event\"", "\"Message\"", "\"eV\""],
        &["\"xev\"", "\"e\"", ""],
    );
    check(
        r#""operatorType": "StringNotBeginsWith", "values": ["ev"]"#,
        false,
        &["\"xev\"", "\"\""],
        &["\"EVENT\"", ""],
    );
    check(
        r#""operatorType": "StringEndsWith", "values": ["PNG", "jpg"]"#,
        false,
        &["\"a.png\"", "\"JPG\""],
        &["\"png.\"", ""],
    );
    check(
        r#""operatorType": "StringNotEndsWith", "values": ["png"]"#,
        false,
        &["\"png.\""],
        &["\"x.PNG\"", ""],
    );
    check(
        r#""operatorType": "StringIn", "values": ["exact", "String"]"#,
        false,
        &["\"Exact\"", "\"STRING\""],
        &["\"exact \"", "\"\"", ""],
    );
    check(
        r#""operatorType": "StringNotIn", "values": ["aws"]"#,
        false,
        &["\"bridge\"", "", "\"aw\""],
        &["\"AWS\"", "[\"x\"]"],
    );
    for operator in ["StringContains", "StringBeginsWith", "StringEndsWith", "StringIn"] {
        check(
            &format!(r#""operatorType": "{operator}", "values": ["abc", "5", "true"]"#),
            false,
            &[],
            &OTHER_THAN_TEXTS,
        );
    }
    for operator in [
        "StringNotContains",
        "StringNotBeginsWith",
        "StringNotEndsWith",
        "StringNotIn",
    ] {
        check(
            &format!(r#""operatorType": "{operator}", "values": ["abc", "5", "true"]"#),
            false,
            &OTHER_THAN_TEXTS,
            &[],
        );
    }
    check(
        r#""operatorType": "StringContains", "values": ["a.c*(\\"]"#,
        false,
        &[r#""xA.C*(\\y""#],
        &[r#""abc(""#],
    );
}

#[test]
fn nothing_and_null_are_alike() {
    check(
        r#""operatorType": "IsNullOrUndefined""#,
        false,
        &["null", ""],
        &["0", "\"\"", "false", "{}", "[]", "[null]"],
    );
    check(
        r#""operatorType": "IsNotNull""#,
        false,
        &["0", "\"\"", "false", "{}", "[]", "[null]", "{\"a\": {}}"],
        &["null", ""],
    );
    check(r#""operatorType": "IsNotNull""#, true, &["[null]", "[]"], &["null"]);
}

#[test]
fn elements_of_arrays_count_when_asked_for() {
    check(
        r#""operatorType": "StringIn", "values": ["a"]"#,
        true,
        &["[\"b\", \"A\"]", "\"a\"", "[1, \"a\"]"],
        &["[\"b\"]", "[]", "[[\"a\"]]", "[{\"k\": \"a\"}]"],
    );
    check(
        r#""operatorType": "StringNotIn", "values": ["a"]"#,
        true,
        &["[\"b\", \"c\"]", "[]", "[1]", ""],
        &["[\"b\", \"A\"]"],
    );
    check(
        r#""operatorType": "NumberGreaterThan", "value": 5"#,
        true,
        &["[1, 6]", "6", "[\"x\", 6]"],
        &["[1, 5]", "[\"6\"]"],
    );
    check(
        r#""operatorType": "NumberNotInRange", "values": [[1, 2]]"#,
        true,
        &["[3, 4]", "[\"1\"]"],
        &["[3, 2]", ""],
    );
    check(
        r#""operatorType": "StringNotContains", "values": ["x"]"#,
        true,
        &["[\"a\", \"b\"]", "[1]"],
        &["[\"a\", \"bX\"]", ""],
    );
}

#[test]
fn no_key_leads_through_an_array_or_a_dotted_name() {
    let json = advanced(r#""operatorType": "NumberIn", "key": "data.a.b", "values": [1]"#, true);
    for (data, expected) in [
        (r#"{"a": {"b": 1}}"#, true),
        (r#"{"a": {"b": [2, 1]}}"#, true),
        (r#"{"a": [{"b": 1}]}"#, false),
        (r#"{"a.b": 1}"#, false),
        (r#"{"A": {"b": 1}}"#, false),
        (r#"[{"a": {"b": 1}}]"#, false),
        (r#"{"a": 1}"#, false),
        (r#"{"a": {"b": 1, "b": 2}}"#, false),
        (r#"{"a": {"b": 2, "b": 1}}"#, true),
        ("1", false),
        ("{", false),
    ] {
        assert_eq!(answer(&json, &document(data)), expected, "{data}");
    }
    let json = advanced(
        r#""operatorType": "NumberNotIn", "key": "data.a.b", "values": [1]"#,
        true,
    );
    for (data, expected) in [
        (r#"{"a": [{"b": 1}]}"#, true),
        ("{", true),
        ("[]", true),
        (r#"{"a": {"b": 1}}"#, false),
    ] {
        assert_eq!(answer(&json, &document(data)), expected, "{data}");
    }
    assert!(answer(&json, &Document::new()));
    let data = advanced(r#""operatorType": "IsNotNull", "key": "DATA""#, false);
    assert!(answer(&data, &document("{}")) && !answer(&data, &document("null")) && !answer(&data, &Document::new()));
}

#[test]
fn attributes_are_texts_under_the_names_of_either_schema() {
    let attribute = |condition: &str, expected: bool| whole(&advanced(condition, false), expected);
    for key in ["type", "Type", "EventType", "eventType"] {
        attribute(
            &format!(r#""operatorType": "StringIn", "key": "{key}", "values": ["order.paid"]"#),
            true,
        );
    }
    attribute(r#""operatorType": "StringIn", "key": "ID", "values": ["a-1"]"#, true);
    attribute(
        r#""operatorType": "StringIn", "key": "eventid", "values": ["a-1"]"#,
        true,
    );
    attribute(
        r#""operatorType": "StringContains", "key": "Subject", "values": ["ORDERS", "x"]"#,
        true,
    );
    attribute(
        r#""operatorType": "StringNotContains", "key": "Subject", "values": ["ORDERS", "x"]"#,
        false,
    );
    attribute(
        r#""operatorType": "StringNotContains", "key": "subject", "values": ["x"]"#,
        true,
    );
    attribute(
        r#""operatorType": "StringNotEndsWith", "key": "subject", "values": [".png"]"#,
        true,
    );
    // An extension is an attribute as well.
    attribute(
        r#""operatorType": "StringBeginsWith", "key": "tier", "values": ["5", "1"]"#,
        true,
    );
    attribute(
        r#""operatorType": "StringBeginsWith", "key": "Tier", "values": ["5"]"#,
        true,
    );
    attribute(r#""operatorType": "NumberIn", "key": "tier", "values": [5]"#, false);
    attribute(r#""operatorType": "NumberNotIn", "key": "tier", "values": [5]"#, true);
    attribute(r#""operatorType": "BoolEquals", "key": "tier", "value": true"#, false);
    attribute(r#""operatorType": "IsNotNull", "key": "tier""#, true);
    attribute(r#""operatorType": "IsNullOrUndefined", "key": "tier""#, false);
    attribute(r#""operatorType": "IsNullOrUndefined", "key": "other""#, true);
    attribute(r#""operatorType": "IsNotNull", "key": "other""#, false);
    attribute(
        r#""operatorType": "StringNotIn", "key": "other", "values": ["x"]"#,
        true,
    );
    attribute(
        r#""operatorType": "StringNotContains", "key": "other", "values": ["x"]"#,
        false,
    );
    attribute(
        r#""operatorType": "StringIn", "key": "subject.x", "values": ["x"]"#,
        false,
    );
}

#[test]
fn types_and_subjects_are_filtered_before_all() {
    whole(r#"{"includedEventTypes": ["a", "Order.Paid"]}"#, true);
    whole(r#"{"includedEventTypes": ["order.paid"]}"#, false);
    for all in [r#"["All"]"#, r#""all""#, "[]", "null"] {
        whole(&format!("{{\"includedEventTypes\": {all}}}"), true);
    }
    whole(r#"{"subjectBeginsWith": "/orders/"}"#, true);
    whole(
        r#"{"subjectBeginsWith": "/orders/", "isSubjectCaseSensitive": true}"#,
        false,
    );
    whole(
        r#"{"subjectBeginsWith": "/Orders/", "subjectEndsWith": ".json", "isSubjectCaseSensitive": "true"}"#,
        true,
    );
    whole(r#"{"subjectEndsWith": ".JSON", "isSubjectCaseSensitive": false}"#, true);
    whole(r#"{"subjectEndsWith": ".JSON", "isSubjectCaseSensitive": true}"#, false);
    whole(
        r#"{"subjectBeginsWith": "", "subjectEndsWith": null, "advancedFilters": null, "enableAdvancedFilteringOnArrays": null}"#,
        true,
    );
    whole("{}", true);
    assert!(!answer(r#"{"subjectBeginsWith": "/"}"#, &Document::new()));
}

#[test]
fn advanced_filters_hold_together() {
    let two = |second: &str| {
        format!(
            r#"{{"advancedFilters": [{{"operatorType": "NumberIn", "key": "data.k", "values": [1]}}, {second}], "includedEventTypes": ["Order.Paid"]}}"#
        )
    };
    whole(
        &two(r#"{"operatorType": "NumberLessThan", "key": "data.k", "value": 2}"#),
        true,
    );
    whole(
        &two(r#"{"operatorType": "NumberLessThan", "key": "data.k", "value": 1}"#),
        false,
    );
    // Names of members in any case, and the older spelling of the operator.
    whole(
        &two(r#"{"Operator": "stringcontains", "Key": "Subject", "Values": ["orders"]}"#),
        true,
    );
}

#[test]
fn a_bare_document_is_a_whole_event() {
    let filter = Filter::eventgrid(
        br#"{"includedEventTypes": ["T"], "subjectBeginsWith": "/a", "advancedFilters": [{"operatorType": "NumberIn", "key": "Data.Key1", "values": [5]}]}"#,
        &Mounts::bare(),
    );
    let filter = filter.unwrap();
    for event in [
        r#"{"eventType": "T", "subject": "/A/1", "data": {"Key1": 5}}"#,
        r#"{"type": "T", "subject": "/A/1", "data": {"Key1": 5.0}}"#,
    ] {
        assert!(filter.matches(&Document::bare(event.as_bytes())), "{event}");
    }
    assert!(!filter.matches(&Document::bare(
        br#"{"eventType": "T", "subject": "/A/1", "data": {"key1": 5}}"#
    )));
}

#[test]
fn refusals_have_a_place_a_reason_and_the_right_form() {
    let check = |json: &str, at: &str, message: &str, suggestion: Option<&str>| {
        let error = refused(json);
        assert_eq!(error.code, CompileCode::BadPattern, "{json}: {error}");
        assert_eq!(json.find(at), Some(error.position), "{json}: {error}");
        assert!(error.message.contains(message), "{json}: {error}");
        assert_eq!(error.suggestion.as_deref(), suggestion, "{json}");
    };
    check("[]", "[", "a filter is an object", None);
    check(
        r#"{"subjectBeginWith": "x"}"#,
        "\"x\"",
        "\"subjectBeginWith\" is not known",
        Some("did you mean \"subjectBeginsWith\"?"),
    );
    check(r#"{"includedEventTypes": [1]}"#, "1", "a string", None);
    check(r#"{"includedEventTypes": {}}"#, "{}", "a list", None);
    check(r#"{"isSubjectCaseSensitive": 1}"#, "1", "true or false", None);
    let one = |inside: &str| format!(r#"{{"advancedFilters": [{{{inside}}}]}}"#);
    check(
        &one(r#""key": "data.a", "values": [1]"#),
        "{\"key\"",
        "no operatorType",
        None,
    );
    check(
        &one(r#""operatorType": "NumberIn", "values": [1]"#),
        "{\"operatorType\"",
        "no key",
        None,
    );
    check(
        &one(r#""operatorType": "NumbrIn", "key": "data.a", "values": [1]"#),
        "\"NumbrIn\"",
        "not known",
        Some("did you mean \"NumberIn\"?"),
    );
    check(
        &one(r#""operatorType": "NumberIn", "key": "data.a""#),
        "{\"operatorType\"",
        "has no values",
        None,
    );
    check(
        &one(r#""operatorType": "NumberIn", "key": "data.a", "values": []"#),
        "[]",
        "is empty",
        None,
    );
    check(
        &one(r#""operatorType": "NumberIn", "key": "data.a", "values": ["5"]"#),
        "\"5\"",
        "takes numbers",
        Some("write the number without quotation marks"),
    );
    check(
        &one(r#""operatorType": "NumberLessThan", "key": "data.a", "values": [5, 6]"#),
        "[5, 6]",
        "one value",
        None,
    );
    check(
        &one(r#""operatorType": "NumberInRange", "key": "data.a", "values": [[5]]"#),
        "[5]",
        "two numbers",
        None,
    );
    check(
        &one(r#""operatorType": "NumberInRange", "key": "data.a", "values": [[6, 5]]"#),
        "[6, 5]",
        "ends below",
        Some("write [5, 6]"),
    );
    check(
        &one(r#""operatorType": "StringIn", "key": "data.a", "values": [5]"#),
        "5]",
        "a string",
        None,
    );
    check(
        &one(r#""operatorType": "BoolEquals", "key": "data.a", "value": "true""#),
        "\"true\"",
        "true or false",
        Some("write the value without quotation marks"),
    );
    check(
        &one(r#""operatorType": "IsNotNull", "key": "data..a""#),
        "\"data..a\"",
        "a key is",
        None,
    );
    check(
        &one(r#""operatorType": "IsNotNull", "key": """#),
        "\"\"",
        "a key is",
        None,
    );
    check(
        &one(r#""operatorType": "NumberIn", "key": "data.a", "value": 1, "values": [1]"#),
        "[1]",
        "either",
        None,
    );
    check(
        &one(r#""operatorType": "IsNotNull", "keys": "data.a""#),
        "\"data.a\"",
        "not known",
        Some("did you mean \"key\"?"),
    );
    assert_eq!(refused("{").code, CompileCode::NotJson);
    let error = refused("{\n\"a\": x}");
    assert_eq!((error.code, error.position), (CompileCode::NotJson, 7));
    assert_eq!(
        refused(&one(
            r#""operatorType": "NumberIn", "key": "data.a", "values": [1, "x"]"#
        ))
        .path,
        "advancedFilters[0].values[1]"
    );
}

#[test]
fn the_bounds_are_azures() {
    let filters = |count: usize| {
        let one = r#"{"operatorType": "IsNotNull", "key": "data.a"}"#;
        format!("{{\"advancedFilters\": [{}]}}", vec![one; count].join(","))
    };
    filter(&filters(25));
    assert_eq!(refused(&filters(26)).code, CompileCode::TooComplex);
    let values = |first: usize, second: usize| {
        let one = |count: usize| {
            format!(
                r#"{{"operatorType": "NumberIn", "key": "data.a", "values": [{}]}}"#,
                vec!["1"; count].join(",")
            )
        };
        format!("{{\"advancedFilters\": [{}, {}]}}", one(first), one(second))
    };
    filter(&values(20, 5));
    assert_eq!(refused(&values(20, 6)).code, CompileCode::TooComplex);
    let text = |length: usize| {
        advanced(
            &format!(
                r#""operatorType": "StringContains", "key": "data.a", "values": ["{}"]"#,
                "é".repeat(length)
            ),
            false,
        )
    };
    filter(&text(512));
    assert_eq!(refused(&text(513)).code, CompileCode::TooComplex);
    let many = vec![format!("\"{}\"", "aé".repeat(256)); 25].join(",");
    filter(&advanced(
        &format!(r#""operatorType": "StringContains", "key": "data.a", "values": [{many}]"#),
        false,
    ));
}

#[test]
fn explanations_say_what_was_wanted_and_seen() {
    let reason = |condition: &str, data: &str| {
        explain(&filter(&advanced(condition, false)), &document(data))
            .first_reason()
            .unwrap()
    };
    assert_eq!(
        reason(
            r#""operatorType": "NumberInRange", "key": "data.k", "values": [[1, 2], [5, 5]]"#,
            r#"{"k": 3}"#
        ),
        "data.k is 3; wanted NumberInRange [[1,2], 5]"
    );
    assert_eq!(
        reason(
            r#""operatorType": "StringContains", "key": "data.k", "values": ["a"]"#,
            r#"{"k": "b"}"#
        ),
        r#"data.k is "b"; wanted StringContains [{"contains":{"equals-ignore-case":"a"}}]"#
    );
    assert_eq!(
        reason(r#""operatorType": "IsNotNull", "key": "data.k""#, "{}"),
        "data.k is absent; wanted IsNotNull"
    );
    let clause = explain(
        &filter(&advanced(
            r#""operatorType": "NumberIn", "key": "data.k", "values": [1]"#,
            false,
        )),
        &document(r#"{"k": [1]}"#),
    )
    .root;
    assert_eq!(
        clause.note.as_deref(),
        Some("arrays are looked into only with enableAdvancedFilteringOnArrays")
    );
}

#[test]
fn a_long_text_is_searched_once() {
    let needle = "ab".repeat(255) + "c";
    let json = advanced(
        &format!(r#""operatorType": "StringContains", "key": "data.k", "values": ["{needle}"]"#),
        false,
    );
    let text = "AB".repeat(500_000);
    assert!(!answer(&json, &document(&format!("{{\"k\": \"{text}\"}}"))));
    assert!(answer(&json, &document(&format!("{{\"k\": \"{text}C\"}}"))));
}
