//! Diagnostics of the server: lines on standard error, as text or JSON. They carry names, numbers and reasons; never a
//! payload or a secret. Control characters in values are escaped, so that no value can forge a line or drive a terminal.

use crate::{
    config::{Log, LogFormat},
    exit::{Code, Failure},
};
use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, fmt, reload};

/// Changes what is said, while it is said.
pub struct Level(Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>);

impl std::fmt::Debug for Level {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Level(…)")
    }
}

impl Level {
    /// Of diagnostics that are not this server's to change.
    pub fn fixed() -> Level {
        Level(Box::new(|_| Ok(())))
    }

    /// From now on, lines of this level or filter.
    pub fn set(&self, level: &str) -> Result<(), String> {
        self.0(filter(level).map_err(|failure| failure.message)?)
    }
}

/// A level or a filter, if it is one.
pub fn filter(level: &str) -> Result<EnvFilter, Failure> {
    EnvFilter::try_new(level).map_err(|error| Failure::new(Code::Usage, format!("log.level {level:?}: {error}")))
}

/// Starts them, those of panics too; once per process.
pub fn start(log: &Log) -> Result<Level, Failure> {
    let lines = fmt()
        .with_env_filter(filter(&log.level)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let (started, level) = match log.format {
        LogFormat::Text => {
            let lines = lines.with_filter_reloading();
            let level = level(lines.reload_handle());
            (lines.try_init(), level)
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_filter_reloading();
            let level = level(lines.reload_handle());
            (lines.try_init(), level)
        }
    };
    started.map_err(|error| Failure::new(Code::Failed, format!("start diagnostics: {error}")))?;
    crate::panics::report();
    Ok(level)
}

fn level<S: 'static>(handle: reload::Handle<EnvFilter, S>) -> Level {
    Level(Box::new(move |filter| {
        handle.reload(filter).map_err(|error| error.to_string())
    }))
}
