//! Webhooks: an event as an HTTP POST, CloudEvents binary or structured or the data alone, signed with Standard Webhooks.

mod act;
mod config;
mod outcome;
mod signature;
#[cfg(test)]
mod tests;
mod wire;

pub use act::Webhook;
