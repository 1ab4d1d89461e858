//! Many children and where their ranges begin and end. It looks into those only that a change concerns.

use std::sync::Arc;

use super::Range;
use super::leaf::Leaf;
use crate::chunks::COUNTS;
use crate::postings::Code;

/// Children of a branch: so many that a hundred thousand ranges lie two branches deep, and few enough to be copied for a change.
pub(super) const BRANCH: usize = SAMPLED * SAMPLED;

/// Every so many children one is looked at first, and then so many in a row.
const SAMPLED: usize = 16;

/// Children sorted by where they begin. What a search reads of all of them lies close together: so few lines of memory that those
/// of a hundred thousand ranges stay in a processor's cache.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    /// Where the first of every so many children begins; a number that none begins at, behind the last.
    samples: [u64; SAMPLED],
    /// Where the first range below each begins.
    first: Vec<u64>,
    /// Where the last one below each, or below a child before it, ends.
    reach: Vec<u64>,
    /// Where the last one below each ends.
    last: Vec<u64>,
    pub(super) below: Below,
}

/// The children, all of one kind.
#[derive(Debug, Clone)]
pub(super) enum Below {
    Leaves(Vec<Leaf>),
    Branches(Vec<Arc<Branch>>),
}

impl Branch {
    pub(super) fn of(below: Below) -> Self {
        let children = 0..below.len();
        let mut branch = Self {
            samples: [u64::MAX; SAMPLED],
            first: children.clone().map(|child| below.begins(child)).collect(),
            reach: vec![0; below.len()],
            last: children.map(|child| below.ends(child)).collect(),
            below,
        };
        branch.sum_up(0);
        branch
    }

    /// Tells of every range that a number lies in. The way may be known to the last child that begins at the number or below it: its
    /// number here, and in the branches that it leads to, the first of all lowest.
    pub(super) fn stab(&self, at: u64, way: Option<u32>, hit: &mut impl FnMut(Code)) {
        let begun = way.map_or_else(|| self.begun(at), |way| 1 + (way as usize & (BRANCH - 1)));
        for child in self.reaching(begun, at) {
            match &self.below {
                Below::Leaves(leaves) => leaves[child].stab(at, hit),
                Below::Branches(branches) => {
                    let further = way.filter(|_| child + 1 == begun);
                    branches[child].stab(at, further.map(|way| way >> BRANCH.ilog2()), hit);
                }
            }
        }
    }

    /// Of so many children that begin at a number or below it, those with a range that ends above it, perhaps.
    fn reaching(&self, begun: usize, at: u64) -> impl Iterator<Item = usize> {
        let reaching = (0..begun).rev().take_while(move |child| at <= self.reach[*child]);
        reaching.filter(move |child| at <= self.last[*child])
    }

    /// Tells of every range that one of several numbers lies in, which are in their order.
    pub(super) fn stab_any(&self, numbers: &[f64], hit: &mut impl FnMut(Code)) {
        match &self.below {
            Below::Leaves(leaves) => leaves.iter().for_each(|leaf| leaf.stab_any(numbers, hit)),
            Below::Branches(branches) => branches.iter().for_each(|below| below.stab_any(numbers, hit)),
        }
    }

    /// How many children begin at a number or below it. Comparing all of a few is sooner done than one after the other, each where
    /// the one before says.
    #[inline]
    pub(super) fn begun(&self, at: u64) -> usize {
        let begun = |some: &[u64]| some.iter().map(|first| usize::from(*first <= at)).sum::<usize>();
        let Some(sampled) = begun(&self.samples).checked_sub(1) else {
            return 0;
        };
        let from = sampled * SAMPLED;
        let rest = &self.first[from..];
        from + rest
            .first_chunk::<SAMPLED>()
            .map_or_else(|| begun(rest), |some| begun(some))
    }

    /// Adds a range; the upper part, if there are too many children now. What comes in order leaves full branches behind.
    pub(super) fn insert(&mut self, range: Range) -> Option<Branch> {
        let at = self.child_of(&range);
        let is_split = self.below.insert(at, range);
        self.look_again(at);
        if is_split {
            self.first.insert(at + 1, self.below.begins(at + 1));
            self.reach.insert(at + 1, 0);
            self.last.insert(at + 1, self.below.ends(at + 1));
        }
        let is_last = at + 2 == self.below.len();
        let upper = (self.below.len() > BRANCH).then(|| self.split_off(if is_last { BRANCH } else { BRANCH / 2 }));
        // What has changed may have gone with the upper part.
        self.sum_up(at.min(self.below.len()));
        upper
    }

    /// Takes a range out; whether it was there. No child stays empty.
    pub(super) fn remove(&mut self, range: Range) -> bool {
        let at = self.child_of(&range);
        let removed = self.below.remove(at, range);
        if self.below.len() < self.first.len() {
            for list in [&mut self.first, &mut self.reach, &mut self.last] {
                list.remove(at);
            }
        } else {
            self.look_again(at);
        }
        self.sum_up(at);
        removed
    }

    /// Where the first range begins.
    pub(super) fn begins(&self) -> u64 {
        self.first.first().copied().unwrap_or(u64::MAX)
    }

    /// Where the last range ends.
    pub(super) fn ends(&self) -> u64 {
        self.last.iter().copied().max().unwrap_or(0)
    }

    fn least(&self) -> Option<Range> {
        match &self.below {
            Below::Leaves(leaves) => leaves.first()?.ranges().next(),
            Below::Branches(branches) => branches.first()?.least(),
        }
    }

    /// Bytes on the heap, its own included.
    pub(super) fn memory(&self) -> usize {
        let below = match &self.below {
            Below::Leaves(leaves) => leaves.capacity() * size_of::<Leaf>(),
            Below::Branches(branches) => {
                let below = branches.iter().map(|below| below.memory());
                branches.capacity() * size_of::<Arc<Branch>>() + below.sum::<usize>()
            }
        };
        COUNTS + size_of::<Self>() + 3 * self.first.capacity() * size_of::<u64>() + below
    }

    /// The child that a range lies in or belongs into. Several may begin at the same number.
    fn child_of(&self, range: &Range) -> usize {
        let before = self.first.partition_point(|first| *first < range.first);
        let is_not_above = |child: &usize| self.below.least(*child).is_some_and(|least| least <= *range);
        let not_above = (before..self.begun(range.first)).take_while(is_not_above);
        (before + not_above.count()).saturating_sub(1)
    }

    /// Something below a child has changed.
    fn look_again(&mut self, child: usize) {
        self.first[child] = self.below.begins(child);
        self.last[child] = self.below.ends(child);
    }

    /// Says again how far children reach, from this one on, and where some begin.
    fn sum_up(&mut self, from: usize) {
        let mut reach = from.checked_sub(1).map_or(0, |before| self.reach[before]);
        let lists = self.reach.iter_mut().zip(&self.last).skip(from);
        lists.for_each(|(of_child, last)| {
            reach = reach.max(*last);
            *of_child = reach;
        });
        let firsts = self.first.iter().step_by(SAMPLED);
        let mut samples = firsts.copied().chain(std::iter::repeat(u64::MAX));
        self.samples
            .fill_with(|| samples.next().expect("there is no end of them"));
    }

    /// Takes the children from this one on away.
    fn split_off(&mut self, from: usize) -> Self {
        for list in [&mut self.first, &mut self.reach, &mut self.last] {
            list.truncate(from);
        }
        Self::of(self.below.split_off(from))
    }
}

impl Below {
    pub(super) fn len(&self) -> usize {
        match self {
            Below::Leaves(leaves) => leaves.len(),
            Below::Branches(branches) => branches.len(),
        }
    }

    fn begins(&self, child: usize) -> u64 {
        match self {
            Below::Leaves(leaves) => leaves[child].begins(),
            Below::Branches(branches) => branches[child].begins(),
        }
    }

    fn ends(&self, child: usize) -> u64 {
        match self {
            Below::Leaves(leaves) => leaves[child].ends(),
            Below::Branches(branches) => branches[child].ends(),
        }
    }

    fn least(&self, child: usize) -> Option<Range> {
        match self {
            Below::Leaves(leaves) => leaves[child].ranges().next(),
            Below::Branches(branches) => branches[child].least(),
        }
    }

    /// Adds a range to a child; whether another child behind it has taken its upper part.
    fn insert(&mut self, child: usize, range: Range) -> bool {
        match self {
            Below::Leaves(leaves) => {
                let upper = leaves[child].insert(range);
                upper.map(|upper| leaves.insert(child + 1, upper)).is_some()
            }
            Below::Branches(branches) => {
                let upper = Arc::make_mut(&mut branches[child]).insert(range);
                upper.map(|upper| branches.insert(child + 1, Arc::new(upper))).is_some()
            }
        }
    }

    /// Takes a range out of a child, and the child away if it was its last; whether the range was there.
    fn remove(&mut self, child: usize, range: Range) -> bool {
        match self {
            Below::Leaves(leaves) => {
                let removed = leaves[child].remove(&range);
                if leaves[child].count == 0 {
                    leaves.remove(child);
                }
                removed
            }
            Below::Branches(branches) => {
                let removed = Arc::make_mut(&mut branches[child]).remove(range);
                if branches[child].below.len() == 0 {
                    branches.remove(child);
                }
                removed
            }
        }
    }

    /// Takes the children from this one on away; what is left keeps no room for more.
    fn split_off(&mut self, from: usize) -> Self {
        match self {
            Below::Leaves(leaves) => {
                let upper = leaves.split_off(from);
                leaves.shrink_to_fit();
                Below::Leaves(upper)
            }
            Below::Branches(branches) => Below::Branches(branches.split_off(from)),
        }
    }
}
