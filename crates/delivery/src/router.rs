//! The router: follows the journal's tail, reads each changed partition once for all lanes that follow it, and has the others
//! served by catch-up scans. It owns every lane's cursors and saves positions. It makes no attempt and writes no delivery.

use crate::{
    inbox::Inbox,
    lane::Fed,
    lane_task::{LaneHandle, apply_at_the_end},
    matching::{Rules, Sieve, copy_of, stored},
    positions::{Cursor, LaneSave, Mode, Saved, plan_lane},
    scan::{Kept, Scanned, Served, scan},
    settings::{CHUNK_BYTES, Settings},
};
use event::EventView;
use journal::{Chunk, Journal, PartitionId, Tail};
use pattern::Matcher;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use store::{Millis, Operation, Partition, Range, RangeReason, Store, SubscriptionId};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::Instant,
};

/// How long after a failed read or save it is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// Positions of lanes in trouble are looked at less and less often while nothing moves, down to this.
const SAVE_INTERVAL_MAX: Duration = Duration::from_secs(30);

/// A lane, as the router serves it.
#[derive(Debug)]
pub struct Reader {
    /// Its inbox and its messages.
    pub lane: LaneHandle,
    /// What it wants.
    pub rules: Arc<Rules>,
    /// Whether it keeps an order by key.
    pub ordered: bool,
    /// Its places.
    pub cursors: BTreeMap<PartitionId, Cursor>,
    /// Not served while its next version is being saved.
    pub frozen: bool,
    /// Matched in the chunk at hand, not yet handed over.
    batch: Vec<Fed>,
}

impl Reader {
    /// A reader with its places.
    pub fn new(lane: LaneHandle, rules: Arc<Rules>, ordered: bool, cursors: BTreeMap<PartitionId, Cursor>) -> Self {
        Self {
            lane,
            rules,
            ordered,
            cursors,
            frozen: false,
            batch: Vec::new(),
        }
    }

    fn inbox(&self) -> &Arc<Inbox> {
        &self.lane.inbox
    }

    fn is_scanning(&self) -> bool {
        self.cursors.values().any(|cursor| cursor.mode == Mode::Scanning)
    }
}

/// Where a lane stands, for changes and retention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The partition.
    pub partition: PartitionId,
    /// Everything below is settled or marked.
    pub position: u64,
    /// The highest it has read to.
    pub frontier: u64,
    /// No re-read goes below.
    pub floor: u64,
}

/// What others ask of the router.
#[derive(Debug)]
pub enum Message {
    /// Serve a lane.
    Add(Box<Reader>),
    /// Stop serving it, and say where it stands: the boundary of its next version, or its end.
    Freeze(SubscriptionId, oneshot::Sender<Vec<Place>>),
    /// Serve it again, by these rules, with cursors for these partitions added and others but those with a rule dropped.
    Thaw {
        /// Which.
        subscription: SubscriptionId,
        /// Its new rules; absent: as before.
        rules: Option<(Arc<Rules>, bool)>,
        /// New places.
        cursors: BTreeMap<PartitionId, Cursor>,
    },
    /// Forget it.
    Remove(SubscriptionId),
    /// Topics came or went, or grew: these are all partitions; whole-bus lanes' rules come along.
    Partitions {
        /// All partitions of the model.
        partitions: BTreeSet<PartitionId>,
        /// New rules of lanes whose topics changed with it.
        rules: Vec<(SubscriptionId, Arc<Rules>)>,
        /// Answered when it is so.
        done: oneshot::Sender<()>,
    },
    /// Where every lane stands.
    Places(oneshot::Sender<HashMap<SubscriptionId, Vec<Place>>>),
    /// Everything below is gone for these lanes; their ranges are recorded.
    Skip {
        /// The partition.
        partition: PartitionId,
        /// Offset after its last.
        to: u64,
        /// Answered when it is so.
        done: oneshot::Sender<()>,
    },
    /// Read nothing more, wait for scans, save positions, end.
    Shutdown,
    /// Save positions once more and end; lanes have come to rest.
    SaveAndEnd(oneshot::Sender<()>),
}

/// What the router shows of itself.
#[derive(Debug, Default)]
pub struct View {
    tails: Mutex<HashMap<PartitionId, u64>>,
    behind: Mutex<HashMap<(SubscriptionId, PartitionId), (u64, Millis)>>,
    rules: Mutex<HashMap<SubscriptionId, Arc<Rules>>>,
    /// Records looked at.
    pub routed: AtomicU64,
    /// Scans under way.
    pub scans: AtomicU64,
    /// Wall time since which it has had something to read without any progress; 0: it has not.
    pub stuck_since: AtomicU64,
}

impl View {
    /// The live tail's place in a partition.
    pub fn tail(&self, partition: PartitionId) -> u64 {
        self.tails
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&partition)
            .copied()
            .unwrap_or_default()
    }

    /// Where a lane reads if it is behind, and the append time there.
    pub fn behind(&self, subscription: SubscriptionId, partition: PartitionId) -> Option<(u64, Millis)> {
        self.behind
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&(subscription, partition))
            .copied()
    }

    /// The rules that a lane is read by.
    pub fn rules(&self, subscription: SubscriptionId) -> Option<Arc<Rules>> {
        self.rules
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&subscription)
            .cloned()
    }

    fn set_rules(&self, subscription: SubscriptionId, rules: &Arc<Rules>) {
        self.rules
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(subscription, Arc::clone(rules));
    }

    fn set_tail(&self, partition: PartitionId, tail: u64) {
        self.tails
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(partition, tail);
    }

    fn set_behind(&self, subscription: SubscriptionId, partition: PartitionId, place: Option<(u64, Millis)>) {
        let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        match place {
            Some(place) => behind.insert((subscription, partition), place),
            None => behind.remove(&(subscription, partition)),
        };
    }

    fn forget(&self, subscription: SubscriptionId) {
        self.rules
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&subscription);
        self.behind
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(other, _), _| *other != subscription);
    }
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
    freezes: Vec<(SubscriptionId, oneshot::Sender<Vec<Place>>)>,
    saves: JoinSet<SaveDone>,
    save_at: Option<Instant>,
    save_interval: Duration,
    read_since_save: u64,
    sieve: Sieve,
    touched: Vec<SubscriptionId>,
    closing: bool,
}

/// What the router starts with.
pub struct Start {
    /// The journal.
    pub journal: Arc<dyn Journal>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Bounds and intervals.
    pub settings: Settings,
    /// What it shows.
    pub view: Arc<View>,
    /// All partitions, with their saved tail positions.
    pub tails: BTreeMap<PartitionId, u64>,
    /// All lanes.
    pub readers: Vec<Reader>,
}

/// The channels that a router listens to.
pub struct Channels {
    /// From the core.
    pub messages: mpsc::Receiver<Message>,
    /// From lanes that have room.
    pub room: mpsc::UnboundedReceiver<SubscriptionId>,
    /// From the journal.
    pub tail: Tail,
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
            freezes: Vec::new(),
            saves: JoinSet::new(),
            save_at: None,
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
        router.compile();
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
            tokio::select! {
                biased;
                message = messages.recv() => match message {
                    Some(Message::SaveAndEnd(done)) => {
                        self.save_and_end().await;
                        let _ = done.send(());
                        return;
                    }
                    Some(message) => self.take(message),
                    None => return,
                },
                Some(subscription) = room.recv() => self.has_room(subscription),
                Some(scanned) = self.scans.join_next(), if !self.scans.is_empty() => self.scanned(scanned.ok()).await,
                Some(saved) = self.saves.join_next(), if !self.saves.is_empty() => self.saved(saved.ok()),
                () = sleep_until(save_at), if save_at.is_some() => self.save(),
                () = sleep_until(again_at), if again_at.is_some() => self.try_again(),
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
            Message::Add(reader) => {
                self.insert(*reader);
                self.compile();
            }
            Message::Freeze(subscription, reply) => {
                self.freeze(subscription);
                self.freezes.push((subscription, reply));
                self.answer_freezes();
            }
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
            Message::Skip { partition, to, done } => {
                self.skip(partition, 0, to);
                let _ = done.send(());
            }
            Message::Shutdown => self.closing = true,
            Message::SaveAndEnd(_) => unreachable!("the loop takes it"),
        }
    }

    fn insert(&mut self, reader: Reader) {
        let subscription = reader.inbox().subscription;
        for (partition, cursor) in &reader.cursors {
            if cursor.mode == Mode::Behind {
                self.view
                    .set_behind(subscription, *partition, Some((cursor.read, self.settings.clock.now())));
            }
        }
        self.hungry.insert(subscription);
        self.view.set_rules(subscription, &reader.rules);
        self.readers.insert(subscription, reader);
        self.will_save();
    }

    fn remove(&mut self, subscription: SubscriptionId) {
        self.readers.remove(&subscription);
        self.hungry.remove(&subscription);
        self.view.forget(subscription);
        self.compile();
    }

    /// One matcher per topic, of the rules in force; earlier rules are asked by scans only.
    fn compile(&mut self) {
        let topics: BTreeSet<u32> = self.tails.keys().map(|partition| partition.topic.topic).collect();
        let matcher = |topic: u32| {
            let wanting = self
                .readers
                .iter()
                .filter(|(_, reader)| reader.rules.current.topics.contains(&topic));
            Matcher::build(wanting.map(|(id, reader)| (*id, Arc::clone(&reader.rules.current.filter))))
        };
        self.matchers = topics
            .into_iter()
            .map(|topic| (topic, Arc::new(matcher(topic))))
            .collect();
    }

    fn mark_changed(&mut self, partitions: Vec<PartitionId>) {
        for partition in partitions {
            if self.tails.contains_key(&partition) && !self.changed.contains(&partition) {
                self.changed.push_back(partition);
            }
        }
        if !self.changed.is_empty() {
            let now = self.settings.clock.now().unsigned_abs();
            let _ = self.view.stuck_since.compare_exchange(0, now, Relaxed, Relaxed);
        }
    }

    fn try_again(&mut self) {
        let partitions = self.again.take().map(|(_, partitions)| partitions).unwrap_or_default();
        self.mark_changed(partitions);
    }

    /// Reads one chunk at the tail.
    async fn advance(&mut self) {
        let Some(partition) = self.changed.pop_front() else {
            return;
        };
        let Some(from) = self.tails.get(&partition).copied() else {
            return;
        };
        if !self.is_followed(partition) {
            // Nobody listens here: scans will read it, once for all.
            let end = self.journal.bounds(partition).map_or(from, |bounds| bounds.high_water);
            return self.reached(partition, end.max(from), true);
        }
        match self.journal.read(partition, from, CHUNK_BYTES).await {
            Ok(chunk) => {
                self.route(partition, from, &chunk);
                let is_end = chunk.next >= chunk.high_water;
                self.reached(partition, chunk.next, is_end);
                if !is_end {
                    self.changed.push_back(partition);
                    tokio::task::yield_now().await;
                }
            }
            Err(error) => self.unreadable(partition, from, error).await,
        }
    }

    fn is_followed(&self, partition: PartitionId) -> bool {
        let follows = |reader: &Reader| {
            reader
                .cursors
                .get(&partition)
                .is_some_and(|cursor| cursor.mode == Mode::Following)
        };
        self.readers.values().any(follows)
    }

    fn reached(&mut self, partition: PartitionId, tail: u64, is_end: bool) {
        let before = self.tails.insert(partition, tail).unwrap_or_default();
        self.view.set_tail(partition, tail);
        let now = if is_end && self.changed.is_empty() {
            0
        } else {
            self.settings.clock.now().unsigned_abs()
        };
        self.view.stuck_since.store(now, Relaxed);
        self.read_since_save += tail.saturating_sub(before);
        if tail != before {
            self.save_interval = self.settings.save_interval;
            self.will_save();
        }
    }

    fn route(&mut self, partition: PartitionId, from: u64, chunk: &Chunk) {
        let Some(matcher) = self.matchers.get(&partition.topic.topic) else {
            return;
        };
        let mut looked_at = 0;
        for batch in &chunk.batches {
            for record in journal::records(batch).filter(|record| record.offset >= from) {
                looked_at += 1;
                let Some(event) = EventView::from_record(record.headers(), record.value) else {
                    continue;
                };
                let matched = self.sieve.matches(matcher, &event, batch.append_time);
                let mut kept = Kept::default();
                for subscription in matched {
                    let Some(reader) = self.readers.get_mut(subscription) else {
                        continue;
                    };
                    let wants = |cursor: &Cursor| cursor.mode == Mode::Following && record.offset >= cursor.read;
                    if !reader.cursors.get(&partition).is_some_and(wants) {
                        continue;
                    }
                    let rule = &reader.rules.current;
                    if copy_of(&record).is_some_and(|primary| rule.topics.contains(&primary)) {
                        continue;
                    }
                    if reader.batch.is_empty() {
                        self.touched.push(*subscription);
                    }
                    let fed = kept.fed(partition, &record, batch.append_time, rule.version, reader.ordered);
                    reader.batch.push(fed);
                }
            }
        }
        self.view.routed.fetch_add(looked_at, Relaxed);
        self.hand_over(partition);
    }

    /// Gives each lane what matched; one without room leaves the tail.
    fn hand_over(&mut self, partition: PartitionId) {
        for subscription in std::mem::take(&mut self.touched) {
            let Some(reader) = self.readers.get_mut(&subscription) else {
                continue;
            };
            let mut batch = std::mem::take(&mut reader.batch);
            reader.lane.inbox.push(&mut batch);
            if let Some(refused) = batch.first() {
                let (offset, appended) = (refused.offset, refused.appended);
                leave_tail(reader, partition, offset);
                self.view.set_behind(subscription, partition, Some((offset, appended)));
                self.hungry.insert(subscription);
            }
            batch.clear();
            reader.batch = batch;
        }
    }

    async fn unreadable(&mut self, partition: PartitionId, from: u64, error: journal::Error) {
        match error {
            journal::Error::Damaged(damage) => {
                self.give_up(partition, damage.from, damage.to, RangeReason::Damaged)
                    .await
            }
            journal::Error::OutOfRange { start, .. } if start > from => {
                self.give_up(partition, 0, start, RangeReason::Expired).await;
            }
            journal::Error::UnknownPartition(_) | journal::Error::Closed => {}
            error => {
                tracing::warn!(%error, ?partition, "failed to read the tail; trying again");
                let again = self.again.get_or_insert_with(|| (Instant::now() + AGAIN, Vec::new()));
                again.1.push(partition);
            }
        }
    }

    /// Nothing from `first` to `to` can be read any more: records a range for every lane that comes there, which goes on behind
    /// it. A lane that is further behind reads on to it first.
    async fn give_up(&mut self, partition: PartitionId, first: u64, to: u64, reason: RangeReason) {
        let tail = self.tails.get(&partition).copied().unwrap_or_default();
        let recorded = self.settings.clock.now();
        let mut operations = Vec::new();
        for (subscription, reader) in &self.readers {
            let Some(cursor) = reader
                .cursors
                .get(&partition)
                .filter(|cursor| cursor.mode != Mode::Scanning)
            else {
                continue;
            };
            let from = cursor.reached(tail);
            if (first..to).contains(&from) && reader.rules.reads(partition.topic.topic) {
                let partition = stored(partition);
                let range = Range {
                    subscription: *subscription,
                    partition,
                    from,
                    to,
                    matched: None,
                    reason,
                    recorded,
                };
                operations.push(Operation::RecordRange(range));
            }
        }
        let bus = partition.topic.bus;
        tracing::error!(
            ?partition,
            to,
            ?reason,
            lanes = operations.len(),
            "records cannot be read any more"
        );
        if let Err(error) = self.store.apply(bus, operations).await {
            tracing::warn!(%error, "failed to record a range; trying again");
            let again = self.again.get_or_insert_with(|| (Instant::now() + AGAIN, Vec::new()));
            return again.1.push(partition);
        }
        self.skip(partition, first, to);
        self.mark_changed(vec![partition]);
    }

    fn skip(&mut self, partition: PartitionId, first: u64, to: u64) {
        let tail = self.tails.get(&partition).copied().unwrap_or_default();
        for reader in self.readers.values_mut() {
            let Some(cursor) = reader.cursors.get_mut(&partition) else {
                continue;
            };
            let comes_there = (first..to).contains(&cursor.reached(tail));
            if comes_there && cursor.mode != Mode::Scanning {
                cursor.read = cursor.read.max(to);
                cursor.frontier = cursor.frontier.max(to);
            }
            if comes_there || first == 0 {
                reader.lane.gave_up(stored(partition), to);
            }
        }
        if (first..to).contains(&tail) {
            self.tails.insert(partition, to);
            self.view.set_tail(partition, to);
        }
        self.will_save();
    }

    // Catch-up.

    fn has_room(&mut self, subscription: SubscriptionId) {
        self.rewind(subscription);
        self.hungry.insert(subscription);
    }

    /// Takes up where a lane wants to be read to again.
    fn rewind(&mut self, subscription: SubscriptionId) {
        let Some(reader) = self.readers.get_mut(&subscription) else {
            return;
        };
        let inbox = Arc::clone(reader.inbox());
        for partition in inbox.rewound() {
            let found = reader.cursors.iter_mut().find(|(id, _)| stored(**id) == partition);
            let Some((id, cursor)) = found.filter(|(_, cursor)| cursor.mode != Mode::Scanning) else {
                continue;
            };
            let tail = self.tails.get(id).copied().unwrap_or_default();
            let Some(from) = inbox.take_rewound(partition) else {
                continue;
            };
            cursor.frontier = cursor.frontier(tail);
            cursor.read = cursor.reached(tail).min(from).max(cursor.floor);
            cursor.mode = Mode::Behind;
            let appended = inbox.standing(partition).oldest.map(|(_, appended)| appended);
            let appended = appended.unwrap_or_else(|| self.settings.clock.now());
            self.view.set_behind(subscription, *id, Some((cursor.read, appended)));
        }
    }

    /// Starts as many scans as may run.
    fn schedule(&mut self) {
        while !self.closing && self.scans.len() < self.settings.catch_up_scans {
            let Some((partition, served)) = self.next_scan() else {
                break;
            };
            self.scans.spawn(scan(Arc::clone(&self.journal), partition, served));
        }
        self.view.scans.store(self.scans.len() as u64, Relaxed);
    }

    /// The next hungry lane in turn, with everybody who can be served by the same chunk.
    fn next_scan(&mut self) -> Option<(PartitionId, Vec<Served>)> {
        while !self.hungry.is_empty() {
            let next = self
                .hungry
                .range(self.last_fed + 1..)
                .next()
                .or_else(|| self.hungry.first())
                .copied()?;
            self.last_fed = next;
            let served = self
                .partition_to_scan(next)
                .map(|partition| (partition, self.serve_with(partition)));
            match served {
                Some((partition, lanes)) if !lanes.is_empty() => return Some((partition, lanes)),
                _ => self.hungry.remove(&next),
            };
        }
        None
    }

    fn partition_to_scan(&self, subscription: SubscriptionId) -> Option<PartitionId> {
        let reader = self.readers.get(&subscription).filter(|reader| !reader.frozen)?;
        let behind = reader.cursors.iter().filter(|(_, cursor)| cursor.mode == Mode::Behind);
        // The one that is furthest behind by what it has read, so that all partitions move.
        let partition = behind
            .min_by_key(|(_, cursor)| cursor.read)
            .map(|(partition, _)| *partition)?;
        reader.inbox().wants_more().then_some(partition)
    }

    fn serve_with(&mut self, partition: PartitionId) -> Vec<Served> {
        let mut served = Vec::new();
        for (subscription, reader) in &mut self.readers {
            let Some(cursor) = reader.cursors.get_mut(&partition) else {
                continue;
            };
            let takes_part = cursor.mode == Mode::Behind && !reader.frozen && self.hungry.contains(subscription);
            if !takes_part || !reader.lane.inbox.wants_more() {
                continue;
            }
            let tail = self.tails.get(&partition).copied().unwrap_or_default();
            cursor.mode = Mode::Scanning;
            // What it went back for may be settled by now.
            cursor.read = cursor
                .read
                .max(cursor.position(tail, reader.lane.inbox.standing(stored(partition))));
            served.push(Served {
                subscription: *subscription,
                inbox: Arc::clone(&reader.lane.inbox),
                rules: Arc::clone(&reader.rules),
                ordered: reader.ordered,
                read: cursor.read,
            });
        }
        served
    }

    async fn scanned(&mut self, scanned: Option<Scanned>) {
        let Some(Scanned {
            partition,
            lanes,
            last_append_time,
            error,
        }) = scanned
        else {
            return self.scan_broke();
        };
        let tail = self.tails.get(&partition).copied().unwrap_or_default();
        let mut lowest = u64::MAX;
        for lane in lanes {
            let Some(reader) = self.readers.get_mut(&lane.subscription) else {
                continue;
            };
            let Some(cursor) = reader.cursors.get_mut(&partition) else {
                continue;
            };
            lowest = lowest.min(lane.read);
            cursor.read = lane.read;
            cursor.frontier = cursor.frontier.max(lane.read);
            cursor.mode = if lane.read >= tail && !reader.frozen {
                Mode::Following
            } else {
                Mode::Behind
            };
            let appended = last_append_time.unwrap_or_else(|| self.settings.clock.now());
            let behind = (cursor.mode == Mode::Behind).then_some((cursor.read, appended));
            self.view.set_behind(lane.subscription, partition, behind);
            self.hungry.insert(lane.subscription);
            self.rewind(lane.subscription);
        }
        if let Some(error) = error {
            self.scan_failed(partition, lowest, error).await;
        }
        self.save_interval = self.settings.save_interval;
        self.will_save();
        self.answer_freezes();
    }

    /// A scan that broke off tells nothing: once none is under way, nobody is being scanned for.
    fn scan_broke(&mut self) {
        tracing::error!("a catch-up scan broke off");
        if !self.scans.is_empty() {
            return;
        }
        for (subscription, reader) in &mut self.readers {
            let scanning = reader
                .cursors
                .values_mut()
                .filter(|cursor| cursor.mode == Mode::Scanning);
            scanning.for_each(|cursor| cursor.mode = Mode::Behind);
            self.hungry.insert(*subscription);
        }
        self.answer_freezes();
    }

    async fn scan_failed(&mut self, partition: PartitionId, from: u64, error: journal::Error) {
        match error {
            journal::Error::OutOfRange { high_water, .. } if from > high_water => {
                tracing::error!(
                    ?partition,
                    from,
                    high_water,
                    "a position lies beyond the end of its partition"
                );
                self.restart_at_end(partition, high_water);
            }
            error => self.unreadable(partition, from, error).await,
        }
    }

    /// A position that no journal of ours can have given: what is there now is all there is to follow.
    fn restart_at_end(&mut self, partition: PartitionId, end: u64) {
        for reader in self.readers.values_mut() {
            if let Some(cursor) = reader.cursors.get_mut(&partition) {
                cursor.read = cursor.read.min(end);
            }
        }
    }

    // Changes.

    fn freeze(&mut self, subscription: SubscriptionId) {
        let Some(reader) = self.readers.get_mut(&subscription) else {
            return;
        };
        reader.frozen = true;
        for (partition, cursor) in &mut reader.cursors {
            let tail = self.tails.get(partition).copied().unwrap_or_default();
            cursor.frontier = cursor.frontier(tail);
            if cursor.mode == Mode::Following {
                cursor.read = cursor.reached(tail);
                cursor.mode = Mode::Behind;
            }
        }
    }

    fn answer_freezes(&mut self) {
        for (subscription, reply) in std::mem::take(&mut self.freezes) {
            match self.readers.get(&subscription).is_some_and(Reader::is_scanning) {
                true => self.freezes.push((subscription, reply)),
                false => drop(reply.send(self.places(subscription))),
            }
        }
    }

    fn places(&self, subscription: SubscriptionId) -> Vec<Place> {
        let Some(reader) = self.readers.get(&subscription) else {
            return Vec::new();
        };
        let place = |(partition, cursor): (&PartitionId, &Cursor)| {
            let tail = self.tails.get(partition).copied().unwrap_or_default();
            let standing = reader.lane.inbox.standing(stored(*partition));
            let (position, frontier) = (cursor.position(tail, standing), cursor.frontier(tail));
            Place {
                partition: *partition,
                position,
                frontier,
                floor: cursor.floor,
            }
        };
        reader.cursors.iter().map(place).collect()
    }

    fn thaw(
        &mut self,
        subscription: SubscriptionId,
        rules: Option<(Arc<Rules>, bool)>,
        cursors: BTreeMap<PartitionId, Cursor>,
    ) {
        let Some(reader) = self.readers.get_mut(&subscription) else {
            return;
        };
        reader.frozen = false;
        if let Some((rules, ordered)) = rules {
            self.view.set_rules(subscription, &rules);
            (reader.rules, reader.ordered) = (rules, ordered);
        }
        for (partition, cursor) in cursors {
            reader.cursors.entry(partition).or_insert(cursor);
        }
        for (partition, cursor) in &mut reader.cursors {
            let tail = self.tails.get(partition).copied().unwrap_or_default();
            if cursor.mode == Mode::Behind && cursor.read >= tail {
                cursor.mode = Mode::Following;
                self.view.set_behind(subscription, *partition, None);
            }
        }
        self.hungry.insert(subscription);
        self.compile();
    }

    fn partitions(&mut self, partitions: BTreeSet<PartitionId>, rules: Vec<(SubscriptionId, Arc<Rules>)>) {
        self.tails.retain(|partition, _| partitions.contains(partition));
        self.saved_tails.retain(|partition, _| partitions.contains(partition));
        self.changed.retain(|partition| partitions.contains(partition));
        for partition in &partitions {
            self.tails.entry(*partition).or_insert(0);
        }
        for (subscription, rules) in rules {
            if let Some(reader) = self.readers.get_mut(&subscription) {
                self.view.set_rules(subscription, &rules);
                reader.rules = rules;
            }
        }
        for reader in self.readers.values_mut() {
            reader.cursors.retain(|partition, _| partitions.contains(partition));
            let topics = &reader.rules.current.topics;
            for partition in partitions
                .iter()
                .filter(|partition| topics.contains(&partition.topic.topic))
            {
                let new = Cursor::new(Mode::Following, 0, 0, Saved::Follows);
                reader.cursors.entry(*partition).or_insert(new);
            }
        }
        self.compile();
        self.mark_changed(partitions.into_iter().collect());
    }

    // Saving positions.

    fn will_save(&mut self) {
        let wait = match self.read_since_save >= self.settings.save_events {
            true => Duration::ZERO,
            false => self.save_interval,
        };
        let at = Instant::now() + wait;
        self.save_at = Some(self.save_at.map_or(at, |other| other.min(at)));
    }

    fn save(&mut self) {
        self.save_at = None;
        if !self.saves.is_empty() {
            return;
        }
        self.read_since_save = 0;
        let (operations, tails, lanes) = self.plan_save();
        if operations.is_empty() {
            // Lanes in trouble are looked at again, the less often the longer nothing moves.
            if self.has_trouble() {
                self.save_interval = (self.save_interval * 2).min(SAVE_INTERVAL_MAX);
                self.will_save();
            }
            return;
        }
        let store = Arc::clone(&self.store);
        self.saves.spawn(async move {
            let result = store.apply(0, operations).await.map(drop);
            SaveDone { tails, lanes, result }
        });
    }

    fn plan_save(&self) -> (Vec<Operation>, Vec<(PartitionId, u64)>, Vec<LaneSave>) {
        let (mut operations, mut tails, mut lanes) = (Vec::new(), Vec::new(), Vec::new());
        for (partition, tail) in &self.tails {
            if self.saved_tails.get(partition) != Some(tail) {
                operations.push(Operation::SaveTail {
                    partition: stored(*partition),
                    position: *tail,
                });
                tails.push((*partition, *tail));
            }
        }
        for (subscription, reader) in &self.readers {
            for (partition, cursor) in &reader.cursors {
                let tail = self.tails.get(partition).copied().unwrap_or_default();
                let place = stored(*partition);
                let standing = reader.lane.inbox.standing(place);
                lanes.extend(plan_lane(*subscription, place, cursor, tail, standing, &mut operations));
            }
        }
        (operations, tails, lanes)
    }

    fn has_trouble(&self) -> bool {
        let mut cursors = self.readers.values().flat_map(|reader| reader.cursors.values());
        cursors.any(|cursor| cursor.saved != Saved::Follows)
    }

    fn saved(&mut self, done: Option<SaveDone>) {
        let Some(SaveDone { tails, lanes, result }) = done else {
            return;
        };
        if let Err(error) = result {
            tracing::warn!(%error, "failed to save positions; trying again");
            self.save_at = Some(Instant::now() + AGAIN);
            return;
        }
        self.saved_tails.extend(tails);
        let mut cleared: HashMap<SubscriptionId, Vec<(Partition, u64)>> = HashMap::new();
        for save in lanes {
            let Some(reader) = self.readers.get_mut(&save.subscription) else {
                continue;
            };
            let mut cursors = reader.cursors.iter_mut();
            let Some((_, cursor)) = cursors.find(|(id, _)| stored(**id) == save.partition) else {
                continue;
            };
            cursor.saved = save.saved;
            if let Some(below) = save.cleared {
                cursor.cleared = below;
                cleared
                    .entry(save.subscription)
                    .or_default()
                    .push((save.partition, below));
            }
        }
        for (subscription, positions) in cleared {
            if let Some(reader) = self.readers.get(&subscription) {
                reader.lane.saved(positions);
            }
        }
        if self.has_trouble() {
            self.will_save();
        }
    }

    async fn save_and_end(&mut self) {
        while let Some(saved) = self.saves.join_next().await {
            self.saved(saved.ok());
        }
        let (operations, ..) = self.plan_save();
        apply_at_the_end(&*self.store, 0, operations).await;
    }
}

fn leave_tail(reader: &mut Reader, partition: PartitionId, read: u64) {
    if let Some(cursor) = reader.cursors.get_mut(&partition) {
        // What lies between was handed over or not wanted; the frontier is what the tail has reached.
        *cursor = Cursor {
            mode: Mode::Behind,
            read,
            frontier: cursor.frontier.max(read),
            ..*cursor
        };
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
