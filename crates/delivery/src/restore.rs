//! From documents and rows to running lanes: what a start and a new subscription share. It saves nothing.

use crate::{
    Limits,
    copies::{self, CopyMaker, Facts},
    inbox::Inbox,
    inner::Inner,
    lane::{Config, Lane, Restored},
    lane_handle::{LaneHandle, Target},
    lane_task::{Role, Spawn},
    matching::{Earlier, Rule, Rules, stored},
    positions::{Cursor, Mode, Saved},
    router::Reader,
    shaping::Shaping,
    window::Window,
};
use control::{Bus, Model, Subscription, Topic, resources::ConnectionSpec};
use journal::{PartitionId, TopicId};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};
use store::{DeliveryKey, Document, Holdings, Kind, LaneRow, Partition, Revision, SubscriptionId};

/// Persisted; the name of the setting that holds the offsets below which an earlier version of a subscription speaks.
const BOUNDARY: &str = "boundary/";

/// The body of a boundary's document.
#[derive(Debug, Serialize, Deserialize)]
struct StoredBoundary {
    format: u32,
    /// Topic, partition, offset.
    offsets: Vec<(u32, u32, u64)>,
}

/// Offsets below which earlier versions of subscriptions speak.
pub type Boundaries = BTreeMap<(SubscriptionId, Revision), BTreeMap<Partition, u64>>;

/// The name of a boundary's document.
pub fn boundary_name(subscription: SubscriptionId, version: Revision) -> String {
    format!("{BOUNDARY}{subscription}/{version}")
}

/// The body of a boundary's document.
pub fn boundary_body(boundary: &BTreeMap<Partition, u64>) -> bytes::Bytes {
    let offsets = boundary
        .iter()
        .map(|(partition, offset)| (partition.topic, partition.index, *offset))
        .collect();
    serde_json::to_vec(&StoredBoundary { format: 1, offsets })
        .expect("plain numbers become JSON")
        .into()
}

/// The boundaries among all documents.
pub fn boundaries(documents: &[Document]) -> Boundaries {
    let settings = documents.iter().filter(|document| document.kind == Kind::Setting);
    settings.filter_map(boundary).collect()
}

fn boundary(document: &Document) -> Option<((SubscriptionId, Revision), BTreeMap<Partition, u64>)> {
    let (subscription, version) = document.name.strip_prefix(BOUNDARY)?.split_once('/')?;
    let stored: StoredBoundary = serde_json::from_slice(&document.body).ok()?;
    let offsets = stored
        .offsets
        .into_iter()
        .map(|(topic, index, offset)| (Partition { topic, index }, offset));
    Some(((subscription.parse().ok()?, version.parse().ok()?), offsets.collect()))
}

/// All partitions of a topic.
pub fn partitions_of(bus: &Bus, topic: &Topic) -> impl Iterator<Item = PartitionId> + use<> {
    let id = TopicId {
        bus: bus.id,
        topic: topic.id,
    };
    (0..topic.spec.partitions).map(move |index| PartitionId { topic: id, index })
}

/// All partitions of the model.
pub fn all_partitions(model: &Model) -> BTreeSet<PartitionId> {
    let of_bus = |bus: &Arc<Bus>| {
        bus.topics
            .values()
            .flat_map(|topic| partitions_of(bus, topic))
            .collect::<Vec<_>>()
    };
    model.buses.values().flat_map(of_bus).collect()
}

/// All partitions that a subscription's version in force reads.
pub fn partitions_read(bus: &Bus, subscription: &Subscription) -> Vec<PartitionId> {
    bus.topics_of(&subscription.spec)
        .flat_map(|topic| partitions_of(bus, topic))
        .collect()
}

fn rule(bus: &Bus, subscription: &Subscription) -> Rule {
    let topics = bus.topics_of(&subscription.spec).map(|topic| topic.id).collect();
    Rule {
        version: subscription.version,
        filter: Arc::clone(&subscription.filter),
        topics,
    }
}

/// A subscription's rules.
pub fn rules(model: &Model, bus: &Bus, subscription: &Subscription, boundaries: &Boundaries) -> Rules {
    let id = subscription.id;
    let kept = model.versions.range((id, 0)..=(id, Revision::MAX));
    let earlier = kept.filter_map(|(key, kept)| {
        Some(Earlier {
            rule: rule(bus, kept),
            boundary: boundaries.get(key)?.clone(),
        })
    });
    Rules {
        current: rule(bus, subscription),
        earlier: earlier.collect(),
    }
}

/// What a lane goes by, and where it delivers to, or why nowhere.
pub fn made(inner: &Inner, bus: &Bus, subscription: &Subscription) -> (Box<Config>, Result<Arc<Target>, String>) {
    let target = target(inner, bus, subscription);
    let limits = target
        .as_ref()
        .map_or(Limits::ONE, |target| target.destination.limits());
    (Box::new(config(inner, bus, subscription, limits)), target)
}

fn config(inner: &Inner, bus: &Bus, subscription: &Subscription, limits: Limits) -> Config {
    let maker = || CopyMaker {
        facts: Facts {
            bus: bus.name.clone(),
            subscription: subscription.name.clone(),
        },
        counters: inner.copies.counters(subscription.id),
    };
    let mut policy = subscription.spec.delivery.clone();
    if let Some(connection) = bus.connections.get(&subscription.spec.connection) {
        policy.batch.events = Some(subscription.spec.events_per_request(&connection.spec));
    }
    Config {
        subscription: subscription.id,
        replay: 0,
        created: subscription.created,
        enabled: subscription.spec.enabled,
        policy,
        limits,
        bounds: inner.settings.lane,
        copies: subscription.spec.dead_letter.is_some().then(|| Arc::new(maker())),
    }
}

/// Where a subscription's connection leads, or why nowhere.
pub fn target(inner: &Inner, bus: &Bus, subscription: &Subscription) -> Result<Arc<Target>, String> {
    let name = &subscription.spec.connection;
    let connection = bus
        .connections
        .get(name)
        .ok_or_else(|| format!("connection {name:?} does not exist"))?;
    let mut spec = inner
        .sealer
        .open_connection(connection)
        .map_err(|error| format!("failed to {error}"))?;
    bus.spec.eventbridge.fill(&mut spec);
    let connection = control::Connection {
        spec,
        ..(**connection).clone()
    };
    Ok(Arc::new(Target {
        destination: match &connection.spec {
            ConnectionSpec::Bus(config) => crate::to_bus::destination(inner, &config.bus),
            _ => (inner.destinations)(&connection, subscription)?,
        },
        bus: bus.name.clone(),
        origin: bus.name.clone(),
        subscription: subscription.name.clone(),
        timeout: subscription.spec.delivery.timeout,
        replay: None,
        shaping: Shaping::of(bus, subscription).map(Arc::new),
    }))
}

/// What the store says of one subscription.
#[derive(Debug, Default)]
pub struct Remembered {
    /// Its rows.
    pub rows: HashMap<Partition, LaneRow>,
    /// What it holds.
    pub holdings: Holdings,
    /// Whether its endpoint said that it is gone, and nobody has resumed it since.
    pub is_gone: bool,
}

/// Starts a subscription's lane where the store left it; gives what the router needs.
pub async fn lane(
    inner: &Inner,
    bus: &Bus,
    subscription: &Subscription,
    rules: Rules,
    remembered: Remembered,
    tails: &BTreeMap<PartitionId, u64>,
) -> Result<Reader, store::Error> {
    let copies = copies::held(inner, subscription).await?;
    let cursors = cursors(&rules, &remembered.rows, tails);
    let restored = restored(inner, subscription, &cursors, tails, remembered).await?;
    let inbox = Arc::new(Inbox::new(
        subscription.id,
        inner.settings.lane,
        Arc::clone(&inner.node_bytes),
        inner.room.clone(),
        Arc::clone(&inner.unsaved),
    ));
    let (config, target) = made(inner, bus, subscription);
    let lane = Lane::new(
        Config::clone(&config),
        restored,
        Arc::clone(&inbox.counters),
        inner.settings.clock.now(),
    );
    inbox.restore(&lane, cursors.keys().map(|partition| stored(*partition)));
    let handle = LaneHandle::spawn(Spawn {
        inner,
        bus: bus.id,
        role: Role::Live(Arc::clone(&inner.replaying)),
        lane,
        inbox,
        config,
        target,
        stream: subscription.id,
    });
    inner.insert_lane(subscription.id, handle.clone());
    if let Some(held) = copies {
        copies::start(inner, bus, subscription, held, handle.clone());
    }
    Ok(Reader::new(handle, Arc::new(rules), cursors))
}

fn cursors(
    rules: &Rules,
    rows: &HashMap<Partition, LaneRow>,
    tails: &BTreeMap<PartitionId, u64>,
) -> BTreeMap<PartitionId, Cursor> {
    let read = tails.keys().filter(|partition| rules.reads(partition.topic.topic));
    let cursor = |partition: &PartitionId| {
        let cursor = match rows.get(&stored(*partition)) {
            None => Cursor::new(Mode::Following, 0, 0, Saved::Follows),
            Some(row) if row.follows_tail => Cursor::new(Mode::Following, row.floor, row.floor, Saved::Follows),
            // The router has it join the tail if it is there.
            Some(row) => Cursor::new(Mode::Behind, row.position, row.floor, Saved::Own(row.position)),
        };
        (*partition, cursor)
    };
    read.map(cursor).collect()
}

async fn restored(
    inner: &Inner,
    subscription: &Subscription,
    cursors: &BTreeMap<PartitionId, Cursor>,
    tails: &BTreeMap<PartitionId, u64>,
    remembered: Remembered,
) -> Result<Restored, store::Error> {
    let mut marked: HashMap<Partition, BTreeSet<u64>> = HashMap::new();
    for mark in inner
        .store
        .marks(subscription.id)
        .await?
        .into_iter()
        .filter(|mark| mark.key.replay == 0)
    {
        marked.entry(mark.key.partition).or_default().insert(mark.key.offset);
    }
    let Remembered { holdings, is_gone, .. } = remembered;
    let orders = if holdings.parked > 0 {
        let orders = inner.store.parked_orders(subscription.id).await?.into_iter();
        let is_own = |key: &DeliveryKey| !inner.replaying.has(subscription.id, key.replay);
        orders.filter(|(_, key)| is_own(key)).collect()
    } else {
        Vec::new()
    };
    let window = |(partition, cursor): (&PartitionId, &Cursor)| {
        let position = match cursor.saved {
            Saved::Own(position) => position,
            Saved::Follows | Saved::Unknown => cursor.reached(tails.get(partition).copied().unwrap_or_default()),
        };
        let partition = stored(*partition);
        (
            partition,
            Window::new(position, marked.remove(&partition).unwrap_or_default()),
        )
    };
    let windows = cursors.iter().map(window).collect();
    Ok(Restored {
        windows,
        holdings,
        orders,
        is_gone,
    })
}
