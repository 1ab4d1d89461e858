//! The stored form of the model: one JSON document for each resource, and the settings. Secrets are sealed before they come
//! here; a plain one is an error. Persisted, keep stable: a change of shape raises `FORMAT` and reads the old one too.

mod key;

pub use key::last_use_operation;
pub(crate) use key::{forget_last_use_operation, key_body};

use crate::{
    filters,
    keys::LastUse,
    model::{Bus, Connection, Counters, EventType, Model, Subscription, Topic},
    resources::{BusSpec, DeclaredConnection, EventTypeSpec, SubscriptionSpec, TopicSpec},
    seal::FINGERPRINT_KEY_SETTING,
    shared_map::SharedMap,
    transforms,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, sync::Arc};
use store::{BusId, Document, Kind, Millis, Revision, SubscriptionId};

/// The shape of documents that this program writes.
const FORMAT: u32 = 1;
/// The bus number of what belongs to the installation.
pub const INSTALLATION: BusId = 0;
/// The setting that holds the counters.
pub(crate) const COUNTERS_SETTING: &str = "counters";

/// Why a stored model could not be loaded.
#[derive(Debug, thiserror::Error)]
#[error("load {kind:?} {name:?} of bus {bus}: {reason}")]
pub struct LoadError {
    /// The bus's internal number.
    pub bus: BusId,
    /// What.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// A resource that is its specification alone.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plain<S> {
    format: u32,
    pub spec: S,
}

/// A resource with an internal number.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Numbered<S> {
    format: u32,
    pub id: u32,
    pub spec: S,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredSubscription {
    format: u32,
    id: SubscriptionId,
    created: Millis,
    spec: SubscriptionSpec,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredCounters {
    format: u32,
    bus: BusId,
    topic: u32,
    subscription: SubscriptionId,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredFingerprintKey {
    format: u32,
    sealed: String,
}

/// The name of a kept version's document.
pub fn version_name(subscription: SubscriptionId, version: Revision) -> String {
    format!("{subscription}/{version}")
}

fn body(value: &impl Serialize) -> Bytes {
    Bytes::from(serde_json::to_vec(value).expect("plain data with string keys, its secrets sealed"))
}

pub(crate) fn plain_body(spec: &impl Serialize) -> Bytes {
    body(&Plain { format: FORMAT, spec })
}

pub(crate) fn numbered_body(id: u32, spec: &impl Serialize) -> Bytes {
    body(&Numbered {
        format: FORMAT,
        id,
        spec,
    })
}

pub(crate) fn subscription_body(subscription: &Subscription) -> Bytes {
    let Subscription { id, created, spec, .. } = subscription;
    body(&StoredSubscription {
        format: FORMAT,
        id: *id,
        created: *created,
        spec: spec.clone(),
    })
}

pub(crate) fn counters_body(counters: Counters) -> Bytes {
    let Counters {
        bus,
        topic,
        subscription,
        version: _,
    } = counters;
    body(&StoredCounters {
        format: FORMAT,
        bus,
        topic,
        subscription,
    })
}

pub(crate) fn fingerprint_key_body(sealed: &str) -> Bytes {
    body(&StoredFingerprintKey {
        format: FORMAT,
        sealed: sealed.to_owned(),
    })
}

impl Model {
    /// The model that documents make, in any order.
    pub fn load(documents: &[Document]) -> Result<Model, LoadError> {
        let mut loading = Loading::default();
        let (installation, of_buses): (Vec<_>, Vec<_>) =
            documents.iter().partition(|document| document.bus == INSTALLATION);
        for document in installation.into_iter().chain(of_buses) {
            loading.take(document).map_err(|reason| LoadError {
                bus: document.bus,
                kind: document.kind,
                name: document.name.clone(),
                reason,
            })?;
        }
        Ok(loading.finish())
    }
}

/// A model being put together: buses by number until all are there.
#[derive(Default)]
struct Loading {
    buses: BTreeMap<BusId, Bus>,
    uses: BTreeMap<String, Millis>,
    model: Model,
}

impl Loading {
    fn take(&mut self, document: &Document) -> Result<(), String> {
        match document.kind {
            Kind::Bus => self.bus(document),
            Kind::Topic => self.topic(document),
            Kind::EventType => self.event_type(document),
            Kind::Connection => self.connection(document),
            Kind::Subscription => self.subscription(document),
            Kind::SubscriptionVersion => self.version(document),
            Kind::Key => self.key(document),
            Kind::Setting => self.setting(document),
        }
    }

    fn owner(&mut self, document: &Document) -> Result<&mut Bus, String> {
        self.buses
            .get_mut(&document.bus)
            .ok_or_else(|| "its bus is not stored".to_owned())
    }

    fn bus(&mut self, document: &Document) -> Result<(), String> {
        let stored: Numbered<BusSpec> = read(document)?;
        let bus = Bus::new(stored.id, &document.name, document.version, stored.spec);
        match self.buses.insert(stored.id, bus) {
            None => Ok(()),
            Some(other) => Err(format!("bus {:?} has its number {}", other.name, other.id)),
        }
    }

    fn topic(&mut self, document: &Document) -> Result<(), String> {
        let stored: Numbered<TopicSpec> = read(document)?;
        let name = document.name.clone();
        let topic = Topic {
            id: stored.id,
            name: name.clone(),
            version: document.version,
            spec: stored.spec,
        };
        self.owner(document)?.topics.insert(name, Arc::new(topic));
        Ok(())
    }

    fn event_type(&mut self, document: &Document) -> Result<(), String> {
        let stored: Plain<EventTypeSpec> = read(document)?;
        let name = document.name.clone();
        let event_type = EventType {
            name: name.clone(),
            version: document.version,
            spec: stored.spec,
        };
        self.owner(document)?.event_types.insert(name, Arc::new(event_type));
        Ok(())
    }

    fn connection(&mut self, document: &Document) -> Result<(), String> {
        let stored: Plain<DeclaredConnection> = read(document)?;
        let name = document.name.clone();
        let owner = self.owner(document)?;
        let bus = owner.name.clone();
        let connection = Connection {
            bus,
            name: name.clone(),
            version: document.version,
            spec: stored.spec.spec,
            dry_run: stored.spec.dry_run,
        };
        owner.connections.insert(name, Arc::new(connection));
        Ok(())
    }

    fn subscription(&mut self, document: &Document) -> Result<(), String> {
        let subscription = compiled(document, &document.name, document.version)?;
        self.owner(document)?
            .subscriptions
            .insert_mut(document.name.clone(), Arc::new(subscription));
        Ok(())
    }

    fn version(&mut self, document: &Document) -> Result<(), String> {
        let numbers = document
            .name
            .split_once('/')
            .and_then(|(id, version)| Some((id.parse().ok()?, version.parse().ok()?)));
        let (id, version): (SubscriptionId, Revision) = numbers.ok_or("its name is not {subscription id}/{version}")?;
        let subscription = compiled(document, &document.name, version)?;
        self.model.versions.insert((id, version), Arc::new(subscription));
        Ok(())
    }

    fn key(&mut self, document: &Document) -> Result<(), String> {
        let key = key::loaded(document)?;
        self.model.keys.insert(document.name.clone(), Arc::new(key));
        Ok(())
    }

    /// Settings of others may stand beside those of the model.
    fn setting(&mut self, document: &Document) -> Result<(), String> {
        match document.name.as_str() {
            COUNTERS_SETTING => {
                let StoredCounters {
                    bus,
                    topic,
                    subscription,
                    ..
                } = read(document)?;
                self.model.counters = Counters {
                    bus,
                    topic,
                    subscription,
                    version: document.version,
                };
            }
            FINGERPRINT_KEY_SETTING => {
                self.model.fingerprint_key = Some(read::<StoredFingerprintKey>(document)?.sealed);
            }
            name => {
                if let Some(id) = name.strip_prefix(key::LAST_USE_PREFIX) {
                    self.uses.insert(id.to_owned(), key::loaded_use(document)?);
                }
            }
        }
        Ok(())
    }

    /// A kept version carries its subscription's name again; one whose subscription is gone is not needed.
    fn finish(mut self) -> Model {
        let subscriptions = self.buses.values().flat_map(|bus| bus.subscriptions.values());
        let names: BTreeMap<_, _> = subscriptions.map(|one| (one.id, one.name.clone())).collect();
        self.model.versions.retain(|(id, _), _| names.contains_key(id));
        for ((id, _), version) in &mut self.model.versions {
            Arc::make_mut(version).name.clone_from(&names[id]);
        }
        for (id, key) in &mut self.model.keys {
            if let Some(at) = self.uses.get(id) {
                Arc::make_mut(key).used = Arc::new(LastUse::saved(Some(*at)));
            }
        }
        self.model.buses = self
            .buses
            .into_values()
            .map(|bus| (bus.name.clone(), Arc::new(bus)))
            .collect();
        self.model
    }
}

impl Bus {
    /// A bus that owns nothing yet.
    pub(crate) fn new(id: BusId, name: &str, version: Revision, spec: BusSpec) -> Self {
        Self {
            id,
            name: name.to_owned(),
            version,
            spec,
            topics: BTreeMap::new(),
            event_types: BTreeMap::new(),
            connections: BTreeMap::new(),
            subscriptions: SharedMap::default(),
            usage: Arc::default(),
        }
    }
}

fn compiled(document: &Document, name: &str, version: Revision) -> Result<Subscription, String> {
    let StoredSubscription { id, created, spec, .. } = read(document)?;
    let filter = filters::compile(&spec).map_err(|refusal| refusal.detail)?;
    let transform = transforms::compile(&spec.transform).map_err(|refusal| refusal.detail)?;
    Ok(Subscription {
        id,
        name: name.to_owned(),
        version,
        created,
        spec,
        filter,
        transform,
    })
}

fn read<T: DeserializeOwned>(document: &Document) -> Result<T, String> {
    match format(document)? {
        FORMAT => parsed(document),
        newer => Err(format!("its format is {newer}; this program knows {FORMAT}")),
    }
}

fn format(document: &Document) -> Result<u32, String> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    parsed::<Head>(document).map(|head| head.format)
}

fn parsed<T: DeserializeOwned>(document: &Document) -> Result<T, String> {
    serde_json::from_slice(&document.body).map_err(|error| error.to_string())
}
