//! Walking the records of a batch, in offset order, without copying.

use super::{BatchError, BatchHeader, HEADER_LEN};
use crate::{Offset, RecordView, StoredBatch, varint::Cursor};

/// The records of one verified batch, in offset order. A compressed batch yields none and a malformed one ends early:
/// whoever must not lose a record asks [`Records::error`] afterwards.
pub fn records(batch: &StoredBatch) -> Records<'_> {
    Records::new(&batch.bytes)
}

/// Walks the records of a batch; see [`records`].
#[derive(Clone, Debug)]
pub struct Records<'a> {
    batch: &'a [u8],
    rest: Cursor<'a>,
    left: u32,
    base_offset: Offset,
    /// The least that the next offset delta may be.
    delta_min: u32,
    last_offset_delta: u32,
    timestamp: Timestamp,
    error: Option<BatchError>,
}

#[derive(Clone, Copy, Debug)]
enum Timestamp {
    OfBatch(i64),
    FromBase(i64),
}

impl<'a> Records<'a> {
    /// Walks the batch that `batch` is. Checks its header but not its checksum.
    pub fn new(batch: &'a [u8]) -> Self {
        match Self::start(batch) {
            Ok(records) => records,
            Err(error) => Self {
                batch,
                rest: Cursor(&[]),
                left: 0,
                base_offset: 0,
                delta_min: 0,
                last_offset_delta: 0,
                timestamp: Timestamp::OfBatch(0),
                error: Some(error),
            },
        }
    }

    /// Why it ended before the last record, if it did; meaningful once the iteration has ended.
    pub fn error(&self) -> Option<BatchError> {
        self.error
    }

    fn start(batch: &'a [u8]) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(batch)?;
        let content = batch.get(HEADER_LEN..header.len).ok_or(BatchError::Truncated {
            needed: header.len,
            found: batch.len(),
        })?;
        if header.codec() != 0 {
            return Err(BatchError::Compressed { codec: header.codec() });
        }
        Ok(Self {
            batch: &batch[..header.len],
            rest: Cursor(content),
            // A marker is for Kafka clients, not a record.
            left: if header.is_control() { 0 } else { header.count },
            base_offset: header.base_offset,
            delta_min: 0,
            last_offset_delta: header.last_offset_delta,
            timestamp: if header.is_log_append_time() {
                Timestamp::OfBatch(header.max_timestamp)
            } else {
                Timestamp::FromBase(header.base_timestamp)
            },
            error: None,
        })
    }

    #[inline]
    fn parse_next(&mut self) -> Result<RecordView<'a>, &'static str> {
        let mut content = Cursor(self.rest.sized().ok_or("a record beyond the end")?);
        let _attributes = content.byte().ok_or("a record without attributes")?;
        let timestamp_delta = content.varlong().ok_or("a broken timestamp delta")?;
        let delta = content.varint().ok_or("a broken offset delta")?;
        let delta = u32::try_from(delta).map_err(|_| "a negative offset delta")?;
        if delta < self.delta_min || delta > self.last_offset_delta {
            return Err("an offset delta out of order");
        }
        self.delta_min = delta + 1;
        let timestamp = match self.timestamp {
            Timestamp::OfBatch(timestamp) => timestamp,
            Timestamp::FromBase(base) => base.saturating_add(timestamp_delta),
        };
        RecordView::parse(content.0, self.base_offset + u64::from(delta), timestamp).ok_or("a broken record body")
    }

    #[cold]
    fn fail(&mut self, left: usize, what: &'static str) {
        let at = self.batch.len() - left;
        self.error = Some(BatchError::Malformed { at, what });
        self.left = 0;
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = RecordView<'a>;

    #[inline]
    fn next(&mut self) -> Option<RecordView<'a>> {
        self.left = self.left.checked_sub(1)?;
        let before = self.rest.0.len();
        let record = match self.parse_next() {
            Ok(record) => record,
            Err(what) => {
                self.fail(before, what);
                return None;
            }
        };
        if self.left == 0 && !self.rest.0.is_empty() {
            self.fail(self.rest.0.len(), "bytes after the last record");
        }
        Some(record)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left as usize))
    }
}

impl std::iter::FusedIterator for Records<'_> {}
