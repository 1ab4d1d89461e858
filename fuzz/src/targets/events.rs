//! What holds for every event, however it came in: each codec gives back what it was given. Not a target.

use event::{AttributeKind, DataForm, Event, EventView, eventgrid, http_binding, json, record_binding::record_headers};
use pattern::{Data, DataState, Document, Filter, explain};

/// Sends the event through every codec.
pub(super) fn check(event: &Event) {
    check_record(event);
    check_vouched(event);
    check_structured(event);
    check_binary(event);
    check_event_grid(event);
}

/// A stored event comes back as it was, types and form of the data included.
fn check_record(event: &Event) {
    let headers = record_headers(event);
    let value = event.data().map(|data| data.bytes.as_ref());
    let view = EventView::from_record(headers.iter(), value).expect("a stored event is an event");
    assert_eq!(view.to_event().as_ref(), Ok(event));
}

/// What an event says is JSON is JSON to filters too, which are not going to check it.
fn check_vouched(event: &Event) {
    let view = event.view();
    let Some(json) = view.data_json() else { return };
    assert!(view.json_is_checked());
    let state = explain(&Filter::everything(), &Document::new().data(Data::Json(json))).data;
    assert_eq!(state, DataState::Json, "{}", String::from_utf8_lossy(json));
}

/// Structured mode keeps everything but the space around JSON data; JSON `null` is no data there.
fn check_structured(event: &Event) {
    let mut body = Vec::new();
    json::encode_structured(&event.view(), &mut body);
    let again = json::decode_structured(&body.into()).expect("what is written can be read");
    assert!(again.attributes().eq(event.attributes()));
    assert_eq!(again.extensions(), event.extensions());
    let json = |event: &Event| event.view().data_json().map(|bytes| bytes.trim_ascii().to_vec());
    match event.data().map(|data| data.form) {
        Some(DataForm::Json) if json(event).is_some_and(|bytes| bytes == b"null") => assert_eq!(data(&again), None),
        Some(DataForm::Json) if json(&again).is_some() => assert_eq!(json(&again), json(event)),
        _ => assert_eq!(data(&again), data(event)),
    }
}

/// Binary mode keeps attributes as texts and data as bytes. It cannot tell empty data from none, and refuses data that is not
/// what its media type says (structured mode can carry it in Base64).
fn check_binary(event: &Event) {
    let headers = http_binding::encode_binary(&event.view());
    assert_eq!(
        http_binding::mode(&headers),
        Ok(http_binding::Mode::Binary),
        "{headers:?}"
    );
    let again = match http_binding::decode_binary(&headers, data(event).unwrap_or_default().into()) {
        Ok(again) => again,
        Err(invalid) => return assert_eq!(invalid.code, event::codes::DATA_INVALID),
    };
    assert!(again.attributes().eq(event.attributes()));
    let untyped = again
        .extensions()
        .iter()
        .all(|extension| extension.kind == AttributeKind::String);
    assert!(untyped);
    assert_eq!(data(&again).unwrap_or_default(), data(event).unwrap_or_default());
}

/// Event Grid's schema keeps what structured mode keeps.
fn check_event_grid(event: &Event) {
    let mut body = b"[".to_vec();
    eventgrid::encode(&event.view(), "2026-01-31T12:00:00Z", &mut body);
    body.push(b']');
    let again = eventgrid::decode(&body.into(), "/other").expect("what is written is an array");
    let [Ok(again)] = again.as_slice() else {
        panic!("what is written can be read: {again:?}");
    };
    let mut structured = Vec::new();
    json::encode_structured(&event.view(), &mut structured);
    let expected = json::decode_structured(&structured.into()).expect("what is written can be read");
    assert_eq!(*again, expected);
}

fn data(event: &Event) -> Option<Vec<u8>> {
    event.data().map(|data| data.bytes.to_vec())
}
