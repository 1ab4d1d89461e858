//! Check 53: whatever arrives, the answer is never a 5xx, and the server serves on. And check 55: who holds a connection
//! without using it is cut.

use crate::harness::{Answer, Node, PATIENCE, raw, start};
use std::time::Duration;

/// What hostile requests may make the process grow by, this test's own buffers included.
const RESIDENT_GROWTH_MAX: u64 = 200 << 20;

/// Bytes of this process in memory; 0 where the system does not say.
fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.map(|line| line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number"));
    kibibytes.map_or(0, |kibibytes| kibibytes << 10)
}

/// Watches the process's memory during a test.
struct Memory(u64);

impl Memory {
    fn now() -> Memory {
        Memory(resident_bytes())
    }

    fn assert_bounded(&self, after: &str) {
        let growth = resident_bytes().saturating_sub(self.0);
        assert!(growth < RESIDENT_GROWTH_MAX, "{} MiB more after {after}", growth >> 20);
    }
}
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn check(node: &Node, what: &str, bytes: &[u8]) {
    let answer = raw(node.address, bytes).await;
    // Not to answer at all, or to close, is fine; to fail is not.
    for answer in String::from_utf8_lossy(&answer)
        .lines()
        .filter(|line| line.starts_with("HTTP/1.1 "))
    {
        assert!(!answer.starts_with("HTTP/1.1 5"), "{what}: {answer}");
    }
    let health = tokio::time::timeout(PATIENCE, node.get("/healthz")).await;
    assert_eq!(health.map(|answer| answer.status).ok(), Some(200), "after {what}");
}

fn post(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /v1/buses/default/events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

const STRUCTURED: &str = "content-type: application/cloudevents+json\r\n";
const BATCH: &str = "content-type: application/cloudevents-batch+json\r\n";
const BINARY: &str = "ce-specversion: 1.0\r\nce-id: 1\r\nce-source: /s\r\nce-type: t\r\n";

#[tokio::test]
async fn hostile_bodies_are_refused_and_harm_nothing() {
    let node = start().await;
    let memory = Memory::now();
    let deep = |open: &str| open.repeat(1_000_000 / open.len());
    let head = r#"{"specversion":"1.0","id":"1","source":"/","type":"t","#;
    for (what, headers, body) in [
        ("an array a million deep", STRUCTURED, deep("[").into_bytes()),
        ("objects a million deep", STRUCTURED, deep("{\"a\":").into_bytes()),
        (
            "deep data",
            STRUCTURED,
            format!("{head}\"data\":{}", deep("[")).into_bytes(),
        ),
        (
            "deep data that is closed",
            STRUCTURED,
            format!("{head}\"data\":{}{}}}", "[".repeat(200), "]".repeat(200)).into_bytes(),
        ),
        ("a deep batch", BATCH, deep("[{\"a\":[").into_bytes()),
        (
            "repeated members",
            STRUCTURED,
            format!("{head}\"id\":\"2\"}}").into_bytes(),
        ),
        (
            "many members",
            STRUCTURED,
            format!(
                "{head}{}\"z\":1}}",
                (0..50_000).map(|n| format!("\"a{n}\":1,")).collect::<String>()
            )
            .into_bytes(),
        ),
        (
            "bad UTF-8",
            STRUCTURED,
            [head.as_bytes(), b"\"subject\":\"\xff\xfe\"}"].concat(),
        ),
        (
            "a NUL in an attribute",
            STRUCTURED,
            format!("{head}\"subject\":\"a\\u0000b\"}}").into_bytes(),
        ),
        (
            "a raw NUL",
            STRUCTURED,
            [head.as_bytes(), b"\"subject\":\"\x00\"}"].concat(),
        ),
        (
            "a lone surrogate",
            STRUCTURED,
            format!("{head}\"subject\":\"\\ud800\"}}").into_bytes(),
        ),
        (
            "a huge number",
            STRUCTURED,
            format!("{head}\"ext\":{}}}", "9".repeat(100_000)).into_bytes(),
        ),
        (
            "a number that is infinite",
            STRUCTURED,
            format!("{head}\"data\":1e999999999}}").into_bytes(),
        ),
        (
            "broken base64",
            STRUCTURED,
            format!("{head}\"data_base64\":\"!!!!\"}}").into_bytes(),
        ),
        ("an empty body", STRUCTURED, Vec::new()),
        (
            "gzip that is none",
            "content-encoding: gzip\r\ncontent-type: application/cloudevents+json\r\n",
            b"\x1f\x8b\x08junk".to_vec(),
        ),
        (
            "JSON data that is none",
            "ce-specversion: 1.0\r\nce-id: 1\r\nce-source: /s\r\nce-type: t\r\ncontent-type: application/json\r\n",
            b"{\xff".to_vec(),
        ),
    ] {
        check(&node, what, &post(headers, &body)).await;
        memory.assert_bounded(what);
    }
}

#[tokio::test]
async fn hostile_heads_are_refused_and_harm_nothing() {
    let node = start().await;
    let memory = Memory::now();
    let many: String = (0..10_000).map(|n| format!("x-{n}: y\r\n")).collect();
    let long = format!("x: {}\r\n", "y".repeat(1 << 20));
    let path = "x".repeat(1 << 20);
    let get = |rest: &str| {
        format!("GET /v1/buses HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{rest}\r\n").into_bytes()
    };
    for (what, bytes) in [
        ("ten thousand headers", get(&many)),
        ("a header of 1 MiB", get(&long)),
        ("a path of 1 MiB", format!("GET /{path} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes()),
        ("a query of 60 KiB", format!("GET /v1/buses?{} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", "a&".repeat(30_000)).into_bytes()),
        ("a body of 10 GB that is announced", format!("POST /v1/buses/default/events HTTP/1.1\r\nhost: localhost\r\n{BINARY}content-length: 10000000000\r\n\r\nx").into_bytes()),
        ("a body beyond u64", format!("POST /v1/buses/default/events HTTP/1.1\r\nhost: localhost\r\n{BINARY}content-length: 99999999999999999999999\r\n\r\nx").into_bytes()),
        ("two lengths", format!("POST /v1/buses/default/events HTTP/1.1\r\nhost: localhost\r\n{BINARY}content-length: 1\r\ncontent-length: 2\r\n\r\nxy").into_bytes()),
        ("a negative length", format!("POST /v1/buses/default/events HTTP/1.1\r\nhost: localhost\r\n{BINARY}content-length: -1\r\n\r\n").into_bytes()),
        ("a length and chunks", format!("POST /v1/buses/default/events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{BINARY}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n").into_bytes()),
        ("a chunk size that overflows", format!("POST /v1/buses/default/events HTTP/1.1\r\nhost: localhost\r\n{BINARY}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nx").into_bytes()),
        ("a chunk size that is none", format!("POST /v1/buses/default/events HTTP/1.1\r\nhost: localhost\r\n{BINARY}transfer-encoding: chunked\r\n\r\nzz\r\nx").into_bytes()),
        ("an endless chunk extension", format!("POST /v1/buses/default/events HTTP/1.1\r\nhost: localhost\r\n{BINARY}transfer-encoding: chunked\r\n\r\n1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(1 << 20)).into_bytes()),
        ("an unknown transfer coding", format!("POST /v1/buses/default/events HTTP/1.1\r\nhost: localhost\r\n{BINARY}transfer-encoding: gzip\r\n\r\nx").into_bytes()),
        ("a NUL in a header", get("x: a\0b\r\n")),
        ("bytes beyond ASCII in a header", [b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nce-id: \xff\xfe\r\n\r\n".as_slice()].concat()),
        ("a folded header", get("x: a\r\n b\r\n")),
        ("no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec()),
        ("another version", b"GET / HTTP/9.9\r\nhost: localhost\r\n\r\n".to_vec()),
        ("CONNECT", b"CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n".to_vec()),
        ("an absolute address elsewhere", b"GET http://evil.example/v1/buses HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".to_vec()),
        ("an asterisk", b"OPTIONS * HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".to_vec()),
        ("half a request that ends", b"GET / HT".to_vec()),
        ("a broken HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage that is no frame at all".to_vec()),
    ] {
        // A half-sent request would only wait for its rest.
        let mut stream = TcpStream::connect(node.address).await.expect("it listens");
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "{what}: neither answered nor closed");
        if let Some(answer) = Answer::parse(&answer) {
            assert!((200..500).contains(&answer.status), "{what}: {answer}");
        }
        let health = tokio::time::timeout(PATIENCE, node.get("/healthz")).await;
        assert_eq!(health.map(|answer| answer.status).ok(), Some(200), "after {what}");
        memory.assert_bounded(what);
    }
}

/// What is no HTTP, or too much of it, is refused below the doors: the status is all that is said. docs/errors/README.md tells so.
#[tokio::test]
async fn what_cannot_be_read_as_a_request_gets_a_bare_status_and_the_connection_closes() {
    let node = start().await;
    let long = "y".repeat(1 << 20);
    for (what, status, bytes) in [
        (
            "a header too long",
            431,
            format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {long}\r\n\r\n"),
        ),
        (
            "a path too long",
            414,
            format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", &long[..70_000]),
        ),
        (
            "too many headers",
            431,
            format!("GET / HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x: y\r\n".repeat(10_000)),
        ),
        ("no method", 400, "??? / HTTP/1.1\r\n\r\n".to_owned()),
        (
            "another version",
            400,
            "GET / HTTP/9.9\r\nhost: localhost\r\n\r\n".to_owned(),
        ),
        (
            "a header without a colon",
            400,
            "GET / HTTP/1.1\r\nhost localhost\r\n\r\n".to_owned(),
        ),
    ] {
        let answer = Answer::parse(&raw(node.address, bytes.as_bytes()).await).unwrap_or_else(|| panic!("{what}"));
        assert_eq!((answer.status, answer.body.len()), (status, 0), "{what}: {answer}");
        assert_eq!(answer.header("connection"), Some("close"), "{what}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn connections_that_trickle_are_cut_within_a_minute() {
    let node = start().await;
    let body =
        format!("POST /v1/buses/default/events HTTP/1.1\r\nhost: localhost\r\n{BINARY}content-length: 10\r\n\r\nabc");
    for (sent, told) in [
        ("", ""),
        ("GET / HT", ""),
        ("GET /healthz HTTP/1.1\r\nhost: local", ""),
        ("PRI * HTTP/2.0", ""),
        (&body, "HTTP/1.1 408 "),
    ] {
        let before = tokio::time::Instant::now();
        let mut stream = TcpStream::connect(node.address).await.expect("it listens");
        stream.write_all(sent.as_bytes()).await.expect("it is open");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(
            before.elapsed() <= Duration::from_secs(60),
            "{sent:?} was held for {:?}",
            before.elapsed()
        );
        assert!(
            String::from_utf8_lossy(&answer).starts_with(told),
            "{sent:?}: {}",
            String::from_utf8_lossy(&answer)
        );
    }
}
