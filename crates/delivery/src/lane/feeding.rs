//! Records coming in from the router, and going back to the journal.

use super::{Fed, Lane};
use crate::{
    order::{OrderKey, Turn},
    pending::{NEVER, Origin, Pending},
    window::{Admission, Dropped, Released, Tried},
};
use bytes::Bytes;
use control::resources::Ordering;
use std::{collections::BTreeSet, sync::atomic::Ordering::Relaxed};
use store::{DeliveryKey, Millis, Partition};

impl Lane {
    pub(super) fn feed(&mut self, fed: Vec<Fed>, now: Millis) {
        for record in fed {
            self.effects.touched.insert(record.partition);
            let window = self.windows.entry(record.partition).or_default();
            let tried = match window.admit(record.offset, record.record.len(), record.appended) {
                Admission::New => {
                    self.counters.matched.fetch_add(1, Relaxed);
                    self.counters.unsettled.fetch_add(1, Relaxed);
                    Tried::default()
                }
                Admission::Again(tried) => tried,
                Admission::Skip => {
                    self.effects.released += Released {
                        events: 1,
                        bytes: record.record.len(),
                        held: 1,
                    };
                    continue;
                }
            };
            let pending = self.pending(record, tried, now);
            // Taking one in may have closed the lane for the next.
            match self.accepts() {
                true => self.enter(pending),
                false => self.give_back(pending),
            }
        }
    }

    fn pending(&self, fed: Fed, tried: Tried, now: Millis) -> Pending {
        let key = DeliveryKey {
            subscription: self.config.subscription,
            partition: fed.partition,
            offset: fed.offset,
            replay: self.config.replay,
        };
        let order = self.order_of(fed.partition, &fed.record);
        Pending {
            key,
            record: fed.record,
            appended: fed.appended,
            version: fed.version,
            attempts: tried.attempts,
            first_attempt: tried.first_attempt,
            age_from_first_attempt: self.is_replay() || fed.appended < self.config.created,
            order,
            edits: 0,
            origin: Origin::Journal,
            since: if tried.attempts == 0 { now } else { 0 },
            together: usize::MAX,
        }
    }

    /// What it is ordered by, with `ordering: key`.
    pub(super) fn order_of(&self, partition: Partition, record: &Bytes) -> Option<OrderKey> {
        let is_ordered = self.config.policy.ordering == Ordering::Key;
        is_ordered.then(|| OrderKey::of(partition, record)).flatten()
    }

    fn enter(&mut self, pending: Pending) {
        let Some(order) = pending.order else {
            return self.ready.push_back(pending);
        };
        let offset = pending.key.offset;
        match self.keys.enter(order, offset, pending) {
            (Turn::Now, Some(pending)) => self.ready.push_back(pending),
            (Turn::Park, Some(pending)) => drop(self.park_behind(pending)),
            (Turn::Settled, Some(pending)) => self.settle(pending.key),
            (_, None) | (Turn::Behind, Some(_)) => {}
        }
    }

    /// A live delivery is over, or safe in the store.
    pub(super) fn settle(&mut self, key: DeliveryKey) {
        if let Some(window) = self.windows.get_mut(&key.partition) {
            let released = window.settle(key.offset);
            self.counters.unsettled.fetch_sub(released.held as u64, Relaxed);
            self.effects.released += released;
            self.effects.touched.insert(key.partition);
        }
    }

    /// Lets a delivery go without an end: the journal or its parked row still has it.
    pub(super) fn give_back(&mut self, pending: Pending) {
        let Pending {
            key,
            attempts,
            first_attempt,
            ..
        } = pending;
        match pending.origin {
            Origin::Journal => {
                let Some(window) = self.windows.get_mut(&key.partition) else {
                    return;
                };
                self.effects.released += window.give_back(
                    key.offset,
                    Tried {
                        attempts,
                        first_attempt,
                    },
                );
                self.effects.touched.insert(key.partition);
                let from = self.effects.rewound.entry(key.partition).or_insert(key.offset);
                *from = key.offset.min(*from);
            }
            Origin::Parked { due } => {
                self.loaded.remove(&key);
                self.loaded_bytes -= pending.record.len();
                match due {
                    NEVER => drop(self.heads.insert(key)),
                    due => self.expect_parked(due),
                }
            }
        }
    }

    /// Everything in memory that is not in flight goes back.
    pub(super) fn return_all(&mut self) {
        let waiting = std::mem::take(&mut self.waiting).into_values();
        let ready = self.ready.take().into_iter();
        let parked = std::mem::take(&mut self.ready_parked).into_iter();
        let leaders: Vec<_> = waiting.chain(ready).chain(parked).collect();
        for pending in leaders {
            if let Some(order) = pending.order {
                self.keys
                    .stop(order)
                    .into_iter()
                    .for_each(|behind| self.give_back(behind));
            }
            self.give_back(pending);
        }
        self.keys
            .drain_waiting()
            .into_iter()
            .for_each(|behind| self.give_back(behind));
        self.rate_at = None;
    }

    pub(super) fn saved(&mut self, positions: &[(Partition, u64)]) {
        for (partition, below) in positions {
            if let Some(window) = self.windows.get_mut(partition) {
                window.clear_marks(*below);
                self.effects.touched.insert(*partition);
            }
        }
    }

    pub(super) fn gave_up(&mut self, partition: Partition, from: u64, to: u64) {
        if to == u64::MAX {
            // The whole partition is gone: what waits is not attempted any more.
            self.return_all();
        }
        self.effects.touched.insert(partition);
        if let Some(window) = self.windows.get_mut(&partition) {
            let dropped = window.give_up(from, to);
            self.drop_counted(dropped);
        }
    }

    /// What went back and is not wanted any more does not belong to the replay.
    pub(super) fn read_again(&mut self, partition: Partition, from: u64, to: u64, wanted: &BTreeSet<u64>) {
        self.effects.touched.insert(partition);
        if let Some(window) = self.windows.get_mut(&partition) {
            let dropped = window.want_only(from, to, wanted);
            self.counters.matched.fetch_sub(dropped.events, Relaxed);
            self.drop_counted(dropped);
        }
    }

    fn drop_counted(&mut self, dropped: Dropped) {
        self.counters.unsettled.fetch_sub(dropped.events, Relaxed);
        self.effects.released += dropped.released;
    }
}
