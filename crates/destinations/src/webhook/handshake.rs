//! The handshake of the CloudEvents HTTP webhook specification (section 4), as its sender: nothing is delivered before the
//! endpoint has allowed it, and not more often than it allows.

use bytes::Bytes;
use connector::{Client, Head, SendError, Timeouts};
use control::resources::Handshake;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Carried by every delivery as well.
pub(super) const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
const REQUEST_RATE: HeaderName = HeaderName::from_static("webhook-request-rate");
const REQUEST_CALLBACK: HeaderName = HeaderName::from_static("webhook-request-callback");
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");

/// What the endpoint allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Requests per minute; absent: as many as may be.
    pub rate: Option<u32>,
}

/// Why nothing may be delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// It could not be asked.
    #[error("the handshake failed: {0}")]
    Unasked(#[from] SendError),
    /// It did not say yes.
    #[error(
        "the endpoint does not allow {origin}: its answer ({status}) to OPTIONS has no WebHook-Allowed-Origin for it"
    )]
    Origin {
        /// Who asked.
        origin: String,
        /// What it answered.
        status: u16,
    },
    /// It allows a rate that is none.
    #[error("the endpoint's WebHook-Allowed-Rate is neither * nor a number from 1 on")]
    Rate,
}

impl NotAllowed {
    /// A stable class.
    pub(super) fn code(&self) -> String {
        match self {
            NotAllowed::Unasked(error) => format!("handshake_{}", error.code()),
            NotAllowed::Origin { .. } | NotAllowed::Rate => "handshake_refused".to_owned(),
        }
    }
}

/// The consent of a connection's endpoint.
pub(super) struct Consent {
    handshake: Handshake,
    state: Mutex<State>,
    /// Held while it is asked: one at a time.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    allowed: Option<Allowed>,
    /// When the next request may be made.
    next: Option<Instant>,
}

impl Consent {
    pub(super) fn new(handshake: Handshake) -> Consent {
        Consent {
            handshake,
            state: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// The name that deliveries carry; it was checked to be a DNS name.
    pub(super) fn origin(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.handshake.origin).ok()
    }

    /// Asks the endpoint unless it has allowed deliveries before.
    pub(super) async fn ensure(&self, client: &Client, uri: &Uri, timeout: Duration) -> Result<Allowed, NotAllowed> {
        if let Some(allowed) = self.lock().allowed {
            return Ok(allowed);
        }
        let late = |_| SendError::Timeout(connector::Phase::FirstByte);
        let _asking = tokio::time::timeout(timeout, self.asking.lock()).await.map_err(late)?;
        if let Some(allowed) = self.lock().allowed {
            return Ok(allowed);
        }
        self.ask(client, uri, timeout).await
    }

    /// Asks the endpoint, whatever it said before.
    pub(super) async fn ask(&self, client: &Client, uri: &Uri, timeout: Duration) -> Result<Allowed, NotAllowed> {
        let timeouts = Timeouts {
            first_byte: timeout,
            total: timeout,
        };
        let head = client.send_head(self.request(uri), timeouts).await?;
        let answered = self.read(&head);
        head.discard();
        self.lock().allowed = answered.as_ref().ok().copied();
        answered
    }

    /// A place among the requests that the endpoint allows; else how long to wait for one.
    pub(super) fn take(&self, allowed: Allowed) -> Result<(), Duration> {
        let Some(rate) = allowed.rate else { return Ok(()) };
        let (now, mut state) = (Instant::now(), self.lock());
        let next = state.next.unwrap_or(now).max(now);
        if next > now {
            return Err(next - now);
        }
        state.next = Some(now + Duration::from_secs(60) / rate);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn request(&self, uri: &Uri) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::default());
        (*request.method_mut(), *request.uri_mut()) = (Method::OPTIONS, uri.clone());
        let headers = request.headers_mut();
        headers.extend(self.origin().map(|origin| (REQUEST_ORIGIN, origin)));
        headers.extend(self.handshake.rate.map(|rate| (REQUEST_RATE, HeaderValue::from(rate))));
        let callback = self.handshake.callback.as_deref();
        let callback = callback.and_then(|url| HeaderValue::from_str(url).ok());
        headers.extend(callback.map(|url| (REQUEST_CALLBACK, url)));
        request
    }

    fn read(&self, head: &Head) -> Result<Allowed, NotAllowed> {
        let not = NotAllowed::Origin {
            origin: self.handshake.origin.clone(),
            status: head.status.as_u16(),
        };
        read(&head.headers, &self.handshake.origin).ok_or(not)?
    }
}

/// What the headers of an answer allow an origin. Only they are consent, never the status. `None`: nothing.
fn read(headers: &HeaderMap, origin: &str) -> Option<Result<Allowed, NotAllowed>> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
            .map(str::trim)
    };
    let allowed = text(ALLOWED_ORIGIN)?;
    if allowed != "*" && !allowed.eq_ignore_ascii_case(origin) {
        return None;
    }
    Some(match text(ALLOWED_RATE) {
        None | Some("*") => Ok(Allowed { rate: None }),
        Some(rate) => match rate.parse() {
            Ok(rate) if rate > 0 => Ok(Allowed { rate: Some(rate) }),
            _ => Err(NotAllowed::Rate),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pairs: &[(&HeaderName, &'static str)]) -> Option<Result<Allowed, NotAllowed>> {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).clone(), HeaderValue::from_static(value)));
        read(&pairs.collect(), "bus.example.com")
    }

    #[test]
    fn only_the_headers_are_consent() {
        let any = Ok(Allowed { rate: None });
        assert_eq!(said(&[]), None);
        assert_eq!(said(&[(&ALLOWED_RATE, "*")]), None);
        assert_eq!(said(&[(&ALLOWED_ORIGIN, "other.example.com")]), None);
        assert_eq!(said(&[(&ALLOWED_ORIGIN, "*")]), Some(any.clone()));
        assert_eq!(
            said(&[(&ALLOWED_ORIGIN, "BUS.example.com"), (&ALLOWED_RATE, "*")]),
            Some(any)
        );
        let rate = said(&[(&ALLOWED_ORIGIN, "*"), (&ALLOWED_RATE, "120")]);
        assert_eq!(rate, Some(Ok(Allowed { rate: Some(120) })));
        for wrong in ["0", "-1", "many", "99999999999"] {
            let said = said(&[(&ALLOWED_ORIGIN, "*"), (&ALLOWED_RATE, wrong)]);
            assert_eq!(said, Some(Err(NotAllowed::Rate)), "{wrong}");
        }
    }
}
