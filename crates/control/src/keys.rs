//! Keys: the token, who it stands for, and what that may do.
//!
//! A token is `tlk_<id>.<secret>`; the secret is 32 random bytes in base64url, so that one SHA-256 of it is all that needs to
//! be kept. A model without keys is keyless: the server then trusts loopback, which is the doors' business.

mod eventgrid;
pub mod expiry;
mod grant;
mod last_use;
mod secrets;
mod uncompared;

pub use eventgrid::EventGridKeys;
pub use grant::{Denied, Grant};
pub use last_use::LastUse;
pub(crate) use secrets::place as secret_place;
pub use secrets::{KEY_SECRETS_MAX, KeySecret, OVERLAP_DEFAULT, OVERLAP_MAX};

use crate::{
    model::{Key, Model},
    names::KeyId,
    refusal::{Class, Refusal},
    resources::{KeySigning, KeySpec, Scope},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::{rand::SecureRandom as _, rand::SystemRandom};
use std::{fmt, sync::Arc};
use store::Millis;

const PREFIX: &str = "tlk_";
const SECRET_BYTES: usize = 32;
/// Longer is no token; nothing longer is hashed.
const TOKEN_BYTES_MAX: usize = 512;

/// A token in the clear: shown once to whoever made the key, never kept, never in `Debug`.
#[derive(Clone)]
pub struct Token {
    id: KeyId,
    secret: [u8; SECRET_BYTES],
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Token({})", self.id.as_str())
    }
}

impl Token {
    /// A new token for a key of this id.
    pub fn generate(id: KeyId) -> Result<Self, crate::seal::Error> {
        let mut secret = [0; SECRET_BYTES];
        SystemRandom::new()
            .fill(&mut secret)
            .map_err(|_| crate::seal::Error::Random)?;
        Ok(Self { id, secret })
    }

    /// A token of these bytes.
    pub fn from_secret(id: KeyId, secret: [u8; SECRET_BYTES]) -> Self {
        Self { id, secret }
    }

    /// Reads a token; the refusal is the same for whatever is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let (id, secret) = split(text).ok_or_else(unknown)?;
        let id = KeyId::new(id).map_err(|_| unknown())?;
        Ok(Self { id, secret })
    }

    /// The id of its key.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The secret's bytes.
    pub(crate) fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// The text for the `Authorization` header: a secret.
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}.{}", self.id.as_str(), URL_SAFE_NO_PAD.encode(self.secret))
    }

    /// The secret as clients of a kind take it: the token itself, a secret access key, an Event Grid key.
    pub fn expose_for(&self, signing: KeySigning) -> String {
        match signing {
            KeySigning::Bearer => self.expose(),
            KeySigning::Aws | KeySigning::EventGrid => STANDARD.encode(self.secret),
        }
    }

    /// SHA-256 of the secret: what the key's document keeps.
    pub fn digest(&self) -> [u8; 32] {
        secrets::sha256(&self.secret)
    }
}

/// The id and the secret of a token's text, without taking any memory for them.
fn split(text: &str) -> Option<(&str, [u8; SECRET_BYTES])> {
    let rest = Some(text).filter(|text| text.len() <= TOKEN_BYTES_MAX)?;
    let (id, encoded) = rest.strip_prefix(PREFIX)?.split_once('.')?;
    // The decoder wants room for its worst guess.
    let mut decoded = [0; SECRET_BYTES + 4];
    let length = URL_SAFE_NO_PAD.decode_slice(encoded, &mut decoded).ok()?;
    let secret = decoded[..length].try_into().ok()?;
    Some((id, secret))
}

/// On whose behalf a request is made.
#[derive(Clone, Debug)]
pub enum Principal {
    /// There are no keys, and the door trusts the caller.
    Keyless,
    /// The holder of a key.
    Key(Arc<Key>),
}

impl Principal {
    /// The key, if there is one.
    pub fn key(&self) -> Option<&Arc<Key>> {
        match self {
            Self::Keyless => None,
            Self::Key(key) => Some(key),
        }
    }

    /// Whether it may publish an event of this type and source, where it may publish at all.
    pub fn permits(&self, event_type: &str, source: &str) -> Result<(), Denied> {
        match self.key().and_then(|key| key.grant.as_ref()) {
            None => Ok(()),
            Some(grant) => grant.permits(event_type, source),
        }
    }
}

/// Whose token it is. A wrong secret, an unknown id, a key that signs, and a text that is no token are one refusal.
pub fn authenticate(model: &Model, token: &str, now: Millis) -> Result<Principal, Refusal> {
    let (id, secret) = split(token).ok_or_else(unknown)?;
    let digest = secrets::sha256(&secret);
    let key = model.keys.get(id).filter(|key| key.spec.signing == KeySigning::Bearer);
    let key = key.filter(|key| key.has_secret(&digest, now)).ok_or_else(unknown)?;
    admit(key, now)
}

/// The key that signs requests in this way under this id. Nothing is proved yet: the door verifies the signature with
/// [`Key::secrets_in_force`], then [`admit`]s it.
pub fn signer<'m>(model: &'m Model, id: &str, signing: KeySigning) -> Result<&'m Arc<Key>, Refusal> {
    let key = model.keys.get(id).filter(|key| key.spec.signing == signing);
    key.ok_or_else(unknown)
}

/// The principal of a key whose holder has proved to know its secret, unless it has expired.
pub fn admit(key: &Arc<Key>, now: Millis) -> Result<Principal, Refusal> {
    if !key.is_in_force(now) {
        let detail = format!("key {:?} has expired", key.id);
        return Err(Refusal::new("key_expired", Class::Unauthenticated, detail));
    }
    key.used.note(now);
    Ok(Principal::Key(key.clone()))
}

/// Whether a principal may do something in a bus. The answer does not depend on whether the bus exists.
pub fn authorize(principal: &Principal, bus: &str, scope: Scope) -> Result<(), Refusal> {
    let Principal::Key(key) = principal else { return Ok(()) };
    match key.is_for(bus) && key.may(scope) {
        true => Ok(()),
        false => Err(forbidden(key, scope, &format!("bus {bus:?}"))),
    }
}

/// Whether a principal may do something to the installation (its buses and keys): its key is for all buses.
pub fn authorize_installation(principal: &Principal, scope: Scope) -> Result<(), Refusal> {
    let Principal::Key(key) = principal else { return Ok(()) };
    match key.spec.buses.is_none() && key.may(scope) {
        true => Ok(()),
        false => Err(forbidden(key, scope, "all buses")),
    }
}

impl Key {
    /// Whether it has not expired.
    pub fn is_in_force(&self, now: Millis) -> bool {
        self.not_after.is_none_or(|end| now <= end)
    }

    /// Whether it is for a bus of this name.
    pub fn is_for(&self, bus: &str) -> bool {
        let buses = self.spec.buses.as_ref();
        buses.is_none_or(|buses| buses.iter().any(|name| name == bus))
    }

    /// Whether one of its scopes includes this one.
    pub fn may(&self, scope: Scope) -> bool {
        self.spec.scopes.iter().any(|held| held.includes(scope))
    }
}

/// The end of a specification's validity. A `not_after` that is no time (the planner lets none in) counts as past.
pub(crate) fn end_of(spec: &KeySpec) -> Option<Millis> {
    let text = spec.not_after.as_ref()?;
    let time = text.parse::<jiff::Timestamp>();
    Some(time.map_or(Millis::MIN, jiff::Timestamp::as_millisecond))
}

/// Whether a key may administer.
pub(crate) fn administers(spec: &KeySpec) -> bool {
    spec.buses.is_none() && spec.scopes.contains(&Scope::Administer)
}

/// Whether a key may administer now: somebody holds its secret.
pub(crate) fn administers_now(spec: &KeySpec, now: Millis) -> bool {
    administers(spec) && spec.signing == KeySigning::Bearer && end_of(spec).is_none_or(|end| now <= end)
}

fn unknown() -> Refusal {
    Refusal::new(
        "key_invalid",
        Class::Unauthenticated,
        "the key is not known, or its secret is wrong",
    )
}

fn forbidden(key: &Key, scope: Scope, what: &str) -> Refusal {
    let detail = format!("key {:?} lacks scope {} for {what}", key.id, scope.word());
    Refusal::new("scope_missing", Class::Forbidden, detail)
}
