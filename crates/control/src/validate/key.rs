//! The rules of a key.

use super::{count, quotas, text, unique};
use crate::{
    limits,
    names::is_printable,
    refusal::Refusal,
    resources::{KeySpec, PublishLimits, Scope},
};
use std::collections::BTreeSet;

pub(crate) fn key(spec: &KeySpec) -> Result<(), Refusal> {
    text("/description", &spec.description)?;
    scopes(spec)?;
    if let Some(buses) = &spec.buses {
        count("/buses", "buses", buses.len(), 1..=limits::BUSES_MAX)?;
        unique("/buses", "", "bus", buses.iter().map(String::as_str))?;
    }
    if let Some(limits) = &spec.publish {
        publish(spec, limits)?;
    }
    quotas::of_key(&spec.quotas)?;
    match &spec.not_after {
        Some(text) if text.parse::<jiff::Timestamp>().is_err() => Err(Refusal::invalid(
            "/not_after",
            "not_after is an RFC 3339 time with its zone, such as 2030-01-31T12:00:00Z",
        )),
        _ => Ok(()),
    }
}

fn scopes(spec: &KeySpec) -> Result<(), Refusal> {
    let named: BTreeSet<_> = spec.scopes.iter().collect();
    if named.len() != spec.scopes.len() {
        return Err(Refusal::invalid("/scopes", "a scope is named twice"));
    }
    count("/scopes", "scopes", spec.scopes.len(), 1..=Scope::ALL.len())?;
    if spec.buses.is_some() && spec.scopes.contains(&Scope::Administer) {
        let detail = "scope administer is for the whole installation: leave buses out, or take scope manage";
        return Err(Refusal::invalid("/scopes", detail));
    }
    Ok(())
}

fn publish(spec: &KeySpec, limits: &PublishLimits) -> Result<(), Refusal> {
    if !spec.scopes.contains(&Scope::Publish) {
        let detail = "publish narrows the scope publish, which this key does not have";
        return Err(Refusal::invalid("/publish", detail));
    }
    patterns("types", limits.types.as_ref())?;
    patterns("sources", limits.sources.as_ref())
}

fn patterns(field: &str, patterns: Option<&Vec<String>>) -> Result<(), Refusal> {
    let Some(patterns) = patterns else { return Ok(()) };
    let pointer = format!("/publish/{field}");
    count(&pointer, "patterns", patterns.len(), 1..=limits::PUBLISH_PATTERNS_MAX)?;
    unique(&pointer, "", "pattern", patterns.iter().map(String::as_str))?;
    let is_legal = |pattern: &String| {
        (1..=limits::PUBLISH_PATTERN_CHARACTERS_MAX).contains(&pattern.chars().count())
            && pattern.chars().all(is_printable)
    };
    match patterns.iter().position(|pattern| !is_legal(pattern)) {
        None => Ok(()),
        Some(index) => Err(Refusal::invalid(
            format!("{pointer}/{index}"),
            "a pattern is 1 to 512 printable characters, in which * stands for any characters",
        )),
    }
}
