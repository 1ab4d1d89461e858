//! `GET /v1/buses/{bus}/events/{id}/data`: what an event holds, byte for byte as its publisher sent it: the place that a claim
//! check names. It says nothing of deliveries.

use super::{
    call::Call,
    json,
    problem::Problem,
    routes::{NO_CONTENT, Permission, Route, Takes, Verb, content, parameter, route},
};
use axum::{response::IntoResponse, routing};
use control::resources::Scope;
use http::{HeaderValue, StatusCode, header};

/// Of data whose type nobody said.
const MEDIA_TYPE_DEFAULT: HeaderValue = HeaderValue::from_static("application/octet-stream");

pub(super) const ROUTES: &[Route] = &[route(
    Verb::Get,
    "/v1/buses/{bus}/events/{id}/data",
    "showEventData",
    Permission::Bus(Scope::Subscribe),
    |on| routing::on(on, show),
)
.summary("Show what an event holds, as it was sent")
.query(&[parameter(
    "source",
    Takes::Text,
    "The event's source, where the id names several.",
)])
.gives(&[
    super::routes::Gives {
        status: 200,
        content: Some(content("*/*", "EventData")),
    },
    NO_CONTENT,
])
.problems(&["event_ambiguous", "event_not_found"])];

async fn show(call: Call) -> json::Result {
    let query = call.query()?;
    let bus = &call.bus()?.name;
    let id = call.parameter("id");
    let event = call.state.core.event(bus, id, query.text("source")).await?;
    let missing = || {
        let detail = format!("event {:?} is not kept on this bus", super::shown(id));
        Problem::new("event_not_found", detail)
    };
    let event = event.ok_or_else(missing)?;
    call.look("event", id, serde_json::json!({"source": event.source(), "data": true}))
        .await?;
    let media_type = event.data_content_type().map(HeaderValue::try_from);
    let headers = [
        (
            header::CONTENT_TYPE,
            media_type.and_then(Result::ok).unwrap_or(MEDIA_TYPE_DEFAULT),
        ),
        // What publishers send is shown to nobody as a page of this server's.
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment")),
    ];
    match event.into_data() {
        Some(data) => Ok((headers, data.bytes).into_response()),
        None => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}
