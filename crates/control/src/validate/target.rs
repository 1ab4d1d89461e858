//! Whether a subscription's target and batches are for the provider of its connection.

use crate::{
    limits,
    refusal::Refusal,
    resources::{ConnectionSpec, SubscriptionSpec, TargetMode, TargetSpec},
};

/// Refuses what means nothing to the provider.
pub(crate) fn target(spec: &SubscriptionSpec, connection: &ConnectionSpec) -> Result<(), Refusal> {
    fields(&spec.target, connection)?;
    mode(&spec.target, connection)?;
    claim_check(spec, connection)?;
    batch(spec, connection)?;
    if connection.aws().is_some() && !spec.delivery.outcomes.is_empty() {
        let detail = "outcomes says what statuses of a webhook mean; what this provider's errors mean is fixed";
        return Err(Refusal::invalid("/delivery/outcomes", detail));
    }
    Ok(())
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
    let groups = match connection {
        ConnectionSpec::Sqs(config) => config.queue.ends_with(".fifo"),
        ConnectionSpec::Sns(config) => config.topic.ends_with(".fifo"),
        ConnectionSpec::Kinesis(_) => true,
        _ => false,
    };
    match target.group.is_some() && !groups {
        true => Err(Refusal::invalid(
            "/target/group",
            "group is for FIFO queues and topics (their names end in .fifo) and for kinesis connections",
        )),
        false => Ok(()),
    }
}

fn mode(target: &TargetSpec, connection: &ConnectionSpec) -> Result<(), Refusal> {
    use TargetMode::{Batched, Data, Structured};
    let Some(mode) = target.mode else { return Ok(()) };
    let (takes, words): (&[TargetMode], _) = match connection {
        ConnectionSpec::Webhook(_) => return Ok(()),
        ConnectionSpec::EventGrid(_) => {
            let detail =
                "with eventgrid connections there is no mode: the connection's schema says what the topic takes";
            return Err(Refusal::invalid("/target/mode", detail));
        }
        ConnectionSpec::Lambda(_) => (&[Structured, Batched, Data], "structured, batched or data"),
        _ => (&[Structured, Data], "structured or data"),
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
    if matches!(connection, ConnectionSpec::Webhook(_)) {
        let detail = "claim_check is for the services of clouds: webhooks get events whole";
        return Err(Refusal::invalid(AT, detail));
    }
    if !spec.transform.is_raw() {
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
            Some(TargetMode::Batched | TargetMode::Data | TargetMode::EventGrid)
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
    if events > connection.request_events_max() {
        let (provider, max) = (connection.provider(), connection.request_events_max());
        let detail = format!("one request to {provider} holds at most {max} events");
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
