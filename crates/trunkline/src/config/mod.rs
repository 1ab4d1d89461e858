//! The server's configuration: the compiled-in defaults, then a file, the environment and flags over them, into one plain
//! value. What the values mean to a running server is decided in `serve`.

mod layers;
mod reload;

use control::units;
use serde::Deserialize;
use std::{net::SocketAddr, path::PathBuf, time::Duration};

pub use layers::{Overrides, load, load_from};
pub use reload::{Current, Fresh};

/// The defaults and the reference manual.
pub const DEFAULTS: &str = include_str!("trunkline.toml");

/// The whole configuration. Every key is in [`DEFAULTS`], with its meaning.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// Where the data lives.
    pub data_dir: PathBuf,
    /// Whether keys may travel over plain HTTP off loopback.
    pub allow_plaintext: bool,
    /// Private networks that destinations may be in.
    pub allow_networks: AllowNetworks,
    /// Networks that single buses' connections may lead to as well, as `BUS=NETWORK`.
    pub bus_networks: Vec<String>,
    /// Buses whose connections may use the machine's own AWS credentials.
    pub aws_machine_credentials: Vec<String>,
    /// A proxy for outbound connections; empty: none.
    pub egress_proxy: String,
    /// Where the server is reached from outside; empty: not known.
    pub public_url: String,
    /// Origins whose pages are answered.
    pub cors_origins: Vec<String>,
    /// How long a stop may take.
    #[serde(with = "units::duration")]
    pub drain: Duration,
    /// Whether trouble is told as events on the bus.
    pub operational_events: bool,
    /// TLS on the port.
    pub tls: Tls,
    /// Diagnostics.
    pub log: Log,
    /// Keys.
    pub keys: Keys,
    /// The journal.
    pub journal: Journal,
    /// The HTTP server.
    pub http: Http,
    /// The EventBridge door.
    pub eventbridge: EventBridge,
    /// The history of attempts.
    pub attempts: Attempts,
    /// Spans.
    pub otlp: Otlp,
    /// The audit trail.
    pub audit: Audit,
    /// Backups of the running server.
    pub backup: Backup,
}

/// `"automatic"`, or a list of CIDR blocks.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum AllowNetworks {
    /// A word: only `automatic`.
    Word(String),
    /// Exactly these.
    List(Vec<String>),
}

/// TLS on the port.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file of the certificate chain.
    pub certificate: String,
    /// PEM file of its private key.
    pub key: String,
}

/// Diagnostics.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// A level or a filter.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

/// How diagnostic lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Keys from outside the store.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// Token of the first key.
    pub admin: String,
    /// File with it.
    pub admin_file: String,
    /// Master key in base64.
    pub master: String,
    /// File with it.
    pub master_file: String,
}

/// The journal's sizes and marks.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// Below this free share publishing is refused.
    pub publish_mark: Percent,
    /// Below this free share held records are given up.
    pub hold_mark: Percent,
    /// Cap of the write-ahead files in bytes.
    pub write_ahead: Size,
    /// Least window of deduplication.
    #[serde(with = "units::duration")]
    pub deduplication: Duration,
}

/// A share of a whole in hundredths, written as `5%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Percent(u64);

impl Percent {
    /// Hundredths.
    pub fn whole(self) -> u64 {
        self.0
    }
}

impl TryFrom<String> for Percent {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = text.strip_suffix('%').and_then(|digits| digits.trim().parse().ok());
        match number {
            Some(percent @ 0..=100) => Ok(Percent(percent)),
            _ => Err(format!("{text:?} is not a whole percentage such as \"5%\"")),
        }
    }
}

/// The HTTP server's bounds.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Connections open at once.
    pub connections: usize,
}

/// The EventBridge door.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventBridge {
    /// Addresses that answer its protocol alone.
    pub listen: Vec<SocketAddr>,
    /// The region that requests must be signed for; empty: any.
    pub region: String,
    /// What becomes of entries for buses that do not exist.
    pub unknown_buses: UnknownBuses,
}

/// What becomes of entries for buses that do not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnknownBuses {
    /// They fail.
    Fail,
    /// They vanish with a success.
    Lose,
}

/// The history of attempts.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempts {
    /// How long it is kept.
    #[serde(with = "units::duration")]
    pub keep: Duration,
}

/// Where spans go.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Otlp {
    /// The collector's address; empty: OpenTelemetry's own variables decide.
    pub endpoint: String,
    /// Headers for it, `name=value,…`.
    pub headers: String,
    /// How many of the events without a trace of their own begin one.
    pub sample: Share,
}

/// A share of a whole, written as `100%` or `0.1%`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Share(f64);

impl Share {
    /// Between 0 and 1.
    #[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "nobody traces in such a build"))]
    pub fn share(self) -> f64 {
        self.0
    }
}

impl TryFrom<String> for Share {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = text
            .strip_suffix('%')
            .and_then(|digits| digits.trim().parse::<f64>().ok());
        match number {
            Some(percent) if (0.0..=100.0).contains(&percent) => Ok(Share(percent / 100.0)),
            _ => Err(format!("{text:?} is not a percentage such as \"10%\" or \"0.1%\"")),
        }
    }
}

/// The audit trail.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// How long its entries are kept.
    #[serde(with = "units::duration")]
    pub keep: Duration,
}

/// Backups of the running server.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// Where they lie; empty: none are made.
    pub directory: String,
    /// To whom they are encrypted.
    pub recipients: Vec<String>,
}

/// A size, written as `1GiB`; kept in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Size(pub u64);

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        units::parse_bytes(&text)
            .map(Size)
            .map_err(|reason| format!("{text:?}: {reason}"))
    }
}

impl Config {
    /// Whether every address is a loopback one.
    pub fn on_loopback(&self) -> bool {
        let all = self.listen.iter().chain(&self.eventbridge.listen);
        all.into_iter().all(|address| address.ip().is_loopback())
    }

    /// Whether the port speaks TLS.
    pub fn has_tls(&self) -> bool {
        !self.tls.certificate.is_empty()
    }
}
