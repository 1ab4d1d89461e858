//! A service's answer, and what it means: of the whole request, or of each entry. Pure.

use super::{
    errors::{Means, Service},
    xml,
};
use crate::outcomes::{beginning, delivered, failed};
use bytes::Bytes;
use delivery::{Outcome, Verdict};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use std::time::Duration;

/// What a throttled request waits at least.
const THROTTLED_WAIT: Duration = Duration::from_secs(1);
/// Characters of a service's message that are shown.
const MESSAGE_CHARACTERS_MAX: usize = 300;
/// Characters of an error code that no table knows, which are shown.
const CODE_CHARACTERS_MAX: usize = 80;

/// An answer, read to its end.
pub(super) struct Answer {
    pub service: Service,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// What went wrong with the request as a whole.
    pub error: Option<Said>,
}

/// What a service says of an entry that it did not take, or of the whole request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Its code, without namespace.
    pub code: String,
    /// In its words.
    pub message: String,
    /// Whether it says that the sender is at fault.
    pub is_senders_fault: bool,
}

impl Answer {
    pub(super) fn new(service: Service, status: StatusCode, headers: HeaderMap, body: Bytes) -> Answer {
        let error = (!status.is_success()).then(|| said(&headers, &body));
        Answer {
            service,
            status,
            headers,
            body,
            error,
        }
    }

    /// Whether other credentials could help.
    pub(super) fn is_about_credentials(&self) -> bool {
        let code = self.error.as_ref().map(|said| said.code.as_str());
        let row = code.and_then(|code| self.service.row(code));
        row.is_some_and(|row| row.means == Means::Credentials)
    }

    /// What the failure of the whole request means; `None`: it did not fail.
    pub(super) fn failure(&self) -> Option<Outcome> {
        let said = self.error.as_ref()?;
        Some(Outcome {
            status: Some(self.status.as_u16()),
            answer: beginning(&self.body),
            ..self.service.outcome(said, self.status)
        })
    }

    /// What became of each entry, of which the service says this; `None`: it took it.
    pub(super) fn each(&self, said: Vec<Option<Said>>) -> Vec<Outcome> {
        let one = |said: Option<Said>| match said {
            None => delivered(self.status),
            Some(said) => Outcome {
                status: Some(self.status.as_u16()),
                answer: beginning(&self.body),
                ..self.service.outcome(&said, self.status)
            },
        };
        said.into_iter().map(one).collect()
    }

    /// The answer is none that is documented: nobody knows what became of the events.
    pub(super) fn unclear(&self, why: &str) -> Outcome {
        unclear(self.status, &self.body, why)
    }
}

/// An answer that cannot be used is about the endpoint.
pub(super) fn unclear(status: StatusCode, body: &Bytes, why: &str) -> Outcome {
    Outcome {
        status: Some(status.as_u16()),
        answer: beginning(body),
        ..failed(
            Verdict::Retry { after: None },
            "aws_answer",
            format!("the answer cannot be used: {why}"),
        )
    }
}

impl Service {
    fn outcome(self, said: &Said, status: StatusCode) -> Outcome {
        let row = self.row(&said.code);
        let verdict = match row.map(|row| row.means) {
            Some(Means::Refused) => Verdict::Refused,
            Some(Means::Retry | Means::Credentials) => Verdict::Retry { after: None },
            Some(Means::Throttled) => Verdict::Retry {
                after: Some(THROTTLED_WAIT),
            },
            None => unknown(said, status),
        };
        let reason = match row {
            // Only codes that are known become classes: whoever answers must not invent them.
            Some(row) => format!("aws_{}", row.code),
            None if status.is_success() => "aws_error".to_owned(),
            None => format!("http_{}", status.as_u16()),
        };
        let code: String = said.code.chars().take(CODE_CHARACTERS_MAX).collect();
        let message: String = said.message.chars().take(MESSAGE_CHARACTERS_MAX).collect();
        let words = row.map_or(String::new(), |row| format!(", {}", row.words));
        let name = self.name();
        let detail = match (code.is_empty(), message.is_empty()) {
            (true, _) => format!("{name} answered {status}"),
            (false, true) => format!("{name} said {code}{words}"),
            (false, false) => format!("{name} said {code}{words}: {message}"),
        };
        failed(verdict, &reason, detail)
    }
}

/// Of an error that no table knows, the status says what it can.
fn unknown(said: &Said, status: StatusCode) -> Verdict {
    match status.as_u16() {
        400 | 413 | 415 | 422 => Verdict::Refused,
        429 | 503 => Verdict::Retry {
            after: Some(THROTTLED_WAIT),
        },
        200..=299 if said.is_senders_fault => Verdict::Refused,
        _ => Verdict::Retry { after: None },
    }
}

#[derive(Deserialize)]
struct JsonError {
    #[serde(rename = "__type", alias = "code", alias = "Code")]
    kind: Option<String>,
    #[serde(alias = "Message")]
    message: Option<String>,
}

/// The error of a request, from wherever the service's protocol puts it.
fn said(headers: &HeaderMap, body: &[u8]) -> Said {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    // The services' JSON protocols agree on the header; the oldest codes of SQS stand in one of their own.
    let of_header = header("x-amzn-errortype");
    if let Ok(error) = serde_json::from_slice::<JsonError>(body) {
        let code = of_header.or(error.kind.as_deref()).unwrap_or_default();
        return Said {
            code: bare(code).to_owned(),
            message: error.message.unwrap_or_default(),
            is_senders_fault: false,
        };
    }
    match xml::error(body) {
        Some(said) => said,
        None => Said {
            code: bare(of_header.unwrap_or_default()).to_owned(),
            ..Said::default()
        },
    }
}

/// `com.amazonaws.sqs#QueueDoesNotExist` and `AccessDeniedException:http://…` without what is around the code.
fn bare(code: &str) -> &str {
    let code = code.rsplit_once('#').map_or(code, |(_, code)| code);
    code.split_once(':').map_or(code, |(code, _)| code).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(service: Service, status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> Outcome {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, http::HeaderValue::from_static(value));
        }
        let status = StatusCode::from_u16(status).expect("a status");
        let answer = Answer::new(service, status, map, Bytes::from_static(body.as_bytes()));
        answer.failure().expect("it failed")
    }

    #[test]
    fn an_error_is_found_wherever_the_protocol_puts_it() {
        let retry = Verdict::Retry { after: None };
        for (service, status, headers, body, verdict, reason) in [
            (
                Service::Sqs,
                400,
                &[("x-amzn-query-error", "AWS.SimpleQueueService.NonExistentQueue;Sender")][..],
                r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"gone"}"#,
                retry,
                "aws_QueueDoesNotExist",
            ),
            (
                Service::Lambda,
                429,
                &[(
                    "x-amzn-errortype",
                    "TooManyRequestsException:http://internal.amazon.com/coral/",
                )][..],
                r#"{"Reason":"ConcurrentInvocationLimitExceeded","message":"Rate Exceeded."}"#,
                Verdict::Retry {
                    after: Some(THROTTLED_WAIT),
                },
                "aws_TooManyRequestsException",
            ),
            (
                Service::Sns,
                404,
                &[][..],
                "<ErrorResponse><Error><Type>Sender</Type><Code>NotFound</Code><Message>Topic does not exist</Message></Error></ErrorResponse>",
                retry,
                "aws_NotFound",
            ),
            (
                Service::Kinesis,
                403,
                &[][..],
                "<ErrorResponse><Errors><Error><Code>InvalidClientTokenId</Code></Error></Errors></ErrorResponse>",
                retry,
                "aws_InvalidClientTokenId",
            ),
            (
                Service::EventBridge,
                400,
                &[][..],
                r#"{"__type":"ValidationException","Message":"1 validation error"}"#,
                Verdict::Refused,
                "aws_ValidationException",
            ),
            (
                Service::Kinesis,
                502,
                &[][..],
                "<html>bad gateway</html>",
                retry,
                "http_502",
            ),
            (
                Service::Kinesis,
                400,
                &[][..],
                r#"{"__type":"SomethingNew"}"#,
                Verdict::Refused,
                "http_400",
            ),
        ] {
            let outcome = outcome(service, status, headers, body);
            assert_eq!((outcome.verdict, outcome.reason.as_str()), (verdict, reason), "{body}");
        }
    }

    #[test]
    fn a_code_that_nobody_knows_becomes_no_class_and_is_cut() {
        let body = format!(
            r#"{{"__type":"{}","message":"{}"}}"#,
            "X".repeat(9_000),
            "y".repeat(9_000)
        );
        let status = StatusCode::BAD_GATEWAY;
        let answer = Answer::new(Service::Sqs, status, HeaderMap::new(), Bytes::from(body));
        let outcome = answer.failure().expect("it failed");
        assert_eq!(outcome.reason, "http_502");
        assert!(outcome.detail.len() < 500 && outcome.answer.len() == 4_096);
    }
}
