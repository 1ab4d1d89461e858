//! What a connection does before it delivers: tokens, the handshake; and what trying one tells.

use super::{Log, PATIENCE, Seen, attempt, client, event, record, send, serve, status, webhook_with};
use crate::webhook::{
    test,
    tokens::{Token, Tokens},
};
use bytes::Bytes;
use connector::{Client, Guard, Networks, Resolver, Settings};
use control::resources::{ClientCredentials, WebhookConfig};
use delivery::{ConnectionTest, Destination, Member, Outcomes, TestReport, Verdict};
use http::{HeaderValue, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use tokio::time::Instant;

fn seen(log: &Log) -> Vec<Seen> {
    log.lock().expect("no test panics while holding it").clone()
}

/// A token endpoint that gives `token-1`, `token-2`, … for a life.
async fn tokens(life: u64) -> (SocketAddr, Log) {
    let count = Arc::new(AtomicUsize::new(0));
    serve(move |_| {
        let number = count.fetch_add(1, Relaxed) + 1;
        let body = json!({"access_token": format!("token-{number}"), "token_type": "Bearer", "expires_in": life});
        Response::new(Full::new(Bytes::from(body.to_string())))
    })
    .await
}

fn oauth(hook: SocketAddr, token_url: &str, more: Value) -> Value {
    let mut auth = json!({
        "type": "oauth2-client-credentials", "token_url": token_url, "client_id": "bus:1", "client_secret": "s e/c",
    });
    for (name, value) in more.as_object().expect("an object") {
        auth[name] = value.clone();
    }
    json!({"url": format!("http://{hook}/hook"), "auth": auth})
}

#[tokio::test]
async fn many_deliveries_ask_for_one_token_and_show_it() {
    let (token, asked) = tokens(3_600).await;
    let (hook, log) = serve(|_| status(200)).await;
    let config = oauth(
        hook,
        &format!("http://{token}/token"),
        json!({"scope": "a b", "audience": "https://hook"}),
    );
    let webhook = webhook_with(client(), config, json!({}));
    let event = event();
    let sends: Vec<_> = (0..20).map(|_| send(&webhook, &event)).collect();
    for outcome in futures_join(sends).await {
        assert_eq!(outcome.verdict, Verdict::Delivered);
    }
    assert!(
        seen(&log)
            .iter()
            .all(|seen| seen.headers["authorization"] == "Bearer token-1")
    );
    let asked = seen(&asked);
    assert_eq!(asked.len(), 1, "one for all");
    let body = "grant_type=client_credentials&scope=a+b&audience=https%3A%2F%2Fhook";
    assert_eq!(asked[0].body, body);
    // `bus%3A1:s+e%2Fc`
    assert_eq!(asked[0].headers["authorization"], "Basic YnVzJTNBMTpzK2UlMkZj");
    assert_eq!(asked[0].headers["content-type"], "application/x-www-form-urlencoded");
}

async fn futures_join<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut pinned: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<T>> = pinned.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, slot) in pinned.iter_mut().zip(&mut done).filter(|(_, slot)| slot.is_none()) {
            if let std::task::Poll::Ready(value) = future.as_mut().poll(context) {
                *slot = Some(value);
            }
        }
        match done.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn a_client_may_show_its_secret_in_the_body() {
    let (token, asked) = tokens(3_600).await;
    let (hook, _) = serve(|_| status(200)).await;
    let config = oauth(hook, &format!("http://{token}/token"), json!({"style": "body"}));
    send(&webhook_with(client(), config, json!({})), &event()).await;
    let asked = seen(&asked);
    assert_eq!(
        asked[0].body,
        "grant_type=client_credentials&client_id=bus%3A1&client_secret=s+e%2Fc"
    );
    assert!(!asked[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_token_that_is_not_taken_is_renewed_once() {
    let (token, asked) = tokens(3_600).await;
    let (hook, log) = serve(|seen: &Seen| {
        let is_new = seen.headers["authorization"] == "Bearer token-2";
        status(if is_new { 200 } else { 401 })
    })
    .await;
    let webhook = webhook_with(client(), oauth(hook, &format!("http://{token}/"), json!({})), json!({}));
    assert_eq!(send(&webhook, &event()).await.verdict, Verdict::Delivered);
    assert_eq!((seen(&asked).len(), seen(&log).len()), (2, 2));
    let (hook, log) = serve(|_| status(401)).await;
    let webhook = webhook_with(client(), oauth(hook, &format!("http://{token}/"), json!({})), json!({}));
    let outcome = send(&webhook, &event()).await;
    assert_eq!(
        (outcome.verdict, outcome.reason.as_str()),
        (Verdict::Retry { after: None }, "http_401")
    );
    assert_eq!(seen(&log).len(), 2, "once, not for ever");
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends_by_one_while_the_others_go_on_with_it() {
    let (token, asked) = tokens(3_600).await;
    let credentials =
        json!({"token_url": format!("http://{token}/"), "client_id": "i", "client_secret": "s", "style": "body"});
    let credentials: ClientCredentials = serde_json::from_value(credentials).expect("good credentials");
    let tokens = Tokens::new(client(), &credentials, "s").expect("they fit");
    let first = tokens.get(PATIENCE).await.expect("a token");
    let life = first.ends - Instant::now();
    let until_renewal = (first.renew - Instant::now()).as_secs_f64() / life.as_secs_f64();
    assert!((0.74..=0.91).contains(&until_renewal), "{until_renewal}");
    let due = Token {
        value: first.value.clone(),
        renew: Instant::now(),
        ends: first.ends,
    };
    *tokens.lock() = Some(Arc::new(due));
    let busy = tokens.asking.lock().await;
    assert_eq!(tokens.get(PATIENCE).await.expect("the old one").value, "Bearer token-1");
    drop(busy);
    assert_eq!(tokens.get(PATIENCE).await.expect("a new one").value, "Bearer token-2");
    assert_eq!(seen(&asked).len(), 2);
}

#[tokio::test]
async fn no_token_is_a_retry_with_its_reason_and_nothing_is_sent() {
    let (hook, log) = serve(|_| status(200)).await;
    let (refusing, _) = serve(|_| {
        let mut answer = Response::new(Full::new(Bytes::from_static(br#"{"error": "invalid_client"}"#)));
        *answer.status_mut() = http::StatusCode::UNAUTHORIZED;
        answer
    })
    .await;
    let webhook = webhook_with(
        client(),
        oauth(hook, &format!("http://{refusing}/"), json!({})),
        json!({}),
    );
    let outcome = send(&webhook, &event()).await;
    assert_eq!(
        (outcome.verdict, outcome.reason.as_str()),
        (Verdict::Retry { after: None }, "token_refused")
    );
    let expected = "no token from the token endpoint: it answered 401 Unauthorized: invalid_client";
    assert_eq!(outcome.detail, expected);
    assert!(seen(&log).is_empty());
}

/// Check 50, the part of OAuth: a token URL goes through the same guard, whatever its name resolves to when it is asked.
#[tokio::test]
async fn check_50_a_token_url_that_resolves_to_an_inner_address_is_refused_at_connect() {
    let (hook, log) = serve(|_| status(200)).await;
    let (canary, touched) = tokens(3_600).await;
    for inner in [
        "10.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "fd00::1",
        "fe80::1",
    ] {
        let address: IpAddr = inner.parse().expect("an address");
        let settings = Settings {
            guard: Guard {
                allow_networks: "127.0.0.0/8".parse::<Networks>().expect("a network"),
            },
            resolver: Resolver::table([("token.test", &[address][..])]),
            ..Settings::default()
        };
        let client = Client::new(settings).expect("the settings are fine");
        let url = format!("http://token.test:{}/token", canary.port());
        let outcome = send(&webhook_with(client, oauth(hook, &url, json!({})), json!({})), &event()).await;
        assert_eq!(outcome.reason, "token_refused_address", "{inner}: {}", outcome.detail);
        assert!(outcome.answer.is_empty());
    }
    assert!(seen(&log).is_empty() && seen(&touched).is_empty());
}

fn with_handshake(hook: SocketAddr) -> Value {
    json!({"url": format!("http://{hook}/hook"), "handshake": {"origin": "bus.example.com", "rate": 600}})
}

fn allowing(rate: &'static str) -> impl Fn(&Seen) -> Response<Full<Bytes>> + Clone {
    move |seen: &Seen| {
        let mut answer = status(if seen.method == "OPTIONS" { 204 } else { 200 });
        let headers = answer.headers_mut();
        headers.insert("webhook-allowed-origin", seen.headers["webhook-request-origin"].clone());
        headers.insert("webhook-allowed-rate", HeaderValue::from_static(rate));
        answer
    }
}

#[tokio::test]
async fn the_endpoint_is_asked_once_before_anything_is_delivered() {
    let (hook, log) = serve(allowing("*")).await;
    let webhook = webhook_with(client(), with_handshake(hook), json!({}));
    for _ in 0..3 {
        assert_eq!(send(&webhook, &event()).await.verdict, Verdict::Delivered);
    }
    let seen = seen(&log);
    let methods: Vec<_> = seen.iter().map(|seen| seen.method.as_str()).collect();
    assert_eq!(methods, ["OPTIONS", "POST", "POST", "POST"]);
    assert_eq!(seen[0].headers["webhook-request-rate"], "600");
    assert!(
        seen.iter()
            .all(|seen| seen.headers["webhook-request-origin"] == "bus.example.com")
    );
}

#[tokio::test]
async fn without_a_yes_nothing_is_delivered() {
    let (hook, log) = serve(|_| status(200)).await;
    let webhook = webhook_with(client(), with_handshake(hook), json!({}));
    for asked in 1..=2 {
        let outcome = send(&webhook, &event()).await;
        assert_eq!(
            (outcome.verdict, outcome.reason.as_str()),
            (Verdict::Retry { after: None }, "handshake_refused")
        );
        assert_eq!(seen(&log).len(), asked, "a later yes is seen");
        assert!(seen(&log).iter().all(|seen| seen.method == "OPTIONS"));
    }
}

#[tokio::test]
async fn the_allowed_rate_is_kept_without_an_attempt() {
    let (hook, log) = serve(allowing("1")).await;
    let webhook = webhook_with(client(), with_handshake(hook), json!({}));
    let event = event();
    let members = [Member {
        event: &event.view(),
        record: &record(),
        message_id: "msg_1",
        number: 1,
        accepted: 0,
    }];
    assert_eq!(webhook.attempt(attempt(&members, PATIENCE)).await.sent(), 1);
    let Outcomes::NotNow { after } = webhook.attempt(attempt(&members, PATIENCE)).await else {
        panic!("it was sent")
    };
    assert!(after.as_millis() <= 60_000 && seen(&log).len() == 2, "{after:?}");
}

async fn tried(client: &Client, config: Value, how: ConnectionTest) -> TestReport {
    let config: WebhookConfig = serde_json::from_value(config).expect("a good configuration");
    test(client, &config, how, 1_700_000_000).await
}

fn last(report: &TestReport) -> (&str, &str) {
    let step = report.steps.last().expect("a step");
    (step.name, step.code.as_str())
}

#[tokio::test]
async fn trying_a_connection_says_what_is_wrong() {
    let refused = super::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port")
        .local_addr()
        .expect("bound");
    let resolver = Resolver::table([("inner.test", &["10.0.0.1".parse::<IpAddr>().expect("an address")][..])]);
    let settings = Settings {
        guard: Guard {
            allow_networks: Networks::loopback(),
        },
        resolver,
        ..Settings::default()
    };
    let client = Client::new(settings).expect("the settings are fine");
    for (url, expected) in [
        (format!("http://{refused}/"), ("connect", "connect")),
        ("http://nowhere.test/".to_owned(), ("name", "dns")),
        ("http://inner.test/".to_owned(), ("address", "refused_address")),
        ("http://10.0.0.1/".to_owned(), ("address", "refused_address")),
    ] {
        let report = tried(&client, json!({"url": url}), ConnectionTest::Head).await;
        assert_eq!(last(&report), expected, "{report:?}");
        assert!(!report.is_good());
    }
    let (plain, _) = serve(|_| status(200)).await;
    let report = tried(
        &client,
        json!({"url": format!("https://{plain}/")}),
        ConnectionTest::Head,
    )
    .await;
    assert_eq!(last(&report), ("tls", "tls"));
    for (code, expected) in [
        (200, ""),
        (204, ""),
        (302, "redirect"),
        (401, "auth"),
        (403, "auth"),
        (404, "path"),
        (405, ""),
        (410, "gone"),
        (503, "server"),
    ] {
        let (hook, _) = serve(move |_| status(code)).await;
        let report = tried(
            &client,
            json!({"url": format!("http://{hook}/")}),
            ConnectionTest::Options,
        )
        .await;
        assert_eq!(
            (last(&report), report.status),
            (("answer", expected), Some(code)),
            "{code}"
        );
    }
}

#[tokio::test]
async fn trying_sends_no_event_but_its_own_when_it_is_asked_to() {
    let (hook, log) = serve(|_| status(200)).await;
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let config = json!({"url": format!("http://{hook}/"), "auth": {"type": "bearer", "token": "t"},
        "signing": {"style": "standard-webhooks", "secrets": [secret]}});
    for (how, method) in [
        (ConnectionTest::Head, "HEAD"),
        (ConnectionTest::Options, "OPTIONS"),
        (ConnectionTest::Event, "POST"),
    ] {
        let report = tried(&client(), config.clone(), how).await;
        assert!(report.is_good(), "{report:?}");
        let seen = seen(&log).pop().expect("a request");
        assert_eq!(
            (seen.method.as_str(), &seen.headers["authorization"]),
            (method, &HeaderValue::from_static("Bearer t"))
        );
        let is_event = how == ConnectionTest::Event;
        assert_eq!(seen.headers.contains_key("ce-type"), is_event);
        assert_eq!(seen.headers.contains_key("webhook-signature"), is_event);
        assert_eq!(seen.body.is_empty(), !is_event);
    }
    assert_eq!(
        seen(&log).last().expect("the event").headers["ce-type"],
        "io.trunkline.connection.test"
    );
}

#[tokio::test]
async fn a_certificate_that_ends_soon_or_has_ended_is_told() {
    let pem = include_str!("../../../../connector/tests/outbound/client.pem");
    let ends = connector::certificate_ends(pem).expect("it is read");
    let key = include_str!("../../../../connector/tests/outbound/client.key.pem");
    let config = json!({"url": "https://nowhere.invalid/", "tls": {"certificate": pem, "key": key}});
    let config: WebhookConfig = serde_json::from_value(config).expect("a good configuration");
    for (now, words) in [
        (ends - 86_400 * 100, "in 100 days"),
        (ends - 86_400 * 3, "replace it soon"),
        (ends, "has ended"),
    ] {
        let report = test(&client(), &config, ConnectionTest::Head, now).await;
        assert!(report.steps[0].detail.ends_with(words), "{report:?}");
    }
}
