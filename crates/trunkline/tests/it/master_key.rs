//! Check 64: another master key becomes current while the server runs, whatever happens on the way.

use crate::support::{
    eventually,
    receiver::{Delivery, Receiver, Reply},
    server::{BINARY, Server},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::hmac;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(60);
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Several transactions' worth of documents.
const CONNECTIONS: usize = 200;
const ARGUMENTS: &[&str] = &["--listen", "127.0.0.1:0"];

fn trunkline(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(BINARY);
    let output = command.args(arguments).envs(environment.iter().copied()).output();
    output.expect("the binary runs")
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

fn generated() -> String {
    let output = trunkline(&["master-key", "generate"], &[]);
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// Whether a delivery carries the signature that its receiver expects.
fn is_signed(delivery: &Delivery) -> bool {
    let key = STANDARD.decode(SECRET.trim_start_matches("whsec_")).expect("base64");
    let mut signed = format!(
        "{}.{}.",
        delivery.header("webhook-id"),
        delivery.header("webhook-timestamp")
    )
    .into_bytes();
    signed.extend_from_slice(&delivery.body);
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &signed);
    delivery.header("webhook-signature") == format!("v1,{}", STANDARD.encode(signature))
}

fn connection(url: &str) -> Value {
    json!({"provider": "webhook", "config": {"url": url, "signing": {"style": "standard-webhooks", "secrets": [SECRET]}}})
}

/// A receiver of signed events, connections that nobody uses, and a key that signs.
async fn furnish(server: &Server, receiver: &Receiver) {
    let bus = "/v1/buses/default";
    server
        .put(&format!("{bus}/connections/sink"), connection(&receiver.url("/")))
        .await;
    server
        .put(&format!("{bus}/subscriptions/sink"), json!({"connection": "sink"}))
        .await;
    let puts = (0..CONNECTIONS).map(async |number| {
        let path = format!("{bus}/connections/spare-{number}");
        server.put(&path, connection("http://127.0.0.1:9/")).await;
    });
    futures_util::future::join_all(puts).await;
}

/// Every file of a directory with its content, without SQLite's empty log and the index to it: they go with its last connection,
/// which need not be the server's.
fn content(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => files.append(&mut content(&path)),
            false => drop(files.insert(path.clone(), fs::read(&path).expect("it is read"))),
        }
    }
    let is_passing = |path: &Path, bytes: &[u8]| {
        path.ends_with("store.db-shm") || path.ends_with("store.db-wal") && bytes.is_empty()
    };
    files.retain(|path, bytes| !is_passing(path, bytes));
    files
}

async fn at_rest(server: &Server) -> Value {
    eventually("everything is sealed again", LIMIT, async || {
        let keys = server.get("/v1/master-key").await;
        (keys["state"] == "at_rest").then_some(keys)
    })
    .await
}

/// Publishes until it is told to stop; how many.
async fn publish(server: Arc<Server>, ended: Arc<AtomicBool>) -> usize {
    let mut count = 0;
    while !ended.load(SeqCst) {
        server
            .publish("a.type", &format!("load-{count}"), json!({"n": count}))
            .await;
        count += 1;
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_64_the_master_key_changes_under_load_without_a_failed_delivery_or_a_wrong_signature() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name).display().to_string();
    let (data, backups) = (place.path().join("data"), at("backups"));
    let receiver = Receiver::start(|_| Reply::Status(204)).await;
    let environment = [("TRUNKLINE_BACKUP_DIRECTORY", backups.as_str())];
    let server = Arc::new(Server::start_with(&data, ARGUMENTS, &environment));
    furnish(&server, &receiver).await;
    let shown = server.get("/v1/buses/default/connections/sink").await;
    let key_file = data.join("master.key");
    fs::copy(&key_file, at("old.key")).expect("a copy");
    let before: Value = serde_json::from_str(&server.run(&["--output", "json", "backup", "create"])).expect("JSON");
    let old = server.get("/v1/master-key").await["current"].clone();
    assert_eq!(before["master_key"], old);

    let ended = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn(publish(server.clone(), ended.clone()));
    receiver.saw(20).await;
    let rotated = tokio::task::block_in_place(|| server.run(&["--output", "json", "master-key", "rotate"]));
    receiver.saw(receiver.deliveries().len() + 20).await;
    ended.store(true, SeqCst);
    let published = load.await.expect("the load ends");
    let rotated: Value = serde_json::from_str(&rotated).expect("JSON");
    assert_eq!((&rotated["state"], &rotated["left"]), (&json!("at_rest"), &json!(0)));
    assert_eq!(
        rotated["secrets"],
        json!(CONNECTIONS + 2),
        "the sink and the fingerprints' key too"
    );
    assert_eq!(rotated["earlier"], json!([{"id": old, "secrets": 0}]));
    let deliveries = receiver.took(published).await;
    let ids: BTreeSet<&str> = deliveries.iter().map(|delivery| delivery.header("ce-id")).collect();
    assert_eq!((deliveries.len(), ids.len()), (published, published), "each once");
    assert!(deliveries.iter().all(is_signed), "every signature is right");
    assert_eq!(server.status("sink").await["since_start"]["failed"], 0);
    let after = server.get("/v1/buses/default/connections/sink").await;
    assert_eq!(after["config"], shown["config"], "fingerprints stay");

    let again = server
        .send(
            "POST",
            "/v1/master-key:forget",
            &[],
            json!({"id": rotated["current"]}).to_string(),
        )
        .await;
    assert_eq!(
        (again.status, &again.json()["code"]),
        (404, &json!("master_key_unknown"))
    );
    let lines = || fs::read_to_string(&key_file).expect("it is read").lines().count();
    assert_eq!(lines(), 2);
    server.run(&["master-key", "forget", old.as_str().expect("an id")]);
    assert_eq!(lines(), 1);
    let trail = server.run(&["--output", "json", "audit", "list", "--kind", "master-key"]);
    for (action, id) in [
        ("rotated", &rotated["current"]),
        ("resealed", &rotated["current"]),
        ("forgotten", &old),
    ] {
        let trail: Value = serde_json::from_str(&trail).expect("JSON");
        let is_it = |entry: &&Value| entry["action"] == action && entry["name"] == *id;
        assert!(
            trail.as_array().expect("a list").iter().any(|entry| is_it(&entry)),
            "{action}: {trail}"
        );
    }
    let server = Arc::into_inner(server).expect("nobody else has it");
    assert_eq!(server.stop(), Some(0));

    // A backup needs the key of its time.
    let backup = format!("{backups}/{}", before["name"].as_str().expect("a name"));
    let new = key_file.display().to_string();
    let restore =
        |data: &str, key: &str| trunkline(&["restore", &backup, "--data-dir", data, "--master-key", key], &[]);
    let wrong = restore(&at("wrong"), &new);
    assert!(said(&wrong).contains("the backup was made under"), "{}", said(&wrong));
    let right = restore(&at("right"), &at("old.key"));
    assert!(right.status.success(), "{}", said(&right));
    let restored = Server::start(Path::new(&at("right")));
    assert_eq!(restored.get("/v1/master-key").await["current"], old);
    restored.publish("a.type", "restored", json!({})).await;
    receiver.took(published + 1).await;
    assert!(receiver.deliveries().iter().all(is_signed));
}

#[tokio::test]
async fn check_64_a_rotation_that_is_killed_goes_on_at_the_next_start() {
    let place = tempfile::tempdir().expect("a directory");
    let data = place.path().join("data");
    let receiver = Receiver::start(|_| Reply::Status(204)).await;
    let mut server = Server::start(&data);
    furnish(&server, &receiver).await;
    let mut interrupted = 0;
    for round in 0..6 {
        let asked = server.send("POST", "/v1/master-key:rotate", &[], "{}").await;
        assert_eq!(asked.status, 202, "{}", asked.json());
        let seen = eventually("it is on its way", LIMIT, async || {
            let keys = server.get("/v1/master-key").await;
            (keys["left"].as_u64() < keys["secrets"].as_u64()).then_some(keys)
        })
        .await;
        server.kill();
        server = Server::start(&data);
        let goes_on = server
            .log()
            .contains("secrets are sealed again under the current master key");
        interrupted += u32::from(goes_on);
        let keys = at_rest(&server).await;
        assert_eq!(keys["current"], seen["current"], "the one that had become current");
        assert_eq!(keys["earlier"].as_array().expect("a list").len(), 1);
        let earlier = keys["earlier"][0]["id"].as_str().expect("an id");
        server.run(&["master-key", "forget", earlier]);
        server.publish("a.type", &format!("round-{round}"), json!({})).await;
    }
    assert!(interrupted > 0, "no kill came in the middle");
    receiver.took(6).await;
    assert!(receiver.deliveries().iter().all(is_signed));
    // The one key that is left opens everything.
    server.kill();
    let examined = trunkline(&["doctor", "--data-dir", &data.display().to_string()], &[]);
    assert!(examined.status.success(), "{}", said(&examined));
}

#[tokio::test]
async fn check_64_keys_of_the_environment_are_the_operators_to_bring_and_a_wrong_one_changes_nothing() {
    let place = tempfile::tempdir().expect("a directory");
    let data = place.path().join("data");
    let receiver = Receiver::start(|_| Reply::Status(204)).await;
    let (old, new) = (generated(), generated());
    let start = |keys: &str| Server::try_start(&data, ARGUMENTS, &[("TRUNKLINE_KEYS_MASTER", keys)]);
    let server = start(&old).expect("it starts");
    furnish(&server, &receiver).await;
    let refused = server.command(&["master-key", "rotate"]);
    assert!(said(&refused).contains("a new one must be given"), "{}", said(&refused));
    let file = place.path().join("new.key");
    fs::write(&file, "not a key").expect("written");
    let file = file.display().to_string();
    let refused = server.command(&["master-key", "rotate", "--key-file", &file]);
    assert!(said(&refused).contains("32 bytes"), "{}", said(&refused));
    assert!(!said(&refused).contains("not a key"), "what was given is not repeated");
    fs::write(&file, &new).expect("written");
    let rotated = server.run(&["--output", "json", "master-key", "rotate", "--key-file", &file]);
    let rotated: Value = serde_json::from_str(&rotated).expect("JSON");
    assert_eq!(rotated["kept_in"], "configuration");
    assert!(!data.join("master.key").exists());
    assert_eq!(server.stop(), Some(0));

    let before = content(&data);
    for wrong in [old.as_str(), &generated(), "short"] {
        let refusal = start(wrong).err().expect("it does not start");
        assert!(refusal.contains("master key"), "{refusal}");
        assert!(
            refusal.contains("exit status: 2"),
            "starting again does not help: {refusal}"
        );
    }
    assert_eq!(content(&data), before, "nothing was written");
    let server = start(&format!("{new},{old}")).expect("it starts with both");
    assert_eq!(at_rest(&server).await["current"], rotated["current"]);
    assert_eq!(server.stop(), Some(0));
    let server = start(&new).expect("the new one is enough");
    server.publish("a.type", "one", json!({})).await;
    receiver.took(1).await;
    assert!(receiver.deliveries().iter().all(is_signed));
}

#[test]
fn a_master_key_file_that_holds_something_else_ends_a_start_with_2_and_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    fs::create_dir(&data).expect("made");
    let file = data.join("master.key");
    for wrong in [&b"\xff\xfe"[..], b"short"] {
        fs::write(&file, wrong).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
        let refused = Server::try_start(&data, ARGUMENTS, &[])
            .err()
            .expect("it does not start");
        assert!(refused.starts_with("exit status: 2\n"), "{refused}");
        assert!(
            refused.contains("master.key\": a line of it is not base64 of 32 bytes"),
            "{refused}"
        );
    }
}
