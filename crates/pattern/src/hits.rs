//! Whom the values of a document call for. It asks nobody.

use std::collections::HashSet;

use foldhash::fast::RandomState;

use crate::postings::{Code, Codes};
use crate::ranges::Ranges;
use crate::steps;

/// Hits beyond which repeated ones are dropped while a document is looked up, so that one value's many pieces cannot make the
/// list long.
const HITS_UNSORTED_MAX: usize = 4_096;

/// Codes of a list that is taken as often as a document calls for it; of a longer one it is remembered that it was taken.
const REPEATED_MAX: usize = 16;

/// How a list is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Taken {
    AsItIs,
    AsUnsettled,
    AsSettled,
    /// It is a list of those who know no path.
    Apart,
}

impl Taken {
    /// A code of a list that is taken like this.
    #[inline]
    fn taken(self, code: Code) -> Code {
        match self {
            Taken::AsUnsettled => code.unsettled(),
            Taken::AsSettled => code.settled(),
            Taken::AsItIs | Taken::Apart => code,
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
    /// Long lists that were taken, and how: a document may call for one at each of its bytes.
    taken: HashSet<(u32, Taken), RandomState>,
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
        if !self.codes.is_sorted_by(|one, next| one < next) {
            self.codes.sort_unstable();
            self.codes.dedup();
        }
        self.sorted = self.codes.len();
    }

    #[inline]
    pub(crate) fn extend(&mut self, found: Option<Codes<'_>>) {
        self.take(found, Taken::AsItIs);
    }

    /// The same of tests that a hit does not settle.
    pub(crate) fn extend_unsettled(&mut self, found: Codes<'_>) {
        self.take(Some(found), Taken::AsUnsettled);
    }

    /// The same of tests that are known to pass.
    #[inline(always)]
    pub(crate) fn extend_settled(&mut self, found: Codes<'_>) {
        self.take(Some(found), Taken::AsSettled);
    }

    /// The same of lists that have numbers of their own.
    pub(crate) fn extend_apart(&mut self, found: Option<Codes<'_>>) {
        self.take(found, Taken::Apart);
    }

    #[inline(always)]
    fn take(&mut self, found: Option<Codes<'_>>, how: Taken) {
        steps::take(1);
        let Some(Codes { codes, list }) = found else {
            return;
        };
        if let [only] = codes {
            steps::take(1);
            self.codes.push(how.taken(*only));
            return;
        }
        if codes.len() <= REPEATED_MAX || self.taken.insert((list, how)) {
            steps::take(codes.len());
            self.codes.extend(codes.iter().map(|code| how.taken(*code)));
        }
    }

    pub(crate) fn push_range(&mut self, code: Code) {
        steps::take(1);
        self.ranged += 1;
        self.codes.push(code);
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

    pub(crate) fn bound(&mut self) {
        if self.codes.len() > HITS_UNSORTED_MAX + 2 * self.sorted {
            self.sort();
        }
    }
}
