//! The event itself. A value that exists is valid: the builder checks every rule of CloudEvents 1.0, and every decoder ends
//! in the builder. It does no encoding.

use crate::{limits, media_type, rules, view::EventView};
use bytes::Bytes;
use std::{borrow::Cow, fmt};

/// A valid CloudEvents 1.0 event, owned. Attribute values are kept as their canonical strings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    id: String,
    source: String,
    event_type: String,
    subject: Option<String>,
    time: Option<String>,
    data_content_type: Option<String>,
    data_schema: Option<String>,
    /// Sorted by name, no name twice.
    extensions: Vec<Extension>,
    data: Option<Data>,
}

/// An extension attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Lower-case ASCII letters and digits.
    pub name: String,
    /// The canonical string of its value.
    pub value: String,
    /// Its CloudEvents type; strings unless the JSON said otherwise.
    pub kind: AttributeKind,
}

/// The CloudEvents type of an attribute, as far as the JSON format can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeKind {
    /// A string (also URI, timestamp, binary in canonical form).
    String,
    /// A 32-bit integer.
    Integer,
    /// A boolean.
    Boolean,
}

/// An event's data: its bytes and what they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// The bytes as a receiver of a binary-mode message would get them.
    pub bytes: Bytes,
    /// How the producer gave them, so that structured mode gives them back alike.
    pub form: DataForm,
}

/// How data was given, which decides how structured mode writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataForm {
    /// A JSON value (`data` in JSON, or a JSON media type).
    Json,
    /// Text (`data` as a JSON string under a media type that is not JSON, or a text media type).
    Text,
    /// Bytes (`data_base64`, or any other body).
    Binary,
}

/// Why something is not a valid event: which attribute broke which rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Stable code, one of [`codes`].
    pub code: &'static str,
    /// The attribute (or `data`, or `body`), as CloudEvents names it.
    pub attribute: String,
    /// The rule it broke, as a sentence.
    pub rule: String,
}

/// The stable codes of [`Invalid`].
pub mod codes {
    /// A required attribute is absent or empty.
    pub const ATTRIBUTE_MISSING: &str = "event_attribute_missing";
    /// An attribute's name or value breaks a rule.
    pub const ATTRIBUTE_INVALID: &str = "event_attribute_invalid";
    /// `specversion` is not `1.0`.
    pub const SPECVERSION_UNSUPPORTED: &str = "event_specversion_unsupported";
    /// The attributes or the data are over their limit.
    pub const TOO_LARGE: &str = "event_too_large";
    /// The data is not what its media type or its form says.
    pub const DATA_INVALID: &str = "event_data_invalid";
    /// The body is not an event in the JSON format (or not JSON at all).
    pub const BODY_INVALID: &str = "event_body_invalid";
    /// The media type asks for a format that is not supported.
    pub const MEDIA_TYPE_UNSUPPORTED: &str = "event_media_type_unsupported";
    /// A batch has too many events or bytes.
    pub const BATCH_TOO_LARGE: &str = "event_batch_too_large";
}

impl Invalid {
    /// An error with one of the [`codes`].
    pub fn new(code: &'static str, attribute: impl Into<String>, rule: impl Into<String>) -> Invalid {
        Invalid {
            code,
            attribute: attribute.into(),
            rule: rule.into(),
        }
    }

    pub(crate) fn missing(attribute: &str) -> Invalid {
        Invalid::new(codes::ATTRIBUTE_MISSING, attribute, "is required and must not be empty")
    }

    pub(crate) fn attribute(attribute: impl Into<String>, rule: impl Into<String>) -> Invalid {
        Invalid::new(codes::ATTRIBUTE_INVALID, attribute, rule)
    }

    pub(crate) fn data(rule: impl Into<String>) -> Invalid {
        Invalid::new(codes::DATA_INVALID, "data", rule)
    }

    pub(crate) fn body(rule: impl Into<String>) -> Invalid {
        Invalid::new(codes::BODY_INVALID, "body", rule)
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.attribute, self.rule)
    }
}
impl std::error::Error for Invalid {}

impl Data {
    /// A JSON value; [`EventBuilder::build`] checks that it is one.
    pub fn json(bytes: impl Into<Bytes>) -> Data {
        Data {
            bytes: bytes.into(),
            form: DataForm::Json,
        }
    }

    /// Text.
    pub fn text(text: impl Into<String>) -> Data {
        Data {
            bytes: Bytes::from(text.into()),
            form: DataForm::Text,
        }
    }

    /// Bytes of any kind.
    pub fn binary(bytes: impl Into<Bytes>) -> Data {
        Data {
            bytes: bytes.into(),
            form: DataForm::Binary,
        }
    }
}

impl DataForm {
    /// The form of bytes that came with nothing but a media type: JSON under a JSON media type, text under a text media
    /// type if it is UTF-8, else binary.
    pub fn of(data_content_type: Option<&str>, bytes: &[u8]) -> DataForm {
        match data_content_type {
            Some(text) if media_type::is_json(text) => DataForm::Json,
            Some(text) if media_type::is_text(text) && std::str::from_utf8(bytes).is_ok() => DataForm::Text,
            _ => DataForm::Binary,
        }
    }
}

impl AttributeKind {
    /// Whether `value` is a canonical value of this type.
    pub(crate) fn admits(self, value: &str) -> bool {
        match self {
            AttributeKind::String => true,
            AttributeKind::Integer => is_canonical_integer(value),
            AttributeKind::Boolean => matches!(value, "true" | "false"),
        }
    }
}

/// Whether a text is what a 32-bit integer is written as. It is asked for every event, and makes no text of its own.
fn is_canonical_integer(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let no_more_than_needed = value == "0" || matches!(digits.as_bytes().first(), Some(b'1'..=b'9'));
    no_more_than_needed && value.parse::<i32>().is_ok()
}

impl Event {
    /// Starts an event from its required attributes. Nothing is checked before [`EventBuilder::build`].
    pub fn builder(id: impl Into<String>, source: impl Into<String>, event_type: impl Into<String>) -> EventBuilder {
        EventBuilder {
            event: Event {
                id: id.into(),
                source: source.into(),
                event_type: event_type.into(),
                subject: None,
                time: None,
                data_content_type: None,
                data_schema: None,
                extensions: Vec::new(),
                data: None,
            },
            json_is_checked: false,
        }
    }

    /// The attribute `id`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The attribute `source`, a URI-reference.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The attribute `type`.
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// The attribute `subject`.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// The attribute `time`, as the producer wrote it (RFC 3339).
    pub fn time(&self) -> Option<&str> {
        self.time.as_deref()
    }

    /// The attribute `datacontenttype`; always there for JSON and for text.
    pub fn data_content_type(&self) -> Option<&str> {
        self.data_content_type.as_deref()
    }

    /// The attribute `dataschema`, an absolute URI.
    pub fn data_schema(&self) -> Option<&str> {
        self.data_schema.as_deref()
    }

    /// Every extension, sorted by name.
    pub fn extensions(&self) -> &[Extension] {
        &self.extensions
    }

    /// The canonical string of an extension's value.
    pub fn extension(&self, name: &str) -> Option<&str> {
        let found = self
            .extensions
            .binary_search_by(|extension| extension.name.as_str().cmp(name))
            .ok()?;
        Some(&self.extensions[found].value)
    }

    /// The data.
    pub fn data(&self) -> Option<&Data> {
        self.data.as_ref()
    }

    /// Every attribute present with its canonical value, `specversion` first, extensions last.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        let core = [
            ("specversion", Some(crate::SPECVERSION)),
            ("id", Some(self.id())),
            ("source", Some(self.source())),
            ("type", Some(self.event_type())),
            ("subject", self.subject()),
            ("time", self.time()),
            ("datacontenttype", self.data_content_type()),
            ("dataschema", self.data_schema()),
        ];
        core.into_iter().filter_map(|(name, value)| Some((name, value?))).chain(
            self.extensions
                .iter()
                .map(|extension| (extension.name.as_str(), extension.value.as_str())),
        )
    }

    /// The same event, borrowed.
    pub fn view(&self) -> EventView<'_> {
        EventView::from(self)
    }

    /// Sets an extension of type string, in place of one of this name. After an error the event is as it was.
    pub fn set_extension(&mut self, name: &str, value: impl Into<String>) -> Result<(), Invalid> {
        let extension = Extension {
            name: name.to_owned(),
            value: value.into(),
            kind: AttributeKind::String,
        };
        check_extensions(std::slice::from_ref(&extension))?;
        let found = self.extensions.binary_search_by(|known| known.name.as_str().cmp(name));
        let (index, replaced) = match found {
            Ok(index) => (index, Some(self.extensions.remove(index))),
            Err(index) => (index, None),
        };
        self.extensions.insert(index, extension);
        check_size(self).inspect_err(|_| {
            self.extensions.remove(index);
            if let Some(replaced) = replaced {
                self.extensions.insert(index, replaced);
            }
        })
    }

    /// Takes the data out without copying; the event is used up.
    pub fn into_data(self) -> Option<Data> {
        self.data
    }
}

/// The one version of CloudEvents that is spoken.
pub const SPECVERSION: &str = "1.0";

/// An event in the making; see [`Event::builder`].
#[derive(Clone, Debug)]
pub struct EventBuilder {
    event: Event,
    json_is_checked: bool,
}

impl EventBuilder {
    /// Sets `subject`.
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.event.subject = Some(subject.into());
        self
    }

    /// Sets `time`: RFC 3339, kept as it is written.
    pub fn time(mut self, time: impl Into<String>) -> Self {
        self.event.time = Some(time.into());
        self
    }

    /// Sets `datacontenttype`. JSON data without one gets `application/json`, text `text/plain`.
    pub fn data_content_type(mut self, media_type: impl Into<String>) -> Self {
        self.event.data_content_type = Some(media_type.into());
        self
    }

    /// Sets `dataschema`.
    pub fn data_schema(mut self, uri: impl Into<String>) -> Self {
        self.event.data_schema = Some(uri.into());
        self
    }

    /// Adds an extension of type string.
    pub fn extension(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.typed_extension(Extension {
            name: name.into(),
            value: value.into(),
            kind: AttributeKind::String,
        })
    }

    /// Adds an extension.
    pub fn typed_extension(mut self, extension: Extension) -> Self {
        self.event.extensions.push(extension);
        self
    }

    /// Sets the data.
    pub fn data(mut self, data: Data) -> Self {
        self.event.data = Some(data);
        self.json_is_checked = false;
        self
    }

    /// Sets data whose JSON, if it is JSON, a decoder has checked.
    pub(crate) fn data_checked(mut self, data: Data) -> Self {
        self.json_is_checked = data.form == DataForm::Json;
        self.event.data = Some(data);
        self
    }

    /// Sets the data from bytes that came with nothing but a media type ([`DataForm::of`]). No bytes are no data, because a
    /// body cannot tell the two apart.
    pub fn body(mut self, bytes: Bytes) -> Self {
        let form = DataForm::of(self.event.data_content_type.as_deref(), &bytes);
        self.event.data = (!bytes.is_empty()).then_some(Data { bytes, form });
        self.json_is_checked = false;
        self
    }

    /// Checks every rule. The first one broken is the error.
    pub fn build(self) -> Result<Event, Invalid> {
        let mut event = self.event;
        complete_data(&mut event);
        event.extensions.sort_by(|a, b| a.name.cmp(&b.name));
        check_size(&event)?;
        check_core(&event)?;
        check_extensions(&event.extensions)?;
        if !self.json_is_checked {
            check_data(&event)?;
        }
        Ok(event)
    }
}

/// Makes explicit what the JSON format implies, so that equal events are equal however they came.
fn complete_data(event: &mut Event) {
    let Some(data) = &mut event.data else { return };
    let is_json = event.data_content_type.as_deref().is_some_and(media_type::is_json);
    match data.form {
        DataForm::Json if event.data_content_type.is_none() => {
            event.data_content_type = Some("application/json".to_owned());
        }
        DataForm::Text if event.data_content_type.is_none() => event.data_content_type = Some("text/plain".to_owned()),
        DataForm::Text if is_json => data.form = DataForm::Json,
        _ => {}
    }
}

fn check_size(event: &Event) -> Result<(), Invalid> {
    let attributes: usize = event.attributes().map(|(name, value)| name.len() + value.len()).sum();
    if attributes > limits::EVENT_ATTRIBUTES_BYTES_MAX {
        let rule = format!(
            "take {attributes} bytes together; the limit is {} bytes",
            limits::EVENT_ATTRIBUTES_BYTES_MAX
        );
        return Err(Invalid::new(codes::TOO_LARGE, "attributes", rule));
    }
    let data = event.data.as_ref().map_or(0, |data| data.bytes.len());
    if data > limits::EVENT_DATA_BYTES_MAX {
        let rule = format!(
            "takes {data} bytes; the limit is {} bytes",
            limits::EVENT_DATA_BYTES_MAX
        );
        return Err(Invalid::new(codes::TOO_LARGE, "data", rule));
    }
    Ok(())
}

fn check_core(event: &Event) -> Result<(), Invalid> {
    for (name, value) in [
        ("id", &event.id),
        ("source", &event.source),
        ("type", &event.event_type),
    ] {
        if value.is_empty() {
            return Err(Invalid::missing(name));
        }
    }
    let checks: [(&str, Option<&str>, rules::Rule); 7] = [
        ("id", Some(&event.id), rules::string),
        ("source", Some(&event.source), rules::uri_reference),
        ("type", Some(&event.event_type), rules::string),
        ("subject", event.subject(), rules::string),
        ("time", event.time(), rules::timestamp),
        ("datacontenttype", event.data_content_type(), rules::media_type),
        ("dataschema", event.data_schema(), rules::uri),
    ];
    for (name, value, rule) in checks {
        let Some(value) = value else { continue };
        if value.is_empty() {
            return Err(Invalid::attribute(name, "must not be empty; leave it out instead"));
        }
        rule(value).map_err(|broken| Invalid::attribute(name, broken))?;
    }
    Ok(())
}

fn check_extensions(sorted: &[Extension]) -> Result<(), Invalid> {
    for extension in sorted {
        rules::extension_name(&extension.name).map_err(|rule| Invalid::attribute(shown(&extension.name), rule))?;
        rules::string(&extension.value).map_err(|rule| Invalid::attribute(&extension.name, rule))?;
        if !extension.kind.admits(&extension.value) {
            return Err(Invalid::attribute(
                &extension.name,
                "is not a canonical value of its type",
            ));
        }
    }
    match sorted.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some(pair) => Err(Invalid::attribute(&pair[0].name, "is given twice")),
        None => Ok(()),
    }
}

fn check_data(event: &Event) -> Result<(), Invalid> {
    let Some(data) = &event.data else { return Ok(()) };
    match data.form {
        DataForm::Json => crate::json::check(&data.bytes)
            .map_err(|reason| Invalid::data(format!("is not JSON, as its media type says: {reason}"))),
        DataForm::Text if std::str::from_utf8(&data.bytes).is_err() => Err(Invalid::data("is text, and must be UTF-8")),
        DataForm::Text | DataForm::Binary => Ok(()),
    }
}

/// A name from outside, made fit for a message: bounded, without control characters.
pub(crate) fn shown(name: &str) -> Cow<'_, str> {
    /// Enough to recognise a name by.
    const SHOWN_CHARACTERS_MAX: usize = 64;
    let fine = |c: char| !c.is_control();
    if name.len() <= SHOWN_CHARACTERS_MAX && name.chars().all(fine) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(
        name.chars()
            .map(|c| if fine(c) { c } else { '\u{fffd}' })
            .take(SHOWN_CHARACTERS_MAX)
            .collect(),
    )
}
