//! A copy of what is held opens elsewhere with everything that was durable before, whatever happens meanwhile.

use super::damage::{Content, TOPIC, append, now, open, read};
use crate::{
    Journal, PartitionId,
    embedded::{
        Disk, SimulatedDisk,
        backup::{Held, checkpoint_path},
        doctor,
    },
};
use std::path::Path;

/// A disk with nothing but what is held of another's.
fn copied(held: &Held, from: &SimulatedDisk) -> SimulatedDisk {
    let (source, copy) = (Disk::Simulated(from.clone()), SimulatedDisk::new(2));
    let target = Disk::Simulated(copy.clone());
    let write = |path: &Path, bytes: &[u8]| {
        let path = Path::new("data").join(path);
        target.create_directory(path.parent().unwrap()).unwrap();
        target.create(&path).unwrap().write_all_at(bytes, 0).unwrap();
    };
    for file in &held.files {
        match source.read(&Path::new("data").join(&file.path)) {
            Ok(mut bytes) => {
                let counts = file.bytes.map_or(bytes.len(), |bytes| bytes as usize);
                assert!(bytes.len() >= counts, "{:?} is shorter than what counts", file.path);
                bytes.truncate(counts);
                write(&file.path, &bytes);
            }
            Err(failure) => assert!(file.is_derived && failure.is_not_found(), "{failure}"),
        }
    }
    write(&checkpoint_path(), &held.checkpoint);
    copy
}

#[test]
fn what_is_held_opens_elsewhere_although_records_were_appended_trimmed_and_checkpointed_meanwhile_check_70() {
    let disk = SimulatedDisk::new(1);
    let journal = open(&disk).unwrap();
    let before: Content = (0..400).map(|number| append(&journal, number)).collect();
    let held = now(journal.hold()).unwrap();
    for number in 400..800 {
        append(&journal, number);
    }
    for index in 0..2 {
        let partition = PartitionId { topic: TOPIC, index };
        now(journal.trim(partition, 150)).unwrap();
    }
    now(journal.checkpoint()).unwrap();

    let copy = copied(&held, &disk);
    let report = doctor::examine_on(&Disk::Simulated(copy.clone()), Path::new("data")).unwrap();
    assert!(report.is_healthy(), "{report:?}");
    let opened = open(&copy).unwrap();
    assert_eq!(read(&opened), (before.clone(), 0));
    // It goes on: with the next offset, and with its duplicates known.
    let ((partition, offset), _) = append(&opened, 0);
    assert_eq!(offset, held.partitions[partition.index as usize].next);
}

#[test]
fn what_was_held_back_is_removed_once_nobody_holds_it() {
    let disk = SimulatedDisk::new(1);
    let journal = open(&disk).unwrap();
    (0..400).for_each(|number| drop(append(&journal, number)));
    let held = now(journal.hold()).unwrap();
    let partition = PartitionId { topic: TOPIC, index: 0 };
    now(journal.trim(partition, 190)).unwrap();
    let kept = disk.files().len();
    drop(held);
    append(&journal, 400);
    now(journal.checkpoint()).unwrap();
    assert!(disk.files().len() < kept, "{kept} files stayed");
}
