//! Filters asked by hand: about events that somebody gives or that are stored, and about JSON documents that are no events. It
//! delivers nothing and changes nothing.

use crate::{inner::Inner, matching::with_document, told::not_found};
use bytes::Bytes;
use control::{
    Bus, Refusal, Subscription,
    filters::{self, DATA_NAME, mount_kind},
    limits::{OPERATIONAL_PREFIX, OPERATIONAL_TOPIC},
    resources::FilterSpec,
};
use event::{Event, EventView};
use journal::{PartitionId, StoredBatch, TopicId};
use pattern::{Document, Explanation, Filter, Finding, Surroundings};
use std::sync::Arc;
use store::Millis;

mod data_schema;

pub use data_schema::DataSchema;

/// The most recent events that can be asked for at once.
pub const RECENT_MAX: usize = 100;
/// Partitions that recent events are looked for in: a topic has usually far fewer, and the answer is a sample.
const RECENT_PARTITIONS_MAX: usize = 64;
/// Bytes read of one partition for recent events.
const RECENT_BYTES: usize = 1 << 20;

/// What a filter is asked about.
#[derive(Clone, Debug)]
pub enum Subject {
    /// An event, and when it was appended.
    Event(Box<Event>, Millis),
    /// A JSON text that is no event; a filter's paths begin at its top.
    Document(Bytes),
}

impl Subject {
    /// Reads a JSON text: an event where it has a `specversion`, else a document.
    pub fn read(json: Bytes, now: Millis) -> Result<Self, event::Invalid> {
        #[derive(serde::Deserialize)]
        struct Head {
            specversion: Option<serde::de::IgnoredAny>,
        }
        match serde_json::from_slice::<Head>(&json) {
            Ok(Head { specversion: Some(_) }) => {
                let event = event::json::decode_structured(&json)?;
                Ok(Self::Event(Box::new(event), now))
            }
            _ => Ok(Self::Document(json)),
        }
    }

    fn with_document<T>(&self, ask: impl FnOnce(&Document<'_>) -> T) -> T {
        match self {
            Self::Event(event, appended) => with_document(&event.view(), *appended, &mut Default::default(), ask),
            Self::Document(json) => ask(&Document::bare(json)),
        }
    }
}

/// A filter that is asked by hand.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// Types and filter, over events.
    filter: Arc<Filter>,
    /// The same over documents that are no events, or why it cannot be asked about them.
    bare: Result<Filter, &'static str>,
    /// The text of an EventBridge pattern.
    pattern: Option<String>,
}

impl Inquiry {
    /// Types and filter, or where and why they do not compile.
    pub fn of(types: Option<&[String]>, filter: Option<&FilterSpec>) -> Result<Self, Refusal> {
        let compiled = filters::compile_parts(types, filter)?;
        let bare = match (types, filter.map(filters::compile_bare)) {
            (Some(_), _) => Err("event types are asked about events, and this is none: it has no specversion"),
            (None, None) => Ok(Filter::everything()),
            (None, Some(Some(bare))) => Ok(bare?),
            (None, Some(None)) => Err("this filter is asked about events, and this is none: it has no specversion"),
        };
        let pattern = match filter {
            Some(FilterSpec::EventBridge(text, _)) => Some(text.as_str().to_owned()),
            _ => None,
        };
        Ok(Self {
            filter: compiled,
            bare,
            pattern,
        })
    }

    /// What a subscription asks for.
    pub fn of_subscription(subscription: &Subscription) -> Result<Self, Refusal> {
        Self::of(subscription.spec.types.as_deref(), subscription.spec.filter.as_ref())
    }

    /// The filter's answer with its reasons, or why it cannot be asked.
    pub fn explain(&self, subject: &Subject) -> Result<Explanation, &'static str> {
        let filter = match subject {
            Subject::Event(..) => &*self.filter,
            Subject::Document(_) => self.bare.as_ref().map_err(|reason| *reason)?,
        };
        Ok(subject.with_document(|document| pattern::explain(filter, document)))
    }

    /// What is odd about the filter, by itself and in the light of what is known of the data and of these subjects.
    pub fn lint(&self, subjects: &[Subject], schema: &DataSchema) -> Vec<Finding> {
        let about_documents = matches!(subjects.first(), Some(Subject::Document(_)));
        let filter = match &self.bare {
            Ok(bare) if about_documents => bare,
            _ => &*self.filter,
        };
        let alike = |subject: &&Subject| matches!(subject, Subject::Document(_)) == about_documents;
        let samples = |ask: &mut dyn FnMut(&Document<'_>)| {
            let alike = subjects.iter().filter(alike);
            alike.for_each(|subject| subject.with_document(&mut *ask));
        };
        let surroundings = Surroundings {
            mount: if about_documents { None } else { Some(&mount_kind) },
            data_name: if about_documents { None } else { Some(DATA_NAME) },
            schema: schema.json(),
            samples: Some(&samples),
        };
        let mut findings = self
            .pattern
            .as_ref()
            .map_or_else(Vec::new, |text| pattern::lint_text(text.as_bytes()));
        findings.extend(pattern::lint(filter, &surroundings));
        schema.weigh(&mut findings);
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        findings
    }
}

/// Which of the last events are asked about: those that a subscription like this would read.
#[derive(Clone, Copy, Debug)]
pub struct Recent<'q> {
    /// Of these topics; absent: of the whole bus, without operational events unless `types` ask for them.
    pub topics: Option<&'q [String]>,
    /// The types that are asked for; the other events are found all the same.
    pub types: Option<&'q [String]>,
    /// At most so many, and at most [`RECENT_MAX`].
    pub last: usize,
}

impl Recent<'_> {
    /// As a subscription reads: see `SubscriptionSpec::reads`.
    fn reads(&self, topic: &str) -> bool {
        let mut types = self.types.into_iter().flatten();
        match self.topics {
            Some(topics) => topics.iter().any(|wanted| wanted == topic),
            None => topic != OPERATIONAL_TOPIC || types.any(|wanted| wanted.starts_with(OPERATIONAL_PREFIX)),
        }
    }
}

/// The last events of a bus, the latest first.
pub(crate) async fn recent(inner: &Inner, bus: &Bus, wanted: Recent<'_>) -> Vec<Subject> {
    let limit = wanted.last.min(RECENT_MAX);
    let partitions = bus
        .topics
        .values()
        .filter(|topic| wanted.reads(&topic.name))
        .flat_map(|topic| {
            let of = TopicId {
                bus: bus.id,
                topic: topic.id,
            };
            (0..topic.spec.partitions).map(move |index| PartitionId { topic: of, index })
        });
    let mut found = Vec::new();
    for partition in partitions.take(RECENT_PARTITIONS_MAX) {
        // A topic that is being made or is damaged has nothing to show.
        let Ok(bounds) = inner.journal.bounds(partition) else {
            continue;
        };
        let from = bounds.high_water.saturating_sub(limit as u64).max(bounds.start);
        let Ok(chunk) = inner.journal.read(partition, from, RECENT_BYTES).await else {
            continue;
        };
        found.extend(chunk.batches.iter().flat_map(events));
    }
    found.sort_by_key(|(appended, _)| std::cmp::Reverse(*appended));
    found.truncate(limit);
    let subject = |(appended, event)| Subject::Event(Box::new(event), appended);
    found.into_iter().map(subject).collect()
}

/// The event at a position of a bus; `None`: there is none.
pub(crate) async fn at(
    inner: &Inner,
    bus: &Bus,
    topic: &str,
    index: u32,
    offset: u64,
) -> Result<Option<Subject>, crate::Error> {
    let missing = || not_found(format!("topic {topic:?} does not exist"));
    let topic = bus.topics.get(topic).ok_or_else(missing)?;
    let of = TopicId {
        bus: bus.id,
        topic: topic.id,
    };
    if index >= topic.spec.partitions {
        return Ok(None);
    }
    let Ok(chunk) = inner.journal.read(PartitionId { topic: of, index }, offset, 1).await else {
        return Ok(None);
    };
    let mut records = chunk
        .batches
        .iter()
        .flat_map(|batch| journal::records(batch).map(move |record| (batch.append_time, record)));
    let found = records.find(|(_, record)| record.offset == offset);
    Ok(found.and_then(|(appended, record)| {
        let event = EventView::from_record(record.headers(), record.value)?
            .to_event()
            .ok()?;
        Some(Subject::Event(Box::new(event), appended))
    }))
}

/// The events of a batch; what is no event is left out.
fn events(batch: &StoredBatch) -> Vec<(Millis, Event)> {
    let event = |record: journal::RecordView<'_>| {
        let event = EventView::from_record(record.headers(), record.value)?
            .to_event()
            .ok()?;
        Some((batch.append_time, event))
    };
    journal::records(batch).filter_map(event).collect()
}
