//! What everybody knows of a partition: its bounds, its tail in memory, its segments, its damage; and the registry of all
//! partitions. Files are written elsewhere.

use super::index::SparseIndex;
use crate::{AppendTime, Bounds, Damage, Error, Offset, PartitionId, SegmentInfo, StoredBatch, TopicId};
use bytes::Bytes;
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

/// Frames below this are shared with readers whatever part of them a batch is.
const LARGE_FRAME: usize = 1 << 20;

/// A batch below this share of a large frame is copied for its reader: at least seven eighths of what it would hold are
/// not its own.
const SMALL_BATCH_SHARE: usize = 8;

/// A partition's number within this process: an index into the commit's table. Never reused.
pub type Slot = u32;

/// One partition.
#[derive(Debug)]
pub struct Partition {
    /// Its identity.
    pub id: PartitionId,
    /// Its slot.
    pub slot: Slot,
    deleted: AtomicBool,
    state: Mutex<PartitionState>,
}

/// What changes about a partition.
#[derive(Clone, Debug, Default)]
pub struct PartitionState {
    /// First readable offset.
    pub start: Offset,
    /// Offset after the last durable record.
    pub high_water: Offset,
    /// Offset after the last record in a segment.
    pub flushed: Offset,
    /// Durable batches that are not in a segment yet, oldest first.
    pub tail: VecDeque<TailBatch>,
    /// Oldest first; the last may grow.
    pub segments: VecDeque<SegmentState>,
    /// Ranges in quarantine, in offset order.
    pub damage: Vec<Damage>,
}

/// A batch in memory, shared with the frame it was written in.
#[derive(Clone, Debug)]
pub struct TailBatch {
    /// First offset.
    pub base: Offset,
    /// Offset after the last.
    pub next: Offset,
    /// When it was appended.
    pub append_time: AppendTime,
    /// Its bytes.
    pub bytes: Bytes,
    /// Size of the frame that they share.
    pub frame_len: usize,
}

/// What is known of a segment without looking at its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentState {
    /// First offset.
    pub base: Offset,
    /// Offset after the last.
    pub next: Offset,
    /// Bytes of it that count.
    pub bytes: u64,
    /// Append time of its newest record.
    pub newest: AppendTime,
    /// Whether it is closed: its index is on disk then.
    pub sealed: bool,
    /// Index of the growing segment, as far as this process wrote it.
    pub sparse: SparseIndex,
}

impl Partition {
    /// A partition in this state.
    pub fn new(id: PartitionId, slot: Slot, state: PartitionState) -> Self {
        Self {
            id,
            slot,
            deleted: AtomicBool::new(false),
            state: Mutex::new(state),
        }
    }

    /// Its state. The lock is held for lines only, never over I/O.
    pub fn state(&self) -> MutexGuard<'_, PartitionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything; from here on nothing is added.
    fn delete(&self) {
        let mut state = self.state();
        self.deleted.store(true, Ordering::Release);
        state.tail.clear();
        state.segments.clear();
        state.damage.clear();
    }

    /// Whether its topic was deleted. It changes under the lock of the state.
    pub fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }
}

impl PartitionState {
    /// Its bounds.
    pub fn bounds(&self) -> Bounds {
        Bounds {
            start: self.start,
            high_water: self.high_water,
        }
    }

    /// The tail's batches from the one that holds `from`, as a reader gets them; `None` when the tail begins later.
    pub fn read_tail(&self, from: Offset, max_bytes: usize) -> Option<Vec<StoredBatch>> {
        if self.tail.front()?.base > from {
            return None;
        }
        let first = self.tail.partition_point(|batch| batch.next <= from);
        let mut size = 0;
        let batches = self.tail.range(first..).take_while(|batch| {
            let fits = size == 0 || size + batch.bytes.len() <= max_bytes;
            size += batch.bytes.len();
            fits
        });
        Some(batches.map(TailBatch::stored).collect())
    }

    /// The segment to read `from` in: the one that holds it, or the next one behind a gap.
    pub fn segment_for(&self, from: Offset) -> Option<&SegmentState> {
        self.segments
            .get(self.segments.partition_point(|segment| segment.next <= from))
    }

    /// The quarantine that holds this offset.
    pub fn damage_at(&self, offset: Offset) -> Option<&Damage> {
        self.damage
            .iter()
            .find(|damage| (damage.from..damage.to).contains(&offset))
    }

    /// Puts a range into quarantine, once.
    pub fn add_damage(&mut self, damage: Damage) {
        if self
            .damage
            .iter()
            .all(|known| known.from > damage.from || known.to < damage.to)
        {
            self.damage
                .retain(|known| known.from < damage.from || known.to > damage.to);
            let at = self.damage.partition_point(|known| known.from < damage.from);
            self.damage.insert(at, damage);
        }
    }

    /// What can be trimmed, oldest first; what is in memory only counts as an active stretch.
    pub fn segment_infos(&self) -> Vec<SegmentInfo> {
        let last = self.segments.len();
        let stored = (1..)
            .zip(&self.segments)
            .filter(|(_, segment)| segment.next > self.start);
        let mut infos: Vec<_> = stored
            .map(|(place, segment)| SegmentInfo {
                base: segment.base,
                next: segment.next,
                bytes: segment.bytes,
                newest: segment.newest,
                active: place == last && !segment.sealed,
            })
            .collect();
        if let Some(tail) = self.tail_info() {
            match infos.last_mut().filter(|last| last.active) {
                // It is where the tail goes.
                Some(last) => {
                    last.next = tail.next;
                    last.bytes += tail.bytes;
                    last.newest = tail.newest;
                }
                None => infos.push(tail),
            }
        }
        infos
    }

    fn tail_info(&self) -> Option<SegmentInfo> {
        let newest = self.tail.back()?;
        (newest.next > self.start).then(|| SegmentInfo {
            base: self.tail.front().map_or(newest.base, |oldest| oldest.base),
            next: newest.next,
            bytes: self.tail.iter().map(|batch| batch.bytes.len() as u64).sum(),
            newest: newest.append_time,
            active: true,
        })
    }
}

impl TailBatch {
    fn stored(&self) -> StoredBatch {
        StoredBatch {
            append_time: self.append_time,
            bytes: self.to_hand_out(),
        }
    }

    /// A reader may keep a batch for long: what is small in a large frame is copied, lest it hold all of it.
    fn to_hand_out(&self) -> Bytes {
        if self.frame_len >= LARGE_FRAME && self.bytes.len() < self.frame_len / SMALL_BATCH_SHARE {
            Bytes::copy_from_slice(&self.bytes)
        } else {
            self.bytes.clone()
        }
    }
}

/// All partitions of the node.
#[derive(Debug, Default)]
pub struct Registry {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    by_id: HashMap<PartitionId, Arc<Partition>>,
    by_slot: Vec<Option<Arc<Partition>>>,
    deletions: u64,
}

impl Registry {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The partition, if it exists.
    pub fn get(&self, id: PartitionId) -> Result<Arc<Partition>, Error> {
        self.read().by_id.get(&id).cloned().ok_or(Error::UnknownPartition(id))
    }

    /// The partition in a slot, unless its topic was deleted.
    pub fn by_slot(&self, slot: Slot) -> Option<Arc<Partition>> {
        self.read().by_slot.get(slot as usize)?.clone()
    }

    /// The slots of these partitions, in order; the first unknown one as the error.
    pub fn resolve(&self, ids: impl Iterator<Item = PartitionId>, mut each: impl FnMut(Slot)) -> Result<(), Error> {
        let inner = self.read();
        for id in ids {
            each(inner.by_id.get(&id).ok_or(Error::UnknownPartition(id))?.slot);
        }
        Ok(())
    }

    /// All partitions, in the order of their ids.
    pub fn all(&self) -> Vec<Arc<Partition>> {
        let mut all: Vec<_> = self.read().by_id.values().cloned().collect();
        all.sort_unstable_by_key(|partition| partition.id);
        all
    }

    /// Adds partitions that do not exist yet, all or none within `max` on the node.
    pub fn add(&self, topic: TopicId, partitions: u32, max: usize) -> Result<(), Error> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let missing: Vec<_> = (0..partitions)
            .take(max + 1)
            .map(|index| PartitionId { topic, index })
            .filter(|id| !inner.by_id.contains_key(id))
            .collect();
        if inner.by_id.len() + missing.len() > max {
            return Err(Error::TooManyPartitions { max });
        }
        for id in missing {
            inner.insert(id, PartitionState::default());
        }
        Ok(())
    }

    /// Adds one partition that a recovery found.
    pub fn restore(&self, id: PartitionId, state: PartitionState) {
        self.inner
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, state);
    }

    /// How many topics were forgotten so far.
    pub fn deletions(&self) -> u64 {
        self.read().deletions
    }

    /// Forgets a topic; gives the slots of what it had.
    pub fn remove(&self, topic: TopicId) -> Vec<Slot> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<_> = inner
            .by_id
            .values()
            .filter(|partition| partition.id.topic == topic)
            .cloned()
            .collect();
        inner.deletions += 1;
        for partition in &gone {
            partition.delete();
            inner.by_id.remove(&partition.id);
            inner.by_slot[partition.slot as usize] = None;
        }
        gone.iter().map(|partition| partition.slot).collect()
    }
}

impl Inner {
    fn insert(&mut self, id: PartitionId, state: PartitionState) {
        let slot = Slot::try_from(self.by_slot.len()).expect("fewer than 2^32 partitions are made in one process");
        let partition = Arc::new(Partition::new(id, slot, state));
        self.by_slot.push(Some(partition.clone()));
        self.by_id.insert(id, partition);
    }
}

impl PartitionState {
    /// Puts marks in front of those that the growing segment has, if it is still the same.
    pub fn complete_index(&mut self, base: Offset, front: SparseIndex) {
        if let Some(segment) = self
            .segments
            .back_mut()
            .filter(|segment| segment.base == base && !segment.sealed)
        {
            segment.sparse.put_in_front(front);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_shares_the_frame_unless_its_batch_is_a_small_part_of_a_large_one() {
        let frame = Bytes::from(vec![7; LARGE_FRAME]);
        let shares = |len: usize, frame_len: usize| {
            let batch = TailBatch {
                base: 0,
                next: 1,
                append_time: 0,
                bytes: frame.slice(..len),
                frame_len,
            };
            batch.stored().bytes.as_ptr() == frame.as_ptr()
        };
        assert!(shares(100, LARGE_FRAME - 1));
        assert!(shares(LARGE_FRAME / SMALL_BATCH_SHARE, LARGE_FRAME));
        assert!(!shares(100, LARGE_FRAME));
    }
}
