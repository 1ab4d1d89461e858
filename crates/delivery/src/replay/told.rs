//! What is told of replays. Plain data.

use super::document::{Counts, Document, LossReason, State};
use bytes::Bytes;
use control::resources::ReplaySpec;
use store::Millis;

/// Whether a replay runs.
pub type ReplayState = State;

/// A replay, as it stands.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Its number, never given again.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// What was asked for.
    pub spec: ReplaySpec,
    /// When it was made.
    pub created: Millis,
    /// Whether it runs.
    pub state: ReplayState,
    /// Why it does not go on, in words.
    pub reason: Option<String>,
    /// When it ended.
    pub ended: Option<Millis>,
    /// Records that it has behind it, wanted or not.
    pub done: u64,
    /// Records in its range.
    pub records: u64,
    /// What became of its events.
    pub counts: Counts,
    /// When the newest event was appended that it has replayed. Partitions are read side by side: older ones may follow.
    pub newest: Option<Millis>,
    /// Deliveries in flight.
    pub in_flight: u64,
    /// Deliveries that wait in the store for their next attempt.
    pub parked_now: u64,
    /// Ranges that could not be read any more.
    pub losses: Vec<ReplayLoss>,
}

/// A range that a replay could not read any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayLoss {
    /// The topic's name; empty if it is gone.
    pub topic: String,
    /// The partition's index.
    pub partition: u32,
    /// First offset.
    pub from: u64,
    /// Offset after the last.
    pub to: u64,
    /// Why.
    pub reason: LossReason,
}

/// What a replay would do.
#[derive(Clone, Debug, Default)]
pub struct Preview {
    /// Records in its range.
    pub records: u64,
    /// Records that were looked at.
    pub looked_at: u64,
    /// Whether all were.
    pub is_complete: bool,
    /// Events that belong to it.
    pub matched: u64,
    /// When the first of them was appended.
    pub first: Option<Millis>,
    /// When the last of them was appended.
    pub last: Option<Millis>,
    /// Some of them.
    pub samples: Vec<Sample>,
}

/// One event of a preview.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The topic's internal number.
    pub topic: u32,
    /// The partition.
    pub partition: u32,
    /// The offset.
    pub offset: u64,
    /// When it was appended.
    pub appended: Millis,
    /// The record, encoded.
    pub record: Bytes,
}

impl Replay {
    /// From what is kept of it.
    pub fn new(document: &Document, topic_name: impl Fn(u32) -> String) -> Self {
        let (done, records) = document.progress();
        let loss = |loss: &super::document::Loss| ReplayLoss {
            topic: topic_name(loss.topic),
            partition: loss.partition,
            from: loss.from,
            to: loss.to,
            reason: loss.reason,
        };
        Self {
            number: document.number,
            name: document.name.clone(),
            spec: document.spec.clone(),
            created: document.created,
            state: document.state,
            reason: document.reason.clone(),
            ended: document.ended,
            done,
            records,
            counts: document.counts,
            newest: document.newest,
            in_flight: 0,
            parked_now: 0,
            losses: document.losses.iter().map(loss).collect(),
        }
    }
}
