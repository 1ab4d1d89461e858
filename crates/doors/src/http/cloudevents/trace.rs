//! W3C Trace Context: an event without a trace of its own gets that of the request, as the CloudEvents extension
//! "distributed tracing". A malformed header is no trace, and no error either.

use event::{Event, Invalid};
use http::{HeaderMap, HeaderName, HeaderValue};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const CE_TRACEPARENT: HeaderName = HeaderName::from_static("ce-traceparent");
const CE_TRACESTATE: HeaderName = HeaderName::from_static("ce-tracestate");
/// What every propagator must keep of a `tracestate`, by the specification; a longer one is dropped.
const TRACESTATE_BYTES_MAX: usize = 512;

/// A request's trace.
pub(in crate::http) struct Trace {
    parent: HeaderValue,
    state: Option<HeaderValue>,
}

impl Trace {
    pub(in crate::http) fn of(headers: &HeaderMap) -> Option<Trace> {
        let parent = headers
            .get(TRACEPARENT)
            .filter(|value| is_traceparent(value.as_bytes()))?;
        let mut states = headers.get_all(TRACESTATE).iter();
        let state = states
            .next()
            .filter(|value| states.next().is_none() && is_tracestate(value.as_bytes()));
        Some(Trace {
            parent: parent.clone(),
            state: state.cloned(),
        })
    }

    /// Puts the trace on an event that has none.
    pub(in crate::http) fn adopt(&self, event: &mut Event) -> Result<(), Invalid> {
        if event.extension("traceparent").is_some() {
            return Ok(());
        }
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
        event.set_extension("traceparent", text(&self.parent))?;
        match &self.state {
            Some(state) if event.extension("tracestate").is_none() => event.set_extension("tracestate", text(state)),
            _ => Ok(()),
        }
    }
}

/// The same for a binary-mode message, before it is decoded.
pub(super) fn adopt_in_headers(headers: &mut HeaderMap) {
    if headers.contains_key(CE_TRACEPARENT) {
        return;
    }
    let Some(trace) = Trace::of(headers) else { return };
    headers.insert(CE_TRACEPARENT, trace.parent);
    if let Some(state) = trace.state
        && !headers.contains_key(CE_TRACESTATE)
    {
        // The header is read as percent-encoded, which a tracestate is not.
        let text = state.to_str().unwrap_or_default();
        headers.insert(CE_TRACESTATE, event::http_binding::encode_value(text));
    }
}

/// `version-traceid-parentid-flags` in lower-case hex, version 00, neither id all zero.
fn is_traceparent(value: &[u8]) -> bool {
    let hex = |range: std::ops::Range<usize>| {
        value[range]
            .iter()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte))
    };
    let some = |range: std::ops::Range<usize>| value[range].iter().any(|byte| *byte != b'0');
    value.len() == 55
        && value.starts_with(b"00-")
        && value[35] == b'-'
        && value[52] == b'-'
        && hex(3..35)
        && hex(36..52)
        && hex(53..55)
        && some(3..35)
        && some(36..52)
}

fn is_tracestate(value: &[u8]) -> bool {
    let graphic = |byte: &u8| *byte == b' ' || byte.is_ascii_graphic();
    !value.is_empty() && value.len() <= TRACESTATE_BYTES_MAX && value.iter().all(graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn only_a_well_formed_traceparent_is_one() {
        assert!(is_traceparent(PARENT.as_bytes()));
        for broken in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert!(!is_traceparent(broken.as_bytes()), "{broken}");
        }
    }

    #[test]
    fn an_event_keeps_its_own_trace() {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_static(PARENT));
        headers.insert(CE_TRACEPARENT, HeaderValue::from_static("its own"));
        adopt_in_headers(&mut headers);
        assert_eq!(headers[CE_TRACEPARENT], "its own");
        let mut event = Event::builder("1", "/s", "t")
            .extension("traceparent", "its own")
            .build()
            .expect("valid");
        Trace::of(&headers)
            .expect("well formed")
            .adopt(&mut event)
            .expect("nothing to do");
        assert_eq!(event.extension("traceparent"), Some("its own"));
    }

    #[test]
    fn an_event_without_a_trace_gets_that_of_the_request() {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_static(PARENT));
        headers.insert(TRACESTATE, HeaderValue::from_static("vendor=a b%"));
        let trace = Trace::of(&headers).expect("well formed");
        let mut event = Event::builder("1", "/s", "t").build().expect("valid");
        trace.adopt(&mut event).expect("it fits");
        assert_eq!(
            (event.extension("traceparent"), event.extension("tracestate")),
            (Some(PARENT), Some("vendor=a b%"))
        );
        adopt_in_headers(&mut headers);
        assert_eq!(
            (headers[CE_TRACEPARENT].as_bytes(), headers[CE_TRACESTATE].as_bytes()),
            (PARENT.as_bytes(), &b"vendor=a%20b%25"[..])
        );
    }
}
