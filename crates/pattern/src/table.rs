//! A map from bytes to small values whose copies share what they have in common: pages of slots, each a small table of its own.
//!
//! What a look-up waits for is memory, so it touches little of it: an entry of the list of pages, and the slot, which has its key
//! inside; both are known from the hash alone, so that they can be fetched ahead. The list says of most keys that are not there that
//! they are not, and the list of a hundred thousand keys stays in a processor's cache: what is looked up in vain waits for nothing.
//! A change copies one page and one chunk of the list.
//! As keys come, pages are split one after the other (linear hashing), and merged as they go. Keys lie in spaces, so that one table
//! serves many purposes. The hash is seeded anew for every table, so that nobody can choose keys that collide.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::chunks::Chunks;
use crate::simd;

/// Keys of a page on average, once there are many. A page that is next to be split has about twice as many.
const PAGE_KEYS: usize = 24;

/// Pages are merged when they have so many keys on average.
const PAGE_KEYS_MIN: usize = PAGE_KEYS / 4;

/// A table of fewer pages stays in a processor's cache by itself.
const PAGES_FETCHED_MIN: usize = 64;

/// Slots of the smallest page; of others, powers of two.
const SLOTS_MIN: usize = 4;

/// Words of a page's guard. With two bits for each of 24 to 48 keys it lets through one in 30 to one in 10 that are not there.
const GUARD_WORDS: usize = 4;

/// Bytes of a key that lie in its slot.
const KEY_BYTES_INLINE: usize = 30;

#[derive(Debug, Clone)]
pub(crate) struct Table<V> {
    hasher: RandomState,
    /// Page `number` has the keys whose hash ends in the bits of `number`: so many bits that all pages have numbers, or one less
    /// where a page of that number does not exist yet.
    pages: Chunks<Page<V>>,
    length: usize,
}

#[derive(Debug, Clone)]
struct Page<V> {
    /// The bits that hashes of its keys have, all of them.
    guard: [u64; GUARD_WORDS],
    slots: Arc<[Slot<V>]>,
}

/// A key lies in the slot that its hash begins with, or behind it, with no free slot between.
#[derive(Debug, Clone)]
struct Slot<V> {
    key: Key,
    space: u32,
    value: V,
}

#[derive(Debug, Clone)]
enum Key {
    Inside {
        length: u8,
        bytes: [u8; KEY_BYTES_INLINE],
    },
    Apart(Box<[u8]>),
    /// The slot is free.
    None,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self {
            hasher: RandomState::default(),
            pages: Chunks::default(),
            length: 0,
        }
    }
}

impl<V: Copy + Default> Table<V> {
    /// The value of a key.
    #[inline]
    pub(crate) fn get(&self, space: u32, key: &[u8]) -> Option<&V> {
        let hash = self.hash(space, key);
        let page = self.pages.get(self.page_of(hash)).filter(|page| page.may_have(hash))?;
        let at = find(&page.slots, hash, space, key).ok()?;
        Some(&page.slots[at].value)
    }

    /// Whether fetching ahead is worth its time.
    #[inline]
    pub(crate) fn is_large(&self) -> bool {
        self.pages.len() >= PAGES_FETCHED_MIN
    }

    /// Fetches what [`get`](Self::get) will read first, and says the key's hash.
    #[inline]
    pub(crate) fn fetch(&self, space: u32, key: &[u8]) -> u64 {
        let hash = self.hash(space, key);
        if let Some(page) = self.pages.get(self.page_of(hash)) {
            simd::fetch(page);
        }
        hash
    }

    /// Fetches what it will read then; whether there is anything.
    #[inline]
    pub(crate) fn fetch_slot(&self, hash: u64) -> bool {
        let slot = self.first_slot_of(hash);
        slot.is_some_and(|slot| {
            simd::fetch(slot);
            true
        })
    }

    /// The value that a key of this hash probably has.
    #[inline]
    pub(crate) fn peek(&self, space: u32, hash: u64) -> Option<&V> {
        let slot = self.first_slot_of(hash)?;
        (slot.space == space).then_some(&slot.value)
    }

    /// The slot at which the search for a key begins, unless the key is known not to be there.
    #[inline]
    fn first_slot_of(&self, hash: u64) -> Option<&Slot<V>> {
        let page = self.pages.get(self.page_of(hash)).filter(|page| page.may_have(hash))?;
        Some(&page.slots[first_slot(hash, page.slots.len())])
    }

    /// The value of a key, a new one if it is not there yet.
    pub(crate) fn entry(&mut self, space: u32, key: &[u8]) -> &mut V {
        let hash = self.hash(space, key);
        if self.get(space, key).is_none() {
            self.length += 1;
            self.make_room();
            let number = self.page_of(hash);
            let slot = Slot {
                key: Key::new(key),
                space,
                value: V::default(),
            };
            self.pages.get_mut(number).insert(&self.hasher, slot);
        }
        let number = self.page_of(hash);
        let page = Arc::make_mut(&mut self.pages.get_mut(number).slots);
        let at = find(page, hash, space, key).expect("it has just been added if it was not there");
        &mut page[at].value
    }

    /// Forgets a key.
    pub(crate) fn remove(&mut self, space: u32, key: &[u8]) {
        let hash = self.hash(space, key);
        let number = self.page_of(hash);
        let Some(page) = self.pages.get(number) else {
            return;
        };
        let Ok(gone) = find(&page.slots, hash, space, key) else {
            return;
        };
        let rest = page.slots.iter().enumerate().filter(|(at, _)| *at != gone);
        let rest = Page::of(rest.map(|(_, slot)| slot.clone()), &self.hasher);
        *self.pages.get_mut(number) = rest;
        self.length -= 1;
        while self.pages.len() > 1 && self.length < self.pages.len() * PAGE_KEYS_MIN {
            self.merge_last();
        }
    }

    /// How many keys there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Bytes on the heap.
    pub(crate) fn memory(&self) -> usize {
        let apart = |slot: &Slot<V>| match &slot.key {
            Key::Apart(bytes) => bytes.len(),
            Key::Inside { .. } | Key::None => 0,
        };
        let of_page = |page: &Page<V>| COUNTS + size_of_val(&*page.slots) + page.slots.iter().map(apart).sum::<usize>();
        self.pages.memory() + self.pages.iter().map(of_page).sum::<usize>()
    }

    #[inline]
    fn hash(&self, space: u32, key: &[u8]) -> u64 {
        hash(&self.hasher, space, key)
    }

    /// The number of the page that a hash belongs to.
    #[inline]
    fn page_of(&self, hash: u64) -> usize {
        let count = self.pages.len();
        let numbers = 1usize << (usize::BITS - count.leading_zeros());
        let ends = lower_half(hash) & (numbers - 1);
        if ends < count {
            ends
        } else {
            ends & (numbers / 2).saturating_sub(1)
        }
    }

    /// Adds a page where there are too many keys for those that are there.
    fn make_room(&mut self) {
        let count = self.pages.len();
        if self.length <= count * PAGE_KEYS {
            return;
        }
        if count == 0 {
            return self.pages.push(Page::of([], &self.hasher));
        }
        let highest = highest_bit(count);
        let page = Arc::make_mut(&mut self.pages.get_mut(count - highest).slots);
        // What does not belong to the new page stays: only the one bit more tells them apart.
        let belongs = |slot: &Slot<V>| {
            let hash = hash(&self.hasher, slot.space, slot.key.bytes());
            lower_half(hash) & (2 * highest - 1) == count
        };
        let (go, stay): (Vec<_>, Vec<_>) = taken(page).partition(belongs);
        *self.pages.get_mut(count - highest) = Page::of(stay, &self.hasher);
        self.pages.push(Page::of(go, &self.hasher));
    }

    /// Takes the last page away; its keys go where they came from.
    fn merge_last(&mut self) {
        let Some(last) = self.pages.pop() else {
            return;
        };
        let count = self.pages.len();
        let page = self.pages.get_mut(count - highest_bit(count));
        let all = page.slots.iter().chain(&*last.slots).cloned();
        *page = Page::of(all.collect::<Vec<_>>(), &self.hasher);
    }
}

impl<V: Copy + Default> Page<V> {
    /// A page of these slots; free ones among them are left out.
    fn of(slots: impl IntoIterator<Item = Slot<V>>, hasher: &RandomState) -> Self {
        let slots: Vec<_> = slots
            .into_iter()
            .filter(|slot| !matches!(slot.key, Key::None))
            .collect();
        let free = || Slot {
            key: Key::None,
            space: 0,
            value: V::default(),
        };
        let mut page: Vec<_> = std::iter::repeat_with(free).take(slots_for(slots.len())).collect();
        let mut guard = [0; GUARD_WORDS];
        slots
            .into_iter()
            .for_each(|slot| place(&mut page, &mut guard, hasher, slot));
        Self {
            guard,
            slots: page.into(),
        }
    }

    /// Whether a key of this hash may be there; if not, it is not.
    #[inline]
    fn may_have(&self, hash: u64) -> bool {
        let (word, bits) = guarded(hash);
        self.guard[word] & bits == bits
    }

    /// Adds a slot whose key is not there.
    fn insert(&mut self, hasher: &RandomState, slot: Slot<V>) {
        let filled = self.slots.iter().filter(|slot| !matches!(slot.key, Key::None)).count();
        if self.slots.len() < slots_for(filled + 1) {
            let mut slots: Vec<_> = taken(Arc::make_mut(&mut self.slots)).collect();
            slots.push(slot);
            *self = Self::of(slots, hasher);
        } else {
            place(Arc::make_mut(&mut self.slots), &mut self.guard, hasher, slot);
        }
    }
}

/// The word of a guard, and the bits in it, that a key's hash has: bits that say neither the page nor, in usual ones, the slot.
#[inline]
fn guarded(hash: u64) -> (usize, u64) {
    let upper = lower_half(hash >> u32::BITS) >> 8;
    let bit = |at: usize| 1u64 << (upper >> at & 63);
    (upper & (GUARD_WORDS - 1), bit(2) | bit(8))
}

/// Puts a slot whose key is not there into a page that has room.
fn place<V>(page: &mut [Slot<V>], guard: &mut [u64; GUARD_WORDS], hasher: &RandomState, slot: Slot<V>) {
    let hash = hash(hasher, slot.space, slot.key.bytes());
    let (word, bits) = guarded(hash);
    guard[word] |= bits;
    if let Err(at) = find(page, hash, slot.space, slot.key.bytes()) {
        page[at] = slot;
    }
}

/// The highest bit of a number that is not 0.
fn highest_bit(number: usize) -> usize {
    1 << number.ilog2()
}

/// What pages are found by.
#[inline]
fn lower_half(hash: u64) -> usize {
    usize::try_from(hash & u64::from(u32::MAX)).expect("half of the bits")
}

/// The slot of a page at which the search for a key begins.
#[inline]
fn first_slot(hash: u64, slots: usize) -> usize {
    lower_half(hash >> u32::BITS) & (slots - 1)
}

#[inline]
fn hash(hasher: &RandomState, space: u32, key: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(key);
    hasher.write_u32(space);
    hasher.finish()
}

/// Where a key is; else the free slot where it would be.
#[inline]
fn find<V>(page: &[Slot<V>], hash: u64, space: u32, key: &[u8]) -> Result<usize, usize> {
    let mut at = first_slot(hash, page.len());
    loop {
        let slot = &page[at];
        if slot.space == space && slot.key.is(key) {
            return Ok(at);
        }
        if matches!(slot.key, Key::None) {
            return Err(at);
        }
        at = (at + 1) & (page.len() - 1);
    }
}

/// The slots that are not free, moved out of a page.
fn taken<V: Copy>(page: &mut [Slot<V>]) -> impl Iterator<Item = Slot<V>> {
    let filled = page.iter_mut().filter(|slot| !matches!(slot.key, Key::None));
    filled.map(|slot| Slot {
        key: std::mem::replace(&mut slot.key, Key::None),
        ..*slot
    })
}

/// How many slots so many keys have: at least a third of them free, so that searches end soon.
fn slots_for(keys: usize) -> usize {
    (keys + keys / 2 + 1).next_power_of_two().max(SLOTS_MIN)
}

impl Key {
    fn new(key: &[u8]) -> Self {
        let mut bytes = [0; KEY_BYTES_INLINE];
        match (bytes.get_mut(..key.len()), u8::try_from(key.len())) {
            (Some(inside), Ok(length)) => {
                inside.copy_from_slice(key);
                Key::Inside { length, bytes }
            }
            _ => Key::Apart(key.into()),
        }
    }

    #[inline]
    fn is(&self, key: &[u8]) -> bool {
        // An empty slice lies at no address, and some processors take a hundred cycles to compare nothing with what is there.
        !matches!(self, Key::None) && self.bytes().len() == key.len() && (key.is_empty() || self.bytes() == key)
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        match self {
            Key::Inside { length, bytes } => &bytes[..usize::from(*length)],
            Key::Apart(bytes) => bytes,
            Key::None => &[],
        }
    }
}

/// Bytes that a shared allocation has for its counts.
const COUNTS: usize = 2 * size_of::<usize>();

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

    #[test]
    fn a_page_keeps_its_keys_as_it_grows_and_shrinks() {
        let hasher = RandomState::default();
        let mut page = Page::of([], &hasher);
        for number in 0..200 {
            let slot = Slot {
                key: Key::new(&key(number)),
                space: number % 2,
                value: number,
            };
            page.insert(&hasher, slot);
            for known in 0..200 {
                let (space, key) = (known % 2, key(known));
                let hash = hash(&hasher, space, &key);
                let found = find(&page.slots, hash, space, &key);
                assert_eq!(
                    found.map(|at| page.slots[at].value).ok(),
                    (known <= number).then_some(known)
                );
                assert!(known > number || page.may_have(hash));
            }
        }
        assert_eq!(page.slots.len(), 512);
    }
}
