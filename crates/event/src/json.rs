//! The JSON event format and the JSON batch format of CloudEvents 1.0. JSON data passes through as the bytes it came in:
//! it is checked, never parsed into values and written again.

use crate::{
    AttributeKind, Data, DataForm, Event, EventBuilder, EventView, Invalid, codes, event::shown, limits, media_type,
    scan,
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};

/// The media type of one event.
pub const MEDIA_TYPE: &str = "application/cloudevents+json";
/// The media type of a batch.
pub const BATCH_MEDIA_TYPE: &str = "application/cloudevents-batch+json";

/// Checks that bytes are one JSON value in UTF-8, nested within [`limits::JSON_DEPTH_MAX`]. The error is a fragment without
/// any of the text.
pub fn check(bytes: &[u8]) -> Result<(), String> {
    let text = checked_text(bytes, 0)?;
    serde_json::from_str::<IgnoredAny>(text)
        .map(drop)
        .map_err(|error| error.to_string())
}

/// Whether text, JSON or not, has at most so many brackets open at once: a reader that recurses is safe then.
pub fn nests_within(text: &[u8], depth_max: usize) -> bool {
    scan::depth_fits(text, depth_max)
}

/// Levels that structured mode puts around data: the event's object.
const STRUCTURED_LEVELS: usize = 1;
/// Levels that batched mode puts around data: the array and the event's object.
const BATCH_LEVELS: usize = 2;

/// The text, with so many levels around data. Nothing but data nests in an event: attributes are scalars.
pub(crate) fn checked_text(bytes: &[u8], levels: usize) -> Result<&str, String> {
    if !scan::depth_fits(bytes, limits::JSON_DEPTH_MAX + levels) {
        return Err(format!("it is nested deeper than {} levels", limits::JSON_DEPTH_MAX));
    }
    std::str::from_utf8(bytes).map_err(|error| format!("it is not UTF-8 at byte {}", error.valid_up_to()))
}

/// Decodes one event from the body of a structured-mode message.
pub fn decode_structured(body: &Bytes) -> Result<Event, Invalid> {
    let text = checked_text(body, STRUCTURED_LEVELS).map_err(Invalid::body)?;
    decode_event(body, text, &event_of)
}

/// Decodes the body of a batched-mode message: entry by entry, so that a caller can keep the good ones. `Err` is about the
/// batch as a whole: not a JSON array, or over its limits.
pub fn decode_batch(body: &Bytes) -> Result<Vec<Result<Event, Invalid>>, Invalid> {
    decode_list(body, &event_of)
}

/// Makes an event of the members of its object, values unread, whose text lies in the body.
pub(crate) type Read<'r> = &'r dyn for<'a> Fn(&Bytes, Vec<(Cow<'a, str>, &'a RawValue)>) -> Result<Event, Invalid>;

/// The events of a JSON array of objects, in whatever schema.
pub(crate) fn decode_list(body: &Bytes, read: Read<'_>) -> Result<Vec<Result<Event, Invalid>>, Invalid> {
    if body.len() > limits::BATCH_BYTES_MAX {
        let rule = format!(
            "takes {} bytes; the limit of a batch is {} bytes",
            body.len(),
            limits::BATCH_BYTES_MAX
        );
        return Err(Invalid::new(codes::BATCH_TOO_LARGE, "body", rule));
    }
    let text = checked_text(body, BATCH_LEVELS).map_err(Invalid::body)?;
    match decode_objects(body, text, read) {
        Some(events) => Ok(events),
        None => decode_entries(body, text, read),
    }
}

/// The way of a batch in which nothing is wrong with the JSON: each entry is read once. `None`: it is to be read with care.
fn decode_objects(body: &Bytes, text: &str, read: Read<'_>) -> Option<Vec<Result<Event, Invalid>>> {
    let objects = scan::objects(text, limits::BATCH_EVENTS_MAX)?;
    let mut events = Vec::with_capacity(objects.len());
    for object in objects {
        let Members(members) = serde_json::from_str(object).ok()?;
        events.push(read(body, members));
    }
    Some(events)
}

fn decode_entries(body: &Bytes, text: &str, read: Read<'_>) -> Result<Vec<Result<Event, Invalid>>, Invalid> {
    if !text.trim_start().starts_with('[') {
        return Err(Invalid::body("a batch is a JSON array of events"));
    }
    let Entries(entries) = serde_json::from_str(text).map_err(|error| Invalid::body(error.to_string()))?;
    if entries.len() > limits::BATCH_EVENTS_MAX {
        let rule = format!(
            "has more than {} events, the limit of a batch",
            limits::BATCH_EVENTS_MAX
        );
        return Err(Invalid::new(codes::BATCH_TOO_LARGE, "body", rule));
    }
    Ok(entries
        .into_iter()
        .map(|entry| decode_event(body, entry.get(), read))
        .collect())
}

/// Decodes the event that is `text`, a part of `body`.
fn decode_event(body: &Bytes, text: &str, read: Read<'_>) -> Result<Event, Invalid> {
    if !text.trim_start().starts_with('{') {
        return Err(Invalid::body("an event is a JSON object"));
    }
    let Members(members) = serde_json::from_str(text).map_err(|error| Invalid::body(error.to_string()))?;
    read(body, members)
}

/// The event with these members, values unread, whose text lies in `body`.
fn event_of(body: &Bytes, members: Vec<(Cow<'_, str>, &RawValue)>) -> Result<Event, Invalid> {
    let mut parts = Parts::default();
    for (name, raw) in &members {
        parts.take(name, raw.get())?;
    }
    check_names(members)?;
    parts.build(body)
}

/// Refuses a member that is given twice: readers would disagree on which one counts.
pub(crate) fn check_names(mut members: Vec<(Cow<'_, str>, &RawValue)>) -> Result<(), Invalid> {
    members.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    match members.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(Invalid::attribute(shown(&pair[0].0), "is given twice")),
        None => Ok(()),
    }
}

/// The members of an event, sorted by what they are.
#[derive(Default)]
pub(crate) struct Parts<'a> {
    pub(crate) specversion: Option<Cow<'a, str>>,
    pub(crate) id: Option<Cow<'a, str>>,
    pub(crate) source: Option<Cow<'a, str>>,
    pub(crate) event_type: Option<Cow<'a, str>>,
    pub(crate) subject: Option<Cow<'a, str>>,
    pub(crate) time: Option<Cow<'a, str>>,
    pub(crate) data_content_type: Option<Cow<'a, str>>,
    pub(crate) data_schema: Option<Cow<'a, str>>,
    pub(crate) extensions: Vec<crate::Extension>,
    pub(crate) data: Option<&'a str>,
    pub(crate) data_base64: Option<Cow<'a, str>>,
}

impl<'a> Parts<'a> {
    pub(crate) fn take(&mut self, name: &str, raw: &'a str) -> Result<(), Invalid> {
        let slot = match name {
            "specversion" => &mut self.specversion,
            "id" => &mut self.id,
            "source" => &mut self.source,
            "type" => &mut self.event_type,
            "subject" => &mut self.subject,
            "time" => &mut self.time,
            "datacontenttype" => &mut self.data_content_type,
            "dataschema" => &mut self.data_schema,
            "data_base64" => &mut self.data_base64,
            "data" => {
                self.data = (raw != "null").then_some(raw);
                return Ok(());
            }
            _ => return self.take_extension(name, raw),
        };
        *slot = match read_value(name, raw)? {
            Some((value, AttributeKind::String)) => Some(value),
            None => None,
            Some(_) => return Err(Invalid::attribute(name, "must be a JSON string")),
        };
        Ok(())
    }

    fn take_extension(&mut self, name: &str, raw: &'a str) -> Result<(), Invalid> {
        crate::rules::extension_name(name).map_err(|rule| Invalid::attribute(shown(name), rule))?;
        if let Some((value, kind)) = read_value(name, raw)? {
            self.extensions.push(crate::Extension {
                name: name.to_owned(),
                value: value.into_owned(),
                kind,
            });
        }
        Ok(())
    }

    pub(crate) fn build(mut self, body: &Bytes) -> Result<Event, Invalid> {
        check_specversion(self.specversion.as_deref())?;
        let required = |name, value: &mut Option<Cow<'a, str>>| {
            value.take().map(Cow::into_owned).ok_or_else(|| Invalid::missing(name))
        };
        let id = required("id", &mut self.id)?;
        let source = required("source", &mut self.source)?;
        let event_type = required("type", &mut self.event_type)?;
        let mut builder = Event::builder(id, source, event_type);
        if let Some(data) = self.read_data(body)? {
            builder = builder.data_checked(data);
        }
        for extension in self.extensions {
            builder = builder.typed_extension(extension);
        }
        type Setter = fn(EventBuilder, String) -> EventBuilder;
        let optional: [(Option<Cow<'a, str>>, Setter); 4] = [
            (self.subject, EventBuilder::subject),
            (self.time, EventBuilder::time),
            (self.data_content_type, EventBuilder::data_content_type),
            (self.data_schema, EventBuilder::data_schema),
        ];
        for (value, set) in optional {
            if let Some(value) = value {
                builder = set(builder, value.into_owned());
            }
        }
        builder.build()
    }

    fn read_data(&self, body: &Bytes) -> Result<Option<Data>, Invalid> {
        let is_json = self.data_content_type.as_deref().map(media_type::is_json);
        let (is_json, other_type) = (is_json == Some(true), is_json == Some(false));
        match (self.data, &self.data_base64) {
            (Some(_), Some(_)) => Err(Invalid::data("and data_base64 exclude each other")),
            (None, None) => Ok(None),
            (None, Some(encoded)) => match BASE64.decode(encoded.as_bytes()) {
                // The same event as with the JSON itself: whoever asks for its members finds them.
                Ok(bytes) if is_json && check(&bytes).is_ok() => Ok(Some(Data::json(bytes))),
                Ok(bytes) => Ok(Some(Data::binary(bytes))),
                Err(_) => Err(Invalid::new(
                    codes::DATA_INVALID,
                    "data_base64",
                    "must be Base64 (RFC 4648), padded",
                )),
            },
            (Some(raw), None) if other_type && raw.starts_with('"') => match read_string(raw) {
                Some(text) => Ok(Some(Data::text(text))),
                None => Err(Invalid::data(LONE_SURROGATE)),
            },
            (Some(raw), None) => Ok(Some(Data::json(body.slice_ref(raw.as_bytes())))),
        }
    }
}

const LONE_SURROGATE: &str = "must be Unicode: it has an escaped lone surrogate";

/// Checks the version, in words that help who still sends an old one.
pub(crate) fn check_specversion(version: Option<&str>) -> Result<(), Invalid> {
    let rule = match version {
        Some(crate::SPECVERSION) => return Ok(()),
        None | Some("") => return Err(Invalid::missing("specversion")),
        Some("0.1" | "0.2" | "0.3") => "CloudEvents before 1.0 is not supported: send specversion 1.0",
        Some(_) => "must be 1.0",
    };
    Err(Invalid::new(codes::SPECVERSION_UNSUPPORTED, "specversion", rule))
}

/// The canonical string and type of an attribute's JSON value; `None` for null, which means absent.
fn read_value<'a>(name: &str, raw: &'a str) -> Result<Option<(Cow<'a, str>, AttributeKind)>, Invalid> {
    match raw.as_bytes().first() {
        Some(b'"') => match read_string(raw) {
            Some(value) => Ok(Some((value, AttributeKind::String))),
            None => Err(Invalid::attribute(name, LONE_SURROGATE)),
        },
        Some(b'n') => Ok(None),
        Some(b't' | b'f') => Ok(Some((Cow::Borrowed(raw), AttributeKind::Boolean))),
        Some(b'[' | b'{') => Err(Invalid::attribute(
            name,
            "must be a JSON string, an integer or a boolean",
        )),
        _ => match raw.parse::<i32>() {
            Ok(number) => Ok(Some((Cow::Owned(number.to_string()), AttributeKind::Integer))),
            Err(_) => Err(Invalid::attribute(
                name,
                "a number must be an integer of 32 bits, without fraction or exponent",
            )),
        },
    }
}

/// The text of a member that must be a JSON string.
pub(crate) fn string<'a>(name: &str, raw: &'a str) -> Result<Cow<'a, str>, Invalid> {
    if !raw.starts_with('"') {
        return Err(Invalid::attribute(shown(name), "must be a JSON string"));
    }
    read_string(raw).ok_or_else(|| Invalid::attribute(shown(name), LONE_SURROGATE))
}

/// The value of a JSON string; `None` if it escapes a lone surrogate.
fn read_string(raw: &str) -> Option<Cow<'_, str>> {
    match raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
        _ => serde_json::from_str(raw).ok().map(Cow::Owned),
    }
}

/// The members of a JSON object, values unread.
pub(crate) struct Members<'a>(pub(crate) Vec<(Cow<'a, str>, &'a RawValue)>);

/// The entries of a JSON array, unread: at most one more than a batch may have.
struct Entries<'a>(Vec<&'a RawValue>);

/// A member's name, borrowed when it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'a> Deserialize<'a> for Members<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'a> Visitor<'a> for Walk {
            type Value = Members<'a>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an event")
            }
            fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Members<'a>, A::Error> {
                let mut members = Vec::with_capacity(12);
                while let Some((Name(name), value)) = map.next_entry()? {
                    if members.len() == limits::EVENT_MEMBERS_MAX {
                        return Err(A::Error::custom("the event has too many attributes"));
                    }
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Walk)
    }
}

impl<'a> Deserialize<'a> for Entries<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'a> Visitor<'a> for Walk {
            type Value = Entries<'a>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a batch")
            }
            fn visit_seq<A: SeqAccess<'a>>(self, mut sequence: A) -> Result<Entries<'a>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = sequence.next_element()? {
                    entries.push(entry);
                    if entries.len() > limits::BATCH_EVENTS_MAX {
                        while sequence.next_element::<IgnoredAny>()?.is_some() {}
                    }
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_seq(Walk)
    }
}

impl<'a> Deserialize<'a> for Name<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'a> Visitor<'a> for Walk {
            type Value = Name<'a>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an attribute name")
            }
            fn visit_borrowed_str<E>(self, name: &'a str) -> Result<Name<'a>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }
            fn visit_str<E>(self, name: &str) -> Result<Name<'a>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Walk)
    }
}

/// Appends an event in the JSON format. Data that does not keep what its form says (a Kafka client wrote it) goes out as
/// Base64 rather than break the message.
pub fn encode_structured(event: &EventView<'_>, out: &mut Vec<u8>) {
    encode(event, None, out);
}

/// The same with one extension more, a string, that stands instead of one that the event may have under that name.
pub fn encode_structured_with(event: &EventView<'_>, name: &str, value: &str, out: &mut Vec<u8>) {
    encode(event, Some((name, value)), out);
}

/// Appends the data as one JSON value: JSON as it is, text as a string, anything else as a string of Base64, none as `null`.
pub fn encode_data(event: &EventView<'_>, out: &mut Vec<u8>) {
    let Some(bytes) = event.data() else {
        return out.extend_from_slice(b"null");
    };
    match (event.data_form(), std::str::from_utf8(bytes)) {
        (DataForm::Json, _) if check(bytes).is_ok() => out.extend_from_slice(bytes),
        (DataForm::Text, Ok(text)) => put_string(out, text),
        _ => put_string(out, &BASE64.encode(bytes)),
    }
}

fn encode(event: &EventView<'_>, added: Option<(&str, &str)>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (name, value) in event.core_attributes() {
        put_name(out, name);
        put_string(out, value);
    }
    if let Some((name, value)) = added {
        put_name(out, name);
        put_string(out, value);
    }
    let is_added = |name: &str| added.is_some_and(|(added, _)| added == name);
    for extension in event.extensions().iter().filter(|extension| !is_added(extension.name)) {
        put_name(out, extension.name);
        put_value(out, extension);
    }
    if let Some(bytes) = event.data() {
        put_data(out, event, bytes);
    }
    out.push(b'}');
}

/// Appends events in the JSON batch format.
pub fn encode_batch<'view, 'event: 'view>(
    events: impl IntoIterator<Item = &'view EventView<'event>>,
    out: &mut Vec<u8>,
) {
    out.push(b'[');
    for (index, event) in events.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        encode_structured(event, out);
    }
    out.push(b']');
}

fn put_data(out: &mut Vec<u8>, event: &EventView<'_>, bytes: &[u8]) {
    match plain(event, bytes) {
        Some(Plain::Json(json)) => {
            put_name(out, "data");
            out.extend_from_slice(json);
        }
        Some(Plain::Text(text)) => {
            put_name(out, "data");
            put_string(out, text);
        }
        None => {
            put_name(out, "data_base64");
            put_string(out, &BASE64.encode(bytes));
        }
    }
}

/// Data that a member of JSON can hold as it is.
pub(crate) enum Plain<'a> {
    /// A JSON value.
    Json(&'a [u8]),
    /// Text, for a JSON string.
    Text(&'a str),
}

/// The data as a member of JSON holds it, if it can without Base64.
pub(crate) fn plain<'a>(event: &EventView<'_>, bytes: &'a [u8]) -> Option<Plain<'a>> {
    let json_type = event.data_content_type().is_none_or(media_type::is_json);
    match event.data_form() {
        // A JSON string under another media type would be read as text.
        DataForm::Json if (json_type || !bytes.trim_ascii_start().starts_with(b"\"")) && check(bytes).is_ok() => {
            Some(Plain::Json(bytes))
        }
        DataForm::Text if !json_type => std::str::from_utf8(bytes).ok().map(Plain::Text),
        _ => None,
    }
}

/// Appends an extension's value as its type is written.
pub(crate) fn put_value(out: &mut Vec<u8>, extension: &crate::ExtensionView<'_>) {
    match extension.kind {
        AttributeKind::String => put_string(out, extension.value),
        AttributeKind::Integer | AttributeKind::Boolean => out.extend_from_slice(extension.value.as_bytes()),
    }
}

/// `,"name":` with no comma after the opening brace. Names need no escaping.
pub(crate) fn put_name(out: &mut Vec<u8>, name: &str) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

pub(crate) fn put_string(out: &mut Vec<u8>, value: &str) {
    serde_json::to_writer(out, value).expect("a vector takes every write");
}

#[cfg(test)]
mod tests;
