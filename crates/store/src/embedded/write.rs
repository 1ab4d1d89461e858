//! The steps of one `apply` as statements, inside a transaction that the writer has opened.
//!
//! It neither begins nor ends transactions: a failed step leaves that to its caller.

use super::audit;
use super::rows::{
    bits, bound, dead_sum, document_sum, holding, holdings_sum, lane_sum, mark_sum, order, order_sum, parked_sum,
    range_sum, tail_sum,
};
use crate::{
    BusId, Dead, DeliveryKey, Document, Error, Expect, Holdings, Kind, LaneRow, Mark, Operation, Parked, Partition,
    Range, RangeReason, Revision, SubscriptionId,
};
use rusqlite::{Connection, OptionalExtension, ToSql, named_params, params};
use std::collections::BTreeMap;

/// Runs all steps, in order, under one revision.
pub(super) fn apply(connection: &Connection, revision: Revision, operations: &[Operation]) -> Result<(), Error> {
    let mut step = Step {
        connection,
        revision,
        changes: BTreeMap::new(),
    };
    operations.iter().try_for_each(|operation| step.run(operation))?;
    step.save_holdings()
}

struct Step<'a> {
    connection: &'a Connection,
    revision: Revision,
    changes: BTreeMap<SubscriptionId, Change>,
}

/// What an `apply` adds to a subscription's [`Holdings`].
#[derive(Default)]
struct Change {
    parked: i64,
    parked_bytes: i64,
    dead: i64,
    dead_bytes: i64,
}

impl Step<'_> {
    fn run(&mut self, operation: &Operation) -> Result<(), Error> {
        match operation {
            Operation::PutDocument {
                bus,
                kind,
                name,
                expect,
                body,
            } => {
                self.expect(*bus, *kind, name, *expect)?;
                let (name, body) = (name.clone(), body.clone());
                self.put_document(&Document {
                    bus: *bus,
                    kind: *kind,
                    name,
                    version: self.revision,
                    body,
                })
            }
            Operation::DeleteDocument {
                bus,
                kind,
                name,
                expect,
            } => self.delete_document(*bus, *kind, name, *expect),
            Operation::SaveTail { partition, position } => self.save_tail(*partition, *position),
            Operation::SaveLane(lane) => self.save_lane(lane),
            Operation::Park(parked) => self.park(parked),
            Operation::Unpark(key) => self.unpark(key),
            Operation::Bury(dead) => self.bury(dead),
            Operation::Exhume(key) => self.exhume(key),
            Operation::Mark(mark) => self.mark(mark),
            Operation::ClearMarks {
                subscription,
                partition,
                replay,
                below,
            } => self.clear_marks(*subscription, *partition, *replay, *below),
            Operation::RecordRange(range) => self.record_range(range),
            Operation::ForgetDiscarded { partition, to } => self.forget_discarded(*partition, *to),
            Operation::ForgetSubscription(subscription) => self.forget_subscription(*subscription),
            Operation::ForgetReplay { subscription, replay } => self.forget_replay(*subscription, *replay),
            Operation::ForgetTopic(topic) => self.forget_topic(*topic),
            Operation::Audit { at, bus, body } => audit::add(self.connection, *at, *bus, body),
            Operation::TrimAudit { before } => audit::trim(self.connection, *before),
            Operation::MendAuditEnd => audit::mend_end(self.connection),
        }
    }

    fn execute(&self, sql: &str, parameters: &[&dyn ToSql]) -> Result<usize, Error> {
        Ok(self.connection.prepare_cached(sql)?.execute(parameters)?)
    }

    /// Fails with [`Error::Conflict`] unless the condition holds.
    fn expect(&self, bus: BusId, kind: Kind, name: &str, expect: Expect) -> Result<Option<Revision>, Error> {
        let found = self.version(bus, kind, name)?;
        let holds = match expect {
            Expect::Any => true,
            Expect::Absent => found.is_none(),
            Expect::Version(version) => found == Some(version),
        };
        if holds {
            Ok(found)
        } else {
            Err(Error::Conflict {
                kind,
                name: name.to_owned(),
                found,
            })
        }
    }

    fn version(&self, bus: BusId, kind: Kind, name: &str) -> Result<Option<Revision>, Error> {
        let sql = "SELECT * FROM document WHERE bus = ? AND kind = ? AND name = ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![bus, kind as i64, name])?;
        let document = rows.next()?.map(super::rows::document).transpose()?;
        Ok(document.map(|document| document.version))
    }

    fn put_document(&self, document: &Document) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO document (bus, kind, name, version, body, sum) VALUES (?, ?, ?, ?, ?, ?)";
        let Document {
            bus,
            kind,
            name,
            version,
            body,
        } = document;
        let sum = document_sum(document);
        self.execute(sql, params![bus, *kind as i64, name, bits(*version), &body[..], sum])?;
        Ok(())
    }

    fn delete_document(&self, bus: BusId, kind: Kind, name: &str, expect: Expect) -> Result<(), Error> {
        let found = self.expect(bus, kind, name, expect)?;
        if found.is_none() && expect != Expect::Any {
            return Err(Error::Conflict {
                kind,
                name: name.to_owned(),
                found,
            });
        }
        let sql = "DELETE FROM document WHERE bus = ? AND kind = ? AND name = ?";
        self.execute(sql, params![bus, kind as i64, name])?;
        Ok(())
    }

    fn save_tail(&self, partition: Partition, position: u64) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO tail (topic, partition, position, sum) VALUES (?, ?, ?, ?)";
        let sum = tail_sum(partition, position);
        self.execute(sql, params![partition.topic, partition.index, bits(position), sum])?;
        Ok(())
    }

    fn save_lane(&self, lane: &LaneRow) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO lane (subscription, topic, partition, position, floor, follows_tail, sum)
                   VALUES (?, ?, ?, ?, ?, ?, ?)";
        let Partition { topic, index } = lane.partition;
        let (position, floor) = (bits(lane.position), bits(lane.floor));
        let sum = lane_sum(lane);
        let subscription = bits(lane.subscription);
        self.execute(
            sql,
            params![subscription, topic, index, position, floor, lane.follows_tail, sum],
        )?;
        Ok(())
    }

    fn park(&mut self, parked: &Parked) -> Result<(), Error> {
        if !self.insert_parked(parked)? {
            self.unpark(&parked.key)?;
            self.insert_parked(parked)?;
        }
        let change = self.changes.entry(parked.key.subscription).or_default();
        change.parked += 1;
        change.parked_bytes += parked.record.len() as i64;
        Ok(())
    }

    /// Whether the row was new: by far the usual case, so the row it would replace is not looked up first.
    fn insert_parked(&self, parked: &Parked) -> Result<bool, Error> {
        let sql = "INSERT OR IGNORE INTO parked (topic, partition, position, subscription, replay, due, attempts,
                       first_attempt, appended, age_from_first_attempt, version, key_order, order_sum, edits, reason,
                       sum, record)
                   VALUES (:topic, :partition, :position, :subscription, :replay, :due, :attempts,
                       :first_attempt, :appended, :age_from_first_attempt, :version, :key_order, :order_sum, :edits,
                       :reason, :sum, :record)";
        let key = &parked.key;
        let inserted = self.connection.prepare_cached(sql)?.execute(named_params! {
            ":topic": key.partition.topic,
            ":partition": key.partition.index,
            ":position": bits(key.offset),
            ":subscription": bits(key.subscription),
            ":replay": key.replay,
            ":due": parked.due,
            ":attempts": parked.attempts,
            ":first_attempt": parked.first_attempt,
            ":appended": parked.appended,
            ":age_from_first_attempt": parked.age_from_first_attempt,
            ":version": bits(parked.version),
            ":key_order": parked.order.map(order),
            ":order_sum": parked.order.map(|order_key| order_sum(order_key, key)),
            ":edits": parked.edits,
            ":reason": parked.reason,
            ":sum": parked_sum(parked),
            ":record": &parked.record[..],
        })?;
        Ok(inserted == 1)
    }

    fn unpark(&mut self, key: &DeliveryKey) -> Result<(), Error> {
        let sql = "DELETE FROM parked
                   WHERE subscription = ? AND topic = ? AND partition = ? AND position = ? AND replay = ?
                   RETURNING length(record)";
        if let Some(bytes) = self.delete_delivery(sql, key)? {
            let change = self.changes.entry(key.subscription).or_default();
            change.parked -= 1;
            change.parked_bytes -= bytes;
        }
        Ok(())
    }

    fn delete_delivery(&self, sql: &str, key: &DeliveryKey) -> Result<Option<i64>, Error> {
        let DeliveryKey {
            subscription,
            partition,
            offset,
            replay,
        } = *key;
        let parameters = params![
            bits(subscription),
            partition.topic,
            partition.index,
            bits(offset),
            replay
        ];
        Ok(self
            .connection
            .prepare_cached(sql)?
            .query_row(parameters, |row| row.get(0))
            .optional()?)
    }

    fn bury(&mut self, dead: &Dead) -> Result<(), Error> {
        let parked = &dead.delivery;
        if !self.insert_dead(dead)? {
            self.exhume(&parked.key)?;
            self.insert_dead(dead)?;
        }
        let change = self.changes.entry(parked.key.subscription).or_default();
        change.dead += 1;
        change.dead_bytes += parked.record.len() as i64;
        Ok(())
    }

    fn insert_dead(&self, dead: &Dead) -> Result<bool, Error> {
        let sql = "INSERT OR IGNORE INTO dead (subscription, topic, partition, position, replay, due, attempts,
                       first_attempt, appended, age_from_first_attempt, version, key_order, edits, reason, sum,
                       event_type, event_id, event_source, detail, record)
                   VALUES (:subscription, :topic, :partition, :position, :replay, :due, :attempts,
                       :first_attempt, :appended, :age_from_first_attempt, :version, :key_order, :edits, :reason, :sum,
                       :event_type, :event_id, :event_source, :detail, :record)";
        let Dead {
            delivery: parked,
            event_type,
            event_id,
            event_source,
            detail,
        } = dead;
        let key = &parked.key;
        let inserted = self.connection.prepare_cached(sql)?.execute(named_params! {
            ":subscription": bits(key.subscription),
            ":topic": key.partition.topic,
            ":partition": key.partition.index,
            ":position": bits(key.offset),
            ":replay": key.replay,
            ":due": parked.due,
            ":attempts": parked.attempts,
            ":first_attempt": parked.first_attempt,
            ":appended": parked.appended,
            ":age_from_first_attempt": parked.age_from_first_attempt,
            ":version": bits(parked.version),
            ":key_order": parked.order.map(order),
            ":edits": parked.edits,
            ":reason": parked.reason,
            ":sum": dead_sum(dead),
            ":event_type": event_type,
            ":event_id": event_id,
            ":event_source": event_source,
            ":detail": detail,
            ":record": &parked.record[..],
        })?;
        Ok(inserted == 1)
    }

    fn exhume(&mut self, key: &DeliveryKey) -> Result<(), Error> {
        let sql = "DELETE FROM dead
                   WHERE subscription = ? AND topic = ? AND partition = ? AND position = ? AND replay = ?
                   RETURNING length(record)";
        if let Some(bytes) = self.delete_delivery(sql, key)? {
            let change = self.changes.entry(key.subscription).or_default();
            change.dead -= 1;
            change.dead_bytes -= bytes;
        }
        Ok(())
    }

    fn mark(&self, mark: &Mark) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO mark (subscription, topic, partition, position, replay, ending, sum)
                   VALUES (?, ?, ?, ?, ?, ?, ?)";
        let DeliveryKey {
            subscription,
            partition,
            offset,
            replay,
        } = mark.key;
        let (topic, index, ending) = (partition.topic, partition.index, mark.ending as i64);
        self.execute(
            sql,
            params![
                bits(subscription),
                topic,
                index,
                bits(offset),
                replay,
                ending,
                mark_sum(mark)
            ],
        )?;
        Ok(())
    }

    fn clear_marks(
        &self,
        subscription: SubscriptionId,
        partition: Partition,
        replay: u32,
        below: u64,
    ) -> Result<(), Error> {
        let sql = "DELETE FROM mark
                   WHERE subscription = ? AND topic = ? AND partition = ? AND replay = ? AND position < ?";
        let Partition { topic, index } = partition;
        self.execute(sql, params![bits(subscription), topic, index, replay, bound(below)])?;
        Ok(())
    }

    fn record_range(&self, range: &Range) -> Result<(), Error> {
        let sql = "INSERT INTO span (subscription, topic, partition, first, after, matched, reason, recorded, sum)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        self.execute(
            sql,
            params![
                bits(range.subscription),
                range.partition.topic,
                range.partition.index,
                bits(range.from),
                bits(range.to),
                range.matched.map(bits),
                range.reason as i64,
                range.recorded,
                range_sum(range)
            ],
        )?;
        Ok(())
    }

    fn forget_discarded(&self, partition: Partition, to: u64) -> Result<(), Error> {
        // An end beyond what is positive here lies behind everything.
        let sql = "DELETE FROM span WHERE topic = ? AND partition = ? AND reason = ? AND after > 0 AND after <= ?";
        let Partition { topic, index } = partition;
        self.execute(sql, params![topic, index, RangeReason::Discarded as i64, bound(to)])?;
        Ok(())
    }

    fn forget_subscription(&mut self, subscription: SubscriptionId) -> Result<(), Error> {
        for sql in [
            "DELETE FROM lane WHERE subscription = ?",
            "DELETE FROM mark WHERE subscription = ?",
            "DELETE FROM parked WHERE subscription = ?",
            "DELETE FROM dead WHERE subscription = ?",
            "DELETE FROM holding WHERE subscription = ?",
        ] {
            self.execute(sql, params![bits(subscription)])?;
        }
        self.changes.remove(&subscription);
        Ok(())
    }

    fn forget_replay(&mut self, subscription: SubscriptionId, replay: u32) -> Result<(), Error> {
        let marks = "DELETE FROM mark WHERE subscription = ? AND replay = ?";
        self.execute(marks, params![bits(subscription), replay])?;
        let parked = "DELETE FROM parked WHERE subscription = ? AND replay = ? RETURNING length(record)";
        let mut statement = self.connection.prepare_cached(parked)?;
        let gone = statement.query_map(params![bits(subscription), replay], |row| row.get::<_, i64>(0))?;
        let change = self.changes.entry(subscription).or_default();
        for bytes in gone {
            change.parked -= 1;
            change.parked_bytes -= bytes?;
        }
        Ok(())
    }

    /// Marks have no index by topic: a topic is deleted once, a mark is written with every parked delivery.
    fn forget_topic(&self, topic: u32) -> Result<(), Error> {
        for sql in [
            "DELETE FROM tail WHERE topic = ?",
            "DELETE FROM lane WHERE topic = ?",
            "DELETE FROM mark WHERE topic = ?",
        ] {
            self.execute(sql, params![topic])?;
        }
        Ok(())
    }

    fn save_holdings(&self) -> Result<(), Error> {
        self.changes
            .iter()
            .try_for_each(|(subscription, change)| self.save_holding(*subscription, change))
    }

    fn save_holding(&self, subscription: SubscriptionId, change: &Change) -> Result<(), Error> {
        let now = change.added_to(self.holding(subscription)?).ok_or_else(|| {
            Error::Corrupt(format!(
                "the holdings of subscription {subscription} are less than what was removed"
            ))
        })?;
        if now == Holdings::default() {
            self.execute(
                "DELETE FROM holding WHERE subscription = ?",
                params![bits(subscription)],
            )?;
            return Ok(());
        }
        let sql = "INSERT OR REPLACE INTO holding (subscription, parked, parked_bytes, dead, dead_bytes, sum)
                   VALUES (?, ?, ?, ?, ?, ?)";
        let (parked, parked_bytes) = (bits(now.parked), bits(now.parked_bytes));
        let (dead, dead_bytes) = (bits(now.dead), bits(now.dead_bytes));
        let sum = holdings_sum(subscription, &now);
        self.execute(
            sql,
            params![bits(subscription), parked, parked_bytes, dead, dead_bytes, sum],
        )?;
        Ok(())
    }

    fn holding(&self, subscription: SubscriptionId) -> Result<Holdings, Error> {
        let sql = "SELECT *, NULL AS next_due FROM holding WHERE subscription = ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![bits(subscription)])?;
        let found = rows.next()?.map(holding).transpose()?;
        Ok(found.map(|(_, holdings)| holdings).unwrap_or_default())
    }
}

impl Change {
    fn added_to(&self, holdings: Holdings) -> Option<Holdings> {
        Some(Holdings {
            parked: holdings.parked.checked_add_signed(self.parked)?,
            parked_bytes: holdings.parked_bytes.checked_add_signed(self.parked_bytes)?,
            next_due: None,
            dead: holdings.dead.checked_add_signed(self.dead)?,
            dead_bytes: holdings.dead_bytes.checked_add_signed(self.dead_bytes)?,
        })
    }
}
