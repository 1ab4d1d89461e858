//! Destinations: one module per provider, each with the same inside: `config` (what a connection and a subscription say,
//! checked and made ready), `wire` (events as the provider's bytes; pure), `act` (one request), and tests.
//!
//! A destination knows nothing of the journal, of queues or of retries: it makes one request and says what it meant.

mod connections;
pub mod webhook;

use connections::Connections;
use connector::Client;
use control::resources::ConnectionSpec;
use delivery::{ConnectionTester, Destination, DestinationFactory};
use std::sync::Arc;

/// Makes the destination of a subscription by its connection's provider. Every destination goes out through `client`.
pub fn factory(client: Client) -> DestinationFactory {
    let connections = Connections::default();
    Arc::new(move |connection, subscription| {
        let destination: Arc<dyn Destination> = match &connection.spec {
            ConnectionSpec::Webhook(config) => {
                let shared = connections.shared(connection, || webhook::Shared::new(&client, config))?;
                Arc::new(webhook::Webhook::new(shared, &subscription.spec))
            }
        };
        Ok(destination)
    })
}

/// Tries connections by their provider, through the same client.
pub fn tester(client: Client) -> ConnectionTester {
    Arc::new(move |connection, how, now| {
        let client = client.clone();
        Box::pin(async move {
            match &connection.spec {
                ConnectionSpec::Webhook(config) => webhook::test(&client, config, how, now).await,
            }
        })
    })
}
