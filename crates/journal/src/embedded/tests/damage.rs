//! Damaged, cut and missing files: what is wrong is found by a checksum, wrong bytes are never served, what can be rebuilt
//! is, and everything else is served.
//!
//! Checks 4, 8 and 9 of the project's list.

use super::{small, tier};
use crate::{
    Append, Deduplicate, EncodedRecord, Entry, Error, Health, Journal, Offset, PartitionId, TopicId, conformance,
    embedded::{
        Clock, Disk, Drive, Embedded, Fault, ManualClock, Operation, Randomness, Settings, SimulatedDisk, doctor,
    },
    records,
};
use std::{
    collections::BTreeMap,
    future::Future,
    path::{Path, PathBuf},
    pin::pin,
    task::{Context, Poll, Waker},
};

pub(super) const TOPIC: TopicId = TopicId { bus: 1, topic: 1 };
const PARTITIONS: u32 = 2;

type Files = Vec<(PathBuf, Vec<u8>)>;
pub(super) type Content = BTreeMap<(PartitionId, Offset), Vec<u8>>;

pub(super) fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it should be done"),
    }
}

pub(super) fn open(disk: &SimulatedDisk) -> Result<Embedded, Error> {
    let settings = Settings {
        clock: Clock::Manual(ManualClock::new(1_700_000_000_000)),
        disk: Disk::Simulated(disk.clone()),
        randomness: Randomness::Seeded(1),
        drive: Drive::Steps,
        ..small("data")
    };
    Embedded::open(settings, &[(TOPIC, PARTITIONS)])
}

pub(super) fn append(journal: &Embedded, number: u64) -> ((PartitionId, Offset), Vec<u8>) {
    let partition = PartitionId {
        topic: TOPIC,
        index: (number % u64::from(PARTITIONS)) as u32,
    };
    let mut value = number.to_be_bytes().to_vec();
    value.resize(400, number as u8);
    let id = number.to_be_bytes();
    let record = EncodedRecord::new(None, Some(&value), [("id", Some(id.as_slice()))].into_iter());
    let identity = conformance::identify(TOPIC, &record.view(0, 0)).map(|(identity, _)| identity);
    let append = Append {
        entries: vec![Entry {
            identity,
            deduplicate: Deduplicate::No,
            records: vec![(partition, record)],
        }],
    };
    let durable = journal.append(append).unwrap();
    while journal.step() {}
    let appended = now(durable).unwrap();
    ((partition, appended[0].position.offset), value)
}

/// A journal with closed segments, a checkpoint, a run, and frames behind it.
fn written(records: u64) -> (SimulatedDisk, Content) {
    let disk = SimulatedDisk::new(1);
    let journal = open(&disk).unwrap();
    let content = (0..records).map(|number| append(&journal, number)).collect();
    drop(journal);
    (disk.kill_process(), content)
}

/// What can be read, and how many ranges could not.
pub(super) fn read(journal: &Embedded) -> (Content, usize) {
    let mut content = Content::new();
    let mut damaged = 0;
    for partition in journal.partitions() {
        let bounds = journal.bounds(partition).unwrap();
        let mut from = bounds.start;
        while from < bounds.high_water {
            match now(journal.read(partition, from, 4_000)) {
                Ok(chunk) => {
                    for record in chunk
                        .batches
                        .iter()
                        .flat_map(records)
                        .filter(|record| record.offset >= from)
                    {
                        content.insert((partition, record.offset), record.value.unwrap().to_vec());
                    }
                    from = chunk.next;
                }
                Err(Error::Damaged(damage)) => {
                    assert!((damage.from..damage.to).contains(&from), "{damage:?} holds {from}");
                    damaged += 1;
                    from = damage.to;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    (content, damaged)
}

fn file_names(disk: &SimulatedDisk) -> Vec<PathBuf> {
    let files = disk.files().into_iter();
    files
        .filter(|path| path.file_name().is_some_and(|name| name != "lock"))
        .collect()
}

fn bytes_of(disk: &SimulatedDisk, path: &Path) -> Vec<u8> {
    Disk::Simulated(disk.clone()).read(path).unwrap()
}

fn is_write_ahead(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "frames")
}

/// Check 8: one flipped bit anywhere in a closed file is found; wrong bytes are never served; other partitions serve.
#[test]
fn a_flipped_bit_is_found_and_never_served_check_8() {
    let (disk, content) = written(300);
    let files: Vec<_> = file_names(&disk)
        .into_iter()
        .filter(|path| !is_write_ahead(path))
        .collect();
    let originals: Vec<_> = files.iter().map(|path| (path.clone(), bytes_of(&disk, path))).collect();
    assert!(
        files
            .iter()
            .any(|path| path.extension().is_some_and(|extension| extension == "run"))
    );
    assert!(
        files
            .iter()
            .any(|path| path.extension().is_some_and(|extension| extension == "index"))
    );
    let mut random = 7_u64;
    for _ in tier::seeds(150) {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let (path, good) = &originals[(random >> 33) as usize % originals.len()];
        let at = (random >> 20) as usize % good.len();
        let (disk, _) = restored(&originals);
        let mut bad = good.clone();
        bad[at] ^= 1 << (random >> 60 & 7);
        disk.overwrite(path, bad);
        flipped(&disk, path, at, &content);
    }
}

/// A disk with these files only.
fn restored(files: &[(PathBuf, Vec<u8>)]) -> (SimulatedDisk, Disk) {
    let simulated = SimulatedDisk::new(2);
    let disk = Disk::Simulated(simulated.clone());
    for (path, bytes) in files {
        disk.create_directory(path.parent().unwrap()).unwrap();
        disk.create(path).unwrap().write_all_at(bytes, 0).unwrap();
    }
    (simulated, disk)
}

fn flipped(disk: &SimulatedDisk, path: &Path, at: usize, content: &Content) {
    let place = format!("{} byte {at}", path.display());
    let report = doctor::examine_on(&Disk::Simulated(disk.clone()), Path::new("data")).unwrap();
    let named = report
        .findings
        .iter()
        .any(|finding| finding.file == path.display().to_string());
    assert!(named, "{place}: the doctor names the file: {report:?}");
    let journal = match open(disk) {
        Ok(journal) => journal,
        Err(error) => {
            assert!(path.ends_with("format"), "{place}: {error}");
            return;
        }
    };
    let (found, _) = read(&journal);
    for (at, value) in &found {
        assert_eq!(content.get(at), Some(value), "{place}: wrong bytes at {at:?}");
    }
    if path.extension().is_some_and(|extension| extension == "segment") {
        assert!(!journal.damage().is_empty(), "{place}: the damage is reported");
        assert!(journal.stats().damaged > 0);
        let other = content.keys().filter(|(partition, _)| {
            let directory = format!("data/topics/1-1/{}/", partition.index);
            !path.display().to_string().starts_with(&directory)
        });
        assert!(
            other.into_iter().all(|at| found.contains_key(at)),
            "{place}: other partitions serve"
        );
    } else {
        assert_eq!(&found, content, "{place}: nothing is lost");
        find_all(&journal, content, &place);
    }
}

fn find_all(journal: &Embedded, content: &Content, place: &str) {
    for (at, value) in content.iter().step_by(17) {
        let number = value.first_chunk::<8>().unwrap().as_slice();
        let record = EncodedRecord::new(None, None, [("id", Some(number))].into_iter());
        let (identity, _) = conformance::identify(TOPIC, &record.view(0, 0)).unwrap();
        let found = now(journal.find(TOPIC.bus, identity.lookup, 5)).unwrap();
        let there = found
            .iter()
            .any(|position| (position.partition, position.offset) == *at);
        assert!(there, "{place}: {at:?} is found by its identity");
    }
}

/// Check 9: any file but segments and write-ahead files may be missing or cut, and everything is there.
#[test]
fn missing_and_cut_files_are_rebuilt_check_9() {
    let (disk, content) = written(300);
    let originals: Vec<_> = file_names(&disk)
        .iter()
        .map(|path| (path.clone(), bytes_of(&disk, path)))
        .collect();
    for (path, good) in &originals {
        if is_write_ahead(path) || path.extension().is_some_and(|extension| extension == "segment") {
            continue;
        }
        let place = path.display().to_string();
        let (simulated, disk) = restored(&originals);
        disk.remove(path).unwrap();
        drop(disk);
        let journal = open(&simulated).unwrap_or_else(|error| panic!("{place}: {error}"));
        assert_eq!(read(&journal), (content.clone(), 0), "{place} missing");
        find_all(&journal, &content, &place);
        drop(journal);
        if path.ends_with("format") {
            continue;
        }
        let (simulated, _) = restored(&originals);
        simulated.overwrite(path, good[..good.len() / 2].to_vec());
        let journal = open(&simulated).unwrap_or_else(|error| panic!("{place}: {error}"));
        assert_eq!(read(&journal), (content.clone(), 0), "{place} cut");
        find_all(&journal, &content, &place);
    }
}

/// Check 9: a missing segment is a damaged range; its topic and all else stay.
#[test]
fn a_missing_segment_is_a_damaged_range_check_9() {
    let (simulated, content) = written(300);
    let disk = Disk::Simulated(simulated.clone());
    let segments: Vec<_> = file_names(&simulated)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "segment"))
        .collect();
    disk.remove(&segments[1]).unwrap();
    let journal = open(&simulated).unwrap();
    let (found, damaged) = read(&journal);
    assert_eq!(damaged, 1);
    assert!(found.len() < content.len() && found.len() > content.len() / 2);
    let (at, value) = append(&journal, 1_000);
    assert_eq!(read(&journal).0.get(&at), Some(&value), "writing goes on");
}

/// The write-ahead file in use, where its frames end, and everything else, after some frames without a checkpoint.
fn unsynced_tail() -> (Files, PathBuf, Vec<usize>, Content) {
    let disk = SimulatedDisk::new(1);
    let journal = open(&disk).unwrap();
    let content = (0..6).map(|number| append(&journal, number)).collect();
    let disk = disk.kill_process();
    let files: Vec<_> = file_names(&disk)
        .iter()
        .map(|path| (path.clone(), bytes_of(&disk, path)))
        .collect();
    drop(journal);
    let holds_frames = |bytes: &Vec<u8>| bytes.get(4_096..4_100) == Some(b"TLFR");
    let (path, bytes) = files
        .iter()
        .find(|(path, bytes)| is_write_ahead(path) && holds_frames(bytes))
        .unwrap();
    let starts = (1..bytes.len() / 4_096).map(|page| page * 4_096);
    let frames = starts.filter(|at| bytes.get(*at..at + 4) == Some(b"TLFR")).collect();
    (files.clone(), path.clone(), frames, content)
}

/// Check 4: the tail cut, zeroed or overwritten at every byte of the last frame: everything before it is there.
#[test]
fn a_torn_tail_at_every_byte_loses_the_last_frame_at_most_check_4() {
    let (files, path, frames, content) = unsynced_tail();
    let good = &files.iter().find(|(name, _)| *name == path).unwrap().1;
    let last = *frames.last().unwrap();
    let step = if std::env::var_os("TRUNKLINE_SEEDS").is_some() {
        1
    } else {
        3
    };
    for at in (last..last + 620).step_by(step) {
        for fill in [None, Some(0), Some(0xa5)] {
            let (simulated, _) = restored(&files);
            let mut bad = good.clone();
            match fill {
                None => bad.truncate(at),
                Some(byte) => bad[at..].fill(byte),
            }
            let whole = bad.get(last..last + 4_096) == Some(&good[last..last + 4_096]);
            simulated.overwrite(&path, bad);
            let journal = open(&simulated).unwrap_or_else(|error| panic!("byte {at}, {fill:?}: {error}"));
            let (found, damaged) = read(&journal);
            assert_eq!(damaged, 0);
            let missing = content.len() - found.len();
            assert!(
                missing <= usize::from(!whole),
                "byte {at}, {fill:?}: {missing} records are missing"
            );
            assert!(found.iter().all(|(at, value)| content.get(at) == Some(value)));
        }
    }
}

/// Check 8 for frames: a broken frame that a later one proves durable is corruption, and the start says where.
#[test]
fn a_broken_frame_before_a_good_one_is_refused_with_its_place_check_8() {
    let (files, path, frames, _) = unsynced_tail();
    for frame in &frames[..frames.len() - 1] {
        for at in (*frame..*frame + 550).step_by(41) {
            let (simulated, disk) = restored(&files);
            let mut bad = bytes_of(&simulated, &path);
            bad[at] ^= 0x08;
            simulated.overwrite(&path, bad);
            let report = doctor::examine_on(&disk, Path::new("data")).unwrap();
            assert!(!report.is_healthy(), "the doctor sees it");
            match open(&simulated) {
                Err(Error::Corrupt { file, position, .. }) => {
                    assert_eq!((Path::new(&file), position as usize), (path.as_path(), *frame));
                }
                other => panic!("byte {at}: {:?}", other.map(|_| ())),
            }
        }
    }
}

/// Check 8 for the first page: frames behind a damaged first page are not forgotten silently.
#[test]
fn a_damaged_first_page_of_needed_frames_is_refused_check_8() {
    let (files, path, _, _) = unsynced_tail();
    for at in 0..36 {
        let (simulated, _) = restored(&files);
        let mut bad = bytes_of(&simulated, &path);
        bad[at] ^= 0x01;
        simulated.overwrite(&path, bad);
        assert!(matches!(open(&simulated), Err(Error::Corrupt { .. })), "byte {at}");
    }
}

/// Check 8: without the checkpoint, a broken frame of a file that was checkpointed and used since then is no loss, and one that
/// may be is refused: nothing is missing without a word.
#[test]
fn a_broken_frame_is_refused_only_if_it_may_be_lost_check_8() {
    let (disk, content) = written(300);
    let files = all_files(&disk);
    let (mut served, mut refused) = (0, 0);
    for (path, good) in files.iter().filter(|(path, _)| is_write_ahead(path)) {
        let frames = (1..good.len() / 4_096).map(|page| page * 4_096);
        for frame in frames.filter(|at| good.get(*at..at + 4) == Some(b"TLFR")).step_by(3) {
            let kept: Files = files
                .iter()
                .filter(|(path, _)| !path.ends_with("checkpoint"))
                .cloned()
                .collect();
            let (simulated, disk) = restored(&kept);
            let mut bad = good.clone();
            bad[frame + 100] ^= 1;
            simulated.overwrite(path, bad);
            let place = format!("{} byte {frame}", path.display());
            let report = doctor::examine_on(&disk, Path::new("data")).unwrap();
            match open(&simulated) {
                Ok(journal) => {
                    served += 1;
                    assert!(report.is_healthy(), "{place}: {report:?}");
                    loses_at_most(0, &journal, &content, &place);
                }
                Err(Error::Corrupt { .. }) => {
                    refused += 1;
                    assert!(!report.is_healthy(), "{place}: the doctor sees it");
                }
                Err(error) => panic!("{place}: {error}"),
            }
        }
    }
    assert!(served > 0 && refused > 0, "{served} and {refused}");
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "segment")
}

/// All files with their bytes.
fn all_files(disk: &SimulatedDisk) -> Files {
    let files = file_names(disk).into_iter();
    files
        .map(|path| {
            let bytes = bytes_of(disk, &path);
            (path, bytes)
        })
        .collect()
}

/// Reads all; everything of `content` but `lost` records at most is there, and is found.
fn loses_at_most(lost: usize, journal: &Embedded, content: &Content, place: &str) {
    let (found, _) = read(journal);
    let good = content
        .iter()
        .filter(|(at, value)| found.get(at) == Some(value))
        .count();
    assert_eq!(good, found.len(), "{place}: nothing wrong is served");
    assert!(
        good + lost >= content.len(),
        "{place}: {good} of {} are left",
        content.len()
    );
    find_all(journal, &found, place);
}

/// Check 8: a flipped bit in a segment, and the checkpoint or the frames lost as well: one batch is lost, and no byte else.
#[test]
fn a_flipped_bit_costs_its_batch_only_even_without_checkpoint_and_frames_check_8() {
    let (disk, content) = written(300);
    let files = all_files(&disk);
    let segments = files.iter().filter(|(path, _)| is_segment(path));
    for (place, (path, good)) in segments.enumerate() {
        for (checkpoint, frames) in [(true, true), (false, true), (true, false), (false, false)] {
            let kept: Files = files
                .iter()
                .filter(|(path, _)| (checkpoint || !path.ends_with("checkpoint")) && (frames || !is_write_ahead(path)))
                .cloned()
                .collect();
            let (simulated, _) = restored(&kept);
            let mut bad = good.clone();
            // Sometimes in the length of an entry, sometimes in a record.
            let at = good.len() / 2 + place * 97 % 500;
            bad[at] ^= 0x10;
            simulated.overwrite(path, bad);
            let case = format!("{} byte {at}, {checkpoint}, {frames}", path.display());
            let journal = open(&simulated).unwrap_or_else(|error| panic!("{case}: {error}"));
            loses_at_most(1, &journal, &content, &case);
            let mut content = content.clone();
            content.extend([append(&journal, 5_000 + place as u64)]);
            drop(journal);
            let journal = open(&simulated.kill_process()).unwrap();
            loses_at_most(1, &journal, &content, &case);
        }
    }
}

/// Check 8: damage in a growing segment stays one batch when the segment is closed later.
#[test]
fn a_flipped_bit_in_a_growing_segment_costs_its_batch_only_check_8() {
    let (disk, mut content) = written(300);
    let last = file_names(&disk).into_iter().rfind(|path| is_segment(path)).unwrap();
    let mut bytes = bytes_of(&disk, &last);
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    disk.overwrite(&last, bytes);
    let journal = open(&disk).unwrap();
    content.extend((300..500).map(|number| append(&journal, number)));
    loses_at_most(1, &journal, &content, "growing");
    drop(journal);
    let journal = open(&disk.kill_process()).unwrap();
    loses_at_most(1, &journal, &content, "closed");
}

/// Check 9: a lost segment and a lost run together: the start works, and all that is left is found.
#[test]
fn a_lost_segment_does_not_hinder_the_repair_of_runs_check_9() {
    let (disk, content) = written(300);
    let files = all_files(&disk);
    let runs = files
        .iter()
        .filter(|(path, _)| path.extension().is_some_and(|extension| extension == "run"));
    let segment = &files.iter().find(|(path, _)| is_segment(path)).unwrap().0;
    for (run, _) in runs {
        let (simulated, disk) = restored(&files);
        disk.remove(segment).unwrap();
        disk.remove(run).unwrap();
        let journal = open(&simulated).unwrap();
        loses_at_most(60, &journal, &content, &run.display().to_string());
        append(&journal, 1_000);
        now(journal.checkpoint()).unwrap();
    }
}

/// Check 8: a medium that does not give some bytes is damage like any other, at the start and later.
#[test]
fn what_the_disk_cannot_read_is_quarantined_and_all_else_served_check_8() {
    for (name, bytes, lost) in [
        (".segment", 8_192..8_193, 10 * 20),
        ("checkpoint", 0..1, 0),
        (".run", 4_096..4_097, 0),
        (".index", 0..1, 0),
    ] {
        let (disk, content) = written(300);
        // All segments; of the others one file: what is written in its place can be read.
        let mut files = file_names(&disk).into_iter().map(|path| path.display().to_string());
        let file = files.find(|path| path.ends_with(name)).unwrap();
        disk.set_fault(Some(Fault {
            operation: Operation::Read,
            name: if lost > 0 { name.into() } else { file },
            bytes,
            code: Some(rustix::io::Errno::IO.raw_os_error()),
        }));
        let journal = open(&disk).unwrap_or_else(|error| panic!("{name}: {error}"));
        let (found, damaged) = read(&journal);
        assert_eq!(damaged > 0, lost > 0, "{name}");
        assert!(found.len() + lost >= content.len(), "{name}: {}", found.len());
        drop(append(&journal, 1_000));
        now(journal.checkpoint()).unwrap();
        assert_eq!(journal.health(), Health::Serving, "{name}");
    }
}
