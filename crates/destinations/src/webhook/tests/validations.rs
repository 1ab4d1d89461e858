//! Webhooks in Event Grid's schema: asked first, and then given their events with Event Grid's headers.

use super::*;
use delivery::{Validation, ValidationState, Validations};
use serde_json::Value;

async fn validations(public_url: &str) -> Validations {
    let store: Arc<dyn store::Store> = Arc::new(store::Memory::new());
    Validations::open(store, public_url).await.expect("memory opens")
}

fn grid(address: SocketAddr, validations: &Validations) -> Webhook {
    let subscription = json!({"target": {"mode": "eventgrid"}, "delivery": {"batch": {"events": 10}}});
    let config = json!({"url": format!("http://{address}/hook"), "headers": {"x-key": "k"}});
    webhook_with(client(), config, subscription).behind(Gate::new(validations.clone(), "default", 7))
}

/// One attempt of two events, at this second.
async fn try_at(webhook: &Webhook, now: i64) -> Outcomes {
    let (one, other) = (event(), Event::builder("2", "/s", "t").build().expect("valid"));
    let (one, other) = (one.view(), other.view());
    let record = record();
    let member = |event, number| Member {
        event,
        record: &record,
        message_id: "msg_1",
        number,
        accepted: 0,
    };
    let members = [member(&one, 3), member(&other, 1)];
    let attempt = Attempt {
        now,
        ..attempt(&members, PATIENCE)
    };
    webhook.attempt(attempt).await
}

const NOW: i64 = 1_800_000_000;

fn code_of(seen: &Seen) -> String {
    let asked: Value = serde_json::from_slice(&seen.body).expect("JSON");
    assert_eq!(asked[0]["eventType"], "Microsoft.EventGrid.SubscriptionValidationEvent");
    asked[0]["data"]["validationCode"].as_str().expect("a code").to_owned()
}

fn is_validation(seen: &Seen) -> bool {
    seen.headers["aeg-event-type"] == "SubscriptionValidation"
}

#[tokio::test]
async fn a_webhook_that_gives_the_code_back_gets_its_events_with_event_grids_headers() {
    let (address, log) = serve(|seen| match is_validation(seen) {
        true => Response::new(Full::new(
            json!({"validationResponse": code_of(seen)}).to_string().into(),
        )),
        false => status(204),
    })
    .await;
    let validations = validations("").await;
    let webhook = grid(address, &validations);
    for _ in 0..2 {
        let outcomes = try_at(&webhook, NOW).await;
        assert_eq!((outcomes.sent(), outcomes.first_failed()), (2, None));
    }
    let seen = log.lock().expect("no test panics while holding it").clone();
    assert_eq!(
        seen.iter().map(is_validation).collect::<Vec<_>>(),
        [true, false, false],
        "asked once"
    );
    assert_eq!(seen[0].headers["x-key"], "k", "with what the connection says of itself");
    let headers = &seen[1].headers;
    for (name, value) in [
        ("aeg-event-type", "Notification"),
        ("aeg-subscription-name", "paid-orders"),
        ("aeg-delivery-count", "2"),
        ("aeg-metadata-version", "1"),
        ("aeg-data-version", ""),
        ("content-type", "application/json"),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    assert!(!headers.contains_key("aeg-output-event-id"), "there are two");
    let sent: Value = serde_json::from_slice(&seen[1].body).expect("JSON");
    assert_eq!(
        (&sent[0]["eventType"], &sent[0]["topic"]),
        (&json!("com.example.order.placed"), &json!("/shop"))
    );
    assert_eq!(
        (&sent[1]["id"], &sent[1]["eventTime"]),
        (&json!("2"), &json!("2027-01-15T08:00:00Z"))
    );
    assert_eq!(
        validations.shown(7).map(|shown| shown.state),
        Some(ValidationState::Succeeded)
    );
}

/// An attempt that is made while the webhook is asked is neither sent nor put off: it goes on when the webhook has answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_while_the_webhook_is_asked_goes_on_with_its_answer() {
    for (answers_rightly, waits) in [(true, false), (false, true)] {
        let (tells, mut asked) = tokio::sync::mpsc::unbounded_channel();
        let (answer, may_answer) = std::sync::mpsc::channel::<()>();
        let may_answer = Arc::new(Mutex::new(may_answer));
        let (address, log) = serve(move |seen| {
            if !is_validation(seen) {
                return status(204);
            }
            tells.send(()).expect("the test listens");
            let held = may_answer.lock().expect("no test panics while holding it");
            held.recv().expect("the test says when");
            let code = if answers_rightly {
                code_of(seen)
            } else {
                "another".to_owned()
            };
            Response::new(Full::new(json!({"validationResponse": code}).to_string().into()))
        })
        .await;
        let validations = validations("").await;
        let webhook = grid(address, &validations);
        let meanwhile = async {
            asked.recv().await.expect("it is asked");
            let release = async { answer.send(()).expect("the webhook waits") };
            tokio::join!(biased; try_at(&webhook, NOW), release).0
        };
        let (first, second) = tokio::join!(try_at(&webhook, NOW), meanwhile);
        assert_eq!(first.sent(), if answers_rightly { 2 } else { 0 });
        let Outcomes::NotNow { after } = second else {
            panic!("no attempt is used up: {second:?}");
        };
        assert_eq!(!after.is_zero(), waits, "{after:?}");
        let validations = log.lock().expect("no test panics while holding it");
        assert_eq!(validations.iter().filter(|seen| is_validation(seen)).count(), 1);
    }
}

/// Of a request with one event, its id stands in a header too.
#[tokio::test]
async fn a_single_event_says_its_id_in_a_header() {
    let (address, log) = serve(|seen| match is_validation(seen) {
        true => Response::new(Full::new(
            json!({"validationResponse": code_of(seen)}).to_string().into(),
        )),
        false => status(204),
    })
    .await;
    let config = json!({"url": format!("http://{address}/hook")});
    let webhook = webhook_with(client(), config, json!({"target": {"mode": "eventgrid"}}));
    let webhook = webhook.behind(Gate::new(validations("").await, "default", 7));
    assert_eq!(try_at(&webhook, NOW).await.sent(), 1);
    let log = log.lock().expect("no test panics while holding it");
    assert_eq!(log[1].headers["aeg-output-event-id"], event().id());
}

#[tokio::test]
async fn events_wait_for_a_webhook_that_says_no_and_it_is_asked_again() {
    let (address, log) = serve(|_| status(500)).await;
    let validations = validations("").await;
    let webhook = grid(address, &validations);
    for now in [NOW, NOW + 1, NOW + 59] {
        let outcomes = try_at(&webhook, now).await;
        assert!(
            matches!(outcomes, Outcomes::NotNow { .. }),
            "no attempt is used up: {outcomes:?}"
        );
    }
    assert_eq!(log.lock().expect("no test panics while holding it").len(), 1);
    let shown = validations.shown(7).expect("it was asked");
    assert_eq!(shown.state, ValidationState::Failed);
    assert!(shown.reason.contains("500"), "{shown:?}");
    try_at(&webhook, NOW + 60).await;
    assert_eq!(log.lock().expect("no test panics while holding it").len(), 2);
}

#[tokio::test]
async fn somebody_may_say_yes_for_a_webhook_at_the_address_of_its_validation() {
    for (answer, words) in [
        ("", "without a validationResponse"),
        (r#"{"validationResponse": "another"}"#, "another code"),
    ] {
        let (address, log) = serve(move |seen| match is_validation(seen) {
            true => Response::new(Full::new(Bytes::from_static(answer.as_bytes()))),
            false => status(204),
        })
        .await;
        let validations = validations("https://bus.example.com").await;
        let webhook = grid(address, &validations);
        assert!(matches!(try_at(&webhook, NOW).await, Outcomes::NotNow { .. }));
        let Some(Validation {
            state,
            reason,
            address_ends,
        }) = validations.shown(7)
        else {
            panic!("it was asked")
        };
        assert_eq!(
            (state, address_ends),
            (ValidationState::AwaitingManualAction, Some(NOW + 600))
        );
        assert!(reason.contains(words), "{reason}");
        let asked: Value = serde_json::from_slice(&only(&log).body).expect("JSON");
        let url = asked[0]["data"]["validationUrl"]
            .as_str()
            .expect("an address")
            .to_owned();
        let code = url
            .strip_prefix("https://bus.example.com/v1/validations/")
            .expect("its path");
        assert_eq!(validations.opened(code, NOW + 300).await, Ok(true));
        assert_eq!(try_at(&webhook, NOW + 301).await.sent(), 2);
    }
}
