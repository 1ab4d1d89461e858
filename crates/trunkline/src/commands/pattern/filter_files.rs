//! Files that hold a filter: a pattern as AWS has it, a subscription's `filter`, a whole subscription, or an expression.

use crate::exit::{Code, Failure};
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
        return object(&from_flow_yaml(text).unwrap_or_else(|| text.to_owned()), dialect);
    }
    if begins.starts_with('[') {
        return Ok(filter_given(Language::Cloudevents, text, dialect));
    }
    if begins.starts_with('$') {
        return Ok(filter_given(Language::Jsonpath, text, dialect));
    }
    match serde_saphyr::from_str::<Value>(text) {
        Ok(value) if value.is_object() => object(&value.to_string(), dialect),
        _ => Ok(filter_given(Language::Cesql, text, dialect)),
    }
}

/// A subscription's filter that is written as the documentation has it, `{cesql: "…"}`: YAML that begins like JSON. A pattern
/// that is no JSON is none: AWS would not take it.
fn from_flow_yaml(text: &str) -> Option<String> {
    if serde_json::from_str::<&RawValue>(text).is_ok() {
        return None;
    }
    let value = serde_saphyr::from_str::<Value>(text).ok()?;
    let is_filter = value.as_object().is_some_and(|members| is_filter(members.keys()));
    is_filter.then(|| value.to_string())
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
    fn the_text_of_a_pattern_stays_as_it_is_written() {
        let text = r#"{"eventbridge": {"a": [1e400], "a": [3e2]}}"#;
        let given = guess(text, Dialect::Standard).expect("a filter");
        assert_eq!(given.filter.expect("a filter").text(), r#"{"a": [1e400], "a": [3e2]}"#);
    }
}
