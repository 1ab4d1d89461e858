//! One compiled filter: immutable, shared by reference, able to answer alone.

use std::fmt;
use std::sync::OnceLock;

use crate::check::{Check, Work};
use crate::document::Document;
use crate::error::{CompileCode, CompileError};
use crate::explain::{Clause, explain_rules};
use crate::fields::Scratch;
use crate::jsonpath::{AnyNeed, Query};
use crate::limits::{TYPE_BYTES_MAX, TYPES_MAX};
use crate::mounts::Mounts;
use crate::operator::Operator;
use crate::paths::{Path, Paths, Place};
use crate::rules::{FieldTest, Found, Rules};
use crate::scan::scan;
use crate::wildcard::Wildcard;

/// The canonical path of an event's type.
const TYPE: &str = "/attr/type";

/// Whether a filter may use what its language does not have by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// The language as its specification has it.
    #[default]
    Standard,
    /// With this crate's extensions; a filter that uses them is understood by nobody else.
    Extended,
}

/// A compiled filter.
#[derive(Clone)]
pub struct Filter {
    /// All of them must match.
    parts: Box<[Part]>,
    /// What it needs to be asked alone, made when that is done for the first time.
    alone: OnceLock<Box<Alone>>,
}

/// The paths that a filter asks for by itself.
#[derive(Debug, Clone)]
struct Alone {
    paths: Paths,
    /// For each part, what it asks for.
    places: Vec<Box<[Place]>>,
}

/// What it asks for; the paths follow from that, and their hash seeds are another each time.
impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter")
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

/// One condition of a filter.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// What many filters are indexed by. Without a check it is the whole condition; with one, whatever the check takes the guard
    /// takes as well. (Two fields of one alternative must lie in the same elements of arrays: a guard that is derived from a check
    /// without that rule has one field an alternative, or fields outside of all arrays.)
    pub(crate) guard: Rules,
    /// Asked after the guard.
    pub(crate) check: Option<Box<Check>>,
}

impl Part {
    /// A condition that rules say whole.
    pub(crate) fn exact(rules: Rules) -> Self {
        Self {
            guard: rules,
            check: None,
        }
    }

    /// A check with a guard that takes at least what the check takes.
    pub(crate) fn checked(guard: Rules, check: Check) -> Self {
        Self {
            guard,
            check: Some(Box::new(check)),
        }
    }

    /// The whole condition as a check.
    pub(crate) fn into_check(self) -> Check {
        self.check.map_or(Check::Rules(self.guard), |check| *check)
    }

    /// Asks for the paths it needs: the guard's places in the order of its tests, then the check's.
    pub(crate) fn ask(&self, paths: &mut Paths) -> Box<[Place]> {
        let mut places: Vec<Place> = self.guard.tests.iter().map(|test| paths.ask(&test.path)).collect();
        if let Some(check) = &self.check {
            check.ask(paths, &mut places);
        }
        places.into()
    }

    /// What data must have somewhere for the check to hold, all of it.
    pub(crate) fn needs(&self) -> &[AnyNeed] {
        match self.check.as_deref() {
            Some(Check::Query(query)) => query.needs(),
            _ => &[],
        }
    }

    /// How many places it asks for.
    pub(crate) fn place_count(&self) -> usize {
        self.guard.tests.len() + self.check.as_ref().map_or(0, |check| check.place_count())
    }

    /// Whether it holds. `places` are what [`ask`](Self::ask) answered.
    pub(crate) fn matches(&self, found: &Found<'_, '_>, places: &[Place], work: &mut Work) -> bool {
        let (of_guard, of_check) = places.split_at(self.guard.tests.len());
        self.guard.match_any(found, of_guard, &mut work.choices)
            && self
                .check
                .as_ref()
                .is_none_or(|check| check.matches(found, of_check, work))
    }

    /// Whether it holds, with its reasons. A guard beside a check says nothing that the check does not.
    pub(crate) fn explain(&self, found: &Found<'_, '_>, places: &[Place], work: &mut Work) -> Clause {
        let (of_guard, of_check) = places.split_at(self.guard.tests.len());
        match &self.check {
            None => explain_rules(&self.guard, found, of_guard, work),
            Some(check) => check.explain(found, of_check, work),
        }
    }
}

impl Filter {
    /// Compiles an EventBridge pattern, whose paths are rewritten through the mounts.
    pub fn eventbridge(json: &[u8], mounts: &Mounts) -> Result<Self, CompileError> {
        crate::eventbridge::compile(json, mounts).map(|rules| Self::from_parts(vec![Part::exact(rules)]))
    }

    /// Compiles a pattern of the extended dialect: EventBridge's language with `$and`, `$not`, `regex` (anywhere in the text, unless
    /// anchored) and `{"wildcard": {"equals-ignore-case": …}}`.
    pub fn eventbridge_extended(json: &[u8], mounts: &Mounts) -> Result<Self, CompileError> {
        crate::eventbridge::compile_extended(json, mounts).map(Self::from_parts)
    }

    /// Compiles an Azure Event Grid filter: the JSON that an event subscription has under `filter`. The mounts name where `data`
    /// and the attributes lie, in lower case; an attribute without a mount lies at `/attr/` and its name.
    pub fn eventgrid(json: &[u8], mounts: &Mounts) -> Result<Self, CompileError> {
        crate::eventgrid::compile(json, mounts).map(Self::from_parts)
    }

    /// Compiles a JSONPath query (RFC 9535) over the JSON data: it matches when it selects at least one node.
    pub fn jsonpath(query: &str) -> Result<Self, CompileError> {
        let query = Query::compile(query)?;
        let part = Part::checked(Rules::always(), Check::Query(Box::new(query)));
        Ok(Self::from_parts(vec![part]))
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
        let test = FieldTest::new(Path::new(Some(TYPE), &[], "type"), operators.collect());
        Ok(Self::from_parts(vec![Part::exact(Rules::field(test))]))
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
        let Alone { paths, places } = self.alone();
        scan(document, paths, None, &mut scratch.fields, &mut scratch.key);
        let Scratch { fields, work, .. } = scratch;
        work.begin();
        let found = Found { document, fields };
        let mut parts = self.parts.iter().zip(places);
        parts.all(|(part, places)| part.matches(&found, places, work))
    }

    /// Bytes on the heap, as far as they are known: of checks beyond rules, only what they take themselves.
    pub fn memory(&self) -> usize {
        let of_part = |part: &Part| {
            part.guard.memory()
                + part
                    .check
                    .as_ref()
                    .map_or(0, |check| size_of::<Check>() + check.memory())
        };
        let parts = size_of_val(&*self.parts) + self.parts.iter().map(of_part).sum::<usize>();
        let alone = self.alone.get().map_or(0, |alone| {
            let places = alone.places.iter().map(|places| size_of_val(&**places));
            size_of::<Alone>() + places.sum::<usize>() + alone.paths.memory()
        });
        size_of::<Self>() + parts + alone
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub(crate) fn paths(&self) -> &Paths {
        &self.alone().paths
    }

    pub(crate) fn places(&self) -> &[Box<[Place]>] {
        &self.alone().places
    }

    pub(crate) fn from_parts(mut parts: Vec<Part>) -> Self {
        parts.iter_mut().for_each(|part| part.guard.tests.shrink_to_fit());
        Self {
            parts: parts.into(),
            alone: OnceLock::new(),
        }
    }

    fn alone(&self) -> &Alone {
        self.alone.get_or_init(|| {
            let mut paths = Paths::default();
            let places = self.parts.iter().map(|part| part.ask(&mut paths)).collect();
            Box::new(Alone { paths, places })
        })
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
