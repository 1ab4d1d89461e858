//! What others hold of a replay, and what they may ask of it. It starts nothing and decides nothing.

use super::{
    document::{Document, Into},
    told::Replay,
};
use crate::{Error, lane_handle::LaneHandle};
use control::audit::Actor;
use std::{
    sync::{Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};
use store::BusId;
use tokio::{
    sync::{mpsc, oneshot},
    task::AbortHandle,
};

/// The kind of thing in the audit trail.
pub const KIND: &str = "replay";

/// What is asked of a replay's task; answered when it is so and saved. What a person asks for is in the audit trail with it.
#[derive(Debug)]
pub enum Command {
    /// Hold it.
    Pause(Actor, oneshot::Sender<Result<(), Error>>),
    /// Let it go on, also after its endpoint was gone or a bound stopped it.
    Resume(Actor, oneshot::Sender<Result<(), Error>>),
    /// End it: what it has parked goes.
    Cancel(Actor, oneshot::Sender<Result<(), Error>>),
    /// The subscription that it goes to, or its connection, changed; or the topic is gone.
    Reconfigure,
    /// What it goes to is about to be deleted: it comes to rest and fails.
    Abandon(oneshot::Sender<()>),
    /// The core shuts down: it comes to rest where it is.
    Rest(Duration, oneshot::Sender<()>),
}

/// A replay.
#[derive(Debug)]
pub struct Handle {
    /// Its number.
    pub number: u32,
    /// The bus that it reads.
    pub bus: BusId,
    /// Its name there.
    pub name: String,
    /// Where it goes.
    pub into: Into,
    shared: Mutex<Shared>,
}

/// Its task and its lane, while it has them.
#[derive(Debug)]
struct Shared {
    document: Document,
    lane: Option<LaneHandle>,
    /// Unbounded in type; few ask, and each waits for its answer.
    commands: Option<mpsc::UnboundedSender<Command>>,
    task: Option<AbortHandle>,
}

impl Handle {
    /// One without a task.
    pub fn new(document: Document) -> Self {
        Self {
            number: document.number,
            bus: document.bus,
            name: document.name.clone(),
            into: document.into,
            shared: Mutex::new(Shared {
                document,
                lane: None,
                commands: None,
                task: None,
            }),
        }
    }

    /// Its task runs.
    pub fn started(&self, commands: mpsc::UnboundedSender<Command>, task: AbortHandle) {
        let mut shared = self.lock();
        (shared.commands, shared.task) = (Some(commands), Some(task));
    }

    /// Its lane, once it runs, and after its end none.
    pub fn set_lane(&self, lane: Option<LaneHandle>) {
        self.lock().lane = lane;
    }

    /// How it stands.
    pub fn set_document(&self, document: &Document) {
        self.lock().document.clone_from(document);
    }

    /// What is kept of it.
    pub fn document(&self) -> Document {
        self.lock().document.clone()
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.lock().document.state.is_over()
    }

    /// How it stands, for whoever asks.
    pub fn told(&self, topic_name: impl Fn(u32) -> String) -> Replay {
        let shared = self.lock();
        let mut replay = Replay::new(&shared.document, topic_name);
        if let Some(lane) = shared.lane.as_ref().filter(|_| !shared.document.state.is_over()) {
            replay.in_flight = lane.inbox.counters.in_flight.load(Relaxed);
            replay.parked_now = lane.inbox.counters.parked_now.load(Relaxed);
            let doing = lane.inbox.doing();
            replay.reason = replay.reason.or(doing.reason);
        }
        replay
    }

    /// Asks its task; one that is over does not answer.
    pub fn send(&self, command: Command) {
        if let Some(commands) = &self.lock().commands {
            // A task that is gone does not mind.
            let _ = commands.send(command);
        }
    }

    /// Ends its task at once, with its attempts; nothing is saved.
    pub fn abort(&self) {
        let shared = self.lock();
        if let Some(task) = &shared.task {
            task.abort();
        }
        if let Some(lane) = &shared.lane {
            lane.abort();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
