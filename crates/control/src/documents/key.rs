//! The stored form of keys. Format 2 has several secrets, sealed ones, and the scope `administer`; format 1, which is read
//! too, had one hash, and `manage` for all buses meant what `administer` means now.

use super::{INSTALLATION, body, format, parsed};
use crate::{
    keys::{KeySecret, LastUse},
    model::Key,
    resources::{KeySpec, Scope},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{Document, Expect, Kind, Millis, Operation};

/// The shape of a key's document that this program writes.
const FORMAT: u32 = 2;
/// The shape of a last use's document.
const LAST_USE_FORMAT: u32 = 1;
/// The setting of a key's last use is named this and the key's id.
pub(super) const LAST_USE_PREFIX: &str = "key-used/";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u32,
    created: Millis,
    secrets: Vec<StoredSecret>,
    spec: KeySpec,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredSecret {
    sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
    created: Millis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_after: Option<Millis>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored1 {
    #[serde(rename = "format")]
    _format: u32,
    created: Millis,
    secret_sha256: String,
    spec: KeySpec,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredUse {
    format: u32,
    at: Millis,
}

pub(crate) fn key_body(key: &Key) -> Bytes {
    let secret = |secret: &KeySecret| StoredSecret {
        sha256: STANDARD.encode(secret.sha256),
        sealed: secret.sealed.clone(),
        created: secret.created,
        not_after: secret.not_after,
    };
    body(&Stored {
        format: FORMAT,
        created: key.created,
        secrets: key.secrets.iter().map(secret).collect(),
        spec: key.spec.clone(),
    })
}

/// A key that was never used, as far as its document knows.
pub(super) fn loaded(document: &Document) -> Result<Key, String> {
    let (created, secrets, spec) = match format(document)? {
        1 => first_format(parsed(document)?)?,
        FORMAT => {
            let stored: Stored = parsed(document)?;
            let secrets = stored.secrets.into_iter().map(secret).collect::<Result<_, _>>()?;
            (stored.created, secrets, stored.spec)
        }
        newer => return Err(format!("its format is {newer}; this program knows {FORMAT}")),
    };
    let key = Key::new(
        document.name.clone(),
        spec,
        secrets,
        created,
        Arc::new(LastUse::saved(None)),
    );
    Ok(Key {
        version: document.version,
        ..key
    })
}

/// Whoever managed all buses managed the installation.
fn first_format(stored: Stored1) -> Result<(Millis, Vec<KeySecret>, KeySpec), String> {
    let Stored1 {
        created,
        secret_sha256,
        mut spec,
        ..
    } = stored;
    if spec.buses.is_none()
        && let Some(scope) = spec.scopes.iter_mut().find(|scope| **scope == Scope::Manage)
    {
        *scope = Scope::Administer;
    }
    let secret = KeySecret {
        sha256: hash(&secret_sha256)?,
        sealed: None,
        created,
        not_after: None,
    };
    Ok((created, vec![secret], spec))
}

fn secret(stored: StoredSecret) -> Result<KeySecret, String> {
    Ok(KeySecret {
        sha256: hash(&stored.sha256)?,
        sealed: stored.sealed,
        created: stored.created,
        not_after: stored.not_after,
    })
}

fn hash(text: &str) -> Result<[u8; 32], String> {
    let hash = STANDARD.decode(text).ok().and_then(|hash| hash.try_into().ok());
    hash.ok_or_else(|| "its hash is not base64 of 32 bytes".to_owned())
}

/// Saves when a key was last used. It touches nothing that a plan depends on.
pub fn last_use_operation(id: &str, at: Millis) -> Operation {
    Operation::PutDocument {
        bus: INSTALLATION,
        kind: Kind::Setting,
        name: last_use_name(id),
        expect: Expect::Any,
        body: body(&StoredUse {
            format: LAST_USE_FORMAT,
            at,
        }),
    }
}

/// Forgets when a key was last used: it goes.
pub(crate) fn forget_last_use_operation(id: &str) -> Operation {
    Operation::DeleteDocument {
        bus: INSTALLATION,
        kind: Kind::Setting,
        name: last_use_name(id),
        expect: Expect::Any,
    }
}

fn last_use_name(id: &str) -> String {
    format!("{LAST_USE_PREFIX}{id}")
}

pub(super) fn loaded_use(document: &Document) -> Result<Millis, String> {
    match format(document)? {
        LAST_USE_FORMAT => Ok(parsed::<StoredUse>(document)?.at),
        newer => Err(format!("its format is {newer}; this program knows {LAST_USE_FORMAT}")),
    }
}
