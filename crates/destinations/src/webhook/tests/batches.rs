//! Several events in a request, and what the receiver says of each.

use super::{Log, PATIENCE, attempt, client, only, record, serve, status, webhook_with};
use bytes::Bytes;
use delivery::{Destination, Limits, Member, Outcome, Outcomes, Verdict};
use event::{Data, Event, identity, json as event_json};
use http::{HeaderValue, Response, header};
use http_body_util::Full;
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};

const IDS: [&str; 3] = ["msg_a", "msg_b", "msg_c"];

fn events() -> Vec<Event> {
    let datas = [Data::json(r#"{"n": 0}"#), Data::json(r#""text""#), Data::json("[1,2]")];
    let event = |(index, data)| {
        Event::builder(index, "/shop", "order")
            .extension("webhookid", "msg_of_another_bus")
            .data(data)
            .build()
            .expect("valid")
    };
    ["0", "1", "2"].into_iter().zip(datas).map(event).collect()
}

async fn send(address: SocketAddr, mode: &str, batch: Value) -> Outcomes {
    let config = json!({"url": format!("http://{address}/hook")});
    let subscription = json!({"target": {"mode": mode}, "delivery": {"batch": batch}});
    let webhook = webhook_with(client(), config, subscription);
    let events = events();
    let views: Vec<_> = events.iter().map(Event::view).collect();
    let record = record();
    let members: Vec<_> = views
        .iter()
        .zip(IDS)
        .map(|(event, message_id)| Member {
            event,
            record: &record,
            message_id,
            number: 1,
            accepted: 0,
        })
        .collect();
    webhook.attempt(attempt(&members, PATIENCE)).await
}

fn body(log: &Log) -> Value {
    serde_json::from_slice(&only(log).body).expect("JSON")
}

fn answer(code: u16, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut answer = status(code);
    *answer.body_mut() = Full::new(body.into());
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}

fn each(outcomes: &Outcomes) -> &[Outcome] {
    match outcomes {
        Outcomes::Each(each) => each,
        other => panic!("not one by one: {other:?}"),
    }
}

#[tokio::test]
async fn a_batch_is_a_cloudevents_batch_with_an_id_of_its_own_and_the_events_ids_inside() {
    let (address, log) = serve(|_| status(204)).await;
    let outcomes = send(address, "batched", json!({"events": 10})).await;
    assert!(matches!(&outcomes, Outcomes::Whole { sent: 3, outcome } if outcome.verdict == Verdict::Delivered));
    let seen = only(&log);
    assert_eq!(seen.headers["content-type"], "application/cloudevents-batch+json");
    assert_eq!(seen.headers["webhook-id"], identity::batch_id(IDS).as_str());
    let ids: Vec<_> = body(&log)
        .as_array()
        .expect("an array")
        .iter()
        .map(|event| event["webhookid"].clone())
        .collect();
    assert_eq!(ids, IDS);
    let decoded = event_json::decode_batch(&seen.body).expect("a batch");
    let data: Vec<_> = decoded
        .into_iter()
        .map(|event| event.expect("valid").data().expect("data").bytes.clone())
        .collect();
    assert_eq!(data, [&br#"{"n": 0}"#[..], br#""text""#, b"[1,2]"]);
}

#[tokio::test]
async fn the_same_events_in_a_batch_keep_their_id_and_others_have_another() {
    let id = |ids: &[&str]| identity::batch_id(ids.iter().copied());
    assert_eq!(id(&["msg_a", "msg_b"]), id(&["msg_a", "msg_b"]));
    let others = [
        id(&["msg_a"]),
        id(&["msg_b", "msg_a"]),
        id(&["msg_am", "sg_b"]),
        id(&["msg_a", "msg_b", "msg_c"]),
    ];
    assert!(!others.contains(&id(&["msg_a", "msg_b"])));
    assert_eq!(id(&["msg_a", "msg_b"]), "batch_64722c6c846e74750152cffb64d667e0");
}

#[tokio::test]
async fn in_data_mode_a_batch_is_an_array_of_data_also_of_one_event() {
    let (address, log) = serve(|_| status(200)).await;
    send(address, "data", json!({"events": 10})).await;
    assert_eq!(body(&log), json!([{"n": 0}, "text", [1, 2]]));
    assert_eq!(only(&log).headers["content-type"], "application/json");
    let (address, log) = serve(|_| status(200)).await;
    let outcomes = send(address, "data", json!({"events": 10, "bytes": 10})).await;
    assert_eq!(outcomes.sent(), 1, "the first goes whatever its size");
    assert_eq!(body(&log), json!([{"n": 0}]));
}

#[tokio::test]
async fn what_does_not_fit_is_left_for_another_request() {
    let (address, log) = serve(|_| status(200)).await;
    let outcomes = send(address, "data", json!({"events": 10, "bytes": 18})).await;
    assert_eq!(outcomes.sent(), 2);
    assert_eq!(only(&log).body, &br#"[{"n": 0},"text"]"#[..]);
    let exact = send(
        serve(|_| status(200)).await.0,
        "data",
        json!({"events": 10, "bytes": 17}),
    )
    .await;
    assert_eq!(exact.sent(), 2, "the bound is the whole body");
    let less = send(
        serve(|_| status(200)).await.0,
        "data",
        json!({"events": 10, "bytes": 16}),
    )
    .await;
    assert_eq!(less.sent(), 1);
}

#[tokio::test]
async fn a_subscription_says_what_a_request_holds() {
    let limits = |mode: &str, batch: Value| {
        let subscription = json!({"target": {"mode": mode}, "delivery": {"batch": batch}});
        webhook_with(client(), json!({"url": "http://127.0.0.1:9/"}), subscription).limits()
    };
    let ten = Limits {
        events: 10,
        bytes: 2_048,
    };
    assert_eq!(limits("batched", json!({"events": 10, "bytes": 2_048})), ten);
    assert_eq!(limits("data", json!({"events": 10, "bytes": 2_048})), ten);
    for mode in ["binary", "structured", "data"] {
        assert_eq!(limits(mode, json!({})), Limits::ONE);
    }
}

#[tokio::test]
async fn the_receiver_may_say_what_became_of_each_event() {
    let results = r#"{"results": [{"id": "msg_c", "status": 410}, {"index": 1, "status": 503, "error": "busy", "retry_after": 30}]}"#;
    for code in [200, 207] {
        let (address, _) = serve(move |_| answer(code, results)).await;
        let outcomes = send(address, "batched", json!({"events": 10})).await;
        let each = each(&outcomes);
        assert_eq!(each[0].verdict, Verdict::Delivered);
        let after = Some(Duration::from_secs(30));
        assert_eq!(
            (each[1].verdict, each[1].reason.as_str()),
            (Verdict::Retry { after }, "http_503")
        );
        assert_eq!(
            each[1].detail,
            "the endpoint said 503 Service Unavailable of this event: busy"
        );
        assert_eq!((each[2].verdict, each[2].status), (Verdict::Refused, Some(410)));
    }
}

#[tokio::test]
async fn an_answer_of_success_without_results_is_for_the_whole_batch() {
    for said in ["", "{}", "[1]", r#"{"ok": true}"#, "not json"] {
        let (address, _) = serve(move |_| answer(200, said)).await;
        let outcomes = send(address, "batched", json!({"events": 10})).await;
        assert!(matches!(&outcomes, Outcomes::Whole { sent: 3, outcome } if outcome.verdict == Verdict::Delivered));
    }
}

#[tokio::test]
async fn results_that_cannot_be_understood_deliver_nothing() {
    let unknown = Bytes::from_static(br#"{"results": [{"id": "msg_x", "status": 500}]}"#);
    let endless = Bytes::from(vec![b' '; super::super::results::RESULTS_BYTES_MAX + 1]);
    for said in [unknown, endless] {
        let (address, _) = serve(move |_| answer(200, said.clone())).await;
        let outcomes = send(address, "batched", json!({"events": 10})).await;
        let Outcomes::Whole { sent: 3, outcome } = outcomes else {
            panic!("{outcomes:?}")
        };
        assert_eq!(
            (outcome.verdict, outcome.reason.as_str()),
            (Verdict::Retry { after: None }, "batch_results")
        );
    }
}

#[tokio::test]
async fn an_answer_other_than_success_is_for_the_whole_batch() {
    let (address, _) = serve(|_| answer(503, r#"{"results": [{"status": 200}]}"#)).await;
    let outcomes = send(address, "batched", json!({"events": 10})).await;
    assert!(matches!(&outcomes, Outcomes::Whole { sent: 3, outcome } if outcome.status == Some(503)));
}
