//! A disk in memory that behaves as badly as real ones may: what was not synced is lost, kept or torn per page at a power
//! cut, in any order; names that were not synced come and go one by one; syncs fail; the volume fills up. Everything is
//! drawn from one seed, so that a failure can be played again.

use crate::DiskSpace;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

const PAGE: usize = 4096;
const SECTOR: usize = 512;

/// A disk that outlives the processes on it: clones share it.
#[derive(Clone, Debug)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
    held: Arc<(Mutex<bool>, Condvar)>,
    /// How many files are open.
    handles: Arc<AtomicU64>,
    /// The power cycle that this handle belongs to: an older one gets errors only.
    cycle: u64,
}

/// An open file on a simulated disk.
#[derive(Clone, Debug)]
pub struct SimulatedFile {
    disk: SimulatedDisk,
    node: usize,
    handle: Arc<Handle>,
}

/// Counts as one open file as long as it lives.
#[derive(Debug)]
struct Handle {
    path: PathBuf,
    open: Arc<AtomicU64>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What a [`Fault`] hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Opening a file that exists.
    Open,
    /// Creating a file.
    Create,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Removing a file or a directory.
    Remove,
}

/// One kind of operation on some files goes wrong until it is told otherwise.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Which operation.
    pub operation: Operation,
    /// A part of the names of the files.
    pub name: String,
    /// The bytes of the file that cannot be read; everything else fails whatever it is.
    pub bytes: std::ops::Range<u64>,
    /// What the system says; `None` is a bug: a panic in the caller.
    pub code: Option<i32>,
}

/// How a sync fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncFault {
    /// It reports an error and writes nothing; the pages stay dirty.
    Refused,
    /// It reports an error and forgets that the pages are dirty: the next sync succeeds without writing them.
    PagesDropped,
}

#[derive(Debug)]
struct State {
    random: u64,
    cycle: u64,
    nodes: Vec<Node>,
    /// What a process sees.
    names: BTreeMap<PathBuf, Entry>,
    /// What survives a power cut for certain.
    durable_names: BTreeMap<PathBuf, Entry>,
    pending: Vec<Change>,
    capacity: u64,
    short_writes: bool,
    operations: u64,
    power_cut_at: Option<u64>,
    dead: bool,
    syncs_until_fault: Option<(u64, SyncFault)>,
    fault: Option<Fault>,
    handles_max: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Directory,
    File(usize),
}

#[derive(Clone, Debug)]
enum Change {
    Put(PathBuf, Entry),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf, Entry),
}

#[derive(Debug, Default)]
struct Node {
    durable: Vec<u8>,
    current: Vec<u8>,
    dirty: BTreeSet<usize>,
    /// Pages a failed sync forgot: a later sync does not write them.
    forgotten: BTreeSet<usize>,
    locked_in_cycle: Option<u64>,
}

impl SimulatedDisk {
    /// An empty disk of 1 TiB.
    pub fn new(seed: u64) -> Self {
        let state = State {
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
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            held: Arc::default(),
            handles: Arc::default(),
            cycle: 0,
        }
    }

    /// How large the volume is from now on; what is there stays.
    pub fn set_capacity(&self, bytes: u64) {
        self.lock_state().capacity = bytes;
    }

    /// Lets writes come back short at random.
    pub fn allow_short_writes(&self) {
        self.lock_state().short_writes = true;
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.lock_state().used()
    }

    /// The number of operations so far that change or sync something.
    pub fn operations(&self) -> u64 {
        self.lock_state().operations
    }

    /// Cuts the power in the middle of the `count`th changing operation from now (1 is the next one).
    pub fn cut_power_after(&self, count: u64) {
        let mut state = self.lock_state();
        state.power_cut_at = Some(state.operations + count);
    }

    /// Makes the `count`th file sync from now fail (1 is the next one).
    pub fn fail_sync_after(&self, count: u64, fault: SyncFault) {
        self.lock_state().syncs_until_fault = Some((count, fault));
    }

    /// Makes operations fail from now on, or no more.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.lock_state().fault = fault;
    }

    /// Refuses to open more files than this at a time.
    pub fn set_handles_max(&self, handles: u64) {
        self.lock_state().handles_max = handles;
    }

    /// How many files are open.
    pub fn handles(&self) -> u64 {
        self.handles.load(Ordering::SeqCst)
    }

    fn meet_fault(&self, operation: Operation, path: &Path, bytes: std::ops::Range<u64>) -> io::Result<()> {
        let fault = self.lock_state().fault.clone();
        let hit = fault.filter(|fault| {
            let named = fault.operation == operation && path.display().to_string().contains(&fault.name);
            named && (operation != Operation::Read || fault.bytes.start < bytes.end && bytes.start < fault.bytes.end)
        });
        match hit {
            None => Ok(()),
            Some(Fault { code: Some(code), .. }) => Err(io::Error::from_raw_os_error(code)),
            Some(fault) => panic!("a fault on purpose: {fault:?}"),
        }
    }

    fn file(&self, state: &State, path: &Path, node: usize) -> io::Result<SimulatedFile> {
        if self.handles() >= state.handles_max {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error()));
        }
        self.handles.fetch_add(1, Ordering::SeqCst);
        Ok(SimulatedFile {
            disk: self.clone(),
            node,
            handle: Arc::new(Handle {
                path: path.into(),
                open: self.handles.clone(),
            }),
        })
    }

    /// Keeps file syncs from returning, until they are let go again.
    pub fn hold_syncs(&self, hold: bool) {
        *self.held.0.lock().expect("no holder of this lock panics") = hold;
        self.held.1.notify_all();
    }

    fn wait_while_held(&self) {
        let held = self.held.0.lock().expect("no holder of this lock panics");
        drop(self.held.1.wait_while(held, |held| *held));
    }

    /// Whether the power is cut.
    pub fn is_dead(&self) -> bool {
        self.lock_state().dead
    }

    /// Cuts the power now, decides what survived, and gives the disk back to a new process. Old handles get errors.
    pub fn power_cycle(&self) -> Self {
        let mut state = self.lock_state();
        state.lose_what_was_not_synced();
        drop(state);
        self.next_process()
    }

    /// Ends the process but not the machine: everything written stays, locks are freed. Old handles get errors.
    pub fn kill_process(&self) -> Self {
        self.next_process()
    }

    fn next_process(&self) -> Self {
        let mut state = self.lock_state();
        state.cycle += 1;
        state.dead = false;
        state.power_cut_at = None;
        state.syncs_until_fault = None;
        state.fault = None;
        Self {
            state: self.state.clone(),
            held: self.held.clone(),
            handles: self.handles.clone(),
            cycle: state.cycle,
        }
    }

    /// All files, for tests that damage them.
    pub fn files(&self) -> Vec<PathBuf> {
        let state = self.lock_state();
        let files = state.names.iter().filter(|(_, entry)| matches!(entry, Entry::File(_)));
        files.map(|(path, _)| path.clone()).collect()
    }

    /// Replaces a file's content, durably: for tests that damage it.
    pub fn overwrite(&self, path: &Path, bytes: Vec<u8>) {
        let mut state = self.lock_state();
        if let Some(Entry::File(node)) = state.names.get(path).copied() {
            state.nodes[node] = Node {
                durable: bytes.clone(),
                current: bytes,
                ..Node::default()
            };
        }
    }

    /// A checksum over all names and bytes as a process sees them.
    pub fn digest(&self) -> u64 {
        let state = self.lock_state();
        state.names.iter().fold(0, |digest, (path, entry)| {
            let name = crc32c::crc32c(path.as_os_str().as_encoded_bytes());
            let content = match entry {
                Entry::Directory => 1,
                Entry::File(node) => crc32c::crc32c(&state.nodes[*node].current),
            };
            (digest ^ (u64::from(name) << 32 | u64::from(content))).wrapping_mul(0x0100_0000_01b3)
        })
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    fn living(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.lock_state();
        if state.dead || state.cycle != self.cycle {
            return Err(io::Error::other("the power is cut"));
        }
        Ok(state)
    }

    /// Counts a changing operation; `Err` with the state if the power goes during it.
    fn changing(&self) -> io::Result<(MutexGuard<'_, State>, bool)> {
        let mut state = self.living()?;
        state.operations += 1;
        let cut = state.power_cut_at == Some(state.operations);
        state.dead |= cut;
        Ok((state, cut))
    }

    fn change(&self, apply: impl FnOnce(&mut State) -> io::Result<()>) -> io::Result<()> {
        let (mut state, cut) = self.changing()?;
        // An operation that the power cut hits may have happened or not.
        if !cut || state.next_random().is_multiple_of(2) {
            apply(&mut state)?;
        }
        if cut {
            Err(io::Error::other("the power is cut"))
        } else {
            Ok(())
        }
    }

    pub(super) fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.change(|state| {
            let mut missing: Vec<_> = path.ancestors().filter(|path| !path.as_os_str().is_empty()).collect();
            missing.reverse();
            for directory in missing {
                if !state.names.contains_key(directory) {
                    state.names.insert(directory.into(), Entry::Directory);
                    if directory.parent().is_none_or(|parent| parent.as_os_str().is_empty()) {
                        // The root's own directories were made before the story begins.
                        state.durable_names.insert(directory.into(), Entry::Directory);
                    }
                    state.pending.push(Change::Put(directory.into(), Entry::Directory));
                }
            }
            Ok(())
        })
    }

    pub(super) fn open(&self, path: &Path) -> io::Result<SimulatedFile> {
        self.meet_fault(Operation::Open, path, 0..0)?;
        let state = self.living()?;
        match state.names.get(path).copied() {
            Some(Entry::File(node)) => self.file(&state, path, node),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn create(&self, path: &Path) -> io::Result<SimulatedFile> {
        self.meet_fault(Operation::Create, path, 0..0)?;
        match self.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => {
                let file = opened?;
                file.set_len(0)?;
                return Ok(file);
            }
        }
        if self.handles() >= self.lock_state().handles_max {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error()));
        }
        self.change(|state| {
            if path.parent().is_none_or(|parent| !state.names.contains_key(parent)) {
                return Err(io::ErrorKind::NotFound.into());
            }
            state.nodes.push(Node::default());
            let entry = Entry::File(state.nodes.len() - 1);
            state.names.insert(path.into(), entry);
            state.pending.push(Change::Put(path.into(), entry));
            Ok(())
        })?;
        self.open(path)
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let state = self.living()?;
        if !state.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = state.names.keys().filter(|name| name.parent() == Some(path));
        Ok(inside
            .filter_map(|name| Some(name.file_name()?.to_string_lossy().into_owned()))
            .collect())
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|state| {
            let entry = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
            state.names.insert(to.into(), entry);
            state.pending.push(Change::Rename(from.into(), to.into(), entry));
            Ok(())
        })
    }

    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        self.meet_fault(Operation::Remove, path, 0..0)?;
        self.change(|state| {
            state.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
            state.pending.push(Change::Remove(path.into()));
            Ok(())
        })
    }

    pub(super) fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let inside: Vec<PathBuf> = {
            let state = self.living()?;
            state
                .names
                .keys()
                .rev()
                .filter(|name| name.starts_with(path))
                .cloned()
                .collect()
        };
        inside.iter().try_for_each(|name| self.remove(name))
    }

    pub(super) fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.change(|state| {
            let (synced, kept) = std::mem::take(&mut state.pending)
                .into_iter()
                .partition::<Vec<_>, _>(|change| change.parent() == Some(path));
            state.pending = kept;
            synced
                .into_iter()
                .for_each(|change| change.apply(&mut state.durable_names));
            Ok(())
        })
    }

    pub(super) fn space(&self) -> DiskSpace {
        let state = self.lock_state();
        DiskSpace {
            total: state.capacity,
            free: state.capacity.saturating_sub(state.used()),
        }
    }
}

impl SimulatedFile {
    pub(super) fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        self.disk.meet_fault(Operation::Write, &self.handle.path, 0..0)?;
        let (mut state, cut) = self.disk.changing()?;
        let position = usize::try_from(position).expect("simulated files fit memory");
        let mut count = bytes.len();
        if cut {
            count = state.below(count + 1);
        } else if state.short_writes && count > 1 && state.below(4) == 0 {
            count = 1 + state.below(count - 1);
        }
        let len = state.nodes[self.node].current.len();
        let room = usize::try_from(state.capacity.saturating_sub(state.used())).unwrap_or(usize::MAX);
        let end = (position + count).min(len.max(position).saturating_add(room).max(len));
        count = end.saturating_sub(position);
        if count > 0 {
            state.nodes[self.node].write(&bytes[..count], position);
        }
        if cut {
            return Err(io::Error::other("the power is cut"));
        }
        if count == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(count)
    }

    pub(super) fn read_at(&self, bytes: &mut [u8], position: u64) -> io::Result<usize> {
        let range = position..position + bytes.len() as u64;
        self.disk.meet_fault(Operation::Read, &self.handle.path, range)?;
        let state = self.disk.living()?;
        let content = &state.nodes[self.node].current;
        let position = usize::try_from(position)
            .expect("simulated files fit memory")
            .min(content.len());
        let count = bytes.len().min(content.len() - position);
        bytes[..count].copy_from_slice(&content[position..position + count]);
        Ok(count)
    }

    pub(super) fn len(&self) -> io::Result<u64> {
        Ok(self.disk.living()?.nodes[self.node].current.len() as u64)
    }

    pub(super) fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).expect("simulated files fit memory");
        self.disk.change(|state| {
            let node = &mut state.nodes[self.node];
            let old = node.current.len();
            node.current.resize(len, 0);
            node.dirty.extend(old.min(len) / PAGE..=old.max(len) / PAGE);
            Ok(())
        })
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.disk.wait_while_held();
        let (mut state, cut) = self.disk.changing()?;
        if let Some((count, fault)) = state.syncs_until_fault {
            state.syncs_until_fault = (count > 1).then_some((count - 1, fault));
            if count == 1 {
                if fault == SyncFault::PagesDropped {
                    let node = &mut state.nodes[self.node];
                    let dirty = std::mem::take(&mut node.dirty);
                    node.forgotten.extend(dirty);
                }
                return Err(io::Error::other("input/output error"));
            }
        }
        if cut {
            return Err(io::Error::other("the power is cut"));
        }
        state.nodes[self.node].sync();
        Ok(())
    }

    pub(super) fn lock(&self) -> io::Result<bool> {
        let mut state = self.disk.living()?;
        let cycle = state.cycle;
        let node = &mut state.nodes[self.node];
        Ok(node.locked_in_cycle.replace(cycle) != Some(cycle))
    }
}

impl Change {
    fn parent(&self) -> Option<&Path> {
        match self {
            Self::Put(path, _) | Self::Remove(path) | Self::Rename(path, _, _) => path.parent(),
        }
    }

    fn apply(self, names: &mut BTreeMap<PathBuf, Entry>) {
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
    fn write(&mut self, bytes: &[u8], position: usize) {
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

    fn sync(&mut self) {
        self.durable.resize(self.current.len(), 0);
        for page in std::mem::take(&mut self.dirty) {
            let (from, to) = page_bounds(page, self.current.len());
            self.durable[from..to].copy_from_slice(&self.current[from..to]);
        }
    }

    /// Every dirty page survives whole, in its first sectors, or not at all; the size is the old, the new or between.
    fn lose(&mut self, mut random: impl FnMut() -> u64) {
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
    fn next_random(&mut self) -> u64 {
        // splitmix64
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next_random() % bound as u64) as usize
    }

    fn used(&self) -> u64 {
        let files = self.names.values().filter_map(|entry| match entry {
            Entry::Directory => None,
            Entry::File(node) => Some(self.nodes[*node].current.len() as u64),
        });
        files.sum()
    }

    fn lose_what_was_not_synced(&mut self) {
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
