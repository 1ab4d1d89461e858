//! The flusher: moves durable groups into segments, carries out trims and deletions, takes checkpoints, recycles
//! write-ahead files. A state machine: [`Flusher::step`] does what there is to do; [`run`] drives it.

use super::{
    checkpoint::{Checkpoint, CheckpointPartition},
    disk::{Disk, File, Outcome},
    index::Mark,
    partition::{Partition, PartitionState, SegmentState, Slot},
    run::{Covered, Identified, Run, RunError},
    segment::{self, ENTRY_LEN, FRONT_LEN},
    shared::{Command, Group, InboxState, Runs, Shared},
};
use crate::{AppendTime, Error, Offset, PartitionId, TopicId};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    path::PathBuf,
    sync::{Arc, PoisonError},
};
use tokio::sync::oneshot;

/// Runs below this share of a full one are merged into the next, so that restarts do not leave many small ones.
const SMALL_RUN_SHARE: u64 = 4;

/// The one writer of segments, runs and checkpoints.
#[derive(Debug)]
pub struct Flusher {
    shared: Arc<Shared>,
    disk: Disk,
    /// Growing segments that were opened.
    active: HashMap<Slot, Active>,
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
    next_run: u64,
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
            closed: Vec::new(),
            directories: BTreeSet::new(),
            obsolete: inherited.obsolete,
            obsolete_topics: inherited.obsolete_topics,
            covered,
            next_run: inherited.next_run,
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
            Ok(()) => Ok(()),
            Err(failure) if failure.is_out_of_space() => {
                let free = self.shared.space().free;
                tracing::warn!(%failure, "the volume is full; flushing is tried again when there is space");
                self.shared
                    .status
                    .set_out_of_space(Some((free, free.saturating_add(1))));
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
        let groups = if wanted || commands.iter().any(Command::needs_all) {
            inbox.groups.iter().cloned().collect()
        } else {
            overdue(&inbox, &self.shared)
        };
        drop(inbox);
        // Commands change what is in memory even on a full volume; what they remove then frees space.
        let flushed = self.flush(&groups);
        let mut repair = false;
        for command in commands {
            repair |= matches!(command, Command::RepairRuns(_));
            replies.push(self.carry_out(command)?);
        }
        if let Err(failure) = flushed
            && !(failure.is_out_of_space() && self.changed)
        {
            return Err(failure);
        }
        if repair {
            self.repair_runs()?;
        }
        let due = self.bytes_since_checkpoint >= self.shared.settings.checkpoint_bytes;
        if due || wanted || self.changed || repair {
            self.checkpoint_with_reserve()?;
        } else {
            self.spill_identities()?;
        }
        if prepare && !closing {
            self.prepare_write_ahead()?;
        }
        self.shared.inbox.state().checkpoint = false;
        Ok(())
    }

    fn prepare_write_ahead(&self) -> Outcome<()> {
        match self.shared.write_ahead.prepare(self.flushed_through) {
            // The commit will meet it too, if it still is so when it needs the file.
            Err(failure) if failure.is_out_of_space() => Ok(()),
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
        let bytes: u64 = groups.iter().map(|group| group.bytes.len() as u64).sum();
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

    fn flush_partition(
        &mut self,
        partition: &Partition,
        groups: &[Arc<Group>],
        places: &[(Slot, u32, u32)],
    ) -> Outcome<()> {
        let flushed = partition.state().flushed;
        let mut batches = places
            .iter()
            .map(|(_, group, batch)| {
                (
                    &groups[*group as usize],
                    groups[*group as usize].batches[*batch as usize],
                )
            })
            .filter(|(_, batch)| batch.next > flushed)
            .peekable();
        while batches.peek().is_some() {
            let mut segment = self.segment_to_grow(partition, batches.peek().map_or(0, |(_, batch)| batch.base))?;
            let begin = segment.bytes;
            let mut out = Vec::new();
            while let Some((group, batch)) = batches.next_if(|_| segment.bytes < self.shared.settings.segment_bytes) {
                segment.sparse.add(Mark {
                    offset: batch.base,
                    append_time: group.append_time,
                    position: segment.bytes,
                });
                segment::put_entry(&mut out, group.append_time, &group.bytes[batch.range()]);
                segment.bytes += (ENTRY_LEN + batch.len as usize) as u64;
                segment.next = batch.next;
                segment.newest = group.append_time;
            }
            let active = self.active.get_mut(&partition.slot).expect("it was opened");
            active.dirty = true;
            active.file.write_all_at(&out, begin)?;
            partition.state().grown(segment);
        }
        Ok(())
    }

    /// The growing segment, opened; a new one where there is none or it is full.
    fn segment_to_grow(&mut self, partition: &Partition, base: Offset) -> Outcome<SegmentState> {
        let last = partition.state().segments.back().cloned();
        if let Some(last) = last.filter(|last| !last.sealed) {
            if last.bytes < self.shared.settings.segment_bytes {
                self.open_active(partition, &last)?;
                return Ok(last);
            }
            self.close_segment(partition, last)?;
        }
        self.create_segment(partition, base)
    }

    fn open_active(&mut self, partition: &Partition, last: &SegmentState) -> Outcome<()> {
        if !self.active.contains_key(&partition.slot) {
            let file = self.disk.open(&self.shared.layout.segment(partition.id, last.base))?;
            self.active.insert(partition.slot, Active { file, dirty: false });
        }
        Ok(())
    }

    /// Closes a segment: its index is written, and the next batch goes into another.
    fn close_segment(&mut self, partition: &Partition, mut last: SegmentState) -> Outcome<()> {
        self.open_active(partition, &last)?;
        let active = &self.active[&partition.slot];
        if last.sparse.first_position() != Some(FRONT_LEN) {
            // This process did not write all of it.
            last.sparse = segment::rebuild_index(&active.file, last.base, last.bytes)?;
        }
        let index = self.disk.create(&self.shared.layout.index(partition.id, last.base))?;
        index.write_all_at(&last.sparse.encode(partition.id, last.base), 0)?;
        self.directories.insert(self.shared.layout.partition(partition.id));
        let active = self.active.remove(&partition.slot).expect("it was opened");
        if active.dirty {
            self.closed.push(active.file);
        }
        self.closed.push(index);
        let mut state = partition.state();
        let segment = state
            .segments
            .back_mut()
            .expect("it is there until this thread removes it");
        segment.sealed = true;
        segment.sparse = Default::default();
        Ok(())
    }

    fn create_segment(&mut self, partition: &Partition, base: Offset) -> Outcome<SegmentState> {
        let layout = &self.shared.layout;
        let directory = layout.partition(partition.id);
        if partition.state().segments.is_empty() {
            self.disk.create_directory(&directory)?;
            self.directories.insert(layout.topics());
            self.directories.insert(layout.topic(partition.id.topic));
        }
        self.directories.insert(directory);
        let path = layout.segment(partition.id, base);
        // It may have been emptied by a trim a moment ago.
        self.obsolete.retain(|obsolete| *obsolete != path);
        let file = self.disk.create(&path)?;
        file.write_all_at(&segment::encode_front(partition.id, base), 0)?;
        let segment = SegmentState {
            base,
            next: base,
            bytes: FRONT_LEN,
            newest: AppendTime::MIN,
            sealed: false,
            sparse: Default::default(),
        };
        self.active.insert(partition.slot, Active { file, dirty: true });
        partition.state().segments.push_back(segment.clone());
        Ok(segment)
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

    fn trim(&mut self, partition: &Partition, start: Offset) -> Outcome<()> {
        let mut state = partition.state();
        state.start = state.start.max(start.min(state.high_water));
        self.changed = true;
        let start = state.start;
        // What the volume had no room for yet has to reach a segment first.
        let emptied = start == state.flushed && state.tail.is_empty();
        let count = state.segments.partition_point(|segment| segment.next <= start);
        let gone: Vec<_> = state.segments.drain(..count).collect();
        state.damage.retain(|damage| damage.to > start);
        let none_left = state.segments.is_empty();
        drop(state);
        for segment in &gone {
            self.obsolete
                .push(self.shared.layout.segment(partition.id, segment.base));
            self.obsolete.push(self.shared.layout.index(partition.id, segment.base));
        }
        if none_left {
            self.active.remove(&partition.slot);
        }
        if none_left && emptied && start > 0 {
            // An empty segment keeps the next offset even if the checkpoint is lost.
            match self.create_segment(partition, start) {
                Err(failure) if failure.is_out_of_space() => {}
                created => drop(created?),
            }
        }
        Ok(())
    }

    fn delete(&mut self, topic: TopicId, slots: &[Slot]) {
        slots.iter().for_each(|slot| drop(self.active.remove(slot)));
        self.covered.retain(|partition, _| partition.topic != topic);
        let directory = self.shared.layout.topic(topic);
        self.directories.retain(|path| !path.starts_with(&directory));
        self.obsolete.retain(|path| !path.starts_with(&directory));
        self.obsolete_topics.push(directory);
        self.changed = true;
    }

    /// A checkpoint is what frees space after a trim: on a full volume a spare write-ahead file is given up for it.
    fn checkpoint_with_reserve(&mut self) -> Outcome<()> {
        match self.checkpoint() {
            Err(failure) if failure.is_out_of_space() && self.changed => {
                if self.shared.write_ahead.give_back()? {
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
        for path in std::mem::take(&mut self.obsolete) {
            self.disk.remove(&path)?;
        }
        for path in std::mem::take(&mut self.obsolete_topics) {
            self.disk.remove_directory(&path)?;
        }
        self.shared.write_ahead.recycle(self.checkpointed_through)
    }

    fn sync_segments(&mut self) -> Outcome<()> {
        for file in self.closed.drain(..) {
            file.sync_all()?;
        }
        for active in self.active.values_mut().filter(|active| active.dirty) {
            active.file.sync_data()?;
            active.dirty = false;
        }
        for directory in std::mem::take(&mut self.directories) {
            self.disk.sync_directory(&directory)?;
        }
        Ok(())
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

    /// Moves the identities of all flushed records into a run if there are many.
    pub fn spill_identities(&mut self) -> Outcome<()> {
        let many = self.shared.settings.run_identities;
        if self.shared.recent.count_through(self.flushed_through) >= many {
            self.write_run()
        } else {
            Ok(())
        }
    }

    /// Moves the identities of all flushed records into a run.
    fn write_run(&mut self) -> Outcome<()> {
        let through = self.flushed_through;
        let runs = self.shared.runs();
        let mut covered = self.newly_covered();
        let mut identities = self.shared.recent.through(through);
        if covered.is_empty() {
            return Ok(());
        }
        let small = self.shared.settings.run_identities as u64 / SMALL_RUN_SHARE;
        let mut kept = runs.runs.clone();
        let merged = kept.pop_if(|last| last.count < small).and_then(|last| {
            let all = last.read_all(&self.disk).ok();
            // What an unreadable one held is written anew below.
            all.map(|all| (last, all))
        });
        let mut replaced = None;
        if let Some((last, all)) = merged {
            replaced = Some(self.shared.layout.run(last.number));
            identities.extend(all);
            covered.extend(&last.covered);
        }
        let run = self.create_run(identities, join(covered))?;
        kept.push(Arc::new(run));
        let unreadable = replaced.is_none() && kept.len() <= runs.runs.len();
        self.obsolete.extend(replaced);
        self.set_runs(kept, through);
        self.shared.recent.drop_through(through);
        if unreadable { self.repair_runs() } else { Ok(()) }
    }

    fn create_run(&mut self, identities: Vec<Identified>, covered: Vec<Covered>) -> Outcome<Run> {
        let run = Run::write(&self.disk, &self.shared.layout, self.next_run, identities, covered)?;
        self.next_run += 1;
        self.directories.insert(self.shared.layout.identities());
        for range in &run.covered {
            let to = self.covered.entry(range.partition).or_default();
            *to = range.to.max(*to);
        }
        Ok(run)
    }

    fn set_runs(&self, runs: Vec<Arc<Run>>, through: u64) {
        let mut shared = self.shared.runs.write().unwrap_or_else(PoisonError::into_inner);
        *shared = Arc::new(Runs { runs, through });
    }

    /// What was flushed since the last run.
    fn newly_covered(&self) -> Vec<Covered> {
        let all = self.shared.registry.all();
        let ranges = all.iter().map(|partition| {
            let state = partition.state();
            Covered {
                partition: partition.id,
                from: self.covered.get(&partition.id).copied().unwrap_or(0),
                to: state.flushed,
            }
        });
        ranges.filter(|range| range.from < range.to).collect()
    }

    /// Lets go of runs all of whose records were trimmed or deleted.
    fn drop_runs(&mut self) {
        let runs = self.shared.runs();
        let registry = &self.shared.registry;
        let live = |range: &Covered| {
            registry
                .get(range.partition)
                .is_ok_and(|at| at.state().start < range.to)
        };
        let (kept, gone): (Vec<_>, Vec<_>) = runs.runs.iter().cloned().partition(|run| run.covered.iter().any(live));
        if !gone.is_empty() {
            self.obsolete
                .extend(gone.iter().map(|run| self.shared.layout.run(run.number)));
            self.set_runs(kept, runs.through);
        }
    }

    /// Writes the identities of records that no good run covers into new runs, from their segments.
    pub fn repair_runs(&mut self) -> Outcome<()> {
        let runs = self.shared.runs();
        let (good, bad): (Vec<_>, Vec<_>) = runs.runs.iter().cloned().partition(|run| self.is_good(run));
        self.obsolete
            .extend(bad.iter().map(|run| self.shared.layout.run(run.number)));
        let mut kept = good;
        let mut identities = Vec::new();
        let mut covered = Vec::new();
        for missing in self.uncovered(&kept) {
            identities.extend(self.identify(missing)?);
            covered.push(missing);
            if identities.len() >= self.shared.settings.run_identities {
                let run = self.create_run(std::mem::take(&mut identities), join(std::mem::take(&mut covered)))?;
                kept.push(Arc::new(run));
            }
        }
        if !covered.is_empty() {
            kept.push(Arc::new(self.create_run(identities, join(covered))?));
        }
        self.set_runs(kept, runs.through);
        Ok(())
    }

    fn is_good(&self, run: &Run) -> bool {
        let read = Run::open(&self.disk, &self.shared.layout, run.number)
            .and_then(|run| Ok((run.filter(&self.disk)?, run.read_all(&self.disk)?)));
        !matches!(read, Err(RunError::Damaged))
    }

    /// What runs should cover and these do not.
    fn uncovered(&self, runs: &[Arc<Run>]) -> Vec<Covered> {
        let mut by_partition: BTreeMap<PartitionId, Vec<Covered>> = BTreeMap::new();
        for range in runs.iter().flat_map(|run| &run.covered) {
            by_partition.entry(range.partition).or_default().push(*range);
        }
        let mut missing = Vec::new();
        for partition in self.shared.registry.all() {
            let state = partition.state();
            let to = self.covered.get(&partition.id).copied().unwrap_or(0).min(state.flushed);
            let mut from = state.segments.front().map_or(to, |segment| segment.base);
            let mut ranges = by_partition.remove(&partition.id).unwrap_or_default();
            ranges.sort_unstable();
            ranges.push(Covered {
                partition: partition.id,
                from: to,
                to,
            });
            for range in ranges {
                if range.from > from {
                    missing.push(Covered {
                        partition: partition.id,
                        from,
                        to: range.from,
                    });
                }
                from = from.max(range.to);
            }
        }
        missing
    }

    fn identify(&self, range: Covered) -> Outcome<Vec<Identified>> {
        let Ok(partition) = self.shared.registry.get(range.partition) else {
            return Ok(Vec::new());
        };
        let segments: VecDeque<SegmentState> = partition.state().segments.clone();
        let mut identities = Vec::new();
        for segment in segments
            .iter()
            .filter(|segment| segment.base < range.to && segment.next > range.from)
        {
            let path = self.shared.layout.segment(partition.id, segment.base);
            let file = self.disk.open_to_read(&path)?;
            let mut walk = segment::Walk::from_front(&file, segment.base, segment.bytes);
            // Damage is noted by whoever reads it; what lies behind is not found by identity then.
            while let Ok(Some(entry)) = walk.next() {
                let identify = self.shared.settings.identify;
                identities.extend(identified(identify, partition.id, &entry.batch, &[]));
            }
        }
        identities.retain(|identified| (range.from..range.to).contains(&identified.offset));
        Ok(identities)
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

impl PartitionState {
    /// A segment grew: its batches are no longer held in memory.
    fn grown(&mut self, segment: SegmentState) {
        self.flushed = segment.next;
        let held = self.tail.partition_point(|batch| batch.next <= self.flushed);
        self.tail.drain(..held);
        *self.segments.back_mut().expect("it was there when it grew") = segment;
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

/// The identities of a batch's records.
pub fn identified(
    identify: crate::Identify,
    partition: PartitionId,
    batch: &crate::StoredBatch,
    copies: &[u32],
) -> Vec<Identified> {
    let records = (0..).zip(crate::records(batch));
    let identities = records.filter_map(|(place, record): (u32, _)| {
        Some(Identified {
            partition,
            offset: record.offset,
            append_time: batch.append_time,
            identity: identify(partition.topic, &record)?,
            primary: !copies.contains(&place),
        })
    });
    identities.collect()
}

/// Adjoining ranges become one.
fn join(mut covered: Vec<Covered>) -> Vec<Covered> {
    covered.sort_unstable();
    let mut joined: Vec<Covered> = Vec::with_capacity(covered.len());
    for range in covered {
        match joined.last_mut() {
            Some(last) if last.partition == range.partition && last.to >= range.from => last.to = last.to.max(range.to),
            _ => joined.push(range),
        }
    }
    joined
}

/// The oldest groups beyond what stays in memory, once there is enough to flush.
fn overdue(inbox: &InboxState, shared: &Shared) -> Vec<Arc<Group>> {
    if inbox.bytes < shared.settings.flush_bytes {
        return Vec::new();
    }
    let mut excess = inbox.bytes.saturating_sub(shared.settings.tail_bytes);
    let oldest = inbox.groups.iter().take_while(|group| {
        let take = excess > 0;
        excess = excess.saturating_sub(group.bytes.len() as u64);
        take
    });
    oldest.cloned().collect()
}

/// Drives a flusher until the commit has ended and everything is checkpointed, or the journal is poisoned.
pub fn run(mut flusher: Flusher) -> Result<(), Error> {
    let shared = flusher.shared.clone();
    let flush_bytes = shared.settings.flush_bytes;
    let last = loop {
        shared.inbox.wait(|inbox| {
            let flush = inbox.bytes >= flush_bytes && !shared.status.is_out_of_space();
            let asked =
                !inbox.commands.is_empty() || inbox.prepare || inbox.checkpoint && !shared.status.is_out_of_space();
            flush || asked || inbox.retry || inbox.closing || shared.status.poisoned().is_some()
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
    let mut inbox = shared.inbox.state();
    inbox.ended = true;
    // Whoever asked and got no answer learns it by the closed channel.
    inbox.commands.clear();
    drop(inbox);
    shared.inbox.wake();
    last
}
