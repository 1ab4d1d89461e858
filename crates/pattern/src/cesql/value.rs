//! Values, their casts, and the errors that an evaluation collects.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// A value of one of the three types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A sequence of Unicode characters.
    String(String),
    /// A 32-bit integer.
    Integer(i32),
    /// TRUE or FALSE.
    Boolean(bool),
}

/// What an expression is written as; a string in single quotes.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Datum::from(self).fmt(f)
    }
}

/// What kind of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The expression is not one.
    Parse,
    /// A division by zero, or a result that 32 bits do not hold.
    Math,
    /// A value that cannot be cast to the type that is needed.
    Cast,
    /// An attribute that the event does not have.
    MissingAttribute,
    /// A function that there is not, with that many arguments.
    MissingFunction,
    /// A function that its arguments do not suit.
    FunctionEvaluation,
    /// Any other error.
    Generic,
}

impl ErrorKind {
    /// The name that the language's conformance suite has for it.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::Parse => "parse",
            ErrorKind::Math => "math",
            ErrorKind::Cast => "cast",
            ErrorKind::MissingAttribute => "missingAttribute",
            ErrorKind::MissingFunction => "missingFunction",
            ErrorKind::FunctionEvaluation => "functionEvaluation",
            ErrorKind::Generic => "generic",
        }
    }
}

/// An error of an evaluation, which has a value nevertheless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Its kind.
    pub kind: ErrorKind,
    /// What is wrong, in words.
    pub message: String,
    /// The byte of the expression at which the operation begins.
    pub position: usize,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (byte {})", self.message, self.position)
    }
}

impl std::error::Error for Error {}

/// A value while evaluating: borrowed from the event or the expression where it can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Datum<'v> {
    Text(Cow<'v, str>),
    Integer(i32),
    Boolean(bool),
}

/// One of the three types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Integer,
    Boolean,
}

impl Type {
    /// The value that stands for none.
    pub(super) fn zero(self) -> Datum<'static> {
        match self {
            Type::Text => Datum::Text("".into()),
            Type::Integer => Datum::Integer(0),
            Type::Boolean => Datum::Boolean(false),
        }
    }
}

impl<'v> Datum<'v> {
    pub(super) fn kind(&self) -> Type {
        match self {
            Datum::Text(_) => Type::Text,
            Datum::Integer(_) => Type::Integer,
            Datum::Boolean(_) => Type::Boolean,
        }
    }

    /// Asks about the value as a string, which is always possible, without making one.
    pub(super) fn with_text<T>(&self, ask: impl FnOnce(&str) -> T) -> T {
        match self {
            Datum::Text(text) => ask(text),
            Datum::Integer(integer) => {
                let mut written = Digits::default();
                write!(written, "{integer}").expect("an integer has no more digits");
                ask(written.as_str())
            }
            Datum::Boolean(true) => ask("true"),
            Datum::Boolean(false) => ask("false"),
        }
    }

    /// The value as a string: always possible.
    pub(super) fn into_text(self) -> Cow<'v, str> {
        match self {
            Datum::Text(text) => text,
            Datum::Integer(integer) => integer.to_string().into(),
            Datum::Boolean(true) => "true".into(),
            Datum::Boolean(false) => "false".into(),
        }
    }

    /// The value as an integer, if it is one in any way.
    pub(super) fn to_integer(&self) -> Option<i32> {
        match self {
            Datum::Text(text) => text.parse().ok(),
            Datum::Integer(integer) => Some(*integer),
            Datum::Boolean(boolean) => Some(i32::from(*boolean)),
        }
    }

    /// The value as a boolean, if it is one in any way.
    pub(super) fn to_boolean(&self) -> Option<bool> {
        match self {
            Datum::Text(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Datum::Text(text) if text.eq_ignore_ascii_case("false") => Some(false),
            Datum::Text(_) => None,
            Datum::Integer(integer) => Some(*integer != 0),
            Datum::Boolean(boolean) => Some(*boolean),
        }
    }

    pub(super) fn into_value(self) -> Value {
        match self {
            Datum::Text(text) => Value::String(text.into_owned()),
            Datum::Integer(integer) => Value::Integer(integer),
            Datum::Boolean(boolean) => Value::Boolean(boolean),
        }
    }
}

/// Bytes of the longest integer.
const INTEGER_BYTES_MAX: usize = "-2147483648".len();

/// An integer written out.
#[derive(Default)]
struct Digits {
    bytes: [u8; INTEGER_BYTES_MAX],
    length: usize,
}

impl Digits {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).expect("only texts are written")
    }
}

impl fmt::Write for Digits {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let room = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

impl<'v> From<&'v Value> for Datum<'v> {
    fn from(value: &'v Value) -> Self {
        match value {
            Value::String(text) => Datum::Text(text.into()),
            Value::Integer(integer) => Datum::Integer(*integer),
            Value::Boolean(boolean) => Datum::Boolean(*boolean),
        }
    }
}

impl fmt::Display for Datum<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Datum::Text(text) => write!(f, "'{}'", text.replace('\'', "\\'")),
            Datum::Integer(integer) => integer.fmt(f),
            Datum::Boolean(true) => f.write_str("TRUE"),
            Datum::Boolean(false) => f.write_str("FALSE"),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Text => "a string",
            Type::Integer => "an integer",
            Type::Boolean => "a boolean",
        })
    }
}
