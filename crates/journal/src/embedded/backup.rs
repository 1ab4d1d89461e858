//! Holding still what a copy of the journal consists of, while everything goes on: a checkpoint, and the files that it
//! lists, none of which is removed until the hold is dropped. What is copied where is not known here.
//!
//! A checkpoint holds all records that were durable before it. Behind it, files only grow: the bytes that it counts never
//! change again. So a copy needs no frame of the write-ahead files, and a journal of the listed bytes alone opens.

use super::{
    Embedded,
    checkpoint::Checkpoint,
    format::{self, Layout},
    shared::Shared,
};
use crate::{AppendTime, Error, Offset, PartitionId};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

/// A moment of the journal; its files stay while this is alive.
#[derive(Debug)]
pub struct Held {
    /// The checkpoint's bytes: to be written last, so that a copy without it is known to be no copy.
    pub checkpoint: Vec<u8>,
    /// All frames up to it are in the copy.
    pub sequence: u64,
    /// No append time in it is above.
    pub append_time: AppendTime,
    /// What each partition holds.
    pub partitions: Vec<HeldPartition>,
    /// Every file beside the checkpoint, by its path below the journal's directory.
    pub files: Vec<HeldFile>,
    _hold: Hold,
}

/// What a partition holds at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldPartition {
    /// Which.
    pub id: PartitionId,
    /// First readable offset.
    pub start: Offset,
    /// Offset after the last record.
    pub next: Offset,
}

/// A file of that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldFile {
    /// Below the journal's directory.
    pub path: PathBuf,
    /// How many bytes of it count, from its beginning; absent: as many as it has.
    pub bytes: Option<u64>,
    /// Whether it never changes again. One that grows never changes in what counts now.
    pub is_final: bool,
    /// Whether the journal makes it anew when it is missing.
    pub is_derived: bool,
}

/// Keeps the flusher from removing files.
#[derive(Debug)]
struct Hold(Arc<Shared>);

impl Hold {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.holds.fetch_add(1, Ordering::SeqCst);
        Self(shared.clone())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.holds.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Embedded {
    /// Takes a checkpoint and holds what it lists. Everything that was durable before the call is in it.
    ///
    /// # Errors
    /// Those of a checkpoint: a full volume, a poisoned journal.
    pub async fn hold(&self) -> Result<Held, Error> {
        // First the hold: whatever a checkpoint from now on lists stays.
        let hold = Hold::new(&self.shared);
        self.checkpoint().await?;
        self.on_disk(move |shared| held(shared, hold)).await
    }
}

fn held(shared: &Shared, hold: Hold) -> Result<Held, Error> {
    let layout = &shared.layout;
    let path = layout.checkpoint();
    let bytes = shared.settings.disk.read(&path)?;
    let checkpoint = Checkpoint::decode(&bytes).ok_or_else(|| Error::Corrupt {
        file: path.display().to_string(),
        position: 0,
        reason: "the checkpoint that was written a moment ago does not verify".into(),
    })?;
    let partition = |partition: &super::checkpoint::CheckpointPartition| HeldPartition {
        id: partition.id,
        start: partition.start,
        next: partition.next,
    };
    Ok(Held {
        sequence: checkpoint.sequence,
        append_time: checkpoint.append_time,
        partitions: checkpoint.partitions.iter().map(partition).collect(),
        files: files(layout, &checkpoint),
        checkpoint: bytes,
        _hold: hold,
    })
}

/// The files of a checkpoint, in the order in which they are worth most.
fn files(layout: &Layout, checkpoint: &Checkpoint) -> Vec<HeldFile> {
    let below = |path: PathBuf| path.strip_prefix(layout.root()).map(Path::to_owned).unwrap_or(path);
    let mut files = vec![HeldFile {
        path: below(layout.format()),
        bytes: None,
        is_final: true,
        is_derived: true,
    }];
    for partition in &checkpoint.partitions {
        for segment in &partition.segments {
            files.push(HeldFile {
                path: below(layout.segment(partition.id, segment.base)),
                bytes: Some(segment.bytes),
                is_final: segment.sealed,
                is_derived: false,
            });
            if segment.sealed {
                files.push(derived(below(layout.index(partition.id, segment.base))));
            }
        }
    }
    files.extend(checkpoint.runs.iter().map(|run| derived(below(layout.run(*run)))));
    files
}

fn derived(path: PathBuf) -> HeldFile {
    HeldFile {
        path,
        bytes: None,
        is_final: true,
        is_derived: true,
    }
}

/// Where the checkpoint lies below the journal's directory.
pub fn checkpoint_path() -> PathBuf {
    Layout::new(Path::new("")).checkpoint()
}

/// The format version of the journal in a directory, by its file; `None` if the file is missing or damaged.
///
/// # Errors
/// What the disk says beside that there is none.
pub fn format_of(directory: &Path) -> Result<Option<u32>, Error> {
    match super::Disk::Real.read(&Layout::new(directory).format()) {
        Ok(bytes) => Ok(format::decode_format(&bytes)),
        Err(failure) if failure.is_not_found() => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}

/// The format version that this program writes, and the latest that it reads.
pub const FORMAT: u32 = format::FORMAT_VERSION;
