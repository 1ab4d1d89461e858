//! What is backed up, and where it lies in a data directory.

use crate::{Name, State};
use std::{fmt, future::Future, path::PathBuf, pin::Pin, sync::Arc};

/// The journal's directory within the data directory.
pub const JOURNAL: &str = "journal";
/// The store's file within the data directory.
pub const STORE: &str = "store.db";
/// The directory of the history of attempts within the data directory.
pub const ATTEMPTS: &str = "attempts";

/// Does something for the copy to be fresh; resolves when it is done.
pub type Prepare = Box<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Hears of the end of a backup; the next one may begin when it has resolved.
pub type Ended = Box<dyn Fn(&Name, &State) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// The parts of a bus that runs.
pub struct Sources {
    /// The data directory.
    pub data: PathBuf,
    /// Its journal.
    pub journal: Arc<journal::Embedded>,
    /// Its store.
    pub store: Arc<store::Embedded>,
    /// Saves how far deliveries have come, so that a restored bus repeats as few as it can.
    pub save_positions: Prepare,
    /// The ids of the master keys that open what the store holds: one, or two while secrets are sealed again.
    pub master_keys: Box<dyn Fn() -> Vec<String> + Send + Sync>,
    /// Hears of the end of each backup that a service makes.
    pub ended: Ended,
}

impl fmt::Debug for Sources {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Sources")
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}
