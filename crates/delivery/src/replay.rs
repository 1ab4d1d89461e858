//! Replays: records of a past range, picked by filters, delivered once more to a subscription, or published once more to a
//! topic. Each has a number that is never given again, a document in the store that says how far it has come, and a task; one
//! into a subscription has a lane of its own besides, with rows of its own, so that live traffic does not see it.
//!
//! In reading order: `document` is what is kept; `range` finds offsets; a `picker` says what belongs to it; `preview` counts
//! without delivering; a `feeder` serves a lane, a `publisher` a topic; the `runner` is the task around either; the `registry`
//! knows them all; `replaying` tells the lanes of subscriptions whose rows are not theirs.
//!
//! It does not hold retention back: what expires under a replay is recorded with it.

mod document;
mod feeder;
mod handle;
mod picker;
mod preview;
mod publisher;
mod range;
mod registry;
mod replaying;
mod runner;
mod starting;
mod told;

pub use document::{Counts, LossReason};
pub use handle::{Command, Handle, KIND};
pub use registry::Registry;
pub use replaying::Replaying;
pub use starting::{Asked, parked_by_replays, restore, resume_all};
pub use told::{Preview, Replay, ReplayLoss, ReplayState, Sample};

use std::time::Duration;

/// Replays of a bus that may run or be paused at once: each reads the journal, and may hold what a lane holds.
pub const RUNNING_BUS_MAX: usize = 8;
/// The same, of all buses together.
pub const RUNNING_NODE_MAX: usize = 32;
/// Replays of a bus that are kept after their end; the oldest go first.
pub const ENDED_KEPT_MAX: usize = 100;
/// How long a replay is kept after its end: as long as anybody asks what it did.
pub const ENDED_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Deliveries of a replay above its position: little is read ahead of its rate, and little of the memory of live lanes is taken.
pub const SPAN_EVENTS_MAX: usize = 1_000;
/// Bytes of them.
pub const SPAN_BYTES_MAX: usize = 8 << 20;
/// Deliveries that a replay may have parked: its lane stops reading there. Far below a subscription's own bound, which it does
/// not take from.
pub const PARKED_EVENTS_MAX: u64 = 10_000;
/// Bytes of them.
pub const PARKED_BYTES_MAX: u64 = 128 << 20;
/// Ranges that a replay remembers to have lost; further ones are added to the last of their partition.
pub const LOSSES_MAX: usize = 1_000;

const _: () = assert!(RUNNING_BUS_MAX <= RUNNING_NODE_MAX && RUNNING_NODE_MAX <= ENDED_KEPT_MAX);
const _: () = assert!(SPAN_EVENTS_MAX <= crate::settings::SPAN_EVENTS_MAX);
const _: () = assert!(PARKED_EVENTS_MAX < crate::settings::PARKED_EVENTS_MAX);
