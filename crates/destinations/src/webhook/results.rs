//! What a receiver says of the events of a batch, one by one, in the body of its answer. Pure; it reads what others wrote.
//!
//! ```json
//! {"results": [{"index": 0, "status": 200}, {"id": "msg_…", "status": 503, "error": "busy", "retry_after": 30}]}
//! ```
//!
//! An entry names its event by `index` or by `id`; without either it stands for the event at its own place. Events that are
//! not named are delivered. `{"batchItemFailures": [{"itemIdentifier": "msg_…"}]}`, as functions answer to queues, names those that failed.

use serde::Deserialize;
use std::collections::HashMap;

/// Bytes of an answer that is read for results: a thousand entries with a sentence each.
pub const RESULTS_BYTES_MAX: usize = 1 << 20;
/// Characters of an entry's `error` that are kept.
const ERROR_CHARACTERS_MAX: usize = 200;
/// What a failure without a status counts as.
const FAILED: u16 = 500;

/// What the receiver says of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// As the status of an answer to this event alone.
    pub status: u16,
    /// Why, in its words, cut.
    pub error: String,
    /// Seconds.
    pub retry_after: Option<u64>,
}

/// Why results cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Not the documented form.
    #[error("it is not the documented form: {0}")]
    Form(String),
    /// An entry names no event of the request.
    #[error("entry {0} names no event of the request")]
    Unknown(usize),
    /// An entry names an event that another one names.
    #[error("entry {0} names an event that stands in the list already")]
    Twice(usize),
    /// An entry's status is none.
    #[error("entry {0} has a status that is not from 200 to 599")]
    Status(usize),
    /// There are more entries than events.
    #[error("there are more entries than events")]
    TooMany,
}

#[derive(Deserialize)]
struct Body {
    results: Option<Vec<Entry>>,
    #[serde(rename = "batchItemFailures")]
    failures: Option<Vec<Failure>>,
}

#[derive(Deserialize)]
struct Entry {
    index: Option<usize>,
    id: Option<String>,
    status: u16,
    error: Option<String>,
    retry_after: Option<u64>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(rename = "itemIdentifier")]
    id: String,
}

/// Reads a JSON body that answers a request with these message ids. `None`: it says nothing of single events; an item of the
/// list is `None` where nothing is said of the event.
pub fn read(body: &[u8], ids: &[&str]) -> Result<Option<Vec<Option<Said>>>, Unusable> {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(body) else {
        return Ok(None);
    };
    if value.get("results").is_none() && value.get("batchItemFailures").is_none() {
        return Ok(None);
    }
    let Body { results, failures } = Body::deserialize(value).map_err(|error| Unusable::Form(error.to_string()))?;
    let entries = results.unwrap_or_default().into_iter();
    let entries: Vec<Entry> = entries
        .chain(failures.unwrap_or_default().into_iter().map(failed))
        .collect();
    if entries.len() > ids.len() {
        return Err(Unusable::TooMany);
    }
    let places: HashMap<&str, usize> = ids.iter().enumerate().map(|(index, id)| (*id, index)).collect();
    let mut said = vec![None; ids.len()];
    for (number, entry) in entries.into_iter().enumerate() {
        let place = match (&entry.id, entry.index) {
            (Some(id), _) => places.get(id.as_str()).copied(),
            (None, Some(index)) => Some(index),
            (None, None) => Some(number),
        };
        let slot = place
            .and_then(|place| said.get_mut(place))
            .ok_or(Unusable::Unknown(number))?;
        if !(200..=599).contains(&entry.status) {
            return Err(Unusable::Status(number));
        }
        if slot.replace(entry.said()).is_some() {
            return Err(Unusable::Twice(number));
        }
    }
    Ok(Some(said))
}

fn failed(failure: Failure) -> Entry {
    Entry {
        index: None,
        id: Some(failure.id),
        status: FAILED,
        error: None,
        retry_after: None,
    }
}

impl Entry {
    fn said(self) -> Said {
        let error = self.error.unwrap_or_default();
        Said {
            status: self.status,
            error: error.chars().take(ERROR_CHARACTERS_MAX).collect(),
            retry_after: self.retry_after,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: [&str; 3] = ["msg_a", "msg_b", "msg_c"];

    fn statuses(body: &str) -> Option<Vec<u16>> {
        let said = read(body.as_bytes(), &IDS).expect(body)?;
        Some(
            said.into_iter()
                .map(|said| said.map_or(0, |said| said.status))
                .collect(),
        )
    }

    #[test]
    fn entries_name_their_events_by_id_by_index_or_by_place() {
        for (body, expected) in [
            (r#"{"results": [{"id": "msg_b", "status": 503}]}"#, [0, 503, 0]),
            (
                r#"{"results": [{"index": 2, "status": 422}, {"index": 0, "status": 200}]}"#,
                [200, 0, 422],
            ),
            (
                r#"{"results": [{"status": 200}, {"status": 429}, {"status": 202}]}"#,
                [200, 429, 202],
            ),
            (r#"{"results": []}"#, [0, 0, 0]),
            (r#"{"batchItemFailures": [{"itemIdentifier": "msg_c"}]}"#, [0, 0, 500]),
            (r#"{"batchItemFailures": []}"#, [0, 0, 0]),
        ] {
            assert_eq!(statuses(body), Some(expected.to_vec()), "{body}");
        }
    }

    #[test]
    fn a_body_that_speaks_of_something_else_says_nothing() {
        for body in [
            "",
            "ok",
            "{}",
            "[]",
            "null",
            r#"{"status": "ok"}"#,
            "\u{feff}{}",
            r#""results""#,
        ] {
            assert_eq!(statuses(body), None, "{body}");
        }
    }

    #[test]
    fn results_that_cannot_be_placed_are_unusable() {
        let unusable = |body: &str| read(body.as_bytes(), &IDS).expect_err(body);
        assert_eq!(
            unusable(r#"{"results": [{"id": "msg_x", "status": 200}]}"#),
            Unusable::Unknown(0)
        );
        assert_eq!(
            unusable(r#"{"results": [{"index": 3, "status": 200}]}"#),
            Unusable::Unknown(0)
        );
        let twice = r#"{"results": [{"status": 200}, {"id": "msg_a", "status": 200}]}"#;
        assert_eq!(unusable(twice), Unusable::Twice(1));
        assert_eq!(unusable(r#"{"results": [{"status": 99}]}"#), Unusable::Status(0));
        let many = r#"{"results": [{"status":200},{"status":200},{"status":200},{"status":200}]}"#;
        assert_eq!(unusable(many), Unusable::TooMany);
        assert_eq!(
            unusable(r#"{"batchItemFailures": [{"itemIdentifier": ""}]}"#),
            Unusable::Unknown(0)
        );
        for form in [
            r#"{"results": 1}"#,
            r#"{"results": [{}]}"#,
            r#"{"results": [{"status": "ok"}]}"#,
        ] {
            assert!(matches!(unusable(form), Unusable::Form(_)), "{form}");
        }
    }

    #[test]
    fn the_reason_is_kept_and_cut() {
        let body = format!(
            r#"{{"results": [{{"status": 503, "error": "{}", "retry_after": 7}}]}}"#,
            "é".repeat(999)
        );
        let said = read(body.as_bytes(), &IDS).expect("usable").expect("results")[0].clone();
        let said = said.expect("the first");
        assert_eq!((said.error.chars().count(), said.retry_after), (200, Some(7)));
    }
}
