//! `/healthz` (the process answers) and `/readyz` (it should get traffic, and if not, why). Neither needs a key.

use super::{State, clock, json};
use axum::{Router, routing};
use http::StatusCode;
use serde_json::json;
use std::sync::Arc;

pub(super) const HEALTH: &str = "/healthz";
pub(super) const READY: &str = "/readyz";

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route(HEALTH, routing::get(healthy))
        .route(READY, routing::get(ready))
}

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
