//! The rules of connections to Amazon's services: regions, endpoints, credentials, and the names of buses, queues, topics,
//! streams and functions. Whether they exist only Amazon knows: `connections/{name}:test` asks.

use super::webhook::url;
use crate::{
    arn::{self, Arn},
    limits,
    refusal::Refusal,
    resources::{AssumeRole, AwsAccess, AwsCredentials, ConnectionSpec, EventBridgeConfig, LambdaConfig, Secret},
    rules::Rules,
};

const AT: &str = "/config/aws";

pub(super) fn check(spec: &ConnectionSpec, bus: &str, rules: &Rules) -> Result<(), Refusal> {
    if let Some(aws) = spec.aws() {
        access(aws, bus, rules)?;
    }
    match spec {
        ConnectionSpec::Webhook(_) | ConnectionSpec::EventGrid(_) | ConnectionSpec::Bus(_) => Ok(()),
        ConnectionSpec::Aws(config) => serves(&config.serves),
        ConnectionSpec::EventBridge(config) => event_bus(config),
        ConnectionSpec::Sqs(config) => queue(&config.queue, rules),
        ConnectionSpec::Sns(config) => match is_arn(&config.topic, "sns") {
            true => Ok(()),
            false => Err(Refusal::invalid(
                "/config/topic",
                "topic is an ARN, such as arn:aws:sns:eu-central-1:123456789012:orders",
            )),
        },
        ConnectionSpec::Kinesis(config) => match is_arn(&config.stream, "kinesis") || is_name(&config.stream, "-_.") {
            true => Ok(()),
            false => Err(Refusal::invalid(
                "/config/stream",
                "stream is a name (letters, digits, - _ .) or an ARN, such as arn:aws:kinesis:eu-central-1:123456789012:stream/orders",
            )),
        },
        ConnectionSpec::Lambda(config) => function(config),
    }
}

fn access(aws: &AwsAccess, bus: &str, rules: &Rules) -> Result<(), Refusal> {
    if !arn::is_region(&aws.region) {
        return Err(Refusal::invalid(
            format!("{AT}/region"),
            "region is lower-case letters, digits and hyphens, such as eu-central-1",
        ));
    }
    if let Some(endpoint) = &aws.endpoint {
        bare_url(&format!("{AT}/endpoint"), endpoint, rules)?;
    }
    credentials(&aws.credentials, bus, rules)?;
    aws.assume_role.as_ref().map_or(Ok(()), |role| assume_role(role, rules))
}

/// An endpoint is signed for by its host, and requests have paths of their own.
fn bare_url(pointer: &str, text: &str, rules: &Rules) -> Result<(), Refusal> {
    url(pointer, text, rules)?;
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    match rest.split_once('/').is_none_or(|(_, path)| path.is_empty()) && !rest.contains('?') {
        true => Ok(()),
        false => Err(Refusal::invalid(pointer, "an endpoint has no path and no query")),
    }
}

fn credentials(credentials: &AwsCredentials, bus: &str, rules: &Rules) -> Result<(), Refusal> {
    const AT: &str = "/config/aws/credentials";
    if credentials.is_ambient() && !rules.may_use_machine_credentials(bus) {
        let detail = format!(
            "the operator does not let bus {bus:?} use the machine's own credentials (aws_machine_credentials): give an access key of its own (type: static)"
        );
        return Err(Refusal::invalid(format!("{AT}/type"), detail));
    }
    match credentials {
        AwsCredentials::Static {
            access_key_id,
            secret_access_key,
            session_token,
        } => {
            // Amazon's are letters and digits; those of services that speak alike, another Trunkline's, may be names.
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
            let (length, pointer) = (access_key_id.len(), format!("{AT}/access_key_id"));
            if !(1..=limits::AWS_KEY_ID_BYTES_MAX).contains(&length) || !access_key_id.bytes().all(legal) {
                return Err(Refusal::invalid(pointer, "access_key_id is letters, digits and _ - ."));
            }
            secret(&format!("{AT}/secret_access_key"), secret_access_key)?;
            session_token
                .as_ref()
                .map_or(Ok(()), |token| secret(&format!("{AT}/session_token"), token))
        }
        AwsCredentials::Profile { profile } if !is_text(profile) => Err(Refusal::invalid(
            format!("{AT}/profile"),
            "profile is 1 to 256 characters without control characters",
        )),
        _ => Ok(()),
    }
}

fn secret(pointer: &str, secret: &Secret) -> Result<(), Refusal> {
    let text = secret
        .plain()
        .ok_or_else(|| Refusal::invalid(pointer, "the secret itself is needed"))?;
    let short = (1..=limits::SECRET_BYTES_MAX).contains(&text.len());
    match short && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(()),
        false => Err(Refusal::invalid(
            pointer,
            "it is 1 to 4096 bytes of visible ASCII without spaces",
        )),
    }
}

fn assume_role(role: &AssumeRole, rules: &Rules) -> Result<(), Refusal> {
    const AT: &str = "/config/aws/assume_role";
    let refused = |field: &str, rule: &str| Err(Refusal::invalid(format!("{AT}/{field}"), rule));
    if !is_arn(&role.role_arn, "iam") {
        return refused(
            "role_arn",
            "role_arn is an ARN, such as arn:aws:iam::123456789012:role/events",
        );
    }
    let legal = |text: &str, extra: &str, length: std::ops::RangeInclusive<usize>| {
        length.contains(&text.len())
            && text
                .chars()
                .all(|one| one.is_ascii_alphanumeric() || extra.contains(one))
    };
    if role
        .external_id
        .as_deref()
        .is_some_and(|id| !legal(id, "+=,.@:/-_", 2..=1_224))
    {
        return refused(
            "external_id",
            "external_id is 2 to 1224 letters, digits and + = , . @ : / - _",
        );
    }
    if role
        .session_name
        .as_deref()
        .is_some_and(|name| !legal(name, "+=,.@-_", 2..=64))
    {
        return refused(
            "session_name",
            "session_name is 2 to 64 letters, digits and + = , . @ - _",
        );
    }
    match &role.sts_endpoint {
        Some(endpoint) => bare_url(&format!("{AT}/sts_endpoint"), endpoint, rules),
        None => Ok(()),
    }
}

fn event_bus(config: &EventBridgeConfig) -> Result<(), Refusal> {
    if let Some(bus) = &config.event_bus {
        if config.api == crate::resources::EventBridgeApi::CloudwatchEvents {
            let detail = "the CloudWatch Events API knows only the account's default bus";
            return Err(Refusal::invalid("/config/event_bus", detail));
        }
        if !is_arn(bus, "events") && !is_name(bus, "/.-_") {
            let detail = "event_bus is a name (letters, digits, / . - _) or an ARN, such as arn:aws:events:eu-central-1:123456789012:event-bus/orders";
            return Err(Refusal::invalid("/config/event_bus", detail));
        }
    }
    source("/config/source", config.source.as_deref())
}

/// A `Source` of entries.
pub(super) fn source(pointer: &str, source: Option<&str>) -> Result<(), Refusal> {
    match source {
        Some(source) if !is_text(source) || source.starts_with("aws.") => Err(Refusal::invalid(
            pointer,
            "source is 1 to 256 characters without control characters, and does not begin with aws.",
        )),
        _ => Ok(()),
    }
}

fn queue(queue: &str, rules: &Rules) -> Result<(), Refusal> {
    // It is never connected to (the endpoint is), but it is sent, and tells the region's host to a reader.
    url("/config/queue", queue, rules)?;
    let path = queue.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
    match path.is_some_and(|(_, path)| !path.is_empty()) && !queue.contains('?') {
        true => Ok(()),
        false => Err(Refusal::invalid(
            "/config/queue",
            "queue is the queue's URL, such as https://sqs.eu-central-1.amazonaws.com/123456789012/orders",
        )),
    }
}

fn function(config: &LambdaConfig) -> Result<(), Refusal> {
    if !is_arn(&config.function, "lambda") && !is_name(&config.function, "-_") {
        return Err(Refusal::invalid(
            "/config/function",
            "function is a name (letters, digits, - _) or an ARN, such as arn:aws:lambda:eu-central-1:123456789012:function:orders",
        ));
    }
    match &config.qualifier {
        Some(qualifier) if !is_name(qualifier, "-_$") => Err(Refusal::invalid(
            "/config/qualifier",
            "qualifier is a version or an alias: letters, digits, - _ $",
        )),
        _ => Ok(()),
    }
}

fn is_arn(text: &str, service: &str) -> bool {
    Arn::parse(text).is_some_and(|arn| arn.service == service)
}

/// Patterns of ARNs, each within what an ARN consists of.
fn serves(patterns: &[String]) -> Result<(), Refusal> {
    const AT: &str = "/config/serves";
    if patterns.len() > limits::AWS_SERVES_MAX {
        return Err(Refusal::invalid(AT, "serves has at most 50 patterns"));
    }
    let legal = |pattern: &String| {
        let filled = pattern.replace('*', "x");
        pattern.starts_with("arn:") && pattern.len() <= limits::AWS_NAME_BYTES_MAX && {
            let rest = |byte: u8| byte.is_ascii_alphanumeric() || b":/-_.+=@,$".contains(&byte);
            filled.bytes().all(rest)
        }
    };
    match patterns.iter().position(|pattern| !legal(pattern)) {
        None => Ok(()),
        Some(index) => Err(Refusal::invalid(
            format!("{AT}/{index}"),
            "serves has ARNs, with * for any characters, such as arn:aws:sqs:eu-central-1:123456789012:*",
        )),
    }
}

fn is_name(text: &str, extra: &str) -> bool {
    let legal = |one: char| one.is_ascii_alphanumeric() || extra.contains(one);
    (1..=limits::AWS_NAME_BYTES_MAX).contains(&text.len()) && text.chars().all(legal)
}

fn is_text(text: &str) -> bool {
    (1..=limits::AWS_TEXT_CHARACTERS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}
