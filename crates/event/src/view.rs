//! An event, borrowed: from an [`Event`] or from a stored record. Every encoder takes it. It is made once per record on the
//! hot path, so it copies nothing and allocates only for a long list of extensions.

use crate::{AttributeKind, Data, DataForm, Event, Extension, Invalid, SPECVERSION, extensions::Extensions};
use bytes::Bytes;

/// A borrowed event. Its attributes hold no control characters; one that comes from a record that a Kafka client wrote may
/// break finer rules (a time that is none): [`EventView::to_event`] checks them all.
#[derive(Clone, Debug)]
pub struct EventView<'a> {
    pub(crate) id: &'a str,
    pub(crate) source: &'a str,
    pub(crate) event_type: &'a str,
    pub(crate) subject: Option<&'a str>,
    pub(crate) time: Option<&'a str>,
    pub(crate) data_content_type: Option<&'a str>,
    pub(crate) data_schema: Option<&'a str>,
    /// Sorted by name, no name twice.
    pub(crate) extensions: Extensions<'a>,
    pub(crate) data: Option<&'a [u8]>,
    /// The form as it was given; absent: as the media type tells.
    pub(crate) data_form: Option<DataForm>,
}

/// A borrowed extension attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionView<'a> {
    /// Lower-case ASCII letters and digits.
    pub name: &'a str,
    /// The canonical string of its value.
    pub value: &'a str,
    /// Its CloudEvents type.
    pub kind: AttributeKind,
}

impl<'a> EventView<'a> {
    /// The attribute `id`.
    pub fn id(&self) -> &'a str {
        self.id
    }

    /// The attribute `source`.
    pub fn source(&self) -> &'a str {
        self.source
    }

    /// The attribute `type`.
    pub fn event_type(&self) -> &'a str {
        self.event_type
    }

    /// The attribute `subject`.
    pub fn subject(&self) -> Option<&'a str> {
        self.subject
    }

    /// The attribute `time`, as the producer wrote it.
    pub fn time(&self) -> Option<&'a str> {
        self.time
    }

    /// The attribute `datacontenttype`.
    pub fn data_content_type(&self) -> Option<&'a str> {
        self.data_content_type
    }

    /// The attribute `dataschema`.
    pub fn data_schema(&self) -> Option<&'a str> {
        self.data_schema
    }

    /// Every extension, sorted by name.
    pub fn extensions(&self) -> &[ExtensionView<'a>] {
        self.extensions.as_slice()
    }

    /// The canonical string of an extension's value.
    pub fn extension(&self, name: &str) -> Option<&'a str> {
        self.extensions()
            .iter()
            .find(|extension| extension.name == name)
            .map(|extension| extension.value)
    }

    /// Every attribute present with its canonical value, `specversion` first, extensions last.
    pub fn attributes(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.core_attributes().chain(
            self.extensions()
                .iter()
                .map(|extension| (extension.name, extension.value)),
        )
    }

    /// The attributes that the specification defines.
    pub(crate) fn core_attributes(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let all = [
            ("specversion", Some(SPECVERSION)),
            ("id", Some(self.id)),
            ("source", Some(self.source)),
            ("type", Some(self.event_type)),
            ("subject", self.subject),
            ("time", self.time),
            ("datacontenttype", self.data_content_type),
            ("dataschema", self.data_schema),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }

    /// The bytes of the data, as a receiver of a binary-mode message gets them.
    pub fn data(&self) -> Option<&'a [u8]> {
        self.data
    }

    /// What the data is; binary when there is none. Told from the media type unless the event says it.
    pub fn data_form(&self) -> DataForm {
        self.data_form
            .unwrap_or_else(|| DataForm::of(self.data_content_type, self.data.unwrap_or_default()))
    }

    /// The bytes of the data if they are a JSON value (as far as is known: see [`json_is_checked`](Self::json_is_checked)).
    pub fn data_json(&self) -> Option<&'a [u8]> {
        self.data.filter(|_| self.data_form() == DataForm::Json)
    }

    /// Whether JSON data has been checked: it is an [`Event`]'s, or its record says so. A record that nobody of ours wrote says
    /// nothing, and its data may be anything.
    pub fn json_is_checked(&self) -> bool {
        self.data_form == Some(DataForm::Json)
    }

    /// The same event with other data, JSON or text as it is said to be. `dataschema` spoke of the data that it had, and goes.
    pub fn with_data(&self, data: &'a [u8], form: DataForm, content_type: &'a str) -> EventView<'a> {
        EventView {
            data_content_type: Some(content_type),
            data_schema: None,
            data: Some(data),
            data_form: Some(form),
            ..self.clone()
        }
    }

    /// The same event without its data; `datacontenttype` and `dataschema` go on speaking of them.
    pub fn without_data(&self) -> EventView<'a> {
        EventView {
            data: None,
            data_form: None,
            ..self.clone()
        }
    }

    /// The same event, owned, with every rule checked.
    pub fn to_event(&self) -> Result<Event, Invalid> {
        let mut builder = Event::builder(self.id, self.source, self.event_type);
        for (name, value) in self.core_attributes() {
            builder = match name {
                "subject" => builder.subject(value),
                "time" => builder.time(value),
                "datacontenttype" => builder.data_content_type(value),
                "dataschema" => builder.data_schema(value),
                _ => builder,
            };
        }
        for extension in self.extensions() {
            builder = builder.typed_extension((*extension).into());
        }
        if let Some(bytes) = self.data {
            builder = builder.data(Data {
                bytes: Bytes::copy_from_slice(bytes),
                form: self.data_form(),
            });
        }
        builder.build()
    }
}

impl<'a> From<&'a Event> for EventView<'a> {
    fn from(event: &'a Event) -> EventView<'a> {
        let extensions = event.extensions().iter().map(ExtensionView::from).collect();
        EventView {
            id: event.id(),
            source: event.source(),
            event_type: event.event_type(),
            subject: event.subject(),
            time: event.time(),
            data_content_type: event.data_content_type(),
            data_schema: event.data_schema(),
            extensions,
            data: event.data().map(|data| data.bytes.as_ref()),
            data_form: event.data().map(|data| data.form),
        }
    }
}

impl<'a> From<&'a Extension> for ExtensionView<'a> {
    fn from(extension: &'a Extension) -> ExtensionView<'a> {
        ExtensionView {
            name: &extension.name,
            value: &extension.value,
            kind: extension.kind,
        }
    }
}

impl From<ExtensionView<'_>> for Extension {
    fn from(view: ExtensionView<'_>) -> Extension {
        Extension {
            name: view.name.to_owned(),
            value: view.value.to_owned(),
            kind: view.kind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_shortens_to_its_borrower() {
        struct Borrower<'a>(&'a EventView<'a>);
        let event = Event::builder("1", "/s", "t").build().expect("it is valid");
        let id = {
            let view = event.view();
            Borrower(&view).0.id().to_owned()
        };
        assert_eq!(id, event.id());
    }
}
