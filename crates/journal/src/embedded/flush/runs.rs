//! The flusher's hand on identity runs: writing, merging, dropping and repairing them.

use super::Flusher;
use crate::{
    PartitionId,
    embedded::{
        disk::Outcome,
        partition::SegmentState,
        run::{Covered, Identified, Run, RunError},
        segment,
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
