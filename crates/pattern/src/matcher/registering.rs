//! How filters come into a set and go: each alternative is registered under the field that will call for it the most seldom in vain.

use std::sync::Arc;

use smallvec::SmallVec;

use super::plan::{Own, PLAIN_TESTS_MAX, Plan};
use super::{Callee, Entry, Matcher};
use crate::filter::{Filter, Part};
use crate::jsonpath::AnyNeed;
use crate::paths::Place;
use crate::postings::Code;
use crate::rules::Rules;
use crate::shared_tests::{NO_TEST, TestId};

impl<Id: Copy + Ord> Matcher<Id> {
    /// Adds a filter under an id that has none.
    pub(super) fn insert(&mut self, id: Id, filter: Arc<Filter>) {
        if let Plan::Plain { others, .. } = self.place(id, filter) {
            others.iter().for_each(|test| self.reconsider(*test));
        }
    }

    /// Filters that came before others had the same test, and so were registered under it, may be better off elsewhere now. It is
    /// looked at when those that are registered elsewhere have become twice as many, so that it costs a filter next to nothing.
    fn reconsider(&mut self, test: TestId) {
        let Some((uses, place, test)) = self.tests.get(test) else {
            return;
        };
        if !uses.is_power_of_two() {
            return;
        }
        for number in self.index.few_registered(place, test) {
            let entry = self.entries.get(number).and_then(Option::as_ref);
            if let Some(filter) = entry.map(|entry| Arc::clone(&entry.filter)) {
                let id = self.callees[number].id;
                self.remove(id);
                self.place(id, filter);
            }
        }
    }

    /// Adds a filter, registered where that is best for itself, and says how it is asked.
    fn place(&mut self, id: Id, filter: Arc<Filter>) -> Plan {
        let number = self.take_number();
        let mut places = SmallVec::new();
        for part in filter.parts() {
            places.extend(part.ask(&mut self.paths));
        }
        places.shrink_to_fit();
        let plan = self.register(number, &filter, &places);
        self.numbers.insert(id, number);
        let callee = Callee { id, plan };
        let caller = plan.caller().and_then(|own| own.bytes(&filter));
        let entry = Some(Entry { filter, places, caller });
        if (number as usize) < self.callees.len() {
            *self.callees.get_mut(number as usize) = callee;
            *self.entries.get_mut(number as usize) = entry;
        } else {
            self.callees.push(callee);
            self.entries.push(entry);
        }
        plan
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

    pub(super) fn remove(&mut self, id: Id) {
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
        let costs = filter.parts().iter().map(Part::needs);
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
        let is_plain = |part: &Part| part.check.is_none() && part.guard.alternatives.len() == 1;
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
                    own = Own::of(filter, part, test, places_before + test).filter(|_| unsettled);
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
