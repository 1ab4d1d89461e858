//! `GET /v1/validations/{code}`: somebody opens the address of a validation, and with it says yes for a webhook that does not
//! answer validations by itself. The code is the key: whoever has it was given it by the webhook.

use super::{
    State, auth, json,
    problem::Problem,
    routes::{Permission, Route, Verb, in_json, route},
    time,
};
use axum::{
    extract::{self, Path},
    routing,
};
use delivery::{Validation, ValidationState};
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) const ROUTES: &[Route] = &[route(
    Verb::Get,
    "/v1/validations/{code}",
    "confirmValidation",
    Permission::Open,
    |on| routing::on(on, confirm),
)
.summary("Say yes for a webhook, at the address that its validation gave")
.gives(&[in_json(200, "ValidationConfirmed")])
.problems(&["not_found", "store_failed"])];

/// No key is asked for, so that it takes no call.
async fn confirm(extract::State(state): extract::State<Arc<State>>, Path(code): Path<String>) -> json::Result {
    let seconds = auth::now() / 1_000;
    match state.validations.opened(&code, seconds).await {
        Ok(true) => json::ok(&json!({"validated": true})),
        Ok(false) => Err(Problem::new(
            "not_found",
            "there is no such validation, or its time is over: the webhook is asked again when events wait for it",
        )),
        Err(error) => Err(Problem::new("store_failed", error)),
    }
}

/// As a subscription's status has it.
pub(super) fn describe(validation: &Validation) -> Value {
    let state = match validation.state {
        ValidationState::AwaitingManualAction => "awaiting-manual-action",
        ValidationState::Succeeded => "succeeded",
        ValidationState::Failed => "failed",
    };
    let mut value = json!({"state": state});
    if !validation.reason.is_empty() {
        value["reason"] = validation.reason.as_str().into();
    }
    if let Some(ends) = validation.address_ends {
        value["address_ends"] = time::text(ends.saturating_mul(1_000)).into();
    }
    value
}
