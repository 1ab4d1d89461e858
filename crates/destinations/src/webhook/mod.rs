//! Webhooks: an event as an HTTP POST, CloudEvents binary, structured or batched, or the data alone, signed with Standard
//! Webhooks.

mod act;
mod config;
mod handshake;
mod outcome;
mod parameters;
pub mod results;
mod signature;
mod test;
#[cfg(test)]
pub(crate) mod tests;
pub mod tokens;
mod validation;
mod wire;

pub use act::Webhook;
pub use config::Shared;
#[cfg(feature = "aws")]
pub(crate) use outcome::of_event;
pub(crate) use outcome::verdict;
pub(crate) use test::step_of;
pub use test::test;
pub use validation::Gate;
#[cfg(feature = "aws")]
pub(crate) use wire::ID_EXTENSION;
