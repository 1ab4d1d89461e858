//! An `ExportTraceServiceRequest` in protobuf, of what we need of it (opentelemetry-proto 1.x, `trace.proto`; field numbers are
//! persisted in every collector). Pure.

use delivery::trace::{Span, SpanKind, SpanValue};
use std::time::{SystemTime, UNIX_EPOCH};

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;

/// `Status.code` of a failure.
const STATUS_ERROR: u64 = 2;

/// The request that carries these spans.
pub fn request(service: &str, spans: &[Span]) -> Vec<u8> {
    let mut message = Message::default();
    message.message(1, |resource_spans| {
        resource_spans.message(1, |resource| {
            let version = env!("CARGO_PKG_VERSION");
            for (name, text) in [("service.name", service), ("service.version", version)] {
                resource.attribute(1, name, &SpanValue::Text(text.to_owned().into()));
            }
        });
        resource_spans.message(2, |scope_spans| {
            scope_spans.message(1, |scope| scope.bytes(1, b"trunkline"));
            for one in spans {
                scope_spans.message(2, |message| span(message, one));
            }
        });
    });
    message.0
}

fn span(message: &mut Message, span: &Span) {
    message.bytes(1, &span.trace.to_be_bytes());
    message.bytes(2, &span.id.to_be_bytes());
    if let Some(parent) = span.parent {
        message.bytes(4, &parent.to_be_bytes());
    }
    message.bytes(5, span.name.as_bytes());
    message.number(6, kind(span.kind));
    message.fixed(7, nanos(span.start));
    message.fixed(8, nanos(span.end.max(span.start)));
    for (name, value) in &span.attributes {
        message.attribute(9, name, value);
    }
    if let Some(error) = &span.error {
        message.message(15, |status| {
            status.bytes(2, error.as_bytes());
            status.number(3, STATUS_ERROR);
        });
    }
}

fn kind(kind: SpanKind) -> u64 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
    }
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// A message in the making.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn tag(&mut self, field: u32, wire: u8) {
        self.varint(u64::from(field) << 3 | u64::from(wire));
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7F) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(&mut self, field: u32, value: u64) {
        self.tag(field, VARINT);
        self.varint(value);
    }

    fn fixed(&mut self, field: u32, value: u64) {
        self.tag(field, FIXED64);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn bytes(&mut self, field: u32, value: &[u8]) {
        self.tag(field, BYTES);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    fn message(&mut self, field: u32, fill: impl FnOnce(&mut Message)) {
        let mut inner = Message::default();
        fill(&mut inner);
        self.bytes(field, &inner.0);
    }

    /// `KeyValue` with its `AnyValue`.
    fn attribute(&mut self, field: u32, name: &str, value: &SpanValue) {
        self.message(field, |pair| {
            pair.bytes(1, name.as_bytes());
            pair.message(2, |any| match value {
                SpanValue::Text(text) => any.bytes(1, text.as_bytes()),
                // An int64 is written as its two's complement.
                SpanValue::Number(number) => any.number(3, number.cast_unsigned()),
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// The bytes that a collector gets. `tests/it/traces.rs` has OpenTelemetry's own package read them.
    #[test]
    fn a_span_is_these_bytes() {
        let one = Span {
            trace: 1,
            id: 2,
            parent: Some(3),
            name: "deliver",
            kind: SpanKind::Client,
            start: UNIX_EPOCH + Duration::from_nanos(256),
            end: UNIX_EPOCH + Duration::from_nanos(257),
            attributes: vec![("n", SpanValue::Number(300)), ("t", "x".into())],
            error: Some("dns".to_owned()),
        };
        let mut message = Message::default();
        span(&mut message, &one);
        let expected = "0a1000000000000000000000000000000001\
            12080000000000000002\
            22080000000000000003\
            2a0764656c69766572\
            3003\
            390001000000000000\
            410101000000000000\
            4a080a016e1203\
            18ac02\
            4a080a01741203\
            0a0178\
            7a071203646e731802";
        let expected: String = expected.split_whitespace().collect();
        let found: String = message.0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, expected);
    }
}
