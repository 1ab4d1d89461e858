//! What can be done about damage, in words first. Everything that a repair changes is put aside before, in a directory beside
//! the parts.

use super::store_path;
use crate::{directory::Directory, wiring::JOURNAL};
use control::counted;
use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

/// A repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repair {
    /// The journal's format file is written anew.
    RewriteFormat,
    /// Frames from the first broken one on are let go.
    CutFrames,
    /// The store's indexes are made anew.
    Reindex,
}

impl Repair {
    /// What it does and what it costs.
    pub fn words(self) -> &'static str {
        match self {
            Self::RewriteFormat => "write the journal's format file anew: nothing is lost by it",
            Self::CutFrames => {
                "let go of the journal's frames from the first broken one on: events that were acknowledged after it, and are in \
                 no segment yet, are LOST. A backup may have them: restore it instead if it is younger"
            }
            Self::Reindex => {
                "make the store's indexes anew from its tables: nothing is lost by it; if tables are damaged too, it does not help"
            }
        }
    }

    /// Does it; what was done, in words.
    pub fn carry_out(self, directory: &Directory, aside: &Path) -> Result<String, String> {
        let journal = directory.path().join(JOURNAL);
        let said = |error: journal::Error| format!("failed to {error}");
        match self {
            Self::RewriteFormat => {
                keep(&journal.join("format"), aside)?;
                journal::embedded::repair::rewrite_format(&journal).map_err(said)?;
                Ok("the format file is written anew".into())
            }
            Self::CutFrames => {
                let cut = journal::embedded::repair::cut_frames(&journal, &aside.join("write-ahead")).map_err(said)?;
                Ok(format!(
                    "frames up to {} are kept; {} behind the broken one let go; {} changed",
                    cut.sequence,
                    counted(cut.frames, "good one"),
                    counted(cut.files.len() as u64, "file")
                ))
            }
            Self::Reindex => {
                let store = store_path(directory);
                for suffix in ["", "-wal"] {
                    keep(&with_suffix(&store, suffix), aside)?;
                }
                store::reindex(&store).map_err(|error| format!("failed to {error}"))?;
                Ok("the store's indexes are made anew, and it verifies".into())
            }
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Puts a copy aside, if the file is there.
fn keep(path: &Path, aside: &Path) -> Result<(), String> {
    if !path.exists() {
        return Ok(());
    }
    let target = aside.join(path.file_name().unwrap_or_default());
    let mut directory = DirBuilder::new();
    directory.recursive(true).mode(0o700);
    let copied = directory.create(aside).and_then(|()| fs::copy(path, &target));
    copied
        .map(drop)
        .map_err(|error| format!("failed to copy {} aside: {error}", path.display()))
}
