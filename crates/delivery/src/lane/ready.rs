//! Deliveries read from the journal that may be attempted, the one that has waited longest first; their bytes are counted as
//! they come and go.

use crate::pending::Pending;
use std::collections::VecDeque;

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Ready {
    queue: VecDeque<Pending>,
    bytes: usize,
}

impl Ready {
    /// One that just came in.
    pub(super) fn push_back(&mut self, pending: Pending) {
        self.bytes += pending.record.len();
        self.queue.push_back(pending);
    }

    /// One that has waited elsewhere. It waits here no longer than the one that it goes ahead of.
    pub(super) fn push_front(&mut self, mut pending: Pending) {
        if let Some(front) = self.queue.front() {
            pending.since = pending.since.min(front.since);
        }
        self.bytes += pending.record.len();
        self.queue.push_front(pending);
    }

    pub(super) fn pop_front(&mut self) -> Option<Pending> {
        let pending = self.queue.pop_front()?;
        self.bytes -= pending.record.len();
        Some(pending)
    }

    pub(super) fn front(&self) -> Option<&Pending> {
        self.queue.front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// All of them.
    pub(super) fn take(&mut self) -> VecDeque<Pending> {
        self.bytes = 0;
        std::mem::take(&mut self.queue)
    }
}
