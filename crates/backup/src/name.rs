//! A backup's name: when it was begun and whose it is, as `20261121T083200.123Z-3f9a2c1b`. It is a directory's name, so nobody
//! chooses it.

use crate::Timeline;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Letters of the timeline that are in a name.
const TIMELINE_LETTERS: usize = 8;
/// `20261121T083200.123Z-`
const TIME_LETTERS: usize = 21;

/// A backup's name. Later ones of an installation sort later.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// The name of a backup that begins now.
    pub fn new(millis: i64, timeline: &Timeline) -> Self {
        let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let time = time.strftime("%Y%m%dT%H%M%S.%3fZ");
        Self(format!("{time}-{}", &timeline.id()[..TIMELINE_LETTERS]))
    }

    /// Reads a name; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let form = |at: usize, byte: u8| match at {
            8 => byte == b'T',
            15 => byte == b'.',
            19 => byte == b'Z',
            20 => byte == b'-',
            0..TIME_LETTERS => byte.is_ascii_digit(),
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        };
        let whole = text.len() == TIME_LETTERS + TIMELINE_LETTERS;
        (whole && text.bytes().enumerate().all(|(at, byte)| form(at, byte))).then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a backup of this installation, as far as a name tells.
    pub fn is_of(&self, timeline: &Timeline) -> bool {
        self.0[TIME_LETTERS..] == timeline.id()[..TIMELINE_LETTERS]
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is not a backup's name"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_when_and_whose_and_nothing_else_is_one() {
        let timeline = Timeline::of_id("3f9a2c1b000000000000000000000000");
        let name = Name::new(1_795_250_000_123, &timeline);
        assert_eq!(name.as_str(), "20261121T083320.123Z-3f9a2c1b");
        assert_eq!(Name::parse(name.as_str()), Some(name.clone()));
        assert!(name.is_of(&timeline));
        for other in [
            "",
            "../x",
            "20261121T083320.123Z-3f9a2c1",
            "20261121T083320.123Z-../../..",
            "20261121T083320.123Z-3f9a2c1B",
        ] {
            assert_eq!(Name::parse(other), None, "{other}");
        }
    }
}
