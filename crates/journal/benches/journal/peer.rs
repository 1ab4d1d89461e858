//! The peer that the journal is measured against: fjall, with every record synced before it is acknowledged. All producers
//! share one persist, as they share one frame of the journal.

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::{
    path::Path,
    sync::mpsc,
    thread::{self, JoinHandle},
};
use tokio::sync::oneshot;

/// Producers that may wait for the persist.
const WAITING_MAX: usize = 16_384;

/// A key-value store with a thread that persists for all who wait.
pub struct Peer {
    keyspace: Keyspace,
    waiting: Option<mpsc::SyncSender<oneshot::Sender<()>>>,
    persisting: Option<JoinHandle<()>>,
}

impl Peer {
    /// An empty one in this directory.
    pub fn open(directory: &Path) -> Self {
        let database = Database::builder(directory).open().expect("it opens");
        let keyspace = database
            .keyspace("records", KeyspaceCreateOptions::default)
            .expect("a keyspace is made");
        let (waiting, receiver) = mpsc::sync_channel(WAITING_MAX);
        let persisting = thread::spawn(move || persist_for_all(&database, &receiver));
        Self {
            keyspace,
            waiting: Some(waiting),
            persisting: Some(persisting),
        }
    }

    /// Puts a record under its partition and id, and waits until it is durable.
    pub async fn append(&self, partition: u64, id: u64, record: &[u8]) {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&partition.to_be_bytes());
        key[8..].copy_from_slice(&id.to_be_bytes());
        self.keyspace.insert(key, record).expect("it is put");
        let (done, durable) = oneshot::channel();
        let waiting = self.waiting.as_ref().expect("it is there until the drop");
        waiting.send(done).expect("the thread lives");
        durable.await.expect("it is persisted");
    }
}

fn persist_for_all(database: &Database, receiver: &mpsc::Receiver<oneshot::Sender<()>>) {
    while let Ok(first) = receiver.recv() {
        let group: Vec<_> = std::iter::once(first).chain(receiver.try_iter()).collect();
        database.persist(PersistMode::SyncData).expect("it is persisted");
        for done in group {
            done.send(()).unwrap_or(());
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.waiting.take());
        if let Some(persisting) = self.persisting.take() {
            persisting.join().expect("the thread ends well");
        }
    }
}
