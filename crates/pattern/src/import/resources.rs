//! Documents that hold several resources: lists as command lines and APIs print them, and templates.

use super::{Resource, System, source::Source};
use crate::error::CompileError;

/// Members under which lists of resources lie.
const LISTS: [&str; 4] = ["Rules", "items", "value", "Resources"];
/// The list of an ARM template. In a pattern of EventBridge it is a field.
const OF_ARM: &str = "resources";

/// The resources of a document.
pub(super) fn opened(system: System, document: Source<'_>) -> Result<Vec<Resource<'_>>, CompileError> {
    if document.is_list() {
        return Ok(each(document));
    }
    let Some(members) = document.members() else {
        return Ok(vec![unnamed(document)]);
    };
    for list in LISTS {
        match members.get(&[list])? {
            Some(value) if value.is_list() || value.is_object() => return Ok(each(value)),
            _ => {}
        }
    }
    match members.get(&[OF_ARM])? {
        Some(list) if system == System::EventGrid && (list.is_list() || list.is_object()) => of_arm(list),
        _ => Ok(vec![unnamed(document)]),
    }
}

fn unnamed(source: Source<'_>) -> Resource<'_> {
    Resource {
        name: None,
        json: source.json(),
    }
}

/// The items of a list, or the members of an object by their names.
fn each(list: Source<'_>) -> Vec<Resource<'_>> {
    match list.members() {
        Some(members) => members
            .iter()
            .map(|(name, resource)| Resource {
                name: Some(name.to_owned()),
                json: resource.json(),
            })
            .collect(),
        None => list.items().unwrap_or_default().into_iter().map(unnamed).collect(),
    }
}

/// The resources of an ARM template, and behind them those that lie inside them.
fn of_arm(list: Source<'_>) -> Result<Vec<Resource<'_>>, CompileError> {
    let mut found = each(list);
    let mut next = 0;
    while let Some(resource) = found.get(next) {
        next += 1;
        if let Some(members) = Source::whole(resource.json)?.members()
            && let Some(inside) = members.get(&[OF_ARM])?
        {
            found.extend(each(inside));
        }
    }
    Ok(found)
}
