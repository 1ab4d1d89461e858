//! Destinations: one module per provider, each with the same inside: `config` (what a connection and a subscription say,
//! checked and made ready), `wire` (an event as the provider's bytes; pure), `act` (one attempt), and tests.
//!
//! A destination knows nothing of the journal, of queues or of retries: it makes one attempt and says what it meant.

pub mod webhook;

use connector::Client;
use control::resources::ConnectionSpec;
use delivery::{Destination, DestinationFactory};
use std::sync::Arc;

/// Makes the destination of a subscription by its connection's provider. Every destination goes out through `client`.
pub fn factory(client: Client) -> DestinationFactory {
    Arc::new(move |connection, subscription| {
        let destination: Arc<dyn Destination> = match &connection.spec {
            ConnectionSpec::Webhook(config) => {
                Arc::new(webhook::Webhook::new(client.clone(), config, &subscription.spec)?)
            }
        };
        Ok(destination)
    })
}
