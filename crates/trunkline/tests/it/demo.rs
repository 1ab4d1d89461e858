//! The demo tells its story, leaves nothing behind, and ends when it is told to.

use crate::support::{eventually, server::BINARY};
use serde_json::Value;
use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

fn demo(directory: &Path, arguments: &[&str]) -> Child {
    Command::new(BINARY)
        .arg("demo")
        .args(arguments)
        .env("TMPDIR", directory)
        // It is about servers that stay.
        .env("TRUNKLINE_LISTEN", "nonsense")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts")
}

fn left_behind(directory: &Path) -> usize {
    std::fs::read_dir(directory).expect("a directory").count()
}

#[test]
fn the_demo_tells_of_a_breaker_dead_letters_and_their_redrive_and_everything_arrives() {
    let directory = tempfile::tempdir().expect("a directory");
    let ended = demo(directory.path(), &["--for", "8s", "--output", "json"])
        .wait_with_output()
        .expect("it ends");
    let said = String::from_utf8(ended.stdout).expect("text");
    assert!(
        ended.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    let lines: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    for told in [
        "a bus listens on http://127.0.0.1:",
        "billing goes down",
        "io.trunkline.breaker.opened: billing keeps failing (http_503)",
        "io.trunkline.delivery.dead-lettered: fraud-check refused",
        "billing is back",
        "dead letters are sent again",
        "io.trunkline.breaker.closed: billing answers again",
        "every order arrived everywhere",
    ] {
        let is_told = lines
            .iter()
            .filter_map(|line| line["says"].as_str())
            .any(|text| text.contains(told));
        assert!(is_told, "{told:?} is not in\n{said}");
    }
    assert!(lines.iter().any(|line| {
        line["try"]
            .as_str()
            .is_some_and(|command| command.contains("subscription list"))
    }));
    assert!(!said.contains("its 0 dead letters"), "{said}");
    assert_eq!(left_behind(directory.path()), 0);
}

#[tokio::test]
async fn a_demo_that_is_interrupted_ends_well_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut child = demo(directory.path(), &["--for", "1h"]);
    eventually("it runs", Duration::from_secs(30), async || {
        (left_behind(directory.path()) == 1).then_some(())
    })
    .await;
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupted.expect("kill runs").success());
    let status = eventually("it ends", Duration::from_secs(30), async || {
        child.try_wait().expect("a child")
    })
    .await;
    assert!(status.success(), "{status}");
    assert_eq!(left_behind(directory.path()), 0);
}

#[test]
fn a_demo_of_no_time_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let ended = demo(directory.path(), &["--for", "1s"])
        .wait_with_output()
        .expect("it ends");
    assert_eq!(ended.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("--for takes 5s to 1h"));
}
