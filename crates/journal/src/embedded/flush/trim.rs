//! The flusher's hand on what is to go: trims and deletions. Files are removed after the checkpoint that no longer lists them.

use super::Flusher;
use crate::{
    Offset, TopicId,
    embedded::{
        disk::Outcome,
        partition::{Partition, Slot},
    },
};

impl Flusher {
    /// Removes segments below an offset, which becomes the first readable one.
    pub(super) fn trim(&mut self, partition: &Partition, start: Offset) -> Outcome<()> {
        let mut state = partition.state();
        state.start = state.start.max(start.min(state.high_water));
        self.changed = true;
        let start = state.start;
        // What the volume had no room for yet has to reach a segment first.
        let emptied = start == state.flushed && state.tail.is_empty();
        let count = state.segments.partition_point(|segment| segment.next <= start);
        let gone: Vec<_> = state.segments.drain(..count).collect();
        state.damage.retain(|damage| damage.to > start);
        let none_left = state.segments.is_empty();
        let within = state.segments.back().filter(|last| !last.sealed && last.base < start);
        let rolled = within.cloned();
        drop(state);
        if let Some(segment) = rolled {
            // What comes goes into another, so that this one can go.
            match self.close_segment(partition, segment) {
                Err(failure) if failure.is_shortage() => {}
                closed => closed?,
            }
        }
        for segment in &gone {
            self.obsolete
                .push(self.shared.layout.segment(partition.id, segment.base));
            self.obsolete.push(self.shared.layout.index(partition.id, segment.base));
        }
        if none_left {
            self.active.remove(&partition.slot);
        }
        if none_left && emptied && start > 0 {
            // An empty segment keeps the next offset even if the checkpoint is lost.
            match self.create_segment(partition, start) {
                Err(failure) if failure.is_shortage() => {}
                created => drop(created?),
            }
        }
        Ok(())
    }

    /// Removes what is left of a topic.
    pub(super) fn delete(&mut self, topic: TopicId, slots: &[Slot]) {
        slots.iter().for_each(|slot| drop(self.active.remove(slot)));
        self.covered.retain(|partition, _| partition.topic != topic);
        let directory = self.shared.layout.topic(topic);
        self.directories.retain(|path| !path.starts_with(&directory));
        self.obsolete.retain(|path| !path.starts_with(&directory));
        self.obsolete_topics.push(directory);
        self.changed = true;
    }
}
