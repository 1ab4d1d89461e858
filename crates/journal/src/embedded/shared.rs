//! What commit, flusher, readers and callers share: partitions, queues, health, counters. It decides nothing.

use super::{
    buffers::Buffers,
    clock::AppendClock,
    commit::Teller,
    counters::Counters,
    disk::Failure,
    format::Layout,
    identities::Recent,
    partition::{Registry, Slot},
    queue::Queue,
    run::Run,
    settings::Settings,
    status::{Short, Status},
    write_ahead::WriteAheadSet,
};
use crate::{AppendTime, Clocks, DiskSpace, Error, Offset, TailHub, TopicId};
use bytes::Bytes;
use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, atomic::AtomicUsize},
};
use tokio::sync::oneshot;

/// Everything shared.
#[derive(Debug)]
pub struct Shared {
    /// As opened.
    pub settings: Settings,
    /// The directory.
    pub layout: Layout,
    /// All partitions.
    pub registry: Registry,
    /// Tells many callers what became of their requests.
    pub teller: Teller,
    /// From callers to the commit.
    pub queue: Queue,
    /// From the commit and callers to the flusher.
    pub inbox: Inbox,
    /// Identities that are in no run yet.
    pub recent: Recent,
    /// The runs, oldest first.
    pub runs: RwLock<Arc<Runs>>,
    /// Held by the reader that writes the index of a closed segment anew.
    pub index_writer: Mutex<()>,
    /// The write-ahead files.
    pub write_ahead: WriteAheadSet,
    /// Memory of frames and of what the flusher writes.
    pub buffers: Arc<Buffers>,
    /// Append time.
    pub clock: Mutex<AppendClock>,
    /// Feeds of readers at the tail.
    pub hub: TailHub,
    /// Whether appends are taken.
    pub status: Status,
    /// Counters.
    pub counters: Counters,
    /// How many copies are being made: while there are any, no file that a checkpoint listed is removed.
    pub holds: AtomicUsize,
}

/// The identity runs of a moment.
#[derive(Debug, Default)]
pub struct Runs {
    /// Oldest first.
    pub runs: Vec<Arc<Run>>,
    /// All durable frames up to this sequence are in them.
    pub through: u64,
}

impl Shared {
    /// The append time now.
    pub fn now(&self) -> AppendTime {
        self.clocks().append_time
    }

    /// Both clocks now. The beginning and the end of an alarm, and the beginning of a wall clock far behind, are told.
    pub fn clocks(&self) -> Clocks {
        let reading = self.settings.clock.read();
        let mut clock = lock(&self.clock);
        let (before, was_behind) = (clock.alarm(), clock.is_behind());
        let clocks = Clocks {
            append_time: clock.at(reading),
            wall_time: reading.wall,
            alarm: clock.alarm(),
        };
        let is_behind = clock.is_behind();
        drop(clock);
        if clocks.alarm != before {
            tell_alarm(clocks);
        }
        if is_behind && !was_behind {
            let behind_ms = clocks.append_time.saturating_sub(clocks.wall_time);
            tracing::error!(
                behind_ms,
                "the wall clock is far behind and is not followed, but signatures carry its time: set it right"
            );
        }
        clocks
    }

    /// Believes the wall clock from here on; false if there is no alarm.
    pub fn confirm_clock(&self) -> bool {
        let reading = self.settings.clock.read();
        let mut clock = lock(&self.clock);
        clock.at(reading);
        let confirmed = clock.alarm();
        if confirmed {
            clock.confirm(reading);
        }
        drop(clock);
        if confirmed {
            tracing::warn!(
                wall = reading.wall,
                "the wall clock was confirmed; append time follows it"
            );
        }
        confirmed
    }

    /// The runs now.
    pub fn runs(&self) -> Arc<Runs> {
        self.runs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How full the volume is; when the system does not say, nothing is free.
    pub fn space(&self) -> DiskSpace {
        let space = self.settings.disk.space(self.layout.root());
        space.unwrap_or(DiskSpace { total: 0, free: 0 })
    }

    /// `Err` below the publish mark.
    pub fn check_space(&self) -> Result<(), Short> {
        let DiskSpace { total, free } = self.space();
        let mark = total / 100 * self.settings.publish_mark_percent;
        // On a small volume a file is more than the mark: it has to fit above it.
        let needed = match self.write_ahead.has_spare() {
            true => mark,
            false => mark.saturating_add(self.settings.write_ahead_file_bytes),
        };
        if free < needed || (free == 0 && total == 0) {
            Err(Short::Space { free, needed })
        } else {
            Ok(())
        }
    }

    /// What there was too little of when this happened.
    pub fn short(&self, failure: &Failure) -> Short {
        let space = || {
            let free = self.space().free;
            let needed = free.saturating_add(1);
            Short::Space { free, needed }
        };
        failure.exhausted().map_or_else(space, Short::Of)
    }

    /// Nothing is accepted from here on, and nothing that waits becomes durable.
    pub fn poison(&self, failure: &Failure) {
        let reason = failure.to_string();
        if self.status.poison(reason.clone()) {
            tracing::error!(reason, "the journal is poisoned: a write that may not fail failed");
        }
        self.queue.wake();
        self.inbox.wake();
    }
}

fn tell_alarm(clocks: Clocks) {
    let ahead_ms = clocks.wall_time.saturating_sub(clocks.append_time);
    if clocks.alarm {
        tracing::error!(
            ahead_ms,
            "the wall clock is too far ahead of the monotonic clock and is not followed; set it right, or confirm it: trunkline clock confirm"
        );
    } else {
        tracing::info!(ahead_ms, "the wall clock is followed again");
    }
}

/// Held by a thread of the engine. When it ends by a panic, which is a bug, the journal is poisoned and whoever waits for
/// the thread is told, instead of waiting for ever.
#[derive(Debug)]
pub struct Ending<'a> {
    shared: &'a Shared,
    thread: &'static str,
}

impl<'a> Ending<'a> {
    /// To be dropped last.
    pub fn new(shared: &'a Shared, thread: &'static str) -> Self {
        Self { shared, thread }
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let reason = format!("{} panicked", self.thread);
            tracing::error!(reason, "the journal is poisoned by a bug");
            self.shared.status.poison(reason);
            self.shared.queue.abandon();
            self.shared.inbox.end();
        }
    }
}

/// Takes a lock; a panic elsewhere leaves these states as good as they were.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A durable frame on its way to the segments.
#[derive(Debug)]
pub struct Group {
    /// Its sequence.
    pub sequence: u64,
    /// When its records were appended.
    pub append_time: AppendTime,
    /// The frame, with or without the zeros behind it.
    pub bytes: Bytes,
    /// Its batches.
    pub batches: Vec<GroupBatch>,
}

impl Group {
    /// What its frame takes in a write-ahead file: what all bounds count, whatever it takes in memory.
    pub fn frame_len(&self) -> u64 {
        (self.bytes.len() as u64).next_multiple_of(super::format::PAGE)
    }
}

/// One batch of a group.
#[derive(Clone, Copy, Debug)]
pub struct GroupBatch {
    /// Whose it is.
    pub slot: Slot,
    /// Where it begins in the frame.
    pub start: u32,
    /// Its size.
    pub len: u32,
    /// First offset.
    pub base: Offset,
    /// Offset after the last.
    pub next: Offset,
}

impl GroupBatch {
    /// Its bytes within the frame.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }
}

/// What callers ask of the flusher. Each is answered after the checkpoint that makes it last.
#[derive(Debug)]
pub enum Command {
    /// Remove segments below an offset, which becomes the first readable one.
    Trim(Slot, Offset, oneshot::Sender<Result<(), Error>>),
    /// Remove what is left of a topic.
    Delete(TopicId, Vec<Slot>, oneshot::Sender<Result<(), Error>>),
    /// Write what damaged or missing runs held anew.
    RepairRuns(oneshot::Sender<Result<(), Error>>),
    /// Take a checkpoint of everything durable.
    Checkpoint(oneshot::Sender<Result<(), Error>>),
}

/// What waits for the flusher.
#[derive(Debug, Default)]
pub struct Inbox {
    state: Mutex<InboxState>,
    changed: Condvar,
}

/// See [`Inbox`].
#[derive(Debug, Default)]
pub struct InboxState {
    /// Durable frames that are not in segments, oldest first.
    pub groups: VecDeque<Arc<Group>>,
    /// Their bytes.
    pub bytes: u64,
    /// In order.
    pub commands: Vec<Command>,
    /// A write-ahead file was taken: another should be made ready.
    pub prepare: bool,
    /// The commit cannot go on without a checkpoint.
    pub checkpoint: bool,
    /// The volume was full: what failed may be tried again.
    pub retry: bool,
    /// A repair of runs is done, or about to be.
    pub repaired: bool,
    /// The commit has ended: flush, checkpoint, end.
    pub closing: bool,
    /// The flusher has ended.
    pub ended: bool,
}

impl Inbox {
    /// The state, for a look or a change; [`wake`](Self::wake) afterwards if the flusher or the commit should look.
    pub fn state(&self) -> MutexGuard<'_, InboxState> {
        lock(&self.state)
    }

    /// Lets waiters look again.
    pub fn wake(&self) {
        drop(self.state());
        self.changed.notify_all();
    }

    /// Asks for the repair of runs, unless that is asked for already. Nobody waits for it.
    pub fn repair_runs(&self) -> bool {
        let (answer, _) = oneshot::channel();
        let asked = |command: &Command| matches!(command, Command::RepairRuns(_));
        let first = !self.state().commands.iter().any(asked);
        first && self.command(Command::RepairRuns(answer)).is_ok()
    }

    /// The flusher ends: whoever asked and got no answer learns it by the closed channel.
    pub fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        state.commands.clear();
        drop(state);
        self.wake();
    }

    /// Waits until `ready` says so.
    pub fn wait(&self, mut ready: impl FnMut(&InboxState) -> bool) {
        let mut state = self.state();
        while !ready(&state) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Adds a command; `Err` once the flusher has ended.
    pub fn command(&self, command: Command) -> Result<(), Error> {
        let mut state = self.state();
        if state.ended {
            return Err(Error::Closed);
        }
        state.commands.push(command);
        drop(state);
        self.changed.notify_all();
        Ok(())
    }
}
