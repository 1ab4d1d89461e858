//! The extended dialect of EventBridge patterns: `$and`, `$not`, `regex`, wildcards whatever the case.

use std::sync::Arc;

use pattern::{CompileCode, CompileError, Document, Filter, Matcher, Mounts, Scratch, explain};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::agreement::{cases, event, pattern};
use crate::reference::{matches, write_json, write_pattern};

fn extended(pattern: &str) -> Filter {
    Filter::eventbridge_extended(pattern.as_bytes(), &Mounts::bare())
        .unwrap_or_else(|error| panic!("{pattern}: {error}"))
}

/// The answer alone, explained and in a matcher, which must be one.
fn answer(filter: Filter, event: &str) -> bool {
    let document = Document::bare(event.as_bytes());
    let answer = filter.matches(&document);
    let explanation = explain(&filter, &document);
    assert_eq!(explanation.matched, answer, "{event}");
    assert_eq!(explanation.first_reason().is_none(), answer, "{event}");
    let mut found = Vec::new();
    Matcher::build([((), Arc::new(filter))]).matches(&document, &mut Scratch::new(), &mut found);
    assert_eq!(found.len(), usize::from(answer), "{event}");
    answer
}

fn check(pattern: &str, event: &str, expected: bool) {
    assert_eq!(
        answer(extended(pattern), event),
        expected,
        "pattern {pattern} event {event}"
    );
}

fn check_values(tests: &str, accepted: &[&str], rejected: &[&str]) {
    for (values, expected) in [(accepted, true), (rejected, false)] {
        for value in values {
            check(&format!("{{\"a\":[{tests}]}}"), &format!("{{\"a\":{value}}}"), expected);
        }
    }
}

fn refused(pattern: &str) -> CompileError {
    Filter::eventbridge_extended(pattern.as_bytes(), &Mounts::bare()).expect_err(pattern)
}

fn refused_strictly(pattern: &str) -> CompileError {
    Filter::eventbridge(pattern.as_bytes(), &Mounts::bare()).expect_err(pattern)
}

#[test]
fn regular_expressions_match_some_part_of_a_text() {
    check_values(
        r#"{"regex":"b+c"}"#,
        &["\"abbcd\"", "[1,\"bc\"]"],
        &["\"ac\"", "5", "null", "[]", "{\"a\":\"bc\"}"],
    );
    check_values(r#"{"regex":"^b+$"}"#, &["\"bb\""], &["\"abb\"", "\"bb\\n\""]);
    check_values(
        r#"{"regex":"(?i)^ä\\d{2}$"}"#,
        &["\"Ä12\"", "\"\\u00e41२\""],
        &["\"Ä1\""],
    );
    check_values(r#"{"regex":""}"#, &["\"\""], &["1"]);
    check_values(
        r#"{"anything-but":{"regex":"^x"}}"#,
        &["\"ax\"", "1", "null"],
        &["\"xa\"", "[]"],
    );
    check_values(
        r#"{"anything-but":{"regex":["^x","y$"]}}"#,
        &["\"a\"", "[\"x\",\"b\"]"],
        &["\"xa\"", "\"ay\""],
    );
    check_values(
        r#""c",{"regex":"b"},{"exists":false}"#,
        &["\"c\"", "\"abc\"", "[]"],
        &["\"d\""],
    );
}

#[test]
fn wildcards_match_whatever_the_case() {
    check_values(
        r#"{"wildcard":{"equals-ignore-case":"Ab*Ef"}}"#,
        &["\"aBcdeF\"", "\"abef\""],
        &["\"abe\"", "\"xabef\"", "5"],
    );
    check_values(
        r#"{"wildcard":{"equals-ignore-case":"*é*\\*x"}}"#,
        &["\"aÉb*X\""],
        &["\"aéb.x\""],
    );
    check_values(r#"{"wildcard":"Ab*"}"#, &["\"Abc\""], &["\"abc\""]);
}

#[test]
fn all_of_and_hold_each_by_itself() {
    check(
        r#"{"$and":[{"a":[{"prefix":"x"}]},{"a":[{"suffix":"y"}]}]}"#,
        r#"{"a":"xy"}"#,
        true,
    );
    check(
        r#"{"$and":[{"a":[{"prefix":"x"}]},{"a":[{"suffix":"y"}]}]}"#,
        r#"{"a":"xz"}"#,
        false,
    );
    // Unlike fields of one object, they need not lie in the same element.
    check(r#"{"e":{"x":[1],"y":[2]}}"#, r#"{"e":[{"x":1},{"y":2}]}"#, false);
    check(
        r#"{"e":{"$and":[{"x":[1]},{"y":[2]}]}}"#,
        r#"{"e":[{"x":1},{"y":2}]}"#,
        true,
    );
    check(
        r#"{"b":[1],"$and":[{"a":[1]}],"c":[3]}"#,
        r#"{"a":1,"b":1,"c":3}"#,
        true,
    );
    check(
        r#"{"b":[1],"$and":[{"a":[1]}],"c":[3]}"#,
        r#"{"a":1,"b":1,"c":4}"#,
        false,
    );
    check(
        r#"{"$or":[{"$and":[{"a":[1]},{"b":[1]}]},{"c":[1]}]}"#,
        r#"{"a":1,"b":1}"#,
        true,
    );
    check(
        r#"{"$or":[{"$and":[{"a":[1]},{"b":[1]}]},{"c":[1]}]}"#,
        r#"{"a":1,"b":2}"#,
        false,
    );
    check(
        r#"{"$or":[{"$and":[{"a":[1]},{"b":[1]}]},{"c":[1]}]}"#,
        r#"{"c":1}"#,
        true,
    );
}

#[test]
fn not_holds_where_its_pattern_does_not_match() {
    check(r#"{"$not":{"a":["x"]}}"#, r#"{"a":"y"}"#, true);
    check(r#"{"$not":{"a":["x"]}}"#, "{}", true);
    check(r#"{"$not":{"a":["x"]}}"#, r#"{"a":"x"}"#, false);
    // Different from anything-but, which is about some element.
    check(r#"{"$not":{"a":["x"]}}"#, r#"{"a":["x","y"]}"#, false);
    check(r#"{"a":[{"anything-but":"x"}]}"#, r#"{"a":["x","y"]}"#, true);
    check(
        r#"{"d":{"$not":{"a":["x"],"b":[1]}}}"#,
        r#"{"d":{"a":"x","b":2}}"#,
        true,
    );
    check(
        r#"{"d":{"$not":{"a":["x"],"b":[1]}}}"#,
        r#"{"d":{"a":"x","b":1}}"#,
        false,
    );
    check(r#"{"$not":{"$not":{"a":[1]}}}"#, r#"{"a":1}"#, true);
    check(r#"{"$not":{"$or":[{"a":[1]},{"b":[1]}]}}"#, r#"{"a":2,"b":1}"#, false);
    check(
        r#"{"a":[1],"$or":[{"b":[1],"$not":{"c":[1]}},{"$not":{"d":[1]}}]}"#,
        r#"{"a":1,"b":1,"c":2,"d":1}"#,
        true,
    );
    check(
        r#"{"a":[1],"$or":[{"b":[1],"$not":{"c":[1]}},{"$not":{"d":[1]}}]}"#,
        r#"{"a":1,"b":1,"c":1,"d":1}"#,
        false,
    );
    check(
        r#"{"a":[1],"$or":[{"b":[1],"$not":{"c":[1]}},{"$not":{"d":[1]}}]}"#,
        r#"{"a":2}"#,
        false,
    );
}

#[test]
fn refusals_say_what_is_wrong() {
    for (pattern, message) in [
        (r#"{"$and":{"a":[1]}}"#, "It must be an Array followed with $and."),
        (r#"{"$and":[]}"#, "Empty arrays are not allowed"),
        (
            r#"{"$and":[1]}"#,
            "Only JSON object is allowed in array of $and relationship.",
        ),
        (r#"{"$and":[{}]}"#, "Empty objects are not allowed"),
        (r#"{"$not":[{"a":[1]}]}"#, "It must be an Object followed with $not."),
        (r#"{"$not":{}}"#, "Empty objects are not allowed"),
        (r#"{"a":[{"regex":1}]}"#, "regex match pattern must be a string"),
        (r#"{"a":[{"regex":"("}]}"#, "not a regular expression: unclosed group"),
        (
            r#"{"a":[{"regex":"a","b":1}]}"#,
            "Only one key allowed in match expression",
        ),
        (
            r#"{"a":[{"wildcard":{"prefix":"a"}}]}"#,
            "Unsupported wildcard pattern: prefix",
        ),
        (
            r#"{"a":[{"wildcard":{"equals-ignore-case":"a**"}}]}"#,
            "Consecutive wildcard characters at pos 2",
        ),
    ] {
        let error = refused(pattern);
        assert_eq!(
            (error.code, error.message.as_str()),
            (CompileCode::BadPattern, message),
            "{pattern}"
        );
    }
    assert_eq!(
        refused(r#"{"a":[{"regx":"a"}]}"#).suggestion.as_deref(),
        Some("did you mean \"regex\"?")
    );
}

#[test]
fn too_much_is_refused_as_too_complex() {
    let deep = format!("{}{{\"a\":[1]}}{}", "{\"$not\":".repeat(30), "}".repeat(30));
    let states = r#"{"a":[{"regex":"[ab]*a[ab]{30}"}]}"#.to_owned();
    let many: Vec<String> = (0..4_000)
        .map(|index| format!(r#"{{"regex":"a{index}[^b]*\\pL+{index}"}}"#))
        .collect();
    for pattern in [deep, states, format!("{{\"a\":[{}]}}", many.join(","))] {
        assert_eq!(refused(&pattern).code, CompileCode::TooComplex);
    }
}

#[test]
fn the_strict_dialect_says_that_the_extended_one_has_it() {
    let suggestion = |pattern: &str| refused_strictly(pattern).suggestion.unwrap_or_default();
    assert_eq!(
        refused_strictly(r#"{"a":[{"regex":"a"}]}"#).message,
        "Unrecognized match type regex"
    );
    assert!(suggestion(r#"{"a":[{"regex":"a"}]}"#).contains("dialect: extended"));
    assert!(suggestion(r#"{"$and":[{"a":[1]},{"b":[1]}]}"#).contains("dialect: extended"));
    let wildcard = r#"{"a":[{"wildcard":{"equals-ignore-case":"a"}}]}"#;
    assert_eq!(
        refused_strictly(wildcard).message,
        "wildcard match pattern must be a string"
    );
    assert!(suggestion(wildcard).contains("dialect: extended"));
    // A field may be called like this where AWS would take it for one.
    let filter = Filter::eventbridge(br#"{"$not":{"a":[1]}}"#, &Mounts::bare()).unwrap();
    assert!(filter.matches(&Document::bare(br#"{"$not":{"a":1}}"#)));
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn and_and_not_agree_with_the_reference(first in pattern(), second in pattern(), events in vec(event(), 1..6)) {
        let (one, two) = (write_pattern(&first), write_pattern(&second));
        let members = &one[1..one.len() - 1];
        let around = |text: String| Filter::eventbridge_extended(text.as_bytes(), &Mounts::bare()).map_err(|error| TestCaseError::fail(format!("{text}: {error}")));
        let plain = around(one.clone())?;
        let and = around(format!("{{\"$and\":[{one},{two}]}}"))?;
        let not = around(format!("{{\"$not\":{one}}}"))?;
        let or = around(format!("{{\"$or\":[{{\"$not\":{one}}},{{\"$and\":[{two},{one}]}}]}}"))?;
        let beside = around(format!("{{{members},\"$not\":{two}}}"))?;
        for event in &events {
            let (first, second) = (matches(&first, event), matches(&second, event));
            let text = write_json(event);
            for (filter, expected) in [
                (&plain, first),
                (&and, first && second),
                (&not, !first),
                (&or, !first || second),
                (&beside, first && !second),
            ] {
                prop_assert_eq!(answer(filter.clone(), &text), expected, "{} {} event {}", one, two, text);
            }
        }
    }
}
