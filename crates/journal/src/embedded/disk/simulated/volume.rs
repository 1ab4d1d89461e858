//! What is on a simulated disk, what of it is durable, and what a power cut leaves.

use super::{Fault, SyncFault};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// What is written whole, in its first sectors, or not at all.
pub(super) const PAGE: usize = 4096;
const SECTOR: usize = 512;

/// Everything about the disk.
#[derive(Debug)]
pub(super) struct State {
    pub(super) random: u64,
    pub(super) cycle: u64,
    pub(super) nodes: Vec<Node>,
    /// What a process sees.
    pub(super) names: BTreeMap<PathBuf, Entry>,
    /// What survives a power cut for certain.
    pub(super) durable_names: BTreeMap<PathBuf, Entry>,
    pub(super) pending: Vec<Change>,
    pub(super) capacity: u64,
    pub(super) short_writes: bool,
    pub(super) operations: u64,
    pub(super) power_cut_at: Option<u64>,
    pub(super) dead: bool,
    pub(super) syncs_until_fault: Option<(u64, SyncFault)>,
    pub(super) fault: Option<Fault>,
    pub(super) handles_max: u64,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Directory,
    File(usize),
}

/// A change of names that its directory has not synced.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Put(PathBuf, Entry),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf, Entry),
}

/// The content of a file.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) durable: Vec<u8>,
    pub(super) current: Vec<u8>,
    pub(super) dirty: BTreeSet<usize>,
    /// Pages a failed sync forgot: a later sync does not write them.
    pub(super) forgotten: BTreeSet<usize>,
    pub(super) locked_in_cycle: Option<u64>,
}

impl Change {
    pub(super) fn parent(&self) -> Option<&Path> {
        match self {
            Self::Put(path, _) | Self::Remove(path) | Self::Rename(path, _, _) => path.parent(),
        }
    }

    pub(super) fn apply(self, names: &mut BTreeMap<PathBuf, Entry>) {
        match self {
            Self::Put(path, entry) => {
                names.insert(path, entry);
            }
            Self::Remove(path) => {
                names.remove(&path);
            }
            Self::Rename(from, to, entry) => {
                names.remove(&from);
                names.insert(to, entry);
            }
        }
    }
}

impl Node {
    pub(super) fn write(&mut self, bytes: &[u8], position: usize) {
        let end = position + bytes.len();
        let from = position.min(self.current.len());
        if self.current.len() < end {
            self.current.resize(end, 0);
        }
        self.current[position..end].copy_from_slice(bytes);
        self.dirty.extend(from / PAGE..=(end - 1) / PAGE);
        // Writing a page again makes it dirty again.
        for page in from / PAGE..=(end - 1) / PAGE {
            self.forgotten.remove(&page);
        }
    }

    pub(super) fn sync(&mut self) {
        self.durable.resize(self.current.len(), 0);
        for page in std::mem::take(&mut self.dirty) {
            let (from, to) = page_bounds(page, self.current.len());
            self.durable[from..to].copy_from_slice(&self.current[from..to]);
        }
    }

    /// Every dirty page survives whole, in its first sectors, or not at all; the size is the old, the new or between.
    pub(super) fn lose(&mut self, mut random: impl FnMut() -> u64) {
        let (old, new) = (self.durable.len(), self.current.len());
        let len = match random() % 3 {
            0 => old,
            1 => new,
            _ => old.min(new) + (random() % (old.abs_diff(new) as u64 + 1)) as usize,
        };
        let mut after = std::mem::take(&mut self.durable);
        after.resize(len, 0);
        for page in std::mem::take(&mut self.dirty) {
            let (from, to) = page_bounds(page, len.min(new));
            let keep = match random() % 3 {
                0 => 0,
                1 => to - from,
                _ => (random() as usize % (PAGE / SECTOR) * SECTOR).min(to - from),
            };
            after[from..from + keep].copy_from_slice(&self.current[from..from + keep]);
        }
        self.forgotten.clear();
        self.current.clone_from(&after);
        self.durable = after;
    }
}

fn page_bounds(page: usize, len: usize) -> (usize, usize) {
    ((page * PAGE).min(len), ((page + 1) * PAGE).min(len))
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: seed ^ 0x9e37_79b9_7f4a_7c15,
            cycle: 0,
            nodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending: Vec::new(),
            capacity: 1 << 40,
            short_writes: false,
            operations: 0,
            power_cut_at: None,
            dead: false,
            syncs_until_fault: None,
            fault: None,
            handles_max: u64::MAX,
        }
    }

    pub(super) fn next_random(&mut self) -> u64 {
        // splitmix64
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next_random() % bound as u64) as usize
    }

    pub(super) fn used(&self) -> u64 {
        let files = self.names.values().filter_map(|entry| match entry {
            Entry::Directory => None,
            Entry::File(node) => Some(self.nodes[*node].current.len() as u64),
        });
        files.sum()
    }

    pub(super) fn lose_what_was_not_synced(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            if self.next_random().is_multiple_of(2) {
                change.apply(&mut self.durable_names);
            }
        }
        // What lies in a directory that is gone is gone.
        let names = self.durable_names.clone();
        self.durable_names.retain(|path, _| {
            let mut parents = path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty());
            parents.all(|parent| names.contains_key(parent))
        });
        self.names = self.durable_names.clone();
        let mut nodes = std::mem::take(&mut self.nodes);
        for node in &mut nodes {
            node.lose(|| self.next_random());
        }
        self.nodes = nodes;
    }
}
