//! Event subscriptions of Azure Event Grid: the resource of an ARM template, what the command line answers, Terraform's arguments,
//! or the filter alone; of custom topics and of namespaces.

use super::*;
use crate::eventgrid::MEMBERS_WRITTEN;

mod terraform;

/// The last segment of the type of an event subscription, whatever it subscribes to.
const TYPE: &str = "eventSubscriptions";
const OF_TOPIC: &str = "filter";
const OF_NAMESPACE: &str = "filtersConfiguration";
/// Members of a resource that do not narrow, and that no note needs to name.
const RESOURCE: [&str; 12] = [
    "$schema",
    "apiVersion",
    "comments",
    "dependsOn",
    "id",
    "location",
    "name",
    "properties",
    "provisioningState",
    "resourceGroup",
    "systemData",
    "type",
];
/// Members of a resource and of its properties that do not narrow.
const PROPERTIES: [&str; 12] = [
    "deadLetterDestination",
    "deadLetterWithResourceIdentity",
    "deliveryConfiguration",
    "deliveryWithResourceIdentity",
    "destination",
    "etag",
    "eventDeliverySchema",
    "expirationTimeUtc",
    "labels",
    "retryPolicy",
    "tags",
    "topic",
];

/// Converts an event subscription.
pub(super) fn subscription(source: Source<'_>) -> Result<Conversion, CompileError> {
    let outer = source
        .members()
        .ok_or_else(|| refuse("", "an event subscription is an object"))?;
    if let Some(kind) = outer.get(&["type"])?
        && !is_subscription(kind)
    {
        return Ok(Conversion::Skipped(cut(format!("its type is {}", kind.json()))));
    }
    let is_any = |names: &[&str]| {
        let named = |name: &str| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        outer.iter().any(|(name, _)| named(name))
    };
    let mut notes = Vec::new();
    let filter = if is_any(&MEMBERS_WRITTEN) {
        filter_of(outer.iter())?
    } else if is_any(&terraform::FILTERS) {
        note_of_rest(&outer, &[&terraform::FILTERS[..], &RESOURCE].concat(), &mut notes);
        terraform::filter(&outer)?
    } else {
        of_resource(&outer, &mut notes)?
    };
    if filter.is_none() {
        notes.push("the event subscription has no filter: it takes every event".into());
    }
    let name = outer.text(&["name"])?;
    Ok(Conversion::Subscription(Imported {
        name: name.map(|name| name.rsplit('/').next().unwrap_or(&name).to_owned()),
        filter,
        notes,
    }))
}

fn is_subscription(kind: Source<'_>) -> bool {
    let kind = kind.text().unwrap_or_default();
    let last = kind.rsplit('/').next().unwrap_or_default();
    last.eq_ignore_ascii_case(TYPE)
}

/// The filter of a resource, which lies in its properties, or beside its name as the command line answers.
fn of_resource(outer: &Members<'_>, notes: &mut Vec<String>) -> Result<Option<ImportedFilter>, CompileError> {
    let inner = outer.get(&["properties"])?;
    let properties = match inner {
        Some(properties) => members_of(properties, "properties")?,
        None => outer.clone(),
    };
    let filter = match (properties.get(&[OF_TOPIC])?, properties.get(&[OF_NAMESPACE])?) {
        (Some(_), Some(_)) => {
            let message = format!("it is there beside {OF_TOPIC:?}, and a subscription has one of them");
            return Err(refuse(OF_NAMESPACE, message));
        }
        (Some(filter), None) => filter_of(members_of(filter, OF_TOPIC)?.iter())?,
        (None, Some(configuration)) => of_namespace(&members_of(configuration, OF_NAMESPACE)?)?,
        (None, None) => None,
    };
    if filter.is_none() {
        let known = [&RESOURCE[..], &PROPERTIES].concat();
        refuse_unknown(&properties, &[&known[..], &[OF_TOPIC, OF_NAMESPACE]].concat())?;
        if inner.is_some() {
            refuse_unknown(outer, &known)?;
        }
    }
    note_of_rest(&properties, &[&RESOURCE[..], &[OF_TOPIC, OF_NAMESPACE]].concat(), notes);
    if inner.is_some() {
        note_of_rest(outer, &RESOURCE, notes);
    }
    Ok(filter)
}

fn members_of<'s>(source: Source<'s>, path: &str) -> Result<Members<'s>, CompileError> {
    let members = source.members();
    members.ok_or_else(|| refuse(path, "it is an object"))
}

/// The members that say something, checked by compiling them.
fn filter_of<'s>(members: impl Iterator<Item = (&'s str, Source<'s>)>) -> Result<Option<ImportedFilter>, CompileError> {
    let members: Vec<(&str, Source<'_>)> = members.filter(|(_, value)| value.says_something()).collect();
    for (index, (name, _)) in members.iter().enumerate() {
        // Names are taken in any case.
        if members[..index]
            .iter()
            .any(|(before, _)| before.eq_ignore_ascii_case(name))
        {
            return Err(refuse(name, "it is there twice"));
        }
    }
    compiled(members.into_iter().map(|(name, value)| (name, value.json())))
}

/// A filter of these members; none if it takes every event.
fn compiled<'n>(
    members: impl Iterator<Item = (&'n str, impl AsRef<str>)>,
) -> Result<Option<ImportedFilter>, CompileError> {
    let json = object(members);
    let filter = Filter::eventgrid(json.as_bytes(), &Mounts::bare())?;
    Ok((!filter.is_everything()).then_some(ImportedFilter {
        language: "eventgrid",
        json,
    }))
}

/// A subscription of a namespace's topic, which names its filters otherwise.
fn of_namespace(configuration: &Members<'_>) -> Result<Option<ImportedFilter>, CompileError> {
    let members: Result<Vec<(&str, Source<'_>)>, CompileError> = configuration
        .iter()
        .map(|(name, value)| match name {
            "includedEventTypes" => Ok((name, value)),
            "filters" => Ok(("advancedFilters", value)),
            _ => Err(refuse(&format!("{OF_NAMESPACE}.{name}"), "it is not known here")),
        })
        .collect();
    filter_of(members?.into_iter())
}
