//! Events as a POST: headers and body. Pure; what never changes stands in `config`.

use super::{
    config::{Form, Prepared, Shared},
    parameters::{self, Secrets},
};
use crate::outcomes::{failed, unanswered};
use bytes::Bytes;
use delivery::{Attempt, Limits, Member, Outcomes, Verdict};
use event::{EventView, eventgrid, http_binding, identity, json};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use std::borrow::Cow;

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_REPLAY: HeaderName = HeaderName::from_static("webhook-replay");
const AEG_EVENT_TYPE: HeaderName = HeaderName::from_static("aeg-event-type");
const AEG_SUBSCRIPTION_NAME: HeaderName = HeaderName::from_static("aeg-subscription-name");
const AEG_DELIVERY_COUNT: HeaderName = HeaderName::from_static("aeg-delivery-count");
const AEG_METADATA_VERSION: HeaderName = HeaderName::from_static("aeg-metadata-version");
const AEG_OUTPUT_EVENT_ID: HeaderName = HeaderName::from_static("aeg-output-event-id");
const AEG_DATA_VERSION: HeaderName = HeaderName::from_static("aeg-data-version");
const TRACE: [(&str, HeaderName); 2] = [
    ("traceparent", HeaderName::from_static("traceparent")),
    ("tracestate", HeaderName::from_static("tracestate")),
];
/// The extension of an event in a batch that holds its own message id; the request's `webhook-id` is the batch's.
pub(crate) const ID_EXTENSION: &str = "webhookid";

/// What the JSON format adds to data and attributes, about; a first size for the buffer.
const STRUCTURED_OVERHEAD: usize = 512;

/// A request, and how many of the attempt's members it holds.
pub(super) struct Written {
    pub request: Request<Bytes>,
    pub sent: usize,
}

/// The request of an attempt; or what became of it, where there is none.
pub(super) fn request(prepared: &Prepared, attempt: &Attempt<'_>, secrets: Secrets) -> Result<Written, Outcomes> {
    let shared = &prepared.shared;
    let address = shared.address.as_ref();
    let address = address.map_err(|refused| Outcomes::all(attempt, unanswered(refused)))?;
    let (first, target) = (&attempt.members[0], prepared.parameters.as_ref());
    let unsuitable = |detail: String| {
        let outcome = failed(Verdict::Refused, "event_unsuitable", detail);
        Outcomes::Each(vec![outcome])
    };
    let given = target.map(|target| target.of_event(first)).transpose();
    let given = given.map_err(unsuitable)?;
    let uri = parameters::address(address, given.as_ref(), secrets).map_err(unsuitable)?;
    let mut headers = shared.headers.clone();
    parameters::headers(given.as_ref(), &mut headers).map_err(unsuitable)?;
    let (mut body, sent) = content(prepared.form, attempt, &mut headers);
    let method = shared.method;
    if method.has_body() {
        body = parameters::body(&shared.body, body, secrets).map_err(unsuitable)?;
    } else {
        body = Bytes::new();
        headers.remove(header::CONTENT_TYPE);
    }
    let sent_members = &attempt.members[..sent];
    let id = message_id(prepared.form, sent_members);
    sign(shared, &id, attempt.now, &body, &mut headers);
    if let Some(replay) = attempt.replay {
        headers.insert(WEBHOOK_REPLAY, http_binding::encode_value(replay));
    }
    if let [only] = sent_members {
        trace(only.event, &mut headers);
    }
    let mut request = Request::new(body);
    *request.method_mut() = Method::from_bytes(method.as_str().as_bytes()).expect("its word is a method");
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(Written { request, sent })
}

fn message_id<'a>(form: Form, members: &[Member<'a>]) -> Cow<'a, str> {
    match members {
        [only] if !form.holds_several() => Cow::Borrowed(only.message_id),
        _ => Cow::Owned(identity::batch_id(members.iter().map(|member| member.message_id))),
    }
}

/// The body, the headers that describe it, and how many members it holds.
fn content(form: Form, attempt: &Attempt<'_>, headers: &mut HeaderMap) -> (Bytes, usize) {
    let members = attempt.members;
    let first = members[0].event;
    let body = match form {
        Form::Binary => {
            http_binding::encode_binary_into(first, headers);
            data(first)
        }
        Form::Structured => {
            let mut body = Vec::with_capacity(first.data().map_or(0, <[u8]>::len) + STRUCTURED_OVERHEAD);
            json::encode_structured(first, &mut body);
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(json::MEDIA_TYPE));
            Bytes::from(body)
        }
        Form::Data => {
            let value = first.data_content_type();
            if let Some(value) = value.and_then(|text| HeaderValue::from_str(text).ok()) {
                headers.insert(header::CONTENT_TYPE, value);
            }
            data(first)
        }
        Form::Batched(limits) => {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(json::BATCH_MEDIA_TYPE));
            return array(limits, members, |member, body| {
                json::encode_structured_with(member.event, ID_EXTENSION, member.message_id, body);
            });
        }
        Form::DataList(limits) => {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            return array(limits, members, |member, body| json::encode_data(member.event, body));
        }
        Form::EventGrid(limits) => return event_grid(limits, attempt, headers),
    };
    (body, 1)
}

fn data(event: &EventView<'_>) -> Bytes {
    event.data().map_or_else(Bytes::new, Bytes::copy_from_slice)
}

/// A JSON array of as many members as fit, the first one in any case.
fn array(limits: Limits, members: &[Member<'_>], encode: impl Fn(&Member<'_>, &mut Vec<u8>)) -> (Bytes, usize) {
    let size = |member: &Member<'_>| member.event.data().map_or(0, <[u8]>::len) + STRUCTURED_OVERHEAD;
    let mut body = Vec::with_capacity(members.iter().map(size).sum::<usize>().min(limits.bytes));
    body.push(b'[');
    let mut sent = 0;
    for member in members.iter().take(limits.events.max(1)) {
        let before = body.len();
        if sent > 0 {
            body.push(b',');
        }
        encode(member, &mut body);
        // The closing bracket counts.
        if sent > 0 && body.len() >= limits.bytes {
            body.truncate(before);
            break;
        }
        sent += 1;
    }
    body.push(b']');
    (Bytes::from(body), sent)
}

/// Event Grid's schema, with the headers that its webhooks get.
fn event_grid(limits: Limits, attempt: &Attempt<'_>, headers: &mut HeaderMap) -> (Bytes, usize) {
    let first = &attempt.members[0];
    let version = first.event.extension(eventgrid::DATA_VERSION).unwrap_or_default();
    grid_headers("Notification", attempt.subscription, first.number - 1, version, headers);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(eventgrid::MEDIA_TYPE));
    let now = crate::eventgrid::rfc_3339(attempt.now);
    let written = array(limits, attempt.members, |member, body| {
        eventgrid::encode(member.event, &now, body)
    });
    // It is one event's: of several, each has its own in the array.
    if let (_, 1) = written {
        headers.insert(AEG_OUTPUT_EVENT_ID, ascii(first.event.id()));
    }
    written
}

/// What Event Grid says of a delivery beside its events.
pub(super) fn grid_headers(kind: &'static str, subscription: &str, count: u32, version: &str, headers: &mut HeaderMap) {
    headers.insert(AEG_EVENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(AEG_SUBSCRIPTION_NAME, ascii(subscription));
    headers.insert(AEG_DELIVERY_COUNT, HeaderValue::from(count));
    headers.insert(AEG_METADATA_VERSION, HeaderValue::from_static("1"));
    headers.insert(AEG_DATA_VERSION, ascii(version));
}

/// Standard Webhooks' headers. Id and timestamp are there unsigned as well: a receiver deduplicates by the id.
pub(super) fn sign(shared: &Shared, id: &str, now: i64, body: &[u8], headers: &mut HeaderMap) {
    let timestamp = now.to_string();
    if let Some(signer) = &shared.signer {
        let (name, value) = signer.sign(id, &timestamp, body);
        headers.insert(name, ascii(&value));
    }
    headers.insert(WEBHOOK_ID, ascii(id));
    headers.insert(WEBHOOK_TIMESTAMP, ascii(&timestamp));
}

/// The trace goes on in the headers that tracers read, besides the event's own attributes.
fn trace(event: &EventView<'_>, headers: &mut HeaderMap) {
    for (attribute, name) in TRACE {
        if let Some(value) = event
            .extension(attribute)
            .and_then(|text| HeaderValue::from_str(text).ok())
        {
            headers.insert(name, value);
        }
    }
}

/// A value of ours, which is ASCII; anything else is percent-encoded rather than lost.
fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| http_binding::encode_value(text))
}
