//! From requests to the body of a frame: duplicates, offsets, time, batches.

use super::{Answers, Committer, SlotState};
use crate::{
    AppendTime, Appended, Deduplicate, EncodedRecord, Entry, Error, Position, batch,
    embedded::{
        buffers::PageBuffer,
        format::PAGE,
        frame,
        identities::First,
        partition::Slot,
        run::Identified,
        settings::{BATCH_BYTES, RECORD_OVERHEAD},
        shared::{GroupBatch, Request, Shared},
    },
};
use std::sync::atomic::Ordering;

/// A group between its assembly and its sync.
#[derive(Debug)]
pub(super) struct Assembled {
    pub(super) append_time: AppendTime,
    /// A frame with the header still open.
    pub(super) frame: Option<PageBuffer>,
    pub(super) batches: Vec<GroupBatch>,
    pub(super) copies: u32,
    pub(super) body_len: usize,
    pub(super) identities: Vec<Identified>,
    pub(super) answers: Answers,
    pub(super) records: u64,
    pub(super) record_bytes: u64,
    /// A run that may hold an identity could not be asked: nothing of the group is accepted, for it may be a duplicate.
    pub(super) unsure: bool,
}

impl Committer {
    /// Decides about everything in a group; nothing of it is written yet.
    pub(super) fn assemble(&mut self, taken: &mut Vec<Request>, bytes: usize) -> Assembled {
        let append_time = self.shared.now();
        self.refresh_identities(append_time);
        let mut assembled = Assembled::nothing();
        assembled.append_time = append_time;
        assembled.identities = Vec::with_capacity(taken.iter().map(|request| request.slots.len()).sum());
        let mut outcomes = Vec::with_capacity(taken.len());
        for (request, place) in taken.iter().zip(0..) {
            outcomes.push(self.place_request(request, place, &mut assembled));
        }
        if assembled.records > 0 {
            self.seal(taken, bytes, &mut assembled);
        }
        assembled.answers = taken.drain(..).zip(outcomes).collect();
        assembled
    }

    /// Gives every record of a request its offset, or drops the entry as a duplicate.
    fn place_request(
        &mut self,
        request: &Request,
        place: u32,
        assembled: &mut Assembled,
    ) -> Result<Vec<Appended>, Error> {
        let mut slots = request.slots.iter();
        for slot in &request.slots {
            self.load_slot(*slot)
                .map_err(|()| Error::UnknownPartition(unknown(request, *slot)))?;
        }
        let mut appended = Vec::with_capacity(request.append.entries.len());
        for (entry, place_in_request) in request.append.entries.iter().zip(0..) {
            let slots = slots.by_ref().take(entry.records.len());
            appended.push(match self.duplicate_of(entry, assembled) {
                Some(first) => {
                    slots.for_each(drop);
                    assembled.duplicate(first, &self.shared)
                }
                None => self.place_entry(entry, slots.copied(), (place, place_in_request), assembled),
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

    fn duplicate_of(&mut self, entry: &Entry, assembled: &mut Assembled) -> Option<First> {
        let identity = entry.identity.filter(|_| entry.deduplicate == Deduplicate::Yes)?;
        let bus = entry.records[0].0.topic.bus;
        match self.identities.find(bus, identity, assembled.append_time) {
            Ok(Some(first)) if self.shared.registry.get(first.position.partition).is_err() => {
                // Its topic was deleted: the record does not exist any more.
                self.identities.remove(bus, identity.unique, first);
                None
            }
            Ok(first) => first,
            Err(_) => {
                self.repair_runs();
                assembled.unsure = true;
                None
            }
        }
    }

    fn place_entry(
        &mut self,
        entry: &Entry,
        slots: impl Iterator<Item = Slot>,
        (request, place): (u32, u32),
        assembled: &mut Assembled,
    ) -> Appended {
        let mut primary = None;
        for ((slot, (partition, record)), copy) in slots.zip(&entry.records).zip(0..) {
            let state = self.slots[slot as usize].as_mut().expect("it was loaded");
            if state.pending.is_empty() {
                self.touched.push(slot);
            }
            state.pending.push((request, place, copy));
            let position = Position {
                partition: *partition,
                offset: state.next,
            };
            state.next += 1;
            assembled.records += 1;
            assembled.record_bytes += record.len() as u64;
            assembled.identities.extend(entry.identity.map(|identity| Identified {
                partition: *partition,
                offset: position.offset,
                append_time: assembled.append_time,
                identity,
                primary: copy == 0,
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
    fn seal(&mut self, requests: &[Request], bytes: usize, assembled: &mut Assembled) {
        let mut frame = self.shared.buffers.take(frame_estimate(bytes, requests.len()));
        let origin = frame.origin();
        let out = frame.inner();
        out.resize(origin + frame::HEADER_LEN, 0);
        let mut copies = Vec::new();
        self.touched.sort_unstable();
        for slot in self.touched.drain(..) {
            let state = self.slots[slot as usize].as_mut().expect("it was loaded");
            let mut rest: &[(u32, u32, u32)] = &state.pending;
            let mut base = state.next - rest.len() as u64;
            while !rest.is_empty() {
                let (batch, behind) = rest.split_at(batch_count(requests, rest));
                let place = assembled.batches.len() as u32;
                let copied = (0..).zip(batch).filter(|(_, (_, _, copy))| *copy > 0);
                copies.extend(copied.map(|(record, _)| (place, record)));
                frame::put_span(out, state.partition.id);
                let start = out.len();
                let records = batch.iter().map(|at| record(requests, *at));
                let len = batch::seal(out, base, assembled.append_time, records);
                frame::set_batch_len(out, start, len);
                let next = base + batch.len() as u64;
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
        assembled.body_len = out.len() - origin - frame::HEADER_LEN;
        assembled.frame = Some(frame);
    }
}

impl Assembled {
    /// A group without anything in it.
    pub(super) fn nothing() -> Self {
        Self {
            append_time: 0,
            frame: None,
            batches: Vec::new(),
            copies: 0,
            body_len: 0,
            identities: Vec::new(),
            answers: Vec::new(),
            records: 0,
            record_bytes: 0,
            unsure: false,
        }
    }

    fn duplicate(&self, first: First, shared: &Shared) -> Appended {
        shared.counters.duplicates.fetch_add(1, Ordering::Relaxed);
        Appended {
            position: first.position,
            append_time: first.append_time,
            duplicate: true,
        }
    }
}

fn unknown(request: &Request, slot: Slot) -> crate::PartitionId {
    let records = request.append.entries.iter().flat_map(|entry| &entry.records);
    let mut slots = request.slots.iter().zip(records);
    slots
        .find(|(one, _)| **one == slot)
        .expect("the slot is one of its own")
        .1
        .0
}

fn record(requests: &[Request], (request, entry, record): (u32, u32, u32)) -> &EncodedRecord {
    &requests[request as usize].append.entries[entry as usize].records[record as usize].1
}

/// How many of these records fit one batch; at least one.
fn batch_count(requests: &[Request], records: &[(u32, u32, u32)]) -> usize {
    let mut len = batch::HEADER_LEN;
    for (position, at) in (0..).zip(records) {
        len += batch::sealed_record_len(position, record(requests, *at));
        if len > BATCH_BYTES && position > 0 {
            return position as usize;
        }
    }
    records.len()
}

/// Room for a frame, so that it is allocated once.
fn frame_estimate(bytes: usize, requests: usize) -> usize {
    let estimate = frame::HEADER_LEN + bytes + requests * RECORD_OVERHEAD / 8;
    estimate.next_multiple_of(PAGE as usize)
}
