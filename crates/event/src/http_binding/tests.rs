//! The HTTP binding's rules, one table each.

use super::*;
use crate::{DataForm, limits};

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
        map.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
    }
    map
}

const REQUIRED: [(&str, &str); 4] = [
    ("ce-specversion", "1.0"),
    ("CE-Id", "1"),
    ("Ce-Source", "/s"),
    ("ce-type", "t"),
];

fn decode_with(more: &[(&str, &str)], body: &'static [u8]) -> Result<Event, Invalid> {
    decode_binary(&headers(&[&REQUIRED, more].concat()), Bytes::from_static(body))
}

#[test]
fn the_mode_follows_the_media_type() {
    let expected = [
        ("application/cloudevents+json", Ok(Mode::Structured)),
        ("Application/CloudEvents+JSON; Charset=\"UTF-8\"", Ok(Mode::Structured)),
        ("application/cloudevents-batch+json;x=y", Ok(Mode::Batch)),
        ("application/json", Ok(Mode::Binary)),
        ("text/cloudevents+json", Ok(Mode::Binary)),
        ("", Ok(Mode::Binary)),
        (
            "application/cloudevents+json; charset=utf-16",
            Err(codes::MEDIA_TYPE_UNSUPPORTED),
        ),
        ("application/cloudevents+xml", Err(codes::MEDIA_TYPE_UNSUPPORTED)),
        ("application/cloudevents-batch+avro", Err(codes::MEDIA_TYPE_UNSUPPORTED)),
        ("application/cloudevents", Err(codes::MEDIA_TYPE_UNSUPPORTED)),
        ("json", Err(codes::MEDIA_TYPE_UNSUPPORTED)),
        ("caf\u{e9}/json", Err(codes::MEDIA_TYPE_UNSUPPORTED)),
    ];
    for (value, wanted) in expected {
        let found = mode(&headers(&[("content-type", value)])).map_err(|invalid| invalid.code);
        assert_eq!(found, wanted, "{value}");
    }
    assert_eq!(mode(&HeaderMap::new()), Ok(Mode::Binary));
    assert!(mode(&headers(&[("content-type", "a/b"), ("content-type", "a/b")])).is_err());
    assert!(is_event(&headers(&REQUIRED)) && is_event(&headers(&[("content-type", "application/CLOUDEVENTS+json")])));
    assert!(!is_event(&headers(&[
        ("content-type", "application/json"),
        ("ce-id", "1")
    ])));
}

#[test]
fn header_values_are_unquoted_and_percent_decoded_once() {
    let expected = [
        ("plain", Ok("plain")),
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", Ok("Euro \u{20ac} \u{1f600}")),
        ("%e2%82%ac", Ok("\u{20ac}")),
        ("unnecessary%41", Ok("unnecessaryA")),
        ("%2541", Ok("%41")),
        ("two  words", Ok("two  words")),
        ("caf\u{e9}", Ok("caf\u{e9}")),
        ("\"quoted\"", Ok("quoted")),
        ("\"a \\\"b\\\" \\\\ \\c\"", Ok("a \"b\" \\ c")),
        ("\"a%20b\"", Ok("a b")),
        ("un\"quo ted\"", Ok("unquo ted")),
        ("back\\slash", Ok("back\\slash")),
        ("\"open", Err(())),
        ("\"open\\", Err(())),
        ("%C0%A0", Err(())),
        ("%E2%82", Err(())),
        ("%ED%A0%80", Err(())),
        ("%FF", Err(())),
        ("%", Err(())),
        ("%4", Err(())),
        ("%zz", Err(())),
        ("%+1", Err(())),
        ("%0D%0Aevil: 1", Err(())),
        ("%00", Err(())),
        ("%C2%85", Err(())),
    ];
    for (value, wanted) in expected {
        let found = decode_with(&[("ce-ext", value)], b"");
        let found = found.as_ref().map(|event| event.extension("ext").expect("it is there"));
        assert_eq!(
            found.map_err(|invalid| assert_eq!(invalid.attribute, "ext")),
            wanted,
            "{value}"
        );
    }
}

#[test]
fn header_values_are_encoded_as_the_binding_says() {
    let expected = [
        (
            "plain!#$&'()*+,-./:;<=>?@[\\]^_`{|}~",
            "plain!#$&'()*+,-./:;<=>?@[\\]^_`{|}~",
        ),
        ("Euro \u{20ac} \u{1f600}", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
        ("100% \"sure\"", "100%25%20%22sure%22"),
        ("\r\n\u{7f}", "%0D%0A%7F"),
    ];
    for (value, wanted) in expected {
        assert_eq!(encode_value(value), wanted);
    }
}

#[test]
fn broken_messages_are_refused_by_attribute() {
    type Broken<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);
    let expected: [Broken<'_>; 14] = [
        (&[("ce-id", "2")], "id", codes::ATTRIBUTE_INVALID),
        (&[("ce-specversion", "1.0")], "specversion", codes::ATTRIBUTE_INVALID),
        (
            &[("ce-time", "2026-01-31T12:00:00Z"), ("ce-time", "2026-01-31T12:00:00Z")],
            "time",
            codes::ATTRIBUTE_INVALID,
        ),
        (&[("ce-ext", "a"), ("CE-EXT", "b")], "ext", codes::ATTRIBUTE_INVALID),
        (&[("ce-my-ext", "a")], "my-ext", codes::ATTRIBUTE_INVALID),
        (&[("ce-my_ext", "a")], "my_ext", codes::ATTRIBUTE_INVALID),
        (&[("ce-", "a")], "", codes::ATTRIBUTE_INVALID),
        (&[("ce-data", "a")], "data", codes::ATTRIBUTE_INVALID),
        (
            &[("ce-datacontenttype", "a/b")],
            "datacontenttype",
            codes::ATTRIBUTE_INVALID,
        ),
        (&[("ce-subject", "")], "subject", codes::ATTRIBUTE_INVALID),
        (&[("ce-time", "now")], "time", codes::ATTRIBUTE_INVALID),
        (&[("ce-dataschema", "x")], "dataschema", codes::ATTRIBUTE_INVALID),
        (
            &[("content-type", "a/b"), ("content-type", "c/d")],
            "datacontenttype",
            codes::ATTRIBUTE_INVALID,
        ),
        (&[("content-type", "json")], "datacontenttype", codes::ATTRIBUTE_INVALID),
    ];
    for (more, attribute, code) in expected {
        let invalid = decode_with(more, b"").expect_err("it breaks a rule");
        assert_eq!(
            (invalid.attribute.as_str(), invalid.code),
            (attribute, code),
            "{more:?}"
        );
    }
    for (index, name) in ["specversion", "id", "source", "type"].into_iter().enumerate() {
        let mut left = REQUIRED.to_vec();
        left.remove(index);
        let invalid = decode_binary(&headers(&left), Bytes::new()).expect_err("one is missing");
        assert_eq!(
            (invalid.attribute.as_str(), invalid.code),
            (name, codes::ATTRIBUTE_MISSING)
        );
        left.push((REQUIRED[index].0, ""));
        let invalid = decode_binary(&headers(&left), Bytes::new()).expect_err("one is empty");
        assert_eq!(
            (invalid.attribute.as_str(), invalid.code),
            (name, codes::ATTRIBUTE_MISSING)
        );
    }
}

#[test]
fn an_event_that_is_all_in_the_body_is_told_its_content_type() {
    let body = br#"{"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}"#;
    let plain = headers(&[("content-type", "application/json")]);
    let invalid = decode_binary(&plain, Bytes::from_static(body)).expect_err("no attribute is in a header");
    assert_eq!(invalid.code, codes::ATTRIBUTE_MISSING);
    assert!(
        invalid.rule.contains("the content type application/cloudevents+json"),
        "{invalid}"
    );
}

#[test]
fn the_body_is_the_data_byte_for_byte() {
    let json = decode_with(
        &[("content-type", "application/json; charset=utf-8")],
        b" {\"a\": 1.0} ",
    )
    .expect("valid");
    assert_eq!(
        json.data().map(|data| (data.bytes.as_ref(), data.form)),
        Some((&b" {\"a\": 1.0} "[..], DataForm::Json))
    );
    assert_eq!(json.data_content_type(), Some("application/json; charset=utf-8"));
    let form = |media_type: &str, body| {
        let event = decode_with(&[("content-type", media_type)], body).expect("valid");
        event.data().map(|data| data.form)
    };
    assert_eq!(form("text/plain", b"caf\xc3\xa9"), Some(DataForm::Text));
    assert_eq!(form("text/plain", b"\xff"), Some(DataForm::Binary));
    assert_eq!(form("application/octet-stream", b"x"), Some(DataForm::Binary));
    assert_eq!(form("application/json", b""), None);
    assert_eq!(
        decode_with(&[], b"{}").expect("valid").data().map(|data| data.form),
        Some(DataForm::Binary)
    );
    for broken in [&b"{"[..], b"\"\xff\"", b"{} {}"] {
        let invalid = decode_with(&[("content-type", "application/json")], broken).expect_err("not JSON");
        assert_eq!(
            (invalid.code, invalid.attribute.as_str()),
            (codes::DATA_INVALID, "data")
        );
    }
    let deep = Bytes::from("[".repeat(100_000));
    let map = headers(&[&REQUIRED[..], &[("content-type", "a/b+json")]].concat());
    assert_eq!(
        decode_binary(&map, deep).expect_err("too deep").code,
        codes::DATA_INVALID
    );
    let large = Bytes::from(vec![0; limits::EVENT_DATA_BYTES_MAX + 1]);
    assert_eq!(
        decode_binary(&headers(&REQUIRED), large).expect_err("too large").code,
        codes::TOO_LARGE
    );
}

#[test]
fn headers_besides_those_of_cloudevents_are_no_attributes() {
    let event = decode_with(
        &[("x-ce-a", "1"), ("traceparent", "00-x"), ("ce-traceparent", "00-y")],
        b"",
    )
    .expect("valid");
    assert_eq!(event.extensions().len(), 1);
    assert_eq!(event.extension("traceparent"), Some("00-y"));
}
