//! Azure Event Grid's own schema, to and from CloudEvents, without loss in either direction.
//!
//! | Event Grid | CloudEvents |
//! |---|---|
//! | `id` | `id` |
//! | `topic`; absent or empty: what the caller says | `source` |
//! | `subject`; absent or empty: none | `subject` |
//! | `eventType` | `type` |
//! | `eventTime`; without a zone it is in UTC | `time` |
//! | `data` | the data: JSON, as the bytes it came in |
//! | `dataVersion`; absent or empty: none | extension `dataversion` |
//! | `metadataVersion`; absent, empty or `1`: none | extension `metadataversion` |
//! | `cloudEvent` | everything else |
//!
//! `cloudEvent` is Trunkline's addition, written only for events that need it: an object of the attributes that Event Grid's
//! schema has no place for, as CloudEvents' JSON format writes them (`dataschema`, `datacontenttype`, extensions). In it,
//! `"data_base64": true` says that `data` holds bytes in Base64, and `"time": null` that the event has no time of its own. Any
//! other member is refused rather than lost. As in CloudEvents' JSON format, `null` data is none.

use crate::{
    AttributeKind, DataForm, Event, EventView, Invalid, SPECVERSION,
    event::shown,
    json::{self, Members, Parts},
    media_type,
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The media type of an array of events.
pub const MEDIA_TYPE: &str = "application/json";
/// The extension that holds `dataVersion`.
pub const DATA_VERSION: &str = "dataversion";
/// The extension that holds `metadataVersion`.
pub const METADATA_VERSION: &str = "metadataversion";
/// The one version of the schema's metadata.
const METADATA_VERSION_DEFAULT: &str = "1";
/// The member that holds what the schema has no place for.
const REST: &str = "cloudEvent";
/// In it: `data` holds bytes.
const DATA_BASE64: &str = "data_base64";

/// Event Grid's names of attributes beside CloudEvents'.
const NAMES: [(&str, &str); 5] = [
    ("topic", "source"),
    ("eventType", "type"),
    ("eventTime", "time"),
    ("dataVersion", DATA_VERSION),
    ("metadataVersion", METADATA_VERSION),
];

/// Decodes the body of a request: entry by entry, so that a caller can keep the good ones. `Err` is about the body as a whole:
/// no JSON array, or over the limits of a batch. Events without a topic get `source`.
pub fn decode(body: &Bytes, source: &str) -> Result<Vec<Result<Event, Invalid>>, Invalid> {
    json::decode_list(body, &|body, members| {
        event_of(body, members, source).map_err(in_its_names)
    })
}

/// The one whose attributes are named as the sender named them.
fn in_its_names(mut invalid: Invalid) -> Invalid {
    if let Some((name, _)) = NAMES.iter().find(|(_, attribute)| *attribute == invalid.attribute) {
        (*name).clone_into(&mut invalid.attribute);
    }
    invalid
}

fn event_of(body: &Bytes, members: Vec<(Cow<'_, str>, &RawValue)>, source: &str) -> Result<Event, Invalid> {
    let mut parts = Parts {
        specversion: Some(Cow::Borrowed(SPECVERSION)),
        ..Parts::default()
    };
    let mut rest = None;
    for (name, raw) in &members {
        match &**name {
            REST => rest = Some(raw.get()),
            name => take(&mut parts, name, raw.get())?,
        }
    }
    json::check_names(members)?;
    parts.source = parts.source.or(Some(Cow::Borrowed(source)));
    if let Some(rest) = rest.filter(|text| *text != "null") {
        take_rest(&mut parts, rest)?;
    }
    parts.build(body)
}

/// Takes a member of the schema.
fn take<'a>(parts: &mut Parts<'a>, name: &str, raw: &'a str) -> Result<(), Invalid> {
    let text = || match raw {
        "null" => Ok(None),
        _ => json::string(name, raw).map(|text| Some(text).filter(|text| !text.is_empty())),
    };
    match name {
        "id" => parts.id = text()?,
        "topic" => parts.source = text()?,
        "subject" => parts.subject = text()?,
        "eventType" => parts.event_type = text()?,
        "eventTime" => parts.time = text()?.map(in_utc),
        "dataVersion" => put_extension(parts, DATA_VERSION, text()?),
        "metadataVersion" => {
            let version = text()?.filter(|version| version != METADATA_VERSION_DEFAULT);
            put_extension(parts, METADATA_VERSION, version);
        }
        "data" => parts.data = (raw != "null").then_some(raw),
        _ => {
            let rule = "is no member of the Event Grid schema (id, topic, subject, eventType, eventTime, data, dataVersion, \
                        metadataVersion)";
            return Err(Invalid::attribute(shown(name), rule));
        }
    }
    Ok(())
}

fn put_extension(parts: &mut Parts<'_>, name: &str, value: Option<Cow<'_, str>>) {
    parts.extensions.extend(value.map(|value| crate::Extension {
        name: name.to_owned(),
        value: value.into_owned(),
        kind: AttributeKind::String,
    }));
}

/// A time without a zone, as Event Grid's own SDKs may write it, is in UTC.
fn in_utc(time: Cow<'_, str>) -> Cow<'_, str> {
    /// Bytes of a date; a minus sign behind it belongs to a zone.
    const DATE_BYTES: usize = "2026-01-31T".len();
    let is_local = time
        .get(DATE_BYTES..)
        .is_some_and(|clock| !clock.contains(['Z', 'z', '+', '-']));
    if is_local {
        return Cow::Owned(format!("{time}Z"));
    }
    time
}

/// Takes the attributes that the schema has no place for; they stand instead of what its members said.
fn take_rest<'a>(parts: &mut Parts<'a>, raw: &'a str) -> Result<(), Invalid> {
    let object = |reason: String| Invalid::attribute(REST, format!("must be an object of attributes: {reason}"));
    if !raw.starts_with('{') {
        return Err(object("it is none".to_owned()));
    }
    let Members(members) = serde_json::from_str(raw).map_err(|error| object(error.to_string()))?;
    let mut is_base64 = false;
    for (name, raw) in &members {
        match (&**name, raw.get()) {
            (DATA_BASE64, "true") => is_base64 = true,
            (DATA_BASE64, "false") => {}
            (DATA_BASE64, _) => return Err(Invalid::attribute(DATA_BASE64, "must be true or false")),
            ("time", "null") => parts.time = None,
            ("id" | "source" | "type" | "subject" | "time" | "specversion" | "data", _) => {
                return Err(Invalid::attribute(
                    &**name,
                    "does not belong into cloudEvent: the schema has a place for it",
                ));
            }
            (name, raw) => {
                parts.extensions.retain(|extension| extension.name != name);
                parts.take(name, raw)?;
            }
        }
    }
    json::check_names(members)?;
    if is_base64 {
        let data = parts.data.take();
        let bytes = data
            .filter(|raw| raw.starts_with('"'))
            .ok_or_else(|| Invalid::data("must be a string of Base64, as cloudEvent's data_base64 says"))?;
        parts.data_base64 = Some(json::string("data", bytes)?);
    }
    Ok(())
}

/// Appends an event. One without a time gets `now` (RFC 3339), because the schema wants one.
pub fn encode(event: &EventView<'_>, now: &str, out: &mut Vec<u8>) {
    put(event, now, None, out);
}

/// The same with one extension more, a string, that stands instead of one that the event may have under that name.
pub fn encode_with(event: &EventView<'_>, now: &str, added: (&str, &str), out: &mut Vec<u8>) {
    put(event, now, Some(added), out);
}

fn put(event: &EventView<'_>, now: &str, added: Option<(&str, &str)>, out: &mut Vec<u8>) {
    out.push(b'{');
    let members = [
        ("id", event.id()),
        ("topic", event.source()),
        ("subject", event.subject().unwrap_or_default()),
        ("eventType", event.event_type()),
        ("eventTime", event.time().unwrap_or(now)),
        ("dataVersion", text_extension(event, DATA_VERSION).unwrap_or_default()),
        (
            "metadataVersion",
            metadata_version(event).unwrap_or(METADATA_VERSION_DEFAULT),
        ),
    ];
    for (name, value) in members {
        json::put_name(out, name);
        json::put_string(out, value);
    }
    json::put_name(out, "data");
    let is_base64 = put_data(event, out);
    put_rest(event, is_base64, added, out);
    out.push(b'}');
}

/// Appends the data; whether it stands there in Base64.
fn put_data(event: &EventView<'_>, out: &mut Vec<u8>) -> bool {
    let Some(bytes) = event.data() else {
        out.extend_from_slice(b"null");
        return false;
    };
    match json::plain(event, bytes) {
        Some(json::Plain::Json(json)) => out.extend_from_slice(json),
        Some(json::Plain::Text(text)) => json::put_string(out, text),
        None => {
            json::put_string(out, &BASE64.encode(bytes));
            return true;
        }
    }
    false
}

/// The value of an extension that a member of the schema can hold.
fn text_extension<'a>(event: &EventView<'a>, name: &str) -> Option<&'a str> {
    let found = event.extensions().iter().find(|extension| extension.name == name)?;
    (found.kind == AttributeKind::String && !found.value.is_empty()).then_some(found.value)
}

/// `1` would be read as none.
fn metadata_version<'a>(event: &EventView<'a>) -> Option<&'a str> {
    text_extension(event, METADATA_VERSION).filter(|version| *version != METADATA_VERSION_DEFAULT)
}

/// Appends `cloudEvent`, if the event has anything that belongs there.
fn put_rest(event: &EventView<'_>, is_base64: bool, added: Option<(&str, &str)>, out: &mut Vec<u8>) {
    let before = out.len();
    json::put_name(out, REST);
    out.push(b'{');
    let empty = out.len();
    put_rest_of_core(event, is_base64, out);
    if let Some((name, value)) = added {
        json::put_name(out, name);
        json::put_string(out, value);
    }
    let is_added = |name: &str| added.is_some_and(|(added, _)| added == name);
    for extension in event.extensions().iter().filter(|extension| !is_added(extension.name)) {
        let has_place = match extension.name {
            DATA_VERSION => text_extension(event, DATA_VERSION).is_some(),
            METADATA_VERSION => metadata_version(event).is_some(),
            _ => false,
        };
        if !has_place {
            json::put_name(out, extension.name);
            json::put_value(out, extension);
        }
    }
    if out.len() == empty {
        return out.truncate(before);
    }
    out.push(b'}');
}

fn put_rest_of_core(event: &EventView<'_>, is_base64: bool, out: &mut Vec<u8>) {
    if event.time().is_none() {
        json::put_name(out, "time");
        out.extend_from_slice(b"null");
    }
    // JSON data is of this type unless somebody says otherwise.
    let is_implied = event.data().is_some()
        && event.data_form() == DataForm::Json
        && !is_base64
        && event.data_content_type() == Some(media_type::JSON);
    let content_type = event.data_content_type().filter(|_| !is_implied);
    for (name, value) in [("datacontenttype", content_type), ("dataschema", event.data_schema())] {
        if let Some(value) = value {
            json::put_name(out, name);
            json::put_string(out, value);
        }
    }
    if is_base64 {
        json::put_name(out, DATA_BASE64);
        out.extend_from_slice(b"true");
    }
}

#[cfg(test)]
mod tests;
