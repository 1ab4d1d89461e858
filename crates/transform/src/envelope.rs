//! An event as EventBridge shows it: nine members, of which `detail` is the data, and the name of the replay that it comes by. Paths begin at its top, and a target without an
//! input of its own gets it whole.

use crate::{
    json::{self, Quotes, put_string, put_value},
    paths::{Pieces, Place},
    walk::Found,
};
use event::{EventView, eventbridge};
use jiff::Timestamp;
use std::borrow::Cow;

/// What an envelope and a template take from elsewhere than the event.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// `account` of an event that says none.
    pub account: &'a str,
    /// `region` of an event that says none.
    pub region: &'a str,
    /// When the event was accepted, in milliseconds since the epoch.
    pub accepted: i64,
    /// The rule that matched.
    pub rule_name: &'a str,
    /// Its ARN.
    pub rule_arn: &'a str,
    /// The replay that the event comes by.
    pub replay_name: Option<&'a str>,
}

impl Default for Context<'_> {
    fn default() -> Self {
        Self {
            account: eventbridge::ACCOUNT_DEFAULT,
            region: eventbridge::REGION_DEFAULT,
            accepted: 0,
            rule_name: "",
            rule_arn: "",
            replay_name: None,
        }
    }
}

/// A member of the envelope.
#[derive(Clone, Debug)]
enum Value<'a> {
    Text(Cow<'a, str>),
    /// A JSON text that has been checked.
    Json(Cow<'a, [u8]>),
}

/// An event in its EventBridge envelope. Text is a string as `detail`, bytes are a string of Base64, no data is an empty object.
#[derive(Clone, Debug)]
pub struct Envelope<'a> {
    members: [(&'static str, Value<'a>); MEMBERS],
    /// Of an event that a replay brings.
    replay_name: Option<(&'static str, Value<'a>)>,
    detail: Cow<'a, [u8]>,
}

/// Members that every envelope has beside `detail`.
const MEMBERS: usize = 8;
pub(crate) const DETAIL: &str = "detail";
pub(crate) const RESOURCES: &str = "resources";
const REPLAY_NAME: &str = "replay-name";
/// What stands around the values, about; a first size for a buffer.
pub(crate) const OVERHEAD_BYTES: usize = 256;

impl<'a> Envelope<'a> {
    /// The envelope of an event.
    pub fn new(event: &EventView<'a>, context: &Context<'a>) -> Self {
        let text = |text: &'a str| Value::Text(Cow::Borrowed(text));
        let resources = eventbridge::resources_json(event).as_bytes();
        let is_list = resources.starts_with(b"[") && event::json::check(resources).is_ok();
        let known = |json: &&[u8]| event.json_is_checked() || event::json::check(json).is_ok();
        Self {
            members: [
                ("version", text(eventbridge::VERSION)),
                ("id", text(event.id())),
                ("detail-type", text(event.event_type())),
                ("source", text(eventbridge::source(event))),
                ("account", text(eventbridge::account_or(event, context.account))),
                ("time", Value::Text(time(event.time(), context.accepted))),
                ("region", text(eventbridge::region_or(event, context.region))),
                (
                    RESOURCES,
                    Value::Json(Cow::Borrowed(if is_list { resources } else { b"[]" })),
                ),
            ],
            replay_name: context.replay_name.map(|name| (REPLAY_NAME, text(name))),
            detail: match event.data_json().filter(known) {
                Some(json) => Cow::Borrowed(json),
                None => other_detail(event),
            },
        }
    }

    /// Appends it as JSON.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.write_as(out, Spelling::Envelope, Quotes::Kept);
    }

    /// The same without white space between the tokens of its JSON, so that what is copied out of it many times costs no more than
    /// what is written.
    pub(crate) fn compact(mut self) -> Self {
        let compact = |text: &mut Cow<'a, [u8]>| {
            *text = match std::mem::take(text) {
                Cow::Borrowed(text) => json::compact(text),
                Cow::Owned(text) => Cow::Owned(json::compact(&text).into_owned()),
            };
        };
        compact(&mut self.detail);
        for (_, value) in &mut self.members {
            if let Value::Json(json) = value {
                compact(json);
            }
        }
        self
    }

    /// `detail`, as JSON.
    pub(crate) fn detail(&self) -> &[u8] {
        &self.detail
    }

    /// `resources`, as JSON.
    pub(crate) fn resources(&self) -> &[u8] {
        match self.member(RESOURCES) {
            Some(Value::Json(json)) => json,
            _ => b"[]",
        }
    }

    fn member(&self, name: &str) -> Option<&Value<'a>> {
        let mut members = self.members();
        members.find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// All but `detail`.
    fn members(&self) -> impl Iterator<Item = &(&'static str, Value<'a>)> {
        self.members.iter().chain(&self.replay_name)
    }

    /// Bytes of it, about.
    pub(crate) fn size(&self) -> usize {
        OVERHEAD_BYTES + self.detail.len()
    }

    pub(crate) fn write_as(&self, out: &mut Vec<u8>, spelling: Spelling, quotes: Quotes) {
        out.push(b'{');
        for (index, (name, value)) in self.members().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            put_text(out, spelling.of(name), quotes);
            out.push(b':');
            match value {
                Value::Text(text) => put_text(out, text, quotes),
                Value::Json(json) => put_value(out, json, quotes),
            }
        }
        if spelling == Spelling::Envelope {
            out.push(b',');
            put_text(out, DETAIL, quotes);
            out.push(b':');
            put_value(out, &self.detail, quotes);
        }
        out.push(b'}');
    }
}

/// What stands for data that is no JSON.
fn other_detail<'a>(event: &EventView<'_>) -> Cow<'a, [u8]> {
    if event.data().is_none() {
        return Cow::Borrowed(b"{}");
    }
    let mut detail = Vec::new();
    event::json::encode_data(event, &mut detail);
    Cow::Owned(detail)
}

/// How an envelope is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// As targets get it.
    Envelope,
    /// As `<aws.events.event>` has it: without `detail`, and with one name in camel case.
    WithoutDetail,
}

impl Spelling {
    fn of(self, name: &'static str) -> &'static str {
        match self {
            Self::WithoutDetail if name == "detail-type" => "detailType",
            _ => name,
        }
    }
}

/// Appends a text as JSON, in quotes or for the inside of a string.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str, quotes: Quotes) {
    let begin = out.len();
    put_string(out, text);
    if quotes == Quotes::Dropped {
        out.pop();
        out.remove(begin);
    }
}

/// An event's time in UTC to the second; the append time where it has none.
fn time(time: Option<&str>, accepted: i64) -> Cow<'_, str> {
    let Some(text) = time else {
        return Cow::Owned(second(accepted));
    };
    let mut written = String::new();
    match eventbridge::envelope_time(text, &mut written) == text {
        true => Cow::Borrowed(text),
        false => Cow::Owned(written),
    }
}

/// A time to the second, as EventBridge writes it.
pub(crate) fn second(millis: i64) -> String {
    Timestamp::from_second(millis.div_euclid(1_000))
        .unwrap_or_default()
        .to_string()
}

impl Pieces<'_> {
    /// Appends the JSON of what a path found, if it found anything.
    pub(crate) fn put(&self, out: &mut Vec<u8>, path: usize, quotes: Quotes) -> bool {
        let found = match &self.places[path] {
            Place::Nowhere => return false,
            Place::Whole => {
                self.envelope.write_as(out, Spelling::Envelope, quotes);
                return true;
            }
            Place::Attribute(name) => {
                let Some(Value::Text(text)) = self.envelope.member(name) else {
                    return false;
                };
                put_text(out, text, quotes);
                return true;
            }
            Place::Detail(number) => &self.detail[*number],
            Place::Resources(number) => &self.resources[*number],
        };
        put_found(out, found, quotes)
    }
}

fn put_found(out: &mut Vec<u8>, found: &Found<'_>, quotes: Quotes) -> bool {
    match found {
        Found::Nothing => return false,
        Found::One(value) => put_value(out, value, quotes),
        Found::List(list) => {
            out.push(b'[');
            for (index, value) in list.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                put_value(out, value, quotes);
            }
            out.push(b']');
        }
    }
    true
}
