//! What an expression sees of a document: attributes with their types, and scalars of the data.

use std::borrow::Cow;

use super::{Machine, Slot, Stop};
use crate::cesql::program::Reference;
use crate::cesql::value::{Datum, ErrorKind, Type};
use crate::document::Content;
use crate::fields::Value;

impl<'v> Machine<'v, '_, '_, '_> {
    pub(super) fn value_of(&mut self, at: usize, reference: u32) -> Result<Slot<'v>, Stop> {
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
    pub(super) fn look_up(&self, reference: u32) -> Option<Datum<'v>> {
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
