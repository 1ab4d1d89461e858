//! What goes into one request: deliveries from one queue, within the subscription's `batch` and the destination's limits.

use super::Lane;
use crate::{backoff::millis, breaker::State, pending::Pending};
use store::Millis;

/// Where the next request's deliveries come from. They are not mixed: what failed before does not drag down what is new.
#[derive(Clone, Copy)]
pub(super) enum Source {
    Waiting,
    Parked,
    Ready,
}

/// What a request may hold now.
struct Most {
    events: usize,
    bytes: usize,
}

impl Lane {
    /// A probe is one delivery.
    fn most(&self) -> Most {
        let (batch, limits) = (&self.config.policy.batch, self.config.limits);
        let events = match self.breaker.state() {
            State::Closed => usize::try_from(batch.events.unwrap_or(1))
                .unwrap_or(usize::MAX)
                .min(limits.events),
            State::Open { .. } | State::HalfOpen => 1,
        };
        let bytes = usize::try_from(batch.bytes).unwrap_or(usize::MAX).min(limits.bytes);
        Most {
            events: events.max(1),
            bytes,
        }
    }

    /// When the deliveries that came in have waited long enough for others; in the past: they have. `None`: there is none.
    pub(super) fn ripe_at(&self) -> Option<Millis> {
        let front = self.ready.front()?;
        let (most, window) = (self.most(), self.config.policy.batch.window);
        let is_full = self.ready.len() >= front.together(most.events) || self.ready.bytes() >= most.bytes;
        match is_full || window.is_zero() {
            true => Some(0),
            false => Some(front.since.saturating_add(millis(window))),
        }
    }

    /// Whether some of what came in is to be sent now.
    pub(super) fn is_ripe(&self, now: Millis) -> bool {
        self.ripe_at().is_some_and(|at| at <= now)
    }

    /// Retries first, because they hold the position; then parked and new ones in turn.
    pub(super) fn source(&self, now: Millis) -> Option<Source> {
        let is_ripe = self.is_ripe(now);
        let parked_turn = self.token.is_multiple_of(2) || !is_ripe;
        match (self.waited(now).is_some(), self.ready_parked.is_empty(), is_ripe) {
            (true, ..) => Some(Source::Waiting),
            (_, false, _) if parked_turn => Some(Source::Parked),
            (_, _, true) => Some(Source::Ready),
            (_, false, false) => Some(Source::Parked),
            (_, true, false) => None,
        }
    }

    fn waited(&self, now: Millis) -> Option<&Pending> {
        let ((due, _), pending) = self.waiting.first_key_value()?;
        (*due <= now).then_some(pending)
    }

    fn next(&self, source: Source, now: Millis) -> Option<&Pending> {
        match source {
            Source::Waiting => self.waited(now),
            Source::Parked => self.ready_parked.front(),
            Source::Ready => self.ready.front(),
        }
    }

    fn take(&mut self, source: Source) -> Option<Pending> {
        match source {
            Source::Waiting => self.waiting.pop_first().map(|(_, pending)| pending),
            Source::Parked => self.ready_parked.pop_front(),
            Source::Ready => self.ready.pop_front(),
        }
    }

    /// Takes what goes into one request, in the order of the queue; at least one, whatever its size.
    pub(super) fn gather(&mut self, source: Source, now: Millis) -> Vec<Pending> {
        let most = self.most();
        let (mut events, mut bytes, mut replay) = (most.events, 0, None);
        let mut gathered = Vec::new();
        while let Some(next) = self.next(source, now) {
            let length = next.record.len();
            let is_other = replay.is_some_and(|replay| replay != next.key.replay);
            events = events.min(next.together(most.events));
            let fits = gathered.len() < events && bytes + length <= most.bytes && !is_other;
            if !gathered.is_empty() && !fits {
                break;
            }
            (bytes, replay) = (bytes + length, Some(next.key.replay));
            gathered.extend(self.take(source));
        }
        gathered
    }
}
