//! The flusher: moves durable groups into segments, carries out trims and deletions, takes checkpoints, recycles
//! write-ahead files. A state machine: [`Flusher::step`] does what there is to do; [`run`] drives it.

mod merge;
mod repair;
mod runs;
mod segments;
mod staging;
mod trim;

#[cfg(test)]
pub(super) use merge::{MERGED_MAX, NOT_FULL_MAX};
pub use runs::identified;

use super::{
    checkpoint::{Checkpoint, CheckpointPartition},
    disk::{Disk, Failure, File, Outcome},
    partition::Slot,
    shared::{Command, Ending, Group, InboxState, Shared},
};
use crate::{AppendTime, Error, Offset, PartitionId};
use merge::Merge;
use repair::Repairing;
use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::oneshot;

/// The one writer of segments, runs and checkpoints.
#[derive(Debug)]
pub struct Flusher {
    shared: Arc<Shared>,
    disk: Disk,
    /// Growing segments that are open.
    active: HashMap<Slot, Active>,
    /// How often one was asked for.
    uses: u64,
    /// Closed segments that are not synced yet.
    closed: Vec<File>,
    /// Directories with names that are not synced yet.
    directories: BTreeSet<PathBuf>,
    /// To be removed once no checkpoint lists them.
    obsolete: Vec<PathBuf>,
    /// Topics' directories likewise.
    obsolete_topics: Vec<PathBuf>,
    /// How far runs cover each partition.
    covered: HashMap<PartitionId, Offset>,
    next_run: Arc<AtomicU64>,
    merge: Option<Box<Merge>>,
    /// The last merge was given up: none before the next checkpoint.
    merge_put_off: bool,
    repairing: Option<Repairing>,
    flushed_through: u64,
    checkpointed_through: u64,
    append_time: AppendTime,
    /// Bytes of frames flushed since the last checkpoint.
    bytes_since_checkpoint: u64,
    /// Something was trimmed or deleted since the last checkpoint.
    changed: bool,
}

#[derive(Debug)]
struct Active {
    file: File,
    dirty: bool,
    /// When it was last grown, in the flusher's own count.
    used: u64,
}

/// What a recovery hands to the flusher.
#[derive(Debug, Default)]
pub struct Inherited {
    /// All frames up to it are in segments and checkpointed.
    pub sequence: u64,
    /// No append time so far is above it.
    pub append_time: AppendTime,
    /// The number of the next run.
    pub next_run: u64,
    /// To be removed after the next checkpoint.
    pub obsolete: Vec<PathBuf>,
    /// Directories to be removed after the next checkpoint.
    pub obsolete_topics: Vec<PathBuf>,
}

type Reply = oneshot::Sender<Result<(), Error>>;

impl Flusher {
    /// A flusher that goes on where a recovery left off.
    pub fn new(shared: Arc<Shared>, inherited: Inherited) -> Self {
        let mut covered = HashMap::new();
        for range in shared.runs().runs.iter().flat_map(|run| &run.covered) {
            let to: &mut Offset = covered.entry(range.partition).or_default();
            *to = range.to.max(*to);
        }
        Self {
            disk: shared.settings.disk.clone(),
            shared,
            active: HashMap::new(),
            uses: 0,
            closed: Vec::new(),
            directories: BTreeSet::new(),
            obsolete: inherited.obsolete,
            obsolete_topics: inherited.obsolete_topics,
            covered,
            next_run: Arc::new(inherited.next_run.into()),
            merge: None,
            merge_put_off: false,
            repairing: None,
            flushed_through: inherited.sequence,
            checkpointed_through: inherited.sequence,
            append_time: inherited.append_time,
            bytes_since_checkpoint: 0,
            changed: false,
        }
    }

    /// Does what there is to do. A full volume is noted and what failed stays to be done; another failure poisons.
    pub fn step(&mut self) -> Result<(), Error> {
        let mut replies = Vec::new();
        if let Some(poisoned) = self.shared.status.poisoned() {
            // What is in the page cache is not to be trusted any more, so nothing more is synced.
            for command in std::mem::take(&mut self.shared.inbox.state().commands) {
                drop(command.reply().send(Err(poisoned.clone())));
            }
            return Err(poisoned);
        }
        let done = self.work(&mut replies);
        let answer = match done {
            Ok(()) => {
                if self.shared.status.is_flusher_stuck() {
                    tracing::info!("flushing works again");
                    self.shared.status.set_flusher_short(None);
                }
                Ok(())
            }
            Err(failure) if failure.is_shortage() => {
                // Said once: every publish that is refused meanwhile tries again.
                if !self.shared.status.is_flusher_stuck() {
                    tracing::warn!(%failure, "the volume or the process is at a limit; flushing is tried again");
                }
                self.shared.status.set_flusher_short(Some(self.shared.short(&failure)));
                Err(Error::from(failure))
            }
            Err(failure) => {
                self.shared.poison(&failure);
                Err(Error::from(failure))
            }
        };
        for reply in replies {
            drop(reply.send(answer.clone()));
        }
        self.shared.inbox.wake();
        answer
    }

    fn work(&mut self, replies: &mut Vec<Reply>) -> Outcome<()> {
        let mut inbox = self.shared.inbox.state();
        let commands = std::mem::take(&mut inbox.commands);
        let closing = inbox.closing;
        let wanted =
            inbox.checkpoint || closing || commands.iter().any(|command| matches!(command, Command::Checkpoint(_)));
        let prepare = std::mem::take(&mut inbox.prepare);
        inbox.retry = false;
        let told = std::mem::take(&mut inbox.repaired);
        let groups = if wanted || commands.iter().any(Command::needs_all) {
            inbox.groups.iter().cloned().collect()
        } else {
            overdue(&inbox, &self.shared)
        };
        drop(inbox);
        if closing {
            self.stop_merge();
            self.stop_repair();
        }
        // Commands change what is in memory even on a full volume; what they remove then frees space.
        let flushed = self.flush(&groups);
        let mut repair = Vec::new();
        for command in commands {
            match command {
                Command::RepairRuns(reply) => repair.push(reply),
                other => replies.push(self.carry_out(other)?),
            }
        }
        if let Err(failure) = flushed
            && !(failure.is_shortage() && self.changed)
        {
            return Err(failure);
        }
        if !repair.is_empty() && !closing {
            self.begin_repair(repair);
        }
        let repaired = self.finish_repair(told, replies)?;
        let due = self.bytes_since_checkpoint >= self.shared.settings.checkpoint_bytes;
        if due || wanted || self.changed || repaired {
            self.checkpoint_with_reserve()?;
        } else {
            self.spill_identities()?;
        }
        if prepare && !closing {
            self.prepare_write_ahead()?;
        }
        self.shared.inbox.state().checkpoint = false;
        if closing { Ok(()) } else { self.merge_some() }
    }

    fn prepare_write_ahead(&self) -> Outcome<()> {
        match self.shared.write_ahead.prepare() {
            // The commit will meet it too, if it still is so when it needs the file.
            Err(failure) if failure.is_shortage() => Ok(()),
            other => other,
        }
    }

    /// Writes whole groups into segments, each partition's batches at once, and lets their memory go.
    pub fn flush(&mut self, groups: &[Arc<Group>]) -> Outcome<()> {
        let Some(last) = groups.last() else { return Ok(()) };
        let mut places: Vec<(Slot, u32, u32)> = Vec::new();
        for (group, place) in groups.iter().zip(0..) {
            places.extend((0..).zip(&group.batches).map(|(batch, at)| (at.slot, place, batch)));
        }
        places.sort_unstable();
        for of_slot in places.chunk_by(|one, other| one.0 == other.0) {
            if let Some(partition) = self.shared.registry.by_slot(of_slot[0].0) {
                self.flush_partition(&partition, groups, of_slot)?;
            }
        }
        self.flushed_through = last.sequence;
        self.append_time = self.append_time.max(last.append_time);
        self.release(groups);
        Ok(())
    }

    fn release(&mut self, groups: &[Arc<Group>]) {
        let bytes: u64 = groups.iter().map(|group| group.frame_len()).sum();
        self.bytes_since_checkpoint += bytes;
        let mut inbox = self.shared.inbox.state();
        // A recovery flushes groups that never were in the inbox.
        let held = inbox
            .groups
            .partition_point(|group| group.sequence <= self.flushed_through);
        if held > 0 {
            inbox.groups.drain(..held);
            inbox.bytes -= bytes;
        }
    }

    fn carry_out(&mut self, command: Command) -> Outcome<Reply> {
        match command {
            Command::Trim(slot, start, reply) => {
                if let Some(partition) = self.shared.registry.by_slot(slot) {
                    self.trim(&partition, start)?;
                }
                Ok(reply)
            }
            Command::Delete(topic, slots, reply) => {
                self.delete(topic, &slots);
                Ok(reply)
            }
            Command::RepairRuns(reply) | Command::Checkpoint(reply) => Ok(reply),
        }
    }

    /// A checkpoint is what frees space after a trim: on a full volume a spare write-ahead file is given up for it.
    fn checkpoint_with_reserve(&mut self) -> Outcome<()> {
        match self.checkpoint() {
            Err(failure) if failure.is_shortage() && self.changed => {
                if self.shared.write_ahead.give_back() {
                    self.checkpoint()
                } else {
                    Err(failure)
                }
            }
            other => other,
        }
    }

    /// Publishes where everything stands, then lets go of what it no longer lists.
    pub fn checkpoint(&mut self) -> Outcome<()> {
        self.write_run()?;
        self.drop_runs();
        self.sync_segments()?;
        let checkpoint = self.assemble_checkpoint();
        self.disk
            .replace(&self.shared.layout.checkpoint(), &checkpoint.encode())?;
        self.checkpointed_through = checkpoint.sequence;
        self.bytes_since_checkpoint = 0;
        self.changed = false;
        self.merge_put_off = false;
        self.remove_obsolete();
        self.shared.write_ahead.recycle(self.checkpointed_through);
        Ok(())
    }

    /// What cannot be removed now, for instance because a reader just wrote an index beside it, is tried again after the next
    /// checkpoint; and so is everything while a copy is made.
    fn remove_obsolete(&mut self) {
        if self.shared.holds.load(Ordering::SeqCst) > 0 {
            return;
        }
        let disk = &self.disk;
        let is_left = |removed: Outcome<()>| removed.inspect_err(warn_left).is_err();
        self.obsolete.retain(|path| is_left(disk.remove(path)));
        self.obsolete_topics.retain(|path| is_left(disk.remove_directory(path)));
    }

    fn assemble_checkpoint(&self) -> Checkpoint {
        let partitions = self.shared.registry.all();
        let stored = partitions.iter().map(|partition| {
            let state = partition.state();
            CheckpointPartition {
                id: partition.id,
                start: state.start.min(state.flushed),
                next: state.flushed,
                segments: state.segments.iter().cloned().collect(),
            }
        });
        Checkpoint {
            sequence: self.flushed_through,
            needed_from: self.shared.write_ahead.needed_from(self.flushed_through),
            append_time: self.append_time,
            runs: self.shared.runs().runs.iter().map(|run| run.number).collect(),
            partitions: stored.filter(|partition| partition.next > 0).collect(),
        }
    }

    /// Notes that frames up to `sequence` need no flush.
    pub fn skip_to(&mut self, sequence: u64, append_time: AppendTime) {
        self.flushed_through = self.flushed_through.max(sequence);
        self.append_time = self.append_time.max(append_time);
    }

    /// Makes the next checkpoint due whatever the bytes.
    pub fn set_changed(&mut self) {
        self.changed = true;
    }

    /// Sets how far runs are supposed to cover each partition, whatever runs there are.
    pub fn expect_covered(&mut self, partition: PartitionId, to: Offset) {
        self.covered.insert(partition, to);
    }
}

impl Command {
    fn reply(self) -> Reply {
        match self {
            Self::Trim(_, _, reply) | Self::Delete(_, _, reply) | Self::RepairRuns(reply) | Self::Checkpoint(reply) => {
                reply
            }
        }
    }

    fn needs_all(&self) -> bool {
        matches!(self, Self::Trim(..) | Self::RepairRuns(_))
    }
}

fn warn_left(failure: &Failure) {
    tracing::warn!(%failure, "removing is tried again after the next checkpoint");
}

/// The oldest groups beyond what stays in memory, once there is enough to flush.
fn overdue(inbox: &InboxState, shared: &Shared) -> Vec<Arc<Group>> {
    if inbox.bytes < shared.settings.flush_bytes {
        return Vec::new();
    }
    let mut excess = inbox.bytes.saturating_sub(shared.settings.tail_bytes);
    let oldest = inbox.groups.iter().take_while(|group| {
        let take = excess > 0;
        excess = excess.saturating_sub(group.frame_len());
        take
    });
    oldest.cloned().collect()
}

/// Drives a flusher until the commit has ended and everything is checkpointed, or the journal is poisoned.
pub fn run(mut flusher: Flusher) -> Result<(), Error> {
    let shared = flusher.shared.clone();
    let _ending = Ending::new(&shared, "the flusher");
    let flush_bytes = shared.settings.flush_bytes;
    let last = loop {
        let merging = flusher.is_merging();
        shared.inbox.wait(|inbox| {
            let flush = inbox.bytes >= flush_bytes && !shared.status.is_flusher_stuck();
            let asked =
                !inbox.commands.is_empty() || inbox.prepare || inbox.checkpoint && !shared.status.is_flusher_stuck();
            let merge = merging && !shared.status.is_flusher_stuck();
            flush
                || asked
                || merge
                || inbox.retry
                || inbox.repaired
                || inbox.closing
                || shared.status.poisoned().is_some()
        });
        if let Some(poisoned) = shared.status.poisoned() {
            break Err(poisoned);
        }
        let closing = shared.inbox.state().closing;
        let done = flusher.step();
        if closing {
            break done;
        }
    };
    flusher.stop_repair();
    shared.inbox.end();
    last
}
