//! Subscriptions that come and change: where a new one begins, and from where on a new version speaks.

use super::{Changes, find};
use crate::{
    Error, copies,
    lane_handle::Command,
    matching::stored,
    positions::{Cursor, Mode, Saved},
    restore::{Remembered, boundary_body, boundary_name, made, partitions_of, partitions_read, rules},
    router::{Message, Place},
};
use control::{
    Bus, Change, Model, Plan, Subscription, Topic,
    resources::{ConnectionSpec, Start},
};
use journal::PartitionId;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use store::{Expect, Kind, LaneRow, Operation, Partition, Revision, SubscriptionId};

/// Looks at durable ends until two agree; each takes microseconds, and ends move with each sync.
const LOOKS_MAX: usize = 1_000;

impl Changes {
    pub(super) async fn create(&mut self, change: &Change, plan: Plan, after: &Model) -> Result<(), Error> {
        let (bus, subscription) = find(after, change)?;
        let rows = self.first_rows(&bus, &subscription).await?;
        let operations = rows.iter().map(|row| Operation::SaveLane(*row)).collect();
        self.apply(change, plan, operations).await?;
        self.begin(change, rows).await
    }

    /// Starts the lane of a subscription that was saved with these rows.
    pub(super) async fn begin(&mut self, change: &Change, rows: Vec<LaneRow>) -> Result<(), Error> {
        let model = self.inner.model.load_full();
        let (bus, subscription) = find(&model, change)?;
        let rows = rows.into_iter().map(|row| (row.partition, row)).collect();
        let new = Remembered {
            rows,
            ..Remembered::default()
        };
        // It is saved: whatever happens now, the lane starts some time.
        let _ = self.start_new(&model, (&bus, &subscription), new).await;
        Ok(())
    }

    /// Where a new subscription begins: everything acknowledged before this call lies below the durable end.
    pub(super) async fn first_rows(&self, bus: &Bus, subscription: &Subscription) -> Result<Vec<LaneRow>, Error> {
        let mut rows = Vec::new();
        for topic in bus.topics_of(&subscription.spec) {
            for partition in partitions_of(bus, topic) {
                let (position, floor) = self.first_place(topic, partition, &subscription.spec.start).await?;
                rows.push(first_row_at(subscription.id, stored(partition), position, floor));
            }
        }
        Ok(rows)
    }

    /// Where it begins to read, and the floor: below a time or an offset that somebody names nothing is ever wanted.
    async fn first_place(&self, topic: &Topic, partition: PartitionId, start: &Start) -> Result<(u64, u64), Error> {
        let journal = &self.inner.journal;
        let bounds = journal.bounds(partition)?;
        let at = match start {
            Start::Now => bounds.high_water,
            Start::Earliest => return Ok((bounds.start, 0)),
            Start::Time(time) => journal.offset_at(partition, time.0).await?,
            Start::Offsets(offsets) => {
                let named = offsets
                    .get(&topic.name)
                    .and_then(|offsets| offsets.get(&partition.index));
                named.map_or(bounds.high_water, |offset| {
                    (*offset).clamp(bounds.start, bounds.high_water)
                })
            }
        };
        Ok((at, at))
    }

    pub(super) async fn replace(&mut self, change: &Change, plan: Plan, after: &Model) -> Result<(), Error> {
        let next = self.turn(change, after).await?;
        let operations = next.operations();
        match self.apply(change, plan, operations).await {
            Ok(()) => self.turned(change, next).await,
            Err(error) => {
                self.unturned(next).await?;
                Err(error)
            }
        }
    }

    /// Readies a subscription for what it will be. One that matches other events then is frozen: it is to be
    /// [`turned`](Self::turned) or [`unturned`](Self::unturned).
    pub(super) async fn turn(&self, change: &Change, after: &Model) -> Result<Turn, Error> {
        let before = self.inner.model.load_full();
        let (bus, old) = find(&before, change)?;
        let (_, new) = find(after, change)?;
        let (subscription, version) = (old.id, old.version);
        if !after.versions.contains_key(&(old.id, old.version)) {
            return Ok(Turn {
                subscription,
                version,
                switch: None,
            });
        }
        self.check_room_for_version(old.id)?;
        let places = self.inner.freeze(old.id).await?;
        let turn = |switch| Turn {
            subscription,
            version,
            switch: Some(switch),
        };
        match self.switch(&bus, &old, &new, &places) {
            Ok(switch) => Ok(turn(switch)),
            Err(error) => {
                self.unturned(turn(Switch::default())).await?;
                Err(error)
            }
        }
    }

    /// The boundary of the old version, and the floors of topics that are read from now on.
    fn switch(&self, bus: &Bus, old: &Subscription, new: &Subscription, places: &[Place]) -> Result<Switch, Error> {
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
        let boundary = places
            .iter()
            .map(|place| (stored(place.partition), boundary_of(place)))
            .collect();
        let cursors = added.into_iter().map(|partition| {
            let floor = ends[&partition];
            (partition, Cursor::new(Mode::Behind, floor, floor, Saved::Own(floor)))
        });
        let cursors = cursors.collect();
        Ok(Switch { boundary, cursors })
    }

    /// The new version is written: it speaks from now on.
    pub(super) async fn turned(&mut self, change: &Change, turn: Turn) -> Result<(), Error> {
        let switch = turn.switch.map(|switch| {
            self.boundaries
                .insert((turn.subscription, turn.version), switch.boundary);
            switch.cursors
        });
        let model = self.inner.model.load_full();
        let (bus, new) = find(&model, change)?;
        let rules = Arc::new(rules(&model, &bus, &new, &self.boundaries));
        let message = match switch {
            None => Message::Renumber(new.id, rules),
            Some(cursors) => Message::Thaw {
                subscription: new.id,
                rules: Some(rules),
                cursors,
            },
        };
        self.inner.tell_router(message).await?;
        self.reconfigure(&bus, &new)
    }

    /// Nothing was written: it goes on as it was.
    pub(super) async fn unturned(&self, turn: Turn) -> Result<(), Error> {
        if turn.switch.is_none() {
            return Ok(());
        }
        let unchanged = Message::Thaw {
            subscription: turn.subscription,
            rules: None,
            cursors: BTreeMap::new(),
        };
        self.inner.tell_router(unchanged).await
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

    fn reconfigure(&self, bus: &Bus, subscription: &Subscription) -> Result<(), Error> {
        self.inner.replays.reconfigure(subscription.id);
        copies::reconfigure(&self.inner, bus, subscription);
        if let Some(lane) = self.inner.lane(subscription.id) {
            let (config, target) = made(&self.inner, bus, subscription);
            lane.send(Command::Configure(config, target));
        }
        Ok(())
    }

    /// A connection changed.
    pub(super) fn reconnect(&self, change: &Change) {
        let model = self.inner.model.load();
        if let Some(bus) = model.buses.get(&change.bus) {
            self.reconnect_through(bus, &change.name);
        }
    }

    /// What a bus says for its connections changed.
    pub(super) fn reconnect_bus(&self, change: &Change) {
        let model = self.inner.model.load();
        let Some(bus) = model.buses.get(&change.name) else {
            return;
        };
        for connection in bus.connections.values() {
            if matches!(connection.spec, ConnectionSpec::EventBridge(_)) {
                self.reconnect_through(bus, &connection.name);
            }
        }
    }

    fn reconnect_through(&self, bus: &Bus, connection: &str) {
        let concerned = bus
            .subscriptions
            .values()
            .filter(|subscription| subscription.spec.uses_connection(connection));
        for subscription in concerned {
            copies::reconfigure(&self.inner, bus, subscription);
            if subscription.spec.connection != connection {
                continue;
            }
            self.inner.replays.reconfigure(subscription.id);
            if let Some(lane) = self.inner.lane(subscription.id) {
                let (config, target) = made(&self.inner, bus, subscription);
                lane.send(Command::Configure(config, target));
            }
        }
    }
}

/// A subscription on the way to its next version.
#[derive(Debug)]
pub(super) struct Turn {
    subscription: SubscriptionId,
    /// The version before.
    version: Revision,
    /// Absent if it matches the same events as before.
    switch: Option<Switch>,
}

/// From where on the next version speaks.
#[derive(Debug, Default)]
struct Switch {
    /// Of the version before.
    boundary: BTreeMap<Partition, u64>,
    /// In topics that it did not read before.
    cursors: BTreeMap<PartitionId, Cursor>,
}

impl Turn {
    /// What is written with the new version.
    pub(super) fn operations(&self) -> Vec<Operation> {
        let Some(switch) = &self.switch else {
            return Vec::new();
        };
        let boundary = Operation::PutDocument {
            bus: 0,
            kind: Kind::Setting,
            name: boundary_name(self.subscription, self.version),
            expect: Expect::Any,
            body: boundary_body(&switch.boundary),
        };
        let rows = switch.cursors.iter().map(|(partition, cursor)| {
            let floor = cursor.floor;
            Operation::SaveLane(first_row_at(self.subscription, stored(*partition), floor, floor))
        });
        std::iter::once(boundary).chain(rows).collect()
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
