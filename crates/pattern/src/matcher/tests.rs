//! What a set asks and looks up, counted in steps: it follows the event, not the number of filters.

use super::*;
use crate::mounts::Mounts;

/// Look-ups and hits of one event, for filters `0..count` of a pattern.
fn steps(count: u32, pattern: impl Fn(u32) -> String, event: &str) -> usize {
    let filter = |index| Filter::eventbridge(pattern(index).as_bytes(), &Mounts::bare()).unwrap();
    steps_of(count, filter, &Document::bare(event.as_bytes()))
}

fn steps_of(count: u32, filter: impl Fn(u32) -> Filter, document: &Document<'_>) -> usize {
    let matcher = Matcher::build((0..count).map(|index| (index, Arc::new(filter(index)))));
    let mut scratch = Scratch::new();
    crate::steps::of(|| matcher.matches(document, &mut scratch, &mut Vec::new()))
}

#[test]
fn steps_follow_the_event_and_its_matches_and_not_the_number_of_filters() {
    let patterns: [fn(u32) -> String; 8] = [
        |index| format!(r#"{{"a":["v{index:05}x"]}}"#),
        |index| format!(r#"{{"a":[{{"prefix":"v{index:05}"}}]}}"#),
        |index| format!(r#"{{"a":[{{"suffix":"{index:05}x"}}]}}"#),
        |index| format!(r#"{{"a":[{{"wildcard":"*{index:05}*"}}]}}"#),
        |index| format!(r#"{{"a":[{{"equals-ignore-case":"V{index:05}X"}}]}}"#),
        |index| format!(r#"{{"b":[{{"numeric":[">=",{index},"<",{}]}}]}}"#, index + 1),
        |index| format!(r#"{{"c":[{{"cidr":"10.{}.{}.0/24"}}]}}"#, index / 256, index % 256),
        |index| format!(r#"{{"a":["v{index:05}x"],"b":[{{"anything-but":[7]}}],"d":[{{"exists":false}}]}}"#),
    ];
    for pattern in patterns {
        let event = r#"{"a":"v00003x","b":3.5,"c":"10.0.3.9"}"#;
        let (few, many) = (steps(10, pattern, event), steps(4_000, pattern, event));
        assert!(
            many <= few + 8,
            "{}: {few} steps with ten filters, {many} with thousands",
            pattern(3)
        );
    }
}

#[test]
fn a_filter_that_came_first_is_not_called_by_what_those_after_it_have_as_well() {
    let filter = |index: u32| {
        let pattern = format!(r#"{{"a":["same"],"b":[{{"prefix":"v{index}-"}}]}}"#);
        (
            index,
            Arc::new(Filter::eventbridge(pattern.as_bytes(), &Mounts::bare()).unwrap()),
        )
    };
    let called = |matcher: &Matcher<u32>, event: &str| {
        let (mut scratch, mut matched) = (Scratch::new(), Vec::new());
        matcher.matches(&Document::bare(event.as_bytes()), &mut scratch, &mut matched);
        (scratch.hits.codes.len(), matched)
    };
    let few = Matcher::build((0..2).map(filter));
    let many = (2..40)
        .map(filter)
        .fold(few.clone(), |matcher, (id, filter)| matcher.with(id, filter));
    for matcher in [&few, &many] {
        assert_eq!(called(matcher, r#"{"a":"same","b":"w"}"#), (0, vec![]));
        assert_eq!(called(matcher, r#"{"a":"same","b":"v0-x"}"#), (1, vec![0]));
        assert_eq!(called(matcher, r#"{"a":"other","b":"v1-x"}"#), (1, vec![]));
    }
    let none = (0..40).fold(many, |matcher, id| matcher.without(id));
    assert_eq!(called(&none, r#"{"a":"same","b":"v0-x"}"#), (0, vec![]));
}

#[test]
fn of_queries_only_those_are_evaluated_whose_names_and_texts_are_there() {
    let queries: [fn(u32) -> String; 5] = [
        |index| format!("$[?@.id == 'v{index:05}']"),
        |index| format!("$.lines[?@.sku == 'v{index:05}' && @.price > 1]"),
        |index| format!("$..[?@.sku == 'v{index:05}' || @.id == 'w{index:05}']"),
        |index| format!("$.field{index:05}[0]"),
        |index| format!("$[?@.id != 'x' && @.sku == 'v{index:05}']"),
    ];
    let json = br#"{"order": {"id": "v00003"}, "field00003": [1], "lines": [{"sku": "v00003", "price": 2}]}"#;
    let document = Document::new().data(crate::Data::Json(json));
    for query in queries {
        let filter = |index| Filter::jsonpath(&query(index)).unwrap();
        let (few, many) = (steps_of(10, filter, &document), steps_of(2_000, filter, &document));
        assert!(
            many <= few + 2,
            "{}: {few} steps with ten filters, {many} with thousands",
            query(3)
        );
    }
}

#[test]
fn of_extended_tests_only_those_are_asked_that_the_event_has_what_they_require() {
    let patterns: [fn(u32) -> String; 6] = [
        |index| format!(r#"{{"a":[{{"regex":"^v{index:05}-\\d+$"}}]}}"#),
        |index| format!(r#"{{"a":[{{"regex":"^(?:w{index:05}|v{index:05})-"}}]}}"#),
        |index| format!(r#"{{"a":[{{"regex":"x{index:05}y|{index:05}-"}}]}}"#),
        |index| format!(r#"{{"a":[{{"regex":"\\w*{index:05}-+"}}]}}"#),
        |index| format!(r#"{{"a":[{{"wildcard":{{"equals-ignore-case":"V{index:05}*9"}}}}]}}"#),
        |index| format!(r#"{{"a":[{{"wildcard":{{"equals-ignore-case":"*{index:05}-9"}}}}]}}"#),
    ];
    let document = Document::bare(br#"{"a":"v00003-9"}"#);
    for pattern in patterns {
        let filter = |index| Filter::eventbridge_extended(pattern(index).as_bytes(), &Mounts::bare()).unwrap();
        let (few, many) = (steps_of(5, filter, &document), steps_of(300, filter, &document));
        assert!(
            many <= few + 8,
            "{}: {few} steps with five filters, {many} with hundreds",
            pattern(3)
        );
        let matcher = Matcher::build((0..5).map(|index| (index, Arc::new(filter(index)))));
        let mut found = Vec::new();
        matcher.matches(&document, &mut Scratch::new(), &mut found);
        assert_eq!(found, [3], "{}", pattern(3));
    }
}

#[test]
fn a_filter_that_goes_is_not_called_by_what_its_query_needs() {
    let filter = |query: &str| Arc::new(Filter::jsonpath(query).unwrap());
    let matcher = Matcher::build([(1, filter("$[?@.a == 'x' || @.b == 'y']")), (2, filter("$.c.a"))]);
    let matches = |matcher: &Matcher<u32>| {
        let document = Document::new().data(crate::Data::Json(br#"{"c": {"a": "x", "b": "y"}}"#));
        let mut found = Vec::new();
        matcher.matches(&document, &mut Scratch::new(), &mut found);
        found
    };
    let (one, other) = (matcher.without(1), matcher.without(2));
    assert_eq!(matches(&matcher), [1, 2]);
    assert_eq!((matches(&one), matches(&other)), (vec![2], vec![1]));
    assert!(one.without(2).anywhere.is_empty() && other.without(1).anywhere.is_empty());
}

#[test]
fn steps_grow_no_faster_than_a_value() {
    let pattern = |index: u32| format!(r#"{{"a":[{{"wildcard":"*a{index}a*"}},{{"wildcard":"*aaaaaaa*b"}}]}}"#);
    let event = |length: usize| format!(r#"{{"a":"{}"}}"#, "a".repeat(length));
    let (short, long) = (steps(50, pattern, &event(1_000)), steps(50, pattern, &event(16_000)));
    assert!(long <= 17 * short, "{short} and {long}");
}
