//! The resource files' objects, as `apply`, `export` and `/v1` share them: plain data with serde, unknown fields refused.
//! Names, kind and bus stand beside the specification. What serde cannot say about a value is in `validate`; rules that
//! need other resources are in `plan`.

mod annotations;
mod aws;
mod aws_target;
mod bus_connection;
mod dead_letter;
mod eventbridge_defaults;
mod eventgrid;
mod key;
mod parameter;
mod quotas;
mod redrive;
mod replay;
mod start;
mod subscription;
mod transform;
mod webhook;
mod wire;

pub use crate::secret::Secret;
pub use annotations::*;
pub use aws::*;
pub use bus_connection::*;
pub use dead_letter::*;
pub use eventbridge_defaults::*;
pub use eventgrid::*;
pub use key::*;
pub use parameter::*;
pub use quotas::*;
pub use redrive::*;
pub use replay::*;
pub use start::*;
pub use subscription::*;
pub use transform::*;
pub use webhook::*;

use crate::limits;
use serde::{Deserialize, Serialize};
use std::time::Duration;

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
    /// How much the bus may take and hold; absent: what the node can.
    #[serde(skip_serializing_if = "BusQuotas::is_empty")]
    pub quotas: BusQuotas,
    /// What its connections to Amazon EventBridge leave out.
    #[serde(skip_serializing_if = "EventBridgeDefaults::is_empty")]
    pub eventbridge: EventBridgeDefaults,
    /// Notes of other systems.
    #[serde(skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
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

fn is_no(value: &bool) -> bool {
    !*value
}

/// A connection: a provider and how to reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "provider", content = "config", rename_all = "kebab-case")]
pub enum ConnectionSpec {
    /// An HTTP endpoint.
    Webhook(WebhookConfig),
    /// An Amazon EventBridge bus.
    #[serde(rename = "eventbridge")]
    EventBridge(EventBridgeConfig),
    /// An Amazon SQS queue.
    Sqs(SqsConfig),
    /// An Amazon SNS topic.
    Sns(SnsConfig),
    /// An Amazon Kinesis data stream.
    Kinesis(KinesisConfig),
    /// An AWS Lambda function.
    Lambda(LambdaConfig),
    /// An Azure Event Grid topic.
    #[serde(rename = "eventgrid")]
    EventGrid(EventGridConfig),
    /// Whatever of Amazon's services its subscriptions name.
    Aws(AwsAccountConfig),
    /// Another bus of this server.
    Bus(BusConfig),
}

impl ConnectionSpec {
    /// The provider's word in resource files.
    pub fn provider(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::EventBridge(_) => "eventbridge",
            Self::Sqs(_) => "sqs",
            Self::Sns(_) => "sns",
            Self::Kinesis(_) => "kinesis",
            Self::Lambda(_) => "lambda",
            Self::EventGrid(_) => "eventgrid",
            Self::Aws(_) => "aws",
            Self::Bus(_) => "bus",
        }
    }

    /// How many events one request to the provider holds at most.
    pub fn request_events_max(&self) -> u32 {
        match self {
            Self::Webhook(_) | Self::Lambda(_) | Self::EventGrid(_) => limits::BATCH_EVENTS_MAX,
            // What it is to a target, `at` says.
            Self::Aws(_) => 1,
            Self::Bus(_) => limits::BUS_EVENTS_MAX,
            Self::EventBridge(_) | Self::Sqs(_) | Self::Sns(_) => limits::AWS_ENTRIES_MAX,
            Self::Kinesis(_) => limits::KINESIS_RECORDS_MAX,
        }
    }

    /// How Amazon's services are reached, where it is a connection to one.
    pub fn aws(&self) -> Option<&AwsAccess> {
        match self {
            Self::Webhook(_) | Self::EventGrid(_) | Self::Bus(_) => None,
            Self::EventBridge(config) => Some(&config.aws),
            Self::Sqs(config) => Some(&config.aws),
            Self::Sns(config) => Some(&config.aws),
            Self::Kinesis(config) => Some(&config.aws),
            Self::Lambda(config) => Some(&config.aws),
            Self::Aws(config) => Some(&config.aws),
        }
    }

    /// Whether what its answers mean is fixed.
    pub(crate) fn takes_no_outcomes(&self) -> bool {
        self.aws().is_some() || matches!(self, Self::Bus(_))
    }

    fn aws_mut(&mut self) -> Option<&mut AwsAccess> {
        match self {
            Self::Webhook(_) | Self::EventGrid(_) | Self::Bus(_) => None,
            Self::EventBridge(config) => Some(&mut config.aws),
            Self::Sqs(config) => Some(&mut config.aws),
            Self::Sns(config) => Some(&mut config.aws),
            Self::Kinesis(config) => Some(&mut config.aws),
            Self::Lambda(config) => Some(&mut config.aws),
            Self::Aws(config) => Some(&mut config.aws),
        }
    }

    /// Its credentials, to be replaced.
    pub(crate) fn aws_credentials_mut(&mut self) -> Option<&mut AwsCredentials> {
        self.aws_mut().map(|aws| &mut aws.credentials)
    }
}

/// A connection as it is declared: its provider, and whether anything is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredConnection {
    /// The provider and how to reach it.
    #[serde(flatten)]
    pub spec: ConnectionSpec,
    /// Nothing is sent: attempts show what would have been.
    #[serde(default, skip_serializing_if = "is_no")]
    pub dry_run: bool,
}
