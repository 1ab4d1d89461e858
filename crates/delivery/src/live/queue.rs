//! What the hub has for one tail: bounded in count and bytes. What does not fit is counted at its place in the order.

use super::Item;
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// Events that wait for a reader: some moments of a busy bus.
const EVENTS_MAX: usize = 1_000;
/// Their bytes; one event beyond is always taken.
const BYTES_MAX: usize = 1 << 20;

/// The queue of one tail: the hub pushes, the tail pops.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Popped>,
    bytes: usize,
    closed: bool,
}

/// One thing out of the queue.
#[derive(Clone, Debug)]
pub(super) enum Popped {
    /// An event.
    Item(Item),
    /// So many events did not fit here.
    Skipped(u64),
}

impl Queue {
    /// Takes an event, or counts it as skipped.
    pub(super) fn push(&self, item: Item) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        let was_empty = state.waiting.is_empty();
        let fits = state.waiting.len() < EVENTS_MAX && (state.bytes + item.record.len() <= BYTES_MAX || was_empty);
        match state.waiting.back_mut() {
            _ if fits => {
                state.bytes += item.record.len();
                state.waiting.push_back(Popped::Item(item));
            }
            Some(Popped::Skipped(events)) => *events += 1,
            _ => state.waiting.push_back(Popped::Skipped(1)),
        }
        drop(state);
        if was_empty {
            self.changed.notify_one();
        }
    }

    /// What is next; `None` once it is closed and empty. Dropping the future loses nothing.
    pub(super) async fn pop(&self) -> Option<Popped> {
        loop {
            {
                let mut state = self.lock();
                if let Some(popped) = state.waiting.pop_front() {
                    if let Popped::Item(item) = &popped {
                        state.bytes -= item.record.len();
                    }
                    return Some(popped);
                }
                if state.closed {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    /// Ends it; what waits is still popped.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// Whether it was ended.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use journal::{PartitionId, TopicId};

    fn item(offset: u64, bytes: usize) -> Item {
        let topic = TopicId { bus: 1, topic: 1 };
        Item {
            partition: PartitionId { topic, index: 0 },
            offset,
            appended: 0,
            record: Bytes::from(vec![0; bytes]),
        }
    }

    async fn told(queue: &Queue) -> (Vec<u64>, u64) {
        let (mut offsets, mut skipped) = (Vec::new(), 0);
        queue.close();
        while let Some(popped) = queue.pop().await {
            match popped {
                Popped::Item(item) => offsets.push(item.offset),
                Popped::Skipped(events) => skipped += events,
            }
        }
        (offsets, skipped)
    }

    #[tokio::test]
    async fn what_does_not_fit_is_counted_and_nothing_else_is_lost() {
        let queue = Queue::default();
        (0..2_500).for_each(|offset| queue.push(item(offset, 1)));
        let (offsets, skipped) = told(&queue).await;
        assert_eq!((offsets.len(), skipped), (EVENTS_MAX, 1_500));
        assert!(offsets.iter().copied().eq(0..1_000));
    }

    #[tokio::test]
    async fn bytes_are_bounded_and_one_large_event_is_always_taken() {
        let queue = Queue::default();
        queue.push(item(0, 3 * BYTES_MAX));
        queue.push(item(1, 1));
        assert_eq!(told(&queue).await, (vec![0], 1));
    }

    #[tokio::test]
    async fn after_a_gap_events_are_told_again_in_their_order() {
        let queue = Queue::default();
        (0..1_002).for_each(|offset| queue.push(item(offset, 1)));
        for _ in 0..1_000 {
            assert!(matches!(queue.pop().await, Some(Popped::Item(_))));
        }
        queue.push(item(1_002, 1));
        assert!(matches!(queue.pop().await, Some(Popped::Skipped(2))));
        assert!(matches!(
            queue.pop().await,
            Some(Popped::Item(Item { offset: 1_002, .. }))
        ));
    }
}
