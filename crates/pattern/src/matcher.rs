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

use crate::anywhere::Anywhere;
use crate::check::Work;
use crate::chunks::Chunks;
use crate::document::Document;
use crate::fields::Scratch;
use crate::filter::Filter;
use crate::index::Index;
use crate::jsonpath::AnyNeed;
use crate::numbers::Numbers;
use crate::paths::{Paths, Place};
use crate::postings::Code;
use crate::rules::{Found, Rules};
use crate::scan::scan;
use crate::shared_tests::{NO_TEST, SharedTests, TestId};

/// Tests of a filter that is asked test by test, without being looked into.
const PLAIN_TESTS_MAX: usize = 3;

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

/// How a filter that was called is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    /// As it would be alone.
    Whole,
    /// By its tests, of which all must pass: the one that calls, if a call may leave it unsettled, and the others.
    Plain {
        caller: Option<Own>,
        others: [TestId; PLAIN_TESTS_MAX - 1],
    },
}

/// Where a filter has one of its tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Own {
    part: u8,
    test: u8,
    /// Which of the filter's places it is about.
    place: u8,
}

#[derive(Debug, Clone)]
struct Entry {
    filter: Arc<Filter>,
    /// What its parts ask for, one after the other.
    places: SmallVec<[Place; PLACES_INLINE]>,
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
        scan(document, &self.paths, Some(&self.index), fields, key);
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
        for code in &hits.codes {
            // Of two calls for one filter the settled one comes first; if that does not do, the other may.
            if last != Some(code.filter()) && self.answer(*code, &found, work) {
                out.push(self.callees[code.filter()].id);
                last = Some(code.filter());
            }
        }
        if !out[begin..].is_sorted() {
            out[begin..].sort_unstable();
        }
    }

    /// Whether a filter that was called matches.
    #[inline]
    fn answer(&self, code: Code, found: &Found<'_, '_>, work: &mut Work) -> bool {
        let Plan::Plain { caller, others } = self.callees[code.filter()].plan else {
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
            let test = &entry.filter.parts()[own.part as usize].guard.tests[own.test as usize];
            found.passes(test, entry.places[own.place as usize])
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

    /// Adds a filter under an id that has none.
    fn insert(&mut self, id: Id, filter: Arc<Filter>) {
        let number = self.take_number();
        let mut places = SmallVec::new();
        for part in filter.parts() {
            places.extend(part.ask(&mut self.paths));
        }
        places.shrink_to_fit();
        let plan = self.register(number, &filter, &places);
        self.numbers.insert(id, number);
        let callee = Callee { id, plan };
        let entry = Some(Entry { filter, places });
        if (number as usize) < self.callees.len() {
            *self.callees.get_mut(number as usize) = callee;
            *self.entries.get_mut(number as usize) = entry;
        } else {
            self.callees.push(callee);
            self.entries.push(entry);
        }
    }

    fn take_number(&mut self) -> u32 {
        if self.free.is_empty() {
            let number = u32::try_from(self.callees.len()).ok();
            let number = number.filter(|number| *number < Code::FILTERS_MAX);
            return number.expect("a matcher holds fewer than 2^30 filters");
        }
        let free = Arc::make_mut(&mut self.free);
        free.pop().expect("there is a free number")
    }

    fn remove(&mut self, id: Id) {
        let Some(number) = self.numbers.remove(id) else {
            return;
        };
        let plan = self.callees[number as usize].plan;
        let Some(entry) = self.entries.get_mut(number as usize).take() else {
            return;
        };
        let mut rest = &entry.places[..];
        for part in entry.filter.parts() {
            let (places, after) = rest.split_at(part.place_count());
            rest = after;
            for (test, place) in part.guard.tests.iter().zip(places) {
                if *place != Place::NOWHERE {
                    self.index.unregister(*place, test, number);
                }
            }
        }
        for part in entry.filter.parts() {
            self.anywhere.unregister(part.needs(), number);
        }
        if let Plan::Plain { others, .. } = plan {
            others.iter().for_each(|test| self.tests.release(*test));
        }
        if self.always.binary_search(&number).is_ok() {
            Arc::make_mut(&mut self.always).retain(|known| *known != number);
        }
        entry.places.iter().for_each(|place| self.paths.release(*place));
        Arc::make_mut(&mut self.free).push(number);
    }

    /// Registers a filter under the cheapest of its parts, and says how it is asked.
    fn register(&mut self, number: u32, filter: &Arc<Filter>, places: &[Place]) -> Plan {
        let mut rest = places;
        let mut parts: SmallVec<[(&Rules, &[Place]); 2]> = SmallVec::new();
        for part in filter.parts() {
            let (of_part, after) = rest.split_at(part.place_count());
            parts.push((&part.guard, of_part));
            rest = after;
        }
        let cheapest = self.cheapest_part(&parts);
        if let Some(needs) = self.cheaper_needs(filter, &parts, cheapest) {
            self.anywhere.register(needs, number);
            return Plan::Whole;
        }
        let Some(cheapest) = cheapest else {
            let always = Arc::make_mut(&mut self.always);
            let at = always.partition_point(|known| *known < number);
            always.insert(at, number);
            return Plan::Whole;
        };
        let (rules, of_part) = parts[cheapest];
        let mut caller = None;
        for alternative in &rules.alternatives {
            let Some(test) = self.cheapest_test(rules, of_part, alternative) else {
                continue;
            };
            if of_part[test] != Place::NOWHERE {
                let unsettled = self.index.register(of_part[test], &rules.tests[test], number);
                caller = Some((cheapest, test, unsettled));
            }
        }
        self.plan(filter, &parts, caller)
    }

    /// What data must have somewhere for one of the parts, if it costs less to register the filter under that.
    fn cheaper_needs<'f>(
        &self,
        filter: &'f Filter,
        parts: &[(&Rules, &[Place])],
        cheapest: Option<usize>,
    ) -> Option<&'f [AnyNeed]> {
        let costs = filter.parts().iter().map(crate::filter::Part::needs);
        let costs = costs.filter_map(|needs| Some((self.anywhere.cost(needs)?, needs)));
        let (cost, needs) = costs.min_by_key(|(cost, _)| *cost)?;
        let of_part = cheapest.and_then(|at| self.part_cost(parts[at].0, parts[at].1));
        of_part.is_none_or(|of_part| cost < of_part).then_some(needs)
    }

    /// A filter of a few tests that must all pass is asked by them.
    fn plan(
        &mut self,
        filter: &Arc<Filter>,
        parts: &[(&Rules, &[Place])],
        caller: Option<(usize, usize, bool)>,
    ) -> Plan {
        let Some((caller_part, caller_test, unsettled)) = caller else {
            return Plan::Whole;
        };
        let is_plain = |part: &crate::filter::Part| part.check.is_none() && part.guard.alternatives.len() == 1;
        let tests = parts
            .iter()
            .flat_map(|(rules, _)| rules.alternatives.iter().flatten())
            .count();
        if tests > PLAIN_TESTS_MAX || !filter.parts().iter().all(is_plain) {
            return Plan::Whole;
        }
        let mut own = None;
        let mut others = SmallVec::<[TestId; PLAIN_TESTS_MAX]>::new();
        let mut places_before = 0;
        for (part, (rules, places)) in parts.iter().enumerate() {
            for test in rules.alternatives[0].iter().map(|test| *test as usize) {
                if (part, test) == (caller_part, caller_test) {
                    own = Own::of(part, test, places_before + test).filter(|_| unsettled);
                    if unsettled && own.is_none() {
                        return self.give_up_plan(&others);
                    }
                    continue;
                }
                let Some(kept) = self.tests.keep(filter, part, test, places[test]) else {
                    return self.give_up_plan(&others);
                };
                others.push(kept);
            }
            places_before += places.len();
        }
        let other = |at: usize| others.get(at).copied().unwrap_or(NO_TEST);
        Plan::Plain {
            caller: own,
            others: std::array::from_fn(other),
        }
    }

    fn give_up_plan(&mut self, kept: &[TestId]) -> Plan {
        kept.iter().for_each(|test| self.tests.release(*test));
        Plan::Whole
    }

    /// The part that it costs the least to register a filter under; none if all have an alternative that cannot be.
    fn cheapest_part(&self, parts: &[(&Rules, &[Place])]) -> Option<usize> {
        // Where there is no choice nothing need be looked up.
        if let [(rules, places)] = parts {
            let can_be = |alternative: &[u32]| {
                let mut tests = alternative.iter().map(|test| *test as usize);
                tests.any(|test| places[test] != Place::NOWHERE || !rules.tests[test].absent)
            };
            return rules
                .alternatives
                .iter()
                .all(|alternative| can_be(alternative))
                .then_some(0);
        }
        let costs = parts.iter().enumerate();
        let costs = costs.filter_map(|(at, (rules, places))| Some((self.part_cost(rules, places)?, at)));
        costs.min().map(|(_, cheapest)| cheapest)
    }

    /// What it costs to register a filter under one of its parts; none if one of the alternatives can be registered nowhere.
    fn part_cost(&self, rules: &Rules, places: &[Place]) -> Option<u64> {
        let of_alternative = |alternative: &[u32]| {
            let tests = alternative.iter();
            tests
                .filter_map(|test| self.test_cost(rules, places, *test as usize))
                .min()
        };
        let mut alternatives = rules.alternatives.iter();
        alternatives.try_fold(0, |most, alternative| Some(most.max(of_alternative(alternative)?)))
    }

    fn cheapest_test(&self, rules: &Rules, places: &[Place], alternative: &[u32]) -> Option<usize> {
        if let [test] = alternative {
            let test = *test as usize;
            return (places[test] != Place::NOWHERE || !rules.tests[test].absent).then_some(test);
        }
        let tests = alternative.iter().map(|test| *test as usize);
        let costs = tests.filter_map(|test| Some((self.test_cost(rules, places, test)?, test)));
        costs.min().map(|(_, test)| test)
    }

    /// What it costs to register a filter under one of its tests; none if the field is always absent and may be.
    fn test_cost(&self, rules: &Rules, places: &[Place], test: usize) -> Option<u64> {
        let (test, place) = (&rules.tests[test], places[test]);
        match (place, test.absent) {
            (Place::NOWHERE, true) => None,
            (Place::NOWHERE, false) => Some(0),
            _ => Some(self.index.cost(place, test)),
        }
    }
}

impl Own {
    /// None if a number is too large, which those of a filter of few tests seldom are.
    fn of(part: usize, test: usize, place: usize) -> Option<Self> {
        Some(Self {
            part: part.try_into().ok()?,
            test: test.try_into().ok()?,
            place: place.try_into().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mounts::Mounts;

    /// Look-ups and hits of one event, for filters `0..count` of a pattern.
    fn steps(count: u32, pattern: impl Fn(u32) -> String, event: &str) -> usize {
        let filter = |index| Filter::eventbridge(pattern(index).as_bytes(), &Mounts::bare()).unwrap();
        steps_of(count, filter, &Document::bare(event.as_bytes()))
    }

    fn steps_of(count: u32, filter: impl Fn(u32) -> Filter, document: &Document<'_>) -> usize {
        let matcher = Matcher::build((0..count).map(|index| (index, Arc::new(filter(index)))));
        let mut scratch = Scratch::new();
        crate::steps::of(|| matcher.matches(document, &mut scratch, &mut Vec::new()))
    }

    #[test]
    fn steps_follow_the_event_and_its_matches_and_not_the_number_of_filters() {
        let patterns: [fn(u32) -> String; 8] = [
            |index| format!(r#"{{"a":["v{index:05}x"]}}"#),
            |index| format!(r#"{{"a":[{{"prefix":"v{index:05}"}}]}}"#),
            |index| format!(r#"{{"a":[{{"suffix":"{index:05}x"}}]}}"#),
            |index| format!(r#"{{"a":[{{"wildcard":"*{index:05}*"}}]}}"#),
            |index| format!(r#"{{"a":[{{"equals-ignore-case":"V{index:05}X"}}]}}"#),
            |index| format!(r#"{{"b":[{{"numeric":[">=",{index},"<",{}]}}]}}"#, index + 1),
            |index| format!(r#"{{"c":[{{"cidr":"10.{}.{}.0/24"}}]}}"#, index / 256, index % 256),
            |index| format!(r#"{{"a":["v{index:05}x"],"b":[{{"anything-but":[7]}}],"d":[{{"exists":false}}]}}"#),
        ];
        for pattern in patterns {
            let event = r#"{"a":"v00003x","b":3.5,"c":"10.0.3.9"}"#;
            let (few, many) = (steps(10, pattern, event), steps(4_000, pattern, event));
            assert!(
                many <= few + 8,
                "{}: {few} steps with ten filters, {many} with thousands",
                pattern(3)
            );
        }
    }

    #[test]
    fn of_queries_only_those_are_evaluated_whose_names_and_texts_are_there() {
        let queries: [fn(u32) -> String; 5] = [
            |index| format!("$[?@.id == 'v{index:05}']"),
            |index| format!("$.lines[?@.sku == 'v{index:05}' && @.price > 1]"),
            |index| format!("$..[?@.sku == 'v{index:05}' || @.id == 'w{index:05}']"),
            |index| format!("$.field{index:05}[0]"),
            |index| format!("$[?@.id != 'x' && @.sku == 'v{index:05}']"),
        ];
        let json = br#"{"order": {"id": "v00003"}, "field00003": [1], "lines": [{"sku": "v00003", "price": 2}]}"#;
        let document = Document::new().data(crate::Data::Json(json));
        for query in queries {
            let filter = |index| Filter::jsonpath(&query(index)).unwrap();
            let (few, many) = (steps_of(10, filter, &document), steps_of(2_000, filter, &document));
            assert!(
                many <= few + 2,
                "{}: {few} steps with ten filters, {many} with thousands",
                query(3)
            );
        }
    }

    #[test]
    fn of_extended_tests_only_those_are_asked_that_the_event_has_what_they_require() {
        let patterns: [fn(u32) -> String; 4] = [
            |index| format!(r#"{{"a":[{{"regex":"^v{index:05}-\\d+$"}}]}}"#),
            |index| format!(r#"{{"a":[{{"regex":"\\w*{index:05}-+"}}]}}"#),
            |index| format!(r#"{{"a":[{{"wildcard":{{"equals-ignore-case":"V{index:05}*9"}}}}]}}"#),
            |index| format!(r#"{{"a":[{{"wildcard":{{"equals-ignore-case":"*{index:05}-9"}}}}]}}"#),
        ];
        let document = Document::bare(br#"{"a":"v00003-9"}"#);
        for pattern in patterns {
            let filter = |index| Filter::eventbridge_extended(pattern(index).as_bytes(), &Mounts::bare()).unwrap();
            let (few, many) = (steps_of(5, filter, &document), steps_of(300, filter, &document));
            assert!(
                many <= few + 8,
                "{}: {few} steps with five filters, {many} with hundreds",
                pattern(3)
            );
            let matcher = Matcher::build((0..5).map(|index| (index, Arc::new(filter(index)))));
            let mut found = Vec::new();
            matcher.matches(&document, &mut Scratch::new(), &mut found);
            assert_eq!(found, [3], "{}", pattern(3));
        }
    }

    #[test]
    fn a_filter_that_goes_is_not_called_by_what_its_query_needs() {
        let filter = |query: &str| Arc::new(Filter::jsonpath(query).unwrap());
        let matcher = Matcher::build([(1, filter("$[?@.a == 'x' || @.b == 'y']")), (2, filter("$.c.a"))]);
        let matches = |matcher: &Matcher<u32>| {
            let document = Document::new().data(crate::Data::Json(br#"{"c": {"a": "x", "b": "y"}}"#));
            let mut found = Vec::new();
            matcher.matches(&document, &mut Scratch::new(), &mut found);
            found
        };
        let (one, other) = (matcher.without(1), matcher.without(2));
        assert_eq!(matches(&matcher), [1, 2]);
        assert_eq!((matches(&one), matches(&other)), (vec![2], vec![1]));
        assert!(one.without(2).anywhere.is_empty() && other.without(1).anywhere.is_empty());
    }

    #[test]
    fn steps_grow_no_faster_than_a_value() {
        let pattern = |index: u32| format!(r#"{{"a":[{{"wildcard":"*a{index}a*"}},{{"wildcard":"*aaaaaaa*b"}}]}}"#);
        let event = |length: usize| format!(r#"{{"a":"{}"}}"#, "a".repeat(length));
        let (short, long) = (steps(50, pattern, &event(1_000)), steps(50, pattern, &event(16_000)));
        assert!(long <= 17 * short, "{short} and {long}");
    }
}
