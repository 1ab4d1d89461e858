//! What the store costs on this machine: `cargo run --release -p store --example measure [directory]`.
//!
//! It parks rows of 1 KiB in batches, one caller and then eight, and records attempts.

use bytes::Bytes;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use store::{
    DeliveryKey, Embedded, Error, Mark, Operation, Parked, Partition, Settings, Store,
    attempts::{Attempt, AttemptHistory, AttemptOutcome, AttemptSettings},
};

const BATCHES: u64 = 200;
const ATTEMPTS: u64 = 200_000;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let directory = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = directory.join(format!("store-measure-{}", std::process::id()));
    std::fs::create_dir(&directory).map_err(|error| Error::Engine(error.to_string()))?;
    let outcome = measure(&directory).await;
    std::fs::remove_dir_all(&directory).map_err(|error| Error::Engine(error.to_string()))?;
    outcome
}

async fn measure(directory: &Path) -> Result<(), Error> {
    let store = Arc::new(Embedded::open(&directory.join("store"), Settings::default())?);
    for batch in [1, 10, 100] {
        parking(&store, batch, batch).await?;
    }
    unparking(&store).await?;
    eight_callers(&store).await?;
    reading(&store).await?;
    store.shutdown().await?;
    let started = Instant::now();
    Embedded::open(&directory.join("store"), Settings::default())?
        .shutdown()
        .await?;
    println!("open and close again: {:?}", started.elapsed());
    attempts(&directory.join("attempts")).await
}

async fn parking(store: &Embedded, subscription: u64, batch: u64) -> Result<(), Error> {
    let started = Clock::now();
    for number in 0..BATCHES {
        let rows = (number * batch..(number + 1) * batch).flat_map(|offset| parked(subscription, offset));
        store.apply(1, rows.collect()).await?;
    }
    say(&format!("park and mark, batches of {batch}"), &started, BATCHES * batch);
    Ok(())
}

async fn unparking(store: &Embedded) -> Result<(), Error> {
    let started = Clock::now();
    for number in 0..BATCHES {
        let keys = (number * 100..(number + 1) * 100).map(|offset| key(100, offset));
        store.apply(1, keys.map(Operation::Unpark).collect()).await?;
    }
    say("unpark, batches of 100", &started, BATCHES * 100);
    Ok(())
}

async fn eight_callers(store: &Arc<Embedded>) -> Result<(), Error> {
    let started = Clock::now();
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..8 {
        let store = Arc::clone(store);
        callers.spawn(async move {
            for offset in 0..BATCHES {
                let rows = parked(1_000 + u64::from(caller), offset).into_iter().collect();
                store.apply(caller, rows).await?;
            }
            Ok::<_, Error>(())
        });
    }
    callers.join_all().await.into_iter().collect::<Result<Vec<_>, _>>()?;
    say("park and mark one at a time, 8 callers", &started, BATCHES * 8);
    Ok(())
}

async fn reading(store: &Embedded) -> Result<(), Error> {
    let started = Clock::now();
    for _ in 0..BATCHES {
        store
            .parked(1_000, store::Portion::Except(Vec::new()), i64::MAX, 100)
            .await?;
    }
    say("read parked, 100 at a time", &started, BATCHES * 100);
    Ok(())
}

async fn attempts(directory: &Path) -> Result<(), Error> {
    let history = AttemptHistory::open(directory, AttemptSettings::default())?;
    let started = Clock::now();
    for number in 0..ATTEMPTS {
        history.record(attempt(number));
        if number % 10_000 == 9_999 {
            history.flush().await;
        }
    }
    say("record attempts, 1 in 100 failed", &started, ATTEMPTS);
    let started = Instant::now();
    let found = history.find(hash(ATTEMPTS / 2), 0, i64::MAX).await?.len();
    println!(
        "find {found} among {ATTEMPTS}: {:?}; {:?}",
        started.elapsed(),
        history.counts()
    );
    history.shutdown().await;
    Ok(())
}

fn say(what: &str, started: &Clock, rows: u64) {
    let each = |time: Duration| time.as_secs_f64() * 1e6 / rows as f64;
    let (wall, cpu) = (
        each(started.wall.elapsed()),
        each(cpu_time().saturating_sub(started.cpu)),
    );
    println!("{what}: {wall:.2} µs each, {cpu:.2} µs of CPU");
}

struct Clock {
    wall: Instant,
    cpu: Duration,
}

impl Clock {
    fn now() -> Self {
        Self {
            wall: Instant::now(),
            cpu: cpu_time(),
        }
    }
}

/// What this process has used, in steps of 10 ms; zero where there is no `/proc`.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat
        .split_whitespace()
        .skip(13)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok());
    Duration::from_millis(10 * ticks.sum::<u64>())
}

fn key(subscription: u64, offset: u64) -> DeliveryKey {
    DeliveryKey {
        subscription,
        partition: Partition { topic: 1, index: 0 },
        offset,
        replay: 0,
    }
}

fn parked(subscription: u64, offset: u64) -> [Operation; 2] {
    let key = key(subscription, offset);
    let parked = Parked {
        key,
        due: (hash(offset) % 1_000_000).cast_signed(),
        attempts: 3,
        first_attempt: Some(1),
        appended: 1,
        age_from_first_attempt: false,
        version: 1,
        order: None,
        edits: 0,
        reason: "http_503".to_owned(),
        record: Bytes::from(vec![7; 1_024]),
    };
    [
        Operation::Park(parked),
        Operation::Mark(Mark {
            key,
            ending: store::Ending::Parked,
        }),
    ]
}

fn hash(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31)
}

fn attempt(number: u64) -> Attempt {
    let failed = number.is_multiple_of(100);
    Attempt {
        replay: 0,
        edits: 0,
        event_hash: hash(number),
        subscription: number % 10,
        partition: Partition {
            topic: 1,
            index: (number % 12) as u32,
        },
        offset: number / 12,
        attempt: 1,
        started: number.cast_signed(),
        duration_micros: (hash(number) % 5_000) as u32,
        outcome: if failed {
            AttemptOutcome::Retry
        } else {
            AttemptOutcome::Delivered
        },
        status: Some(if failed { 503 } else { 204 }),
        version: 3,
        reason: if failed { "http_503".to_owned() } else { String::new() },
        answer: if failed {
            Bytes::from_static(b"Service Unavailable")
        } else {
            Bytes::new()
        },
    }
}
