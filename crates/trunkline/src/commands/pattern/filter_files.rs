//! Files that hold a filter: a pattern as AWS has it, a subscription's `filter`, a whole subscription, or an expression.

use crate::{
    exit::{Code, Failure},
    resource_files::{check_numbers, yaml_reason},
};
use control::{
    filters::{FilterText, read_document, read_filter},
    resources::{Dialect, FilterSpec},
};
use serde_json::{Value, value::RawValue};
use std::{collections::BTreeMap, io::Read, path::Path};

/// What a file asks for.
#[derive(Debug, PartialEq)]
pub struct Given {
    /// Event types.
    pub types: Option<Vec<String>>,
    /// A filter.
    pub filter: Option<FilterSpec>,
}

/// The languages of filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// An EventBridge pattern.
    Eventbridge,
    /// A CESQL expression.
    Cesql,
    /// A list of filters of the CloudEvents Subscriptions API.
    Cloudevents,
    /// An Azure Event Grid filter.
    Eventgrid,
    /// A JSONPath query.
    Jsonpath,
}

/// Names of languages in a subscription's filter.
const LANGUAGES: [&str; 5] = ["eventbridge", "cesql", "cloudevents", "eventgrid", "jsonpath"];

/// Reads a file (`-`: standard input).
pub fn read(file: &Path, language: Option<Language>, extended: bool) -> Result<Given, Failure> {
    let text = read_text(file)?;
    let dialect = if extended { Dialect::Extended } else { Dialect::Standard };
    let given = match language {
        Some(language) => Ok(filter_given(language, &text, dialect)),
        None => guess(&text, dialect),
    };
    given.map_err(|reason| Failure::new(Code::Usage, format!("{}: {reason}", file.display())))
}

/// The text of a file (`-`: standard input).
pub fn read_text(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|mut file| file.read_to_string(&mut text))
    };
    let wrong = |error| Failure::new(Code::Usage, format!("cannot read {}: {error}", file.display()));
    read.map(|_| text).map_err(wrong)
}

fn filter_given(language: Language, text: &str, dialect: Dialect) -> Given {
    let (json, expression) = (|| FilterText::new(text), || text.trim().to_owned());
    let filter = match language {
        Language::Eventbridge => FilterSpec::EventBridge(json(), dialect),
        Language::Cesql => FilterSpec::Cesql(expression(), dialect),
        Language::Cloudevents => FilterSpec::CloudEvents(json(), dialect),
        Language::Eventgrid => FilterSpec::EventGrid(json()),
        Language::Jsonpath => FilterSpec::JsonPath(expression()),
    };
    Given {
        types: None,
        filter: Some(filter),
    }
}

/// Finds out what a text is.
fn guess(text: &str, dialect: Dialect) -> Result<Given, String> {
    let begins = text.trim_start();
    if begins.starts_with('{') {
        return object(&from_flow_yaml(text)?.unwrap_or_else(|| text.to_owned()), dialect);
    }
    if begins.starts_with('[') {
        return Ok(filter_given(Language::Cloudevents, text, dialect));
    }
    if begins.starts_with('$') {
        return Ok(filter_given(Language::Jsonpath, text, dialect));
    }
    match serde_saphyr::from_str::<Value>(text) {
        Ok(value) if value.is_object() => {
            check_numbers(&value, text)?;
            object(&value.to_string(), dialect)
        }
        Err(error) if is_mapping(text) => Err(not_yaml(&error)),
        _ => Ok(filter_given(Language::Cesql, text, dialect)),
    }
}

fn not_yaml(error: &serde_saphyr::Error) -> String {
    format!("the YAML cannot be read: {}", yaml_reason(error))
}

/// Whether a text that is no YAML was meant to be: its first line names a member, as no expression does.
fn is_mapping(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim);
    let first = lines.find(|line| !(line.is_empty() || line.starts_with('#') || *line == "---"));
    first.and_then(name_of_member).is_some()
}

/// The name that a member of YAML begins with, as it is written.
fn name_of_member(text: &str) -> Option<&str> {
    let (name, content) = text.split_once(':')?;
    let name = name.trim();
    let quoted = ['"', '\'']
        .into_iter()
        .find_map(|quote| name.strip_prefix(quote)?.strip_suffix(quote));
    let plain = quoted.unwrap_or(name);
    let is_plain = !plain.is_empty()
        && plain
            .chars()
            .all(|character| character.is_alphanumeric() || "$-._".contains(character));
    (is_plain && (content.is_empty() || content.starts_with(char::is_whitespace))).then_some(name)
}

/// A subscription's filter that is written as the documentation has it, `{cesql: "…"}`: YAML that begins like JSON. A pattern
/// that is no JSON is none: AWS would not take it.
fn from_flow_yaml(text: &str) -> Result<Option<String>, String> {
    if serde_json::from_str::<&RawValue>(text).is_ok() {
        return Ok(None);
    }
    match serde_saphyr::from_str::<Value>(text) {
        Ok(value) if value.as_object().is_some_and(|members| is_filter(members.keys())) => {
            check_numbers(&value, text)?;
            Ok(Some(value.to_string()))
        }
        Err(error) if is_flow_of_filter(text) => Err(not_yaml(&error)),
        _ => Ok(None),
    }
}

/// Whether a text begins as a filter in YAML that begins like JSON.
fn is_flow_of_filter(text: &str) -> bool {
    let inside = text.trim_start().strip_prefix('{').and_then(name_of_member);
    inside.is_some_and(|name| LANGUAGES.contains(&name))
}

/// Whether an object with these members is a subscription's filter.
fn is_filter<'a>(mut names: impl Iterator<Item = &'a String> + Clone) -> bool {
    let is_language = |name: &String| LANGUAGES.contains(&name.as_str());
    names.clone().any(is_language) && names.all(|name| is_language(name) || name == "dialect")
}

/// A JSON object: a subscription, its filter, or a pattern.
fn object(text: &str, dialect: Dialect) -> Result<Given, String> {
    let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(text) else {
        // What is wrong with the JSON is best said by who reads patterns.
        return Ok(filter_given(Language::Eventbridge, text, dialect));
    };
    let told = |refusal: control::Refusal| match refusal.pointer {
        Some(pointer) => format!("{pointer}: {}", refusal.detail),
        None => refusal.detail,
    };
    // `filter` alone, with a filter in it: as it stands in a subscription.
    if let (1, Some(filter)) = (members.len(), members.get("filter"))
        && serde_json::from_str::<BTreeMap<String, &RawValue>>(filter.get()).is_ok_and(|inner| is_filter(inner.keys()))
    {
        return object(filter.get(), dialect);
    }
    if is_filter(members.keys()) {
        let filter = read_filter(text).map_err(told)?;
        return Ok(Given {
            types: None,
            filter: Some(filter),
        });
    }
    if members.get("kind").is_some_and(|kind| kind.get() == "\"subscription\"") {
        let document = read_document(text.as_bytes()).map_err(|error| error.to_string())?;
        let filter = document.get("filter").filter(|filter| !filter.is_null());
        let types = document.get("types").filter(|types| !types.is_null());
        let types = types.map(|types| serde_json::from_value(types.clone())).transpose();
        return Ok(Given {
            types: types.map_err(|error| format!("/types: {error}"))?,
            filter: filter
                .map(|filter| read_filter(&filter.to_string()))
                .transpose()
                .map_err(told)?,
        });
    }
    Ok(filter_given(Language::Eventbridge, text, dialect))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_what_it_holds() {
        let language = |text: &str| {
            let given = guess(text, Dialect::Standard).expect(text);
            given.filter.map(|filter| filter.language())
        };
        for (text, expected) in [
            (r#"{"detail": {"a": [1]}}"#, "eventbridge"),
            (
                r#"{"eventbridge": {"detail": {"a": [1]}}, "dialect": "extended"}"#,
                "eventbridge",
            ),
            (r#"{"cesql": "TRUE"}"#, "cesql"),
            (r#"[{"exact": {"type": "a"}}]"#, "cloudevents"),
            ("$.a[?@.b > 1]", "jsonpath"),
            ("type = 'a' AND subject LIKE 'b%'", "cesql"),
            (
                "kind: subscription\nname: a\nfilter: {eventgrid: {subjectBeginsWith: /a}}\n",
                "eventgrid",
            ),
            ("cesql: TRUE = FALSE\n", "cesql"),
            ("{cesql: TRUE = FALSE}", "cesql"),
            ("filter: {jsonpath: $.a}\n", "jsonpath"),
            (r#"{"filter": {"cesql": "TRUE"}}"#, "cesql"),
            (r#"{"filter": {"name": ["a"]}}"#, "eventbridge"),
            ("{detail: {a: [1]}}", "eventbridge"),
            ("{", "eventbridge"),
        ] {
            assert_eq!(language(text), Some(expected), "{text}");
        }
        let given = guess(r#"{"kind": "subscription", "types": ["a.*"]}"#, Dialect::Standard).expect("a subscription");
        assert_eq!((given.types, given.filter), (Some(vec!["a.*".to_owned()]), None));
        assert!(guess(r#"{"cesql": 5}"#, Dialect::Standard).is_err());
    }

    #[test]
    fn yaml_that_cannot_be_read_is_not_taken_for_an_expression() {
        let refused = |text: &str, said: &str| {
            let reason = guess(text, Dialect::Standard).expect_err(text);
            assert!(reason.contains(said), "{text}: {reason}");
        };
        refused(
            "filter: {eventbridge: {detail: {a: {b: [x]}, a: {c: [y]}}}}\n",
            "the YAML cannot be read: error: line 1 column 46: duplicate mapping key",
        );
        refused(
            "# A filter\n---\nfilter:\n  eventbridge:\n    a: [1e400]\n",
            "line 5 column 9",
        );
        let repeated = guess("a: {b: [1], b: [2]}\n", Dialect::Standard).expect_err("a name is there twice");
        assert!(!repeated.contains("Options"), "{repeated}");
        refused("'filter': {cesql: 'a\n", "the YAML cannot be read");
        refused("{eventbridge: {a: [1], a: [2]}}", "the YAML cannot be read");
        refused("{eventbridge: {a: [123456789012345678901]}}", "YAML rounds a number");
        refused("detail:\n  a: [123456789012345678901]\n", "YAML rounds a number");
        for expression in ["'a' = type", "'a' = type AND id = 'c: d'", "'a: b' = type"] {
            let given = guess(expression, Dialect::Standard).expect(expression);
            assert_eq!(given.filter.expect("a filter").language(), "cesql", "{expression}");
        }
    }

    #[test]
    fn the_text_of_a_pattern_stays_as_it_is_written() {
        let text = r#"{"eventbridge": {"a": [1e400], "a": [3e2]}}"#;
        let given = guess(text, Dialect::Standard).expect("a filter");
        assert_eq!(given.filter.expect("a filter").text(), r#"{"a": [1e400], "a": [3e2]}"#);
    }
}
