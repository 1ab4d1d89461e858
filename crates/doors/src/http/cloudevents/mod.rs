//! `POST /v1/buses/{bus}/events`: CloudEvents 1.0 over HTTP, binary, structured or batched. The answer comes after the sync.
//!
//! This is the hot path: no middleware, no boxed handler, one copy of the data at most (into its record, by the intake).

pub(super) mod batch;
pub(super) mod handshake;
mod receipt;
pub(super) mod trace;

use super::{
    State,
    answer::Answer,
    auth::Peer,
    body,
    budget::Share,
    problem::Problem,
    routes::{Parameter, Permission, Route, Takes, Verb, content, in_json, parameter, route},
};
use axum::routing;
use bytes::Bytes;
use control::{Denied, Principal, resources::Scope, usage::Holder};
use delivery::{Core, PublishError, Rejected};
use event::{Event, Invalid, codes, http_binding, limits};
use http::request::Parts;
use std::time::Duration;

/// The path of publishing around the bus: matched by hand.
pub(super) const BEFORE_BUS: &str = "/v1/buses/";
/// Behind the bus.
pub(super) const BEHIND_BUS: &str = "/events";

/// For senders that cannot set a header.
pub(super) const ACCESS_TOKEN: Parameter =
    parameter("access_token", Takes::Text, "The key, where no header can carry it.");

pub(super) const ROUTES: &[Route] = &[PUBLISH, handshake::ROUTE];

const PUBLISH: Route = route(
    Verb::Post,
    "/v1/buses/{bus}/events",
    "publish",
    Permission::Bus(Scope::Publish),
    |on| routing::on(on, not_by_hand),
)
.summary("Publish events")
.query(&[
    parameter(
        "partial",
        Takes::Flag,
        "Keep the entries of a batch that can be kept, although others are refused.",
    ),
    ACCESS_TOKEN,
])
.takes(&[
    content("application/cloudevents+json", "Event"),
    content("application/cloudevents-batch+json", "EventBatch"),
    content("*/*", "EventData"),
])
.gives(&[in_json(200, "Receipt"), in_json(200, "Receipts")])
.problems(&[
    "batch_refused",
    "bus_busy",
    "event_attribute_invalid",
    "event_attribute_missing",
    "event_batch_too_large",
    "event_body_invalid",
    "event_data_invalid",
    "event_media_type_unsupported",
    "event_specversion_unsupported",
    "event_too_large",
    "journal_behind",
    "journal_poisoned",
    "out_of_space",
    "quota_exceeded",
    "resources_exhausted",
    "source_reserved",
    "type_disabled",
    "type_reserved",
    "type_unknown",
]);

/// What the router gets of this path is no publishing: the name of the bus is no UTF-8.
async fn not_by_hand() -> Problem {
    Problem::new("not_found", "the path is not percent-encoded UTF-8")
}

/// When a bus has too much in flight, it has room again after about this.
const RETRY_BUSY: Duration = Duration::from_secs(1);

/// The key is not for events of this type or source.
const NOT_PERMITTED: &str = "event_not_permitted";

/// Takes the events of one request, or none of them (but see `?partial=true` of batches).
pub(super) async fn publish<B>(
    state: &State,
    bus: &str,
    head: &mut Parts,
    body: B,
    peer: Peer,
    holder: &Holder,
) -> Result<Answer, Problem>
where
    B: http_body::Body<Data = Bytes>,
{
    let model = state.core.model();
    let publisher = peer.permit(&model, head, Scope::Publish, bus)?;
    state.note_use(&publisher);
    let owner = model.buses.get(bus).ok_or_else(|| unknown_bus(bus))?;
    super::hold(holder, &publisher, Some(owner))?;
    match http_binding::mode(&head.headers)? {
        http_binding::Mode::Binary => binary(state, &publisher, bus, head, body).await,
        http_binding::Mode::Structured => structured(state, &publisher, bus, head, body).await,
        http_binding::Mode::Batch => batch::publish(state, &publisher, bus, head, body).await,
    }
}

async fn binary<B: http_body::Body<Data = Bytes>>(
    state: &State,
    publisher: &Principal,
    bus: &str,
    head: &mut Parts,
    body: B,
) -> Result<Answer, Problem> {
    let too_large = || {
        let rule = format!("takes more than {} bytes", limits::EVENT_DATA_BYTES_MAX);
        Problem::from(event::Invalid::new(codes::TOO_LARGE, "data", rule))
    };
    let read = body::read(&state.bodies, &head.headers, body, limits::EVENT_DATA_BYTES_MAX).await;
    let (body, _share) = read.map_err(|error| error.or_too_large(too_large))?;
    within_quotas(publisher, 1, body.len())?;
    trace::adopt_in_headers(&mut head.headers);
    let event = http_binding::decode_binary(&head.headers, body)?;
    publish_one(&state.core, publisher, bus, event).await
}

async fn structured<B: http_body::Body<Data = Bytes>>(
    state: &State,
    publisher: &Principal,
    bus: &str,
    head: &Parts,
    body: B,
) -> Result<Answer, Problem> {
    let (body, _share) = read_document(state, head, body).await?;
    within_quotas(publisher, 1, body.len())?;
    let mut event = event::json::decode_structured(&body)?;
    if let Some(trace) = trace::Trace::of(&head.headers) {
        trace.adopt(&mut event)?;
    }
    publish_one(&state.core, publisher, bus, event).await
}

/// A body in the JSON format, of one event or of many.
async fn read_document<'a, B: http_body::Body<Data = Bytes>>(
    state: &'a State,
    head: &Parts,
    body: B,
) -> Result<(Bytes, Share<'a>), Problem> {
    let too_large = || {
        let detail = format!("the body takes more than {} bytes", limits::BATCH_BYTES_MAX);
        Problem::new("body_too_large", detail)
    };
    let read = body::read(&state.bodies, &head.headers, body, limits::BATCH_BYTES_MAX).await;
    read.map_err(|error| error.or_too_large(too_large))
}

async fn publish_one(core: &Core, publisher: &Principal, bus: &str, event: Event) -> Result<Answer, Problem> {
    permitted(publisher, &event)?;
    let id = event.id().to_owned();
    let published = core.publish(bus, vec![event]).await.map_err(|error| match error {
        PublishError::Rejected(rejected) => rejected_one(rejected),
        error => not_published(error),
    })?;
    let published = published
        .first()
        .ok_or_else(|| Problem::new("internal", "the intake gave no answer"))?;
    Ok(receipt::one(&core.model(), bus, &id, published))
}

/// Takes a request's events and bytes from the quotas of the publisher's key.
pub(super) fn within_quotas(publisher: &Principal, events: usize, bytes: usize) -> Result<(), Problem> {
    let Some(key) = publisher.key().filter(|key| !key.spec.quotas.is_empty()) else {
        return Ok(());
    };
    let now = std::time::Instant::now();
    key.usage
        .admit_of_key(&key.spec.quotas, now, events as u64, bytes as u64)?;
    Ok(())
}

/// Whether the publisher's key is for events of this type and source.
pub(super) fn permitted(publisher: &Principal, event: &Event) -> Result<(), Invalid> {
    let denied = publisher.permits(event.event_type(), event.source());
    denied.map_err(|denied| {
        let rule = format!(
            "is none that the key may publish; its publish.{} lists them",
            plural(denied)
        );
        Invalid::new(NOT_PERMITTED, denied.attribute(), rule)
    })
}

/// The field of a key that lists the patterns.
fn plural(denied: Denied) -> &'static str {
    match denied {
        Denied::Type => "types",
        Denied::Source => "sources",
    }
}

fn rejected_one(rejected: Vec<Rejected>) -> Problem {
    match rejected.into_iter().next() {
        Some(Rejected { code, detail, .. }) => Problem::with_status(code, rejected_status(code), detail),
        None => Problem::new("internal", "the intake refused the event without a reason"),
    }
}

/// The intake's rules are about the bus, not about the message: 422 unless the table says otherwise.
fn rejected_status(code: &str) -> u16 {
    super::errors::find(code).map_or(422, |entry| entry.status)
}

/// Every refusal but that of entries.
pub(super) fn not_published(error: PublishError) -> Problem {
    match error {
        PublishError::UnknownBus(bus) => unknown_bus(&bus),
        PublishError::Journal(error) => error.into(),
        PublishError::Busy => {
            Problem::new("bus_busy", "the bus has too much in flight to take the events now").retry_after(RETRY_BUSY)
        }
        PublishError::Quota(exceeded) => exceeded.into(),
        PublishError::Closing => super::problem::closing(),
        PublishError::Rejected(rejected) => rejected_one(rejected),
    }
}

pub(super) fn unknown_bus(bus: &str) -> Problem {
    Problem::new("bus_not_found", format!("bus {:?} does not exist", super::shown(bus)))
}
