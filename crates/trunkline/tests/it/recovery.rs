//! How long a start takes: with a gibibyte that no checkpoint covers, and with ten gibibytes of sealed segments. Run by
//! `cargo xtask prove`.
//!
//! A server checkpoints every 256 MiB, so that it never leaves as much behind as is asked for here. Therefore the journal
//! of a real data directory is written by the engine itself, with a later checkpoint, and left as by a crash; the server
//! then recovers it with its own settings.

use crate::support::{percentile, server::Server, setting};
use journal::{
    Append, Deduplicate, Embedded, EncodedRecord, Entry, Identity, Journal, PartitionId, TopicId,
    embedded::{Drive, Settings},
};
use serde_json::json;
use std::{
    path::Path,
    time::{Duration, Instant},
};

const MIB: u64 = 1 << 20;
/// The topic `events` of the bus `default`, as a fresh store numbers them.
const TOPIC: TopicId = TopicId { bus: 1, topic: 1 };
const PARTITIONS: u32 = 12;
/// What a recovery of a gibibyte may take.
const RECOVERY_MAX: Duration = Duration::from_secs(5);
/// What ten gibibytes of sealed segments may add to a start.
const SEALED_MAX: Duration = Duration::from_secs(1);
/// Starts whose median counts: the disk may still be busy with what was just written.
const STARTS: usize = 5;
/// Bytes that one request appends.
const REQUEST_BYTES: u64 = 4 * MIB;

#[test]
#[ignore = "a measurement of a release build: cargo xtask prove recovery"]
fn recovery_of_a_gibibyte_that_no_checkpoint_covers_takes_seconds() {
    let bytes = setting("TRUNKLINE_UNCHECKPOINTED_MIB", 1024) * MIB;
    let directory = tempfile::tempdir().expect("a directory");
    let empty = first_start(directory.path());
    let mut settings = settings(directory.path());
    settings.checkpoint_bytes = 4 * bytes;
    settings.write_ahead_bytes_max = 4 * bytes;
    settings.drive = Drive::Steps;
    let journal = Embedded::open(settings, &[(TOPIC, PARTITIONS)]).expect("it opens");
    let last = fill(&journal, bytes, 1_024);
    // As by a crash: nothing is flushed or closed any more. Only the lock is still this process's.
    std::mem::forget(journal);
    std::fs::remove_file(directory.path().join("journal/lock")).expect("there is a lock");

    let (server, took) = timed_start(directory.path());
    println!(
        "recovery: {} MiB not checkpointed in {took:?} ({empty:?} when empty)",
        bytes / MIB
    );
    assert_is_there(server, &last);
    assert!(took < RECOVERY_MAX, "it took {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement of a release build: cargo xtask prove recovery"]
async fn recovery_after_a_kill_of_a_busy_server() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
    let filler = "x".repeat(9_000);
    let headers = [("content-type", "application/cloudevents-batch+json")];
    // Just short of the second checkpoint: the most that this server leaves behind.
    for batch in 0..54 {
        let event = |number| json!({"specversion": "1.0", "type": "t", "source": "/r", "id": format!("{batch}-{number}"), "data": filler});
        let body = serde_json::Value::Array((0..1_000).map(event).collect()).to_string();
        let answer = server.send("POST", "/v1/buses/default/events", &headers, body).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
    }
    let metrics = server.send("GET", "/metrics", &[], "").await;
    let metrics = String::from_utf8_lossy(&metrics.bytes).into_owned();
    let in_use = metrics
        .lines()
        .find_map(|line| line.strip_prefix("trunkline_journal_write_ahead_bytes "))
        .expect("a figure");
    let in_use = in_use.parse::<f64>().expect("a number") / MIB as f64;
    server.kill();
    let (server, took) = timed_start(directory.path());
    println!("recovery: a killed server with {in_use} MiB of write-ahead files in use in {took:?}");
    server.get("/v1/buses/default/events/53-999").await;
    assert!(took < RECOVERY_MAX, "it took {took:?}");
}

#[test]
#[ignore = "a measurement of a release build: cargo xtask prove recovery"]
fn recovery_over_ten_gibibytes_of_sealed_segments_adds_little() {
    let bytes = setting("TRUNKLINE_SEALED_MIB", 10 * 1024) * MIB;
    let directory = tempfile::tempdir().expect("a directory");
    let empty = first_start(directory.path());
    let journal = Embedded::open(settings(directory.path()), &[(TOPIC, PARTITIONS)]).expect("it opens");
    let last = fill(&journal, bytes, 9_000);
    drop(journal);
    let mut starts: Vec<_> = (0..STARTS)
        .map(|_| {
            let (server, took) = timed_start(directory.path());
            assert_is_there(server, &last);
            took
        })
        .collect();
    let took = percentile(&mut starts, 50);
    println!(
        "recovery: {STARTS} starts over {} MiB of segments in {starts:?} ({empty:?} when empty)",
        bytes / MIB
    );
    assert!(
        took.saturating_sub(empty) < SEALED_MAX,
        "the median is {took:?}, {empty:?} when empty"
    );
}

/// Lets the server make its directory; how long a start takes when there is nothing to recover.
fn first_start(data_dir: &Path) -> Duration {
    let (server, _) = timed_start(data_dir);
    assert_eq!(server.stop(), Some(0));
    let (server, took) = timed_start(data_dir);
    assert_eq!(server.stop(), Some(0));
    took
}

fn timed_start(data_dir: &Path) -> (Server, Duration) {
    let began = Instant::now();
    let server = Server::start(data_dir);
    (server, began.elapsed())
}

fn assert_is_there(server: Server, id: &str) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let story = runtime.block_on(server.get(&format!("/v1/buses/default/events/{id}")));
    assert_eq!(story["stored"].as_array().map(Vec::len), Some(1), "{story}");
}

fn settings(data_dir: &Path) -> Settings {
    Settings::new(data_dir.join("journal"), delivery::identify)
}

/// Appends events of this size until there are so many bytes of them; the last one's id.
fn fill(journal: &Embedded, bytes: u64, size: u64) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let count = bytes / size;
    let data = vec![b'x'; size as usize];
    let mut numbers = (0..count).peekable();
    while numbers.peek().is_some() {
        let entries = numbers
            .by_ref()
            .take((REQUEST_BYTES / size) as usize)
            .map(|number| entry(number, &data));
        let appended = journal
            .append(Append {
                entries: entries.collect(),
            })
            .expect("accepted");
        // Moves a journal without threads; one with threads does so itself.
        while journal.step() {}
        runtime.block_on(appended).expect("durable");
    }
    id(count - 1)
}

fn id(number: u64) -> String {
    format!("filled-{number}")
}

fn entry(number: u64, data: &[u8]) -> Entry {
    let id = id(number);
    let event = event::Event::builder(&id, "/filled", "filled")
        .build()
        .expect("an event");
    let headers = event::record_binding::record_headers(&event);
    let record = EncodedRecord::new(None, Some(data), headers.iter());
    let index = event::identity::partition_for_identity("/filled", &id, PARTITIONS);
    Entry {
        identity: Some(Identity {
            lookup: event::identity::lookup_hash(&id),
            unique: event::identity::unique_hash("/filled", &id),
        }),
        deduplicate: Deduplicate::Yes,
        records: std::iter::once((PartitionId { topic: TOPIC, index }, record)).collect(),
    }
}
