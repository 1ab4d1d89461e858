//! CloudEvents over HTTP in binary mode: lines of headers, an empty line, the body.

use super::{Target, ending, events, halves, outline, texts};
use event::http_binding::{self, Mode};
use http::{HeaderMap, HeaderName, HeaderValue};

pub(super) const TARGET: Target = Target {
    name: "event_binary",
    run,
    samples,
};

fn run(input: &[u8]) -> u64 {
    let (head, body) = halves(input, "\n\n");
    let headers = headers(head);
    let mode = http_binding::mode(&headers);
    assert!(!matches!(mode, Ok(Mode::Structured | Mode::Batch)) || http_binding::is_event(&headers));
    let mode = mode.map_err(|invalid| outline(&invalid.rule));
    match http_binding::decode_binary(&headers, body.to_vec().into()) {
        Ok(event) => {
            if mode == Ok(Mode::Binary) {
                events::check(&event);
            }
            let form = event.data().map(|data| data.form as u8);
            ending(&(form, event.attributes().count().min(16)))
        }
        Err(invalid) => ending(&(invalid.code, outline(&invalid.rule), mode.is_ok())),
    }
}

/// The headers as an HTTP library would hand them over: what it would not take is left out.
fn headers(head: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n').take(64) {
        let (name, value) = halves(line, ": ");
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    headers
}

fn samples() -> Vec<Vec<u8>> {
    texts(&[
        "ce-specversion: 1.0\nce-id: 1\nce-source: /shop\nce-type: order.placed\n\n",
        "ce-specversion: 1.0\nce-id: 1\nce-source: urn:x:y\nce-type: a\ncontent-type: application/json\n\n {\"total\": 5.0} ",
        "ce-specversion: 1.0\nce-id: \"a \\\" b\"\nce-source: https://x.example:80/?a#b\nce-type: %E2%82%AC\nce-subject: caf%C3%A9 \
         %22x%22\nce-time: 2026-01-31T12:00:00.123+01:00\nce-dataschema: http://[::1]/s#x\nce-traceparent: 00-1-2-01\nce-a1: \
         \ncontent-type: text/plain; charset=utf-8; x=\"a;b\"\n\ntext",
        "ce-specversion: 1.0\nce-id: 1\nce-source: a\nce-type: b\ncontent-type: application/octet-stream\n\n\0\u{7f}",
        "ce-specversion: 0.3\nce-id: 1\nce-datacontenttype: a/b\ncontent-type: application/cloudevents+xml; charset=latin1\n\n[]",
        "content-type: application/CloudEvents-batch+JSON; charset=\"utf-8\"\nce-id: 1\nce-id: 2\n\n[]",
    ])
}
