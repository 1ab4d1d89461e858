//! Check 3: no acknowledgement leaves before its sync. The server runs under `strace`; every acknowledgement that it
//! writes to a socket must come after the return of an `fdatasync` that covers the event's record in a write-ahead file.
//! The id is looked for in both writes: records are stored as they are, and the answer's body names the event.

use crate::support::{eventually, left_out, server::Server, setting};
use serde_json::json;
use std::{
    collections::{HashMap, HashSet},
    path::Path,
    process::Command,
    sync::Arc,
    time::Duration,
};

/// Connections that publish at once, so that groups hold several records.
const CLIENTS: u64 = 16;
/// Every id begins with it, followed by [`DIGITS`] digits.
const MARK: &str = "proof-";
const DIGITS: usize = 7;
/// Bytes of a write that are shown: more than a group of [`CLIENTS`] such events takes, and less than what makes the
/// preallocation of files slow.
const SHOWN: &str = "32768";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledgement_leaves_before_its_sync() {
    prove(200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes: cargo xtask prove strace"]
async fn strace_of_ten_thousand_acknowledgements() {
    prove(setting("TRUNKLINE_ACKS", 10_000)).await;
}

async fn prove(acks: u64) {
    if Command::new("strace").arg("--version").output().is_err() {
        left_out("strace is not installed");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let output = directory.path().join("trace");
    let server = Arc::new(start(directory.path(), &output));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| tokio::spawn(publish(server.clone(), client, acks)))
        .collect();
    for client in clients {
        client.await.expect("a client ends well");
    }
    let pid = server.pid();
    let server = Arc::into_inner(server).expect("the clients are gone");
    assert_eq!(server.stop(), Some(0));
    let ended = format!("{pid} ");
    let trace = eventually("the trace is complete", Duration::from_secs(60), async || {
        let trace = std::fs::read_to_string(&output).expect("a trace");
        let last = trace.lines().rev().find(|line| line.starts_with(&ended))?;
        last.contains("+++ exited").then_some(trace)
    })
    .await;

    let proof = read(&trace);
    println!(
        "strace: {} acknowledgements, {} syncs, {} before their sync",
        proof.acknowledged.len(),
        proof.syncs,
        proof.violations.len()
    );
    assert_eq!(
        proof.violations,
        Vec::<String>::new(),
        "acknowledged before the sync returned"
    );
    assert_eq!(
        proof.acknowledged.len() as u64,
        acks,
        "not every acknowledgement was seen"
    );
    assert!(proof.syncs >= acks / CLIENTS, "{} syncs cannot cover them", proof.syncs);
}

fn start(directory: &Path, output: &Path) -> Server {
    let output = output.display().to_string();
    let calls = "trace=pwrite64,pwritev,pwritev2,fdatasync,fsync,write,writev,sendto,sendmsg";
    // -D leaves the server this process's child; -y shows what a descriptor stands for.
    let strace = [
        "strace",
        "-D",
        "-f",
        "-yy",
        "-s",
        SHOWN,
        "-e",
        calls,
        "-e",
        "signal=none",
        "-o",
        &output,
    ];
    Server::try_start_under(&strace, &directory.join("data"), &["--listen", "127.0.0.1:0"], &[])
        .unwrap_or_else(|said| panic!("the server did not start under strace:\n{said}"))
}

async fn publish(server: Arc<Server>, client: u64, acks: u64) {
    for number in (client..acks).step_by(CLIENTS as usize) {
        let id = format!("{MARK}{number:0DIGITS$}");
        server.publish("a.type", &id, json!({"n": number})).await;
    }
}

/// What a trace shows.
#[derive(Default)]
struct Proof {
    acknowledged: HashSet<String>,
    violations: Vec<String>,
    syncs: u64,
}

/// A call that has begun and not returned.
enum Begun {
    /// Of these events to a write-ahead file.
    Write { file: String, ids: Vec<String> },
    /// Of a file to which these events had been written since the sync before. (After one that failed they never count.)
    Sync(Vec<String>),
}

/// Reads a trace line by line: a call's arguments stand in the line of its beginning, its result in that of its return.
/// All threads have one tracer, so that the order of lines is an order of what happened.
fn read(trace: &str) -> Proof {
    let mut proof = Proof::default();
    let mut begun: HashMap<&str, Begun> = HashMap::new();
    let mut written: HashMap<String, Vec<String>> = HashMap::new();
    let mut durable: HashSet<String> = HashSet::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else {
            continue;
        };
        let call = call.trim_start();
        if !call.starts_with("<...") {
            if is_to_a_socket(call) {
                for id in ids(call) {
                    if !durable.contains(&id) {
                        proof.violations.push(id.clone());
                    }
                    proof.acknowledged.insert(id);
                }
            } else if let Some(call) = of_write_ahead(call, &mut written) {
                begun.insert(thread, call);
            }
        }
        if call.ends_with("<unfinished ...>") {
            continue;
        }
        let failed = call
            .rsplit_once(" = ")
            .is_none_or(|(_, result)| result.starts_with('-'));
        match begun.remove(thread) {
            Some(Begun::Write { file, ids }) if !failed => written.entry(file).or_default().extend(ids),
            Some(Begun::Sync(covered)) if !failed => {
                proof.syncs += 1;
                durable.extend(covered);
            }
            _ => {}
        }
    }
    proof
}

fn is_to_a_socket(call: &str) -> bool {
    let sends = ["write(", "writev(", "sendto(", "sendmsg("];
    sends.iter().any(|name| call.starts_with(name)) && descriptor(call).contains("TCP")
}

/// What the first argument's descriptor stands for.
fn descriptor(call: &str) -> &str {
    let arguments = call.split_once('<').map_or("", |(_, rest)| rest);
    arguments.split_once('>').map_or("", |(inside, _)| inside)
}

fn of_write_ahead(call: &str, written: &mut HashMap<String, Vec<String>>) -> Option<Begun> {
    let file = descriptor(call);
    file.ends_with(".frames").then_some(())?;
    let file = file.to_string();
    if call.starts_with("fdatasync(") || call.starts_with("fsync(") {
        return Some(Begun::Sync(written.remove(&file).unwrap_or_default()));
    }
    call.starts_with("pwrite")
        .then(|| Begun::Write { file, ids: ids(call) })
}

/// The ids that a line shows.
fn ids(line: &str) -> Vec<String> {
    let places = line.match_indices(MARK).map(|(at, _)| at);
    places
        .filter_map(|at| line.get(at..at + MARK.len() + DIGITS))
        .map(str::to_string)
        .collect()
}

/// A proof is worth what it can refuse.
#[test]
fn a_trace_with_an_early_acknowledgement_is_refused() {
    let write = r#"7 pwrite64(9</d/000000.frames>, "proof-0000001 proof-0000002", 4096, 4096) = 4096"#;
    let sync = "7 fdatasync(9</d/000000.frames>) = 0";
    let ack =
        r#"8 writev(12<TCP:[127.0.0.1:1->127.0.0.1:2]>, [{iov_base="{\"id\":\"proof-0000001\"}", iov_len=9}], 1) = 9"#;
    let judged = |lines: &[&str]| read(&lines.join("\n")).violations.len();
    assert_eq!(judged(&[write, sync, ack]), 0);
    assert_eq!(judged(&[write, ack, sync]), 1);
    assert_eq!(judged(&[sync, write, ack]), 1, "that sync does not cover it");
    let (begun, resumed) = (
        "7 fdatasync(9</d/000000.frames> <unfinished ...>",
        "7 <... fdatasync resumed>) = 0",
    );
    assert_eq!(judged(&[write, begun, ack, resumed]), 1);
    assert_eq!(judged(&[write, begun, resumed, ack]), 0);
    let failed = "7 fdatasync(9</d/000000.frames>) = -1 EIO (Input/output error)";
    assert_eq!(judged(&[write, failed, ack]), 1);
}
