//! Many filters asked at once: one scan of the document, then only the filters that some value calls for.
//!
//! Every alternative of a filter is registered under one of its fields: under what a value must have for the field's tests to pass.
//! What a scan finds calls for the filters registered under it; these answer as they would alone, except for the test that called
//! and is settled by that. So the answer for a set is the answer for each.
//!
//! A set is never changed: a change makes another set that shares with it what they have in common, at a cost that follows the
//! filter that comes or goes.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::ahead::Ahead;
use crate::anywhere::Anywhere;
use crate::check::Work;
use crate::chunks::Chunks;
use crate::document::Document;
use crate::fields::{Scratch, Value};
use crate::filter::Filter;
use crate::index::Index;
use crate::numbers::Numbers;
use crate::paths::{Paths, Place};
use crate::postings::Code;
use crate::rules::Found;
use crate::scan::scan;
use crate::shared_tests::{NO_TEST, SharedTests};
use crate::simd;
use crate::wildcard;

mod plan;
mod registering;

use plan::{By, Own, Plan};

/// Callees of a chunk: every event that matches reads one, and a change copies a chunk.
const CALLEES: usize = 1_024;

/// Places that a filter has without another allocation: what fits into the size of a list.
const PLACES_INLINE: usize = 4;

/// An immutable set of filters, each with an id. A copy shares everything.
#[derive(Debug, Clone)]
pub struct Matcher<Id> {
    /// By number, what a call needs to know.
    callees: Chunks<Callee<Id>, CALLEES>,
    /// By number, the rest; none where the number is free.
    entries: Chunks<Option<Entry>>,
    /// Numbers by id.
    numbers: Numbers<Id>,
    /// Numbers that are free.
    free: Arc<Vec<u32>>,
    paths: Paths,
    index: Index,
    anywhere: Anywhere,
    tests: SharedTests,
    /// Filters that are asked whatever the document holds.
    always: Arc<Vec<u32>>,
}

/// A filter as the hot path sees it.
#[derive(Debug, Clone, Copy)]
struct Callee<Id> {
    id: Id,
    plan: Plan,
}

#[derive(Debug, Clone)]
struct Entry {
    filter: Arc<Filter>,
    /// What its parts ask for, one after the other.
    places: SmallVec<[Place; PLACES_INLINE]>,
    /// The bytes of the wildcard, or of the exception, by which the test that calls is asked without the filter being read.
    caller: Option<Arc<[u8]>>,
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
        Self {
            callees: Chunks::default(),
            entries: Chunks::default(),
            numbers: Numbers::default(),
            free: Arc::default(),
            paths: Paths::default(),
            index: Index::default(),
            anywhere: Anywhere::default(),
            tests: SharedTests::default(),
            always: Arc::default(),
        }
    }
}

impl<Id: Copy + Ord> Matcher<Id> {
    /// A matcher of these filters. The last filter of an id counts.
    pub fn build(filters: impl IntoIterator<Item = (Id, Arc<Filter>)>) -> Self {
        let mut matcher = Self::default();
        for (id, filter) in filters {
            matcher.remove(id);
            matcher.insert(id, filter);
        }
        matcher
    }

    /// The same set with one more filter, or another one for this id. It costs what the filter does.
    #[must_use]
    pub fn with(&self, id: Id, filter: Arc<Filter>) -> Self {
        let mut matcher = self.clone();
        matcher.remove(id);
        matcher.insert(id, filter);
        matcher
    }

    /// The same set without this id's filter. It costs what the filter does.
    #[must_use]
    pub fn without(&self, id: Id) -> Self {
        let mut matcher = self.clone();
        matcher.remove(id);
        matcher
    }

    /// The filter of an id.
    pub fn get(&self, id: Id) -> Option<&Arc<Filter>> {
        let entry = self.entries[self.numbers.get(id)? as usize].as_ref()?;
        Some(&entry.filter)
    }

    /// How many filters there are.
    pub fn len(&self) -> usize {
        self.numbers.length
    }

    /// Whether there is no filter.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes on the heap, filters included, as far as they are known; what other sets share with this one is counted in each. It
    /// walks over everything.
    pub fn memory(&self) -> usize {
        let of_entry = |entry: &Option<Entry>| {
            entry.as_ref().map_or(0, |entry| {
                entry.filter.memory()
                    + if entry.places.spilled() {
                        size_of_val(&*entry.places)
                    } else {
                        0
                    }
            })
        };
        let entries = self.entries.memory() + self.entries.iter().map(of_entry).sum::<usize>();
        let numbers = self.numbers.memory() + self.free.capacity() * size_of::<u32>();
        let shared = self.index.memory() + self.anywhere.memory() + self.paths.memory() + self.tests.memory();
        entries + numbers + shared + self.callees.memory() + self.always.capacity() * size_of::<u32>()
    }

    /// Appends the ids of the filters that match, in order. Nothing is allocated once the memory has grown to what events need.
    pub fn matches(&self, document: &Document<'_>, scratch: &mut Scratch, out: &mut Vec<Id>) {
        let Scratch { fields, key, .. } = scratch;
        let ahead = Ahead {
            index: &self.index,
            fetch_callee: &|code| self.fetch_callee(code),
            fetch_test: &|code| self.fetch_test(code),
        };
        let is_fetched = self.index.is_fetched();
        scan(document, &self.paths, is_fetched.then_some(ahead), fields, key);
        ahead.finish(&mut fields.probes);
        let Scratch { fields, work, hits, .. } = scratch;
        work.begin();
        let found = Found { document, fields };
        hits.clear();
        hits.codes
            .extend(self.always.iter().map(|number| Code::new(*number, false)));
        self.index.look_up(&found, hits);
        if !self.anywhere.is_empty() {
            work.tape.build(document);
            work.tape
                .trees(document)
                .for_each(|tree| self.anywhere.look_up(&tree, hits));
        }
        hits.sort();
        let begin = out.len();
        let mut last = None;
        let mut is_sorted = true;
        for code in &hits.codes {
            // Of two calls for one filter the settled one comes first; if that does not do, the other may.
            if last == Some(code.filter()) {
                continue;
            }
            let callee = &self.callees[code.filter()];
            if self.answer(*code, &callee.plan, &found, work) {
                is_sorted &= out[begin..].last().is_none_or(|before| *before <= callee.id);
                out.push(callee.id);
                last = Some(code.filter());
            }
        }
        if !is_sorted {
            out[begin..].sort_unstable();
        }
    }

    /// Fetches what answering a call will read first.
    fn fetch_callee(&self, code: Code) {
        if let Some(callee) = self.callees.get(code.filter()) {
            simd::fetch(callee);
        }
        if !code.is_settled()
            && let Some(entry) = self.entries.get(code.filter())
        {
            simd::fetch(entry);
        }
    }

    /// Fetches what the test is asked by, if that is not the filter.
    fn fetch_test(&self, code: Code) {
        if let Some(Some(entry)) = self.entries.get(code.filter())
            && let Some(first) = entry.caller.as_ref().and_then(|bytes| bytes.first())
        {
            simd::fetch(first);
        }
    }

    /// Whether a filter that was called matches.
    #[inline]
    fn answer(&self, code: Code, plan: &Plan, found: &Found<'_, '_>, work: &mut Work) -> bool {
        let Plan::Plain { caller, others } = *plan else {
            return self.answer_whole(code, found, work);
        };
        let no_others = others[0] == NO_TEST;
        if code.is_settled() && no_others {
            return true;
        }
        // In elements of arrays, what passes alone need not pass together, and what is there may be absent.
        let unsettled = match (code.is_settled(), caller) {
            (false, None) => return self.answer_whole(code, found, work),
            (settled, caller) => caller.filter(|_| !settled),
        };
        if !found.fields.is_flat() {
            return self.answer_whole(code, found, work);
        }
        unsettled.is_none_or(|own| self.own_passes(code, own, found))
            && others
                .iter()
                .all(|test| *test == NO_TEST || self.tests.pass(*test, found))
    }

    /// Whether a test of a filter passes in a document whose values lie in no elements.
    fn own_passes(&self, code: Code, own: Own, found: &Found<'_, '_>) -> bool {
        self.entries[code.filter()].as_ref().is_some_and(|entry| {
            let place = entry.places[own.place as usize];
            let mut values = found.fields.at(place).map(|field| found.value(field));
            match (own.by, &entry.caller) {
                (By::Wildcard, Some(wildcard)) => {
                    values.any(|value| matches!(value, Value::Text(text) if wildcard::matches(wildcard, text)))
                }
                (By::Exception(exception), Some(bytes)) => {
                    values.any(|value| !matches!(value, Value::Text(text) if exception.is(bytes, text)))
                }
                _ => found.passes(own.test_of(&entry.filter), place),
            }
        })
    }

    fn answer_whole(&self, code: Code, found: &Found<'_, '_>, work: &mut Work) -> bool {
        let Some(entry) = &self.entries[code.filter()] else {
            return false;
        };
        let mut rest = &entry.places[..];
        entry.filter.parts().iter().all(|part| {
            let (places, after) = rest.split_at(part.place_count());
            rest = after;
            part.matches(found, places, work)
        })
    }
}

#[cfg(test)]
mod tests;
