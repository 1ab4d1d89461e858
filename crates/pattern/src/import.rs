//! Conversions from other systems' subscriptions: a rule, a trigger or an event subscription in, a filter of ours and what was
//! lost on the way out.
//!
//! It reads filters only. Targets, retries and credentials are named in the notes and left to people. Nothing that narrows what
//! a subscription receives is dropped: it is converted or the import is refused.

use serde_json::{Map, Value, json};

use crate::error::{CompileCode, CompileError};
use crate::explain::cut;
use crate::filter::Filter;
use crate::mounts::Mounts;

mod event_grid;
mod eventbridge;
mod knative;

pub use event_grid::event_grid_subscription;
pub use eventbridge::eventbridge_rule;
pub use knative::knative_trigger;

/// What an import yields.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The name it had, if it had one.
    pub name: Option<String>,
    /// The list of event types, if the filter is one.
    pub types: Option<Vec<String>>,
    /// The filter as a subscription holds it, one dialect and its content: `{"eventbridge": {…}}`; null when everything matches.
    pub filter: Value,
    /// What has no counterpart in a filter, or means something else here; for people.
    pub notes: Vec<String>,
}

fn refuse(path: &str, message: impl Into<String>) -> CompileError {
    CompileError {
        code: CompileCode::BadImport,
        message: cut(message.into()),
        position: 0,
        path: path.into(),
        suggestion: None,
    }
}

/// A member, by any of its names; null is absent.
fn member<'v>(value: &'v Value, names: &[&str]) -> Option<&'v Value> {
    let object = value.as_object()?;
    let found = names.iter().find_map(|name| object.get(*name));
    found.filter(|value| !value.is_null())
}

fn text<'v>(value: &'v Value, names: &[&str]) -> Option<&'v str> {
    member(value, names)?.as_str()
}

/// The members that an import does not look at, as one note.
fn note_of_rest(object: &Map<String, Value>, read: &[&str], notes: &mut Vec<String>) {
    let rest: Vec<&str> = object
        .iter()
        .filter(|(name, value)| !value.is_null() && !read.contains(&name.as_str()))
        .map(|(name, _)| name.as_str())
        .collect();
    if !rest.is_empty() {
        notes.push(cut(format!(
            "not part of a filter, and not imported: {}",
            rest.join(", ")
        )));
    }
}

#[cfg(test)]
mod tests;
