//! What the subscriptions of one connection share (connections of the network, tokens, the endpoint's consent), for as long as
//! one of them lives. It makes nothing itself.

use control::Connection;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

/// A bus, a connection of it, and what of the connection is shared, where that is not all of it.
type Place = (String, String, String);

/// The connections in use, with the version that they were made of.
pub(crate) struct Connections<S>(Mutex<HashMap<Place, (u64, Weak<S>)>>);

impl<S> Default for Connections<S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<S> Connections<S> {
    /// What is shared by the subscriptions of this version of a connection; made if there is none.
    pub(crate) fn shared(
        &self,
        connection: &Connection,
        make: impl FnOnce() -> Result<S, String>,
    ) -> Result<Arc<S>, String> {
        self.shared_part(connection, String::new(), make)
    }

    /// The same of a part of a connection that is several to its subscriptions.
    pub(crate) fn shared_part(
        &self,
        connection: &Connection,
        part: String,
        make: impl FnOnce() -> Result<S, String>,
    ) -> Result<Arc<S>, String> {
        let mut connections = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (connection.bus.clone(), connection.name.clone(), part);
        let known = connections
            .get(&place)
            .filter(|(version, _)| *version == connection.version);
        if let Some(shared) = known.and_then(|(_, shared)| shared.upgrade()) {
            return Ok(shared);
        }
        let shared = Arc::new(make()?);
        connections.retain(|_, (_, shared)| shared.strong_count() > 0);
        connections.insert(place, (connection.version, Arc::downgrade(&shared)));
        Ok(shared)
    }
}
