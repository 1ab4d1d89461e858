//! What Lambda functions say of the events of a batch.

use super::{RETRY, answer, connection, deliver, destination, event, verdicts};
use crate::webhook::tests::serve;
use delivery::Verdict;
use serde_json::{Value, json};

async fn said(body: &'static str, invocation: &str) -> (Vec<(Verdict, String)>, Vec<Value>) {
    let (address, log) = serve(move |_| answer(200, body)).await;
    let spec = connection("lambda", address, json!({"function": "f", "invocation": invocation}));
    let destination = destination(&spec, false, json!({"target": {"mode": "batched"}}));
    let outcomes = deliver(&destination, &[event("1"), event("2"), event("3")]).await;
    let log = log.lock().expect("no test panics while holding it");
    let sent = serde_json::from_slice(&log[0].body).expect("an array");
    (verdicts(&outcomes), sent)
}

#[tokio::test]
async fn a_function_names_the_events_of_a_batch_that_failed() {
    let taken = (Verdict::Delivered, String::new());
    let failed = (RETRY, "http_500".to_owned());
    let refused = (Verdict::Refused, "http_422".to_owned());
    for (body, expected) in [
        (
            r#"{"batchItemFailures": [{"itemIdentifier": "msg_1"}]}"#,
            [taken.clone(), failed, taken.clone()],
        ),
        (
            r#"{"results": [{"index": 2, "status": 422, "error": "no such customer"}]}"#,
            [taken.clone(), taken.clone(), refused],
        ),
        (
            r#"{"batchItemFailures": []}"#,
            [taken.clone(), taken.clone(), taken.clone()],
        ),
        (r#""done""#, [taken.clone(), taken.clone(), taken.clone()]),
        ("null", [taken.clone(), taken.clone(), taken]),
    ] {
        let (outcomes, sent) = said(body, "request-response").await;
        assert_eq!(outcomes, expected, "{body}");
        assert_eq!((&sent[1]["id"], &sent[1]["webhookid"]), (&json!("2"), &json!("msg_1")));
    }
}

/// As Lambda itself has it: who names nothing that is there has failed as a whole.
#[tokio::test]
async fn what_names_no_event_of_the_batch_is_not_believed() {
    let body = r#"{"batchItemFailures": [{"itemIdentifier": "msg_9"}]}"#;
    let (outcomes, _) = said(body, "request-response").await;
    assert_eq!(outcomes, vec![(RETRY, "batch_results".to_owned()); 3]);
    // Lambda's own answer to an invocation that is only queued says nothing of events.
    let (outcomes, _) = said(body, "event").await;
    assert_eq!(outcomes, vec![(Verdict::Delivered, String::new()); 3]);
}
