//! Telling readers which partitions grew: a feed per subscriber and the engine's hub that fills them. It carries no
//! records and no offsets; whoever is told reads.

use crate::PartitionId;
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// A subscriber's feed of partitions that got new durable records. A set, not a queue: bounded by the number of
/// partitions, whatever the reader's pace.
#[derive(Debug)]
pub struct Tail {
    feed: Arc<Feed>,
    hub: Arc<Mutex<Subscribers>>,
}

impl Tail {
    /// Waits until some partition has durable records that this feed has not reported, and takes them all. The first call
    /// returns every partition that holds records. `None` once the journal is closed.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Vec<PartitionId>> {
        loop {
            if let Some(taken) = self.feed.take() {
                return taken;
            }
            self.feed.changed.notified().await;
        }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        lock(&self.hub).feeds.retain(|feed| !Arc::ptr_eq(feed, &self.feed));
    }
}

/// The engine's side: marks partitions in every subscriber's feed.
#[derive(Debug, Default)]
pub struct TailHub {
    subscribers: Arc<Mutex<Subscribers>>,
}

#[derive(Debug, Default)]
struct Subscribers {
    feeds: Vec<Arc<Feed>>,
    closed: bool,
}

impl TailHub {
    /// A hub without subscribers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells every subscriber that these partitions have new durable records. Call it after the records can be read.
    pub fn mark(&self, partitions: impl Iterator<Item = PartitionId> + Clone) {
        for feed in &lock(&self.subscribers).feeds {
            feed.mark(partitions.clone());
        }
    }

    /// Adds a subscriber. `holding` names the partitions that hold records now; it is asked after the feed has begun to
    /// listen, so that nothing falls between. On a closed hub the feed has ended.
    pub fn subscribe(&self, holding: impl FnOnce() -> Vec<PartitionId>) -> Tail {
        let tail = Tail {
            feed: Arc::new(Feed::default()),
            hub: Arc::clone(&self.subscribers),
        };
        let mut subscribers = lock(&self.subscribers);
        if subscribers.closed {
            tail.feed.close();
        } else {
            subscribers.feeds.push(Arc::clone(&tail.feed));
        }
        drop(subscribers);
        tail.feed.mark(holding().into_iter());
        tail
    }

    /// Ends every feed, after what is marked in it, and every later one. Idempotent.
    pub fn close(&self) {
        let mut subscribers = lock(&self.subscribers);
        subscribers.closed = true;
        for feed in subscribers.feeds.drain(..) {
            feed.close();
        }
    }
}

#[derive(Debug, Default)]
struct Feed {
    marks: Mutex<Marks>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Marks {
    partitions: HashSet<PartitionId>,
    closed: bool,
}

impl Feed {
    fn mark(&self, partitions: impl Iterator<Item = PartitionId>) {
        let mut marks = lock(&self.marks);
        if marks.closed {
            return;
        }
        let idle = marks.partitions.is_empty();
        marks.partitions.extend(partitions);
        if idle && !marks.partitions.is_empty() {
            self.changed.notify_one();
        }
    }

    fn close(&self) {
        lock(&self.marks).closed = true;
        self.changed.notify_one();
    }

    /// What is marked, in order; `Some(None)` at the end, `None` when there is nothing yet.
    fn take(&self) -> Option<Option<Vec<PartitionId>>> {
        let mut marks = lock(&self.marks);
        if marks.partitions.is_empty() {
            return marks.closed.then_some(None);
        }
        let mut taken: Vec<_> = marks.partitions.drain().collect();
        drop(marks);
        taken.sort_unstable();
        Some(Some(taken))
    }
}

/// A panic elsewhere leaves a set of marks as good as it was.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TopicId;

    fn partition(index: u32) -> PartitionId {
        PartitionId {
            topic: TopicId { bus: 1, topic: 2 },
            index,
        }
    }

    fn marks(indexes: &[u32]) -> Vec<PartitionId> {
        indexes.iter().copied().map(partition).collect()
    }

    #[tokio::test]
    async fn the_first_answer_is_what_holds_records() {
        let hub = TailHub::new();
        let mut tail = hub.subscribe(|| marks(&[3, 1]));
        assert_eq!(tail.next().await, Some(marks(&[1, 3])));
    }

    #[tokio::test]
    async fn a_partition_marked_many_times_is_told_once() {
        let hub = TailHub::new();
        let mut tail = hub.subscribe(Vec::new);
        for _ in 0..1_000 {
            hub.mark(marks(&[2, 1, 2]).into_iter());
        }
        assert_eq!(tail.next().await, Some(marks(&[1, 2])));
        hub.mark(marks(&[2]).into_iter());
        assert_eq!(tail.next().await, Some(marks(&[2])));
    }

    #[tokio::test]
    async fn a_waiting_reader_wakes_for_a_mark_and_for_the_end() {
        let hub = TailHub::new();
        let mut tail = hub.subscribe(Vec::new);
        let reader = tokio::spawn(async move { (tail.next().await, tail.next().await, tail.next().await) });
        tokio::task::yield_now().await;
        hub.mark(marks(&[5]).into_iter());
        tokio::task::yield_now().await;
        hub.close();
        assert_eq!(reader.await.unwrap(), (Some(marks(&[5])), None, None));
    }

    #[tokio::test]
    async fn what_is_marked_before_the_end_is_still_told() {
        let hub = TailHub::new();
        let mut tail = hub.subscribe(|| marks(&[1]));
        hub.close();
        hub.mark(marks(&[2]).into_iter());
        assert_eq!((tail.next().await, tail.next().await), (Some(marks(&[1])), None));
        assert_eq!(hub.subscribe(|| marks(&[1])).next().await, None);
    }

    #[tokio::test]
    async fn a_mark_made_while_subscribing_is_not_lost() {
        let hub = TailHub::new();
        let mut tail = hub.subscribe(|| {
            hub.mark(marks(&[9]).into_iter());
            Vec::new()
        });
        assert_eq!(tail.next().await, Some(marks(&[9])));
    }

    #[tokio::test]
    async fn a_dropped_feed_is_forgotten_and_a_dropped_wait_loses_nothing() {
        let hub = TailHub::new();
        drop(hub.subscribe(Vec::new));
        assert!(lock(&hub.subscribers).feeds.is_empty());

        let mut tail = hub.subscribe(Vec::new);
        assert!(poll_once(tail.next()).is_none());
        hub.mark(marks(&[4]).into_iter());
        assert_eq!(tail.next().await, Some(marks(&[4])));
    }

    /// Polls once and drops the future.
    fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }
}
