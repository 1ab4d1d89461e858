//! What an operator or a test may choose about the embedded engine: plain data with defaults, and every limit with its
//! reason.

use super::{clock::Clock, disk::Disk};
use crate::{Error, Identify};
use std::{path::PathBuf, time::Duration};

const MIB: u64 = 1 << 20;

/// Partitions on one node. Beyond it a checkpoint's many small syncs would take seconds (ADR 1).
pub const PARTITIONS_MAX: usize = 2_000;

/// Growing segments that are kept open however few files the process may open: a quarter of the least that any system
/// gives.
const OPEN_SEGMENTS_MIN: usize = 64;

/// Encoded records of one request: it has to lie in one frame.
pub const REQUEST_BYTES_MAX: usize = 64 << 20;

/// A group closes here, or at the request that crosses it: more per sync buys no throughput and costs latency.
pub const GROUP_BYTES: usize = 8 << 20;

/// While a group is on its way to the disk the next one is assembled once so much waits. Less is soon assembled, and what
/// arrives meanwhile shares its sync.
const AHEAD_BYTES: usize = 128 << 10;

/// A batch closes here: what a Kafka consumer fetches at least, and what a reader verifies at once.
pub const BATCH_BYTES: usize = 1 << 20;

/// What a record may take in a frame beside its own bytes: batch header, record prefix, span, mark of a copy.
pub const RECORD_OVERHEAD: usize = 128;

/// The largest frame: a group that one byte fails to close, and the largest request. With its header, on whole pages.
pub const FRAME_BYTES_MAX: u64 = (GROUP_BYTES + REQUEST_BYTES_MAX + 64 * 1024) as u64;

/// Everything that [`Embedded::open`](super::Embedded::open) needs to know. [`Settings::new`] gives the defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the data lives; made when missing.
    pub directory: PathBuf,
    /// How a stored record's identity is computed when indexes are rebuilt.
    pub identify: Identify,
    /// Where time comes from.
    pub clock: Clock,
    /// Where files are kept.
    pub disk: Disk,
    /// Where salts come from.
    pub randomness: Randomness,
    /// Size of one write-ahead file. Default 80 MiB, which holds the largest frame.
    pub write_ahead_file_bytes: u64,
    /// Cap of the write-ahead set; past it publishing is told to wait. Default 1 GiB.
    pub write_ahead_bytes_max: u64,
    /// Frames' bytes after which a checkpoint is taken. Default 256 MiB.
    pub checkpoint_bytes: u64,
    /// Unflushed bytes at which the flusher starts. Default 8 MiB.
    pub flush_bytes: u64,
    /// What the flusher leaves in memory for readers at the tail. Default 4 MiB.
    pub tail_bytes: u64,
    /// Unflushed bytes at which the commit waits for the flusher. Default 64 MiB.
    pub unflushed_bytes_max: u64,
    /// A segment is closed at this size. Default 64 MiB.
    pub segment_bytes: u64,
    /// A segment is closed before the first record of another such period, counted from the epoch: else one that hardly grows
    /// keeps its oldest record as long as its newest. Default 1 day.
    pub segment_period: Duration,
    /// Growing segments that are kept open. Default: a quarter of the files that the process may have open, 64 at least;
    /// with fewer than there are partitions, one that is put away is synced first, which costs throughput. As many closed
    /// ones may wait for their sync.
    pub open_segments_max: usize,
    /// Encoded bytes that may wait for the commit; one request always may. Default 64 MiB.
    pub queue_bytes_max: usize,
    /// Requests that may wait for the commit. Default 16,384.
    pub queue_count_max: usize,
    /// Encoded bytes for which a group is assembled while the one before it is on its way to the disk. Default 128 KiB.
    pub ahead_bytes: usize,
    /// How long a duplicate is recognised. Default 5 minutes, the least that is promised.
    pub deduplication_window: Duration,
    /// Identities in memory before the oldest move to the runs on disk. Default 1,048,576 (about 90 MiB).
    pub identities_max: usize,
    /// Identities in one run. Default 262,144 (14 MiB).
    pub run_identities: usize,
    /// Publishing stops when fewer than this many hundredths of the volume are free. Default 5.
    pub publish_mark_percent: u64,
    /// What a refused publisher is told to wait. Default 1 s.
    pub retry_after: Duration,
    /// Who drives the work.
    pub drive: Drive,
}

/// Who drives commit and flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drive {
    /// Threads of the engine's own; a caller that is alone commits by itself, on a runtime by `tokio::task::block_in_place`
    /// (which a `LocalSet` forbids).
    Threads,
    /// The caller, by [`Embedded::step`](super::Embedded::step): no thread is started. For simulations.
    Steps,
}

/// Where random numbers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Randomness {
    /// The operating system.
    System,
    /// A sequence that repeats.
    Seeded(u64),
}

impl Randomness {
    /// The next 64 random bits.
    pub fn draw(&mut self) -> u64 {
        match self {
            Self::System => {
                let random = ring::rand::generate::<[u8; 8]>(&ring::rand::SystemRandom::new());
                u64::from_le_bytes(random.expect("the system has random bytes").expose())
            }
            Self::Seeded(state) => {
                // splitmix64
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                mixed ^ (mixed >> 31)
            }
        }
    }
}

impl Settings {
    /// The defaults for a directory.
    pub fn new(directory: impl Into<PathBuf>, identify: Identify) -> Self {
        Self {
            directory: directory.into(),
            identify,
            clock: Clock::System,
            disk: Disk::Real,
            randomness: Randomness::System,
            write_ahead_file_bytes: 80 * MIB,
            write_ahead_bytes_max: 1024 * MIB,
            checkpoint_bytes: 256 * MIB,
            flush_bytes: 8 * MIB,
            tail_bytes: 4 * MIB,
            unflushed_bytes_max: 64 * MIB,
            segment_bytes: 64 * MIB,
            segment_period: Duration::from_secs(24 * 3_600),
            open_segments_max: open_segments_max(),
            queue_bytes_max: REQUEST_BYTES_MAX,
            queue_count_max: 16_384,
            ahead_bytes: AHEAD_BYTES,
            deduplication_window: Duration::from_secs(300),
            identities_max: 1 << 20,
            run_identities: 1 << 18,
            publish_mark_percent: 5,
            retry_after: Duration::from_secs(1),
            drive: Drive::Threads,
        }
    }

    /// What no journal can work with is refused.
    pub(super) fn check(&self) -> Result<(), Error> {
        let page = super::format::PAGE;
        let checks = [
            (
                self.write_ahead_file_bytes >= 4 * page && self.write_ahead_file_bytes.is_multiple_of(page),
                "write_ahead_file_bytes is not at least four whole pages",
            ),
            (
                self.write_ahead_bytes_max >= 2 * self.write_ahead_file_bytes,
                "write_ahead_bytes_max holds no two files",
            ),
            (
                self.tail_bytes <= self.unflushed_bytes_max,
                "tail_bytes is above unflushed_bytes_max",
            ),
            (
                self.flush_bytes <= self.unflushed_bytes_max,
                "flush_bytes is above unflushed_bytes_max",
            ),
            (
                self.segment_bytes > 0 && self.segment_period > Duration::ZERO,
                "segments have no size or time",
            ),
            (
                self.queue_count_max > 0 && self.run_identities > 0,
                "queue_count_max or run_identities is 0",
            ),
            (self.publish_mark_percent <= 100, "publish_mark_percent is above 100"),
        ];
        match checks.iter().find(|(holds, _)| !holds) {
            Some((_, what)) => Err(Error::Settings { what }),
            None => Ok(()),
        }
    }

    /// What one frame may take here: a test's small write-ahead files make small frames.
    pub(super) fn frame_bytes_max(&self) -> u64 {
        FRAME_BYTES_MAX.min(self.write_ahead_file_bytes - super::format::PAGE)
    }

    /// What one request may take here.
    pub(super) fn request_bytes_max(&self) -> usize {
        let half = usize::try_from(self.frame_bytes_max() / 2).expect("a frame fits memory");
        if self.frame_bytes_max() == FRAME_BYTES_MAX {
            REQUEST_BYTES_MAX
        } else {
            half
        }
    }

    /// Where a group closes here.
    pub(super) fn group_bytes(&self) -> usize {
        GROUP_BYTES.min(self.request_bytes_max() / 2)
    }
}

/// A quarter of what the process may have open: connections need the rest.
fn open_segments_max() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.map_or(PARTITIONS_MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    (limit / 4).clamp(OPEN_SEGMENTS_MIN, PARTITIONS_MAX)
}

const _: () = assert!(
    FRAME_BYTES_MAX + 4096 <= 80 * MIB,
    "a write-ahead file holds the largest frame"
);
