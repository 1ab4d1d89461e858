//! API destinations: connections with an endpoint. Rules of another bus reach one through a copy on their bus, which follows it.

use super::{
    super::{asked::Asked, fault::Fault, names},
    changing::{annotate, change},
    connections, home,
    page::{self, Paging},
    record::{self, API_DESTINATION, COPY, NAME_MAX, RULE},
    rules::Rule,
    target::{self, named_in},
};
use control::{
    Action, Bus, Precondition,
    resources::{ResourceKind, Scope},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

/// Requests per second of an API destination that does not say, and at most.
const RATE_DEFAULT: i64 = 300;
const RATE_MAX: i64 = 300;
/// Methods, by the model.
const METHODS: [&str; 7] = ["POST", "GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"];

/// An API destination, as it is remembered; endpoint and credentials are the connection's.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct ApiDestination {
    connection: String,
    endpoint: String,
    method: String,
    rate: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    created: i64,
    modified: i64,
}

/// What a target needs of its API destination.
pub(super) struct Reached {
    /// The connection, on the rule's bus.
    pub connection: String,
    /// Requests per second.
    pub rate: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    name: Option<String>,
    description: Option<String>,
    connection_arn: Option<String>,
    invocation_endpoint: Option<String>,
    http_method: Option<String>,
    invocation_rate_limit_per_second: Option<i64>,
}

impl Input {
    fn check(&self) -> Result<(), Fault> {
        record::description(self.description.as_ref())?;
        if let Some(method) = self.http_method.as_deref().filter(|method| !METHODS.contains(method)) {
            let rule = "Member must satisfy enum value set: [POST, GET, HEAD, OPTIONS, PUT, PATCH, DELETE]";
            return Err(Fault::constraint(method, "httpMethod", rule));
        }
        if let Some(rate) = self
            .invocation_rate_limit_per_second
            .filter(|rate| !(1..=RATE_MAX).contains(rate))
        {
            let rule = "Member must have a value between 1 and 300";
            return Err(Fault::constraint(
                &rate.to_string(),
                "invocationRateLimitPerSecond",
                rule,
            ));
        }
        Ok(())
    }
}

fn get(bus: &Bus, name: &str) -> Result<ApiDestination, Fault> {
    let kept = record::get(&bus.spec.annotations, API_DESTINATION, name);
    kept.ok_or_else(|| {
        Fault::not_found(format!(
            "Failed to describe the api-destination(s). Reason: An api-destination '{name}' does not exist."
        ))
    })
}

/// `CreateApiDestination`.
pub(in super::super) async fn create(asked: &Asked) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    input.check()?;
    let name = record::name(input.name.as_ref(), "name", NAME_MAX)?;
    let bus = home::of(asked, Scope::Manage)?;
    let arn = record::required(input.connection_arn.as_ref(), "connectionArn")?;
    let connection = connections::of_arn(bus, arn)?;
    if record::has(&bus.spec.annotations, API_DESTINATION, name) {
        return Err(record::exists("An api-destination", name));
    }
    let now = record::now(asked);
    let kept = ApiDestination {
        connection: connection.to_owned(),
        endpoint: record::required(input.invocation_endpoint.as_ref(), "invocationEndpoint")?.clone(),
        method: record::required(input.http_method.as_ref(), "httpMethod")?.clone(),
        rate: input.invocation_rate_limit_per_second.unwrap_or(RATE_DEFAULT),
        description: input.description.clone(),
        created: now,
        modified: now,
    };
    put(asked, &bus.name, (&bus.name, name), &kept, Precondition::Absent).await?;
    keep(asked, bus, name, &kept).await?;
    Ok(happened(asked, bus, name, &kept))
}

/// Puts the connection of an API destination of the bus `home` onto a bus.
async fn put(
    asked: &Asked,
    home: &str,
    place: (&str, &str),
    kept: &ApiDestination,
    precondition: Precondition,
) -> Result<(), Fault> {
    let action = Action::PutWithAuthOf {
        body: json!({"provider": "webhook", "config": {"url": kept.endpoint, "method": kept.method}}),
        bus: home.to_owned(),
        connection: connections::stored(&kept.connection),
    };
    change(asked, ResourceKind::Connection, place, action, precondition).await?;
    Ok(())
}

async fn keep(asked: &Asked, bus: &Bus, name: &str, kept: &ApiDestination) -> Result<(), Fault> {
    annotate(asked, &bus.name, |annotations| {
        record::put(annotations, API_DESTINATION, name, kept);
        Ok(())
    })
    .await
}

fn happened(asked: &Asked, bus: &Bus, name: &str, kept: &ApiDestination) -> Value {
    let unique = record::unique(API_DESTINATION, &bus.name, name, kept.created);
    let is_active = connections::is_authorized(bus, &kept.connection);
    json!({
        "ApiDestinationArn": names::arn(&asked.region, API_DESTINATION, &format!("{name}/{unique}")),
        "ApiDestinationState": if is_active { "ACTIVE" } else { "INACTIVE" },
        "CreationTime": record::seconds(kept.created),
        "LastModifiedTime": record::seconds(kept.modified),
    })
}

fn shown(asked: &Asked, bus: &Bus, name: &str, kept: &ApiDestination) -> Value {
    let mut shown = happened(asked, bus, name, kept);
    shown["Name"] = name.into();
    shown["ConnectionArn"] = connections::arn(&asked.region, bus, &kept.connection).into();
    shown["InvocationEndpoint"] = kept.endpoint.as_str().into();
    shown["HttpMethod"] = kept.method.as_str().into();
    shown["InvocationRateLimitPerSecond"] = kept.rate.into();
    shown
}

fn named<'a>(
    asked: &'a Asked,
    input: &'a Input,
    scope: Scope,
) -> Result<(&'a Arc<Bus>, &'a str, ApiDestination), Fault> {
    let bus = home::of(asked, scope)?;
    let name = record::required(input.name.as_ref(), "name")?;
    Ok((bus, name, get(bus, name)?))
}

/// `DescribeApiDestination`.
pub(in super::super) async fn describe(asked: &Asked) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    let (bus, name, kept) = named(asked, &input, Scope::Read)?;
    let mut answer = shown(asked, bus, name, &kept);
    if let Some(description) = kept.description {
        answer["Description"] = description.into();
    }
    Ok(answer)
}

/// `ListApiDestinations`.
pub(in super::super) async fn list(asked: &Asked) -> Result<Value, Fault> {
    let (input, paging): (Input, Paging) = (asked.input()?, asked.input()?);
    let bus = home::of(asked, Scope::Read)?;
    let wanted = input
        .connection_arn
        .as_ref()
        .map(|arn| connections::of_arn(bus, arn))
        .transpose()?;
    let all = record::all::<ApiDestination>(&bus.spec.annotations, API_DESTINATION).into_iter();
    let all = all.filter(|(_, kept)| wanted.is_none_or(|wanted| wanted == kept.connection));
    let all = all.map(|(name, kept)| (name.clone(), shown(asked, bus, &name, &kept)));
    Ok(page::answer("ApiDestinations", paging.cut(all.collect())?))
}

/// `UpdateApiDestination`: targets use what is new with their next request.
pub(in super::super) async fn update(asked: &Asked) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    input.check()?;
    let (bus, name, mut kept) = named(asked, &input, Scope::Manage)?;
    if let Some(arn) = &input.connection_arn {
        kept.connection = connections::of_arn(bus, arn)?.to_owned();
    }
    if let Some(endpoint) = input.invocation_endpoint.clone() {
        kept.endpoint = endpoint;
    }
    if let Some(method) = input.http_method.clone() {
        kept.method = method;
    }
    kept.rate = input.invocation_rate_limit_per_second.unwrap_or(kept.rate);
    kept.description = input.description.clone().or(kept.description);
    kept.modified = record::now(asked);
    renew(asked, &bus.name, name, &kept).await?;
    keep(asked, bus, name, &kept).await?;
    renew_targets(asked, &bus.name, name, &kept).await?;
    Ok(happened(asked, bus, name, &kept))
}

/// The connection and its copies are what the record says.
async fn renew(asked: &Asked, home: &str, name: &str, kept: &ApiDestination) -> Result<(), Fault> {
    put(asked, home, (home, name), kept, Precondition::Exists).await?;
    for bus in copies(asked, home, name) {
        put(asked, home, (&bus, name), kept, Precondition::Exists).await?;
    }
    Ok(())
}

/// The buses with a copy of an API destination of the bus `home`.
fn copies(asked: &Asked, home: &str, name: &str) -> Vec<String> {
    let model = asked.state.core.model();
    let of_home =
        |bus: &&Arc<Bus>| record::get::<String>(&bus.spec.annotations, COPY, name).is_some_and(|of| of == home);
    model
        .buses
        .values()
        .filter(of_home)
        .map(|bus| bus.name.clone())
        .collect()
}

/// The targets that go to an API destination have its rate.
async fn renew_targets(asked: &Asked, home: &str, name: &str, kept: &ApiDestination) -> Result<(), Fault> {
    let model = asked.state.core.model();
    let mut buses = copies(asked, home, name);
    buses.push(home.to_owned());
    for bus in &buses {
        let bus = model.bus(bus)?;
        for (rule, of_rule) in record::all::<Rule>(&bus.spec.annotations, RULE) {
            for (subscription, target) in target::of_rule(bus, &rule) {
                if named_by(&target.arn).is_some_and(|(of, end)| of == name && kept.is_meant(home, name, end)) {
                    target::put(asked, (&bus.name, &rule), &of_rule, &target, &subscription).await?;
                }
            }
        }
    }
    Ok(())
}

/// A connection changed: so do the API destinations that use it.
pub(super) async fn renew_of_connection(asked: &Asked, bus: &Bus, connection: &str) -> Result<(), Fault> {
    for (name, kept) in record::all::<ApiDestination>(&bus.spec.annotations, API_DESTINATION) {
        if kept.connection == connection {
            renew(asked, &bus.name, &name, &kept).await?;
        }
    }
    Ok(())
}

/// An API destination that uses a connection.
pub(super) fn user_of_connection(bus: &Bus, connection: &str) -> Option<String> {
    let all = record::all::<ApiDestination>(&bus.spec.annotations, API_DESTINATION);
    all.into_iter()
        .find(|(_, kept)| kept.connection == connection)
        .map(|(name, _)| name)
}

/// `DeleteApiDestination`: not while a target uses it.
pub(in super::super) async fn delete(asked: &Asked) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    let (bus, name, _) = named(asked, &input, Scope::Manage)?;
    for other in copies(asked, &bus.name, name) {
        change(
            asked,
            ResourceKind::Connection,
            (&other, name),
            Action::Delete,
            Precondition::Any,
        )
        .await?;
        annotate(asked, &other, |annotations| {
            record::remove(annotations, COPY, name);
            Ok(())
        })
        .await?;
    }
    change(
        asked,
        ResourceKind::Connection,
        (&bus.name, name),
        Action::Delete,
        Precondition::Any,
    )
    .await?;
    annotate(asked, &bus.name, |annotations| {
        record::remove(annotations, API_DESTINATION, name);
        Ok(())
    })
    .await?;
    Ok(json!({}))
}

/// The name in the ARN of an API destination, and what makes the ARN unique, where it is there.
fn named_by(arn: &str) -> Option<(&str, Option<&str>)> {
    let (_, rest) = named_in(arn).filter(|(kind, _)| *kind == API_DESTINATION)?;
    Some(
        rest.split_once('/')
            .map_or((rest, None), |(name, end)| (name, Some(end))),
    )
}

impl ApiDestination {
    /// Whether an ARN with its name and this end is its own.
    fn is_meant(&self, home: &str, name: &str, end: Option<&str>) -> bool {
        end.is_none_or(|end| end == record::unique(API_DESTINATION, home, name, self.created))
    }
}

/// What a target of a bus needs to reach its API destination: the connection there, copied if it lives on another bus.
pub(super) async fn reach(asked: &Asked, bus: &str, arn: &str) -> Result<Reached, Fault> {
    let (name, end) = named_by(arn).ok_or_else(|| {
        let message = format!(
            "Parameter {arn} is not valid. Reason: targets here are API destinations, SQS queues, SNS topics, Kinesis streams, Lambda functions and event buses."
        );
        Fault::validation(message)
    })?;
    let model = asked.state.core.model();
    let copied: Option<String> = record::get(&model.bus(bus)?.spec.annotations, COPY, name);
    let callers = home::of(asked, Scope::Read).ok().map(|home| home.name.clone());
    let homes = [Some(bus.to_owned()), copied.clone(), callers].into_iter().flatten();
    let mut found = homes.filter_map(|home| {
        let kept = get(model.buses.get(&home)?, name).ok()?;
        kept.is_meant(&home, name, end).then_some((home, kept))
    });
    let missing = || {
        Fault::not_found(format!(
            "Parameter {arn} is not valid. Reason: An api-destination '{name}' does not exist."
        ))
    };
    let (home, kept) = found.next().ok_or_else(missing)?;
    if home != bus && copied.as_ref() != Some(&home) {
        copy(asked, &home, (bus, name), &kept).await?;
    }
    Ok(Reached {
        connection: name.to_owned(),
        rate: kept.rate,
    })
}

/// Copies an API destination of the bus `home` onto another bus, for who may manage both.
async fn copy(asked: &Asked, home: &str, (bus, name): (&str, &str), kept: &ApiDestination) -> Result<(), Fault> {
    asked.require(home, Scope::Manage)?;
    asked.require(bus, Scope::Manage)?;
    put(asked, home, (bus, name), kept, Precondition::Absent).await?;
    annotate(asked, bus, |annotations| {
        record::put(annotations, COPY, name, &home);
        Ok(())
    })
    .await
}
