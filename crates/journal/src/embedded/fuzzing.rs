//! Doors for the fuzz targets: each reads bytes as one of the files a start finds, and panics when something does not hold.
//! Inputs are read as they are, and again with the checksums that they should have, because a mutated file never keeps its
//! own. For tests only.

use super::{
    checkpoint::{Checkpoint, CheckpointPartition},
    disk::{Disk, File, SimulatedDisk},
    format::{Layout, PAGE, PutFields},
    frame::{self, Epoch, FrameHeader, HEADER_LEN},
    index::SparseIndex,
    partition::SegmentState,
    replay,
    run::{Covered, Identified, Probe, Run},
    segment::{self, ENTRY_LEN, Entry, FRONT_LEN, Walk},
    write_ahead::{self, EpochHeader},
};
use crate::{EncodedRecord, Error, Identity, PartitionId, TopicId, batch};
use std::path::Path;

const PARTITION: PartitionId = PartitionId {
    topic: TopicId { bus: 1, topic: 2 },
    index: 3,
};
const EPOCH: Epoch = Epoch {
    number: 3,
    salt: 0xa1a2,
};
/// The segment's base offset, and the sequence before the first frame.
const BASE: u64 = 40;

fn layout() -> Layout {
    Layout::new(Path::new("d"))
}

/// A disk with this file on it.
fn disk_with(directory: &Path, path: &Path, bytes: Vec<u8>) -> (Disk, File) {
    let simulated = SimulatedDisk::new(1);
    let disk = Disk::Simulated(simulated.clone());
    disk.create_directory(directory).expect("the disk is sound");
    let file = disk.create(path).expect("the disk is sound");
    simulated.overwrite(path, bytes);
    (disk, file)
}

fn set_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))
}

/// The same bytes with a good CRC-32C at their end.
fn resealed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes[..bytes.len().saturating_sub(4)].to_vec();
    bytes.seal();
    bytes
}

/// Reads the frames of a write-ahead file whose first page is good. Returns how many there are, raw and with good checksums.
pub fn frames(bytes: &[u8]) -> (usize, usize) {
    (replayed(bytes.to_vec()), replayed(summed_frames(bytes)))
}

fn replayed(frames: Vec<u8>) -> usize {
    let header = EpochHeader {
        epoch: EPOCH,
        checkpointed: BASE,
    };
    let mut bytes = header.encode();
    bytes.resize(PAGE as usize, 0);
    bytes.extend_from_slice(&frames);
    let path = layout().write_ahead().join("000000.frames");
    let (disk, _) = disk_with(&layout().write_ahead(), &path, bytes);
    let found = write_ahead::find(&disk, &layout()).expect("the disk is sound");
    let (mut count, mut last) = (0, None);
    let outcome = replay::frames(&found, None, 0, |frame| {
        assert!(
            last.is_none_or(|last: u64| last + 1 == frame.header.sequence),
            "no frame is passed over"
        );
        last = Some(frame.header.sequence);
        count += 1;
        let mut end = HEADER_LEN;
        for batch in &frame.batches {
            assert!(batch.bytes.start >= end && batch.bytes.end <= frame.bytes.len());
            end = batch.bytes.end;
        }
        Ok(())
    });
    assert!(matches!(outcome, Ok(_) | Err(Error::Corrupt { .. })));
    count
}

/// Gives what looks like a frame on each page the checksum it should have.
fn summed_frames(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for start in (0..bytes.len()).step_by(PAGE as usize) {
        let page = &mut bytes[start..];
        let Some((header, _)) = FrameHeader::peek_any(page) else {
            continue;
        };
        let Some(frame) = page.get_mut(..HEADER_LEN + header.body_len) else {
            continue;
        };
        frame[32..40].copy_from_slice(&EPOCH.number.to_le_bytes());
        let crc = frame::header_checksum(frame, EPOCH.salt);
        set_u32(frame, HEADER_LEN - 8, crc);
        let crc = frame::checksum(frame, EPOCH.salt);
        set_u32(frame, HEADER_LEN - 4, crc);
    }
    bytes
}

/// Two frames as they are written.
pub fn frames_samples() -> Vec<Vec<u8>> {
    let one = |sequence, copies| {
        let mut out = vec![0; HEADER_LEN];
        for value in ["a", "b"] {
            frame::put_span(&mut out, PARTITION);
            let (start, batch) = (out.len(), one_batch(BASE, value));
            out.extend_from_slice(&batch);
            frame::set_batch_len(&mut out, start, batch.len());
        }
        (0..copies).for_each(|record| frame::put_copy(&mut out, 1, record));
        let header = FrameHeader {
            sequence,
            durable_through: sequence - 1,
            append_time: 1_000,
            body_len: out.len() - HEADER_LEN,
            batches: 2,
            copies,
        };
        let body_crc = frame::body_checksum(&out[frame::HEADER_LEN..]);
        frame::finish(&mut out, 0, EPOCH, header, body_crc);
        out
    };
    vec![one(BASE + 1, 0), [one(BASE + 1, 1), one(BASE + 2, 0)].concat()]
}

fn one_batch(offset: u64, value: &str) -> Vec<u8> {
    let record = EncodedRecord::new(None, Some(value.as_bytes()), std::iter::empty());
    let mut bytes = Vec::new();
    batch::seal(&mut bytes, offset, 1_000, [&record].into_iter());
    bytes
}

/// Walks a segment. Returns its good entries before damage and past it, raw and with good checksums.
pub fn segment(bytes: &[u8]) -> [(usize, usize); 2] {
    [walked(bytes.to_vec()), walked(summed_entries(bytes))]
}

fn walked(bytes: Vec<u8>) -> (usize, usize) {
    let len = bytes.len() as u64;
    let path = layout().topic(PARTITION.topic).join("s");
    let (_, file) = disk_with(&layout().topic(PARTITION.topic), &path, bytes);
    let before = positions(|| Walk::from_front(&file, BASE, len), |walk| walk.next().ok().flatten());
    let good = positions(
        || Walk::from_front(&file, BASE, len),
        |walk| walk.next_good().expect("the disk is sound"),
    );
    assert!(good.starts_with(&before), "what is good is good past damage, too");
    assert!(good.last().is_none_or(|last| *last < len));
    let index = segment::rebuild_index(&file, BASE, len).expect("the disk is sound");
    assert_eq!(index.first_position(), good.first().copied());
    (before.len(), good.len())
}

/// Where the entries begin that a walk gives, which are the same however little is read at once.
fn positions<'a>(from: impl Fn() -> Walk<'a>, mut next: impl FnMut(&mut Walk<'a>) -> Option<Entry>) -> Vec<u64> {
    let mut all = |mut walk: Walk<'a>| {
        let (mut positions, mut end, mut offset) = (Vec::new(), 0, BASE);
        while let Some(entry) = next(&mut walk) {
            assert!(
                entry.position >= end && entry.header.base_offset >= offset,
                "entries do not overlap"
            );
            (end, offset) = (entry.end(), entry.header.next_offset());
            positions.push(entry.position);
        }
        positions
    };
    let positions = all(from());
    assert_eq!(positions, all(from().reading(16)));
    positions
}

/// Gives every entry, and the batch in it, the checksums they should have, as far as the lengths lead.
fn summed_entries(bytes: &[u8]) -> Vec<u8> {
    const BATCH_CRC: usize = 17;
    let mut bytes = bytes.to_vec();
    let mut at = FRONT_LEN as usize;
    while let Some(len) = u32_at(&bytes, at + 8) {
        let Some(entry) = bytes.get_mut(at..at + ENTRY_LEN + len as usize) else {
            break;
        };
        let (head, batch) = entry.split_at_mut(ENTRY_LEN);
        if batch.len() > BATCH_CRC + 4 {
            let crc = crc32c::crc32c(&batch[BATCH_CRC + 4..]);
            batch[BATCH_CRC..BATCH_CRC + 4].copy_from_slice(&crc.to_be_bytes());
        }
        let guarded = &batch[..batch.len().min(BATCH_CRC + 4)];
        let crc = crc32c::crc32c_append(crc32c::crc32c(&head[..12]), guarded);
        set_u32(head, 12, crc);
        at += ENTRY_LEN + len as usize;
    }
    bytes
}

/// A segment of three batches.
pub fn segment_samples() -> Vec<Vec<u8>> {
    let mut bytes = segment::encode_front(PARTITION, BASE);
    for (offset, value) in [(BASE, "a"), (BASE + 1, "bcd"), (BASE + 9, "")] {
        segment::put_entry(&mut bytes, 1_000, &one_batch(offset, value));
    }
    vec![bytes]
}

/// Reads a checkpoint, and a segment's index. Returns what they were, raw and with good checksums.
pub fn checkpoint(bytes: &[u8]) -> [Option<usize>; 4] {
    let sealed = resealed(bytes);
    let read = |bytes: &[u8]| {
        let checkpoint = Checkpoint::decode(bytes)?;
        assert_eq!(Checkpoint::decode(&checkpoint.encode()).as_ref(), Some(&checkpoint));
        Some(checkpoint.runs.len() + checkpoint.partitions.len())
    };
    let index = |bytes: &[u8]| {
        let index = SparseIndex::decode(bytes, PARTITION, BASE)?;
        assert_eq!(index.encode(PARTITION, BASE), bytes);
        Some(usize::from(index.first_position().is_some()))
    };
    [read(bytes), read(&sealed), index(bytes), index(&sealed)]
}

/// A checkpoint, and an index.
pub fn checkpoint_samples() -> Vec<Vec<u8>> {
    let state = SegmentState {
        base: BASE,
        next: BASE + 3,
        bytes: 700,
        newest: 999,
        sealed: true,
        sparse: SparseIndex::default(),
    };
    let partition = CheckpointPartition {
        id: PARTITION,
        start: BASE,
        next: BASE + 3,
        segments: vec![state.clone(), state],
    };
    let checkpoint = Checkpoint {
        sequence: 9,
        needed_from: 2,
        append_time: 1_000,
        runs: vec![4, 5],
        partitions: vec![partition.clone(), partition],
    };
    let mut index = SparseIndex::default();
    for place in 0..3 {
        index.add(segment_mark(place));
    }
    vec![checkpoint.encode(), index.encode(PARTITION, BASE)]
}

fn segment_mark(place: u64) -> super::index::Mark {
    super::index::Mark {
        offset: BASE + place,
        append_time: 1_000,
        position: FRONT_LEN + place * super::index::INTERVAL,
    }
}

/// Reads an identity run. Returns how many identities it gives back, raw and with good checksums.
pub fn identity_run(bytes: &[u8]) -> [Option<usize>; 2] {
    [bytes.to_vec(), summed_run(bytes)].map(read_run)
}

fn read_run(bytes: Vec<u8>) -> Option<usize> {
    let (disk, _) = disk_with(&layout().identities(), &layout().run(1), bytes);
    let run = Run::open(&disk, &layout(), 1).ok()?;
    let file = run.open_file(&disk).expect("it was opened before");
    let (filter, all) = (run.filter(&file), run.read_all(&disk));
    for lookup in [0, 7, u64::MAX] {
        let found = run.find(&disk, PARTITION.topic.bus, lookup);
        let filtered = filter
            .as_ref()
            .map(|filter| run.find_filtered(&file, filter, &Probe::new(PARTITION.topic.bus, lookup)));
        if let (Ok(found), Ok(Ok(filtered))) = (found, filtered) {
            assert_eq!(found, filtered);
            assert!(all.as_ref().is_ok_and(|all| found.iter().all(|one| all.contains(one))) || all.is_err());
        }
    }
    all.ok().map(|all| all.len())
}

/// Gives the head, the ranges, every filter block and every page the checksum they should have.
fn summed_run(bytes: &[u8]) -> Vec<u8> {
    const HEAD_LEN: usize = 44;
    let mut bytes = bytes.to_vec();
    let (Some(ranges), Some(blocks)) = (u32_at(&bytes, 32), u32_at(&bytes, 36)) else {
        return bytes;
    };
    let mut at = 0_usize;
    let pieces = [HEAD_LEN, (ranges as usize).saturating_mul(28).saturating_add(4)];
    let blocks = std::iter::repeat_n(64, blocks as usize);
    for len in pieces.into_iter().chain(blocks).chain(std::iter::repeat(PAGE as usize)) {
        let Some(piece) = bytes.get_mut(at..at.saturating_add(len)) else {
            break;
        };
        let crc = crc32c::crc32c(&piece[..len - 4]);
        set_u32(piece, len - 4, crc);
        at += len;
    }
    bytes
}

/// A run of a hundred identities.
pub fn identity_run_samples() -> Vec<Vec<u8>> {
    let identities = |count: u64| {
        (0..count).map(|place| Identified {
            partition: PARTITION,
            offset: place,
            append_time: 1_000,
            identity: Identity {
                lookup: place / 2,
                unique: u128::from(place),
            },
            primary: true,
        })
    };
    let covered = vec![Covered {
        partition: PARTITION,
        from: 0,
        to: 100,
    }];
    let written = |count| {
        let (disk, _) = disk_with(&layout().identities(), &layout().run(2), Vec::new());
        Run::write(&disk, &layout(), 1, identities(count).collect(), covered.clone()).expect("the disk is sound");
        disk.read(&layout().run(1)).expect("it was written")
    };
    vec![written(100), written(3)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_whole() {
        assert_eq!(
            frames_samples().iter().map(|bytes| frames(bytes)).collect::<Vec<_>>(),
            [(1, 1), (2, 2)]
        );
        assert_eq!(segment(&segment_samples()[0]), [(3, 3); 2]);
        assert_eq!(checkpoint(&checkpoint_samples()[0]), [Some(4), Some(4), None, None]);
        assert_eq!(checkpoint(&checkpoint_samples()[1]), [None, None, Some(1), Some(1)]);
        assert_eq!(identity_run(&identity_run_samples()[0]), [Some(100); 2]);
    }

    #[test]
    fn what_has_lost_its_checksums_gets_them_back() {
        let changed = |samples: Vec<Vec<u8>>, at| {
            let mut bytes = samples.into_iter().next().expect("there is one");
            bytes[at] ^= 1;
            bytes
        };
        assert_eq!(frames(&changed(frames_samples(), 16)), (0, 1));
        assert_eq!(segment(&changed(segment_samples(), 32)), [(0, 2), (3, 3)]);
        assert_eq!(
            checkpoint(&changed(checkpoint_samples(), 8)),
            [None, Some(4), None, None]
        );
        assert_eq!(identity_run(&changed(identity_run_samples(), 24)), [None, Some(100)]);
    }
}
