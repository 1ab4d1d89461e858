//! The data directory: made with mode 0700, held by one process at a time.

use crate::exit::{Code, Failure};
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
            Ok(()) => Ok(Directory {
                path: path.to_path_buf(),
                _lock: lock,
            }),
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
