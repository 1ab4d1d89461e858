//! Cases of public suites against the command line: pattern cases, the same in one matcher with others, and CESQL's own suite.
//! `TRUNKLINE_CONFORMANCE` names the directory that holds them; `cargo xtask conformance DIR` sets it. Differences that have a
//! reason stand in `conformance.toml`.

use crate::support::server::BINARY;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A difference that is known, and why it is one.
#[derive(Deserialize)]
struct Known {
    /// The cases' ids; for CESQL their suites and names.
    cases: Vec<String>,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Differences {
    #[serde(default)]
    pattern: Vec<Known>,
    #[serde(default)]
    text: Vec<Known>,
    #[serde(default)]
    cesql: Vec<Known>,
}

/// What is counted for a source.
#[derive(Default)]
struct Count {
    passed: usize,
    known: usize,
    failed: usize,
}

/// Counts by source, and what failed in words.
#[derive(Default)]
struct Report {
    sources: BTreeMap<String, Count>,
    failures: Vec<String>,
}

impl Report {
    fn note(&mut self, source: &str, case: &str, listed: &[Known], outcome: Result<(), String>) {
        let known = listed
            .iter()
            .find(|known| known.cases.iter().any(|known| known == case));
        let count = self.sources.entry(source.to_owned()).or_default();
        match (outcome, known) {
            (Ok(()), None) => count.passed += 1,
            (Err(_), Some(_)) => count.known += 1,
            (Ok(()), Some(known)) => {
                count.failed += 1;
                let reason = &known.reason;
                self.failures
                    .push(format!("{source}: {case} passes now, but is listed ({reason})"));
            }
            (Err(failure), None) => {
                count.failed += 1;
                self.failures.push(format!("{source}: {failure}"));
            }
        }
    }

    fn print(&self, title: &str) {
        println!("\n{title}");
        println!("{:<28} {:>7} {:>7} {:>7}", "source", "passed", "known", "failed");
        let sum = |of: fn(&Count) -> usize| self.sources.values().map(of).sum::<usize>();
        let all = Count {
            passed: sum(|count| count.passed),
            known: sum(|count| count.known),
            failed: sum(|count| count.failed),
        };
        let sources = self.sources.iter().map(|(source, count)| (source.as_str(), count));
        for (source, count) in sources.chain([("all", &all)]) {
            println!(
                "{source:<28} {:>7} {:>7} {:>7}",
                count.passed, count.known, count.failed
            );
        }
    }
}

fn directory() -> Option<PathBuf> {
    std::env::var_os("TRUNKLINE_CONFORMANCE").map(PathBuf::from)
}

fn differences() -> Differences {
    let text = include_str!("conformance.toml");
    toml::from_str(text).expect("conformance.toml is well-formed")
}

/// The lines of a file of cases.
fn lines(directory: &Path, name: &str) -> Vec<Value> {
    let path = directory.join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{name}: {error}: {line}"));
    text.lines().map(read).collect()
}

/// Gives lines to the command line and reads as many answers.
fn run(arguments: &[&str], lines: &[Value]) -> Vec<Value> {
    let mut child = Command::new(BINARY)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut input = child.stdin.take().expect("it is piped");
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let mut answers = String::new();
    let mut output = child.stdout.take().expect("it is piped");
    output.read_to_string(&mut answers).expect("it is text");
    writer
        .join()
        .expect("the writer ends well")
        .expect("everything is read");
    assert!(child.wait().expect("it ends").success());
    let answers: Vec<Value> = answers
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    answers
}

fn source_of(case: &Value) -> String {
    let source = case["source"].as_str().unwrap_or("unknown");
    source.split(':').next().unwrap_or(source).to_owned()
}

/// `expect` is true, false, `valid` (it compiles) or `error`.
fn judge(case: &Value, answer: &Value) -> Result<(), String> {
    let expected = &case["expect"];
    let as_expected = match expected.as_str() {
        Some("error") => answer["error"].is_string(),
        Some("valid") => answer["match"].is_boolean(),
        _ => answer["match"] == *expected,
    };
    match as_expected {
        true => Ok(()),
        false => Err(format!(
            "case {}: expected {expected}, got {answer}; pattern {} event {}",
            case["id"], case["pattern"], case["event"]
        )),
    }
}

/// The refusal's words, where the suite has them.
fn judge_text(case: &Value, answer: &Value) -> Option<Result<(), String>> {
    let said = answer["error"].as_str()?;
    let expected = case["message"].as_str().filter(|_| case["expect"] == "error")?;
    let expected = expected
        .strip_prefix("Event pattern is not valid. Reason: ")
        .unwrap_or(expected);
    // Where a bracket opened is said with the position of another parser.
    let expected = expected.split(" (for ").next().unwrap_or(expected);
    Some(match said == expected {
        true => Ok(()),
        false => Err(format!("case {}: expected {expected:?}, got {said:?}", case["id"])),
    })
}

/// The case as a driver writes it; recordings of TestEventPattern are asked for with its checks.
fn asked(case: &Value) -> Value {
    json!({"id": case["id"], "pattern": case["pattern"], "event": case["event"]})
}

/// The same inside an envelope: `detail` around the pattern and around the event.
fn wrapped(case: &Value) -> Option<Value> {
    let (pattern, event) = (case["pattern"].as_str()?, case["event"].as_str()?);
    let raw = |text: &str| format!("{{\"detail\":{text}}}");
    let may_be = case["wrap_ok"] == true && case["expect"].is_boolean();
    may_be.then(|| json!({"id": case["id"], "pattern": raw(pattern), "event": raw(event)}))
}

#[test]
fn patterns_answer_as_the_suites_say() {
    let Some(directory) = directory() else { return };
    let (cases, differences) = (lines(&directory, "ruler-cases.jsonl"), differences());
    let mut report = Report::default();
    let mut texts = Report::default();
    let (recorded, plain): (Vec<_>, Vec<_>) = cases.iter().partition(|case| case["aws_validated"] == true);
    for (cases, arguments) in [
        (plain, &["pattern", "test", "--cases", "-"][..]),
        (recorded, &["pattern", "test", "--envelope", "--cases", "-"][..]),
    ] {
        let questions: Vec<Value> = cases.iter().map(|case| asked(case)).collect();
        let answers = run(arguments, &questions);
        assert_eq!(answers.len(), cases.len());
        for (case, answer) in cases.iter().zip(&answers) {
            assert_eq!(case["id"], answer["id"]);
            let id = case["id"].to_string();
            report.note(&source_of(case), &id, &differences.pattern, judge(case, answer));
            if let Some(outcome) = judge_text(case, answer) {
                texts.note(&source_of(case), &id, &differences.text, outcome);
            }
        }
    }
    let mut enveloped = Report::default();
    let inside: Vec<(&Value, Value)> = cases.iter().filter_map(|case| Some((case, wrapped(case)?))).collect();
    let questions: Vec<Value> = inside.iter().map(|(_, question)| question.clone()).collect();
    for ((case, _), answer) in inside.iter().zip(run(&["pattern", "test", "--cases", "-"], &questions)) {
        let id = case["id"].to_string();
        enveloped.note(&source_of(case), &id, &differences.pattern, judge(case, &answer));
    }
    report.print("pattern cases");
    enveloped.print("pattern cases inside an envelope");
    texts.print("words of refusals");
    finish([report, enveloped, texts]);
}

/// Patterns of a set must not disturb each other: each event is asked about many patterns in one matcher.
#[test]
fn patterns_in_one_matcher_answer_as_each_alone() {
    /// Patterns and events of a set.
    const SET: usize = 100;
    let Some(directory) = directory() else { return };
    let cases = lines(&directory, "ruler-cases.jsonl");
    let cases: Vec<&Value> = cases.iter().filter(|case| case["expect"].is_boolean()).collect();
    let sets: Vec<Value> = cases
        .chunks(SET)
        .enumerate()
        .map(|(number, cases)| {
            let of = |name: &str| -> Vec<Value> {
                cases
                    .iter()
                    .map(|case| json!({"id": case["id"], name: case[name]}))
                    .collect()
            };
            json!({"set": number, "patterns": of("pattern"), "events": of("event")})
        })
        .collect();
    let answers = run(&["pattern", "test", "--sets", "-"], &sets);
    let by_event: BTreeMap<String, &Value> = answers
        .iter()
        .map(|answer| (answer["event"].to_string(), answer))
        .collect();
    let mut report = Report::default();
    for case in cases {
        let answer = by_event[&case["id"].to_string()];
        let matches = answer["matches"].as_array().expect("matches");
        let outcome = match case["expect"] == matches.contains(&case["id"]) {
            true => Ok(()),
            false => Err(format!("case {} among others: {answer}", case["id"])),
        };
        report.note(&source_of(case), &case["id"].to_string(), &[], outcome);
    }
    report.print("pattern cases, a hundred in one matcher");
    finish([report]);
}

#[test]
fn expressions_answer_as_the_suite_of_the_language_says() {
    let Some(directory) = directory() else { return };
    let (cases, differences) = (lines(&directory, "cesql-tck.jsonl"), differences());
    let questions: Vec<Value> = cases.iter().map(cesql_question).collect();
    let answers = run(&["cesql", "test", "--cases", "-"], &questions);
    assert_eq!(answers.len(), cases.len());
    let mut report = Report::default();
    for (case, answer) in cases.iter().zip(&answers) {
        let (suite, name) = (
            case["suite"].as_str().unwrap_or_default(),
            case["name"].as_str().unwrap_or_default(),
        );
        let (source, case_name) = (case["file"].as_str().unwrap_or(suite), format!("{suite}: {name}"));
        report.note(source, &case_name, &differences.cesql, judge_cesql(case, answer));
    }
    report.print("CESQL");
    finish([report]);
}

fn cesql_question(case: &Value) -> Value {
    let mut question = Map::new();
    for name in ["expression", "event", "eventOverrides"] {
        if let Some(value) = case.get(name) {
            question.insert(name.to_owned(), value.clone());
        }
    }
    Value::Object(question)
}

fn judge_cesql(case: &Value, answer: &Value) -> Result<(), String> {
    let errors = answer["errors"].as_array().map_or(&[][..], Vec::as_slice);
    let errors_fit = match case.get("error") {
        None => errors.is_empty(),
        Some(expected) => errors.contains(expected),
    };
    let result_fits = case.get("result").is_none_or(|expected| answer["result"] == *expected);
    match errors_fit && result_fits {
        true => Ok(()),
        false => Err(format!("{}: {case} got {answer}", case["name"])),
    }
}

fn finish<const N: usize>(reports: [Report; N]) {
    let failures: Vec<String> = reports.into_iter().flat_map(|report| report.failures).collect();
    failures.iter().for_each(|failure| println!("{failure}"));
    assert!(failures.is_empty(), "{} cases failed", failures.len());
}
