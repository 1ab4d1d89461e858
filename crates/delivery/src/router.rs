//! The router: follows the journal's tail, reads each changed partition once for all lanes that follow it, and has the others
//! served by catch-up scans. It owns every lane's cursors and saves positions. It makes no attempt and writes no delivery.

mod catch_up;
mod changing;
mod losing;
mod message;
mod saving;
mod tail;

pub use message::{Channels, Message, Place, Start};

use crate::{
    clock::sleep_until,
    inbox::{Inbox, Unsaved},
    lane::Fed,
    lane_handle::LaneHandle,
    matching::{Rules, Sieve, stored},
    operational::{GaveUp, Reporter},
    positions::{Cursor, LaneSave, Mode},
    scan::Scanned,
    settings::Settings,
    view::View,
};
use journal::{Journal, PartitionId};
use pattern::Matcher;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use store::{Store, SubscriptionId};
use tokio::{sync::oneshot, task::JoinSet, time::Instant};

/// How long after a failed read or save it is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// A catch-up scan that keeps failing is tried less and less often, down to this: soon enough that nobody has to help a lane
/// on once a disk is well again, seldom enough that a broken one costs nothing.
const REST_MAX: Duration = Duration::from_secs(60);
/// Positions of lanes in trouble are looked at less and less often while nothing moves, down to this.
const SAVE_INTERVAL_MAX: Duration = Duration::from_secs(30);

/// A lane, as the router serves it.
#[derive(Debug)]
pub struct Reader {
    /// Its inbox and its messages.
    pub lane: LaneHandle,
    /// What it wants.
    pub rules: Arc<Rules>,
    /// Its places.
    pub cursors: BTreeMap<PartitionId, Cursor>,
    /// Not served while somebody has frozen it: a change that saves its next version, or retention.
    frozen: u32,
    /// Matched in the chunk at hand, not yet handed over.
    batch: Vec<Fed>,
}

impl Reader {
    /// A reader with its places.
    pub fn new(lane: LaneHandle, rules: Arc<Rules>, cursors: BTreeMap<PartitionId, Cursor>) -> Self {
        Self {
            lane,
            rules,
            cursors,
            frozen: 0,
            batch: Vec::new(),
        }
    }

    fn inbox(&self) -> &Arc<Inbox> {
        &self.lane.inbox
    }

    fn is_frozen(&self) -> bool {
        self.frozen > 0
    }

    fn is_scanning(&self) -> bool {
        self.cursors.values().any(|cursor| cursor.mode == Mode::Scanning)
    }
}

/// A range that was recorded, or not: nothing in it can be read any more.
struct Recorded {
    partition: PartitionId,
    first: u64,
    to: u64,
    /// Whose.
    lanes: BTreeSet<SubscriptionId>,
    /// What each loses.
    losses: Vec<(SubscriptionId, GaveUp)>,
    result: Result<(), store::Error>,
}

/// How long a lane is not scanned for in a partition, after failures.
struct Rest {
    /// Until then; absent: its time is over, and a scan has not succeeded yet.
    until: Option<Instant>,
    wait: Duration,
}

/// A save that was carried out, or not.
struct SaveDone {
    tails: Vec<(PartitionId, u64)>,
    lanes: Vec<LaneSave>,
    result: Result<(), store::Error>,
}

/// The router.
pub struct Router {
    journal: Arc<dyn Journal>,
    store: Arc<dyn Store>,
    settings: Settings,
    view: Arc<View>,
    unsaved: Arc<Unsaved>,
    reporter: Reporter,
    /// Lanes for which more is saved, or may have to be, than the tail positions say; a save looks at these alone.
    troubled: BTreeSet<SubscriptionId>,
    readers: HashMap<SubscriptionId, Reader>,
    matchers: HashMap<u32, Arc<Matcher<SubscriptionId>>>,
    tails: BTreeMap<PartitionId, u64>,
    saved_tails: HashMap<PartitionId, u64>,
    /// Partitions with something to read at the tail.
    changed: VecDeque<PartitionId>,
    /// Partitions whose read failed, to be tried again then.
    again: Option<(Instant, Vec<PartitionId>)>,
    /// Lanes that are behind and may have room.
    hungry: BTreeSet<SubscriptionId>,
    last_fed: SubscriptionId,
    scans: JoinSet<Scanned>,
    /// Lanes whose scans of a partition failed.
    rests: BTreeMap<(PartitionId, SubscriptionId), Rest>,
    /// Partitions in which a range is being recorded: nobody reads there until it is.
    recording: BTreeSet<PartitionId>,
    ranges: JoinSet<Recorded>,
    freezes: Vec<(SubscriptionId, oneshot::Sender<Vec<Place>>)>,
    saves: JoinSet<SaveDone>,
    save_at: Option<Instant>,
    save_interval: Duration,
    /// A save was asked for while one was under way.
    save_wanted: bool,
    read_since_save: u64,
    sieve: Sieve,
    touched: Vec<SubscriptionId>,
    closing: bool,
}

impl Router {
    /// A router that has read nothing yet.
    pub fn new(start: Start) -> Self {
        let mut router = Self {
            journal: start.journal,
            store: start.store,
            save_interval: start.settings.save_interval,
            settings: start.settings,
            view: start.view,
            unsaved: start.unsaved,
            reporter: start.reporter,
            troubled: BTreeSet::new(),
            readers: HashMap::new(),
            matchers: HashMap::new(),
            saved_tails: start
                .tails
                .iter()
                .map(|(partition, tail)| (*partition, *tail))
                .collect(),
            changed: start.tails.keys().copied().collect(),
            tails: start.tails,
            again: None,
            hungry: BTreeSet::new(),
            last_fed: 0,
            scans: JoinSet::new(),
            rests: BTreeMap::new(),
            recording: BTreeSet::new(),
            ranges: JoinSet::new(),
            freezes: Vec::new(),
            saves: JoinSet::new(),
            save_at: None,
            save_wanted: false,
            read_since_save: 0,
            sieve: Sieve::default(),
            touched: Vec::new(),
            closing: false,
        };
        for (partition, tail) in &router.tails {
            router.view.set_tail(*partition, *tail);
        }
        for reader in start.readers {
            router.insert(reader);
        }
        router.compile(router.topics());
        router
    }

    /// Serves until it is told to end.
    pub async fn run(mut self, channels: Channels) {
        let Channels {
            mut messages,
            mut room,
            mut tail,
        } = channels;
        let mut tail_open = true;
        loop {
            self.schedule();
            let busy = !self.changed.is_empty() && !self.closing;
            let (save_at, again_at) = (self.save_at, self.again.as_ref().map(|(at, _)| *at));
            let rest_at = self.rests.values().filter_map(|rest| rest.until).min();
            tokio::select! {
                biased;
                message = messages.recv() => match message {
                    Some(Message::SaveAndEnd(done)) => {
                        self.save_and_end().await;
                        let _ = done.send(());
                        return;
                    }
                    Some(Message::Save(done)) => {
                        self.save_now().await;
                        let _ = done.send(());
                    }
                    Some(message) => self.take(message),
                    None => return,
                },
                Some(subscription) = room.recv() => self.has_room(subscription),
                Some(scanned) = self.scans.join_next(), if !self.scans.is_empty() => self.scanned(scanned.ok()),
                Some(recorded) = self.ranges.join_next(), if !self.ranges.is_empty() => self.recorded(recorded.ok()),
                Some(saved) = self.saves.join_next(), if !self.saves.is_empty() => self.saved(saved.ok()),
                () = sleep_until(save_at), if save_at.is_some() => self.save(),
                () = sleep_until(again_at), if again_at.is_some() => self.try_again(),
                () = sleep_until(rest_at), if rest_at.is_some() => self.wake(),
                partitions = tail.next(), if tail_open && !self.closing => match partitions {
                    Some(partitions) => self.mark_changed(partitions),
                    None => tail_open = false,
                },
                () = std::future::ready(()), if busy => self.advance().await,
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Add(reader, done) => {
                let (subscription, topics) = (reader.inbox().subscription, reader.rules.current.topics.clone());
                self.insert(*reader);
                self.follow(subscription, topics);
                let _ = done.send(());
            }
            Message::Freeze(subscription, reply) => {
                self.freeze(subscription);
                self.freezes.push((subscription, reply));
                self.answer_freezes();
            }
            Message::Renumber(subscription, rules) => self.set_rules(subscription, rules),
            Message::Thaw {
                subscription,
                rules,
                cursors,
            } => self.thaw(subscription, rules, cursors),
            Message::Remove(subscription) => self.remove(subscription),
            Message::Partitions {
                partitions,
                rules,
                done,
            } => {
                self.partitions(partitions, rules);
                let _ = done.send(());
            }
            Message::Places(reply) => {
                let places = self
                    .readers
                    .keys()
                    .map(|subscription| (*subscription, self.places(*subscription)));
                let _ = reply.send(places.collect());
            }
            Message::Skip {
                partition,
                to,
                lanes,
                done,
            } => {
                self.skip_frozen(partition, to, &lanes);
                let _ = done.send(());
            }
            Message::SkipTo {
                subscription,
                places,
                done,
            } => {
                self.skip_to(subscription, &places);
                let _ = done.send(());
            }
            Message::Shutdown => self.closing = true,
            Message::Save(_) | Message::SaveAndEnd(_) => unreachable!("the loop takes it"),
        }
    }

    fn insert(&mut self, reader: Reader) {
        let subscription = reader.inbox().subscription;
        self.view.set_rules(subscription, &reader.rules);
        self.readers.insert(subscription, reader);
        self.settle(subscription);
        self.will_save();
    }

    /// Has every cursor of a lane follow the tail or catch up with it, by where it stands now.
    fn settle(&mut self, subscription: SubscriptionId) {
        let Some(reader) = self.readers.get_mut(&subscription) else {
            return;
        };
        let now = self.settings.clock.now();
        self.troubled.insert(subscription);
        for (partition, cursor) in &mut reader.cursors {
            if cursor.mode == Mode::Scanning {
                continue;
            }
            let tail = self.tails.get(partition).copied().unwrap_or_default();
            cursor.settle(tail, reader.rules.boundary(stored(*partition)));
            let before = self.view.behind(subscription, *partition);
            let appended = before
                .filter(|(read, _)| *read == cursor.read)
                .map_or(now, |(_, at)| at);
            let behind = (cursor.mode == Mode::Behind).then_some((cursor.read, appended));
            self.view.set_behind(subscription, *partition, behind);
        }
        self.hungry.insert(subscription);
    }

    fn remove(&mut self, subscription: SubscriptionId) {
        let removed = self.readers.remove(&subscription);
        self.hungry.remove(&subscription);
        self.troubled.remove(&subscription);
        self.rests.retain(|(_, other), _| *other != subscription);
        self.view.forget(subscription);
        if let Some(reader) = removed {
            self.follow(subscription, reader.rules.current.topics.clone());
        }
    }

    fn topics(&self) -> BTreeSet<u32> {
        self.tails.keys().map(|partition| partition.topic.topic).collect()
    }

    /// A subscription has come, gone or changed: the matchers of these topics follow, at the cost of its filter.
    fn follow(&mut self, subscription: SubscriptionId, topics: BTreeSet<u32>) {
        let left = self.topics();
        let known = |topic: &u32| self.matchers.contains_key(topic);
        let unknown: BTreeSet<u32> = topics.iter().copied().filter(|topic| !known(topic)).collect();
        for topic in topics.difference(&unknown).filter(|topic| left.contains(topic)) {
            let reader = self.readers.get(&subscription);
            let rule = reader
                .map(|reader| &reader.rules.current)
                .filter(|rule| rule.topics.contains(topic));
            let Some(matcher) = self.matchers.get_mut(topic) else {
                continue;
            };
            *matcher = Arc::new(match rule {
                Some(rule) => matcher.with(subscription, Arc::clone(&rule.filter)),
                None => matcher.without(subscription),
            });
        }
        if !unknown.is_empty() {
            self.compile(unknown);
        }
    }

    /// One matcher for each of these topics, of the rules in force; earlier rules are asked by scans only.
    fn compile(&mut self, topics: BTreeSet<u32>) {
        let left = self.topics();
        let matcher = |topic: u32| {
            let wanting = self
                .readers
                .iter()
                .filter(|(_, reader)| reader.rules.current.topics.contains(&topic));
            Matcher::build(wanting.map(|(id, reader)| (*id, Arc::clone(&reader.rules.current.filter))))
        };
        let compiled: Vec<_> = topics
            .into_iter()
            .map(|topic| (topic, Arc::new(matcher(topic))))
            .collect();
        self.matchers.extend(compiled);
        self.matchers.retain(|topic, _| left.contains(topic));
    }
}
