//! The commit: takes what waits, decides about duplicates, gives offsets and time, seals one frame, writes and syncs it,
//! and only then shows it and answers. It has three parts, each with one owner at a time: the [`Assembler`], which may be one
//! group ahead, the [`Writer`] and the [`Publisher`]. A thread that has assembled a group waits for the writer before it lets go
//! of the assembler, and one that has written for the publisher before it lets go of the writer, so that groups are written
//! and shown in the order of their assembly; meanwhile others have the parts that are free.
//!
//! A caller that is alone takes its request the same way on its own thread, which saves two switches between threads:
//! [`Lone`].
//!
//! [`Commit::step`] moves all as a simulation wants it, and never waits for another thread; [`run`] drives threads.

mod answer;
mod assemble;
mod group;
mod publish;
mod write;

use super::{
    identities::Deduplication,
    shared::{Ending, Shared, lock},
};
pub use answer::Teller;
use assemble::Assembler;
pub use group::Assembled;
use publish::Publisher;
use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::runtime::{Handle, RuntimeFlavor};
use write::{Writer, Written};

/// One assembles, one writes, one shows and answers.
pub const THREADS: usize = 3;

/// When no large frame was written for so long, the memory for such is given back.
const BUFFERS_UNUSED: Duration = Duration::from_secs(2);

/// Groups that may be assembled and not durable: the one that is written, and one ahead.
const ASSEMBLED_MAX: usize = 2;

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing waited.
    Idle,
    /// A group went one step further, one way or the other.
    Done,
    /// A group is assembled and waits for a write-ahead file: step again after a checkpoint.
    Blocked,
}

/// The parts of the commit.
#[derive(Debug)]
pub struct Commit {
    shared: Arc<Shared>,
    assembler: Mutex<Assembler>,
    writer: Mutex<Writer>,
    publisher: Mutex<Publisher>,
    /// Memory for the groups of callers.
    led: Mutex<Assembled>,
    /// The writer has something for the assembler to take back.
    is_unwritten: AtomicBool,
    /// When it was last asked whether buffers are unused.
    looked: Mutex<Instant>,
}

impl Commit {
    /// A commit that goes on behind `sequence`.
    pub fn new(shared: Arc<Shared>, sequence: u64, identities: Deduplication) -> Self {
        Self {
            assembler: Mutex::new(Assembler::new(shared.clone(), sequence, identities)),
            writer: Mutex::new(Writer::new(shared.clone(), sequence)),
            publisher: Mutex::new(Publisher::new(shared.clone())),
            led: Mutex::default(),
            shared,
            is_unwritten: AtomicBool::new(false),
            looked: Mutex::new(Instant::now()),
        }
    }

    /// A thread that panicked left what it had in some state: nobody goes on with it.
    fn assembler(&self) -> MutexGuard<'_, Assembler> {
        self.assembler.lock().expect("no thread of the commit panicked")
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().expect("no thread of the commit panicked")
    }

    fn publisher(&self) -> MutexGuard<'_, Publisher> {
        self.publisher.lock().expect("no thread of the commit panicked")
    }

    /// Takes and assembles what waits; false if nothing does, or not yet enough.
    fn assemble(&self, assembler: &mut Assembler, group: &mut Assembled) -> bool {
        self.take_back_unwritten(assembler);
        assembler.assemble(group)
    }

    fn take_back_unwritten(&self, assembler: &mut Assembler) {
        if self.is_unwritten.load(Ordering::Acquire) {
            self.take_back(assembler, &mut self.writer(), []);
        }
    }

    /// Takes back what the writer could not write, and what was assembled behind it, the newest first.
    fn take_back<'a>(
        &self,
        assembler: &mut Assembler,
        writer: &mut Writer,
        behind: impl IntoIterator<Item = &'a mut Assembled>,
    ) {
        let Some(unwritten) = writer.unwritten.take() else {
            return;
        };
        for group in behind {
            if group.refused.is_none() {
                assembler.take_back(&group.batches, &group.identities);
                group.refused = Some(unwritten.error.clone());
            }
        }
        assembler.take_back(&unwritten.batches, &unwritten.identities);
        self.is_unwritten.store(false, Ordering::Release);
    }

    fn write(&self, writer: &mut Writer, group: &mut Assembled) -> Written {
        let written = writer.write(group);
        if writer.unwritten.is_some() {
            self.is_unwritten.store(true, Ordering::Release);
        }
        written
    }

    /// Assembles one group, if one may be ahead, or else writes and answers one. `assembled` is kept between steps.
    pub fn step(&self, assembled: &mut VecDeque<Assembled>) -> Step {
        let (mut assembler, mut writer) = (self.assembler(), self.writer());
        if assembled.len() < ASSEMBLED_MAX {
            let mut group = Assembled::default();
            if assembler.assemble(&mut group) {
                assembled.push_back(group);
                return Step::Done;
            }
        }
        let Some(group) = assembled.front_mut() else {
            return Step::Idle;
        };
        match self.write(&mut writer, group) {
            Written::Blocked => return Step::Blocked,
            Written::Durable => self.publisher().publish(group),
            Written::Nothing => {}
        }
        let group = assembled.pop_front();
        self.take_back(&mut assembler, &mut writer, assembled.iter_mut().rev());
        self.answer(&mut group.expect("it was at the front"));
        Step::Done
    }

    fn answer(&self, group: &mut Assembled) {
        group.answer(&self.shared.teller);
        self.shared.queue.finished();
    }

    /// Brings one group from the queue to its answers.
    fn pass(&self, group: &mut Assembled) {
        let mut assembler = self.assembler();
        if !self.assemble(&mut assembler, group) {
            return;
        }
        self.carry(assembler, group);
        let is_alone = group.requests.requests.len() == 1 && self.shared.queue.size().0 == 0;
        if is_alone {
            // Its caller may be back before this thread goes on, and then commits by itself.
            self.shared.queue.finished();
            group.answer(&self.shared.teller);
            return;
        }
        group.answer(&self.shared.teller);
        // Whoever was just answered gets a chance to ask again before the next group closes: on few cores the groups are
        // larger for it and the syncs fewer. It waits for nobody, and is of no use where enough for one waits.
        if self.shared.queue.size().1 < self.shared.settings.ahead_bytes {
            std::thread::yield_now();
        }
        self.shared.queue.finished();
    }

    /// Commits what waits on the thread of a caller that was told to, if nobody else has taken it.
    pub fn lead(&self) {
        let Some(requests) = self.shared.queue.take_lone() else {
            return;
        };
        let _ending = Ending::new(&self.shared, "a caller that commits");
        // Its own while it works: who waits in it must learn it if this panics.
        let mut group = std::mem::take(&mut *lock(&self.led));
        group.requests = requests;
        let mut assembler = self.assembler();
        self.take_back_unwritten(&mut assembler);
        assembler.decide(&mut group);
        self.carry(assembler, &mut group);
        group.answer(&self.shared.teller);
        let empty = std::mem::take(&mut group.requests);
        *lock(&self.led) = group;
        self.shared.queue.led(empty);
    }

    /// Writes an assembled group and shows it; its answers are left.
    fn carry(&self, mut assembler: MutexGuard<'_, Assembler>, group: &mut Assembled) {
        let mut writer = self.writer();
        self.take_back(&mut assembler, &mut writer, [&mut *group]);
        drop(assembler);
        let mut written = self.write(&mut writer, group);
        while written == Written::Blocked {
            wait_for_checkpoint(&self.shared);
            written = self.write(&mut writer, group);
        }
        let mut publisher = self.publisher();
        drop(writer);
        if written == Written::Durable {
            publisher.publish(group);
        }
        wait_for_flusher(&self.shared);
        drop(publisher);
    }

    /// Gives memory back that was not needed for long, and that for large frames also when a little always comes.
    fn look_at_buffers(&self, group: &mut Assembled) {
        let quiet = self.shared.queue.is_quiet_for(BUFFERS_UNUSED);
        if quiet {
            *group = Assembled::default();
            self.shared.queue.release_unused();
        }
        let mut looked = lock(&self.looked);
        if quiet || looked.elapsed() > BUFFERS_UNUSED {
            *looked = Instant::now();
            drop(looked);
            self.shared.buffers.release_unused();
        }
    }
}

/// A caller that was told to commit by itself. If it goes without having done so, a thread is told.
#[derive(Debug)]
pub struct Lone(pub Arc<Commit>);

impl Lone {
    /// Commits, where that holds nobody else up. A panic is the journal's, not its caller's: it poisons, and leaves the caller
    /// without an answer.
    pub fn commit(self) {
        if !may_stand_still() {
            // It is awaited in another place than it was asked for.
            return;
        }
        // Without a runtime it just runs.
        let led = || tokio::task::block_in_place(|| self.0.lead());
        drop(std::panic::catch_unwind(AssertUnwindSafe(led)));
    }
}

impl Drop for Lone {
    fn drop(&mut self) {
        self.0.shared.queue.tell();
    }
}

/// Whether this thread may do the work of the commit: one of a runtime only if another thread can take over its other tasks.
pub fn may_stand_still() -> bool {
    Handle::try_current().map_or(true, |runtime| has_threads(&runtime))
}

fn has_threads(runtime: &Handle) -> bool {
    runtime.runtime_flavor() == RuntimeFlavor::MultiThread
}

/// Drives a commit, beside other threads that do the same, until the queue is closed and empty.
pub fn run(commit: &Commit) {
    let shared = &commit.shared;
    let _ending = Ending::new(shared, "the commit");
    let mut group = Assembled::default();
    loop {
        commit.look_at_buffers(&mut group);
        if !shared.queue.wait() {
            break;
        }
        commit.pass(&mut group);
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
