//! `TestEventPattern`: whether a pattern matches an event that the caller gives. It is about nothing that the server keeps, so any key
//! may ask.

use super::{asked::Asked, fault::Fault};
use control::{
    Refusal,
    filters::FilterText,
    resources::{Dialect, FilterSpec},
};
use delivery::{Inquiry, Subject};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};
use std::collections::HashMap;

/// Characters of a pattern, by the model.
const PATTERN_CHARACTERS_MAX: usize = 4_096;
/// What an event must have. AWS's documentation names `resources` as well, but its service answers for events without.
const REQUIRED: [&str; 6] = ["id", "account", "source", "time", "region", "detail-type"];
/// What is said of an event that is not as asked.
pub const EVENT_INVALID: &str = "Parameter Event is not valid.";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    event_pattern: Option<String>,
    event: Option<String>,
}

pub(super) async fn run(asked: &Asked) -> Result<Value, Fault> {
    let Input { event_pattern, event } = asked.input()?;
    let missing = |member| move || Fault::constraint("null", member, "Member must not be null");
    let pattern = event_pattern.ok_or_else(missing("eventPattern"))?;
    let event = event.ok_or_else(missing("event"))?;
    if pattern.chars().count() > PATTERN_CHARACTERS_MAX {
        let rule = "Member must have length less than or equal to 4096";
        return Err(Fault::constraint(&pattern, "eventPattern", rule));
    }
    let inquiry = inquiry(pattern)?;
    if !is_event(&event) {
        return Err(Fault::validation(EVENT_INVALID));
    }
    let explained = inquiry.explain(&Subject::Document(event.into()));
    let explained = explained.map_err(|reason| Fault::validation(reason.to_owned()))?;
    Ok(json!({"Result": explained.matched}))
}

fn inquiry(pattern: String) -> Result<Inquiry, Fault> {
    let filter = FilterSpec::EventBridge(FilterText::new(pattern), Dialect::Standard);
    Inquiry::of(None, Some(&filter)).map_err(invalid_pattern)
}

/// The refusal of a pattern in AWS's words.
pub(super) fn invalid_pattern(refusal: Refusal) -> Fault {
    let message = format!("Event pattern is not valid. Reason: {}", refusal.detail);
    Fault::new("InvalidEventPatternException", message)
}

/// Whether a text is an event as `TestEventPattern` asks for it. What its values are is the pattern's to look at, who knows numbers
/// of any size and texts that are no Unicode.
pub fn is_event(text: &str) -> bool {
    let members: Result<HashMap<String, IgnoredAny>, _> = serde_json::from_str(text);
    event::json::check(text.as_bytes()).is_ok()
        && members.is_ok_and(|members| REQUIRED.iter().all(|name| members.contains_key(*name)))
}
