//! Event subscriptions of Azure Event Grid: the resource of an ARM template, what the command line answers, or the filter alone;
//! of custom topics and of namespaces.

use super::*;
use crate::eventgrid::MEMBERS_WRITTEN;

/// Converts an event subscription.
pub fn event_grid_subscription(subscription: &Value) -> Result<Imported, CompileError> {
    let object = subscription
        .as_object()
        .ok_or_else(|| refuse("", "an event subscription is an object"))?;
    let mut notes = Vec::new();
    let properties = member(subscription, &["properties"]).unwrap_or(subscription);
    let is_filter = object.keys().any(|name| MEMBERS_WRITTEN.contains(&name.as_str()));
    let filter = if is_filter {
        members(subscription)?
    } else if let Some(filter) = member(properties, &["filter"]) {
        members(filter)?
    } else if let Some(configuration) = member(properties, &["filtersConfiguration"]) {
        of_namespace(configuration)?
    } else {
        notes.push("the event subscription has no filter: it takes every event".into());
        Map::new()
    };
    if let (Some(properties), false) = (properties.as_object(), is_filter) {
        let read = [
            "filter",
            "filtersConfiguration",
            "name",
            "id",
            "type",
            "provisioningState",
            "systemData",
        ];
        note_of_rest(properties, &read, &mut notes);
    }
    let name = text(subscription, &["name"]).map(|name| name.rsplit('/').next().unwrap_or(name).to_owned());
    Ok(Imported {
        name,
        types: None,
        filter: if filter.is_empty() {
            Value::Null
        } else {
            json!({ "eventgrid": filter })
        },
        notes,
    })
}

/// The members that say something, checked by compiling them.
fn members(filter: &Value) -> Result<Map<String, Value>, CompileError> {
    let object = filter
        .as_object()
        .ok_or_else(|| refuse("filter", "a filter is an object"))?;
    let says_nothing = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    let members = object.iter().filter(|(_, value)| !says_nothing(value));
    let members: Map<String, Value> = members.map(|(name, value)| (name.clone(), value.clone())).collect();
    if !members.is_empty() {
        Filter::eventgrid(Value::Object(members.clone()).to_string().as_bytes(), &Mounts::bare())?;
    }
    Ok(members)
}

/// A subscription of a namespace's topic, which names its filters otherwise.
fn of_namespace(configuration: &Value) -> Result<Map<String, Value>, CompileError> {
    let mut filter = Map::new();
    if let Some(types) = member(configuration, &["includedEventTypes"]) {
        filter.insert("includedEventTypes".into(), types.clone());
    }
    if let Some(filters) = member(configuration, &["filters"]) {
        filter.insert("advancedFilters".into(), filters.clone());
    }
    members(&Value::Object(filter))
}
