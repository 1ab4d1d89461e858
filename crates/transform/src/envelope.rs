//! An event as EventBridge shows it: nine members, of which `detail` is the data. Paths begin at its top, and a target without an
//! input of its own gets it whole.

use crate::{
    json::{self, Quotes, put_string, put_value},
    path::{Found, InputPath, Step, find},
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
}

impl Default for Context<'_> {
    fn default() -> Self {
        Self {
            account: eventbridge::ACCOUNT_DEFAULT,
            region: eventbridge::REGION_DEFAULT,
            accepted: 0,
            rule_name: "",
            rule_arn: "",
        }
    }
}

/// A member of the envelope.
#[derive(Clone, Debug)]
enum Value<'a> {
    Text(Cow<'a, str>),
    /// A JSON text that has been checked.
    Json(&'a [u8]),
}

/// An event in its EventBridge envelope. Text is a string as `detail`, bytes are a string of Base64, no data is an empty object.
#[derive(Clone, Debug)]
pub struct Envelope<'a> {
    members: [(&'static str, Value<'a>); MEMBERS],
    detail: Cow<'a, [u8]>,
}

/// Members beside `detail`.
const MEMBERS: usize = 8;
const DETAIL: &str = "detail";
/// What stands around the values, about; a first size for a buffer.
pub(crate) const OVERHEAD_BYTES: usize = 256;

/// A piece that a path found in an envelope.
#[derive(Clone, Debug)]
pub(crate) enum Piece<'a> {
    Missing,
    /// Part of the data, or the resources.
    Json(Found<'a>),
    /// One of the attributes.
    Text(Cow<'a, str>),
    /// All of it.
    Whole,
}

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
                ("resources", Value::Json(if is_list { resources } else { b"[]" })),
            ],
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

    /// What stands at a path: a text as it is, any other value as JSON; `None`: nothing does, or null.
    pub fn text_at(&self, path: &InputPath) -> Option<String> {
        let mut json = Vec::new();
        if !put_piece(&mut json, self, &self.find(path), Quotes::Kept) {
            return None;
        }
        match serde_json::from_slice(&json) {
            Ok(serde_json::Value::String(text)) => Some(text),
            Ok(serde_json::Value::Null) | Err(_) => None,
            // As it is written: a number keeps its digits.
            Ok(_) => String::from_utf8(json).ok(),
        }
    }

    /// Bytes of it, about.
    pub(crate) fn size(&self) -> usize {
        OVERHEAD_BYTES + self.detail.len()
    }

    pub(crate) fn write_as(&self, out: &mut Vec<u8>, spelling: Spelling, quotes: Quotes) {
        out.push(b'{');
        for (index, (name, value)) in self.members.iter().enumerate() {
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

    /// What a path names.
    pub(crate) fn find(&self, path: &InputPath) -> Piece<'_> {
        let [first, rest @ ..] = path.steps() else {
            return Piece::Whole;
        };
        let Step::Member(name) = first else {
            return Piece::Missing;
        };
        if &**name == DETAIL {
            return Piece::Json(find(&self.detail, rest));
        }
        match self.members.iter().find(|(member, _)| member == &&**name) {
            Some((_, Value::Text(text))) if rest.is_empty() => Piece::Text(Cow::Borrowed(text)),
            Some((_, Value::Json(json))) => Piece::Json(find(json, rest)),
            _ => Piece::Missing,
        }
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

/// The value that stands for a piece in JSON, if it is there.
pub(crate) fn put_piece(out: &mut Vec<u8>, envelope: &Envelope<'_>, piece: &Piece<'_>, quotes: Quotes) -> bool {
    match piece {
        Piece::Missing | Piece::Json(Found::Nothing) => return false,
        Piece::Whole => envelope.write_as(out, Spelling::Envelope, quotes),
        Piece::Text(text) => put_text(out, text, quotes),
        Piece::Json(Found::One(value)) => put_value(out, json::value(value), quotes),
        Piece::Json(Found::List(list)) => {
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
