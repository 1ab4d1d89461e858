//! Sends requests and reads answers within bounds of time and size. Connections are reused, HTTP/2 where the other side
//! offers it. It retries nothing but a request that a reused connection never took.

use crate::{
    ClientTls, Guard, Phase, Resolver, Roots, SendError,
    dial::{Connector, Dial, Proxy},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioTimer},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    net::TcpStream,
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use url::Url;

/// Bytes of an answer's head; larger ones are a protocol error.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Bytes of an unwanted body that are read for the sake of the connection; beyond, a new connection is cheaper.
const DRAIN_BYTES_MAX: usize = 64 << 10;
/// How long an unwanted body may take.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);
/// Unwanted bodies that are read at once; beyond, their connections are closed.
const DRAINS_MAX: usize = 256;

/// What a client is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where requests may go.
    pub guard: Guard,
    /// How names become addresses.
    pub resolver: Resolver,
    /// Whom certificates must come from.
    pub roots: Roots,
    /// For resolving, connecting and the TLS handshake together.
    pub connect_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// Unused connections that are kept for one host.
    pub idle_per_host_max: usize,
    /// The administrator's proxy, `http://[user:password@]host:port`: CONNECT for https, absolute form for http. With it the
    /// guard sees literal addresses and known names only; resolved ones are the proxy's to refuse.
    pub egress_proxy: Option<Url>,
}

impl Settings {
    /// Whether a client can be made with them, whatever authorities the machine has.
    pub fn check(&self) -> Result<(), SettingsError> {
        self.egress_proxy.as_ref().map(parse_proxy).transpose().map(drop)
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            guard: Guard::default(),
            resolver: Resolver::System,
            roots: Roots::default(),
            connect_timeout: Duration::from_secs(5),
            // Common servers close after 60 s; whoever closes second loses a request now and then.
            idle_timeout: Duration::from_secs(30),
            idle_per_host_max: 64,
            egress_proxy: None,
        }
    }
}

/// Why a client cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The certificate authorities, or what the client shows of itself.
    #[error("failed to {0}")]
    Roots(String),
    /// The proxy.
    #[error("a proxy for outbound connections is http://host:port, with user and password if it wants them")]
    Proxy,
}

/// How long a request may take, counted from the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To the head of the answer, connecting included.
    pub first_byte: Duration,
    /// To the end of the answer.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            first_byte: Duration::from_secs(15),
            total: Duration::from_secs(15),
        }
    }
}

/// Sends requests. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    http: legacy::Client<Connector, Full<Bytes>>,
    dial: Arc<Dial>,
    drains: Arc<Semaphore>,
    settings: Settings,
}

/// The head of an answer, its body still to come.
pub struct Head {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    body: Incoming,
    deadline: Instant,
    drains: Arc<Semaphore>,
}

/// A whole answer, or as much of it as was asked for.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, up to the bound.
    pub body: Bytes,
    /// Whether there was more.
    pub truncated: bool,
}

/// How the reading of a body ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyEnd {
    /// With its end.
    Whole,
    /// At the bound; there is more.
    Truncated,
    /// At the deadline.
    Late,
    /// With the connection.
    Broken(SendError),
}

impl Client {
    /// A client without any connection yet. Must be called, like everything else here, within a tokio runtime.
    pub fn new(settings: Settings) -> Result<Client, SettingsError> {
        Client::build(settings, &ClientTls::default(), Arc::new(Semaphore::new(DRAINS_MAX)))
    }

    /// The same way out with another TLS: whom it trusts, and what it shows of itself. It has connections of its own.
    pub fn with_tls(&self, tls: &ClientTls) -> Result<Client, SettingsError> {
        let mut settings = self.0.settings.clone();
        if let Some(ca) = &tls.ca_pem {
            settings.roots = Roots {
                public: false,
                extra_pem: ca.clone().into_bytes(),
            };
        }
        Client::build(settings, tls, self.0.drains.clone())
    }

    /// A way out of its own to these networks and nowhere else that is not public: for what answers on the machine itself. It
    /// knows no proxy.
    pub fn only_to(&self, allow_networks: crate::Networks) -> Result<Client, SettingsError> {
        let settings = Settings {
            guard: Guard { allow_networks },
            egress_proxy: None,
            ..self.0.settings.clone()
        };
        Client::build(settings, &ClientTls::default(), self.0.drains.clone())
    }

    /// The same way out, to these networks as well. It has connections of its own.
    pub fn also_to(&self, networks: &crate::Networks) -> Result<Client, SettingsError> {
        let settings = Settings {
            guard: Guard {
                allow_networks: self.guard().allow_networks.and(networks),
            },
            ..self.0.settings.clone()
        };
        Client::build(settings, &ClientTls::default(), self.0.drains.clone())
    }

    fn build(settings: Settings, tls: &ClientTls, drains: Arc<Semaphore>) -> Result<Client, SettingsError> {
        let proxy = settings.egress_proxy.as_ref().map(parse_proxy).transpose()?;
        let dial = Arc::new(Dial {
            guard: settings.guard.clone(),
            resolver: settings.resolver.clone(),
            server_name: tls.server_name().map_err(SettingsError::Roots)?,
            tls: settings
                .roots
                .client_config(tls.identity().map_err(SettingsError::Roots)?)
                .map_err(SettingsError::Roots)?,
            timeout: settings.connect_timeout,
            proxy,
        });
        let http = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(settings.idle_timeout)
            .pool_max_idle_per_host(settings.idle_per_host_max)
            .http1_max_buf_size(HEAD_BYTES_MAX)
            .http2_max_header_list_size(u32::try_from(HEAD_BYTES_MAX).expect("it fits"))
            .http2_keep_alive_interval(Duration::from_secs(20))
            .http2_keep_alive_timeout(Duration::from_secs(10))
            .build(Connector(dial.clone()));
        Ok(Client(Arc::new(Inner {
            http,
            dial,
            drains,
            settings,
        })))
    }

    /// Decides where requests may go.
    pub fn guard(&self) -> &Guard {
        &self.0.dial.guard
    }

    /// Sends a request and returns when the head of its answer is there. What the answer's status means is the caller's: a
    /// redirect is an answer like any other.
    pub async fn send_head(&self, mut request: Request<Full<Bytes>>, timeouts: Timeouts) -> Result<Head, SendError> {
        self.authorize_with_proxy(&mut request);
        let start = Instant::now();
        let deadline = start + timeouts.total;
        let first_byte = start + timeouts.first_byte.min(timeouts.total);
        let target = request.uri().clone();
        let answer = match timeout_at(first_byte, self.0.http.request(request)).await {
            Ok(outcome) => {
                outcome.map_err(|error| SendError::from_client(&error, target.host().unwrap_or_default()))?
            }
            Err(_) => return Err(SendError::Timeout(Phase::FirstByte)),
        };
        let (head, body) = answer.into_parts();
        Ok(Head {
            status: head.status,
            headers: head.headers,
            body,
            deadline,
            drains: self.0.drains.clone(),
        })
    }

    /// Sends a request and reads its answer, at most `body_max` bytes of the body.
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
        timeouts: Timeouts,
        body_max: usize,
    ) -> Result<Answer, SendError> {
        let mut head = self.send_head(request, timeouts).await?;
        let (status, headers) = (head.status, std::mem::take(&mut head.headers));
        match head.read(body_max).await {
            (body, BodyEnd::Whole) => Ok(Answer {
                status,
                headers,
                body,
                truncated: false,
            }),
            (body, BodyEnd::Truncated) => Ok(Answer {
                status,
                headers,
                body,
                truncated: true,
            }),
            (_, BodyEnd::Late) => Err(SendError::Timeout(Phase::Total)),
            (_, BodyEnd::Broken(error)) => Err(error),
        }
    }

    /// A bare connection to a host under the same guard, for protocols other than HTTP. It knows no proxy.
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, SendError> {
        match tokio::time::timeout(self.0.dial.timeout, self.0.dial.connect_checked(host, port)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(SendError::Timeout(Phase::Connect)),
        }
    }

    fn authorize_with_proxy(&self, request: &mut Request<Full<Bytes>>) {
        let authorization = self
            .0
            .dial
            .proxy
            .as_ref()
            .and_then(|proxy| proxy.authorization.as_ref());
        if let Some(value) = authorization
            && request.uri().scheme_str() == Some("http")
        {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, value.clone());
        }
    }
}

impl Head {
    /// Reads the body, at most `max` bytes of it, within the request's total time. What was read by then is returned
    /// however it ended.
    pub async fn read(mut self, max: usize) -> (Bytes, BodyEnd) {
        let mut whole = BytesMut::new();
        loop {
            let frame = match timeout_at(self.deadline, self.body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return (whole.freeze(), BodyEnd::Broken(SendError::from_hyper(&error))),
                Ok(None) => return (whole.freeze(), BodyEnd::Whole),
                Err(_) => return (whole.freeze(), BodyEnd::Late),
            };
            let Ok(mut bytes) = frame.into_data() else { continue };
            let more = bytes.len() > max - whole.len();
            bytes.truncate(max - whole.len());
            whole.extend_from_slice(&bytes);
            if more {
                self.discard();
                return (whole.freeze(), BodyEnd::Truncated);
            }
        }
    }

    /// The next bytes of a body that may be endless, waiting for them at most so long whatever the request's total time;
    /// `None`: its end.
    pub async fn next(&mut self, wait: Duration) -> Result<Option<Bytes>, SendError> {
        loop {
            match tokio::time::timeout(wait, self.body.frame()).await {
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) => return Ok(Some(bytes)),
                    Err(_) => continue,
                },
                Ok(Some(Err(error))) => return Err(SendError::from_hyper(&error)),
                Ok(None) => return Ok(None),
                Err(_) => return Err(SendError::Timeout(Phase::Total)),
            }
        }
    }

    /// Lets the body go without waiting for it. What comes soon and is small is read in the background, so that the
    /// connection can be used again; an endless or a slow body costs its connection.
    pub fn discard(self) {
        let Head { mut body, drains, .. } = self;
        let mut left = DRAIN_BYTES_MAX;
        // Most bodies have come with their head.
        while let Some(frame) = body.frame().now_or_never() {
            if !take_frame(frame, &mut left) {
                return;
            }
        }
        let Ok(permit) = drains.try_acquire_owned() else { return };
        tokio::spawn(async move {
            let deadline = Instant::now() + DRAIN_TIME_MAX;
            while let Ok(frame) = timeout_at(deadline, body.frame()).await
                && take_frame(frame, &mut left)
            {}
            drop(permit);
        });
    }
}

/// Whether reading on is of use.
fn take_frame(frame: Option<Result<hyper::body::Frame<Bytes>, hyper::Error>>, left: &mut usize) -> bool {
    let Some(Ok(frame)) = frame else { return false };
    let bytes = frame.data_ref().map_or(0, Bytes::len);
    let fits = bytes <= *left;
    *left = left.saturating_sub(bytes);
    fits
}

fn parse_proxy(url: &Url) -> Result<Proxy, SettingsError> {
    let host = url
        .host_str()
        .filter(|_| url.scheme() == "http")
        .ok_or(SettingsError::Proxy)?;
    let port = url.port_or_known_default().ok_or(SettingsError::Proxy)?;
    let decode = |text| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
    let mut authorization = None;
    if !url.username().is_empty() {
        let credentials = [
            &decode(url.username())[..],
            b":",
            &decode(url.password().unwrap_or_default()),
        ]
        .concat();
        let value = format!("Basic {}", BASE64.encode(credentials));
        let mut value = HeaderValue::try_from(value).map_err(|_| SettingsError::Proxy)?;
        value.set_sensitive(true);
        authorization = Some(value);
    }
    Ok(Proxy {
        host: host.to_owned(),
        port,
        authorization,
    })
}
