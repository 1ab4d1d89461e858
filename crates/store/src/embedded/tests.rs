//! What only this engine has: its file.

mod migration;

use super::*;
use crate::{Expect, Parked};
use bytes::Bytes;
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};
use tempfile::TempDir;

fn open(path: &Path) -> Result<Embedded, Error> {
    Embedded::open(path, Settings::default())
}

fn parked(offset: u64, bytes: usize) -> Operation {
    let partition = Partition { topic: 1, index: 0 };
    Operation::Park(Parked {
        key: DeliveryKey {
            subscription: 1,
            partition,
            offset,
            replay: 0,
        },
        due: offset.cast_signed(),
        attempts: 1,
        first_attempt: None,
        appended: 1,
        age_from_first_attempt: false,
        version: 1,
        order: Some(offset),
        edits: 0,
        reason: "timeout".to_owned(),
        record: Bytes::from(vec![b'r'; bytes]),
    })
}

fn tail(position: u64) -> Operation {
    Operation::SaveTail {
        partition: Partition { topic: 1, index: 0 },
        position,
    }
}

fn setting(body: &'static str) -> Operation {
    let (name, body) = ("s".to_owned(), Bytes::from_static(body.as_bytes()));
    Operation::PutDocument {
        bus: 0,
        kind: Kind::Setting,
        name,
        expect: Expect::Any,
        body,
    }
}

/// A step that writes tail, parked row and document at once, so that a mixture would show.
fn step(number: u64) -> Vec<Operation> {
    let body = if number.is_multiple_of(2) { "even" } else { "odd" };
    vec![tail(number), parked(number, 300), setting(body)]
}

async fn with_steps(path: &Path, steps: u64) -> Embedded {
    let store = open(path).unwrap();
    for number in 1..=steps {
        store.apply(1, step(number)).await.unwrap();
    }
    store
}

/// Which step's state the store shows; fails if it is a mixture of two.
async fn step_shown(store: &Embedded) -> Result<u64, Error> {
    let number = store.tails().await?.first().map_or(0, |(_, position)| *position);
    let parked = store
        .parked(1, crate::Portion::Except(Vec::new()), i64::MAX, 1_000)
        .await?;
    assert_eq!(parked.len() as u64, number, "as many rows as steps");
    assert_eq!(store.parked_orders(1).await?.len() as u64, number);
    assert_eq!(
        store
            .holdings()
            .await?
            .first()
            .map_or(0, |(_, holdings)| holdings.parked),
        number
    );
    assert!(
        parked
            .iter()
            .all(|parked| parked.record.iter().all(|byte| *byte == b'r')),
        "no wrong payload"
    );
    let documents = store.documents().await?;
    assert_eq!(documents.first().map_or(0, |document| document.version), number);
    Ok(number)
}

#[tokio::test]
async fn the_embedded_store_keeps_the_contract() {
    let directory = TempDir::new().unwrap();
    let open = async |name: &'static str| {
        let store = open(&directory.path().join(name))?;
        Ok(Arc::new(store) as Arc<dyn Store>)
    };
    crate::conformance::run(open).await;
}

#[tokio::test]
async fn a_refused_call_in_a_group_fails_alone() {
    let directory = TempDir::new().unwrap();
    let store = Arc::new(open(&directory.path().join("store")).unwrap());
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..300_u64 {
        let store = Arc::clone(&store);
        calls.spawn(async move {
            let expect = if number % 3 == 0 {
                Expect::Version(u64::MAX)
            } else {
                Expect::Absent
            };
            let name = number.to_string();
            let put = Operation::PutDocument {
                bus: 1,
                kind: Kind::Key,
                name,
                expect,
                body: Bytes::new(),
            };
            store
                .apply((number % 7) as BusId, vec![parked(number, 10), put])
                .await
                .is_ok()
        });
    }
    assert_eq!(calls.join_all().await.into_iter().filter(|ok| *ok).count(), 200);
    let holdings = store.holdings().await.unwrap()[0].1;
    assert_eq!((holdings.parked, store.documents().await.unwrap().len()), (200, 200));
    store.verify().await.unwrap();
}

#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    let directory = TempDir::new().unwrap();
    let _store = with_steps(&directory.path().join("store"), 1).await;
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
async fn a_full_store_refuses_and_recovers() {
    let directory = TempDir::new().unwrap();
    let settings = Settings {
        bytes_max: Some(1 << 20),
        ..Settings::default()
    };
    let store = Embedded::open(&directory.path().join("store"), settings).unwrap();
    store.apply(1, vec![parked(1, 600_000)]).await.unwrap();
    let before = store.holdings().await;
    assert_eq!(
        store.apply(1, vec![tail(1), parked(2, 600_000)]).await,
        Err(Error::OutOfSpace)
    );
    assert_eq!(
        (store.tails().await, store.holdings().await),
        (Ok(vec![]), before),
        "nothing was changed"
    );
    let Operation::Park(first) = parked(1, 0) else {
        unreachable!()
    };
    store.apply(1, vec![Operation::Unpark(first.key)]).await.unwrap();
    store.apply(1, vec![tail(1), parked(2, 600_000)]).await.unwrap();
    store.verify().await.unwrap();
}

#[tokio::test]
async fn a_newer_format_is_refused_before_writing() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    with_steps(&path, 1).await.shutdown().await.unwrap();
    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 9)
        .unwrap();
    let before = fs::read(&path).unwrap();
    assert_eq!(
        open(&path).err(),
        Some(Error::UnknownFormat {
            found: 9,
            known: FORMAT
        })
    );
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// Check 9: a lost file is said, never replaced by an empty one.
#[tokio::test]
async fn an_emptied_or_missing_file_never_becomes_an_empty_store() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    with_steps(&path, 2).await.shutdown().await.unwrap();
    fs::write(&path, b"").unwrap();
    assert!(matches!(open(&path).err(), Some(Error::Corrupt(_))));
    fs::write(&path, b"something else altogether").unwrap();
    assert!(matches!(open(&path).err(), Some(Error::Corrupt(_))));
    fs::remove_file(&path).unwrap();
    let settings = Settings {
        missing: Missing::Refuse,
        ..Settings::default()
    };
    assert!(matches!(Embedded::open(&path, settings).err(), Some(Error::Corrupt(_))));
    assert!(open(&path).is_ok());
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

/// What a crash would leave: the files as they are, without a shutdown.
fn copy_as_crashed(path: &Path, to: &Path, wal: &[u8]) {
    fs::copy(path, to).unwrap();
    fs::write(beside(to, "-wal"), wal).unwrap();
    fs::remove_file(beside(to, "-shm")).ok();
}

/// Check 10: a crash at every write shows the state before or after an `apply`, never a mixture.
#[tokio::test]
async fn a_crash_at_any_write_leaves_an_old_or_a_new_state() {
    let directory = TempDir::new().unwrap();
    let (path, copy) = (directory.path().join("store"), directory.path().join("copy"));
    let store = with_steps(&path, 8).await;
    let wal = fs::read(beside(&path, "-wal")).unwrap();
    let mut last = 0;
    for length in (0..=wal.len()).step_by(1_367).chain([wal.len()]) {
        copy_as_crashed(&path, &copy, &wal[..length]);
        let crashed = open(&copy).unwrap();
        let shown = step_shown(&crashed).await.unwrap();
        assert!(shown == last || shown == last + 1, "step {shown} after {last}");
        last = shown;
        crashed.apply(1, step(shown + 1)).await.unwrap();
        crashed.shutdown().await.unwrap();
    }
    assert_eq!(last, 8, "the whole file is the newest state");
    drop(store);
}

/// Check 8: one flipped bit is found at start or at the read, or changes nothing that is read.
#[tokio::test]
async fn a_flipped_bit_is_found_or_harmless() {
    let directory = TempDir::new().unwrap();
    let (path, copy) = (directory.path().join("store"), directory.path().join("copy"));
    with_steps(&path, 80).await.shutdown().await.unwrap();
    let whole = fs::read(&path).unwrap();
    let mut found = 0;
    for flip in 0..300_usize {
        // Steps of a large odd number walk all over the file.
        let bit = (flip * 7_368_787) % (whole.len() * 8);
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&copy, flipped).unwrap();
        let shown = match open(&copy) {
            Ok(store) => {
                let shown = step_shown(&store).await;
                store.shutdown().await.ok();
                shown
            }
            Err(error) => Err(error),
        };
        match shown {
            Ok(number) => assert_eq!(number, 80, "bit {bit}"),
            Err(Error::Corrupt(_) | Error::UnknownFormat { .. } | Error::Engine(_)) => found += 1,
            Err(error) => panic!("bit {bit}: {error}"),
        }
    }
    assert!(found > 50, "{found} found");
}

/// Check 8, for what is not yet in the file: only the last transaction can be taken for a torn tail.
#[tokio::test]
async fn a_flipped_bit_in_the_write_ahead_file_undoes_nothing_silently() {
    let directory = TempDir::new().unwrap();
    let (path, copy) = (directory.path().join("store"), directory.path().join("copy"));
    let store = with_steps(&path, 8).await;
    let wal = fs::read(beside(&path, "-wal")).unwrap();
    let mut found = 0;
    for flip in 0..200_usize {
        let bit = (flip * 7_368_787) % (wal.len() * 8);
        let mut flipped = wal.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        copy_as_crashed(&path, &copy, &flipped);
        match open(&copy) {
            Ok(crashed) => {
                assert_eq!(step_shown(&crashed).await, Ok(7), "bit {bit}");
                crashed.shutdown().await.unwrap();
            }
            Err(Error::Corrupt(_)) => found += 1,
            Err(error) => panic!("bit {bit}: {error}"),
        }
    }
    assert!(found > 150, "{found} found");
    drop(store);
}

fn audited(at: i64) -> Operation {
    Operation::Audit {
        at,
        bus: 1,
        body: Bytes::from(format!("entry of {at}")),
    }
}

/// A trail of five entries, in a file that is closed.
async fn with_trail(path: &Path) -> (crate::AuditEnd, crate::AuditEnd) {
    let store = open(path).unwrap();
    for at in 1..=5 {
        store.apply(1, vec![audited(at)]).await.unwrap();
    }
    let ends = store.audit_ends().await.unwrap();
    store.shutdown().await.unwrap();
    ends
}

async fn verified(path: &Path) -> Result<u64, crate::audit::AuditFault> {
    let store = open(path).unwrap();
    let verified = crate::audit::verify(&store, None).await;
    store.shutdown().await.unwrap();
    verified.map(|verified| verified.entries)
}

/// Whoever can write the file and knows its sums still leaves a broken chain.
#[tokio::test]
async fn an_altered_or_removed_entry_of_the_audit_trail_is_found() {
    use crate::audit::AuditFault;
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    with_trail(&path).await;
    assert_eq!(verified(&path).await, Ok(5));
    let whole = fs::read(&path).unwrap();
    let tampered = async |sql: &str| {
        fs::write(&path, &whole).unwrap();
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        verified(&path).await
    };
    let flipped = tampered("UPDATE audit SET body = x'00' WHERE seq = 3").await;
    assert!(
        matches!(flipped, Err(AuditFault::Store(Error::Corrupt(_)))),
        "{flipped:?}"
    );
    let forged = {
        let entry = AuditEntry {
            seq: 3,
            at: 3,
            bus: 1,
            body: Bytes::from_static(b"entry of 9"),
            hash: [0; 32],
        };
        let zeroes = "00".repeat(32);
        let sum = rows::audit_sum(&entry);
        format!("UPDATE audit SET body = CAST('entry of 9' AS BLOB), hash = x'{zeroes}', sum = {sum} WHERE seq = 3")
    };
    assert_eq!(tampered(&forged).await, Err(AuditFault::Altered(3)));
    let (wanted, found) = (2, Some(3));
    assert_eq!(
        tampered("DELETE FROM audit WHERE seq = 2").await,
        Err(AuditFault::Missing { wanted, found })
    );
    let (wanted, found) = (5, None);
    assert_eq!(
        tampered("DELETE FROM audit WHERE seq = 5").await,
        Err(AuditFault::Missing { wanted, found })
    );
    let (wanted, found) = (1, None);
    assert_eq!(
        tampered("DELETE FROM audit").await,
        Err(AuditFault::Missing { wanted, found })
    );
}

/// It was an empty trail that verified, and every change failed for ever with the number of its entry.
#[tokio::test]
async fn a_lost_end_of_the_trail_is_found_and_mended_after_the_last_entry_there_is() {
    use crate::audit::AuditFault;
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    with_trail(&path).await;
    let whole = fs::read(&path).unwrap();
    for (tampering, said, found) in [
        ("DELETE FROM audit_end", 0, 5),
        ("DELETE FROM audit_end; DELETE FROM audit WHERE seq > 3", 0, 3),
    ] {
        fs::write(&path, &whole).unwrap();
        Connection::open(&path).unwrap().execute_batch(tampering).unwrap();
        assert_eq!(verified(&path).await, Err(AuditFault::EndLost { said, found }));
        let store = open(&path).unwrap();
        store.apply(1, vec![Operation::MendAuditEnd, audited(9)]).await.unwrap();
        store.apply(1, vec![audited(10)]).await.unwrap();
        store.shutdown().await.unwrap();
        assert_eq!(verified(&path).await, Ok(found + 2));
    }
}

#[tokio::test]
async fn a_store_of_the_first_format_is_raised_once_and_keeps_what_it_had() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    with_steps(&path, 3).await.shutdown().await.unwrap();
    let first = Connection::open(&path).unwrap();
    first
        .execute_batch("DROP TABLE audit; DROP TABLE audit_end; PRAGMA user_version = 1")
        .unwrap();
    drop(first);
    for _ in 0..2 {
        let store = open(&path).unwrap();
        assert_eq!(step_shown(&store).await, Ok(3));
        store.apply(1, vec![audited(1)]).await.unwrap();
        store.shutdown().await.unwrap();
    }
    assert_eq!(verified(&path).await, Ok(2));
    assert_eq!(format_of(&path), Ok(Some(FORMAT)));
}
