//! The requests that wait for the commit, in the order of acceptance, and when the next group of them may be taken.

use super::{partition::Slot, settings::Settings, shared::lock};
use crate::{Append, Appended, Error};
use smallvec::SmallVec;
use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::oneshot;

/// What becomes of a request.
pub type Outcome = Result<SmallVec<[Appended; 1]>, Error>;

/// What its caller gets back: the outcome, and the request's memory, which is freed best where it was taken.
pub type Answer = (Outcome, Append);

/// A request on its way to the commit.
#[derive(Debug)]
pub struct Request {
    /// What is to be appended.
    pub append: Append,
    /// The slot of every record's partition, in order.
    pub slots: SmallVec<[Slot; 2]>,
    /// Its size in a frame at most.
    pub encoded: usize,
    /// Who waits.
    pub answer: oneshot::Sender<Answer>,
}

impl Request {
    /// Tells its caller. One who no longer waits has chosen not to know.
    pub fn answer(self, outcome: Outcome) {
        drop(self.answer.send((outcome, self.append)));
    }
}

/// Requests that wait for the commit; bounded in count and bytes.
#[derive(Debug)]
pub struct Queue {
    /// See [`Settings::ahead_bytes`].
    ahead_bytes: usize,
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct State {
    requests: VecDeque<Request>,
    bytes: usize,
    closed: bool,
    /// Groups that were taken and are not answered.
    in_work: usize,
    /// Threads that wait for an arrival.
    waiting: usize,
    /// One of them was woken and has not looked yet.
    woken: bool,
}

impl State {
    /// Whether a group may be taken.
    fn is_ready(&self, ahead_bytes: usize) -> bool {
        !self.requests.is_empty() && (self.in_work == 0 || self.bytes >= ahead_bytes || self.closed)
    }
}

impl Queue {
    /// An empty queue.
    pub fn new(settings: &Settings) -> Self {
        Self {
            ahead_bytes: settings.ahead_bytes,
            state: Mutex::default(),
            arrived: Condvar::new(),
        }
    }

    /// Puts a request at the end, unless the queue is full or closed.
    pub fn push(&self, request: Request, settings: &Settings) -> Result<(), Error> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(Error::Closed);
        }
        let fits = state.requests.len() < settings.queue_count_max
            && (state.requests.is_empty() || state.bytes + request.encoded <= settings.queue_bytes_max);
        if !fits {
            return Err(Error::Busy {
                retry_after: settings.retry_after,
            });
        }
        state.bytes += request.encoded;
        state.requests.push_back(request);
        let wake = state.waiting > 0 && !state.woken && state.is_ready(self.ahead_bytes);
        state.woken |= wake;
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Takes requests until their bytes reach `group_bytes`, if a group may be taken; gives their bytes. If it gives any,
    /// [`finished`](Self::finished) follows.
    pub fn take(&self, group_bytes: usize, taken: &mut Vec<Request>) -> Option<usize> {
        let mut state = lock(&self.state);
        if !state.is_ready(self.ahead_bytes) {
            return None;
        }
        let mut bytes = 0;
        while bytes < group_bytes {
            let Some(request) = state.requests.pop_front() else {
                break;
            };
            bytes += request.encoded;
            taken.push(request);
        }
        state.bytes -= bytes;
        state.in_work += 1;
        Some(bytes)
    }

    /// A group that was taken is answered. Whoever says so looks for the next one.
    pub fn finished(&self) {
        lock(&self.state).in_work -= 1;
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
            if state.closed && state.requests.is_empty() {
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
        let waiting = std::mem::take(&mut state.requests);
        state.bytes = 0;
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
        (state.requests.len(), state.bytes)
    }
}
