//! Amazon EventBridge: an entry of `PutEvents`, from and to events, and what the members of an envelope are of an event. Pure, and
//! lossless both ways. (The envelope itself is written by the crate `transform`.)
//!
//! | EventBridge | CloudEvents |
//! |---|---|
//! | `Source` | `source`; where it is no URI-reference (`my shop`) percent-encoded, and as it was in the extension `awssource` |
//! | `DetailType` | `type` |
//! | `Detail` | the data, as the same bytes, of type `application/json` |
//! | `Time` | `time`; absent: absent, and the envelope has the time at which the event was appended |
//! | `Resources` | the extension `awsresources`, a JSON list; none: absent. `trunkline:hops:N` is what another bus wrote: [`hops`] |
//! | `TraceHeader` | the extension `awstraceheader`, and what it says of W3C's trace in `traceparent` |
//! | `id` | `id` |
//! | `account`, `region` | the extensions `awsaccount` and `awsregion`; absent: [`ACCOUNT_DEFAULT`] and [`REGION_DEFAULT`] |
//! | `version` | always [`VERSION`] |
//!
//! An envelope has `time` in UTC to the second, as AWS does; the event keeps its own. What CloudEvents have beyond this (`subject`,
//! `dataschema`, other extensions) is in no envelope; the event keeps it too. Limits of AWS's service are the door's business.

mod epoch;
mod trace;

pub use epoch::{envelope_time, epoch_of, time_of_epoch};

use crate::{Data, Event, EventView, Invalid, hops, json, rules};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::borrow::Cow;

/// `account` of events that say none.
pub const ACCOUNT_DEFAULT: &str = "000000000000";
/// `region` of events that say none.
pub const REGION_DEFAULT: &str = "us-east-1";
/// `version` of every envelope.
pub const VERSION: &str = "0";

/// The extension of a `Source` that is no URI-reference.
const SOURCE: &str = "awssource";
/// The extension of `Resources`.
const RESOURCES: &str = "awsresources";
/// The extension of `account`.
const ACCOUNT: &str = "awsaccount";
/// The extension of `region`.
const REGION: &str = "awsregion";
/// The extension of `TraceHeader`.
const TRACE_HEADER: &str = "awstraceheader";
/// W3C's trace, an extension that CloudEvents documents.
const TRACE_PARENT: &str = "traceparent";

/// What stays as it is in a source that must be encoded: what RFC 3986 calls unreserved, and `/`, so that paths stay paths.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// An entry of `PutEvents`, with what its envelope adds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Any text, not empty.
    pub source: Cow<'a, str>,
    /// Any text, not empty.
    pub detail_type: Cow<'a, str>,
    /// The text of a JSON object.
    pub detail: Cow<'a, str>,
    /// When it happened, RFC 3339.
    pub time: Option<Cow<'a, str>>,
    /// What it is about, usually ARNs.
    pub resources: Vec<Cow<'a, str>>,
    /// An X-Ray trace header.
    pub trace_header: Option<Cow<'a, str>>,
    /// The account it came from.
    pub account: Option<Cow<'a, str>>,
    /// The region it came from.
    pub region: Option<Cow<'a, str>>,
}

impl<'a> Entry<'a> {
    /// The event of this entry. An error names the entry's own member: `Source`, `DetailType`, `Detail`, `Time`, `Resources` or
    /// `TraceHeader`; that of a detail has the code of invalid data.
    pub fn into_event(self, id: impl Into<String>) -> Result<Event, Invalid> {
        let given = self.source;
        let source = uri_of(&given);
        let is_changed = matches!(source, Cow::Owned(_));
        let source = source.into_owned();
        let mut builder = Event::builder(id, source, self.detail_type);
        if is_changed {
            builder = builder.extension(SOURCE, given);
        }
        if let Some(time) = self.time {
            builder = builder.time(time);
        }
        let hops = self.resources.iter().filter_map(|one| hops::from_marker(one)).max();
        if let Some(hops) = hops {
            builder = builder.extension(hops::EXTENSION, hops.to_string());
        }
        let is_ordinary = |one: &&Cow<'_, str>| hops::from_marker(one).is_none();
        let resources: Vec<_> = self.resources.iter().filter(is_ordinary).collect();
        if !resources.is_empty() {
            let list = serde_json::to_string(&resources).expect("a list of strings always serialises");
            builder = builder.extension(RESOURCES, list);
        }
        let places = [
            (ACCOUNT, self.account, ACCOUNT_DEFAULT),
            (REGION, self.region, REGION_DEFAULT),
        ];
        for (name, value, default) in places {
            if let Some(value) = value.filter(|value| value != default) {
                builder = builder.extension(name, value);
            }
        }
        if let Some(header) = self.trace_header {
            if let Some(parent) = trace::parent_of(&header) {
                builder = builder.extension(TRACE_PARENT, parent);
            }
            builder = builder.extension(TRACE_HEADER, header);
        }
        let data = detail(self.detail.into_owned())?;
        builder
            .data_content_type("application/json")
            .data_checked(data)
            .build()
            .map_err(in_words_of_an_entry)
    }

    /// The entry of an event. An error says that the data is no JSON object, which a detail must be.
    pub fn of(event: &'a EventView<'_>) -> Result<Entry<'a>, Invalid> {
        let none = || Invalid::data("is no JSON object, and EventBridge takes no other detail");
        let detail = event.data_json().and_then(|json| std::str::from_utf8(json).ok());
        let detail = detail.filter(|text| is_object(text)).ok_or_else(none)?;
        if !event.json_is_checked() {
            json::check(detail.as_bytes()).map_err(|_| none())?;
        }
        Ok(Entry {
            source: Cow::Borrowed(source(event)),
            detail_type: Cow::Borrowed(event.event_type()),
            detail: Cow::Borrowed(detail),
            time: event.time().map(Cow::Borrowed),
            resources: resources(event).map(Cow::Owned).collect(),
            trace_header: trace_header(event),
            account: event.extension(ACCOUNT).map(Cow::Borrowed),
            region: event.extension(REGION).map(Cow::Borrowed),
        })
    }
}

/// The source as EventBridge has it: that of the extension, where the source is its encoded form, and else the source itself, so
/// that no extension can pass an event off as another source's.
pub fn source<'a>(event: &EventView<'a>) -> &'a str {
    let source = event.source();
    // Only an encoded source has one.
    if !source.contains('%') {
        return source;
    }
    match event.extension(SOURCE) {
        Some(given) if uri_of(given) == source => given,
        _ => source,
    }
}

/// `account` of an event.
pub fn account<'a>(event: &EventView<'a>) -> &'a str {
    account_or(event, ACCOUNT_DEFAULT)
}

/// `account` of an event, or this one where it says none.
pub fn account_or<'a>(event: &EventView<'a>, default: &'a str) -> &'a str {
    event.extension(ACCOUNT).unwrap_or(default)
}

/// `region` of an event.
pub fn region<'a>(event: &EventView<'a>) -> &'a str {
    region_or(event, REGION_DEFAULT)
}

/// `region` of an event, or this one where it says none.
pub fn region_or<'a>(event: &EventView<'a>, default: &'a str) -> &'a str {
    event.extension(REGION).unwrap_or(default)
}

/// `resources` of an event, as JSON text. It is a list unless somebody else than a door of ours wrote the extension.
pub fn resources_json<'a>(event: &EventView<'a>) -> &'a str {
    event.extension(RESOURCES).unwrap_or("[]")
}

/// A source as CloudEvents take it: itself where it is a URI-reference, else percent-encoded.
fn uri_of(source: &str) -> Cow<'_, str> {
    if source.is_empty() || rules::uri_reference(source).is_ok() {
        return Cow::Borrowed(source);
    }
    Cow::Owned(utf8_percent_encode(source, ENCODED).to_string())
}

/// A detail as data. It is read once.
fn detail(text: String) -> Result<Data, Invalid> {
    let malformed = |rule: String| Invalid::new(crate::codes::DATA_INVALID, "Detail", rule);
    if !is_object(&text) {
        return Err(malformed("must be the text of a JSON object".to_owned()));
    }
    json::check(text.as_bytes()).map_err(|reason| malformed(format!("is not JSON: {reason}")))?;
    Ok(Data::json(text))
}

fn is_object(json: &str) -> bool {
    json.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{')
}

/// What the event is about, as the entry said it: strings alone.
pub fn resources(event: &EventView<'_>) -> impl Iterator<Item = String> + use<> {
    let list: Vec<serde_json::Value> = serde_json::from_str(resources_json(event)).unwrap_or_default();
    list.into_iter().filter_map(|value| match value {
        serde_json::Value::String(text) => Some(text),
        _ => None,
    })
}

/// The trace header that came, or one made of W3C's trace.
pub fn trace_header<'a>(event: &EventView<'a>) -> Option<Cow<'a, str>> {
    match event.extension(TRACE_HEADER) {
        Some(header) => Some(Cow::Borrowed(header)),
        None => trace::header_of(event.extension(TRACE_PARENT)?).map(Cow::Owned),
    }
}

/// Who sent an entry knows its members, not the attributes that they become.
fn in_words_of_an_entry(mut invalid: Invalid) -> Invalid {
    let member = match invalid.attribute.as_str() {
        "source" | SOURCE => "Source",
        "type" => "DetailType",
        "data" => "Detail",
        "time" => "Time",
        RESOURCES => "Resources",
        TRACE_HEADER | TRACE_PARENT => "TraceHeader",
        _ => return invalid,
    };
    invalid.attribute = member.to_owned();
    invalid
}

#[cfg(test)]
mod tests;
