//! The doing of a lane: owns its state machine, makes its attempts, carries its operations to the store. Thin on purpose:
//! what is done is decided in [`crate::lane`].

use crate::{
    Attempt, Destination, Outcome, Verdict,
    clock::{Clock, Random, sleep_until},
    inbox::Inbox,
    lane::{Action, Config, Input, Lane, Start},
};
use bytes::Bytes;
use event::{EventView, identity};
use futures_util::FutureExt;
use journal::EncodedRecord;
use std::{
    collections::BTreeSet,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use store::{AttemptHistory, AttemptOutcome, BusId, Millis, Operation, Parked, Partition, Store, SubscriptionId};
use tokio::{
    sync::{mpsc, oneshot},
    task::{AbortHandle, JoinSet},
    time::{Instant, timeout},
};

/// What a destination may take beyond the attempt's timeout before the lane calls it a timeout.
const TIMEOUT_SLACK: Duration = Duration::from_secs(5);
/// How often the last write before the end is tried, and the wait between.
const END_TRIES: u32 = 4;
const END_WAIT: Duration = Duration::from_millis(250);
/// Ended attempts that are taken up together.
const FINISHED_MAX: usize = 64;

/// About the endpoint, which said nothing of when to come back.
const RETRY: Verdict = Verdict::Retry { after: None };

/// What others hold of a lane.
#[derive(Clone, Debug)]
pub struct LaneHandle {
    /// What it shares with the router.
    pub inbox: Arc<Inbox>,
    // Unbounded in type, bounded in fact: one message per saved position or change of the subscription.
    commands: mpsc::UnboundedSender<Command>,
    task: AbortHandle,
    /// It was told to end.
    may_end: Arc<AtomicBool>,
}

/// What others ask of a lane.
pub enum Command {
    /// A step.
    Step(Input),
    /// Another destination or policy.
    Configure(Box<Config>, Result<Arc<Target>, String>),
    /// Lets go of everything that is not in flight, and says which offsets below `to` are settled, once none of them is in its
    /// hands any more. For a lane that is given nothing meanwhile.
    Known(Known),
    /// End: no attempt begins any more, those in flight may finish within the time, what has to be written is written.
    Stop(Duration, oneshot::Sender<()>),
}

impl std::fmt::Debug for Command {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Step(_) => "Step",
            Self::Configure(..) => "Configure",
            Self::Known(_) => "Known",
            Self::Stop(..) => "Stop",
        })
    }
}

/// Who wants to know what is settled.
pub struct Known {
    /// Where.
    pub partition: Partition,
    /// Exclusive bound.
    pub to: u64,
    /// Where to say it.
    pub reply: oneshot::Sender<BTreeSet<u64>>,
}

/// Where a lane delivers to, and what every attempt there needs.
pub struct Target {
    /// Makes the attempts.
    pub destination: Arc<dyn Destination>,
    /// The bus, for the message id.
    pub bus: String,
    /// The subscription, for the message id.
    pub subscription: String,
    /// For a whole attempt.
    pub timeout: Duration,
}

/// What a lane's task is made with.
pub struct Spawn {
    /// Its bus.
    pub bus: BusId,
    /// Its state machine.
    pub lane: Lane,
    /// What it shares with the router.
    pub inbox: Arc<Inbox>,
    /// What it goes by.
    pub config: Box<Config>,
    /// Where it delivers to, or why nowhere.
    pub target: Result<Arc<Target>, String>,
    /// Where rows are kept.
    pub store: Arc<dyn Store>,
    /// Where attempts are recorded.
    pub history: Arc<AttemptHistory>,
    /// Wall time.
    pub clock: Clock,
    /// Jitter.
    pub random: Random,
}

impl LaneHandle {
    /// Starts a lane's task.
    pub fn spawn(spawn: Spawn) -> Self {
        let (commands, receiver) = mpsc::unbounded_channel();
        let inbox = Arc::clone(&spawn.inbox);
        let task = tokio::spawn(LaneTask::new(spawn).run(receiver)).abort_handle();
        Self {
            inbox,
            commands,
            task,
            may_end: Arc::default(),
        }
    }

    /// Ends it at once, with its attempts; nothing is saved.
    pub fn abort(&self) {
        self.task.abort();
    }

    /// Whether its task is over although nobody told it to end.
    pub fn has_failed(&self) -> bool {
        self.task.is_finished() && !self.may_end.load(Relaxed)
    }

    /// Asks something; a lane that has ended does not mind.
    pub fn send(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    /// Saved positions have passed these offsets.
    pub fn saved(&self, positions: Vec<(Partition, u64)>) {
        self.send(Command::Step(Input::Saved(positions)));
    }

    /// A range is given up.
    pub fn gave_up(&self, partition: Partition, from: u64, to: u64) {
        self.send(Command::Step(Input::GaveUp { partition, from, to }));
    }

    /// Ends it; resolves when it has come to rest.
    pub async fn stop(&self, grace: Duration) {
        self.may_end.store(true, Relaxed);
        let (done, rested) = oneshot::channel();
        self.send(Command::Stop(grace, done));
        // A lane that is gone rests already.
        let _ = rested.await;
    }
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

/// An attempt that ended.
struct Finished {
    token: u64,
    started: Millis,
    outcome: Outcome,
}

struct LaneTask {
    bus: BusId,
    subscription: SubscriptionId,
    lane: Lane,
    inbox: Arc<Inbox>,
    target: Option<Arc<Target>>,
    store: Arc<dyn Store>,
    history: Arc<AttemptHistory>,
    clock: Clock,
    random: Random,
    attempts: JoinSet<Finished>,
    answers: JoinSet<Answer>,
    actions: Vec<Action>,
    known: Vec<Known>,
    /// The state that was last told of.
    told: &'static str,
    stopping: Option<(Instant, oneshot::Sender<()>)>,
}

impl LaneTask {
    fn new(spawn: Spawn) -> Self {
        let made = spawn.target.as_ref().map(drop).map_err(Clone::clone);
        let mut task = Self {
            bus: spawn.bus,
            subscription: spawn.inbox.subscription,
            lane: spawn.lane,
            inbox: spawn.inbox,
            target: spawn.target.ok(),
            store: spawn.store,
            history: spawn.history,
            clock: spawn.clock,
            random: spawn.random,
            attempts: JoinSet::new(),
            answers: JoinSet::new(),
            actions: Vec::new(),
            known: Vec::new(),
            told: "running",
            stopping: None,
        };
        if made.is_err() {
            task.note(Input::Configure(spawn.config, made));
        }
        task
    }

    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
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
                    Some(command) => self.take(command),
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
    async fn end(mut self) {
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
        for _ in 0..FINISHED_MAX {
            let Some(Finished {
                token,
                started,
                outcome,
            }) = next
            else {
                break;
            };
            self.note(Input::Finished {
                token,
                started,
                outcome,
            });
            next = self.attempts.try_join_next().and_then(Result::ok);
        }
        if let Some(Finished {
            token,
            started,
            outcome,
        }) = next
        {
            self.note(Input::Finished {
                token,
                started,
                outcome,
            });
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
            let effects = self.lane.take_effects();
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

    /// A lane that stops, and one that goes on, is said once.
    fn tell(&mut self) {
        let (state, reason) = self.lane.state();
        if state == std::mem::replace(&mut self.told, state) || self.stopping.is_some() {
            return;
        }
        let (subscription, reason) = (self.subscription, reason.unwrap_or_default());
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
        let (token, started, clock) = (start.token, self.clock.now(), self.clock);
        let (target, history) = (self.target.clone(), Arc::clone(&self.history));
        // Whatever happens in there, its slot is given back.
        let made = AssertUnwindSafe(async move {
            match target {
                Some(target) => attempt(target, start, history, clock).await,
                None => Finished {
                    token,
                    started,
                    outcome: failure(RETRY, "misconfigured", "the destination cannot be made"),
                },
            }
        });
        self.attempts.spawn(made.catch_unwind().map(move |finished| {
            finished.unwrap_or_else(|_| Finished {
                token,
                started,
                outcome: failure(RETRY, "internal", "the attempt failed"),
            })
        }));
    }

    fn apply(&mut self, operations: Vec<Operation>) {
        let (store, bus) = (Arc::clone(&self.store), self.bus);
        self.answers
            .spawn(async move { Answer::Written(caught(store.apply(bus, operations)).await.map(drop)) });
    }

    fn load(&mut self, limit: usize) {
        let (store, subscription) = (Arc::clone(&self.store), self.subscription);
        self.answers.spawn(async move {
            let rows = caught(store.parked(subscription, crate::pending::NEVER - 1, limit)).await;
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

async fn attempt(target: Arc<Target>, start: Start, history: Arc<AttemptHistory>, clock: Clock) -> Finished {
    let started = clock.now();
    let begun = Instant::now();
    let (token, record) = (start.token, EncodedRecord::from_bytes(start.record.clone()));
    let view = record
        .as_ref()
        .map(|record| record.view(start.key.offset, start.appended));
    let event = view.and_then(|view| EventView::from_record(view.headers(), view.value));
    let Some(event) = event else {
        // Only what the router took for an event gets here; a row that is none any more cannot become one.
        return Finished {
            token,
            started,
            outcome: failure(Verdict::Refused, "not_an_event", "the record is no event"),
        };
    };
    let outcome = ask(&target, &start, &event, clock).await;
    history.record(store::Attempt {
        event_hash: event_hash(event.source(), event.id()),
        subscription: start.key.subscription,
        partition: start.key.partition,
        offset: start.key.offset,
        attempt: start.number,
        started,
        duration_micros: u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX),
        outcome: attempt_outcome(outcome.verdict),
        status: outcome.status,
        version: start.version,
        reason: reason_text(&outcome),
        answer: outcome.answer.clone(),
    });
    Finished {
        token,
        started,
        outcome,
    }
}

async fn ask(target: &Target, start: &Start, event: &EventView<'_>, clock: Clock) -> Outcome {
    let message_id = identity::webhook_id(
        &target.bus,
        event.source(),
        event.id(),
        &target.subscription,
        start.edits,
    );
    let attempt = Attempt {
        event,
        message_id: &message_id,
        subscription: &target.subscription,
        number: start.number,
        now: clock.wall().div_euclid(1_000),
        timeout: target.timeout,
        replay: None,
    };
    let made = AssertUnwindSafe(async { target.destination.attempt(attempt).await }).catch_unwind();
    match timeout(target.timeout + TIMEOUT_SLACK, made).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => failure(RETRY, "internal", "the destination failed"),
        Err(_) => failure(RETRY, "timeout", "the destination did not end the attempt in time"),
    }
}

fn failure(verdict: Verdict, reason: &str, detail: &str) -> Outcome {
    Outcome {
        verdict,
        status: None,
        reason: reason.to_owned(),
        detail: detail.to_owned(),
        answer: Bytes::new(),
    }
}

fn attempt_outcome(verdict: Verdict) -> AttemptOutcome {
    match verdict {
        Verdict::Delivered => AttemptOutcome::Delivered,
        Verdict::Refused => AttemptOutcome::Refused,
        Verdict::Retry { .. } => AttemptOutcome::Retry,
        Verdict::Gone => AttemptOutcome::Gone,
    }
}

fn reason_text(outcome: &Outcome) -> String {
    match outcome.detail.is_empty() {
        true => outcome.reason.clone(),
        false => format!("{}: {}", outcome.reason, outcome.detail),
    }
}

/// What attempts are found by.
pub fn event_hash(source: &str, id: &str) -> u64 {
    (identity::unique_hash(source, id) & u128::from(u64::MAX)) as u64
}
