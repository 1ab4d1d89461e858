//! What a filter looks at: scalars and lists at canonical paths, and one JSON text. Borrowed, and built without allocating.
//!
//! It checks nothing: whether a JSON text is well formed is found by the scan.

use smallvec::SmallVec;

/// The canonical path at which an event's data is mounted.
pub(crate) const DATA: &str = "/data";

/// Entries that a document holds without allocating: the attributes of a usual event, what a bus adds to them, and its data.
const INLINE_ENTRIES: usize = 21;

/// Before the name of an attribute.
const ATTRIBUTES: &str = "/attr/";

/// Whether an entry lies at a path: a name without a slash before it is an attribute's, so that nobody has to join the two.
#[inline]
pub(crate) fn lies_at(entry: &str, path: &str) -> bool {
    match entry.starts_with('/') {
        true => entry == path,
        false => path.strip_prefix(ATTRIBUTES) == Some(entry),
    }
}

/// An event's data as filters see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data<'a> {
    /// A JSON text of any kind: object, array or scalar. If it is not well-formed JSON, it is absent.
    Json(&'a [u8]),
    /// A JSON text that must be an object; anything else is absent.
    Object(&'a [u8]),
    /// A JSON text of any kind that the caller knows to be well formed, because it has checked it: what no filter asks for is then
    /// skipped without being looked at. If it is not well formed after all, values may be missing or seen where they are not,
    /// and nothing worse.
    WellFormed(&'a [u8]),
    /// No data, or data that is not JSON.
    Absent,
}

/// How one entry of a document is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content<'a> {
    /// A string, as it is.
    Text(&'a str),
    /// A string that is an integer's canonical form, for the dialects that know types.
    Integer(&'a str),
    /// A string that is a boolean's canonical form, for the dialects that know types.
    Boolean(&'a str),
    /// A JSON text.
    Json(&'a [u8]),
    /// A JSON text that counts only when it is an object.
    Object(&'a [u8]),
    /// A JSON text that has been checked already.
    WellFormed(&'a [u8]),
    /// A JSON text that has been checked already and counts only when it is an object.
    WellFormedObject(&'a [u8]),
}

impl<'a> Content<'a> {
    /// The bytes that positions of values refer to.
    pub(crate) fn bytes(self) -> &'a [u8] {
        match self {
            Content::Text(text) | Content::Integer(text) | Content::Boolean(text) => text.as_bytes(),
            Content::Json(bytes)
            | Content::Object(bytes)
            | Content::WellFormed(bytes)
            | Content::WellFormedObject(bytes) => bytes,
        }
    }

    pub(crate) fn is_json(self) -> bool {
        !matches!(self, Content::Text(_) | Content::Integer(_) | Content::Boolean(_))
    }

    pub(crate) fn must_be_object(self) -> bool {
        matches!(self, Content::Object(_) | Content::WellFormedObject(_))
    }

    pub(crate) fn is_well_formed(self) -> bool {
        matches!(self, Content::WellFormed(_) | Content::WellFormedObject(_))
    }
}

/// What filters are asked about: values at canonical paths such as `/attr/type`, and JSON data at `/data`.
///
/// A path that is set twice has both values. A path without a slash at its beginning is the name of an attribute: `type` is
/// `/attr/type`.
#[derive(Debug, Clone, Default)]
pub struct Document<'a> {
    entries: SmallVec<[(&'a str, Content<'a>); INLINE_ENTRIES]>,
}

impl<'a> Document<'a> {
    /// A document with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// A document that is one JSON object, for filters compiled with [`Mounts::bare`](crate::Mounts::bare).
    pub fn bare(json: &'a [u8]) -> Self {
        Self::new().data(Data::Object(json))
    }

    /// The same of a text that the caller knows to be well formed, as for [`Data::WellFormed`].
    pub fn bare_well_formed(json: &'a [u8]) -> Self {
        let mut document = Self::new();
        document.entries.push((DATA, Content::WellFormedObject(json)));
        document
    }

    /// Adds a string at a canonical path.
    #[must_use]
    pub fn text(mut self, path: &'a str, value: &'a str) -> Self {
        self.entries.push((path, Content::Text(value)));
        self
    }

    /// Adds an integer at a canonical path, by its decimal text: a string to every dialect but CESQL.
    #[must_use]
    pub fn integer(mut self, path: &'a str, value: &'a str) -> Self {
        self.entries.push((path, Content::Integer(value)));
        self
    }

    /// Adds a boolean at a canonical path, as `true` or `false`: a string to every dialect but CESQL.
    #[must_use]
    pub fn boolean(mut self, path: &'a str, value: &'a str) -> Self {
        self.entries.push((path, Content::Boolean(value)));
        self
    }

    /// Adds a JSON text (a list of scalars, usually) at a canonical path. If it is not well-formed JSON, it is absent.
    #[must_use]
    pub fn json_list(mut self, path: &'a str, json: &'a str) -> Self {
        self.entries.push((path, Content::Json(json.as_bytes())));
        self
    }

    /// Mounts the event's data at `/data`.
    #[must_use]
    pub fn data(mut self, data: Data<'a>) -> Self {
        match data {
            Data::Json(json) => self.entries.push((DATA, Content::Json(json))),
            Data::Object(json) => self.entries.push((DATA, Content::Object(json))),
            Data::WellFormed(json) => self.entries.push((DATA, Content::WellFormed(json))),
            Data::Absent => {}
        }
        self
    }

    /// What lies at a canonical path: what was added there first.
    pub(crate) fn content(&self, path: &str) -> Option<Content<'a>> {
        let found = self.entries.iter().find(|(known, _)| lies_at(known, path));
        found.map(|(_, content)| *content)
    }

    /// The entries in the order they were added.
    pub(crate) fn entries(&self) -> &[(&'a str, Content<'a>)] {
        &self.entries
    }
}
