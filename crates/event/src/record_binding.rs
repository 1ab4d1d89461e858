//! The Kafka protocol binding of CloudEvents 1.0, binary mode: `ce_` headers, `content-type`, and the data as the value. Two
//! headers of our own keep what the binding loses:
//!
//! - `tl-types`: `name=integer` or `name=boolean`, comma-separated, for extensions whose JSON was no string;
//! - `tl-data`: `json`, `text` or `binary`, where the media type alone would say otherwise; and `json` with all JSON, which
//!   says that whoever wrote the record has checked it (all of it, to our depth), so that nobody has to check it again. A client
//!   that writes the header speaks for its own data: what it is not, filters may see wrongly, and nothing worse.
//!
//! Both texts are persisted: keep them stable. Structured mode is not read here; such a record is not an event.

use crate::{AttributeKind, DataForm, Event, EventView, ExtensionView, SPECVERSION, extensions::Extensions, rules};
use smallvec::SmallVec;
use std::borrow::Cow;

/// The header with the types of typed extensions.
pub const TYPES_HEADER: &str = "tl-types";
/// The header with the form of the data.
pub const DATA_HEADER: &str = "tl-data";
/// The header on a copy on a secondary topic; its value is the primary topic's id.
pub const COPY_HEADER: &str = "tl-copy";

/// The header on a record that a replay has published again; its value is the replay's name.
pub const REPLAY_HEADER: &str = "tl-replay";

/// The header on an edited event, in the rows of deliveries alone; its value is the record as it was received, encoded.
pub const ORIGINAL_HEADER: &str = "tl-original";

/// The header on a copy of a dead letter; its value is the id of the topic that it was read on, `/`, and the name of the subscription.
pub const DEAD_LETTER_HEADER: &str = "tl-dead-letter";

/// The headers of one event's record.
#[derive(Clone, Debug)]
pub struct RecordHeaders<'a>(SmallVec<[RecordHeader<'a>; 12]>);

type RecordHeader<'a> = (Cow<'a, str>, Cow<'a, [u8]>);

impl<'a> RecordHeaders<'a> {
    /// Adds a header of the caller's.
    pub fn push(&mut self, name: &'a str, value: impl Into<Cow<'a, [u8]>>) {
        self.0.push((Cow::Borrowed(name), value.into()));
    }

    /// Each header, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, Option<&[u8]>)> + Clone {
        self.0.iter().map(|(name, value)| (name.as_ref(), Some(value.as_ref())))
    }

    fn add(&mut self, name: &'static str, value: &'a str) {
        self.0.push((Cow::Borrowed(name), Cow::Borrowed(value.as_bytes())));
    }
}

/// The headers of an event's record; its value is the event's data as it is.
pub fn record_headers(event: &Event) -> RecordHeaders<'_> {
    let mut headers = RecordHeaders(SmallVec::new());
    headers.add("ce_specversion", SPECVERSION);
    headers.add("ce_id", event.id());
    headers.add("ce_source", event.source());
    headers.add("ce_type", event.event_type());
    let optional = [
        ("ce_subject", event.subject()),
        ("ce_time", event.time()),
        ("content-type", event.data_content_type()),
        ("ce_dataschema", event.data_schema()),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            headers.add(name, value);
        }
    }
    for extension in event.extensions() {
        headers.0.push((
            extension_header(&extension.name),
            Cow::Borrowed(extension.value.as_bytes()),
        ));
    }
    if let Some(types) = encode_types(event) {
        headers
            .0
            .push((Cow::Borrowed(TYPES_HEADER), Cow::Owned(types.into_bytes())));
    }
    if let Some(data) = event.data()
        && (data.form == DataForm::Json || DataForm::of(event.data_content_type(), &data.bytes) != data.form)
    {
        headers.add(DATA_HEADER, form_name(data.form));
    }
    headers
}

fn extension_header(name: &str) -> Cow<'_, str> {
    match name {
        "traceparent" => Cow::Borrowed("ce_traceparent"),
        "tracestate" => Cow::Borrowed("ce_tracestate"),
        _ => Cow::Owned(["ce_", name].concat()),
    }
}

fn encode_types(event: &Event) -> Option<String> {
    let mut types = String::new();
    for extension in event.extensions() {
        let kind = match extension.kind {
            AttributeKind::String => continue,
            AttributeKind::Integer => "integer",
            AttributeKind::Boolean => "boolean",
        };
        let comma = if types.is_empty() { "" } else { "," };
        types.extend([comma, &extension.name, "=", kind]);
    }
    (!types.is_empty()).then_some(types)
}

fn form_name(form: DataForm) -> &'static str {
    match form {
        DataForm::Json => "json",
        DataForm::Text => "text",
        DataForm::Binary => "binary",
    }
}

fn form_of_name(name: &str) -> Option<DataForm> {
    match name {
        "json" => Some(DataForm::Json),
        "text" => Some(DataForm::Text),
        "binary" => Some(DataForm::Binary),
        _ => None,
    }
}

impl<'a> EventView<'a> {
    /// The event that a record carries in binary mode. `None`: it is none (a required attribute is absent or empty, another
    /// version, an attribute twice, with control characters or not UTF-8, structured mode). Headers that are not ours or
    /// CloudEvents' are passed over.
    pub fn from_record(
        headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>,
        value: Option<&'a [u8]>,
    ) -> Option<EventView<'a>> {
        let mut parts = Parts {
            data: value,
            ..Parts::default()
        };
        for (name, value) in headers {
            if let Some(value) = value {
                parts.take(name, value)?;
            }
        }
        parts.build()
    }
}

#[derive(Default)]
struct Parts<'a> {
    specversion: Option<&'a str>,
    id: Option<&'a str>,
    source: Option<&'a str>,
    event_type: Option<&'a str>,
    subject: Option<&'a str>,
    time: Option<&'a str>,
    data_content_type: Option<&'a str>,
    data_schema: Option<&'a str>,
    extensions: Extensions<'a>,
    types: Option<&'a str>,
    data_form: Option<&'a str>,
    data: Option<&'a [u8]>,
}

impl<'a> Parts<'a> {
    /// `None`: the record is no event.
    fn take(&mut self, name: &'a str, value: &'a [u8]) -> Option<()> {
        let slot = match name {
            "ce_specversion" => &mut self.specversion,
            "ce_id" => &mut self.id,
            "ce_source" => &mut self.source,
            "ce_type" => &mut self.event_type,
            "ce_subject" => &mut self.subject,
            "ce_time" => &mut self.time,
            "content-type" => &mut self.data_content_type,
            "ce_dataschema" => &mut self.data_schema,
            TYPES_HEADER => &mut self.types,
            DATA_HEADER => &mut self.data_form,
            _ => return self.take_extension(name, value),
        };
        let first = slot.replace(attribute_text(value)?).is_none();
        first.then_some(())
    }

    fn take_extension(&mut self, name: &'a str, value: &'a [u8]) -> Option<()> {
        if let Some(name) = name.strip_prefix("ce_") {
            rules::extension_name(name).ok()?;
            self.extensions.push(ExtensionView {
                name,
                value: attribute_text(value)?,
                kind: AttributeKind::String,
            });
        }
        Some(())
    }

    fn build(mut self) -> Option<EventView<'a>> {
        if self.specversion != Some(SPECVERSION) || self.data_content_type.is_some_and(is_structured) {
            return None;
        }
        self.arrange_extensions()?;
        let present = |value: Option<&'a str>| value.filter(|text| !text.is_empty());
        Some(EventView {
            id: present(self.id)?,
            source: present(self.source)?,
            event_type: present(self.event_type)?,
            subject: present(self.subject),
            time: present(self.time),
            data_content_type: present(self.data_content_type),
            data_schema: present(self.data_schema),
            extensions: self.extensions,
            data: self.data,
            data_form: self.data_form.and_then(form_of_name),
        })
    }

    /// Sorts them (ours are sorted already), refuses one that is there twice, and gives them their types.
    fn arrange_extensions(&mut self) -> Option<()> {
        let extensions = self.extensions.as_mut_slice();
        if !extensions.is_sorted_by_key(|extension| extension.name) {
            extensions.sort_unstable_by_key(|extension| extension.name);
        }
        if extensions.windows(2).any(|pair| pair[0].name == pair[1].name) {
            return None;
        }
        for (name, kind) in self.types.into_iter().flat_map(decode_types) {
            let Ok(found) = extensions.binary_search_by_key(&name, |extension| extension.name) else {
                continue;
            };
            if kind.admits(extensions[found].value) {
                extensions[found].kind = kind;
            }
        }
        Some(())
    }
}

fn decode_types(types: &str) -> impl Iterator<Item = (&str, AttributeKind)> {
    types.split(',').filter_map(|entry| match entry.split_once('=')? {
        (name, "integer") => Some((name, AttributeKind::Integer)),
        (name, "boolean") => Some((name, AttributeKind::Boolean)),
        _ => None,
    })
}

/// UTF-8 without ASCII control characters, so that no encoder can be made to write a line break.
fn attribute_text(value: &[u8]) -> Option<&str> {
    let clean = value.iter().all(|&byte| byte >= 0x20 && byte != 0x7f);
    if clean { std::str::from_utf8(value).ok() } else { None }
}

fn is_structured(media_type: &str) -> bool {
    const PREFIX: &str = "application/cloudevents";
    media_type
        .get(..PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

#[cfg(test)]
mod tests;
