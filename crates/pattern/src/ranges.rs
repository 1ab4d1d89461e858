//! Ranges of numbers, and which of them a number lies in: a tree of ranges sorted by where they begin, each branch with where the
//! last one below it ends.
//!
//! A number costs the depth of the tree and the leaves that it lies in a range of: of the leaves whose ranges all begin below the
//! number, only those are looked into where one ends above it. Copies share what they have in common.

use std::sync::Arc;

use crate::operator::Bounds;

/// Ranges of a leaf, and children of a branch, before they are divided.
const WIDTH: usize = 32;

/// A range, ends included, of numbers in their order, for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Range {
    first: u64,
    last: u64,
    code: u32,
}

impl Range {
    pub(crate) fn new(bounds: &Bounds, code: u32) -> Self {
        let above = |inclusive: bool| u64::from(!inclusive);
        Self {
            first: bounds.low.map_or(0, |low| ordinal(low.value) + above(low.inclusive)),
            last: bounds
                .high
                .map_or(u64::MAX, |high| ordinal(high.value) - above(high.inclusive)),
            code,
        }
    }
}

/// A number's place in the order of numbers; the next number has the next place.
fn ordinal(number: f64) -> u64 {
    let bits = (number + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// A set of ranges.
#[derive(Debug, Clone)]
pub(crate) enum Ranges {
    Leaf(Vec<Range>),
    Branch(Vec<Below>),
}

#[derive(Debug, Clone)]
pub(crate) struct Below {
    /// The least range below.
    least: Range,
    /// Where the last one below ends.
    last: u64,
    ranges: Arc<Ranges>,
}

impl Default for Ranges {
    fn default() -> Self {
        Ranges::Leaf(Vec::new())
    }
}

impl Ranges {
    /// Tells of every range that a number lies in.
    pub(crate) fn stab(&self, number: f64, hit: &mut impl FnMut(u32)) {
        self.stab_at(ordinal(number), hit);
    }

    fn stab_at(&self, at: u64, hit: &mut impl FnMut(u32)) {
        match self {
            Ranges::Leaf(ranges) => {
                let begun = ranges.iter().take_while(|range| range.first <= at);
                begun.filter(|range| at <= range.last).for_each(|range| hit(range.code));
            }
            Ranges::Branch(children) => {
                let begun = children.iter().take_while(|below| below.least.first <= at);
                begun
                    .filter(|below| at <= below.last)
                    .for_each(|below| below.ranges.stab_at(at, hit));
            }
        }
    }

    /// Tells of every range that one of several numbers lies in, which are in their order.
    pub(crate) fn stab_any(&self, numbers: &[f64], hit: &mut impl FnMut(u32)) {
        match self {
            Ranges::Leaf(ranges) => ranges.iter().for_each(|range| {
                let next = numbers.partition_point(|number| ordinal(*number) < range.first);
                if numbers.get(next).is_some_and(|number| ordinal(*number) <= range.last) {
                    hit(range.code);
                }
            }),
            Ranges::Branch(children) => children.iter().for_each(|below| below.ranges.stab_any(numbers, hit)),
        }
    }

    /// Adds a range that is not there.
    pub(crate) fn insert(&mut self, range: Range) {
        if let Some(upper) = self.insert_below(range) {
            let lower = std::mem::take(self);
            *self = Ranges::Branch(vec![Below::of(lower), Below::of(upper)]);
        }
    }

    /// Adds a range; the upper half, if there are too many now.
    fn insert_below(&mut self, range: Range) -> Option<Ranges> {
        match self {
            Ranges::Leaf(ranges) => {
                if let Err(at) = ranges.binary_search(&range) {
                    ranges.insert(at, range);
                }
                (ranges.len() > WIDTH).then(|| Ranges::Leaf(ranges.split_off(WIDTH / 2)))
            }
            Ranges::Branch(children) => {
                let at = child_of(children, &range);
                let below = &mut children[at];
                let upper = Arc::make_mut(&mut below.ranges).insert_below(range);
                *below = Below::around(std::mem::take(&mut below.ranges));
                if let Some(upper) = upper {
                    children.insert(at + 1, Below::of(upper));
                }
                (children.len() > WIDTH).then(|| Ranges::Branch(children.split_off(WIDTH / 2)))
            }
        }
    }

    /// Takes a range out; whether it was there.
    pub(crate) fn remove(&mut self, range: Range) -> bool {
        match self {
            Ranges::Leaf(ranges) => {
                let found = ranges.binary_search(&range);
                found.map(|at| ranges.remove(at)).is_ok()
            }
            Ranges::Branch(children) => {
                let at = child_of(children, &range);
                let below = &mut children[at];
                let removed = Arc::make_mut(&mut below.ranges).remove(range);
                if below.ranges.is_empty() {
                    children.remove(at);
                } else {
                    *below = Below::around(std::mem::take(&mut below.ranges));
                }
                if children.is_empty() {
                    *self = Ranges::default();
                }
                removed
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Ranges::Leaf(ranges) => ranges.is_empty(),
            Ranges::Branch(children) => children.is_empty(),
        }
    }

    /// Bytes on the heap.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Ranges::Leaf(ranges) => ranges.capacity() * size_of::<Range>(),
            Ranges::Branch(children) => {
                let below = children.iter().map(|below| size_of::<Ranges>() + below.ranges.memory());
                children.capacity() * size_of::<Below>() + below.sum::<usize>()
            }
        }
    }

    fn least(&self) -> Option<Range> {
        match self {
            Ranges::Leaf(ranges) => ranges.first().copied(),
            Ranges::Branch(children) => children.first().map(|below| below.least),
        }
    }

    fn last(&self) -> u64 {
        let last = match self {
            Ranges::Leaf(ranges) => ranges.iter().map(|range| range.last).max(),
            Ranges::Branch(children) => children.iter().map(|below| below.last).max(),
        };
        last.unwrap_or(0)
    }
}

impl Below {
    fn of(ranges: Ranges) -> Self {
        Self::around(Arc::new(ranges))
    }

    fn around(ranges: Arc<Ranges>) -> Self {
        Self {
            least: ranges.least().expect("no child is empty"),
            last: ranges.last(),
            ranges,
        }
    }
}

/// The child that a range lies in or belongs into.
fn child_of(children: &[Below], range: &Range) -> usize {
    children
        .partition_point(|below| below.least <= *range)
        .saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::Bound;

    fn bounds(low: Option<(f64, bool)>, high: Option<(f64, bool)>) -> Bounds {
        let bound = |(value, inclusive)| Bound { value, inclusive };
        Bounds {
            low: low.map(bound),
            high: high.map(bound),
        }
    }

    fn hits(ranges: &Ranges, number: f64) -> Vec<u32> {
        let mut hits = Vec::new();
        ranges.stab(number, &mut |code| hits.push(code));
        hits.sort_unstable();
        hits
    }

    #[test]
    fn a_number_finds_the_ranges_it_lies_in_and_no_others() {
        let all: Vec<Bounds> = (0..600u32)
            .map(|index| {
                let low = f64::from(index * 7 % 300) - 150.0;
                let width = f64::from(index % 13 * (index % 17));
                let low_is_in = index % 2 == 0 || width == 0.0;
                match index % 50 {
                    0 => bounds(None, Some((low, index % 3 == 0))),
                    1 => bounds(Some((low, low_is_in)), None),
                    _ => bounds(
                        Some((low, low_is_in)),
                        Some((low + width, index % 3 == 0 || width == 0.0)),
                    ),
                }
            })
            .collect();
        let range = |code: usize| Range::new(&all[code], u32::try_from(code).unwrap());
        let mut ranges = Ranges::default();
        (0..all.len()).for_each(|code| ranges.insert(range(code)));
        let whole = ranges.clone();
        (0..all.len())
            .step_by(3)
            .for_each(|code| assert!(ranges.remove(range(code))));
        assert!(!ranges.remove(range(0)));
        for step in -700..700 {
            let number = f64::from(step) / 4.0;
            let expected = |kept: &dyn Fn(usize) -> bool| -> Vec<u32> {
                let inside = (0..all.len()).filter(|code| kept(*code) && all[*code].contain(number));
                inside.map(|code| u32::try_from(code).unwrap()).collect()
            };
            assert_eq!(hits(&whole, number), expected(&|_| true), "{number}");
            assert_eq!(hits(&ranges, number), expected(&|code| code % 3 != 0), "{number}");
            let mut together = Vec::new();
            whole.stab_any(&[number], &mut |code| together.push(code));
            together.sort_unstable();
            assert_eq!(together, expected(&|_| true), "{number}");
        }
        for code in 0..all.len() {
            ranges.remove(range(code));
        }
        assert!(ranges.is_empty());
    }

    #[test]
    fn ends_are_exact_to_the_last_bit() {
        let mut ranges = Ranges::default();
        ranges.insert(Range::new(&bounds(Some((0.1, false)), Some((0.3, false))), 1));
        ranges.insert(Range::new(&bounds(Some((-0.0, true)), Some((5e-324, false))), 2));
        assert_eq!(hits(&ranges, 0.1), [0; 0]);
        assert_eq!(hits(&ranges, 0.1f64.next_up()), [1]);
        assert_eq!(hits(&ranges, 0.3f64.next_down()), [1]);
        assert_eq!(hits(&ranges, 0.3), [0; 0]);
        assert_eq!(hits(&ranges, 0.0), [2]);
        assert_eq!(hits(&ranges, -0.0), [2]);
    }
}
