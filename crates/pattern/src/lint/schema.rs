//! What a JSON Schema of the data says about a test: whether there is such a field, and what `type` and `enum` say of it. A schema
//! that says nothing about a field has no findings.

use serde_json::Value as Json;

use super::field::LIKENESS_MIN;
use super::place::{self, Place};
use super::{Finding, FindingCode, Severity};
use crate::document::DATA;
use crate::fields::Value;
use crate::limits::LINT_FINDINGS_MAX;
use crate::operator::{Exceptions, Operator};
use crate::rules::FieldTest;

/// The types of JSON values.
const TYPES: [&str; 6] = ["string", "number", "boolean", "null", "object", "array"];

/// Compares a test with the schema.
pub(super) fn look(test: &FieldTest, schema: &Json, findings: &mut Vec<Finding>) {
    if test.path.mount.as_deref() != Some(DATA) || findings.len() >= LINT_FINDINGS_MAX {
        return;
    }
    let names: Vec<String> = test
        .path
        .segments()
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    match place::find(schema, &names) {
        Place::Unknown => {}
        Place::Missing(name, nearest) => findings.extend(missing(test, name, nearest)),
        Place::Found(leaves) => {
            for leaf in leaves {
                look_at_leaf(test, leaf, findings);
            }
        }
    }
}

/// The name that was most likely meant.
pub(super) fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
    let alike = names.map(|known| {
        let likeness = strsim::jaro_winkler(&name.to_lowercase(), &known.to_lowercase());
        (likeness, known)
    });
    let best = alike.max_by(|left, right| left.0.total_cmp(&right.0))?;
    (best.0 >= LIKENESS_MIN).then(|| best.1.to_owned())
}

fn missing(test: &FieldTest, name: &str, nearest: Option<String>) -> Option<Finding> {
    let asks_for_absence_alone = test
        .operators()
        .iter()
        .all(|operator| matches!(operator, Operator::Absent));
    (!asks_for_absence_alone).then(|| Finding {
        code: FindingCode::PathNotInSchema,
        severity: if test.absent {
            Severity::Warning
        } else {
            Severity::Error
        },
        path: Some(test.path.written.to_string()),
        message: format!("{}: the schema has no {name:?} there", test.path.written),
        suggestion: nearest.map(|nearest| format!("did you mean {nearest:?}?")),
    })
}

fn look_at_leaf(test: &FieldTest, leaf: &Json, findings: &mut Vec<Finding>) {
    let allowed = allowed(leaf);
    if allowed.is_empty() {
        return;
    }
    let path = &test.path.written.to_string();
    let fits = |operator: &Operator| wanted(operator).iter().any(|wanted| allowed.contains(wanted));
    let none_fits = !test.operators().iter().any(fits);
    let severity = if none_fits { Severity::Error } else { Severity::Warning };
    for operator in test.operators() {
        if !fits(operator) {
            let says = allowed.join(" or ");
            findings.push(Finding {
                code: FindingCode::TypeNotInSchema,
                severity,
                path: Some(path.clone()),
                message: format!("{path}: {operator} is {}, and the schema says {says}", a_kind(operator)),
                suggestion: other_spelling(operator, &allowed),
            });
        } else if let Some(finding) = unlisted(test, operator, leaf, none_fits) {
            findings.push(finding);
        }
    }
}

/// The types that a schema allows, in the words of JSON Schema; empty: it does not say. Integers are numbers.
fn allowed(leaf: &Json) -> Vec<&'static str> {
    let named = |name: &str| match name {
        "integer" => Some("number"),
        name => TYPES.into_iter().find(|known| *known == name),
    };
    let mut allowed: Vec<&'static str> = match leaf.get("type") {
        Some(Json::String(name)) => named(name).into_iter().collect(),
        Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).filter_map(named).collect(),
        _ => listed(leaf).iter().map(type_of).collect(),
    };
    // A list whose items the schema does not describe may hold anything.
    if allowed.contains(&"array") {
        allowed.clear();
    }
    allowed.sort_unstable();
    allowed.dedup();
    allowed
}

fn listed(leaf: &Json) -> &[Json] {
    leaf.get("enum").and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

/// The name of a value's type.
pub(super) fn type_of(value: &Json) -> &'static str {
    match value {
        Json::String(_) => "string",
        Json::Number(_) => "number",
        Json::Bool(_) => "boolean",
        Json::Null => "null",
        Json::Object(_) => "object",
        Json::Array(_) => "array",
    }
}

/// The types of the values that a test can pass.
pub(super) fn wanted(operator: &Operator) -> &'static [&'static str] {
    match operator {
        Operator::Number(..) | Operator::Numeric(_) => &["number"],
        Operator::True | Operator::False => &["boolean"],
        Operator::Null => &["null"],
        Operator::Exists => &["string", "number", "boolean", "null"],
        Operator::AnythingBut(Exceptions::Texts(_) | Exceptions::Numbers(_)) => {
            &["string", "number", "boolean", "null"]
        }
        Operator::AnythingBut(_) => &["string", "number", "boolean", "null"],
        Operator::Absent => &TYPES,
        _ => &["string"],
    }
}

fn a_kind(operator: &Operator) -> &'static str {
    match wanted(operator) {
        ["number"] => "about numbers",
        ["boolean"] => "about true and false",
        ["null"] => "about null",
        ["string"] => "about strings",
        _ => "about values, not objects",
    }
}

/// The same value in the spelling of another type.
pub(super) fn other_spelling(operator: &Operator, types: &[&str]) -> Option<String> {
    match operator {
        Operator::Text(text) => {
            let text = std::str::from_utf8(text).ok()?;
            let value: Json = serde_json::from_str(text).ok()?;
            types
                .contains(&type_of(&value))
                .then(|| format!("write {text} without quotes"))
        }
        Operator::Number(..) | Operator::True | Operator::False if types.contains(&"string") => {
            Some(format!("write it as a string: \"{operator}\""))
        }
        _ => None,
    }
}

/// A value that the schema's list of values does not have.
fn unlisted(test: &FieldTest, operator: &Operator, leaf: &Json, none_fits: bool) -> Option<Finding> {
    let listed = listed(leaf);
    if listed.is_empty() || none_fits {
        return None;
    }
    let Operator::Text(_) = operator else { return None };
    let passes = |value: &Json| {
        value
            .as_str()
            .is_some_and(|text| operator.accepts(Value::Text(text.as_bytes())))
    };
    if listed.iter().any(passes) {
        return None;
    }
    let path = &test.path.written.to_string();
    let name = operator.to_string();
    let nearest = nearest(name.trim_matches('"'), listed.iter().filter_map(Json::as_str));
    Some(Finding {
        code: FindingCode::ValueNotInSchema,
        severity: Severity::Warning,
        path: Some(path.clone()),
        message: format!("{path}: the schema does not list {name}"),
        suggestion: nearest.map(|nearest| format!("did you mean {nearest:?}?")),
    })
}
