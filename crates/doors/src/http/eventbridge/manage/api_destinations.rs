//! API destinations: connections with an endpoint. Rules of another bus reach one through a copy on their bus, which follows it.

use super::{
    super::{asked::Asked, fault::Fault, names},
    changing::{Together, together},
    connections, home,
    page::{self, Paging},
    record::{self, API_DESTINATION, COPY, NAME_MAX, RULE},
    rules::Rule,
    target::{self, named_in},
};
use control::{Action, Bus, Model, Precondition, resources::Scope};
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
    /// Whether its connection has credentials.
    pub is_active: bool,
}

/// Whether an API destination is invoked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Activity {
    Active,
    /// Its connection has no credentials any more.
    Inactive,
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
        record::one_of(self.http_method.as_deref(), "httpMethod", &METHODS)?;
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
    together(asked, |changes| {
        put(changes, &bus.name, (&bus.name, name), &kept, Precondition::Absent);
        record::put(changes.annotations(&bus.name)?, API_DESTINATION, name, &kept);
        Ok(())
    })
    .await?;
    Ok(happened(asked, bus, name, &kept))
}

/// Puts the connection of an API destination of the bus `home` onto a bus.
fn put(changes: &mut Together<'_>, home: &str, place: (&str, &str), kept: &ApiDestination, precondition: Precondition) {
    let action = Action::PutWithAuthOf {
        body: json!({"provider": "webhook", "config": {"url": kept.endpoint, "method": kept.method}}),
        bus: home.to_owned(),
        connection: connections::stored(&kept.connection),
    };
    changes.put_connection(place, action, precondition);
}

fn happened(asked: &Asked, bus: &Bus, name: &str, kept: &ApiDestination) -> Value {
    let unique = record::unique(API_DESTINATION, &bus.name, name, kept.created);
    let is_active = kept.activity(bus) == Activity::Active;
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
    let (bus, name, _) = named(asked, &input, Scope::Manage)?;
    let now = record::now(asked);
    let kept = together(asked, |changes| {
        let model = Arc::clone(&changes.model);
        let home = model.bus(&bus.name)?;
        let before = get(home, name)?;
        let mut kept = before.clone();
        if let Some(arn) = &input.connection_arn {
            kept.connection = connections::of_arn(home, arn)?.to_owned();
        }
        if let Some(endpoint) = input.invocation_endpoint.clone() {
            kept.endpoint = endpoint;
        }
        if let Some(method) = input.http_method.clone() {
            kept.method = method;
        }
        kept.rate = input.invocation_rate_limit_per_second.unwrap_or(kept.rate);
        kept.description = input.description.clone().or(kept.description);
        kept.modified = now;
        renew(changes, home, name, &kept);
        record::put(changes.annotations(&home.name)?, API_DESTINATION, name, &kept);
        let (was, is) = (before.activity(home), kept.activity(home));
        let switched = (was != is).then_some(is);
        renew_targets(changes, home, (name, &kept), switched);
        Ok(kept)
    })
    .await?;
    let model = asked.state.core.model();
    Ok(happened(asked, model.bus(&bus.name)?, name, &kept))
}

/// The connection and its copies are what the record says.
fn renew(changes: &mut Together<'_>, home: &Bus, name: &str, kept: &ApiDestination) {
    let model = Arc::clone(&changes.model);
    for bus in with_copies(&model, home, name) {
        put(changes, &home.name, (&bus.name, name), kept, Precondition::Any);
    }
}

/// The bus `home` of an API destination, and the buses with a copy of it.
fn with_copies<'m>(model: &'m Model, home: &'m Bus, name: &str) -> Vec<&'m Bus> {
    let has_copy =
        |bus: &&Arc<Bus>| record::get::<String>(&bus.spec.annotations, COPY, name).is_some_and(|of| of == home.name);
    let copies = model.buses.values().filter(has_copy).map(|bus| &**bus);
    std::iter::once(home).chain(copies).collect()
}

/// The targets that go to an API destination have its rate, and are enabled or disabled where that has changed.
fn renew_targets(
    changes: &mut Together<'_>,
    home: &Bus,
    (name, kept): (&str, &ApiDestination),
    switched: Option<Activity>,
) {
    let model = Arc::clone(&changes.model);
    for bus in with_copies(&model, home, name) {
        for (rule_name, rule) in record::all::<Rule>(&bus.spec.annotations, RULE) {
            for (subscription, target) in target::of_rule(bus, &rule_name) {
                let is_its = |(of, end): (&str, Option<&str>)| of == name && kept.is_meant(&home.name, name, end);
                if !named_by(&target.arn).is_some_and(is_its) {
                    continue;
                }
                changes.edit(bus, subscription, |body| {
                    body["delivery"]["rate"] = format!("{}/s", kept.rate).into();
                    if let Some(activity) = switched {
                        body["enabled"] = (rule.is_enabled && activity == Activity::Active).into();
                    }
                });
            }
        }
    }
}

/// The API destinations of the bus `home` that use a connection.
fn of_connection(home: &Bus, connection: &str) -> Vec<(String, ApiDestination)> {
    let all = record::all::<ApiDestination>(&home.spec.annotations, API_DESTINATION);
    all.into_iter()
        .filter(|(_, kept)| kept.connection == connection)
        .collect()
}

/// A connection changed: so do the API destinations that use it.
pub(super) fn renew_of_connection(changes: &mut Together<'_>, home: &str, connection: &str) -> Result<(), Fault> {
    let model = Arc::clone(&changes.model);
    let home = model.bus(home)?;
    for (name, kept) in of_connection(home, connection) {
        renew(changes, home, &name, &kept);
    }
    Ok(())
}

/// The targets of the API destinations that use a connection are invoked, or no more.
pub(super) fn switch_targets(
    changes: &mut Together<'_>,
    home: &str,
    connection: &str,
    activity: Activity,
) -> Result<(), Fault> {
    let model = Arc::clone(&changes.model);
    let home = model.bus(home)?;
    for (name, kept) in of_connection(home, connection) {
        renew_targets(changes, home, (&name, &kept), Some(activity));
    }
    Ok(())
}

/// Whether events may go to a target of a bus: not to an API destination whose connection has no credentials any more.
pub(super) fn is_active(model: &Model, bus: &Bus, arn: &str) -> bool {
    let Some((name, end)) = named_by(arn) else {
        return true;
    };
    let copied: Option<String> = record::get(&bus.spec.annotations, COPY, name);
    let homes = [Some(&bus.name), copied.as_ref()].into_iter().flatten();
    let mut found = homes.filter_map(|home| {
        let home = model.buses.get(home)?;
        let kept = get(home, name).ok()?;
        kept.is_meant(&home.name, name, end).then(|| kept.activity(home))
    });
    found.next().is_none_or(|activity| activity == Activity::Active)
}

/// An API destination that uses a connection.
pub(super) fn user_of_connection(bus: &Bus, connection: &str) -> Option<String> {
    of_connection(bus, connection).into_iter().next().map(|(name, _)| name)
}

/// `DeleteApiDestination`: not while a target uses it.
pub(in super::super) async fn delete(asked: &Asked) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    let (bus, name, _) = named(asked, &input, Scope::Manage)?;
    together(asked, |changes| {
        let model = Arc::clone(&changes.model);
        for other in with_copies(&model, model.bus(&bus.name)?, name) {
            changes.remove_connection((&other.name, name))?;
            let kind = match other.name == bus.name {
                true => API_DESTINATION,
                false => COPY,
            };
            record::remove(changes.annotations(&other.name)?, kind, name);
        }
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

    /// Whether it is invoked, by what its own bus says of its connection.
    fn activity(&self, home: &Bus) -> Activity {
        match connections::is_authorized(home, &self.connection) {
            true => Activity::Active,
            false => Activity::Inactive,
        }
    }
}

/// What a target of a bus needs to reach its API destination: the connection there, copied if it lives on another bus.
pub(super) fn reach(asked: &Asked, changes: &mut Together<'_>, bus: &Bus, arn: &str) -> Result<Reached, Fault> {
    let (name, end) = named_by(arn).ok_or_else(|| {
        let message = format!(
            "Parameter {arn} is not valid. Reason: targets here are API destinations, SQS queues, SNS topics, Kinesis streams, Lambda functions and event buses."
        );
        Fault::validation(message)
    })?;
    let model = Arc::clone(&changes.model);
    let copied: Option<String> = record::get(&bus.spec.annotations, COPY, name);
    let callers = home::of(asked, Scope::Read).ok().map(|home| home.name.clone());
    let homes = [Some(bus.name.clone()), copied.clone(), callers].into_iter().flatten();
    let mut found = homes.filter_map(|home| {
        let home = model.buses.get(&home)?;
        let kept = get(home, name).ok()?;
        kept.is_meant(&home.name, name, end).then_some((home, kept))
    });
    let missing = || {
        Fault::not_found(format!(
            "Parameter {arn} is not valid. Reason: An api-destination '{name}' does not exist."
        ))
    };
    let (home, kept) = found.next().ok_or_else(missing)?;
    if home.name != bus.name && copied.as_ref() != Some(&home.name) {
        copy(asked, changes, home, (&bus.name, name), &kept)?;
    }
    Ok(Reached {
        connection: name.to_owned(),
        rate: kept.rate,
        is_active: kept.activity(home) == Activity::Active,
    })
}

/// Copies an API destination of the bus `home` onto another bus, for who may manage both.
fn copy(
    asked: &Asked,
    changes: &mut Together<'_>,
    home: &Bus,
    (bus, name): (&str, &str),
    kept: &ApiDestination,
) -> Result<(), Fault> {
    asked.require(&home.name, Scope::Manage)?;
    asked.require(bus, Scope::Manage)?;
    put(changes, &home.name, (bus, name), kept, Precondition::Absent);
    record::put(changes.annotations(bus)?, COPY, name, &home.name);
    Ok(())
}
