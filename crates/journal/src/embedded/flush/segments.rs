//! The flusher's hand on segments: growing, closing, opening and syncing them.

use super::{Active, Flusher};
use crate::{
    AppendTime, Offset,
    embedded::{
        disk::Outcome,
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
            let mut segment = self.segment_to_grow(partition, batches.peek().map_or(0, |(_, batch)| batch.base))?;
            let begin = segment.bytes;
            let mut out = Vec::new();
            while let Some((group, batch)) = batches.next_if(|_| segment.bytes < self.shared.settings.segment_bytes) {
                segment.sparse.add(Mark {
                    offset: batch.base,
                    append_time: group.append_time,
                    position: segment.bytes,
                });
                segment::put_entry(&mut out, group.append_time, &group.bytes[batch.range()]);
                segment.bytes += (ENTRY_LEN + batch.len as usize) as u64;
                segment.next = batch.next;
                segment.newest = group.append_time;
            }
            let active = self.active.get_mut(&partition.slot).expect("it was opened");
            active.dirty = true;
            active.file.write_all_at(&out, begin)?;
            partition.state().grown(segment);
        }
        Ok(())
    }

    /// The growing segment, opened; a new one where there is none or it is full.
    fn segment_to_grow(&mut self, partition: &Partition, base: Offset) -> Outcome<SegmentState> {
        let last = partition.state().segments.back().cloned();
        if let Some(last) = last.filter(|last| !last.sealed) {
            if last.bytes < self.shared.settings.segment_bytes {
                self.open_active(partition, &last)?;
                return Ok(last);
            }
            self.close_segment(partition, last)?;
        }
        self.create_segment(partition, base)
    }

    fn open_active(&mut self, partition: &Partition, last: &SegmentState) -> Outcome<()> {
        if !self.active.contains_key(&partition.slot) {
            let file = self.disk.open(&self.shared.layout.segment(partition.id, last.base))?;
            self.active.insert(partition.slot, Active { file, dirty: false });
        }
        Ok(())
    }

    /// Closes a segment: its index is written, and the next batch goes into another.
    fn close_segment(&mut self, partition: &Partition, mut last: SegmentState) -> Outcome<()> {
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
        let mut state = partition.state();
        let segment = state
            .segments
            .back_mut()
            .expect("it is there until this thread removes it");
        segment.sealed = true;
        segment.sparse = Default::default();
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
        self.active.insert(partition.slot, Active { file, dirty: true });
        partition.state().segments.push_back(segment.clone());
        Ok(segment)
    }

    pub(super) fn sync_segments(&mut self) -> Outcome<()> {
        for file in self.closed.drain(..) {
            file.sync_all()?;
        }
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
    /// A segment grew: its batches are no longer held in memory.
    fn grown(&mut self, segment: SegmentState) {
        self.flushed = segment.next;
        let held = self.tail.partition_point(|batch| batch.next <= self.flushed);
        self.tail.drain(..held);
        *self.segments.back_mut().expect("it was there when it grew") = segment;
    }
}
