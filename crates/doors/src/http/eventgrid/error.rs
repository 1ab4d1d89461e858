//! Errors in Azure's form: `{"error": {"code", "message", "details": [{"code", "message", "target"}]}}`. The outer code is one of
//! Azure's words, those of the details are Trunkline's stable ones.

use crate::http::{
    answer::{self, Answer},
    problem::{EntryProblem, Problem},
};
use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;

#[derive(Serialize)]
struct Body<'a> {
    error: Error<'a>,
}

#[derive(Serialize)]
struct Error<'a> {
    code: &'static str,
    message: &'a str,
    details: Vec<Detail<'a>>,
}

#[derive(Serialize)]
struct Detail<'a> {
    code: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

/// The answer of a problem at this door.
pub(in crate::http) fn refused(problem: &Problem) -> Answer {
    let status = status(problem.status());
    let mut details = vec![Detail {
        code: problem.code(),
        message: problem.detail(),
        target: problem.blamed().map(str::to_owned),
    }];
    details.extend(problem.errors().iter().map(of_entry));
    let body = Body {
        error: Error {
            code: word(status),
            message: problem.detail(),
            details,
        },
    };
    let body = serde_json::to_vec(&body).expect("strings always serialise");
    let mut answer = answer::json(status, Bytes::from(body));
    answer.headers_mut().extend(problem.headers().clone());
    answer
}

fn of_entry(entry: &EntryProblem) -> Detail<'_> {
    let attribute = entry
        .attribute
        .as_deref()
        .map_or(String::new(), |name| format!(".{name}"));
    Detail {
        code: entry.code,
        message: &entry.detail,
        target: Some(format!("[{}]{attribute}", entry.index)),
    }
}

/// The status that Azure's clients understand: they know no 422, and try again after 503 but not after 507.
fn status(status: StatusCode) -> StatusCode {
    match status {
        StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
        StatusCode::INSUFFICIENT_STORAGE => StatusCode::SERVICE_UNAVAILABLE,
        other => other,
    }
}

/// Azure's word for a status.
fn word(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        408 => "RequestTimeout",
        413 => "RequestEntityTooLarge",
        415 => "UnsupportedMediaType",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        500..=599 => "InternalServerError",
        _ => "BadRequest",
    }
}
