//! The request as it is written: read once, texts borrowed where they have no escapes, lists bounded while they are read. Constraints
//! of the model that AWS holds against the whole request are held here.

use crate::http::eventbridge::{
    fault::Fault,
    names::BUS_NAME_BYTES_MAX,
    reading::{Object, unreadable},
};
use serde::{
    Deserialize,
    de::{Deserializer, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt, marker::PhantomData};

/// Entries of a request.
pub(super) const ENTRIES_MAX: usize = 10;
/// Bytes of all entries together, counted by [`Entry::bytes`].
const ENTRIES_BYTES_MAX: usize = 1 << 20;
/// Resources of an entry: more do not fit into the attributes of an event, even if each is empty.
const RESOURCES_MAX: usize = event::limits::EVENT_ATTRIBUTES_BYTES_MAX / 3;
/// Characters of a resource.
const RESOURCE_CHARACTERS_MAX: usize = 2_048;
/// Characters of a trace header.
const TRACE_HEADER_CHARACTERS_MAX: usize = 500;
/// What a time counts.
const TIME_BYTES: usize = 14;

/// A request.
pub(super) struct Request<'a> {
    /// 1 to [`ENTRIES_MAX`].
    pub(super) entries: Vec<Entry<'a>>,
}

/// An entry as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entry<'a> {
    #[serde(borrow)]
    pub(super) source: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) detail_type: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) detail: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) event_bus_name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) trace_header: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) time: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) resources: Option<Bounded<Text<'a>, RESOURCES_MAX>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input<'a> {
    #[serde(borrow)]
    entries: Option<Bounded<Object<Entry<'a>>, ENTRIES_MAX>>,
    #[serde(borrow)]
    endpoint_id: Option<Text<'a>>,
}

impl<'a> Request<'a> {
    /// Reads a request and holds it against the constraints of the model.
    pub(super) fn read(body: &'a [u8]) -> Result<Request<'a>, Fault> {
        let Object(Input { entries, endpoint_id }) = serde_json::from_slice(body).map_err(unreadable)?;
        if endpoint_id.is_some() {
            return Err(Fault::validation(
                "EndpointId is not supported: this server has no global endpoints. Leave it out.",
            ));
        }
        let wrong = |value: &str, rule: &str| Err(Fault::constraint(value, "entries", rule));
        let Some(Bounded {
            kept: entries,
            is_whole,
        }) = entries
        else {
            return wrong("null", "Member must not be null");
        };
        if !is_whole {
            return wrong("[…]", "Member must have length less than or equal to 10");
        }
        if entries.is_empty() {
            return wrong("[]", "Member must have length greater than or equal to 1");
        }
        let entries: Vec<Entry<'a>> = entries.into_iter().map(|Object(entry)| entry).collect();
        for (at, entry) in entries.iter().enumerate() {
            entry.check(at + 1)?;
        }
        if entries.iter().map(Entry::bytes).sum::<usize>() > ENTRIES_BYTES_MAX {
            return Err(Fault::validation(
                "Total size of the entries in the request is over the limit.",
            ));
        }
        Ok(Request { entries })
    }
}

impl Entry<'_> {
    fn check(&self, number: usize) -> Result<(), Fault> {
        let wrong = |value: &str, member: &str, rule: String| {
            Err(Fault::constraint(
                value,
                &format!("entries.{number}.member.{member}"),
                &rule,
            ))
        };
        let too_long = |max: usize| format!("Member must have length less than or equal to {max}");
        if let Some(Text(name)) = &self.event_bus_name
            && name.len() > BUS_NAME_BYTES_MAX
        {
            return wrong(name, "eventBusName", too_long(BUS_NAME_BYTES_MAX));
        }
        if let Some(Text(header)) = &self.trace_header
            && (header.is_empty() || header.chars().count() > TRACE_HEADER_CHARACTERS_MAX)
        {
            return wrong(
                header,
                "traceHeader",
                format!("Member must have length from 1 to {TRACE_HEADER_CHARACTERS_MAX}"),
            );
        }
        let Some(resources) = &self.resources else {
            return Ok(());
        };
        if !resources.is_whole {
            return wrong("[…]", "resources", too_long(RESOURCES_MAX));
        }
        let long = |text: &&Text<'_>| {
            text.0.len() > RESOURCE_CHARACTERS_MAX && text.0.chars().count() > RESOURCE_CHARACTERS_MAX
        };
        match resources.kept.iter().find(long) {
            Some(resource) => wrong(&resource.0, "resources", too_long(RESOURCE_CHARACTERS_MAX)),
            None => Ok(()),
        }
    }

    /// What it counts, by AWS's rule: its texts in UTF-8, and a time that is given.
    fn bytes(&self) -> usize {
        let texts = [&self.source, &self.detail_type, &self.detail];
        let texts: usize = texts.into_iter().flatten().map(|text| text.0.len()).sum();
        let resources = self
            .resources
            .iter()
            .flat_map(|list| &list.kept)
            .map(|text| text.0.len())
            .sum::<usize>();
        let time = self.time.map_or(0, |_| TIME_BYTES);
        texts + resources + time
    }
}

/// A text, borrowed when it has no escapes.
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads;
        impl<'de> Visitor<'de> for Reads {
            type Value = Text<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
            fn visit_string<E>(self, text: String) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text)))
            }
        }
        deserializer.deserialize_string(Reads)
    }
}

/// A list of which so many items are kept; the others are passed over.
pub(super) struct Bounded<T, const MAX: usize> {
    /// The first items.
    pub(super) kept: Vec<T>,
    /// Whether there are no others.
    pub(super) is_whole: bool,
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Bounded<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads<T, const MAX: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Reads<T, MAX> {
            type Value = Bounded<T, MAX>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut kept = Vec::new();
                while kept.len() < MAX {
                    match list.next_element()? {
                        Some(item) => kept.push(item),
                        None => return Ok(Bounded { kept, is_whole: true }),
                    }
                }
                let mut is_whole = true;
                while list.next_element::<IgnoredAny>()?.is_some() {
                    is_whole = false;
                }
                Ok(Bounded { kept, is_whole })
            }
        }
        deserializer.deserialize_seq(Reads::<T, MAX>(PhantomData))
    }
}
