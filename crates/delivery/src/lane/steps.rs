//! What goes into a lane's decisions and what comes out. Plain data.

use crate::{
    Limits, Outcomes,
    copies::CopyMaker,
    settings::LaneBounds,
    window::{Released, Window},
};
use bytes::Bytes;
use control::resources::DeliveryPolicy;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};
use store::{DeliveryKey, Holdings, Millis, Operation, Parked, Partition, Revision, SubscriptionId};

/// What a lane goes by; replaced whole when the subscription or its connection changes.
#[derive(Clone, Debug)]
pub struct Config {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The number of the replay that it carries out; 0: it delivers live traffic.
    pub replay: u32,
    /// When it was created: the `age` of older events counts from their first attempt.
    pub created: Millis,
    /// Whether a person lets it run.
    pub enabled: bool,
    /// How it delivers.
    pub policy: DeliveryPolicy,
    /// What its destination takes in one request.
    pub limits: Limits,
    /// Its bounds.
    pub bounds: LaneBounds,
    /// What copies of its dead letters are made with, if somebody wants them.
    pub copies: Option<Arc<CopyMaker>>,
}

/// A matched record, as the router hands it over.
#[derive(Clone, Debug)]
pub struct Fed {
    /// Where it was read.
    pub partition: Partition,
    /// Its offset there.
    pub offset: u64,
    /// When it was appended.
    pub appended: Millis,
    /// The subscription version that matched.
    pub version: Revision,
    /// The record, shared with the other lanes that it matched for.
    pub record: Bytes,
}

/// What happens to a lane.
#[derive(Debug)]
pub enum Input {
    /// Matched records.
    Feed(Vec<Fed>),
    /// A request ended.
    Finished {
        /// Which, from [`Action::Attempt`].
        token: u64,
        /// When it began.
        started: Millis,
        /// How it ended.
        outcomes: Outcomes,
    },
    /// The last [`Action::Apply`] ended.
    Written(Result<(), store::Error>),
    /// The last [`Action::LoadParked`] ended: rows by due time, due or not, at most as many as asked for.
    Loaded {
        /// How many were asked for.
        limit: usize,
        /// The rows.
        rows: Result<Vec<Parked>, store::Error>,
    },
    /// The last [`Action::LoadHead`] ended.
    HeadLoaded(DeliveryKey, Result<Option<Parked>, store::Error>),
    /// The subscription or its connection changed; whether its destination can be made, or why not.
    Configure(Box<Config>, Result<(), String>),
    /// A person lets it go on after a 410 or a bound.
    Resume,
    /// Dead letters became parked rows.
    Redriven(Vec<Parked>),
    /// Dead letters were discarded.
    Discarded {
        /// How many.
        events: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// A replay into the subscription made dead letters.
    Buried {
        /// How many.
        events: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// Copies of dead letters were written, for this lane to deliver.
    Copied(Vec<Parked>),
    /// Copies of dead letters are delivered: there may be room for more.
    CopiesWent,
    /// Saved positions have passed these offsets.
    Saved(Vec<(Partition, u64)>),
    /// What is not in flight goes back, because some of it may be given up.
    LetGo,
    /// A range was given up.
    GaveUp {
        /// Where.
        partition: Partition,
        /// Its first offset.
        from: u64,
        /// Offset after its last.
        to: u64,
    },
    /// A replay read a range again that it had read before; what it does not want there now is not waited for.
    ReadAgain {
        /// Where.
        partition: Partition,
        /// Its first offset.
        from: u64,
        /// Offset after its last.
        to: u64,
        /// What it wants of it.
        wanted: BTreeSet<u64>,
    },
    /// No attempt begins any more; what is in memory goes back.
    Stop,
    /// Time has passed.
    Timer,
}

/// What a lane wants done. Each of the store's actions is answered by its input before the next one of its kind is asked.
#[derive(Debug)]
pub enum Action {
    /// Make a request.
    Attempt(Start),
    /// One transaction.
    Apply(Vec<Operation>),
    /// Load parked rows by due time, blocked ones excluded.
    LoadParked {
        /// At most this many.
        limit: usize,
    },
    /// Load one parked row.
    LoadHead(DeliveryKey),
}

/// A request to make.
#[derive(Clone, Debug)]
pub struct Start {
    /// To be given back with the outcomes.
    pub token: u64,
    /// What it is to hold.
    pub dues: Vec<Due>,
}

/// One delivery of a request.
#[derive(Clone, Debug)]
pub struct Due {
    /// Which delivery.
    pub key: DeliveryKey,
    /// The record.
    pub record: Bytes,
    /// When it was appended.
    pub appended: Millis,
    /// From 1.
    pub number: u32,
    /// For the webhook id.
    pub edits: u32,
    /// The subscription version that matched.
    pub version: Revision,
}

/// What a lane takes from the router now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Nothing: paused, stopped, or its breaker is open.
    Nothing,
    /// One record: a probe.
    One,
    /// Up to its bounds.
    Bounded,
}

/// What a step did to the outside's accounting.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// What left the span.
    pub released: Released,
    /// Dead letters made by a replay, for the subscription's own lane, which counts them all: how many, and their bytes.
    pub buried: (u64, u64),
    /// Copies of dead letters that are written, for their lane.
    pub copied: Vec<Parked>,
    /// Whether copies of dead letters, which this lane delivers, went.
    pub copies_went: bool,
    /// Partitions whose oldest unsettled record may have changed.
    pub touched: BTreeSet<Partition>,
    /// Where the router has to read again from.
    pub rewound: BTreeMap<Partition, u64>,
}

/// What the store knows of a lane when it starts.
#[derive(Debug, Default)]
pub struct Restored {
    /// A window for each partition that it has a position or marks in.
    pub windows: HashMap<Partition, Window>,
    /// What it holds.
    pub holdings: Holdings,
    /// The order keys of its parked rows.
    pub orders: Vec<(u64, DeliveryKey)>,
    /// Whether its endpoint said that it is gone, and nobody has resumed the lane since.
    pub is_gone: bool,
}
