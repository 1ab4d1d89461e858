//! Live tails: somebody looks on while events come. A tail that starts in the past reads the journal at its reader's own pace until it
//! has caught up; from then on one hub reads the journal once for all tails (and only while there are any), asks one matcher, and
//! hands each tail what it wants through a bounded queue. A reader that is slower than the events loses some, and is told how many.
//!
//! Nothing here is delivered, remembered or waited for: a tail has no position but the one that its reader keeps.

mod cursor;
mod hub;
mod queue;

pub use cursor::Cursor;
pub(crate) use hub::Hubs;

use crate::{
    Error,
    inner::Inner,
    matching::{Sieve, copy_of},
    settings::CHUNK_BYTES,
    told::not_found,
};
use bytes::Bytes;
use control::{Bus, Refusal, counted, filters, limits::OPERATIONAL_PREFIX, resources::FilterSpec};
use event::EventView;
use hub::Membership;
use journal::{AppendTime, Chunk, PartitionId, RecordView, TopicId};
use pattern::Filter;
use queue::Popped;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

/// Records that a tail may be behind when the hub takes over; it reads them itself meanwhile.
const JOIN_RECORDS_MAX: u64 = 1_000;

/// What a tail shows, and since when.
#[derive(Clone, Debug, Default)]
pub struct LiveRequest {
    /// Topics; absent: the whole bus, each event once, new topics included, operational events only if `types` asks for them.
    pub topics: Option<Vec<String>>,
    /// Event types, as a subscription has them; absent: all.
    pub types: Option<Vec<String>>,
    /// A filter, as a subscription has it; absent: none.
    pub filter: Option<FilterSpec>,
    /// Since when.
    pub start: LiveStart,
}

/// Where a tail begins.
#[derive(Clone, Debug, Default)]
pub enum LiveStart {
    /// With what comes.
    #[default]
    Now,
    /// With the first event that is kept.
    Earliest,
    /// With the first event that was appended then or later, in milliseconds since the epoch.
    Time(i64),
    /// At offsets of partitions of the one topic asked for; the others begin now.
    Offsets(BTreeMap<u32, u64>),
    /// Where another tail was.
    At(Cursor),
}

/// What a tail tells.
#[derive(Clone, Debug)]
pub enum Told {
    /// An event that is wanted.
    Event(LiveEvent),
    /// So many events were not told, because the reader was slower than they came or they are not kept any more.
    Skipped(u64),
}

/// An event, where it stands and when it came.
#[derive(Clone, Debug)]
pub struct LiveEvent {
    /// The topic's name.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The offset.
    pub offset: u64,
    /// When it was appended, in milliseconds since the epoch.
    pub received: i64,
    /// The record that holds it.
    pub record: Bytes,
}

/// Which topics a tail reads.
#[derive(Clone, Debug)]
struct Wanted {
    bus: u32,
    /// `None`: all of the bus.
    topics: Option<BTreeSet<u32>>,
    /// Whether operational events are of the whole bus: only where their types are asked for, as with subscriptions.
    operational: bool,
}

impl Wanted {
    fn reads(&self, topic: TopicId) -> bool {
        topic.bus == self.bus && self.has(topic.topic)
    }

    fn has(&self, topic: u32) -> bool {
        self.topics.as_ref().is_none_or(|topics| topics.contains(&topic))
    }

    /// Whether a record that the filter wants is to be told: not the copy of one that is read on its primary topic.
    fn takes(&self, record: &RecordView<'_>, event: &EventView<'_>) -> bool {
        let is_ours = event.event_type().starts_with(OPERATIONAL_PREFIX);
        let is_meant = !is_ours || self.operational || self.topics.is_some();
        is_meant && !copy_of(record).is_some_and(|primary| self.has(primary))
    }
}

/// A record that a tail wants, copied out of its batch.
#[derive(Clone, Debug)]
struct Item {
    partition: PartitionId,
    offset: u64,
    appended: AppendTime,
    record: Bytes,
}

/// A stretch of a partition that the tail reads by itself.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    partition: PartitionId,
    from: u64,
    until: u64,
}

enum Phase {
    /// Reads by itself.
    Alone,
    /// The hub reads for it; what lay between is still read alone.
    Joined(Membership),
    /// The journal or the core is gone.
    Ended,
}

/// A tail. Dropping it leaves nothing behind.
pub struct LiveTail {
    inner: Arc<Inner>,
    wanted: Wanted,
    filter: Arc<Filter>,
    sieve: Sieve,
    /// Where the reader is: what it has been told, or has not wanted, lies below.
    reached: Cursor,
    phase: Phase,
    stretches: VecDeque<Stretch>,
    /// Of one chunk of the first stretch, and where that chunk ended.
    items: VecDeque<Item>,
    chunk_end: Option<(PartitionId, u64)>,
}

/// Opens a tail.
pub(crate) async fn open(inner: &Arc<Inner>, bus: &str, request: LiveRequest) -> Result<LiveTail, Error> {
    let model = inner.model.load_full();
    let bus = model.bus(bus)?;
    let mut types = request.types.iter().flatten();
    let wanted = Wanted {
        bus: bus.id,
        operational: types.any(|name| name.starts_with(OPERATIONAL_PREFIX)),
        topics: request.topics.as_deref().map(|names| numbers(bus, names)).transpose()?,
    };
    let filter = filters::compile_parts(request.types.as_deref(), request.filter.as_ref())?;
    let reached = begin(inner, &wanted, &request.start).await?;
    Ok(LiveTail {
        inner: Arc::clone(inner),
        wanted,
        filter,
        sieve: Sieve::default(),
        reached,
        phase: Phase::Alone,
        stretches: VecDeque::new(),
        items: VecDeque::new(),
        chunk_end: None,
    })
}

fn numbers(bus: &Bus, names: &[String]) -> Result<BTreeSet<u32>, Error> {
    let number = |name: &String| {
        let missing = || Error::from(not_found(format!("topic {name:?} does not exist")));
        bus.topics.get(name).map(|topic| topic.id).ok_or_else(missing)
    };
    names.iter().map(number).collect()
}

/// Where every partition begins.
async fn begin(inner: &Inner, wanted: &Wanted, start: &LiveStart) -> Result<Cursor, Error> {
    if let LiveStart::Offsets(_) = start
        && wanted.topics.as_ref().is_none_or(|topics| topics.len() != 1)
    {
        return Err(Refusal::invalid("", "offsets are of the partitions of one topic".to_owned()).into());
    }
    let partitions = inner.journal.partitions();
    if let LiveStart::Offsets(offsets) = start {
        let read = partitions.iter().filter(|partition| wanted.reads(partition.topic));
        let count = read.count();
        if offsets.keys().any(|index| *index as usize >= count) {
            let has = counted(count as u64, "partition");
            return Err(Refusal::invalid("", format!("the topic has {has}, from 0 on")).into());
        }
    }
    let mut cursor = Cursor::default();
    for partition in partitions {
        if !wanted.reads(partition.topic) {
            continue;
        }
        let Ok(bounds) = inner.journal.bounds(partition) else {
            continue;
        };
        let offset = match start {
            LiveStart::Now => bounds.high_water,
            LiveStart::Earliest => bounds.start,
            LiveStart::Time(time) => inner.journal.offset_at(partition, *time).await?,
            LiveStart::Offsets(offsets) => offsets.get(&partition.index).map_or(bounds.high_water, |offset| {
                (*offset).clamp(bounds.start, bounds.high_water)
            }),
            LiveStart::At(at) => at.get(partition).min(bounds.high_water),
        };
        cursor.set(partition, offset);
    }
    Ok(cursor)
}

impl LiveTail {
    /// Where the reader is, for a later tail that goes on from here.
    pub fn cursor(&self) -> &Cursor {
        &self.reached
    }

    /// Whether all that it shows has been deleted; what has the same name since is something else.
    pub fn is_gone(&self) -> bool {
        let model = self.inner.model.load();
        let bus = model.buses.values().find(|bus| bus.id == self.wanted.bus);
        bus.is_none_or(|bus| {
            !bus.topics.values().any(|topic| self.wanted.has(topic.id)) && self.wanted.topics.is_some()
        })
    }

    /// What comes next; `None` when the core ends. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some(item) = self.items.pop_front() {
                return Some(self.tell(item));
            }
            if let Some((partition, end)) = self.chunk_end.take() {
                self.reached.set(partition, end);
            }
            if let Some(stretch) = self.stretches.front().copied() {
                if let Some(skipped) = self.read(stretch).await {
                    return Some(Told::Skipped(skipped));
                }
                continue;
            }
            match &mut self.phase {
                Phase::Alone => self.go_on().await,
                Phase::Joined(membership) => match membership.next().await {
                    Some(Popped::Item(item)) if item.offset < self.reached.get(item.partition) => {}
                    Some(Popped::Item(item)) => return Some(self.tell(item)),
                    Some(Popped::Skipped(events)) => return Some(Told::Skipped(events)),
                    None => self.phase = Phase::Ended,
                },
                Phase::Ended => return None,
            }
        }
    }

    fn tell(&mut self, item: Item) -> Told {
        self.reached.set(item.partition, item.offset + 1);
        let model = self.inner.model.load();
        let bus = model.buses.values().find(|bus| bus.id == self.wanted.bus);
        let topic = bus.and_then(|bus| bus.topics.values().find(|topic| topic.id == item.partition.topic.topic));
        Told::Event(LiveEvent {
            topic: topic.map_or_else(String::new, |topic| topic.name.clone()),
            partition: item.partition.index,
            offset: item.offset,
            received: item.appended,
            record: item.record,
        })
    }

    /// Finds what lies ahead: read alone while it is much, with the hub once it is little.
    async fn go_on(&mut self) {
        let ahead = self.ahead();
        let records: u64 = ahead.iter().map(|stretch| stretch.until - stretch.from).sum();
        if records > JOIN_RECORDS_MAX {
            self.stretches = ahead;
            return;
        }
        let joined = self
            .inner
            .live
            .join(&self.inner.journal, self.wanted.clone(), &self.filter)
            .await;
        let Some((membership, starts)) = joined else {
            self.phase = Phase::Ended;
            return;
        };
        let between = starts.into_iter().filter_map(|(partition, until)| {
            let from = self.reached.get(partition);
            (from < until).then_some(Stretch { partition, from, until })
        });
        self.stretches = between.collect();
        self.phase = Phase::Joined(membership);
    }

    fn ahead(&self) -> VecDeque<Stretch> {
        let journal = &self.inner.journal;
        let of = |partition: PartitionId| {
            let until = journal.bounds(partition).ok()?.high_water;
            let from = self.reached.get(partition);
            (from < until).then_some(Stretch { partition, from, until })
        };
        let partitions = journal.partitions().into_iter();
        partitions
            .filter(|partition| self.wanted.reads(partition.topic))
            .filter_map(of)
            .collect()
    }

    /// Reads a chunk of the first stretch; `Some`: so many records are not there any more.
    async fn read(&mut self, stretch: Stretch) -> Option<u64> {
        let Stretch { partition, from, until } = stretch;
        let read = self.inner.journal.read(partition, from, CHUNK_BYTES).await;
        let (next, skipped) = match read {
            Ok(chunk) => {
                self.take(partition, from, &chunk);
                // An empty chunk below the end would be read for ever.
                (if chunk.next > from { chunk.next } else { until }, None)
            }
            Err(error) => {
                let next = after(&error, until).max(from + 1);
                self.reached.set(partition, next);
                (next, Some(next - from))
            }
        };
        self.stretches.pop_front();
        if next < until {
            // The others come in between.
            self.stretches.push_back(Stretch { from: next, ..stretch });
        }
        if skipped.is_none() {
            self.chunk_end = Some((partition, next));
        }
        skipped
    }

    fn take(&mut self, partition: PartitionId, from: u64, chunk: &Chunk) {
        for batch in &chunk.batches {
            for record in journal::records(batch).filter(|record| record.offset >= from) {
                let Some(event) = EventView::from_record(record.headers(), record.value) else {
                    continue;
                };
                if self.sieve.matches_one(&self.filter, &event, batch.append_time) && self.wanted.takes(&record, &event)
                {
                    self.items.push_back(item(partition, &record, batch.append_time));
                }
            }
        }
    }
}

fn item(partition: PartitionId, record: &RecordView<'_>, appended: AppendTime) -> Item {
    Item {
        partition,
        offset: record.offset,
        appended,
        record: Bytes::copy_from_slice(record.body),
    }
}

/// Where reading goes on after a failure.
fn after(error: &journal::Error, until: u64) -> u64 {
    match error {
        journal::Error::OutOfRange { start, .. } => *start,
        journal::Error::Damaged(damage) => damage.to,
        _ => until,
    }
}
