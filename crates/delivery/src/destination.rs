//! The contract of a destination: one provider, one outcome per delivery.

use bytes::Bytes;
use event::EventView;
use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

/// A future that the contract hands out.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One attempt's worth of work, borrowed from the lane.
#[derive(Clone, Debug)]
pub struct Attempt<'a> {
    /// The event.
    pub event: &'a EventView<'a>,
    /// `webhook-id`: the same on every retry, redrive and restart.
    pub message_id: &'a str,
    /// The subscription's name.
    pub subscription: &'a str,
    /// From 1.
    pub number: u32,
    /// Wall time of this attempt, seconds since the epoch (for signatures).
    pub now: i64,
    /// For the whole attempt, to the head of the answer.
    pub timeout: Duration,
    /// Set on a replay: its name.
    pub replay: Option<&'a str>,
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
/// An implementation MUST resolve within the attempt's timeout plus a small constant, MUST return an outcome for every
/// attempt (never panic on an answer), MUST bound what it reads, and MUST NOT retry, queue or log payloads by itself.
pub trait Destination: Send + Sync + 'static {
    /// Makes one attempt.
    fn attempt<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Outcome>;
}

/// Makes the destination of a subscription from its connection (secrets opened); passed in by the wiring, because this crate
/// knows no provider.
pub type DestinationFactory =
    Arc<dyn Fn(&control::Connection, &control::Subscription) -> Result<Arc<dyn Destination>, String> + Send + Sync>;
