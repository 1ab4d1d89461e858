//! One record in the layout of Kafka's RecordBatch v2: encoding its body ahead of time and viewing it without copying.
//! Its place in a batch is [`crate::batch`]'s business.

use crate::varint::{self, Cursor};
use bytes::Bytes;

/// The least a header takes: a length for its name and one for its value.
const HEADER_LEN_MIN: usize = 2;

/// A record's body, encoded by a door ahead of its place in a batch: everything of a RecordBatch v2 record after its offset
/// delta: `keyLength key valueLength value headerCount (headerKeyLength headerKey headerValueLength headerValue)*`, with
/// zigzag varints as lengths and -1 for null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedRecord(Bytes);

impl EncodedRecord {
    /// Encodes a record body. Header names are UTF-8; a header may repeat.
    ///
    /// # Panics
    ///
    /// When a part is 2 GiB or larger, which no door lets in.
    pub fn new<'a>(
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl ExactSizeIterator<Item = (&'a str, Option<&'a [u8]>)> + Clone,
    ) -> Self {
        let mut count = 0;
        let mut len = nullable_len(key) + nullable_len(value);
        for (name, value) in headers.clone() {
            count += 1;
            len += nullable_len(Some(name.as_bytes())) + nullable_len(value);
        }
        let count = length(count);
        len += varint::len(count);

        let mut out = Vec::with_capacity(len);
        put_nullable(&mut out, key);
        put_nullable(&mut out, value);
        varint::put(&mut out, count);
        for (name, value) in headers {
            put_nullable(&mut out, Some(name.as_bytes()));
            put_nullable(&mut out, value);
        }
        assert_eq!(out.len(), len, "the headers' iterator and its clone differ");
        Self(out.into())
    }

    /// Its encoded size in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has no bytes (it never has).
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The encoded body.
    #[inline]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Wraps bytes that [`as_bytes`](Self::as_bytes) or [`RecordView::body`] gave earlier (a parked row's payload, or
    /// `batch.bytes.slice_ref(view.body)` for a copy without copying); `None` if they do not parse to the last byte.
    pub fn from_bytes(bytes: Bytes) -> Option<Self> {
        let mut headers = Body::parse(&bytes)?.headers;
        while headers.left > 0 {
            let (name, _) = headers.parse_next()?;
            std::str::from_utf8(name).ok()?;
        }
        headers.rest.0.is_empty().then_some(Self(bytes))
    }

    /// A view of its parts, with offset and timestamp given by the caller.
    pub fn view(&self, offset: u64, timestamp: i64) -> RecordView<'_> {
        RecordView::parse(&self.0, offset, timestamp).expect("the constructors made sure that it parses")
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
    headers: Headers<'a>,
}

impl<'a> RecordView<'a> {
    /// Its headers in order, repeated ones included. A Kafka producer's headers are looked into here for the first time:
    /// what does not parse ends them, and a name that is not UTF-8 is passed over.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> + Clone + use<'a> {
        self.headers
    }

    #[inline]
    pub(crate) fn parse(body: &'a [u8], offset: u64, timestamp: i64) -> Option<Self> {
        let Body { key, value, headers } = Body::parse(body)?;
        Some(Self {
            offset,
            timestamp,
            key,
            value,
            body,
            headers,
        })
    }
}

/// The parts of a body, its headers unseen but for their count.
struct Body<'a> {
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Headers<'a>,
}

impl<'a> Body<'a> {
    #[inline]
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Cursor(bytes);
        let key = rest.nullable()?;
        let value = rest.nullable()?;
        let left = rest.size(bytes.len() / HEADER_LEN_MIN)?;
        (left <= rest.0.len() / HEADER_LEN_MIN).then_some(Self {
            key,
            value,
            headers: Headers { rest, left },
        })
    }
}

/// Headers still to be walked.
#[derive(Clone, Copy, Debug)]
struct Headers<'a> {
    rest: Cursor<'a>,
    left: usize,
}

impl<'a> Headers<'a> {
    #[inline]
    fn parse_next(&mut self) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        self.left = self.left.checked_sub(1)?;
        let header = self.rest.sized().zip(self.rest.nullable());
        if header.is_none() {
            self.left = 0;
        }
        header
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, Option<&'a [u8]>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (name, value) = self.parse_next()?;
            if let Ok(name) = std::str::from_utf8(name) {
                return Some((name, value));
            }
        }
    }
}

fn length(size: usize) -> i32 {
    i32::try_from(size).expect("a part of a record is below 2 GiB")
}

fn nullable_len(part: Option<&[u8]>) -> usize {
    match part {
        None => varint::len(-1),
        Some(bytes) => varint::len(length(bytes.len())) + bytes.len(),
    }
}

fn put_nullable(out: &mut Vec<u8>, part: Option<&[u8]>) {
    match part {
        None => varint::put(out, -1),
        Some(bytes) => {
            varint::put(out, length(bytes.len()));
            out.extend_from_slice(bytes);
        }
    }
}
