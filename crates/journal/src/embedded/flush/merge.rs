//! The flusher's hand on many identity runs: it merges those whose window is over, some thousand identities at a time, so
//! that a search touches few files and nothing waits for a large one.
//!
//! A merge writes another run beside its inputs. The inputs count until the checkpoint that lists the new one instead; a
//! start removes what no checkpoint lists.

use super::{Flusher, runs::join};
use crate::{
    AppendTime, Offset, PartitionId,
    embedded::{
        disk::{Failure, Outcome},
        run::{Covered, Identified, Run, RunCursor, RunError, RunWriter},
        shared::Shared,
    },
};
use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

/// So many runs of one level become one: each identity is written again once per level, and a search looks at fewer than
/// so many of each.
const RUNS_MERGED: usize = 8;

/// No run is made larger than so many full ones (16,777,216 identities in 0.9 GiB, whose filter takes 32 MiB while it is
/// written); one of half that is left alone, and goes as a whole once its records are trimmed. What is smaller has one of
/// three levels. A step of the flusher adds at most one run, or the runs of a repair, and does not end without a merge under
/// way while a level has [`RUNS_MERGED`]: see [`NOT_FULL_MAX`].
pub(in crate::embedded) const MERGED_MAX: u64 = 64;

/// When no merge is under way there are at most so many runs below half of the largest, beside those of the window: one too
/// few for a merge on each of the three levels, and the newest. A restart keeps the runs that the last checkpoint lists and
/// forgets the merge; the flusher's first step begins it anew.
#[cfg(test)]
pub(in crate::embedded) const NOT_FULL_MAX: usize = 3 * (RUNS_MERGED - 1) + 1;

/// A run below twice the size of a full one is of the lowest level; each level is [`RUNS_MERGED`] times the one below.
const LOWEST_LEVEL: u64 = 2;

/// This part of a full run is merged in one step (65,536 identities, some milliseconds): segments wait as long.
const STEP_SHARE: usize = 4;

/// Steps between two syncs of what is written (28 MiB), lest the last one take long.
const STEPS_UNSYNCED: u32 = 8;

/// A merge under way.
#[derive(Debug)]
pub(super) struct Merge {
    inputs: Vec<Arc<Run>>,
    cursors: Vec<RunCursor>,
    writer: RunWriter,
    /// First readable offset of each partition that exists.
    starts: HashMap<PartitionId, Offset>,
    steps_unsynced: u32,
}

impl Merge {
    fn begin(shared: &Shared, number: u64, inputs: Vec<Arc<Run>>) -> Result<Self, RunError> {
        let disk = &shared.settings.disk;
        let covered = inputs.iter().flat_map(|run| &run.covered).copied().collect();
        let (starts, covered) = still_there(shared, covered);
        let cursors: Result<_, _> = inputs.iter().map(|run| RunCursor::open(disk, run.clone())).collect();
        let cursors = cursors?;
        let count_max = inputs.iter().map(|run| run.count).sum();
        let writer = RunWriter::create(disk, &shared.layout, number, covered, count_max);
        Ok(Self {
            inputs,
            cursors,
            writer: writer.map_err(RunError::Failed)?,
            starts,
            steps_unsynced: 0,
        })
    }

    /// Merges at most so many; false at the end.
    fn step(&mut self, count: usize) -> Result<bool, RunError> {
        for _ in 0..count {
            let heads = self.cursors.iter_mut().filter(|cursor| cursor.peek().is_some());
            let Some(least) = heads.min_by_key(|cursor| cursor.peek().map(Identified::key)) else {
                return Ok(false);
            };
            let identified = *least.peek().expect("it was asked for");
            least.advance()?;
            let start = self.starts.get(&identified.partition);
            if start.is_some_and(|start| *start <= identified.offset) {
                self.writer.put(&identified).map_err(RunError::Failed)?;
            }
        }
        self.steps_unsynced += 1;
        if self.steps_unsynced >= STEPS_UNSYNCED {
            self.steps_unsynced = 0;
            self.writer.sync().map_err(RunError::Failed)?;
        }
        Ok(true)
    }

    fn is_input(&self, run: &Run) -> bool {
        self.inputs.iter().any(|input| input.number == run.number)
    }
}

/// Where the partitions of these ranges begin, and which of the ranges hold readable records.
fn still_there(shared: &Shared, covered: Vec<Covered>) -> (HashMap<PartitionId, Offset>, Vec<Covered>) {
    let mut starts = HashMap::new();
    for range in &covered {
        if let Ok(partition) = shared.registry.get(range.partition) {
            starts.insert(range.partition, partition.state().start);
        }
    }
    let mut covered = join(covered);
    covered.retain(|range| starts.get(&range.partition).is_some_and(|start| *start < range.to));
    (starts, covered)
}

impl Flusher {
    /// Whether a merge is under way.
    pub fn is_merging(&self) -> bool {
        self.merge.is_some()
    }

    /// Goes on with a merge, or begins one if there are enough runs for it.
    pub(super) fn merge_some(&mut self) -> Outcome<()> {
        let Some(mut merge) = self.merge.take() else {
            return self.begin_merge();
        };
        let count = self.shared.settings.run_identities.div_ceil(STEP_SHARE);
        match merge.step(count) {
            Ok(true) => self.merge = Some(merge),
            Ok(false) => return self.end_merge(*merge),
            Err(error) => {
                let number = merge.writer.number();
                drop(merge);
                return self.give_up_merge(number, error);
            }
        }
        Ok(())
    }

    fn begin_merge(&mut self) -> Outcome<()> {
        let inputs = match self.merge_put_off || self.is_repairing() {
            true => Vec::new(),
            false => self.runs_to_merge(),
        };
        if inputs.is_empty() {
            return Ok(());
        }
        let number = self.next_run.fetch_add(1, Ordering::Relaxed);
        match Merge::begin(&self.shared, number, inputs) {
            Ok(merge) => self.merge = Some(Box::new(merge)),
            Err(error) => return self.give_up_merge(number, error),
        }
        Ok(())
    }

    /// The oldest runs of a level that has enough of them. Those of the window stay as they are: the commit has them open.
    fn runs_to_merge(&self) -> Vec<Arc<Run>> {
        let settings = &self.shared.settings;
        let (now, full) = (self.shared.now(), settings.run_identities as u64);
        let window = AppendTime::try_from(settings.deduplication_window.as_millis()).unwrap_or(AppendTime::MAX);
        let runs = self.shared.runs();
        // The newest is merged with what comes next, if it is small.
        let older = runs.runs.split_last().map_or(&[][..], |(_, older)| older);
        let mut levels: Vec<Vec<Arc<Run>>> = Vec::new();
        for run in older.iter().filter(|run| now - run.newest >= window) {
            if run.count > full * MERGED_MAX / 2 {
                continue;
            }
            let level = level(run.count / (full * LOWEST_LEVEL));
            levels.resize(levels.len().max(level + 1), Vec::new());
            levels[level].push(run.clone());
        }
        let Some(mut inputs) = levels.into_iter().find(|level| level.len() >= RUNS_MERGED) else {
            return Vec::new();
        };
        let mut count = 0;
        let fits = inputs.iter().take(RUNS_MERGED).take_while(|run| {
            count += run.count;
            count <= full * MERGED_MAX
        });
        let fitting = fits.count();
        inputs.truncate(fitting);
        inputs
    }

    fn end_merge(&mut self, merge: Merge) -> Outcome<()> {
        let runs = self.shared.runs();
        let (inputs, mut kept): (Vec<_>, Vec<_>) = runs.runs.iter().cloned().partition(|run| merge.is_input(run));
        let all_there = inputs.len() == merge.inputs.len();
        let number = merge.writer.number();
        drop(merge.cursors);
        let run = match merge.writer.finish() {
            Ok(run) if all_there => run,
            // Some were dropped or repaired meanwhile: it would bring them back.
            Ok(_) => {
                self.remove_merged(number);
                return self.begin_merge();
            }
            Err(failure) => return self.give_up_merge(number, RunError::Failed(failure)),
        };
        self.directories.insert(self.shared.layout.identities());
        let gone = inputs.iter().map(|run| self.shared.layout.run(run.number));
        self.obsolete.extend(gone);
        kept.push(Arc::new(run));
        self.set_runs(kept, runs.through);
        self.changed = true;
        self.checkpoint_with_reserve()?;
        // The next one is not left to the next flush: there may be none for long.
        self.begin_merge()
    }

    /// Without it everything is as it was. A limit of the system may be over after the next checkpoint.
    fn give_up_merge(&mut self, number: u64, error: RunError) -> Outcome<()> {
        self.merge_put_off = true;
        match error {
            RunError::Damaged => {
                self.shared.inbox.repair_runs();
            }
            RunError::Failed(failure) if failure.is_shortage() => warn_put_off(&failure),
            RunError::Failed(failure) => return Err(failure),
        }
        self.remove_merged(number);
        Ok(())
    }

    /// Stops a merge, if there is one.
    pub(super) fn stop_merge(&mut self) {
        if let Some(merge) = self.merge.take() {
            self.remove_merged(merge.writer.number());
        }
    }

    /// Nothing lists it yet.
    fn remove_merged(&self, number: u64) {
        if let Err(failure) = self.disk.remove(&self.shared.layout.run(number)) {
            tracing::warn!(%failure, "what is left of a merge of runs is removed at the next start");
        }
    }
}

fn level(times_lowest: u64) -> usize {
    let fanout = RUNS_MERGED as u64;
    times_lowest.max(1).ilog(fanout) as usize + usize::from(times_lowest > 0)
}

fn warn_put_off(failure: &Failure) {
    tracing::warn!(%failure, "runs of identities are merged later");
}
