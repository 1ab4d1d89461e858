//! Memory that an answer will need, asked for while the scan that leads to it goes on.
//!
//! A value's look-up reads one thing after the other, each where the one before says: a slot, its key and whom it calls, and his
//! test. The scan asks for the first when it finds the value and notes a [`Probe`]; so much further on in the text
//! the first has come, and the next is asked for. All of it is a hint: nothing that is answered follows from a probe, and in a set
//! that stays in a processor's cache there are none.

use crate::index::Index;
use crate::paths::Place;
use crate::postings::Code;
use crate::ranges::LeafAt;
use crate::table::Hash;

/// Probes that are noted at most at one time; what more values would need is not fetched ahead.
const PROBES_MAX: usize = 32;

/// Bytes that a scan reads while memory is fetched, roughly: more than a tenth of a microsecond.
const DISTANCE: usize = 160;

/// What a look-up reads next, once what it read before is there.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Probe {
    /// The slot of a key of a hash, which says who is registered.
    Slot(Hash),
    /// Who is registered under the ranges of a place that a number lies in, and in which leaf that is.
    Number(Place, f64, LeafAt),
    /// The test of one who is called, if it must be asked.
    Callee(Code),
}

/// Look-ups whose memory is on its way.
#[derive(Debug)]
pub(crate) struct Probes {
    list: Vec<(Probe, usize)>,
    /// Where in the text the first of them can go on.
    due: usize,
}

/// Nothing can go on.
const NEVER: usize = usize::MAX;

impl Default for Probes {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            due: NEVER,
        }
    }
}

impl Probes {
    /// Notes a probe whose memory was asked for at a position of the text.
    #[inline]
    pub(crate) fn push(&mut self, probe: Probe, position: usize) {
        if self.list.len() < PROBES_MAX {
            self.list.push((probe, position + DISTANCE));
            self.due = self.due.min(position + DISTANCE);
        }
    }

    /// Whether one of them can go on.
    #[inline(always)]
    pub(crate) fn are_due(&self, position: usize) -> bool {
        position >= self.due
    }

    pub(crate) fn clear(&mut self) {
        self.list.clear();
        self.due = NEVER;
    }
}

/// Who fetches.
#[derive(Clone, Copy)]
pub(crate) struct Ahead<'s> {
    pub(crate) index: &'s Index,
    /// Fetches what is known of whom a code is for.
    pub(crate) fetch_callee: &'s dyn Fn(Code),
    /// Fetches his test, once what is known of him is there.
    pub(crate) fetch_test: &'s dyn Fn(Code),
}

impl Ahead<'_> {
    /// Lets all go on to the end: there is no text left to read meanwhile, but what several wait for comes at the same time.
    #[inline]
    pub(crate) fn finish(&self, probes: &mut Probes) {
        while !probes.list.is_empty() {
            self.go_on(probes, NEVER);
        }
    }

    /// Lets those go on that are due.
    #[inline(never)]
    pub(crate) fn go_on(&self, probes: &mut Probes, position: usize) {
        let (mut kept, mut due) = (0, NEVER);
        for at in 0..probes.list.len() {
            let noted = probes.list[at];
            let next = match noted {
                (_, until) if until > position => Some(noted),
                (probe, _) => self.next(probe).map(|next| (next, position.saturating_add(DISTANCE))),
            };
            if let Some(next) = next {
                due = due.min(next.1);
                probes.list[kept] = next;
                kept += 1;
            }
        }
        probes.list.truncate(kept);
        probes.due = due;
    }

    /// Asks for what comes next, and says what comes then.
    fn next(&self, probe: Probe) -> Option<Probe> {
        match probe {
            Probe::Slot(hash) => {
                let code = self.index.peek(hash)?;
                (self.fetch_callee)(code);
                (!code.is_settled()).then_some(Probe::Callee(code))
            }
            Probe::Number(place, number, leaf) => {
                self.index.peek_number(place, leaf, number, self.fetch_callee);
                None
            }
            Probe::Callee(code) => {
                (self.fetch_test)(code);
                None
            }
        }
    }
}
