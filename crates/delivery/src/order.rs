//! Per-key order: which delivery of a key may go, which wait behind it, and which keys are parked. Keys are hashes, within
//! one partition. It decides nothing about time.

use bytes::Bytes;
use journal::EncodedRecord;
use ring::digest::{SHA256, digest};
use std::collections::{BTreeSet, HashMap, VecDeque, hash_map::Entry};
use store::{DeliveryKey, Partition};

/// A key's place: keys keep their order within a partition only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderKey {
    /// The partition.
    pub partition: Partition,
    /// Hash of the record's key.
    pub hash: u64,
}

impl OrderKey {
    /// The order key of an encoded record, if it has a key.
    pub fn of(partition: Partition, record: &Bytes) -> Option<Self> {
        let record = EncodedRecord::from_bytes(record.clone())?;
        let hash = key_hash(record.view(0, 0).key?);
        Some(Self { partition, hash })
    }
}

/// Persisted in parked rows: the first 8 bytes, big-endian, of SHA-256 over the key.
fn key_hash(key: &[u8]) -> u64 {
    u64::from_be_bytes(
        *digest(&SHA256, key)
            .as_ref()
            .first_chunk()
            .expect("SHA-256 has 32 bytes"),
    )
}

/// Whether a delivery that comes in may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is its key's turn.
    Now,
    /// Another one of its key goes first; it was put behind it.
    Behind,
    /// Its key is parked: park it too.
    Park,
    /// It lies below its key's first parked one: it was settled before.
    Settled,
}

/// The keys of one lane; `T` is a delivery that waits in memory.
#[derive(Debug)]
pub struct Keys<T> {
    /// Keys with a delivery under way, and those that wait behind it.
    busy: HashMap<OrderKey, Line<T>>,
    parked: HashMap<OrderKey, BTreeSet<DeliveryKey>>,
}

/// A key's delivery under way, and those that wait behind it.
#[derive(Debug)]
struct Line<T> {
    under_way: UnderWay,
    /// Whether what comes in waits here. It does behind one that was read from the journal, even if a dead letter of the key was
    /// parked again meanwhile: parked ahead of the others in the line, it would make them look settled.
    holds: bool,
    waiting: VecDeque<T>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UnderWay {
    /// One that was read from the journal.
    Live,
    /// A parked one.
    Parked,
    /// None: it is the turn of the first parked one, which is being loaded.
    Promised,
}

impl<T> Default for Keys<T> {
    fn default() -> Self {
        Self {
            busy: HashMap::new(),
            parked: HashMap::new(),
        }
    }
}

impl<T> Keys<T> {
    /// A delivery read from the journal comes in; `hold` makes what waits from it.
    pub fn enter(&mut self, key: OrderKey, offset: u64, delivery: T) -> (Turn, Option<T>) {
        if let Some(line) = self.busy.get_mut(&key).filter(|line| line.holds) {
            line.waiting.push_back(delivery);
            return (Turn::Behind, None);
        }
        if let Some(first) = self.first_parked(key) {
            let turn = if offset < first.offset {
                Turn::Settled
            } else {
                Turn::Park
            };
            return (turn, Some(delivery));
        }
        match self.busy.get_mut(&key) {
            Some(line) => {
                line.waiting.push_back(delivery);
                (Turn::Behind, None)
            }
            None => {
                let (under_way, holds) = (UnderWay::Live, true);
                let waiting = VecDeque::new();
                self.busy.insert(
                    key,
                    Line {
                        under_way,
                        holds,
                        waiting,
                    },
                );
                (Turn::Now, Some(delivery))
            }
        }
    }

    /// A parked delivery wants to go: only its key's first one may, and only alone.
    pub fn enter_parked(&mut self, key: OrderKey, delivery: DeliveryKey) -> bool {
        if self.first_parked(key).is_some_and(|first| first != delivery) {
            return false;
        }
        // Behind the last parked one there is no other: what comes in may wait for its end in memory.
        let holds = self.parked.get(&key).is_none_or(|parked| parked.len() == 1);
        match self.busy.entry(key) {
            Entry::Vacant(free) => {
                let (under_way, waiting) = (UnderWay::Parked, VecDeque::new());
                free.insert(Line {
                    under_way,
                    holds,
                    waiting,
                });
                true
            }
            Entry::Occupied(mut line) if line.get().under_way == UnderWay::Promised => {
                line.get_mut().under_way = UnderWay::Parked;
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    /// The delivery under way is over: gives the next one of its key that waits in memory, which is under way then. Where one of
    /// the key is parked as well (a dead letter that was sent out again), memory and store take turns: [`Keys::turn`] says when
    /// it is the parked one's.
    pub fn leave(&mut self, key: OrderKey) -> Option<T> {
        let is_parked = self.parked.contains_key(&key);
        let line = self.busy.get_mut(&key)?;
        if is_parked && line.under_way == UnderWay::Live && !line.waiting.is_empty() {
            line.under_way = UnderWay::Promised;
            return None;
        }
        let next = line.waiting.pop_front();
        (line.under_way, line.holds) = (UnderWay::Live, true);
        if next.is_none() {
            self.busy.remove(&key);
        }
        next
    }

    /// The parked one whose turn it is does not come: gives the next one that waits in memory.
    pub fn pass(&mut self, key: OrderKey) -> Option<T> {
        let line = self.busy.get_mut(&key)?;
        if line.under_way != UnderWay::Promised {
            return None;
        }
        line.under_way = UnderWay::Parked;
        self.leave(key)
    }

    /// The delivery under way is not any more, and nothing of its key may go on from memory: gives those that waited.
    pub fn stop(&mut self, key: OrderKey) -> VecDeque<T> {
        self.busy.remove(&key).map(|line| line.waiting).unwrap_or_default()
    }

    /// A delivery of this key is in the store now.
    pub fn park(&mut self, key: OrderKey, delivery: DeliveryKey) {
        self.parked.entry(key).or_default().insert(delivery);
    }

    /// A parked delivery is no more.
    pub fn unpark(&mut self, key: OrderKey, delivery: DeliveryKey) {
        if let Some(parked) = self.parked.get_mut(&key) {
            parked.remove(&delivery);
            if parked.is_empty() {
                self.parked.remove(&key);
            }
        }
    }

    /// A delivery that should be parked is not there: gives its key, without it.
    pub fn forget(&mut self, delivery: DeliveryKey) -> Option<OrderKey> {
        let (key, _) = self.parked.iter().find(|(_, parked)| parked.contains(&delivery))?;
        let key = *key;
        self.unpark(key, delivery);
        Some(key)
    }

    /// The parked delivery whose turn it is: its key's first one, if nothing of the key is under way.
    pub fn turn(&self, key: OrderKey) -> Option<DeliveryKey> {
        let line = self.busy.get(&key);
        let is_free = line.is_none_or(|line| line.under_way == UnderWay::Promised);
        self.first_parked(key).filter(|_| is_free)
    }

    /// The key's first parked delivery.
    pub fn first_parked(&self, key: OrderKey) -> Option<DeliveryKey> {
        self.parked.get(&key).and_then(|parked| parked.first().copied())
    }

    /// Every key's first parked delivery.
    pub fn heads(&self) -> impl Iterator<Item = DeliveryKey> + '_ {
        self.parked.values().filter_map(|parked| parked.first().copied())
    }

    /// Takes everything that waits in memory.
    pub fn drain_waiting(&mut self) -> Vec<T> {
        let lines = self.busy.values_mut();
        lines.flat_map(|line| line.waiting.drain(..)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTITION: Partition = Partition { topic: 1, index: 0 };
    const KEY: OrderKey = OrderKey {
        partition: PARTITION,
        hash: 7,
    };

    fn delivery(offset: u64) -> DeliveryKey {
        DeliveryKey {
            subscription: 1,
            partition: PARTITION,
            offset,
            replay: 0,
        }
    }

    #[test]
    fn one_delivery_of_a_key_goes_at_a_time_in_order() {
        let mut keys = Keys::default();
        assert_eq!(keys.enter(KEY, 1, 'a').0, Turn::Now);
        assert_eq!(keys.enter(KEY, 2, 'b').0, Turn::Behind);
        assert_eq!(keys.enter(OrderKey { hash: 8, ..KEY }, 3, 'c').0, Turn::Now);
        assert_eq!([keys.leave(KEY), keys.leave(KEY)], [Some('b'), None]);
        assert_eq!(keys.enter(KEY, 4, 'd').0, Turn::Now);
    }

    #[test]
    fn a_parked_key_parks_the_rest_of_it_and_goes_on_in_order() {
        let mut keys = Keys::default();
        keys.enter(KEY, 5, 'a');
        keys.park(KEY, delivery(5));
        assert!(keys.stop(KEY).is_empty());
        assert_eq!(keys.enter(KEY, 6, 'b'), (Turn::Park, Some('b')));
        keys.park(KEY, delivery(6));
        assert!(!keys.enter_parked(KEY, delivery(6)), "the first one goes first");
        assert!(keys.enter_parked(KEY, delivery(5)));
        assert!(!keys.enter_parked(KEY, delivery(5)), "and only once at a time");
        assert_eq!(keys.leave(KEY), None);
        keys.unpark(KEY, delivery(5));
        assert_eq!(keys.turn(KEY), Some(delivery(6)));
        keys.enter_parked(KEY, delivery(6));
        assert_eq!(keys.turn(KEY), None, "it is under way");
    }

    #[test]
    fn what_comes_in_behind_a_live_one_waits_there_though_a_dead_letter_was_parked_again() {
        let mut keys = Keys::default();
        keys.enter(KEY, 8, 'a');
        assert_eq!(keys.enter(KEY, 9, 'b').0, Turn::Behind);
        keys.park(KEY, delivery(5));
        assert_eq!(keys.enter(KEY, 10, 'c').0, Turn::Behind);
        assert_eq!(
            keys.stop(KEY),
            ['b', 'c'],
            "they go back together, and are read again in order"
        );
        assert_eq!(keys.enter(KEY, 9, 'b').0, Turn::Park);
    }

    #[test]
    fn a_dead_letter_that_was_parked_again_takes_turns_with_what_waits_in_memory() {
        let mut keys = Keys::default();
        keys.enter(KEY, 8, 'a');
        keys.enter(KEY, 9, 'b');
        keys.enter(KEY, 10, 'c');
        keys.park(KEY, delivery(5));
        keys.park(KEY, delivery(6));
        assert_eq!(keys.turn(KEY), None, "one is under way");
        assert_eq!(keys.leave(KEY), None);
        assert_eq!(keys.turn(KEY), Some(delivery(5)));
        assert_eq!(keys.enter(KEY, 11, 'd').0, Turn::Behind);
        assert!(!keys.enter_parked(KEY, delivery(6)));
        assert!(keys.enter_parked(KEY, delivery(5)));
        keys.unpark(KEY, delivery(5));
        assert_eq!(keys.leave(KEY), Some('b'), "then one of the others");
        assert_eq!(keys.leave(KEY), None);
        assert_eq!(keys.pass(KEY), Some('c'), "it did not come");
        assert_eq!(keys.pass(KEY), None, "one is under way");
    }

    #[test]
    fn what_comes_in_waits_in_memory_behind_the_last_parked_one() {
        let mut keys = Keys::default();
        keys.park(KEY, delivery(5));
        assert!(keys.enter_parked(KEY, delivery(5)));
        assert_eq!(keys.enter(KEY, 9, 'a').0, Turn::Behind);
        keys.unpark(KEY, delivery(5));
        assert_eq!(keys.leave(KEY), Some('a'));
        keys.park(KEY, delivery(6));
        assert_eq!(keys.leave(KEY), None);
        assert_eq!(keys.turn(KEY), Some(delivery(6)), "nothing else of the key is left");
    }

    #[test]
    fn what_lies_below_the_first_parked_one_was_settled() {
        let mut keys = Keys::default();
        keys.park(KEY, delivery(5));
        assert_eq!(keys.enter(KEY, 4, 'a'), (Turn::Settled, Some('a')));
    }
}
