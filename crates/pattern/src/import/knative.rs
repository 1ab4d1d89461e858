//! Triggers of Knative Eventing: `spec.filter.attributes`, `spec.filters`, and `spec.filter.sourceAndType` of their first version.

use std::slice;

use super::*;
use crate::filter::Dialect;
use crate::limits::IMPORT_DEPTH_MAX;

/// The members of a trigger.
const TRIGGER: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
/// The members of its spec that do not narrow.
const SPEC: [&str; 4] = ["broker", "brokerRef", "delivery", "subscriber"];
/// The members of its spec that do.
const FILTERS: [&str; 2] = ["filter", "filters"];
const FILTER: &str = "spec.filter";

/// Converts a trigger.
pub(super) fn trigger(source: Source<'_>) -> Result<Conversion, CompileError> {
    let no_object = || refuse("spec", "a trigger's spec is an object");
    let outer = source.members().ok_or_else(no_object)?;
    if let Some(other) = other_kind(&outer)? {
        return Ok(Conversion::Skipped(other));
    }
    let inner = outer.get(&["spec"])?;
    let spec = match inner {
        Some(spec) => spec.members().ok_or_else(no_object)?,
        None => outer.clone(),
    };
    let mut notes = Vec::new();
    let filters = match spec.get(&["filters"])? {
        Some(filters) => each(filters, "spec.filters", 0)?,
        None => Vec::new(),
    };
    let filters = match spec.get(&["filter"])? {
        Some(filter) if filters.is_empty() => by_filter(filter)?,
        Some(_) => {
            notes.push("spec.filters is set, so spec.filter is ignored, as Knative does".into());
            filters
        }
        None => filters,
    };
    if filters.is_empty() {
        refuse_unknown(&spec, &[&SPEC[..], &FILTERS, &TRIGGER].concat())?;
        if inner.is_some() {
            refuse_unknown(&outer, &TRIGGER)?;
        }
        notes.push("the trigger has no filter: it takes every event".into());
    }
    Filter::cloudevents(list(&filters).as_bytes(), Dialect::Standard)?;
    note_of_rest(&spec, &[&FILTERS[..], &TRIGGER].concat(), &mut notes);
    if inner.is_some() {
        note_of_rest(&outer, &TRIGGER, &mut notes);
    }
    let metadata = outer.get(&["metadata"])?.and_then(Source::members);
    Ok(Conversion::Subscription(Imported {
        name: metadata.map_or(Ok(None), |metadata| metadata.text(&["name"]))?,
        filter: (!filters.is_empty()).then(|| ImportedFilter {
            language: "cloudevents",
            json: list(&filters),
        }),
        notes,
    }))
}

/// What a resource is that says that it is no trigger of Knative.
fn other_kind(resource: &Members<'_>) -> Result<Option<String>, CompileError> {
    if let Some(kind) = resource.get(&["kind"])?
        && kind.text().as_deref() != Some("Trigger")
    {
        return Ok(Some(cut(format!("its kind is {}", kind.json()))));
    }
    let version = resource.get(&["apiVersion"])?;
    let is_ours = |version: Source<'_>| {
        version
            .text()
            .is_some_and(|version| version.starts_with("eventing.knative.dev/"))
    };
    let other = version.filter(|version| !is_ours(*version));
    Ok(other.map(|version| cut(format!("its apiVersion is {}", version.json()))))
}

/// The one filter that triggers had before there were several.
fn by_filter(filter: Source<'_>) -> Result<Vec<String>, CompileError> {
    let members = filter
        .members()
        .ok_or_else(|| refuse(FILTER, "a filter is an object"))?;
    let known = ["attributes", "sourceAndType"];
    if let Some((name, _)) = members.iter().find(|(name, _)| !known.contains(name)) {
        return Err(refuse(&format!("{FILTER}.{name}"), "it is not known here"));
    }
    match (members.get(&["attributes"])?, members.get(&["sourceAndType"])?) {
        (Some(_), Some(_)) => Err(refuse(FILTER, "it has either attributes or sourceAndType")),
        (Some(attributes), None) => by_attributes(attributes),
        (None, Some(source_and_type)) => by_source_and_type(source_and_type),
        (None, None) => Ok(Vec::new()),
    }
}

/// The source and the type, of which an empty one is any.
fn by_source_and_type(wanted: Source<'_>) -> Result<Vec<String>, CompileError> {
    let path = "spec.filter.sourceAndType";
    let members = wanted
        .members()
        .ok_or_else(|| refuse(path, "the source and the type are members of an object"))?;
    if let Some((name, _)) = members.iter().find(|(name, _)| !["source", "type"].contains(name)) {
        return Err(refuse(&format!("{path}.{name}"), "it is not known here"));
    }
    let exact = members
        .iter()
        .filter(|(_, value)| !value.is_null() && value.json() != "\"\"");
    let exact: Vec<_> = exact.map(|(name, value)| (name, value.json())).collect();
    match exact.is_empty() {
        true => Ok(Vec::new()),
        false => Ok(vec![checked(object([("exact", object(exact))]), path)?]),
    }
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
