//! Whether the journal takes appends, and why not: what the contract calls its health. Who decides so is elsewhere.

use super::shared::lock;
use crate::{Error, Health, Shortage};
use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

/// What the journal cannot go on without for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Short {
    /// Bytes on the volume.
    Space {
        /// That are free.
        free: u64,
        /// That must be.
        needed: u64,
    },
    /// Something else.
    Of(Shortage),
}

impl From<Short> for Health {
    fn from(short: Short) -> Self {
        match short {
            Short::Space { free, needed } => Self::OutOfSpace { free, needed },
            Short::Of(of) => Self::Exhausted(of),
        }
    }
}

impl From<Short> for Error {
    fn from(short: Short) -> Self {
        match short {
            Short::Space { free, needed } => Self::OutOfSpace { free, needed },
            Short::Of(of) => Self::Exhausted {
                action: "append".into(),
                of,
            },
        }
    }
}

/// Whether appends are taken, and why not.
#[derive(Debug, Default)]
pub struct Status {
    /// Anything but serving: then the reason is looked up.
    troubled: AtomicBool,
    reason: Mutex<Reason>,
}

#[derive(Debug, Default)]
struct Reason {
    poisoned: Option<String>,
    closed: bool,
    behind: bool,
    /// What the commit, or who looked for it, had too little of.
    commit_short: Option<Short>,
    /// The same of the flusher's last step.
    flusher_short: Option<Short>,
}

impl Status {
    fn change(&self, change: impl FnOnce(&mut Reason)) {
        let mut reason = lock(&self.reason);
        change(&mut reason);
        let short = reason.commit_short.or(reason.flusher_short).is_some();
        let troubled = reason.poisoned.is_some() || reason.closed || reason.behind || short;
        self.troubled.store(troubled, Ordering::Release);
    }

    /// Whether there is anything to look up.
    pub fn is_troubled(&self) -> bool {
        self.troubled.load(Ordering::Acquire)
    }

    /// True if it was not poisoned before.
    pub fn poison(&self, why: String) -> bool {
        let mut first = false;
        self.change(|reason| {
            first = reason.poisoned.is_none();
            reason.poisoned.get_or_insert(why);
        });
        first
    }

    /// Shut down.
    pub fn close(&self) {
        self.change(|reason| reason.closed = true);
    }

    /// The write-ahead set is at its cap, or no more.
    pub fn set_behind(&self, behind: bool) {
        self.change(|reason| reason.behind = behind);
    }

    /// What there is too little of, until it is looked for again.
    pub fn set_commit_short(&self, short: Option<Short>) {
        self.change(|reason| reason.commit_short = short);
    }

    /// The limit of the system that the flusher's last step met; `None` once a step succeeds.
    pub fn set_flusher_short(&self, short: Option<Short>) {
        self.change(|reason| reason.flusher_short = short);
    }

    /// The limit of the system that the flusher's last step met.
    pub fn flusher_short(&self) -> Option<Short> {
        self.is_troubled().then(|| lock(&self.reason).flusher_short).flatten()
    }

    /// Whether it met one.
    pub fn is_flusher_stuck(&self) -> bool {
        self.flusher_short().is_some()
    }

    /// Why it is poisoned, if it is.
    pub fn poisoned(&self) -> Option<Error> {
        if !self.is_troubled() {
            return None;
        }
        let reason = lock(&self.reason).poisoned.clone()?;
        Some(Error::Poisoned { reason })
    }

    /// As the contract says it.
    pub fn health(&self) -> Health {
        let reason = lock(&self.reason);
        match &*reason {
            Reason {
                poisoned: Some(why), ..
            } => Health::Poisoned { reason: why.clone() },
            Reason { closed: true, .. } => Health::Closed,
            Reason {
                commit_short: Some(short),
                ..
            }
            | Reason {
                flusher_short: Some(short),
                ..
            } => (*short).into(),
            Reason { behind: true, .. } => Health::Behind,
            _ => Health::Serving,
        }
    }
}
