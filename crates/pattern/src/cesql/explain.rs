//! Why an expression does not pass: the value and the errors of each sub-expression, as clauses.

use super::evaluate::{Listener, Seen, run};
use super::program::{Action, Logic, Program, Step};
use super::value::{Datum, Value};
use crate::explain::{Clause, ClauseKind, cut};
use crate::limits::{CESQL_EXPLAINED_DEPTH_MAX, EXPLAINED_CHARACTERS_MAX};
use crate::paths::Place;
use crate::rules::Found;

/// A clause on the way to its operator.
struct Built {
    clause: Clause,
    depth: usize,
    /// The operator whose operands its clauses are.
    chain: Option<Logic>,
    /// What its value is as a condition.
    truth: bool,
    /// A literal says nothing beside the text of an operation that it stands in.
    literal: bool,
}

impl Program {
    /// The tree of the expression with what each part came to.
    pub(crate) fn explain(&self, found: Found<'_, '_>, places: &[Place]) -> Clause {
        let mut seen: Vec<Option<Seen>> = vec![None; self.steps.len()];
        // Who listens to every step is never stopped.
        let passed = run(self, found, places, Listener::Steps(&mut seen))
            .is_ok_and(|slot| !slot.failed && slot.value == Datum::Boolean(true));
        let mut stack: Vec<Built> = Vec::new();
        // Errors of steps that complete no value, for the operator that they are part of.
        let mut waiting: Vec<Vec<String>> = Vec::new();
        for (step, seen) in self.steps.iter().zip(seen) {
            let own = seen.iter().flat_map(|seen| &seen.errors).map(ToString::to_string);
            match &step.action {
                Action::Decide(..) | Action::ListBegin(_) => waiting.push(own.collect()),
                Action::ListItem(_) => waiting.last_mut().expect("a list has begun").extend(own),
                action => {
                    let mut errors = match action {
                        Action::Logic(_) | Action::ListEnd(..) => waiting.pop().expect("its beginning precedes"),
                        _ => Vec::new(),
                    };
                    errors.extend(own);
                    let operands = stack.split_off(stack.len() - operands(action));
                    stack.push(self.build(step, seen.as_ref(), errors, operands));
                }
            }
        }
        let mut root = stack.pop().expect("an expression has a value").clause;
        root.matched = passed;
        root
    }

    fn build(&self, step: &Step, seen: Option<&Seen>, errors: Vec<String>, operands: Vec<Built>) -> Built {
        let chain = match step.action {
            Action::Logic(logic) => Some(logic),
            _ => None,
        };
        let kind = kind(&step.action);
        let mut depth = 0;
        let mut clauses = Vec::new();
        for mut built in operands {
            if kind != ClauseKind::Expression {
                built.clause.matched &= built.truth;
            }
            // a AND b AND c is one clause of three.
            let joins = chain.is_some() && built.chain == chain && clauses.is_empty() && built.clause.errors.is_empty();
            depth = depth.max(built.depth + usize::from(!joins));
            if joins {
                clauses = built.clause.clauses;
            } else if !built.literal || kind != ClauseKind::Expression {
                clauses.push(built.clause);
            }
        }
        let mut clause = Clause::of(kind, matched(seen), clauses);
        if depth > CESQL_EXPLAINED_DEPTH_MAX {
            clause.clauses.clear();
            clause.note = Some("deeper parts are not shown".into());
        }
        clause.path = Some(cut(shown_part(self.text_of(step))));
        clause.errors = errors;
        match seen {
            Some(seen) => clause.seen = seen.value.iter().map(|value| cut(value.to_string())).collect(),
            None => clause.note = Some("not evaluated".into()),
        }
        Built {
            clause,
            depth,
            chain,
            truth: seen
                .and_then(|seen| Datum::from(seen.value.as_ref()?).to_boolean())
                .unwrap_or_default(),
            literal: matches!(step.action, Action::Literal(_)),
        }
    }
}

/// The part of a text that can be shown, and a character more.
pub(super) fn shown_part(text: &str) -> String {
    text.chars().take(EXPLAINED_CHARACTERS_MAX + 1).collect()
}

fn kind(action: &Action) -> ClauseKind {
    match action {
        Action::Logic(Logic::And) => ClauseKind::All,
        Action::Logic(Logic::Or) => ClauseKind::Any,
        Action::Not => ClauseKind::Not,
        _ => ClauseKind::Expression,
    }
}

/// How many values a step takes from the clauses so far.
fn operands(action: &Action) -> usize {
    match action {
        Action::Literal(_) | Action::Value(_) | Action::Exists(_) | Action::NoFunction => 0,
        Action::Not | Action::Negate | Action::Like(..) | Action::In(..) => 1,
        Action::Call(_, count) => *count as usize,
        Action::ListEnd(_, count) => 1 + *count as usize,
        _ => 2,
    }
}

/// A condition matches if it is true, anything else if it has a value without errors.
fn matched(seen: Option<&Seen>) -> bool {
    seen.is_some_and(|seen| !seen.failed && !matches!(seen.value, Some(Value::Boolean(false)) | None))
}
