//! Azure Event Grid's door: `POST /{bus}/api/events`, and `/api/events` for the bus `default`. What Azure calls a topic, an
//! address with keys of its own that publishers send to, is a bus here; within it the type of an event decides, as at every door.
//!
//! Event Grid's own schema and CloudEvents (binary, structured, batched) are taken, all events of a request or none. Errors have
//! Azure's form. It is a publishing as every other: the same keys, quotas, rules and intake.
//!
//! When Trunkline is the webhook of a real Event Grid topic, the validation request is answered with its code, once the sender has
//! shown a key. The address in it is never called.

mod credentials;
mod error;
mod expiry;
mod namespaces;
mod sas;
mod validation;

pub(super) use credentials::Keyring;
pub(super) use error::refused;

use super::{
    State,
    answer::Answer,
    auth::Peer,
    body,
    budget::Share,
    cloudevents::{ACCESS_TOKEN, batch, handshake, trace::Trace, unknown_bus, within_quotas},
    problem::Problem,
    query::{self, Query},
    routes::{Content, Gives, Parameter, Permission, Route, Takes, Verb, content, parameter, route},
};
use axum::routing;
use bytes::Bytes;
use control::{Principal, limits::DEFAULT_BUS, resources::Scope, usage::Holder};
use event::{Event, Invalid, codes, eventgrid, http_binding, json, media_type::MediaType};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header, request::Parts};
use http_body_util::{Either, Full};
use percent_encoding::percent_decode_str;

/// The path behind the bus.
const BEHIND_BUS: &str = "/api/events";
/// The one version of the protocol.
const API_VERSION: &str = "2018-01-01";
/// Bytes of a request, as Azure's limit is for an event and for an array of them.
const REQUEST_BYTES_MAX: usize = 1 << 20;
/// What a sender says of its request; of partners' channels, which there are none of here.
const CHANNEL_NAME: HeaderName = HeaderName::from_static("aeg-channel-name");

const VERSION: Parameter = parameter(
    "api-version",
    Takes::Text,
    "The version of the protocol: 2018-01-01, the default.",
);
const QUERY: &[Parameter] = &[VERSION, ACCESS_TOKEN];
const EMPTY: Gives = Gives {
    status: 200,
    content: None,
};
const TAKES: &[Content] = &[
    content("application/json", "EventGridEvents"),
    content("application/cloudevents+json", "Event"),
    content("application/cloudevents-batch+json", "EventBatch"),
];
const PROBLEMS: &[&str] = &[
    "batch_refused",
    "bus_busy",
    "event_attribute_invalid",
    "event_attribute_missing",
    "event_batch_too_large",
    "event_body_invalid",
    "event_data_invalid",
    "event_media_type_unsupported",
    "event_not_permitted",
    "event_specversion_unsupported",
    "event_too_large",
    "journal_behind",
    "journal_poisoned",
    "out_of_space",
    "quota_exceeded",
    "quota_stored",
    "resources_exhausted",
    "source_reserved",
    "type_disabled",
    "type_reserved",
    "type_unknown",
];

pub(super) const ROUTES: &[Route] = &[
    publishing(
        "/{bus}/api/events",
        "publishToEventGrid",
        Permission::Bus(Scope::Publish),
    ),
    publishing(
        BEHIND_BUS,
        "publishToEventGridDefault",
        Permission::DefaultBus(Scope::Publish),
    ),
    allowing("/{bus}/api/events", "allowEventGrid", Permission::Bus(Scope::Publish)),
    allowing(
        BEHIND_BUS,
        "allowEventGridDefault",
        Permission::DefaultBus(Scope::Publish),
    ),
];

const fn publishing(path: &'static str, id: &'static str, permission: Permission) -> Route {
    route(Verb::Post, path, id, permission, |on| routing::on(on, not_by_hand))
        .summary("Publish events as to an Azure Event Grid topic")
        .query(QUERY)
        .takes(TAKES)
        .gives(&[EMPTY])
        .errors_as("EventGridError")
        .problems(PROBLEMS)
}

const fn allowing(path: &'static str, id: &'static str, permission: Permission) -> Route {
    route(Verb::Options, path, id, permission, |on| routing::on(on, not_by_hand))
        .summary("Ask whether events may be published here, as Azure Event Grid asks webhooks for CloudEvents")
        .query(QUERY)
        .gives(&[EMPTY])
        .errors_as("EventGridError")
}

/// What the router gets of these paths is none of them: the name of the bus is no UTF-8.
async fn not_by_hand() -> Problem {
    Problem::new("not_found", "the path is not percent-encoded UTF-8")
}

/// A bus that is asked for at this door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    bus: String,
    /// It was asked for as a topic of an Event Grid namespace, which this door does not have.
    is_namespace: bool,
}

/// Where a request is for, if it is for this door.
pub(super) fn place(head: &Parts) -> Option<Place> {
    match head.method {
        Method::POST if namespaces::is_path(head.uri.path()) => Some(Place {
            bus: String::new(),
            is_namespace: true,
        }),
        Method::POST | Method::OPTIONS => bus_of(head.uri.path()).map(|bus| Place {
            bus,
            is_namespace: false,
        }),
        _ => None,
    }
}

/// The bus that a path names.
fn bus_of(path: &str) -> Option<String> {
    let before = path.strip_suffix(BEHIND_BUS)?;
    if before.is_empty() {
        return Some(DEFAULT_BUS.to_owned());
    }
    let bus = before
        .strip_prefix('/')
        .filter(|bus| !bus.is_empty() && !bus.contains('/'))?;
    Some(percent_decode_str(bus).decode_utf8().ok()?.into_owned())
}

impl Place {
    /// The topic of events that name none: what the bus is called in the API.
    fn topic(&self) -> String {
        format!("/v1/buses/{}", self.bus)
    }
}

/// Answers a request. Every error has Azure's form.
pub(super) async fn answer<B>(state: &State, place: &Place, head: Parts, body: B, peer: Peer, holder: &Holder) -> Answer
where
    B: http_body::Body<Data = Bytes>,
{
    if place.is_namespace {
        return refused(&namespaces::problem());
    }
    let answered = match head.method {
        Method::OPTIONS => allow(state, place, &head, peer, holder),
        _ => publish(state, place, head, body, peer, holder).await,
    };
    answered.unwrap_or_else(|problem| refused(&problem))
}

/// Who asks, if that one may publish on the bus, and the bus is there.
fn admit(state: &State, place: &Place, head: &Parts, peer: Peer, holder: &Holder) -> Result<Principal, Problem> {
    let model = state.core.model();
    let publisher = credentials::permit(state, &model, &place.bus, head, peer)?;
    state.note_use(&publisher);
    let bus = model.buses.get(&place.bus).ok_or_else(|| unknown_bus(&place.bus))?;
    super::hold(holder, &publisher, Some(bus))?;
    check_version(head)?;
    Ok(publisher)
}

fn check_version(head: &Parts) -> Result<(), Problem> {
    let query = Query::strict(&head.uri, QUERY)?;
    match query.text(VERSION.name) {
        None | Some(API_VERSION) => Ok(()),
        Some(other) => Err(query::wrong(format!(
            "api-version {:?} is not known here; known: {API_VERSION}",
            super::shown(other)
        ))),
    }
}

fn allow(state: &State, place: &Place, head: &Parts, peer: Peer, holder: &Holder) -> Result<Answer, Problem> {
    admit(state, place, head, peer, holder)?;
    let mut answer = empty();
    answer.headers_mut().extend(handshake::allowed(&head.headers));
    Ok(answer)
}

async fn publish<B>(
    state: &State,
    place: &Place,
    head: Parts,
    body: B,
    peer: Peer,
    holder: &Holder,
) -> Result<Answer, Problem>
where
    B: http_body::Body<Data = Bytes>,
{
    let publisher = admit(state, place, &head, peer, holder)?;
    if head.headers.contains_key(CHANNEL_NAME) {
        let rule = "there are no partner channels here: leave the header aeg-channel-name out";
        return Err(Invalid::new(codes::ATTRIBUTE_INVALID, CHANNEL_NAME.as_str(), rule).into());
    }
    let schema = Schema::of(&head.headers)?;
    let (body, _share) = read(state, &head, body).await?;
    if schema == Schema::EventGrid && validation::is_request(&head.headers) {
        return validation::answer(&body, &place.topic());
    }
    let entries = decode(schema, &head.headers, &body, place)?;
    within_quotas(&publisher, entries.len(), body.len())?;
    drop(body);
    let trace = Trace::of(&head.headers);
    batch::publish_all(&state.core, &publisher, &place.bus, entries, trace).await?;
    Ok(empty())
}

async fn read<'a, B: http_body::Body<Data = Bytes>>(
    state: &'a State,
    head: &Parts,
    body: B,
) -> Result<(Bytes, Share<'a>), Problem> {
    let too_large = || {
        let detail = format!("the maximum size of a request ({REQUEST_BYTES_MAX} bytes) has been exceeded");
        Problem::new("body_too_large", detail)
    };
    let read = body::read(&state.bodies, &head.headers, body, REQUEST_BYTES_MAX).await;
    read.map_err(|error| error.or_too_large(too_large))
}

/// How a request carries its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Schema {
    /// An array in Event Grid's schema.
    EventGrid,
    /// CloudEvents, in one of its modes.
    CloudEvents(http_binding::Mode),
}

impl Schema {
    fn of(headers: &HeaderMap) -> Result<Schema, Invalid> {
        if http_binding::is_event(headers) {
            return http_binding::mode(headers).map(Schema::CloudEvents);
        }
        let unsupported = |rule: &str| Invalid::new(codes::MEDIA_TYPE_UNSUPPORTED, "Content-Type", rule);
        let Some(value) = headers.get(header::CONTENT_TYPE) else {
            return Ok(Schema::EventGrid);
        };
        match value.to_str().ok().and_then(MediaType::parse) {
            Some(found) if found.is_json() && found.is_utf8() => Ok(Schema::EventGrid),
            Some(found) if found.is_json() => Err(unsupported("the charset must be utf-8")),
            _ => Err(unsupported(
                "must be application/json (Event Grid's schema), application/cloudevents+json or \
                 application/cloudevents-batch+json, or the attributes must be in ce- headers",
            )),
        }
    }
}

/// The events of a request, entry by entry.
fn decode(
    schema: Schema,
    headers: &HeaderMap,
    body: &Bytes,
    place: &Place,
) -> Result<Vec<Result<Event, Invalid>>, Problem> {
    use http_binding::Mode;
    let entries = match schema {
        Schema::EventGrid => {
            let mut entries = eventgrid::decode(body, &place.topic())?;
            entries.iter_mut().for_each(validation::refuse_stray);
            entries
        }
        Schema::CloudEvents(Mode::Binary) => vec![Ok(http_binding::decode_binary(headers, body.clone())?)],
        Schema::CloudEvents(Mode::Structured) => vec![Ok(json::decode_structured(body)?)],
        Schema::CloudEvents(Mode::Batch) => json::decode_batch(body)?,
    };
    Ok(entries)
}

/// Azure says no more when all is well.
fn empty() -> Answer {
    let mut answer: Answer = Response::new(Either::Left(Full::new(Bytes::new())));
    *answer.status_mut() = StatusCode::OK;
    answer
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::routes;

    #[test]
    fn the_door_answers_at_the_places_of_its_rows_and_no_other() {
        for row in routes::all() {
            let path = row
                .path
                .replace("{bus}", "b1")
                .replace("{name}", "n")
                .replace("{id}", "i");
            let (head, ()) = http::Request::builder()
                .method(row.verb.method())
                .uri(path.as_str())
                .body(())
                .expect("a request")
                .into_parts();
            let is_of_the_door = row.id.contains("EventGrid");
            assert_eq!(place(&head).is_some(), is_of_the_door, "{path}");
        }
    }

    #[test]
    fn a_path_names_a_bus_in_one_segment_or_the_default_one() {
        for (path, bus) in [
            ("/api/events", Some("default")),
            ("/shop/api/events", Some("shop")),
            ("/v1/api/events", Some("v1")),
            ("/a%2Eb/api/events", Some("a.b")),
            ("//api/events", None),
            ("/a/b/api/events", None),
            ("/%ff/api/events", None),
            ("/shop/api/events/", None),
            ("/shop/api/eventss", None),
            ("api/events", None),
        ] {
            assert_eq!(bus_of(path).as_deref(), bus, "{path}");
        }
    }
}
