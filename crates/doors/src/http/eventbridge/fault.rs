//! Errors in AWS's shape: a code, a sentence, and the headers that SDKs read. What the rest of the server calls a problem becomes
//! one of them.

use super::MEDIA_TYPE;
use crate::{
    aws::sigv4,
    http::{
        answer::{self, Answer},
        problem::Problem,
    },
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use ring::rand::{SecureRandom as _, SystemRandom};
use std::borrow::Cow;

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// An error of a request.
#[derive(Debug)]
pub(super) struct Fault {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    retry_after: Option<HeaderValue>,
}

impl Fault {
    /// An error with status 400, which most have.
    pub(super) fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::with_status(StatusCode::BAD_REQUEST, code, message)
    }

    fn with_status(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after: None,
        }
    }

    /// A member breaks a rule.
    pub(super) fn validation(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("ValidationException", message)
    }

    /// A member breaks a constraint of the model, in AWS's sentence.
    pub(super) fn constraint(value: &str, member: &str, rule: &str) -> Self {
        let value = crate::http::shown(value);
        Self::validation(format!(
            "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {rule}"
        ))
    }

    /// The request is not what the protocol says.
    pub(super) fn serialization(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("SerializationException", message)
    }

    /// The operation does not exist, or not here.
    pub(super) fn unknown_operation(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("UnknownOperationException", message)
    }

    /// A thing does not exist.
    pub(super) fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("ResourceNotFoundException", message)
    }

    /// The caller may not do this.
    pub(super) fn denied(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("AccessDeniedException", message)
    }

    /// The code.
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// The sentence.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// The answer.
    pub(super) fn into_answer(self) -> Answer {
        let body = serde_json::json!({"__type": self.code, "message": self.message});
        let mut answer = json(body.to_string().into());
        *answer.status_mut() = self.status;
        let headers = answer.headers_mut();
        headers.insert(ERROR_TYPE, HeaderValue::from_static(self.code));
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, wait);
        }
        answer
    }
}

/// An answer of the protocol.
pub(super) fn json(body: Bytes) -> Answer {
    let mut answer = answer::json(StatusCode::OK, body);
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    answer
}

/// Every answer names its request; a person finds it by that in the client's log.
pub(super) fn with_request_id(mut answer: Answer) -> Answer {
    let mut bytes = [0; 16];
    // An id that is not random is still an answer.
    let _ = SystemRandom::new().fill(&mut bytes);
    let id = uuid(bytes, 4);
    let value = HeaderValue::try_from(id).expect("hex digits and dashes are a value");
    answer.headers_mut().insert(REQUEST_ID, value);
    answer
}

/// The text of a UUID of these bytes and a version (RFC 9562).
pub(super) fn uuid(bytes: [u8; 16], version: u8) -> String {
    let mut number = u128::from_be_bytes(bytes);
    number = number & !(0xf << 76) | u128::from(version) << 76;
    number = number & !(0x3 << 62) | 0x2 << 62;
    let hex = format!("{number:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

impl From<sigv4::Refused> for Fault {
    fn from(refused: sigv4::Refused) -> Self {
        Self::with_status(StatusCode::FORBIDDEN, refused.code(), refused.message().to_owned())
    }
}

/// What a problem is in AWS's words. Its detail stays.
impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        let (status, code) = match (problem.code(), problem.status().as_u16()) {
            ("key_invalid", _) => (403, "UnrecognizedClientException"),
            ("key_expired", _) => (403, "ExpiredTokenException"),
            ("already_exists", _) => (400, "ResourceAlreadyExistsException"),
            ("limit_exceeded", _) => (400, "LimitExceededException"),
            ("filter_invalid" | "filter_not_json" | "filter_too_complex", _) => (400, "InvalidEventPatternException"),
            (_, 401) => (403, "MissingAuthenticationTokenException"),
            (_, 403) => (400, "AccessDeniedException"),
            (_, 404) => (400, "ResourceNotFoundException"),
            (_, 409 | 412) => (400, "ConcurrentModificationException"),
            (_, 413) => (413, "RequestEntityTooLargeException"),
            (_, 429) => (400, "ThrottlingException"),
            (_, 503 | 507) => (503, "ServiceUnavailableException"),
            (_, 500..) => (500, "InternalException"),
            _ => (400, "ValidationException"),
        };
        let status = StatusCode::from_u16(status).expect("each of these is one");
        let wait = problem.headers().get(header::RETRY_AFTER).cloned();
        Self {
            retry_after: wait,
            ..Self::with_status(status, code, problem.detail().to_owned())
        }
    }
}

impl From<control::Refusal> for Fault {
    fn from(refusal: control::Refusal) -> Self {
        Problem::from(refusal).into()
    }
}

impl From<delivery::Error> for Fault {
    fn from(error: delivery::Error) -> Self {
        Problem::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_its_version_and_variant() {
        assert_eq!(uuid([0xff; 16], 4), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(uuid([0; 16], 8), "00000000-0000-8000-8000-000000000000");
    }

    #[test]
    fn what_passes_is_told_apart_from_what_does_not() {
        for (code, status, aws) in [
            ("quota_exceeded", 400, "ThrottlingException"),
            ("bus_busy", 400, "ThrottlingException"),
            ("journal_behind", 503, "ServiceUnavailableException"),
            ("out_of_space", 503, "ServiceUnavailableException"),
            ("shutting_down", 503, "ServiceUnavailableException"),
            ("internal", 500, "InternalException"),
            ("scope_missing", 400, "AccessDeniedException"),
            ("key_expired", 403, "ExpiredTokenException"),
            ("key_invalid", 403, "UnrecognizedClientException"),
            ("resource_not_found", 400, "ResourceNotFoundException"),
            ("version_conflict", 400, "ConcurrentModificationException"),
            ("resource_invalid", 400, "ValidationException"),
        ] {
            let fault = Fault::from(Problem::new(code, "why"));
            assert_eq!(
                (fault.status.as_u16(), fault.code, &*fault.message),
                (status, aws, "why"),
                "{code}"
            );
        }
    }
}
