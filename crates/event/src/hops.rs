//! How often an event has gone from one bus to another, so that a loop of buses ends. Destinations that lead to other buses
//! write it, one more than they found, and refuse what has come too far; whoever reads an event from a bus takes it over.

use crate::EventView;
use std::fmt;

/// The extension that counts the buses an event has left.
pub const EXTENSION: &str = "trunklinehops";
/// Buses that an event may leave: more than any sensible chain, few enough for a loop to be noticed and ended.
pub const MAX: u32 = 16;
/// What stands before the count in a protocol that has no place of its own for it.
const MARKER: &str = "trunkline:hops:";

/// The event has left too many buses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl fmt::Display for TooMany {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "the event has gone from bus to bus {MAX} times: it goes in a loop"
        )
    }
}

impl std::error::Error for TooMany {}

/// What the event carries when it leaves this bus for another one.
pub fn next(event: &EventView<'_>) -> Result<u32, TooMany> {
    let before = event.extension(EXTENSION).map_or(0, read);
    match before < MAX {
        true => Ok(before + 1),
        false => Err(TooMany),
    }
}

/// A count that cannot be read is the highest: nobody else writes it.
fn read(text: &str) -> u32 {
    text.parse().unwrap_or(MAX)
}

/// The count as a resource of an EventBridge entry, which has no other place that goes through every rule.
pub fn marker(hops: u32) -> String {
    format!("{MARKER}{hops}")
}

/// The count that stands in a resource; `None`: it is an ordinary one.
pub fn from_marker(resource: &str) -> Option<u32> {
    resource.strip_prefix(MARKER).map(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;

    fn after(hops: Option<&str>) -> Result<u32, TooMany> {
        let mut event = Event::builder("1", "/shop", "order");
        if let Some(hops) = hops {
            event = event.extension(EXTENSION, hops);
        }
        next(&event.build().expect("a good event").view())
    }

    #[test]
    fn each_bus_adds_one_until_there_are_too_many() {
        assert_eq!(
            (after(None), after(Some("1")), after(Some("15"))),
            (Ok(1), Ok(2), Ok(16))
        );
        for loops in ["16", "17", "99999999999", "-1", "many"] {
            assert_eq!(after(Some(loops)), Err(TooMany), "{loops}");
        }
    }

    #[test]
    fn a_marker_is_read_as_it_was_written() {
        assert_eq!(from_marker(&marker(7)), Some(7));
        assert_eq!(from_marker("arn:aws:s3:::bucket"), None);
        assert_eq!(from_marker("trunkline:hops:x"), Some(MAX));
    }
}
