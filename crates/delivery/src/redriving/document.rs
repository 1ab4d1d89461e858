//! What is kept of a redrive: what it does, and how far it has come. One setting of the installation for each, named by its
//! number. Persisted, keep stable.

use crate::{DeadSelection, ReplayState as State, dead};
use control::resources::RedriveSpec;
use serde::{Deserialize, Serialize};
use store::{BusId, DeliveryKey, Expect, Kind, Millis, Operation, SubscriptionId};

/// The shape that this program writes.
const FORMAT: u32 = 1;
/// Persisted; the name of a redrive's setting, before its number.
const PREFIX: &str = "redrive/";

/// A redrive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    format: u32,
    /// Its number.
    pub number: u32,
    /// The bus.
    pub bus: BusId,
    /// Its name on that bus.
    pub name: String,
    /// What was asked for.
    pub spec: RedriveSpec,
    /// The subscriptions, by internal numbers: those that come later are none of its.
    pub subscriptions: Vec<SubscriptionId>,
    /// When it was made; what dies later, also once more, is none of its.
    pub created: Millis,
    /// How many dead letters there were then.
    pub matched: u64,
    /// How many went out again.
    pub redriven: u64,
    /// The id of the last one that did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Whether it runs.
    pub state: State,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Millis>,
}

impl Document {
    /// One that has done nothing yet.
    pub fn new(bus: BusId, spec: RedriveSpec, subscriptions: Vec<SubscriptionId>, created: Millis) -> Self {
        Self {
            format: FORMAT,
            number: 0,
            bus,
            name: String::new(),
            spec,
            subscriptions,
            created,
            matched: 0,
            redriven: 0,
            after: None,
            state: State::Running,
            ended: None,
        }
    }

    /// What it selects.
    pub fn selected(&self) -> dead::Selected {
        let spec = &self.spec;
        let to = spec.to.map_or(self.created.saturating_add(1), |to| to.0);
        let selection = DeadSelection {
            subscription: None,
            reason: spec.reason(),
            event_type: spec.event_type.clone(),
            died_from: spec.from.map(|from| from.0),
            died_to: Some(to.min(self.created.saturating_add(1))),
            key: None,
            event_id: spec.event.clone(),
        };
        dead::Selected::of(self.bus, self.subscriptions.clone(), selection)
    }

    /// Where it goes on.
    pub fn after(&self) -> Option<DeliveryKey> {
        self.after.as_deref().and_then(dead::read_id)
    }

    /// Its write.
    pub fn put(&self) -> Operation {
        Operation::PutDocument {
            bus: 0,
            kind: Kind::Setting,
            name: name_of(self.number),
            expect: Expect::Any,
            body: serde_json::to_vec(self)
                .expect("plain data with string keys becomes JSON")
                .into(),
        }
    }

    /// The end of it.
    pub fn delete(&self) -> Operation {
        Operation::DeleteDocument {
            bus: 0,
            kind: Kind::Setting,
            name: name_of(self.number),
            expect: Expect::Any,
        }
    }
}

fn name_of(number: u32) -> String {
    format!("{PREFIX}{number}")
}

/// The redrive that a document of the store holds, if it holds one; an error is one that cannot be read.
pub fn redrive_of(document: &store::Document) -> Option<Result<Document, String>> {
    let is_setting = document.kind == Kind::Setting && document.bus == 0;
    document.name.strip_prefix(PREFIX).filter(|_| is_setting)?;
    let read: Result<Document, _> = serde_json::from_slice(&document.body);
    Some(match read {
        Ok(redrive) if redrive.format == FORMAT && (redrive.after.is_none() || redrive.after().is_some()) => {
            Ok(redrive)
        }
        Ok(redrive) => Err(format!(
            "{}: it has format {}, or no place",
            document.name, redrive.format
        )),
        Err(error) => Err(format!("{}: {error}", document.name)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document() -> Document {
        let spec = json!({"subscription": "crm", "status": 503, "type": "order", "from": "2026-01-02T03:04:05Z", "rate": "20/s"});
        let mut document = Document::new(1, RedriveSpec::read(&spec).unwrap(), vec![8], 1_000);
        (document.number, document.name) = (7, "tuesday".to_owned());
        (document.matched, document.redriven) = (9, 2);
        document.after = Some("8-2-0-5-0".to_owned());
        document
    }

    fn stored(operation: Operation) -> store::Document {
        let Operation::PutDocument {
            bus, kind, name, body, ..
        } = operation
        else {
            panic!("it is a write");
        };
        store::Document {
            bus,
            kind,
            name,
            version: 1,
            body,
        }
    }

    #[test]
    fn a_redrive_is_read_as_it_was_written_and_written_as_ever() {
        let document = document();
        let written = stored(document.put());
        assert_eq!(written.name, "redrive/7");
        let golden = r#"{"format":1,"number":7,"bus":1,"name":"tuesday","spec":{"subscription":"crm","status":503,"type":"order","from":"2026-01-02T03:04:05Z","rate":"20/s"},"subscriptions":[8],"created":1000,"matched":9,"redriven":2,"after":"8-2-0-5-0","state":"running"}"#;
        assert_eq!(std::str::from_utf8(&written.body).unwrap(), golden);
        assert_eq!(redrive_of(&written), Some(Ok(document)));
    }

    #[test]
    fn what_no_redrive_can_be_is_said_and_what_is_none_is_passed_over() {
        let mut wrong = document();
        wrong.after = Some("8-2".to_owned());
        assert!(redrive_of(&stored(wrong.put())).unwrap().is_err());
        let mut other = stored(document().put());
        other.name = "replay/7".to_owned();
        assert_eq!(redrive_of(&other), None);
    }
}
