//! How a filter that was called is asked: whole, or by the few tests that it has, without its own memory being read for it.

use std::sync::Arc;

use crate::filter::Filter;
use crate::operator::Operator;
use crate::rules::FieldTest;
use crate::shared_tests::TestId;

/// Tests of a filter that is asked test by test, without being looked into.
pub(super) const PLAIN_TESTS_MAX: usize = 3;

/// How a filter that was called is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
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
pub(super) struct Own {
    pub(super) part: u8,
    pub(super) test: u8,
    /// Which of the filter's places it is about.
    pub(super) place: u8,
    /// What it is asked by.
    pub(super) by: By,
}

/// What a test of a filter is asked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// What the filter has.
    Filter,
    /// The wildcard that it is.
    Wildcard,
    /// The one text that it excepts.
    Exception,
}

impl Plan {
    pub(super) fn caller(self) -> Option<Own> {
        match self {
            Plan::Whole => None,
            Plan::Plain { caller, .. } => caller,
        }
    }
}

impl Own {
    /// None if a number is too large, which those of a filter of few tests seldom are.
    pub(super) fn of(filter: &Filter, part: usize, test: usize, place: usize) -> Option<Self> {
        let by = match filter.parts()[part].guard.tests[test].operators() {
            [Operator::Wildcard(_)] => By::Wildcard,
            [Operator::AnythingBut(exceptions)] if exceptions.only_text().is_some() => By::Exception,
            _ => By::Filter,
        };
        Some(Self {
            part: part.try_into().ok()?,
            test: test.try_into().ok()?,
            place: place.try_into().ok()?,
            by,
        })
    }

    pub(super) fn test_of(self, filter: &Filter) -> &FieldTest {
        &filter.parts()[self.part as usize].guard.tests[self.test as usize]
    }

    /// What the test is asked by, if that is not the filter.
    pub(super) fn bytes(self, filter: &Filter) -> Option<Arc<[u8]>> {
        match self.test_of(filter).operators() {
            [Operator::Wildcard(wildcard)] => Some(wildcard.bytes()),
            [Operator::AnythingBut(exceptions)] => exceptions.only_text().map(Arc::from),
            _ => None,
        }
    }
}
