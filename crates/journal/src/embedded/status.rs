//! Whether the journal takes appends, and why not: what the contract calls its health. Who decides so is elsewhere.

use super::shared::lock;
use crate::{Error, Health};
use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

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
    /// Free and needed when it was last seen full.
    out_of_space: Option<(u64, u64)>,
    /// The flusher met a limit of the system at its last step: free and needed then.
    flusher_stuck: Option<(u64, u64)>,
}

impl Status {
    fn change(&self, change: impl FnOnce(&mut Reason)) {
        let mut reason = lock(&self.reason);
        change(&mut reason);
        let short = reason.out_of_space.is_some() || reason.flusher_stuck.is_some();
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

    /// Free and needed bytes, while there is too little.
    pub fn set_out_of_space(&self, space: Option<(u64, u64)>) {
        self.change(|reason| reason.out_of_space = space);
    }

    /// Free and needed bytes when the flusher's last step met a limit of the system; `None` once a step succeeds.
    pub fn set_flusher_stuck(&self, space: Option<(u64, u64)>) {
        self.change(|reason| reason.flusher_stuck = space);
    }

    /// Whether the flusher's last step met a limit of the system.
    pub fn is_flusher_stuck(&self) -> bool {
        self.is_troubled() && lock(&self.reason).flusher_stuck.is_some()
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
                out_of_space: Some((free, needed)),
                ..
            }
            | Reason {
                flusher_stuck: Some((free, needed)),
                ..
            } => Health::OutOfSpace {
                free: *free,
                needed: *needed,
            },
            Reason { behind: true, .. } => Health::Behind,
            _ => Health::Serving,
        }
    }
}
