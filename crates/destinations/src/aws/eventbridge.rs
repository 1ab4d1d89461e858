//! Amazon EventBridge: events as entries of `PutEvents`, up to ten in a request.

use super::{
    access::Call,
    answer::{Answer, Said},
    fill::{Bounds, Content, Entry, Unfit, fill, quoted},
};
use bytes::Bytes;
use control::{
    limits::{AWS_TEXT_CHARACTERS_MAX, DETAIL_TYPE_CHARACTERS_MAX},
    resources::{EventBridgeApi, EventBridgeConfig, SubscriptionSpec, TargetMode},
};
use delivery::Member;
use event::{EventView, eventbridge, hops};
use serde::Deserialize;
use serde_json::json;
use std::borrow::Cow;

/// What EventBridge takes in a request, all entries together, counted as [`size`] does.
const REQUEST_BYTES_MAX: usize = (1 << 20) - 1;
const BOUNDS: Bounds = Bounds {
    entries: 10,
    bytes: REQUEST_BYTES_MAX,
    alone: REQUEST_BYTES_MAX,
};
/// What EventBridge counts for a time.
const TIME_BYTES: usize = 14;
/// Characters of a trace header.
const TRACE_CHARACTERS_MAX: usize = 500;
const MEDIA_TYPE: &str = "application/x-amz-json-1.1";

/// Events as entries, for one subscription.
pub(super) struct Writer {
    event_bus: Option<String>,
    source: Option<String>,
    detail_type: Option<String>,
    content: Content,
    api: EventBridgeApi,
}

impl Writer {
    pub(super) fn new(config: &EventBridgeConfig, subscription: &SubscriptionSpec) -> Writer {
        let target = &subscription.target;
        Writer {
            event_bus: config.event_bus.clone(),
            source: config.source.clone(),
            detail_type: target.detail_type.clone(),
            content: match target.mode {
                Some(TargetMode::Structured) => Content::Structured,
                _ => Content::Data,
            },
            api: config.api,
        }
    }

    pub(super) fn write(&self, members: &[Member<'_>]) -> Result<(Call, usize), Unfit> {
        let mut body = br#"{"Entries":["#.to_vec();
        let sent = fill(BOUNDS, members, b",", &mut body, |_, member| self.entry(member.event))?;
        body.extend_from_slice(b"]}");
        let call = Call {
            target: Some("AWSEvents.PutEvents"),
            path: "/".to_owned(),
            media_type: MEDIA_TYPE,
            headers: Vec::new(),
            body: Bytes::from(body),
        };
        Ok((call, sent))
    }

    fn entry(&self, event: &EventView<'_>) -> Result<Entry, Unfit> {
        let source = self.source.as_deref().unwrap_or(eventbridge::source(event));
        let detail_type = self.detail_type.as_deref().unwrap_or(event.event_type());
        for (name, text, max) in [
            ("source", source, AWS_TEXT_CHARACTERS_MAX),
            ("type", detail_type, DETAIL_TYPE_CHARACTERS_MAX),
        ] {
            if text.chars().count() > max {
                return Err(Unfit::unsuitable(format!("its {name} has more than {max} characters")));
            }
        }
        let detail = self.detail(event)?;
        let resources = resources(event)?;
        let time = event.time().and_then(eventbridge::epoch_of);
        let size = source.len()
            + detail_type.len()
            + detail.len()
            + resources.iter().map(String::len).sum::<usize>()
            + time.as_ref().map_or(0, |_| TIME_BYTES);
        let mut text = Vec::with_capacity(detail.len() + detail.len() / 8 + 256);
        let mut field = |name: &str, value: &str| {
            text.extend_from_slice(name.as_bytes());
            quoted(value, &mut text);
        };
        field(r#"{"Source":"#, source);
        field(r#","DetailType":"#, detail_type);
        field(r#","Detail":"#, &detail);
        if self.api == EventBridgeApi::Eventbridge {
            if let Some(bus) = &self.event_bus {
                field(r#","EventBusName":"#, bus);
            }
            if let Some(trace) = trace(event) {
                field(r#","TraceHeader":"#, &trace);
            }
        }
        if let Some(time) = time {
            text.extend_from_slice(format!(r#","Time":{time}"#).as_bytes());
        }
        text.extend_from_slice(br#","Resources":"#);
        serde_json::to_writer(&mut text, &resources).expect("strings are written to memory");
        text.push(b'}');
        Ok(Entry { text, size })
    }

    /// A JSON object, as text.
    fn detail<'a>(&self, event: &'a EventView<'_>) -> Result<Cow<'a, str>, Unfit> {
        const RULE: &str =
            "EventBridge's detail is a JSON object, and the data is none; target.mode structured can carry it";
        match self.content {
            Content::Structured => self.content.text(event).map(Cow::Owned),
            Content::Data => match eventbridge::Entry::of(event) {
                Ok(entry) => Ok(entry.detail),
                Err(_) => Err(Unfit::unsuitable(RULE)),
            },
        }
    }

    /// What is said of each entry, in their order.
    pub(super) fn read(answer: &Answer, sent: usize) -> Result<Vec<Option<Said>>, &'static str> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Body {
            entries: Vec<One>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct One {
            event_id: Option<String>,
            error_code: Option<String>,
            error_message: Option<String>,
        }
        let body: Body = serde_json::from_slice(&answer.body).map_err(|_| "it is not what PutEvents answers")?;
        if body.entries.len() != sent {
            return Err("it does not speak of each entry once");
        }
        let said = |one: One| match (one.error_code, one.event_id) {
            (None, Some(_)) => None,
            (code, _) => Some(Said {
                code: code.unwrap_or_default(),
                message: one.error_message.unwrap_or_default(),
                is_senders_fault: false,
            }),
        };
        Ok(body.entries.into_iter().map(said).collect())
    }

    /// Looks for the bus.
    pub(super) fn probe(config: &EventBridgeConfig) -> Call {
        Call {
            target: Some("AWSEvents.DescribeEventBus"),
            path: "/".to_owned(),
            media_type: MEDIA_TYPE,
            headers: Vec::new(),
            body: Bytes::from(json!({"Name": config.event_bus.as_deref().unwrap_or("default")}).to_string()),
        }
    }
}

/// What the event brought along, and the count of buses it has left.
fn resources(event: &EventView<'_>) -> Result<Vec<String>, Unfit> {
    let hops = hops::next(event).map_err(|loops| Unfit {
        reason: "too_many_hops",
        detail: loops.to_string(),
    })?;
    let given = eventbridge::resources(event).filter(|one| hops::from_marker(one).is_none());
    Ok(given.chain([hops::marker(hops)]).collect())
}

/// The header that came with the event, or the one that goes on with its W3C trace.
fn trace<'a>(event: &EventView<'a>) -> Option<Cow<'a, str>> {
    eventbridge::trace_header(event).filter(|trace| trace.chars().count() <= TRACE_CHARACTERS_MAX)
}
