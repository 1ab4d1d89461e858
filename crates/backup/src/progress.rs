//! How far a long work is, and a way to stop it. Counters only; who shows them is elsewhere.

use crate::Error;
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
};

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Nothing yet.
    Beginning = 0,
    /// The store is copied.
    Store = 1,
    /// The journal is copied.
    Journal = 2,
    /// The history of attempts is copied.
    Attempts = 3,
    /// What was written is read again.
    Verifying = 4,
    /// Files are put in place.
    Restoring = 5,
    /// It is done.
    Done = 6,
}

impl Phase {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Beginning => "beginning",
            Self::Store => "store",
            Self::Journal => "journal",
            Self::Attempts => "attempts",
            Self::Verifying => "verifying",
            Self::Restoring => "restoring",
            Self::Done => "done",
        }
    }
}

const PHASES: [Phase; 7] = [
    Phase::Beginning,
    Phase::Store,
    Phase::Journal,
    Phase::Attempts,
    Phase::Verifying,
    Phase::Restoring,
    Phase::Done,
];

/// What one sees of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What is being done.
    pub phase: Phase,
    /// Bytes of this phase that are done.
    pub bytes: u64,
    /// Bytes of this phase.
    pub bytes_total: u64,
}

/// Shared by who works and who looks. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    phase: AtomicU8,
    bytes: AtomicU64,
    bytes_total: AtomicU64,
    stopped: AtomicBool,
}

impl Progress {
    /// How far it is.
    pub fn seen(&self) -> Seen {
        Seen {
            phase: PHASES[usize::from(self.0.phase.load(Relaxed))],
            bytes: self.0.bytes.load(Relaxed),
            bytes_total: self.0.bytes_total.load(Relaxed),
        }
    }

    /// Asks the work to end soon, without a result.
    pub fn stop(&self) {
        self.0.stopped.store(true, Relaxed);
    }

    pub(crate) fn begin(&self, phase: Phase, bytes_total: u64) {
        self.0.bytes.store(0, Relaxed);
        self.0.bytes_total.store(bytes_total, Relaxed);
        self.0.phase.store(phase as u8, Relaxed);
    }

    pub(crate) fn set(&self, bytes: u64, bytes_total: u64) {
        self.0.bytes.store(bytes, Relaxed);
        self.0.bytes_total.store(bytes_total, Relaxed);
    }

    pub(crate) fn add(&self, bytes: u64) -> Result<(), Error> {
        self.0.bytes.fetch_add(bytes, Relaxed);
        match self.is_stopped() {
            true => Err(Error::Stopped),
            false => Ok(()),
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.0.stopped.load(Relaxed)
    }
}
