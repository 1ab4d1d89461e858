//! Shared access signatures, made as Azure's SDKs make them: for one endpoint, good for an hour.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;
use jiff::{Timestamp, tz::TimeZone};
use ring::hmac;
use url::form_urlencoded;

/// Seconds that a signature is good for: a request uses it at once, but clocks differ.
const LIFE_SECONDS: i64 = 3_600;
/// Event Grid's services read times as .NET's culture en-US writes them.
const TIME: &str = "%-m/%-d/%Y %-I:%M:%S %p";

/// Signs for an endpoint.
pub(super) struct Sas {
    resource: String,
    key: hmac::Key,
}

impl Sas {
    pub(super) fn new(endpoint: &str, version: &str, key: &str) -> Result<Sas, String> {
        let key = STANDARD.decode(key).map_err(|_| "the key is no Base64".to_owned())?;
        Ok(Sas {
            resource: format!("{endpoint}?apiVersion={version}"),
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
        })
    }

    /// A token at this second since the epoch, for the header `aeg-sas-token`.
    pub(super) fn token(&self, now: i64) -> HeaderValue {
        let ends = Timestamp::from_second(now.saturating_add(LIFE_SECONDS)).unwrap_or(Timestamp::MAX);
        let ends = ends.to_zoned(TimeZone::UTC).strftime(TIME).to_string();
        let mut form = form_urlencoded::Serializer::new(String::new());
        let unsigned = form.append_pair("r", &self.resource).append_pair("e", &ends).finish();
        let signature = STANDARD.encode(hmac::sign(&self.key, unsigned.as_bytes()));
        let signature: String = form_urlencoded::byte_serialize(signature.as_bytes()).collect();
        let token = HeaderValue::try_from(format!("{unsigned}&s={signature}"));
        let mut token = token.expect("what is form-encoded is printable ASCII");
        token.set_sensitive(true);
        token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_the_endpoint_and_the_hour_and_signs_both() {
        let sas = Sas::new("https://t.example.com/api/events", "2018-01-01", "a2V5").expect("a key");
        let token = sas.token(1_769_882_709);
        assert!(token.is_sensitive());
        let (unsigned, signature) = token.to_str().expect("ASCII").rsplit_once("&s=").expect("signed");
        assert_eq!(
            unsigned,
            "r=https%3A%2F%2Ft.example.com%2Fapi%2Fevents%3FapiVersion%3D2018-01-01&e=1%2F31%2F2026+7%3A05%3A09+PM"
        );
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"key");
        let expected = STANDARD.encode(hmac::sign(&key, unsigned.as_bytes()));
        let (decoded, _) = form_urlencoded::parse(signature.as_bytes()).next().expect("one");
        assert_eq!(decoded, expected);
    }
}
