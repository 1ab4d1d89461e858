//! What the system refuses, and bugs: too few open files, a medium that cannot be read, files that cannot be removed, a
//! panic in a thread.

use super::{
    damage::{TOPIC, now},
    small,
};
use crate::{
    Append, Deduplicate, EncodedRecord, Entry, Error, Health, Journal, PartitionId, Shortage, TopicId, conformance,
    embedded::{Clock, Disk, Drive, Embedded, Fault, ManualClock, Operation, Randomness, Settings, SimulatedDisk},
};
use std::sync::Arc;

const PARTITIONS: u32 = 300;

fn settings(disk: &SimulatedDisk) -> Settings {
    Settings {
        clock: Clock::Manual(ManualClock::new(1_700_000_000_000)),
        disk: Disk::Simulated(disk.clone()),
        randomness: Randomness::Seeded(1),
        drive: Drive::Steps,
        open_segments_max: 64,
        ..small("data")
    }
}

fn open(disk: &SimulatedDisk) -> Embedded {
    Embedded::open(settings(disk), &[(TOPIC, PARTITIONS)]).unwrap()
}

/// A request of one record.
fn request(index: u32, number: u64) -> Append {
    let partition = PartitionId { topic: TOPIC, index };
    let id = number.to_be_bytes();
    let record = EncodedRecord::new(None, Some(&[7; 400]), [("id", Some(id.as_slice()))].into_iter());
    Append {
        entries: vec![Entry {
            identity: conformance::identify(TOPIC, &record.view(0, 0)).map(|(identity, _)| identity),
            deduplicate: Deduplicate::Yes,
            records: vec![(partition, record)],
        }],
    }
}

fn append(journal: &Embedded, index: u32, number: u64) -> Result<u64, Error> {
    let durable = journal.append(request(index, number))?;
    while journal.step() {}
    Ok(now(durable)?[0].position.offset)
}

#[test]
fn more_partitions_than_open_files_are_no_trouble() {
    let disk = SimulatedDisk::new(1);
    disk.set_handles_max(120);
    let journal = open(&disk);
    for number in 0..u64::from(PARTITIONS) * 3 {
        append(&journal, number as u32 % PARTITIONS, number).unwrap();
    }
    now(journal.checkpoint()).unwrap();
    assert_eq!(journal.health(), Health::Serving);
    drop(journal);
    let journal = open(&disk.power_cycle());
    for index in 0..PARTITIONS {
        let partition = PartitionId { topic: TOPIC, index };
        assert_eq!(now(journal.read(partition, 0, 10_000)).unwrap().next, 3);
    }
}

#[test]
fn running_out_of_open_files_refuses_and_is_over_when_there_are_some_again() {
    let disk = SimulatedDisk::new(1);
    let journal = open(&disk);
    let mut refused = 0;
    for number in 0..600 {
        if number == 100 {
            disk.set_handles_max(disk.handles());
        }
        if let Err(error) = append(&journal, number as u32 % PARTITIONS, number) {
            // The disk has room: nobody is to go and look for some.
            let of = Shortage::OpenFiles;
            assert!(
                matches!(&error, Error::Exhausted { of: found, .. } if *found == of),
                "{error:?}"
            );
            refused += 1;
            let health = journal.health();
            assert!(matches!(health, Health::Exhausted(_) | Health::Serving), "{health:?}");
        }
    }
    assert!(refused > 0);
    disk.set_handles_max(u64::MAX);
    // The first asks whether it is over, the second finds that it is.
    drop(append(&journal, 1, 1_000));
    append(&journal, 1, 1_001).unwrap();
    now(journal.checkpoint()).unwrap();
    assert_eq!(journal.health(), Health::Serving);
}

/// A journal with threads of its own on a disk where this goes wrong from here on.
fn with_threads(fault: Fault) -> (Embedded, SimulatedDisk) {
    let disk = SimulatedDisk::new(1);
    let settings = Settings {
        drive: Drive::Threads,
        ..settings(&disk)
    };
    let journal = Embedded::open(settings, &[(TOPIC, PARTITIONS)]).unwrap();
    disk.set_fault(Some(fault));
    (journal, disk)
}

fn bug(operation: Operation, name: &str) -> Fault {
    Fault {
        operation,
        name: name.to_owned(),
        bytes: 0..u64::MAX,
        code: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_of_the_commit_tells_all_who_wait_and_ends_serving() {
    let (journal, _disk) = with_threads(bug(Operation::Write, ".frames"));
    let durable: Vec<_> = (0..50)
        .filter_map(|number| journal.append(request(1, number)).ok())
        .collect();
    for durable in durable {
        assert!(matches!(durable.await, Err(Error::Poisoned { .. })));
    }
    assert!(matches!(journal.append(request(1, 99)), Err(Error::Poisoned { .. })));
    assert!(matches!(journal.health(), Health::Poisoned { .. }));
    assert!(matches!(journal.checkpoint().await, Err(Error::Poisoned { .. })));
    assert!(journal.shutdown().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_of_the_flusher_tells_all_who_wait_and_ends_serving() {
    let (journal, _disk) = with_threads(bug(Operation::Write, ".segment"));
    for number in 0.. {
        let Ok(durable) = journal.append(request(1, number)) else {
            break;
        };
        if durable.await.is_err() {
            break;
        }
    }
    assert!(matches!(journal.health(), Health::Poisoned { .. }));
    assert!(matches!(journal.checkpoint().await, Err(Error::Poisoned { .. })));
    assert!(journal.shutdown().await.is_err());
}

/// Nothing can be found in a run that is damaged: it is written anew beside the flusher, which goes on, and then all is found.
#[tokio::test(flavor = "multi_thread")]
async fn runs_are_repaired_while_events_come_and_who_searches_waits_for_it() {
    let disk = SimulatedDisk::new(1);
    let settings = Settings {
        drive: Drive::Threads,
        ..settings(&disk)
    };
    let journal = Arc::new(Embedded::open(settings.clone(), &[(TOPIC, PARTITIONS)]).unwrap());
    let lookup = |number| request(1, number).entries[0].identity.unwrap().lookup;
    for round in 0..20 {
        for number in 0..100 {
            let durable = journal.append(request(1, round * 100 + number)).unwrap();
            durable.await.unwrap();
        }
        journal.checkpoint().await.unwrap();
        let is_run = |path: &std::path::PathBuf| path.extension().is_some_and(|extension| extension == "run");
        let runs: Vec<_> = disk.files().into_iter().filter(is_run).collect();
        disk.overwrite(&runs[round as usize % runs.len()], vec![7; 5_000]);
        let searches = (0..4).map(|place| {
            let (journal, lookup) = (journal.clone(), lookup(round * 100 + place * 7));
            tokio::spawn(async move { journal.find(TOPIC.bus, lookup, 10).await.unwrap().len() })
        });
        for search in searches.collect::<Vec<_>>() {
            assert_eq!(search.await.unwrap(), 1, "round {round}");
        }
    }
    let found = journal.find(TOPIC.bus, lookup(3), 10).await.unwrap();
    assert_eq!(found.len(), 1, "what an earlier run held is not lost");
    journal.shutdown().await.unwrap();
    drop(journal);
    let settings = Settings {
        disk: Disk::Simulated(disk.kill_process()),
        ..settings
    };
    let journal = Embedded::open(settings, &[(TOPIC, PARTITIONS)]).unwrap();
    for number in (0..2_000).step_by(61) {
        assert_eq!(journal.find(TOPIC.bus, lookup(number), 10).await.unwrap().len(), 1);
    }
}

#[test]
fn a_deleted_topic_leaves_nothing_in_memory() {
    let disk = SimulatedDisk::new(1);
    let journal = open(&disk);
    let mut forgotten = Vec::new();
    for topic in 100..150 {
        let topic = TopicId { bus: 1, topic };
        now(journal.create_topic(topic, 1)).unwrap();
        let partition = PartitionId { topic, index: 0 };
        let mut append = request(0, u64::from(topic.topic));
        append.entries[0].records[0].0 = partition;
        let durable = journal.append(append).unwrap();
        while journal.step() {}
        now(durable).unwrap();
        forgotten.push(Arc::downgrade(&journal.shared.registry.get(partition).unwrap()));
        now(journal.delete_topic(topic)).unwrap();
    }
    append(&journal, 0, 1).unwrap();
    now(journal.checkpoint()).unwrap();
    let left = forgotten
        .iter()
        .filter(|partition| partition.upgrade().is_some())
        .count();
    assert_eq!(left, 0, "partitions and the frames that their tails share");
}

/// An operation that the system refuses on files whose names contain this.
fn refused(operation: Operation, name: &str, code: rustix::io::Errno) -> Option<Fault> {
    let code = Some(code.raw_os_error());
    Some(Fault {
        code,
        ..bug(operation, name)
    })
}

#[test]
fn a_frame_that_the_volume_has_no_room_for_is_refused_and_the_next_one_takes_its_place() {
    let disk = SimulatedDisk::new(1);
    let journal = open(&disk);
    append(&journal, 0, 0).unwrap();
    disk.set_fault(refused(Operation::Write, ".frames", rustix::io::Errno::DQUOT));
    assert!(matches!(append(&journal, 0, 1), Err(Error::OutOfSpace { .. })));
    disk.set_fault(None);
    assert_eq!(append(&journal, 0, 2).unwrap(), 1, "the offset was not used");
    assert_eq!(append(&journal, 0, 1).unwrap(), 2, "what was refused is no duplicate");
    drop(journal);
    let journal = open(&disk.power_cycle());
    let partition = PartitionId { topic: TOPIC, index: 0 };
    assert_eq!(journal.bounds(partition).unwrap().high_water, 3);
}

#[test]
fn what_cannot_be_removed_is_removed_after_a_later_checkpoint() {
    let disk = SimulatedDisk::new(1);
    let journal = open(&disk);
    for number in 0..200 {
        append(&journal, 0, number).unwrap();
    }
    let partition = PartitionId { topic: TOPIC, index: 0 };
    let segments = || {
        disk.files()
            .iter()
            .filter(|path| path.extension().is_some_and(|it| it == "segment"))
            .count()
    };
    let before = segments();
    disk.set_fault(refused(Operation::Remove, "data", rustix::io::Errno::IO));
    now(journal.trim(partition, 150)).unwrap();
    assert_eq!((journal.health(), segments() >= before), (Health::Serving, true));
    disk.set_fault(None);
    now(journal.checkpoint()).unwrap();
    assert!(segments() < before);
}

#[test]
fn a_duplicate_of_a_deleted_topics_record_is_appended() {
    let disk = SimulatedDisk::new(1);
    let journal = open(&disk);
    let deleted = TopicId { bus: 1, topic: 100 };
    now(journal.create_topic(deleted, 1)).unwrap();
    let mut first = request(0, 7);
    first.entries[0].records[0].0.topic = deleted;
    let durable = journal.append(first).unwrap();
    while journal.step() {}
    now(durable).unwrap();
    now(journal.delete_topic(deleted)).unwrap();
    for duplicate in [false, true] {
        let durable = journal.append(request(5, 7)).unwrap();
        while journal.step() {}
        assert_eq!(now(durable).unwrap()[0].duplicate, duplicate);
    }
}

#[test]
fn nothing_is_accepted_blindly_while_a_run_that_may_know_it_cannot_be_read() {
    let disk = SimulatedDisk::new(1);
    let journal = open(&disk);
    for number in 0..500 {
        append(&journal, 0, number).unwrap();
        if number % 50 == 0 {
            now(journal.checkpoint()).unwrap();
        }
    }
    disk.set_fault(refused(Operation::Read, ".run", rustix::io::Errno::IO));
    assert!(matches!(append(&journal, 0, 3), Err(Error::Busy { .. })));
    disk.set_fault(None);
    // The repair that this asked for is carried out by the flusher.
    now(journal.checkpoint()).unwrap();
    let durable = journal.append(request(0, 3)).unwrap();
    while journal.step() {}
    assert!(now(durable).unwrap()[0].duplicate);
}

#[test]
fn a_segment_ends_with_its_day() {
    let clock = ManualClock::new(1_700_000_000_000);
    let disk = SimulatedDisk::new(1);
    let settings = Settings {
        clock: Clock::Manual(clock.clone()),
        ..settings(&disk)
    };
    let journal = Embedded::open(settings, &[(TOPIC, 1)]).unwrap();
    for number in 0..5 {
        append(&journal, 0, number).unwrap();
        now(journal.checkpoint()).unwrap();
        clock.pass(12 * 3_600_000);
    }
    let partition = PartitionId { topic: TOPIC, index: 0 };
    let bases: Vec<_> = journal
        .segments(partition)
        .unwrap()
        .iter()
        .map(|segment| segment.base)
        .collect();
    assert_eq!(bases.len(), 3, "{bases:?}");
}

#[test]
fn a_segment_that_is_trimmed_in_its_middle_is_closed_and_goes_when_its_rest_does() {
    let disk = SimulatedDisk::new(1);
    let journal = open(&disk);
    let partition = PartitionId { topic: TOPIC, index: 0 };
    let segments = |journal: &Embedded| -> Vec<_> {
        let infos = journal.segments(partition).unwrap();
        infos.iter().map(|info| (info.base, info.next, info.active)).collect()
    };
    for number in 0..6 {
        append(&journal, 0, number).unwrap();
    }
    now(journal.trim(partition, 4)).unwrap();
    assert_eq!(segments(&journal), [(0, 6, false)]);
    for number in 6..8 {
        append(&journal, 0, number).unwrap();
    }
    now(journal.checkpoint()).unwrap();
    assert_eq!(segments(&journal), [(0, 6, false), (6, 8, true)]);
    drop(journal);
    let journal = open(&disk.power_cycle());
    assert_eq!(journal.bounds(partition).unwrap().start, 4);
    now(journal.trim(partition, 6)).unwrap();
    assert_eq!(segments(&journal), [(6, 8, true)]);
    assert_eq!(now(journal.read(partition, 6, 10_000)).unwrap().next, 8);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let disk = SimulatedDisk::new(1);
    let tiny = Settings {
        write_ahead_file_bytes: 100,
        ..settings(&disk)
    };
    assert!(matches!(Embedded::open(tiny, &[]), Err(Error::Settings { .. })));
}

#[test]
fn a_wall_clock_that_leaps_ahead_is_followed_once_an_operator_confirms_it() {
    const LEAP: i64 = 400 * 24 * 3_600_000;
    let (disk, clock) = (SimulatedDisk::new(1), ManualClock::new(1_700_000_000_000));
    let settings = Settings {
        clock: Clock::Manual(clock.clone()),
        ..settings(&disk)
    };
    let journal = Embedded::open(settings, &[(TOPIC, 1)]).unwrap();
    append(&journal, 0, 1).unwrap();
    assert!(!journal.confirm_clock(), "there is nothing to confirm");
    clock.jump(LEAP);
    clock.pass(5);
    assert!(journal.stats().clock_alarm);
    let clocks = journal.clocks();
    assert_eq!(
        (clocks.append_time, clocks.wall_time),
        (1_700_000_000_005, 1_700_000_000_005 + LEAP)
    );
    assert!(journal.confirm_clock());
    assert!(!journal.confirm_clock(), "once is enough");
    assert_eq!(journal.now(), 1_700_000_000_005 + LEAP);
    assert!(!journal.stats().clock_alarm);
}

/// A group's callers are told by the runtime that the journal was opened in, if that is still there.
#[test]
fn many_callers_of_a_group_are_told_with_their_runtime_and_without_it() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).build().unwrap()
    };
    let (opened_in, other) = (runtime(), runtime());
    let disk = SimulatedDisk::new(1);
    let settings = Settings {
        drive: Drive::Threads,
        ..settings(&disk)
    };
    let journal = {
        let _entered = opened_in.enter();
        Embedded::open(settings, &[(TOPIC, PARTITIONS)]).unwrap()
    };
    let append_many = |from: u64| {
        let append = |number| journal.append(request(1, number)).unwrap();
        disk.hold_syncs(true);
        // The first is alone, and the others share the next group.
        let durable: Vec<_> = (from..from + 100).map(append).collect();
        disk.hold_syncs(false);
        for (durable, number) in durable.into_iter().zip(from..) {
            let appended = other.block_on(durable).unwrap();
            assert_eq!(appended[0].position.offset, number, "each is told its own");
        }
    };
    append_many(0);
    opened_in.shutdown_background();
    append_many(100);
    other.block_on(journal.shutdown()).unwrap();
}
