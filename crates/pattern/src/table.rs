//! A map from bytes to small values whose copies share what they have in common: pages of slots, each a small table of its own.
//!
//! What a look-up waits for is memory, so it touches little of it: an entry of the list of pages, and the slot, which has its key
//! inside; both are known from the hash alone, so that they can be fetched ahead. A change copies one page and one chunk of the list.
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

/// Bytes of a key that lie in its slot.
const KEY_BYTES_INLINE: usize = 30;

#[derive(Debug, Clone)]
pub(crate) struct Table<V> {
    hasher: RandomState,
    /// Page `number` has the keys whose hash ends in the bits of `number`: so many bits that all pages have numbers, or one less
    /// where a page of that number does not exist yet.
    pages: Chunks<Arc<[Slot<V>]>>,
    length: usize,
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
        let page = self.pages.get(self.page_of(hash))?;
        let at = find(page, hash, space, key).ok()?;
        Some(&page[at].value)
    }

    /// Whether fetching ahead is worth its time.
    #[inline]
    pub(crate) fn is_large(&self) -> bool {
        self.pages.len() >= PAGES_FETCHED_MIN
    }

    /// Fetches the memory that [`get`](Self::get) will touch.
    #[inline]
    pub(crate) fn fetch(&self, space: u32, key: &[u8]) {
        let hash = self.hash(space, key);
        if let Some(page) = self.pages.get(self.page_of(hash)) {
            simd::fetch(&page[first_slot(hash, page.len())]);
        }
    }

    /// The value of a key, a new one if it is not there yet.
    pub(crate) fn entry(&mut self, space: u32, key: &[u8]) -> &mut V {
        let hash = self.hash(space, key);
        if self.get(space, key).is_none() {
            self.length += 1;
            self.make_room();
            let number = self.page_of(hash);
            insert(
                self.pages.get_mut(number),
                &self.hasher,
                Slot {
                    key: Key::new(key),
                    space,
                    value: V::default(),
                },
            );
        }
        let number = self.page_of(hash);
        let page = Arc::make_mut(self.pages.get_mut(number));
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
        let Ok(gone) = find(page, hash, space, key) else {
            return;
        };
        let rest = page.iter().enumerate().filter(|(at, _)| *at != gone);
        let rest = page_of_slots(rest.map(|(_, slot)| slot.clone()), &self.hasher);
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
        let of_page = |page: &Arc<[Slot<V>]>| COUNTS + size_of_val(&**page) + page.iter().map(apart).sum::<usize>();
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
            return self.pages.push(page_of_slots([], &self.hasher));
        }
        let highest = highest_bit(count);
        let page = Arc::make_mut(self.pages.get_mut(count - highest));
        // What does not belong to the new page stays: only the one bit more tells them apart.
        let belongs = |slot: &Slot<V>| {
            let hash = hash(&self.hasher, slot.space, slot.key.bytes());
            lower_half(hash) & (2 * highest - 1) == count
        };
        let (go, stay): (Vec<_>, Vec<_>) = taken(page).partition(belongs);
        *self.pages.get_mut(count - highest) = page_of_slots(stay, &self.hasher);
        self.pages.push(page_of_slots(go, &self.hasher));
    }

    /// Takes the last page away; its keys go where they came from.
    fn merge_last(&mut self) {
        let Some(last) = self.pages.pop() else {
            return;
        };
        let count = self.pages.len();
        let page = self.pages.get_mut(count - highest_bit(count));
        let all = page.iter().chain(&*last).cloned();
        *page = page_of_slots(all.collect::<Vec<_>>(), &self.hasher);
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

/// Adds a slot whose key is not there.
fn insert<V: Copy + Default>(page: &mut Arc<[Slot<V>]>, hasher: &RandomState, slot: Slot<V>) {
    let filled = page.iter().filter(|slot| !matches!(slot.key, Key::None)).count();
    if page.len() < slots_for(filled + 1) {
        let mut slots: Vec<_> = taken(Arc::make_mut(page)).collect();
        slots.push(slot);
        *page = page_of_slots(slots, hasher);
    } else {
        place(Arc::make_mut(page), hasher, slot);
    }
}

/// How many slots so many keys have: at least a third of them free, so that searches end soon.
fn slots_for(keys: usize) -> usize {
    (keys + keys / 2 + 1).next_power_of_two().max(SLOTS_MIN)
}

/// A page of these slots; free ones among them are left out.
fn page_of_slots<V: Copy + Default>(slots: impl IntoIterator<Item = Slot<V>>, hasher: &RandomState) -> Arc<[Slot<V>]> {
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
    slots.into_iter().for_each(|slot| place(&mut page, hasher, slot));
    page.into()
}

fn place<V>(page: &mut [Slot<V>], hasher: &RandomState, slot: Slot<V>) {
    let hash = hash(hasher, slot.space, slot.key.bytes());
    if let Err(at) = find(page, hash, slot.space, slot.key.bytes()) {
        page[at] = slot;
    }
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
        !matches!(self, Key::None) && self.bytes() == key
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
        let mut page = page_of_slots([], &hasher);
        for number in 0..200 {
            let slot = Slot {
                key: Key::new(&key(number)),
                space: number % 2,
                value: number,
            };
            insert(&mut page, &hasher, slot);
            for known in 0..200 {
                let (space, key) = (known % 2, key(known));
                let found = find(&page, hash(&hasher, space, &key), space, &key);
                assert_eq!(found.map(|at| page[at].value).ok(), (known <= number).then_some(known));
            }
        }
        assert_eq!(page.len(), 512);
    }
}
