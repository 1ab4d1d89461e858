//! From a stored record to the subscriptions that want it: the document that filters see, and which version of a
//! subscription speaks for an offset. It reads nothing and hands nothing over.

use control::filters::{AWS_ACCOUNT_DEFAULT, AWS_REGION_DEFAULT, AWS_VERSION, paths};
use event::{AttributeKind, EventView, record_binding::COPY_HEADER};
use journal::{PartitionId, RecordView};
use pattern::{Data, Document, Filter, Matcher, Scratch};
use smallvec::SmallVec;
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

/// The primary topic of a copy on a secondary one.
pub fn copy_of(record: &RecordView<'_>) -> Option<u32> {
    let mut headers = record.headers();
    let (_, value) = headers.find(|(name, _)| *name == COPY_HEADER)?;
    std::str::from_utf8(value?).ok()?.parse().ok()
}

/// Memory that matching uses again and again.
#[derive(Debug, Default)]
pub struct Sieve {
    scratch: Scratch,
    matched: Vec<SubscriptionId>,
    /// The last append time that was written out, in seconds, and how.
    time: (i64, String),
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
            with_document(event, appended, &mut self.time, |document| {
                matcher.matches(document, scratch, matched)
            });
        }
        &self.matched
    }

    /// Whether one filter wants an event.
    pub fn matches_one(&mut self, filter: &Filter, event: &EventView<'_>, appended: Millis) -> bool {
        let scratch = &mut self.scratch;
        filter.is_everything()
            || with_document(event, appended, &mut self.time, |document| {
                filter.matches_with(document, scratch)
            })
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

/// Asks about the document that filters see of an event.
pub fn with_document<T>(
    event: &EventView<'_>,
    appended: Millis,
    written: &mut (i64, String),
    ask: impl FnOnce(&Document<'_>) -> T,
) -> T {
    let cut = event.time().map(cut_to_the_second);
    let extensions: SmallVec<[String; 4]> = event
        .extensions()
        .iter()
        .map(|extension| [paths::ATTRIBUTES, extension.name].concat())
        .collect();
    let time = match &cut {
        Some(cut) => cut.as_str(),
        None => write_time(appended, written),
    };
    let mut document = Document::new()
        .text(paths::TYPE, event.event_type())
        .text(paths::SOURCE, event.source())
        .text(paths::ID, event.id())
        .text(paths::SPECVERSION, event::SPECVERSION)
        .text(paths::AWS_TIME, time)
        .text(paths::AWS_VERSION, AWS_VERSION)
        .text(
            paths::AWS_ACCOUNT,
            event.extension("awsaccount").unwrap_or(AWS_ACCOUNT_DEFAULT),
        )
        .text(
            paths::AWS_REGION,
            event.extension("awsregion").unwrap_or(AWS_REGION_DEFAULT),
        )
        .json_list(paths::AWS_RESOURCES, event.extension("awsresources").unwrap_or("[]"));
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
    for (path, extension) in extensions.iter().zip(event.extensions()) {
        document = match extension.kind {
            AttributeKind::String => document.text(path, extension.value),
            AttributeKind::Integer => document.integer(path, extension.value),
            AttributeKind::Boolean => document.boolean(path, extension.value),
        };
    }
    ask(&document.data(event.data_json().map_or(Data::Absent, Data::Json)))
}

/// RFC 3339 without the fraction of a second.
fn cut_to_the_second(time: &str) -> String {
    let Some((whole, rest)) = time.split_once('.') else {
        return time.to_owned();
    };
    let zone = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
    [whole, zone].concat()
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
mod tests {
    use super::*;
    use control::{filters::paths as control_paths, resources::TopicSpec};
    use event::Event;
    use pattern::Mounts;

    fn check(pattern: &str, event: &Event, expected: bool) {
        let names = [
            ("detail", control_paths::DATA),
            ("detail-type", control_paths::TYPE),
            ("time", control_paths::AWS_TIME),
            ("account", control_paths::AWS_ACCOUNT),
            ("resources", control_paths::AWS_RESOURCES),
        ];
        let mounts = names
            .iter()
            .fold(Mounts::builder(), |mounts, (name, path)| mounts.mount(name, path))
            .build();
        let filter = Filter::eventbridge(pattern.as_bytes(), &mounts).unwrap();
        let found = Sieve::default().matches_one(&filter, &event.view(), 1_700_000_000_123);
        assert_eq!(found, expected, "{pattern}");
        assert_eq!(why_not(&filter, &event.view(), 1_700_000_000_123).is_none(), expected);
    }

    fn event(time: Option<&str>) -> Event {
        let builder = Event::builder("1", "/s", "order").data(event::Data::json(r#"{"status": "paid"}"#));
        let builder = builder.extension("awsresources", r#"["arn:1"]"#);
        time.into_iter()
            .fold(builder, event::EventBuilder::time)
            .build()
            .unwrap()
    }

    #[test]
    fn eventbridge_patterns_see_an_event_from_any_door() {
        let event = event(None);
        check(
            r#"{"detail": {"status": ["paid"]}, "detail-type": ["order"]}"#,
            &event,
            true,
        );
        check(r#"{"detail": {"status": ["open"]}}"#, &event, false);
        check(r#"{"resources": ["arn:1"], "account": ["000000000000"]}"#, &event, true);
    }

    #[test]
    fn time_is_cut_to_the_second_and_the_append_time_where_there_is_none() {
        check(
            r#"{"time": ["2026-01-02T03:04:05Z"]}"#,
            &event(Some("2026-01-02T03:04:05.678Z")),
            true,
        );
        check(r#"{"time": ["2023-11-14T22:13:20Z"]}"#, &event(None), true);
    }

    #[test]
    fn expressions_see_attributes_with_their_types() {
        let typed = |name: &str, value: &str, kind| event::Extension {
            name: name.into(),
            value: value.into(),
            kind,
        };
        let event = Event::builder("1", "/s", "order")
            .typed_extension(typed("hops", "5", AttributeKind::Integer))
            .typed_extension(typed("urgent", "true", AttributeKind::Boolean))
            .extension("sequence", "05")
            .build()
            .unwrap();
        let check = |expression: &str, expected: bool| {
            let filter = Filter::cesql(expression, pattern::Dialect::Standard).unwrap();
            let found = Sieve::default().matches_one(&filter, &event.view(), 1_700_000_000_123);
            assert_eq!(found, expected, "{expression}");
        };
        check("specversion = '1.0' AND type LIKE 'ord%'", true);
        check("'05' = hops AND '05' = sequence", true);
        check("'5' = sequence", false);
        check("urgent AND hops + 1 = 6", true);
        check("EXISTS time", false);
    }

    #[test]
    fn an_earlier_rule_speaks_below_its_boundary_only() {
        let _ = TopicSpec::default();
        let partition = Partition { topic: 1, index: 0 };
        let rule = |version| Rule {
            version,
            filter: Arc::new(Filter::everything()),
            topics: BTreeSet::from([1]),
        };
        let earlier = |version, offset| Earlier {
            rule: rule(version),
            boundary: BTreeMap::from([(partition, offset)]),
        };
        let rules = Rules {
            current: rule(3),
            earlier: vec![earlier(1, 10), earlier(2, 20)],
        };
        let speaks = [9, 10, 19, 20].map(|offset| rules.at(partition, offset).version);
        assert_eq!(speaks, [1, 2, 2, 3]);
        assert_eq!(rules.at(Partition { index: 1, ..partition }, 0).version, 3);
    }
}
