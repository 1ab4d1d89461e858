//! Why a backup, a verification or a restore ended.

use std::path::{Path, PathBuf};

/// Why it ended. The text fits "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The journal did not let itself be held.
    #[error("copy the journal: {0}")]
    Journal(#[from] journal::Error),
    /// The store did not let itself be copied.
    #[error("copy the store: {0}")]
    Store(#[from] store::Error),
    /// A file of a backup is not as it was written.
    #[error("read the backup: {} {reason}", file.display())]
    Damaged {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// What was restored does not verify, although every file is as it was backed up.
    #[error("verify what was restored: {0}")]
    Unsound(String),
    /// The backup was made by a later program.
    #[error("read the backup: its {what} has format {found}, this program knows up to {known}; use a newer program")]
    UnknownFormat {
        /// Of what.
        what: &'static str,
        /// In the backup.
        found: u32,
        /// By this program.
        known: u32,
    },
    /// No such backup.
    #[error("find backup {0}: there is no such complete backup")]
    NotFound(String),
    /// The parent cannot be built upon.
    #[error("build on backup {name}: {reason}; make a full one")]
    Parent {
        /// Which.
        name: String,
        /// Why not.
        reason: String,
    },
    /// Something is in the way.
    #[error("restore to {}: it is not empty; give a directory that is empty or does not exist", .0.display())]
    NotEmpty(PathBuf),
    /// The backup is encrypted and no identity was given.
    #[error("read the backup: it is encrypted; give the identity that opens it")]
    NeedsIdentity,
    /// A key of encryption cannot be used.
    #[error("use a key of encryption: {0}")]
    Key(String),
    /// One is being made already.
    #[error("begin a backup: {0} is being made")]
    Running(String),
    /// The operator allowed no place for backups.
    #[error("use backups: the configuration names no directory for them (backup.directory)")]
    Off,
    /// It was told to stop.
    #[error("finish: it was told to stop")]
    Stopped,
}

impl Error {
    pub(crate) fn damaged(file: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged {
            file: file.to_owned(),
            reason: reason.into(),
        }
    }
}

/// Names the action and the file of what the system refused.
pub(crate) trait Named<T> {
    fn named(self, action: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T> Named<T> for std::io::Result<T> {
    fn named(self, action: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io {
            action,
            path: path.to_owned(),
            source,
        })
    }
}
