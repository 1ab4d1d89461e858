//! Dead letters: listing, sending out again, discarding. Whatever is moved is moved in one transaction with its counterpart,
//! so that no crash loses one or makes two of it.

mod edit;
mod id;
mod import;

pub use edit::{Edit, original_of};
pub use id::{read_id, write_id};
pub use import::{Exported, Imported, import};

use crate::{
    DeadSelection, Error,
    inner::Inner,
    lane::Input,
    lane_handle::{Command, LaneHandle},
    matching::stored,
    pending::NEVER,
    router::Place,
    settings::{DEAD_PAGE, DEAD_PAGE_BYTES},
};
use control::{Refusal, refusal::Class};
use std::{collections::HashMap, sync::atomic::Ordering::Relaxed};
use store::{
    BusId, Dead, DeadQuery, DeliveryKey, Ending, Mark, Millis, Operation, Parked, Partition, Range, RangeReason,
    SubscriptionId,
};

/// A selection, its subscriptions resolved.
#[derive(Clone, Debug)]
pub struct Selected {
    bus: BusId,
    subscriptions: Vec<SubscriptionId>,
    selection: DeadSelection,
}

impl Selected {
    /// Resolves a bus's selection.
    pub fn new(inner: &Inner, bus: &str, selection: DeadSelection) -> Result<Self, Error> {
        let model = inner.model.load();
        let bus = model.bus(bus)?;
        let subscriptions: Vec<_> = match &selection.subscription {
            None => bus.subscriptions.values().map(|subscription| subscription.id).collect(),
            Some(name) => {
                let missing = || crate::told::not_found(format!("subscription {name:?} does not exist"));
                vec![bus.subscriptions.get(name).ok_or_else(missing)?.id]
            }
        };
        Ok(Self {
            bus: bus.id,
            subscriptions,
            selection,
        })
    }

    /// A page of them, after a key: at most so many, and their bytes are bounded. An empty one is the end.
    pub async fn page(&self, inner: &Inner, after: Option<DeliveryKey>, limit: usize) -> Result<Vec<Dead>, Error> {
        if self.subscriptions.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = self.query(after, limit);
        let Some(key) = self.selection.key else {
            return Ok(inner.store.dead(query).await?);
        };
        query
            .subscriptions
            .retain(|subscription| *subscription == key.subscription);
        if query.subscriptions.is_empty() || after.is_some_and(|after| after >= key) {
            return Ok(Vec::new());
        }
        (query.after, query.limit) = (before(key), 1);
        let found = inner.store.dead(query).await?;
        Ok(found.into_iter().filter(|dead| dead.delivery.key == key).collect())
    }
}

impl Selected {
    /// Those of subscriptions by their numbers.
    pub fn of(bus: BusId, subscriptions: Vec<SubscriptionId>, selection: DeadSelection) -> Self {
        Self {
            bus,
            subscriptions,
            selection,
        }
    }

    /// How many there are, and their bytes.
    pub async fn count(&self, inner: &Inner) -> Result<(u64, u64), Error> {
        Ok(inner.store.dead_count(self.query(None, 0)).await?)
    }

    fn query(&self, after: Option<DeliveryKey>, limit: usize) -> DeadQuery {
        let selection = &self.selection;
        let reason = selection.reason.as_deref();
        let prefix = reason.and_then(|reason| reason.strip_suffix('*'));
        DeadQuery {
            subscriptions: self.subscriptions.clone(),
            reason: reason.filter(|_| prefix.is_none()).map(str::to_owned),
            reason_prefix: prefix.map(str::to_owned),
            event_id: selection.event_id.clone(),
            event_type: selection.event_type.clone(),
            died_from: selection.died_from,
            died_to: selection.died_to,
            after,
            limit,
            bytes_max: Some(DEAD_PAGE_BYTES),
        }
    }
}

/// Whether a page ended before its limit, with its bytes: there may be more.
pub fn is_cut(page: &[Dead]) -> bool {
    page.iter().map(|dead| dead.delivery.record.len() as u64).sum::<u64>() >= DEAD_PAGE_BYTES
}

/// The greatest key below another one.
fn before(key: DeliveryKey) -> Option<DeliveryKey> {
    let DeliveryKey {
        subscription,
        partition: Partition { topic, index },
        offset,
        replay,
    } = key;
    if let Some(replay) = replay.checked_sub(1) {
        return Some(DeliveryKey { replay, ..key });
    }
    let at = |partition, offset| DeliveryKey {
        subscription,
        partition,
        offset,
        replay: u32::MAX,
    };
    if let Some(offset) = offset.checked_sub(1) {
        return Some(at(key.partition, offset));
    }
    let last = i64::MAX.unsigned_abs();
    match (index.checked_sub(1), topic.checked_sub(1)) {
        (Some(index), _) => Some(at(Partition { topic, index }, last)),
        (None, Some(topic)) => Some(at(
            Partition {
                topic,
                index: i32::MAX.unsigned_abs(),
            },
            last,
        )),
        (None, None) => None,
    }
}

/// What a page did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// How many.
    pub events: u64,
    /// The last one's key; absent: there are no more.
    pub last: Option<DeliveryKey>,
}

/// Makes parked rows of a page of them, due now, their attempts counted anew. The entry goes with what moves: without anything it
/// is not written.
pub async fn redrive(
    inner: &Inner,
    selected: Selected,
    after: Option<DeliveryKey>,
    entry: Option<Operation>,
) -> Result<Moved, Error> {
    let page = selected.page(inner, after, DEAD_PAGE).await?;
    let last = page.last().map(|dead| dead.delivery.key);
    let events = page.len() as u64;
    if events > 0 {
        send_out(inner, selected.bus, page, entry.into_iter().collect()).await?;
    }
    Ok(Moved { events, last })
}

/// Sends them out again, all in one transaction with whatever else is to be written.
pub async fn send_out(inner: &Inner, bus: BusId, page: Vec<Dead>, more: Vec<Operation>) -> Result<(), Error> {
    check_room(inner, &page)?;
    let now = inner.settings.clock.now();
    let above = Above::positions(inner).await?;
    let rows: Vec<Parked> = page.into_iter().map(|dead| anew(inner, dead.delivery, now)).collect();
    let operations = rows.iter().flat_map(|row| {
        let moved = [Operation::Exhume(row.key), Operation::Park(row.clone())];
        moved.into_iter().chain(above.mark(row.key, Ending::Parked))
    });
    let operations: Vec<Operation> = operations.chain(more).collect();
    if !operations.is_empty() {
        inner.store.apply(bus, operations).await?;
        tell_lanes(inner, rows);
    }
    Ok(())
}

/// Where lanes stand: below its position an offset needs no mark, and one that is there already stays until it is cleared.
struct Above(HashMap<(SubscriptionId, Partition), u64>);

impl Above {
    async fn positions(inner: &Inner) -> Result<Self, Error> {
        let places = inner.places().await?.into_iter();
        let positions = places.flat_map(|(subscription, places)| {
            let position = move |place: Place| ((subscription, stored(place.partition)), place.position);
            places.into_iter().map(position)
        });
        Ok(Self(positions.collect()))
    }

    /// A replay's mark stays what it is until the replay has passed it.
    fn mark(&self, key: DeliveryKey, ending: Ending) -> Option<Operation> {
        if key.replay > 0 {
            return None;
        }
        let position = self.0.get(&(key.subscription, key.partition));
        let is_above = position.is_some_and(|position| key.offset >= *position);
        is_above.then_some(Operation::Mark(Mark { key, ending }))
    }
}

/// What is ordered waits for its key's turn; the lane says when that is. What a replay left that runs no more is in nobody's
/// order.
fn anew(inner: &Inner, row: Parked, now: store::Millis) -> Parked {
    let key = row.key;
    let is_ordered = key.replay == 0 || inner.replaying.has(key.subscription, key.replay);
    let order = row.order.filter(|_| is_ordered);
    Parked {
        order,
        due: if order.is_some() { NEVER } else { now },
        attempts: 0,
        first_attempt: None,
        age_from_first_attempt: true,
        ..row
    }
}

/// Rows of a replay that runs are its lane's; that a dead letter is gone concerns all lanes of the subscription.
fn tell_lanes(inner: &Inner, rows: Vec<Parked>) {
    for rows in rows.chunk_by(|one, next| one.key.subscription == next.key.subscription) {
        let subscription = rows[0].key.subscription;
        let replays = inner.replaying.lanes(subscription);
        let mut own = rows.to_vec();
        for (number, lane) in &replays {
            let of_it = own.extract_if(.., |row| row.key.replay == *number).collect();
            redriven(lane, of_it, rows);
        }
        if let Some(lane) = inner.lane(subscription) {
            lane.inbox.counters.redriven.fetch_add(rows.len() as u64, Relaxed);
            redriven(&lane, own, rows);
        }
    }
}

/// Tells one lane of its rows, and that the others are dead letters no more.
fn redriven(lane: &LaneHandle, own: Vec<Parked>, all: &[Parked]) {
    let bytes = |rows: &[Parked]| rows.iter().map(|row| row.record.len() as u64).sum::<u64>();
    let events = (all.len() - own.len()) as u64;
    if events > 0 {
        let bytes = bytes(all) - bytes(&own);
        lane.send(Command::Step(Input::Discarded { events, bytes }));
    }
    if !own.is_empty() {
        lane.send(Command::Step(Input::Redriven(own)));
    }
}

/// A redrive must not push a subscription over the bounds of parked deliveries.
fn check_room(inner: &Inner, page: &[Dead]) -> Result<(), Error> {
    for dead in page.chunk_by(|one, next| one.delivery.key.subscription == next.delivery.key.subscription) {
        let Some(lane) = inner.lane(dead[0].delivery.key.subscription) else {
            continue;
        };
        let (counters, bounds) = (&lane.inbox.counters, &inner.settings.lane);
        let more = dead.iter().map(|dead| dead.delivery.record.len() as u64).sum::<u64>();
        let events = counters.parked_now.load(Relaxed) + dead.len() as u64;
        let bytes = counters.parked_bytes_now.load(Relaxed) + more;
        if events > bounds.parked_events || bytes > bounds.parked_bytes {
            let (events, bytes) = (bounds.parked_events, bounds.parked_bytes);
            let detail = format!(
                "a subscription holds at most {events} parked deliveries of {bytes} bytes; redrive again when some are done"
            );
            let code = "limit_exceeded";
            return Err(Refusal::new(code, Class::Limit, detail).into());
        }
    }
    Ok(())
}

/// A refusal on a later page says what the earlier ones did.
pub fn after_some(error: Error, events: u64) -> Error {
    match error {
        Error::Refused(refusal) if events > 0 => Error::Refused(Refusal {
            detail: format!("{events} were sent out again, then: {}", refusal.detail),
            ..refusal
        }),
        error => error,
    }
}

/// What says for good that a person discarded them, once no mark does: neighbours are one range. A replay's event has an end of its
/// own there, and what was imported lies at no place of the journal.
fn discarded_ranges(page: &[Dead], recorded: Millis) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::new();
    let keys = page.iter().map(|dead| dead.delivery.key);
    for key in keys.filter(|key| key.replay == 0 && !import::is_imported(*key)) {
        let is_next = |range: &&mut Range| {
            (range.subscription, range.partition, range.to) == (key.subscription, key.partition, key.offset)
        };
        match ranges.last_mut().filter(is_next) {
            Some(range) => {
                range.to += 1;
                range.matched = range.matched.map(|matched| matched + 1);
            }
            None => ranges.push(Range {
                subscription: key.subscription,
                partition: key.partition,
                from: key.offset,
                to: key.offset + 1,
                matched: Some(1),
                reason: RangeReason::Discarded,
                recorded,
            }),
        }
    }
    ranges
}

/// Deletes a page of them for good; the same about the entry.
pub async fn discard(
    inner: &Inner,
    selected: Selected,
    after: Option<DeliveryKey>,
    entry: Option<Operation>,
) -> Result<Moved, Error> {
    let page = selected.page(inner, after, DEAD_PAGE).await?;
    let last = page.last().map(|dead| dead.delivery.key);
    let events = page.len() as u64;
    if page.is_empty() {
        return Ok(Moved { events, last });
    }
    let above = Above::positions(inner).await?;
    let operations = page.iter().flat_map(|dead| {
        let key = dead.delivery.key;
        [Operation::Exhume(key)]
            .into_iter()
            .chain(above.mark(key, Ending::Discarded))
    });
    let ranges = discarded_ranges(&page, inner.settings.clock.now()).into_iter();
    let operations = operations.chain(ranges.map(Operation::RecordRange)).chain(entry);
    let operations = operations.collect();
    inner.store.apply(selected.bus, operations).await?;
    for dead in page.chunk_by(|one, next| one.delivery.key.subscription == next.delivery.key.subscription) {
        if let Some(lane) = inner.lane(dead[0].delivery.key.subscription) {
            let (events, bytes) = (
                dead.len() as u64,
                dead.iter().map(|dead| dead.delivery.record.len() as u64).sum(),
            );
            lane.inbox.counters.discarded.fetch_add(events, Relaxed);
            lane.send(Command::Step(Input::Discarded { events, bytes }));
            for (_, lane) in inner.replaying.lanes(dead[0].delivery.key.subscription) {
                lane.send(Command::Step(Input::Discarded { events, bytes }));
            }
        }
    }
    Ok(Moved { events, last })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_before_another_is_below_it_and_nothing_lies_between() {
        let key = |topic, index, offset, replay| DeliveryKey {
            subscription: 1,
            partition: Partition { topic, index },
            offset,
            replay,
        };
        assert_eq!(before(key(1, 1, 5, 2)), Some(key(1, 1, 5, 1)));
        assert_eq!(before(key(1, 1, 5, 0)), Some(key(1, 1, 4, u32::MAX)));
        assert_eq!(before(key(0, 0, 0, 0)), None);
        assert!(before(key(1, 1, 0, 0)) < Some(key(1, 1, 0, 0)));
    }
}
