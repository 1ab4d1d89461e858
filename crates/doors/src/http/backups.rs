//! `/v1/backups`: begins a backup of the running bus, shows how it is doing, lists those in the configured directory. Where they
//! go is the operator's to say, in the configuration; nobody names a path here.

use super::{
    call::Call,
    json,
    problem::Problem,
    routes::{JSON, Permission, Route, Verb, content, in_json, route},
    time,
};
use axum::routing;
use backup::{Error, Job, Listed, Manifest, Name, Recipients, Request, Service, State};
use control::{audit::Deed, resources::Scope};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

/// A request is a few keys of 62 letters.
const BODY_BYTES_MAX: usize = 16 << 10;

pub(super) const ROUTES: &[Route] = &[
    route(
        Verb::Post,
        "/v1/backups",
        "createBackup",
        Permission::Installation(Scope::Administer),
        |on| routing::on(on, create),
    )
    .summary("Begin a backup")
    .takes(&[content(JSON, "BackupRequest")])
    .gives(&[in_json(202, "Backup")])
    .problems(&[
        "backups_off",
        "backup_running",
        "backup_invalid",
        "backup_failed",
        "store_failed",
    ]),
    route(
        Verb::Get,
        "/v1/backups",
        "listBackups",
        Permission::Installation(Scope::Read),
        |on| routing::on(on, list),
    )
    .summary("List backups, the oldest first")
    .gives(&[in_json(200, "Backups")])
    .problems(&["backups_off", "backup_failed"]),
    route(
        Verb::Get,
        "/v1/backups/{name}",
        "showBackup",
        Permission::Installation(Scope::Read),
        |on| routing::on(on, show),
    )
    .summary("Show how a backup is doing")
    .gives(&[in_json(200, "Backup")])
    .problems(&["backups_off", "backup_not_found", "backup_failed"]),
];

/// What a request asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    incremental: bool,
    recipients: Option<Vec<String>>,
}

async fn create(call: Call, body: axum::body::Body) -> json::Result {
    let (bytes, _share) = call.bytes(body, BODY_BYTES_MAX).await?;
    let asked: Asked = match bytes.is_empty() {
        true => Asked::default(),
        false => serde_json::from_slice(&bytes).map_err(|error| invalid(&error.to_string()))?,
    };
    let recipients = asked.recipients.map(|texts| Recipients::parse(&texts)).transpose();
    let request = Request {
        is_incremental: asked.incremental,
        recipients: recipients.map_err(problem)?,
    };
    let service = service(&call)?;
    let prepared = service.prepare(request).await.map_err(problem)?;
    let details = json!({"parent": prepared.parent(), "encrypted": prepared.is_encrypted()});
    call.record(Deed::Began, "backup", &prepared.name().to_string(), details)
        .await?;
    let job = service.begin(prepared).map_err(problem)?;
    json::answer(StatusCode::ACCEPTED, &of_job(&job))
}

async fn list(call: Call) -> json::Result {
    let service = service(&call)?;
    let listed = service.list().await.map_err(problem)?;
    let jobs = service.jobs();
    let known = |name: &Name| jobs.iter().find(|job| job.name == *name);
    let mut items: Vec<Value> = listed.iter().map(|one| of_listed(one, known(one.name()))).collect();
    let is_listed = |job: &&Job| !listed.iter().any(|one| *one.name() == job.name);
    items.extend(jobs.iter().filter(is_listed).map(of_job));
    items.sort_by(|one, other| one["name"].as_str().cmp(&other["name"].as_str()));
    json::ok(&json!({ "items": items }))
}

async fn show(call: Call) -> json::Result {
    let service = service(&call)?;
    let unknown = || {
        let name = super::shown(call.parameter("name"));
        Problem::new("backup_not_found", format!("backup {name:?} does not exist"))
    };
    let name = Name::parse(call.parameter("name")).ok_or_else(unknown)?;
    if let Some(job) = service.job(&name) {
        return json::ok(&of_job(&job));
    }
    let listed = service.list().await.map_err(problem)?;
    let found = listed.iter().find(|one| *one.name() == name).ok_or_else(unknown)?;
    json::ok(&of_listed(found, None))
}

fn service(call: &Call) -> Result<&Service, Problem> {
    call.state
        .operations
        .backups
        .as_ref()
        .ok_or_else(|| problem(Error::Off))
}

fn of_job(job: &Job) -> Value {
    let mut shown = json!({
        "name": job.name,
        "state": "running",
        "started": time::text(job.started),
        "parent": job.parent,
        "encrypted": job.is_encrypted,
        "phase": job.seen.phase.word(),
        "bytes": job.seen.bytes,
        "bytes_total": job.seen.bytes_total,
    });
    match &job.state {
        State::Running => {}
        State::Done(manifest) => add(&mut shown, of_manifest(manifest)),
        State::Failed(reason) => add(&mut shown, json!({"state": "failed", "reason": reason})),
    }
    shown
}

fn of_listed(listed: &Listed, job: Option<&Job>) -> Value {
    match (listed, job) {
        (Listed::Complete(manifest), _) => of_manifest(manifest),
        (_, Some(job)) => of_job(job),
        (Listed::Unfinished(name), None) => json!({"name": name, "state": "unfinished"}),
        (Listed::Unusable(name, error), None) => {
            json!({"name": name, "state": "unusable", "reason": format!("failed to {error}")})
        }
    }
}

fn of_manifest(manifest: &Manifest) -> Value {
    let mut shown = manifest.shown();
    add(&mut shown, json!({"created": time::text(manifest.created)}));
    shown
}

fn add(shown: &mut Value, more: Value) {
    if let (Value::Object(shown), Value::Object(more)) = (shown, more) {
        shown.extend(more);
    }
}

fn invalid(reason: &str) -> Problem {
    Problem::new("backup_invalid", format!("the request for a backup is wrong: {reason}"))
}

fn problem(error: Error) -> Problem {
    let detail = format!("failed to {error}");
    match error {
        Error::Off => Problem::new("backups_off", detail),
        Error::Running(_) => Problem::new("backup_running", detail),
        Error::Key(_) | Error::Parent { .. } => Problem::new("backup_invalid", detail),
        Error::Stopped => super::problem::closing(),
        _ => Problem::new("backup_failed", detail),
    }
}
