//! Check 64: files are their owner's alone, whatever the process was told by its umask.

use crate::support::server::{BINARY, Server};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// Runs what follows with a umask that hides nothing.
const UNMASKED: &[&str] = &["sh", "-c", "umask 000; exec \"$@\"", "sh"];

fn unmasked(arguments: &[&str]) {
    let output = Command::new(UNMASKED[0])
        .args(&UNMASKED[1..])
        .arg(BINARY)
        .args(arguments)
        .output();
    let output = output.expect("a shell");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Whatever others may do with the things below a path, and with itself.
fn exposed(path: &Path) -> Vec<String> {
    let metadata = fs::symlink_metadata(path).expect("it is there");
    let (mode, wanted) = (
        metadata.permissions().mode() & 0o777,
        if metadata.is_dir() { 0o700 } else { 0o600 },
    );
    let mut exposed: Vec<String> = (mode != wanted)
        .then(|| format!("{mode:o} {}", path.display()))
        .into_iter()
        .collect();
    if metadata.is_dir() {
        let entries = fs::read_dir(path).expect("a directory");
        exposed.extend(entries.flat_map(|entry| self::exposed(&entry.expect("an entry").path())));
    }
    exposed
}

#[tokio::test]
async fn check_64_data_keys_backups_and_restored_directories_are_their_owners_alone_under_any_umask() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let shown = |path: &PathBuf| path.display().to_string();
    let (data, backups, identity) = (at("deep/data"), at("backups"), shown(&at("identity")));
    unmasked(&["backup", "key", &identity]);
    unmasked(&[
        "key",
        "create",
        "--data-dir",
        &shown(&data),
        "--scope",
        "administer",
        "--scope",
        "publish",
        "--id",
        "first",
    ]);
    let more = Command::new(BINARY)
        .args(["key", "generate", "--id", "second"])
        .output()
        .expect("the binary runs");
    let token = String::from_utf8(more.stdout).expect("text");
    let environment = [
        ("TRUNKLINE_BACKUP_DIRECTORY", shown(&backups)),
        ("TRUNKLINE_ADMIN_KEY", token.trim().to_owned()),
    ];
    let environment: Vec<(&str, &str)> = environment
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let arguments = ["--listen", "127.0.0.1:0", "--allow-network", "127.0.0.0/8"];
    let server = Server::try_start_under(UNMASKED, &data, &arguments, &environment).expect("it starts");
    let server = server.with_key(token.trim());
    let connection = json!({"provider": "webhook", "config": {"url": "http://127.0.0.1:9/"}});
    server.put("/v1/buses/default/connections/sink", connection).await;
    server
        .put("/v1/buses/default/subscriptions/sink", json!({"connection": "sink"}))
        .await;
    for id in ["1", "2"] {
        server.publish("a.type", id, json!({})).await;
    }
    server.run(&["master-key", "rotate"]);
    let plain: Value = serde_json::from_str(&server.run(&["--output", "json", "backup", "create"])).expect("JSON");
    let identity_text = fs::read_to_string(&identity).expect("it is read");
    let recipient = identity_text
        .lines()
        .find_map(|line| line.strip_prefix("# recipient: "))
        .expect("a recipient");
    server.run(&["backup", "create", "--recipient", recipient]);
    assert_eq!(exposed(&data), Vec::<String>::new(), "while it runs");
    assert_eq!(server.stop(), Some(0));
    let backup = shown(&backups.join(plain["name"].as_str().expect("a name")));
    let key = shown(&data.join("master.key"));
    unmasked(&[
        "restore",
        &backup,
        "--data-dir",
        &shown(&at("restored")),
        "--master-key",
        &key,
    ]);
    for path in [data, backups, at("restored"), PathBuf::from(identity)] {
        assert_eq!(exposed(&path), Vec::<String>::new());
    }
}
