//! The commit: takes what waits, decides about duplicates, gives offsets and time, seals one frame, writes and syncs it,
//! and only then shows it and answers. A state machine: [`Committer::step`] does one group and never waits for another
//! thread; [`run`] drives it.

mod assemble;

use super::{
    disk::Failure,
    frame::{self, FrameHeader},
    identities::{Deduplication, First},
    partition::{Partition, Slot, TailBatch},
    shared::{Ending, Group, Request, Shared},
    write_ahead::{EpochFile, Unavailable},
};
use crate::{AppendTime, Appended, Error, Offset};
use assemble::Assembled;
use bytes::Bytes;
use std::{
    sync::{Arc, atomic::Ordering, mpsc},
    time::{Duration, Instant},
};

/// Answers beyond this many are given by another thread, so that the next group need not wait for the wake-ups.
const ANSWERS_INLINE: usize = 32;

/// Groups whose answers, with what was asked, may wait for that thread: their records are up to 72 MiB each.
pub const ANSWERS_WAITING: usize = 4;

/// Up to this a frame is copied for its readers, to its own size: it was written in whole pages, from a page boundary on, and
/// thousands of frames with one record each may wait for the flusher.
const FRAME_COPIED_MAX: usize = 64 << 10;

/// When no large frame was written for so long, the memory for such is given back.
const BUFFERS_UNUSED: Duration = Duration::from_secs(2);

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing waited.
    Idle,
    /// A group is done, one way or the other.
    Done,
    /// A group is assembled and waits for a write-ahead file: step again after a checkpoint.
    Blocked,
}

/// Requests with what became of them.
pub type Answers = Vec<(Request, Result<Vec<Appended>, Error>)>;

/// The one owner of offsets and of the window of identities.
#[derive(Debug)]
pub struct Committer {
    shared: Arc<Shared>,
    slots: Vec<Option<SlotState>>,
    /// How many deletions `slots` knows of.
    deletions: u64,
    identities: Deduplication,
    /// Newest sequence written.
    sequence: u64,
    /// The file in use and where its next frame goes.
    file: Option<(EpochFile, u64)>,
    /// A group that could not be written yet.
    pending: Option<Assembled>,
    taken: Vec<Request>,
    touched: Vec<Slot>,
    answers: Option<mpsc::SyncSender<Answers>>,
}

#[derive(Debug)]
struct SlotState {
    partition: Arc<Partition>,
    next: Offset,
    /// The records of the group in work: request, entry, record.
    pending: Vec<(u32, u32, u32)>,
}

impl Committer {
    /// A commit that goes on behind `sequence`.
    pub fn new(shared: Arc<Shared>, sequence: u64, identities: Deduplication) -> Self {
        Self {
            shared,
            slots: Vec::new(),
            deletions: 0,
            identities,
            sequence,
            file: None,
            pending: None,
            taken: Vec::new(),
            touched: Vec::new(),
            answers: None,
        }
    }

    /// Commits one group of what waits.
    pub fn step(&mut self) -> Step {
        let assembled = match self.pending.take() {
            Some(assembled) => match self.given_up() {
                Some(error) => {
                    self.take_back(&assembled);
                    return self.refuse(assembled, &error);
                }
                None => assembled,
            },
            None => match self.take_and_assemble() {
                Some(assembled) => assembled,
                None => return Step::Idle,
            },
        };
        self.write(assembled)
    }

    fn take_and_assemble(&mut self) -> Option<Assembled> {
        let mut taken = std::mem::take(&mut self.taken);
        let bytes = self.shared.queue.take(self.shared.settings.group_bytes(), &mut taken);
        if taken.is_empty() {
            self.taken = taken;
            return None;
        }
        if let Some(error) = self.refusal() {
            self.give(taken.drain(..).map(|request| (request, Err(error.clone()))).collect());
            self.taken = taken;
            return Some(Assembled::nothing());
        }
        self.forget_deleted();
        let assembled = self.assemble(&mut taken, bytes);
        self.taken = taken;
        Some(assembled)
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

    /// Why a group that is blocked is not waited for: who waits behind it would get no answer until there is space.
    fn given_up(&self) -> Option<Error> {
        let full = self.shared.status.is_flusher_stuck().then(|| {
            let free = self.shared.space().free;
            let needed = free.saturating_add(1);
            Error::OutOfSpace { free, needed }
        });
        self.shared.status.poisoned().or(full)
    }

    /// Why nothing can be committed now.
    fn refusal(&self) -> Option<Error> {
        if let Some(poisoned) = self.shared.status.poisoned() {
            return Some(poisoned);
        }
        let (free, needed) = match self.shared.check_space() {
            Ok(()) if self.flusher_is_stuck() => {
                let free = self.shared.space().free;
                (free, free.saturating_add(1))
            }
            checked => checked.err()?,
        };
        self.shared.status.set_out_of_space(Some((free, needed)));
        Some(Error::OutOfSpace { free, needed })
    }

    /// The volume has no room for the segments, and no more may wait for them in memory.
    fn flusher_is_stuck(&self) -> bool {
        self.shared.status.is_flusher_stuck()
            && self.shared.inbox.state().bytes > self.shared.settings.unflushed_bytes_max
    }

    fn refresh_identities(&mut self, now: AppendTime) {
        let runs = self.shared.runs();
        if self.identities.set_runs(&runs.runs, runs.through, now).is_err() {
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

    /// Writes and syncs a group, then shows it. Without records there is nothing to write: all it answers is durable,
    /// because one group is in flight at a time.
    fn write(&mut self, mut assembled: Assembled) -> Step {
        if assembled.unsure {
            self.take_back(&assembled);
            let retry_after = self.shared.settings.retry_after;
            return self.refuse(assembled, &Error::Busy { retry_after });
        }
        if assembled.records > 0 {
            match self.write_frame(&mut assembled) {
                Ok(()) => self.publish(&mut assembled),
                Err(Unavailable::Full) => {
                    self.pending = Some(assembled);
                    return Step::Blocked;
                }
                Err(Unavailable::Failed(failure)) => return self.fail(assembled, &failure),
            }
        }
        self.give(assembled.answers);
        Step::Done
    }

    fn write_frame(&mut self, assembled: &mut Assembled) -> Result<(), Unavailable> {
        let len = (assembled.body_len + frame::HEADER_LEN) as u64;
        let len = len.next_multiple_of(super::format::PAGE);
        let at = self.room_for(len)?;
        let (file, position) = self.file.as_mut().expect("room was made in it");
        let header = FrameHeader {
            sequence: self.sequence + 1,
            durable_through: self.sequence,
            append_time: assembled.append_time,
            body_len: assembled.body_len,
            batches: assembled.batches.len() as u32,
            copies: assembled.copies,
        };
        let frame = assembled.frame.as_mut().expect("there are records, and no sync yet");
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
        self.sequence += 1;
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
        self.file = Some((next, super::format::PAGE));
        self.shared.inbox.state().prepare = true;
        self.shared.inbox.wake();
        Ok(super::format::PAGE)
    }

    /// Nothing of the group was accepted by the disk.
    fn fail(&mut self, assembled: Assembled, failure: &Failure) -> Step {
        let error = match self.shared.status.poisoned() {
            Some(poisoned) => poisoned,
            None if failure.is_shortage() => {
                let free = self.shared.space().free;
                let needed = self.shared.write_ahead.file_bytes();
                self.shared.status.set_out_of_space(Some((free, needed)));
                // Its offsets were given to records that do not exist: they are taken back, identities too.
                self.take_back(&assembled);
                Error::OutOfSpace { free, needed }
            }
            None => {
                self.shared.poison(failure);
                self.shared.status.poisoned().expect("it was poisoned just now")
            }
        };
        self.refuse(assembled, &error)
    }

    fn refuse(&self, assembled: Assembled, error: &Error) -> Step {
        let answers = assembled
            .answers
            .into_iter()
            .map(|(request, _)| (request, Err(error.clone())));
        self.give(answers.collect());
        Step::Done
    }

    fn take_back(&mut self, assembled: &Assembled) {
        for batch in assembled.batches.iter().rev() {
            let state = self.slots[batch.slot as usize].as_mut().expect("it was loaded");
            state.next = batch.base;
        }
        for identified in &assembled.identities {
            let bus = identified.partition.topic.bus;
            self.identities
                .remove(bus, identified.identity.unique, First::from(identified));
        }
    }

    /// Shows a durable group: tail, high-water marks, identities, feeds; then hands it to the flusher.
    fn publish(&mut self, assembled: &mut Assembled) {
        let frame = assembled.frame.take().expect("it was synced just now");
        let bytes = if frame.as_ref().len() <= FRAME_COPIED_MAX {
            Bytes::copy_from_slice(&frame.as_ref()[..frame::HEADER_LEN + assembled.body_len])
        } else {
            Bytes::from_owner(frame)
        };
        for batch in &assembled.batches {
            let slot = self.slots[batch.slot as usize].as_ref().expect("it was loaded");
            let mut state = slot.partition.state();
            if slot.partition.is_deleted() {
                // Nobody would ever take it out again.
                continue;
            }
            state.tail.push_back(TailBatch {
                base: batch.base,
                next: batch.next,
                append_time: assembled.append_time,
                bytes: bytes.slice(batch.range()),
                frame_len: bytes.len(),
            });
            assert!(state.high_water <= batch.base, "offsets of a partition grow");
            state.high_water = batch.next;
        }
        self.shared
            .recent
            .add(self.sequence, std::mem::take(&mut assembled.identities));
        let partitions = assembled
            .batches
            .iter()
            .filter_map(|batch| self.slots[batch.slot as usize].as_ref());
        self.shared.hub.mark(partitions.map(|slot| slot.partition.id));
        self.shared
            .counters
            .records
            .fetch_add(assembled.records, Ordering::Relaxed);
        self.shared
            .counters
            .bytes
            .fetch_add(assembled.record_bytes, Ordering::Relaxed);
        let group = Group {
            sequence: self.sequence,
            append_time: assembled.append_time,
            bytes,
            batches: std::mem::take(&mut assembled.batches),
        };
        self.hand_over(group);
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

    /// Tells those who wait; many of them on another thread.
    fn give(&self, answers: Answers) {
        match &self.answers {
            Some(thread) if answers.len() > ANSWERS_INLINE => {
                if let Err(mpsc::SendError(answers)) = thread.send(answers) {
                    give(answers);
                }
            }
            _ => give(answers),
        }
    }

    /// Gives the answers of large groups to a thread that calls [`give`].
    pub fn answer_through(&mut self, thread: mpsc::SyncSender<Answers>) {
        self.answers = Some(thread);
    }
}

/// Tells everybody what became of their requests. One who no longer waits has chosen not to know.
pub fn give(answers: Answers) {
    for (request, outcome) in answers {
        drop(request.answer.send(outcome));
    }
}

/// Drives a committer until the queue is closed and empty, or the journal is poisoned.
pub fn run(mut committer: Committer) {
    let shared = committer.shared.clone();
    let _ending = Ending::new(&shared, "the commit");
    let mut looked = Instant::now();
    loop {
        match committer.step() {
            Step::Idle => {
                // Also when a little always comes.
                if shared.queue.is_quiet_for(BUFFERS_UNUSED) || looked.elapsed() > BUFFERS_UNUSED {
                    looked = Instant::now();
                    shared.buffers.release_unused();
                }
                if !shared.queue.wait(|| false) {
                    break;
                }
            }
            Step::Done => {
                wait_for_flusher(&shared);
                // Whoever was just answered gets a chance to ask again before the next group closes: on few cores the
                // groups are larger for it and the syncs fewer. It waits for nobody.
                std::thread::yield_now();
            }
            Step::Blocked => wait_for_checkpoint(&shared),
        }
    }
}

/// The flusher may be this far behind and no further.
fn wait_for_flusher(shared: &Shared) {
    let max = shared.settings.unflushed_bytes_max;
    if shared.inbox.state().bytes > max {
        shared.inbox.wake();
        shared.inbox.wait(|inbox| {
            let stuck = shared.status.is_flusher_stuck() || shared.status.poisoned().is_some();
            inbox.bytes <= max || inbox.ended || stuck
        });
    }
}

fn wait_for_checkpoint(shared: &Shared) {
    shared.status.set_behind(true);
    shared.inbox.state().checkpoint = true;
    shared.inbox.wake();
    shared.inbox.wait(|inbox| {
        let given_up = shared.status.is_flusher_stuck() || shared.status.poisoned().is_some();
        !inbox.checkpoint || inbox.ended || given_up
    });
    shared.status.set_behind(false);
}
