//! What sample documents say about a filter: fields that none of them has, values of other types, and how many match.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::schema::{nearest, other_spelling, wanted};
use super::{Finding, FindingCode, Samples, Severity};
use crate::check::Check;
use crate::document::{DATA, Document};
use crate::fields::{Fields, Scratch, Value};
use crate::filter::Filter;
use crate::limits::LINT_FINDINGS_MAX;
use crate::operator::Operator;
use crate::paths::{Path, Paths, Place};
use crate::rules::{FieldTest, Found, Rules};
use crate::scan::scan;

/// Paths of samples that are remembered for advice.
const PATHS_MAX: usize = 4_096;
/// From so many samples on it is worth saying that all of them match.
const ALL_MATCH_MIN: usize = 10;

/// What the samples have at one test's path.
#[derive(Default)]
struct Seen {
    types: BTreeSet<&'static str>,
    example: Option<String>,
}

/// Asks the filter and its fields about every sample.
pub(super) fn look(filter: &Filter, samples: Samples<'_>, findings: &mut Vec<Finding>) {
    let mut asked = Vec::new();
    for part in filter.parts() {
        match &part.check {
            None => asked.extend(part.guard.tests.iter().map(Asked::Test)),
            Some(check) => gather(check, &mut asked),
        }
    }
    let mut paths = Paths::default();
    let places: Vec<Place> = asked.iter().map(|asked| paths.ask(asked.path())).collect();
    let mut seen: Vec<Seen> = asked.iter().map(|_| Seen::default()).collect();
    let (mut count, mut matching, mut known) = (0, 0, BTreeSet::new());
    let mut scratch = Scratch::new();
    samples(&mut |sample| {
        count += 1;
        matching += usize::from(filter.matches_with(sample, &mut scratch));
        remember_paths(sample, &mut known);
        scan(sample, &paths, None, &mut scratch.fields, &mut scratch.key);
        for (place, seen) in places.iter().zip(&mut seen) {
            seen.look(*place, sample, &scratch.fields);
        }
    });
    for (asked, seen) in asked.iter().zip(&seen).filter(|_| count > 0) {
        if findings.len() >= LINT_FINDINGS_MAX {
            return;
        }
        let finding = look_at(*asked, seen, count, &known).filter(|finding| !findings.contains(finding));
        findings.extend(finding);
    }
    findings.extend(counted(matching, count));
}

impl Seen {
    fn look(&mut self, place: Place, document: &Document<'_>, fields: &Fields) {
        if place == Place::NOWHERE {
            return;
        }
        let found = Found { document, fields };
        for field in fields.at(place) {
            let value = found.value(field);
            self.types.insert(type_of(value));
            self.example.get_or_insert_with(|| crate::explain::shown(value));
        }
    }
}

/// Something that a filter looks at.
#[derive(Clone, Copy)]
enum Asked<'f> {
    Test(&'f FieldTest),
    /// What an expression names.
    Name(&'f Path),
}

impl<'f> Asked<'f> {
    fn path(self) -> &'f Path {
        match self {
            Asked::Test(test) => &test.path,
            Asked::Name(path) => path,
        }
    }
}

fn gather<'f>(check: &'f Check, asked: &mut Vec<Asked<'f>>) {
    match check {
        Check::All(group) | Check::Any(group) => group.checks().iter().for_each(|check| gather(check, asked)),
        Check::Not(check) => gather(check, asked),
        Check::Rules(Rules { tests: own, .. }) => asked.extend(own.iter().map(Asked::Test)),
        Check::Cesql(program) => asked.extend(program.named().map(Asked::Name)),
        _ => {}
    }
}

/// Compares one field with the samples.
fn look_at(asked: Asked<'_>, seen: &Seen, samples: usize, known: &BTreeSet<String>) -> Option<Finding> {
    let path = asked.path();
    path.mount.as_ref()?;
    let test = match asked {
        Asked::Test(test) => test,
        Asked::Name(_) if seen.example.is_some() => return None,
        Asked::Name(path) => return never_seen(path, Severity::Warning, samples, known),
    };
    let all_about_absence = test
        .operators()
        .iter()
        .all(|operator| matches!(operator, Operator::Absent));
    match &seen.example {
        _ if all_about_absence => None,
        None if test.absent => never_seen(path, Severity::Note, samples, known),
        None => never_seen(path, Severity::Warning, samples, known),
        Some(example) => other_type(test, &seen.types, example),
    }
}

fn type_of(value: Value<'_>) -> &'static str {
    match value {
        Value::Text(_) => "string",
        Value::Number(..) => "number",
        Value::True | Value::False => "boolean",
        Value::Null => "null",
    }
}

fn never_seen(path: &Path, severity: Severity, samples: usize, known: &BTreeSet<String>) -> Option<Finding> {
    let own = below_the_data(path)?;
    let path = &path.written.to_string();
    let inside = format!("{own}.");
    let is_object = known
        .range(inside.clone()..)
        .next()
        .is_some_and(|next| next.starts_with(&inside));
    let (message, suggestion) = if is_object {
        let member = known.range(inside.clone()..).next().map(|member| &member[own.len()..]);
        let message = format!(
            "{path} is an object in {}; a test looks at values, not at objects",
            last(samples)
        );
        (
            message,
            member.map(|member| format!("name one of its members, such as {path}{member}")),
        )
    } else {
        let message = match samples {
            1 => format!("the last event has no {path}"),
            many => format!("none of the last {many} events has {path}"),
        };
        let nearest = nearest(&own, known.iter().map(String::as_str));
        let top = path.strip_suffix(&own).unwrap_or_default();
        (message, nearest.map(|nearest| format!("did you mean {top}{nearest}?")))
    };
    Some(Finding {
        code: FindingCode::PathNeverSeen,
        severity,
        path: Some(path.clone()),
        message,
        suggestion,
    })
}

/// The path below the data, or of an attribute.
fn below_the_data(path: &Path) -> Option<String> {
    let segments: Vec<_> = path
        .segments()
        .map(|segment| String::from_utf8_lossy(segment))
        .collect();
    match path.mount.as_deref()? {
        DATA => Some(segments.join(".")),
        _ => Some(path.written.to_string()),
    }
}

fn other_type(test: &FieldTest, types: &BTreeSet<&'static str>, example: &str) -> Option<Finding> {
    let fits = |operator: &Operator| wanted(operator).iter().any(|wanted| types.contains(wanted));
    let about_values = || {
        let operators = test.operators().iter();
        operators.filter(|operator| !matches!(operator, Operator::Absent))
    };
    if about_values().any(fits) {
        return None;
    }
    let (path, first) = (&test.path.written.to_string(), about_values().next()?);
    let seen: Vec<&str> = types.iter().copied().collect();
    Some(Finding {
        code: FindingCode::TypeNeverSeen,
        severity: Severity::Warning,
        path: Some(path.clone()),
        message: format!(
            "{path} is always a {} in the last events, such as {example}; {first} never passes",
            seen.join(" or a ")
        ),
        suggestion: other_spelling(first, &seen),
    })
}

/// The samples, in words.
fn last(samples: usize) -> String {
    match samples {
        1 => "the last event".to_owned(),
        many => format!("the last {many} events"),
    }
}

/// How many of the samples match, where that is odd.
fn counted(matching: usize, samples: usize) -> Option<Finding> {
    let (code, severity, message) = match matching {
        0 if samples > 0 => (
            FindingCode::NoSampleMatches,
            Severity::Note,
            match samples {
                1 => "the last event does not match".to_owned(),
                many => format!("none of the last {many} events matches"),
            },
        ),
        all if all == samples && all >= ALL_MATCH_MIN => (
            FindingCode::EverySampleMatches,
            Severity::Note,
            format!("each of the last {all} events matches"),
        ),
        _ => return None,
    };
    Some(Finding {
        code,
        severity,
        path: None,
        message,
        suggestion: None,
    })
}

/// Adds the paths of a sample's data, dotted, arrays left out.
fn remember_paths(sample: &Document<'_>, known: &mut BTreeSet<String>) {
    let data = sample.entries().iter().filter(|(mount, _)| *mount == DATA);
    for (_, content) in data {
        if let Ok(value) = serde_json::from_slice::<Json>(content.bytes()) {
            collect(&value, String::new(), known);
        }
    }
}

fn collect(value: &Json, path: String, known: &mut BTreeSet<String>) {
    if known.len() >= PATHS_MAX {
        return;
    }
    match value {
        Json::Object(members) => members.iter().for_each(|(name, value)| {
            let separator = if path.is_empty() { "" } else { "." };
            collect(value, format!("{path}{separator}{name}"), known);
        }),
        Json::Array(items) => items.iter().for_each(|item| collect(item, path.clone(), known)),
        _ if !path.is_empty() => drop(known.insert(path)),
        _ => {}
    }
}
