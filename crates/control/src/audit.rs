//! The audit trail: what an entry says. Who did what to which thing, when, and what differs; secrets as fingerprints, payloads never.
//! The store chains entries ([`store::audit`]); writing them is the delivery core's part, a change's in the transaction of the change.

use crate::{
    Refusal,
    export::{Difference, diff, export},
    model::Model,
    parse::parse,
    plan::{Action, Change},
    resources::ResourceKind,
    seal::Sealer,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap as _};
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};
use store::{BusId, Millis, Operation};

/// How long entries are kept where the configuration does not say: a year and what an audit of it takes.
pub const KEEP_DEFAULT: Duration = Duration::from_secs(400 * 86_400);
/// Bytes of a key's secret's hash that stand for it: enough to tell two apart, and it is a hash of 256 random bits.
const SECRET_FINGERPRINT_BYTES: usize = 8;

/// Who does something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The holder of a key.
    Key {
        /// Its id.
        id: String,
        /// From where.
        peer: SocketAddr,
    },
    /// Somebody on this machine, while there are no keys.
    Keyless {
        /// From where.
        peer: SocketAddr,
    },
    /// The program itself, or whoever runs it on the data directory: which part of it.
    System(&'static str),
}

impl Actor {
    fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Key { peer, .. } | Self::Keyless { peer } => Some(*peer),
            Self::System(_) => None,
        }
    }
}

impl Serialize for Actor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Key { id, .. } => map.serialize_entry("key", id)?,
            Self::Keyless { .. } => map.serialize_entry("keyless", &true)?,
            Self::System(part) => map.serialize_entry("system", part)?,
        }
        map.end()
    }
}

/// What is done, as entries say it. Persisted, keep stable: a trail has the words of earlier programs too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// A resource was made.
    Created,
    /// A resource became another one.
    Changed,
    /// A resource, a replay or a redrive went.
    Deleted,
    /// A key got another secret, or another master key became current.
    Rotated,
    /// Payloads were shown.
    Looked,
    /// A dead letter got another event.
    Edited,
    /// Dead letters came from a file.
    Imported,
    /// Dead letters were sent out again.
    Redriven,
    /// Dead letters were thrown away.
    Discarded,
    /// A replay or a redrive began.
    Started,
    /// A replay or a redrive was held.
    Paused,
    /// A replay, a redrive or a subscription was let go on.
    Resumed,
    /// A replay or a redrive was ended.
    Cancelled,
    /// The wall clock was said to be right.
    Confirmed,
    /// A connection was tried.
    Tested,
    /// The configuration was read again.
    Reloaded,
    /// A backup began.
    Began,
    /// A backup is complete.
    Completed,
    /// A backup came to nothing.
    Failed,
    /// Everything is sealed under the current master key.
    Resealed,
    /// An earlier master key was let go.
    Forgotten,
    /// Old entries of the trail were removed.
    Trimmed,
    /// The trail's end was lost, and is the last entry that there was.
    Repaired,
}

impl Deed {
    /// The deed of a word; of one that is none the refusal names the nearest.
    pub fn of_word(word: &str) -> Result<Self, Refusal> {
        parse(&Value::from(word), "", &[])
    }
}

/// Something that is done.
#[derive(Clone, Debug)]
pub struct Act {
    /// By whom.
    pub by: Actor,
    /// What.
    pub action: Deed,
    /// The bus that it is about; 0: the installation.
    pub bus_id: BusId,
    /// Its name; empty: the installation.
    pub bus: String,
    /// What kind of thing it is done to.
    pub kind: &'static str,
    /// Which thing.
    pub name: String,
    /// What differs.
    pub changes: Vec<Difference>,
    /// What else there is to say; `null`: nothing.
    pub details: Value,
}

#[derive(Serialize)]
struct Body<'a> {
    by: &'a Actor,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<SocketAddr>,
    action: Deed,
    #[serde(skip_serializing_if = "str::is_empty")]
    bus: &'a str,
    kind: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "<[Difference]>::is_empty")]
    changes: &'a [Difference],
    #[serde(skip_serializing_if = "Value::is_null")]
    details: &'a Value,
}

impl Act {
    /// The write of its entry.
    pub fn operation(&self, at: Millis) -> Operation {
        let body = Body {
            by: &self.by,
            peer: self.by.peer(),
            action: self.action,
            bus: &self.bus,
            kind: self.kind,
            name: &self.name,
            changes: &self.changes,
            details: &self.details,
        };
        let body = serde_json::to_vec(&body).expect("strings and JSON always serialise");
        Operation::Audit {
            at,
            bus: self.bus_id,
            body: Bytes::from(body),
        }
    }
}

/// The entry of a change: what differs between two models, in the outgoing form of the resource.
pub fn of_change(before: &Model, after: &Model, sealer: &Sealer, change: &Change, at: Millis) -> Operation {
    let shown = |model: &Model| shown(model, sealer, change);
    let (old, new) = (shown(before), shown(after));
    let action = match (&change.action, &old) {
        (Action::Delete, _) => Deed::Deleted,
        (Action::RotateKey { .. }, _) => Deed::Rotated,
        (Action::Put(_) | Action::PutWithAuthOf { .. } | Action::CreateKey { .. }, None) => Deed::Created,
        (Action::Put(_) | Action::PutWithAuthOf { .. } | Action::CreateKey { .. }, Some(_)) => Deed::Changed,
    };
    let bus = match change.kind {
        ResourceKind::Bus => change.name.as_str(),
        ResourceKind::Key => "",
        _ => change.bus.as_str(),
    };
    let of_bus = |model: &Model| model.buses.get(bus).map(|bus| bus.id);
    let act = Act {
        by: change.by.clone(),
        action,
        bus_id: of_bus(before).or_else(|| of_bus(after)).unwrap_or_default(),
        bus: bus.to_owned(),
        kind: change.kind.word(),
        name: change.name.clone(),
        changes: diff(old.as_ref(), new.as_ref()),
        details: Value::Null,
    };
    act.operation(at)
}

/// A resource as the trail shows it; `None` if it is not there. One that cannot be shown (its secrets do not open) is said to be
/// so, because the change happens all the same.
fn shown(model: &Model, sealer: &Sealer, change: &Change) -> Option<Value> {
    let Change { kind, bus, name, .. } = change;
    model.version(*kind, bus, name)?;
    let mut value = match export(model, sealer, *kind, bus, name) {
        Ok(value) => value,
        Err(refusal) => return Some(json!({"unreadable": refusal.code})),
    };
    if let Some(key) = model.keys.get(name).filter(|_| *kind == ResourceKind::Key) {
        let secrets = key.secrets.iter().map(|secret| {
            let fingerprint: String = secret.sha256[..SECRET_FINGERPRINT_BYTES]
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            json!({"fingerprint": fingerprint, "not_after": secret.not_after})
        });
        value["secrets"] = secrets.collect();
    }
    Some(value)
}
