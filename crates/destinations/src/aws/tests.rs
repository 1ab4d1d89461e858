//! Amazon's services against local servers that answer as they do: what arrives, and what each answer means. What the services
//! themselves make of it, the end-to-end tests ask moto.

mod claim_checks;
mod credentials;
mod functions;
mod testing;
mod written;

use super::{Access, Aws};
use crate::webhook::tests::{Log, client, serve, serve_raw};
use bytes::Bytes;
use control::resources::{ConnectionSpec, SubscriptionSpec};
use delivery::{Attempt, Destination, Member, Outcome, Outcomes, Record, Verdict};
use event::{Data, Event};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use std::{net::SocketAddr, sync::Arc, time::Duration};

const RETRY: Verdict = Verdict::Retry { after: None };
const THROTTLED: Verdict = Verdict::Retry {
    after: Some(Duration::from_secs(1)),
};

/// A connection's specification, with an access key and this endpoint.
fn connection(provider: &str, endpoint: SocketAddr, more: Value) -> ConnectionSpec {
    let credentials = json!({"type": "static", "access_key_id": "AKIDEXAMPLE", "secret_access_key": "SECRET-KEY", "session_token": "SESSION-TOKEN"});
    let aws = json!({"region": "eu-central-1", "endpoint": format!("http://{endpoint}"), "credentials": credentials});
    let mut config = json!({"aws": aws});
    merge(&mut config, more);
    serde_json::from_value(json!({"provider": provider, "config": config})).expect("a good connection")
}

fn merge(into: &mut Value, more: Value) {
    for (name, value) in more.as_object().expect("an object") {
        into[name] = value.clone();
    }
}

fn subscription(more: Value) -> SubscriptionSpec {
    let mut document = json!({"connection": "aws"});
    merge(&mut document, more);
    serde_json::from_value(document).expect("a good subscription")
}

fn destination(spec: &ConnectionSpec, dry_run: bool, more: Value) -> Aws {
    let access = Access::new(&client(), spec, dry_run).expect("it can be made ready");
    Aws::new(Arc::new(access), spec, &subscription(more)).expect("it is one of Amazon's")
}

fn event(id: &str) -> Event {
    let event = Event::builder(id, "com.example.shop", "order.placed").time("2026-11-21T10:00:00.250Z");
    event.data(Data::json(r#"{"total": 5}"#)).build().expect("a good event")
}

async fn deliver(destination: &Aws, events: &[Event]) -> Outcomes {
    let views: Vec<_> = events.iter().map(Event::view).collect();
    let record = Record::new(Some(b"customer-7"), None, std::iter::empty());
    let ids: Vec<_> = (0..events.len()).map(|index| format!("msg_{index}")).collect();
    let members: Vec<_> = views
        .iter()
        .zip(&ids)
        .map(|(event, message_id)| Member {
            event,
            record: &record,
            message_id,
            number: 1,
            accepted: 0,
        })
        .collect();
    let attempt = Attempt {
        members: &members,
        subscription: "to-aws",
        origin: "default",
        now: 1_800_000_000,
        timeout: Duration::from_secs(2),
        replay: None,
    };
    destination.attempt(attempt).await
}

fn answer(status: u16, body: &str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *answer.status_mut() = StatusCode::from_u16(status).expect("a status");
    answer
}

/// A server that answers everything alike.
async fn answering(status: u16, body: &'static str) -> (SocketAddr, Log) {
    serve(move |_| answer(status, body)).await
}

fn verdicts(outcomes: &Outcomes) -> Vec<(Verdict, String)> {
    let each = (0..outcomes.sent()).filter_map(|index| outcomes.of(index));
    each.map(|outcome| (outcome.verdict, outcome.reason.clone())).collect()
}

fn single(outcomes: Outcomes) -> Outcome {
    assert_eq!(outcomes.sent(), 1, "{outcomes:?}");
    outcomes.of(0).cloned().expect("one was sent")
}

#[tokio::test]
async fn each_entry_of_an_answer_means_what_it_says_of_it() {
    let delivered = (Verdict::Delivered, String::new());
    let said = |verdict, reason: &str| (verdict, reason.to_owned());
    for (provider, more, body, expected) in [
        (
            "eventbridge",
            json!({}),
            r#"{"FailedEntryCount": 2, "Entries": [{"EventId": "e-1"}, {"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"}, {"ErrorCode": "MalformedDetail"}]}"#,
            [
                delivered.clone(),
                said(THROTTLED, "aws_ThrottlingException"),
                said(Verdict::Refused, "aws_MalformedDetail"),
            ],
        ),
        (
            "sqs",
            json!({"queue": "https://sqs.eu-central-1.amazonaws.com/123456789012/orders"}),
            r#"{"Successful": [{"Id": "2", "MessageId": "m"}], "Failed": [{"Id": "0", "SenderFault": true, "Code": "InvalidMessageContents"}, {"Id": "1", "SenderFault": false, "Code": "SomethingNew"}]}"#,
            [
                said(Verdict::Refused, "aws_InvalidMessageContents"),
                said(RETRY, "aws_error"),
                delivered.clone(),
            ],
        ),
        (
            "sns",
            json!({"topic": "arn:aws:sns:eu-central-1:123456789012:orders"}),
            "<PublishBatchResponse><PublishBatchResult><Successful><member><Id>1</Id></member></Successful><Failed><member><Id>0</Id><Code>InternalError</Code></member><member><Id>2</Id><Code>Other</Code><SenderFault>true</SenderFault></member></Failed></PublishBatchResult></PublishBatchResponse>",
            [
                said(RETRY, "aws_InternalError"),
                delivered.clone(),
                said(Verdict::Refused, "aws_error"),
            ],
        ),
        (
            "kinesis",
            json!({"stream": "orders"}),
            r#"{"FailedRecordCount": 2, "Records": [{"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "full"}, {"SequenceNumber": "1", "ShardId": "s"}, {"ErrorCode": "InternalFailure"}]}"#,
            [
                said(THROTTLED, "aws_ProvisionedThroughputExceededException"),
                delivered.clone(),
                said(RETRY, "aws_InternalFailureException"),
            ],
        ),
    ] {
        let (address, _) = answering(200, body).await;
        let destination = destination(&connection(provider, address, more), false, json!({}));
        let outcomes = deliver(&destination, &[event("1"), event("2"), event("3")]).await;
        assert_eq!(verdicts(&outcomes), expected, "{provider}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_speak_of_each_entry_once_is_not_believed() {
    for (provider, more, body) in [
        (
            "eventbridge",
            json!({}),
            r#"{"FailedEntryCount": 0, "Entries": [{"EventId": "e-1"}]}"#,
        ),
        ("eventbridge", json!({}), "ok"),
        ("kinesis", json!({"stream": "orders"}), r#"{"Records": []}"#),
        (
            "sqs",
            json!({"queue": "https://sqs.eu-central-1.amazonaws.com/1/q"}),
            r#"{"Successful": [{"Id": "0"}, {"Id": "0"}]}"#,
        ),
        (
            "sqs",
            json!({"queue": "https://sqs.eu-central-1.amazonaws.com/1/q"}),
            r#"{"Successful": [{"Id": "7"}]}"#,
        ),
        ("sns", json!({"topic": "arn:aws:sns:eu-central-1:1:t"}), "<html></html>"),
    ] {
        let (address, _) = answering(200, body).await;
        let destination = destination(&connection(provider, address, more), false, json!({}));
        let outcomes = deliver(&destination, &[event("1"), event("2")]).await;
        let unclear = vec![(RETRY, "aws_answer".to_owned()); 2];
        assert_eq!(verdicts(&outcomes), unclear, "{provider} {body}");
    }
}

#[tokio::test]
async fn a_function_is_delivered_to_when_it_did_not_fail() {
    let config = json!({"function": "orders", "invocation": "request-response"});
    let (address, log) = serve(|seen| {
        let mut answer = answer(200, r#"{"errorMessage": "division by zero"}"#);
        if seen.body.starts_with(b"{\"total\": 5") {
            let error = http::HeaderValue::from_static("Unhandled");
            answer.headers_mut().insert("x-amz-function-error", error);
        }
        answer
    })
    .await;
    let spec = connection("lambda", address, config);
    let failing = destination(&spec, false, json!({"target": {"mode": "data"}}));
    let outcome = single(deliver(&failing, &[event("1")]).await);
    assert_eq!(
        (outcome.verdict, outcome.reason.as_str()),
        (RETRY, "aws_function_error")
    );
    assert!(outcome.answer.starts_with(b"{\"errorMessage\""), "{outcome:?}");
    let working = destination(&spec, false, json!({}));
    let outcome = single(deliver(&working, &[event("1")]).await);
    assert_eq!((outcome.verdict, outcome.status), (Verdict::Delivered, Some(200)));
    let log = log.lock().expect("no test panics while holding it");
    assert_eq!(log[0].path, "/2015-03-31/functions/orders/invocations");
    assert_eq!(log[0].headers["x-amz-invocation-type"], "RequestResponse");
}

#[tokio::test]
async fn what_does_not_answer_as_the_service_is_about_the_endpoint() {
    let reset = serve_raw(|stream| async move { drop(stream) }).await;
    let (unavailable, _) = answering(503, "<html>later</html>").await;
    let (forbidden, _) = answering(403, r#"{"__type": "AccessDeniedException", "Message": "no"}"#).await;
    for (address, verdict, reason) in [
        (reset, RETRY, "reset"),
        (unavailable, THROTTLED, "http_503"),
        (forbidden, RETRY, "aws_AccessDeniedException"),
    ] {
        let destination = destination(&connection("eventbridge", address, json!({})), false, json!({}));
        let outcome = single(deliver(&destination, &[event("1")]).await);
        assert_eq!((outcome.verdict, outcome.reason.as_str()), (verdict, reason));
    }
}

#[tokio::test]
async fn an_endpoint_in_a_network_that_is_not_allowed_is_never_asked() {
    let (address, log) = answering(200, "{}").await;
    let spec = connection("eventbridge", address, json!({}));
    let closed = connector::Client::new(connector::Settings::default()).expect("default settings");
    let access = Access::new(&closed, &spec, false).expect("it can be made ready");
    let destination = Aws::new(Arc::new(access), &spec, &subscription(json!({}))).expect("it is one of Amazon's");
    let outcome = single(deliver(&destination, &[event("1")]).await);
    assert_eq!((outcome.verdict, outcome.reason.as_str()), (RETRY, "refused_address"));
    assert!(log.lock().expect("no test panics while holding it").is_empty());
}

#[tokio::test]
async fn a_dry_run_shows_the_request_and_sends_nothing() {
    let (address, log) = answering(200, "{}").await;
    let spec = connection("eventbridge", address, json!({"event_bus": "orders"}));
    let outcomes = deliver(&destination(&spec, true, json!({})), &[event("1"), event("2")]).await;
    assert_eq!(verdicts(&outcomes), vec![(Verdict::Delivered, "dry_run".to_owned()); 2]);
    let shown = String::from_utf8_lossy(&outcomes.of(0).expect("two were shown").answer).into_owned();
    for part in [
        format!("POST http://{address}/ HTTP/1.1\r\n"),
        "x-amz-target: AWSEvents.PutEvents\r\n".to_owned(),
        "authorization: AWS4-HMAC-SHA256 ***\r\n".to_owned(),
        r#""EventBusName":"orders""#.to_owned(),
    ] {
        assert!(shown.contains(&part), "{part:?} in {shown}");
    }
    assert!(!shown.contains("SECRET") && !shown.contains("SESSION"), "{shown}");
    assert!(log.lock().expect("no test panics while holding it").is_empty());
}
