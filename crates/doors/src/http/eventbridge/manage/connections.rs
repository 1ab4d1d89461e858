//! Connections: credentials without an endpoint. Each is a connection `connection.{name}` to an address that never resolves, until API
//! destinations give its credentials an endpoint.

use super::{
    super::{asked::Asked, fault::Fault, names},
    api_destinations::{self, Activity},
    changing::{Together, together},
    home,
    page::{self, Paging},
    record::{self, CONNECTION, NAME_MAX},
    target::named_in,
};
use control::{Action, Bus, Precondition, plan::connection::NO_ENDPOINT, resources::Scope};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

mod auth;

use auth::AuthParameters;

/// States of a connection, by the model.
const STATES: [&str; 9] = [
    "CREATING",
    "UPDATING",
    "DELETING",
    "AUTHORIZED",
    "DEAUTHORIZED",
    "AUTHORIZING",
    "DEAUTHORIZING",
    "ACTIVE",
    "FAILED_CONNECTIVITY",
];

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
    together(asked, |changes| {
        put_credentials(changes, bus, name, config.clone(), Precondition::Absent);
        record::put(changes.annotations(&bus.name)?, CONNECTION, name, &kept);
        Ok(())
    })
    .await?;
    told(asked, bus, name, &kept)
}

fn put_credentials(changes: &mut Together<'_>, bus: &Bus, name: &str, mut config: Value, precondition: Precondition) {
    config["url"] = NO_ENDPOINT.into();
    let body = json!({"provider": "webhook", "config": config});
    changes.put_connection((&bus.name, &stored(name)), Action::Put(body), precondition);
}

/// What happened to a connection.
fn told(asked: &Asked, bus: &Bus, name: &str, kept: &Connection) -> Result<Value, Fault> {
    let model = asked.state.core.model();
    Ok(happened(asked, model.bus(&bus.name)?, name, kept))
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

/// `UpdateConnection`: API destinations that use it have the new credentials with their next request. Targets that waited for a
/// connection without credentials go on.
pub(in super::super) async fn update(asked: &Asked) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    input.check()?;
    let (bus, name, _) = named(asked, &input, Scope::Manage)?;
    let now = record::now(asked);
    let kept = together(asked, |changes| {
        let before = get(changes.model.bus(&bus.name)?, name)?;
        let mut kept = Connection {
            modified: now,
            ..before.clone()
        };
        if input.description.is_some() {
            kept.description.clone_from(&input.description);
        }
        let kind = input.authorization_type.as_ref().unwrap_or(&before.authorization_type);
        match &input.auth_parameters {
            Some(parameters) => {
                kept.authorization_type.clone_from(kind);
                kept.parameters = parameters.shown();
                (kept.authorized, kept.is_deauthorized) = (now, false);
                put_credentials(changes, bus, name, parameters.config(kind)?, Precondition::Any);
                api_destinations::renew_of_connection(changes, &bus.name, name)?;
            }
            None if *kind != before.authorization_type => {
                return Err(Fault::validation(
                    "AuthParameters must be given with another AuthorizationType.",
                ));
            }
            None => {}
        }
        if before.is_deauthorized && !kept.is_deauthorized {
            api_destinations::switch_targets(changes, &bus.name, name, Activity::Active)?;
        }
        record::put(changes.annotations(&bus.name)?, CONNECTION, name, &kept);
        Ok(kept)
    })
    .await?;
    told(asked, bus, name, &kept)
}

/// `DeauthorizeConnection`: its credentials go, everywhere. Its API destinations are not invoked until it has others: what is for them
/// waits in the journal.
pub(in super::super) async fn deauthorize(asked: &Asked) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    let (bus, name, _) = named(asked, &input, Scope::Manage)?;
    let now = record::now(asked);
    let kept = together(asked, |changes| {
        let kept = Connection {
            modified: now,
            is_deauthorized: true,
            ..get(changes.model.bus(&bus.name)?, name)?
        };
        put_credentials(changes, bus, name, json!({}), Precondition::Any);
        api_destinations::renew_of_connection(changes, &bus.name, name)?;
        api_destinations::switch_targets(changes, &bus.name, name, Activity::Inactive)?;
        record::put(changes.annotations(&bus.name)?, CONNECTION, name, &kept);
        Ok(kept)
    })
    .await?;
    told(asked, bus, name, &kept)
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
    record::one_of(wanted.connection_state.as_deref(), "connectionState", &STATES)?;
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
    kept.modified = record::now(asked);
    let mut answer = happened(asked, bus, name, &kept);
    answer["ConnectionState"] = "DELETING".into();
    together(asked, |changes| {
        if let Some(user) = api_destinations::user_of_connection(changes.model.bus(&bus.name)?, name) {
            return Err(Fault::validation(format!(
                "Connection {name} is used by API destination {user}."
            )));
        }
        changes.remove_connection((&bus.name, &stored(name)))?;
        record::remove(changes.annotations(&bus.name)?, CONNECTION, name);
        Ok(())
    })
    .await?;
    Ok(answer)
}
