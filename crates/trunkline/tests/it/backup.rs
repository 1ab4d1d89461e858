//! Backups through the real binary: under load, elsewhere, damaged, encrypted, offline. Checks 70 to 74, and 62 as far as
//! backups go.

use crate::support::{
    eventually,
    receiver::{Receiver, Reply},
    server::{BINARY, Server},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_secs(60);

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().expect("a directory"))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Restores a backup with its master key.
    fn restore(&self, backup: &str, target: &str, key: &str) {
        let path = self.backup(backup);
        succeeded(&["restore", &path, "--data-dir", target, "--master-key", key]);
    }

    fn serve(&self, data: &str) -> Server {
        let backups = self.at("backups").display().to_string();
        let environment = [("TRUNKLINE_BACKUP_DIRECTORY", backups.as_str())];
        Server::start_with(&self.at(data), &["--listen", "127.0.0.1:0"], &environment)
    }

    fn backup(&self, name: &str) -> String {
        self.at("backups").join(name).display().to_string()
    }
}

fn trunkline(arguments: &[&str]) -> Output {
    let output = Command::new(BINARY).args(arguments).output();
    output.expect("the binary runs")
}

fn succeeded(arguments: &[&str]) -> String {
    let output = trunkline(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {}\n{error}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn created(server: &Server, more: &[&str]) -> Value {
    let arguments = [&["--output", "json", "backup", "create"], more].concat();
    serde_json::from_str(&server.run(&arguments)).expect("JSON")
}

fn name(backup: &Value) -> &str {
    backup["name"].as_str().expect("a name")
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => files.extend(files_below(&path)),
            false => files.push(path),
        }
    }
    files
}

/// Checks 70, 71 and 73.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_restores_elsewhere_with_all_that_was_acknowledged_and_repeats_nothing_that_was_saved() {
    let place = Place::new();
    let receiver = Receiver::start(|_| Reply::Status(204)).await;
    let server = Arc::new(place.serve("data"));
    server.subscribe("sink", &receiver, json!({})).await;
    for number in 0..50 {
        server
            .publish(
                "com.example.before",
                &format!("before-{number}"),
                json!({"number": number}),
            )
            .await;
    }
    receiver.took(50).await;
    let ended = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn(publish(server.clone(), ended.clone()));
    eventually("the load runs", LIMIT, async || {
        (receiver.deliveries().len() > 80).then_some(())
    })
    .await;
    let backup = tokio::task::block_in_place(|| created(&server, &[]));
    assert_eq!(backup["state"], "complete", "{backup}");
    ended.store(true, Ordering::SeqCst);
    load.await.expect("the load ends");
    let listed: Value = serde_json::from_str(&server.run(&["--output", "json", "backup", "list"])).expect("JSON");
    assert_eq!(name(&listed), name(&backup));
    let key = backup["master_key"]
        .as_str()
        .filter(|id| !id.is_empty())
        .expect("an id");
    let table = server.run(&["backup", "list"]);
    assert!(table.contains("MASTER KEY") && table.contains(key), "{table}");
    assert_eq!(Arc::into_inner(server).expect("nobody else has it").stop(), Some(0));

    let target = place.at("elsewhere");
    let shown = target.display().to_string();
    let key = place.at("data/master.key").display().to_string();
    place.restore(name(&backup), &shown, &key);
    let before: BTreeSet<String> = ids(&receiver);
    let count = receiver.deliveries().len();
    let restored = place.serve("elsewhere");
    for number in 0..50 {
        let story = restored.get(&format!("/v1/buses/default/events/before-{number}")).await;
        assert_eq!(story["event"]["data"]["number"], number);
    }
    // Whatever comes again was published while the backup was made: nothing from before it.
    restored.publish("com.example.after", "after", json!({})).await;
    eventually("the restored bus delivers", LIMIT, async || {
        ids(&receiver).contains("after").then_some(())
    })
    .await;
    let again: Vec<String> = receiver.deliveries()[count..]
        .iter()
        .map(|delivery| delivery.header("ce-id").to_string())
        .filter(|id| before.contains(id))
        .collect();
    assert!(again.iter().all(|id| id.starts_with("during-")), "{again:?}");
}

fn ids(receiver: &Receiver) -> BTreeSet<String> {
    let deliveries = receiver.deliveries();
    deliveries
        .iter()
        .map(|delivery| delivery.header("ce-id").to_string())
        .collect()
}

async fn publish(server: Arc<Server>, ended: Arc<AtomicBool>) {
    let mut number = 0;
    while !ended.load(Ordering::SeqCst) {
        server
            .publish("com.example.during", &format!("during-{number}"), json!({}))
            .await;
        number += 1;
    }
}

/// Check 72.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_backup_is_refused_with_its_file_and_nothing_half_restored_stays_check_72() {
    let place = Place::new();
    let server = place.serve("data");
    for number in 0..20 {
        server.publish("com.example", &format!("{number}"), json!({})).await;
    }
    let full = created(&server, &[]);
    server.publish("com.example", "later", json!({})).await;
    let backup = created(&server, &["--incremental"]);
    assert_eq!(backup["parent"], full["name"]);
    assert!(backup["stored"].as_u64() < full["stored"].as_u64(), "{backup} {full}");
    assert_eq!(server.stop(), Some(0));
    let path = place.backup(name(&backup));
    succeeded(&["backup", "verify", &path]);
    let file = Path::new(&path).join("data/store.db");
    let mut bytes = fs::read(&file).expect("the store is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, &bytes).expect("written");
    let target = place.at("elsewhere");
    for arguments in [
        vec!["backup", "verify", path.as_str()],
        vec!["restore", &path, "--data-dir", target.to_str().expect("a path")],
    ] {
        let refused = trunkline(&arguments);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(72), "{said}");
        assert!(said.contains("data/store.db") && said.contains("SHA-256"), "{said}");
        assert!(!target.exists());
    }
    // A restore that was killed: a server does not start on what it left.
    fs::create_dir(&target).expect("a directory");
    fs::write(target.join("restoring"), "").expect("written");
    let refused = Server::try_start(&target, &["--listen", "127.0.0.1:0"], &[])
        .err()
        .expect("refused");
    assert!(refused.contains("was not finished"), "{refused}");
}

/// Checks 62 and 71: encrypted, and the master key is in no backup.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encrypted_backup_shows_no_secret_and_no_payload_and_needs_both_keys_checks_62_and_71() {
    let place = Place::new();
    let identity = place.at("identity.txt").display().to_string();
    let made: Value =
        serde_json::from_str(&succeeded(&["--output", "json", "backup", "key", &identity])).expect("JSON");
    let recipient = made["recipient"].as_str().expect("a recipient");
    let server = place.serve("data");
    let canary = "canary-of-the-connection";
    let connection = json!({"provider": "webhook", "config": {"url": "http://127.0.0.1:9/",
        "auth": {"type": "bearer", "token": canary}}});
    server.put("/v1/buses/default/connections/crm", connection).await;
    server
        .publish("com.example", "1", json!({"text": "canary-of-the-payload"}))
        .await;
    let backup = created(&server, &["--recipient", recipient]);
    let exported = server.run(&["export"]);
    assert_eq!(server.stop(), Some(0));
    let master = fs::read_to_string(place.at("data/master.key")).expect("a key");
    for file in files_below(&place.at("backups")) {
        let bytes = fs::read(&file).expect("it is read");
        for secret in [canary, "canary-of-the-payload", master.trim()] {
            let shows = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!shows, "{} shows {secret}", file.display());
        }
    }
    let target = place.at("elsewhere").display().to_string();
    let path = place.backup(name(&backup));
    let refused = trunkline(&["restore", &path, "--data-dir", &target]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--identity"));
    let told = succeeded(&["restore", &path, "--data-dir", &target, "--identity", &identity]);
    assert!(told.contains("put the master key"), "{told}");
    // Without the master key it does not start, and makes no other.
    let refused = Server::try_start(Path::new(&target), &["--listen", "127.0.0.1:0"], &[])
        .err()
        .expect("refused");
    assert!(refused.contains("master.key is missing"), "{refused}");
    assert!(refused.contains("exit status: 2"), "{refused}");
    assert!(!Path::new(&target).join("master.key").exists());
    fs::copy(place.at("data/master.key"), Path::new(&target).join("master.key")).expect("copied");
    let restored = place.serve("elsewhere");
    assert_eq!(
        restored.run(&["export"]),
        exported,
        "fingerprints too: the secrets open"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_or_killed_directory_is_backed_up_offline_and_a_running_one_refused() {
    let place = Place::new();
    let server = place.serve("data");
    for number in 0..20 {
        server.publish("com.example", &format!("{number}"), json!({})).await;
    }
    let (data, to) = (
        place.at("data").display().to_string(),
        place.at("backups").display().to_string(),
    );
    let arguments = ["--output", "json", "backup", "create", "--data-dir", &data, "--to", &to];
    let refused = trunkline(&arguments);
    assert_eq!(refused.status.code(), Some(71), "another process uses it");
    server.kill();
    let backup: Value = serde_json::from_str(&succeeded(&arguments)).expect("JSON");
    let target = place.at("elsewhere").display().to_string();
    let key = place.at("data/master.key").display().to_string();
    place.restore(name(&backup), &target, &key);
    let restored = place.serve("elsewhere");
    for number in 0..20 {
        restored.get(&format!("/v1/buses/default/events/{number}")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_for_backups_that_cannot_be_made_are_refused_with_their_reason() {
    let place = Place::new();
    let server = Server::start(&place.at("data"));
    let ask = async |server: &Server, body: &str| {
        let answer = server
            .send(
                "POST",
                "/v1/backups",
                &[("content-type", "application/json")],
                body.to_string(),
            )
            .await;
        (
            answer.status,
            answer.json()["code"].as_str().unwrap_or_default().to_string(),
        )
    };
    assert_eq!(ask(&server, "").await, (409, "backups_off".into()));
    assert_eq!(server.stop(), Some(0));
    let server = place.serve("data");
    for body in [
        "{\"incremental\": 1}",
        "{\"directory\": \"/etc\"}",
        "[",
        "{\"recipients\": [\"me\"]}",
    ] {
        assert_eq!(ask(&server, body).await, (422, "backup_invalid".into()), "{body}");
    }
    for name in ["x", "..%2f..%2fetc", "20261121T083320.123Z-3f9a2c1b"] {
        let answer = server.send("GET", &format!("/v1/backups/{name}"), &[], "").await;
        assert_eq!(
            (answer.status, answer.json()["code"].as_str()),
            (404, Some("backup_not_found")),
            "{name}"
        );
    }
}

/// Check 74: `cargo xtask prove restore` prints the time for a gibibyte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_drill_takes_less_than_a_minute_for_a_gibibyte_check_74() {
    let mib = crate::support::setting("TRUNKLINE_RESTORE_MIB", 8);
    let place = Place::new();
    let server = place.serve("data");
    let event = json!({"specversion": "1.0", "source": "/drill", "type": "com.example.drill",
        "data": "x".repeat(32 << 10)});
    for batch in 0..mib {
        let events: Vec<Value> = (0..32)
            .map(|number| {
                let mut event = event.clone();
                event["id"] = json!(format!("{batch}-{number}"));
                event
            })
            .collect();
        let headers = [("content-type", "application/cloudevents-batch+json")];
        let answer = server
            .send("POST", "/v1/buses/default/events", &headers, json!(events).to_string())
            .await;
        assert!(answer.status < 300, "{}", answer.json());
    }
    let began = Instant::now();
    let backup = created(&server, &[]);
    let made = began.elapsed();
    assert_eq!(server.stop(), Some(0));
    let target = place.at("elsewhere").display().to_string();
    let key = place.at("data/master.key").display().to_string();
    let began = Instant::now();
    place.restore(name(&backup), &target, &key);
    let restored = began.elapsed();
    let began = Instant::now();
    let server = place.serve("elsewhere");
    server.get(&format!("/v1/buses/default/events/{}-31", mib - 1)).await;
    let bytes = backup["size"].as_f64().expect("a size");
    println!(
        "restore drill: {:.0} MiB backed up in {made:?}, restored and verified in {restored:?}, serving after {:?}",
        bytes / f64::from(1 << 20),
        began.elapsed()
    );
    assert!(bytes > (mib << 20) as f64, "{bytes} bytes");
    let minute_for_a_gibibyte = Duration::from_secs(60).mul_f64((bytes / f64::from(1 << 30)).max(0.1));
    assert!(restored < minute_for_a_gibibyte, "it took {restored:?}");
}
