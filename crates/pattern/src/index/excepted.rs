//! What the filters except that are registered under any value of a place: of most values it can be told at once that they are
//! nobody's exception, so that each of those filters need not be asked for its own.

use super::Route;
use crate::few::Ends;
use crate::fields::Value;
use crate::keys::{self, Kind};
use crate::operator::Exceptions;

/// Exceptions of a place, by what a value must have to be one.
#[derive(Debug, Clone, Default)]
pub(super) struct Excepted {
    /// Sorted by kind and length.
    routes: Vec<Route>,
}

impl Excepted {
    /// One more filter has these. They stay until nobody is registered under any value.
    pub(super) fn insert(&mut self, exceptions: &Exceptions) {
        keys::keys_of_exceptions(exceptions, &mut |key| {
            Route::among(&mut self.routes, key.kind, key.length()).insert(key.bytes);
        });
    }

    /// Whether a value is surely nobody's exception.
    #[inline]
    pub(super) fn spare(&self, value: Value<'_>) -> bool {
        match value {
            Value::Text(text) => {
                let ends = Ends::of(text);
                !self.routes.iter().any(|route| route.may_have(ends))
            }
            Value::Number(_, Some(number)) => {
                let ends = Ends::of(&keys::bits(number));
                let mut routes = self.routes.iter().filter(|route| route.kind == Kind::Number);
                !routes.any(|route| route.may_have(ends))
            }
            Value::Number(_, None) | Value::True | Value::False | Value::Null => true,
        }
    }

    /// Bytes on the heap.
    pub(super) fn memory(&self) -> usize {
        self.routes.capacity() * size_of::<Route>()
    }
}
