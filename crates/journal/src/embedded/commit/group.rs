//! A group of requests on its way through the commit, with what became of them. It is used again for the next one.

use super::answer::Teller;
use crate::{
    AppendTime, Error,
    embedded::{
        buffers::PageBuffer,
        partition::Partition,
        requests::{Outcome, Requests},
        run::Identified,
        shared::GroupBatch,
    },
};
use std::sync::Arc;

/// Outcomes for which a group's memory is kept.
const OUTCOMES_KEPT: usize = 4_096;

/// Some requests, from the moment they are taken until they are answered.
#[derive(Debug, Default)]
pub struct Assembled {
    /// The number of its frame; without records it has none, and this is the last one's.
    pub(super) sequence: u64,
    pub(super) append_time: AppendTime,
    /// A frame with the header still open.
    pub(super) frame: Option<PageBuffer>,
    pub(super) batches: Vec<GroupBatch>,
    /// Whose the batches are.
    pub(super) partitions: Vec<Arc<Partition>>,
    pub(super) copies: u32,
    pub(super) body_len: usize,
    pub(super) body_crc: u32,
    pub(super) identities: Vec<Identified>,
    pub(super) records: u64,
    pub(super) record_bytes: u64,
    /// Nothing of it is accepted, whatever its outcomes say.
    pub(super) refused: Option<Error>,
    /// It waited for a write-ahead file.
    pub(super) was_blocked: bool,
    pub(super) requests: Requests,
    /// Of every request, once it is assembled.
    pub(super) outcomes: Vec<Outcome>,
}

impl Assembled {
    /// Tells everybody what became of their requests, and is empty afterwards.
    pub(super) fn answer(&mut self, teller: &Teller) {
        teller.tell(&mut self.requests, &mut self.outcomes, self.refused.take());
        self.requests.clear();
        self.outcomes.shrink_to(OUTCOMES_KEPT);
        self.partitions.clear();
        self.batches.clear();
        self.identities.clear();
        (self.frame, self.copies, self.body_len, self.body_crc) = (None, 0, 0, 0);
        (self.records, self.record_bytes, self.was_blocked) = (0, 0, false);
    }
}
