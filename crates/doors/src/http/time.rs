//! Times in answers: RFC 3339 in UTC, to the millisecond.

use jiff::Timestamp;

/// Milliseconds since the epoch as text; beyond the calendar, the number.
pub(super) fn text(millis: i64) -> String {
    Timestamp::from_millisecond(millis).map_or_else(|_| millis.to_string(), |time| format!("{time:.3}"))
}
