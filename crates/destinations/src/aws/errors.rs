//! What each service's errors mean for a delivery: one table per service, from which the documentation is made.

use control::resources::ConnectionSpec;

/// What an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// About the event: dead letter at once.
    Refused,
    /// About the way there, the permission or the service: tried again by the subscription's schedule.
    Retry,
    /// There is too much at once: tried again by the schedule, and not sooner than a second.
    Throttled,
    /// The credentials are not taken: renewed once, then tried again by the schedule.
    Credentials,
}

impl Means {
    /// For the documentation.
    pub fn words(self) -> &'static str {
        match self {
            Self::Refused => "dead letter at once",
            Self::Retry => "retry",
            Self::Throttled => "retry, not sooner than after 1 s",
            Self::Credentials => "credentials renewed once, then retry",
        }
    }
}

/// One error.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// As the service writes it.
    pub code: &'static str,
    /// What it means.
    pub means: Means,
    /// What is wrong, for whoever has to mend it.
    pub words: &'static str,
}

const fn row(code: &'static str, means: Means, words: &'static str) -> Row {
    Row { code, means, words }
}

/// Amazon's services that are delivered to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// EventBridge, and CloudWatch Events.
    EventBridge,
    /// SQS.
    Sqs,
    /// SNS.
    Sns,
    /// Kinesis Data Streams.
    Kinesis,
    /// Lambda.
    Lambda,
}

impl Service {
    /// All of them.
    pub const ALL: [Service; 5] = [Self::EventBridge, Self::Sqs, Self::Sns, Self::Kinesis, Self::Lambda];

    pub(super) fn of(spec: &ConnectionSpec) -> Option<Service> {
        match spec {
            ConnectionSpec::EventBridge(_) => Some(Self::EventBridge),
            ConnectionSpec::Sqs(_) => Some(Self::Sqs),
            ConnectionSpec::Sns(_) => Some(Self::Sns),
            ConnectionSpec::Kinesis(_) => Some(Self::Kinesis),
            ConnectionSpec::Lambda(_) => Some(Self::Lambda),
            _ => None,
        }
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::EventBridge => "EventBridge",
            Self::Sqs => "SQS",
            Self::Sns => "SNS",
            Self::Kinesis => "Kinesis",
            Self::Lambda => "Lambda",
        }
    }

    /// The name that signatures are for, which is also the first label of its host.
    pub(super) fn signing_name(self) -> &'static str {
        match self {
            Self::EventBridge => "events",
            Self::Sqs => "sqs",
            Self::Sns => "sns",
            Self::Kinesis => "kinesis",
            Self::Lambda => "lambda",
        }
    }

    /// Where it answers in a region.
    pub(super) fn url(self, region: &str) -> String {
        let suffix = if region.starts_with("cn-") {
            "amazonaws.com.cn"
        } else {
            "amazonaws.com"
        };
        format!("https://{}.{region}.{suffix}/", self.signing_name())
    }

    /// What delivering needs, for least privilege.
    pub fn permission(self) -> &'static str {
        match self {
            Self::EventBridge => "events:PutEvents",
            Self::Sqs => "sqs:SendMessage",
            Self::Sns => "sns:Publish",
            Self::Kinesis => "kinesis:PutRecords",
            Self::Lambda => "lambda:InvokeFunction",
        }
    }

    /// Its own errors.
    pub fn errors(self) -> &'static [Row] {
        match self {
            Self::EventBridge => EVENT_BRIDGE,
            Self::Sqs => SQS,
            Self::Sns => SNS,
            Self::Kinesis => KINESIS,
            Self::Lambda => LAMBDA,
        }
    }

    /// The row of an error, the service's own before the common ones.
    pub(super) fn row(self, code: &str) -> Option<&'static Row> {
        let mut rows = self.errors().iter().chain(COMMON);
        rows.find(|row| row.code == code)
    }
}

use Means::{Credentials, Refused, Retry, Throttled};

/// Errors that every service has.
pub const COMMON: &[Row] = &[
    row("AccessDenied", Retry, "the credentials do not have the permission"),
    row(
        "AccessDeniedException",
        Retry,
        "the credentials do not have the permission",
    ),
    row("AuthFailure", Credentials, "the credentials are not valid"),
    row("ExpiredToken", Credentials, "the session token has ended"),
    row("ExpiredTokenException", Credentials, "the session token has ended"),
    row(
        "IncompleteSignature",
        Retry,
        "the signature was not understood: is the endpoint an AWS one?",
    ),
    row("InternalFailure", Retry, "the service failed by itself"),
    row("InternalServerError", Retry, "the service failed by itself"),
    row("InvalidClientTokenId", Credentials, "the access key does not exist"),
    row(
        "InvalidSignatureException",
        Retry,
        "the signature is wrong: the secret access key, the region, or this machine's clock",
    ),
    row(
        "MissingAuthenticationToken",
        Retry,
        "the endpoint saw no signature: does a proxy remove it?",
    ),
    row("NotAuthorized", Retry, "the credentials do not have the permission"),
    row("OptInRequired", Retry, "the account is not subscribed to the service"),
    row(
        "RequestExpired",
        Retry,
        "the request was too old: is this machine's clock right?",
    ),
    row("RequestTimeTooSkewed", Retry, "this machine's clock is wrong"),
    row("ServiceUnavailable", Throttled, "the service is not available now"),
    row(
        "SignatureDoesNotMatch",
        Retry,
        "the signature is wrong: the secret access key, the region, or this machine's clock",
    ),
    row("Throttling", Throttled, "there are too many requests"),
    row("ThrottlingException", Throttled, "there are too many requests"),
    row(
        "UnrecognizedClientException",
        Credentials,
        "the access key or its token is not valid",
    ),
    row(
        "ValidationError",
        Refused,
        "the service does not take the request as it is",
    ),
    row(
        "ValidationException",
        Refused,
        "the service does not take the request as it is",
    ),
];

const EVENT_BRIDGE: &[Row] = &[
    row("InternalException", Retry, "EventBridge failed by itself"),
    row("InvalidAccountIdException", Retry, "the bus's account is not one"),
    row("InvalidArgument", Refused, "a field of the entry is not valid"),
    row("LimitExceededException", Throttled, "a quota of the account is used up"),
    row(
        "MalformedDetail",
        Refused,
        "the detail is not a JSON object that EventBridge takes",
    ),
    row(
        "NotAuthorizedForDetailTypeException",
        Refused,
        "the credentials may not send this detail type",
    ),
    row(
        "NotAuthorizedForDetailTypeByPolicyException",
        Refused,
        "the bus's policy does not take this detail type from us",
    ),
    row(
        "NotAuthorizedForSourceException",
        Refused,
        "the credentials may not send this source",
    ),
    row(
        "NotAuthorizedForSourceByPolicyException",
        Refused,
        "the bus's policy does not take this source from us",
    ),
    row("RedactionFailure", Refused, "EventBridge could not redact the entry"),
    row("ResourceNotFoundException", Retry, "there is no such event bus"),
];

const SQS: &[Row] = &[
    row(
        "AWS.SimpleQueueService.NonExistentQueue",
        Retry,
        "there is no such queue",
    ),
    row("BatchEntryIdsNotDistinct", Retry, "the batch was not understood"),
    row(
        "BatchRequestTooLong",
        Refused,
        "the messages are longer than the queue takes",
    ),
    row("InvalidAddress", Retry, "the queue's URL is not one"),
    row(
        "InvalidMessageContents",
        Refused,
        "the text holds characters that SQS does not take",
    ),
    row(
        "InvalidParameterValue",
        Refused,
        "a field of the message is not valid, or it is longer than the queue takes",
    ),
    row("InvalidSecurity", Retry, "the request must be signed and go over TLS"),
    row("KmsAccessDenied", Retry, "the credentials may not use the queue's key"),
    row("KmsDisabled", Retry, "the queue's key is disabled"),
    row("KmsInvalidKeyUsage", Retry, "the queue's key is not for this use"),
    row("KmsInvalidState", Retry, "the queue's key cannot be used now"),
    row("KmsNotFound", Retry, "the queue's key does not exist"),
    row("KmsOptInRequired", Retry, "the account is not subscribed to KMS"),
    row("KmsThrottled", Throttled, "KMS has too many requests"),
    row("MissingParameter", Refused, "a field of the message is missing"),
    row("OverLimit", Throttled, "too many messages are in flight"),
    row("QueueDoesNotExist", Retry, "there is no such queue"),
    row("RequestThrottled", Throttled, "there are too many requests"),
    row("UnsupportedOperation", Retry, "the queue does not take this operation"),
];

const SNS: &[Row] = &[
    row(
        "AuthorizationError",
        Retry,
        "the credentials or the topic's policy do not allow it",
    ),
    row(
        "BatchRequestTooLong",
        Refused,
        "the messages are longer than the topic takes",
    ),
    row("EndpointDisabled", Retry, "the endpoint is disabled"),
    row("InternalError", Retry, "SNS failed by itself"),
    row(
        "InvalidParameter",
        Refused,
        "a field of the message is not valid, or it is longer than the topic takes",
    ),
    row("InvalidSecurity", Retry, "the request must be signed and go over TLS"),
    row("KMSAccessDenied", Retry, "the credentials may not use the topic's key"),
    row("KMSDisabled", Retry, "the topic's key is disabled"),
    row("KMSInvalidState", Retry, "the topic's key cannot be used now"),
    row("KMSNotFound", Retry, "the topic's key does not exist"),
    row("KMSOptInRequired", Retry, "the account is not subscribed to KMS"),
    row("KMSThrottling", Throttled, "KMS has too many requests"),
    row("NotFound", Retry, "there is no such topic"),
    row("ParameterValueInvalid", Refused, "a field of the message is not valid"),
    row("Throttled", Throttled, "there are too many requests"),
];

const KINESIS: &[Row] = &[
    row(
        "InvalidArgumentException",
        Refused,
        "a field of the record is not valid, or it is longer than the stream takes",
    ),
    row("InternalFailureException", Retry, "Kinesis failed by itself"),
    row(
        "KMSAccessDeniedException",
        Retry,
        "the credentials may not use the stream's key",
    ),
    row("KMSDisabledException", Retry, "the stream's key is disabled"),
    row("KMSInvalidStateException", Retry, "the stream's key cannot be used now"),
    row("KMSNotFoundException", Retry, "the stream's key does not exist"),
    row("KMSOptInRequired", Retry, "the account is not subscribed to KMS"),
    row("KMSThrottlingException", Throttled, "KMS has too many requests"),
    row("LimitExceededException", Throttled, "there are too many requests"),
    row(
        "ProvisionedThroughputExceededException",
        Throttled,
        "the shard takes no more now",
    ),
    row("ResourceNotFoundException", Retry, "there is no such stream"),
];

const LAMBDA: &[Row] = &[
    row(
        "CodeArtifactUserFailedException",
        Retry,
        "the function cannot be started",
    ),
    row(
        "CodeArtifactUserPendingException",
        Retry,
        "the function is not ready yet",
    ),
    row(
        "EC2AccessDeniedException",
        Retry,
        "the function's role may not use its network",
    ),
    row("EC2ThrottledException", Throttled, "EC2 has too many requests"),
    row("EC2UnexpectedException", Retry, "the function cannot be started"),
    row(
        "ENILimitReachedException",
        Throttled,
        "the function's network has no interface left",
    ),
    row("ENINotReadyException", Retry, "the function is not ready yet"),
    row(
        "InvalidParameterValueException",
        Refused,
        "a parameter of the invocation is not valid",
    ),
    row(
        "InvalidRequestContentException",
        Refused,
        "the payload is not the JSON that Lambda takes",
    ),
    row(
        "KMSAccessDeniedException",
        Retry,
        "the function's role may not use its key",
    ),
    row("KMSDisabledException", Retry, "the function's key is disabled"),
    row(
        "KMSInvalidStateException",
        Retry,
        "the function's key cannot be used now",
    ),
    row("KMSNotFoundException", Retry, "the function's key does not exist"),
    row(
        "ModeNotSupportedException",
        Retry,
        "the function does not take this kind of invocation",
    ),
    row(
        "RecursiveInvocationException",
        Refused,
        "Lambda stopped a loop: the event came from this function",
    ),
    row(
        "RequestTooLargeException",
        Refused,
        "the payload is larger than Lambda takes",
    ),
    row("ResourceConflictException", Retry, "the function is being changed"),
    row(
        "ResourceNotFoundException",
        Retry,
        "there is no such function, version or alias",
    ),
    row("ResourceNotReadyException", Retry, "the function is not ready yet"),
    row(
        "SerializedRequestEntityTooLargeException",
        Refused,
        "the payload is larger than Lambda takes",
    ),
    row("ServiceException", Retry, "Lambda failed by itself"),
    row(
        "ServiceQuotaExceededException",
        Throttled,
        "a quota of the account is used up",
    ),
    row("SnapStartException", Retry, "the function cannot be started"),
    row("SnapStartNotReadyException", Retry, "the function is not ready yet"),
    row("SnapStartTimeoutException", Retry, "the function is not ready yet"),
    row(
        "SubnetIPAddressLimitReachedException",
        Throttled,
        "the function's network has no address left",
    ),
    row(
        "TooManyRequestsException",
        Throttled,
        "there are too many requests, or the function runs as often as it may",
    ),
    row("UnsupportedMediaTypeException", Refused, "the payload is not JSON"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_table_names_an_error_twice() {
        for service in Service::ALL {
            let mut codes: Vec<&str> = service.errors().iter().chain(COMMON).map(|row| row.code).collect();
            codes.sort_unstable();
            let before = codes.len();
            codes.dedup();
            assert_eq!(codes.len(), before, "{}", service.name());
        }
    }

    #[test]
    fn a_service_answers_in_its_region() {
        assert_eq!(
            Service::EventBridge.url("eu-central-1"),
            "https://events.eu-central-1.amazonaws.com/"
        );
        assert_eq!(
            Service::Sqs.url("cn-north-1"),
            "https://sqs.cn-north-1.amazonaws.com.cn/"
        );
    }
}
