//! AWS Lambda: an event, or a batch of them, as the payload of one invocation. A function that is waited for may say which
//! events of a batch failed, as functions say to queues.

use super::{
    access::Call,
    answer::Answer,
    fill::{Bounds, Content, Entry, Unfit, fill},
};
use crate::{
    outcomes::{beginning, delivered, failed},
    webhook::{self, results},
};
use bytes::Bytes;
use control::resources::{Invocation, LambdaConfig, SubscriptionSpec, TargetMode};
use delivery::{Member, Outcome, Outcomes, Verdict};
use event::json;
use http::{HeaderName, HeaderValue};
use std::collections::BTreeMap;
use url::form_urlencoded;

/// Payload of an invocation that is not waited for.
const EVENT_BYTES_MAX: usize = 1_000_000;
/// Payload of one that is.
const REQUEST_BYTES_MAX: usize = 6_000_000;
const INVOCATION_TYPE: HeaderName = HeaderName::from_static("x-amz-invocation-type");
const FUNCTION_ERROR: &str = "x-amz-function-error";

/// Events as payloads, for one subscription.
pub(super) struct Writer {
    path: String,
    invocation: Invocation,
    form: Form,
}

#[derive(Clone, Copy)]
enum Form {
    One(Content),
    Batched(usize),
}

impl Writer {
    pub(super) fn new(config: &LambdaConfig, subscription: &SubscriptionSpec) -> Writer {
        let events = subscription
            .delivery
            .batch
            .events
            .unwrap_or(control::limits::BATCH_EVENTS_MAX);
        Writer {
            path: path(config),
            invocation: config.invocation,
            form: match subscription.target.mode {
                Some(TargetMode::Batched) => Form::Batched(usize::try_from(events).unwrap_or(usize::MAX)),
                _ => Form::One(Content::of(&subscription.target)),
            },
        }
    }

    /// Events of one invocation at most.
    pub(super) fn events_max(&self) -> usize {
        match self.form {
            Form::One(_) => 1,
            Form::Batched(events) => events,
        }
    }

    pub(super) fn write(&self, members: &[Member<'_>]) -> Result<(Call, usize), Unfit> {
        let max = match self.invocation {
            Invocation::Event => EVENT_BYTES_MAX,
            Invocation::RequestResponse => REQUEST_BYTES_MAX,
        };
        let (body, sent) = match self.form {
            Form::One(content) => (payload(content, &members[0], max)?, 1),
            Form::Batched(events) => batch(members, events, max)?,
        };
        Ok((self.call(Bytes::from(body)), sent))
    }

    fn call(&self, body: Bytes) -> Call {
        let invocation = match self.invocation {
            Invocation::Event => "Event",
            Invocation::RequestResponse => "RequestResponse",
        };
        invoke(&self.path, invocation, body)
    }

    /// A function's own error is not the event's fault: it is tried again. What a function says of single events counts.
    pub(super) fn read(&self, answer: &Answer, members: &[Member<'_>]) -> Outcomes {
        let sent = members.len();
        let whole = |outcome| Outcomes::Whole { sent, outcome };
        if let Some(kind) = answer.headers.get(FUNCTION_ERROR) {
            return whole(function_error(answer, kind));
        }
        let (Form::Batched(_), Invocation::RequestResponse) = (self.form, self.invocation) else {
            return whole(delivered(answer.status));
        };
        let ids: Vec<&str> = members.iter().map(|member| member.message_id).collect();
        let outcomes = BTreeMap::new();
        let of_one = |said| webhook::of_event(said, answer.status, &outcomes, &answer.body);
        match results::read(&answer.body, &ids) {
            Ok(Some(said)) => Outcomes::Each(said.into_iter().map(of_one).collect()),
            Ok(None) => whole(delivered(answer.status)),
            Err(unusable) => whole(Outcome {
                status: Some(answer.status.as_u16()),
                answer: beginning(&answer.body),
                ..failed(
                    Verdict::Retry { after: None },
                    "batch_results",
                    format!("the results in the function's answer cannot be used: {unusable}"),
                )
            }),
        }
    }

    /// Asks whether the function may be invoked.
    pub(super) fn probe(config: &LambdaConfig) -> Call {
        invoke(&path(config), "DryRun", Bytes::from_static(b"{}"))
    }
}

fn function_error(answer: &Answer, kind: &HeaderValue) -> Outcome {
    Outcome {
        status: Some(answer.status.as_u16()),
        answer: beginning(&answer.body),
        ..failed(
            Verdict::Retry { after: None },
            "aws_function_error",
            format!("the function failed ({})", kind.to_str().unwrap_or("unknown")),
        )
    }
}

fn invoke(path: &str, invocation: &'static str, body: Bytes) -> Call {
    Call {
        target: None,
        path: path.to_owned(),
        media_type: "application/json",
        headers: vec![(INVOCATION_TYPE, HeaderValue::from_static(invocation))],
        body,
    }
}

fn path(config: &LambdaConfig) -> String {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let qualifier = config.qualifier.as_deref();
    let query = qualifier.map_or(String::new(), |text| format!("?Qualifier={}", encode(text)));
    format!("/2015-03-31/functions/{}/invocations{query}", encode(&config.function))
}

fn payload(content: Content, member: &Member<'_>, max: usize) -> Result<Vec<u8>, Unfit> {
    if content == Content::Data && member.event.data_json().is_none() {
        let detail = "a function's payload is JSON, and the data is not; target.mode structured can carry it";
        return Err(Unfit::unsuitable(detail));
    }
    let body = content.bytes(member.event);
    match body.len() <= max {
        true => Ok(body),
        false => Err(Unfit::too_large("a payload", body.len(), max)),
    }
}

/// A JSON array of events, each with its message id; the brackets and commas count.
fn batch(members: &[Member<'_>], events: usize, max: usize) -> Result<(Vec<u8>, usize), Unfit> {
    let bounds = Bounds {
        entries: events,
        bytes: max - 2,
        alone: max - 2,
    };
    let mut body = b"[".to_vec();
    let sent = fill(bounds, members, b",", &mut body, |_, member| {
        let mut text = Vec::new();
        json::encode_structured_with(member.event, webhook::ID_EXTENSION, member.message_id, &mut text);
        let size = text.len() + 1;
        Ok(Entry { text, size })
    })?;
    body.push(b']');
    Ok((body, sent))
}
