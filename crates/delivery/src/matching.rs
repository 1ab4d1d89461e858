//! From a stored record to the subscriptions that want it: the document that filters see, and which version of a
//! subscription speaks for an offset. It reads nothing and hands nothing over.

use control::filters::paths;
use event::{
    AttributeKind, EventView,
    eventbridge::{self, envelope_time},
    record_binding::{COPY_HEADER, DEAD_LETTER_HEADER},
};
use journal::{PartitionId, RecordView};
use pattern::{Data, Document, Filter, Matcher, Scratch};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use store::{Millis, Partition, Revision, SubscriptionId};

/// What one version of a subscription asks for.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The version.
    pub version: Revision,
    /// Types and filter.
    pub filter: Arc<Filter>,
    /// Topics that it reads.
    pub topics: BTreeSet<u32>,
}

/// A subscription's rules: the one in force, and earlier ones with the offsets below which they still speak.
#[derive(Clone, Debug)]
pub struct Rules {
    /// In force from the boundaries on.
    pub current: Rule,
    /// Oldest first.
    pub earlier: Vec<Earlier>,
}

/// A rule that speaks for offsets below its boundary.
#[derive(Clone, Debug)]
pub struct Earlier {
    /// The rule.
    pub rule: Rule,
    /// By partition; where there is none, it does not speak.
    pub boundary: BTreeMap<Partition, u64>,
}

impl Rules {
    /// The rule for an offset.
    pub fn at(&self, partition: Partition, offset: u64) -> &Rule {
        let speaks = |earlier: &&Earlier| {
            earlier
                .boundary
                .get(&partition)
                .is_some_and(|boundary| offset < *boundary)
        };
        self.earlier
            .iter()
            .find(speaks)
            .map_or(&self.current, |earlier| &earlier.rule)
    }

    /// From this offset on only the rule in force speaks.
    pub fn boundary(&self, partition: Partition) -> u64 {
        let boundaries = self
            .earlier
            .iter()
            .filter_map(|earlier| earlier.boundary.get(&partition));
        boundaries.copied().max().unwrap_or_default()
    }

    /// Whether any of them reads a topic.
    pub fn reads(&self, topic: u32) -> bool {
        self.current.topics.contains(&topic) || self.earlier.iter().any(|earlier| earlier.rule.topics.contains(&topic))
    }
}

/// The store's name of a partition.
pub fn stored(partition: PartitionId) -> Partition {
    Partition {
        topic: partition.topic.topic,
        index: partition.index,
    }
}

/// The topic that an event was read on first, of a copy on a secondary one or of a dead letter.
pub fn copy_of(record: &RecordView<'_>) -> Option<u32> {
    let mut headers = record.headers();
    let (name, value) = headers.find(|(name, _)| [COPY_HEADER, DEAD_LETTER_HEADER].contains(name))?;
    let value = std::str::from_utf8(value?).ok()?;
    let topic = match name {
        COPY_HEADER => value,
        _ => value.split_once('/')?.0,
    };
    topic.parse().ok()
}

/// Memory that matching uses again and again.
#[derive(Debug, Default)]
pub struct Sieve {
    scratch: Scratch,
    matched: Vec<SubscriptionId>,
    times: Times,
}

/// Times as EventBridge writes them.
#[derive(Debug, Default)]
pub struct Times {
    /// The last append time that was written out, in seconds, and how.
    appended: (i64, String),
    /// The time of the last event that had one otherwise than in UTC to the second.
    written: String,
}

impl Sieve {
    /// The subscriptions of a topic's matcher that want an event, in order.
    pub fn matches(
        &mut self,
        matcher: &Matcher<SubscriptionId>,
        event: &EventView<'_>,
        appended: Millis,
    ) -> &[SubscriptionId] {
        self.matched.clear();
        if !matcher.is_empty() {
            let (scratch, matched) = (&mut self.scratch, &mut self.matched);
            with_document(event, appended, &mut self.times, |document| {
                matcher.matches(document, scratch, matched)
            });
        }
        &self.matched
    }

    /// Whether one filter wants an event.
    pub fn matches_one(&mut self, filter: &Filter, event: &EventView<'_>, appended: Millis) -> bool {
        let scratch = &mut self.scratch;
        filter.is_everything()
            || with_document(event, appended, &mut self.times, |document| {
                filter.matches_with(document, scratch)
            })
    }

    /// The same of an event that a replay of this name brings, which filters see.
    pub fn matches_replayed(
        &mut self,
        filter: &Filter,
        event: &EventView<'_>,
        appended: Millis,
        replay_name: &str,
    ) -> bool {
        filter.is_everything() || {
            let document = document(event, appended, &mut self.times).text(paths::AWS_REPLAY_NAME, replay_name);
            filter.matches_with(&document, &mut self.scratch)
        }
    }
}

/// Why a filter does not want an event; `None`: it does.
pub fn why_not(filter: &Filter, event: &EventView<'_>, appended: Millis) -> Option<String> {
    with_document(event, appended, &mut Default::default(), |document| {
        let explanation = pattern::explain(filter, document);
        let unknown = || "the filter does not match".to_owned();
        (!explanation.matched).then(|| explanation.first_reason().unwrap_or_else(unknown))
    })
}

/// Asks about the document that filters see of an event. Once its memory is warm it allocates nothing, but for an event with
/// more extensions than a document holds in place.
pub fn with_document<T>(
    event: &EventView<'_>,
    appended: Millis,
    times: &mut Times,
    ask: impl FnOnce(&Document<'_>) -> T,
) -> T {
    ask(&document(event, appended, times))
}

#[inline]
fn document<'a>(event: &EventView<'a>, appended: Millis, times: &'a mut Times) -> Document<'a> {
    let time = match event.time() {
        Some(time) => envelope_time(time, &mut times.written),
        None => write_time(appended, &mut times.appended),
    };
    let mut document = Document::new()
        .text(paths::TYPE, event.event_type())
        .text(paths::SOURCE, event.source())
        .text(paths::ID, event.id())
        .text(paths::SPECVERSION, event::SPECVERSION)
        .text(paths::AWS_SOURCE, eventbridge::source(event))
        .text(paths::AWS_TIME, time)
        .text(paths::AWS_VERSION, eventbridge::VERSION)
        .text(paths::AWS_ACCOUNT, eventbridge::account(event))
        .text(paths::AWS_REGION, eventbridge::region(event))
        .json_list(paths::AWS_RESOURCES, eventbridge::resources_json(event));
    let optional = [
        ("/attr/subject", event.subject()),
        ("/attr/time", event.time()),
        ("/attr/datacontenttype", event.data_content_type()),
        ("/attr/dataschema", event.data_schema()),
    ];
    for (path, value) in optional {
        if let Some(value) = value {
            document = document.text(path, value);
        }
    }
    for extension in event.extensions() {
        let path = extension.name;
        document = match extension.kind {
            AttributeKind::String => document.text(path, extension.value),
            AttributeKind::Integer => document.integer(path, extension.value),
            AttributeKind::Boolean => document.boolean(path, extension.value),
        };
    }
    document.data(data(event))
}

/// JSON that intake has checked is not checked again.
fn data<'a>(event: &EventView<'a>) -> Data<'a> {
    match event.data_json() {
        Some(json) if event.json_is_checked() => Data::WellFormed(json),
        Some(json) => Data::Json(json),
        None => Data::Absent,
    }
}

/// RFC 3339 of an append time; events come in order, so the last one is often right.
fn write_time(appended: Millis, written: &mut (i64, String)) -> &str {
    let second = appended.div_euclid(1_000);
    if written.0 != second || written.1.is_empty() {
        let time = jiff::Timestamp::from_second(second).unwrap_or_default();
        *written = (second, time.to_string());
    }
    &written.1
}

#[cfg(test)]
mod tests;
