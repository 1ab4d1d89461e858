//! The secrets of a key as they are kept: hashes, and sealed where verifying needs the secret itself. A key has one, or two
//! while a rotation overlaps.

use crate::{
    keys::Token,
    model::Key,
    refusal::{Class, Refusal},
    resources::{KeySigning, ResourceKind},
    seal::{self, Place, Sealer},
    secret::is_same,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::digest;
use std::time::Duration;
use store::Millis;

/// Secrets of a key at once: the one in use, and the one before it while whoever holds the key moves to the new one.
pub const KEY_SECRETS_MAX: usize = 2;
/// How long the secret before stays good when a rotation does not say.
pub const OVERLAP_DEFAULT: Duration = Duration::from_secs(86_400);
/// The longest overlap: after it nobody remembers what the old secret was for.
pub const OVERLAP_MAX: Duration = Duration::from_secs(90 * 86_400);

/// One secret of a key. It has no `==`: [`is_same`] compares.
#[derive(Clone, Debug)]
pub struct KeySecret {
    /// SHA-256 of it: 256 random bits need no slow hash.
    pub sha256: [u8; 32],
    /// Sealed under the master key, of keys that sign.
    pub sealed: Option<String>,
    /// When it was made.
    pub created: Millis,
    /// Until when it is good; `None`: as long as the key.
    pub not_after: Option<Millis>,
}

impl KeySecret {
    /// A token's secret as a key of this kind keeps it.
    pub(crate) fn of(token: &Token, signing: KeySigning, sealer: &Sealer, now: Millis) -> Result<Self, seal::Error> {
        let sealed = match signing {
            KeySigning::Bearer => None,
            KeySigning::Aws | KeySigning::EventGrid => Some(sealer.seal(place(token.id().as_str()), token.secret())?),
        };
        Ok(Self {
            sha256: token.digest(),
            sealed,
            created: now,
            not_after: None,
        })
    }

    /// Whether it is good now.
    pub fn is_in_force(&self, now: Millis) -> bool {
        self.not_after.is_none_or(|until| now <= until)
    }
}

impl Key {
    /// Whether one of its secrets in force has this hash. Each is compared, in constant time.
    pub(crate) fn has_secret(&self, sha256: &[u8; 32], now: Millis) -> bool {
        self.secrets.iter().fold(false, |found, secret| {
            found | (is_same(sha256, &secret.sha256) & secret.is_in_force(now))
        })
    }

    /// Its secrets in force, the newest first.
    pub fn secrets_in_force(&self, now: Millis) -> impl Iterator<Item = &KeySecret> {
        self.secrets.iter().filter(move |secret| secret.is_in_force(now))
    }

    /// A secret of a key that signs, as clients have it ([`Token::expose_for`]); `None` of a bearer key's.
    pub fn signing_secret(&self, secret: &KeySecret, sealer: &Sealer) -> Result<Option<String>, seal::Error> {
        let Some(sealed) = &secret.sealed else { return Ok(None) };
        Ok(Some(STANDARD.encode(sealer.open(place(&self.id), sealed)?)))
    }

    /// The secrets in force of a key that signs, plain, the newest first: what a door verifies signatures with. None of a
    /// bearer key.
    pub fn signing_secrets(&self, sealer: &Sealer, now: Millis) -> Result<Vec<Vec<u8>>, seal::Error> {
        self.secrets_in_force(now)
            .filter_map(|secret| secret.sealed.as_ref())
            .map(|sealed| sealer.open(place(&self.id), sealed))
            .collect()
    }

    /// Its secrets after a rotation: the new one, and the newest of those before until the overlap ends.
    pub(crate) fn rotated(&self, new: KeySecret, overlap: Duration, now: Millis) -> Result<Vec<KeySecret>, Refusal> {
        let overlapping = self.secrets.get(1).filter(|secret| secret.is_in_force(now));
        if overlap > Duration::ZERO
            && let Some(until) = overlapping.and_then(|secret| secret.not_after)
        {
            return Err(still_overlaps(&self.id, until));
        }
        let mut secrets = vec![new];
        if overlap > Duration::ZERO
            && let Some(before) = self.secrets.first()
        {
            let until = now.saturating_add(i64::try_from(overlap.as_millis()).unwrap_or(i64::MAX));
            let not_after = Some(before.not_after.map_or(until, |sooner| sooner.min(until)));
            secrets.push(KeySecret {
                not_after,
                ..before.clone()
            });
        }
        Ok(secrets)
    }
}

fn still_overlaps(id: &str, until: Millis) -> Refusal {
    let until = jiff::Timestamp::from_millisecond(until).map_or_else(|_| "later".to_owned(), |time| time.to_string());
    let detail = format!(
        "key {id:?} is being rotated already: its secret before is good until {until}; rotate it again after that, or with \
         overlap 0s, which ends every earlier secret at once"
    );
    Refusal::new("in_use", Class::InUse, detail)
}

/// Where a key's secret is sealed.
pub(crate) fn place(id: &str) -> Place<'_> {
    Place {
        bus: "",
        kind: ResourceKind::Key.word(),
        name: id,
    }
}

/// SHA-256.
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let hash = digest::digest(&digest::SHA256, bytes);
    hash.as_ref().try_into().expect("SHA-256 has 32 bytes")
}
