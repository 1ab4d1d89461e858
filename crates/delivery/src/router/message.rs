//! What others ask of the router, and what it is made with. Plain data.

use super::Reader;
use crate::{Settings, inbox::Unsaved, matching::Rules, operational::Reporter, positions::Cursor, view::View};
use journal::{Journal, PartitionId, Tail};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};
use store::{Store, SubscriptionId};
use tokio::sync::{mpsc, oneshot};

/// Where a lane stands, for changes and retention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The partition.
    pub partition: PartitionId,
    /// Everything below is settled or marked.
    pub position: u64,
    /// The highest it has read to.
    pub frontier: u64,
    /// No re-read goes below.
    pub floor: u64,
    /// The position that the store has: after a crash it reads on there. 0 where that is not known.
    pub saved: u64,
}

/// What others ask of the router.
#[derive(Debug)]
pub enum Message {
    /// Serve a lane; answered when it is so: what becomes readable then, it gets.
    Add(Box<Reader>, oneshot::Sender<()>),
    /// Stop serving it, and say where it stands: the boundary of its next version, or its end.
    Freeze(SubscriptionId, oneshot::Sender<Vec<Place>>),
    /// It is read by these rules, which differ from the ones before in the version's number only.
    Renumber(SubscriptionId, Arc<Rules>),
    /// Serve it again, by these rules, with cursors for these partitions added.
    Thaw {
        /// Which.
        subscription: SubscriptionId,
        /// Its new rules; absent: as before.
        rules: Option<Arc<Rules>>,
        /// New places.
        cursors: BTreeMap<PartitionId, Cursor>,
    },
    /// Forget it.
    Remove(SubscriptionId),
    /// Topics came or went, or grew: these are all partitions; whole-bus lanes' rules come along.
    Partitions {
        /// All partitions of the model.
        partitions: BTreeSet<PartitionId>,
        /// New rules of lanes whose topics changed with it.
        rules: Vec<(SubscriptionId, Arc<Rules>)>,
        /// Answered when it is so.
        done: oneshot::Sender<()>,
    },
    /// Where every lane stands.
    Places(oneshot::Sender<HashMap<SubscriptionId, Vec<Place>>>),
    /// Everything below goes; ranges and rows of these lanes, which are frozen, are written.
    Skip {
        /// The partition.
        partition: PartitionId,
        /// Offset after its last.
        to: u64,
        /// Whose ranges.
        lanes: BTreeSet<SubscriptionId>,
        /// Answered when it is so.
        done: oneshot::Sender<()>,
    },
    /// A lane, which is frozen, goes on from these places: ranges and rows are written.
    SkipTo {
        /// Which.
        subscription: SubscriptionId,
        /// Where it reads on, partition by partition.
        places: Vec<(PartitionId, u64)>,
        /// Answered when it is so.
        done: oneshot::Sender<()>,
    },
    /// Save positions now; answered when it is done, or has failed and will be tried again.
    Save(oneshot::Sender<()>),
    /// Read nothing more, wait for scans, save positions, end.
    Shutdown,
    /// Save positions once more and end; lanes have come to rest.
    SaveAndEnd(oneshot::Sender<()>),
}

/// What the router starts with.
pub struct Start {
    /// The journal.
    pub journal: Arc<dyn Journal>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Bounds and intervals.
    pub settings: Settings,
    /// What it shows.
    pub view: Arc<View>,
    /// Lanes whose standing changed.
    pub unsaved: Arc<Unsaved>,
    /// Where losses are told.
    pub reporter: Reporter,
    /// All partitions, with their saved tail positions.
    pub tails: BTreeMap<PartitionId, u64>,
    /// All lanes.
    pub readers: Vec<Reader>,
}

/// The channels that a router listens to.
pub struct Channels {
    /// From the core.
    pub messages: mpsc::Receiver<Message>,
    /// From lanes that have room.
    pub room: mpsc::UnboundedReceiver<SubscriptionId>,
    /// From the journal.
    pub tail: Tail,
}
