//! Runs CESQL cases from standard input: JSON lines `{"id", "expression", "event", "eventOverrides"}`, answered by
//! `{"id", "match", "result", "errors"}`. An event is CloudEvents JSON; without one, some valid event is taken. Attributes that
//! are JSON integers or booleans keep their type. `"dialect": "extended"` lets the expression see into the event's `data`.

use std::io::{BufRead, BufWriter, Write};

use pattern::cesql::{Expression, Value};
use pattern::{Data, Dialect, Document};
use serde_json::{Map, Value as Json, json};

fn main() -> std::io::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let answer = match serde_json::from_str::<Json>(&line?) {
            Ok(case) => run(&case),
            Err(error) => json!({"id": null, "error": error.to_string()}),
        };
        writeln!(out, "{answer}")?;
    }
    out.flush()
}

fn run(case: &Json) -> Json {
    let id = &case["id"];
    let Some(text) = case["expression"].as_str() else {
        return json!({"id": id, "error": "the case has no expression"});
    };
    let dialect = match case["dialect"].as_str() {
        Some("extended") => Dialect::Extended,
        _ => Dialect::Standard,
    };
    let expression = match Expression::parse(text, dialect) {
        Ok(expression) => expression,
        Err(error) => {
            return json!({
                "id": id, "match": false, "result": false, "errors": ["parse"], "message": error.to_string(),
            });
        }
    };
    let event = event(case);
    let owned = attributes(&event);
    let data = event.get("data").map(Json::to_string);
    let mut document = Document::new();
    for (path, kind, text) in &owned {
        document = match kind {
            Json::Number(_) => document.integer(path, text),
            Json::Bool(_) => document.boolean(path, text),
            _ => document.text(path, text),
        };
    }
    let data = data.as_ref().map_or(Data::Absent, |data| Data::Json(data.as_bytes()));
    let evaluation = expression.evaluate(&document.data(data));
    let result = match &evaluation.value {
        Value::String(text) => json!(text),
        Value::Integer(integer) => json!(integer),
        Value::Boolean(boolean) => json!(boolean),
    };
    let errors: Vec<&str> = evaluation.errors.iter().map(|error| error.kind.as_str()).collect();
    json!({"id": id, "match": evaluation.passes(), "result": result, "errors": errors})
}

/// The case's event, or some valid one, with what the case overrides.
fn event(case: &Json) -> Map<String, Json> {
    let given = case["event"].as_object().cloned();
    let mut event = given.unwrap_or_else(|| {
        let event = json!({"specversion": "1.0", "id": "1", "source": "/cases", "type": "com.example.case"});
        event.as_object().cloned().unwrap_or_default()
    });
    event.extend(case["eventOverrides"].as_object().cloned().unwrap_or_default());
    event
}

/// Canonical paths, types and canonical strings of the attributes; null is absent.
fn attributes(event: &Map<String, Json>) -> Vec<(String, &Json, String)> {
    let attributes = event.iter().filter(|(name, value)| *name != "data" && !value.is_null());
    attributes
        .map(|(name, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (format!("/attr/{name}"), value, text)
        })
        .collect()
}
