//! The side of a replay that serves a lane: reads its stretches in turn, hands over what belongs to it, and reads again what
//! the lane gave back. It is to a replay's lane what the router is to a subscription's.

use super::{
    PARKED_BYTES_MAX, PARKED_EVENTS_MAX, SPAN_BYTES_MAX, SPAN_EVENTS_MAX,
    document::{Counts, Document, Loss, LossReason, State},
    picker::Picker,
};
use crate::{
    Error,
    inbox::{Inbox, Unsaved},
    inner::Inner,
    lane::{Config, Fed, Input, Lane, Restored},
    lane_handle::{Command, LaneHandle, Target},
    lane_task::{Role, Spawn},
    matching::stored,
    restore,
    scan::Kept,
    settings::{CHUNK_BYTES, LaneBounds},
    window::Window,
};
use control::{Bus, Subscription, resources::Rate};
use journal::{Chunk, PartitionId};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, atomic::Ordering::Relaxed},
};
use store::{Holdings, Millis, Operation, Partition, SubscriptionId};
use tokio::sync::mpsc;

/// Serves the lane of one replay.
pub struct Feeder {
    /// The lane.
    pub lane: LaneHandle,
    room: mpsc::UnboundedReceiver<SubscriptionId>,
    unsaved: Arc<Unsaved>,
    picker: Picker,
    bus: Arc<Bus>,
    into: Arc<Subscription>,
    /// Where each stretch is read on.
    read: Vec<u64>,
    /// How far each was ever read since this lane began: below it, what is read is read again.
    reached: Vec<u64>,
    /// Marks below this are gone from the store.
    cleared: BTreeMap<Partition, u64>,
    turn: usize,
    /// What was counted before this lane ran.
    before: Counts,
    /// When the newest event was appended that the lane has taken.
    newest: Option<Millis>,
}

impl Feeder {
    /// Starts the lane where the store left it.
    pub async fn start(
        inner: &Inner,
        document: &Document,
        picker: Picker,
        bus: Arc<Bus>,
        into: Arc<Subscription>,
    ) -> Result<Self, Error> {
        let owner = inner.lane(into.id).ok_or(Error::Closing)?;
        let restored = restored(inner, document, into.id, &owner).await?;
        let (room, room_receiver) = mpsc::unbounded_channel();
        let unsaved = Arc::new(Unsaved::default());
        let bounds = bounds(inner.settings.lane);
        let inbox = Inbox::new(
            into.id,
            bounds,
            Arc::clone(&inner.node_bytes),
            room,
            Arc::clone(&unsaved),
        );
        let inbox = Arc::new(inbox);
        let (config, target) = made(inner, document, &bus, &into);
        let counters = Arc::clone(&inbox.counters);
        let lane = Lane::new(Config::clone(&config), restored, counters, inner.settings.clock.now());
        inbox.restore(
            &lane,
            document
                .stretches
                .iter()
                .map(|stretch| stored(stretch.id(document.bus))),
        );
        let stream = into.id ^ (u64::from(document.number) << 32);
        let lane = LaneHandle::spawn(Spawn {
            inner,
            bus: bus.id,
            role: Role::Replay {
                number: document.number,
                owner,
            },
            lane,
            inbox,
            config,
            target,
            stream,
        });
        let read: Vec<u64> = document.stretches.iter().map(|stretch| stretch.at).collect();
        Ok(Self {
            lane,
            room: room_receiver,
            unsaved,
            picker,
            bus,
            into,
            reached: read.clone(),
            read,
            cleared: BTreeMap::new(),
            turn: 0,
            before: document.settled_counts(),
            newest: document.newest,
        })
    }

    /// Waits until the lane has room, or wants to be read to again.
    pub async fn room(&mut self) {
        if self.room.recv().await.is_none() {
            // The lane holds the other end for as long as it lives.
            std::future::pending::<()>().await;
        }
    }

    /// The subscription, its connection or the replay's own state changed.
    pub fn reconfigure(&mut self, inner: &Inner, document: &Document, bus: Arc<Bus>, into: Arc<Subscription>) {
        (self.bus, self.into) = (bus, into);
        let (config, target) = made(inner, document, &self.bus, &self.into);
        self.lane.send(Command::Configure(config, target));
    }

    /// Takes up where the lane wants to be read to again.
    pub fn rewind(&mut self, document: &Document) {
        for partition in self.lane.inbox.rewound() {
            let stretch = document
                .stretches
                .iter()
                .position(|stretch| stored(stretch.id(document.bus)) == partition);
            let from = self.lane.inbox.take_rewound(partition);
            if let (Some(index), Some(from)) = (stretch, from) {
                self.read[index] = self.read[index].min(from).max(document.stretches[index].at);
            }
        }
    }

    /// Whether there is something to read and room for it; if not, the lane will tell.
    pub fn can_feed(&self, document: &Document) -> bool {
        self.next(document).is_some() && self.lane.inbox.wants_more()
    }

    /// The next stretch in turn that is not read to its end.
    fn next(&self, document: &Document) -> Option<usize> {
        let count = document.stretches.len();
        let mut turns = (0..count).map(|step| (self.turn + step) % count);
        turns.find(|index| self.read[*index] < document.stretches[*index].to)
    }

    /// Reads one chunk and hands out what belongs to the replay. What is gone is remembered; an error may pass.
    pub async fn feed(&mut self, inner: &Inner, document: &mut Document) -> Result<(), journal::Error> {
        let Some(index) = self.next(document) else {
            return Ok(());
        };
        self.turn = index + 1;
        let partition = document.stretches[index].id(document.bus);
        match inner.journal.read(partition, self.read[index], CHUNK_BYTES).await {
            Ok(chunk) => {
                self.serve(partition, index, &chunk, document.stretches[index].to);
                Ok(())
            }
            Err(error) => self.unreadable(index, document, error),
        }
    }

    fn serve(&mut self, partition: PartitionId, index: usize, chunk: &Chunk, to: u64) {
        let from = self.read[index];
        let mut fed = Vec::new();
        for batch in &chunk.batches {
            let inside = journal::records(batch).filter(|record| (from..to).contains(&record.offset));
            for record in inside {
                if self.picker.pick(&record, batch.append_time, Some(&self.into)).is_some() {
                    let version = self.into.version;
                    let one: Fed = Kept::default().fed(partition, &record, batch.append_time, version);
                    fed.push(one);
                }
            }
        }
        let times: Vec<(u64, Millis)> = fed.iter().map(|one| (one.offset, one.appended)).collect();
        self.lane.inbox.push(&mut fed);
        let end = chunk.next.min(to);
        // A chunk that ends where it began has nothing, and nothing more comes: the end is durable.
        let end = if chunk.next <= from { to } else { end };
        self.read[index] = fed.first().map_or(end, |refused| refused.offset);
        // Append times of a partition never go back.
        let taken = times.iter().rev().find(|(offset, _)| *offset < self.read[index]);
        self.newest = self.newest.max(taken.map(|(_, appended)| *appended));
        if from < self.reached[index] {
            let wanted = times.into_iter().map(|(offset, _)| offset).collect();
            self.lane.send(Command::Step(Input::ReadAgain {
                partition: stored(partition),
                from,
                to: self.read[index],
                wanted,
            }));
        }
        self.reached[index] = self.reached[index].max(self.read[index]);
    }

    fn unreadable(
        &mut self,
        index: usize,
        document: &mut Document,
        error: journal::Error,
    ) -> Result<(), journal::Error> {
        let stretch = document.stretches[index];
        let (first, next, reason) = match gone(&error, self.read[index], stretch.to) {
            Some(gone) => gone,
            None => return Err(error),
        };
        let from = self.read[index];
        document.lost(Loss {
            topic: stretch.topic,
            partition: stretch.partition,
            from,
            to: next,
            reason,
        });
        // What went back and lies in there goes with it.
        self.lane
            .gave_up(stored(stretch.id(document.bus)), first.min(from), next);
        self.read[index] = next;
        Ok(())
    }

    /// Brings a document up to date; what has to be written with it.
    pub fn note(&mut self, document: &mut Document) -> Vec<Operation> {
        self.unsaved.take();
        let standings = self.lane.inbox.standings();
        let mut operations = Vec::new();
        for (index, read) in self.read.iter().enumerate() {
            let stretch = &mut document.stretches[index];
            let place = Partition {
                topic: stretch.topic,
                index: stretch.partition,
            };
            let standing = standings.get(&place).copied().unwrap_or_default();
            let position = standing.oldest.map_or(*read, |(offset, _)| offset.min(*read));
            stretch.at = position.clamp(stretch.at, stretch.to);
            if standing.has_marks && self.cleared.get(&place).is_none_or(|cleared| *cleared < stretch.at) {
                operations.push(Operation::ClearMarks {
                    subscription: self.into.id,
                    partition: place,
                    replay: document.number,
                    below: stretch.at,
                });
            }
        }
        document.counts = self.counts();
        document.unsettled = self.lane.inbox.counters.unsettled.load(Relaxed);
        document.newest = self.newest;
        operations
    }

    /// What was noted is saved.
    pub fn saved(&mut self, operations: &[Operation]) {
        let mut positions = Vec::new();
        for operation in operations {
            if let Operation::ClearMarks { partition, below, .. } = operation {
                self.cleared.insert(*partition, *below);
                positions.push((*partition, *below));
            }
        }
        if !positions.is_empty() {
            self.lane.saved(positions);
        }
    }

    fn counts(&self) -> Counts {
        let counters = &self.lane.inbox.counters;
        Counts {
            matched: self.before.matched + counters.matched.load(Relaxed),
            delivered: self.before.delivered + counters.delivered.load(Relaxed),
            dead_lettered: self.before.dead_lettered + counters.dead_lettered.load(Relaxed),
            failed: self.before.failed + counters.failed.load(Relaxed),
            parked: self.before.parked + counters.parked.load(Relaxed),
            ..self.before
        }
    }

    /// Whether everything was read and has ended.
    pub fn is_done(&self, document: &Document) -> bool {
        let inbox = &self.lane.inbox;
        let is_read = self.next(document).is_none() && inbox.rewound().is_empty();
        let is_settled = inbox
            .standing_everywhere()
            .values()
            .all(|standing| standing.oldest.is_none());
        is_read && is_settled && inbox.counters.parked_now.load(Relaxed) == 0
    }

    /// Whether something is under way that will end by itself.
    pub fn is_busy(&self) -> bool {
        self.lane.inbox.counters.in_flight.load(Relaxed) > 0
    }
}

/// What cannot be read any more, where it ends within a stretch, and why; `None`: it may pass.
pub(super) fn gone(error: &journal::Error, at: u64, to: u64) -> Option<(u64, u64, LossReason)> {
    match error {
        journal::Error::Damaged(damage) if damage.to > at => {
            Some((damage.from, damage.to.min(to), LossReason::Damaged))
        }
        journal::Error::OutOfRange { start, .. } if *start > at => Some((0, (*start).min(to), LossReason::Expired)),
        // The journal is shorter than it was.
        journal::Error::OutOfRange { high_water, .. } if *high_water <= at => Some((at, to, LossReason::Damaged)),
        journal::Error::UnknownPartition(_) => Some((0, to, LossReason::Deleted)),
        _ => None,
    }
}

/// A replay takes less memory and fewer rows than live traffic may.
fn bounds(lane: LaneBounds) -> LaneBounds {
    LaneBounds {
        span_events: lane.span_events.min(SPAN_EVENTS_MAX),
        span_bytes: lane.span_bytes.min(SPAN_BYTES_MAX),
        parked_events: lane.parked_events.min(PARKED_EVENTS_MAX),
        parked_bytes: lane.parked_bytes.min(PARKED_BYTES_MAX),
        ..lane
    }
}

/// What its lane goes by, and where it delivers to: the subscription's own, but for what the replay has of its own.
fn made(
    inner: &Inner,
    document: &Document,
    bus: &Bus,
    into: &Subscription,
) -> (Box<Config>, Result<Arc<Target>, String>) {
    let (mut config, target) = restore::made(inner, bus, into);
    config.replay = document.number;
    config.bounds = bounds(config.bounds);
    config.enabled &= document.state == State::Running;
    config.policy.rate = slower(document.spec.rate, config.policy.rate);
    let model = inner.model.load();
    let target = target.map(|target| {
        let origin = model.bus_by_id(document.bus);
        Arc::new(Target {
            origin: origin.map_or_else(|| target.origin.clone(), |bus| bus.name.clone()),
            replay: Some(document.name.clone()),
            shaping: target
                .shaping
                .as_ref()
                .map(|shaping| Arc::new(shaping.of_replay(document.shown_name()))),
            ..Target::clone(&target)
        })
    });
    (config, target)
}

/// A replay is never faster than its subscription.
fn slower(one: Option<Rate>, other: Option<Rate>) -> Option<Rate> {
    let speed = |rate: &Rate| f64::from(rate.count) / rate.per.as_secs_f64();
    [one, other]
        .into_iter()
        .flatten()
        .min_by(|one, other| speed(one).total_cmp(&speed(other)))
}

async fn restored(
    inner: &Inner,
    document: &Document,
    subscription: SubscriptionId,
    owner: &LaneHandle,
) -> Result<Restored, store::Error> {
    let mut marked: HashMap<Partition, BTreeSet<u64>> = HashMap::new();
    let marks = inner.store.marks(subscription).await?.into_iter();
    for mark in marks.filter(|mark| mark.key.replay == document.number) {
        marked.entry(mark.key.partition).or_default().insert(mark.key.offset);
    }
    let parked = inner.store.replay_holdings(subscription, document.number).await?;
    let orders = match parked.parked {
        0 => Vec::new(),
        _ => inner.store.parked_orders(subscription).await?,
    };
    let window = |stretch: &super::document::Stretch| {
        let partition = stored(stretch.id(document.bus));
        let marked = marked.remove(&partition).unwrap_or_default();
        (partition, Window::new(stretch.at, marked))
    };
    let counters = &owner.inbox.counters;
    Ok(Restored {
        windows: document.stretches.iter().map(window).collect(),
        holdings: Holdings {
            dead: counters.dead_now.load(Relaxed),
            dead_bytes: counters.dead_bytes_now.load(Relaxed),
            ..parked
        },
        orders: orders
            .into_iter()
            .filter(|(_, key)| key.replay == document.number)
            .collect(),
        is_gone: false,
    })
}
