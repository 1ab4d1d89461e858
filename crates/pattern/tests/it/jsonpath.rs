//! Random JSONPath queries against a slow, obvious evaluation: lists of references into a tree.

use pattern::{Data, Document, Filter, Scratch, explain};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::agreement::cases;

#[derive(Debug, Clone)]
struct Segment {
    descendants: bool,
    selectors: Vec<Selector>,
}

#[derive(Debug, Clone)]
enum Selector {
    Name(&'static str),
    Wildcard,
    Index(i64),
    Slice(Option<i64>, Option<i64>, i64),
    Filter(Box<Logical>),
}

#[derive(Debug, Clone)]
enum Logical {
    Exists(char, Vec<Segment>),
    Not(Box<Logical>),
    And(Box<Logical>, Box<Logical>),
    Or(Box<Logical>, Box<Logical>),
    Compare(Operand, &'static str, Operand),
}

#[derive(Debug, Clone)]
enum Operand {
    Literal(Value),
    /// Names and indexes from `@` or `$`.
    Single(char, Vec<Selector>),
    Count(char, Vec<Segment>),
    Length(Box<Operand>),
}

const NAMES: [&str; 3] = ["a", "b", "é"];
const SIGNS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];

fn origin() -> impl Strategy<Value = char> {
    prop_oneof![3 => Just('@'), 1 => Just('$')]
}

fn step() -> impl Strategy<Value = Selector> {
    prop_oneof![
        select(&NAMES[..]).prop_map(Selector::Name),
        (-2i64..3).prop_map(Selector::Index)
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    select(vec![
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(1.5),
        json!(-1),
        json!(""),
        json!("a"),
        json!("é"),
    ])
}

fn operand(segments: impl Strategy<Value = Vec<Segment>> + Clone + 'static) -> impl Strategy<Value = Operand> {
    let flat = prop_oneof![
        2 => scalar().prop_map(Operand::Literal),
        3 => (origin(), vec(step(), 0..3)).prop_map(|(origin, steps)| Operand::Single(origin, steps)),
        1 => (origin(), segments).prop_map(|(origin, segments)| Operand::Count(origin, segments)),
    ];
    flat.prop_recursive(1, 2, 1, |inner| {
        inner.prop_map(|operand| Operand::Length(Box::new(operand)))
    })
}

fn segments() -> BoxedStrategy<Vec<Segment>> {
    let flat = || {
        prop_oneof![
            4 => select(&NAMES[..]).prop_map(Selector::Name),
            2 => Just(Selector::Wildcard),
            2 => (-3i64..4).prop_map(Selector::Index),
            1 => (prop::option::of(-4i64..5), prop::option::of(-4i64..5), -2i64..3).prop_map(|(start, end, step)| Selector::Slice(start, end, step)),
        ]
    };
    let of = |selector: BoxedStrategy<Selector>| {
        vec(
            (prop::bool::weighted(0.25), vec(selector, 1..3))
                .prop_map(|(descendants, selectors)| Segment { descendants, selectors }),
            0..4,
        )
        .boxed()
    };
    let plain = of(flat().boxed());
    let filter = |segments: BoxedStrategy<Vec<Segment>>| {
        let compare = (operand(segments.clone()), select(&SIGNS[..]), operand(segments.clone()));
        let atom = prop_oneof![
            (origin(), segments).prop_map(|(origin, segments)| Logical::Exists(origin, segments)),
            compare.prop_map(|(left, sign, right)| Logical::Compare(left, sign, right)),
        ];
        atom.prop_recursive(2, 4, 2, |inner| {
            prop_oneof![
                inner.clone().prop_map(|term| Logical::Not(Box::new(term))),
                (inner.clone(), inner.clone()).prop_map(|(left, right)| Logical::And(Box::new(left), Box::new(right))),
                (inner.clone(), inner).prop_map(|(left, right)| Logical::Or(Box::new(left), Box::new(right))),
            ]
        })
    };
    let once = of(
        prop_oneof![3 => flat(), 2 => filter(plain).prop_map(|logical| Selector::Filter(Box::new(logical)))].boxed(),
    );
    of(prop_oneof![3 => flat(), 2 => filter(once).prop_map(|logical| Selector::Filter(Box::new(logical)))].boxed())
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec((select(&NAMES[..]), inner), 0..4).prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

fn write_segments(segments: &[Segment]) -> String {
    let write = |segment: &Segment| {
        let selectors: Vec<String> = segment.selectors.iter().map(write_selector).collect();
        format!(
            "{}[{}]",
            if segment.descendants { ".." } else { "" },
            selectors.join(",")
        )
    };
    segments.iter().map(write).collect()
}

fn write_selector(selector: &Selector) -> String {
    let end = |end: &Option<i64>| end.map(|end| end.to_string()).unwrap_or_default();
    match selector {
        Selector::Name(name) => format!("'{name}'"),
        Selector::Wildcard => "*".into(),
        Selector::Index(index) => index.to_string(),
        Selector::Slice(start, stop, step) => format!("{}:{}:{step}", end(start), end(stop)),
        Selector::Filter(logical) => format!("?{}", write_logical(logical)),
    }
}

fn write_logical(logical: &Logical) -> String {
    match logical {
        Logical::Exists(origin, segments) => format!("{origin}{}", write_segments(segments)),
        Logical::Not(term) => format!("!({})", write_logical(term)),
        Logical::And(left, right) => format!("({}) && ({})", write_logical(left), write_logical(right)),
        Logical::Or(left, right) => format!("({}) || ({})", write_logical(left), write_logical(right)),
        Logical::Compare(left, sign, right) => format!("{} {sign} {}", write_operand(left), write_operand(right)),
    }
}

fn write_operand(operand: &Operand) -> String {
    match operand {
        Operand::Literal(value) => value.to_string(),
        Operand::Single(origin, steps) => {
            let steps: String = steps.iter().map(|step| format!("[{}]", write_selector(step))).collect();
            format!("{origin}{steps}")
        }
        Operand::Count(origin, segments) => format!("count({origin}{})", write_segments(segments)),
        Operand::Length(operand) => format!("length({})", write_operand(operand)),
    }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(members) => members.values().collect(),
        _ => Vec::new(),
    }
}

fn with_descendants<'v>(value: &'v Value, into: &mut Vec<&'v Value>) {
    into.push(value);
    children(value)
        .into_iter()
        .for_each(|child| with_descendants(child, into));
}

fn query<'v>(segments: &[Segment], start: &'v Value, root: &'v Value) -> Vec<&'v Value> {
    segments.iter().fold(vec![start], |nodes, segment| {
        let mut visited = Vec::new();
        for node in nodes {
            match segment.descendants {
                true => with_descendants(node, &mut visited),
                false => visited.push(node),
            }
        }
        let of = |node: &&'v Value| -> Vec<&'v Value> {
            segment
                .selectors
                .iter()
                .flat_map(|selector| selected(selector, node, root))
                .collect()
        };
        visited.iter().flat_map(of).collect()
    })
}

fn selected<'v>(selector: &Selector, node: &'v Value, root: &'v Value) -> Vec<&'v Value> {
    let at = |index: i64| {
        let items = node.as_array()?;
        let index = if index < 0 {
            index + i64::try_from(items.len()).expect("small arrays")
        } else {
            index
        };
        items.get(usize::try_from(index).ok()?)
    };
    match selector {
        Selector::Name(name) => node
            .as_object()
            .and_then(|members| members.get(*name))
            .into_iter()
            .collect(),
        Selector::Wildcard => children(node),
        Selector::Index(index) => at(*index).into_iter().collect(),
        Selector::Slice(start, end, step) => {
            let length = node
                .as_array()
                .map_or(0, |items| i64::try_from(items.len()).expect("small arrays"));
            let place = |index: i64| if index < 0 { index + length } else { index };
            let (mut index, end) = match step.signum() {
                1 => (start.map_or(0, place).max(0), end.map_or(length, place).min(length)),
                -1 => (
                    start.map_or(length - 1, place).min(length - 1),
                    end.map_or(-1, place).max(-1),
                ),
                _ => return Vec::new(),
            };
            let mut nodes = Vec::new();
            while (*step > 0 && index < end) || (*step < 0 && index > end) {
                nodes.extend(at(index));
                index += step;
            }
            nodes
        }
        Selector::Filter(logical) => children(node)
            .into_iter()
            .filter(|child| holds(logical, child, root))
            .collect(),
    }
}

fn from<'v>(origin: char, current: &'v Value, root: &'v Value) -> &'v Value {
    if origin == '@' { current } else { root }
}

fn holds(logical: &Logical, current: &Value, root: &Value) -> bool {
    match logical {
        Logical::Exists(origin, segments) => !query(segments, from(*origin, current, root), root).is_empty(),
        Logical::Not(term) => !holds(term, current, root),
        Logical::And(left, right) => holds(left, current, root) && holds(right, current, root),
        Logical::Or(left, right) => holds(left, current, root) || holds(right, current, root),
        Logical::Compare(left, sign, right) => {
            let (left, right) = (operand_value(left, current, root), operand_value(right, current, root));
            let (equal, less, greater) = (equal(&left, &right), less(&left, &right), less(&right, &left));
            match *sign {
                "==" => equal,
                "!=" => !equal,
                "<" => less,
                "<=" => less || equal,
                ">" => greater,
                _ => greater || equal,
            }
        }
    }
}

fn operand_value(operand: &Operand, current: &Value, root: &Value) -> Option<Value> {
    match operand {
        Operand::Literal(value) => Some(value.clone()),
        Operand::Single(origin, steps) => {
            let start = Some(from(*origin, current, root));
            let last = steps
                .iter()
                .fold(start, |node, step| selected(step, node?, root).first().copied());
            last.cloned()
        }
        Operand::Count(origin, segments) => Some(json!(query(segments, from(*origin, current, root), root).len())),
        Operand::Length(operand) => match operand_value(operand, current, root)? {
            Value::String(text) => Some(json!(text.chars().count())),
            Value::Array(items) => Some(json!(items.len())),
            Value::Object(members) => Some(json!(members.len())),
            _ => None,
        },
    }
}

fn equal(left: &Option<Value>, right: &Option<Value>) -> bool {
    let number = |value: &Value| value.as_f64();
    match (left, right) {
        (Some(Value::Array(left)), Some(Value::Array(right))) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| equal(&Some(left.clone()), &Some(right.clone())))
        }
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(name, value)| equal(&Some(value.clone()), &right.get(name).cloned()))
        }
        (Some(left), Some(right)) if left.is_number() && right.is_number() => number(left) == number(right),
        (left, right) => left == right,
    }
}

fn less(left: &Option<Value>, right: &Option<Value>) -> bool {
    match (left, right) {
        (Some(Value::String(left)), Some(Value::String(right))) => left < right,
        (Some(left), Some(right)) => {
            matches!((left.as_f64(), right.as_f64()), (Some(left), Some(right)) if left < right)
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn a_query_agrees_with_the_obvious_evaluation(segments in segments(), values in vec(value(), 1..6)) {
        let text = format!("${}", write_segments(&segments));
        let filter = Filter::jsonpath(&text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        let mut scratch = Scratch::new();
        for value in &values {
            let expected = !query(&segments, value, value).is_empty();
            let written = value.to_string();
            let document = Document::new().data(Data::Json(written.as_bytes()));
            prop_assert_eq!(filter.matches_with(&document, &mut scratch), expected, "{} {}", text, written);
            prop_assert_eq!(explain(&filter, &document).matched, expected);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(query in r#"\$[\[\].*?@$!&|=<>()'"\\ua0-1:,\-e ]{0,30}"#, value in value()) {
        let written = value.to_string();
        let document = Document::new().data(Data::Json(written.as_bytes()));
        match Filter::jsonpath(&query) {
            Ok(filter) => prop_assert_eq!(filter.matches(&document), explain(&filter, &document).matched),
            Err(error) => prop_assert!(error.position <= query.len()),
        }
    }
}
