//! What the tasks and the handle share, and how they reach each other. It decides nothing.

use crate::{
    Error, Settings,
    changes::{Request, Unstarted},
    copies::{self, Copies},
    inbox::{NodeBytes, Unsaved},
    intake::Gauge,
    lane::Input,
    lane_handle::{Command, LaneHandle},
    operational::Reporter,
    replay::{Registry, Replaying},
    restore::{all_partitions, partitions_of},
    router::{Message, Place},
    view::View,
};
use arc_swap::ArcSwap;
use control::{
    Model,
    audit::{Act, Actor, Deed},
    usage::Exceeded,
};
use journal::{Journal, PartitionId};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use store::{AttemptHistory, BusId, Store, SubscriptionId};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::JoinHandle,
};

/// What the tasks and the handle share.
pub struct Inner {
    /// For what a lane owns and must not keep alive.
    pub(crate) itself: Weak<Inner>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) attempts: Arc<AttemptHistory>,
    pub(crate) model: ArcSwap<Model>,
    pub(crate) sealer: control::seal::Sealer,
    pub(crate) sealing: crate::sealing::Sealing,
    pub(crate) rules: control::Rules,
    pub(crate) destinations: crate::DestinationFactory,
    pub(crate) settings: Settings,
    pub(crate) view: Arc<View>,
    pub(crate) node_bytes: Arc<NodeBytes>,
    pub(crate) unsaved: Arc<Unsaved>,
    pub(crate) replaying: Arc<Replaying>,
    pub(crate) replays: Registry,
    pub(crate) redrives: crate::redriving::Registry,
    pub(crate) copies: Arc<Copies>,
    pub(crate) room: mpsc::UnboundedSender<SubscriptionId>,
    pub(crate) lanes: RwLock<HashMap<SubscriptionId, LaneHandle>>,
    pub(crate) gauges: RwLock<HashMap<BusId, Arc<Gauge>>>,
    pub(crate) router: mpsc::Sender<Message>,
    pub(crate) changes: mpsc::Sender<Request>,
    pub(crate) closing: AtomicBool,
    pub(crate) unstarted: Mutex<BTreeMap<SubscriptionId, Unstarted>>,
    pub(crate) poisoned: Notify,
    pub(crate) reporter: Reporter,
    pub(crate) live: crate::live::Hubs,
    pub(crate) tasks: Mutex<Vec<(&'static str, JoinHandle<()>)>>,
    /// Held while the core shuts down; whether it has.
    pub(crate) ended: tokio::sync::Mutex<bool>,
}

impl Inner {
    /// A subscription's lane.
    pub(crate) fn lane(&self, subscription: SubscriptionId) -> Option<LaneHandle> {
        self.lanes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&subscription)
            .cloned()
    }

    pub(crate) fn lanes(&self) -> Vec<LaneHandle> {
        self.lanes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    pub(crate) fn insert_lane(&self, subscription: SubscriptionId, lane: LaneHandle) {
        self.lanes
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(subscription, lane);
    }

    pub(crate) fn remove_lane(&self, subscription: SubscriptionId) {
        self.lanes
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&subscription);
    }

    pub(crate) async fn tell_router(&self, message: Message) -> Result<(), Error> {
        self.router.send(message).await.map_err(|_| Error::Closing)
    }

    pub(crate) async fn request(&self, request: Request) -> Result<(), Error> {
        self.changes.send(request).await.map_err(|_| Error::Closing)
    }

    pub(crate) fn gauge(&self, bus: BusId) -> Arc<Gauge> {
        if let Some(gauge) = self.gauges.read().unwrap_or_else(PoisonError::into_inner).get(&bus) {
            return Arc::clone(gauge);
        }
        Arc::clone(
            self.gauges
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(bus)
                .or_default(),
        )
    }

    /// Takes events and bytes from the quotas of its bus.
    pub(crate) fn within_quotas(&self, bus: &control::Bus, events: usize, bytes: usize) -> Result<(), Exceeded> {
        let quotas = &bus.spec.quotas;
        if quotas.is_empty() {
            return Ok(());
        }
        let (now, bytes) = (std::time::Instant::now(), bytes as u64);
        let stored = || {
            let partitions = bus.topics.values().flat_map(|topic| partitions_of(bus, topic));
            let segments = partitions.filter_map(|partition| self.journal.segments(partition).ok());
            segments.flatten().map(|segment| segment.bytes).sum()
        };
        let usage = &bus.usage;
        usage
            .admit_stored(quotas, now, bytes, stored)
            .and_then(|()| usage.admit_to_bus(quotas, now, events as u64, bytes))
    }

    /// The write of an entry in the audit trail, to go with what is done to a thing of a bus.
    pub(crate) fn entry(
        &self,
        by: Actor,
        bus: BusId,
        action: Deed,
        (kind, name): (&'static str, &str),
        details: serde_json::Value,
    ) -> store::Operation {
        let model = self.model.load();
        let act = Act {
            by,
            action,
            bus_id: bus,
            bus: model.bus_by_id(bus).map_or_else(String::new, |bus| bus.name.clone()),
            kind,
            name: name.to_owned(),
            changes: Vec::new(),
            details,
        };
        act.operation(self.journal.now())
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Relaxed)
    }

    pub(crate) fn watch(&self, name: &'static str, task: JoinHandle<()>) {
        self.tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((name, task));
    }

    /// A task that is over, although none ends before the core does.
    pub(crate) fn ended_task(&self) -> Option<&'static str> {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.iter().find(|(_, task)| task.is_finished()).map(|(name, _)| *name)
    }

    /// Every partition's tail position as the router has it: what a new lane is placed by.
    pub fn tails(&self) -> BTreeMap<PartitionId, u64> {
        all_partitions(&self.model.load())
            .into_iter()
            .map(|partition| (partition, self.view.tail(partition)))
            .collect()
    }

    /// Where every lane stands.
    pub async fn places(&self) -> Result<HashMap<SubscriptionId, Vec<Place>>, Error> {
        let (reply, places) = oneshot::channel();
        self.tell_router(Message::Places(reply)).await?;
        places.await.map_err(|_| Error::Closing)
    }

    /// Stops serving a lane, and says where it stands; nothing of a lane that is not there.
    pub async fn freeze(&self, subscription: SubscriptionId) -> Result<Vec<Place>, Error> {
        let (reply, places) = oneshot::channel();
        self.tell_router(Message::Freeze(subscription, reply)).await?;
        places.await.map_err(|_| Error::Closing)
    }

    /// Lets a lane go on after a 410 or a bound.
    pub fn resume_lane(&self, subscription: SubscriptionId) {
        if let Some(lane) = self.lane(subscription) {
            lane.send(Command::Step(Input::Resume));
        }
        copies::resume(self, subscription);
    }
}
