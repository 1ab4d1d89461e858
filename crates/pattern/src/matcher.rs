//! Many filters asked at once: one scan of the document, then only the filters that some value calls for.
//!
//! Every alternative of a filter is registered under one thing that must be there for it to match: one of the exact values of a
//! field, or else the presence of a field. What a scan finds calls for the filters registered under it, and these answer as they
//! would alone; so the answer for a set is the answer for each.

use std::collections::HashMap;
use std::sync::Arc;

use crate::document::Document;
use crate::fields::{Scratch, Value};
use crate::filter::Filter;
use crate::operator::Operator;
use crate::paths::{Paths, Place};
use crate::rules::{FieldTest, Found, Rules};
use crate::scan::scan;

/// An immutable set of filters, each with an id.
#[derive(Debug, Clone)]
pub struct Matcher<Id> {
    /// Sorted by id.
    entries: Vec<Entry<Id>>,
    paths: Paths,
    callers: Vec<Callers>,
    /// Filters that are asked whatever the document holds.
    always: Vec<u32>,
}

#[derive(Debug, Clone)]
struct Entry<Id> {
    id: Id,
    filter: Arc<Filter>,
    places: Box<[Box<[Place]>]>,
}

/// Which filters the values at one place call for.
#[derive(Debug, Clone, Default)]
struct Callers {
    texts: HashMap<Box<[u8]>, Vec<u32>>,
    /// By the bits of the value.
    numbers: HashMap<u64, Vec<u32>>,
    /// Called by any value.
    presence: Vec<u32>,
}

/// Collects filters for a [`Matcher`].
#[derive(Debug, Clone)]
pub struct MatcherBuilder<Id> {
    entries: Vec<(Id, Arc<Filter>)>,
}

impl<Id: Copy + Ord> MatcherBuilder<Id> {
    /// An empty set.
    pub fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Adds a filter. The last filter of an id counts.
    #[must_use]
    pub fn with(mut self, id: Id, filter: Arc<Filter>) -> Self {
        self.entries.push((id, filter));
        self
    }

    /// The matcher.
    pub fn build(self) -> Matcher<Id> {
        Matcher::build(self.entries)
    }
}

impl<Id: Copy + Ord> Default for MatcherBuilder<Id> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Id: Copy + Ord> Default for Matcher<Id> {
    fn default() -> Self {
        Self::build([])
    }
}

impl<Id: Copy + Ord> Matcher<Id> {
    /// A matcher of these filters. The last filter of an id counts.
    pub fn build(filters: impl IntoIterator<Item = (Id, Arc<Filter>)>) -> Self {
        let mut filters: Vec<(Id, Arc<Filter>)> = filters.into_iter().collect();
        filters.reverse();
        filters.sort_by_key(|(id, _)| *id);
        filters.dedup_by_key(|(id, _)| *id);
        let mut matcher = Self {
            entries: Vec::new(),
            paths: Paths::default(),
            callers: Vec::new(),
            always: Vec::new(),
        };
        for (id, filter) in filters {
            matcher.push(id, filter);
        }
        matcher
    }

    /// The same set with one more filter, or another one for this id.
    #[must_use]
    pub fn with(&self, id: Id, filter: Arc<Filter>) -> Self {
        Self::build(self.filters().chain([(id, filter)]))
    }

    /// The same set without this id's filter.
    #[must_use]
    pub fn without(&self, id: Id) -> Self {
        Self::build(self.filters().filter(|(known, _)| *known != id))
    }

    /// The filter of an id.
    pub fn get(&self, id: Id) -> Option<&Arc<Filter>> {
        let at = self.entries.binary_search_by_key(&id, |entry| entry.id).ok()?;
        Some(&self.entries[at].filter)
    }

    /// How many filters there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no filter.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Appends the ids of the filters that match, in order. Nothing is allocated once the memory has grown to what events need.
    pub fn matches(&self, document: &Document<'_>, scratch: &mut Scratch, out: &mut Vec<Id>) {
        scan(document, &self.paths, &mut scratch.fields, &mut scratch.key);
        let Scratch {
            fields,
            choices,
            candidates,
            ..
        } = scratch;
        let found = Found { document, fields };
        candidates.clear();
        candidates.extend_from_slice(&self.always);
        for place in found.fields.touched() {
            self.callers[place.index()].call(*place, &found, candidates);
        }
        candidates.sort_unstable();
        candidates.dedup();
        for candidate in &*candidates {
            let entry = &self.entries[*candidate as usize];
            let mut parts = entry.filter.parts().iter().zip(&entry.places);
            if parts.all(|(rules, places)| rules.match_any(&found, places, choices)) {
                out.push(entry.id);
            }
        }
    }

    fn filters(&self) -> impl Iterator<Item = (Id, Arc<Filter>)> {
        self.entries.iter().map(|entry| (entry.id, Arc::clone(&entry.filter)))
    }

    fn push(&mut self, id: Id, filter: Arc<Filter>) {
        let index = u32::try_from(self.entries.len()).expect("a matcher holds fewer than 2^32 filters");
        let places: Box<[Box<[Place]>]> = filter.parts().iter().map(|rules| rules.ask(&mut self.paths)).collect();
        self.callers.resize_with(self.paths.len(), Callers::default);
        match filter
            .parts()
            .iter()
            .zip(&places)
            .max_by_key(|(rules, _)| rarity(rules))
        {
            Some((rules, places)) if rarity(rules) > Rarity::Always => self.register(index, rules, places),
            _ => self.always.push(index),
        }
        self.entries.push(Entry { id, filter, places });
    }

    /// Registers a filter under what each alternative of one of its parts needs.
    fn register(&mut self, index: u32, rules: &Rules, places: &[Place]) {
        for alternative in &rules.alternatives {
            let tests = alternative.iter().map(|test| *test as usize);
            let rarest = tests.max_by_key(|test| rarity_of_test(&rules.tests[*test]));
            let Some(test) = rarest else { continue };
            // A path that is mounted nowhere is absent, and so is this alternative.
            if places[test] != Place::NOWHERE {
                self.callers[places[test].index()].register(index, &rules.tests[test]);
            }
        }
    }
}

impl Callers {
    fn register(&mut self, index: u32, test: &FieldTest) {
        if rarity_of_test(test) < Rarity::Exact {
            push_once(&mut self.presence, index);
            return;
        }
        for operator in test.operators() {
            match operator {
                Operator::Text(text) => push_once(self.texts.entry(text.clone()).or_default(), index),
                Operator::Number(_, Some(number)) => {
                    push_once(self.numbers.entry(number_key(*number)).or_default(), index);
                }
                _ => push_once(&mut self.presence, index),
            }
        }
    }

    fn call(&self, place: Place, found: &Found<'_, '_>, candidates: &mut Vec<u32>) {
        candidates.extend_from_slice(&self.presence);
        if self.texts.is_empty() && self.numbers.is_empty() {
            return;
        }
        for field in found.fields.at(place) {
            let called = match found.value(field) {
                Value::Text(text) => self.texts.get(text),
                Value::Number(_, Some(number)) => self.numbers.get(&number_key(number)),
                _ => None,
            };
            candidates.extend_from_slice(called.map_or(&[][..], Vec::as_slice));
        }
    }
}

fn push_once(list: &mut Vec<u32>, index: u32) {
    if list.last() != Some(&index) {
        list.push(index);
    }
}

/// Equal numbers have equal keys; there is no negative zero among comparable numbers.
fn number_key(number: f64) -> u64 {
    (number + 0.0).to_bits()
}

/// How rarely something calls for a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rarity {
    Always,
    Presence,
    Exact,
}

/// How rarely a part of a filter is called for: as its most frequent alternative.
fn rarity(rules: &Rules) -> Rarity {
    let of_alternative = |alternative: &[u32]| {
        let tests = alternative
            .iter()
            .map(|test| rarity_of_test(&rules.tests[*test as usize]));
        tests.max().unwrap_or(Rarity::Always)
    };
    rules
        .alternatives
        .iter()
        .map(|alternative| of_alternative(alternative))
        .min()
        .unwrap_or(Rarity::Always)
}

fn rarity_of_test(test: &FieldTest) -> Rarity {
    let exact = |operator: &Operator| matches!(operator, Operator::Text(_) | Operator::Number(_, Some(_)));
    match test {
        test if test.absent => Rarity::Always,
        test if test.operators().iter().all(exact) => Rarity::Exact,
        _ => Rarity::Presence,
    }
}
