//! `trunkline cesql`: expressions tried on events, without a server; for conformance suites.

use crate::{
    commands::pattern::{answer_lines_of, lines::Line, read, write_line},
    exit::Failure,
};
use pattern::{
    Data, Dialect, Document,
    cesql::{Evaluation, Expression, Value},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json, value::RawValue};
use std::{io::Write, path::PathBuf};

/// Try expressions of the CloudEvents SQL language.
#[derive(Debug, clap::Subcommand)]
pub enum Cesql {
    /// Evaluate expressions for events.
    Test(Test),
}

/// Evaluate expressions for events.
#[derive(Debug, clap::Args)]
pub struct Test {
    /// Cases as JSON lines {"id", "expression", "event"}; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub cases: PathBuf,
}

impl Cesql {
    /// Runs it.
    pub fn run(self) -> Result<(), Failure> {
        match self {
            Cesql::Test(test) => answer_lines_of(&test.cases, answer),
        }
    }
}

/// An expression, and an event as CloudEvents JSON; its rules are not checked.
#[derive(Deserialize)]
struct Case<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    expression: String,
    event: Option<Map<String, Json>>,
    /// Attributes instead of the event's.
    #[serde(rename = "eventOverrides", default)]
    overrides: Map<String, Json>,
    /// `extended`: the expression may look into the data.
    #[serde(default)]
    dialect: Option<String>,
}

#[derive(Default, Serialize)]
struct Answer<'a> {
    id: Option<&'a RawValue>,
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    matched: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Answers one case: `{"id", "match", "result", "errors"}`; beside the error `parse`, what is wrong in words.
fn answer(line: Line<'_>, output: &mut dyn Write) -> std::io::Result<()> {
    let case: Case<'_> = match read(line) {
        Ok(case) => case,
        Err(error) => {
            let error = Some(error);
            return write_line(
                output,
                &Answer {
                    error,
                    ..Answer::default()
                },
            );
        }
    };
    let dialect = match case.dialect.as_deref() {
        Some("extended") => Dialect::Extended,
        _ => Dialect::Standard,
    };
    let answer = match Expression::parse(&case.expression, dialect) {
        Ok(expression) => evaluated(&case, &expression),
        Err(error) => Answer {
            id: case.id,
            matched: Some(false),
            result: Some(false.into()),
            errors: Some(vec!["parse"]),
            error: Some(error.to_string()),
        },
    };
    write_line(output, &answer)
}

fn evaluated<'a>(case: &Case<'a>, expression: &Expression) -> Answer<'a> {
    let evaluation = evaluate(case, expression);
    let result = match &evaluation.value {
        Value::String(text) => json!(text),
        Value::Integer(integer) => json!(integer),
        Value::Boolean(boolean) => json!(boolean),
    };
    Answer {
        id: case.id,
        matched: Some(evaluation.passes()),
        result: Some(result),
        errors: Some(evaluation.errors.iter().map(|error| error.kind.as_str()).collect()),
        error: None,
    }
}

/// Evaluates for the case's event, or for one with the required attributes alone. Integers and booleans keep their type.
fn evaluate(case: &Case<'_>, expression: &Expression) -> Evaluation {
    let mut event = case.event.clone().unwrap_or_else(|| {
        let required = [
            ("specversion", "1.0"),
            ("id", "1"),
            ("source", "/cases"),
            ("type", "com.example.case"),
        ];
        let required = required.map(|(name, value)| (name.to_owned(), Json::from(value)));
        required.into_iter().collect()
    });
    event.extend(case.overrides.clone());
    let attributes = event.iter().filter(|(name, value)| *name != "data" && !value.is_null());
    let attributes: Vec<(String, &Json, String)> = attributes
        .map(|(name, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (format!("{}{name}", control::filters::paths::ATTRIBUTES), value, text)
        })
        .collect();
    let data = event.get("data").map(Json::to_string);
    let mut document = Document::new();
    for (path, value, text) in &attributes {
        document = match value {
            Json::Number(_) => document.integer(path, text),
            Json::Bool(_) => document.boolean(path, text),
            _ => document.text(path, text),
        };
    }
    let data = data.as_ref().map_or(Data::Absent, |data| Data::Json(data.as_bytes()));
    expression.evaluate(&document.data(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(case: Json, expected: Json) {
        let (line, mut output) = (case.to_string(), Vec::new());
        answer(Line::Bytes(line.as_bytes()), &mut output).expect("memory takes it");
        let answer: Json = serde_json::from_slice(&output).expect("JSON");
        for (name, value) in expected.as_object().expect("an object") {
            assert_eq!(answer[name], *value, "{case}: {answer}");
        }
    }

    #[test]
    fn an_expression_is_answered_with_its_value_and_errors() {
        check(
            json!({"id": 1, "expression": "type = 'a'", "event": {"type": "a"}}),
            json!({"id": 1, "match": true, "result": true, "errors": []}),
        );
        check(
            json!({"expression": "hop + 1", "event": {"hop": 4}}),
            json!({"id": null, "match": false, "result": 5, "errors": []}),
        );
        check(
            json!({"expression": "missing = 2"}),
            json!({"match": false, "result": false, "errors": ["missingAttribute"]}),
        );
        check(
            json!({"expression": "ABC("}),
            json!({"match": false, "errors": ["parse"]}),
        );
        check(
            json!({"expression": "id", "eventOverrides": {"id": "x"}}),
            json!({"result": "x"}),
        );
    }

    #[test]
    fn a_line_that_is_no_case_is_told() {
        let mut output = Vec::new();
        answer(Line::Bytes(b"{}"), &mut output).expect("memory takes it");
        assert!(String::from_utf8_lossy(&output).contains("missing field `expression`"));
    }
}
