//! A journal that is shorter than what the store remembers of it: its tail was lost, or an older copy of it was put back. Its
//! offsets will be given again, so nothing may stay that speaks of them: neither positions, marks and boundaries beyond the
//! end, which would swallow new events, nor parked deliveries and dead letters there, which new ones would be taken for. They go
//! with a recorded range. Once, at the start; it decides nothing about a journal that is as long as it was.

use crate::{
    Error,
    inner::Inner,
    matching::stored,
    restore::{Boundaries, all_partitions, boundary_body, boundary_name},
};
use control::Model;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use store::{DeliveryKey, Expect, Kind, LaneRow, Mark, Operation, Partition, Range, RangeReason, SubscriptionId};

/// Rows that go in one transaction.
const ROWS_MAX: usize = 1_000;

/// What the store says of places in the journal; put right by [`repair`].
#[derive(Debug, Default)]
pub struct Remembered {
    /// Tail positions.
    pub tails: HashMap<Partition, u64>,
    /// Rows of lanes.
    pub rows: Vec<LaneRow>,
    /// Offsets below which earlier versions speak.
    pub boundaries: Boundaries,
}

/// Puts everything back to the ends of the journal. Rows go first: as long as one is left, something else shows that the journal
/// was longer, so that a start that breaks off is made good by the next one.
pub async fn repair(inner: &Inner, model: &Model, remembered: &mut Remembered) -> Result<(), Error> {
    let mut ends = BTreeMap::new();
    for partition in all_partitions(model) {
        ends.insert(stored(partition), inner.journal.bounds(partition)?.high_water);
    }
    let mut marks: BTreeMap<SubscriptionId, Vec<Mark>> = BTreeMap::new();
    for bus in model.buses.values() {
        for subscription in bus.subscriptions.values() {
            let of_it = inner.store.marks(subscription.id).await?;
            if of_it
                .iter()
                .any(|mark| is_beyond(&ends, mark.key.partition, mark.key.offset + 1))
            {
                marks.insert(subscription.id, of_it);
            }
        }
    }
    let short = shortened(&ends, remembered, &marks);
    if short.is_empty() {
        return Ok(());
    }
    for partition in &short {
        let end = ends[partition];
        tracing::error!(
            ?partition,
            end,
            "the journal is shorter than it was; what the store remembers beyond its end goes"
        );
        forget_rows(inner, *partition, end).await?;
    }
    put_back_lanes(inner, &ends, &mut remembered.rows, marks).await?;
    put_back_boundaries(inner, &ends, &mut remembered.boundaries).await?;
    put_back_tails(inner, &ends, &mut remembered.tails).await
}

/// Whether a position lies beyond the end of its partition.
fn is_beyond(ends: &BTreeMap<Partition, u64>, partition: Partition, position: u64) -> bool {
    ends.get(&partition).is_some_and(|end| position > *end)
}

/// Partitions that somebody remembers to have been longer.
fn shortened(
    ends: &BTreeMap<Partition, u64>,
    remembered: &Remembered,
    marks: &BTreeMap<SubscriptionId, Vec<Mark>>,
) -> BTreeSet<Partition> {
    let tails = remembered
        .tails
        .iter()
        .map(|(partition, position)| (*partition, *position));
    let rows = remembered.rows.iter().map(|row| (row.partition, row_reach(row)));
    let boundaries = remembered
        .boundaries
        .values()
        .flatten()
        .map(|(partition, to)| (*partition, *to));
    let marked = marks.values().flatten();
    let marked = marked.map(|mark| (mark.key.partition, mark.key.offset + 1));
    let all = tails.chain(rows).chain(boundaries).chain(marked);
    all.filter(|(partition, position)| is_beyond(ends, *partition, *position))
        .map(|(partition, _)| partition)
        .collect()
}

/// How far a row reaches; where the tail speaks for it, its position is an old one that nobody reads.
fn row_reach(row: &LaneRow) -> u64 {
    match row.follows_tail {
        true => row.floor,
        false => row.position.max(row.floor),
    }
}

/// Parked deliveries and dead letters of records that the journal has lost.
async fn forget_rows(inner: &Inner, partition: Partition, end: u64) -> Result<(), Error> {
    let keys = inner.store.held_from(partition, end).await?;
    // What is appended from now on is later than this.
    let recorded = inner.journal.now() - 1;
    for of_one in keys.chunk_by(|one, next| one.subscription == next.subscription) {
        for some in of_one.chunks(ROWS_MAX) {
            let (first, last) = (some[0], some[some.len() - 1]);
            let mut operations = vec![Operation::RecordRange(Range {
                subscription: first.subscription,
                partition,
                from: first.offset,
                to: last.offset + 1,
                matched: Some(some.len() as u64),
                reason: RangeReason::Damaged,
                recorded,
            })];
            let gone = |key: &DeliveryKey| [Operation::Unpark(*key), Operation::Exhume(*key)];
            operations.extend(some.iter().flat_map(gone));
            inner.store.apply(partition_bus(inner, partition), operations).await?;
            tracing::error!(
                subscription = first.subscription,
                ?partition,
                events = some.len(),
                "parked deliveries and dead letters of records that the journal has lost were given up"
            );
        }
    }
    Ok(())
}

/// For fairness only.
fn partition_bus(inner: &Inner, partition: Partition) -> store::BusId {
    let model = inner.model.load();
    let owns = |bus: &&std::sync::Arc<control::Bus>| bus.topics.values().any(|topic| topic.id == partition.topic);
    model.buses.values().find(owns).map_or(0, |bus| bus.id)
}

/// Positions, floors and marks.
async fn put_back_lanes(
    inner: &Inner,
    ends: &BTreeMap<Partition, u64>,
    rows: &mut [LaneRow],
    marks: BTreeMap<SubscriptionId, Vec<Mark>>,
) -> Result<(), Error> {
    let mut operations: BTreeMap<SubscriptionId, Vec<Operation>> = BTreeMap::new();
    for row in rows
        .iter_mut()
        .filter(|row| is_beyond(ends, row.partition, row_reach(row)))
    {
        let end = ends[&row.partition];
        (row.position, row.floor) = (row.position.min(end), row.floor.min(end));
        let of_it = operations.entry(row.subscription).or_default();
        of_it.push(Operation::SaveLane(*row));
    }
    for (subscription, marks) in marks {
        let of_it = operations.entry(subscription).or_default();
        of_it.extend(marks_within(ends, subscription, &marks));
    }
    for operations in operations.into_values() {
        inner.store.apply(0, operations).await?;
    }
    Ok(())
}

/// Clears the marks of partitions that have some beyond the end, and leaves the others again.
fn marks_within(ends: &BTreeMap<Partition, u64>, subscription: SubscriptionId, marks: &[Mark]) -> Vec<Operation> {
    let beyond = |mark: &&Mark| is_beyond(ends, mark.key.partition, mark.key.offset + 1);
    let place = |mark: &Mark| (mark.key.partition, mark.key.replay);
    let places: BTreeSet<(Partition, u32)> = marks.iter().filter(beyond).map(place).collect();
    let clear = |(partition, replay): &(Partition, u32)| Operation::ClearMarks {
        subscription,
        partition: *partition,
        replay: *replay,
        below: i64::MAX.unsigned_abs(),
    };
    let inside = marks
        .iter()
        .filter(|mark| places.contains(&place(mark)) && !beyond(mark));
    let cleared = places.iter().map(clear);
    cleared.chain(inside.map(|mark| Operation::Mark(*mark))).collect()
}

async fn put_back_boundaries(
    inner: &Inner,
    ends: &BTreeMap<Partition, u64>,
    boundaries: &mut Boundaries,
) -> Result<(), Error> {
    let mut operations = Vec::new();
    for ((subscription, version), boundary) in boundaries {
        if !boundary.iter().any(|(partition, to)| is_beyond(ends, *partition, *to)) {
            continue;
        }
        for (partition, to) in boundary.iter_mut() {
            *to = ends.get(partition).map_or(*to, |end| *end.min(to));
        }
        operations.push(Operation::PutDocument {
            bus: 0,
            kind: Kind::Setting,
            name: boundary_name(*subscription, *version),
            expect: Expect::Any,
            body: boundary_body(boundary),
        });
    }
    if !operations.is_empty() {
        inner.store.apply(0, operations).await?;
    }
    Ok(())
}

async fn put_back_tails(
    inner: &Inner,
    ends: &BTreeMap<Partition, u64>,
    tails: &mut HashMap<Partition, u64>,
) -> Result<(), Error> {
    let mut operations = Vec::new();
    for (partition, position) in tails.iter_mut() {
        if is_beyond(ends, *partition, *position) {
            *position = ends[partition];
            let (partition, position) = (*partition, *position);
            operations.push(Operation::SaveTail { partition, position });
        }
    }
    if !operations.is_empty() {
        inner.store.apply(0, operations).await?;
    }
    Ok(())
}
