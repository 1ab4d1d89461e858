//! A lane's decisions: what is attempted when, what waits, parks, dies, or goes back to the journal. A state machine without
//! I/O: inputs, the time and randomness in, actions out, so that a simulator can step it. [`crate::lane_task`] does what it
//! says. It does not match, read the journal or know other lanes.
//!
//! ```text
//!  journal ──feed──▶ ready ──┐                   ┌─▶ settled
//!                            ├─▶ in flight ──────┼─▶ waiting (< 10 s) ─▶ ready
//!  store ──load──▶ parked ───┘                   ├─▶ parked row ─▶ store
//!                                                ├─▶ dead row ─▶ store
//!                                                └─▶ back to the position (breaker open, paused, bound reached)
//! ```

mod attempting;
mod feeding;
mod gathering;
mod loading;
mod parking;
mod ready;
mod shown;
mod steps;
mod writing;

pub use steps::{Action, Config, Due, Effects, Fed, Input, Limit, Restored, Start};
pub use writing::{gone_name, gone_subscription};

use crate::{
    backoff::{longest_wait, millis},
    breaker::{Breaker, State},
    clock::Random,
    metrics::Counters,
    order::{Keys, OrderKey},
    pending::Pending,
    rate::Bucket,
    window::Window,
};
use ready::Ready;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::{Arc, atomic::Ordering::Relaxed},
};
use store::{DeliveryKey, Holdings, Millis, Partition};
use writing::Write;

/// Why a lane does not go on; a later one is the stronger one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Halt {
    /// Too much is parked; parked deliveries go on.
    ParkedFull,
    /// Too many dead letters.
    DeadFull,
    /// The endpoint said 410. Kept in the store: a restart does not ask it again.
    Gone,
    /// Its destination cannot be made.
    Misconfigured(String),
}

/// A lane.
pub struct Lane {
    config: Config,
    windows: HashMap<Partition, Window>,
    breaker: Breaker,
    bucket: Bucket,
    rate_at: Option<Millis>,
    keys: Keys<Pending>,
    ready: Ready,
    ready_parked: VecDeque<Pending>,
    waiting: BTreeMap<(Millis, u64), Pending>,
    /// Requests under way.
    in_flight: HashMap<u64, Vec<Pending>>,
    /// Deliveries in them.
    flying: usize,
    /// The endpoint takes no request before.
    held_until: Option<Millis>,
    /// The order by key came or went: attempts from before end first.
    reordering: bool,
    token: u64,
    /// Parked rows that are in memory or on their way to the store.
    loaded: HashSet<DeliveryKey>,
    /// Bytes of parked rows in memory.
    loaded_bytes: usize,
    /// Rows that were written while a load was under way: what it brings of them is old.
    stale: HashSet<DeliveryKey>,
    /// Blocked rows whose key's turn has come.
    heads: BTreeSet<DeliveryKey>,
    loading: bool,
    /// When a parked row that is not in memory may be due.
    parked_due: Option<Millis>,
    writes: VecDeque<Write>,
    writing: Vec<Write>,
    write_again: Option<Millis>,
    load_again: Option<Millis>,
    holdings: Holdings,
    /// Copies that were gone before they were announced, and their bytes.
    owed: (u64, u64),
    halt: Option<Halt>,
    /// Whether the store says that the endpoint is gone, and what it is being told.
    gone_saved: bool,
    gone_writing: Option<bool>,
    stopped: bool,
    /// What the last failed attempt failed with.
    failure: String,
    counters: Arc<Counters>,
    effects: Effects,
    actions: Vec<Action>,
}

impl Lane {
    /// A lane as the store remembers it.
    pub fn new(config: Config, restored: Restored, counters: Arc<Counters>, now: Millis) -> Self {
        let mut keys = Keys::default();
        for (hash, key) in restored.orders {
            keys.park(
                OrderKey {
                    partition: key.partition,
                    hash,
                },
                key,
            );
        }
        let heads = keys.heads().collect();
        let latest = now.saturating_add(millis(longest_wait(&config.policy.retry)));
        let lane = Self {
            bucket: Bucket::new(config.policy.rate, now),
            config,
            windows: restored.windows,
            breaker: Breaker::default(),
            rate_at: None,
            keys,
            ready: Ready::default(),
            ready_parked: VecDeque::new(),
            waiting: BTreeMap::new(),
            in_flight: HashMap::new(),
            flying: 0,
            held_until: None,
            reordering: false,
            token: 0,
            loaded: HashSet::new(),
            loaded_bytes: 0,
            stale: HashSet::new(),
            heads,
            loading: false,
            // One that a clock ahead has written is looked at too.
            parked_due: restored.holdings.next_due.map(|due| due.min(latest)),
            writes: VecDeque::new(),
            writing: Vec::new(),
            write_again: None,
            load_again: None,
            holdings: restored.holdings,
            owed: (0, 0),
            halt: restored.is_gone.then_some(Halt::Gone),
            gone_saved: restored.is_gone,
            gone_writing: None,
            stopped: false,
            failure: String::new(),
            counters,
            effects: Effects::default(),
            actions: Vec::new(),
        };
        lane.publish_gauges();
        lane
    }

    /// Takes one input; adds what is to be done to `actions`. `random` is drawn from, the time does not go back.
    pub fn step(&mut self, input: Input, now: Millis, random: &mut Random, actions: &mut Vec<Action>) {
        match input {
            Input::Feed(fed) => self.feed(fed, now),
            Input::Finished {
                token,
                started,
                outcomes,
            } => {
                if let Some(outcome) = outcomes.first_failed() {
                    self.failure.clone_from(&outcome.reason);
                }
                self.finished(token, started, &outcomes, now, random);
            }
            Input::Written(result) => self.written(result, now),
            Input::Loaded { limit, rows } => self.rows_loaded(limit, rows, now),
            Input::HeadLoaded(key, row) => self.head_loaded(key, row, now),
            Input::Configure(config, made) => self.configure(*config, made, now),
            Input::Resume => self.resume(),
            Input::Redriven(rows) => self.redriven(&rows),
            Input::Discarded { events, bytes } => self.discarded(events, bytes),
            Input::Buried { events, bytes } => self.buried_elsewhere(events, bytes),
            Input::Copied(rows) => self.copied(&rows),
            Input::CopiesWent => self.reopen_with_room(),
            Input::Saved(positions) => self.saved(&positions),
            Input::LetGo => self.return_all(),
            Input::GaveUp { partition, from, to } => self.gave_up(partition, from, to),
            Input::ReadAgain {
                partition,
                from,
                to,
                wanted,
            } => self.read_again(partition, from, to, &wanted),
            Input::Stop => self.stop(),
            Input::Timer => {}
        }
        self.pump(now);
        self.publish_gauges();
        actions.append(&mut self.actions);
    }

    fn is_gone(&self) -> bool {
        self.halt == Some(Halt::Gone)
    }

    /// Whether it carries out a replay, and is not the subscription's own lane.
    fn is_replay(&self) -> bool {
        self.config.replay > 0
    }

    fn may_run(&self) -> bool {
        self.config.enabled && !self.stopped
    }

    /// Whether what comes in now is kept in memory.
    fn accepts(&self) -> bool {
        let is_open = matches!(self.breaker.state(), State::Open { .. });
        self.may_run() && self.halt.is_none() && !self.reordering && !is_open
    }

    /// A full store of parked rows stops reading, not the parked deliveries.
    fn may_attempt_parked(&self) -> bool {
        self.may_run() && matches!(self.halt, None | Some(Halt::ParkedFull))
    }

    fn configure(&mut self, config: Config, made: Result<(), String>, now: Millis) {
        if config.policy.rate != self.config.policy.rate {
            self.bucket = Bucket::new(config.policy.rate, now);
            self.rate_at = None;
        }
        let reorders = config.policy.ordering != self.config.policy.ordering;
        self.config = config;
        self.held_until = None;
        if matches!(self.halt, Some(Halt::Gone | Halt::Misconfigured(_))) {
            self.halt = None;
        }
        // Somebody changed something: that may have helped.
        self.breaker = Breaker::default();
        self.reordering |= reorders && !self.in_flight.is_empty();
        if reorders || !self.config.enabled {
            self.return_all();
        }
        if let Err(reason) = made {
            self.halt(Halt::Misconfigured(reason));
        }
    }

    /// A weaker reason does not replace a stronger one.
    fn halt(&mut self, halt: Halt) {
        self.halt = self.halt.take().max(Some(halt));
        self.return_all();
    }

    /// A destination that cannot be made cannot be resumed: its document has to change.
    fn resume(&mut self) {
        if !matches!(self.halt, Some(Halt::Misconfigured(_))) {
            self.halt = None;
        }
        self.breaker = Breaker::default();
    }

    fn stop(&mut self) {
        self.stopped = true;
        self.return_all();
    }

    fn publish_gauges(&self) {
        let counters = &self.counters;
        counters.in_flight.store(self.flying as u64, Relaxed);
        counters.parked_now.store(self.holdings.parked, Relaxed);
        counters.parked_bytes_now.store(self.holdings.parked_bytes, Relaxed);
        counters.dead_now.store(self.holdings.dead, Relaxed);
        counters.dead_bytes_now.store(self.holdings.dead_bytes, Relaxed);
    }
}
