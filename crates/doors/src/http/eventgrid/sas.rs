//! Shared access signatures: `r=<resource>&e=<expiry>&s=<signature>`, each form-encoded; the signature is the HMAC-SHA256, in
//! Base64, of everything before `&s=` as it stands. Here they are only read; whoever has the keys verifies them.

use super::{bus_of, expiry};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use url::{Url, form_urlencoded};

/// Bytes of a token: an address, a time and a signature take a few hundred.
const TOKEN_BYTES_MAX: usize = 4 << 10;

/// What every token is.
const FORM: &str = "it is not r=<resource>&e=<expiry>&s=<signature>";

/// A signature, read and not yet verified.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sas<'t> {
    /// What is signed.
    pub signed: &'t str,
    /// What it is for.
    resource: String,
    /// Until when, in milliseconds since the epoch.
    pub expires: i64,
    /// The signature.
    pub signature: Vec<u8>,
}

impl<'t> Sas<'t> {
    /// Reads a token; the error says what is wrong with it.
    pub(super) fn parse(token: &'t str) -> Result<Sas<'t>, &'static str> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err("it is too long");
        }
        let (signed, signature) = token.rsplit_once("&s=").ok_or("it has no signature (s)")?;
        let parts: Vec<_> = form_urlencoded::parse(signed.as_bytes()).take(3).collect();
        let [(resource_name, resource), (expiry_name, expires)] = parts.as_slice() else {
            return Err(FORM);
        };
        if (&**resource_name, &**expiry_name) != ("r", "e") {
            return Err(FORM);
        }
        Ok(Sas {
            signed,
            resource: resource.clone().into_owned(),
            expires: expiry::parse(expires).ok_or("its expiry (e) is no time")?,
            signature: signature_of(signature).ok_or("its signature (s) is not Base64 of 32 bytes")?,
        })
    }

    /// Whether its resource is the address of this bus at this door. The host is not compared: what stands before the server
    /// may call it anything, and a key is of one installation.
    pub(super) fn is_for(&self, bus: &str) -> bool {
        let url = Url::parse(&self.resource).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
        url.is_some_and(|url| bus_of(url.path()).is_some_and(|named| named == bus))
    }
}

/// A plus sign that was not encoded has become a space.
fn signature_of(encoded: &str) -> Option<Vec<u8>> {
    const SIGNATURE_BYTES: usize = 32;
    let (text, _) = form_urlencoded::parse(encoded.as_bytes()).next()?;
    let signature = STANDARD.decode(text.replace(' ', "+")).ok()?;
    (signature.len() == SIGNATURE_BYTES).then_some(signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8%3D";

    fn token(resource: &str, expires: &str) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("r", resource).append_pair("e", expires);
        format!("{}&s={SIGNATURE}", form.finish())
    }

    #[test]
    fn a_token_is_taken_apart_and_what_is_signed_is_as_it_stands() {
        let text =
            "r=https%3a%2f%2fh%2fshop%2Fapi%2Fevents%3FapiVersion%3D2018-01-01&e=1%2F31%2F2026+12%3A00%3A00+PM&s=";
        let text = format!("{text}{SIGNATURE}");
        let sas = Sas::parse(&text).expect("it is one");
        assert!(text.starts_with(sas.signed) && text[sas.signed.len()..].starts_with("&s="));
        assert_eq!(sas.expires, 1_769_860_800_000);
        assert_eq!(sas.signature, (0..32).collect::<Vec<u8>>());
        assert!(sas.is_for("shop") && !sas.is_for("default"));
    }

    /// Check 43, the resource.
    #[test]
    fn check_43_a_resource_is_the_address_of_one_bus() {
        let is_for = |resource: &str, bus| {
            let text = token(resource, "2026-01-31T12:00:00Z");
            Sas::parse(&text).expect("it is one").is_for(bus)
        };
        assert!(is_for("http://127.0.0.1:8080/api/events", "default"));
        assert!(is_for("https://h/shop/api/events?apiVersion=2018-01-01", "shop"));
        for other in [
            "https://h/shop2/api/events",
            "https://h/SHOP/api/events",
            "https://h/api/events",
            "https://h/shop/",
            "https://h/x/shop/api/events",
            "https://h/x?/shop/api/events",
            "ftp://h/shop/api/events",
            "/shop/api/events",
            "",
        ] {
            assert!(!is_for(other, "shop"), "{other}");
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let good = token("https://h/api/events", "2026-01-31T12:00:00Z");
        assert!(Sas::parse(&good).is_ok());
        for bad in [
            String::new(),
            "r=a&e=b".to_owned(),
            "e=2026-01-31T12:00:00Z&r=https%3A%2F%2Fh&s=AA".to_owned(),
            good.replace("&e=", "&x=1&e="),
            good.replace("&e=", "&E="),
            good.replace("AAEC", "AAE"),
            good.replace("AAEC", "!!!!"),
            token("https://h/api/events", "soon"),
            token(&"a".repeat(TOKEN_BYTES_MAX), "2026-01-31T12:00:00Z"),
        ] {
            assert!(Sas::parse(&bad).is_err(), "{bad}");
        }
    }
}
