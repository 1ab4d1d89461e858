//! A secret as a resource holds it, and the one comparison of secrets. It never shows itself: `Debug` hides it, and writing a
//! plain one is an error.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use std::fmt;
use subtle::ConstantTimeEq as _;

/// Whether what was shown is what is kept: secrets, their hashes, signatures. The time that it takes depends on their lengths
/// alone. It is the only comparison of such things outside of `ring` (`cargo xtask tidy` holds that), and their types have no `==`.
#[must_use]
pub fn is_same(shown: &[u8], kept: &[u8]) -> bool {
    shown.ct_eq(kept).into()
}

/// A secret in a resource. Plain on the way in, sealed at rest, a fingerprint on the way out; never shown by `Debug`.
///
/// Serializing a [`Secret::Plain`] fails: the stored form is made by sealing first, the outgoing form by taking the
/// fingerprint first, so that forgetting either is an error and not a leak.
///
/// Specifications are compared as a whole, to tell whether anything changed; there, too, nobody learns from the time how much of a
/// secret is right.
#[derive(Clone)]
pub enum Secret {
    /// As a person wrote it.
    Plain(String),
    /// Sealed under the master key (base64 of the envelope); the stored form is `{"sealed": "…"}`.
    Sealed(String),
    /// `{"fingerprint": "…"}`: the stored secret of this same resource.
    Fingerprint(String),
}

const FIELDS: &[&str] = &["fingerprint"];
const RESOLVED_ELSEWHERE: &str =
    "the command line resolves {env: …} and {file: …} before it sends; the server reads neither for a request";

impl Secret {
    /// The plain text, if it is plain.
    pub fn plain(&self) -> Option<&str> {
        match self {
            Self::Plain(text) => Some(text),
            Self::Sealed(_) | Self::Fingerprint(_) => None,
        }
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(one), Self::Plain(other))
            | (Self::Sealed(one), Self::Sealed(other))
            | (Self::Fingerprint(one), Self::Fingerprint(other)) => is_same(one.as_bytes(), other.as_bytes()),
            _ => false,
        }
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Plain(_) => "Secret(plain)",
            Self::Sealed(_) => "Secret(sealed)",
            Self::Fingerprint(_) => "Secret(fingerprint)",
        })
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(_) => Err(ser::Error::custom("a plain secret is never written")),
            Self::Sealed(envelope) => serializer.collect_map([("sealed", envelope)]),
            Self::Fingerprint(fingerprint) => serializer.collect_map([("fingerprint", fingerprint)]),
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretVisitor)
    }
}

struct SecretVisitor;

impl<'de> de::Visitor<'de> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a secret: a string, or {fingerprint: …} for the stored one")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret::Plain(text.to_owned()))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
        let Some(form) = map.next_key::<Form>()? else {
            return Err(de::Error::missing_field("fingerprint"));
        };
        let text = map.next_value()?;
        let secret = match form {
            Form::Fingerprint => Secret::Fingerprint(text),
            Form::Sealed => Secret::Sealed(text),
        };
        match map.next_key::<String>()? {
            None => Ok(secret),
            Some(_) => Err(de::Error::custom("a secret's object has one field")),
        }
    }
}

/// The field of a secret's object; read as a name, so that a fault has its place.
enum Form {
    Fingerprint,
    Sealed,
}

impl<'de> Deserialize<'de> for Form {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "fingerprint" => Ok(Self::Fingerprint),
            "sealed" => Ok(Self::Sealed),
            "env" | "file" => Err(de::Error::custom(RESOLVED_ELSEWHERE)),
            other => Err(de::Error::unknown_field(other, FIELDS)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_the_same_when_all_of_them_is() {
        for (shown, kept, expected) in [
            ("", "", true),
            ("abc", "abc", true),
            ("abd", "abc", false),
            ("ab", "abc", false),
        ] {
            assert_eq!(is_same(shown.as_bytes(), kept.as_bytes()), expected, "{shown} {kept}");
            let plain = |text: &str| Secret::Plain(text.to_owned());
            assert_eq!(plain(shown) == plain(kept), expected, "{shown} {kept}");
        }
        assert_ne!(Secret::Plain("a".to_owned()), Secret::Fingerprint("a".to_owned()));
    }
}
