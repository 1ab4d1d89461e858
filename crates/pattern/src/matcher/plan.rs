//! How a filter that was called is asked: whole, or by the few tests that it has, without its own memory being read for it.

use std::sync::Arc;

use crate::filter::Filter;
use crate::fold::Folded;
use crate::operator::{Exceptions, Operator};
use crate::rules::FieldTest;
use crate::shared_tests::TestId;
use crate::wildcard;

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
    /// The only text, or the only text with a star or without regard to case, that it excepts.
    Exception(Exception),
}

/// What a text must be to be the exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exception {
    Text,
    Head,
    Tail,
    /// A text of ASCII, whatever its case.
    Folded,
    Wildcard,
}

impl Exception {
    /// The only one of several exceptions.
    fn of(exceptions: &Exceptions) -> Option<(Self, &[u8])> {
        match exceptions {
            Exceptions::Texts(texts) => only(texts).map(|text| (Exception::Text, &**text)),
            Exceptions::Prefixes(texts) => only(texts).map(|text| (Exception::Head, &**text)),
            Exceptions::Suffixes(texts) => only(texts).map(|text| (Exception::Tail, &**text)),
            Exceptions::Folded(texts) => {
                let text = only(texts).map(Folded::text).filter(|text| text.is_ascii());
                text.map(|text| (Exception::Folded, text))
            }
            Exceptions::Wildcards(texts) => {
                let wildcard = only(texts).map(|wildcard| &**wildcard.bytes());
                wildcard.map(|bytes| (Exception::Wildcard, bytes))
            }
            Exceptions::Numbers(_) | Exceptions::Extended(_) => None,
        }
    }

    /// Whether a text is the exception of these bytes.
    #[inline]
    pub(super) fn is(self, bytes: &[u8], text: &[u8]) -> bool {
        match self {
            Exception::Text => text == bytes,
            Exception::Head => text.starts_with(bytes),
            Exception::Tail => text.ends_with(bytes),
            Exception::Folded => text.eq_ignore_ascii_case(bytes),
            Exception::Wildcard => wildcard::matches(bytes, text),
        }
    }
}

fn only<T>(list: &[T]) -> Option<&T> {
    match list {
        [one] => Some(one),
        _ => None,
    }
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
            [Operator::AnythingBut(exceptions)] => {
                Exception::of(exceptions).map_or(By::Filter, |(exception, _)| By::Exception(exception))
            }
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
            [Operator::Wildcard(wildcard)] => Some(Arc::clone(wildcard.bytes())),
            [Operator::AnythingBut(exceptions)] => Exception::of(exceptions).map(|(_, bytes)| Arc::from(bytes)),
            _ => None,
        }
    }
}
