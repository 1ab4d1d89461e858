//! Whether a delivery's signature is good, as a receiver finds out: Standard Webhooks 1.0.0 with HMAC or ed25519, or Magento's.

use crate::exit::{Code, Failure};
use axum::{body::Bytes, http::HeaderMap};
use base64::{Engine, engine::general_purpose::STANDARD};
use control::signing_key::SigningKey;
use ring::{
    hmac,
    signature::{ED25519, UnparsedPublicKey},
};

/// How far a signature's timestamp may be from now, both ways, as the reference libraries have it.
const TIMESTAMP_TOLERANCE_SECONDS: i64 = 300;

/// What a signature turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// There is no secret to look at it with.
    NotLookedAt,
    /// It is of one of the secrets.
    Good,
    /// It is not.
    Wrong,
}

/// What signatures are looked at with.
pub enum Verifier {
    /// Standard Webhooks; without a key, nothing is looked at.
    StandardWebhooks(Vec<Key>),
    /// `x-magento-signature`.
    Magento(hmac::Key),
}

/// A key of Standard Webhooks.
pub enum Key {
    /// For `v1`.
    Hmac(hmac::Key),
    /// For `v1a`.
    Ed25519(UnparsedPublicKey<Vec<u8>>),
}

impl Verifier {
    /// Takes `whsec_…` and `whpk_…`, or the text of a Magento secret.
    pub fn new(secrets: &[String], magento: Option<&str>) -> Result<Verifier, Failure> {
        if let Some(text) = magento {
            return Ok(Verifier::Magento(hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes())));
        }
        let keys = secrets.iter().map(|secret| key(secret)).collect::<Option<_>>();
        let wrong = || {
            Failure::new(
                Code::Usage,
                "--secret is neither `whsec_` nor `whpk_` and base64 of a key",
            )
        };
        keys.map(Verifier::StandardWebhooks).ok_or_else(wrong)
    }

    /// Looks at a delivery that came at `now`, in seconds since the epoch.
    pub fn verify(&self, headers: &HeaderMap, body: &Bytes, now: i64) -> Signature {
        let header = |name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default()
        };
        let is_good = match self {
            Verifier::StandardWebhooks(keys) if keys.is_empty() => return Signature::NotLookedAt,
            Verifier::Magento(key) => unhex(header("x-magento-signature"))
                .is_some_and(|signature| hmac::verify(key, body, &signature).is_ok()),
            Verifier::StandardWebhooks(keys) => {
                let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
                let is_fresh = timestamp
                    .parse()
                    .is_ok_and(|sent: i64| now.abs_diff(sent) <= TIMESTAMP_TOLERANCE_SECONDS.unsigned_abs());
                let mut signed = format!("{id}.{timestamp}.").into_bytes();
                signed.extend_from_slice(body);
                let mut signatures = header("webhook-signature").split(' ');
                is_fresh && signatures.any(|token| keys.iter().any(|key| key.is_of(token, &signed)))
            }
        };
        if is_good { Signature::Good } else { Signature::Wrong }
    }
}

impl Key {
    /// Whether a token of the header is this key's signature.
    fn is_of(&self, token: &str, signed: &[u8]) -> bool {
        let Some((version, encoded)) = token.split_once(',') else {
            return false;
        };
        let Ok(signature) = STANDARD.decode(encoded) else {
            return false;
        };
        match (self, version) {
            (Key::Hmac(key), "v1") => hmac::verify(key, signed, &signature).is_ok(),
            (Key::Ed25519(key), "v1a") => key.verify(signed, &signature).is_ok(),
            _ => false,
        }
    }
}

fn key(text: &str) -> Option<Key> {
    if let Some(encoded) = text.strip_prefix("whpk_") {
        let bytes = STANDARD.decode(encoded).ok().filter(|bytes| bytes.len() == 32)?;
        return Some(Key::Ed25519(UnparsedPublicKey::new(&ED25519, bytes)));
    }
    match SigningKey::parse(text)? {
        SigningKey::Hmac(bytes) => Some(Key::Hmac(hmac::Key::new(hmac::HMAC_SHA256, &bytes))),
        SigningKey::Ed25519(_) => None,
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    rest.is_empty().then(|| pairs.iter().map(byte).collect()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let name = axum::http::HeaderName::from_static(name);
            (name, value.parse().expect("a value"))
        });
        pairs.collect()
    }

    #[test]
    fn the_published_vector_of_standard_webhooks_verifies_and_an_old_or_altered_one_does_not() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned();
        let verifier = Verifier::new(&[secret], None).expect("a key");
        let headers = headers(&[
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            (
                "webhook-signature",
                "v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
        ]);
        let body = Bytes::from_static(b"{\"test\": 2432232314}");
        assert_eq!(verifier.verify(&headers, &body, 1614265330 + 299), Signature::Good);
        assert_eq!(verifier.verify(&headers, &body, 1614265330 + 301), Signature::Wrong);
        let altered = Bytes::from_static(b"{}");
        assert_eq!(verifier.verify(&headers, &altered, 1614265330), Signature::Wrong);
    }

    /// RFC 8032, 7.1, test 1 has the key.
    #[test]
    fn an_ed25519_signature_verifies_with_the_public_key() {
        let text = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
        let Some(SigningKey::Ed25519(seed)) = SigningKey::parse(text) else {
            panic!("a key")
        };
        let signature = STANDARD.encode(SigningKey::pair(&seed).sign(b"msg_1.7.{}"));
        let public = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=".to_owned();
        let verifier = Verifier::new(&[public], None).expect("a key");
        let signature = format!("v1,AAAA v1a,{signature}");
        let headers = headers(&[
            ("webhook-id", "msg_1"),
            ("webhook-timestamp", "7"),
            ("webhook-signature", &signature),
        ]);
        assert_eq!(
            verifier.verify(&headers, &Bytes::from_static(b"{}"), 7),
            Signature::Good
        );
        assert_eq!(
            verifier.verify(&headers, &Bytes::from_static(b"[]"), 7),
            Signature::Wrong
        );
    }

    /// RFC 4231, test 2.
    #[test]
    fn a_magento_signature_verifies_and_a_cut_one_does_not() {
        let verifier = Verifier::new(&[], Some("Jefe")).expect("a key");
        let body = Bytes::from_static(b"what do ya want for nothing?");
        let whole = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        for (signature, expected) in [
            (whole, Signature::Good),
            (&whole[..62], Signature::Wrong),
            ("", Signature::Wrong),
        ] {
            let headers = headers(&[("x-magento-signature", signature)]);
            assert_eq!(verifier.verify(&headers, &body, 0), expected);
        }
    }
}
