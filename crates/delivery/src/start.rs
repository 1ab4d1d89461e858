//! A start: what the store holds, put right where it does not fit the journal, becomes lanes and what the router begins with.

use crate::{
    Error, copies,
    inner::Inner,
    lane::gone_subscription,
    matching::stored,
    redriving, replay,
    restore::{Boundaries, Remembered, all_partitions, boundaries, lane, rules},
    router::{Reader, Start},
    shortened,
};
use control::Model;
use journal::{PartitionId, TopicId};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};
use store::{Holdings, Kind, LaneRow, Operation, Partition, SubscriptionId};

/// What the router begins with, and the boundaries of earlier versions.
pub async fn start(inner: &Arc<Inner>) -> Result<(Start, Boundaries), Error> {
    crate::trail::mend(inner).await?;
    let model = inner.model.load_full();
    for bus in model.buses.values() {
        for topic in bus.topics.values() {
            let id = TopicId {
                bus: bus.id,
                topic: topic.id,
            };
            inner.journal.create_topic(id, topic.spec.partitions).await?;
        }
    }
    let documents = inner.store.documents().await?;
    replay::restore(inner, &documents);
    redriving::restore(inner, &documents);
    let mut remembered = shortened::Remembered {
        tails: inner.store.tails().await?.into_iter().collect(),
        rows: inner.store.lanes().await?,
        boundaries: boundaries(&documents),
    };
    shortened::repair(inner, &model, &mut remembered).await?;
    let gone = documents.iter().filter_map(gone_subscription).collect();
    let tails = tails(inner, &model, &remembered.tails)?;
    let lanes = Lanes::new(inner, remembered.rows, gone).await?;
    let readers = lanes.start(inner, &model, &remembered.boundaries, &tails).await?;
    let start = Start {
        journal: Arc::clone(&inner.journal),
        store: Arc::clone(&inner.store),
        settings: inner.settings.clone(),
        view: Arc::clone(&inner.view),
        unsaved: Arc::clone(&inner.unsaved),
        reporter: inner.reporter.clone(),
        tails,
        readers,
    };
    Ok((start, remembered.boundaries))
}

/// Where the router reads on.
fn tails(inner: &Inner, model: &Model, saved: &HashMap<Partition, u64>) -> Result<BTreeMap<PartitionId, u64>, Error> {
    let tail = |partition: PartitionId| {
        let start = inner.journal.bounds(partition)?.start;
        let saved = saved.get(&stored(partition)).copied();
        Ok((partition, saved.unwrap_or(start)))
    };
    all_partitions(model).into_iter().map(tail).collect()
}

/// What the store says of every lane.
struct Lanes {
    rows: HashMap<SubscriptionId, HashMap<Partition, LaneRow>>,
    holdings: HashMap<SubscriptionId, Holdings>,
    gone: BTreeSet<SubscriptionId>,
}

impl Lanes {
    async fn new(inner: &Inner, rows: Vec<LaneRow>, gone: BTreeSet<SubscriptionId>) -> Result<Self, Error> {
        let mut by_lane: HashMap<SubscriptionId, HashMap<Partition, LaneRow>> = HashMap::new();
        for row in rows {
            by_lane.entry(row.subscription).or_default().insert(row.partition, row);
        }
        Ok(Self {
            rows: by_lane,
            holdings: inner.store.holdings().await?.into_iter().collect(),
            gone,
        })
    }

    async fn start(
        mut self,
        inner: &Inner,
        model: &Model,
        boundaries: &Boundaries,
        tails: &BTreeMap<PartitionId, u64>,
    ) -> Result<Vec<Reader>, Error> {
        let mut readers = Vec::new();
        for bus in model.buses.values() {
            for subscription in bus.subscriptions.values() {
                let id = subscription.id;
                let mut holdings = self.holdings.remove(&id).unwrap_or_default();
                copies::claim_held(inner, subscription, holdings.parked).await?;
                let (parked, bytes) = replay::parked_by_replays(inner, id).await?;
                holdings.parked = holdings.parked.saturating_sub(parked);
                holdings.parked_bytes = holdings.parked_bytes.saturating_sub(bytes);
                let remembered = Remembered {
                    rows: self.rows.remove(&id).unwrap_or_default(),
                    holdings,
                    is_gone: self.gone.remove(&id),
                };
                let rules = rules(model, bus, subscription, boundaries);
                readers.push(lane(inner, bus, subscription, rules, remembered, tails).await?);
            }
        }
        self.forget(inner).await?;
        Ok(readers)
    }

    /// What is left belongs to subscriptions that are no more: a save that was under way when they were deleted.
    async fn forget(self, inner: &Inner) -> Result<(), Error> {
        let left: BTreeSet<_> = self.rows.keys().chain(self.holdings.keys()).chain(&self.gone).collect();
        if left.is_empty() {
            return Ok(());
        }
        let forget = |id: &SubscriptionId| {
            let delete = Operation::DeleteDocument {
                bus: 0,
                kind: Kind::Setting,
                name: crate::lane::gone_name(*id),
                expect: store::Expect::Any,
            };
            [Operation::ForgetSubscription(*id), delete]
        };
        inner
            .store
            .apply(0, left.into_iter().flat_map(forget).collect())
            .await?;
        Ok(())
    }
}
