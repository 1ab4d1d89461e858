//! A few ranges, compared with a number all at once. It knows no other leaves.

use smallvec::SmallVec;

use super::{Range, ordinal};
use crate::postings::Code;

/// Ranges of a leaf: so few that comparing them all costs less than finding the right ones.
const LEAF: usize = 16;

/// Sorted ranges, in the order in which a number is compared with all of them at once.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    pub(super) count: usize,
    first: [u64; LEAF],
    last: [u64; LEAF],
    code: [Code; LEAF],
}

impl Leaf {
    /// Ranges that are none end before they begin.
    pub(super) fn empty() -> Self {
        Self {
            count: 0,
            first: [u64::MAX; LEAF],
            last: [0; LEAF],
            code: [Code::new(0, true); LEAF],
        }
    }

    /// Without a branch until it is known which ranges are hit: a processor reads all of it at once.
    #[inline]
    pub(super) fn stab(&self, at: u64, hit: &mut impl FnMut(Code)) {
        let mut inside = 0u32;
        for (index, (first, last)) in self.first.iter().zip(&self.last).enumerate() {
            inside |= u32::from(*first <= at && at <= *last) << index;
        }
        while inside != 0 {
            hit(self.code[inside.trailing_zeros() as usize]);
            inside &= inside - 1;
        }
    }

    pub(super) fn ranges(&self) -> impl Iterator<Item = Range> {
        (0..self.count).map(|index| Range {
            first: self.first[index],
            last: self.last[index],
            code: self.code[index],
        })
    }

    /// Tells of the ranges that one of several numbers lies in, which are in their order.
    pub(super) fn stab_any(&self, numbers: &[f64], hit: &mut impl FnMut(Code)) {
        self.ranges().for_each(|range| {
            let next = numbers.partition_point(|number| ordinal(*number) < range.first);
            if numbers.get(next).is_some_and(|number| ordinal(*number) <= range.last) {
                hit(range.code);
            }
        });
    }

    /// Where the first range begins.
    pub(super) fn begins(&self) -> u64 {
        self.first[0]
    }

    /// Where the last range ends.
    pub(super) fn ends(&self) -> u64 {
        self.last[..self.count].iter().copied().max().unwrap_or(0)
    }

    fn set(&mut self, ranges: &[Range]) {
        *self = Self::empty();
        self.count = ranges.len();
        for (index, range) in ranges.iter().enumerate() {
            (self.first[index], self.last[index], self.code[index]) = (range.first, range.last, range.code);
        }
    }

    /// Adds a range; the upper part, if there are too many now.
    pub(super) fn insert(&mut self, range: Range) -> Option<Leaf> {
        let mut ranges: SmallVec<[Range; LEAF + 1]> = self.ranges().collect();
        let Err(at) = ranges.binary_search(&range) else {
            return None;
        };
        ranges.insert(at, range);
        if ranges.len() <= LEAF {
            self.set(&ranges);
            return None;
        }
        let half = if at == LEAF { LEAF } else { LEAF / 2 };
        self.set(&ranges[..half]);
        let mut upper = Leaf::empty();
        upper.set(&ranges[half..]);
        Some(upper)
    }

    pub(super) fn remove(&mut self, range: &Range) -> bool {
        let mut ranges: SmallVec<[Range; LEAF]> = self.ranges().collect();
        let found = ranges.binary_search(range).map(|at| ranges.remove(at));
        self.set(&ranges);
        found.is_ok()
    }
}
