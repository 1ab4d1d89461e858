//! `/v1/clock`: the time that records get, and whether the wall clock is believed. An operator who made sure that it is right
//! confirms it here after an alarm.

use super::{
    call::Call,
    json,
    problem::Problem,
    routes::{Permission, Route, Verb, in_json, route},
    time,
};
use axum::routing;
use control::{audit::Deed, resources::Scope};
use journal::Clocks;
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// What to do about the alarm: in diagnostics of probes, too.
pub(super) const ADVICE: &str = "the wall clock is more than an hour ahead of the monotonic clock and is not followed: records get the \
    monotonic clock's time, and retention waits. Set the clock right, or say that it is right: trunkline clock confirm";

static CONFIRMING: Mutex<()> = Mutex::const_new(());

pub(super) const ROUTES: &[Route] = &[
    route(
        Verb::Get,
        "/v1/clock",
        "showClock",
        Permission::Installation(Scope::Read),
        |on| routing::on(on, show),
    )
    .summary("Show both clocks and whether there is an alarm")
    .gives(&[in_json(200, "Clock")]),
    route(
        Verb::Post,
        "/v1/clock:confirm",
        "confirmClock",
        Permission::Installation(Scope::Administer),
        |on| routing::on(on, confirm),
    )
    .summary("Say that the wall clock is right")
    .gives(&[in_json(200, "Clock")])
    .problems(&["clock_not_alarmed"]),
];

fn shown(clocks: Clocks) -> Value {
    json!({
        "append_time": time::text(clocks.append_time),
        "wall_time": time::text(clocks.wall_time),
        "alarm": clocks.alarm,
    })
}

async fn show(call: Call) -> json::Result {
    json::ok(&shown(call.state.journal.clocks()))
}

async fn confirm(call: Call) -> json::Result {
    // Of two who confirm it at once only one does.
    let _turn = CONFIRMING.lock().await;
    if call.state.journal.clocks().alarm {
        call.record(Deed::Confirmed, "clock", "", Value::Null).await?;
    }
    if !call.state.journal.confirm_clock() {
        let detail = "the wall clock is believed already: there is no alarm";
        return Err(Problem::new("clock_not_alarmed", detail));
    }
    json::ok(&shown(call.state.journal.clocks()))
}
