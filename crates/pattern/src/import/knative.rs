//! Triggers of Knative Eventing: `spec.filter.attributes` and `spec.filters`.

use super::*;
use crate::limits::IMPORT_DEPTH_MAX;

/// Converts a trigger.
pub fn knative_trigger(trigger: &Value) -> Result<Imported, CompileError> {
    let spec = member(trigger, &["spec"]).unwrap_or(trigger);
    let object = spec
        .as_object()
        .ok_or_else(|| refuse("spec", "a trigger's spec is an object"))?;
    let mut notes = Vec::new();
    let filters = match member(spec, &["filters"]) {
        Some(filters) => list(filters, "spec.filters", 0)?,
        None => Vec::new(),
    };
    let attributes = member(spec, &["filter"]).and_then(|filter| member(filter, &["attributes"]));
    let filters = match attributes {
        Some(attributes) if filters.is_empty() => by_attributes(attributes)?,
        Some(_) => {
            notes.push("spec.filters is set, so spec.filter is ignored, as Knative does".into());
            filters
        }
        None => filters,
    };
    note_of_rest(object, &["filter", "filters"], &mut notes);
    let name = member(trigger, &["metadata"]).and_then(|metadata| text(metadata, &["name"]));
    Ok(Imported {
        name: name.map(Into::into),
        types: None,
        filter: if filters.is_empty() {
            Value::Null
        } else {
            json!({ "cloudevents": filters })
        },
        notes,
    })
}

/// Exact values of attributes; an empty one asks that the attribute be there.
fn by_attributes(attributes: &Value) -> Result<Vec<Value>, CompileError> {
    let path = "spec.filter.attributes";
    let attributes = attributes
        .as_object()
        .ok_or_else(|| refuse(path, "attributes are an object"))?;
    let (mut exact, mut filters) = (Map::new(), Vec::new());
    for (name, value) in attributes {
        if name.is_empty()
            || !name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        {
            return Err(refuse(path, format!("{name:?} is not the name of an attribute")));
        }
        match value.as_str() {
            Some("") => filters.push(json!({ "sql": format!("EXISTS {name}") })),
            Some(_) => _ = exact.insert(name.clone(), value.clone()),
            None => {
                return Err(refuse(
                    &format!("{path}.{name}"),
                    "the value of an attribute is a string",
                ));
            }
        }
    }
    if !exact.is_empty() {
        filters.insert(0, json!({ "exact": exact }));
    }
    Ok(filters)
}

fn list(filters: &Value, path: &str, depth: usize) -> Result<Vec<Value>, CompileError> {
    let filters = filters.as_array().ok_or_else(|| refuse(path, "filters are a list"))?;
    let converted = filters.iter().enumerate();
    converted
        .map(|(index, filter)| one(filter, &format!("{path}[{index}]"), depth))
        .collect()
}

/// One filter, whose dialects are those of CloudEvents but for the name of the expressions.
fn one(filter: &Value, path: &str, depth: usize) -> Result<Value, CompileError> {
    if depth == IMPORT_DEPTH_MAX {
        return Err(refuse(
            path,
            format!("filters are nested more than {IMPORT_DEPTH_MAX} levels deep"),
        ));
    }
    let object = filter
        .as_object()
        .ok_or_else(|| refuse(path, "a filter is an object"))?;
    let members = object.iter().filter(|(_, content)| !content.is_null());
    let converted: Result<Map<String, Value>, CompileError> = members
        .map(|(dialect, content)| {
            let path = format!("{path}.{dialect}");
            Ok(match dialect.as_str() {
                "exact" | "prefix" | "suffix" => (dialect.clone(), content.clone()),
                "cesql" => ("sql".into(), content.clone()),
                "all" | "any" => (dialect.clone(), list(content, &path, depth + 1)?.into()),
                "not" => (dialect.clone(), one(content, &path, depth + 1)?),
                unknown => return Err(refuse(&path, format!("unknown dialect {unknown:?}"))),
            })
        })
        .collect();
    let converted = converted?;
    if converted.is_empty() {
        return Err(refuse(path, "the filter is empty"));
    }
    // Knative allows one dialect an object; several would have to hold together.
    if converted.len() > 1 {
        let each = converted
            .into_iter()
            .map(|(dialect, content)| json!({ dialect: content }));
        return Ok(json!({ "all": each.collect::<Vec<_>>() }));
    }
    Ok(Value::Object(converted))
}
