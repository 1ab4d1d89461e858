//! The durable, ordered, partitioned data of Trunkline: the [`Journal`] contract, its conformance suite, the embedded
//! engine, and an in-memory engine for tests of other crates.
//!
//! It is not a router, a filter or a policy: it knows topics by number, records as bytes, and time as append time. What
//! may be given up by retention is decided outside and carried out here by [`Journal::trim`].
//!
//! `docs/adr/0001-journal.md` states the state machine; the file formats are drawn where they are written.

pub mod batch;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod contract;
pub mod embedded;
mod memory;
mod record;
mod tail;
mod varint;

pub use batch::records;
pub use contract::*;
pub use embedded::Embedded;
pub use memory::{Memory, MemorySettings};
pub use record::*;
pub use tail::{Tail, TailHub};
