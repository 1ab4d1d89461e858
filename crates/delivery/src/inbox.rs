//! What the router and a lane share: the bounded queue between them, how far the lane has come, and where it wants to be
//! read to again. A mutex for lines; a few instructions each time. It decides nothing.

use crate::{
    lane::{Effects, Fed, Lane, Limit},
    metrics::Counters,
    settings::{LaneBounds, SPAN_BYTES_LANE_MIN},
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use store::{Millis, Partition, SubscriptionId};
use tokio::sync::{Notify, mpsc};

/// Bytes that all lanes together hold.
#[derive(Debug)]
pub struct NodeBytes {
    held: AtomicUsize,
    most: usize,
}

impl NodeBytes {
    /// None held, at most this many.
    pub fn new(most: usize) -> Self {
        Self {
            held: AtomicUsize::new(0),
            most,
        }
    }

    /// How many are held.
    pub fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    fn is_full(&self) -> bool {
        self.held() >= self.most
    }
}

/// Lanes whose standing changed since the saver of positions last looked at them: it looks at no others.
#[derive(Debug, Default)]
pub struct Unsaved(Mutex<Vec<SubscriptionId>>);

impl Unsaved {
    /// Those, taken; each is there once until it is looked at.
    pub fn take(&self) -> Vec<SubscriptionId> {
        std::mem::take(&mut *self.lock())
    }

    fn add(&self, subscription: SubscriptionId) {
        self.lock().push(subscription);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<SubscriptionId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a lane stands in one partition.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    oldest: Option<(u64, Millis)>,
    queued: Option<(u64, Millis)>,
    has_marks: bool,
}

impl Progress {
    fn position(&self) -> Option<(u64, Millis)> {
        [self.oldest, self.queued].into_iter().flatten().min()
    }
}

#[derive(Debug)]
struct Shared {
    queue: Vec<Fed>,
    /// Records above the position, settled or not, but for those that went back to the journal.
    events: usize,
    bytes: usize,
    /// Bytes of parked rows that the lane has loaded.
    loaded: usize,
    /// Records that the lane has.
    held: usize,
    limit: Limit,
    /// What it would skip, while it takes one record or none: a probe has to be something to deliver, and what it would skip is
    /// nothing to wait with.
    skipped: HashMap<Partition, HashSet<u64>>,
    /// Whether the router waits to be told that there is room.
    router_waits: bool,
    /// Where it is not simply done with everything that it was given.
    progress: HashMap<Partition, Progress>,
    /// Whether the saver of positions has been told that `progress` changed.
    is_unsaved: bool,
    rewound: BTreeMap<Partition, u64>,
    state: &'static str,
    reason: Option<String>,
    has_due_work: bool,
    /// When an attempt or a write last ended, or work first became due.
    moved: Millis,
}

impl Shared {
    fn standings(&self) -> HashMap<Partition, Standing> {
        let standing = |(partition, progress): (&Partition, &Progress)| {
            let standing = Standing {
                oldest: progress.position(),
                has_marks: progress.has_marks,
            };
            (standing != Standing::default()).then_some((*partition, standing))
        };
        self.progress.iter().filter_map(standing).collect()
    }
}

/// The inbox of one lane.
#[derive(Debug)]
pub struct Inbox {
    /// Whose.
    pub subscription: SubscriptionId,
    /// Its counters.
    pub counters: Arc<Counters>,
    shared: Mutex<Shared>,
    filled: Notify,
    bounds: LaneBounds,
    node: Arc<NodeBytes>,
    /// Tells the router that this lane has room or wants to be read to again. At most one message of a lane is under way.
    room: mpsc::UnboundedSender<SubscriptionId>,
    unsaved: Arc<Unsaved>,
}

/// What the saver of positions, retention and status want to know of a lane in one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Its oldest unsettled record that it was given, and when that was appended.
    pub oldest: Option<(u64, Millis)>,
    /// Whether the store holds marks of it here.
    pub has_marks: bool,
}

/// How a lane is doing, in figures.
#[derive(Clone, Debug)]
pub struct Doing {
    /// Its state in a word.
    pub state: &'static str,
    /// Why.
    pub reason: Option<String>,
    /// Records handed to it and not settled.
    pub events: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Since when it has had due work without any progress; `None`: it has none, or moves.
    pub stuck_since: Option<Millis>,
}

impl Inbox {
    /// An empty one that takes nothing yet.
    pub fn new(
        subscription: SubscriptionId,
        bounds: LaneBounds,
        node: Arc<NodeBytes>,
        room: mpsc::UnboundedSender<SubscriptionId>,
        unsaved: Arc<Unsaved>,
    ) -> Self {
        let shared = Shared {
            queue: Vec::new(),
            events: 0,
            bytes: 0,
            loaded: 0,
            held: 0,
            limit: Limit::Nothing,
            skipped: HashMap::new(),
            router_waits: false,
            progress: HashMap::new(),
            is_unsaved: false,
            rewound: BTreeMap::new(),
            state: "starting",
            reason: None,
            has_due_work: false,
            moved: 0,
        };
        Self {
            subscription,
            counters: Arc::default(),
            shared: Mutex::new(shared),
            filled: Notify::new(),
            bounds,
            node,
            room,
            unsaved,
        }
    }

    /// Tells how a lane stands before it has done anything.
    pub fn restore(&self, lane: &Lane, partitions: impl Iterator<Item = Partition>) {
        let mut shared = self.lock();
        for partition in partitions.filter(|partition| lane.has_marks(*partition)) {
            shared.progress.entry(partition).or_default().has_marks = true;
        }
        self.has_moved(&mut shared);
        shared.skipped = skipped(lane);
    }

    /// Hands records of one partition over, in order, as many as there is room for; returns how many were taken. If not all
    /// were, the lane will tell when there is room again.
    pub fn push(&self, fed: &mut Vec<Fed>) -> usize {
        let Some(partition) = fed.first().map(|record| record.partition) else {
            return 0;
        };
        let mut shared = self.lock();
        if shared.limit != Limit::Bounded
            && let Some(skipped) = shared.skipped.get(&partition)
        {
            fed.retain(|record| !skipped.contains(&record.offset));
        }
        let mut taken = 0;
        for record in fed.iter() {
            if shared.rewound.contains_key(&partition) || !self.has_room(&shared) {
                shared.router_waits = true;
                break;
            }
            if shared.limit == Limit::One {
                shared.limit = Limit::Nothing;
            }
            taken += 1;
            shared.events += 1;
            shared.held += 1;
            shared.bytes += record.record.len();
            self.node.held.fetch_add(record.record.len(), Relaxed);
        }
        if taken > 0 {
            let progress = shared.progress.entry(partition).or_default();
            progress.queued.get_or_insert((fed[0].offset, fed[0].appended));
            shared.queue.extend(fed.drain(..taken));
            self.has_moved(&mut shared);
            self.filled.notify_one();
        }
        taken
    }

    fn has_room(&self, shared: &Shared) -> bool {
        match shared.limit {
            Limit::Nothing => false,
            Limit::One => true,
            Limit::Bounded => {
                let crowded = self.node.is_full() && shared.bytes >= SPAN_BYTES_LANE_MIN;
                let fits = shared.events < self.bounds.span_events && shared.bytes < self.bounds.span_bytes;
                // A span that is full of settled records waits for one that went back: it must be let in.
                shared.held == 0 || (fits && !crowded)
            }
        }
    }

    /// Half empty: worth another read.
    fn has_ample_room(&self, shared: &Shared) -> bool {
        self.has_room(shared)
            && (shared.limit == Limit::One
                || shared.held == 0
                || (shared.events <= self.bounds.span_events / 2 && shared.bytes <= self.bounds.span_bytes / 2))
    }

    /// Whether a catch-up scan for it makes sense now; if not, the lane will tell when it does.
    pub fn wants_more(&self) -> bool {
        let mut shared = self.lock();
        let ample = self.has_ample_room(&shared);
        shared.router_waits = !ample;
        ample
    }

    /// Where it has to be read to again from, taken; the router's cursors go back there.
    pub fn take_rewound(&self, partition: Partition) -> Option<u64> {
        self.lock().rewound.remove(&partition)
    }

    /// Partitions that it has to be read again in.
    pub fn rewound(&self) -> Vec<Partition> {
        self.lock().rewound.keys().copied().collect()
    }

    /// How it stands in a partition.
    pub fn standing(&self, partition: Partition) -> Standing {
        let shared = self.lock();
        let progress = shared.progress.get(&partition).copied().unwrap_or_default();
        Standing {
            oldest: progress.position(),
            has_marks: progress.has_marks,
        }
    }

    /// The saver's side: how it stands wherever it is not simply done with everything that it was given. The next change is
    /// told anew.
    pub fn standings(&self) -> HashMap<Partition, Standing> {
        let mut shared = self.lock();
        shared.is_unsaved = false;
        shared.standings()
    }

    /// The same, for whoever asks how things stand.
    pub fn standing_everywhere(&self) -> HashMap<Partition, Standing> {
        self.lock().standings()
    }

    /// How it is doing.
    pub fn doing(&self) -> Doing {
        let shared = self.lock();
        Doing {
            state: shared.state,
            reason: shared.reason.clone(),
            events: shared.events,
            bytes: shared.bytes,
            stuck_since: shared.has_due_work.then_some(shared.moved),
        }
    }

    /// The lane's side: waits for records.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }

    /// The lane's side: takes everything that is queued.
    pub fn take(&self) -> Vec<Fed> {
        let mut shared = self.lock();
        Self::take_locked(&mut shared)
    }

    fn take_locked(shared: &mut Shared) -> Vec<Fed> {
        for progress in shared
            .progress
            .values_mut()
            .filter(|progress| progress.queued.is_some())
        {
            progress.oldest = progress.position();
            progress.queued = None;
        }
        std::mem::take(&mut shared.queue)
    }

    /// The lane's side: tells what its steps changed. Returns records that were queued when it closed: they have to be
    /// stepped through it (which gives them back), and this to be called again.
    pub fn publish(&self, lane: &Lane, effects: Effects, now: Millis) -> Vec<Fed> {
        let mut shared = self.lock();
        self.account(&mut shared, lane, effects);
        let before = shared.limit;
        shared.limit = match lane.limit() {
            // The one that it asked for is on its way.
            Limit::One if !shared.queue.is_empty() => Limit::Nothing,
            limit => limit,
        };
        match shared.limit {
            Limit::Bounded => shared.skipped.clear(),
            limit if limit != before => shared.skipped = skipped(lane),
            Limit::One | Limit::Nothing => {}
        }
        (shared.state, shared.reason) = lane.state();
        let due = lane.has_due_work(now);
        if !due || !shared.has_due_work {
            shared.moved = now;
        }
        shared.has_due_work = due;
        let is_closed = lane.limit() == Limit::Nothing && shared.limit == Limit::Nothing && lane.is_closed();
        let left = if is_closed {
            Self::take_locked(&mut shared)
        } else {
            Vec::new()
        };
        let calls = shared.router_waits && (self.has_ample_room(&shared) || !shared.rewound.is_empty());
        if calls && left.is_empty() {
            shared.router_waits = false;
            // A router that is gone needs no telling.
            let _ = self.room.send(self.subscription);
        }
        left
    }

    /// The lane's side: something ended, so it is not stuck.
    pub fn moved(&self, now: Millis) {
        self.lock().moved = now;
    }

    fn account(&self, shared: &mut Shared, lane: &Lane, effects: Effects) {
        shared.events -= effects.released.events;
        shared.bytes -= effects.released.bytes;
        shared.held -= effects.released.held;
        self.node.held.fetch_add(lane.loaded_bytes(), Relaxed);
        self.node
            .held
            .fetch_sub(effects.released.bytes + shared.loaded, Relaxed);
        shared.loaded = lane.loaded_bytes();
        if !effects.touched.is_empty() {
            self.has_moved(shared);
        }
        for partition in effects.touched {
            let progress = shared.progress.entry(partition).or_default();
            progress.oldest = lane.oldest(partition);
            progress.has_marks = lane.has_marks(partition);
            if progress.position().is_none() && !progress.has_marks {
                shared.progress.remove(&partition);
            }
        }
        for (partition, offset) in effects.rewound {
            let from = shared.rewound.entry(partition).or_insert(offset);
            *from = offset.min(*from);
            shared.router_waits = true;
        }
    }

    fn has_moved(&self, shared: &mut Shared) {
        if !std::mem::replace(&mut shared.is_unsaved, true) {
            self.unsaved.add(self.subscription);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn skipped(lane: &Lane) -> HashMap<Partition, HashSet<u64>> {
    let skipped = |partition| (partition, lane.skipped(partition).collect());
    lane.partitions().map(skipped).collect()
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let shared = self.lock();
        let bytes = shared.bytes + shared.loaded;
        drop(shared);
        self.node.held.fetch_sub(bytes, Relaxed);
    }
}
