//! Outcomes that every provider has: nothing came back, it went well, it failed for a reason that we know.

use bytes::Bytes;
use connector::SendError;
use delivery::{Outcome, Outcomes, Verdict};
use http::StatusCode;

/// What is kept of a failed answer, for whoever looks for the reason.
pub(crate) const ANSWER_BYTES_MAX: usize = 4 << 10;

/// The reason of what the provider can never take because of its size.
pub(crate) const TOO_LARGE: &str = "event_too_large";

/// Why an event cannot be delivered to the provider, ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unfit {
    /// A stable class.
    pub reason: &'static str,
    /// In words.
    pub detail: String,
}

impl Unfit {
    /// It is about the event, and another try would end alike: the first member alone, refused.
    pub(crate) fn outcomes(self) -> Outcomes {
        Outcomes::Each(vec![failed(Verdict::Refused, self.reason, self.detail)])
    }
}

/// No answer is about the endpoint, or about the way there: never about the event.
pub(crate) fn unanswered(error: &SendError) -> Outcome {
    failed(Verdict::Retry { after: None }, error.code(), error.to_string())
}

/// It failed without an answer.
pub(crate) fn failed(verdict: Verdict, reason: &str, detail: String) -> Outcome {
    Outcome {
        verdict,
        status: None,
        reason: reason.to_owned(),
        detail,
        answer: Bytes::new(),
    }
}

/// It was taken.
pub(crate) fn delivered(status: StatusCode) -> Outcome {
    Outcome {
        verdict: Verdict::Delivered,
        status: Some(status.as_u16()),
        reason: String::new(),
        detail: String::new(),
        answer: Bytes::new(),
    }
}

/// The beginning of an answer.
pub(crate) fn beginning(body: &Bytes) -> Bytes {
    body.slice(..body.len().min(ANSWER_BYTES_MAX))
}
