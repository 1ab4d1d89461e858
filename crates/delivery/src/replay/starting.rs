//! Replays that begin, and those that a start finds in the store.

use super::{
    document::{Document, Into, State, next_of, put_next, replay_of},
    handle::{Handle, KIND},
    picker::Picker,
    preview, range,
    runner::Runner,
    told::Preview,
};
use crate::{Error, inner::Inner, told::not_found};
use control::{
    Bus, Model, Refusal, Subscription, Topic,
    audit::{Actor, Deed},
    resources::ReplaySpec,
};
use std::{collections::BTreeSet, sync::Arc};
use store::{Operation, SubscriptionId};
use tokio::sync::mpsc;

/// A replay that somebody asks for, its range found.
#[derive(Debug)]
pub struct Asked {
    name: Option<String>,
    document: Document,
    into: Option<Arc<Subscription>>,
    by: Actor,
}

impl Asked {
    /// Checks what somebody asks for against what there is, and finds the offsets.
    pub async fn new(inner: &Inner, bus: &str, name: Option<String>, spec: ReplaySpec) -> Result<Self, Error> {
        let model = inner.model.load_full();
        Self::within(inner, &model, bus, name, spec).await
    }

    /// The same for one into a subscription that is there only in this model.
    pub async fn into_new(
        inner: &Inner,
        bus: &str,
        name: Option<String>,
        model: &Model,
        spec: ReplaySpec,
    ) -> Result<Self, Error> {
        Self::within(inner, model, bus, name, spec).await
    }

    async fn within(
        inner: &Inner,
        model: &Model,
        bus: &str,
        name: Option<String>,
        spec: ReplaySpec,
    ) -> Result<Self, Error> {
        let bus = model.bus(bus)?;
        if let Some(name) = &name {
            inner.replays.check_room(bus.id, name)?;
        }
        let (into, subscription) = destination(model, bus, &spec)?;
        let topics = topics(bus, &spec, subscription.as_deref())?;
        let (number, created) = (0, inner.settings.clock.now());
        let mut document = Document::new(number, bus.id, String::new(), spec, into, created);
        document.topics = topics.iter().map(|topic| topic.id).collect();
        range::resolve(inner, bus, &topics, &mut document).await?;
        Ok(Self {
            name,
            document,
            into: subscription,
            by: Actor::System("replay"),
        })
    }

    /// Who asks, for the audit trail.
    pub fn asked_by(self, by: Actor) -> Self {
        Self { by, ..self }
    }

    /// What it is a part of, whose name its events carry.
    pub fn part_of(mut self, name: String) -> Self {
        self.document.part_of = Some(name);
        self
    }

    /// What it would do.
    pub async fn preview(self, inner: &Inner) -> Result<Preview, Error> {
        let filter = self.document.spec.compile()?;
        let topics: BTreeSet<u32> = self.document.topics.iter().copied().collect();
        preview::preview(
            inner,
            &self.document,
            Picker::new(topics, filter, self.document.shown_name()),
            self.into,
        )
        .await
    }

    /// Begins it. By the task of changes, so that what it goes to does not go meanwhile.
    pub async fn begin(mut self, inner: &Arc<Inner>) -> Result<Arc<Handle>, Error> {
        let number = inner.replays.next_number();
        self.document.number = number;
        self.document.name = self.name.take().unwrap_or_else(|| format!("replay-{number}"));
        inner.replays.check_room(self.document.bus, &self.document.name)?;
        if !is_there(&inner.model.load(), &self.document) {
            return Err(not_found("what the replay goes to, or its bus, was deleted meanwhile".to_owned()).into());
        }
        let outlived = inner.replays.outlived(inner.settings.clock.now());
        let forgotten = outlived.iter().map(|replay| replay.document().delete());
        let (spec, name) = (self.document.spec.shown(), self.document.name.as_str());
        let entry = inner.entry(self.by, self.document.bus, Deed::Started, (KIND, name), spec);
        let operations = [self.document.put(), put_next(number.saturating_add(1)), entry];
        let operations: Vec<Operation> = operations.into_iter().chain(forgotten).collect();
        inner.store.apply(self.document.bus, operations).await?;
        for replay in outlived {
            inner.replays.remove(replay.number);
        }
        let handle = Arc::new(Handle::new(self.document));
        inner.replays.insert(Arc::clone(&handle));
        run(inner, &handle);
        Ok(handle)
    }
}

fn is_there(model: &Model, document: &Document) -> bool {
    let bus_of = |id| model.buses.values().find(move |bus| bus.id == id);
    let is_target = match document.into {
        Into::Subscription { bus, id } => {
            bus_of(bus).is_some_and(|bus| bus.subscriptions.values().any(|subscription| subscription.id == id))
        }
        Into::Topic { bus, id } => bus_of(bus).is_some_and(|bus| bus.topics.values().any(|topic| topic.id == id)),
    };
    bus_of(document.bus).is_some() && is_target
}

/// What a replay goes to: by its number, and the subscription.
fn destination(model: &Model, own: &Bus, spec: &ReplaySpec) -> Result<(Into, Option<Arc<Subscription>>), Refusal> {
    let name = spec.into.bus.as_deref().unwrap_or(&own.name);
    let missing = |at: &str, what: &str, name: &str| {
        Refusal::invalid(format!("/into/{at}"), format!("{what} {name:?} does not exist"))
    };
    let bus = model.buses.get(name).ok_or_else(|| missing("bus", "bus", name))?;
    if let Some(name) = &spec.into.subscription {
        let subscription = bus.subscriptions.get(name);
        let subscription = subscription.ok_or_else(|| missing("subscription", "subscription", name))?;
        let into = Into::Subscription {
            bus: bus.id,
            id: subscription.id,
        };
        return Ok((into, Some(Arc::clone(subscription))));
    }
    let name = spec.into.topic.as_deref().unwrap_or_default();
    let topic = bus.topics.get(name).ok_or_else(|| missing("topic", "topic", name))?;
    let into = Into::Topic {
        bus: bus.id,
        id: topic.id,
    };
    Ok((into, None))
}

/// The topics that a replay reads.
fn topics(bus: &Bus, spec: &ReplaySpec, into: Option<&Subscription>) -> Result<Vec<Arc<Topic>>, Refusal> {
    let is_own = spec.into.bus.as_ref().is_none_or(|name| *name == bus.name);
    match (&spec.topics, into.filter(|_| is_own)) {
        (None, Some(into)) => Ok(bus.topics_of(&into.spec).cloned().collect()),
        (topics, _) => bus.topics_named("/topics", topics.as_deref()),
    }
}

/// Starts a replay's task.
pub fn run(inner: &Arc<Inner>, handle: &Arc<Handle>) {
    if let Into::Subscription { id, .. } = handle.into {
        inner.replaying.enter(id, handle.number);
    }
    let (commands, receiver) = mpsc::unbounded_channel();
    let runner = Runner::new(Arc::clone(inner), Arc::clone(handle));
    let task = tokio::spawn(runner.run(receiver)).abort_handle();
    handle.started(commands, task);
}

/// What the store holds of replays, before any lane runs: from then on their rows are their own.
pub fn restore(inner: &Inner, documents: &[store::Document]) {
    inner
        .replays
        .number_from(documents.iter().find_map(next_of).unwrap_or(1));
    for found in documents.iter().filter_map(replay_of) {
        match found {
            Ok(mut document) => {
                shorten(inner, &mut document);
                if let (Into::Subscription { id, .. }, false) = (document.into, document.state.is_over()) {
                    inner.replaying.enter(id, document.number);
                }
                inner.replays.insert(Arc::new(Handle::new(document)));
            }
            Err(error) => tracing::error!(error, "a replay that the store holds cannot be read; it does not go on"),
        }
    }
}

/// Where the journal is shorter than it was, offsets are given again: they are no part of a replay that was made before.
fn shorten(inner: &Inner, document: &mut Document) {
    let bus = document.bus;
    for stretch in &mut document.stretches {
        if let Ok(bounds) = inner.journal.bounds(stretch.id(bus)) {
            stretch.to = stretch.to.min(bounds.high_water.max(stretch.from));
            stretch.at = stretch.at.min(stretch.to);
        }
    }
}

/// Lets those go on that ran when the core ended.
pub fn resume_all(inner: &Arc<Inner>) {
    for handle in inner.replays.all() {
        if matches!(handle.document().state, State::Running | State::Paused) {
            run(inner, &handle);
        }
    }
}

/// What the running replays into a subscription have parked: rows that are not its own lane's.
pub async fn parked_by_replays(inner: &Inner, subscription: SubscriptionId) -> Result<(u64, u64), store::Error> {
    let (mut events, mut bytes) = (0, 0);
    for replay in inner.replaying.numbers(subscription) {
        let held = inner.store.replay_holdings(subscription, replay).await?;
        (events, bytes) = (events + held.parked, bytes + held.parked_bytes);
    }
    Ok((events, bytes))
}
