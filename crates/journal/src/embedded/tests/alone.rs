//! A caller that is alone commits on its own thread; nobody who comes meanwhile is forgotten, and nothing of it is left at the end.

use super::{damage::now, small};
use crate::{
    Append, Appended, BoxFuture, Deduplicate, Durable, EncodedRecord, Entry, Error, Health, Journal, PartitionId,
    TopicId, conformance,
    embedded::{Disk, Embedded, Fault, Operation, Settings, SimulatedDisk},
};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

const TOPIC: TopicId = TopicId { bus: 1, topic: 1 };
const PARTITION: PartitionId = PartitionId { topic: TOPIC, index: 0 };

/// Of a thousand appends, one after the other, some find nobody else at work.
const TRIES: u64 = 1_000;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn settings(disk: &SimulatedDisk) -> Settings {
    Settings {
        disk: Disk::Simulated(disk.clone()),
        ..small("data")
    }
}

fn open(disk: &SimulatedDisk) -> Arc<Embedded> {
    Arc::new(Embedded::open(settings(disk), &[(TOPIC, 1)]).unwrap())
}

fn request(number: u64) -> Append {
    let id = number.to_be_bytes();
    let record = EncodedRecord::new(None, Some(&[7; 100]), [("id", Some(id.as_slice()))].into_iter());
    Append {
        entries: vec![Entry {
            identity: conformance::identify(TOPIC, &record.view(0, 0)).map(|(identity, _)| identity),
            deduplicate: Deduplicate::Yes,
            records: vec![(PARTITION, record)],
        }],
    }
}

fn append(journal: &Embedded, number: u64) -> Durable {
    journal.append(request(number)).unwrap()
}

/// What the first poll of an append gives.
fn first_poll(durable: &mut Durable) -> Option<Result<Vec<Appended>, Error>> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match durable.as_mut().poll(&mut context) {
        std::task::Poll::Ready(outcome) => Some(outcome),
        std::task::Poll::Pending => None,
    }
}

/// Appends until the caller is taken to be alone; the number after the last one.
async fn until_alone(journal: &Embedded) -> u64 {
    for number in 0..TRIES {
        let mut durable = append(journal, number);
        match first_poll(&mut durable) {
            Some(outcome) => {
                outcome.unwrap();
                // A thread that is quick could have done it once, but not time after time.
                if (1..4).all(|next| first_poll(&mut append(journal, TRIES + number * 4 + next)).is_some()) {
                    return TRIES * 10;
                }
            }
            None => drop(durable.await.unwrap()),
        }
    }
    panic!("it was never alone");
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it comes to its end")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_is_alone_has_its_answer_at_the_first_poll() {
    let journal = open(&SimulatedDisk::new(1));
    let first = until_alone(&journal).await;
    for number in first..first + 100 {
        let appended = now(append(&journal, number)).unwrap();
        let bounds = journal.bounds(PARTITION).unwrap();
        assert_eq!(bounds.high_water, appended[0].position.offset + 1, "it is shown");
    }
    let again = now(append(&journal, first)).unwrap();
    assert!(again[0].duplicate);
    journal.shutdown().await.unwrap();
}

#[tokio::test]
async fn on_a_runtime_of_one_thread_nobody_is_held_up() {
    let journal = open(&SimulatedDisk::new(1));
    for number in 0..100 {
        append(&journal, number).await.unwrap();
    }
    assert_eq!(journal.bounds(PARTITION).unwrap().high_water, 100);
    journal.shutdown().await.unwrap();
}

/// How often this thread has panicked from here on, caught or not.
fn panics_of_this_thread() -> Arc<AtomicU64> {
    let (panics, thread) = (Arc::new(AtomicU64::new(0)), std::thread::current().id());
    let (counted, before) = (panics.clone(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        counted.fetch_add(u64::from(std::thread::current().id() == thread), Relaxed);
        before(panic);
    }));
    panics
}

#[test]
fn what_is_asked_for_outside_a_runtime_may_be_awaited_in_one_of_one_thread() {
    let panics = panics_of_this_thread();
    let journal = open(&SimulatedDisk::new(1));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for number in 0..100 {
        let durable = append(&journal, number);
        runtime.block_on(durable).unwrap();
    }
    assert_eq!(journal.bounds(PARTITION).unwrap().high_water, 100);
    runtime.block_on(journal.shutdown()).unwrap();
    assert_eq!(panics.load(Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_nobody_waits_for_is_done_all_the_same() {
    let journal = open(&SimulatedDisk::new(1));
    let first = until_alone(&journal).await;
    let before = journal.bounds(PARTITION).unwrap().high_water;
    for number in first..first + 20 {
        drop(append(&journal, number));
        let wanted = before + 1 + number - first;
        in_time(async {
            while journal.bounds(PARTITION).unwrap().high_water < wanted {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_in_which_appends_are_awaited_is_free() {
    let journal = open(&SimulatedDisk::new(1));
    let first = until_alone(&journal).await;
    for number in (first..first + 90).step_by(3) {
        let [a, b, c] = [0, 1, 2].map(|place| append(&journal, number + place));
        let mut offsets = Vec::new();
        for durable in [c, a, b] {
            offsets.push(in_time(durable).await.unwrap()[0].position.offset);
        }
        assert!(offsets[1] < offsets[2] && offsets[2] < offsets[0], "{offsets:?}");
    }
}

/// One appends steadily, others in bursts between which it is alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_and_threads_commit_in_turns_and_lose_nothing() {
    let disk = SimulatedDisk::new(1);
    let journal = open(&disk);
    let caller = |from: u64, count: u64, pause: u64| -> BoxFuture<'static, Vec<u64>> {
        let journal = journal.clone();
        Box::pin(async move {
            let mut offsets = Vec::new();
            for number in from..from + count {
                offsets.push(append(&journal, number).await.unwrap()[0].position.offset);
                for _ in 0..(number % 7) * pause {
                    tokio::task::yield_now().await;
                }
            }
            offsets
        })
    };
    let callers: Vec<_> = [(0, 2_000, 0), (10_000, 500, 20), (20_000, 500, 50), (30_000, 300, 90)]
        .map(|(from, count, pause)| tokio::spawn(caller(from, count, pause)))
        .into();
    let mut offsets = BTreeSet::new();
    for caller in callers {
        offsets.extend(in_time(caller).await.unwrap());
    }
    assert_eq!(offsets.len(), 3_300, "no offset is given twice");
    journal.shutdown().await.unwrap();
    let disk = disk.kill_process();
    let again = open(&disk);
    assert_eq!(again.bounds(PARTITION).unwrap().high_water, 3_300);
    again.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_shutdown_waits_for_the_caller_that_commits() {
    for round in 0..20 {
        let disk = SimulatedDisk::new(round);
        let journal = open(&disk);
        let appending = tokio::spawn({
            let journal = journal.clone();
            async move {
                let mut acknowledged = 0;
                while let Ok(durable) = journal.append(request(acknowledged)) {
                    match durable.await {
                        Ok(_) => acknowledged += 1,
                        Err(error) => panic!("what was taken is committed: {error}"),
                    }
                }
                acknowledged
            }
        });
        while journal.bounds(PARTITION).unwrap().high_water < 50 + round {
            tokio::task::yield_now().await;
        }
        in_time(journal.shutdown()).await.unwrap();
        let acknowledged = in_time(appending).await.unwrap();
        let disk = disk.kill_process();
        let again = open(&disk);
        assert_eq!(
            again.bounds(PARTITION).unwrap().high_water,
            acknowledged,
            "round {round}"
        );
        again.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_while_a_caller_commits_is_the_journals_and_not_the_callers() {
    let disk = SimulatedDisk::new(1);
    let journal = open(&disk);
    let next = until_alone(&journal).await;
    disk.set_fault(Some(Fault {
        operation: Operation::Write,
        name: ".frames".to_owned(),
        bytes: 0..u64::MAX,
        code: None,
    }));
    let outcome = now(append(&journal, next));
    assert!(matches!(outcome, Err(Error::Poisoned { .. })), "{outcome:?}");
    assert!(matches!(journal.health(), Health::Poisoned { .. }));
    assert!(matches!(journal.append(request(next + 1)), Err(Error::Poisoned { .. })));
    assert!(in_time(journal.shutdown()).await.is_err());
}
