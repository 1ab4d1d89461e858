//! The contract of a destination: one provider, one outcome per delivery.

use bytes::Bytes;
use event::EventView;
use journal::EncodedRecord;
use std::{future::Future, pin::Pin, sync::Arc, time::Duration};
use transform::{Context, Envelope, Paths};

/// A future that the contract hands out.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One event of a request.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// The event.
    pub event: &'a EventView<'a>,
    /// The record that carries it, with its key and its other headers.
    pub record: &'a EncodedRecord,
    /// `webhook-id`: the same on every retry, redrive and restart.
    pub message_id: &'a str,
    /// Which attempt of this event it is, from 1.
    pub number: u32,
    /// When its record was appended, in milliseconds since the epoch.
    pub accepted: i64,
}

impl<'a> Member<'a> {
    /// The key of its record.
    pub fn key(&self) -> Option<&'a [u8]> {
        // Neither offset nor time has to do with the key.
        self.record.view(0, 0).key
    }

    /// What stands at each of these paths of its EventBridge envelope, as it was received: a text as it is, another value as JSON.
    /// `None`: nothing does, or null. The error, in words, is about the event.
    pub fn texts_at(&self, paths: &Paths) -> Result<Vec<Option<String>>, String> {
        let view = self.record.view(0, self.accepted);
        let event = EventView::from_record(view.headers(), view.value).ok_or("the record is no event")?;
        let context = Context {
            accepted: self.accepted,
            ..Context::default()
        };
        let texts = Envelope::new(&event, &context).texts_at(paths);
        texts.map_err(|failure| failure.message)
    }
}

/// One request's worth of work, borrowed from the lane.
#[derive(Clone, Debug)]
pub struct Attempt<'a> {
    /// The events: at least one, at most as many as [`Destination::limits`] says, with `ordering: key` no two of one key.
    pub members: &'a [Member<'a>],
    /// The subscription's name.
    pub subscription: &'a str,
    /// The bus that keeps the events: on a replay it may be another one than the subscription's.
    pub origin: &'a str,
    /// Wall time of this attempt, seconds since the epoch (for signatures).
    pub now: i64,
    /// For the whole attempt, to the head of the answer.
    pub timeout: Duration,
    /// Set on a replay: its name.
    pub replay: Option<&'a str>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcomes {
    /// One outcome for the first `sent` members, at least one. The others did not fit into the request: they go into a later
    /// one, and this was no attempt of theirs.
    Whole {
        /// How many members the request held.
        sent: usize,
        /// What became of all of them.
        outcome: Outcome,
    },
    /// An outcome for each member that the request held, from the first on, at least one. The others did not fit.
    Each(Vec<Outcome>),
    /// Nothing was sent: the endpoint takes no request yet (a rate that was agreed on). No attempt of anybody.
    NotNow {
        /// How long to wait.
        after: Duration,
    },
}

impl Outcomes {
    /// One outcome for all members.
    pub fn all(attempt: &Attempt<'_>, outcome: Outcome) -> Self {
        Self::Whole {
            sent: attempt.members.len(),
            outcome,
        }
    }

    /// How many members were sent.
    pub fn sent(&self) -> usize {
        match self {
            Self::Whole { sent, .. } => *sent,
            Self::Each(outcomes) => outcomes.len(),
            Self::NotNow { .. } => 0,
        }
    }

    /// The first one that is not delivered.
    pub fn first_failed(&self) -> Option<&Outcome> {
        let each = (0..self.sent()).filter_map(|index| self.of(index));
        each.into_iter().find(|outcome| outcome.verdict != Verdict::Delivered)
    }

    /// What became of a member that was sent.
    pub fn of(&self, index: usize) -> Option<&Outcome> {
        match self {
            Self::Whole { sent, outcome } => (index < *sent).then_some(outcome),
            Self::Each(outcomes) => outcomes.get(index),
            Self::NotNow { .. } => None,
        }
    }
}

/// What one request to a provider may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Events.
    pub events: usize,
    /// Bytes of their records. The lane measures what the journal holds; what the provider counts, the destination measures
    /// when it writes the request, and leaves out what does not fit.
    pub bytes: usize,
}

impl Limits {
    /// One event in a request, of any size.
    pub const ONE: Self = Self {
        events: 1,
        bytes: usize::MAX,
    };
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What it means for the delivery.
    pub verdict: Verdict,
    /// The provider's status, where it has one.
    pub status: Option<u16>,
    /// A stable class, e.g. `http_503`, `timeout_first_byte`, `dns`, `connect`, `tls`, `refused_address`; empty when delivered.
    pub reason: String,
    /// In words, without secrets; empty when delivered.
    pub detail: String,
    /// The first 4 KiB of the answer when it failed (never of a refused address).
    pub answer: Bytes,
}

/// What an attempt means for its delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Settled.
    Delivered,
    /// About the event: dead letter at once.
    Refused,
    /// About the endpoint: try again, not before `after` if the endpoint said so; counts for the breaker.
    Retry {
        /// From `Retry-After`.
        after: Option<Duration>,
    },
    /// The endpoint is gone (410): the lane pauses, the event stays unsettled.
    Gone,
}

/// A provider's side of a subscription.
///
/// An implementation MUST resolve within the attempt's timeout plus a small constant, MUST say of every member that it sent
/// what became of it (never panic on an answer), MUST send the first member unless it answers [`Outcomes::NotNow`], MUST send
/// members in their order and leave out only the last ones, MUST bound what it reads, and MUST NOT retry, queue or log payloads
/// by itself. Where the provider's answer does not tell the members apart, it MUST say so with [`Outcomes::Whole`]: the lane
/// then looks for the one that is refused.
pub trait Destination: Send + Sync + 'static {
    /// What one request holds at most; a subscription may ask for less. It does not change while the destination lives.
    fn limits(&self) -> Limits;

    /// Makes one request.
    fn attempt<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Outcomes>;
}

/// Makes the destination of a subscription from its connection (secrets opened); passed in by the wiring, because this crate
/// knows no provider.
pub type DestinationFactory =
    Arc<dyn Fn(&control::Connection, &control::Subscription) -> Result<Arc<dyn Destination>, String> + Send + Sync>;
