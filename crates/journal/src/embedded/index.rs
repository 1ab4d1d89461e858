//! The sparse index of a segment: every 64 KiB, which offset and time stand at which byte. It finds a place to begin
//! walking; it is never trusted for content.
//!
//! ```text
//!  at  size  field (little-endian)
//!   0     8  magic "TLINDEX1"
//!   8    12  partition: bus, topic, index
//!  20     8  base offset of the segment
//!  28     4  number of marks
//!  32    24  per mark: offset u64, append time i64, position u64
//!   -     4  CRC-32C of all before
//! ```

use super::format::{Fields, PutFields, unseal};
use crate::{AppendTime, Offset, PartitionId};

/// Bytes of a segment between two marks: what a reader walks at most before it is at its place.
pub const INTERVAL: u64 = 64 * 1024;

const MAGIC: &[u8; 8] = b"TLINDEX1";
const MARK_LEN: usize = 24;

/// One mark: a batch's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The batch's base offset.
    pub offset: Offset,
    /// Its append time.
    pub append_time: AppendTime,
    /// Where its entry begins in the segment.
    pub position: u64,
}

/// Marks in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SparseIndex {
    marks: Vec<Mark>,
}

impl SparseIndex {
    /// Notes a batch if the last mark is far enough back.
    pub fn add(&mut self, mark: Mark) {
        if self
            .marks
            .last()
            .is_none_or(|last| mark.position >= last.position + INTERVAL)
        {
            self.marks.push(mark);
        }
    }

    /// Where to begin walking for the batch that holds `offset`; `None` for the front of the segment.
    pub fn before_offset(&self, offset: Offset) -> Option<Mark> {
        self.before(self.marks.partition_point(|mark| mark.offset <= offset))
    }

    /// Where to begin walking for the first batch at or after `time`; `None` for the front of the segment.
    pub fn before_time(&self, time: AppendTime) -> Option<Mark> {
        self.before(self.marks.partition_point(|mark| mark.append_time < time))
    }

    fn before(&self, after: usize) -> Option<Mark> {
        after.checked_sub(1).map(|place| self.marks[place])
    }

    /// Adds marks that lie before all of these; what overlaps is not taken.
    pub fn put_in_front(&mut self, mut front: Self) {
        if let Some(first) = self.first_position() {
            front.marks.retain(|mark| mark.position < first);
        }
        front.marks.append(&mut self.marks);
        *self = front;
    }

    /// The first byte position that it knows.
    pub fn first_position(&self) -> Option<u64> {
        self.marks.first().map(|mark| mark.position)
    }

    /// The file's bytes.
    pub fn encode(&self, partition: PartitionId, base: Offset) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.put_partition(partition);
        bytes.put_u64(base);
        bytes.put_u32(u32::try_from(self.marks.len()).expect("a segment has few marks"));
        for mark in &self.marks {
            bytes.put_u64(mark.offset);
            bytes.put_i64(mark.append_time);
            bytes.put_u64(mark.position);
        }
        bytes.seal();
        bytes
    }

    /// Reads a file; `None` if it is damaged or another segment's.
    pub fn decode(bytes: &[u8], partition: PartitionId, base: Offset) -> Option<Self> {
        let mut fields = Fields::new(unseal(bytes)?);
        let ours = fields.take(8)? == MAGIC && fields.partition()? == partition && fields.u64()? == base;
        let count = fields.u32()? as usize;
        (ours && fields.left() == count.checked_mul(MARK_LEN)?).then_some(())?;
        let mut marks = Vec::with_capacity(count);
        for _ in 0..count {
            marks.push(Mark {
                offset: fields.u64()?,
                append_time: fields.i64()?,
                position: fields.u64()?,
            });
        }
        Some(Self { marks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TopicId;

    const PARTITION: PartitionId = PartitionId {
        topic: TopicId { bus: 1, topic: 2 },
        index: 3,
    };

    fn index() -> SparseIndex {
        let mut index = SparseIndex::default();
        for place in 0..10 {
            index.add(Mark {
                offset: 100 + place,
                append_time: 1_000 + place as i64,
                position: 32 + place * INTERVAL / 2,
            });
        }
        index
    }

    #[test]
    fn marks_are_an_interval_apart_and_found_by_offset_and_time() {
        let index = index();
        assert_eq!(index.marks.len(), 5);
        assert_eq!(index.before_offset(99), None);
        assert_eq!(index.before_offset(103).unwrap().offset, 102);
        assert_eq!(index.before_time(1_000), None);
        assert_eq!(index.before_time(1_003).unwrap().offset, 102);
    }

    #[test]
    fn an_index_has_these_bytes_and_no_flip_goes_unseen() {
        let mut index = SparseIndex::default();
        index.add(Mark {
            offset: 7,
            append_time: 8,
            position: 32,
        });
        let bytes = index.encode(PARTITION, 7);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            concat!(
                "544c494e44455831",
                "010000000200000003000000",
                "0700000000000000",
                "01000000",
                "0700000000000000",
                "0800000000000000",
                "2000000000000000",
                "e5b10bcb",
            )
        );
        assert_eq!(SparseIndex::decode(&bytes, PARTITION, 7), Some(index));
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert_eq!(SparseIndex::decode(&bad, PARTITION, 7), None, "byte {at}");
        }
        assert_eq!(SparseIndex::decode(&bytes, PARTITION, 8), None);
    }
}
