//! The resource files' objects, as `apply`, `export` and `/v1` share them: plain data with serde, unknown fields refused.
//! Names, kind and bus stand beside the specification. What serde cannot say about a value is in `validate`; rules that
//! need other resources are in `plan`.

mod wire;

pub use crate::secret::Secret;

use crate::limits;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// Everything a resource file may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResourceKind {
    /// A bus.
    Bus,
    /// A topic.
    Topic,
    /// An event type.
    EventType,
    /// A connection.
    Connection,
    /// A subscription.
    Subscription,
    /// A key.
    Key,
}

impl ResourceKind {
    /// Its word in resource files and refusals.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bus => "bus",
            Self::Topic => "topic",
            Self::EventType => "event-type",
            Self::Connection => "connection",
            Self::Subscription => "subscription",
            Self::Key => "key",
        }
    }

    /// What the store calls it.
    pub fn stored(self) -> store::Kind {
        match self {
            Self::Bus => store::Kind::Bus,
            Self::Topic => store::Kind::Topic,
            Self::EventType => store::Kind::EventType,
            Self::Connection => store::Kind::Connection,
            Self::Subscription => store::Kind::Subscription,
            Self::Key => store::Kind::Key,
        }
    }

    /// Whether it belongs to a bus; buses and keys belong to the installation.
    pub fn is_of_a_bus(self) -> bool {
        !matches!(self, Self::Bus | Self::Key)
    }
}

impl std::fmt::Display for ResourceKind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.word())
    }
}

/// What happens to events whose type is not catalogued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownTypes {
    /// They go to topic `events`.
    #[default]
    Accept,
    /// They are refused with `type_unknown`.
    Refuse,
}

/// A bus.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BusSpec {
    /// Free text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What happens to events whose type is not catalogued.
    pub unknown_types: UnknownTypes,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TopicSpec {
    /// Free text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Number of partitions; may grow, never shrink. Absent: 12, or what the topic has already.
    pub partitions: u32,
    /// How long records stay.
    pub retention: Retention,
}

/// How long a topic's records stay. Ages read and write as `7d`, `12h`, `30m`, `15s`, `500ms`; sizes as `10GiB` or bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// By append time; absent: 7 days; `null`: for ever.
    #[serde(with = "crate::units::optional_duration")]
    pub age: Option<Duration>,
    /// By size of the whole topic; absent or `null`: unbounded.
    #[serde(with = "crate::units::optional_bytes")]
    pub bytes: Option<u64>,
    /// How long unsettled records are held; absent or `null`: the longer of `age` and 7 days.
    #[serde(with = "crate::units::optional_duration", skip_serializing_if = "Option::is_none")]
    pub hold: Option<Duration>,
}

impl Default for TopicSpec {
    fn default() -> Self {
        Self {
            description: String::new(),
            partitions: limits::PARTITIONS_DEFAULT,
            retention: Retention::default(),
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            age: Some(limits::RETENTION_AGE_DEFAULT),
            bytes: None,
            hold: None,
        }
    }
}

impl Retention {
    /// How long unsettled records are held in effect; `None`: for ever.
    pub fn hold_in_effect(&self) -> Option<Duration> {
        match (self.hold, self.age) {
            (Some(hold), _) => Some(hold),
            (None, Some(age)) => Some(age.max(limits::HOLD_DEFAULT_MIN)),
            (None, None) => None,
        }
    }
}

/// An event type of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventTypeSpec {
    /// Who answers for it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// Free text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where it stands.
    pub lifecycle: Lifecycle,
    /// Where its events go; the first enabled one is primary. At most 8 enabled.
    pub routes: Vec<Route>,
    /// Free labels (`pii`, …).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Example data.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<serde_json::Value>,
}

/// The lifecycle of an event type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lifecycle {
    /// May still change.
    Experimental,
    /// In use.
    #[default]
    Stable,
    /// On its way out.
    Deprecated,
}

/// Event type to topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The topic's name, of the same bus.
    pub topic: String,
    /// Path of the key in the JSON data, dotted; absent: no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whether it is used.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}

/// A connection: a provider and how to reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "provider", content = "config", rename_all = "kebab-case")]
pub enum ConnectionSpec {
    /// An HTTP endpoint.
    Webhook(WebhookConfig),
}

/// A webhook connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where to POST; http or https, no user information.
    pub url: String,
    /// Sent with every request; reserved names (`host`, `content-length`, `webhook-*`, `ce-*`, …) are refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// How to authenticate there.
    #[serde(default, skip_serializing_if = "Auth::is_none")]
    pub auth: Auth,
    /// How deliveries are signed; absent: with Standard Webhooks if a secret is given, else not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<Signing>,
}

/// How Trunkline authenticates to a destination.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", try_from = "wire::Auth")]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// HTTP basic.
    Basic {
        /// The user name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// `Authorization: Bearer`.
    Bearer {
        /// The token.
        token: Secret,
    },
    /// A header of its own.
    ApiKey {
        /// The header's name.
        header: String,
        /// Its value.
        value: Secret,
    },
}

impl Auth {
    fn is_none(&self) -> bool {
        *self == Auth::None
    }
}

/// How deliveries are signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "style", rename_all = "kebab-case", from = "wire::Signing")]
pub enum Signing {
    /// Standard Webhooks 1.0.0, HMAC-SHA256; one signature for each secret, the first is the newest.
    StandardWebhooks {
        /// `whsec_` and base64 of 24 to 64 bytes; at most 10.
        secrets: Vec<Secret>,
    },
}

/// Which events, how changed, where to, how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscriptionSpec {
    /// Free text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Topics of the same bus; absent: the whole bus, each event once, new topics included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<Vec<String>>,
    /// Event types, with `*`; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub types: Option<Vec<String>>,
    /// What else must hold; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<FilterSpec>,
    /// The connection's name.
    pub connection: String,
    /// What the provider needs beyond the connection.
    #[serde(default)]
    pub target: TargetSpec,
    /// How it is delivered.
    #[serde(default)]
    pub delivery: DeliveryPolicy,
    /// Since when; fixed at creation.
    #[serde(default)]
    pub start: Start,
    /// False: paused; the position stays.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub enabled: bool,
}

impl SubscriptionSpec {
    /// Whether it reads a topic of its bus.
    pub fn reads(&self, topic: &str) -> bool {
        self.topics
            .as_ref()
            .is_none_or(|topics| topics.iter().any(|name| name == topic))
    }
}

/// A filter, in one dialect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FilterSpec {
    /// An EventBridge pattern.
    EventBridge(serde_json::Value),
}

/// How the event is put into the request.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TargetSpec {
    /// The mode.
    pub mode: TargetMode,
}

/// How a webhook carries the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetMode {
    /// CloudEvents binary mode.
    #[default]
    Binary,
    /// CloudEvents structured JSON.
    Structured,
    /// The data alone, with its content type.
    Data,
}

/// The delivery policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeliveryPolicy {
    /// Per-key order, or none.
    pub ordering: Ordering,
    /// Deliveries in flight, 1 to 1,000.
    pub concurrency: u32,
    /// Attempts started per second; absent: unlimited. Reads and writes as `100/s`, `30/m`.
    #[serde(with = "crate::units::optional_rate", skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// For an attempt in all, to the answer's head: 100 ms to 5 m.
    #[serde(with = "crate::units::duration")]
    pub timeout: Duration,
    /// When to try again.
    pub retry: RetryPolicy,
    /// Overrides of what a status means: `delivered`, `refused`, `retry`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub outcomes: BTreeMap<u16, OutcomeOverride>,
}

/// Whether deliveries keep the order of their key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ordering {
    /// No order.
    #[default]
    None,
    /// One delivery of a key in flight; a failing key parks only itself.
    Key,
}

/// Attempts per time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how long.
    pub per: Duration,
}

/// When a failed delivery is tried again, and when it is given up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "wire::RetryPolicy")]
pub struct RetryPolicy {
    /// Element i is the wait before attempt i; the last repeats. Empty with `exponential`, which excludes it.
    #[serde(with = "crate::units::durations", skip_serializing_if = "Vec::is_empty")]
    pub schedule: Vec<Duration>,
    /// Instead of a schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exponential: Option<Exponential>,
    /// Attempts in all; absent: bounded by `age` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// How old an event may get before it is given up.
    #[serde(with = "crate::units::duration")]
    pub age: Duration,
}

impl Default for DeliveryPolicy {
    fn default() -> Self {
        Self {
            ordering: Ordering::None,
            concurrency: limits::CONCURRENCY_DEFAULT,
            rate: None,
            timeout: limits::TIMEOUT_DEFAULT,
            retry: RetryPolicy::default(),
            outcomes: BTreeMap::new(),
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            schedule: limits::RETRY_SCHEDULE_DEFAULT.to_vec(),
            exponential: None,
            attempts: None,
            age: limits::RETRY_AGE_DEFAULT,
        }
    }
}

/// Exponential waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exponential {
    /// The first wait after a failure.
    #[serde(with = "crate::units::duration")]
    pub first: Duration,
    /// Each further one is this many times the one before, 1 to 10.
    pub factor: f64,
    /// Never longer than this.
    #[serde(with = "crate::units::duration")]
    pub max: Duration,
    /// Each wait is drawn between `1 - jitter` and `1 + jitter` times its value; 0 to 0.5, absent: 0.5.
    #[serde(default = "half")]
    pub jitter: f64,
}

fn half() -> f64 {
    0.5
}

/// What a status means instead of the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeOverride {
    /// Settled.
    Delivered,
    /// About the event: dead letter at once.
    Refused,
    /// About the endpoint: try again.
    Retry,
}

/// Since when a subscription sees events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// From the durable end at creation.
    #[default]
    Now,
    /// From the first record kept.
    Earliest,
}

/// A key's public part and rights; the secret is shown once, when it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySpec {
    /// Free text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Which buses; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buses: Option<Vec<String>>,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// RFC 3339; absent: does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<String>,
}

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Publish events.
    Publish,
    /// Everything else: resources, dead letters, events' stories.
    Manage,
}
