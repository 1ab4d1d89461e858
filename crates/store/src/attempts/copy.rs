//! What a copy of the history consists of: the days' files, up to their last whole block; and whether their blocks are whole.
//! The index of trouble is made from them and is not copied.

use super::{
    aside,
    days::{self, Day, DayFile, failed},
    index,
};
use crate::Error;
use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

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

/// What reading a whole history showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryVerified {
    /// Blocks.
    pub blocks: u64,
    /// Where blocks begin that cannot be read: file and position. They are passed over by whoever asks.
    pub damaged: Vec<(OsString, u64)>,
    /// What cannot be read as a file, and why. Opening the history puts it aside.
    pub unreadable: Vec<(PathBuf, String)>,
}

/// Reads every block of a history: nothing is decided from it.
///
/// # Errors
/// What the file system says of the directory.
pub fn verify_history(directory: &Path) -> Result<HistoryVerified, Error> {
    let mut verified = HistoryVerified::default();
    match fs::symlink_metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(verified),
        Ok(metadata) if metadata.is_file() => {
            let what = "it is no directory".to_owned();
            verified.unreadable.push((directory.to_owned(), what));
            return Ok(verified);
        }
        _ => {}
    }
    for day in days::days(directory)? {
        let path = days::path_of(directory, day);
        let read = aside::check(&path)
            .map_err(|error| failed(&path, &error))
            .and_then(|()| verify_day(directory, day, &mut verified));
        if let Err(error) = read {
            verified.unreadable.push((path, error.to_string()));
        }
    }
    for path in index::files(directory) {
        if let Err(error) = aside::check(&path) {
            verified.unreadable.push((path, error.to_string()));
        }
    }
    Ok(verified)
}

fn verify_day(directory: &Path, day: Day, verified: &mut HistoryVerified) -> Result<(), Error> {
    let Some(file) = DayFile::open(directory, day)? else {
        return Ok(());
    };
    let path = days::path_of(directory, day);
    let name = path.file_name().unwrap_or_default();
    let (mut heads, mut expected) = (file.blocks(0), 0);
    while let Some((position, head)) = heads.next()? {
        verified.blocks += 1;
        // What lies between two blocks is one whose head is damaged.
        if position != expected {
            verified.damaged.push((name.to_owned(), expected));
        }
        if file.attempts(position, &head).is_err() {
            verified.damaged.push((name.to_owned(), position));
        }
        expected = position + head.block_bytes() as u64;
    }
    Ok(())
}
