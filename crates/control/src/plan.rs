//! Planning a change, or several as one: what to write and what the model is afterwards. Pure: the model, the request and the time in,
//! a plan or a refusal out. The delivery core adds its own operations, applies all in one transaction and publishes the model.

mod all;
pub mod connection;
mod delete;
mod envelope;
mod key;
mod put;
mod subscription;

use crate::{
    documents::{self, COUNTERS_SETTING, INSTALLATION},
    keys::Token,
    limits::DEFAULT_BUS,
    model::{Bus, Counters, Model},
    names,
    refusal::{Class, Refusal},
    resources::{BusSpec, ResourceKind},
    rules::Rules,
    seal::Sealer,
};
pub use all::{Plans, plan_all};
use std::{sync::Arc, time::Duration};
use store::{Expect, Millis, Operation, Revision};

/// A change that somebody asks for.
#[derive(Clone, Debug)]
pub struct Change {
    /// The bus; ignored for buses and keys.
    pub bus: String,
    /// Of what kind.
    pub kind: ResourceKind,
    /// Its name.
    pub name: String,
    /// What to do.
    pub action: Action,
    /// What must hold.
    pub precondition: Precondition,
    /// Who asks, for the audit trail.
    pub by: crate::audit::Actor,
}

/// What to do with a resource.
#[derive(Clone, Debug)]
pub enum Action {
    /// Create or replace; the body is the resource's JSON (with or without `kind`, `bus`, `name`, which must agree).
    Put(serde_json::Value),
    /// Create or replace a connection, with the authentication of another one that has no endpoint of its own.
    PutWithAuthOf {
        /// The connection's JSON, without `auth`.
        body: serde_json::Value,
        /// The bus of the other one.
        bus: String,
        /// Its name.
        connection: String,
    },
    /// Create a key: the body is its JSON, the token its secret, of which only what verifies it is kept. A `Put` changes a key
    /// that exists and never its secret.
    CreateKey {
        /// The key's JSON.
        body: serde_json::Value,
        /// Its token.
        token: Token,
    },
    /// Give a key another secret; the one it has stays good for a while.
    RotateKey {
        /// The new secret.
        token: Token,
        /// How long the one before stays good; zero: every earlier one ends at once.
        overlap: Duration,
    },
    /// Delete.
    Delete,
}

/// `If-Match` and `If-None-Match`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Whatever is there.
    Any,
    /// It exists with this version.
    Version(Revision),
    /// It exists.
    Exists,
    /// It does not exist.
    Absent,
}

/// A change that can be carried out.
#[derive(Debug)]
pub struct Plan {
    /// What to write, with the conditions that the plan was made under.
    pub operations: Vec<Operation>,
    /// What kind of change it is, for the delivery core.
    pub effect: Effect,
    /// Makes the model for the revision that the write got.
    pub finish: Finish,
}

/// Makes the model after the write.
pub struct Finish {
    /// The model before.
    model: Model,
    edit: Edit,
}

impl std::fmt::Debug for Finish {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Finish")
    }
}

impl Finish {
    /// Of the model before, and what becomes of it.
    pub(crate) fn new(model: Model, edit: impl FnOnce(&mut Model, Revision) + Send + 'static) -> Self {
        let edit = Box::new(edit);
        Self { model, edit }
    }

    /// The model at this revision.
    pub fn at(self, revision: Revision) -> Model {
        let Self { mut model, edit } = self;
        edit(&mut model, revision);
        model
    }
}

/// What a plan changes, by name; the details are in the models before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: the resource is as asked already (its version stays, nothing is written).
    Unchanged,
    /// A bus came, with its topic `events`.
    BusCreated,
    /// What a bus says for its connections changed: their lanes take it up with the next attempt.
    BusDefaultsPut,
    /// A bus went, with everything in it (it must hold no subscription and no record the operator wants; see the refusal).
    BusDeleted,
    /// A topic came or its partitions or retention changed (another description alone is `Other`).
    TopicPut,
    /// A topic went.
    TopicDeleted,
    /// A subscription came.
    SubscriptionCreated,
    /// A subscription changed; its old document is kept as a version when its filter, types or topics changed.
    SubscriptionChanged,
    /// A subscription went.
    SubscriptionDeleted,
    /// A connection came or changed: its lanes take up the new one with the next attempt.
    ConnectionPut,
    /// Anything that concerns intake or doors alone: event types, bus settings, keys, a connection that went.
    Other,
}

/// Plans a change, or says why not. A `Put` that changes nothing is [`Effect::Unchanged`].
///
/// The operations concern documents only; forgetting positions and rows of what goes is the delivery core's part.
pub fn plan(model: &Model, rules: &Rules, sealer: &Sealer, change: &Change, now: Millis) -> Result<Plan, Refusal> {
    names::check(change.kind, &change.name)?;
    let planning = Planning {
        model,
        rules,
        sealer,
        change,
        now,
    };
    planning.check_precondition()?;
    match &change.action {
        Action::Put(body) => put::plan(&planning, envelope::open(change, body)?),
        Action::PutWithAuthOf { body, bus, connection } => {
            connection::put_with_auth_of(&planning, envelope::open(change, body)?, bus, connection)
        }
        Action::CreateKey { body, token } => key::create(&planning, envelope::open(change, body)?, token),
        Action::RotateKey { token, overlap } => key::rotate(&planning, token, *overlap),
        Action::Delete => delete::plan(&planning),
    }
}

/// What a new store needs before anything else: the bus `default` with its topic `events`, and the key of the fingerprints.
/// `None` when the model has both.
pub fn bootstrap(model: &Model, sealer: &Sealer) -> Result<Option<Vec<Operation>>, crate::seal::Error> {
    let mut operations = Vec::new();
    let mut counters = model.counters;
    if model.fingerprint_key.is_none() {
        operations.push(Operation::PutDocument {
            bus: INSTALLATION,
            kind: store::Kind::Setting,
            name: crate::seal::FINGERPRINT_KEY_SETTING.to_owned(),
            expect: Expect::Absent,
            body: documents::fingerprint_key_body(&sealer.new_fingerprint_key()?),
        });
    }
    if model.buses.is_empty() {
        operations.extend(put::NewBus::take(&mut counters, DEFAULT_BUS, BusSpec::default()).operations());
    }
    if operations.is_empty() {
        return Ok(None);
    }
    operations.push(counters_operation(counters));
    Ok(Some(operations))
}

/// One change being planned.
struct Planning<'a> {
    model: &'a Model,
    rules: &'a Rules,
    sealer: &'a Sealer,
    change: &'a Change,
    now: Millis,
}

/// A change of the model, for the revision that it gets.
type Edit = Box<dyn FnOnce(&mut Model, Revision) + Send>;

impl<'a> Planning<'a> {
    fn name(&self) -> &'a str {
        &self.change.name
    }

    /// The bus that the change is in.
    fn bus(&self) -> Result<&'a Arc<Bus>, Refusal> {
        self.model.bus(&self.change.bus)
    }

    /// The version of what is there.
    fn existing(&self) -> Result<Option<Revision>, Refusal> {
        let Change { kind, bus, name, .. } = self.change;
        if kind.is_of_a_bus() {
            self.bus()?;
        }
        Ok(self.model.version(*kind, bus, name))
    }

    fn check_precondition(&self) -> Result<(), Refusal> {
        let conflict = |code, detail| Err(Refusal::new(code, Class::Precondition, detail));
        let what = format!("{} {:?}", self.change.kind, self.change.name);
        match (self.change.precondition, self.existing()?) {
            (Precondition::Any, _) | (Precondition::Exists, Some(_)) | (Precondition::Absent, None) => Ok(()),
            (Precondition::Version(asked), Some(found)) if asked == found => Ok(()),
            (Precondition::Version(asked), Some(found)) => {
                let detail = format!("{what} has version {found}, not {asked}; read it again and decide anew");
                conflict("version_conflict", detail)
            }
            (Precondition::Version(_) | Precondition::Exists, None) => {
                conflict("version_conflict", format!("{what} does not exist"))
            }
            (Precondition::Absent, Some(found)) => {
                conflict("already_exists", format!("{what} exists already, with version {found}"))
            }
        }
    }

    /// The condition of a write to what the change names.
    fn expect(&self) -> Result<Expect, Refusal> {
        Ok(self.existing()?.map_or(Expect::Absent, Expect::Version))
    }

    /// Nothing is to be done.
    fn unchanged(&self) -> Plan {
        Plan {
            operations: Vec::new(),
            effect: Effect::Unchanged,
            finish: Finish::new(self.model.clone(), |_, _| {}),
        }
    }

    /// A plan that also writes the counters, which makes it exclude every other plan on this model.
    fn carry_out(&self, mut operations: Vec<Operation>, effect: Effect, counters: Counters, edit: Edit) -> Plan {
        operations.push(counters_operation(counters));
        let edit = move |model: &mut Model, revision| {
            edit(model, revision);
            model.counters = Counters {
                version: revision,
                ..counters
            };
        };
        Plan {
            operations,
            effect,
            finish: Finish::new(self.model.clone(), edit),
        }
    }
}

pub(crate) fn counters_operation(counters: Counters) -> Operation {
    Operation::PutDocument {
        bus: INSTALLATION,
        kind: store::Kind::Setting,
        name: COUNTERS_SETTING.to_owned(),
        expect: if counters.version == 0 {
            Expect::Absent
        } else {
            Expect::Version(counters.version)
        },
        body: documents::counters_body(counters),
    }
}

/// An edit of one bus of the model.
fn edit_bus(bus: &str, edit: impl FnOnce(&mut Bus, Revision) + Send + 'static) -> Edit {
    let bus = bus.to_owned();
    Box::new(move |model, revision| {
        if let Some(bus) = model.buses.get_mut(&bus) {
            edit(Arc::make_mut(bus), revision);
        }
    })
}
