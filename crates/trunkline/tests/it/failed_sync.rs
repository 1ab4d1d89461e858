//! Checks 6 and 7: a sync of the journal fails. `strace` makes the kernel say so: from then on, or once and never again.
//! Either way that publish is not acknowledged, nothing later is, the process ends itself with its documented code, and
//! after a restart everything that was acknowledged is there.

use crate::support::{eventually, left_out, receiver::Receiver, server::Server};
use serde_json::json;
use std::{path::Path, process::Command, time::Duration};

const LIMIT: Duration = Duration::from_secs(60);
/// The documented code of a poisoned journal.
const POISONED: i32 = 70;
/// Syncs of the first write-ahead file by one thread before the one that fails.
const GOOD: usize = 20;
/// Strace counts for each thread by itself, and there are fewer than this that sync: the three of the journal's commit, and those of
/// the runtime on which a caller that is alone commits.
const SYNCING_THREADS: usize = 32;

#[tokio::test]
async fn a_sync_that_fails_from_then_on_ends_the_process_and_loses_nothing() {
    fail_syncs(&format!("{GOOD}+")).await;
}

#[tokio::test]
async fn a_sync_that_fails_once_and_would_then_succeed_is_not_tried_again() {
    fail_syncs(&GOOD.to_string()).await;
}

async fn fail_syncs(when: &str) {
    if Command::new("strace").arg("--version").output().is_err() {
        left_out("strace is not installed");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let data_dir = directory.path().join("data");
    let receiver = Receiver::healthy().await;
    let server = start(&data_dir, when);
    server.subscribe("sink", &receiver, json!({})).await;
    let acknowledged = publish_until_refused(&server).await;
    let expected = 1..=GOOD * SYNCING_THREADS;
    assert!(expected.contains(&acknowledged), "{acknowledged} were acknowledged");

    // It may have ended by now: with nothing in flight it has no reason to stay.
    if let Ok(ready) = server.try_send("GET", "/readyz", &[], "").await {
        assert_eq!(ready.status, 503, "a poisoned server is not ready");
    }
    assert_eq!(server.wait(), Some(POISONED));

    let server = Server::start(&data_dir);
    for number in 0..acknowledged {
        server.get(&format!("/v1/buses/default/events/{number}")).await;
    }
    server.publish("a.type", "after", json!({})).await;
    eventually("what was acknowledged is delivered", LIMIT, async || {
        let seen: std::collections::HashSet<_> = receiver
            .deliveries()
            .iter()
            .map(|delivery| delivery.header("ce-id").to_string())
            .collect();
        let all = (0..acknowledged).all(|number| seen.contains(&number.to_string()));
        (all && seen.contains("after")).then_some(())
    })
    .await;
}

/// Publishes one event after the other; how many were acknowledged before the first that was not.
async fn publish_until_refused(server: &Server) -> usize {
    for number in 0.. {
        let id = number.to_string();
        let headers = [
            ("ce-specversion", "1.0"),
            ("ce-type", "a.type"),
            ("ce-source", "/test"),
            ("ce-id", id.as_str()),
        ];
        let answer = server.send("POST", "/v1/buses/default/events", &headers, "").await;
        if answer.status != 200 {
            assert_eq!(answer.status, 503, "{}", answer.json());
            assert_eq!(answer.json()["code"], "journal_poisoned");
            return number;
        }
    }
    unreachable!("a sync fails before numbers end")
}

/// Starts a server whose syncs of the first write-ahead file fail.
fn start(data_dir: &Path, when: &str) -> Server {
    let file = data_dir.join("journal/write-ahead/000000.frames").display().to_string();
    let inject = format!("inject=fdatasync:error=EIO:when={when}");
    let program = [
        "strace",
        "-D",
        "-f",
        "-o",
        "/dev/null",
        "-e",
        "trace=fdatasync",
        "-P",
        &file,
        "-e",
        &inject,
    ];
    Server::try_start_under(&program, data_dir, &["--listen", "127.0.0.1:0"], &[])
        .unwrap_or_else(|said| panic!("the server did not start under strace:\n{said}"))
}
