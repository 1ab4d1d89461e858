//! `connections/{name}:test`: one harmless request, and in words what is wrong.

use super::{answering, connection};
use crate::{aws::test, webhook::tests::client};
use delivery::ConnectionTest;
use serde_json::{Value, json};

async fn said(provider: &str, more: Value, how: ConnectionTest, status: u16, body: &'static str) -> (bool, String) {
    let (address, _) = answering(status, body).await;
    let report = test(&client(), &connection(provider, address, more), false, how).await;
    let last = report.steps.last().expect("it says something");
    (
        report.is_good(),
        format!("{} {}: {}", last.name, last.code, last.detail),
    )
}

#[tokio::test]
async fn what_is_missing_or_not_allowed_is_said_in_words() {
    let queue = || json!({"queue": "https://sqs.eu-central-1.amazonaws.com/1/q"});
    let look = ConnectionTest::Head;
    for (provider, more, how, status, body, good, words) in [
        (
            "eventbridge",
            json!({}),
            look,
            200,
            "{}",
            true,
            "answer : EventBridge says that what the connection names is there",
        ),
        (
            "eventbridge",
            json!({"event_bus": "orders"}),
            look,
            400,
            r#"{"__type": "ResourceNotFoundException", "message": "Event bus orders does not exist."}"#,
            false,
            "resource missing: EventBridge said ResourceNotFoundException, there is no such event bus: Event bus orders does not exist.",
        ),
        (
            "sqs",
            queue(),
            look,
            400,
            r#"{"__type": "com.amazonaws.sqs#QueueDoesNotExist"}"#,
            false,
            "resource missing: SQS said QueueDoesNotExist, there is no such queue",
        ),
        (
            "kinesis",
            json!({"stream": "s"}),
            look,
            400,
            r#"{"__type": "AccessDeniedException"}"#,
            true,
            "permission : Kinesis took the credentials, but does not let them look (delivering needs kinesis:PutRecords only); try with an event to be sure",
        ),
        (
            "lambda",
            json!({"function": "f"}),
            look,
            403,
            r#"{"__type": "AccessDeniedException"}"#,
            false,
            "permission permission: Lambda said AccessDeniedException, the credentials do not have the permission; delivering needs lambda:InvokeFunction",
        ),
        (
            "sqs",
            queue(),
            look,
            403,
            r#"{"__type": "InvalidSignatureException"}"#,
            false,
            "credentials credentials: SQS said InvalidSignatureException, the signature is wrong: the secret access key, the region, or this machine's clock",
        ),
        (
            "eventbridge",
            json!({}),
            ConnectionTest::Event,
            200,
            r#"{"FailedEntryCount": 1, "Entries": [{"ErrorCode": "NotAuthorizedForSourceException"}]}"#,
            false,
            "answer aws_NotAuthorizedForSourceException: EventBridge said NotAuthorizedForSourceException, the credentials may not send this source",
        ),
        (
            "eventbridge",
            json!({}),
            ConnectionTest::Event,
            200,
            r#"{"FailedEntryCount": 0, "Entries": [{"EventId": "e"}]}"#,
            true,
            "answer : EventBridge took the test event",
        ),
    ] {
        assert_eq!(said(provider, more, how, status, body).await, (good, words.to_owned()));
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_told_from_a_port_that_is_closed_and_from_one_without_tls() {
    let spec = |endpoint: &str| {
        let credentials = json!({"type": "static", "access_key_id": "AKID", "secret_access_key": "s"});
        let aws = json!({"region": "eu-central-1", "endpoint": endpoint, "credentials": credentials});
        serde_json::from_value(json!({"provider": "eventbridge", "config": {"aws": aws}})).expect("a good connection")
    };
    let (plain, _) = answering(200, "").await;
    for (endpoint, step) in [
        ("http://nobody.invalid".to_owned(), "name"),
        ("http://127.0.0.1:1".to_owned(), "connect"),
        (format!("https://{plain}"), "tls"),
    ] {
        let report = test(&client(), &spec(&endpoint), false, ConnectionTest::Head).await;
        assert_eq!(report.steps.last().map(|last| last.name), Some(step), "{report:?}");
    }
}
