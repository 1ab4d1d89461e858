//! One request: asks the destination, within its time, and records for each event what became of it. What that means for the
//! deliveries is the lane's business.

use crate::{
    Attempt, Member, Outcome, Outcomes, Verdict,
    clock::Clock,
    copies::COPIES,
    lane::{Due, Start},
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
use transform::Output;

/// What a destination may take beyond the attempt's timeout before the lane calls it a timeout.
const TIMEOUT_SLACK: Duration = Duration::from_secs(5);
/// About the endpoint, which said nothing of when to come back.
pub const RETRY: Verdict = Verdict::Retry { after: None };

/// A request that ended.
pub struct Finished {
    /// Which, from the lane.
    pub token: u64,
    /// When it began.
    pub started: Millis,
    /// How it ended.
    pub outcomes: Outcomes,
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
    fn new(tracing: &Tracing, due: &Due, event: &EventView<'_>) -> Option<Self> {
        let context = tracing.tracer.context(tracing.bus, event)?;
        let begun = SystemTime::now();
        let id = context.attempt_id(due.key.subscription, due.number, begun);
        Some(Self { context, id, begun })
    }

    fn end(self, tracing: &Tracing, target: &Target, due: &Due, event: &EventView<'_>, outcome: &Outcome) {
        let mut span = self.context.attempt(self.id, self.begun, outcome);
        span.attributes.extend(trace::describing(&target.bus, event));
        span.attributes
            .push(("trunkline.subscription", target.subscription.as_str().into()));
        span.attributes
            .push(("trunkline.attempt", u64::from(due.number).into()));
        tracing.tracer.record(span);
    }
}

/// A delivery of a request, read.
struct Read<'a> {
    number: u32,
    accepted: Millis,
    event: EventView<'a>,
    record: &'a EncodedRecord,
    message_id: String,
}

/// Makes one request and records what it was for each event.
pub async fn attempt(
    target: Arc<Target>,
    start: Start,
    history: Arc<AttemptHistory>,
    clock: Clock,
    tracing: Tracing,
) -> Finished {
    let started = clock.now();
    let begun = Instant::now();
    let records: Vec<_> = start
        .dues
        .iter()
        .map(|due| EncodedRecord::from_bytes(due.record.clone()))
        .collect();
    let read: Vec<Option<Read<'_>>> = start
        .dues
        .iter()
        .zip(&records)
        .map(|(due, record)| read(&target, due, record.as_ref()?))
        .collect();
    let mut traced = traced(&tracing, &start.dues, &read);
    let shaped = shaped(&target, &start.dues, &read);
    let readable = shaped.iter().take_while(|shaped| shaped.is_ok()).count();
    let outcomes = match shaped.first() {
        Some(Err(outcome)) => Outcomes::Each(vec![outcome.clone()]),
        _ => ask(&target, &read[..readable], &shaped, clock).await,
    };
    let nothing_sent = readable == 0;
    let micros = u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX);
    for (index, due) in start.dues.iter().enumerate() {
        if let Some(outcome) = outcomes.of(index) {
            let event = read[index].as_ref().map(|read| &read.event);
            if let (Some(event), Some(Some(traced))) = (event, traced.get_mut(index).map(Option::take)) {
                traced.end(&tracing, &target, due, event, outcome);
            }
            let mut line = recorded(due, event, outcome, started, micros);
            if nothing_sent {
                line.outcome = AttemptOutcome::Failed;
            }
            history.record(line);
        }
    }
    Finished {
        token: start.token,
        started,
        outcomes,
    }
}

fn read<'a>(target: &Target, due: &'a Due, record: &'a EncodedRecord) -> Option<Read<'a>> {
    let view = record.view(due.key.offset, due.appended);
    let event = EventView::from_record(view.headers(), view.value)?;
    Some(Read {
        number: due.number,
        accepted: due.appended,
        record,
        message_id: message_id(target, due, &event),
        event,
    })
}

/// What becomes of each event before it is sent; `None`: it goes as it is. About an event that cannot be read, or that the
/// transform cannot take, nothing else is to be done, and another try would end alike.
fn shaped(target: &Target, dues: &[Due], read: &[Option<Read<'_>>]) -> Vec<Result<Option<Output>, Outcome>> {
    let shape = |(due, read): (&Due, &Option<Read<'_>>)| {
        // Only what the router took for an event gets here; a row that is none any more cannot become one.
        let unreadable = || failure(Verdict::Refused, "not_an_event", "the record is no event");
        let read = read.as_ref().ok_or_else(unreadable)?;
        let Some(shaping) = &target.shaping else {
            return Ok(None);
        };
        let output = shaping.apply(&read.event, due.appended).map(Some);
        output.map_err(|failed| failure(Verdict::Refused, failed.code, &failed.message))
    };
    dues.iter().zip(read).map(shape).collect()
}

/// The events as they go out.
fn changed<'a>(
    read: &'a [Option<Read<'_>>],
    shaped: &'a [Result<Option<Output>, Outcome>],
) -> Vec<Option<EventView<'a>>> {
    let outputs = shaped.iter().map(|shaped| shaped.as_ref().ok()?.as_ref());
    let pairs = read.iter().flatten().zip(outputs);
    pairs
        .map(|(read, output)| output.map(|output| output.event(&read.event)))
        .collect()
}

/// The same on every retry; that of a copy of a dead letter is not that of its event, which may go to the same endpoint.
fn message_id(target: &Target, due: &Due, event: &EventView<'_>) -> String {
    let of = |name: &str| identity::webhook_id(&target.bus, event.source(), event.id(), name, due.edits);
    match due.key.replay {
        // No subscription's name has a slash.
        COPIES => of(&format!("{}/dead-letter", target.subscription)),
        _ => of(&target.subscription),
    }
}

/// A span for each event, where somebody takes them.
fn traced(tracing: &Tracing, dues: &[Due], read: &[Option<Read<'_>>]) -> Vec<Option<Traced>> {
    if !tracing.tracer.is_on() {
        return Vec::new();
    }
    let pairs = dues.iter().zip(read);
    pairs
        .map(|(due, read)| Traced::new(tracing, due, &read.as_ref()?.event))
        .collect()
}

/// Asks the destination, and holds it to its contract: something is said of at least the first event, and of no more than there
/// are.
async fn ask(
    target: &Target,
    read: &[Option<Read<'_>>],
    shaped: &[Result<Option<Output>, Outcome>],
    clock: Clock,
) -> Outcomes {
    let changed = match target.shaping {
        Some(_) => changed(read, shaped),
        None => Vec::new(),
    };
    let members: Vec<Member<'_>> = read
        .iter()
        .flatten()
        .enumerate()
        .map(|(index, read)| Member {
            event: changed.get(index).and_then(Option::as_ref).unwrap_or(&read.event),
            record: read.record,
            message_id: &read.message_id,
            number: read.number,
            accepted: read.accepted,
        })
        .collect();
    let attempt = Attempt {
        members: &members,
        subscription: &target.subscription,
        origin: &target.origin,
        now: clock.wall().div_euclid(1_000),
        timeout: target.timeout,
        replay: target.replay.as_deref(),
    };
    let all = |reason, detail| Outcomes::all(&attempt, failure(RETRY, reason, detail));
    let made = AssertUnwindSafe(async { target.destination.attempt(attempt.clone()).await }).catch_unwind();
    match timeout(target.timeout + TIMEOUT_SLACK, made).await {
        Ok(Ok(Outcomes::NotNow { after })) => Outcomes::NotNow { after },
        Ok(Ok(outcomes)) if (1..=members.len()).contains(&outcomes.sent()) => outcomes,
        Ok(Ok(_) | Err(_)) => all("internal", "the destination failed"),
        Err(_) => all("timeout", "the destination did not end the attempt in time"),
    }
}

/// One event's line in the history.
fn recorded(
    due: &Due,
    event: Option<&EventView<'_>>,
    outcome: &Outcome,
    started: Millis,
    duration_micros: u32,
) -> store::Attempt {
    store::Attempt {
        event_hash: event.map_or(0, |event| event_hash(event.source(), event.id())),
        subscription: due.key.subscription,
        partition: due.key.partition,
        offset: due.key.offset,
        attempt: due.number,
        started,
        duration_micros,
        outcome: attempt_outcome(outcome.verdict),
        status: outcome.status,
        version: due.version,
        reason: reason_text(outcome),
        answer: outcome.answer.clone(),
        replay: due.key.replay,
        edits: due.edits,
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
