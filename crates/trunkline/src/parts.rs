//! How the configuration becomes the parts that `wiring` puts together.

use crate::{
    config::{AllowNetworks, Config, UnknownBuses},
    directory::Directory,
    exit::{Code, Failure},
    reload::{Reloader, backup_settings},
    wiring::{JOURNAL, MASTER_KEY, STORE},
};
use backup::{Service, Sources};
use connector::{Guard, Networks};
use control::{
    Action, Change, Model, Precondition, Token,
    audit::{Act, Actor, Deed},
    names::Name,
    resources::ResourceKind,
    seal::{self, Sealer},
};
use delivery::{Core, trace::Tracer};
use doors::{
    http::{Operations, eventbridge::EventBridge},
    server::{BindError, ServerSettings, TlsFiles},
};
use journal::TopicId;
use serde_json::json;
use std::{collections::BTreeMap, fmt::Display, sync::Arc};
use store::{Millis, Store};

/// Any part's error as the failure of a start.
pub fn failed(error: impl Display) -> Failure {
    Failure::new(Code::Failed, format!("cannot start: {error}"))
}

/// Addresses or a certificate that cannot be had as the failure of a start: a wrong certificate is the configuration's fault,
/// and starting again does not help.
pub fn not_bound(error: BindError) -> Failure {
    match error {
        BindError::Tls(error) => Failure::new(Code::Usage, format!("cannot start: failed to {error}")),
        other => failed(other),
    }
}

/// Where and how the server listens.
pub fn server_settings(config: &Config) -> ServerSettings {
    let files = |tls: &crate::config::Tls| TlsFiles {
        certificates: (&tls.certificate).into(),
        key: (&tls.key).into(),
    };
    ServerSettings {
        listen: config.listen.clone(),
        eventbridge: config.eventbridge.listen.clone(),
        tls: config.has_tls().then(|| files(&config.tls)),
        connections_max: config.http.connections,
        ..ServerSettings::default()
    }
}

/// How the EventBridge door is set up.
pub fn eventbridge(config: &Config) -> EventBridge {
    let region = &config.eventbridge.region;
    EventBridge {
        loses_events_of_unknown_buses: config.eventbridge.unknown_buses == UnknownBuses::Lose,
        region: (!region.is_empty()).then(|| region.clone()),
    }
}

/// The master key: from the configuration, a file of its, or the data directory.
pub fn sealer(config: &Config, directory: &Directory) -> Result<Sealer, Failure> {
    let keys = &config.keys;
    let file = match keys.master_file.as_str() {
        "" => directory.path().join(MASTER_KEY),
        file => file.into(),
    };
    if keys.master.is_empty() && directory.path().join(STORE).exists() && !file.exists() {
        let message = format!("cannot start: the master key {} is missing", file.display());
        return Err(Failure::new(Code::Usage, message).hint(
            "the secrets in this directory were sealed under it, and it is in no backup: put it back, or name it \
             (keys.master, keys.master_file)",
        ));
    }
    let sealer = match keys.master.as_str() {
        "" => Sealer::open_or_create(&file),
        text => Sealer::from_text(text),
    };
    sealer.map_err(not_opened)
}

/// A master key that cannot be used as the failure of a start. The wrong one is the configuration's fault.
fn not_opened(error: seal::Error) -> Failure {
    use seal::Error::{MasterKeyExposed, MasterKeyFileForm, MasterKeyForm, MasterKeysFull, UnknownMasterKey};
    let code = match error {
        MasterKeyForm | MasterKeyFileForm(_) | MasterKeyExposed(_) | MasterKeysFull | UnknownMasterKey(_) => {
            Code::Usage
        }
        _ => Code::Failed,
    };
    Failure::new(code, format!("cannot start: failed to {error}"))
}

/// The store's engine. Where a journal is, a missing store is a loss and not a first start.
pub fn open_store(directory: &Directory) -> Result<store::Embedded, Failure> {
    let missing = match directory.path().join(JOURNAL).exists() {
        true => store::Missing::Refuse,
        false => store::Missing::Create,
    };
    let settings = store::Settings {
        missing,
        ..store::Settings::default()
    };
    store::Embedded::open(&directory.path().join(STORE), settings).map_err(store_failure)
}

/// A store's error as the failure of a start, with its exit code.
pub fn store_failure(error: store::Error) -> Failure {
    let code = if matches!(error, store::Error::Corrupt(_)) {
        Code::Corrupt
    } else {
        Code::Failed
    };
    Failure::new(code, format!("cannot start: failed to {error}"))
}

/// The model of the store's documents; a new store gets the bus `default` first, and the configuration's first key.
pub async fn load_model(store: &dyn Store, sealer: &Sealer, config: &Config) -> Result<Model, Failure> {
    let mut model = bootstrapped(store, sealer).await?;
    let Some(token) = admin_token(config)? else {
        return Ok(model);
    };
    if !model.keys.contains_key(token.id().as_str()) {
        let body = json!({"description": "from the configuration", "scopes": ["administer", "audit", "publish"]});
        add_key(store, sealer, &model, &token, body, "configuration").await?;
        model = bootstrapped(store, sealer).await?;
    }
    Ok(model)
}

/// Says in the log when the last key that can administer is about to end, or has.
pub fn warn_of_last_key(model: &Model) {
    if let Some(warning) = control::keys::expiry::administration_warning(model, now()) {
        tracing::warn!("{warning}");
    }
}

/// The model, after what a new store needs was written.
pub async fn bootstrapped(store: &dyn Store, sealer: &Sealer) -> Result<Model, Failure> {
    let model = Model::load(&store.documents().await.map_err(store_failure)?).map_err(failed)?;
    sealer.check(&model).map_err(another_key)?;
    let Some(operations) = control::bootstrap(&model, sealer).map_err(failed)? else {
        return Ok(model);
    };
    store
        .apply(control::documents::INSTALLATION, operations)
        .await
        .map_err(store_failure)?;
    Model::load(&store.documents().await.map_err(store_failure)?).map_err(failed)
}

/// Secrets here were sealed under a key that was not given: nothing was written.
fn another_key(error: seal::Error) -> Failure {
    not_opened(error).hint(
        "nothing was changed. Give the key under which the secrets were sealed (keys.master, keys.master_file); while a rotation is not \
         done, the new one first and the earlier one behind it (docs/security.md)",
    )
}

/// Writes a key; for the first one, while no server runs.
pub async fn add_key(
    store: &dyn Store,
    sealer: &Sealer,
    model: &Model,
    token: &Token,
    body: serde_json::Value,
    by: &'static str,
) -> Result<(), Failure> {
    let change = Change {
        bus: String::new(),
        kind: ResourceKind::Key,
        name: token.id().as_str().to_string(),
        action: Action::CreateKey {
            body,
            token: token.clone(),
        },
        precondition: Precondition::Absent,
        by: Actor::System(by),
    };
    // A key names no destination: the default rules do.
    let plan = control::plan(model, &control::Rules::default(), sealer, &change, now());
    let mut plan = plan.map_err(|refusal| Failure::new(Code::Refused, refusal.to_string()))?;
    let after = plan.finish.at(0);
    plan.operations
        .push(control::audit::of_change(model, &after, sealer, &change, now()));
    store
        .apply(control::documents::INSTALLATION, plan.operations)
        .await
        .map_err(store_failure)
        .map(drop)
}

/// The configuration's first key.
pub fn admin_token(config: &Config) -> Result<Option<Token>, Failure> {
    let keys = &config.keys;
    let (key, text) = match (keys.admin.as_str(), keys.admin_file.as_str()) {
        ("", "") => return Ok(None),
        ("", file) => {
            let text = std::fs::read_to_string(file);
            let unreadable = |error| Failure::new(Code::Usage, format!("keys.admin_file: cannot read {file}: {error}"));
            ("keys.admin_file", text.map_err(unreadable)?)
        }
        (text, _) => ("keys.admin", text.to_string()),
    };
    Token::parse(text.trim()).map(Some).map_err(|_| {
        let message = format!(
            "{key}: the administrator's key does not have the form of a key; `trunkline key generate` prints one"
        );
        Failure::new(Code::Usage, message)
    })
}

/// The journal's engine, told which topics the store knows.
pub fn open_journal(config: &Config, directory: &Directory, model: &Model) -> Result<journal::Embedded, Failure> {
    let topics: Vec<(TopicId, u32)> = model
        .buses
        .values()
        .flat_map(|bus| {
            bus.topics.values().map(|topic| {
                (
                    TopicId {
                        bus: bus.id,
                        topic: topic.id,
                    },
                    topic.spec.partitions,
                )
            })
        })
        .collect();
    let mut settings = journal::embedded::Settings::new(directory.path().join(JOURNAL), delivery::identify);
    settings.write_ahead_bytes_max = config.journal.write_ahead.0;
    settings.publish_mark_percent = config.journal.publish_mark.whole();
    settings.deduplication_window = config.journal.deduplication;
    journal::Embedded::open(settings, &topics).map_err(|error| {
        let code = match error {
            journal::Error::Locked { .. } => Code::Locked,
            journal::Error::Corrupt { .. } => Code::Corrupt,
            _ => Code::Failed,
        };
        Failure::new(code, format!("cannot start: failed to {error}"))
    })
}

/// Where deliveries may go.
pub fn guard(config: &Config, keyless: bool) -> Result<Guard, Failure> {
    let allow_networks = match &config.allow_networks {
        AllowNetworks::Word(_) if keyless && config.on_loopback() => Networks::loopback(),
        AllowNetworks::Word(_) => Networks::default(),
        AllowNetworks::List(list) => list
            .join(",")
            .parse()
            .map_err(|error| Failure::new(Code::Usage, format!("allow_networks: {error}")))?,
    };
    Ok(Guard { allow_networks })
}

/// Where connections of single buses may lead as well.
pub fn bus_networks(config: &Config) -> Result<BTreeMap<String, Networks>, Failure> {
    let mut of_buses: BTreeMap<String, Networks> = BTreeMap::new();
    for text in &config.bus_networks {
        let wrong = |why: String| Failure::new(Code::Usage, format!("bus_networks: {why}"));
        let pair = text.split_once('=').map(|(bus, network)| (bus.trim(), network.trim()));
        let (bus, network) = pair
            .filter(|(bus, network)| !bus.is_empty() && !network.is_empty())
            .ok_or_else(|| wrong(format!("{text:?} is not BUS=NETWORK, such as shop=10.1.0.0/16")))?;
        let network: Networks = network
            .parse()
            .map_err(|error: connector::NetworkError| wrong(error.to_string()))?;
        Name::new(bus).map_err(|refusal| wrong(refusal.to_string()))?;
        let networks = of_buses.entry(bus.to_owned()).or_default();
        *networks = networks.and(&network);
    }
    Ok(of_buses)
}

/// What every outbound connection is made with.
pub fn connector_settings(config: &Config, guard: Guard) -> Result<connector::Settings, Failure> {
    let egress_proxy = match config.egress_proxy.as_str() {
        "" => None,
        text => {
            // It may hold a password.
            let wrong = |error| Failure::new(Code::Usage, format!("egress_proxy: {error}"));
            Some(text.parse().map_err(wrong)?)
        }
    };
    let settings = connector::Settings {
        guard,
        egress_proxy,
        ..connector::Settings::default()
    };
    let checked = settings.check();
    checked.map_err(|error| Failure::new(Code::Usage, format!("egress_proxy: {error}")))?;
    Ok(settings)
}

/// What carries spans away.
#[cfg(feature = "otlp")]
pub type Exporter = crate::otlp::Exporter;
/// Nothing carries spans away in this build.
#[cfg(not(feature = "otlp"))]
#[derive(Clone, Copy, Debug)]
pub enum Exporter {}

#[cfg(not(feature = "otlp"))]
impl Exporter {
    /// There is none to stop.
    pub async fn stop(self) {
        match self {}
    }
}

/// The tracer, and what carries its spans away, as the configuration and OpenTelemetry's own variables say.
#[cfg(feature = "otlp")]
pub fn tracing_parts(config: &Config) -> Result<(Tracer, Option<Exporter>), Failure> {
    Ok(match tracing_target(config)? {
        None => (Tracer::default(), None),
        Some(target) => {
            let (tracer, exporter) = target.start(&config.otlp)?;
            (tracer, Some(exporter))
        }
    })
}

/// Where spans go.
#[cfg(feature = "otlp")]
pub fn tracing_target(config: &Config) -> Result<Option<crate::otlp::Target>, Failure> {
    crate::otlp::Target::of(&config.otlp, |name| std::env::var(name).ok())
}

/// Nothing is traced in this build.
#[cfg(not(feature = "otlp"))]
pub fn tracing_parts(config: &Config) -> Result<(Tracer, Option<Exporter>), Failure> {
    tracing_target(config).map(|()| (Tracer::default(), None))
}

/// A build without the feature `otlp` refuses what it cannot do.
#[cfg(not(feature = "otlp"))]
pub fn tracing_target(config: &Config) -> Result<(), Failure> {
    match config.otlp.endpoint.as_str() {
        "" => Ok(()),
        _ => Err(Failure::new(
            Code::Usage,
            "otlp.endpoint: this build is without the feature `otlp`",
        )),
    }
}

/// The bounds of the delivery core, with what the configuration says about the disk and the history.
pub fn delivery_settings(config: &Config, tracer: Tracer) -> delivery::Settings {
    delivery::Settings {
        tracer,
        disk_hold_percent: config.journal.hold_mark.whole(),
        disk_publish_percent: config.journal.publish_mark.whole(),
        attempts_keep: config.attempts.keep,
        audit_keep: config.audit.keep,
        operational_events: config.operational_events,
        ..delivery::Settings::default()
    }
}

/// What a backup is made of.
pub fn sources(
    directory: &Directory,
    journal: &Arc<journal::Embedded>,
    store: &Arc<store::Embedded>,
    core: &Core,
) -> Sources {
    let (needed, telling, core) = (core.clone(), core.clone(), core.clone());
    Sources {
        data: directory.path().to_path_buf(),
        journal: journal.clone(),
        store: store.clone(),
        save_positions: Box::new(move || {
            let core = core.clone();
            Box::pin(async move { core.save_positions().await })
        }),
        master_keys: Box::new(move || needed.master_keys_needed()),
        ended: Box::new(move |name, state| {
            let (action, details) = match state {
                backup::State::Failed(reason) => (Deed::Failed, json!({ "reason": reason })),
                _ => (Deed::Completed, serde_json::Value::Null),
            };
            let (core, act) = (telling.clone(), backup_act("backup", action, name, details));
            Box::pin(async move {
                if let Err(error) = core.record(&act).await {
                    tracing::warn!(%error, "the end of a backup is not in the audit trail");
                }
            })
        }),
    }
}

/// The entry in the audit trail of what becomes of a backup.
pub fn backup_act(by: &'static str, action: Deed, name: &backup::Name, details: serde_json::Value) -> Act {
    Act {
        by: Actor::System(by),
        action,
        bus_id: control::documents::INSTALLATION,
        bus: String::new(),
        kind: "backup",
        name: name.to_string(),
        changes: Vec::new(),
        details,
    }
}

/// Backups as the configuration says.
pub fn backups(config: &Config, sources: Sources) -> Result<Service, Failure> {
    let settings = backup_settings(config).map_err(|message| Failure::new(Code::Usage, message))?;
    Ok(Service::new(sources, settings))
}

/// What doors may do to the whole server.
pub fn operations(backups: &Service, reloader: &Arc<Reloader>) -> Operations {
    let reloader = reloader.clone();
    Operations {
        backups: Some(backups.clone()),
        reload: Arc::new(move || {
            let reloader = reloader.clone();
            Box::pin(async move {
                let read = tokio::task::spawn_blocking(move || reloader.reload());
                // What a panic said may hold what was read.
                read.await
                    .unwrap_or_else(|_| Err("reading the configuration broke off".to_owned()))
            })
        }),
    }
}

/// Wall time.
pub fn now() -> Millis {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    elapsed.map_or(0, |elapsed| i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
}

/// Origins whose pages are answered.
pub fn origins(config: &Config) -> Result<doors::http::Origins, Failure> {
    let origins = doors::http::Origins::parse(config.cors_origins.iter().map(String::as_str));
    origins.map_err(|error| Failure::new(Code::Usage, format!("cors_origins: {error}")))
}
