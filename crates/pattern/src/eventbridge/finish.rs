//! What a compiler has read, as parts that must all hold.

use std::collections::HashMap;

use super::{Compiler, index};
use crate::check::Check;
use crate::filter::Part;
use crate::rules::{FieldTest, Rules};

impl Compiler<'_> {
    /// What was read so far, as parts that must all hold. Nothing of it is kept.
    pub(super) fn finish(&mut self) -> Vec<Part> {
        let mut parts = std::mem::take(&mut self.parts);
        let checks = std::mem::take(&mut self.checks);
        let of_alternatives: Vec<Vec<u32>> = self.alternatives.iter().map(|one| one.checks.clone()).collect();
        let rules = self.rules();
        if checks.is_empty() {
            if !rules.is_always() || parts.is_empty() {
                parts.push(Part::exact(rules));
            }
            return parts;
        }
        let with_checks = rules.alternatives.iter().zip(&of_alternatives).map(|(tests, own)| {
            let own = own.iter().map(|check| checks[*check as usize].clone());
            Check::all([Check::Rules(rules.only(tests))].into_iter().chain(own).collect())
        });
        let check = Check::any(with_checks.collect());
        parts.push(Part::checked(rules, check));
        parts
    }

    /// Orders the tests by path and drops those that were replaced everywhere.
    pub(super) fn rules(&mut self) -> Rules {
        let mut order: Vec<u32> = self
            .alternatives
            .iter()
            .flat_map(|alternative| alternative.tests.values().copied())
            .collect();
        order.sort_unstable();
        order.dedup();
        let path_of = |test: u32| self.tests[test as usize].path.written.encode_utf16();
        order.sort_by(|left, right| path_of(*left).cmp(path_of(*right)));
        let rank: HashMap<u32, u32> = order
            .iter()
            .enumerate()
            .map(|(rank, test)| (*test, index(rank)))
            .collect();
        let alternatives = self.alternatives.iter().map(|alternative| {
            let mut tests: Vec<u32> = alternative.tests.values().map(|test| rank[test]).collect();
            tests.sort_unstable();
            tests.into()
        });
        let alternatives = alternatives.collect();
        let mut tests: Vec<Option<FieldTest>> = std::mem::take(&mut self.tests).into_iter().map(Some).collect();
        let tests = order.iter().filter_map(|test| tests[*test as usize].take()).collect();
        Rules { tests, alternatives }
    }
}
