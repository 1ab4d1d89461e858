//! The history of delivery attempts: what a person asks for when an event did not arrive.
//!
//! It is history, not state: nothing is decided from it, and it never holds a delivery up. Attempts wait in memory until
//! there are 1,000 of them or the first is a second old, and are appended as one compressed block to a file a day
//! (`block.rs` and `days.rs` draw them). Those that failed or were not the first get a row in an index beside the files
//! (`index.rs`), which is made anew from them when it is lost.
//!
//! A crash of the process loses the last second. A loss of power loses what the kernel had not written yet: blocks are
//! not synced one by one, because that would compete with the journal. When nothing is pending, nothing runs.

mod aside;
mod attempt;
mod block;
mod copy;
mod days;
mod find;
mod heads;
mod index;
mod pending;
#[cfg(test)]
mod tests;
mod writer;

pub use attempt::{ANSWER_BYTES_MAX, Attempt, AttemptOutcome, REASON_BYTES_MAX};
pub use copy::{HistoryFile, HistoryVerified, history_files, verify_history};
pub use days::Day;

use crate::{Error, Millis, SubscriptionId, contract::broke_off};
use days::Appender;
use heads::Heads;
use index::Index;
use pending::Pending;
use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::sync::Semaphore;

/// Only this user may look into the directory.
const MODE: u32 = 0o700;
/// So many searches run at once; each holds one block in memory.
const SEARCHES_MAX: usize = 2;
/// No search hands out more attempts than this: ten for each of a thousand subscriptions.
pub const FOUND_MAX: usize = 10_000;

/// What an operator, or a test, may choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptSettings {
    /// How long an attempt waits for others before it is written.
    pub wait_max: Duration,
    /// How many may wait for the disk.
    pub pending_max: usize,
    /// And how many bytes.
    pub pending_bytes_max: usize,
}

impl Default for AttemptSettings {
    fn default() -> Self {
        // Twenty blocks: seconds of a slow disk at full speed.
        Self {
            wait_max: Duration::from_secs(1),
            pending_max: 20_000,
            pending_bytes_max: 16 << 20,
        }
    }
}

/// Counters since the start, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptCounts {
    /// Written to a file.
    pub written: u64,
    /// Not kept, because too many were waiting or the disk refused them.
    pub dropped: u64,
    /// Of the dropped, those that had failed or were not the first.
    pub dropped_trouble: u64,
}

#[derive(Default)]
struct Counters {
    written: AtomicU64,
    dropped: AtomicU64,
    dropped_trouble: AtomicU64,
}

impl Counters {
    fn drop_one(&self, attempt: &Attempt) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.dropped_trouble
            .fetch_add(u64::from(attempt.is_trouble()), Ordering::Relaxed);
    }
}

/// The history. Dropping it writes what is pending, in the background; [`AttemptHistory::shutdown`] waits for it.
pub struct AttemptHistory {
    directory: PathBuf,
    pending: Arc<Pending>,
    counters: Arc<Counters>,
    searches: Arc<Semaphore>,
    heads: Arc<Heads>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl AttemptHistory {
    /// Opens the history in `directory`, which is made if it is missing (its parent is not). Blocks: it reads the heads
    /// of the newest file, and what the index lacks. A file that cannot be read is put aside: the history goes on without it.
    ///
    /// # Errors
    /// What the file system says of the directory.
    pub fn open(directory: &Path, settings: AttemptSettings) -> Result<Self, Error> {
        if !directory.is_dir() {
            if fs::symlink_metadata(directory).is_ok() {
                aside::put(directory, &"it is no directory")?;
            }
            DirBuilder::new()
                .mode(MODE)
                .create(directory)
                .map_err(|error| days::failed(directory, &error))?;
        }
        let appender = Self::appender(directory)?;
        let index = Index::open(directory)?;
        let (pending, counters) = (Arc::new(Pending::new(settings)), Arc::new(Counters::default()));
        let writer = writer::Writer::new(directory, appender, index, Arc::clone(&pending), Arc::clone(&counters));
        let thread = thread::Builder::new()
            .name("attempt-history".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| Error::Engine(format!("start the attempts' writer: {error}")))?;
        Ok(Self {
            directory: directory.to_owned(),
            pending,
            counters,
            searches: Arc::new(Semaphore::new(SEARCHES_MAX)),
            heads: Arc::default(),
            writer: Mutex::new(Some(thread)),
        })
    }

    /// The newest file that can be read and written to; those that cannot be read are put aside.
    fn appender(directory: &Path) -> Result<Option<Appender>, Error> {
        let mut newest = None;
        for day in days::days(directory)? {
            let path = days::path_of(directory, day);
            match aside::check(&path) {
                Ok(()) => newest = Some(day),
                Err(error) => aside::put(&path, &error)?,
            }
        }
        let Some(day) = newest else { return Ok(None) };
        match Appender::open(directory, day) {
            Ok(appender) => Ok(Some(appender)),
            Err(Error::OutOfSpace) => Err(Error::OutOfSpace),
            Err(error) => {
                aside::put(&days::path_of(directory, day), &error)?;
                Ok(None)
            }
        }
    }

    /// Takes an attempt to be written; never waits. Its reason and answer are cut to their bounds. When too many are
    /// waiting it is dropped and counted, first deliveries that succeeded long before others.
    pub fn record(&self, attempt: Attempt) {
        if let Err(attempt) = self.pending.push(attempt) {
            self.counters.drop_one(&attempt);
        }
    }

    /// Waits until everything recorded so far is in its file (or dropped).
    pub async fn flush(&self) {
        self.pending.flush().await;
    }

    /// All attempts of an event that began in the time (both ends inclusive), oldest first, at most [`FOUND_MAX`].
    /// Only blocks whose filter has the event are read.
    ///
    /// # Errors
    /// What the file system says; damaged blocks are passed over.
    pub async fn find(&self, event_hash: u64, from: Millis, to: Millis) -> Result<Vec<Attempt>, Error> {
        self.flush().await;
        let heads = Arc::clone(&self.heads);
        self.search(move |directory| find::by_filter(directory, &heads, event_hash, (from, to)))
            .await
    }

    /// The attempts of an event that failed or were not the first, oldest first, at most [`FOUND_MAX`]; by the index,
    /// without a look through the files.
    ///
    /// # Errors
    /// As [`AttemptHistory::find`].
    pub async fn trouble_of_event(&self, event_hash: u64) -> Result<Vec<Attempt>, Error> {
        self.flush().await;
        self.search(move |directory| find::trouble_of_event(directory, event_hash))
            .await
    }

    /// The attempts of a subscription that failed or were not the first and began in the time (both ends inclusive),
    /// newest first, at most `limit` and [`FOUND_MAX`].
    ///
    /// # Errors
    /// As [`AttemptHistory::find`].
    pub async fn trouble_of_subscription(
        &self,
        subscription: SubscriptionId,
        from: Millis,
        to: Millis,
        limit: usize,
    ) -> Result<Vec<Attempt>, Error> {
        self.flush().await;
        let limit = limit.min(FOUND_MAX);
        self.search(move |directory| find::trouble_of_subscription(directory, subscription, from, to, limit))
            .await
    }

    /// Deletes the files of the days before `day`.
    ///
    /// # Errors
    /// What the file system says; what is left goes the next time.
    pub async fn prune(&self, day: Day) -> Result<(), Error> {
        self.heads.forget(|old| old < day);
        self.search(move |directory| {
            days::days(directory)?
                .into_iter()
                .filter(|old| *old < day)
                .try_for_each(|old| days::delete(directory, old))
        })
        .await?;
        self.search(move |directory| Index::again(directory)?.forget(|old| old < day))
            .await
    }

    /// Counters since the start.
    pub fn counts(&self) -> AttemptCounts {
        let Counters {
            written,
            dropped,
            dropped_trouble,
        } = &*self.counters;
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        AttemptCounts {
            written: load(written),
            dropped: load(dropped),
            dropped_trouble: load(dropped_trouble),
        }
    }

    /// Writes what is pending and ends. Idempotent; what is recorded afterwards is dropped and counted.
    pub async fn shutdown(&self) {
        self.pending.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer
            && let Ok(Err(_)) | Err(_) = tokio::task::spawn_blocking(move || writer.join()).await
        {
            tracing::error!("the attempts' writer ended early");
        }
    }

    async fn search<T: Send + 'static>(
        &self,
        search: impl FnOnce(&Path) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let permit = Arc::clone(&self.searches)
            .acquire_owned()
            .await
            .map_err(|_| Error::Closed)?;
        let directory = self.directory.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            search(&directory)
        });
        task.await.unwrap_or_else(|_| Err(broke_off("a search")))
    }
}

impl Drop for AttemptHistory {
    fn drop(&mut self) {
        self.pending.close();
    }
}

/// The day of a moment, for [`AttemptHistory::prune`].
pub fn day_of(time: Millis) -> Day {
    days::day_of(time)
}
