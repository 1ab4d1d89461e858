//! What a client shows of itself and whom it trusts, as PEM, for connections that have a TLS of their own. It reads nothing
//! from disk and keeps no key beyond the configuration that it makes.

use crate::Roots;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};

/// Certificates of a chain: the client's own, and what leads to its authority.
const CHAIN_MAX: usize = 10;
/// Authorities that one connection trusts.
const AUTHORITIES_MAX: usize = 100;

/// TLS of one connection. The key does not show itself.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// The client's certificate and its chain, and its private key (PKCS #8, PKCS #1 or SEC 1).
    pub identity_pem: Option<(String, String)>,
    /// The authorities that the server's certificate must come from, instead of the public ones.
    pub ca_pem: Option<String>,
    /// The name that the server's certificate must be for, instead of the URL's host.
    pub server_name: Option<String>,
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ClientTls")
            .field("has_identity", &self.identity_pem.is_some())
            .field("has_ca", &self.ca_pem.is_some())
            .field("server_name", &self.server_name)
            .finish()
    }
}

/// A certificate chain and its key, read.
pub(crate) struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

impl ClientTls {
    /// The error is a fragment that repeats nothing of the key.
    pub(crate) fn identity(&self) -> Result<Option<Identity>, String> {
        let Some((chain, key)) = &self.identity_pem else {
            return Ok(None);
        };
        let chain = certificates(chain, CHAIN_MAX)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|_| "read the private key: it is no PEM of a private key without a password".to_owned())?;
        Ok(Some(Identity { chain, key }))
    }

    /// Whether it can be used; else the field (`certificate`, `ca` or `server_name`) and a fragment that repeats nothing of the key.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let identity = self.identity().map_err(|reason| ("certificate", reason))?;
        let none = Roots {
            public: false,
            extra_pem: Vec::new(),
        };
        none.client_config(identity).map_err(|reason| ("certificate", reason))?;
        if let Some(ca) = &self.ca_pem {
            certificates(ca, AUTHORITIES_MAX).map_err(|reason| ("ca", reason))?;
            let roots = Roots {
                public: false,
                extra_pem: ca.clone().into_bytes(),
            };
            roots.client_config(None).map_err(|reason| ("ca", reason))?;
        }
        self.server_name().map(drop).map_err(|reason| ("server_name", reason))
    }

    pub(crate) fn server_name(&self) -> Result<Option<ServerName<'static>>, String> {
        let name = self.server_name.clone().map(ServerName::try_from).transpose();
        name.map_err(|_| "use the server name: it is no name of a host".to_owned())
    }
}

fn certificates(pem: &str, most: usize) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).take(most + 1).collect();
    match chain {
        Ok(chain) if (1..=most).contains(&chain.len()) => Ok(chain),
        Ok(_) => Err(format!("read the certificates: there must be 1 to {most} as PEM")),
        Err(_) => Err("read the certificate: it is no PEM".to_owned()),
    }
}

/// When the first certificate of a PEM text ends, in seconds since the epoch; `None` if it cannot be read.
pub fn certificate_ends(pem: &str) -> Option<i64> {
    let certificate = CertificateDer::pem_slice_iter(pem.as_bytes()).next()?.ok()?;
    not_after(&certificate)
}

/// `notAfter` of an X.509 certificate in DER: the one field that rustls does not tell.
fn not_after(der: &[u8]) -> Option<i64> {
    let mut certificate = Der(Der(der).take(SEQUENCE)?);
    let mut body = Der(certificate.take(SEQUENCE)?);
    if body.tag() == Some(VERSION) {
        body.take(VERSION)?;
    }
    body.take(INTEGER)?;
    body.take(SEQUENCE)?;
    body.take(SEQUENCE)?;
    let mut validity = Der(body.take(SEQUENCE)?);
    validity.take(validity.tag()?)?;
    let tag = validity.tag()?;
    time(tag, validity.take(tag)?)
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// DER, read from the front.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn tag(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The content of the next value, which must have this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        (*found == tag).then_some(content)
    }
}

/// `YYMMDDHHMMSSZ` (1950 to 2049) or `YYYYMMDDHHMMSSZ`.
fn time(tag: u8, text: &[u8]) -> Option<i64> {
    let digits = text
        .strip_suffix(b"Z")
        .filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let number = |range: std::ops::Range<usize>| std::str::from_utf8(digits.get(range)?).ok()?.parse::<i64>().ok();
    let (year, at) = match (tag, digits.len()) {
        (UTC_TIME, 12) => (
            number(0..2).map(|year| if year < 50 { 2000 + year } else { 1900 + year })?,
            2,
        ),
        (GENERALIZED_TIME, 14) => (number(0..4)?, 4),
        _ => return None,
    };
    let part = |index: usize| number(at + 2 * index..at + 2 * index + 2);
    let (month, day) = (part(0)?, part(1)?);
    let seconds = part(2)? * 3_600 + part(3)? * 60 + part(4)?;
    ((1..=12).contains(&month) && (1..=31).contains(&day)).then(|| days(year, month, day) * 86_400 + seconds)
}

/// Days since 1970-01-01 in the Gregorian calendar: years begin in March, so that the leap day comes last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificates_end_is_read() {
        let pem = include_str!("../tests/outbound/server.pem");
        // As `openssl x509 -enddate` has it.
        assert_eq!(certificate_ends(pem), Some(SERVER_ENDS));
        assert_eq!(certificate_ends("no PEM"), None);
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(time(UTC_TIME, b"700101000000Z"), Some(0));
        assert_eq!(time(UTC_TIME, b"491231235959Z"), Some(2_524_607_999));
        assert_eq!(time(GENERALIZED_TIME, b"20240229120000Z"), Some(1_709_208_000));
        assert_eq!(time(GENERALIZED_TIME, b"99991231235959Z"), Some(253_402_300_799));
        for wrong in [
            &b"7001010000Z"[..],
            b"701301000000Z",
            b"700101000000",
            b"7001010000+0Z",
            b"\xff",
        ] {
            assert_eq!(time(UTC_TIME, wrong), None);
        }
    }

    #[test]
    fn a_certificate_that_is_cut_or_altered_anywhere_is_read_or_not_and_nothing_else() {
        let pem = include_str!("../tests/outbound/server.pem");
        let whole = certificates(pem, CHAIN_MAX).expect("a certificate").remove(0).to_vec();
        for cut in 0..whole.len() {
            not_after(&whole[..cut]);
            let mut altered = whole.clone();
            altered[cut] ^= 0xff;
            not_after(&altered);
        }
    }

    #[test]
    fn an_identity_that_is_none_is_refused_without_being_repeated() {
        let tls = ClientTls {
            identity_pem: Some((String::new(), "SECRET".to_owned())),
            ..ClientTls::default()
        };
        let reason = tls.identity().err().expect("refused");
        assert!(!reason.contains("SECRET") && !format!("{tls:?}").contains("SECRET"));
    }

    const SERVER_ENDS: i64 = 4948830260;
}
