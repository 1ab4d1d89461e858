//! Events that are too large, as the place where they are.

use super::{answer, connection, event, subscription};
use crate::{
    aws::{Access, Aws},
    webhook::tests::{client, serve},
};
use delivery::{Attempt, Destination, Member, Outcomes, Record, Verdict};
use event::{Data, Event, record_binding::ORIGINAL_HEADER};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

const TAKEN: &str = r#"{"Successful": [{"Id": "0"}], "FailedEntryCount": 0, "Entries": [{"EventId": "e"}]}"#;

fn large(id: &str, bytes: usize) -> Event {
    let data = Data::json(format!(r#"{{"x":"{}"}}"#, "x".repeat(bytes - 8)));
    let event = Event::builder(id, "https://shop.example.com/a+b", "order.placed").extension("tenant", "t1");
    event.data(data).build().expect("a good event")
}

/// What became of the events, of the bus `orders`, and the body of the request if there was one.
async fn sent(provider: &str, config: Value, target: Value, events: &[Event], record: &Record) -> (Outcomes, String) {
    let (address, log) = serve(|_| answer(200, TAKEN)).await;
    let spec = connection(provider, address, config);
    let access = Access::new(&client(), &spec, false).expect("it can be made ready");
    let subscription = subscription(json!({"target": target}));
    let aws = Aws::new(Arc::new(access), &spec, &subscription).expect("it is one of Amazon's");
    let aws = aws.on(&"https://bus.example.com".into(), &subscription);
    let views: Vec<_> = events.iter().map(Event::view).collect();
    let members: Vec<_> = views
        .iter()
        .map(|event| Member {
            event,
            record,
            message_id: "msg_1",
            number: 1,
            accepted: 0,
        })
        .collect();
    let attempt = Attempt {
        members: &members,
        subscription: "to-aws",
        origin: "orders",
        now: 1_800_000_000,
        timeout: Duration::from_secs(2),
        replay: None,
    };
    let outcomes = aws.attempt(attempt).await;
    let log = log.lock().expect("no test panics while holding it");
    let body = log.first().map(|seen| String::from_utf8_lossy(&seen.body).into_owned());
    (outcomes, body.unwrap_or_default())
}

fn plain() -> Record {
    Record::new(None, None, std::iter::empty())
}

const PLACE: &str =
    "https://bus.example.com/v1/buses/orders/events/order%2F1%20a/data?source=https%3A%2F%2Fshop.example.com%2Fa%2Bb";

fn queue() -> Value {
    json!({"queue": "https://sqs.eu-central-1.amazonaws.com/1/q"})
}

fn message(body: &str) -> Value {
    let body: Value = serde_json::from_str(body).expect("a request");
    serde_json::from_str(body["Entries"][0]["MessageBody"].as_str().expect("a text")).expect("JSON")
}

#[tokio::test]
async fn an_event_that_the_provider_can_never_take_goes_as_its_place() {
    let events = [large("order/1 a", 1 << 20)];
    let (outcomes, body) = sent("sqs", queue(), json!({"claim_check": {}}), &events, &plain()).await;
    assert_eq!(outcomes.of(0).map(|outcome| outcome.verdict), Some(Verdict::Delivered));
    let event = message(&body);
    assert_eq!((&event["dataref"], &event["tenant"]), (&json!(PLACE), &json!("t1")));
    assert_eq!((event.get("data"), event.get("data_base64")), (None, None));
    let (_, body) = sent("eventbridge", json!({}), json!({"claim_check": {}}), &events, &plain()).await;
    let entry = &serde_json::from_str::<Value>(&body).expect("a request")["Entries"][0];
    assert_eq!(entry["Detail"], json!({"dataref": PLACE}).to_string());
    assert_eq!(entry["DetailType"], "order.placed");
}

/// What is small enough goes first, whole; the large one is the first of the next request.
#[tokio::test]
async fn data_that_are_longer_than_was_said_go_as_their_place() {
    let target = json!({"mode": "data", "claim_check": {"over": "1KiB"}});
    let events = [event("1"), large("order/1 a", 1_025), event("3")];
    let (outcomes, body) = sent("sqs", queue(), target.clone(), &events, &plain()).await;
    assert_eq!((outcomes.sent(), message(&body)), (1, json!({"total": 5})));
    let (outcomes, body) = sent("sqs", queue(), target.clone(), &events[1..], &plain()).await;
    assert_eq!((outcomes.sent(), message(&body)), (1, json!({"dataref": PLACE})));
    let (_, body) = sent("sqs", queue(), target, &[large("order/1 a", 1_024)], &plain()).await;
    assert!(message(&body).get("x").is_some(), "{body}");
}

/// The journal has what was received, and an edited dead letter is something else.
#[tokio::test]
async fn an_edited_event_is_never_taken_for_the_one_that_was_received() {
    let edited = Record::new(None, None, [(ORIGINAL_HEADER, Some(&b"x"[..]))].into_iter());
    let events = [large("order/1 a", 1 << 20)];
    let (outcomes, body) = sent("sqs", queue(), json!({"claim_check": {}}), &events, &edited).await;
    let outcome = outcomes.of(0).expect("one");
    assert_eq!(
        (outcome.verdict, outcome.reason.as_str()),
        (Verdict::Refused, "event_too_large")
    );
    assert!(
        outcome.detail.contains("edited") && body.is_empty(),
        "{}",
        outcome.detail
    );
}
