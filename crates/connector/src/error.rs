//! Why a request got no answer. A variant is what the caller does about it; the texts carry no secrets: no path, no query,
//! no header, no body.

use crate::{Refused, tls_failure};
use std::error::Error as StdError;

/// Why a request got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It may not go there.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The name did not resolve.
    #[error("the name {host} did not resolve: {reason}")]
    Dns {
        /// The name.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// No connection: refused, unreachable, or the proxy said no.
    #[error("no connection to {host}: {reason}")]
    Connect {
        /// The host that was to be reached.
        host: String,
        /// What went wrong.
        reason: String,
    },
    /// The TLS handshake failed.
    #[error("TLS with {host} failed: {reason}")]
    Tls {
        /// The host.
        host: String,
        /// What went wrong.
        reason: String,
    },
    /// It took too long.
    #[error("no answer in time ({0})")]
    Timeout(Phase),
    /// The connection ended before the answer did.
    #[error("the connection was closed before the answer: {0}")]
    Reset(String),
    /// The answer (or the request) is not HTTP as it should be.
    #[error("the exchange was not valid HTTP: {0}")]
    Protocol(String),
}

/// What took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Resolving, connecting and the TLS handshake.
    Connect,
    /// The head of the answer.
    FirstByte,
    /// The whole answer.
    Total,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Phase::Connect => "connecting",
            Phase::FirstByte => "waiting for the first byte",
            Phase::Total => "reading the answer",
        })
    }
}

impl SendError {
    /// A stable class for records and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            SendError::Refused(_) => "refused_address",
            SendError::Dns { .. } => "dns",
            SendError::Connect { .. } => "connect",
            SendError::Tls { .. } => "tls",
            SendError::Timeout(Phase::Connect) => "timeout_connect",
            SendError::Timeout(Phase::FirstByte) => "timeout_first_byte",
            SendError::Timeout(Phase::Total) => "timeout_total",
            SendError::Reset(_) => "reset",
            SendError::Protocol(_) => "protocol",
        }
    }

    /// Finds our own error, TLS that failed, or what hyper says, in the chain of sources.
    pub(crate) fn from_client(error: &hyper_util::client::legacy::Error, host: &str) -> SendError {
        // A server that wants a certificate of the client says so after the handshake, in TLS 1.3.
        if let Some(tls) = tls_failure::find(error) {
            return SendError::Tls {
                host: host.to_owned(),
                reason: tls_failure::explain(tls),
            };
        }
        let mut source = error.source();
        while let Some(found) = source {
            if let Some(own) = found.downcast_ref::<SendError>() {
                return own.clone();
            }
            if let Some(hyper) = found.downcast_ref::<hyper::Error>() {
                return SendError::from_hyper(hyper);
            }
            source = found.source();
        }
        SendError::Reset(error.to_string())
    }

    pub(crate) fn from_hyper(error: &hyper::Error) -> SendError {
        let about_http = error.is_parse() || error.is_user();
        let text = match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        if about_http {
            SendError::Protocol(text)
        } else {
            SendError::Reset(text)
        }
    }
}
