//! A store in memory, for the tests of the crates above: the same answers, and failures on request.
//!
//! It is not an engine: nothing is durable, and everything is one map under one lock.

use crate::{
    AUDIT_TRIM_MAX, AuditEnd, AuditEntry, AuditOrder, AuditQuery, BoxFuture, BusId, Dead, DeadQuery, DeliveryKey,
    Document, Error, Expect, Holdings, Kind, LaneRow, Mark, Millis, Operation, Parked, Partition, Portion, Range,
    RangeReason, Revision, Store, SubscriptionId, audit,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// A [`Store`] that forgets everything when its last handle is dropped.
#[derive(Default)]
pub struct Memory {
    shared: Arc<Mutex<Shared>>,
    closed: AtomicBool,
}

#[derive(Default)]
struct Shared {
    rows: Rows,
    failures: VecDeque<Error>,
    applies: u64,
}

type DocumentKey = (BusId, Kind, String);

#[derive(Default)]
struct Rows {
    revision: Revision,
    documents: BTreeMap<DocumentKey, Document>,
    tails: BTreeMap<Partition, u64>,
    lanes: BTreeMap<(SubscriptionId, Partition), LaneRow>,
    marks: BTreeMap<DeliveryKey, Mark>,
    parked: BTreeMap<DeliveryKey, Parked>,
    dead: BTreeMap<DeliveryKey, Dead>,
    ranges: Vec<Range>,
    audit: VecDeque<AuditEntry>,
    audit_anchor: AuditEnd,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another handle on the same rows, open even if this one is shut down: what a restart would find.
    pub fn reopen(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            closed: AtomicBool::new(false),
        }
    }

    /// Makes the next `apply` fail with this error and change nothing; asked twice, the next two.
    pub fn fail_next(&self, error: Error) {
        self.lock().failures.push_back(error);
    }

    /// How often `apply` has succeeded.
    pub fn applies(&self) -> u64 {
        self.lock().applies
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply_now(&self, operations: Vec<Operation>) -> Result<Revision, Error> {
        self.check_open()?;
        let mut shared = self.lock();
        if let Some(error) = shared.failures.pop_front() {
            return Err(error);
        }
        shared.rows.check_conditions(&operations)?;
        shared.rows.revision += 1;
        shared.applies += 1;
        operations.into_iter().for_each(|operation| shared.rows.run(operation));
        Ok(shared.rows.revision)
    }

    fn check_open(&self) -> Result<(), Error> {
        if self.closed.load(Ordering::SeqCst) {
            Err(Error::Closed)
        } else {
            Ok(())
        }
    }

    fn read<'a, T: Send + 'a>(&'a self, read: impl FnOnce(&Rows) -> T + Send + 'a) -> BoxFuture<'a, Result<T, Error>> {
        Box::pin(async move {
            self.check_open()?;
            Ok(read(&self.lock().rows))
        })
    }
}

impl Rows {
    /// Only conditions can fail, so they are asked first, each as the steps before it would leave the document.
    fn check_conditions(&self, operations: &[Operation]) -> Result<(), Error> {
        let mut changed: BTreeMap<(BusId, Kind, &str), Option<Revision>> = BTreeMap::new();
        for operation in operations {
            let (bus, kind, name, expect, deletes) = match operation {
                Operation::PutDocument {
                    bus,
                    kind,
                    name,
                    expect,
                    ..
                } => (*bus, *kind, name, *expect, false),
                Operation::DeleteDocument {
                    bus,
                    kind,
                    name,
                    expect,
                } => (*bus, *kind, name, *expect, true),
                _ => continue,
            };
            let stored = || {
                self.documents
                    .get(&(bus, kind, name.clone()))
                    .map(|document| document.version)
            };
            let found = changed.get(&(bus, kind, name.as_str())).copied().unwrap_or_else(stored);
            if !holds(expect, found, deletes) {
                return Err(Error::Conflict {
                    kind,
                    name: name.clone(),
                    found,
                });
            }
            changed.insert((bus, kind, name), (!deletes).then_some(self.revision + 1));
        }
        Ok(())
    }

    fn run(&mut self, operation: Operation) {
        match operation {
            Operation::PutDocument {
                bus, kind, name, body, ..
            } => {
                let document = Document {
                    bus,
                    kind,
                    name: name.clone(),
                    version: self.revision,
                    body,
                };
                self.documents.insert((bus, kind, name), document);
            }
            Operation::DeleteDocument { bus, kind, name, .. } => {
                self.documents.remove(&(bus, kind, name));
            }
            Operation::SaveTail { partition, position } => {
                self.tails.insert(partition, position);
            }
            Operation::SaveLane(lane) => {
                self.lanes.insert((lane.subscription, lane.partition), lane);
            }
            Operation::Park(parked) => {
                self.parked.insert(parked.key, parked);
            }
            Operation::Unpark(key) => {
                self.parked.remove(&key);
            }
            Operation::Bury(dead) => {
                self.dead.insert(dead.delivery.key, dead);
            }
            Operation::Exhume(key) => {
                self.dead.remove(&key);
            }
            Operation::Mark(mark) => {
                self.marks.insert(mark.key, mark);
            }
            Operation::ClearMarks {
                subscription,
                partition,
                replay,
                below,
            } => self.marks.retain(|key, _| {
                let here = key.subscription == subscription && key.partition == partition && key.replay == replay;
                !(here && key.offset < below)
            }),
            Operation::RecordRange(range) => self.ranges.push(range),
            Operation::ForgetDiscarded { partition, to } => self.ranges.retain(|range| {
                let is_discarded = range.reason == RangeReason::Discarded && range.partition == partition;
                !(is_discarded && range.to <= to)
            }),
            Operation::ForgetSubscription(subscription) => self.forget_subscription(subscription),
            Operation::ForgetReplay { subscription, replay } => {
                let of_it = |key: &DeliveryKey| key.subscription == subscription && key.replay == replay;
                self.marks.retain(|key, _| !of_it(key));
                self.parked.retain(|key, _| !of_it(key));
            }
            Operation::ForgetTopic(topic) => self.forget_topic(topic),
            Operation::Audit { at, bus, body } => self.add_audit(at, bus, body),
            Operation::TrimAudit { before } => self.trim_audit(before),
            // Its end is its last entry: it cannot be lost.
            Operation::MendAuditEnd => {}
        }
    }

    fn audit_head(&self) -> AuditEnd {
        let last = self.audit.back();
        last.map_or(self.audit_anchor, |entry| AuditEnd {
            seq: entry.seq,
            hash: entry.hash,
        })
    }

    fn add_audit(&mut self, at: Millis, bus: BusId, body: bytes::Bytes) {
        let head = self.audit_head();
        let seq = head.seq + 1;
        let hash = audit::chained(&head.hash, seq, at, bus, &body);
        self.audit.push_back(AuditEntry {
            seq,
            at,
            bus,
            body,
            hash,
        });
    }

    fn trim_audit(&mut self, before: Millis) {
        for _ in 0..AUDIT_TRIM_MAX {
            let Some(entry) = self.audit.pop_front_if(|entry| entry.at < before) else {
                return;
            };
            self.audit_anchor = AuditEnd {
                seq: entry.seq,
                hash: entry.hash,
            };
        }
    }

    fn audit_of(&self, query: AuditQuery) -> Vec<AuditEntry> {
        let wanted = |entry: &&AuditEntry| {
            query.bus.is_none_or(|bus| entry.bus == bus) && entry.seq > query.after && entry.seq < query.before
        };
        let entries = self.audit.iter();
        match query.order {
            AuditOrder::OldestFirst => entries.filter(wanted).take(query.limit).cloned().collect(),
            AuditOrder::NewestFirst => entries.rev().filter(wanted).take(query.limit).cloned().collect(),
        }
    }

    fn forget_subscription(&mut self, subscription: SubscriptionId) {
        self.lanes.retain(|(of, _), _| *of != subscription);
        self.marks.retain(|key, _| key.subscription != subscription);
        self.parked.retain(|key, _| key.subscription != subscription);
        self.dead.retain(|key, _| key.subscription != subscription);
    }

    fn forget_topic(&mut self, topic: u32) {
        self.tails.retain(|partition, _| partition.topic != topic);
        self.lanes.retain(|(_, partition), _| partition.topic != topic);
        self.marks.retain(|key, _| key.partition.topic != topic);
    }

    fn parked_of(&self, subscription: SubscriptionId) -> impl Iterator<Item = &Parked> {
        self.parked
            .values()
            .filter(move |parked| parked.key.subscription == subscription)
    }

    fn dead_of(&self, query: &DeadQuery) -> Vec<Dead> {
        let wanted = |dead: &&Dead| {
            let delivery = &dead.delivery;
            query.subscriptions.contains(&delivery.key.subscription)
                && query.after.is_none_or(|after| delivery.key > after)
                && query.reason.as_ref().is_none_or(|reason| *reason == delivery.reason)
                && query
                    .reason_prefix
                    .as_ref()
                    .is_none_or(|prefix| delivery.reason.starts_with(prefix.as_str()))
                && query
                    .event_type
                    .as_ref()
                    .is_none_or(|event_type| *event_type == dead.event_type)
                && query.died_from.is_none_or(|from| delivery.due >= from)
                && query.died_to.is_none_or(|to| delivery.due < to)
                && query
                    .event_id
                    .as_ref()
                    .is_none_or(|event_id| *event_id == dead.event_id)
        };
        let (mut found, mut bytes) = (Vec::new(), 0);
        for dead in self.dead.values().filter(wanted) {
            if query.is_filled(found.len(), bytes) {
                break;
            }
            bytes += dead.delivery.record.len() as u64;
            found.push(dead.clone());
        }
        found
    }

    fn holdings(&self) -> Vec<(SubscriptionId, Holdings)> {
        let mut holdings: BTreeMap<SubscriptionId, Holdings> = BTreeMap::new();
        for parked in self.parked.values() {
            let held = holdings.entry(parked.key.subscription).or_default();
            held.parked += 1;
            held.parked_bytes += parked.record.len() as u64;
            held.next_due = Some(held.next_due.map_or(parked.due, |due| due.min(parked.due)));
        }
        for dead in self.dead.values() {
            let held = holdings.entry(dead.delivery.key.subscription).or_default();
            held.dead += 1;
            held.dead_bytes += dead.delivery.record.len() as u64;
        }
        holdings.into_iter().collect()
    }
}

fn holds(expect: Expect, found: Option<Revision>, deletes: bool) -> bool {
    match expect {
        Expect::Any => true,
        Expect::Absent => found.is_none() && !deletes,
        Expect::Version(version) => found == Some(version),
    }
}

impl Store for Memory {
    fn apply(&self, _bus: BusId, operations: Vec<Operation>) -> BoxFuture<'_, Result<Revision, Error>> {
        Box::pin(async move { self.apply_now(operations) })
    }

    fn document(&self, bus: BusId, kind: Kind, name: &str) -> BoxFuture<'_, Result<Option<Document>, Error>> {
        let key = (bus, kind, name.to_owned());
        self.read(move |rows| rows.documents.get(&key).cloned())
    }

    fn documents(&self) -> BoxFuture<'_, Result<Vec<Document>, Error>> {
        self.read(|rows| rows.documents.values().cloned().collect())
    }

    fn tails(&self) -> BoxFuture<'_, Result<Vec<(Partition, u64)>, Error>> {
        self.read(|rows| {
            rows.tails
                .iter()
                .map(|(partition, position)| (*partition, *position))
                .collect()
        })
    }

    fn lanes(&self) -> BoxFuture<'_, Result<Vec<LaneRow>, Error>> {
        self.read(|rows| rows.lanes.values().copied().collect())
    }

    fn marks(&self, subscription: SubscriptionId) -> BoxFuture<'_, Result<Vec<Mark>, Error>> {
        self.read(move |rows| {
            let marks = rows.marks.values().filter(|mark| mark.key.subscription == subscription);
            marks.copied().collect()
        })
    }

    fn parked(
        &self,
        subscription: SubscriptionId,
        portion: Portion,
        until: Millis,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Parked>, Error>> {
        self.read(move |rows| {
            let belongs = |parked: &&Parked| match &portion {
                Portion::Except(replays) => !replays.contains(&parked.key.replay),
                Portion::Replay(replay) => parked.key.replay == *replay,
            };
            let mut due: Vec<_> = rows
                .parked_of(subscription)
                .filter(|parked| parked.due <= until)
                .filter(belongs)
                .collect();
            due.sort_by_key(|parked| (parked.due, parked.key));
            due.into_iter().take(limit).cloned().collect()
        })
    }

    fn parked_orders(&self, subscription: SubscriptionId) -> BoxFuture<'_, Result<Vec<(u64, DeliveryKey)>, Error>> {
        self.read(move |rows| {
            let keys = rows
                .parked_of(subscription)
                .filter_map(|parked| Some((parked.order?, parked.key)));
            let mut keys: Vec<_> = keys.collect();
            keys.sort_unstable();
            keys
        })
    }

    fn parked_at(&self, partition: Partition, offset: u64) -> BoxFuture<'_, Result<Vec<Parked>, Error>> {
        self.read(move |rows| {
            let here = |parked: &&Parked| parked.key.partition == partition && parked.key.offset == offset;
            rows.parked.values().filter(here).cloned().collect()
        })
    }

    fn held_from(&self, partition: Partition, offset: u64) -> BoxFuture<'_, Result<Vec<DeliveryKey>, Error>> {
        self.read(move |rows| {
            let there = |key: &&DeliveryKey| key.partition == partition && key.offset >= offset;
            let keys: BTreeSet<_> = rows.parked.keys().chain(rows.dead.keys()).filter(there).collect();
            keys.into_iter().copied().collect()
        })
    }

    fn versions_held(&self, subscription: SubscriptionId) -> BoxFuture<'_, Result<Vec<Revision>, Error>> {
        self.read(move |rows| {
            let dead = rows.dead.values().map(|dead| &dead.delivery);
            let held = dead.chain(rows.parked.values());
            let of = held.filter(|row| row.key.subscription == subscription);
            let versions: BTreeSet<Revision> = of.map(|row| row.version).collect();
            versions.into_iter().collect()
        })
    }

    fn dead(&self, query: DeadQuery) -> BoxFuture<'_, Result<Vec<Dead>, Error>> {
        self.read(move |rows| rows.dead_of(&query))
    }

    fn dead_count(&self, query: DeadQuery) -> BoxFuture<'_, Result<(u64, u64), Error>> {
        let all = DeadQuery {
            after: None,
            limit: usize::MAX,
            bytes_max: None,
            ..query
        };
        self.read(move |rows| {
            let found = rows.dead_of(&all);
            let bytes = found.iter().map(|dead| dead.delivery.record.len() as u64).sum();
            (found.len() as u64, bytes)
        })
    }

    fn ranges(&self, subscription: SubscriptionId) -> BoxFuture<'_, Result<Vec<Range>, Error>> {
        self.read(move |rows| {
            let ranges = rows.ranges.iter().filter(|range| range.subscription == subscription);
            ranges.cloned().collect()
        })
    }

    fn holdings(&self) -> BoxFuture<'_, Result<Vec<(SubscriptionId, Holdings)>, Error>> {
        self.read(Rows::holdings)
    }

    fn replay_holdings(&self, subscription: SubscriptionId, replay: u32) -> BoxFuture<'_, Result<Holdings, Error>> {
        self.read(move |rows| {
            let of_it = rows.parked_of(subscription).filter(|row| row.key.replay == replay);
            of_it.fold(Holdings::default(), |held, row| Holdings {
                parked: held.parked + 1,
                parked_bytes: held.parked_bytes + row.record.len() as u64,
                next_due: Some(held.next_due.map_or(row.due, |due| due.min(row.due))),
                ..held
            })
        })
    }

    fn audit(&self, query: AuditQuery) -> BoxFuture<'_, Result<Vec<AuditEntry>, Error>> {
        self.read(move |rows| rows.audit_of(query))
    }

    fn audit_ends(&self) -> BoxFuture<'_, Result<(AuditEnd, AuditEnd), Error>> {
        self.read(|rows| (rows.audit_anchor, rows.audit_head()))
    }

    fn shutdown(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            self.closed.store(true, Ordering::SeqCst);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[tokio::test]
    async fn the_store_in_memory_keeps_the_contract() {
        let stores: Mutex<HashMap<&str, Memory>> = Mutex::default();
        let open = async |name: &'static str| {
            let store = stores.lock().unwrap().entry(name).or_default().reopen();
            Ok(Arc::new(store) as Arc<dyn Store>)
        };
        crate::conformance::run(open).await;
    }

    #[tokio::test]
    async fn a_requested_failure_changes_nothing_and_happens_once() {
        let store = Memory::new();
        let tail = || {
            vec![Operation::SaveTail {
                partition: Partition { topic: 1, index: 0 },
                position: 1,
            }]
        };
        store.fail_next(Error::OutOfSpace);
        assert_eq!(store.apply(1, tail()).await, Err(Error::OutOfSpace));
        assert_eq!((store.tails().await, store.applies()), (Ok(vec![]), 0));
        assert_eq!(store.apply(1, tail()).await, Ok(1));
        assert_eq!(store.applies(), 1);
    }
}
