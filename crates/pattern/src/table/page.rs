//! A page of a table: keys, and slots, each a part of a key's hash, where the key lies, and its value.

use std::sync::Arc;

use foldhash::fast::RandomState;

use super::keys::{At, Keys};
use super::{Hash, hash};
use crate::chunks::COUNTS;

/// Slots of the smallest page.
const SLOTS_MIN: usize = 4;

/// Slots for a word of the guard: with two bits for each of the six to eleven keys it lets through one in forty to one in twelve
/// that are not there.
const SLOTS_GUARDED: usize = 16;

/// Where no key lies: keys of a page take fewer places.
const NOWHERE: At = At::MAX;

/// A hash lies in the slot that it leads to, or behind it, with no free slot between; behind the last is the first.
#[derive(Debug, Clone)]
pub(super) struct Page<V> {
    /// Bits that the hashes have, all of them: so few words that those of a hundred thousand keys stay in a processor's cache.
    guard: Arc<[u64]>,
    slots: Arc<[Slot<V>]>,
    keys: Keys,
    filled: usize,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Slot<V> {
    /// A part of the hash.
    tag: u16,
    key: At,
    value: V,
}

impl<V: Copy + Default> Default for Page<V> {
    fn default() -> Self {
        Self::with_room(0, 0)
    }
}

impl<V: Copy + Default> Page<V> {
    /// A page without keys, with room for so many, of so many bytes together.
    fn with_room(keys: usize, bytes: usize) -> Self {
        let slots = slots_for(keys);
        let free = Slot {
            tag: 0,
            key: NOWHERE,
            value: V::default(),
        };
        Self {
            guard: vec![0; slots.div_ceil(SLOTS_GUARDED)].into(),
            slots: vec![free; slots].into(),
            keys: Keys::with_capacity(bytes),
            filled: 0,
        }
    }

    /// Whether a key of this hash may be there; if not, it is not.
    #[inline]
    pub(super) fn may_have(&self, hash: Hash) -> bool {
        let (word, bits) = guarded(hash, self.guard.len());
        self.guard[word] & bits == bits
    }

    /// The value of a key.
    #[inline]
    pub(super) fn get(&self, hash: Hash, space: u32, key: &[u8]) -> Option<&V> {
        self.position(hash, space, key).map(|at| &self.slots[at].value)
    }

    /// The slot of a key.
    #[inline]
    pub(super) fn position(&self, hash: Hash, space: u32, key: &[u8]) -> Option<usize> {
        self.search(hash, |at| self.keys.is(at, space, key))
    }

    /// The value that a key of this hash probably has, and where the key begins.
    #[inline]
    pub(super) fn peek(&self, hash: Hash) -> Option<(&V, &u8)> {
        let slot = &self.slots[self.search(hash, |_| true)?];
        Some((&slot.value, self.keys.entry(slot.key).first()?))
    }

    /// The value in a slot, to be changed.
    pub(super) fn value_mut(&mut self, at: usize) -> &mut V {
        &mut Arc::make_mut(&mut self.slots)[at].value
    }

    #[inline]
    fn search(&self, hash: Hash, is_wanted: impl Fn(At) -> bool) -> Option<usize> {
        let (slots, tag) = (&*self.slots, tag(hash));
        let mut at = share(hash, slots.len());
        loop {
            let slot = &slots[at];
            if slot.is_free() {
                return None;
            }
            if slot.tag == tag && is_wanted(slot.key) {
                return Some(at);
            }
            at = next(at, slots.len());
        }
    }

    /// The slot at which the search for a hash begins.
    #[inline]
    pub(super) fn first_slot(&self, hash: Hash) -> &Slot<V> {
        &self.slots[share(hash, self.slots.len())]
    }

    /// Adds a key that is not there, and says its slot.
    pub(super) fn insert(&mut self, hash: Hash, space: u32, key: &[u8], hasher: &RandomState) -> usize {
        if slots_needed(self.filled + 1) > self.slots.len() {
            *self = self.kept(hasher, self.filled + 1, |_, _| true);
        }
        self.put(hash, space, key, V::default())
    }

    /// Takes the key of a slot away.
    pub(super) fn remove(&mut self, at: usize, hasher: &RandomState) {
        let gone = self.slots[at].key;
        *self = self.kept(hasher, self.filled - 1, |_, key| key != gone);
    }

    /// Takes those away whose hash goes.
    pub(super) fn split_off(&mut self, hasher: &RandomState, goes: impl Fn(Hash) -> bool) -> Self {
        let gone = self.kept(hasher, self.filled / 2, |hash, _| goes(hash));
        *self = self.kept(hasher, self.filled - gone.filled, |hash, _| !goes(hash));
        gone
    }

    /// Takes all of another page in.
    pub(super) fn merge(&mut self, other: &Self, hasher: &RandomState) {
        *self = self.kept(hasher, self.filled + other.filled, |_, _| true);
        for slot in other.filled() {
            let (space, key) = other.keys.at(slot.key);
            self.put(hash(hasher, space, key), space, key, slot.value);
        }
    }

    /// A page with those of this one's keys that stay, and room for so many.
    fn kept(&self, hasher: &RandomState, count: usize, stays: impl Fn(Hash, At) -> bool) -> Self {
        let bytes = self.keys.used() / self.filled.max(1) * count;
        let mut page = Self::with_room(count, bytes);
        for slot in self.filled() {
            let (space, key) = self.keys.at(slot.key);
            let hash = hash(hasher, space, key);
            if stays(hash, slot.key) {
                page.put(hash, space, key, slot.value);
            }
        }
        page
    }

    /// Puts a key into a slot; there is a free one, or more are made.
    fn put(&mut self, hash: Hash, space: u32, key: &[u8], value: V) -> usize {
        let key = self.keys.push(space, key);
        let (slots, guard) = (Arc::make_mut(&mut self.slots), Arc::make_mut(&mut self.guard));
        let (word, bits) = guarded(hash, guard.len());
        guard[word] |= bits;
        let mut at = share(hash, slots.len());
        while !slots[at].is_free() {
            at = next(at, slots.len());
        }
        let tag = tag(hash);
        slots[at] = Slot { tag, key, value };
        self.filled += 1;
        at
    }

    fn filled(&self) -> impl Iterator<Item = &Slot<V>> {
        self.slots.iter().filter(|slot| !slot.is_free())
    }

    /// Bytes on the heap.
    pub(super) fn memory(&self) -> usize {
        2 * COUNTS + size_of_val(&*self.slots) + size_of_val(&*self.guard) + self.keys.memory()
    }
}

impl<V> Slot<V> {
    #[inline]
    fn is_free(&self) -> bool {
        self.key == NOWHERE
    }
}

/// How many slots so many keys have at least: a third of them free, so that searches end soon.
fn slots_needed(keys: usize) -> usize {
    (keys + keys / 2 + 1).max(SLOTS_MIN)
}

/// How many they get, so that more can come.
fn slots_for(keys: usize) -> usize {
    slots_needed(keys + keys / 4)
}

/// The slot behind another.
#[inline]
fn next(at: usize, slots: usize) -> usize {
    if at + 1 == slots { 0 } else { at + 1 }
}

/// Which of so many a hash leads to, by its upper bits. Hashes of a page end alike.
#[inline]
fn share(hash: Hash, count: usize) -> usize {
    let upper = hash >> u32::BITS;
    ((upper * count as u64) >> u32::BITS) as usize
}

/// What a slot has of a hash: bits that lead to no page and, but for a few of the lowest, to no slot.
#[inline]
fn tag(hash: Hash) -> u16 {
    (hash >> 24 & u64::from(u16::MAX)) as u16
}

/// The word of a guard of so many, and the bits in it, that a hash has.
#[inline]
fn guarded(hash: Hash, words: usize) -> (usize, u64) {
    let bit = |at: u32| 1u64 << (hash >> at & 63);
    (share(hash, words), bit(34) | bit(40))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_keeps_its_keys_as_it_grows_and_splits_and_shrinks() {
        let hasher = RandomState::default();
        let key = |number: u32| number.to_le_bytes();
        let hash = |number: u32| hash(&hasher, 7, &key(number));
        let position = |page: &Page<u32>, number: u32| page.position(hash(number), 7, &key(number));
        let mut page: Page<u32> = Page::default();
        for number in 0..200 {
            let at = page.insert(hash(number), 7, &key(number), &hasher);
            *page.value_mut(at) = number;
            for known in 0..200 {
                assert_eq!(position(&page, known).is_some(), known <= number);
            }
        }
        assert!(page.filled == 200 && page.slots.len() < 400);
        let goes = |hash: Hash| hash & 1 == 1;
        let gone = page.split_off(&hasher, goes);
        assert_eq!(page.filled + gone.filled, 200);
        for number in 0..200 {
            assert_eq!(position(&gone, number).is_some(), goes(hash(number)));
            assert_eq!(position(&page, number).is_some(), !goes(hash(number)));
        }
        page.merge(&gone, &hasher);
        page.remove(position(&page, 8).unwrap(), &hasher);
        for number in 0..200 {
            let value = page.get(hash(number), 7, &key(number)).copied();
            assert_eq!(value, (number != 8).then_some(number));
        }
    }
}
