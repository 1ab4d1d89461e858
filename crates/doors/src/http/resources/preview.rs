//! `POST /v1/resources:preview`: what creating or replacing a list of resources would do, in the order of the list, each as if those
//! before it were there. All or nothing for the command line's `apply`: one that would be refused is named, and nothing was changed.

use super::{
    BUS_ROUTES, CONNECTION_ROUTES, EVENT_TYPE_ROUTES, SUBSCRIPTION_ROUTES, TOPIC_ROUTES,
    change::{READ_ONLY, leads_where_the_caller_may_publish, word},
};
use crate::http::{
    call::Call,
    json,
    problem::Problem,
    routes::{JSON, Permission, Route, Verb, content, in_json, route},
};
use axum::{body::Body, routing};
use control::{
    Action, Change, Difference, Precondition, Refusal,
    filters::read_document,
    limits::DEFAULT_BUS,
    resources::ResourceKind,
    trial::{Trial, try_all},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Resources in one list: ten buses, each with as many subscriptions as a bus may well have; as many as the command line reads.
const RESOURCES_MAX: usize = 100_000;
/// Bytes of a list: some hundreds for each of the most.
const LIST_BYTES_MAX: usize = 64 << 20;
/// A long list takes seconds of one processor and a multiple of its bytes: one at a time.
static LISTS: Semaphore = Semaphore::const_new(1);

pub(in crate::http) const ROUTES: &[Route] = &[route(
    Verb::Post,
    "/v1/resources:preview",
    "previewResources",
    Permission::AnyKey,
    |on| routing::on(on, preview),
)
.summary("Ask what creating or replacing several resources would do, each as if those before it were there")
.takes(&[content(JSON, "ResourceList")])
.gives(&[in_json(200, "ResourcePreviews")])
.problems(&[
    "field_unknown",
    "filter_invalid",
    "filter_not_json",
    "filter_too_complex",
    "fingerprint_unknown",
    "in_use",
    "limit_exceeded",
    "name_invalid",
    "quota_exceeded",
    "resource_invalid",
    "resource_malformed",
    "resource_not_found",
    "secrets_unreadable",
    "transform_invalid",
    "types_invalid",
    "url_refused",
])];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List<'a> {
    #[serde(borrow)]
    resources: Vec<&'a RawValue>,
}

/// What would become of one resource.
#[derive(Serialize)]
struct Item<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    bus: &'a str,
    name: &'a str,
    action: &'static str,
    changes: &'a [Difference],
}

async fn preview(call: Call, body: Body) -> json::Result {
    let call = Arc::new(call);
    // The bytes count until the answer is made. What is made of them is several times as large, and one list's at a time.
    let (bytes, _share) = call.bytes(body, LIST_BYTES_MAX).await?;
    let turn = LISTS.acquire().await;
    let of_list = Arc::clone(&call);
    let answered = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        answer(&of_list, &bytes)
    });
    answered
        .await
        .map_err(|_| Problem::new("internal", "looking at the list broke off"))?
}

fn answer(call: &Call, bytes: &[u8]) -> json::Result {
    let changes = read(call, bytes)?;
    permit(call, &changes)?;
    let state = &call.state;
    match try_all(&call.model, &state.rules, &state.sealer, &changes, state.journal.now()) {
        Ok(trials) => json::ok(&serde_json::json!({"items": items(&changes, &trials)})),
        Err((index, refusal)) => Err(refused(index, &changes[index], refusal)),
    }
}

fn items<'a>(changes: &'a [Change], trials: &'a [Trial]) -> Vec<Item<'a>> {
    let item = |(change, trial): (&'a Change, &'a Trial)| Item {
        kind: change.kind.word(),
        bus: if change.kind.is_of_a_bus() { &change.bus } else { "" },
        name: &change.name,
        action: word(&trial.effect, &change.action, trial.existed),
        changes: &trial.changes,
    };
    changes.iter().zip(trials).map(item).collect()
}

fn read(call: &Call, bytes: &[u8]) -> Result<Vec<Change>, Problem> {
    let malformed = |reason: String| Problem::new("resource_malformed", format!("the body is not a list: {reason}"));
    event::json::check(bytes).map_err(malformed)?;
    let list: List<'_> = serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
    if list.resources.len() > RESOURCES_MAX {
        let detail = format!("a list has at most {RESOURCES_MAX} resources");
        return Err(Problem::new("limit_exceeded", detail));
    }
    let resources = list.resources.into_iter().enumerate();
    resources
        .map(|(index, text)| {
            let document = read_document(text.get().as_bytes()).map_err(|error| malformed(error.to_string()))?;
            change(call, document).map_err(|(pointer, detail)| {
                Problem::new("resource_invalid", format!("resource {index}: {detail}"))
                    .pointer(Some(format!("/resources/{index}{pointer}")))
            })
        })
        .collect()
}

/// A resource as it would be put; or where it has no name that it could be put under.
fn change(call: &Call, mut document: Value) -> Result<Change, (&'static str, String)> {
    let Some(object) = document.as_object_mut() else {
        return Err(("", "a resource is an object with kind and name".to_owned()));
    };
    READ_ONLY.iter().for_each(|name| drop(object.remove(*name)));
    let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
    let kind = text("kind").and_then(|word| KINDS.into_iter().find(|kind| kind.word() == word));
    let kind = kind.ok_or_else(|| {
        let words = KINDS.map(ResourceKind::word).join(", ");
        ("/kind", format!("kind is one of {words}"))
    })?;
    let name = text("name").ok_or_else(|| ("/name", "name is a string".to_owned()))?;
    let bus = match object.get("bus") {
        None => DEFAULT_BUS.to_owned(),
        Some(Value::String(bus)) => bus.clone(),
        Some(_) => return Err(("/bus", "bus is a string".to_owned())),
    };
    Ok(Change {
        bus,
        kind,
        name,
        action: Action::Put(document),
        precondition: Precondition::Any,
        by: call.actor(),
    })
}

/// What a list may hold. Not keys: making one gives a secret, which a preview has none of.
const KINDS: [ResourceKind; 5] = [
    ResourceKind::Bus,
    ResourceKind::Topic,
    ResourceKind::EventType,
    ResourceKind::Connection,
    ResourceKind::Subscription,
];

/// Each resource asks for what putting it asks for, before anything is said about what exists.
fn permit(call: &Call, changes: &[Change]) -> Result<(), Problem> {
    let asks = KINDS.map(|kind| (kind, right(kind)));
    for change in changes {
        let (_, permission) = asks
            .iter()
            .find(|(kind, _)| *kind == change.kind)
            .expect("only these are read");
        call.permits_on(*permission, &change.bus)?;
        if let Action::Put(document) = &change.action {
            leads_where_the_caller_may_publish(call, change.kind, document)?;
        }
    }
    Ok(())
}

fn right(kind: ResourceKind) -> Permission {
    let rows = match kind {
        ResourceKind::Bus | ResourceKind::Key => BUS_ROUTES,
        ResourceKind::Topic => TOPIC_ROUTES,
        ResourceKind::EventType => EVENT_TYPE_ROUTES,
        ResourceKind::Connection => CONNECTION_ROUTES,
        ResourceKind::Subscription => SUBSCRIPTION_ROUTES,
    };
    let row = rows.iter().find(|row| row.verb == Verb::Put);
    row.expect("every kind can be put").permission
}

/// The refusal with the resource's name, and its place in the list.
fn refused(index: usize, change: &Change, mut refusal: Refusal) -> Problem {
    let (kind, name) = (change.kind.word(), crate::http::shown(&change.name));
    refusal.detail = format!("{kind} {name}: {}", refusal.detail);
    refusal.pointer = Some(format!("/resources/{index}{}", refusal.pointer.unwrap_or_default()));
    refusal.into()
}
