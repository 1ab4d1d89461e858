//! Another event in a dead letter's place: asked for as publishing is, and with the right to publish.

use super::{Letter, SUBSCRIBE, missing, own_key};
use crate::http::{
    answer_event,
    call::Call,
    cloudevents::permitted,
    json,
    problem::Problem,
    routes::{Route, Verb, content, in_json, route},
};
use axum::{body::Body, routing};
use control::{Precondition, resources::Scope};
use delivery::{DeadLetterEdit, DeadSelection};
use event::limits;

pub(in crate::http) const ROUTES: &[Route] = &[route(
    Verb::Put,
    "/v1/buses/{bus}/dead-letters/{id}/event",
    "editDeadLetter",
    SUBSCRIBE,
    |on| routing::on(on, edit),
)
.summary("Put another event in a dead letter's place")
.takes(&[content("application/cloudevents+json", "Event")])
.gives(&[in_json(200, "DeadLetter")])
.problems(&[
    "dead_letter_identity",
    "dead_letter_not_found",
    "event_attribute_invalid",
    "event_attribute_missing",
    "event_body_invalid",
    "event_data_invalid",
    "event_not_permitted",
    "event_specversion_unsupported",
    "event_too_large",
    "limit_exceeded",
    "precondition_invalid",
    "resource_invalid",
    "resource_not_found",
    "scope_missing",
    "source_reserved",
    "type_disabled",
    "type_reserved",
    "type_unknown",
    "version_conflict",
])];

async fn edit(call: Call, body: Body) -> json::Result {
    let (bus, id) = (call.bus()?, call.parameter("id"));
    let key = own_key(bus, id)?;
    call.require(&bus.name, Scope::Publish)?;
    let expected = match call.precondition()? {
        Precondition::Any | Precondition::Exists => None,
        Precondition::Version(version) => Some(version),
        Precondition::Absent => {
            return Err(Problem::new(
                "precondition_invalid",
                "a dead letter that is edited is there",
            ));
        }
    };
    let (body, _share) = call.bytes(body, limits::BATCH_BYTES_MAX).await?;
    let event = event::json::decode_structured(&body)?;
    permitted(call.principal(), &event)?;
    let selection = DeadSelection {
        key: Some(key),
        ..DeadSelection::default()
    };
    let core = &call.state.core;
    if core.dead_letters(&bus.name, selection, None, 1).await?.is_empty() {
        return Err(missing(id));
    }
    let edit = DeadLetterEdit {
        bus: bus.name.clone(),
        key,
        event,
        expected,
        by: call.actor(),
    };
    let edited = core.edit_dead_letter(edit).await?;
    let shown = json::ok(&Letter::new(bus, &edited, answer_event(&edited.delivery.record)))?;
    Ok(json::with_etag(shown, u64::from(edited.delivery.edits)))
}
