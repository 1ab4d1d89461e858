//! The secrets of Standard Webhooks 1.0.0, read: an HMAC key or an ed25519 key pair. It shows nothing of itself but the public
//! key.

use crate::limits;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

const HMAC_PREFIX: &str = "whsec_";
const ED25519_PREFIX: &str = "whsk_";
const ED25519_PUBLIC_PREFIX: &str = "whpk_";
/// Bytes of an ed25519 seed, and of its public key.
const ED25519_BYTES: usize = 32;

/// A signing secret.
#[derive(Clone, PartialEq, Eq)]
pub enum SigningKey {
    /// The bytes behind `whsec_`: for HMAC-SHA256, signature `v1`.
    Hmac(Vec<u8>),
    /// The seed behind `whsk_`: for ed25519, signature `v1a`.
    Ed25519([u8; ED25519_BYTES]),
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Hmac(_) => "SigningKey(hmac)",
            Self::Ed25519(_) => "SigningKey(ed25519)",
        })
    }
}

impl SigningKey {
    /// Reads `whsec_…` or `whsk_…`; a public key that stands beside the seed must be the seed's.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(encoded) = text.strip_prefix(HMAC_PREFIX) {
            let bytes = decode(encoded)?;
            return limits::SIGNING_SECRET_BYTES
                .contains(&bytes.len())
                .then_some(Self::Hmac(bytes));
        }
        let bytes = decode(text.strip_prefix(ED25519_PREFIX)?)?;
        let (seed, public) = bytes.split_first_chunk::<ED25519_BYTES>()?;
        match public.is_empty() || Ed25519KeyPair::from_seed_and_public_key(seed, public).is_ok() {
            true => Some(Self::Ed25519(*seed)),
            false => None,
        }
    }

    /// `whpk_…`, of an ed25519 key.
    pub fn public_key(&self) -> Option<String> {
        let Self::Ed25519(seed) = self else { return None };
        let pair = Self::pair(seed);
        Some(format!(
            "{ED25519_PUBLIC_PREFIX}{}",
            STANDARD.encode(pair.public_key().as_ref())
        ))
    }

    /// The pair that a seed makes.
    pub fn pair(seed: &[u8; ED25519_BYTES]) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(seed).expect("every 32 bytes are a seed")
    }
}

fn decode(encoded: &str) -> Option<Vec<u8>> {
    STANDARD
        .decode(encoded)
        .or_else(|_| STANDARD_NO_PAD.decode(encoded))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, 7.1, test 1.
    #[test]
    fn a_seed_has_the_published_public_key_with_or_without_it_beside() {
        let seed = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
        let public = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
        let alone = SigningKey::parse(&format!("whsk_{seed}")).expect("a key");
        assert_eq!(alone.public_key().as_deref(), Some(format!("whpk_{public}").as_str()));
        let both = [
            STANDARD.decode(seed).expect("base64"),
            STANDARD.decode(public).expect("base64"),
        ]
        .concat();
        assert_eq!(
            SigningKey::parse(&format!("whsk_{}", STANDARD.encode(&both))),
            Some(alone)
        );
        let other = [&both[..32], &[1; 32]].concat();
        assert_eq!(SigningKey::parse(&format!("whsk_{}", STANDARD.encode(other))), None);
    }

    #[test]
    fn what_is_no_secret_is_none() {
        for text in [
            "",
            "whsec_",
            "whsec_AAAA",
            "whsk_AAAA",
            "whpk_AAAA",
            "whsec_!",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ] {
            assert_eq!(SigningKey::parse(text), None, "{text}");
        }
    }
}
