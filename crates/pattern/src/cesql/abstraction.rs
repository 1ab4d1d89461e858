//! What every document that passes an expression must have: the guard that many filters are indexed by.
//!
//! An expression passes only without errors, so that whatever was evaluated had its attributes, and every cast succeeded. The
//! guard takes at least what the expression takes; it is derived by running the steps over what is known of the values.

use super::like::Like;
use super::program::{Action, Logic, Program};
use super::value::{Datum, Value};
use crate::limits::{CESQL_GUARD_ALTERNATIVES_MAX, CESQL_GUARD_FIELDS_MAX, CESQL_GUARD_OPERATORS_MAX};
use crate::operator::Operator;
use crate::rules::{FieldTest, Rules};

/// What one reference must be: one of these.
#[derive(Debug, Clone)]
struct Want {
    reference: u32,
    operators: Vec<Operator>,
}

/// Alternatives of conjunctions; nothing when every document may be meant.
#[derive(Debug, Clone)]
struct Guard(Option<Vec<Vec<Want>>>);

/// What is known of a value.
#[derive(Debug)]
struct Known<'p> {
    shape: Shape<'p>,
    /// What holds if it was evaluated without an error.
    evaluated: Guard,
    /// What holds if it is TRUE.
    when_true: Guard,
    /// What holds if it is FALSE.
    when_false: Guard,
}

/// What a value comes from.
#[derive(Debug, Clone, Copy)]
enum Shape<'p> {
    Literal(&'p Value),
    Reference(u32),
    Operation,
}

impl Program {
    /// What every document that passes must have.
    pub(super) fn guard(&self) -> Rules {
        let mut stack: Vec<Known<'_>> = Vec::new();
        for step in &self.steps {
            let known = self.known_after(&step.action, &mut stack);
            stack.extend(known);
        }
        self.rules(pop(&mut stack).when_true)
    }

    fn known_after<'p>(&'p self, action: &'p Action, stack: &mut Vec<Known<'p>>) -> Option<Known<'p>> {
        Some(match action {
            Action::Decide(..) | Action::ListBegin(_) => return None,
            Action::ListItem(_) => {
                // Elements are evaluated or not; nothing follows from them.
                pop(stack);
                return None;
            }
            Action::Literal(value) => literal(value),
            Action::Value(reference) => Known::of(Shape::Reference(*reference), exists(*reference)),
            Action::Exists(reference) => self.existence(*reference),
            Action::Not => negated(pop(stack)),
            Action::Equals(positive) => {
                let (left, right) = pop_two(stack);
                let equal = self.when_equal(left.shape, right.shape);
                condition(self.and(left.evaluated, right.evaluated), equal, *positive)
            }
            Action::Logic(logic) => {
                let (left, right) = pop_two(stack);
                self.logic(*logic, left, right)
            }
            Action::Like(like, positive) => {
                let operand = pop(stack);
                condition(operand.evaluated, self.when_like(operand.shape, like), *positive)
            }
            Action::In(literals, positive) => {
                let operand = pop(stack);
                let texts = literals.values.iter().flat_map(texts_of).collect();
                condition(operand.evaluated, self.is_text(operand.shape, texts), *positive)
            }
            Action::Xor | Action::Arithmetic(_) | Action::Compare(_) => {
                let (left, right) = pop_two(stack);
                Known::of(Shape::Operation, self.and(left.evaluated, right.evaluated))
            }
            Action::Negate | Action::ListEnd(..) => Known::of(Shape::Operation, pop(stack).evaluated),
            Action::Call(_, count) => {
                let arguments = stack.split_off(stack.len() - *count as usize).into_iter();
                let evaluated = arguments.map(|argument| argument.evaluated);
                let all = evaluated.reduce(|left, right| self.and(left, right));
                Known::of(Shape::Operation, all.unwrap_or(Guard::ALWAYS))
            }
            Action::NoFunction => Known::of(Shape::Operation, Guard::never()),
        })
    }

    /// The required attributes exist in every event, whatever the document has.
    fn existence<'p>(&self, reference: u32) -> Known<'p> {
        Known {
            when_true: match self.references[reference as usize].required {
                true => Guard::ALWAYS,
                false => exists(reference),
            },
            ..Known::of(Shape::Operation, Guard::ALWAYS)
        }
    }

    /// The right operand is evaluated if the left one does not decide.
    fn logic<'p>(&self, logic: Logic, left: Known<'p>, right: Known<'p>) -> Known<'p> {
        let (when_true, when_false) = match logic {
            Logic::And => (
                self.and(left.when_true, right.when_true),
                or(left.when_false, right.when_false),
            ),
            Logic::Or => (
                or(left.when_true, right.when_true),
                self.and(left.when_false, right.when_false),
            ),
        };
        Known {
            shape: Shape::Operation,
            evaluated: left.evaluated,
            when_true,
            when_false,
        }
    }

    /// What holds if two values are equal, the left one cast to the type of the right one.
    fn when_equal(&self, left: Shape<'_>, right: Shape<'_>) -> Guard {
        match (left, right) {
            (Shape::Reference(_), Shape::Literal(Value::String(text))) => self.is_text(left, vec![text.clone()]),
            // Cast to the type of the reference, which is known with the document only.
            (Shape::Literal(value), Shape::Reference(_)) => self.is_text(right, texts_of(value)),
            _ => Guard::ALWAYS,
        }
    }

    fn when_like(&self, operand: Shape<'_>, like: &Like) -> Guard {
        let (head, tail) = (like.literal_head(), like.literal_tail());
        if like.is_literal() {
            return self.is_text(operand, vec![head]);
        }
        let Shape::Reference(reference) = operand else {
            return Guard::ALWAYS;
        };
        // Numbers and booleans of data are matched by their texts as well, which the index does not do.
        match (
            self.references[reference as usize].attribute,
            head.is_empty(),
            tail.is_empty(),
        ) {
            (true, false, _) => want(reference, vec![Operator::Prefix(head.into_bytes().into())]),
            (true, true, false) => want(reference, vec![Operator::Suffix(tail.into_bytes().into())]),
            _ => Guard::ALWAYS,
        }
    }

    /// What holds if a value is, as a text, one of these.
    fn is_text(&self, value: Shape<'_>, mut texts: Vec<String>) -> Guard {
        let Shape::Reference(reference) = value else {
            return Guard::ALWAYS;
        };
        let attribute = self.references[reference as usize].attribute;
        if !attribute && !texts.iter().all(|text| is_only_text(text)) {
            return Guard::ALWAYS;
        }
        texts.sort_unstable();
        texts.dedup();
        let operators = texts.into_iter().map(|text| Operator::Text(text.into_bytes().into()));
        want(reference, operators.collect())
    }

    /// What holds if both hold: all combinations, or the better one if there are too many.
    fn and(&self, left: Guard, right: Guard) -> Guard {
        let (left, right) = match (left.0, right.0) {
            (Some(left), Some(right)) => (left, right),
            (left, right) => return Guard(left.or(right)),
        };
        if let [wants] = &right[..]
            && left
                .iter()
                .all(|known| wants.iter().all(|want| is_implied(want, known)))
        {
            return Guard(Some(left));
        }
        if self.are_few(&left, &right) {
            let pairs = left.iter().flat_map(|one| right.iter().map(move |other| (one, other)));
            return Guard(Some(pairs.map(|(one, other)| conjunction(one, other)).collect()));
        }
        Guard(Some(if cost(&left) <= cost(&right) { left } else { right }))
    }

    /// Whether the combinations stay small. Two paths into data may lie in different elements of an array, which the fields of one
    /// alternative may not.
    fn are_few(&self, left: &[Vec<Want>], right: &[Vec<Want>]) -> bool {
        let of_all = |count: fn(&Want) -> usize, alternatives: &[Vec<Want>]| {
            alternatives.iter().flatten().map(count).sum::<usize>()
        };
        let operators = |alternatives: &[Vec<Want>]| of_all(|want| want.operators.len(), alternatives);
        let longest = |alternatives: &[Vec<Want>]| alternatives.iter().map(Vec::len).max().unwrap_or(0);
        let has_data = |alternatives: &[Vec<Want>]| {
            let mut wants = alternatives.iter().flatten();
            wants.any(|want| !self.references[want.reference as usize].attribute)
        };
        left.len() * right.len() <= CESQL_GUARD_ALTERNATIVES_MAX
            && longest(left) + longest(right) <= CESQL_GUARD_FIELDS_MAX
            && operators(left) * right.len() + operators(right) * left.len() <= CESQL_GUARD_OPERATORS_MAX
            && !(has_data(left) && has_data(right))
    }

    fn rules(&self, guard: Guard) -> Rules {
        let Some(alternatives) = guard.0 else {
            return Rules::always();
        };
        let mut rules = Rules::never();
        for wants in alternatives {
            let index = |count: usize| u32::try_from(count).expect("the steps of an expression are bounded");
            let first = index(rules.tests.len());
            rules.tests.extend(wants.into_iter().map(|want| {
                let path = self.references[want.reference as usize].path.clone();
                FieldTest::new(path, want.operators)
            }));
            rules.alternatives.push((first..index(rules.tests.len())).collect());
        }
        rules
    }
}

impl<'p> Known<'p> {
    /// A value of which only what it took to evaluate it is known.
    fn of(shape: Shape<'p>, evaluated: Guard) -> Self {
        Self {
            shape,
            when_true: evaluated.clone(),
            when_false: evaluated.clone(),
            evaluated,
        }
    }
}

impl Guard {
    const ALWAYS: Guard = Guard(None);

    fn never() -> Self {
        Guard(Some(Vec::new()))
    }
}

fn pop<'p>(stack: &mut Vec<Known<'p>>) -> Known<'p> {
    stack.pop().expect("every step finds the values that it takes")
}

fn pop_two<'p>(stack: &mut Vec<Known<'p>>) -> (Known<'p>, Known<'p>) {
    let right = pop(stack);
    (pop(stack), right)
}

fn literal(value: &Value) -> Known<'_> {
    let unless = |wanted: bool| match *value == Value::Boolean(wanted) {
        true => Guard::never(),
        false => Guard::ALWAYS,
    };
    Known {
        when_true: unless(false),
        when_false: unless(true),
        ..Known::of(Shape::Literal(value), Guard::ALWAYS)
    }
}

fn negated(operand: Known<'_>) -> Known<'_> {
    Known {
        shape: Shape::Operation,
        evaluated: operand.evaluated,
        when_true: operand.when_false,
        when_false: operand.when_true,
    }
}

/// A condition, or its negation, and what holds if it is satisfied.
fn condition<'p>(evaluated: Guard, satisfied: Guard, positive: bool) -> Known<'p> {
    let satisfied = if satisfied.0.is_some() {
        satisfied
    } else {
        evaluated.clone()
    };
    let known = Known {
        when_true: satisfied,
        ..Known::of(Shape::Operation, evaluated)
    };
    if positive { known } else { negated(known) }
}

fn exists(reference: u32) -> Guard {
    want(reference, vec![Operator::Exists])
}

fn want(reference: u32, operators: Vec<Operator>) -> Guard {
    Guard(Some(vec![vec![Want { reference, operators }]]))
}

/// Whether a conjunction says already that the wanted attribute is there.
fn is_implied(want: &Want, known: &[Want]) -> bool {
    let same = |known: &Want| known.reference == want.reference;
    matches!(want.operators[..], [Operator::Exists]) && known.iter().any(same)
}

/// Both conjunctions in one.
fn conjunction(one: &[Want], other: &[Want]) -> Vec<Want> {
    let more = other.iter().filter(|want| !is_implied(want, one));
    one.iter().chain(more).cloned().collect()
}

/// What holds if one of two holds.
fn or(left: Guard, right: Guard) -> Guard {
    let (Some(mut left), Some(right)) = (left.0, right.0) else {
        return Guard::ALWAYS;
    };
    for mut alternative in right {
        // Tests of one field become one test, so that x = 'a' OR x = 'b' is as good as a list.
        if let (Some([known]), [want]) = (left.last_mut().map(Vec::as_mut_slice), &mut alternative[..])
            && known.reference == want.reference
        {
            known.operators.append(&mut want.operators);
        } else {
            left.push(alternative);
        }
    }
    Guard(Some(left))
}

/// How little a guard keeps out, roughly: its weakest alternative by its strongest test.
fn cost(alternatives: &[Vec<Want>]) -> usize {
    let of_want = |want: &Want| match want.operators.first() {
        Some(Operator::Text(_)) => want.operators.len().min(30),
        Some(Operator::Exists) | None => 100,
        _ => 50,
    };
    let of_alternative = |wants: &Vec<Want>| wants.iter().map(of_want).min().unwrap_or(100);
    alternatives.iter().map(of_alternative).max().unwrap_or(0)
}

/// The texts of everything that a literal is equal to, after a cast to whatever type.
fn texts_of(value: &Value) -> Vec<String> {
    let datum = Datum::from(value);
    let integer = datum.to_integer().map(|integer| integer.to_string());
    let boolean = datum.to_boolean().map(|boolean| boolean.to_string());
    let text = datum.into_text().into_owned();
    [integer, boolean].into_iter().flatten().chain([text]).collect()
}

/// Whether a text is not the text of a number or a boolean.
fn is_only_text(text: &str) -> bool {
    let number = text.starts_with(|first: char| first.is_ascii_digit() || first == '-');
    !number && !matches!(text, "true" | "false")
}
