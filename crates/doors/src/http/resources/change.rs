//! Creating, replacing and deleting, and what either would do (`?dry_run=true`).

use super::{Target, keys, read, subscriptions};
use crate::http::{call::Call, json, problem::Problem, put_status};
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use control::{
    Action, Change, Difference, Effect, Precondition, Token,
    resources::{ResourceKind, Scope},
};
use delivery::Changed;
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

/// Members that leave with a resource and mean nothing on the way in.
pub(super) const READ_ONLY: [&str; 5] = ["version", "status", "created", "last_used", "secrets"];

/// `PUT`.
pub(super) async fn put(call: &Call, kind: ResourceKind, body: Body) -> json::Result {
    let is_dry = call.query()?.flag("dry_run")?;
    let target = Target::of(call, kind)?;
    let precondition = call.precondition()?;
    let mut document = call.document(body).await?;
    if let Some(object) = document.as_object_mut() {
        READ_ONLY.iter().for_each(|name| drop(object.remove(*name)));
    }
    leads_where_the_caller_may_publish(call, kind, &document)?;
    let (action, precondition, token) = action(call, &target, document, precondition)?;
    let change = change(call, &target, action, precondition);
    if is_dry {
        return preview(call, &target, &change);
    }
    let changed = call.state.core.change(change).await?;
    if kind == ResourceKind::Subscription && !changed.created {
        subscriptions::seen(call, &changed.model, &target).await;
    }
    let mut value = read::shown(call, &changed.model, &target)?;
    if let Some(token) = token {
        keys::show_once(&mut value, &changed.model, &token);
    }
    Ok(json::with_etag(
        json::answer(put_status(changed.created), &value)?,
        read::version(&changed.model, &target),
    ))
}

/// A connection to another bus publishes there for whoever uses it.
pub(super) fn leads_where_the_caller_may_publish(
    call: &Call,
    kind: ResourceKind,
    document: &Value,
) -> Result<(), Problem> {
    match (kind, document["provider"].as_str(), document["config"]["bus"].as_str()) {
        (ResourceKind::Connection, Some("bus"), Some(bus)) => call.require(bus, Scope::Publish),
        _ => Ok(()),
    }
}

/// What a `PUT` means: a key that is not there gets a token, which this answer alone will show.
fn action(
    call: &Call,
    target: &Target<'_>,
    body: Value,
    precondition: Precondition,
) -> Result<(Action, Precondition, Option<Token>), Problem> {
    let is_new_key = target.kind == ResourceKind::Key && !call.model.keys.contains_key(target.name);
    if !is_new_key || !matches!(precondition, Precondition::Any | Precondition::Absent) {
        return Ok((Action::Put(body), precondition, None));
    }
    let token = keys::new_token(target.name)?;
    let action = Action::CreateKey {
        body,
        token: token.clone(),
    };
    Ok((action, Precondition::Absent, Some(token)))
}

/// `DELETE`.
pub(super) async fn delete(call: &Call, kind: ResourceKind) -> json::Result {
    let is_dry = call.query()?.flag("dry_run")?;
    let target = Target::of(call, kind)?;
    let change = change(call, &target, Action::Delete, call.precondition()?);
    if is_dry {
        return preview(call, &target, &change);
    }
    let _: Changed = call.state.core.change(change).await?;
    Ok(no_content())
}

fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

pub(super) fn change(call: &Call, target: &Target<'_>, action: Action, precondition: Precondition) -> Change {
    Change {
        bus: target.bus.to_owned(),
        kind: target.kind,
        name: target.name.to_owned(),
        action,
        precondition,
        by: call.actor(),
    }
}

/// The answer to a dry run.
#[derive(Serialize)]
struct Preview {
    /// `create`, `update`, `delete` or `none`.
    action: &'static str,
    /// What would differ.
    changes: Vec<Difference>,
}

fn preview(call: &Call, target: &Target<'_>, change: &Change) -> json::Result {
    let (state, model) = (&call.state, &call.model);
    let (effect, changes) = control::preview(model, &state.rules, &state.sealer, change, state.journal.now())?;
    let existed = model.version(target.kind, target.bus, target.name).is_some();
    let action = word(&effect, &change.action, existed);
    json::ok(&Preview { action, changes })
}

/// What a change would do, in a word.
pub(super) fn word(effect: &Effect, action: &Action, existed: bool) -> &'static str {
    match (effect, action) {
        (Effect::Unchanged, _) => "none",
        (_, Action::Delete) => "delete",
        _ if existed => "update",
        _ => "create",
    }
}
