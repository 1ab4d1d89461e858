//! A map from bytes to values whose copies share what they have in common: a trie over the bits of a hash, with small leaves.
//!
//! A change copies one leaf and the branches above it. A leaf is its slots and nothing else, so that a look-up touches little
//! memory. Keys lie in spaces, so that one table serves many purposes. The hash is seeded anew for every table, so that nobody can
//! choose keys that collide.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

/// Children of a branch: five bits of the hash.
const CHILDREN: usize = 32;

/// Bits of the hash that a branch takes.
const BRANCH_BITS: u32 = 5;

/// Entries of a leaf before it becomes a branch.
const LEAF_ENTRIES: usize = 8;

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
    Leaf(Arc<[Slot<V>]>),
    Branch(Arc<[Child<V>; CHILDREN]>),
}

#[derive(Debug, Clone)]
struct Slot<V> {
    /// The upper half of the hash.
    tag: u32,
    space: u32,
    key: SmallVec<[u8; KEY_BYTES_INLINE]>,
    value: V,
}

impl<V> Child<V> {
    fn empty() -> Self {
        Child::Leaf(Arc::default())
    }

    fn is_empty(&self) -> bool {
        matches!(self, Child::Leaf(leaf) if leaf.is_empty())
    }
}

impl<V> Clone for Child<V> {
    fn clone(&self) -> Self {
        match self {
            Child::Leaf(leaf) => Child::Leaf(Arc::clone(leaf)),
            Child::Branch(branch) => Child::Branch(Arc::clone(branch)),
        }
    }
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self {
            hasher: RandomState::default(),
            root: Child::empty(),
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
                Child::Leaf(leaf) => {
                    let at = find(leaf, Wanted { hash, space, key })?;
                    return Some(&leaf[at].value);
                }
                Child::Branch(branch) => child = &branch[index(bits)],
            }
            bits >>= BRANCH_BITS;
        }
    }

    /// The value of a key, to change; a new one if there is none.
    pub(crate) fn entry(&mut self, space: u32, key: &[u8]) -> &mut V {
        let hash = self.hash(space, key);
        if self.get(space, key).is_none() {
            insert(&mut self.root, &self.hasher, Wanted { hash, space, key }, 0);
            self.length += 1;
        }
        known(&mut self.root, Wanted { hash, space, key }, 0)
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
        hash(&self.hasher, space, key)
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

#[inline]
fn hash(hasher: &RandomState, space: u32, key: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(key);
    hasher.write_u32(space);
    hasher.finish()
}

#[inline]
fn find<V>(leaf: &[Slot<V>], wanted: Wanted<'_>) -> Option<usize> {
    let Wanted { hash, space, key } = wanted;
    let tag = tag(hash);
    // Comparing nothing with nothing is not left to the library, whose vector instructions stumble over its address.
    let is = |slot: &Slot<V>| {
        slot.tag == tag && slot.space == space && slot.key.len() == key.len() && (key.is_empty() || *slot.key == *key)
    };
    leaf.iter().position(is)
}

/// The value of a key that is there.
fn known<'t, V: Clone>(child: &'t mut Child<V>, wanted: Wanted<'_>, depth: u32) -> &'t mut V {
    match child {
        Child::Branch(branch) => {
            let branch = Arc::make_mut(branch);
            known(
                &mut branch[index(wanted.hash >> (depth * BRANCH_BITS))],
                wanted,
                depth + 1,
            )
        }
        Child::Leaf(leaf) => {
            let at = find(leaf, wanted).expect("the caller knows that the key is there");
            &mut Arc::make_mut(leaf)[at].value
        }
    }
}

/// Adds a key that is not there.
fn insert<V: Clone + Default>(child: &mut Child<V>, hasher: &RandomState, wanted: Wanted<'_>, depth: u32) {
    if let Child::Leaf(leaf) = child
        && leaf.len() >= LEAF_ENTRIES
        && depth < DEPTH_MAX
    {
        *child = split(leaf, hasher, depth);
    }
    match child {
        Child::Branch(branch) => {
            let branch = Arc::make_mut(branch);
            let below = &mut branch[index(wanted.hash >> (depth * BRANCH_BITS))];
            insert(below, hasher, wanted, depth + 1);
        }
        Child::Leaf(leaf) => {
            let slot = Slot {
                tag: tag(wanted.hash),
                space: wanted.space,
                key: SmallVec::from_slice(wanted.key),
                value: V::default(),
            };
            *leaf = match Arc::get_mut(leaf) {
                // Nobody else has it: its slots move.
                Some(own) => own.iter_mut().map(Slot::take).chain([slot]).collect(),
                None => leaf.iter().cloned().chain([slot]).collect(),
            };
        }
    }
}

impl<V: Default> Slot<V> {
    fn take(&mut self) -> Self {
        Self {
            tag: self.tag,
            space: self.space,
            key: std::mem::take(&mut self.key),
            value: std::mem::take(&mut self.value),
        }
    }
}

fn split<V: Clone>(leaf: &[Slot<V>], hasher: &RandomState, depth: u32) -> Child<V> {
    let mut leaves: [Vec<Slot<V>>; CHILDREN] = std::array::from_fn(|_| Vec::new());
    for slot in leaf {
        let hash = hash(hasher, slot.space, &slot.key);
        leaves[index(hash >> (depth * BRANCH_BITS))].push(slot.clone());
    }
    Child::Branch(Arc::new(leaves.map(|leaf| match leaf.is_empty() {
        true => Child::empty(),
        false => Child::Leaf(leaf.into()),
    })))
}

fn remove<V: Clone>(child: &mut Child<V>, wanted: Wanted<'_>, depth: u32) {
    match child {
        Child::Leaf(leaf) => {
            let gone = find(leaf, wanted);
            let left = leaf.iter().enumerate().filter(|(at, _)| Some(*at) != gone);
            *leaf = left.map(|(_, slot)| slot.clone()).collect();
        }
        Child::Branch(branch) => {
            let branch = Arc::make_mut(branch);
            let below = &mut branch[index(wanted.hash >> (depth * BRANCH_BITS))];
            remove(below, wanted, depth + 1);
            if branch.iter().all(Child::is_empty) {
                *child = Child::empty();
            }
        }
    }
}

/// Bytes that a shared allocation has for its counts.
const COUNTS: usize = 2 * size_of::<usize>();

fn memory<V>(child: &Child<V>, of_value: &impl Fn(&V) -> usize) -> usize {
    match child {
        Child::Leaf(leaf) => {
            let of_slot =
                |slot: &Slot<V>| of_value(&slot.value) + if slot.key.spilled() { slot.key.capacity() } else { 0 };
            let counts = if leaf.is_empty() { 0 } else { COUNTS };
            counts + size_of_val(&**leaf) + leaf.iter().map(of_slot).sum::<usize>()
        }
        Child::Branch(branch) => {
            COUNTS + size_of_val(&**branch) + branch.iter().map(|child| memory(child, of_value)).sum::<usize>()
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
        assert!(table.len() == 0 && table.root.is_empty());
    }
}
