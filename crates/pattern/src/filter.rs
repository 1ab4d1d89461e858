//! One compiled filter: immutable, shared by reference, able to answer alone.

use crate::document::Document;
use crate::error::{CompileCode, CompileError};
use crate::fields::Scratch;
use crate::limits::{TYPE_BYTES_MAX, TYPES_MAX};
use crate::mounts::Mounts;
use crate::operator::Operator;
use crate::paths::{Path, Paths, Place};
use crate::rules::{FieldTest, Found, Rules};
use crate::scan::scan;
use crate::wildcard::Wildcard;

/// The canonical path of an event's type.
const TYPE: &str = "/attr/type";

/// A compiled filter.
#[derive(Debug, Clone)]
pub struct Filter {
    /// All of them must match.
    parts: Vec<Rules>,
    paths: Paths,
    places: Vec<Box<[Place]>>,
}

impl Filter {
    /// Compiles an EventBridge pattern, whose paths are rewritten through the mounts.
    pub fn eventbridge(json: &[u8], mounts: &Mounts) -> Result<Self, CompileError> {
        crate::eventbridge::compile(json, mounts).map(|rules| Self::from_parts(vec![rules]))
    }

    /// Compiles a list of event types, in which `*` stands for any run of characters; one of them must match `/attr/type`.
    pub fn types(types: &[&str]) -> Result<Self, CompileError> {
        if types.is_empty() || types.len() > TYPES_MAX {
            return Err(bad_types(
                0,
                format!("a list of event types has between 1 and {TYPES_MAX} entries"),
            ));
        }
        if let Some(at) = types
            .iter()
            .position(|name| name.is_empty() || name.len() > TYPE_BYTES_MAX)
        {
            return Err(bad_types(
                at,
                format!("an event type has between 1 and {TYPE_BYTES_MAX} bytes"),
            ));
        }
        let operators = types.iter().map(|name| match name.contains('*') {
            true => Operator::Wildcard(Wildcard::plain(name.as_bytes())),
            false => Operator::Text(name.as_bytes().into()),
        });
        let test = FieldTest::new(Path::new(Some(TYPE), &[], "type".into()), operators.collect());
        Ok(Self::from_parts(vec![Rules {
            tests: vec![test],
            alternatives: vec![[0].into()],
        }]))
    }

    /// A filter that matches what all of these match.
    pub fn all_of(filters: Vec<Filter>) -> Self {
        Self::from_parts(filters.into_iter().flat_map(|filter| filter.parts).collect())
    }

    /// A filter that matches every document.
    pub fn everything() -> Self {
        Self::from_parts(Vec::new())
    }

    /// Whether the filter matches every document because it asks for nothing.
    pub fn is_everything(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether the document matches.
    pub fn matches(&self, document: &Document<'_>) -> bool {
        self.matches_with(document, &mut Scratch::new())
    }

    /// Whether the document matches; reuses memory.
    pub fn matches_with(&self, document: &Document<'_>, scratch: &mut Scratch) -> bool {
        scan(document, &self.paths, &mut scratch.fields, &mut scratch.key);
        let Scratch { fields, choices, .. } = scratch;
        let found = Found { document, fields };
        self.parts
            .iter()
            .zip(&self.places)
            .all(|(rules, places)| rules.match_any(&found, places, choices))
    }

    pub(crate) fn parts(&self) -> &[Rules] {
        &self.parts
    }

    pub(crate) fn paths(&self) -> &Paths {
        &self.paths
    }

    pub(crate) fn places(&self) -> &[Box<[Place]>] {
        &self.places
    }

    fn from_parts(parts: Vec<Rules>) -> Self {
        let mut paths = Paths::default();
        let places = parts.iter().map(|rules| rules.ask(&mut paths)).collect();
        Self { parts, paths, places }
    }
}

fn bad_types(position: usize, message: String) -> CompileError {
    CompileError {
        code: CompileCode::BadTypes,
        message,
        position,
        path: "types".into(),
        suggestion: None,
    }
}
