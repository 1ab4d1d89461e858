//! The one way to files: a real disk, or a simulated one that loses, tears and refuses on purpose. It knows names and
//! bytes, nothing of journals.

mod failure;
mod real;
mod simulated;

use super::format::PAGE;
use crate::DiskSpace;
use real::RealFile;
use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

pub use failure::Failure;
pub use simulated::{Fault, Operation, SimulatedDisk, SimulatedFile, SyncFault};

/// Only the server's user reads its data.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// How many zeros one write lays down when a file is preallocated.
const PREALLOCATE_CHUNK: usize = 1 << 20;

/// Where files live.
#[derive(Clone, Debug, Default)]
pub enum Disk {
    /// The operating system's.
    #[default]
    Real,
    /// A seeded model in memory, for tests.
    Simulated(SimulatedDisk),
}

/// An open file; knows its name, for errors.
#[derive(Clone, Debug)]
pub struct File {
    path: Arc<Path>,
    inner: Inner,
}

#[derive(Clone, Debug)]
enum Inner {
    Real(Arc<RealFile>),
    Simulated(SimulatedFile),
}

/// What a file operation gives.
pub type Outcome<T> = Result<T, Failure>;

trait Named<T> {
    fn named(self, verb: &str, path: &Path) -> Outcome<T>;
}

impl<T> Named<T> for io::Result<T> {
    fn named(self, verb: &str, path: &Path) -> Outcome<T> {
        self.map_err(|error| Failure::new(verb, path, error))
    }
}

impl Disk {
    /// Makes a directory and its missing parents; it may exist.
    pub fn create_directory(&self, path: &Path) -> Outcome<()> {
        match self {
            Self::Real => fs::DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path),
            Self::Simulated(disk) => disk.create_directory(path),
        }
        .named("create directory", path)
    }

    /// Opens an existing file for reading and writing.
    pub fn open(&self, path: &Path) -> Outcome<File> {
        let inner = match self {
            Self::Real => fs::OpenOptions::new()
                .read(true)
                .write(true)
                .open(path)
                .map(Inner::real),
            Self::Simulated(disk) => disk.open(path).map(Inner::Simulated),
        };
        self.file(path, inner.named("open", path)?)
    }

    /// Opens an existing file for reading only.
    pub fn open_to_read(&self, path: &Path) -> Outcome<File> {
        let inner = match self {
            Self::Real => fs::File::open(path).map(Inner::real),
            Self::Simulated(disk) => disk.open(path).map(Inner::Simulated),
        };
        self.file(path, inner.named("open", path)?)
    }

    /// Creates a file, or empties the one that is there.
    pub fn create(&self, path: &Path) -> Outcome<File> {
        let inner = match self {
            Self::Real => fs::OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .mode(FILE_MODE)
                .open(path)
                .map(Inner::real),
            Self::Simulated(disk) => disk.create(path).map(Inner::Simulated),
        };
        self.file(path, inner.named("create", path)?)
    }

    fn file(&self, path: &Path, inner: Inner) -> Outcome<File> {
        Ok(File {
            path: path.into(),
            inner,
        })
    }

    /// The names in a directory, sorted; none if it does not exist.
    pub fn list(&self, path: &Path) -> Outcome<Vec<String>> {
        let names = match self {
            Self::Real => match fs::read_dir(path) {
                Ok(entries) => entries
                    .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                    .collect(),
                Err(error) => Err(error),
            },
            Self::Simulated(disk) => disk.list(path),
        };
        match names {
            Ok(mut names) => {
                names.sort_unstable();
                Ok(names)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Failure::new("list", path, error)),
        }
    }

    /// Gives a file another name in the same directory, replacing what had it.
    pub fn rename(&self, from: &Path, to: &Path) -> Outcome<()> {
        match self {
            Self::Real => fs::rename(from, to),
            Self::Simulated(disk) => disk.rename(from, to),
        }
        .named("rename", from)
    }

    /// Removes a file; it may be gone already.
    pub fn remove(&self, path: &Path) -> Outcome<()> {
        let removed = match self {
            Self::Real => fs::remove_file(path),
            Self::Simulated(disk) => disk.remove(path),
        };
        ignore_not_found(removed).named("remove", path)
    }

    /// Removes a directory and all in it; it may be gone already.
    pub fn remove_directory(&self, path: &Path) -> Outcome<()> {
        let removed = match self {
            Self::Real => fs::remove_dir_all(path),
            Self::Simulated(disk) => disk.remove_directory(path),
        };
        ignore_not_found(removed).named("remove", path)
    }

    /// Makes the names in a directory durable.
    pub fn sync_directory(&self, path: &Path) -> Outcome<()> {
        match self {
            Self::Real => fs::File::open(path).named("open directory", path)?.sync_all(),
            Self::Simulated(disk) => disk.sync_directory(path),
        }
        .named("sync directory", path)
    }

    /// How full the volume is that holds `path`.
    pub fn space(&self, path: &Path) -> Outcome<DiskSpace> {
        match self {
            Self::Real => rustix::fs::statvfs(path)
                .map_err(io::Error::from)
                .map(|volume| DiskSpace {
                    total: volume.f_blocks * volume.f_frsize,
                    free: volume.f_bavail * volume.f_frsize,
                }),
            Self::Simulated(disk) => Ok(disk.space()),
        }
        .named("measure", path)
    }

    /// Takes the exclusive lock of a file that is created when missing; `None` if another process has it. The lock lasts
    /// as long as the file.
    pub fn lock(&self, path: &Path) -> Outcome<Option<File>> {
        let file = match self.open(path) {
            Err(failure) if failure.is_not_found() => self.create(path)?,
            opened => opened?,
        };
        let locked = match &file.inner {
            Inner::Real(real) => match real.file().try_lock() {
                Ok(()) => Ok(true),
                Err(fs::TryLockError::WouldBlock) => Ok(false),
                Err(fs::TryLockError::Error(error)) => Err(error),
            },
            Inner::Simulated(simulated) => simulated.lock(),
        };
        Ok(locked.named("lock", path)?.then_some(file))
    }

    /// The whole content of a file.
    pub fn read(&self, path: &Path) -> Outcome<Vec<u8>> {
        let file = self.open_to_read(path)?;
        let mut bytes = vec![0; usize::try_from(file.size()?).expect("files that are read whole fit memory")];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Writes a file whole so that after a crash it is the old one or the new one. Its directory is synced.
    pub fn replace(&self, path: &Path, bytes: &[u8]) -> Outcome<()> {
        let fresh = PathBuf::from(format!("{}.new", path.display()));
        let file = self.create(&fresh)?;
        file.write_all_at(bytes, 0)?;
        file.sync_all()?;
        self.rename(&fresh, path)?;
        self.sync_directory(path.parent().expect("a file has a directory"))
    }
}

impl Inner {
    fn real(file: fs::File) -> Self {
        Self::Real(Arc::new(RealFile::new(file)))
    }
}

impl File {
    /// Its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes all of `bytes` at `position`.
    pub fn write_all_at(&self, mut bytes: &[u8], mut position: u64) -> Outcome<()> {
        while !bytes.is_empty() {
            let written = match &self.inner {
                Inner::Real(file) => file.write_at(bytes, position),
                Inner::Simulated(file) => file.write_at(bytes, position),
            };
            match written {
                Ok(0) => return Err(Failure::new("write", &self.path, io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    bytes = &bytes[count..];
                    position += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::new("write", &self.path, error)),
            }
        }
        Ok(())
    }

    /// Writes whole pages at a page boundary, past the page cache where the system can and the memory begins on a page, else
    /// as [`write_all_at`](Self::write_all_at) does. One thread at a time may write a file.
    pub fn write_pages_at(&self, mut pages: &[u8], mut position: u64) -> Outcome<()> {
        debug_assert!(position.is_multiple_of(PAGE), "a page begins there");
        if let Inner::Real(file) = &self.inner {
            while !pages.is_empty() {
                match file.write_directly_at(pages, position) {
                    None => break,
                    Some(Ok(0)) => return Err(Failure::new("write", &self.path, io::ErrorKind::WriteZero.into())),
                    Some(Ok(count)) => {
                        pages = &pages[count..];
                        position += count as u64;
                    }
                    Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                    Some(Err(error)) => return Err(Failure::new("write", &self.path, error)),
                }
            }
        }
        self.write_all_at(pages, position)
    }

    /// Reads up to `bytes.len()` bytes; fewer only at the end of the file. Pages that the medium cannot give are read as
    /// zeros: all that is read here is behind a checksum, which then tells the damage like any other.
    pub fn read_at(&self, bytes: &mut [u8], position: u64) -> Outcome<usize> {
        match self.try_read_at(bytes, position) {
            Err(failure) if failure.is_unreadable() => {
                tracing::error!(%failure, position, "the disk cannot read; what can be read around it is");
                self.read_around(bytes, position)
            }
            read => read,
        }
    }

    fn read_around(&self, bytes: &mut [u8], position: u64) -> Outcome<usize> {
        let left = usize::try_from(self.size()?.saturating_sub(position)).unwrap_or(usize::MAX);
        let end = bytes.len().min(left);
        let mut at = 0;
        while at < end {
            let page_end = (position + at as u64 + 1).next_multiple_of(PAGE) - position;
            let page_end = usize::try_from(page_end).unwrap_or(usize::MAX).min(end);
            match self.try_read_at(&mut bytes[at..page_end], position + at as u64) {
                Err(failure) if failure.is_unreadable() => bytes[at..page_end].fill(0),
                read => drop(read?),
            }
            at = page_end;
        }
        Ok(end)
    }

    fn try_read_at(&self, bytes: &mut [u8], position: u64) -> Outcome<usize> {
        let mut filled = 0;
        while filled < bytes.len() {
            let at = position + filled as u64;
            let count = match &self.inner {
                Inner::Real(file) => file.read_at(&mut bytes[filled..], at),
                Inner::Simulated(file) => file.read_at(&mut bytes[filled..], at),
            };
            match count {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::new("read", &self.path, error)),
            }
        }
        Ok(filled)
    }

    /// Fills `bytes` from `position`.
    pub fn read_exact_at(&self, bytes: &mut [u8], position: u64) -> Outcome<()> {
        let count = self.read_at(bytes, position)?;
        if count < bytes.len() {
            return Err(Failure::new("read", &self.path, io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(())
    }

    /// Its size.
    pub fn size(&self) -> Outcome<u64> {
        match &self.inner {
            Inner::Real(file) => file.file().metadata().map(|metadata| metadata.len()),
            Inner::Simulated(file) => file.len(),
        }
        .named("measure", &self.path)
    }

    /// Cuts it, or fills it up with zeros.
    pub fn set_len(&self, len: u64) -> Outcome<()> {
        match &self.inner {
            Inner::Real(file) => file.file().set_len(len),
            Inner::Simulated(file) => file.set_len(len),
        }
        .named("cut", &self.path)
    }

    /// Makes its bytes durable (`fdatasync`).
    pub fn sync_data(&self) -> Outcome<()> {
        match &self.inner {
            Inner::Real(file) => file.file().sync_data(),
            Inner::Simulated(file) => file.sync(),
        }
        .named("sync", &self.path)
    }

    /// Makes its bytes and its size durable (`fsync`).
    pub fn sync_all(&self) -> Outcome<()> {
        match &self.inner {
            Inner::Real(file) => file.file().sync_all(),
            Inner::Simulated(file) => file.sync(),
        }
        .named("sync", &self.path)
    }

    /// Really writes zeros up to `len`, so that later writes need no new blocks and their syncs touch no metadata.
    pub fn preallocate(&self, len: u64) -> Outcome<()> {
        let zeros = vec![0; PREALLOCATE_CHUNK + PAGE as usize];
        let zeros = &zeros[zeros.as_ptr().align_offset(PAGE as usize)..];
        let mut position = 0;
        while position < len {
            let count = (len - position).min(PREALLOCATE_CHUNK as u64) as usize;
            self.write_pages_at(&zeros[..count], position)?;
            position += count as u64;
        }
        Ok(())
    }
}

fn ignore_not_found(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
