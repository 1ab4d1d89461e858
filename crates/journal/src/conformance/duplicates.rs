//! Deduplication, where it is declared.

use super::{Session, Subject, append, event, is_waiting, partition, plain, topic};
use crate::{Append, Appended, Deduplicate, PartitionId, TopicId};
use std::sync::Arc;

/// A journal with one partition, if it recognises duplicates.
async fn start<'a>(session: &'a Session<'a>) -> Option<(Subject<'a>, PartitionId)> {
    let (subject, topic) = Subject::with_topic(session, 1).await;
    let deduplicates = subject.journal.capabilities().deduplication;
    deduplicates.then_some((subject, partition(topic, 0)))
}

fn duplicate_of(first: Appended) -> Appended {
    Appended {
        duplicate: true,
        ..first
    }
}

pub(super) async fn a_duplicate_gets_the_first_ones_place(session: &Session<'_>) {
    let Some((mut subject, partition)) = start(session).await else {
        return;
    };
    let first = subject.append_one(event(1, &[partition])).await;
    assert!(!first.duplicate);
    subject.append_one(plain(partition, b"between")).await;
    assert_eq!(subject.append_one(event(1, &[partition])).await, duplicate_of(first));

    // An identity is the bus's, wherever the second one is routed to.
    let elsewhere = topic(2);
    subject.create(elsewhere, 1).await;
    let second = subject.append_one(event(1, &[super::partition(elsewhere, 0)])).await;
    assert_eq!(second, duplicate_of(first));

    let mixed = subject
        .append(vec![
            event(2, &[partition]),
            event(1, &[partition]),
            event(3, &[partition]),
        ])
        .await;
    assert_eq!(mixed[1], duplicate_of(first), "an outcome per entry, in order");
    assert!(mixed[0].position < mixed[2].position && !mixed[0].duplicate && !mixed[2].duplicate);
    assert_eq!(subject.read_all(partition).await.len(), 4);
    assert_eq!(subject.read_all(super::partition(elsewhere, 0)).await, []);
}

pub(super) async fn duplicates_within_one_request_are_recognised(session: &Session<'_>) {
    let Some((subject, partition)) = start(session).await else {
        return;
    };
    let outcome = subject
        .append([7, 8, 7, 7].map(|id| event(id, &[partition])).to_vec())
        .await;
    assert_eq!([outcome[2], outcome[3]], [duplicate_of(outcome[0]); 2]);
    assert_eq!(subject.read_all(partition).await.len(), 2);
}

pub(super) async fn concurrent_duplicates_leave_one_record(session: &Session<'_>) {
    let Some((subject, partition)) = start(session).await else {
        return;
    };
    let mut producers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let journal = Arc::clone(&subject.journal);
        producers.spawn(async move {
            let mut outcomes = Vec::new();
            for id in 0..30 {
                let outcome = append(&*journal, vec![event(id, &[partition])]).await;
                outcomes.push(outcome.expect("it is appended")[0]);
            }
            outcomes
        });
    }
    let all = producers.join_all().await;
    for id in 0..30 {
        let firsts = all.iter().filter(|outcomes| !outcomes[id].duplicate).count();
        assert_eq!(firsts, 1, "event {id}");
        assert!(
            all.iter().all(|outcomes| outcomes[id].position == all[0][id].position),
            "event {id}"
        );
    }
    assert_eq!(subject.read_all(partition).await.len(), 30);
}

pub(super) async fn a_duplicate_waits_for_the_first_to_be_durable(session: &Session<'_>) {
    let Some((subject, partition)) = start(session).await else {
        return;
    };
    if !subject.hold_sync(true) {
        return;
    }
    let accept = || {
        let entries = vec![event(1, &[partition])];
        subject.journal.append(Append { entries }).expect("it is accepted")
    };
    let (mut first, mut second) = (accept(), accept());
    assert!(is_waiting(&mut first) && is_waiting(&mut second));
    subject.hold_sync(false);
    let second = second.await.expect("it is known")[0];
    let first = first.await.expect("it is appended")[0];
    assert_eq!(second, duplicate_of(first));
}

pub(super) async fn buses_do_not_share_identities(session: &Session<'_>) {
    let Some((mut subject, here)) = start(session).await else {
        return;
    };
    let there = TopicId { bus: 2, topic: 2 };
    subject.create(there, 1).await;
    let there = partition(there, 0);
    for partition in [here, there] {
        let appended = subject.append_one(event(1, &[partition])).await;
        assert!(!appended.duplicate, "{partition:?}");
        assert_eq!(subject.append_one(event(1, &[partition])).await, duplicate_of(appended));
    }
    assert_eq!(
        (subject.read_all(here).await.len(), subject.read_all(there).await.len()),
        (1, 1)
    );
}

pub(super) async fn what_is_not_to_be_deduplicated_is_always_appended(session: &Session<'_>) {
    let Some((subject, partition)) = start(session).await else {
        return;
    };
    let replayed = || {
        let mut entry = event(1, &[partition]);
        entry.deduplicate = Deduplicate::No;
        entry
    };
    subject.append_one(event(1, &[partition])).await;
    let outcome = subject.append(vec![replayed(), replayed()]).await;
    assert!(outcome.iter().all(|appended| !appended.duplicate));
    let anonymous = || {
        let mut entry = plain(partition, b"no identity");
        entry.deduplicate = Deduplicate::Yes;
        entry
    };
    let outcome = subject.append(vec![anonymous(), anonymous()]).await;
    assert!(outcome.iter().all(|appended| !appended.duplicate));
    assert_eq!(subject.read_all(partition).await.len(), 5);
}

pub(super) async fn a_refused_request_leaves_no_identity(session: &Session<'_>) {
    let Some((subject, partition)) = start(session).await else {
        return;
    };
    let unknown = super::partition(topic(99), 0);
    let refused = append(&*subject.journal, vec![event(1, &[partition]), plain(unknown, b"x")]).await;
    assert!(refused.is_err());
    assert!(!subject.append_one(event(1, &[partition])).await.duplicate);
}

pub(super) async fn a_duplicate_drops_the_copies_too(session: &Session<'_>) {
    let Some((mut subject, primary)) = start(session).await else {
        return;
    };
    let second = topic(2);
    subject.create(second, 1).await;
    let copy = partition(second, 0);
    let first = subject.append_one(event(1, &[primary, copy])).await;
    assert_eq!(
        subject.append_one(event(1, &[primary, copy])).await,
        duplicate_of(first)
    );
    assert_eq!(
        (
            subject.read_all(primary).await.len(),
            subject.read_all(copy).await.len()
        ),
        (1, 1)
    );
}

pub(super) async fn duplicates_are_recognised_after_a_restart(session: &Session<'_>) {
    let Some((subject, partition)) = start(session).await else {
        return;
    };
    let entries = || (0..50).map(|id| event(id, &[partition])).collect();
    let firsts = subject.append(entries()).await;
    let subject = subject.restart().await;
    let seconds = subject.append(entries()).await;
    assert!(seconds.into_iter().eq(firsts.into_iter().map(duplicate_of)));
    assert_eq!(subject.read_all(partition).await.len(), 50);
}
