//! Webhooks: an event as an HTTP POST, CloudEvents binary, structured or batched, or the data alone, signed with Standard
//! Webhooks.

mod act;
mod config;
mod outcome;
pub mod results;
mod signature;
#[cfg(test)]
mod tests;
mod wire;

pub use act::Webhook;
