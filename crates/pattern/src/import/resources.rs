//! Documents that hold several resources: lists as command lines and APIs print them, and templates.

use super::{Resource, source::Source};
use crate::error::CompileError;

/// Members under which lists of resources lie.
const LISTS: [&str; 4] = ["Rules", "items", "value", "Resources"];

/// The resources of a document.
pub(super) fn opened(document: Source<'_>) -> Result<Vec<Resource<'_>>, CompileError> {
    if document.is_list() {
        return Ok(each(document));
    }
    let Some(members) = document.members() else {
        return Ok(vec![unnamed(document)]);
    };
    for list in LISTS {
        match members.get(&[list])? {
            Some(value) if value.is_list() => return Ok(each(value)),
            Some(value) if value.is_object() => return rules(value),
            _ => {}
        }
    }
    Ok(vec![unnamed(document)])
}

fn unnamed(source: Source<'_>) -> Resource<'_> {
    Resource {
        name: None,
        json: source.json(),
    }
}

fn each(list: Source<'_>) -> Vec<Resource<'_>> {
    list.items().unwrap_or_default().into_iter().map(unnamed).collect()
}

/// The rules of a CloudFormation template, by their logical names.
fn rules(resources: Source<'_>) -> Result<Vec<Resource<'_>>, CompileError> {
    let mut rules = Vec::new();
    let members = resources.members();
    for (name, resource) in members.iter().flat_map(|members| members.iter()) {
        let kind = match resource.members() {
            Some(members) => members.text(&["Type"])?,
            None => None,
        };
        if kind.as_deref() == Some("AWS::Events::Rule") {
            rules.push(Resource {
                name: Some(name.to_owned()),
                json: resource.json(),
            });
        }
    }
    Ok(rules)
}
