//! The side of a replay that publishes to a topic: records again, as they are, at its rate, partition by partition in order.
//! It appends and waits; nobody's lane is involved.

use super::{
    document::{Document, Into, Loss},
    feeder::gone,
    picker::Picker,
};
use crate::{
    clock::Clock,
    inner::Inner,
    intake::{bytes_of, identity_of},
    rate::Bucket,
    settings::CHUNK_BYTES,
};
use control::{Model, Topic, usage::Exceeded};
use event::{
    EventView, identity,
    record_binding::{COPY_HEADER, DEAD_LETTER_HEADER, REPLAY_HEADER},
};
use journal::{Append, Chunk, Deduplicate, EncodedRecord, Entry, PartitionId, RecordView, TopicId};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use store::{BusId, Millis};
use tokio::time::Instant;

/// Records of one append: what a crash may publish twice.
const APPEND_RECORDS_MAX: usize = 1_000;
/// With a rate, appends are so far apart: each is a sync.
const APPEND_INTERVAL: Duration = Duration::from_millis(100);

/// Publishes what belongs to one replay.
pub struct Publisher {
    picker: Picker,
    bucket: Bucket,
    clock: Clock,
    turn: usize,
    /// What was read of a stretch and waits for its turn; and where to read on behind it.
    queue: VecDeque<Waiting>,
    reading: Option<(usize, u64)>,
    /// Records of one append: fewer where a quota does not take so many at once.
    most: usize,
    /// No append before then.
    pub not_before: Option<Instant>,
}

/// A record that waits for its turn.
struct Waiting {
    offset: u64,
    appended: Millis,
    entry: Entry,
}

/// Why a publisher does not go on.
#[derive(Debug)]
pub enum Hindrance {
    /// It may pass.
    Passing(journal::Error),
    /// A quota of the bus is used up for now.
    Quota(Exceeded),
    /// The topic is gone.
    TopicGone,
}

impl Publisher {
    /// One that has published nothing yet.
    pub fn new(document: &Document, picker: Picker, clock: Clock) -> Self {
        Self {
            picker,
            bucket: Bucket::new(document.spec.rate, clock.now()),
            clock,
            turn: 0,
            queue: VecDeque::new(),
            reading: None,
            most: APPEND_RECORDS_MAX,
            not_before: None,
        }
    }

    /// Whether there is something to do.
    pub fn is_done(&self, document: &Document) -> bool {
        self.queue.is_empty() && self.next(document).is_none()
    }

    fn next(&self, document: &Document) -> Option<usize> {
        let count = document.stretches.len();
        let mut turns = (0..count).map(|step| (self.turn + step) % count);
        turns.find(|index| document.stretches[*index].at < document.stretches[*index].to)
    }

    /// Reads a chunk, or publishes some of what was read; the document says afterwards how far it has come.
    pub async fn go_on(&mut self, inner: &Inner, document: &mut Document) -> Result<(), Hindrance> {
        match self.queue.is_empty() {
            true => self.read(inner, document).await,
            false => self.append(inner, document).await,
        }
    }

    async fn read(&mut self, inner: &Inner, document: &mut Document) -> Result<(), Hindrance> {
        let Some(index) = self.next(document) else {
            return Ok(());
        };
        self.turn = index + 1;
        let (model, stretch) = (inner.model.load_full(), document.stretches[index]);
        let (bus, topic) = target(&model, document.into).ok_or(Hindrance::TopicGone)?;
        let partition = stretch.id(document.bus);
        match inner.journal.read(partition, stretch.at, CHUNK_BYTES).await {
            Ok(chunk) => {
                self.take(document, index, &chunk, bus, &topic);
                Ok(())
            }
            Err(error) => {
                let (_, next, reason) = gone(&error, stretch.at, stretch.to).ok_or(Hindrance::Passing(error))?;
                document.lost(Loss {
                    topic: stretch.topic,
                    partition: stretch.partition,
                    from: stretch.at,
                    to: next,
                    reason,
                });
                document.stretches[index].at = next;
                Ok(())
            }
        }
    }

    fn take(&mut self, document: &mut Document, index: usize, chunk: &Chunk, bus: BusId, topic: &Topic) {
        let stretch = document.stretches[index];
        for batch in &chunk.batches {
            let inside = journal::records(batch).filter(|record| (stretch.at..stretch.to).contains(&record.offset));
            for record in inside {
                if let Some(event) = self.picker.pick(&record, batch.append_time, None) {
                    document.counts.matched += 1;
                    let entry = entry(&record, &event, &document.name, bus, topic);
                    self.queue.push_back(Waiting {
                        offset: record.offset,
                        appended: batch.append_time,
                        entry,
                    });
                }
            }
        }
        let next = match chunk.next > stretch.at {
            true => chunk.next.min(stretch.to),
            // Nothing is there, and nothing more comes: the end is durable.
            false => stretch.to,
        };
        self.reading = Some((index, next));
        if self.queue.is_empty() {
            document.stretches[index].at = next;
        }
    }

    /// As many as the rate allows now.
    async fn append(&mut self, inner: &Inner, document: &mut Document) -> Result<(), Hindrance> {
        let Some((index, next)) = self.reading else {
            return Ok(());
        };
        // Before anything is waited for.
        target(&inner.model.load(), document.into).ok_or(Hindrance::TopicGone)?;
        let mut count = 0;
        while count < self.queue.len().min(self.most) {
            match self.bucket.take(self.clock.now()) {
                Ok(()) => count += 1,
                Err(at) => {
                    let wait = at.saturating_sub(self.clock.now()).max(0).unsigned_abs();
                    self.not_before = Some(Instant::now() + Duration::from_millis(wait).max(APPEND_INTERVAL));
                    break;
                }
            }
        }
        if count == 0 {
            return Ok(());
        }
        let entries: Vec<Entry> = self.queue.iter().take(count).map(|one| one.entry.clone()).collect();
        let append = Append { entries };
        self.admit(inner, document, &append)?;
        let appended = match inner.journal.append(append) {
            Ok(durable) => durable.await,
            Err(error) => Err(error),
        };
        match appended {
            Ok(_) => {}
            Err(journal::Error::UnknownPartition(_)) => return Err(Hindrance::TopicGone),
            Err(error) => return Err(Hindrance::Passing(error)),
        }
        let last = self.queue.drain(..count).next_back();
        document.counts.published += count as u64;
        document.newest = document.newest.max(last.as_ref().map(|one| one.appended));
        document.stretches[index].at = match self.queue.is_empty() {
            true => next,
            false => last.map_or(next, |one| one.offset + 1),
        };
        Ok(())
    }
}

impl Publisher {
    /// By the quotas of the bus that it goes to, as anybody who publishes there.
    fn admit(&mut self, inner: &Inner, document: &Document, append: &Append) -> Result<(), Hindrance> {
        let Into::Topic { bus, .. } = document.into else {
            return Ok(());
        };
        let model = inner.model.load();
        let bus = model.buses.values().find(|found| found.id == bus);
        let bus = bus.ok_or(Hindrance::TopicGone)?;
        match inner.within_quotas(bus, append.entries.len(), bytes_of(append)) {
            Ok(()) => {
                self.most = (self.most * 2).min(APPEND_RECORDS_MAX);
                Ok(())
            }
            Err(exceeded) => {
                self.most = (append.entries.len() / 2).max(1);
                self.not_before = Some(Instant::now() + exceeded.retry_after.max(APPEND_INTERVAL));
                Err(Hindrance::Quota(exceeded))
            }
        }
    }
}

/// The topic that a replay goes to, and its bus.
fn target(model: &Model, into: Into) -> Option<(BusId, Arc<Topic>)> {
    let Into::Topic { bus, id } = into else { return None };
    let bus = model.buses.values().find(|found| found.id == bus)?;
    let topic = bus.topics.values().find(|topic| topic.id == id)?;
    Some((bus.id, Arc::clone(topic)))
}

/// The record again, marked, and never taken for a duplicate.
fn entry(record: &RecordView<'_>, event: &EventView<'_>, name: &str, bus: BusId, topic: &Topic) -> Entry {
    let partitions = topic.spec.partitions.max(1);
    let index = match record.key {
        Some(key) => identity::partition_for_key(key, partitions),
        None => identity::partition_for_identity(event.source(), event.id(), partitions),
    };
    let topic = TopicId { bus, topic: topic.id };
    let kept = record
        .headers()
        .filter(|(name, _)| ![COPY_HEADER, DEAD_LETTER_HEADER, REPLAY_HEADER].contains(name));
    let mut headers: Vec<(&str, Option<&[u8]>)> = kept.collect();
    headers.push((REPLAY_HEADER, Some(name.as_bytes())));
    Entry {
        identity: Some(identity_of(event.source(), event.id())),
        deduplicate: Deduplicate::No,
        records: vec![(
            PartitionId { topic, index },
            EncodedRecord::new(record.key, record.value, headers.iter().copied()),
        )],
    }
}
