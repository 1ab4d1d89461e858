//! JSON answers of routed handlers.

use super::problem::Problem;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// What a routed handler gives.
pub(super) type Result<T = Response> = std::result::Result<T, Problem>;

/// A JSON answer.
pub(super) fn answer(status: StatusCode, value: &impl Serialize) -> Result {
    let body = serde_json::to_vec(value).map_err(|error| {
        tracing::error!(%error, "an answer could not be written as JSON");
        Problem::new("internal", "the answer could not be written as JSON")
    })?;
    let content_type = HeaderValue::from_static("application/json");
    let no_sniff = HeaderValue::from_static("nosniff");
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::X_CONTENT_TYPE_OPTIONS, no_sniff),
    ];
    Ok((status, headers, body).into_response())
}

/// A 200.
pub(super) fn ok(value: &impl Serialize) -> Result {
    answer(StatusCode::OK, value)
}

/// Puts a resource's version into the answer.
pub(super) fn with_etag(mut response: Response, version: u64) -> Response {
    let tag = HeaderValue::from_str(&format!("\"{version}\"")).expect("digits in quotes are a header value");
    response.headers_mut().insert(header::ETAG, tag);
    response
}
