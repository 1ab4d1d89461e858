//! A file of the operating system's that can be written past its page cache. Which way a write goes is all that is decided
//! here: the bytes arrive the same, and only a sync makes either durable.
//!
//! What the journal writes in large pieces is read again seldom, if ever: a write-ahead file by a recovery, a segment by who
//! lags behind the tail in memory. Copying it into the page cache would cost more processor than anything else about it.

use super::super::format::PAGE;
use std::{
    fs, io,
    os::unix::fs::FileExt,
    sync::atomic::{AtomicU8, Ordering},
};

/// The descriptor goes through the page cache.
const CACHED: u8 = 0;
/// It goes past it.
const DIRECT: u8 = 1;
/// The system or the file system refused to; it is not asked again.
const REFUSED: u8 = 2;

/// An open file and the way of its descriptor.
#[derive(Debug)]
pub(super) struct RealFile {
    file: fs::File,
    way: AtomicU8,
}

impl RealFile {
    pub(super) fn new(file: fs::File) -> Self {
        Self {
            file,
            way: AtomicU8::new(CACHED),
        }
    }

    /// For what is neither a read nor a write.
    pub(super) fn file(&self) -> &fs::File {
        &self.file
    }

    /// Writes some of `bytes` through the page cache.
    pub(super) fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        self.go_cached()?;
        self.file.write_at(bytes, position)
    }

    /// Reads some bytes through the page cache, which never differs from the disk.
    pub(super) fn read_at(&self, bytes: &mut [u8], position: u64) -> io::Result<usize> {
        self.go_cached()?;
        self.file.read_at(bytes, position)
    }

    /// Writes some of `bytes` past the page cache; `None` if that cannot be done with this file, or with bytes that are not
    /// whole pages at a page boundary.
    pub(super) fn write_directly_at(&self, bytes: &[u8], position: u64) -> Option<io::Result<usize>> {
        let page = PAGE as usize;
        let is_whole = position.is_multiple_of(PAGE) && bytes.len().is_multiple_of(page);
        if !is_whole || bytes.as_ptr().align_offset(page) != 0 || !self.go_direct() {
            return None;
        }
        match self.file.write_at(bytes, position) {
            // It wants larger pages than these, or cannot do it after all. Nothing was written.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                drop(self.go_cached());
                self.way.store(REFUSED, Ordering::Relaxed);
                None
            }
            written => Some(written),
        }
    }

    fn go_cached(&self) -> io::Result<()> {
        if self.way.load(Ordering::Relaxed) == DIRECT {
            set_direct(&self.file, false)?;
            self.way.store(CACHED, Ordering::Relaxed);
        }
        Ok(())
    }

    fn go_direct(&self) -> bool {
        match self.way.load(Ordering::Relaxed) {
            DIRECT => return true,
            REFUSED => return false,
            _ => {}
        }
        let way = if set_direct(&self.file, true).is_ok() {
            DIRECT
        } else {
            REFUSED
        };
        self.way.store(way, Ordering::Relaxed);
        way == DIRECT
    }
}

#[cfg(target_os = "linux")]
fn set_direct(file: &fs::File, direct: bool) -> io::Result<()> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let mut flags = fcntl_getfl(file)?;
    flags.set(OFlags::DIRECT, direct);
    Ok(fcntl_setfl(file, flags)?)
}

#[cfg(not(target_os = "linux"))]
fn set_direct(_file: &fs::File, direct: bool) -> io::Result<()> {
    match direct {
        true => Err(io::ErrorKind::Unsupported.into()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Disk;
    use super::*;

    #[test]
    fn bytes_written_either_way_are_one_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = Disk::Real.create(&directory.path().join("file")).unwrap();
        let page = PAGE as usize;
        let pages = vec![7; 5 * page];
        let start = pages.as_ptr().align_offset(page);
        file.write_all_at(&[1; 100], 0).unwrap();
        file.write_pages_at(&pages[start..start + 2 * page], PAGE).unwrap();
        // Memory that does not begin on a page.
        file.write_pages_at(&pages[start + 1..=start + page], 3 * PAGE).unwrap();
        file.write_all_at(&[2; 100], PAGE).unwrap();
        file.write_pages_at(&pages[start..start + page], 4 * PAGE).unwrap();
        file.sync_data().unwrap();
        let mut expected = vec![7; 5 * page];
        expected[..page].fill(0);
        expected[..100].fill(1);
        expected[page..page + 100].fill(2);
        assert_eq!(Disk::Real.read(file.path()).unwrap(), expected);
    }
}
