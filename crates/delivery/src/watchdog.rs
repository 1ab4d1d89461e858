//! The watchdog: looks every few seconds for what no task notices by itself (a stall, a disk that fills up, a clock that is not
//! believed, keys that expire), says each turn once in the diagnostics, and reports it as an operational event. It changes nothing;
//! a stall fails readiness by itself.

use crate::{
    inner::Inner,
    operational::{Report, Subject, What},
    readiness,
    settings::Settings,
};
use control::{Bus, Model};
use journal::{DiskSpace, Health};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use store::{BusId, Millis};

/// How long before its end a key's expiry is told of, the first time and the last.
const EXPIRY_TOLD: [Millis; 2] = [7 * DAY, DAY];
const DAY: Millis = 24 * 60 * 60 * 1_000;

/// Looks until the core closes.
pub async fn run(inner: Arc<Inner>) {
    let mut seen = Seen::default();
    while !inner.is_closing() {
        tokio::time::sleep(inner.settings.watch_interval).await;
        let now = look(&inner);
        for report in now.turns(&seen) {
            inner.reporter.watched(report);
        }
        seen = now;
    }
}

/// What there was to see at one moment.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// Why the node is stalled.
    stalled: Option<String>,
    /// Percent free, and of each mark whether it is below.
    disk: Option<Disk>,
    clock_alarm: bool,
    keys: BTreeMap<String, SeenKey>,
}

#[derive(Clone, Copy, Debug)]
struct Disk {
    free: u64,
    /// Name, percent, whether free space is below it.
    marks: [(&'static str, u64, bool); 2],
}

/// A key that expires.
#[derive(Clone, Debug)]
struct SeenKey {
    not_after: String,
    /// The bus that it is for, if it is one.
    bus: Option<BusId>,
    stage: Stage,
}

/// How near the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Far,
    Near,
    Last,
    Over,
}

fn look(inner: &Inner) -> Seen {
    let health = inner.journal.health();
    let can_stall = !inner.is_closing() && !matches!(health, Health::Poisoned { .. } | Health::Closed);
    let model = inner.model.load();
    Seen {
        stalled: readiness::readiness(inner).err().filter(|_| can_stall),
        disk: disk(inner.journal.disk_space(), &inner.settings),
        clock_alarm: inner.journal.clocks().alarm,
        keys: keys(&model, inner.journal.now()),
    }
}

fn disk(space: DiskSpace, settings: &Settings) -> Option<Disk> {
    let free = space.free.saturating_mul(100).checked_div(space.total)?;
    let mark = |name, percent| (name, percent, free < percent);
    Some(Disk {
        free,
        marks: [
            mark("hold", settings.disk_hold_percent),
            mark("publish", settings.disk_publish_percent),
        ],
    })
}

fn keys(model: &Model, now: Millis) -> BTreeMap<String, SeenKey> {
    let expiring = model.keys.values().filter_map(|key| {
        let ends = key.not_after?;
        let seen = SeenKey {
            bus: only_bus(model, key.spec.buses.as_deref()).map(|bus| bus.id),
            stage: stage(ends.saturating_sub(now)),
            not_after: jiff::Timestamp::from_millisecond(ends).ok()?.to_string(),
        };
        Some((key.id.clone(), seen))
    });
    expiring.collect()
}

/// Keys that are good now and will not be for long.
pub fn keys_expiring(model: &Model, now: Millis) -> u64 {
    let within = Duration::from_millis(EXPIRY_TOLD[0].unsigned_abs());
    control::keys::expiry::expiring(model, now, within).len() as u64
}

fn only_bus<'a>(model: &'a Model, buses: Option<&[String]>) -> Option<&'a Arc<Bus>> {
    match buses {
        Some([bus]) => model.buses.get(bus),
        _ => None,
    }
}

fn stage(left: Millis) -> Stage {
    match left {
        ..=0 => Stage::Over,
        _ if left <= EXPIRY_TOLD[1] => Stage::Last,
        _ if left <= EXPIRY_TOLD[0] => Stage::Near,
        _ => Stage::Far,
    }
}

impl Seen {
    /// What has changed since an earlier look; said in the diagnostics as well.
    fn turns(&self, before: &Seen) -> Vec<Report> {
        let mut turns = Vec::new();
        let mut node = |what| turns.push(Report::of_node(Subject::Node, what));
        match (&before.stalled, &self.stalled) {
            (None, Some(reason)) => {
                tracing::error!(reason, "the node makes no progress; it is not ready");
                node(What::Stalled(reason.clone()));
            }
            (Some(_), None) => {
                tracing::info!("the node makes progress again");
                node(What::Recovered);
            }
            _ => {}
        }
        match (before.clock_alarm, self.clock_alarm) {
            (false, true) => node(What::ClockAlarm),
            (true, false) => node(What::ClockRecovered),
            _ => {}
        }
        turns.extend(self.disk_turns(before));
        turns.extend(self.key_turns(before));
        turns
    }

    fn disk_turns(&self, before: &Seen) -> Vec<Report> {
        let Some(disk) = &self.disk else { return Vec::new() };
        let mut turns = Vec::new();
        for (at, (mark, percent, is_low)) in disk.marks.into_iter().enumerate() {
            let was_low = before.disk.is_some_and(|before| before.marks[at].2);
            let free = disk.free;
            match (was_low, is_low) {
                (false, true) => {
                    tracing::warn!(free, percent, mark, "free space is below a mark");
                    turns.push(Report::of_node(Subject::Mark(mark), What::DiskLow(free, percent)));
                }
                (true, false) => {
                    tracing::info!(free, percent, mark, "free space is above a mark again");
                    turns.push(Report::of_node(Subject::Mark(mark), What::DiskRecovered(free, percent)));
                }
                _ => {}
            }
        }
        turns
    }

    fn key_turns(&self, before: &Seen) -> Vec<Report> {
        let mut turns = Vec::new();
        for (id, key) in &self.keys {
            let earlier = before.keys.get(id).filter(|earlier| earlier.not_after == key.not_after);
            let stage = earlier.map_or(Stage::Far, |earlier| earlier.stage);
            let what = match key.stage {
                _ if key.stage <= stage => continue,
                // One that was over before anybody looked is no news.
                Stage::Over if earlier.is_none() => continue,
                Stage::Over => What::KeyExpired(key.not_after.clone()),
                _ => What::KeyExpiring(key.not_after.clone()),
            };
            tracing::warn!(key = id, not_after = key.not_after, "a key {}", verb(key.stage));
            turns.push(Report {
                bus: key.bus,
                subject: Subject::Key(id.clone()),
                what,
            });
        }
        turns
    }
}

fn verb(stage: Stage) -> &'static str {
    if stage == Stage::Over {
        "has expired"
    } else {
        "expires soon"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(now: &Seen, before: &Seen) -> Vec<&'static str> {
        now.turns(before).iter().map(|report| report.what.kind()).collect()
    }

    fn with_key(left: Millis) -> Seen {
        let key = SeenKey {
            not_after: "2030-01-01T00:00:00Z".to_owned(),
            bus: None,
            stage: stage(left),
        };
        Seen {
            keys: BTreeMap::from([("tk".to_owned(), key)]),
            ..Seen::default()
        }
    }

    #[test]
    fn a_key_is_told_of_a_week_and_a_day_before_and_when_it_is_over() {
        let steps = [(8 * DAY, vec![]), (6 * DAY, vec!["key.expiring"]), (5 * DAY, vec![])];
        let more = [
            (DAY, vec!["key.expiring"]),
            (1, vec![]),
            (0, vec!["key.expired"]),
            (-DAY, vec![]),
        ];
        let mut before = Seen::default();
        for (left, told) in steps.into_iter().chain(more) {
            let now = with_key(left);
            assert_eq!(kinds(&now, &before), told, "{left} ms left");
            before = now;
        }
    }

    #[test]
    fn a_key_that_was_over_before_the_start_is_no_news() {
        assert_eq!(kinds(&with_key(-1), &Seen::default()), Vec::<&str>::new());
    }

    #[test]
    fn each_mark_of_the_disk_is_told_of_when_it_is_crossed_and_not_again() {
        let at = |free| Seen {
            disk: disk(DiskSpace { total: 1_000, free }, &Settings::default()),
            ..Seen::default()
        };
        assert_eq!(kinds(&at(200), &Seen::default()), Vec::<&str>::new());
        assert_eq!(kinds(&at(140), &at(200)), ["disk.low"]);
        assert_eq!(kinds(&at(40), &at(140)), ["disk.low"]);
        assert_eq!(kinds(&at(40), &at(40)), Vec::<&str>::new());
        assert_eq!(kinds(&at(200), &at(40)), ["disk.recovered", "disk.recovered"]);
    }

    #[test]
    fn a_stall_and_an_alarm_are_told_of_when_they_come_and_go() {
        let troubled = Seen {
            stalled: Some("the router".to_owned()),
            clock_alarm: true,
            ..Seen::default()
        };
        assert_eq!(kinds(&troubled, &Seen::default()), ["node.stalled", "clock.alarmed"]);
        assert_eq!(kinds(&troubled, &troubled), Vec::<&str>::new());
        assert_eq!(
            kinds(&Seen::default(), &troubled),
            ["node.recovered", "clock.recovered"]
        );
    }
}
