//! Starting, stopping, and who may use a server: checks 13 and 16, keyless rules, keys, TLS, addresses.

use crate::support::{
    eventually,
    receiver::{Receiver, Reply},
    server::{BINARY, Server},
};
use serde_json::json;
use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_secs(60);

/// Check 13.
#[tokio::test]
async fn a_second_process_on_the_same_directory_is_refused_and_the_first_is_unharmed() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = Server::start(directory.path());
    let refused = Server::try_start(directory.path(), &["--listen", "127.0.0.1:0"], &[])
        .err()
        .expect("refused");
    assert!(refused.contains("exit status: 71"), "{refused}");
    assert!(refused.contains("another process is using"), "{refused}");
    first.publish("a.type", "1", json!({})).await;
    assert_eq!(first.stop(), Some(0));
    Server::start(directory.path()).get("/v1/buses/default/events/1").await;
}

/// Check 16.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terminating_under_load_loses_nothing_acknowledged_and_ends_in_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start(|_| Reply::Slow(20)).await;
    let server = Arc::new(Server::start(directory.path()));
    server.subscribe("sink", &receiver, json!({})).await;
    let publishers: Vec<_> = (0..8)
        .map(|number| tokio::spawn(publish(number, server.clone())))
        .collect();
    receiver.took(50).await;
    let began = Instant::now();
    server.signal("TERM");
    let mut acknowledged = Vec::new();
    for publisher in publishers {
        acknowledged.extend(publisher.await.expect("a publisher ends well"));
    }
    let server = Arc::into_inner(server).expect("the publishers are gone");
    assert_eq!(server.wait(), Some(0));
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "it took {:?}",
        began.elapsed()
    );

    let server = Server::start(directory.path());
    eventually("every acknowledged event arrives", LIMIT, async || {
        let deliveries = receiver.deliveries();
        let taken: std::collections::HashSet<_> = deliveries.iter().map(|delivery| delivery.header("ce-id")).collect();
        acknowledged.iter().all(|id| taken.contains(id.as_str())).then_some(())
    })
    .await;
    assert!(acknowledged.len() > 50);
    drop(server);
}

/// Publishes until the server refuses or goes; the ids that were acknowledged.
async fn publish(publisher: u64, server: Arc<Server>) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let id = format!("{publisher}-{number}");
        let headers = [
            ("ce-specversion", "1.0"),
            ("ce-type", "load"),
            ("ce-source", "/load"),
            ("ce-id", id.as_str()),
        ];
        match server.try_send("POST", "/v1/buses/default/events", &headers, "").await {
            Ok(answer) if answer.status < 300 => acknowledged.push(id),
            Ok(answer) => {
                assert_eq!(answer.status, 503, "{}", answer.json());
                assert_eq!(
                    answer.headers.get("connection").map(|value| value.as_bytes()),
                    Some(&b"close"[..])
                );
                break;
            }
            Err(_) => break,
        }
    }
    acknowledged
}

#[test]
fn who_publishes_and_has_nothing_more_to_say_is_answered() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
    let address = server.url().trim_start_matches("http://");
    for id in 0..20 {
        let mut stream = TcpStream::connect(address).expect("it listens");
        let request = format!(
            "POST /v1/buses/default/events HTTP/1.1\r\nhost: localhost\r\nce-specversion: 1.0\r\nce-id: {id}\r\nce-source: /s\r\nce-type: t\r\ncontent-length: 2\r\n\r\n{{}}"
        );
        stream.write_all(request.as_bytes()).expect("it is open");
        stream.shutdown(Shutdown::Write).expect("it is open");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the server closes it");
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "event {id}: {answer:?}");
    }
}

#[tokio::test]
async fn without_keys_only_this_machine_under_its_own_names_is_served() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(directory.path());
    let path = "/v1/buses/default";
    for (name, value) in [
        ("host", "evil.example"),
        ("x-forwarded-for", "192.0.2.1"),
        ("forwarded", "for=192.0.2.1"),
        ("origin", "http://evil.example"),
    ] {
        let answer = server.send("GET", path, &[(name, value)], "").await;
        assert!(
            [401, 403, 421].contains(&answer.status),
            "{name}: {} {}",
            answer.status,
            answer.json()
        );
    }
    server.get(path).await;
    let refused = Server::try_start(&directory.path().join("other"), &["--listen", "0.0.0.0:0"], &[])
        .err()
        .expect("refused");
    assert!(refused.contains("off loopback needs a key"), "{refused}");
}

#[tokio::test]
async fn from_the_first_key_on_every_request_needs_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let output = Command::new(BINARY)
        .args(["key", "create", "--data-dir"])
        .arg(directory.path())
        .args(["--scope", "administer", "--scope", "publish", "--output", "json"])
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let made: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let token = made["token"].as_str().expect("a token");

    let server = Server::start(directory.path());
    assert_eq!(server.send("GET", "/v1/buses/default", &[], "").await.status, 401);
    assert_eq!(
        server
            .send(
                "GET",
                "/v1/buses/default",
                &[("authorization", "Bearer tlk_wrong.secret")],
                ""
            )
            .await
            .status,
        401
    );
    for open in ["/healthz", "/readyz"] {
        assert_eq!(server.send("GET", open, &[], "").await.status, 200);
    }
    let server = server.with_key(token);
    server.get("/v1/buses/default").await;

    let scoped = server.run(&["key", "create", "--scope", "publish", "--output", "json"]);
    let scoped: serde_json::Value = serde_json::from_str(&scoped).expect("JSON");
    let server = server.with_key(scoped["token"].as_str().expect("a token"));
    server.publish("a.type", "1", json!({})).await;
    assert_eq!(
        server
            .send("GET", "/v1/buses/default/subscriptions", &[], "")
            .await
            .status,
        403
    );

    let server = server.with_key(token);
    let id = made["id"].as_str().expect("an id");
    let last = server.send("DELETE", &format!("/v1/keys/{id}"), &[], "").await;
    assert!(last.status >= 400, "the last key that manages all buses was deleted");
    // Off loopback, keys need TLS, unless somebody says otherwise.
    drop(server);
    let refused = Server::try_start(directory.path(), &["--listen", "0.0.0.0:0"], &[])
        .err()
        .expect("refused");
    assert!(refused.contains("without TLS"), "{refused}");
    Server::start_with(directory.path(), &["--listen", "0.0.0.0:0", "--allow-plaintext"], &[]);
}

#[tokio::test]
async fn several_addresses_of_both_families_are_served() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start_with(
        directory.path(),
        &["--listen", "127.0.0.1:0", "--listen", "[::1]:0"],
        &[],
    );
    assert_eq!(server.urls.len(), 2);
    for url in &server.urls {
        let output = Command::new(BINARY)
            .args(["--server", url, "subscription", "list"])
            .output()
            .expect("the binary runs");
        assert!(
            output.status.success(),
            "{url}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[tokio::test]
async fn a_certificate_is_read_again_on_sighup_and_a_broken_one_leaves_the_old() {
    let directory = tempfile::tempdir().expect("a directory");
    let (certificate, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    make_certificate(&certificate, &key, "first.test");
    let paths = [certificate.display().to_string(), key.display().to_string()];
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--tls-cert",
        &paths[0],
        "--tls-key",
        &paths[1],
    ];
    let server = Server::start_with(&directory.path().join("data"), &arguments, &[]);
    assert!(server.url().starts_with("https://"), "{}", server.url());
    assert!(subject(&server).contains("first.test"));

    std::fs::write(&certificate, "not a certificate").expect("written");
    server.signal("HUP");
    eventually("the refusal is logged", LIMIT, async || {
        server.log().contains("the configuration stays as it was").then_some(())
    })
    .await;
    assert!(subject(&server).contains("first.test"));

    make_certificate(&certificate, &key, "second.test");
    server.signal("HUP");
    eventually("the new certificate is served", LIMIT, async || {
        subject(&server).contains("second.test").then_some(())
    })
    .await;
}

/// A supervisor starts again what ends with 1, and leaves down what ends with 2.
#[test]
fn a_certificate_that_cannot_be_used_is_a_fault_of_the_configuration() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    make_certificate(&path("cert.pem"), &path("key.pem"), "first.test");
    make_certificate(&path("other.pem"), &path("other.key.pem"), "second.test");
    for (key, said) in [
        ("other.key.pem", "is not the key of the first certificate in"),
        ("cert.pem", "failed to read"),
        ("nothing.pem", "failed to read"),
    ] {
        let (certificate, key) = (path("cert.pem").display().to_string(), path(key).display().to_string());
        let arguments = ["--listen", "127.0.0.1:0", "--tls-cert", &certificate, "--tls-key", &key];
        let refused = Server::try_start(&path("data"), &arguments, &[])
            .err()
            .expect("refused");
        assert!(
            refused.contains("exit status: 2") && refused.contains(said),
            "{refused}"
        );

        let file = path("trunkline.toml");
        let text = format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n");
        std::fs::write(&file, text).expect("written");
        let check = ["config".as_ref(), "check".as_ref(), file.as_os_str()];
        let output = Command::new(env!("CARGO_BIN_EXE_trunkline"))
            .args(check)
            .output()
            .expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && told.contains(said), "{told}");
    }
}

/// A self-signed certificate, by openssl as everybody has it.
fn make_certificate(certificate: &std::path::Path, key: &std::path::Path, name: &str) {
    let output = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args([
            "-subj",
            &format!("/CN={name}"),
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout",
        ])
        .arg(key)
        .arg("-out")
        .arg(certificate)
        .output()
        .expect("openssl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The subject of the certificate that the server shows, and a request through it.
fn subject(server: &Server) -> String {
    let output = Command::new("curl")
        .args([
            "--insecure",
            "--silent",
            "--verbose",
            &format!("{}/healthz", server.url()),
        ])
        .output();
    let output = output.expect("curl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_with_advice() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("trunkline.toml");
    std::fs::write(&file, "lisen = [\"127.0.0.1:0\"]\n").expect("written");
    let shown = file.display().to_string();
    let refused = Server::try_start(directory.path(), &["--config", &shown], &[])
        .err()
        .expect("refused");
    assert!(
        refused.contains("trunkline.toml:1: unknown key lisen; did you mean listen?"),
        "{refused}"
    );
    assert!(refused.contains("exit status: 2"), "{refused}");
}
