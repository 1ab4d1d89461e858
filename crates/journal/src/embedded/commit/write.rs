//! The second part of the commit: writes and syncs one frame after the other.

use super::group::Assembled;
use crate::{
    Error,
    embedded::{
        disk::Failure,
        format::PAGE,
        frame::{self, FrameHeader},
        run::Identified,
        shared::{GroupBatch, Shared},
        status::Short,
        write_ahead::{EpochFile, Unavailable},
    },
};
use std::{sync::Arc, time::Instant};

/// What became of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It is durable and can be shown.
    Durable,
    /// It is refused, or holds nothing new: there is nothing to show.
    Nothing,
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
            return Written::Nothing;
        }
        match self.write_frame(group) {
            Ok(()) => return Written::Durable,
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
        Written::Nothing
    }

    /// Why a group that is blocked is not waited for: who waits behind it would get no answer until there is space.
    fn given_up(&self) -> Option<Error> {
        let short = || self.shared.status.flusher_short().map(Error::from);
        self.shared.status.poisoned().or_else(short)
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
        frame::finish(frame.inner(), origin, file.epoch, header, group.body_crc);
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
                let short = match self.shared.short(failure) {
                    Short::Space { free, .. } => Short::Space {
                        free,
                        needed: self.shared.write_ahead.file_bytes(),
                    },
                    short => short,
                };
                self.shared.status.set_commit_short(Some(short));
                short.into()
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
}
