//! What an operator does to the whole server, handed in by the wiring: backups, and reading the configuration again.

use super::config::Reload;
use std::sync::Arc;

/// Handles on what this crate cannot know. Cheap to clone.
#[derive(Clone)]
pub struct Operations {
    /// Backups; absent: none are made.
    pub backups: Option<backup::Service>,
    /// Reads the configuration again.
    pub reload: Reload,
}

impl Operations {
    /// A server that has neither, for tests of everything else.
    pub fn none() -> Self {
        Self {
            backups: None,
            reload: Arc::new(|| Box::pin(async { Err("this server was not started from a configuration".into()) })),
        }
    }
}
