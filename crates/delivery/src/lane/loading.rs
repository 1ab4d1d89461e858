//! Parked rows on their way back into memory: what is due, and what has its key's turn.

use super::{
    Action, Lane,
    writing::{Done, STORE_AGAIN_MILLIS, Write},
};
use crate::{
    backoff::{longest_wait, millis},
    breaker::State,
    order::OrderKey,
    pending::{NEVER, Origin, Pending},
    settings::{PARKED_PAGE, PARKED_PAGE_BYTES, PARKED_PROBES},
};
use store::{DeliveryKey, Millis, Operation, Parked};

impl Lane {
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
        next.into_iter().for_each(|next| self.ready.push_front(next));
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
            copy: None,
        });
    }
}
