//! Topics, trimming, restarts, shutdown.

use super::{BUS, Session, Subject, append, event, expected, identity, partition, plain, topic};
use crate::{Append, Error, Health, PartitionId, SegmentInfo};

pub(super) async fn a_topic_is_created_grown_and_never_shrunk(session: &Session<'_>) {
    let (mut subject, first) = Subject::with_topic(session, 2).await;
    let all = |partitions: u32| (0..partitions).map(|index| partition(first, index)).collect::<Vec<_>>();
    let sorted = |mut partitions: Vec<PartitionId>| {
        partitions.sort_unstable();
        partitions
    };
    assert_eq!(sorted(subject.journal.partitions()), all(2));
    subject.append_one(plain(partition(first, 1), b"kept")).await;
    for (asked, has) in [(2, 2), (5, 5), (1, 5), (0, 5)] {
        subject.create(first, asked).await;
        assert_eq!(sorted(subject.journal.partitions()), all(has), "{asked} asked for");
    }
    assert_eq!(subject.read_all(partition(first, 1)).await.len(), 1);
    subject.append_one(plain(partition(first, 4), b"grown")).await;
    let subject = subject.restart().await;
    assert_eq!(sorted(subject.journal.partitions()), all(5));
}

pub(super) async fn a_deleted_topic_is_gone_and_others_are_not(session: &Session<'_>) {
    let (mut subject, kept) = Subject::with_topic(session, 1).await;
    let deleted = topic(2);
    subject.create(deleted, 2).await;
    let (here, there) = (partition(kept, 0), partition(deleted, 1));
    subject
        .append(vec![event(1, &[here]), event(2, &[there]), event(3, &[here, there])])
        .await;
    subject.delete(deleted).await;
    for restarted in [false, true] {
        assert_eq!(subject.journal.partitions(), [here], "restarted: {restarted}");
        assert!(matches!(subject.journal.bounds(there), Err(Error::UnknownPartition(_))));
        assert!(matches!(
            subject.journal.read(there, 0, 1).await,
            Err(Error::UnknownPartition(_))
        ));
        let refused = append(&*subject.journal, vec![plain(there, b"x")]).await;
        assert!(matches!(refused, Err(Error::UnknownPartition(_))));
        assert_eq!(subject.read_all(here).await.len(), 2);
        if subject.journal.capabilities().find_by_identity {
            let found = subject
                .journal
                .find(BUS, identity(3).lookup, 9)
                .await
                .expect("it looks");
            assert_eq!(found.len(), 1, "only in the topic that is left");
        }
        if !restarted {
            subject = subject.restart().await;
        }
    }
    subject.delete(deleted).await;
}

pub(super) async fn segments_are_in_order_and_trimming_moves_the_start(session: &Session<'_>) {
    let (subject, topic) = Subject::with_topic(session, 2).await;
    let (trimmed, other) = (partition(topic, 0), partition(topic, 1));
    for n in 0_u8..40 {
        subject
            .append(vec![
                plain(trimmed, &[n; 500]),
                plain(trimmed, &[n]),
                plain(other, &[n]),
            ])
            .await;
    }
    let all = subject.read_all(trimmed).await;
    assert_segments(&subject, trimmed);
    for (cut, first) in [(0, 0), (30, 30), (31, 31), (7, 31), (60, 60)] {
        subject
            .journal
            .trim(trimmed, all[cut].offset)
            .await
            .expect("it is trimmed");
        let bounds = subject.journal.bounds(trimmed).expect("it exists");
        assert_eq!(bounds.start, all[first].offset, "trimmed to record {cut}");
        assert_eq!(subject.read_all(trimmed).await, all[first..]);
        assert_segments(&subject, trimmed);
    }
    assert_eq!(subject.read_all(other).await.len(), 40);
    let subject = subject.restart().await;
    assert_eq!(subject.read_all(trimmed).await, all[60..]);
    assert_eq!(subject.read_all(other).await.len(), 40);
    assert_segments(&subject, trimmed);
}

fn assert_segments(subject: &Subject<'_>, partition: PartitionId) {
    let segments = subject.journal.segments(partition).expect("it exists");
    let bounds = subject.journal.bounds(partition).expect("it exists");
    let in_order = |a: &SegmentInfo, b: &SegmentInfo| a.next <= b.base && a.newest <= b.newest && !a.active;
    assert!(segments.is_sorted_by(in_order), "{segments:?}");
    for segment in &segments {
        assert!(
            segment.base < segment.next && segment.next <= bounds.high_water && segment.bytes > 0,
            "{segment:?}"
        );
        assert!(segment.next > bounds.start, "{segment:?} lies below {bounds:?}");
    }
}

pub(super) async fn trimming_everything_reuses_no_offset(session: &Session<'_>) {
    let (mut subject, topic) = Subject::with_topic(session, 1).await;
    let partition = partition(topic, 0);
    let mut last = None;
    for round in 0..3 {
        for _ in 0..5 {
            let appended = subject.append_one(plain(partition, b"x")).await;
            assert!(
                Some(appended.position.offset) > last,
                "round {round} reuses {appended:?}"
            );
            last = Some(appended.position.offset);
        }
        let high_water = subject.journal.bounds(partition).expect("it exists").high_water;
        // Beyond the end is the end.
        subject
            .journal
            .trim(partition, high_water + 10 * round)
            .await
            .expect("it is trimmed");
        let bounds = subject.journal.bounds(partition).expect("it exists");
        assert_eq!((bounds.start, bounds.high_water), (high_water, high_water));
        assert_eq!(subject.read_all(partition).await, []);
        assert_eq!(subject.journal.segments(partition).expect("it exists"), []);
        subject = subject.restart().await;
        assert_eq!(
            subject.journal.bounds(partition).expect("it exists"),
            bounds,
            "after a restart as before"
        );
    }
}

pub(super) async fn a_restart_keeps_everything(session: &Session<'_>) {
    let (mut subject, topic) = Subject::with_topic(session, 4).await;
    let mut wanted: [Vec<_>; 4] = Default::default();
    let mut id = 0;
    for _ in 0..4 {
        for index in [0, 1, 0, 3] {
            let entry = event(id, &[partition(topic, index)]);
            let appended = subject.append_one(entry.clone()).await;
            let record = expected(&appended, &entry.records[0].1);
            let all = &mut wanted[index as usize];
            assert!(all.last().is_none_or(|last: &super::Seen| last.offset < record.offset));
            all.push(record);
            id += 1;
        }
        let newest = subject.journal.now();
        subject = subject.restart().await;
        for (index, wanted) in (0..).zip(&wanted) {
            assert_eq!(
                &subject.read_all(partition(topic, index)).await,
                wanted,
                "partition {index}"
            );
        }
        assert!(subject.journal.now() >= newest.min(wanted[3].last().expect("one each round").append_time));
        assert_eq!(subject.journal.health(), Health::Serving);
        assert_eq!(subject.journal.damage(), []);
    }
}

pub(super) async fn a_shutdown_finishes_what_was_accepted(session: &Session<'_>) {
    let (subject, topic) = Subject::with_topic(session, 1).await;
    let partition = partition(topic, 0);
    let accept = |n: u8| {
        let entries = vec![plain(partition, &[n])];
        subject
            .journal
            .append(Append { entries })
            .expect("a short queue takes it")
    };
    let accepted: Vec<_> = (0..20).map(accept).collect();
    subject.journal.shutdown().await.expect("it shuts down");
    for durable in accepted {
        durable.await.expect("what was accepted is finished");
    }
    let subject = subject.restart().await;
    assert_eq!(subject.read_all(partition).await.len(), 20);
}

pub(super) async fn a_closed_journal_says_so(session: &Session<'_>) {
    let (subject, topic) = Subject::with_topic(session, 1).await;
    let partition = partition(topic, 0);
    assert_eq!(subject.journal.health(), Health::Serving);
    let mut tail = subject.journal.tail();
    for _ in 0..2 {
        subject.journal.shutdown().await.expect("it shuts down, and again");
    }
    assert_eq!(subject.journal.health(), Health::Closed);
    let refused = append(&*subject.journal, vec![plain(partition, b"x")]).await;
    assert!(matches!(refused, Err(Error::Closed)), "{refused:?}");
    assert_eq!(tail.next().await, None);
    assert_eq!(subject.journal.tail().next().await, None);
}

pub(super) async fn counters_count(session: &Session<'_>) {
    let (subject, topic) = Subject::with_topic(session, 1).await;
    let partition = partition(topic, 0);
    let before = subject.journal.stats();
    for id in [1, 2, 1] {
        subject.append_one(event(id, &[partition])).await;
    }
    let after = subject.journal.stats();
    let deduplicates = u64::from(subject.journal.capabilities().deduplication);
    assert_eq!(after.records - before.records, 3 - deduplicates);
    assert_eq!(after.duplicates - before.duplicates, deduplicates);
    assert!(after.bytes > before.bytes && after.syncs > before.syncs);
    let space = subject.journal.disk_space();
    assert!(space.total > 0 && space.free <= space.total);
}
