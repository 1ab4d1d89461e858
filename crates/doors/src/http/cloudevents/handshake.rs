//! `OPTIONS /v1/buses/{bus}/events`: the handshake of the CloudEvents HTTP webhook specification, as its receiver. Whoever may
//! publish here with its key is allowed to, at any rate: quotas are answered with 429. It calls nobody back.

use super::ACCESS_TOKEN;
use crate::http::{
    call::Call,
    problem::Problem,
    routes::{NO_CONTENT, Permission, Route, Verb, route},
};
use axum::routing;
use control::resources::Scope;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
const REQUEST_RATE: HeaderName = HeaderName::from_static("webhook-request-rate");
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");
/// Bytes of an origin: a DNS name, with room for lists that some senders make.
const ORIGIN_BYTES_MAX: usize = 512;

pub(super) const ROUTE: Route = route(
    Verb::Options,
    "/v1/buses/{bus}/events",
    "allowPublishing",
    Permission::Bus(Scope::Publish),
    |on| routing::on(on, allow),
)
.summary("Ask whether events may be published here, as the CloudEvents webhook specification has it")
.query(&[ACCESS_TOKEN])
.gives(&[NO_CONTENT]);

async fn allow(call: Call, asked: HeaderMap) -> Result<(StatusCode, HeaderMap), Problem> {
    call.bus()?;
    Ok((StatusCode::NO_CONTENT, allowed(&asked)))
}

/// The headers that say yes to what is asked.
pub(in crate::http) fn allowed(asked: &HeaderMap) -> HeaderMap {
    let mut answer = HeaderMap::new();
    answer.insert(header::ALLOW, HeaderValue::from_static("OPTIONS, POST"));
    let origin = asked.get(REQUEST_ORIGIN).filter(|origin| is_name(origin));
    if let Some(origin) = origin {
        answer.insert(ALLOWED_ORIGIN, origin.clone());
        if asked.contains_key(REQUEST_RATE) {
            answer.insert(ALLOWED_RATE, HeaderValue::from_static("*"));
        }
    }
    answer
}

/// Printable, so that it may be said back.
fn is_name(origin: &HeaderValue) -> bool {
    let bytes = origin.as_bytes();
    (1..=ORIGIN_BYTES_MAX).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}
