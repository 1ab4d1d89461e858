//! The identities of the window, in the order of their arrival, with a table over them. It is the largest thing in memory and is
//! asked for every event: one that is new costs one place of the table, which is not in the processor's cache, and what leaves
//! costs none. Table and list grow in parts: no group waits until a million entries have moved.

use super::First;
use crate::{AppendTime, Offset, PartitionId, Position, TopicId};
use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
};

/// Tables, each of which grows by itself: with a million identities one has 16,384, which move in a tenth of a millisecond.
const TABLES: usize = 64;

/// Arrivals in one piece of the list (224 KiB).
const PIECE_LEN: usize = 4_096;

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

/// An identity, where its first record stands, and which frame brought it.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    key: Key,
    topic: u32,
    partition: u32,
    offset: Offset,
    append_time: AppendTime,
    sequence: u64,
}

impl Arrival {
    fn first(&self) -> First {
        let topic = TopicId {
            bus: self.key.bus,
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

/// Arrivals by their numbers, which grow by one.
#[derive(Debug, Default)]
struct Arrivals {
    /// All but the last are full.
    pieces: VecDeque<Vec<Arrival>>,
    /// The number of the first in the first piece.
    base: u64,
    /// The number of the oldest that counts.
    oldest: u64,
}

impl Arrivals {
    fn next(&self) -> u64 {
        let last = self.pieces.back().map_or(0, Vec::len);
        self.base + (self.pieces.len().saturating_sub(1) * PIECE_LEN + last) as u64
    }

    fn get(&self, number: u64) -> Option<&Arrival> {
        let place = usize::try_from(number.checked_sub(self.base)?).ok()?;
        let piece = self.pieces.get(place / PIECE_LEN)?;
        piece.get(place % PIECE_LEN).filter(|_| number >= self.oldest)
    }

    fn push(&mut self, arrival: Arrival) -> u64 {
        let number = self.next();
        match self.pieces.back_mut() {
            Some(last) if last.len() < PIECE_LEN => last.push(arrival),
            _ => {
                let mut piece = Vec::with_capacity(PIECE_LEN);
                piece.push(arrival);
                self.pieces.push_back(piece);
            }
        }
        number
    }

    fn drop_oldest(&mut self) {
        self.oldest += 1;
        if self.oldest - self.base == PIECE_LEN as u64 {
            self.pieces.pop_front();
            self.base = self.oldest;
        }
    }
}

/// Bits of a place that hold the low bits of an arrival's number; above them is its tag.
const NUMBER_BITS: u32 = 40;
const NUMBER_MASK: u64 = (1 << NUMBER_BITS) - 1;

/// What no place that is in use holds: numbers begin at 1.
const EMPTY: u64 = 0;

/// Places of the smallest table.
const PLACES_MIN: usize = 64;

/// Places of the largest table: a tag says which of them is the first to look at.
const PLACES_MAX: usize = 1 << (64 - NUMBER_BITS);

/// Where arrivals are found by the tags of their keys: places that are looked at one after the other, from the tag's own to
/// the first empty one. One whose arrival no longer counts stays until the table is made anew.
#[derive(Debug, Default)]
struct Table {
    places: Vec<u64>,
    /// Places that are not empty.
    used: usize,
}

impl Table {
    /// Looks for the arrival with this tag that `is_it` recognises; gives its place.
    fn find(&self, tag: u64, mut is_it: impl FnMut(u64) -> bool) -> Option<usize> {
        let mask = self.places.len().wrapping_sub(1);
        let mut at = tag as usize & mask;
        loop {
            let place = *self.places.get(at)?;
            if place == EMPTY {
                return None;
            }
            if place >> NUMBER_BITS == tag && is_it(place & NUMBER_MASK) {
                return Some(at);
            }
            at = (at + 1) & mask;
        }
    }

    fn first(&self, tag: u64) -> u64 {
        let mask = self.places.len().wrapping_sub(1);
        self.places.get(tag as usize & mask).copied().unwrap_or(EMPTY)
    }

    /// Adds an arrival, which is not there. Of the others it keeps those that `counts` says.
    fn insert(&mut self, tag: u64, number: u64, counts: impl Fn(u64) -> bool) {
        if (self.used + 1) * 4 > self.places.len() * 3 {
            self.make_anew(counts);
        }
        self.put(tag << NUMBER_BITS | number & NUMBER_MASK);
    }

    fn put(&mut self, place: u64) {
        let mask = self.places.len() - 1;
        let mut at = (place >> NUMBER_BITS) as usize & mask;
        while self.places[at] != EMPTY {
            at = (at + 1) & mask;
        }
        self.places[at] = place;
        self.used += 1;
    }

    fn make_anew(&mut self, counts: impl Fn(u64) -> bool) {
        let old = std::mem::take(&mut self.places);
        let kept = old
            .into_iter()
            .filter(|place| *place != EMPTY && counts(place & NUMBER_MASK));
        let kept: Vec<u64> = kept.collect();
        let places = (kept.len() * 2).next_power_of_two().clamp(PLACES_MIN, PLACES_MAX);
        assert!(
            kept.len() < places,
            "identities are bounded far below what the tables hold"
        );
        self.places = vec![EMPTY; places];
        self.used = 0;
        kept.into_iter().for_each(|place| self.put(place));
    }
}

/// Where the first record of each identity stands.
#[derive(Debug)]
pub struct Window {
    /// Two secret numbers. The unique hash is cryptographic but not secret: whoever publishes chooses among many, and could
    /// choose such as share a place in the table.
    seeds: [u64; 2],
    tables: Vec<Table>,
    arrivals: Arrivals,
}

impl Window {
    /// An empty window.
    pub fn new() -> Self {
        let random = RandomState::new();
        let arrivals = Arrivals {
            base: 1,
            oldest: 1,
            ..Arrivals::default()
        };
        Self {
            seeds: [random.hash_one(0), random.hash_one(1) | 1],
            tables: std::iter::repeat_with(Table::default).take(TABLES).collect(),
            arrivals,
        }
    }

    /// How many there are, those included that were taken back.
    pub fn len(&self) -> usize {
        (self.arrivals.next() - self.arrivals.oldest) as usize
    }

    /// The table of a key, and its tag there: the key is mixed already, and is only multiplied and folded.
    pub fn place(&self, key: &Key) -> (usize, u64) {
        let fold = |hash: u64, value: u64| {
            let product = u128::from(hash ^ value) * u128::from(self.seeds[1]);
            (product >> 64) as u64 ^ product as u64
        };
        let hash = fold(fold(self.seeds[0], key.unique[0] ^ u64::from(key.bus)), key.unique[1]);
        ((hash >> NUMBER_BITS) as usize % TABLES, hash & (PLACES_MAX as u64 - 1))
    }

    /// What is where a key of this table and tag is looked for first: to have it in the processor's cache by then.
    pub fn touch(&self, (table, tag): (usize, u64)) -> u64 {
        self.tables[table].first(tag)
    }

    /// The number whose low bits these are, of the arrivals that count.
    fn number(&self, low: u64) -> u64 {
        let oldest = self.arrivals.oldest;
        oldest + (low.wrapping_sub(oldest) & NUMBER_MASK)
    }

    fn find(&self, key: &Key) -> Option<(usize, usize, &Arrival)> {
        let (table, tag) = self.place(key);
        let mut found = None;
        let place = self.tables[table].find(tag, |low| {
            let arrival = self.arrivals.get(self.number(low));
            found = arrival.filter(|arrival| arrival.key == *key);
            found.is_some()
        })?;
        found.map(|arrival| (table, place, arrival))
    }

    /// The first record with this identity.
    pub fn get(&self, key: &Key) -> Option<First> {
        self.find(key).map(|(_, _, arrival)| arrival.first())
    }

    /// Sets the first record of an identity, which the frame `sequence` brings, unless `keep` says of the one that is there
    /// that it stays.
    pub fn insert_unless(&mut self, key: Key, first: First, sequence: u64, keep: impl FnOnce(First) -> bool) {
        if let Some(known) = self.get(&key) {
            if keep(known) {
                return;
            }
            self.remove_if(&key, |_| true);
        }
        let number = self.arrivals.push(Arrival {
            key,
            topic: first.position.partition.topic.topic,
            partition: first.position.partition.index,
            offset: first.position.offset,
            append_time: first.append_time,
            sequence,
        });
        let (table, tag) = self.place(&key);
        let (oldest, next) = (self.arrivals.oldest, number + 1);
        self.tables[table].insert(tag, number, |low| {
            low.wrapping_sub(oldest) & NUMBER_MASK < next - oldest
        });
    }

    /// Removes an identity if its first record is one that `is_it` recognises. Its arrival is not found any more.
    pub fn remove_if(&mut self, key: &Key, is_it: impl FnOnce(First) -> bool) {
        if let Some((table, place, arrival)) = self.find(key)
            && is_it(arrival.first())
        {
            // The one before the oldest does not count.
            let gone = (self.arrivals.oldest - 1) & NUMBER_MASK;
            let place = &mut self.tables[table].places[place];
            *place = *place & !NUMBER_MASK | gone;
        }
    }

    /// Append time and frame of the oldest.
    pub fn oldest(&self) -> Option<(AppendTime, u64)> {
        let oldest = self.arrivals.get(self.arrivals.oldest)?;
        Some((oldest.append_time, oldest.sequence))
    }

    /// Forgets the oldest.
    pub fn drop_oldest(&mut self) {
        self.arrivals.drop_oldest();
        if self.len() == 0 {
            // After a busy time its memory is given back.
            self.tables.iter_mut().for_each(|table| *table = Table::default());
            self.arrivals.base = self.arrivals.oldest;
            self.arrivals.pieces.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

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

    fn draw(random: &mut u64) -> u64 {
        *random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        *random >> 33
    }

    /// What counts, by identity, and the order of arrival.
    #[derive(Default)]
    struct Model {
        known: HashMap<u64, u64>,
        order: VecDeque<(u64, u64)>,
    }

    #[test]
    fn it_knows_what_came_and_was_neither_forgotten_nor_taken_back() {
        let (mut window, mut model, mut random) = (Window::new(), Model::default(), 1);
        for offset in 1..60_000_u64 {
            let id = draw(&mut random) % 9_000;
            let (key, bus) = (Key::new(id as u32 % 3, u128::from(id)), id as u32 % 3);
            match draw(&mut random) % 8 {
                0 => {
                    window.remove_if(&key, |_| true);
                    model.known.remove(&id);
                }
                1..3 if !model.order.is_empty() => {
                    let (id, offset) = model.order.pop_front().unwrap();
                    assert_eq!(window.oldest(), Some((offset as i64 + 5, offset)));
                    window.drop_oldest();
                    if model.known.get(&id) == Some(&offset) {
                        model.known.remove(&id);
                    }
                }
                what => {
                    window.insert_unless(key, first(bus, offset), offset, |_| what == 3);
                    if what != 3 || !model.known.contains_key(&id) {
                        model.known.insert(id, offset);
                        model.order.push_back((id, offset));
                    }
                }
            }
            assert_eq!(window.len(), model.order.len());
            let (id, bus) = (draw(&mut random) % 9_000, 0);
            let key = Key::new(id as u32 % 3, u128::from(id));
            let known = model.known.get(&id).map(|offset| first(bus + id as u32 % 3, *offset));
            assert_eq!(window.get(&key), known);
        }
        while window.oldest().is_some() {
            window.drop_oldest();
        }
        assert!(
            window.tables.iter().all(|table| table.places.is_empty()),
            "no memory is left"
        );
    }

    #[test]
    fn entries_are_small_tables_are_even_and_stay_small_while_old_ones_leave() {
        assert_eq!(size_of::<Arrival>(), 56);
        let mut window = Window::new();
        for number in 0..640_000_u64 {
            window.insert_unless(Key::new(1, u128::from(number) << 64), first(1, number), number, |_| {
                true
            });
            if number >= 64_000 {
                window.drop_oldest();
            }
        }
        assert_eq!(window.len(), 64_000);
        let places = |table: &Table| table.places.len();
        assert!(
            window
                .tables
                .iter()
                .all(|table| (1_024..=4_096).contains(&places(table))),
            "about 1,000 each"
        );
        assert!(window.arrivals.pieces.len() <= 64_000 / PIECE_LEN + 2);
    }
}
