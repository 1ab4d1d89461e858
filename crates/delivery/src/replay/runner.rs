//! The task of one replay: reads on while there is room, saves how far it has come, and ends. What is delivered when is the
//! lane's decision.

use super::{
    document::{Document, Into, State},
    feeder::Feeder,
    handle::{Command, Handle, KIND},
    picker::Picker,
    publisher::{Hindrance, Publisher},
};
use crate::{Error, clock::sleep_until, inner::Inner, settings::DELETED_GRACE};
use control::{
    Bus, Refusal, Subscription,
    audit::{Actor, Deed},
    refusal::Class,
};
use serde_json::Value;
use std::{
    ops::ControlFlow,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use store::Operation;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

/// How long after a failed read, write or start it is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// It looks how far its lane has come as often as this while that moves, and half as often each time that it does not.
const LOOK_MIN: Duration = Duration::from_millis(50);
/// As seldom as this in the end: an endpoint that is down for hours costs next to nothing.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// What carries a replay out.
enum Way {
    /// Its lane could not be started yet.
    Unstarted,
    Deliver(Box<Feeder>),
    Publish(Box<Publisher>),
}

/// The task's state.
pub struct Runner {
    inner: Arc<Inner>,
    handle: Arc<Handle>,
    document: Document,
    /// As it was last saved.
    saved: Document,
    saved_at: Instant,
    way: Way,
    look_at: Option<Instant>,
    look_wait: Duration,
    /// Nothing is read before then.
    rest_until: Option<Instant>,
}

impl Runner {
    /// One that has not begun.
    pub fn new(inner: Arc<Inner>, handle: Arc<Handle>) -> Self {
        let document = handle.document();
        Self {
            inner,
            handle,
            saved: document.clone(),
            document,
            saved_at: Instant::now(),
            way: Way::Unstarted,
            look_at: Some(Instant::now()),
            look_wait: LOOK_MIN,
            rest_until: None,
        }
    }

    /// Runs until the replay is over, or is told to rest.
    pub async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        loop {
            let resting = self.resting_until();
            let may_go_on = resting.is_none() && self.has_work();
            let look_at = self.look_at;
            let flow = tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(command) => self.take(command).await,
                    None => return,
                },
                () = sleep_until(look_at), if look_at.is_some() => self.look().await,
                () = self.way.room() => ControlFlow::Continue(()),
                () = sleep_until(resting), if resting.is_some() => ControlFlow::Continue(()),
                () = std::future::ready(()), if may_go_on => self.go_on().await,
            };
            if flow.is_break() {
                return;
            }
        }
    }

    fn resting_until(&self) -> Option<Instant> {
        let publisher = match &self.way {
            Way::Publish(publisher) => publisher.not_before,
            Way::Unstarted | Way::Deliver(_) => None,
        };
        let now = Instant::now();
        [self.rest_until, publisher]
            .into_iter()
            .flatten()
            .filter(|at| *at > now)
            .max()
    }

    fn has_work(&mut self) -> bool {
        let is_running = self.document.state == State::Running;
        match &mut self.way {
            Way::Unstarted => true,
            Way::Deliver(feeder) => {
                feeder.rewind(&self.document);
                is_running && feeder.can_feed(&self.document)
            }
            Way::Publish(publisher) => is_running && !publisher.is_done(&self.document),
        }
    }

    /// One step of what it is for.
    async fn go_on(&mut self) -> ControlFlow<()> {
        match &mut self.way {
            Way::Unstarted => return self.start().await,
            Way::Deliver(feeder) => {
                if let Err(error) = feeder.feed(&self.inner, &mut self.document).await {
                    self.rest(&error);
                }
            }
            Way::Publish(publisher) => match publisher.go_on(&self.inner, &mut self.document).await {
                // What a crash repeats is what was published since.
                Ok(()) if self.document.counts.published > self.saved.counts.published => {
                    self.document.reason = None;
                    self.save().await;
                }
                Ok(()) => {}
                Err(Hindrance::Passing(error)) => self.rest(&error),
                // It says itself when it goes on.
                Err(Hindrance::Quota(exceeded)) => {
                    let reason = format!(
                        "the quota {} of the bus that it goes to is used up for now",
                        exceeded.limit
                    );
                    self.document.reason = Some(reason);
                }
                Err(Hindrance::TopicGone) => {
                    return self
                        .end(State::Failed, Some("the topic that it goes to was deleted"))
                        .await;
                }
            },
        }
        self.look_soon();
        ControlFlow::Continue(())
    }

    fn rest(&mut self, error: &dyn std::fmt::Display) {
        tracing::warn!(%error, replay = self.document.name, "a replay cannot go on now; trying again");
        self.rest_until = Some(Instant::now() + AGAIN);
    }

    async fn start(&mut self) -> ControlFlow<()> {
        let Ok(filter) = self.document.spec.compile() else {
            // It was compiled when it was made; another version of the program may know less.
            return self
                .end(State::Failed, Some("its filter does not compile any more"))
                .await;
        };
        let topics = self.document.topics.iter().copied().collect();
        let picker = Picker::new(topics, filter, self.document.shown_name());
        match self.document.into {
            Into::Topic { .. } => {
                let publisher = Publisher::new(&self.document, picker, self.inner.settings.clock);
                self.way = Way::Publish(Box::new(publisher));
            }
            Into::Subscription { .. } => {
                let Some((bus, into)) = self.subscription() else {
                    return self.end(State::Failed, Some(GONE)).await;
                };
                let (number, id) = (self.document.number, into.id);
                match Feeder::start(&self.inner, &self.document, picker, bus, into).await {
                    Ok(feeder) => {
                        self.inner.replaying.started(id, number, feeder.lane.clone());
                        self.handle.set_lane(Some(feeder.lane.clone()));
                        self.way = Way::Deliver(Box::new(feeder));
                    }
                    Err(error) => self.rest(&error),
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// The subscription that it goes to, and its bus.
    fn subscription(&self) -> Option<(Arc<Bus>, Arc<Subscription>)> {
        let Into::Subscription { bus, id } = self.document.into else {
            return None;
        };
        let model = self.inner.model.load();
        let bus = model.buses.values().find(|found| found.id == bus)?;
        let subscription = bus.subscriptions.values().find(|subscription| subscription.id == id)?;
        Some((Arc::clone(bus), Arc::clone(subscription)))
    }

    async fn take(&mut self, command: Command) -> ControlFlow<()> {
        match command {
            Command::Pause(by, reply) => drop(reply.send(self.pause(by).await)),
            Command::Resume(by, reply) => drop(reply.send(self.resume(by).await)),
            Command::Cancel(by, reply) => {
                let entry = self.entry(by, Deed::Cancelled);
                let flow = self.end_with(State::Cancelled, None, Some(entry)).await;
                drop(reply.send(match flow {
                    ControlFlow::Break(()) => Ok(()),
                    ControlFlow::Continue(()) => Err(unsaved()),
                }));
                return flow;
            }
            Command::Reconfigure => self.reconfigure(),
            Command::Abandon(done) => {
                // Its rows go with the subscription in any case; what is left to be saved is saved later, or at the next start.
                let flow = self.end(State::Failed, Some(GONE)).await;
                let _ = done.send(());
                return flow;
            }
            Command::Rest(grace, done) => {
                self.come_to_rest(grace, done).await;
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    fn entry(&self, by: Actor, action: Deed) -> Operation {
        let name = (KIND, self.document.name.as_str());
        self.inner.entry(by, self.document.bus, action, name, Value::Null)
    }

    /// One that is held already stays as it is, and nothing is said of it.
    async fn pause(&mut self, by: Actor) -> Result<(), Error> {
        if self.document.state != State::Paused {
            self.set_state(State::Paused, self.entry(by, Deed::Paused)).await?;
        }
        Ok(())
    }

    async fn resume(&mut self, by: Actor) -> Result<(), Error> {
        self.set_state(State::Running, self.entry(by, Deed::Resumed)).await?;
        if let Way::Deliver(feeder) = &self.way {
            feeder
                .lane
                .send(crate::lane_handle::Command::Step(crate::lane::Input::Resume));
        }
        Ok(())
    }

    /// Saved before it is so, so that no crash undoes what was answered.
    async fn set_state(&mut self, state: State, entry: Operation) -> Result<(), Error> {
        let before = std::mem::replace(&mut self.document.state, state);
        if let Err(error) = self.try_save(Some(entry)).await {
            self.document.state = before;
            return Err(error.into());
        }
        self.reconfigure();
        Ok(())
    }

    fn reconfigure(&mut self) {
        let found = self.subscription();
        match (&mut self.way, found) {
            (Way::Deliver(feeder), Some((bus, into))) => feeder.reconfigure(&self.inner, &self.document, bus, into),
            (Way::Publish(publisher), _) => publisher.not_before = None,
            _ => {}
        }
        self.look_soon();
    }

    fn look_soon(&mut self) {
        self.look_wait = LOOK_MIN;
        let at = Instant::now() + LOOK_MIN;
        self.look_at = Some(self.look_at.map_or(at, |other| other.min(at)));
    }

    /// Notes how far it has come, saves it now and then, and ends when all has ended.
    async fn look(&mut self) -> ControlFlow<()> {
        let before = self.document.clone();
        let is_done = self.is_done();
        self.note();
        if is_done && self.document.state == State::Running {
            return self.end(State::Completed, None).await;
        }
        let has_moved = self.document != before;
        let is_due = self.saved_at.elapsed() >= self.inner.settings.save_interval;
        if is_due && self.document != self.saved {
            self.save().await;
        }
        self.look_wait = match has_moved {
            true => LOOK_MIN,
            false => (self.look_wait * 2).min(LOOK_MAX),
        };
        let is_quiet = match &self.way {
            Way::Deliver(feeder) => !feeder.is_busy(),
            Way::Publish(_) | Way::Unstarted => true,
        };
        let sleeps = self.document.state == State::Paused && is_quiet && self.document == self.saved;
        self.look_at = (!sleeps).then(|| Instant::now() + self.look_wait);
        ControlFlow::Continue(())
    }

    fn is_done(&self) -> bool {
        match &self.way {
            Way::Unstarted => false,
            Way::Deliver(feeder) => feeder.is_done(&self.document),
            Way::Publish(publisher) => publisher.is_done(&self.document),
        }
    }

    fn note(&mut self) -> Vec<Operation> {
        let ended = |document: &Document| document.counts.delivered + document.counts.published;
        let before = ended(&self.handle.document());
        let operations = match &mut self.way {
            Way::Deliver(feeder) => feeder.note(&mut self.document),
            Way::Publish(_) | Way::Unstarted => Vec::new(),
        };
        self.handle.set_document(&self.document);
        let more = ended(&self.document).saturating_sub(before);
        self.inner
            .gauge(self.document.bus)
            .counters
            .replayed
            .fetch_add(more, Relaxed);
        operations
    }

    async fn save(&mut self) {
        if let Err(error) = self.try_save(None).await {
            tracing::warn!(%error, replay = self.document.name, "failed to save a replay's position; trying again");
        }
    }

    async fn try_save(&mut self, entry: Option<Operation>) -> Result<(), store::Error> {
        let mut operations = self.note();
        operations.push(self.document.put());
        self.saved_at = Instant::now();
        let all = operations.iter().cloned().chain(entry).collect();
        self.inner.store.apply(self.document.bus, all).await?;
        if let Way::Deliver(feeder) = &mut self.way {
            feeder.saved(&operations);
        }
        self.saved = self.document.clone();
        Ok(())
    }

    async fn come_to_rest(&mut self, grace: Duration, done: oneshot::Sender<()>) {
        if let Way::Deliver(feeder) = &self.way {
            feeder.lane.stop(grace).await;
        }
        // What the lane has left as marks stays: the position alone is saved.
        self.note();
        crate::lane_task::apply_at_the_end(&*self.inner.store, self.document.bus, vec![self.document.put()]).await;
        let _ = done.send(());
    }

    /// Ends it: its lane rests, its end is saved, and what it has left is the subscription's. `Continue`: not now.
    async fn end(&mut self, state: State, reason: Option<&str>) -> ControlFlow<()> {
        self.end_with(state, reason, None).await
    }

    /// The same, with the entry in the audit trail of whoever ends it.
    async fn end_with(&mut self, state: State, reason: Option<&str>, entry: Option<Operation>) -> ControlFlow<()> {
        let before = self.document.clone();
        if let Way::Deliver(feeder) = &self.way {
            feeder.lane.stop(DELETED_GRACE).await;
        }
        self.note();
        let (number, into) = (self.document.number, self.document.into);
        if let (State::Completed, Into::Subscription { id, .. }) = (state, into) {
            // What a person sent out again meanwhile is this replay's still: its lane begins once more.
            self.inner.replaying.leave(id, number);
            match self.inner.store.replay_holdings(id, number).await {
                Ok(held) if held.parked == 0 => {}
                _ => return self.begin_again(),
            }
        }
        match self.write_end(state, reason, entry).await {
            Ok(()) => {
                if let Into::Subscription { id, .. } = into {
                    self.inner.replaying.leave(id, number);
                }
                self.handle.set_lane(None);
                self.handle.set_document(&self.document);
                tracing::info!(replay = self.document.name, ?state, "a replay has ended");
                ControlFlow::Break(())
            }
            Err(error) => {
                tracing::warn!(%error, replay = before.name, "failed to save the end of a replay; trying again");
                (self.document.state, self.document.ended) = (before.state, before.ended);
                self.document.reason = before.reason;
                self.begin_again()
            }
        }
    }

    fn begin_again(&mut self) -> ControlFlow<()> {
        if let Into::Subscription { id, .. } = self.document.into {
            self.inner.replaying.enter(id, self.document.number);
        }
        self.way = Way::Unstarted;
        self.rest_until = Some(Instant::now() + AGAIN);
        self.look_soon();
        ControlFlow::Continue(())
    }

    async fn write_end(
        &mut self,
        state: State,
        reason: Option<&str>,
        entry: Option<Operation>,
    ) -> Result<(), store::Error> {
        let mut operations: Vec<Operation> = entry.into_iter().collect();
        if let Into::Subscription { id, .. } = self.document.into {
            let replay = self.document.number;
            if state == State::Completed {
                operations.extend(self.document.stretches.iter().map(|stretch| Operation::ClearMarks {
                    subscription: id,
                    partition: crate::matching::stored(stretch.id(self.document.bus)),
                    replay,
                    below: i64::MAX.unsigned_abs(),
                }));
            } else {
                self.document.counts.discarded = self.inner.store.replay_holdings(id, replay).await?.parked;
                let subscription = id;
                operations.push(Operation::ForgetReplay { subscription, replay });
            }
        }
        self.document.state = state;
        self.document.reason = reason.map(str::to_owned);
        self.document.ended = Some(self.inner.settings.clock.now());
        operations.push(self.document.put());
        self.inner.store.apply(self.document.bus, operations).await?;
        Ok(())
    }
}

impl Way {
    /// Pends where nobody tells of room.
    async fn room(&mut self) {
        match self {
            Self::Deliver(feeder) => feeder.room().await,
            Self::Publish(_) | Self::Unstarted => std::future::pending().await,
        }
    }
}

const GONE: &str = "the subscription that it goes to was deleted";

fn unsaved() -> Error {
    Error::Refused(Refusal::new(
        "store_failed",
        Class::Internal,
        "the end of the replay could not be saved; its attempts have stopped, try again",
    ))
}
