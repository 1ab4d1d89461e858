//! The JSON of a resource, opened one level at a time: what an import hands on is as it was written, with names that are there
//! twice and numbers that no double holds.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::refuse;
use crate::error::CompileError;

/// A JSON value as it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'s>(&'s str);

impl<'s> Source<'s> {
    /// A whole text.
    pub(super) fn whole(json: &'s str) -> Result<Self, CompileError> {
        let raw: &RawValue =
            serde_json::from_str(json).map_err(|error| refuse("", format!("it is not JSON: {error}")))?;
        Ok(Self(raw.get()))
    }

    pub(super) fn json(self) -> &'s str {
        self.0
    }

    pub(super) fn is_null(self) -> bool {
        self.0 == "null"
    }

    pub(super) fn is_object(self) -> bool {
        self.0.starts_with('{')
    }

    pub(super) fn is_list(self) -> bool {
        self.0.starts_with('[')
    }

    pub(super) fn is_text(self) -> bool {
        self.0.starts_with('"')
    }

    /// Not null, nor an empty string or list: what stands where nothing has been set.
    pub(super) fn says_something(self) -> bool {
        let is_empty_list = self.is_list() && self.items().is_some_and(|items| items.is_empty());
        !(self.is_null() || self.0 == "\"\"" || is_empty_list)
    }

    /// What a string holds.
    pub(super) fn text(self) -> Option<String> {
        serde_json::from_str(self.0).ok()
    }

    /// The items of a list.
    pub(super) fn items(self) -> Option<Vec<Self>> {
        let items: Vec<&RawValue> = serde_json::from_str(self.0).ok()?;
        Some(items.into_iter().map(|raw| Self(raw.get())).collect())
    }

    /// The members of an object.
    pub(super) fn members(self) -> Option<Members<'s>> {
        serde_json::from_str(self.0).ok()
    }
}

/// The members of an object, in their order; a name may be there twice.
#[derive(Debug, Clone)]
pub(super) struct Members<'s>(Vec<(String, Source<'s>)>);

impl<'s> Members<'s> {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Source<'s>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// A member, by any of its names; null is absent. Two of them are refused: nothing says which one counts.
    pub(super) fn get(&self, names: &[&str]) -> Result<Option<Source<'s>>, CompileError> {
        let mut found = self
            .iter()
            .filter(|(name, value)| names.contains(name) && !value.is_null());
        let first = found.next();
        match (first, found.next()) {
            (Some((first, _)), Some((second, _))) => {
                let message = format!("it is there twice, as {first:?} and as {second:?}");
                Err(refuse(first, message))
            }
            (first, _) => Ok(first.map(|(_, value)| value)),
        }
    }

    /// A member that is a string.
    pub(super) fn text(&self, names: &[&str]) -> Result<Option<String>, CompileError> {
        Ok(self.get(names)?.and_then(Source::text))
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfObject;

        impl<'de> Visitor<'de> for OfObject {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((name, raw)) = map.next_entry::<String, &RawValue>()? {
                    members.push((name, Source(raw.get())));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(OfObject)
    }
}
