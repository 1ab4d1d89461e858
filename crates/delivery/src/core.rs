//! The handle that doors hold: publish, change, look, pause, redrive. Cheap to clone; the tasks behind it are private.

use control::{Change, Model, Refusal};
use event::Event;
use journal::{AppendTime, Journal, Position};
use std::sync::Arc;
use store::{Millis, Store, SubscriptionId};

/// Everything the core needs; plain data and handles, made by the wiring.
pub struct Parts {
    /// Where events are kept.
    pub journal: Arc<dyn Journal>,
    /// Where documents and delivery state are kept.
    pub store: Arc<dyn Store>,
    /// The history of attempts.
    pub attempts: store::AttemptHistory,
    /// The model as loaded from the store.
    pub model: Model,
    /// Seals and opens secrets.
    pub sealer: control::seal::Sealer,
    /// The operator's rules for resources.
    pub rules: control::Rules,
    /// Makes destinations.
    pub destinations: crate::DestinationFactory,
    /// Bounds and intervals.
    pub settings: crate::Settings,
}

/// The handle.
#[derive(Clone)]
pub struct Core {
    _private: (),
}

/// One event's acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Where its primary record stands (a duplicate: where the first one stands).
    pub position: Position,
    /// When it was appended.
    pub append_time: AppendTime,
    /// Whether it was a duplicate.
    pub duplicate: bool,
}

/// Why events were not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No such bus.
    #[error("bus {0:?} does not exist")]
    UnknownBus(String),
    /// Entries that break a rule of the bus; none was kept.
    #[error("{} events were refused", .0.len())]
    Rejected(Vec<Rejected>),
    /// The journal's own refusal.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The bus has too much in flight, or the core is shutting down: try again.
    #[error("too busy to take the events now")]
    Busy,
    /// Shutting down.
    #[error("shutting down")]
    Closing,
}

/// One entry that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its index in the request.
    pub index: usize,
    /// Stable code, e.g. `type_unknown`, `type_disabled`.
    pub code: &'static str,
    /// The sentence.
    pub detail: String,
}

/// Why a change or a look failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The request is at fault.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The event id names several events: one of these sources must be given.
    #[error("the id names {} events", .0.len())]
    Ambiguous(Vec<String>),
    /// Shutting down.
    #[error("shutting down")]
    Closing,
}

/// What a change did.
#[derive(Clone, Debug)]
pub struct Changed {
    /// Whether it was created.
    pub created: bool,
    /// Whether anything was written.
    pub written: bool,
    /// The model now.
    pub model: Arc<Model>,
}

/// An event's whole story.
#[derive(Clone, Debug)]
pub struct Story {
    /// The event as it was received.
    pub event: Event,
    /// The names of topics and the positions where it is stored, primary first.
    pub stored: Vec<(String, Position)>,
    /// When it was appended.
    pub append_time: AppendTime,
    /// Every subscription that reads one of these topics.
    pub subscriptions: Vec<SubscriptionStory>,
}

/// What one subscription did with it.
#[derive(Clone, Debug)]
pub struct SubscriptionStory {
    /// Its name.
    pub subscription: String,
    /// The version in force for this event.
    pub version: u64,
    /// Whether it matched; why not, in words, when it did not.
    pub matched: Result<(), String>,
    /// Where the delivery stands.
    pub state: DeliveryState,
    /// Every attempt, oldest first.
    pub attempts: Vec<store::Attempt>,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// The subscription did not match it, or starts after it.
    NotConcerned,
    /// Not tried yet, or waiting in memory.
    Pending,
    /// Waiting in the store for its next attempt.
    Parked {
        /// When.
        due: Millis,
    },
    /// Done.
    Delivered,
    /// A dead letter.
    DeadLettered,
    /// Discarded by a person.
    Discarded,
    /// Given up by retention, or lost to a broken file.
    GivenUp,
}

/// How a subscription is doing.
#[derive(Clone, Debug)]
pub struct SubscriptionStatus {
    /// Its internal number.
    pub id: SubscriptionId,
    /// `running`, `paused`, `paused-gone` (410), `stopped` (a bound is reached), `backing-off` (breaker open), `catching-up`.
    pub state: &'static str,
    /// Why, in words, when it is not running.
    pub reason: Option<String>,
    /// Matched or not, records between its position and the end: an estimate of the lag in events.
    pub lag_events: u64,
    /// Age of the oldest unsettled record in seconds.
    pub lag_seconds: f64,
    /// Deliveries in flight.
    pub in_flight: u64,
    /// Parked deliveries.
    pub parked: u64,
    /// Dead letters.
    pub dead: u64,
    /// Counters since start.
    pub counters: LaneCounters,
}

/// A lane's counters since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneCounters {
    /// Events that matched.
    pub matched: u64,
    /// Deliveries that ended delivered.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Attempts that were not the first.
    pub retried: u64,
    /// Deliveries parked.
    pub parked: u64,
    /// Deliveries dead-lettered.
    pub dead_lettered: u64,
    /// Events given up by retention or damage.
    pub given_up: u64,
}

/// Which dead letters to act on.
#[derive(Clone, Debug, Default)]
pub struct DeadSelection {
    /// Of this subscription; absent: of the whole bus.
    pub subscription: Option<String>,
    /// Of this reason.
    pub reason: Option<String>,
    /// Only this one.
    pub key: Option<store::DeliveryKey>,
    /// Only of this event id.
    pub event_id: Option<String>,
}

impl Core {
    /// Starts the tasks: creates missing journal topics, loads positions, marks and parked rows, starts router and lanes.
    pub async fn start(parts: Parts) -> Result<Core, Error> {
        let _ = parts;
        unimplemented!("delivery")
    }

    /// Publishes events to a bus, all or none; resolves after the sync. The order of the answers is that of the events.
    pub async fn publish(&self, bus: &str, events: Vec<Event>) -> Result<Vec<Published>, PublishError> {
        let _ = (bus, events);
        unimplemented!("delivery")
    }

    /// The model now; a swapped snapshot.
    pub fn model(&self) -> Arc<Model> {
        unimplemented!("delivery")
    }

    /// Carries out a change: plans it, adds delivery state, applies all in one transaction, publishes the model. When it
    /// returns, events published afterwards see it.
    pub async fn change(&self, change: Change) -> Result<Changed, Error> {
        let _ = change;
        unimplemented!("delivery")
    }

    /// What a change would do, without doing it.
    pub async fn dry_run(&self, change: Change) -> Result<control::Effect, Error> {
        let _ = change;
        unimplemented!("delivery")
    }

    /// An event's whole story; `None` if no such event is kept.
    pub async fn story(&self, bus: &str, id: &str, source: Option<&str>) -> Result<Option<Story>, Error> {
        let _ = (bus, id, source);
        unimplemented!("delivery")
    }

    /// How the subscriptions of a bus are doing.
    pub fn status(&self, bus: &str) -> Vec<(String, SubscriptionStatus)> {
        let _ = bus;
        unimplemented!("delivery")
    }

    /// Resumes a subscription that 410 or a bound stopped (a person's pause is `enabled: false` in its document).
    pub async fn resume(&self, bus: &str, subscription: &str) -> Result<(), Error> {
        let _ = (bus, subscription);
        unimplemented!("delivery")
    }

    /// A page of dead letters.
    pub async fn dead_letters(
        &self,
        bus: &str,
        selection: DeadSelection,
        after: Option<store::DeliveryKey>,
        limit: usize,
    ) -> Result<Vec<store::Dead>, Error> {
        let _ = (bus, selection, after, limit);
        unimplemented!("delivery")
    }

    /// Sends dead letters out again with a new count of attempts, through parked rows; returns how many.
    pub async fn redrive(&self, bus: &str, selection: DeadSelection) -> Result<u64, Error> {
        let _ = (bus, selection);
        unimplemented!("delivery")
    }

    /// Discards dead letters for good; returns how many.
    pub async fn discard(&self, bus: &str, selection: DeadSelection) -> Result<u64, Error> {
        let _ = (bus, selection);
        unimplemented!("delivery")
    }

    /// Whether the node should get traffic, and if not, why: poisoned, out of reach of the store, or a router or lane with
    /// due work and a closed breaker that made no progress for 60 s.
    pub fn readiness(&self) -> Result<(), String> {
        unimplemented!("delivery")
    }

    /// Resolves with the reason when the journal is poisoned: the process must drain and end. Pends otherwise.
    pub async fn poisoned(&self) -> String {
        unimplemented!("delivery")
    }

    /// Stops reading, lets deliveries in flight finish until `deadline`, saves positions, ends the tasks. The journal and the
    /// store are shut down by the wiring afterwards. Idempotent.
    pub async fn shutdown(&self, deadline: std::time::Duration) {
        let _ = deadline;
        unimplemented!("delivery")
    }
}
