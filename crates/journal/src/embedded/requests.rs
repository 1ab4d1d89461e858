//! Requests that will be one group, laid out for who assembles them: what they bring lies one behind the other, and small
//! ones with their records' bytes, because memory that another processor wrote is fetched best in long stretches. What
//! becomes of them is not known here.

use super::partition::Slot;
use crate::{Append, Appended, Deduplicate, EncodedRecord, Error, Identity, PartitionId};
use smallvec::SmallVec;
use std::ops::Range;
use tokio::sync::oneshot;

/// The bytes of a request up to this size are copied by its caller, in whose processor's cache they are; of a larger one the
/// copy would keep the queue locked for longer than a look at its parts costs.
const COPIED_BYTES_MAX: usize = 4 << 10;

/// Memory for bodies that is kept for the next group: a thousand records of a kibibyte.
const BODIES_KEPT: usize = 1 << 20;

/// Requests, entries and records for which memory is kept.
const REQUESTS_KEPT: usize = 4_096;

/// What becomes of a request.
pub type Outcome = Result<SmallVec<[Appended; 1]>, Error>;

/// What its caller gets back: the outcome, and the memory of a large request, which is freed best where it was taken.
pub type Answer = (Outcome, Option<Append>);

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
    pub answer: oneshot::Sender<Answer>,
}

/// A request that waits; its entries and records are those behind the ones of the request before.
#[derive(Debug)]
pub struct Request {
    /// How many entries it has.
    pub entries: u32,
    /// How many records they have.
    pub records: u32,
    /// Kept whole, if its records were not copied.
    append: Option<Append>,
    answer: oneshot::Sender<Answer>,
}

impl Request {
    /// Tells its caller. One who no longer waits has chosen not to know.
    pub fn answer(self, outcome: Outcome) {
        drop(self.answer.send((outcome, self.append)));
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
#[derive(Clone, Copy, Debug)]
pub struct QueuedRecord {
    /// Where it goes.
    pub partition: PartitionId,
    /// That partition's slot.
    pub slot: Slot,
    /// Size of its body.
    pub len: u32,
    body: Body,
}

/// Where a record's bytes are.
#[derive(Clone, Copy, Debug)]
enum Body {
    /// From here on among the copied ones.
    Copied(u32),
    /// In the request with this place, entry and record.
    Kept(u32, u32, u32),
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
    bodies: Vec<u8>,
    /// What they take in a frame at most.
    pub encoded: usize,
}

impl Requests {
    /// Adds a request. What comes back is its caller's to free.
    pub fn push(&mut self, incoming: Incoming) -> Option<Append> {
        let Incoming {
            append,
            slots,
            encoded,
            answer,
        } = incoming;
        let is_copied = encoded <= COPIED_BYTES_MAX && u32::try_from(self.bodies.len() + encoded).is_ok();
        let place = count(self.requests.len());
        let mut slots_left = slots.iter();
        for (entry, entry_place) in append.entries.iter().zip(0..) {
            for (((partition, record), record_place), slot) in entry.records.iter().zip(0..).zip(&mut slots_left) {
                let body = match is_copied {
                    true => self.copy(record),
                    false => Body::Kept(place, entry_place, record_place),
                };
                self.records.push(QueuedRecord {
                    partition: *partition,
                    slot: *slot,
                    len: count(record.len()),
                    body,
                });
            }
            self.entries.push(QueuedEntry {
                identity: entry.identity,
                deduplicate: entry.deduplicate,
                records: count(entry.records.len()),
            });
        }
        self.encoded += encoded;
        let entries = count(append.entries.len());
        let (kept, freed) = if is_copied {
            (None, Some(append))
        } else {
            (Some(append), None)
        };
        self.requests.push(Request {
            entries,
            records: count(slots.len()),
            append: kept,
            answer,
        });
        freed
    }

    fn copy(&mut self, record: &EncodedRecord) -> Body {
        let start = count(self.bodies.len());
        self.bodies.extend_from_slice(record.as_bytes());
        Body::Copied(start)
    }

    /// The encoded body of a record.
    #[inline]
    pub fn body(&self, record: &QueuedRecord) -> &[u8] {
        match record.body {
            Body::Copied(start) => &self.bodies[start as usize..][..record.len as usize],
            Body::Kept(request, entry, record) => {
                let append = self.requests[request as usize].append.as_ref();
                let append = append.expect("a request whose records were not copied is kept");
                append.entries[entry as usize].records[record as usize].1.as_bytes()
            }
        }
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
        self.bodies.clear();
        self.encoded = 0;
        self.requests.shrink_to(REQUESTS_KEPT);
        self.entries.shrink_to(REQUESTS_KEPT);
        self.records.shrink_to(REQUESTS_KEPT);
        self.bodies.shrink_to(BODIES_KEPT);
    }
}

fn count(count: usize) -> u32 {
    u32::try_from(count).expect("a group is below 4 GiB, and so is all in it")
}
