//! Many filters asked at once: one scan of the document, then only the filters that some value calls for.
//!
//! Every alternative of a filter is registered under one field that must be there for it to match: under the exact values, heads or
//! tails that the field's tests ask for, or else under its presence. What a scan finds calls for the filters registered under it, and
//! these answer as they would alone; so the answer for a set is the answer for each.

use std::collections::HashMap;
use std::sync::Arc;

use crate::document::Document;
use crate::fields::{Scratch, Value};
use crate::filter::Filter;
use crate::operator::Operator;
use crate::paths::{Paths, Place};
use crate::rules::{FieldTest, Found, Rules};
use crate::scan::scan;

/// Bytes of a head or tail that filters are registered under; it bounds the look-ups that a value costs.
const AFFIX_BYTES_MAX: usize = 32;

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
    heads: Affixes,
    tails: Affixes,
    /// By the bits of the value.
    numbers: HashMap<u64, Vec<u32>>,
    /// Called by any value.
    presence: Vec<u32>,
}

/// Filters by what a text begins or ends with.
#[derive(Debug, Clone, Default)]
struct Affixes {
    filters: HashMap<Box<[u8]>, Vec<u32>>,
    /// The lengths there are, ascending; a value costs as many look-ups.
    lengths: Vec<usize>,
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
            work,
            candidates,
            ..
        } = scratch;
        let found = Found { document, fields };
        candidates.clear();
        work.begin();
        candidates.extend_from_slice(&self.always);
        for place in found.fields.touched() {
            self.callers[place.index()].call(*place, &found, candidates);
        }
        candidates.sort_unstable();
        candidates.dedup();
        for candidate in &*candidates {
            let entry = &self.entries[*candidate as usize];
            let mut parts = entry.filter.parts().iter().zip(&entry.places);
            if parts.all(|(part, places)| part.matches(&found, places, work)) {
                out.push(entry.id);
            }
        }
    }

    fn filters(&self) -> impl Iterator<Item = (Id, Arc<Filter>)> {
        self.entries.iter().map(|entry| (entry.id, Arc::clone(&entry.filter)))
    }

    fn push(&mut self, id: Id, filter: Arc<Filter>) {
        let index = u32::try_from(self.entries.len()).expect("a matcher holds fewer than 2^32 filters");
        let places: Box<[Box<[Place]>]> = filter.parts().iter().map(|part| part.ask(&mut self.paths)).collect();
        self.callers.resize_with(self.paths.len(), Callers::default);
        let guards = filter.parts().iter().map(|part| &part.guard);
        let parts = guards.zip(&places);
        let cheapest = parts.filter_map(|(rules, places)| Some((self.part_cost(rules, places)?, rules, places)));
        match cheapest.min_by_key(|(cost, ..)| *cost) {
            Some((_, rules, places)) => self.register(index, rules, places),
            None => self.always.push(index),
        }
        self.entries.push(Entry { id, filter, places });
    }

    /// Registers a filter under the cheapest field of each alternative of one of its parts.
    fn register(&mut self, index: u32, rules: &Rules, places: &[Place]) {
        for alternative in &rules.alternatives {
            let costs = alternative
                .iter()
                .map(|test| (self.test_cost(rules, places, *test), *test as usize));
            let cheapest = costs.filter_map(|(cost, test)| Some((cost?, test))).min();
            let Some((_, test)) = cheapest else { continue };
            // A path that is mounted nowhere is absent, and this alternative never matches.
            if places[test] != Place::NOWHERE {
                self.callers[places[test].index()].register(index, &rules.tests[test]);
            }
        }
    }

    /// What it costs to register a filter under one of its parts; none if one of the alternatives needs no field to be there.
    fn part_cost(&self, rules: &Rules, places: &[Place]) -> Option<usize> {
        let of_alternative = |alternative: &[u32]| {
            alternative
                .iter()
                .filter_map(|test| self.test_cost(rules, places, *test))
                .min()
        };
        rules
            .alternatives
            .iter()
            .map(|alternative| of_alternative(alternative))
            .try_fold(0, |most, cost| Some(most.max(cost?)))
    }

    /// What it costs to register a filter under one of its tests; none if the field need not be there.
    fn test_cost(&self, rules: &Rules, places: &[Place], test: u32) -> Option<usize> {
        let (test, place) = (&rules.tests[test as usize], places[test as usize]);
        (!test.absent).then(|| {
            if place == Place::NOWHERE {
                0
            } else {
                self.callers[place.index()].cost(test)
            }
        })
    }
}

/// How often a list is called, roughly, against one for an exact value.
const AFFIX_FREQUENCY: usize = 4;
const PRESENCE_FREQUENCY: usize = 32;

impl Callers {
    fn register(&mut self, index: u32, test: &FieldTest) {
        for operator in test.operators() {
            let list = match Key::of(operator) {
                Some(Key::Text(text)) => self.texts.entry(text.into()).or_default(),
                Some(Key::Number(number)) => self.numbers.entry(number).or_default(),
                Some(Key::Head(head)) => self.heads.list(head),
                Some(Key::Tail(tail)) => self.tails.list(tail),
                None => &mut self.presence,
            };
            if list.last() != Some(&index) {
                list.push(index);
            }
        }
    }

    /// How many filters will be asked in vain, roughly, if one more is registered under this test.
    fn cost(&self, test: &FieldTest) -> usize {
        let length = |list: Option<&Vec<u32>>| 1 + list.map_or(0, Vec::len);
        let of_operator = |operator: &Operator| match Key::of(operator) {
            Some(Key::Text(text)) => length(self.texts.get(text)),
            Some(Key::Number(number)) => length(self.numbers.get(&number)),
            Some(Key::Head(head)) => AFFIX_FREQUENCY * length(self.heads.filters.get(head)),
            Some(Key::Tail(tail)) => AFFIX_FREQUENCY * length(self.tails.filters.get(tail)),
            None => PRESENCE_FREQUENCY * length(Some(&self.presence)),
        };
        test.operators().iter().map(of_operator).max().unwrap_or(0)
    }

    fn call(&self, place: Place, found: &Found<'_, '_>, candidates: &mut Vec<u32>) {
        candidates.extend_from_slice(&self.presence);
        for field in found.fields.at(place) {
            match found.value(field) {
                Value::Text(text) => {
                    candidates.extend(self.texts.get(text).into_iter().flatten());
                    self.heads.call(candidates, |length| text.get(..length));
                    self.tails
                        .call(candidates, |length| text.get(text.len().checked_sub(length)?..));
                }
                Value::Number(_, Some(number)) => {
                    candidates.extend(self.numbers.get(&bits(number)).into_iter().flatten())
                }
                _ => {}
            }
        }
    }
}

impl Affixes {
    fn list(&mut self, affix: &[u8]) -> &mut Vec<u32> {
        if let Err(at) = self.lengths.binary_search(&affix.len()) {
            self.lengths.insert(at, affix.len());
        }
        self.filters.entry(affix.into()).or_default()
    }

    fn call<'v>(&self, candidates: &mut Vec<u32>, affix: impl Fn(usize) -> Option<&'v [u8]>) {
        for affix in self.lengths.iter().map_while(|length| affix(*length)) {
            candidates.extend(self.filters.get(affix).into_iter().flatten());
        }
    }
}

/// What a value must have for an operator to pass.
enum Key<'o> {
    Text(&'o [u8]),
    Number(u64),
    Head(&'o [u8]),
    Tail(&'o [u8]),
}

impl<'o> Key<'o> {
    fn of(operator: &'o Operator) -> Option<Self> {
        match operator {
            Operator::Text(text) => Some(Key::Text(text)),
            Operator::Number(_, Some(number)) => Some(Key::Number(bits(*number))),
            Operator::Prefix(head) => Self::head(head),
            Operator::Suffix(tail) => Self::tail(tail),
            Operator::Wildcard(wildcard) => Self::head(wildcard.head()).or_else(|| Self::tail(wildcard.tail())),
            _ => None,
        }
    }

    fn head(head: &'o [u8]) -> Option<Self> {
        (!head.is_empty()).then(|| Key::Head(&head[..head.len().min(AFFIX_BYTES_MAX)]))
    }

    fn tail(tail: &'o [u8]) -> Option<Self> {
        (!tail.is_empty()).then(|| Key::Tail(&tail[tail.len().saturating_sub(AFFIX_BYTES_MAX)..]))
    }
}

/// Equal numbers have equal bits; there is no negative zero among comparable numbers.
fn bits(number: f64) -> u64 {
    (number + 0.0).to_bits()
}
