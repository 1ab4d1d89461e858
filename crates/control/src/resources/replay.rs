//! Replays as they are asked for: which events, where to, how fast. How far one has come is the delivery core's business.

use super::{End, FilterSpec, Offsets, Rate, Start};
use crate::{filters, limits, names, parse, refusal::Refusal, validate};
use pattern::Filter;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// What a replay does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplaySpec {
    /// Topics of its bus; absent: those that the subscription reads if that is on the same bus, else all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<Vec<String>>,
    /// Where it begins.
    pub from: Start,
    /// Where it ends.
    #[serde(default)]
    pub to: End,
    /// Event types, with `*`; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub types: Option<Vec<String>>,
    /// What else must hold, besides what the subscription asks for; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<FilterSpec>,
    /// Where the events go.
    pub into: ReplayInto,
    /// Attempts started, or records published, per time.
    #[serde(
        default = "usual_rate",
        with = "crate::units::optional_rate",
        skip_serializing_if = "Option::is_none"
    )]
    pub rate: Option<Rate>,
}

/// Where a replay's events go: to a subscription or to a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayInto {
    /// Of this bus; absent: the replay's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bus: Option<String>,
    /// The subscription's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<String>,
    /// The topic's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
}

fn usual_rate() -> Option<Rate> {
    Some(limits::REPLAY_RATE_DEFAULT)
}

impl ReplaySpec {
    /// Reads what somebody asks for, or says what is wrong with it and where.
    pub fn read(document: &Value) -> Result<Self, Refusal> {
        let spec: Self = parse::parse(document, "", &[])?;
        spec.check()?;
        Ok(spec)
    }

    /// Its types and filter, compiled.
    pub fn compile(&self) -> Result<Arc<Filter>, Refusal> {
        filters::compile_parts(self.types.as_deref(), self.filter.as_ref())
    }

    fn check(&self) -> Result<(), Refusal> {
        validate::selection(self.topics.as_deref(), self.types.as_deref())?;
        self.compile()?;
        if let Some(rate) = self.rate {
            validate::rate("/rate", rate)?;
        }
        if self.from == Start::Now {
            let detail = "from says where the replay begins: earliest, {\"time\": …} or {\"offsets\": …}";
            return Err(Refusal::invalid("/from", detail));
        }
        if let (Start::Time(from), End::Time(to)) = (&self.from, &self.to)
            && from >= to
        {
            return Err(Refusal::invalid(
                "/to/time",
                format!("{to} is not after {from}, where it begins"),
            ));
        }
        for (at, offsets) in [("/from", self.from.offsets()), ("/to", self.to.offsets())] {
            self.check_offsets(at, offsets)?;
        }
        match (&self.into.subscription, &self.into.topic) {
            (Some(_), None) | (None, Some(_)) => Ok(()),
            _ => {
                let detail = "into takes a subscription or a topic, and the bus if it is another one";
                Err(Refusal::invalid("/into", detail))
            }
        }
    }

    fn check_offsets(&self, at: &str, offsets: Option<&Offsets>) -> Result<(), Refusal> {
        let known = |topic: &String| self.topics.as_ref().is_none_or(|topics| topics.contains(topic));
        match offsets.into_iter().flat_map(Offsets::keys).find(|topic| !known(topic)) {
            None => Ok(()),
            Some(topic) => {
                let pointer = format!("{at}/offsets{}", parse::token(topic));
                let detail = format!("topic {} is not one of the replay's topics", parse::echo(topic));
                Err(Refusal::invalid(pointer, detail))
            }
        }
    }
}

/// Checks the name of a replay.
pub fn check_replay_name(name: &str) -> Result<(), Refusal> {
    names::Name::new(name).map(drop)
}

impl Start {
    /// The offsets, if it names some.
    pub fn offsets(&self) -> Option<&Offsets> {
        match self {
            Self::Offsets(offsets) => Some(offsets),
            Self::Now | Self::Earliest | Self::Time(_) => None,
        }
    }
}

impl End {
    /// The offsets, if it names some.
    pub fn offsets(&self) -> Option<&Offsets> {
        match self {
            Self::Offsets(offsets) => Some(offsets),
            Self::Now | Self::Time(_) => None,
        }
    }
}

impl ReplaySpec {
    /// As it was asked for, its filter as the JSON that it was where that loses nothing.
    pub fn shown(&self) -> Value {
        let mut shown = serde_json::to_value(self).expect("plain data with string keys becomes JSON");
        if let Some(filter) = shown.get_mut("filter") {
            filters::show(filter);
        }
        shown
    }
}
