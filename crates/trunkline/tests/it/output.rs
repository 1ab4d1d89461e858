//! A command whose output nobody takes: a disk is full, a pipe is closed. What changes things does all of it and says so; what only
//! shows stops.

use crate::support::server::{BINARY, Server};
use serde_json::json;
use std::{
    fs::{self, File, OpenOptions},
    path::Path,
    process::{Command, Stdio},
};

const TOPICS: usize = 30;
const EVENTS: usize = 1_200;

/// Where lines go that nobody gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sink {
    FullDisk,
    ClosedPipe,
}

impl Sink {
    fn open(self) -> Stdio {
        match self {
            Sink::FullDisk => OpenOptions::new().write(true).open("/dev/full").expect("Linux").into(),
            Sink::ClosedPipe => std::io::pipe().expect("a pipe").1.into(),
        }
    }
}

/// The exit code and standard error of a command with this output.
fn into(sink: Sink, server: Option<&Server>, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(BINARY);
    command.args(arguments).stdin(Stdio::null()).stdout(sink.open());
    if let Some(server) = server {
        command.env("TRUNKLINE_SERVER", server.url());
    }
    let output = command.output().expect("the binary runs");
    let told = String::from_utf8(output.stderr).expect("text");
    (output.status.code(), told)
}

fn topics(file: &Path) {
    let topics: Vec<_> = (0..TOPICS)
        .map(|number| json!({"kind": "topic", "name": format!("topic-{number}"), "partitions": 1}))
        .collect();
    fs::write(file, json!(topics).to_string()).expect("written");
}

fn events(file: &Path) {
    let event = |id: usize| json!({"specversion": "1.0", "id": id.to_string(), "source": "/s", "type": "t"});
    let lines: Vec<String> = (0..EVENTS).map(|id| event(id).to_string()).collect();
    fs::write(file, lines.join("\n")).expect("written");
}

#[tokio::test]
async fn a_command_that_changes_things_does_all_of_it_whatever_becomes_of_its_output() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str| directory.path().join(name);
    let path = |name: &str| file(name).display().to_string();
    topics(&file("topics.json"));
    events(&file("events.json"));
    for (sink, code) in [(Sink::FullDisk, 1), (Sink::ClosedPipe, 0)] {
        let server = Server::start(&file(&format!("{sink:?}")));
        let check = |arguments: &[&str], said: &str| {
            let (ended, told) = into(sink, Some(&server), arguments);
            assert_eq!(ended, Some(code), "{sink:?} {arguments:?}: {told}");
            match sink {
                Sink::FullDisk => assert!(
                    told.contains(said) && told.contains("No space left"),
                    "{arguments:?}: {told}"
                ),
                Sink::ClosedPipe => assert_eq!(told, "", "{arguments:?}"),
            }
        };
        let applied =
            format!("{TOPICS} of {TOPICS} resources applied, but {TOPICS} lines about it could not be written");
        check(&["apply", "-f", &path("topics.json")], &applied);
        let listed = server.get("/v1/buses/default/topics?limit=1000").await;
        assert!(
            listed["items"].as_array().is_some_and(|items| items.len() >= TOPICS),
            "{listed}"
        );

        check(
            &["publish", &path("events.json"), "--output", "json"],
            "1200 events published, but 1200 lines",
        );
        let story = format!("/v1/buses/default/events/{}", EVENTS - 1);
        server.get(&story).await;

        check(&["topic", "set", "more", "partitions=2"], "more: created, but 1 line");
        check(&["topic", "delete", "more"], "more: deleted, but 1 line");
        assert_eq!(server.stop(), Some(0));
    }
}

#[tokio::test]
async fn a_command_that_only_shows_stops_quietly_at_a_closed_pipe_and_fails_at_a_full_disk() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(&directory.path().join("data"));
    topics(&directory.path().join("topics.json"));
    events(&directory.path().join("events.json"));
    let file = |name: &str| directory.path().join(name).display().to_string();
    server.run(&["apply", "-f", &file("topics.json")]);
    server.run(&["publish", &file("events.json")]);
    let commands: &[&[&str]] = &[
        &["export"],
        &["topic", "list"],
        &["audit", "export"],
        &["tail", "--from", "earliest"],
        &["master-key", "generate"],
        &["serve", "--print-config"],
        &["completions", "bash"],
    ];
    for arguments in commands {
        assert_eq!(
            into(Sink::ClosedPipe, Some(&server), arguments),
            (Some(0), String::new()),
            "{arguments:?}"
        );
        let (ended, told) = into(Sink::FullDisk, Some(&server), arguments);
        assert_eq!(ended, Some(1), "{arguments:?}: {told}");
        assert!(
            told.contains("cannot write to standard output: No space left") && told.contains("not whole"),
            "{arguments:?}: {told}"
        );
    }
    assert_eq!(server.stop(), Some(0));
}

#[tokio::test]
async fn a_secret_that_could_not_be_shown_is_said_to_be_lost_with_the_way_to_another_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let shown = data.display().to_string();
    for (sink, id) in [(Sink::FullDisk, "full"), (Sink::ClosedPipe, "closed")] {
        let create = [
            "key",
            "create",
            "--scope",
            "administer",
            "--id",
            id,
            "--data-dir",
            &shown,
        ];
        let (ended, told) = into(sink, None, &create);
        assert_eq!(ended, Some(1), "{told}");
        assert!(told.contains(&format!("key {id:?} is made, but its secret")), "{told}");
        assert!(
            told.contains("make another key") && !told.contains("shown this once"),
            "{told}"
        );
    }
    let made = Command::new(BINARY)
        .args([
            "key",
            "create",
            "--scope",
            "administer",
            "--id",
            "boss",
            "--output",
            "json",
            "--data-dir",
            &shown,
        ])
        .output()
        .expect("the binary runs");
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).expect("JSON");
    let token = made["token"].as_str().expect("a token").to_owned();
    let server = Server::start(&data).with_key(&token);
    for (sink, id) in [(Sink::FullDisk, "a"), (Sink::ClosedPipe, "b")] {
        for (arguments, said) in [
            (
                &["key", "create", "--key", &token, "--scope", "publish", "--id", id][..],
                "is made, but",
            ),
            (&["key", "rotate", "--key", &token, id], "has another secret, which"),
        ] {
            let (ended, told) = into(sink, Some(&server), arguments);
            assert_eq!(ended, Some(1), "{arguments:?}: {told}");
            assert!(told.contains(said), "{told}");
            assert!(
                told.contains(&format!("trunkline key rotate {id}"))
                    && told.contains(&format!("trunkline key delete {id}")),
                "{told}"
            );
            assert!(!told.contains("tlk_"), "{told}");
        }
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_command_whose_errors_cannot_be_written_either_ends_with_its_code() {
    let full = || File::options().write(true).open("/dev/full").expect("Linux");
    let status = Command::new(BINARY)
        .args(["apply", "-f", "/no/such/file"])
        .stdout(full())
        .stderr(full())
        .status();
    assert_eq!(status.expect("the binary runs").code(), Some(2));
}

#[test]
fn what_is_generated_comes_as_json_where_that_is_asked_for() {
    for (arguments, member) in [(["key", "generate"], "token"), (["master-key", "generate"], "key")] {
        let output = Command::new(BINARY).args(arguments).args(["--output", "json"]).output();
        let generated: serde_json::Value = serde_json::from_slice(&output.expect("it runs").stdout).expect("JSON");
        assert!(generated[member].is_string(), "{arguments:?}");
    }
}
