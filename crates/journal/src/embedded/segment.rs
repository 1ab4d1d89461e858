//! A segment: consecutive batches of one partition in one file, each behind an entry header that guards what the batch's
//! own checksum does not cover. Which segments exist, and how much of each counts, is the checkpoint's.
//!
//! ```text
//!  at  size  field (little-endian)
//!   0     8  magic "TLSEGMT1"
//!   8    12  partition: bus, topic, index
//!  20     8  base offset
//!  28     4  CRC-32C of bytes 0 to 28
//!  32     -  entries:
//!            0  8  append time, milliseconds since the Unix epoch
//!            8  4  length of the batch
//!           12  4  CRC-32C of bytes 0 to 12 and of the batch's first 21 bytes
//!           16  -  RecordBatch v2
//! ```

use super::{
    disk::{File, Outcome},
    format::{Fields, PutFields, unseal},
    index::{Mark, SparseIndex},
};
use crate::{AppendTime, Offset, PartitionId, StoredBatch, batch, batch::BatchHeader};
use bytes::{Buf, Bytes};

/// Size of the file's header.
pub const FRONT_LEN: u64 = 32;

/// Size of an entry's header.
pub const ENTRY_LEN: usize = 16;

const MAGIC: &[u8; 8] = b"TLSEGMT1";

/// The part of a batch that its own checksum does not cover: base offset to the checksum itself.
const GUARDED: usize = 21;

/// The largest batch a segment can hold: one record of the largest request, with its overhead.
const BATCH_LEN_MAX: usize = super::settings::FRAME_BYTES_MAX as usize;

/// How much a walk reads at once.
const WALK_BYTES: usize = 1 << 20;

/// The file's header.
pub fn encode_front(partition: PartitionId, base: Offset) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.put_partition(partition);
    bytes.put_u64(base);
    bytes.seal();
    bytes
}

/// What a file's header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// This segment's.
    Ours,
    /// Another segment's, whole: so is the content.
    Foreign,
    /// Not whole. The content may be.
    Damaged,
}

/// Compares these bytes with the header of this segment.
pub fn front(bytes: &[u8], partition: PartitionId, base: Offset) -> Front {
    let parts = || {
        let mut fields = Fields::new(unseal(bytes)?);
        Some((fields.take(8)?, fields.partition()?, fields.u64()?))
    };
    match parts() {
        Some(parts) if parts == (MAGIC, partition, base) => Front::Ours,
        Some((magic, _, _)) if magic == MAGIC => Front::Foreign,
        _ => Front::Damaged,
    }
}

/// What stands before a batch.
pub fn entry_head(append_time: AppendTime, batch: &[u8]) -> [u8; ENTRY_LEN] {
    let mut head = [0; ENTRY_LEN];
    let len = u32::try_from(batch.len()).expect("a batch is below 4 GiB");
    head[..8].copy_from_slice(&append_time.to_le_bytes());
    head[8..12].copy_from_slice(&len.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&head[..12]), &batch[..GUARDED.min(batch.len())]);
    head[12..].copy_from_slice(&crc.to_le_bytes());
    head
}

/// Appends an entry.
#[cfg(any(test, feature = "conformance"))]
pub fn put_entry(out: &mut Vec<u8>, append_time: AppendTime, batch: &[u8]) {
    out.extend_from_slice(&entry_head(append_time, batch));
    out.extend_from_slice(batch);
}

/// One verified entry.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it begins in the file.
    pub position: u64,
    /// The batch's header.
    pub header: BatchHeader,
    /// The batch.
    pub batch: StoredBatch,
}

impl Entry {
    /// Where the next entry begins.
    pub fn end(&self) -> u64 {
        self.position + (ENTRY_LEN + self.batch.bytes.len()) as u64
    }

    /// Its mark in the index.
    pub fn mark(&self) -> Mark {
        Mark {
            offset: self.header.base_offset,
            append_time: self.batch.append_time,
            position: self.position,
        }
    }
}

/// Why a walk ended early.
#[derive(Debug)]
pub enum WalkError {
    /// The bytes at this position are not an entry that was written.
    Damaged {
        /// Where.
        position: u64,
        /// What is wrong.
        reason: String,
    },
    /// The disk refused.
    Failed(super::disk::Failure),
}

impl From<super::disk::Failure> for WalkError {
    fn from(failure: super::disk::Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Walks the entries of a segment from a position to the end of what counts, verifying each.
#[derive(Debug)]
pub struct Walk<'a> {
    file: &'a File,
    end: u64,
    position: u64,
    /// Read ahead: the file's bytes from `position`.
    buffer: Bytes,
    read_bytes: usize,
    /// The base offset that the next batch must not be below.
    expected: Offset,
}

impl<'a> Walk<'a> {
    /// From the first entry.
    pub fn from_front(file: &'a File, base: Offset, end: u64) -> Self {
        Self::new(file, FRONT_LEN, base, end)
    }

    /// From the entry at `position`, whose batch begins at `expected` or later.
    pub fn new(file: &'a File, position: u64, expected: Offset, end: u64) -> Self {
        Self {
            file,
            end,
            position,
            buffer: Bytes::new(),
            read_bytes: WALK_BYTES,
            expected,
        }
    }

    /// Reads this much at once instead of 1 MiB.
    pub fn reading(mut self, read_bytes: usize) -> Self {
        self.read_bytes = read_bytes;
        self
    }

    /// The next entry; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Entry>, WalkError> {
        if self.position >= self.end {
            return Ok(None);
        }
        let entry = self.entry()?;
        self.expected = entry.header.next_offset();
        self.advance(ENTRY_LEN + entry.batch.bytes.len());
        Ok(Some(entry))
    }

    /// The entry at the position.
    fn entry(&mut self) -> Result<Entry, WalkError> {
        self.fill(ENTRY_LEN)?;
        let mut fields = Fields::new(&self.buffer);
        let head = (fields.i64(), fields.u32(), fields.u32());
        let (Some(append_time), Some(len), Some(stored)) = head else {
            return Err(self.damaged("the file ends within an entry's header"));
        };
        let len = len as usize;
        if len > BATCH_LEN_MAX || (len + ENTRY_LEN) as u64 > self.end - self.position {
            return Err(self.damaged("an entry's length reaches beyond the segment"));
        }
        self.fill(ENTRY_LEN + len)?;
        if self.buffer.len() < ENTRY_LEN + len {
            return Err(self.damaged("the file ends within a batch"));
        }
        let guarded = &self.buffer[ENTRY_LEN..ENTRY_LEN + len.min(GUARDED)];
        let crc = crc32c::crc32c_append(crc32c::crc32c(&self.buffer[..12]), guarded);
        if crc != stored {
            return Err(self.damaged("an entry's checksum does not hold"));
        }
        let bytes = self.buffer.slice(ENTRY_LEN..ENTRY_LEN + len);
        let header = BatchHeader::verify(&bytes).map_err(|error| self.damaged(&error.to_string()))?;
        if header.base_offset < self.expected {
            return Err(self.damaged("offsets go back"));
        }
        Ok(Entry {
            position: self.position,
            header,
            batch: StoredBatch { append_time, bytes },
        })
    }

    /// After damage: goes to where the next entry may begin. That is behind the damaged one, if its header can be trusted;
    /// else it is the next place where an entry verifies, or the end.
    pub fn resume(&mut self) -> Outcome<()> {
        if let Some(len) = self.trusted_len()? {
            self.advance(len);
            return Ok(());
        }
        loop {
            self.advance(1);
            if self.position >= self.end {
                return Ok(());
            }
            self.fill(ENTRY_LEN + batch::HEADER_LEN)?;
            if self.is_plausible() {
                match self.entry() {
                    Ok(_) => return Ok(()),
                    Err(WalkError::Damaged { .. }) => {}
                    Err(WalkError::Failed(failure)) => return Err(failure),
                }
            }
        }
    }

    /// The next good entry, past damage.
    pub fn next_good(&mut self) -> Outcome<Option<Entry>> {
        loop {
            match self.next() {
                Ok(entry) => return Ok(entry),
                Err(WalkError::Damaged { .. }) => self.resume()?,
                Err(WalkError::Failed(failure)) => return Err(failure),
            }
        }
    }

    /// The size of the entry at the position, if its header's checksum holds.
    fn trusted_len(&mut self) -> Outcome<Option<usize>> {
        self.fill(ENTRY_LEN + GUARDED)?;
        let len = self.field_u32(8) as usize;
        let Some(guarded) = self.buffer.get(ENTRY_LEN..ENTRY_LEN + len.min(GUARDED)) else {
            return Ok(None);
        };
        let crc = crc32c::crc32c_append(crc32c::crc32c(&self.buffer[..12]), guarded);
        let fits = len <= BATCH_LEN_MAX && (ENTRY_LEN + len) as u64 <= self.end - self.position;
        Ok((crc == self.field_u32(12) && fits).then_some(ENTRY_LEN + len))
    }

    /// Whether an entry's and its batch's lengths and the batch's version agree: cheap, for a look at every byte.
    fn is_plausible(&self) -> bool {
        let Some(batch) = self.buffer.get(ENTRY_LEN..ENTRY_LEN + GUARDED) else {
            return false;
        };
        let inner = u32::from_be_bytes(*batch[8..].first_chunk().expect("a batch's header is longer"));
        batch[16] == batch::MAGIC as u8 && u64::from(self.field_u32(8)) == u64::from(inner) + batch::LENGTH_FROM as u64
    }

    fn field_u32(&self, at: usize) -> u32 {
        let field = self.buffer.get(at..).and_then(|bytes| bytes.first_chunk());
        field.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    fn advance(&mut self, count: usize) {
        self.position += count as u64;
        let held = count.min(self.buffer.len());
        self.buffer.advance(held);
    }

    fn damaged(&self, reason: &str) -> WalkError {
        WalkError::Damaged {
            position: self.position,
            reason: reason.to_owned(),
        }
    }

    /// Sees to it that the buffer holds `count` bytes, if the file does.
    fn fill(&mut self, count: usize) -> Outcome<()> {
        if self.buffer.len() >= count {
            return Ok(());
        }
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let mut bytes = vec![0; self.read_bytes.max(count).min(left)];
        let filled = self.file.read_at(&mut bytes, self.position)?;
        bytes.truncate(filled);
        self.buffer = bytes.into();
        Ok(())
    }
}

/// Builds the index of a segment's first `end` bytes by walking them, past damage.
pub fn rebuild_index(file: &File, base: Offset, end: u64) -> Outcome<SparseIndex> {
    let mut index = SparseIndex::default();
    let mut walk = Walk::from_front(file, base, end);
    while let Some(entry) = walk.next_good()? {
        index.add(entry.mark());
    }
    Ok(index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        EncodedRecord, TopicId, batch,
        embedded::disk::{Disk, SimulatedDisk},
    };
    use std::path::Path;

    const PARTITION: PartitionId = PartitionId {
        topic: TopicId { bus: 1, topic: 2 },
        index: 3,
    };

    fn segment() -> Vec<u8> {
        let mut bytes = encode_front(PARTITION, 40);
        for (offset, value) in [(40, "a"), (41, "b")] {
            let record = EncodedRecord::new(None, Some(value.as_bytes()), std::iter::empty());
            let mut batch = Vec::new();
            batch::seal(&mut batch, offset, 1_000, [&record].into_iter());
            put_entry(&mut bytes, 1_000, &batch);
        }
        bytes
    }

    fn walk(bytes: &[u8]) -> (Vec<Offset>, Option<u64>) {
        let disk = SimulatedDisk::new(1);
        let disk = Disk::Simulated(disk);
        disk.create_directory(Path::new("d")).unwrap();
        let file = disk.create(Path::new("d/s")).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        let mut walk = Walk::from_front(&file, 40, bytes.len() as u64).reading(16);
        let mut offsets = Vec::new();
        loop {
            match walk.next() {
                Ok(Some(entry)) => offsets.push(entry.header.base_offset),
                Ok(None) => return (offsets, None),
                Err(WalkError::Damaged { position, .. }) => return (offsets, Some(position)),
                Err(WalkError::Failed(failure)) => panic!("{failure}"),
            }
        }
    }

    #[test]
    fn a_segment_begins_with_these_bytes() {
        let hex: String = segment()[..48].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            concat!(
                "544c5345474d5431",
                "010000000200000003000000",
                "2800000000000000",
                "5b42a08d",
                "e803000000000000",
                "45000000",
                "58fd6982",
            )
        );
    }

    #[test]
    fn no_flipped_byte_of_an_entry_goes_unseen() {
        let good = segment();
        assert_eq!(walk(&good), (vec![40, 41], None));
        let second = FRONT_LEN as usize + (good.len() - FRONT_LEN as usize) / 2;
        for at in FRONT_LEN as usize..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x20;
            let position = if at < second { FRONT_LEN } else { second as u64 };
            let before = if at < second { vec![] } else { vec![40] };
            assert_eq!(walk(&bad), (before, Some(position)), "byte {at}");
        }
    }
}
