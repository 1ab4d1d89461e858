//! One sync group as it lies in a write-ahead file. It knows no files: bytes in, bytes out.
//!
//! ```text
//!  at  size  field (little-endian)
//!   0     4  magic "TLFR"
//!   4     4  layout version, 1
//!   8     8  sequence
//!  16     8  durable-through: newest sequence whose sync had returned
//!  24     8  append time, milliseconds since the Unix epoch
//!  32     8  file number of the epoch
//!  40     4  body length
//!  44     4  number of batches
//!  48     4  number of copies
//!  52     4  reserved, 0
//!  56     4  CRC-32C of: salt (8 bytes), bytes 0 to 56
//!  60     4  CRC-32C of: salt (8 bytes), bytes 0 to 60, body
//!  64     -  body: per batch {bus u32, topic u32, partition u32, length u32, RecordBatch v2};
//!            then per copy {batch u32, record in the batch u32}: records that are not their entry's primary
//!   -     -  zeros up to the next 4 KiB boundary
//! ```

use super::{
    format::{Fields, PAGE, PutFields},
    joined_crc::joined,
};
use crate::{AppendTime, PartitionId};
use std::ops::Range;

/// Size of the header.
pub const HEADER_LEN: usize = 64;

const MAGIC: u32 = u32::from_le_bytes(*b"TLFR");
const VERSION: u32 = 1;
const HEADER_CRC_AT: usize = 56;
const CRC_AT: usize = 60;

/// One use of a write-ahead file, as far as its frames are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// Grows with every use of any file.
    pub number: u64,
    /// Random; enters the checksum of every frame.
    pub salt: u64,
}

/// The header's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Grows by one per frame, and never restarts.
    pub sequence: u64,
    /// The newest sequence whose sync had returned.
    pub durable_through: u64,
    /// When all its records were appended.
    pub append_time: AppendTime,
    /// Bytes of the body.
    pub body_len: usize,
    /// Batches in the body.
    pub batches: u32,
    /// Copies in the body.
    pub copies: u32,
}

impl FrameHeader {
    /// Size of the whole frame in the file.
    pub fn frame_len(&self) -> u64 {
        (HEADER_LEN as u64 + self.body_len as u64).next_multiple_of(PAGE)
    }

    /// Reads the header alone, which has a checksum of its own: for knowing how much to read.
    pub fn peek(bytes: &[u8], epoch: Epoch) -> Option<Self> {
        let (header, number) = Self::peek_any(bytes)?;
        let stored = u32::from_le_bytes(*bytes[HEADER_CRC_AT..].first_chunk()?);
        (number == epoch.number && header_checksum(bytes, epoch.salt) == stored).then_some(header)
    }

    /// Reads a header of any epoch, whose number is given as well; without the salt nothing is verified.
    pub fn peek_any(bytes: &[u8]) -> Option<(Self, u64)> {
        let mut fields = Fields::new(bytes.get(..HEADER_LEN)?);
        (fields.u32()? == MAGIC && fields.u32()? == VERSION).then_some(())?;
        let (sequence, durable_through, append_time) = (fields.u64()?, fields.u64()?, fields.i64()?);
        let number = fields.u64()?;
        let header = Self {
            sequence,
            durable_through,
            append_time,
            body_len: fields.u32()? as usize,
            batches: fields.u32()?,
            copies: fields.u32()?,
        };
        // No frame ever has the last number, so that every frame has a next one.
        (header.sequence < u64::MAX).then_some((header, number))
    }
}

/// One batch's place in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameBatch {
    /// Whose it is.
    pub partition: PartitionId,
    /// Where its bytes lie in the frame.
    pub bytes: Range<usize>,
    /// Which of its records are copies, by their place in the batch.
    pub copies: Vec<u32>,
}

/// Writes what precedes a batch's bytes. `length` is known afterwards: see [`set_batch_len`].
pub fn put_span(out: &mut Vec<u8>, partition: PartitionId) {
    out.put_partition(partition);
    out.put_u32(0);
}

/// Sets the length of the batch whose bytes start at `start`.
pub fn set_batch_len(out: &mut [u8], start: usize, len: usize) {
    let len = u32::try_from(len).expect("a frame is below 4 GiB");
    out[start - 4..start].copy_from_slice(&len.to_le_bytes());
}

/// Appends the mark of a copy.
pub fn put_copy(out: &mut Vec<u8>, batch: u32, record: u32) {
    out.put_u32(batch);
    out.put_u32(record);
}

/// Fills in the header at the front of a frame, whose body is complete to the end of `out` and has this [`body_checksum`], and
/// pads it to whole pages.
pub fn finish(out: &mut Vec<u8>, origin: usize, epoch: Epoch, header: FrameHeader, body_crc: u32) {
    let mut front = Vec::with_capacity(HEADER_LEN);
    front.put_u32(MAGIC);
    front.put_u32(VERSION);
    front.put_u64(header.sequence);
    front.put_u64(header.durable_through);
    front.put_i64(header.append_time);
    front.put_u64(epoch.number);
    front.put_u32(u32::try_from(header.body_len).expect("a frame is below 4 GiB"));
    front.put_u32(header.batches);
    front.put_u32(header.copies);
    front.put_u32(0);
    let crc = header_checksum(&front, epoch.salt);
    front.put_u32(crc);
    let frame = &mut out[origin..];
    frame[..CRC_AT].copy_from_slice(&front);
    let crc = front_checksum(frame, epoch.salt);
    let crc = joined(crc, body_crc, header.body_len);
    frame[CRC_AT..HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
    let len = frame.len().next_multiple_of(PAGE as usize);
    out.resize(origin + len, 0);
}

/// The checksum that a header should have.
pub fn header_checksum(frame: &[u8], salt: u64) -> u32 {
    let crc = crc32c::crc32c(&salt.to_le_bytes());
    crc32c::crc32c_append(crc, &frame[..HEADER_CRC_AT])
}

/// Over salt, header and body.
pub fn checksum(frame: &[u8], salt: u64) -> u32 {
    crc32c::crc32c_append(front_checksum(frame, salt), &frame[HEADER_LEN..])
}

/// What a body contributes to the checksum: known before the header is, and summed by who has just written it.
pub fn body_checksum(body: &[u8]) -> u32 {
    crc32c::crc32c(body)
}

/// Over salt and header.
fn front_checksum(frame: &[u8], salt: u64) -> u32 {
    let crc = crc32c::crc32c(&salt.to_le_bytes());
    crc32c::crc32c_append(crc, &frame[..CRC_AT])
}

/// Reads the frame at the front of `bytes`; `None` if there is no good one of this epoch.
pub fn parse(bytes: &[u8], epoch: Epoch) -> Option<(FrameHeader, Vec<FrameBatch>)> {
    let header = FrameHeader::peek(bytes, epoch)?;
    let frame = bytes.get(..HEADER_LEN.checked_add(header.body_len)?)?;
    let stored = u32::from_le_bytes(*frame[CRC_AT..].first_chunk()?);
    (checksum(frame, epoch.salt) == stored).then_some(())?;
    Some((header, parse_body(frame, header)?))
}

fn parse_body(frame: &[u8], header: FrameHeader) -> Option<Vec<FrameBatch>> {
    let mut fields = Fields::new(&frame[HEADER_LEN..]);
    let mut batches = Vec::new();
    for _ in 0..header.batches {
        let partition = fields.partition()?;
        let len = fields.u32()? as usize;
        let start = frame.len() - fields.left();
        fields.take(len)?;
        batches.push(FrameBatch {
            partition,
            bytes: start..start + len,
            copies: Vec::new(),
        });
    }
    for _ in 0..header.copies {
        let (batch, record) = (fields.u32()?, fields.u32()?);
        batches.get_mut(batch as usize)?.copies.push(record);
    }
    fields.is_empty().then_some(batches)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TopicId;

    const EPOCH: Epoch = Epoch {
        number: 3,
        salt: 0x0102_0304_0506_0708,
    };

    fn frame() -> Vec<u8> {
        let partition = PartitionId {
            topic: TopicId { bus: 1, topic: 2 },
            index: 5,
        };
        let mut out = vec![0; HEADER_LEN];
        put_span(&mut out, partition);
        let start = out.len();
        out.extend_from_slice(b"batch");
        set_batch_len(&mut out, start, 5);
        put_copy(&mut out, 0, 9);
        let header = FrameHeader {
            sequence: 7,
            durable_through: 6,
            append_time: 1_700_000_000_000,
            body_len: out.len() - HEADER_LEN,
            batches: 1,
            copies: 1,
        };
        let body_crc = body_checksum(&out[HEADER_LEN..]);
        finish(&mut out, 0, EPOCH, header, body_crc);
        out
    }

    #[test]
    fn a_frame_has_these_bytes() {
        let expected = concat!(
            "544c4652",
            "01000000",
            "0700000000000000",
            "0600000000000000",
            "0068e5cf8b010000",
            "0300000000000000",
            "1d000000",
            "01000000",
            "01000000",
            "00000000",
            "7c8e196c",
            "c0af3e30",
            "01000000",
            "02000000",
            "05000000",
            "05000000",
            "6261746368",
            "00000000",
            "09000000",
        );
        let frame = frame();
        let hex: String = frame[..HEADER_LEN + 0x1d]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, expected);
        assert_eq!(frame.len(), PAGE as usize);
    }

    #[test]
    fn a_frame_comes_back_under_its_own_salt_and_number_only() {
        let frame = frame();
        let (header, batches) = parse(&frame, EPOCH).unwrap();
        assert_eq!((header.sequence, header.frame_len()), (7, PAGE));
        assert_eq!(&frame[batches[0].bytes.clone()], b"batch");
        assert_eq!(batches[0].copies, [9]);
        assert!(parse(&frame, Epoch { salt: 1, ..EPOCH }).is_none());
        assert!(parse(&frame, Epoch { number: 4, ..EPOCH }).is_none());
    }

    #[test]
    fn a_frame_with_the_last_number_is_none() {
        let header = |sequence| FrameHeader {
            sequence,
            durable_through: 0,
            append_time: 0,
            body_len: 0,
            batches: 0,
            copies: 0,
        };
        for (sequence, is_one) in [(u64::MAX, false), (u64::MAX - 1, true)] {
            let mut out = vec![0; HEADER_LEN];
            finish(&mut out, 0, EPOCH, header(sequence), body_checksum(&[]));
            assert_eq!(parse(&out, EPOCH).is_some(), is_one, "{sequence}");
        }
    }

    #[test]
    fn no_flipped_byte_of_a_frame_goes_unseen() {
        let good = frame();
        for at in 0..HEADER_LEN + 0x1d {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert!(parse(&bad, EPOCH).is_none(), "byte {at}");
        }
    }
}
