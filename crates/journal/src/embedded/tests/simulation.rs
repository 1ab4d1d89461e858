//! The engine on a disk that loses, tears and refuses, step by step from one seed. A model knows what was acknowledged,
//! what was asked for, and what is neither.
//!
//! Checks 2, 5, 6, 7, 11 and 13 of the project's list, and the storage half of 9.

mod pipeline;

use super::{small, tier};
use crate::{
    Append, Appended, Deduplicate, EncodedRecord, Entry, Error, Health, Identity, Journal, Offset, PartitionId,
    TopicId, conformance,
    embedded::{
        Clock, Disk, Drive, Embedded, ManualClock, Randomness, Settings, SimulatedDisk, SyncFault,
        flush::{MERGED_MAX, NOT_FULL_MAX},
    },
    records,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

const TOPICS: [(TopicId, u32); 2] = [(TopicId { bus: 1, topic: 1 }, 3), (TopicId { bus: 2, topic: 2 }, 2)];

/// A seeded sequence.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// What should hold: values by position.
#[derive(Default)]
struct Model {
    /// Every value that was ever asked for: its request and the event's id.
    asked: BTreeMap<u64, (u64, u64)>,
    /// Requests and their values.
    requests: BTreeMap<u64, Vec<u64>>,
    /// Acknowledged: position to value.
    acknowledged: BTreeMap<(PartitionId, Offset), u64>,
    /// Seen by a reader, acknowledged or not: it may not change any more.
    seen: BTreeMap<(PartitionId, Offset), u64>,
    /// Trims that were asked for: below it anything may be gone.
    trimmed: BTreeMap<PartitionId, Offset>,
    next_value: u64,
    next_request: u64,
}

/// One story: a disk, a clock, a model.
struct Story {
    random: Random,
    disk: SimulatedDisk,
    clock: ManualClock,
    model: Model,
    /// Settings' changes of this story.
    adjust: fn(&mut Settings),
}

fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

impl Story {
    fn new(seed: u64) -> Self {
        let disk = SimulatedDisk::new(seed);
        if seed.is_multiple_of(3) {
            disk.allow_short_writes();
        }
        Self {
            random: Random(seed),
            disk,
            clock: ManualClock::new(1_700_000_000_000),
            model: Model::default(),
            adjust: |_| {},
        }
    }

    fn open(&mut self) -> Result<Embedded, Error> {
        let mut settings = Settings {
            clock: Clock::Manual(self.clock.clone()),
            disk: Disk::Simulated(self.disk.clone()),
            randomness: Randomness::Seeded(self.random.below(u64::MAX)),
            drive: Drive::Steps,
            ..small("data")
        };
        (self.adjust)(&mut settings);
        Embedded::open(settings, &TOPICS)
    }

    /// Up to this many operations; the appends in it may be waited for together.
    fn work(&mut self, journal: &Embedded, operations: u64) {
        for _ in 0..operations {
            match self.random.below(24) {
                0 => self.trim(journal),
                1 => drop(poll_once(journal.checkpoint())),
                2 => self.clock.pass(1 + self.random.below(50) as i64),
                _ => self.append_some(journal),
            }
        }
    }

    fn trim(&mut self, journal: &Embedded) {
        let partition = self.partition();
        let Ok(bounds) = journal.bounds(partition) else { return };
        let start = bounds.start + self.random.below(bounds.high_water - bounds.start + 1);
        let trimmed = self.model.trimmed.entry(partition).or_default();
        *trimmed = start.max(*trimmed);
        drop(poll_once(journal.trim(partition, start)));
    }

    fn partition(&mut self) -> PartitionId {
        let (topic, partitions) = TOPICS[self.random.below(2) as usize];
        PartitionId {
            topic,
            index: self.random.below(u64::from(partitions)) as u32,
        }
    }

    fn append_some(&mut self, journal: &Embedded) {
        let mut waiting = Vec::new();
        for _ in 0..=self.random.below(4) {
            let (request, append, expected) = self.request();
            if let Ok(durable) = journal.append(append) {
                waiting.push((request, durable, expected));
            }
        }
        while journal.step() {}
        for (request, durable, expected) in waiting {
            if let Some(Ok(appended)) = poll_once(durable) {
                self.acknowledge(request, &appended, &expected);
            }
        }
    }

    /// A request of one to three entries; values are unique, and so are identities.
    fn request(&mut self) -> (u64, Append, Vec<Vec<(PartitionId, u64)>>) {
        let request = self.model.next_request;
        self.model.next_request += 1;
        let mut append = Append::default();
        let mut expected = Vec::new();
        for _ in 0..=self.random.below(3) {
            let mut entry = Vec::new();
            for _ in 0..=self.random.below(2) {
                let value = self.model.next_value;
                self.model.next_value += 1;
                let id = entry.first().map_or(value, |(_, first)| *first);
                self.model.asked.insert(value, (request, id));
                self.model.requests.entry(request).or_default().push(value);
                entry.push((self.partition(), value));
            }
            let size = self.random.below(1_500) as usize;
            append.entries.push(Entry {
                identity: Some(identity(entry[0].1)),
                deduplicate: Deduplicate::Yes,
                records: entry
                    .iter()
                    .map(|(partition, value)| (*partition, record(entry[0].1, *value, size)))
                    .collect(),
            });
            expected.push(entry);
        }
        (request, append, expected)
    }

    fn acknowledge(&mut self, request: u64, appended: &[Appended], expected: &[Vec<(PartitionId, u64)>]) {
        assert_eq!(appended.len(), expected.len(), "request {request}");
        for (appended, entry) in appended.iter().zip(expected) {
            assert!(!appended.duplicate, "nothing was sent twice");
            assert_eq!(appended.position.partition, entry[0].0);
            let at = (appended.position.partition, appended.position.offset);
            assert_eq!(
                self.model.acknowledged.insert(at, entry[0].1),
                None,
                "an offset was reused"
            );
        }
    }

    /// Reads everything and compares.
    fn verify(&mut self, journal: &Embedded) {
        let mut found = BTreeMap::new();
        for (topic, partitions) in TOPICS {
            for index in 0..partitions {
                let partition = PartitionId { topic, index };
                read_all(journal, partition, &mut found);
                let bounds = journal.bounds(partition).unwrap();
                let trimmed = self.model.trimmed.get(&partition).copied().unwrap_or(0);
                assert!(
                    bounds.start <= trimmed,
                    "{partition:?} begins at {} after a trim to {trimmed}",
                    bounds.start
                );
            }
        }
        let in_range =
            |(partition, offset): &(PartitionId, Offset)| *offset >= journal.bounds(*partition).unwrap().start;
        for (at, value) in self
            .model
            .acknowledged
            .iter()
            .chain(&self.model.seen)
            .filter(|(at, _)| in_range(at))
        {
            assert_eq!(found.get(at), Some(value), "{at:?} was acknowledged or seen");
        }
        self.no_request_is_torn(journal, &found);
        let places: BTreeSet<_> = found.values().collect();
        assert_eq!(places.len(), found.len(), "a record was stored twice");
        for (at, value) in &found {
            let position = poll_once(journal.find(at.0.topic.bus, identity(self.model.asked[value].1).lookup, 10))
                .unwrap()
                .unwrap();
            let here = position
                .iter()
                .any(|position| (position.partition, position.offset) == *at);
            assert!(here, "{at:?} is found by its identity: {position:?}");
        }
        self.model.seen.extend(found);
    }

    fn no_request_is_torn(&self, journal: &Embedded, found: &BTreeMap<(PartitionId, Offset), u64>) {
        let trims = TOPICS.iter().any(|(topic, partitions)| {
            (0..*partitions).any(|index| journal.bounds(PartitionId { topic: *topic, index }).unwrap().start > 0)
        });
        let values: BTreeSet<_> = found.values().copied().collect();
        for value in &values {
            let (request, _) = self.model.asked.get(value).expect("every record was asked for");
            let whole = self.model.requests[request].iter().all(|value| values.contains(value));
            assert!(whole || trims, "request {request} is torn");
        }
    }
}

fn identity(id: u64) -> Identity {
    let record = record(id, id, 0);
    conformance::identify(TOPICS[0].0, &record.view(0, 0))
        .expect("it has a header that says so")
        .0
}

/// A record of the event `id` with this value, filled up; a copy, if the value is not the event's first.
fn record(id: u64, value: u64, size: usize) -> EncodedRecord {
    let mut bytes = value.to_be_bytes().to_vec();
    bytes.resize(8 + size, value as u8);
    let key = id.to_be_bytes();
    let headers = [("id", Some(key.as_slice())), (conformance::COPY_HEADER, None)];
    let count = if id == value { 1 } else { 2 };
    EncodedRecord::new(None, Some(&bytes), headers[..count].iter().copied())
}

fn read_all(journal: &Embedded, partition: PartitionId, found: &mut BTreeMap<(PartitionId, Offset), u64>) {
    let bounds = journal.bounds(partition).unwrap();
    let mut from = bounds.start;
    while from < bounds.high_water {
        let chunk = poll_once(journal.read(partition, from, 3_000)).unwrap().unwrap();
        for batch in &chunk.batches {
            for record in records(batch).filter(|record| record.offset >= from) {
                let value = record.value.unwrap();
                let (number, filling) = value.split_first_chunk::<8>().unwrap();
                let number = u64::from_be_bytes(*number);
                assert!(filling.iter().all(|byte| *byte == number as u8), "wrong bytes");
                assert_eq!(found.insert((partition, record.offset), number), None);
            }
        }
        assert!(chunk.next > from, "reading goes on");
        from = chunk.next;
    }
}

/// Check 2, check 5: power is cut at a random operation, in the middle of work or of a recovery, again and again.
#[test]
fn nothing_acknowledged_is_lost_at_any_power_cut_checks_2_and_5() {
    for seed in tier::seeds(20) {
        let mut story = Story::new(seed);
        for _ in 0..4 {
            let cut = 1 + story.random.below(400);
            story.disk.cut_power_after(cut);
            if let Ok(journal) = story.open() {
                let operations = story.random.below(60);
                story.work(&journal, operations);
            }
            story.disk = story.disk.power_cycle();
            let journal = story.open().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            story.verify(&journal);
            drop(journal);
            story.disk = if story.random.below(2) == 0 {
                story.disk.power_cycle()
            } else {
                story.disk.kill_process()
            };
        }
    }
}

/// Check 2: power is cut at every single operation of one story, so that none is missed.
#[test]
fn every_operation_of_a_story_survives_a_power_cut_check_2() {
    let operations = {
        let mut story = Story::new(7);
        let journal = story.open().unwrap();
        story.work(&journal, 12);
        drop(journal);
        story.disk.operations()
    };
    for cut in 1..=operations {
        let mut story = Story::new(7);
        story.disk.cut_power_after(cut);
        if let Ok(journal) = story.open() {
            story.work(&journal, 12);
        }
        story.disk = story.disk.power_cycle();
        // And at some operation of the recovery.
        story.disk.cut_power_after(1 + cut % 23);
        drop(story.open());
        story.disk = story.disk.power_cycle();
        let journal = story.open().unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        story.verify(&journal);
    }
}

/// Checks 6 and 7: a failed sync poisons, is never tried again, and loses nothing that was acknowledged.
#[test]
fn a_failed_sync_poisons_and_loses_nothing_acknowledged_checks_6_and_7() {
    for seed in tier::seeds(40) {
        let mut story = Story::new(seed);
        let journal = story.open().unwrap();
        story.work(&journal, 10);
        let fault = if seed.is_multiple_of(2) {
            SyncFault::Refused
        } else {
            SyncFault::PagesDropped
        };
        story.disk.fail_sync_after(1 + story.random.below(6), fault);
        story.work(&journal, 20);
        if matches!(journal.health(), Health::Poisoned { .. }) {
            let acknowledged = story.model.acknowledged.len();
            story.work(&journal, 5);
            assert_eq!(
                story.model.acknowledged.len(),
                acknowledged,
                "nothing is acknowledged after the poison"
            );
            assert!(matches!(journal.append(story.request().1), Err(Error::Poisoned { .. })));
        }
        drop(journal);
        story.disk = if seed.is_multiple_of(5) {
            story.disk.kill_process()
        } else {
            story.disk.power_cycle()
        };
        let journal = story.open().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        story.verify(&journal);
    }
}

/// Check 11: a full volume refuses publishing, keeps reading, and is over when there is space again.
#[test]
fn a_full_volume_refuses_reads_on_and_recovers_by_itself_check_11() {
    tier::seeds(15).for_each(fill_a_volume);
}

/// The flush that the full volume stopped had moved one partition and not the others: its identities were in a run that did not
/// say so, and were dropped with the first merge.
#[test]
fn a_flush_that_a_full_volume_stopped_half_way_loses_no_identity() {
    fill_a_volume(768);
}

fn fill_a_volume(seed: u64) {
    let mut story = Story::new(seed);
    let journal = story.open().unwrap();
    story.work(&journal, 10);
    let used = story.disk.used();
    story.disk.set_capacity(used + story.random.below(120_000));
    story.work(&journal, 60);
    assert!(
        !matches!(journal.health(), Health::Poisoned { .. }),
        "seed {seed}: {:?}",
        journal.health()
    );
    story.verify(&journal);
    story.disk.set_capacity(1 << 40);
    let before = story.model.acknowledged.len();
    story.work(&journal, 30);
    assert!(
        story.model.acknowledged.len() > before,
        "seed {seed}: publishing works again"
    );
    assert_eq!(journal.health(), Health::Serving);
    story.verify(&journal);
    drop(journal);
    story.disk = story.disk.power_cycle();
    let journal = story.open().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    story.verify(&journal);
}

/// Check 11: below the publish mark nothing is accepted, and everything else goes on.
#[test]
fn below_the_publish_mark_publishing_is_out_of_space_check_11() {
    let mut story = Story::new(3);
    story.adjust = |settings| settings.publish_mark_percent = 5;
    let journal = story.open().unwrap();
    story.work(&journal, 10);
    story.disk.set_capacity(story.disk.used() + 1_000);
    let mut refused = journal.append(story.request().1).unwrap();
    while journal.step() {}
    assert!(matches!(poll_once(&mut refused), Some(Err(Error::OutOfSpace { .. }))));
    assert!(matches!(journal.health(), Health::OutOfSpace { .. }));
    assert!(matches!(
        journal.append(story.request().1),
        Err(Error::OutOfSpace { .. })
    ));
    story.verify(&journal);
    story.disk.set_capacity(1 << 40);
    assert_eq!(journal.health(), Health::Serving);
    let before = story.model.acknowledged.len();
    story.work(&journal, 10);
    assert!(story.model.acknowledged.len() > before);
}

/// Check 13: a second process is refused, and the first one is unharmed.
#[test]
fn a_second_opening_is_refused_and_harms_nothing_check_13() {
    let mut story = Story::new(1);
    let journal = story.open().unwrap();
    story.work(&journal, 5);
    assert!(matches!(story.open(), Err(Error::Locked { .. })));
    story.work(&journal, 5);
    story.verify(&journal);

    let directory = tempfile::tempdir().unwrap();
    let settings = || Settings {
        drive: Drive::Steps,
        ..small(directory.path())
    };
    let first = Embedded::open(settings(), &TOPICS).unwrap();
    assert!(matches!(Embedded::open(settings(), &TOPICS), Err(Error::Locked { .. })));
    drop(first);
    Embedded::open(settings(), &TOPICS).unwrap();
}

/// The same seed gives the same bytes.
#[test]
fn the_same_seed_gives_the_same_bytes() {
    let digest = |seed| {
        let mut story = Story::new(seed);
        let journal = story.open().unwrap();
        story.work(&journal, 40);
        let digest = story.disk.digest();
        drop(journal);
        (digest, story.disk.digest())
    };
    assert_eq!(digest(5), digest(5));
    assert_ne!(digest(5), digest(6));
}

/// The window outlives a restart, in the map and in the runs, which may be lost, and ends when its time is over. A duplicate is
/// answered with the primary record, whatever copies there are.
#[test]
fn duplicates_are_recognised_after_power_cuts_until_the_window_is_over() {
    for seed in tier::seeds(10) {
        let mut story = Story::new(seed);
        let journal = story.open().unwrap();
        let mut sent = Vec::new();
        for place in 0..300 {
            let (request, append, expected) = story.request();
            let durable = journal.append(append.clone()).unwrap();
            while journal.step() {}
            let appended = poll_once(durable).unwrap().unwrap();
            story.acknowledge(request, &appended, &expected);
            sent.push((append, appended));
            if place % 60 == 0 {
                drop(poll_once(journal.checkpoint()));
            }
        }
        drop(journal);
        story.disk = story.disk.power_cycle();
        if seed.is_multiple_of(2) {
            let disk = Disk::Simulated(story.disk.clone());
            run_files(&story).iter().for_each(|path| disk.remove(path).unwrap());
        }
        let journal = story.open().unwrap();
        for (append, first) in &sent {
            let durable = journal.append(append.clone()).unwrap();
            while journal.step() {}
            let again = poll_once(durable).unwrap().unwrap();
            for (again, first) in again.iter().zip(first) {
                assert!(again.duplicate, "seed {seed}");
                assert_eq!(
                    (again.position, again.append_time),
                    (first.position, first.append_time),
                    "seed {seed}"
                );
            }
        }
        story.clock.pass(300_001);
        let durable = journal.append(sent[0].0.clone()).unwrap();
        while journal.step() {}
        assert!(!poll_once(durable).unwrap().unwrap()[0].duplicate, "the window is over");
    }
}

/// Runs are merged once their window is over, at any power cut and on a full volume, and everything is found in them.
#[test]
fn merged_runs_lose_nothing_at_any_power_cut() {
    let mut merged = 0;
    for seed in tier::seeds(10) {
        let mut story = Story::new(seed);
        story.adjust = |settings| {
            settings.deduplication_window = std::time::Duration::from_millis(1);
            settings.run_identities = 12;
        };
        for _ in 0..4 {
            let cut = 1 + story.random.below(3_000);
            story.disk.cut_power_after(cut);
            if let Ok(journal) = story.open() {
                story.work(&journal, 250);
                merged += usize::from(largest_run(&story) > 8 * 12);
            }
            story.disk = story.disk.power_cycle();
            let journal = story.open().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            story.clock.pass(100);
            story.work(&journal, 10);
            story.verify(&journal);
            few_runs_are_left(&mut story, &journal);
            drop(journal);
        }
    }
    assert!(merged > 0, "some were merged");
}

/// When the window of all of them is over and the flusher has nothing to do, there are only as many as the levels allow, and the
/// largest; a merge that was interrupted has left nothing.
fn few_runs_are_left(story: &mut Story, journal: &Embedded) {
    story.clock.pass(100);
    poll_once(journal.checkpoint()).unwrap().unwrap();
    while journal.step() {}
    let settings = &journal.shared.settings;
    let largest = settings.run_identities as u64 * MERGED_MAX / 2;
    let runs = journal.shared.runs();
    let count = runs.runs.iter().filter(|run| run.count <= largest).count();
    assert!(count <= NOT_FULL_MAX, "{count} runs of {} are left", runs.runs.len());
    assert_eq!(run_files(story).len(), runs.runs.len(), "no other file is left");
}

fn run_files(story: &Story) -> Vec<std::path::PathBuf> {
    let mut files = story.disk.files();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "run"));
    files
}

/// How many identities it holds.
fn largest_run(story: &Story) -> u64 {
    let disk = Disk::Simulated(story.disk.clone());
    let counts = run_files(story).into_iter().filter_map(|path| {
        let head = disk.read(&path).ok()?;
        Some(u64::from_le_bytes(*head.get(8..)?.first_chunk()?))
    });
    counts.max().unwrap_or(0)
}
