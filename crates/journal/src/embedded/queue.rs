//! The requests that wait for the commit, in the order of acceptance, and when the next group of them may be taken.

use super::{
    requests::{Incoming, Requests},
    settings::Settings,
    shared::lock,
};
use crate::Error;
use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

/// Memory of groups that is kept for the next ones: one that fills, one ahead, one that is written and one that is answered.
const SPARE_MAX: usize = 4;

/// Requests that wait for the commit; bounded in count and bytes.
#[derive(Debug)]
pub struct Queue {
    /// See [`Settings::ahead_bytes`].
    ahead_bytes: usize,
    /// Where a group closes.
    group_bytes: usize,
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Groups that fill, one after the other; none of them is empty.
    groups: VecDeque<Requests>,
    count: usize,
    bytes: usize,
    closed: bool,
    /// Groups that were taken and are not answered.
    in_work: usize,
    /// Threads that wait for an arrival.
    waiting: usize,
    /// One of them was woken and has not looked yet.
    woken: bool,
    /// Memory for further groups.
    spare: Vec<Requests>,
}

impl State {
    /// Whether a group may be taken.
    fn is_ready(&self, ahead_bytes: usize) -> bool {
        self.count > 0 && (self.in_work == 0 || self.bytes >= ahead_bytes || self.closed)
    }
}

impl State {
    /// The group that takes the next request: it closes at `group_bytes` or at the request that crosses it.
    fn filling(&mut self, group_bytes: usize) -> &mut Requests {
        if self.groups.back().is_none_or(|last| last.encoded >= group_bytes) {
            self.groups.push_back(self.spare.pop().unwrap_or_default());
        }
        self.groups.back_mut().expect("one was pushed")
    }

    fn keep(&mut self, empty: Requests) {
        if self.spare.len() < SPARE_MAX {
            self.spare.push(empty);
        }
    }
}

impl Queue {
    /// An empty queue.
    pub fn new(settings: &Settings) -> Self {
        Self {
            ahead_bytes: settings.ahead_bytes,
            group_bytes: settings.group_bytes(),
            state: Mutex::default(),
            arrived: Condvar::new(),
        }
    }

    /// Puts a request at the end, unless the queue is full or closed.
    pub fn push(&self, request: Incoming, settings: &Settings) -> Result<(), Error> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(Error::Closed);
        }
        let fits = state.count < settings.queue_count_max
            && (state.count == 0 || state.bytes + request.encoded <= settings.queue_bytes_max);
        if !fits {
            return Err(Error::Busy {
                retry_after: settings.retry_after,
            });
        }
        state.count += 1;
        state.bytes += request.encoded;
        let freed = state.filling(self.group_bytes).push(request);
        let wake = state.waiting > 0 && !state.woken && state.is_ready(self.ahead_bytes);
        state.woken |= wake;
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
        drop(freed);
        Ok(())
    }

    /// Takes a group, if one may be taken, in exchange for an empty one. If there was one, [`finished`](Self::finished)
    /// follows.
    pub fn take(&self, group: &mut Requests) -> bool {
        let mut state = lock(&self.state);
        if !state.is_ready(self.ahead_bytes) {
            return false;
        }
        let taken = state.groups.pop_front().expect("something waits");
        state.count -= taken.requests.len();
        state.bytes -= taken.encoded;
        state.in_work += 1;
        let empty = std::mem::replace(group, taken);
        state.keep(empty);
        true
    }

    /// A group that was taken is answered. Whoever says so looks for the next one.
    pub fn finished(&self) {
        lock(&self.state).in_work -= 1;
    }

    /// Gives memory back that no group needs now.
    pub fn release_unused(&self) {
        let spare = std::mem::take(&mut lock(&self.state).spare);
        drop(spare);
    }

    /// Waits at most this long for a group that may be taken, or the end; true if neither came.
    pub fn is_quiet_for(&self, time: Duration) -> bool {
        let mut state = lock(&self.state);
        state.waiting += 1;
        let quiet = |state: &mut State| {
            // Whoever arrives next may wake a thread again.
            state.woken = false;
            !state.is_ready(self.ahead_bytes) && !state.closed
        };
        let waited = self.arrived.wait_timeout_while(state, time, quiet);
        let (mut state, ended) = waited.unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        drop(state);
        ended.timed_out()
    }

    /// Waits for a group that may be taken, or the end; false at the end, when nothing is left.
    pub fn wait(&self) -> bool {
        let mut state = lock(&self.state);
        loop {
            if state.is_ready(self.ahead_bytes) {
                return true;
            }
            if state.closed && state.count == 0 {
                return false;
            }
            state.waiting += 1;
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
            state.woken = false;
        }
    }

    /// Refuses everything from here on.
    pub fn close(&self) {
        lock(&self.state).closed = true;
        self.wake();
    }

    /// Refuses everything from here on, and lets go of what waits.
    pub fn abandon(&self) {
        self.close();
        let mut state = lock(&self.state);
        let waiting = std::mem::take(&mut state.groups);
        (state.count, state.bytes) = (0, 0);
        // Whoever waits learns it by the closed channel.
        drop(state);
        drop(waiting);
    }

    /// Lets waiting threads look again.
    pub fn wake(&self) {
        drop(lock(&self.state));
        self.arrived.notify_all();
    }

    /// Count and bytes that wait.
    pub fn size(&self) -> (usize, usize) {
        let state = lock(&self.state);
        (state.count, state.bytes)
    }
}
