//! An open file on a simulated disk: short writes, full volumes, syncs that fail.

use super::{Operation, SimulatedDisk, SyncFault, volume::PAGE};
use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// An open file on a simulated disk.
#[derive(Clone, Debug)]
pub struct SimulatedFile {
    pub(super) disk: SimulatedDisk,
    pub(super) node: usize,
    pub(super) handle: Arc<Handle>,
}

/// Counts as one open file as long as it lives.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) path: PathBuf,
    pub(super) open: Arc<AtomicU64>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl SimulatedFile {
    pub(in crate::embedded::disk) fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        self.disk.meet_fault(Operation::Write, &self.handle.path, 0..0)?;
        let (mut state, cut) = self.disk.changing()?;
        let position = usize::try_from(position).expect("simulated files fit memory");
        let mut count = bytes.len();
        if cut {
            count = state.below(count + 1);
        } else if state.short_writes && count > 1 && state.below(4) == 0 {
            count = 1 + state.below(count - 1);
        }
        let len = state.nodes[self.node].current.len();
        let room = usize::try_from(state.capacity.saturating_sub(state.used())).unwrap_or(usize::MAX);
        let end = (position + count).min(len.max(position).saturating_add(room).max(len));
        count = end.saturating_sub(position);
        if count > 0 {
            state.nodes[self.node].write(&bytes[..count], position);
        }
        if cut {
            return Err(io::Error::other("the power is cut"));
        }
        if count == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(count)
    }

    pub(in crate::embedded::disk) fn read_at(&self, bytes: &mut [u8], position: u64) -> io::Result<usize> {
        let range = position..position + bytes.len() as u64;
        self.disk.meet_fault(Operation::Read, &self.handle.path, range)?;
        let state = self.disk.living()?;
        let content = &state.nodes[self.node].current;
        let position = usize::try_from(position)
            .expect("simulated files fit memory")
            .min(content.len());
        let count = bytes.len().min(content.len() - position);
        bytes[..count].copy_from_slice(&content[position..position + count]);
        Ok(count)
    }

    pub(in crate::embedded::disk) fn len(&self) -> io::Result<u64> {
        Ok(self.disk.living()?.nodes[self.node].current.len() as u64)
    }

    pub(in crate::embedded::disk) fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).expect("simulated files fit memory");
        self.disk.change(|state| {
            let node = &mut state.nodes[self.node];
            let old = node.current.len();
            node.current.resize(len, 0);
            node.dirty.extend(old.min(len) / PAGE..=old.max(len) / PAGE);
            Ok(())
        })
    }

    pub(in crate::embedded::disk) fn sync(&self) -> io::Result<()> {
        self.disk.wait_while_held();
        let (mut state, cut) = self.disk.changing()?;
        if let Some((count, fault)) = state.syncs_until_fault {
            state.syncs_until_fault = (count > 1).then_some((count - 1, fault));
            if count == 1 {
                if fault == SyncFault::PagesDropped {
                    let node = &mut state.nodes[self.node];
                    let dirty = std::mem::take(&mut node.dirty);
                    node.forgotten.extend(dirty);
                }
                return Err(io::Error::other("input/output error"));
            }
        }
        if cut {
            return Err(io::Error::other("the power is cut"));
        }
        state.nodes[self.node].sync();
        Ok(())
    }

    pub(in crate::embedded::disk) fn lock(&self) -> io::Result<bool> {
        let mut state = self.disk.living()?;
        let cycle = state.cycle;
        let node = &mut state.nodes[self.node];
        Ok(node.locked_in_cycle.replace(cycle) != Some(cycle))
    }
}
