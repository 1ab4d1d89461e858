//! The hub: one task that reads the journal's tail once for all live tails. It starts with the first tail and ends with the last one.

use super::{
    Wanted, after, item,
    queue::{Popped, Queue},
};
use crate::{matching::Sieve, settings::CHUNK_BYTES};
use event::EventView;
use journal::{Chunk, Journal, PartitionId};
use pattern::{Filter, Matcher};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::JoinHandle,
};

/// Tails that may be joining at once; the doors bound how many there are.
const JOINING_MAX: usize = 256;

/// Where the hub of a core is, if it runs.
#[derive(Default)]
pub(crate) struct Hubs {
    running: Arc<Mutex<Option<Running>>>,
}

struct Running {
    joins: mpsc::Sender<Join>,
    left: Arc<Notify>,
    task: JoinHandle<()>,
}

struct Join {
    wanted: Wanted,
    filter: Arc<Filter>,
    queue: Arc<Queue>,
    /// From where on the hub reads for it.
    starts: oneshot::Sender<BTreeMap<PartitionId, u64>>,
}

/// A tail's place at the hub; dropping it leaves.
pub(super) struct Membership {
    queue: Arc<Queue>,
    left: Arc<Notify>,
}

impl Membership {
    /// What comes next; `None` when the hub ends.
    pub(super) async fn next(&mut self) -> Option<Popped> {
        self.queue.pop().await
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.queue.close();
        self.left.notify_one();
    }
}

impl Hubs {
    /// Has the hub read for a tail from now on, and says from which offsets; `None` when the core ends.
    pub(super) async fn join(
        &self,
        journal: &Arc<dyn Journal>,
        wanted: Wanted,
        filter: &Arc<Filter>,
    ) -> Option<(Membership, BTreeMap<PartitionId, u64>)> {
        let queue = Arc::new(Queue::default());
        let (reply, starts) = oneshot::channel();
        let join = Join {
            wanted,
            filter: Arc::clone(filter),
            queue: Arc::clone(&queue),
            starts: reply,
        };
        let left = {
            let mut running = lock(&self.running);
            let hub = running.get_or_insert_with(|| self.start(journal));
            hub.joins.try_send(join).ok()?;
            Arc::clone(&hub.left)
        };
        let membership = Membership { queue, left };
        let starts = starts.await.ok()?;
        Some((membership, starts))
    }

    fn start(&self, journal: &Arc<dyn Journal>) -> Running {
        let (joins, receiver) = mpsc::channel(JOINING_MAX);
        let left = Arc::new(Notify::new());
        let hub = Hub {
            journal: Arc::clone(journal),
            members: BTreeMap::new(),
            members_ever: 0,
            matchers: BTreeMap::new(),
            cursors: BTreeMap::new(),
            grown: BTreeSet::new(),
            sieve: Sieve::default(),
        };
        let task = tokio::spawn(hub.run(receiver, Arc::clone(&left), Arc::clone(&self.running)));
        Running { joins, left, task }
    }

    /// Ends the hub, and with it every tail.
    pub(crate) async fn end(&self) {
        let running = lock(&self.running).take();
        if let Some(Running { joins, task, .. }) = running {
            drop(joins);
            let _ = task.await;
        }
    }

    /// Ends it at once.
    pub(crate) fn abort(&self) {
        if let Some(running) = lock(&self.running).take() {
            running.task.abort();
        }
    }
}

struct Member {
    wanted: Wanted,
    queue: Arc<Queue>,
}

struct Hub {
    journal: Arc<dyn Journal>,
    members: BTreeMap<u64, Member>,
    members_ever: u64,
    /// By bus.
    matchers: BTreeMap<u32, Matcher<u64>>,
    /// Where the hub reads on, of the partitions that somebody wants.
    cursors: BTreeMap<PartitionId, u64>,
    /// Partitions that may have more.
    grown: BTreeSet<PartitionId>,
    sieve: Sieve,
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.members.values().for_each(|member| member.queue.close());
    }
}

impl Hub {
    async fn run(mut self, mut joins: mpsc::Receiver<Join>, left: Arc<Notify>, registry: Arc<Mutex<Option<Running>>>) {
        let mut tail = self.journal.tail();
        loop {
            tokio::select! {
                join = joins.recv() => match join {
                    Some(join) => self.join(join),
                    None => return,
                },
                () = left.notified() => {
                    self.forget();
                    if self.members.is_empty() && is_last(&registry, &joins) {
                        return;
                    }
                }
                grown = tail.next() => match grown {
                    Some(grown) => self.grown.extend(grown),
                    None => return,
                },
                () = std::future::ready(()), if !self.grown.is_empty() => self.read_one().await,
            }
        }
    }

    fn join(&mut self, join: Join) {
        let Join {
            wanted,
            filter,
            queue,
            starts,
        } = join;
        let partitions = self.journal.partitions().into_iter();
        let mut from = BTreeMap::new();
        for partition in partitions.filter(|partition| wanted.reads(partition.topic)) {
            let high_water = || self.journal.bounds(partition).map(|bounds| bounds.high_water);
            let Some(cursor) = self.cursors.get(&partition).copied().or_else(|| high_water().ok()) else {
                continue;
            };
            self.cursors.insert(partition, cursor);
            from.insert(partition, cursor);
        }
        self.members_ever += 1;
        let matcher = self.matchers.entry(wanted.bus).or_default();
        *matcher = matcher.with(self.members_ever, filter);
        self.members.insert(self.members_ever, Member { wanted, queue });
        // A tail that is gone already is forgotten with the others.
        let _ = starts.send(from);
    }

    /// Forgets the tails that have left, and what only they wanted.
    fn forget(&mut self) {
        let gone: Vec<u64> = self
            .members
            .iter()
            .filter(|(_, member)| member.queue.is_closed())
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            let Some(member) = self.members.remove(&id) else {
                continue;
            };
            if let Some(matcher) = self.matchers.get_mut(&member.wanted.bus) {
                *matcher = matcher.without(id);
            }
        }
        self.matchers.retain(|_, matcher| !matcher.is_empty());
        let members = &self.members;
        let is_wanted = |partition: &PartitionId| members.values().any(|member| member.wanted.reads(partition.topic));
        self.cursors.retain(|partition, _| is_wanted(partition));
    }

    /// Reads one chunk of the next partition that may have more.
    async fn read_one(&mut self) {
        let Some(partition) = self.grown.pop_first() else {
            return;
        };
        if !self.members.values().any(|member| member.wanted.reads(partition.topic)) {
            return;
        }
        // A partition that nobody knew when the tails joined is new: it is told from its start.
        let Ok(bounds) = self.journal.bounds(partition) else {
            self.cursors.remove(&partition);
            return;
        };
        let from = self.cursors.get(&partition).copied().unwrap_or(bounds.start);
        let next = match self.journal.read(partition, from, CHUNK_BYTES).await {
            Ok(chunk) => {
                self.hand_out(partition, from, &chunk);
                chunk.next.max(from)
            }
            Err(error) => after(&error, bounds.high_water),
        };
        self.cursors.insert(partition, next);
        if next < bounds.high_water {
            self.grown.insert(partition);
        }
        tokio::task::yield_now().await;
    }

    fn hand_out(&mut self, partition: PartitionId, from: u64, chunk: &Chunk) {
        let Some(matcher) = self.matchers.get(&partition.topic.bus) else {
            return;
        };
        for batch in &chunk.batches {
            for record in journal::records(batch).filter(|record| record.offset >= from) {
                let Some(event) = EventView::from_record(record.headers(), record.value) else {
                    continue;
                };
                let mut kept = None;
                for id in self.sieve.matches(matcher, &event, batch.append_time) {
                    let Some(Member { wanted, queue }) = self.members.get(id) else {
                        continue;
                    };
                    if wanted.reads(partition.topic) && wanted.takes(&record, &event) {
                        let item = kept.get_or_insert_with(|| item(partition, &record, batch.append_time));
                        queue.push(item.clone());
                    }
                }
            }
        }
    }
}

/// Whether no tail has come meanwhile; the next one starts another hub then.
fn is_last(registry: &Mutex<Option<Running>>, joins: &mpsc::Receiver<Join>) -> bool {
    let mut running = lock(registry);
    let is_last = joins.is_empty();
    if is_last {
        *running = None;
    }
    is_last
}

fn lock(running: &Mutex<Option<Running>>) -> MutexGuard<'_, Option<Running>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}
