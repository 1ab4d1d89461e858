//! What every [`Journal`] must do, as checks that any implementation runs: [`run`] opens the journal through a [`Harness`],
//! uses it as a caller does, and panics at the first broken promise. What [`Journal::capabilities`] does not declare is not
//! asked for. Crashes of the disk are not its business: only an engine can stage those.

mod appends;
mod duplicates;
mod lifecycle;
mod model;
mod reads;

use crate::{
    Append, Appended, BoxFuture, Deduplicate, EncodedRecord, Entry, Error, Identity, Journal, Offset, PartitionId,
    Position, RecordView, Role, TopicId, batch::BatchHeader, records,
};
use bytes::Bytes;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How long one check may take before it counts as hanging: a debug build on a busy machine with a slow disk is far below.
const CHECK_TIMEOUT: Duration = Duration::from_secs(120);

/// Opens the journal on its data; the topics are those that the store knows, with their numbers of partitions.
pub type Open = Box<dyn Fn(Vec<(TopicId, u32)>) -> BoxFuture<'static, Result<Arc<dyn Journal>, Error>> + Send + Sync>;

/// How the suite gets hold of an implementation.
pub struct Harness {
    /// Opens the journal as a start of the process does. Called again after a shutdown it finds the same data. The journal
    /// must rebuild its indexes with [`identify`].
    pub open: Open,
    /// Removes all data, so that the next open begins with nothing. Called while no journal is open: the last one was shut
    /// down and dropped.
    pub wipe: Box<dyn Fn() + Send + Sync>,
    /// Keeps accepted requests of the open journal from becoming durable (`true`), or lets them go on (`false`), where the
    /// implementation can: without it, what holds between the two is not checked.
    pub hold_sync: Option<Box<dyn Fn(bool) + Send + Sync>>,
}

impl std::fmt::Debug for Harness {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Harness").finish_non_exhaustive()
    }
}

/// One check: it begins with nothing and cleans up nothing.
type Check = for<'a> fn(&'a Session<'a>) -> BoxFuture<'a, ()>;

/// A harness and the journal that is open on it, which is closed before anything is wiped.
struct Session<'a> {
    harness: &'a Harness,
    opened: Mutex<Option<Arc<dyn Journal>>>,
}

impl Session<'_> {
    async fn open(&self, topics: &BTreeMap<TopicId, u32>) -> Arc<dyn Journal> {
        let known = topics.iter().map(|(topic, partitions)| (*topic, *partitions)).collect();
        let journal = (self.harness.open)(known).await.expect("the journal opens");
        *self.opened() = Some(Arc::clone(&journal));
        journal
    }

    async fn close(&self) {
        let opened = self.opened().take();
        if let Some(journal) = opened {
            journal.shutdown().await.expect("it shuts down");
        }
    }

    fn opened(&self) -> MutexGuard<'_, Option<Arc<dyn Journal>>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

macro_rules! checks {
    ($($module:ident::$name:ident),* $(,)?) => {
        &[$((stringify!($name), |session| Box::pin($module::$name(session)))),*]
    };
}

const CHECKS: &[(&str, Check)] = checks![
    appends::records_come_back_at_their_positions_byte_for_byte,
    appends::offsets_follow_the_order_of_acceptance,
    appends::concurrent_producers_keep_their_order_and_share_no_offset,
    appends::a_request_over_several_topics_lands_whole,
    appends::a_refused_request_changes_nothing,
    appends::an_accepted_append_is_invisible_until_it_is_durable,
    appends::a_durable_append_is_visible_at_once,
    appends::an_abandoned_append_is_kept,
    appends::huge_records_are_kept_whole,
    appends::a_request_of_many_megabytes_keeps_its_order,
    appends::many_partitions_in_one_request,
    appends::append_time_never_goes_back,
    duplicates::a_duplicate_gets_the_first_ones_place,
    duplicates::duplicates_within_one_request_are_recognised,
    duplicates::concurrent_duplicates_leave_one_record,
    duplicates::a_duplicate_waits_for_the_first_to_be_durable,
    duplicates::buses_do_not_share_identities,
    duplicates::what_is_not_to_be_deduplicated_is_always_appended,
    duplicates::a_refused_request_leaves_no_identity,
    duplicates::a_duplicate_drops_the_copies_too,
    duplicates::duplicates_are_recognised_after_a_restart,
    reads::an_empty_partition_reads_empty,
    reads::reads_outside_the_bounds_are_refused_with_the_bounds,
    reads::unknown_partitions_are_refused_everywhere,
    reads::small_reads_walk_everything_once,
    reads::a_read_may_begin_inside_a_batch,
    reads::an_offset_is_found_by_time,
    reads::records_are_found_by_identity_newest_first,
    reads::a_tail_first_tells_what_holds_records,
    reads::a_tail_misses_nothing_under_load,
    lifecycle::a_topic_is_created_grown_and_never_shrunk,
    lifecycle::a_deleted_topic_is_gone_and_others_are_not,
    lifecycle::segments_are_in_order_and_trimming_moves_the_start,
    lifecycle::trimming_everything_reuses_no_offset,
    lifecycle::a_restart_keeps_everything,
    lifecycle::a_shutdown_finishes_what_was_accepted,
    lifecycle::a_closed_journal_says_so,
    lifecycle::counters_count,
    model::random_operations_agree_with_a_model,
];

/// Runs every check, each on a journal without data. Panics, naming the check, at the first that fails.
pub async fn run(harness: &Harness) {
    for (name, check) in CHECKS {
        run_check(harness, name, *check).await;
    }
}

/// Runs the check of this name alone, for looking into it.
pub async fn run_one(harness: &Harness, wanted: &str) {
    let found = CHECKS.iter().find(|(name, _)| *name == wanted);
    let (name, check) = found.expect("a check has this name");
    run_check(harness, name, *check).await;
}

async fn run_check(harness: &Harness, name: &str, check: Check) {
    // Dropped at a panic inside the check, and says then which it was.
    let named = Named(name);
    let session = Session {
        harness,
        opened: Mutex::new(None),
    };
    let whole = async {
        check(&session).await;
        session.close().await;
    };
    let finished = tokio::time::timeout(CHECK_TIMEOUT, whole).await;
    assert!(finished.is_ok(), "it does not finish within {CHECK_TIMEOUT:?}");
    drop(named);
}

struct Named<'a>(&'a str);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the journal fails the check `{}`", self.0);
        }
    }
}

/// The header in which the suite's records carry their identity.
const ID_HEADER: &str = "id";

/// The header that marks the suite's copies.
pub(crate) const COPY_HEADER: &str = "copy";

/// Computes the identity of the suite's records; the journal under test must be opened with it.
pub fn identify(_topic: TopicId, record: &RecordView<'_>) -> Option<(Identity, Role)> {
    let (_, id) = record.headers().find(|(name, _)| *name == ID_HEADER)?;
    let role = match record.headers().any(|(name, _)| name == COPY_HEADER) {
        true => Role::Copy,
        false => Role::Primary,
    };
    Some((identity(u64::from_be_bytes(id?.try_into().ok()?)), role))
}

fn identity(id: u64) -> Identity {
    /// Spreads small numbers over all bits, as a hash does.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let lookup = id.wrapping_mul(SPREAD);
    Identity {
        lookup,
        unique: u128::from(lookup) << 64 | u128::from(id),
    }
}

const BUS: u32 = 1;

fn topic(topic: u32) -> TopicId {
    TopicId { bus: BUS, topic }
}

fn partition(topic: TopicId, index: u32) -> PartitionId {
    PartitionId { topic, index }
}

/// A record with this value; with an id it can be identified.
fn record(id: Option<u64>, value: &[u8]) -> EncodedRecord {
    let id = id.map(u64::to_be_bytes);
    let headers = id.iter().map(|id| (ID_HEADER, Some(id.as_slice())));
    EncodedRecord::new(None, Some(value), headers)
}

/// An entry that is never deduplicated and not indexed.
fn plain(partition: PartitionId, value: &[u8]) -> Entry {
    Entry {
        identity: None,
        deduplicate: Deduplicate::No,
        records: vec![(partition, record(None, value))],
    }
}

/// An event of this id with a copy on each partition; the first is the primary.
fn event(id: u64, partitions: &[PartitionId]) -> Entry {
    let bytes = id.to_be_bytes();
    let headers = [(ID_HEADER, Some(bytes.as_slice())), (COPY_HEADER, None)];
    let primary = record(Some(id), &bytes);
    let copy = EncodedRecord::new(None, Some(&bytes), headers.into_iter());
    let records = std::iter::once(primary).chain(std::iter::repeat(copy));
    Entry {
        identity: Some(identity(id)),
        deduplicate: Deduplicate::Yes,
        records: partitions.iter().copied().zip(records).collect(),
    }
}

/// A record as a reader saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    offset: Offset,
    append_time: i64,
    body: Bytes,
}

/// The journal under test and what its store would know.
struct Subject<'a> {
    session: &'a Session<'a>,
    journal: Arc<dyn Journal>,
    topics: BTreeMap<TopicId, u32>,
}

impl<'a> Subject<'a> {
    /// A journal without data.
    async fn start(session: &'a Session<'a>) -> Self {
        session.close().await;
        (session.harness.wipe)();
        Self::open(session, BTreeMap::new()).await
    }

    /// A journal with one topic of so many partitions.
    async fn with_topic(session: &'a Session<'a>, partitions: u32) -> (Self, TopicId) {
        let mut subject = Self::start(session).await;
        let topic = topic(1);
        subject.create(topic, partitions).await;
        (subject, topic)
    }

    async fn open(session: &'a Session<'a>, topics: BTreeMap<TopicId, u32>) -> Self {
        let journal = session.open(&topics).await;
        Self {
            session,
            journal,
            topics,
        }
    }

    /// Shuts down and starts again on the same data.
    async fn restart(self) -> Self {
        let Self {
            session,
            journal,
            topics,
        } = self;
        drop(journal);
        session.close().await;
        Self::open(session, topics).await
    }

    async fn create(&mut self, topic: TopicId, partitions: u32) {
        let kept = self.topics.entry(topic).or_default();
        *kept = partitions.max(*kept);
        self.journal
            .create_topic(topic, partitions)
            .await
            .expect("the topic is created");
    }

    async fn delete(&mut self, topic: TopicId) {
        self.topics.remove(&topic);
        self.journal.delete_topic(topic).await.expect("the topic is deleted");
    }

    /// Appends and waits until it is durable.
    async fn append(&self, entries: Vec<Entry>) -> Vec<Appended> {
        append(&*self.journal, entries).await.expect("it is appended")
    }

    /// Appends one entry and waits until it is durable.
    async fn append_one(&self, entry: Entry) -> Appended {
        self.append(vec![entry]).await[0]
    }

    /// Every readable record of a partition, read in pieces, checked as a reader may rely on it.
    async fn read_all(&self, partition: PartitionId) -> Vec<Seen> {
        let bounds = self.journal.bounds(partition).expect("the partition exists");
        read_from(&*self.journal, partition, bounds.start, 64 << 10).await
    }

    /// The record at this place.
    async fn record_at(&self, position: Position) -> Seen {
        let chunk = self
            .journal
            .read(position.partition, position.offset, 1)
            .await
            .expect("it can be read");
        let seen = chunk.batches.iter().flat_map(|batch| seen(batch, position.offset));
        seen.into_iter()
            .find(|seen| seen.offset == position.offset)
            .expect("the record is there")
    }

    /// Holds back syncs if the implementation can.
    fn hold_sync(&self, hold: bool) -> bool {
        let hold_sync = self.session.harness.hold_sync.as_ref();
        hold_sync.map(|hold_sync| hold_sync(hold)).is_some()
    }
}

/// Appends and waits until it is durable, as often as the journal is too busy.
async fn append(journal: &dyn Journal, entries: Vec<Entry>) -> Result<Vec<Appended>, Error> {
    let append = Append { entries };
    loop {
        match journal.append(append.clone()) {
            Ok(durable) => return durable.await,
            Err(Error::Busy { retry_after }) => tokio::time::sleep(retry_after).await,
            Err(error) => return Err(error),
        }
    }
}

/// Everything from an offset to the high-water mark.
async fn read_from(journal: &dyn Journal, partition: PartitionId, mut from: Offset, max_bytes: usize) -> Vec<Seen> {
    let mut all = Vec::new();
    loop {
        let chunk = journal.read(partition, from, max_bytes).await.expect("it can be read");
        assert!(chunk.start <= from && chunk.next <= chunk.high_water, "{chunk:?}");
        if chunk.batches.is_empty() {
            assert_eq!((chunk.next, from), (from, chunk.high_water), "only the end reads empty");
            return all;
        }
        assert!(chunk.next > from, "a chunk with batches goes on");
        all.extend(chunk.batches.iter().flat_map(|batch| seen(batch, from)));
        assert!(all.last().is_some_and(|last: &Seen| last.offset < chunk.next));
        assert!(
            all.is_sorted_by(|a, b| a.offset < b.offset),
            "offsets strictly increase"
        );
        from = chunk.next;
    }
}

/// The records of a batch from an offset on.
fn seen(batch: &crate::StoredBatch, from: Offset) -> Vec<Seen> {
    BatchHeader::verify(&batch.bytes).expect("only verified batches are handed out");
    let mut walk = records(batch);
    let seen = walk.by_ref().filter(|record| record.offset >= from).map(|record| Seen {
        offset: record.offset,
        append_time: batch.append_time,
        body: batch.bytes.slice_ref(record.body),
    });
    let seen = seen.collect();
    assert_eq!(walk.error(), None);
    seen
}

/// What a reader must see of a record that was appended like this.
fn expected(appended: &Appended, record: &EncodedRecord) -> Seen {
    Seen {
        offset: appended.position.offset,
        append_time: appended.append_time,
        body: record.as_bytes().clone(),
    }
}

/// Polls a future once; whether it is still waiting.
fn is_waiting(future: &mut (impl Future + Unpin)) -> bool {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::Pin::new(future).poll(&mut context).is_pending()
}

/// A small generator of pseudo-random numbers; the same seed gives the same numbers.
struct Random(u64);

impl Random {
    /// A number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.below(256) as u8).collect()
    }
}
