//! The model: an immutable snapshot of every resource, swapped whole when something changes.

use crate::resources::{BusSpec, ConnectionSpec, EventTypeSpec, KeySpec, SubscriptionSpec, TopicSpec};
use std::{collections::BTreeMap, sync::Arc};
use store::{BusId, Millis, Revision, SubscriptionId};

/// Everything declared, at one revision.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Buses by name.
    pub buses: BTreeMap<String, Arc<Bus>>,
    /// Keys by id.
    pub keys: BTreeMap<String, Arc<Key>>,
    /// The next internal numbers, persisted as settings in the same `apply` that uses one.
    pub counters: Counters,
}

/// Internal numbers that were never given out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Next bus.
    pub bus: BusId,
    /// Next topic.
    pub topic: u32,
    /// Next subscription.
    pub subscription: SubscriptionId,
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
    /// Subscriptions by name.
    pub subscriptions: BTreeMap<String, Arc<Subscription>>,
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
    /// Name.
    pub name: String,
    /// Version of its document.
    pub version: Revision,
    /// As declared, secrets sealed.
    pub spec: ConnectionSpec,
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
    /// When it was created (the first version), by the journal's clock.
    pub created: Millis,
    /// As declared.
    pub spec: SubscriptionSpec,
    /// Types and filter, compiled together.
    pub filter: Arc<pattern::Filter>,
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
    /// SHA-256 of the secret.
    pub secret_sha256: [u8; 32],
    /// When it was made.
    pub created: Millis,
}
