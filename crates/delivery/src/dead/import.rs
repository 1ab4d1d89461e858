//! Dead letters that come from elsewhere, or from before: exported there, imported here. They get places that are none of the
//! journal's, by what they are, so that the same one imported twice is one.

use super::read_id;
use crate::{Error, inner::Inner, lane::Input, lane_handle::Command, told::not_found};
use control::{Bus, Refusal, audit::Act};
use event::{
    Event,
    record_binding::{DEAD_LETTER_HEADER, ORIGINAL_HEADER, record_headers},
};
use journal::EncodedRecord;
use ring::digest::{SHA256, digest};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::Ordering::Relaxed,
};
use store::{Dead, DeadQuery, DeliveryKey, Millis, Operation, Parked, Partition, SubscriptionId};

/// Dead letters of one event that are looked at: its subscriptions' and replays'.
const SAME_EVENT_MAX: usize = 1_000;

/// A dead letter as it was exported.
#[derive(Clone, Debug)]
pub struct Exported {
    /// Its id there.
    pub id: String,
    /// The subscription's name.
    pub subscription: String,
    /// The event as it is.
    pub event: Event,
    /// The event as it was received, of one that was edited.
    pub original: Option<Event>,
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// The subscription of whose dead letter its event is a copy.
    pub copy_of: Option<String>,
    /// The class of the last failure.
    pub reason: String,
    /// What it said.
    pub detail: String,
    /// Attempts.
    pub attempts: u32,
    /// When the event was received.
    pub received: Millis,
    /// When it died.
    pub died: Millis,
    /// How often it was edited.
    pub edits: u32,
}

/// What an import did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// New dead letters.
    pub imported: u64,
    /// Those that were here already, as dead letters or on their way out again.
    pub present: u64,
}

/// Imports all of them, or none, with the entry of whoever does; without an act it only looks. By the task of changes.
pub async fn import(inner: &Inner, bus: &str, letters: &[Exported], act: Option<&Act>) -> Result<Imported, Error> {
    let model = inner.model.load_full();
    let bus = model.bus(bus)?;
    let mut new: BTreeMap<DeliveryKey, Dead> = BTreeMap::new();
    for letter in letters {
        let dead = dead(bus, letter)?;
        if !is_here(inner, letter, &dead).await? {
            new.insert(dead.delivery.key, dead);
        }
    }
    check_room(inner, &new)?;
    let imported = new.len() as u64;
    let present = letters.len() as u64 - imported;
    if let Some(act) = act.filter(|_| !letters.is_empty()) {
        let entry = act.operation(inner.journal.now());
        let operations = new.values().cloned().map(Operation::Bury).chain([entry]);
        inner.store.apply(bus.id, operations.collect()).await?;
        tell_lanes(inner, &new);
    }
    Ok(Imported { imported, present })
}

fn dead(bus: &Bus, letter: &Exported) -> Result<Dead, Refusal> {
    let missing = || not_found(format!("subscription {:?} does not exist", letter.subscription));
    let subscription = bus.subscriptions.get(&letter.subscription).ok_or_else(missing)?;
    let event = &letter.event;
    Ok(Dead {
        delivery: Parked {
            key: key_of(subscription.id, letter),
            due: letter.died,
            attempts: letter.attempts,
            first_attempt: None,
            appended: letter.received,
            age_from_first_attempt: true,
            version: subscription.version,
            order: None,
            edits: letter.edits,
            reason: letter.reason.clone(),
            record: record(letter).as_bytes().clone(),
        },
        event_type: event.event_type().to_owned(),
        event_id: event.id().to_owned(),
        event_source: event.source().to_owned(),
        detail: letter.detail.clone(),
    })
}

/// Persisted; a partition that no journal has.
const NOWHERE: Partition = Partition { topic: 0, index: 0 };

/// Persisted. The offset is the first 63 bits of SHA-256 over subscription, id there, identity and time of death; topic 0 is none
/// of the journal's.
fn key_of(subscription: SubscriptionId, letter: &Exported) -> DeliveryKey {
    let mut text = Vec::new();
    text.extend(subscription.to_be_bytes());
    text.extend(letter.died.to_be_bytes());
    for part in [letter.event.source(), letter.event.id(), &letter.id] {
        text.extend((part.len() as u64).to_be_bytes());
        text.extend(part.as_bytes());
    }
    let hash = digest(&SHA256, &text);
    let first = hash.as_ref().first_chunk().expect("SHA-256 has 32 bytes");
    DeliveryKey {
        subscription,
        partition: NOWHERE,
        offset: u64::from_be_bytes(*first) >> 1,
        replay: 0,
    }
}

/// Whether a delivery was imported: then it lies at no place of this journal.
pub fn is_imported(key: DeliveryKey) -> bool {
    key.partition == NOWHERE
}

fn record(letter: &Exported) -> EncodedRecord {
    let key = letter.key.as_deref();
    let original = letter.original.as_ref().map(|event| plain(event, key, &[]));
    let copy_of = letter.copy_of.as_ref().map(|name| format!("0/{name}"));
    let mut marks: Vec<(&str, Option<&[u8]>)> = Vec::new();
    if let Some(copy_of) = &copy_of {
        marks.push((DEAD_LETTER_HEADER, Some(copy_of.as_bytes())));
    }
    if let Some(original) = &original {
        marks.push((ORIGINAL_HEADER, Some(original.as_bytes())));
    }
    plain(&letter.event, key, &marks)
}

fn plain(event: &Event, key: Option<&[u8]>, marks: &[(&str, Option<&[u8]>)]) -> EncodedRecord {
    let own = record_headers(event);
    let headers: Vec<(&str, Option<&[u8]>)> = own.iter().chain(marks.iter().copied()).collect();
    let value = event.data().map(|data| data.bytes.as_ref());
    EncodedRecord::new(key, value, headers.iter().copied())
}

/// Whether it was imported before, or was never away: then it has the id that it had, and died then.
async fn is_here(inner: &Inner, letter: &Exported, dead: &Dead) -> Result<bool, Error> {
    let key = dead.delivery.key;
    let same_event = DeadQuery {
        subscriptions: vec![key.subscription],
        event_id: Some(dead.event_id.clone()),
        limit: SAME_EVENT_MAX,
        ..DeadQuery::default()
    };
    let keys: BTreeSet<DeliveryKey> = read_id(&letter.id).into_iter().chain([key]).collect();
    let found = inner.store.dead(same_event).await?;
    let is_it = |other: &Dead| {
        let is_same = other.event_source == dead.event_source && other.delivery.due == dead.delivery.due;
        is_same && keys.contains(&other.delivery.key)
    };
    if found.iter().any(is_it) {
        return Ok(true);
    }
    let parked = inner.store.parked_at(key.partition, key.offset).await?;
    Ok(parked.iter().any(|row| row.key == key))
}

/// None is taken where not all have room.
fn check_room(inner: &Inner, new: &BTreeMap<DeliveryKey, Dead>) -> Result<(), Refusal> {
    let bounds = &inner.settings.lane;
    for (subscription, (events, bytes)) in by_subscription(new) {
        let counters = inner
            .lane(subscription)
            .map(|lane| std::sync::Arc::clone(&lane.inbox.counters));
        let (held, held_bytes) = counters.map_or((0, 0), |counters| {
            (counters.dead_now.load(Relaxed), counters.dead_bytes_now.load(Relaxed))
        });
        if held + events > bounds.dead_events || held_bytes + bytes > bounds.dead_bytes {
            return Err(Refusal::limit(format!(
                "a subscription holds at most {} dead letters of {} bytes; redrive or discard some first",
                bounds.dead_events, bounds.dead_bytes
            )));
        }
    }
    Ok(())
}

fn by_subscription(new: &BTreeMap<DeliveryKey, Dead>) -> BTreeMap<SubscriptionId, (u64, u64)> {
    let mut sums: BTreeMap<SubscriptionId, (u64, u64)> = BTreeMap::new();
    for (key, dead) in new {
        let sum = sums.entry(key.subscription).or_default();
        *sum = (sum.0 + 1, sum.1 + dead.delivery.record.len() as u64);
    }
    sums
}

fn tell_lanes(inner: &Inner, new: &BTreeMap<DeliveryKey, Dead>) {
    for (subscription, (events, bytes)) in by_subscription(new) {
        let replays = inner.replaying.lanes(subscription).into_iter();
        let lanes = replays.map(|(_, lane)| lane).chain(inner.lane(subscription));
        for lane in lanes {
            lane.send(Command::Step(Input::Buried { events, bytes }));
        }
    }
}
