//! The CloudEvents SQL expression language, version 1.0: whole, total, and without a stack that an expression can overflow.
//!
//! An expression is compiled into a list of steps over a stack of values, so that neither compiling nor evaluating recurses.
//! Every evaluation has a value and a list of errors; as a filter an expression takes what makes it TRUE without any error.
//!
//! Where the specification leaves a choice, this is what is done here:
//!
//! - `AND`, `OR` and `XOR` bind alike and from the left, as the text of the specification says.
//! - An operator or function of which an operand had an error has the zero value of its own type. An operand that cannot be cast
//!   counts as what the cast yields (0 or FALSE), beside its error.
//! - `NOT` takes no integer, as the conformance suite has it; every other operator casts integers to booleans.
//! - A sum, difference, product, quotient or negation that 32 bits do not hold is 0, with an error.
//! - `IN` stops at the first element that is equal.
//! - Characters are Unicode code points.
//!
//! With [`Dialect::Extended`](crate::Dialect::Extended) `data.order.total` sees into JSON data: strings, booleans, numbers that are
//! 32-bit integers by value, and other numbers as their text. Null, objects, arrays of several values and what is not there are
//! missing.

mod abstraction;
mod evaluate;
mod explain;
mod expression;
mod function;
mod keyword;
mod like;
mod parse;
mod program;
mod refusal;
mod token;
mod value;

pub use expression::{Evaluation, Expression};
pub use value::{Error, ErrorKind, Value};

pub(crate) use expression::part;
pub(crate) use program::Program;

#[cfg(test)]
mod tests;
