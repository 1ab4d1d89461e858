//! Golden bytes, the `kafka-protocol` crate as oracle in both directions, and hostile bytes.

use super::*;
use crate::{RecordView, StoredBatch};
use bytes::Bytes;
use kafka_protocol::{
    indexmap::IndexMap,
    protocol::StrBytes,
    records::{
        Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType as KafkaTime,
    },
};
use proptest::{collection::vec, option, prelude::*};

/// Key, value and headers.
type Parts = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

fn encode((key, value, headers): &Parts) -> EncodedRecord {
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
    EncodedRecord::new(key.as_deref(), value.as_deref(), headers)
}

fn parts(view: &RecordView<'_>) -> Parts {
    let headers = view
        .headers()
        .map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec)));
    (
        view.key.map(<[u8]>::to_vec),
        view.value.map(<[u8]>::to_vec),
        headers.collect(),
    )
}

fn seal_all(base_offset: Offset, append_time: AppendTime, records: &[EncodedRecord]) -> StoredBatch {
    let mut bytes = Vec::new();
    let len = seal(&mut bytes, base_offset, append_time, records.iter());
    assert_eq!((len, len), (bytes.len(), sealed_len(records.iter())));
    stored(bytes)
}

fn stored(bytes: Vec<u8>) -> StoredBatch {
    StoredBatch {
        append_time: 0,
        bytes: bytes.into(),
    }
}

/// Writes the checksum that the bytes should have.
fn resum(bytes: &mut [u8]) {
    let crc = crc32c::crc32c(&bytes[CRC_FROM..]);
    bytes[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
}

fn some(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(bytes.to_vec())
}

fn sample() -> Vec<Parts> {
    let large = vec![7; 1 << 20];
    let repeated = vec![
        ("ce_id".to_owned(), some(b"a")),
        ("ce_id".to_owned(), some(b"b")),
        ("null".to_owned(), None),
        (String::new(), some(b"")),
    ];
    vec![
        (None, None, vec![]),
        (some(b""), some(b""), vec![]),
        (some(b"key"), None, repeated),
        (None, Some(large), vec![("größe".to_owned(), some(&[0, 255]))]),
    ]
}

#[test]
fn a_sealed_batch_has_these_bytes() {
    let records = [
        encode(&(
            some(b"k"),
            some(b"v"),
            vec![("h".to_owned(), some(b"x")), ("n".to_owned(), None)],
        )),
        encode(&(None, some(b""), vec![])),
    ];
    let expected: &[&[u8]] = &[
        &[0, 0, 0, 0, 0, 0, 1, 0],             // base offset 256
        &[0, 0, 0, 72],                        // length: 49 + 16 + 7
        &[0, 0, 0, 0],                         // leader epoch
        &[2],                                  // magic
        &[0xd3, 0x39, 0x41, 0x49],             // checksum
        &[0, 8],                               // LogAppendTime
        &[0, 0, 0, 1],                         // last offset delta
        &[0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0], // base timestamp 1_700_000_000_000
        &[0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0], // max timestamp
        &[0xff; 14],                           // no producer
        &[0, 0, 0, 2],                         // count
        &[30, 0, 0, 0, 2, b'k', 2, b'v', 4, 2, b'h', 2, b'x', 2, b'n', 1],
        &[12, 0, 0, 2, 1, 0, 0],
    ];
    let batch = seal_all(256, 1_700_000_000_000, &records);
    assert_eq!(batch.bytes, expected.concat());
}

#[test]
fn records_come_back_as_they_went_in() {
    let sample = sample();
    let encoded: Vec<_> = sample.iter().map(encode).collect();
    let batch = seal_all(40, 1_000, &encoded);
    let header = BatchHeader::verify(&batch.bytes).unwrap();
    assert_eq!((header.base_offset, header.next_offset(), header.count), (40, 44, 4));
    assert_eq!(
        (header.producer_id, header.producer_epoch, header.base_sequence),
        (-1, -1, -1)
    );
    assert!(header.is_log_append_time() && !header.is_transactional() && !header.is_control());

    let mut walk = records(&batch);
    for (position, (expected, encoded)) in (40..).zip(sample.iter().zip(&encoded)) {
        let view = walk.next().unwrap();
        assert_eq!((view.offset, view.timestamp), (position, 1_000));
        assert_eq!(&parts(&view), expected);
        assert_eq!(view.body, encoded.as_bytes());
        let copy = EncodedRecord::from_bytes(batch.bytes.slice_ref(view.body)).unwrap();
        assert_eq!(&copy, encoded);
        assert_eq!(&parts(&copy.view(1, 2)), expected);
    }
    assert!(walk.next().is_none());
    assert_eq!(walk.error(), None);
}

#[test]
fn kafka_reads_what_is_sealed() {
    let mut sample = sample();
    // The oracle keeps headers in a map: the last of a name wins there.
    sample[2].2.remove(0);
    let batch = seal_all(7, 1_234, &sample.iter().map(encode).collect::<Vec<_>>());
    let decoded = RecordBatchDecoder::decode(&mut batch.bytes.clone()).unwrap().records;
    assert_eq!(decoded.len(), sample.len());
    for (offset, (record, expected)) in (7..).zip(decoded.iter().zip(&sample)) {
        assert_eq!((record.offset, record.timestamp), (offset, 1_234));
        assert_eq!(record.timestamp_type, KafkaTime::LogAppend);
        assert_eq!((record.producer_id, record.producer_epoch), (-1, -1));
        assert_eq!(&from_kafka(record), expected);
    }
}

fn from_kafka(record: &Record) -> Parts {
    let headers = record
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.as_ref().map(|v| v.to_vec())));
    (
        record.key.as_ref().map(|key| key.to_vec()),
        record.value.as_ref().map(|value| value.to_vec()),
        headers.collect(),
    )
}

/// What a Kafka producer would send: offsets, sequences and creation times of its own.
fn kafka_batch(sample: &[Parts]) -> StoredBatch {
    let records: Vec<_> = (0..)
        .zip(sample)
        .map(|(position, parts)| to_kafka(position, parts))
        .collect();
    let mut bytes = bytes::BytesMut::new();
    let options = RecordEncodeOptions {
        version: 2,
        compression: Compression::None,
    };
    RecordBatchEncoder::encode(&mut bytes, &records, &options).unwrap();
    stored(bytes.to_vec())
}

fn to_kafka(position: i32, (key, value, headers): &Parts) -> Record {
    let headers = headers
        .iter()
        .map(|(name, value)| (StrBytes::from_string(name.clone()), value.clone().map(Bytes::from)));
    Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 3,
        producer_id: 9,
        producer_epoch: 1,
        timestamp_type: KafkaTime::Creation,
        offset: 100 + i64::from(position),
        sequence: 5 + position,
        timestamp: 5_000 - i64::from(position) * 3,
        key: key.clone().map(Bytes::from),
        value: value.clone().map(Bytes::from),
        headers: headers.collect::<IndexMap<_, _>>(),
    }
}

#[test]
fn a_kafka_producers_batch_is_read() {
    let mut sample = sample();
    sample[2].2.remove(0);
    let batch = kafka_batch(&sample);
    let header = BatchHeader::verify(&batch.bytes).unwrap();
    assert_eq!((header.base_offset, header.next_offset(), header.count), (100, 104, 4));
    assert_eq!((header.leader_epoch, header.producer_id), (3, 9));
    assert_eq!((header.producer_epoch, header.base_sequence), (1, 5));
    assert!(!header.is_log_append_time());

    let views: Vec<_> = records(&batch).collect();
    let places: Vec<_> = views.iter().map(|view| (view.offset, view.timestamp)).collect();
    assert_eq!(places, [(100, 5_000), (101, 4_997), (102, 4_994), (103, 4_991)]);
    assert_eq!(views.iter().map(parts).collect::<Vec<_>>(), sample);
}

#[test]
fn a_compressed_batch_says_so_instead_of_passing_for_empty() {
    let mut bytes = kafka_batch(&sample()).bytes.to_vec();
    bytes[22] |= 4;
    resum(&mut bytes);
    let batch = stored(bytes);
    assert_eq!(BatchHeader::verify(&batch.bytes).unwrap().codec(), 4);
    let mut walk = records(&batch);
    assert!(walk.next().is_none());
    assert_eq!(walk.error(), Some(BatchError::Compressed { codec: 4 }));
}

#[test]
fn a_transactions_marker_is_not_a_record() {
    let mut bytes = kafka_batch(&sample()).bytes.to_vec();
    bytes[22] |= (CONTROL | TRANSACTIONAL) as u8;
    let batch = stored(bytes);
    let mut walk = records(&batch);
    assert!(walk.next().is_none());
    assert_eq!(walk.error(), None);
}

#[test]
fn any_flipped_bit_is_noticed_or_lies_before_the_checksum() {
    let batch = seal_all(1, 2, &[encode(&(some(b"key"), some(b"value"), vec![]))]);
    let good = BatchHeader::verify(&batch.bytes).unwrap();
    for bit in 0..batch.bytes.len() * 8 {
        let mut bytes = batch.bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        match BatchHeader::verify(&bytes) {
            Err(_) => {}
            Ok(header) => {
                // An engine's own checksum covers these: base offset and leader epoch.
                assert!(matches!(bit / 8, 0..8 | 12..16), "byte {} went unnoticed", bit / 8);
                assert_ne!(header, good);
            }
        }
    }
}

#[test]
fn every_cut_of_a_batch_is_refused() {
    let whole = seal_all(0, 0, &sample()[..3].iter().map(encode).collect::<Vec<_>>()).bytes;
    for len in 0..whole.len() {
        assert!(
            matches!(BatchHeader::verify(&whole[..len]), Err(BatchError::Truncated { .. })),
            "{len}"
        );
        assert!(Records::new(&whole[..len]).next().is_none());
    }
    let longer = [&whole[..], &[0]].concat();
    assert!(matches!(BatchHeader::verify(&longer), Err(BatchError::Trailing { .. })));
    assert_eq!(BatchHeader::parse(&longer), BatchHeader::parse(&whole));
}

#[test]
fn fields_that_contradict_each_other_are_refused() {
    let whole = seal_all(0, 0, &[encode(&sample()[0])]).bytes;
    for (at, value, what) in [
        (0, 0x80, "a negative base offset"),
        (8, 0x80, "a negative length"),
        (11, 48, "a length below the header's"),
        (23, 0x80, "a negative last offset"),
        (57, 0x80, "a negative record count"),
        (60, 2, "more records than offsets"),
    ] {
        let mut bytes = whole.to_vec();
        bytes[at] = value;
        match BatchHeader::parse(&bytes) {
            Err(BatchError::Malformed { what: found, .. }) => assert_eq!(found, what),
            other => panic!("{what}: {other:?}"),
        }
    }
    let mut bytes = whole.to_vec();
    bytes[26] = 9;
    bytes[60] = 2;
    assert!(matches!(
        BatchHeader::parse(&bytes),
        Err(BatchError::Malformed { at: 57, .. })
    ));
    bytes[16] = 1;
    assert_eq!(BatchHeader::parse(&bytes), Err(BatchError::Magic { found: 1 }));
}

#[test]
fn a_malformed_record_ends_the_walk_and_says_where() {
    let good = encode(&(None, some(b"v"), vec![]));
    let whole = seal_all(0, 0, &[good.clone(), good]).bytes;
    let second = HEADER_LEN + (whole.len() - HEADER_LEN) / 2;
    for (at, value) in [
        (second, 0x7f),     // negative length
        (second, 0x7e),     // beyond the end
        (second + 3, 0),    // offset delta of the first
        (second + 3, 4),    // beyond the last offset
        (second + 4, 3),    // key length -2
        (second + 5, 0x7e), // value beyond the end
        (second + 7, 2),    // a header that is not there
    ] {
        let mut bytes = whole.to_vec();
        bytes[at] = value;
        let batch = stored(bytes);
        let mut walk = records(&batch);
        assert_eq!(walk.by_ref().count(), 1, "byte {at} = {value}");
        assert!(
            matches!(walk.error(), Some(BatchError::Malformed { at, .. }) if at == second),
            "{:?}",
            walk.error()
        );
    }
}

#[test]
fn bytes_after_the_last_record_are_an_error() {
    let mut bytes = seal_all(0, 0, &[encode(&sample()[0])]).bytes.to_vec();
    bytes.push(0);
    bytes[11] += 1;
    let batch = stored(bytes);
    let mut walk = records(&batch);
    assert_eq!(walk.by_ref().count(), 1);
    assert!(matches!(walk.error(), Some(BatchError::Malformed { .. })));
}

#[test]
fn a_body_with_anything_wrong_in_it_is_not_wrapped() {
    let body = encode(&sample()[2]).as_bytes().to_vec();
    assert!(EncodedRecord::from_bytes(body.clone().into()).is_some());
    for len in 0..body.len() {
        assert!(
            EncodedRecord::from_bytes(body[..len].to_vec().into()).is_none(),
            "cut at {len}"
        );
    }
    assert!(EncodedRecord::from_bytes([&body[..], &[0]].concat().into()).is_none());
    assert!(
        EncodedRecord::from_bytes(Bytes::from_static(&[1, 1, 2, 2, 0xff, 1])).is_none(),
        "a name outside UTF-8"
    );
}

/// Enough for batches on both sides of every length that takes one varint byte more; the fuzz target goes on from there.
const CASES: u32 = 64;

fn any_parts() -> impl Strategy<Value = Parts> {
    let bytes = || option::of(vec(any::<u8>(), 0..200));
    (bytes(), bytes(), vec(("[a-zß_]{0,12}", bytes()), 0..6))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn any_records_survive(sample in vec(any_parts(), 1..80), base in 0..1_u64 << 62, time in 0..1_i64 << 45) {
        let encoded: Vec<_> = sample.iter().map(encode).collect();
        let batch = seal_all(base, time, &encoded);
        prop_assert!(BatchHeader::verify(&batch.bytes).is_ok());
        let views: Vec<_> = records(&batch).collect();
        prop_assert_eq!(views.iter().map(parts).collect::<Vec<_>>(), sample);
        prop_assert!(views.iter().map(|view| view.offset).eq(base..base + encoded.len() as u64));
        prop_assert!(views.iter().all(|view| view.timestamp == time));
    }

    #[test]
    fn sizes_add_up_record_by_record(sample in vec(any_parts(), 1..80)) {
        let encoded: Vec<_> = sample.iter().map(encode).collect();
        let sum: usize = (0..).zip(&encoded).map(|(position, record)| sealed_record_len(position, record)).sum();
        prop_assert_eq!(HEADER_LEN + sum, sealed_len(encoded.iter()));
    }

    #[test]
    fn hostile_bytes_end_in_an_error_never_a_panic(
        sample in vec(any_parts(), 1..6),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = seal_all(3, 4, &sample.iter().map(encode).collect::<Vec<_>>()).bytes.to_vec();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len() * 4).max(HEADER_LEN));
        resum(&mut bytes);
        let _ = BatchHeader::verify(&bytes);
        for view in Records::new(&bytes) {
            view.headers().for_each(drop);
            let _ = EncodedRecord::from_bytes(Bytes::copy_from_slice(view.body));
        }
    }

    #[test]
    fn arbitrary_bodies_never_panic(bytes in vec(any::<u8>(), 0..64)) {
        if let Some(record) = EncodedRecord::from_bytes(bytes.clone().into()) {
            let again = encode(&parts(&record.view(0, 0)));
            prop_assert!(again.len() <= bytes.len(), "varints are written in their shortest form");
        }
    }
}
