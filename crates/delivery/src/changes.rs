//! The one task that changes anything declared: plans, adds what delivery has to save with it, applies all in one
//! transaction, publishes the model, and tells router and lanes. One change at a time; it plans no resources itself.

use crate::{
    Changed, Error,
    core::Inner,
    dead,
    lane::Input,
    lane_task::{Command, LaneHandle},
    matching::stored,
    positions::{Cursor, Mode, Saved},
    restore::{
        Boundaries, Remembered, all_partitions, boundary_body, boundary_name, config, lane, partitions_read, rules,
        target,
    },
    retention,
    router::{Message, Place, Reader},
    settings::{DELETED_GRACE, VERSIONS_KEPT, VERSIONS_KEPT_MAX},
};
use control::{Bus, Change, Effect, Model, Plan, Subscription, resources::ResourceKind, resources::Start};
use journal::{PartitionId, TopicId};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, atomic::Ordering::Relaxed},
};
use store::{DeliveryKey, Expect, Kind, LaneRow, Operation, Partition, Range, RangeReason, SubscriptionId};
use tokio::sync::{mpsc, oneshot};

/// Looks at durable ends until two agree; each takes microseconds, and ends move with each sync.
const LOOKS_MAX: usize = 1_000;

/// What is asked of the task.
#[derive(Debug)]
pub enum Request {
    /// A change of a resource.
    Change(Change, oneshot::Sender<Result<Changed, Error>>),
    /// A page of dead letters out again, after a key.
    Redrive(
        dead::Selected,
        Option<DeliveryKey>,
        oneshot::Sender<Result<dead::Moved, Error>>,
    ),
    /// A page of dead letters away, after a key.
    Discard(
        dead::Selected,
        Option<DeliveryKey>,
        oneshot::Sender<Result<dead::Moved, Error>>,
    ),
    /// What subscriptions lose to retention.
    GiveUp(
        retention::Trim,
        Vec<retention::Loss>,
        oneshot::Sender<Result<bool, Error>>,
    ),
}

/// The task's state.
pub struct Changes {
    inner: Arc<Inner>,
    boundaries: Boundaries,
}

impl Changes {
    /// With the boundaries that the store holds.
    pub fn new(inner: Arc<Inner>, boundaries: Boundaries) -> Self {
        Self { inner, boundaries }
    }

    /// Serves until the last handle is gone or the core closes.
    pub async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(request) = requests.recv().await {
            // Whoever asked may have gone; the change is made all the same.
            match request {
                Request::Change(change, reply) => drop(reply.send(self.change(change).await)),
                Request::Redrive(selected, after, reply) => {
                    drop(reply.send(dead::redrive(&self.inner, selected, after).await));
                }
                Request::Discard(selected, after, reply) => {
                    drop(reply.send(dead::discard(&self.inner, selected, after).await));
                }
                Request::GiveUp(trim, losses, reply) => {
                    drop(reply.send(retention::record(&self.inner, trim, losses).await));
                }
            }
        }
    }

    fn plan(&self, change: &Change) -> Result<Plan, Error> {
        let inner = &self.inner;
        Ok(control::plan(
            &inner.model.load(),
            &inner.rules,
            &inner.sealer,
            change,
            inner.journal.now(),
        )?)
    }

    async fn change(&mut self, change: Change) -> Result<Changed, Error> {
        let before = self.inner.model.load_full();
        let plan = self.plan(&change)?;
        if plan.effect == Effect::Unchanged {
            return Ok(Changed {
                created: false,
                written: false,
                model: before,
            });
        }
        // The same plan once more, for a look at what will be: only the versions are not known yet.
        let after = self.plan(&change)?.finish.at(u64::MAX);
        match plan.effect {
            Effect::SubscriptionCreated => self.create(&change, plan, &after).await?,
            Effect::SubscriptionChanged => self.replace(&change, plan, &after).await?,
            Effect::SubscriptionDeleted => self.delete(&change, plan).await?,
            Effect::BusCreated | Effect::TopicPut => self.put_topics(plan, &after).await?,
            Effect::BusDeleted | Effect::TopicDeleted => self.delete_topics(plan, &after).await?,
            Effect::ConnectionPut => {
                self.apply(&change, plan, Vec::new()).await?;
                self.reconnect(&change);
            }
            Effect::Unchanged | Effect::Other => {
                self.apply(&change, plan, Vec::new()).await?;
            }
        }
        let model = self.inner.model.load_full();
        let created = before.version(change.kind, &change.bus, &change.name).is_none();
        Ok(Changed {
            created: created && is_there(&model, &change),
            written: true,
            model,
        })
    }

    /// One transaction, then the model is published.
    async fn apply(&self, change: &Change, plan: Plan, more: Vec<Operation>) -> Result<(), Error> {
        let bus = self.inner.model.load().buses.get(&change.bus).map_or(0, |bus| bus.id);
        let operations = plan.operations.into_iter().chain(more).collect();
        let revision = self.inner.store.apply(bus, operations).await?;
        self.inner.model.store(Arc::new(plan.finish.at(revision)));
        Ok(())
    }

    // Subscriptions.

    async fn create(&mut self, change: &Change, plan: Plan, after: &Model) -> Result<(), Error> {
        let (bus, subscription) = find(after, change)?;
        let rows = self.first_rows(&bus, &subscription, subscription.spec.start)?;
        let operations = rows.iter().map(|row| Operation::SaveLane(*row)).collect();
        self.apply(change, plan, operations).await?;
        let (bus, subscription) = find(&self.inner.model.load_full(), change)?;
        let rules = rules(&self.inner.model.load(), &bus, &subscription, &self.boundaries);
        let rows = rows.into_iter().map(|row| (row.partition, row)).collect();
        let tails = self.inner.tails();
        let remembered = Remembered {
            rows,
            ..Remembered::default()
        };
        let reader = lane(&self.inner, &bus, &subscription, rules, remembered, &tails).await?;
        self.add(reader).await
    }

    async fn add(&self, reader: Reader) -> Result<(), Error> {
        let (done, added) = oneshot::channel();
        self.inner.tell_router(Message::Add(Box::new(reader), done)).await?;
        added.await.map_err(|_| Error::Closing)
    }

    /// Where a new subscription begins: everything acknowledged before this call lies below the durable end.
    fn first_rows(&self, bus: &Bus, subscription: &Subscription, start: Start) -> Result<Vec<LaneRow>, Error> {
        partitions_read(bus, subscription)
            .into_iter()
            .map(|partition| self.first_row(subscription.id, partition, start))
            .collect()
    }

    fn first_row(&self, subscription: SubscriptionId, id: PartitionId, start: Start) -> Result<LaneRow, Error> {
        let bounds = self.inner.journal.bounds(id)?;
        let (position, floor) = match start {
            Start::Now => (bounds.high_water, bounds.high_water),
            Start::Earliest => (bounds.start, 0),
        };
        Ok(first_row_at(subscription, stored(id), position, floor))
    }

    async fn replace(&mut self, change: &Change, plan: Plan, after: &Model) -> Result<(), Error> {
        let before = self.inner.model.load_full();
        let (bus, old) = find(&before, change)?;
        let (_, new) = find(after, change)?;
        if !after.versions.contains_key(&(old.id, old.version)) {
            self.apply(change, plan, Vec::new()).await?;
            let (bus, new) = find(&self.inner.model.load_full(), change)?;
            let rules = rules(&self.inner.model.load(), &bus, &new, &self.boundaries);
            let renumber = Message::Renumber(new.id, Arc::new(rules));
            self.inner.tell_router(renumber).await?;
            return self.reconfigure(&bus, &new);
        }
        let places = self.freeze(old.id).await?;
        let applied = self.apply_version(change, plan, &bus, &old, &new, &places).await;
        if applied.is_err() {
            let unchanged = Message::Thaw {
                subscription: old.id,
                rules: None,
                cursors: BTreeMap::new(),
            };
            self.inner.tell_router(unchanged).await?;
        }
        let cursors = applied?;
        let (bus, new) = find(&self.inner.model.load_full(), change)?;
        self.thaw(&bus, &new, cursors).await?;
        self.reconfigure(&bus, &new)
    }

    /// The new version, the boundary of the old one, and the floors of topics that are read from now on.
    async fn apply_version(
        &mut self,
        change: &Change,
        plan: Plan,
        bus: &Bus,
        old: &Subscription,
        new: &Subscription,
        places: &[Place],
    ) -> Result<BTreeMap<PartitionId, Cursor>, Error> {
        let before: Vec<PartitionId> = places.iter().map(|place| place.partition).collect();
        let added: Vec<PartitionId> = partitions_read(bus, new)
            .into_iter()
            .filter(|partition| !before.contains(partition))
            .collect();
        let ends = self.ends(before.iter().chain(&added).copied())?;
        let moves = topics_read(bus, old) != topics_read(bus, new);
        // An event and its copies belong to one version: where topics come or go, the old one speaks for all that is durable.
        let boundary_of = |place: &Place| match moves {
            true => place.frontier.max(ends[&place.partition]),
            false => place.frontier,
        };
        let boundary: BTreeMap<Partition, u64> = places
            .iter()
            .map(|place| (stored(place.partition), boundary_of(place)))
            .collect();
        let mut operations = vec![Operation::PutDocument {
            bus: 0,
            kind: Kind::Setting,
            name: boundary_name(old.id, old.version),
            expect: Expect::Any,
            body: boundary_body(&boundary),
        }];
        let mut cursors = BTreeMap::new();
        for partition in added {
            let floor = ends[&partition];
            let row = first_row_at(new.id, stored(partition), floor, floor);
            operations.push(Operation::SaveLane(row));
            cursors.insert(partition, Cursor::new(Mode::Behind, floor, floor, Saved::Own(floor)));
        }
        let forgotten = self.forgettable(old.id, places);
        for version in &forgotten {
            operations.extend(forget_version(bus, old.id, *version));
        }
        self.apply(change, plan, operations).await?;
        self.boundaries.insert((old.id, old.version), boundary);
        for version in forgotten {
            self.boundaries.remove(&(old.id, version));
            let model = self.inner.model.load().without_version(old.id, version);
            self.inner.model.store(Arc::new(model));
        }
        Ok(cursors)
    }

    /// Durable ends of several partitions as they were at one moment: ends only grow, so what two looks agree on held between
    /// them. Under a load that never lets two agree, the last look is taken.
    fn ends(&self, partitions: impl Iterator<Item = PartitionId> + Clone) -> Result<BTreeMap<PartitionId, u64>, Error> {
        let look = || -> Result<BTreeMap<PartitionId, u64>, Error> {
            let end = |partition| Ok((partition, self.inner.journal.bounds(partition)?.high_water));
            partitions.clone().map(end).collect()
        };
        let mut ends = look()?;
        for _ in 0..LOOKS_MAX {
            let again = look()?;
            if again == ends {
                break;
            }
            ends = again;
        }
        Ok(ends)
    }

    /// Versions beyond those kept for stories, which no position needs.
    fn forgettable(&self, subscription: SubscriptionId, places: &[Place]) -> Vec<u64> {
        let kept: Vec<_> = self
            .boundaries
            .range((subscription, 0)..=(subscription, u64::MAX))
            .collect();
        // Which versions parked and dead rows name is not known here, so while there are any, more are kept.
        let holds = |lane: LaneHandle| {
            let counters = &lane.inbox.counters;
            counters.parked_now.load(Relaxed) + counters.dead_now.load(Relaxed) > 0
        };
        let most = match self.inner.lane(subscription).is_some_and(holds) {
            true => VERSIONS_KEPT_MAX,
            false => VERSIONS_KEPT,
        };
        let surplus = kept.len().saturating_sub(most);
        let passed = |boundary: &BTreeMap<Partition, u64>| {
            let below = |place: &Place| {
                boundary
                    .get(&stored(place.partition))
                    .is_some_and(|at| place.position < *at)
            };
            !places.iter().any(below)
        };
        let old = kept.into_iter().take(surplus).filter(|(_, boundary)| passed(boundary));
        old.map(|((_, version), _)| *version).collect()
    }

    async fn freeze(&self, subscription: SubscriptionId) -> Result<Vec<Place>, Error> {
        let (reply, places) = oneshot::channel();
        self.inner.tell_router(Message::Freeze(subscription, reply)).await?;
        places.await.map_err(|_| Error::Closing)
    }

    async fn thaw(
        &self,
        bus: &Bus,
        subscription: &Subscription,
        cursors: BTreeMap<PartitionId, Cursor>,
    ) -> Result<(), Error> {
        let rules = rules(&self.inner.model.load(), bus, subscription, &self.boundaries);
        let rules = Some(Arc::new(rules));
        self.inner
            .tell_router(Message::Thaw {
                subscription: subscription.id,
                rules,
                cursors,
            })
            .await
    }

    fn reconfigure(&self, bus: &Bus, subscription: &Subscription) -> Result<(), Error> {
        if let Some(lane) = self.inner.lane(subscription.id) {
            let config = Box::new(config(&self.inner, subscription));
            lane.send(Command::Configure(config, target(&self.inner, bus, subscription)));
        }
        Ok(())
    }

    fn reconnect(&self, change: &Change) {
        let model = self.inner.model.load();
        let Some(bus) = model.buses.get(&change.bus) else {
            return;
        };
        let concerned = bus
            .subscriptions
            .values()
            .filter(|subscription| subscription.spec.connection == change.name);
        for subscription in concerned {
            if let Some(lane) = self.inner.lane(subscription.id) {
                let config = Box::new(config(&self.inner, subscription));
                lane.send(Command::Configure(config, target(&self.inner, bus, subscription)));
            }
        }
    }

    /// Nothing is delivered any more before the change is written; if it cannot be, the lane starts again.
    async fn delete(&mut self, change: &Change, plan: Plan) -> Result<(), Error> {
        let (bus, subscription) = find(&self.inner.model.load_full(), change)?;
        let id = subscription.id;
        let places = self.freeze(id).await?;
        let lane = self.inner.lane(id);
        // First, so that its end is not taken for a failure.
        self.inner.remove_lane(id);
        if let Some(lane) = lane {
            lane.stop(DELETED_GRACE).await;
        }
        let places = self.places_now(id).await?.unwrap_or(places);
        self.inner.tell_router(Message::Remove(id)).await?;
        let mut operations = self.discarded(id, &places);
        operations.extend(self.discarded_parked(id, &places).await?);
        operations.push(Operation::ForgetSubscription(id));
        for (_, version) in self.boundaries.range((id, 0)..=(id, u64::MAX)).map(|(key, _)| *key) {
            operations.push(delete_document(0, Kind::Setting, boundary_name(id, version)));
        }
        match self.apply(change, plan, operations).await {
            Ok(()) => {
                self.boundaries.retain(|(subscription, _), _| *subscription != id);
                Ok(())
            }
            Err(error) => {
                self.revive(&bus, &subscription, &places).await?;
                Err(error)
            }
        }
    }

    async fn places_now(&self, subscription: SubscriptionId) -> Result<Option<Vec<Place>>, Error> {
        Ok(self.inner.places().await?.remove(&subscription))
    }

    /// What is unsettled when a subscription goes: everything from its positions to the ends, and what is parked.
    fn discarded(&self, subscription: SubscriptionId, places: &[Place]) -> Vec<Operation> {
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

    async fn revive(&self, bus: &Bus, subscription: &Subscription, places: &[Place]) -> Result<(), Error> {
        let rules = rules(&self.inner.model.load(), bus, subscription, &self.boundaries);
        let row = |place: &Place| LaneRow {
            subscription: subscription.id,
            partition: stored(place.partition),
            position: place.position,
            floor: place.floor,
            follows_tail: false,
        };
        let rows = places
            .iter()
            .map(|place| (stored(place.partition), row(place)))
            .collect();
        let holdings = self.inner.store.holdings().await?;
        let holdings = holdings
            .into_iter()
            .find(|(id, _)| *id == subscription.id)
            .map(|(_, holdings)| holdings);
        let remembered = Remembered {
            rows,
            holdings: holdings.unwrap_or_default(),
        };
        let mut reader = lane(&self.inner, bus, subscription, rules, remembered, &self.inner.tails()).await?;
        // These rows were never written.
        reader
            .cursors
            .values_mut()
            .for_each(|cursor| cursor.saved = Saved::Unknown);
        self.add(reader).await
    }

    // Topics.

    /// A topic is in the journal before anybody can publish to it, and read before that.
    async fn put_topics(&mut self, plan: Plan, after: &Model) -> Result<(), Error> {
        let known = all_partitions(&self.inner.model.load());
        let mut made = Vec::new();
        for (topic, partitions) in topics(after) {
            let is_new = !known.contains(&PartitionId { topic, index: 0 });
            if let Err(error) = self.inner.journal.create_topic(topic, partitions).await {
                self.unmake(made).await;
                return Err(error.into());
            }
            if is_new {
                made.push(topic);
            }
        }
        let revision = match self.inner.store.apply(0, plan.operations).await {
            Ok(revision) => revision,
            Err(error) => {
                self.unmake(made).await;
                return Err(error.into());
            }
        };
        let model = Arc::new(plan.finish.at(revision));
        self.announce_partitions(&model).await?;
        self.inner.model.store(model);
        Ok(())
    }

    async fn unmake(&self, topics: Vec<TopicId>) {
        for topic in topics {
            if let Err(error) = self.inner.journal.delete_topic(topic).await {
                // The next start drops what the store does not know.
                tracing::warn!(%error, ?topic, "failed to remove a topic that could not be saved");
            }
        }
    }

    async fn announce_partitions(&self, model: &Model) -> Result<(), Error> {
        let (done, announced) = oneshot::channel();
        let mut all_rules = Vec::new();
        for bus in model.buses.values() {
            for subscription in bus.subscriptions.values() {
                let rules = rules(model, bus, subscription, &self.boundaries);
                all_rules.push((subscription.id, Arc::new(rules)));
            }
        }
        let partitions = all_partitions(model);
        self.inner
            .tell_router(Message::Partitions {
                partitions,
                rules: all_rules,
                done,
            })
            .await?;
        announced.await.map_err(|_| Error::Closing)
    }

    async fn delete_topics(&mut self, plan: Plan, after: &Model) -> Result<(), Error> {
        let left: BTreeSet<TopicId> = topics(after).map(|(topic, _)| topic).collect();
        let before = self.inner.model.load_full();
        let gone: Vec<TopicId> = topics(&before)
            .map(|(topic, _)| topic)
            .filter(|topic| !left.contains(topic))
            .collect();
        let is_gone = |place: &Place| gone.contains(&place.partition.topic);
        let places = self.inner.places().await?.into_iter();
        let losers: Vec<SubscriptionId> = places
            .filter(|(_, places)| places.iter().any(is_gone))
            .map(|(subscription, _)| subscription)
            .collect();
        let mut operations = plan.operations;
        for subscription in &losers {
            let mut of_gone = self.freeze(*subscription).await?;
            of_gone.retain(is_gone);
            operations.extend(self.discarded(*subscription, &of_gone));
        }
        operations.extend(gone.iter().map(|topic| Operation::ForgetTopic(topic.topic)));
        let applied = self.inner.store.apply(0, operations).await;
        if let Ok(revision) = &applied {
            let model = Arc::new(plan.finish.at(*revision));
            self.inner.model.store(Arc::clone(&model));
            self.announce_partitions(&model).await?;
        }
        for subscription in losers {
            let (rules, cursors) = (None, BTreeMap::new());
            let thaw = Message::Thaw {
                subscription,
                rules,
                cursors,
            };
            self.inner.tell_router(thaw).await?;
        }
        applied?;
        self.unmake(gone).await;
        Ok(())
    }
}

/// A row of its own from the start: whatever the tail position says after a crash, it reads on there.
fn first_row_at(subscription: SubscriptionId, partition: Partition, position: u64, floor: u64) -> LaneRow {
    LaneRow {
        subscription,
        partition,
        position,
        floor,
        follows_tail: false,
    }
}

fn topics_read(bus: &Bus, subscription: &Subscription) -> BTreeSet<u32> {
    bus.topics_of(&subscription.spec).map(|topic| topic.id).collect()
}

fn is_there(model: &Model, change: &Change) -> bool {
    model.version(change.kind, &change.bus, &change.name).is_some()
}

fn find(model: &Model, change: &Change) -> Result<(Arc<Bus>, Arc<Subscription>), Error> {
    debug_assert_eq!(change.kind, ResourceKind::Subscription, "only they have lanes");
    let bus = model.bus(&change.bus)?;
    let missing = || crate::core::not_found(format!("subscription {:?} does not exist", change.name));
    let subscription = bus.subscriptions.get(&change.name).ok_or_else(missing)?;
    Ok((Arc::clone(bus), Arc::clone(subscription)))
}

fn topics(model: &Model) -> impl Iterator<Item = (TopicId, u32)> + '_ {
    let of_bus = |bus: &Arc<Bus>| {
        let topic = |topic: &Arc<control::Topic>| {
            (
                TopicId {
                    bus: bus.id,
                    topic: topic.id,
                },
                topic.spec.partitions,
            )
        };
        bus.topics.values().map(topic).collect::<Vec<_>>()
    };
    model.buses.values().flat_map(of_bus)
}

fn forget_version(bus: &Bus, subscription: SubscriptionId, version: u64) -> [Operation; 2] {
    let document = control::documents::version_name(subscription, version);
    [
        delete_document(bus.id, Kind::SubscriptionVersion, document),
        delete_document(0, Kind::Setting, boundary_name(subscription, version)),
    ]
}

fn delete_document(bus: u32, kind: Kind, name: String) -> Operation {
    Operation::DeleteDocument {
        bus,
        kind,
        name,
        expect: Expect::Any,
    }
}

/// Every partition's tail position as the router has it: what a new lane is placed by.
impl Inner {
    /// Positions of the live tail.
    pub fn tails(&self) -> BTreeMap<PartitionId, u64> {
        all_partitions(&self.model.load())
            .into_iter()
            .map(|partition| (partition, self.view.tail(partition)))
            .collect()
    }

    /// Where every lane stands.
    pub async fn places(&self) -> Result<HashMap<SubscriptionId, Vec<Place>>, Error> {
        let (reply, places) = oneshot::channel();
        self.tell_router(Message::Places(reply)).await?;
        places.await.map_err(|_| Error::Closing)
    }

    /// Lets a lane go on after a 410 or a bound.
    pub fn resume_lane(&self, subscription: SubscriptionId) {
        if let Some(lane) = self.lane(subscription) {
            lane.send(Command::Step(Input::Resume));
        }
    }
}
