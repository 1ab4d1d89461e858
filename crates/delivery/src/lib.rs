//! The core between the doors and the destinations: intake, router, lanes, retry, breaker, parking, dead letters,
//! retention and holds; and the [`Destination`] contract.
//!
//! It knows the journal and the store by their contracts and the model by its snapshots. It speaks no protocol.
//!
//! In reading order: [`Core`] is the handle that doors hold, `inner` what its tasks share; `intake` appends; the `router` reads
//! the tail once for all lanes, catch-up `scan`s serve those that are behind; a `lane` decides (a state machine without I/O,
//! with its `window`, `order`, `breaker`, `rate` and `backoff`) and a `lane_task` does; `positions` says what is saved of it
//! all; a `replay` has a lane of its own beside; `operational` tells of trouble as events on the bus itself, and the `watchdog`
//! looks for what nobody else notices; `changes` is the one task that changes what is declared; a `start` puts right what a
//! `shortened` journal left.

mod connection_test;
pub mod core;
pub mod destination;
mod inner;
mod settings;
mod told;

mod backoff;
mod breaker;
mod clock;
mod order;
mod pending;
mod rate;
mod window;

mod inbox;
mod lane;
mod lane_handle;
mod lane_task;
mod shaping;

mod intake;
mod matching;
mod positions;
mod publishing;
mod router;
mod scan;
mod view;
mod watchdog;

mod changes;
mod copies;
mod core_redrive;
mod core_replay;
mod dead;
mod inquiry;
mod live;
mod metrics;
mod operational;
mod readiness;
mod redriving;
mod replay;
mod restore;
mod retention;
mod sealing;
mod shortened;
mod skipping;
mod start;
mod story;
mod to_bus;
pub mod trace;
mod trail;
pub mod validation;

pub use clock::Clock;
pub use connection_test::{ConnectionTest, ConnectionTester, TestReport, TestStep};
pub use core::*;
pub use dead::{
    Edit as DeadLetterEdit, Exported as DeadLetterExport, Imported as DeadLettersImported, is_cut as dead_page_is_cut,
    original_of, read_id as dead_letter_key, write_id as dead_letter_id,
};
pub use destination::*;
pub use inquiry::{DataSchema, Inquiry, RECENT_MAX, Recent, Subject};
pub use intake::{DEFAULT_TOPIC, identify};
/// A record as a journal holds it, for destinations, which do not know the journal.
pub use journal::EncodedRecord as Record;
pub use live::{Cursor, LiveEvent, LiveRequest, LiveStart, LiveTail, Told};
pub use metrics::{BusMetrics, KeyMetrics, Metrics, SubscriptionMetrics};
/// What a filter says of an event, for doors, which do not know filters.
pub use pattern::Explanation;
pub use redriving::{Redrive, RedrivePreview};
pub use replay::{
    Counts as ReplayCounts, LossReason, Preview as ReplayPreview, Replay, ReplayLoss, ReplayState,
    Sample as ReplaySample,
};
pub use sealing::MasterKeys;
pub use settings::{LaneBounds, Settings};
pub use shaping::{REGION_ANNOTATION, RULE_ANNOTATION, Shaping};
pub use store::{Attempt as StoredAttempt, Dead, DeliveryKey, Partition as StoredPartition};
/// Rows of the store as the core hands them out, for doors, which do not know the store.
pub use store::{
    AuditEnd, AuditEntry, AuditOrder, AuditQuery, Error as StoreError,
    audit::{AuditFault, AuditVerified},
};
pub use told::{
    Changed, CopiesStatus, CopyStory, DeadSelection, DeliveryState, Error, LaneCounters, PublishError, Published,
    Rejected, ReplayStory, Skipped, StoredAt, Story, SubscriptionStatus, SubscriptionStory,
};
pub use validation::{Asked, Permit, Validation, ValidationState, Validations};
