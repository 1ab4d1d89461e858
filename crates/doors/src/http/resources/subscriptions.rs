//! What subscriptions have beyond other resources: a status, pausing and resuming.

use super::{Target, change, read};
use crate::http::{
    call::Call,
    json,
    problem::Problem,
    routes::{Gives, Permission, Route, Serve, Takes, Verb, in_json, parameter, route},
    validations,
};
use axum::routing;
use control::{
    Action, Model, Precondition,
    audit::Deed,
    resources::{ResourceKind, Scope},
};
use delivery::{Error, LaneCounters, SubscriptionStatus};
use serde_json::{Value, json};

/// How often a change is planned anew because somebody else changed the subscription meanwhile.
const TRIES_MAX: usize = 4;

/// How a subscription is doing; `None` before its lane runs.
pub(super) fn status(call: &Call, bus: &str, name: &str) -> Option<Value> {
    let mut status = call.state.core.status_of(bus, name).as_ref().map(describe)?;
    let subscription = call.model.buses.get(bus)?.subscriptions.get(name);
    let validation = subscription.and_then(|subscription| call.state.validations.shown(subscription.id));
    if let Some(validation) = validation {
        status["validation"] = validations::describe(&validation);
    }
    Some(status)
}

fn describe(status: &SubscriptionStatus) -> Value {
    let LaneCounters {
        matched,
        delivered,
        failed,
        retried,
        parked,
        dead_lettered,
        given_up,
        skipped,
        discarded,
        redriven,
    } = status.counters;
    let mut value = json!({
        "state": status.state,
        "reason": status.reason,
        "lag": {"events": status.lag_events, "seconds": status.lag_seconds},
        "in_flight": status.in_flight,
        "parked": status.parked,
        "dead_letters": status.dead,
        "since_start": {
            "matched": matched, "delivered": delivered, "failed": failed, "retried": retried, "parked": parked,
            "dead_lettered": dead_lettered, "given_up": given_up, "skipped": skipped, "discarded": discarded,
            "redriven": redriven,
        },
    });
    if let Some(copies) = &status.copies {
        value["dead_letter_copies"] = json!({
            "state": copies.state,
            "reason": copies.reason,
            "waiting": copies.waiting,
            "delivered": copies.delivered,
        });
    }
    value
}

pub(super) const ROUTES: &[Route] = &[
    verb(
        "/v1/buses/{bus}/subscriptions/{name}:pause",
        "pauseSubscription",
        |on| routing::on(on, pause),
    )
    .summary("Pause a subscription: its events wait"),
    verb(
        "/v1/buses/{bus}/subscriptions/{name}:resume",
        "resumeSubscription",
        |on| routing::on(on, resume),
    )
    .summary("Resume a subscription where it stopped, or from now")
    .query(&[parameter(
        "from",
        Takes::Text,
        "`now`: what lies between is counted, recorded as skipped, and not delivered. Absent: where it stopped.",
    )])
    .problems(RESUME_PROBLEMS),
];

const SUBSCRIPTION: &[Gives] = &[in_json(200, "Subscription")];

const fn verb(path: &'static str, id: &'static str, serve: Serve) -> Route {
    route(Verb::Post, path, id, Permission::Bus(Scope::Subscribe), serve)
        .gives(SUBSCRIPTION)
        .problems(&["resource_not_found", "store_failed", "version_conflict"])
}

const RESUME_PROBLEMS: &[&str] = &[
    "query_invalid",
    "resource_not_found",
    "store_failed",
    "subscription_busy",
    "version_conflict",
];

async fn pause(call: Call) -> json::Result {
    let target = Target::of(&call, ResourceKind::Subscription)?;
    enable(&call, &target, false).await?;
    let value = shown(&call, &target).await?;
    answer(&value)
}

async fn resume(call: Call) -> json::Result {
    let target = Target::of(&call, ResourceKind::Subscription)?;
    let skips = match call.query()?.text("from") {
        None => false,
        Some("now") => true,
        Some(_) => {
            let detail = "from is now, or absent: where the subscription stopped";
            return Err(Problem::new("query_invalid", detail));
        }
    };
    // That it is there is known before anything is written down.
    read::shown(&call, &call.state.core.model(), &target)?;
    let told = |details: Value| call.act(Deed::Resumed, "subscription", target.name, details);
    let core = &call.state.core;
    let skipped = match skips {
        true => {
            let act = told(json!({"from": "now"}));
            Some(core.skip_to_now(target.bus, target.name, Some(act)).await?)
        }
        false => None,
    };
    ask_again(&call, &target).await?;
    enable(&call, &target, true).await?;
    if !skips {
        core.record(&told(Value::Null)).await?;
    }
    core.resume(target.bus, target.name).await?;
    let mut value = shown(&call, &target).await?;
    if let Some(skipped) = skipped {
        value["status"]["skipped"] = json!({
            "events": skipped.events, "records": skipped.records, "parked": skipped.parked,
        });
    }
    answer(&value)
}

/// A webhook that has not said yes to Event Grid's validation is asked again with the next delivery.
async fn ask_again(call: &Call, target: &Target<'_>) -> Result<(), Problem> {
    let found = call.bus()?.subscriptions.get(target.name);
    let Some(subscription) = found else { return Ok(()) };
    let asked = call.state.validations.ask_again(subscription.id).await;
    asked.map_err(|error| Problem::new("store_failed", error))
}

/// The subscription, once its lane knows what was changed.
async fn shown(call: &Call, target: &Target<'_>) -> Result<Value, Problem> {
    let model = call.state.core.model();
    seen(call, &model, target).await;
    read::shown(call, &model, target)
}

/// Waits until a subscription's status shows what was changed of it.
pub(super) async fn seen(call: &Call, model: &Model, target: &Target<'_>) {
    let bus = model.buses.get(target.bus);
    if let Some(subscription) = bus.and_then(|bus| bus.subscriptions.get(target.name)) {
        call.state.core.seen(subscription.id).await;
    }
}

/// The subscription as it was shown, with its version.
fn answer(value: &Value) -> json::Result {
    let version = value["version"].as_u64().unwrap_or_default();
    Ok(json::with_etag(json::ok(value)?, version))
}

/// Sets `enabled` of the document, and nothing else of it.
async fn enable(call: &Call, target: &Target<'_>, enabled: bool) -> Result<(), Problem> {
    let mut last = None;
    for _ in 0..TRIES_MAX {
        let model = call.state.core.model();
        let mut document = control::export(&model, &call.state.sealer, target.kind, target.bus, target.name)?;
        document["enabled"] = enabled.into();
        let precondition = Precondition::Version(read::version(&model, target));
        match call
            .state
            .core
            .change(change::change(call, target, Action::Put(document), precondition))
            .await
        {
            Ok(_) => return Ok(()),
            Err(Error::Refused(refusal)) if refusal.class == control::Class::Precondition => last = Some(refusal),
            Err(error) => return Err(error.into()),
        }
    }
    Err(last.map_or_else(|| Problem::new("internal", "the change was not tried"), Problem::from))
}
