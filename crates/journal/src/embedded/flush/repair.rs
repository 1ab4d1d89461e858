//! Runs of identities that are damaged or missing are written anew from the segments. That reads every run and may read every
//! segment, so it is done beside the flusher, on a thread that lives as long; the flusher only puts the new runs in their places.
//! Meanwhile a damaged run says so to whoever asks it, and nothing is merged.

use super::{
    Flusher, Reply,
    runs::{identified, join},
};
use crate::{
    Offset, PartitionId,
    embedded::{
        disk::{File, Outcome},
        index::{Mark, SparseIndex},
        partition::{Partition, SegmentState},
        run::{Covered, Identified, Run, RunError},
        segment::{FRONT_LEN, Walk},
        settings::Drive,
        shared::{Ending, Runs, Shared},
    },
};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

/// A repair under way, and who waits for it.
#[derive(Debug)]
pub(super) struct Repairing {
    work: Work,
    stopped: Arc<AtomicBool>,
    replies: Vec<Reply>,
    /// Who asked since it began: what they met may not have been looked at.
    asked_again: Option<Vec<Reply>>,
}

#[derive(Debug)]
enum Work {
    Done(Outcome<Repaired>),
    OnThread(JoinHandle<Outcome<Repaired>>),
}

/// What a repair came to.
#[derive(Debug)]
struct Repaired {
    /// Numbers of the runs that are damaged.
    bad: Vec<u64>,
    /// What they held, as far as there are segments.
    written: Vec<Arc<Run>>,
}

impl Flusher {
    /// Writes the identities of records that no good run covers into new runs, from their segments.
    pub fn repair_runs(&mut self) -> Outcome<()> {
        let repaired = self.repair(Arc::default()).run()?;
        self.install(repaired);
        Ok(())
    }

    /// Whether runs are being written anew.
    pub(super) fn is_repairing(&self) -> bool {
        self.repairing.is_some()
    }

    /// Begins a repair, or notes that another one is to follow.
    pub(super) fn begin_repair(&mut self, replies: Vec<Reply>) {
        let replies = replies.into_iter().filter(|reply| !reply.is_closed());
        if let Some(repairing) = &mut self.repairing {
            repairing.asked_again.get_or_insert_default().extend(replies);
            return;
        }
        self.stop_merge();
        let stopped = Arc::new(AtomicBool::new(false));
        self.repairing = Some(Repairing {
            work: self.repair(stopped.clone()).start(),
            stopped,
            replies: replies.collect(),
            asked_again: None,
        });
    }

    /// Puts what a repair has written into its place, if it is done, which its thread has told; true then.
    pub(super) fn finish_repair(&mut self, told: bool, replies: &mut Vec<Reply>) -> Outcome<bool> {
        let is_done = |repairing: &mut Repairing| told || matches!(repairing.work, Work::Done(_));
        let Some(repairing) = self.repairing.take_if(is_done) else {
            return Ok(false);
        };
        replies.extend(repairing.replies);
        let repaired = repairing.work.result();
        if let Some(asked_again) = repairing.asked_again {
            self.begin_repair(asked_again);
        }
        self.install(repaired?);
        Ok(true)
    }

    /// Ends a repair, if there is one. What it has written is listed nowhere, and removed at the next start.
    pub(super) fn stop_repair(&mut self) {
        if let Some(repairing) = self.repairing.take() {
            repairing.stopped.store(true, Ordering::Relaxed);
            drop(repairing.work.result());
        }
    }

    fn repair(&self, stopped: Arc<AtomicBool>) -> Repair {
        Repair {
            shared: self.shared.clone(),
            runs: self.shared.runs(),
            covered: Arc::new(self.covered.clone()),
            next_run: self.next_run.clone(),
            stopped,
        }
    }

    fn install(&mut self, repaired: Repaired) {
        let runs = self.shared.runs();
        let is_bad = |run: &Arc<Run>| repaired.bad.contains(&run.number);
        let (bad, mut kept): (Vec<_>, Vec<_>) = runs.runs.iter().cloned().partition(is_bad);
        self.obsolete
            .extend(bad.iter().map(|run| self.shared.layout.run(run.number)));
        self.directories.insert(self.shared.layout.identities());
        kept.extend(repaired.written);
        self.set_runs(kept, runs.through);
    }
}

impl Work {
    fn result(self) -> Outcome<Repaired> {
        match self {
            Self::Done(result) => result,
            Self::OnThread(thread) => thread.join().expect("a repair does not panic"),
        }
    }
}

/// A repair, apart from the flusher: it reads, and writes files that nobody knows yet.
#[derive(Clone, Debug)]
struct Repair {
    shared: Arc<Shared>,
    /// The runs when it began.
    runs: Arc<Runs>,
    /// How far runs should cover each partition.
    covered: Arc<HashMap<PartitionId, Offset>>,
    next_run: Arc<AtomicU64>,
    stopped: Arc<AtomicBool>,
}

impl Repair {
    /// On a thread of its own where there are threads, else at once.
    fn start(self) -> Work {
        if self.shared.settings.drive == Drive::Steps {
            return Work::Done(self.run());
        }
        let repair = self.clone();
        let thread = thread::Builder::new().name("journal-repair".into()).spawn(move || {
            let shared = repair.shared.clone();
            let _ending = Ending::new(&shared, "the repair");
            let _tell = Tell(&shared);
            repair.run()
        });
        match thread {
            Ok(thread) => Work::OnThread(thread),
            // Late is better than not at all.
            Err(_) => {
                let _tell = Tell(&self.shared);
                Work::Done(self.run())
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn run(&self) -> Outcome<Repaired> {
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for run in &self.runs.runs {
            match self.is_stopped() || self.is_good(run) {
                true => good.push(run.clone()),
                false => bad.push(run.number),
            }
        }
        let mut rewriting = Rewriting {
            written: Vec::new(),
            identities: Vec::new(),
            covered: Vec::new(),
        };
        for missing in self.uncovered(&good) {
            self.identify(missing, &mut rewriting)?;
        }
        if !rewriting.covered.is_empty() {
            self.write_rewritten(&mut rewriting)?;
        }
        let written = rewriting.written;
        Ok(Repaired { bad, written })
    }

    fn write_rewritten(&self, rewriting: &mut Rewriting) -> Outcome<()> {
        let covered = join(std::mem::take(&mut rewriting.covered));
        let identities = std::mem::take(&mut rewriting.identities);
        let number = self.next_run.fetch_add(1, Ordering::Relaxed);
        let run = Run::write(
            &self.shared.settings.disk,
            &self.shared.layout,
            number,
            identities,
            covered,
        )?;
        rewriting.written.push(Arc::new(run));
        Ok(())
    }

    fn is_good(&self, run: &Run) -> bool {
        let read = Run::open(&self.shared.settings.disk, &self.shared.layout, run.number)
            .and_then(|run| run.verify(&self.shared.settings.disk));
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

    /// Gathers the identities of a range from its segments, and writes a run whenever there are enough for one.
    fn identify(&self, range: Covered, rewriting: &mut Rewriting) -> Outcome<()> {
        let Ok(partition) = self.shared.registry.get(range.partition) else {
            return Ok(());
        };
        let mut from = range.from;
        let segments: VecDeque<SegmentState> = partition.state().segments.clone();
        for segment in segments
            .iter()
            .filter(|segment| segment.base < range.to && segment.next > range.from)
        {
            let Some(file) = self.open_to_identify(&partition, segment)? else {
                continue;
            };
            let begin = self.mark_before(&partition, segment, from);
            let (position, expected) = begin.map_or((FRONT_LEN, segment.base), |mark| (mark.position, mark.offset));
            let mut walk = Walk::new(&file, position, expected, segment.bytes);
            // Damage is noted by whoever reads it.
            while let Some(entry) = walk.next_good()?.filter(|entry| entry.header.base_offset < range.to) {
                if self.is_stopped() {
                    return Ok(());
                }
                let found = identified(self.shared.settings.identify, partition.id, &entry.batch, &[]);
                let found = found
                    .into_iter()
                    .filter(|found| (from..range.to).contains(&found.offset));
                rewriting.identities.extend(found);
                if rewriting.identities.len() >= self.shared.settings.run_identities {
                    let to = entry.header.next_offset().min(range.to);
                    rewriting.covered.push(Covered { from, to, ..range });
                    from = to;
                    self.write_rewritten(rewriting)?;
                }
            }
        }
        if from < range.to {
            rewriting.covered.push(Covered { from, ..range });
        }
        Ok(())
    }

    /// A segment's file; `None` if it is lost: then its range is damaged, and there is nothing to find.
    fn open_to_identify(&self, partition: &Partition, segment: &SegmentState) -> Outcome<Option<File>> {
        let path = self.shared.layout.segment(partition.id, segment.base);
        match self.shared.settings.disk.open_to_read(&path) {
            Err(failure) if failure.is_not_found() || failure.is_unreadable() => {
                tracing::warn!(%failure, "the identities of a lost segment are lost as well");
                Ok(None)
            }
            opened => opened.map(Some),
        }
    }

    fn mark_before(&self, partition: &Partition, segment: &SegmentState, offset: Offset) -> Option<Mark> {
        if !segment.sealed {
            return segment.sparse.before_offset(offset);
        }
        let index = self
            .shared
            .settings
            .disk
            .read(&self.shared.layout.index(partition.id, segment.base))
            .ok()?;
        SparseIndex::decode(&index, partition.id, segment.base)?.before_offset(offset)
    }
}

/// Runs that are being written anew.
struct Rewriting {
    /// Done.
    written: Vec<Arc<Run>>,
    /// For the next one.
    identities: Vec<Identified>,
    /// What the next one covers.
    covered: Vec<Covered>,
}

/// Lets the flusher look when the thread is about to end.
struct Tell<'a>(&'a Shared);

impl Drop for Tell<'_> {
    fn drop(&mut self) {
        self.0.inbox.state().repaired = true;
        self.0.inbox.wake();
    }
}
