//! The dialects at the crate's boundary: filters and events as JSON, answers and refusals.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::document::Document;
use crate::explain::explain;
use crate::fields::Scratch;
use crate::matcher::Matcher;

/// Attributes of an event.
type Event<'a> = &'a [(&'a str, &'a str)];

const PUSH: Event<'static> = &[
    ("/attr/type", "com.github.push"),
    ("/attr/source", "https://github.com/cloudevents"),
    ("/attr/subject", "main"),
];

fn document<'a>(event: &[(&'a str, &'a str)]) -> Document<'a> {
    event
        .iter()
        .fold(Document::new(), |document, (path, value)| document.text(path, value))
}

fn compiled(filters: &str) -> Filter {
    Filter::cloudevents(filters.as_bytes(), Dialect::Standard).unwrap_or_else(|error| panic!("{filters}: {error}"))
}

/// Checks the answer of filters about the push.
fn check(filters: &str, expected: bool) {
    let filter = compiled(filters);
    let document = document(PUSH);
    assert_eq!(filter.matches(&document), expected, "{filters}");
    assert_eq!(explain(&filter, &document).matched, expected, "{filters} explained");
    let matcher = Matcher::build([(1, Arc::new(filter))]);
    let mut out = Vec::new();
    matcher.matches(&document, &mut Scratch::new(), &mut out);
    assert_eq!(!out.is_empty(), expected, "{filters} in a matcher");
}

#[test]
fn attributes_are_compared_exactly_by_head_and_by_tail() {
    check(r#"[{"exact": {"type": "com.github.push"}}]"#, true);
    check(r#"[{"exact": {"type": "com.github.PUSH"}}]"#, false);
    check(r#"[{"prefix": {"type": "com.github."}}]"#, true);
    check(r#"[{"prefix": {"type": "github"}}]"#, false);
    check(r#"[{"suffix": {"type": ".push"}}]"#, true);
    check(r#"[{"suffix": {"type": "com"}}]"#, false);
    check(
        r#"[{"prefix": {"type": "com.github.push"}}, {"suffix": {"type": "com.github.push"}}]"#,
        true,
    );
}

#[test]
fn several_attributes_of_one_filter_must_all_match() {
    check(r#"[{"exact": {"type": "com.github.push", "subject": "main"}}]"#, true);
    check(r#"[{"exact": {"type": "com.github.push", "subject": "other"}}]"#, false);
    check(
        r#"[{"prefix": {"type": "com", "source": "https:", "subject": "m"}}]"#,
        true,
    );
}

#[test]
fn an_attribute_that_is_missing_matches_nothing_and_not_of_it_holds() {
    for dialect in ["exact", "prefix", "suffix"] {
        check(&format!(r#"[{{"{dialect}": {{"ext": "x"}}}}]"#), false);
        check(&format!(r#"[{{"not": {{"{dialect}": {{"ext": "x"}}}}}}]"#), true);
    }
    check(r#"[{"exact": {"type": "com.github.push", "ext": "x"}}]"#, false);
    check(r#"[{"not": {"exact": {"type": "com.github.push", "ext": "x"}}}]"#, true);
}

#[test]
fn a_list_holds_if_all_of_it_does_and_so_does_the_empty_one() {
    check("[]", true);
    assert!(compiled(" [ ] ").is_everything());
    check(r#"[{"exact": {"subject": "main"}}, {"prefix": {"type": "com"}}]"#, true);
    check(
        r#"[{"exact": {"subject": "main"}}, {"prefix": {"type": "org"}}]"#,
        false,
    );
}

#[test]
fn all_any_and_not_nest() {
    check(
        r#"[{"all": [{"exact": {"subject": "main"}}, {"suffix": {"type": "push"}}]}]"#,
        true,
    );
    check(
        r#"[{"all": [{"exact": {"subject": "main"}}, {"suffix": {"type": "pull"}}]}]"#,
        false,
    );
    check(
        r#"[{"any": [{"exact": {"subject": "x"}}, {"suffix": {"type": "push"}}]}]"#,
        true,
    );
    check(
        r#"[{"any": [{"exact": {"subject": "x"}}, {"suffix": {"type": "pull"}}]}]"#,
        false,
    );
    check(r#"[{"not": {"not": {"exact": {"subject": "main"}}}}]"#, true);
    check(
        r#"[{"not": {"any": [{"exact": {"subject": "x"}}, {"exact": {"subject": "main"}}]}}]"#,
        false,
    );
    check(
        r#"[{"any": [{"all": [{"not": {"exact": {"subject": "main"}}}, {"exact": {"type": "x"}}]},
             {"not": {"all": [{"prefix": {"type": "com"}}, {"prefix": {"type": "org"}}]}}]}]"#,
        true,
    );
}

#[test]
fn sql_passes_when_it_is_true_without_errors_and_not_of_it_otherwise() {
    check(r#"[{"sql": "type LIKE '%push' AND subject = 'main'"}]"#, true);
    check(r#"[{"sql": "subject = 'x'"}]"#, false);
    check(r#"[{"sql": "ext = 'x'"}]"#, false);
    check(r#"[{"not": {"sql": "ext = 'x'"}}]"#, true);
    check(r#"[{"sql": "LENGTH(subject)"}]"#, false);
    check(
        r#"[{"any": [{"sql": "EXISTS ext"}, {"exact": {"subject": "main"}}]}]"#,
        true,
    );
}

#[test]
fn what_is_no_list_of_filters_is_refused_with_its_place() {
    let check = |filters: &str, message: &str, path: &str, suggestion: Option<&str>| {
        let error = Filter::cloudevents(filters.as_bytes(), Dialect::Standard).expect_err(filters);
        assert_eq!(error.message, message, "{filters}");
        assert_eq!(
            (error.path.as_str(), error.suggestion.as_deref()),
            (path, suggestion),
            "{filters}"
        );
    };
    check(
        r#"{"exact": {"type": "x"}}"#,
        "a list of filters is missing before {",
        "",
        Some("put the filter into [ and ]"),
    );
    check(r#"["x"]"#, "a filter is an object, not x", "0", None);
    check(
        "[{}]",
        "a filter names its dialect: exact, prefix, suffix, all, any, not, sql",
        "0",
        None,
    );
    check(
        r#"[{"exact": {"type": "x"}, "prefix": {"type": "x"}}]"#,
        "a filter has one dialect",
        "0.exact",
        Some("make it several filters of a list, or of all"),
    );
    check(r#"[{"exact": {}}]"#, "there is at least one attribute", "0.exact", None);
    check(
        r#"[{"exact": {"type": ""}}]"#,
        "the text is empty",
        "0.exact.type",
        None,
    );
    check(
        r#"[{"exact": {"": "x"}}]"#,
        "the name of an attribute is empty",
        "0.exact.",
        None,
    );
    check(
        r#"[{"exact": {"Type": "x"}}]"#,
        "the names of attributes have only lower-case letters and digits",
        "0.exact.Type",
        Some("write \"type\""),
    );
    check(
        r#"[{"exact": {"hops": 5}}]"#,
        "an attribute is compared with a string, not 5",
        "0.exact.hops",
        Some("write \"5\""),
    );
    check(r#"[{"all": []}]"#, "the list has at least one filter", "0.all", None);
    check(
        r#"[{"any": [{"all": []}]}]"#,
        "the list has at least one filter",
        "0.any.0.all",
        None,
    );
    check(
        r#"[{"not": [{"exact": {"type": "x"}}]}]"#,
        "not takes one filter, an object, not [",
        "0.not",
        None,
    );
    check(
        r#"[{"exakt": {"type": "x"}}]"#,
        "there is no dialect \"exakt\"; there are exact, prefix, suffix, all, any, not, sql",
        "0.exakt",
        Some("did you mean \"exact\"?"),
    );
    check(
        r#"[{"sql": "type = "}]"#,
        "a value is missing at the end at character 8 of the expression",
        "0.sql",
        None,
    );
    check("[] []", "[ follows the list", "", None);
}

#[test]
fn nesting_and_length_are_bounded() {
    let nested = |depth: usize| {
        format!(
            "[{}{}{}]",
            r#"{"not":"#.repeat(depth),
            r#"{"exact":{"type":"x"}}"#,
            "}".repeat(depth)
        )
    };
    assert!(Filter::cloudevents(nested(100).as_bytes(), Dialect::Standard).is_ok());
    assert!(Filter::cloudevents(nested(200).as_bytes(), Dialect::Standard).is_err());
    let long = format!("[{}", " ".repeat(PATTERN_BYTES_MAX));
    let error = Filter::cloudevents(long.as_bytes(), Dialect::Standard).unwrap_err();
    assert_eq!(error.code, CompileCode::TooComplex);
}

#[test]
fn alternatives_of_one_attribute_become_one_test() {
    let filters: Vec<String> = (0..5_000)
        .map(|index| format!(r#"{{"exact":{{"subject":"s{index}"}}}}"#))
        .collect();
    let parts = compile(
        format!(r#"[{{"any":[{}]}}]"#, filters.join(",")).as_bytes(),
        Dialect::Standard,
    )
    .unwrap();
    assert_eq!((parts[0].guard.tests.len(), parts[0].guard.alternatives.len()), (1, 1));
    assert!(parts[0].check.is_none());
}

#[test]
fn long_conjunctions_are_compiled_in_proportion() {
    let one = r#"{"prefix":{"subject":"s"}}"#;
    let parts = compile(
        format!(r#"[{{"all":[{}]}}]"#, vec![one; 8_000].join(",")).as_bytes(),
        Dialect::Standard,
    )
    .unwrap();
    assert_eq!(
        (parts[0].guard.tests.len(), parts[0].guard.alternatives.len()),
        (8_000, 1)
    );
    let two = r#"{"any":[{"prefix":{"subject":"s"}},{"exact":{"type":"t"}}]}"#;
    let parts = compile(
        format!(r#"[{{"all":[{}]}}]"#, vec![two; 3_000].join(",")).as_bytes(),
        Dialect::Standard,
    )
    .unwrap();
    assert!(parts[0].guard.tests.len() <= 1_024 && parts[0].check.is_some());
}

/// A filter, by its obvious meaning.
#[derive(Debug, Clone)]
enum Node {
    Compare(&'static str, Vec<(&'static str, &'static str)>),
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Sql(&'static str, &'static str),
}

impl Node {
    fn holds(&self, event: &[(&str, &str)]) -> bool {
        let value = |name: &str| {
            event
                .iter()
                .find(|(path, _)| path[6..] == *name)
                .map(|(_, value)| *value)
        };
        match self {
            Node::Compare(dialect, attributes) => attributes.iter().all(|(name, text)| {
                value(name).is_some_and(|value| match *dialect {
                    "exact" => value == *text,
                    "prefix" => value.starts_with(text),
                    _ => value.ends_with(text),
                })
            }),
            Node::All(nodes) => nodes.iter().all(|node| node.holds(event)),
            Node::Any(nodes) => nodes.iter().any(|node| node.holds(event)),
            Node::Not(node) => !node.holds(event),
            Node::Sql(name, text) => value(name) == Some(text),
        }
    }

    fn json(&self) -> String {
        let list = |nodes: &[Node]| nodes.iter().map(Node::json).collect::<Vec<_>>().join(",");
        match self {
            Node::Compare(dialect, attributes) => {
                let attributes: Vec<String> = attributes
                    .iter()
                    .map(|(name, text)| format!("{name:?}:{text:?}"))
                    .collect();
                format!(r#"{{"{dialect}":{{{}}}}}"#, attributes.join(","))
            }
            Node::All(nodes) => format!(r#"{{"all":[{}]}}"#, list(nodes)),
            Node::Any(nodes) => format!(r#"{{"any":[{}]}}"#, list(nodes)),
            Node::Not(node) => format!(r#"{{"not":{}}}"#, node.json()),
            Node::Sql(name, text) => format!(r#"{{"sql":"{name} = '{text}'"}}"#),
        }
    }
}

fn any_attributes() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    let names = proptest::sample::subsequence(vec!["a", "b", "c"], 1..3);
    names.prop_flat_map(|names| {
        let texts = proptest::collection::vec(proptest::sample::select(vec!["x", "xy", "y", "1"]), names.len());
        texts.prop_map(move |texts| names.iter().copied().zip(texts).collect())
    })
}

fn any_node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        4 => (proptest::sample::select(vec!["exact", "prefix", "suffix"]), any_attributes())
            .prop_map(|(dialect, attributes)| Node::Compare(dialect, attributes)),
        1 => any_attributes().prop_map(|attributes| Node::Sql(attributes[0].0, attributes[0].1)),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..4).prop_map(Node::All),
            proptest::collection::vec(inner.clone(), 1..4).prop_map(Node::Any),
            inner.prop_map(|node| Node::Not(Box::new(node))),
        ]
    })
}

fn any_event() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    let value = || proptest::option::of(proptest::sample::select(vec!["x", "xy", "y", "yx", "1"]));
    (value(), value(), value()).prop_map(|(a, b, c)| {
        let values = [("/attr/a", a), ("/attr/b", b), ("/attr/c", c)];
        values
            .into_iter()
            .filter_map(|(path, value)| Some((path, value?)))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn filters_alone_and_many_at_once_answer_by_their_obvious_meaning(
        nodes in proptest::collection::vec(any_node(), 1..6),
        events in proptest::collection::vec(any_event(), 1..6),
    ) {
        let filters = nodes.iter().map(|node| Arc::new(compiled(&format!("[{}]", node.json()))));
        let matcher = Matcher::build((0u32..).zip(filters));
        let mut scratch = Scratch::new();
        for event in &events {
            let document = document(event);
            let mut out = Vec::new();
            matcher.matches(&document, &mut scratch, &mut out);
            for (id, node) in (0u32..).zip(&nodes) {
                let expected = node.holds(event);
                let filter = matcher.get(id).unwrap();
                prop_assert_eq!(filter.matches(&document), expected, "{} about {:?}", node.json(), event);
                prop_assert_eq!(out.contains(&id), expected, "{} in a matcher about {:?}", node.json(), event);
                prop_assert_eq!(explain(filter, &document).matched, expected, "{} explained", node.json());
            }
        }
    }
}
