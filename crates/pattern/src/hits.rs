//! Who is registered under one key, and whom the values of a document call for. It asks nobody.

use std::collections::HashSet;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::ranges::Ranges;
use crate::steps;

/// Hits beyond which repeated ones are dropped while a document is looked up, so that one value's many pieces cannot make the
/// list long.
const HITS_UNSORTED_MAX: usize = 4_096;

/// Codes of a posting that is taken as often as a document calls for it; of a longer one it is remembered that it was taken.
const REPEATED_MAX: usize = 16;

/// Whom a hit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Code(pub(crate) u32);

impl Code {
    pub(crate) fn new(filter: u32, settled: bool) -> Self {
        Self(filter << 1 | u32::from(!settled))
    }

    pub(crate) fn filter(self) -> usize {
        (self.0 >> 1) as usize
    }

    /// Whether the test that was registered passes for sure.
    pub(crate) fn is_settled(self) -> bool {
        self.0 & 1 == 0
    }

    pub(crate) fn unsettled(self) -> Self {
        Self(self.0 | 1)
    }
}

/// The filters registered under one key, sorted.
#[derive(Debug, Clone, Default)]
pub(crate) enum Posting {
    #[default]
    Nobody,
    One(Code),
    Many(Arc<Vec<Code>>),
}

impl Posting {
    pub(crate) fn codes(&self) -> &[Code] {
        match self {
            Posting::Nobody => &[],
            Posting::One(code) => std::slice::from_ref(code),
            Posting::Many(codes) => codes,
        }
    }

    /// Whether it was not there yet.
    pub(crate) fn insert(&mut self, code: Code) -> bool {
        match self {
            Posting::Nobody => *self = Posting::One(code),
            Posting::One(known) if *known == code => return false,
            Posting::One(known) => *self = Posting::Many(Arc::new(vec![code.min(*known), code.max(*known)])),
            Posting::Many(codes) => {
                let Err(at) = codes.binary_search(&code) else {
                    return false;
                };
                Arc::make_mut(codes).insert(at, code);
            }
        }
        true
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, code: Code) -> bool {
        let Ok(at) = self.codes().binary_search(&code) else {
            return false;
        };
        match self {
            Posting::Many(codes) if codes.len() > 2 => drop(Arc::make_mut(codes).remove(at)),
            Posting::Many(codes) => *self = Posting::One(codes[1 - at]),
            _ => *self = Posting::Nobody,
        }
        true
    }

    pub(crate) fn memory(&self) -> usize {
        match self {
            Posting::Many(codes) => size_of::<Vec<Code>>() + codes.capacity() * size_of::<Code>(),
            _ => 0,
        }
    }
}

/// Memory of look-ups, reused.
#[derive(Debug, Default)]
pub(crate) struct Hits {
    pub(crate) codes: Vec<Code>,
    /// How many there were when they were last sorted.
    sorted: usize,
    /// The value as fold writes it.
    pub(crate) folded: Vec<u8>,
    /// Long postings that were taken: a document may call for one at each of its bytes.
    taken: HashSet<usize, RandomState>,
    /// Ranges that numbers of one place were found in, as often as they were.
    pub(crate) ranged: usize,
    /// Numbers of that place that are still to be looked up, all together.
    pub(crate) numbers: Vec<f64>,
}

impl Hits {
    pub(crate) fn clear(&mut self) {
        self.codes.clear();
        self.sorted = 0;
        if !self.taken.is_empty() {
            self.taken.clear();
        }
    }

    /// Sorts, and drops what is there twice.
    pub(crate) fn sort(&mut self) {
        if self.codes.len() > 1 {
            if !self.codes.is_sorted() {
                self.codes.sort_unstable();
            }
            self.codes.dedup();
        }
        self.sorted = self.codes.len();
    }

    #[inline]
    pub(crate) fn extend(&mut self, posting: Option<&Posting>) {
        steps::take(1);
        if let Some(posting) = posting
            && (posting.codes().len() <= REPEATED_MAX || self.taken.insert(std::ptr::from_ref(posting).addr()))
        {
            self.push(posting);
        }
    }

    /// The same of tests that a hit does not settle.
    pub(crate) fn extend_unsettled(&mut self, posting: &Posting) {
        steps::take(1);
        // A posting is no text: the next address is nobody's.
        if posting.codes().len() <= REPEATED_MAX || self.taken.insert(std::ptr::from_ref(posting).addr() + 1) {
            let from = self.codes.len();
            self.push(posting);
            self.codes[from..].iter_mut().for_each(|code| *code = code.unsettled());
        }
    }

    pub(crate) fn push_range(&mut self, code: u32) {
        steps::take(1);
        self.ranged += 1;
        self.codes.push(Code(code));
    }

    /// Looks up the numbers that were put off, because those before were in more ranges than there are: each range once.
    pub(crate) fn look_up_numbers(&mut self, ranges: &Ranges) {
        if self.numbers.is_empty() {
            return;
        }
        self.numbers.sort_unstable_by(f64::total_cmp);
        steps::take(self.numbers.len());
        let numbers = std::mem::take(&mut self.numbers);
        ranges.stab_any(&numbers, &mut |code| self.push_range(code));
        self.numbers = numbers;
        self.numbers.clear();
        self.bound();
    }

    #[inline]
    fn push(&mut self, posting: &Posting) {
        steps::take(posting.codes().len());
        self.codes.extend_from_slice(posting.codes());
    }

    pub(crate) fn bound(&mut self) {
        if self.codes.len() > HITS_UNSORTED_MAX + 2 * self.sorted {
            self.sort();
        }
    }
}
