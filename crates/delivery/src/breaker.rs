//! Whether an endpoint is worth asking. Pure: outcomes and the time in, a state out. What a lane does with its deliveries
//! while the breaker is open is the lane's business.

use std::time::Duration;
use store::Millis;

/// Failures in a row that open the breaker: a hiccup of a few requests does not, an endpoint that is down does at once.
const FAILURES_IN_A_ROW: u32 = 5;
/// Outcomes looked back at for the failure rate.
const LOOK_BACK: u32 = 20;
/// Failures among them that open the breaker: half.
const FAILURES_IN_LOOK_BACK: u32 = LOOK_BACK / 2;
/// How long it stays open at first.
const OPEN_FIRST: Duration = Duration::from_secs(1);
/// Each failed probe doubles the time, up to this: an endpoint that comes back waits no longer.
const OPEN_MAX: Duration = Duration::from_secs(60);
/// Open times are drawn between this share of the value and the value, so that lanes of one endpoint do not probe together.
const OPEN_SHARE_MIN: f64 = 0.5;

const _: () = assert!(FAILURES_IN_A_ROW < FAILURES_IN_LOOK_BACK && LOOK_BACK <= u32::BITS);

/// Whether attempts may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All.
    Closed,
    /// None until then.
    Open {
        /// Wall time of the next probe.
        until: Millis,
    },
    /// One at a time.
    HalfOpen,
}

/// What an outcome changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing.
    Stays,
    /// It opened just now (from closed or half-open).
    Opened,
    /// It closed just now.
    Closed,
}

/// A breaker.
#[derive(Clone, Debug)]
pub struct Breaker {
    state: State,
    in_a_row: u32,
    /// The last outcomes, newest in bit 0; a set bit is a failure.
    history: u32,
    openings: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            state: State::Closed,
            in_a_row: 0,
            history: 0,
            openings: 0,
        }
    }
}

impl Breaker {
    /// Its state.
    pub fn state(&self) -> State {
        self.state
    }

    /// Lets time pass: an open breaker whose time has come is half-open.
    pub fn tick(&mut self, now: Millis) {
        if let State::Open { until } = self.state
            && now >= until
        {
            self.state = State::HalfOpen;
        }
    }

    /// The endpoint answered (with success, or with a refusal of the event).
    pub fn succeeded(&mut self) -> Turn {
        self.in_a_row = 0;
        self.history <<= 1;
        match self.state {
            State::Closed => Turn::Stays,
            State::Open { .. } | State::HalfOpen => {
                *self = Self::default();
                Turn::Closed
            }
        }
    }

    /// The endpoint failed; it may have said how long to stay away. `random` lies between 0 and 1.
    pub fn failed(&mut self, after: Option<Duration>, now: Millis, random: f64) -> Turn {
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.history = (self.history << 1) | 1;
        match self.state {
            State::Closed if self.is_tripped() => self.open(after, now, random),
            State::HalfOpen => self.open(after, now, random),
            State::Closed => Turn::Stays,
            State::Open { until } => {
                let asked = now.saturating_add(crate::backoff::millis(
                    after.unwrap_or_default().min(crate::backoff::RETRY_AFTER_MAX),
                ));
                self.state = State::Open {
                    until: until.max(asked),
                };
                Turn::Stays
            }
        }
    }

    fn is_tripped(&self) -> bool {
        let recent = self.history & ((1 << LOOK_BACK) - 1);
        self.in_a_row >= FAILURES_IN_A_ROW || recent.count_ones() >= FAILURES_IN_LOOK_BACK
    }

    fn open(&mut self, after: Option<Duration>, now: Millis, random: f64) -> Turn {
        let doubled = OPEN_FIRST
            .saturating_mul(1_u32.checked_shl(self.openings).unwrap_or(u32::MAX))
            .min(OPEN_MAX);
        let drawn = doubled.mul_f64(OPEN_SHARE_MIN + (1.0 - OPEN_SHARE_MIN) * random);
        let wait = drawn.max(after.unwrap_or_default().min(crate::backoff::RETRY_AFTER_MAX));
        self.openings = self.openings.saturating_add(1);
        self.state = State::Open {
            until: now.saturating_add(crate::backoff::millis(wait)),
        };
        Turn::Opened
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_IN_A_ROW {
            breaker.failed(None, 0, 1.0);
        }
        breaker
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_four_do_not() {
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            assert_eq!(breaker.failed(None, 0, 1.0), Turn::Stays);
        }
        assert_eq!(breaker.failed(None, 0, 1.0), Turn::Opened);
        assert_eq!(breaker.state(), State::Open { until: 1_000 });
    }

    #[test]
    fn an_endpoint_that_fails_every_other_time_opens_it() {
        let mut breaker = Breaker::default();
        let turns: Vec<_> = (0..10)
            .map(|_| (breaker.succeeded(), breaker.failed(None, 0, 1.0)).1)
            .collect();
        assert_eq!(turns.iter().position(|turn| *turn == Turn::Opened), Some(9));
    }

    #[test]
    fn a_probe_follows_when_the_time_has_come_and_its_success_closes_it() {
        let mut breaker = opened();
        breaker.tick(999);
        assert!(matches!(breaker.state(), State::Open { .. }));
        breaker.tick(1_000);
        assert_eq!(breaker.state(), State::HalfOpen);
        assert_eq!(breaker.succeeded(), Turn::Closed);
        assert_eq!(breaker.failed(None, 0, 1.0), Turn::Stays, "the count starts anew");
    }

    #[test]
    fn failed_probes_double_the_time_to_a_bound() {
        let mut breaker = opened();
        let mut times = Vec::new();
        for _ in 0..8 {
            breaker.tick(Millis::MAX);
            assert_eq!(breaker.failed(None, 0, 1.0), Turn::Opened);
            let State::Open { until } = breaker.state() else {
                panic!("closed")
            };
            times.push(until / 1_000);
        }
        assert_eq!(times, [2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn it_stays_open_for_as_long_as_the_endpoint_asked() {
        let mut breaker = opened();
        breaker.tick(1_000);
        breaker.failed(Some(Duration::from_secs(90)), 1_000, 1.0);
        assert_eq!(breaker.state(), State::Open { until: 91_000 });
    }
}
