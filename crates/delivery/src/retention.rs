//! Retention and holds. What goes is decided by pure functions over segments and positions; what a subscription loses is
//! counted and recorded before it goes. It never removes anything by itself: [`journal::Journal::trim`] does.

use crate::{
    Error,
    changes::Request,
    core::Inner,
    lane_task::{Command, LaneHandle},
    matching::{Rules, Sieve, copy_of, stored},
    restore::partitions_of,
    router::{Message, Place},
    settings::{CHUNK_BYTES, DISK_HOLD_PERCENT},
};
use control::resources::Retention;
use event::EventView;
use journal::{DiskSpace, PartitionId, SegmentInfo};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, atomic::Ordering::Relaxed},
};
use store::{BusId, LaneRow, Millis, Operation, Range, RangeReason, SubscriptionId};
use tokio::sync::oneshot;

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
struct Kept {
    trim: Trim,
    newest: Millis,
    bytes: u64,
}

/// Plans a topic: what goes, and what is held for somebody. An active segment goes by age only: by bytes it would take the
/// whole topic with it.
fn plan_topic(retention: &Retention, partitions: &[Held], now: Millis) -> (Vec<Trim>, Vec<Kept>) {
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
fn give_up_for_space(mut kept: Vec<Kept>, disk: DiskSpace) -> Vec<Trim> {
    let wanted = disk.total / 100 * DISK_HOLD_PERCENT;
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

/// Asks the task of changes to carry retention out, every so often, until the core closes.
pub async fn run(inner: Arc<Inner>) {
    loop {
        tokio::time::sleep(inner.settings.retention_interval).await;
        let (done, ended) = oneshot::channel();
        if inner.request(Request::Retain(done)).await.is_err() {
            return;
        }
        if let Ok(Err(error)) = ended.await {
            tracing::warn!(%error, "failed to carry retention out; trying again later");
        }
    }
}

/// Carries retention out once.
pub async fn carry_out(inner: &Inner) -> Result<(), Error> {
    let places = inner.places().await?;
    let now = inner.journal.now();
    let (mut trims, mut kept) = (Vec::new(), Vec::new());
    let model = inner.model.load_full();
    for bus in model.buses.values() {
        for topic in bus.topics.values() {
            let partitions: Vec<Held> = partitions_of(bus, topic)
                .filter_map(|partition| held(inner, &places, partition))
                .collect();
            let (topic_trims, topic_kept) = plan_topic(&topic.spec.retention, &partitions, now);
            trims.extend(topic_trims);
            kept.extend(topic_kept);
        }
    }
    trims.extend(give_up_for_space(kept, inner.journal.disk_space()));
    for trim in trims {
        carry_out_one(inner, trim).await?;
    }
    Ok(())
}

fn held(inner: &Inner, places: &HashMap<SubscriptionId, Vec<Place>>, partition: PartitionId) -> Option<Held> {
    let segments = inner.journal.segments(partition).ok()?;
    let of_partition = places.values().flatten().filter(|place| place.partition == partition);
    let needed_from = of_partition.map(|place| place.position).min().unwrap_or(u64::MAX);
    Some(Held {
        partition,
        segments,
        needed_from,
    })
}

/// Lanes that lose something are frozen until it is recorded and skipped, so that none reads what goes.
async fn carry_out_one(inner: &Inner, trim: Trim) -> Result<(), Error> {
    let places = inner.places().await?;
    let loses = |place: &Place| place.partition == trim.partition && place.position < trim.to;
    let losers = places.into_iter().filter(|(_, places)| places.iter().any(loses));
    let losers: Vec<_> = losers.map(|(subscription, _)| subscription).collect();
    let given_up = give_up_all(inner, &losers, trim).await;
    for subscription in losers {
        let (rules, cursors) = (None, BTreeMap::new());
        let thaw = Message::Thaw {
            subscription,
            rules,
            cursors,
        };
        inner.tell_router(thaw).await?;
    }
    if given_up? {
        inner.journal.trim(trim.partition, trim.to).await?;
        tracing::info!(partition = ?trim.partition, to = trim.to, "removed what retention had to");
    }
    Ok(())
}

async fn give_up_all(inner: &Inner, losers: &[SubscriptionId], trim: Trim) -> Result<bool, Error> {
    let mut losses = Vec::new();
    for subscription in losers {
        let (reply, frozen) = oneshot::channel();
        inner.tell_router(Message::Freeze(*subscription, reply)).await?;
        let places = frozen.await.map_err(|_| Error::Closing)?;
        let place = places.into_iter().find(|place| place.partition == trim.partition);
        let (Some(place), Some(lane)) = (place, inner.lane(*subscription)) else {
            continue;
        };
        // One that has some of it in its hands makes the trim wait, before anything is recorded for anybody.
        let Some(known) = known(&lane, stored(trim.partition), trim.to).await else {
            return Ok(false);
        };
        losses.push((lane, place, known));
    }
    for (lane, place, known) in losses.iter().filter(|(_, place, _)| place.position < trim.to) {
        give_up(inner, lane, place, trim, known).await?;
    }
    let (done, skipped) = oneshot::channel();
    let Trim { partition, to } = trim;
    let lanes = losers.iter().copied().collect();
    inner
        .tell_router(Message::Skip {
            partition,
            to,
            lanes,
            done,
        })
        .await?;
    skipped.await.map_err(|_| Error::Closing)?;
    Ok(true)
}

/// Counts and records what a subscription loses.
async fn give_up(
    inner: &Inner,
    lane: &LaneHandle,
    place: &Place,
    trim: Trim,
    known: &BTreeSet<u64>,
) -> Result<(), Error> {
    let (subscription, partition) = (lane.inbox.subscription, stored(trim.partition));
    let Some(rules) = inner.view.rules(subscription) else {
        return Ok(());
    };
    let matched = count(inner, &rules, place.position.max(place.floor), trim, known).await?;
    let range = Range {
        subscription,
        partition,
        from: place.position,
        to: trim.to,
        matched: Some(matched),
        reason: RangeReason::Expired,
        recorded: inner.settings.clock.now(),
    };
    let row = LaneRow {
        subscription,
        partition,
        position: trim.to,
        floor: place.floor,
        follows_tail: false,
    };
    let operations = vec![Operation::RecordRange(range), Operation::SaveLane(row)];
    inner.store.apply(trim.partition.topic.bus, operations).await?;
    lane.inbox.counters.given_up.fetch_add(matched, Relaxed);
    tracing::error!(
        subscription,
        ?partition,
        to = trim.to,
        matched,
        "events expired before they were delivered"
    );
    Ok(())
}

async fn known(lane: &LaneHandle, partition: store::Partition, to: u64) -> Option<BTreeSet<u64>> {
    let (reply, known) = oneshot::channel();
    lane.send(Command::Known { partition, to, reply });
    known.await.ok()?
}

/// Events that a subscription wants and has not settled, in a range that goes.
async fn count(inner: &Inner, rules: &Rules, from: u64, trim: Trim, known: &BTreeSet<u64>) -> Result<u64, Error> {
    let (mut at, mut matched) = (from, 0);
    let mut sieve = Sieve::default();
    while at < trim.to {
        let chunk = match inner.journal.read(trim.partition, at, CHUNK_BYTES).await {
            Ok(chunk) => chunk,
            Err(journal::Error::Damaged(damage)) => {
                at = damage.to;
                continue;
            }
            Err(journal::Error::OutOfRange { start, .. }) if start > at => {
                at = start;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        for batch in &chunk.batches {
            let inside = journal::records(batch).filter(|record| (at..trim.to).contains(&record.offset));
            for record in inside.filter(|record| !known.contains(&record.offset)) {
                let rule = rules.at(stored(trim.partition), record.offset);
                let mut wants = |event: &EventView<'_>| {
                    rule.topics.contains(&trim.partition.topic.topic)
                        && !copy_of(&record).is_some_and(|primary| rule.topics.contains(&primary))
                        && sieve.matches_one(&rule.filter, event, batch.append_time)
                };
                let event = EventView::from_record(record.headers(), record.value);
                matched += u64::from(event.is_some_and(|event| wants(&event)));
            }
        }
        if chunk.next <= at {
            break;
        }
        at = chunk.next;
    }
    Ok(matched)
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal::TopicId;
    use std::time::Duration;

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
        assert!(give_up_for_space(kept.clone(), disk(1_500)).is_empty());
        assert_eq!(
            give_up_for_space(kept.clone(), disk(1_450)),
            [Trim {
                partition: partition(2),
                to: 10
            }]
        );
        let both = give_up_for_space(kept, disk(1_250));
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
