//! Ranges of numbers, and which of them a number lies in: a tree of ranges sorted by where they begin, each branch with where the
//! last one below it ends.
//!
//! A number costs the depth of the tree and the leaves that it lies in a range of: of the leaves whose ranges all begin below the
//! number, only those are looked into where one ends above it. Copies share what they have in common.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::operator::Bounds;
use crate::postings::Code;
use crate::simd;

/// Ranges of a leaf: so few that comparing them all costs less than finding the right ones.
const LEAF: usize = 16;

/// Children of a branch: so many that the branches of a hundred thousand ranges stay in a processor's cache.
const BRANCH: usize = 64;

/// A range, ends included, of numbers in their order, for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Range {
    first: u64,
    last: u64,
    code: Code,
}

impl Range {
    pub(crate) fn new(bounds: &Bounds, code: Code) -> Self {
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

/// The number at a place in the order of numbers.
fn number_at(ordinal: u64) -> f64 {
    f64::from_bits(if ordinal >> 63 == 1 {
        ordinal & !(1 << 63)
    } else {
        !ordinal
    })
}

/// A set of ranges.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ranges(Option<Arc<Node>>);

#[expect(
    clippy::large_enum_variant,
    reason = "most nodes are leaves, and one more pointer is one more wait for memory"
)]
#[derive(Debug, Clone)]
enum Node {
    Leaf(Leaf),
    Branch(Vec<Below>),
}

/// Sorted ranges, in the order in which a number is compared with all of them at once.
#[derive(Debug, Clone)]
struct Leaf {
    count: usize,
    first: [u64; LEAF],
    last: [u64; LEAF],
    code: [Code; LEAF],
}

#[derive(Debug, Clone)]
struct Below {
    /// The least range below.
    least: Range,
    /// Where the last one below ends.
    last: u64,
    /// Where the last one below this or a child before it ends.
    reach: u64,
    /// How many branches lie between this and the leaves.
    height: u32,
    node: Arc<Node>,
}

impl Ranges {
    /// Tells of every range that a number lies in.
    pub(crate) fn stab(&self, number: f64, hit: &mut impl FnMut(Code)) {
        if let Some(node) = &self.0 {
            node.stab(ordinal(number), hit);
        }
    }

    /// Fetches the leaf in which a range of a number most likely lies, without looking into it.
    pub(crate) fn fetch(&self, number: f64) {
        let at = ordinal(number);
        let mut node = self.0.as_deref();
        while let Some(Node::Branch(children)) = node {
            let begun = children.partition_point(|below| below.least.first <= at);
            let below = begun.checked_sub(1).map(|last| &children[last]);
            node = below.filter(|below| below.height > 0).map(|below| &*below.node);
            if let (None, Some(below)) = (node, below) {
                simd::fetch(&*below.node);
            }
        }
    }

    /// Tells of every range that one of several numbers lies in, which are in their order.
    pub(crate) fn stab_any(&self, numbers: &[f64], hit: &mut impl FnMut(Code)) {
        if let Some(node) = &self.0 {
            node.stab_any(numbers, hit);
        }
    }

    /// Adds a range that is not there.
    pub(crate) fn insert(&mut self, range: Range) {
        let root = self.0.get_or_insert_with(|| Arc::new(Node::Leaf(Leaf::empty())));
        if let Some(upper) = Arc::make_mut(root).insert(range) {
            let mut children = vec![Below::around(Arc::clone(root)), Below::around(Arc::new(upper))];
            set_reach(&mut children);
            *root = Arc::new(Node::Branch(children));
        }
    }

    /// Takes a range out; whether it was there.
    pub(crate) fn remove(&mut self, range: Range) -> bool {
        let removed = self.0.as_mut().is_some_and(|root| Arc::make_mut(root).remove(range));
        self.0.take_if(|root| root.is_empty());
        removed
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How far it is from the beginning of the first range to the end of the last; none if that is no number.
    pub(crate) fn width(&self) -> Option<f64> {
        let root = self.0.as_ref()?;
        let width = number_at(root.last()) - number_at(root.least()?.first);
        width.is_finite().then_some(width)
    }

    /// Bytes on the heap.
    pub(crate) fn memory(&self) -> usize {
        self.0.as_ref().map_or(0, |root| root.memory())
    }
}

impl Node {
    fn stab(&self, at: u64, hit: &mut impl FnMut(Code)) {
        match self {
            Node::Leaf(leaf) => leaf.stab(at, hit),
            Node::Branch(children) => {
                let begun = children.partition_point(|below| below.least.first <= at);
                let reaching = children[..begun].iter().rev().take_while(|below| at <= below.reach);
                reaching
                    .filter(|below| at <= below.last)
                    .for_each(|below| below.node.stab(at, hit));
            }
        }
    }

    fn stab_any(&self, numbers: &[f64], hit: &mut impl FnMut(Code)) {
        match self {
            Node::Leaf(leaf) => leaf.ranges().for_each(|range| {
                let next = numbers.partition_point(|number| ordinal(*number) < range.first);
                if numbers.get(next).is_some_and(|number| ordinal(*number) <= range.last) {
                    hit(range.code);
                }
            }),
            Node::Branch(children) => children.iter().for_each(|below| below.node.stab_any(numbers, hit)),
        }
    }

    /// Adds a range; the upper part, if there are too many now. What comes in order leaves full nodes behind.
    fn insert(&mut self, range: Range) -> Option<Node> {
        match self {
            Node::Leaf(leaf) => leaf.insert(range).map(Node::Leaf),
            Node::Branch(children) => {
                let at = child_of(children, &range);
                let below = &mut children[at];
                let upper = Arc::make_mut(&mut below.node).insert(range);
                below.look_again();
                if let Some(upper) = upper {
                    children.insert(at + 1, Below::around(Arc::new(upper)));
                }
                let is_last = at + 2 == children.len();
                let half = if is_last { BRANCH } else { BRANCH / 2 };
                let mut upper = (children.len() > BRANCH).then(|| children.split_off(half));
                set_reach(children);
                upper.as_deref_mut().into_iter().for_each(set_reach);
                upper.map(Node::Branch)
            }
        }
    }

    /// Takes a range out; whether it was there. No child stays empty.
    fn remove(&mut self, range: Range) -> bool {
        match self {
            Node::Leaf(leaf) => leaf.remove(&range),
            Node::Branch(children) => {
                let at = child_of(children, &range);
                let below = &mut children[at];
                let removed = Arc::make_mut(&mut below.node).remove(range);
                if below.node.is_empty() {
                    children.remove(at);
                } else {
                    below.look_again();
                }
                set_reach(children);
                removed
            }
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Node::Leaf(leaf) => leaf.count == 0,
            Node::Branch(children) => children.is_empty(),
        }
    }

    fn memory(&self) -> usize {
        let own = 2 * size_of::<usize>() + size_of::<Node>();
        match self {
            Node::Leaf(_) => own,
            Node::Branch(children) => {
                let below = children.iter().map(|below| below.node.memory());
                own + children.capacity() * size_of::<Below>() + below.sum::<usize>()
            }
        }
    }

    fn height(&self) -> u32 {
        match self {
            Node::Leaf(_) => 0,
            Node::Branch(children) => 1 + children.first().map_or(0, |below| below.height),
        }
    }

    fn least(&self) -> Option<Range> {
        match self {
            Node::Leaf(leaf) => leaf.ranges().next(),
            Node::Branch(children) => children.first().map(|below| below.least),
        }
    }

    fn last(&self) -> u64 {
        let last = match self {
            Node::Leaf(leaf) => leaf.ranges().map(|range| range.last).max(),
            Node::Branch(children) => children.iter().map(|below| below.last).max(),
        };
        last.unwrap_or(0)
    }
}

impl Leaf {
    /// Ranges that are none end before they begin.
    fn empty() -> Self {
        Self {
            count: 0,
            first: [u64::MAX; LEAF],
            last: [0; LEAF],
            code: [Code::new(0, true); LEAF],
        }
    }

    /// Without a branch until it is known which ranges are hit: a processor reads all of it at once.
    #[inline]
    fn stab(&self, at: u64, hit: &mut impl FnMut(Code)) {
        let mut inside = 0u32;
        for (index, (first, last)) in self.first.iter().zip(&self.last).enumerate() {
            inside |= u32::from(*first <= at && at <= *last) << index;
        }
        while inside != 0 {
            hit(self.code[inside.trailing_zeros() as usize]);
            inside &= inside - 1;
        }
    }

    fn ranges(&self) -> impl Iterator<Item = Range> {
        (0..self.count).map(|index| Range {
            first: self.first[index],
            last: self.last[index],
            code: self.code[index],
        })
    }

    fn set(&mut self, ranges: &[Range]) {
        *self = Self::empty();
        self.count = ranges.len();
        for (index, range) in ranges.iter().enumerate() {
            (self.first[index], self.last[index], self.code[index]) = (range.first, range.last, range.code);
        }
    }

    /// Adds a range; the upper part, if there are too many now.
    fn insert(&mut self, range: Range) -> Option<Leaf> {
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

    fn remove(&mut self, range: &Range) -> bool {
        let mut ranges: SmallVec<[Range; LEAF]> = self.ranges().collect();
        let found = ranges.binary_search(range).map(|at| ranges.remove(at));
        self.set(&ranges);
        found.is_ok()
    }
}

impl Below {
    fn around(node: Arc<Node>) -> Self {
        let mut below = Self {
            least: node.least().expect("no child is empty"),
            last: 0,
            reach: 0,
            height: node.height(),
            node,
        };
        below.look_again();
        below
    }

    /// Something below has changed.
    fn look_again(&mut self) {
        self.least = self.node.least().expect("no child is empty");
        self.last = self.node.last();
    }
}

fn set_reach(children: &mut [Below]) {
    let mut reach = 0;
    for below in children {
        reach = below.last.max(reach);
        below.reach = reach;
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

    fn code(filter: usize) -> Code {
        Code::new(u32::try_from(filter).unwrap(), true)
    }

    fn hits(ranges: &Ranges, number: f64) -> Vec<usize> {
        let mut hits = Vec::new();
        ranges.stab(number, &mut |code| hits.push(code.filter()));
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
        let range = |number: usize| Range::new(&all[number], code(number));
        let mut ranges = Ranges::default();
        (0..all.len()).for_each(|code| ranges.insert(range(code)));
        let whole = ranges.clone();
        (0..all.len())
            .step_by(3)
            .for_each(|code| assert!(ranges.remove(range(code))));
        assert!(!ranges.remove(range(0)));
        for step in -700..700 {
            let number = f64::from(step) / 4.0;
            let expected = |kept: &dyn Fn(usize) -> bool| -> Vec<usize> {
                let inside = (0..all.len()).filter(|code| kept(*code) && all[*code].contain(number));
                inside.collect()
            };
            assert_eq!(hits(&whole, number), expected(&|_| true), "{number}");
            assert_eq!(hits(&ranges, number), expected(&|code| code % 3 != 0), "{number}");
            let mut together = Vec::new();
            whole.stab_any(&[number], &mut |code| together.push(code.filter()));
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
        ranges.insert(Range::new(&bounds(Some((0.1, false)), Some((0.3, false))), code(1)));
        ranges.insert(Range::new(&bounds(Some((-0.0, true)), Some((5e-324, false))), code(2)));
        assert_eq!(hits(&ranges, 0.1), [0; 0]);
        assert_eq!(hits(&ranges, 0.1f64.next_up()), [1]);
        assert_eq!(hits(&ranges, 0.3f64.next_down()), [1]);
        assert_eq!(hits(&ranges, 0.3), [0; 0]);
        assert_eq!(hits(&ranges, 0.0), [2]);
        assert_eq!(ranges.width(), Some(0.3f64.next_down()));
        assert_eq!(hits(&ranges, -0.0), [2]);
    }
}
