//! Retention and holds. What goes is decided by pure functions over segments and positions; what a subscription loses is
//! counted and recorded before it goes. It never removes anything by itself: [`journal::Journal::trim`] does.

mod audit;
mod plan;

pub use plan::Trim;

use crate::{
    Error,
    changes::Request,
    inner::Inner,
    lane_handle::{Command, Known, LaneHandle},
    matching::{Rules, Sieve, copy_of, stored},
    operational::GaveUp,
    restore::{all_partitions, partitions_of},
    router::{Message, Place},
    settings::{CHUNK_BYTES, IN_FLIGHT_WAIT_MAX},
};
use event::EventView;
use futures_util::future::join_all;
use journal::PartitionId;
use plan::{Held, give_up_for_space, plan_topic};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, atomic::Ordering::Relaxed},
};
use store::{
    LaneRow, Millis, Operation, Range, RangeReason, SubscriptionId,
    attempts::{Day, day_of},
};
use tokio::{sync::oneshot, time::timeout};

/// Carries retention out every so often, until the core closes.
pub async fn run(inner: Arc<Inner>) {
    let (mut pruned, mut audit) = (Day::MIN, audit::Trimming::default());
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
        audit.carry_out(&inner).await;
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
            if let Some(oldest) = plan::cut_within(&topic.spec.retention, now) {
                for held in &partitions {
                    trims.extend(partly_old(inner, held, oldest).await);
                }
            }
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

/// The old part of a growing segment goes by itself: the journal closes the segment for it, which goes whole once its rest is
/// past the age. Else a topic of few events would keep them for being slow.
async fn partly_old(inner: &Inner, held: &Held, oldest: Millis) -> Option<Trim> {
    let active = held.segments.last().filter(|segment| segment.active)?;
    if active.newest < oldest {
        // It goes whole.
        return None;
    }
    let to = inner.journal.offset_at(held.partition, oldest).await.ok()?;
    let start = inner.journal.bounds(held.partition).ok()?.start;
    let is_within = active.base.max(start) < to && to < active.next && to <= held.needed_from;
    is_within.then_some(Trim {
        partition: held.partition,
        to,
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
        let (partition, to) = (stored(trim.partition), trim.to);
        let forget = Operation::ForgetDiscarded { partition, to };
        inner.store.apply(trim.partition.topic.bus, vec![forget]).await?;
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
        let lost = GaveUp {
            partition: trim.partition,
            from: loss.place.position,
            to: trim.to,
            matched: Some(loss.matched),
            reason: RangeReason::Expired,
        };
        inner.reporter.gave_up(loss.lane.inbox.subscription, lost);
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

/// Which offsets below `to` a lane that is frozen has settled, once nothing below is in flight; `None`: it has ended.
pub async fn known(lane: &LaneHandle, partition: store::Partition, to: u64) -> Option<BTreeSet<u64>> {
    let (reply, known) = oneshot::channel();
    lane.send(Command::Known(Known { partition, to, reply }));
    known.await.ok()
}

/// Events that a subscription wants and has not settled, in a range that goes.
pub async fn count(inner: &Inner, rules: &Rules, from: u64, trim: Trim, known: &BTreeSet<u64>) -> Result<u64, Error> {
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
