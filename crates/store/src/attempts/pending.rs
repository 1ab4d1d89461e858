//! Attempts that wait to be written: bounded, never waited for. It does not know of files.

use super::{
    AttemptSettings,
    attempt::Attempt,
    block::{ATTEMPTS_MAX, RAW_BYTES_MAX},
};
use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};
use tokio::sync::watch;

/// Successful first attempts may use so much of the room; the rest is kept for those that say what went wrong.
const SUCCESS_SHARE_PERCENT: usize = 75;

pub(super) struct Pending {
    settings: AttemptSettings,
    waiting: Mutex<Waiting>,
    changed: Condvar,
    /// How many have been taken and dealt with.
    handled: watch::Sender<u64>,
}

#[derive(Default)]
struct Waiting {
    attempts: VecDeque<Attempt>,
    bytes: usize,
    /// When the first of them came.
    since: Option<Instant>,
    accepted: u64,
    /// Write up to this one without waiting for more.
    urgent: u64,
    closed: bool,
}

impl Pending {
    pub(super) fn new(settings: AttemptSettings) -> Self {
        Self {
            settings,
            waiting: Mutex::default(),
            changed: Condvar::new(),
            handled: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the attempt back when there is no room.
    pub(super) fn push(&self, mut attempt: Attempt) -> Result<(), Box<Attempt>> {
        attempt.cut();
        let share = if attempt.is_trouble() {
            100
        } else {
            SUCCESS_SHARE_PERCENT
        };
        let bytes = attempt.encoded_bytes();
        let mut waiting = self.lock();
        let full = waiting.attempts.len() >= self.settings.pending_max * share / 100
            || waiting.bytes + bytes > self.settings.pending_bytes_max * share / 100;
        if full || waiting.closed {
            return Err(Box::new(attempt));
        }
        waiting.bytes += bytes;
        waiting.accepted += 1;
        waiting.attempts.push_back(attempt);
        let first = waiting.since.is_none();
        if first {
            waiting.since = Some(Instant::now());
        }
        // The writer sleeps until the first comes, and then until its time or a full block: no wake-up in between.
        if first || waiting.is_full_block() {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Blocks until a block is due and takes it; `None` once closed and empty.
    pub(super) fn next_block(&self) -> Option<Vec<Attempt>> {
        let mut waiting = self.lock();
        loop {
            if waiting.attempts.is_empty() {
                if waiting.closed {
                    return None;
                }
                waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let age = waiting.since.map(|since| since.elapsed()).unwrap_or_default();
            let left = self.settings.wait_max.saturating_sub(age);
            if left.is_zero() || waiting.is_due() {
                return Some(waiting.take_block());
            }
            (waiting, _) = self
                .changed
                .wait_timeout(waiting, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says that a taken block is dealt with.
    pub(super) fn handled(&self, attempts: usize) {
        self.handled.send_modify(|handled| *handled += attempts as u64);
    }

    pub(super) async fn flush(&self) {
        let accepted = {
            let mut waiting = self.lock();
            waiting.urgent = waiting.accepted;
            self.changed.notify_one();
            waiting.accepted
        };
        // Its sender lives as long as this: it cannot fail.
        self.handled
            .subscribe()
            .wait_for(|handled| *handled >= accepted)
            .await
            .ok();
    }

    /// Takes nothing more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// The writer is gone: whoever waits for a flush waits no more.
    pub(super) fn abandon(&self) {
        self.close();
        let mut waiting = self.lock();
        waiting.attempts.clear();
        self.handled.send_replace(waiting.accepted);
    }
}

impl Waiting {
    fn is_full_block(&self) -> bool {
        self.attempts.len() >= ATTEMPTS_MAX || self.bytes >= RAW_BYTES_MAX
    }

    fn is_due(&self) -> bool {
        let taken = self.accepted - self.attempts.len() as u64;
        self.closed || self.urgent > taken || self.is_full_block()
    }

    fn take_block(&mut self) -> Vec<Attempt> {
        let (mut block, mut bytes) = (Vec::new(), 0);
        while block.len() < ATTEMPTS_MAX
            && bytes < RAW_BYTES_MAX
            && let Some(attempt) = self.attempts.pop_front()
        {
            bytes += attempt.encoded_bytes();
            block.push(attempt);
        }
        self.bytes -= bytes;
        self.since = (!self.attempts.is_empty()).then(Instant::now);
        block
    }
}
