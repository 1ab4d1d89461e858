//! A page of slots, each a hash, the number of the key that has it, and the key's value. It knows no keys: that two keys have the
//! same hash is for others to tell.

use std::sync::Arc;

use super::Hash;
use crate::chunks::COUNTS;

/// Slots of the smallest page; of others, powers of two.
const SLOTS_MIN: usize = 4;

/// Slots for a word of the guard: with two bits for each of the six to eleven keys it lets through one in forty to one in twelve
/// that are not there.
const SLOTS_GUARDED: usize = 16;

/// The number of no key.
const NO_KEY: u32 = u32::MAX;

/// A hash lies in the slot that it leads to, or behind it, with no free slot between.
#[derive(Debug, Clone)]
pub(super) struct Page<V> {
    /// Bits that the hashes have, all of them: so few words that those of a hundred thousand keys stay in a processor's cache.
    guard: Arc<[u64]>,
    slots: Arc<[Slot<V>]>,
    filled: usize,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Slot<V> {
    hash: Hash,
    pub(super) number: u32,
    pub(super) value: V,
}

impl<V: Copy + Default> Page<V> {
    /// A page of these slots; free ones among them are left out.
    pub(super) fn of(slots: impl IntoIterator<Item = Slot<V>>) -> Self {
        let slots: Vec<Slot<V>> = slots.into_iter().filter(|slot| !slot.is_free()).collect();
        let free = Slot {
            hash: 0,
            number: NO_KEY,
            value: V::default(),
        };
        let mut page = vec![free; slots_for(slots.len())];
        let mut guard = vec![0; page.len().div_ceil(SLOTS_GUARDED)];
        slots.iter().for_each(|slot| place(&mut page, &mut guard, *slot));
        Self {
            guard: guard.into(),
            slots: page.into(),
            filled: slots.len(),
        }
    }

    /// Whether a key of this hash may be there; if not, it is not.
    #[inline]
    pub(super) fn may_have(&self, hash: Hash) -> bool {
        let (word, bits) = guarded(hash, self.guard.len());
        self.guard[word] & bits == bits
    }

    /// The slot of a hash whose key is the one that is asked for.
    #[inline]
    pub(super) fn find(&self, hash: Hash, is_wanted: impl Fn(u32) -> bool) -> Option<&Slot<V>> {
        if !self.may_have(hash) {
            return None;
        }
        self.position(hash, is_wanted).map(|at| &self.slots[at])
    }

    /// The same, to be changed.
    pub(super) fn find_mut(&mut self, hash: Hash, number: u32) -> Option<&mut Slot<V>> {
        let at = self.position(hash, |found| found == number)?;
        Some(&mut Arc::make_mut(&mut self.slots)[at])
    }

    #[inline]
    fn position(&self, hash: Hash, is_wanted: impl Fn(u32) -> bool) -> Option<usize> {
        let slots = &*self.slots;
        let mut at = first_slot(hash, slots.len());
        loop {
            let slot = &slots[at];
            if slot.hash == hash && !slot.is_free() && is_wanted(slot.number) {
                return Some(at);
            }
            if slot.is_free() {
                return None;
            }
            at = (at + 1) & (slots.len() - 1);
        }
    }

    /// The slot at which the search for a hash begins.
    #[inline]
    pub(super) fn first_slot(&self, hash: Hash) -> &Slot<V> {
        &self.slots[first_slot(hash, self.slots.len())]
    }

    /// Adds the number of a key that is not there.
    pub(super) fn insert(&mut self, hash: Hash, number: u32) {
        let value = V::default();
        let slot = Slot { hash, number, value };
        if self.slots.len() < slots_for(self.filled + 1) {
            *self = Self::of(self.slots.iter().copied().chain([slot]));
        } else {
            let (slots, guard) = (Arc::make_mut(&mut self.slots), Arc::make_mut(&mut self.guard));
            place(slots, guard, slot);
            self.filled += 1;
        }
    }

    pub(super) fn remove(&mut self, number: u32) {
        *self = Self::of(self.slots.iter().copied().filter(|slot| slot.number != number));
    }

    /// Takes those away whose hash goes.
    pub(super) fn split_off(&mut self, goes: impl Fn(Hash) -> bool) -> Self {
        let slots = self.slots.iter().copied();
        let (gone, rest): (Vec<_>, Vec<_>) = slots.partition(|slot| goes(slot.hash));
        *self = Self::of(rest);
        Self::of(gone)
    }

    /// Takes all of another page in.
    pub(super) fn merge(&mut self, other: &Self) {
        *self = Self::of(self.slots.iter().chain(&*other.slots).copied());
    }

    /// Bytes on the heap.
    pub(super) fn memory(&self) -> usize {
        2 * COUNTS + size_of_val(&*self.slots) + size_of_val(&*self.guard)
    }
}

impl<V> Slot<V> {
    #[inline]
    fn is_free(&self) -> bool {
        self.number == NO_KEY
    }
}

/// How many slots so many keys have: at least a third of them free, so that searches end soon.
fn slots_for(keys: usize) -> usize {
    (keys + keys / 2 + 1).next_power_of_two().max(SLOTS_MIN)
}

/// All bits of a hash in many others: hashes of one page end alike.
#[inline]
fn mixed(hash: Hash) -> usize {
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    usize::try_from(u64::from(hash).wrapping_mul(GOLDEN) >> 24).expect("an address has more bits")
}

/// The slot of a page at which the search for a hash begins.
#[inline]
fn first_slot(hash: Hash, slots: usize) -> usize {
    mixed(hash) & (slots - 1)
}

/// The word of a guard of so many, and the bits in it, that a hash has.
#[inline]
fn guarded(hash: Hash, words: usize) -> (usize, u64) {
    let mixed = mixed(hash);
    let bit = |at: usize| 1u64 << (mixed >> at & 63);
    (mixed >> 28 & (words - 1), bit(16) | bit(22))
}

/// Puts a slot into a page that has room.
fn place<V>(page: &mut [Slot<V>], guard: &mut [u64], slot: Slot<V>) {
    let (word, bits) = guarded(slot.hash, guard.len());
    guard[word] |= bits;
    let mut at = first_slot(slot.hash, page.len());
    while !page[at].is_free() {
        at = (at + 1) & (page.len() - 1);
    }
    page[at] = slot;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_keeps_its_numbers_as_it_grows_and_splits_and_shrinks() {
        let hash = |number: u32| number % 150 * 0x0100_0193;
        let mut page: Page<u32> = Page::of([]);
        let is_there = |page: &Page<u32>, number: u32, hash: Hash| page.find(hash, |found| found == number).is_some();
        for number in 0..200 {
            page.insert(hash(number), number);
            for known in 0..200 {
                assert_eq!(is_there(&page, known, hash(known)), known <= number);
            }
        }
        assert_eq!((page.slots.len(), page.filled), (512, 200));
        let gone = page.split_off(|hash| hash % 2 == 1);
        assert_eq!(page.filled + gone.filled, 200);
        assert!(gone.find(hash(2), |_| true).is_none() && gone.find(hash(3), |_| true).is_some());
        page.merge(&gone);
        page.find_mut(hash(7), 7).unwrap().number = 900;
        page.remove(8);
        assert_eq!(
            [7, 8, 9].map(|number| is_there(&page, number, hash(number))),
            [false, false, true]
        );
        assert!(is_there(&page, 900, hash(7)) && page.filled == 199);
    }
}
