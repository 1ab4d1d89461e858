//! The embedded engine: SQLite in one file, one thread that writes, a few connections that read.
//!
//! `schema.rs` draws the file. A commit is synced before its callers are answered (`synchronous=FULL`), and serves every
//! call that waited meanwhile, of each bus in turn. It keeps no copy of the rows in memory, and when nobody calls,
//! nothing runs: there is no timer here.

mod audit;
mod copy;
mod error;
mod open;
mod queue;
mod read;
mod readers;
mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod wal;
mod write;
mod writer;

use crate::{
    AuditEnd, AuditEntry, AuditQuery, BoxFuture, BusId, Dead, DeadQuery, DeliveryKey, Document, Error, Holdings, Kind,
    LaneRow, Mark, Millis, Operation, Parked, Partition, Portion, Range, Revision, Store, SubscriptionId,
    contract::broke_off,
};
pub use copy::{Copied, FORMAT, format_of, reindex};
use queue::Queue;
use readers::Readers;
use rusqlite::Connection;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

/// Whether a file that is not there may be created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// Yes: this may be the first start.
    #[default]
    Create,
    /// No: something else says that it existed, so that its absence is a loss.
    Refuse,
}

/// What an operator may choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What to do when the file is missing.
    pub missing: Missing,
    /// How many reads run at once, each on a connection of its own.
    pub readers: usize,
    /// The file never grows beyond this; a write that would is [`Error::OutOfSpace`].
    pub bytes_max: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            missing: Missing::Create,
            readers: READERS,
            bytes_max: None,
        }
    }
}

/// Reads are short; two keep a long one from blocking the next.
const READERS: usize = 2;

/// The embedded [`Store`].
///
/// Dropping it finishes accepted work in the background; [`Store::shutdown`] waits for it, and leaves the file without
/// a write-ahead file beside it.
pub struct Embedded {
    path: PathBuf,
    queue: Arc<Queue>,
    readers: Arc<Readers>,
    writer: Mutex<Option<JoinHandle<Connection>>>,
    closing: tokio::sync::Mutex<()>,
}

impl Embedded {
    /// Opens the store at `path`, a file in a directory that exists. Blocks while the file is looked through.
    ///
    /// # Errors
    /// [`Error::Corrupt`] and [`Error::UnknownFormat`] before anything is written; whatever the engine says.
    pub fn open(path: &Path, settings: Settings) -> Result<Self, Error> {
        let connection = open::writer(path, &settings)?;
        let readers = Readers::open(path, settings.readers.max(1))?;
        let queue = Arc::new(Queue::default());
        let served = Arc::clone(&queue);
        let writer = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer::run(connection, &served))
            .map_err(|error| Error::Engine(format!("start the writer: {error}")))?;
        Ok(Self {
            path: path.to_owned(),
            queue,
            readers: Arc::new(readers),
            writer: Mutex::new(Some(writer)),
            closing: Default::default(),
        })
    }

    /// Compares every index with its table and every row with its sum: for `doctor`, it reads the whole file.
    ///
    /// # Errors
    /// [`Error::Corrupt`] with the first thing that is wrong.
    pub async fn verify(&self) -> Result<(), Error> {
        self.readers.read(open::verify).await
    }

    async fn close(&self) -> Result<(), Error> {
        let _one_at_a_time = self.closing.lock().await;
        let Some(writer) = locked(&self.writer).take() else {
            return Ok(());
        };
        self.queue.close();
        self.readers.close().await;
        let closed = tokio::task::spawn_blocking(move || {
            let connection = writer
                .join()
                .map_err(|_| Error::Engine("the writer ended early".to_owned()))?;
            // The last connection to go moves everything into the file and removes the write-ahead file.
            connection.close().map_err(|(_, error)| Error::from(error))
        });
        closed.await.map_err(|_| broke_off("closing"))?
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Store for Embedded {
    fn apply(&self, bus: BusId, operations: Vec<Operation>) -> BoxFuture<'_, Result<Revision, Error>> {
        Box::pin(async move {
            let answer = self.queue.push(bus, operations).await?;
            answer.await.unwrap_or(Err(Error::Closed))
        })
    }

    fn document(&self, bus: BusId, kind: Kind, name: &str) -> BoxFuture<'_, Result<Option<Document>, Error>> {
        let name = name.to_owned();
        Box::pin(
            self.readers
                .read(move |connection| read::document(connection, bus, kind, &name)),
        )
    }

    fn documents(&self) -> BoxFuture<'_, Result<Vec<Document>, Error>> {
        Box::pin(self.readers.read(read::documents))
    }

    fn tails(&self) -> BoxFuture<'_, Result<Vec<(Partition, u64)>, Error>> {
        Box::pin(self.readers.read(read::tails))
    }

    fn lanes(&self) -> BoxFuture<'_, Result<Vec<LaneRow>, Error>> {
        Box::pin(self.readers.read(read::lanes))
    }

    fn marks(&self, subscription: SubscriptionId) -> BoxFuture<'_, Result<Vec<Mark>, Error>> {
        Box::pin(
            self.readers
                .read(move |connection| read::marks(connection, subscription)),
        )
    }

    fn parked(
        &self,
        subscription: SubscriptionId,
        portion: Portion,
        until: Millis,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Parked>, Error>> {
        Box::pin(
            self.readers
                .read(move |connection| read::parked(connection, subscription, &portion, until, limit)),
        )
    }

    fn parked_orders(&self, subscription: SubscriptionId) -> BoxFuture<'_, Result<Vec<(u64, DeliveryKey)>, Error>> {
        Box::pin(
            self.readers
                .read(move |connection| read::parked_orders(connection, subscription)),
        )
    }

    fn parked_at(&self, partition: Partition, offset: u64) -> BoxFuture<'_, Result<Vec<Parked>, Error>> {
        Box::pin(
            self.readers
                .read(move |connection| read::parked_at(connection, partition, offset)),
        )
    }

    fn held_from(&self, partition: Partition, offset: u64) -> BoxFuture<'_, Result<Vec<DeliveryKey>, Error>> {
        Box::pin(
            self.readers
                .read(move |connection| read::held_from(connection, partition, offset)),
        )
    }

    fn versions_held(&self, subscription: SubscriptionId) -> BoxFuture<'_, Result<Vec<Revision>, Error>> {
        Box::pin(
            self.readers
                .read(move |connection| read::versions_held(connection, subscription)),
        )
    }

    fn dead(&self, query: DeadQuery) -> BoxFuture<'_, Result<Vec<Dead>, Error>> {
        Box::pin(self.readers.read(move |connection| read::dead(connection, &query)))
    }

    fn dead_count(&self, query: DeadQuery) -> BoxFuture<'_, Result<(u64, u64), Error>> {
        Box::pin(
            self.readers
                .read(move |connection| read::dead_count(connection, &query)),
        )
    }

    fn ranges(&self, subscription: SubscriptionId) -> BoxFuture<'_, Result<Vec<Range>, Error>> {
        Box::pin(
            self.readers
                .read(move |connection| read::ranges(connection, subscription)),
        )
    }

    fn holdings(&self) -> BoxFuture<'_, Result<Vec<(SubscriptionId, Holdings)>, Error>> {
        Box::pin(self.readers.read(read::holdings))
    }

    fn replay_holdings(&self, subscription: SubscriptionId, replay: u32) -> BoxFuture<'_, Result<Holdings, Error>> {
        Box::pin(
            self.readers
                .read(move |connection| read::replay_holdings(connection, subscription, replay)),
        )
    }

    fn audit(&self, query: AuditQuery) -> BoxFuture<'_, Result<Vec<AuditEntry>, Error>> {
        Box::pin(self.readers.read(move |connection| audit::entries(connection, query)))
    }

    fn audit_ends(&self) -> BoxFuture<'_, Result<(AuditEnd, AuditEnd), Error>> {
        Box::pin(self.readers.read(audit::ends))
    }

    fn shutdown(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.close())
    }
}

/// A lock that only lines are done under; what a panic left is as good as what it found.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
