//! Subscriptions and their delivery policy.

use super::{Annotations, ConnectionSpec, DeadLetterSpec, MessageGroup, Start, TransformSpec, is_yes, yes};
use crate::{filters::FilterText, limits};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

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
    /// What becomes of an event before it is delivered; absent: nothing.
    #[serde(default, skip_serializing_if = "TransformSpec::is_raw")]
    pub transform: TransformSpec,
    /// The connection's name.
    pub connection: String,
    /// What the provider needs beyond the connection.
    #[serde(default)]
    pub target: TargetSpec,
    /// How it is delivered.
    #[serde(default)]
    pub delivery: DeliveryPolicy,
    /// Where copies of its dead letters go; absent: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter: Option<DeadLetterSpec>,
    /// Since when; fixed at creation.
    #[serde(default)]
    pub start: Start,
    /// Notes of other systems.
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
    /// False: paused; the position stays.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub enabled: bool,
}

impl SubscriptionSpec {
    /// Whether it reads a topic of its bus. The whole bus is without the topic of operational events, unless `types` asks for
    /// them: who wants every order does not want to hear of breakers.
    pub fn reads(&self, topic: &str) -> bool {
        match &self.topics {
            Some(topics) => topics.iter().any(|name| name == topic),
            None => topic != limits::OPERATIONAL_TOPIC || self.asks_for_operational_events(),
        }
    }

    /// Whether copies of its dead letters go to this topic.
    pub fn copies_to_topic(&self, topic: &str) -> bool {
        let target = self.dead_letter.as_ref().and_then(|target| target.topic.as_deref());
        target == Some(topic)
    }

    /// Whether it delivers through this connection: its events, or copies of its dead letters.
    pub fn uses_connection(&self, connection: &str) -> bool {
        let target = self.dead_letter.as_ref();
        let copies_to = target.and_then(|target| target.connection.as_deref());
        self.connection == connection || copies_to == Some(connection)
    }

    /// How many events one request to its connection holds at most, as it says or as is usual with the provider.
    pub fn events_per_request(&self, connection: &ConnectionSpec) -> u32 {
        // One that leads nowhere makes no request.
        let Ok(connection) = connection.at(&self.target) else {
            return 1;
        };
        let usual = match &*connection {
            ConnectionSpec::Webhook(_) => 1,
            ConnectionSpec::Lambda(_) if self.target.mode != Some(TargetMode::Batched) => 1,
            other => other.request_events_max(),
        };
        self.delivery.batch.events.unwrap_or(usual)
    }

    fn asks_for_operational_events(&self) -> bool {
        let mut types = self.types.iter().flatten();
        types.any(|event_type| event_type.starts_with(limits::OPERATIONAL_PREFIX))
    }
}

/// A filter, in one language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "super::wire::Filter", try_from = "super::wire::Filter")]
pub enum FilterSpec {
    /// An EventBridge pattern.
    EventBridge(FilterText, Dialect),
    /// A CESQL expression.
    Cesql(String, Dialect),
    /// A list of filters of the CloudEvents Subscriptions API.
    CloudEvents(FilterText, Dialect),
    /// An Azure Event Grid filter.
    EventGrid(FilterText),
    /// A JSONPath query of the data.
    JsonPath(String),
}

/// How much of a language a filter may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// What its specification has: the filter means the same elsewhere.
    #[default]
    Standard,
    /// Trunkline's additions as well.
    Extended,
}

impl FilterSpec {
    /// The name of its language in resource files.
    pub fn language(&self) -> &'static str {
        match self {
            Self::EventBridge(..) => "eventbridge",
            Self::Cesql(..) => "cesql",
            Self::CloudEvents(..) => "cloudevents",
            Self::EventGrid(_) => "eventgrid",
            Self::JsonPath(_) => "jsonpath",
        }
    }

    /// Its text: JSON, or an expression.
    pub fn text(&self) -> &str {
        match self {
            Self::EventBridge(text, _) | Self::CloudEvents(text, _) | Self::EventGrid(text) => text.as_str(),
            Self::Cesql(text, _) | Self::JsonPath(text) => text,
        }
    }
}

/// How the event is put into the request.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TargetSpec {
    /// The mode; absent: what is usual with the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<TargetMode>,
    /// `DetailType` of EventBridge's entries; absent: each event's type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail_type: Option<String>,
    /// Which events a FIFO queue or topic keeps in order, and a Kinesis stream on one shard; absent: those of one key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<MessageGroup>,
    /// Of events that are too large, send where they are; absent: they are dead letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim_check: Option<ClaimCheck>,
    /// The one group of all events, instead of `group`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<String>,
    /// A path into the event's EventBridge envelope, before the transform: what is there is the group, instead of `group`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_path: Option<String>,
    /// With aws connections: the queue, topic, stream, function or event bus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// With aws connections: a role, which is taken if the connection says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// Attributes of every message to a queue or a topic, texts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// With webhooks: what stands for the places (`*`) in the path of the connection's URL, in their order. Here and in `query` and
    /// `headers`, what begins with `$.` is a path into the event's EventBridge envelope, before the transform.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
    /// With webhooks: what goes into the query, unless the connection has a parameter of that name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// With webhooks: headers, unless the connection has one of that name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

impl TargetSpec {
    /// Whether it says something of each request to a webhook beside the mode.
    pub fn has_parameters(&self) -> bool {
        !(self.path.is_empty() && self.query.is_empty() && self.headers.is_empty())
    }
}

/// Which events are sent as the place where they are.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClaimCheck {
    /// Those whose data have more bytes than this, 1 KiB to 1 MiB; absent: those that the provider can never take.
    #[serde(with = "crate::units::optional_bytes", skip_serializing_if = "Option::is_none")]
    pub over: Option<u64>,
}

/// How a request carries the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetMode {
    /// CloudEvents binary mode: webhooks only, and usual there.
    Binary,
    /// CloudEvents structured JSON: usual with queues, topics, streams and functions.
    Structured,
    /// A CloudEvents JSON batch, also for one event.
    Batched,
    /// The data alone: usual with EventBridge. A webhook gets it with its content type, of several events a JSON array.
    Data,
    /// The event in its EventBridge envelope, as a rule's target without an input gets it.
    Envelope,
    /// An array in the schema of Azure Event Grid, to a webhook that has answered its validation.
    #[serde(rename = "eventgrid")]
    EventGrid,
}

/// The delivery policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeliveryPolicy {
    /// Per-key order, or none.
    pub ordering: Ordering,
    /// Requests in flight, 1 to 1,000.
    pub concurrency: u32,
    /// Requests started per second; absent: unlimited. Reads and writes as `100/s`, `30/m`.
    #[serde(with = "crate::units::optional_rate", skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// For an attempt in all, to the answer's head: 100 ms to 5 m.
    #[serde(with = "crate::units::duration")]
    pub timeout: Duration,
    /// When to try again.
    pub retry: RetryPolicy,
    /// How many events go into a request; absent: each by itself.
    #[serde(skip_serializing_if = "Batch::is_default")]
    pub batch: Batch,
    /// Overrides of what a status means: `delivered`, `refused`, `retry`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub outcomes: BTreeMap<u16, OutcomeOverride>,
}

/// What goes into one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Batch {
    /// Events at most, 1 to 1,000; absent: as many as the provider takes in one request, a webhook one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<u32>,
    /// How long an event may wait for others, at most 5 m.
    #[serde(with = "crate::units::duration")]
    pub window: Duration,
    /// Bytes at most, 1 KiB to 16 MiB; one event goes whatever its size.
    #[serde(with = "crate::units::bytes")]
    pub bytes: u64,
}

impl Batch {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            events: None,
            window: Duration::ZERO,
            bytes: limits::BATCH_BYTES_DEFAULT,
        }
    }
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how long.
    pub per: Duration,
}

/// When a failed delivery is tried again, and when it is given up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "super::wire::RetryPolicy")]
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
            batch: Batch::default(),
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
