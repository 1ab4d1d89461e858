//! The heads of the files' blocks, kept in memory once they were read: a search reads a file's new heads only. Bounded; it
//! knows nothing of attempts.

use super::{
    block::Head,
    days::{Day, DayFile},
};
use crate::{Error, Millis};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Heads kept, of all days: about 24 MiB, and sixteen million attempts. Beyond them heads are read again by each search.
const HEADS_MAX: usize = 16_384;

#[derive(Default)]
pub(super) struct Heads(Mutex<BTreeMap<Day, Known>>);

/// What is known of a day's file.
#[derive(Default)]
struct Known {
    /// Where the last block that is known ends.
    through: u64,
    blocks: Vec<(u64, Head)>,
}

impl Heads {
    /// The blocks of a day's file that may hold attempts of the event that began in the time, with their places in it.
    pub(super) fn candidates(
        &self,
        (day, file): (Day, &DayFile),
        event_hash: u64,
        (from, to): (Millis, Millis),
    ) -> Result<Vec<(u64, Head)>, Error> {
        let mut days = self.lock();
        let mut room = HEADS_MAX.saturating_sub(days.values().map(|known| known.blocks.len()).sum());
        if room == 0 {
            // Whoever looks at one day looks at it again sooner than at the others.
            days.retain(|other, _| *other == day);
            room = HEADS_MAX.saturating_sub(days.values().map(|known| known.blocks.len()).sum());
        }
        let known = days.entry(day).or_default();
        if known.through > file.end() {
            *known = Known::default();
        }
        let may_hold = |(_, head): &&(u64, Head)| head.may_hold(event_hash, from, to);
        let mut found: Vec<_> = known.blocks.iter().filter(may_hold).cloned().collect();
        let mut blocks = file.blocks(known.through);
        while let Some(block) = blocks.next()? {
            found.extend(Some(&block).filter(may_hold).cloned());
            if room > 0 {
                room -= 1;
                known.through = block.0 + block.1.block_bytes() as u64;
                known.blocks.push(block);
            }
        }
        Ok(found)
    }

    /// Knows nothing any more of the days that are named: their files are gone, or not what they were.
    pub(super) fn forget(&self, which: impl Fn(Day) -> bool) {
        self.lock().retain(|day, _| !which(*day));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Day, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
