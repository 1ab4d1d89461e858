//! Rules of EventBridge: what `describe-rule` answers, a CloudFormation resource, Terraform's arguments, or the bare pattern; and
//! filters of the second generation's subscribers.

use super::*;

const PATTERN: [&str; 3] = ["EventPattern", "event_pattern", "eventPattern"];
const NAME: [&str; 2] = ["Name", "name"];
const STATE: [&str; 2] = ["State", "state"];
const FILTERS: &str = "FilterConfiguration.Filters";
/// The top names of an EventBridge event: an object of these alone is a pattern by itself.
const EVENT: [&str; 11] = [
    "version",
    "id",
    "detail-type",
    "source",
    "account",
    "time",
    "region",
    "resources",
    "replay-name",
    "detail",
    "$or",
];

/// Converts a rule of EventBridge.
pub(super) fn rule(source: Source<'_>) -> Result<Conversion, CompileError> {
    let members = source
        .members()
        .ok_or_else(|| refuse("", "an EventBridge rule is an object"))?;
    if is_pattern(&members) {
        return imported(None, source.json().to_owned(), Vec::new());
    }
    let rule = match members.text(&["Type"])? {
        None => members,
        Some(kind) => match of_cloud_formation(&kind, &members)? {
            Some(rule) => rule,
            None => return Ok(Conversion::Skipped(cut(format!("its type is {kind:?}")))),
        },
    };
    let pattern = if let Some(pattern) = rule.get(&PATTERN)? {
        text_of(pattern)?
    } else if let Some(configuration) = rule.get(&["FilterConfiguration"])? {
        scoped(configuration)?
    } else if rule.get(&["ScheduleExpression", "schedule_expression"])?.is_some() {
        return Err(refuse(
            "ScheduleExpression",
            "a schedule is no filter: it has no event pattern",
        ));
    } else {
        return Err(refuse("EventPattern", "the rule has no event pattern"));
    };
    let mut notes = Vec::new();
    note_state(&rule, &mut notes)?;
    let read = [&PATTERN[..], &NAME, &STATE, &["FilterConfiguration", "is_enabled"]].concat();
    note_of_rest(&rule, &read, &mut notes);
    imported(rule.text(&NAME)?, pattern, notes)
}

/// The pattern, checked by compiling it.
fn imported(name: Option<String>, pattern: String, notes: Vec<String>) -> Result<Conversion, CompileError> {
    Filter::eventbridge(pattern.as_bytes(), &Mounts::bare())?;
    Ok(Conversion::Subscription(Imported {
        name,
        filter: Some(ImportedFilter {
            language: "eventbridge",
            json: pattern,
        }),
        notes,
    }))
}

/// The rule inside a CloudFormation resource, or the subscriber; other resources are neither.
fn of_cloud_formation<'s>(kind: &str, resource: &Members<'s>) -> Result<Option<Members<'s>>, CompileError> {
    let no_object = || refuse("Properties", "the properties of a resource are an object");
    let properties = match resource.get(&["Properties"])? {
        Some(properties) => properties.members().ok_or_else(no_object)?,
        None => resource.clone(),
    };
    let is_subscriber = kind.starts_with("AWS::Events") && properties.get(&["FilterConfiguration"])?.is_some();
    Ok((kind == "AWS::Events::Rule" || is_subscriber).then_some(properties))
}

fn is_pattern(members: &Members<'_>) -> bool {
    let of_pattern =
        |(name, value): (&str, Source<'_>)| EVENT.contains(&name) && (value.is_object() || value.is_list());
    members.iter().next().is_some() && members.iter().all(of_pattern)
}

/// The text of a pattern, which may stand in a string.
fn text_of(pattern: Source<'_>) -> Result<String, CompileError> {
    if !pattern.is_text() {
        return Ok(pattern.json().to_owned());
    }
    pattern
        .text()
        .ok_or_else(|| refuse("EventPattern", "the string of the event pattern cannot be read"))
}

fn note_state(rule: &Members<'_>, notes: &mut Vec<String>) -> Result<(), CompileError> {
    let state = rule.text(&STATE)?;
    let is_enabled = rule.get(&["is_enabled"])?;
    if state.is_some_and(|state| state.eq_ignore_ascii_case("DISABLED"))
        || is_enabled.is_some_and(|is_enabled| is_enabled.json() == "false")
    {
        notes.push("the rule is disabled: create the subscription with `enabled: false`".into());
    }
    Ok(())
}

/// The filters of a subscriber, one a scope and all of them required. Only the scope of the data has a counterpart in a pattern.
fn scoped(configuration: Source<'_>) -> Result<String, CompileError> {
    let no_filters = || refuse(FILTERS, "the subscriber has no filters");
    let configuration = configuration.members().ok_or_else(no_filters)?;
    let filters = configuration.get(&["Filters"])?.and_then(Source::items);
    let filters = filters.ok_or_else(no_filters)?;
    let [filter] = &filters[..] else {
        return Err(refuse(
            FILTERS,
            "only a single filter, of the scope DATA, can be imported",
        ));
    };
    let no_pattern = || refuse(FILTERS, "the filter has no pattern");
    let filter = filter.members().ok_or_else(no_pattern)?;
    if let Some(scope) = filter.get(&["Scope"])?
        && scope.text().as_deref() != Some("DATA")
    {
        let message = format!(
            "the scope {} has no counterpart in a pattern; write a CloudEvents filter on the extensions",
            scope.json()
        );
        return Err(refuse(FILTERS, message));
    }
    let pattern = text_of(filter.get(&["Pattern"])?.ok_or_else(no_pattern)?)?;
    // Inside `detail` it is one value and nothing else, or it would say something about the rest of the event.
    let whole = Source::whole(&pattern)?;
    Ok(object([("detail", whole.json())]))
}
