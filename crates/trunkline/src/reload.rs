//! A running server reads its configuration again: on SIGHUP, and when `/v1/config:reload` asks. Either all of it can be used,
//! or everything stays; what only a start can change is named and waits for one.

use crate::{
    check::{check_backups, check_values},
    config::{Config, Current, Fresh},
    diagnostics::Level,
    serve::refuse_exposure,
};
use backup::{Recipients, Service, Settings};
use control::audit::{Act, Actor, Deed};
use delivery::Core;
use doors::{http::config::Reloaded, server::CertificateReloader};
use std::sync::{Arc, OnceLock};

/// The keys that take effect while the server runs. The TLS files are read again whatever differs.
const LIVE: &[&str] = &["drain", "log.level", "backup.directory", "backup.recipients"];

/// What the reader of the configuration acts on; made before the parts that it changes.
#[derive(Debug)]
pub struct Reloader {
    current: Current,
    level: Level,
    parts: OnceLock<Parts>,
}

struct Parts {
    certificates: Option<CertificateReloader>,
    backups: Service,
    core: Core,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Parts").finish_non_exhaustive()
    }
}

impl Reloader {
    /// Of a server that starts with this configuration.
    pub fn new(current: Current, level: Level) -> Arc<Reloader> {
        Arc::new(Reloader {
            current,
            level,
            parts: OnceLock::new(),
        })
    }

    /// The parts are there.
    pub fn attach(&self, certificates: Option<CertificateReloader>, backups: Service, core: Core) {
        let parts = Parts {
            certificates,
            backups,
            core,
        };
        // Once per start.
        let _ = self.parts.set(parts);
    }

    /// What is in force.
    pub fn config(&self) -> Config {
        self.current.get()
    }

    /// Reads it again, says what became of it in the log, and to the caller.
    pub fn reload(&self) -> Result<Reloaded, String> {
        let reloaded = self.read();
        match &reloaded {
            Ok(Reloaded {
                applied,
                restart_needed,
            }) => {
                let (applied, restart_needed) = (applied.join(", "), restart_needed.join(", "));
                tracing::info!(applied, restart_needed, "the configuration was read again");
            }
            Err(reason) => tracing::error!(reason, "the configuration stays as it was"),
        }
        reloaded
    }

    fn read(&self) -> Result<Reloaded, String> {
        let Some(parts) = self.parts.get() else {
            return Err("the server is still starting".into());
        };
        let fresh = self.current.read_again()?;
        let backups = check(&fresh.config, !parts.core.model().keys.is_empty())?;
        let is_live = |key: &String| LIVE.contains(&key.as_str());
        let (mut applied, restart_needed): (Vec<_>, Vec<_>) = fresh.differs.iter().cloned().partition(is_live);
        if let Some(certificates) = &parts.certificates {
            // The one thing that can still fail: first.
            certificates.reload().map_err(|error| error.to_string())?;
            applied.push("tls (the files were read again)".into());
        }
        self.apply(parts, fresh, backups, &restart_needed)?;
        Ok(Reloaded {
            applied,
            restart_needed,
        })
    }

    fn apply(&self, parts: &Parts, fresh: Fresh, backups: Settings, but: &[String]) -> Result<(), String> {
        if fresh.differs.iter().any(|key| key == "log.level") {
            self.level.set(&fresh.config.log.level)?;
        }
        parts.backups.set(backups);
        self.current.set(fresh, but)
    }
}

/// The entry in the audit trail of a reload that a signal asked for.
pub fn hung_up() -> Act {
    Act {
        by: Actor::System("SIGHUP"),
        action: Deed::Reloaded,
        bus_id: control::documents::INSTALLATION,
        bus: String::new(),
        kind: "configuration",
        name: String::new(),
        changes: Vec::new(),
        details: serde_json::Value::Null,
    }
}

/// Everything that a start would refuse, or say to be of no use.
fn check(config: &Config, has_keys: bool) -> Result<Settings, String> {
    check_values(config)?;
    check_backups(config)?;
    refuse_exposure(config, has_keys).map_err(|failure| failure.message)?;
    backup_settings(config)
}

/// What the configuration says of backups.
pub fn backup_settings(config: &Config) -> Result<Settings, String> {
    let backup = &config.backup;
    let recipients = Recipients::parse(&backup.recipients);
    Ok(Settings {
        directory: (!backup.directory.is_empty()).then(|| backup.directory.clone().into()),
        recipients: recipients.map_err(|error| format!("backup.recipients: {error}"))?,
    })
}
