//! Server-sent events, as HTML's standard writes them: what a tail tells, line by line.

use crate::http::{answer_event, time};
use delivery::{Cursor, LiveEvent, Told};
use serde::Serialize;
use serde_json::value::RawValue;

/// Milliseconds after which a reader that lost its connection should come again.
const RETRY_MILLIS: u32 = 2_000;

/// An event and where it stands.
#[derive(Serialize)]
struct Shown<'a> {
    topic: &'a str,
    partition: u32,
    offset: u64,
    received: String,
    event: Box<RawValue>,
}

/// The first lines: when to come again, and from where, should nothing have come by then.
pub(super) fn open(frame: &mut Vec<u8>, cursor: &Cursor) {
    frame.extend_from_slice(format!("retry: {RETRY_MILLIS}\nid: {cursor}\n\n").as_bytes());
}

/// A sign of life.
pub(super) fn quiet(frame: &mut Vec<u8>) {
    frame.extend_from_slice(b":\n\n");
}

/// An event, or how many were skipped.
pub(super) fn told(frame: &mut Vec<u8>, told: &Told, cursor: &Cursor) {
    match told {
        Told::Event(event) => shown(frame, event, cursor),
        Told::Skipped(events) => {
            frame.extend_from_slice(format!("event: skipped\ndata: {{\"skipped\":{events}}}\n\n").as_bytes());
        }
    }
}

/// The last one.
pub(super) fn end(frame: &mut Vec<u8>, reason: &str) {
    frame.extend_from_slice(format!("event: end\ndata: {{\"reason\":\"{reason}\"}}\n\n").as_bytes());
}

fn shown(frame: &mut Vec<u8>, event: &LiveEvent, cursor: &Cursor) {
    let LiveEvent {
        topic,
        partition,
        offset,
        received,
        record,
    } = event;
    let Some(event) = answer_event(record) else { return };
    let shown = Shown {
        topic,
        partition: *partition,
        offset: *offset,
        received: time::text(*received),
        event,
    };
    let text = serde_json::to_vec(&shown).expect("strings, numbers and JSON always serialise");
    frame.extend_from_slice(format!("id: {cursor}\n").as_bytes());
    // Between tokens an event's JSON may have line ends of its own; each would end the field.
    for line in text.split(|byte| matches!(byte, b'\n' | b'\r')) {
        frame.extend_from_slice(b"data: ");
        frame.extend_from_slice(line);
        frame.push(b'\n');
    }
    frame.push(b'\n');
}
