//! Append time: the wall clock as long as it agrees with the monotonic one, and never backwards. It knows no time zones
//! and no event's own `time`.

use crate::AppendTime;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// A wall clock this far ahead of the monotonic one raises the alarm: no adjustment of a healthy clock is larger.
pub const WALL_AHEAD_MAX: i64 = 3_600_000;

/// A wall clock this far behind is not followed: smaller steps back are only held.
const WALL_BEHIND_MAX: i64 = 1_000;

/// No server is stopped for longer than ten years: a wall clock this far past the newest record is wrong.
const DOWNTIME_MAX: i64 = 10 * 366 * 24 * 3_600_000;

/// Where time comes from.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The operating system's clocks.
    #[default]
    System,
    /// A test's.
    Manual(ManualClock),
}

/// A clock that stands until it is moved; clones share it.
#[derive(Clone, Debug)]
pub struct ManualClock {
    clocks: Arc<(AtomicI64, AtomicI64)>,
}

impl ManualClock {
    /// A clock at this wall time, in milliseconds since the Unix epoch.
    pub fn new(wall: AppendTime) -> Self {
        Self {
            clocks: Arc::new((AtomicI64::new(wall), AtomicI64::new(0))),
        }
    }

    /// Lets time pass on both clocks.
    pub fn pass(&self, milliseconds: i64) {
        self.clocks.0.fetch_add(milliseconds, Ordering::SeqCst);
        self.clocks.1.fetch_add(milliseconds, Ordering::SeqCst);
    }

    /// Moves the wall clock alone.
    pub fn jump(&self, milliseconds: i64) {
        self.clocks.0.fetch_add(milliseconds, Ordering::SeqCst);
    }
}

/// One look at both clocks, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Since the Unix epoch.
    pub wall: i64,
    /// Since some moment, suspend included where the system can tell.
    pub monotonic: i64,
}

impl Clock {
    /// Looks at both clocks.
    pub fn read(&self) -> Reading {
        match self {
            Self::System => Reading {
                wall: wall(),
                monotonic: monotonic(),
            },
            Self::Manual(clock) => Reading {
                wall: clock.clocks.0.load(Ordering::SeqCst),
                monotonic: clock.clocks.1.load(Ordering::SeqCst),
            },
        }
    }
}

fn wall() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn monotonic() -> i64 {
    #[cfg(target_os = "linux")]
    let id = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let id = rustix::time::ClockId::Monotonic;
    let time = rustix::time::clock_gettime(id);
    time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
}

/// Turns readings into append times. Pure: the reading is passed in.
#[derive(Clone, Debug)]
pub struct AppendClock {
    /// Wall minus monotonic when they were last believed together.
    base: i64,
    last: AppendTime,
    alarm: bool,
    is_behind: bool,
}

impl AppendClock {
    /// Starts at a reading, and goes on from `floor` if the wall clock is below it, or so far above that it is not believed
    /// until it is confirmed. A floor of 0 is none.
    pub fn new(reading: Reading, floor: AppendTime) -> Self {
        let believable = floor == 0 || reading.wall.saturating_sub(floor) <= DOWNTIME_MAX;
        let begin = if believable { reading.wall.max(floor) } else { floor };
        Self {
            base: begin - reading.monotonic,
            last: floor,
            // The first look raises it.
            alarm: false,
            is_behind: false,
        }
    }

    /// The append time at this reading; no later one is below it.
    pub fn at(&mut self, reading: Reading) -> AppendTime {
        let expected = self.base + reading.monotonic;
        let ahead = reading.wall - expected;
        self.alarm = ahead > WALL_AHEAD_MAX;
        self.is_behind = ahead < -WALL_AHEAD_MAX;
        let time = if (-WALL_BEHIND_MAX..=WALL_AHEAD_MAX).contains(&ahead) {
            reading.wall
        } else {
            expected
        };
        self.last = self.last.max(time);
        self.last
    }

    /// The newest append time.
    pub fn floor(&self) -> AppendTime {
        self.last
    }

    /// Whether the wall clock was far ahead at the last reading.
    pub fn alarm(&self) -> bool {
        self.alarm
    }

    /// Whether the wall clock was as far behind at the last reading: append time needs nobody for that, but signatures carry
    /// the wall clock's time.
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// An operator says that the wall clock is right.
    pub fn confirm(&mut self, reading: Reading) {
        self.base = reading.wall - reading.monotonic;
        self.alarm = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn clock() -> (ManualClock, Clock, AppendClock) {
        let manual = ManualClock::new(1_000_000);
        let clock = Clock::Manual(manual.clone());
        let append = AppendClock::new(clock.read(), 0);
        (manual, clock, append)
    }

    #[test]
    fn append_time_follows_the_wall_clock_through_small_steps() {
        let (manual, clock, mut append) = clock();
        manual.pass(50);
        assert_eq!(append.at(clock.read()), 1_000_050);
        manual.jump(HOUR / 2);
        assert_eq!(append.at(clock.read()), 1_000_050 + HOUR / 2);
        assert!(!append.alarm());
    }

    #[test]
    fn a_wall_clock_far_ahead_raises_the_alarm_and_is_followed_only_when_confirmed() {
        let (manual, clock, mut append) = clock();
        manual.jump(10 * 365 * 24 * HOUR);
        manual.pass(7);
        assert_eq!(append.at(clock.read()), 1_000_007);
        assert!(append.alarm());
        append.confirm(clock.read());
        assert_eq!(append.at(clock.read()), 1_000_007 + 10 * 365 * 24 * HOUR);
        assert!(!append.alarm());
    }

    #[test]
    fn a_wall_clock_that_falls_back_neither_turns_time_back_nor_freezes_it() {
        let (manual, clock, mut append) = clock();
        assert_eq!(append.at(clock.read()), 1_000_000);
        manual.jump(-2 * HOUR);
        manual.pass(10);
        assert_eq!(append.at(clock.read()), 1_000_010);
        assert!(append.is_behind() && !append.alarm());
        manual.jump(2 * HOUR);
        assert_eq!(append.at(clock.read()), 1_000_010);
        assert!(!append.is_behind());
    }

    #[test]
    fn append_time_goes_on_from_where_it_was_before_the_restart() {
        let (manual, clock, _) = clock();
        let mut append = AppendClock::new(clock.read(), 50_000_000);
        assert_eq!(append.at(clock.read()), 50_000_000);
        manual.pass(10);
        assert_eq!(append.at(clock.read()), 50_000_010);
    }

    #[test]
    fn a_wall_clock_absurdly_far_past_the_restart_is_not_believed_until_confirmed() {
        let (manual, clock, _) = clock();
        manual.jump(DOWNTIME_MAX + HOUR);
        let mut append = AppendClock::new(clock.read(), 900_000);
        manual.pass(10);
        assert_eq!((append.at(clock.read()), append.alarm()), (900_010, true));
        append.confirm(clock.read());
        assert_eq!(append.at(clock.read()), clock.read().wall);
        assert!(!append.alarm());
    }
}
