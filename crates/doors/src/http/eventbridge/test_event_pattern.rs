//! `TestEventPattern`: whether a pattern matches an event that the caller gives. It is about nothing that the server keeps, so any key
//! may ask.

use super::{asked::Asked, fault::Fault};
use control::{
    Refusal,
    filters::FilterText,
    resources::{Dialect, FilterSpec},
};
use delivery::{Inquiry, Subject};
use serde::Deserialize;
use serde_json::{Value, json};

/// Characters of a pattern, by the model.
const PATTERN_CHARACTERS_MAX: usize = 4_096;
/// What an event must have. `detail` and `version` it may lack.
const REQUIRED: [&str; 7] = ["id", "account", "source", "time", "region", "resources", "detail-type"];

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
    check(&event)?;
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

fn check(event: &str) -> Result<(), Fault> {
    let wrong = || Fault::validation("Parameter Event is not valid.");
    event::json::check(event.as_bytes()).map_err(|_| wrong())?;
    let event: Value = serde_json::from_str(event).map_err(|_| wrong())?;
    let is_whole = event.is_object() && REQUIRED.iter().all(|name| event.get(name).is_some());
    is_whole.then_some(()).ok_or_else(wrong)
}
