//! A dead letter with another payload. The event keeps its identity, its key and its place; what was received is kept beside the
//! new event, in a header of the row's record, and goes where the row goes.

use super::Selected;
use crate::{Error, inner::Inner, intake, lane::Input, lane_handle::Command, told::not_found};
use bytes::Bytes;
use control::{
    Refusal,
    audit::{Actor, Deed},
    counted,
    refusal::Class,
};
use event::{
    Event, EventView,
    record_binding::{DATA_HEADER, ORIGINAL_HEADER, TYPES_HEADER, record_headers},
};
use journal::{EncodedRecord, RecordView};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use store::{Dead, DeliveryKey, Operation};

/// The attribute of an edited event that counts its edits.
const EDITED: &str = "tledited";
/// The attribute that says where the event is that it was: topic, partition and offset.
const ORIGIN: &str = "tlorigin";

/// What is asked for.
#[derive(Debug)]
pub struct Edit {
    /// The bus.
    pub bus: String,
    /// Which dead letter.
    pub key: DeliveryKey,
    /// What it is from now on.
    pub event: Event,
    /// How often it has been edited, for whoever has seen it.
    pub expected: Option<u64>,
    /// Who asks, for the audit trail.
    pub by: Actor,
}

impl Edit {
    /// Carries it out, by the task of changes, so that the dead letter goes nowhere meanwhile. Its entry in the audit trail is
    /// written with it.
    pub async fn carry_out(self, inner: &Inner) -> Result<Dead, Error> {
        let model = inner.model.load_full();
        let bus = model.bus(&self.bus)?;
        let selection = crate::DeadSelection {
            key: Some(self.key),
            ..crate::DeadSelection::default()
        };
        let found = Selected::new(inner, &self.bus, selection)?.page(inner, None, 1).await?;
        let missing = || not_found("the dead letter does not exist any more".to_owned());
        let dead = found.into_iter().next().ok_or_else(missing)?;
        self.check(&dead)?;
        intake::check(bus, &self.event)?;
        let topic = bus.topics.values().find(|topic| topic.id == self.key.partition.topic);
        let origin = topic.map(|topic| format!("{}/{}/{}", topic.name, self.key.partition.index, self.key.offset));
        let edited = edited(&dead, self.event, origin)?;
        let (before, after) = (dead.delivery.record.len() as u64, edited.delivery.record.len() as u64);
        check_room(inner, self.key, before, after)?;
        let (name, details) = (super::write_id(self.key), details(&dead, &edited));
        let entry = inner.entry(self.by, bus.id, Deed::Edited, ("dead-letter", &name), details);
        inner
            .store
            .apply(bus.id, vec![Operation::Bury(edited.clone()), entry])
            .await?;
        tell_lanes(inner, self.key, before, after);
        Ok(edited)
    }

    fn check(&self, dead: &Dead) -> Result<(), Refusal> {
        if (self.event.id(), self.event.source()) != (&dead.event_id, &dead.event_source) {
            let detail = format!(
                "an edited event keeps its id {:?} and its source {:?}: publish another event instead",
                dead.event_id, dead.event_source
            );
            return Err(Refusal::new("dead_letter_identity", Class::Invalid, detail));
        }
        let edits = u64::from(dead.delivery.edits);
        match self.expected.filter(|expected| *expected != edits) {
            None => Ok(()),
            Some(_) => {
                let detail = format!(
                    "the dead letter has been edited {}: look at it again",
                    counted(edits, "time")
                );
                Err(Refusal::new("version_conflict", Class::Precondition, detail))
            }
        }
    }
}

/// What was there before and what is there now, without the payloads: their digests, by which they can be recognized. What one edit
/// leaves is what the next one finds.
fn details(before: &Dead, after: &Dead) -> Value {
    json!({
        "event": before.event_id,
        "source": before.event_source,
        "edits": before.delivery.edits,
        "before": event_digest(&before.delivery.record),
        "after": event_digest(&after.delivery.record),
    })
}

/// The digest of a record's event as it is shown; `None` if it holds none.
fn event_digest(record: &Bytes) -> Option<String> {
    let record = EncodedRecord::from_bytes(record.clone())?;
    let view = record.view(0, 0);
    let mut shown = Vec::new();
    event::json::encode_structured(&EventView::from_record(view.headers(), view.value)?, &mut shown);
    Some(payload_digest(&shown))
}

/// The dead letter with the new event. The first original stays the original.
fn edited(dead: &Dead, mut event: Event, origin: Option<String>) -> Result<Dead, Refusal> {
    let edits = dead.delivery.edits.saturating_add(1);
    let unfit = |error: event::Invalid| Refusal::new("resource_invalid", Class::Invalid, error.to_string());
    event.set_extension(EDITED, edits.to_string()).map_err(unfit)?;
    if let Some(origin) = origin {
        event.set_extension(ORIGIN, origin).map_err(unfit)?;
    }
    let record = EncodedRecord::from_bytes(dead.delivery.record.clone());
    let broken = || {
        Refusal::new(
            "internal",
            Class::Internal,
            "the record of the dead letter cannot be read",
        )
    };
    let record = record.ok_or_else(broken)?;
    let view = record.view(dead.delivery.key.offset, dead.delivery.appended);
    let original = original_of(&view).unwrap_or(&dead.delivery.record);
    let own = record_headers(&event);
    // What marks a record of ours: a copy, a replay.
    let marks = view.headers().filter(|(name, _)| {
        let is_of_the_event = [DATA_HEADER, TYPES_HEADER, ORIGINAL_HEADER].contains(name);
        name.starts_with("tl-") && !is_of_the_event
    });
    let kept = [(ORIGINAL_HEADER, Some(original))];
    let headers: Vec<(&str, Option<&[u8]>)> = own.iter().chain(marks).chain(kept).collect();
    let value = event.data().map(|data| data.bytes.as_ref());
    let record = EncodedRecord::new(view.key, value, headers.iter().copied());
    Ok(Dead {
        delivery: store::Parked {
            edits,
            record: record.as_bytes().clone(),
            ..dead.delivery.clone()
        },
        event_type: event.event_type().to_owned(),
        ..dead.clone()
    })
}

/// The record as it was received, of one that was edited.
pub fn original_of<'a>(record: &RecordView<'a>) -> Option<&'a [u8]> {
    record.headers().find(|(name, _)| *name == ORIGINAL_HEADER)?.1
}

/// What a payload is recognized by where it must not be shown.
fn payload_digest(payload: &[u8]) -> String {
    let digits = digest(&SHA256, payload);
    let digits = digits.as_ref().iter().map(|byte| format!("{byte:02x}"));
    format!("sha256:{}", digits.collect::<String>())
}

/// One that grows must not push the subscription over its bound.
fn check_room(inner: &Inner, key: DeliveryKey, before: u64, after: u64) -> Result<(), Refusal> {
    let Some(lane) = inner.lane(key.subscription) else {
        return Ok(());
    };
    let held = lane
        .inbox
        .counters
        .dead_bytes_now
        .load(std::sync::atomic::Ordering::Relaxed);
    let most = inner.settings.lane.dead_bytes;
    match after > before && held.saturating_sub(before).saturating_add(after) > most {
        false => Ok(()),
        true => Err(Refusal::limit(format!(
            "a subscription holds dead letters of at most {most} bytes; redrive or discard some first"
        ))),
    }
}

/// They count the bytes.
fn tell_lanes(inner: &Inner, key: DeliveryKey, before: u64, after: u64) {
    let replays = inner.replaying.lanes(key.subscription).into_iter();
    let lanes = replays.map(|(_, lane)| lane).chain(inner.lane(key.subscription));
    for lane in lanes {
        let (gone, come) = ((0, before), (0, after));
        lane.send(Command::Step(Input::Discarded {
            events: gone.0,
            bytes: gone.1,
        }));
        lane.send(Command::Step(Input::Buried {
            events: come.0,
            bytes: come.1,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::Data;
    use store::{Parked, Partition};

    fn event(data: &str) -> Event {
        Event::builder("e1", "/shop", "order")
            .data(Data::json(data.to_owned()))
            .build()
            .unwrap()
    }

    fn dead() -> Dead {
        let event = event(r#"{"n":1}"#);
        let headers = record_headers(&event);
        let marks: [(&str, Option<&[u8]>); 1] = [("tl-copy", Some(b"3"))];
        let record = EncodedRecord::new(
            Some(b"k"),
            Some(br#"{"n":1}"#),
            headers.iter().chain(marks).collect::<Vec<_>>().into_iter(),
        );
        Dead {
            delivery: Parked {
                key: DeliveryKey {
                    subscription: 7,
                    partition: Partition { topic: 3, index: 1 },
                    offset: 9,
                    replay: 0,
                },
                due: 8,
                attempts: 4,
                first_attempt: Some(1),
                appended: 5,
                age_from_first_attempt: false,
                version: 2,
                order: Some(1),
                edits: 0,
                reason: "http_400".to_owned(),
                record: record.as_bytes().clone(),
            },
            event_type: "order".to_owned(),
            event_id: "e1".to_owned(),
            event_source: "/shop".to_owned(),
            detail: String::new(),
        }
    }

    /// What is read of an edited record.
    #[derive(Debug, PartialEq)]
    struct Read {
        data: String,
        edited: Option<String>,
        origin: Option<String>,
        original: Option<Bytes>,
    }

    fn read(record: &Bytes) -> Read {
        let record = EncodedRecord::from_bytes(record.clone()).unwrap();
        let view = record.view(0, 0);
        assert_eq!((view.key, crate::matching::copy_of(&view)), (Some(&b"k"[..]), Some(3)));
        let event = EventView::from_record(view.headers(), view.value).unwrap();
        let extension = |name: &str| {
            let mut all = event.extensions().iter();
            all.find(|one| one.name == name).map(|one| one.value.to_owned())
        };
        Read {
            data: String::from_utf8(view.value.unwrap().to_vec()).unwrap(),
            edited: extension(EDITED),
            origin: extension(ORIGIN),
            original: original_of(&view).map(Bytes::copy_from_slice),
        }
    }

    #[test]
    fn what_was_received_stays_beside_every_edit_of_it() {
        let received = dead();
        let origin = || Some("orders/1/9".to_owned());
        let once = edited(&received, event(r#"{"n":2}"#), origin()).unwrap();
        let twice = edited(&once, event(r#"{"n":3}"#), origin()).unwrap();
        for (dead, data, edits) in [(&once, r#"{"n":2}"#, "1"), (&twice, r#"{"n":3}"#, "2")] {
            let expected = Read {
                data: data.to_owned(),
                edited: Some(edits.to_owned()),
                origin: origin(),
                original: Some(received.delivery.record.clone()),
            };
            assert_eq!(read(&dead.delivery.record), expected);
        }
        assert_eq!((once.delivery.edits, twice.delivery.edits), (1, 2));
        assert_eq!(twice.delivery.order, Some(1), "it keeps its place in the order");
    }

    /// Persisted: another header is another format.
    #[test]
    fn an_edited_record_is_laid_out_as_it_was() {
        let edited = edited(&dead(), event("2"), None).unwrap();
        let record = EncodedRecord::from_bytes(edited.delivery.record).unwrap();
        let view = record.view(0, 0);
        let names: Vec<_> = view.headers().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "ce_specversion",
                "ce_id",
                "ce_source",
                "ce_type",
                "content-type",
                "ce_tledited",
                "tl-data",
                "tl-copy",
                "tl-original"
            ]
        );
    }
}
