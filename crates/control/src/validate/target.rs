//! Whether a subscription's target and batches are for the provider of its connection.

use crate::{
    counted, limits,
    parse::token,
    refusal::Refusal,
    resources::{ConnectionSpec, SubscriptionSpec, TargetMode, TargetSpec, TransformSpec},
};
use std::collections::BTreeMap;

/// Refuses what means nothing to the provider.
pub(crate) fn target(spec: &SubscriptionSpec, connection: &ConnectionSpec) -> Result<(), Refusal> {
    let connection = &*connection.at(&spec.target)?;
    fields(&spec.target, connection)?;
    mode(&spec.target, connection)?;
    claim_check(spec, connection)?;
    batch(spec, connection)?;
    if spec.target.mode == Some(TargetMode::Envelope) && spec.transform != TransformSpec::Raw {
        let detail = "mode envelope sends the event's envelope, and a transform makes something else of it";
        return Err(Refusal::invalid("/target/mode", detail));
    }
    if connection.takes_no_outcomes() && !spec.delivery.outcomes.is_empty() {
        let detail = "outcomes says what statuses of a webhook mean; what this provider's errors mean is fixed";
        return Err(Refusal::invalid("/delivery/outcomes", detail));
    }
    Ok(())
}

/// The same of the target of copies of dead letters, at its place.
pub(crate) fn dead_letter_target(target: &TargetSpec, connection: &ConnectionSpec) -> Result<(), Refusal> {
    let check = || {
        let connection = &*connection.at(target)?;
        fields(target, connection)?;
        mode(target, connection)
    };
    check().map_err(|refusal| Refusal {
        pointer: refusal.pointer.map(|pointer| format!("/dead_letter{pointer}")),
        ..refusal
    })
}

fn fields(target: &TargetSpec, connection: &ConnectionSpec) -> Result<(), Refusal> {
    if let Some(detail_type) = &target.detail_type {
        if !matches!(connection, ConnectionSpec::EventBridge(_)) {
            return Err(Refusal::invalid(
                "/target/detail_type",
                "detail_type is for eventbridge connections",
            ));
        }
        let count = detail_type.chars().count();
        if !(1..=limits::DETAIL_TYPE_CHARACTERS_MAX).contains(&count) || detail_type.chars().any(char::is_control) {
            let detail = "detail_type is 1 to 128 characters, none of them a control character";
            return Err(Refusal::invalid("/target/detail_type", detail));
        }
    }
    group(target, connection)?;
    parameters(target, connection)?;
    attributes(&target.attributes, connection)
}

/// Of each request to a webhook; one request, one event, since values may be the event's.
fn parameters(target: &TargetSpec, connection: &ConnectionSpec) -> Result<(), Refusal> {
    if !target.has_parameters() {
        return Ok(());
    }
    match connection {
        ConnectionSpec::Webhook(config) => super::parameters::target(target, config.places()),
        _ => Err(Refusal::invalid(
            "/target",
            "path, query and headers are for webhook connections",
        )),
    }
}

fn group(target: &TargetSpec, connection: &ConnectionSpec) -> Result<(), Refusal> {
    let takes = match connection {
        ConnectionSpec::Sqs(config) => config.queue.ends_with(".fifo"),
        ConnectionSpec::Sns(config) => config.topic.ends_with(".fifo"),
        ConnectionSpec::Kinesis(_) => true,
        _ => false,
    };
    let given = [
        ("group", target.group.is_some()),
        ("group_id", target.group_id.is_some()),
        ("group_path", target.group_path.is_some()),
    ];
    let mut given = given
        .into_iter()
        .filter(|(_, is_given)| *is_given)
        .map(|(name, _)| name);
    let Some(name) = given.next() else { return Ok(()) };
    let pointer = format!("/target/{name}");
    if !takes {
        let detail =
            format!("{name} is for FIFO queues and topics (their names end in .fifo) and for kinesis connections");
        return Err(Refusal::invalid(pointer, detail));
    }
    if let Some(second) = given.next() {
        let detail = "group, group_id and group_path exclude each other";
        return Err(Refusal::invalid(format!("/target/{second}"), detail));
    }
    if let Some(path) = &target.group_path {
        let compiled = transform::InputPath::new(path);
        return compiled
            .map(drop)
            .map_err(|error| Refusal::invalid(pointer, error.message));
    }
    let legal = |id: &String| {
        (1..=limits::MESSAGE_GROUP_BYTES_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
    };
    match target.group_id.as_ref().is_none_or(legal) {
        true => Ok(()),
        false => Err(Refusal::invalid(
            pointer,
            "group_id is 1 to 128 visible ASCII characters without spaces",
        )),
    }
}

fn attributes(attributes: &BTreeMap<String, String>, connection: &ConnectionSpec) -> Result<(), Refusal> {
    const AT: &str = "/target/attributes";
    if attributes.is_empty() {
        return Ok(());
    }
    if !matches!(connection, ConnectionSpec::Sqs(_) | ConnectionSpec::Sns(_)) {
        return Err(Refusal::invalid(
            AT,
            "attributes are for messages to queues and topics of Amazon's",
        ));
    }
    if attributes.len() > limits::MESSAGE_ATTRIBUTES_MAX {
        return Err(Refusal::invalid(AT, "a message has at most 6 attributes here"));
    }
    let is_name = |name: &str| {
        (1..=256).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    let is_value =
        |value: &str| (1..=limits::AWS_NAME_BYTES_MAX).contains(&value.len()) && !value.chars().any(char::is_control);
    match attributes
        .iter()
        .find(|(name, value)| !is_name(name) || !is_value(value))
    {
        None => Ok(()),
        Some((name, _)) => Err(Refusal::invalid(
            format!("{AT}{}", token(name)),
            "an attribute's name is 1 to 256 letters, digits, _ and -, its value 1 to 1600 bytes without control characters",
        )),
    }
}

fn mode(target: &TargetSpec, connection: &ConnectionSpec) -> Result<(), Refusal> {
    use TargetMode::{Batched, Data, Envelope, Structured};
    let Some(mode) = target.mode else { return Ok(()) };
    let (takes, words): (&[TargetMode], _) = match connection {
        ConnectionSpec::Webhook(_) => return Ok(()),
        ConnectionSpec::EventGrid(_) => {
            let detail =
                "with eventgrid connections there is no mode: the connection's schema says what the topic takes";
            return Err(Refusal::invalid("/target/mode", detail));
        }
        ConnectionSpec::Lambda(_) => (
            &[Structured, Batched, Data, Envelope],
            "structured, batched, data or envelope",
        ),
        ConnectionSpec::EventBridge(_) => (&[Structured, Data], "structured or data"),
        ConnectionSpec::Bus(_) => (&[], "absent: an event goes to another bus as it is"),
        _ => (&[Structured, Data, Envelope], "structured, data or envelope"),
    };
    match takes.contains(&mode) {
        true => Ok(()),
        false => {
            let detail = format!("with {} connections, mode is {words}", connection.provider());
            Err(Refusal::invalid("/target/mode", detail))
        }
    }
}

fn claim_check(spec: &SubscriptionSpec, connection: &ConnectionSpec) -> Result<(), Refusal> {
    const AT: &str = "/target/claim_check";
    let Some(claim_check) = &spec.target.claim_check else {
        return Ok(());
    };
    if matches!(connection, ConnectionSpec::Webhook(_) | ConnectionSpec::Bus(_)) {
        let detail = "claim_check is for the services of clouds: webhooks get events whole";
        return Err(Refusal::invalid(AT, detail));
    }
    if !spec.transform.is_raw() || spec.target.mode == Some(TargetMode::Envelope) {
        let detail =
            "claim_check names the place of the event as it was received, and a transform makes something else of it";
        return Err(Refusal::invalid(AT, detail));
    }
    let bounds = limits::CLAIM_CHECK_BYTES_MIN..=limits::CLAIM_CHECK_BYTES_MAX;
    match claim_check.over.is_none_or(|over| bounds.contains(&over)) {
        true => Ok(()),
        false => Err(Refusal::invalid(format!("{AT}/over"), "over is 1 KiB to 1 MiB")),
    }
}

fn batch(spec: &SubscriptionSpec, connection: &ConnectionSpec) -> Result<(), Refusal> {
    const AT: &str = "/delivery/batch";
    let batch = &spec.delivery.batch;
    let events = spec.events_per_request(connection);
    let several = match (connection, spec.target.mode) {
        (ConnectionSpec::Webhook(_), mode) => matches!(
            mode,
            Some(TargetMode::Batched | TargetMode::Data | TargetMode::Envelope | TargetMode::EventGrid)
        ),
        (ConnectionSpec::Lambda(_), mode) => mode == Some(TargetMode::Batched),
        _ => true,
    };
    if events > 1 && !several {
        let detail = match connection {
            ConnectionSpec::Lambda(_) => "several events go into a request only with target.mode batched",
            _ => "several events go into a request only with target.mode batched, data or eventgrid",
        };
        return Err(Refusal::invalid(format!("{AT}/events"), detail));
    }
    if let ConnectionSpec::Webhook(config) = connection
        && (spec.target.has_parameters() || config.adds_to_bodies())
        && (events > 1 || matches!(spec.target.mode, Some(TargetMode::Batched | TargetMode::EventGrid)))
    {
        let detail = "with path, query or headers of the target, or parameters in the body, a request holds one event, in mode binary, structured, data or envelope";
        return Err(Refusal::invalid("/target/mode", detail));
    }
    if events > connection.request_events_max() {
        let (provider, max) = (connection.provider(), connection.request_events_max());
        let detail = format!(
            "one request to {provider} holds at most {}",
            counted(max.into(), "event")
        );
        return Err(Refusal::invalid(format!("{AT}/events"), detail));
    }
    match events == 1 && !batch.window.is_zero() {
        true => Err(Refusal::invalid(
            format!("{AT}/window"),
            "one event waits for no others: a window needs events of more than 1",
        )),
        false => Ok(()),
    }
}
