//! The files: one a day, blocks appended to it.
//!
//! A reader that meets damage goes on at the next block that is whole. It does not know what the attempts mean.

use super::{
    attempt::{Attempt, broken},
    block::{FILTER_BYTES_MAX, HEAD_BYTES, Head, MAGIC},
};
use crate::{Error, Millis};
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Days since the Unix epoch.
pub type Day = i64;

/// Only this user may read them: answers can hold anything.
const MODE: u32 = 0o600;
const EXTENSION: &str = "attempts";
const MILLIS_PER_DAY: Millis = 24 * 60 * 60 * 1_000;
/// How much is searched at once for the next whole block after damage.
const SEARCH_BYTES: usize = 64 << 10;

/// The day of a moment.
pub(super) fn day_of(time: Millis) -> Day {
    time.div_euclid(MILLIS_PER_DAY)
}

/// Where a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) day: Day,
    pub(super) position: u64,
}

/// The file that blocks are appended to.
pub(super) struct Appender {
    directory: PathBuf,
    day: Day,
    file: File,
    length: u64,
}

impl Appender {
    /// Opens a day's file and cuts a torn tail off.
    pub(super) fn open(directory: &Path, day: Day) -> Result<Self, Error> {
        let path = path_of(directory, day);
        let options = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(MODE)
            .clone();
        let file = options.open(&path).map_err(|error| failed(&path, &error))?;
        let blocks = Blocks {
            file: &file,
            position: 0,
            end: length_of(&file, &path)?,
        };
        let length = whole_length(blocks)?;
        file.set_len(length).map_err(|error| failed(&path, &error))?;
        Ok(Self {
            directory: directory.to_owned(),
            day,
            file,
            length,
        })
    }

    /// Appends a block to the file of its day. A block that was not written whole is cut off again.
    pub(super) fn append(&mut self, day: Day, block: &[u8]) -> Result<Place, Error> {
        if day > self.day {
            self.sync()?;
            *self = Self::open(&self.directory, day)?;
        }
        if let Err(error) = self.file.write_all_at(block, self.length) {
            // Should this fail too, the next block overwrites what is there.
            self.file.set_len(self.length).ok();
            return Err(failed(&path_of(&self.directory, self.day), &error));
        }
        let place = Place {
            day: self.day,
            position: self.length,
        };
        self.length += block.len() as u64;
        Ok(place)
    }

    pub(super) fn sync(&self) -> Result<(), Error> {
        self.file
            .sync_data()
            .map_err(|error| failed(&path_of(&self.directory, self.day), &error))
    }
}

/// The end of the last block that is whole; one before it may be damaged and stays.
pub(super) fn whole_length(mut blocks: Blocks<'_>) -> Result<u64, Error> {
    let mut last: Option<(u64, Head)> = None;
    let mut length = 0;
    while let Some((position, head)) = blocks.next()? {
        // Only the last block can be torn, so only its body is read.
        length = position;
        last = Some((position, head));
    }
    match last {
        Some((position, head)) if head.is_sum_of(&body(blocks.file, position, &head)?) => {
            Ok(position + head.block_bytes() as u64)
        }
        _ => Ok(length),
    }
}

/// The days there are files of, oldest first.
pub(super) fn days(directory: &Path) -> Result<Vec<Day>, Error> {
    let mut days = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| failed(directory, &error))? {
        let path = entry.map_err(|error| failed(directory, &error))?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            days.extend(
                path.file_stem()
                    .and_then(|stem| stem.to_str())
                    .and_then(|stem| stem.parse::<Day>().ok()),
            );
        }
    }
    days.sort_unstable();
    Ok(days)
}

/// Deletes a day's file; one that is not there is as good.
pub(super) fn delete(directory: &Path, day: Day) -> Result<(), Error> {
    let path = path_of(directory, day);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&path, &error)),
        _ => Ok(()),
    }
}

/// A day's file, to be read.
pub(super) struct DayFile {
    file: File,
    end: u64,
}

impl DayFile {
    /// `None` if there is none (any more).
    pub(super) fn open(directory: &Path, day: Day) -> Result<Option<Self>, Error> {
        let path = path_of(directory, day);
        match File::open(&path) {
            Ok(file) => Ok(Some(Self {
                end: length_of(&file, &path)?,
                file,
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&path, &error)),
        }
    }

    /// Its length when it was opened.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Its blocks from a position on.
    pub(super) fn blocks(&self, position: u64) -> Blocks<'_> {
        Blocks {
            file: &self.file,
            position,
            end: self.end,
        }
    }

    /// The attempts of one event in a block.
    pub(super) fn attempts_of(&self, event_hash: u64, position: u64, head: &Head) -> Result<Vec<Attempt>, Error> {
        head.attempts_of(event_hash, &body(&self.file, position, head)?)
    }

    /// The attempts of a block.
    pub(super) fn attempts(&self, position: u64, head: &Head) -> Result<Vec<Attempt>, Error> {
        head.attempts(&body(&self.file, position, head)?)
    }

    /// The attempts of the block at exactly this place.
    pub(super) fn attempts_at(&self, position: u64) -> Result<Vec<Attempt>, Error> {
        let head = self.blocks(position).head_at(position)?.ok_or_else(broken)?;
        self.attempts(position, &head)
    }
}

/// The heads of a file's blocks, in order.
pub(super) struct Blocks<'a> {
    file: &'a File,
    position: u64,
    end: u64,
}

impl Blocks<'_> {
    /// The next whole head and its block's position.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Head)>, Error> {
        while self.position < self.end {
            if let Some(head) = self.head_at(self.position)? {
                let position = self.position;
                self.position += head.block_bytes() as u64;
                return Ok(Some((position, head)));
            }
            self.position = self.next_magic(self.position + 1)?;
        }
        Ok(None)
    }

    fn head_at(&self, position: u64) -> Result<Option<Head>, Error> {
        let bytes = self.read(position, HEAD_BYTES + FILTER_BYTES_MAX)?;
        let head = Head::decode(&bytes);
        Ok(head.filter(|head| position + head.block_bytes() as u64 <= self.end))
    }

    fn next_magic(&self, mut position: u64) -> Result<u64, Error> {
        while position < self.end {
            let bytes = self.read(position, SEARCH_BYTES)?;
            if let Some(found) = bytes.windows(MAGIC.len()).position(|window| window == MAGIC) {
                return Ok(position + found as u64);
            }
            // The magic may begin in the last bytes.
            position += (bytes.len().saturating_sub(MAGIC.len() - 1)).max(1) as u64;
        }
        Ok(self.end)
    }

    fn read(&self, position: u64, bytes_max: usize) -> Result<Vec<u8>, Error> {
        let length = self.end.saturating_sub(position).min(bytes_max as u64) as usize;
        read_at(self.file, position, length)
    }
}

fn body(file: &File, position: u64, head: &Head) -> Result<Vec<u8>, Error> {
    read_at(file, position + head.body_offset() as u64, head.body_bytes)
}

fn read_at(file: &File, position: u64, length: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, position)
        .map_err(|error| Error::Engine(format!("read attempts: {error}")))?;
    Ok(bytes)
}

fn length_of(file: &File, path: &Path) -> Result<u64, Error> {
    Ok(file.metadata().map_err(|error| failed(path, &error))?.len())
}

pub(super) fn path_of(directory: &Path, day: Day) -> PathBuf {
    directory.join(format!("{day}.{EXTENSION}"))
}

pub(super) fn failed(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull => Error::OutOfSpace,
        _ => Error::Engine(format!("{}: {error}", path.display())),
    }
}
