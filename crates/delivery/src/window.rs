//! What a lane has not settled in one partition: every matched record from the position on, in offset order. Settling in any
//! order moves the position when its front is settled. A re-read of the same records (after a return to the position) is
//! recognised here, so that nothing is sent twice while the process lives. It holds no payloads.

use std::collections::{BTreeSet, VecDeque};
use store::Millis;

/// What became of a record above the position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// The lane has it: queued, waiting, in flight, or on its way into the store.
    Held,
    /// It went back to the journal with its count; a re-read brings it again.
    Returned(Tried),
    /// Delivered, parked, dead or skipped.
    Settled,
}

/// Attempts already made for a delivery that went back to the position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// How many.
    pub attempts: u32,
    /// When the first one was.
    pub first_attempt: Option<Millis>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    offset: u64,
    appended: Millis,
    bytes: u32,
    slot: Slot,
}

/// What a lane does with a record that it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Take it: it is here for the first time.
    New,
    /// Take it back, with the attempts it has behind it.
    Again(Tried),
    /// It is here or settled already.
    Skip,
}

/// What leaves the accounting of what lies above the position, and of what the lane holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// Records that leave the span.
    pub events: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Records that the lane does not hold any more; they may still lie in the span.
    pub held: usize,
}

impl std::ops::AddAssign for Released {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.bytes += other.bytes;
        self.held += other.held;
    }
}

/// What went back and is not waited for any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// How many records.
    pub events: u64,
    /// What the moving position releases.
    pub released: Released,
}

/// One partition's window.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// Everything below is settled.
    done: u64,
    entries: VecDeque<Entry>,
    /// Offsets that the store says were settled or parked before this process started.
    marked: BTreeSet<u64>,
}

impl Window {
    /// A window that begins at `position`, with the marks that the store holds above it.
    pub fn new(position: u64, marked: BTreeSet<u64>) -> Self {
        Self {
            done: position,
            entries: VecDeque::new(),
            marked,
        }
    }

    /// The oldest unsettled record, if any, and when it was appended: the lane's position in this partition is this, else
    /// wherever it has read to.
    pub fn oldest(&self) -> Option<(u64, Millis)> {
        self.entries.front().map(|entry| (entry.offset, entry.appended))
    }

    /// Whether the store holds marks of this partition that no saved position has passed.
    pub fn has_marks(&self) -> bool {
        !self.marked.is_empty()
    }

    /// Whether this offset carries a mark in the store.
    pub fn is_marked(&self, offset: u64) -> bool {
        self.marked.contains(&offset)
    }

    /// The store holds a mark at this offset now.
    pub fn mark(&mut self, offset: u64) {
        self.marked.insert(offset);
    }

    /// A saved position has passed everything below.
    pub fn clear_marks(&mut self, below: u64) {
        self.marked = self.marked.split_off(&below);
    }

    /// A record is given to the lane. What is skipped leaves the span's accounting at once, by the caller.
    pub fn admit(&mut self, offset: u64, bytes: usize, appended: Millis) -> Admission {
        if offset < self.done || self.marked.contains(&offset) {
            return Admission::Skip;
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let Err(at) = self.find(offset) else {
            return self.admit_again(offset);
        };
        self.entries.insert(
            at,
            Entry {
                offset,
                appended,
                bytes,
                slot: Slot::Held,
            },
        );
        Admission::New
    }

    fn admit_again(&mut self, offset: u64) -> Admission {
        let Some(entry) = self.get_mut(offset) else {
            return Admission::Skip;
        };
        match entry.slot {
            Slot::Returned(tried) => {
                entry.slot = Slot::Held;
                Admission::Again(tried)
            }
            Slot::Held | Slot::Settled => Admission::Skip,
        }
    }

    /// A delivery is over, or safe in the store. Returns what the moving position releases.
    pub fn settle(&mut self, offset: u64) -> Released {
        let mut held = 0;
        if let Some(entry) = self.get_mut(offset) {
            debug_assert_eq!(entry.slot, Slot::Held, "a delivery is settled once, by who holds it");
            entry.slot = Slot::Settled;
            held = 1;
        }
        Released { held, ..self.advance() }
    }

    /// A delivery goes back to the journal, its count remembered. Its bytes leave the accounting: a re-read adds them again.
    pub fn give_back(&mut self, offset: u64, tried: Tried) -> Released {
        let Some(entry) = self.get_mut(offset) else {
            return Released::default();
        };
        debug_assert_eq!(entry.slot, Slot::Held, "only what is held can go back");
        entry.slot = Slot::Returned(tried);
        Released {
            events: 1,
            bytes: entry.bytes as usize,
            held: 1,
        }
    }

    /// A range is given up (expired or damaged): unsettled offsets in it that are not held any more are dropped.
    pub fn give_up(&mut self, from: u64, to: u64) -> Dropped {
        self.drop_returned(from, to, |_| true)
    }

    /// A range was read again, and nothing in it is wanted now but these: other offsets in it that went back are dropped.
    pub fn want_only(&mut self, from: u64, to: u64, wanted: &BTreeSet<u64>) -> Dropped {
        self.drop_returned(from, to, |offset| !wanted.contains(&offset))
    }

    fn drop_returned(&mut self, from: u64, to: u64, goes: impl Fn(u64) -> bool) -> Dropped {
        let inside = |entry: &&mut Entry| (from..to).contains(&entry.offset) && goes(entry.offset);
        let mut events = 0;
        for entry in self.entries.iter_mut().filter(inside) {
            if matches!(entry.slot, Slot::Returned(_)) {
                // Its bytes left the accounting when it went back; they must not leave it twice.
                *entry = Entry {
                    bytes: 0,
                    slot: Slot::Settled,
                    ..*entry
                };
                events += 1;
            }
        }
        let released = self.advance();
        Dropped { events, released }
    }

    /// Offsets above the position that are settled and carry no mark in the store: a next start would not know of them.
    pub fn unmarked(&self) -> impl Iterator<Item = u64> + '_ {
        let settled = self
            .entries
            .iter()
            .filter(|entry| entry.slot == Slot::Settled)
            .map(|entry| entry.offset);
        settled.filter(|offset| !self.marked.contains(offset))
    }

    /// Offsets above the position that a re-read skips from now on, whatever happens: settled or marked ones.
    pub fn skipped(&self) -> impl Iterator<Item = u64> + '_ {
        let settled = self.entries.iter().filter(|entry| entry.slot == Slot::Settled);
        settled.map(|entry| entry.offset).chain(self.marked.iter().copied())
    }

    /// Offsets below `to` that are settled above the position, or still held: not to be counted as given up.
    pub fn known_below(&self, to: u64) -> BTreeSet<u64> {
        let inside = self.entries.iter().take_while(|entry| entry.offset < to);
        let known = inside
            .filter(|entry| !matches!(entry.slot, Slot::Returned(_)))
            .map(|entry| entry.offset);
        known.chain(self.marked.range(..to).copied()).collect()
    }

    /// Whether the lane holds a record below `to`.
    pub fn holds_below(&self, to: u64) -> bool {
        self.entries
            .iter()
            .take_while(|entry| entry.offset < to)
            .any(|entry| entry.slot == Slot::Held)
    }

    fn advance(&mut self) -> Released {
        let mut released = Released::default();
        while let Some(entry) = self.entries.front().filter(|entry| entry.slot == Slot::Settled) {
            released += Released {
                events: usize::from(entry.bytes > 0),
                bytes: entry.bytes as usize,
                held: 0,
            };
            self.done = entry.offset + 1;
            self.entries.pop_front();
        }
        released
    }

    fn find(&self, offset: u64) -> Result<usize, usize> {
        match self.entries.back() {
            Some(last) if last.offset >= offset => self.entries.binary_search_by_key(&offset, |entry| entry.offset),
            _ => Err(self.entries.len()),
        }
    }

    fn get_mut(&mut self, offset: u64) -> Option<&mut Entry> {
        let at = self.find(offset).ok()?;
        self.entries.get_mut(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(offsets: &[u64]) -> Window {
        let mut window = Window::default();
        for offset in offsets {
            assert_eq!(window.admit(*offset, 10, 0), Admission::New);
        }
        window
    }

    #[test]
    fn the_position_moves_when_the_front_is_settled() {
        let mut window = window(&[3, 5, 9]);
        assert_eq!(
            window.settle(5),
            Released {
                held: 1,
                ..Released::default()
            }
        );
        assert_eq!(window.oldest(), Some((3, 0)));
        assert_eq!(
            window.settle(3),
            Released {
                events: 2,
                bytes: 20,
                held: 1
            }
        );
        assert_eq!(window.oldest(), Some((9, 0)));
        window.settle(9);
        assert_eq!(window.oldest(), None);
    }

    #[test]
    fn a_re_read_brings_back_only_what_was_given_back() {
        let mut window = window(&[3, 5, 9]);
        window.settle(5);
        let tried = Tried {
            attempts: 2,
            first_attempt: Some(7),
        };
        assert_eq!(
            window.give_back(3, tried),
            Released {
                events: 1,
                bytes: 10,
                held: 1
            }
        );
        let admitted = [2, 3, 5, 9].map(|offset| window.admit(offset, 10, 0));
        assert_eq!(admitted[0], Admission::New, "an older record that was never seen");
        assert_eq!(admitted[1], Admission::Again(tried));
        assert_eq!(admitted[2..], [Admission::Skip, Admission::Skip]);
    }

    #[test]
    fn what_is_below_the_position_or_marked_is_skipped() {
        let mut window = Window::new(4, BTreeSet::from([6]));
        assert_eq!([3, 6].map(|offset| window.admit(offset, 1, 0)), [Admission::Skip; 2]);
        assert_eq!(window.admit(4, 1, 0), Admission::New);
        window.clear_marks(7);
        assert!(!window.has_marks());
    }

    #[test]
    fn giving_up_a_range_ends_what_was_given_back_and_spares_what_is_held() {
        let mut window = window(&[1, 2, 3, 8]);
        window.settle(2);
        window.give_back(1, Tried::default());
        assert_eq!(window.known_below(5), BTreeSet::from([2, 3]));
        assert!(window.holds_below(5));
        window.give_up(2, 5);
        assert_eq!(
            window.oldest(),
            Some((1, 0)),
            "what lies before the range is read again"
        );
        assert_eq!(window.give_up(0, 5).events, 1);
        assert_eq!(window.oldest(), Some((3, 0)));
    }

    #[test]
    fn what_went_back_and_is_not_wanted_any_more_is_not_waited_for() {
        let mut window = window(&[1, 2, 3, 4, 8]);
        for offset in [1, 2, 3, 8] {
            window.give_back(offset, Tried::default());
        }
        let dropped = window.want_only(0, 5, &BTreeSet::from([2]));
        assert_eq!((dropped.events, window.oldest()), (2, Some((2, 0))));
        let admitted = [1, 2, 3, 8].map(|offset| window.admit(offset, 10, 0));
        let (skip, again) = (Admission::Skip, Admission::Again(Tried::default()));
        assert_eq!(admitted, [skip, again, skip, again]);
        assert!(window.holds_below(5), "what is held is not asked for");
    }
}
