//! The first part of the commit: from requests to the body of a frame: duplicates, offsets, time, batches.

use super::group::Assembled;
use crate::{
    AppendTime, Appended, Deduplicate, Error, Offset, Position, Shortage, batch,
    embedded::{
        disk::Disk,
        format::PAGE,
        frame,
        identities::{Deduplication, First},
        partition::{Partition, Slot},
        requests::{Outcome, QueuedEntry, QueuedRecord, Requests},
        run::{Identified, RunError},
        settings::{BATCH_BYTES, RECORD_OVERHEAD},
        shared::{GroupBatch, Shared},
        status::Short,
    },
};
use smallvec::SmallVec;
use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

/// So long a volume that had space is taken to have it: frames of that time go to files that are there.
const SPACE_LOOKED_EVERY: Duration = Duration::from_millis(20);

/// The one owner of offsets and of the window of identities. What it gives counts from the next group on, durable or not: a
/// group that is refused afterwards is taken back, and all behind it with it.
#[derive(Debug)]
pub(super) struct Assembler {
    shared: Arc<Shared>,
    slots: Vec<Option<SlotState>>,
    /// How many deletions `slots` knows of.
    deletions: u64,
    identities: Deduplication,
    /// Newest sequence given.
    sequence: u64,
    touched: Vec<Slot>,
    /// Why a run of the window could not be opened, if that passes.
    short: Option<Shortage>,
    /// When the volume was last asked how full it is.
    space_looked: Option<Instant>,
}

#[derive(Debug)]
struct SlotState {
    partition: Arc<Partition>,
    next: Offset,
    /// The records of the group in work, by their place in it, and whether they are copies.
    pending: Vec<(u32, bool)>,
}

impl Assembler {
    /// An assembler that goes on behind `sequence`.
    pub(super) fn new(shared: Arc<Shared>, sequence: u64, identities: Deduplication) -> Self {
        Self {
            shared,
            slots: Vec::new(),
            deletions: 0,
            identities,
            sequence,
            touched: Vec::new(),
            short: None,
            space_looked: None,
        }
    }

    /// Takes a group of what waits and decides about everything in it; nothing of it is written yet. False if no group may be
    /// taken.
    pub(super) fn assemble(&mut self, group: &mut Assembled) -> bool {
        let taken = self.shared.queue.take(&mut group.requests);
        if taken {
            self.decide(group);
        }
        taken
    }

    /// Decides about everything in a group that was taken.
    pub(super) fn decide(&mut self, group: &mut Assembled) {
        group.refused = self.refusal();
        if group.refused.is_none() {
            self.forget_deleted();
            self.place(group);
        }
    }

    /// Lets go of partitions whose topics were deleted since.
    fn forget_deleted(&mut self) {
        let deletions = self.shared.registry.deletions();
        if deletions != self.deletions {
            self.deletions = deletions;
            let is_deleted = |slot: &mut Option<SlotState>| slot.as_ref().is_some_and(|at| at.partition.is_deleted());
            self.slots
                .iter_mut()
                .filter_map(|slot| is_deleted(slot).then_some(slot))
                .for_each(|slot| *slot = None);
        }
    }

    /// Why nothing can be committed now.
    fn refusal(&mut self) -> Option<Error> {
        if let Some(poisoned) = self.shared.status.poisoned() {
            return Some(poisoned);
        }
        let short = self.space_short().or_else(|| self.flusher_short())?;
        self.shared.status.set_commit_short(Some(short));
        Some(short.into())
    }

    /// Whether the volume is below its mark. A real one is not asked for every group: it takes as long as a small one.
    fn space_short(&mut self) -> Option<Short> {
        let is_known = self
            .space_looked
            .is_some_and(|looked| looked.elapsed() < SPACE_LOOKED_EVERY);
        if is_known && matches!(self.shared.settings.disk, Disk::Real) {
            return None;
        }
        let short = self.shared.check_space().err();
        self.space_looked = short.is_none().then(Instant::now);
        short
    }

    /// Why the flusher cannot write segments, once no more may wait for them in memory.
    fn flusher_short(&self) -> Option<Short> {
        let short = self.shared.status.flusher_short()?;
        let is_too_much = self.shared.inbox.state().bytes > self.shared.settings.unflushed_bytes_max;
        is_too_much.then_some(short)
    }

    fn refresh_identities(&mut self, now: AppendTime) {
        let runs = self.shared.runs();
        let set = self.identities.set_runs(&runs.runs, runs.through, now);
        self.short = match &set {
            Err(RunError::Failed(failure)) => failure.exhausted(),
            _ => None,
        };
        if set.is_err() && self.short.is_none() {
            self.repair_runs();
        }
        self.identities.expire(now);
        let count = self.identities.len() as u64;
        self.shared.counters.identities.store(count, Ordering::Relaxed);
    }

    fn repair_runs(&self) {
        if self.shared.inbox.repair_runs() {
            tracing::warn!("a run of identities is damaged; it is written anew");
        }
    }

    fn place(&mut self, group: &mut Assembled) {
        group.append_time = self.shared.now();
        self.refresh_identities(group.append_time);
        let requests = std::mem::take(&mut group.requests);
        group.identities.reserve(requests.records.len());
        self.look_ahead(&requests, group.append_time);
        let mut is_sure = true;
        for (entries, records) in requests.each() {
            let entries = &requests.entries[entries];
            let outcome = self.place_request(entries, (&requests.records, records), group, &mut is_sure);
            group.outcomes.push(outcome);
        }
        if group.records > 0 {
            self.seal(&requests, group);
            self.sequence += 1;
            group.sequence = self.sequence;
        }
        group.requests = requests;
        if !is_sure {
            // A run that may hold an identity could not be asked: something may be a duplicate.
            self.take_back(&group.batches, &group.identities);
            let retry_after = self.shared.settings.retry_after;
            let busy = Error::Busy { retry_after };
            group.refused = Some(self.short.map_or(busy, |of| Short::Of(of).into()));
        }
    }

    fn look_ahead(&self, requests: &Requests, now: AppendTime) {
        let mut records = requests.records.iter();
        let identities = requests.entries.iter().filter_map(|entry| {
            let primary = records.next().expect("an entry has at least one record");
            if entry.records > 1 {
                records.nth(entry.records as usize - 2);
            }
            Some((primary.partition.topic.bus, entry.identity?))
        });
        self.identities.look_ahead(identities, now);
    }

    /// Takes back what a group was given. The groups behind it were taken back before.
    pub(super) fn take_back(&mut self, batches: &[GroupBatch], identities: &[Identified]) {
        self.sequence -= u64::from(!batches.is_empty());
        for batch in batches.iter().rev() {
            // A topic that was deleted meanwhile needs no offsets.
            if let Some(state) = &mut self.slots[batch.slot as usize] {
                state.next = batch.base;
            }
        }
        for identified in identities {
            let bus = identified.partition.topic.bus;
            self.identities
                .remove(bus, identified.identity.unique, First::from(identified));
        }
    }

    /// Gives every record of a request its offset, or drops the entry as a duplicate. Its records are a range of those of the
    /// group.
    fn place_request(
        &mut self,
        entries: &[QueuedEntry],
        (records, range): (&[QueuedRecord], Range<usize>),
        assembled: &mut Assembled,
        is_sure: &mut bool,
    ) -> Outcome {
        for record in &records[range.clone()] {
            self.load_slot(record.slot)
                .map_err(|()| Error::UnknownPartition(record.partition))?;
        }
        let mut appended = SmallVec::with_capacity(entries.len());
        let mut place = range.start;
        for entry in entries {
            let of_entry = place..place + entry.records as usize;
            place = of_entry.end;
            let bus = records[of_entry.start].partition.topic.bus;
            let found = self.duplicate_of(entry, bus, assembled.append_time);
            *is_sure &= found.is_ok();
            appended.push(match found.unwrap_or(None) {
                Some(first) => self.duplicate(first),
                None => self.place_entry(entry, (records, of_entry), assembled),
            });
        }
        Ok(appended)
    }

    /// Sees to it that a slot's state is at hand; `Err` if its topic is gone.
    fn load_slot(&mut self, slot: Slot) -> Result<(), ()> {
        let place = slot as usize;
        if self.slots.len() <= place {
            self.slots.resize_with(place + 1, || None);
        }
        let state = &mut self.slots[place];
        if state.is_none() {
            let partition = self.shared.registry.by_slot(slot).ok_or(())?;
            let next = partition.state().high_water;
            *state = Some(SlotState {
                partition,
                next,
                pending: Vec::new(),
            });
        }
        if state
            .as_ref()
            .is_some_and(|state| state.partition.is_deleted() && state.pending.is_empty())
        {
            *state = None;
            return Err(());
        }
        Ok(())
    }

    fn duplicate_of(&mut self, entry: &QueuedEntry, bus: u32, now: AppendTime) -> Result<Option<First>, Unsure> {
        let Some(identity) = entry.identity.filter(|_| entry.deduplicate == Deduplicate::Yes) else {
            return Ok(None);
        };
        match self.identities.find(bus, identity, now) {
            Ok(Some(first)) if self.shared.registry.get(first.position.partition).is_err() => {
                // Its topic was deleted: the record does not exist any more.
                self.identities.remove(bus, identity.unique, first);
                Ok(None)
            }
            Ok(first) => Ok(first),
            Err(_) => {
                if self.short.is_none() {
                    self.repair_runs();
                }
                Err(Unsure)
            }
        }
    }

    fn duplicate(&self, first: First) -> Appended {
        self.shared.counters.duplicates.fetch_add(1, Ordering::Relaxed);
        Appended {
            position: first.position,
            append_time: first.append_time,
            duplicate: true,
        }
    }

    fn place_entry(
        &mut self,
        entry: &QueuedEntry,
        (records, range): (&[QueuedRecord], Range<usize>),
        assembled: &mut Assembled,
    ) -> Appended {
        let mut primary = None;
        for (record, place) in records[range.clone()].iter().zip(range.start as u32..) {
            let state = self.slots[record.slot as usize].as_mut().expect("it was loaded");
            if state.pending.is_empty() {
                self.touched.push(record.slot);
            }
            let is_primary = primary.is_none();
            state.pending.push((place, !is_primary));
            let position = Position {
                partition: record.partition,
                offset: state.next,
            };
            state.next += 1;
            assembled.records += 1;
            assembled.record_bytes += record.record.len() as u64;
            assembled.identities.extend(entry.identity.map(|identity| Identified {
                partition: record.partition,
                offset: position.offset,
                append_time: assembled.append_time,
                identity,
                primary: is_primary,
            }));
            primary.get_or_insert(position);
        }
        let position = primary.expect("an accepted entry has a record");
        let append_time = assembled.append_time;
        if let Some(identity) = entry.identity {
            let first = First { position, append_time };
            let bus = position.partition.topic.bus;
            self.identities.insert(bus, identity.unique, first, self.sequence + 1);
        }
        Appended {
            position,
            append_time,
            duplicate: false,
        }
    }

    /// Seals the placed records into the body of a frame.
    fn seal(&mut self, requests: &Requests, assembled: &mut Assembled) {
        let mut frame = self.shared.buffers.take(frame_estimate(requests));
        let origin = frame.origin();
        let out = frame.inner();
        out.resize(origin + frame::HEADER_LEN, 0);
        let mut copies = Vec::new();
        self.touched.sort_unstable();
        for slot in self.touched.drain(..) {
            let state = self.slots[slot as usize].as_mut().expect("it was loaded");
            let mut rest: &[(u32, bool)] = &state.pending;
            let mut base = state.next - rest.len() as u64;
            while !rest.is_empty() {
                let (batch, behind) = rest.split_at(batch_count(requests, rest));
                let place = assembled.batches.len() as u32;
                let copied = (0..).zip(batch).filter(|(_, (_, is_copy))| *is_copy);
                copies.extend(copied.map(|(record, _)| (place, record)));
                frame::put_span(out, state.partition.id);
                let start = out.len();
                let records = batch
                    .iter()
                    .map(|(place, _)| &requests.records[*place as usize].record.as_bytes()[..]);
                let len = batch::seal_bodies(out, base, assembled.append_time, records);
                frame::set_batch_len(out, start, len);
                let next = base + batch.len() as u64;
                assembled.partitions.push(state.partition.clone());
                assembled.batches.push(GroupBatch {
                    slot,
                    start: u32::try_from(start - origin).expect("a frame is below 4 GiB"),
                    len: u32::try_from(len).expect("a frame is below 4 GiB"),
                    base,
                    next,
                });
                base = next;
                rest = behind;
            }
            state.pending.clear();
        }
        copies
            .iter()
            .for_each(|(batch, record)| frame::put_copy(out, *batch, *record));
        assembled.copies = copies.len() as u32;
        let body = &out[origin + frame::HEADER_LEN..];
        (assembled.body_len, assembled.body_crc) = (body.len(), frame::body_checksum(body));
        assembled.frame = Some(frame);
    }
}

/// Whether there was such an identity could not be found out.
struct Unsure;

/// How many of these records fit one batch; at least one.
fn batch_count(requests: &Requests, records: &[(u32, bool)]) -> usize {
    let mut len = batch::HEADER_LEN;
    for (position, (place, _)) in (0..).zip(records) {
        len += batch::sealed_body_len(position, requests.records[*place as usize].record.len());
        if len > BATCH_BYTES && position > 0 {
            return position as usize;
        }
    }
    records.len()
}

/// Room for a frame, so that it is allocated once.
fn frame_estimate(requests: &Requests) -> usize {
    let estimate = frame::HEADER_LEN + requests.encoded + requests.requests.len() * RECORD_OVERHEAD / 8;
    estimate.next_multiple_of(PAGE as usize)
}
