//! How the program ends: exit codes that scripts can use, and the error every command returns.

use crate::output::say;
use std::process::ExitCode;

/// Exit codes. Stable: scripts depend on them; `docs/command-line.md` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// The command ran, and something failed.
    Failed = 1,
    /// The command line or a file it names is wrong.
    Usage = 2,
    /// The server cannot be reached.
    Unreachable = 3,
    /// The server refused the request as invalid; nothing was changed.
    Refused = 4,
    /// No such thing.
    NotFound = 5,
    /// The key is missing, wrong, or lacks the scope.
    Forbidden = 6,
    /// The server cannot take it now (429, 503, 507): try again later.
    Busy = 7,
    /// `serve`: a sync failed; the journal is poisoned and the process ended itself. Start it again once the disk is sound.
    Poisoned = 70,
    /// `serve`: another process holds the data directory.
    Locked = 71,
    /// `serve`: durable data is damaged; `trunkline doctor` says more.
    Corrupt = 72,
}

/// Why a command failed: what is printed, what to do next, and the exit code.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: Code,
    /// A sentence, without a capital or a full stop.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without advice.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Failure {
            code,
            message: message.into(),
            hint: None,
        }
    }

    /// With advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Prints it to standard error and gives the exit code.
    pub fn report(&self) -> ExitCode {
        say!("trunkline: {}", self.message);
        if let Some(hint) = &self.hint {
            say!("  {hint}");
        }
        ExitCode::from(self.code as u8)
    }
}
