//! Diagnostics of the server: lines on standard error, as text or JSON. They carry names, numbers and reasons; never a
//! payload or a secret. Control characters in values are escaped, so that no value can forge a line or drive a terminal.

use crate::{
    config::{Log, LogFormat},
    exit::{Code, Failure},
};
use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt, reload};

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
    let refused = |reason: String| Failure::new(Code::Usage, format!("log.level {level:?}: {reason}"));
    // A word that is no level would be the name of a module, and "warning" would silence everything.
    if level.trim().is_empty() {
        return Err(refused("it is empty".to_owned()));
    }
    if let Some(word) = level.split(',').map(str::trim).find(|part| is_no_level(part)) {
        return Err(refused(format!(
            "{word:?} is none of error, warn, info, debug, trace and off; a module has its level behind it, as in journal=debug"
        )));
    }
    EnvFilter::try_new(level).map_err(|error| refused(error.to_string()))
}

fn is_no_level(part: &str) -> bool {
    let is_word = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    is_word && part.parse::<LevelFilter>().is_err()
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

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn a_word_that_is_no_level_is_refused_and_not_taken_for_a_module() {
        for level in [
            "info",
            "WARN",
            "off",
            "info,journal=debug",
            "delivery::lane=trace",
            "[publish{bus}]=debug",
        ] {
            assert!(filter(level).is_ok(), "{level}");
        }
        for level in ["loud", "warning", "info,verbose"] {
            let refused = filter(level).expect_err(level).message;
            assert!(refused.contains("is none of error, warn, info"), "{refused}");
        }
    }
}
