//! What others hold of a lane, and what they may ask of it. It starts the lane's task and knows nothing of what that does.

use crate::{
    Destination,
    inbox::Inbox,
    lane::{Config, Input},
    lane_task::{Spawn, run},
    shaping::Shaping,
};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use store::Partition;
use tokio::{
    sync::{mpsc, oneshot},
    task::AbortHandle,
};

/// What others hold of a lane.
#[derive(Clone, Debug)]
pub struct LaneHandle {
    /// What it shares with the router.
    pub inbox: Arc<Inbox>,
    // Unbounded in type, bounded in fact: one message per saved position or change of the subscription. Boxed, because a channel
    // sets aside room for 32 messages: for a command that is 10 KiB, for each of 10,000 lanes that rest.
    commands: mpsc::UnboundedSender<Box<Command>>,
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
    /// Says when what it was told before is done and can be seen.
    Seen(oneshot::Sender<()>),
    /// End: no attempt begins any more, those in flight may finish within the time, what has to be written is written.
    Stop(Duration, oneshot::Sender<()>),
}

impl std::fmt::Debug for Command {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Step(_) => "Step",
            Self::Configure(..) => "Configure",
            Self::Known(_) => "Known",
            Self::Seen(_) => "Seen",
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
#[derive(Clone)]
pub struct Target {
    /// Makes the attempts.
    pub destination: Arc<dyn Destination>,
    /// The bus, for the message id.
    pub bus: String,
    /// The bus that keeps the events.
    pub origin: String,
    /// The subscription, for the message id.
    pub subscription: String,
    /// For a whole attempt.
    pub timeout: Duration,
    /// The replay that delivers there, if it is one.
    pub replay: Option<String>,
    /// What becomes of an event first; `None`: nothing.
    pub shaping: Option<Arc<Shaping>>,
}

impl LaneHandle {
    /// Starts a lane's task.
    pub fn spawn(spawn: Spawn<'_>) -> Self {
        let (commands, receiver) = mpsc::unbounded_channel();
        let inbox = Arc::clone(&spawn.inbox);
        let task = tokio::spawn(run(spawn, receiver)).abort_handle();
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
        let _ = self.commands.send(Box::new(command));
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
