//! Archives. The journal is the archive: an archive says which of a bus's events may be replayed, and has the bus's topics keep them.

use super::{
    super::{asked::Asked, fault::Fault, names},
    changing::{Together, annotate, together},
    page::{self, Paging},
    record::{self, ARCHIVE},
    rules::check_pattern,
    target::named_in,
};
use control::{
    Bus, Model, Precondition,
    limits::OPERATIONAL_TOPIC,
    resources::{EventTypeSpec, ResourceKind, Scope},
};
use journal::{PartitionId, TopicId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// Characters of a name, by the model.
const NAME_MAX: usize = 48;
/// States of an archive, by the model.
const STATES: [&str; 6] = [
    ENABLED,
    "DISABLED",
    "CREATING",
    "UPDATING",
    "CREATE_FAILED",
    "UPDATE_FAILED",
];
/// The one that an archive here has.
const ENABLED: &str = "ENABLED";
const DAY: Duration = Duration::from_secs(86_400);
/// Days that an archive can keep events for: a hundred years; 0 is for ever.
const DAYS_MAX: i64 = 36_500;

/// An archive, as it is remembered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Archive {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    days: i64,
    created: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    archive_name: Option<String>,
    event_source_arn: Option<String>,
    description: Option<String>,
    event_pattern: Option<String>,
    retention_days: Option<i64>,
    state: Option<String>,
    kms_key_identifier: Option<Value>,
}

impl Input {
    fn check(&self) -> Result<(), Fault> {
        record::description(self.description.as_ref())?;
        record::refuse(
            self.kms_key_identifier.as_ref(),
            "KmsKeyIdentifier",
            "keys of AWS KMS are not used here.",
        )?;
        if let Some(days) = self.retention_days.filter(|days| !(0..=DAYS_MAX).contains(days)) {
            let rule = "Member must have a value between 0 and 36500";
            return Err(Fault::constraint(&days.to_string(), "retentionDays", rule));
        }
        self.event_pattern.as_deref().map_or(Ok(()), check_pattern)
    }
}

pub(super) fn arn(region: &str, name: &str) -> String {
    names::arn(region, ARCHIVE, name)
}

/// An archive and its bus, if the caller may do this there.
pub(super) fn find<'m>(asked: &Asked, model: &'m Model, name: &str, scope: Scope) -> Option<(&'m Arc<Bus>, Archive)> {
    let mut buses = model.buses.values().filter(|bus| asked.may(&bus.name, scope));
    buses.find_map(|bus| Some((bus, record::get(&bus.spec.annotations, ARCHIVE, name)?)))
}

/// The name in an archive's ARN.
pub(super) fn of_arn(arn: &str) -> Option<&str> {
    named_in(arn).filter(|(kind, _)| *kind == ARCHIVE).map(|(_, name)| name)
}

fn named<'a>(asked: &'a Asked, input: &'a Input, scope: Scope) -> Result<(&'a Arc<Bus>, &'a str, Archive), Fault> {
    let name = record::required(input.archive_name.as_ref(), "archiveName")?;
    let missing = || Fault::not_found(format!("Archive {name} does not exist."));
    let (bus, archive) = find(asked, &asked.model, name, scope).ok_or_else(missing)?;
    Ok((bus, name, archive))
}

/// `CreateArchive`.
pub(in super::super) async fn create(asked: &Asked) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    input.check()?;
    let name = record::name(input.archive_name.as_ref(), "archiveName", NAME_MAX)?;
    let source = record::required(input.event_source_arn.as_ref(), "eventSourceArn")?;
    let bus = asked.bus(Some(source), Scope::Manage)?;
    if find(asked, &asked.model, name, Scope::Read).is_some() {
        return Err(record::exists("Archive", name));
    }
    let archive = Archive {
        pattern: input.event_pattern,
        description: input.description,
        days: input.retention_days.unwrap_or(0),
        created: record::now(asked),
    };
    together(asked, |changes| {
        retain(changes, &bus.name, archive.days)?;
        record::put(changes.annotations(&bus.name)?, ARCHIVE, name, &archive);
        Ok(())
    })
    .await?;
    Ok(happened(asked, name, &archive))
}

/// The topics of a bus keep their events for as long as the archive does, unless they keep them longer already.
fn retain(changes: &mut Together<'_>, bus: &str, days: i64) -> Result<(), Fault> {
    let wanted = u32::try_from(days).ok().filter(|days| *days > 0).map(|days| DAY * days);
    let model = Arc::clone(&changes.model);
    for topic in model
        .bus(bus)?
        .topics
        .values()
        .filter(|topic| topic.name != OPERATIONAL_TOPIC)
    {
        let age = topic.spec.retention.age;
        if age.is_none_or(|age| wanted.is_some_and(|wanted| wanted <= age)) {
            continue;
        }
        let mut spec = topic.spec.clone();
        spec.retention.age = wanted;
        let body = serde_json::to_value(&spec).expect("plain data with string keys");
        let place = (bus, topic.name.as_str());
        changes.put(ResourceKind::Topic, place, body, Precondition::Version(topic.version));
    }
    Ok(())
}

fn happened(asked: &Asked, name: &str, archive: &Archive) -> Value {
    json!({
        "ArchiveArn": arn(&asked.region, name),
        "State": ENABLED,
        "CreationTime": record::seconds(archive.created),
    })
}

fn shown(asked: &Asked, bus: &Bus, name: &str, archive: &Archive) -> Value {
    let mut shown = json!({
        "ArchiveName": name,
        "EventSourceArn": names::arn(&asked.region, names::EVENT_BUS, &bus.name),
        "State": ENABLED,
        "RetentionDays": archive.days,
        "CreationTime": record::seconds(archive.created),
    });
    if let Some((events, bytes)) = figures(asked, bus, archive) {
        shown["EventCount"] = events.into();
        shown["SizeBytes"] = bytes.into();
    }
    shown
}

/// How many events the bus's topics hold, and in how many bytes on disk, by the journal's own figures. Nobody counts what a pattern
/// leaves of them, and a type of several routes is there several times: then there is no figure.
fn figures(asked: &Asked, bus: &Bus, archive: &Archive) -> Option<(u64, u64)> {
    let is_once = |spec: &EventTypeSpec| spec.routes.iter().filter(|route| route.enabled).count() <= 1;
    if archive.pattern.is_some() || !bus.event_types.values().all(|one| is_once(&one.spec)) {
        return None;
    }
    let journal = &asked.state.journal;
    let mut figures = (0, 0);
    for topic in bus.topics.values().filter(|topic| topic.name != OPERATIONAL_TOPIC) {
        for index in 0..topic.spec.partitions {
            let topic = TopicId {
                bus: bus.id,
                topic: topic.id,
            };
            let partition = PartitionId { topic, index };
            let bounds = journal.bounds(partition).ok()?;
            figures.0 += bounds.high_water.saturating_sub(bounds.start);
            let segments = journal.segments(partition).ok()?;
            figures.1 += segments.iter().map(|segment| segment.bytes).sum::<u64>();
        }
    }
    Some(figures)
}

/// `DescribeArchive`.
pub(in super::super) async fn describe(asked: &Asked) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    let (bus, name, archive) = named(asked, &input, Scope::Read)?;
    let mut answer = shown(asked, bus, name, &archive);
    answer["ArchiveArn"] = arn(&asked.region, name).into();
    if let Some(description) = archive.description {
        answer["Description"] = description.into();
    }
    if let Some(pattern) = archive.pattern {
        answer["EventPattern"] = pattern.into();
    }
    Ok(answer)
}

/// `ListArchives`.
pub(in super::super) async fn list(asked: &Asked) -> Result<Value, Fault> {
    let (input, paging): (Input, Paging) = (asked.input()?, asked.input()?);
    let of = input.event_source_arn.as_deref();
    let of = of.map(|arn| asked.bus(Some(arn), Scope::Read)).transpose()?;
    let wanted = |bus: &&Arc<Bus>| asked.may(&bus.name, Scope::Read) && of.is_none_or(|of| of.name == bus.name);
    record::one_of(input.state.as_deref(), "state", &STATES)?;
    let is_wanted = input.state.as_deref().is_none_or(|state| state == ENABLED);
    let mut all = Vec::new();
    for bus in asked.model.buses.values().filter(wanted).filter(|_| is_wanted) {
        let archives = record::all::<Archive>(&bus.spec.annotations, ARCHIVE).into_iter();
        all.extend(archives.map(|(name, archive)| (name.clone(), shown(asked, bus, &name, &archive))));
    }
    Ok(page::answer("Archives", paging.cut(all)?))
}

/// `UpdateArchive`.
pub(in super::super) async fn update(asked: &Asked) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    input.check()?;
    let (bus, name, mut archive) = named(asked, &input, Scope::Manage)?;
    if input.event_pattern.is_none() && input.retention_days.is_none() && input.description.is_none() {
        let message = "At least one of EventPattern, RetentionDays or Description must be provided.";
        return Err(Fault::validation(message));
    }
    archive.pattern = input.event_pattern.clone().or(archive.pattern);
    archive.description = input.description.clone().or(archive.description);
    archive.days = input.retention_days.unwrap_or(archive.days);
    together(asked, |changes| {
        if let Some(days) = input.retention_days {
            retain(changes, &bus.name, days)?;
        }
        record::put(changes.annotations(&bus.name)?, ARCHIVE, name, &archive);
        Ok(())
    })
    .await?;
    Ok(happened(asked, name, &archive))
}

/// `DeleteArchive`. The topics keep what they have been told to keep.
pub(in super::super) async fn delete(asked: &Asked) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    let (bus, name, _) = named(asked, &input, Scope::Manage)?;
    annotate(asked, &bus.name, |annotations| {
        record::remove(annotations, ARCHIVE, name);
        Ok(())
    })
    .await?;
    Ok(json!({}))
}
