//! A token bucket: how many attempts may start now, and when the next may. Pure; holds at most one second's worth (or one
//! token), so that an idle lane does not save up a burst.

use control::resources::Rate;
use store::Millis;

/// The burst that a lane may save up, in seconds of its rate.
const BURST_SECONDS: f64 = 1.0;

/// A bucket; without a rate it never runs dry.
#[derive(Clone, Debug)]
pub struct Bucket {
    per_milli: f64,
    most: f64,
    tokens: f64,
    filled: Millis,
}

impl Bucket {
    /// A full bucket of this rate; `None`: unlimited.
    pub fn new(rate: Option<Rate>, now: Millis) -> Self {
        let per_milli = rate.map_or(f64::INFINITY, |rate| {
            f64::from(rate.count.max(1)) / (rate.per.as_secs_f64() * 1_000.0).max(1.0)
        });
        let most = (per_milli * 1_000.0 * BURST_SECONDS).max(1.0);
        Self {
            per_milli,
            most,
            tokens: most,
            filled: now,
        }
    }

    /// Takes one token if there is one; else says when there will be.
    pub fn take(&mut self, now: Millis) -> Result<(), Millis> {
        if self.per_milli.is_infinite() {
            return Ok(());
        }
        // A clock that went back fills nothing; one that leapt fills the bucket at most.
        let passed = (now - self.filled).max(0) as f64;
        self.filled = now;
        self.tokens = (self.tokens + passed * self.per_milli).min(self.most);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(now.saturating_add(((1.0 - self.tokens) / self.per_milli).ceil() as Millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn bucket(count: u32, per: u64) -> Bucket {
        Bucket::new(
            Some(Rate {
                count,
                per: Duration::from_secs(per),
            }),
            0,
        )
    }

    #[test]
    fn no_more_than_the_rate_passes_after_the_first_burst() {
        let mut bucket = bucket(100, 1);
        let passed = (0..10_000).filter(|milli| bucket.take(*milli).is_ok()).count();
        assert!((1_000..=1_100).contains(&passed), "{passed}");
    }

    #[test]
    fn it_says_when_the_next_token_comes() {
        let mut bucket = bucket(30, 60);
        assert_eq!(bucket.take(0), Ok(()));
        let at = bucket.take(0).unwrap_err();
        assert_eq!(at, 2_000);
        assert_eq!(bucket.take(at), Ok(()));
    }

    #[test]
    fn without_a_rate_it_never_runs_dry_and_a_clock_going_back_gives_nothing() {
        let mut free = Bucket::new(None, 0);
        assert!((0..100_000).all(|_| free.take(0).is_ok()));
        let mut slow = bucket(1, 1);
        assert!(slow.take(10_000).is_ok());
        assert!(slow.take(0).is_err());
    }
}
