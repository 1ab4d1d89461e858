//! `trunkline doctor` on real data directories: what it says of whole ones, of damaged ones, and what it repairs when it may.

use super::fixtures::unpacked;
use crate::support::server::{BINARY, Server};
use serde_json::json;
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

fn doctor(data: &Path, more: &[&str]) -> Output {
    let output = Command::new(BINARY)
        .args(["doctor", "--data-dir"])
        .arg(data)
        .args(more)
        .output();
    output.expect("the binary runs")
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

#[test]
fn whole_directories_of_every_release_are_as_they_were_written() {
    for name in ["data-v1-clean", "data-v1-killed"] {
        let directory = unpacked(name);
        let examined = doctor(&directory.path().join("data"), &[]);
        assert_eq!(code(&examined), Some(0), "{name}: {}", said(&examined));
        assert!(said(&examined).contains("attempts: "), "{}", said(&examined));
    }
}

#[test]
fn where_nothing_is_yet_nothing_is_damaged_and_nothing_is_left_behind() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path();
    let examined = doctor(data, &[]);
    assert_eq!(code(&examined), Some(0), "{}", said(&examined));
    assert!(said(&examined).contains("nothing is there yet"), "{}", said(&examined));
    let examined = doctor(data, &["--output", "json"]);
    let seen: serde_json::Value = serde_json::from_slice(&examined.stdout).expect("JSON");
    assert_eq!(seen["findings"], json!([]));
    assert_eq!(fs::read_dir(data).expect("it is read").count(), 0);
    let missing = doctor(&data.join("elsewhere"), &[]);
    assert_eq!(code(&missing), Some(2));
    assert!(said(&missing).contains("nothing is there yet"), "{}", said(&missing));
    // A journal without its store is a loss, not a beginning.
    fs::create_dir(data.join("journal")).expect("made");
    assert_eq!(code(&doctor(data, &[])), Some(72));
}

#[tokio::test]
async fn a_broken_frame_is_explained_and_let_go_only_with_consent_and_the_rest_is_served() {
    let directory = unpacked("data-v1-killed");
    let data = directory.path().join("data");
    let server = Server::start(&data);
    for number in 0..6 {
        server
            .publish(
                "com.example.order.placed",
                &format!("new-{number}"),
                json!({"customer": "c1"}),
            )
            .await;
    }
    server.kill();
    // The frames behind the checkpoint, one for each event: a byte of the second of them is flipped.
    let (path, at) = second_frame(&data);
    let good = fs::read(&path).expect("it is read");
    let mut bad = good.clone();
    bad[at + 200] ^= 4;
    fs::write(&path, &bad).expect("written");

    let examined = doctor(&data, &[]);
    assert_eq!(code(&examined), Some(72), "{}", said(&examined));
    assert!(
        said(&examined).contains("can be repaired") && said(&examined).contains("LOST"),
        "{}",
        said(&examined)
    );
    let refused = doctor(&data, &["--repair"]);
    assert_eq!(code(&refused), Some(2), "{}", said(&refused));
    assert_eq!(fs::read(&path).expect("it is read"), bad, "nobody agreed");
    let repaired = doctor(&data, &["--repair", "--yes"]);
    assert!(said(&repaired).contains("repaired: "), "{}", said(&repaired));
    assert!(!doctor_finds(&data, "fatal"), "{}", said(&doctor(&data, &[])));
    let aside = fs::read_dir(&data).expect("a directory").filter_map(Result::ok);
    let aside = aside
        .map(|entry| entry.path())
        .find(|path| path.display().to_string().contains("doctor-"));
    let kept = aside
        .expect("it is aside")
        .join("write-ahead")
        .join(path.file_name().expect("a name"));
    assert_eq!(fs::read(kept).expect("it is read"), bad);
    let server = Server::start(&data);
    for number in 1..=100 {
        server.get(&format!("/v1/buses/default/events/event-{number}")).await;
    }
    server.get("/v1/buses/default/events/new-0").await;
    assert_eq!(
        server
            .send("GET", "/v1/buses/default/events/new-1", &[], "")
            .await
            .status,
        404
    );
    server
        .publish("com.example.order.placed", "after", json!({"customer": "c1"}))
        .await;
    assert_eq!(server.stop(), Some(0));
    let examined = doctor(&data, &[]);
    assert_eq!(code(&examined), Some(0), "{}", said(&examined));
}

/// The file of write-ahead frames behind the checkpoint, and where its second frame begins.
fn second_frame(data: &Path) -> (std::path::PathBuf, usize) {
    let directory = fs::read_dir(data.join("journal/write-ahead")).expect("a directory");
    let mut best: Option<(usize, std::path::PathBuf, usize)> = None;
    for entry in directory {
        let path = entry.expect("an entry").path();
        let bytes = fs::read(&path).expect("it is read");
        let frames: Vec<usize> = (1..bytes.len() / 4096)
            .map(|page| page * 4096)
            .filter(|at| &bytes[*at..*at + 4] == b"TLFR")
            .collect();
        let number = u64::from_le_bytes(bytes[8..16].try_into().expect("eight bytes")) as usize;
        if frames.len() > 2 && best.as_ref().is_none_or(|(newest, ..)| number > *newest) {
            best = Some((number, path, frames[1]));
        }
    }
    let (_, path, at) = best.expect("there are frames");
    (path, at)
}

fn doctor_finds(data: &Path, severity: &str) -> bool {
    said(&doctor(data, &[]))
        .lines()
        .any(|line| line.starts_with(&format!("{severity}:")))
}

#[test]
fn a_missing_or_another_master_key_is_found() {
    let directory = unpacked("data-v1-clean");
    let data = directory.path().join("data");
    let key = data.join("master.key");
    let good = fs::read(&key).expect("a key");
    fs::remove_file(&key).expect("removed");
    let examined = doctor(&data, &[]);
    assert_eq!(code(&examined), Some(72));
    assert!(
        said(&examined).contains("the master key is missing"),
        "{}",
        said(&examined)
    );
    assert!(!key.exists(), "it makes none");
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(&key, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n").expect("written");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("set");
    let examined = doctor(&data, &[]);
    assert_eq!(code(&examined), Some(72));
    assert!(
        said(&examined).contains("sealed under master key"),
        "{}",
        said(&examined)
    );
    fs::write(&key, good).expect("written");
    assert_eq!(code(&doctor(&data, &[])), Some(0));
}

#[test]
fn a_journal_that_is_shorter_than_the_store_remembers_is_found_and_damage_beside_it_named() {
    let directory = unpacked("data-v1-clean");
    let data = directory.path().join("data");
    let checkpoint = data.join("journal/checkpoint");
    fs::remove_file(&checkpoint).expect("removed");
    fs::remove_dir_all(data.join("journal/topics/1-2/2")).expect("removed");
    fs::remove_dir_all(data.join("journal/write-ahead")).expect("removed");
    fs::write(data.join("journal/format"), "not a format").expect("written");
    let examined = doctor(&data, &[]);
    assert_eq!(code(&examined), Some(72));
    let text = said(&examined);
    assert!(
        text.contains("topic orders, partition 2") && text.contains("shorter than it was"),
        "{text}"
    );
    assert!(text.contains("write the journal's format file anew"), "{text}");
    let repaired = doctor(&data, &["--repair", "--yes"]);
    assert!(
        said(&repaired).contains("the format file is written anew"),
        "{}",
        said(&repaired)
    );
}

/// Check 68.
/// It called the damage harmless, and no server started.
#[test]
fn a_history_that_cannot_be_read_is_told_and_keeps_no_server_from_starting() {
    let data = tempfile::tempdir().expect("a directory");
    let attempts = data.path().join("attempts");
    assert_eq!(Server::start(data.path()).stop(), Some(0));
    for name in ["20000.attempts", "trouble.sqlite", "trouble.sqlite-wal"] {
        fs::remove_file(attempts.join(name)).ok();
        fs::create_dir(attempts.join(name)).expect("made");
    }
    let found = doctor(data.path(), &[]);
    assert_eq!(code(&found), Some(0), "{}", said(&found));
    assert_eq!(
        said(&found).matches("The next start puts it aside").count(),
        3,
        "{}",
        said(&found)
    );
    assert_eq!(Server::start(data.path()).stop(), Some(0));
    assert!(attempts.join("20000.attempts.unreadable-1").is_dir());
    let after = doctor(data.path(), &[]);
    assert!(!said(&after).contains("puts it aside"), "{}", said(&after));
}

#[test]
fn what_a_later_program_wrote_is_refused_before_anything_is_written_check_68() {
    for (file, at, bytes) in [
        ("store.db", 60, 9_u32.to_be_bytes().to_vec()),
        ("journal/format", 0, later_format()),
    ] {
        let directory = unpacked("data-v1-clean");
        let data = directory.path().join("data");
        let path = data.join(file);
        let mut content = fs::read(&path).expect("it is read");
        content[at..at + bytes.len()].copy_from_slice(&bytes);
        fs::write(&path, content).expect("written");
        let before = snapshot(&data);
        let refused = Server::try_start(&data, &["--listen", "127.0.0.1:0"], &[])
            .err()
            .expect("refused");
        assert!(
            refused.contains("a later program wrote it") && refused.contains("nothing was changed"),
            "{refused}"
        );
        assert_eq!(snapshot(&data), before, "{file}");
        let refused = doctor(&data, &["--repair", "--yes"]);
        assert!(
            said(&refused).contains("a later program wrote it"),
            "{}",
            said(&refused)
        );
        assert_eq!(snapshot(&data), before, "{file}");
    }
}

/// `TLJOURNL`, version 9, checksum.
fn later_format() -> Vec<u8> {
    let mut bytes = b"TLJOURNL".to_vec();
    bytes.extend(9_u32.to_le_bytes());
    let sum = crc32c::crc32c(&bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}

/// Every file with its content and its time.
fn snapshot(directory: &Path) -> Vec<(std::path::PathBuf, u32, std::time::SystemTime)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(snapshot(&path));
        } else {
            let sum = crc32c::crc32c(&fs::read(&path).expect("it is read"));
            let time = fs::metadata(&path)
                .and_then(|metadata| metadata.modified())
                .expect("a time");
            files.push((path, sum, time));
        }
    }
    files.sort();
    files
}
