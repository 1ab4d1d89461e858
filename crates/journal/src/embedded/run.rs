//! A run: identities of durable records, sorted, in one file over all partitions, with a filter in front. It is written
//! once and rebuilt from segments when it is missing or damaged. (ADR 1 says why not one index per segment.)
//!
//! ```text
//!  at  size  field (little-endian)
//!   0     8  magic "TLIDRUN1"
//!   8     8  number of identities
//!  16     8  oldest append time
//!  24     8  newest append time
//!  32     4  number of covered ranges
//!  36     4  number of filter blocks
//!  40     4  CRC-32C of bytes 0 to 40
//!  44    28  per range: partition, from u64, to u64: all identities of these records are here
//!   -     4  CRC-32C of the ranges
//!   -    64  per filter block: 480 bits, CRC-32C of them
//!   -  4096  per page: up to 73 identities, zeros, CRC-32C at byte 4092
//!            identity: bus, topic, partition, flags (1: primary), lookup u64, unique u128, offset u64, append time i64
//! ```

mod cursor;
mod filter;
mod writer;

#[cfg(test)]
mod tests;

pub use cursor::RunCursor;
pub use filter::{Filter, Probe};
pub use writer::RunWriter;

use super::{
    disk::{Disk, Failure, File},
    format::{Fields, Layout, PutFields, unseal},
};
use crate::{AppendTime, Identity, Offset, PartitionId};
use filter::BLOCK_LEN;
use std::{ops::Range, path::PathBuf};

const MAGIC: &[u8; 8] = b"TLIDRUN1";
const HEAD_LEN: usize = 44;
const RANGE_LEN: usize = 28;
const PAGE_LEN: usize = 4096;
const ENTRY_LEN: usize = 56;
const PAGE_ENTRIES: usize = (PAGE_LEN - 4) / ENTRY_LEN;
const PRIMARY: u32 = 1;

/// Where a record with an identity stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identified {
    /// Its partition.
    pub partition: PartitionId,
    /// Its offset.
    pub offset: Offset,
    /// When it was appended.
    pub append_time: AppendTime,
    /// Its identity.
    pub identity: Identity,
    /// Whether it is its entry's primary record.
    pub primary: bool,
}

impl Identified {
    /// What runs are sorted by: no two records have the same.
    pub fn key(&self) -> (u32, u64, u128, Offset, PartitionId) {
        (
            self.partition.topic.bus,
            self.identity.lookup,
            self.identity.unique,
            self.offset,
            self.partition,
        )
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_partition(self.partition);
        out.put_u32(if self.primary { PRIMARY } else { 0 });
        out.put_u64(self.identity.lookup);
        out.put_u128(self.identity.unique);
        out.put_u64(self.offset);
        out.put_i64(self.append_time);
    }

    fn decode(fields: &mut Fields<'_>) -> Option<Self> {
        let partition = fields.partition()?;
        let primary = fields.u32()? == PRIMARY;
        let identity = Identity {
            lookup: fields.u64()?,
            unique: fields.u128()?,
        };
        Some(Self {
            partition,
            offset: fields.u64()?,
            append_time: fields.i64()?,
            identity,
            primary,
        })
    }
}

/// Consecutive offsets of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Covered {
    /// The partition.
    pub partition: PartitionId,
    /// First offset.
    pub from: Offset,
    /// Offset after the last.
    pub to: Offset,
}

/// What is kept in memory of a run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its number, growing.
    pub number: u64,
    /// How many identities it holds.
    pub count: u64,
    /// Append time of the oldest.
    pub oldest: AppendTime,
    /// Append time of the newest.
    pub newest: AppendTime,
    /// What it covers, in order.
    pub covered: Vec<Covered>,
    path: PathBuf,
    blocks: u64,
}

/// Why a run could not be read.
#[derive(Debug)]
pub enum RunError {
    /// A checksum does not hold, or the file is too short.
    Damaged,
    /// The disk refused.
    Failed(Failure),
}

impl From<Failure> for RunError {
    fn from(failure: Failure) -> Self {
        if failure.is_not_found() || failure.is_short() || failure.is_unreadable() {
            Self::Damaged
        } else {
            Self::Failed(failure)
        }
    }
}

/// So many pages are guessed by what is looked for, before what is left is halved: with many buses, or lookups that are no
/// hashes, guesses are bad.
const GUESSES_MAX: u32 = 4;

impl Run {
    /// Writes and syncs a run. Its name is durable once the directory is synced.
    pub fn write(
        disk: &Disk,
        layout: &Layout,
        number: u64,
        mut identities: Vec<Identified>,
        covered: Vec<Covered>,
    ) -> Result<Self, Failure> {
        identities.sort_unstable_by_key(Identified::key);
        let mut writer = RunWriter::create(disk, layout, number, covered, identities.len() as u64)?;
        identities.iter().try_for_each(|identified| writer.put(identified))?;
        writer.finish()
    }

    /// Reads what is kept in memory.
    pub fn open(disk: &Disk, layout: &Layout, number: u64) -> Result<Self, RunError> {
        let path = layout.run(number);
        let file = disk.open_to_read(&path)?;
        let mut head = [0; HEAD_LEN];
        file.read_exact_at(&mut head, 0)?;
        let (mut run, ranges) = Self::decode_head(&head, number, path).ok_or(RunError::Damaged)?;
        let size = file.size()?;
        if run.size(ranges as u64).is_none_or(|needed| size < needed) {
            return Err(RunError::Damaged);
        }
        let mut bytes = vec![0; ranges * RANGE_LEN + 4];
        file.read_exact_at(&mut bytes, HEAD_LEN as u64)?;
        run.covered = decode_ranges(&bytes).ok_or(RunError::Damaged)?;
        Ok(run)
    }

    /// The file's size, by what its head says; `None` if that is absurd.
    fn size(&self, ranges: u64) -> Option<u64> {
        let ranges = ranges.checked_mul(RANGE_LEN as u64)?;
        let blocks = self.blocks.checked_mul(BLOCK_LEN as u64)?;
        let pages = self.pages().checked_mul(PAGE_LEN as u64)?;
        ranges
            .checked_add(blocks)?
            .checked_add(pages)?
            .checked_add(HEAD_LEN as u64 + 4)
    }

    fn decode_head(head: &[u8], number: u64, path: PathBuf) -> Option<(Self, usize)> {
        let mut fields = Fields::new(unseal(head)?);
        (fields.take(8)? == MAGIC).then_some(())?;
        let (count, oldest, newest) = (fields.u64()?, fields.i64()?, fields.i64()?);
        let ranges = fields.u32()? as usize;
        let run = Self {
            number,
            count,
            oldest,
            newest,
            covered: Vec::new(),
            path,
            blocks: u64::from(fields.u32()?).max(1),
        };
        Some((run, ranges))
    }

    fn filter_at(&self) -> u64 {
        (HEAD_LEN + self.covered.len() * RANGE_LEN + 4) as u64
    }

    fn pages_at(&self) -> u64 {
        self.filter_at() + self.blocks * BLOCK_LEN as u64
    }

    fn pages(&self) -> u64 {
        self.count.div_ceil(PAGE_ENTRIES as u64)
    }

    /// Everything of one bus with this lookup hash.
    pub fn find(&self, disk: &Disk, bus: u32, lookup: u64) -> Result<Vec<Identified>, RunError> {
        let file = disk.open_to_read(&self.path)?;
        let block = filter::block_of(bus, lookup, self.blocks);
        let mut bytes = [0; BLOCK_LEN];
        file.read_exact_at(&mut bytes, self.filter_at() + block * BLOCK_LEN as u64)?;
        match filter::block_may_hold(&bytes, (bus, lookup))? {
            true => self.search(&file, (bus, lookup)),
            false => Ok(Vec::new()),
        }
    }

    /// Its file, opened.
    pub fn open_file(&self, disk: &Disk) -> Result<File, RunError> {
        Ok(disk.open_to_read(&self.path)?)
    }

    /// The same in an open file, behind a filter that is in memory.
    pub fn find_filtered(&self, file: &File, filter: &Filter, probe: &Probe) -> Result<Vec<Identified>, RunError> {
        match filter.may_hold(probe) {
            true => self.search(file, probe.key),
            false => Ok(Vec::new()),
        }
    }

    fn search(&self, file: &File, key: (u32, u64)) -> Result<Vec<Identified>, RunError> {
        let sorted = |identified: &Identified| (identified.partition.topic.bus, identified.identity.lookup);
        // The last page whose first identity is below the key may hold the first equal one. A lookup is a hash: its share of
        // all numbers tells how far from another one it lies, as long as they are of one bus.
        let share = |distance: i128| (distance * i128::from(self.pages())) >> u64::BITS;
        let (mut low, mut high) = (0, self.pages());
        let mut guess = share(key.1.into());
        let mut guesses = 0;
        while high - low > 1 {
            let middle = match guesses < GUESSES_MAX {
                true => guess.clamp((low + 1).into(), (high - 1).into()) as u64,
                false => low + (high - low) / 2,
            };
            guesses += 1;
            let page = self.page(file, middle)?;
            let first = sorted(&page[0]);
            if first >= key {
                high = middle;
            } else if page.last().is_some_and(|last| sorted(last) >= key) {
                (low, high) = (middle, middle + 1);
            } else {
                low = middle;
            }
            guess = i128::from(middle) + share(i128::from(key.1) - i128::from(first.1));
        }
        let mut found = Vec::new();
        for place in low..self.pages() {
            let page = self.page(file, place)?;
            found.extend(page.iter().filter(|identified| sorted(identified) == key));
            if page.last().is_none_or(|last| sorted(last) > key) {
                break;
            }
        }
        Ok(found)
    }

    fn page(&self, file: &File, place: u64) -> Result<Vec<Identified>, RunError> {
        self.read_pages(file, place..place + 1)
    }

    fn read_pages(&self, file: &File, places: Range<u64>) -> Result<Vec<Identified>, RunError> {
        let first = places.start * PAGE_ENTRIES as u64;
        let count = (places.end * PAGE_ENTRIES as u64).min(self.count) - first;
        let mut left = usize::try_from(count).expect("few pages are read at once");
        let mut bytes = vec![0; usize::try_from(places.end - places.start).expect("likewise") * PAGE_LEN];
        file.read_exact_at(&mut bytes, self.pages_at() + places.start * PAGE_LEN as u64)?;
        let mut identities = Vec::with_capacity(left);
        for page in bytes.chunks_exact(PAGE_LEN) {
            let mut fields = Fields::new(unseal(page).ok_or(RunError::Damaged)?);
            for _ in 0..left.min(PAGE_ENTRIES) {
                identities.push(Identified::decode(&mut fields).ok_or(RunError::Damaged)?);
            }
            left -= left.min(PAGE_ENTRIES);
        }
        Ok(identities)
    }

    /// Shows all of it, some pages at a time.
    fn each_pages(&self, file: &File, mut each: impl FnMut(Vec<Identified>)) -> Result<(), RunError> {
        let mut place = 0;
        while place < self.pages() {
            let end = (place + cursor::PAGES_AT_ONCE).min(self.pages());
            each(self.read_pages(file, place..end)?);
            place = end;
        }
        Ok(())
    }

    /// Everything in it.
    pub fn read_all(&self, disk: &Disk) -> Result<Vec<Identified>, RunError> {
        let mut all = Vec::new();
        self.each_pages(&self.open_file(disk)?, |identities| all.extend(identities))?;
        Ok(all)
    }

    /// Reads all of it, and says whether every checksum holds.
    pub fn verify(&self, disk: &Disk) -> Result<(), RunError> {
        let file = self.open_file(disk)?;
        self.filter(&file)?;
        self.each_pages(&file, drop)
    }

    /// Its filter, verified.
    pub fn filter(&self, file: &File) -> Result<Filter, RunError> {
        let mut bytes = vec![0; filter::bytes_of(self.blocks)];
        file.read_exact_at(&mut bytes, self.filter_at())?;
        Filter::decode(bytes)
    }
}

fn decode_ranges(bytes: &[u8]) -> Option<Vec<Covered>> {
    let mut fields = Fields::new(unseal(bytes)?);
    let mut covered = Vec::new();
    while !fields.is_empty() {
        covered.push(Covered {
            partition: fields.partition()?,
            from: fields.u64()?,
            to: fields.u64()?,
        });
    }
    Some(covered)
}
