//! The core between the doors and the destinations: intake, router, lanes, retry, breaker, parking, dead letters,
//! retention and holds; and the [`Destination`] contract.
//!
//! It knows the journal and the store by their contracts and the model by its snapshots. It speaks no protocol.

pub mod core;
pub mod destination;

pub use core::*;
pub use destination::*;
