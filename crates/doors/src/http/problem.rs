//! The one shape of every error: `application/problem+json` (RFC 9457) with a stable code.

use super::{answer::Answer, errors};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use control::{InText, filters::TextPosition};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use std::{borrow::Cow, time::Duration};

/// An error on its way out.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    headers: HeaderMap,
    body: Box<Body>,
}

#[derive(Debug, Serialize)]
struct Body {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: Cow<'static, str>,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attribute: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<TextPosition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suggestion: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<EntryProblem>,
}

/// What is wrong with one entry of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntryProblem {
    /// Its index in the request, from 0.
    pub index: usize,
    /// The stable code.
    pub code: &'static str,
    /// The attribute to blame, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribute: Option<String>,
    /// The rule, as a sentence.
    pub detail: String,
}

impl Problem {
    /// A problem of a listed code; the table has status and title.
    pub fn new(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let entry = errors::find(code).expect("every code that a door gives is in the table; a test holds it");
        Self::of(code, entry.status, entry.title, detail.into())
    }

    /// A problem with a code of another crate: listed or not, with the status its class says.
    pub fn with_status(code: &'static str, status: u16, detail: impl Into<Cow<'static, str>>) -> Self {
        let title = errors::find(code).map_or("The request was refused", |entry| entry.title);
        Self::of(code, status, title, detail.into())
    }

    fn of(code: &'static str, status: u16, title: &'static str, detail: Cow<'static, str>) -> Self {
        let body = Body {
            kind: format!("/docs/errors/{code}"),
            title,
            status,
            detail,
            code,
            attribute: None,
            pointer: None,
            position: None,
            suggestion: None,
            sources: None,
            limit: None,
            errors: Vec::new(),
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self {
            status,
            headers: HeaderMap::new(),
            body: Box::new(body),
        }
    }

    /// Names the attribute of the event that is to blame.
    pub fn attribute(mut self, attribute: impl Into<String>) -> Self {
        self.body.attribute = Some(attribute.into());
        self
    }

    /// Names the place in the request that is to blame.
    pub fn pointer(mut self, pointer: Option<String>) -> Self {
        self.body.pointer = pointer;
        self
    }

    /// Names the place in the text of a filter, and how the filter would be right.
    fn place(mut self, place: Option<Box<InText>>) -> Self {
        if let Some(place) = place {
            self.body.position = Some(place.position);
            self.body.suggestion = place.suggestion;
        }
        self
    }

    /// Lists the sources that an ambiguous id has.
    pub fn sources(mut self, sources: Vec<String>) -> Self {
        self.body.sources = Some(sources);
        self
    }

    /// Names the quota that is used up, and says when to try again.
    fn limit(mut self, limit: Option<&'static str>) -> Self {
        if limit.is_none() {
            return self;
        }
        self.body.limit = limit;
        self.retry_after(RETRY_QUOTA)
    }

    /// Lists what is wrong with the entries of a batch.
    pub fn entries(mut self, entries: Vec<EntryProblem>) -> Self {
        self.body.errors = entries;
        self
    }

    /// Says when to try again; rounded up to whole seconds.
    pub fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// Adds a header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What went wrong, as a sentence.
    pub fn detail(&self) -> &str {
        &self.body.detail
    }

    /// Headers of its own.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.body.code
    }

    /// The attribute that is to blame.
    pub(super) fn blamed(&self) -> Option<&str> {
        self.body.attribute.as_deref()
    }

    /// What is wrong with the entries of a batch.
    pub(super) fn errors(&self) -> &[EntryProblem] {
        &self.body.errors
    }

    /// The answer.
    pub fn into_answer(self) -> Answer {
        let body = serde_json::to_vec(&self.body).expect("strings and numbers always serialise");
        let mut answer = super::answer::json(self.status, Bytes::from(body));
        answer.headers_mut().extend(self.headers);
        answer.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        answer
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.into_answer().map(axum::body::Body::new)
    }
}

impl From<event::Invalid> for Problem {
    fn from(invalid: event::Invalid) -> Self {
        let detail = invalid.to_string();
        let status = errors::find(invalid.code).map_or(400, |entry| entry.status);
        Problem::with_status(invalid.code, status, detail).attribute(invalid.attribute)
    }
}

impl From<control::usage::Exceeded> for Problem {
    fn from(exceeded: control::usage::Exceeded) -> Self {
        let control::usage::Exceeded { limit, retry_after } = exceeded;
        let code = if limit == "bus.stored" {
            "quota_stored"
        } else {
            "quota_exceeded"
        };
        Problem::new(code, format!("the quota {limit} is used up"))
            .limit(Some(limit))
            .retry_after(retry_after)
    }
}

impl From<control::Refusal> for Problem {
    fn from(refusal: control::Refusal) -> Self {
        use control::Class;
        let status = match refusal.class {
            Class::Malformed => 400,
            Class::Unauthenticated => 401,
            Class::Forbidden => 403,
            Class::NotFound => 404,
            Class::InUse => 409,
            Class::Precondition => 412,
            Class::Invalid | Class::Limit => 422,
            Class::Quota => 429,
            Class::Internal => 500,
        };
        let problem = Problem::with_status(refusal.code, status, refusal.detail)
            .pointer(refusal.pointer)
            .place(refusal.in_text)
            .limit(refusal.limit);
        if status == 401 {
            return problem.header(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"trunkline\""),
            );
        }
        problem
    }
}

impl From<delivery::Error> for Problem {
    fn from(error: delivery::Error) -> Self {
        use delivery::Error;
        match error {
            Error::Refused(refusal) => refusal.into(),
            Error::Ambiguous(sources) => {
                let detail = format!("the id names {} events of different sources", sources.len());
                Problem::new("event_ambiguous", detail).sources(sources)
            }
            Error::Journal(error) => error.into(),
            Error::Closing => closing(),
            Error::Store(error) => {
                tracing::error!(%error, "a request failed in the store");
                Problem::new("store_failed", error.to_string()).retry_after(RETRY_STORE)
            }
        }
    }
}

impl From<journal::Error> for Problem {
    fn from(error: journal::Error) -> Self {
        use journal::Error;
        let detail = error.to_string();
        match error {
            Error::Busy { retry_after } => Problem::new("journal_behind", detail).retry_after(retry_after),
            Error::OutOfSpace { .. } => Problem::new("out_of_space", detail).retry_after(RETRY_SPACE),
            Error::Exhausted { .. } => Problem::new("resources_exhausted", detail).retry_after(RETRY_EXHAUSTED),
            Error::Poisoned { .. } => Problem::new("journal_poisoned", detail).retry_after(RETRY_RESTART),
            Error::Closed => closing(),
            Error::TooLarge { .. } => Problem::new("body_too_large", detail),
            Error::TooManyPartitions { .. } => Problem::new("limit_exceeded", detail),
            _ => {
                tracing::error!(%error, "a request failed in the journal");
                Problem::new("internal", detail)
            }
        }
    }
}

/// Space does not come back sooner.
const RETRY_SPACE: Duration = Duration::from_secs(30);
/// Connections and files are closed, and memory is given back, within about this.
const RETRY_EXHAUSTED: Duration = Duration::from_secs(5);
/// What somebody has to make room for is not there sooner.
const RETRY_QUOTA: Duration = Duration::from_secs(60);
/// About what a restart takes.
const RETRY_RESTART: Duration = Duration::from_secs(15);
/// A store that failed once may work the next time.
const RETRY_STORE: Duration = Duration::from_secs(5);

/// What every request gets while the server drains.
pub(super) fn closing() -> Problem {
    Problem::new("shutting_down", "the server is shutting down")
        .retry_after(RETRY_RESTART)
        .header(header::CONNECTION, HeaderValue::from_static("close"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(error: journal::Error) -> (&'static str, u16, Option<String>) {
        let problem = Problem::from(error);
        let code = problem.code();
        let answer = problem.into_answer();
        let wait = answer
            .headers()
            .get(header::RETRY_AFTER)
            .map(|value| value.to_str().expect("digits").to_owned());
        (code, answer.status().as_u16(), wait)
    }

    #[test]
    fn what_passes_says_when_to_come_back() {
        let busy = journal::Error::Busy {
            retry_after: Duration::from_millis(1_200),
        };
        assert_eq!(of(busy), ("journal_behind", 503, Some("2".to_owned())));
        let full = journal::Error::OutOfSpace { free: 1, needed: 2 };
        assert_eq!(of(full), ("out_of_space", 507, Some("30".to_owned())));
        let exhausted = journal::Error::Exhausted {
            action: "append".to_owned(),
            of: journal::Shortage::OpenFiles,
        };
        assert_eq!(of(exhausted), ("resources_exhausted", 503, Some("5".to_owned())));
        let poisoned = journal::Error::Poisoned {
            reason: "EIO".to_owned(),
        };
        assert_eq!(of(poisoned), ("journal_poisoned", 503, Some("15".to_owned())));
        assert_eq!(
            of(journal::Error::TooLarge { encoded: 2, max: 1 }),
            ("body_too_large", 413, None)
        );
    }
}
