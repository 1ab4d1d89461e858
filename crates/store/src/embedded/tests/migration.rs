//! Check 67: a process that is killed while it raises the store's format leaves the old format or the new one, whole, and the
//! next start finishes the work. It does not ask what later formats hold.

use super::*;
use crate::{Range, RangeReason};

const STEPS: u64 = 3;

/// A closed file of format 1 with [`STEPS`] steps in it.
async fn of_first_format(path: &Path) {
    with_steps(path, STEPS).await.shutdown().await.unwrap();
    let first = Connection::open(path).unwrap();
    first
        .execute_batch("DROP TABLE audit; DROP TABLE audit_end; PRAGMA user_version = 1")
        .unwrap();
}

/// The format that a crashed copy shows before anything raises it, with none of the next format's tables in the old one.
fn shown(crashed: &Path) -> u32 {
    let connection = Connection::open(crashed).unwrap();
    let format = connection.pragma_query_value(None, "user_version", |row| row.get(0));
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name IN ('audit', 'audit_of_bus', 'audit_end')";
    let tables: u32 = connection.query_row(tables, [], |row| row.get(0)).unwrap();
    let format = format.unwrap();
    assert_eq!(tables, if format == 1 { 0 } else { 3 }, "format {format}");
    format
}

/// Opens what a crash left: it has all that it had, and what the new format brought.
async fn finishes(crashed: &Path) {
    let store = open(crashed).unwrap();
    assert_eq!(step_shown(&store).await, Ok(STEPS));
    store.apply(1, vec![audited(1)]).await.unwrap();
    store.verify().await.unwrap();
    store.shutdown().await.unwrap();
    assert_eq!(verified(crashed).await, Ok(1));
    assert_eq!(format_of(crashed), Ok(Some(FORMAT)));
}

#[tokio::test]
async fn check_67_a_kill_between_any_two_statements_of_a_migration_rolls_it_back_and_the_next_start_finishes() {
    let directory = TempDir::new().unwrap();
    let (path, crashed) = (directory.path().join("store"), directory.path().join("crashed"));
    of_first_format(&path).await;
    let raise = format!("PRAGMA user_version = {FORMAT}");
    let steps = super::super::schema::MIGRATIONS.concat();
    let statements: Vec<&str> = steps
        .split(';')
        .filter(|one| !one.trim().is_empty())
        .chain([raise.as_str()])
        .collect();
    assert_eq!(statements.len(), 4, "two tables, an index, the number");
    let mut spilled = 0;
    for done in 0..=statements.len() {
        let connection = Connection::open(&path).unwrap();
        // Changed pages go to the file before the commit, as in a migration of many.
        connection
            .execute_batch("PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN IMMEDIATE")
            .unwrap();
        for statement in &statements[..done] {
            connection.execute_batch(statement).unwrap();
        }
        let wal = fs::read(beside(&path, "-wal")).unwrap_or_default();
        spilled += wal.len();
        copy_as_crashed(&path, &crashed, &wal);
        assert_eq!(shown(&crashed), 1, "after {done} statements");
        copy_as_crashed(&path, &crashed, &wal);
        finishes(&crashed).await;
    }
    assert!(spilled > 0, "no crash met a half written migration");
}

#[tokio::test]
async fn check_67_a_kill_at_any_write_of_a_migration_leaves_the_old_or_the_new_format() {
    let directory = TempDir::new().unwrap();
    let (path, crashed) = (directory.path().join("store"), directory.path().join("crashed"));
    of_first_format(&path).await;
    let store = open(&path).unwrap();
    let wal = fs::read(beside(&path, "-wal")).unwrap();
    assert!(wal.len() > 2 * 4_096, "the migration is in the write-ahead file");
    let mut last = 1;
    for length in (0..=wal.len()).step_by(1_367).chain([wal.len()]) {
        copy_as_crashed(&path, &crashed, &wal[..length]);
        let format = shown(&crashed);
        assert!(format == last || format == FORMAT, "{format} after {last}");
        last = format;
        copy_as_crashed(&path, &crashed, &wal[..length]);
        finishes(&crashed).await;
    }
    assert_eq!(last, FORMAT, "the whole file is the new format");
    drop(store);
}

/// What came with format 3 is in no table: the number alone keeps a program of format 2 from calling it corrupt.
#[tokio::test]
async fn a_file_of_format_2_is_raised_keeps_what_it_had_and_takes_the_reasons_that_format_2_did_not_know() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    with_steps(&path, STEPS).await.shutdown().await.unwrap();
    Connection::open(&path)
        .unwrap()
        .execute_batch("PRAGMA user_version = 2")
        .unwrap();
    assert_eq!(format_of(&path), Ok(Some(2)));
    finishes(&path).await;
    let store = open(&path).unwrap();
    let range = Range {
        subscription: 1,
        partition: Partition { topic: 1, index: 0 },
        from: 7,
        to: 9,
        matched: Some(2),
        reason: RangeReason::Skipped,
        recorded: 5,
    };
    store
        .apply(1, vec![Operation::RecordRange(range.clone())])
        .await
        .unwrap();
    store.shutdown().await.unwrap();
    assert_eq!(open(&path).unwrap().ranges(1).await, Ok(vec![range]));
}
