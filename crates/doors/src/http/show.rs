//! Events in answers: the CloudEvents JSON format, whose data is JSON, text or base64 as it was given.

use bytes::Bytes;
use event::{EventView, json};
use journal::EncodedRecord;
use serde_json::value::RawValue;

/// An event as a JSON value of its own.
pub(super) fn raw_event(event: &EventView<'_>) -> Box<RawValue> {
    let mut text = Vec::new();
    json::encode_structured(event, &mut text);
    let text = String::from_utf8(text).expect("the JSON format is UTF-8");
    RawValue::from_string(text).expect("the encoder writes JSON")
}

/// The event of a stored record; `None` if the record is none.
pub(super) fn answer_event(record: &Bytes) -> Option<Box<RawValue>> {
    let record = EncodedRecord::from_bytes(record.clone())?;
    let view = record.view(0, 0);
    Some(raw_event(&EventView::from_record(view.headers(), view.value)?))
}
