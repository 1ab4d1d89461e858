//! What the flusher writes into one segment, gathered in a bounded piece of memory: large stretches of whole pages go past
//! the page cache, what is left at both ends goes through it.

use crate::embedded::{
    buffers::{Buffers, PageBuffer},
    disk::{File, Outcome},
    format::PAGE,
};
use std::sync::Arc;

/// One piece of memory, and one write. A write of this size costs the processor next to nothing per byte; a larger one would
/// not stay in its caches between the copy and the disk.
const STAGED_BYTES: usize = 1 << 20;

/// Below this, as with a thousand partitions that get a few records each, a wait for the disk per write costs more than the
/// page cache does, which gathers such writes until the next checkpoint.
const DIRECT_BYTES_MIN: u64 = 64 << 10;

/// Bytes on their way to the end of a file.
#[derive(Debug)]
pub(super) struct Staging {
    file: File,
    buffer: PageBuffer,
    /// Where the staged bytes begin in it: as far behind a page boundary as in the file.
    start: usize,
    /// Where they go.
    position: u64,
}

impl Staging {
    /// For bytes from `position` on.
    pub(super) fn new(buffers: &Arc<Buffers>, file: File, position: u64) -> Self {
        let mut buffer = buffers.take(STAGED_BYTES);
        let start = (position % PAGE) as usize;
        let len = buffer.origin() + start;
        buffer.inner().resize(len, 0);
        Self {
            file,
            buffer,
            start,
            position,
        }
    }

    /// Adds bytes; writes what no longer fits.
    pub(super) fn put(&mut self, mut bytes: &[u8]) -> Outcome<()> {
        loop {
            let room = STAGED_BYTES - self.buffer.as_ref().len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.buffer.inner().extend_from_slice(now);
            if later.is_empty() {
                return Ok(());
            }
            self.write_full()?;
            bytes = later;
        }
    }

    /// Writes all of a full buffer, which ends with a page of the file.
    fn write_full(&mut self) -> Outcome<()> {
        write(&self.file, self.staged(), self.position)?;
        self.position += self.staged().len() as u64;
        self.start = 0;
        let origin = self.buffer.origin();
        self.buffer.inner().truncate(origin);
        Ok(())
    }

    /// Writes what is left.
    pub(super) fn finish(self) -> Outcome<()> {
        write(&self.file, self.staged(), self.position)
    }

    fn staged(&self) -> &[u8] {
        &self.buffer.as_ref()[self.start..]
    }
}

fn write(file: &File, bytes: &[u8], position: u64) -> Outcome<()> {
    let end = position + bytes.len() as u64;
    let (first_page, last_page) = (position.next_multiple_of(PAGE), end - end % PAGE);
    if first_page + DIRECT_BYTES_MIN > last_page {
        return file.write_all_at(bytes, position);
    }
    let (head, rest) = bytes.split_at((first_page - position) as usize);
    let (pages, tail) = rest.split_at((last_page - first_page) as usize);
    file.write_all_at(head, position)?;
    file.write_pages_at(pages, first_page)?;
    file.write_all_at(tail, last_page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::disk::Disk;

    #[test]
    fn a_file_is_what_was_staged_however_it_was_cut() {
        let directory = tempfile::tempdir().unwrap();
        let buffers = Arc::default();
        let content: Vec<u8> = (0..5 << 20)
            .map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        for (number, pieces) in [
            &[100, 70_000, 1][..],
            &[4_096, 1 << 20, 8_192],
            &[1, 3 << 20, 4_095, 1 << 20],
        ]
        .into_iter()
        .enumerate()
        {
            let file = Disk::Real.create(&directory.path().join(number.to_string())).unwrap();
            let mut end = 0;
            for piece in pieces {
                let mut staging = Staging::new(&buffers, file.clone(), end as u64);
                let goal = end + piece;
                while end < goal {
                    let next = (end + 1_171).min(goal);
                    staging.put(&content[end..next]).unwrap();
                    end = next;
                }
                staging.finish().unwrap();
            }
            let mut whole = Staging::new(&buffers, file.clone(), end as u64);
            whole.put(&content[end..]).unwrap();
            whole.finish().unwrap();
            assert!(Disk::Real.read(file.path()).unwrap() == content, "{pieces:?}");
        }
    }
}
