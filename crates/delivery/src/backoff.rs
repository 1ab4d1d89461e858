//! When a failed delivery is tried again, and when it is given up. Pure: the policy, what happened so far, the time and a
//! random number in, a decision out. Where the delivery waits is the lane's business.

use control::resources::{Exponential, RetryPolicy};
use std::time::Duration;
use store::Millis;

/// A wait drawn from a schedule lies between `1 - SPREAD` and `1 + SPREAD` times its value, so that events that failed
/// together do not come back together.
const SPREAD: f64 = 0.5;

/// An endpoint that asks for a longer pause than this is not believed: `age` must still be able to end the delivery.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What is known about a delivery when an attempt has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Attempts made, the failed one included.
    pub attempts: u32,
    /// When the first attempt of this round was made.
    pub first_attempt: Millis,
    /// When the record was appended.
    pub appended: Millis,
    /// Whether `age` counts from the first attempt instead.
    pub age_from_first_attempt: bool,
}

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try again at this wall time, after this wait.
    Again {
        /// Wall time.
        due: Millis,
        /// The drawn wait.
        wait: Duration,
    },
    /// All attempts are used.
    AttemptsExhausted,
    /// It would be older than the policy allows.
    TooOld,
}

/// Why a delivery was given up, as its dead letter's words begin. Persisted, keep stable.
pub const ATTEMPTS_USED_UP: &str = "attempts are used up";
/// The same of its age.
pub const TOO_OLD: &str = "it would be too old";

/// Decides what follows a failed attempt; `random` lies between 0 and 1.
pub fn next_attempt(
    policy: &RetryPolicy,
    progress: Progress,
    retry_after: Option<Duration>,
    now: Millis,
    random: f64,
) -> Next {
    if policy.attempts.is_some_and(|most| progress.attempts >= most) {
        return Next::AttemptsExhausted;
    }
    let drawn = wait(policy, progress.attempts, random);
    let end = end_of_life(policy, progress);
    if now.saturating_add(millis(drawn)) > end {
        return Next::TooOld;
    }
    // Patience that was asked for does not kill: the last attempt is made at the end of the age.
    let wait = drawn.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX));
    let due = now.saturating_add(millis(wait)).min(end);
    let wait = Duration::from_millis(due.saturating_sub(now).max(0).unsigned_abs());
    Next::Again { due, wait }
}

/// No row that this policy, or an endpoint, has written is due later than this from now.
pub fn longest_wait(policy: &RetryPolicy) -> Duration {
    let longest = match &policy.exponential {
        Some(exponential) => exponential.max.mul_f64(1.0 + exponential.jitter.clamp(0.0, 1.0)),
        None => {
            let longest = policy.schedule.iter().max().copied().unwrap_or_default();
            longest.mul_f64(1.0 + SPREAD)
        }
    };
    longest.max(RETRY_AFTER_MAX)
}

fn end_of_life(policy: &RetryPolicy, progress: Progress) -> Millis {
    let birth = match progress.age_from_first_attempt {
        true => progress.first_attempt,
        false => progress.appended,
    };
    birth.saturating_add(millis(policy.age))
}

/// The wait before attempt `attempts` (counted from 0), drawn.
fn wait(policy: &RetryPolicy, attempts: u32, random: f64) -> Duration {
    match &policy.exponential {
        Some(exponential) => spread(grown(exponential, attempts), exponential.jitter, random),
        None => spread(scheduled(&policy.schedule, attempts), SPREAD, random),
    }
}

fn scheduled(schedule: &[Duration], attempts: u32) -> Duration {
    let last = schedule.len().saturating_sub(1);
    let index = usize::try_from(attempts).unwrap_or(usize::MAX).min(last);
    schedule.get(index).copied().unwrap_or_default()
}

fn grown(exponential: &Exponential, attempts: u32) -> Duration {
    let exponent = i32::try_from(attempts.saturating_sub(1)).unwrap_or(i32::MAX);
    let seconds = exponential.first.as_secs_f64() * exponential.factor.powi(exponent);
    Duration::try_from_secs_f64(seconds).map_or(exponential.max, |wait| wait.min(exponential.max))
}

fn spread(wait: Duration, share: f64, random: f64) -> Duration {
    wait.mul_f64((1.0 - share + 2.0 * share * random).max(0.0))
}

/// Whole milliseconds, as the store counts time.
pub fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn policy(schedule: &[u64], attempts: Option<u32>, age: Duration) -> RetryPolicy {
        RetryPolicy {
            schedule: schedule.iter().map(|seconds| Duration::from_secs(*seconds)).collect(),
            exponential: None,
            attempts,
            age,
        }
    }

    fn tried(attempts: u32) -> Progress {
        Progress {
            attempts,
            first_attempt: 1_000,
            appended: 0,
            age_from_first_attempt: false,
        }
    }

    fn waits(policy: &RetryPolicy, attempts: u32, random: f64) -> Option<u64> {
        match next_attempt(policy, tried(attempts), None, 1_000, random) {
            Next::Again { wait, .. } => Some(wait.as_secs()),
            _ => None,
        }
    }

    #[test]
    fn element_i_is_the_wait_before_attempt_i_and_the_last_repeats() {
        let policy = policy(&[0, 4, 30, 120], None, 60 * MINUTE);
        assert_eq!(
            [1, 2, 3, 4, 9].map(|n| waits(&policy, n, 0.5)),
            [Some(4), Some(30), Some(120), Some(120), Some(120)]
        );
    }

    #[test]
    fn every_wait_lies_between_half_and_one_and_a_half_times_its_value() {
        let policy = policy(&[0, 100], None, 60 * MINUTE);
        assert_eq!(waits(&policy, 1, 0.0), Some(50));
        assert_eq!(waits(&policy, 1, 0.999_999), Some(149));
    }

    #[test]
    fn exponential_waits_grow_to_their_bound() {
        let mut policy = policy(&[], None, 60 * MINUTE);
        policy.exponential = Some(Exponential {
            first: Duration::from_secs(1),
            factor: 2.0,
            max: Duration::from_secs(10),
            jitter: 0.0,
        });
        assert_eq!(
            [1, 2, 4, 5, 4_000_000_000].map(|n| waits(&policy, n, 0.3)),
            [1, 2, 8, 10, 10].map(Some)
        );
    }

    #[test]
    fn an_endpoint_that_asks_for_patience_gets_it() {
        let policy = policy(&[0, 1], None, 60 * MINUTE);
        let next = next_attempt(&policy, tried(1), Some(MINUTE), 1_000, 0.5);
        assert_eq!(
            next,
            Next::Again {
                due: 61_000,
                wait: MINUTE
            }
        );
    }

    #[test]
    fn patience_beyond_the_age_ends_at_the_age_and_not_at_once() {
        let policy = policy(&[0, 1], None, MINUTE);
        let next = next_attempt(&policy, tried(1), Some(60 * MINUTE), 1_000, 0.5);
        assert!(matches!(next, Next::Again { due: 60_000, .. }), "{next:?}");
    }

    #[test]
    fn used_attempts_and_age_end_a_delivery() {
        let used = policy(&[1], Some(3), 60 * MINUTE);
        assert_eq!(next_attempt(&used, tried(3), None, 1_000, 0.5), Next::AttemptsExhausted);
        let old = policy(&[30], None, MINUTE);
        assert_eq!(next_attempt(&old, tried(1), None, 40_000, 0.5), Next::TooOld);
    }

    #[test]
    fn age_counts_from_the_first_attempt_where_it_must() {
        let policy = policy(&[1], None, MINUTE);
        let mut progress = tried(1);
        progress.first_attempt = 10_000_000;
        assert_eq!(next_attempt(&policy, progress, None, 10_000_000, 0.5), Next::TooOld);
        progress.age_from_first_attempt = true;
        assert!(matches!(
            next_attempt(&policy, progress, None, 10_000_000, 0.5),
            Next::Again { .. }
        ));
    }

    /// Check 30.
    #[test]
    fn a_thousand_failures_at_once_come_back_spread_out() {
        let policy = policy(&[0, 60], None, 60 * MINUTE);
        let mut random = crate::clock::Random::seeded(Some(30), 0);
        let mut buckets = std::collections::BTreeMap::<i64, u32>::new();
        for _ in 0..1_000 {
            if let Next::Again { due, .. } = next_attempt(&policy, tried(1), None, 0, random.unit()) {
                *buckets.entry(due / 1_000).or_default() += 1;
            }
        }
        assert!(buckets.values().all(|count| *count <= 50), "{buckets:?}");
    }
}
