//! The arguments of Terraform's `azurerm_eventgrid_event_subscription` that narrow.

use super::*;

pub(super) const FILTERS: [&str; 4] = [
    "included_event_types",
    "subject_filter",
    "advanced_filter",
    "advanced_filtering_on_arrays_enabled",
];

/// The filter that the arguments are.
pub(super) fn filter(arguments: &Members<'_>) -> Result<Option<ImportedFilter>, CompileError> {
    let mut members: Vec<(&str, String)> = Vec::new();
    if let Some(types) = said(arguments, "included_event_types")? {
        members.push(("includedEventTypes", types.json().to_owned()));
    }
    if let Some(subject) = block(arguments, "subject_filter")? {
        for (name, value) in subject.iter().filter(|(_, value)| value.says_something()) {
            let ours = match name {
                "subject_begins_with" => "subjectBeginsWith",
                "subject_ends_with" => "subjectEndsWith",
                "case_sensitive" => "isSubjectCaseSensitive",
                _ => return Err(unknown("subject_filter", name)),
            };
            members.push((ours, value.json().to_owned()));
        }
    }
    if let Some(operators) = block(arguments, "advanced_filter")? {
        let mut conditions = Vec::new();
        for (operator, blocks) in operators.iter().filter(|(_, blocks)| blocks.says_something()) {
            for condition in blocks.items().unwrap_or_else(|| vec![blocks]) {
                conditions.push(advanced(operator, condition)?);
            }
        }
        if !conditions.is_empty() {
            members.push(("advancedFilters", list(&conditions)));
        }
    }
    if let Some(on_arrays) = said(arguments, "advanced_filtering_on_arrays_enabled")? {
        members.push(("enableAdvancedFilteringOnArrays", on_arrays.json().to_owned()));
    }
    compiled(members.into_iter())
}

/// One condition: `string_in` with `key` and `values` is an operator `StringIn` with the same.
fn advanced(operator: &str, condition: Source<'_>) -> Result<String, CompileError> {
    let path = format!("advanced_filter.{operator}");
    let words = operator.split('_').map(|word| {
        let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        first.to_ascii_uppercase() + rest
    });
    let operator = serde_json::Value::from(words.collect::<String>()).to_string();
    let mut members = vec![("operatorType", operator)];
    let condition = members_of(condition, &path)?;
    for (name, value) in condition.iter() {
        match name {
            _ if value.is_null() => {}
            "key" | "value" | "values" => members.push((name, value.json().to_owned())),
            _ => return Err(unknown(&path, name)),
        }
    }
    Ok(object(members))
}

/// A block, which state and JSON write as a list of one.
fn block<'s>(arguments: &Members<'s>, name: &str) -> Result<Option<Members<'s>>, CompileError> {
    let Some(block) = said(arguments, name)? else {
        return Ok(None);
    };
    match block.items().as_deref() {
        None => members_of(block, name).map(Some),
        Some([single]) => members_of(*single, name).map(Some),
        Some(_) => Err(refuse(name, "there is one block of it")),
    }
}

fn said<'s>(arguments: &Members<'s>, name: &str) -> Result<Option<Source<'s>>, CompileError> {
    let value = arguments.get(&[name])?;
    Ok(value.filter(|value| value.says_something()))
}

fn unknown(path: &str, name: &str) -> CompileError {
    refuse(&format!("{path}.{name}"), "it is not known here")
}
