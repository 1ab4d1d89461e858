//! Reading the configuration again: check 69, and what a reload changes.

use crate::support::{
    eventually,
    server::{BINARY, Server},
};
use serde_json::{Value, json};
use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::Path,
    process::{Command, Output},
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(30);

fn serve(directory: &Path) -> Server {
    let config = directory.join("trunkline.toml").display().to_string();
    Server::start_with(
        &directory.join("data"),
        &["--listen", "127.0.0.1:0", "--config", &config],
        &[],
    )
}

/// Check 69.
#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_refused_and_the_old_one_stays_check_69() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("trunkline.toml");
    let backups = directory.path().join("backups").display().to_string();
    fs::write(&file, format!("[backup]\ndirectory = {backups:?}\n")).expect("written");
    let server = serve(directory.path());
    for (text, said) in [
        ("[http]\nconections = 5\n", "did you mean http.connections?"),
        ("[log]\nlevel = \"a=b=c\"\n", "log.level"),
        ("[backup]\nrecipients = [\"age1x\"]\n", "backup.recipients"),
        ("allow_networks = [\"10.0.0.0/99\"]\n", "allow_networks"),
        ("listen = [\"0.0.0.0:1\"]\n", ""),
        ("[", "trunkline.toml"),
    ] {
        fs::write(&file, text).expect("written");
        let refused = server.command(&["config", "reload"]);
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        if said.is_empty() {
            // A flag wins over the file: nothing differs.
            assert!(refused.status.success(), "{error}");
            continue;
        }
        assert_eq!(refused.status.code(), Some(4), "{text}: {error}");
        assert!(
            error.contains("everything stays as it was") && error.contains(said),
            "{text}: {error}"
        );
        // The old one is in force: backups still have their directory, unless a good one took it away meanwhile.
        let list = server.send("GET", "/v1/backups", &[], "").await;
        assert_eq!(list.status, if text == "[" { 409 } else { 200 }, "{text}");
    }
}

#[tokio::test]
async fn a_reload_says_what_is_in_force_and_what_waits_for_a_start_and_a_signal_does_the_same() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("trunkline.toml");
    fs::write(&file, "").expect("written");
    let server = serve(directory.path());
    let backups = directory.path().join("backups").display().to_string();
    fs::write(
        &file,
        format!(
            "drain = \"3s\"\n[log]\nlevel = \"debug\"\n[backup]\ndirectory = {backups:?}\n[http]\nconnections = 9\n"
        ),
    )
    .expect("written");
    let reloaded: Value = serde_json::from_str(&server.run(&["--output", "json", "config", "reload"])).expect("JSON");
    assert_eq!(
        reloaded["applied"],
        json!(["backup.directory", "drain", "log.level"]),
        "{reloaded}"
    );
    assert_eq!(reloaded["restart_needed"], json!(["http.connections"]), "{reloaded}");
    server.get("/v1/backups").await;
    let again: Value = serde_json::from_str(&server.run(&["--output", "json", "config", "reload"])).expect("JSON");
    assert_eq!(again["applied"], json!([]), "{again}");
    assert_eq!(again["restart_needed"], json!(["http.connections"]), "{again}");

    fs::write(&file, "drain = \"4s\"\n").expect("written");
    server.signal("HUP");
    eventually("the log says so", LIMIT, async || {
        server.log().contains("the configuration was read again").then_some(())
    })
    .await;
    eventually("backups are off again", LIMIT, async || {
        (server.send("GET", "/v1/backups", &[], "").await.status == 409).then_some(())
    })
    .await;
    fs::write(&file, "drain = 4\n").expect("written");
    server.signal("HUP");
    eventually("the log says that it stays", LIMIT, async || {
        server.log().contains("the configuration stays as it was").then_some(())
    })
    .await;
    assert_eq!(server.stop(), Some(0));
}

/// Values that have their key's type and cannot be used, by their key, with what is said of them.
const UNUSABLE: &[(&str, &str, &str)] = &[
    (
        "listen",
        "[\"127.0.0.1:4711\", \"127.0.0.1:4711\"]",
        "127.0.0.1:4711 is taken by 127.0.0.1:4711",
    ),
    (
        "listen",
        "[\"127.0.0.1:4711\", \"0.0.0.0:4711\"]",
        "0.0.0.0:4711 is taken by 127.0.0.1:4711",
    ),
    (
        "eventbridge.listen",
        "[\"127.0.0.1:1\", \"127.0.0.1:1\"]",
        "is taken by",
    ),
    ("allow_networks", "[\"10.0.0.0/99\"]", "10.0.0.0/99"),
    ("bus_networks", "[\"shop\"]", "is not BUS=NETWORK"),
    ("bus_networks", "[\"my shop=10.0.0.0/8\"]", "my shop"),
    ("aws_machine_credentials", "[\"\"]", "is not a name"),
    ("egress_proxy", "\"https://x\"", "http://host:port"),
    ("egress_proxy", "\"x\"", "relative URL"),
    ("public_url", "\"foo\"", "no address such as https://"),
    (
        "public_url",
        "\"https://bus.example.com/?a\"",
        "no address such as https://",
    ),
    ("cors_origins", "[\"*\"]", "is no origin"),
    ("log.level", "\"\"", "it is empty"),
    ("keys.admin", "\"foo\"", "the form of a key"),
    ("keys.admin_file", "\"/nonexistent\"", "cannot read /nonexistent"),
    ("keys.master", "\"AAAA\"", "not base64 of 32 bytes"),
    ("keys.master_file", "\"/nonexistent/key\"", "/nonexistent/key"),
    ("journal.write_ahead", "\"1MiB\"", "256MiB to 16GiB"),
    ("http.connections", "0", "1 to 1048576"),
    ("http.connections", "9000000000000000000", "1 to 1048576"),
    ("eventbridge.region", "\"eu central\"", "is no region"),
    ("attempts.keep", "\"0s\"", "at least 1m"),
    ("audit.keep", "\"0s\"", "at least 1m"),
    ("otlp.endpoint", "\"ftp://x\"", "http or https"),
    ("otlp.headers", "\"nothing\"", "name=value"),
    ("backup.recipients", "[\"age1x\"]", "age1x"),
];

/// The file that sets a key, and where to listen if it does not say so itself.
fn setting(key: &str, value: &str) -> String {
    match key.split_once('.') {
        None if key == "listen" => format!("listen = {value}\n"),
        None => format!("listen = [\"127.0.0.1:0\"]\n{key} = {value}\n"),
        Some((section, key)) => format!("listen = [\"127.0.0.1:0\"]\n[{section}]\n{key} = {value}\n"),
    }
}

fn check(file: &Path, environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(BINARY);
    command
        .args(["config", "check"])
        .arg(file)
        .envs(environment.iter().copied());
    command.output().expect("the binary runs")
}

fn told(output: &Output) -> (Option<i32>, String) {
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[tokio::test]
async fn what_a_start_refuses_is_refused_by_a_check_and_a_reload_with_the_same_words() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("trunkline.toml");
    let shown = file.display().to_string();
    fs::write(&file, setting("drain", "\"5s\"")).expect("written");
    let server = Server::start_with(&directory.path().join("data"), &["--config", &shown], &[]);
    for (key, value, said) in UNUSABLE {
        fs::write(&file, setting(key, value)).expect("written");
        let (code, checked) = told(&check(&file, &[]));
        assert_eq!(code, Some(2), "{key} = {value}: {checked}");
        assert!(
            checked.contains(&format!("{key}: ")) || checked.contains(&format!("{key} \"")),
            "{key}: {checked}"
        );
        assert!(checked.contains(said), "{key}: {checked}");

        let started = Server::try_start(&directory.path().join("other"), &["--config", &shown], &[]);
        let refused = started.err().unwrap_or_else(|| panic!("{key} = {value} starts"));
        assert_eq!(refused, format!("exit status: 2\n{checked}"), "{key} = {value}");

        let (code, reloaded) = told(&server.command(&["config", "reload"]));
        assert_eq!(code, Some(4), "{key} = {value}: {reloaded}");
        let reason = checked.trim_end().trim_start_matches("trunkline: ");
        assert!(
            reloaded.contains(&format!("everything stays as it was: {reason}")),
            "{key}: {reloaded}"
        );
    }
    assert!(!directory.path().join("other").exists(), "nothing is touched before");

    fs::write(&file, "").expect("written");
    for (variable, value, said) in [
        ("TRUNKLINE_HTTP_CONNECTIONS", "0", "http.connections: 1 to 1048576"),
        ("TRUNKLINE_ADMIN_KEY", "foo", "keys.admin: "),
        ("TRUNKLINE_DATA_DIR", "", "data_dir: it is empty"),
    ] {
        let (code, checked) = told(&check(&file, &[(variable, value)]));
        assert!(code == Some(2) && checked.contains(said), "{variable}: {checked}");
    }
    assert_eq!(server.stop(), Some(0));
}

#[tokio::test]
async fn a_place_where_no_backup_can_be_is_refused_by_a_check_and_a_reload_and_keeps_no_bus_from_starting() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("trunkline.toml");
    let shown = file.display().to_string();
    for place in ["/dev/null", "/dev/null/x", "/proc/nope"] {
        fs::write(&file, setting("backup.directory", &format!("{place:?}"))).expect("written");
        let said = format!("backup.directory: cannot make {place}");
        let (code, checked) = told(&check(&file, &[]));
        assert!(code == Some(2) && checked.contains(&said), "{checked}");
        let server = Server::start_with(&directory.path().join("data"), &["--config", &shown], &[]);
        assert!(server.log().contains("no backup can be made"), "{}", server.log());
        let (code, reloaded) = told(&server.command(&["config", "reload"]));
        assert!(code == Some(4) && reloaded.contains(&said), "{reloaded}");
        assert_eq!(server.stop(), Some(0));
    }
}

#[test]
fn a_check_leaves_nothing_behind_where_backups_would_lie() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("trunkline.toml");
    let backups = directory.path().join("a/b").display().to_string();
    fs::write(&file, format!("[backup]\ndirectory = {backups:?}\n")).expect("written");
    let (code, told) = told(&check(&file, &[]));
    assert_eq!(code, Some(0), "{told}");
    assert!(!directory.path().join("a").exists());
}

#[test]
fn a_variable_that_is_not_utf_8_concerns_nobody_unless_it_is_ours() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().display().to_string();
    let config = directory.path().join("trunkline.toml");
    fs::write(&config, "").expect("written");
    let no_text = OsStr::from_bytes(b"\xff");
    let told = |arguments: &[&str], variable: &str| {
        let mut command = Command::new(BINARY);
        let output = command.args(arguments).env(variable, no_text).output();
        let output = output.expect("the binary runs");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let config = config.display().to_string();
    let create = ["key", "create", "--scope", "administer", "--data-dir", &data];
    for arguments in [
        &["config", "check", &config][..],
        &create,
        &["doctor", "--data-dir", &data],
    ] {
        let (code, said) = told(arguments, "TRUNKLINE_LOG_LEVEL");
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(
            said.contains("environment: TRUNKLINE_LOG_LEVEL: it is not UTF-8"),
            "{arguments:?}: {said}"
        );
        let (code, said) = told(arguments, "LESS");
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
    }
    let (code, said) = told(&["serve", "--data-dir", &data], "TRUNKLINE_LOG_LEVEL");
    assert_eq!(code, Some(2), "{said}");
}
