//! Takes the steps of an expression over a document: always a value, and what errors there were.
//!
//! A filter stops at the first error, because what has errors does not pass; nothing is put into words then, and the usual
//! expressions allocate nothing.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::function::Function;
use super::program::{Action, Arithmetic, Literals, Logic, Program, Reference, Step, function_name};
use super::value::{Datum, Error, ErrorKind, Type};
use crate::document::Content;
use crate::fields::Value;
use crate::limits::CESQL_WRITTEN_BYTES_MAX;
use crate::paths::Place;
use crate::rules::Found;

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
    pub(super) value: Option<super::Value>,
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
                    false => Slot::good(Datum::Boolean(like.matches(&operand.value.into_text()) == *positive)),
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
            seen.value = Some(slot.value.clone().into_value());
            seen.failed = slot.failed;
        }
    }

    fn value_of(&mut self, at: usize, reference: u32) -> Result<Slot<'v>, Stop> {
        if let Some(value) = self.look_up(reference) {
            return Ok(Slot::good(value));
        }
        let wanted = &self.program.references[reference as usize];
        self.fault(at, ErrorKind::MissingAttribute, || match wanted.attribute {
            true => format!("the event has no attribute {}", wanted.path.written),
            false => format!("the data has no single value at {}", wanted.path.written),
        })?;
        Ok(Slot::zero(Type::Boolean))
    }

    /// The value of a reference, if the document has it.
    fn look_up(&self, reference: u32) -> Option<Datum<'v>> {
        let wanted = &self.program.references[reference as usize];
        let place = self.places[reference as usize];
        let mut values = self.found.fields.at(place).map(|field| self.found.value(field));
        let value = values.next()?;
        if wanted.attribute {
            return self.attribute(wanted, value);
        }
        match values.next() {
            None => data_value(value),
            Some(_) => None,
        }
    }

    /// An attribute is a string unless the document says its type, and then still one unless that is its canonical form.
    fn attribute(&self, reference: &Reference, value: Value<'v>) -> Option<Datum<'v>> {
        let Value::Text(text) = value else { return None };
        let text = std::str::from_utf8(text).ok()?;
        let content = self.found.document.content(reference.path.mount.as_deref()?);
        let typed = match (content, text) {
            (Some(Content::Integer(_)), text) => canonical(text).map(Datum::Integer),
            (Some(Content::Boolean(_)), "true") => Some(Datum::Boolean(true)),
            (Some(Content::Boolean(_)), "false") => Some(Datum::Boolean(false)),
            _ => None,
        };
        Some(typed.unwrap_or(Datum::Text(text.into())))
    }

    /// `NOT` takes booleans and strings; an integer counts as FALSE, with an error.
    fn not(&mut self, at: usize) -> Result<Slot<'v>, Stop> {
        let operand = self.pop();
        if operand.failed {
            return Ok(Slot::zero(Type::Boolean));
        }
        let integer = operand.value.kind() == Type::Integer;
        let boolean = operand.value.to_boolean().filter(|_| !integer);
        if boolean.is_none() {
            self.miscast(at, &operand.value, Type::Boolean)?;
        }
        Ok(Slot::of(
            Datum::Boolean(!boolean.unwrap_or_default()),
            boolean.is_none(),
        ))
    }

    /// Reports a failed cast.
    fn miscast(&mut self, at: usize, value: &Datum<'_>, to: Type) -> Result<(), Stop> {
        self.fault(at, ErrorKind::Cast, || format!("{value} is not {to}"))
    }

    /// Casts to an integer; what cannot be cast is 0. Says whether it could.
    fn cast_integer(&mut self, at: usize, value: &Datum<'_>) -> Result<(i32, bool), Stop> {
        match value.to_integer() {
            Some(integer) => Ok((integer, true)),
            None => self.miscast(at, value, Type::Integer).map(|()| (0, false)),
        }
    }

    /// Casts to a boolean; what cannot be cast is FALSE. Says whether it could.
    fn cast_boolean(&mut self, at: usize, value: &Datum<'_>) -> Result<(bool, bool), Stop> {
        match value.to_boolean() {
            Some(boolean) => Ok((boolean, true)),
            None => self.miscast(at, value, Type::Boolean).map(|()| (false, false)),
        }
    }

    /// Applies an operator that takes two integers and yields a type.
    fn integers(
        &mut self,
        at: usize,
        yields: Type,
        [left, right]: [Slot<'v>; 2],
        apply: impl FnOnce([i32; 2]) -> Result<Datum<'v>, &'static str>,
    ) -> Result<Slot<'v>, Stop> {
        if left.failed || right.failed {
            return Ok(Slot::zero(yields));
        }
        let (left, left_good) = self.cast_integer(at, &left.value)?;
        let (right, right_good) = self.cast_integer(at, &right.value)?;
        match apply([left, right]) {
            Ok(value) => Ok(Slot::of(value, !(left_good && right_good))),
            Err(reason) => {
                self.fault(at, ErrorKind::Math, || reason.into())?;
                Ok(Slot::zero(yields))
            }
        }
    }

    /// Compares after casting the left operand to the type of the right one.
    fn equals(&mut self, at: usize, positive: bool) -> Result<Slot<'v>, Stop> {
        let [left, right] = self.pop_two();
        if left.failed || right.failed {
            return Ok(Slot::zero(Type::Boolean));
        }
        let (equal, good) = self.equal(at, left.value, &right.value)?;
        Ok(Slot::of(Datum::Boolean(equal == positive), !good))
    }

    /// Whether a value is equal to another one after a cast to its type, and whether the cast was possible.
    fn equal(&mut self, at: usize, value: Datum<'v>, other: &Datum<'_>) -> Result<(bool, bool), Stop> {
        let kind = other.kind();
        if kind == Type::Integer {
            let (value, good) = self.cast_integer(at, &value)?;
            return Ok((*other == Datum::Integer(value), good));
        }
        if kind == Type::Boolean {
            let (value, good) = self.cast_boolean(at, &value)?;
            return Ok((*other == Datum::Boolean(value), good));
        }
        Ok((Datum::Text(value.into_text()) == *other, true))
    }

    fn xor(&mut self, at: usize) -> Result<Slot<'v>, Stop> {
        let [left, right] = self.pop_two();
        if left.failed || right.failed {
            return Ok(Slot::zero(Type::Boolean));
        }
        let (left, left_good) = self.cast_boolean(at, &left.value)?;
        let (right, right_good) = self.cast_boolean(at, &right.value)?;
        Ok(Slot::of(Datum::Boolean(left != right), !(left_good && right_good)))
    }

    /// Makes the left operand a boolean, and jumps if it decides. One with errors counts as FALSE.
    fn decide(&mut self, at: usize, logic: Logic, to: u32) -> Next {
        let left = self.pop();
        let (value, good) = match left.failed {
            true => (false, true),
            false => self.cast_boolean(at, &left.value)?,
        };
        let decides = value == logic.decided_by();
        self.stack.push(Slot {
            value: Datum::Boolean(value),
            failed: left.failed || (decides && !good),
            miscast: !good,
        });
        Ok(decides.then_some(to as usize))
    }

    /// The left operand has not decided, so the right one does.
    fn logic(&mut self, at: usize) -> Result<Slot<'v>, Stop> {
        let [left, right] = self.pop_two();
        if left.failed || right.failed {
            return Ok(Slot::zero(Type::Boolean));
        }
        let (value, good) = self.cast_boolean(at, &right.value)?;
        Ok(Slot::of(Datum::Boolean(value), left.miscast || !good))
    }

    fn begin_list(&mut self, end: u32) -> Option<usize> {
        let failed = self.stack.last().is_some_and(|left| left.failed);
        self.stack.push(Slot::of(Datum::Boolean(false), failed));
        failed.then_some(end as usize)
    }

    /// Compares an element, cast to the type of the left operand.
    fn list_item(&mut self, at: usize, end: u32) -> Next {
        let item = self.pop();
        let mut equal = self.pop();
        if item.failed {
            equal.failed = true;
        } else {
            let left = self.pop();
            let (found, good) = self.equal(at, item.value, &left.value)?;
            equal.value = Datum::Boolean(found);
            equal.miscast |= !good;
            self.stack.push(left);
        }
        let done = equal.value == Datum::Boolean(true);
        self.stack.push(equal);
        Ok(done.then_some(end as usize))
    }

    fn end_list(&mut self, positive: bool) -> Slot<'v> {
        let [left, equal] = self.pop_two();
        if left.failed || equal.failed {
            return Slot::zero(Type::Boolean);
        }
        let found = equal.value == Datum::Boolean(true);
        Slot::of(Datum::Boolean(found == positive), equal.miscast)
    }

    fn is_in(&mut self, at: usize, literals: &'v Literals, positive: bool) -> Result<Slot<'v>, Stop> {
        let left = self.pop();
        if left.failed {
            return Ok(Slot::zero(Type::Boolean));
        }
        if let Datum::Text(text) = &left.value {
            return Ok(Slot::good(Datum::Boolean(literals.hold(text) == positive)));
        }
        let (mut found, mut good) = (false, true);
        for value in &literals.values {
            let (equal, castable) = self.equal(at, value.into(), &left.value)?;
            good &= castable;
            found = equal;
            if equal {
                break;
            }
        }
        Ok(Slot::of(Datum::Boolean(found == positive), !good))
    }

    fn call(&mut self, at: usize, function: Function, count: usize) -> Result<Slot<'v>, Stop> {
        let slots = self.stack.drain(self.stack.len() - count..);
        let mut failed = false;
        let mut arguments: SmallVec<[Datum<'v>; INLINE_ARGUMENTS]> = slots
            .map(|slot| {
                failed |= slot.failed;
                slot.value
            })
            .collect();
        if failed {
            return Ok(Slot::zero(function.yields()));
        }
        let mut good = true;
        for (index, argument) in arguments.iter_mut().enumerate() {
            let Some(kind) = function.takes(index) else { continue };
            let value = std::mem::replace(argument, Datum::Boolean(false));
            if kind == Type::Integer {
                let (integer, castable) = self.cast_integer(at, &value)?;
                good &= castable;
                *argument = Datum::Integer(integer);
            } else {
                *argument = Datum::Text(value.into_text());
            }
        }
        self.written = self.written.saturating_add(cost(function, &arguments));
        if self.written > CESQL_WRITTEN_BYTES_MAX {
            let message = || format!("functions work on at most {CESQL_WRITTEN_BYTES_MAX} bytes");
            self.fault(at, ErrorKind::FunctionEvaluation, message)?;
            return Ok(Slot::zero(function.yields()));
        }
        let (value, error) = function.call(&mut arguments);
        good &= error.is_none();
        if let Some((kind, message)) = error {
            self.fault(at, kind, || message)?;
        }
        Ok(Slot::of(value, !good))
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

/// Bytes of the texts that a call works on.
fn cost(function: Function, arguments: &[Datum<'_>]) -> usize {
    let length = |argument: &Datum<'_>| match argument {
        Datum::Text(text) => text.len(),
        _ => 0,
    };
    let total: usize = arguments.iter().map(length).sum();
    match function {
        Function::ConcatWs => total.saturating_add(length(&arguments[0]).saturating_mul(arguments.len())),
        _ => total,
    }
}

/// A value of the data.
fn data_value(value: Value<'_>) -> Option<Datum<'_>> {
    match value {
        Value::Text(text) => Some(Datum::Text(Cow::Borrowed(std::str::from_utf8(text).ok()?))),
        Value::True => Some(Datum::Boolean(true)),
        Value::False => Some(Datum::Boolean(false)),
        Value::Null => None,
        Value::Number(text, number) => Some(match number.and_then(as_integer) {
            Some(integer) => Datum::Integer(integer),
            None => Datum::Text(Cow::Borrowed(std::str::from_utf8(text).ok()?)),
        }),
    }
}

/// The integer that a number is.
fn as_integer(number: f64) -> Option<i32> {
    let whole = number.fract() == 0.0 && number >= f64::from(i32::MIN) && number <= f64::from(i32::MAX);
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
    whole.then_some(number as i32)
}

/// The integer that a text is the canonical form of.
fn canonical(text: &str) -> Option<i32> {
    let integer: i32 = text.parse().ok()?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = !text.starts_with('+') && (!digits.starts_with('0') || text == "0");
    canonical.then_some(integer)
}
