//! Signatures of requests. Standard Webhooks 1.0.0: over `{id}.{timestamp}.{body}`, HMAC-SHA256 (`v1`) or ed25519 (`v1a`), one
//! for each secret, so that a receiver that knows the old or the new one can verify while they are rotated. Magento: HMAC-SHA256
//! over the body alone, in hex.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use control::signing_key::SigningKey;
use http::HeaderName;
use ring::{hmac, signature::Ed25519KeyPair};
use std::fmt::Write as _;

const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const MAGENTO_SIGNATURE: HeaderName = HeaderName::from_static("x-magento-signature");
/// `v1a,`, the Base64 of 64 bytes, and a space.
const SIGNATURE_LEN_MAX: usize = 4 + 88 + 1;

/// Signs requests.
pub(super) enum Signer {
    /// Standard Webhooks, with one or more keys, the newest first.
    StandardWebhooks(Vec<Key>),
    /// `x-magento-signature`.
    Magento(hmac::Key),
}

/// A key of Standard Webhooks.
pub(super) enum Key {
    Hmac(hmac::Key),
    Ed25519(Ed25519KeyPair),
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Signer::StandardWebhooks(keys) => write!(formatter, "Signer({} secrets)", keys.len()),
            Signer::Magento(_) => formatter.write_str("Signer(magento)"),
        }
    }
}

impl Signer {
    /// Takes secrets as `whsec_` or `whsk_` and Base64. The error does not repeat them.
    pub(super) fn standard_webhooks(secrets: &[&str]) -> Result<Signer, String> {
        let keys = secrets.iter().map(|secret| key(secret)).collect::<Option<_>>();
        keys.map(Signer::StandardWebhooks)
            .ok_or_else(|| "a signing secret is neither whsec_ nor whsk_ and Base64 of a key".to_owned())
    }

    /// Takes the text whose bytes are the key.
    pub(super) fn magento(secret: &str) -> Signer {
        Signer::Magento(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
    }

    /// The signature's header and its value.
    pub(super) fn sign(&self, message_id: &str, timestamp: &str, body: &[u8]) -> (HeaderName, String) {
        let keys = match self {
            Signer::StandardWebhooks(keys) => keys,
            Signer::Magento(key) => return (MAGENTO_SIGNATURE, hex(hmac::sign(key, body).as_ref())),
        };
        let mut signatures = String::with_capacity(keys.len() * SIGNATURE_LEN_MAX);
        for key in keys {
            if !signatures.is_empty() {
                signatures.push(' ');
            }
            key.sign(
                &[message_id.as_bytes(), b".", timestamp.as_bytes(), b".", body],
                &mut signatures,
            );
        }
        (WEBHOOK_SIGNATURE, signatures)
    }
}

impl Key {
    fn sign(&self, parts: &[&[u8]], out: &mut String) {
        match self {
            Key::Hmac(key) => {
                let mut context = hmac::Context::with_key(key);
                parts.iter().for_each(|part| context.update(part));
                out.push_str("v1,");
                STANDARD.encode_string(context.sign(), out);
            }
            Key::Ed25519(pair) => {
                out.push_str("v1a,");
                STANDARD.encode_string(pair.sign(&parts.concat()), out);
            }
        }
    }
}

fn key(secret: &str) -> Option<Key> {
    Some(match SigningKey::parse(secret)? {
        SigningKey::Hmac(bytes) => Key::Hmac(hmac::Key::new(hmac::HMAC_SHA256, &bytes)),
        SigningKey::Ed25519(seed) => Key::Ed25519(SigningKey::pair(&seed)),
    })
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{ED25519, UnparsedPublicKey};

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    /// RFC 8032, 7.1, test 1.
    const SEED: &str = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";

    fn sign(secrets: &[&str]) -> String {
        let signer = Signer::standard_webhooks(secrets).expect("good secrets");
        let (name, value) = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#);
        assert_eq!(name, "webhook-signature");
        value
    }

    #[test]
    fn the_published_vector_is_reproduced() {
        assert_eq!(sign(&[SECRET]), SIGNATURE);
    }

    #[test]
    fn every_secret_signs_so_that_rotation_breaks_nobody() {
        let other = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
        let three = sign(&[other, SEED, SECRET]);
        let signatures: Vec<_> = three.split(' ').collect();
        assert_eq!(signatures, [sign(&[other]), sign(&[SEED]), SIGNATURE.to_owned()]);
    }

    #[test]
    fn an_ed25519_signature_verifies_with_the_public_key_and_no_other_message() {
        let signature = sign(&[SEED]);
        let bytes = STANDARD
            .decode(signature.strip_prefix("v1a,").expect("its version"))
            .expect("base64");
        let public = SigningKey::parse(SEED)
            .and_then(|key| key.public_key())
            .expect("a public key");
        let public = STANDARD
            .decode(public.strip_prefix("whpk_").expect("its prefix"))
            .expect("base64");
        let key = UnparsedPublicKey::new(&ED25519, public);
        let message = br#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#;
        assert!(key.verify(message, &bytes).is_ok() && key.verify(&message[1..], &bytes).is_err());
    }

    /// RFC 4231, test 2.
    #[test]
    fn a_magento_signature_is_the_hex_of_the_body_under_the_text() {
        let (name, value) = Signer::magento("Jefe").sign("id", "0", b"what do ya want for nothing?");
        assert_eq!(name, "x-magento-signature");
        assert_eq!(
            value,
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn a_secret_that_breaks_the_rules_is_refused_without_being_repeated() {
        for secret in [
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_AAAA",
            "whsec_!!",
            "whsk_AAAA",
        ] {
            let refusal = Signer::standard_webhooks(&[secret]).expect_err(secret);
            assert!(!refusal.contains(&secret[5..]), "{refusal}");
        }
    }
}
