//! What trying a connection tells. Plain data: destinations make it, doors show it.

use crate::{BoxFuture, Outcome};
use std::{fmt, str::FromStr, sync::Arc};

/// How a connection is tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectionTest {
    /// With a `HEAD`.
    #[default]
    Head,
    /// With an `OPTIONS`.
    Options,
    /// With an event of Trunkline's own, signed as deliveries are.
    Event,
}

impl fmt::Display for ConnectionTest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            ConnectionTest::Head => "HEAD",
            ConnectionTest::Options => "OPTIONS",
            ConnectionTest::Event => "an event",
        })
    }
}

impl FromStr for ConnectionTest {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "head" => Ok(ConnectionTest::Head),
            "options" => Ok(ConnectionTest::Options),
            "event" => Ok(ConnectionTest::Event),
            _ => Err(()),
        }
    }
}

/// One step of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestStep {
    /// `configuration`, `certificate`, `token`, `credentials`, `handshake`, `address`, `name`, `connect`, `tls`, `permission`,
    /// `resource` or `answer`.
    pub name: &'static str,
    /// A stable class of what is wrong; empty when nothing is.
    pub code: String,
    /// In words, without secrets.
    pub detail: String,
}

impl TestStep {
    /// Nothing is wrong.
    pub fn good(name: &'static str, detail: String) -> Self {
        Self {
            name,
            code: String::new(),
            detail,
        }
    }

    /// Something is wrong.
    pub fn failed(name: &'static str, code: &str, detail: String) -> Self {
        Self {
            name,
            code: code.to_owned(),
            detail,
        }
    }

    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.code.is_empty()
    }
}

/// What trying a connection told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestReport {
    /// In the order that they were made; what came behind a failed one was not tried.
    pub steps: Vec<TestStep>,
    /// The endpoint's status, if it answered.
    pub status: Option<u16>,
}

impl TestReport {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.steps.iter().all(TestStep::is_good)
    }

    /// A step that failed as an attempt would.
    pub fn failed(&mut self, name: &'static str, outcome: &Outcome) {
        self.steps
            .push(TestStep::failed(name, &outcome.reason, outcome.detail.clone()));
    }
}

/// Tries a connection, its secrets plain, at this second since the epoch; passed to doors by the wiring.
pub type ConnectionTester =
    Arc<dyn Fn(control::Connection, ConnectionTest, i64) -> BoxFuture<'static, TestReport> + Send + Sync>;
