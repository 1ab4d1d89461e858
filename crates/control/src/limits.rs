//! Every bound of a resource, in one place, with its reason. Bounds of events are in `event::limits`.

use crate::resources::Rate;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// The least size of data that a claim check may be asked for: a place takes about as much.
pub const CLAIM_CHECK_BYTES_MIN: u64 = 1 << 10;
/// The largest: no event has more.
pub const CLAIM_CHECK_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a resource's JSON: a filter of thousands of values fits, a book does not.
pub const RESOURCE_BYTES_MAX: usize = 256 << 10;
/// Characters of free text (descriptions, owners).
pub const TEXT_CHARACTERS_MAX: usize = 4_096;
/// Characters of a name; Kafka allows 249 for a topic, and a bus prefix must still fit beside it.
pub const NAME_CHARACTERS_MAX: usize = 200;
/// Characters of an event type.
pub const EVENT_TYPE_CHARACTERS_MAX: usize = 255;

/// Annotations of a resource: a bus keeps one for each rule of another system.
pub const ANNOTATIONS_MAX: usize = 1_000;
/// Bytes of an annotation's name.
pub const ANNOTATION_NAME_BYTES_MAX: usize = 256;
/// Bytes of a resource's annotations, so that they fit into [`RESOURCE_BYTES_MAX`] with everything else, escaped.
pub const ANNOTATIONS_BYTES_MAX: usize = 160 << 10;

/// Buses of an installation.
pub const BUSES_MAX: usize = 1_000;
/// Keys of an installation.
pub const KEYS_MAX: usize = 10_000;
/// Patterns of what a key may publish, of types and of sources each: all are asked for each event.
pub const PUBLISH_PATTERNS_MAX: usize = 100;
/// Characters of such a pattern: as long as an event type, and a source of ordinary length.
pub const PUBLISH_PATTERN_CHARACTERS_MAX: usize = 512;
/// The largest quota of bytes per period: beyond it nothing is meant.
pub const BYTE_RATE_MAX: u64 = 1 << 40;
/// The largest quota of connections: what a system can have.
pub const CONNECTION_QUOTA_MAX: u32 = 1_000_000;
/// Event types of a bus.
pub const EVENT_TYPES_MAX: usize = 10_000;
/// Connections of a bus.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Subscriptions of a bus.
pub const SUBSCRIPTIONS_MAX: usize = 10_000;

/// The topic every bus is created with.
pub const EVENTS_TOPIC: &str = "events";
/// The topic of a bus that operational events go to; made when there is the first one. A whole-bus subscription reads it only
/// if it asks for their types.
pub const OPERATIONAL_TOPIC: &str = "trunkline";
/// What the types and sources of operational events begin with; nobody else may publish such.
pub const OPERATIONAL_PREFIX: &str = "io.trunkline.";
/// The bus that exists from the start.
pub const DEFAULT_BUS: &str = "default";
/// Partitions of a topic that does not say, and of `events`.
pub const PARTITIONS_DEFAULT: u32 = 12;
/// Partitions of a node over all topics, hence also of one topic: measured with the journal's write path.
pub const PARTITIONS_MAX: u32 = 2_000;
/// Retention of a topic that does not say, as Kafka's.
pub const RETENTION_AGE_DEFAULT: Duration = Duration::from_secs(7 * 86_400);
/// The shortest retention: shorter than a segment's life means nothing.
pub const RETENTION_AGE_MIN: Duration = MINUTE;
/// The smallest retention by size.
pub const RETENTION_BYTES_MIN: u64 = 1 << 20;
/// A topic without `hold` holds unsettled records at least this long.
pub const HOLD_DEFAULT_MIN: Duration = Duration::from_secs(7 * 86_400);

/// Enabled routes of an event type: each is a copy of the event.
pub const ROUTES_ENABLED_MAX: usize = 8;
/// Routes of an event type, disabled ones included.
pub const ROUTES_MAX: usize = 50;
/// Characters of a route's key path.
pub const KEY_PATH_CHARACTERS_MAX: usize = 512;
/// Tags of an event type.
pub const TAGS_MAX: usize = 50;
/// Characters of a tag.
pub const TAG_CHARACTERS_MAX: usize = 100;
/// Examples of an event type.
pub const EXAMPLES_MAX: usize = 20;

/// Characters of a URL; what common servers take.
pub const URL_CHARACTERS_MAX: usize = 2_048;
/// Custom headers of a webhook.
pub const HEADERS_MAX: usize = 50;
/// Bytes of a header's name.
pub const HEADER_NAME_BYTES_MAX: usize = 128;
/// Bytes of a header's value.
pub const HEADER_VALUE_BYTES_MAX: usize = 4_096;
/// Bytes of a secret that is sent as it is (password, token).
pub const SECRET_BYTES_MAX: usize = 4_096;
/// Signing secrets at once: each adds a signature to every request.
pub const SIGNING_SECRETS_MAX: usize = 10;
/// Bytes of a signing secret, decoded; Standard Webhooks 1.0.0 says 24 to 64.
pub const SIGNING_SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Bytes of a PEM text: a chain, a key, authorities.
pub const PEM_BYTES_MAX: usize = 64 << 10;
/// Bytes of a DNS name.
pub const ORIGIN_BYTES_MAX: usize = 253;

/// Bytes of an AWS region's name; the longest one has 14, and it becomes a host name.
pub const AWS_REGION_BYTES_MAX: usize = 32;
/// Bytes of an AWS access key's id, as IAM says.
pub const AWS_KEY_ID_BYTES_MAX: usize = 128;
/// Bytes of a name or an ARN of a bus, topic, stream or function; EventBridge's is the longest that any service takes.
pub const AWS_NAME_BYTES_MAX: usize = 1_600;
/// Characters of EventBridge's `Source`, and of a profile's name.
pub const AWS_TEXT_CHARACTERS_MAX: usize = 256;
/// Characters of EventBridge's `DetailType`.
pub const DETAIL_TYPE_CHARACTERS_MAX: usize = 128;
/// Entries of one request to EventBridge, SQS or SNS.
pub const AWS_ENTRIES_MAX: u32 = 10;
/// Patterns of ARNs that a connection serves: one for each service in each region is enough for many accounts.
pub const AWS_SERVES_MAX: usize = 50;
/// Bytes of the group of a FIFO message, as SQS and SNS say; Kinesis takes more.
pub const MESSAGE_GROUP_BYTES_MAX: usize = 128;
/// Constant attributes of a message: SQS takes ten, and a copy of a dead letter has four of its own.
pub const MESSAGE_ATTRIBUTES_MAX: usize = 6;
/// Parameters of a connection or a target: as many as EventBridge takes.
pub const PARAMETERS_MAX: usize = 100;
const _: () = assert!(
    PARAMETERS_MAX <= transform::limits::PATHS_MAX,
    "each may be a path, and all are looked for together"
);
/// Bytes of a parameter's name, as EventBridge says.
pub const PARAMETER_NAME_BYTES_MAX: usize = 512;
/// Events that go to another bus at once: what a crash may publish twice.
pub const BUS_EVENTS_MAX: u32 = 100;
/// Records of one request to Kinesis.
pub const KINESIS_RECORDS_MAX: u32 = 500;

/// Topics a subscription names.
pub const SUBSCRIPTION_TOPICS_MAX: usize = 200;
/// Type patterns of a subscription.
pub const SUBSCRIPTION_TYPES_MAX: usize = 200;
/// Deliveries in flight where the subscription does not say.
pub const CONCURRENCY_DEFAULT: u32 = 16;
/// Deliveries in flight at most.
pub const CONCURRENCY_MAX: u32 = 1_000;
/// Attempts per period at most.
pub const RATE_COUNT_MAX: u32 = 1_000_000;
/// The shortest period of a rate.
pub const RATE_PERIOD_MIN: Duration = Duration::from_secs(1);
/// The longest period of a rate.
pub const RATE_PERIOD_MAX: Duration = DAY;
/// A replay's rate where it does not say: live traffic of the same endpoint goes first.
pub const REPLAY_RATE_DEFAULT: Rate = Rate {
    count: 100,
    per: Duration::from_secs(1),
};
/// An attempt's time where the subscription does not say.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(15);
/// The shortest time for an attempt.
pub const TIMEOUT_MIN: Duration = Duration::from_millis(100);
/// The longest time for an attempt: it bounds what one silent endpoint holds.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(300);
/// Events in one request at most: what a receiver may be expected to answer for one by one.
pub const BATCH_EVENTS_MAX: u32 = 1_000;
/// The longest time that an event waits for others.
pub const BATCH_WINDOW_MAX: Duration = Duration::from_secs(300);
/// The least that a batch may be bounded to, in bytes.
pub const BATCH_BYTES_MIN: u64 = 1 << 10;
/// Bytes of a batch where the subscription does not say: what every common server takes.
pub const BATCH_BYTES_DEFAULT: u64 = 1 << 20;
/// Bytes of a batch at most: each request in flight holds as many.
pub const BATCH_BYTES_MAX: u64 = 16 << 20;

/// Waits of a schedule.
pub const RETRY_SCHEDULE_MAX: usize = 50;
/// One wait at most.
pub const RETRY_WAIT_MAX: Duration = Duration::from_secs(7 * 86_400);
/// The shortest first exponential wait: a growing wait cannot start from nothing.
pub const RETRY_FIRST_MIN: Duration = Duration::from_millis(10);
/// The schedule of a subscription that does not say; the first attempt is at once.
pub const RETRY_SCHEDULE_DEFAULT: [Duration; 10] = [
    Duration::ZERO,
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(600),
    Duration::from_secs(1_800),
    HOUR,
    Duration::from_secs(3 * 3_600),
    Duration::from_secs(6 * 3_600),
    Duration::from_secs(12 * 3_600),
];
/// How old an event may get where the subscription does not say.
pub const RETRY_AGE_DEFAULT: Duration = DAY;
/// The shortest age limit.
pub const RETRY_AGE_MIN: Duration = Duration::from_secs(1);
/// The longest age limit.
pub const RETRY_AGE_MAX: Duration = Duration::from_secs(366 * 86_400);
/// Factors of exponential waits.
pub const RETRY_FACTOR: std::ops::RangeInclusive<f64> = 1.0..=10.0;
/// Jitters of exponential waits.
pub const RETRY_JITTER: std::ops::RangeInclusive<f64> = 0.0..=0.5;
/// Statuses whose meaning may be overridden: final ones.
pub const OUTCOME_STATUSES: std::ops::RangeInclusive<u16> = 200..=599;
/// Attempts at most where a subscription says.
pub const RETRY_ATTEMPTS_MAX: u32 = 100_000;
/// The longest duration that any field takes: beyond it `null` or nothing is meant.
pub const DURATION_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

const _: () = assert!(PARTITIONS_DEFAULT <= PARTITIONS_MAX);
const _: () = assert!(RETRY_AGE_DEFAULT.as_secs() <= HOLD_DEFAULT_MIN.as_secs());
const _: () = assert!(RETRY_SCHEDULE_DEFAULT.len() <= RETRY_SCHEDULE_MAX);
const _: () = assert!(TIMEOUT_MIN.as_millis() <= TIMEOUT_DEFAULT.as_millis());
const _: () = assert!(TIMEOUT_DEFAULT.as_millis() <= TIMEOUT_MAX.as_millis());

/// Bytes of a directory's or an application's name at Microsoft: a GUID, or a domain.
pub const AZURE_NAME_BYTES_MAX: usize = 253;
