//! The audit trail of what operators do beside changing resources; and a trail that somebody tampered with, read without a server.

use crate::support::{
    eventually,
    receiver::{Receiver, Reply},
    server::{BINARY, Server},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Command, Output},
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(60);

/// What an entry says: who, what, to which thing.
fn told(entry: &Value) -> String {
    let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    format!(
        "{} {} {} {}",
        text("/by/system"),
        text("/action"),
        text("/kind"),
        text("/name")
    )
    .trim()
    .to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_reloads_tests_of_connections_and_replays_are_in_the_trail_under_their_names() {
    let place = tempfile::tempdir().expect("a directory");
    let backups = place.path().join("backups").display().to_string();
    let environment = [("TRUNKLINE_BACKUP_DIRECTORY", backups.as_str())];
    let server = Server::start_with(&place.path().join("data"), &["--listen", "127.0.0.1:0"], &environment);
    let receiver = Receiver::start(|_| Reply::Status(204)).await;
    server.subscribe("sink", &receiver, json!({})).await;
    server.publish("a.type", "1", json!({})).await;
    receiver.took(1).await;
    let before = server.get("/v1/audit?limit=1").await["items"][0]["seq"].clone();

    server.run(&["connection", "test", "sink"]);
    server.run(&["config", "reload"]);
    let replay = json!({"from": "earliest", "into": {"subscription": "sink"}}).to_string();
    let begun = server
        .send("POST", "/v1/buses/default/replays", &[], replay)
        .await
        .json();
    let backup: Value = serde_json::from_str(&server.run(&["--output", "json", "backup", "create"])).expect("JSON");
    server.signal("HUP");
    let trail = async || {
        let items = server.get("/v1/audit?order=oldest&limit=500").await["items"].clone();
        let items = items.as_array().expect("a list").clone();
        items
            .iter()
            .filter(|entry| entry["seq"].as_u64() > before.as_u64())
            .map(told)
            .collect::<Vec<_>>()
    };
    let trail = eventually("six entries", LIMIT, async || {
        Some(trail().await).filter(|trail| trail.len() >= 6)
    })
    .await;
    let (backup, replay) = (
        backup["name"].as_str().expect("a name"),
        begun["name"].as_str().expect("a name"),
    );
    assert_eq!(
        trail,
        [
            "tested connection sink".to_owned(),
            "reloaded configuration".to_owned(),
            format!("started replay {replay}"),
            format!("began backup {backup}"),
            format!("backup completed backup {backup}"),
            "SIGHUP reloaded configuration".to_owned(),
        ]
    );
}

#[tokio::test]
async fn a_backup_of_a_stopped_servers_directory_is_in_its_trail() {
    let place = tempfile::tempdir().expect("a directory");
    let (data, backups) = (place.path().join("data"), place.path().join("backups"));
    assert_eq!(Server::start(&data).stop(), Some(0));
    let create = |to: &Path| {
        let mut command = Command::new(BINARY);
        command
            .args(["--output", "json", "backup", "create", "--data-dir"])
            .arg(&data);
        command.arg("--to").arg(to).output().expect("the binary runs")
    };
    let made = create(&backups);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made: Value = serde_json::from_slice(&made.stdout).expect("JSON");
    fs::write(place.path().join("file"), "").expect("written");
    let failed = create(&place.path().join("file"));
    assert!(!failed.status.success());

    let server = Server::start(&data);
    let items = server.get("/v1/audit?order=oldest&limit=500").await["items"].clone();
    let trail: Vec<String> = items.as_array().expect("a list").iter().map(told).collect();
    let name = made["name"].as_str().expect("a name");
    let of_made = [
        format!("command line began backup {name}"),
        format!("command line completed backup {name}"),
    ];
    assert_eq!(trail[..2], of_made, "{trail:?}");
    assert!(
        trail[2].starts_with("command line began backup") && trail[3].starts_with("command line failed backup"),
        "{trail:?}"
    );
    assert_eq!(server.run(&["audit", "verify"]).lines().count(), 1);
    assert_eq!(server.stop(), Some(0));
}

fn doctor(data: &Path) -> Output {
    let output = Command::new(BINARY).args(["doctor", "--data-dir"]).arg(data).output();
    output.expect("the binary runs")
}

#[tokio::test]
async fn doctor_names_what_was_taken_out_of_the_trail_and_one_without_its_end_goes_on() {
    let Some(python) = crate::sdk::installed("TRUNKLINE_PYTHON") else {
        return;
    };
    let place = tempfile::tempdir().expect("a directory");
    let server = Server::start(place.path());
    for name in ["one", "two", "three", "four"] {
        server.put(&format!("/v1/buses/default/topics/{name}"), json!({})).await;
    }
    assert_eq!(server.stop(), Some(0));
    let whole = doctor(place.path());
    let said = String::from_utf8_lossy(&whole.stdout).into_owned();
    assert!(
        whole.status.success() && said.contains("audit trail: 4 entries"),
        "{said}"
    );

    let store = place.path().join("store.db");
    let good = fs::read(&store).expect("it is read");
    for (statement, wanted) in [
        ("DELETE FROM audit WHERE seq = 2", "entry 2 is missing (found Some(3))"),
        ("DELETE FROM audit WHERE seq = 4", "entry 4 is missing"),
        ("DELETE FROM audit_end", "its end is lost"),
    ] {
        fs::write(&store, &good).expect("written");
        let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\nc.execute(sys.argv[2])\nc.commit()\n";
        let tampered = Command::new(&python)
            .args(["-c", script])
            .arg(&store)
            .arg(statement)
            .status();
        assert!(tampered.expect("python runs").success());
        let found = doctor(place.path());
        let said = String::from_utf8_lossy(&found.stdout).into_owned();
        assert!(!found.status.success(), "{said}");
        assert!(said.contains("damage: audit trail") && said.contains(wanted), "{said}");
    }
    // The last one that was tampered with goes on, and says so.
    let server = Server::start(place.path());
    server.put("/v1/buses/default/topics/five", json!({})).await;
    let trail = server.get("/v1/audit?order=oldest").await["items"].clone();
    let trail: Vec<String> = trail.as_array().expect("a list").iter().map(told).collect();
    assert_eq!(trail[4..], ["start repaired audit", "created topic five"]);
    assert_eq!(server.run(&["audit", "verify"]).lines().count(), 1);
    assert_eq!(server.stop(), Some(0));
    assert!(doctor(place.path()).status.success());
}
