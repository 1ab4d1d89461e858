//! Partitions without a checkpoint: every segment is walked, and every good batch counts.

use super::{Restored, damage, topic_directories};
use crate::{
    AppendTime, Error, Offset, PartitionId, TopicId,
    batch::BatchHeader,
    embedded::{
        disk::{Disk, Outcome},
        format::{self, Layout},
        index::SparseIndex,
        partition::{PartitionState, SegmentState},
        replay,
        segment::{self, FRONT_LEN, Walk, WalkError},
        write_ahead::Found,
    },
};
use std::collections::{BTreeMap, HashMap};

/// Partitions from their segments alone, cut where the remaining frames begin.
pub(super) fn rebuild(
    disk: &Disk,
    layout: &Layout,
    found: &Found,
    begin: Option<u64>,
    known: &HashMap<TopicId, u32>,
) -> Result<Restored, Error> {
    let first = first_offsets(found, begin)?;
    let mut restored = Restored::default();
    for (topic, directory) in topic_directories(disk, layout)? {
        if !known.contains_key(&topic) {
            continue;
        }
        for index in disk.list(&directory)?.iter().filter_map(|name| name.parse().ok()) {
            let id = PartitionId { topic, index };
            let state = rebuild_partition(disk, layout, id, first.get(&id).copied())?;
            let newest = state.segments.iter().map(|segment| segment.newest).max();
            restored.append_time = restored.append_time.max(newest.unwrap_or(0));
            restored.partitions.push((id, state));
        }
    }
    Ok(restored)
}

/// The first offset of every partition in the frames.
fn first_offsets(found: &Found, begin: Option<u64>) -> Result<BTreeMap<PartitionId, Offset>, Error> {
    let mut first = BTreeMap::new();
    replay::frames(found, begin, 0, |frame| {
        for batch in &frame.batches {
            if let Ok(header) = BatchHeader::parse(&frame.bytes[batch.bytes.clone()]) {
                first.entry(batch.partition).or_insert(header.base_offset);
            }
        }
        Ok(())
    })?;
    Ok(first)
}

/// Every batch that is good counts, whatever is damaged around it. A file is cut in one case only: where it stops being good
/// at an offset from which on the frames hold everything, they are what counts.
fn rebuild_partition(disk: &Disk, layout: &Layout, id: PartitionId, cut: Option<Offset>) -> Outcome<PartitionState> {
    let names = disk.list(&layout.partition(id))?;
    let bases = names.iter().filter_map(|name| format::parse_numbered(name, "segment"));
    let mut bases = bases.peekable();
    let mut state = PartitionState::default();
    while let Some(base) = bases.next() {
        let next_base = bases.peek().copied();
        let Surveyed { mut segment, ends } = survey_segment(disk, layout, id, (base, next_base), cut)?;
        if ends == Ends::InFrames {
            state.segments.push_back(segment);
            bases.try_for_each(|base| remove_segment(disk, layout, id, base))?;
            break;
        }
        if ends == Ends::Damaged || next_base.is_some() {
            // What comes goes into another segment.
            segment.sealed = true;
            segment.sparse = SparseIndex::default();
        }
        if let Some(next_base) = next_base.filter(|next_base| segment.next < *next_base) {
            let lost = (segment.next, next_base);
            state.add_damage(damage(layout, id, lost, "no good batch behind this offset"));
            segment.next = next_base;
        }
        state.segments.push_back(segment);
    }
    state.start = state.segments.front().map_or(cut.unwrap_or(0), |segment| segment.base);
    let next = state.segments.back().map_or(state.start, |segment| segment.next);
    if let Some(cut) = cut.filter(|cut| *cut > next) {
        state.add_damage(damage(layout, id, (next, cut), "no good batch from this offset on"));
    }
    state.flushed = next;
    state.high_water = next;
    Ok(state)
}

fn remove_segment(disk: &Disk, layout: &Layout, id: PartitionId, base: Offset) -> Outcome<()> {
    disk.remove(&layout.segment(id, base))?;
    disk.remove(&layout.index(id, base))
}

/// A segment as it was found without a checkpoint.
struct Surveyed {
    segment: SegmentState,
    ends: Ends,
}

/// How a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// With a good batch.
    Good,
    /// With something that is not one.
    Damaged,
    /// It was cut where it stops being good: frames hold all from there on.
    InFrames,
}

/// Walks a segment, past damage, to its last good batch.
fn survey_segment(
    disk: &Disk,
    layout: &Layout,
    id: PartitionId,
    (base, next_base): (Offset, Option<Offset>),
    cut: Option<Offset>,
) -> Outcome<Surveyed> {
    let mut segment = SegmentState {
        base,
        next: base,
        bytes: FRONT_LEN,
        newest: AppendTime::MIN,
        sealed: false,
        sparse: SparseIndex::default(),
    };
    let file = match disk.open(&layout.segment(id, base)) {
        Err(failure) if failure.is_unreadable() => {
            tracing::error!(%failure, "a segment cannot be opened; what it holds is lost");
            let ends = Ends::Damaged;
            return Ok(Surveyed { segment, ends });
        }
        opened => opened?,
    };
    let len = file.size()?;
    let in_frames = |from: Offset| cut.is_some_and(|cut| cut <= from);
    let mut walk = Walk::from_front(&file, base, len);
    let mut stopped = false;
    loop {
        match walk.next() {
            Ok(Some(entry)) => {
                segment.sparse.add(entry.mark());
                segment.next = entry.header.next_offset();
                segment.bytes = entry.end();
                segment.newest = segment.newest.max(entry.batch.append_time);
            }
            Ok(None) => break,
            Err(WalkError::Damaged { .. }) if in_frames(segment.next) => {
                stopped = true;
                break;
            }
            Err(WalkError::Damaged { .. }) => walk.resume()?,
            Err(WalkError::Failed(failure)) => return Err(failure),
        }
    }
    stopped |= next_base.is_some_and(|next_base| segment.next < next_base && in_frames(segment.next));
    let ends = match (stopped, len > segment.bytes) {
        (true, _) => Ends::InFrames,
        (false, true) => Ends::Damaged,
        (false, false) => Ends::Good,
    };
    if ends == Ends::InFrames {
        file.set_len(segment.bytes)?;
    }
    if len < FRONT_LEN {
        file.write_all_at(&segment::encode_front(id, base), 0)?;
    }
    file.sync_all()?;
    Ok(Surveyed { segment, ends })
}
