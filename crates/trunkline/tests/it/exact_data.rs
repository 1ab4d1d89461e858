//! Event data goes through the command line as it is written, in both directions, whatever its numbers are: what no double holds
//! is neither rounded nor hides the rest of an answer.

use crate::support::{
    eventually,
    receiver::{Receiver, Reply},
    server::Server,
};
use serde_json::json;
use std::time::Duration;

/// What a reader that makes values of it changes, or refuses.
const DATA: &str = r#"{"big":123456789012345678901234567890,"f":1.10,"e":3e2,"dup":1,"dup":2,"z":-0,"inf":1e400}"#;
const EVENTS: &str = "/v1/buses/default/events";

fn event(id: &str, data: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"t","data":{data}}}"#)
}

/// The id of a dead letter of the event, once it is there.
async fn dead(server: &Server, event_id: &str) -> String {
    eventually("the dead letter", Duration::from_secs(60), async || {
        let page = server.get("/v1/buses/default/dead-letters").await;
        let mut items = page["items"].as_array().into_iter().flatten();
        let found = items.find(|item| item["event_id"] == event_id)?;
        found["id"].as_str().map(str::to_owned)
    })
    .await
}

#[tokio::test]
async fn what_no_double_holds_is_shown_as_it_is_and_stops_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
    let receiver = Receiver::start(|_| Reply::Status(422)).await;
    server.subscribe("sink", &receiver, json!({})).await;
    let headers = [("content-type", "application/cloudevents+json")];
    let answer = server.send("POST", EVENTS, &headers, event("1", DATA)).await;
    assert_eq!(answer.status, 200);
    let id = dead(&server, "1").await;

    let story = server.run(&["event", "1"]);
    assert!(story.starts_with("t  /s  1\n"), "{story}");
    let shown = |arguments: &[&str]| {
        let printed = server.run(&[&["--output", "json"], arguments].concat());
        // Without the white space of the indentation: the data has none of its own.
        let compact: String = printed.split_ascii_whitespace().collect();
        assert!(compact.contains(DATA), "{arguments:?}: {printed}");
    };
    shown(&["event", "1"]);
    shown(&["tail", "--from", "earliest", "--count", "1"]);
    shown(&["dead-letter", "show", &id]);
    shown(&[
        "replay",
        "start",
        "--dry-run",
        "--from",
        "earliest",
        "--into-subscription",
        "sink",
    ]);
    let line = server.run(&["tail", "--from", "earliest", "--count", "1"]);
    assert!(line.trim_end().ends_with(DATA), "{line}");
    let preview = server.run(&["redrive", "start", "--dry-run"]);
    assert!(preview.starts_with("1 dead letter of"), "{preview}");

    // An edit of something else leaves the data alone.
    let edited = server.run(&[
        "--output",
        "json",
        "dead-letter",
        "edit",
        &id,
        "--attribute",
        "note=seen",
    ]);
    assert!(edited.contains("\"note\": \"seen\""), "{edited}");
    shown(&["dead-letter", "show", &id]);
}

#[tokio::test]
async fn what_is_published_and_edited_from_the_command_line_stays_as_it_is_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
    let receiver = Receiver::start(|_| Reply::Status(422)).await;
    server.subscribe("sink", &receiver, json!({})).await;
    let deepest = "[".repeat(128) + &"]".repeat(128);
    let file = directory.path().join("events.json");
    let path = file.to_str().expect("a path");
    let write = |text: String| std::fs::write(&file, text).expect("it is written");
    let stored = async |id: &str| {
        let answer = server.send("GET", &format!("{EVENTS}/{id}/data"), &[], "").await;
        String::from_utf8(answer.bytes.to_vec()).expect("UTF-8")
    };

    write(format!("{}\n{}", event("line", DATA), event("deep", &deepest)));
    server.run(&["publish", path]);
    write(format!("[{}]", event("array", DATA)));
    server.run(&["publish", path]);
    server.run(&["publish", "--type", "t", "--id", "option", "--data", DATA]);
    for id in ["line", "array", "option"] {
        assert_eq!(stored(id).await, DATA, "{id}");
    }
    assert_eq!(stored("deep").await, deepest);
    write(event("1", "1").replace("{\"spec", "{\"id\":\"2\",\"spec"));
    let refused = server.command(&["publish", path]);
    assert_eq!(refused.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("event 1 (line 1): id: is given twice"));

    let id = dead(&server, "deep").await;
    let edited = |with: [&str; 2]| {
        let printed = server.run(&["--output", "json", "dead-letter", "edit", &id, with[0], with[1]]);
        printed.split_ascii_whitespace().collect::<String>()
    };
    assert!(edited(["--data", DATA]).contains(&format!("\"data\":{DATA}")));
    write(event("deep", &DATA.replace("1.10", "1.100")));
    assert!(edited(["--event", path]).contains("\"f\":1.100,"));
    assert!(edited(["--data", &deepest]).contains(&deepest));

    // A line of an export, and a question about an event, put levels of their own around it.
    let export = directory.path().join("dead.jsonl");
    let export = export.to_str().expect("a path");
    server.run(&["dead-letter", "export", "--out", export]);
    assert!(
        server
            .run(&["dead-letter", "import", export])
            .contains("0 dead letters imported, 4 already there")
    );
    let question = |data: &str| {
        format!(
            r#"{{"filter":{{"eventbridge":{{"source":["/s"]}}}},"events":[{}]}}"#,
            event("x", data)
        )
    };
    let ask = async |data: &str| {
        let headers = [("content-type", "application/json")];
        let path = "/v1/buses/default/patterns:test";
        server.send("POST", path, &headers, question(data)).await
    };
    assert_eq!(ask(&deepest).await.json()["results"][0]["matched"], true);
    assert_eq!(ask(&format!("[{deepest}]")).await.status, 400);
}

#[test]
fn a_refused_event_is_named_by_its_line_in_the_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
    let file = directory.path().join("events.json");
    let path = file.to_str().expect("a path");
    let write = |text: String| std::fs::write(&file, text).expect("it is written");
    // The line is of the file, whatever the requests are that it goes in.
    let valid = |number: usize| event(&format!("many-{number}"), "1");
    let mut lines: Vec<String> = (1..=1_200).map(valid).collect();
    lines[1_101] = lines[1_101].replace("\"type\":\"t\"", "\"type\":\"\"");
    write(lines.join("\n"));
    let refused = server.command(&["publish", path]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(4), "{said}");
    assert!(said.contains("event 1102 (line 1102): type: "), "{said}");
    assert!(said.contains("(1000 events published before)"), "{said}");
    // What no server reads whole is refused here: its answer might not come through.
    let huge = format!("\"{}\"", "x".repeat(11 << 20));
    write(format!("{}\n{}", event("small", "1"), event("huge", &huge)));
    let refused = server.command(&["publish", path]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(4), "{said}");
    assert!(
        said.contains("event 2 (line 2) takes ") && said.contains("body_too_large"),
        "{said}"
    );
    assert!(server.run(&["event", "small"]).starts_with("t  /s  small"));
}
