//! The v2 service of EventBridge, which speaks CBOR: refused in its own protocol, so that an SDK shows why.

use crate::http::routes::{Gives, Permission, Route, Verb, route};
use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    routing,
};

const MEDIA_TYPE: &str = "application/cbor";
const MESSAGE: &str = "EventBridge v2 is not supported by this server: use the service `events` (EventBridge Classic)";
const CODE: &str = "UnknownOperationException";

pub(super) const ROUTE: Route = route(
    Verb::Post,
    "/service/{service}/operation/{operation}",
    "refuseEventBridgeV2",
    Permission::Signed,
    |on| routing::on(on, refuse),
)
.summary("EventBridge v2, which is refused to everybody")
.gives(&[Gives {
    status: 400,
    content: None,
}]);

async fn refuse() -> (StatusCode, HeaderMap, Vec<u8>) {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(
        HeaderName::from_static("smithy-protocol"),
        HeaderValue::from_static("rpc-v2-cbor"),
    );
    (StatusCode::BAD_REQUEST, headers, body())
}

/// A map of two texts.
fn body() -> Vec<u8> {
    /// A map of two pairs.
    const MAP_OF_TWO: u8 = 0xa2;
    let mut body = vec![MAP_OF_TWO];
    for text in ["__type", CODE, "message", MESSAGE] {
        put_text(text, &mut body);
    }
    body
}

/// A text of less than 256 bytes.
fn put_text(text: &str, out: &mut Vec<u8>) {
    /// A text whose length is in the same byte.
    const SHORT: u8 = 0x60;
    /// A text whose length is in the next byte.
    const LONG: u8 = 0x78;
    let length = u8::try_from(text.len()).expect("the texts of this module are short");
    match length {
        0..24 => out.push(SHORT | length),
        _ => out.extend([LONG, length]),
    }
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_is_cbor() {
        let body = body();
        assert_eq!(&body[..8], b"\xa2\x66__type");
        assert_eq!(&body[8..10], [0x78, 25]);
        assert_eq!(&body[10..35], CODE.as_bytes());
        assert_eq!(&body[35..43], b"\x67message");
        assert_eq!((body[43], usize::from(body[44])), (0x78, MESSAGE.len()));
        assert_eq!(&body[45..], MESSAGE.as_bytes());
    }
}
