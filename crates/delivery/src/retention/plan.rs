//! What retention removes: pure functions over segments, positions and the disk. It removes nothing and counts nothing.

use control::resources::Retention;
use journal::{DiskSpace, PartitionId, SegmentInfo};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};
use store::{BusId, Millis};

/// One partition, as retention sees it.
#[derive(Clone, Debug)]
pub struct Held {
    /// Which.
    pub partition: PartitionId,
    /// Its segments, oldest first.
    pub segments: Vec<SegmentInfo>,
    /// The lowest position of a subscription that reads it.
    pub needed_from: u64,
}

/// What is to go of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// Which.
    pub partition: PartitionId,
    /// The first offset that stays.
    pub to: u64,
}

/// A segment that retention would have removed, but that somebody still needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// It would have been removed by this.
    pub trim: Trim,
    /// Append time of its newest record.
    pub newest: Millis,
    /// Its size.
    pub bytes: u64,
}

/// Plans a topic: what goes, and what is held for somebody. An active segment goes by age only: by bytes it would take the
/// whole topic with it.
pub fn plan_topic(retention: &Retention, partitions: &[Held], now: Millis) -> (Vec<Trim>, Vec<Kept>) {
    let due = due(retention, partitions, now);
    let hold = retention
        .hold_in_effect()
        .map(|hold| now.saturating_sub(crate::backoff::millis(hold)));
    let (mut trims, mut kept) = (Vec::new(), Vec::new());
    for (held, due) in partitions.iter().zip(due) {
        let mut to = None;
        let mut open = true;
        for segment in &held.segments[..due] {
            let is_needed = segment.next > held.needed_from;
            open = open && (!is_needed || hold.is_some_and(|oldest| segment.newest < oldest));
            let trim = Trim {
                partition: held.partition,
                to: segment.next,
            };
            match open {
                true => to = Some(trim),
                false => kept.push(Kept {
                    trim,
                    newest: segment.newest,
                    bytes: segment.bytes,
                }),
            }
        }
        trims.extend(to);
    }
    (trims, kept)
}

/// Topics that keep their events longer are not cut within a segment: the journal closes each with its day, which is less than
/// half of this.
const CUT_WITHIN_MAX: Duration = Duration::from_secs(2 * 24 * 3_600);

/// From where on a topic's growing segments are kept, if the old part of one is to go by itself.
pub fn cut_within(retention: &Retention, now: Millis) -> Option<Millis> {
    let age = retention.age.filter(|age| *age <= CUT_WITHIN_MAX)?;
    Some(now.saturating_sub(crate::backoff::millis(age)))
}

/// How many segments of each partition are past the topic's age, or beyond its bytes.
fn due(retention: &Retention, partitions: &[Held], now: Millis) -> Vec<usize> {
    let oldest = retention.age.map(|age| now.saturating_sub(crate::backoff::millis(age)));
    let is_old = |segment: &&SegmentInfo| oldest.is_some_and(|oldest| segment.newest < oldest);
    let mut due: Vec<usize> = partitions
        .iter()
        .map(|held| held.segments.iter().take_while(is_old).count())
        .collect();
    let Some(most) = retention.bytes else { return due };
    let left = |due: &[usize]| -> u64 {
        partitions
            .iter()
            .zip(due)
            .flat_map(|(held, due)| &held.segments[*due..])
            .map(|segment| segment.bytes)
            .sum()
    };
    while left(&due) > most {
        let next = partitions
            .iter()
            .zip(&due)
            .enumerate()
            .filter_map(|(index, (held, due))| {
                let segment = held.segments.get(*due).filter(|segment| !segment.active)?;
                Some((segment.newest, index))
            });
        let Some((_, index)) = next.min() else { break };
        due[index] += 1;
    }
    due
}

/// Below the hold mark, what is held goes: oldest first, of the bus that holds most, until enough is free.
pub fn give_up_for_space(mut kept: Vec<Kept>, disk: DiskSpace, percent: u64) -> Vec<Trim> {
    let wanted = disk.total / 100 * percent;
    let mut free = disk.free;
    let mut trims = BTreeMap::new();
    while free < wanted {
        let mut by_bus: HashMap<BusId, u64> = HashMap::new();
        for segment in &kept {
            *by_bus.entry(segment.trim.partition.topic.bus).or_default() += segment.bytes;
        }
        let Some((bus, _)) = by_bus.into_iter().max_by_key(|(bus, bytes)| (*bytes, *bus)) else {
            break;
        };
        let of_bus = kept
            .iter()
            .enumerate()
            .filter(|(_, segment)| segment.trim.partition.topic.bus == bus);
        let Some((index, _)) = of_bus.min_by_key(|(_, segment)| (segment.newest, segment.trim.to)) else {
            break;
        };
        let segment = kept.remove(index);
        free = free.saturating_add(segment.bytes);
        trims.insert(segment.trim.partition, segment.trim);
    }
    trims.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal::TopicId;

    const HOUR: Duration = Duration::from_secs(3_600);
    const NOW: Millis = 100 * 3_600_000;

    fn partition(bus: u32) -> PartitionId {
        PartitionId {
            topic: TopicId { bus, topic: bus },
            index: 0,
        }
    }

    /// Segments of ten records, by age in hours, the last one active.
    fn held(bus: u32, ages: &[i64], needed_from: u64) -> Held {
        let segment = |(index, age): (usize, &i64)| SegmentInfo {
            base: index as u64 * 10,
            next: index as u64 * 10 + 10,
            bytes: 100,
            newest: NOW - age * 3_600_000,
            active: index + 1 == ages.len(),
        };
        Held {
            partition: partition(bus),
            segments: ages.iter().enumerate().map(segment).collect(),
            needed_from,
        }
    }

    fn retention(age: Option<u32>, bytes: Option<u64>, hold: u32) -> Retention {
        Retention {
            age: age.map(|hours| HOUR * hours),
            bytes,
            hold: Some(HOUR * hold),
        }
    }

    fn goes(retention: &Retention, held: Held) -> Option<u64> {
        plan_topic(retention, &[held], NOW).0.first().map(|trim| trim.to)
    }

    #[test]
    fn what_is_older_than_the_age_goes_also_from_an_active_segment() {
        assert_eq!(
            goes(&retention(Some(5), None, 50), held(1, &[9, 6, 4], u64::MAX)),
            Some(20)
        );
        assert_eq!(
            goes(&retention(Some(5), None, 50), held(1, &[9, 8, 7], u64::MAX)),
            Some(30)
        );
        assert_eq!(goes(&retention(None, None, 50), held(1, &[90], u64::MAX)), None);
    }

    #[test]
    fn what_is_beyond_the_bytes_goes_oldest_first_and_never_the_active_one() {
        assert_eq!(
            goes(&retention(None, Some(250), 50), held(1, &[9, 6, 4], u64::MAX)),
            Some(10)
        );
        assert_eq!(
            goes(&retention(None, Some(1), 50), held(1, &[9, 6, 4], u64::MAX)),
            Some(20)
        );
    }

    #[test]
    fn what_somebody_needs_is_held_until_the_hold_ends() {
        assert_eq!(goes(&retention(Some(5), None, 50), held(1, &[9, 8, 4], 15)), Some(10));
        assert_eq!(goes(&retention(Some(5), None, 8), held(1, &[9, 6, 4], 0)), Some(10));
    }

    #[test]
    fn below_the_mark_the_bus_that_holds_most_loses_its_oldest_first() {
        let (mut kept, mut more) = (Vec::new(), Vec::new());
        for (bus, ages) in [(1, &[9, 8, 4][..]), (2, &[9, 8, 7, 4][..])] {
            more.push(plan_topic(&retention(Some(5), None, 50), &[held(bus, ages, 0)], NOW));
        }
        more.into_iter().for_each(|(trims, held)| {
            assert!(trims.is_empty());
            kept.extend(held);
        });
        let disk = |free| DiskSpace { total: 10_000, free };
        assert!(give_up_for_space(kept.clone(), disk(1_500), 15).is_empty());
        assert_eq!(
            give_up_for_space(kept.clone(), disk(1_450), 15),
            [Trim {
                partition: partition(2),
                to: 10
            }]
        );
        let both = give_up_for_space(kept, disk(1_250), 15);
        assert_eq!(
            both,
            [
                Trim {
                    partition: partition(1),
                    to: 10
                },
                Trim {
                    partition: partition(2),
                    to: 20
                }
            ]
        );
    }
}
