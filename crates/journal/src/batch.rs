//! Kafka's RecordBatch v2, written and walked: sealing pre-encoded records into a batch, reading and verifying a header,
//! and iterating a batch's records without copying. It neither compresses nor decompresses; where a batch lies and when it
//! was appended is the engine's.
//!
//! ```text
//!  at  size  field (big-endian)                 what seal writes
//!   0     8  baseOffset                         given
//!   8     4  batchLength, counted from byte 12  measured
//!  12     4  partitionLeaderEpoch               0
//!  16     1  magic                              2
//!  17     4  crc: CRC-32C of byte 21 to the end computed
//!  21     2  attributes                         8 (LogAppendTime, uncompressed)
//!  23     4  lastOffsetDelta                    count - 1
//!  27     8  baseTimestamp                      append time
//!  35     8  maxTimestamp                       append time
//!  43     8  producerId                         -1
//!  51     2  producerEpoch                      -1
//!  53     4  baseSequence                       -1
//!  57     4  record count                       counted
//!  61     -  records: length, attributes (i8), timestampDelta, offsetDelta, body
//! ```

mod records;

pub use records::{Records, records};

use crate::{AppendTime, EncodedRecord, Offset, varint};

/// Size of the header before the first record.
pub const HEADER_LEN: usize = 61;

/// Where the bytes begin that `batchLength` counts.
pub(crate) const LENGTH_FROM: usize = 12;

/// Where the checksum stands.
const CRC_AT: usize = 17;

/// Where the bytes begin that the checksum covers. The base offset and the leader epoch lie before it, so that an engine
/// can place a batch without summing it anew.
const CRC_FROM: usize = 21;

/// The only version of the layout that is known here.
pub(crate) const MAGIC: i8 = 2;

/// The epoch in sealed batches. A node's journal has one leader for ever; Kafka clients take -1 for "unknown".
const LEADER_EPOCH: i32 = 0;

const COMPRESSION_MASK: i16 = 0b111;
const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;

/// Bytes of a sealed record between its length and its offset delta: attributes and timestamp delta, both 0.
const SEALED_FIXED: usize = 2;

/// The least a record takes: length, attributes, two deltas, key, value, number of headers.
const RECORD_LEN_MIN: usize = 7;

/// Why bytes are not a batch, or not one whose records can be walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// Fewer bytes than the header, or than it says.
    #[error("read a record batch of {needed} bytes: only {found} are there")]
    Truncated {
        /// Bytes needed.
        needed: usize,
        /// Bytes there.
        found: usize,
    },
    /// More bytes than the header says.
    #[error("read a record batch of {expected} bytes: {found} are there")]
    Trailing {
        /// Bytes that the header speaks of.
        expected: usize,
        /// Bytes there.
        found: usize,
    },
    /// A version of the layout that is not known.
    #[error("read a record batch of magic {found}: only 2 is known")]
    Magic {
        /// Found.
        found: i8,
    },
    /// The bytes are not those that were written.
    #[error("read a record batch: its checksum is {computed:08x}, and {stored:08x} is written")]
    Checksum {
        /// In the header.
        stored: u32,
        /// Of the bytes.
        computed: u32,
    },
    /// A producer compressed it; walking the records needs decompression first.
    #[error("walk a record batch compressed with codec {codec}")]
    Compressed {
        /// 1 gzip, 2 snappy, 3 lz4, 4 zstd.
        codec: u8,
    },
    /// The fields contradict each other.
    #[error("read a record batch: {what} at byte {at}")]
    Malformed {
        /// Byte position in the batch.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
}

/// How large the batch of these records will be.
pub fn sealed_len<'a>(records: impl Iterator<Item = &'a EncodedRecord>) -> usize {
    measure(records.map(EncodedRecord::len)).1
}

/// How many bytes a record adds to a batch in which `position` records precede it.
#[inline]
pub fn sealed_record_len(position: u32, record: &EncodedRecord) -> usize {
    sealed_body_len(position, record.len())
}

/// The same of a record's encoded body of this size.
#[inline]
pub(crate) fn sealed_body_len(position: u32, body_len: usize) -> usize {
    let len = content_len(delta(position), body_len);
    varint::len(len) + len as usize
}

/// Appends one batch of at least one record to `out`: the records get `base_offset` and the following offsets, and
/// `append_time` as their Kafka timestamp. Returns the size of the batch.
///
/// # Panics
///
/// Without records, or with 2 GiB of them: a caller's bug.
pub fn seal<'a>(
    out: &mut Vec<u8>,
    base_offset: Offset,
    append_time: AppendTime,
    records: impl Iterator<Item = &'a EncodedRecord> + Clone,
) -> usize {
    seal_bodies(
        out,
        base_offset,
        append_time,
        records.map(|record| &record.as_bytes()[..]),
    )
}

/// The same of records' encoded bodies, wherever they lie.
pub(crate) fn seal_bodies<'a>(
    out: &mut Vec<u8>,
    base_offset: Offset,
    append_time: AppendTime,
    bodies: impl Iterator<Item = &'a [u8]> + Clone,
) -> usize {
    let (count, len) = measure(bodies.clone().map(<[u8]>::len));
    assert!(count > 0, "a batch holds at least one record");
    let start = out.len();
    out.reserve(len);
    out.extend_from_slice(&header(base_offset, append_time, count, len));
    for (position, body) in (0..).zip(bodies) {
        put_record(out, delta(position), body);
    }
    assert_eq!(out.len() - start, len, "the records' iterator and its clone differ");
    let crc = crc32c::crc32c(&out[start + CRC_FROM..]);
    out[start + CRC_AT..start + CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    len
}

fn measure(body_lens: impl Iterator<Item = usize>) -> (u32, usize) {
    body_lens.fold((0, HEADER_LEN), |(count, len), body_len| {
        (count + 1, len + sealed_body_len(count, body_len))
    })
}

/// The header with a checksum of 0.
fn header(base_offset: Offset, append_time: AppendTime, count: u32, len: usize) -> [u8; HEADER_LEN] {
    let base_offset = i64::try_from(base_offset).expect("offsets stay below 2^63");
    let length = i32::try_from(len - LENGTH_FROM).expect("a batch is below 2 GiB");
    let mut header = [0xff; HEADER_LEN];
    header[..8].copy_from_slice(&base_offset.to_be_bytes());
    header[8..12].copy_from_slice(&length.to_be_bytes());
    header[12..16].copy_from_slice(&LEADER_EPOCH.to_be_bytes());
    header[16] = MAGIC as u8;
    header[CRC_AT..CRC_FROM].fill(0);
    header[21..23].copy_from_slice(&LOG_APPEND_TIME.to_be_bytes());
    header[23..27].copy_from_slice(&(delta(count) - 1).to_be_bytes());
    header[27..35].copy_from_slice(&append_time.to_be_bytes());
    header[35..43].copy_from_slice(&append_time.to_be_bytes());
    // Bytes 43 to 57, the producer's id, epoch and sequence, stay -1.
    header[57..].copy_from_slice(&count.to_be_bytes());
    header
}

fn put_record(out: &mut Vec<u8>, delta: i32, body: &[u8]) {
    let mut prefix = [0; 2 * varint::MAX_LEN_32 + SEALED_FIXED];
    let mut used = varint::write(&mut prefix, content_len(delta, body.len()));
    used += SEALED_FIXED;
    used += varint::write(&mut prefix[used..], delta);
    out.extend_from_slice(&prefix[..used]);
    out.extend_from_slice(body);
}

/// What a record's own length counts.
#[inline]
fn content_len(delta: i32, body_len: usize) -> i32 {
    i32::try_from(SEALED_FIXED + varint::len(delta) + body_len).expect("a record is below 2 GiB")
}

#[inline]
fn delta(position: u32) -> i32 {
    i32::try_from(position).expect("a batch holds fewer than 2^31 records")
}

/// The header of a batch, whoever sealed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record, or of the place where it was.
    pub base_offset: Offset,
    /// Size of the whole batch, this header included.
    pub len: usize,
    /// Epoch of the partition's leader.
    pub leader_epoch: i32,
    /// CRC-32C of byte 21 to the end, as written.
    pub crc: u32,
    /// Compression, timestamp type and flags; see the methods.
    pub attributes: i16,
    /// Last offset minus base offset.
    pub last_offset_delta: u32,
    /// What timestamp deltas are counted from.
    pub base_timestamp: i64,
    /// The largest timestamp; with LogAppendTime that of every record.
    pub max_timestamp: i64,
    /// The idempotent producer, or -1.
    pub producer_id: i64,
    /// Its epoch, or -1.
    pub producer_epoch: i16,
    /// Its sequence number for the first record, or -1.
    pub base_sequence: i32,
    /// Number of records.
    pub count: u32,
}

impl BatchHeader {
    /// Reads the header at the front of `bytes`, which may end after it or go on beyond the batch. Checks the fields
    /// against each other but not the checksum, so this alone is for looking ahead.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let header: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(BatchError::Truncated {
            needed: HEADER_LEN,
            found: bytes.len(),
        })?;
        let magic = header[16] as i8;
        if magic != MAGIC {
            return Err(BatchError::Magic { found: magic });
        }
        let header = Self {
            base_offset: unsigned(i64::from_be_bytes(field(header, 0)), 0, "a negative base offset")?,
            len: LENGTH_FROM + unsigned::<_, usize>(i32::from_be_bytes(field(header, 8)), 8, "a negative length")?,
            leader_epoch: i32::from_be_bytes(field(header, 12)),
            crc: u32::from_be_bytes(field(header, CRC_AT)),
            attributes: i16::from_be_bytes(field(header, 21)),
            last_offset_delta: unsigned(i32::from_be_bytes(field(header, 23)), 23, "a negative last offset")?,
            base_timestamp: i64::from_be_bytes(field(header, 27)),
            max_timestamp: i64::from_be_bytes(field(header, 35)),
            producer_id: i64::from_be_bytes(field(header, 43)),
            producer_epoch: i16::from_be_bytes(field(header, 51)),
            base_sequence: i32::from_be_bytes(field(header, 53)),
            count: unsigned(i32::from_be_bytes(field(header, 57)), 57, "a negative record count")?,
        };
        header.checked()
    }

    /// Reads the header of the batch that `bytes` is, to the last byte, and verifies its checksum.
    pub fn verify(bytes: &[u8]) -> Result<Self, BatchError> {
        let header = Self::parse(bytes)?;
        let found = bytes.len();
        if found < header.len {
            return Err(BatchError::Truncated {
                needed: header.len,
                found,
            });
        }
        if found > header.len {
            return Err(BatchError::Trailing {
                expected: header.len,
                found,
            });
        }
        let computed = crc32c::crc32c(&bytes[CRC_FROM..]);
        if computed != header.crc {
            return Err(BatchError::Checksum {
                stored: header.crc,
                computed,
            });
        }
        Ok(header)
    }

    /// The offset after the last record.
    pub fn next_offset(&self) -> Offset {
        self.base_offset + u64::from(self.last_offset_delta) + 1
    }

    /// The compression codec: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    pub fn codec(&self) -> u8 {
        (self.attributes & COMPRESSION_MASK) as u8
    }

    /// Whether every record's timestamp is [`max_timestamp`](Self::max_timestamp).
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    /// Whether it belongs to a Kafka transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether it holds a transaction's marker instead of records.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    fn checked(self) -> Result<Self, BatchError> {
        let malformed = |at, what| Err(BatchError::Malformed { at, what });
        if self.len < HEADER_LEN {
            return malformed(8, "a length below the header's");
        }
        if self.count > self.last_offset_delta + 1 {
            return malformed(57, "more records than offsets");
        }
        if self.codec() == 0 && self.count as usize > (self.len - HEADER_LEN) / RECORD_LEN_MIN {
            return malformed(57, "more records than bytes for them");
        }
        Ok(self)
    }
}

fn field<const N: usize>(header: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    *header[at..].first_chunk().expect("every field lies in the header")
}

fn unsigned<S, U: TryFrom<S>>(value: S, at: usize, what: &'static str) -> Result<U, BatchError> {
    U::try_from(value).map_err(|_| BatchError::Malformed { at, what })
}

#[cfg(test)]
mod tests;
