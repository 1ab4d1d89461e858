//! Many children and where their ranges begin and end. It looks into those only that a change concerns.

use std::sync::Arc;

use super::{Node, Range};

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
    pub(super) first: Vec<u64>,
    /// Where the last one below each, or below a child before it, ends.
    pub(super) reach: Vec<u64>,
    pub(super) children: Vec<Arc<Node>>,
    /// Where the last one below each ends.
    pub(super) last: Vec<u64>,
    /// Whether the children are leaves.
    pub(super) is_lowest: bool,
}

impl Branch {
    pub(super) fn of(children: Vec<Arc<Node>>) -> Self {
        let mut branch = Self {
            samples: [u64::MAX; SAMPLED],
            first: children.iter().map(|below| below.first()).collect(),
            reach: vec![0; children.len()],
            last: children.iter().map(|below| below.last()).collect(),
            is_lowest: children.iter().all(|below| matches!(**below, Node::Leaf(_))),
            children,
        };
        branch.set_reach(0);
        branch.set_samples();
        branch
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

    /// Adds a range; the upper part, if there are too many children now.
    pub(super) fn insert(&mut self, range: Range) -> Option<Branch> {
        let at = self.child_of(&range);
        let upper = Arc::make_mut(&mut self.children[at]).insert(range);
        self.look_again(at);
        if let Some(upper) = upper {
            self.first.insert(at + 1, upper.first());
            self.reach.insert(at + 1, 0);
            self.last.insert(at + 1, upper.last());
            self.children.insert(at + 1, Arc::new(upper));
        }
        let is_last = at + 2 == self.children.len();
        let upper = (self.children.len() > BRANCH).then(|| self.split_off(if is_last { BRANCH } else { BRANCH / 2 }));
        self.set_reach(at);
        self.set_samples();
        upper
    }

    /// Takes a range out; whether it was there.
    pub(super) fn remove(&mut self, range: Range) -> bool {
        let at = self.child_of(&range);
        let removed = Arc::make_mut(&mut self.children[at]).remove(range);
        if self.children[at].is_empty() {
            self.children.remove(at);
            for list in [&mut self.first, &mut self.reach, &mut self.last] {
                list.remove(at);
            }
        } else {
            self.look_again(at);
        }
        self.set_reach(at);
        self.set_samples();
        removed
    }

    /// The child that a range lies in or belongs into. Several may begin at the same number.
    fn child_of(&self, range: &Range) -> usize {
        let before = self.first.partition_point(|first| *first < range.first);
        let same = &self.children[before..self.begun(range.first)];
        let not_above = same.partition_point(|below| below.least().is_some_and(|least| least <= *range));
        (before + not_above).saturating_sub(1)
    }

    /// Something below a child has changed.
    fn look_again(&mut self, child: usize) {
        self.first[child] = self.children[child].first();
        self.last[child] = self.children[child].last();
    }

    /// Says again how far children reach, from this one on.
    fn set_reach(&mut self, from: usize) {
        let mut reach = from.checked_sub(1).map_or(0, |before| self.reach[before]);
        let lists = self.reach.iter_mut().zip(&self.last).skip(from);
        lists.for_each(|(of_child, last)| {
            reach = reach.max(*last);
            *of_child = reach;
        });
    }

    fn set_samples(&mut self) {
        let firsts = self.first.iter().step_by(SAMPLED);
        let mut samples = firsts.copied().chain(std::iter::repeat(u64::MAX));
        self.samples
            .fill_with(|| samples.next().expect("there is no end of them"));
    }

    /// Takes the children from this one on away.
    fn split_off(&mut self, from: usize) -> Self {
        let mut upper = Self {
            samples: [u64::MAX; SAMPLED],
            first: self.first.split_off(from),
            reach: self.reach.split_off(from),
            children: self.children.split_off(from),
            last: self.last.split_off(from),
            is_lowest: self.is_lowest,
        };
        upper.set_reach(0);
        upper.set_samples();
        upper
    }
}
