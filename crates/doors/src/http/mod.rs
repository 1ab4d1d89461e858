//! The HTTP door: routes, authentication, CloudEvents, resources, stories, dead letters, metrics and probes.
//!
//! Publishing is matched by hand before the router, because it is the hot path; everything else is an axum router, made from the
//! table in [`routes`], whose handlers take a [`call::Call`], which cannot be had without the permission of the row.

mod answer;
mod audit;
mod auth;
mod backups;
mod body;
mod budget;
mod call;
mod clock;
mod cloudevents;
pub mod config;
mod cors;
mod dead_letters;
pub mod errors;
mod event_data;
pub mod eventbridge;
mod eventgrid;
mod json;
mod looks;
mod master_key;
pub mod metrics;
mod numbered;
pub mod openapi;
mod operations;
mod page;
mod patterns;
mod probes;
pub mod problem;
mod query;
mod redrives;
mod replays;
mod resources;
pub mod routes;
mod show;
mod story;
mod tail;
mod time;
mod transforms;
mod validations;

pub use answer::{Answer, AnswerBody};
pub use auth::Peer;
pub use cors::{OriginInvalid, Origins};
pub use operations::Operations;

use crate::server::{Drain, HEADERS_MAX};
use axum::Router;
use budget::{BODIES_BYTES_MAX, Budget};
use control::{Rules, seal::Sealer, usage::Holder};
use delivery::{ConnectionTester, Core, Validations};
use http::{Method, Request, StatusCode, Version, header, request::Parts};
use http_body_util::Either;
use hyper::body::Incoming;
use journal::Journal;
use percent_encoding::percent_decode_str;
use problem::Problem;
use show::{answer_event, raw_event};
use std::{borrow::Cow, convert::Infallible, net::SocketAddr, sync::Arc};
use tower::Service as _;

/// What the door needs; made by the wiring.
pub struct DoorParts {
    /// The core behind it.
    pub core: Core,
    /// The journal, for its clock.
    pub journal: Arc<dyn Journal>,
    /// Makes the fingerprints of secrets on their way out.
    pub sealer: Sealer,
    /// The rules of this installation, for dry runs.
    pub rules: Rules,
    /// What an operator does to the whole server.
    pub operations: Operations,
    /// Tries connections.
    pub tester: ConnectionTester,
    /// How the EventBridge door is set up.
    pub eventbridge: eventbridge::EventBridge,
    /// What webhooks said that are asked first.
    pub validations: Validations,
}

/// The HTTP door: turns a request into an answer. Cheap to clone.
#[derive(Clone)]
pub struct Door(Arc<Routes>);

struct Routes {
    state: Arc<State>,
    router: Router,
    origins: Origins,
    serves: Serves,
}

/// What an address answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Serves {
    Everything,
    /// EventBridge's protocol, and the probes.
    EventBridge,
}

impl Serves {
    /// Whether it answers this path, which is not EventBridge's.
    fn answers(self, path: &str) -> bool {
        self == Serves::Everything || matches!(path, probes::HEALTH | probes::READY)
    }
}

/// What handlers share.
struct State {
    core: Core,
    journal: Arc<dyn Journal>,
    sealer: Sealer,
    rules: Rules,
    operations: Operations,
    tester: ConnectionTester,
    validations: Validations,
    bodies: Budget,
    eventbridge: eventbridge::Kept,
    tails: tail::Slots,
    looks: looks::Looks,
    event_grid_keys: eventgrid::Keyring,
}

impl State {
    /// A key was used: now and then that is saved, beside the request.
    fn note_use(&self, principal: &control::Principal) {
        if let Some(key) = principal.key()
            && let Some(at) = key.used.take_due()
        {
            self.core.save_key_use(&key.id, at);
        }
    }
}

/// Counts the connection of a request for its key and its bus.
fn hold(holder: &Holder, principal: &control::Principal, bus: Option<&Arc<control::Bus>>) -> Result<(), Problem> {
    if let Some(key) = principal.key() {
        holder.hold_key(&key.usage, &key.spec.quotas)?;
    }
    if let Some(bus) = bus {
        holder.hold_bus(&bus.usage, &bus.spec.quotas)?;
    }
    Ok(())
}

impl Door {
    /// A door to the core.
    pub fn new(parts: DoorParts) -> Door {
        let DoorParts {
            core,
            journal,
            sealer,
            rules,
            operations,
            tester,
            eventbridge,
            validations,
        } = parts;
        let state = Arc::new(State {
            core,
            journal,
            sealer,
            rules,
            operations,
            tester,
            validations,
            bodies: Budget::new(BODIES_BYTES_MAX),
            eventbridge: eventbridge::Kept::new(eventbridge),
            tails: tail::Slots::default(),
            looks: looks::Looks::default(),
            event_grid_keys: eventgrid::Keyring::default(),
        });
        Door(Arc::new(Routes {
            router: routes::router(state.clone()),
            state,
            origins: Origins::default(),
            serves: Serves::Everything,
        }))
    }

    /// The same door, answering pages of these origins as well, once there are keys.
    pub fn allowing(self, origins: Origins) -> Door {
        let Routes {
            state, router, serves, ..
        } = &*self.0;
        Door(Arc::new(Routes {
            state: state.clone(),
            router: router.clone(),
            origins,
            serves: *serves,
        }))
    }

    /// The same door as an address has it that is for EventBridge's protocol alone.
    pub fn eventbridge_alone(self) -> Door {
        Door(Arc::new(Routes {
            state: self.0.state.clone(),
            router: self.0.router.clone(),
            origins: Origins::default(),
            serves: Serves::EventBridge,
        }))
    }

    /// Answers a request. Never fails: every error is a problem.
    pub async fn answer(
        self,
        request: Request<Incoming>,
        peer: SocketAddr,
        drain: Drain,
        holder: Arc<Holder>,
    ) -> Result<Answer, Infallible> {
        let _in_flight = drain.enter();
        let version = request.version();
        let (mut head, body) = request.into_parts();
        let origin = self.page_of(&head).cloned();
        let event_grid = eventgrid::place(&head);
        let mut answer = match admit(&head, &drain) {
            Err(problem) if event_grid.is_some() => eventgrid::refused(&problem),
            Err(problem) if eventbridge::is_for(&head) => eventbridge::refuse(problem),
            Err(problem) => problem.into_answer(),
            Ok(()) if origin.is_some() && cors::is_preflight(&head) => cors::preflight(&head),
            Ok(()) if eventbridge::is_for(&head) => {
                eventbridge::answer(&self.0.state, head, body, Peer(peer), &holder).await
            }
            Ok(()) if !self.0.serves.answers(head.uri.path()) => {
                nothing_at(&head.method, head.uri.path()).into_answer()
            }
            Ok(()) if let Some(place) = &event_grid => {
                eventgrid::answer(&self.0.state, place, head, body, Peer(peer), &holder).await
            }
            Ok(()) => match publishing(&head) {
                Some(bus) => {
                    let bus = bus.into_owned();
                    let published =
                        cloudevents::publish(&self.0.state, &bus, &mut head, body, Peer(peer), &holder).await;
                    published.unwrap_or_else(Problem::into_answer)
                }
                None => {
                    head.extensions.insert(Peer(peer));
                    head.extensions.insert(drain.clone());
                    head.extensions.insert(holder);
                    self.routed(Request::from_parts(head, body)).await
                }
            },
        };
        if let Some(origin) = origin {
            cors::allow(&mut answer, origin);
        }
        if version == Version::HTTP_2 {
            // HTTP/2 says the same by GOAWAY and forbids the header.
            answer.headers_mut().remove(header::CONNECTION);
        }
        Ok(answer)
    }

    /// The origin of the page that asks, if it is answered: without keys, none is.
    fn page_of<'h>(&self, head: &'h Parts) -> Option<&'h http::HeaderValue> {
        let origin = self.0.origins.allowed(&head.headers)?;
        (!self.0.state.core.model().keys.is_empty()).then_some(origin)
    }

    async fn routed(&self, mut request: Request<Incoming>) -> Answer {
        match routes::inward(request.method(), request.uri()) {
            Ok(Some(uri)) => *request.uri_mut() = uri,
            Ok(None) => {}
            Err(problem) => return problem.into_answer(),
        }
        let Ok(response) = self.0.router.clone().call(request.map(axum::body::Body::new)).await;
        response.map(Either::Right)
    }
}

fn admit(head: &Parts, drain: &Drain) -> Result<(), Problem> {
    if head.headers.len() > HEADERS_MAX {
        let detail = format!(
            "the request has {} headers; the limit is {HEADERS_MAX}",
            head.headers.len()
        );
        return Err(Problem::new("request_too_many_headers", detail));
    }
    let stays = matches!(head.uri.path(), probes::HEALTH | probes::READY | metrics::PATH);
    if drain.is_draining() && !stays {
        Err(problem::closing())
    } else {
        Ok(())
    }
}

/// The bus that a request publishes to, if that is what it does.
fn publishing(head: &Parts) -> Option<Cow<'_, str>> {
    if head.method != Method::POST {
        return None;
    }
    let path = head.uri.path();
    let bus = path
        .strip_prefix(cloudevents::BEFORE_BUS)?
        .strip_suffix(cloudevents::BEHIND_BUS)?;
    let is_name = !bus.is_empty() && !bus.contains('/');
    percent_decode_str(bus).decode_utf8().ok().filter(|_| is_name)
}

fn nothing_at(method: &Method, path: &str) -> Problem {
    Problem::new(
        "not_found",
        format!("there is nothing for {method} at {:?}", shown(path)),
    )
}

/// Text from outside, cut so that a message stays short; `{:?}` escapes what it holds.
fn shown(text: &str) -> &str {
    /// Enough to recognise a name by.
    const SHOWN_BYTES_MAX: usize = 100;
    &text[..text.floor_char_boundary(SHOWN_BYTES_MAX)]
}

/// The status of a created or a changed thing.
fn put_status(created: bool) -> StatusCode {
    if created { StatusCode::CREATED } else { StatusCode::OK }
}
