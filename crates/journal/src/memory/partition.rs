//! One partition in memory: its durable batches, cut into segments by count. Pure: no clock, no locks.

use crate::{
    AppendTime, Bounds, Chunk, Damage, Error, Offset, PartitionId, SegmentInfo, StoredBatch,
    batch::{BatchHeader, Records},
};
use std::collections::VecDeque;

/// Batches after which a segment is sealed: few, so that tests see several.
const SEGMENT_BATCHES: usize = 4;

/// A partition's records and what was accepted for it.
#[derive(Debug)]
pub(super) struct Partition {
    id: PartitionId,
    start: Offset,
    high_water: Offset,
    /// What the next accepted record gets.
    accepted: Offset,
    segments: VecDeque<Segment>,
    damage: Vec<Damage>,
}

#[derive(Debug)]
struct Segment {
    batches: Vec<Batch>,
}

#[derive(Debug)]
struct Batch {
    base: Offset,
    next: Offset,
    stored: StoredBatch,
}

impl Partition {
    pub(super) fn new(id: PartitionId) -> Self {
        Self {
            id,
            start: 0,
            high_water: 0,
            accepted: 0,
            segments: VecDeque::new(),
            damage: Vec::new(),
        }
    }

    /// Assigns the next offset.
    pub(super) fn accept(&mut self) -> Offset {
        let offset = self.accepted;
        self.accepted += 1;
        offset
    }

    /// The offset that [`accept`](Self::accept) would assign.
    pub(super) fn accepted(&self) -> Offset {
        self.accepted
    }

    /// Forgets what was accepted and never became durable.
    pub(super) fn forget_accepted(&mut self) {
        self.accepted = self.high_water;
    }

    /// Makes a batch durable and visible.
    pub(super) fn push(&mut self, stored: StoredBatch) {
        let header = BatchHeader::verify(&stored.bytes).expect("it was sealed here");
        assert!(header.base_offset >= self.high_water, "offsets increase");
        self.high_water = header.next_offset();
        if self.segments.back().is_none_or(Segment::is_full) {
            self.segments.push_back(Segment { batches: Vec::new() });
        }
        let active = self.segments.back_mut().expect("one was just made sure of");
        active.batches.push(Batch {
            base: header.base_offset,
            next: self.high_water,
            stored,
        });
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            start: self.start,
            high_water: self.high_water,
        }
    }

    pub(super) fn read(&self, from: Offset, max_bytes: usize) -> Result<Chunk, Error> {
        if from < self.start || from > self.high_water {
            return Err(Error::OutOfRange {
                asked: from,
                start: self.start,
                high_water: self.high_water,
            });
        }
        let mut chunk = Chunk {
            batches: Vec::new(),
            next: from,
            start: self.start,
            high_water: self.high_water,
        };
        let mut size = 0;
        for batch in self.batches().filter(|batch| batch.next > from) {
            if let Some(damage) = self.damage_of(batch) {
                if chunk.batches.is_empty() {
                    return Err(Error::Damaged(damage.clone()));
                }
                break;
            }
            size += batch.stored.bytes.len();
            if !chunk.batches.is_empty() && size > max_bytes {
                break;
            }
            chunk.next = batch.next;
            chunk.batches.push(batch.stored.clone());
        }
        Ok(chunk)
    }

    /// Whether a record can be read there.
    pub(super) fn is_readable(&self, offset: Offset) -> bool {
        let damaged = self
            .damage
            .iter()
            .any(|damage| damage.from <= offset && offset < damage.to);
        (self.start..self.high_water).contains(&offset) && !damaged
    }

    pub(super) fn offset_at(&self, time: AppendTime) -> Offset {
        self.batches()
            .find(|batch| batch.next > self.start && batch.stored.append_time >= time)
            .map_or(self.high_water, |batch| batch.base.max(self.start))
    }

    pub(super) fn segments(&self) -> Vec<SegmentInfo> {
        let last = self.segments.len().saturating_sub(1);
        let infos = self.segments.iter().enumerate();
        infos
            .map(|(at, segment)| segment.info(at == last && !segment.is_full()))
            .collect()
    }

    /// Removes whole segments below `start`, which is held within the bounds.
    pub(super) fn trim(&mut self, start: Offset) {
        self.start = start.clamp(self.start, self.high_water);
        while self
            .segments
            .front()
            .is_some_and(|segment| segment.next() <= self.start)
        {
            self.segments.pop_front();
        }
        self.damage.retain(|damage| damage.to > self.start);
    }

    /// Damages the batches that hold `from` to `to`; `None` when there is none.
    pub(super) fn damage(&mut self, from: Offset, to: Offset, reason: String) -> Option<Damage> {
        let mut hit = self
            .batches()
            .filter(|batch| batch.next > from && batch.base < to)
            .peekable();
        let damage = Damage {
            partition: self.id,
            from: hit.peek()?.base,
            to: hit.last()?.next,
            reason,
        };
        self.damage.push(damage.clone());
        Some(damage)
    }

    pub(super) fn damaged(&self) -> &[Damage] {
        &self.damage
    }

    fn damage_of(&self, batch: &Batch) -> Option<&Damage> {
        self.damage
            .iter()
            .find(|damage| damage.from < batch.next && batch.base < damage.to)
    }

    fn batches(&self) -> impl Iterator<Item = &Batch> {
        self.segments.iter().flat_map(|segment| &segment.batches)
    }
}

impl Segment {
    fn is_full(&self) -> bool {
        self.batches.len() >= SEGMENT_BATCHES
    }

    fn next(&self) -> Offset {
        self.batches.last().map_or(0, |batch| batch.next)
    }

    fn info(&self, active: bool) -> SegmentInfo {
        SegmentInfo {
            base: self.batches.first().map_or(0, |batch| batch.base),
            next: self.next(),
            bytes: self.batches.iter().map(|batch| batch.stored.bytes.len() as u64).sum(),
            newest: self.batches.last().map_or(0, |batch| batch.stored.append_time),
            active,
        }
    }
}

/// The number of records in a batch that was sealed here.
pub(super) fn record_count(stored: &StoredBatch) -> u64 {
    Records::new(&stored.bytes).count() as u64
}
