//! What the system refused, and what that means: whether it is over when there is space, whether trying again is safe.

use crate::{Error, Shortage};
use rustix::io::Errno;
use std::{io, path::Path};

/// What the system refused, with the action and the file.
#[derive(Debug)]
pub struct Failure {
    action: String,
    error: io::Error,
    /// It was a sync: whatever the reason, what the disk holds is unknown.
    sync: bool,
}

impl Failure {
    pub(super) fn new(verb: &str, path: &Path, error: io::Error) -> Self {
        Self {
            action: format!("{verb} {}", path.display()),
            error,
            sync: verb.starts_with("sync"),
        }
    }

    /// Whether the system is short of something now (room on the volume or in the quota, open files, memory), and trying
    /// again is safe.
    pub fn is_shortage(&self) -> bool {
        let full = matches!(
            self.error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        );
        (full || self.exhausted().is_some()) && !self.sync
    }

    /// What the system is short of, if that is not room.
    pub fn exhausted(&self) -> Option<Shortage> {
        let descriptors = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
        let is_of_files = |code| descriptors.contains(&code);
        if self.error.raw_os_error().is_some_and(is_of_files) {
            return Some(Shortage::OpenFiles);
        }
        (self.error.kind() == io::ErrorKind::OutOfMemory).then_some(Shortage::Memory)
    }

    /// The same failure of a file that holds nothing that was acknowledged: then a sync may be tried again like a write.
    pub fn of_nothing_acknowledged(self) -> Self {
        Self { sync: false, ..self }
    }

    /// Whether the medium, or the file system's own checksums, refuse what is to be read: trying again does not help.
    pub fn is_unreadable(&self) -> bool {
        is_unreadable(&self.error)
    }

    /// Whether the file or directory does not exist.
    pub fn is_not_found(&self) -> bool {
        self.error.kind() == io::ErrorKind::NotFound
    }

    /// Whether the file ended before what was to be read.
    pub fn is_short(&self) -> bool {
        self.error.kind() == io::ErrorKind::UnexpectedEof
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.action, self.error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let (of, action) = (failure.exhausted(), failure.action);
        match of {
            Some(of) => Self::Exhausted { action, of },
            None => Self::Io {
                action,
                reason: failure.error.to_string(),
            },
        }
    }
}

fn is_unreadable(error: &io::Error) -> bool {
    let codes = [Errno::IO, Errno::BADMSG].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}
