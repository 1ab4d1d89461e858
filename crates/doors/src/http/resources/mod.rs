//! `/v1/buses`, `/v1/keys` and what a bus owns: list, read, create or replace, delete, and dry runs of the latter two.

mod change;
mod read;
mod subscriptions;

use super::{State, call::Call, problem::Problem};
use axum::{
    Router,
    body::Body,
    routing::{self, MethodRouter},
};
use control::resources::ResourceKind;
use std::sync::Arc;

/// Which resource a request is about.
struct Target<'a> {
    kind: ResourceKind,
    /// Empty for buses and keys.
    bus: &'a str,
    name: &'a str,
}

impl<'a> Target<'a> {
    /// The resource of the path, once the caller may manage it.
    fn of(call: &'a Call, kind: ResourceKind) -> Result<Target<'a>, Problem> {
        let name = match kind {
            ResourceKind::Bus => call.parameter("bus"),
            _ => call.parameter("name"),
        };
        match kind {
            ResourceKind::Bus | ResourceKind::Key => call.manage_installation()?,
            _ => drop(call.bus()?),
        }
        let bus = if kind.is_of_a_bus() { call.parameter("bus") } else { "" };
        Ok(Target { kind, bus, name })
    }
}

pub(super) fn routes() -> Router<Arc<State>> {
    let router = Router::new()
        .route("/v1/buses", collection(ResourceKind::Bus))
        .route("/v1/buses/{bus}", item(ResourceKind::Bus))
        .route("/v1/keys", collection(ResourceKind::Key))
        .route("/v1/keys/{name}", item(ResourceKind::Key));
    let owned = [
        ("event-types", ResourceKind::EventType),
        ("topics", ResourceKind::Topic),
        ("connections", ResourceKind::Connection),
    ];
    let router = owned.into_iter().fold(router, |router, (segment, kind)| {
        router
            .route(&format!("/v1/buses/{{bus}}/{segment}"), collection(kind))
            .route(&format!("/v1/buses/{{bus}}/{segment}/{{name}}"), item(kind))
    });
    let kind = ResourceKind::Subscription;
    router.route("/v1/buses/{bus}/subscriptions", collection(kind)).route(
        "/v1/buses/{bus}/subscriptions/{name}",
        item(kind).post(subscriptions::act),
    )
}

fn collection(kind: ResourceKind) -> MethodRouter<Arc<State>> {
    routing::get(move |call: Call| async move { read::list(&call, kind) })
}

fn item(kind: ResourceKind) -> MethodRouter<Arc<State>> {
    routing::get(move |call: Call| async move { read::one(&call, kind) })
        .put(move |call: Call, body: Body| async move { change::put(&call, kind, body).await })
        .delete(move |call: Call| async move { change::delete(&call, kind).await })
}
