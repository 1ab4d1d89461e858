//! The contract every store keeps, and the plain rows it holds. It contains no logic.

use bytes::Bytes;
use std::{future::Future, pin::Pin};

/// A future that the contract hands out; boxed so that `dyn Store` works.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A bus's internal number; 0 is the installation itself (buses, counters). Never reused.
pub type BusId = u32;
/// A subscription's internal number. Never reused.
pub type SubscriptionId = u64;
/// Grows with every [`Store::apply`]; a document's version is the revision that wrote it, so a deleted and recreated
/// document never repeats one.
pub type Revision = u64;
/// Milliseconds since the Unix epoch.
pub type Millis = i64;

/// What a document is. Persisted numbers, keep stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A bus; under bus 0.
    Bus = 1,
    /// A topic.
    Topic = 2,
    /// An event type.
    EventType = 3,
    /// A connection, its secrets sealed.
    Connection = 4,
    /// A subscription, the version in force.
    Subscription = 5,
    /// An earlier version of a subscription that something still needs; its name is `{subscription id}/{version}`.
    SubscriptionVersion = 6,
    /// A key; under bus 0.
    Key = 7,
    /// A counter or a setting of the installation; under bus 0.
    Setting = 8,
}

/// A stored document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Whose it is.
    pub bus: BusId,
    /// What it is.
    pub kind: Kind,
    /// Its name, unique for bus and kind.
    pub name: String,
    /// The revision that wrote it.
    pub version: Revision,
    /// Its content; opaque here.
    pub body: Bytes,
}

/// Entries that one [`Operation::TrimAudit`] removes: bounds what a transaction has to hold.
pub const AUDIT_TRIM_MAX: u64 = 10_000;

/// What must hold for a document write to happen; otherwise the whole `apply` changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Anything.
    Any,
    /// It does not exist.
    Absent,
    /// It has this version.
    Version(Revision),
}

/// A partition: the topic's internal number and the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The topic's internal number.
    pub topic: u32,
    /// The partition's index.
    pub index: u32,
}

/// A delivery of a subscription: unique, and the key of its parked or dead row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryKey {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The partition the record was read from.
    pub partition: Partition,
    /// Its offset.
    pub offset: u64,
    /// 0 for live traffic; a replay's number otherwise.
    pub replay: u32,
}

/// A delivery that waits in the store for its next attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Which delivery.
    pub key: DeliveryKey,
    /// When to try again, wall time.
    pub due: Millis,
    /// Attempts made so far in this round (a redrive starts anew).
    pub attempts: u32,
    /// When the first attempt of this round was made; `None` if none yet.
    pub first_attempt: Option<Millis>,
    /// The record's append time.
    pub appended: Millis,
    /// Whether `age` counts from the first attempt (a redrive, a replay, or an event older than the subscription).
    pub age_from_first_attempt: bool,
    /// The subscription version that matched.
    pub version: Revision,
    /// A hash of the record's key, with `ordering: key`.
    pub order: Option<u64>,
    /// How often it was edited by a redrive (`_eN` of the webhook id).
    pub edits: u32,
    /// The class of the last failure, e.g. `http_503`.
    pub reason: String,
    /// The journal's record, encoded.
    pub record: Bytes,
}

/// A delivery that was given up, for a person to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dead {
    /// As parked; `due` is the time of death.
    pub delivery: Parked,
    /// The event's type, for lists.
    pub event_type: String,
    /// The event's id, for lists.
    pub event_id: String,
    /// The event's source, for lists.
    pub event_source: String,
    /// What the last failure said, in words.
    pub detail: String,
}

/// How a delivery ended, or where it went, above the saved position. Persisted numbers, keep stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Ending {
    /// It waits in a parked row.
    Parked = 1,
    /// It is a dead letter.
    Dead = 2,
    /// A person discarded it.
    Discarded = 3,
    /// It was delivered after it had been parked (or out of order).
    Delivered = 4,
}

/// A mark: an offset above the saved position that a re-read must skip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which delivery.
    pub key: DeliveryKey,
    /// What became of it.
    pub ending: Ending,
}

/// Why a range of records was given up or never delivered. Persisted numbers, keep stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RangeReason {
    /// Retention gave it up.
    Expired = 1,
    /// Its file is broken, or the journal has lost it.
    Damaged = 2,
    /// The subscription was deleted with it unsettled, or a person discarded its dead letter.
    Discarded = 3,
    /// A person had the subscription go on behind it.
    Skipped = 4,
}

/// A recorded range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The partition.
    pub partition: Partition,
    /// First offset.
    pub from: u64,
    /// Offset after the last.
    pub to: u64,
    /// How many events in it matched, where that is known.
    pub matched: Option<u64>,
    /// Why.
    pub reason: RangeReason,
    /// When.
    pub recorded: Millis,
}

/// A lane's own position and the floor below which it never re-reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneRow {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The partition.
    pub partition: Partition,
    /// Everything below is settled or marked.
    pub position: u64,
    /// `start: now` resolved: no re-read goes below.
    pub floor: u64,
    /// Whether the lane has nothing of its own here any more: the tail position serves it, and only the floor counts.
    pub follows_tail: bool,
}

/// One step of a transaction.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Creates or replaces a document.
    PutDocument {
        /// Whose.
        bus: BusId,
        /// What.
        kind: Kind,
        /// Name.
        name: String,
        /// Condition.
        expect: Expect,
        /// Content.
        body: Bytes,
    },
    /// Deletes a document; deleting one that is absent fails unless `expect` is `Any`.
    DeleteDocument {
        /// Whose.
        bus: BusId,
        /// What.
        kind: Kind,
        /// Name.
        name: String,
        /// Condition.
        expect: Expect,
    },
    /// Saves the tail position of a partition.
    SaveTail {
        /// The partition.
        partition: Partition,
        /// Everything below is settled for every lane without a row of its own.
        position: u64,
    },
    /// Saves a lane's own row.
    SaveLane(LaneRow),
    /// Inserts or replaces a parked row.
    Park(Parked),
    /// Deletes a parked row.
    Unpark(DeliveryKey),
    /// Inserts or replaces a dead row.
    Bury(Dead),
    /// Deletes a dead row.
    Exhume(DeliveryKey),
    /// Leaves a mark.
    Mark(Mark),
    /// Deletes marks below a position.
    ClearMarks {
        /// The subscription.
        subscription: SubscriptionId,
        /// The partition.
        partition: Partition,
        /// Those of this replay; 0: those of live traffic.
        replay: u32,
        /// Exclusive bound.
        below: u64,
    },
    /// Records a range.
    RecordRange(Range),
    /// Deletes the discarded ranges of a partition that end there or before, of whatever subscription: nobody asks about events that
    /// are not kept any more.
    ForgetDiscarded {
        /// The partition.
        partition: Partition,
        /// Inclusive bound of their ends.
        to: u64,
    },
    /// Deletes every row of a subscription except its ranges.
    ForgetSubscription(SubscriptionId),
    /// Deletes the parked rows and marks of one replay into a subscription; its dead letters stay.
    ForgetReplay {
        /// The subscription.
        subscription: SubscriptionId,
        /// The replay's number.
        replay: u32,
    },
    /// Deletes the tail positions, lane rows and marks of a topic.
    ForgetTopic(u32),
    /// Adds an entry to the audit trail, chained to the one before.
    Audit {
        /// When.
        at: Millis,
        /// The bus that it is about; 0: the installation.
        bus: BusId,
        /// What it says.
        body: Bytes,
    },
    /// Removes the oldest entries of the audit trail: those before the first that is not older than this. At most
    /// [`AUDIT_TRIM_MAX`] at once.
    TrimAudit {
        /// Exclusive bound.
        before: Millis,
    },
    /// Where entries of the audit trail lie behind what is said to be its last one, the last that there is becomes it. Changes nothing
    /// of a trail that has its end.
    MendAuditEnd,
}

/// Which parked deliveries of a subscription: each belongs to one lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Portion {
    /// All but those of these replays, which have lanes of their own.
    Except(Vec<u32>),
    /// Those of one replay.
    Replay(u32),
}

/// Which dead letters.
#[derive(Clone, Debug, Default)]
pub struct DeadQuery {
    /// Of these subscriptions only (the caller resolves a bus or a name to numbers).
    pub subscriptions: Vec<SubscriptionId>,
    /// Of this reason only.
    pub reason: Option<String>,
    /// Of reasons that begin with this only.
    pub reason_prefix: Option<String>,
    /// Of events of this id only.
    pub event_id: Option<String>,
    /// Of events of this type only.
    pub event_type: Option<String>,
    /// That died then or later only.
    pub died_from: Option<Millis>,
    /// That died before then only.
    pub died_to: Option<Millis>,
    /// After this key, in key order.
    pub after: Option<DeliveryKey>,
    /// At most this many.
    pub limit: usize,
    /// The last one is that with which their records have this many bytes; `None`: however many they have.
    pub bytes_max: Option<u64>,
}

impl DeadQuery {
    /// Whether nothing is to follow what was found: the limit, or the bytes.
    pub(crate) fn is_filled(&self, found: usize, bytes: u64) -> bool {
        found >= self.limit || self.bytes_max.is_some_and(|max| bytes >= max)
    }
}

/// How much a subscription holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Parked deliveries.
    pub parked: u64,
    /// Their records' bytes.
    pub parked_bytes: u64,
    /// The earliest due time of a parked one.
    pub next_due: Option<Millis>,
    /// Dead letters.
    pub dead: u64,
    /// Their records' bytes.
    pub dead_bytes: u64,
}

/// An entry of the audit trail: who did what, opaque here. Entries are only added, and go oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// From 1 on, without a gap.
    pub seq: u64,
    /// When.
    pub at: Millis,
    /// The bus that it is about; 0: the installation.
    pub bus: BusId,
    /// What it says.
    pub body: Bytes,
    /// Over this entry and the hash before; see [`crate::audit`].
    pub hash: crate::audit::AuditHash,
}

/// An end of the audit trail: an entry's number and hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditEnd {
    /// The entry; 0: before all.
    pub seq: u64,
    /// Its hash; zeroes before all.
    pub hash: crate::audit::AuditHash,
}

/// Which way entries of the audit trail are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditOrder {
    /// From the first on.
    OldestFirst,
    /// From the last on.
    NewestFirst,
}

/// Which entries of the audit trail.
#[derive(Clone, Copy, Debug)]
pub struct AuditQuery {
    /// Of this bus only.
    pub bus: Option<BusId>,
    /// After this entry.
    pub after: u64,
    /// Before this entry.
    pub before: u64,
    /// Which way.
    pub order: AuditOrder,
    /// At most this many.
    pub limit: usize,
}

/// What a store's callers can do about a failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A condition did not hold; nothing was changed.
    #[error("write {kind:?} {name:?}: its version is {found:?}")]
    Conflict {
        /// What.
        kind: Kind,
        /// Name.
        name: String,
        /// The version found, if it exists.
        found: Option<Revision>,
    },
    /// No space left; nothing was changed, a later try can succeed.
    #[error("write to the store: no space left")]
    OutOfSpace,
    /// The file is damaged.
    #[error("read the store: {0}")]
    Corrupt(String),
    /// Written by a newer version.
    #[error("open the store: format {found}, this program knows up to {known}")]
    UnknownFormat {
        /// Found there.
        found: u32,
        /// Known here.
        known: u32,
    },
    /// Anything else the engine said; whether a later try can succeed is not known.
    #[error("use the store: {0}")]
    Engine(String),
    /// Shut down.
    #[error("use a closed store")]
    Closed,
}

/// Work on a thread of its own that panicked. What the panic said is not repeated: it may hold data.
pub(crate) fn broke_off(work: &str) -> Error {
    Error::Engine(format!("{work} broke off"))
}

/// Documents and delivery state.
///
/// An implementation MUST make an `apply` all or nothing and durable before it resolves, MUST keep the order of `apply`
/// calls of one caller, and MUST serve buses round-robin when several have calls waiting. It MUST NOT interpret bodies.
pub trait Store: Send + Sync + 'static {
    /// One transaction. `bus` is for fairness only. A future that is dropped before it resolves leaves the outcome open.
    fn apply(&self, bus: BusId, operations: Vec<Operation>) -> BoxFuture<'_, Result<Revision, Error>>;

    /// One document.
    fn document(&self, bus: BusId, kind: Kind, name: &str) -> BoxFuture<'_, Result<Option<Document>, Error>>;

    /// All documents of all buses, ordered by bus, kind and name.
    fn documents(&self) -> BoxFuture<'_, Result<Vec<Document>, Error>>;

    /// All tail positions.
    fn tails(&self) -> BoxFuture<'_, Result<Vec<(Partition, u64)>, Error>>;

    /// All lane rows.
    fn lanes(&self) -> BoxFuture<'_, Result<Vec<LaneRow>, Error>>;

    /// A subscription's marks.
    fn marks(&self, subscription: SubscriptionId) -> BoxFuture<'_, Result<Vec<Mark>, Error>>;

    /// A portion of a subscription's parked deliveries with `due <= until`, earliest first, at most `limit`.
    fn parked(
        &self,
        subscription: SubscriptionId,
        portion: Portion,
        until: Millis,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Parked>, Error>>;

    /// The order keys of a subscription's parked deliveries, with each one's delivery key, in (order, partition, offset)
    /// order.
    fn parked_orders(&self, subscription: SubscriptionId) -> BoxFuture<'_, Result<Vec<(u64, DeliveryKey)>, Error>>;

    /// The parked deliveries of one record, of every subscription and replay, in that order: for an event's story.
    fn parked_at(&self, partition: Partition, offset: u64) -> BoxFuture<'_, Result<Vec<Parked>, Error>>;

    /// The keys of a partition's parked deliveries and dead letters from an offset on, of every subscription, in that order.
    fn held_from(&self, partition: Partition, offset: u64) -> BoxFuture<'_, Result<Vec<DeliveryKey>, Error>>;

    /// The versions of a subscription that its parked deliveries and dead letters name, ascending. It may look at every row of
    /// it, so it is asked seldom.
    fn versions_held(&self, subscription: SubscriptionId) -> BoxFuture<'_, Result<Vec<Revision>, Error>>;

    /// Dead letters.
    fn dead(&self, query: DeadQuery) -> BoxFuture<'_, Result<Vec<Dead>, Error>>;

    /// How many dead letters, and the bytes of their records; without regard to `after` and `limit`.
    fn dead_count(&self, query: DeadQuery) -> BoxFuture<'_, Result<(u64, u64), Error>>;

    /// Recorded ranges of a subscription, newest last.
    fn ranges(&self, subscription: SubscriptionId) -> BoxFuture<'_, Result<Vec<Range>, Error>>;

    /// What every subscription that has any holds.
    fn holdings(&self) -> BoxFuture<'_, Result<Vec<(SubscriptionId, Holdings)>, Error>>;

    /// What one replay into a subscription has parked; its dead letters count for the subscription alone, and are 0 here. It
    /// looks at every parked row of the subscription, so it is asked seldom.
    fn replay_holdings(&self, subscription: SubscriptionId, replay: u32) -> BoxFuture<'_, Result<Holdings, Error>>;

    /// Entries of the audit trail.
    fn audit(&self, query: AuditQuery) -> BoxFuture<'_, Result<Vec<AuditEntry>, Error>>;

    /// The ends of the audit trail: what is before its first entry, and its last one.
    fn audit_ends(&self) -> BoxFuture<'_, Result<(AuditEnd, AuditEnd), Error>>;

    /// Finishes accepted work and closes. Idempotent.
    fn shutdown(&self) -> BoxFuture<'_, Result<(), Error>>;
}
