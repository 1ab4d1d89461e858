//! The event itself. A value that exists is valid: the builder and the decoders check every rule of CloudEvents 1.0.

use bytes::Bytes;
use std::fmt;

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
    /// Text (`data` as a JSON string under a media type that is not JSON).
    Text,
    /// Bytes (`data_base64`, or any other body).
    Binary,
}

/// Why something is not a valid event: which attribute broke which rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Stable code, e.g. `event_attribute_missing`.
    pub code: &'static str,
    /// The attribute (or `data`, or `body`), as CloudEvents names it.
    pub attribute: String,
    /// The rule it broke, as a sentence.
    pub rule: String,
}

impl fmt::Display for Invalid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.attribute, self.rule)
    }
}
impl std::error::Error for Invalid {}
