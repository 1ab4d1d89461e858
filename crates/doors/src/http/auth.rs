//! Who asks, and whether they may: bearer keys; and the rules that keep a server without keys to the people of its machine.

use super::{problem::Problem, query::Query};
use control::{Model, Principal, resources::Scope};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header, request::Parts};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// What a proxy adds; a server without keys takes none of them.
const FORWARDING: [HeaderName; 6] = [
    header::FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
    header::VIA,
];

impl Peer {
    /// Who asks. `access_token` in the query is taken where CloudEvents' web hook rules ask for it: on publishing.
    pub(super) fn principal(self, model: &Model, head: &Parts) -> Result<Principal, Problem> {
        if model.keys.is_empty() {
            return self.keyless(head).map(|()| Principal::Keyless);
        }
        let token = bearer(&head.headers)?.ok_or_else(unauthenticated)?;
        Ok(control::authenticate(model, token, now())?)
    }

    /// The one who asks, if that one may do this on the bus.
    pub(super) fn permit(self, model: &Model, head: &Parts, scope: Scope, bus: &str) -> Result<Principal, Problem> {
        let in_query = if model.keys.is_empty() || head.headers.contains_key(header::AUTHORIZATION) {
            None
        } else {
            Query::of(&head.uri)?.text("access_token").map(str::to_owned)
        };
        let principal = match in_query {
            Some(token) => control::authenticate(model, &token, now())?,
            None => self.principal(model, head)?,
        };
        control::authorize(&principal, bus, scope)?;
        Ok(principal)
    }

    /// Whether somebody without a key may ask, while there is none.
    pub(super) fn keyless(self, head: &Parts) -> Result<(), Problem> {
        if !self.0.ip().to_canonical().is_loopback() {
            return Err(Problem::new(
                "unauthenticated",
                "there is no key yet, so only this machine may ask",
            ));
        }
        if let Some(name) = head.headers.keys().find(|name| FORWARDING.contains(name)) {
            let detail = format!("there is no key yet, so a forwarded request (header {name}) is refused");
            return Err(Problem::new("forwarded_refused", detail));
        }
        let host = host(head)?;
        if !is_loopback_name(host) {
            let detail = format!(
                "there is no key yet, so only loopback names are answered, not {:?}",
                super::shown(host)
            );
            return Err(Problem::new("host_refused", detail));
        }
        match head.headers.get(header::ORIGIN) {
            Some(origin) if !is_same_origin(origin, host) => Err(Problem::new(
                "cross_origin_refused",
                "there is no key yet, so a page of another origin is refused",
            )),
            _ => Ok(()),
        }
    }
}

pub(super) fn unauthenticated() -> Problem {
    Problem::new("unauthenticated", "this needs a key: Authorization: Bearer <key>").header(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer realm=\"trunkline\""),
    )
}

/// Wall time in milliseconds, for keys that expire.
pub(super) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let credentials = value.to_str().ok().filter(|_| values.next().is_none());
    let parts = credentials.and_then(|text| text.split_once(' '));
    let token = parts
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    token.map(Some).ok_or_else(unauthenticated)
}

/// The host of a request that a server without keys gets.
fn host(head: &Parts) -> Result<&str, Problem> {
    let detail = "there is no key yet, so one Host header with a loopback name is needed";
    named_host(head).ok_or_else(|| Problem::new("host_refused", detail))
}

/// The host that was asked for: of the address (HTTP/2, absolute form) and of the header, which must agree.
pub(super) fn named_host(head: &Parts) -> Option<&str> {
    let mut values = head.headers.get_all(header::HOST).iter();
    let in_header = match values.next() {
        None => None,
        Some(value) => Some(value.to_str().ok()?),
    };
    if values.next().is_some() {
        return None;
    }
    let in_address = head.uri.authority().map(|authority| authority.as_str());
    match (in_address, in_header) {
        (Some(address), Some(header)) if !address.eq_ignore_ascii_case(header) => None,
        (Some(host), _) | (None, Some(host)) => Some(host),
        (None, None) => None,
    }
}

/// `localhost`, an address of loopback, with or without a port.
fn is_loopback_name(host: &str) -> bool {
    let (name, behind) = match host.find(']') {
        Some(end) => host.split_at(end + 1),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    if !(behind.is_empty() || behind.strip_prefix(':').is_some_and(is_port)) {
        return false;
    }
    match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback()),
        None => {
            let is_address = || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback());
            name.eq_ignore_ascii_case("localhost") || is_address()
        }
    }
}

fn is_same_origin(origin: &HeaderValue, host: &str) -> bool {
    let uri = origin.to_str().ok().and_then(|text| text.parse::<Uri>().ok());
    let authority = uri.as_ref().and_then(Uri::authority);
    authority.is_some_and(|authority| authority.as_str().eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyless(peer: &str, headers: &[(&'static str, &str)]) -> Result<(), &'static str> {
        let mut request = http::Request::get("/v1/buses");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        let peer = Peer(peer.parse().expect("an address"));
        peer.principal(&Model::default(), &head)
            .map(|_| ())
            .map_err(|problem| problem.code())
    }

    #[test]
    fn without_keys_only_loopback_under_a_loopback_name_is_answered() {
        for host in [
            "localhost:8080",
            "LocalHost",
            "127.0.0.1:1",
            "127.1.2.3",
            "[::1]:8080",
            "[::1]",
            "localhost:",
        ] {
            assert_eq!(keyless("127.0.0.1:5000", &[("host", host)]), Ok(()), "{host}");
        }
        assert_eq!(keyless("[::ffff:127.0.0.1]:5000", &[("host", "localhost")]), Ok(()));
        assert_eq!(
            keyless("10.0.0.1:5000", &[("host", "localhost")]),
            Err("unauthenticated")
        );
        let rebinding = [
            "evil.example",
            "localhost.evil.example",
            "10.0.0.1",
            "",
            "localhost@evil",
            "localhost:8080@evil",
            "localhost:80.evil.example",
            "localhost evil",
            "[::1]evil",
            "[::1",
            "::1",
            "[127.0.0.1]",
            "[localhost]",
            "127.0.0.1.evil.example",
            "user@localhost",
            "[::2]",
        ];
        for host in rebinding {
            assert_eq!(
                keyless("127.0.0.1:5000", &[("host", host)]),
                Err("host_refused"),
                "{host}"
            );
        }
        assert_eq!(keyless("127.0.0.1:5000", &[]), Err("host_refused"));
        assert_eq!(
            keyless("127.0.0.1:5000", &[("host", "localhost"), ("host", "localhost")]),
            Err("host_refused")
        );
    }

    #[test]
    fn without_keys_forwarded_and_cross_origin_requests_are_refused() {
        for name in [
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-real-ip",
            "via",
        ] {
            assert_eq!(
                keyless("127.0.0.1:5000", &[("host", "localhost"), (name, "x")]),
                Err("forwarded_refused"),
                "{name}"
            );
        }
        let with_origin = |origin| keyless("127.0.0.1:5000", &[("host", "localhost:8080"), ("origin", origin)]);
        assert_eq!(with_origin("http://localhost:8080"), Ok(()));
        for origin in [
            "http://localhost:3000",
            "https://evil.example",
            "null",
            "",
            "http://localhost:8080@evil",
        ] {
            assert_eq!(with_origin(origin), Err("cross_origin_refused"), "{origin}");
        }
    }

    #[test]
    fn a_token_stands_after_the_scheme_and_nowhere_else() {
        let token = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            bearer(&headers).ok().flatten().map(str::to_owned)
        };
        assert_eq!(token("Bearer abc"), Some("abc".to_owned()));
        assert_eq!(token("bearer  abc "), Some("abc".to_owned()));
        assert_eq!(token("Basic abc"), None);
        assert_eq!(token("Bearer"), None);
    }
}
