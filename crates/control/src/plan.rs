//! Planning a change: what to write and what the model is afterwards. Pure: the model, the request and the time in, a plan
//! or a refusal out. The delivery core adds its own operations, applies all in one transaction and publishes the model.

use crate::{model::Model, refusal::Refusal, resources::ResourceKind, seal::Sealer};
use store::{Millis, Operation, Revision};

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
}

/// What to do with a resource.
#[derive(Clone, Debug)]
pub enum Action {
    /// Create or replace; the body is the resource's JSON (with or without `kind`, `bus`, `name`, which must agree).
    Put(serde_json::Value),
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
pub struct Finish(pub(crate) Box<dyn FnOnce(Revision) -> Model + Send>);

impl std::fmt::Debug for Finish {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Finish")
    }
}

impl Finish {
    /// The model at this revision.
    pub fn at(self, revision: Revision) -> Model {
        (self.0)(revision)
    }
}

/// What a plan changes, by name; the details are in the models before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: the resource is as asked already (its version stays, nothing is written).
    Unchanged,
    /// A bus came, with its topic `events`.
    BusCreated,
    /// A bus went, with everything in it (it must hold no subscription and no record the operator wants; see the refusal).
    BusDeleted,
    /// A topic came or its partitions or retention changed.
    TopicPut,
    /// A topic went.
    TopicDeleted,
    /// A subscription came.
    SubscriptionCreated,
    /// A subscription changed; its old document is kept as a version when its filter, types or topics changed.
    SubscriptionChanged,
    /// A subscription went.
    SubscriptionDeleted,
    /// A connection changed: its lanes take up the new one with the next attempt.
    ConnectionPut,
    /// Anything that concerns intake or doors alone: event types, bus settings, keys.
    Other,
}

/// Plans a change, or says why not. A `Put` that changes nothing is `Effect::Unchanged`.
pub fn plan(model: &Model, sealer: &Sealer, change: &Change, now: Millis) -> Result<Plan, Refusal> {
    let _ = (model, sealer, change, now);
    unimplemented!("control")
}
