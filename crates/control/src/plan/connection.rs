//! Creating and replacing connections: secrets resolved, compared by fingerprint, sealed.

use super::{Effect, Plan, Planning, edit_bus, envelope, put};
use crate::{
    documents, limits,
    model::{Bus, Connection},
    parse::{echo, parse},
    refusal::{Class, Refusal},
    resources::{Auth, ConnectionSpec, DeclaredConnection, Secret},
    seal::{Fingerprints, map_secrets},
    validate,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{cell::RefCell, collections::BTreeMap, sync::Arc};
use url::Url;

/// The URL of a connection that is credentials alone: its name never resolves (RFC 6761).
pub const NO_ENDPOINT: &str = "https://endpoint.invalid/";

pub(super) fn put(planning: &Planning<'_>, body: Map<String, Value>) -> Result<Plan, Refusal> {
    let asked = read(body)?;
    put_asked(planning, asked)
}

/// With the authentication of a connection that is credentials alone: no other one gives its secrets away.
pub(super) fn put_with_auth_of(
    planning: &Planning<'_>,
    body: Map<String, Value>,
    bus: &str,
    connection: &str,
) -> Result<Plan, Refusal> {
    let mut asked = read(body)?;
    let missing = || Refusal::not_found(format!("connection {} does not exist", echo(connection)));
    let of = planning
        .model
        .bus(bus)?
        .connections
        .get(connection)
        .ok_or_else(missing)?;
    match (&mut asked.spec, planning.sealer.open_connection(of)?) {
        (ConnectionSpec::Webhook(asked), ConnectionSpec::Webhook(of)) if of.url == NO_ENDPOINT => {
            asked.auth = of.auth;
            asked.headers = of.headers;
            asked.parameters = of.parameters;
        }
        _ => {
            return Err(Refusal::in_use(
                "only a connection without an endpoint lends its authentication",
            ));
        }
    }
    put_asked(planning, asked)
}

fn put_asked(planning: &Planning<'_>, asked: DeclaredConnection) -> Result<Plan, Refusal> {
    let DeclaredConnection { spec: asked, dry_run } = asked;
    let bus = planning.bus()?;
    let name = planning.name();
    let existing = bus.connections.get(name);
    let fingerprints = planning.sealer.fingerprints(planning.model)?;
    let stored = existing
        .map(|existing| planning.sealer.open_connection(existing))
        .transpose()?;
    let spec = resolve(&asked, stored.as_ref(), |plain| fingerprints.of(&bus.name, name, plain))?;
    validate::connection(&spec, &bus.name, &planning.rules.of_bus(&bus.name))?;
    leads_to_a_bus(planning, &spec)?;
    suits_subscriptions(bus, name, &spec)?;
    let spec = validate::derived(spec);
    let as_before = existing.is_some_and(|existing| existing.dry_run == dry_run);
    let same = |stored: &ConnectionSpec| {
        let shown = |spec| Fingerprints::of_spec(&fingerprints, &bus.name, name, spec);
        shown(stored) == shown(&spec)
    };
    match &stored {
        Some(stored) if as_before && same(stored) => return Ok(planning.unchanged()),
        Some(_) => {}
        None => put::room("connections", bus.connections.len(), limits::CONNECTIONS_MAX)?,
    }
    let spec = planning.sealer.seal_connection(&bus.name, name, &spec)?;
    let declared = DeclaredConnection { spec, dry_run };
    let operations = vec![put::write(planning, bus.id, documents::plain_body(&declared))?];
    let spec = declared.spec;
    let (owner, name) = (bus.name.clone(), name.to_owned());
    let edit = edit_bus(&bus.name, move |bus, version| {
        let connection = Connection {
            bus: owner,
            name: name.clone(),
            version,
            spec,
            dry_run,
        };
        bus.connections.insert(name, Arc::new(connection));
    });
    Ok(planning.carry_out(operations, Effect::ConnectionPut, planning.model.counters, edit))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    provider: Provider,
    config: Value,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Provider {
    Webhook,
    Eventbridge,
    Sqs,
    Sns,
    Kinesis,
    Lambda,
    #[serde(rename = "eventgrid")]
    EventGrid,
    Aws,
    Bus,
}

/// By provider, so that a fault in `config` keeps its place.
fn read(body: Map<String, Value>) -> Result<DeclaredConnection, Refusal> {
    let Asked {
        provider,
        config,
        dry_run,
    } = parse(&Value::Object(body), "", envelope::FIELDS)?;
    let spec = match provider {
        Provider::Webhook => parse(&config, "/config", &[]).map(ConnectionSpec::Webhook),
        Provider::Eventbridge => parse(&config, "/config", &[]).map(ConnectionSpec::EventBridge),
        Provider::Sqs => parse(&config, "/config", &[]).map(ConnectionSpec::Sqs),
        Provider::Sns => parse(&config, "/config", &[]).map(ConnectionSpec::Sns),
        Provider::Kinesis => parse(&config, "/config", &[]).map(ConnectionSpec::Kinesis),
        Provider::Lambda => parse(&config, "/config", &[]).map(ConnectionSpec::Lambda),
        Provider::EventGrid => parse(&config, "/config", &[]).map(ConnectionSpec::EventGrid),
        Provider::Aws => parse(&config, "/config", &[]).map(ConnectionSpec::Aws),
        Provider::Bus => parse(&config, "/config", &[]).map(ConnectionSpec::Bus),
    }?;
    Ok(DeclaredConnection { spec, dry_run })
}

/// A connection to another bus is made when that bus is there; it may go later.
fn leads_to_a_bus(planning: &Planning<'_>, spec: &ConnectionSpec) -> Result<(), Refusal> {
    let ConnectionSpec::Bus(config) = spec else {
        return Ok(());
    };
    let missing = |_| Refusal::invalid("/config/bus", format!("bus {} does not exist", echo(&config.bus)));
    planning.model.bus(&config.bus).map(drop).map_err(missing)
}

/// The subscriptions that use it go on with it: what their targets say is for its provider.
fn suits_subscriptions(bus: &Bus, name: &str, spec: &ConnectionSpec) -> Result<(), Refusal> {
    let users = bus.subscriptions.values().filter(|user| user.spec.connection == name);
    for user in users {
        validate::target(&user.spec, spec).map_err(|refusal| {
            let reason = refusal.detail;
            let detail = format!("subscription {:?} uses this connection, and {reason}", user.name);
            Refusal::invalid("/provider", detail)
        })?;
    }
    Ok(())
}

/// Puts the stored secret where a fingerprint stands.
fn resolve(
    asked: &ConnectionSpec,
    stored: Option<&ConnectionSpec>,
    fingerprint: impl Fn(&str) -> String,
) -> Result<ConnectionSpec, Refusal> {
    let known = stored
        .map(|stored| secrets_by_fingerprint(stored, &fingerprint))
        .unwrap_or_default();
    let moved = stored.is_some_and(|stored| endpoint(stored) != endpoint(asked));
    map_secrets(asked, &mut |secret, pointer| match secret {
        Secret::Plain(_) => Ok(secret.clone()),
        Secret::Sealed(_) => Err(Refusal::invalid(
            pointer,
            "a secret is given plain or by its fingerprint",
        )),
        Secret::Fingerprint(print) => {
            let plain = known.get(print).ok_or_else(|| unknown(pointer))?;
            if moved {
                Err(elsewhere(pointer))
            } else {
                Ok(Secret::Plain(plain.clone()))
            }
        }
    })
}

fn secrets_by_fingerprint(stored: &ConnectionSpec, fingerprint: impl Fn(&str) -> String) -> BTreeMap<String, String> {
    let known = RefCell::new(BTreeMap::new());
    let collect = &mut |secret: &Secret, _: &str| {
        if let Secret::Plain(plain) = secret {
            known.borrow_mut().insert(fingerprint(plain), plain.clone());
        }
        Ok::<_, Refusal>(secret.clone())
    };
    drop(map_secrets(stored, collect));
    known.into_inner()
}

/// Where the secrets are sent; texts that mean the same place are equal.
fn endpoint(spec: &ConnectionSpec) -> String {
    let normal = |url: &str| Url::parse(url).map_or_else(|_| url.to_owned(), String::from);
    match spec {
        ConnectionSpec::Webhook(config) => match &config.auth {
            Auth::ClientCredentials(client) => format!("{} {}", normal(&config.url), normal(&client.token_url)),
            _ => normal(&config.url),
        },
        ConnectionSpec::EventGrid(config) => match config.auth.credentials() {
            Some(client) => format!("{} {}", normal(&config.endpoint), normal(&client.token_url)),
            None => normal(&config.endpoint),
        },
        other => other.aws().map_or_else(String::new, |aws| {
            let sts = aws.assume_role.as_ref().and_then(|role| role.sts_endpoint.as_deref());
            let [own, sts] = [aws.endpoint.as_deref(), sts].map(|url| url.map_or_else(String::new, normal));
            format!("{} {own} {sts}", other.provider())
        }),
    }
}

fn unknown(pointer: &str) -> Refusal {
    let detail = "no stored secret of this connection has this fingerprint: give the secret itself";
    let refusal = Refusal::new("fingerprint_unknown", Class::Invalid, detail);
    Refusal {
        pointer: Some(pointer.to_owned()),
        ..refusal
    }
}

fn elsewhere(pointer: &str) -> Refusal {
    let detail = "the URL changes, so the stored secret is not taken along: give the secret itself";
    let refusal = Refusal::new("fingerprint_unknown", Class::Invalid, detail);
    Refusal {
        pointer: Some(pointer.to_owned()),
        ..refusal
    }
}
