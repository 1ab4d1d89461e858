//! Diagnostics of the server: lines on standard error, as text or JSON. They carry names, numbers and reasons; never a
//! payload or a secret. Control characters in values are escaped, so that no value can forge a line or drive a terminal.

use crate::{
    config::{Log, LogFormat},
    exit::{Code, Failure},
};
use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, fmt};

/// Starts them; once per process.
pub fn start(log: &Log) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&log.level)
        .map_err(|error| Failure::new(Code::Usage, format!("log.level {:?}: {error}", log.level)))?;
    let lines = fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match log.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| Failure::new(Code::Failed, format!("start diagnostics: {error}")))
}
