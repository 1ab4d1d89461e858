//! `/healthz` (the process answers) and `/readyz` (it should get traffic, and if not, why). Neither needs a key.

use super::{
    State, clock, json,
    routes::{Permission, Route, Verb, in_json, route},
};
use axum::routing;
use http::StatusCode;
use serde_json::json;
use std::sync::Arc;

pub(super) const HEALTH: &str = "/healthz";
pub(super) const READY: &str = "/readyz";

pub(super) const ROUTES: &[Route] = &[
    route(Verb::Get, HEALTH, "health", Permission::Open, |on| {
        routing::on(on, healthy)
    })
    .summary("Whether the process answers")
    .gives(&[in_json(200, "Health")]),
    route(Verb::Get, READY, "readiness", Permission::Open, |on| {
        routing::on(on, ready)
    })
    .summary("Whether it should get traffic, and if not, why")
    .gives(&[in_json(200, "Readiness"), in_json(503, "Readiness")]),
];

async fn healthy() -> json::Result {
    json::ok(&json!({"status": "ok"}))
}

async fn ready(axum::extract::State(state): axum::extract::State<Arc<State>>) -> json::Result {
    match state.core.readiness() {
        Ok(()) if state.journal.clocks().alarm => json::ok(&json!({"status": "ready", "warnings": [clock::ADVICE]})),
        Ok(()) => json::ok(&json!({"status": "ready"})),
        Err(reason) => json::answer(
            StatusCode::SERVICE_UNAVAILABLE,
            &json!({"status": "not-ready", "reason": reason}),
        ),
    }
}
