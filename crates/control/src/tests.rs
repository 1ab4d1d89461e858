//! The crate at its boundary: changes in, plans or refusals out, against a store in memory. After every change the model that
//! the plan finished is compared with the one that its documents load.

mod accepted;
mod hostile_names;
mod keys;
mod model;
mod refused;
mod rotation;
mod secrets;
mod stored;
mod targets;
mod together;
mod trial;
mod units;

use crate::{
    Action, Change, Effect, Model, Precondition, Refusal, Rules, bootstrap, export, plan, plan_all,
    resources::ResourceKind,
    seal::{MasterKey, Sealer},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use store::{BusId, Document, Expect, Kind, Millis, Operation, Revision};

const NOW: Millis = 1_800_000_000_000;
const BUS: &str = "default";
/// 24 bytes in base64.
const SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";
const OTHER_SECRET: &str = "whsec_QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=";

/// A store in memory, as far as documents go, and the model of it.
struct Installation {
    documents: BTreeMap<(BusId, Kind, String), Document>,
    revision: Revision,
    model: Model,
    sealer: Sealer,
    rules: Rules,
}

impl Installation {
    fn new() -> Self {
        Self::with_sealer(Sealer::from_key(MasterKey::from_bytes(&[7; 32])))
    }

    fn with_sealer(sealer: Sealer) -> Self {
        let rules = Rules::default();
        let (documents, model) = (BTreeMap::new(), Model::default());
        let mut installation = Self {
            documents,
            revision: 0,
            model,
            sealer,
            rules,
        };
        let operations = bootstrap(&installation.model, &installation.sealer).unwrap().unwrap();
        installation.apply(operations).unwrap();
        installation.model = installation.loaded();
        installation
    }

    /// With a topic `orders`, a connection `crm` and a subscription `to-crm` of that topic.
    fn furnished() -> Self {
        let mut installation = Self::new();
        installation
            .put(ResourceKind::Topic, "orders", json!({"partitions": 6}))
            .unwrap();
        installation
            .put(ResourceKind::Connection, "crm", webhook("https://crm.example/hook"))
            .unwrap();
        let subscription = json!({"connection": "crm", "topics": ["orders"]});
        installation
            .put(ResourceKind::Subscription, "to-crm", subscription)
            .unwrap();
        installation
    }

    fn loaded(&self) -> Model {
        Model::load(&self.documents.values().cloned().collect::<Vec<_>>()).unwrap()
    }

    /// As a store does: all or nothing, conditions checked.
    fn apply(&mut self, operations: Vec<Operation>) -> Result<Revision, (Kind, String)> {
        let mut documents = self.documents.clone();
        let revision = self.revision + 1;
        for operation in operations {
            let (bus, kind, name, expect, body) = match operation {
                Operation::PutDocument {
                    bus,
                    kind,
                    name,
                    expect,
                    body,
                } => (bus, kind, name, expect, Some(body)),
                Operation::DeleteDocument {
                    bus,
                    kind,
                    name,
                    expect,
                } => (bus, kind, name, expect, None),
                other => panic!("control writes documents only, not {other:?}"),
            };
            let key = (bus, kind, name.clone());
            let found = documents.get(&key).map(|document| document.version);
            let holds = match expect {
                Expect::Any => true,
                Expect::Absent => found.is_none(),
                Expect::Version(version) => found == Some(version),
            };
            if !holds {
                return Err((kind, name));
            }
            match body {
                Some(body) => documents.insert(
                    key,
                    Document {
                        bus,
                        kind,
                        name,
                        version: revision,
                        body,
                    },
                ),
                None => documents.remove(&key),
            };
        }
        (self.documents, self.revision) = (documents, revision);
        Ok(revision)
    }

    fn change(&mut self, change: &Change) -> Result<Effect, Refusal> {
        let plan = plan(&self.model, &self.rules, &self.sealer, change, NOW)?;
        if plan.effect == Effect::Unchanged {
            assert!(plan.operations.is_empty());
            return Ok(plan.effect);
        }
        let revision = self.apply(plan.operations).unwrap();
        self.model = plan.finish.at(revision);
        assert_eq!(format!("{:?}", self.model), format!("{:?}", self.loaded()));
        Ok(plan.effect)
    }

    fn put(&mut self, kind: ResourceKind, name: &str, body: Value) -> Result<Effect, Refusal> {
        self.change(&change(kind, name, Action::Put(body)))
    }

    fn delete(&mut self, kind: ResourceKind, name: &str) -> Result<Effect, Refusal> {
        self.change(&change(kind, name, Action::Delete))
    }

    fn export(&self, kind: ResourceKind, name: &str) -> Value {
        export(&self.model, &self.sealer, kind, BUS, name).unwrap()
    }
}

fn change(kind: ResourceKind, name: &str, action: Action) -> Change {
    Change {
        bus: BUS.to_owned(),
        kind,
        name: name.to_owned(),
        action,
        precondition: Precondition::Any,
        by: crate::audit::Actor::System("a test"),
    }
}

/// A token of zeroes.
fn token(id: &str) -> crate::Token {
    crate::Token::from_secret(crate::names::KeyId::new(id).unwrap(), [0; 32])
}

fn webhook(url: &str) -> Value {
    json!({"provider": "webhook", "config": {"url": url, "signing": {"style": "standard-webhooks", "secrets": [SECRET]}}})
}

/// `code pointer: detail`, or the effect.
fn told(result: Result<Effect, Refusal>) -> String {
    match result {
        Ok(effect) => format!("{effect:?}"),
        Err(Refusal {
            code, pointer, detail, ..
        }) => format!("{code} {}: {detail}", pointer.unwrap_or_default()),
    }
}
