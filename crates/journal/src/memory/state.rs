//! What the in-memory engine decides: accepting requests in order, making them durable in the same order, and answering
//! from what is durable. It has no clock of its own and no locks.

use super::{
    MemorySettings,
    partition::{Partition, record_count},
};
use crate::{
    Append, AppendTime, Appended, Damage, Deduplicate, DiskSpace, EncodedRecord, Entry, Error, Health, Identity,
    Offset, PartitionId, Position, Role, Stats, StoredBatch, TopicId, batch,
};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};
use tokio::sync::oneshot;

/// Records of one request are sealed together up to this size.
const BATCH_BYTES: usize = 1 << 20;

/// The free space and size that a fresh engine reports.
const DISK_BYTES: u64 = 1 << 40;

/// The hint for a refused caller.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// What a caller of append is told.
pub(super) type Answer = Result<Vec<Appended>, Error>;

/// What identifies an event within the journal: the bus and the hash.
type Unique = (u32, u128);

#[derive(Debug)]
pub(super) struct State {
    pub(super) settings: MemorySettings,
    pub(super) health: Health,
    pub(super) disk_space: DiskSpace,
    pub(super) refusals: VecDeque<Error>,
    pub(super) held: bool,
    partitions: BTreeMap<PartitionId, Partition>,
    /// Accepted first records within the window, with the number of their frame.
    first: HashMap<Unique, (Appended, u64)>,
    /// The keys of `first`, oldest first.
    ages: VecDeque<(AppendTime, Unique)>,
    /// Durable records by bus and lookup hash, in order.
    lookups: HashMap<(u32, u64), Vec<Position>>,
    pending: VecDeque<Frame>,
    accepted_frames: u64,
    durable_frames: u64,
    newest: AppendTime,
    pub(super) counted: Stats,
}

/// An accepted request.
#[derive(Debug)]
struct Frame {
    batches: Vec<(PartitionId, StoredBatch)>,
    lookups: Vec<((u32, u64), Position)>,
    outcome: Vec<Appended>,
    answer: oneshot::Sender<Answer>,
}

/// A frame being put together.
#[derive(Default)]
struct Draft {
    /// The records of each partition: consecutive, from the offset given.
    records: BTreeMap<PartitionId, (Offset, Vec<EncodedRecord>)>,
    lookups: Vec<((u32, u64), Position)>,
    outcome: Vec<Appended>,
}

impl State {
    pub(super) fn new(settings: MemorySettings) -> Self {
        Self {
            settings,
            health: Health::Serving,
            disk_space: DiskSpace {
                total: DISK_BYTES,
                free: DISK_BYTES,
            },
            refusals: VecDeque::new(),
            held: false,
            partitions: BTreeMap::new(),
            first: HashMap::new(),
            ages: VecDeque::new(),
            lookups: HashMap::new(),
            pending: VecDeque::new(),
            accepted_frames: 0,
            durable_frames: 0,
            newest: 0,
            counted: Stats::default(),
        }
    }

    /// What a start after a kill finds: everything durable, nothing else.
    pub(super) fn restarted(mut self) -> Self {
        self.pending.clear();
        let durable = self.durable_frames;
        self.accepted_frames = durable;
        self.first.retain(|_, (_, frame)| *frame <= durable);
        self.ages.retain(|(_, unique)| self.first.contains_key(unique));
        self.partitions.values_mut().for_each(Partition::forget_accepted);
        Self {
            health: Health::Serving,
            refusals: VecDeque::new(),
            held: false,
            counted: Stats::default(),
            ..self
        }
    }

    pub(super) fn check_open(&self) -> Result<(), Error> {
        match self.health {
            Health::Closed => Err(Error::Closed),
            _ => Ok(()),
        }
    }

    pub(super) fn partition(&self, id: PartitionId) -> Result<&Partition, Error> {
        self.check_open()?;
        self.partitions.get(&id).ok_or(Error::UnknownPartition(id))
    }

    pub(super) fn partition_mut(&mut self, id: PartitionId) -> Result<&mut Partition, Error> {
        self.check_open()?;
        self.partitions.get_mut(&id).ok_or(Error::UnknownPartition(id))
    }

    pub(super) fn partition_ids(&self) -> Vec<PartitionId> {
        self.partitions.keys().copied().collect()
    }

    /// The partitions that hold readable records.
    pub(super) fn holding(&self) -> Vec<PartitionId> {
        let holding = self.partitions.iter().filter(|(_, partition)| {
            let bounds = partition.bounds();
            bounds.start < bounds.high_water
        });
        holding.map(|(id, _)| *id).collect()
    }

    pub(super) fn create_topic(&mut self, topic: TopicId, partitions: u32) -> Result<(), Error> {
        self.check_open()?;
        let missing: Vec<_> = (0..partitions)
            .map(|index| PartitionId { topic, index })
            .filter(|id| !self.partitions.contains_key(id))
            .collect();
        let max = self.settings.partitions_max;
        if self.partitions.len() + missing.len() > max {
            return Err(Error::TooManyPartitions { max });
        }
        self.partitions
            .extend(missing.into_iter().map(|id| (id, Partition::new(id))));
        Ok(())
    }

    pub(super) fn delete_topic(&mut self, topic: TopicId) -> Result<(), Error> {
        self.check_open()?;
        self.forget(|id| id.topic == topic);
        Ok(())
    }

    /// Forgets the partitions that `goes` names and every identity that points into them.
    pub(super) fn forget(&mut self, goes: impl Fn(&PartitionId) -> bool) {
        self.partitions.retain(|id, _| !goes(id));
        self.first.retain(|_, (first, _)| !goes(&first.position.partition));
        self.ages.retain(|(_, unique)| self.first.contains_key(unique));
        for positions in self.lookups.values_mut() {
            positions.retain(|position| !goes(&position.partition));
        }
    }

    /// Gives a request its place, or refuses it and changes nothing.
    pub(super) fn accept(&mut self, append: &Append) -> Result<oneshot::Receiver<Answer>, Error> {
        self.admit(append)?;
        self.newest = self.now();
        self.forget_aged();
        self.accepted_frames += 1;
        let mut draft = Draft::default();
        for entry in &append.entries {
            self.take(entry, &mut draft);
        }
        let (answer, durable) = oneshot::channel();
        self.pending.push_back(Frame {
            batches: draft.seal(self.newest),
            lookups: draft.lookups,
            outcome: draft.outcome,
            answer,
        });
        Ok(durable)
    }

    fn admit(&mut self, append: &Append) -> Result<(), Error> {
        self.check_health()?;
        if let Some(refusal) = self.refusals.pop_front() {
            return Err(refusal);
        }
        let records = || append.entries.iter().flat_map(|entry| &entry.records);
        if let Some((unknown, _)) = records().find(|(id, _)| !self.partitions.contains_key(id)) {
            return Err(Error::UnknownPartition(*unknown));
        }
        let encoded = records().map(|(_, record)| record.len()).sum();
        let max = self.settings.request_bytes_max;
        if encoded > max {
            return Err(Error::TooLarge { encoded, max });
        }
        if self.pending.len() >= self.settings.queued_max {
            return Err(Error::Busy {
                retry_after: RETRY_AFTER,
            });
        }
        Ok(())
    }

    fn check_health(&self) -> Result<(), Error> {
        match &self.health {
            Health::Serving => Ok(()),
            Health::Closed => Err(Error::Closed),
            Health::Behind => Err(Error::Busy {
                retry_after: RETRY_AFTER,
            }),
            Health::Poisoned { reason } => Err(Error::Poisoned { reason: reason.clone() }),
            &Health::OutOfSpace { free, needed } => Err(Error::OutOfSpace { free, needed }),
            &Health::Exhausted(of) => Err(Error::Exhausted {
                action: "append".into(),
                of,
            }),
        }
    }

    fn take(&mut self, entry: &Entry, draft: &mut Draft) {
        let (primary, _) = entry.records.first().expect("an entry holds at least one record");
        self.check_identity(entry);
        let unique = entry.identity.map(|identity| (primary.topic.bus, identity.unique));
        let first = unique.and_then(|unique| self.first.get(&unique));
        if let (Some((first, _)), Deduplicate::Yes) = (first, entry.deduplicate) {
            self.counted.duplicates += 1;
            draft.outcome.push(Appended {
                duplicate: true,
                ..*first
            });
            return;
        }
        let positions: Vec<_> = entry
            .records
            .iter()
            .map(|(id, record)| self.place(*id, record, draft))
            .collect();
        let appended = Appended {
            position: positions[0],
            append_time: self.newest,
            duplicate: false,
        };
        draft.outcome.push(appended);
        if let Some(Identity { lookup, .. }) = entry.identity {
            let keyed = positions
                .iter()
                .map(|position| ((position.partition.topic.bus, lookup), *position));
            draft.lookups.extend(keyed);
        }
        if let Some(unique) = unique
            && !self.first.contains_key(&unique)
        {
            self.first.insert(unique, (appended, self.accepted_frames));
            self.ages.push_back((self.newest, unique));
        }
    }

    fn place(&mut self, id: PartitionId, record: &EncodedRecord, draft: &mut Draft) -> Position {
        let partition = self.partitions.get_mut(&id).expect("the request was admitted");
        let (_, records) = draft
            .records
            .entry(id)
            .or_insert_with(|| (partition.accepted(), Vec::new()));
        records.push(record.clone());
        Position {
            partition: id,
            offset: partition.accept(),
        }
    }

    /// An index that is rebuilt must come out as it was.
    fn check_identity(&self, entry: &Entry) {
        if let (Some(identify), Some(identity)) = (self.settings.identify, entry.identity) {
            let roles = std::iter::once(Role::Primary).chain(std::iter::repeat(Role::Copy));
            for ((id, record), role) in entry.records.iter().zip(roles) {
                let rebuilt = identify(id.topic, &record.view(0, 0));
                assert_eq!(
                    rebuilt,
                    Some((identity, role)),
                    "`identify` and the entry of {id:?} differ"
                );
            }
        }
    }

    fn forget_aged(&mut self) {
        let window = i64::try_from(self.settings.window.as_millis()).unwrap_or(i64::MAX);
        while let Some(&(age, unique)) = self.ages.front()
            && age.saturating_add(window) < self.newest
        {
            self.ages.pop_front();
            self.first.remove(&unique);
        }
    }

    /// Makes the oldest accepted request durable; which partitions grew, or `None` when there is none.
    pub(super) fn sync_one(&mut self) -> Option<Vec<PartitionId>> {
        let frame = self.pending.pop_front()?;
        self.durable_frames += 1;
        self.counted.syncs += 1;
        let mut grown = Vec::new();
        for (id, stored) in frame.batches {
            // The topic may have been deleted since.
            if let Some(partition) = self.partitions.get_mut(&id) {
                self.counted.records += record_count(&stored);
                self.counted.bytes += stored.bytes.len() as u64;
                partition.push(stored);
                grown.push(id);
            }
        }
        for (key, position) in frame.lookups {
            self.lookups.entry(key).or_default().push(position);
        }
        // Whoever asked may have stopped waiting.
        let _ = frame.answer.send(Ok(frame.outcome));
        Some(grown)
    }

    /// Fails everything accepted, as a failed sync does.
    pub(super) fn poison(&mut self, reason: &str) {
        self.health = Health::Poisoned {
            reason: reason.to_owned(),
        };
        for frame in self.pending.drain(..) {
            let _ = frame.answer.send(Err(Error::Poisoned {
                reason: reason.to_owned(),
            }));
        }
    }

    pub(super) fn find(&self, bus: u32, lookup: u64, limit: usize) -> Result<Vec<Position>, Error> {
        self.check_open()?;
        let positions = self.lookups.get(&(bus, lookup)).into_iter().flatten().rev();
        let readable = positions.filter(|position| {
            let partition = self.partitions.get(&position.partition);
            partition.is_some_and(|partition| partition.is_readable(position.offset))
        });
        Ok(readable.take(limit).copied().collect())
    }

    pub(super) fn damage(&self) -> Vec<Damage> {
        self.partitions
            .values()
            .flat_map(|partition| partition.damaged().to_vec())
            .collect()
    }

    pub(super) fn now(&self) -> AppendTime {
        (self.settings.now)().max(self.newest)
    }

    pub(super) fn stats(&self) -> Stats {
        let queued = self.pending.iter().flat_map(|frame| &frame.batches);
        Stats {
            queued: self.pending.len() as u64,
            queued_bytes: queued.map(|(_, stored)| stored.bytes.len() as u64).sum(),
            identities: self.first.len() as u64,
            damaged: self.damage().len() as u64,
            ..self.counted.clone()
        }
    }
}

impl Draft {
    fn seal(&mut self, append_time: AppendTime) -> Vec<(PartitionId, StoredBatch)> {
        let mut sealed = Vec::new();
        for (id, (mut base, records)) in std::mem::take(&mut self.records) {
            let mut rest = records.as_slice();
            while !rest.is_empty() {
                let (together, others) = rest.split_at(fitting(rest));
                let mut bytes = Vec::new();
                batch::seal(&mut bytes, base, append_time, together.iter());
                let bytes = bytes.into();
                sealed.push((id, StoredBatch { append_time, bytes }));
                base += together.len() as u64;
                rest = others;
            }
        }
        sealed
    }
}

/// How many of the records fit into one batch; at least one.
fn fitting(records: &[EncodedRecord]) -> usize {
    let mut size = batch::HEADER_LEN;
    let fit = (0..).zip(records).take_while(|(position, record)| {
        size += batch::sealed_record_len(*position, record);
        size <= BATCH_BYTES
    });
    fit.count().max(1)
}
