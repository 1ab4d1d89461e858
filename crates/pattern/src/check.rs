//! What a guard alone cannot say: the part of a filter that is asked once its guard has called for it.
//!
//! A check is a tree of conditions over what one scan found, and says for itself which paths it needs. It keeps no index and
//! decides nothing about when it is asked; that is the matcher's.

use crate::cesql::Program;
use crate::consistency::Choices;
use crate::eventgrid::Member;
use crate::explain::{Clause, ClauseKind, explain_rules};
use crate::jsonpath::{self, Query};
use crate::paths::{Paths, Place};
use crate::rules::{Found, Rules};
use crate::tape::Tape;

/// A condition over one document. Nesting is bounded by the compilers; the recursion here follows it.
#[derive(Debug, Clone)]
pub(crate) enum Check {
    /// All of them hold; an empty group does.
    All(Group),
    /// One of them holds; an empty group does not.
    Any(Group),
    /// It does not hold.
    Not(Box<Check>),
    /// One of the alternatives is satisfied. One alternative of one test is a plain test of a field.
    Rules(Rules),
    /// A query selects a node of the data.
    Query(Box<Query>),
    /// What a key of Event Grid leads to passes.
    Member(Box<Member>),
    /// An expression is TRUE, without errors.
    Cesql(Box<Program>),
}

/// Several checks. Their places lie one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    checks: Box<[Check]>,
    /// How many places they ask for together.
    places: usize,
}

/// Memory that checks reuse from event to event.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) choices: Choices,
    /// The data as a list of nodes, for the checks that may look anywhere.
    pub(crate) tape: Tape,
    pub(crate) queries: jsonpath::Memory,
}

impl Work {
    /// Forgets the last document.
    pub(crate) fn begin(&mut self) {
        self.tape.clear();
    }
}

impl Check {
    /// All of these.
    pub(crate) fn all(checks: Vec<Check>) -> Self {
        Check::All(Group::new(checks))
    }

    /// One of these.
    pub(crate) fn any(checks: Vec<Check>) -> Self {
        Check::Any(Group::new(checks))
    }

    /// Not this.
    pub(crate) fn not(check: Check) -> Self {
        Check::Not(Box::new(check))
    }

    /// How many places it asks for.
    pub(crate) fn place_count(&self) -> usize {
        match self {
            Check::All(group) | Check::Any(group) => group.places,
            Check::Not(check) => check.place_count(),
            Check::Rules(rules) => rules.tests.len(),
            Check::Query(_) | Check::Member(_) => 0,
            Check::Cesql(program) => program.place_count(),
        }
    }

    /// Bytes on the heap, as far as they are known.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Check::All(group) | Check::Any(group) => {
                size_of_val(&*group.checks) + group.checks.iter().map(Check::memory).sum::<usize>()
            }
            Check::Not(check) => size_of::<Check>() + check.memory(),
            Check::Rules(rules) => rules.memory(),
            Check::Query(query) => size_of_val(&**query),
            Check::Member(member) => size_of_val(&**member),
            Check::Cesql(program) => size_of_val(&**program) + program.memory(),
        }
    }

    /// Asks for the paths it needs, in its own order.
    pub(crate) fn ask(&self, paths: &mut Paths, places: &mut Vec<Place>) {
        match self {
            Check::All(group) | Check::Any(group) => group.checks.iter().for_each(|check| check.ask(paths, places)),
            Check::Not(check) => check.ask(paths, places),
            Check::Rules(rules) => places.extend(rules.tests.iter().map(|test| paths.ask(&test.path))),
            Check::Query(_) | Check::Member(_) => {}
            Check::Cesql(program) => program.ask(paths, places),
        }
    }

    /// Whether it holds. `places` are what [`ask`](Self::ask) answered.
    pub(crate) fn matches(&self, found: &Found<'_, '_>, places: &[Place], work: &mut Work) -> bool {
        match self {
            Check::All(group) => group
                .with(places)
                .all(|(check, places)| check.matches(found, places, work)),
            Check::Any(group) => group
                .with(places)
                .any(|(check, places)| check.matches(found, places, work)),
            Check::Not(check) => !check.matches(found, places, work),
            Check::Rules(rules) => rules.match_any(found, places, &mut work.choices),
            Check::Query(query) => query.matches(found.document, work),
            Check::Member(member) => member.matches(found.document, work),
            Check::Cesql(program) => program.matches(*found, places),
        }
    }

    /// Whether it holds, with its reasons.
    pub(crate) fn explain(&self, found: &Found<'_, '_>, places: &[Place], work: &mut Work) -> Clause {
        let matched = self.matches(found, places, work);
        match self {
            Check::All(group) => Clause::of(ClauseKind::All, matched, group.explain(found, places, work)),
            Check::Any(group) => Clause::of(ClauseKind::Any, matched, group.explain(found, places, work)),
            Check::Not(check) => Clause::of(ClauseKind::Not, matched, vec![check.explain(found, places, work)]),
            Check::Rules(rules) => explain_rules(rules, found, places, work),
            Check::Query(query) => query.explain(found.document, work),
            Check::Member(member) => member.explain(found.document, work),
            Check::Cesql(program) => program.explain(*found, places),
        }
    }
}

impl Group {
    /// The checks.
    pub(crate) fn checks(&self) -> &[Check] {
        &self.checks
    }

    fn new(checks: Vec<Check>) -> Self {
        let places = checks.iter().map(Check::place_count).sum();
        Self {
            checks: checks.into(),
            places,
        }
    }

    /// The checks, each with its own places.
    fn with<'g>(&'g self, mut places: &'g [Place]) -> impl Iterator<Item = (&'g Check, &'g [Place])> {
        self.checks.iter().map(move |check| {
            let (own, rest) = places.split_at(check.place_count());
            places = rest;
            (check, own)
        })
    }

    fn explain(&self, found: &Found<'_, '_>, places: &[Place], work: &mut Work) -> Vec<Clause> {
        self.with(places)
            .map(|(check, places)| check.explain(found, places, work))
            .collect()
    }
}
