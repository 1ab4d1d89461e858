//! An event as a POST: headers and body. Pure; what never changes stands in `config`.

use super::config::Prepared;
use bytes::Bytes;
use connector::SendError;
use control::resources::TargetMode;
use delivery::Attempt;
use event::{EventView, http_binding, json};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use http_body_util::Full;

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const WEBHOOK_REPLAY: HeaderName = HeaderName::from_static("webhook-replay");
const TRACE: [(&str, HeaderName); 2] = [
    ("traceparent", HeaderName::from_static("traceparent")),
    ("tracestate", HeaderName::from_static("tracestate")),
];

/// What the JSON format adds to data and attributes, about; a first size for the buffer.
const STRUCTURED_OVERHEAD: usize = 512;

/// The request of an attempt, unless it may not go where it should.
pub(super) fn request(prepared: &Prepared, attempt: &Attempt<'_>) -> Result<Request<Full<Bytes>>, SendError> {
    let uri = prepared.uri.clone()?;
    let mut headers = prepared.headers.clone();
    let body = content(prepared.mode, attempt.event, &mut headers);
    sign(prepared, attempt, &body, &mut headers);
    trace(attempt.event, &mut headers);
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(request)
}

/// The body, and the headers that describe it.
fn content(mode: TargetMode, event: &EventView<'_>, headers: &mut HeaderMap) -> Bytes {
    match mode {
        TargetMode::Binary => {
            http_binding::encode_binary_into(event, headers);
            data(event)
        }
        TargetMode::Structured => {
            let mut body = Vec::with_capacity(event.data().map_or(0, <[u8]>::len) + STRUCTURED_OVERHEAD);
            json::encode_structured(event, &mut body);
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/cloudevents+json"),
            );
            Bytes::from(body)
        }
        TargetMode::Data => {
            if let Some(value) = event
                .data_content_type()
                .and_then(|text| HeaderValue::from_str(text).ok())
            {
                headers.insert(header::CONTENT_TYPE, value);
            }
            data(event)
        }
    }
}

fn data(event: &EventView<'_>) -> Bytes {
    event.data().map_or_else(Bytes::new, Bytes::copy_from_slice)
}

/// Standard Webhooks' headers. Id and timestamp are there unsigned as well: a receiver deduplicates by the id.
fn sign(prepared: &Prepared, attempt: &Attempt<'_>, body: &[u8], headers: &mut HeaderMap) {
    let timestamp = attempt.now.to_string();
    if let Some(signer) = &prepared.signer {
        let signature = signer.sign(attempt.message_id, &timestamp, body);
        headers.insert(WEBHOOK_SIGNATURE, ascii(&signature));
    }
    headers.insert(WEBHOOK_ID, ascii(attempt.message_id));
    headers.insert(WEBHOOK_TIMESTAMP, ascii(&timestamp));
    if let Some(replay) = attempt.replay {
        headers.insert(WEBHOOK_REPLAY, http_binding::encode_value(replay));
    }
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
