//! The parts in the order in which an event needs them, and the reverse for shutdown. Read this first.

use crate::{
    config::Config,
    directory::Directory,
    exit::Failure,
    parts::{
        Exporter, backups, bus_networks, connector_settings, delivery_settings, eventbridge, failed, guard, load_model,
        not_bound, open_journal, open_store, operations, origins, sealer, server_settings, sources, tracing_parts,
        warn_of_last_key,
    },
    reload::{Reloader, hung_up},
    serve::refuse_exposure,
};
use backup::Service;
use delivery::{Core, Parts, Validations};
use doors::{
    http::{Door, DoorParts},
    server::{Server, Serving},
};
use journal::Journal;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use store::{AttemptHistory, AttemptSettings, Store};
use tokio::time::Instant;

pub use backup::{ATTEMPTS, JOURNAL, STORE};

/// The master key's file within the data directory, when the configuration names no other.
pub const MASTER_KEY: &str = "master.key";

/// Connections have their answers by then; this is for their last bytes.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// The running parts.
pub struct Running {
    serving: Serving,
    reloader: Arc<Reloader>,
    backups: Service,
    core: Core,
    journal: Arc<dyn Journal>,
    store: Arc<dyn Store>,
    exporter: Option<Exporter>,
    _directory: Directory,
}

/// Starts everything: what keeps events before what takes them.
pub async fn start(config: &Config, reloader: Arc<Reloader>) -> Result<Running, Failure> {
    let origins = origins(config)?;
    let directory = Directory::open(&config.data_dir)?;
    let server = Server::bind(server_settings(config)).await.map_err(not_bound)?;
    let sealer = sealer(config, &directory)?;
    let store = Arc::new(open_store(&directory)?);
    let model = load_model(store.as_ref(), &sealer, config).await?;
    refuse_exposure(config, !model.keys.is_empty())?;
    warn_of_last_key(&model);
    let journal = Arc::new(open_journal(config, &directory, &model)?);
    let attempts =
        AttemptHistory::open(&directory.path().join(ATTEMPTS), AttemptSettings::default()).map_err(failed)?;

    let guard = guard(config, model.keys.is_empty())?;
    let client = connector::Client::new(connector_settings(config, guard.clone())?).map_err(failed)?;
    let rules = control::Rules::new(guard)
        .with_bus_networks(bus_networks(config)?)
        .with_aws_machine_credentials(config.aws_machine_credentials.clone());
    let (tracer, exporter) = tracing_parts(config)?;
    let validations = Validations::open(store.clone(), &config.public_url)
        .await
        .map_err(failed)?;
    let parts = Parts {
        journal: journal.clone(),
        store: store.clone(),
        attempts,
        model,
        sealer: sealer.clone(),
        rules: rules.clone(),
        destinations: destinations::factory(client.clone(), rules.clone(), validations.clone()),
        settings: delivery_settings(config, tracer),
    };
    let core = Core::start(parts).await.map_err(failed)?;
    let backups = backups(config, sources(&directory, &journal, &store, &core))?;
    reloader.attach(server.certificate_reloader(), backups.clone(), core.clone());
    let door = DoorParts {
        core: core.clone(),
        journal: journal.clone(),
        sealer,
        rules: rules.clone(),
        operations: operations(&backups, &reloader),
        validations,
        tester: destinations::tester(client, rules),
        eventbridge: eventbridge(config),
    };
    let serving = server.start(Door::new(door).allowing(origins));
    Ok(Running {
        serving,
        reloader,
        backups,
        core,
        journal,
        store,
        exporter,
        _directory: directory,
    })
}

impl Running {
    /// The reverse: doors close first, destinations last, then what is durable.
    pub async fn stop(self, drain: Duration) {
        let deadline = Instant::now() + drain;
        let left = || deadline.saturating_duration_since(Instant::now());
        self.serving.drain();
        self.backups.stop().await;
        self.serving.settled(left()).await;
        self.core.shutdown(left()).await;
        self.serving.close(CLOSE_LIMIT).await;
        if let Some(exporter) = self.exporter {
            exporter.stop().await;
        }
        let journal = self.journal.shutdown().await.map_err(|error| error.to_string());
        let store = self.store.shutdown().await.map_err(|error| error.to_string());
        for (part, closed) in [("journal", journal), ("store", store)] {
            if let Err(error) = closed {
                tracing::error!(part, error, "did not close cleanly; the next start recovers");
            }
        }
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.serving.addresses()
    }

    /// Where it listens for EventBridge's protocol alone.
    pub fn eventbridge_addresses(&self) -> &[SocketAddr] {
        self.serving.eventbridge_addresses()
    }

    /// Whether requests need a key.
    pub fn has_keys(&self) -> bool {
        !self.core.model().keys.is_empty()
    }

    /// Resolves with the reason when a sync failed.
    pub async fn poisoned(&self) -> String {
        self.core.poisoned().await
    }

    /// Reads the configuration again; the old one stays when the new one cannot be used. The log and the audit trail say so.
    pub async fn reload(&self) {
        match self.core.record(&hung_up()).await {
            Ok(()) => drop(self.reloader.reload()),
            Err(error) => tracing::error!(%error, "the configuration is not read again: the audit trail cannot say so"),
        }
    }

    /// How long a stop may take.
    pub fn drain(&self) -> Duration {
        self.reloader.config().drain
    }
}
