//! The durable, ordered, partitioned data of Trunkline: the [`Journal`] contract, its conformance suite, the embedded
//! engine, and an in-memory engine for tests of other crates.
//!
//! It is not a router, a filter or a policy: it knows topics by number, records as bytes, and time as append time. What
//! may be given up by retention is decided outside and carried out here by [`Journal::trim`].
//!
//! `docs/adr/0001-journal.md` states the state machine; the file formats are drawn where they are written.

pub mod batch;
mod contract;
mod record;
mod varint;

pub use batch::records;
pub use contract::*;
pub use record::*;

/// A subscriber's feed of partitions that got new durable records. A set, not a queue: bounded by the number of
/// partitions, whatever the reader's pace.
#[derive(Debug)]
pub struct Tail {}

impl Tail {
    /// Waits until some partition has durable records that this feed has not reported, and takes them all. The first call
    /// returns every partition that holds records. `None` once the journal is closed.
    pub async fn next(&mut self) -> Option<Vec<PartitionId>> {
        unimplemented!("journal")
    }
}
