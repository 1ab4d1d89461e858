//! `/v1/buses`, `/v1/keys` and what a bus owns: list, read, create or replace, delete, and dry runs of the latter two.

mod change;
mod connections;
mod keys;
pub(super) mod preview;
mod read;
mod subscriptions;

use super::{
    call::Call,
    problem::Problem,
    routes::{CURSOR, DRY_RUN, JSON, LIMIT, NO_CONTENT, Permission, Route, Verb, content, in_json, route},
};
use axum::{body::Body, routing};
use control::resources::{ResourceKind, Scope};

/// Which resource a request is about.
struct Target<'a> {
    kind: ResourceKind,
    /// Empty for buses and keys.
    bus: &'a str,
    name: &'a str,
}

impl<'a> Target<'a> {
    /// The resource of the path.
    fn of(call: &'a Call, kind: ResourceKind) -> Result<Target<'a>, Problem> {
        let name = match kind {
            ResourceKind::Bus => call.parameter("bus"),
            _ => call.parameter("name"),
        };
        let bus = if kind.is_of_a_bus() {
            call.bus()?.name.as_str()
        } else {
            ""
        };
        Ok(Target { kind, bus, name })
    }
}

/// The four rows of a kind: path of the collection, segment of an item, names, who may see the collection and an item, and who may
/// change an item.
macro_rules! rows {
    (
        $kind:ident, $collection:literal, $item:literal, $one:literal, $many:literal, $page:literal,
        $list:expr, $read:expr, $write:expr
    ) => {
        [
            route(Verb::Get, $collection, concat!("list", $many), $list, |on| {
                routing::on(on, async |call: Call| read::list(&call, ResourceKind::$kind))
            })
            .summary(concat!("List resources of the kind ", $one))
            .query(&[CURSOR, LIMIT])
            .gives(&[in_json(200, $page)])
            .problems(&["cursor_invalid"]),
            route(
                Verb::Get,
                concat!($collection, "/", $item),
                concat!("get", $one),
                $read,
                |on| routing::on(on, async |call: Call| read::one(&call, ResourceKind::$kind)),
            )
            .summary(concat!("Show a resource of the kind ", $one))
            .gives(&[in_json(200, $one)])
            .problems(&["resource_not_found"]),
            route(
                Verb::Put,
                concat!($collection, "/", $item),
                concat!("put", $one),
                $write,
                |on| {
                    routing::on(on, async |call: Call, body: Body| {
                        change::put(&call, ResourceKind::$kind, body).await
                    })
                },
            )
            .summary(concat!("Create or replace a resource of the kind ", $one))
            .query(&[DRY_RUN])
            .takes(&[content(JSON, $one)])
            .gives(&[in_json(200, $one), in_json(200, "Preview"), in_json(201, $one)])
            .problems(PUT_PROBLEMS),
            route(
                Verb::Delete,
                concat!($collection, "/", $item),
                concat!("delete", $one),
                $write,
                |on| routing::on(on, async |call: Call| change::delete(&call, ResourceKind::$kind).await),
            )
            .summary(concat!("Delete a resource of the kind ", $one))
            .query(&[DRY_RUN])
            .gives(&[NO_CONTENT, in_json(200, "Preview")])
            .problems(DELETE_PROBLEMS),
        ]
    };
}

const READ: Permission = Permission::Bus(Scope::Read);
const SUBSCRIBE: Permission = Permission::Bus(Scope::Subscribe);
const MANAGE: Permission = Permission::Bus(Scope::Manage);
const ADMINISTER: Permission = Permission::Installation(Scope::Administer);

/// What is wrong with a resource that is put.
const PUT_PROBLEMS: &[&str] = &[
    "already_exists",
    "field_unknown",
    "filter_invalid",
    "filter_not_json",
    "filter_too_complex",
    "fingerprint_unknown",
    "in_use",
    "limit_exceeded",
    "name_invalid",
    "precondition_invalid",
    "quota_exceeded",
    "resource_invalid",
    "resource_malformed",
    "resource_not_found",
    "secrets_unreadable",
    "store_failed",
    "transform_invalid",
    "types_invalid",
    "url_refused",
    "version_conflict",
];

/// What keeps a resource from being deleted.
const DELETE_PROBLEMS: &[&str] = &[
    "in_use",
    "name_invalid",
    "precondition_invalid",
    "resource_not_found",
    "store_failed",
    "version_conflict",
];

/// `/v1/buses`.
pub(super) const BUS_ROUTES: &[Route] = &rows!(
    Bus,
    "/v1/buses",
    "{bus}",
    "Bus",
    "Buses",
    "BusPage",
    Permission::AnyKey,
    READ,
    ADMINISTER
);

/// `/v1/keys`.
pub(super) const KEY_ROUTES: &[Route] = &rows!(
    Key, "/v1/keys", "{name}", "Key", "Keys", "KeyPage", ADMINISTER, ADMINISTER, ADMINISTER
);

/// `/v1/buses/{bus}/topics`.
pub(super) const TOPIC_ROUTES: &[Route] = &rows!(
    Topic,
    "/v1/buses/{bus}/topics",
    "{name}",
    "Topic",
    "Topics",
    "TopicPage",
    READ,
    READ,
    MANAGE
);

/// `/v1/buses/{bus}/event-types`.
pub(super) const EVENT_TYPE_ROUTES: &[Route] = &rows!(
    EventType,
    "/v1/buses/{bus}/event-types",
    "{name}",
    "EventType",
    "EventTypes",
    "EventTypePage",
    READ,
    READ,
    MANAGE
);

/// `/v1/buses/{bus}/connections`.
pub(super) const CONNECTION_ROUTES: &[Route] = &rows!(
    Connection,
    "/v1/buses/{bus}/connections",
    "{name}",
    "Connection",
    "Connections",
    "ConnectionPage",
    READ,
    READ,
    MANAGE
);

/// `/v1/buses/{bus}/subscriptions`.
pub(super) const SUBSCRIPTION_ROUTES: &[Route] = &rows!(
    Subscription,
    "/v1/buses/{bus}/subscriptions",
    "{name}",
    "Subscription",
    "Subscriptions",
    "SubscriptionPage",
    READ,
    READ,
    SUBSCRIBE
);

/// What else is done to keys.
pub(super) const KEY_VERB_ROUTES: &[Route] = keys::ROUTES;

/// What else is done to connections.
pub(super) const CONNECTION_VERB_ROUTES: &[Route] = connections::ROUTES;

/// What else is done to subscriptions.
pub(super) const SUBSCRIPTION_VERB_ROUTES: &[Route] = subscriptions::ROUTES;
