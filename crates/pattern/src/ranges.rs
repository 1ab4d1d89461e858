//! Ranges of numbers, and which of them a number lies in: a tree of ranges sorted by where they begin, each branch with where the
//! last one below it ends.
//!
//! A number costs the depth of the tree and the leaves that it lies in a range of: of the leaves whose ranges all begin below the
//! number, only those are looked into where one ends above it. Copies share what they have in common.

use std::sync::Arc;

use crate::operator::Bounds;
use crate::postings::Code;
use crate::simd;

mod branch;
mod leaf;

use branch::{BRANCH, Branch};
use leaf::Leaf;

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

/// The way to a leaf: the child that is taken of each branch, the first of all lowest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeafAt(u32);

impl LeafAt {
    /// Bits that a child's number has.
    const BITS: u32 = BRANCH.ilog2();

    /// Branches that a way leads through at most.
    const LEVELS: u32 = u32::BITS / Self::BITS;
}

/// A set of ranges.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ranges(Option<Arc<Node>>);

#[derive(Debug, Clone)]
enum Node {
    Leaf(Leaf),
    Branch(Branch),
}

impl Ranges {
    /// Tells of every range that a number lies in.
    pub(crate) fn stab(&self, number: f64, hit: &mut impl FnMut(Code)) {
        if let Some(node) = &self.0 {
            node.stab(ordinal(number), hit);
        }
    }

    /// Fetches the leaf in which a range of a number most likely lies, without looking into it, and says where that is. A tree of one
    /// branch stays in a processor's cache by itself.
    #[inline]
    pub(crate) fn fetch(&self, number: f64) -> Option<LeafAt> {
        let (at, mut way) = (ordinal(number), LeafAt(0));
        let mut node = self.0.as_deref()?;
        for level in 0..LeafAt::LEVELS {
            let Node::Branch(branch) = node else {
                return None;
            };
            let child = branch.begun(at).checked_sub(1)?;
            way.0 |= u32::try_from(child).expect("a branch has few children") << (LeafAt::BITS * level);
            node = &branch.children[child];
            if branch.is_lowest {
                simd::fetch(node);
                return (level > 0).then_some(way);
            }
        }
        None
    }

    /// Tells of the ranges that a number lies in of the leaf that was fetched for it.
    pub(crate) fn peek(&self, leaf: LeafAt, number: f64, hit: &dyn Fn(Code)) {
        let mut way = leaf.0;
        let mut node = self.0.as_deref();
        while let Some(Node::Branch(branch)) = node {
            node = branch.children.get(way as usize & (BRANCH - 1)).map(|below| &**below);
            way >>= LeafAt::BITS;
        }
        if let Some(Node::Leaf(leaf)) = node {
            leaf.stab(ordinal(number), &mut |code| hit(code));
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
            let children = vec![Arc::clone(root), Arc::new(upper)];
            *root = Arc::new(Node::Branch(Branch::of(children)));
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
            Node::Branch(branch) => {
                let begun = (0..branch.begun(at)).rev();
                let reaching = begun.take_while(|child| at <= branch.reach[*child]);
                reaching
                    .filter(|child| at <= branch.last[*child])
                    .for_each(|child| branch.children[child].stab(at, hit));
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
            Node::Branch(branch) => branch.children.iter().for_each(|below| below.stab_any(numbers, hit)),
        }
    }

    /// Adds a range; the upper part, if there are too many now. What comes in order leaves full nodes behind.
    fn insert(&mut self, range: Range) -> Option<Node> {
        match self {
            Node::Leaf(leaf) => leaf.insert(range).map(Node::Leaf),
            Node::Branch(branch) => branch.insert(range).map(Node::Branch),
        }
    }

    /// Takes a range out; whether it was there. No child stays empty.
    fn remove(&mut self, range: Range) -> bool {
        match self {
            Node::Leaf(leaf) => leaf.remove(&range),
            Node::Branch(branch) => branch.remove(range),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Node::Leaf(leaf) => leaf.count == 0,
            Node::Branch(branch) => branch.children.is_empty(),
        }
    }

    fn memory(&self) -> usize {
        let own = 2 * size_of::<usize>() + size_of::<Node>();
        match self {
            Node::Leaf(_) => own,
            Node::Branch(branch) => {
                let below = branch.children.iter().map(|below| below.memory());
                let of_child = 3 * size_of::<u64>() + size_of::<usize>();
                own + branch.children.capacity() * of_child + below.sum::<usize>()
            }
        }
    }

    fn least(&self) -> Option<Range> {
        match self {
            Node::Leaf(leaf) => leaf.ranges().next(),
            Node::Branch(branch) => branch.children.first()?.least(),
        }
    }

    /// Where the first range begins.
    fn first(&self) -> u64 {
        match self {
            Node::Leaf(leaf) => leaf.first[0],
            Node::Branch(branch) => branch.first.first().copied().unwrap_or(u64::MAX),
        }
    }

    /// Where the last range ends.
    fn last(&self) -> u64 {
        let last = match self {
            Node::Leaf(leaf) => leaf.ranges().map(|range| range.last).max(),
            Node::Branch(branch) => branch.last.iter().copied().max(),
        };
        last.unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
