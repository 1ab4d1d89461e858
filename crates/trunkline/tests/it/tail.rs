//! `trunkline tail` beside a real server: lines and JSON, and a server that is killed in between.

use crate::support::server::{BINARY, Server};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

/// Starts `tail` and gives its lines as they come.
fn tail(url: &str, arguments: &[&str]) -> (Child, impl Iterator<Item = String> + Send + 'static) {
    let mut child = Command::new(BINARY)
        .args(["--server", url, "tail"])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let lines = BufReader::new(child.stdout.take().expect("piped"))
        .lines()
        .map_while(Result::ok);
    (child, lines)
}

async fn until_end(mut child: Child, lines: impl Iterator<Item = String> + Send + 'static) -> Vec<String> {
    let wait = tokio::task::spawn_blocking(move || {
        let lines: Vec<String> = lines.collect();
        assert!(child.wait().expect("it ends").success(), "{lines:?}");
        lines
    });
    wait.await.expect("it ends")
}

fn publish(server: &Server, number: u32) {
    let data = format!("{{\"n\":{number}}}");
    server.run(&[
        "publish",
        "--type",
        "com.example.seen",
        "--id",
        &number.to_string(),
        "--data",
        &data,
    ]);
}

#[tokio::test]
async fn a_tail_survives_a_killed_server_without_a_gap_or_a_repetition() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
    let url = server.url().to_owned();
    (0..3).for_each(|number| publish(&server, number));
    let arguments = [
        "--output",
        "json",
        "--types",
        "com.example.*",
        "--from",
        "earliest",
        "--count",
        "6",
    ];
    let (child, mut lines) = tail(&url, &arguments);
    let mut seen: Vec<String> = lines.by_ref().take(3).collect();
    drop(server);
    let address = url.trim_start_matches("http://").to_owned();
    let server = Server::start_with(directory.path(), &["--listen", &address], &[]);
    (3..6).for_each(|number| publish(&server, number));
    seen.extend(until_end(child, lines).await);
    let mut ids: Vec<String> = seen
        .iter()
        .map(|line| {
            let shown: Value = serde_json::from_str(line).expect("JSON");
            shown["event"]["id"].as_str().expect("an event").to_owned()
        })
        .collect();
    ids.sort();
    assert_eq!(ids, ["0", "1", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn a_filter_from_a_file_chooses_and_lines_show_place_and_data() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(&directory.path().join("data"));
    let filter = directory.path().join("filter.json");
    std::fs::write(
        &filter,
        r#"{"eventbridge": {"detail": {"n": [{"numeric": [">", 1]}]}}}"#,
    )
    .expect("written");
    (0..4).for_each(|number| publish(&server, number));
    let filter = filter.to_str().expect("text");
    let (child, lines) = tail(
        server.url(),
        &["--from", "earliest", "--count", "2", "--filter", filter],
    );
    let lines = until_end(child, lines).await;
    assert_eq!(lines.len(), 2, "{lines:?}");
    for line in &lines {
        assert!(
            line.contains("  events/") && line.contains("  com.example.seen  "),
            "{line}"
        );
        assert!(line.ends_with("{\"n\":2}") || line.ends_with("{\"n\":3}"), "{line}");
    }
}
