//! The checkpoint: everything that a start needs to know beside the frames behind it, in one file that is replaced whole.
//! When it is taken, and what is synced before, is the flusher's.
//!
//! ```text
//!  at  size  field (little-endian)
//!   0     8  magic "TLCHECK1"
//!   8     8  sequence: all frames up to it are in the segments below
//!  16     8  first write-ahead file number that may hold a later frame
//!  24     8  newest append time
//!  32     4  number of runs, then per run its number u64
//!   -     4  number of partitions, then per partition:
//!            partition (bus, topic, index), start u64, next u64, number of segments u32, then per segment:
//!            base u64, next u64, bytes u64, newest append time i64, sealed u32 (0 or 1)
//!   -     4  CRC-32C of all before
//! ```

use super::{
    format::{Fields, PutFields, unseal},
    index::SparseIndex,
    partition::SegmentState,
};
use crate::{AppendTime, Offset, PartitionId};

const MAGIC: &[u8; 8] = b"TLCHECK1";

/// What a checkpoint says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// All frames up to it are in the segments.
    pub sequence: u64,
    /// Frames behind it are in write-ahead files with this number or a later one.
    pub needed_from: u64,
    /// No append time so far is above it.
    pub append_time: AppendTime,
    /// The identity runs.
    pub runs: Vec<u64>,
    /// The partitions.
    pub partitions: Vec<CheckpointPartition>,
}

/// A partition in a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointPartition {
    /// Which.
    pub id: PartitionId,
    /// First readable offset.
    pub start: Offset,
    /// Offset after the last record in its segments.
    pub next: Offset,
    /// Its segments, oldest first.
    pub segments: Vec<SegmentState>,
}

impl Checkpoint {
    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.put_u64(self.sequence);
        bytes.put_u64(self.needed_from);
        bytes.put_i64(self.append_time);
        bytes.put_u32(u32::try_from(self.runs.len()).expect("runs are few"));
        self.runs.iter().for_each(|run| bytes.put_u64(*run));
        bytes.put_u32(u32::try_from(self.partitions.len()).expect("partitions are few"));
        for partition in &self.partitions {
            partition.encode(&mut bytes);
        }
        bytes.seal();
        bytes
    }

    /// Reads a file; `None` if it is damaged.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(unseal(bytes)?);
        (fields.take(8)? == MAGIC).then_some(())?;
        let mut checkpoint = Self {
            sequence: fields.u64()?,
            needed_from: fields.u64()?,
            append_time: fields.i64()?,
            ..Self::default()
        };
        for _ in 0..fields.u32()? {
            checkpoint.runs.push(fields.u64()?);
        }
        for _ in 0..fields.u32()? {
            checkpoint.partitions.push(CheckpointPartition::decode(&mut fields)?);
        }
        // Nothing ever has the last number: everything has a next one.
        let counts_on = checkpoint.sequence < u64::MAX && checkpoint.needed_from < u64::MAX;
        (fields.is_empty() && counts_on).then_some(checkpoint)
    }
}

impl CheckpointPartition {
    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.put_partition(self.id);
        bytes.put_u64(self.start);
        bytes.put_u64(self.next);
        bytes.put_u32(u32::try_from(self.segments.len()).expect("segments are few"));
        for segment in &self.segments {
            bytes.put_u64(segment.base);
            bytes.put_u64(segment.next);
            bytes.put_u64(segment.bytes);
            bytes.put_i64(segment.newest);
            bytes.put_u32(u32::from(segment.sealed));
        }
    }

    fn decode(fields: &mut Fields<'_>) -> Option<Self> {
        let mut partition = Self {
            id: fields.partition()?,
            start: fields.u64()?,
            next: fields.u64()?,
            segments: Vec::new(),
        };
        for _ in 0..fields.u32()? {
            partition.segments.push(SegmentState {
                base: fields.u64()?,
                next: fields.u64()?,
                bytes: fields.u64()?,
                newest: fields.i64()?,
                sealed: fields.u32()? != 0,
                sparse: SparseIndex::default(),
            });
        }
        Some(partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TopicId;

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            sequence: 9,
            needed_from: 2,
            append_time: 1_000,
            runs: vec![4],
            partitions: vec![CheckpointPartition {
                id: PartitionId {
                    topic: TopicId { bus: 1, topic: 2 },
                    index: 3,
                },
                start: 5,
                next: 8,
                segments: vec![SegmentState {
                    base: 5,
                    next: 8,
                    bytes: 700,
                    newest: 999,
                    sealed: true,
                    sparse: SparseIndex::default(),
                }],
            }],
        }
    }

    #[test]
    fn a_checkpoint_has_these_bytes() {
        let hex: String = checkpoint().encode().iter().map(|byte| format!("{byte:02x}")).collect();
        let expected = concat!(
            "544c434845434b31",
            "0900000000000000",
            "0200000000000000",
            "e803000000000000",
            "01000000",
            "0400000000000000",
            "01000000",
            "010000000200000003000000",
            "0500000000000000",
            "0800000000000000",
            "01000000",
            "0500000000000000",
            "0800000000000000",
            "bc02000000000000",
            "e703000000000000",
            "01000000",
            "35fa99eb",
        );
        assert_eq!(hex, expected);
        assert_eq!(Checkpoint::decode(&checkpoint().encode()), Some(checkpoint()));
    }

    #[test]
    fn no_flipped_or_missing_byte_of_a_checkpoint_goes_unseen() {
        let good = checkpoint().encode();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x80;
            assert_eq!(Checkpoint::decode(&bad), None, "byte {at}");
            assert_eq!(Checkpoint::decode(&good[..at]), None, "cut at {at}");
        }
    }
}
