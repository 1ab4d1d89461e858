//! What filters are indexed by: never less than what they take, and narrow where it can be.

use std::sync::Arc;

use proptest::prelude::*;

use crate::cesql::Expression;
use crate::document::{Data, Document};
use crate::fields::Scratch;
use crate::filter::{Dialect, Filter};
use crate::matcher::Matcher;

/// The guard of an expression, in words.
fn guard(expression: &str) -> String {
    let part = crate::cesql::part(expression, Dialect::Extended).unwrap();
    let alternatives = part.guard.alternatives.iter().map(|alternative| {
        let tests = alternative.iter().map(|index| {
            let test = &part.guard.tests[*index as usize];
            let operators: Vec<String> = test.operators().iter().map(ToString::to_string).collect();
            format!("{}: {}", test.path.written, operators.join(" "))
        });
        format!("[{}]", tests.collect::<Vec<_>>().join("; "))
    });
    alternatives.collect::<Vec<_>>().join(" ")
}

fn check(expression: &str, expected: &str) {
    assert_eq!(guard(expression), expected, "{expression}");
}

#[test]
fn equality_lists_and_patterns_are_indexed_by_their_texts() {
    check("type = 'x'", r#"[type: "x"]"#);
    check("'x' = type", r#"[type: "x"]"#);
    check("type = 'x' OR type = 'y'", r#"[type: "x" "y"]"#);
    check("type IN ('x', 'y')", r#"[type: "x" "y"]"#);
    check("hop IN (5, 'TRUE')", r#"[hop: "5" "TRUE" "true"]"#);
    check("type LIKE 'a_c%'", r#"[type: {"prefix":"a"}]"#);
    check("type LIKE '%.placed'", r#"[type: {"suffix":".placed"}]"#);
    check(r"type LIKE 'a\%'", r#"[type: "a%"]"#);
    check("data.a = 'x'", r#"[data.a: "x"]"#);
}

#[test]
fn conjunctions_are_indexed_by_all_their_fields() {
    check("type = 'x' AND subject = 'y'", r#"[type: "x"; subject: "y"]"#);
    check(
        "type = 'x' AND LENGTH(subject) > 3",
        r#"[type: "x"; subject: {"exists":true}]"#,
    );
    check(
        "(type = 'x' OR id = 'y') AND subject = 'z'",
        r#"[type: "x"; subject: "z"] [id: "y"; subject: "z"]"#,
    );
    check("type = 'x' AND NOT type = 'y'", r#"[type: "x"]"#);
    check("TRUE AND type = 'x'", r#"[type: "x"]"#);
    check("FALSE OR type = 'x'", r#"[type: "x"]"#);
}

#[test]
fn what_needs_an_attribute_is_indexed_by_its_presence() {
    for expression in [
        "hop = 5",
        "hop < 5",
        "hop",
        "hop != 'x'",
        "hop NOT IN ('x')",
        "EXISTS hop",
        "-hop = 1",
    ] {
        check(expression, r#"[hop: {"exists":true}]"#);
    }
    check("5 = hop", r#"[hop: "5" "true"]"#);
    check("data.a = '5'", r#"[data.a: {"exists":true}]"#);
    check("data.a LIKE 'x%'", r#"[data.a: {"exists":true}]"#);
}

#[test]
fn what_asks_for_nothing_is_always_asked_and_what_cannot_be_never() {
    for expression in [
        "TRUE",
        "NOT EXISTS hop",
        "EXISTS id",
        "type = 'x' OR NOT EXISTS hop",
        "1 = 1",
    ] {
        check(expression, "[]");
    }
    check("FALSE", "");
    check("type = 'x' AND FALSE", "");
}

#[test]
fn products_of_lists_stay_small() {
    let list = |name: &str| {
        let items: Vec<String> = (0..40).map(|index| format!("{name} = 'x' OR a{index} = 'y'")).collect();
        format!("({})", items.join(" OR "))
    };
    let part = crate::cesql::part(
        &format!("{} AND {} AND b = 'z'", list("c"), list("d")),
        Dialect::Standard,
    )
    .unwrap();
    assert!(part.guard.alternatives.len() <= 80, "{}", part.guard.alternatives.len());
    let many = crate::cesql::part(&vec!["id = 'x' AND id != 'y'"; 1_000].join(" OR "), Dialect::Standard).unwrap();
    assert!(many.guard.tests.len() <= 10_000);
}

#[test]
fn a_long_list_is_not_copied_for_every_conjunction() {
    let list = vec!["'x'"; 5_000].join(",");
    let rest = "AND hop = 1 AND id = 'y' ".repeat(1_200);
    let part = crate::cesql::part(&format!("type IN ({list}) {rest}"), Dialect::Standard).unwrap();
    assert!(part.guard.alternatives.len() == 1 && part.guard.tests.len() <= 8);
}

#[test]
fn many_filters_on_distinct_types_are_asked_one_at_a_time() {
    let filters = (0..2_000u32).map(|index| {
        let expression = format!("type = 'type.{index}' AND LENGTH(id) = 1");
        (index, Arc::new(Filter::cesql(&expression, Dialect::Standard).unwrap()))
    });
    let matcher = Matcher::build(filters);
    let document = Document::new().text("/attr/type", "type.77").text("/attr/id", "x");
    let mut out = Vec::new();
    matcher.matches(&document, &mut Scratch::new(), &mut out);
    assert_eq!(out, [77]);
}

/// Expressions over few names and values, so that they often agree.
fn any_expression() -> impl Strategy<Value = String> {
    let name = proptest::sample::select(vec!["a", "b", "hop", "flag", "data.a", "data.l.b"]);
    let literal = proptest::sample::select(vec![
        "'x'", "'xy'", "'5'", "'05'", "5", "0", "1", "TRUE", "FALSE", "'true'", "'TRUE'", "'y'", "''", "'1.5'",
    ]);
    let value = prop_oneof![
        4 => name.clone().prop_map(str::to_owned),
        3 => literal.clone().prop_map(str::to_owned),
        1 => name.clone().prop_map(|name| format!("LOWER({name})")),
        1 => name.clone().prop_map(|name| format!("LENGTH({name})")),
        1 => (name.clone(), literal.clone()).prop_map(|(name, literal)| format!("({name} + {literal})")),
    ];
    let pattern = proptest::sample::select(vec![
        "'x%'", "'%y'", "'_'", "'5%'", "'%'", "'t%'", "'x'", "'%e'", "'1%5'",
    ]);
    let condition = prop_oneof![
        6 => (value.clone(), proptest::sample::select(vec!["=", "!=", "<", ">="]), value.clone())
            .prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
        2 => (value.clone(), any::<bool>(), pattern)
            .prop_map(|(value, not, pattern)| format!("{value} {}LIKE {pattern}", if not { "NOT " } else { "" })),
        2 => (value.clone(), any::<bool>(), proptest::collection::vec(value, 1..4))
            .prop_map(|(value, not, list)| format!("{value} {}IN ({})", if not { "NOT " } else { "" }, list.join(", "))),
        1 => name.clone().prop_map(|name| format!("EXISTS {name}")),
        1 => name.prop_map(str::to_owned),
        1 => literal.prop_map(str::to_owned),
    ];
    condition.prop_recursive(4, 16, 2, |inner| {
        prop_oneof![
            3 => (inner.clone(), proptest::sample::select(vec!["AND", "OR", "XOR"]), inner.clone())
                .prop_map(|(left, operator, right)| format!("({left}) {operator} ({right})")),
            1 => inner.prop_map(|inner| format!("NOT ({inner})")),
        ]
    })
}

#[derive(Debug, Clone)]
struct AnyEvent {
    texts: Vec<(&'static str, Option<&'static str>)>,
    integer: Option<&'static str>,
    boolean: Option<&'static str>,
    data: Option<&'static str>,
}

impl AnyEvent {
    fn document(&self) -> Document<'_> {
        let texts = self.texts.iter().filter_map(|(path, value)| Some((path, (*value)?)));
        let mut document = texts.fold(Document::new(), |document, (path, value)| document.text(path, value));
        if let Some(integer) = self.integer {
            document = document.integer("/attr/hop", integer);
        }
        if let Some(boolean) = self.boolean {
            document = document.boolean("/attr/flag", boolean);
        }
        document.data(self.data.map_or(Data::Absent, |data| Data::Json(data.as_bytes())))
    }
}

fn any_event() -> impl Strategy<Value = AnyEvent> {
    let text = || {
        proptest::option::of(proptest::sample::select(vec![
            "x", "xy", "5", "05", "y", "true", "", "1.5", "TRUE",
        ]))
    };
    let integer = proptest::option::of(proptest::sample::select(vec!["5", "0", "05", "-1", "x"]));
    let boolean = proptest::option::of(proptest::sample::select(vec!["true", "false", "TRUE"]));
    let data = proptest::option::of(proptest::sample::select(vec![
        r#"{"a": "x", "l": [{"b": "x"}]}"#,
        r#"{"a": 5, "l": {"b": "5"}}"#,
        r#"{"a": true, "l": [{"c": 1}, {"b": 0}]}"#,
        r#"{"a": 1.5, "l": [{"b": "x"}, {"b": "y"}]}"#,
        r#"{"a": null}"#,
        r#"{"a": 5e0, "l": {"b": false}}"#,
        r#"{"a": ["xy"], "#,
        r#"{"a": ["xy"], "l": [[{"b": "xy"}]]}"#,
    ]));
    (text(), text(), integer, boolean, data).prop_map(|(a, b, integer, boolean, data)| AnyEvent {
        texts: vec![("/attr/a", a), ("/attr/b", b)],
        integer,
        boolean,
        data,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_filter_alone_and_among_many_passes_what_its_evaluation_says(
        expressions in proptest::collection::vec(any_expression(), 1..6),
        events in proptest::collection::vec(any_event(), 1..5),
    ) {
        let filters = expressions.iter().map(|expression| Arc::new(Filter::cesql(expression, Dialect::Extended).unwrap()));
        let matcher = Matcher::build((0u32..).zip(filters));
        let mut scratch = Scratch::new();
        for event in &events {
            let document = event.document();
            let mut out = Vec::new();
            matcher.matches(&document, &mut scratch, &mut out);
            for (id, expression) in (0u32..).zip(&expressions) {
                let evaluation = Expression::parse(expression, Dialect::Extended).unwrap().evaluate(&document);
                let expected = evaluation.passes();
                let filter = matcher.get(id).unwrap();
                prop_assert_eq!(filter.matches(&document), expected, "{} about {:?}", expression, event);
                prop_assert_eq!(out.contains(&id), expected, "{} among many about {:?}", expression, event);
                let explanation = crate::explain(filter, &document);
                prop_assert_eq!(explanation.matched, expected, "{} explained", expression);
                prop_assert_eq!(explanation.first_reason().is_none(), expected, "{}: {:?}", expression, explanation);
            }
        }
    }
}
