//! `--cases` and `--sets`: patterns and events as JSON lines, answered as JSON lines, without a server. For conformance
//! suites of any origin; documents are bare, so that a path of a pattern begins at the top of the event.

use super::lines::{self, LINE_BYTES_MAX, Line};
use crate::exit::{Code, Failure};
use doors::http::eventbridge::{EVENT_INVALID, is_event};
use pattern::{Data, DataState, Document, Filter, Matcher, Mounts, Scratch, explain};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use std::{
    borrow::Cow,
    io::{Read, Write},
    path::Path,
    sync::Arc,
};

/// How events of cases are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Events {
    /// Any JSON object.
    Bare,
    /// An EventBridge event, checked as `TestEventPattern` does.
    Envelopes,
}

/// A JSON text inside a line: `name` holds the JSON itself, or a string that is the text; `name_raw` is always the text.
type Text<'a> = Cow<'a, str>;

#[derive(Deserialize)]
struct Case<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pattern: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pattern_raw: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    event: Option<&'a RawValue>,
    #[serde(borrow, default)]
    event_raw: Option<Cow<'a, str>>,
    /// `extended`: the pattern may use what AWS's language does not have.
    #[serde(borrow, default)]
    dialect: Option<Cow<'a, str>>,
}

/// What is answered. Ids are repeated as they were written.
#[derive(Serialize)]
struct Answer<'a> {
    id: Option<&'a RawValue>,
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    matched: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Answers one case: `{"id", "match"}`, or `{"id", "error"}`.
pub fn answer_case(line: Line<'_>, events: Events, output: &mut dyn Write) -> std::io::Result<()> {
    let (id, answer) = match read::<Case<'_>>(line) {
        Ok(case) => (case.id, run(&case, events)),
        Err(error) => (None, Err(error)),
    };
    let (matched, error) = match answer {
        Ok(matched) => (Some(matched), None),
        Err(error) => (None, Some(error)),
    };
    write_line(output, &Answer { id, matched, error })
}

/// Writes a line of JSON.
pub fn write_line(output: &mut dyn Write, answer: &impl Serialize) -> std::io::Result<()> {
    serde_json::to_writer(&mut *output, answer)?;
    output.write_all(b"\n")
}

/// Answers the lines of a file (`-`: standard input) on standard output.
pub fn answer_lines_of(
    file: &Path,
    answer: impl FnMut(Line<'_>, &mut dyn Write) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let failed = |code, error| Failure::new(code, format!("{}: {error}", file.display()));
    let input: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(file).map_err(|error| failed(Code::Usage, error))?)
    };
    let output = std::io::BufWriter::new(std::io::stdout().lock());
    match lines::answer_lines(input, output, answer) {
        // Whoever read the answers has gone.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        answered => answered.map_err(|error| failed(Code::Failed, error)),
    }
}

/// A line as what it should be, or what is wrong with it.
pub fn read<'a, T: Deserialize<'a>>(line: Line<'a>) -> Result<T, String> {
    match line {
        Line::TooLong => Err(format!("the line takes more than {LINE_BYTES_MAX} bytes")),
        Line::Bytes(bytes) => {
            serde_json::from_slice(bytes).map_err(|error| format!("the line cannot be read: {error}"))
        }
    }
}

fn run(case: &Case<'_>, events: Events) -> Result<bool, String> {
    let pattern = text(case.pattern, &case.pattern_raw)?.ok_or("the case has no pattern")?;
    let filter = compile(&pattern, case.dialect.as_deref())?;
    match text(case.event, &case.event_raw)? {
        None => Ok(false),
        Some(event) => check(&event, events).map(|()| filter.matches(&Document::bare(event.as_bytes()))),
    }
}

fn compile(pattern: &str, dialect: Option<&str>) -> Result<Filter, String> {
    let compiled = match dialect {
        None | Some("standard") => Filter::eventbridge(pattern.as_bytes(), &Mounts::bare()),
        Some("extended") => Filter::eventbridge_extended(pattern.as_bytes(), &Mounts::bare()),
        Some(_) => return Err("dialect is standard or extended".into()),
    };
    compiled.map_err(|error| error.message)
}

/// The text of a member that is JSON, or a string that holds it.
fn text<'a>(value: Option<&'a RawValue>, raw: &'a Option<Cow<'a, str>>) -> Result<Option<Text<'a>>, String> {
    match (raw, value.map(RawValue::get)) {
        (Some(raw), _) => Ok(Some(Cow::Borrowed(raw))),
        (None, Some(string)) if string.starts_with('"') => {
            let read: Result<Cow<'_, str>, _> = serde_json::from_str(string).map(Cow::Owned);
            read.map(Some)
                .map_err(|error| format!("a string cannot be read: {error}"))
        }
        (None, value) => Ok(value.map(Cow::Borrowed)),
    }
}

/// That an event can be asked about.
fn check(event: &str, events: Events) -> Result<(), String> {
    if events == Events::Envelopes {
        return is_event(event).then_some(()).ok_or_else(|| EVENT_INVALID.into());
    }
    let document = Document::new().data(Data::Object(event.as_bytes()));
    match explain(&Filter::everything(), &document).data {
        DataState::NotJson { reason, position } => {
            Err(format!("the event is not a JSON object: {reason} at byte {position}"))
        }
        _ => Ok(()),
    }
}

#[derive(Deserialize)]
struct Set<'a> {
    #[serde(borrow, default)]
    set: Option<&'a RawValue>,
    #[serde(borrow)]
    patterns: Vec<Case<'a>>,
    #[serde(borrow)]
    events: Vec<Case<'a>>,
}

/// What is answered about an event or a pattern of a set.
#[derive(Default, Serialize)]
struct SetAnswer<'a> {
    set: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    matches: Option<Vec<&'a RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Answers one set: all its patterns are in one matcher; `{"set", "event", "matches"}` for each event. A pattern or an event
/// that cannot be read is told in a line of its own, and left out.
pub fn answer_set(line: Line<'_>, output: &mut dyn Write) -> std::io::Result<()> {
    let set: Set<'_> = match read(line) {
        Ok(set) => set,
        Err(error) => {
            let error = Some(error);
            return write_line(
                output,
                &SetAnswer {
                    error,
                    ..SetAnswer::default()
                },
            );
        }
    };
    let mut filters = Vec::new();
    for (index, pattern) in (0u32..).zip(&set.patterns) {
        let text = text(pattern.pattern, &pattern.pattern_raw);
        match text.and_then(|text| compile(&text.ok_or("there is no pattern")?, pattern.dialect.as_deref())) {
            Ok(filter) => filters.push((index, Arc::new(filter))),
            Err(error) => {
                let (pattern, error) = (pattern.id, Some(error));
                write_line(
                    output,
                    &SetAnswer {
                        set: set.set,
                        pattern,
                        error,
                        ..SetAnswer::default()
                    },
                )?;
            }
        }
    }
    let matcher = Matcher::build(filters);
    let mut scratch = Scratch::new();
    for event in &set.events {
        let (matches, error) = match ask(&matcher, event, &mut scratch) {
            Ok(matched) => (Some(ids(&set, &matched)), None),
            Err(error) => (None, Some(error)),
        };
        let (set, event) = (set.set, event.id);
        write_line(
            output,
            &SetAnswer {
                set,
                event,
                matches,
                error,
                ..SetAnswer::default()
            },
        )?;
    }
    Ok(())
}

/// The indexes of the patterns that an event matches.
fn ask(matcher: &Matcher<u32>, event: &Case<'_>, scratch: &mut Scratch) -> Result<Vec<u32>, String> {
    let text = text(event.event, &event.event_raw)?.ok_or("there is no event")?;
    check(&text, Events::Bare)?;
    let mut matched = Vec::new();
    matcher.matches(&Document::bare(text.as_bytes()), scratch, &mut matched);
    Ok(matched)
}

/// The ids of matched patterns: numbers by value before texts in their order, each once.
fn ids<'a>(set: &Set<'a>, matched: &[u32]) -> Vec<&'a RawValue> {
    let ids = matched.iter().filter_map(|index| set.patterns[*index as usize].id);
    let mut ids: Vec<&RawValue> = ids.collect();
    ids.sort_by_cached_key(|id| Key::of(id));
    ids.dedup_by_key(|id| id.get());
    ids
}

/// Where an id stands among others.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Integer(i64),
    Text(String),
    Other(String),
}

impl Key {
    fn of(id: &RawValue) -> Key {
        match serde_json::from_str(id.get()) {
            Ok(Value::Number(number)) if number.is_i64() => Key::Integer(number.as_i64().unwrap_or_default()),
            Ok(Value::String(text)) => Key::Text(text),
            _ => Key::Other(id.get().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn case(line: &str, events: Events) -> Value {
        let mut output = Vec::new();
        answer_case(Line::Bytes(line.as_bytes()), events, &mut output).expect("memory takes it");
        serde_json::from_slice(&output).expect("JSON")
    }

    fn check(line: &str, expected: Value) {
        assert_eq!(case(line, Events::Bare), expected, "{line}");
    }

    #[test]
    fn a_case_is_answered_whatever_form_its_texts_have() {
        let matched = json!({"id": 1, "match": true});
        check(
            r#"{"id": 1, "pattern": {"a": [1]}, "event": {"a": 1.0}}"#,
            matched.clone(),
        );
        check(
            r#"{"id": 1, "pattern": "{\"a\":[1]}", "event": "{\"a\":1}"}"#,
            matched.clone(),
        );
        check(
            r#"{"id": 1, "pattern_raw": "{\"a\":[1]}", "event_raw": "{\"a\":1}"}"#,
            matched,
        );
        check(
            r#"{"id": "x", "pattern": {"a": [1]}, "event": {}}"#,
            json!({"id": "x", "match": false}),
        );
        check(r#"{"id": 2, "pattern": {"a": [1]}}"#, json!({"id": 2, "match": false}));
    }

    #[test]
    fn a_case_may_be_of_the_extended_dialect() {
        let line = r#"{"id": 1, "pattern": {"a": [{"regex": "^x+$"}]}, "event": {"a": "xx"}, "dialect": "extended"}"#;
        check(line, json!({"id": 1, "match": true}));
        assert!(case(&line.replace(", \"dialect\": \"extended\"", ""), Events::Bare)["error"].is_string());
    }

    #[test]
    fn a_text_stays_as_it_is_written() {
        let matched = json!({"id": null, "match": true});
        check(r#"{"pattern": {"a": [1e400]}, "event": {"a": 1e400}}"#, matched.clone());
        check(
            r#"{"pattern": {"a": ["x"], "a": ["y"]}, "event": {"a": "y"}}"#,
            matched.clone(),
        );
        check(r#"{"pattern": {"a": ["x"]}, "event": {"a": "x", "a": "y"}}"#, matched);
    }

    #[test]
    fn what_is_wrong_is_told_and_names_its_case() {
        let error = |line: &str| case(line, Events::Bare)["error"].as_str().expect("an error").to_owned();
        assert_eq!(
            error(r#"{"id": 1, "pattern": {"a": 1}}"#),
            "\"a\" must be an object or an array"
        );
        assert!(error(r#"{"id": 1, "pattern": {"a": [1]}, "event": [1]}"#).contains("not a JSON object"));
        assert!(error(r#"{"id": 1"#).contains("the line cannot be read"));
        assert!(error("\u{feff}").contains("the line cannot be read"));
        assert!(error(r#"{"id": 1, "event": {}}"#).contains("no pattern"));
        let mut output = Vec::new();
        answer_case(Line::TooLong, Events::Bare, &mut output).expect("memory takes it");
        assert!(String::from_utf8_lossy(&output).contains("takes more than"));
    }

    #[test]
    fn an_envelope_is_checked_as_test_event_pattern_does() {
        let line = r#"{"id": 1, "pattern": {"a": [1]}, "event": {"a": 1}}"#;
        assert_eq!(case(line, Events::Envelopes)["error"], EVENT_INVALID);
        let line = r#"{"pattern": {"id": ["1"]}, "event": {"id": "1", "account": "1", "source": "s",
            "time": "2022-07-13T13:48:01Z", "region": "r", "detail-type": "t"}}"#;
        assert_eq!(case(line, Events::Envelopes)["match"], true);
    }

    #[test]
    fn a_set_is_one_matcher_and_its_answers_are_sorted() {
        let line = r#"{"set": "s", "patterns": [{"id": 10, "pattern": {"a": [1]}}, {"id": 9, "pattern": {"a": [{"exists": true}]}},
            {"id": "x", "pattern": {"b": [{"exists": false}]}}, {"id": 8, "pattern": {"a": 1}}],
            "events": [{"id": 1, "event": {"a": 1}}, {"id": 2, "event": "{}"}, {"id": 3, "event": []}]}"#;
        let mut output = Vec::new();
        answer_set(Line::Bytes(line.as_bytes()), &mut output).expect("memory takes it");
        let lines: Vec<Value> = String::from_utf8_lossy(&output)
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert_eq!((&lines[0]["pattern"], lines.len()), (&json!(8), 4));
        assert_eq!(lines[1], json!({"set": "s", "event": 1, "matches": [9, 10, "x"]}));
        assert_eq!(lines[2], json!({"set": "s", "event": 2, "matches": ["x"]}));
        assert!(lines[3]["error"].is_string());
    }
}
