//! The record binding's rules, and the proof that no form of an event loses anything on the way through the others.

use super::*;
use crate::{Data, Extension, http_binding, json};
use bytes::Bytes;
use proptest::{collection::vec, option, prelude::*};

fn view<'a>(headers: &'a [(&'a str, &'a str)], value: Option<&'a [u8]>) -> Option<EventView<'a>> {
    EventView::from_record(
        headers.iter().map(|(name, value)| (*name, Some(value.as_bytes()))),
        value,
    )
}

const REQUIRED: [(&str, &str); 4] = [
    ("ce_specversion", "1.0"),
    ("ce_id", "1"),
    ("ce_source", "/s"),
    ("ce_type", "t"),
];

#[test]
fn a_record_shows_standard_cloudevents_headers() {
    let event = Event::builder("1", "/s", "t")
        .subject("x y")
        .time("2026-01-31T12:00:00Z")
        .data_schema("https://example.com/s")
        .extension("traceparent", "00-a")
        .typed_extension(Extension {
            name: "n".into(),
            value: "5".into(),
            kind: AttributeKind::Integer,
        })
        .typed_extension(Extension {
            name: "b".into(),
            value: "true".into(),
            kind: AttributeKind::Boolean,
        })
        .data_content_type("text/plain")
        .data(Data::binary("hi"))
        .build()
        .expect("it is valid");
    let mut headers = record_headers(&event);
    headers.push(COPY_HEADER, &b"7"[..]);
    let found: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name, std::str::from_utf8(value.expect("a value")).expect("text")))
        .collect();
    let expected = [
        ("ce_specversion", "1.0"),
        ("ce_id", "1"),
        ("ce_source", "/s"),
        ("ce_type", "t"),
        ("ce_subject", "x y"),
        ("ce_time", "2026-01-31T12:00:00Z"),
        ("content-type", "text/plain"),
        ("ce_dataschema", "https://example.com/s"),
        ("ce_b", "true"),
        ("ce_n", "5"),
        ("ce_traceparent", "00-a"),
        ("tl-types", "b=boolean,n=integer"),
        ("tl-data", "binary"),
        ("tl-copy", "7"),
    ];
    assert_eq!(found, expected);
    let again = EventView::from_record(headers.iter(), Some(b"hi")).expect("it is an event");
    assert_eq!(again.extension("n"), Some("5"));
    assert_eq!(again.to_event().as_ref(), Ok(&event));
}

#[test]
fn a_foreign_record_is_no_event() {
    assert!(view(&REQUIRED, None).is_some());
    assert!(view(&[], Some(b"x")).is_none());
    for (missing, (name, _)) in REQUIRED.into_iter().enumerate() {
        let mut left = REQUIRED.to_vec();
        left.remove(missing);
        assert!(view(&left, None).is_none());
        left.push((name, ""));
        assert!(view(&left, None).is_none());
    }
    let broken = [
        ("ce_id", "2"),
        ("ce_specversion", "0.3"),
        ("ce_my-ext", "x"),
        ("ce_", "x"),
        ("ce_ext", "a\r\nb: c"),
        ("ce_subject", "\u{7f}"),
        ("content-type", "Application/cloudevents+json; charset=utf-8"),
    ];
    for header in broken {
        assert!(view(&[&REQUIRED[..], &[header]].concat(), None).is_none(), "{header:?}");
    }
    let twice = [&REQUIRED[..], &[("ce_b", "1"), ("ce_a", "1"), ("ce_b", "1")]].concat();
    assert!(view(&twice, None).is_none());
    let bytes: [(&str, Option<&[u8]>); 2] = [("ce_ext", Some(b"\xff")), ("other", Some(b"\xff\0"))];
    let with = |extra: &[(&'static str, Option<&'static [u8]>)]| {
        let own = REQUIRED.iter().map(|(name, value)| (*name, Some(value.as_bytes())));
        EventView::from_record(own.chain(extra.iter().copied()), None).is_some()
    };
    assert!(!with(&bytes[..1]));
    assert!(with(&bytes[1..]) && with(&[("ce_subject", None), ("x", None)]));
}

#[test]
fn forged_types_and_forms_do_no_harm() {
    let forged = [
        ("ce_b", "x"),
        ("ce_a", "1, \"id\": 2"),
        ("tl-types", "a=integer,b=boolean,c=integer,=,b=x,,"),
        ("tl-data", "nonsense"),
    ];
    let forged = [&REQUIRED[..], &forged].concat();
    let view = view(&forged, Some(b"x")).expect("it is an event");
    assert!(
        view.extensions()
            .iter()
            .all(|extension| extension.kind == AttributeKind::String)
    );
    assert_eq!(view.extensions()[0].name, "a");
    assert_eq!(view.data_form(), DataForm::Binary);
    let mut out = Vec::new();
    json::encode_structured(&view, &mut out);
    assert!(json::decode_structured(&Bytes::from(out)).is_ok());
}

#[test]
fn an_integer_has_one_spelling() {
    let texts = [
        "0",
        "5",
        "-5",
        "2147483647",
        "-2147483648",
        "",
        "-",
        "-0",
        "+5",
        "05",
        "-05",
        "5.0",
        "2147483648",
        "x",
        "\u{665}",
    ];
    for text in texts {
        let expected = text.parse::<i32>().is_ok_and(|number| number.to_string() == text);
        assert_eq!(AttributeKind::Integer.admits(text), expected, "{text:?}");
    }
}

#[test]
fn a_record_vouches_for_json_that_was_checked() {
    let event = Event::builder("1", "/s", "t")
        .data(Data::json("[1]"))
        .build()
        .expect("it is valid");
    let headers = record_headers(&event);
    assert!(headers.iter().any(|header| header == (DATA_HEADER, Some(&b"json"[..]))));
    let own = EventView::from_record(headers.iter(), Some(b"[1]")).expect("it is an event");
    assert!(own.json_is_checked() && event.view().json_is_checked());
    let foreign = [&REQUIRED[..], &[("content-type", "application/json")]].concat();
    let foreign = view(&foreign, Some(b"[1]")).expect("it is an event");
    assert!(foreign.data_json().is_some() && !foreign.json_is_checked());
}

#[test]
fn a_tombstone_has_no_data_and_an_empty_value_has_some() {
    assert_eq!(view(&REQUIRED, None).expect("an event").data(), None);
    assert_eq!(view(&REQUIRED, Some(b"")).expect("an event").data(), Some(&b""[..]));
}

/// Any string that an attribute may have.
fn text() -> impl Strategy<Value = String> {
    "[ -~\u{a0}-\u{17f}\u{4e00}-\u{4eff}\u{1f980}-\u{1f98f}]{1,20}"
}

fn extension() -> impl Strategy<Value = Extension> {
    let name = "[a-z][a-z0-9]{0,8}x";
    let typed = prop_oneof![
        text().prop_map(|value| (value, AttributeKind::String)),
        any::<i32>().prop_map(|value| (value.to_string(), AttributeKind::Integer)),
        any::<bool>().prop_map(|value| (value.to_string(), AttributeKind::Boolean)),
    ];
    (name, typed).prop_map(|(name, (value, kind))| Extension { name, value, kind })
}

fn data() -> impl Strategy<Value = (Option<String>, Option<Data>)> {
    let bytes = || vec(any::<u8>(), 1..40);
    let json = prop_oneof![
        Just("{\"a\": [1, 2.50, \"\\u00e9\"]}"),
        Just("\"text\""),
        Just("[ ]"),
        Just("-0.0e1"),
        Just("true")
    ];
    prop_oneof![
        Just((None, None)),
        Just((Some("application/json".to_owned()), None)),
        bytes().prop_map(|bytes| (None, Some(Data::binary(bytes)))),
        bytes().prop_map(|bytes| (Some("application/octet-stream".to_owned()), Some(Data::binary(bytes)))),
        bytes().prop_map(|bytes| (Some("application/json".to_owned()), Some(Data::binary(bytes)))),
        text().prop_map(|text| (Some("text/plain; charset=utf-8".to_owned()), Some(Data::text(text)))),
        text().prop_map(|text| (Some("application/x-other".to_owned()), Some(Data::text(text)))),
        json.prop_map(|json| (Some("application/vnd.a+json".to_owned()), Some(Data::json(json)))),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let source = prop_oneof![Just("/a%20b"), Just("urn:x:1"), Just("https://example.com/?q=%25#f")];
    let time = option::of(Just("2026-01-31T12:00:00.5+01:00".to_owned()));
    let schema = option::of(Just("https://example.com/a%22b".to_owned()));
    let core = (text(), source, text(), option::of(text()), time, schema);
    (core, vec(extension(), 0..10), data()).prop_map(|(core, extensions, (media_type, data))| {
        let (id, source, event_type, subject, time, schema) = core;
        let mut builder = Event::builder(id, source, event_type);
        builder = subject
            .into_iter()
            .fold(builder, |builder, value| builder.subject(value));
        builder = time.into_iter().fold(builder, |builder, value| builder.time(value));
        builder = schema
            .into_iter()
            .fold(builder, |builder, value| builder.data_schema(value));
        builder = media_type
            .into_iter()
            .fold(builder, |builder, value| builder.data_content_type(value));
        builder = data.into_iter().fold(builder, |builder, data| builder.data(data));
        let mut names = std::collections::BTreeSet::new();
        let unique = extensions
            .into_iter()
            .filter(|extension| names.insert(extension.name.clone()));
        unique
            .fold(builder, |builder, extension| builder.typed_extension(extension))
            .build()
            .expect("it is valid")
    })
}

fn through_record(event: &Event) -> Event {
    let headers = record_headers(event);
    let value = event.data().map(|data| data.bytes.as_ref());
    EventView::from_record(headers.iter(), value)
        .expect("it is an event")
        .to_event()
        .expect("it is valid")
}

fn through_json(event: &Event) -> Event {
    let mut out = Vec::new();
    json::encode_structured(&event.view(), &mut out);
    json::decode_structured(&Bytes::from(out)).expect("what is written is valid")
}

/// What HTTP's binary mode keeps: all but the types of extensions and the form of the data.
fn attributes_and_bytes(event: &Event) -> (Vec<(&str, &str)>, Option<&Bytes>) {
    (event.attributes().collect(), event.data().map(|data| &data.bytes))
}

/// Binary mode, for data that its media type describes.
fn through_http(event: &Event) -> Option<Event> {
    let headers = http_binding::encode_binary(&event.view());
    let body = event.data().map_or_else(Bytes::new, |data| data.bytes.clone());
    http_binding::decode_binary(&headers, body).ok()
}

proptest! {
    #[test]
    fn no_form_loses_anything(event in event()) {
        prop_assert_eq!(&through_record(&event), &event);
        prop_assert_eq!(&through_json(&event), &event);
        prop_assert_eq!(&through_json(&through_record(&event)), &event);
        match through_http(&event) {
            Some(again) => prop_assert_eq!(attributes_and_bytes(&again), attributes_and_bytes(&event)),
            None => prop_assert!(event.data().is_some_and(|data| json::check(&data.bytes).is_err())),
        }
    }

    #[test]
    fn hostile_json_is_refused_or_kept_without_a_panic(body in "[\\[\\]{}:,\"\\\\ 01.e\\-untrfalsid\u{e9}]{0,60}") {
        let body = Bytes::from(body);
        let _ = json::decode_structured(&body);
        let _ = json::decode_batch(&body);
    }

    #[test]
    fn a_spoilt_event_is_refused_or_valid(event in event(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut out = Vec::new();
        json::encode_structured(&event.view(), &mut out);
        let at = at.index(out.len());
        out[at] = byte;
        if let Ok(spoilt) = json::decode_structured(&Bytes::from(out)) {
            prop_assert_eq!(&through_record(&spoilt), &spoilt);
        }
    }

    #[test]
    fn hostile_headers_are_refused_or_kept_without_a_panic(values in vec(vec(any::<u8>(), 0..20), 8)) {
        let names = ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_ext", "content-type", "tl-types", "tl-data"];
        let mut pairs: Vec<(&str, Option<&[u8]>)> = Vec::new();
        for (name, value) in names.into_iter().zip(&values) {
            pairs.push((name, Some(if name == "ce_specversion" { b"1.0" } else { value })));
        }
        if let Some(view) = EventView::from_record(pairs.into_iter(), Some(&values[0])) {
            let _ = view.to_event();
            let _ = http_binding::encode_binary(&view);
        }
    }
}
