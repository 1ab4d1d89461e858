//! Documents and delivery state: the [`Store`] contract, its conformance suite, the embedded SQLite engine; and beside
//! them the history of delivery attempts, which is not state.
//!
//! It knows keys, rows and transactions. It does not know what a document means.

pub mod attempts;
pub mod audit;
pub mod conformance;
mod contract;
mod embedded;
mod memory;

pub use attempts::{Attempt, AttemptHistory, AttemptOutcome, AttemptSettings};
pub use contract::*;
pub use embedded::{Copied, Embedded, FORMAT, Missing, Settings, format_of, reindex};
pub use memory::Memory;
