//! Filters as their users meet them: tried from files, imported, refused with advice, and explained in an event's story.

use crate::support::{
    receiver::{Receiver, Reply},
    server::{BINARY, Server},
};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Output, Stdio},
};

const PATTERN: &str = r#"{"detail": {"status": ["paid"]}}"#;

/// Runs the command line in a directory, without a server.
fn local(directory: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(BINARY)
        .args(arguments)
        .current_dir(directory)
        .env("TRUNKLINE_SERVER", "http://127.0.0.1:1")
        .output()
        .expect("the binary runs");
    told(&output)
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A directory with a pattern and two events.
fn files() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let event = |id: &str, status: &str| {
        json!({"specversion": "1.0", "id": id, "source": "/shop", "type": "order", "data": {"status": status}})
            .to_string()
    };
    let write = |name: &str, text: String| std::fs::write(directory.path().join(name), text).expect("written");
    write("pattern.json", PATTERN.into());
    write("paid.jsonl", event("1", "paid"));
    write(
        "events.jsonl",
        format!("{}\n{}\n", event("1", "paid"), event("2", "open")),
    );
    write(
        "odd.json",
        r#"{"detail": {"status": ["paid", "paid"]}, "order": ["x"]}"#.into(),
    );
    write("bad.json", r#"{"detail": {"status": "paid"}}"#.into());
    write("type.cesql", "type = 'order' AND total > 5".into());
    write(
        "envelope.json",
        r#"[{"detail-type": "order", "source": "s", "detail": {"status": "paid"}}]"#.into(),
    );
    directory
}

#[test]
fn a_filter_is_tried_on_files_and_the_exit_code_says_how_it_went() {
    let directory = files();
    let run = |arguments: &[&str]| local(directory.path(), arguments);
    assert_eq!(run(&["pattern", "test", "-f", "pattern.json", "paid.jsonl"]).0, Some(0));
    assert_eq!(
        run(&["pattern", "test", "-f", "pattern.json", "envelope.json"]).0,
        Some(0)
    );
    let (code, out, err) = run(&["pattern", "test", "-f", "pattern.json", "events.jsonl"]);
    assert_eq!(code, Some(1), "{err}");
    assert!(
        out.contains("2 (/shop)") && err.contains("not matched: 1 of 2"),
        "{out}{err}"
    );
    let (code, out, _) = run(&[
        "pattern",
        "test",
        "-f",
        "pattern.json",
        "events.jsonl",
        "--output",
        "json",
    ]);
    let lines: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!((code, lines.len(), &lines[1]["matched"]), (Some(1), 2, &json!(false)));
    let (code, _, err) = run(&["pattern", "test", "-f", "bad.json", "paid.jsonl"]);
    assert_eq!(code, Some(2));
    assert!(
        err.contains("line 1, column 23") && err.contains("write it as a list"),
        "{err}"
    );
    assert_eq!(run(&["pattern", "test", "-f", "none.json", "paid.jsonl"]).0, Some(2));
    assert_eq!(run(&["pattern", "test"]).0, Some(2));
    let (code, out, _) = run(&["pattern", "explain", "-f", "pattern.json", "events.jsonl"]);
    assert_eq!(code, Some(1));
    assert!(
        out.contains("does not match: detail.status is \"open\"; wanted [\"paid\"]"),
        "{out}"
    );
    let (_, out, _) = run(&["pattern", "explain", "-f", "type.cesql", "events.jsonl"]);
    assert!(out.contains("total"), "{out}");
    let (code, _, err) = run(&["pattern", "test", "-f", "type.cesql", "envelope.json"]);
    assert_eq!(code, Some(2), "{err}");
}

#[test]
fn a_lint_says_what_is_odd() {
    let directory = files();
    let run = |arguments: &[&str]| local(directory.path(), arguments);
    let (code, out, err) = run(&["pattern", "lint", "-f", "pattern.json", "events.jsonl"]);
    assert_eq!(code, Some(0), "{out}{err}");
    let (code, out, err) = run(&["pattern", "lint", "-f", "odd.json"]);
    assert_eq!(code, Some(1));
    assert!(out.contains("never_matches") && out.contains("test_shadowed"), "{out}");
    assert!(out.contains("detail.order") && err.contains("--last N"), "{out}{err}");
    std::fs::write(
        directory.path().join("schema.json"),
        r#"{"properties": {"status": {"type": "integer"}}}"#,
    )
    .expect("written");
    let (code, out, _) = run(&[
        "pattern",
        "lint",
        "-f",
        "pattern.json",
        "--schema",
        "schema.json",
        "--output",
        "json",
    ]);
    let finding: Value = serde_json::from_str(out.lines().next().expect("a finding")).expect("JSON");
    assert_eq!((code, &finding["code"]), (Some(1), &json!("type_not_in_schema")));
}

/// A driver that writes one line and waits must have its answer.
#[test]
fn a_case_is_answered_before_the_next_one_is_written() {
    let mut child = Command::new(BINARY)
        .args(["pattern", "test", "--cases", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut input = child.stdin.take().expect("it is piped");
    let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
    for (line, expected) in [
        (
            r#"{"id": 1, "pattern": {"a": [1]}, "event": {"a": 1.0}}"#,
            r#"{"id":1,"match":true}"#,
        ),
        (
            r#"{"id": "x", "pattern": {"a": [1e400]}, "event_raw": "{\"a\": 1e400}"}"#,
            r#"{"id":"x","match":true}"#,
        ),
        (
            r#"{"id": 1e999, "pattern": {"a": []}}"#,
            r#"{"id":1e999,"error":"Empty arrays are not allowed"}"#,
        ),
    ] {
        writeln!(input, "{line}").expect("it reads");
        input.flush().expect("it reads");
        let mut answer = String::new();
        output.read_line(&mut answer).expect("it answers");
        assert_eq!(answer.trim_end(), expected);
    }
    input.write_all(b"\xff\xfe not JSON\n").expect("it reads");
    let mut answer = String::new();
    output.read_line(&mut answer).expect("it answers");
    assert!(answer.contains("\"error\""), "{answer}");
    drop(input);
    assert!(child.wait().expect("it ends").success());
}

#[tokio::test]
async fn an_imported_rule_is_applied_and_tells_why_it_did_not_match() {
    let directory = files();
    let receiver = Receiver::start(|_| Reply::Status(200)).await;
    let server = Server::start(&directory.path().join("data"));
    server.subscribe("sink", &receiver, json!({})).await;
    let connections = server.get("/v1/buses/default/connections").await;
    let connection = connections["items"][0]["name"].as_str().expect("a name");
    let rules =
        json!({"Rules": [{"Name": "paid orders", "EventPattern": PATTERN, "State": "ENABLED", "Arn": "arn:x"}]});
    std::fs::write(directory.path().join("rules.json"), rules.to_string()).expect("written");
    let arguments = [
        "pattern",
        "import",
        "--from",
        "eventbridge",
        "--connection",
        connection,
        "rules.json",
    ];
    let (code, yaml, notes) = local(directory.path(), &arguments);
    assert_eq!(code, Some(0), "{notes}");
    assert!(notes.contains("Arn"), "{notes}");
    let file = directory.path().join("imported.yaml");
    std::fs::write(&file, &yaml).expect("written");
    server.run(&["apply", "-f", file.to_str().expect("a path")]);
    server.publish("order", "7", json!({"status": "open"})).await;
    let story = server.run(&["event", "7"]);
    assert!(
        story.contains("did not match: detail.status is \"open\"; wanted [\"paid\"]"),
        "{story}"
    );
    let asked = server.command(&["pattern", "explain", "--subscription", "paid-orders", "--last", "5"]);
    let (code, out, _) = told(&asked);
    assert_eq!(code, Some(1));
    assert!(out.contains("7 (/"), "{out}");
    let (code, out, _) = told(&server.command(&["pattern", "lint", "--subscription", "paid-orders"]));
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("no_sample_matches"), "{out}");
}

#[test]
fn an_import_says_what_it_skips_and_what_it_renames() {
    let directory = tempfile::tempdir().expect("a directory");
    let import = |system: &str, file: &str, text: &str| {
        std::fs::write(directory.path().join(file), text).expect("written");
        local(directory.path(), &["pattern", "import", "--from", system, file])
    };
    let rules =
        r#"[{"Name": "a b", "EventPattern": {"a": [1]}}, {"Name": "a-b", "EventPattern": {"a": [1], "a": [2]}}]"#;
    let (code, yaml, notes) = import("eventbridge", "rules.json", rules);
    assert_eq!(code, Some(0), "{notes}");
    assert!(notes.contains("\"a-b\" is imported as a-b-2"), "{notes}");
    assert!(yaml.contains("name: a-b\n") && yaml.contains("name: a-b-2\n"), "{yaml}");
    assert!(yaml.contains(r#""{\"a\": [1], \"a\": [2]}""#), "{yaml}");
    let broker = "kind: Broker\nmetadata: {name: default}\n";
    let trigger = "kind: Trigger\nspec: {filter: {attributes: {type: a}}}\n";
    let (code, yaml, notes) = import("knative", "all.yaml", &format!("{broker}---\n{trigger}"));
    assert_eq!(code, Some(0), "{notes}");
    assert!(notes.contains("its kind is \"Broker\""), "{notes}");
    assert_eq!(yaml.matches("kind: subscription").count(), 1, "{yaml}");
    let (code, yaml, notes) = import("knative", "broker.yaml", broker);
    assert_eq!((code, yaml.trim()), (Some(1), ""), "{notes}");
    assert!(notes.contains("holds no subscription"), "{notes}");
    let (code, _, notes) = import("eventbridge", "rule.yaml", "detail: {a: [123456789012345678901]}\n");
    assert_eq!(code, Some(2), "{notes}");
    assert!(notes.contains("YAML rounds a number"), "{notes}");
}

#[tokio::test]
async fn every_language_delivers_what_it_takes_and_tells_why_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start(|_| Reply::Status(200)).await;
    let server = Server::start(directory.path());
    let filters = [
        (
            "eventbridge",
            json!({"eventbridge": {"detail": {"n": [{"numeric": [">", 5]}]}}}),
            "detail.n is 3",
        ),
        (
            "extended",
            json!({"eventbridge": {"$not": {"detail": {"n": [3]}}}, "dialect": "extended"}),
            "not",
        ),
        ("cesql", json!({"cesql": "id = 'big'"}), "id = 'big'"),
        (
            "missing",
            json!({"cesql": "id = 'big' AND missing = 'x' OR id = 'big'"}),
            "id = 'big' is FALSE",
        ),
        (
            "cloudevents",
            json!({"cloudevents": [{"exact": {"id": "big"}}]}),
            "\"small\"",
        ),
        (
            "eventgrid",
            json!({"eventgrid": {"advancedFilters": [{"operatorType": "NumberGreaterThan", "key": "data.n", "value": 5}]}}),
            "3",
        ),
        ("jsonpath", json!({"jsonpath": "$[?@ > 5]"}), "selects nothing"),
    ];
    for (name, filter, _) in &filters {
        server.subscribe(name, &receiver, json!({"filter": filter})).await;
    }
    server.publish("order", "big", json!({"n": 9})).await;
    server.publish("order", "small", json!({"n": 3})).await;
    let story = async |id: &str| {
        let story = server.get(&format!("/v1/buses/default/events/{id}")).await;
        story["subscriptions"].as_array().cloned().expect("subscriptions")
    };
    let (big, small) = (story("big").await, story("small").await);
    let of = |story: &[Value], name: &str| {
        story
            .iter()
            .find(|one| one["subscription"] == name)
            .cloned()
            .expect("it is told")
    };
    for (name, _, reason) in filters {
        // One whose expression has an error takes nothing, whatever its value.
        assert_eq!(
            of(&big, name)["matched"],
            name != "missing",
            "{name}: {}",
            of(&big, name)
        );
        let told = of(&small, name);
        assert_eq!(told["matched"], false, "{name}");
        assert!(
            told["reason"].as_str().is_some_and(|told| told.contains(reason)),
            "{name}: {told}"
        );
        assert!(told["version"].is_u64(), "{told}");
    }
    let erring = of(&big, "missing");
    assert!(
        erring["reason"].as_str().is_some_and(|told| told.contains("missing")),
        "{erring}"
    );
    receiver.took(6).await;
}

#[tokio::test]
async fn a_filters_text_survives_apply_and_export() {
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start(|_| Reply::Status(200)).await;
    let server = Server::start(&directory.path().join("data"));
    server.subscribe("sink", &receiver, json!({})).await;
    let connections = server.get("/v1/buses/default/connections").await;
    let connection = &connections["items"][0]["name"];
    let file = directory.path().join("resources.json");
    let filter = r#"{"detail": {"n": [1e400, 300.0], "n": [3e2]}}"#;
    let resource = format!(
        r#"{{"kind": "subscription", "name": "exact", "connection": {connection}, "filter": {{"eventbridge": {filter}}}}}"#
    );
    std::fs::write(&file, resource).expect("written");
    let path = file.to_str().expect("a path");
    assert!(server.run(&["apply", "-f", path]).starts_with("create"));
    assert!(server.run(&["apply", "-f", path]).starts_with("none"));
    for format in ["json", "table"] {
        let exported = server.run(&[
            "export",
            "--kind",
            "subscription",
            "--name",
            "exact",
            "--output",
            format,
        ]);
        assert!(exported.contains("1e400") && exported.contains("3e2"), "{exported}");
        std::fs::write(&file, exported).expect("written");
        assert!(server.run(&["apply", "-f", path]).starts_with("none"));
    }
}
