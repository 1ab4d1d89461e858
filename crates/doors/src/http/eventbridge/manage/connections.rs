//! Connections: credentials without an endpoint. Each is a connection `connection.{name}` to an address that never resolves, until API
//! destinations give its credentials an endpoint.

use super::{
    super::{asked::Asked, fault::Fault, names},
    api_destinations,
    changing::{annotate, change},
    home,
    page::{self, Paging},
    record::{self, CONNECTION, NAME_MAX},
    target::named_in,
};
use control::{
    Action, Bus, Precondition,
    plan::connection::NO_ENDPOINT,
    resources::{ResourceKind, Scope},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

mod auth;

use auth::AuthParameters;

/// A connection, as it is remembered: everything but its secrets.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Connection {
    authorization_type: String,
    /// As an answer shows them.
    parameters: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    created: i64,
    modified: i64,
    authorized: i64,
    /// Its credentials were taken away.
    #[serde(default)]
    is_deauthorized: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    name: Option<String>,
    description: Option<String>,
    authorization_type: Option<String>,
    auth_parameters: Option<AuthParameters>,
    invocation_connectivity_parameters: Option<Value>,
    kms_key_identifier: Option<Value>,
}

impl Input {
    fn check(&self) -> Result<(), Fault> {
        record::description(self.description.as_ref())?;
        let private = "there are no private endpoints of AWS here; networks are allowed by the operator.";
        let parameters = self.invocation_connectivity_parameters.as_ref();
        record::refuse(parameters, "InvocationConnectivityParameters", private)?;
        record::refuse(
            self.kms_key_identifier.as_ref(),
            "KmsKeyIdentifier",
            "keys of AWS KMS are not used here.",
        )
    }
}

/// The name of the connection that holds the credentials.
pub(super) fn stored(name: &str) -> String {
    format!("{CONNECTION}.{name}")
}

/// The ARN of a connection that is there.
pub(super) fn arn(region: &str, bus: &Bus, name: &str) -> String {
    let kept: Option<Connection> = record::get(&bus.spec.annotations, CONNECTION, name);
    let unique = record::unique(CONNECTION, &bus.name, name, kept.map_or(0, |kept| kept.created));
    names::arn(region, CONNECTION, &format!("{name}/{unique}"))
}

/// The name in the ARN of a connection that is there.
pub(super) fn of_arn<'a>(bus: &Bus, arn: &'a str) -> Result<&'a str, Fault> {
    let named = named_in(arn).filter(|(kind, _)| *kind == CONNECTION);
    let name = named.map(|(_, rest)| rest.split_once('/').map_or(rest, |(name, _)| name));
    let name = name.ok_or_else(|| Fault::constraint(arn, "connectionArn", "Member must be the ARN of a connection"))?;
    match record::has(&bus.spec.annotations, CONNECTION, name) {
        true => Ok(name),
        false => Err(record::missing("Connection", name)),
    }
}

/// Whether its credentials are there.
pub(super) fn is_authorized(bus: &Bus, name: &str) -> bool {
    let kept: Option<Connection> = record::get(&bus.spec.annotations, CONNECTION, name);
    kept.is_some_and(|kept| !kept.is_deauthorized)
}

fn get(bus: &Bus, name: &str) -> Result<Connection, Fault> {
    let kept = record::get(&bus.spec.annotations, CONNECTION, name);
    kept.ok_or_else(|| record::missing("Connection", name))
}

/// `CreateConnection`.
pub(in super::super) async fn create(asked: &Asked) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    input.check()?;
    let name = record::name(input.name.as_ref(), "name", NAME_MAX)?;
    let bus = home::of(asked, Scope::Manage)?;
    let kind = record::required(input.authorization_type.as_ref(), "authorizationType")?;
    let parameters = record::required(input.auth_parameters.as_ref(), "authParameters")?;
    let config = parameters.config(kind)?;
    if record::has(&bus.spec.annotations, CONNECTION, name) {
        return Err(record::exists("Connection", name));
    }
    let now = record::now(asked);
    let kept = Connection {
        authorization_type: kind.clone(),
        parameters: parameters.shown(),
        description: input.description.clone(),
        created: now,
        modified: now,
        authorized: now,
        is_deauthorized: false,
    };
    put_credentials(asked, bus, name, config, Precondition::Absent).await?;
    keep(asked, bus, name, kept).await
}

async fn put_credentials(
    asked: &Asked,
    bus: &Bus,
    name: &str,
    mut config: Value,
    precondition: Precondition,
) -> Result<(), Fault> {
    config["url"] = NO_ENDPOINT.into();
    let body = json!({"provider": "webhook", "config": config});
    let place = (bus.name.as_str(), stored(name));
    let place = (place.0, place.1.as_str());
    change(asked, ResourceKind::Connection, place, Action::Put(body), precondition).await?;
    Ok(())
}

/// Remembers a connection, and answers with what happened to it.
async fn keep(asked: &Asked, bus: &Bus, name: &str, kept: Connection) -> Result<Value, Fault> {
    annotate(asked, &bus.name, |annotations| {
        record::put(annotations, CONNECTION, name, &kept);
        Ok(())
    })
    .await?;
    let model = asked.state.core.model();
    Ok(happened(asked, model.bus(&bus.name)?, name, &kept))
}

fn happened(asked: &Asked, bus: &Bus, name: &str, kept: &Connection) -> Value {
    json!({
        "ConnectionArn": arn(&asked.region, bus, name),
        "ConnectionState": state(kept),
        "CreationTime": record::seconds(kept.created),
        "LastModifiedTime": record::seconds(kept.modified),
        "LastAuthorizedTime": record::seconds(kept.authorized),
    })
}

fn state(kept: &Connection) -> &'static str {
    match kept.is_deauthorized {
        true => "DEAUTHORIZED",
        false => "AUTHORIZED",
    }
}

fn named<'a>(asked: &'a Asked, input: &'a Input, scope: Scope) -> Result<(&'a Arc<Bus>, &'a str, Connection), Fault> {
    let bus = home::of(asked, scope)?;
    let name = record::required(input.name.as_ref(), "name")?;
    Ok((bus, name, get(bus, name)?))
}

/// `UpdateConnection`: API destinations that use it have the new credentials with their next request.
pub(in super::super) async fn update(asked: &Asked) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    input.check()?;
    let (bus, name, mut kept) = named(asked, &input, Scope::Manage)?;
    kept.modified = record::now(asked);
    if input.description.is_some() {
        kept.description.clone_from(&input.description);
    }
    let kind = input
        .authorization_type
        .clone()
        .unwrap_or_else(|| kept.authorization_type.clone());
    match &input.auth_parameters {
        Some(parameters) => {
            let config = parameters.config(&kind)?;
            kept.authorization_type = kind;
            kept.parameters = parameters.shown();
            kept.authorized = kept.modified;
            kept.is_deauthorized = false;
            put_credentials(asked, bus, name, config, Precondition::Exists).await?;
            api_destinations::renew_of_connection(asked, bus, name).await?;
        }
        None if kind != kept.authorization_type => {
            return Err(Fault::validation(
                "AuthParameters must be given with another AuthorizationType.",
            ));
        }
        None => {}
    }
    keep(asked, bus, name, kept).await
}

/// `DeauthorizeConnection`: its credentials go, everywhere.
pub(in super::super) async fn deauthorize(asked: &Asked) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    let (bus, name, mut kept) = named(asked, &input, Scope::Manage)?;
    put_credentials(asked, bus, name, json!({}), Precondition::Exists).await?;
    api_destinations::renew_of_connection(asked, bus, name).await?;
    kept.modified = record::now(asked);
    kept.is_deauthorized = true;
    keep(asked, bus, name, kept).await
}

/// `DescribeConnection`.
pub(in super::super) async fn describe(asked: &Asked) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    let (bus, name, kept) = named(asked, &input, Scope::Read)?;
    let mut answer = happened(asked, bus, name, &kept);
    answer["Name"] = name.into();
    answer["AuthorizationType"] = kept.authorization_type.into();
    answer["AuthParameters"] = kept.parameters;
    if let Some(description) = kept.description {
        answer["Description"] = description.into();
    }
    Ok(answer)
}

/// `ListConnections`.
pub(in super::super) async fn list(asked: &Asked) -> Result<Value, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Wanted {
        connection_state: Option<String>,
    }
    let (wanted, paging): (Wanted, Paging) = (asked.input()?, asked.input()?);
    let bus = home::of(asked, Scope::Read)?;
    let all = record::all::<Connection>(&bus.spec.annotations, CONNECTION).into_iter();
    let all = all.filter(|(_, kept)| {
        wanted
            .connection_state
            .as_deref()
            .is_none_or(|wanted| wanted == state(kept))
    });
    let all = all.map(|(name, kept)| {
        let mut shown = happened(asked, bus, &name, &kept);
        shown["Name"] = name.as_str().into();
        shown["AuthorizationType"] = kept.authorization_type.into();
        (name, shown)
    });
    Ok(page::answer("Connections", paging.cut(all.collect())?))
}

/// `DeleteConnection`: not while an API destination uses it.
pub(in super::super) async fn delete(asked: &Asked) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    let (bus, name, mut kept) = named(asked, &input, Scope::Manage)?;
    if let Some(user) = api_destinations::user_of_connection(bus, name) {
        return Err(Fault::validation(format!(
            "Connection {name} is used by API destination {user}."
        )));
    }
    kept.modified = record::now(asked);
    let mut answer = happened(asked, bus, name, &kept);
    answer["ConnectionState"] = "DELETING".into();
    let stored = stored(name);
    change(
        asked,
        ResourceKind::Connection,
        (&bus.name, &stored),
        Action::Delete,
        Precondition::Any,
    )
    .await?;
    annotate(asked, &bus.name, |annotations| {
        record::remove(annotations, CONNECTION, name);
        Ok(())
    })
    .await?;
    Ok(answer)
}
