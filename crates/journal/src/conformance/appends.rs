//! Appends: order, wholeness, durability before visibility.

use super::{
    BUS, Random, Session, Subject, append, event, expected, identity, is_waiting, partition, plain, read_from, record,
    topic,
};
use crate::{Append, Appended, Deduplicate, EncodedRecord, Entry, Error, PartitionId, Position};
use std::{collections::BTreeMap, sync::Arc};

/// Producers at once, and what each appends.
const PRODUCERS: u32 = 8;
const APPENDS_EACH: u32 = 40;

pub(super) async fn records_come_back_at_their_positions_byte_for_byte(session: &Session<'_>) {
    let (subject, topic) = Subject::with_topic(session, 1).await;
    let partition = partition(topic, 0);
    let repeated = [
        ("h", Some(&b"1"[..])),
        ("h", None),
        ("", Some(b"")),
        ("größe", Some(&[0, 255])),
    ];
    let bodies = [
        EncodedRecord::new(None, None, [].into_iter()),
        EncodedRecord::new(Some(b""), Some(b""), [].into_iter()),
        EncodedRecord::new(Some(b"key"), Some(&Random(1).bytes(5_000)), repeated.into_iter()),
        EncodedRecord::new(None, Some(&[0; 100_000]), [].into_iter()),
    ];
    let mut wanted = Vec::new();
    for body in &bodies {
        let entry = Entry {
            identity: None,
            deduplicate: Deduplicate::No,
            records: vec![(partition, body.clone())],
        };
        let appended = subject.append_one(entry).await;
        assert_eq!((appended.position.partition, appended.duplicate), (partition, false));
        wanted.push(expected(&appended, body));
    }
    assert_eq!(subject.read_all(partition).await, wanted);
}

pub(super) async fn offsets_follow_the_order_of_acceptance(session: &Session<'_>) {
    let (subject, topic) = Subject::with_topic(session, 1).await;
    let partition = partition(topic, 0);
    let accept = |from: u64| {
        let entries = (from..from + 3).map(|n| plain(partition, &n.to_be_bytes())).collect();
        subject
            .journal
            .append(Append { entries })
            .expect("a short queue takes it")
    };
    let accepted: Vec<_> = (0..100).map(|n| accept(n * 3)).collect();
    let mut offsets = Vec::new();
    for durable in accepted {
        let outcome = durable.await.expect("it is appended");
        offsets.extend(outcome.iter().map(|appended| appended.position.offset));
    }
    assert!(
        offsets.is_sorted_by(|a, b| a < b),
        "accepted earlier, placed earlier: {offsets:?}"
    );
    let seen = subject.read_all(partition).await;
    assert_eq!(seen.len(), 300);
    for ((n, offset), seen) in (0_u64..).zip(offsets).zip(seen) {
        assert_eq!(
            (seen.offset, &seen.body),
            (offset, record(None, &n.to_be_bytes()).as_bytes())
        );
    }
}

pub(super) async fn concurrent_producers_keep_their_order_and_share_no_offset(session: &Session<'_>) {
    let (subject, topic) = Subject::with_topic(session, 3).await;
    let mut producers = tokio::task::JoinSet::new();
    for producer in 0..PRODUCERS {
        let journal = Arc::clone(&subject.journal);
        producers.spawn(async move {
            let mut outcomes = Vec::new();
            for n in 0..APPENDS_EACH {
                let target = partition(topic, (producer + n) % 3);
                let value = u64::from(producer) << 32 | u64::from(n);
                let outcome = append(&*journal, vec![plain(target, &value.to_be_bytes())]).await;
                outcomes.push((value, outcome.expect("it is appended")[0]));
            }
            outcomes
        });
    }
    let mut placed = BTreeMap::new();
    for outcomes in producers.join_all().await {
        assert_increasing(&outcomes);
        for (value, appended) in outcomes {
            let before = placed.insert(appended.position, (value, appended));
            assert!(before.is_none(), "{:?} was given twice", appended.position);
        }
    }
    for index in 0..3 {
        let partition = partition(topic, index);
        let mine = placed
            .range(first_of(partition)..)
            .take_while(|(position, _)| position.partition == partition);
        let wanted: Vec<_> = mine
            .map(|(_, (value, appended))| expected(appended, &record(None, &value.to_be_bytes())))
            .collect();
        assert_eq!(subject.read_all(partition).await, wanted);
    }
}

fn first_of(partition: PartitionId) -> Position {
    Position { partition, offset: 0 }
}

/// One producer that waits for each answer sees its offsets grow.
fn assert_increasing(outcomes: &[(u64, Appended)]) {
    let mut last = BTreeMap::new();
    for (_, Appended { position, .. }) in outcomes {
        if let Some(before) = last.insert(position.partition, position.offset) {
            assert!(before < position.offset, "{position:?} after {before}");
        }
    }
}

pub(super) async fn a_request_over_several_topics_lands_whole(session: &Session<'_>) {
    let mut subject = Subject::start(session).await;
    if !subject.journal.capabilities().atomic_over_topics {
        return;
    }
    for number in 1..=3 {
        subject.create(topic(number), 2).await;
    }
    let routes: Vec<_> = (1..=3).map(|number| partition(topic(number), number % 2)).collect();
    let outcome = subject
        .append(vec![event(1, &routes), plain(routes[2], b"x"), event(2, &routes[1..])])
        .await;
    let primaries: Vec<_> = outcome.iter().map(|appended| appended.position.partition).collect();
    assert_eq!(
        primaries,
        [routes[0], routes[2], routes[1]],
        "an outcome per entry, in order, of the primary"
    );
    let counts = [1, 2, 3];
    for (route, count) in routes.iter().zip(counts) {
        assert_eq!(subject.read_all(*route).await.len(), count, "{route:?}");
    }
}

pub(super) async fn a_refused_request_changes_nothing(session: &Session<'_>) {
    let (subject, topic) = Subject::with_topic(session, 2).await;
    let (known, unknown) = (partition(topic, 0), partition(topic, 9));
    subject.append_one(plain(known, b"before")).await;
    let before = subject.journal.bounds(known).expect("it exists");

    let refused = append(&*subject.journal, vec![event(1, &[known]), plain(unknown, b"x")]).await;
    assert!(
        matches!(refused, Err(Error::UnknownPartition(id)) if id == unknown),
        "{refused:?}"
    );
    let refused = append(&*subject.journal, vec![event(2, &[known, unknown])]).await;
    assert!(
        matches!(refused, Err(Error::UnknownPartition(id)) if id == unknown),
        "{refused:?}"
    );

    let mebibyte = record(None, &vec![1; 1 << 20]);
    let large = Entry {
        identity: Some(identity(3)),
        deduplicate: Deduplicate::No,
        records: vec![(known, mebibyte); 65],
    };
    let refused = append(&*subject.journal, vec![large]).await;
    assert!(
        matches!(refused, Err(Error::TooLarge { encoded, max }) if encoded > max),
        "{refused:?}"
    );

    assert_eq!(subject.journal.bounds(known).expect("it exists"), before);
    subject.append_one(plain(known, b"after")).await;
    assert_eq!(subject.read_all(known).await.len(), 2);
}

pub(super) async fn an_accepted_append_is_invisible_until_it_is_durable(session: &Session<'_>) {
    let (subject, topic) = Subject::with_topic(session, 1).await;
    let partition = partition(topic, 0);
    subject.append_one(event(1, &[partition])).await;
    let before = subject.journal.bounds(partition).expect("it exists");
    if !subject.hold_sync(true) {
        return;
    }
    let mut tail = subject.journal.tail();
    assert!(tail.next().await.is_some());
    let entries = vec![event(2, &[partition])];
    let mut durable = subject.journal.append(Append { entries }).expect("it is accepted");
    assert!(is_waiting(&mut durable));
    assert_eq!(subject.journal.bounds(partition).expect("it exists"), before);
    assert_eq!(subject.read_all(partition).await.len(), 1);
    if subject.journal.capabilities().find_by_identity {
        let found = subject
            .journal
            .find(BUS, identity(2).lookup, 9)
            .await
            .expect("it looks");
        assert_eq!(found, []);
    }
    assert!(is_waiting(&mut Box::pin(tail.next())));

    subject.hold_sync(false);
    durable.await.expect("it is appended");
    assert_eq!(tail.next().await, Some(vec![partition]));
    assert_eq!(subject.read_all(partition).await.len(), 2);
}

pub(super) async fn a_durable_append_is_visible_at_once(session: &Session<'_>) {
    let (subject, topic) = Subject::with_topic(session, 1).await;
    let partition = partition(topic, 0);
    for id in 0..50 {
        let entry = event(id, &[partition]);
        let appended = subject.append_one(entry.clone()).await;
        let bounds = subject.journal.bounds(partition).expect("it exists");
        assert!(bounds.high_water > appended.position.offset);
        assert_eq!(
            subject.record_at(appended.position).await,
            expected(&appended, &entry.records[0].1)
        );
        if subject.journal.capabilities().find_by_identity {
            let found = subject
                .journal
                .find(BUS, identity(id).lookup, 9)
                .await
                .expect("it looks");
            assert_eq!(found, [appended.position]);
        }
    }
}

pub(super) async fn an_abandoned_append_is_kept(session: &Session<'_>) {
    let (subject, topic) = Subject::with_topic(session, 1).await;
    let partition = partition(topic, 0);
    let entries = vec![plain(partition, b"abandoned")];
    drop(subject.journal.append(Append { entries }).expect("it is accepted"));
    subject.append_one(plain(partition, b"awaited")).await;
    assert_eq!(subject.read_all(partition).await.len(), 2);
}

pub(super) async fn huge_records_are_kept_whole(session: &Session<'_>) {
    let (subject, topic) = Subject::with_topic(session, 1).await;
    let partition = partition(topic, 0);
    let mut random = Random(2);
    let mut wanted = Vec::new();
    for len in [10, 1 << 20, (3 << 20) + 1, 10, 10] {
        let value = random.bytes(len);
        let appended = subject.append_one(plain(partition, &value)).await;
        wanted.push(expected(&appended, &record(None, &value)));
    }
    assert_eq!(subject.read_all(partition).await, wanted);
    // Whatever the bound, a read goes on.
    assert_eq!(
        read_from(&*subject.journal, partition, wanted[0].offset, 1).await,
        wanted
    );
    let together = subject
        .append(wanted.iter().map(|seen| plain(partition, &seen.body)).collect())
        .await;
    assert_eq!(together.len(), wanted.len());
    assert_eq!(subject.read_all(partition).await.len(), 2 * wanted.len());
}

pub(super) async fn a_request_of_many_megabytes_keeps_its_order(session: &Session<'_>) {
    let (subject, topic) = Subject::with_topic(session, 2).await;
    let mut random = Random(4);
    let entries: Vec<_> = (0..1_500)
        .map(|n| {
            let len = random.below(8_000) as usize;
            plain(partition(topic, n % 2), &random.bytes(len))
        })
        .collect();
    let outcome = subject.append(entries.clone()).await;
    for index in 0..2 {
        let partition = partition(topic, index);
        let mine = entries
            .iter()
            .zip(&outcome)
            .filter(|(_, appended)| appended.position.partition == partition);
        let wanted: Vec<_> = mine
            .map(|(entry, appended)| expected(appended, &entry.records[0].1))
            .collect();
        assert_eq!((wanted.len(), subject.read_all(partition).await == wanted), (750, true));
    }
}

pub(super) async fn many_partitions_in_one_request(session: &Session<'_>) {
    const PARTITIONS: u32 = 300;
    let (subject, topic) = Subject::with_topic(session, PARTITIONS).await;
    let targets: Vec<_> = (0..PARTITIONS).map(|index| partition(topic, index)).collect();
    for round in 0_u8..3 {
        let outcome = subject
            .append(targets.iter().map(|target| plain(*target, &[round])).collect())
            .await;
        assert!(
            outcome
                .iter()
                .map(|appended| appended.position.partition)
                .eq(targets.iter().copied())
        );
    }
    for target in targets {
        assert_eq!(subject.read_all(target).await.len(), 3, "{target:?}");
    }
}

pub(super) async fn append_time_never_goes_back(session: &Session<'_>) {
    let (subject, topic) = Subject::with_topic(session, 2).await;
    let mut last = 0;
    for n in 0..30 {
        let now = subject.journal.now();
        let appended = subject.append_one(plain(partition(topic, n % 2), b"x")).await;
        assert!(
            appended.append_time >= last.max(now),
            "{appended:?} after {last}, at {now}"
        );
        last = appended.append_time;
    }
}
