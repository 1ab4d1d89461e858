//! What a request says of its signature.

use super::{
    canonical::{hash, hex, parameters, put_header, put_path, put_query},
    keys::SigningKey,
    refused::Refused,
};
use http::{HeaderMap, HeaderName, header};
use std::{borrow::Cow, time::Duration};

/// The one algorithm.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Ends every scope.
pub(super) const TERMINATOR: &str = "aws4_request";
/// How far a client's clock may be off.
const SKEW_MAX: Duration = Duration::from_secs(15 * 60);
/// The longest that a presigned request may be good for, as AWS has it: seven days.
const EXPIRES_SECONDS_MAX: i64 = 604_800;
/// Far more headers than any client signs.
const SIGNED_HEADERS_MAX: usize = 64;

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
/// Headers of this prefix mean something to AWS's protocols: all must be signed.
const AMZ: &str = "x-amz-";
/// The parameter that holds the signature of a presigned request.
const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";

/// A request as far as it is signed.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The method.
    pub method: &'a str,
    /// The path as it was sent.
    pub path: &'a str,
    /// The query as it was sent, without its question mark.
    pub query: &'a str,
    /// The host that was asked for, with its port where it was said.
    pub host: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// Whose signature it is, and over what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    /// The access key id.
    pub access_key_id: Cow<'a, str>,
    /// The region that it was signed for.
    pub region: Cow<'a, str>,
    /// The service that it was signed for.
    pub service: Cow<'a, str>,
    /// When it was signed, as the request has it: `YYYYMMDDTHHMMSSZ`.
    time: Cow<'a, str>,
    /// The same in seconds since 1970.
    at: i64,
    /// In lower case, sorted, joined by semicolons.
    signed_headers: Cow<'a, str>,
    signature: [u8; 64],
    /// Of a presigned request, for how many seconds it is good.
    expires: Option<i64>,
}

/// The parts of a signature, wherever they stood.
#[derive(Default)]
struct Parts<'a> {
    credential: Option<Cow<'a, str>>,
    signed_headers: Option<Cow<'a, str>>,
    signature: Option<Cow<'a, str>>,
}

impl<'a> Claim<'a> {
    /// Reads what a request claims; nothing of it is proved yet.
    pub fn of(message: &Message<'a>) -> Result<Claim<'a>, Refused> {
        let is_presigned = parameters(message.query).any(|(name, _)| name.starts_with(b"X-Amz-"));
        let claim = match (message.headers.contains_key(header::AUTHORIZATION), is_presigned) {
            (false, false) => return Err(Refused::Missing),
            (true, true) => {
                return Err(incomplete(
                    "The request is signed twice, in its header and in its query.",
                ));
            }
            (true, false) => Self::of_header(message)?,
            (false, true) => Self::of_query(message)?,
        };
        if message.headers.contains_key(SECURITY_TOKEN) {
            return Err(Refused::SessionToken);
        }
        claim.covers(message.headers)?;
        Ok(claim)
    }

    fn of_header(message: &Message<'a>) -> Result<Claim<'a>, Refused> {
        let text = one(message.headers, &header::AUTHORIZATION)?.unwrap_or_default();
        let wrong = || {
            incomplete(
                "Authorization header requires AWS4-HMAC-SHA256, 'Credential', 'Signature' and 'SignedHeaders', separated by \
                 commas; bearer keys and other algorithms are not taken here.",
            )
        };
        let rest = text
            .strip_prefix(ALGORITHM)
            .filter(|rest| rest.starts_with([' ', '\t']))
            .ok_or_else(wrong)?;
        let mut parts = Parts::default();
        for part in rest.split(',') {
            let (name, value) = part.trim().split_once('=').ok_or_else(wrong)?;
            let slot = match name {
                "Credential" => &mut parts.credential,
                "SignedHeaders" => &mut parts.signed_headers,
                "Signature" => &mut parts.signature,
                _ => return Err(wrong()),
            };
            if slot.replace(Cow::Borrowed(value)).is_some() {
                return Err(wrong());
            }
        }
        let time = one(message.headers, &DATE)?;
        let time =
            time.ok_or_else(|| incomplete("Authorization header requires existence of the header 'X-Amz-Date'."))?;
        Self::new(parts, Cow::Borrowed(time), None)
    }

    fn of_query(message: &Message<'a>) -> Result<Claim<'a>, Refused> {
        let (mut parts, mut time, mut expires, mut algorithm) = (Parts::default(), None, None, None);
        for (name, value) in parameters(message.query) {
            let slot = match &*name {
                b"X-Amz-Algorithm" => &mut algorithm,
                b"X-Amz-Credential" => &mut parts.credential,
                b"X-Amz-Date" => &mut time,
                b"X-Amz-Expires" => &mut expires,
                b"X-Amz-SignedHeaders" => &mut parts.signed_headers,
                b"X-Amz-Signature" => &mut parts.signature,
                b"X-Amz-Security-Token" => return Err(Refused::SessionToken),
                name if name.starts_with(b"X-Amz-") => {
                    return Err(incomplete("The query has a parameter X-Amz-* that is not known."));
                }
                _ => continue,
            };
            let text = match value {
                Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
                Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
            };
            let text = text.ok_or_else(|| incomplete("A parameter X-Amz-* is not UTF-8."))?;
            if slot.replace(text).is_some() {
                return Err(incomplete("A parameter X-Amz-* is given twice."));
            }
        }
        if algorithm.as_deref() != Some(ALGORITHM) {
            return Err(incomplete("X-Amz-Algorithm must be AWS4-HMAC-SHA256."));
        }
        let expires = expires.and_then(|text| text.parse::<i64>().ok());
        let expires = expires.filter(|seconds| (1..=EXPIRES_SECONDS_MAX).contains(seconds));
        let expires = expires.ok_or_else(|| incomplete("X-Amz-Expires must be 1 to 604800 seconds."))?;
        let time = time.ok_or_else(|| incomplete("X-Amz-Date is missing."))?;
        Self::new(parts, time, Some(expires))
    }

    fn new(parts: Parts<'a>, time: Cow<'a, str>, expires: Option<i64>) -> Result<Claim<'a>, Refused> {
        let missing = |what| move || incomplete(what);
        let credential = parts
            .credential
            .ok_or_else(missing("The signature has no Credential."))?;
        let signature = parts.signature.ok_or_else(missing("The signature has no Signature."))?;
        let signed_headers = parts
            .signed_headers
            .ok_or_else(missing("The signature has no SignedHeaders."))?;
        let signature = <[u8; 64]>::try_from(signature.as_bytes());
        let signature = signature.map_err(|_| incomplete("A Signature is 64 hexadecimal digits."))?;
        let at = seconds_of(&time).ok_or_else(|| incomplete("X-Amz-Date must have the form YYYYMMDDTHHMMSSZ."))?;
        let [access_key_id, date, region, service] = scope(&credential)
            .ok_or_else(|| incomplete("A Credential is <access key id>/<YYYYMMDD>/<region>/<service>/aws4_request."))?;
        if time.get(..8) != Some(&*date) {
            return Err(Refused::Invalid(
                "The date of the credential is not that of X-Amz-Date.".into(),
            ));
        }
        Ok(Claim {
            access_key_id,
            region,
            service,
            time,
            at,
            signed_headers,
            signature,
            expires,
        })
    }

    /// Whether it covers what must be covered.
    fn covers(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let signed: Vec<&str> = self.signed_headers.split(';').collect();
        let lower = |name: &&str| !name.is_empty() && !name.bytes().any(|byte| byte.is_ascii_uppercase());
        let is_sorted = signed.windows(2).all(|pair| pair[0] < pair[1]);
        if !is_sorted || !signed.iter().all(lower) || signed.len() > SIGNED_HEADERS_MAX {
            return Err(incomplete(
                "SignedHeaders must be names in lower case, sorted, each once.",
            ));
        }
        if !signed.contains(&"host") {
            return Err(Refused::Invalid("The header 'host' must be signed.".into()));
        }
        let unsigned = headers
            .keys()
            .find(|name| name.as_str().starts_with(AMZ) && signed.binary_search(&name.as_str()).is_err());
        match unsigned {
            None => Ok(()),
            Some(name) => Err(Refused::Invalid(
                format!("The header '{name}' must be signed, and is not.").into(),
            )),
        }
    }

    /// The day of the scope, `YYYYMMDD`.
    pub fn date(&self) -> &str {
        &self.time[..8]
    }

    /// Whether it was signed for a service, at about this time (seconds since 1970).
    pub fn in_time(&self, now: i64) -> Result<(), Refused> {
        let skew = SKEW_MAX.as_secs().cast_signed();
        let (time, clock) = (&self.time, time_of(now));
        if self.at - skew > now {
            let message = format!(
                "Signature not yet current: {time} is still later than {clock} (the server's time) plus 15 min."
            );
            return Err(Refused::Invalid(message.into()));
        }
        let (end, rule) = match self.expires {
            Some(expires) => (self.at + expires, "X-Amz-Expires"),
            None => (self.at + skew, "15 min"),
        };
        if end < now {
            let message =
                format!("Signature expired: {time} plus {rule} is now earlier than {clock} (the server's time).");
            return Err(Refused::Invalid(message.into()));
        }
        Ok(())
    }

    /// Whether the signature is that of the request with a body of this hash.
    pub fn is_signed_with(
        &self,
        key: &SigningKey,
        message: &Message<'_>,
        body_sha256: &[u8; 32],
    ) -> Result<(), Refused> {
        if let Some(declared) = one(message.headers, &CONTENT_SHA256)?
            && declared.as_bytes() != hex(body_sha256)
        {
            return Err(wrong_body(declared));
        }
        let own = self.signature_of(key, message, body_sha256)?;
        match control::is_same(&self.signature, &own) {
            true => Ok(()),
            false => Err(Refused::mismatch()),
        }
    }

    /// The signature that the request ought to have.
    pub(super) fn signature_of(
        &self,
        key: &SigningKey,
        message: &Message<'_>,
        body_sha256: &[u8; 32],
    ) -> Result<[u8; 64], Refused> {
        let mut canonical = hash();
        canonical.update(message.method.as_bytes());
        canonical.update(b"\n");
        put_path(message.path, &mut canonical);
        canonical.update(b"\n");
        let without = if self.expires.is_some() {
            SIGNATURE_PARAMETER
        } else {
            ""
        };
        put_query(message.query, without, &mut canonical);
        canonical.update(b"\n");
        for name in self.signed_headers.split(';') {
            if !put_header(name, message.host, message.headers, &mut canonical) {
                let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
                return Err(Refused::Invalid(
                    format!("The signed header '{shown}' is not in the request.").into(),
                ));
            }
        }
        canonical.update(b"\n");
        canonical.update(self.signed_headers.as_bytes());
        canonical.update(b"\n");
        canonical.update(&hex(body_sha256));
        let canonical = canonical.finish();
        let (time, date, region, service) = (&self.time, self.date(), &self.region, &self.service);
        let mut text = format!("{ALGORITHM}\n{time}\n{date}/{region}/{service}/{TERMINATOR}\n").into_bytes();
        text.extend_from_slice(&hex(canonical.as_ref()));
        Ok(hex(key.sign(&text).as_ref()))
    }
}

fn incomplete(what: &'static str) -> Refused {
    Refused::Incomplete(Cow::Borrowed(what))
}

fn wrong_body(declared: &str) -> Refused {
    Refused::Invalid(Cow::Borrowed(match declared {
        "UNSIGNED-PAYLOAD" => "The body must be signed: this service does not take UNSIGNED-PAYLOAD.",
        declared if declared.starts_with("STREAMING-") => "The body must be signed whole, not in chunks.",
        _ => "The header 'x-amz-content-sha256' is not the hash of the body.",
    }))
}

/// The one value of a header, as text.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refused> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    let wrong = || Refused::Incomplete(format!("The header '{name}' must be there once, as text.").into());
    text.map(|text| Some(text.trim())).ok_or_else(wrong)
}

/// Access key id, date, region and service. The id may hold slashes, the others not.
fn scope<'a>(credential: &Cow<'a, str>) -> Option<[Cow<'a, str>; 4]> {
    let part = |range: std::ops::Range<usize>| match credential {
        Cow::Borrowed(text) => Cow::Borrowed(&text[range]),
        Cow::Owned(text) => Cow::Owned(text[range].to_owned()),
    };
    let rest = credential.strip_suffix(TERMINATOR)?.strip_suffix('/')?;
    let service = rest.rfind('/')? + 1;
    let region = rest[..service - 1].rfind('/')? + 1;
    let date = rest[..region - 1].rfind('/')? + 1;
    let parts = [0..date - 1, date..region - 1, region..service - 1, service..rest.len()];
    parts.iter().all(|range| !range.is_empty()).then(|| parts.map(part))
}

/// `YYYYMMDDTHHMMSSZ` in seconds since 1970.
fn seconds_of(time: &str) -> Option<i64> {
    let bytes = time.as_bytes();
    let shape = b"ddddddddTddddddZ";
    let fits = |(byte, wanted): (&u8, &u8)| {
        if *wanted == b'd' {
            byte.is_ascii_digit()
        } else {
            byte == wanted
        }
    };
    if bytes.len() != shape.len() || !bytes.iter().zip(shape).all(fits) {
        return None;
    }
    let two = |at: usize| (bytes[at] - b'0') as i8 * 10 + (bytes[at + 1] - b'0') as i8;
    let year = i16::from(two(0)) * 100 + i16::from(two(2));
    let time = jiff::civil::DateTime::new(year, two(4), two(6), two(9), two(11), two(13), 0).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

/// The reverse, for messages.
fn time_of(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}
