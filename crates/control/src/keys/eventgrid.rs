//! Event Grid's keys: a request shows a key itself or a signature made with it, never whose key it is. So keys are found by
//! what is shown, among those of the bus that the request is for.

use crate::{
    keys::{Principal, secrets, unknown},
    model::{Key, Model},
    refusal::{Class, Refusal},
    resources::KeySigning,
    seal::Sealer,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::hmac;
use std::{collections::HashMap, sync::Arc};
use store::Millis;

/// Base64 of 32 bytes takes 44 characters; nothing much longer is looked at.
const KEY_CHARACTERS_MAX: usize = 64;

/// The keys of a model whose kind is `eventgrid`.
#[derive(Clone, Debug, Default)]
pub struct EventGridKeys {
    /// By the hash of each secret: whoever does not know a secret cannot steer what is compared here.
    by_hash: HashMap<[u8; 32], Arc<Key>>,
    all: Vec<Arc<Key>>,
}

impl EventGridKeys {
    /// The keys of a model.
    pub fn of(model: &Model) -> Self {
        let is_of_kind = |key: &&Arc<Key>| key.spec.signing == KeySigning::EventGrid;
        let all: Vec<Arc<Key>> = model.keys.values().filter(is_of_kind).cloned().collect();
        let hashes = |key: &Arc<Key>| {
            let key = key.clone();
            let hashes: Vec<_> = key.secrets.iter().map(|secret| secret.sha256).collect();
            hashes.into_iter().map(move |hash| (hash, key.clone()))
        };
        Self {
            by_hash: all.iter().flat_map(hashes).collect(),
            all,
        }
    }

    /// Whose key this is, as `aeg-sas-key` shows it. A wrong key and a key of another bus are one refusal.
    pub fn authenticate(&self, bus: &str, key: &str, now: Millis) -> Result<Principal, Refusal> {
        let text = Some(key).filter(|text| text.len() <= KEY_CHARACTERS_MAX);
        let secret = text.and_then(|text| STANDARD.decode(text).ok()).ok_or_else(unknown)?;
        let hash = secrets::sha256(&secret);
        let found = self.by_hash.get(&hash).filter(|key| key.is_for(bus));
        let key = found.filter(|key| key.has_secret(&hash, now)).ok_or_else(unknown)?;
        in_force(key, now)
    }

    /// Whose key signed this text (HMAC-SHA256), in constant time for each key of the bus.
    pub fn verify(
        &self,
        bus: &str,
        signed: &str,
        signature: &[u8],
        sealer: &Sealer,
        now: Millis,
    ) -> Result<Principal, Refusal> {
        for key in self.all.iter().filter(|key| key.is_for(bus)) {
            for secret in key.signing_secrets(sealer, now)? {
                let secret = hmac::Key::new(hmac::HMAC_SHA256, &secret);
                if hmac::verify(&secret, signed.as_bytes(), signature).is_ok() {
                    return in_force(key, now);
                }
            }
        }
        Err(unknown())
    }
}

fn in_force(key: &Arc<Key>, now: Millis) -> Result<Principal, Refusal> {
    if !key.is_in_force(now) {
        let detail = format!("key {:?} has expired", key.id);
        return Err(Refusal::new("key_expired", Class::Unauthenticated, detail));
    }
    key.used.note(now);
    Ok(Principal::Key(key.clone()))
}
