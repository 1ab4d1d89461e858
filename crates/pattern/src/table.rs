//! A map from bytes to values whose copies share what they have in common: a trie over the bits of a hash, with small leaves.
//!
//! A change copies one leaf and the branches above it. Keys lie in spaces, so that one table serves many purposes. The hash is
//! seeded anew for every table, so that nobody can choose keys that collide.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

/// Children of a branch: five bits of the hash.
const CHILDREN: usize = 32;

/// Bits of the hash that a branch takes.
const BRANCH_BITS: u32 = 5;

/// Entries of a leaf before it becomes a branch.
const LEAF_ENTRIES: usize = 16;

/// Branches above each other. The bits they take are those that tags do not.
const DEPTH_MAX: u32 = 6;

/// Bytes of a key that lie in its slot.
const KEY_BYTES_INLINE: usize = 23;

#[derive(Debug, Clone)]
pub(crate) struct Table<V> {
    hasher: RandomState,
    root: Child<V>,
    length: usize,
}

#[derive(Debug)]
enum Child<V> {
    Empty,
    Leaf(Arc<Leaf<V>>),
    Branch(Arc<[Child<V>; CHILDREN]>),
}

#[derive(Debug, Clone)]
struct Leaf<V> {
    /// The upper half of each slot's hash.
    tags: SmallVec<[u32; LEAF_ENTRIES]>,
    slots: Vec<Slot<V>>,
}

#[derive(Debug, Clone)]
struct Slot<V> {
    hash: u64,
    space: u32,
    key: SmallVec<[u8; KEY_BYTES_INLINE]>,
    value: V,
}

impl<V> Clone for Child<V> {
    fn clone(&self) -> Self {
        match self {
            Child::Empty => Child::Empty,
            Child::Leaf(leaf) => Child::Leaf(Arc::clone(leaf)),
            Child::Branch(branch) => Child::Branch(Arc::clone(branch)),
        }
    }
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self {
            hasher: RandomState::default(),
            root: Child::Empty,
            length: 0,
        }
    }
}

impl<V: Clone + Default> Table<V> {
    /// The value of a key.
    #[inline]
    pub(crate) fn get(&self, space: u32, key: &[u8]) -> Option<&V> {
        let hash = self.hash(space, key);
        let mut child = &self.root;
        let mut bits = hash;
        loop {
            match child {
                Child::Empty => return None,
                Child::Leaf(leaf) => {
                    let at = leaf.find(hash, space, key)?;
                    return Some(&leaf.slots[at].value);
                }
                Child::Branch(branch) => child = &branch[index(bits)],
            }
            bits >>= BRANCH_BITS;
        }
    }

    /// The value of a key, to change; a new one if there is none.
    pub(crate) fn entry(&mut self, space: u32, key: &[u8]) -> &mut V {
        let hash = self.hash(space, key);
        entry(&mut self.root, &mut self.length, Wanted { hash, space, key }, 0)
    }

    /// Forgets a key.
    pub(crate) fn remove(&mut self, space: u32, key: &[u8]) {
        let hash = self.hash(space, key);
        if self.get(space, key).is_some() {
            remove(&mut self.root, Wanted { hash, space, key }, 0);
            self.length -= 1;
        }
    }

    /// How many keys there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Bytes on the heap, and what values point to as the function says.
    pub(crate) fn memory(&self, of_value: &impl Fn(&V) -> usize) -> usize {
        memory(&self.root, of_value)
    }

    #[inline]
    fn hash(&self, space: u32, key: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key);
        hasher.write_u32(space);
        hasher.finish()
    }
}

/// A key that is looked for.
#[derive(Clone, Copy)]
struct Wanted<'k> {
    hash: u64,
    space: u32,
    key: &'k [u8],
}

#[inline]
fn index(bits: u64) -> usize {
    usize::try_from(bits % CHILDREN as u64).expect("less than the number of children")
}

#[inline]
fn tag(hash: u64) -> u32 {
    u32::try_from(hash >> 32).expect("half of the bits")
}

impl<V> Leaf<V> {
    #[inline]
    fn find(&self, hash: u64, space: u32, key: &[u8]) -> Option<usize> {
        let tag = tag(hash);
        // Comparing nothing with nothing is not left to the library, whose vector instructions stumble over its address.
        let is = |slot: &Slot<V>| {
            slot.space == space && slot.key.len() == key.len() && (key.is_empty() || *slot.key == *key)
        };
        (0..self.tags.len()).find(|at| self.tags[*at] == tag && is(&self.slots[*at]))
    }

    fn push(&mut self, slot: Slot<V>) {
        // Little by little: there are many leaves, and most of them stay small.
        self.slots.reserve_exact(1);
        self.tags.push(tag(slot.hash));
        self.slots.push(slot);
    }
}

fn entry<'t, V: Clone + Default>(
    child: &'t mut Child<V>,
    length: &mut usize,
    wanted: Wanted<'_>,
    depth: u32,
) -> &'t mut V {
    let Wanted { hash, space, key } = wanted;
    if let Child::Empty = child {
        let (tags, slots) = (SmallVec::new(), Vec::new());
        *child = Child::Leaf(Arc::new(Leaf { tags, slots }));
    }
    if let Child::Leaf(leaf) = child
        && leaf.slots.len() >= LEAF_ENTRIES
        && depth < DEPTH_MAX
        && leaf.find(hash, space, key).is_none()
    {
        *child = split(leaf, depth);
    }
    match child {
        Child::Empty => unreachable!("it has just become a leaf"),
        Child::Branch(branch) => {
            let branch = Arc::make_mut(branch);
            entry(
                &mut branch[index(hash >> (depth * BRANCH_BITS))],
                length,
                wanted,
                depth + 1,
            )
        }
        Child::Leaf(leaf) => {
            let leaf = Arc::make_mut(leaf);
            let at = leaf.find(hash, space, key).unwrap_or_else(|| {
                *length += 1;
                let (key, value) = (SmallVec::from_slice(key), V::default());
                leaf.push(Slot {
                    hash,
                    space,
                    key,
                    value,
                });
                leaf.slots.len() - 1
            });
            &mut leaf.slots[at].value
        }
    }
}

fn split<V: Clone>(leaf: &Leaf<V>, depth: u32) -> Child<V> {
    let mut leaves: [Option<Leaf<V>>; CHILDREN] = std::array::from_fn(|_| None);
    for slot in &leaf.slots {
        let below = leaves[index(slot.hash >> (depth * BRANCH_BITS))].get_or_insert_with(|| Leaf {
            tags: SmallVec::new(),
            slots: Vec::new(),
        });
        below.push(slot.clone());
    }
    let children = leaves.map(|leaf| leaf.map_or(Child::Empty, |leaf| Child::Leaf(Arc::new(leaf))));
    Child::Branch(Arc::new(children))
}

fn remove<V: Clone>(child: &mut Child<V>, wanted: Wanted<'_>, depth: u32) {
    let is_empty = match child {
        Child::Empty => true,
        Child::Leaf(leaf) => {
            let leaf = Arc::make_mut(leaf);
            if let Some(at) = leaf.find(wanted.hash, wanted.space, wanted.key) {
                leaf.tags.swap_remove(at);
                leaf.slots.swap_remove(at);
            }
            leaf.slots.is_empty()
        }
        Child::Branch(branch) => {
            let branch = Arc::make_mut(branch);
            remove(
                &mut branch[index(wanted.hash >> (depth * BRANCH_BITS))],
                wanted,
                depth + 1,
            );
            branch.iter().all(|child| matches!(child, Child::Empty))
        }
    };
    if is_empty {
        *child = Child::Empty;
    }
}

fn memory<V>(child: &Child<V>, of_value: &impl Fn(&V) -> usize) -> usize {
    match child {
        Child::Empty => 0,
        Child::Leaf(leaf) => {
            let of_slot =
                |slot: &Slot<V>| of_value(&slot.value) + if slot.key.spilled() { slot.key.capacity() } else { 0 };
            let tags = if leaf.tags.spilled() {
                leaf.tags.capacity() * 4
            } else {
                0
            };
            let slots = leaf.slots.capacity() * size_of::<Slot<V>>();
            size_of::<Leaf<V>>() + tags + slots + leaf.slots.iter().map(of_slot).sum::<usize>()
        }
        Child::Branch(branch) => {
            size_of_val(&**branch) + branch.iter().map(|child| memory(child, of_value)).sum::<usize>()
        }
    }
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
        assert!(table.len() == 0 && matches!(table.root, Child::Empty));
    }
}
