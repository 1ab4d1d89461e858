//! Check 11: a volume that fills up. Publishing is refused with 507, deliveries go on, publishing works again when space
//! returns, without a restart; and everything that was acknowledged is there afterwards.

use crate::support::{
    eventually, left_out,
    receiver::{Receiver, Reply},
    server::{Answer, Server},
    volume::Volume,
};
use serde_json::json;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
/// Room for the write-ahead files of [`ENVIRONMENT`], 80 MiB each, and as much again.
const VOLUME_MIB: u64 = 768;
/// The least that is accepted, so that the volume may be small.
const WRITE_AHEAD: (&str, &str) = ("TRUNKLINE_JOURNAL_WRITE_AHEAD", "256MiB");

fn volume() -> Option<Volume> {
    match Volume::mount(VOLUME_MIB) {
        Ok(volume) => Some(volume),
        Err(reason) => {
            left_out(&format!("mounting a small volume is not permitted here: {reason}"));
            None
        }
    }
}

fn start(volume: &Volume, more: &[(&str, &str)]) -> Server {
    let environment: Vec<_> = [WRITE_AHEAD].iter().chain(more).copied().collect();
    Server::start_with(&volume.data_dir(), &["--listen", "127.0.0.1:0"], &environment)
}

/// Offers one event of this many bytes.
async fn offer(server: &Server, id: &str, bytes: usize) -> Answer {
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-type", "fill"),
        ("ce-source", "/disk"),
        ("ce-id", id),
        ("content-type", "application/octet-stream"),
    ];
    let path = "/v1/buses/default/events";
    server.send("POST", path, &headers, vec![b'x'; bytes]).await
}

async fn publishes_again(server: &Server, id: &str) {
    eventually("publishing works again", LIMIT, async || {
        (offer(server, id, 100).await.status == 200).then_some(())
    })
    .await;
}

fn assert_refused_for_space(answer: &Answer) {
    assert_eq!(answer.status, 507, "{}", answer.json());
    let problem = answer.json();
    assert_eq!(problem["code"], "out_of_space", "{problem}");
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert!(
        answer.headers.contains_key("retry-after"),
        "no Retry-After: {:?}",
        answer.headers
    );
}

#[tokio::test]
async fn below_the_mark_publishing_is_refused_while_deliveries_go_on_and_it_resumes_by_itself() {
    let Some(volume) = volume() else { return };
    let receiver = Receiver::start(|_| Reply::Status(503)).await;
    let server = start(&volume, &[]);
    let retry = json!({"delivery": {"retry": {"schedule": ["0s", "50ms"]}}});
    server.subscribe("sink", &receiver, retry).await;
    for number in 0..100 {
        assert_eq!(offer(&server, &format!("before-{number}"), 1_000).await.status, 200);
    }

    // Three of a hundred are free: the publish mark is five.
    let ballast = volume.fill((VOLUME_MIB << 20) * 3 / 100);
    assert_refused_for_space(&offer(&server, "refused", 100).await);
    assert_eq!(
        server.send("GET", "/readyz", &[], "").await.status,
        200,
        "what can be delivered still is"
    );
    receiver.decide(|_| Reply::Status(204));
    receiver.took(100).await;

    ballast.remove();
    publishes_again(&server, "refused").await;
    receiver.took(101).await;
    assert_eq!(server.stop(), Some(0));
    let server = start(&volume, &[]);
    for number in 0..100 {
        server.get(&format!("/v1/buses/default/events/before-{number}")).await;
    }
}

#[tokio::test]
async fn with_not_a_byte_free_dead_letters_and_parked_deliveries_wait_and_nothing_is_lost() {
    let Some(volume) = volume() else { return };
    // Most are refused for good, one of twelve is to wait longer than this test takes: so few failures in a row that the
    // breaker stays closed, every event gets its attempt, and no parked one comes due.
    let receiver = Receiver::start(|delivery| {
        let number: u32 = delivery.header("ce-id").parse().expect("our id");
        match number % 12 {
            1 => Reply::RetryAfter(429, 3_600),
            _ => Reply::Status(422),
        }
    })
    .await;
    let server = start(&volume, &[]);
    server.subscribe("sink", &receiver, json!({})).await;
    server.run(&["subscription", "pause", "sink"]);
    // So much that the flusher works on it, and that the store does not fit what its file has left over.
    for number in 0..600 {
        assert_eq!(offer(&server, &number.to_string(), 40_000).await.status, 200);
    }
    server.run(&["subscription", "resume", "sink"]);
    receiver.saw(50).await;
    let ballast = volume.fill(0);
    assert_refused_for_space(&offer(&server, "1001", 100).await);
    receiver.saw(150).await;

    ballast.remove();
    publishes_again(&server, "1000").await;
    eventually("each event is dead or parked", LIMIT, async || {
        let status = server.status("sink").await;
        (status["dead_letters"] == 551 && status["parked"] == 50).then_some(())
    })
    .await;
    server.kill();
    let server = start(&volume, &[]);
    for number in 0..600 {
        server.get(&format!("/v1/buses/default/events/{number}")).await;
    }
    let status = server.status("sink").await;
    assert_eq!(
        (status["dead_letters"].as_u64(), status["parked"].as_u64()),
        (Some(551), Some(50))
    );
}

/// Without a mark the journal itself meets the end of the volume: when it takes a new write-ahead file, and when it flushes.
#[tokio::test]
async fn a_journal_that_meets_the_end_of_the_volume_acknowledges_nothing_that_it_cannot_keep() {
    let Some(volume) = volume() else { return };
    let no_mark = [("TRUNKLINE_JOURNAL_PUBLISH_MARK", "0%")];
    let server = start(&volume, &no_mark);
    let mut acknowledged = Vec::new();
    for number in 0..8 {
        let id = format!("before-{number}");
        assert_eq!(offer(&server, &id, 1 << 20).await.status, 200);
        acknowledged.push(id);
    }
    let ballast = volume.fill(0);
    let mut refused = 0;
    for number in 0..400 {
        let id = format!("full-{number}");
        match offer(&server, &id, 1 << 20).await {
            answer if answer.status == 200 => acknowledged.push(id),
            answer => {
                assert_refused_for_space(&answer);
                refused += 1;
            }
        }
        if refused == 5 {
            break;
        }
    }
    assert_eq!(refused, 5, "400 MiB were acknowledged on a full volume");
    // The process ends while the volume is full; a start may refuse, but only say so.
    server.kill();
    let environment = [WRITE_AHEAD, no_mark[0]];
    if let Err(said) = Server::try_start(&volume.data_dir(), &["--listen", "127.0.0.1:0"], &environment) {
        assert!(said.contains("space"), "{said}");
    }
    ballast.remove();
    let server = start(&volume, &[]);
    for id in &acknowledged {
        server.get(&format!("/v1/buses/default/events/{id}")).await;
    }
    publishes_again(&server, "after").await;
}
