//! Dead letters end to end, on the real journal and store, over kills and from the command line. Check 28 whole.

use crate::support::{
    eventually,
    receiver::{Receiver, Reply},
    server::Server,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(60);
const LETTERS: &str = "/v1/buses/default/dead-letters";

async fn letters(server: &Server, count: usize) -> Vec<Value> {
    eventually("the dead letters", LIMIT, async || {
        let page = server.get(&format!("{LETTERS}?limit=1000")).await;
        let items = page["items"].as_array().cloned().unwrap_or_default();
        (items.len() == count).then_some(items)
    })
    .await
}

/// Check 28: the target of dead letters is down when they die and while the server is killed; none is dropped, and each arrives
/// once it is up, with what is known of its death. Then they are sent out once more, with the ids that they had.
#[tokio::test]
async fn check_28_copies_wait_for_a_target_that_is_down_and_a_redrive_keeps_the_id() {
    let directory = tempfile::tempdir().expect("a directory");
    let (is_well, is_up) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (well, up) = (Arc::clone(&is_well), Arc::clone(&is_up));
    let receiver = Receiver::start(move |_| Reply::Status(if well.load(SeqCst) { 204 } else { 422 })).await;
    let morgue = Receiver::start(move |_| Reply::Status(if up.load(SeqCst) { 204 } else { 503 })).await;
    let mut server = Server::start(directory.path());
    let connection = json!({"provider": "webhook", "config": {"url": morgue.url("/")}});
    server.put("/v1/buses/default/connections/morgue", connection).await;
    let target = json!({"connection": "morgue", "target": {"mode": "structured"}});
    server
        .subscribe("sink", &receiver, json!({"dead_letter": target}))
        .await;
    for id in 0..10 {
        server.publish("order", &id.to_string(), json!({"n": id})).await;
    }
    letters(&server, 10).await;
    morgue.saw(1).await;
    server.kill();
    server = Server::start(directory.path());
    letters(&server, 10).await;
    let waiting = server.status("sink").await["dead_letter_copies"]["waiting"].clone();
    assert_eq!(waiting, json!(10));
    is_up.store(true, SeqCst);
    let copies = morgue.took(10).await;
    let taken = copies.iter().filter(|copy| copy.taken);
    let ids: BTreeSet<String> = taken
        .map(|copy| {
            let event: Value = serde_json::from_slice(&copy.body).expect("a structured event");
            assert_eq!(event["tldeadreason"], json!("http_422"), "{event}");
            assert_eq!(event["tldeadsubscription"], json!("sink"));
            event["id"].as_str().expect("an id").to_owned()
        })
        .collect();
    assert_eq!(ids.len(), 10);
    letters(&server, 10).await;
    is_well.store(true, SeqCst);
    let before: BTreeSet<_> = receiver
        .deliveries()
        .iter()
        .map(|one| one.header("webhook-id").to_owned())
        .collect();
    let done = server.run(&["redrive", "start", "all", "--rate", "none", "--wait"]);
    assert!(done.contains("completed; 10 dead letters sent out again"), "{done}");
    let deliveries = receiver.took(10).await;
    let after: BTreeSet<_> = deliveries
        .iter()
        .map(|one| one.header("webhook-id").to_owned())
        .collect();
    assert_eq!(before, after, "the same ids");
    letters(&server, 0).await;
}

#[tokio::test]
async fn dead_letters_are_edited_exported_imported_and_redriven_from_the_command_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start(|delivery| {
        let is_right = String::from_utf8_lossy(&delivery.body).contains("right");
        Reply::Status(if is_right { 204 } else { 422 })
    })
    .await;
    let mut server = Server::start(directory.path());
    server.subscribe("sink", &receiver, json!({})).await;
    for id in 0..30 {
        server.publish("order", &id.to_string(), json!({"n": id})).await;
    }
    let found = letters(&server, 30).await;
    let id = found[0]["id"].as_str().expect("an id");
    let refused = server.command(&["dead-letter", "edit", id]);
    assert_eq!(refused.status.code(), Some(2), "nothing to change");
    let edited = server.run(&[
        "dead-letter",
        "edit",
        id,
        "--data",
        r#"{"put": "right"}"#,
        "--attribute",
        "note=mended",
    ]);
    assert!(edited.contains("edited (1)"), "{edited}");
    // What is edited survives a kill.
    server.kill();
    server = Server::start(directory.path());
    let shown: Value = serde_json::from_str(&server.run(&["dead-letter", "show", id])).expect("JSON");
    assert_eq!(
        (&shown["event"]["note"], &shown["edits"]),
        (&json!("mended"), &json!(1))
    );
    assert!(shown["original"]["data"]["n"].is_number(), "{shown}");

    let file = directory.path().join("dead.jsonl");
    let path = file.to_str().expect("a path");
    let export = [
        "dead-letter",
        "export",
        "--subscription",
        "sink",
        "--out",
        path,
        "--output",
        "json",
    ];
    let exported: Value = serde_json::from_str(&server.run(&export)).expect("JSON");
    assert_eq!(exported, json!({"exported": 30, "file": path}));
    let lines = std::fs::read_to_string(&file).expect("it is written");
    assert_eq!(lines.lines().count(), 31);
    assert!(
        server
            .run(&["dead-letter", "import", path])
            .contains("0 dead letters imported, 30 already there")
    );
    let elsewhere = tempfile::tempdir().expect("a directory");
    let other = Server::start(elsewhere.path());
    other.subscribe("sink", &receiver, json!({})).await;
    let import = |file: &str| {
        let output = other.command(&["dead-letter", "import", file]);
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let cut = directory.path().join("cut.jsonl");
    let cut_path = cut.to_str().expect("a path");
    for wrong in [&lines[..lines.len() / 2], &format!("noise\n{lines}"), &lines.repeat(2)] {
        std::fs::write(&cut, wrong).expect("it is written");
        let (code, said) = import(cut_path);
        assert!(code == Some(2) && said.contains("cut off"), "{code:?} {said}");
    }
    std::fs::write(
        &cut,
        lines.replacen(
            "\"specversion\":\"1.0\",\"id\":\"7\"",
            "\"specversion\":\"9\",\"id\":\"7\"",
            1,
        ),
    )
    .expect("it is written");
    let (code, said) = import(cut_path);
    assert!(code == Some(4) && said.contains("line "), "{code:?} {said}");
    letters(&other, 0).await;
    let (code, said) = import(path);
    assert!(code == Some(0) && said.contains("30 dead letters imported"), "{said}");
    letters(&other, 30).await;
    other.kill();
    let other = Server::start(elsewhere.path());
    letters(&other, 30).await;

    let preview = server.run(&[
        "redrive",
        "start",
        "--subscription",
        "sink",
        "--status",
        "422",
        "--dry-run",
    ]);
    assert!(preview.contains("30 dead letters of"), "{preview}");
    server.run(&["redrive", "start", "slow", "--rate", "2/s"]);
    eventually("some of it", LIMIT, async || {
        let redrive = server.get("/v1/buses/default/redrives/slow").await;
        (redrive["status"]["redriven"].as_u64() >= Some(3)).then_some(())
    })
    .await;
    server.kill();
    let server = Server::start(directory.path());
    assert!(server.run(&["redrive", "pause", "slow"]).contains("paused"));
    assert!(server.run(&["redrive", "cancel", "slow"]).contains("cancelled"));
    assert!(server.run(&["redrive", "list"]).contains("cancelled"));
    let done = server.run(&["redrive", "start", "rest", "--rate", "none", "--wait"]);
    assert!(done.contains("rest: completed"), "{done}");
    // The edited one is delivered, the others die once more.
    letters(&server, 29).await;
    let last = receiver
        .deliveries()
        .into_iter()
        .find(|one| one.taken)
        .expect("the edited one");
    assert_eq!(last.header("ce-tledited"), "1");
    assert!(last.header("webhook-id").ends_with("_e1"), "{last:?}");
}

#[tokio::test]
async fn all_dead_letters_and_some_of_them_are_not_asked_for_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
    for narrowed in [
        &["discard", "1", "--all"][..],
        &["discard", "--all", "--subscription", "sink"],
        &["redrive", "--all", "--reason", "http_500"],
        &["list", "--all", "--type", "order"],
        &["list", "1"],
    ] {
        let output = server.command(&[&["dead-letter"], narrowed].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{narrowed:?}: {said}");
    }
    server.run(&["dead-letter", "discard", "--all"]);
}

#[tokio::test]
async fn a_subscription_resumes_from_now_from_the_command_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::healthy().await;
    let server = Server::start(directory.path());
    server.subscribe("sink", &receiver, json!({})).await;
    server.run(&["subscription", "pause", "sink"]);
    for id in 0..5 {
        server.publish("order", &id.to_string(), json!({})).await;
    }
    let resumed = server.run(&["subscription", "resume", "sink", "--from", "now"]);
    assert!(resumed.contains("5 events skipped"), "{resumed}");
    server.kill();
    let server = Server::start(directory.path());
    server.publish("order", "after", json!({})).await;
    let deliveries = receiver.took(1).await;
    assert_eq!(deliveries[0].header("ce-id"), "after");
    let story = server.run(&["event", "3"]);
    assert!(story.contains("skipped"), "{story}");
}
