//! The map of the identities of the window. It is the largest thing in memory and is asked for every event, so its entries
//! are small, its hash is cheap, and it grows in parts: no group waits until a million entries have moved.

use super::First;
use crate::{AppendTime, Offset, PartitionId, Position, TopicId};
use std::{
    collections::{HashMap, hash_map},
    hash::{BuildHasher, Hash, Hasher, RandomState},
};

/// Parts, each of which grows by itself: with a million identities one has 16,384, which move in half a millisecond.
const PARTS: usize = 64;

/// A bus's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The two halves: as one number it would have to lie on 16 bytes.
    unique: [u64; 2],
    bus: u32,
}

impl Key {
    /// The key of a bus's unique hash.
    pub fn new(bus: u32, unique: u128) -> Self {
        Self {
            unique: [(unique >> 64) as u64, unique as u64],
            bus,
        }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.unique[0] ^ u64::from(self.bus));
        state.write_u64(self.unique[1]);
    }
}

/// A [`First`] whose bus is its key's.
#[derive(Clone, Copy, Debug)]
struct Stored {
    topic: u32,
    partition: u32,
    offset: Offset,
    append_time: AppendTime,
}

impl Stored {
    fn new(first: First) -> Self {
        let PartitionId { topic, index } = first.position.partition;
        Self {
            topic: topic.topic,
            partition: index,
            offset: first.position.offset,
            append_time: first.append_time,
        }
    }

    fn first(&self, key: &Key) -> First {
        let topic = TopicId {
            bus: key.bus,
            topic: self.topic,
        };
        let partition = PartitionId {
            topic,
            index: self.partition,
        };
        First {
            position: Position {
                partition,
                offset: self.offset,
            },
            append_time: self.append_time,
        }
    }
}

/// Two secret numbers. The unique hash is cryptographic but not secret: whoever publishes chooses among many, and could
/// choose such as share a place in the table.
#[derive(Clone, Debug)]
struct Seeds([u64; 2]);

impl Seeds {
    fn random() -> Self {
        let random = RandomState::new();
        Self([random.hash_one(0), random.hash_one(1)])
    }
}

impl BuildHasher for Seeds {
    type Hasher = Folding;

    fn build_hasher(&self) -> Folding {
        Folding {
            hash: self.0[0],
            seed: self.0[1],
        }
    }
}

/// Multiplies and folds: what it is given is mixed already.
#[derive(Debug)]
struct Folding {
    hash: u64,
    seed: u64,
}

impl Hasher for Folding {
    fn finish(&self) -> u64 {
        self.hash
    }

    fn write_u64(&mut self, value: u64) {
        let product = u128::from(self.hash ^ value) * u128::from(self.seed | 1);
        self.hash = (product >> 64) as u64 ^ product as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }
}

/// Where the first record of each identity stands.
#[derive(Debug)]
pub struct FirstMap {
    seeds: Seeds,
    parts: Vec<HashMap<Key, Stored, Seeds>>,
    len: usize,
}

impl FirstMap {
    /// An empty map.
    pub fn new() -> Self {
        let seeds = Seeds::random();
        let part = || HashMap::with_hasher(seeds.clone());
        Self {
            parts: std::iter::repeat_with(part).take(PARTS).collect(),
            seeds,
            len: 0,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// A part's table looks at the lowest and the highest bits of the same hash.
    fn place(&self, key: &Key) -> usize {
        (self.seeds.hash_one(key) >> 32) as usize % PARTS
    }

    /// The first record with this identity.
    pub fn get(&self, key: &Key) -> Option<First> {
        self.parts[self.place(key)].get(key).map(|stored| stored.first(key))
    }

    /// Sets the first record of an identity, unless `keep` says of the one that is there that it stays; false then.
    pub fn insert_unless(&mut self, key: Key, first: First, keep: impl FnOnce(First) -> bool) -> bool {
        let place = self.place(&key);
        match self.parts[place].entry(key) {
            hash_map::Entry::Occupied(known) if keep(known.get().first(&key)) => return false,
            hash_map::Entry::Occupied(mut known) => {
                known.insert(Stored::new(first));
            }
            hash_map::Entry::Vacant(vacant) => {
                vacant.insert(Stored::new(first));
                self.len += 1;
            }
        }
        true
    }

    /// Removes an identity if its first record is one that `is_it` recognises.
    pub fn remove_if(&mut self, key: &Key, is_it: impl FnOnce(First) -> bool) {
        let place = self.place(key);
        let part = &mut self.parts[place];
        if part.get(key).is_some_and(|stored| is_it(stored.first(key))) {
            part.remove(key);
            self.len -= 1;
            if part.is_empty() {
                // After a busy time its memory is given back.
                part.shrink_to_fit();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(bus: u32, offset: Offset) -> First {
        let topic = TopicId { bus, topic: 7 };
        First {
            position: Position {
                partition: PartitionId { topic, index: 3 },
                offset,
            },
            append_time: offset as i64 + 5,
        }
    }

    #[test]
    fn it_gives_back_what_was_put_in() {
        let mut map = FirstMap::new();
        for number in 0..10_000 {
            let key = Key::new(number % 3, u128::from(number));
            assert!(map.insert_unless(key, first(number % 3, u64::from(number)), |_| true));
        }
        assert_eq!(map.len(), 10_000);
        assert!(!map.insert_unless(Key::new(0, 3), first(0, 1), |known| known == first(0, 3)));
        assert!(map.insert_unless(Key::new(0, 3), first(0, 1), |_| false));
        assert_eq!(map.get(&Key::new(0, 3)), Some(first(0, 1)));
        assert_eq!(
            (map.get(&Key::new(2, 4)), map.get(&Key::new(1, 4))),
            (None, Some(first(1, 4)))
        );
        for number in 0..10_000 {
            let key = Key::new(number % 3, u128::from(number));
            map.remove_if(&key, |found| found == first(number % 3, u64::from(number)));
        }
        assert_eq!(map.len(), 1, "the one that is another now");
    }

    #[test]
    fn entries_are_small_and_parts_are_even() {
        assert_eq!(size_of::<(Key, Stored)>(), 48);
        let mut map = FirstMap::new();
        for number in 0..64_000_u64 {
            map.insert_unless(Key::new(1, u128::from(number) << 64), first(1, number), |_| true);
        }
        let fair = 700..1_300;
        assert!(
            map.parts.iter().all(|part| fair.contains(&part.len())),
            "about 1,000 each"
        );
    }
}
