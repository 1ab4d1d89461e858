//! Whom the other side's certificate must come from. The cryptography is rustls' and ring's.

use crate::identity::Identity;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::sync::Arc;

/// The certificate authorities that are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    /// The system's; where there are none, Mozilla's as compiled in.
    pub public: bool,
    /// More of them, as PEM.
    pub extra_pem: Vec<u8>,
}

impl Default for Roots {
    fn default() -> Roots {
        Roots {
            public: true,
            extra_pem: Vec::new(),
        }
    }
}

impl Roots {
    /// The configuration of every encrypted connection: TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1. The error is a fragment.
    pub(crate) fn client_config(&self, identity: Option<Identity>) -> Result<Arc<ClientConfig>, String> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(self.store()?);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(Identity { chain, key }) => builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| format!("use the client certificate with its key: {error}"))?,
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn store(&self) -> Result<RootCertStore, String> {
        let mut store = RootCertStore::empty();
        if self.public {
            let native = rustls_native_certs::load_native_certs();
            let (added, ignored) = store.add_parsable_certificates(native.certs);
            tracing::debug!(
                added,
                ignored,
                errors = native.errors.len(),
                "loaded the system's certificate authorities"
            );
            if added == 0 {
                store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            }
        }
        let extra = CertificateDer::pem_slice_iter(&self.extra_pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("read the extra certificate authorities: {error}"))?;
        if extra.is_empty() && !self.extra_pem.is_empty() {
            return Err("find a certificate among the extra certificate authorities".to_owned());
        }
        for certificate in extra {
            store
                .add(certificate)
                .map_err(|error| format!("trust an extra certificate authority: {error}"))?;
        }
        Ok(store)
    }
}

#[cfg(test)]
mod tests {
    use super::Roots;

    #[test]
    fn authorities_without_a_certificate_are_refused_and_not_taken_for_none() {
        let roots = |pem: &str| Roots {
            public: false,
            extra_pem: pem.into(),
        };
        assert!(roots("").store().is_ok_and(|store| store.is_empty()));
        for pem in [
            "not a certificate",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ] {
            assert!(roots(pem).store().is_err(), "{pem}");
        }
    }
}
