//! Takes the steps of an expression over a document: always a value, and what errors there were.
//!
//! A filter stops at the first error, because what has errors does not pass; nothing is put into words then. Nothing is allocated
//! but the texts that functions write: those of `CONCAT` and `CONCAT_WS`, of `LOWER` and `UPPER` where a character changes, and an
//! integer that a function takes for a text; the words of a function's own error; and the room for more than eight values at once.

use smallvec::SmallVec;

use super::explain::shown_part;
use super::program::{Action, Arithmetic, Program, Step, function_name};
use super::value::{Datum, Error, ErrorKind, Type, Value};
use crate::paths::Place;
use crate::rules::Found;

mod access;
mod operators;

/// Values that the stack holds without allocating.
const INLINE_VALUES: usize = 8;

/// Arguments that a call takes without allocating.
const INLINE_ARGUMENTS: usize = 4;

/// The evaluation is over because of an error.
#[derive(Debug)]
pub(super) struct Stop;

/// Who hears of errors and values.
pub(super) enum Listener<'l> {
    /// Nobody: the first error ends the evaluation.
    Nobody,
    /// Every error.
    Errors(&'l mut Vec<Error>),
    /// For each step that was taken and completed a value, the value and the step's own errors.
    Steps(&'l mut [Option<Seen>]),
}

/// What one step came to.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// As far as it can be shown.
    pub(super) value: Option<Value>,
    pub(super) failed: bool,
    pub(super) errors: Vec<Error>,
}

/// A value on the stack.
#[derive(Debug)]
pub(super) struct Slot<'v> {
    pub(super) value: Datum<'v>,
    /// Whether there was an error on the way to it, so that an operator on it has the zero value.
    pub(super) failed: bool,
    /// Whether a cast on the way failed that only the operator at work knows of.
    miscast: bool,
}

impl<'v> Slot<'v> {
    fn good(value: Datum<'v>) -> Self {
        Self::of(value, false)
    }

    fn zero(kind: Type) -> Self {
        Self::of(kind.zero(), true)
    }

    fn of(value: Datum<'v>, failed: bool) -> Self {
        Self {
            value,
            failed,
            miscast: false,
        }
    }
}

/// Evaluates a program. `places` are what [`Program::ask`] answered.
pub(super) fn run<'v>(
    program: &'v Program,
    found: Found<'v, '_>,
    places: &[Place],
    listener: Listener<'_>,
) -> Result<Slot<'v>, Stop> {
    let mut machine = Machine {
        program,
        found,
        places,
        stack: SmallVec::new(),
        written: 0,
        listener,
    };
    let mut at = 0;
    while let Some(step) = program.steps.get(at) {
        let next = machine.take(at, step)?;
        machine.tell(at, step, next);
        at = next.unwrap_or(at + 1);
    }
    Ok(machine.pop())
}

struct Machine<'v, 'd, 'p, 'l> {
    program: &'v Program,
    found: Found<'v, 'd>,
    places: &'p [Place],
    stack: SmallVec<[Slot<'v>; INLINE_VALUES]>,
    /// Bytes of the texts that functions have worked on.
    written: usize,
    listener: Listener<'l>,
}

/// The step that follows, if it is not the next.
type Next = Result<Option<usize>, Stop>;

impl<'v> Machine<'v, '_, '_, '_> {
    fn take(&mut self, at: usize, step: &'v Step) -> Next {
        let slot = match &step.action {
            Action::Literal(value) => Slot::good(value.into()),
            Action::Value(reference) => self.value_of(at, *reference)?,
            Action::Exists(reference) => {
                let wanted = &self.program.references[*reference as usize];
                let exists = wanted.required || self.look_up(*reference).is_some();
                Slot::good(Datum::Boolean(exists))
            }
            Action::Not => self.not(at)?,
            Action::Negate => {
                let operand = self.pop();
                let operands = [Slot::good(Datum::Integer(0)), operand];
                self.integers(at, Type::Integer, operands, |[zero, value]| {
                    Arithmetic::Subtract.apply(zero, value).map(Datum::Integer)
                })?
            }
            Action::Arithmetic(arithmetic) => {
                let operands = self.pop_two();
                self.integers(at, Type::Integer, operands, |[left, right]| {
                    arithmetic.apply(left, right).map(Datum::Integer)
                })?
            }
            Action::Compare(comparison) => {
                let operands = self.pop_two();
                self.integers(at, Type::Boolean, operands, |[left, right]| {
                    Ok(Datum::Boolean(comparison.apply(left, right)))
                })?
            }
            Action::Equals(positive) => self.equals(at, *positive)?,
            Action::Xor => self.xor(at)?,
            Action::Decide(logic, to) => return self.decide(at, *logic, *to),
            Action::Logic(_) => self.logic(at)?,
            Action::Like(like, positive) => {
                let operand = self.pop();
                match operand.failed {
                    true => Slot::zero(Type::Boolean),
                    false => {
                        let matched = operand.value.with_text(|text| like.matches(text));
                        Slot::good(Datum::Boolean(matched == *positive))
                    }
                }
            }
            Action::ListBegin(end) => return Ok(self.begin_list(*end)),
            Action::ListItem(end) => return self.list_item(at, *end),
            Action::ListEnd(positive, _) => self.end_list(*positive),
            Action::In(literals, positive) => self.is_in(at, literals, *positive)?,
            Action::Call(function, count) => self.call(at, *function, *count as usize)?,
            Action::NoFunction => {
                let call = self.program.text_of(step);
                let message = || format!("there is no function {} with these arguments", function_name(call));
                fault(
                    &mut self.listener,
                    self.program,
                    at,
                    ErrorKind::MissingFunction,
                    message,
                )?;
                Slot::zero(Type::Boolean)
            }
        };
        self.stack.push(slot);
        Ok(None)
    }

    fn pop(&mut self) -> Slot<'v> {
        self.stack.pop().expect("every step finds the values that it takes")
    }

    fn pop_two(&mut self) -> [Slot<'v>; 2] {
        let right = self.pop();
        [self.pop(), right]
    }

    /// Reports an error, or ends the evaluation.
    fn fault(&mut self, at: usize, kind: ErrorKind, message: impl FnOnce() -> String) -> Result<(), Stop> {
        fault(&mut self.listener, self.program, at, kind, message)
    }

    /// Tells the value that a step has completed; a left operand that decides completes its operator.
    fn tell(&mut self, at: usize, step: &Step, next: Option<usize>) {
        let Listener::Steps(steps) = &mut self.listener else {
            return;
        };
        let completed = match (&step.action, next) {
            (Action::Decide(..), Some(next)) => next - 1,
            (Action::Decide(..) | Action::ListBegin(_) | Action::ListItem(_), _) => return,
            _ => at,
        };
        if let Some(slot) = self.stack.last() {
            let seen = steps[completed].get_or_insert_default();
            seen.value = Some(match &slot.value {
                Datum::Text(text) => Value::String(shown_part(text)),
                value => value.clone().into_value(),
            });
            seen.failed = slot.failed;
        }
    }
}

/// Reports an error, or ends the evaluation.
fn fault(
    listener: &mut Listener<'_>,
    program: &Program,
    at: usize,
    kind: ErrorKind,
    message: impl FnOnce() -> String,
) -> Result<(), Stop> {
    let errors = match listener {
        Listener::Nobody => return Err(Stop),
        Listener::Errors(errors) => errors,
        Listener::Steps(steps) => &mut steps[at].get_or_insert_default().errors,
    };
    errors.push(Error {
        kind,
        message: message(),
        position: program.steps[at].from as usize,
    });
    Ok(())
}
