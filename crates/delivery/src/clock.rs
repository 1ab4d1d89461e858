//! Wall time and randomness, owned by whoever starts the core, so that tests and the simulator decide both.

use store::Millis;
use tokio::time::Instant;

/// Wall time in milliseconds since the Unix epoch, read once and then moved on by the runtime's timers: a wall clock that
/// jumps while the process runs delays no retry and hastens none. Tests pause and advance the timers.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Millis,
    at: Instant,
    is_simulated: bool,
}

impl Clock {
    /// The machine's clock, read now.
    pub fn system() -> Self {
        Self {
            start: system_now(),
            at: Instant::now(),
            is_simulated: false,
        }
    }

    /// A clock that shows `start` now.
    pub fn simulated(start: Millis) -> Self {
        Self {
            start,
            at: Instant::now(),
            is_simulated: true,
        }
    }

    /// The same clock, showing no less than `least` now: a wall that was set back while nobody ran delays nothing.
    pub fn at_least(self, least: Millis) -> Self {
        let behind = least.saturating_sub(self.now()).max(0);
        Self {
            start: self.start.saturating_add(behind),
            ..self
        }
    }

    /// Now; never goes back.
    pub fn now(&self) -> Millis {
        self.start + i64::try_from(self.at.elapsed().as_millis()).unwrap_or(i64::MAX / 4)
    }

    /// What the wall shows now, for signatures: whoever verifies them looks at a wall as well.
    pub fn wall(&self) -> Millis {
        if self.is_simulated { self.now() } else { system_now() }
    }
}

/// Sleeps until then; without a time, for ever.
pub async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn system_now() -> Millis {
    jiff::Timestamp::now().as_millisecond()
}

/// A small generator (SplitMix64). For jitter and spreading only, never for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Seeded with `seed` and `stream`, which give the same numbers again, or by the operating system.
    pub fn seeded(seed: Option<u64>, stream: u64) -> Self {
        let seed = seed.unwrap_or_else(from_system);
        Self(seed ^ stream.wrapping_mul(0xD6E8_FEB8_6659_FD93))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Evenly between 0 inclusive and 1 exclusive.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn from_system() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_streams_differ() {
        let draw = |stream| Random::seeded(Some(7), stream).bits();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn a_clock_that_was_set_back_starts_where_the_journal_is() {
        let clock = Clock::simulated(1_000);
        assert!(clock.at_least(5_000).now() >= 5_000);
        assert!(clock.at_least(500).now() < 5_000);
    }

    #[test]
    fn unit_numbers_fill_their_interval_evenly() {
        let mut random = Random::seeded(Some(1), 0);
        let mut buckets = [0; 10];
        for _ in 0..10_000 {
            buckets[(random.unit() * 10.0) as usize] += 1;
        }
        assert!(buckets.iter().all(|count| (850..1150).contains(count)), "{buckets:?}");
    }
}
