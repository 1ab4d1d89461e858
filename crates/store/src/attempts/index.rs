//! The index of trouble: where the attempts are that failed or were not the first.
//!
//! A SQLite file of its own beside the days' files, not the store. It is made from them: when it is missing, damaged or
//! behind, the blocks are read again. One transaction a block; it is not synced, for the same reason.
//!
//! ```text
//! trouble   subscription started day position slot │ event_hash          (event_hash)
//! through   day                                    │ position: blocks before it are indexed
//! ```

use super::{
    aside,
    attempt::Attempt,
    days::{self, Day, DayFile, Place, failed},
};
use crate::{Error, Millis, SubscriptionId};
use rusqlite::{Connection, params};
use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

const NAME: &str = "trouble.sqlite";
/// As of the days' files.
const MODE: u32 = 0o600;
/// Changed with the schema; an index of another number is made anew.
const FORMAT: u32 = 1;
/// Reader and writer hold each other up for moments only.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(5);
/// Rows deleted in one transaction; it takes some ten milliseconds.
const FORGOTTEN_AT_ONCE: usize = 10_000;

const CREATE: &str = "
CREATE TABLE trouble (
    subscription INTEGER NOT NULL,
    started      INTEGER NOT NULL,
    day          INTEGER NOT NULL,
    position     INTEGER NOT NULL,
    slot         INTEGER NOT NULL,
    event_hash   INTEGER NOT NULL,
    PRIMARY KEY (subscription, started, day, position, slot)
) STRICT, WITHOUT ROWID;
CREATE INDEX trouble_of_event ON trouble (event_hash);
CREATE INDEX trouble_of_day ON trouble (day);
CREATE TABLE through (day INTEGER PRIMARY KEY, position INTEGER NOT NULL) STRICT;
";

/// Where one attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) place: Place,
    pub(super) slot: usize,
}

pub(super) struct Index {
    connection: Connection,
}

impl Index {
    /// Opens the index and brings it up to the files.
    pub(super) fn open(directory: &Path) -> Result<Self, Error> {
        Self::open_as_it_is(directory)
            .and_then(|index| index.caught_up(directory))
            .or_else(|error| {
                tracing::warn!(%error, "the index of attempts is made anew");
                remove(directory)?;
                Self::open_as_it_is(directory)?.caught_up(directory)
            })
    }

    /// Opens one more connection to an index that is open.
    pub(super) fn again(directory: &Path) -> Result<Self, Error> {
        Self::connect(&directory.join(NAME))
    }

    fn open_as_it_is(directory: &Path) -> Result<Self, Error> {
        let path = directory.join(NAME);
        let options = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(MODE)
            .clone();
        options.open(&path).map_err(|error| failed(&path, &error))?;
        let index = Self::connect(&path)?;
        let format: u32 = index
            .connection
            .pragma_query_value(None, "user_version", |row| row.get(0))?;
        match format {
            FORMAT => Ok(index),
            0 => {
                index
                    .connection
                    .execute_batch(&format!("BEGIN; {CREATE} PRAGMA user_version = {FORMAT}; COMMIT;"))?;
                Ok(index)
            }
            found => Err(Error::UnknownFormat { found, known: FORMAT }),
        }
    }

    fn connect(path: &Path) -> Result<Self, Error> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(LOCK_WAIT_MAX)?;
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        Ok(Self { connection })
    }

    fn caught_up(self, directory: &Path) -> Result<Self, Error> {
        self.catch_up(directory)?;
        Ok(self)
    }

    /// Adds the blocks that are in the files and not here, and forgets the days whose files are gone.
    pub(super) fn catch_up(&self, directory: &Path) -> Result<(), Error> {
        let days = days::days(directory)?;
        self.forget(|day| !days.contains(&day))?;
        days.into_iter().try_for_each(|day| self.catch_up_day(directory, day))
    }

    fn catch_up_day(&self, directory: &Path, day: Day) -> Result<(), Error> {
        let Some(file) = DayFile::open(directory, day)? else {
            return Ok(());
        };
        if self.through(day)? > file.end() {
            // The file has lost blocks that were indexed.
            self.forget(|indexed| indexed == day)?;
        }
        let mut blocks = file.blocks(self.through(day)?);
        loop {
            let (position, head) = match blocks.next() {
                Ok(Some(block)) => block,
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, day, "the rest of a day's attempts cannot be read and is passed over");
                    break;
                }
            };
            match file.attempts(position, &head) {
                Ok(attempts) => self.add(Place { day, position }, position + head.block_bytes() as u64, &attempts)?,
                Err(error) => tracing::warn!(%error, day, position, "a block of attempts is passed over"),
            }
        }
        Ok(())
    }

    fn through(&self, day: Day) -> Result<u64, Error> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT position FROM through WHERE day = ?")?;
        let mut rows = statement.query(params![day])?;
        Ok(rows
            .next()?
            .map(|row| row.get::<_, i64>(0))
            .transpose()?
            .unwrap_or(0)
            .cast_unsigned())
    }

    /// Adds a block's trouble.
    pub(super) fn add(&self, place: Place, end: u64, attempts: &[Attempt]) -> Result<(), Error> {
        let transaction = self.connection.unchecked_transaction()?;
        let position = place.position.cast_signed();
        {
            let mut insert = transaction.prepare_cached("INSERT OR REPLACE INTO trouble VALUES (?, ?, ?, ?, ?, ?)")?;
            for (slot, attempt) in attempts.iter().enumerate().filter(|(_, attempt)| attempt.is_trouble()) {
                let (subscription, hash) = (attempt.subscription.cast_signed(), attempt.event_hash.cast_signed());
                insert.execute(params![
                    subscription,
                    attempt.started,
                    place.day,
                    position,
                    slot as i64,
                    hash
                ])?;
            }
            let mut through = transaction.prepare_cached("INSERT OR REPLACE INTO through VALUES (?, ?)")?;
            through.execute(params![place.day, end.cast_signed()])?;
        }
        Ok(transaction.commit()?)
    }

    /// A subscription's trouble that began in the time (both ends inclusive), newest first.
    pub(super) fn of_subscription(
        &self,
        subscription: SubscriptionId,
        from: Millis,
        to: Millis,
        limit: usize,
    ) -> Result<Vec<Slot>, Error> {
        let sql = "SELECT day, position, slot FROM trouble WHERE subscription = ? AND started BETWEEN ? AND ?
                   ORDER BY started DESC, day DESC, position DESC, slot DESC LIMIT ?";
        self.slots(sql, params![subscription.cast_signed(), from, to, limit as i64])
    }

    /// An event's trouble.
    pub(super) fn of_event(&self, event_hash: u64, limit: usize) -> Result<Vec<Slot>, Error> {
        let sql = "SELECT day, position, slot FROM trouble WHERE event_hash = ?
                   ORDER BY started, day, position, slot LIMIT ?";
        self.slots(sql, params![event_hash.cast_signed(), limit as i64])
    }

    fn slots(&self, sql: &str, parameters: &[&dyn rusqlite::ToSql]) -> Result<Vec<Slot>, Error> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(parameters)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let place = Place {
                day: row.get(0)?,
                position: row.get::<_, i64>(1)?.cast_unsigned(),
            };
            found.push(Slot {
                place,
                slot: row.get::<_, u32>(2)? as usize,
            });
        }
        Ok(found)
    }

    /// Forgets days.
    pub(super) fn forget(&self, unwanted: impl Fn(Day) -> bool) -> Result<(), Error> {
        let mut statement = self.connection.prepare("SELECT day FROM through")?;
        let days: Vec<Day> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        for day in days.into_iter().filter(|day| unwanted(*day)) {
            while self.forget_some(day)? {}
            self.connection
                .execute("DELETE FROM through WHERE day = ?", params![day])?;
        }
        Ok(())
    }

    /// Whether there may be more: a whole day at once would keep the writer waiting.
    fn forget_some(&self, day: Day) -> Result<bool, Error> {
        let sql = "DELETE FROM trouble WHERE (subscription, started, day, position, slot) IN
                       (SELECT subscription, started, day, position, slot FROM trouble WHERE day = ? LIMIT ?)";
        let forgotten = self
            .connection
            .prepare_cached(sql)?
            .execute(params![day, FORGOTTEN_AT_ONCE as i64])?;
        Ok(forgotten == FORGOTTEN_AT_ONCE)
    }
}

fn remove(directory: &Path) -> Result<(), Error> {
    for path in files(directory) {
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            aside::put(&path, &error)?;
        }
    }
    Ok(())
}

/// The index and what SQLite keeps beside it.
pub(super) fn files(directory: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| {
        let mut name = OsString::from(directory.join(NAME));
        name.push(suffix);
        PathBuf::from(name)
    })
}
