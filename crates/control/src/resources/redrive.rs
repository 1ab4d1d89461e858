//! Redrives as they are asked for: which dead letters go out again, and how fast. How far one has come is the delivery core's
//! business.

use super::{Rate, Time};
use crate::{limits, parse, refusal::Refusal, validate};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a redrive sends out again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedriveSpec {
    /// Dead letters of this subscription; absent: of all that the bus has now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<String>,
    /// Of this reason; with `*` at its end, of all that begin so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Of this status of the last answer: short for its reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Of events with this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Of events of this type.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// That died then or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Time>,
    /// That died before then; absent: until it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Time>,
    /// How many go out per time.
    #[serde(
        default = "usual_rate",
        with = "crate::units::optional_rate",
        skip_serializing_if = "Option::is_none"
    )]
    pub rate: Option<Rate>,
}

fn usual_rate() -> Option<Rate> {
    Some(limits::REPLAY_RATE_DEFAULT)
}

impl RedriveSpec {
    /// Reads what somebody asks for, or says what is wrong with it and where.
    pub fn read(document: &Value) -> Result<Self, Refusal> {
        let spec: Self = parse::parse(document, "", &[])?;
        if let Some(rate) = spec.rate {
            validate::rate("/rate", rate)?;
        }
        if spec.reason.is_some() && spec.status.is_some() {
            let detail = "a status is a reason: give one of them";
            return Err(Refusal::invalid("/status", detail));
        }
        if let Some(status) = spec.status.filter(|status| !limits::OUTCOME_STATUSES.contains(status)) {
            return Err(Refusal::invalid(
                "/status",
                format!("{status} is no status from 200 to 599"),
            ));
        }
        match (spec.from, spec.to) {
            (Some(from), Some(to)) if from >= to => Err(Refusal::invalid(
                "/to",
                format!("{to} is not after {from}, where it begins"),
            )),
            _ => Ok(spec),
        }
    }

    /// The reason, however it was given.
    pub fn reason(&self) -> Option<String> {
        let of_status = self.status.map(|status| format!("http_{status}"));
        of_status.or_else(|| self.reason.clone())
    }

    /// As it was asked for.
    pub fn shown(&self) -> Value {
        serde_json::to_value(self).expect("plain data with string keys becomes JSON")
    }
}
