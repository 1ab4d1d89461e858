//! Retention and holds. What goes is decided by pure functions over segments and positions; what a subscription loses is
//! counted and recorded before it goes. It never removes anything by itself: [`journal::Journal::trim`] does.

use crate::{
    Error,
    changes::Request,
    core::Inner,
    lane_task::{Command, Known, LaneHandle},
    matching::{Rules, Sieve, copy_of, stored},
    restore::{all_partitions, partitions_of},
    router::{Message, Place},
    settings::{CHUNK_BYTES, IN_FLIGHT_WAIT_MAX},
};
use control::resources::Retention;
use event::EventView;
use futures_util::future::join_all;
use journal::{DiskSpace, PartitionId, SegmentInfo};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, atomic::Ordering::Relaxed},
};
use store::{
    BusId, LaneRow, Millis, Operation, Range, RangeReason, SubscriptionId,
    attempts::{Day, day_of},
};
use tokio::{sync::oneshot, time::timeout};

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
fn give_up_for_space(mut kept: Vec<Kept>, disk: DiskSpace, percent: u64) -> Vec<Trim> {
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

/// Carries retention out every so often, until the core closes.
pub async fn run(inner: Arc<Inner>) {
    let mut pruned = Day::MIN;
    while !inner.is_closing() {
        tokio::time::sleep(inner.settings.retention_interval).await;
        match carry_out(&inner).await {
            Ok(()) => {}
            Err(Error::Closing) => return,
            Err(error) => tracing::warn!(%error, "failed to carry retention out; trying again later"),
        }
        // It moves what is kept, and so which versions are needed.
        if inner.request(Request::ForgetVersions).await.is_err() {
            return;
        }
        pruned = prune(&inner, pruned).await;
    }
}

/// Deletes attempts of the days before those that are kept, once a day; today's never. Gives the day that it is done with.
async fn prune(inner: &Inner, pruned: Day) -> Day {
    let (now, keep) = (
        inner.settings.clock.now(),
        crate::backoff::millis(inner.settings.attempts_keep),
    );
    let day = day_of(now.saturating_sub(keep)).min(day_of(now));
    if day == pruned {
        return pruned;
    }
    match inner.attempts.prune(day).await {
        Ok(()) => day,
        Err(error) => {
            tracing::warn!(%error, "failed to delete old attempts; trying again later");
            pruned
        }
    }
}

/// Carries retention out once; a partition that fails keeps no other one from it.
async fn carry_out(inner: &Inner) -> Result<(), Error> {
    let places = inner.places().await?;
    let now = inner.journal.now();
    let (mut trims, mut kept) = (Vec::new(), Vec::new());
    let model = inner.model.load_full();
    let unstarted: Vec<SubscriptionId> = inner.unstarted().keys().copied().collect();
    for bus in model.buses.values() {
        // What a lane needs that could not be started yet is not known here.
        if bus
            .subscriptions
            .values()
            .any(|subscription| unstarted.contains(&subscription.id))
        {
            continue;
        }
        for topic in bus.topics.values() {
            let partitions: Vec<Held> = partitions_of(bus, topic)
                .filter_map(|partition| held(inner, &places, partition))
                .collect();
            let (topic_trims, topic_kept) = plan_topic(&topic.spec.retention, &partitions, now);
            trims.extend(topic_trims);
            kept.extend(topic_kept);
        }
    }
    let percent = inner.settings.disk_hold_percent;
    trims.extend(give_up_for_space(kept, inner.journal.disk_space(), percent));
    for trim in trims {
        match carry_out_one(inner, trim).await {
            Ok(()) => {}
            Err(Error::Closing) => return Err(Error::Closing),
            Err(error) => {
                tracing::warn!(%error, partition = ?trim.partition, "failed to remove what retention has to; trying again later");
            }
        }
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

/// What a subscription loses.
#[derive(Debug)]
pub struct Loss {
    lane: LaneHandle,
    place: Place,
    matched: u64,
}

/// Lanes that lose something are frozen until it is recorded and skipped, so that none reads what goes.
async fn carry_out_one(inner: &Inner, trim: Trim) -> Result<(), Error> {
    let losers = losers(&inner.places().await?, trim);
    for subscription in losers.keys() {
        // One that was deleted since is not frozen, and loses nothing.
        let _ = inner.freeze(*subscription).await;
    }
    let given_up = give_up_all(inner, losers.keys().copied().collect(), trim).await;
    for subscription in losers.into_keys() {
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

fn losers(places: &HashMap<SubscriptionId, Vec<Place>>, trim: Trim) -> BTreeMap<SubscriptionId, Place> {
    let loses = |place: &&Place| place.partition == trim.partition && place.position < trim.to;
    let place = |(subscription, places): (&SubscriptionId, &Vec<Place>)| {
        Some((*subscription, places.iter().find(loses)?.clone()))
    };
    places.iter().filter_map(place).collect()
}

/// Waits for what is in flight, counts what everybody loses, and has it all recorded at once. `false`: not this time.
async fn give_up_all(inner: &Inner, frozen: BTreeSet<SubscriptionId>, trim: Trim) -> Result<bool, Error> {
    let lanes: Vec<LaneHandle> = frozen
        .iter()
        .filter_map(|subscription| inner.lane(*subscription))
        .collect();
    let known = lanes.iter().map(|lane| known(lane, stored(trim.partition), trim.to));
    let Ok(known) = timeout(IN_FLIGHT_WAIT_MAX, join_all(known)).await else {
        return Ok(false);
    };
    // What was in flight may have been delivered.
    let places = losers(&inner.places().await?, trim);
    let mut losses = Vec::new();
    for (lane, known) in lanes.into_iter().zip(known) {
        let subscription = lane.inbox.subscription;
        let (Some(place), Some(rules)) = (places.get(&subscription), inner.view.rules(subscription)) else {
            continue;
        };
        let Some(known) = known else { return Ok(false) };
        let from = place.position.max(place.floor);
        let matched = count(inner, &rules, from, trim, &known).await?;
        let place = place.clone();
        losses.push(Loss { lane, place, matched });
    }
    let (reply, recorded) = oneshot::channel();
    inner.request(Request::GiveUp(trim, losses, reply)).await?;
    recorded.await.map_err(|_| Error::Closing)?
}

/// Records what subscriptions lose, all in one transaction, and has the router go on behind it. By the task of changes, so
/// that none comes or goes meanwhile. `false`: somebody came who would lose something as well.
pub async fn record(inner: &Inner, trim: Trim, losses: Vec<Loss>) -> Result<bool, Error> {
    let is_same = |loss: &Loss| {
        let lane = inner.lane(loss.lane.inbox.subscription);
        lane.is_some_and(|lane| Arc::ptr_eq(&lane.inbox, &loss.lane.inbox))
    };
    let losses: Vec<Loss> = losses.into_iter().filter(is_same).collect();
    let lanes: BTreeSet<SubscriptionId> = losses.iter().map(|loss| loss.lane.inbox.subscription).collect();
    let losers = losers(&inner.places().await?, trim);
    let is_there = all_partitions(&inner.model.load()).contains(&trim.partition);
    if !is_there || losers.keys().any(|subscription| !lanes.contains(subscription)) {
        return Ok(false);
    }
    let operations: Vec<Operation> = losses.iter().flat_map(|loss| recorded(inner, trim, loss)).collect();
    if !operations.is_empty() {
        inner.store.apply(trim.partition.topic.bus, operations).await?;
    }
    for loss in &losses {
        loss.lane.inbox.counters.given_up.fetch_add(loss.matched, Relaxed);
        tracing::error!(
            subscription = loss.lane.inbox.subscription,
            partition = ?trim.partition,
            to = trim.to,
            matched = loss.matched,
            "events expired before they were delivered"
        );
    }
    let (done, skipped) = oneshot::channel();
    let Trim { partition, to } = trim;
    let skip = Message::Skip {
        partition,
        to,
        lanes,
        done,
    };
    inner.tell_router(skip).await?;
    skipped.await.map_err(|_| Error::Closing)?;
    Ok(true)
}

fn recorded(inner: &Inner, trim: Trim, loss: &Loss) -> [Operation; 2] {
    let (subscription, partition) = (loss.lane.inbox.subscription, stored(trim.partition));
    let range = Range {
        subscription,
        partition,
        from: loss.place.position,
        to: trim.to,
        matched: Some(loss.matched),
        reason: RangeReason::Expired,
        recorded: inner.settings.clock.now(),
    };
    let row = LaneRow {
        subscription,
        partition,
        position: trim.to,
        floor: loss.place.floor,
        follows_tail: false,
    };
    [Operation::RecordRange(range), Operation::SaveLane(row)]
}

async fn known(lane: &LaneHandle, partition: store::Partition, to: u64) -> Option<BTreeSet<u64>> {
    let (reply, known) = oneshot::channel();
    lane.send(Command::Known(Known { partition, to, reply }));
    known.await.ok()
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
