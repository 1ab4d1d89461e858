//! What stands in a file's place and cannot be read as one (a directory, another owner's file, a bad sector): the history is nothing
//! that a bus must not start without, so it gets another name and stays for a person to look at.

use super::days::failed;
use crate::Error;
use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// Things of one name that are put aside; then somebody has to look.
const ASIDE_MAX: u32 = 1_000;

/// Whether something is there, and can be read as a file as far as its beginning shows.
pub(super) fn check(path: &Path) -> io::Result<()> {
    let read = File::open(path).and_then(|mut file| file.read(&mut [0]));
    match read {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Gives it another name, beside.
pub(super) fn put(path: &Path, why: &dyn std::fmt::Display) -> Result<(), Error> {
    let name = |number: u32| {
        let mut name = OsString::from(path);
        name.push(format!(".unreadable-{number}"));
        PathBuf::from(name)
    };
    let free = (1..=ASIDE_MAX)
        .map(name)
        .find(|aside| fs::symlink_metadata(aside).is_err());
    let aside = free.unwrap_or_else(|| name(ASIDE_MAX));
    fs::rename(path, &aside).map_err(|error| failed(path, &error))?;
    tracing::error!(
        error = %why,
        path = %path.display(),
        aside = %aside.display(),
        "a file of the history of attempts cannot be read and is put aside: stories lack what is in it"
    );
    Ok(())
}
