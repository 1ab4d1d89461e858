//! Who is served next: the calls that wait for the writer, a queue per bus, taken in turn.
//!
//! It bounds what each bus may have waiting; beyond that a caller waits outside, in the order in which it came. It does
//! not know what a call does.

use super::locked;
use crate::{BusId, Error, Operation, Revision};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Condvar, Mutex},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// What a bus may have waiting, in bytes. A call beyond it is let in alone.
const WAITING_BYTES_MAX: usize = 8 << 20;
/// What a bus may have waiting, in calls.
const WAITING_CALLS_MAX: usize = 256;
/// A call is never counted as less than this, so that one semaphore bounds both bytes and calls.
const CALL_BYTES_MIN: usize = WAITING_BYTES_MAX / WAITING_CALLS_MAX;
/// The semaphore's unit.
const UNIT_BYTES: usize = 1 << 10;
/// What a row costs besides its payload.
const ROW_BYTES: usize = 128;

/// One transaction serves at most so many calls: beyond it, a smaller share of the sync is not worth the wait.
const GROUP_CALLS_MAX: usize = 256;
/// And takes no further call once it holds so many bytes.
const GROUP_BYTES_MAX: usize = 8 << 20;

const _: () = assert!(CALL_BYTES_MIN >= UNIT_BYTES && WAITING_BYTES_MAX / UNIT_BYTES <= u32::MAX as usize);

/// A call that waits for the writer; its room in the queue is free again when it is dropped.
pub(super) struct Call {
    pub(super) operations: Vec<Operation>,
    pub(super) reply: oneshot::Sender<Result<Revision, Error>>,
    bytes: usize,
    _room: OwnedSemaphorePermit,
}

/// The queues of all buses.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    rooms: Mutex<HashMap<BusId, Arc<Semaphore>>>,
}

#[derive(Default)]
struct Waiting {
    calls: HashMap<BusId, VecDeque<Call>>,
    /// The buses that have calls, the next to be served first; each once.
    turns: VecDeque<BusId>,
    closed: bool,
}

impl Queue {
    /// Waits for room, then queues the call.
    pub(super) async fn push(
        &self,
        bus: BusId,
        operations: Vec<Operation>,
    ) -> Result<oneshot::Receiver<Result<Revision, Error>>, Error> {
        let bytes = operations.iter().map(weight).sum::<usize>();
        let units = bytes.clamp(CALL_BYTES_MIN, WAITING_BYTES_MAX).div_ceil(UNIT_BYTES) as u32;
        let room = self
            .room(bus)
            .acquire_many_owned(units)
            .await
            .map_err(|_| Error::Closed)?;
        let (reply, answer) = oneshot::channel();
        let call = Call {
            operations,
            reply,
            bytes,
            _room: room,
        };
        self.enqueue(bus, call)?;
        Ok(answer)
    }

    fn room(&self, bus: BusId) -> Arc<Semaphore> {
        let new = || Arc::new(Semaphore::new(WAITING_BYTES_MAX / UNIT_BYTES));
        locked(&self.rooms).entry(bus).or_insert_with(new).clone()
    }

    fn enqueue(&self, bus: BusId, call: Call) -> Result<(), Error> {
        let mut waiting = locked(&self.waiting);
        if waiting.closed {
            return Err(Error::Closed);
        }
        let calls = waiting.calls.entry(bus).or_default();
        calls.push_back(call);
        if calls.len() == 1 {
            waiting.turns.push_back(bus);
        }
        self.changed.notify_one();
        Ok(())
    }

    /// Blocks until something waits, and takes what one transaction shall serve; `None` once closed and empty.
    pub(super) fn next_group(&self) -> Option<Vec<Call>> {
        let waiting = locked(&self.waiting);
        let mut waiting = self
            .changed
            .wait_while(waiting, |waiting| waiting.turns.is_empty() && !waiting.closed)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let group = waiting.take_group();
        (!group.is_empty()).then_some(group)
    }

    /// Lets nobody in any more; what waits is still served.
    pub(super) fn close(&self) {
        locked(&self.waiting).closed = true;
        for room in locked(&self.rooms).values() {
            room.close();
        }
        self.changed.notify_one();
    }

    /// Drops what waits: the writer is gone.
    pub(super) fn abandon(&self) {
        self.close();
        let mut waiting = locked(&self.waiting);
        waiting.turns.clear();
        waiting.calls.clear();
    }
}

impl Waiting {
    fn take_group(&mut self) -> Vec<Call> {
        let (mut group, mut bytes) = (Vec::new(), 0);
        while group.len() < GROUP_CALLS_MAX && bytes < GROUP_BYTES_MAX {
            let Some(call) = self.take_next() else { break };
            bytes += call.bytes;
            group.push(call);
        }
        group
    }

    fn take_next(&mut self) -> Option<Call> {
        let bus = self.turns.pop_front()?;
        let calls = self.calls.get_mut(&bus)?;
        let call = calls.pop_front();
        if calls.is_empty() {
            self.calls.remove(&bus);
        } else {
            self.turns.push_back(bus);
        }
        call
    }
}

fn weight(operation: &Operation) -> usize {
    let payload = match operation {
        Operation::PutDocument { body, .. } => body.len(),
        Operation::Park(parked) => parked.record.len(),
        Operation::Audit { body, .. } => body.len(),
        Operation::Bury(dead) => dead.delivery.record.len() + dead.detail.len(),
        _ => 0,
    };
    ROW_BYTES + payload
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Partition;

    fn call_of(position: u64) -> Vec<Operation> {
        vec![Operation::SaveTail {
            partition: Partition { topic: 1, index: 0 },
            position,
        }]
    }

    fn positions(group: &[Call]) -> Vec<u64> {
        let position = |call: &Call| match call.operations[..] {
            [Operation::SaveTail { position, .. }] => position,
            _ => unreachable!("only tails are queued here"),
        };
        group.iter().map(position).collect()
    }

    #[tokio::test]
    async fn buses_take_turns_and_each_keeps_its_order() {
        let queue = Queue::default();
        for (bus, position) in [(1, 10), (1, 11), (1, 12), (2, 20), (3, 30), (2, 21)] {
            queue.push(bus, call_of(position)).await.unwrap();
        }
        assert_eq!(positions(&queue.next_group().unwrap()), [10, 20, 30, 11, 21, 12]);
    }

    #[tokio::test]
    async fn a_full_bus_waits_outside_and_another_is_let_in() {
        let queue = Queue::default();
        for position in 0..WAITING_CALLS_MAX as u64 {
            queue.push(1, call_of(position)).await.unwrap();
        }
        let mut late = Box::pin(queue.push(1, call_of(1_000)));
        assert!(futures_poll_once(&mut late).await.is_none());
        queue.push(2, call_of(2_000)).await.unwrap();
        let group = queue.next_group().unwrap();
        assert_eq!(positions(&group)[..3], [0, 2_000, 1]);
        drop(group);
        assert!(late.await.is_ok());
    }

    async fn futures_poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        std::future::poll_fn(|context| match std::pin::Pin::new(&mut *future).poll(context) {
            std::task::Poll::Ready(value) => std::task::Poll::Ready(Some(value)),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
        })
        .await
    }

    #[tokio::test]
    async fn a_closed_queue_serves_what_it_has_and_takes_nothing_more() {
        let queue = Queue::default();
        queue.push(1, call_of(1)).await.unwrap();
        queue.close();
        assert_eq!(queue.push(1, call_of(2)).await.unwrap_err(), Error::Closed);
        assert_eq!(queue.push(9, call_of(2)).await.unwrap_err(), Error::Closed);
        assert_eq!(positions(&queue.next_group().unwrap()), [1]);
        assert!(queue.next_group().is_none());
    }
}
