//! What a copy of the history consists of: the days' files, up to their last whole block. The index of trouble is made from
//! them and is not copied.

use super::days::{self, DayFile};
use crate::Error;
use std::{ffi::OsString, path::Path};

/// A day's file at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryFile {
    /// Its name in the history's directory.
    pub name: OsString,
    /// Bytes that count: whole blocks. They never change again.
    pub bytes: u64,
    /// Whether nothing is added to it any more.
    pub is_final: bool,
}

/// The files of a history, oldest first; it may be written to meanwhile. A directory that does not exist holds none.
///
/// # Errors
/// What the file system says.
pub fn history_files(directory: &Path) -> Result<Vec<HistoryFile>, Error> {
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let days = days::days(directory)?;
    let newest = days.last().copied();
    let mut files = Vec::new();
    for day in days {
        // Retention may have taken it meanwhile.
        let Some(file) = DayFile::open(directory, day)? else {
            continue;
        };
        let path = days::path_of(directory, day);
        files.push(HistoryFile {
            name: path.file_name().map(OsString::from).unwrap_or_default(),
            bytes: days::whole_length(file.blocks(0))?,
            is_final: Some(day) != newest,
        });
    }
    Ok(files)
}
