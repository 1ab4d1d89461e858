//! What a copy of a dead letter is: its event, with what is known of its death as extension attributes. Pure.

use super::COPIES;
use crate::backoff::{ATTEMPTS_USED_UP, TOO_OLD};
use event::{
    EventView,
    record_binding::{COPY_HEADER, DEAD_LETTER_HEADER, ORIGINAL_HEADER, REPLAY_HEADER, TYPES_HEADER},
};
use journal::EncodedRecord;
use ring::digest::{SHA256, digest};
use store::{Dead, DeliveryKey, Millis, Parked, Partition};

/// What the names of all attributes begin with; an event that had one of its own loses it in the copy.
const PREFIX: &str = "ce_tldead";
/// Of the last failure's words: as much as a header may well be long.
const DETAIL_CHARACTERS_MAX: usize = 256;
/// What parked rows say of why they are parked.
const REASON: &str = "dead_letter_copy";

/// What all copies of a subscription's dead letters say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The bus.
    pub bus: String,
    /// The subscription.
    pub subscription: String,
}

/// The row of a dead letter's copy; `None`: it is a copy itself, or no event.
pub fn copy_of(dead: &Dead, facts: &Facts, now: Millis) -> Option<Parked> {
    let delivery = &dead.delivery;
    if delivery.key.replay == COPIES {
        return None;
    }
    Some(Parked {
        key: key_of(delivery.key, delivery.due),
        due: now,
        attempts: 0,
        first_attempt: None,
        appended: delivery.appended,
        age_from_first_attempt: true,
        version: delivery.version,
        order: None,
        edits: delivery.edits,
        reason: REASON.to_owned(),
        record: record(dead, facts)?.as_bytes().clone(),
    })
}

/// Persisted. Each death has a copy of its own, also of the same delivery: the offset is the first 63 bits of SHA-256 over the
/// delivery's key and the time of death, and topic 0 is none of the journal's.
pub fn key_of(key: DeliveryKey, died: Millis) -> DeliveryKey {
    let mut text = Vec::new();
    text.extend(key.subscription.to_be_bytes());
    text.extend(key.partition.topic.to_be_bytes());
    text.extend(key.partition.index.to_be_bytes());
    text.extend(key.offset.to_be_bytes());
    text.extend(key.replay.to_be_bytes());
    text.extend(died.to_be_bytes());
    let hash = digest(&SHA256, &text);
    let first = hash.as_ref().first_chunk().expect("SHA-256 has 32 bytes");
    DeliveryKey {
        subscription: key.subscription,
        partition: Partition { topic: 0, index: 0 },
        offset: u64::from_be_bytes(*first) >> 1,
        replay: COPIES,
    }
}

/// The event's record with the facts.
fn record(dead: &Dead, facts: &Facts) -> Option<EncodedRecord> {
    let delivery = &dead.delivery;
    let record = EncodedRecord::from_bytes(delivery.record.clone())?;
    let view = record.view(delivery.key.offset, delivery.appended);
    EventView::from_record(view.headers(), view.value)?;
    if view.headers().any(|(name, _)| name == DEAD_LETTER_HEADER) {
        return None;
    }
    let attributes = attributes(dead, facts);
    let types = types(view.headers());
    // Whoever reads that topic has had the event.
    let topic = crate::matching::copy_of(&view).unwrap_or(delivery.key.partition.topic);
    let origin = format!("{topic}/{}", facts.subscription);
    let is_kept = |name: &str| {
        ![COPY_HEADER, TYPES_HEADER, ORIGINAL_HEADER, REPLAY_HEADER].contains(&name) && !name.starts_with(PREFIX)
    };
    let mut headers: Vec<(&str, Option<&[u8]>)> = view.headers().filter(|(name, _)| is_kept(name)).collect();
    headers.extend(attributes.iter().map(|(name, value)| (*name, Some(value.as_bytes()))));
    headers.push((TYPES_HEADER, Some(types.as_bytes())));
    headers.push((DEAD_LETTER_HEADER, Some(origin.as_bytes())));
    Some(EncodedRecord::new(view.key, view.value, headers.iter().copied()))
}

fn attributes(dead: &Dead, facts: &Facts) -> Vec<(&'static str, String)> {
    let delivery = &dead.delivery;
    let mut attributes = vec![
        ("ce_tldeadattempts", delivery.attempts.to_string()),
        ("ce_tldeadbus", facts.bus.clone()),
        ("ce_tldeadid", crate::dead::write_id(delivery.key)),
        ("ce_tldeadreason", clean(&delivery.reason)),
        ("ce_tldeadsubscription", facts.subscription.clone()),
        ("ce_tldeadtime", time_text(delivery.due)),
    ];
    if let Some(exhausted) = exhausted(&dead.detail) {
        attributes.push(("ce_tldeadexhausted", exhausted.to_owned()));
    }
    if !dead.detail.is_empty() {
        attributes.push(("ce_tldeaddetail", clean(&dead.detail)));
    }
    attributes
}

/// What of the policy was used up, if it was that.
fn exhausted(detail: &str) -> Option<&'static str> {
    match detail {
        words if words.starts_with(ATTEMPTS_USED_UP) => Some("attempts"),
        words if words.starts_with(TOO_OLD) => Some("age"),
        _ => None,
    }
}

/// An attribute has no control characters.
fn clean(text: &str) -> String {
    let characters = text.chars().take(DETAIL_CHARACTERS_MAX);
    characters
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect()
}

/// The types of the event's own extensions, and of ours.
fn types<'a>(mut headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>) -> String {
    let own = headers
        .find(|(name, _)| *name == TYPES_HEADER)
        .and_then(|(_, value)| value);
    let own = own
        .and_then(|value| std::str::from_utf8(value).ok())
        .unwrap_or_default();
    let kept = own
        .split(',')
        .filter(|entry| !entry.is_empty() && !entry.starts_with("tldead"));
    kept.chain(["tldeadattempts=integer"]).collect::<Vec<_>>().join(",")
}

/// RFC 3339.
fn time_text(at: Millis) -> String {
    control::resources::Time(at).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use event::{Data, Event, record_binding::record_headers};

    fn dead(headers: &[(&str, &[u8])]) -> Dead {
        let event = Event::builder("e1", "/shop", "order")
            .data(Data::json("{}"))
            .build()
            .unwrap();
        let own = record_headers(&event);
        let more = headers.iter().map(|(name, value)| (*name, Some(*value)));
        let record = EncodedRecord::new(
            Some(b"k"),
            Some(b"{}"),
            own.iter().chain(more).collect::<Vec<_>>().into_iter(),
        );
        Dead {
            delivery: Parked {
                key: DeliveryKey {
                    subscription: 7,
                    partition: Partition { topic: 3, index: 1 },
                    offset: 9,
                    replay: 0,
                },
                due: 1_800_000_000_000,
                attempts: 4,
                first_attempt: Some(1),
                appended: 5,
                age_from_first_attempt: false,
                version: 2,
                order: Some(1),
                edits: 1,
                reason: "http_400".to_owned(),
                record: record.as_bytes().clone(),
            },
            event_type: "order".to_owned(),
            event_id: "e1".to_owned(),
            event_source: "/shop".to_owned(),
            detail: "no\r\nthanks".to_owned(),
        }
    }

    fn facts() -> Facts {
        Facts {
            bus: "default".to_owned(),
            subscription: "crm".to_owned(),
        }
    }

    fn extensions(record: &Bytes) -> Vec<String> {
        let record = EncodedRecord::from_bytes(record.clone()).unwrap();
        let view = record.view(0, 0);
        assert_eq!((view.key, view.value), (Some(&b"k"[..]), Some(&b"{}"[..])));
        let event = EventView::from_record(view.headers(), view.value).unwrap();
        let extensions = event
            .extensions()
            .iter()
            .map(|one| format!("{}={}:{:?}", one.name, one.value, one.kind));
        extensions.collect()
    }

    #[test]
    fn a_copy_is_the_event_with_what_is_known_of_its_death() {
        let own: &[(&str, &[u8])] = &[
            ("ce_n", b"5"),
            ("ce_tldeadold", b"x"),
            ("tl-types", b"n=integer"),
            ("tl-replay", b"r"),
        ];
        let copy = copy_of(&dead(own), &facts(), 99).unwrap();
        assert_eq!(
            extensions(&copy.record),
            [
                "n=5:Integer",
                "tldeadattempts=4:Integer",
                "tldeadbus=default:String",
                "tldeaddetail=no  thanks:String",
                "tldeadid=7-3-1-9-0:String",
                "tldeadreason=http_400:String",
                "tldeadsubscription=crm:String",
                "tldeadtime=2027-01-15T08:00:00Z:String"
            ]
        );
        let record = EncodedRecord::from_bytes(copy.record.clone()).unwrap();
        let view = record.view(0, 0);
        let ours: Vec<_> = view
            .headers()
            .filter(|(name, _)| name.starts_with("tl-") && *name != "tl-data")
            .collect();
        let expected: [(&str, Option<&[u8]>); 2] = [
            ("tl-types", Some(b"n=integer,tldeadattempts=integer")),
            ("tl-dead-letter", Some(b"3/crm")),
        ];
        assert_eq!(ours, expected);
        assert_eq!((copy.due, copy.attempts, copy.order, copy.edits), (99, 0, None, 1));
    }

    #[test]
    fn a_copy_says_what_of_the_policy_was_used_up() {
        for (detail, expected) in [
            ("attempts are used up; the endpoint answered 503", Some("attempts")),
            ("it would be too old", Some("age")),
            ("the endpoint answered 400", None),
        ] {
            let dead = Dead {
                detail: detail.to_owned(),
                ..dead(&[])
            };
            let copy = copy_of(&dead, &facts(), 99).unwrap();
            let found = extensions(&copy.record);
            let found = found.iter().find_map(|one| one.strip_prefix("tldeadexhausted="));
            assert_eq!(found.map(|one| one.trim_end_matches(":String")), expected, "{detail}");
        }
    }

    #[test]
    fn each_death_has_a_copy_of_its_own_at_a_place_that_stays() {
        let dead = dead(&[]);
        let key = copy_of(&dead, &facts(), 99).unwrap().key;
        assert_eq!((key.partition, key.replay), (Partition { topic: 0, index: 0 }, COPIES));
        assert_eq!(key.offset, 940_711_230_686_981_748, "golden");
        let mut later = dead;
        later.delivery.due += 1;
        assert_ne!(copy_of(&later, &facts(), 99).unwrap().key, key);
    }

    #[test]
    fn no_copy_is_made_of_a_copy() {
        assert!(copy_of(&dead(&[("tl-dead-letter", b"2/other")]), &facts(), 99).is_none());
        let mut of_the_lane = dead(&[]);
        of_the_lane.delivery.key.replay = COPIES;
        assert!(copy_of(&of_the_lane, &facts(), 99).is_none());
    }
}
