//! Event subscriptions of Azure Event Grid: the resource of an ARM template, what the command line answers, or the filter alone;
//! of custom topics and of namespaces.

use super::*;
use crate::eventgrid::MEMBERS_WRITTEN;

/// Converts an event subscription.
pub(super) fn subscription(source: Source<'_>) -> Result<Imported, CompileError> {
    let outer = source
        .members()
        .ok_or_else(|| refuse("", "an event subscription is an object"))?;
    let mut notes = Vec::new();
    let properties = match outer.get(&["properties"])? {
        Some(properties) => members_of(properties, "properties")?,
        None => outer.clone(),
    };
    let is_filter = outer.iter().any(|(name, _)| MEMBERS_WRITTEN.contains(&name));
    let filter = if is_filter {
        filter_of(outer.iter())?
    } else if let Some(filter) = properties.get(&["filter"])? {
        filter_of(members_of(filter, "filter")?.iter())?
    } else if let Some(configuration) = properties.get(&["filtersConfiguration"])? {
        of_namespace(&members_of(configuration, "filtersConfiguration")?)?
    } else {
        notes.push("the event subscription has no filter: it takes every event".into());
        None
    };
    if !is_filter {
        let read = [
            "filter",
            "filtersConfiguration",
            "name",
            "id",
            "type",
            "provisioningState",
            "systemData",
        ];
        note_of_rest(&properties, &read, &mut notes);
    }
    let name = outer.text(&["name"])?;
    Ok(Imported {
        name: name.map(|name| name.rsplit('/').next().unwrap_or(&name).to_owned()),
        filter,
        notes,
    })
}

fn members_of<'s>(source: Source<'s>, path: &str) -> Result<Members<'s>, CompileError> {
    let members = source.members();
    members.ok_or_else(|| refuse(path, "it is an object"))
}

/// The members that say something, checked by compiling them.
fn filter_of<'s>(members: impl Iterator<Item = (&'s str, Source<'s>)>) -> Result<Option<ImportedFilter>, CompileError> {
    let members: Vec<(&str, Source<'_>)> = members.filter(|(_, value)| says_something(*value)).collect();
    if members.is_empty() {
        return Ok(None);
    }
    for (index, (name, _)) in members.iter().enumerate() {
        // Names are taken in any case.
        if members[..index]
            .iter()
            .any(|(before, _)| before.eq_ignore_ascii_case(name))
        {
            return Err(refuse(name, "it is there twice"));
        }
    }
    let json = object(members.into_iter().map(|(name, value)| (name, value.json())));
    Filter::eventgrid(json.as_bytes(), &Mounts::bare())?;
    Ok(Some(ImportedFilter {
        language: "eventgrid",
        json,
    }))
}

fn says_something(value: Source<'_>) -> bool {
    let is_empty_list = value.items().is_some_and(|items| items.is_empty());
    !(value.is_null() || value.json() == "\"\"" || is_empty_list)
}

/// A subscription of a namespace's topic, which names its filters otherwise.
fn of_namespace(configuration: &Members<'_>) -> Result<Option<ImportedFilter>, CompileError> {
    let types = configuration.get(&["includedEventTypes"])?;
    let filters = configuration.get(&["filters"])?;
    let types = types.map(|types| ("includedEventTypes", types));
    let filters = filters.map(|filters| ("advancedFilters", filters));
    filter_of(types.into_iter().chain(filters))
}
