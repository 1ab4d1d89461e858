//! Earlier versions of subscriptions: each is kept while something needs it, and goes then. The number of them is bounded only
//! so that nobody can fill the store with versions: a change that would be beyond it is refused.

use super::{Changes, delete_document, find};
use crate::{
    Error,
    inner::Inner,
    matching::stored,
    restore::{boundary_name, rules},
    router::{Message, Place},
    settings::{VERSIONS_MAX, VERSIONS_TOLD},
};
use control::{Change, Refusal};
use journal::PartitionId;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, atomic::Ordering::Relaxed},
};
use store::{Kind, Operation, Partition, Revision, SubscriptionId};

/// What a look into the rows of a subscription found, and how its counts stood then.
#[derive(Debug)]
struct Named {
    versions: BTreeSet<Revision>,
    counts: [u64; 4],
}

/// Versions that rows name, as far as they have been looked for: nobody looks again before a row came or went.
#[derive(Debug, Default)]
pub(super) struct NamedVersions(HashMap<SubscriptionId, Named>);

impl Changes {
    /// Drops every earlier version that nothing needs any more; one that cannot be dropped now is dropped later.
    pub(super) async fn forget_versions(&mut self) -> Result<(), Error> {
        let subscriptions: BTreeSet<SubscriptionId> = self.boundaries.keys().map(|(id, _)| *id).collect();
        if subscriptions.is_empty() {
            return Ok(());
        }
        self.named.0.retain(|id, _| subscriptions.contains(id));
        let places = self.inner.places().await?;
        for id in subscriptions {
            let Some(places) = places.get(&id) else { continue };
            self.forget_versions_of(id, places).await?;
        }
        Ok(())
    }

    /// Before a change of a subscription is planned: drops what it does not need if it has as many as may be kept.
    pub(super) async fn make_room_for_version(&mut self, change: &Change) -> Result<(), Error> {
        let Ok((_, subscription)) = find(&self.inner.model.load_full(), change) else {
            return Ok(());
        };
        if self.has_room_for_version(subscription.id) {
            return Ok(());
        }
        match self.inner.places().await?.get(&subscription.id) {
            Some(places) => self.forget_versions_of(subscription.id, places).await,
            None => Ok(()),
        }
    }

    fn has_room_for_version(&self, id: SubscriptionId) -> bool {
        self.boundaries.range((id, 0)..=(id, Revision::MAX)).count() < VERSIONS_MAX
    }

    /// A change that would keep more versions than may be is refused: events that are not settled need them all.
    pub(super) fn check_room_for_version(&self, id: SubscriptionId) -> Result<(), Error> {
        if self.has_room_for_version(id) {
            return Ok(());
        }
        tracing::warn!(
            subscription = id,
            "unsettled events need as many earlier versions as may be kept"
        );
        let detail = format!(
            "unsettled events of this subscription need {VERSIONS_MAX} earlier versions of it, and no more are kept: what it \
             matches can be changed again when older events and dead letters of it are settled"
        );
        Err(Error::Refused(Refusal::limit(detail)))
    }

    async fn forget_versions_of(&mut self, id: SubscriptionId, places: &[Place]) -> Result<(), Error> {
        let of_it = self.boundaries.range((id, 0)..=(id, Revision::MAX));
        let kept: Vec<_> = of_it.map(|((_, version), boundary)| (*version, boundary)).collect();
        let mut versions = unneeded(&self.inner, &kept, places);
        if !versions.is_empty() {
            let named = self.named_versions(id).await?;
            versions.retain(|version| !named.contains(version));
        }
        if versions.is_empty() {
            return Ok(());
        }
        let model = self.inner.model.load_full();
        let Some(bus) = model
            .buses
            .values()
            .find(|bus| bus.subscriptions.values().any(|subscription| subscription.id == id))
        else {
            return Ok(());
        };
        let operations = versions.iter().flat_map(|version| forget_version(bus.id, id, *version));
        self.inner.store.apply(bus.id, operations.collect()).await?;
        for version in versions {
            self.boundaries.remove(&(id, version));
            let model = self.inner.model.load().without_version(id, version);
            self.inner.model.store(Arc::new(model));
        }
        let model = self.inner.model.load_full();
        let subscription = bus.subscriptions.values().find(|subscription| subscription.id == id);
        if let Some(subscription) = subscription {
            let rules = rules(&model, bus, subscription, &self.boundaries);
            self.inner.tell_router(Message::Renumber(id, Arc::new(rules))).await?;
        }
        Ok(())
    }

    /// The versions that parked deliveries and dead letters name.
    async fn named_versions(&mut self, id: SubscriptionId) -> Result<&BTreeSet<Revision>, Error> {
        let counts = self.inner.lane(id).map(|lane| {
            let counters = &lane.inbox.counters;
            [
                counters.parked.load(Relaxed),
                counters.parked_now.load(Relaxed),
                counters.dead_lettered.load(Relaxed),
                counters.dead_now.load(Relaxed),
            ]
        });
        let counts = counts.unwrap_or_default();
        if self.named.0.get(&id).is_none_or(|named| named.counts != counts) {
            let versions = self.inner.store.versions_held(id).await?.into_iter().collect();
            self.named.0.insert(id, Named { versions, counts });
        }
        Ok(&self.named.0[&id].versions)
    }
}

/// Versions that speak for nothing unsettled, nor for anything that a story may be asked about. Positions count as they are
/// saved: a crash reads again from there.
fn unneeded(inner: &Inner, kept: &[(Revision, &BTreeMap<Partition, u64>)], places: &[Place]) -> Vec<Revision> {
    let start = |id: PartitionId| inner.journal.bounds(id).map_or(u64::MAX, |bounds| bounds.start);
    let mut spoken: BTreeMap<Partition, u64> = BTreeMap::new();
    let (mut free, mut told) = (Vec::new(), Vec::new());
    for (version, boundary) in kept {
        let speaks_from = |from: &dyn Fn(&Place) -> u64| {
            places.iter().any(|place| {
                let partition = stored(place.partition);
                let first = spoken.get(&partition).copied().unwrap_or_default().max(from(place));
                boundary.get(&partition).is_some_and(|to| first < *to)
            })
        };
        if !speaks_from(&|place| place.saved) {
            match speaks_from(&|place| start(place.partition)) {
                true => told.push(*version),
                false => free.push(*version),
            }
        }
        for (partition, to) in *boundary {
            let spoken = spoken.entry(*partition).or_default();
            *spoken = (*spoken).max(*to);
        }
    }
    let surplus = told.len().saturating_sub(VERSIONS_TOLD);
    free.extend(told.drain(..surplus));
    free
}

fn forget_version(bus: store::BusId, subscription: SubscriptionId, version: u64) -> [Operation; 2] {
    let document = control::documents::version_name(subscription, version);
    [
        delete_document(bus, Kind::SubscriptionVersion, document),
        delete_document(0, Kind::Setting, boundary_name(subscription, version)),
    ]
}
