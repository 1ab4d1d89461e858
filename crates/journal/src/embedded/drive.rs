//! Who moves the state machines of commit and flush, and how they come to an end.

use super::{
    commit::{self, Assembled, Commit, Step},
    flush::{self, Flusher},
    settings::Drive,
    shared::Shared,
};
use crate::Error;
use std::{
    collections::VecDeque,
    sync::Arc,
    thread::{self, JoinHandle},
};

/// Who moves the state machines.
#[derive(Debug)]
pub(super) enum Drivers {
    Threads(Option<Threads>),
    Steps(Box<Machines>),
}

/// The state machines, moved one step after the other.
#[derive(Debug)]
pub(super) struct Machines {
    pub(super) commit: Arc<Commit>,
    /// Groups between the commit's parts.
    pub(super) assembled: VecDeque<Assembled>,
    pub(super) flusher: Flusher,
}

/// The threads that move them.
#[derive(Debug)]
pub(super) struct Threads {
    commit: Vec<JoinHandle<()>>,
    flush: JoinHandle<Result<(), Error>>,
}

impl Drivers {
    /// As the settings want it.
    pub(super) fn start(drive: Drive, commit: Arc<Commit>, flusher: Flusher) -> Result<Self, Error> {
        Ok(match drive {
            Drive::Threads => Self::Threads(Some(Threads::start(&commit, flusher)?)),
            Drive::Steps => Self::Steps(Box::new(Machines {
                commit,
                assembled: VecDeque::new(),
                flusher,
            })),
        })
    }

    /// Brings everything to its end, once the queue is closed.
    pub(super) fn end(&mut self, shared: &Shared) -> Result<(), Error> {
        match self {
            Self::Threads(threads) => threads.take().map_or(Ok(()), |threads| threads.end(shared)),
            Self::Steps(machines) => machines.end(shared),
        }
    }
}

impl Machines {
    /// Commits what waits, then flushes it and takes a checkpoint.
    fn end(&mut self, shared: &Shared) -> Result<(), Error> {
        if shared.inbox.state().ended {
            return Ok(());
        }
        loop {
            match self.commit.step(&mut self.assembled) {
                Step::Idle => break,
                Step::Done => {}
                Step::Blocked => {
                    shared.inbox.state().checkpoint = true;
                    // If that fails, the next step gives the group up.
                    drop(self.flusher.step());
                }
            }
        }
        shared.inbox.state().closing = true;
        let ended = match shared.status.poisoned() {
            Some(poisoned) => Err(poisoned),
            None => self.flusher.step(),
        };
        shared.inbox.state().ended = true;
        ended
    }
}

impl Threads {
    fn start(commit: &Arc<Commit>, flusher: Flusher) -> Result<Self, Error> {
        let flush = spawn("journal-flush", move || flush::run(flusher))?;
        let threads = (0..commit::THREADS).map(|_| {
            let commit = commit.clone();
            spawn("journal-commit", move || commit::run(&commit))
        });
        let commit = threads.collect::<Result<_, _>>()?;
        Ok(Self { commit, flush })
    }

    /// The commit first, so that the flusher gets all of it.
    fn end(self, shared: &Shared) -> Result<(), Error> {
        let panicked = |name: &str| Error::Io {
            action: format!("end {name}"),
            reason: "it panicked".into(),
        };
        let commit: Vec<_> = self.commit.into_iter().map(JoinHandle::join).collect();
        let commit = commit.into_iter().collect::<Result<Vec<()>, _>>();
        let commit = commit.map(drop).map_err(|_| panicked("a commit thread"));
        shared.inbox.state().closing = true;
        shared.inbox.wake();
        let flush = self.flush.join().map_err(|_| panicked("the flusher")).flatten();
        commit.and(flush)
    }
}

fn spawn<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>, Error> {
    thread::Builder::new()
        .name(name.into())
        .spawn(work)
        .map_err(|error| Error::Io {
            action: format!("start thread {name}"),
            reason: error.to_string(),
        })
}
