//! TLS on the port: PEM files, read again on demand without dropping connections. Protocol versions and ciphers are
//! rustls's defaults.

use arc_swap::ArcSwap;
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// The PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, the server's own first.
    pub certificates: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl TlsFiles {
    /// Whether a server can show what they hold now.
    pub fn check(&self) -> Result<(), TlsError> {
        read(self).map(drop)
    }
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or holds no such thing.
    #[error("read {file}: {reason}")]
    File {
        /// Which.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The key belongs to another certificate.
    #[error("use the TLS certificate: the key in {key} is not the key of the first certificate in {certificates}")]
    Mismatch {
        /// The certificates' file.
        certificates: String,
        /// The key's.
        key: String,
    },
    /// Their kind is not supported.
    #[error("use the TLS certificate: {0}")]
    Unusable(rustls::Error),
}

/// Accepts TLS connections with the certificate in force.
#[derive(Clone)]
pub(super) struct Tls {
    acceptor: TlsAcceptor,
    reloader: CertificateReloader,
}

impl Tls {
    pub(super) fn load(files: &TlsFiles) -> Result<Tls, TlsError> {
        let reloader = CertificateReloader {
            files: Arc::new(files.clone()),
            current: Arc::new(Current(ArcSwap::from_pointee(read(files)?))),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?
            .with_no_client_auth()
            .with_cert_resolver(reloader.current.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Tls {
            acceptor: Arc::new(config).into(),
            reloader,
        })
    }

    pub(super) fn reloader(&self) -> CertificateReloader {
        self.reloader.clone()
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        self.acceptor.accept(stream).await
    }
}

/// Reads the certificate and its key again.
#[derive(Clone)]
pub struct CertificateReloader {
    files: Arc<TlsFiles>,
    current: Arc<Current>,
}

impl CertificateReloader {
    /// New connections get what the files hold now; on an error the old certificate stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.0.store(Arc::new(read(&self.files)?));
        Ok(())
    }
}

#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

fn read(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let failed = |file: &Path, reason: String| TlsError::File {
        file: file.display().to_string(),
        reason,
    };
    let certificates = CertificateDer::pem_file_iter(&files.certificates)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed(&files.certificates, error.to_string()))?;
    if certificates.is_empty() {
        return Err(failed(&files.certificates, "no certificate in it".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| failed(&files.key, error.to_string()))?;
    CertifiedKey::from_der(certificates, key, &rustls::crypto::ring::default_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch) => TlsError::Mismatch {
            certificates: files.certificates.display().to_string(),
            key: files.key.display().to_string(),
        },
        other => TlsError::Unusable(other),
    })
}
