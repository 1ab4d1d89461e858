//! Who asks: the key of the signature, in two steps around the reading of the body. A server without keys believes its own machine.

use super::{State, fault::Fault};
use crate::{
    aws::sigv4::{Claim, Message, Refused, SigningKey},
    http::{
        auth::{self, Peer},
        problem::Problem,
    },
};
use control::{Key, Model, Principal, keys, resources::KeySigning};
use event::eventbridge::REGION_DEFAULT;
use http::request::Parts;
use ring::digest;
use std::{borrow::Cow, sync::Arc};

/// What signatures are for.
const SERVICE: &str = "events";

/// Who asks.
#[derive(Debug)]
pub(super) struct Caller {
    /// On whose behalf.
    pub(super) principal: Principal,
    /// The region that the client is configured for.
    pub(super) region: String,
    /// SHA-256 of the body.
    pub(super) body_sha256: [u8; 32],
}

/// Who claims to ask.
#[expect(
    clippy::large_enum_variant,
    reason = "one lives as long as its request, and nearly always the large one"
)]
pub(super) enum Claimed<'h> {
    /// A server without keys.
    Keyless { region: String },
    /// The holder of a key.
    Key {
        key: Arc<Key>,
        claim: Claim<'h>,
        message: Message<'h>,
        now: i64,
    },
}

impl<'h> Claimed<'h> {
    /// Reads the claim, and refuses what no body could make right.
    pub(super) fn of(state: &State, model: &Model, head: &'h Parts, peer: Peer) -> Result<Claimed<'h>, Fault> {
        let message = Message {
            method: head.method.as_str(),
            path: head.uri.path(),
            query: head.uri.query().unwrap_or_default(),
            host: auth::named_host(head).ok_or_else(no_host)?,
            headers: &head.headers,
        };
        let claim = Claim::of(&message);
        if model.keys.is_empty() {
            peer.keyless(head)?;
            let region = claim.map_or_else(|_| REGION_DEFAULT.to_owned(), |claim| claim.region.into_owned());
            return Ok(Claimed::Keyless { region });
        }
        let (claim, now) = (claim?, auth::now());
        if claim.service != SERVICE {
            return Err(wrong_scope(format!(
                "Credential should be scoped to correct service: '{SERVICE}'."
            )));
        }
        if let Some(region) = state
            .eventbridge
            .settings
            .region
            .as_deref()
            .filter(|region| claim.region != *region)
        {
            return Err(wrong_scope(format!(
                "Credential should be scoped to a valid region: '{region}'."
            )));
        }
        claim.in_time(now.div_euclid(1_000))?;
        let unknown = |_| {
            let message = "The security token included in the request is invalid: no key of this server signs with this access key id.";
            Fault::from(Problem::new("key_invalid", message))
        };
        let key = keys::signer(model, &claim.access_key_id, KeySigning::Aws)
            .map_err(unknown)?
            .clone();
        Ok(Claimed::Key {
            key,
            claim,
            message,
            now,
        })
    }

    /// Verifies the signature over the body.
    pub(super) fn prove(self, state: &State, body: &[u8]) -> Result<Caller, Fault> {
        let body_sha256 = digest::digest(&digest::SHA256, body);
        let body_sha256 = body_sha256.as_ref().try_into().expect("SHA-256 has 32 bytes");
        match self {
            Claimed::Keyless { region } => Ok(Caller {
                principal: Principal::Keyless,
                region,
                body_sha256,
            }),
            Claimed::Key {
                key,
                claim,
                message,
                now,
            } => {
                verify(state, &key, &claim, &message, &body_sha256, now)?;
                Ok(Caller {
                    principal: keys::admit(&key, now)?,
                    region: claim.region.into_owned(),
                    body_sha256,
                })
            }
        }
    }
}

/// Whether one of the key's secrets in force made the signature.
fn verify(
    state: &State,
    key: &Key,
    claim: &Claim<'_>,
    message: &Message<'_>,
    body_sha256: &[u8; 32],
    now: i64,
) -> Result<(), Fault> {
    let mut refused = Refused::Invalid(Cow::Borrowed("The key has no secret in force."));
    for secret in key.secrets_in_force(now) {
        let signing_key = state.eventbridge.signing_keys.get(&secret.sha256, claim, || {
            let text = key.signing_secret(secret, &state.sealer)?.unwrap_or_default();
            Ok::<_, control::seal::Error>(SigningKey::derive(&text, claim.date(), &claim.region, &claim.service))
        });
        let signing_key = signing_key.map_err(control::Refusal::from)?;
        match claim.is_signed_with(&signing_key, message, body_sha256) {
            Ok(()) => return Ok(()),
            Err(reason) => refused = reason,
        }
    }
    Err(refused.into())
}

fn wrong_scope(message: String) -> Fault {
    Refused::Invalid(message.into()).into()
}

fn no_host() -> Fault {
    Refused::Incomplete(Cow::Borrowed(
        "The request needs one Host, which its address does not contradict.",
    ))
    .into()
}
