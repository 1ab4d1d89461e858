//! Webhooks against real local servers: what arrives, and what each answer and each failure means.

mod batches;
mod connections;
mod parameters;
mod validations;

use super::{Gate, Shared, Webhook};
use bytes::Bytes;
use connector::{Client, Guard, Networks, Settings};
use control::resources::{SubscriptionSpec, WebhookConfig};
use delivery::{Attempt, Destination, Member, Outcome, Outcomes, Record, Verdict};
use event::{Data, Event};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use serde_json::json;
use std::{
    collections::HashSet,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};

/// A request as the server saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    peer: SocketAddr,
    method: String,
    pub(crate) path: String,
    /// With its query.
    uri: String,
    version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

pub(crate) type Log = Arc<Mutex<Vec<Seen>>>;

/// A real hyper server that answers as it is told and keeps what it saw.
pub(crate) async fn serve(
    answer: impl Fn(&Seen) -> Response<Full<Bytes>> + Clone + Send + Sync + 'static,
) -> (SocketAddr, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let log = Log::default();
    let kept = log.clone();
    tokio::spawn(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            let (answer, kept) = (answer.clone(), kept.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let (answer, kept) = (answer.clone(), kept.clone());
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                    let seen = Seen {
                        peer,
                        method: head.method.to_string(),
                        path: head.uri.path().to_owned(),
                        uri: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
                        version: head.version,
                        headers: head.headers,
                        body,
                    };
                    let answer = answer(&seen);
                    kept.lock().expect("no test panics while holding it").push(seen);
                    Ok::<_, Infallible>(answer)
                }
            });
            tokio::spawn(async move {
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    (address, log)
}

/// A server that talks raw bytes.
pub(crate) async fn serve_raw<F: Future<Output = ()> + Send>(
    talk: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            talk(stream).await;
        }
    });
    address
}

fn status(code: u16) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from_static(b"said the endpoint")));
    *answer.status_mut() = StatusCode::from_u16(code).expect("a status");
    answer
}

pub(crate) fn client() -> Client {
    let settings = Settings {
        guard: Guard {
            allow_networks: Networks::loopback(),
        },
        ..Settings::default()
    };
    Client::new(settings).expect("default settings")
}

fn webhook_with(client: Client, config: serde_json::Value, subscription: serde_json::Value) -> Webhook {
    let config: WebhookConfig = serde_json::from_value(config).expect("a good configuration");
    let mut document = json!({"connection": "crm"});
    for (name, value) in subscription.as_object().expect("an object") {
        document[name] = value.clone();
    }
    let subscription: SubscriptionSpec = serde_json::from_value(document).expect("a good subscription");
    let shared = Shared::new(&client, &config).expect("it can be made ready");
    Webhook::new(Arc::new(shared), &subscription).expect("a good target")
}

fn webhook(address: SocketAddr) -> Webhook {
    webhook_with(client(), json!({"url": format!("http://{address}/hook")}), json!({}))
}

fn event() -> Event {
    Event::builder("1", "/shop", "com.example.order.placed")
        .data(Data::json(r#"{"total": 5}"#))
        .build()
        .expect("valid")
}

/// Longer than anything on loopback takes, also on a machine with much else to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// A webhook looks at the event alone.
fn record() -> Record {
    Record::new(None, None, std::iter::empty())
}

async fn send(webhook: &Webhook, event: &Event) -> Outcome {
    send_within(webhook, event, PATIENCE).await
}

async fn send_within(webhook: &Webhook, event: &Event, timeout: Duration) -> Outcome {
    let members = [Member {
        event: &event.view(),
        record: &record(),
        message_id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
        number: 1,
        accepted: 0,
    }];
    let outcomes = webhook.attempt(attempt(&members, timeout)).await;
    let Outcomes::Whole { sent: 1, outcome } = outcomes else {
        panic!("one event, one outcome: {outcomes:?}")
    };
    outcome
}

fn attempt<'a>(members: &'a [Member<'a>], timeout: Duration) -> Attempt<'a> {
    Attempt {
        members,
        subscription: "paid-orders",
        origin: "default",
        now: 1_614_265_330,
        timeout,
        replay: None,
    }
}

fn only(log: &Log) -> Seen {
    let seen = log.lock().expect("no test panics while holding it");
    assert_eq!(seen.len(), 1, "one request arrived");
    seen[0].clone()
}

fn reason(outcome: &Outcome) -> &str {
    assert_eq!(outcome.verdict, Verdict::Retry { after: None }, "{outcome:?}");
    assert_eq!(outcome.status, None, "{outcome:?}");
    &outcome.reason
}

#[tokio::test]
async fn an_event_arrives_in_binary_mode_with_its_headers() {
    let (address, log) = serve(|_| status(204)).await;
    let outcome = send(&webhook(address), &event()).await;
    assert_eq!(
        (outcome.verdict, outcome.status, outcome.reason.as_str()),
        (Verdict::Delivered, Some(204), "")
    );
    let seen = only(&log);
    assert_eq!(
        (seen.method.as_str(), seen.path.as_str(), seen.body.as_ref()),
        ("POST", "/hook", &br#"{"total": 5}"#[..])
    );
    for (name, value) in [
        ("ce-id", "1"),
        ("ce-source", "/shop"),
        ("ce-type", "com.example.order.placed"),
        ("ce-specversion", "1.0"),
        ("content-type", "application/json"),
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        ("user-agent", concat!("Trunkline/", env!("CARGO_PKG_VERSION"))),
        ("content-length", "12"),
    ] {
        assert_eq!(seen.headers[name], value, "{name}");
    }
    assert!(!seen.headers.contains_key("webhook-signature") && !seen.headers.contains_key("webhook-replay"));
}

#[tokio::test]
async fn a_connection_says_the_method_and_one_without_a_body_sends_none() {
    for (method, body) in [("PUT", r#"{"total": 5}"#), ("DELETE", r#"{"total": 5}"#), ("GET", "")] {
        let (address, log) = serve(|_| status(204)).await;
        let config = json!({"url": format!("http://{address}/hook"), "method": method});
        let outcome = send(&webhook_with(client(), config, json!({})), &event()).await;
        assert_eq!(outcome.verdict, Verdict::Delivered, "{outcome:?}");
        let seen = only(&log);
        assert_eq!((seen.method.as_str(), seen.body.as_ref()), (method, body.as_bytes()));
        assert_eq!(seen.headers.contains_key("content-type"), !body.is_empty(), "{method}");
    }
}

#[tokio::test]
async fn the_published_vector_is_what_goes_over_the_wire() {
    let (address, log) = serve(|_| status(200)).await;
    let signing = json!({"style": "standard-webhooks", "secrets": [
        "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]});
    let config = json!({"url": format!("http://{address}/"), "signing": signing});
    let event = Event::builder("1", "/s", "t")
        .data(Data::json(r#"{"test": 2432232314}"#))
        .build()
        .expect("valid");
    send(
        &webhook_with(client(), config, json!({"target": {"mode": "data"}})),
        &event,
    )
    .await;
    let seen = only(&log);
    let signatures = seen.headers["webhook-signature"].to_str().expect("ASCII").to_owned();
    assert!(
        signatures.ends_with(" v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        "{signatures}"
    );
    assert_eq!(signatures.split(' ').count(), 2);
    assert!(!seen.headers.contains_key("ce-id"), "data mode has no attributes");
}

#[tokio::test]
async fn structured_mode_carries_the_whole_event_and_signs_it() {
    let (address, log) = serve(|_| status(200)).await;
    let config = json!({"url": format!("http://{address}/"),
        "signing": {"style": "standard-webhooks", "secrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]}});
    let event = event();
    send(
        &webhook_with(client(), config, json!({"target": {"mode": "structured"}})),
        &event,
    )
    .await;
    let seen = only(&log);
    assert_eq!(seen.headers["content-type"], "application/cloudevents+json");
    assert_eq!(event::json::decode_structured(&seen.body).expect("an event"), event);
    let key = super::signature::Signer::standard_webhooks(&["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
        .expect("a good secret");
    let expected = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", &seen.body);
    assert_eq!(seen.headers["webhook-signature"], expected.1.as_str());
}

#[tokio::test]
async fn every_kind_of_authentication_and_the_users_headers_are_sent() {
    for (auth, name, value) in [
        (
            json!({"type": "basic", "username": "u", "password": "p:w"}),
            "authorization",
            "Basic dTpwOnc=",
        ),
        (json!({"type": "bearer", "token": "abc"}), "authorization", "Bearer abc"),
        (
            json!({"type": "api-key", "header": "X-Key", "value": "s3cret"}),
            "x-key",
            "s3cret",
        ),
    ] {
        let (address, log) = serve(|_| status(200)).await;
        let config = json!({"url": format!("http://{address}/"), "auth": auth, "headers": {"X-Team": "orders"}});
        send(&webhook_with(client(), config, json!({})), &event()).await;
        let seen = only(&log);
        assert_eq!(
            (seen.headers[name].to_str().expect("ASCII"), &seen.headers["x-team"]),
            (value, &"orders".parse().expect("a value"))
        );
    }
}

#[tokio::test]
async fn the_trace_goes_on_in_its_own_headers() {
    let (address, log) = serve(|_| status(200)).await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let event = Event::builder("1", "/s", "t")
        .extension("traceparent", parent)
        .extension("tracestate", "a=b");
    send(&webhook(address), &event.build().expect("valid")).await;
    let seen = only(&log);
    assert_eq!(
        (&seen.headers["traceparent"], &seen.headers["tracestate"]),
        (&parent.parse().expect("a value"), &"a=b".parse().expect("a value"))
    );
}

#[tokio::test]
async fn a_replay_says_its_name() {
    let (address, log) = serve(|_| status(200)).await;
    let (event, webhook) = (event(), webhook(address));
    let members = [Member {
        event: &event.view(),
        record: &record(),
        message_id: "msg_1",
        number: 3,
        accepted: 0,
    }];
    let attempt = Attempt {
        replay: Some("after the outage\r\nx: y"),
        ..attempt(&members, PATIENCE)
    };
    webhook.attempt(attempt).await;
    assert_eq!(only(&log).headers["webhook-replay"], "after%20the%20outage%0D%0Ax:%20y");
}

/// Check 35.
#[tokio::test]
async fn the_bytes_delivered_are_the_bytes_accepted() {
    let all: Vec<u8> = (0..=255).collect();
    let large: Vec<u8> = (0..1u32 << 20)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let unicode = "\u{0}\u{7f}é漢字\u{1F600}\u{feff}\u{2028}".as_bytes().to_vec();
    for mode in ["binary", "data"] {
        for body in [all.clone(), large.clone(), unicode.clone(), Vec::new()] {
            let (address, log) = serve(|_| status(200)).await;
            let webhook = webhook_with(
                client(),
                json!({"url": format!("http://{address}/")}),
                json!({"target": {"mode": mode}}),
            );
            let event = Event::builder("1", "/s", "t")
                .data_content_type("application/octet-stream")
                .data(Data::binary(body.clone()));
            assert_eq!(
                send(&webhook, &event.build().expect("valid")).await.verdict,
                Verdict::Delivered
            );
            assert!(only(&log).body == body, "{mode}: {} bytes", body.len());
        }
    }
}

/// Check 59: what an event, a header or a name holds becomes no header of its own.
#[tokio::test]
async fn nothing_in_an_event_becomes_a_header_of_its_own() {
    let (address, log) = serve(|_| status(200)).await;
    let event = Event::builder("a\u{20ac}b \"c\" 100%", "/s?x=%0D%0Ay", "t")
        .extension("ext1", "v: w")
        .build()
        .expect("valid");
    send(&webhook(address), &event).await;
    let seen = only(&log);
    assert_eq!(seen.headers["ce-id"], "a%E2%82%ACb%20%22c%22%20100%25");
    assert_eq!(seen.headers["ce-source"], "/s?x=%250D%250Ay");
    let known = [
        "ce-id",
        "ce-source",
        "ce-type",
        "ce-specversion",
        "ce-ext1",
        "webhook-id",
        "webhook-timestamp",
        "user-agent",
        "host",
        "content-length",
    ];
    let foreign: Vec<_> = seen
        .headers
        .keys()
        .filter(|name| !known.contains(&name.as_str()))
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    for broken in ["id\r\nx: y", "id\0", "id\n"] {
        assert!(Event::builder(broken, "/s", "t").build().is_err(), "{broken:?}");
    }
    let config: WebhookConfig =
        serde_json::from_value(json!({"url": "http://127.0.0.1/", "headers": {"X-A": "b\r\nX-C: d"}}))
            .expect("plain data");
    assert!(Shared::new(&client(), &config).is_err());
}

#[tokio::test]
async fn an_answer_means_what_its_status_says_and_is_kept_when_it_failed() {
    for (code, verdict) in [
        (200, Verdict::Delivered),
        (400, Verdict::Refused),
        (422, Verdict::Refused),
        (410, Verdict::Gone),
        (404, Verdict::Retry { after: None }),
        (503, Verdict::Retry { after: None }),
    ] {
        let (address, _) = serve(move |_| status(code)).await;
        let outcome = send(&webhook(address), &event()).await;
        assert_eq!((outcome.verdict, outcome.status), (verdict, Some(code)));
        let failed = verdict != Verdict::Delivered;
        assert_eq!(
            outcome.answer.as_ref(),
            if failed { &b"said the endpoint"[..] } else { b"" }
        );
        assert_eq!(
            outcome.reason,
            if failed { format!("http_{code}") } else { String::new() }
        );
    }
}

#[tokio::test]
async fn an_endpoint_can_say_when_to_come_back() {
    let (address, _) = serve(|_| {
        let mut answer = status(429);
        answer
            .headers_mut()
            .insert("retry-after", "7".parse().expect("a value"));
        answer
    })
    .await;
    let outcome = send(&webhook(address), &event()).await;
    assert_eq!(
        outcome.verdict,
        Verdict::Retry {
            after: Some(Duration::from_secs(7))
        }
    );
}

/// Check 47.
#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    for code in [301, 302, 303, 307, 308] {
        let (trap, trapped) = serve(|_| status(200)).await;
        let (address, log) = serve(move |_| {
            let mut answer = status(code);
            answer
                .headers_mut()
                .insert("location", format!("http://{trap}/").parse().expect("a value"));
            answer
        })
        .await;
        let outcome = send(&webhook(address), &event()).await;
        assert_eq!(
            (outcome.verdict, outcome.status),
            (Verdict::Retry { after: None }, Some(code))
        );
        only(&log);
        assert!(
            trapped.lock().expect("no test panics while holding it").is_empty(),
            "{code}"
        );
    }
}

#[tokio::test]
async fn connections_are_used_again() {
    let (address, log) = serve(|_| status(200)).await;
    let webhook = webhook(address);
    for _ in 0..20 {
        assert_eq!(send(&webhook, &event()).await.verdict, Verdict::Delivered);
    }
    let seen = log.lock().expect("no test panics while holding it");
    let peers: HashSet<SocketAddr> = seen.iter().map(|seen| seen.peer).collect();
    assert_eq!((seen.len(), seen[0].version), (20, Version::HTTP_11));
    // The answer's end and the next request race for the pool now and then.
    assert!(peers.len() <= 3, "{} connections", peers.len());
}

/// Check 51: nothing of a refused address comes back, because nothing goes there.
#[tokio::test]
async fn a_refused_address_is_told_without_an_answer() {
    let (address, log) = serve(|_| status(200)).await;
    let closed = Client::new(Settings::default()).expect("default settings");
    for host in [
        format!("{address}"),
        format!("localhost:{}", address.port()),
        format!("[::ffff:127.0.0.1]:{}", address.port()),
    ] {
        let webhook = webhook_with(closed.clone(), json!({"url": format!("http://{host}/")}), json!({}));
        let outcome = send(&webhook, &event()).await;
        assert_eq!(
            (reason(&outcome), outcome.answer.len()),
            ("refused_address", 0),
            "{host}"
        );
    }
    assert!(log.lock().expect("no test panics while holding it").is_empty());
}

#[tokio::test]
async fn a_closed_port_a_broken_name_and_no_tls_have_their_own_reasons() {
    // Bound and not listening: nobody else can take the port meanwhile.
    let closed = TcpSocket::new_v4().expect("a socket");
    closed.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let address = closed.local_addr().expect("it is bound");
    assert_eq!(reason(&send(&webhook(address), &event()).await), "connect");
    let (plain, _) = serve(|_| status(200)).await;
    let webhook = webhook_with(client(), json!({"url": format!("https://{plain}/")}), json!({}));
    assert_eq!(reason(&send(&webhook, &event()).await), "tls");
    let webhook = webhook_with(client(), json!({"url": "http://no-such-name.invalid/"}), json!({}));
    let outcome = send(&webhook, &event()).await;
    assert!(matches!(reason(&outcome), "dns" | "timeout_connect"), "{outcome:?}");
}

#[tokio::test]
async fn an_endpoint_that_accepts_and_never_answers_times_out() {
    let address = serve_raw(|stream| async move {
        tokio::spawn(async move {
            let _open = stream;
            std::future::pending::<()>().await;
        });
    })
    .await;
    let outcome = send_within(&webhook(address), &event(), Duration::from_millis(100)).await;
    assert_eq!(reason(&outcome), "timeout_first_byte");
}

/// A listener that nobody can connect to any more, as of a host that is there and overwhelmed: its queue is full of
/// connections that it never accepts, so that the kernel answers no further attempt.
async fn overwhelmed() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let listener = socket.listen(1).expect("it listens");
    let address = listener.local_addr().expect("it is bound");
    let mut waiting = Vec::new();
    while let Ok(connected) = tokio::time::timeout(SHORT, TcpStream::connect(address)).await {
        waiting.push(connected.expect("there is room"));
    }
    (listener, waiting)
}

/// Short enough to wait for.
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn an_endpoint_that_cannot_be_connected_to_times_out_as_such_and_is_tried_again() {
    let (listener, _waiting) = overwhelmed().await;
    let address = listener.local_addr().expect("it is bound");
    let settings = Settings {
        guard: Guard {
            allow_networks: Networks::loopback(),
        },
        connect_timeout: SHORT,
        ..Settings::default()
    };
    let hasty = Client::new(settings).expect("settings that are fine");
    let webhook = webhook_with(hasty, json!({"url": format!("http://{address}/")}), json!({}));
    let outcome = send(&webhook, &event()).await;
    assert_eq!(reason(&outcome), "timeout_connect");
    assert!(outcome.detail.contains("connect"), "{}", outcome.detail);
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_is_a_reset() {
    let address = serve_raw(|mut stream| async move {
        let mut head = [0; 64];
        let _ = stream.read(&mut head).await;
        let _ = stream.write_all(b"HTTP/1.1 200 O").await;
    })
    .await;
    let outcome = send(&webhook(address), &event()).await;
    assert!(matches!(reason(&outcome), "reset" | "protocol"), "{outcome:?}");
}

#[tokio::test]
async fn what_is_not_http_is_an_endpoints_failure() {
    let address = serve_raw(|mut stream| async move {
        let mut head = [0; 64];
        let _ = stream.read(&mut head).await;
        let _ = stream.write_all(b"220 smtp.example ESMTP\r\n").await;
    })
    .await;
    assert_eq!(reason(&send(&webhook(address), &event()).await), "protocol");
}

async fn endless(mut stream: TcpStream, head: &'static [u8]) {
    tokio::spawn(async move {
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(head).await;
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    });
}

#[tokio::test]
async fn an_endless_body_is_delivered_when_it_succeeded_and_cut_when_it_failed() {
    let good = serve_raw(|stream| endless(stream, b"HTTP/1.1 200 OK\r\n\r\n")).await;
    assert_eq!(send(&webhook(good), &event()).await.verdict, Verdict::Delivered);
    let bad = serve_raw(|stream| endless(stream, b"HTTP/1.1 500 No\r\n\r\n")).await;
    let outcome = send(&webhook(bad), &event()).await;
    assert_eq!((outcome.status, outcome.answer.len()), (Some(500), 4096));
}

#[tokio::test]
async fn a_slow_body_holds_up_neither_a_success_nor_for_long_a_failure() {
    let slow = |head: &'static [u8]| {
        serve_raw(move |mut stream| async move {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(head).await;
                std::future::pending::<()>().await;
            });
        })
    };
    let good = slow(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc").await;
    assert_eq!(send(&webhook(good), &event()).await.verdict, Verdict::Delivered);
    let bad = slow(b"HTTP/1.1 500 No\r\ncontent-length: 10\r\n\r\nabc").await;
    let outcome = send_within(&webhook(bad), &event(), Duration::from_secs(1)).await;
    assert_eq!(
        (outcome.reason.as_str(), outcome.answer.as_ref()),
        ("http_500", &b"abc"[..])
    );
}

/// The total time: bytes that go on coming do not hold an attempt up.
#[tokio::test]
async fn a_body_that_trickles_is_cut_at_the_total_time() {
    let address = serve_raw(|mut stream| async move {
        tokio::spawn(async move {
            let _ = stream.read(&mut [0; 1024]).await;
            let head = b"HTTP/1.1 503 Not now\r\ncontent-length: 100000\r\n\r\n";
            let _ = stream.write_all(head).await;
            while stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(SHORT / 10).await;
            }
        });
    })
    .await;
    let outcome = send_within(&webhook(address), &event(), Duration::from_secs(1)).await;
    assert_eq!((outcome.reason.as_str(), outcome.status), ("http_503", Some(503)));
    let kept = outcome.answer;
    assert!(
        kept.len() > 1 && kept.len() < 1_000 && kept.iter().all(|byte| *byte == b'x'),
        "{kept:?}"
    );
}

/// What was taken can be delivered, and published again from what arrived, however deep its data is.
#[tokio::test]
async fn the_deepest_data_arrives_as_it_was_in_every_mode() {
    let depth = event::limits::JSON_DEPTH_MAX;
    let data = "[".repeat(depth) + &"]".repeat(depth);
    let event = Event::builder("1", "/shop", "deep")
        .data(Data::json(data.clone()))
        .build()
        .expect("it is not too deep");
    for mode in ["binary", "structured", "data"] {
        let (address, log) = serve(|_| status(204)).await;
        let config = json!({"url": format!("http://{address}/hook")});
        let webhook = webhook_with(client(), config, json!({"target": {"mode": mode}}));
        assert_eq!(send(&webhook, &event).await.verdict, Verdict::Delivered, "{mode}");
        let arrived = only(&log).body;
        match mode {
            "structured" => {
                let again = event::json::decode_structured(&arrived).expect("it can be published again");
                assert_eq!(again.data(), event.data());
            }
            _ => assert_eq!(arrived, data.as_bytes(), "{mode}"),
        }
    }
}
