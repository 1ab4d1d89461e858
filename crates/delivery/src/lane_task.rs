//! The doing of a lane: owns its state machine, makes its attempts, carries its operations to the store. Thin on purpose:
//! what is done is decided in [`crate::lane`].

mod attempt;

pub use attempt::event_hash;

use crate::{
    Outcomes,
    clock::{Clock, Random, sleep_until},
    copies::Copies,
    inbox::Inbox,
    inner::Inner,
    lane::{Action, Config, Input, Lane, Start},
    lane_handle::{Command, Known, LaneHandle, Target},
    operational::{Burials, Reporter},
    replay::Replaying,
    trace::Tracer,
};
use attempt::{Finished, RETRY, Tracing, attempt, failure};
use futures_util::FutureExt;
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use store::{AttemptHistory, BusId, Millis, Operation, Parked, Portion, Store, SubscriptionId};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::Instant,
};

/// How often the last write before the end is tried, and the wait between.
const END_TRIES: u32 = 4;
const END_WAIT: Duration = Duration::from_millis(250);
/// Ended attempts that are taken up together.
const FINISHED_MAX: usize = 64;

/// Which of a subscription's lanes it is.
pub enum Role {
    /// Its own, for live traffic; it also attempts what replays that run no more have parked.
    Live(Arc<Replaying>),
    /// That of a replay, or of copies of dead letters.
    Replay {
        /// Its number, or [`COPIES`](crate::copies::COPIES).
        number: u32,
        /// The subscription's own lane, which counts the dead letters of all.
        owner: LaneHandle,
    },
}

/// What a lane's task is made with.
pub struct Spawn<'a> {
    /// What all lanes share.
    pub inner: &'a Inner,
    /// Its bus.
    pub bus: BusId,
    /// Which lane it is.
    pub role: Role,
    /// Its state machine.
    pub lane: Lane,
    /// What it shares with the router.
    pub inbox: Arc<Inbox>,
    /// What it goes by.
    pub config: Box<Config>,
    /// Where it delivers to, or why nowhere.
    pub target: Result<Arc<Target>, String>,
    /// The stream of its jitter.
    pub stream: u64,
}

/// An answer of the store.
enum Answer {
    Written(Result<(), store::Error>),
    Loaded {
        limit: usize,
        rows: Result<Vec<Parked>, store::Error>,
    },
    Head(store::DeliveryKey, Result<Option<Parked>, store::Error>),
}

/// Runs a lane until it is told to end. What it owns is boxed: a future keeps an argument twice.
pub fn run(
    spawn: Spawn<'_>,
    commands: mpsc::UnboundedReceiver<Box<Command>>,
) -> impl Future<Output = ()> + Send + 'static + use<> {
    Box::new(LaneTask::new(spawn)).run(commands)
}

struct LaneTask {
    bus: BusId,
    role: Role,
    subscription: SubscriptionId,
    lane: Lane,
    inbox: Arc<Inbox>,
    target: Option<Arc<Target>>,
    store: Arc<dyn Store>,
    history: Arc<AttemptHistory>,
    copies: Arc<Copies>,
    clock: Clock,
    random: Random,
    attempts: JoinSet<Finished>,
    answers: JoinSet<Answer>,
    actions: Vec<Action>,
    known: Vec<Known>,
    /// The state that was last told of.
    told: &'static str,
    reporter: Reporter,
    tracer: Tracer,
    /// Dead letters on their way to the store.
    burials: Burials,
    stopping: Option<(Instant, oneshot::Sender<()>)>,
}

impl LaneTask {
    fn new(spawn: Spawn<'_>) -> Self {
        let inner = spawn.inner;
        let made = spawn.target.as_ref().map(drop).map_err(Clone::clone);
        let mut task = Self {
            bus: spawn.bus,
            role: spawn.role,
            subscription: spawn.inbox.subscription,
            lane: spawn.lane,
            inbox: spawn.inbox,
            target: spawn.target.ok(),
            store: Arc::clone(&inner.store),
            history: Arc::clone(&inner.attempts),
            copies: Arc::clone(&inner.copies),
            clock: inner.settings.clock,
            random: Random::seeded(inner.settings.seed, spawn.stream),
            attempts: JoinSet::new(),
            answers: JoinSet::new(),
            actions: Vec::new(),
            known: Vec::new(),
            told: "running",
            reporter: inner.reporter.clone(),
            tracer: inner.settings.tracer.clone(),
            burials: Burials::default(),
            stopping: None,
        };
        if made.is_err() {
            task.note(Input::Configure(spawn.config, made));
        }
        task
    }

    async fn run(mut self: Box<Self>, mut commands: mpsc::UnboundedReceiver<Box<Command>>) {
        self.step(Input::Timer);
        loop {
            if self.is_at_rest() {
                return self.end().await;
            }
            let deadline = self.lane.deadline().map(|at| self.instant(at));
            let given_up = self.stopping.as_ref().map(|(at, _)| *at);
            let inbox = Arc::clone(&self.inbox);
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(command) => self.take(*command),
                    None => return,
                },
                Some(finished) = self.attempts.join_next(), if !self.attempts.is_empty() => self.finished(finished.ok()),
                Some(answer) = self.answers.join_next(), if !self.answers.is_empty() => self.answered(answer.ok()),
                () = inbox.filled() => {
                    let fed = inbox.take();
                    self.step(Input::Feed(fed));
                }
                () = sleep_until(deadline), if deadline.is_some() => self.step(Input::Timer),
                () = sleep_until(given_up), if given_up.is_some() => {
                    // Whether what is cut off arrived is not known, so it will be made again.
                    self.attempts.abort_all();
                    return self.end().await;
                }
            }
        }
    }

    /// Deadlines are milliseconds; rounded up, so that what is due then is due.
    fn instant(&self, at: Millis) -> Instant {
        let wait = at.saturating_sub(self.clock.now()).max(0).unsigned_abs();
        Instant::now() + Duration::from_millis(wait)
    }

    fn is_at_rest(&self) -> bool {
        self.stopping.is_some() && self.attempts.is_empty() && self.answers.is_empty() && self.lane.is_quiet()
    }

    /// Leaves marks for what was delivered out of order, and says that it rests.
    async fn end(mut self: Box<Self>) {
        apply_at_the_end(&*self.store, self.bus, self.lane.marks_to_leave()).await;
        if let Some((_, done)) = self.stopping.take() {
            // Whoever asked may have gone.
            let _ = done.send(());
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Step(input) => self.step(input),
            Command::Configure(config, target) => {
                self.configure(config, target);
                self.publish();
            }
            Command::Known(known) => {
                let fed = self.inbox.take();
                self.note(Input::Feed(fed));
                self.known.push(known);
                self.step(Input::LetGo);
            }
            // Whoever asked may have gone.
            Command::Seen(done) => drop(done.send(())),
            Command::Stop(grace, done) => {
                self.stopping = Some((Instant::now() + grace, done));
                self.step(Input::Stop);
            }
        }
    }

    /// The target first: the step may begin attempts.
    fn configure(&mut self, config: Box<Config>, target: Result<Arc<Target>, String>) {
        let made = target.as_ref().map(drop).map_err(Clone::clone);
        self.target = target.ok();
        self.note(Input::Configure(config, made));
    }

    fn finished(&mut self, first: Option<Finished>) {
        let mut next = first;
        for taken in 1.. {
            let Some(finished) = next else { break };
            self.note(Input::Finished {
                token: finished.token,
                started: finished.started,
                outcomes: finished.outcomes,
            });
            if taken > FINISHED_MAX {
                break;
            }
            next = self.attempts.try_join_next().and_then(Result::ok);
        }
        self.inbox.moved(self.clock.now());
        self.publish();
    }

    fn answered(&mut self, answer: Option<Answer>) {
        match answer {
            Some(Answer::Written(result)) => {
                if let Err(error) = &result {
                    tracing::warn!(%error, subscription = self.subscription, "failed to write deliveries; trying again");
                } else {
                    self.inbox.moved(self.clock.now());
                    self.reporter
                        .dead_lettered(self.bus, self.subscription, std::mem::take(&mut self.burials));
                }
                self.step(Input::Written(result));
            }
            Some(Answer::Loaded { limit, rows }) => self.step(Input::Loaded { limit, rows }),
            Some(Answer::Head(key, row)) => self.step(Input::HeadLoaded(key, row)),
            None => {}
        }
    }

    fn step(&mut self, input: Input) {
        self.note(input);
        self.publish();
    }

    /// A step whose effects are published later.
    fn note(&mut self, input: Input) {
        let now = self.clock.now();
        self.lane.step(input, now, &mut self.random, &mut self.actions);
        self.act();
    }

    fn publish(&mut self) {
        loop {
            let mut effects = self.lane.take_effects();
            self.tell_owner(effects.buried, effects.copies_went);
            if !effects.copied.is_empty() {
                self.copies
                    .written(self.subscription, std::mem::take(&mut effects.copied));
            }
            let left = self.inbox.publish(&self.lane, effects, self.clock.now());
            if left.is_empty() {
                break;
            }
            self.note(Input::Feed(left));
        }
        self.tell();
        for known in std::mem::take(&mut self.known) {
            match self.lane.known_below(known.partition, known.to) {
                // Whoever asked may have gone.
                Some(settled) => drop(known.reply.send(settled)),
                None if known.reply.is_closed() => {}
                None => self.known.push(known),
            }
        }
    }

    /// A replay's dead letters count for the subscription, and so do copies that wait.
    fn tell_owner(&self, (events, bytes): (u64, u64), copies_went: bool) {
        let Role::Replay { owner, .. } = &self.role else {
            return;
        };
        if events > 0 {
            owner.send(Command::Step(Input::Buried { events, bytes }));
        }
        if copies_went {
            owner.send(Command::Step(Input::CopiesWent));
        }
    }

    /// A lane that stops, and one that goes on, is said once.
    fn tell(&mut self) {
        let (state, reason) = self.lane.state();
        let before = std::mem::replace(&mut self.told, state);
        // A replay says itself how it stands.
        if state == before || self.stopping.is_some() || matches!(self.role, Role::Replay { .. }) {
            return;
        }
        let (subscription, reason) = (self.subscription, reason.unwrap_or_default());
        self.reporter
            .turned(self.bus, subscription, (before, state), &reason, self.lane.failure());
        match state {
            "running" | "paused" => tracing::info!(subscription, state, "a subscription's lane changed its state"),
            _ => tracing::warn!(subscription, state, reason, "a subscription's lane does not deliver"),
        }
    }

    fn act(&mut self) {
        for action in std::mem::take(&mut self.actions) {
            match action {
                Action::Attempt(start) => self.attempt(start),
                Action::Apply(operations) => self.apply(operations),
                Action::LoadParked { limit } => self.load(limit),
                Action::LoadHead(key) => self.load_head(key),
            }
        }
    }

    fn attempt(&mut self, start: Start) {
        let (token, sent) = (start.token, start.dues.len());
        let (started, clock) = (self.clock.now(), self.clock);
        let (target, history) = (self.target.clone(), Arc::clone(&self.history));
        let (tracer, bus) = (self.tracer.clone(), self.bus);
        let failed = move |reason, detail| Finished {
            token,
            started,
            outcomes: Outcomes::Whole {
                sent,
                outcome: failure(RETRY, reason, detail),
            },
        };
        // Whatever happens in there, its slot is given back.
        let made = AssertUnwindSafe(async move {
            match target {
                Some(target) => attempt(target, start, history, clock, Tracing { tracer, bus }).await,
                None => failed("misconfigured", "the destination cannot be made"),
            }
        });
        let caught = made.catch_unwind();
        self.attempts
            .spawn(caught.map(move |finished| finished.unwrap_or_else(|_| failed("internal", "the attempt failed"))));
    }

    fn apply(&mut self, operations: Vec<Operation>) {
        self.burials = Burials::of(&operations);
        let (store, bus) = (Arc::clone(&self.store), self.bus);
        self.answers
            .spawn(async move { Answer::Written(caught(store.apply(bus, operations)).await.map(drop)) });
    }

    fn load(&mut self, limit: usize) {
        let (store, subscription) = (Arc::clone(&self.store), self.subscription);
        let portion = match &self.role {
            Role::Live(replaying) => Portion::Except(replaying.numbers(subscription)),
            Role::Replay { number, .. } => Portion::Replay(*number),
        };
        self.answers.spawn(async move {
            let rows = caught(store.parked(subscription, portion, crate::pending::NEVER - 1, limit)).await;
            Answer::Loaded { limit, rows }
        });
    }

    fn load_head(&mut self, key: store::DeliveryKey) {
        let store = Arc::clone(&self.store);
        self.answers.spawn(async move {
            let rows = caught(store.parked_at(key.partition, key.offset)).await;
            Answer::Head(key, rows.map(|rows| rows.into_iter().find(|row| row.key == key)))
        });
    }
}

/// A store that panics has failed: its answer is waited for.
async fn caught<T>(answer: impl Future<Output = Result<T, store::Error>>) -> Result<T, store::Error> {
    let broken = |_| Err(store::Error::Engine("it broke off".to_owned()));
    AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(broken)
}

/// Writes what only saves repetitions, trying a few times: there is no later.
pub async fn apply_at_the_end(store: &dyn Store, bus: BusId, operations: Vec<Operation>) {
    if operations.is_empty() {
        return;
    }
    for again in (0..END_TRIES).rev() {
        match store.apply(bus, operations.clone()).await {
            Ok(_) => return,
            Err(error) if again == 0 => {
                tracing::warn!(%error, "failed to save positions at the end; some events will be delivered again");
            }
            Err(_) => tokio::time::sleep(END_WAIT).await,
        }
    }
}
