//! Triggers of Knative Eventing: `spec.filter.attributes` and `spec.filters`.

use std::slice;

use super::*;
use crate::filter::Dialect;
use crate::limits::IMPORT_DEPTH_MAX;

/// Converts a trigger.
pub(super) fn trigger(source: Source<'_>) -> Result<Imported, CompileError> {
    let no_object = || refuse("spec", "a trigger's spec is an object");
    let outer = source.members().ok_or_else(no_object)?;
    let spec = match outer.get(&["spec"])? {
        Some(spec) => spec.members().ok_or_else(no_object)?,
        None => outer.clone(),
    };
    let mut notes = Vec::new();
    let filters = match spec.get(&["filters"])? {
        Some(filters) => each(filters, "spec.filters", 0)?,
        None => Vec::new(),
    };
    let filter = match spec.get(&["filter"])? {
        Some(filter) => filter
            .members()
            .ok_or_else(|| refuse("spec.filter", "a filter is an object"))?
            .get(&["attributes"])?,
        None => None,
    };
    let filters = match filter {
        Some(attributes) if filters.is_empty() => by_attributes(attributes)?,
        Some(_) => {
            notes.push("spec.filters is set, so spec.filter is ignored, as Knative does".into());
            filters
        }
        None => filters,
    };
    Filter::cloudevents(list(&filters).as_bytes(), Dialect::Standard)?;
    note_of_rest(&spec, &["filter", "filters"], &mut notes);
    let metadata = outer.get(&["metadata"])?.and_then(Source::members);
    Ok(Imported {
        name: metadata.map_or(Ok(None), |metadata| metadata.text(&["name"]))?,
        filter: (!filters.is_empty()).then(|| ImportedFilter {
            language: "cloudevents",
            json: list(&filters),
        }),
        notes,
    })
}

/// A filter that compiles; what is wrong with it is told with its place in the trigger.
fn checked(filter: String, path: &str) -> Result<String, CompileError> {
    let compiled = Filter::cloudevents(list(slice::from_ref(&filter)).as_bytes(), Dialect::Standard);
    compiled.map(|_| filter).map_err(|error| refuse(path, error.message))
}

/// Exact values of attributes; an empty one asks that the attribute be there.
fn by_attributes(attributes: Source<'_>) -> Result<Vec<String>, CompileError> {
    let path = "spec.filter.attributes";
    let attributes = attributes
        .members()
        .ok_or_else(|| refuse(path, "attributes are an object"))?;
    let (mut exact, mut filters) = (Vec::new(), Vec::new());
    for (name, value) in attributes.iter() {
        if name.is_empty()
            || !name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        {
            return Err(refuse(path, format!("{name:?} is not the name of an attribute")));
        }
        match value.text().as_deref() {
            Some("") => filters.push(checked(
                format!("{{\"sql\":\"EXISTS {name}\"}}"),
                &format!("{path}.{name}"),
            )?),
            Some(_) => exact.push((name, value.json())),
            None => {
                return Err(refuse(
                    &format!("{path}.{name}"),
                    "the value of an attribute is a string",
                ));
            }
        }
    }
    if !exact.is_empty() {
        filters.insert(0, checked(object([("exact", object(exact))]), path)?);
    }
    Ok(filters)
}

fn each(filters: Source<'_>, path: &str, depth: usize) -> Result<Vec<String>, CompileError> {
    let filters = filters.items().ok_or_else(|| refuse(path, "filters are a list"))?;
    let converted = filters.into_iter().enumerate();
    converted
        .map(|(index, filter)| one(filter, &format!("{path}[{index}]"), depth))
        .collect()
}

/// One filter, whose dialects are those of CloudEvents but for the name of the expressions.
fn one(filter: Source<'_>, path: &str, depth: usize) -> Result<String, CompileError> {
    if depth == IMPORT_DEPTH_MAX {
        return Err(refuse(
            path,
            format!("filters are nested more than {IMPORT_DEPTH_MAX} levels deep"),
        ));
    }
    let members = filter.members().ok_or_else(|| refuse(path, "a filter is an object"))?;
    let members = members.iter().filter(|(_, content)| !content.is_null());
    let converted: Result<Vec<String>, CompileError> = members
        .map(|(dialect, content)| {
            let path = format!("{path}.{dialect}");
            let (dialect, content) = match dialect {
                "exact" | "prefix" | "suffix" => (dialect, content.json().to_owned()),
                "cesql" => ("sql", content.json().to_owned()),
                "all" | "any" => (dialect, list(&each(content, &path, depth + 1)?)),
                "not" => (dialect, one(content, &path, depth + 1)?),
                unknown => return Err(refuse(&path, format!("unknown dialect {unknown:?}"))),
            };
            checked(object([(dialect, content)]), &path)
        })
        .collect();
    let converted = converted?;
    // Knative allows one dialect an object; several would have to hold together.
    match &converted[..] {
        [] => Err(refuse(path, "the filter is empty")),
        [single] => Ok(single.clone()),
        several => checked(object([("all", list(several))]), path),
    }
}
