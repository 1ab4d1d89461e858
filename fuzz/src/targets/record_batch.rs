//! Batches as a Kafka producer or a damaged file may hand them over, and record bodies as a parked row may.
//!
//! A mutated batch almost never keeps its checksum, so the input is also walked with the checksum that it should have.

use super::Target;
use bytes::Bytes;
use journal::{
    EncodedRecord, RecordView, StoredBatch,
    batch::{BatchError, BatchHeader, HEADER_LEN, seal},
    records,
};
use std::hash::{DefaultHasher, Hash, Hasher};

pub(super) const TARGET: Target = Target {
    name: "record_batch",
    run,
    samples,
};

/// Where the checksum stands, and where the bytes begin that it covers.
const CRC: std::ops::Range<usize> = 17..21;

fn run(input: &[u8]) -> u64 {
    let mut ending = DefaultHasher::new();
    kind(&BatchHeader::verify(input).err()).hash(&mut ending);
    EncodedRecord::from_bytes(Bytes::copy_from_slice(input))
        .is_some()
        .hash(&mut ending);
    if input.len() >= HEADER_LEN {
        walk(summed(input), &mut ending);
    }
    ending.finish()
}

/// The input with the checksum that it should have.
fn summed(input: &[u8]) -> Bytes {
    let mut bytes = input.to_vec();
    let crc = crc32c::crc32c(&bytes[CRC.end..]);
    bytes[CRC].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

fn walk(bytes: Bytes, ending: &mut DefaultHasher) {
    let header = BatchHeader::verify(&bytes);
    let batch = StoredBatch { append_time: 0, bytes };
    let mut walk = records(&batch);
    let mut seen = 0_u64;
    let mut headers = 0;
    let mut next = 0;
    for record in walk.by_ref() {
        assert!(record.offset >= next, "offsets strictly increase");
        next = record.offset + 1;
        seen += 1;
        headers += record.headers().count();
        check(&batch, &record);
    }
    kind(&walk.error()).hash(ending);
    (seen.min(8), headers.min(8)).hash(ending);
    if let Ok(header) = header {
        assert!(seen <= u64::from(header.count) && next <= header.next_offset());
        assert!(walk.error().is_some() || header.is_control() || seen == u64::from(header.count));
    }
}

/// A record that is kept elsewhere is the same there, or is refused.
fn check(batch: &StoredBatch, record: &RecordView<'_>) {
    let Some(kept) = EncodedRecord::from_bytes(batch.bytes.slice_ref(record.body)) else {
        return;
    };
    let again = kept.view(record.offset, record.timestamp);
    assert_eq!((again.key, again.value), (record.key, record.value));
    assert!(again.headers().eq(record.headers()));
    let headers: Vec<_> = again.headers().collect();
    let shortest = EncodedRecord::new(again.key, again.value, headers.into_iter());
    assert!(
        shortest.len() <= kept.len(),
        "varints are written in their shortest form"
    );
}

/// The error without its figures.
fn kind(error: &Option<BatchError>) -> Option<(std::mem::Discriminant<BatchError>, &'static str)> {
    let error = error.as_ref()?;
    let what = match error {
        BatchError::Malformed { what, .. } => what,
        _ => "",
    };
    Some((std::mem::discriminant(error), what))
}

fn samples() -> Vec<Vec<u8>> {
    let repeated = [("a", Some(&b"1"[..])), ("a", None), ("", Some(b""))];
    let small = EncodedRecord::new(Some(b"key"), Some(b"value"), repeated.into_iter());
    let null = EncodedRecord::new(None, None, [].into_iter());
    let large = EncodedRecord::new(None, Some(&[7; 300]), [("h", Some(&[1; 200][..]))].into_iter());
    let bodies = [&small, &null, &large].map(|record| record.as_bytes().to_vec());
    let batches = [vec![small.clone()], vec![null, small.clone(), large], vec![small; 70]].map(|records| {
        let mut batch = Vec::new();
        seal(&mut batch, 1 << 40, 1_700_000_000_000, records.iter());
        batch
    });
    bodies.into_iter().chain(batches).collect()
}
