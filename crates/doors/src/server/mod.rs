//! The listener: addresses, TLS, connections with their limits, and the order of shutting down. It speaks HTTP/1.1 and
//! HTTP/2 and knows no route: what a request means is the [`Door`](crate::http::Door)'s business.
//!
//! Shutting down has three steps, each the wiring's to take: [`Serving::drain`] (new requests get 503 with
//! `Connection: close`), [`Serving::settled`] (requests in flight have their answers), [`Serving::close`] (connections end,
//! the port is free).

mod connection;
mod limits;
mod phase;
mod presence;
mod stream;
mod tls;

pub use limits::*;
pub use phase::Drain;
pub use tls::{CertificateReloader, TlsError, TlsFiles};

use crate::http::Door;
use connection::Connections;
use phase::Phases;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};

/// Where and how to listen; plain data.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Addresses, IPv4 or IPv6; port 0 takes a free one. `[::]` takes IPv4 as well, as Linux does.
    pub listen: Vec<SocketAddr>,
    /// Addresses that answer EventBridge's protocol alone.
    pub eventbridge: Vec<SocketAddr>,
    /// TLS on every address; absent: plaintext.
    pub tls: Option<TlsFiles>,
    /// Connections open at once; further ones wait in the kernel's backlog.
    pub connections_max: usize,
    /// Bytes of a request's head.
    pub head_bytes_max: usize,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 8080))],
            eventbridge: Vec::new(),
            tls: None,
            connections_max: CONNECTIONS_MAX,
            head_bytes_max: HEAD_BYTES_MAX,
        }
    }
}

/// Why the server did not come up.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// An address cannot be listened on.
    #[error("listen on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Nothing to listen on.
    #[error("listen: no address is given")]
    NoAddress,
    /// Certificate or key.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A bound server that accepts nothing yet: requests made now wait in the kernel's backlog until [`Server::start`].
pub struct Server {
    listeners: Bound,
    eventbridge: Bound,
    tls: Option<tls::Tls>,
    settings: ServerSettings,
}

/// Sockets that are bound, and where.
#[derive(Default)]
struct Bound {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
}

impl Bound {
    async fn to(listen: &[SocketAddr]) -> Result<Bound, BindError> {
        let mut bound = Bound::default();
        for &address in listen {
            let failed = |source| BindError::Listen { address, source };
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            bound.addresses.push(listener.local_addr().map_err(failed)?);
            bound.listeners.push(listener);
        }
        Ok(bound)
    }
}

impl Server {
    /// Binds every address, or none.
    pub async fn bind(settings: ServerSettings) -> Result<Server, BindError> {
        if settings.listen.is_empty() {
            return Err(BindError::NoAddress);
        }
        let tls = settings.tls.as_ref().map(tls::Tls::load).transpose()?;
        Ok(Server {
            listeners: Bound::to(&settings.listen).await?,
            eventbridge: Bound::to(&settings.eventbridge).await?,
            tls,
            settings,
        })
    }

    /// The addresses bound, ports filled in.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.listeners.addresses
    }

    /// The handle that reads the certificate again, where there is one.
    pub fn certificate_reloader(&self) -> Option<CertificateReloader> {
        self.tls.as_ref().map(tls::Tls::reloader)
    }

    /// Starts to accept. The tasks end with [`Serving::close`].
    pub fn start(self, door: Door) -> Serving {
        let reloader = self.certificate_reloader();
        let phases = Phases::new();
        let permits = Arc::new(Semaphore::new(self.settings.connections_max));
        let mut acceptors = JoinSet::new();
        let doors = [
            (self.listeners.listeners, door.clone()),
            (self.eventbridge.listeners, door.eventbridge_alone()),
        ];
        for (listeners, door) in doors {
            let connections = Connections::new(door, self.tls.clone(), &self.settings, phases.clone());
            for listener in listeners {
                acceptors.spawn(connections.clone().accept(listener, permits.clone()));
            }
        }
        Serving {
            phases,
            acceptors,
            addresses: self.listeners.addresses,
            eventbridge_addresses: self.eventbridge.addresses,
            reloader,
        }
    }
}

/// A running server.
pub struct Serving {
    phases: Phases,
    acceptors: JoinSet<()>,
    addresses: Vec<SocketAddr>,
    eventbridge_addresses: Vec<SocketAddr>,
    reloader: Option<CertificateReloader>,
}

impl Serving {
    /// The addresses bound.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The addresses bound for EventBridge's protocol alone.
    pub fn eventbridge_addresses(&self) -> &[SocketAddr] {
        &self.eventbridge_addresses
    }

    /// The handle that reads the certificate again, where there is one.
    pub fn certificate_reloader(&self) -> Option<CertificateReloader> {
        self.reloader.clone()
    }

    /// From now on requests get 503 with `Connection: close` (probes and metrics still get their answers).
    pub fn drain(&self) {
        self.phases.drain();
    }

    /// Resolves when every request that came before [`drain`](Self::drain) has its answer; false if `deadline` passed first.
    pub async fn settled(&self, deadline: Duration) -> bool {
        tokio::time::timeout(deadline, self.phases.settled()).await.is_ok()
    }

    /// Stops listening, lets connections finish until `deadline`, then cuts them.
    pub async fn close(mut self, deadline: Duration) {
        self.phases.close();
        let ended = async { while self.acceptors.join_next().await.is_some() {} };
        if tokio::time::timeout(deadline, ended).await.is_err() {
            tracing::warn!("connections were cut at the deadline of the shutdown");
            self.acceptors.shutdown().await;
        }
    }
}
