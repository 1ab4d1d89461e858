//! Places in topics, as people name them: a time, offsets, one of the ends. What they mean in a journal is the delivery core's
//! business.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::collections::BTreeMap;
use store::Millis;

/// Since when a subscription sees events, or where a replay begins.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// From the durable end at creation.
    #[default]
    Now,
    /// From the first record kept.
    Earliest,
    /// From the first record appended at this time or later.
    Time(Time),
    /// From these offsets on; partitions that are not named begin as with `now`, and are no part of a replay.
    Offsets(Offsets),
}

/// Where a replay ends: the record there does not belong to it.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The durable end at the replay's creation.
    #[default]
    Now,
    /// Before the first record appended at this time or later.
    Time(Time),
    /// Before these offsets; partitions that are not named end as with `now`.
    Offsets(Offsets),
}

/// Offsets, by topic and partition.
pub type Offsets = BTreeMap<String, BTreeMap<u32, u64>>;

/// A point in time, to the millisecond; read and written as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Millis);

const TIME_FORM: &str = "a time is RFC 3339 with its zone, such as 2030-01-31T12:00:00Z";

impl Time {
    /// Reads RFC 3339; says what the form is if it is not one. What is finer than a millisecond is cut.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let time: jiff::Timestamp = text.parse().map_err(|_| TIME_FORM)?;
        Ok(Self(time.as_millisecond()))
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(formatter, "{time}"),
            Err(_) => write!(formatter, "{}", self.0),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}
