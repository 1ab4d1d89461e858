//! Bodies of resources, as requests and `apply` bring them: a JSON value is put as every kind of resource.

use super::{Target, ending, outline, texts};
use control::{
    Action, Change, Effect, Model, Precondition, Refusal, Rules, bootstrap, export, plan, preview,
    resources::ResourceKind,
    seal::{MasterKey, Sealer},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::LazyLock};
use store::{BusId, Document, Kind, Millis, Operation, Revision};

pub(super) const TARGET: Target = Target {
    name: "resource",
    run,
    samples,
};

const NOW: Millis = 1_800_000_000_000;
const BUS: &str = "default";
const KINDS: [ResourceKind; 6] = [
    ResourceKind::Bus,
    ResourceKind::Topic,
    ResourceKind::EventType,
    ResourceKind::Connection,
    ResourceKind::Subscription,
    ResourceKind::Key,
];

static SEALER: LazyLock<Sealer> = LazyLock::new(|| Sealer::from_key(MasterKey::from_bytes(&[7; 32])));
static RULES: LazyLock<Rules> = LazyLock::new(Rules::default);
static FURNISHED: LazyLock<Installation> = LazyLock::new(Installation::furnished);

/// Documents, and the model of them.
#[derive(Clone)]
struct Installation {
    documents: BTreeMap<(BusId, Kind, String), Document>,
    revision: Revision,
    model: Model,
}

impl Installation {
    /// With one resource of each kind, named `a`.
    fn furnished() -> Self {
        let mut installation = Self {
            documents: BTreeMap::new(),
            revision: 0,
            model: Model::default(),
        };
        let first = bootstrap(&installation.model, &SEALER).expect("the sealer works");
        installation.apply(first.expect("the model is empty"));
        installation.model = installation.loaded();
        for (kind, body) in KINDS.iter().zip(bodies()) {
            let action = match kind {
                ResourceKind::Key => Action::CreateKey {
                    body,
                    token: token("a", 7),
                },
                _ => Action::Put(body),
            };
            installation
                .change(&change(*kind, "a", action))
                .expect("the samples are good");
        }
        let other = Action::CreateKey {
            body: json!({"scopes": ["administer"]}),
            token: token("other", 8),
        };
        let other = change(ResourceKind::Key, "other", other);
        installation.change(&other).expect("a second key is good");
        installation
    }

    fn loaded(&self) -> Model {
        let documents: Vec<_> = self.documents.values().cloned().collect();
        Model::load(&documents).expect("what was planned can be loaded")
    }

    fn apply(&mut self, operations: Vec<Operation>) {
        self.revision += 1;
        for operation in operations {
            match operation {
                Operation::PutDocument {
                    bus, kind, name, body, ..
                } => {
                    let version = self.revision;
                    let key = (bus, kind, name.clone());
                    let document = Document {
                        bus,
                        kind,
                        name,
                        version,
                        body,
                    };
                    self.documents.insert(key, document);
                }
                Operation::DeleteDocument { bus, kind, name, .. } => drop(self.documents.remove(&(bus, kind, name))),
                other => panic!("a plan concerns documents only, not {other:?}"),
            }
        }
    }

    /// Carries a change out; the planned model is the one that the documents load.
    fn change(&mut self, change: &Change) -> Result<Effect, Refusal> {
        let plan = plan(&self.model, &RULES, &SEALER, change, NOW)?;
        if plan.effect == Effect::Unchanged {
            assert!(plan.operations.is_empty());
            return Ok(plan.effect);
        }
        self.apply(plan.operations);
        self.model = plan.finish.at(self.revision);
        assert_eq!(format!("{:?}", self.model), format!("{:?}", self.loaded()));
        Ok(plan.effect)
    }
}

fn token(id: &str, byte: u8) -> control::Token {
    let id = control::names::KeyId::new(id).expect("the id is good");
    control::Token::from_secret(id, [byte; 32])
}

fn change(kind: ResourceKind, name: &str, action: Action) -> Change {
    Change {
        bus: BUS.to_owned(),
        kind,
        name: name.to_owned(),
        action,
        precondition: Precondition::Any,
        by: control::audit::Actor::System("a fuzzer"),
    }
}

fn run(input: &[u8]) -> u64 {
    let Ok(body) = control::filters::read_document(input) else {
        return ending(&"not JSON");
    };
    let name = body.get("name").and_then(Value::as_str).unwrap_or("a").to_owned();
    ending(&KINDS.map(|kind| match put(kind, &name, &body) {
        Ok(effect) => (format!("{effect:?}"), None),
        Err(refusal) => (refusal.code.to_owned(), refusal.pointer.map(|pointer| place(&pointer))),
    }))
}

/// The first step of a pointer: what lies below may be named by the input.
fn place(pointer: &str) -> String {
    pointer.split('/').take(2).map(outline).collect()
}

/// What is accepted comes out so that putting it again changes nothing, and nothing of it is a secret.
fn put(kind: ResourceKind, name: &str, body: &Value) -> Result<Effect, Refusal> {
    let asked = change(kind, name, Action::Put(body.clone()));
    let (previewed, _) = preview(&FURNISHED.model, &RULES, &SEALER, &asked, NOW)?;
    let mut installation = FURNISHED.clone();
    let effect = installation.change(&asked).expect("what was previewed can be planned");
    assert_eq!(effect, previewed);
    let exported = export(&installation.model, &SEALER, kind, BUS, name).expect("it is there now");
    let again = installation.change(&change(kind, name, Action::Put(exported)));
    assert_eq!(again, Ok(Effect::Unchanged));
    Ok(effect)
}

/// One body of each kind, in the order of [`KINDS`].
fn bodies() -> [Value; 6] {
    [
        json!({"description": "what the shop does"}),
        json!({"partitions": 6, "retention": {"age": "7d", "bytes": "10GiB", "hold": "7d"}}),
        json!({"owner": "checkout", "routes": [{"topic": "a", "key": "order.customer.id"}], "tags": ["x"]}),
        json!({"provider": "webhook", "config": {"url": "https://x.example/hook", "headers": {"x-a": "b"},
            "auth": {"type": "basic", "username": "u", "password": "pass word"},
            "signing": {"style": "standard-webhooks", "secrets": ["whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"]}}}),
        json!({"connection": "a", "topics": ["a"], "types": ["a.*"], "filter": {"eventbridge": {"detail": {"n": [1, "x"]}}},
            "target": {"mode": "binary"}, "start": "earliest", "enabled": true,
            "delivery": {"ordering": "key", "concurrency": 16, "rate": "100/s", "timeout": "15s",
                "retry": {"schedule": ["0s", "5s"], "attempts": 12, "age": "24h"}, "outcomes": {"404": "refused"}}}),
        json!({"scopes": ["administer", "publish"], "description": "the first key"}),
    ]
}

fn samples() -> Vec<Vec<u8>> {
    let mut samples = texts(&[
        r#"{"scopes":["publish"],"buses":["default"],"not_after":"2030-01-01T00:00:00Z"}"#,
        r#"{"kind":"topic","bus":"default","name":"b","partitions":1,"retention":{"age":null,"bytes":null,"hold":null}}"#,
        r#"{"provider":"webhook","config":{"url":"http://x","auth":{"type":"bearer","token":"t"},"signing":null,"headers":{}}}"#,
        r#"{"config":{"url":"http://x","auth":{"type":"api-key","header":"Authorization","value":"Token t"}},"provider":"webhook"}"#,
        r#"{"connection":"a","delivery":{"retry":{"exponential":{"first":"1s","factor":2.5,"max":"1h","jitter":0.1}},"rate":"5/10s"}}"#,
    ]);
    samples.extend(texts(&[
        r#"{"connection":"a","filter":{"eventbridge":{"a":[1e400,3e2,"\u0061"],"a":[{"prefx":1}]}}}"#,
        r#"{"connection":"a","filter":{"cloudevents":[{"all":[{"exact":{"type":"a"}},{"sql":"TRUE"}]}],"dialect":"extended"}}"#,
        r#"{"connection":"a","filter":{"eventgrid":{"advancedFilters":[{"operatorType":"StringIn","key":"data.a","values":["b"]}]}}}"#,
        r#"{"connection":"a","filter":{"cesql":"type LIKE 'a%' AND EXISTS subject"}}"#,
        r#"{"connection":"a","filter":{"jsonpath":"$.a[?@.b > 1]"}}"#,
    ]));
    samples.extend(bodies().iter().map(|body| body.to_string().into_bytes()));
    samples
}
