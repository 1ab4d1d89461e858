//! Copies of what is durable: made from a running bus, incremental, verified, encrypted on request; and put back elsewhere.
//!
//! A backup is a directory of files and a manifest that is written last. The store is copied first, as of one moment; then the
//! journal, as of a later one, so that nothing in the store speaks of records that the copy lacks; then the history of
//! attempts. The master key is in no backup.
//!
//! It does not know what a record or a document means, decides nothing about deliveries, and keeps no schedule: who wants one
//! a night has a scheduler.

mod catalog;
mod cipher;
mod create;
mod error;
mod manifest;
mod name;
mod progress;
mod restore;
mod service;
mod sources;
mod stored;
mod timeline;
mod verify;

pub use catalog::{Listed, latest, list};
pub use cipher::{Identities, Recipients, generate_identity};
pub use create::{Options, create, new_name};
pub use error::Error;
pub use manifest::{Encryption, Entry, JournalState, Manifest, Part, PartitionState, StoreState};
pub use name::Name;
pub use progress::{Phase, Progress, Seen};
pub use restore::{RESTORING, Restored, restore};
pub use service::{Job, Prepared, Request, Service, Settings, State};
pub use sources::{ATTEMPTS, Ended, JOURNAL, Prepare, STORE, Sources};
pub use timeline::{Origin, Timeline};
pub use verify::verify;
