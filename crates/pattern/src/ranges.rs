//! Ranges of numbers, and which of them a number lies in: a tree of ranges sorted by where they begin, each branch with where the
//! last one below it ends.
//!
//! A number costs the depth of the tree and the leaves that it lies in a range of: of the leaves whose ranges all begin below the
//! number, only those are looked into where one ends above it. Leaves of one branch lie side by side, on as few pages of memory as
//! they fill. Copies share what they have in common.

use std::sync::Arc;

use crate::operator::Bounds;
use crate::postings::Code;
use crate::simd;

mod branch;
mod leaf;

use branch::{BRANCH, Below, Branch};
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
pub(crate) struct Ranges(Option<Arc<Branch>>);

impl Ranges {
    /// Tells of every range that a number lies in. Where its leaf was fetched before, the way to it is not searched for again.
    pub(crate) fn stab(&self, number: f64, leaf: Option<LeafAt>, hit: &mut impl FnMut(Code)) {
        if let Some(root) = &self.0 {
            root.stab(ordinal(number), leaf.map(|leaf| leaf.0), hit);
        }
    }

    /// Fetches the leaf in which a range of a number most likely lies, without looking into it, and says where that is, and
    /// whether it may have to come from afar: a tree of one branch stays in a processor's cache by itself.
    #[inline]
    pub(crate) fn fetch(&self, number: f64) -> Option<(LeafAt, bool)> {
        let (at, mut way) = (ordinal(number), LeafAt(0));
        let mut branch = self.0.as_deref()?;
        for level in 0..LeafAt::LEVELS {
            let child = branch.begun(at).checked_sub(1)?;
            way.0 |= u32::try_from(child).expect("a branch has few children") << (LeafAt::BITS * level);
            match &branch.below {
                Below::Leaves(leaves) => {
                    simd::fetch(&leaves[child]);
                    return Some((way, level > 0));
                }
                Below::Branches(branches) => branch = &branches[child],
            }
        }
        None
    }

    /// Tells of the ranges that a number lies in of the leaf that was fetched for it.
    pub(crate) fn peek(&self, leaf: LeafAt, number: f64, hit: &dyn Fn(Code)) {
        let mut way = leaf.0;
        let mut branch = self.0.as_deref();
        while let Some(above) = branch {
            let child = way as usize & (BRANCH - 1);
            way >>= LeafAt::BITS;
            branch = match &above.below {
                Below::Leaves(leaves) => {
                    return leaves[child].stab(ordinal(number), &mut |code| hit(code));
                }
                Below::Branches(branches) => branches.get(child).map(|below| &**below),
            }
        }
    }

    /// Tells of every range that one of several numbers lies in, which are in their order.
    pub(crate) fn stab_any(&self, numbers: &[f64], hit: &mut impl FnMut(Code)) {
        if let Some(root) = &self.0 {
            root.stab_any(numbers, hit);
        }
    }

    /// Adds a range that is not there.
    pub(crate) fn insert(&mut self, range: Range) {
        let root = self
            .0
            .get_or_insert_with(|| Arc::new(Branch::of(Below::Leaves(vec![Leaf::empty()]))));
        if let Some(upper) = Arc::make_mut(root).insert(range) {
            let branches = vec![Arc::clone(root), Arc::new(upper)];
            *root = Arc::new(Branch::of(Below::Branches(branches)));
        }
    }

    /// Takes a range out; whether it was there.
    pub(crate) fn remove(&mut self, range: Range) -> bool {
        let removed = self.0.as_mut().is_some_and(|root| Arc::make_mut(root).remove(range));
        self.0.take_if(|root| root.below.len() == 0);
        removed
    }

    /// Whether there are so many that it is worth its time to fetch one.
    pub(crate) fn is_fetched(&self) -> bool {
        let root = self.0.as_deref();
        root.is_some_and(|root| matches!(root.below, Below::Branches(_)))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How far it is from the beginning of the first range to the end of the last; none if that is no number.
    pub(crate) fn width(&self) -> Option<f64> {
        let root = self.0.as_ref()?;
        let width = number_at(root.ends()) - number_at(root.begins());
        width.is_finite().then_some(width)
    }

    /// Bytes on the heap.
    pub(crate) fn memory(&self) -> usize {
        self.0.as_ref().map_or(0, |root| root.memory())
    }
}

#[cfg(test)]
mod tests;
