//! The server: both protocols, TLS with reloading, several addresses, limits, draining.

use crate::harness::{self, Answer, PATIENCE, raw, start, start_with};
use bytes::Bytes;
use doors::server::{ServerSettings, TlsFiles};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/tls")
        .join(name)
}

/// Connects by TLS, trusting one certificate; gives the connection and the protocol chosen.
async fn tls(
    address: SocketAddr,
    trusted: &str,
    protocols: &[&str],
) -> std::io::Result<(impl AsyncRead + AsyncWrite + Unpin, String)> {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(file(trusted)).expect("a PEM file"))
        .expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?;
    let chosen = stream
        .get_ref()
        .1
        .alpn_protocol()
        .map(|name| String::from_utf8_lossy(name).into_owned());
    Ok((stream, chosen.unwrap_or_default()))
}

async fn over_http2(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Vec<(u16, Bytes)> {
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.expect("it speaks HTTP/2");
    tokio::spawn(connection);
    let mut answers = Vec::new();
    for path in ["/healthz", "/v1/buses"] {
        let request = http::Request::get(format!("http://localhost{path}")).body(Full::<Bytes>::default());
        let answer = sender
            .send_request(request.expect("a request"))
            .await
            .expect("an answer");
        let status = answer.status().as_u16();
        answers.push((status, answer.into_body().collect().await.expect("a body").to_bytes()));
    }
    answers
}

#[tokio::test]
async fn http_2_is_spoken_with_prior_knowledge() {
    let node = start().await;
    let stream = TcpStream::connect(node.address).await.expect("it listens");
    for (status, body) in over_http2(stream).await {
        assert_eq!(status, 200, "{body:?}");
    }
}

#[tokio::test]
async fn tls_speaks_both_protocols_and_takes_a_new_certificate_without_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = TlsFiles {
        certificates: directory.path().join("c.pem"),
        key: directory.path().join("k.pem"),
    };
    let install = |name: &str| {
        std::fs::copy(file(&format!("{name}.pem")), &files.certificates).expect("it can be written");
        std::fs::copy(file(&format!("{name}.key")), &files.key).expect("it can be written");
    };
    install("one");
    let listen = vec![([127, 0, 0, 1], 0).into()];
    let node = start_with(ServerSettings {
        listen,
        tls: Some(files.clone()),
        ..ServerSettings::default()
    })
    .await;

    let (stream, chosen) = tls(node.address, "one.pem", &["h2", "http/1.1"])
        .await
        .expect("it is trusted");
    assert_eq!(chosen, "h2");
    assert!(over_http2(stream).await.iter().all(|(status, _)| *status == 200));
    let (mut stream, chosen) = tls(node.address, "one.pem", &["http/1.1"])
        .await
        .expect("it is trusted");
    assert_eq!(chosen, "http/1.1");
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await
        .expect("it is open");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("it closes in order");
    assert_eq!(Answer::parse(&answer).map(|answer| answer.status), Some(200));

    let reloader = node
        .serving
        .as_ref()
        .and_then(|serving| serving.certificate_reloader())
        .expect("there is TLS");
    std::fs::write(&files.certificates, "nonsense").expect("it can be written");
    assert!(reloader.reload().is_err());
    assert!(tls(node.address, "one.pem", &[]).await.is_ok(), "the old one stays");
    install("two");
    reloader.reload().expect("a good pair");
    assert!(tls(node.address, "one.pem", &[]).await.is_err());
    assert!(tls(node.address, "two.pem", &[]).await.is_ok());
}

#[tokio::test]
async fn several_addresses_serve_and_one_of_them_may_be_ipv6() {
    let listen = vec![([127, 0, 0, 1], 0).into(), "[::1]:0".parse().expect("an address")];
    let node = start_with(ServerSettings {
        listen,
        ..ServerSettings::default()
    })
    .await;
    let addresses = node.serving.as_ref().expect("it serves").addresses().to_vec();
    for address in addresses {
        let request = format!("GET /v1/buses HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        let answer = Answer::parse(&raw(address, request.as_bytes()).await).expect("an answer");
        assert_eq!(answer.status, 200, "{address}: {answer}");
    }
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let node = start().await;
    let settings = ServerSettings {
        listen: vec![node.address],
        ..ServerSettings::default()
    };
    let error = doors::server::Server::bind(settings).await.err().expect("it is taken");
    assert!(error.to_string().contains(&node.address.to_string()), "{error}");
}

#[tokio::test]
async fn while_it_drains_requests_get_503_and_the_connection_closes() {
    let mut node = start().await;
    let serving = node.serving.take().expect("it serves");
    let mut kept = TcpStream::connect(node.address).await.expect("it listens");
    kept.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .expect("it is open");
    let mut byte = [0; 1];
    kept.read_exact(&mut byte).await.expect("the connection is served");

    serving.drain();
    assert!(serving.settled(PATIENCE).await);
    let answer = node.get("/v1/buses").await;
    answer.problem(503, "shutting_down");
    assert_eq!(answer.header("connection"), Some("close"), "{answer}");
    assert!(answer.header("retry-after").is_some());
    assert_eq!(node.get("/healthz").await.status, 200, "the process lives");

    kept.write_all(b"GET /v1/buses HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .expect("it is open");
    let mut rest = Vec::new();
    kept.read_to_end(&mut rest).await.expect("the server closes it");
    assert!(String::from_utf8_lossy(&rest).contains("503 Service Unavailable"));

    serving.close(PATIENCE).await;
    assert!(TcpStream::connect(node.address).await.is_err(), "the port is free");
}

#[tokio::test]
async fn closing_cuts_what_does_not_end_by_itself() {
    let mut node = start().await;
    let mut hanging = TcpStream::connect(node.address).await.expect("it listens");
    let unfinished = b"POST /v1/buses/default/events HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nabc";
    hanging.write_all(unfinished).await.expect("it is open");
    let serving = node.serving.take().expect("it serves");
    assert_eq!(node.get("/healthz").await.status, 200);
    serving.close(Duration::from_millis(50)).await;
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, hanging.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the connection was left open");
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_for_a_place() {
    let settings = ServerSettings {
        listen: vec![([127, 0, 0, 1], 0).into()],
        connections_max: 1,
        ..ServerSettings::default()
    };
    let node = start_with(settings).await;
    let first = TcpStream::connect(node.address).await.expect("it listens");
    let waiting = node.get("/healthz");
    tokio::pin!(waiting);
    assert!(
        tokio::time::timeout(Duration::from_millis(100), &mut waiting)
            .await
            .is_err()
    );
    drop(first);
    assert_eq!(waiting.await.status, 200);
}

const EVENT: &[u8] = b"POST /v1/buses/default/events HTTP/1.1\r\nhost: localhost\r\nce-specversion: 1.0\r\nce-id: 1\r\nce-source: /s\r\nce-type: t\r\ncontent-length: 2\r\n\r\n{}";

#[tokio::test]
async fn requests_that_do_not_wait_for_answers_get_them_in_order() {
    const TIMES: usize = 50;
    let node = start().await;
    let mut requests = Vec::new();
    for _ in 0..TIMES {
        requests.extend_from_slice(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
        requests.extend_from_slice(EVENT);
    }
    requests.extend_from_slice(b"GET /nothing HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let mut stream = TcpStream::connect(node.address).await.expect("it listens");
    for part in requests.chunks(77) {
        stream.write_all(part).await.expect("it is open");
        tokio::task::yield_now().await;
    }
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).await.expect("the server closes it");
    let answers = String::from_utf8_lossy(&answers);
    let statuses: Vec<&str> = answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses.len(), 2 * TIMES + 1, "{answers}");
    assert!(statuses.ends_with(&["200", "404"]) && statuses[..2 * TIMES].iter().all(|status| *status == "200"));
    let kinds = answers.split("HTTP/1.1 ").skip(1).take(2 * TIMES).enumerate();
    kinds.for_each(|(place, answer)| assert_eq!(answer.contains("\"offset\""), place % 2 == 1, "{place}: {answer}"));
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_is_cut_when_no_request_comes_for_long_and_not_before() {
    let node = start().await;
    let mut stream = TcpStream::connect(node.address).await.expect("it listens");
    let mut answer = [0; 4_096];
    for _ in 0..4 {
        stream.write_all(EVENT).await.expect("it is open");
        let read = stream.read(&mut answer).await.expect("an answer");
        assert!(answer[..read].starts_with(b"HTTP/1.1 200 OK"));
        tokio::time::sleep(doors::server::HEAD_WAIT_MAX - Duration::from_secs(5)).await;
    }
    let (before, part) = (tokio::time::Instant::now(), &EVENT[..40]);
    stream.write_all(part).await.expect("it is open still");
    assert!(matches!(stream.read(&mut answer).await, Ok(0) | Err(_)));
    let held = before.elapsed();
    assert!((4..=6).contains(&held.as_secs()), "it was held for {held:?} more");
}

#[tokio::test]
async fn metrics_and_probes_are_there() {
    let node = start().await;
    node.subscribe("s", serde_json::json!({})).await;
    assert_eq!(node.publish(harness::event("1")).await.status, 200);
    let answer = node.get("/metrics").await;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(
        answer
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/plain; version=0.0.4"))
    );
    for line in [
        "trunkline_published_events_total{bus=\"default\"} 1",
        "trunkline_ready 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    for name in [
        "trunkline_matched_events_total",
        "trunkline_lag_seconds",
        "trunkline_journal_sync_seconds_bucket",
        "trunkline_parked_deliveries",
    ] {
        assert!(text.contains(name), "{name} is not in\n{text}");
    }
    assert_eq!(node.get("/readyz").await.json()["status"], "ready");
}
