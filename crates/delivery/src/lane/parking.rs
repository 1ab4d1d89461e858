//! What goes into the store and out of it: parked deliveries and dead letters, within their bounds.

use super::{
    Halt, Lane,
    writing::{Done, Write},
};
use crate::{
    copies::COPIES,
    order::OrderKey,
    pending::{NEVER, Pending},
};
use std::sync::atomic::Ordering::Relaxed;
use store::{Dead, DeliveryKey, Ending, Mark, Millis, Operation, Parked};

impl Lane {
    /// Puts a delivery that was under way into the store until `due`, and what waits in memory behind it until its turn.
    pub(super) fn park(&mut self, pending: Pending, due: Millis, reason: &str) {
        let behind = pending.order.map(|order| self.keys.stop(order)).unwrap_or_default();
        let mut has_room = self.park_one(pending, due, reason);
        for pending in behind {
            // None overtakes one that went back: that one would look settled.
            match has_room {
                true => has_room = self.park_behind(pending),
                false => self.give_back(pending),
            }
        }
    }

    /// Puts a delivery whose key is parked into the store until its turn; whatever is under way of the key goes on.
    pub(super) fn park_behind(&mut self, pending: Pending) -> bool {
        self.park_one(pending, NEVER, "behind_its_key")
    }

    /// At the bound the lane stops and the delivery goes back: `false`.
    pub(super) fn park_one(&mut self, pending: Pending, due: Millis, reason: &str) -> bool {
        if pending.is_live() && self.is_parked_full(pending.bytes()) {
            self.give_back(pending);
            self.halt(Halt::ParkedFull);
            return false;
        }
        let mut operations = vec![Operation::Park(pending.to_parked(due, reason))];
        if pending.is_live() {
            operations.push(mark(pending.key, Ending::Parked));
            self.holdings.parked += 1;
            self.holdings.parked_bytes += pending.bytes();
            self.counters.parked.fetch_add(1, Relaxed);
        }
        if let Some(order) = pending.order {
            self.keys.park(order, pending.key);
        }
        self.loaded.insert(pending.key);
        self.writes.push_back(Write {
            operations,
            done: Done::Parked { due },
            pending,
            copy: None,
        });
        true
    }

    /// Makes a dead letter; at the bound the lane stops and the delivery goes back.
    pub(super) fn bury(&mut self, pending: Pending, reason: &str, detail: &str, now: Millis) {
        if self.is_dead_full(pending.bytes()) {
            self.let_go(pending);
            return self.halt(Halt::DeadFull);
        }
        let key = pending.key;
        let dead = pending.to_dead(now, reason, detail);
        let copy = self.copy_of(&dead, now);
        let mut operations = vec![Operation::Bury(dead)];
        operations.extend(copy.clone().map(Operation::Park));
        if !pending.is_live() {
            operations.push(Operation::Unpark(key));
        }
        if pending.is_live() || self.is_marked(key) {
            operations.push(mark(key, Ending::Dead));
        }
        self.holdings.dead += 1;
        self.holdings.dead_bytes += pending.bytes();
        self.counters.dead_lettered.fetch_add(1, Relaxed);
        if self.is_replay() {
            self.effects.buried.0 += 1;
            self.effects.buried.1 += pending.bytes();
        }
        if pending.is_live() {
            self.next_of_key(&pending);
        }
        self.writes.push_back(Write {
            operations,
            done: Done::Buried,
            pending,
            copy,
        });
    }

    fn copy_of(&self, dead: &Dead, now: Millis) -> Option<Parked> {
        let maker = self.config.copies.as_ref()?;
        crate::copies::copy_of(dead, &maker.facts, now)
    }

    /// Copies of dead letters that are this lane's to deliver.
    pub(super) fn copied(&mut self, rows: &[Parked]) {
        for row in rows {
            let bytes = row.record.len() as u64;
            match self.owed.0.checked_sub(1) {
                Some(left) => self.owed.0 = left,
                None => self.holdings.parked += 1,
            }
            let paid = bytes.min(self.owed.1);
            self.owed.1 -= paid;
            self.holdings.parked_bytes += bytes - paid;
            self.expect_parked(row.due);
        }
    }

    /// A copy may have been loaded with others, and be gone, before it is announced: it is owed then.
    fn copy_gone(&mut self, bytes: u64) {
        self.effects.copies_went = true;
        match self.holdings.parked.checked_sub(1) {
            Some(left) => self.holdings.parked = left,
            None => self.owed.0 += 1,
        }
        let paid = bytes.min(self.holdings.parked_bytes);
        self.holdings.parked_bytes -= paid;
        self.owed.1 += bytes - paid;
        self.reopen_with_room();
    }

    /// Back to where it is kept, and those of its key that wait behind it.
    pub(super) fn let_go(&mut self, pending: Pending) {
        if let Some(order) = pending.order {
            self.keys
                .stop(order)
                .into_iter()
                .for_each(|behind| self.give_back(behind));
        }
        self.give_back(pending);
    }

    /// A parked delivery was delivered.
    pub(super) fn unpark(&mut self, pending: Pending) {
        let mut operations = vec![Operation::Unpark(pending.key)];
        if self.is_marked(pending.key) {
            operations.push(mark(pending.key, Ending::Delivered));
        }
        self.writes.push_back(Write {
            operations,
            done: Done::Unparked,
            pending,
            copy: None,
        });
    }

    fn is_parked_full(&self, more: u64) -> bool {
        let bounds = &self.config.bounds;
        let bytes = self.holdings.parked_bytes.saturating_add(more);
        self.holdings.parked >= bounds.parked_events || bytes > bounds.parked_bytes
    }

    fn is_dead_full(&self, more: u64) -> bool {
        let bounds = &self.config.bounds;
        let bytes = self.holdings.dead_bytes.saturating_add(more);
        self.holdings.dead >= bounds.dead_events || bytes > bounds.dead_bytes || self.are_copies_full()
    }

    /// Copies wait for a target that does not take them. None is dropped, so there comes no more that would need one.
    fn are_copies_full(&self) -> bool {
        let (bounds, maker) = (&self.config.bounds, self.config.copies.as_ref());
        maker.is_some_and(|maker| {
            let waiting = &maker.counters;
            waiting.parked_now.load(Relaxed) >= bounds.dead_events
                || waiting.parked_bytes_now.load(Relaxed) > bounds.dead_bytes
        })
    }

    fn is_marked(&self, key: DeliveryKey) -> bool {
        key.replay == self.config.replay
            && self
                .windows
                .get(&key.partition)
                .is_some_and(|window| window.is_marked(key.offset))
    }

    /// Nothing of a key is under way any more: its first parked row, if it is not the one that waits for its time, is next.
    pub(super) fn wake_head(&mut self, order: Option<OrderKey>, waits: Option<DeliveryKey>) {
        let head = order.and_then(|order| self.keys.turn(order));
        if let Some(head) = head.filter(|head| Some(*head) != waits && !self.loaded.contains(head)) {
            self.heads.insert(head);
        }
    }

    pub(super) fn row_gone(&mut self, pending: &Pending) {
        if self.config.replay == COPIES {
            return self.copy_gone(pending.bytes());
        }
        self.holdings.parked = self.holdings.parked.saturating_sub(1);
        self.holdings.parked_bytes = self.holdings.parked_bytes.saturating_sub(pending.bytes());
        self.reopen_with_room();
        if let Some(order) = pending.order {
            self.keys.unpark(order, pending.key);
            self.next_of_key(pending);
        }
    }

    /// Below nine tenths of its bounds a lane that stopped at one goes on.
    pub(super) fn reopen_with_room(&mut self) {
        let (bounds, held) = (&self.config.bounds, &self.holdings);
        let below = |now: u64, most: u64| now < most - most / 10;
        let has_room = match self.halt {
            Some(Halt::ParkedFull) => {
                below(held.parked, bounds.parked_events) && below(held.parked_bytes, bounds.parked_bytes)
            }
            Some(Halt::DeadFull) => {
                below(held.dead, bounds.dead_events)
                    && below(held.dead_bytes, bounds.dead_bytes)
                    && !self.are_copies_full()
            }
            _ => false,
        };
        if has_room {
            self.halt = None;
        }
    }

    pub(super) fn redriven(&mut self, rows: &[Parked]) {
        for row in rows {
            let bytes = row.record.len() as u64;
            self.holdings.parked += 1;
            self.holdings.parked_bytes += bytes;
            self.discarded(1, bytes);
            let partition = row.key.partition;
            let order = row.order.map(|hash| OrderKey { partition, hash });
            match order {
                Some(order) => {
                    self.keys.park(order, row.key);
                    self.wake_head(Some(order), None);
                }
                None => self.expect_parked(row.due),
            }
        }
    }

    pub(super) fn buried_elsewhere(&mut self, events: u64, bytes: u64) {
        self.holdings.dead += events;
        self.holdings.dead_bytes += bytes;
    }

    pub(super) fn discarded(&mut self, events: u64, bytes: u64) {
        self.holdings.dead = self.holdings.dead.saturating_sub(events);
        self.holdings.dead_bytes = self.holdings.dead_bytes.saturating_sub(bytes);
        self.reopen_with_room();
    }
}

fn mark(key: DeliveryKey, ending: Ending) -> Operation {
    Operation::Mark(Mark { key, ending })
}
