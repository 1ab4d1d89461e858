//! Rows in the store: parking, dead letters, loading what is due, and the writes' way there and back.

use super::{Action, Halt, Lane};
use crate::{
    backoff::{longest_wait, millis},
    breaker::State,
    order::OrderKey,
    pending::{NEVER, Origin, Pending},
    settings::{LANE_OPERATIONS_MAX, PARKED_PAGE, PARKED_PAGE_BYTES, PARKED_PROBES},
};
use std::sync::atomic::Ordering::Relaxed;
use store::{DeliveryKey, Document, Ending, Expect, Kind, Mark, Millis, Operation, Parked, SubscriptionId};

/// How long after a failed store call the next one is made.
const STORE_AGAIN_MILLIS: Millis = 1_000;

/// Operations of one delivery, and what is true once they are durable.
#[derive(Debug)]
pub(super) struct Write {
    operations: Vec<Operation>,
    done: Done,
    pending: Pending,
}

#[derive(Clone, Copy, Debug)]
enum Done {
    /// It has a parked row.
    Parked { due: Millis },
    /// It has a dead row, and none that is parked.
    Buried,
    /// Its parked row is gone.
    Unparked,
}

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
        let mut operations = vec![Operation::Bury(pending.to_dead(now, reason, detail))];
        if !pending.is_live() {
            operations.push(Operation::Unpark(key));
        }
        if pending.is_live() || self.is_marked(key) {
            operations.push(mark(key, Ending::Dead));
        }
        self.holdings.dead += 1;
        self.holdings.dead_bytes += pending.bytes();
        self.counters.dead_lettered.fetch_add(1, Relaxed);
        if pending.is_live() {
            self.next_of_key(&pending);
        }
        self.writes.push_back(Write {
            operations,
            done: Done::Buried,
            pending,
        });
    }

    fn let_go(&mut self, pending: Pending) {
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
        self.holdings.dead >= bounds.dead_events || bytes > bounds.dead_bytes
    }

    fn is_marked(&self, key: DeliveryKey) -> bool {
        key.replay == 0
            && self
                .windows
                .get(&key.partition)
                .is_some_and(|window| window.is_marked(key.offset))
    }

    /// Whether something is on its way to the store, or has to go there.
    pub(super) fn has_writes(&self) -> bool {
        self.is_writing() || !self.writes.is_empty() || self.is_gone() != self.gone_saved
    }

    fn is_writing(&self) -> bool {
        !self.writing.is_empty() || self.gone_writing.is_some()
    }

    /// Begins a transaction with what has gathered, unless one is under way.
    pub(super) fn flush(&mut self, now: Millis) {
        if self.is_writing() || self.write_again.is_some_and(|at| now < at) {
            return;
        }
        self.write_again = None;
        let mut operations = Vec::new();
        if self.is_gone() != self.gone_saved {
            self.gone_writing = Some(self.is_gone());
            operations.push(gone_operation(self.config.subscription, self.is_gone()));
        }
        let mut count = 0;
        while count < LANE_OPERATIONS_MAX
            && let Some(write) = self.writes.pop_front()
        {
            count += write.operations.len();
            self.writing.push(write);
        }
        let writing = self.writing.iter();
        operations.extend(writing.flat_map(|write| write.operations.iter().cloned()));
        if !operations.is_empty() {
            self.actions.push(Action::Apply(operations));
        }
    }

    pub(super) fn written(&mut self, result: Result<(), store::Error>, now: Millis) {
        let writing = std::mem::take(&mut self.writing);
        let gone = self.gone_writing.take();
        match result {
            Ok(()) => {
                self.gone_saved = gone.unwrap_or(self.gone_saved);
                writing.into_iter().for_each(|write| self.done(write));
            }
            Err(_) => {
                // Nothing was changed, and nothing is forgotten: the same operations are tried again, in order.
                writing
                    .into_iter()
                    .rev()
                    .for_each(|write| self.writes.push_front(write));
                self.write_again = Some(now + STORE_AGAIN_MILLIS);
            }
        }
    }

    fn done(&mut self, write: Write) {
        let Write { done, pending, .. } = write;
        if self.loading {
            self.stale.insert(pending.key);
        }
        self.loaded.remove(&pending.key);
        if !pending.is_live() {
            self.loaded_bytes -= pending.record.len();
        }
        if pending.is_live() {
            if let Some(window) = self.windows.get_mut(&pending.key.partition) {
                window.mark(pending.key.offset);
            }
            self.settle(pending.key);
        }
        match done {
            // The one it waited for may have ended while this row was on its way.
            Done::Parked { due: NEVER } => self.wake_head(pending.order, None),
            Done::Parked { due } => {
                self.expect_parked(due);
                self.wake_head(pending.order, Some(pending.key));
            }
            Done::Buried | Done::Unparked if !pending.is_live() => self.row_gone(&pending),
            Done::Buried | Done::Unparked => {}
        }
    }

    /// Nothing of a key is under way any more: its first parked row, if it is not the one that waits for its time, is next.
    pub(super) fn wake_head(&mut self, order: Option<OrderKey>, waits: Option<DeliveryKey>) {
        let head = order.and_then(|order| self.keys.turn(order));
        if let Some(head) = head.filter(|head| Some(*head) != waits && !self.loaded.contains(head)) {
            self.heads.insert(head);
        }
    }

    fn row_gone(&mut self, pending: &Pending) {
        self.holdings.parked = self.holdings.parked.saturating_sub(1);
        self.holdings.parked_bytes = self.holdings.parked_bytes.saturating_sub(pending.bytes());
        self.reopen_with_room();
        if let Some(order) = pending.order {
            self.keys.unpark(order, pending.key);
            self.next_of_key(pending);
        }
    }

    /// Below nine tenths of its bounds a lane that stopped at one goes on.
    fn reopen_with_room(&mut self) {
        let (bounds, held) = (&self.config.bounds, &self.holdings);
        let below = |now: u64, most: u64| now < most - most / 10;
        let has_room = match self.halt {
            Some(Halt::ParkedFull) => {
                below(held.parked, bounds.parked_events) && below(held.parked_bytes, bounds.parked_bytes)
            }
            Some(Halt::DeadFull) => below(held.dead, bounds.dead_events) && below(held.dead_bytes, bounds.dead_bytes),
            _ => false,
        };
        if has_room {
            self.halt = None;
        }
    }

    /// A parked row that is not in memory may be due then.
    pub(super) fn expect_parked(&mut self, due: Millis) {
        self.parked_due = Some(self.parked_due.map_or(due, |other| other.min(due)));
    }

    /// When rows are to be asked for, if nothing else happens before.
    pub(super) fn load_deadline(&self) -> Option<Millis> {
        let due = if self.heads.is_empty() {
            self.parked_due
        } else {
            Some(0)
        };
        let wanted = due.filter(|_| !self.loading && self.wants_parked())?;
        Some(self.load_again.map_or(wanted, |at| at.max(wanted)))
    }

    /// Asks for rows that are due, if there is use for them.
    pub(super) fn load_parked(&mut self, now: Millis) {
        let is_early = self.load_again.is_some_and(|at| now < at);
        if is_early || self.loading || !self.may_attempt_parked() || !self.wants_parked() {
            return;
        }
        self.load_again = None;
        // One that is in memory, or on its way into the store, needs no loading.
        while let Some(head) = self.heads.pop_first() {
            if self.loaded.insert(head) {
                self.loading = true;
                return self.actions.push(Action::LoadHead(head));
            }
        }
        if self.parked_due.is_some_and(|due| due <= now) {
            self.loading = true;
            self.parked_due = None;
            let page = match self.breaker.state() {
                State::Closed => self.parked_page(),
                State::HalfOpen | State::Open { .. } => PARKED_PROBES,
            };
            let limit = self.loaded.len() + page;
            self.actions.push(Action::LoadParked { limit });
        }
    }

    /// How many rows are loaded at once: bounded in bytes by what they measure on average.
    fn parked_page(&self) -> usize {
        let average = (self.holdings.parked_bytes / self.holdings.parked.max(1)).max(1);
        usize::try_from(PARKED_PAGE_BYTES / average).map_or(PARKED_PAGE, |rows| rows.clamp(PARKED_PROBES, PARKED_PAGE))
    }

    pub(super) fn rows_loaded(&mut self, limit: usize, rows: Result<Vec<Parked>, store::Error>, now: Millis) {
        self.loading = false;
        let stale = std::mem::take(&mut self.stale);
        let Ok(rows) = rows else {
            self.load_again = Some(now + STORE_AGAIN_MILLIS);
            return self.expect_parked(now);
        };
        let is_full = rows.len() >= limit;
        for row in rows {
            if !self.is_due(&row, now) {
                return self.expect_parked(row.due);
            }
            if stale.contains(&row.key) {
                self.expect_parked(now);
            } else if !self.loaded.contains(&row.key) {
                self.take_row(row);
            }
        }
        if is_full {
            self.expect_parked(now);
        }
    }

    pub(super) fn head_loaded(&mut self, key: DeliveryKey, row: Result<Option<Parked>, store::Error>, now: Millis) {
        self.loading = false;
        self.loaded.remove(&key);
        let is_stale = std::mem::take(&mut self.stale).contains(&key);
        match row {
            _ if is_stale => drop(self.heads.insert(key)),
            Ok(Some(row)) if self.is_due(&row, now) => self.take_row(row),
            Ok(Some(row)) => {
                self.expect_parked(row.due);
                let partition = row.key.partition;
                self.pass_on(row.order.map(|hash| OrderKey { partition, hash }));
            }
            // Nothing to wait for.
            Ok(None) => {
                let order = self.keys.forget(key);
                self.pass_on(order);
                self.wake_head(order, None);
            }
            Err(_) => {
                self.heads.insert(key);
                self.load_again = Some(now + STORE_AGAIN_MILLIS);
            }
        }
    }

    /// A parked delivery does not take its turn: what waits in memory goes on.
    fn pass_on(&mut self, order: Option<OrderKey>) {
        let next = order.and_then(|order| self.keys.pass(order));
        self.ready.extend(next);
    }

    /// Whether its time has come; one that lies further off than anybody can have meant was written by a clock that was ahead.
    fn is_due(&self, row: &Parked, now: Millis) -> bool {
        let longest = millis(longest_wait(&self.config.policy.retry));
        row.due <= now || row.due > now.saturating_add(longest)
    }

    fn take_row(&mut self, row: Parked) {
        self.loaded_bytes += row.record.len();
        let pending = Pending::from_parked(row);
        if !self.may_attempt_parked() {
            return self.give_back(pending);
        }
        self.loaded.insert(pending.key);
        match pending.order {
            Some(order) if !self.keys.enter_parked(order, pending.key) => self.block(pending, order),
            _ => self.ready_parked.push_back(pending),
        }
    }

    /// A row that is due although another one of its key goes first: it waits for its turn instead, which wakes it.
    fn block(&mut self, pending: Pending, order: OrderKey) {
        self.keys.park(order, pending.key);
        if pending.origin == (Origin::Parked { due: NEVER }) {
            self.loaded.remove(&pending.key);
            self.loaded_bytes -= pending.record.len();
            return;
        }
        let operations = vec![Operation::Park(pending.to_parked(NEVER, "behind_its_key"))];
        self.writes.push_back(Write {
            operations,
            done: Done::Parked { due: NEVER },
            pending,
        });
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

    pub(super) fn discarded(&mut self, events: u64, bytes: u64) {
        self.holdings.dead = self.holdings.dead.saturating_sub(events);
        self.holdings.dead_bytes = self.holdings.dead_bytes.saturating_sub(bytes);
        self.reopen_with_room();
    }
}

fn mark(key: DeliveryKey, ending: Ending) -> Operation {
    Operation::Mark(Mark { key, ending })
}

/// Persisted; the name of the setting that says that a subscription's endpoint is gone, before its number.
const GONE: &str = "gone/";

/// The name of that setting.
pub fn gone_name(subscription: SubscriptionId) -> String {
    format!("{GONE}{subscription}")
}

/// The subscription whose endpoint a document says is gone, if it says so.
pub fn gone_subscription(document: &Document) -> Option<SubscriptionId> {
    let is_setting = document.kind == Kind::Setting;
    document.name.strip_prefix(GONE).filter(|_| is_setting)?.parse().ok()
}

fn gone_operation(subscription: SubscriptionId, is_gone: bool) -> Operation {
    let (bus, kind, name, expect) = (0, Kind::Setting, gone_name(subscription), Expect::Any);
    match is_gone {
        true => Operation::PutDocument {
            bus,
            kind,
            name,
            expect,
            body: bytes::Bytes::from_static(br#"{"format":1}"#),
        },
        false => Operation::DeleteDocument {
            bus,
            kind,
            name,
            expect,
        },
    }
}
