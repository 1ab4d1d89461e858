//! A map from bytes to small values whose copies share what they have in common: pages of keys, and of slots by which they are
//! found.
//!
//! What a look-up waits for is memory, and pages of memory that the processor does not remember the place of. So it touches little
//! that lies close together: a slot, of a few bytes, which has the value and a part of the key's hash, and the key, which has no
//! more room than it needs. Where the slot lies follows from the hash alone, so that it can be fetched ahead; once it is there, the
//! key and what the value leads to are fetched together. A guard says of most keys that are not there that they are not. A change
//! copies one page and a part of their list.
//! As keys come, pages are split one after the other (linear hashing), and merged as they go. Keys lie in spaces, so that one table
//! serves many purposes. The hash is seeded anew for every table, so that nobody can choose keys that collide.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;

use crate::chunks::Chunks;
use crate::simd;

mod keys;
mod page;

use page::Page;

/// Keys of a page on average, once there are many. A page that is next to be split has about twice as many.
const PAGE_KEYS: usize = 1_024;

/// Pages are merged when they have so many keys on average.
const PAGE_KEYS_MIN: usize = PAGE_KEYS / 4;

/// Pages of a chunk of their list: a change copies it, and counts one more reference of each.
const PAGES: usize = 32;

/// A table of fewer keys stays in a processor's cache by itself.
const KEYS_FETCHED_MIN: usize = 1_536;

/// Guards of more keys do not stay in a processor's cache.
const KEYS_GUARDED_MAX: usize = 262_144;

#[derive(Debug, Clone)]
pub(crate) struct Table<V> {
    hasher: RandomState,
    /// Page `number` has the keys whose hash ends in the bits of `number`: so many bits that all pages have numbers, or one less
    /// where a page of that number does not exist yet.
    pages: Chunks<Page<V>, PAGES>,
    /// How many keys there are.
    count: usize,
}

/// The hash of a key: the number of its page and where it lies there follow from it.
pub(crate) type Hash = u64;

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self {
            hasher: RandomState::default(),
            pages: Chunks::default(),
            count: 0,
        }
    }
}

impl<V: Copy + Default> Table<V> {
    /// The value of a key.
    #[inline]
    pub(crate) fn get(&self, space: u32, key: &[u8]) -> Option<&V> {
        let hash = hash(&self.hasher, space, key);
        self.page_with(hash)?.get(hash, space, key)
    }

    /// Whether fetching ahead is worth its time.
    #[inline]
    pub(crate) fn is_large(&self) -> bool {
        self.count >= KEYS_FETCHED_MIN
    }

    /// Fetches what [`get`](Self::get) will read first, and says the key's hash, unless the key is known not to be there.
    #[inline]
    pub(crate) fn fetch(&self, space: u32, key: &[u8]) -> Option<Hash> {
        let hash = hash(&self.hasher, space, key);
        simd::fetch(self.page_with(hash)?.first_slot(hash));
        Some(hash)
    }

    /// The value that a key of this hash probably has; fetches the key, which [`get`](Self::get) compares.
    #[inline]
    pub(crate) fn peek(&self, hash: Hash) -> Option<&V> {
        let (value, key) = self.pages.get(self.page_of(hash))?.peek(hash)?;
        simd::fetch(key);
        Some(value)
    }

    /// The value of a key, a new one if it is not there yet.
    pub(crate) fn entry(&mut self, space: u32, key: &[u8]) -> &mut V {
        let hash = hash(&self.hasher, space, key);
        let known = self
            .pages
            .get(self.page_of(hash))
            .and_then(|page| page.position(hash, space, key));
        if known.is_none() {
            self.count += 1;
            self.make_room();
        }
        let hasher = &self.hasher;
        let page = self.pages.get_mut(self.page_of(hash));
        let at = known.unwrap_or_else(|| page.insert(hash, space, key, hasher));
        page.value_mut(at)
    }

    /// Forgets a key.
    pub(crate) fn remove(&mut self, space: u32, key: &[u8]) {
        let hash = hash(&self.hasher, space, key);
        let page = self.page_of(hash);
        let Some(at) = self.pages.get(page).and_then(|page| page.position(hash, space, key)) else {
            return;
        };
        self.pages.get_mut(page).remove(at, &self.hasher);
        self.count -= 1;
        while self.pages.len() > 1 && self.count < self.pages.len() * PAGE_KEYS_MIN {
            self.merge_last();
        }
    }

    /// The page that may have a key of this hash: its guard is asked where that is sooner than looking at slots.
    #[inline]
    fn page_with(&self, hash: Hash) -> Option<&Page<V>> {
        let page = self.pages.get(self.page_of(hash))?;
        (self.count > KEYS_GUARDED_MAX || page.may_have(hash)).then_some(page)
    }

    /// How many keys there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Bytes on the heap.
    pub(crate) fn memory(&self) -> usize {
        self.pages.memory() + self.pages.iter().map(Page::memory).sum::<usize>()
    }

    /// The number of the page that a hash belongs to.
    #[inline]
    fn page_of(&self, hash: Hash) -> usize {
        let count = self.pages.len();
        let numbers = 1usize << (usize::BITS - count.leading_zeros());
        let ends = low_bits(hash) & (numbers - 1);
        if ends < count {
            ends
        } else {
            ends & (numbers / 2).saturating_sub(1)
        }
    }

    /// Adds a page where there are too many keys for those that are there.
    fn make_room(&mut self) {
        let count = self.pages.len();
        if self.count <= count * PAGE_KEYS {
            return;
        }
        if count == 0 {
            return self.pages.push(Page::default());
        }
        let highest = highest_bit(count);
        // What does not belong to the new page stays: only the one bit more tells them apart.
        let belongs = |hash: Hash| low_bits(hash) & (2 * highest - 1) == count;
        let page = self.pages.get_mut(count - highest).split_off(&self.hasher, belongs);
        self.pages.push(page);
    }

    /// Takes the last page away; its keys go where they came from.
    fn merge_last(&mut self) {
        if let Some(last) = self.pages.pop() {
            let count = self.pages.len();
            let page = self.pages.get_mut(count - highest_bit(count));
            page.merge(&last, &self.hasher);
        }
    }
}

#[inline]
fn hash(hasher: &RandomState, space: u32, key: &[u8]) -> Hash {
    let mut hasher = hasher.build_hasher();
    hasher.write(key);
    hasher.write_u32(space);
    hasher.finish()
}

/// The bits of a hash that numbers of pages are made of.
#[inline]
fn low_bits(hash: Hash) -> usize {
    (hash & u64::from(u32::MAX)) as usize
}

/// The highest bit of a number that is not 0.
fn highest_bit(number: usize) -> usize {
    1 << number.ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Vec<u8> {
        format!("key {number} {}", "x".repeat(number as usize % 90)).into_bytes()
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
            let hash = table.fetch(number % 3, &key(number)).expect("it is there");
            assert!(table.peek(hash).is_some());
        }
    }

    #[test]
    fn very_many_keys_are_found_without_their_guards() {
        let count = u32::try_from(KEYS_GUARDED_MAX).unwrap() + 10;
        let mut table = Table::default();
        (0..count).for_each(|number| *table.entry(1, &number.to_le_bytes()) = number);
        for number in (0..count).step_by(3) {
            assert_eq!(table.get(1, &number.to_le_bytes()), Some(&number));
            assert_eq!(table.get(1, &(number + count).to_le_bytes()), None);
        }
        (0..20).for_each(|number| table.remove(1, &u32::to_le_bytes(number)));
        assert!(table.len() < KEYS_GUARDED_MAX);
        for number in (0..count).step_by(7) {
            assert_eq!(
                table.get(1, &number.to_le_bytes()).is_some(),
                number >= 20,
                "guards are right again"
            );
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
