//! Arrays: any element, the same element for objects, at every level.

use std::fmt::Write;

use pattern::{Document, Scratch};

use crate::{bare, check};

#[test]
fn one_element_of_an_array_is_enough() {
    check(r#"{"a":[2]}"#, r#"{"a":[1,2,3]}"#, true);
    check(r#"{"a":[2]}"#, r#"{"a":[[1],[[2]]]}"#, true);
    check(r#"{"a":[4]}"#, r#"{"a":[1,2,3]}"#, false);
    check(r#"{"a":[1,2]}"#, r#"{"a":[2]}"#, true);
}

#[test]
fn fields_of_objects_in_an_array_match_in_the_same_element() {
    let pattern = r#"{"e":{"x":[1],"y":[2]}}"#;
    check(pattern, r#"{"e":[{"x":1},{"y":2}]}"#, false);
    check(pattern, r#"{"e":[{"x":1,"y":3},{"x":1,"y":2}]}"#, true);
    check(pattern, r#"{"e":{"x":1,"y":2}}"#, true);
}

#[test]
fn values_of_a_plain_array_are_not_bound_to_their_index() {
    check(r#"{"e":{"x":[1],"y":[2]}}"#, r#"{"e":{"x":[1,9],"y":[9,2]}}"#, true);
    check(r#"{"a":[1],"a.b":[2]}"#, r#"{"a":[1,{"b":2}]}"#, true);
}

#[test]
fn sibling_arrays_are_independent_and_nested_ones_bind_at_each_level() {
    check(
        r#"{"e":{"x":[1]},"f":{"y":[2]}}"#,
        r#"{"e":[{"x":0},{"x":1}],"f":[{"y":2}]}"#,
        true,
    );
    let nested = r#"{"e":{"n":[1],"i":{"x":[1],"y":[2]}}}"#;
    check(nested, r#"{"e":[{"n":1,"i":[{"x":1,"y":0},{"x":1,"y":2}]}]}"#, true);
    check(nested, r#"{"e":[{"n":1,"i":[{"x":1},{"y":2}]}]}"#, false);
    check(
        nested,
        r#"{"e":[{"n":0,"i":[{"x":1,"y":2}]},{"n":1,"i":[{"x":1,"y":0}]}]}"#,
        false,
    );
}

#[test]
fn arrays_in_arrays_bind_at_each_level() {
    let pattern = r#"{"e":{"x":[1],"y":[2]}}"#;
    check(pattern, r#"{"e":[[{"x":1},{"y":2}]]}"#, false);
    check(pattern, r#"{"e":[[{"x":1}],[{"y":2}]]}"#, false);
    check(pattern, r#"{"e":[[{"x":0}],[{"x":1,"y":2}]]}"#, true);
}

#[test]
fn absence_looks_at_the_element_that_the_fields_before_it_have_picked() {
    check(
        r#"{"e":{"a":[1],"b":[{"exists":false}]}}"#,
        r#"{"e":[{"a":1},{"b":2}]}"#,
        true,
    );
    check(
        r#"{"e":{"a":[1],"b":[{"exists":false}]}}"#,
        r#"{"e":[{"a":1,"b":2},{"a":0}]}"#,
        false,
    );
    check(
        r#"{"e":{"a":[{"exists":false}],"b":[1]}}"#,
        r#"{"e":[{"a":1},{"b":1}]}"#,
        false,
    );
}

#[test]
fn duplicate_arrays_of_objects_are_two_arrays() {
    let pattern = r#"{"e":{"x":[1],"y":[2]}}"#;
    check(pattern, r#"{"e":[{"x":1}],"e":[{"y":2}]}"#, true);
    check(pattern, r#"{"e":[{"x":1}],"e":[{"y":3}]}"#, false);
}

#[test]
fn an_array_of_many_elements_costs_no_more_than_its_size() {
    let mut event = String::from("{\"e\":[");
    for index in 0..30_000 {
        write!(event, "{{\"x\":1,\"y\":{index},\"z\":1}},").unwrap();
    }
    event.push_str("{\"x\":1,\"y\":-1}]}");
    let document = Document::bare(event.as_bytes());
    let mut scratch = Scratch::new();
    let mut matches = |pattern: &str| bare(pattern).matches_with(&document, &mut scratch);
    assert!(matches(r#"{"e":{"x":[1],"y":[-1],"z":[{"exists":false}]}}"#));
    assert!(matches(r#"{"e":{"x":[1],"y":[29999],"z":[1]}}"#));
    assert!(!matches(r#"{"e":{"x":[1],"y":[-1],"z":[1]}}"#));
}

#[test]
fn an_event_that_repeats_arrays_without_end_is_answered_in_bounded_time() {
    let one = r#""e":[{"a":1},{"b":1},{"c":1},{"d":1},{"f":1}],"#.repeat(200);
    let event = format!("{{{one}\"g\":1}}");
    let pattern = bare(r#"{"e":{"a":[1],"b":[1],"c":[1],"d":[1],"f":[1],"z":[1]}}"#);
    assert!(!pattern.matches(&Document::bare(event.as_bytes())));
    let pattern = bare(r#"{"e":{"a":[1],"b":[1],"c":[1],"d":[1],"f":[1],"g":[{"exists":false}]}}"#);
    pattern.matches(&Document::bare(event.as_bytes()));
}
