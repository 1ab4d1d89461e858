//! Looks at payloads, as the audit trail has them: each is recorded before anything is shown. The same look by the same caller again
//! within a minute is not, so that a page that refreshes itself does not fill the trail.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A look that was recorded speaks for the same one this long.
const SPEAKS_FOR: Duration = Duration::from_secs(60);
/// Looks remembered; beyond it every look is recorded.
const REMEMBERED_MAX: usize = 4_096;

/// The looks that were recorded lately.
#[derive(Debug, Default)]
pub(super) struct Looks {
    hasher: RandomState,
    recorded: Mutex<HashMap<u64, Instant>>,
}

impl Looks {
    /// The number of a look.
    pub(super) fn number(&self, look: &[&str]) -> u64 {
        self.hasher.hash_one(look)
    }

    /// Whether the same look was recorded lately.
    pub(super) fn is_recorded(&self, number: u64, now: Instant) -> bool {
        let recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        recorded
            .get(&number)
            .is_some_and(|at| now.duration_since(*at) < SPEAKS_FOR)
    }

    /// It is recorded now.
    pub(super) fn remember(&self, number: u64, now: Instant) {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        if recorded.len() >= REMEMBERED_MAX {
            recorded.retain(|_, at| now.duration_since(*at) < SPEAKS_FOR);
        }
        if recorded.len() < REMEMBERED_MAX {
            recorded.insert(number, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_speaks_for_the_same_one_for_a_minute_and_what_is_remembered_is_bounded() {
        let (looks, now) = (Looks::default(), Instant::now());
        let one = looks.number(&["key", "event", "1"]);
        assert_ne!(one, looks.number(&["key", "event", "2"]));
        assert!(!looks.is_recorded(one, now));
        looks.remember(one, now);
        assert!(looks.is_recorded(one, now + Duration::from_secs(59)));
        assert!(!looks.is_recorded(one, now + Duration::from_secs(60)));
        for number in 0..10_000 {
            looks.remember(number, now);
        }
        assert_eq!(looks.recorded.lock().unwrap().len(), REMEMBERED_MAX);
        looks.remember(77_777, now + SPEAKS_FOR);
        assert!(looks.is_recorded(77_777, now + SPEAKS_FOR));
    }
}
