//! Connections to Amazon's services: which one, where, and as whom. What a subscription says of each event is in its target.

use super::Secret;
use serde::{Deserialize, Serialize};

/// How to reach Amazon's services, the same for each of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsAccess {
    /// The region, e.g. `eu-central-1`; requests are signed for it.
    pub region: String,
    /// Where the service answers; absent: Amazon's address of it in the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// As whom.
    pub credentials: AwsCredentials,
    /// A role to take with these credentials; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assume_role: Option<AssumeRole>,
}

/// Whose credentials sign the requests. All but `static` are the machine's own: the operator says which buses may use them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AwsCredentials {
    /// An access key.
    Static {
        /// Its id.
        access_key_id: String,
        /// Its secret.
        secret_access_key: Secret,
        /// Of temporary credentials: their token.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session_token: Option<Secret>,
    },
    /// Whatever the official chain finds first: environment, profile, web identity, container, instance.
    Default {},
    /// `AWS_ACCESS_KEY_ID` and its companions in the server's environment.
    Environment {},
    /// A profile of the server's shared configuration files.
    Profile {
        /// Its name.
        profile: String,
    },
    /// The token file and the role that the server's environment names, as in Kubernetes.
    WebIdentity {},
    /// The role of the container (ECS, EKS pod identity).
    Container {},
    /// The role of the EC2 instance.
    Instance {},
}

impl AwsCredentials {
    /// Whether they are the machine's own, so that the operator has to allow their use.
    pub fn is_ambient(&self) -> bool {
        !matches!(self, Self::Static { .. })
    }
}

/// A role taken through AWS STS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssumeRole {
    /// The role's ARN.
    pub role_arn: String,
    /// What the role's owner wants to be shown, against confused deputies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The session's name in the owner's records; absent: `trunkline`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_name: Option<String>,
    /// Where STS answers; absent: Amazon's address of it in the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sts_endpoint: Option<String>,
}

/// A connection to an Amazon EventBridge bus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventBridgeConfig {
    /// Where and as whom.
    pub aws: AwsAccess,
    /// The bus, by name or ARN; absent: the account's default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_bus: Option<String>,
    /// `Source` of all its entries; absent: each event's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Which of the two names of the service it speaks to.
    #[serde(default, skip_serializing_if = "EventBridgeApi::is_default")]
    pub api: EventBridgeApi,
}

/// The two names of one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventBridgeApi {
    /// EventBridge.
    #[default]
    Eventbridge,
    /// CloudWatch Events, as it was before: entries name no bus and carry no trace header.
    CloudwatchEvents,
}

impl EventBridgeApi {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A connection to an Amazon SQS queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqsConfig {
    /// Where and as whom.
    pub aws: AwsAccess,
    /// The queue's URL; one that ends in `.fifo` is a FIFO queue.
    pub queue: String,
}

/// A connection to an Amazon SNS topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnsConfig {
    /// Where and as whom.
    pub aws: AwsAccess,
    /// The topic's ARN; one that ends in `.fifo` is a FIFO topic.
    pub topic: String,
}

/// A connection to an Amazon Kinesis data stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KinesisConfig {
    /// Where and as whom.
    pub aws: AwsAccess,
    /// The stream's name or ARN.
    pub stream: String,
}

/// A connection to an AWS Lambda function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LambdaConfig {
    /// Where and as whom.
    pub aws: AwsAccess,
    /// The function's name or ARN.
    pub function: String,
    /// Its version or alias; absent: the unpublished one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qualifier: Option<String>,
    /// Whether the function's end is waited for.
    #[serde(default, skip_serializing_if = "Invocation::is_default")]
    pub invocation: Invocation,
}

/// A connection to whatever of Amazon's services its subscriptions name: `target.arn` says which queue, topic, stream, function or bus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsAccountConfig {
    /// Where and as whom. The region of a target's ARN goes before this one.
    pub aws: AwsAccess,
    /// The ARNs that targets of rules (the EventBridge door's) reach through it, with `*` for any characters; absent: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub serves: Vec<String>,
    /// What becomes of a role that a target names.
    #[serde(default, skip_serializing_if = "TargetRoles::is_default")]
    pub roles: TargetRoles,
}

/// What becomes of a role that a target names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetRoles {
    /// Requests are the connection's own: the role is kept and shown alone.
    #[default]
    Ignore,
    /// It is taken with the connection's credentials, in place of the connection's own role.
    Assume,
}

impl TargetRoles {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How a Lambda function is invoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Invocation {
    /// Lambda queues the event and answers at once; what the function makes of it is Lambda's business.
    #[default]
    Event,
    /// The function's end is waited for, and its error is a failed attempt.
    RequestResponse,
}

impl Invocation {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Which events a FIFO queue or topic keeps in order, and a Kinesis stream on one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MessageGroup {
    /// Those of one key; an event without one: of its source.
    Key,
    /// Those of one subject; an event without one: of its source.
    Subject,
    /// Those of one source.
    Source,
    /// Those of one type.
    Type,
    /// None: each event is a group of its own.
    Event,
}
