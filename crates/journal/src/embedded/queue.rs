//! The requests that wait for the commit, in the order of acceptance, and when the next group of them may be taken.

use super::{
    requests::{Incoming, Requests},
    settings::Settings,
    shared::lock,
};
use crate::Error;
use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// After so many groups of one request a caller that finds nothing waiting and nothing in work commits by itself: it seems to be
/// alone, and a thread of the commit would only be woken to wake it again. Where there are more, whoever comes meanwhile
/// makes the group larger.
const LONE_GROUPS: u32 = 4;

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
    /// One of them is a caller's own.
    is_led: bool,
    /// How many groups of one request were taken since the last larger one.
    lone: u32,
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

    /// Whether the next request is to be committed by its caller.
    fn is_lone(&self) -> bool {
        self.lone >= LONE_GROUPS && self.count == 0 && self.in_work == 0
    }

    /// Lets the first group go to work, if there is one.
    fn pop(&mut self) -> Option<Requests> {
        let taken = self.groups.pop_front()?;
        self.count -= taken.requests.len();
        self.bytes -= taken.encoded;
        self.in_work += 1;
        self.lone = match taken.requests.len() {
            1 => self.lone.saturating_add(1),
            _ => 0,
        };
        Some(taken)
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

    /// Puts a request at the end, unless the queue is full or closed. True for a caller that is alone and may commit by itself:
    /// no thread was told of the request, so [`take_lone`](Self::take_lone) or [`tell`](Self::tell) follows.
    pub fn push(&self, request: Incoming, settings: &Settings, may_lead: impl FnOnce() -> bool) -> Result<bool, Error> {
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
        let leads = state.is_lone() && may_lead();
        state.count += 1;
        state.bytes += request.encoded;
        let freed = state.filling(self.group_bytes).push(request);
        self.tell_one(state, !leads);
        drop(freed);
        Ok(leads)
    }

    /// Takes what waits for a caller that was told to commit by itself, if nobody else has taken it. If there was something,
    /// [`led`](Self::led) follows.
    pub fn take_lone(&self) -> Option<Requests> {
        let mut state = lock(&self.state);
        if state.in_work > 0 {
            return None;
        }
        let taken = state.pop()?;
        state.is_led = true;
        Some(taken)
    }

    /// A caller has answered its group, whose memory comes back; what waits meanwhile is for a thread.
    pub fn led(&self, empty: Requests) {
        let mut state = lock(&self.state);
        state.in_work -= 1;
        state.is_led = false;
        state.keep(empty);
        if state.closed {
            // Threads wait for this before they end.
            self.arrived.notify_all();
        }
        self.tell_one(state, true);
    }

    /// A caller that was told to commit by itself does not.
    pub fn tell(&self) {
        self.tell_one(lock(&self.state), true);
    }

    /// Wakes a thread if there is something for it, and one that nobody has woken.
    fn tell_one(&self, mut state: MutexGuard<'_, State>, is_theirs: bool) {
        let wake = is_theirs && state.waiting > 0 && !state.woken && state.is_ready(self.ahead_bytes);
        state.woken |= wake;
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
    }

    /// Takes a group, if one may be taken, in exchange for an empty one. If there was one, [`finished`](Self::finished)
    /// follows.
    pub fn take(&self, group: &mut Requests) -> bool {
        let mut state = lock(&self.state);
        if !state.is_ready(self.ahead_bytes) {
            return false;
        }
        let taken = state.pop().expect("something waits");
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

    /// Waits for a group that may be taken, or the end; false at the end, when nothing is left and no caller commits.
    pub fn wait(&self) -> bool {
        let mut state = lock(&self.state);
        loop {
            if state.is_ready(self.ahead_bytes) {
                return true;
            }
            if state.closed && state.count == 0 && !state.is_led {
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
        (state.count, state.bytes, state.is_led) = (0, 0, false);
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
