//! Subscriptions that go. What is in flight may end first, which takes a while, so that is waited for beside the task: other
//! changes go on meanwhile, and only those of the same subscription wait.

use super::{Changes, Reply, Request, delete_document, find};
use crate::{
    Changed, Error, copies,
    lane::gone_name,
    matching::stored,
    restore::boundary_name,
    router::{Message, Place},
    settings::DELETED_GRACE,
    validation::validation_name,
};
use control::{Change, resources::ResourceKind};
use futures_util::{FutureExt, future::join};
use std::{
    collections::{HashMap, VecDeque},
    panic::AssertUnwindSafe,
    sync::Arc,
};
use store::{Kind, Operation, Range, RangeReason, SubscriptionId};
use tokio::task::JoinSet;

/// A subscription by the names of its bus and its own.
type Name = (String, String);

/// Subscriptions whose lanes come to rest before they go.
#[derive(Debug, Default)]
pub(super) struct Endings {
    /// Who asked, and which changes of the same subscription wait behind.
    waiting: HashMap<Name, Ending>,
    resting: JoinSet<Name>,
}

#[derive(Debug)]
struct Ending {
    change: Change,
    reply: Reply,
    behind: VecDeque<Request>,
}

impl Endings {
    /// How many requests wait here.
    pub(super) fn len(&self) -> usize {
        let waiting = self.waiting.values();
        waiting.map(|ending| 1 + ending.behind.len()).sum()
    }

    /// The next one whose lane rests; pends while there is none.
    pub(super) async fn rested(&mut self) -> Name {
        loop {
            match self.resting.join_next().await {
                Some(Ok(name)) => return name,
                // Nothing in there is cancelled, and what panics is caught.
                Some(Err(_)) => {}
                None => return std::future::pending().await,
            }
        }
    }

    /// Has changes wait if a subscription of theirs is about to go; else gives them back.
    pub(super) fn hold_back(&mut self, request: Request) -> Option<Request> {
        let changes = match &request {
            Request::Change(change, _) => std::slice::from_ref(change),
            Request::Together(changes, _) => changes,
            _ => &[],
        };
        let of_subscriptions = changes.iter().filter(|one| one.kind == ResourceKind::Subscription);
        let ending = of_subscriptions
            .map(name_of)
            .find(|name| self.waiting.contains_key(name));
        match ending.and_then(|name| self.waiting.get_mut(&name)) {
            Some(ending) => {
                ending.behind.push_back(request);
                None
            }
            None => Some(request),
        }
    }
}

impl Changes {
    /// Has the lane come to rest: it is given nothing any more, and what is in flight may end.
    pub(super) fn begin_deletion(&mut self, change: Change, reply: Reply) {
        let id = match find(&self.inner.model.load(), &change) {
            Ok((_, subscription)) => subscription.id,
            Err(error) => return drop(reply.send(Err(error))),
        };
        let name = name_of(&change);
        let (inner, rests) = (Arc::clone(&self.inner), name.clone());
        let rest = async move {
            // A router that is gone gives it nothing either.
            let _ = inner.freeze(id).await;
            let stopped = async {
                if let Some(lane) = inner.lane(id) {
                    lane.stop(DELETED_GRACE).await;
                }
                copies::stop(&inner, id, DELETED_GRACE).await;
            };
            join(stopped, inner.replays.abandon(id)).await;
        };
        self.endings
            .resting
            .spawn(AssertUnwindSafe(rest).catch_unwind().map(|_| rests));
        let behind = VecDeque::new();
        let ending = Ending { change, reply, behind };
        self.endings.waiting.insert(name, ending);
    }

    /// The lane rests: the subscription goes, and then what waited behind it comes.
    pub(super) async fn end_deletion(&mut self, name: Name) {
        let Some(ending) = self.endings.waiting.remove(&name) else {
            return;
        };
        let deleted = self.delete(&ending.change).await;
        // Whoever asked may have gone.
        let _ = ending.reply.send(deleted);
        for request in ending.behind {
            self.serve(request).await;
        }
    }

    /// If it cannot be written, the lane starts again.
    async fn delete(&mut self, change: &Change) -> Result<Changed, Error> {
        let (_, subscription) = find(&self.inner.model.load_full(), change)?;
        let id = subscription.id;
        let deleted = self.write_deletion(change, id).await;
        if deleted.is_err() {
            // A failure is told, and made good later.
            let _ = self.start(id).await;
        }
        deleted?;
        self.inner.remove_lane(id);
        self.inner.replaying.leave(id, copies::COPIES);
        self.boundaries.retain(|(subscription, _), _| *subscription != id);
        self.inner.tell_router(Message::Remove(id)).await?;
        Ok(Changed {
            created: false,
            written: true,
            model: self.inner.model.load_full(),
        })
    }

    async fn write_deletion(&self, change: &Change, id: SubscriptionId) -> Result<(), Error> {
        let mut plan = self.plan(change)?;
        let after = self.plan(change)?.finish.at(u64::MAX);
        let entry = self.audited(change, &self.inner.model.load(), &after);
        plan.operations.push(entry);
        let places = self.inner.places().await?.remove(&id).unwrap_or_default();
        let mut operations = self.discarded(id, &places);
        operations.extend(self.discarded_parked(id, &places).await?);
        operations.push(Operation::ForgetSubscription(id));
        operations.push(delete_document(0, Kind::Setting, gone_name(id)));
        operations.push(delete_document(0, Kind::Setting, validation_name(id)));
        for (_, version) in self.boundaries.range((id, 0)..=(id, u64::MAX)).map(|(key, _)| *key) {
            operations.push(delete_document(0, Kind::Setting, boundary_name(id, version)));
        }
        self.apply(change, plan, operations).await
    }

    /// What is unsettled when a subscription goes: everything from its positions to the ends, and what is parked.
    pub(super) fn discarded(&self, subscription: SubscriptionId, places: &[Place]) -> Vec<Operation> {
        let recorded = self.inner.settings.clock.now();
        let end = |place: &Place| {
            self.inner
                .journal
                .bounds(place.partition)
                .map_or(place.frontier, |bounds| bounds.high_water)
        };
        let open = places
            .iter()
            .map(|place| (place, end(place)))
            .filter(|(place, end)| place.position < *end);
        let range = |(place, to): (&Place, u64)| {
            let (partition, from) = (stored(place.partition), place.position);
            let reason = RangeReason::Discarded;
            Operation::RecordRange(Range {
                subscription,
                partition,
                from,
                to,
                matched: None,
                reason,
                recorded,
            })
        };
        open.map(range).collect()
    }

    /// Parked deliveries that go with their subscription, by number: below its positions nothing else was unsettled.
    async fn discarded_parked(
        &self,
        subscription: SubscriptionId,
        places: &[Place],
    ) -> Result<Option<Operation>, Error> {
        let holdings = self.inner.store.holdings().await?;
        let parked = holdings
            .into_iter()
            .find(|(id, _)| *id == subscription)
            .map_or(0, |(_, held)| held.parked);
        let Some(place) = places.iter().max_by_key(|place| place.position).filter(|_| parked > 0) else {
            return Ok(None);
        };
        Ok(Some(Operation::RecordRange(Range {
            subscription,
            partition: stored(place.partition),
            from: place.floor,
            to: place.position,
            matched: Some(parked),
            reason: RangeReason::Discarded,
            recorded: self.inner.settings.clock.now(),
        })))
    }
}

fn name_of(change: &Change) -> Name {
    (change.bus.clone(), change.name.clone())
}
