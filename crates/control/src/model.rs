//! The model: an immutable snapshot of every resource, swapped whole when something changes.

use crate::{
    keys::{self, Grant, KeySecret, LastUse},
    parse::echo,
    refusal::Refusal,
    resources::{BusSpec, ConnectionSpec, EventTypeSpec, KeySpec, ResourceKind, SubscriptionSpec, TopicSpec},
    shared_map::SharedMap,
    usage::Usage,
};
use std::{collections::BTreeMap, sync::Arc};
use store::{BusId, Millis, Revision, SubscriptionId};

/// Everything declared, at one revision.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Buses by name.
    pub buses: BTreeMap<String, Arc<Bus>>,
    /// Keys by id.
    pub keys: BTreeMap<String, Arc<Key>>,
    /// Earlier versions of subscriptions that are kept, compiled, by subscription and version.
    pub versions: BTreeMap<(SubscriptionId, Revision), Arc<Subscription>>,
    /// The next internal numbers, persisted as a setting in every `apply` that changes the model.
    pub counters: Counters,
    /// The key of the fingerprints, sealed; `None` until [`crate::bootstrap`] has been applied.
    pub fingerprint_key: Option<String>,
}

/// Internal numbers that were never given out.
///
/// Their document is written by every change, with the version it was read at as the condition: two changes that were planned
/// on the same model never both happen, whatever they touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Next bus.
    pub bus: BusId,
    /// Next topic.
    pub topic: u32,
    /// Next subscription.
    pub subscription: SubscriptionId,
    /// Version of their document; 0: not written yet.
    pub version: Revision,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            bus: 1,
            topic: 1,
            subscription: 1,
            version: 0,
        }
    }
}

/// A bus and what it owns.
#[derive(Clone, Debug)]
pub struct Bus {
    /// Internal number.
    pub id: BusId,
    /// Name.
    pub name: String,
    /// Version of its document.
    pub version: Revision,
    /// As declared.
    pub spec: BusSpec,
    /// Topics by name.
    pub topics: BTreeMap<String, Arc<Topic>>,
    /// Event types by `type`.
    pub event_types: BTreeMap<String, Arc<EventType>>,
    /// Connections by name.
    pub connections: BTreeMap<String, Arc<Connection>>,
    /// Subscriptions by name. There may be very many, and every change makes another model.
    pub subscriptions: SharedMap<Subscription>,
    /// What it uses of its quotas.
    pub usage: Arc<Usage>,
}

/// A topic.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Internal number, never reused.
    pub id: u32,
    /// Name.
    pub name: String,
    /// Version of its document.
    pub version: Revision,
    /// As declared.
    pub spec: TopicSpec,
}

/// An event type.
#[derive(Clone, Debug)]
pub struct EventType {
    /// Its `type`.
    pub name: String,
    /// Version of its document.
    pub version: Revision,
    /// As declared.
    pub spec: EventTypeSpec,
}

/// A connection. Its secrets are sealed here too; [`crate::seal::Sealer::open_connection`] gives them plain.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The name of its bus, under which its secrets are sealed.
    pub bus: String,
    /// Name.
    pub name: String,
    /// Version of its document.
    pub version: Revision,
    /// As declared, secrets sealed.
    pub spec: ConnectionSpec,
    /// Nothing is sent: attempts show what would have been.
    pub dry_run: bool,
}

/// A subscription, compiled.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Internal number, never reused: a recreated name is another subscription.
    pub id: SubscriptionId,
    /// Name.
    pub name: String,
    /// Version of its document.
    pub version: Revision,
    /// When it was created (the first version): the `now` of that plan.
    pub created: Millis,
    /// As declared.
    pub spec: SubscriptionSpec,
    /// Types and filter, compiled together.
    pub filter: Arc<pattern::Filter>,
    /// The transform, compiled; `None`: events stay as they are.
    pub transform: Option<Arc<transform::Transform>>,
}

/// A key.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its id, the part of the bearer token before the dot.
    pub id: String,
    /// Version of its document.
    pub version: Revision,
    /// As declared.
    pub spec: KeySpec,
    /// Its secrets as they are kept, the newest first; two while a rotation overlaps.
    pub secrets: Vec<KeySecret>,
    /// When it was made.
    pub created: Millis,
    /// When it expires.
    pub not_after: Option<Millis>,
    /// What it may publish; `None`: anything.
    pub grant: Option<Grant>,
    /// When it was last used.
    pub used: Arc<LastUse>,
    /// What it uses of its quotas.
    pub usage: Arc<Usage>,
}

impl Key {
    /// A key of these parts, with what follows from them.
    pub(crate) fn new(id: String, spec: KeySpec, secrets: Vec<KeySecret>, created: Millis, used: Arc<LastUse>) -> Self {
        Self {
            not_after: keys::end_of(&spec),
            grant: spec.publish.as_ref().map(Grant::new),
            id,
            version: 0,
            spec,
            secrets,
            created,
            used,
            usage: Arc::default(),
        }
    }
}

impl Model {
    /// A bus by its name, or the refusal that it does not exist.
    pub fn bus(&self, name: &str) -> Result<&Arc<Bus>, Refusal> {
        let missing = || Refusal::not_found(format!("bus {} does not exist", echo(name)));
        self.buses.get(name).ok_or_else(missing)
    }

    /// The version of a resource, if it exists.
    pub fn version(&self, kind: ResourceKind, bus: &str, name: &str) -> Option<Revision> {
        let owner = || self.buses.get(bus);
        match kind {
            ResourceKind::Bus => self.buses.get(name).map(|bus| bus.version),
            ResourceKind::Key => self.keys.get(name).map(|key| key.version),
            ResourceKind::Topic => owner()?.topics.get(name).map(|topic| topic.version),
            ResourceKind::EventType => owner()?.event_types.get(name).map(|event_type| event_type.version),
            ResourceKind::Connection => owner()?.connections.get(name).map(|connection| connection.version),
            ResourceKind::Subscription => owner()?
                .subscriptions
                .get(name)
                .map(|subscription| subscription.version),
        }
    }

    /// A bus by its internal number.
    pub fn bus_by_id(&self, id: BusId) -> Option<&Arc<Bus>> {
        self.buses.values().find(|bus| bus.id == id)
    }

    /// Partitions of all topics of all buses.
    pub fn partitions(&self) -> u64 {
        let topics = self.buses.values().flat_map(|bus| bus.topics.values());
        topics.map(|topic| u64::from(topic.spec.partitions)).sum()
    }

    /// The subscription as it matched at a version: the kept one that was in force then, or the one in force now. A version
    /// is kept only when the next one matched differently, so the first kept one from there on speaks for it.
    pub fn subscription_version(&self, subscription: &Arc<Subscription>, version: Revision) -> Arc<Subscription> {
        let kept = self
            .versions
            .range((subscription.id, version)..=(subscription.id, Revision::MAX));
        kept.map(|(_, kept)| kept).next().unwrap_or(subscription).clone()
    }

    /// The model without a kept version that nothing needs any more; the caller deletes its document
    /// ([`crate::documents::version_name`]).
    pub fn without_version(&self, subscription: SubscriptionId, version: Revision) -> Model {
        let mut model = self.clone();
        model.versions.remove(&(subscription, version));
        model
    }
}

impl Bus {
    /// The topics that a subscription reads: those it names, or all.
    pub fn topics_of<'a>(&'a self, spec: &'a SubscriptionSpec) -> impl Iterator<Item = &'a Arc<Topic>> {
        self.topics.values().filter(|topic| spec.reads(&topic.name))
    }
}
