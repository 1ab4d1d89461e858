//! Check 55: many connections that are held without being used are cut, and nobody else waits for them. Check 59: nothing that
//! could become a header of its own comes in.

use crate::harness::{Node, event, start};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{Instant, sleep},
};

/// No connection is held longer by who does not use it.
const HELD_MAX: Duration = Duration::from_secs(60);
/// Clients at a time.
const CLIENTS: usize = 300;

/// Sends the bytes, then a header line every five seconds, until the server ends it; how long that took.
async fn trickle(mut stream: TcpStream, sent: &'static str) -> Duration {
    let begun = Instant::now();
    stream.write_all(sent.as_bytes()).await.expect("it is open");
    let mut answer = [0; 1_024];
    while begun.elapsed() < 2 * HELD_MAX {
        tokio::select! {
            read = stream.read(&mut answer) => if !matches!(read, Ok(1..)) {
                break;
            },
            () = sleep(Duration::from_secs(5)) => if stream.write_all(b"x: y\r\n").await.is_err() {
                break;
            },
        }
    }
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn check_55_three_hundred_clients_that_trickle_are_cut_and_others_are_served_meanwhile() {
    let node = start().await;
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let stream = TcpStream::connect(node.address).await.expect("it listens");
        let sent = [
            "GET /healthz HTTP/1.1\r\nhost: localhost\r\n",
            "POST /v1/buses/default/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 900000\r\n\r\n",
        ];
        clients.spawn(trickle(stream, sent[number % 2]));
    }
    assert_eq!(node.get("/healthz").await.status, 200, "while they hold on");
    while let Some(held) = clients.join_next().await {
        let held = held.expect("no client panics");
        assert!(held <= HELD_MAX, "a client was held for {held:?}");
    }
    assert_eq!(node.publish(event("after")).await.status, 200);
}

/// A client whose window is small.
async fn narrow(node: &Node) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("it can be small");
    socket.connect(node.address).await.expect("it listens")
}

#[tokio::test(start_paused = true)]
async fn check_55_clients_that_ask_and_do_not_read_are_cut() {
    /// Their answers are far more than the sockets between hold.
    const REQUESTS: usize = 4_000;
    let node = start().await;
    let requests = "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(REQUESTS);
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut stream = narrow(&node).await;
        // Cut already while it asks, or later: both are fine.
        let _ = stream.write_all(requests.as_bytes()).await;
        clients.push(stream);
    }
    sleep(HELD_MAX).await;
    for mut client in clients {
        let mut answers = Vec::new();
        let _ = client.read_to_end(&mut answers).await;
        let answers = String::from_utf8_lossy(&answers).matches("HTTP/1.1 200").count();
        assert!(answers < REQUESTS, "it was served to the end");
    }
    assert_eq!(node.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn check_59_no_control_character_comes_in_with_an_event() {
    let node = start().await;
    node.subscribe("all", json!({})).await;
    for (name, value) in [
        ("id", "1\r\nx-evil: 1"),
        ("source", "/s\r\nx-evil: 1"),
        ("type", "t\nx-evil: 1"),
        ("subject", "a\rb"),
        ("subject", "a\0b"),
        ("datacontenttype", "text/plain\r\nx-evil: 1"),
        ("dataschema", "/a\r\nx-evil: 1"),
        ("ext", "a\r\nx-evil: 1"),
        ("ext\r\nx-evil", "1"),
        ("ext\0", "1"),
        ("ext:", "1"),
    ] {
        let mut bad = event("bad");
        bad[name] = Value::from(value);
        let answer = node.publish(bad).await;
        assert_eq!(answer.status, 400, "{name:?}: {value:?}: {answer}");
    }
    for line in [
        "ce-subject: a%0D%0Ax-evil: 1",
        "ce-subject: a%00b",
        "ce-ext: a%0Ab",
        "ce-ext%0D%0Ax-evil: 1",
    ] {
        let headers = ["ce-specversion: 1.0", "ce-id: 1", "ce-source: /s", "ce-type: t", line];
        let answer = node.ask("POST", "/v1/buses/default/events", &headers, "").await;
        assert_eq!(answer.status, 400, "{line:?}: {answer}");
    }
    assert_eq!(node.publish(event("good")).await.status, 200);
    node.until("/v1/buses/default/events/good", |story| {
        story["subscriptions"][0]["state"] == "delivered"
    })
    .await;
    let seen = node.endpoint.events.lock().expect("no test panics while holding it");
    assert_eq!(seen.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["good"]);
}

#[tokio::test]
async fn check_59_no_header_of_a_target_holds_another_one() {
    const PATH: &str = "/v1/buses/default/connections/evil";
    let node = start().await;
    for (name, value) in [
        ("X-A", "b\r\nX-Evil: 1"),
        ("X-A", "b\nX-Evil: 1"),
        ("X-A", "b\0"),
        ("X-A\r\nX-Evil", "1"),
        ("X-A: 1\nX-Evil", "1"),
        ("X-A\0", "1"),
    ] {
        let config = json!({"url": "http://127.0.0.1:9/", "headers": {name: value}});
        let answer = node.put(PATH, json!({"provider": "webhook", "config": config})).await;
        assert_eq!(
            answer.json()["code"],
            "resource_invalid",
            "{name:?}: {value:?}: {answer}"
        );
        assert_eq!(node.get(PATH).await.status, 404, "nothing of it is kept");
    }
}
