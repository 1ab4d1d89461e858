//! `/v1/clock`: the time that records get, and whether the wall clock is believed. An operator who made sure that it is right
//! confirms it here after an alarm.

use super::{State, call::Call, json, problem::Problem, time};
use axum::{Router, routing};
use journal::Clocks;
use serde_json::{Value, json};
use std::sync::Arc;

/// What to do about the alarm: in diagnostics of probes, too.
pub(super) const ADVICE: &str = "the wall clock is more than an hour ahead of the monotonic clock and is not followed: records get the \
    monotonic clock's time, and retention waits. Set the clock right, or say that it is right: trunkline clock confirm";

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/v1/clock", routing::get(show))
        .route("/v1/clock:confirm", routing::post(confirm))
}

fn shown(clocks: Clocks) -> Value {
    json!({
        "append_time": time::text(clocks.append_time),
        "wall_time": time::text(clocks.wall_time),
        "alarm": clocks.alarm,
    })
}

async fn show(call: Call) -> json::Result {
    call.manage_installation()?;
    call.query(&[])?;
    json::ok(&shown(call.state.journal.clocks()))
}

async fn confirm(call: Call) -> json::Result {
    call.manage_installation()?;
    call.query(&[])?;
    if !call.state.journal.confirm_clock() {
        let detail = "the wall clock is believed already: there is no alarm";
        return Err(Problem::new("clock_not_alarmed", detail));
    }
    json::ok(&shown(call.state.journal.clocks()))
}
