//! What the filters except that are registered under any value of a place: of most values it can be told at once that they are
//! nobody's exception, so that each of those filters need not be asked for its own.

use crate::few::{Ends, Part};
use crate::fields::Kind;
use crate::keys::{self, Key};
use crate::operator::Exceptions;
use crate::paths::Place;
use crate::rules::Found;

/// Exceptions that a value is compared with at most.
const EXCEPTIONS_MAX: usize = 16;

/// Exceptions of a place.
#[derive(Debug, Clone, Default)]
pub(super) struct Excepted {
    exceptions: Vec<Exception>,
    /// There are others as well.
    are_more: bool,
    /// How many tests have any.
    tests: usize,
}

/// What a value must have to be an exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Exception {
    part: Part,
    word: u64,
    lengths: Lengths,
    is_number: bool,
}

/// How long a value must be that has it to be one for sure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lengths {
    Just(usize),
    AtLeast(usize),
    /// It cannot be told.
    Untold,
}

/// Whose exceptions the values at a place are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// One of them is nobody's.
    Nobodys,
    /// Each is one of the only test that has any.
    Only,
    /// It takes asking.
    Perhaps,
}

impl Excepted {
    /// One more test has these. They stay until nobody is registered under any value.
    pub(super) fn insert(&mut self, exceptions: &Exceptions) {
        self.tests += 1;
        keys::keys_of_exceptions(exceptions, &mut |key| match Exception::of(&key) {
            Some(exception) if self.exceptions.contains(&exception) => {}
            Some(exception) if self.exceptions.len() < EXCEPTIONS_MAX => self.exceptions.push(exception),
            _ => self.are_more = true,
        });
    }

    /// Whose exceptions the values at a place are that has some.
    pub(super) fn tell(&self, found: &Found<'_, '_>, place: Place) -> Told {
        let mut told = Told::Only;
        for field in found.fields.at(place) {
            let of_value = match field.kind() {
                Kind::Text => self.tell_value(found.ends(field), field.len(), false),
                Kind::Number(Some(number)) => self.tell_value(Ends::of(&keys::bits(number)), size_of::<f64>(), true),
                Kind::Number(None) | Kind::True | Kind::False | Kind::Null => Told::Nobodys,
            };
            match of_value {
                Told::Nobodys => return Told::Nobodys,
                Told::Only => {}
                Told::Perhaps => told = Told::Perhaps,
            }
        }
        told
    }

    #[inline]
    fn tell_value(&self, ends: Ends, length: usize, is_number: bool) -> Told {
        let mut told = if self.are_more { Told::Perhaps } else { Told::Nobodys };
        for exception in &self.exceptions {
            match exception.part.word(ends) {
                _ if exception.is_number != is_number => {}
                Some(word) if word != exception.word => {}
                Some(_) if self.tests == 1 && exception.lengths.have(length) => return Told::Only,
                _ => told = Told::Perhaps,
            }
        }
        told
    }

    /// Bytes on the heap.
    pub(super) fn memory(&self) -> usize {
        self.exceptions.capacity() * size_of::<Exception>()
    }
}

impl Exception {
    /// None if it is not told by a few bytes.
    fn of(key: &Key<'_>) -> Option<Self> {
        let part = Part::of(key.kind, key.length())?;
        let length = key.bytes.len();
        let lengths = match key.kind {
            _ if !key.settles || length > size_of::<u64>() => Lengths::Untold,
            keys::Kind::Head | keys::Kind::Tail => Lengths::AtLeast(length),
            keys::Kind::Text | keys::Kind::Folded | keys::Kind::Number => Lengths::Just(length),
            _ => Lengths::Untold,
        };
        Some(Self {
            part,
            word: part.word(Ends::of(key.bytes))?,
            lengths,
            is_number: key.kind == keys::Kind::Number,
        })
    }
}

impl Lengths {
    #[inline]
    fn have(self, length: usize) -> bool {
        match self {
            Lengths::Just(just) => length == just,
            Lengths::AtLeast(least) => length >= least,
            Lengths::Untold => false,
        }
    }
}
