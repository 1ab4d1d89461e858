//! What keys have beyond other resources: when they were used, which secrets they have, and another secret.

use super::{Target, change, read};
use crate::http::{
    call::Call,
    json,
    problem::Problem,
    routes::{JSON, Permission, Route, Verb, content, in_json, route},
    time,
};
use axum::{body::Body, routing};
use control::{
    Action, Key, Model, Token,
    keys::OVERLAP_DEFAULT,
    names::KeyId,
    resources::{KeySigning, ResourceKind, Scope},
    units::parse_duration,
};
use serde_json::{Value, json};
use std::time::Duration;

pub(super) const ROUTES: &[Route] = &[route(
    Verb::Post,
    "/v1/keys/{name}:rotate",
    "rotateKey",
    Permission::Installation(Scope::Administer),
    |on| routing::on(on, rotate),
)
.summary("Give a key another secret; the one before stays good for a while")
.takes(&[content(JSON, "KeyRotation")])
.gives(&[in_json(200, "Key")])
.problems(&[
    "in_use",
    "precondition_invalid",
    "resource_invalid",
    "resource_malformed",
    "resource_not_found",
    "store_failed",
    "version_conflict",
])];

/// What a key's answer shows beside what was declared.
pub(super) fn describe(value: &mut Value, key: &Key) {
    value["created"] = time::text(key.created).into();
    if let Some(at) = key.used.at() {
        value["last_used"] = time::text(at).into();
    }
    let secrets = key.secrets.iter().map(|secret| match secret.not_after {
        None => json!({"created": time::text(secret.created)}),
        Some(end) => json!({"created": time::text(secret.created), "not_after": time::text(end)}),
    });
    value["secrets"] = secrets.collect();
}

/// The secret in the one answer that has it: `token` of a bearer key, `secret` of one that signs.
pub(super) fn show_once(value: &mut Value, model: &Model, token: &Token) {
    let key = model.keys.get(token.id().as_str());
    let signing = key.map_or(KeySigning::Bearer, |key| key.spec.signing);
    let member = match signing {
        KeySigning::Bearer => "token",
        KeySigning::Aws | KeySigning::EventGrid => "secret",
    };
    value[member] = token.expose_for(signing).into();
}

/// A token for a key of this name.
pub(super) fn new_token(name: &str) -> Result<Token, Problem> {
    Token::generate(KeyId::new(name)?).map_err(|error| {
        tracing::error!(%error, "a key's secret could not be made");
        Problem::new("internal", "the system gave no random bytes")
    })
}

async fn rotate(call: Call, body: Body) -> json::Result {
    let target = Target::of(&call, ResourceKind::Key)?;
    let overlap = overlap(&call.document(body).await?)?;
    let token = new_token(target.name)?;
    let action = Action::RotateKey {
        token: token.clone(),
        overlap,
    };
    let changed = call
        .state
        .core
        .change(change::change(&call, &target, action, call.precondition()?))
        .await?;
    let mut value = read::shown(&call, &changed.model, &target)?;
    show_once(&mut value, &changed.model, &token);
    let end = changed.model.keys.get(target.name).and_then(|key| key.not_after);
    if end.is_some_and(|end| end < call.state.journal.now()) {
        value["expired"] = true.into();
    }
    Ok(json::with_etag(
        json::ok(&value)?,
        read::version(&changed.model, &target),
    ))
}

/// `{"overlap": "24h"}`; without it a day.
fn overlap(body: &Value) -> Result<Duration, Problem> {
    let wrong =
        |pointer: &str, detail: String| Problem::new("resource_invalid", detail).pointer(Some(pointer.to_owned()));
    let Value::Object(body) = body else {
        return Err(Problem::new(
            "resource_malformed",
            "the body is an object such as {\"overlap\": \"24h\"}",
        ));
    };
    if let Some(other) = body.keys().find(|name| *name != "overlap") {
        let detail = format!(
            "there is no field {:?} here; the field is overlap",
            crate::http::shown(other)
        );
        return Err(wrong("", detail));
    }
    match body.get("overlap") {
        None => Ok(OVERLAP_DEFAULT),
        Some(Value::String(text)) => parse_duration(text).map_err(|reason| wrong("/overlap", reason.to_owned())),
        Some(_) => Err(wrong("/overlap", "overlap is a duration such as 24h".to_owned())),
    }
}
