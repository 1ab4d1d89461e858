//! Reports on their way to becoming events: several of the same become one with a count, none is told again within a while,
//! and so many a second at most. Pure: the time comes in.

use super::message::{Report, Subject, What};
use std::collections::BTreeMap;
use store::{BusId, Millis};

/// The same is told once in this time; what comes meanwhile is counted. A breaker that flaps is six events a minute.
pub const AGAIN_MILLIS: Millis = 10_000;
/// Events published at once, once a second at most: a node whose network is gone tells of a thousand lanes in ten seconds.
pub const AT_ONCE_MAX: usize = 100;
/// Different things that wait to be told: a change of every lane of a large node.
const GATHERED_MAX: usize = 20_000;

/// What makes reports the same.
type Key = (Option<BusId>, &'static str, Subject);

/// Something to tell.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// What it is; of several, what they come to.
    pub report: Report,
    /// How often.
    pub count: u64,
    /// The first time.
    pub first: Millis,
    /// The last time.
    pub last: Millis,
    /// Not before then.
    due: Millis,
}

/// What waits to be told.
#[derive(Debug, Default)]
pub struct Gathering {
    waiting: BTreeMap<Key, Gathered>,
    /// When the same may be told again.
    quiet: BTreeMap<Key, Millis>,
    /// Buses that cannot be told anything before then.
    resting: BTreeMap<Option<BusId>, Millis>,
}

fn key(report: &Report) -> Key {
    (report.bus, report.what.kind(), report.subject.clone())
}

impl Gathering {
    /// Takes a report in; `false`: too much waits.
    #[must_use]
    pub fn add(&mut self, report: Report, now: Millis) -> bool {
        let happened = match &report.what {
            What::Poisoned(at, _) => *at,
            _ => now,
        };
        let due = self.quiet.get(&key(&report)).copied().unwrap_or(now).max(now);
        let count = report.what.count();
        self.put(Gathered {
            report,
            count,
            first: happened,
            last: happened,
            due,
        })
    }

    /// Puts back what could not be told; nothing of its bus is told before then.
    #[must_use]
    pub fn put_back(&mut self, gathered: Gathered, due: Millis) -> bool {
        self.resting.insert(gathered.report.bus, due);
        self.put(Gathered { due, ..gathered })
    }

    /// When one may be told.
    fn due(&self, gathered: &Gathered) -> Millis {
        let rested = self.resting.get(&gathered.report.bus);
        rested.map_or(gathered.due, |rested| gathered.due.max(*rested))
    }

    fn put(&mut self, new: Gathered) -> bool {
        let key = key(&new.report);
        let Some(old) = self.waiting.get_mut(&key) else {
            let has_room = self.waiting.len() < GATHERED_MAX;
            if has_room {
                self.waiting.insert(key, new);
            }
            return has_room;
        };
        let (count, due) = (old.count + new.count, old.due.max(new.due));
        let (mut earlier, later) = match old.last <= new.last {
            true => (old.clone(), new),
            false => (new, old.clone()),
        };
        earlier.report.what.merge(later.report.what);
        *old = Gathered {
            count,
            due,
            first: earlier.first,
            last: later.last,
            report: earlier.report,
        };
        true
    }

    /// When the next is due.
    pub fn next(&self) -> Option<Millis> {
        self.waiting.values().map(|gathered| self.due(gathered)).min()
    }

    /// Takes out what is due, in the order in which it happened, as far as may be told at once.
    pub fn take(&mut self, now: Millis) -> Vec<Gathered> {
        self.quiet.retain(|_, until| *until > now);
        self.resting.retain(|_, until| *until > now);
        let due = self.waiting.iter().filter(|(_, gathered)| self.due(gathered) <= now);
        let mut due: Vec<(Millis, Key)> = due.map(|(key, gathered)| (gathered.last, key.clone())).collect();
        due.sort();
        due.truncate(AT_ONCE_MAX);
        let mut taken = Vec::new();
        for (_, key) in due {
            taken.extend(self.waiting.remove(&key));
            self.quiet.insert(key, now + AGAIN_MILLIS);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(subscription: u64, reason: &str) -> Report {
        Report::of_subscription(1, subscription, What::BreakerOpened(reason.to_owned()))
    }

    fn told(gathering: &mut Gathering, now: Millis) -> Vec<(u64, Millis, Millis)> {
        let taken = gathering.take(now);
        taken.iter().map(|one| (one.count, one.first, one.last)).collect()
    }

    #[test]
    fn the_same_is_told_at_once_and_then_once_in_a_while_with_its_count() {
        let mut gathering = Gathering::default();
        assert!(gathering.add(opened(1, "dns"), 0));
        assert_eq!(told(&mut gathering, 0), [(1, 0, 0)]);
        for at in [1_000, 2_000, 3_000] {
            assert!(gathering.add(opened(1, "connect"), at));
        }
        assert_eq!(gathering.next(), Some(AGAIN_MILLIS));
        assert_eq!(told(&mut gathering, AGAIN_MILLIS - 1), []);
        assert_eq!(told(&mut gathering, AGAIN_MILLIS), [(3, 1_000, 3_000)]);
        assert_eq!(gathering.next(), None);
    }

    #[test]
    fn a_flood_is_told_in_bounded_lots_in_its_order_and_beyond_the_bound_refused() {
        let mut gathering = Gathering::default();
        let taken_in = (0..30_000).filter(|id| gathering.add(opened(*id, "dns"), Millis::try_from(*id).unwrap_or(0)));
        assert_eq!(taken_in.count(), GATHERED_MAX);
        let first = told(&mut gathering, 1 << 40);
        assert_eq!(first.len(), AT_ONCE_MAX);
        assert!(first.windows(2).all(|pair| pair[0].1 < pair[1].1));
    }

    #[test]
    fn a_bus_that_cannot_be_told_keeps_no_other_waiting() {
        let mut gathering = Gathering::default();
        let other = |subscription| Report::of_subscription(2, subscription, What::BreakerClosed);
        assert!(gathering.add(opened(1, "dns"), 0));
        let refused = gathering.take(0).remove(0);
        assert!(gathering.put_back(refused, 5_000));
        // What is new on the bus that waits takes no place of the others.
        for subscription in 2..=AT_ONCE_MAX as u64 + 2 {
            assert!(gathering.add(opened(subscription, "dns"), 1));
        }
        assert!(gathering.add(other(1), 10));
        assert_eq!(gathering.next(), Some(10));
        assert_eq!(told(&mut gathering, 10), [(1, 10, 10)]);
        assert_eq!(gathering.next(), Some(5_000));
        assert_eq!(told(&mut gathering, 5_000).len(), AT_ONCE_MAX);
    }

    #[test]
    fn what_could_not_be_told_comes_again_with_what_came_meanwhile() {
        let mut gathering = Gathering::default();
        assert!(gathering.add(opened(1, "dns"), 5));
        let taken = gathering.take(5).remove(0);
        assert!(gathering.add(opened(1, "tls"), 7));
        assert!(gathering.put_back(taken, 100));
        let again = gathering.take(AGAIN_MILLIS + 5).remove(0);
        assert_eq!((again.count, again.first, again.last), (2, 5, 7));
        assert!(matches!(again.report.what, What::BreakerOpened(reason) if reason == "tls"));
    }
}
