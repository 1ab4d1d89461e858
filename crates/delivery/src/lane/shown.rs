//! What a lane tells of itself. It changes nothing.

use super::{Effects, Halt, Lane, Limit};
use crate::{breaker::State, window::Window};
use std::collections::BTreeSet;
use store::{DeliveryKey, Ending, Mark, Millis, Operation, Partition};

impl Lane {
    /// What it takes from the router now.
    pub fn limit(&self) -> Limit {
        if !self.accepts() {
            return Limit::Nothing;
        }
        match self.breaker.state() {
            State::Closed => Limit::Bounded,
            State::HalfOpen if self.in_flight.is_empty() && self.ready.is_empty() => Limit::One,
            State::Open { .. } | State::HalfOpen => Limit::Nothing,
        }
    }

    /// When to step it with [`Input::Timer`]; `None`: only when something else happens.
    pub fn deadline(&self) -> Option<Millis> {
        let mut deadline = self.write_again;
        let mut earlier = |other: Option<Millis>| deadline = [deadline, other].into_iter().flatten().min();
        if self.may_attempt_parked() {
            match self.breaker.state() {
                State::Open { until } => earlier(Some(until)),
                _ if self.rate_at.is_some() => earlier(self.rate_at),
                _ => {
                    earlier(
                        self.waiting
                            .first_key_value()
                            .map(|((due, _), _)| *due)
                            .filter(|_| self.has_slot()),
                    );
                    earlier(self.ripe_at().filter(|_| self.has_slot()));
                    earlier(self.load_deadline());
                }
            }
        }
        deadline
    }

    /// What the steps since the last call did to the outside's accounting.
    pub fn take_effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }

    /// Its oldest unsettled record in a partition: offset and append time.
    pub fn oldest(&self, partition: Partition) -> Option<(u64, Millis)> {
        self.windows.get(&partition).and_then(Window::oldest)
    }

    /// Whether the store holds marks of it in a partition.
    pub fn has_marks(&self, partition: Partition) -> bool {
        self.windows.get(&partition).is_some_and(Window::has_marks)
    }

    /// Offsets below `to` that are settled above the position; `None`: it holds some of them, so their end is open.
    pub fn known_below(&self, partition: Partition, to: u64) -> Option<BTreeSet<u64>> {
        match self.windows.get(&partition) {
            None => Some(BTreeSet::new()),
            Some(window) => (!window.holds_below(to)).then(|| window.known_below(to)),
        }
    }

    /// Offsets in a partition that it would skip if they were given to it.
    pub fn skipped(&self, partition: Partition) -> impl Iterator<Item = u64> + '_ {
        self.windows.get(&partition).into_iter().flat_map(Window::skipped)
    }

    /// The partitions that it has read in.
    pub fn partitions(&self) -> impl Iterator<Item = Partition> + '_ {
        self.windows.keys().copied()
    }

    /// Bytes of parked rows that it has in memory.
    pub fn loaded_bytes(&self) -> usize {
        self.loaded_bytes
    }

    /// Marks for what was delivered out of order, so that a good end repeats nothing.
    pub fn marks_to_leave(&self) -> Vec<Operation> {
        let subscription = self.config.subscription;
        let marks = self.windows.iter().flat_map(|(partition, window)| {
            window.unmarked().map(|offset| {
                let key = DeliveryKey {
                    subscription,
                    partition: *partition,
                    offset,
                    replay: self.config.replay,
                };
                Operation::Mark(Mark {
                    key,
                    ending: Ending::Delivered,
                })
            })
        });
        marks.collect()
    }

    /// What the last failed attempt failed with: a stable code such as `http_503`.
    pub fn failure(&self) -> &str {
        &self.failure
    }

    /// Its state in a word, and why it does not run.
    pub fn state(&self) -> (&'static str, Option<String>) {
        match (&self.halt, self.breaker.state()) {
            _ if !self.config.enabled || self.stopped => ("paused", None),
            (Some(Halt::Gone), _) => ("paused-gone", Some("the endpoint answered 410 Gone".to_owned())),
            (Some(Halt::ParkedFull), _) => ("stopped", Some("the bound of parked deliveries is reached".to_owned())),
            (Some(Halt::DeadFull), _) => ("stopped", Some("the bound of dead letters is reached".to_owned())),
            (Some(Halt::Misconfigured(reason)), _) => ("stopped", Some(reason.clone())),
            (None, State::Closed) => ("running", None),
            (None, _) => (
                "backing-off",
                Some(format!("the endpoint keeps failing: {}", self.failure)),
            ),
        }
    }

    /// Whether it has something to do that does not wait for its endpoint: if that makes no progress, the lane is stuck, or
    /// the store is out of reach.
    pub fn has_due_work(&self, now: Millis) -> bool {
        let may_start = self.may_attempt_parked() && self.has_slot() && self.rate_at.is_none();
        let waits = self.is_ripe(now) || !self.ready_parked.is_empty();
        (may_start && waits) || self.has_writes()
    }

    /// Whether nothing is in flight and nothing is on its way to the store.
    pub fn is_quiet(&self) -> bool {
        self.in_flight.is_empty() && !self.has_writes()
    }

    /// Whether what is given to it now goes straight back.
    pub fn is_closed(&self) -> bool {
        !self.accepts()
    }
}
