//! What connections have beyond other resources: trying one.

use super::Target;
use crate::http::{
    call::Call,
    json,
    problem::Problem,
    query,
    routes::{Permission, Route, Takes, Verb, in_json, parameter, route},
};
use axum::routing;
use control::{
    Connection, Refusal,
    audit::Deed,
    resources::{ResourceKind, Scope},
};
use delivery::{ConnectionTest, TestReport, TestStep};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::Semaphore;

/// Tests under way at once: each may wait for a minute for somebody else's server.
const TESTS_MAX: usize = 16;
static TESTS: Semaphore = Semaphore::const_new(TESTS_MAX);

pub(super) const ROUTES: &[Route] = &[route(
    Verb::Post,
    "/v1/buses/{bus}/connections/{name}:test",
    "testConnection",
    Permission::Bus(Scope::Manage),
    |on| routing::on(on, test),
)
.summary("Try a connection with one harmless request, and say what is wrong")
.query(&[parameter(
    "with",
    Takes::Text,
    "What to send: `head` (the default), `options`, or `event`: an event of Trunkline's own, signed.",
)])
.gives(&[in_json(200, "ConnectionTest")])
.problems(&["resource_not_found", "secrets_unreadable", "store_failed"])];

async fn test(call: Call) -> json::Result {
    let target = Target::of(&call, ResourceKind::Connection)?;
    let how = match call.query()?.text("with") {
        None => ConnectionTest::default(),
        Some(text) => text
            .parse()
            .map_err(|()| query::wrong("parameter \"with\" must be head, options or event".to_owned()))?,
    };
    let bus = call.bus()?;
    let found = bus.connections.get(target.name);
    let missing = || {
        let detail = format!("connection {:?} does not exist", crate::http::shown(target.name));
        Problem::new("resource_not_found", detail)
    };
    let connection = found.ok_or_else(missing)?;
    let mut spec = call.state.sealer.open_connection(connection).map_err(Refusal::from)?;
    bus.spec.eventbridge.fill(&mut spec);
    let opened = Connection {
        spec,
        ..Connection::clone(connection)
    };
    call.record(
        Deed::Tested,
        "connection",
        target.name,
        json!({"with": how.to_string()}),
    )
    .await?;
    let _turn = TESTS.acquire().await;
    let report = (call.state.tester)(opened, how, unix_seconds()).await;
    json::ok(&described(&report))
}

fn described(report: &TestReport) -> Value {
    let step = |step: &TestStep| {
        let mut value = json!({"step": step.name, "ok": step.is_good(), "detail": step.detail});
        if !step.is_good() {
            value["code"] = step.code.as_str().into();
        }
        value
    };
    json!({
        "ok": report.is_good(),
        "status": report.status,
        "steps": report.steps.iter().map(step).collect::<Vec<_>>(),
    })
}

fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |elapsed| elapsed.as_secs().cast_signed())
}
