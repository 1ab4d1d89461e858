//! The thread that writes blocks, and their trouble into the index.

use super::{
    Counters,
    attempt::Attempt,
    block,
    days::{Appender, Day, Place, day_of},
    index::Index,
    pending::Pending,
};
use crate::Error;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

pub(super) struct Writer {
    directory: PathBuf,
    /// None until the first block ever.
    appender: Option<Appender>,
    index: Index,
    pending: Arc<Pending>,
    counters: Arc<Counters>,
    /// Whether the last block failed, so that a long outage is said once.
    failing: bool,
    index_is_behind: bool,
}

impl Writer {
    pub(super) fn new(
        directory: &Path,
        appender: Option<Appender>,
        index: Index,
        pending: Arc<Pending>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            directory: directory.to_owned(),
            appender,
            index,
            pending,
            counters,
            failing: false,
            index_is_behind: false,
        }
    }

    /// Writes until the history is closed and nothing is pending.
    pub(super) fn run(mut self) {
        let pending = Arc::clone(&self.pending);
        let _ends = Abandon(&pending);
        while let Some(attempts) = pending.next_block() {
            let result = self.write(&attempts);
            self.count(&attempts, &result);
            self.say(&result);
            pending.handled(attempts.len());
        }
        let synced = self.appender.as_ref().map_or(Ok(()), Appender::sync);
        self.say(&synced);
    }

    fn write(&mut self, attempts: &[Attempt]) -> Result<(), Error> {
        let bytes = block::encode(attempts)?;
        let day = day_of(attempts.iter().map(|attempt| attempt.started).max().unwrap_or_default());
        let place = self.appender(day)?.append(day, &bytes)?;
        let end = place.position + bytes.len() as u64;
        self.index(place, end, attempts);
        Ok(())
    }

    /// A failure here is no failure of the block: the index reads it from the file as soon as it can.
    fn index(&mut self, place: Place, end: u64, attempts: &[Attempt]) {
        let indexed = match self.index_is_behind {
            true => self.index.catch_up(&self.directory),
            false => self.index.add(place, end, attempts),
        };
        if let Err(error) = &indexed
            && !self.index_is_behind
        {
            tracing::warn!(%error, "the index of attempts falls behind");
        }
        self.index_is_behind = indexed.is_err();
    }

    fn appender(&mut self, day: Day) -> Result<&mut Appender, Error> {
        let appender = match self.appender.take() {
            Some(appender) => appender,
            None => Appender::open(&self.directory, day)?,
        };
        Ok(self.appender.insert(appender))
    }

    fn count(&self, attempts: &[Attempt], result: &Result<(), Error>) {
        match result {
            Ok(()) => {
                self.counters
                    .written
                    .fetch_add(attempts.len() as u64, Ordering::Relaxed);
            }
            Err(_) => attempts.iter().for_each(|attempt| self.counters.drop_one(attempt)),
        }
    }

    fn say(&mut self, result: &Result<(), Error>) {
        match result {
            Err(error) if !self.failing => tracing::error!(%error, "attempts are not written"),
            Ok(()) if self.failing => tracing::info!("attempts are written again"),
            _ => {}
        }
        self.failing = result.is_err();
    }
}

struct Abandon<'a>(&'a Pending);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
