//! A copy of the store as of one moment, made while it is written to; and what can be said of a file without opening it as a
//! store. It does not know what the copy is for.

use super::{
    Embedded, open,
    schema::{APPLICATION_ID, FORMAT as WRITTEN},
};
use crate::{Error, Revision, contract::broke_off};
use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};
use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::Duration,
};

/// The format that this program writes, and the latest that it reads.
pub const FORMAT: u32 = WRITTEN;

/// Only this user may read it, as the store.
const MODE: u32 = 0o600;
/// Pages of one step (4 MiB): between two, the caller hears how far it is and may stop it.
const STEP_PAGES: i32 = 1_024;
/// How long to wait when the file is locked, which it is for moments only.
const AGAIN: Duration = Duration::from_millis(20);

/// What was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The last `apply` that is in the copy.
    pub revision: Revision,
    /// Its size.
    pub bytes: u64,
}

impl Embedded {
    /// Copies the store to a file that does not exist, as of one moment at which nothing was half done, and verifies the copy:
    /// every index, every row. Writers go on meanwhile; their pages gather in the write-ahead file until it is done.
    /// `progress` hears how many bytes of how many are done, and stops the copy by returning false.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the copy does not verify, so that damage does not replace good copies; [`Error::Closed`] if it
    /// was stopped; what the engine says. What was written stays, for the caller to remove.
    pub async fn copy_to(
        &self,
        target: &Path,
        progress: impl FnMut(u64, u64) -> bool + Send + 'static,
    ) -> Result<Copied, Error> {
        let (path, target) = (self.path.clone(), target.to_owned());
        let task = tokio::task::spawn_blocking(move || copy(&path, &target, progress));
        task.await.unwrap_or_else(|_| Err(broke_off("a copy")))
    }
}

/// Makes every index anew from its table, in the file of a store that nobody uses, and verifies it: what a damaged index needs.
///
/// # Errors
/// [`Error::Corrupt`] if more than indexes are damaged.
pub fn reindex(path: &Path) -> Result<(), Error> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.execute_batch("REINDEX")?;
    open::verify(&connection)?;
    connection.close().map_err(|(_, error)| error.into())
}

fn copy(path: &Path, target: &Path, progress: impl FnMut(u64, u64) -> bool) -> Result<Copied, Error> {
    let source = open::reader(path)?;
    // One transaction that reads: its moment is the copy's, whatever is written meanwhile.
    source.execute_batch("BEGIN")?;
    let revision = super::writer::revision(&source)?;
    let options = OpenOptions::new().write(true).create_new(true).mode(MODE).clone();
    options.open(target).map_err(|error| open::io(target, &error))?;
    let mut copy = Connection::open_with_flags(target, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // It is synced once, as a whole, at the end.
    copy.pragma_update(None, "synchronous", "OFF")?;
    all_pages(&source, &mut copy, progress)?;
    drop(source);
    // One file that stands alone.
    copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    open::verify(&copy)?;
    copy.close().map_err(|(_, error)| Error::from(error))?;
    let file = File::open(target).map_err(|error| open::io(target, &error))?;
    file.sync_all().map_err(|error| open::io(target, &error))?;
    let bytes = file.metadata().map_err(|error| open::io(target, &error))?.len();
    Ok(Copied { revision, bytes })
}

fn all_pages(
    source: &Connection,
    copy: &mut Connection,
    mut progress: impl FnMut(u64, u64) -> bool,
) -> Result<(), Error> {
    let page: u32 = source.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    let bytes = |pages: i32| u64::try_from(pages).unwrap_or(0) * u64::from(page);
    let backup = Backup::new(source, copy)?;
    loop {
        match backup.step(STEP_PAGES)? {
            StepResult::Done => return Ok(()),
            StepResult::More => {
                let at = backup.progress();
                if !progress(bytes(at.pagecount - at.remaining), bytes(at.pagecount)) {
                    return Err(Error::Closed);
                }
            }
            _ => std::thread::sleep(AGAIN),
        }
    }
}

/// The format of a store's file; `None` if it does not exist. Nothing is written, not even beside it.
///
/// # Errors
/// [`Error::Corrupt`] if it is no store.
pub fn format_of(path: &Path) -> Result<Option<u32>, Error> {
    // The header of SQLite's file format: user version at byte 60, application id at byte 68, both big-endian. A change of
    // either that lies in the write-ahead file only is not seen here; opening sees it.
    const HEAD: usize = 72;
    let bytes = match fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => {
            let mut head = [0; HEAD];
            let file = opened.map_err(|error| open::io(path, &error))?;
            let read = std::os::unix::fs::FileExt::read_exact_at(&file, &mut head, 0);
            read.map_err(|_| Error::Corrupt("the file ends within its header".to_owned()))?;
            head
        }
    };
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    match i32::from_ne_bytes(number(68).to_ne_bytes()) == APPLICATION_ID {
        true => Ok(Some(number(60))),
        false => Err(Error::Corrupt(
            "the file is not a store, or its beginning is lost".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Expect, Kind, Operation, Settings, Store};

    fn put(number: u64) -> Vec<Operation> {
        vec![Operation::PutDocument {
            bus: 1,
            kind: Kind::Topic,
            name: format!("topic-{number}"),
            body: vec![7; 20_000].into(),
            expect: Expect::Any,
        }]
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_copy_is_of_one_moment_although_the_store_is_written_to_between_its_steps() {
        let directory = tempfile::tempdir().unwrap();
        let store = std::sync::Arc::new(Embedded::open(&directory.path().join("a.db"), Settings::default()).unwrap());
        for number in 0..600 {
            store.apply(1, put(number)).await.unwrap();
        }
        let (writer, runtime) = (store.clone(), tokio::runtime::Handle::current());
        let mut next = 600;
        let mut steps = 0;
        let written_between = move |_, _| {
            // Inside the copy: another transaction commits before the next step.
            runtime.block_on(writer.apply(1, put(next))).unwrap();
            next += 1;
            steps += 1;
            steps < 100
        };
        let target = directory.path().join("b.db");
        let copied = store.copy_to(&target, written_between).await.unwrap();
        assert_eq!(copied.revision, 600);
        let copy = Embedded::open(&target, Settings::default()).unwrap();
        assert_eq!(copy.documents().await.unwrap().len(), 600);
        assert!(
            store.documents().await.unwrap().len() > 600,
            "nothing was written meanwhile"
        );
        assert_eq!(format_of(&target).unwrap(), Some(FORMAT));
    }

    #[tokio::test]
    async fn a_copy_that_is_stopped_or_has_no_place_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let store = Embedded::open(&directory.path().join("a.db"), Settings::default()).unwrap();
        for number in 0..600 {
            store.apply(1, put(number)).await.unwrap();
        }
        let stopped = store.copy_to(&directory.path().join("b.db"), |_, _| false).await;
        assert!(matches!(stopped, Err(Error::Closed)), "{stopped:?}");
        let taken = store.copy_to(&directory.path().join("a.db"), |_, _| true).await;
        assert!(matches!(taken, Err(Error::Engine(_))), "{taken:?}");
    }

    #[tokio::test]
    async fn a_damaged_index_is_found_and_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        let store = Embedded::open(&path, Settings::default()).unwrap();
        store.apply(1, put(1)).await.unwrap();
        store.shutdown().await.unwrap();
        let connection = Connection::open(&path).unwrap();
        let query = "SELECT rootpage FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'document'";
        let root: i64 = connection.query_row(query, [], |row| row.get(0)).unwrap();
        let page: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0)).unwrap();
        drop(connection);
        // The index's one entry lies at the end of its page: a letter of the name in it.
        let mut bytes = fs::read(&path).unwrap();
        let at = (root * page) as usize - 6;
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        let opened = Embedded::open(&path, Settings::default()).err();
        assert!(matches!(opened, Some(Error::Corrupt(_))), "{opened:?}");
        reindex(&path).unwrap();
        let store = Embedded::open(&path, Settings::default()).unwrap();
        assert_eq!(store.documents().await.unwrap().len(), 1);
    }

    #[test]
    fn a_file_that_is_no_store_has_no_format() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        assert_eq!(format_of(&path).unwrap(), None);
        std::fs::write(&path, [0; 100]).unwrap();
        assert!(matches!(format_of(&path), Err(Error::Corrupt(_))));
        std::fs::write(&path, [0; 10]).unwrap();
        assert!(matches!(format_of(&path), Err(Error::Corrupt(_))));
    }
}
