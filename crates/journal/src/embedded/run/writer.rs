//! Writing a run, identity after identity in order: its pages as they fill, its head and its filter at the end. Nothing
//! of it counts before a checkpoint lists it.

use super::{
    Covered, HEAD_LEN, Identified, MAGIC, PAGE_ENTRIES, PAGE_LEN, RANGE_LEN, Run,
    filter::{self, Filter},
};
use crate::{
    AppendTime,
    embedded::{
        disk::{Disk, File, Outcome},
        format::{Layout, PutFields},
    },
};

/// Pages are written in pieces of this size.
const WRITE_BYTES: usize = 1 << 20;

/// A run that is being written.
#[derive(Debug)]
pub struct RunWriter {
    run: Run,
    file: File,
    filter: Filter,
    /// Whole pages and the begun one.
    buffer: Vec<u8>,
    /// Where the buffer goes.
    position: u64,
    last: Option<Identified>,
}

impl RunWriter {
    /// Begins a run of at most `count_max` identities.
    pub fn create(disk: &Disk, layout: &Layout, number: u64, covered: Vec<Covered>, count_max: u64) -> Outcome<Self> {
        let run = Run {
            number,
            count: 0,
            oldest: AppendTime::MAX,
            newest: AppendTime::MIN,
            covered,
            path: layout.run(number),
            blocks: filter::blocks_for(count_max),
        };
        Ok(Self {
            file: disk.create(&run.path)?,
            filter: Filter::empty(run.blocks),
            buffer: Vec::new(),
            position: run.pages_at(),
            last: None,
            run,
        })
    }

    /// Adds the next in the order of keys. What was just added is left out.
    pub fn put(&mut self, identified: &Identified) -> Outcome<()> {
        if self.last.as_ref().is_some_and(|last| last.key() == identified.key()) {
            return Ok(());
        }
        debug_assert!(
            self.last.is_none_or(|last| last.key() < identified.key()),
            "a run is sorted"
        );
        self.last = Some(*identified);
        self.filter.add(identified);
        identified.encode(&mut self.buffer);
        self.run.oldest = self.run.oldest.min(identified.append_time);
        self.run.newest = self.run.newest.max(identified.append_time);
        self.run.count += 1;
        if self.run.count.is_multiple_of(PAGE_ENTRIES as u64) {
            self.end_page();
            if self.buffer.len() >= WRITE_BYTES {
                self.write_pages()?;
            }
        }
        Ok(())
    }

    fn end_page(&mut self) {
        let start = self.buffer.len() / PAGE_LEN * PAGE_LEN;
        self.buffer.resize(start + PAGE_LEN - 4, 0);
        let crc = crc32c::crc32c(&self.buffer[start..]);
        self.buffer.put_u32(crc);
    }

    fn write_pages(&mut self) -> Outcome<()> {
        self.file.write_all_at(&self.buffer, self.position)?;
        self.position += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// The run's number.
    pub fn number(&self) -> u64 {
        self.run.number
    }

    /// Makes what was written so far durable, so that the end of it is quick.
    pub fn sync(&self) -> Outcome<()> {
        self.file.sync_data()
    }

    /// Writes the rest and syncs all. The run's name is durable once the directory is synced.
    pub fn finish(mut self) -> Outcome<Run> {
        if !self.run.count.is_multiple_of(PAGE_ENTRIES as u64) {
            self.end_page();
        }
        self.write_pages()?;
        if self.run.count == 0 {
            (self.run.oldest, self.run.newest) = (0, 0);
        }
        let mut front = self.encode_head();
        front.extend_from_slice(&self.filter.sealed());
        self.file.write_all_at(&front, 0)?;
        self.file.sync_all()?;
        Ok(self.run)
    }

    fn encode_head(&self) -> Vec<u8> {
        let Run { covered, blocks, .. } = &self.run;
        let mut bytes = Vec::with_capacity(HEAD_LEN + covered.len() * RANGE_LEN + 4);
        bytes.extend_from_slice(MAGIC);
        bytes.put_u64(self.run.count);
        bytes.put_i64(self.run.oldest);
        bytes.put_i64(self.run.newest);
        bytes.put_u32(u32::try_from(covered.len()).expect("partitions are few"));
        bytes.put_u32(u32::try_from(*blocks).expect("a run is small"));
        bytes.seal();
        let mut ranges = Vec::with_capacity(covered.len() * RANGE_LEN + 4);
        for covered in covered {
            ranges.put_partition(covered.partition);
            ranges.put_u64(covered.from);
            ranges.put_u64(covered.to);
        }
        ranges.seal();
        bytes.extend_from_slice(&ranges);
        bytes
    }
}
