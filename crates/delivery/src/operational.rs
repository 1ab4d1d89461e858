//! Operational events: trouble told on the bus itself, as CloudEvents `io.trunkline.*` in the topic `trunkline` of the bus it
//! concerns, so that it can be subscribed to like anything else. What concerns the whole node goes to the bus `default`.
//!
//! Whoever notices trouble reports it and goes on: reports wait in a bounded queue, what does not fit is counted and dropped.
//! One task gathers them, so that a flood becomes one event with a count, and publishes them. Nothing is decided from them, and
//! nothing waits for them. The topic is made when there is a first event: a bus without trouble costs nothing.
//!
//! An operational event that cannot be delivered is a dead letter like any other, but no further event tells of it.

mod gathering;
mod message;
mod publishing;

pub use message::{Burials, GaveUp, Report, Subject, What};
pub use publishing::{remember_poisoning, run};

use control::limits::OPERATIONAL_PREFIX;
use event::Event;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};
use store::{BusId, SubscriptionId};
use tokio::sync::mpsc;

/// Reports that may wait to be gathered: a change of state of every lane of a busy node within the moment that gathering takes.
const REPORTS_WAITING_MAX: usize = 4_096;

/// Where trouble is reported. Cheap to clone; never waits.
#[derive(Clone, Debug)]
pub struct Reporter {
    reports: Option<mpsc::Sender<Report>>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    published: AtomicU64,
    dropped: AtomicU64,
}

/// A reporter and the end that [`run`] listens to; without one when nothing is to be told.
pub fn channel(is_on: bool) -> (Reporter, Option<mpsc::Receiver<Report>>) {
    let (reports, receiver) = mpsc::channel(REPORTS_WAITING_MAX);
    let reporter = Reporter {
        reports: is_on.then_some(reports),
        counts: Arc::default(),
    };
    (reporter, is_on.then_some(receiver))
}

/// Why an event may not be published by a user: its name is reserved. Code and sentence.
pub fn reserved(event: &Event) -> Option<(&'static str, String)> {
    let says =
        |what: &str| format!("{what} that begin with {OPERATIONAL_PREFIX:?} are the server's own; choose another");
    if event.event_type().starts_with(OPERATIONAL_PREFIX) {
        return Some(("type_reserved", says("types")));
    }
    let is_ours = event.source().starts_with(OPERATIONAL_PREFIX);
    is_ours.then(|| ("source_reserved", says("sources")))
}

impl Reporter {
    /// Events published since start.
    pub fn published(&self) -> u64 {
        self.counts.published.load(Relaxed)
    }

    /// Events dropped since start.
    pub fn dropped(&self) -> u64 {
        self.counts.dropped.load(Relaxed)
    }

    /// A lane went from one state to another, with the reason of the new one; `failure` is what its last failed attempt said.
    pub fn turned(
        &self,
        bus: BusId,
        subscription: SubscriptionId,
        states: (&'static str, &'static str),
        reason: &str,
        failure: &str,
    ) {
        for what in message::turns(states, reason, failure) {
            self.report(Report::of_subscription(bus, subscription, what));
        }
    }

    /// Dead letters that are in the store now.
    pub fn dead_lettered(&self, bus: BusId, subscription: SubscriptionId, burials: Burials) {
        if !burials.is_empty() {
            self.report(Report::of_subscription(bus, subscription, What::DeadLettered(burials)));
        }
    }

    /// A range that a subscription lost.
    pub fn gave_up(&self, subscription: SubscriptionId, loss: GaveUp) {
        let bus = loss.partition.topic.bus;
        self.report(Report::of_subscription(bus, subscription, What::GaveUp(loss)));
    }

    /// What the watchdog saw.
    pub fn watched(&self, report: Report) {
        self.report(report);
    }

    fn report(&self, report: Report) {
        let Some(reports) = &self.reports else { return };
        if reports.try_send(report).is_err() {
            self.counts.dropped.fetch_add(1, Relaxed);
        }
    }
}
