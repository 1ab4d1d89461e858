//! Partitions from a checkpoint: every segment is cut to what it lists, what it does not list is removed.

use super::{Restored, damage, topic_directories};
use crate::{
    Offset, PartitionId, TopicId,
    embedded::{
        checkpoint::{Checkpoint, CheckpointPartition},
        disk::{Disk, Outcome},
        format::{self, Layout},
        partition::{PartitionState, SegmentState},
    },
};
use std::collections::{HashMap, HashSet};

/// Partitions as a checkpoint lists them, cut to it.
pub(super) fn restore(
    disk: &Disk,
    layout: &Layout,
    checkpoint: &Checkpoint,
    known: &HashMap<TopicId, u32>,
) -> Outcome<Restored> {
    let mut restored = Restored {
        partitions: Vec::new(),
        append_time: checkpoint.append_time,
    };
    let mut listed = HashSet::new();
    for partition in checkpoint
        .partitions
        .iter()
        .filter(|one| known.contains_key(&one.id.topic))
    {
        let state = restore_partition(disk, layout, partition)?;
        listed.insert(partition.id);
        restored.partitions.push((partition.id, state));
    }
    // Directories that the checkpoint does not list hold segments that were never synced.
    for (topic, directory) in topic_directories(disk, layout)? {
        for name in disk.list(&directory)? {
            let Ok(index) = name.parse() else { continue };
            if known.contains_key(&topic) && !listed.contains(&PartitionId { topic, index }) {
                disk.remove_directory(&directory.join(name))?;
            }
        }
    }
    Ok(restored)
}

fn restore_partition(disk: &Disk, layout: &Layout, listed: &CheckpointPartition) -> Outcome<PartitionState> {
    let mut state = PartitionState {
        start: listed.start,
        high_water: listed.next,
        flushed: listed.next,
        segments: listed.segments.clone().into(),
        ..PartitionState::default()
    };
    let directory = layout.partition(listed.id);
    let names = disk.list(&directory)?;
    let bases: HashSet<Offset> = listed.segments.iter().map(|segment| segment.base).collect();
    for name in &names {
        let base = format::parse_numbered(name, "segment").or_else(|| format::parse_numbered(name, "index"));
        if base.is_none_or(|base| !bases.contains(&base)) {
            disk.remove(&directory.join(name))?;
        }
    }
    let present: HashSet<Offset> = names
        .iter()
        .filter_map(|name| format::parse_numbered(name, "segment"))
        .collect();
    for segment in listed
        .segments
        .iter()
        .filter(|segment| !present.contains(&segment.base))
    {
        state.add_damage(damage(
            layout,
            listed.id,
            (segment.base, segment.next),
            "the file is missing",
        ));
    }
    if let Some(last) = state.segments.back_mut().filter(|last| !last.sealed) {
        let cut = match present.contains(&last.base) {
            true => cut_segment(disk, layout, listed.id, last)?,
            false => Cut::Short,
        };
        if cut == Cut::Short {
            // What is there is read as far as it goes; what comes goes into another segment.
            last.sealed = true;
        }
    }
    Ok(state)
}

#[derive(PartialEq)]
enum Cut {
    Done,
    Short,
}

fn cut_segment(disk: &Disk, layout: &Layout, id: PartitionId, last: &SegmentState) -> Outcome<Cut> {
    let file = match disk.open(&layout.segment(id, last.base)) {
        Err(failure) if failure.is_unreadable() => return Ok(Cut::Short),
        opened => opened?,
    };
    let len = file.size()?;
    if len > last.bytes {
        file.set_len(last.bytes)?;
    }
    Ok(if len < last.bytes { Cut::Short } else { Cut::Done })
}
