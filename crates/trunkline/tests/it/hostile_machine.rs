//! Check 12: a machine that refuses: no file may be opened any more, the volume turns read-only, there is no memory. Whatever
//! the server then answers or dies of, what it acknowledged is there afterwards, and it serves again when the machine does.

use crate::support::{
    block_volume::BlockVolume, eventually, memory_group::MemoryGroup, receiver::Receiver, server::Server,
};
use serde_json::json;
use std::{path::Path, sync::Arc, time::Duration};
use tokio::{net::TcpStream, task::JoinSet};

const LIMIT: Duration = Duration::from_secs(60);
const LISTEN: &[&str] = &["--listen", "127.0.0.1:0"];
/// The documented code of a poisoned journal.
const POISONED: i32 = 70;
/// As `ulimit -n 64`.
const FILES: &str = "--nofile=64:64";
/// More connections than files may be open.
const CONNECTIONS: usize = 100;
/// Large events, so that few of them make the journal write its segments.
const EVENT_BYTES: usize = 512 << 10;
/// What the server may have besides what it had: less than the events of the last round.
const MEMORY: u64 = 32 << 20;
/// Twice as many events are offered at once in every round.
const ROUNDS: u32 = 9;

#[derive(Debug, PartialEq)]
enum Offered {
    Acknowledged,
    Refused(u16, serde_json::Value),
    /// No answer: it may be found later or not.
    Unknown,
}

async fn offer(server: &Server, id: &str, bytes: usize) -> Offered {
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-type", "a.type"),
        ("ce-source", "/test"),
        ("ce-id", id),
        ("content-type", "application/octet-stream"),
    ];
    let path = "/v1/buses/default/events";
    match server.try_send("POST", path, &headers, vec![b'x'; bytes]).await {
        Ok(answer) if answer.status == 200 => Offered::Acknowledged,
        Ok(answer) => Offered::Refused(answer.status, answer.json()),
        Err(_) => Offered::Unknown,
    }
}

async fn assert_all_there(server: &Server, acknowledged: &[String]) {
    for id in acknowledged {
        server.get(&format!("/v1/buses/default/events/{id}")).await;
    }
}

/// Starts again, reads what was acknowledged, takes and delivers more.
async fn serves_again(data_dir: &Path, acknowledged: &[String], receiver: &Receiver) {
    let server = Server::start(data_dir);
    assert_all_there(&server, acknowledged).await;
    server.publish("a.type", "after", json!({})).await;
    eventually("all of it is delivered", LIMIT, async || {
        let seen: std::collections::HashSet<_> = receiver
            .deliveries()
            .iter()
            .map(|delivery| delivery.header("ce-id").to_string())
            .collect();
        let all = acknowledged.iter().all(|id| seen.contains(id));
        (all && seen.contains("after")).then_some(())
    })
    .await;
    assert_eq!(server.stop(), Some(0));
}

#[tokio::test]
async fn without_a_file_to_open_nothing_acknowledged_is_lost_and_it_recovers_when_connections_close_check_12() {
    let directory = tempfile::tempdir().expect("a directory");
    let data_dir = directory.path().join("data");
    let receiver = Receiver::healthy().await;
    let server = Server::try_start_under(&["prlimit", FILES], &data_dir, LISTEN, &[])
        .unwrap_or_else(|said| panic!("it did not start with 64 files:\n{said}"));
    server.subscribe("sink", &receiver, json!({})).await;
    let mut acknowledged = Vec::new();
    // From here on there is a connection that publishes.
    assert_eq!(offer(&server, "before", 100).await, Offered::Acknowledged);
    acknowledged.push("before".to_string());

    let address = server.url().trim_start_matches("http://").to_string();
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS {
        idle.push(TcpStream::connect(&address).await.expect("the backlog takes it"));
    }
    eventually("no file can be opened", LIMIT, async || {
        server.log().contains("Too many open files").then_some(())
    })
    .await;
    let mut others = Vec::new();
    for number in 0..200 {
        let id = format!("under-{number}");
        match offer(&server, &id, EVENT_BYTES).await {
            Offered::Acknowledged => acknowledged.push(id),
            other => others.push(other),
        }
    }
    println!("{} acknowledged, {} refused", acknowledged.len(), others.len());
    assert!(!others.is_empty(), "more was offered than may wait for segments");
    for other in &others {
        let Offered::Refused(503, problem) = other else {
            panic!("a limit of open files is passing trouble of the server's: {other:?}");
        };
        assert_eq!(problem["code"], "resources_exhausted", "{problem}");
    }
    let accepting = server.log().matches("accepting a connection failed").count();
    assert!(
        accepting <= CONNECTIONS,
        "said once until one ends, not at every try: {accepting}"
    );
    let flushing = server.log().matches("flushing is tried again").count();
    assert_eq!(flushing, 1, "the journal itself met the limit, and said so once");

    drop(idle);
    eventually("publishing works again", LIMIT, async || {
        (offer(&server, "again", 100).await == Offered::Acknowledged).then_some(())
    })
    .await;
    acknowledged.push("again".to_string());
    assert_all_there(&server, &acknowledged).await;
    server.kill();
    serves_again(&data_dir, &acknowledged, &receiver).await;
}

#[tokio::test]
#[ignore = "needs a loop device, which not every machine with tests has: cargo xtask prove read-only"]
async fn a_volume_that_turns_read_only_under_load_ends_publishing_and_loses_nothing_acknowledged_check_12() {
    let volume = BlockVolume::mount(768).expect("this needs the right to mount a loop device");
    let receiver = Receiver::healthy().await;
    let write_ahead = [("TRUNKLINE_JOURNAL_WRITE_AHEAD", "256MiB")];
    let server = Server::start_with(&volume.data_dir(), LISTEN, &write_ahead);
    server.subscribe("sink", &receiver, json!({})).await;
    let mut acknowledged = Vec::new();
    for number in 0.. {
        if number == 100 {
            volume.turn_read_only();
        }
        let id = format!("event-{number}");
        match offer(&server, &id, 10_000).await {
            Offered::Acknowledged => acknowledged.push(id),
            Offered::Refused(status, problem) => {
                assert_eq!(
                    (status, &problem["code"]),
                    (503, &json!("journal_poisoned")),
                    "{problem}"
                );
                break;
            }
            Offered::Unknown => panic!("the first refusal has an answer:\n{}", server.log()),
        }
    }
    assert_eq!(acknowledged.len(), 100, "no acknowledgement without a sync");
    eventually("the diagnostics name the reason", LIMIT, async || {
        server.log().contains("Read-only file system").then_some(())
    })
    .await;
    assert_eq!(server.wait(), Some(POISONED));

    let said = Server::try_start(&volume.data_dir(), LISTEN, &write_ahead).err();
    let said = said.expect("nothing can be served from it");
    assert!(said.contains("Read-only file system"), "{said}");

    volume.repair();
    serves_again(&volume.data_dir(), &acknowledged, &receiver).await;
}

#[tokio::test]
#[ignore = "needs the right to limit the memory of a process, which not every machine with tests gives: cargo xtask prove memory"]
async fn without_memory_the_kernel_may_end_it_and_nothing_acknowledged_is_lost_check_12() {
    let directory = tempfile::tempdir().expect("a directory");
    let data_dir = directory.path().join("data");
    let receiver = Receiver::healthy().await;
    let server = Arc::new(Server::start(&data_dir));
    server.subscribe("sink", &receiver, json!({})).await;
    let mut acknowledged = Vec::new();
    for number in 0..20 {
        let id = format!("before-{number}");
        assert_eq!(offer(&server, &id, 1_000).await, Offered::Acknowledged);
        acknowledged.push(id);
    }
    let _group = MemoryGroup::around(server.pid(), MEMORY).expect("this needs the right to make a control group");
    let mut unanswered = 0;
    for round in 0..ROUNDS {
        let (more, without) = offer_many(&server, round).await;
        acknowledged.extend(more);
        unanswered += without;
        if unanswered > 0 {
            break;
        }
    }
    println!("{} acknowledged, {unanswered} without an answer", acknowledged.len());
    assert!(unanswered > 0, "the limit was never met");
    let server = Arc::into_inner(server).expect("every offer has ended");
    assert_eq!(server.wait(), None, "the kernel ended it");
    serves_again(&data_dir, &acknowledged, &receiver).await;
}

/// What was acknowledged of many large events offered at once, and how many had no answer.
async fn offer_many(server: &Arc<Server>, round: u32) -> (Vec<String>, usize) {
    let mut offers = JoinSet::new();
    for number in 0..1 << round {
        let server = Arc::clone(server);
        offers.spawn(async move {
            let id = format!("without-{round}-{number}");
            let offered = offer(&server, &id, EVENT_BYTES).await;
            (id, offered)
        });
    }
    let (mut acknowledged, mut unanswered) = (Vec::new(), 0);
    for (id, offered) in offers.join_all().await {
        match offered {
            Offered::Acknowledged => acknowledged.push(id),
            Offered::Refused(..) => {}
            Offered::Unknown => unanswered += 1,
        }
    }
    (acknowledged, unanswered)
}
