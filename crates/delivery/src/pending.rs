//! One event for one subscription, while a lane holds it in memory.

use crate::{backoff::Progress, order::OrderKey};
use bytes::Bytes;
use event::EventView;
use journal::EncodedRecord;
use store::{Dead, DeliveryKey, Millis, Parked, Revision};

/// The due time of a parked row that waits for another one of its key: only the key's turn makes it due.
pub const NEVER: Millis = Millis::MAX;

/// Where a delivery in memory comes from, which is where it is still kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The journal, above the lane's position.
    Journal,
    /// A parked row, due then.
    Parked {
        /// The row's due time.
        due: Millis,
    },
}

/// A delivery.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Which one.
    pub key: DeliveryKey,
    /// The journal's record, encoded.
    pub record: Bytes,
    /// When it was appended.
    pub appended: Millis,
    /// The subscription version that matched.
    pub version: Revision,
    /// Attempts made in this round.
    pub attempts: u32,
    /// When the first of them was made.
    pub first_attempt: Option<Millis>,
    /// Whether `age` counts from it.
    pub age_from_first_attempt: bool,
    /// With `ordering: key`.
    pub order: Option<OrderKey>,
    /// How often a redrive edited it.
    pub edits: u32,
    /// Where it comes from.
    pub origin: Origin,
    /// When it came in, if it may wait for others to share a request with; else 0.
    pub since: Millis,
    /// With how many others it may share a request: fewer with each time that one failed as a whole.
    pub together: usize,
}

impl Pending {
    /// A parked row, loaded.
    pub fn from_parked(row: Parked) -> Self {
        let order = row.order.map(|hash| OrderKey {
            partition: row.key.partition,
            hash,
        });
        Self {
            key: row.key,
            record: row.record,
            appended: row.appended,
            version: row.version,
            attempts: row.attempts,
            first_attempt: row.first_attempt,
            age_from_first_attempt: row.age_from_first_attempt,
            order,
            edits: row.edits,
            origin: Origin::Parked { due: row.due },
            since: 0,
            together: usize::MAX,
        }
    }

    /// Its parked row.
    pub fn to_parked(&self, due: Millis, reason: &str) -> Parked {
        Parked {
            key: self.key,
            due,
            attempts: self.attempts,
            first_attempt: self.first_attempt,
            appended: self.appended,
            age_from_first_attempt: self.age_from_first_attempt,
            version: self.version,
            order: self.order.map(|order| order.hash),
            edits: self.edits,
            reason: reason.to_owned(),
            record: self.record.clone(),
        }
    }

    /// Its dead row.
    pub fn to_dead(&self, now: Millis, reason: &str, detail: &str) -> Dead {
        let names = EncodedRecord::from_bytes(self.record.clone()).and_then(|record| {
            let view = record.view(self.key.offset, self.appended);
            let event = EventView::from_record(view.headers(), view.value)?;
            Some((
                event.event_type().to_owned(),
                event.id().to_owned(),
                event.source().to_owned(),
            ))
        });
        let (event_type, event_id, event_source) = names.unwrap_or_default();
        let delivery = self.to_parked(now, reason);
        Dead {
            delivery,
            event_type,
            event_id,
            event_source,
            detail: detail.to_owned(),
        }
    }

    /// What the retry policy wants to know.
    pub fn progress(&self, now: Millis) -> Progress {
        Progress {
            attempts: self.attempts,
            first_attempt: self.first_attempt.unwrap_or(now),
            appended: self.appended,
            age_from_first_attempt: self.age_from_first_attempt,
        }
    }

    /// How many deliveries a request with it may hold, of at most so many. Each attempt behind it halves them: whatever makes
    /// requests fail is alone before it has cost the others much.
    pub fn together(&self, events: usize) -> usize {
        let halved = events.checked_shr(self.attempts).unwrap_or(0);
        halved.min(self.together).max(1)
    }

    /// Its bytes, as the bounds count them.
    pub fn bytes(&self) -> u64 {
        self.record.len() as u64
    }

    /// Whether it was read from the journal, not from a parked row.
    pub fn is_live(&self) -> bool {
        self.origin == Origin::Journal
    }
}
