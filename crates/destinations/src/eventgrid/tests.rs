//! What a topic gets, and what its answers mean, with a real server in its place.

use super::*;
use crate::webhook::tests::{Log, Seen, client, serve};
use bytes::Bytes;
use control::resources::{EventGridConfig, SubscriptionSpec};
use delivery::{Attempt, ConnectionTest, Destination, Member, Outcome, Outcomes, Record, Verdict};
use event::{Data, Event, eventgrid, hops, json};
use http::Response;
use http_body_util::Full;
use serde_json::{Value, json};
use std::{net::SocketAddr, sync::Arc, time::Duration};

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const NOW: i64 = 1_769_882_709;

async fn answering(status: u16) -> (SocketAddr, Log) {
    serve(move |_| {
        let answer = Response::builder().status(status).header("retry-after", "7");
        answer.body(Full::new(Bytes::from_static(b"{}"))).expect("an answer")
    })
    .await
}

fn topic_config(address: SocketAddr, more: Value) -> EventGridConfig {
    let mut config = json!({"endpoint": format!("http://{address}/api/events"), "auth": {"type": "key", "key": KEY}});
    for (name, value) in more.as_object().expect("an object") {
        config[name] = value.clone();
    }
    serde_json::from_value(config).expect("a good configuration")
}

fn topic(address: SocketAddr, more: Value, dry_run: bool) -> EventGrid {
    let subscription: SubscriptionSpec = serde_json::from_value(json!({"connection": "c"})).expect("a subscription");
    let shared = Shared::new(&client(), &topic_config(address, more), dry_run).expect("it can be made ready");
    EventGrid::new(Arc::new(shared), &subscription)
}

fn event(id: &str) -> Event {
    let event = Event::builder(id, "/shop", "Order.Placed").data(Data::json(r#"{"total":5}"#));
    event.build().expect("valid")
}

async fn send(topic: &EventGrid, events: &[Event]) -> Outcomes {
    let record = Record::new(None, None, std::iter::empty());
    let views: Vec<_> = events.iter().map(Event::view).collect();
    let members: Vec<Member<'_>> = views
        .iter()
        .map(|event| Member {
            event,
            record: &record,
            message_id: "msg_1",
            number: 1,
            accepted: 0,
        })
        .collect();
    let attempt = Attempt {
        members: &members,
        subscription: "s",
        origin: "default",
        now: NOW,
        timeout: Duration::from_secs(60),
        replay: None,
    };
    topic.attempt(attempt).await
}

fn only(log: &Log) -> Seen {
    let seen = log.lock().expect("no test panics while holding it");
    assert_eq!(seen.len(), 1, "one request arrived");
    seen[0].clone()
}

fn whole(outcomes: Outcomes) -> Outcome {
    match outcomes {
        Outcomes::Whole { sent: 1, outcome } => outcome,
        other => panic!("one event, one outcome: {other:?}"),
    }
}

#[tokio::test]
async fn a_topic_gets_a_batch_of_cloudevents_with_its_key_and_one_hop_more() {
    let (address, log) = answering(200).await;
    let events = [event("1"), event("2")];
    let outcomes = send(&topic(address, json!({}), false), &events).await;
    assert_eq!(outcomes.sent(), 2);
    assert_eq!(outcomes.of(1).map(|outcome| outcome.verdict), Some(Verdict::Delivered));
    let seen = only(&log);
    assert_eq!(
        (seen.path.as_str(), &seen.headers["aeg-sas-key"]),
        ("/api/events", &KEY.parse().expect("ASCII"))
    );
    assert_eq!(seen.headers["content-type"], json::BATCH_MEDIA_TYPE);
    let sent = json::decode_batch(&seen.body).expect("a batch");
    let sent: Vec<Event> = sent.into_iter().collect::<Result<_, _>>().expect("valid events");
    assert_eq!((sent.len(), sent[0].extension(hops::EXTENSION)), (2, Some("1")));
    assert_eq!(sent[1].view().data(), Some(&b"{\"total\":5}"[..]));
}

#[tokio::test]
async fn a_topic_of_the_other_schema_gets_that_and_a_signature_where_the_connection_signs() {
    let (address, log) = answering(200).await;
    let more = json!({"schema": "eventgrid", "auth": {"type": "sas", "key": KEY}});
    whole(send(&topic(address, more, false), &[event("1")]).await);
    let seen = only(&log);
    assert_eq!(seen.headers["content-type"], "application/json");
    assert!(!seen.headers.contains_key("aeg-sas-key"));
    let token = seen.headers["aeg-sas-token"].to_str().expect("ASCII");
    assert!(
        token.starts_with("r=http%3A%2F%2F127.0.0.1%3A") && token.contains("&s="),
        "{token}"
    );
    let sent = eventgrid::decode(&seen.body, "/x")
        .expect("an array")
        .remove(0)
        .expect("a valid event");
    assert_eq!((sent.source(), sent.event_type()), ("/shop", "Order.Placed"));
    assert_eq!(sent.extension(hops::EXTENSION), Some("1"));
}

/// The tokens of Entra ID are those of every OAuth client: asked for once, renewed when they are refused.
#[tokio::test]
async fn an_application_of_entra_shows_a_token() {
    let (address, log) = serve(|seen| {
        let body = match seen.path.as_str() {
            "/my-tenant/oauth2/v2.0/token" => r#"{"access_token":"TOKEN","token_type":"Bearer","expires_in":3600}"#,
            _ => "",
        };
        Response::new(Full::new(Bytes::from_static(body.as_bytes())))
    })
    .await;
    let auth = json!({"type": "entra", "tenant": "my-tenant", "client_id": "app", "client_secret": "SECRET",
        "authority": format!("http://{address}/")});
    let topic = topic(address, json!({"auth": auth}), false);
    for _ in 0..2 {
        assert_eq!(whole(send(&topic, &[event("1")]).await).verdict, Verdict::Delivered);
    }
    let log = log.lock().expect("no test panics while holding it");
    let paths: Vec<&str> = log.iter().map(|seen| seen.path.as_str()).collect();
    assert_eq!(paths, ["/my-tenant/oauth2/v2.0/token", "/api/events", "/api/events"]);
    let asked = String::from_utf8_lossy(&log[0].body);
    assert!(
        asked.contains("scope=https%3A%2F%2Feventgrid.azure.net%2F.default"),
        "{asked}"
    );
    assert_eq!(log[1].headers["authorization"], "Bearer TOKEN");
}

#[tokio::test]
async fn every_status_means_what_event_grid_means_by_it() {
    let retry = Verdict::Retry {
        after: Some(Duration::from_secs(7)),
    };
    for (status, verdict, words) in [
        (200, Verdict::Delivered, ""),
        (400, Verdict::Refused, "config.schema"),
        (401, retry, "does not accept the key"),
        (403, retry, "EventGrid Data Sender"),
        (404, retry, "no such topic"),
        (413, Verdict::Refused, "too large"),
        (429, retry, "more events"),
        (503, retry, "not there for now"),
    ] {
        let (address, _) = answering(status).await;
        let outcome = whole(send(&topic(address, json!({}), false), &[event("1")]).await);
        assert_eq!((outcome.verdict, outcome.status), (verdict, Some(status)));
        assert!(outcome.detail.contains(words), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_request_holds_at_most_a_mebibyte_and_what_can_never_go_is_refused_by_itself() {
    let (address, log) = answering(200).await;
    let topic = topic(address, json!({}), false);
    let large = |id: &str, bytes: usize| {
        let data = format!("\"{}\"", "x".repeat(bytes - 2));
        Event::builder(id, "/s", "t")
            .data(Data::json(data))
            .build()
            .expect("valid")
    };
    let outcomes = send(&topic, &[large("1", 600_000), large("2", 600_000)]).await;
    assert_eq!(outcomes.sent(), 1, "the second goes into a later request");
    assert!(only(&log).body.len() <= 1 << 20);
    let outcomes = send(&topic, &[large("1", 1 << 20), event("2")]).await;
    let refused = outcomes.of(0).expect("an outcome");
    assert_eq!(
        (refused.verdict, refused.reason.as_str()),
        (Verdict::Refused, "event_too_large")
    );
    assert_eq!(outcomes.sent(), 1);
    let looping = Event::builder("1", "/s", "t")
        .extension(hops::EXTENSION, "16")
        .build()
        .expect("valid");
    let outcomes = send(&topic, &[looping]).await;
    assert_eq!(
        outcomes.of(0).map(|outcome| outcome.reason.as_str()),
        Some("too_many_hops")
    );
    assert_eq!(log.lock().expect("no test panics while holding it").len(), 1);
}

#[tokio::test]
async fn a_dry_run_shows_the_request_without_its_secret() {
    let (address, log) = answering(200).await;
    for auth in ["key", "sas"] {
        let more = json!({"auth": {"type": auth, "key": KEY}});
        let outcome = whole(send(&topic(address, more, true), &[event("1")]).await);
        let shown = String::from_utf8_lossy(&outcome.answer).into_owned();
        assert_eq!(outcome.verdict, Verdict::Delivered);
        assert!(
            shown.contains("aeg-sas-") && shown.contains(": ***") && !shown.contains(KEY),
            "{shown}"
        );
        assert!(
            shown.contains("api-version=2018-01-01") && shown.contains("Order.Placed"),
            "{shown}"
        );
    }
    assert!(log.lock().expect("no test panics while holding it").is_empty());
}

#[tokio::test]
async fn a_test_says_in_words_what_is_wrong() {
    for (status, good, step) in [
        (200, true, "answer"),
        (400, true, "answer"),
        (401, false, "credentials"),
        (404, false, "answer"),
    ] {
        let (address, log) = answering(status).await;
        let config = topic_config(address, json!({}));
        let report = test(&client(), &config, ConnectionTest::Head, NOW).await;
        let last = report.steps.last().expect("a step");
        assert_eq!(
            (report.is_good(), last.name, report.status),
            (good, step, Some(status)),
            "{last:?}"
        );
        assert_eq!(only(&log).body.as_ref(), b"[]", "no event is sent");
    }
}

/// In CloudEvents the place is an attribute, in Event Grid's own schema it is the data.
#[tokio::test]
async fn an_event_that_is_too_large_goes_as_its_place_where_that_was_asked_for() {
    let data = Data::json(format!("\"{}\"", "x".repeat((1 << 20) - 2)));
    let large = Event::builder("1", "/shop", "t").data(data).build().expect("valid");
    for schema in ["cloudevents", "eventgrid"] {
        let (address, log) = answering(200).await;
        let subscription = json!({"connection": "c", "target": {"claim_check": {}}});
        let subscription: SubscriptionSpec = serde_json::from_value(subscription).expect("a subscription");
        let config = topic_config(address, json!({"schema": schema}));
        let shared = Shared::new(&client(), &config, false).expect("it can be made ready");
        let topic = EventGrid::new(Arc::new(shared), &subscription).on(&"".into(), &subscription);
        let outcomes = send(&topic, &[event("0"), large.clone(), event("2")]).await;
        assert_eq!(outcomes.sent(), 1, "what is before it goes first");
        let outcomes = send(&topic, &[large.clone(), event("2")]).await;
        assert_eq!(
            (outcomes.sent(), &outcomes.of(0).expect("one").verdict),
            (1, &Verdict::Delivered)
        );
        let log = log.lock().expect("no test panics while holding it");
        let sent: Value = serde_json::from_slice(&log[1].body).expect("an array");
        let place = json!("/v1/buses/default/events/1/data?source=%2Fshop");
        let (found, other) = match schema {
            "cloudevents" => (&sent[0]["dataref"], sent[0].get("data")),
            _ => (&sent[0]["data"]["dataref"], sent[0].get("dataref")),
        };
        assert_eq!((found, other), (&place, None), "{sent}");
    }
}
