//! Starting attempts, and what their outcomes mean.

use super::{Action, Due, Halt, Lane, Start};
use crate::{
    Outcome, Outcomes, Verdict,
    backoff::{ATTEMPTS_USED_UP, Next, RETRY_AFTER_MAX, TOO_OLD, millis, next_attempt},
    breaker::{State, Turn},
    clock::Random,
    pending::{Origin, Pending},
    settings::{MEMORY_WAIT_MAX, PARKED_PAGE},
};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use store::Millis;

/// What the deliveries of a request that ended have in common.
struct Ended {
    started: Millis,
    now: Millis,
    was_probe: bool,
    /// Between 0 and 1, for the wait of those that failed.
    draw: f64,
}

/// Whether several deliveries were refused and nobody said which.
fn is_refused_together(outcomes: &Outcomes) -> bool {
    matches!(outcomes, Outcomes::Whole { sent, outcome } if *sent > 1 && outcome.verdict == Verdict::Refused)
}

impl Lane {
    /// Does everything that can be done now.
    pub(super) fn pump(&mut self, now: Millis) {
        self.breaker.tick(now);
        self.rate_at = self.held_until.filter(|until| now < *until);
        self.reordering &= !self.in_flight.is_empty();
        while self.rate_at.is_none() && self.may_attempt_parked() && self.has_slot() {
            let Some(source) = self.source(now) else { break };
            match self.bucket.take(now) {
                Ok(()) => {
                    let gathered = self.gather(source, now);
                    self.start(gathered);
                }
                Err(at) => self.rate_at = Some(at),
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

    fn start(&mut self, gathered: Vec<Pending>) {
        self.token += 1;
        let due = |pending: &Pending| Due {
            key: pending.key,
            record: pending.record.clone(),
            appended: pending.appended,
            number: pending.attempts.saturating_add(1),
            edits: pending.edits,
            version: pending.version,
        };
        self.actions.push(Action::Attempt(Start {
            token: self.token,
            dues: gathered.iter().map(due).collect(),
        }));
        self.flying += gathered.len();
        self.in_flight.insert(self.token, gathered);
    }

    pub(super) fn finished(
        &mut self,
        token: u64,
        started: Millis,
        outcomes: &Outcomes,
        now: Millis,
        random: &mut Random,
    ) {
        let Some(mut gathered) = self.in_flight.remove(&token) else {
            return;
        };
        self.flying -= gathered.len();
        for pending in gathered
            .iter_mut()
            .filter(|pending| self.reordering && pending.order.is_none())
        {
            pending.order = self.order_of(pending.key.partition, &pending.record);
        }
        if let Outcomes::NotNow { after } = outcomes {
            self.held_until = Some(now.saturating_add(millis((*after).min(RETRY_AFTER_MAX))));
        }
        let unsent = gathered.split_off(outcomes.sent().min(gathered.len()));
        let was_probe = self.breaker.state() == State::HalfOpen;
        let turn = self.judge(outcomes, now, random);
        self.put_back(unsent, now);
        if is_refused_together(outcomes) {
            return self.put_back_in_halves(gathered, now);
        }
        let ended = Ended {
            started,
            now,
            was_probe,
            // One for all: what failed together comes back together, if it waits as long.
            draw: if turn.is_some() { random.unit() } else { 0.0 },
        };
        let together = match outcomes {
            Outcomes::Whole { sent, .. } if *sent > 1 => (sent / 2).max(1),
            _ => usize::MAX,
        };
        for (index, mut pending) in gathered.into_iter().enumerate() {
            pending.together = pending.together.min(together);
            let outcome = outcomes.of(index).expect("there is one for each that was sent");
            self.ended(pending, outcome, &ended);
        }
        if turn == Some(Turn::Opened) {
            self.return_all();
        }
    }

    /// Tells the breaker of a request, once, and says what that changed if the request failed. Where the endpoint took some of
    /// the events, or refused them, it is well.
    fn judge(&mut self, outcomes: &Outcomes, now: Millis, random: &mut Random) -> Option<Turn> {
        let verdicts = (0..outcomes.sent()).filter_map(|index| Some(outcomes.of(index)?.verdict));
        let (mut answered, mut failed) = (false, None);
        for verdict in verdicts {
            match verdict {
                Verdict::Delivered | Verdict::Refused => answered = true,
                Verdict::Retry { after } => failed = failed.max(Some(after)),
                Verdict::Gone => {}
            }
        }
        if answered {
            self.breaker.succeeded();
        }
        match failed {
            Some(_) if answered => Some(Turn::Stays),
            Some(after) => Some(self.breaker.failed(after, now, random.unit())),
            None => None,
        }
    }

    /// They were not tried, and go again as soon as may be.
    fn put_back(&mut self, unsent: Vec<Pending>, now: Millis) {
        for pending in unsent.into_iter().rev() {
            match pending.origin {
                _ if !self.accepts() => self.let_go(pending),
                Origin::Parked { .. } => self.ready_parked.push_front(pending),
                Origin::Journal if pending.attempts == 0 => self.ready.push_front(pending),
                Origin::Journal => {
                    self.token += 1;
                    self.waiting.insert((now, self.token), pending);
                }
            }
        }
    }

    /// A refusal of several does not say which of them it means: each half goes by itself, at once, until the one that is meant
    /// stands alone. That was no attempt of theirs.
    fn put_back_in_halves(&mut self, mut refused: Vec<Pending>, now: Millis) {
        let half = refused.len().div_ceil(2);
        for pending in &mut refused {
            (pending.together, pending.since) = (half, 0);
        }
        self.put_back(refused, now);
    }

    fn ended(&mut self, mut pending: Pending, outcome: &Outcome, ended: &Ended) {
        self.counters.attempts.fetch_add(1, Relaxed);
        if pending.attempts > 0 {
            self.counters.retried.fetch_add(1, Relaxed);
        }
        pending.attempts = pending.attempts.saturating_add(1);
        pending.first_attempt.get_or_insert(ended.started);
        if outcome.verdict != Verdict::Delivered {
            self.counters.failed.fetch_add(1, Relaxed);
        }
        match outcome.verdict {
            Verdict::Delivered => self.delivered(pending),
            Verdict::Refused => self.bury(pending, &outcome.reason, &outcome.detail, ended.now),
            Verdict::Gone => {
                self.keep_for_later(pending, &outcome.reason, ended.now);
                self.halt(Halt::Gone);
            }
            Verdict::Retry { after } => self.failed(pending, outcome, after, ended),
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

    fn failed(&mut self, pending: Pending, outcome: &Outcome, after: Option<Duration>, ended: &Ended) {
        let now = ended.now;
        let progress = pending.progress(now);
        match next_attempt(&self.config.policy.retry, progress, after, now, ended.draw) {
            Next::AttemptsExhausted => self.give_up_on(pending, outcome, ATTEMPTS_USED_UP, now),
            Next::TooOld => self.give_up_on(pending, outcome, TOO_OLD, now),
            Next::Again { due, .. } if ended.was_probe => self.park(pending, due, &outcome.reason),
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
