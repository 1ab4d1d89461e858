//! The last part of the commit: shows what is durable, in the order of the groups, and hands it to the flusher.

use super::group::Assembled;
use crate::embedded::{
    frame,
    partition::TailBatch,
    shared::{Group, Shared},
};
use bytes::Bytes;
use std::sync::{Arc, atomic::Ordering};

/// Up to this a frame is copied for its readers, to its own size: it was written in whole pages, from a page boundary on, and
/// thousands of frames with one record each may wait for the flusher.
const FRAME_COPIED_MAX: usize = 64 << 10;

/// The one who shows groups. While it does, the next group is written.
#[derive(Debug)]
pub(super) struct Publisher {
    shared: Arc<Shared>,
}

impl Publisher {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Shows a durable group: tail, high-water marks, identities, feeds; then hands it to the flusher.
    pub(super) fn publish(&mut self, group: &mut Assembled) {
        let frame = group.frame.take().expect("it was synced just now");
        let bytes = if frame.as_ref().len() <= FRAME_COPIED_MAX {
            Bytes::copy_from_slice(&frame.as_ref()[..frame::HEADER_LEN + group.body_len])
        } else {
            Bytes::from_owner(frame)
        };
        for (batch, partition) in group.batches.iter().zip(&group.partitions) {
            let mut state = partition.state();
            if partition.is_deleted() {
                // Nobody would ever take it out again.
                continue;
            }
            state.tail.push_back(TailBatch {
                base: batch.base,
                next: batch.next,
                append_time: group.append_time,
                bytes: bytes.slice(batch.range()),
                frame_len: bytes.len(),
            });
            assert!(state.high_water <= batch.base, "offsets of a partition grow");
            state.high_water = batch.next;
        }
        let identities = std::mem::take(&mut group.identities);
        self.shared.recent.add(group.sequence, identities);
        self.shared
            .hub
            .mark(group.partitions.iter().map(|partition| partition.id));
        let counters = &self.shared.counters;
        counters.records.fetch_add(group.records, Ordering::Relaxed);
        counters.bytes.fetch_add(group.record_bytes, Ordering::Relaxed);
        self.hand_over(Group {
            sequence: group.sequence,
            append_time: group.append_time,
            bytes,
            batches: std::mem::take(&mut group.batches),
        });
    }

    fn hand_over(&self, group: Group) {
        let mut inbox = self.shared.inbox.state();
        inbox.bytes += group.frame_len();
        inbox.groups.push_back(Arc::new(group));
        let wake = inbox.bytes >= self.shared.settings.flush_bytes;
        drop(inbox);
        if wake {
            self.shared.inbox.wake();
        }
    }
}
