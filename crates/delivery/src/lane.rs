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
mod parking;

use crate::{
    Outcome,
    backoff::{longest_wait, millis},
    breaker::{Breaker, State},
    clock::Random,
    metrics::Counters,
    order::{Keys, OrderKey},
    pending::Pending,
    rate::Bucket,
    settings::LaneBounds,
    window::{Released, Window},
};
use bytes::Bytes;
use control::resources::DeliveryPolicy;
use parking::Write;
pub use parking::{gone_name, gone_subscription};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::{Arc, atomic::Ordering::Relaxed},
};
use store::{DeliveryKey, Ending, Holdings, Mark, Millis, Operation, Parked, Partition, Revision, SubscriptionId};

/// What a lane goes by; replaced whole when the subscription or its connection changes.
#[derive(Clone, Debug)]
pub struct Config {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// When it was created: the `age` of older events counts from their first attempt.
    pub created: Millis,
    /// Whether a person lets it run.
    pub enabled: bool,
    /// How it delivers.
    pub policy: DeliveryPolicy,
    /// Its bounds.
    pub bounds: LaneBounds,
}

/// A matched record, as the router hands it over.
#[derive(Clone, Debug)]
pub struct Fed {
    /// Where it was read.
    pub partition: Partition,
    /// Its offset there.
    pub offset: u64,
    /// When it was appended.
    pub appended: Millis,
    /// The subscription version that matched.
    pub version: Revision,
    /// The record, shared with the other lanes that it matched for.
    pub record: Bytes,
}

/// What happens to a lane.
#[derive(Debug)]
pub enum Input {
    /// Matched records.
    Feed(Vec<Fed>),
    /// An attempt ended.
    Finished {
        /// Which, from [`Action::Attempt`].
        token: u64,
        /// When it began.
        started: Millis,
        /// How it ended.
        outcome: Outcome,
    },
    /// The last [`Action::Apply`] ended.
    Written(Result<(), store::Error>),
    /// The last [`Action::LoadParked`] ended: rows by due time, due or not, at most as many as asked for.
    Loaded {
        /// How many were asked for.
        limit: usize,
        /// The rows.
        rows: Result<Vec<Parked>, store::Error>,
    },
    /// The last [`Action::LoadHead`] ended.
    HeadLoaded(DeliveryKey, Result<Option<Parked>, store::Error>),
    /// The subscription or its connection changed; whether its destination can be made, or why not.
    Configure(Box<Config>, Result<(), String>),
    /// A person lets it go on after a 410 or a bound.
    Resume,
    /// Dead letters became parked rows.
    Redriven(Vec<Parked>),
    /// Dead letters were discarded.
    Discarded {
        /// How many.
        events: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// Saved positions have passed these offsets.
    Saved(Vec<(Partition, u64)>),
    /// What is not in flight goes back, because some of it may be given up.
    LetGo,
    /// A range was given up.
    GaveUp {
        /// Where.
        partition: Partition,
        /// Its first offset.
        from: u64,
        /// Offset after its last.
        to: u64,
    },
    /// No attempt begins any more; what is in memory goes back.
    Stop,
    /// Time has passed.
    Timer,
}

/// What a lane wants done. Each of the store's actions is answered by its input before the next one of its kind is asked.
#[derive(Debug)]
pub enum Action {
    /// Make an attempt.
    Attempt(Start),
    /// One transaction.
    Apply(Vec<Operation>),
    /// Load parked rows by due time, blocked ones excluded.
    LoadParked {
        /// At most this many.
        limit: usize,
    },
    /// Load one parked row.
    LoadHead(DeliveryKey),
}

/// An attempt to make.
#[derive(Clone, Debug)]
pub struct Start {
    /// To be given back with the outcome.
    pub token: u64,
    /// Which delivery.
    pub key: DeliveryKey,
    /// The record.
    pub record: Bytes,
    /// When it was appended.
    pub appended: Millis,
    /// From 1.
    pub number: u32,
    /// For the webhook id.
    pub edits: u32,
    /// The subscription version that matched.
    pub version: Revision,
}

/// What a lane takes from the router now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Nothing: paused, stopped, or its breaker is open.
    Nothing,
    /// One record: a probe.
    One,
    /// Up to its bounds.
    Bounded,
}

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

/// What a step did to the outside's accounting.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// What left the span.
    pub released: Released,
    /// Partitions whose oldest unsettled record may have changed.
    pub touched: BTreeSet<Partition>,
    /// Where the router has to read again from.
    pub rewound: BTreeMap<Partition, u64>,
}

/// A lane.
pub struct Lane {
    config: Config,
    windows: HashMap<Partition, Window>,
    breaker: Breaker,
    bucket: Bucket,
    rate_at: Option<Millis>,
    keys: Keys<Pending>,
    ready: VecDeque<Pending>,
    ready_parked: VecDeque<Pending>,
    waiting: BTreeMap<(Millis, u64), Pending>,
    in_flight: HashMap<u64, Pending>,
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
    halt: Option<Halt>,
    /// Whether the store says that the endpoint is gone, and what it is being told.
    gone_saved: bool,
    gone_writing: Option<bool>,
    stopped: bool,
    counters: Arc<Counters>,
    effects: Effects,
    actions: Vec<Action>,
}

/// What the store knows of a lane when it starts.
#[derive(Debug, Default)]
pub struct Restored {
    /// A window for each partition that it has a position or marks in.
    pub windows: HashMap<Partition, Window>,
    /// What it holds.
    pub holdings: Holdings,
    /// The order keys of its parked rows.
    pub orders: Vec<(u64, DeliveryKey)>,
    /// Whether its endpoint said that it is gone, and nobody has resumed the lane since.
    pub is_gone: bool,
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
            ready: VecDeque::new(),
            ready_parked: VecDeque::new(),
            waiting: BTreeMap::new(),
            in_flight: HashMap::new(),
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
            halt: restored.is_gone.then_some(Halt::Gone),
            gone_saved: restored.is_gone,
            gone_writing: None,
            stopped: false,
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
            Input::Feed(fed) => self.feed(fed),
            Input::Finished {
                token,
                started,
                outcome,
            } => self.finished(token, started, outcome, now, random),
            Input::Written(result) => self.written(result, now),
            Input::Loaded { limit, rows } => self.rows_loaded(limit, rows, now),
            Input::HeadLoaded(key, row) => self.head_loaded(key, row, now),
            Input::Configure(config, made) => self.configure(*config, made, now),
            Input::Resume => self.resume(),
            Input::Redriven(rows) => self.redriven(&rows),
            Input::Discarded { events, bytes } => self.discarded(events, bytes),
            Input::Saved(positions) => self.saved(&positions),
            Input::LetGo => self.return_all(),
            Input::GaveUp { partition, from, to } => self.gave_up(partition, from, to),
            Input::Stop => self.stop(),
            Input::Timer => {}
        }
        self.pump(now);
        self.publish_gauges();
        actions.append(&mut self.actions);
    }

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
                    replay: 0,
                };
                Operation::Mark(Mark {
                    key,
                    ending: Ending::Delivered,
                })
            })
        });
        marks.collect()
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
            (None, _) => ("backing-off", Some("the endpoint keeps failing".to_owned())),
        }
    }

    /// Whether it has something to do that does not wait for its endpoint: if that makes no progress, the lane is stuck, or
    /// the store is out of reach.
    pub fn has_due_work(&self) -> bool {
        let may_start = self.may_attempt_parked() && self.has_slot() && self.rate_at.is_none();
        let waits = !self.ready.is_empty() || !self.ready_parked.is_empty();
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

    fn is_gone(&self) -> bool {
        self.halt == Some(Halt::Gone)
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
        counters.in_flight.store(self.in_flight.len() as u64, Relaxed);
        counters.parked_now.store(self.holdings.parked, Relaxed);
        counters.parked_bytes_now.store(self.holdings.parked_bytes, Relaxed);
        counters.dead_now.store(self.holdings.dead, Relaxed);
        counters.dead_bytes_now.store(self.holdings.dead_bytes, Relaxed);
    }
}
