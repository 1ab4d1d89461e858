//! Signing keys: what a secret becomes for one day, region and service, by four HMACs. They are kept, so that a request costs one.

use ring::{digest, hmac};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Keys kept at once: a thousand clients on two days. Beyond it all are forgotten, which costs four HMACs each.
const KEPT_MAX: usize = 2_048;

/// What signs and verifies the requests of one day.
#[derive(Clone, Debug)]
pub struct SigningKey(hmac::Key);

impl SigningKey {
    /// The key of a secret (its text, as clients have it), a date (`YYYYMMDD`), a region and a service.
    pub fn derive(secret: &str, date: &str, region: &str, service: &str) -> Self {
        let first = format!("AWS4{secret}");
        let mut tag = step(first.as_bytes(), date);
        for part in [region, service, super::claim::TERMINATOR] {
            tag = step(tag.as_ref(), part);
        }
        Self(hmac::Key::new(hmac::HMAC_SHA256, tag.as_ref()))
    }

    /// The signature of a text.
    pub(super) fn sign(&self, text: &[u8]) -> hmac::Tag {
        hmac::sign(&self.0, text)
    }
}

fn step(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

/// The keys that were derived lately.
#[derive(Debug, Default)]
pub struct SigningKeys(Mutex<HashMap<[u8; 32], SigningKey>>);

impl SigningKeys {
    /// The key of a secret that is known by its hash; `derive` is asked where it is not kept.
    pub fn get<E>(
        &self,
        secret_sha256: &[u8; 32],
        claim: &super::Claim<'_>,
        derive: impl FnOnce() -> Result<SigningKey, E>,
    ) -> Result<SigningKey, E> {
        let place = place(secret_sha256, claim);
        let kept = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&place)
            .cloned();
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let derived = derive()?;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= KEPT_MAX {
            all.clear();
        }
        all.insert(place, derived.clone());
        Ok(derived)
    }
}

/// Date, region and service have no separator in them that they do not have in the claim.
fn place(secret_sha256: &[u8; 32], claim: &super::Claim<'_>) -> [u8; 32] {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(secret_sha256);
    for part in [claim.date(), &claim.region, &claim.service] {
        hash.update(part.as_bytes());
        hash.update(b"/");
    }
    hash.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}
