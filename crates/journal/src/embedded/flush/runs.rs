//! The flusher's hand on identity runs: writing, merging, dropping and repairing them.

use super::Flusher;
use crate::{
    Offset, PartitionId,
    embedded::{
        disk::{File, Outcome},
        index::{Mark, SparseIndex},
        partition::{Partition, SegmentState},
        run::{Covered, Identified, Run, RunError},
        segment::{FRONT_LEN, Walk},
        shared::Runs,
    },
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, PoisonError},
};

/// Runs below this share of a full one are merged into the next, so that restarts do not leave many small ones.
const SMALL_RUN_SHARE: u64 = 4;

impl Flusher {
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
    pub(super) fn write_run(&mut self) -> Outcome<()> {
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

    pub(super) fn set_runs(&self, mut runs: Vec<Arc<Run>>, through: u64) {
        runs.sort_by_key(|run| (run.newest, run.number));
        let mut shared = self.shared.runs.write().unwrap_or_else(PoisonError::into_inner);
        *shared = Arc::new(Runs { runs, through });
    }

    /// What was flushed since the last run. A flush that a full volume stopped half-way has moved some partitions further than
    /// the frames that count as flushed: those records' identities are not in this run.
    fn newly_covered(&self) -> Vec<Covered> {
        let all = self.shared.registry.all();
        let later = self.shared.recent.first_behind(self.flushed_through);
        let ranges = all.iter().map(|partition| {
            let state = partition.state();
            Covered {
                partition: partition.id,
                from: self.covered.get(&partition.id).copied().unwrap_or(0),
                to: later
                    .get(&partition.id)
                    .copied()
                    .unwrap_or(Offset::MAX)
                    .min(state.flushed),
            }
        });
        ranges.filter(|range| range.from < range.to).collect()
    }

    /// Lets go of runs all of whose records were trimmed or deleted.
    pub(super) fn drop_runs(&mut self) {
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
        let mut rewriting = Rewriting {
            kept: good,
            identities: Vec::new(),
            covered: Vec::new(),
        };
        for missing in self.uncovered(&rewriting.kept) {
            self.identify(missing, &mut rewriting)?;
        }
        if !rewriting.covered.is_empty() {
            self.write_rewritten(&mut rewriting)?;
        }
        self.set_runs(rewriting.kept, runs.through);
        Ok(())
    }

    fn write_rewritten(&mut self, rewriting: &mut Rewriting) -> Outcome<()> {
        let covered = join(std::mem::take(&mut rewriting.covered));
        let run = self.create_run(std::mem::take(&mut rewriting.identities), covered)?;
        rewriting.kept.push(Arc::new(run));
        Ok(())
    }

    fn is_good(&self, run: &Run) -> bool {
        let read = Run::open(&self.disk, &self.shared.layout, run.number).and_then(|run| run.verify(&self.disk));
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
    fn identify(&mut self, range: Covered, rewriting: &mut Rewriting) -> Outcome<()> {
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
        match self.disk.open_to_read(&path) {
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
            .disk
            .read(&self.shared.layout.index(partition.id, segment.base))
            .ok()?;
        SparseIndex::decode(&index, partition.id, segment.base)?.before_offset(offset)
    }
}

/// Runs that are being written anew.
struct Rewriting {
    /// Good ones, and new ones.
    kept: Vec<Arc<Run>>,
    /// For the next one.
    identities: Vec<Identified>,
    /// What the next one covers.
    covered: Vec<Covered>,
}

/// The identities of a batch's records. A frame says which of them are copies; a segment does not, the records do.
pub fn identified(
    identify: crate::Identify,
    partition: PartitionId,
    batch: &crate::StoredBatch,
    copies: &[u32],
) -> Vec<Identified> {
    let records = (0..).zip(crate::records(batch));
    let identities = records.filter_map(|(place, record): (u32, _)| {
        let (identity, role) = identify(partition.topic, &record)?;
        Some(Identified {
            partition,
            offset: record.offset,
            append_time: batch.append_time,
            identity,
            primary: role == crate::Role::Primary && !copies.contains(&place),
        })
    });
    identities.collect()
}

/// Adjoining ranges become one.
pub(super) fn join(mut covered: Vec<Covered>) -> Vec<Covered> {
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
