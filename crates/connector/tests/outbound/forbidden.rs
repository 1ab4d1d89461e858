//! Checks 46 to 50: what must never be connected to is not, whatever it is called and whoever says so.

use crate::{
    PATIENT, address, client, get,
    server::{Reply, Server},
};
use connector::{Client, Guard, Refused, Resolver, SendError};
use http::{StatusCode, Uri, uri::PathAndQuery};
use tokio::net::TcpListener;

const FORMS: &str = include_str!("../forbidden_urls.txt");

/// Every form, and whether the check of its text must refuse it.
fn forms() -> impl Iterator<Item = (&'static str, bool)> {
    let lines = FORMS.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.strip_prefix("connect ").map_or((line, true), |url| (url, false)))
}

fn hostile_names() -> Resolver {
    Resolver::table([
        ("rebound.test", &[address("127.0.0.1")]),
        ("private.test", &[address("10.1.2.3")]),
        ("mixed.test", &[address("8.8.8.8"), address("127.0.0.1")]),
        ("mapped.test", &[address("::ffff:127.0.0.1")]),
        ("nat64.test", &[address("64:ff9b::7f00:1")]),
        ("sixtofour.test", &[address("2002:7f00:1::")]),
        ("unique-local.test", &[address("fd00::1")]),
        ("link-local.test", &[address("fe80::1")]),
        ("trailing.test.", &[address("127.0.0.1")]),
    ])
}

/// The same form, pointed at a port where somebody listens.
fn at_port(url: &str, port: u16) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    Some(format!("{}://{}:{port}{path}", uri.scheme_str()?, uri.host()?))
}

#[test]
fn check_46_every_forbidden_form_is_refused_when_it_is_checked() {
    let guard = Guard::default();
    let mut count = 0;
    for (url, by_text) in forms() {
        assert_eq!(
            guard.check_url(url).is_err(),
            by_text,
            "{url}: {:?}",
            guard.check_url(url)
        );
        count += 1;
    }
    assert!(count >= 45, "the table has {count} forms");
}

#[tokio::test]
async fn checks_46_and_50_every_forbidden_form_is_refused_at_connect_as_well() {
    let canary = Server::start(Reply::ok("caught")).await;
    let client = client("", hostile_names());
    let mut sent = 0;
    for (url, _) in forms() {
        let urls = [Some(url.to_owned()), at_port(url, canary.address.port())];
        // A form that the library of requests does not take cannot be sent.
        for uri in urls.into_iter().flatten().filter_map(|url| url.parse::<Uri>().ok()) {
            if uri.scheme().is_none() || (url.contains("example.com") && !uri.to_string().contains('@')) {
                continue;
            }
            let outcome = client.send(get(&uri.to_string()), PATIENT, 100).await;
            let error = outcome.expect_err("it is refused");
            let refused = matches!(error, SendError::Refused(_)) || !matches!(uri.scheme_str(), Some("http" | "https"));
            assert!(refused, "{uri}: {error:?}");
            sent += 1;
        }
    }
    assert!(sent >= 90, "only {sent} requests were tried");
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn check_47_a_redirect_is_an_answer_and_never_followed() {
    let canary = Server::start(Reply::ok("caught")).await;
    let port = canary.address.port();
    let places: Vec<String> = forms()
        .filter(|(url, _)| url.is_ascii())
        .map(|(url, _)| at_port(url, port).unwrap_or(url.into()))
        .collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let redirects = places.clone();
    let server = Server::start_on(listener, move |head| {
        let index = head
            .split(['/', ' '])
            .find_map(|part| part.parse::<usize>().ok())
            .expect("an index");
        let status = [301, 302, 303, 307, 308][index % 5];
        Reply::Bytes(format!(
            "HTTP/1.1 {status} x\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
            redirects[index]
        ))
    });
    let allowed = format!("{}/32", server.address.ip());
    let client = client(&allowed, hostile_names());
    for (index, place) in places.iter().enumerate() {
        let answer = client
            .send(get(&format!("{}{index}", server.url())), PATIENT, 100)
            .await
            .expect("an answer");
        assert!(answer.status.is_redirection());
        assert_eq!(answer.headers["location"], place.as_str());
    }
    assert_eq!((canary.connections(), server.heads().len()), (0, places.len()));
}

/// A server on 127.0.0.2, which the test's operator allows, and a canary on the same port of 127.0.0.1, which it does not.
/// Linux gives every process all of 127.0.0.0/8.
#[cfg(target_os = "linux")]
async fn neighbours() -> (Server, Server) {
    loop {
        let listener = TcpListener::bind("127.0.0.2:0").await.expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        if let Ok(beside) = TcpListener::bind(("127.0.0.1", port)).await {
            let close = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            let server = Server::start_on(listener, move |_| Reply::Bytes(close.to_owned()));
            return (server, Server::start_on(beside, |_| Reply::ok("caught")));
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn check_48_a_name_that_changes_its_mind_never_reaches_the_canary() {
    const TRIES: usize = 10_000;
    let (server, canary) = neighbours().await;
    let answers = (0..TRIES)
        .map(|n| vec![address(if n % 2 == 0 { "127.0.0.2" } else { "127.0.0.1" })])
        .collect();
    let client = client("127.0.0.2/32", Resolver::sequence("rebind.test", answers));
    let url = format!("http://rebind.test:{}/", server.address.port());
    let (mut delivered, mut refused) = (0, 0);
    for _ in 0..TRIES {
        match client.send(get(&url), PATIENT, 100).await {
            Ok(answer) => delivered += usize::from(answer.status == StatusCode::OK),
            Err(SendError::Refused(Refused::Address { .. })) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((delivered, refused, canary.connections()), (TRIES / 2, TRIES / 2, 0));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn check_49_a_name_with_one_refused_address_is_refused_whole() {
    let (server, canary) = neighbours().await;
    for order in [["127.0.0.2", "127.0.0.1"], ["127.0.0.1", "127.0.0.2"]] {
        let names = Resolver::table([("mixed.test", &order.map(address)[..])]);
        let client: Client = client("127.0.0.2/32", names);
        let url = format!("http://mixed.test:{}/", server.address.port());
        let error = client.send(get(&url), PATIENT, 100).await.expect_err("it is refused");
        assert!(
            matches!(error, SendError::Refused(Refused::Address { .. })),
            "{error:?}"
        );
        assert!(client.connect("mixed.test", server.address.port()).await.is_err());
    }
    assert_eq!((server.connections(), canary.connections()), (0, 0));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_next_address_is_tried_when_one_does_not_answer() {
    let (server, canary) = neighbours().await;
    let names = Resolver::table([("two.test", &[address("127.0.0.3"), address("127.0.0.2")][..])]);
    let client = client("127.0.0.2/31", names);
    let url = format!("http://two.test:{}/", server.address.port());
    assert_eq!(
        client.send(get(&url), PATIENT, 100).await.expect("an answer").status,
        StatusCode::OK
    );
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn other_protocols_connect_under_the_same_guard() {
    let canary = Server::start(Reply::ok("caught")).await;
    let port = canary.address.port();
    let client = client("", hostile_names());
    for host in [
        "127.0.0.1",
        "0x7f.1",
        "localhost",
        "rebound.test",
        "mapped.test",
        "[::ffff:127.0.0.1]",
        "2130706433",
    ] {
        let error = client.connect(host, port).await.expect_err("it is refused");
        assert!(matches!(error, SendError::Refused(_)), "{host}: {error:?}");
    }
    assert_eq!(canary.connections(), 0);
    let allowed = crate::client("127.0.0.0/8", Resolver::System);
    assert!(allowed.connect("127.0.0.1", port).await.is_ok());
}
