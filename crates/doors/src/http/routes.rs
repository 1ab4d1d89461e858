//! The one table of routes: the router, what a request must be allowed to do, its query parameters and the OpenAPI document all
//! come from it, so that no route exists outside of it.
//!
//! To add a route, write its row next to its handler, in the module's `ROUTES`:
//!
//! ```ignore
//! pub(super) const ROUTES: &[Route] = &[
//!     route(Verb::Get, "/v1/clock", "showClock", Permission::Installation(Scope::Read), |on| routing::on(on, show))
//!         .summary("Show both clocks")
//!         .gives(&[in_json(200, "Clock")]),
//! ];
//! ```
//!
//! and, for a new module, add a [`Group`] to [`GROUPS`]. The handler takes a [`Call`](super::call::Call): having one means that the
//! caller was authenticated, has the row's permission, and gave no query parameter but the row's. A path may end in a verb behind a
//! parameter (`…/{name}:pause`). Schemas are named here and defined in `openapi/schemas.rs`. What every route can answer by its shape
//! (a missing key, a body that is too large, a bus that does not exist) is not repeated in the row.
//!
//! What is deliberately not here: what handlers do.

use super::{
    State, audit, backups, clock, cloudevents, config, dead_letters, errors, event_data, eventbridge, eventgrid,
    master_key, metrics, openapi, patterns, probes, problem::Problem, redrives, replays, resources, story, tail,
    transforms, validations,
};
use axum::{
    Extension, Router,
    routing::{MethodFilter, MethodRouter},
};
use control::resources::Scope;
use http::{Method, Uri, uri::PathAndQuery};
use std::{collections::BTreeMap, sync::Arc};

/// What is done at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// `GET`, and `HEAD` with it.
    Get,
    /// `PUT`.
    Put,
    /// `POST`.
    Post,
    /// `DELETE`.
    Delete,
    /// `OPTIONS`, where it is more than CORS.
    Options,
}

impl Verb {
    /// As a request has it.
    pub fn method(self) -> Method {
        match self {
            Verb::Get => Method::GET,
            Verb::Put => Method::PUT,
            Verb::Post => Method::POST,
            Verb::Delete => Method::DELETE,
            Verb::Options => Method::OPTIONS,
        }
    }

    fn filter(self) -> MethodFilter {
        match self {
            Verb::Get => MethodFilter::GET,
            Verb::Put => MethodFilter::PUT,
            Verb::Post => MethodFilter::POST,
            Verb::Delete => MethodFilter::DELETE,
            Verb::Options => MethodFilter::OPTIONS,
        }
    }
}

/// What a caller must be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Nothing: no key is asked for.
    Open,
    /// Any key in force; the answer shows only what that key may see.
    AnyKey,
    /// A scope in the bus of the path's `{bus}`.
    Bus(Scope),
    /// A scope in the bus `default`.
    DefaultBus(Scope),
    /// A scope in all buses.
    Installation(Scope),
    /// A signature of AWS's kind, and what the operation in the request asks for (`eventbridge::OPERATIONS`). Such a row is no part of
    /// the OpenAPI document: AWS's own model describes it.
    Signed,
}

/// What a query parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Any text.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number in these bounds.
    Number(u64, u64),
    /// A time of RFC 3339.
    Time,
}

/// A query parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it does: a sentence.
    pub about: &'static str,
    /// What it takes.
    pub takes: Takes,
}

/// A query parameter of a row.
pub(super) const fn parameter(name: &'static str, takes: Takes, about: &'static str) -> Parameter {
    Parameter { name, about, takes }
}

/// Where a page goes on.
pub(super) const CURSOR: Parameter = parameter("cursor", Takes::Text, "`next` of the page before, as it was given.");
/// How long a page is.
pub(super) const LIMIT: Parameter = parameter(
    "limit",
    Takes::Number(1, super::query::LIMIT_MAX as u64),
    "How many items a page has at most.",
);
/// A change that is only looked at.
pub(super) const DRY_RUN: Parameter =
    parameter("dry_run", Takes::Flag, "Answer what would change, and change nothing.");

/// The form of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its media type.
    pub media_type: &'static str,
    /// The name of its schema among the components of the document.
    pub schema: &'static str,
}

/// A body.
pub(super) const fn content(media_type: &'static str, schema: &'static str) -> Content {
    Content { media_type, schema }
}

/// JSON of a schema.
pub(super) const JSON: &str = "application/json";

/// An answer that is no problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gives {
    /// The status.
    pub status: u16,
    /// The body, where there is one.
    pub content: Option<Content>,
}

/// An answer in JSON.
pub(super) const fn in_json(status: u16, schema: &'static str) -> Gives {
    Gives {
        status,
        content: Some(content(JSON, schema)),
    }
}

/// 204 without a body.
pub(super) const NO_CONTENT: Gives = Gives {
    status: 204,
    content: None,
};

/// Puts a handler behind the row's method: `|on| routing::on(on, handler)`.
pub(super) type Serve = fn(MethodFilter) -> MethodRouter<Arc<State>>;

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The method.
    pub verb: Verb,
    /// The path, with parameters in braces.
    pub path: &'static str,
    /// The operation's id: unique, in camel case, for generated clients.
    pub id: &'static str,
    /// What the caller must be allowed to do.
    pub permission: Permission,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// The query parameters: others are refused.
    pub query: &'static [Parameter],
    /// The forms of the body that it takes.
    pub takes: &'static [Content],
    /// Its answers.
    pub gives: &'static [Gives],
    /// Codes of the problems of its own.
    pub problems: &'static [&'static str],
    /// The schema of its errors, in JSON, where they have the form of another service's.
    pub errors_as: Option<&'static str>,
    serve: Serve,
}

/// A row with what every row has.
pub(super) const fn route(
    verb: Verb,
    path: &'static str,
    id: &'static str,
    permission: Permission,
    serve: Serve,
) -> Route {
    Route {
        verb,
        path,
        id,
        permission,
        summary: "",
        query: &[],
        takes: &[],
        gives: &[],
        problems: &[],
        errors_as: None,
        serve,
    }
}

impl Route {
    /// What it does, in a few words.
    pub(super) const fn summary(self, summary: &'static str) -> Route {
        Route { summary, ..self }
    }

    /// Its query parameters.
    pub(super) const fn query(self, query: &'static [Parameter]) -> Route {
        Route { query, ..self }
    }

    /// The forms of the body that it takes.
    pub(super) const fn takes(self, takes: &'static [Content]) -> Route {
        Route { takes, ..self }
    }

    /// Its answers.
    pub(super) const fn gives(self, gives: &'static [Gives]) -> Route {
        Route { gives, ..self }
    }

    /// Codes of the problems of its own.
    pub(super) const fn problems(self, problems: &'static [&'static str]) -> Route {
        Route { problems, ..self }
    }

    /// Its errors have the form of another service's.
    pub(super) const fn errors_as(self, schema: &'static str) -> Route {
        Route {
            errors_as: Some(schema),
            ..self
        }
    }

    /// The path up to a verb behind its last parameter, and the verb with its colon.
    fn split(&self) -> Option<(&'static str, &'static str)> {
        let at = self.path.rfind("}:")? + 1;
        Some(self.path.split_at(at))
    }
}

/// The routes of one module.
pub struct Group {
    /// What they are about: the tag of the document.
    pub name: &'static str,
    /// The same in a sentence.
    pub about: &'static str,
    /// Its rows.
    pub routes: &'static [Route],
}

const fn group(name: &'static str, about: &'static str, routes: &'static [Route]) -> Group {
    Group { name, about, routes }
}

/// Every module with routes, in the order of the document.
pub static GROUPS: &[Group] = &[
    group("publish", "Events on their way in.", cloudevents::ROUTES),
    group("EventBridge", "Amazon EventBridge's own protocol.", eventbridge::ROUTES),
    group("event grid", "Events of Azure Event Grid's clients.", eventgrid::ROUTES),
    group("buses", "Tenants.", resources::BUS_ROUTES),
    group("keys", "Who may do what.", resources::KEY_ROUTES),
    group("keys", "Rotating.", resources::KEY_VERB_ROUTES),
    group("topics", "What holds events, and how long.", resources::TOPIC_ROUTES),
    group(
        "event types",
        "What types of events there are.",
        resources::EVENT_TYPE_ROUTES,
    ),
    group(
        "connections",
        "How providers are reached.",
        resources::CONNECTION_ROUTES,
    ),
    group("connections", "Trying them.", resources::CONNECTION_VERB_ROUTES),
    group(
        "subscriptions",
        "Which events go where.",
        resources::SUBSCRIPTION_ROUTES,
    ),
    group(
        "subscriptions",
        "Pausing and resuming.",
        resources::SUBSCRIPTION_VERB_ROUTES,
    ),
    group(
        "subscriptions",
        "Saying yes for a webhook that is asked as Event Grid asks.",
        validations::ROUTES,
    ),
    group("resources", "Several at once.", resources::preview::ROUTES),
    group("events", "Where an event is and what became of it.", story::ROUTES),
    group("events", "What an event holds.", event_data::ROUTES),
    group("events", "Events as they come.", tail::ROUTES),
    group("filters", "Filters, asked without delivering.", patterns::ROUTES),
    group(
        "transforms",
        "Transforms, asked without delivering.",
        transforms::ROUTES,
    ),
    group("dead letters", "Deliveries that were given up.", dead_letters::ROUTES),
    group(
        "dead letters",
        "Another event in their place.",
        dead_letters::edit::ROUTES,
    ),
    group(
        "dead letters",
        "Out of an installation, into another.",
        dead_letters::transfer::ROUTES,
    ),
    group("redrives", "Many dead letters, sent out again.", redrives::ROUTES),
    group("audit", "Who did what.", audit::ROUTES),
    group("replays", "Past events, delivered once more.", replays::ROUTES),
    group("clock", "The time that records get.", clock::ROUTES),
    group("master key", "What seals secrets.", master_key::ROUTES),
    group("backups", "Copies of everything durable.", backups::ROUTES),
    group("configuration", "What the operator says.", config::ROUTES),
    group("watching", "Probes and metrics.", probes::ROUTES),
    group("metrics", "Numbers for a collector.", metrics::ROUTES),
    group("documentation", "This document.", openapi::ROUTES),
    group("documentation", "What the answers mean.", errors::ROUTES),
];

/// Every row.
pub fn all() -> impl Iterator<Item = &'static Route> {
    GROUPS.iter().flat_map(|group| group.routes)
}

/// The router of the table, with what answers where no row does.
pub(super) fn router(state: Arc<State>) -> Router {
    let mut paths = BTreeMap::<String, MethodRouter<Arc<State>>>::new();
    for row in all() {
        let served = (row.serve)(row.verb.filter()).layer(Extension(row));
        let path = row
            .split()
            .map_or_else(|| row.path.to_owned(), |(path, verb)| inner_path(path, verb));
        let of_path = paths.remove(&path).unwrap_or_default();
        paths.insert(path, of_path.merge(served));
    }
    let router = paths
        .into_iter()
        .fold(Router::new(), |router, (path, served)| router.route(&path, served));
    router
        .fallback(async |method: Method, uri: Uri| super::nothing_at(&method, uri.path()))
        .method_not_allowed_fallback(async |method: Method| {
            Problem::new(
                "method_not_allowed",
                format!("method {method} is not allowed here; the header Allow lists those that are"),
            )
        })
        .with_state(state)
}

/// A verb behind a parameter, as the router can match it. No request has such a path: [`inward`] alone makes them.
fn inner_path(path: &str, verb: &str) -> String {
    format!("{path}/{VERB}{}", &verb[1..])
}

/// Begins the segment that a verb becomes.
const VERB: &str = "~";

/// The address that the router matches, if it is another one: a verb behind a parameter becomes a segment of its own.
pub(super) fn inward(method: &Method, uri: &Uri) -> Result<Option<Uri>, Problem> {
    if method != Method::POST {
        return Ok(None);
    }
    for (path, verb) in all().filter_map(Route::split) {
        if is_of(&inner_path(path, verb), uri.path()) {
            return Err(super::nothing_at(method, uri.path()));
        }
        let subject = without_verb(uri.path(), &verb[1..]).filter(|subject| is_of(path, subject));
        if let Some(subject) = subject {
            return Ok(with_path(uri, inner_path(subject, verb)));
        }
    }
    Ok(None)
}

fn with_path(uri: &Uri, mut path: String) -> Option<Uri> {
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
    Uri::from_parts(parts).ok()
}

/// A path without the verb at its end, whose colon may be percent-encoded.
fn without_verb<'p>(path: &'p str, verb: &str) -> Option<&'p str> {
    let path = path.strip_suffix(verb)?;
    let colons = [":", "%3A", "%3a"];
    let subject = colons.iter().find_map(|colon| path.strip_suffix(colon))?;
    (!subject.ends_with('/')).then_some(subject)
}

/// Whether a path has the segments of a row.
fn is_of(row: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (row.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted == given || (wanted.starts_with('{') && !given.is_empty()) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_row_is_whole_and_stands_once() {
        let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
        for row in all() {
            let Route { id, path, summary, .. } = row;
            assert!(ids.insert(*id), "{id} stands twice");
            assert!(places.insert((row.verb, *path)), "{path} stands twice");
            assert!(
                !summary.is_empty() && !summary.ends_with('.'),
                "{id} says what it does in a few words"
            );
            assert!(!row.gives.is_empty(), "{id} has an answer");
            let has_bus = path.contains("{bus}");
            assert!(
                !matches!(row.permission, Permission::Bus(_)) || has_bus,
                "{id} is of a bus"
            );
            for code in row.problems {
                assert!(errors::find(code).is_some(), "{id}: {code} is in the table of errors");
            }
        }
    }

    #[test]
    fn what_is_matched_by_hand_is_the_row_of_publishing_and_no_other() {
        for row in all() {
            let path = row
                .path
                .replace("{bus}", "b1")
                .replace("{name}", "n")
                .replace("{id}", "i");
            let (head, ()) = http::Request::builder()
                .method(row.verb.method())
                .uri(path.as_str())
                .body(())
                .expect("a request")
                .into_parts();
            let by_hand = super::super::publishing(&head);
            assert_eq!(by_hand.as_deref(), (row.id == "publish").then_some("b1"), "{path}");
        }
    }

    #[test]
    fn a_verb_is_found_behind_the_parameter_of_its_own_row_only() {
        let of = |path: &str| {
            let inner = inward(&Method::POST, &path.parse().expect("a URI")).ok()?;
            Some(inner.map_or_else(|| path.to_owned(), |uri| uri.to_string()))
        };
        for (given, wanted) in [
            (
                "/v1/buses/b/subscriptions/x:pause",
                "/v1/buses/b/subscriptions/x/~pause",
            ),
            (
                "/v1/buses/b/subscriptions/x%3apause?a=1",
                "/v1/buses/b/subscriptions/x/~pause?a=1",
            ),
            (
                "/v1/buses/b/subscriptions/x:y:resume",
                "/v1/buses/b/subscriptions/x:y/~resume",
            ),
            ("/v1/buses/b/subscriptions/:pause", "/v1/buses/b/subscriptions/:pause"),
            ("/v1/buses/b/topics/x:pause", "/v1/buses/b/topics/x:pause"),
            ("/v1/buses/b/patterns:test", "/v1/buses/b/patterns:test"),
        ] {
            assert_eq!(of(given).as_deref(), Some(wanted), "{given}");
        }
        assert_eq!(of("/v1/buses/b/subscriptions/x/~pause"), None);
    }
}
