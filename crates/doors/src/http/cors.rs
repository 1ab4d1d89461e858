//! Cross-origin requests of browsers, by an allow-list of the operator. Keys travel in a header that a page has to set, never in
//! cookies, so that credentials in the sense of CORS are not allowed to anybody. Without keys the list counts for nothing: then only
//! pages of the server's own origin are answered.

use super::answer::Answer;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header, request::Parts};
use http_body_util::{Either, Full};

/// What a page may do.
const METHODS: HeaderValue = HeaderValue::from_static("GET, PUT, POST, DELETE");
/// What a page may read besides what every page may.
const EXPOSED: HeaderValue = HeaderValue::from_static("ETag, Retry-After");
/// Seconds that a browser may remember the answer to a preflight: short enough that a changed list is soon met.
const REMEMBERED: HeaderValue = HeaderValue::from_static("600");
/// A page that asks for more headers than a request has is told no.
const ASKED_BYTES_MAX: usize = 4 << 10;

/// Origins whose pages are answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(Vec<HeaderValue>);

/// Why a list of origins is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no origin: write it as browsers do, scheme://host or scheme://host:port, in lower case and without a path"
)]
pub struct OriginInvalid(String);

impl Origins {
    /// Reads the list.
    pub fn parse<'a>(origins: impl IntoIterator<Item = &'a str>) -> Result<Self, OriginInvalid> {
        let read = |text: &str| read(text).ok_or_else(|| OriginInvalid(text.to_owned()));
        origins.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// The origin of a request, if its pages are answered.
    pub(super) fn allowed<'h>(&self, headers: &'h HeaderMap) -> Option<&'h HeaderValue> {
        if self.0.is_empty() {
            return None;
        }
        let mut values = headers.get_all(header::ORIGIN).iter();
        let origin = values.next().filter(|_| values.next().is_none())?;
        self.0.contains(origin).then_some(origin)
    }
}

/// As a browser serialises the origin of a URL, and nothing else.
fn read(text: &str) -> Option<HeaderValue> {
    let url = url::Url::parse(text).ok()?;
    let is_web = matches!(url.scheme(), "http" | "https");
    let origin = url.origin();
    let is_origin = is_web && origin.is_tuple() && origin.ascii_serialization() == text;
    is_origin.then(|| HeaderValue::from_str(text).ok()).flatten()
}

/// Whether a browser asks if it may send a request.
pub(super) fn is_preflight(head: &Parts) -> bool {
    head.method == Method::OPTIONS && head.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to that, for an origin that is allowed.
pub(super) fn preflight(head: &Parts) -> Answer {
    let mut answer: Answer = Response::new(Either::Left(Full::new(Bytes::new())));
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, REMEMBERED);
    // Attributes of events are headers of any name that begins with ce-: what is asked for is allowed.
    let asked = head.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
    if let Some(asked) = asked.filter(|asked| are_names(asked)) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    answer
}

fn are_names(asked: &HeaderValue) -> bool {
    let text = asked.to_str().unwrap_or_default();
    let mut names = text.split(',');
    text.len() <= ASKED_BYTES_MAX && names.all(|name| HeaderName::try_from(name.trim()).is_ok())
}

/// Lets a page of this origin read an answer.
pub(super) fn allow(answer: &mut Answer, origin: HeaderValue) {
    let headers = answer.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for good in ["https://app.example.com", "http://localhost:3000", "https://[::1]:8443"] {
            assert!(Origins::parse([good]).is_ok(), "{good}");
        }
        for wrong in [
            "*",
            "null",
            "app.example.com",
            "https://app.example.com/",
            "https://App.example.com",
            "https://app.example.com:443",
            "https://user@app.example.com",
            "ftp://example.com",
            "",
        ] {
            assert!(Origins::parse([wrong]).is_err(), "{wrong}");
        }
    }
}
