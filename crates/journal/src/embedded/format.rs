//! What all our own file formats share: little-endian fields behind a magic number, sealed by a CRC-32C; the directory's
//! layout, its format version and its lock.
//!
//! ```text
//! format                                   this module
//! lock                                     held while a process uses the directory
//! checkpoint                               checkpoint.rs
//! write-ahead/{slot}.frames                write_ahead.rs, frame.rs
//! topics/{bus}-{topic}/{partition}/{base}.segment, .index    segment.rs, index.rs
//! identities/{number}.run                  identities.rs
//! ```

use super::disk::{Disk, File};
use crate::{Error, PartitionId, TopicId};
use std::path::{Path, PathBuf};

/// The version of the whole directory that this program writes. Persisted, keep stable.
pub const FORMAT_VERSION: u32 = 1;

/// Frames and their search are aligned to this.
pub const PAGE: u64 = 4096;

const FORMAT_MAGIC: &[u8; 8] = b"TLJOURNL";

/// The paths inside a data directory.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout below `root`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.into() }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The format file.
    pub fn format(&self) -> PathBuf {
        self.root.join("format")
    }

    /// The lock file.
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// The checkpoint.
    pub fn checkpoint(&self) -> PathBuf {
        self.root.join("checkpoint")
    }

    /// The directory of the write-ahead files.
    pub fn write_ahead(&self) -> PathBuf {
        self.root.join("write-ahead")
    }

    /// The directory of the identity runs.
    pub fn identities(&self) -> PathBuf {
        self.root.join("identities")
    }

    /// One identity run.
    pub fn run(&self, number: u64) -> PathBuf {
        self.identities().join(format!("{number:020}.run"))
    }

    /// The directory of all topics.
    pub fn topics(&self) -> PathBuf {
        self.root.join("topics")
    }

    /// One topic's directory.
    pub fn topic(&self, topic: TopicId) -> PathBuf {
        self.topics().join(format!("{}-{}", topic.bus, topic.topic))
    }

    /// One partition's directory.
    pub fn partition(&self, partition: PartitionId) -> PathBuf {
        self.topic(partition.topic).join(partition.index.to_string())
    }

    /// One segment.
    pub fn segment(&self, partition: PartitionId, base: u64) -> PathBuf {
        self.partition(partition).join(format!("{base:020}.segment"))
    }

    /// One segment's sparse index.
    pub fn index(&self, partition: PartitionId, base: u64) -> PathBuf {
        self.partition(partition).join(format!("{base:020}.index"))
    }
}

/// A topic from its directory's name.
pub fn parse_topic(name: &str) -> Option<TopicId> {
    let (bus, topic) = name.split_once('-')?;
    Some(TopicId {
        bus: bus.parse().ok()?,
        topic: topic.parse().ok()?,
    })
}

/// The number that a file's name begins with, when it has this extension.
pub fn parse_numbered(name: &str, extension: &str) -> Option<u64> {
    name.strip_suffix(extension)?.strip_suffix('.')?.parse().ok()
}

/// The format file: `TLJOURNL`, version u32, CRC-32C of both.
pub fn encode_format(version: u32) -> Vec<u8> {
    let mut bytes = FORMAT_MAGIC.to_vec();
    bytes.put_u32(version);
    bytes.seal();
    bytes
}

/// The version in a format file; `None` if it is damaged.
pub fn decode_format(bytes: &[u8]) -> Option<u32> {
    let mut fields = Fields::new(unseal(bytes)?);
    (fields.take(8)? == FORMAT_MAGIC).then_some(())?;
    let version = fields.u32()?;
    fields.is_empty().then_some(version)
}

/// Makes the directory when missing, takes its lock, and checks its version. The lock is held as long as the file lives.
pub fn claim(disk: &Disk, layout: &Layout) -> Result<File, Error> {
    disk.create_directory(layout.root())?;
    if let Some(parent) = layout.root().parent().filter(|parent| !parent.as_os_str().is_empty()) {
        disk.sync_directory(parent)?;
    }
    let directory = || layout.root().display().to_string();
    let lock = disk
        .lock(&layout.lock())?
        .ok_or_else(|| Error::Locked { directory: directory() })?;
    check_version(disk, layout)?;
    for inner in [layout.write_ahead(), layout.topics(), layout.identities()] {
        disk.create_directory(&inner)?;
    }
    disk.sync_directory(layout.root())?;
    Ok(lock)
}

/// A directory without a format file is a new one, or one whose file was lost: every other file carries its own version.
fn check_version(disk: &Disk, layout: &Layout) -> Result<(), Error> {
    match disk.read(&layout.format()) {
        Ok(bytes) => match decode_format(&bytes) {
            Some(FORMAT_VERSION) => Ok(()),
            Some(found) => Err(Error::UnknownFormat {
                directory: layout.root().display().to_string(),
                found,
                known: FORMAT_VERSION,
            }),
            None => Err(Error::Corrupt {
                file: layout.format().display().to_string(),
                position: 0,
                reason: "its checksum does not hold".into(),
            }),
        },
        Err(failure) if failure.is_not_found() => Ok(disk.replace(&layout.format(), &encode_format(FORMAT_VERSION))?),
        Err(failure) => Err(failure.into()),
    }
}

/// Appending fields.
pub trait PutFields {
    /// Appends a u32.
    fn put_u32(&mut self, value: u32);
    /// Appends a u64.
    fn put_u64(&mut self, value: u64);
    /// Appends an i64.
    fn put_i64(&mut self, value: i64);
    /// Appends a u128.
    fn put_u128(&mut self, value: u128);
    /// Appends a partition: bus, topic, index.
    fn put_partition(&mut self, partition: PartitionId);
    /// Appends the CRC-32C of all before.
    fn seal(&mut self);
}

impl PutFields for Vec<u8> {
    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_i64(&mut self, value: i64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_u128(&mut self, value: u128) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_partition(&mut self, partition: PartitionId) {
        self.put_u32(partition.topic.bus);
        self.put_u32(partition.topic.topic);
        self.put_u32(partition.index);
    }

    fn seal(&mut self) {
        self.put_u32(crc32c::crc32c(self));
    }
}

/// The bytes before a trailing CRC-32C, if it holds.
pub fn unseal(bytes: &[u8]) -> Option<&[u8]> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    (crc32c::crc32c(body) == u32::from_le_bytes(*crc)).then_some(body)
}

/// Reads fields one after the other; `None` past the end.
#[derive(Clone, Debug)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Reads from the front of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    /// The next u32.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next u64.
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// The next i64.
    pub fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    /// The next u128.
    pub fn u128(&mut self) -> Option<u128> {
        self.array().map(u128::from_le_bytes)
    }

    /// The next partition.
    pub fn partition(&mut self) -> Option<PartitionId> {
        let topic = TopicId {
            bus: self.u32()?,
            topic: self.u32()?,
        };
        Some(PartitionId {
            topic,
            index: self.u32()?,
        })
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.0.len()
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
