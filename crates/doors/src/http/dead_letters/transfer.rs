//! Dead letters out of an installation and into another: a JSON object a line, with the event as CloudEvents JSON beside what is
//! known of its death. Both ways they go through in pieces: nobody holds them all.

use super::{SELECTION, SUBSCRIBE, Selection};
use crate::http::{
    answer_event,
    call::Call,
    cloudevents::permitted,
    json,
    problem::Problem,
    query,
    routes::{Content, DRY_RUN, Gives, Route, Takes, Verb, content, in_json, parameter, route},
    time,
};
use axum::{
    body::Body,
    response::{IntoResponse, Response},
    routing,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use control::{
    Bus,
    audit::Deed,
    resources::{Scope, Time},
};
use delivery::{Core, Dead, DeadLetterExport, DeadSelection, DeliveryKey, dead_letter_id, dead_letter_key};
use event::{Event, EventView, record_binding::DEAD_LETTER_HEADER};
use futures_util::stream;
use http::header;
use journal::EncodedRecord;
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};
use std::sync::Arc;

/// The shape of a line.
const FORMAT: u32 = 1;
/// Dead letters read at once: each may have an event of 1 MiB, and another one that it was.
const PAGE: usize = 16;
/// Lines of one import.
const LINES_MAX: usize = 1_000;
/// Bytes of one import: several of the largest lines that there are.
const BYTES_MAX: usize = 16 << 20;

const LINES: Content = content("application/x-ndjson", "DeadLetterLines");

pub(in crate::http) const ROUTES: &[Route] = &[
    route(
        Verb::Get,
        "/v1/buses/{bus}/dead-letters:export",
        "exportDeadLetters",
        SUBSCRIBE,
        |on| routing::on(on, export),
    )
    .summary("Export dead letters, a JSON object a line")
    .query(SELECTION)
    .gives(&[Gives {
        status: 200,
        content: Some(LINES),
    }])
    .problems(&["resource_not_found"]),
    route(
        Verb::Post,
        "/v1/buses/{bus}/dead-letters:import",
        "importDeadLetters",
        SUBSCRIBE,
        |on| routing::on(on, import),
    )
    .summary("Import exported dead letters, all of a request or none")
    .query(&[
        DRY_RUN,
        parameter(
            "subscription",
            Takes::Text,
            "Into this subscription, whatever the lines say.",
        ),
        parameter(
            "first_line",
            Takes::Text,
            "The number of the first line in the whole, for what is said of lines.",
        ),
    ])
    .takes(&[LINES])
    .gives(&[in_json(200, "DeadLettersImported")])
    .problems(&[
        "body_too_large",
        "dead_letter_line_invalid",
        "event_not_permitted",
        "limit_exceeded",
        "resource_not_found",
        "scope_missing",
    ]),
];

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    format: u32,
    id: String,
    subscription: String,
    /// Where the event was read; for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    reason: String,
    detail: String,
    attempts: u32,
    received: String,
    died: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    edits: u32,
    /// The record's key, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// The subscription of whose dead letter the event is a copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    copy_of: Option<String>,
    event: Box<RawValue>,
    /// What was received, of one that was edited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    original: Option<Box<RawValue>>,
}

/// The last line: whatever lacks it was cut off.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    end: u64,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Line {
    /// `None`: what it holds is no event.
    fn new(bus: &Bus, dead: &Dead) -> Option<Self> {
        let delivery = &dead.delivery;
        let record = EncodedRecord::from_bytes(delivery.record.clone())?;
        let view = record.view(delivery.key.offset, delivery.appended);
        EventView::from_record(view.headers(), view.value)?;
        let copied = view.headers().find(|(name, _)| *name == DEAD_LETTER_HEADER);
        let copied = copied.and_then(|(_, value)| std::str::from_utf8(value?).ok());
        let number = delivery.key.subscription;
        let subscription = bus.subscriptions.values().find(|found| found.id == number)?;
        let topic = bus
            .topics
            .values()
            .find(|topic| topic.id == delivery.key.partition.topic);
        Some(Self {
            format: FORMAT,
            id: dead_letter_id(delivery.key),
            subscription: subscription.name.clone(),
            topic: topic.map(|topic| topic.name.clone()),
            reason: delivery.reason.clone(),
            detail: dead.detail.clone(),
            attempts: delivery.attempts,
            received: time::text(delivery.appended),
            died: time::text(delivery.due),
            edits: delivery.edits,
            key: view.key.map(|key| STANDARD.encode(key)),
            copy_of: copied.and_then(|text| Some(text.split_once('/')?.1.to_owned())),
            event: answer_event(&delivery.record)?,
            original: super::original(&delivery.record),
        })
    }

    fn read(self, into: Option<&str>) -> Result<DeadLetterExport, String> {
        if self.format != FORMAT {
            return Err(format!("its format is {}; this server knows {FORMAT}", self.format));
        }
        let at = |text: &str, what: &str| Time::parse(text).map_err(|form| format!("{what}: {form}"));
        let event = event_of(&self.event)?;
        let original = self.original.as_deref().map(event_of).transpose()?;
        let key = self.key.as_deref().map(|key| STANDARD.decode(key)).transpose();
        if dead_letter_key(&self.id).is_none() {
            return Err(format!("{:?} is no id of a dead letter", crate::http::shown(&self.id)));
        }
        if original
            .as_ref()
            .is_some_and(|was| (was.id(), was.source()) != (event.id(), event.source()))
        {
            return Err("event and original are two events".to_owned());
        }
        Ok(DeadLetterExport {
            id: self.id,
            subscription: into.map_or(self.subscription, str::to_owned),
            event,
            original,
            key: key.map_err(|error| format!("key: {error}"))?,
            copy_of: self.copy_of,
            reason: self.reason,
            detail: self.detail,
            attempts: self.attempts,
            received: at(&self.received, "received")?.0,
            died: at(&self.died, "died")?.0,
            edits: self.edits,
        })
    }
}

fn event_of(text: &RawValue) -> Result<Event, String> {
    let text = Bytes::copy_from_slice(text.get().as_bytes());
    event::json::decode_structured(&text).map_err(|invalid| invalid.to_string())
}

/// Where an export is.
struct Exporting {
    core: Core,
    bus: Arc<Bus>,
    selection: DeadSelection,
    after: Option<DeliveryKey>,
    count: u64,
    is_over: bool,
}

async fn export(call: Call) -> json::Result {
    let query = call.query()?;
    let bus = call.bus()?;
    let selection = Selection::of_query(bus, &query)?;
    let details = json!({"subscription": selection.subscription, "reason": selection.reason});
    call.look("dead-letters", "export", details).await?;
    let exporting = Exporting {
        core: call.state.core.clone(),
        bus: Arc::clone(bus),
        selection,
        after: None,
        count: 0,
        is_over: false,
    };
    let pages = stream::try_unfold(exporting, Exporting::page);
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok::<Response, Problem>((headers, Body::from_stream(pages)).into_response())
}

impl Exporting {
    /// The lines of the next page; an error breaks the answer off, and what lacks its end is not imported.
    async fn page(mut self) -> Result<Option<(Bytes, Self)>, delivery::Error> {
        if self.is_over {
            return Ok(None);
        }
        let selection = self.selection.clone();
        let page = self
            .core
            .dead_letters(&self.bus.name, selection, self.after, PAGE)
            .await?;
        self.after = page.last().map(|last| last.delivery.key);
        let mut lines = Vec::new();
        for line in page.iter().filter_map(|dead| Line::new(&self.bus, dead)) {
            self.count += 1;
            serde_json::to_writer(&mut lines, &line).expect("texts and numbers become JSON");
            lines.push(b'\n');
        }
        if page.is_empty() {
            self.is_over = true;
            lines.extend(format!("{{\"end\":{}}}\n", self.count).bytes());
        }
        Ok(Some((lines.into(), self)))
    }
}

async fn import(call: Call, body: Body) -> json::Result {
    let query = call.query()?;
    let is_dry = query.flag("dry_run")?;
    let first = match query.text("first_line").map(str::parse::<u64>) {
        None => 1,
        Some(Ok(first)) => first,
        Some(Err(_)) => return Err(query::wrong("parameter \"first_line\" must be a number".to_owned())),
    };
    let bus = call.bus()?;
    let into = query
        .text("subscription")
        .map(|name| super::known(bus, name))
        .transpose()?;
    let (body, _share) = call.bytes(body, BYTES_MAX).await?;
    let letters = read_all(&call, bus, &body, into.as_deref(), first)?;
    // Whoever brings events asks for the right to publish them.
    if !letters.is_empty() {
        call.require(&bus.name, Scope::Publish)?;
    }
    let details = json!({"lines": letters.len(), "into": into});
    let act = (!is_dry).then(|| call.act(Deed::Imported, "dead-letters", "", details));
    let imported = call.state.core.import_dead_letters(&bus.name, letters, act).await?;
    json::ok(&json!({"imported": imported.imported, "present": imported.present}))
}

/// All lines, or what is wrong with the first that is wrong.
fn read_all(
    call: &Call,
    bus: &Bus,
    body: &Bytes,
    into: Option<&str>,
    first: u64,
) -> Result<Vec<DeadLetterExport>, Problem> {
    let mut letters = Vec::new();
    for (number, line) in (first..).zip(body.split(|byte| *byte == b'\n')) {
        let wrong = |reason: String| Problem::new("dead_letter_line_invalid", format!("line {number}: {reason}"));
        if line.trim_ascii().is_empty() || serde_json::from_slice::<End>(line).is_ok() {
            continue;
        }
        if letters.len() == LINES_MAX {
            return Err(wrong(format!(
                "an import takes {LINES_MAX} dead letters at most: send them in parts"
            )));
        }
        // How deep its events may be nested is asked of each: a line puts its own levels around them.
        let line: Line = serde_json::from_slice(line).map_err(|error| wrong(error.to_string()))?;
        let letter = line.read(into).map_err(&wrong)?;
        if !bus.subscriptions.contains_key(&letter.subscription) {
            let name = crate::http::shown(&letter.subscription);
            return Err(wrong(format!(
                "subscription {name:?} does not exist; ?subscription= names another"
            )));
        }
        permitted(call.principal(), &letter.event)?;
        letters.push(letter);
    }
    Ok(letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Persisted in people's files.
    #[test]
    fn a_line_is_read_as_it_was_written() {
        let golden = r#"{"format":1,"id":"7-3-1-9-0","subscription":"crm","topic":"orders","reason":"http_422","detail":"no","attempts":3,"received":"2026-01-02T03:04:05.006Z","died":"2026-01-02T03:05:00.000Z","edits":1,"key":"aw==","event":{"specversion":"1.0","id":"e1","source":"/shop","type":"order","data":2},"original":{"specversion":"1.0","id":"e1","source":"/shop","type":"order","data":1}}"#;
        let line: Line = serde_json::from_str(golden).unwrap();
        assert_eq!(serde_json::to_string(&line).unwrap(), golden);
        let letter = line.read(Some("other")).unwrap();
        assert_eq!(
            (letter.subscription.as_str(), letter.key.as_deref()),
            ("other", Some(&b"k"[..]))
        );
        assert_eq!((letter.died - letter.received, letter.edits), (54_994, 1));
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        let line = |event: &str, id: &str, format: u32| {
            format!(
                r#"{{"format":{format},"id":"{id}","subscription":"s","reason":"r","detail":"","attempts":1,"received":"2026-01-02T03:04:05Z","died":"2026-01-02T03:04:06Z","event":{event}}}"#
            )
        };
        let event = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#;
        let read = |text: String| serde_json::from_str::<Line>(&text).unwrap().read(None).map(drop);
        assert_eq!(read(line(event, "1-2-3-4-5", 1)), Ok(()));
        assert!(read(line(event, "1-2-3-4-5", 2)).unwrap_err().contains("format is 2"));
        assert!(read(line(event, "1", 1)).unwrap_err().contains("no id"));
        assert!(read(line("{}", "1-2-3-4-5", 1)).is_err());
    }
}
