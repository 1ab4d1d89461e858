//! Runs pattern cases from standard input: JSON lines `{"id", "pattern" | "pattern_raw", "event" | "event_raw"}` over bare documents,
//! answered by `{"id", "match"}` or `{"id", "error"}`.

use std::io::{BufRead, BufWriter, Write};

use pattern::{Data, DataState, Document, Filter, Mounts, explain};
use serde_json::{Value, json};

fn main() -> std::io::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let answer = match serde_json::from_str::<Value>(&line?) {
            Ok(case) => {
                let id = &case["id"];
                match run(&case) {
                    Ok(matched) => json!({"id": id, "match": matched}),
                    Err(error) => json!({"id": id, "error": error}),
                }
            }
            Err(error) => json!({"id": null, "error": error.to_string()}),
        };
        writeln!(out, "{answer}")?;
    }
    out.flush()
}

/// Compiles the pattern and asks it about the event, which must be a JSON object if there is one.
fn run(case: &Value) -> Result<bool, String> {
    let pattern = text_of(case, "pattern").ok_or("the case has no pattern")?;
    let filter = Filter::eventbridge(pattern.as_bytes(), &Mounts::bare()).map_err(|error| error.message)?;
    let Some(event) = text_of(case, "event") else {
        return Ok(false);
    };
    let document = Document::new().data(Data::Object(event.as_bytes()));
    match explain(&Filter::everything(), &document).data {
        DataState::NotJson { reason, position } => {
            Err(format!("the event is not a JSON object: {reason} at byte {position}"))
        }
        _ => Ok(filter.matches(&document)),
    }
}

/// A member as text: a string is the text itself, anything else is its JSON; `…_raw` is always the text itself.
fn text_of(case: &Value, name: &str) -> Option<String> {
    match (&case[format!("{name}_raw")], &case[name]) {
        (Value::String(raw), _) | (_, Value::String(raw)) => Some(raw.clone()),
        (_, Value::Null) => None,
        (_, other) => Some(other.to_string()),
    }
}
