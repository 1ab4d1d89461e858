//! What a copy of the history consists of: the days' files, up to their last whole block; and whether their blocks are whole.
//! The index of trouble is made from them and is not copied.

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

/// Reads every block of a history; how many there are, and where those begin that cannot be read. They are passed over by
/// whoever asks the history: nothing is decided from it.
///
/// # Errors
/// What the file system says.
pub fn verify_history(directory: &Path) -> Result<(u64, Vec<(OsString, u64)>), Error> {
    let (mut blocks, mut damaged) = (0, Vec::new());
    for file in history_files(directory)? {
        let day = Path::new(&file.name).file_stem().and_then(|stem| stem.to_str());
        let Some(open) = day
            .and_then(|day| day.parse().ok())
            .map(|day| DayFile::open(directory, day))
            .transpose()?
            .flatten()
        else {
            continue;
        };
        let (mut heads, mut expected) = (open.blocks(0), 0);
        while let Some((position, head)) = heads.next()? {
            blocks += 1;
            // What lies between two blocks is one whose head is damaged.
            if position != expected {
                damaged.push((file.name.clone(), expected));
            }
            if open.attempts(position, &head).is_err() {
                damaged.push((file.name.clone(), position));
            }
            expected = position + head.block_bytes() as u64;
        }
    }
    Ok((blocks, damaged))
}
