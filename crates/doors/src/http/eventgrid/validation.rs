//! Trunkline as the webhook of a real Event Grid topic: the request that asks whether events are wanted here. Whoever may publish
//! here gets its code back, which says yes. The address that stands beside the code is never called.

use crate::http::{
    answer::{self, Answer},
    problem::Problem,
};
use bytes::Bytes;
use event::{Event, Invalid, codes, eventgrid};
use http::{HeaderMap, HeaderName, StatusCode};
use serde::Deserialize;
use serde_json::json;

/// What a delivery of Event Grid's is.
const KIND: HeaderName = HeaderName::from_static("aeg-event-type");
/// A delivery that asks for the code.
const KIND_VALIDATION: &str = "SubscriptionValidation";
/// The type of its event.
const TYPE: &str = "Microsoft.EventGrid.SubscriptionValidationEvent";
/// Characters of a code: Azure's have 36.
const CODE_CHARACTERS_MAX: usize = 512;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    validation_code: String,
}

/// Whether a request asks for the code.
pub(super) fn is_request(headers: &HeaderMap) -> bool {
    headers
        .get(KIND)
        .is_some_and(|kind| kind.as_bytes().eq_ignore_ascii_case(KIND_VALIDATION.as_bytes()))
}

/// Gives the code back.
pub(super) fn answer(body: &Bytes, topic: &str) -> Result<Answer, Problem> {
    let wrong = |rule: &str| Problem::from(Invalid::new(codes::BODY_INVALID, "body", rule));
    let mut entries = eventgrid::decode(body, topic)?;
    let (Some(only), None) = (entries.pop(), entries.pop()) else {
        return Err(wrong("a validation is one event in an array"));
    };
    let only = only?;
    if only.event_type() != TYPE {
        return Err(wrong(
            "a validation is an event of type Microsoft.EventGrid.SubscriptionValidationEvent",
        ));
    }
    let asked = only
        .data()
        .and_then(|data| serde_json::from_slice::<Asked>(&data.bytes).ok());
    let code = asked.map(|asked| asked.validation_code);
    let code = code.filter(|code| (1..=CODE_CHARACTERS_MAX).contains(&code.len()));
    let code = code.ok_or_else(|| wrong("a validation's data has a validationCode"))?;
    let body = json!({"validationResponse": code}).to_string();
    Ok(answer::json(StatusCode::OK, Bytes::from(body)))
}

/// A validation that does not say that it is one is no event either: subscribers would answer it.
pub(super) fn refuse_stray(entry: &mut Result<Event, Invalid>) {
    if entry.as_ref().is_ok_and(|event| event.event_type() == TYPE) {
        let rule = "is of validations alone, which come with the header aeg-event-type: SubscriptionValidation";
        *entry = Err(Invalid::new(codes::ATTRIBUTE_INVALID, "eventType", rule));
    }
}
