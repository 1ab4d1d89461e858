//! The data directory: made with mode 0700, held by one process at a time, left alone if it is half restored or a later
//! program's.

use crate::exit::{Code, Failure};
use backup::{JOURNAL, RESTORING, STORE};
use journal::embedded::backup::format_of;
use rustix::fs::{FlockOperation, flock};
use std::{
    fs::{DirBuilder, File, OpenOptions},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// The lock's file within the directory.
const LOCK: &str = "lock";

/// A data directory that this process holds. The lock goes with the process, however it ends.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Makes the directory if it is missing, and takes it.
    pub fn open(path: &Path) -> Result<Directory, Failure> {
        let shown = path.display();
        let failed = |error: std::io::Error| Failure::new(Code::Failed, format!("cannot use {shown}: {error}"));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed)?;
        let mut options = OpenOptions::new();
        let lock = options
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join(LOCK))
            .map_err(failed)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                check_restored(path)?;
                check_formats(path)?;
                Ok(Directory {
                    path: path.to_path_buf(),
                    _lock: lock,
                })
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let message = format!("another process is using the data directory {shown}");
                Err(Failure::new(Code::Locked, message).hint("stop it first, or give this one another --data-dir"))
            }
            Err(error) => Err(failed(error.into())),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A directory that a restore left unfinished holds a part of a bus.
fn check_restored(path: &Path) -> Result<(), Failure> {
    if !path.join(RESTORING).exists() {
        return Ok(());
    }
    let message = format!("a restore to {} was not finished", path.display());
    Err(Failure::new(Code::Corrupt, message).hint("empty the directory and restore again"))
}

/// What a later program wrote is left alone: this is asked before anything is written.
fn check_formats(path: &Path) -> Result<(), Failure> {
    // A file that does not say its format is the business of its part, which knows what to do about it.
    let store = store::format_of(&path.join(STORE)).ok().flatten();
    let journal = format_of(&path.join(JOURNAL)).ok().flatten();
    let parts = [
        ("store", store, store::FORMAT),
        ("journal", journal, journal::embedded::backup::FORMAT),
    ];
    for (part, found, known) in parts {
        if let Some(found) = found.filter(|found| *found > known) {
            let message = format!(
                "the {part} in {} has format {found}, and this program knows up to {known}: a later program wrote it; \
                 nothing was changed",
                path.display()
            );
            return Err(Failure::new(Code::Failed, message)
                .hint("start that program again, or restore a backup from before the upgrade to another directory"));
        }
    }
    Ok(())
}
