//! Reads: bounds, chunks, time, identity, the tail feed.

use super::{BUS, Random, Session, Subject, append, event, identity, partition, plain, read_from, topic};
use crate::{Deduplicate, Error, Offset, PartitionId, Position};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

pub(super) async fn an_empty_partition_reads_empty(session: &Session<'_>) {
    let (subject, topic) = Subject::with_topic(session, 2).await;
    let empty = partition(topic, 1);
    subject.append_one(plain(partition(topic, 0), b"elsewhere")).await;
    let bounds = subject.journal.bounds(empty).expect("it exists");
    assert_eq!(bounds.start, bounds.high_water);
    let chunk = subject
        .journal
        .read(empty, bounds.start, 1_000)
        .await
        .expect("the end can be read");
    assert!(chunk.batches.is_empty());
    assert_eq!(
        (chunk.next, chunk.start, chunk.high_water),
        (bounds.start, bounds.start, bounds.start)
    );
    assert_eq!(
        subject.journal.offset_at(empty, 0).await.expect("it exists"),
        bounds.high_water
    );
    assert_eq!(subject.journal.segments(empty).expect("it exists"), []);
}

pub(super) async fn reads_outside_the_bounds_are_refused_with_the_bounds(session: &Session<'_>) {
    let (subject, topic) = Subject::with_topic(session, 1).await;
    let partition = partition(topic, 0);
    for _ in 0..5 {
        subject.append_one(plain(partition, b"x")).await;
    }
    let cut = subject.read_all(partition).await[2].offset;
    subject.journal.trim(partition, cut).await.expect("it is trimmed");
    let bounds = subject.journal.bounds(partition).expect("it exists");
    assert_eq!(bounds.start, cut);
    for asked in [0, cut - 1, bounds.high_water + 1, Offset::MAX] {
        match subject.journal.read(partition, asked, 1_000).await {
            Err(Error::OutOfRange {
                asked: said,
                start,
                high_water,
            }) => assert_eq!((said, start, high_water), (asked, bounds.start, bounds.high_water)),
            other => panic!("offset {asked} of {bounds:?} gave {other:?}"),
        }
    }
    assert!(subject.journal.read(partition, bounds.high_water, 1_000).await.is_ok());
}

pub(super) async fn unknown_partitions_are_refused_everywhere(session: &Session<'_>) {
    let (subject, known) = Subject::with_topic(session, 1).await;
    for unknown in [partition(known, 1), partition(topic(9), 0)] {
        let journal = &subject.journal;
        let answers = [
            journal.read(unknown, 0, 1).await.err(),
            journal.bounds(unknown).err(),
            journal.offset_at(unknown, 0).await.err(),
            journal.segments(unknown).err(),
            journal.trim(unknown, 0).await.err(),
            append(&**journal, vec![plain(unknown, b"x")]).await.err(),
        ];
        for answer in answers {
            assert!(
                matches!(answer, Some(Error::UnknownPartition(id)) if id == unknown),
                "{answer:?}"
            );
        }
    }
}

pub(super) async fn small_reads_walk_everything_once(session: &Session<'_>) {
    let (subject, topic) = Subject::with_topic(session, 1).await;
    let partition = partition(topic, 0);
    let mut random = Random(3);
    for _ in 0..60 {
        let count = 1 + random.below(6);
        let entries = (0..count).map(|_| {
            let len = random.below(3_000) as usize;
            plain(partition, &random.bytes(len))
        });
        subject.append(entries.collect()).await;
    }
    let all = subject.read_all(partition).await;
    for max_bytes in [0, 1, 500, 10_000, usize::MAX] {
        assert_eq!(
            read_from(&*subject.journal, partition, all[0].offset, max_bytes).await,
            all,
            "{max_bytes} bytes"
        );
    }
    let chunk = subject
        .journal
        .read(partition, all[0].offset, 10_000)
        .await
        .expect("it can be read");
    let (last, before) = chunk.batches.split_last().expect("there is a batch");
    let size: usize = before.iter().map(|batch| batch.bytes.len()).sum();
    assert!(
        size <= 10_000 && last.bytes.len() < 30_000,
        "about as much as asked for"
    );
}

pub(super) async fn a_read_may_begin_inside_a_batch(session: &Session<'_>) {
    let (subject, topic) = Subject::with_topic(session, 1).await;
    let partition = partition(topic, 0);
    subject
        .append((0_u8..20).map(|n| plain(partition, &[n])).collect())
        .await;
    let all = subject.read_all(partition).await;
    for (at, seen) in all.iter().enumerate() {
        assert_eq!(read_from(&*subject.journal, partition, seen.offset, 1).await, all[at..]);
    }
}

pub(super) async fn an_offset_is_found_by_time(session: &Session<'_>) {
    let (subject, topic) = Subject::with_topic(session, 1).await;
    let partition = partition(topic, 0);
    let mut firsts = BTreeMap::new();
    for n in 0_u8..12 {
        let appended = subject.append_one(plain(partition, &[n])).await;
        firsts.entry(appended.append_time).or_insert(appended.position.offset);
        if n % 4 == 0 {
            tick(&subject).await;
        }
    }
    let high_water = subject.journal.bounds(partition).expect("it exists").high_water;
    let (&oldest, &newest) = (firsts.keys().min().expect("some"), firsts.keys().max().expect("some"));
    let times = firsts.keys().flat_map(|time| [time - 1, *time, time + 1]);
    for time in times.chain([0, oldest, newest + 1, i64::MAX]) {
        let wanted = firsts.range(time..).next().map_or(high_water, |(_, offset)| *offset);
        assert_eq!(
            subject.journal.offset_at(partition, time).await.expect("it exists"),
            wanted,
            "at {time}"
        );
    }
    // Never below the start, also where that lies inside a batch.
    let together = subject
        .append([b"a", b"b", b"c"].map(|value| plain(partition, value)).to_vec())
        .await;
    let cut = together[1].position.offset;
    subject.journal.trim(partition, cut).await.expect("it is trimmed");
    for time in [0, together[1].append_time] {
        assert_eq!(
            subject.journal.offset_at(partition, time).await.expect("it exists"),
            cut
        );
    }
}

/// Waits until the journal's clock has gone on, if it does: a frozen clock stamps everything alike, which is allowed.
async fn tick(subject: &Subject<'_>) {
    const TRIES: u32 = 50;
    let now = subject.journal.now();
    for _ in 0..TRIES {
        if subject.journal.now() > now {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

pub(super) async fn records_are_found_by_identity_newest_first(session: &Session<'_>) {
    let (mut subject, first) = Subject::with_topic(session, 1).await;
    if !subject.journal.capabilities().find_by_identity {
        return;
    }
    let second = topic(2);
    subject.create(second, 1).await;
    let (primary, copy) = (partition(first, 0), partition(second, 0));
    let replayed = |id| {
        let mut entry = event(id, &[primary]);
        entry.deduplicate = Deduplicate::No;
        entry
    };
    for id in 0..20 {
        subject.append_one(event(id, &[primary, copy])).await;
    }
    let again = [
        subject.append_one(replayed(5)).await.position,
        subject.append_one(replayed(5)).await.position,
    ];

    let found = find(&subject, BUS, 5, 9).await;
    assert_eq!(found[..2], [again[1], again[0]], "newest first");
    let rest: BTreeSet<_> = found[2..].iter().map(|position| position.partition).collect();
    assert_eq!(
        (found.len(), rest),
        (4, BTreeSet::from([primary, copy])),
        "copies are found too"
    );
    assert_eq!(find(&subject, BUS, 5, 1).await, [again[1]], "at most the limit");
    assert_eq!(find(&subject, BUS, 5, 0).await, []);
    assert_eq!(find(&subject, BUS, 99, 9).await, []);
    assert_eq!(find(&subject, BUS + 1, 5, 9).await, [], "another bus");

    subject
        .journal
        .trim(primary, again[1].offset)
        .await
        .expect("it is trimmed");
    let readable: BTreeSet<_> = find(&subject, BUS, 5, 9)
        .await
        .into_iter()
        .map(|position| position.partition)
        .collect();
    assert_eq!(readable, BTreeSet::from([primary, copy]));
    assert_eq!(
        find(&subject, BUS, 5, 9).await.len(),
        2,
        "what was trimmed is not found"
    );
    let subject = subject.restart().await;
    assert_eq!(find(&subject, BUS, 5, 9).await.len(), 2, "after a restart as before");
    assert_eq!(
        find(&subject, BUS, 7, 9).await.len(),
        1,
        "the copy; the primary was trimmed"
    );
}

async fn find(subject: &Subject<'_>, bus: u32, id: u64, limit: usize) -> Vec<Position> {
    subject
        .journal
        .find(bus, identity(id).lookup, limit)
        .await
        .expect("it looks")
}

pub(super) async fn a_tail_first_tells_what_holds_records(session: &Session<'_>) {
    let (subject, topic) = Subject::with_topic(session, 4).await;
    for index in [3, 1] {
        subject.append_one(plain(partition(topic, index), b"x")).await;
    }
    let mut tail = subject.journal.tail();
    let first: BTreeSet<_> = tail.next().await.expect("it is open").into_iter().collect();
    assert_eq!(first, BTreeSet::from([partition(topic, 1), partition(topic, 3)]));

    subject.append_one(plain(partition(topic, 2), b"x")).await;
    assert_eq!(tail.next().await, Some(vec![partition(topic, 2)]));

    let subject = subject.restart().await;
    assert_eq!(tail.next().await, None, "the old feed has ended");
    let mut tail = subject.journal.tail();
    assert_eq!(
        tail.next().await.map(|marks| marks.len()),
        Some(3),
        "a new one begins with what is there"
    );
}

pub(super) async fn a_tail_misses_nothing_under_load(session: &Session<'_>) {
    const PARTITIONS: u32 = 5;
    const EACH: usize = 120;
    let (subject, topic) = Subject::with_topic(session, PARTITIONS).await;
    let followers: Vec<_> = (0..2)
        .map(|_| tokio::spawn(follow(Arc::clone(&subject.journal), PARTITIONS as usize * EACH)))
        .collect();
    let mut producers = tokio::task::JoinSet::new();
    for index in 0..PARTITIONS {
        let journal = Arc::clone(&subject.journal);
        producers.spawn(async move {
            for _ in 0..EACH {
                append(&*journal, vec![plain(partition(topic, index), b"x")])
                    .await
                    .expect("it is appended");
            }
        });
    }
    producers.join_all().await;
    for follower in followers {
        follower.await.expect("it sees every record");
    }
}

/// Reads what a tail feed tells of, and nothing else, until it has seen so many records.
async fn follow(journal: Arc<dyn crate::Journal>, wanted: usize) {
    let mut tail = journal.tail();
    let mut next = BTreeMap::<PartitionId, Offset>::new();
    let mut seen = 0;
    while seen < wanted {
        for partition in tail.next().await.expect("the journal is open") {
            let from = next.entry(partition).or_default();
            let read = read_from(&*journal, partition, *from, 4_096).await;
            seen += read.len();
            *from = read.last().map_or(*from, |last| last.offset + 1);
        }
    }
    assert_eq!(seen, wanted);
}
