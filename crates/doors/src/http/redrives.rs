//! Redrives: begin one (or look what it would do), list, show, pause, resume, cancel, forget.

use super::{
    answer_event,
    call::Call,
    dead_letters::Letter,
    json, numbered,
    problem::Problem,
    routes::{
        CURSOR, DRY_RUN, Gives, JSON, LIMIT, NO_CONTENT, Permission, Route, Serve, Verb, content, in_json, route,
    },
    time,
};
use axum::{body::Body, response::IntoResponse, routing};
use control::resources::{RedriveSpec, Scope};
use delivery::{Redrive, ReplayState};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

const SUBSCRIBE: Permission = Permission::Bus(Scope::Subscribe);
const READ: Permission = Permission::Bus(Scope::Read);

pub(super) const ROUTES: &[Route] = &[
    route(
        Verb::Post,
        "/v1/buses/{bus}/redrives",
        "startRedrive",
        SUBSCRIBE,
        |on| routing::on(on, start),
    )
    .summary("Start a redrive of dead letters, or see what it would do")
    .query(&[DRY_RUN])
    .takes(&[content(JSON, "RedriveRequest")])
    .gives(&[in_json(201, "Redrive"), in_json(200, "RedrivePreview")])
    .problems(&[
        "already_exists",
        "field_unknown",
        "limit_exceeded",
        "name_invalid",
        "resource_invalid",
        "resource_malformed",
        "store_failed",
    ]),
    route(Verb::Get, "/v1/buses/{bus}/redrives", "listRedrives", READ, |on| {
        routing::on(on, list)
    })
    .summary("List redrives, oldest first")
    .query(&[CURSOR, LIMIT])
    .gives(&[in_json(200, "RedrivePage")])
    .problems(&["cursor_invalid"]),
    route(Verb::Get, "/v1/buses/{bus}/redrives/{name}", "getRedrive", READ, |on| {
        routing::on(on, one)
    })
    .summary("Show a redrive and how far it has come")
    .gives(REDRIVE)
    .problems(&["resource_not_found"]),
    route(
        Verb::Delete,
        "/v1/buses/{bus}/redrives/{name}",
        "deleteRedrive",
        SUBSCRIBE,
        |on| routing::on(on, forget),
    )
    .summary("Forget a redrive that is over")
    .gives(&[NO_CONTENT])
    .problems(&["redrive_running", "resource_not_found", "store_failed"]),
    verb("/v1/buses/{bus}/redrives/{name}:pause", "pauseRedrive", |on| {
        routing::on(on, pause)
    })
    .summary("Hold a redrive"),
    verb("/v1/buses/{bus}/redrives/{name}:resume", "resumeRedrive", |on| {
        routing::on(on, resume)
    })
    .summary("Let a redrive go on"),
    verb("/v1/buses/{bus}/redrives/{name}:cancel", "cancelRedrive", |on| {
        routing::on(on, cancel)
    })
    .summary("End a redrive: what has gone out stays out"),
];

const REDRIVE: &[Gives] = &[in_json(200, "Redrive")];

const fn verb(path: &'static str, id: &'static str, serve: Serve) -> Route {
    route(Verb::Post, path, id, SUBSCRIBE, serve).gives(REDRIVE).problems(&[
        "redrive_over",
        "resource_not_found",
        "store_failed",
    ])
}

/// What a redrive would do.
#[derive(Serialize)]
struct Preview<'a> {
    dead_letters: u64,
    bytes: u64,
    samples: Vec<Letter<'a>>,
}

/// The name, if there is one, and what is asked for.
fn read(mut document: Value) -> Result<(Option<String>, RedriveSpec), Problem> {
    let name = numbered::take_name(&mut document)?;
    Ok((name, RedriveSpec::read(&document)?))
}

async fn start(call: Call, body: Body) -> json::Result {
    let is_dry = call.query()?.flag("dry_run")?;
    let bus = call.bus()?;
    let (name, spec) = read(call.document(body).await?)?;
    let core = &call.state.core;
    if is_dry {
        call.look("redrive", name.as_deref().unwrap_or_default(), spec.shown())
            .await?;
        let preview = core.preview_redrive(&bus.name, spec).await?;
        let samples = preview.samples.iter();
        let samples = samples
            .map(|dead| Letter::new(bus, dead, answer_event(&dead.delivery.record)))
            .collect();
        return json::ok(&Preview {
            dead_letters: preview.dead_letters,
            bytes: preview.bytes,
            samples,
        });
    }
    let redrive = core.start_redrive(&bus.name, name, spec, call.actor()).await?;
    json::answer(StatusCode::CREATED, &described(&redrive))
}

async fn list(call: Call) -> json::Result {
    let all = call.state.core.redrives(&call.bus()?.name)?;
    numbered::page(&call, all, |redrive| redrive.number, described)
}

async fn one(call: Call) -> json::Result {
    let bus = call.bus()?;
    let redrive = call.state.core.redrive_of(&bus.name, call.parameter("name"))?;
    json::ok(&described(&redrive))
}

async fn forget(call: Call) -> json::Result {
    let (bus, name) = (call.bus()?, call.parameter("name"));
    call.state.core.forget_redrive(&bus.name, name, call.actor()).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn pause(call: Call) -> json::Result {
    set(&call, ReplayState::Paused).await
}

async fn resume(call: Call) -> json::Result {
    set(&call, ReplayState::Running).await
}

async fn cancel(call: Call) -> json::Result {
    set(&call, ReplayState::Cancelled).await
}

async fn set(call: &Call, state: ReplayState) -> json::Result {
    let (bus, name) = (call.bus()?, call.parameter("name"));
    let core = &call.state.core;
    let redrive = core.set_redrive(&bus.name, name, state, call.actor()).await?;
    json::ok(&described(&redrive))
}

/// A redrive as it leaves: what was asked for, and how it stands beside it.
fn described(redrive: &Redrive) -> Value {
    let mut value = redrive.spec.shown();
    value["name"] = redrive.name.as_str().into();
    value["created"] = time::text(redrive.created).into();
    value["status"] = json!({
        "state": redrive.state,
        "reason": redrive.reason,
        "ended": redrive.ended.map(time::text),
        "matched": redrive.matched,
        "redriven": redrive.redriven,
    });
    value
}
