//! Reading: from the tail in memory, else from segments, every byte verified. What does not verify goes into quarantine.

use super::{
    disk::File,
    index::{INTERVAL, Mark, SparseIndex},
    partition::{Partition, SegmentState},
    run::{Identified, RunError},
    segment::{self, FRONT_LEN, Front, Walk, WalkError},
    shared::{Shared, lock},
};
use crate::{AppendTime, Bounds, Chunk, Damage, Error, Offset, PartitionId, Position, StoredBatch, batch::BatchHeader};
use std::{cmp::Reverse, collections::BTreeSet};

/// What a read needs of a segment; taken under the partition's lock.
#[derive(Clone, Copy, Debug)]
struct Place {
    base: Offset,
    next: Offset,
    bytes: u64,
    sealed: bool,
    /// Where to begin, if the index in memory says so.
    mark: Option<Mark>,
    /// How far back the index in memory goes.
    indexed_from: Option<u64>,
}

impl Place {
    fn new(segment: &SegmentState, mark: Option<Mark>) -> Self {
        Self {
            base: segment.base,
            next: segment.next,
            bytes: segment.bytes,
            sealed: segment.sealed,
            mark,
            indexed_from: segment.sparse.first_position(),
        }
    }
}

/// A read that is answered, or has to look at a file.
#[derive(Debug)]
pub enum Lookup<T> {
    /// Answered.
    Ready(T),
    /// See [`read_segment`].
    OnDisk,
}

/// Answers a read from memory if it can.
pub fn read_memory(partition: &Partition, from: Offset, max_bytes: usize) -> Result<Lookup<Chunk>, Error> {
    let state = partition.state();
    if partition.is_deleted() {
        return Err(Error::UnknownPartition(partition.id));
    }
    let Bounds { start, high_water } = state.bounds();
    if from < start || from > high_water {
        return Err(Error::OutOfRange {
            asked: from,
            start,
            high_water,
        });
    }
    if from == high_water {
        return Ok(Lookup::Ready(Chunk {
            batches: Vec::new(),
            next: from,
            start,
            high_water,
        }));
    }
    if let Some(damage) = state.damage_at(from) {
        return Err(Error::Damaged(damage.clone()));
    }
    let Some(batches) = state.read_tail(from, max_bytes) else {
        return Ok(Lookup::OnDisk);
    };
    drop(state);
    Ok(Lookup::Ready(chunk(batches, from, Bounds { start, high_water })))
}

fn chunk(batches: Vec<StoredBatch>, from: Offset, bounds: Bounds) -> Chunk {
    let last = batches.last().and_then(|last| BatchHeader::parse(&last.bytes).ok());
    Chunk {
        next: last.map_or(from, |header| header.next_offset()),
        batches,
        start: bounds.start,
        high_water: bounds.high_water,
    }
}

/// Reads where memory does not reach. Does I/O.
pub fn read(shared: &Shared, partition: &Partition, from: Offset, max_bytes: usize) -> Result<Chunk, Error> {
    loop {
        if let Lookup::Ready(chunk) = read_memory(partition, from, max_bytes)? {
            return Ok(chunk);
        }
        let (place, bounds) = {
            let state = partition.state();
            let segment = state.segment_for(from);
            let place = segment.map(|segment| Place::new(segment, segment.sparse.before_offset(from)));
            (place, state.bounds())
        };
        if from < bounds.start {
            // It was trimmed since memory was asked, which says so.
            continue;
        }
        let Some(place) = place else {
            if partition.is_deleted() {
                continue;
            }
            // Between the segments and the tail there is nothing, unless something is lost.
            let to = partition
                .state()
                .tail
                .front()
                .map_or(bounds.high_water, |batch| batch.base);
            return Err(quarantine(shared, partition, (from, to), "no segment holds this range"));
        };
        if let Some(batches) = read_segment(shared, partition, place, from, max_bytes)? {
            return Ok(chunk(batches, from, bounds));
        }
    }
}

/// The batches from `from` on; `None` if the segment is gone and the partition is to be looked at again.
fn read_segment(
    shared: &Shared,
    partition: &Partition,
    place: Place,
    from: Offset,
    max_bytes: usize,
) -> Result<Option<Vec<StoredBatch>>, Error> {
    let Some(file) = open_segment(shared, partition, place)? else {
        return Ok(None);
    };
    let begin = begin_at(
        shared,
        partition,
        place,
        &file,
        |index| index.before_offset(from),
        place.mark,
    )?;
    let (position, expected) = begin.map_or((FRONT_LEN, place.base), |mark| (mark.position, mark.offset));
    let ahead = max_bytes.clamp(INTERVAL as usize, 1 << 20) + INTERVAL as usize;
    let mut walk = Walk::new(&file, position, expected, place.bytes).reading(ahead);
    let mut batches = Vec::new();
    let mut size = 0;
    let mut good_to = expected;
    loop {
        let entry = match walk.next() {
            Ok(Some(entry)) => entry,
            Ok(None) => break,
            Err(WalkError::Damaged { .. }) if !batches.is_empty() => break,
            Err(WalkError::Damaged { position, reason }) => {
                let good = walk.next_good()?;
                let to = good.as_ref().map_or(place.next, |entry| entry.header.base_offset);
                let what = format!("{} at byte {position}: {reason}", file.path().display());
                let damaged = quarantine(shared, partition, (good_to, to), &what);
                // It may lie between the mark where the walk began and what was asked for.
                good.filter(|_| to <= from).ok_or(damaged)?
            }
            Err(WalkError::Failed(failure)) => return Err(failure.into()),
        };
        good_to = entry.header.next_offset();
        if good_to <= from {
            continue;
        }
        size += entry.batch.bytes.len();
        if size > max_bytes && !batches.is_empty() {
            break;
        }
        batches.push(entry.batch);
    }
    if batches.is_empty() {
        let what = format!("{} ends before offset {}", file.path().display(), place.next);
        return Err(quarantine(shared, partition, (good_to, place.next), &what));
    }
    Ok(Some(batches))
}

/// Opens a segment; `None` if it was trimmed meanwhile.
fn open_segment(shared: &Shared, partition: &Partition, place: Place) -> Result<Option<File>, Error> {
    let path = shared.layout.segment(partition.id, place.base);
    let file = match shared.settings.disk.open_to_read(&path) {
        Ok(file) => file,
        Err(failure) if failure.is_not_found() || failure.is_unreadable() => {
            if partition.is_deleted() {
                return Err(Error::UnknownPartition(partition.id));
            }
            let still_listed = partition
                .state()
                .segments
                .iter()
                .any(|segment| segment.base == place.base);
            if !still_listed {
                return Ok(None);
            }
            let what = format!("the file is missing or cannot be read: {failure}");
            return Err(quarantine(shared, partition, (place.base, place.next), &what));
        }
        Err(failure) => return Err(failure.into()),
    };
    let mut front = [0; FRONT_LEN as usize];
    let filled = file.read_at(&mut front, 0)?;
    match segment::front(&front[..filled], partition.id, place.base) {
        Front::Ours => {}
        Front::Foreign => {
            let what = format!("{} at byte 0: it is another segment", path.display());
            return Err(quarantine(shared, partition, (place.base, place.next), &what));
        }
        Front::Damaged => {
            // Every batch proves itself; the damage is reported, and nothing is lost by it.
            let what = format!("{} at byte 0: its header is damaged", path.display());
            quarantine(shared, partition, (place.base, place.base), &what);
        }
    }
    Ok(Some(file))
}

/// Where to begin walking, by the index in memory or on disk; whichever is missing is made.
fn begin_at(
    shared: &Shared,
    partition: &Partition,
    place: Place,
    file: &File,
    find: impl Fn(&SparseIndex) -> Option<Mark>,
    in_memory: Option<Mark>,
) -> Result<Option<Mark>, Error> {
    if place.sealed {
        return Ok(find(&sealed_index(shared, partition, place, file)?));
    }
    if in_memory.is_some() || place.indexed_from == Some(FRONT_LEN) {
        return Ok(in_memory);
    }
    let end = place.indexed_from.unwrap_or(place.bytes);
    let front = segment::rebuild_index(file, place.base, end)?;
    let mark = find(&front);
    partition.state().complete_index(place.base, front);
    Ok(mark)
}

/// The index of a closed segment; written anew when it is missing or damaged.
fn sealed_index(shared: &Shared, partition: &Partition, place: Place, file: &File) -> Result<SparseIndex, Error> {
    let path = shared.layout.index(partition.id, place.base);
    let disk = &shared.settings.disk;
    let stored = disk
        .read(&path)
        .ok()
        .and_then(|bytes| SparseIndex::decode(&bytes, partition.id, place.base));
    if let Some(index) = stored {
        return Ok(index);
    }
    // One at a time: two would write the same file.
    let _writing = lock(&shared.index_writer);
    let written = disk.read(&path).ok();
    if let Some(index) = written.and_then(|bytes| SparseIndex::decode(&bytes, partition.id, place.base)) {
        return Ok(index);
    }
    tracing::warn!(file = %path.display(), "the index is missing or damaged; it is written anew");
    let index = segment::rebuild_index(file, place.base, place.bytes)?;
    let bytes = index.encode(partition.id, place.base);
    // Reading goes on without it, on a full volume for instance.
    if let Err(failure) = disk.replace(&path, &bytes) {
        tracing::warn!(%failure, "the index could not be written");
    }
    Ok(index)
}

fn quarantine(shared: &Shared, partition: &Partition, (from, to): (Offset, Offset), what: &str) -> Error {
    let damage = Damage {
        partition: partition.id,
        from,
        to,
        reason: what.to_owned(),
    };
    let mut state = partition.state();
    let known = state.damage.len();
    state.add_damage(damage.clone());
    if state.damage.len() != known {
        drop(state);
        tracing::error!(directory = %shared.layout.root().display(), from, to, what, "a range is put into quarantine");
    }
    Error::Damaged(damage)
}

/// The offset of the first record at or after `time`. Does I/O.
pub fn offset_at(shared: &Shared, partition: &Partition, time: AppendTime) -> Result<Offset, Error> {
    loop {
        let place = {
            let state = partition.state();
            let start = state.start;
            let candidates = state
                .segments
                .iter()
                .filter(|segment| segment.next > start && segment.next > segment.base);
            match candidates.into_iter().find(|segment| segment.newest >= time) {
                Some(segment) => Place::new(segment, segment.sparse.before_time(time)),
                None => {
                    let batch = state.tail.iter().find(|batch| batch.append_time >= time);
                    return Ok(batch.map_or(state.high_water, |batch| batch.base.max(start)));
                }
            }
        };
        let Some(file) = open_segment(shared, partition, place)? else {
            continue;
        };
        let begin = begin_at(
            shared,
            partition,
            place,
            &file,
            |index| index.before_time(time),
            place.mark,
        )?;
        let (position, expected) = begin.map_or((FRONT_LEN, place.base), |mark| (mark.position, mark.offset));
        let mut walk = Walk::new(&file, position, expected, place.bytes).reading(2 * INTERVAL as usize);
        let mut at = expected;
        loop {
            match walk.next() {
                Ok(Some(entry)) if entry.batch.append_time < time => at = entry.header.next_offset(),
                Ok(Some(entry)) => {
                    at = entry.header.base_offset;
                    break;
                }
                // Whoever reads from there learns of the damage.
                Ok(None) | Err(WalkError::Damaged { .. }) => break,
                Err(WalkError::Failed(failure)) => return Err(failure.into()),
            }
        }
        let start = partition.state().start;
        return Ok(at.max(start));
    }
}

/// Every readable record of a bus with this lookup hash, newest first. Does I/O; `None` if a run is damaged.
pub fn find(shared: &Shared, bus: u32, lookup: u64, limit: usize) -> Result<Option<Vec<Position>>, Error> {
    // First what is in memory: it leaves only when a run has it.
    let mut found = Found::default();
    found.add(shared, shared.recent.find(bus, lookup));
    // A run that was written anew has a new number and old records.
    let mut runs = shared.runs().runs.clone();
    runs.sort_by_key(|run| Reverse(run.newest));
    for run in runs {
        if found.count_from(run.newest) >= limit {
            break;
        }
        match run.find(&shared.settings.disk, bus, lookup) {
            Ok(more) => found.add(shared, more),
            Err(RunError::Damaged) if shared.runs().runs.iter().all(|now| now.number != run.number) => {
                // It was merged into another meanwhile.
                return find(shared, bus, lookup, limit);
            }
            Err(RunError::Damaged) => return Ok(None),
            Err(RunError::Failed(failure)) => return Err(failure.into()),
        }
    }
    let positions = found.0.into_iter().take(limit);
    Ok(Some(
        positions
            .map(|(_, Reverse(offset), Reverse(partition))| Position { partition, offset })
            .collect(),
    ))
}

/// Readable records, newest first, each once.
#[derive(Debug, Default)]
struct Found(BTreeSet<(Reverse<AppendTime>, Reverse<Offset>, Reverse<PartitionId>)>);

impl Found {
    fn add(&mut self, shared: &Shared, more: Vec<Identified>) {
        let readable = more.into_iter().filter(|found| is_readable(shared, found));
        self.0.extend(readable.map(|found| {
            let Identified {
                append_time,
                offset,
                partition,
                ..
            } = found;
            (Reverse(append_time), Reverse(offset), Reverse(partition))
        }));
    }

    /// How many are not older than this.
    fn count_from(&self, time: AppendTime) -> usize {
        self.0
            .iter()
            .take_while(|(Reverse(found), _, _)| *found >= time)
            .count()
    }
}

fn is_readable(shared: &Shared, found: &Identified) -> bool {
    let partition = shared.registry.get(found.partition);
    partition.is_ok_and(|partition| {
        let state = partition.state();
        (state.start..state.high_water).contains(&found.offset)
    })
}
