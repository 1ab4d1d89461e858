//! The frames behind the checkpoint, on their way into segments as if they had just become durable.

use crate::{
    Error, StoredBatch, TopicId,
    batch::BatchHeader,
    embedded::{
        clock::AppendClock,
        flush::{self, Flusher},
        replay::{self, Frame},
        settings::PARTITIONS_MAX,
        shared::{Group, GroupBatch, Shared, lock},
        write_ahead::Found,
    },
};
use std::{collections::HashMap, sync::Arc};

/// Frames' bytes that are replayed at once.
const REPLAY_BYTES: usize = 16 << 20;

/// Moves every frame behind the checkpoint into segments; gives the newest sequence.
pub(super) fn replay(
    shared: &Arc<Shared>,
    flusher: &mut Flusher,
    found: &Found,
    (begin, needed_from): (Option<u64>, u64),
    known: &HashMap<TopicId, u32>,
) -> Result<u64, Error> {
    let mut groups: Vec<Arc<Group>> = Vec::new();
    let mut bytes = 0;
    let sequence = replay::frames(found, begin, needed_from, |frame| {
        let group = group(shared, known, frame)?;
        bytes += group.bytes.len();
        groups.push(Arc::new(group));
        if bytes >= REPLAY_BYTES {
            flusher.flush(&groups)?;
            flusher.spill_identities()?;
            groups.clear();
            bytes = 0;
        }
        Ok(())
    })?;
    flusher.flush(&groups)?;
    flusher.skip_to(sequence, 0);
    Ok(sequence)
}

fn group(shared: &Shared, known: &HashMap<TopicId, u32>, frame: Frame) -> Result<Group, Error> {
    let append_time = frame.header.append_time;
    let mut group = Group {
        sequence: frame.header.sequence,
        append_time,
        bytes: frame.bytes,
        batches: Vec::new(),
    };
    let mut identities = Vec::new();
    for batch in frame
        .batches
        .iter()
        .filter(|batch| known.contains_key(&batch.partition.topic))
    {
        let id = batch.partition;
        shared
            .registry
            .add(id.topic, id.index.saturating_add(1), PARTITIONS_MAX)?;
        let partition = shared.registry.get(id)?;
        let bytes = group.bytes.slice(batch.bytes.clone());
        let header = BatchHeader::parse(&bytes).map_err(|error| Error::Corrupt {
            file: format!("frame {}", group.sequence),
            position: batch.bytes.start as u64,
            reason: error.to_string(),
        })?;
        let stored = StoredBatch { append_time, bytes };
        identities.extend(flush::identified(shared.settings.identify, id, &stored, &batch.copies));
        let mut state = partition.state();
        state.high_water = state.high_water.max(header.next_offset());
        drop(state);
        group.batches.push(GroupBatch {
            slot: partition.slot,
            start: batch.bytes.start as u32,
            len: batch.bytes.len() as u32,
            base: header.base_offset,
            next: header.next_offset(),
        });
    }
    shared.recent.add(group.sequence, identities);
    let mut clock = lock(&shared.clock);
    *clock = AppendClock::new(shared.settings.clock.read(), append_time.max(clock.floor()));
    drop(clock);
    Ok(group)
}
