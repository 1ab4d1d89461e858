//! A map from bytes to small values whose copies share what they have in common: a list of keys, and pages of slots by which a key
//! is found.
//!
//! What a look-up waits for is memory, and pages of memory that the processor does not remember the place of. So it touches few:
//! a slot, of a few bytes, which has the value and half of the key's hash, and the key. Slots lie close together, and so do keys,
//! however many there are and whatever is allocated between them. Where the slot lies follows from the hash alone, so that it can
//! be fetched ahead; once it is there, the key and what the value leads to are fetched together. A guard says of most keys that are
//! not there that they are not. A change copies one page of slots, one chunk of keys and the lists of both.
//! As keys come, pages are split one after the other (linear hashing), and merged as they go. Keys lie in spaces, so that one table
//! serves many purposes. The hash is seeded anew for every table, so that nobody can choose keys that collide.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;

use crate::chunks::Chunks;
use crate::simd;

mod key;
mod page;

use key::Key;
use page::{Page, Slot};

/// Keys of a page on average, once there are many. A page that is next to be split has about twice as many.
const PAGE_KEYS: usize = 384;

/// Pages are merged when they have so many keys on average.
const PAGE_KEYS_MIN: usize = PAGE_KEYS / 4;

/// Pages of a chunk of their list: a change copies it, and counts one more reference of each.
const PAGES: usize = 32;

/// Keys of a chunk: so many that a chunk fills its pages of memory.
const KEYS: usize = 1_024;

/// A table of fewer keys stays in a processor's cache by itself.
const KEYS_FETCHED_MIN: usize = 1_536;

#[derive(Debug, Clone)]
pub(crate) struct Table<V> {
    hasher: RandomState,
    /// Page `number` has the keys whose hash ends in the bits of `number`: so many bits that all pages have numbers, or one less
    /// where a page of that number does not exist yet.
    pages: Chunks<Page<V>, PAGES>,
    /// By number, with no gaps.
    keys: Chunks<SpacedKey, KEYS>,
}

#[derive(Debug, Clone)]
struct SpacedKey {
    key: Key,
    space: u32,
}

/// The hash of a key: the number of its page and where it lies there follow from it.
pub(crate) type Hash = u32;

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self {
            hasher: RandomState::default(),
            pages: Chunks::default(),
            keys: Chunks::default(),
        }
    }
}

impl<V: Copy + Default> Table<V> {
    /// The value of a key.
    #[inline]
    pub(crate) fn get(&self, space: u32, key: &[u8]) -> Option<&V> {
        let slot = self.find(self.hash(space, key), space, key)?;
        Some(&slot.value)
    }

    /// Whether fetching ahead is worth its time.
    #[inline]
    pub(crate) fn is_large(&self) -> bool {
        self.keys.len() >= KEYS_FETCHED_MIN
    }

    /// Fetches what [`get`](Self::get) will read first, and says the key's hash, unless the key is known not to be there.
    #[inline]
    pub(crate) fn fetch(&self, space: u32, key: &[u8]) -> Option<Hash> {
        let hash = self.hash(space, key);
        let page = self.pages.get(self.page_of(hash)).filter(|page| page.may_have(hash))?;
        simd::fetch(page.first_slot(hash));
        Some(hash)
    }

    /// The value that a key of this hash probably has; fetches the key, which [`get`](Self::get) compares.
    #[inline]
    pub(crate) fn peek(&self, hash: Hash) -> Option<&V> {
        let slot = self.pages.get(self.page_of(hash))?.find(hash, |_| true)?;
        simd::fetch(self.keys.get(slot.number as usize)?);
        Some(&slot.value)
    }

    /// The value of a key, a new one if it is not there yet.
    pub(crate) fn entry(&mut self, space: u32, key: &[u8]) -> &mut V {
        let hash = self.hash(space, key);
        let known = self.find(hash, space, key).map(|slot| slot.number);
        let number = known.unwrap_or_else(|| self.insert(hash, space, key));
        let slot = self.pages.get_mut(self.page_of(hash)).find_mut(hash, number);
        &mut slot.expect("it has just been added if it was not there").value
    }

    /// Adds a key that is not there, and says its number.
    fn insert(&mut self, hash: Hash, space: u32, key: &[u8]) -> u32 {
        let number = short(self.keys.len());
        let key = Key::new(key);
        self.keys.push(SpacedKey { key, space });
        self.make_room();
        self.pages.get_mut(self.page_of(hash)).insert(hash, number);
        number
    }

    /// Forgets a key. The last one gets its number.
    pub(crate) fn remove(&mut self, space: u32, key: &[u8]) {
        let hash = self.hash(space, key);
        let Some(gone) = self.find(hash, space, key).map(|slot| slot.number) else {
            return;
        };
        self.pages.get_mut(self.page_of(hash)).remove(gone);
        if let Some(last) = self.keys.pop()
            && (gone as usize) < self.keys.len()
        {
            let hash = self.hash(last.space, last.key.bytes());
            let page = self.pages.get_mut(self.page_of(hash));
            let slot = page.find_mut(hash, short(self.keys.len()));
            slot.expect("every key has a slot").number = gone;
            *self.keys.get_mut(gone as usize) = last;
        }
        while self.pages.len() > 1 && self.keys.len() < self.pages.len() * PAGE_KEYS_MIN {
            self.merge_last();
        }
    }

    /// How many keys there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Bytes on the heap.
    pub(crate) fn memory(&self) -> usize {
        let apart = self.keys.iter().map(|known| known.key.memory());
        let pages = self.pages.memory() + self.pages.iter().map(Page::memory).sum::<usize>();
        self.keys.memory() + apart.sum::<usize>() + pages
    }

    #[inline]
    fn hash(&self, space: u32, key: &[u8]) -> Hash {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key);
        hasher.write_u32(space);
        Hash::try_from(hasher.finish() >> Hash::BITS).expect("half of the bits")
    }

    #[inline]
    fn find(&self, hash: Hash, space: u32, key: &[u8]) -> Option<&Slot<V>> {
        let is = |number: u32| {
            let known = &self.keys[number as usize];
            known.space == space && known.key.is(key)
        };
        self.pages.get(self.page_of(hash))?.find(hash, is)
    }

    /// The number of the page that a hash belongs to.
    #[inline]
    fn page_of(&self, hash: Hash) -> usize {
        let count = self.pages.len();
        let numbers = 1usize << (usize::BITS - count.leading_zeros());
        let ends = hash as usize & (numbers - 1);
        if ends < count {
            ends
        } else {
            ends & (numbers / 2).saturating_sub(1)
        }
    }

    /// Adds a page where there are too many keys for those that are there.
    fn make_room(&mut self) {
        let count = self.pages.len();
        if self.keys.len() <= count * PAGE_KEYS {
            return;
        }
        if count == 0 {
            return self.pages.push(Page::of([]));
        }
        let highest = highest_bit(count);
        // What does not belong to the new page stays: only the one bit more tells them apart.
        let belongs = |hash: Hash| hash as usize & (2 * highest - 1) == count;
        let page = self.pages.get_mut(count - highest).split_off(belongs);
        self.pages.push(page);
    }

    /// Takes the last page away; its keys go where they came from.
    fn merge_last(&mut self) {
        if let Some(last) = self.pages.pop() {
            let count = self.pages.len();
            self.pages.get_mut(count - highest_bit(count)).merge(&last);
        }
    }
}

/// The highest bit of a number that is not 0.
fn highest_bit(number: usize) -> usize {
    1 << number.ilog2()
}

/// A number as slots have it.
fn short(number: usize) -> u32 {
    u32::try_from(number).expect("there are fewer keys than filters have fields")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Vec<u8> {
        format!("key {number} {}", "x".repeat(number as usize % 40)).into_bytes()
    }

    #[test]
    fn every_key_leads_to_its_own_value_in_its_own_space() {
        let mut table = Table::default();
        assert_eq!(table.get(0, &key(0)), None);
        for number in 0..5_000 {
            *table.entry(number % 3, &key(number)) = number;
        }
        assert_eq!(table.len(), 5_000);
        for number in 0..5_000 {
            assert_eq!(table.get(number % 3, &key(number)), Some(&number));
            assert_eq!(table.get(number % 3 + 1, &key(number)), None);
        }
    }

    #[test]
    fn a_copy_keeps_what_it_has_when_another_changes() {
        let mut table = Table::default();
        (0..2_000).for_each(|number| *table.entry(0, &key(number)) = number);
        let before = table.clone();
        (0..2_000).step_by(2).for_each(|number| table.remove(0, &key(number)));
        *table.entry(0, &key(1)) = 7;
        assert_eq!((table.len(), before.len()), (1_000, 2_000));
        assert_eq!((table.get(0, &key(1)), before.get(0, &key(1))), (Some(&7), Some(&1)));
        for number in 2..2_000 {
            assert_eq!(table.get(0, &key(number)).is_some(), number % 2 == 1);
            assert_eq!(before.get(0, &key(number)), Some(&number));
        }
        (0..2_000).for_each(|number| table.remove(0, &key(number)));
        assert_eq!((table.len(), table.pages.len()), (0, 1));
    }
}
