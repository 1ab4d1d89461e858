//! The flusher's hand on identity runs: writing and dropping them.

use super::Flusher;
use crate::{
    Offset, PartitionId,
    embedded::{
        disk::Outcome,
        run::{Covered, Identified, Run},
        shared::Runs,
    },
};
use std::sync::{Arc, PoisonError, atomic::Ordering};

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
        // A repair may be about to replace the last one.
        let last = kept.last().filter(|last| last.count < small && !self.is_repairing());
        let read = last.map(|last| (last.clone(), last.read_all(&self.disk)));
        let mut replaced = None;
        match read {
            Some((last, Ok(all))) => {
                kept.pop();
                replaced = Some(self.shared.layout.run(last.number));
                identities.extend(all);
                covered.extend(&last.covered);
            }
            // Until it is repaired it says so to whoever asks it.
            Some((_, Err(_))) => drop(self.shared.inbox.repair_runs()),
            None => {}
        }
        let run = self.create_run(identities, join(covered))?;
        kept.push(Arc::new(run));
        self.obsolete.extend(replaced);
        self.set_runs(kept, through);
        self.shared.recent.drop_through(through);
        Ok(())
    }

    fn create_run(&mut self, identities: Vec<Identified>, covered: Vec<Covered>) -> Outcome<Run> {
        let number = self.next_run.fetch_add(1, Ordering::Relaxed);
        let run = Run::write(&self.disk, &self.shared.layout, number, identities, covered)?;
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
