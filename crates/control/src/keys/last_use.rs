//! When a key was last used: kept in memory with each request, saved now and then. Nothing is decided from it.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use store::Millis;

/// A key's last use is written at most this often, so that no request costs a write; after a restart it may be this much too
/// old.
pub const SAVE_INTERVAL: Millis = 10 * 60 * 1_000;
/// What the clock moves before a use is noted again: a busy key does not write one cache line with every request.
const NOTE_INTERVAL: Millis = 1_000;
/// Never.
const NEVER: Millis = i64::MIN;

/// When a key was last used. Shared by all versions of the key.
pub struct LastUse {
    at: AtomicI64,
    saved: AtomicI64,
}

/// It moves while nothing is changed: two keys that are alike otherwise show alike.
impl std::fmt::Debug for LastUse {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("LastUse")
    }
}

impl LastUse {
    /// As it was saved; `None`: never.
    pub fn saved(at: Option<Millis>) -> Self {
        let at = at.unwrap_or(NEVER);
        Self {
            at: AtomicI64::new(at),
            saved: AtomicI64::new(at),
        }
    }

    /// When; `None`: never.
    pub fn at(&self) -> Option<Millis> {
        Some(self.at.load(Relaxed)).filter(|at| *at != NEVER)
    }

    /// Notes a use.
    pub(crate) fn note(&self, now: Millis) {
        if now.saturating_sub(self.at.load(Relaxed)) >= NOTE_INTERVAL {
            self.at.fetch_max(now, Relaxed);
        }
    }

    /// Whether it is time to save it; true for one caller, whose business it is then.
    pub fn take_due(&self) -> Option<Millis> {
        let (at, saved) = (self.at.load(Relaxed), self.saved.load(Relaxed));
        if at.saturating_sub(saved) < SAVE_INTERVAL {
            return None;
        }
        let taken = self.saved.compare_exchange(saved, at, Relaxed, Relaxed);
        taken.ok().map(|_| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_noted_at_once_and_saved_once_in_ten_minutes() {
        let used = LastUse::saved(None);
        assert_eq!((used.at(), used.take_due()), (None, None));
        used.note(1_000_000);
        assert_eq!(used.at(), Some(1_000_000));
        assert_eq!((used.take_due(), used.take_due()), (Some(1_000_000), None));
        used.note(1_000_999);
        assert_eq!(used.at(), Some(1_000_000), "not with every request");
        used.note(1_000_000 + SAVE_INTERVAL - 1);
        assert_eq!(used.take_due(), None);
        used.note(1_001_000 + SAVE_INTERVAL);
        assert_eq!(used.take_due(), Some(1_001_000 + SAVE_INTERVAL));
        used.note(5);
        assert_eq!(
            used.at(),
            Some(1_001_000 + SAVE_INTERVAL),
            "a clock set back changes nothing"
        );
    }
}
