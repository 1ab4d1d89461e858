//! What is sealed, under which master key, and what has to be written so that it is sealed under the current one. Plans only: the
//! delivery core carries them out, a bounded transaction at a time, between other changes.

use super::{Error, FINGERPRINT_KEY_PLACE, FINGERPRINT_KEY_SETTING, MasterKey, Place, Sealer, map_secrets, parts};
use crate::{
    documents::{self, INSTALLATION},
    keys,
    model::{Bus, Connection, Key, Model},
    plan::{Effect, Finish, Plan, counters_operation},
    resources::Secret,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::Arc,
};
use store::{Expect, Kind, Operation, Revision};

/// Documents of one transaction: few enough that a change of a resource never waits long for it.
pub const RESEAL_DOCUMENTS_MAX: usize = 64;

/// What is sealed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Secrets by the id of the master key that they were sealed under.
    pub by_key: BTreeMap<String, usize>,
    /// Those under an earlier key that open under none, as text: no rotation can help them.
    pub unreadable: Vec<String>,
    /// Secrets that are still to be sealed again.
    pub left: usize,
}

impl Sealed {
    /// All secrets.
    pub fn total(&self) -> usize {
        self.by_key.values().sum()
    }
}

/// Something that holds sealed secrets.
enum Holder<'m> {
    Fingerprints(&'m str),
    Key(&'m Arc<Key>),
    Connection(&'m Arc<Bus>, &'m Arc<Connection>),
}

impl Holder<'_> {
    fn place(&self) -> Place<'_> {
        match self {
            Self::Fingerprints(_) => FINGERPRINT_KEY_PLACE,
            Self::Key(key) => keys::secret_place(&key.id),
            Self::Connection(bus, connection) => Place::connection(&bus.name, &connection.name),
        }
    }

    fn envelopes(&self) -> Vec<String> {
        match self {
            Self::Fingerprints(sealed) => vec![(*sealed).to_owned()],
            Self::Key(key) => key.secrets.iter().filter_map(|secret| secret.sealed.clone()).collect(),
            Self::Connection(_, connection) => {
                let mut envelopes = Vec::new();
                let collected = map_secrets(&connection.spec, &mut |secret, _| {
                    if let Secret::Sealed(envelope) = secret {
                        envelopes.push(envelope.clone());
                    }
                    Ok::<_, Infallible>(secret.clone())
                });
                let Ok(_) = collected;
                envelopes
            }
        }
    }
}

fn holders(model: &Model) -> impl Iterator<Item = Holder<'_>> {
    let fingerprints = model.fingerprint_key.as_deref().map(Holder::Fingerprints);
    let connections = |bus| {
        let bus: &Arc<Bus> = bus;
        bus.connections.values().map(move |one| Holder::Connection(bus, one))
    };
    fingerprints
        .into_iter()
        .chain(model.keys.values().map(Holder::Key))
        .chain(model.buses.values().flat_map(connections))
}

/// The id of the key that an envelope was sealed under; `None` of what is no envelope.
fn key_id_of(envelope: &str) -> Option<String> {
    let bytes = STANDARD.decode(envelope).ok()?;
    parts(&bytes).map(|(id, _)| MasterKey::id_as_text(&id))
}

/// The ids of the master keys that open what a model holds: one, or two while it is sealed again.
pub fn keys_needed(model: &Model) -> BTreeSet<String> {
    let envelopes = holders(model).flat_map(|holder| holder.envelopes());
    envelopes.filter_map(|envelope| key_id_of(&envelope)).collect()
}

/// Documents that are written again, and the model afterwards.
#[derive(Debug)]
pub struct Resealed {
    /// What to write, and the model after it.
    pub plan: Plan,
    /// The secrets in it.
    pub secrets: usize,
    /// Whether nothing is left after it.
    pub is_last: bool,
}

type Edit = Box<dyn FnOnce(&mut Model, Revision) + Send>;

impl Sealer {
    /// What is sealed under which key. A secret under a key that is not here counts as left.
    pub fn sealed(&self, model: &Model) -> Sealed {
        let (current, mut sealed) = (self.key_id(), Sealed::default());
        for holder in holders(model) {
            let envelopes = holder.envelopes();
            for id in envelopes.iter().filter_map(|envelope| key_id_of(envelope)) {
                *sealed.by_key.entry(id).or_default() += 1;
            }
            match earlier(&envelopes, &current) {
                0 => {}
                _ if matches!(self.opens(&holder, &envelopes), Err(Error::Damaged(_))) => {
                    sealed.unreadable.push(holder.place().to_string());
                }
                earlier => sealed.left += earlier,
            }
        }
        sealed
    }

    /// Whether every secret of a model was sealed under a key that is here: asked before anything is written.
    pub fn check(&self, model: &Model) -> Result<(), Error> {
        let keys = self.keyring.keys();
        let is_here = |id: &String| keys.iter().any(|key| key.id_text() == *id);
        match keys_needed(model).into_iter().find(|id| !is_here(id)) {
            Some(id) => Err(Error::UnknownMasterKey(id)),
            None => Ok(()),
        }
    }

    /// Plans to seal again what an earlier key sealed: at most so many documents. `None`: nothing is left. What cannot be opened is
    /// left as it is.
    pub fn reseal(&self, model: &Model, documents_max: usize) -> Result<Option<Resealed>, Error> {
        let current = self.key_id();
        let (mut operations, mut edits, mut secrets, mut is_last) = (Vec::new(), Vec::new(), 0, true);
        for holder in holders(model) {
            let envelopes = holder.envelopes();
            let count = earlier(&envelopes, &current);
            if count == 0 || matches!(self.opens(&holder, &envelopes), Err(Error::Damaged(_))) {
                continue;
            }
            if operations.len() == documents_max {
                is_last = false;
                break;
            }
            let (operation, edit) = self.sealed_again(&holder)?;
            operations.push(operation);
            edits.push(edit);
            secrets += count;
        }
        if operations.is_empty() {
            return Ok(None);
        }
        let plan = plan(model, operations, edits);
        Ok(Some(Resealed { plan, secrets, is_last }))
    }

    fn opens(&self, holder: &Holder<'_>, envelopes: &[String]) -> Result<(), Error> {
        let place = holder.place();
        envelopes
            .iter()
            .try_for_each(|envelope| self.open(place, envelope).map(drop))
    }

    fn again(&self, place: Place<'_>, envelope: &str) -> Result<String, Error> {
        self.seal(place, &self.open(place, envelope)?)
    }

    /// The write of one document, and what it does to the model.
    fn sealed_again(&self, holder: &Holder<'_>) -> Result<(Operation, Edit), Error> {
        let place = holder.place();
        match holder {
            Holder::Fingerprints(sealed) => {
                let sealed = self.again(place, sealed)?;
                let body = documents::fingerprint_key_body(&sealed);
                let write = put(INSTALLATION, Kind::Setting, FINGERPRINT_KEY_SETTING, Expect::Any, body);
                Ok((write, Box::new(move |model, _| model.fingerprint_key = Some(sealed))))
            }
            Holder::Key(key) => {
                let mut new = Key::clone(key);
                for sealed in new.secrets.iter_mut().filter_map(|secret| secret.sealed.as_mut()) {
                    *sealed = self.again(place, sealed)?;
                }
                let body = documents::key_body(&new);
                let write = put(INSTALLATION, Kind::Key, &key.id, Expect::Version(key.version), body);
                let edit = move |model: &mut Model, version| {
                    model.keys.insert(new.id.clone(), Arc::new(Key { version, ..new }));
                };
                Ok((write, Box::new(edit)))
            }
            Holder::Connection(bus, connection) => {
                let spec = map_secrets(&connection.spec, &mut |secret, _| match secret {
                    Secret::Sealed(envelope) => self.again(place, envelope).map(Secret::Sealed),
                    other => Ok(other.clone()),
                })?;
                let Connection { name, version, .. } = &***connection;
                let (kind, expect) = (Kind::Connection, Expect::Version(*version));
                let write = put(bus.id, kind, name, expect, documents::plain_body(&spec));
                let (owner, mut new) = (bus.name.clone(), Connection::clone(connection));
                new.spec = spec;
                let edit = move |model: &mut Model, version| {
                    if let Some(bus) = model.buses.get_mut(&owner) {
                        new.version = version;
                        Arc::make_mut(bus).connections.insert(new.name.clone(), Arc::new(new));
                    }
                };
                Ok((write, Box::new(edit)))
            }
        }
    }
}

/// How many of these another key than the current one sealed.
fn earlier(envelopes: &[String], current: &str) -> usize {
    let ids = envelopes.iter().filter_map(|envelope| key_id_of(envelope));
    ids.filter(|id| id != current).count()
}

fn put(bus: store::BusId, kind: Kind, name: &str, expect: Expect, body: bytes::Bytes) -> Operation {
    Operation::PutDocument {
        bus,
        kind,
        name: name.to_owned(),
        expect,
        body,
    }
}

/// It writes the counters as every change does, so that none that was planned on the same model happens beside it.
fn plan(model: &Model, mut operations: Vec<Operation>, edits: Vec<Edit>) -> Plan {
    operations.push(counters_operation(model.counters));
    let edit = move |model: &mut Model, revision| {
        edits.into_iter().for_each(|edit| edit(model, revision));
        model.counters.version = revision;
    };
    Plan {
        operations,
        effect: Effect::Other,
        finish: Finish::new(model.clone(), edit),
    }
}

const _: () = assert!(RESEAL_DOCUMENTS_MAX > 0, "every batch does something");
