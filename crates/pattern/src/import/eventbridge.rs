//! Rules of EventBridge: what `describe-rule` answers, a CloudFormation resource, Terraform's arguments, or the bare pattern; and
//! filters of the second generation's subscribers.

use super::*;

const PATTERN: [&str; 3] = ["EventPattern", "event_pattern", "eventPattern"];
const NAME: [&str; 2] = ["Name", "name"];
/// The top names of an EventBridge event: an object of these alone is a pattern by itself.
const EVENT: [&str; 10] = [
    "version",
    "id",
    "detail-type",
    "source",
    "account",
    "time",
    "region",
    "resources",
    "detail",
    "$or",
];

/// Converts a rule of EventBridge.
pub fn eventbridge_rule(rule: &Value) -> Result<Imported, CompileError> {
    let rule = unwrap(rule);
    let object = rule
        .as_object()
        .ok_or_else(|| refuse("", "an EventBridge rule is an object"))?;
    let mut notes = Vec::new();
    let pattern = if is_pattern(object) {
        rule.clone()
    } else if let Some(pattern) = member(rule, &PATTERN) {
        as_pattern(pattern)?
    } else if let Some(configuration) = member(rule, &["FilterConfiguration"]) {
        scoped(configuration)?
    } else if member(rule, &["ScheduleExpression", "schedule_expression"]).is_some() {
        return Err(refuse(
            "ScheduleExpression",
            "a schedule is no filter: it has no event pattern",
        ));
    } else {
        return Err(refuse("EventPattern", "the rule has no event pattern"));
    };
    check(&pattern)?;
    if !is_pattern(object) {
        note_state(rule, &mut notes);
        let read = [
            &PATTERN[..],
            &NAME[..],
            &["FilterConfiguration", "State", "state", "is_enabled"],
        ]
        .concat();
        note_of_rest(object, &read, &mut notes);
    }
    Ok(Imported {
        name: text(rule, &NAME).filter(|_| !is_pattern(object)).map(Into::into),
        types: None,
        filter: json!({ "eventbridge": pattern }),
        notes,
    })
}

/// The rule inside a CloudFormation resource.
fn unwrap(rule: &Value) -> &Value {
    let of_cloud_formation = text(rule, &["Type"]).is_some_and(|kind| kind.starts_with("AWS::Events"));
    member(rule, &["Properties"])
        .filter(|_| of_cloud_formation)
        .unwrap_or(rule)
}

fn is_pattern(object: &Map<String, Value>) -> bool {
    !object.is_empty()
        && object
            .iter()
            .all(|(name, value)| EVENT.contains(&name.as_str()) && (value.is_object() || value.is_array()))
}

/// A pattern, or the text of one.
fn as_pattern(pattern: &Value) -> Result<Value, CompileError> {
    let Value::String(text) = pattern else {
        return Ok(pattern.clone());
    };
    serde_json::from_str(text)
        .map_err(|error| refuse("EventPattern", format!("the event pattern is not JSON: {error}")))
}

fn check(pattern: &Value) -> Result<(), CompileError> {
    Filter::eventbridge(pattern.to_string().as_bytes(), &Mounts::bare()).map(|_| ())
}

fn note_state(rule: &Value, notes: &mut Vec<String>) {
    let disabled = text(rule, &["State", "state"]).is_some_and(|state| state.eq_ignore_ascii_case("DISABLED"))
        || member(rule, &["is_enabled"]) == Some(&Value::Bool(false));
    if disabled {
        notes.push("the rule is disabled: create the subscription with `enabled: false`".into());
    }
}

/// The filters of a subscriber, one a scope and all of them required. Only the scope of the data has a counterpart in a pattern.
fn scoped(configuration: &Value) -> Result<Value, CompileError> {
    let path = "FilterConfiguration.Filters";
    let filters = member(configuration, &["Filters"])
        .and_then(Value::as_array)
        .ok_or_else(|| refuse(path, "the subscriber has no filters"))?;
    let [filter] = &filters[..] else {
        return Err(refuse(path, "only a single filter, of the scope DATA, can be imported"));
    };
    match text(filter, &["Scope"]) {
        None | Some("DATA") => {}
        Some(scope) => {
            let message = format!(
                "the scope {scope} has no counterpart in a pattern; write a CloudEvents filter on the extensions"
            );
            return Err(refuse(path, message));
        }
    }
    let pattern = member(filter, &["Pattern"]).ok_or_else(|| refuse(path, "the filter has no pattern"))?;
    Ok(json!({ "detail": as_pattern(pattern)? }))
}
