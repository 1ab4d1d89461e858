//! Conversions from other systems' subscriptions: a rule, a trigger or an event subscription in, a filter of ours and what was
//! lost on the way out.
//!
//! It reads filters only. Targets, retries and credentials are named in the notes and left to people. Nothing that narrows what
//! a subscription receives is dropped: it is converted or the import is refused, and so is what is not known where nothing else
//! narrows. JSON goes in and out as text, because a tree of it loses names that are there twice and the figures of large numbers,
//! which mean something to a filter.

use crate::error::{CompileCode, CompileError};
use crate::explain::cut;
use crate::filter::Filter;
use crate::mounts::Mounts;

mod event_grid;
mod eventbridge;
mod knative;
mod resources;
mod source;

use source::{Members, Source};

/// A system that subscriptions come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// Amazon EventBridge: rules.
    EventBridge,
    /// Knative Eventing: triggers.
    Knative,
    /// Azure Event Grid: event subscriptions.
    EventGrid,
}

/// What becomes of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conversion {
    /// It is a subscription.
    Subscription(Imported),
    /// It is something else, and this says what.
    Skipped(String),
}

/// What an import yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The name it had, if it had one.
    pub name: Option<String>,
    /// The filter; none when everything matches.
    pub filter: Option<ImportedFilter>,
    /// What has no counterpart in a filter, or means something else here; for people.
    pub notes: Vec<String>,
}

/// A filter as a subscription holds it: one language and its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedFilter {
    /// The name of the language: `eventbridge`, `cloudevents` or `eventgrid`.
    pub language: &'static str,
    /// The content: JSON whose values are spelled as the source has them.
    pub json: String,
}

/// A resource of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource<'d> {
    /// The name that the document gives it.
    pub name: Option<String>,
    /// Its JSON.
    pub json: &'d str,
}

impl System {
    /// The resources of a document: those of the list or the template that it is, or itself.
    pub fn resources(self, document: &str) -> Result<Vec<Resource<'_>>, CompileError> {
        resources::opened(self, Source::whole(document)?)
    }

    /// Converts one resource.
    pub fn convert(self, resource: &str) -> Result<Conversion, CompileError> {
        let source = Source::whole(resource)?;
        match self {
            System::EventBridge => eventbridge::rule(source),
            System::Knative => knative::trigger(source),
            System::EventGrid => event_grid::subscription(source),
        }
    }
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

/// The members that an import does not look at, as one note.
fn note_of_rest(members: &Members<'_>, read: &[&str], notes: &mut Vec<String>) {
    let rest: Vec<&str> = members
        .iter()
        .filter(|(name, value)| value.says_something() && !read.contains(name))
        .map(|(name, _)| name)
        .collect();
    if !rest.is_empty() {
        notes.push(cut(format!(
            "not part of a filter, and not imported: {}",
            rest.join(", ")
        )));
    }
}

/// Refuses members that are not known of something that takes every event: one of them may be what narrows.
fn refuse_unknown(members: &Members<'_>, known: &[&str]) -> Result<(), CompileError> {
    let mut unknown = members
        .iter()
        .filter(|(name, value)| value.says_something() && !known.contains(name));
    match unknown.next() {
        None => Ok(()),
        Some((name, _)) => {
            let message = format!("{name:?} is not known, and nothing else says which events are taken");
            Err(refuse(name, message))
        }
    }
}

/// An object of members that are JSON already.
fn object(members: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<str>)>) -> String {
    let members = members.into_iter().map(|(name, json)| {
        let name = serde_json::Value::from(name.as_ref());
        format!("{name}:{}", json.as_ref())
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// A list of items that are JSON already.
fn list(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}

#[cfg(test)]
mod tests;
