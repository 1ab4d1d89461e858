//! The rules of one specification by itself, beyond what its types say. Rules that need other resources are in `plan`.

mod annotations;
mod aws;
mod eventgrid;
mod key;
mod parameters;
mod quotas;
mod target;
mod webhook;

pub(crate) use key::key;
pub(crate) use target::{dead_letter_target, target};

use crate::{
    limits,
    parse::{echo, token},
    refusal::Refusal,
    resources::{
        BusSpec, ConnectionSpec, DeliveryPolicy, EventTypeSpec, Exponential, Rate, RetryPolicy, Route,
        SubscriptionSpec, TopicSpec,
    },
    rules::Rules,
    units::format_duration,
};
use std::{collections::BTreeSet, ops::RangeInclusive, time::Duration};

pub(crate) fn bus(spec: &BusSpec) -> Result<(), Refusal> {
    text("/description", &spec.description)?;
    annotations::check(&spec.annotations)?;
    aws::source("/eventbridge/source", spec.eventbridge.source.as_deref())?;
    quotas::of_bus(&spec.quotas)
}

pub(crate) fn topic(spec: &TopicSpec) -> Result<(), Refusal> {
    text("/description", &spec.description)?;
    number("/partitions", "partitions", spec.partitions, 1..=limits::PARTITIONS_MAX)?;
    let durations = limits::RETENTION_AGE_MIN..=limits::DURATION_MAX;
    if let Some(age) = spec.retention.age {
        duration("/retention/age", "age", age, durations.clone())?;
    }
    if let Some(hold) = spec.retention.hold {
        duration("/retention/hold", "hold", hold, durations)?;
    }
    match spec.retention.bytes {
        Some(bytes) if bytes < limits::RETENTION_BYTES_MIN => {
            Err(Refusal::invalid("/retention/bytes", "bytes is at least 1MiB"))
        }
        _ => Ok(()),
    }
}

pub(crate) fn event_type(spec: &EventTypeSpec) -> Result<(), Refusal> {
    text("/owner", &spec.owner)?;
    text("/description", &spec.description)?;
    count("/routes", "routes", spec.routes.len(), 0..=limits::ROUTES_MAX)?;
    count("/tags", "tags", spec.tags.len(), 0..=limits::TAGS_MAX)?;
    count("/examples", "examples", spec.examples.len(), 0..=limits::EXAMPLES_MAX)?;
    unique(
        "/routes",
        "/topic",
        "topic",
        spec.routes.iter().map(|route| route.topic.as_str()),
    )?;
    unique("/tags", "", "tag", spec.tags.iter().map(String::as_str))?;
    tags(&spec.tags)?;
    let enabled = spec.routes.iter().filter(|route| route.enabled).count();
    if enabled > limits::ROUTES_ENABLED_MAX {
        let detail = format!(
            "{enabled} routes are enabled; at most {} may be",
            limits::ROUTES_ENABLED_MAX
        );
        return Err(Refusal::invalid("/routes", detail));
    }
    spec.routes
        .iter()
        .enumerate()
        .try_for_each(|(index, route)| key_path(index, route))
}

fn tags(tags: &[String]) -> Result<(), Refusal> {
    let legal = |tag: &str| {
        (1..=limits::TAG_CHARACTERS_MAX).contains(&tag.chars().count()) && !tag.chars().any(char::is_control)
    };
    match tags.iter().position(|tag| !legal(tag)) {
        None => Ok(()),
        Some(index) => Err(Refusal::invalid(
            format!("/tags/{index}"),
            "a tag is 1 to 100 printable characters",
        )),
    }
}

fn key_path(index: usize, route: &Route) -> Result<(), Refusal> {
    let legal = |path: &str| {
        path.chars().count() <= limits::KEY_PATH_CHARACTERS_MAX
            && path.split('.').all(|segment| !segment.is_empty())
            && !path.chars().any(char::is_control)
    };
    match &route.key {
        Some(path) if !legal(path) => {
            let detail = "key is a dotted path into the data, such as order.customer.id, of at most 512 characters";
            Err(Refusal::invalid(format!("/routes/{index}/key"), detail))
        }
        _ => Ok(()),
    }
}

/// Its secrets must be plain.
pub(crate) fn connection(spec: &ConnectionSpec, bus: &str, rules: &Rules) -> Result<(), Refusal> {
    match spec {
        ConnectionSpec::Webhook(config) => webhook::check(config, rules),
        ConnectionSpec::EventGrid(config) => eventgrid::check(config, rules),
        // Whether the bus is there, and whether events may go there, is for whoever knows the model and the caller.
        ConnectionSpec::Bus(_) => Ok(()),
        other => aws::check(other, bus, rules),
    }
}

/// With what a reader of it wants to know and the secrets do not show: public keys, and when a certificate ends.
pub(crate) fn derived(spec: ConnectionSpec) -> ConnectionSpec {
    match spec {
        ConnectionSpec::Webhook(config) => ConnectionSpec::Webhook(webhook::derived(config)),
        other => other,
    }
}

pub(crate) fn subscription(spec: &SubscriptionSpec) -> Result<(), Refusal> {
    text("/description", &spec.description)?;
    annotations::check(&spec.annotations)?;
    selection(spec.topics.as_deref(), spec.types.as_deref())?;
    batch(spec)?;
    dead_letter(spec)?;
    delivery(&spec.delivery)
}

/// One target, and none that the subscription reads itself.
fn dead_letter(spec: &SubscriptionSpec) -> Result<(), Refusal> {
    let Some(target) = &spec.dead_letter else {
        return Ok(());
    };
    match (&target.topic, &target.connection) {
        (Some(topic), None) if target.target.is_none() => {
            let is_read = spec.topics.iter().flatten().any(|name| name == topic);
            if topic == limits::OPERATIONAL_TOPIC || is_read {
                let detail = format!(
                    "copies go to a topic that the subscription does not read, and not to {:?}",
                    limits::OPERATIONAL_TOPIC
                );
                return Err(Refusal::invalid("/dead_letter/topic", detail));
            }
            Ok(())
        }
        (Some(_), None) => Err(Refusal::invalid(
            "/dead_letter/target",
            "target says what a connection's provider needs; a topic needs nothing",
        )),
        (None, Some(_)) => Ok(()),
        (Some(_), Some(_)) | (None, None) => Err(Refusal::invalid(
            "/dead_letter",
            "dead_letter takes a topic or a connection",
        )),
    }
}

/// Topics and types that a subscription or a replay names.
pub(crate) fn selection(topics: Option<&[String]>, types: Option<&[String]>) -> Result<(), Refusal> {
    if let Some(topics) = topics {
        count("/topics", "topics", topics.len(), 1..=limits::SUBSCRIPTION_TOPICS_MAX)?;
        unique("/topics", "", "topic", topics.iter().map(String::as_str))?;
    }
    if let Some(types) = types {
        count("/types", "types", types.len(), 1..=limits::SUBSCRIPTION_TYPES_MAX)?;
    }
    Ok(())
}

fn batch(spec: &SubscriptionSpec) -> Result<(), Refusal> {
    const AT: &str = "/delivery/batch";
    let batch = &spec.delivery.batch;
    if let Some(events) = batch.events {
        number(&format!("{AT}/events"), "events", events, 1..=limits::BATCH_EVENTS_MAX)?;
    }
    duration(
        &format!("{AT}/window"),
        "window",
        batch.window,
        Duration::ZERO..=limits::BATCH_WINDOW_MAX,
    )?;
    if !(limits::BATCH_BYTES_MIN..=limits::BATCH_BYTES_MAX).contains(&batch.bytes) {
        return Err(Refusal::invalid(format!("{AT}/bytes"), "bytes is from 1KiB to 16MiB"));
    }
    Ok(())
}

fn delivery(policy: &DeliveryPolicy) -> Result<(), Refusal> {
    number(
        "/delivery/concurrency",
        "concurrency",
        policy.concurrency,
        1..=limits::CONCURRENCY_MAX,
    )?;
    duration(
        "/delivery/timeout",
        "timeout",
        policy.timeout,
        limits::TIMEOUT_MIN..=limits::TIMEOUT_MAX,
    )?;
    if let Some(rate) = policy.rate {
        self::rate("/delivery/rate", rate)?;
    }
    for status in policy.outcomes.keys() {
        if !limits::OUTCOME_STATUSES.contains(status) {
            let pointer = format!("/delivery/outcomes/{status}");
            return Err(Refusal::invalid(pointer, "an outcome is of a status from 200 to 599"));
        }
    }
    retry(&policy.retry)
}

/// A rate, at its place.
pub(crate) fn rate(at: &str, rate: Rate) -> Result<(), Refusal> {
    number(at, "rate", rate.count, 1..=limits::RATE_COUNT_MAX)?;
    duration(
        at,
        "the period of rate",
        rate.per,
        limits::RATE_PERIOD_MIN..=limits::RATE_PERIOD_MAX,
    )
}

fn retry(policy: &RetryPolicy) -> Result<(), Refusal> {
    const AT: &str = "/delivery/retry";
    count(
        &format!("{AT}/schedule"),
        "waits",
        policy.schedule.len(),
        0..=limits::RETRY_SCHEDULE_MAX,
    )?;
    for (index, wait) in policy.schedule.iter().enumerate() {
        duration(
            &format!("{AT}/schedule/{index}"),
            "a wait",
            *wait,
            Duration::ZERO..=limits::RETRY_WAIT_MAX,
        )?;
    }
    if let Some(attempts) = policy.attempts {
        number(
            &format!("{AT}/attempts"),
            "attempts",
            attempts,
            1..=limits::RETRY_ATTEMPTS_MAX,
        )?;
    }
    if let Some(exponential) = &policy.exponential {
        self::exponential(exponential)?;
    }
    duration(
        &format!("{AT}/age"),
        "age",
        policy.age,
        limits::RETRY_AGE_MIN..=limits::RETRY_AGE_MAX,
    )
}

fn exponential(waits: &Exponential) -> Result<(), Refusal> {
    const AT: &str = "/delivery/retry/exponential";
    duration(
        &format!("{AT}/first"),
        "first",
        waits.first,
        limits::RETRY_FIRST_MIN..=limits::RETRY_WAIT_MAX,
    )?;
    duration(
        &format!("{AT}/max"),
        "max",
        waits.max,
        waits.first..=limits::RETRY_WAIT_MAX,
    )?;
    if !limits::RETRY_FACTOR.contains(&waits.factor) {
        return Err(Refusal::invalid(format!("{AT}/factor"), "factor is from 1 to 10"));
    }
    match limits::RETRY_JITTER.contains(&waits.jitter) {
        true => Ok(()),
        false => Err(Refusal::invalid(format!("{AT}/jitter"), "jitter is from 0 to 0.5")),
    }
}

fn text(pointer: &str, text: &str) -> Result<(), Refusal> {
    match text.chars().count() <= limits::TEXT_CHARACTERS_MAX && !text.contains('\0') {
        true => Ok(()),
        false => Err(Refusal::invalid(
            pointer,
            "free text has at most 4096 characters and no NUL",
        )),
    }
}

fn number(pointer: &str, what: &str, number: u32, range: RangeInclusive<u32>) -> Result<(), Refusal> {
    match range.contains(&number) {
        true => Ok(()),
        false => Err(Refusal::invalid(
            pointer,
            format!("{what} is from {} to {}", range.start(), range.end()),
        )),
    }
}

fn count(pointer: &str, what: &str, count: usize, range: RangeInclusive<usize>) -> Result<(), Refusal> {
    match (range.contains(&count), count) {
        (true, _) => Ok(()),
        (false, 0) => Err(Refusal::invalid(pointer, format!("{what} must not be empty"))),
        (false, _) => Err(Refusal::invalid(
            pointer,
            format!("there are {count} {what}; at most {} may be", range.end()),
        )),
    }
}

fn duration(pointer: &str, what: &str, duration: Duration, range: RangeInclusive<Duration>) -> Result<(), Refusal> {
    match range.contains(&duration) {
        true => Ok(()),
        false => {
            let (least, most) = (format_duration(*range.start()), format_duration(*range.end()));
            Err(Refusal::invalid(pointer, format!("{what} is from {least} to {most}")))
        }
    }
}

/// Refuses the second of two equal items; `below` is the pointer from an item to its text.
fn unique<'a>(pointer: &str, below: &str, what: &str, mut items: impl Iterator<Item = &'a str>) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    let second = items.by_ref().enumerate().find(|(_, item)| !seen.insert(*item));
    match second {
        None => Ok(()),
        Some((index, item)) => {
            let pointer = format!("{pointer}{}{below}", token(&index.to_string()));
            Err(Refusal::invalid(
                pointer,
                format!("{what} {} is named twice", echo(item)),
            ))
        }
    }
}
