//! One attempt: asks the destination, within its time, and records what became of it. What that means for the delivery is the
//! lane's business.

use crate::{
    Attempt, Outcome, Verdict,
    clock::Clock,
    lane::Start,
    lane_handle::Target,
    trace::{self, Context, Tracer},
};
use bytes::Bytes;
use event::{EventView, identity};
use futures_util::FutureExt;
use journal::EncodedRecord;
use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, SystemTime},
};
use store::{AttemptHistory, AttemptOutcome, BusId, Millis};
use tokio::time::{Instant, timeout};

/// What a destination may take beyond the attempt's timeout before the lane calls it a timeout.
const TIMEOUT_SLACK: Duration = Duration::from_secs(5);
/// About the endpoint, which said nothing of when to come back.
pub const RETRY: Verdict = Verdict::Retry { after: None };

/// An attempt that ended.
pub struct Finished {
    /// Which, from the lane.
    pub token: u64,
    /// When it began.
    pub started: Millis,
    /// How it ended.
    pub outcome: Outcome,
}

/// Where an attempt's span goes, and whose it is.
#[derive(Clone)]
pub struct Tracing {
    /// Where it goes.
    pub tracer: Tracer,
    /// The bus.
    pub bus: BusId,
}

/// A span that has begun.
struct Traced {
    context: Context,
    id: u64,
    begun: SystemTime,
}

impl Traced {
    fn new(tracing: &Tracing, start: &Start, event: &EventView<'_>) -> Option<Self> {
        let context = tracing.tracer.context(tracing.bus, event)?;
        let begun = SystemTime::now();
        let id = context.attempt_id(start.key.subscription, start.number, begun);
        Some(Self { context, id, begun })
    }

    fn end(self, tracing: &Tracing, target: &Target, start: &Start, event: &EventView<'_>, outcome: &Outcome) {
        let mut span = self.context.attempt(self.id, self.begun, outcome);
        span.attributes.extend(trace::describing(&target.bus, event));
        span.attributes
            .push(("trunkline.subscription", target.subscription.as_str().into()));
        span.attributes
            .push(("trunkline.attempt", u64::from(start.number).into()));
        tracing.tracer.record(span);
    }
}

/// Makes one attempt and records it.
pub async fn attempt(
    target: Arc<Target>,
    start: Start,
    history: Arc<AttemptHistory>,
    clock: Clock,
    tracing: Tracing,
) -> Finished {
    let started = clock.now();
    let begun = Instant::now();
    let (token, record) = (start.token, EncodedRecord::from_bytes(start.record.clone()));
    let view = record
        .as_ref()
        .map(|record| record.view(start.key.offset, start.appended));
    let event = view.and_then(|view| EventView::from_record(view.headers(), view.value));
    let Some(event) = event else {
        // Only what the router took for an event gets here; a row that is none any more cannot become one.
        return Finished {
            token,
            started,
            outcome: failure(Verdict::Refused, "not_an_event", "the record is no event"),
        };
    };
    let traced = Traced::new(&tracing, &start, &event);
    let outcome = ask(&target, &start, &event, clock).await;
    if let Some(traced) = traced {
        traced.end(&tracing, &target, &start, &event, &outcome);
    }
    history.record(store::Attempt {
        event_hash: event_hash(event.source(), event.id()),
        subscription: start.key.subscription,
        partition: start.key.partition,
        offset: start.key.offset,
        attempt: start.number,
        started,
        duration_micros: u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX),
        outcome: attempt_outcome(outcome.verdict),
        status: outcome.status,
        version: start.version,
        reason: reason_text(&outcome),
        answer: outcome.answer.clone(),
    });
    Finished {
        token,
        started,
        outcome,
    }
}

async fn ask(target: &Target, start: &Start, event: &EventView<'_>, clock: Clock) -> Outcome {
    let message_id = identity::webhook_id(
        &target.bus,
        event.source(),
        event.id(),
        &target.subscription,
        start.edits,
    );
    let attempt = Attempt {
        event,
        message_id: &message_id,
        subscription: &target.subscription,
        number: start.number,
        now: clock.wall().div_euclid(1_000),
        timeout: target.timeout,
        replay: None,
    };
    let made = AssertUnwindSafe(async { target.destination.attempt(attempt).await }).catch_unwind();
    match timeout(target.timeout + TIMEOUT_SLACK, made).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => failure(RETRY, "internal", "the destination failed"),
        Err(_) => failure(RETRY, "timeout", "the destination did not end the attempt in time"),
    }
}

/// An attempt that did not get to its destination, or not back.
pub fn failure(verdict: Verdict, reason: &str, detail: &str) -> Outcome {
    Outcome {
        verdict,
        status: None,
        reason: reason.to_owned(),
        detail: detail.to_owned(),
        answer: Bytes::new(),
    }
}

fn attempt_outcome(verdict: Verdict) -> AttemptOutcome {
    match verdict {
        Verdict::Delivered => AttemptOutcome::Delivered,
        Verdict::Refused => AttemptOutcome::Refused,
        Verdict::Retry { .. } => AttemptOutcome::Retry,
        Verdict::Gone => AttemptOutcome::Gone,
    }
}

fn reason_text(outcome: &Outcome) -> String {
    match outcome.detail.is_empty() {
        true => outcome.reason.clone(),
        false => format!("{}: {}", outcome.reason, outcome.detail),
    }
}

/// What attempts are found by.
pub fn event_hash(source: &str, id: &str) -> u64 {
    (identity::unique_hash(source, id) & u128::from(u64::MAX)) as u64
}
