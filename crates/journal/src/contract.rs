//! The contract every journal keeps, and the plain types it speaks in. It holds no logic.

use crate::record::{EncodedRecord, RecordView};
use bytes::Bytes;
use std::{future::Future, pin::Pin, time::Duration};

/// A future that the contract hands out; boxed so that `dyn Journal` works.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A topic, by its internal numbers. Made with the topic's document in the store and never reused; names never reach
/// the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId {
    /// The bus (tenant) that owns the topic; identities are unique per bus.
    pub bus: u32,
    /// The topic within the installation.
    pub topic: u32,
}

/// One partition of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId {
    /// The topic.
    pub topic: TopicId,
    /// From 0 to the topic's number of partitions, exclusive.
    pub index: u32,
}

/// A record's place in its partition. Strictly increasing; gaps are allowed by the contract.
pub type Offset = u64;

/// Milliseconds since the Unix epoch, stamped by the journal; never going back within one journal.
pub type AppendTime = i64;

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The partition.
    pub partition: PartitionId,
    /// The offset in it.
    pub offset: Offset,
}

/// What the journal indexes and deduplicates an entry by. Both are computed by the caller (and, when an index is rebuilt,
/// by [`Settings::identify`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// A hash of what a person looks an event up by: the event's id.
    pub lookup: u64,
    /// A hash of source and id: equal means "the same event" within one bus.
    pub unique: u128,
}

/// What a record is to its [`Entry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The first one: a duplicate is answered with its position.
    Primary,
    /// One of the others, on a secondary topic.
    Copy,
}

/// Computes the [`Identity`] of a stored record and what it is to its entry, for rebuilding indexes; `None` for a record
/// that is not indexed (a copy is indexed for lookup as well, so it has one).
pub type Identify = fn(TopicId, &RecordView<'_>) -> Option<(Identity, Role)>;

/// How an entry's identity is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deduplicate {
    /// If the identity was appended to this bus within the window, nothing is appended and the first record's position is
    /// the outcome, once that one is durable.
    Yes,
    /// Always appended: Kafka produce, replay.
    No,
}

/// One event: its record on the primary topic, then its copies on further topics, all or nothing.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it is indexed and deduplicated by.
    pub identity: Option<Identity>,
    /// Whether a duplicate is dropped.
    pub deduplicate: Deduplicate,
    /// At least one; the first is the primary.
    pub records: Vec<(PartitionId, EncodedRecord)>,
}

/// All entries of one request: they land in one frame, so all of them survive a crash or none does.
#[derive(Clone, Debug, Default)]
pub struct Append {
    /// In order; records of one partition get increasing offsets in this order.
    pub entries: Vec<Entry>,
}

/// What became of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Where the primary record stands (for a duplicate: where the first one stands).
    pub position: Position,
    /// When it was appended.
    pub append_time: AppendTime,
    /// Whether it was dropped as a duplicate.
    pub duplicate: bool,
}

/// Resolves when every record of the request, and the first record of every duplicate in it, is durable. Dropping it does
/// not undo the append.
pub type Durable = BoxFuture<'static, Result<Vec<Appended>, Error>>;

/// What a journal can promise beyond the base contract; the conformance suite tests what is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// An [`Append`] over several topics is all or nothing.
    pub atomic_over_topics: bool,
    /// Duplicates within the window are recognised.
    pub deduplication: bool,
    /// [`Journal::find`] works.
    pub find_by_identity: bool,
    /// Nothing is removed except by [`Journal::trim`].
    pub hold: bool,
}

/// Some consecutive records of one partition, as RecordBatch v2 bytes shared with the journal: at the tail only what is a small
/// part of a large frame is copied.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Whole batches in offset order. The first may begin below the offset asked for: skip by offset.
    pub batches: Vec<StoredBatch>,
    /// Where to read on: the offset after the last record here, or the offset asked for when there was none.
    pub next: Offset,
    /// The partition's first readable offset.
    pub start: Offset,
    /// The offset after the last durable record.
    pub high_water: Offset,
}

/// One RecordBatch v2, with the append time that the journal keeps outside it.
#[derive(Clone, Debug)]
pub struct StoredBatch {
    /// When it was appended.
    pub append_time: AppendTime,
    /// The batch, header included, exactly as a Kafka fetch would return it. Verified before it is handed out.
    pub bytes: Bytes,
}

/// The bounds of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// First readable offset.
    pub start: Offset,
    /// Offset after the last durable record.
    pub high_water: Offset,
}

/// One stretch of a partition that can be trimmed as a whole, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// First offset.
    pub base: Offset,
    /// Offset after the last.
    pub next: Offset,
    /// Size on disk.
    pub bytes: u64,
    /// Append time of its newest record.
    pub newest: AppendTime,
    /// Whether it still grows (an active segment may be trimmed too: it is rolled first).
    pub active: bool,
}

/// Whether the journal takes appends, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// All well.
    Serving,
    /// Free space is below the publish mark; resumes by itself.
    OutOfSpace {
        /// Bytes free on the volume.
        free: u64,
        /// Bytes that must be free.
        needed: u64,
    },
    /// The process has too little of something else; resumes by itself.
    Exhausted(Shortage),
    /// The write-ahead set is at its cap because checkpoints do not keep up; resumes by itself.
    Behind,
    /// A sync failed: nothing is accepted any more, the process must drain and exit.
    Poisoned {
        /// What failed, for the operator.
        reason: String,
    },
    /// Shut down.
    Closed,
}

/// What the process may have too little of, besides room on the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Shortage {
    /// It, or the system, has as many files and connections open as it may.
    #[error("no more files can be opened")]
    OpenFiles,
    /// The system has none left for it.
    #[error("no more memory is given")]
    Memory,
}

/// How full the volume is, for the marks of retention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskSpace {
    /// Bytes in all.
    pub total: u64,
    /// Bytes free.
    pub free: u64,
}

/// A damaged stretch of one partition that was put into quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The partition.
    pub partition: PartitionId,
    /// First offset that cannot be read.
    pub from: Offset,
    /// Offset after the last that cannot be read.
    pub to: Offset,
    /// What is wrong, with file and position.
    pub reason: String,
}

/// Counters since start, for metrics. Cheap to take.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Records made durable.
    pub records: u64,
    /// Bytes of records made durable.
    pub bytes: u64,
    /// Frames synced.
    pub syncs: u64,
    /// Sum of sync durations.
    pub sync_seconds: f64,
    /// Counts of syncs by upper bound in seconds, as a Prometheus histogram (cumulative counts are made by the reader).
    pub sync_histogram: Vec<(f64, u64)>,
    /// Requests waiting for the commit.
    pub queued: u64,
    /// Bytes waiting for the commit.
    pub queued_bytes: u64,
    /// Bytes durable but not yet in segments.
    pub unflushed_bytes: u64,
    /// Bytes of write-ahead files in use.
    pub write_ahead_bytes: u64,
    /// Duplicates dropped.
    pub duplicates: u64,
    /// Entries in the deduplication map.
    pub identities: u64,
    /// Damaged ranges known.
    pub damaged: u64,
    /// Set while the wall clock is far ahead of the monotonic clock.
    pub clock_alarm: bool,
}

/// The clocks as the journal sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// What [`Journal::now`] says.
    pub append_time: AppendTime,
    /// The wall clock, in milliseconds since the Unix epoch.
    pub wall_time: i64,
    /// Whether the wall clock is too far ahead of the monotonic clock to be believed: append time goes on without it.
    pub alarm: bool,
}

/// What the journal's callers can do about a failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The topic or partition does not exist (any more).
    #[error("find partition {0:?}")]
    UnknownPartition(PartitionId),
    /// The request cannot be kept in one frame.
    #[error("fit {encoded} encoded bytes into one frame of at most {max}")]
    TooLarge {
        /// Encoded size.
        encoded: usize,
        /// The bound.
        max: usize,
    },
    /// More partitions than the node takes.
    #[error("create more than {max} partitions on one node")]
    TooManyPartitions {
        /// The bound.
        max: usize,
    },
    /// The queue is full or the write-ahead set is at its cap: try again after the time given.
    #[error("take the append now: the journal is busy")]
    Busy {
        /// A hint for `Retry-After`.
        retry_after: Duration,
    },
    /// Free space is below the publish mark; a later try can succeed.
    #[error("append: {free} bytes are free and {needed} are needed")]
    OutOfSpace {
        /// Bytes free.
        free: u64,
        /// Bytes needed.
        needed: u64,
    },
    /// The system gave the process too little of something; a later try can succeed.
    #[error("{action}: {of}")]
    Exhausted {
        /// What was to be done.
        action: String,
        /// What there is too little of.
        of: Shortage,
    },
    /// A sync failed. A request refused with this has an unknown outcome: it may be found after the restart.
    #[error("append: the journal is poisoned ({reason})")]
    Poisoned {
        /// What failed.
        reason: String,
    },
    /// Shut down.
    #[error("use a closed journal")]
    Closed,
    /// The offset lies outside the partition's bounds.
    #[error("read offset {asked}: the partition holds {start} to {high_water}")]
    OutOfRange {
        /// What was asked for.
        asked: Offset,
        /// First readable.
        start: Offset,
        /// After the last durable.
        high_water: Offset,
    },
    /// The stretch is in quarantine: skip to `damage.to`.
    #[error("read a damaged range: {}", .0.reason)]
    Damaged(Damage),
    /// Settings that no journal can work with.
    #[error("open with these settings: {what}")]
    Settings {
        /// What is wrong with them.
        what: &'static str,
    },
    /// Another process holds the directory.
    #[error("lock {directory}: another process is using it")]
    Locked {
        /// The directory.
        directory: String,
    },
    /// The directory was written by a newer version.
    #[error("open {directory}: format {found}, this program knows up to {known}")]
    UnknownFormat {
        /// The directory.
        directory: String,
        /// Found there.
        found: u32,
        /// Known here.
        known: u32,
    },
    /// Durable data is damaged where the journal cannot go on by itself.
    #[error("open: {file} is corrupt at byte {position}: {reason}; run `trunkline doctor`")]
    Corrupt {
        /// The file.
        file: String,
        /// Byte position in it.
        position: u64,
        /// What is wrong.
        reason: String,
    },
    /// The operating system refused.
    #[error("{action}: {reason}")]
    Io {
        /// What was being done, naming the file.
        action: String,
        /// What the system said.
        reason: String,
    },
}

/// The durable data of a node.
///
/// An implementation MUST:
/// - make a record visible (to [`read`](Self::read), [`bounds`](Self::bounds), [`find`](Self::find), [`Tail`](crate::Tail)
///   and the outcome of a duplicate) only after it is durable;
/// - keep all records of an [`Append`] or none, if it declares `atomic_over_topics`;
/// - give records of one partition strictly increasing offsets, in the order of acceptance, never reusing one, not even
///   after everything was trimmed or after a crash;
/// - hand out only bytes whose checksums it has verified.
///
/// It MUST NOT remove a record except by [`trim`](Self::trim), [`delete_topic`](Self::delete_topic) or, without `hold`,
/// by its own retention.
pub trait Journal: Send + Sync + 'static {
    /// What this journal promises beyond the base contract.
    fn capabilities(&self) -> Capabilities;

    /// Creates a topic, or grows it to `partitions`; existing partitions are untouched, a smaller number changes nothing.
    /// Durable when it returns.
    fn create_topic(&self, topic: TopicId, partitions: u32) -> BoxFuture<'_, Result<(), Error>>;

    /// Forgets a topic and removes its data. Reads in flight end or fail with [`Error::UnknownPartition`].
    fn delete_topic(&self, topic: TopicId) -> BoxFuture<'_, Result<(), Error>>;

    /// Accepts a request: it has its place in the order once this returns, and is durable once the returned future
    /// resolves. Refuses at once, changing nothing, when the queue is at its bound. The future is to be polled or dropped: its
    /// poll may do the work of the append, in place, so that whoever polls it holds no lock that others need.
    fn append(&self, append: Append) -> Result<Durable, Error>;

    /// Reads from `from` up to about `max_bytes` (at least one batch if there is any). `from == high_water` gives an empty
    /// chunk.
    fn read(&self, partition: PartitionId, from: Offset, max_bytes: usize) -> BoxFuture<'_, Result<Chunk, Error>>;

    /// The bounds of a partition now.
    fn bounds(&self, partition: PartitionId) -> Result<Bounds, Error>;

    /// All partitions that exist now.
    fn partitions(&self) -> Vec<PartitionId>;

    /// The offset of the first record with append time at or after `time`; the high-water mark when there is none.
    fn offset_at(&self, partition: PartitionId, time: AppendTime) -> BoxFuture<'_, Result<Offset, Error>>;

    /// Every readable record of the bus whose identity has this lookup hash, newest first, at most `limit`. The caller
    /// verifies on the record.
    fn find(&self, bus: u32, lookup: u64, limit: usize) -> BoxFuture<'_, Result<Vec<Position>, Error>>;

    /// A feed of which partitions got durable records; see [`Tail`](crate::Tail).
    fn tail(&self) -> crate::Tail;

    /// What can be trimmed, oldest first.
    fn segments(&self, partition: PartitionId) -> Result<Vec<SegmentInfo>, Error>;

    /// Removes whole segments below `start` and makes `start` the first readable offset. Never beyond the high-water mark.
    fn trim(&self, partition: PartitionId, start: Offset) -> BoxFuture<'_, Result<(), Error>>;

    /// Whether it takes appends.
    fn health(&self) -> Health;

    /// The volume it lives on.
    fn disk_space(&self) -> DiskSpace;

    /// Ranges in quarantine.
    fn damage(&self) -> Vec<Damage>;

    /// Counters.
    fn stats(&self) -> Stats;

    /// The append time a record would get now: wall time, held back while the clock alarm is on.
    fn now(&self) -> AppendTime;

    /// The clocks now.
    fn clocks(&self) -> Clocks;

    /// Believes the wall clock as it is now, because an operator said so; false, changing nothing, when there is no alarm.
    fn confirm_clock(&self) -> bool;

    /// Refuses new appends, finishes accepted ones, checkpoints, and ends its threads. Idempotent.
    fn shutdown(&self) -> BoxFuture<'_, Result<(), Error>>;
}
