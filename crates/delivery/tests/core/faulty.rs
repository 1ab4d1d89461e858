//! A store that does what a test tells it to: waits with an answer, or refuses some operations.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use store::{
    BoxFuture, BusId, Dead, DeadQuery, DeliveryKey, Document, Error, Holdings, Kind, LaneRow, Mark, Memory, Millis,
    Operation, Parked, Partition, Portion, Range, Revision, Store, SubscriptionId,
};

/// What it is told.
#[derive(Debug, Default)]
pub struct Orders {
    /// Marks are read after this many milliseconds.
    pub marks_delay: AtomicU64,
    /// Marks cannot be read.
    pub refuses_marks: AtomicBool,
    /// Ranges are refused.
    pub refuses_ranges: AtomicBool,
    /// How many were.
    pub refused: AtomicU64,
}

/// The store.
pub struct Faulty {
    pub store: Memory,
    pub orders: Arc<Orders>,
}

impl Store for Faulty {
    fn apply(&self, bus: BusId, operations: Vec<Operation>) -> BoxFuture<'_, Result<Revision, Error>> {
        let has_range = operations
            .iter()
            .any(|operation| matches!(operation, Operation::RecordRange(_)));
        if has_range && self.orders.refuses_ranges.load(Relaxed) {
            let refused = self.orders.refused.fetch_add(1, Relaxed);
            assert!(refused < 10_000, "refused again and again without a wait");
            return Box::pin(std::future::ready(Err(Error::OutOfSpace)));
        }
        self.store.apply(bus, operations)
    }

    fn marks(&self, subscription: SubscriptionId) -> BoxFuture<'_, Result<Vec<Mark>, Error>> {
        let delay = Duration::from_millis(self.orders.marks_delay.load(Relaxed));
        Box::pin(async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            if self.orders.refuses_marks.load(Relaxed) {
                return Err(Error::Engine("it is told so".to_owned()));
            }
            self.store.marks(subscription).await
        })
    }

    fn document(&self, bus: BusId, kind: Kind, name: &str) -> BoxFuture<'_, Result<Option<Document>, Error>> {
        self.store.document(bus, kind, name)
    }

    fn documents(&self) -> BoxFuture<'_, Result<Vec<Document>, Error>> {
        self.store.documents()
    }

    fn tails(&self) -> BoxFuture<'_, Result<Vec<(Partition, u64)>, Error>> {
        self.store.tails()
    }

    fn lanes(&self) -> BoxFuture<'_, Result<Vec<LaneRow>, Error>> {
        self.store.lanes()
    }

    fn parked(
        &self,
        id: SubscriptionId,
        portion: Portion,
        until: Millis,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Parked>, Error>> {
        self.store.parked(id, portion, until, limit)
    }

    fn parked_orders(&self, id: SubscriptionId) -> BoxFuture<'_, Result<Vec<(u64, DeliveryKey)>, Error>> {
        self.store.parked_orders(id)
    }

    fn parked_at(&self, partition: Partition, offset: u64) -> BoxFuture<'_, Result<Vec<Parked>, Error>> {
        self.store.parked_at(partition, offset)
    }

    fn held_from(&self, partition: Partition, offset: u64) -> BoxFuture<'_, Result<Vec<DeliveryKey>, Error>> {
        self.store.held_from(partition, offset)
    }

    fn versions_held(&self, id: SubscriptionId) -> BoxFuture<'_, Result<Vec<Revision>, Error>> {
        self.store.versions_held(id)
    }

    fn dead(&self, query: DeadQuery) -> BoxFuture<'_, Result<Vec<Dead>, Error>> {
        self.store.dead(query)
    }

    fn dead_count(&self, query: DeadQuery) -> BoxFuture<'_, Result<(u64, u64), Error>> {
        self.store.dead_count(query)
    }

    fn ranges(&self, subscription: SubscriptionId) -> BoxFuture<'_, Result<Vec<Range>, Error>> {
        self.store.ranges(subscription)
    }

    fn holdings(&self) -> BoxFuture<'_, Result<Vec<(SubscriptionId, Holdings)>, Error>> {
        self.store.holdings()
    }

    fn replay_holdings(&self, id: SubscriptionId, replay: u32) -> BoxFuture<'_, Result<Holdings, Error>> {
        self.store.replay_holdings(id, replay)
    }

    fn audit(&self, query: store::AuditQuery) -> BoxFuture<'_, Result<Vec<store::AuditEntry>, store::Error>> {
        self.store.audit(query)
    }

    fn audit_ends(&self) -> BoxFuture<'_, Result<(store::AuditEnd, store::AuditEnd), store::Error>> {
        self.store.audit_ends()
    }

    fn shutdown(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.store.shutdown()
    }
}
