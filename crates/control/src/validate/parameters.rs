//! The rules of parameters: those of a connection, of its requests for tokens, and of a subscription's target.

use super::{
    count, unique,
    webhook::{header_name, header_value, sent_secret},
};
use crate::{
    limits,
    parse::token,
    refusal::Refusal,
    resources::{Parameter, ParameterPlace, TargetSpec},
};
use std::collections::BTreeMap;

/// The parameters of a list; `headers` are there already.
pub(super) fn list(at: &str, parameters: &[Parameter], headers: &BTreeMap<String, String>) -> Result<(), Refusal> {
    count(at, "parameters", parameters.len(), 0..=limits::PARAMETERS_MAX)?;
    for (index, parameter) in parameters.iter().enumerate() {
        one(&format!("{at}/{index}"), parameter)?;
    }
    let of = |place: ParameterPlace| parameters.iter().filter(move |parameter| parameter.place == place);
    for place in [ParameterPlace::Query, ParameterPlace::Body] {
        unique(
            at,
            "/name",
            "parameter",
            of(place).map(|parameter| parameter.name.as_str()),
        )?;
    }
    let lower = |name: &String| name.to_ascii_lowercase();
    let names: Vec<String> = headers
        .keys()
        .map(lower)
        .chain(of(ParameterPlace::Header).map(|parameter| lower(&parameter.name)))
        .collect();
    unique(at, "/name", "header", names.iter().map(String::as_str)).map_err(|refusal| Refusal {
        pointer: Some(at.to_owned()),
        ..refusal
    })
}

fn one(at: &str, parameter: &Parameter) -> Result<(), Refusal> {
    match parameter.place {
        ParameterPlace::Header => header_name(&format!("{at}/name"), &parameter.name)?,
        ParameterPlace::Query | ParameterPlace::Body => name(&format!("{at}/name"), &parameter.name)?,
    }
    let is_header = parameter.place == ParameterPlace::Header;
    let legal = |text: &str| match is_header {
        true => header_value("", text).is_ok(),
        false => text.len() <= limits::SECRET_BYTES_MAX && !text.chars().any(char::is_control),
    };
    const RULE: &str = "it has no control characters, and in a header it is visible ASCII with no space at an end";
    match (&parameter.value, &parameter.secret) {
        (Some(value), None) if legal(value) => Ok(()),
        (Some(_), None) => Err(Refusal::invalid(
            format!("{at}/value"),
            format!("{RULE}, and has at most 4096 bytes"),
        )),
        (None, Some(secret)) => sent_secret(&format!("{at}/secret"), secret, legal, RULE),
        _ => Err(Refusal::invalid(at, "a parameter has a value or a secret")),
    }
}

fn name(at: &str, name: &str) -> Result<(), Refusal> {
    let short = (1..=limits::PARAMETER_NAME_BYTES_MAX).contains(&name.len());
    match short && !name.chars().any(char::is_control) {
        true => Ok(()),
        false => Err(Refusal::invalid(
            at,
            "a name is 1 to 512 bytes without control characters",
        )),
    }
}

/// What a target adds to each request of its webhook, whose URL has so many places.
pub(super) fn target(target: &TargetSpec, places: usize) -> Result<(), Refusal> {
    if !target.path.is_empty() && target.path.len() != places {
        let (given, text) = (target.path.len(), "/target/path");
        let detail = format!("the connection's URL has {places} places (*), and path has {given} values");
        return Err(Refusal::invalid(text, detail));
    }
    let all = target.path.len() + target.query.len() + target.headers.len();
    count("/target", "path, query and headers", all, 0..=limits::PARAMETERS_MAX)?;
    for (index, value) in target.path.iter().enumerate() {
        let pointer = format!("/target/path/{index}");
        text_or_path(&pointer, value)?;
        if matches!(value.as_str(), "" | "." | "..") {
            return Err(Refusal::invalid(pointer, "a value of a path is not empty, . or .."));
        }
    }
    for (name, value) in &target.query {
        let pointer = format!("/target/query{}", token(name));
        self::name(&pointer, name)?;
        text_or_path(&pointer, value)?;
    }
    for (name, value) in &target.headers {
        let pointer = format!("/target/headers{}", token(name));
        header_name(&pointer, name)?;
        text_or_path(&pointer, value)?;
        if !value.starts_with("$.") {
            header_value(&pointer, value)?;
        }
    }
    let lower: Vec<String> = target.headers.keys().map(|name| name.to_ascii_lowercase()).collect();
    unique("/target/headers", "", "header", lower.iter().map(String::as_str))
}

/// A value that begins with `$.` is a path into the event's envelope.
fn text_or_path(pointer: &str, value: &str) -> Result<(), Refusal> {
    if value.starts_with("$.") {
        let compiled = transform::InputPath::new(value);
        return compiled
            .map(drop)
            .map_err(|error| Refusal::invalid(pointer, error.message));
    }
    match value.len() <= limits::HEADER_VALUE_BYTES_MAX && !value.chars().any(char::is_control) {
        true => Ok(()),
        false => Err(Refusal::invalid(
            pointer,
            "a value has at most 4096 bytes and no control characters",
        )),
    }
}
