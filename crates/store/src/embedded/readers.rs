//! The connections that read, lent to one read each. It does not know what is read.

use super::{locked, open};
use crate::{Error, contract::broke_off};
use rusqlite::Connection;
use std::{
    path::Path,
    sync::{Arc, Mutex},
};
use tokio::sync::Semaphore;

/// As many connections as permits.
pub(super) struct Readers {
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
    count: usize,
}

impl Readers {
    pub(super) fn open(path: &Path, count: usize) -> Result<Self, Error> {
        let idle = (0..count).map(|_| open::reader(path)).collect::<Result<_, _>>()?;
        Ok(Self {
            idle: Mutex::new(idle),
            permits: Arc::new(Semaphore::new(count)),
            count,
        })
    }

    /// Runs a read where blocking is allowed. The connection comes back even if the caller goes away meanwhile.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_| Error::Closed)?;
        let readers = Arc::clone(self);
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let connection = locked(&readers.idle).pop().ok_or(Error::Closed)?;
            let result = read(&connection);
            locked(&readers.idle).push(connection);
            result
        });
        task.await.unwrap_or_else(|_| Err(broke_off("a read")))
    }

    /// Waits for the reads that run, then lets none begin.
    pub(super) async fn close(&self) {
        // Fails only if closed before.
        let all = self.permits.acquire_many(self.count as u32).await;
        self.permits.close();
        drop(all);
        locked(&self.idle).clear();
    }
}
