//! Amazon's own signer against our verifier: what it signs is believed, whatever the request looks like, and a request of which
//! one byte is another is not.

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use doors::aws::sigv4::{Claim, Message, Refused, SigningKey};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use proptest::prelude::*;
use ring::digest;
use std::time::{Duration, UNIX_EPOCH};

const KEY_ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 2026-11-21T10:00:00Z
const NOW: u64 = 1_795_255_200;

/// How a client signs.
#[derive(Clone, Copy, Debug)]
enum Signing {
    Header,
    HeaderWithBodyHash,
    Presigned,
}

/// What is sent: a request, and the host that it is sent to.
#[derive(Clone, Debug)]
struct Sent {
    request: Request<Vec<u8>>,
    host: String,
}

/// A path as clients write it: segments of any text, encoded once, dots and empty segments among them.
fn path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        4 => any::<String>().prop_map(|text| encoded(&text)),
        2 => "[a-zA-Z0-9._~!$&'()*+,;=:@-]{0,12}",
        1 => Just(".".to_owned()),
        1 => Just("..".to_owned()),
    ];
    let segments = prop::collection::vec(segment, 0..5);
    segments.prop_map(|segments| format!("/{}", segments.join("/")))
}

/// A query: names and values of any text, encoded; some names twice, some without a value.
fn query() -> impl Strategy<Value = String> {
    let pair = (
        prop_oneof![Just("a".to_owned()), "[a-zA-Z]{1,5}", any::<String>()],
        prop::option::of(any::<String>()),
    );
    let written = |(name, value): (String, Option<String>)| match value {
        // A name that is empty has no place in a query.
        Some(value) => format!("x{}={}", encoded(&name), encoded(&value)),
        None => format!("x{}", encoded(&name)),
    };
    prop::collection::vec(pair.prop_map(written), 0..4).prop_map(|pairs| pairs.join("&"))
}

fn headers() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof![
        Just("content-type".to_owned()),
        Just("x-amz-target".to_owned()),
        Just("x-repeated".to_owned()),
        "x-[a-z0-9]{1,8}",
    ];
    // Inner spaces in any number, text beyond ASCII, and none around it: HTTP takes those off.
    let value = prop_oneof!["[!-~]{1,12}( {1,3}[!-~]{1,6}){0,3}", "[!-~äöü€猫]{1,10}"];
    prop::collection::vec((name, value), 0..6)
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

prop_compose! {
    fn requests()(
        method in prop_oneof![Just("POST"), Just("GET"), Just("PUT")],
        path in path(),
        query in query(),
        headers in headers(),
        body in prop::collection::vec(any::<u8>(), 0..64),
        host in prop_oneof!["[a-z]{1,8}\\.example\\.com", "127\\.0\\.0\\.1:[1-9][0-9]{3}"],
    ) -> Sent {
        let question = if query.is_empty() { "" } else { "?" };
        let uri = format!("http://{host}{path}{question}{query}").parse::<Uri>().expect("a URL");
        let mut request = Request::new(body);
        *request.method_mut() = method.parse().expect("a method");
        *request.uri_mut() = uri;
        for (name, value) in headers {
            let name = HeaderName::try_from(name).expect("a name");
            request.headers_mut().append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        Sent { request, host }
    }
}

fn signed(mut sent: Sent, signing: Signing) -> Sent {
    let identity = Credentials::new(KEY_ID, SECRET, None, None, "test").into();
    let mut settings = SigningSettings::default();
    match signing {
        Signing::Header => {}
        Signing::HeaderWithBodyHash => settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256,
        Signing::Presigned => {
            settings.signature_location = SignatureLocation::QueryParams;
            settings.expires_in = Some(Duration::from_secs(300));
        }
    }
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-central-1")
        .name("events")
        .time(UNIX_EPOCH + Duration::from_secs(NOW))
        .settings(settings)
        .build()
        .expect("nothing is missing")
        .into();
    let request = &sent.request;
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| (name.as_str(), std::str::from_utf8(value.as_bytes()).expect("UTF-8")));
    let signable = SignableRequest::new(
        request.method().as_str(),
        request.uri().to_string(),
        headers,
        SignableBody::Bytes(request.body()),
    );
    let signed = sign(signable.expect("a request"), &params).expect("it can be signed");
    let (instructions, _) = signed.into_parts();
    instructions.apply_to_request_http1x(&mut sent.request);
    sent
}

fn verified(sent: &Sent) -> Result<(), Refused> {
    let (request, body) = (&sent.request, sent.request.body());
    let message = Message {
        method: request.method().as_str(),
        path: request.uri().path(),
        query: request.uri().query().unwrap_or_default(),
        host: &sent.host,
        headers: request.headers(),
    };
    let claim = Claim::of(&message)?;
    claim.in_time(NOW.cast_signed())?;
    if claim.access_key_id != KEY_ID || claim.service != "events" {
        // Another key has another secret.
        return Err(Refused::Missing);
    }
    let key = SigningKey::derive(SECRET, claim.date(), &claim.region, &claim.service);
    let hash = digest::digest(&digest::SHA256, body);
    claim.is_signed_with(&key, &message, hash.as_ref().try_into().expect("32 bytes"))
}

fn ways() -> impl Strategy<Value = Signing> {
    prop_oneof![
        Just(Signing::Header),
        Just(Signing::HeaderWithBodyHash),
        Just(Signing::Presigned)
    ]
}

/// The text with the letter or digit at about this place replaced by another one. The digits of an escape stay: in either case
/// they stand for the same byte.
fn altered(text: &[u8], place: usize) -> Option<Vec<u8>> {
    let is_escape = |at: usize| text[at.saturating_sub(2)..at].contains(&b'%');
    let places: Vec<usize> = (0..text.len())
        .filter(|at| text[*at].is_ascii_alphanumeric() && !is_escape(*at))
        .collect();
    let at = *places.get(place.checked_rem(places.len())?)?;
    let mut other = text.to_vec();
    other[at] = if text[at] == b'7' { b'8' } else { b'7' };
    Some(other)
}

/// The same request with one byte of one part altered; `None`: the part has none that can be.
fn with_another_byte(sent: &Sent, part: u8, place: usize) -> Option<Sent> {
    let mut other = sent.clone();
    let uri = sent.request.uri();
    let with_path_and_query = |text: Vec<u8>| {
        let text = String::from_utf8(text).expect("ASCII");
        format!("http://{}{text}", sent.host).parse::<Uri>().ok()
    };
    match part % 5 {
        0 => {
            let mut body = sent.request.body().clone();
            *body.get_mut(place.checked_rem(sent.request.body().len())?)? ^= 1;
            *other.request.body_mut() = body;
        }
        1 => {
            let query = uri.query().map_or(String::new(), |query| format!("?{query}"));
            // What a segment of two dots takes away is not part of the path.
            let path = Some(uri.path()).filter(|path| !path.contains("/.."))?;
            let mut text = altered(path.as_bytes(), place)?;
            text.extend_from_slice(query.as_bytes());
            *other.request.uri_mut() = with_path_and_query(text)?;
        }
        2 => {
            let mut text = format!("{}?", uri.path()).into_bytes();
            text.extend(altered(uri.query()?.as_bytes(), place)?);
            *other.request.uri_mut() = with_path_and_query(text)?;
        }
        3 => other.host = String::from_utf8(altered(sent.host.as_bytes(), place)?).expect("ASCII"),
        _ => {
            let pairs: Vec<_> = sent.request.headers().iter().collect();
            let at = place.checked_rem(pairs.len())?;
            let mut headers = HeaderMap::new();
            for (index, (name, value)) in pairs.into_iter().enumerate() {
                let value = match index == at {
                    true => HeaderValue::from_bytes(&altered(value.as_bytes(), place / 7)?).expect("a value"),
                    false => value.clone(),
                };
                headers.append(name, value);
            }
            *other.request.headers_mut() = headers;
        }
    }
    Some(other)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_amazons_signer_signs_is_believed(sent in requests(), way in ways()) {
        let signed = signed(sent, way);
        prop_assert_eq!(verified(&signed), Ok(()), "{:?}", signed);
    }

    #[test]
    fn one_other_byte_is_another_request(sent in requests(), way in ways(), part: u8, place: usize) {
        let signed = signed(sent, way);
        if let Some(other) = with_another_byte(&signed, part, place) {
            prop_assert!(verified(&other).is_err(), "{:?} was signed, {:?} was believed", signed, other);
        }
    }
}
