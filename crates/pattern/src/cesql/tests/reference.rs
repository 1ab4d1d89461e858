//! The slow, obvious evaluation: a tree, recursion, owned values, and every rule as the specification words it.

use proptest::prelude::*;

use crate::cesql::{ErrorKind, Expression, Value};
use crate::document::Document;
use crate::filter::Dialect;

#[derive(Debug, Clone)]
enum Node {
    Literal(Value),
    Attribute(&'static str),
    Exists(&'static str),
    Not(Box<Node>),
    Negate(Box<Node>),
    Binary(&'static str, Box<[Node; 2]>),
    In(bool, Box<Node>, Vec<Node>),
    Call(&'static str, Vec<Node>),
}

/// A value, whether there was an error on the way to it, and all errors.
type Outcome = (Value, bool, Vec<ErrorKind>);

/// The attributes of the event.
fn attribute(name: &str) -> Option<Value> {
    match name {
        "text" => Some(Value::String("abc".into())),
        "digits" => Some(Value::String("-12".into())),
        "truth" => Some(Value::String("True".into())),
        "hop" => Some(Value::Integer(5)),
        "flag" => Some(Value::Boolean(true)),
        _ => None,
    }
}

fn document() -> Document<'static> {
    let document = Document::new().text("/attr/text", "abc").text("/attr/digits", "-12");
    document
        .text("/attr/truth", "True")
        .integer("/attr/hop", "5")
        .boolean("/attr/flag", "true")
}

fn string(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Integer(integer) => integer.to_string(),
        Value::Boolean(boolean) => boolean.to_string(),
    }
}

/// A cast, or the error and what stands for the value.
fn integer(value: &Value, errors: &mut Vec<ErrorKind>) -> i32 {
    let cast = match value {
        Value::String(text) => text.parse().ok(),
        Value::Integer(integer) => Some(*integer),
        Value::Boolean(boolean) => Some(i32::from(*boolean)),
    };
    cast.unwrap_or_else(|| {
        errors.push(ErrorKind::Cast);
        0
    })
}

fn boolean(value: &Value, errors: &mut Vec<ErrorKind>) -> bool {
    let cast = match value {
        Value::String(text) => text.to_lowercase().parse().ok(),
        Value::Integer(integer) => Some(*integer != 0),
        Value::Boolean(boolean) => Some(*boolean),
    };
    cast.unwrap_or_else(|| {
        errors.push(ErrorKind::Cast);
        false
    })
}

/// Whether two values are equal, the first cast to the type of the second.
fn equal(value: &Value, other: &Value, errors: &mut Vec<ErrorKind>) -> bool {
    match other {
        Value::String(text) => string(value) == *text,
        Value::Integer(wanted) => integer(value, errors) == *wanted,
        Value::Boolean(wanted) => boolean(value, errors) == *wanted,
    }
}

impl Node {
    fn written(&self) -> String {
        let list = |nodes: &[Node]| nodes.iter().map(Node::written).collect::<Vec<_>>().join(", ");
        match self {
            Node::Literal(value) => value.to_string(),
            Node::Attribute(name) => (*name).to_owned(),
            Node::Exists(name) => format!("EXISTS {name}"),
            Node::Not(node) => format!("NOT ({})", node.written()),
            Node::Negate(node) => format!("-({})", node.written()),
            Node::Binary(operator, nodes) => format!("({}) {operator} ({})", nodes[0].written(), nodes[1].written()),
            Node::In(true, node, nodes) => format!("({}) IN ({})", node.written(), list(nodes)),
            Node::In(false, node, nodes) => format!("({}) NOT IN ({})", node.written(), list(nodes)),
            Node::Call(name, nodes) => format!("{name}({})", list(nodes)),
        }
    }

    fn evaluate(&self) -> Outcome {
        let no = Value::Boolean(false);
        match self {
            Node::Literal(value) => (value.clone(), false, Vec::new()),
            Node::Attribute(name) => match attribute(name) {
                Some(value) => (value, false, Vec::new()),
                None => (no, true, vec![ErrorKind::MissingAttribute]),
            },
            Node::Exists(name) => (Value::Boolean(attribute(name).is_some()), false, Vec::new()),
            Node::Not(node) => {
                let (value, failed, mut errors) = node.evaluate();
                if failed {
                    return (no, true, errors);
                }
                let before = errors.len();
                let negated = match value {
                    Value::Integer(_) => {
                        errors.push(ErrorKind::Cast);
                        true
                    }
                    value => !boolean(&value, &mut errors),
                };
                (Value::Boolean(negated), errors.len() > before, errors)
            }
            Node::Negate(node) => {
                let zero = Node::Literal(Value::Integer(0));
                Node::Binary("-", Box::new([zero, (**node).clone()])).evaluate()
            }
            Node::Binary(operator @ ("AND" | "OR"), nodes) => logic(operator, nodes),
            Node::Binary(operator, nodes) => binary(operator, nodes),
            Node::In(positive, node, nodes) => is_in(*positive, node, nodes),
            Node::Call(name, nodes) => call(name, nodes),
        }
    }
}

fn logic(operator: &str, [left, right]: &[Node; 2]) -> Outcome {
    let (value, failed, mut errors) = left.evaluate();
    let decides = operator == "OR";
    let before = errors.len();
    let left = !failed && boolean(&value, &mut errors);
    let miscast = errors.len() > before;
    if left == decides {
        return (Value::Boolean(left), failed || miscast, errors);
    }
    let (value, right_failed, more) = right.evaluate();
    errors.extend(more);
    if failed || right_failed {
        return (Value::Boolean(false), true, errors);
    }
    let before = errors.len();
    let right = boolean(&value, &mut errors);
    let failed = miscast || errors.len() > before;
    (Value::Boolean(right), failed, errors)
}

fn binary(operator: &str, [left, right]: &[Node; 2]) -> Outcome {
    let ((left, left_failed, mut errors), (right, right_failed, more)) = (left.evaluate(), right.evaluate());
    errors.extend(more);
    let arithmetic = matches!(operator, "+" | "-" | "*" | "/" | "%");
    if left_failed || right_failed {
        let zero = if arithmetic {
            Value::Integer(0)
        } else {
            Value::Boolean(false)
        };
        return (zero, true, errors);
    }
    let before = errors.len();
    let value = match operator {
        "=" => Value::Boolean(equal(&left, &right, &mut errors)),
        "!=" => Value::Boolean(!equal(&left, &right, &mut errors)),
        "XOR" => Value::Boolean(boolean(&left, &mut errors) != boolean(&right, &mut errors)),
        "<" => Value::Boolean(integer(&left, &mut errors) < integer(&right, &mut errors)),
        ">=" => Value::Boolean(integer(&left, &mut errors) >= integer(&right, &mut errors)),
        _ => {
            let (left, right) = (
                i64::from(integer(&left, &mut errors)),
                i64::from(integer(&right, &mut errors)),
            );
            let exact = match operator {
                "+" => Some(left + right),
                "-" => Some(left - right),
                "*" => Some(left * right),
                "/" => left.checked_div(right),
                _ => left.checked_rem(right),
            };
            let result = exact.and_then(|exact| i32::try_from(exact).ok());
            if result.is_none() {
                errors.push(ErrorKind::Math);
            }
            Value::Integer(result.unwrap_or(0))
        }
    };
    let failed = errors.len() > before;
    (value, failed, errors)
}

fn is_in(positive: bool, node: &Node, nodes: &[Node]) -> Outcome {
    let (left, failed, mut errors) = node.evaluate();
    if failed {
        return (Value::Boolean(false), true, errors);
    }
    let (mut found, mut item_failed, mut miscast) = (false, false, false);
    for node in nodes {
        let (item, failed, more) = node.evaluate();
        errors.extend(more);
        item_failed |= failed;
        if !failed {
            let before = errors.len();
            found = equal(&item, &left, &mut errors);
            miscast |= errors.len() > before;
        }
        if found {
            break;
        }
    }
    let value = if item_failed { false } else { found == positive };
    (Value::Boolean(value), item_failed || miscast, errors)
}

fn call(name: &str, nodes: &[Node]) -> Outcome {
    let outcomes: Vec<Outcome> = nodes.iter().map(Node::evaluate).collect();
    let mut errors: Vec<ErrorKind> = outcomes.iter().flat_map(|(.., errors)| errors.clone()).collect();
    let failed = outcomes.iter().any(|(_, failed, _)| *failed);
    let values: Vec<Value> = outcomes.into_iter().map(|(value, ..)| value).collect();
    if failed {
        let zero = match name {
            "LENGTH" | "ABS" | "INT" => Value::Integer(0),
            "BOOL" => Value::Boolean(false),
            _ => Value::String(String::new()),
        };
        return (zero, true, errors);
    }
    let before = errors.len();
    let value = match name {
        "LENGTH" => Value::Integer(i32::try_from(string(&values[0]).chars().count()).unwrap()),
        "UPPER" => Value::String(string(&values[0]).to_uppercase()),
        "CONCAT" => Value::String(values.iter().map(string).collect()),
        "INT" => Value::Integer(integer(&values[0], &mut errors)),
        "BOOL" => Value::Boolean(boolean(&values[0], &mut errors)),
        "STRING" => Value::String(string(&values[0])),
        "ABS" => Value::Integer(match integer(&values[0], &mut errors) {
            i32::MIN => {
                errors.push(ErrorKind::Math);
                i32::MAX
            }
            value => value.abs(),
        }),
        "LEFT" => {
            let text = string(&values[0]);
            match integer(&values[1], &mut errors) {
                count @ 0.. => Value::String(text.chars().take(count.unsigned_abs() as usize).collect()),
                _ => {
                    errors.push(ErrorKind::FunctionEvaluation);
                    Value::String(text)
                }
            }
        }
        _ => unreachable!("only these are generated"),
    };
    let failed = errors.len() > before;
    (value, failed, errors)
}

fn any_node() -> impl Strategy<Value = Node> {
    let literal = prop_oneof![
        proptest::sample::select(vec!["abc", "5", "-12", "TRUE", "false", "", "x"])
            .prop_map(|text| Value::String(text.into())),
        proptest::sample::select(vec![0, 1, 2, 3, 5, -12, i32::MAX, i32::MIN]).prop_map(Value::Integer),
        any::<bool>().prop_map(Value::Boolean),
    ];
    let name = || proptest::sample::select(vec!["text", "digits", "truth", "hop", "flag", "missing"]);
    let leaf = prop_oneof![
        4 => literal.prop_map(Node::Literal),
        4 => name().prop_map(Node::Attribute),
        1 => name().prop_map(Node::Exists),
    ];
    leaf.prop_recursive(5, 32, 4, |inner| {
        let operators = vec!["AND", "OR", "XOR", "=", "!=", "<", ">=", "+", "-", "*", "/", "%"];
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            1 => inner.clone().prop_map(|node| Node::Not(Box::new(node))),
            1 => inner.clone().prop_map(|node| Node::Negate(Box::new(node))),
            8 => (proptest::sample::select(operators), pair.clone())
                .prop_map(|(operator, (left, right))| Node::Binary(operator, Box::new([left, right]))),
            2 => (any::<bool>(), inner.clone(), proptest::collection::vec(inner.clone(), 1..4))
                .prop_map(|(positive, node, nodes)| Node::In(positive, Box::new(node), nodes)),
            2 => (proptest::sample::select(vec!["LENGTH", "UPPER", "INT", "BOOL", "STRING", "ABS"]), inner.clone())
                .prop_map(|(name, node)| Node::Call(name, vec![node])),
            1 => pair.prop_map(|(text, count)| Node::Call("LEFT", vec![text, count])),
            1 => proptest::collection::vec(inner, 0..4).prop_map(|nodes| Node::Call("CONCAT", nodes)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn values_and_errors_are_those_of_the_obvious_evaluation(node in any_node()) {
        let written = node.written();
        let evaluation = Expression::parse(&written, Dialect::Standard).unwrap().evaluate(&document());
        let (value, _, errors) = node.evaluate();
        let kinds: Vec<ErrorKind> = evaluation.errors.iter().map(|error| error.kind).collect();
        prop_assert_eq!((&evaluation.value, kinds), (&value, errors), "{}", written);
    }
}
