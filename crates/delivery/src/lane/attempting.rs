//! Starting attempts, and what their outcomes mean.

use super::{Action, Halt, Lane, Start};
use crate::{
    Outcome, Verdict,
    backoff::{Next, next_attempt},
    breaker::{State, Turn},
    clock::Random,
    pending::Pending,
    settings::{MEMORY_WAIT_MAX, PARKED_PAGE},
};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use store::Millis;

/// Where the next attempt comes from.
enum Source {
    Waiting,
    Parked,
    Ready,
}

impl Lane {
    /// Does everything that can be done now.
    pub(super) fn pump(&mut self, now: Millis) {
        self.breaker.tick(now);
        self.rate_at = None;
        self.reordering &= !self.in_flight.is_empty();
        while self.may_attempt_parked() && self.has_slot() {
            let Some(source) = self.source(now) else { break };
            if let Err(at) = self.bucket.take(now) {
                self.rate_at = Some(at);
                break;
            }
            if let Some(pending) = self.take(source) {
                self.start(pending);
            }
        }
        self.load_parked(now);
        self.flush(now);
    }

    pub(super) fn has_slot(&self) -> bool {
        if self.reordering {
            return false;
        }
        let slots = match self.breaker.state() {
            State::Closed => usize::try_from(self.config.policy.concurrency).unwrap_or(usize::MAX),
            State::HalfOpen => 1,
            State::Open { .. } => 0,
        };
        self.in_flight.len() < slots
    }

    /// Whether a parked row would be attempted soon if it were in memory.
    pub(super) fn wants_parked(&self) -> bool {
        match self.breaker.state() {
            State::Closed => self.loaded.len() <= PARKED_PAGE / 2,
            State::HalfOpen => self.loaded.is_empty() && self.in_flight.is_empty(),
            State::Open { .. } => false,
        }
    }

    /// Retries first, because they hold the position; then parked and new ones in turn.
    fn source(&self, now: Millis) -> Option<Source> {
        let waited = self.waiting.first_key_value().is_some_and(|((due, _), _)| *due <= now);
        let parked_turn = self.token.is_multiple_of(2) || self.ready.is_empty();
        match (waited, self.ready_parked.is_empty(), self.ready.is_empty()) {
            (true, ..) => Some(Source::Waiting),
            (_, false, _) if parked_turn => Some(Source::Parked),
            (_, _, false) => Some(Source::Ready),
            (_, false, true) => Some(Source::Parked),
            (_, true, true) => None,
        }
    }

    fn take(&mut self, source: Source) -> Option<Pending> {
        match source {
            Source::Waiting => self.waiting.pop_first().map(|(_, pending)| pending),
            Source::Parked => self.ready_parked.pop_front(),
            Source::Ready => self.ready.pop_front(),
        }
    }

    fn start(&mut self, pending: Pending) {
        self.token += 1;
        self.actions.push(Action::Attempt(Start {
            token: self.token,
            key: pending.key,
            record: pending.record.clone(),
            appended: pending.appended,
            number: pending.attempts.saturating_add(1),
            edits: pending.edits,
            version: pending.version,
        }));
        self.counters.attempts.fetch_add(1, Relaxed);
        if pending.attempts > 0 {
            self.counters.retried.fetch_add(1, Relaxed);
        }
        self.in_flight.insert(self.token, pending);
    }

    pub(super) fn finished(&mut self, token: u64, started: Millis, outcome: Outcome, now: Millis, random: &mut Random) {
        let Some(mut pending) = self.in_flight.remove(&token) else {
            return;
        };
        if self.reordering && pending.order.is_none() {
            pending.order = self.order_of(pending.key.partition, &pending.record);
        }
        pending.attempts = pending.attempts.saturating_add(1);
        pending.first_attempt.get_or_insert(started);
        if outcome.verdict != Verdict::Delivered {
            self.counters.failed.fetch_add(1, Relaxed);
        }
        match outcome.verdict {
            Verdict::Delivered => {
                self.breaker.succeeded();
                self.delivered(pending);
            }
            Verdict::Refused => {
                self.breaker.succeeded();
                self.bury(pending, &outcome.reason, &outcome.detail, now);
            }
            Verdict::Gone => {
                self.keep_for_later(pending, &outcome.reason, now);
                self.halt(Halt::Gone);
            }
            Verdict::Retry { after } => self.failed(pending, &outcome, after, now, random),
        }
    }

    fn delivered(&mut self, pending: Pending) {
        self.counters.delivered.fetch_add(1, Relaxed);
        match pending.is_live() {
            true => {
                self.settle(pending.key);
                self.next_of_key(&pending);
            }
            false => self.unpark(pending),
        }
    }

    /// The delivery of a key is over: the next one that waits in memory may go.
    pub(super) fn next_of_key(&mut self, pending: &Pending) {
        let next = pending.order.and_then(|order| self.keys.leave(order));
        match next {
            Some(next) => self.ready.push_front(next),
            None => self.wake_head(pending.order, None),
        }
    }

    fn failed(
        &mut self,
        pending: Pending,
        outcome: &Outcome,
        after: Option<Duration>,
        now: Millis,
        random: &mut Random,
    ) {
        let was_probe = self.breaker.state() == State::HalfOpen;
        let turn = self.breaker.failed(after, now, random.unit());
        match next_attempt(
            &self.config.policy.retry,
            pending.progress(now),
            after,
            now,
            random.unit(),
        ) {
            Next::AttemptsExhausted => self.give_up_on(pending, outcome, "attempts are used up", now),
            Next::TooOld => self.give_up_on(pending, outcome, "it would be too old", now),
            Next::Again { due, .. } if was_probe => self.park(pending, due, &outcome.reason),
            // Read again, it takes its place in the order that is kept now.
            Next::Again { .. } if self.breaker.state() != State::Closed || self.reordering => {
                self.keep_for_later(pending, &outcome.reason, now);
            }
            Next::Again { due, wait } if wait < MEMORY_WAIT_MAX && pending.is_live() => {
                self.waiting.insert((due, self.token), pending);
                // Another token, so that two deliveries with one due time do not meet.
                self.token += 1;
            }
            Next::Again { due, .. } => self.park(pending, due, &outcome.reason),
        }
        if turn == Turn::Opened {
            self.return_all();
        }
    }

    fn give_up_on(&mut self, pending: Pending, outcome: &Outcome, why: &str, now: Millis) {
        let detail = match outcome.detail.is_empty() {
            true => why.to_owned(),
            false => format!("{why}; {}", outcome.detail),
        };
        self.bury(pending, &outcome.reason, &detail, now);
    }

    /// Back to the journal or to its row, with the attempts it has behind it.
    fn keep_for_later(&mut self, pending: Pending, reason: &str, now: Millis) {
        if let Some(order) = pending.order {
            self.keys
                .stop(order)
                .into_iter()
                .for_each(|behind| self.give_back(behind));
        }
        match pending.is_live() {
            true => self.give_back(pending),
            false => drop(self.park_one(pending, now, reason)),
        }
    }
}
