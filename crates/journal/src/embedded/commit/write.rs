//! The second half of the commit: writes and syncs one frame after the other, and shows what is durable.

use super::group::Assembled;
use crate::{
    Error,
    embedded::{
        disk::Failure,
        format::PAGE,
        frame::{self, FrameHeader},
        partition::TailBatch,
        run::Identified,
        shared::{Group, GroupBatch, Shared},
        write_ahead::{EpochFile, Unavailable},
    },
};
use bytes::Bytes;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

/// Up to this a frame is copied for its readers, to its own size: it was written in whole pages, from a page boundary on, and
/// thousands of frames with one record each may wait for the flusher.
const FRAME_COPIED_MAX: usize = 64 << 10;

/// What became of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It is durable and shown, or refused; it can be answered.
    Done,
    /// It waits for a write-ahead file: write it again after a checkpoint.
    Blocked,
}

/// The one owner of the write-ahead file in use. One frame is written at a time: when one is, all before it are durable.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    /// Newest sequence written.
    sequence: u64,
    /// The file in use and where its next frame goes.
    file: Option<(EpochFile, u64)>,
    /// What was given to a group that the disk did not take, and why it did not: to be taken back by the assembler before
    /// anything is written.
    pub(super) unwritten: Option<Unwritten>,
}

/// What an assembled group was given.
#[derive(Debug)]
pub(super) struct Unwritten {
    pub(super) batches: Vec<GroupBatch>,
    pub(super) identities: Vec<Identified>,
    pub(super) error: Error,
}

impl Writer {
    /// A writer that goes on behind `sequence`.
    pub(super) fn new(shared: Arc<Shared>, sequence: u64) -> Self {
        Self {
            shared,
            sequence,
            file: None,
            unwritten: None,
        }
    }

    /// Writes and syncs a group, then shows it. Without records there is nothing to write: all it answers is durable, because
    /// the groups before it are done.
    pub(super) fn write(&mut self, group: &mut Assembled) -> Written {
        assert!(self.unwritten.is_none(), "it was taken back before this");
        if let Some(poisoned) = self.shared.status.poisoned() {
            group.refused = Some(poisoned);
        }
        if group.refused.is_some() || group.records == 0 {
            return Written::Done;
        }
        match self.write_frame(group) {
            Ok(()) => self.publish(group),
            Err(Unavailable::Full) => match self.given_up().filter(|_| group.was_blocked) {
                Some(error) => self.refuse(group, error),
                None => {
                    group.was_blocked = true;
                    return Written::Blocked;
                }
            },
            Err(Unavailable::Failed(failure)) => {
                let error = self.failed(&failure);
                self.refuse(group, error);
            }
        }
        Written::Done
    }

    /// Why a group that is blocked is not waited for: who waits behind it would get no answer until there is space.
    fn given_up(&self) -> Option<Error> {
        let full = self.shared.status.is_flusher_stuck().then(|| {
            let free = self.shared.space().free;
            let needed = free.saturating_add(1);
            Error::OutOfSpace { free, needed }
        });
        self.shared.status.poisoned().or(full)
    }

    fn write_frame(&mut self, group: &mut Assembled) -> Result<(), Unavailable> {
        assert_eq!(group.sequence, self.sequence + 1, "groups are written in order");
        let len = (group.body_len + frame::HEADER_LEN) as u64;
        let len = len.next_multiple_of(PAGE);
        let at = self.room_for(len)?;
        let (file, position) = self.file.as_mut().expect("room was made in it");
        let header = FrameHeader {
            sequence: group.sequence,
            durable_through: self.sequence,
            append_time: group.append_time,
            body_len: group.body_len,
            batches: group.batches.len() as u32,
            copies: group.copies,
        };
        let frame = group.frame.as_mut().expect("there are records, and no sync yet");
        let origin = frame.origin();
        frame::finish(frame.inner(), origin, file.epoch, header);
        let frame: &[u8] = (*frame).as_ref();
        debug_assert_eq!(frame.len() as u64, len, "the frame's size was foreseen");
        let began = Instant::now();
        let written = file.file.write_pages_at(frame, at);
        if let Err(failure) = written.and_then(|()| file.file.sync_data()) {
            // After a write that the volume had no room for, nothing was synced, and the next frame goes to the same place.
            // After anything else it is unknown what the disk holds: no later write may build on it.
            if !failure.is_shortage() {
                self.shared.poison(&failure);
            }
            return Err(Unavailable::Failed(failure));
        }
        self.shared.counters.synced(began.elapsed());
        *position += len;
        self.sequence = group.sequence;
        Ok(())
    }

    /// The position for a frame in the file in use, which is another one afterwards if this one is full.
    fn room_for(&mut self, len: u64) -> Result<u64, Unavailable> {
        let file_bytes = self.shared.write_ahead.file_bytes();
        if let Some((_, position)) = &self.file
            && position + len <= file_bytes
        {
            return Ok(*position);
        }
        let current = self.file.as_ref().map(|(file, _)| file);
        let next = self.shared.write_ahead.roll(current, self.sequence)?;
        self.file = Some((next, PAGE));
        self.shared.inbox.state().prepare = true;
        self.shared.inbox.wake();
        Ok(PAGE)
    }

    /// Nothing of the group was accepted by the disk.
    fn failed(&self, failure: &Failure) -> Error {
        match self.shared.status.poisoned() {
            Some(poisoned) => poisoned,
            None if failure.is_shortage() => {
                let free = self.shared.space().free;
                let needed = self.shared.write_ahead.file_bytes();
                self.shared.status.set_out_of_space(Some((free, needed)));
                Error::OutOfSpace { free, needed }
            }
            None => {
                self.shared.poison(failure);
                self.shared.status.poisoned().expect("it was poisoned just now")
            }
        }
    }

    /// Its offsets were given to records that do not exist: they are taken back, identities too, and those of what was
    /// assembled behind it.
    fn refuse(&mut self, group: &mut Assembled, error: Error) {
        self.unwritten = Some(Unwritten {
            batches: std::mem::take(&mut group.batches),
            identities: std::mem::take(&mut group.identities),
            error: error.clone(),
        });
        group.refused = Some(error);
    }

    /// Shows a durable group: tail, high-water marks, identities, feeds; then hands it to the flusher.
    fn publish(&mut self, group: &mut Assembled) {
        let frame = group.frame.take().expect("it was synced just now");
        let bytes = if frame.as_ref().len() <= FRAME_COPIED_MAX {
            Bytes::copy_from_slice(&frame.as_ref()[..frame::HEADER_LEN + group.body_len])
        } else {
            Bytes::from_owner(frame)
        };
        for (batch, partition) in group.batches.iter().zip(&group.partitions) {
            let mut state = partition.state();
            if partition.is_deleted() {
                // Nobody would ever take it out again.
                continue;
            }
            state.tail.push_back(TailBatch {
                base: batch.base,
                next: batch.next,
                append_time: group.append_time,
                bytes: bytes.slice(batch.range()),
                frame_len: bytes.len(),
            });
            assert!(state.high_water <= batch.base, "offsets of a partition grow");
            state.high_water = batch.next;
        }
        let identities = std::mem::take(&mut group.identities);
        self.shared.recent.add(group.sequence, identities);
        self.shared
            .hub
            .mark(group.partitions.iter().map(|partition| partition.id));
        let counters = &self.shared.counters;
        counters.records.fetch_add(group.records, Ordering::Relaxed);
        counters.bytes.fetch_add(group.record_bytes, Ordering::Relaxed);
        self.hand_over(Group {
            sequence: group.sequence,
            append_time: group.append_time,
            bytes,
            batches: std::mem::take(&mut group.batches),
        });
    }

    fn hand_over(&self, group: Group) {
        let mut inbox = self.shared.inbox.state();
        inbox.bytes += group.frame_len();
        inbox.groups.push_back(Arc::new(group));
        let wake = inbox.bytes >= self.shared.settings.flush_bytes;
        drop(inbox);
        if wake {
            self.shared.inbox.wake();
        }
    }
}
