//! `GET /v1/buses/{bus}/events:tail`: events as they come, as server-sent events. A reader that is too slow loses some and is told how
//! many; one that takes nothing for [`STALL_MAX`] is cut. Nothing runs here while nobody looks on.

mod frame;
mod request;
mod slots;

pub(super) use slots::Slots;

use super::{
    call::Call,
    json,
    problem::Problem,
    routes::{Gives, Permission, Route, Takes, Verb, content, parameter, route},
};
use axum::{body::Body, response::IntoResponse, routing};
use bytes::Bytes;
use control::resources::Scope;
use delivery::{LiveTail, Told};
use futures_util::FutureExt as _;
use http::header;
use http_body::Frame;
use serde_json::Value;
use slots::Slot;
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

/// Without events a comment is sent this often: below the idle time of usual proxies.
const QUIET_MAX: Duration = Duration::from_secs(15);
/// A reader that takes nothing for this long is cut, as with any other answer.
const STALL_MAX: Duration = crate::server::WRITE_WAIT_MAX;
/// Whether the key is still good, and what is looked at still there, is asked with whatever is sent, and at least this often.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Events that are ready are written together up to so many bytes.
const TOGETHER_BYTES: usize = 32 << 10;
/// When a place may be free again, for the reader who got none.
const RETRY_FULL: Duration = Duration::from_secs(10);

pub(super) const ROUTES: &[Route] = &[route(
    Verb::Get,
    "/v1/buses/{bus}/events:tail",
    "tailEvents",
    Permission::Bus(Scope::Subscribe),
    |on| routing::on(on, tail),
)
.summary("Look on while events come")
.query(&[
    parameter("topics", Takes::Text, "Topics, separated by commas; absent: the whole bus, each event once."),
    parameter("types", Takes::Text, "Event types, separated by commas, with `*` as in a subscription; absent: all."),
    parameter("filter", Takes::Text, "A filter as JSON, as in a subscription; absent: none."),
    parameter(
        "from",
        Takes::Text,
        "Since when: `now` (the default), `earliest`, a time of RFC 3339, or with one topic `partition:offset` separated by commas. The header `Last-Event-ID` wins.",
    ),
])
.gives(&[Gives {
    status: 200,
    content: Some(content("text/event-stream", "TailStream")),
}])
.problems(&[
    "cursor_invalid",
    "filter_invalid",
    "filter_not_json",
    "filter_too_complex",
    "resource_invalid",
    "resource_malformed",
    "resource_not_found",
    "tails_exhausted",
    "types_invalid",
])];

async fn tail(call: Call) -> json::Result {
    let request = request::read(&call)?;
    let slot = Slot::take(&call)?;
    let live = call.state.core.live(&call.bus()?.name, request).await?;
    look(&call).await?;
    let (frames, body) = mpsc::channel(1);
    let looking = Looking { call, live, frames };
    // It ends with its reader, with its key, or with the server: `Looking::run` looks at all three.
    tokio::spawn(looking.run(slot));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, Body::new(Frames(body))).into_response())
}

/// One entry of the audit trail for all that it will show: what was asked for.
async fn look(call: &Call) -> Result<(), Problem> {
    let query = call.query()?;
    let asked = ["topics", "types", "filter", "from"].map(|name| (name, query.text(name)));
    let given = asked
        .into_iter()
        .filter_map(|(name, text)| Some((name.to_owned(), text?.into())));
    call.look("tail", "", Value::Object(given.collect())).await
}

/// Somebody looks on.
struct Looking {
    call: Call,
    live: LiveTail,
    frames: mpsc::Sender<Bytes>,
}

/// Why it ended, as the last event says.
const CLOSING: &str = "shutting_down";
const NOT_PERMITTED: &str = "not_permitted";
const DELETED: &str = "resource_not_found";

impl Looking {
    async fn run(mut self, _slot: Slot) {
        let drain = self.call.drain();
        let mut frame = Vec::new();
        frame::open(&mut frame, self.live.cursor());
        let mut sent = Instant::now();
        loop {
            if !frame.is_empty() {
                sent = Instant::now();
                if self.send(&mut frame).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                told = self.live.next() => match told {
                    Some(told) => self.write(told, &mut frame),
                    None => return self.end(CLOSING).await,
                },
                () = drain.begun() => return self.end(CLOSING).await,
                () = self.frames.closed() => return,
                () = sleep_until(sent + QUIET_MAX) => frame::quiet(&mut frame),
                () = sleep(CHECK_INTERVAL) => {}
            }
            if self.live.is_gone() {
                return self.end(DELETED).await;
            }
            if !self.call.is_still_permitted() {
                return self.end(NOT_PERMITTED).await;
            }
        }
    }

    /// Writes what was told and what else is there already.
    fn write(&mut self, told: Told, frame: &mut Vec<u8>) {
        frame::told(frame, &told, self.live.cursor());
        while frame.len() < TOGETHER_BYTES
            && let Some(Some(told)) = self.live.next().now_or_never()
        {
            frame::told(frame, &told, self.live.cursor());
        }
    }

    /// An error: the reader is gone or takes nothing.
    async fn send(&self, frame: &mut Vec<u8>) -> Result<(), ()> {
        let sending = self.frames.send(std::mem::take(frame).into());
        let sent = tokio::time::timeout(STALL_MAX, sending).await;
        sent.map_err(drop)?.map_err(drop)
    }

    async fn end(self, reason: &str) {
        let mut frame = Vec::new();
        frame::end(&mut frame, reason);
        // Nobody is there to be told that this failed.
        let _ = self.send(&mut frame).await;
    }
}

/// The body of the answer: what the task sends.
struct Frames(mpsc::Receiver<Bytes>);

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let polled = self.0.poll_recv(context);
        polled.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
