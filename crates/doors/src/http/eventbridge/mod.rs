//! The EventBridge door: `POST /` with `X-Amz-Target: AWSEvents.*`, AWS JSON 1.1, signed with Signature Version 4. Its operations are
//! views of what `/v1` shows: one model, two doors.
//!
//! A request goes through [`answer`]: its claim is read and the key found before the body is, the signature is verified over the
//! bytes that came, and then the operation is looked up in the one table of [`operations`]. Publishing is carried out at once, since
//! it is the hot path; every other operation gets an [`Asked`](asked::Asked).
//!
//! Deliberately not here: protocols other than AWS JSON 1.1 (the v2 service speaks CBOR, and is refused in it); a server without keys
//! verifies nothing, as everywhere, and answers its own machine alone.

mod asked;
mod fault;
mod identity;
mod manage;
mod names;
pub mod operations;
mod put_events;
mod reading;
mod test_event_pattern;
mod v2;

pub use operations::{OPERATIONS, Operation, Standing};
pub use test_event_pattern::{EVENT_INVALID, is_event};

use super::{
    State,
    answer::Answer,
    auth::Peer,
    body,
    problem::Problem,
    routes::{Permission, Route, Verb, content, in_json, route},
};
use crate::aws::sigv4::SigningKeys;
use axum::routing;
use bytes::Bytes;
use control::usage::Holder;
use fault::Fault;
use http::{HeaderMap, Method, header, request::Parts};
use identity::Caller;
use std::sync::Arc;

/// The one path.
pub(super) const PATH: &str = "/";
/// Names the operation.
const TARGET: &str = "x-amz-target";
/// Before the operation's name.
const SERVICE: &str = "AWSEvents.";
/// Of requests and answers.
const MEDIA_TYPE: &str = "application/x-amz-json-1.1";
/// Bytes of a request: 1 MiB of entries, of which JSON's escapes may make three times as much (`\u00e9` for two bytes of UTF-8), and
/// what stands around them.
const REQUEST_BYTES_MAX: usize = 4 << 20;

pub(super) const ROUTES: &[Route] = &[
    route(Verb::Post, PATH, "eventBridge", Permission::Signed, |on| {
        routing::on(on, not_by_hand)
    })
    .summary("Amazon EventBridge, as its SDKs speak it")
    .takes(&[content(MEDIA_TYPE, "")])
    .gives(&[in_json(200, "")]),
    v2::ROUTE,
];

/// How the door is set up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventBridge {
    /// Whether an event for a bus that does not exist is lost with a success, as AWS loses it, instead of a failed entry.
    pub loses_events_of_unknown_buses: bool,
    /// The region that requests must be signed for; absent: any.
    pub region: Option<String>,
}

/// What the door keeps.
#[derive(Debug, Default)]
pub(super) struct Kept {
    settings: EventBridge,
    signing_keys: SigningKeys,
    /// Held by the operation that changes something.
    managing: tokio::sync::Mutex<()>,
}

impl Kept {
    /// A door that has seen no request.
    pub(super) fn new(settings: EventBridge) -> Self {
        Self {
            settings,
            signing_keys: SigningKeys::default(),
            managing: tokio::sync::Mutex::default(),
        }
    }
}

/// The door takes this path before the router sees it.
async fn not_by_hand() -> Problem {
    Problem::new("not_found", "this address takes POST alone")
}

/// Whether a request is for this door.
pub(super) fn is_for(head: &Parts) -> bool {
    head.method == Method::POST && head.uri.path() == PATH
}

/// Answers a request. An error is a fault in AWS's shape.
pub(super) async fn answer<B>(state: &Arc<State>, head: Parts, body: B, peer: Peer, holder: &Holder) -> Answer
where
    B: http_body::Body<Data = Bytes>,
{
    let result = carry_out(state, &head, body, peer, holder).await;
    fault::with_request_id(result.unwrap_or_else(Fault::into_answer))
}

/// What the server refuses before it looks at the request, in this protocol's shape.
pub(super) fn refuse(problem: Problem) -> Answer {
    fault::with_request_id(Fault::from(problem).into_answer())
}

async fn carry_out<B>(state: &Arc<State>, head: &Parts, body: B, peer: Peer, holder: &Holder) -> Result<Answer, Fault>
where
    B: http_body::Body<Data = Bytes>,
{
    let model = state.core.model();
    let claimed = identity::Claimed::of(state, &model, head, peer)?;
    let (body, _share) = read(state, &head.headers, body).await?;
    let caller: Caller = claimed.prove(state, &body)?;
    if let Some(key) = caller.principal.key() {
        holder.hold_key(&key.usage, &key.spec.quotas).map_err(Problem::from)?;
    }
    state.note_use(&caller.principal);
    let operation = operations::of(&head.headers)?;
    match operation.standing {
        Standing::Publishes => put_events::run(state, head, &caller, holder, body).await,
        Standing::Built(run) => {
            let asked = asked::Asked::new(state.clone(), model, caller, peer, body);
            asked.admit(operation.right)?;
            let output = run(&asked).await?;
            Ok(fault::json(output.to_string().into()))
        }
        Standing::Refused(why) => Err(Fault::unknown_operation(format!(
            "{} is not supported: {why}",
            operation.name
        ))),
    }
}

/// The body as it was sent: what is signed is what is read.
async fn read<'s, B>(state: &'s State, headers: &HeaderMap, body: B) -> Result<(Bytes, super::budget::Share<'s>), Fault>
where
    B: http_body::Body<Data = Bytes>,
{
    let encoding = headers.get(header::CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Fault::serialization("a body with a Content-Encoding is not taken here"));
    }
    let too_large = || {
        let detail = format!("the request takes more than {REQUEST_BYTES_MAX} bytes");
        Problem::new("body_too_large", detail)
    };
    let read = body::read(&state.bodies, headers, body, REQUEST_BYTES_MAX).await;
    Ok(read.map_err(|error| error.or_too_large(too_large))?)
}
