//! Requests and answers: bounds of time and size, reuse of connections, errors by class, the proxy.

use crate::{
    HASTY, HASTY_TO_END, PATIENT, address, client, get,
    server::{Reply, Server},
    settings,
};
use connector::{BodyEnd, Client, Phase, Resolver, SendError, Timeouts};
use http::StatusCode;
use tokio::net::{TcpListener, TcpSocket};

fn local() -> Client {
    client("127.0.0.0/8", Resolver::table([("hook.test", &[address("127.0.0.1")])]))
}

fn head(more: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{more}\r\n")
}

/// The error of one request to a server that replies like this.
async fn failure(reply: Reply, timeouts: Timeouts) -> SendError {
    let server = Server::start(reply.clone()).await;
    local()
        .send(get(&server.url()), timeouts, 100)
        .await
        .err()
        .unwrap_or_else(|| panic!("{reply:?} gave an answer"))
}

#[tokio::test]
async fn an_answer_is_read_up_to_its_bound_and_the_connection_used_again() {
    let server = Server::start(Reply::ok("0123456789")).await;
    let client = local();
    for (bound, body, truncated) in [
        (100, "0123456789", false),
        (10, "0123456789", false),
        (4, "0123", true),
        (0, "", true),
    ] {
        let answer = client
            .send(get(&server.url()), PATIENT, bound)
            .await
            .expect("an answer");
        assert_eq!(
            (answer.status, &answer.body[..], answer.truncated),
            (StatusCode::OK, body.as_bytes(), truncated)
        );
    }
    let head = client.send_head(get(&server.url()), PATIENT).await.expect("a head");
    head.discard();
    client.send(get(&server.url()), PATIENT, 100).await.expect("an answer");
    assert_eq!((server.connections(), server.heads().len()), (1, 6));
}

#[tokio::test]
async fn an_endless_body_holds_nobody_and_fills_nothing() {
    for more in ["", "transfer-encoding: chunked\r\n"] {
        let start = if more.is_empty() {
            head(more)
        } else {
            head(more) + "fffffff\r\n"
        };
        let server = Server::start(Reply::Endless(start, b'x')).await;
        let client = local();
        let answer = client.send(get(&server.url()), PATIENT, 4096).await.expect("an answer");
        assert_eq!((answer.body.len(), answer.truncated), (4096, true));
        let head = client.send_head(get(&server.url()), PATIENT).await.expect("a head");
        assert_eq!(head.status, StatusCode::OK);
        head.discard();
    }
}

#[tokio::test]
async fn a_head_counts_though_its_body_never_comes() {
    let server = Server::start(Reply::Stall(head("content-length: 10\r\n") + "01234")).await;
    let client = local();
    client
        .send_head(get(&server.url()), PATIENT)
        .await
        .expect("a head")
        .discard();
    let late = client
        .send_head(get(&server.url()), HASTY_TO_END)
        .await
        .expect("a head");
    let (body, end) = late.read(100).await;
    assert_eq!((&body[..], end), (&b"01234"[..], BodyEnd::Late));
    assert_eq!(
        failure(Reply::Stall(head("content-length: 10\r\n")), HASTY_TO_END).await,
        SendError::Timeout(Phase::Total)
    );
}

#[tokio::test]
async fn failures_have_their_class() {
    assert_eq!(
        failure(Reply::Stall(String::new()), HASTY).await,
        SendError::Timeout(Phase::FirstByte)
    );
    assert_eq!(
        failure(Reply::Stall("HTTP/1.1 200 OK\r\nslow: ".into()), HASTY)
            .await
            .code(),
        "timeout_first_byte"
    );
    assert_eq!(failure(Reply::Close, PATIENT).await.code(), "reset");
    assert_eq!(
        failure(Reply::Bytes("SSH-2.0-OpenSSH_9\r\n".into()), PATIENT)
            .await
            .code(),
        "protocol"
    );
    assert_eq!(
        failure(Reply::Bytes("HTTP/1.1 2000 x\r\n\r\n".into()), PATIENT)
            .await
            .code(),
        "protocol"
    );
    assert_eq!(
        failure(Reply::Endless(head("").replace("\r\n\r\n", "\r\nx: "), b'x'), PATIENT)
            .await
            .code(),
        "protocol"
    );
    // Bound and not listening: nobody else can take the port meanwhile.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let unused = socket.local_addr().expect("it is bound");
    let error = local()
        .send(get(&format!("http://{unused}/")), PATIENT, 0)
        .await
        .expect_err("nobody listens");
    assert_eq!(error.code(), "connect");
    let error = local()
        .send(get("http://unknown.test/"), PATIENT, 0)
        .await
        .expect_err("no such name");
    assert_eq!(error.code(), "dns");
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_a_connect_timeout() {
    let server = Server::start(Reply::Stall(String::new())).await;
    let mut settings = settings("127.0.0.0/8", Resolver::System);
    settings.connect_timeout = HASTY.first_byte;
    let client = Client::new(settings).expect("the settings are fine");
    let error = client
        .send(get(&format!("https://{}/", server.address)), PATIENT, 0)
        .await
        .expect_err("no handshake");
    assert_eq!(error, SendError::Timeout(Phase::Connect));
}

#[tokio::test]
async fn a_cut_body_is_kept_as_far_as_it_came() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        crate::server::read_head(&mut stream).await.expect("a request");
        let answer = b"HTTP/1.1 500 x\r\ncontent-length: 10\r\n\r\n01234";
        tokio::io::AsyncWriteExt::write_all(&mut stream, answer)
            .await
            .expect("it is written");
    });
    let head = local().send_head(get(&url), PATIENT).await.expect("a head");
    let (body, end) = head.read(100).await;
    assert_eq!(&body[..], b"01234");
    assert!(matches!(end, BodyEnd::Broken(SendError::Reset(_))), "{end:?}");
}

#[tokio::test]
async fn the_proxy_gets_absolute_forms_and_tunnels_and_forbidden_targets_do_not_reach_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let proxy = Server::start_on(listener, |head| match head.starts_with("CONNECT") {
        true => Reply::Bytes("HTTP/1.1 403 no\r\n\r\n".into()),
        false => Reply::ok("by proxy"),
    });
    let mut settings = settings("", Resolver::table([]));
    let url = format!("http://us%20er:p%40ss@{}", proxy.address);
    settings.egress_proxy = Some(url.parse().expect("a URL"));
    let client = Client::new(settings).expect("the settings are fine");
    let answer = client
        .send(get("http://public.test:81/a?b"), PATIENT, 100)
        .await
        .expect("an answer");
    assert_eq!(&answer.body[..], b"by proxy");
    let error = client
        .send(get("https://public.test/a"), PATIENT, 100)
        .await
        .expect_err("the proxy says no");
    assert!(
        matches!(&error, SendError::Connect { reason, .. } if reason.contains("403")),
        "{error:?}"
    );
    for url in [
        "http://127.0.0.1/",
        "https://[::1]/",
        "http://0x7f.1/",
        "https://localhost/",
        "http://metadata/",
    ] {
        let error = client.send(get(url), PATIENT, 100).await.expect_err("it is refused");
        assert_eq!(error.code(), "refused_address", "{url}");
    }
    let heads = proxy.heads();
    assert_eq!(heads.len(), 2);
    assert!(
        heads[0].starts_with("GET http://public.test:81/a?b HTTP/1.1\r\n"),
        "{}",
        heads[0]
    );
    assert!(
        heads[1].starts_with("CONNECT public.test:443 HTTP/1.1\r\n"),
        "{}",
        heads[1]
    );
    for head in heads {
        assert!(
            head.to_ascii_lowercase()
                .contains("proxy-authorization: basic dxmgzxi6cebzcw=="),
            "{head}"
        );
    }
}
