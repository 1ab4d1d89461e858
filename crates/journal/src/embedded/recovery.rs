//! From a directory to a running journal: cut every segment to its checkpoint, replay the frames behind it, check-point
//! anew, and only then let anything in. Without a good checkpoint every segment is walked.

mod frames;
mod rebuild;
mod restore;

use super::{
    checkpoint::Checkpoint,
    clock::AppendClock,
    commit::Teller,
    counters::Counters,
    disk::{Disk, Outcome},
    flush::{Flusher, Inherited},
    format::{self, Layout},
    identities::{Deduplication, Recent},
    partition::{PartitionState, Registry},
    queue::Queue,
    replay,
    run::{Run, RunError},
    settings::{Drive, PARTITIONS_MAX, Settings},
    shared::{Inbox, Runs, Shared},
    status::Status,
    write_ahead::{self, Found, WriteAheadSet},
};
use crate::{AppendTime, Damage, Error, Offset, PartitionId, TailHub, TopicId};
use rebuild::rebuild;
use restore::restore;
use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, RwLock, atomic::AtomicUsize},
};

/// This part of the identities that may be in memory is read at a start. More of them stay in their runs, behind filters,
/// until their time is over: reading a million takes as long as all else.
const RESTORED_SHARE: u64 = 8;

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
    let restored = match &checkpoint {
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
    let mut flusher = flusher(&shared, inherited, restored, topics)?;
    if repair {
        flusher.repair_runs()?;
    }
    let needed_from = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.needed_from);
    let sequence = frames::replay(&shared, &mut flusher, &found, (begin, needed_from), &known)?;
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

/// A flusher that knows what the segments hold; all partitions are there then.
fn flusher(
    shared: &Arc<Shared>,
    inherited: Inherited,
    restored: Restored,
    topics: &[(TopicId, u32)],
) -> Result<Flusher, Error> {
    let mut flusher = Flusher::new(shared.clone(), inherited);
    for (id, state) in restored.partitions {
        flusher.expect_covered(id, state.flushed);
        shared.registry.restore(id, state);
    }
    for (topic, partitions) in topics {
        shared.registry.add(*topic, *partitions, PARTITIONS_MAX)?;
    }
    Ok(flusher)
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
        buffers: Arc::default(),
        layout,
        registry: Registry::default(),
        teller: match settings.drive {
            Drive::Threads => Teller::around(),
            Drive::Steps => Teller::none(),
        },
        queue: Queue::new(&settings),
        inbox: Inbox::default(),
        recent: Recent::default(),
        runs: RwLock::new(Arc::new(Runs { runs, through: 0 })),
        index_writer: Mutex::default(),
        write_ahead,
        clock: Mutex::new(clock),
        hub: TailHub::new(),
        status: Status::default(),
        counters: Counters::default(),
        holds: AtomicUsize::new(0),
        settings,
    })
}

/// What the segments hold before frames are replayed.
#[derive(Default)]
struct Restored {
    partitions: Vec<(PartitionId, PartitionState)>,
    append_time: AppendTime,
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
