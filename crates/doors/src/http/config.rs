//! `/v1/config:reload`: the server reads its configuration again. What is in it is not shown here, and nobody changes it from
//! here: it is the operator's, on the machine.

use super::{
    call::Call,
    json,
    problem::Problem,
    routes::{Permission, Route, Verb, in_json, route},
};
use axum::routing;
use control::{audit::Deed, resources::Scope};
use serde_json::{Value, json};
use std::{future::Future, pin::Pin, sync::Arc};

/// Reads the configuration again: what changed, or why everything stays as it was.
pub type Reload = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Reloaded, String>> + Send>> + Send + Sync>;

/// What a reload changed: the keys of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// In force from now on.
    pub applied: Vec<String>,
    /// In force after the next start.
    pub restart_needed: Vec<String>,
}

pub(super) const ROUTES: &[Route] = &[route(
    Verb::Post,
    "/v1/config:reload",
    "reloadConfig",
    Permission::Installation(Scope::Administer),
    |on| routing::on(on, reload),
)
.summary("Read the configuration again")
.gives(&[in_json(200, "Reloaded")])
.problems(&["config_invalid", "store_failed"])];

async fn reload(call: Call) -> json::Result {
    call.record(Deed::Reloaded, "configuration", "", Value::Null).await?;
    match (call.state.operations.reload)().await {
        Ok(reloaded) => json::ok(&json!({
            "applied": reloaded.applied,
            "restart_needed": reloaded.restart_needed,
        })),
        Err(reason) => Err(Problem::new(
            "config_invalid",
            format!("everything stays as it was: {reason}"),
        )),
    }
}
