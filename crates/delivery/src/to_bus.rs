//! Another bus of this server as the place where a subscription's events go. They are published there as from a door, with one
//! hop more, so that a loop of buses ends; what was sent twice is there twice, as everywhere.

use crate::{
    Attempt, BoxFuture, Destination, Limits, Member, Outcome, Outcomes, PublishError, Verdict, inner::Inner, intake,
};
use bytes::Bytes;
use control::limits::BUS_EVENTS_MAX;
use event::{Event, hops};
use journal::Deduplicate;
use std::sync::{Arc, Weak};

/// Bytes of one request's records.
const BYTES_MAX: usize = 4 << 20;

/// Publishes to one bus.
pub struct ToBus {
    inner: Weak<Inner>,
    bus: String,
}

/// Why an event does not go.
type Reason = (Verdict, &'static str, String);

impl ToBus {
    /// To a bus, which may come and go.
    pub fn new(inner: Weak<Inner>, bus: String) -> Self {
        Self { inner, bus }
    }

    async fn publish(&self, inner: &Inner, members: &[Member<'_>]) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(members.len());
        let mut events = Vec::with_capacity(members.len());
        for member in members {
            let event = hopped(member).and_then(|event| self.taken(inner, event));
            match event {
                Ok(event) => {
                    events.push(event);
                    outcomes.push(None);
                }
                Err(reason) => outcomes.push(Some(failed(reason))),
            }
        }
        let published = match events.is_empty() {
            true => delivered(),
            false => match inner.publish(&self.bus, events, Deduplicate::No).await {
                Ok(_) => delivered(),
                Err(error) => failed(self.reason(&error)),
            },
        };
        let each = outcomes.into_iter();
        each.map(|refused| refused.unwrap_or_else(|| published.clone()))
            .collect()
    }

    /// Whether the bus takes it as it is now: one event's fault is none of another's.
    fn taken(&self, inner: &Inner, event: Event) -> Result<Event, Reason> {
        let model = inner.model.load();
        let Some(bus) = model.buses.get(&self.bus) else {
            return Err(self.reason(&PublishError::UnknownBus(self.bus.clone())));
        };
        match intake::check(bus, &event) {
            Ok(()) => Ok(event),
            Err(refusal) => Err((Verdict::Refused, refusal.code, refusal.detail)),
        }
    }

    fn reason(&self, error: &PublishError) -> Reason {
        let reason = match error {
            PublishError::UnknownBus(_) => "bus_missing",
            PublishError::Quota(_) => "quota_exceeded",
            PublishError::Journal(_) => "journal",
            // The bus changed between two looks at it, or it has too much to do.
            PublishError::Rejected(_) | PublishError::Busy | PublishError::Closing => "bus_busy",
        };
        (
            Verdict::Retry { after: None },
            reason,
            format!("bus {:?}: {error}", self.bus),
        )
    }
}

/// The event as it enters the other bus.
fn hopped(member: &Member<'_>) -> Result<Event, Reason> {
    let hops = hops::next(member.event).map_err(|loops| (Verdict::Refused, "too_many_hops", loops.to_string()))?;
    let unsuitable = |invalid: event::Invalid| (Verdict::Refused, "event_unsuitable", invalid.to_string());
    let mut event = member.event.to_event().map_err(unsuitable)?;
    event
        .set_extension(hops::EXTENSION, hops.to_string())
        .map_err(unsuitable)?;
    Ok(event)
}

fn delivered() -> Outcome {
    Outcome {
        verdict: Verdict::Delivered,
        status: None,
        reason: String::new(),
        detail: String::new(),
        answer: Bytes::new(),
    }
}

fn failed((verdict, reason, detail): Reason) -> Outcome {
    Outcome {
        verdict,
        reason: reason.to_owned(),
        detail,
        ..delivered()
    }
}

impl Destination for ToBus {
    fn limits(&self) -> Limits {
        Limits {
            events: BUS_EVENTS_MAX as usize,
            bytes: BYTES_MAX,
        }
    }

    fn attempt<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Outcomes> {
        Box::pin(async move {
            match self.inner.upgrade() {
                Some(inner) => Outcomes::Each(self.publish(&inner, attempt.members).await),
                None => Outcomes::all(&attempt, failed(self.reason(&PublishError::Closing))),
            }
        })
    }
}

/// The destination of a connection to another bus.
pub fn destination(inner: &Inner, bus: &str) -> Arc<dyn Destination> {
    Arc::new(ToBus::new(inner.itself.clone(), bus.to_owned()))
}
