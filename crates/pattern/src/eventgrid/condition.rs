//! The operators of advanced filters and their values.

use std::cmp::Ordering;
use std::fmt;

use super::Compiler;
use super::text::Text;
use crate::check::Check;
use crate::decimal;
use crate::error::CompileError;
use crate::fields::Value;
use crate::filter::Part;
use crate::fold::Folded;
use crate::number::comparable;
use crate::operator::{Bound, Bounds, Operator};
use crate::paths::Path;
use crate::rules::{FieldTest, Rules};
use crate::tape::{Kind, NodeId, Tree};

/// The operators there are.
pub(super) const OPERATORS: [&str; 19] = [
    "NumberIn",
    "NumberNotIn",
    "NumberLessThan",
    "NumberGreaterThan",
    "NumberLessThanOrEquals",
    "NumberGreaterThanOrEquals",
    "NumberInRange",
    "NumberNotInRange",
    "BoolEquals",
    "StringContains",
    "StringNotContains",
    "StringBeginsWith",
    "StringNotBeginsWith",
    "StringEndsWith",
    "StringNotEndsWith",
    "StringIn",
    "StringNotIn",
    "IsNullOrUndefined",
    "IsNotNull",
];

/// An operator with its values.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    /// As Azure writes it.
    name: &'static str,
    /// What one of is wanted.
    wanted: Wanted,
    /// Whether none of the values must pass.
    negated: bool,
    /// Whether it passes when there is no value at all.
    absent: bool,
}

/// What a value may be.
#[derive(Debug, Clone)]
enum Wanted {
    Null,
    Texts(Box<[Operator]>),
    Bool(bool),
    Numbers(Box<[Range]>),
}

/// A range of numbers, by what JSON writes.
#[derive(Debug, Clone)]
struct Range {
    low: Option<End>,
    high: Option<End>,
}

#[derive(Debug, Clone)]
struct End {
    number: Box<str>,
    inclusive: bool,
}

impl Condition {
    /// Reads the values that an operator takes.
    pub(super) fn read(
        compiler: &mut Compiler<'_>,
        name: &str,
        filter: &Text<'_>,
        values: Option<&Text<'_>>,
    ) -> Result<Self, CompileError> {
        let known = OPERATORS.iter().find(|known| known.eq_ignore_ascii_case(name));
        let name = *known.expect("the caller has looked it up");
        let condition = |wanted, negated, absent| Self {
            name,
            wanted,
            negated,
            absent,
        };
        match name {
            "IsNullOrUndefined" => return Ok(condition(Wanted::Null, false, true)),
            "IsNotNull" => return Ok(condition(Wanted::Null, true, false)),
            _ => {}
        }
        let values = values.ok_or_else(|| filter.invalid(format!("{name} has no values")))?;
        let negated = name.contains("Not");
        let absent = matches!(name, "NumberNotIn" | "StringNotIn");
        let wanted = if name == "BoolEquals" {
            let value = only(values)?;
            compiler.count(&value)?;
            if value.is_string() {
                return Err(CompileError {
                    suggestion: Some("write the value without quotation marks".into()),
                    ..value.invalid("BoolEquals takes true or false")
                });
            }
            Wanted::Bool(value.boolean()?)
        } else if name.starts_with("Number") {
            Wanted::Numbers(numbers(compiler, name, values)?)
        } else {
            Wanted::Texts(texts(compiler, name, values)?)
        };
        Ok(condition(wanted, negated, absent))
    }

    /// What a value in the data must pass for the condition to hold, if there must be one.
    pub(super) fn guard(&self) -> Option<Vec<Operator>> {
        let of_range = |range: &Range| {
            let exactly = range
                .exactly()
                .and_then(|number| Some((number, comparable(number.as_bytes())?)));
            match exactly {
                Some((number, value)) => Operator::Number(number.as_bytes().into(), Some(value)),
                // Numbers that one index cannot compare have a value as well.
                None => Operator::Exists,
            }
        };
        match &self.wanted {
            _ if self.negated || self.absent => None,
            Wanted::Null => None,
            Wanted::Texts(operators) => Some(operators.to_vec()),
            Wanted::Bool(true) => Some(vec![Operator::True]),
            Wanted::Bool(false) => Some(vec![Operator::False]),
            Wanted::Numbers(ranges) => Some(ranges.iter().map(of_range).collect()),
        }
    }

    /// The condition on an attribute, which is a text or absent.
    pub(super) fn of_attribute(self, path: Path) -> Part {
        let field = |operator: Vec<Operator>| Rules::field(FieldTest::new(path.clone(), operator));
        let wanted = match &self.wanted {
            Wanted::Null => {
                let operator = if self.negated {
                    Operator::Exists
                } else {
                    Operator::Absent
                };
                return Part::exact(field(vec![operator]));
            }
            Wanted::Texts(operators) => field(operators.to_vec()),
            // A text is no number and no boolean: these never pass, and say so.
            Wanted::Bool(_) => field(self.guard().unwrap_or_default()),
            Wanted::Numbers(ranges) => field(ranges.iter().map(Range::operator).collect()),
        };
        if !self.negated {
            return Part::exact(wanted);
        }
        let not = Check::not(Check::Rules(wanted));
        match self.absent {
            true => Part::checked(Rules::always(), not),
            false => {
                let exists = field(vec![Operator::Exists]);
                Part::checked(exists.clone(), Check::all(vec![Check::Rules(exists), not]))
            }
        }
    }

    /// Whether it holds where there is no value.
    pub(super) fn holds_for_nothing(&self) -> bool {
        self.absent
    }

    /// Whether a node of the data passes; `on_arrays`: elements of an array count.
    pub(super) fn holds(&self, tree: Tree<'_>, node: NodeId, on_arrays: bool) -> bool {
        if matches!(self.wanted, Wanted::Null) {
            return (tree.kind(node) == Kind::Null) != self.negated;
        }
        if tree.kind(node) != Kind::Array {
            return self.accepts(tree, node) != self.negated;
        }
        on_arrays && tree.children(node).any(|element| self.accepts(tree, element)) != self.negated
    }

    /// Whether a value is one of those that the operator names.
    fn accepts(&self, tree: Tree<'_>, node: NodeId) -> bool {
        match (&self.wanted, tree.kind(node)) {
            (Wanted::Texts(operators), Kind::Text) => {
                let text = Value::Text(tree.text(node));
                operators.iter().any(|operator| operator.accepts(text))
            }
            (Wanted::Numbers(ranges), Kind::Number) => {
                let number = tree.text(node);
                ranges.iter().any(|range| range.contains(number))
            }
            (Wanted::Bool(wanted), Kind::True) => *wanted,
            (Wanted::Bool(wanted), Kind::False) => !*wanted,
            _ => false,
        }
    }
}

impl Range {
    /// The only number in it.
    fn exactly(&self) -> Option<&str> {
        match (&self.low, &self.high) {
            (Some(low), Some(high)) if low.number == high.number => Some(&low.number),
            _ => None,
        }
    }

    /// About the same, for an index and for people.
    fn operator(&self) -> Operator {
        if let Some(number) = self.exactly() {
            return Operator::Number(number.as_bytes().into(), comparable(number.as_bytes()));
        }
        let bound = |end: &End| {
            Some(Bound {
                value: end.number.parse().ok()?,
                inclusive: end.inclusive,
            })
        };
        Operator::Numeric(Bounds {
            low: self.low.as_ref().and_then(bound),
            high: self.high.as_ref().and_then(bound),
        })
    }

    fn contains(&self, number: &[u8]) -> bool {
        let compare = |end: &End| decimal::compare(number, end.number.as_bytes());
        let above = |end: &End| compare(end) == Ordering::Greater || end.inclusive && compare(end) == Ordering::Equal;
        let below = |end: &End| compare(end) == Ordering::Less || end.inclusive && compare(end) == Ordering::Equal;
        self.low.as_ref().is_none_or(above) && self.high.as_ref().is_none_or(below)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        match &self.wanted {
            Wanted::Null => Ok(()),
            Wanted::Bool(value) => write!(f, " {value}"),
            Wanted::Texts(operators) => list(f, operators),
            Wanted::Numbers(ranges) => list(f, ranges),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.exactly(), &self.low, &self.high) {
            (Some(number), ..) => f.write_str(number),
            (None, Some(low), Some(high)) => write!(f, "[{},{}]", low.number, high.number),
            (None, Some(end), None) | (None, None, Some(end)) => f.write_str(&end.number),
            (None, None, None) => Ok(()),
        }
    }
}

fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    f.write_str(" [")?;
    for (index, item) in items.iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        write!(f, "{comma}{item}")?;
    }
    f.write_str("]")
}

/// The only one of the values.
fn only<'t>(values: &Text<'t>) -> Result<Text<'t>, CompileError> {
    if !values.is_list() {
        return Ok(values.clone());
    }
    match <[Text<'t>; 1]>::try_from(values.items("values")?) {
        Ok([value]) => Ok(value),
        Err(_) => Err(values.invalid("the operator takes one value")),
    }
}

/// All of the values: a list of some, or one by itself.
fn several<'t>(compiler: &mut Compiler<'_>, values: &Text<'t>) -> Result<Vec<Text<'t>>, CompileError> {
    let values = match values.is_list() {
        true => values.items("values")?,
        false => vec![values.clone()],
    };
    values.iter().try_for_each(|value| compiler.count(value))?;
    Ok(values)
}

fn not_empty<T>(items: &[T], values: &Text<'_>) -> Result<(), CompileError> {
    match items.is_empty() {
        true => Err(values.invalid("the list of values is empty")),
        false => Ok(()),
    }
}

fn numbers(compiler: &mut Compiler<'_>, name: &str, values: &Text<'_>) -> Result<Box<[Range]>, CompileError> {
    let end = |value: &Text<'_>, inclusive| {
        value.number().map(|number| End {
            number: number.into(),
            inclusive,
        })
    };
    let one = |low: Option<End>, high: Option<End>| Ok([Range { low, high }].into());
    if let "NumberLessThan" | "NumberLessThanOrEquals" | "NumberGreaterThan" | "NumberGreaterThanOrEquals" = name {
        let value = only(values)?;
        compiler.count(&value)?;
        let bound = end(&value, name.ends_with("Equals"))?;
        return match name.starts_with("NumberLess") {
            true => one(None, Some(bound)),
            false => one(Some(bound), None),
        };
    }
    if name.ends_with("Range") {
        return ranges(compiler, values);
    }
    let values_read = several(compiler, values)?;
    not_empty(&values_read, values)?;
    let exactly = |value: &Text<'_>| {
        Ok(Range {
            low: Some(end(value, true)?),
            high: Some(end(value, true)?),
        })
    };
    values_read.iter().map(exactly).collect()
}

/// Ranges, ends included: a list of pairs, or one pair.
fn ranges(compiler: &mut Compiler<'_>, values: &Text<'_>) -> Result<Box<[Range]>, CompileError> {
    let mut pairs = values.items("a list of ranges")?;
    if pairs.iter().all(|item| !item.is_list()) && pairs.len() == 2 {
        pairs = vec![values.clone()];
    }
    not_empty(&pairs, values)?;
    let range = |pair: &Text<'_>| {
        compiler.count(pair)?;
        let Ok([low, high]) = <[Text<'_>; 2]>::try_from(pair.items("a range")?) else {
            return Err(pair.invalid("a range has two numbers"));
        };
        let (lowest, highest) = (low.number()?, high.number()?);
        if decimal::compare(lowest.as_bytes(), highest.as_bytes()) == Ordering::Greater {
            return Err(CompileError {
                suggestion: Some(format!("write [{highest}, {lowest}]")),
                ..pair.invalid("the range ends below its beginning")
            });
        }
        let end = |number: &str| {
            Some(End {
                number: number.into(),
                inclusive: true,
            })
        };
        Ok(Range {
            low: end(lowest),
            high: end(highest),
        })
    };
    pairs.iter().map(range).collect()
}

fn texts(compiler: &mut Compiler<'_>, name: &str, values: &Text<'_>) -> Result<Box<[Operator]>, CompileError> {
    let values_read = several(compiler, values)?;
    not_empty(&values_read, values)?;
    let operator = |value: &Text<'_>| {
        let text = value.string("a value of the operator")?;
        compiler.check_length(value, &text)?;
        let folded = || Folded::new(text.as_bytes());
        Ok(match name {
            "StringIn" | "StringNotIn" => Operator::Folded(folded()),
            "StringBeginsWith" | "StringNotBeginsWith" => Operator::PrefixFolded(folded()),
            "StringEndsWith" | "StringNotEndsWith" => Operator::SuffixFolded(folded()),
            _ => compiler.containing(value, &text)?,
        })
    };
    values_read.iter().map(operator).collect()
}
