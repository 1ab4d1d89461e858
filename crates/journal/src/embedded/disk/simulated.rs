//! A disk in memory that behaves as badly as real ones may: what was not synced is lost, kept or torn per page at a power
//! cut, in any order; names that were not synced come and go one by one; syncs fail; the volume fills up. Everything is
//! drawn from one seed, so that a failure can be played again.

mod file;
mod volume;

pub use file::SimulatedFile;

use crate::DiskSpace;
use file::Handle;
use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};
use volume::{Change, Entry, Node, State};

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

impl SimulatedDisk {
    /// An empty disk of 1 TiB.
    pub fn new(seed: u64) -> Self {
        Self {
            state: Arc::new(Mutex::new(State::new(seed))),
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
