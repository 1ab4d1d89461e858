//! What cannot be read any more: ranges recorded for the lanes that come there, which then go on behind them; and rests after
//! reads that failed. It decides nothing about what goes: journal and retention do.

use super::{AGAIN, REST_MAX, Recorded, Rest, Router};
use crate::{
    matching::stored,
    operational::GaveUp,
    positions::{Cursor, Mode, Saved},
};
use journal::PartitionId;
use std::{collections::BTreeSet, sync::Arc};
use store::{Operation, Range, RangeReason, SubscriptionId};
use tokio::time::Instant;

impl Router {
    /// The tail cannot be read; said once, then tried again and again.
    pub(super) fn tail_unreadable(&mut self, partition: PartitionId, from: u64, error: journal::Error) {
        if let Some(error) = self.unreadable(partition, from, error)
            && !matches!(error, journal::Error::UnknownPartition(_) | journal::Error::Closed)
        {
            tracing::warn!(%error, ?partition, "failed to read the tail; trying again");
            self.tail_again(partition);
        }
    }

    pub(super) fn tail_again(&mut self, partition: PartitionId) {
        let again = self.again.get_or_insert_with(|| (Instant::now() + AGAIN, Vec::new()));
        again.1.push(partition);
    }

    /// What is gone for good is given up; gives back an error that may pass.
    pub(super) fn unreadable(
        &mut self,
        partition: PartitionId,
        from: u64,
        error: journal::Error,
    ) -> Option<journal::Error> {
        match error {
            journal::Error::Damaged(damage) if damage.to > from => {
                self.record(partition, damage.from.min(from), damage.to, RangeReason::Damaged);
                None
            }
            journal::Error::OutOfRange { start, .. } if start > from => {
                self.record(partition, 0, start, RangeReason::Expired);
                None
            }
            error => Some(error),
        }
    }

    /// Begins to record a range for every lane that comes there. A lane that is further behind reads on to it first.
    fn record(&mut self, partition: PartitionId, first: u64, to: u64, reason: RangeReason) {
        if !self.recording.insert(partition) {
            return;
        }
        let tail = self.tails.get(&partition).copied().unwrap_or_default();
        let recorded = self.settings.clock.now();
        let (mut lanes, mut losses, mut operations) = (BTreeSet::new(), Vec::new(), Vec::new());
        for (subscription, reader) in &self.readers {
            let cursor = reader.cursors.get(&partition);
            let comes_there = cursor.filter(|cursor| comes_there(cursor, tail, first, to));
            if let Some(cursor) = comes_there.filter(|_| reader.rules.reads(partition.topic.topic)) {
                lanes.insert(*subscription);
                // What went back and lies in the range goes with it.
                let standing = reader.lane.inbox.standing(stored(partition));
                let from = cursor.position(tail, standing).clamp(first, cursor.reached(tail));
                let matched = None;
                let loss = GaveUp {
                    partition,
                    from,
                    to,
                    matched,
                    reason,
                };
                losses.push((*subscription, loss));
                operations.push(Operation::RecordRange(Range {
                    subscription: *subscription,
                    partition: stored(partition),
                    from,
                    to,
                    matched,
                    reason,
                    recorded,
                }));
            }
        }
        let (store, bus) = (Arc::clone(&self.store), partition.topic.bus);
        tracing::error!(
            ?partition,
            to,
            ?reason,
            lanes = lanes.len(),
            "records cannot be read any more"
        );
        self.ranges.spawn(async move {
            let result = store.apply(bus, operations).await.map(drop);
            Recorded {
                partition,
                first,
                to,
                lanes,
                losses,
                result,
            }
        });
    }

    pub(super) fn recorded(&mut self, recorded: Option<Recorded>) {
        let Some(recorded) = recorded else {
            tracing::error!("the record of a range broke off");
            let all: Vec<_> = std::mem::take(&mut self.recording).into_iter().collect();
            self.hungry.extend(self.readers.keys());
            return self.mark_changed(all);
        };
        let Recorded { partition, .. } = recorded;
        self.recording.remove(&partition);
        match &recorded.result {
            Ok(()) => {
                self.pass(&recorded);
                for (subscription, loss) in recorded.losses {
                    self.reporter.gave_up(subscription, loss);
                }
                self.mark_changed(vec![partition]);
            }
            Err(error) => {
                tracing::warn!(%error, ?partition, "failed to record a range; trying again");
                for subscription in &recorded.lanes {
                    self.rest(partition, *subscription);
                }
                self.tail_again(partition);
            }
        }
        self.hungry.extend(self.readers.keys());
    }

    /// Lanes go on behind a range that is recorded for them.
    fn pass(&mut self, recorded: &Recorded) {
        let Recorded {
            partition,
            first,
            to,
            ref lanes,
            ..
        } = *recorded;
        let tail = self.tails.get(&partition).copied().unwrap_or_default();
        for (subscription, reader) in &mut self.readers {
            let Some(cursor) = reader.cursors.get_mut(&partition) else {
                continue;
            };
            if !comes_there(cursor, tail, first, to) {
                continue;
            }
            self.troubled.insert(*subscription);
            let is_concerned = reader.rules.reads(partition.topic.topic);
            if lanes.contains(subscription) || !is_concerned {
                cursor.read = to;
                cursor.frontier = cursor.frontier.max(to);
                reader.lane.gave_up(stored(partition), first, to);
            } else {
                // It came there since: it does not leap with the tail, and gets a range of its own.
                cursor.read = cursor.reached(tail);
                cursor.mode = Mode::Behind;
            }
            self.rests.remove(&(partition, *subscription));
            self.view.was_read(partition, Some(*subscription), None);
        }
        if (first..to).contains(&tail) {
            self.tails.insert(partition, to);
            self.view.set_tail(partition, to);
        }
        self.will_save();
    }

    /// Frozen lanes, whose ranges and rows others have written, go on behind what retention removes.
    pub(super) fn skip_frozen(&mut self, partition: PartitionId, to: u64, lanes: &BTreeSet<SubscriptionId>) {
        for subscription in lanes {
            let Some(reader) = self.readers.get_mut(subscription) else {
                continue;
            };
            self.troubled.insert(*subscription);
            if let Some(cursor) = reader.cursors.get_mut(&partition) {
                cursor.read = cursor.read.max(to);
                cursor.frontier = cursor.frontier.max(to);
                cursor.saved = Saved::Unknown;
            }
            reader.lane.gave_up(stored(partition), 0, to);
        }
        if let Some(tail) = self.tails.get_mut(&partition).filter(|tail| **tail < to) {
            *tail = to;
            self.view.set_tail(partition, to);
        }
        self.will_save();
    }

    /// A frozen lane goes on where a person wants it to; the tail, and with it everybody else, stays where it is.
    pub(super) fn skip_to(&mut self, subscription: SubscriptionId, places: &[(PartitionId, u64)]) {
        let Some(reader) = self.readers.get_mut(&subscription) else {
            return;
        };
        self.troubled.insert(subscription);
        for (partition, to) in places {
            if let Some(cursor) = reader.cursors.get_mut(partition) {
                cursor.read = cursor.read.max(*to);
                cursor.frontier = cursor.frontier.max(*to);
                cursor.saved = Saved::Unknown;
            }
            reader.lane.gave_up(stored(*partition), 0, *to);
            self.rests.remove(&(*partition, subscription));
        }
        self.will_save();
    }

    /// A scan for a lane failed: it is not scanned for there for a while, longer each time.
    pub(super) fn rest(&mut self, partition: PartitionId, subscription: SubscriptionId) {
        let rest = self.rests.entry((partition, subscription)).or_insert(Rest {
            until: None,
            wait: AGAIN / 2,
        });
        rest.wait = (rest.wait * 2).min(REST_MAX);
        rest.until = Some(Instant::now() + rest.wait);
    }

    pub(super) fn is_resting(&self, partition: PartitionId, subscription: SubscriptionId) -> bool {
        let rest = self.rests.get(&(partition, subscription));
        rest.is_some_and(|rest| rest.until.is_some()) || self.recording.contains(&partition)
    }

    /// Rests that are over.
    pub(super) fn wake(&mut self) {
        let now = Instant::now();
        for ((_, subscription), rest) in &mut self.rests {
            if rest.until.is_some_and(|until| until <= now) {
                rest.until = None;
                self.hungry.insert(*subscription);
            }
        }
    }
}

fn comes_there(cursor: &Cursor, tail: u64, first: u64, to: u64) -> bool {
    cursor.mode != Mode::Scanning && (first..to).contains(&cursor.reached(tail))
}
