//! A dry run: everything happens but the call. The attempt is settled, and shows the request that would have been sent, its
//! secrets masked.

use crate::outcomes::ANSWER_BYTES_MAX;
use bytes::Bytes;
use delivery::{Outcome, Verdict};
use http::{HeaderName, HeaderValue, Request, header};
use std::fmt::Write as _;

/// The reason of such an attempt.
pub const REASON: &str = "dry_run";
/// What stands where a secret would.
const MASK: &str = "***";
/// Headers that are secrets whoever made them.
const SECRET_HEADERS: [HeaderName; 4] = [
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
    HeaderName::from_static("x-amz-security-token"),
];

/// The settled attempt that shows the request; of a long body, its beginning.
pub(crate) fn outcome(request: &Request<Bytes>) -> Outcome {
    let mut shown = shown(request);
    let whole = shown.len();
    shown.truncate(ANSWER_BYTES_MAX);
    let cut = match whole > ANSWER_BYTES_MAX {
        true => format!(" (its first {ANSWER_BYTES_MAX} of {whole} bytes are shown)"),
        false => String::new(),
    };
    Outcome {
        verdict: Verdict::Delivered,
        status: None,
        reason: REASON.to_owned(),
        detail: format!("nothing was sent; the answer shows the request{cut}"),
        answer: Bytes::from(shown),
    }
}

/// As HTTP/1.1 would carry it.
fn shown(request: &Request<Bytes>) -> Vec<u8> {
    let mut text = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        let _ = write!(text, "{name}: {}\r\n", header_value(name, value));
    }
    let _ = write!(text, "content-length: {}\r\n\r\n", request.body().len());
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(request.body());
    bytes
}

/// Of an authorization its scheme is no secret.
fn header_value(name: &HeaderName, value: &HeaderValue) -> String {
    let text = String::from_utf8_lossy(value.as_bytes());
    match value.is_sensitive() || SECRET_HEADERS.contains(name) {
        false => text.into_owned(),
        true if *name == header::AUTHORIZATION => match text.split_once(' ') {
            Some((scheme, _)) => format!("{scheme} {MASK}"),
            None if text == "AWS4-HMAC-SHA256" => format!("{text} {MASK}"),
            None => MASK.to_owned(),
        },
        true => MASK.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    fn request(body: Bytes) -> Request<Bytes> {
        let mut key = HeaderValue::from_static("KEY-SECRET");
        key.set_sensitive(true);
        let request = Request::builder()
            .method(Method::POST)
            .uri("https://example.com/hook")
            .header("authorization", "Bearer TOKEN-SECRET")
            .header("x-amz-security-token", "SESSION-SECRET")
            .header("x-key", key)
            .header("ce-id", "1");
        request.body(body).expect("a good request")
    }

    #[test]
    fn a_request_is_shown_whole_with_its_secrets_masked() {
        let outcome = outcome(&request(Bytes::from_static(b"{\"a\":1}")));
        assert_eq!(
            String::from_utf8_lossy(&outcome.answer),
            "POST https://example.com/hook HTTP/1.1\r\nauthorization: Bearer ***\r\nx-amz-security-token: ***\r\n\
             x-key: ***\r\nce-id: 1\r\ncontent-length: 7\r\n\r\n{\"a\":1}"
        );
        assert_eq!(
            (outcome.verdict, outcome.reason.as_str()),
            (Verdict::Delivered, "dry_run")
        );
        assert_eq!(outcome.detail, "nothing was sent; the answer shows the request");
    }

    #[test]
    fn a_long_request_is_shown_in_part_and_says_so() {
        let outcome = outcome(&request(Bytes::from(vec![b'x'; 10_000])));
        assert_eq!(outcome.answer.len(), ANSWER_BYTES_MAX);
        assert!(outcome.detail.contains("its first 4096 of 10"), "{}", outcome.detail);
    }
}
