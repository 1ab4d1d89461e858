//! An in-memory [`Journal`] for the tests of other crates: the whole contract, deterministic, with a clock that the test
//! owns and faults on demand. It is no engine for production: nothing is on disk, and its index grows with its records.

mod partition;
mod state;

use crate::{
    Append, AppendTime, Bounds, BoxFuture, Capabilities, Chunk, Clocks, Damage, DiskSpace, Durable, Error, Health,
    Identify, Journal, Offset, PartitionId, Position, SegmentInfo, Stats, Tail, TailHub, TopicId,
};
use state::State;
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What an in-memory journal is made with.
#[derive(Clone)]
pub struct MemorySettings {
    /// The wall clock, in milliseconds since the Unix epoch. Append time follows it, but never back.
    pub now: Arc<dyn Fn() -> AppendTime + Send + Sync>,
    /// What an index would be rebuilt by. When given, every entry's identity is held against it, so that a test finds a
    /// difference before a recovery does.
    pub identify: Option<Identify>,
    /// For how long duplicates are recognised.
    pub window: Duration,
    /// Most partitions in all.
    pub partitions_max: usize,
    /// Most bytes of encoded records in one request.
    pub request_bytes_max: usize,
    /// Most requests that wait for a sync.
    pub queued_max: usize,
}

impl Default for MemorySettings {
    /// The system's clock, nothing to hold identities against, and the embedded engine's bounds.
    fn default() -> Self {
        Self {
            now: Arc::new(wall_time),
            identify: None,
            window: Duration::from_secs(5 * 60),
            partitions_max: 2_000,
            request_bytes_max: 64 << 20,
            queued_max: 65_536,
        }
    }
}

impl fmt::Debug for MemorySettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("MemorySettings").finish_non_exhaustive()
    }
}

fn wall_time() -> AppendTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    AppendTime::try_from(since_epoch.as_millis()).unwrap_or(AppendTime::MAX)
}

/// A journal in memory. A clone is another handle on the same journal, for a test that has given one away.
///
/// An append is durable at once, unless [`hold_sync`](Self::hold_sync) says otherwise.
#[derive(Clone, Debug)]
pub struct Memory {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    tails: TailHub,
}

impl Memory {
    /// An empty journal.
    pub fn new(settings: MemorySettings) -> Self {
        Self::with(State::new(settings))
    }

    fn with(state: State) -> Self {
        let shared = Shared {
            state: Mutex::new(state),
            tails: TailHub::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// What a new process finds after this one was killed: the durable records, and nothing that was only accepted. This
    /// journal and its clones are closed.
    pub fn reopen(&self) -> Self {
        let settings = self.state().settings.clone();
        let mut closed = State::new(settings);
        closed.health = Health::Closed;
        let state = std::mem::replace(&mut *self.state(), closed);
        self.shared.tails.close();
        Self::with(state.restarted())
    }

    /// Forgets every topic but these, as a start does with topics that the store lacks.
    pub fn retain_topics(&self, topics: &[TopicId]) {
        self.state().forget(|id| !topics.contains(&id.topic));
    }

    /// From now on accepted requests wait, invisible, for [`sync_one`](Self::sync_one) or
    /// [`release_sync`](Self::release_sync).
    pub fn hold_sync(&self) {
        self.state().held = true;
    }

    /// Makes the oldest waiting request durable; whether there was one.
    pub fn sync_one(&self) -> bool {
        let mut state = self.state();
        let grown = state.sync_one();
        drop(state);
        grown.map(|grown| self.shared.tails.mark(grown.into_iter())).is_some()
    }

    /// Makes everything that waits durable, and whatever is accepted from now on at once.
    pub fn release_sync(&self) {
        self.state().held = false;
        self.sync();
    }

    /// Sets what [`Journal::health`] says; anything but serving refuses appends as it would.
    pub fn set_health(&self, health: Health) {
        self.state().health = health;
    }

    /// Fails a sync: what waits gets [`Error::Poisoned`] and never becomes visible, and so does every later append.
    pub fn poison(&self, reason: &str) {
        self.state().poison(reason);
    }

    /// Refuses the next append with this error; several calls refuse several.
    pub fn fail_next_append(&self, error: Error) {
        self.state().refusals.push_back(error);
    }

    /// Damages the durable batches that hold the offsets `from` to `to`, exclusive: the range that is lost, or `None` when
    /// no batch holds any of them.
    pub fn inject_damage(&self, partition: PartitionId, from: Offset, to: Offset, reason: &str) -> Option<Damage> {
        let mut state = self.state();
        state.partition_mut(partition).ok()?.damage(from, to, reason.to_owned())
    }

    /// Sets what [`Journal::disk_space`] says.
    pub fn set_disk_space(&self, disk_space: DiskSpace) {
        self.state().disk_space = disk_space;
    }

    /// Raises the alarm of the clock, which [`Journal::confirm_clock`] ends. Append time is not changed by either.
    pub fn raise_clock_alarm(&self) {
        self.state().counted.clock_alarm = true;
    }

    fn sync(&self) {
        while self.sync_one() {}
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked inside (an identity that differs) has left nothing half done that matters to another.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A future that is done.
fn done<T: Send + 'static>(value: T) -> BoxFuture<'static, T> {
    Box::pin(std::future::ready(value))
}

impl Journal for Memory {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            atomic_over_topics: true,
            deduplication: true,
            find_by_identity: true,
            hold: true,
        }
    }

    fn create_topic(&self, topic: TopicId, partitions: u32) -> BoxFuture<'_, Result<(), Error>> {
        done(self.state().create_topic(topic, partitions))
    }

    fn delete_topic(&self, topic: TopicId) -> BoxFuture<'_, Result<(), Error>> {
        done(self.state().delete_topic(topic))
    }

    fn append(&self, append: Append) -> Result<Durable, Error> {
        let mut state = self.state();
        let durable = state.accept(&append)?;
        let held = state.held;
        drop(state);
        if !held {
            self.sync();
        }
        // An answer that never comes is a journal that was reopened.
        Ok(Box::pin(async move { durable.await.unwrap_or(Err(Error::Closed)) }))
    }

    fn read(&self, partition: PartitionId, from: Offset, max_bytes: usize) -> BoxFuture<'_, Result<Chunk, Error>> {
        let state = self.state();
        done(state.partition(partition).and_then(|found| found.read(from, max_bytes)))
    }

    fn bounds(&self, partition: PartitionId) -> Result<Bounds, Error> {
        Ok(self.state().partition(partition)?.bounds())
    }

    fn partitions(&self) -> Vec<PartitionId> {
        self.state().partition_ids()
    }

    fn offset_at(&self, partition: PartitionId, time: AppendTime) -> BoxFuture<'_, Result<Offset, Error>> {
        done(self.state().partition(partition).map(|found| found.offset_at(time)))
    }

    fn find(&self, bus: u32, lookup: u64, limit: usize) -> BoxFuture<'_, Result<Vec<Position>, Error>> {
        done(self.state().find(bus, lookup, limit))
    }

    fn tail(&self) -> Tail {
        self.shared.tails.subscribe(|| self.state().holding())
    }

    fn segments(&self, partition: PartitionId) -> Result<Vec<SegmentInfo>, Error> {
        Ok(self.state().partition(partition)?.segments())
    }

    fn trim(&self, partition: PartitionId, start: Offset) -> BoxFuture<'_, Result<(), Error>> {
        done(self.state().partition_mut(partition).map(|found| found.trim(start)))
    }

    fn health(&self) -> Health {
        self.state().health.clone()
    }

    fn disk_space(&self) -> DiskSpace {
        self.state().disk_space
    }

    fn damage(&self) -> Vec<Damage> {
        self.state().damage()
    }

    fn stats(&self) -> Stats {
        self.state().stats()
    }

    fn now(&self) -> AppendTime {
        self.state().now()
    }

    fn clocks(&self) -> Clocks {
        let state = self.state();
        Clocks {
            append_time: state.now(),
            wall_time: (state.settings.now)(),
            alarm: state.counted.clock_alarm,
        }
    }

    fn confirm_clock(&self) -> bool {
        std::mem::take(&mut self.state().counted.clock_alarm)
    }

    fn shutdown(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.sync();
        self.state().health = Health::Closed;
        self.shared.tails.close();
        done(Ok(()))
    }
}

#[cfg(test)]
mod tests;
