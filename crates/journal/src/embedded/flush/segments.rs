//! The flusher's hand on segments: growing, closing, opening and syncing them.

use super::{Active, Flusher, staging::Staging};
use crate::{
    AppendTime, Offset,
    embedded::{
        disk::{File, Outcome},
        index::Mark,
        partition::{Partition, PartitionState, SegmentState, Slot},
        segment::{self, ENTRY_LEN, FRONT_LEN},
        shared::Group,
    },
};
use std::sync::Arc;

impl Flusher {
    pub(super) fn flush_partition(
        &mut self,
        partition: &Partition,
        groups: &[Arc<Group>],
        places: &[(Slot, u32, u32)],
    ) -> Outcome<()> {
        let flushed = partition.state().flushed;
        let mut batches = places
            .iter()
            .map(|(_, group, batch)| {
                (
                    &groups[*group as usize],
                    groups[*group as usize].batches[*batch as usize],
                )
            })
            .filter(|(_, batch)| batch.next > flushed)
            .peekable();
        while batches.peek().is_some() {
            let (base, time) = batches
                .peek()
                .map_or((0, 0), |(group, batch)| (batch.base, group.append_time));
            let mut segment = self.segment_to_grow(partition, base, time)?;
            let period = self.period(time);
            let active = self.active.get_mut(&partition.slot).expect("it was opened just now");
            active.dirty = true;
            let mut staging = Staging::new(&self.shared.buffers, active.file.clone(), segment.bytes);
            let fits = |segment: &SegmentState, time| {
                segment.bytes < self.shared.settings.segment_bytes && self.period(time) == period
            };
            while let Some((group, batch)) = batches.next_if(|(group, _)| fits(&segment, group.append_time)) {
                segment.sparse.add(Mark {
                    offset: batch.base,
                    append_time: group.append_time,
                    position: segment.bytes,
                });
                let bytes = &group.bytes[batch.range()];
                staging.put(&segment::entry_head(group.append_time, bytes))?;
                staging.put(bytes)?;
                segment.bytes += (ENTRY_LEN + batch.len as usize) as u64;
                segment.next = batch.next;
                segment.newest = group.append_time;
            }
            staging.finish()?;
            partition.state().grown(segment);
        }
        Ok(())
    }

    fn period(&self, time: AppendTime) -> AppendTime {
        let period = AppendTime::try_from(self.shared.settings.segment_period.as_millis()).unwrap_or(AppendTime::MAX);
        time.div_euclid(period.max(1))
    }

    /// The growing segment, opened; a new one where there is none, or it is full or of an earlier period.
    fn segment_to_grow(&mut self, partition: &Partition, base: Offset, time: AppendTime) -> Outcome<SegmentState> {
        let last = partition.state().segments.back().cloned();
        if let Some(last) = last.filter(|last| !last.sealed) {
            let in_period = last.next == last.base || self.period(last.newest) == self.period(time);
            if last.bytes < self.shared.settings.segment_bytes && in_period {
                self.open_active(partition, &last)?;
                return Ok(last);
            }
            self.close_segment(partition, last)?;
        }
        self.create_segment(partition, base)
    }

    fn open_active(&mut self, partition: &Partition, last: &SegmentState) -> Outcome<()> {
        self.uses += 1;
        if let Some(active) = self.active.get_mut(&partition.slot) {
            active.used = self.uses;
            return Ok(());
        }
        self.make_room()?;
        let file = self.disk.open(&self.shared.layout.segment(partition.id, last.base))?;
        self.set_active(partition.slot, file, false);
        Ok(())
    }

    fn set_active(&mut self, slot: Slot, file: File, dirty: bool) {
        let used = self.uses;
        self.active.insert(slot, Active { file, dirty, used });
    }

    /// Puts the open segment away that was not grown for longest, if there are too many. It is synced before: a file that is
    /// opened again may not learn of a write that failed meanwhile.
    fn make_room(&mut self) -> Outcome<()> {
        while self.active.len() >= self.shared.settings.open_segments_max.max(1) {
            let oldest = self.active.iter().min_by_key(|(_, active)| active.used);
            let slot = *oldest.expect("there is one").0;
            let active = self.active.remove(&slot).expect("it was there");
            if active.dirty {
                active.file.sync_data()?;
            }
        }
        // Closed files wait for their sync no longer than they may be many.
        if self.closed.len() >= self.shared.settings.open_segments_max {
            self.sync_closed()?;
        }
        Ok(())
    }

    fn sync_closed(&mut self) -> Outcome<()> {
        self.closed.drain(..).try_for_each(|file| file.sync_all())
    }

    /// Closes a segment: its index is written, and the next batch goes into another.
    pub(super) fn close_segment(&mut self, partition: &Partition, mut last: SegmentState) -> Outcome<()> {
        self.open_active(partition, &last)?;
        let active = &self.active[&partition.slot];
        if last.sparse.first_position() != Some(FRONT_LEN) {
            // This process did not write all of it.
            last.sparse = segment::rebuild_index(&active.file, last.base, last.bytes)?;
        }
        let index = self.disk.create(&self.shared.layout.index(partition.id, last.base))?;
        index.write_all_at(&last.sparse.encode(partition.id, last.base), 0)?;
        self.directories.insert(self.shared.layout.partition(partition.id));
        let active = self.active.remove(&partition.slot).expect("it was opened");
        if active.dirty {
            self.closed.push(active.file);
        }
        self.closed.push(index);
        // It is there until this thread removes it, or the topic is deleted.
        if let Some(segment) = partition.state().segments.back_mut() {
            segment.sealed = true;
            segment.sparse = Default::default();
        }
        Ok(())
    }

    pub(super) fn create_segment(&mut self, partition: &Partition, base: Offset) -> Outcome<SegmentState> {
        let layout = &self.shared.layout;
        let directory = layout.partition(partition.id);
        if partition.state().segments.is_empty() {
            self.disk.create_directory(&directory)?;
            self.directories.insert(layout.topics());
            self.directories.insert(layout.topic(partition.id.topic));
        }
        self.directories.insert(directory);
        let path = layout.segment(partition.id, base);
        // It may have been emptied by a trim a moment ago.
        self.obsolete.retain(|obsolete| *obsolete != path);
        self.make_room()?;
        let file = self.disk.create(&path)?;
        file.write_all_at(&segment::encode_front(partition.id, base), 0)?;
        let segment = SegmentState {
            base,
            next: base,
            bytes: FRONT_LEN,
            newest: AppendTime::MIN,
            sealed: false,
            sparse: Default::default(),
        };
        self.uses += 1;
        self.set_active(partition.slot, file, true);
        let mut state = partition.state();
        if !partition.is_deleted() {
            state.segments.push_back(segment.clone());
        }
        Ok(segment)
    }

    pub(super) fn sync_segments(&mut self) -> Outcome<()> {
        self.sync_closed()?;
        for active in self.active.values_mut().filter(|active| active.dirty) {
            active.file.sync_data()?;
            active.dirty = false;
        }
        for directory in std::mem::take(&mut self.directories) {
            self.disk.sync_directory(&directory)?;
        }
        Ok(())
    }
}

impl PartitionState {
    /// A segment grew, unless its topic was deleted meanwhile: its batches are no longer held in memory.
    fn grown(&mut self, mut segment: SegmentState) {
        let Some(last) = self.segments.back_mut() else { return };
        // A reader may have completed the index since the flusher took its copy.
        segment.sparse.put_in_front(std::mem::take(&mut last.sparse));
        *last = segment;
        let last = self.segments.back().expect("it was replaced");
        self.flushed = last.next;
        let held = self.tail.partition_point(|batch| batch.next <= self.flushed);
        self.tail.drain(..held);
    }
}
