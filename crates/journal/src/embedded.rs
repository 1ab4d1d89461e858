//! The embedded engine: write-ahead files, segments and checkpoints in one directory, for one process.
//!
//! `docs/adr/0001-journal.md` states the state machine; [`commit`] and [`flush`] carry it out. This file is the contract's
//! side: it refuses, hands over and waits, and decides nothing about bytes.

pub mod backup;
mod buffers;
mod checkpoint;
mod clock;
mod commit;
mod counters;
mod disk;
pub mod doctor;
mod drive;
mod flush;
mod format;
mod frame;
#[cfg(any(test, feature = "conformance"))]
pub mod fuzzing;
mod identities;
mod index;
mod joined_crc;
mod partition;
mod queue;
mod reader;
mod recovery;
pub mod repair;
mod replay;
mod requests;
mod run;
mod segment;
mod settings;
mod shared;
mod status;
mod write_ahead;

#[cfg(test)]
mod tests;

pub use clock::{Clock, ManualClock};
pub use disk::{Disk, Failure, Fault, File, Operation, Outcome, SimulatedDisk, SimulatedFile, SyncFault};
pub use settings::{
    BATCH_BYTES, Drive, FRAME_BYTES_MAX, GROUP_BYTES, PARTITIONS_MAX, REQUEST_BYTES_MAX, Randomness, Settings,
};

use crate::{
    Append, AppendTime, Bounds, BoxFuture, Capabilities, Chunk, Clocks, Damage, DiskSpace, Durable, Error, Health,
    Journal, Offset, PartitionId, Position, SegmentInfo, Stats, Tail, TopicId,
};
use commit::{Commit, Lone, Step};
use drive::{Drivers, Machines};
use partition::Partition;
use reader::Lookup;
use requests::Incoming;
use settings::RECORD_OVERHEAD;
use shared::{Command, Shared, lock};
use smallvec::SmallVec;
use std::sync::{Arc, Mutex};
use tokio::{runtime::Handle, sync::oneshot};

/// The journal of one directory.
#[derive(Debug)]
pub struct Embedded {
    shared: Arc<Shared>,
    commit: Arc<Commit>,
    drivers: Arc<Mutex<Drivers>>,
    /// Held while the directory is in use.
    lock: Arc<Mutex<Option<File>>>,
}

impl Embedded {
    /// Opens a directory, recovering what a crash left. `topics` is all topics that exist, with their numbers of partitions:
    /// data of others is dropped.
    pub fn open(settings: Settings, topics: &[(TopicId, u32)]) -> Result<Self, Error> {
        settings.check()?;
        let lock = format::claim(&settings.disk, &format::Layout::new(&settings.directory))?;
        let drive = settings.drive;
        let recovered = recovery::recover(settings, topics)?;
        let shared = recovered.shared;
        let commit = Arc::new(Commit::new(shared.clone(), recovered.sequence, recovered.identities));
        let drivers = Drivers::start(drive, commit.clone(), recovered.flusher)?;
        Ok(Self {
            shared,
            commit,
            drivers: Arc::new(Mutex::new(drivers)),
            lock: Arc::new(Mutex::new(Some(lock))),
        })
    }

    /// Puts everything durable into segments and takes a checkpoint.
    pub fn checkpoint(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.command(Command::Checkpoint)
    }

    /// With [`Drive::Steps`]: assembles one group of what waits, or commits one that is assembled, and does some of what is due.
    /// False if nothing is left to do.
    pub fn step(&self) -> bool {
        if self.shared.settings.drive == Drive::Threads {
            return false;
        }
        let mut drivers = lock(&self.drivers);
        let Drivers::Steps(machines) = &mut *drivers else {
            return false;
        };
        let Machines {
            commit,
            assembled,
            flusher,
        } = &mut **machines;
        let step = commit.step(assembled);
        if step == Step::Blocked {
            self.shared.inbox.state().checkpoint = true;
            return flusher.step().is_ok();
        }
        let inbox = self.shared.inbox.state();
        let due = inbox.bytes >= self.shared.settings.flush_bytes || inbox.checkpoint || inbox.prepare || inbox.retry;
        drop(inbox);
        let due = due || flusher.is_merging();
        // A failure shows in the health, and to whoever waits.
        let done = due && self.shared.status.poisoned().is_none() && flusher.step().is_ok();
        step != Step::Idle || done && flusher.is_merging()
    }

    /// Moves the flusher, if the caller drives it.
    fn step_flusher(&self) {
        if self.shared.settings.drive == Drive::Threads {
            // A shutdown may hold the lock for long.
            return;
        }
        if let Drivers::Steps(machines) = &mut *lock(&self.drivers) {
            drop(machines.flusher.step());
        }
    }

    fn command(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<(), Error>>) -> Command,
    ) -> BoxFuture<'_, Result<(), Error>> {
        let (answer, answered) = oneshot::channel();
        let sent = self.shared.inbox.command(command(answer));
        if sent.is_ok() {
            self.step_flusher();
        }
        Box::pin(async move {
            sent.map_err(|_| self.ended())?;
            answered.await.unwrap_or_else(|_| Err(self.ended()))
        })
    }

    fn ended(&self) -> Error {
        self.shared.status.poisoned().unwrap_or(Error::Closed)
    }

    /// Does something that reads files, where it blocks nobody.
    async fn on_disk<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Shared) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let runtime = match self.shared.settings.drive {
            Drive::Threads => Handle::try_current().ok(),
            Drive::Steps => None,
        };
        let Some(runtime) = runtime else {
            return read(&self.shared);
        };
        let shared = self.shared.clone();
        let joined = runtime.spawn_blocking(move || read(&shared)).await;
        joined.unwrap_or_else(|_| {
            // What a panic said may hold data.
            Err(Error::Io {
                action: "read".into(),
                reason: "it broke off".into(),
            })
        })
    }

    /// Why an append is refused at once, if it is.
    fn refusal(&self) -> Result<(), Error> {
        match self.shared.status.health() {
            Health::Serving => Ok(()),
            Health::Closed => Err(Error::Closed),
            Health::Poisoned { reason } => Err(Error::Poisoned { reason }),
            Health::Behind => Err(Error::Busy {
                retry_after: self.shared.settings.retry_after,
            }),
            Health::OutOfSpace { .. } | Health::Exhausted(_) => self.look_again(),
        }
    }

    /// Ends the state of being short of something if there is enough of it.
    fn look_again(&self) -> Result<(), Error> {
        let found = self.shared.check_space();
        self.shared.status.set_commit_short(found.err());
        match found {
            Err(short) => Err(short.into()),
            Ok(()) => {
                self.shared.inbox.state().retry = true;
                self.shared.inbox.wake();
                self.step_flusher();
                // A limit that the flusher met is over when a step of it succeeds.
                self.shared
                    .status
                    .flusher_short()
                    .map_or(Ok(()), |short| Err(short.into()))
            }
        }
    }

    fn request(&self, append: Append, answer: oneshot::Sender<requests::Outcome>) -> Result<Incoming, Error> {
        let mut slots = SmallVec::new();
        let records = append.entries.iter().flat_map(|entry| &entry.records);
        self.shared
            .registry
            .resolve(records.clone().map(|(partition, _)| *partition), |slot| {
                slots.push(slot)
            })?;
        let encoded = records.map(|(_, record)| record.len() + RECORD_OVERHEAD).sum();
        let max = self.shared.settings.request_bytes_max();
        if encoded > max {
            return Err(Error::TooLarge { encoded, max });
        }
        Ok(Incoming {
            append,
            slots,
            encoded,
            answer,
        })
    }

    /// Whether a caller may commit on its own thread.
    fn may_lead(&self) -> bool {
        self.shared.settings.drive == Drive::Threads && commit::may_stand_still()
    }

    /// What ends it, wherever that is run: it joins threads.
    fn end(&self) -> impl FnOnce() -> Result<(), Error> + Send + 'static {
        let (shared, drivers, directory_lock) = (self.shared.clone(), self.drivers.clone(), self.lock.clone());
        move || {
            shared.status.close();
            shared.queue.close();
            shared.inbox.wake();
            let ended = lock(&drivers).end(&shared);
            shared.hub.close();
            lock(&directory_lock).take();
            ended
        }
    }
}

/// What one learns whose request was dropped without an answer, which only a thread that panicked does.
fn unanswered() -> Error {
    let reason = "the commit ended without an answer".into();
    Error::Poisoned { reason }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if let Err(error) = self.end()() {
            tracing::warn!(%error, "the journal was dropped before its shutdown");
        }
    }
}

impl Journal for Embedded {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            atomic_over_topics: true,
            deduplication: true,
            find_by_identity: true,
            hold: true,
        }
    }

    fn create_topic(&self, topic: TopicId, partitions: u32) -> BoxFuture<'_, Result<(), Error>> {
        // That it exists is the store's to know: at the next start it is in the list.
        let added = self.shared.registry.add(topic, partitions, PARTITIONS_MAX);
        Box::pin(std::future::ready(added))
    }

    fn delete_topic(&self, topic: TopicId) -> BoxFuture<'_, Result<(), Error>> {
        let slots = self.shared.registry.remove(topic);
        if slots.is_empty() {
            return Box::pin(std::future::ready(Ok(())));
        }
        self.command(|answer| Command::Delete(topic, slots, answer))
    }

    fn append(&self, append: Append) -> Result<Durable, Error> {
        if self.shared.status.is_troubled() {
            self.refusal()?;
        }
        if append.entries.is_empty() {
            return Ok(Box::pin(std::future::ready(Ok(Vec::new()))));
        }
        assert!(
            append.entries.iter().all(|entry| !entry.records.is_empty()),
            "an entry has at least one record"
        );
        let (answer, answered) = oneshot::channel();
        let request = self.request(append, answer)?;
        let pushed = self
            .shared
            .queue
            .push(request, &self.shared.settings, || self.may_lead());
        let leads = pushed.map_err(|error| self.shared.status.poisoned().unwrap_or(error))?;
        let lone = leads.then(|| Lone(self.commit.clone()));
        Ok(Box::pin(async move {
            if let Some(lone) = lone {
                lone.commit();
            }
            let outcome = answered.await.map_err(|_| unanswered())?;
            outcome.map(SmallVec::into_vec)
        }))
    }

    fn read(&self, partition: PartitionId, from: Offset, max_bytes: usize) -> BoxFuture<'_, Result<Chunk, Error>> {
        let looked_up = self.shared.registry.get(partition).and_then(|partition| {
            let lookup = reader::read_memory(&partition, from, max_bytes)?;
            Ok((partition, lookup))
        });
        match looked_up {
            Ok((_, Lookup::Ready(chunk))) => Box::pin(std::future::ready(Ok(chunk))),
            Ok((partition, Lookup::OnDisk)) => {
                Box::pin(self.on_disk(move |shared| reader::read(shared, &partition, from, max_bytes)))
            }
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn bounds(&self, partition: PartitionId) -> Result<Bounds, Error> {
        Ok(self.shared.registry.get(partition)?.state().bounds())
    }

    fn partitions(&self) -> Vec<PartitionId> {
        self.shared
            .registry
            .all()
            .iter()
            .map(|partition| partition.id)
            .collect()
    }

    fn offset_at(&self, partition: PartitionId, time: AppendTime) -> BoxFuture<'_, Result<Offset, Error>> {
        Box::pin(async move {
            let partition = self.shared.registry.get(partition)?;
            self.on_disk(move |shared| reader::offset_at(shared, &partition, time))
                .await
        })
    }

    fn find(&self, bus: u32, lookup: u64, limit: usize) -> BoxFuture<'_, Result<Vec<Position>, Error>> {
        Box::pin(async move {
            let find = move |shared: &Shared| reader::find(shared, bus, lookup, limit);
            if let Some(found) = self.on_disk(find).await? {
                return Ok(found);
            }
            self.command(Command::RepairRuns).await?;
            self.on_disk(find).await?.ok_or_else(|| Error::Io {
                action: "find by identity".into(),
                reason: "a run is damaged again right after it was written".into(),
            })
        })
    }

    fn tail(&self) -> Tail {
        self.shared.hub.subscribe(|| {
            let all = self.shared.registry.all();
            let holds = |partition: &&Arc<Partition>| {
                let bounds = partition.state().bounds();
                bounds.start < bounds.high_water
            };
            all.iter().filter(holds).map(|partition| partition.id).collect()
        })
    }

    fn segments(&self, partition: PartitionId) -> Result<Vec<SegmentInfo>, Error> {
        Ok(self.shared.registry.get(partition)?.state().segment_infos())
    }

    fn trim(&self, partition: PartitionId, start: Offset) -> BoxFuture<'_, Result<(), Error>> {
        match self.shared.registry.get(partition) {
            Ok(partition) if start <= partition.state().start => Box::pin(std::future::ready(Ok(()))),
            Ok(partition) => {
                let slot = partition.slot;
                self.command(move |answer| Command::Trim(slot, start, answer))
            }
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn health(&self) -> Health {
        if let Health::OutOfSpace { .. } | Health::Exhausted(_) = self.shared.status.health() {
            // It ends by itself when there is enough again, whoever asks.
            drop(self.look_again());
        }
        self.shared.status.health()
    }

    fn disk_space(&self) -> DiskSpace {
        self.shared.space()
    }

    fn damage(&self) -> Vec<Damage> {
        let all = self.shared.registry.all();
        all.iter()
            .flat_map(|partition| partition.state().damage.clone())
            .collect()
    }

    fn stats(&self) -> Stats {
        let (queued, queued_bytes) = self.shared.queue.size();
        Stats {
            queued: queued as u64,
            queued_bytes: queued_bytes as u64,
            unflushed_bytes: self.shared.inbox.state().bytes,
            write_ahead_bytes: self.shared.write_ahead.bytes_in_use(),
            damaged: self.damage().len() as u64,
            clock_alarm: self.shared.clocks().alarm,
            ..self.shared.counters.stats()
        }
    }

    fn now(&self) -> AppendTime {
        self.shared.now()
    }

    fn clocks(&self) -> Clocks {
        self.shared.clocks()
    }

    fn confirm_clock(&self) -> bool {
        self.shared.confirm_clock()
    }

    fn shutdown(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let end = self.end();
            // Joining threads would hold up the runtime, which may have to run what they wait for.
            match Handle::try_current() {
                Ok(runtime) => runtime.spawn_blocking(end).await.unwrap_or_else(|_| {
                    Err(Error::Io {
                        action: "shut down".into(),
                        reason: "it broke off".into(),
                    })
                }),
                Err(_) => end(),
            }
        })
    }
}
