//! Requests that will be one group, laid out for who assembles them: what they bring lies one behind the other, because memory
//! that another processor wrote is fetched best in long stretches. Records' bytes stay where they are: whoever assembles reads
//! them there. What becomes of them is not known here.

use super::partition::Slot;
use crate::{Append, Appended, Deduplicate, EncodedRecord, Error, Identity, PartitionId};
use smallvec::SmallVec;
use std::ops::Range;
use tokio::sync::oneshot;

/// Requests, entries and records for which memory is kept.
const REQUESTS_KEPT: usize = 4_096;

/// What becomes of a request.
pub type Outcome = Result<SmallVec<[Appended; 1]>, Error>;

/// A request as its caller hands it over.
#[derive(Debug)]
pub struct Incoming {
    /// What is to be appended.
    pub append: Append,
    /// The slot of every record's partition, in order.
    pub slots: SmallVec<[Slot; 2]>,
    /// Its size in a frame at most.
    pub encoded: usize,
    /// Who waits.
    pub answer: oneshot::Sender<Outcome>,
}

/// A request that waits; its entries and records are those behind the ones of the request before.
#[derive(Debug)]
pub struct Request {
    /// How many entries it has.
    pub entries: u32,
    /// How many records they have.
    pub records: u32,
    answer: oneshot::Sender<Outcome>,
}

impl Request {
    /// Tells its caller. One who no longer waits has chosen not to know.
    pub fn answer(self, outcome: Outcome) {
        drop(self.answer.send(outcome));
    }
}

/// An entry of a request; its records are those behind the ones of the entry before.
#[derive(Clone, Copy, Debug)]
pub struct QueuedEntry {
    /// What it is indexed and deduplicated by.
    pub identity: Option<Identity>,
    /// Whether a duplicate is dropped.
    pub deduplicate: Deduplicate,
    /// How many records it has; the first is the primary.
    pub records: u32,
}

/// A record of an entry.
#[derive(Debug)]
pub struct QueuedRecord {
    /// Where it goes.
    pub partition: PartitionId,
    /// That partition's slot.
    pub slot: Slot,
    /// What it is.
    pub record: EncodedRecord,
}

/// Requests that will be one group, in the order of their acceptance.
#[derive(Debug, Default)]
pub struct Requests {
    /// The requests.
    pub requests: Vec<Request>,
    /// Their entries.
    pub entries: Vec<QueuedEntry>,
    /// Their records.
    pub records: Vec<QueuedRecord>,
    /// What they take in a frame at most.
    pub encoded: usize,
}

impl Requests {
    /// Adds a request, whose records move here. What is left of it is its caller's to free.
    pub fn push(&mut self, incoming: Incoming) -> Append {
        let Incoming {
            mut append,
            slots,
            encoded,
            answer,
        } = incoming;
        let mut slots_left = slots.iter();
        for entry in &mut append.entries {
            self.entries.push(QueuedEntry {
                identity: entry.identity,
                deduplicate: entry.deduplicate,
                records: count(entry.records.len()),
            });
            for ((partition, record), slot) in entry.records.drain(..).zip(&mut slots_left) {
                self.records.push(QueuedRecord {
                    partition,
                    slot: *slot,
                    record,
                });
            }
        }
        self.encoded += encoded;
        self.requests.push(Request {
            entries: count(append.entries.len()),
            records: count(slots.len()),
            answer,
        });
        append
    }

    /// The requests, each with the places of its entries and its records.
    pub fn each(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let (mut entry, mut record) = (0, 0);
        self.requests.iter().map(move |request| {
            let (entries, records) = (
                entry..entry + request.entries as usize,
                record..record + request.records as usize,
            );
            (entry, record) = (entries.end, records.end);
            (entries, records)
        })
    }

    /// Forgets everything but some of the memory.
    pub fn clear(&mut self) {
        self.requests.clear();
        self.entries.clear();
        self.records.clear();
        self.encoded = 0;
        self.requests.shrink_to(REQUESTS_KEPT);
        self.entries.shrink_to(REQUESTS_KEPT);
        self.records.shrink_to(REQUESTS_KEPT);
    }
}

fn count(count: usize) -> u32 {
    u32::try_from(count).expect("a group is below 4 GiB, and so is all in it")
}
