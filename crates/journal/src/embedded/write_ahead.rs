//! The write-ahead files: preallocated, used one after the other, recycled. Each use of a file is an epoch with a number
//! and a salt of its own, written and synced before the first frame. What the frames mean is not known here.
//!
//! ```text
//!  at  size  field (little-endian) of the first page
//!   0     8  magic "TLAHEAD1"
//!   8     8  file number
//!  16     8  salt
//!  24     8  checkpointed sequence: all frames up to it were checkpointed before; those of this epoch are above it
//!  32     4  CRC-32C of bytes 0 to 32
//! 4096    -  frames, each on a 4 KiB boundary
//! ```

use super::{
    disk::{Disk, Failure, File, Outcome},
    format::{Fields, Layout, PAGE, PutFields, unseal},
    frame::Epoch,
    settings::{Randomness, Settings},
};
use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

const MAGIC: &[u8; 8] = b"TLAHEAD1";
const EPOCH_LEN: usize = 36;

/// Prepared or once-used files that are kept beyond those in use: what a checkpoint's worth of frames needs, and the
/// next two.
const SPARE_EXTRA: u64 = 2;

/// The first page of a write-ahead file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochHeader {
    /// Number and salt.
    pub epoch: Epoch,
    /// All frames up to it were checkpointed when this use began: proof that they are not missed, if the checkpoint is lost.
    pub checkpointed: u64,
}

impl EpochHeader {
    /// Its page, without the zeros at the end.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.put_u64(self.epoch.number);
        bytes.put_u64(self.epoch.salt);
        bytes.put_u64(self.checkpointed);
        bytes.seal();
        bytes
    }

    /// Reads it; `None` if it is not whole.
    pub fn decode(page: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(unseal(page.get(..EPOCH_LEN)?)?);
        (fields.take(8)? == MAGIC).then_some(())?;
        let header = Self {
            epoch: Epoch {
                number: fields.u64()?,
                salt: fields.u64()?,
            },
            checkpointed: fields.u64()?,
        };
        // Nothing ever has the last number: everything has a next one.
        (header.epoch.number < u64::MAX && header.checkpointed < u64::MAX).then_some(header)
    }
}

/// A file with an epoch, ready for frames.
#[derive(Debug)]
pub struct EpochFile {
    /// The file.
    pub file: File,
    /// Its use.
    pub epoch: Epoch,
}

/// Why there is no file for the next frame.
#[derive(Debug)]
pub enum Unavailable {
    /// The set is at its cap until a checkpoint.
    Full,
    /// The disk refused.
    Failed(Failure),
}

/// The set of files, shared by the commit, which uses them, and the flusher, which recycles them.
#[derive(Debug)]
pub struct WriteAheadSet {
    disk: Disk,
    directory: PathBuf,
    file_bytes: u64,
    files_max: u64,
    spare_max: u64,
    state: Mutex<State>,
    /// Files that a recovery needs, readable while the state is locked for long.
    in_use: AtomicU64,
    /// Prepared and once-used files, likewise.
    spare: AtomicU64,
}

#[derive(Debug)]
struct State {
    randomness: Randomness,
    /// Prepared, in the order of their numbers.
    ready: VecDeque<EpochFile>,
    /// The number of the file in use.
    current: Option<u64>,
    /// Filled: file, number, newest sequence in it.
    filled: VecDeque<(File, u64, u64)>,
    /// Everything in them is checkpointed; oldest first.
    stale: VecDeque<File>,
    next_number: u64,
    next_slot: u64,
    /// Of the newest checkpoint.
    checkpointed: u64,
}

impl WriteAheadSet {
    /// A set that knows these files, oldest first, whose frames are all checkpointed.
    pub fn new(settings: &Settings, layout: &Layout, stale: Vec<File>, next_number: u64, next_slot: u64) -> Self {
        let file_bytes = settings.write_ahead_file_bytes;
        let spare = AtomicU64::new(stale.len() as u64);
        Self {
            disk: settings.disk.clone(),
            directory: layout.write_ahead(),
            file_bytes,
            files_max: (settings.write_ahead_bytes_max / file_bytes).max(2),
            spare_max: settings.checkpoint_bytes / file_bytes + SPARE_EXTRA,
            state: Mutex::new(State {
                randomness: settings.randomness,
                ready: VecDeque::new(),
                current: None,
                filled: VecDeque::new(),
                stale: stale.into(),
                next_number,
                next_slot,
                checkpointed: 0,
            }),
            in_use: AtomicU64::new(0),
            spare,
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Bytes of files whose frames a recovery needs.
    pub fn bytes_in_use(&self) -> u64 {
        self.in_use.load(Ordering::Relaxed) * self.file_bytes
    }

    /// Whether the next frame's file is there already.
    pub fn has_spare(&self) -> bool {
        self.spare.load(Ordering::Relaxed) > 0
    }

    fn count(&self, state: &State) {
        let files = state.filled.len() as u64 + u64::from(state.current.is_some());
        self.in_use.store(files, Ordering::Relaxed);
        let spare = state.ready.len() + state.stale.len();
        self.spare.store(spare as u64, Ordering::Relaxed);
    }

    /// Size of each file.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Retires the file in use, whose newest frame is `last_sequence`, and gives the next.
    pub fn roll(&self, current: Option<&EpochFile>, last_sequence: u64) -> Result<EpochFile, Unavailable> {
        if self.bytes_in_use() >= self.files_max * self.file_bytes {
            return Err(Unavailable::Full);
        }
        let mut state = self.state();
        // Under one lock: the flusher may give spare files back at any moment.
        let next = match state.ready.pop_front() {
            Some(ready) => ready,
            None => self.make(&mut state).map_err(Unavailable::Failed)?,
        };
        if let Some(current) = current {
            state
                .filled
                .push_back((current.file.clone(), current.epoch.number, last_sequence));
        }
        state.current = Some(next.epoch.number);
        self.count(&state);
        Ok(next)
    }

    /// Sees to it that a file is ready. The flusher does so ahead of need.
    pub fn prepare(&self) -> Outcome<()> {
        // The lock is held throughout: a commit that needs a file has to wait for one either way.
        let mut state = self.state();
        if state.ready.is_empty() {
            let ready = self.make(&mut state)?;
            state.ready.push_back(ready);
            self.count(&state);
        }
        Ok(())
    }

    /// A file with a new epoch: a stale one if there is one, else another.
    fn make(&self, state: &mut State) -> Outcome<EpochFile> {
        let header = EpochHeader {
            epoch: Epoch {
                number: state.next_number,
                salt: state.randomness.draw(),
            },
            checkpointed: state.checkpointed,
        };
        let file = match self.whole_stale(state)? {
            Some(file) => {
                file.write_all_at(&header.encode(), 0)?;
                file.sync_data().map_err(Failure::of_nothing_acknowledged)?;
                state.stale.pop_front();
                file
            }
            None => {
                let file = self.create(state.next_slot, header)?;
                state.next_slot += 1;
                file
            }
        };
        state.next_number += 1;
        Ok(EpochFile {
            file,
            epoch: header.epoch,
        })
    }

    /// The first stale file that has its size; shorter ones, which a crash during their making left, are removed.
    fn whole_stale(&self, state: &mut State) -> Outcome<Option<File>> {
        while let Some(file) = state.stale.front() {
            if file.size()? == self.file_bytes {
                return Ok(Some(file.clone()));
            }
            self.disk.remove(file.path())?;
            state.stale.pop_front();
        }
        Ok(None)
    }

    fn create(&self, slot: u64, header: EpochHeader) -> Outcome<File> {
        let path = self.directory.join(format!("{slot:06}.frames"));
        let file = self.disk.create(&path)?;
        let filled = file
            .preallocate(self.file_bytes)
            .and_then(|()| file.write_all_at(&header.encode(), 0))
            .and_then(|()| file.sync_all().map_err(Failure::of_nothing_acknowledged));
        if let Err(failure) = filled {
            // What was taken from a full volume is given back.
            self.disk.remove(&path)?;
            return Err(failure);
        }
        self.disk.sync_directory(&self.directory)?;
        Ok(file)
    }

    /// The number of the first file that a recovery needs once everything up to `sequence` is checkpointed.
    pub fn needed_from(&self, sequence: u64) -> u64 {
        let state = self.state();
        let filled = state.filled.iter().find(|(_, _, last)| *last > sequence);
        filled
            .map(|(_, number, _)| *number)
            .or(state.current)
            .unwrap_or(state.next_number - state.ready.len() as u64)
    }

    /// Removes a file that nothing needs, for its space; false if there is none.
    pub fn give_back(&self) -> bool {
        let mut state = self.state();
        let spare = state.stale.pop_front();
        let file = spare.or_else(|| state.ready.pop_back().map(|ready| ready.file));
        self.count(&state);
        // One that cannot be removed is found by the next start.
        file.is_some_and(|file| self.disk.remove(file.path()).inspect_err(warn_left).is_ok())
    }

    /// Lets the files go whose frames are all checkpointed, and removes those that are too many.
    pub fn recycle(&self, sequence: u64) {
        let mut state = self.state();
        state.checkpointed = sequence;
        while state.filled.front().is_some_and(|(_, _, last)| *last <= sequence) {
            let (file, _, _) = state.filled.pop_front().expect("there is a front");
            state.stale.push_back(file);
        }
        while state.stale.len() as u64 > self.spare_max {
            let file = state.stale.front().expect("it holds more than the spares");
            if self.disk.remove(file.path()).inspect_err(warn_left).is_err() {
                break;
            }
            state.stale.pop_front();
        }
        self.count(&state);
    }
}

fn warn_left(failure: &Failure) {
    tracing::warn!(%failure, "a write-ahead file that is too many stays");
}

/// The files of a directory in the order of their numbers, then those without a readable header.
pub struct Found {
    /// File and first page.
    pub epochs: Vec<(File, EpochHeader)>,
    /// No use of them ever held an acknowledged frame: a header is synced before the first frame, and rewritten only when
    /// all frames are checkpointed. (Or the header is damaged, which their frames' absence shows.)
    pub headerless: Vec<File>,
    /// A slot number that no file has.
    pub next_slot: u64,
}

/// Looks at all write-ahead files.
pub fn find(disk: &Disk, layout: &Layout) -> Outcome<Found> {
    let mut found = Found {
        epochs: Vec::new(),
        headerless: Vec::new(),
        next_slot: 0,
    };
    for name in disk.list(&layout.write_ahead())? {
        let Some(slot) = super::format::parse_numbered(&name, "frames") else {
            continue;
        };
        found.next_slot = found.next_slot.max(slot + 1);
        let file = disk.open(&layout.write_ahead().join(name))?;
        let mut page = vec![0; PAGE as usize];
        let len = file.read_at(&mut page, 0)?;
        match EpochHeader::decode(&page[..len]) {
            Some(header) => found.epochs.push((file, header)),
            None => found.headerless.push(file),
        }
    }
    found.epochs.sort_by_key(|(_, header)| header.epoch.number);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_page_has_these_bytes() {
        let header = EpochHeader {
            epoch: Epoch {
                number: 2,
                salt: 0xa1a2,
            },
            checkpointed: 9,
        };
        let bytes = header.encode();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            concat!(
                "544c414845414431",
                "0200000000000000",
                "a2a1000000000000",
                "0900000000000000",
                "75b91bb5"
            )
        );
        assert_eq!(EpochHeader::decode(&bytes), Some(header));
    }
}
