//! Explanations: which clause failed, what it saw, and the first reason in words.

use pattern::{ClauseKind, Data, DataState, Document, Explanation, Filter, Mounts, explain};

use crate::bare;

fn explained(pattern: &str, event: &str) -> Explanation {
    let document = Document::bare(event.as_bytes());
    let filter = bare(pattern);
    let explanation = explain(&filter, &document);
    assert_eq!(explanation.matched, filter.matches(&document), "{pattern} {event}");
    explanation
}

fn check(pattern: &str, event: &str, reason: Option<&str>) {
    assert_eq!(
        explained(pattern, event).first_reason().as_deref(),
        reason,
        "{pattern} {event}"
    );
}

#[test]
fn the_first_reason_says_what_was_seen_and_what_was_wanted() {
    check(r#"{"status":["paid"]}"#, r#"{"status":"paid"}"#, None);
    check(
        r#"{"status":["paid"]}"#,
        r#"{"status":"open"}"#,
        Some(r#"status is "open"; wanted ["paid"]"#),
    );
    check(r#"{"a":{"b":[1]}}"#, "{}", Some("a.b is absent; wanted [1]"));
    check(
        r#"{"a":[{"numeric":[">",0,"<=",5]}]}"#,
        r#"{"a":[7,"x"]}"#,
        Some(r#"a is 7, "x"; wanted [{"numeric":[">",0,"<=",5]}]"#),
    );
    check(
        r#"{"a":[{"anything-but":{"prefix":["x","y"]}}]}"#,
        r#"{"a":"xx"}"#,
        Some(r#"a is "xx"; wanted [{"anything-but":{"prefix":["x","y"]}}]"#),
    );
    check(
        r#"{"a":[{"exists":false}]}"#,
        r#"{"a":null}"#,
        Some(r#"a is null; wanted [{"exists":false}]"#),
    );
}

#[test]
fn fields_that_match_in_different_elements_are_told_apart() {
    check(
        r#"{"e":{"x":[1],"y":[2]}}"#,
        r#"{"e":[{"x":1},{"y":2}]}"#,
        Some("every field matches by itself, but not in the same elements of an array"),
    );
}

#[test]
fn the_nearest_alternative_is_named() {
    check(
        r#"{"$or":[{"a":[1],"b":[2]},{"a":[1],"c":[3]}],"d":[4]}"#,
        r#"{"a":1,"c":0,"d":4}"#,
        Some("none of 2 alternatives matches; in the nearest, b is absent; wanted [2]"),
    );
}

#[test]
fn data_that_is_not_json_is_named() {
    let explanation = explained(r#"{"a":[1]}"#, r#"{"a":1,}"#);
    assert!(matches!(explanation.data, DataState::NotJson { position: 7, .. }));
    let reason = explanation.first_reason().unwrap();
    assert!(
        reason.starts_with("a is absent; wanted [1] (the data is not JSON: '}' instead of double-quote"),
        "{reason}"
    );
}

#[test]
fn long_values_and_lists_are_cut() {
    let event = format!("{{\"a\":[{},\"{}\"]}}", vec!["1"; 40].join(","), "x".repeat(9_000));
    let explanation = explained(r#"{"a":["y"]}"#, &event);
    assert_eq!(
        (
            explanation.root.clauses[0].seen.len(),
            explanation.root.clauses[0].unseen
        ),
        (16, 25)
    );
    let explanation = explained(r#"{"a":["y"]}"#, &format!("{{\"a\":\"{}\"}}", "é".repeat(9_000)));
    assert!(explanation.root.clauses[0].seen[0].chars().count() < 300);
}

#[test]
fn an_explanation_is_json() {
    let filter = Filter::all_of(vec![Filter::types(&["a.*"]).unwrap(), bare(r#"{"s":[1]}"#)]);
    let document = Document::new()
        .text("/attr/type", "a.b")
        .data(Data::Json(br#"{"s":2}"#));
    let explanation = explain(&filter, &document);
    assert_eq!(explanation.root.kind, ClauseKind::All);
    let expected = r#"{"matched":false,"data":{"state":"json"},"root":{"kind":"all","matched":false,"clauses":[{"kind":"all","matched":true,"clauses":[{"kind":"field","matched":true,"path":"type","wanted":"[{\"wildcard\":\"a.*\"}]","seen":["\"a.b\""]}]},{"kind":"all","matched":false,"clauses":[{"kind":"field","matched":false,"path":"s","wanted":"[1]","seen":["2"]}]}]}}"#;
    assert_eq!(serde_json::to_string(&explanation).unwrap(), expected);
}

#[test]
fn a_name_that_is_mounted_nowhere_is_noted() {
    let mounts = Mounts::builder().mount("detail", "/data").build();
    let filter = Filter::eventbridge(br#"{"status":["paid"]}"#, &mounts).unwrap();
    let explanation = explain(&filter, &Document::bare(br#"{"status":"paid"}"#));
    assert_eq!(
        explanation.root.clauses[0].note.as_deref(),
        Some("events have no such field at the top")
    );
}
