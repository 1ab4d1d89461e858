//! What operators and calls do with the values on the stack, whatever errors these had.

use smallvec::SmallVec;

use super::{INLINE_ARGUMENTS, Machine, Next, Slot, Stop};
use crate::cesql::function::Function;
use crate::cesql::program::{Literals, Logic};
use crate::cesql::value::{Datum, ErrorKind, Type};
use crate::limits::CESQL_WRITTEN_BYTES_MAX;

impl<'v> Machine<'v, '_, '_, '_> {
    /// `NOT` takes booleans and strings; an integer counts as FALSE, with an error.
    pub(super) fn not(&mut self, at: usize) -> Result<Slot<'v>, Stop> {
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

    /// Casts to an integer; what cannot be cast is 0. Says whether it could.
    pub(super) fn cast_integer(&mut self, at: usize, value: &Datum<'_>) -> Result<(i32, bool), Stop> {
        match value.to_integer() {
            Some(integer) => Ok((integer, true)),
            None => self.miscast(at, value, Type::Integer).map(|()| (0, false)),
        }
    }

    /// Casts to a boolean; what cannot be cast is FALSE. Says whether it could.
    pub(super) fn cast_boolean(&mut self, at: usize, value: &Datum<'_>) -> Result<(bool, bool), Stop> {
        match value.to_boolean() {
            Some(boolean) => Ok((boolean, true)),
            None => self.miscast(at, value, Type::Boolean).map(|()| (false, false)),
        }
    }

    /// Reports a failed cast.
    pub(super) fn miscast(&mut self, at: usize, value: &Datum<'_>, to: Type) -> Result<(), Stop> {
        self.fault(at, ErrorKind::Cast, || format!("{value} is not {to}"))
    }

    /// Applies an operator that takes two integers and yields a type.
    pub(super) fn integers(
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
    pub(super) fn equals(&mut self, at: usize, positive: bool) -> Result<Slot<'v>, Stop> {
        let [left, right] = self.pop_two();
        if left.failed || right.failed {
            return Ok(Slot::zero(Type::Boolean));
        }
        let (equal, good) = self.equal(at, left.value, &right.value)?;
        Ok(Slot::of(Datum::Boolean(equal == positive), !good))
    }

    /// Whether a value is equal to another one after a cast to its type, and whether the cast was possible.
    pub(super) fn equal(&mut self, at: usize, value: Datum<'v>, other: &Datum<'_>) -> Result<(bool, bool), Stop> {
        let kind = other.kind();
        if kind == Type::Integer {
            let (value, good) = self.cast_integer(at, &value)?;
            return Ok((*other == Datum::Integer(value), good));
        }
        if kind == Type::Boolean {
            let (value, good) = self.cast_boolean(at, &value)?;
            return Ok((*other == Datum::Boolean(value), good));
        }
        let Datum::Text(other) = other else {
            return Ok((false, true));
        };
        Ok((value.with_text(|text| text == other), true))
    }

    pub(super) fn xor(&mut self, at: usize) -> Result<Slot<'v>, Stop> {
        let [left, right] = self.pop_two();
        if left.failed || right.failed {
            return Ok(Slot::zero(Type::Boolean));
        }
        let (left, left_good) = self.cast_boolean(at, &left.value)?;
        let (right, right_good) = self.cast_boolean(at, &right.value)?;
        Ok(Slot::of(Datum::Boolean(left != right), !(left_good && right_good)))
    }

    /// Makes the left operand a boolean, and jumps if it decides. One with errors counts as FALSE.
    pub(super) fn decide(&mut self, at: usize, logic: Logic, to: u32) -> Next {
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
    pub(super) fn logic(&mut self, at: usize) -> Result<Slot<'v>, Stop> {
        let [left, right] = self.pop_two();
        if left.failed || right.failed {
            return Ok(Slot::zero(Type::Boolean));
        }
        let (value, good) = self.cast_boolean(at, &right.value)?;
        Ok(Slot::of(Datum::Boolean(value), left.miscast || !good))
    }

    pub(super) fn begin_list(&mut self, end: u32) -> Option<usize> {
        let failed = self.stack.last().is_some_and(|left| left.failed);
        self.stack.push(Slot::of(Datum::Boolean(false), failed));
        failed.then_some(end as usize)
    }

    /// Compares an element, cast to the type of the left operand.
    pub(super) fn list_item(&mut self, at: usize, end: u32) -> Next {
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

    pub(super) fn end_list(&mut self, positive: bool) -> Slot<'v> {
        let [left, equal] = self.pop_two();
        if left.failed || equal.failed {
            return Slot::zero(Type::Boolean);
        }
        let found = equal.value == Datum::Boolean(true);
        Slot::of(Datum::Boolean(found == positive), equal.miscast)
    }

    pub(super) fn is_in(&mut self, at: usize, literals: &'v Literals, positive: bool) -> Result<Slot<'v>, Stop> {
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

    pub(super) fn call(&mut self, at: usize, function: Function, count: usize) -> Result<Slot<'v>, Stop> {
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
