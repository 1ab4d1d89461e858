//! Doors: every protocol that Trunkline accepts, and the server they listen on.

pub mod aws;
pub mod http;
pub mod server;
