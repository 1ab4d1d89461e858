//! Keys: the token, who it stands for, and what that may do.
//!
//! A token is `tlk_<id>.<secret>`; the secret is 32 random bytes in base64url, so that one SHA-256 of it is all that needs to
//! be kept. A model without keys is keyless: the server then trusts loopback, which is the doors' business.

use crate::{
    model::{Key, Model},
    names::KeyId,
    refusal::{Class, Refusal},
    resources::{KeySpec, Scope},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{digest, rand::SecureRandom as _, rand::SystemRandom};
use std::{fmt, sync::Arc};
use store::Millis;
use subtle::ConstantTimeEq as _;

const PREFIX: &str = "tlk_";
const SECRET_BYTES: usize = 32;
/// Longer is no token; nothing longer is hashed.
const TOKEN_BYTES_MAX: usize = 512;

/// A bearer token in the clear: shown once to whoever made the key, never kept, never in `Debug`.
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

    /// Reads a token; the refusal is the same for whatever is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let parts = Some(text).filter(|text| text.len() <= TOKEN_BYTES_MAX);
        let parts = parts
            .and_then(|text| text.strip_prefix(PREFIX))
            .and_then(|rest| rest.split_once('.'));
        let (id, secret) = parts.ok_or_else(unknown)?;
        let id = KeyId::new(id).map_err(|_| unknown())?;
        let secret = URL_SAFE_NO_PAD.decode(secret).map_err(|_| unknown())?;
        let secret = secret.try_into().map_err(|_| unknown())?;
        Ok(Self { id, secret })
    }

    /// The id of its key.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The text for the `Authorization` header: a secret.
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}.{}", self.id.as_str(), URL_SAFE_NO_PAD.encode(self.secret))
    }

    /// SHA-256 of the secret: what the key's document keeps.
    pub fn digest(&self) -> [u8; 32] {
        let hash = digest::digest(&digest::SHA256, &self.secret);
        hash.as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

/// On whose behalf a request is made.
#[derive(Clone, Debug)]
pub enum Principal {
    /// There are no keys, and the door trusts the caller.
    Keyless,
    /// The holder of a key.
    Key(Arc<Key>),
}

/// Whose token it is. A wrong secret, an unknown id and a text that is no token are one refusal, and each compares once.
pub fn authenticate(model: &Model, token: &str, now: Millis) -> Result<Principal, Refusal> {
    let token = Token::parse(token)?;
    let key = model.keys.get(token.id.as_str());
    let kept = key.map_or([0; 32], |key| key.secret_sha256);
    let equal = bool::from(kept.ct_eq(&token.digest()));
    let key = key.filter(|_| equal).ok_or_else(unknown)?;
    match is_in_force(&key.spec, now) {
        true => Ok(Principal::Key(key.clone())),
        false => Err(Refusal::new(
            "key_expired",
            Class::Unauthenticated,
            format!("key {:?} has expired", key.id),
        )),
    }
}

/// Whether a principal may do something in a bus. The answer does not depend on whether the bus exists.
pub fn authorize(principal: &Principal, bus: &str, scope: Scope) -> Result<(), Refusal> {
    let Principal::Key(key) = principal else { return Ok(()) };
    let of_bus = key
        .spec
        .buses
        .as_ref()
        .is_none_or(|buses| buses.iter().any(|name| name == bus));
    let allowed = of_bus && key.spec.scopes.contains(&scope);
    if allowed {
        Ok(())
    } else {
        Err(forbidden(key, scope, &format!("bus {bus:?}")))
    }
}

/// Whether a principal may do something to the installation (its buses and keys): its key is for all buses.
pub fn authorize_installation(principal: &Principal, scope: Scope) -> Result<(), Refusal> {
    let Principal::Key(key) = principal else { return Ok(()) };
    let allowed = key.spec.buses.is_none() && key.spec.scopes.contains(&scope);
    if allowed {
        Ok(())
    } else {
        Err(forbidden(key, scope, "all buses"))
    }
}

/// Whether a key has not expired. A `not_after` that is no time (the planner lets none in) counts as past.
pub(crate) fn is_in_force(spec: &KeySpec, now: Millis) -> bool {
    match &spec.not_after {
        None => true,
        Some(text) => text
            .parse::<jiff::Timestamp>()
            .is_ok_and(|time| now <= time.as_millisecond()),
    }
}

/// Whether a key can manage all buses now.
pub(crate) fn manages_all(spec: &KeySpec, now: Millis) -> bool {
    spec.buses.is_none() && spec.scopes.contains(&Scope::Manage) && is_in_force(spec, now)
}

fn unknown() -> Refusal {
    Refusal::new(
        "key_invalid",
        Class::Unauthenticated,
        "the key is not known, or its secret is wrong",
    )
}

fn forbidden(key: &Key, scope: Scope, what: &str) -> Refusal {
    let scope = match scope {
        Scope::Publish => "publish",
        Scope::Manage => "manage",
    };
    let detail = format!("key {:?} lacks scope {scope} for {what}", key.id);
    Refusal::new("scope_missing", Class::Forbidden, detail)
}
