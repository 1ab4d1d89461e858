//! Rows: how a contract's value becomes columns and comes back, and the sum that guards it on the way.
//!
//! A decoded row whose sum differs is [`Error::Corrupt`]: a wrong row is never handed out. It runs no statements.

use crate::{
    AuditEnd, AuditEntry, Dead, DeliveryKey, Document, Ending, Error, Holdings, Kind, LaneRow, Mark, Parked, Partition,
    Range, RangeReason, Revision, SubscriptionId,
};
use bytes::Bytes;
use rusqlite::Row;

/// The checksum of a row: CRC-32C over the table's name, then each column: a number as 8 bytes little endian, an
/// optional one after a byte that says whether it is there, text and bytes after their length.
struct Sum(u32);

impl Sum {
    fn of(table: &str) -> Self {
        Self(crc32c::crc32c(table.as_bytes()))
    }

    fn number(self, value: i64) -> Self {
        Self(crc32c::crc32c_append(self.0, &value.to_le_bytes()))
    }

    fn numbers(self, values: &[i64]) -> Self {
        values.iter().fold(self, |sum, value| sum.number(*value))
    }

    fn option(self, value: Option<i64>) -> Self {
        let tagged = Self(crc32c::crc32c_append(self.0, &[u8::from(value.is_some())]));
        value.into_iter().fold(tagged, Self::number)
    }

    fn bytes(self, value: &[u8]) -> Self {
        Self(crc32c::crc32c_append(self.number(value.len() as i64).0, value))
    }

    fn end(self) -> i64 {
        i64::from(self.0)
    }
}

/// The `i64` of the same bits; see `schema.rs`.
pub(super) fn bits(value: u64) -> i64 {
    value.cast_signed()
}

/// An exclusive upper bound on a column of offsets.
pub(super) fn bound(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// An order key such that SQLite's order is the contract's.
pub(super) fn order(value: u64) -> i64 {
    (value ^ (1 << 63)).cast_signed()
}

fn order_back(value: i64) -> u64 {
    value.cast_unsigned() ^ (1 << 63)
}

fn key_numbers(key: &DeliveryKey) -> [i64; 5] {
    let DeliveryKey {
        subscription,
        partition,
        offset,
        replay,
    } = *key;
    [
        bits(subscription),
        partition.topic.into(),
        partition.index.into(),
        bits(offset),
        replay.into(),
    ]
}

pub(super) fn revision_sum(revision: Revision) -> i64 {
    Sum::of("revision").number(bits(revision)).end()
}

pub(super) fn document_sum(document: &Document) -> i64 {
    Sum::of("document")
        .numbers(&[document.bus.into(), document.kind as i64, bits(document.version)])
        .bytes(document.name.as_bytes())
        .bytes(&document.body)
        .end()
}

pub(super) fn audit_sum(entry: &AuditEntry) -> i64 {
    Sum::of("audit")
        .numbers(&[bits(entry.seq), entry.at, entry.bus.into()])
        .bytes(&entry.hash)
        .bytes(&entry.body)
        .end()
}

pub(super) fn audit_end_sum(id: i64, end: &AuditEnd) -> i64 {
    Sum::of("audit_end")
        .numbers(&[id, bits(end.seq)])
        .bytes(&end.hash)
        .end()
}

pub(super) fn audit_entry(row: &Row<'_>) -> Result<AuditEntry, Error> {
    let entry = AuditEntry {
        seq: unsigned(row, "seq")?,
        at: row.get("at")?,
        bus: row.get("bus")?,
        body: blob(row, "body")?,
        hash: row.get("hash")?,
    };
    checked(row, "audit", audit_sum(&entry), entry)
}

pub(super) fn audit_end(row: &Row<'_>) -> Result<(i64, AuditEnd), Error> {
    let id = row.get("id")?;
    let end = AuditEnd {
        seq: unsigned(row, "seq")?,
        hash: row.get("hash")?,
    };
    checked(row, "audit_end", audit_end_sum(id, &end), (id, end))
}

pub(super) fn tail_sum(partition: Partition, position: u64) -> i64 {
    Sum::of("tail")
        .numbers(&[partition.topic.into(), partition.index.into(), bits(position)])
        .end()
}

pub(super) fn lane_sum(lane: &LaneRow) -> i64 {
    let Partition { topic, index } = lane.partition;
    Sum::of("lane")
        .numbers(&[bits(lane.subscription), topic.into(), index.into()])
        .numbers(&[bits(lane.position), bits(lane.floor), lane.follows_tail.into()])
        .end()
}

pub(super) fn mark_sum(mark: &Mark) -> i64 {
    Sum::of("mark")
        .numbers(&key_numbers(&mark.key))
        .number(mark.ending as i64)
        .end()
}

pub(super) fn parked_sum(parked: &Parked) -> i64 {
    delivery_sum(Sum::of("parked"), parked).end()
}

/// The sum of what the index over order keys holds, which is read without the row behind it.
pub(super) fn order_sum(order_key: u64, key: &DeliveryKey) -> i64 {
    Sum::of("order")
        .number(order(order_key))
        .numbers(&key_numbers(key))
        .end()
}

pub(super) fn dead_sum(dead: &Dead) -> i64 {
    delivery_sum(Sum::of("dead"), &dead.delivery)
        .bytes(dead.event_type.as_bytes())
        .bytes(dead.event_id.as_bytes())
        .bytes(dead.event_source.as_bytes())
        .bytes(dead.detail.as_bytes())
        .end()
}

fn delivery_sum(sum: Sum, parked: &Parked) -> Sum {
    sum.numbers(&key_numbers(&parked.key))
        .numbers(&[
            parked.due,
            parked.attempts.into(),
            parked.appended,
            parked.age_from_first_attempt.into(),
        ])
        .numbers(&[bits(parked.version), parked.edits.into()])
        .option(parked.first_attempt)
        .option(parked.order.map(order))
        .bytes(parked.reason.as_bytes())
        .bytes(&parked.record)
}

pub(super) fn range_sum(range: &Range) -> i64 {
    let Partition { topic, index } = range.partition;
    Sum::of("span")
        .numbers(&[
            bits(range.subscription),
            topic.into(),
            index.into(),
            bits(range.from),
            bits(range.to),
        ])
        .option(range.matched.map(bits))
        .numbers(&[range.reason as i64, range.recorded])
        .end()
}

pub(super) fn holdings_sum(subscription: SubscriptionId, holdings: &Holdings) -> i64 {
    Sum::of("holding")
        .numbers(&[bits(subscription), bits(holdings.parked), bits(holdings.parked_bytes)])
        .numbers(&[bits(holdings.dead), bits(holdings.dead_bytes)])
        .end()
}

/// Columns `revision sum`.
pub(super) fn revision(row: &Row<'_>) -> Result<Revision, Error> {
    let revision = unsigned(row, "revision")?;
    checked(row, "revision", revision_sum(revision), revision)
}

/// All columns of `document`.
pub(super) fn document(row: &Row<'_>) -> Result<Document, Error> {
    let document = Document {
        bus: row.get("bus")?,
        kind: kind(row.get("kind")?)?,
        name: row.get("name")?,
        version: unsigned(row, "version")?,
        body: blob(row, "body")?,
    };
    checked(row, "document", document_sum(&document), document)
}

/// All columns of `tail`.
pub(super) fn tail(row: &Row<'_>) -> Result<(Partition, u64), Error> {
    let (partition, position) = (partition(row)?, unsigned(row, "position")?);
    checked(row, "tail", tail_sum(partition, position), (partition, position))
}

/// All columns of `lane`.
pub(super) fn lane(row: &Row<'_>) -> Result<LaneRow, Error> {
    let lane = LaneRow {
        subscription: unsigned(row, "subscription")?,
        partition: partition(row)?,
        position: unsigned(row, "position")?,
        floor: unsigned(row, "floor")?,
        follows_tail: row.get("follows_tail")?,
    };
    checked(row, "lane", lane_sum(&lane), lane)
}

/// All columns of `mark`.
pub(super) fn mark(row: &Row<'_>) -> Result<Mark, Error> {
    let mark = Mark {
        key: key(row)?,
        ending: ending(row.get("ending")?)?,
    };
    checked(row, "mark", mark_sum(&mark), mark)
}

/// All columns of `parked`.
pub(super) fn parked(row: &Row<'_>) -> Result<Parked, Error> {
    let parked = delivery(row)?;
    checked(row, "parked", parked_sum(&parked), parked)
}

/// All columns of `dead`.
pub(super) fn dead(row: &Row<'_>) -> Result<Dead, Error> {
    let dead = Dead {
        delivery: delivery(row)?,
        event_type: row.get("event_type")?,
        event_id: row.get("event_id")?,
        event_source: row.get("event_source")?,
        detail: row.get("detail")?,
    };
    checked(row, "dead", dead_sum(&dead), dead)
}

/// An order key, a delivery key, and `order_sum` as `sum`.
pub(super) fn ordered_key(row: &Row<'_>) -> Result<(u64, DeliveryKey), Error> {
    let (order_key, key) = (order_back(row.get("key_order")?), key(row)?);
    checked(row, "parked", order_sum(order_key, &key), (order_key, key))
}

/// All columns of `span`.
pub(super) fn range(row: &Row<'_>) -> Result<Range, Error> {
    let range = Range {
        subscription: unsigned(row, "subscription")?,
        partition: partition(row)?,
        from: unsigned(row, "first")?,
        to: unsigned(row, "after")?,
        matched: row.get::<_, Option<i64>>("matched")?.map(i64::cast_unsigned),
        reason: range_reason(row.get("reason")?)?,
        recorded: row.get("recorded")?,
    };
    checked(row, "span", range_sum(&range), range)
}

/// All columns of `holding`, and `next_due`, which the sum does not cover.
pub(super) fn holding(row: &Row<'_>) -> Result<(SubscriptionId, Holdings), Error> {
    let subscription = unsigned(row, "subscription")?;
    let holdings = Holdings {
        parked: unsigned(row, "parked")?,
        parked_bytes: unsigned(row, "parked_bytes")?,
        next_due: row.get("next_due")?,
        dead: unsigned(row, "dead")?,
        dead_bytes: unsigned(row, "dead_bytes")?,
    };
    checked(
        row,
        "holding",
        holdings_sum(subscription, &holdings),
        (subscription, holdings),
    )
}

/// Columns `events bytes`.
pub(super) fn events_and_bytes(row: &Row<'_>) -> Result<(u64, u64), Error> {
    Ok((unsigned(row, "events")?, unsigned(row, "bytes")?))
}

/// What was counted of parked rows.
pub(super) fn counted(row: &Row<'_>) -> Result<Holdings, Error> {
    Ok(Holdings {
        parked: unsigned(row, "parked")?,
        parked_bytes: unsigned(row, "parked_bytes")?,
        next_due: row.get("next_due")?,
        ..Holdings::default()
    })
}

fn delivery(row: &Row<'_>) -> Result<Parked, Error> {
    Ok(Parked {
        key: key(row)?,
        due: row.get("due")?,
        attempts: row.get("attempts")?,
        first_attempt: row.get("first_attempt")?,
        appended: row.get("appended")?,
        age_from_first_attempt: row.get("age_from_first_attempt")?,
        version: unsigned(row, "version")?,
        order: row.get::<_, Option<i64>>("key_order")?.map(order_back),
        edits: row.get("edits")?,
        reason: row.get("reason")?,
        record: blob(row, "record")?,
    })
}

/// Column `version`.
pub(super) fn version(row: &Row<'_>) -> Result<Revision, Error> {
    unsigned(row, "version")
}

/// The columns of a delivery key.
pub(super) fn key(row: &Row<'_>) -> Result<DeliveryKey, Error> {
    Ok(DeliveryKey {
        subscription: unsigned(row, "subscription")?,
        partition: partition(row)?,
        offset: unsigned(row, "position")?,
        replay: row.get("replay")?,
    })
}

fn partition(row: &Row<'_>) -> Result<Partition, Error> {
    Ok(Partition {
        topic: row.get("topic")?,
        index: row.get("partition")?,
    })
}

fn unsigned(row: &Row<'_>, column: &str) -> Result<u64, Error> {
    Ok(row.get::<_, i64>(column)?.cast_unsigned())
}

fn blob(row: &Row<'_>, column: &str) -> Result<Bytes, Error> {
    Ok(Bytes::from(row.get::<_, Vec<u8>>(column)?))
}

fn checked<T>(row: &Row<'_>, table: &str, sum: i64, value: T) -> Result<T, Error> {
    let stored: i64 = row.get("sum")?;
    if stored == sum {
        Ok(value)
    } else {
        Err(Error::Corrupt(format!("a row of {table} does not have its sum")))
    }
}

fn kind(number: i64) -> Result<Kind, Error> {
    Ok(match number {
        1 => Kind::Bus,
        2 => Kind::Topic,
        3 => Kind::EventType,
        4 => Kind::Connection,
        5 => Kind::Subscription,
        6 => Kind::SubscriptionVersion,
        7 => Kind::Key,
        8 => Kind::Setting,
        _ => return Err(unknown("kind", number)),
    })
}

fn ending(number: i64) -> Result<Ending, Error> {
    Ok(match number {
        1 => Ending::Parked,
        2 => Ending::Dead,
        3 => Ending::Discarded,
        4 => Ending::Delivered,
        _ => return Err(unknown("ending", number)),
    })
}

fn range_reason(number: i64) -> Result<RangeReason, Error> {
    Ok(match number {
        1 => RangeReason::Expired,
        2 => RangeReason::Damaged,
        3 => RangeReason::Discarded,
        4 => RangeReason::Skipped,
        _ => return Err(unknown("reason", number)),
    })
}

fn unknown(column: &str, number: i64) -> Error {
    Error::Corrupt(format!("{column} {number} is unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sums are persisted: another value here is another format.
    #[test]
    fn sums_are_what_they_were() {
        let partition = Partition { topic: 2, index: 3 };
        let key = DeliveryKey {
            subscription: 1,
            partition,
            offset: 4,
            replay: 5,
        };
        let parked = Parked {
            key,
            due: 6,
            attempts: 7,
            first_attempt: Some(8),
            appended: 9,
            age_from_first_attempt: true,
            version: 10,
            order: Some(11),
            edits: 12,
            reason: "reason".to_owned(),
            record: Bytes::from_static(b"record"),
        };
        let dead = Dead {
            delivery: parked.clone(),
            event_type: "type".to_owned(),
            event_id: "id".to_owned(),
            event_source: "source".to_owned(),
            detail: "detail".to_owned(),
        };
        let (name, body) = ("name".to_owned(), Bytes::from_static(b"body"));
        let reason = RangeReason::Expired;
        let range = Range {
            subscription: 1,
            partition,
            from: 4,
            to: 5,
            matched: None,
            reason,
            recorded: 6,
        };
        let holdings = Holdings {
            parked: 1,
            parked_bytes: 2,
            next_due: None,
            dead: 3,
            dead_bytes: 4,
        };
        let sums = [
            revision_sum(1),
            document_sum(&Document {
                bus: 1,
                kind: Kind::Topic,
                name,
                version: 2,
                body,
            }),
            tail_sum(partition, 4),
            lane_sum(&LaneRow {
                subscription: 1,
                partition,
                position: 4,
                floor: 5,
                follows_tail: true,
            }),
            mark_sum(&Mark {
                key,
                ending: Ending::Delivered,
            }),
            parked_sum(&parked),
            order_sum(11, &key),
            dead_sum(&dead),
            range_sum(&range),
            holdings_sum(1, &holdings),
            audit_sum(&AuditEntry {
                seq: 1,
                at: 2,
                bus: 3,
                body: Bytes::from_static(b"body"),
                hash: [4; 32],
            }),
            audit_end_sum(2, &AuditEnd { seq: 1, hash: [4; 32] }),
        ];
        let expected = [
            2493726684, 1601067763, 1112679721, 1830117070, 2829692768, 1419503691, 3338517657, 2618134925, 827445376,
            1606510982, 296768429, 3258061690,
        ];
        assert_eq!(sums, expected);
    }

    #[test]
    fn order_keys_sort_as_numbers_do() {
        let keys = [0, 1, u64::MAX / 2, u64::MAX / 2 + 1, u64::MAX];
        assert!(keys.map(order).is_sorted());
        assert_eq!(keys.map(order).map(order_back), keys);
    }
}
