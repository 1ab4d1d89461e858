//! From a directory to a running journal: cut every segment to its checkpoint, replay the frames behind it, check-point
//! anew, and only then let anything in. Without a good checkpoint every segment is walked.

use super::{
    checkpoint::{Checkpoint, CheckpointPartition},
    clock::AppendClock,
    disk::{Disk, Outcome},
    flush::{self, Flusher, Inherited},
    format::{self, Layout},
    identities::{Deduplication, Recent},
    index::SparseIndex,
    partition::{PartitionState, Registry, SegmentState},
    replay::{self, Frame},
    run::{Run, RunError},
    segment::{self, FRONT_LEN, Walk, WalkError},
    settings::{PARTITIONS_MAX, Settings},
    shared::{Counters, Group, GroupBatch, Inbox, Queue, Runs, Shared, Status, lock},
    write_ahead::{self, Found, WriteAheadSet},
};
use crate::{AppendTime, Damage, Error, Offset, PartitionId, StoredBatch, TailHub, TopicId, batch::BatchHeader};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, RwLock},
};

/// This part of the identities that may be in memory is read at a start. More of them stay in their runs, behind filters,
/// until their time is over: reading a million takes as long as all else.
const RESTORED_SHARE: u64 = 8;

/// Frames' bytes that are replayed at once.
const REPLAY_BYTES: usize = 16 << 20;

/// A journal that is ready to go.
pub struct Recovered {
    /// What all parts share.
    pub shared: Arc<Shared>,
    /// The flusher, with everything checkpointed.
    pub flusher: Flusher,
    /// The window of identities.
    pub identities: Deduplication,
    /// Newest sequence.
    pub sequence: u64,
}

/// Recovers the directory, whose lock is held.
pub fn recover(settings: Settings, topics: &[(TopicId, u32)]) -> Result<Recovered, Error> {
    let layout = Layout::new(&settings.directory);
    let known: HashMap<TopicId, u32> = topics.iter().copied().collect();
    let found = write_ahead::find(&settings.disk, &layout)?;
    let checkpoint = read_checkpoint(&settings.disk, &layout)?;
    let begin = match &checkpoint {
        Some(checkpoint) => Some(checkpoint.sequence),
        None => replay::begin_without_checkpoint(&found)?,
    };
    let mut inherited = Inherited::default();
    let mut restored = match &checkpoint {
        Some(checkpoint) => restore(&settings.disk, &layout, checkpoint, &known)?,
        None => rebuild(&settings.disk, &layout, &found, begin, &known)?,
    };
    inherited.sequence = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.sequence);
    inherited.append_time = restored.append_time;
    inherited.obsolete_topics = unknown_topics(&settings.disk, &layout, &known)?;
    let (runs, next_run) = open_runs(&settings.disk, &layout, checkpoint.as_ref())?;
    inherited.next_run = next_run;
    let expected = checkpoint
        .as_ref()
        .map_or(usize::MAX, |checkpoint| checkpoint.runs.len());
    let repair = runs.len() != expected;
    let shared = share(
        settings,
        layout,
        &found,
        checkpoint.as_ref(),
        runs,
        restored.append_time,
    );
    let covered: Vec<_> = restored
        .partitions
        .iter()
        .map(|(id, state)| (*id, state.flushed))
        .collect();
    for (id, state) in std::mem::take(&mut restored.partitions) {
        shared.registry.restore(id, state);
    }
    for (topic, partitions) in topics {
        shared.registry.add(*topic, *partitions, PARTITIONS_MAX)?;
    }
    let mut flusher = Flusher::new(shared.clone(), inherited);
    for (partition, to) in covered {
        flusher.expect_covered(partition, to);
    }
    if repair {
        flusher.repair_runs()?;
    }
    let needed_from = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.needed_from);
    let sequence = replay(&shared, &mut flusher, &found, (begin, needed_from), &known)?;
    flusher.set_changed();
    flusher.checkpoint()?;
    let identities = restore_identities(&shared, &mut flusher)?;
    Ok(Recovered {
        shared,
        flusher,
        identities,
        sequence,
    })
}

/// The checkpoint; `None` if there is none, or a damaged one: an older one is never used.
fn read_checkpoint(disk: &Disk, layout: &Layout) -> Result<Option<Checkpoint>, Error> {
    let bytes = match disk.read(&layout.checkpoint()) {
        Err(failure) if failure.is_not_found() => return Ok(None),
        // It cannot be opened: as good as damaged.
        Err(failure) if failure.is_unreadable() => Vec::new(),
        read => read?,
    };
    let checkpoint = Checkpoint::decode(&bytes);
    if checkpoint.is_none() {
        tracing::error!(file = %layout.checkpoint().display(), "the checkpoint is damaged; every segment is walked");
    }
    Ok(checkpoint)
}

fn share(
    settings: Settings,
    layout: Layout,
    found: &Found,
    checkpoint: Option<&Checkpoint>,
    runs: Vec<Arc<Run>>,
    append_time: AppendTime,
) -> Arc<Shared> {
    let newest = found.epochs.last().map_or(0, |(_, header)| header.epoch.number);
    let next_number = newest.max(checkpoint.map_or(0, |checkpoint| checkpoint.needed_from)) + 1;
    let headerless = found.headerless.iter().cloned();
    let stale = headerless
        .chain(found.epochs.iter().map(|(file, _)| file.clone()))
        .collect();
    let write_ahead = WriteAheadSet::new(&settings, &layout, stale, next_number, found.next_slot);
    let clock = AppendClock::new(settings.clock.read(), append_time);
    Arc::new(Shared {
        layout,
        registry: Registry::default(),
        queue: Queue::default(),
        inbox: Inbox::default(),
        recent: Recent::default(),
        runs: RwLock::new(Arc::new(Runs { runs, through: 0 })),
        index_writer: Mutex::default(),
        write_ahead,
        clock: Mutex::new(clock),
        hub: TailHub::new(),
        status: Status::default(),
        counters: Counters::default(),
        settings,
    })
}

/// What the segments hold before frames are replayed.
#[derive(Default)]
struct Restored {
    partitions: Vec<(PartitionId, PartitionState)>,
    append_time: AppendTime,
}

/// Partitions as a checkpoint lists them, cut to it.
fn restore(disk: &Disk, layout: &Layout, checkpoint: &Checkpoint, known: &HashMap<TopicId, u32>) -> Outcome<Restored> {
    let mut restored = Restored {
        partitions: Vec::new(),
        append_time: checkpoint.append_time,
    };
    let mut listed = HashSet::new();
    for partition in checkpoint
        .partitions
        .iter()
        .filter(|one| known.contains_key(&one.id.topic))
    {
        let state = restore_partition(disk, layout, partition)?;
        listed.insert(partition.id);
        restored.partitions.push((partition.id, state));
    }
    // Directories that the checkpoint does not list hold segments that were never synced.
    for (topic, directory) in topic_directories(disk, layout)? {
        for name in disk.list(&directory)? {
            let Ok(index) = name.parse() else { continue };
            if known.contains_key(&topic) && !listed.contains(&PartitionId { topic, index }) {
                disk.remove_directory(&directory.join(name))?;
            }
        }
    }
    Ok(restored)
}

fn restore_partition(disk: &Disk, layout: &Layout, listed: &CheckpointPartition) -> Outcome<PartitionState> {
    let mut state = PartitionState {
        start: listed.start,
        high_water: listed.next,
        flushed: listed.next,
        segments: listed.segments.clone().into(),
        ..PartitionState::default()
    };
    let directory = layout.partition(listed.id);
    let names = disk.list(&directory)?;
    let bases: HashSet<Offset> = listed.segments.iter().map(|segment| segment.base).collect();
    for name in &names {
        let base = format::parse_numbered(name, "segment").or_else(|| format::parse_numbered(name, "index"));
        if base.is_none_or(|base| !bases.contains(&base)) {
            disk.remove(&directory.join(name))?;
        }
    }
    let present: HashSet<Offset> = names
        .iter()
        .filter_map(|name| format::parse_numbered(name, "segment"))
        .collect();
    for segment in listed
        .segments
        .iter()
        .filter(|segment| !present.contains(&segment.base))
    {
        state.add_damage(damage(
            layout,
            listed.id,
            (segment.base, segment.next),
            "the file is missing",
        ));
    }
    if let Some(last) = state.segments.back_mut().filter(|last| !last.sealed) {
        let cut = match present.contains(&last.base) {
            true => cut_segment(disk, layout, listed.id, last)?,
            false => Cut::Short,
        };
        if cut == Cut::Short {
            // What is there is read as far as it goes; what comes goes into another segment.
            last.sealed = true;
        }
    }
    Ok(state)
}

#[derive(PartialEq)]
enum Cut {
    Done,
    Short,
}

fn cut_segment(disk: &Disk, layout: &Layout, id: PartitionId, last: &SegmentState) -> Outcome<Cut> {
    let file = match disk.open(&layout.segment(id, last.base)) {
        Err(failure) if failure.is_unreadable() => return Ok(Cut::Short),
        opened => opened?,
    };
    let len = file.size()?;
    if len > last.bytes {
        file.set_len(last.bytes)?;
    }
    Ok(if len < last.bytes { Cut::Short } else { Cut::Done })
}

fn damage(layout: &Layout, partition: PartitionId, (from, to): (Offset, Offset), what: &str) -> Damage {
    let path = layout.segment(partition, from);
    Damage {
        partition,
        from,
        to,
        reason: format!("{}: {what}", path.display()),
    }
}

fn topic_directories(disk: &Disk, layout: &Layout) -> Outcome<Vec<(TopicId, PathBuf)>> {
    let names = disk.list(&layout.topics())?;
    let topics = names
        .iter()
        .filter_map(|name| Some((format::parse_topic(name)?, layout.topics().join(name))));
    Ok(topics.collect())
}

fn unknown_topics(disk: &Disk, layout: &Layout, known: &HashMap<TopicId, u32>) -> Outcome<Vec<PathBuf>> {
    let all = topic_directories(disk, layout)?.into_iter();
    Ok(all
        .filter(|(topic, _)| !known.contains_key(topic))
        .map(|(_, path)| path)
        .collect())
}

/// Partitions from their segments alone, cut where the remaining frames begin.
fn rebuild(
    disk: &Disk,
    layout: &Layout,
    found: &Found,
    begin: Option<u64>,
    known: &HashMap<TopicId, u32>,
) -> Result<Restored, Error> {
    let first = first_offsets(found, begin)?;
    let mut restored = Restored::default();
    for (topic, directory) in topic_directories(disk, layout)? {
        if !known.contains_key(&topic) {
            continue;
        }
        for index in disk.list(&directory)?.iter().filter_map(|name| name.parse().ok()) {
            let id = PartitionId { topic, index };
            let state = rebuild_partition(disk, layout, id, first.get(&id).copied())?;
            let newest = state.segments.iter().map(|segment| segment.newest).max();
            restored.append_time = restored.append_time.max(newest.unwrap_or(0));
            restored.partitions.push((id, state));
        }
    }
    Ok(restored)
}

/// The first offset of every partition in the frames.
fn first_offsets(found: &Found, begin: Option<u64>) -> Result<BTreeMap<PartitionId, Offset>, Error> {
    let mut first = BTreeMap::new();
    replay::frames(found, begin, 0, |frame| {
        for batch in &frame.batches {
            if let Ok(header) = BatchHeader::parse(&frame.bytes[batch.bytes.clone()]) {
                first.entry(batch.partition).or_insert(header.base_offset);
            }
        }
        Ok(())
    })?;
    Ok(first)
}

/// Every batch that is good counts, whatever is damaged around it. A file is cut in one case only: where it stops being good
/// at an offset from which on the frames hold everything, they are what counts.
fn rebuild_partition(disk: &Disk, layout: &Layout, id: PartitionId, cut: Option<Offset>) -> Outcome<PartitionState> {
    let names = disk.list(&layout.partition(id))?;
    let bases = names.iter().filter_map(|name| format::parse_numbered(name, "segment"));
    let mut bases = bases.peekable();
    let mut state = PartitionState::default();
    while let Some(base) = bases.next() {
        let next_base = bases.peek().copied();
        let Surveyed { mut segment, ends } = survey_segment(disk, layout, id, (base, next_base), cut)?;
        if ends == Ends::InFrames {
            state.segments.push_back(segment);
            bases.try_for_each(|base| remove_segment(disk, layout, id, base))?;
            break;
        }
        if ends == Ends::Damaged || next_base.is_some() {
            // What comes goes into another segment.
            segment.sealed = true;
            segment.sparse = SparseIndex::default();
        }
        if let Some(next_base) = next_base.filter(|next_base| segment.next < *next_base) {
            let lost = (segment.next, next_base);
            state.add_damage(damage(layout, id, lost, "no good batch behind this offset"));
            segment.next = next_base;
        }
        state.segments.push_back(segment);
    }
    state.start = state.segments.front().map_or(cut.unwrap_or(0), |segment| segment.base);
    let next = state.segments.back().map_or(state.start, |segment| segment.next);
    if let Some(cut) = cut.filter(|cut| *cut > next) {
        state.add_damage(damage(layout, id, (next, cut), "no good batch from this offset on"));
    }
    state.flushed = next;
    state.high_water = next;
    Ok(state)
}

fn remove_segment(disk: &Disk, layout: &Layout, id: PartitionId, base: Offset) -> Outcome<()> {
    disk.remove(&layout.segment(id, base))?;
    disk.remove(&layout.index(id, base))
}

/// A segment as it was found without a checkpoint.
struct Surveyed {
    segment: SegmentState,
    ends: Ends,
}

/// How a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// With a good batch.
    Good,
    /// With something that is not one.
    Damaged,
    /// It was cut where it stops being good: frames hold all from there on.
    InFrames,
}

/// Walks a segment, past damage, to its last good batch.
fn survey_segment(
    disk: &Disk,
    layout: &Layout,
    id: PartitionId,
    (base, next_base): (Offset, Option<Offset>),
    cut: Option<Offset>,
) -> Outcome<Surveyed> {
    let mut segment = SegmentState {
        base,
        next: base,
        bytes: FRONT_LEN,
        newest: AppendTime::MIN,
        sealed: false,
        sparse: SparseIndex::default(),
    };
    let file = match disk.open(&layout.segment(id, base)) {
        Err(failure) if failure.is_unreadable() => {
            tracing::error!(%failure, "a segment cannot be opened; what it holds is lost");
            let ends = Ends::Damaged;
            return Ok(Surveyed { segment, ends });
        }
        opened => opened?,
    };
    let len = file.size()?;
    let in_frames = |from: Offset| cut.is_some_and(|cut| cut <= from);
    let mut walk = Walk::from_front(&file, base, len);
    let mut stopped = false;
    loop {
        match walk.next() {
            Ok(Some(entry)) => {
                segment.sparse.add(entry.mark());
                segment.next = entry.header.next_offset();
                segment.bytes = entry.end();
                segment.newest = segment.newest.max(entry.batch.append_time);
            }
            Ok(None) => break,
            Err(WalkError::Damaged { .. }) if in_frames(segment.next) => {
                stopped = true;
                break;
            }
            Err(WalkError::Damaged { .. }) => walk.resume()?,
            Err(WalkError::Failed(failure)) => return Err(failure),
        }
    }
    stopped |= next_base.is_some_and(|next_base| segment.next < next_base && in_frames(segment.next));
    let ends = match (stopped, len > segment.bytes) {
        (true, _) => Ends::InFrames,
        (false, true) => Ends::Damaged,
        (false, false) => Ends::Good,
    };
    if ends == Ends::InFrames {
        file.set_len(segment.bytes)?;
    }
    if len < FRONT_LEN {
        file.write_all_at(&segment::encode_front(id, base), 0)?;
    }
    file.sync_all()?;
    Ok(Surveyed { segment, ends })
}

/// The runs that a checkpoint lists and that can be opened; all others are removed.
fn open_runs(disk: &Disk, layout: &Layout, checkpoint: Option<&Checkpoint>) -> Outcome<(Vec<Arc<Run>>, u64)> {
    let listed: HashSet<u64> = checkpoint
        .iter()
        .flat_map(|checkpoint| checkpoint.runs.iter().copied())
        .collect();
    let mut runs = Vec::new();
    let mut next = listed.iter().max().map_or(0, |newest| newest + 1);
    for name in disk.list(&layout.identities())? {
        let number = format::parse_numbered(&name, "run");
        next = next.max(number.map_or(0, |number| number + 1));
        let listed = number.filter(|number| listed.contains(number));
        match listed.map(|number| Run::open(disk, layout, number)) {
            Some(Ok(run)) => runs.push(Arc::new(run)),
            // It may be a good one.
            Some(Err(RunError::Failed(failure))) => return Err(failure),
            Some(Err(RunError::Damaged)) | None => disk.remove(&layout.identities().join(name))?,
        }
    }
    runs.sort_by_key(|run| (run.newest, run.number));
    Ok((runs, next))
}

/// Moves every frame behind the checkpoint into segments; gives the newest sequence.
fn replay(
    shared: &Arc<Shared>,
    flusher: &mut Flusher,
    found: &Found,
    (begin, needed_from): (Option<u64>, u64),
    known: &HashMap<TopicId, u32>,
) -> Result<u64, Error> {
    let mut groups: Vec<Arc<Group>> = Vec::new();
    let mut bytes = 0;
    let sequence = replay::frames(found, begin, needed_from, |frame| {
        let group = group(shared, known, frame)?;
        bytes += group.bytes.len();
        groups.push(Arc::new(group));
        if bytes >= REPLAY_BYTES {
            flusher.flush(&groups)?;
            flusher.spill_identities()?;
            groups.clear();
            bytes = 0;
        }
        Ok(())
    })?;
    flusher.flush(&groups)?;
    flusher.skip_to(sequence, 0);
    Ok(sequence)
}

fn group(shared: &Shared, known: &HashMap<TopicId, u32>, frame: Frame) -> Result<Group, Error> {
    let append_time = frame.header.append_time;
    let mut group = Group {
        sequence: frame.header.sequence,
        append_time,
        bytes: frame.bytes,
        batches: Vec::new(),
    };
    let mut identities = Vec::new();
    for batch in frame
        .batches
        .iter()
        .filter(|batch| known.contains_key(&batch.partition.topic))
    {
        let id = batch.partition;
        shared
            .registry
            .add(id.topic, id.index.saturating_add(1), PARTITIONS_MAX)?;
        let partition = shared.registry.get(id)?;
        let bytes = group.bytes.slice(batch.bytes.clone());
        let header = BatchHeader::parse(&bytes).map_err(|error| Error::Corrupt {
            file: format!("frame {}", group.sequence),
            position: batch.bytes.start as u64,
            reason: error.to_string(),
        })?;
        let stored = StoredBatch { append_time, bytes };
        identities.extend(flush::identified(shared.settings.identify, id, &stored, &batch.copies));
        let mut state = partition.state();
        state.high_water = state.high_water.max(header.next_offset());
        drop(state);
        group.batches.push(GroupBatch {
            slot: partition.slot,
            start: batch.bytes.start as u32,
            len: batch.bytes.len() as u32,
            base: header.base_offset,
            next: header.next_offset(),
        });
    }
    shared.recent.add(group.sequence, identities);
    let mut clock = lock(&shared.clock);
    *clock = AppendClock::new(shared.settings.clock.read(), append_time.max(clock.floor()));
    drop(clock);
    Ok(group)
}

/// The window as it was before the restart: everything durable is in runs now.
fn restore_identities(shared: &Arc<Shared>, flusher: &mut Flusher) -> Result<Deduplication, Error> {
    match load_identities(shared) {
        Ok(identities) => Ok(identities),
        Err(_) => {
            flusher.repair_runs()?;
            flusher.checkpoint()?;
            load_identities(shared).map_err(|_| Error::Io {
                action: "read the runs of identities".into(),
                reason: "they were written a moment ago and are damaged".into(),
            })
        }
    }
}

fn load_identities(shared: &Shared) -> Result<Deduplication, RunError> {
    let now = shared.now();
    let settings = &shared.settings;
    let window = AppendTime::try_from(settings.deduplication_window.as_millis()).unwrap_or(AppendTime::MAX);
    let mut identities = Deduplication::new(settings.disk.clone(), window, settings.identities_max);
    let runs = shared.runs();
    identities.set_runs(&runs.runs, runs.through, now)?;
    let in_window: Vec<_> = runs.runs.iter().filter(|run| now - run.newest < window).collect();
    let count: u64 = in_window.iter().map(|run| run.count).sum();
    if count > settings.identities_max as u64 / RESTORED_SHARE {
        identities.set_evicted(now);
        return Ok(identities);
    }
    let mut all = Vec::new();
    for run in in_window {
        all.extend(run.read_all(&settings.disk)?);
    }
    identities.restore(all, now);
    Ok(identities)
}
