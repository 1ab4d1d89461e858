//! What requests carry beside what their events make of them: parameters of connections, of targets, and of requests for tokens.

use super::{Log, PATIENCE, Seen, attempt, client, only, serve, status, webhook_with};
use bytes::Bytes;
use delivery::{Destination, Member, Outcome, Record, Verdict};
use event::{Data, Event, record_binding::record_headers};
use http::Response;
use http_body_util::Full;
use serde_json::{Value, json};
use std::net::SocketAddr;

/// Delivers an event whose data is this, as it is in its record.
async fn delivered(config: Value, subscription: Value, data: &str) -> Outcome {
    let event = Event::builder("1", "/shop", "order").data(Data::json(data.to_owned()));
    let event = event.build().expect("a good event");
    let value = event.data().map(|data| data.bytes.as_ref());
    let record = Record::new(None, value, record_headers(&event).iter());
    let webhook = webhook_with(client(), config, subscription);
    let members = [Member {
        event: &event.view(),
        record: &record,
        message_id: "msg_1",
        number: 1,
        accepted: 0,
    }];
    let outcomes = webhook.attempt(attempt(&members, PATIENCE)).await;
    outcomes.of(0).expect("an outcome").clone()
}

async fn hook() -> (SocketAddr, Log) {
    serve(|_| status(200)).await
}

#[tokio::test]
async fn a_request_has_the_parameters_of_its_target_and_before_them_its_connections() {
    let (address, log) = hook().await;
    let config = json!({
        "url": format!("http://{address}/customers/*/orders/new-*?fixed=a%20b"),
        "headers": {"x-own": "own"},
        "parameters": [
            {"in": "query", "name": "token", "secret": "query SECRET"},
            {"in": "query", "name": "v", "value": "1"},
            {"in": "header", "name": "x-key", "secret": "header-SECRET"},
            {"in": "body", "name": "total", "value": "replaced"},
            {"in": "body", "name": "key", "secret": "body-SECRET"},
        ],
    });
    let target = json!({
        "mode": "data",
        "path": ["$.detail.customer", "x"],
        "query": {"v": "2", "n": "$.detail.total", "what": "$.detail-type"},
        "headers": {"X-Own": "other", "x-key": "other", "x-customer": "$.detail.customer", "x-id": "$.id"},
    });
    let data = r#"{"customer": "a/b c&d", "total": 5.0}"#;
    let outcome = delivered(config, json!({"target": target}), data).await;
    assert_eq!(outcome.verdict, Verdict::Delivered, "{outcome:?}");
    let seen = only(&log);
    assert_eq!(
        seen.uri,
        "/customers/a%2Fb%20c%26d/orders/new-x?fixed=a%20b&n=5.0&what=order&token=query+SECRET&v=1"
    );
    let header = |name: &str| seen.headers[name].to_str().expect("text").to_owned();
    assert_eq!(
        [header("x-own"), header("x-key"), header("x-customer"), header("x-id")],
        ["own", "header-SECRET", "a/b c&d", "1"]
    );
    let body: Value = serde_json::from_slice(&seen.body).expect("JSON");
    assert_eq!(
        body,
        json!({"customer": "a/b c&d", "total": "replaced", "key": "body-SECRET"})
    );
}

#[tokio::test]
async fn a_value_that_an_event_lacks_or_that_would_lead_elsewhere_is_about_the_event() {
    let (address, log) = hook().await;
    let config = json!({"url": format!("http://{address}/orders/*/lines")});
    for (target, data) in [
        (json!({"path": ["$.detail.none"]}), "{}"),
        (json!({"path": ["$.detail.id"]}), r#"{"id": ".."}"#),
        (json!({"path": ["$.detail.id"]}), r#"{"id": ""}"#),
        (json!({"path": ["$.detail.id"]}), r#"{"id": null}"#),
        (
            json!({"path": ["1"], "headers": {"x-id": "$.detail.id"}}),
            r#"{"id": "a\r\nx: y"}"#,
        ),
        (
            json!({"path": ["1"], "headers": {"x-id": "$.detail.id"}}),
            r#"{"id": " lead"}"#,
        ),
        (
            json!({"path": ["1"], "headers": {"x-id": "$.detail.id"}}),
            r#"{"id": "\t"}"#,
        ),
        (json!({"path": ["1"], "query": {"id": "$.detail.id"}}), "{}"),
    ] {
        let outcome = delivered(config.clone(), json!({"target": target}), data).await;
        assert_eq!(
            (outcome.verdict, outcome.reason.as_str()),
            (Verdict::Refused, "event_unsuitable"),
            "{target} {data}"
        );
    }
    let with_body = json!({
        "url": format!("http://{address}/"), "parameters": [{"in": "body", "name": "a", "value": "b"}],
    });
    let outcome = delivered(with_body, json!({"target": {"mode": "data"}}), "[1]").await;
    assert_eq!(outcome.verdict, Verdict::Refused, "{outcome:?}");
    assert!(log.lock().expect("no test panics while holding it").is_empty());
    // A place without a value stays what it was: a star.
    let outcome = delivered(config, json!({}), "{}").await;
    assert_eq!(
        (outcome.verdict, only(&log).uri.as_str()),
        (Verdict::Delivered, "/orders/*/lines")
    );
}

#[tokio::test]
async fn a_dry_run_shows_the_request_without_the_secrets_of_its_parameters() {
    let config: control::resources::WebhookConfig = serde_json::from_value(json!({
        "url": "http://127.0.0.1:1/*",
        "parameters": [
            {"in": "query", "name": "token", "secret": "QUERY-SECRET"},
            {"in": "header", "name": "x-key", "secret": "HEADER-SECRET"},
            {"in": "body", "name": "key", "secret": "BODY-SECRET"},
        ],
    }))
    .expect("a good configuration");
    for target in [
        json!({"mode": "data"}),
        json!({"mode": "data", "path": ["$.detail.id"]}),
    ] {
        let subscription =
            serde_json::from_value(json!({"connection": "crm", "target": target})).expect("a subscription");
        let shared = crate::webhook::Shared::new(&client(), &config)
            .expect("made ready")
            .in_dry_run(true);
        let webhook = crate::webhook::Webhook::new(shared.into(), &subscription).expect("a good target");
        let event = Event::builder("1", "/shop", "order").data(Data::json(r#"{"id": 7}"#));
        let event = event.build().expect("a good event");
        let value = event.data().map(|data| data.bytes.as_ref());
        let members = [Member {
            event: &event.view(),
            record: &Record::new(None, value, record_headers(&event).iter()),
            message_id: "msg_1",
            number: 1,
            accepted: 0,
        }];
        let outcomes = webhook.attempt(attempt(&members, PATIENCE)).await;
        let shown = String::from_utf8_lossy(&outcomes.of(0).expect("an outcome").answer).into_owned();
        assert!(
            !shown.contains("SECRET") && shown.contains("?token=***") && shown.contains(r#""key":"***""#),
            "{shown}"
        );
    }
    let shared = crate::webhook::Shared::new(&client(), &config).expect("made ready");
    let shown = shared.address.as_ref().map(|address| address.shown().to_string());
    assert_eq!(shown.ok().as_deref(), Some("http://127.0.0.1:1/*?token=***"));
}

#[tokio::test]
async fn a_token_is_asked_for_as_its_server_wants_to_be_asked() {
    let give = |_: &Seen| {
        let body = json!({"access_token": "t", "token_type": "Bearer"}).to_string();
        Response::new(Full::new(Bytes::from(body)))
    };
    for (method, uri, body) in [
        ("POST", "/token?tenant=shop", "grant_type=password&resource=r+SECRET"),
        ("PUT", "/token?tenant=shop", "grant_type=password&resource=r+SECRET"),
        ("GET", "/token?tenant=shop&grant_type=password&resource=r+SECRET", ""),
    ] {
        let (token, asked) = serve(give).await;
        let (address, _log) = hook().await;
        let auth = json!({
            "type": "oauth2-client-credentials", "token_url": format!("http://{token}/token"), "client_id": "id",
            "client_secret": "secret", "method": method, "parameters": [
                {"in": "header", "name": "x-version", "value": "3"},
                {"in": "query", "name": "tenant", "value": "shop"},
                {"in": "body", "name": "grant_type", "value": "password"},
                {"in": "body", "name": "resource", "secret": "r SECRET"},
            ],
        });
        let config = json!({"url": format!("http://{address}/"), "auth": auth});
        let outcome = delivered(config, json!({}), "{}").await;
        assert_eq!(outcome.verdict, Verdict::Delivered, "{outcome:?}");
        let seen = only(&asked);
        assert_eq!(
            (seen.method.as_str(), seen.uri.as_str(), &seen.body[..]),
            (method, uri, body.as_bytes())
        );
        assert_eq!(seen.headers["x-version"], "3");
    }
}
