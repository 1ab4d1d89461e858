//! Standard Webhooks 1.0.0: HMAC-SHA256 over `{id}.{timestamp}.{body}`, one signature for each secret, so that a receiver
//! that knows the old or the new one can verify while they are rotated.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use http::HeaderName;
use ring::hmac;
use std::ops::RangeInclusive;

const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
/// Bytes of a secret, by the specification.
const SECRET_BYTES: RangeInclusive<usize> = 24..=64;
/// `v1,` and the Base64 of 32 bytes.
const SIGNATURE_LEN: usize = 3 + 44;

/// Signs messages with one or more secrets, the newest first.
pub(super) struct Signer(Vec<hmac::Key>);

impl std::fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Signer({} secrets)", self.0.len())
    }
}

impl Signer {
    /// Takes secrets as `whsec_` and Base64. The error does not repeat them.
    pub(super) fn new(secrets: &[&str]) -> Result<Signer, String> {
        secrets
            .iter()
            .map(|secret| key(secret))
            .collect::<Result<_, _>>()
            .map(Signer)
    }

    /// The signature's header and its value: a signature for each secret, with spaces between.
    pub(super) fn sign(&self, message_id: &str, timestamp: &str, body: &[u8]) -> (HeaderName, String) {
        let mut signatures = String::with_capacity(self.0.len() * (SIGNATURE_LEN + 1));
        for key in &self.0 {
            let mut context = hmac::Context::with_key(key);
            for part in [message_id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
                context.update(part);
            }
            if !signatures.is_empty() {
                signatures.push(' ');
            }
            signatures.push_str("v1,");
            STANDARD.encode_string(context.sign(), &mut signatures);
        }
        (WEBHOOK_SIGNATURE, signatures)
    }
}

fn key(secret: &str) -> Result<hmac::Key, String> {
    let encoded = secret
        .strip_prefix("whsec_")
        .ok_or("a signing secret must start with whsec_")?;
    let bytes = STANDARD.decode(encoded).or_else(|_| STANDARD_NO_PAD.decode(encoded));
    let bytes = bytes.map_err(|_| "a signing secret must be Base64 after whsec_")?;
    if !SECRET_BYTES.contains(&bytes.len()) {
        return Err(format!(
            "a signing secret must be {} to {} bytes",
            SECRET_BYTES.start(),
            SECRET_BYTES.end()
        ));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn sign(secrets: &[&str]) -> String {
        let signer = Signer::new(secrets).expect("good secrets");
        signer
            .sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#)
            .1
    }

    #[test]
    fn the_published_vector_is_reproduced() {
        assert_eq!(sign(&[SECRET]), SIGNATURE);
    }

    #[test]
    fn every_secret_signs_so_that_rotation_breaks_nobody() {
        let other = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
        let both = sign(&[other, SECRET]);
        let (first, second) = both.split_once(' ').expect("two signatures");
        assert_eq!((first, second), (sign(&[other]).as_str(), SIGNATURE));
    }

    #[test]
    fn a_secret_that_breaks_the_rules_is_refused_without_being_repeated() {
        for secret in ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAA", "whsec_!!", "whsec_"] {
            let refusal = Signer::new(&[secret]).expect_err(secret);
            assert!(
                !refusal.contains(secret.trim_start_matches("whsec_")) || secret == "whsec_",
                "{refusal}"
            );
        }
    }
}
