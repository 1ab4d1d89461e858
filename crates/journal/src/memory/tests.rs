//! What the in-memory engine does beyond the contract: held syncs, poison, kills, damage. The contract itself is the
//! conformance suite's.

use super::*;
use crate::{
    Appended, Deduplicate, EncodedRecord, Entry, Identity,
    conformance::{self, Harness},
    records,
};
use std::sync::atomic::{AtomicI64, Ordering};

const TOPIC: TopicId = TopicId { bus: 1, topic: 7 };
const PARTITION: PartitionId = PartitionId { topic: TOPIC, index: 0 };

/// A journal with one partition, and its clock.
async fn memory() -> (Memory, Arc<AtomicI64>) {
    let clock = Arc::new(AtomicI64::new(1_000));
    let now = Arc::clone(&clock);
    let memory = Memory::new(MemorySettings {
        now: Arc::new(move || now.load(Ordering::Relaxed)),
        ..MemorySettings::default()
    });
    memory.create_topic(TOPIC, 1).await.unwrap();
    (memory, clock)
}

fn event(id: u64) -> Append {
    let record = EncodedRecord::new(None, Some(&id.to_be_bytes()), [].into_iter());
    Append {
        entries: vec![Entry {
            identity: Some(Identity {
                lookup: id,
                unique: u128::from(id),
            }),
            deduplicate: Deduplicate::Yes,
            records: vec![(PARTITION, record)],
        }],
    }
}

async fn append(memory: &Memory, id: u64) -> Result<Appended, Error> {
    Ok(memory.append(event(id))?.await?[0])
}

async fn values(memory: &Memory) -> Vec<u64> {
    let chunk = memory.read(PARTITION, 0, usize::MAX).await.unwrap();
    let values = chunk
        .batches
        .iter()
        .flat_map(records)
        .map(|record| record.value.unwrap().try_into().unwrap());
    values.map(u64::from_be_bytes).collect()
}

#[tokio::test]
async fn a_held_append_is_accepted_and_invisible_until_it_is_synced() {
    let (memory, _) = memory().await;
    memory.hold_sync();
    let mut first = memory.append(event(1)).unwrap();
    let _second = memory.append(event(2)).unwrap();
    assert!(values(&memory).await.is_empty());
    assert_eq!((memory.stats().queued, memory.stats().records), (2, 0));
    let waiting = tokio::time::timeout(Duration::ZERO, &mut first).await;
    assert!(waiting.is_err(), "not durable, not answered");

    assert!(memory.sync_one());
    assert_eq!(first.await.unwrap()[0].position.offset, 0);
    assert_eq!(values(&memory).await, [1]);
    memory.release_sync();
    assert_eq!(values(&memory).await, [1, 2]);
    assert!(!memory.sync_one());
}

#[tokio::test]
async fn a_failed_sync_poisons_what_waits_and_what_comes() {
    let (memory, _) = memory().await;
    append(&memory, 1).await.unwrap();
    memory.hold_sync();
    let waiting = memory.append(event(2)).unwrap();
    memory.poison("disk on fire");
    assert!(matches!(waiting.await, Err(Error::Poisoned { .. })));
    assert!(matches!(memory.append(event(3)), Err(Error::Poisoned { .. })));
    assert!(matches!(memory.health(), Health::Poisoned { .. }));
    assert_eq!(values(&memory).await, [1]);
}

#[tokio::test]
async fn a_shutdown_finishes_what_is_held() {
    let (memory, _) = memory().await;
    memory.hold_sync();
    let waiting = memory.append(event(1)).unwrap();
    memory.shutdown().await.unwrap();
    assert!(waiting.await.is_ok());
    assert_eq!(values(&memory.reopen()).await, [1]);
}

#[tokio::test]
async fn a_kill_loses_what_was_only_accepted_and_its_identity() {
    let (memory, _) = memory().await;
    append(&memory, 1).await.unwrap();
    memory.hold_sync();
    let lost = memory.append(event(2)).unwrap();
    let reopened = memory.reopen();
    assert!(matches!(lost.await, Err(Error::Closed)));
    assert!(matches!(memory.append(event(3)), Err(Error::Closed)));
    assert_eq!(values(&reopened).await, [1]);
    assert!(append(&reopened, 1).await.unwrap().duplicate);
    let again = append(&reopened, 2).await.unwrap();
    assert_eq!((again.position.offset, again.duplicate), (1, false));
}

#[tokio::test]
async fn a_damaged_range_stops_a_read_before_it_and_fails_one_inside() {
    let (memory, _) = memory().await;
    for id in 0..4 {
        append(&memory, id).await.unwrap();
    }
    let damage = memory.inject_damage(PARTITION, 1, 3, "a flipped bit").unwrap();
    assert_eq!((damage.from, damage.to), (1, 3));
    assert_eq!(memory.damage(), std::slice::from_ref(&damage));
    assert_eq!(memory.read(PARTITION, 0, usize::MAX).await.unwrap().next, 1);
    assert!(matches!(memory.read(PARTITION, 2, 1).await, Err(Error::Damaged(found)) if found == damage));
    assert_eq!(memory.read(PARTITION, damage.to, usize::MAX).await.unwrap().next, 4);
    assert!(memory.find(1, 1, 9).await.unwrap().is_empty());
    assert_eq!(memory.inject_damage(PARTITION, 4, 9, "nothing there"), None);
}

#[tokio::test]
async fn refusals_come_as_they_were_ordered() {
    let (memory, _) = memory().await;
    memory.fail_next_append(Error::Busy {
        retry_after: Duration::from_secs(1),
    });
    assert!(matches!(append(&memory, 1).await, Err(Error::Busy { .. })));
    memory.set_health(Health::OutOfSpace { free: 1, needed: 2 });
    assert!(matches!(
        append(&memory, 1).await,
        Err(Error::OutOfSpace { free: 1, needed: 2 })
    ));
    memory.set_health(Health::Serving);
    assert!(
        !append(&memory, 1).await.unwrap().duplicate,
        "a refused request leaves no identity"
    );
}

#[tokio::test]
async fn a_full_queue_refuses() {
    let memory = Memory::new(MemorySettings {
        queued_max: 1,
        ..MemorySettings::default()
    });
    memory.create_topic(TOPIC, 1).await.unwrap();
    memory.hold_sync();
    let _first = memory.append(event(1)).unwrap();
    assert!(matches!(memory.append(event(2)), Err(Error::Busy { .. })));
}

#[tokio::test]
async fn append_time_follows_the_clock_but_never_back_and_the_window_ends() {
    let (memory, clock) = memory().await;
    assert_eq!(append(&memory, 1).await.unwrap().append_time, 1_000);
    clock.store(10, Ordering::Relaxed);
    assert_eq!(append(&memory, 2).await.unwrap().append_time, 1_000);
    clock.store(1_000 + 5 * 60_000, Ordering::Relaxed);
    assert!(append(&memory, 1).await.unwrap().duplicate);
    clock.fetch_add(1, Ordering::Relaxed);
    assert!(!append(&memory, 1).await.unwrap().duplicate);
}

#[tokio::test]
#[should_panic(expected = "differ")]
async fn an_identity_that_a_rebuilt_index_would_not_have_is_noticed() {
    let memory = Memory::new(MemorySettings {
        identify: Some(|_, _| None),
        ..MemorySettings::default()
    });
    memory.create_topic(TOPIC, 1).await.unwrap();
    let _ = append(&memory, 1).await;
}

#[tokio::test]
async fn topics_that_the_store_lacks_are_forgotten() {
    let (memory, _) = memory().await;
    append(&memory, 1).await.unwrap();
    let reopened = memory.reopen();
    reopened.retain_topics(&[]);
    assert!(matches!(reopened.bounds(PARTITION), Err(Error::UnknownPartition(_))));
    assert!(reopened.find(1, 1, 9).await.unwrap().is_empty());
}

/// The suite's way to a journal that keeps its data over restarts.
fn harness() -> Harness {
    let kept = Arc::new(Mutex::new(fresh()));
    let (opened, wiped, held) = (Arc::clone(&kept), Arc::clone(&kept), kept);
    Harness {
        open: Box::new(move |topics| {
            let mut kept = opened.lock().unwrap();
            *kept = kept.reopen();
            kept.retain_topics(&topics.iter().map(|(topic, _)| *topic).collect::<Vec<_>>());
            let journal: Arc<dyn Journal> = Arc::new(kept.clone());
            done(Ok(journal))
        }),
        wipe: Box::new(move || *wiped.lock().unwrap() = fresh()),
        hold_sync: Some(Box::new(move |hold| {
            let memory = held.lock().unwrap();
            if hold {
                memory.hold_sync()
            } else {
                memory.release_sync()
            }
        })),
    }
}

fn fresh() -> Memory {
    Memory::new(MemorySettings {
        identify: Some(conformance::identify),
        ..MemorySettings::default()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract() {
    conformance::run(&harness()).await;
}
