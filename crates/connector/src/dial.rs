//! Makes one connection: resolve, check every address, connect, go through the proxy if there is one, encrypt. Nothing else
//! in the process connects to anywhere on a user's word.

use crate::{Guard, Phase, Refused, Resolver, SendError, stream::Stream, tls_failure};
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use std::{
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::TlsConnector;
use url::Host;

/// Addresses of one name that are tried in turn; a name with more is either wrong or playing for time.
const ADDRESSES_TRIED_MAX: usize = 8;
/// Bytes of a proxy's answer to CONNECT.
const PROXY_ANSWER_BYTES_MAX: usize = 8 << 10;

/// The administrator's proxy.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub host: String,
    pub port: u16,
    /// The value of `Proxy-Authorization`, if it wants one.
    pub authorization: Option<http::HeaderValue>,
}

/// What a connection needs to know.
pub(crate) struct Dial {
    pub guard: Guard,
    pub resolver: Resolver,
    pub tls: Arc<ClientConfig>,
    /// The name that the certificate must be for, instead of the host.
    pub server_name: Option<ServerName<'static>>,
    pub timeout: Duration,
    pub proxy: Option<Proxy>,
}

/// The HTTP client's way to a connection.
#[derive(Clone)]
pub(crate) struct Connector(pub Arc<Dial>);

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = SendError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, SendError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dial = self.0.clone();
        Box::pin(async move {
            match timeout(dial.timeout, dial.connect(&uri)).await {
                Ok(outcome) => outcome.map(TokioIo::new),
                Err(_) => Err(SendError::Timeout(Phase::Connect)),
            }
        })
    }
}

impl Dial {
    async fn connect(&self, uri: &Uri) -> Result<Stream, SendError> {
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(Refused::Scheme.into()),
        };
        let authority = uri.authority().ok_or(Refused::Url("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(Refused::Userinfo.into());
        }
        let host = authority.host();
        let port = authority.port_u16().unwrap_or(if https { 443 } else { 80 });
        match (&self.proxy, https) {
            (None, false) => Ok(Stream::Plain(self.connect_checked(host, port).await?)),
            (None, true) => self.encrypt(host, self.connect_checked(host, port).await?).await,
            (Some(proxy), false) => {
                self.guard.check_host(&parse_host(host)?)?;
                Ok(Stream::Proxied(self.connect_to_proxy(proxy).await?))
            }
            (Some(proxy), true) => {
                self.guard.check_host(&parse_host(host)?)?;
                self.encrypt(host, self.tunnel(proxy, host, port).await?).await
            }
        }
    }

    /// A connection to a host, over checked addresses only.
    pub(crate) async fn connect_checked(&self, host: &str, port: u16) -> Result<TcpStream, SendError> {
        let parsed = parse_host(host)?;
        self.guard.check_host(&parsed)?;
        let addresses = match parsed {
            Host::Ipv4(address) => vec![IpAddr::V4(address)],
            Host::Ipv6(address) => vec![IpAddr::V6(address)],
            Host::Domain(name) => self.resolve(&name).await?,
        };
        // One refused address among allowed ones refuses the name: it is somebody's attempt to be lucky.
        for address in &addresses {
            self.guard.check_address(*address)?;
        }
        let stream = connect_to_any(host, &addresses, port, Instant::now() + self.timeout).await?;
        let peer = stream.peer_addr().map_err(|error| connect_error(host, &error))?;
        self.guard.check_address(peer.ip())?;
        Ok(stream)
    }

    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, SendError> {
        let dns = |error: std::io::Error| SendError::Dns {
            host: name.to_owned(),
            reason: error.to_string(),
        };
        self.resolver.resolve(name).await.map_err(dns)
    }

    /// The proxy is the administrator's, so it may be anywhere. Names behind it are the proxy's to resolve and to refuse.
    async fn connect_to_proxy(&self, proxy: &Proxy) -> Result<TcpStream, SendError> {
        let addresses = match parse_host(&proxy.host)? {
            Host::Ipv4(address) => vec![IpAddr::V4(address)],
            Host::Ipv6(address) => vec![IpAddr::V6(address)],
            Host::Domain(name) => self.resolve(&name).await?,
        };
        connect_to_any(&proxy.host, &addresses, proxy.port, Instant::now() + self.timeout).await
    }

    async fn tunnel(&self, proxy: &Proxy, host: &str, port: u16) -> Result<TcpStream, SendError> {
        let mut stream = self.connect_to_proxy(proxy).await?;
        let refused = |reason: String| SendError::Connect {
            host: host.to_owned(),
            reason,
        };
        let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n").into_bytes();
        if let Some(authorization) = &proxy.authorization {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(authorization.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        stream
            .write_all(&request)
            .await
            .map_err(|error| refused(format!("the proxy: {error}")))?;
        match read_proxy_status(&mut stream).await {
            Ok(200..=299) => Ok(stream),
            Ok(status) => Err(refused(format!("the proxy answered {status}"))),
            Err(error) => Err(refused(format!("the proxy: {error}"))),
        }
    }

    async fn encrypt(&self, host: &str, stream: TcpStream) -> Result<Stream, SendError> {
        let failed = |reason: String| SendError::Tls {
            host: host.to_owned(),
            reason,
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(bare.to_owned()).map_err(|error| failed(error.to_string()))?,
        };
        match TlsConnector::from(self.tls.clone()).connect(name, stream).await {
            Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
            Err(error) => Err(failed(match tls_failure::find(&error) {
                Some(tls) => tls_failure::explain(tls),
                None => error.to_string(),
            })),
        }
    }
}

/// Reads numbers of every base and width as the addresses they are.
fn parse_host(host: &str) -> Result<Host<String>, SendError> {
    Host::parse(host).map_err(|_| Refused::Url("its host does not parse").into())
}

fn connect_error(host: &str, error: &std::io::Error) -> SendError {
    SendError::Connect {
        host: host.to_owned(),
        reason: error.to_string(),
    }
}

/// Tries the addresses in turn; each gets its share of the time that is left, so that a dead one leaves room for the next.
async fn connect_to_any(
    host: &str,
    addresses: &[IpAddr],
    port: u16,
    deadline: Instant,
) -> Result<TcpStream, SendError> {
    let mut last = SendError::Timeout(Phase::Connect);
    let tried = &addresses[..addresses.len().min(ADDRESSES_TRIED_MAX)];
    for (index, address) in tried.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(tried.len() - index).expect("it is at most the bound");
        match timeout_at(
            Instant::now() + share,
            TcpStream::connect(SocketAddr::new(*address, port)),
        )
        .await
        {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).map_err(|error| connect_error(host, &error))?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = connect_error(host, &error),
            Err(_) => {}
        }
    }
    Err(last)
}

/// The status of the proxy's answer. Byte by byte, so that nothing of what follows is swallowed; it happens once a connection.
async fn read_proxy_status(stream: &mut TcpStream) -> Result<u16, String> {
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == PROXY_ANSWER_BYTES_MAX {
            return Err("its answer is too long".to_owned());
        }
        head.push(stream.read_u8().await.map_err(|error| error.to_string())?);
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let status = std::str::from_utf8(line)
        .ok()
        .and_then(|line| line.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok());
    status.ok_or_else(|| "its answer is not HTTP".to_owned())
}
