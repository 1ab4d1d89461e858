//! Tests that several filters of a matcher have, each kept once, and how often it is used. It asks them; whose answer counts for
//! what is the matcher's.

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::chunks::Chunks;
use crate::filter::Filter;
use crate::paths::Place;
use crate::rules::{FieldTest, Found};
use crate::table::Table;

/// Bytes of a test that is kept once for all the filters that have it.
const SHARED_TEST_BYTES_MAX: usize = 256;

/// A test that is kept once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct TestId(u32);

/// No test.
pub(crate) const NO_TEST: TestId = TestId(u32::MAX);

/// Tests that several filters have, each kept once: so that asking them stays in a processor's cache.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedTests {
    tests: Chunks<Option<SharedTest>>,
    /// By place and what the test is.
    known: Table<TestId>,
    free: Arc<Vec<TestId>>,
}

#[derive(Clone)]
struct SharedTest {
    /// Where the test is.
    filter: Arc<Filter>,
    part: u32,
    test: u32,
    place: Place,
    /// How many filters have it.
    uses: u32,
}

impl fmt::Debug for SharedTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} by {}", self.test(), self.uses)
    }
}

impl SharedTest {
    #[inline]
    fn test(&self) -> &FieldTest {
        &self.filter.parts()[self.part as usize].guard.tests[self.test as usize]
    }
}

impl SharedTests {
    /// The test of a part of a filter, to be released once; none if it is too large to be shared.
    pub(crate) fn keep(&mut self, filter: &Arc<Filter>, part: usize, test: usize, place: Place) -> Option<TestId> {
        let mut name = SmallVec::<[u8; SHARED_TEST_BYTES_MAX]>::new();
        let written = filter.parts()[part].guard.tests[test].name(SHARED_TEST_BYTES_MAX, &mut name);
        if !written || place == Place::NOWHERE {
            return None;
        }
        if let Some(known) = self.known.get(place.0, &name).copied()
            && let Some(test) = self.tests.get_mut(known.0 as usize)
        {
            test.uses += 1;
            return Some(known);
        }
        let [part, test] = [part, test].map(|at| u32::try_from(at).expect("the size of a filter is bounded"));
        let filter = Arc::clone(filter);
        let kept = Some(SharedTest {
            filter,
            part,
            test,
            place,
            uses: 1,
        });
        let id = if self.free.is_empty() {
            let id = TestId(u32::try_from(self.tests.len()).expect("a matcher has fewer than 2^32 tests"));
            self.tests.push(kept);
            id
        } else {
            let id = Arc::make_mut(&mut self.free).pop().expect("there is a free number");
            *self.tests.get_mut(id.0 as usize) = kept;
            id
        };
        *self.known.entry(place.0, &name) = id;
        Some(id)
    }

    pub(crate) fn release(&mut self, id: TestId) {
        if id == NO_TEST {
            return;
        }
        let slot = self.tests.get_mut(id.0 as usize);
        let Some(test) = slot else { return };
        test.uses -= 1;
        if test.uses > 0 {
            return;
        }
        if let Some(test) = slot.take() {
            let mut name = SmallVec::<[u8; SHARED_TEST_BYTES_MAX]>::new();
            test.test().name(SHARED_TEST_BYTES_MAX, &mut name);
            self.known.remove(test.place.0, &name);
            Arc::make_mut(&mut self.free).push(id);
        }
    }

    /// How many filters have a test, where, and what it is.
    pub(crate) fn get(&self, id: TestId) -> Option<(u32, Place, &FieldTest)> {
        let shared = self.tests.get(id.0 as usize)?.as_ref()?;
        Some((shared.uses, shared.place, shared.test()))
    }

    /// Whether a test passes in a document whose values lie in no elements.
    #[inline]
    pub(crate) fn pass(&self, id: TestId, found: &Found<'_, '_>) -> bool {
        let Some(shared) = &self.tests[id.0 as usize] else {
            return false;
        };
        found.passes(shared.test(), shared.place)
    }

    pub(crate) fn memory(&self) -> usize {
        self.tests.memory() + self.known.memory() + self.free.capacity() * size_of::<TestId>()
    }
}
