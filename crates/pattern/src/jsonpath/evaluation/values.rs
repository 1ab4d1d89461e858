//! Values inside filters: what they are, how they compare, what matches them.

use std::cmp::Ordering;
use std::io::Write;

use super::super::regexp;
use super::super::syntax::{Comparison, Extent, Literal, Pattern, Value};
use super::{Evaluation, Exhausted, Outcome};
use crate::automaton::{Automaton, Budget};
use crate::decimal;
use crate::limits::{REGEX_FOUND_AUTOMATON_BYTES_MAX, REGEX_FOUND_BYTES_MAX, REGEX_FOUND_KEPT_MAX, REGEX_FOUND_STEPS};
use crate::tape::{Kind, NodeId};

/// Bytes of text that are compared in about the time of one step.
const BYTES_PER_STEP: usize = 16;

/// A value, as comparisons see it. Counts are written into a buffer first.
#[derive(Debug, Clone, Copy)]
pub(super) enum Datum<'e> {
    Nothing,
    Text(&'e [u8]),
    Number(&'e [u8]),
    Bool(bool),
    Null,
    /// An object or an array.
    Tree(NodeId),
    Count(u64),
}

impl<'e> Evaluation<'e> {
    pub(super) fn value(&mut self, value: &'e Value, node: NodeId) -> Result<Datum<'e>, Exhausted> {
        Ok(match value {
            Value::Literal(Literal::Text(text)) => Datum::Text(text),
            Value::Literal(Literal::Number(text)) => Datum::Number(text),
            Value::Literal(Literal::Bool(value)) => Datum::Bool(*value),
            Value::Literal(Literal::Null) => Datum::Null,
            Value::Single(query) => {
                let outcome = self.outcome(query, node, |evaluation, query, start| {
                    evaluation.single(&query.segments, start).map(Outcome::Node)
                })?;
                self.datum(outcome)
            }
            Value::Length(value) => self.value(value, node).and_then(|datum| self.length(datum))?,
            Value::Count(query) => {
                let outcome = self.outcome(query, node, |evaluation, query, start| {
                    let set = evaluation.select(&query.segments, start)?;
                    let count = set.iter().fold(0u64, |count, (_, times)| count.saturating_add(*times));
                    evaluation.put_back(set);
                    Ok(Outcome::Count(count))
                })?;
                self.datum(outcome)
            }
            Value::Only(query) => {
                let outcome = self.outcome(query, node, |evaluation, query, start| {
                    let set = evaluation.select(&query.segments, start)?;
                    let only = match set[..] {
                        [(node, 1)] => Some(node),
                        _ => None,
                    };
                    evaluation.put_back(set);
                    Ok(Outcome::Node(only))
                })?;
                self.datum(outcome)
            }
        })
    }

    fn datum(&self, outcome: Outcome) -> Datum<'e> {
        match outcome {
            Outcome::Node(Some(node)) => self.datum_of(node),
            Outcome::Count(count) => Datum::Count(count),
            Outcome::Node(None) | Outcome::Any(_) => Datum::Nothing,
        }
    }

    fn datum_of(&self, node: NodeId) -> Datum<'e> {
        match self.tree.kind(node) {
            Kind::Text => Datum::Text(self.tree.text(node)),
            Kind::Number => Datum::Number(self.tree.text(node)),
            Kind::True => Datum::Bool(true),
            Kind::False => Datum::Bool(false),
            Kind::Null => Datum::Null,
            Kind::Object | Kind::Array => Datum::Tree(node),
        }
    }

    /// Characters of a text, members of an object, elements of an array.
    fn length(&mut self, datum: Datum<'e>) -> Result<Datum<'e>, Exhausted> {
        Ok(match datum {
            Datum::Text(text) => {
                self.spend((text.len() / BYTES_PER_STEP) as u64)?;
                let is_first = |byte: &&u8| **byte & 0b1100_0000 != 0b1000_0000;
                Datum::Count(text.iter().filter(is_first).count() as u64)
            }
            Datum::Tree(node) => Datum::Count(self.tree.count(node).into()),
            _ => Datum::Nothing,
        })
    }

    pub(super) fn compare(
        &mut self,
        left: Datum<'e>,
        comparison: Comparison,
        right: Datum<'e>,
    ) -> Result<bool, Exhausted> {
        if let Some(ordering) = self.order(left, right)? {
            return Ok(comparison.holds(ordering));
        }
        Ok(if self.are_equal(left, right)? {
            comparison.holds_for_equals()
        } else {
            comparison == Comparison::NotEqual
        })
    }

    /// How two texts or two numbers are ordered; nothing else is.
    fn order(&mut self, left: Datum<'e>, right: Datum<'e>) -> Result<Option<Ordering>, Exhausted> {
        let (mut of_left, mut of_right) = ([0; 20], [0; 20]);
        let (left, right) = (written(left, &mut of_left), written(right, &mut of_right));
        Ok(match (left, right) {
            (Datum::Text(left), Datum::Text(right)) => {
                self.spend((left.len().min(right.len()) / BYTES_PER_STEP) as u64)?;
                Some(left.cmp(right))
            }
            (Datum::Number(left), Datum::Number(right)) => {
                self.spend(((left.len() + right.len()) / BYTES_PER_STEP) as u64)?;
                Some(decimal::compare(left, right))
            }
            _ => None,
        })
    }

    /// Whether two values that have no order are equal.
    fn are_equal(&mut self, left: Datum<'e>, right: Datum<'e>) -> Result<bool, Exhausted> {
        Ok(match (left, right) {
            (Datum::Nothing, Datum::Nothing) | (Datum::Null, Datum::Null) => true,
            (Datum::Bool(left), Datum::Bool(right)) => left == right,
            (Datum::Tree(left), Datum::Tree(right)) => self.are_equal_trees(left, right)?,
            _ => false,
        })
    }

    fn are_equal_nodes(&mut self, left: NodeId, right: NodeId) -> Result<bool, Exhausted> {
        self.spend(1)?;
        self.compare(self.datum_of(left), Comparison::Equal, self.datum_of(right))
    }

    /// Arrays are equal element by element, objects member by member in any order. The recursion is bounded by the text's depth.
    fn are_equal_trees(&mut self, left: NodeId, right: NodeId) -> Result<bool, Exhausted> {
        let tree = self.tree;
        if tree.kind(left) != tree.kind(right) || tree.count(left) != tree.count(right) {
            return Ok(false);
        }
        if tree.kind(left) == Kind::Array {
            for (left, right) in tree.children(left).zip(tree.children(right)) {
                if !self.are_equal_nodes(left, right)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        let mut likely = tree.children(right);
        for member in tree.children(left) {
            let name = tree.name(member);
            let same = match likely.next().filter(|other| tree.name(*other) == name) {
                Some(other) => Some(other),
                None => self.member(right, name)?,
            };
            let Some(other) = same else { return Ok(false) };
            if !self.are_equal_nodes(member, other)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn matches(&mut self, text: Datum<'e>, pattern: &'e Pattern, node: NodeId) -> Result<bool, Exhausted> {
        let Datum::Text(text) = text else { return Ok(false) };
        self.spend((text.len() / BYTES_PER_STEP) as u64 + 1)?;
        let (value, extent) = match pattern {
            Pattern::Fixed(automaton) => return Ok(automaton.matches(text)),
            Pattern::Found(value, extent) => (value, *extent),
        };
        let Datum::Text(expression) = self.value(value, node)? else {
            return Ok(false);
        };
        let automaton = self.found(expression, extent)?;
        Ok(automaton.is_some_and(|automaton| automaton.matches(text)))
    }

    /// Compiles an expression that the document holds, unless it has just been.
    fn found(&mut self, expression: &[u8], extent: Extent) -> Result<Option<&Automaton>, Exhausted> {
        let is_it = |(known, of, _): &(Box<[u8]>, Extent, _)| **known == *expression && *of == extent;
        let at = match self.memory.found.iter().position(is_it) {
            Some(at) => at,
            None => {
                self.spend(REGEX_FOUND_STEPS)?;
                if self.memory.found.len() == REGEX_FOUND_KEPT_MAX {
                    self.memory.found.remove(0);
                }
                let automaton = compile_found(expression, extent);
                self.memory.found.push((expression.into(), extent, automaton));
                self.memory.found.len() - 1
            }
        };
        Ok(self.memory.found[at].2.as_ref())
    }
}

fn compile_found(expression: &[u8], extent: Extent) -> Option<Automaton> {
    let text = std::str::from_utf8(expression).ok()?;
    let mut budget = Budget {
        text_bytes: REGEX_FOUND_BYTES_MAX,
        automaton_bytes: REGEX_FOUND_AUTOMATON_BYTES_MAX,
        total_bytes: REGEX_FOUND_AUTOMATON_BYTES_MAX,
    };
    regexp::compile(text, extent, &mut budget).ok()
}

/// A count as a number's text.
fn written<'b>(datum: Datum<'b>, buffer: &'b mut [u8; 20]) -> Datum<'b> {
    let Datum::Count(count) = datum else { return datum };
    let mut rest = &mut buffer[..];
    write!(rest, "{count}").expect("20 digits hold every count");
    let left = rest.len();
    Datum::Number(&buffer[..20 - left])
}
