//! Why a document matches a filter or not: the tree of clauses, each with what it wanted and what it saw.
//!
//! Explaining is for people: it allocates, and shows long values and lists cut.

use std::fmt;

use serde::Serialize;

use crate::check::Work;
use crate::document::{DATA, Document};
use crate::fields::{Scratch, Value};
use crate::filter::Filter;
use crate::json::{Fault, FaultKind};
use crate::limits::{EXPLAINED_CHARACTERS_MAX, EXPLAINED_VALUES_MAX};
use crate::operator::quoted;
use crate::paths::Place;
use crate::rules::{FieldTest, Found, Rules};
use crate::scan::{self, scan};

/// A filter's answer about a document, with its reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Whether the document matches.
    pub matched: bool,
    /// What the event's data was.
    pub data: DataState,
    /// The filter's clauses.
    pub root: Clause,
}

/// What the document held at `/data`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum DataState {
    /// JSON that filters can see.
    Json,
    /// Nothing, or something that is not meant to be JSON.
    Absent,
    /// Something that should be JSON and is not; filters see nothing of it.
    NotJson {
        /// The byte at which it stops being JSON.
        position: usize,
        /// What is wrong there.
        reason: String,
    },
}

/// One clause of a filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Clause {
    /// What the clause is.
    pub kind: ClauseKind,
    /// Whether it matched.
    pub matched: bool,
    /// The field, as the filter writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What the field had to be, as a list of which one must pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    /// The values the field has, as JSON; empty when it is absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<String>,
    /// How many values more there are.
    #[serde(skip_serializing_if = "is_zero")]
    pub unseen: usize,
    /// The errors that its own evaluation had; only expressions have any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// What is not obvious from the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The clauses inside it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clauses: Vec<Clause>,
}

/// What a clause is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClauseKind {
    /// All clauses inside it must match.
    All,
    /// One of the clauses inside it must match.
    Any,
    /// The clause inside it must not match.
    Not,
    /// One field must pass one of its tests.
    Field,
    /// A query must select something.
    Query,
    /// A sub-expression of CESQL; as a condition it must be TRUE, without errors.
    Expression,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Explains a filter's answer.
pub fn explain(filter: &Filter, document: &Document<'_>) -> Explanation {
    let mut scratch = Scratch::new();
    scan(document, filter.paths(), None, &mut scratch.fields, &mut scratch.key);
    let Scratch { fields, work, .. } = &mut scratch;
    work.begin();
    let found = Found { document, fields };
    let parts = filter.parts().iter().zip(filter.places());
    let clauses: Vec<Clause> = parts.map(|(part, places)| part.explain(&found, places, work)).collect();
    let root = match <[Clause; 1]>::try_from(clauses) {
        Ok([clause]) => clause,
        Err(clauses) => Clause::of(ClauseKind::All, clauses.iter().all(|clause| clause.matched), clauses),
    };
    Explanation {
        matched: root.matched,
        data: data_state(document),
        root,
    }
}

impl Explanation {
    /// In words, the first thing that kept the document from matching; nothing if it matches.
    pub fn first_reason(&self) -> Option<String> {
        let reason = self.root.first_reason()?;
        match &self.data {
            DataState::NotJson {
                position,
                reason: fault,
            } => Some(format!("{reason} (the data is not JSON: {fault} at byte {position})")),
            _ => Some(reason),
        }
    }
}

impl Clause {
    pub(crate) fn of(kind: ClauseKind, matched: bool, clauses: Vec<Clause>) -> Self {
        Self {
            kind,
            matched,
            path: None,
            wanted: None,
            seen: Vec::new(),
            unseen: 0,
            errors: Vec::new(),
            note: None,
            clauses,
        }
    }

    fn first_reason(&self) -> Option<String> {
        if self.matched {
            return None;
        }
        if let Some(error) = self.first_error() {
            return Some(error.to_owned());
        }
        match self.kind {
            ClauseKind::Field => Some(self.field_reason()),
            ClauseKind::Expression => Some(self.expression_reason()),
            ClauseKind::Not if self.path.is_some() => Some(self.expression_reason()),
            ClauseKind::Query => {
                let note = self.note.as_deref().unwrap_or("there is no JSON data");
                Some(format!(
                    "{} selects nothing: {note}",
                    self.path.as_deref().unwrap_or_default()
                ))
            }
            ClauseKind::Not => Some("what must not match does".into()),
            ClauseKind::All => {
                let inner = self.clauses.iter().find_map(Clause::first_reason);
                inner.or_else(|| self.note.clone()).or_else(|| self.own_reason())
            }
            ClauseKind::Any => self.nearest_reason().or_else(|| self.own_reason()),
        }
    }

    /// Why the alternative that is nearest to matching does not.
    fn nearest_reason(&self) -> Option<String> {
        let failing = |clause: &Clause| clause.clauses.iter().filter(|inner| !inner.matched).count();
        let unmatched = self.clauses.iter().filter(|clause| !clause.matched);
        let nearest = unmatched.min_by_key(|clause| failing(clause))?.first_reason()?;
        let count = self.clauses.len();
        Some(format!(
            "none of {count} alternatives matches; in the nearest, {nearest}"
        ))
    }

    /// The reason of an expression whose parts give none.
    fn own_reason(&self) -> Option<String> {
        self.path.is_some().then(|| self.expression_reason())
    }

    /// The first error of an expression's parts.
    fn first_error(&self) -> Option<&str> {
        let inner = || self.clauses.iter().find_map(Clause::first_error);
        inner().or_else(|| self.errors.first().map(String::as_str))
    }

    /// What an expression is, and its parts.
    fn expression_reason(&self) -> String {
        let value = |clause: &Clause| {
            let path = clause.path.as_deref().unwrap_or_default();
            format!(
                "{path} is {}",
                clause.seen.first().map_or("not evaluated", String::as_str)
            )
        };
        let parts: Vec<String> = self.clauses.iter().map(value).collect();
        match parts.is_empty() {
            true => value(self),
            false => format!("{}, because {}", value(self), parts.join(", ")),
        }
    }

    fn field_reason(&self) -> String {
        let path = self.path.as_deref().unwrap_or_default();
        let wanted = self.wanted.as_deref().unwrap_or_default();
        if self.seen.is_empty() {
            return format!("{path} is absent; wanted {wanted}");
        }
        let more = if self.unseen > 0 {
            format!(" and {} more", self.unseen)
        } else {
            String::new()
        };
        format!("{path} is {}{more}; wanted {wanted}", self.seen.join(", "))
    }
}

/// Explains alternatives.
pub(crate) fn explain_rules(rules: &Rules, found: &Found<'_, '_>, places: &[Place], work: &mut Work) -> Clause {
    let alternatives = rules.alternatives.iter();
    let mut clauses: Vec<Clause> = alternatives
        .map(|alternative| {
            let matched = rules.matches(alternative, found, places, &mut work.choices);
            explain_alternative(rules, alternative, places, found, matched)
        })
        .collect();
    match clauses.len() {
        1 => clauses.remove(0),
        _ => Clause::of(ClauseKind::Any, clauses.iter().any(|clause| clause.matched), clauses),
    }
}

/// Explains a conjunction whose answer is known.
fn explain_alternative(
    rules: &Rules,
    alternative: &[u32],
    places: &[Place],
    found: &Found<'_, '_>,
    matched: bool,
) -> Clause {
    let fields = alternative.iter().map(|test| *test as usize);
    let clauses: Vec<Clause> = fields
        .map(|test| explain_field(&rules.tests[test], places[test], found))
        .collect();
    let all = clauses.iter().all(|clause| clause.matched);
    let mut clause = Clause::of(ClauseKind::All, matched, clauses);
    if all && !matched {
        clause.note = Some("every field matches by itself, but not in the same elements of an array".into());
    }
    clause
}

fn explain_field(test: &FieldTest, place: Place, found: &Found<'_, '_>) -> Clause {
    let mut seen = Vec::new();
    let mut unseen = 0;
    let mut matched = false;
    let mut outside = false;
    for field in found.fields.at(place) {
        let value = found.value(field);
        matched |= test.accepts(value);
        outside |= field.element == crate::fields::OUTSIDE;
        if seen.len() < EXPLAINED_VALUES_MAX {
            seen.push(cut(Shown(value).to_string()));
        } else {
            unseen += 1;
        }
    }
    // Values in elements of arrays may still be absent in the element that the other fields pick.
    matched |= test.absent && !outside;
    Clause {
        path: Some(test.path.written.to_string()),
        wanted: Some(wanted(test)),
        seen,
        unseen,
        note: test
            .path
            .mount
            .is_none()
            .then(|| "events have no such field at the top".into()),
        ..Clause::of(ClauseKind::Field, matched, Vec::new())
    }
}

fn wanted(test: &FieldTest) -> String {
    let mut text = String::from("[");
    for (index, operator) in test.operators().iter().enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        text.push_str(&operator.to_string());
        if text.len() > EXPLAINED_CHARACTERS_MAX {
            return cut(text);
        }
    }
    text.push(']');
    text
}

/// Cuts a text to what an explanation shows.
pub(crate) fn cut(mut text: String) -> String {
    if let Some((at, _)) = text.char_indices().nth(EXPLAINED_CHARACTERS_MAX) {
        text.truncate(at);
        text.push('…');
    }
    text
}

fn data_state(document: &Document<'_>) -> DataState {
    let mut data = document.entries().iter().filter(|(mount, _)| *mount == DATA).peekable();
    if data.peek().is_none() {
        return DataState::Absent;
    }
    match data.find_map(|(_, content)| scan::fault(*content)) {
        None => DataState::Json,
        Some(fault) => DataState::NotJson {
            position: fault.position,
            reason: in_words(fault),
        },
    }
}

pub(crate) fn in_words(fault: Fault) -> String {
    match fault.kind {
        FaultKind::End => "the text ends too early".into(),
        FaultKind::Character(byte, expected) => format!("{:?} instead of {expected}", char::from(byte)),
        FaultKind::Control(byte) => format!("a control character ({byte}) inside a string"),
        FaultKind::Escape(byte) => format!("{:?} in an escape", char::from(byte)),
        FaultKind::Word => "a word that is not true, false or null".into(),
        FaultKind::Number => "a malformed number".into(),
        FaultKind::Encoding => "bytes that are not UTF-8".into(),
        FaultKind::Bound => "nested too deeply or too large".into(),
    }
}

/// A value as JSON, cut to what an explanation shows.
pub(crate) fn shown(value: Value<'_>) -> String {
    cut(Shown(value).to_string())
}

/// Writes a value as JSON.
struct Shown<'a>(Value<'a>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Text(text) => quoted(f, text),
            Value::Number(text, _) => f.write_str(&String::from_utf8_lossy(text)),
            Value::True => f.write_str("true"),
            Value::False => f.write_str("false"),
            Value::Null => f.write_str("null"),
        }
    }
}
