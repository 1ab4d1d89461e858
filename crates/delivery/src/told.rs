//! What the core tells whoever asks: acknowledgements, refusals, stories, how subscriptions are doing. Plain data.

use control::{Model, Refusal};
use event::Event;
use journal::{AppendTime, Position};
use std::sync::Arc;
use store::{Millis, SubscriptionId};

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
#[derive(Clone, Debug, thiserror::Error)]
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
    /// A quota of the bus is used up.
    #[error("the quota {} of the bus is used up", .0.limit)]
    Quota(control::usage::Exceeded),
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
    /// Where it is stored, primary first.
    pub stored: Vec<StoredAt>,
    /// When it was appended.
    pub append_time: AppendTime,
    /// Every subscription that reads one of these topics.
    pub subscriptions: Vec<SubscriptionStory>,
    /// What replays did with it.
    pub replays: Vec<ReplayStory>,
}

/// A place where an event is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAt {
    /// The topic's name.
    pub topic: String,
    /// The place in it.
    pub position: Position,
    /// The replay that published it there.
    pub replay: Option<String>,
    /// The subscription of whose dead letter this is a copy.
    pub dead_letter_of: Option<String>,
}

/// What one replay did with an event.
#[derive(Clone, Debug)]
pub struct ReplayStory {
    /// Its name.
    pub replay: String,
    /// The bus of the subscription that it went to.
    pub bus: String,
    /// That subscription's name.
    pub subscription: String,
    /// Where the delivery stands.
    pub state: DeliveryState,
    /// Every attempt, oldest first.
    pub attempts: Vec<store::Attempt>,
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
    /// The event as it was edited, while it waits or is a dead letter, and how often it has been.
    pub edited: Option<(u32, Event)>,
    /// The copy of its dead letter, if one was made.
    pub copy: Option<CopyStory>,
}

/// What became of the copy of a dead letter.
#[derive(Clone, Debug)]
pub struct CopyStory {
    /// Where it stands; pending: a later one than the dead letter there is now.
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
    /// Skipped by a person.
    Skipped,
}

/// How a subscription is doing.
#[derive(Clone, Debug, Default)]
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
    /// The copies of them, where somebody wants any.
    pub copies: Option<CopiesStatus>,
    /// Counters since start.
    pub counters: LaneCounters,
}

/// How copies of a subscription's dead letters are doing.
#[derive(Clone, Debug, Default)]
pub struct CopiesStatus {
    /// `running`, `paused-gone` (410), `stopped` or `backing-off` (breaker open).
    pub state: &'static str,
    /// Why, in words, when it is not running.
    pub reason: Option<String>,
    /// Copies that wait.
    pub waiting: u64,
    /// Copies that were delivered since start.
    pub delivered: u64,
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
    /// Events that a person skipped.
    pub skipped: u64,
    /// Dead letters that a person discarded.
    pub discarded: u64,
    /// Dead letters that were sent out again.
    pub redriven: u64,
}

/// What a subscription passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Events that it wanted and had not settled.
    pub events: u64,
    /// Records that were passed over, wanted or not.
    pub records: u64,
    /// Deliveries that are parked, and stay.
    pub parked: u64,
}

/// Which dead letters to act on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadSelection {
    /// Of this subscription; absent: of the whole bus.
    pub subscription: Option<String>,
    /// Of this reason; with `*` at its end, of all that begin so.
    pub reason: Option<String>,
    /// Of events of this type.
    pub event_type: Option<String>,
    /// That died then or later.
    pub died_from: Option<Millis>,
    /// That died before then.
    pub died_to: Option<Millis>,
    /// Only this one.
    pub key: Option<store::DeliveryKey>,
    /// Only of this event id.
    pub event_id: Option<String>,
}

/// The refusal that something does not exist.
pub(crate) fn not_found(detail: String) -> Refusal {
    Refusal::not_found(detail)
}
