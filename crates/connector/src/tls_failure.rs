//! What a failure of TLS means for whoever has to mend it, in words: which side is at fault, and what to change. It decides nothing;
//! what it does not know it says as rustls does.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
use std::{error::Error as StdError, io};

/// What failed, if it was TLS: also behind the layers of an HTTP client.
pub(crate) fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
    let mut source = Some(error);
    while let Some(found) = source {
        // The source of an I/O error is not what it wraps, but the source of that.
        let wrapped = found.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(tls) = wrapped.and_then(|wrapped| wrapped.downcast_ref()) {
            return Some(tls);
        }
        source = found.source();
    }
    None
}

/// A fragment that fits behind "TLS with … failed: ".
pub(crate) fn explain(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(reason) => explain_certificate(reason),
        Error::AlertReceived(alert) => explain_alert(*alert),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "what answers there does not speak TLS: is it `http`, or another port?".to_owned()
        }
        other => other.to_string(),
    }
}

/// What is wrong with the server's certificate.
fn explain_certificate(reason: &CertificateError) -> String {
    match reason {
        CertificateError::UnknownIssuer
        // Signed by another than the trusted authority of that name.
        | CertificateError::BadSignature
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => "its certificate comes from no authority that is trusted here; name the one it comes from \
            (`tls.ca` of a webhook's connection, `--ca` of the command line, else this system's store of authorities), \
            and look whether the server sends its whole chain"
            .to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired: the server needs a new one".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet: is this machine's clock right?".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "its certificate is for {}, not for {}; use a name that it is for, in the URL or as `tls.server_name`",
            presented_names(presented),
            expected.to_str()
        ),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is not made for servers (extended key usage)".to_owned()
        }
        other if is_authority(other) => "its certificate is an authority's (CA:TRUE, as `openssl req -x509` makes them by itself), and no \
            server may use one: make it with `-addext basicConstraints=critical,CA:FALSE`, or have that authority sign one for the server"
            .to_owned(),
        other => format!("its certificate is not accepted: {other}"),
    }
}

/// rustls hands on what webpki says without a variant of its own for it.
fn is_authority(reason: &CertificateError) -> bool {
    matches!(reason, CertificateError::Other(other) if other.0.to_string() == "CaUsedAsEndEntity")
}

/// `DnsName("crm.internal")` and the like, as the names alone.
fn presented_names(presented: &[String]) -> String {
    let names: Vec<_> = presented
        .iter()
        .map(|name| name.split('"').nth(1).unwrap_or(name))
        .collect();
    match names.is_empty() {
        true => "no name at all".to_owned(),
        false => names.join(", "),
    }
}

/// What the server said of us before it hung up.
fn explain_alert(alert: AlertDescription) -> String {
    use AlertDescription as Alert;
    match alert {
        Alert::CertificateRequired => {
            "it wants a client's certificate: `tls.certificate` and `tls.key` of the connection".to_owned()
        }
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied => format!("it does not accept the client's certificate ({alert:?})"),
        Alert::HandshakeFailure | Alert::ProtocolVersion => format!(
            "it broke the handshake off ({alert:?}): it may want a client's certificate, or have neither TLS 1.2 nor 1.3"
        ),
        Alert::UnrecognisedName => "it knows no such name: is `tls.server_name` or the URL's host right?".to_owned(),
        other => format!("it broke the handshake off ({other:?})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::OtherError;
    use std::sync::Arc;

    #[derive(Debug, thiserror::Error)]
    #[error("CaUsedAsEndEntity")]
    struct Webpki;

    #[test]
    fn what_is_to_be_mended_is_said_in_words() {
        let authority = CertificateError::Other(OtherError(Arc::new(Webpki)));
        let name = CertificateError::NotValidForNameContext {
            expected: "other.internal".try_into().expect("a name"),
            presented: vec![
                "DnsName(\"localhost\")".to_owned(),
                "DnsName(\"crm.internal\")".to_owned(),
            ],
        };
        for (error, wanted) in [
            (Error::InvalidCertificate(authority), "CA:FALSE"),
            (Error::InvalidCertificate(CertificateError::UnknownIssuer), "`tls.ca`"),
            (Error::InvalidCertificate(CertificateError::BadSignature), "`--ca`"),
            (Error::InvalidCertificate(CertificateError::Expired), "has expired"),
            (
                Error::InvalidCertificate(name),
                "is for localhost, crm.internal, not for other.internal;",
            ),
            (
                Error::AlertReceived(AlertDescription::CertificateRequired),
                "`tls.certificate`",
            ),
            (Error::AlertReceived(AlertDescription::UnknownCA), "(UnknownCA)"),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "does not speak TLS",
            ),
            (Error::DecryptError, &Error::DecryptError.to_string()),
        ] {
            let said = explain(&error);
            assert!(said.contains(wanted), "{said}");
        }
    }
}
