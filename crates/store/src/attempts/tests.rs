//! The history as its callers see it, and its files as a crash leaves them.

use super::*;
use crate::Partition;
use bytes::Bytes;
use std::{fs, os::unix::fs::PermissionsExt};
use tempfile::TempDir;

const DAY: Millis = 24 * 60 * 60 * 1_000;

fn open(directory: &TempDir) -> AttemptHistory {
    open_with(directory, AttemptSettings::default())
}

fn open_with(directory: &TempDir, settings: AttemptSettings) -> AttemptHistory {
    AttemptHistory::open(directory.path(), settings).unwrap()
}

fn delivered(event_hash: u64, started: Millis) -> Attempt {
    Attempt {
        event_hash,
        subscription: event_hash % 3,
        partition: Partition { topic: 4, index: 1 },
        offset: event_hash,
        attempt: 1,
        started,
        duration_micros: 1_500,
        outcome: AttemptOutcome::Delivered,
        status: Some(204),
        version: 12,
        reason: String::new(),
        answer: Bytes::new(),
        replay: 0,
        edits: 0,
    }
}

fn failed(event_hash: u64, started: Millis) -> Attempt {
    let (outcome, reason, answer) = (
        AttemptOutcome::Retry,
        "http_503".to_owned(),
        Bytes::from_static(b"down"),
    );
    Attempt {
        outcome,
        reason,
        answer,
        status: None,
        ..delivered(event_hash, started)
    }
}

async fn found(history: &AttemptHistory, event_hash: u64) -> Vec<Attempt> {
    history.find(event_hash, 0, i64::MAX).await.unwrap()
}

fn file(directory: &TempDir, day: Day) -> PathBuf {
    directory.path().join(format!("{day}.attempts"))
}

#[tokio::test]
async fn attempts_are_found_by_event_and_time() {
    let directory = TempDir::new().unwrap();
    let history = open(&directory);
    for hash in 0..3_500 {
        history.record(delivered(hash, 1_000 + hash as Millis));
    }
    let again = Attempt {
        attempt: 2,
        ..delivered(7, 9_000)
    };
    history.record(again.clone());
    assert_eq!(found(&history, 7).await, [delivered(7, 1_007), again.clone()]);
    assert_eq!(history.find(7, 1_008, 9_000).await.unwrap(), [again]);
    assert_eq!(found(&history, 99_999).await, []);
    assert_eq!(
        history.counts(),
        AttemptCounts {
            written: 3_501,
            ..AttemptCounts::default()
        }
    );
}

#[tokio::test]
async fn trouble_is_found_by_the_index() {
    let directory = TempDir::new().unwrap();
    let history = open(&directory);
    let second = Attempt {
        attempt: 2,
        ..delivered(3, 40)
    };
    for attempt in [
        delivered(3, 10),
        failed(3, 20),
        failed(6, 30),
        second.clone(),
        failed(4, 25),
    ] {
        history.record(attempt);
    }
    assert_eq!(
        history.trouble_of_event(3).await.unwrap(),
        [failed(3, 20), second.clone()]
    );
    assert_eq!(
        history.trouble_of_subscription(0, 0, 100, 9).await.unwrap(),
        [second.clone(), failed(6, 30), failed(3, 20)]
    );
    assert_eq!(
        history.trouble_of_subscription(0, 0, 39, 1).await.unwrap(),
        [failed(6, 30)]
    );
    history.shutdown().await;

    for name in ["trouble.sqlite", "trouble.sqlite-wal", "trouble.sqlite-shm"] {
        fs::write(directory.path().join(name), b"broken").unwrap();
    }
    let history = open(&directory);
    assert_eq!(
        history.trouble_of_event(3).await.unwrap(),
        [failed(3, 20), second],
        "a broken index is made anew"
    );
}

#[tokio::test]
async fn what_is_too_long_is_cut() {
    let directory = TempDir::new().unwrap();
    let history = open(&directory);
    let (reason, answer) = ("ä".repeat(2_000), Bytes::from(vec![1; 100_000]));
    history.record(Attempt {
        reason,
        answer,
        ..failed(1, 1)
    });
    let found = found(&history, 1).await;
    assert_eq!(
        (found[0].reason.len(), found[0].answer.len()),
        (REASON_BYTES_MAX, ANSWER_BYTES_MAX)
    );
}

#[tokio::test]
async fn a_torn_tail_is_cut_and_written_over() {
    let directory = TempDir::new().unwrap();
    let history = open(&directory);
    history.record(failed(1, 1));
    history.flush().await;
    let first_block = fs::metadata(file(&directory, 0)).unwrap().len() as usize;
    history.record(failed(2, 2));
    history.shutdown().await;
    let whole = fs::read(file(&directory, 0)).unwrap();

    for length in 0..whole.len() {
        fs::write(file(&directory, 0), &whole[..length]).unwrap();
        let history = open(&directory);
        let kept = usize::from(length >= first_block);
        assert_eq!(
            found(&history, 1).await.len(),
            kept,
            "cut at {length} of {}",
            whole.len()
        );
        assert_eq!(
            (found(&history, 2).await, history.trouble_of_event(2).await.unwrap()),
            (vec![], vec![])
        );
        history.record(failed(3, 3));
        assert_eq!(found(&history, 3).await.len(), 1);
        assert_eq!(history.trouble_of_event(3).await.unwrap().len(), 1);
        history.shutdown().await;
    }
}

/// The server did not start, and nothing was wrong to whoever examined it.
#[tokio::test]
async fn what_cannot_be_read_as_a_file_is_told_and_put_aside_and_the_history_goes_on() {
    for name in ["0.attempts", "1.attempts", "trouble.sqlite", "trouble.sqlite-wal"] {
        let directory = TempDir::new().unwrap();
        let history = open(&directory);
        for started in [10, 10 + DAY] {
            history.record(failed(1, started));
            history.flush().await;
        }
        history.shutdown().await;
        let path = directory.path().join(name);
        fs::remove_file(&path).ok();
        fs::create_dir(&path).unwrap();
        let verified = verify_history(directory.path()).unwrap();
        let told: Vec<_> = verified.unreadable.iter().map(|(path, _)| path.as_path()).collect();
        assert_eq!(told, [path.as_path()]);
        let history = open(&directory);
        let left = if name.ends_with(".attempts") { 1 } else { 2 };
        assert_eq!(found(&history, 1).await.len(), left, "{name}");
        assert_eq!(history.trouble_of_event(1).await.unwrap().len(), left, "{name}");
        history.record(failed(2, 20 + DAY));
        assert_eq!(found(&history, 2).await.len(), 1, "{name}: it is written on");
        history.shutdown().await;
        assert!(directory.path().join(format!("{name}.unreadable-1")).is_dir());
        assert_eq!(verify_history(directory.path()).unwrap().unreadable, []);
    }
}

/// The same of the whole directory.
#[tokio::test]
async fn a_history_that_is_no_directory_is_begun_anew() {
    let place = TempDir::new().unwrap();
    let directory = place.path().join("attempts");
    fs::write(&directory, "something else").unwrap();
    assert_eq!(verify_history(&directory).unwrap().unreadable.len(), 1);
    let history = AttemptHistory::open(&directory, AttemptSettings::default()).unwrap();
    history.record(failed(1, 10));
    assert_eq!(found(&history, 1).await.len(), 1);
    history.shutdown().await;
    assert!(place.path().join("attempts.unreadable-1").is_file());
}

#[tokio::test]
async fn a_damaged_block_is_passed_over() {
    let directory = TempDir::new().unwrap();
    let history = open(&directory);
    let mut ends = Vec::new();
    for hash in 1..=3 {
        history.record(failed(hash, 1));
        history.flush().await;
        ends.push(fs::metadata(file(&directory, 0)).unwrap().len() as usize);
    }
    history.shutdown().await;
    let whole = fs::read(file(&directory, 0)).unwrap();
    for position in ends[0]..ends[1] {
        let mut damaged = whole.clone();
        damaged[position] ^= 0x10;
        fs::write(file(&directory, 0), damaged).unwrap();
        let history = open(&directory);
        assert_eq!(found(&history, 1).await, [failed(1, 1)]);
        assert_eq!(found(&history, 2).await, []);
        assert_eq!(found(&history, 3).await, [failed(3, 1)], "damage at {position}");
        history.shutdown().await;
    }
}

/// Heads are kept in memory; what is in the files decides.
#[tokio::test]
async fn a_file_that_was_taken_away_or_replaced_is_searched_as_it_is() {
    let directory = TempDir::new().unwrap();
    let history = open(&directory);
    history.record(failed(1, 1));
    assert_eq!(found(&history, 1).await, [failed(1, 1)]);
    history.record(failed(1, 2));
    assert_eq!(found(&history, 1).await.len(), 2, "what came since the last search");
    history.shutdown().await;
    let other = TempDir::new().unwrap();
    let another = open(&other);
    for time in 5..9 {
        another.record(failed(1, time));
        another.flush().await;
    }
    another.shutdown().await;
    fs::copy(file(&other, 0), file(&directory, 0)).unwrap();
    found(&history, 1).await;
    assert_eq!(found(&history, 1).await.len(), 4, "a replaced file is read anew");
    fs::remove_file(file(&directory, 0)).unwrap();
    assert_eq!(found(&history, 1).await, []);
}

#[tokio::test]
async fn days_have_files_of_their_own_and_are_pruned() {
    let directory = TempDir::new().unwrap();
    let history = open(&directory);
    for day in 10..13 {
        history.record(failed(5, day * DAY + 3));
        history.flush().await;
    }
    // The clock goes back: it stays in the file of the newest day.
    history.record(failed(5, 11 * DAY));
    assert_eq!(found(&history, 5).await.len(), 4);
    history.prune(day_of(12 * DAY)).await.unwrap();
    assert!(!file(&directory, 10).exists() && !file(&directory, 11).exists() && file(&directory, 12).exists());
    let left = [failed(5, 11 * DAY), failed(5, 12 * DAY + 3)];
    assert_eq!(found(&history, 5).await, left);
    assert_eq!(history.trouble_of_event(5).await.unwrap(), left);
    history.prune(day_of(99 * DAY)).await.unwrap();
    assert_eq!(
        found(&history, 5).await,
        [],
        "the file that is appended to may go as well"
    );
    history.record(failed(5, 99 * DAY));
    assert_eq!(found(&history, 5).await, [failed(5, 99 * DAY)]);
}

#[tokio::test]
async fn without_room_success_is_dropped_before_trouble_and_counted() {
    let directory = TempDir::new().unwrap();
    let settings = AttemptSettings {
        wait_max: Duration::from_secs(600),
        pending_max: 8,
        ..AttemptSettings::default()
    };
    let history = open_with(&directory, settings);
    for hash in 0..10 {
        history.record(delivered(hash, 1));
    }
    assert_eq!(history.counts().dropped, 4, "three quarters are for success");
    for hash in 0..5 {
        history.record(failed(hash, 1));
    }
    let counts = AttemptCounts {
        written: 0,
        dropped: 7,
        dropped_trouble: 3,
    };
    assert_eq!(history.counts(), counts);
    history.shutdown().await;
    assert_eq!(history.counts().written, 8);
    history.record(failed(1, 1));
    assert_eq!(history.counts().dropped, 8, "a closed history takes nothing");
}

#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    let directory = TempDir::new().unwrap();
    let history = open(&directory);
    history.record(failed(1, 1));
    history.flush().await;
    for entry in fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(
            entry.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{:?}",
            entry.file_name()
        );
    }
}

#[tokio::test]
async fn an_index_that_could_not_be_written_catches_up() {
    let directory = TempDir::new().unwrap();
    let history = open(&directory);
    history.record(failed(1, 1));
    history.flush().await;
    let other = rusqlite::Connection::open(directory.path().join("trouble.sqlite")).unwrap();
    other.execute_batch("ALTER TABLE trouble RENAME TO away").unwrap();
    history.record(failed(2, 2));
    assert_eq!(
        found(&history, 2).await.len(),
        1,
        "the block is written without its index"
    );
    other.execute_batch("ALTER TABLE away RENAME TO trouble").unwrap();
    history.record(failed(3, 3));
    for hash in 1..=3 {
        assert_eq!(history.trouble_of_event(hash).await.unwrap().len(), 1);
    }
}
