//! An event's story: where it is stored, which subscriptions matched it and which did not and why, every attempt, and where
//! each delivery stands. It asks; it changes nothing.

mod copies;
mod replays;

use crate::{
    DeliveryState, Error, StoredAt, Story, SubscriptionStory,
    inner::Inner,
    lane_task::event_hash,
    matching::{Rule, copy_of, stored, why_not},
    router::Place,
};
use control::{Bus, Subscription};
use event::{
    Event, EventView, identity,
    record_binding::{DEAD_LETTER_HEADER, REPLAY_HEADER},
};
use journal::{EncodedRecord, PartitionId, Position};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};
use store::{Dead, DeadQuery, DeliveryKey, Ending, Millis, Parked, Partition, RangeReason, SubscriptionId};

/// Records of one id that are looked at: copies on eight topics, and some sources besides.
const FOUND_MAX: usize = 64;
/// Bytes asked of the journal for one record.
const READ_BYTES: usize = 1;

/// One stored record of the event.
struct Copy {
    position: Position,
    appended: Millis,
    is_primary: bool,
    /// The replay that published it.
    replay: Option<String>,
    /// The subscription of whose dead letter it is a copy.
    dead_letter_of: Option<String>,
    record: EncodedRecord,
}

/// What the store and the history know of the event.
struct Known {
    parked: Vec<Parked>,
    dead: Vec<Dead>,
    attempts: Vec<store::Attempt>,
    places: HashMap<SubscriptionId, Vec<Place>>,
    /// Where `start: now` put each lane, by partition.
    floors: HashMap<(SubscriptionId, Partition), u64>,
}

/// Tells it; `None`: no such event is kept.
pub async fn tell(inner: &Inner, bus: &str, id: &str, source: Option<&str>) -> Result<Option<Story>, Error> {
    let model = inner.model.load_full();
    let bus = model.bus(bus)?;
    let Some((source, copies)) = copies_of(inner, bus, id, source).await? else {
        return Ok(None);
    };
    let Some(event) = event(&copies[0]) else {
        return Ok(None);
    };
    let known = known(inner, bus, id, &source, &copies).await?;
    let mut subscriptions = Vec::new();
    for subscription in bus.subscriptions.values() {
        subscriptions.extend(one(inner, bus, subscription, &copies, &known).await?);
    }
    let stored_at = |copy: &Copy| StoredAt {
        topic: topic_name(bus, copy.position.partition),
        position: copy.position,
        replay: copy.replay.clone(),
        dead_letter_of: copy.dead_letter_of.clone(),
    };
    Ok(Some(Story {
        event,
        stored: copies.iter().map(stored_at).collect(),
        replays: replays::tell(inner, &copies, &known),
        append_time: copies[0].appended,
        subscriptions,
    }))
}

/// The event alone; `None`: no such event is kept.
pub async fn event_of(inner: &Inner, bus: &str, id: &str, source: Option<&str>) -> Result<Option<Event>, Error> {
    let model = inner.model.load_full();
    let copies = copies_of(inner, model.bus(bus)?, id, source).await?;
    Ok(copies.and_then(|(_, copies)| event(&copies[0])))
}

/// The records of one event, the one that tells of it first, and its source.
async fn copies_of(
    inner: &Inner,
    bus: &Bus,
    id: &str,
    source: Option<&str>,
) -> Result<Option<(String, Vec<Copy>)>, Error> {
    let mut by_source = copies(inner, bus, id).await?;
    if let Some(source) = source {
        by_source.retain(|other, _| other == source);
    }
    if by_source.len() > 1 {
        return Err(Error::Ambiguous(by_source.into_keys().collect()));
    }
    let Some((source, mut copies)) = by_source.pop_first() else {
        return Ok(None);
    };
    copies.sort_by_key(|copy| (!copy.is_primary, std::cmp::Reverse(copy.position)));
    Ok(Some((source, copies)))
}

fn topic_name(bus: &Bus, partition: PartitionId) -> String {
    let topic = bus.topics.values().find(|topic| topic.id == partition.topic.topic);
    topic.map(|topic| topic.name.clone()).unwrap_or_default()
}

fn event(copy: &Copy) -> Option<Event> {
    let view = copy.record.view(copy.position.offset, copy.appended);
    EventView::from_record(view.headers(), view.value)?.to_event().ok()
}

/// Records with this id, by source.
async fn copies(inner: &Inner, bus: &Bus, id: &str) -> Result<BTreeMap<String, Vec<Copy>>, Error> {
    let mut by_source: BTreeMap<String, Vec<Copy>> = BTreeMap::new();
    for position in inner.journal.find(bus.id, identity::lookup_hash(id), FOUND_MAX).await? {
        // A record that was trimmed since, or lies in a damaged range, is not kept any more.
        let Ok(chunk) = inner
            .journal
            .read(position.partition, position.offset, READ_BYTES)
            .await
        else {
            continue;
        };
        for batch in &chunk.batches {
            let Some(record) = journal::records(batch).find(|record| record.offset == position.offset) else {
                continue;
            };
            let Some(event) = EventView::from_record(record.headers(), record.value) else {
                continue;
            };
            let Some(kept) = EncodedRecord::from_bytes(bytes::Bytes::copy_from_slice(record.body)) else {
                continue;
            };
            if event.id() == id {
                let replay = header_text(&record, REPLAY_HEADER);
                let dead_letter_of =
                    header_text(&record, DEAD_LETTER_HEADER).and_then(|text| Some(text.split_once('/')?.1.to_owned()));
                let is_primary = copy_of(&record).is_none() && replay.is_none() && dead_letter_of.is_none();
                let copy = Copy {
                    position,
                    appended: batch.append_time,
                    is_primary,
                    replay,
                    dead_letter_of,
                    record: kept,
                };
                by_source.entry(event.source().to_owned()).or_default().push(copy);
            }
        }
    }
    Ok(by_source)
}

/// A header that says who wrote a record.
fn header_text(record: &journal::RecordView<'_>, wanted: &str) -> Option<String> {
    let mut headers = record.headers();
    let (_, value) = headers.find(|(name, _)| *name == wanted)?;
    std::str::from_utf8(value?).ok().map(str::to_owned)
}

async fn known(inner: &Inner, bus: &Bus, id: &str, source: &str, copies: &[Copy]) -> Result<Known, Error> {
    let mut parked = Vec::new();
    for copy in copies {
        parked.extend(
            inner
                .store
                .parked_at(stored(copy.position.partition), copy.position.offset)
                .await?,
        );
    }
    let mut ids: Vec<_> = bus.subscriptions.values().map(|subscription| subscription.id).collect();
    ids.extend(inner.replays.subscriptions_of(bus.id));
    let query = DeadQuery {
        subscriptions: ids.clone(),
        event_id: Some(id.to_owned()),
        limit: FOUND_MAX * ids.len(),
        ..DeadQuery::default()
    };
    let dead = if ids.is_empty() {
        Vec::new()
    } else {
        inner.store.dead(query).await?
    };
    let appended = copies.iter().map(|copy| copy.appended).min().unwrap_or_default();
    let attempts = inner
        .attempts
        .find(
            event_hash(source, id),
            appended.saturating_sub(CLOCKS_APART),
            Millis::MAX,
        )
        .await?;
    let rows = inner.store.lanes().await?.into_iter();
    let floors = rows.map(|row| ((row.subscription, row.partition), row.floor)).collect();
    Ok(Known {
        parked,
        dead,
        attempts,
        places: inner.places().await?,
        floors,
    })
}

/// The journal's clock and the lanes' may differ by so much.
const CLOCKS_APART: Millis = 24 * 60 * 60 * 1_000;

/// A subscription's part; `None`: it reads none of these topics.
async fn one(
    inner: &Inner,
    bus: &Bus,
    subscription: &Arc<Subscription>,
    copies: &[Copy],
    known: &Known,
) -> Result<Option<SubscriptionStory>, Error> {
    let Some((copy, version)) = copy_for(inner, bus, subscription, copies) else {
        return Ok(None);
    };
    let at = |position: Position| stored(position.partition);
    let (partition, offset) = (at(copy.position), copy.position.offset);
    let view = copy.record.view(offset, copy.appended);
    let attempts: Vec<_> = known
        .attempts
        .iter()
        .filter(|attempt| {
            attempt.replay == 0
                && attempt.subscription == subscription.id
                && attempt.partition == partition
                && attempt.offset == offset
        })
        .cloned()
        .collect();
    let version_subscription = inner.model.load().subscription_version(subscription, version);
    let reason = EventView::from_record(view.headers(), view.value)
        .and_then(|event| why_not(&version_subscription.filter, &event, copy.appended));
    let starts_after = known
        .floors
        .get(&(subscription.id, partition))
        .is_some_and(|floor| offset < *floor);
    let matched = match reason {
        Some(reason) => Err(reason),
        None if starts_after => Err("the subscription starts after this event".to_owned()),
        None => Ok(()),
    };
    let state = match matched {
        Err(_) => DeliveryState::NotConcerned,
        Ok(()) => state(inner, subscription.id, copy, known, &attempts).await?,
    };
    let copy = copies::tell(inner, subscription.id, known).await?;
    let key = DeliveryKey {
        subscription: subscription.id,
        partition,
        offset,
        replay: 0,
    };
    let subscription = subscription.name.clone();
    Ok(Some(SubscriptionStory {
        subscription,
        version,
        matched,
        state,
        attempts,
        edited: edited(known, &key),
        copy,
    }))
}

/// The event that a row holds in place of what was received.
fn edited(known: &Known, key: &DeliveryKey) -> Option<(u32, Event)> {
    let dead = known.dead.iter().map(|dead| &dead.delivery);
    let mut rows = known.parked.iter().chain(dead);
    let row = rows.find(|row| row.key == *key && row.edits > 0)?;
    let record = EncodedRecord::from_bytes(row.record.clone())?;
    let view = record.view(key.offset, row.appended);
    let event = EventView::from_record(view.headers(), view.value)?.to_event().ok()?;
    Some((row.edits, event))
}

/// The record that a subscription sees: the primary one if it reads its topic, else its first copy.
fn copy_for<'a>(
    inner: &Inner,
    bus: &Bus,
    subscription: &Arc<Subscription>,
    copies: &'a [Copy],
) -> Option<(&'a Copy, u64)> {
    let topics: BTreeSet<u32> = bus.topics_of(&subscription.spec).map(|topic| topic.id).collect();
    let rules = inner.view.rules(subscription.id);
    let copy = copies.iter().find(|copy| {
        let topic = copy.position.partition.topic.topic;
        let rule: Option<&Rule> = rules
            .as_ref()
            .map(|rules| rules.at(stored(copy.position.partition), copy.position.offset));
        rule.map_or_else(|| topics.contains(&topic), |rule| rule.topics.contains(&topic))
    })?;
    let version = rules.as_ref().map_or(subscription.version, |rules| {
        rules.at(stored(copy.position.partition), copy.position.offset).version
    });
    Some((copy, version))
}

async fn state(
    inner: &Inner,
    subscription: SubscriptionId,
    copy: &Copy,
    known: &Known,
    attempts: &[store::Attempt],
) -> Result<DeliveryState, Error> {
    let position = copy.position;
    let (partition, offset) = (stored(position.partition), position.offset);
    let key = DeliveryKey {
        subscription,
        partition,
        offset,
        replay: 0,
    };
    let is_it = |row: &Parked| row.key == key;
    if let Some(row) = known.parked.iter().find(|row| is_it(row)) {
        return Ok(DeliveryState::Parked { due: row.due });
    }
    if known.dead.iter().any(|dead| is_it(&dead.delivery)) {
        return Ok(DeliveryState::DeadLettered);
    }
    let ranges = inner.store.ranges(subscription).await?;
    // Where a journal lost its tail, an offset is given again, later than the range was recorded.
    let covers = |range: &&store::Range| {
        let is_inside = range.partition == partition && (range.from..range.to).contains(&offset);
        is_inside && copy.appended <= range.recorded
    };
    let was_delivered = attempts
        .iter()
        .any(|attempt| attempt.outcome == store::AttemptOutcome::Delivered);
    if let Some(range) = ranges.iter().find(covers) {
        return Ok(match range.reason {
            RangeReason::Discarded => DeliveryState::Discarded,
            RangeReason::Expired | RangeReason::Damaged => DeliveryState::GivenUp,
            // Some of what lies there had been delivered out of its order.
            RangeReason::Skipped if was_delivered => DeliveryState::Delivered,
            RangeReason::Skipped => DeliveryState::Skipped,
        });
    }
    let marks = inner.store.marks(subscription).await?;
    let mark = marks.iter().find(|mark| mark.key == key);
    if mark.is_some_and(|mark| mark.ending == Ending::Discarded) {
        return Ok(DeliveryState::Discarded);
    }
    if was_delivered {
        return Ok(DeliveryState::Delivered);
    }
    let places = known.places.get(&subscription);
    let place = places.and_then(|places| places.iter().find(|place| place.partition == position.partition));
    match place.is_some_and(|place| offset < place.position) {
        false => Ok(DeliveryState::Pending),
        // It was settled, and the history does not say how. It was delivered, be it as a dead letter that was sent out again: a
        // crash may lose the last second of successes, and every other end is recorded in the store.
        true => Ok(DeliveryState::Delivered),
    }
}
