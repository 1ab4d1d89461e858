//! Records in the layout of Kafka's RecordBatch v2: encoding one record ahead of time, and walking stored batches without
//! copying. Sealing records into batches is the engine's.

use bytes::Bytes;

/// A record's body, encoded by a door ahead of its place in a batch: everything of a RecordBatch v2 record after its offset
/// delta: `keyLength key valueLength value headerCount (headerKeyLength headerKey headerValueLength headerValue)*`, with
/// zigzag varints as lengths and -1 for null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedRecord(Bytes);

impl EncodedRecord {
    /// Encodes a record body. Header names are UTF-8; a header may repeat.
    pub fn new<'a>(
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl ExactSizeIterator<Item = (&'a str, Option<&'a [u8]>)> + Clone,
    ) -> Self {
        let _ = (key, value, headers);
        unimplemented!("journal")
    }

    /// Its encoded size in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has no bytes (it never has).
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The encoded body.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Wraps bytes that [`as_bytes`](Self::as_bytes) gave earlier (a parked row's payload); `None` if they do not parse.
    pub fn from_bytes(bytes: Bytes) -> Option<Self> {
        let _ = bytes;
        unimplemented!("journal")
    }

    /// A view of its parts, with offset and timestamp given by the caller.
    pub fn view(&self, offset: u64, timestamp: i64) -> RecordView<'_> {
        let _ = (offset, timestamp);
        unimplemented!("journal")
    }
}

/// One stored record, borrowed from its batch. Cheap to make: headers are parsed when iterated.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    /// Its offset.
    pub offset: u64,
    /// Its Kafka timestamp in milliseconds.
    pub timestamp: i64,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    /// The encoded record body (what [`EncodedRecord::as_bytes`] gave), for keeping it elsewhere.
    pub body: &'a [u8],
    /// The encoded headers after their count, and the count.
    headers: (&'a [u8], usize),
}

impl<'a> RecordView<'a> {
    /// Its headers in order, repeated ones included.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> + Clone + use<'a> {
        let _ = self.headers;
        std::iter::empty()
    }
}

/// The records of one verified batch, in offset order.
pub fn records(batch: &crate::StoredBatch) -> impl Iterator<Item = RecordView<'_>> {
    let _ = batch;
    std::iter::empty()
}
