//! The one task that changes anything declared: plans, adds what delivery has to save with it, applies all in one
//! transaction, publishes the model, and tells router and lanes. One change at a time; it plans no resources itself.

mod deleting;
pub mod master_key;
mod starting;
mod subscriptions;
mod together;
mod topics;
mod versions;

pub use starting::Unstarted;

use crate::{Changed, Error, dead, inner::Inner, redriving, replay, restore::Boundaries, retention, skipping};
use control::{
    Action, Bus, Change, Effect, Model, Plan, Subscription,
    audit::{Act, Actor},
    resources::ResourceKind,
};
use deleting::Endings;
use starting::Waiting;
use std::sync::Arc;
use store::{DeliveryKey, Expect, Kind, Operation};
use tokio::sync::{mpsc, oneshot};
use versions::NamedVersions;

/// Requests that may wait for the lanes of subscriptions that go; more wait in the channel.
const WAITING_MAX: usize = 64;

/// Where a change's outcome goes.
type Reply = oneshot::Sender<Result<Changed, Error>>;

/// Where goes what a page of dead letters did.
pub type MovedReply = oneshot::Sender<Result<dead::Moved, Error>>;

/// What is asked of the task.
#[derive(Debug)]
pub enum Request {
    /// A change of a resource.
    Change(Change, Reply),
    /// Changes of several resources that are one.
    Together(Vec<Change>, together::Reply),
    /// A page of dead letters out again, after a key; the entry in the audit trail goes with what moves.
    Redrive(dead::Selected, Option<DeliveryKey>, Option<Operation>, MovedReply),
    /// A page of dead letters away, after a key; the same.
    Discard(dead::Selected, Option<DeliveryKey>, Option<Operation>, MovedReply),
    /// Dead letters from elsewhere, and the act of whoever brings them; without one a look whether they could come.
    Import(
        String,
        Vec<dead::Exported>,
        Option<Box<Act>>,
        oneshot::Sender<Result<dead::Imported, Error>>,
    ),
    /// Begin a redrive.
    Redrives(
        Option<String>,
        Box<redriving::Document>,
        Actor,
        oneshot::Sender<Result<Arc<redriving::Handle>, Error>>,
    ),
    /// A step of a redrive, or another state.
    Redriving(
        Arc<redriving::Handle>,
        redriving::Act,
        oneshot::Sender<Result<(), Error>>,
    ),
    /// Another event for a dead letter.
    Edit(Box<dead::Edit>, oneshot::Sender<Result<store::Dead, Error>>),
    /// What subscriptions lose to retention.
    GiveUp(
        retention::Trim,
        Vec<retention::Loss>,
        oneshot::Sender<Result<bool, Error>>,
    ),
    /// A subscription goes on behind what a person skips.
    Skip(Box<skipping::Skip>, oneshot::Sender<Result<(), Error>>),
    /// Drop earlier versions of subscriptions that nothing needs any more.
    ForgetVersions,
    /// Something about the master key.
    MasterKey(master_key::Request),
    /// Begin a replay.
    Replay(Box<replay::Asked>, oneshot::Sender<Result<Arc<replay::Handle>, Error>>),
}

/// The task's state.
pub struct Changes {
    inner: Arc<Inner>,
    boundaries: Boundaries,
    named: NamedVersions,
    waiting: Waiting,
    endings: Endings,
}

impl Changes {
    /// With the boundaries that the store holds.
    pub fn new(inner: Arc<Inner>, boundaries: Boundaries) -> Self {
        Self {
            inner,
            boundaries,
            named: NamedVersions::default(),
            waiting: Waiting::default(),
            endings: Endings::default(),
        }
    }

    /// Serves until the last handle is gone or the core closes.
    pub async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        loop {
            let start_at = self.waiting.next();
            let has_room = self.endings.len() < WAITING_MAX;
            tokio::select! {
                biased;
                name = self.endings.rested() => self.end_deletion(name).await,
                () = crate::clock::sleep_until(start_at), if start_at.is_some() => self.start_waiting().await,
                request = requests.recv(), if has_room => match request {
                    Some(request) => self.serve(request).await,
                    None => return,
                },
            }
        }
    }

    /// Whoever asked may have gone; what is asked is done all the same.
    async fn serve(&mut self, request: Request) {
        match request {
            Request::Change(..) | Request::Together(..) => match self.endings.hold_back(request) {
                Some(Request::Change(change, reply)) => self.change(change, reply).await,
                Some(Request::Together(changes, reply)) => drop(reply.send(self.change_all(&changes).await)),
                _ => {}
            },
            Request::Redrive(selected, after, entry, reply) => {
                drop(reply.send(dead::redrive(&self.inner, selected, after, entry).await));
            }
            Request::Discard(selected, after, entry, reply) => {
                drop(reply.send(dead::discard(&self.inner, selected, after, entry).await));
            }
            Request::Import(bus, letters, act, reply) => {
                drop(reply.send(dead::import(&self.inner, &bus, &letters, act.as_deref()).await));
            }
            Request::Redrives(name, document, by, reply) => {
                drop(reply.send(redriving::begin(&self.inner, name, *document, by).await));
            }
            Request::Redriving(handle, act, reply) => {
                drop(reply.send(redriving::act(&self.inner, &handle, act).await));
            }
            Request::Edit(edit, reply) => drop(reply.send(edit.carry_out(&self.inner).await)),
            Request::GiveUp(trim, losses, reply) => {
                drop(reply.send(retention::record(&self.inner, trim, losses).await));
            }
            Request::MasterKey(request) => self.serve_master_key(request).await,
            Request::Skip(skip, reply) => drop(reply.send(skip.record(&self.inner).await)),
            Request::Replay(asked, reply) => drop(reply.send(asked.begin(&self.inner).await)),
            Request::ForgetVersions => {
                if let Err(error) = self.forget_versions().await {
                    tracing::warn!(%error, "failed to drop earlier versions of subscriptions; trying again later");
                }
            }
        }
    }

    fn plan(&self, change: &Change) -> Result<Plan, Error> {
        let inner = &self.inner;
        Ok(control::plan(
            &inner.model.load(),
            &inner.rules,
            &inner.sealer,
            change,
            inner.journal.now(),
        )?)
    }

    async fn change(&mut self, change: Change, reply: Reply) {
        match self.prepare(&change).await {
            Ok(plan) if plan.effect == Effect::SubscriptionDeleted => self.begin_deletion(change, reply),
            Ok(plan) => drop(reply.send(self.carry_out(&change, plan).await)),
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    /// Plans a change, once what it hangs on is in order.
    async fn prepare(&mut self, change: &Change) -> Result<Plan, Error> {
        if change.kind == ResourceKind::Subscription && matches!(change.action, Action::Put(_)) {
            self.make_room_for_version(change).await?;
        }
        let plan = self.plan(change)?;
        self.start_concerned(&plan.effect, change).await?;
        Ok(plan)
    }

    async fn carry_out(&mut self, change: &Change, mut plan: Plan) -> Result<Changed, Error> {
        let before = self.inner.model.load_full();
        if plan.effect == Effect::Unchanged {
            return Ok(Changed {
                created: false,
                written: false,
                model: before,
            });
        }
        // The same plan once more, for a look at what will be: only the versions are not known yet.
        let after = self.plan(change)?.finish.at(u64::MAX);
        plan.operations.push(self.audited(change, &before, &after));
        match plan.effect {
            Effect::SubscriptionCreated => self.create(change, plan, &after).await?,
            Effect::SubscriptionChanged => self.replace(change, plan, &after).await?,
            Effect::BusCreated | Effect::TopicPut => self.put_topics(plan, &after).await?,
            Effect::BusDeleted | Effect::TopicDeleted => self.delete_topics(plan, &after).await?,
            Effect::ConnectionPut => {
                self.apply(change, plan, Vec::new()).await?;
                self.reconnect(change);
            }
            Effect::BusDefaultsPut => {
                self.apply(change, plan, Vec::new()).await?;
                self.reconnect_bus(change);
            }
            // A subscription goes in two steps, of which this is none.
            Effect::SubscriptionDeleted | Effect::Unchanged | Effect::Other => {
                self.apply(change, plan, Vec::new()).await?;
            }
        }
        let model = self.inner.model.load_full();
        let created = before.version(change.kind, &change.bus, &change.name).is_none();
        Ok(Changed {
            created: created && is_there(&model, change),
            written: true,
            model,
        })
    }

    /// The entry of a change in the audit trail, written with it.
    fn audited(&self, change: &Change, before: &Model, after: &Model) -> Operation {
        let now = self.inner.journal.now();
        control::audit::of_change(before, after, &self.inner.sealer, change, now)
    }

    /// One transaction, then the model is published.
    async fn apply(&self, change: &Change, plan: Plan, more: Vec<Operation>) -> Result<(), Error> {
        let bus = self.inner.model.load().buses.get(&change.bus).map_or(0, |bus| bus.id);
        let operations = plan.operations.into_iter().chain(more).collect();
        let revision = self.inner.store.apply(bus, operations).await?;
        self.inner.model.store(Arc::new(plan.finish.at(revision)));
        Ok(())
    }
}

fn is_there(model: &Model, change: &Change) -> bool {
    model.version(change.kind, &change.bus, &change.name).is_some()
}

fn find(model: &Model, change: &Change) -> Result<(Arc<Bus>, Arc<Subscription>), Error> {
    debug_assert_eq!(change.kind, ResourceKind::Subscription, "only they have lanes");
    let bus = model.bus(&change.bus)?;
    let missing = || crate::told::not_found(format!("subscription {:?} does not exist", change.name));
    let subscription = bus.subscriptions.get(&change.name).ok_or_else(missing)?;
    Ok((Arc::clone(bus), Arc::clone(subscription)))
}

fn delete_document(bus: u32, kind: Kind, name: String) -> Operation {
    Operation::DeleteDocument {
        bus,
        kind,
        name,
        expect: Expect::Any,
    }
}
