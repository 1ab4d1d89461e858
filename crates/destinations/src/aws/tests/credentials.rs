//! As whom requests are signed.

use super::{answer, connection, deliver, destination, event, single};
use crate::webhook::tests::serve;
use delivery::Verdict;
use http::HeaderMap;
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
}

const TAKEN: &str = r#"{"FailedEntryCount": 0, "Entries": [{"EventId": "e"}]}"#;

#[tokio::test]
async fn a_request_is_signed_for_its_service_region_and_host() {
    let (address, log) = serve(|_| answer(200, TAKEN)).await;
    let destination = destination(&connection("eventbridge", address, json!({})), false, json!({}));
    assert_eq!(
        single(deliver(&destination, &[event("1")]).await).verdict,
        Verdict::Delivered
    );
    let log = log.lock().expect("no test panics while holding it");
    let headers = &log[0].headers;
    let authorization = header(headers, "authorization");
    let day = &header(headers, "x-amz-date")[..8];
    let scope = format!("Credential=AKIDEXAMPLE/{day}/eu-central-1/events/aws4_request");
    assert!(
        authorization.starts_with("AWS4-HMAC-SHA256 ") && authorization.contains(&scope),
        "{authorization}"
    );
    for signed in [
        "content-type",
        "host",
        "x-amz-date",
        "x-amz-security-token",
        "x-amz-target",
    ] {
        assert!(authorization.contains(signed), "{signed} in {authorization}");
    }
    assert_eq!(header(headers, "x-amz-security-token"), "SESSION-TOKEN");
}

/// STS is asked once for many deliveries, and once more when the service says that the token has ended.
#[tokio::test]
async fn a_role_is_taken_once_and_again_when_its_credentials_have_ended() {
    static GIVEN: AtomicUsize = AtomicUsize::new(0);
    let (sts, asked) = serve(|_| {
        let number = GIVEN.fetch_add(1, Ordering::SeqCst);
        answer(
            200,
            &format!(
                "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
                 <AccessKeyId>ASIA{number}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
                 <Expiration>2126-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
            ),
        )
    })
    .await;
    let (address, log) =
        serve(
            |seen| match header(&seen.headers, "authorization").contains("ASIA0") && seen.body.len() > 250 {
                true => answer(400, r#"{"__type": "ExpiredTokenException", "message": "ended"}"#),
                false => answer(200, TAKEN),
            },
        )
        .await;
    let mut spec = serde_json::to_value(json!({"aws": {"region": "eu-central-1", "endpoint": format!("http://{address}"),
        "credentials": {"type": "static", "access_key_id": "AKIDEXAMPLE", "secret_access_key": "s"},
        "assume_role": {"role_arn": "arn:aws:iam::123456789012:role/events", "external_id": "the-bus", "sts_endpoint": format!("http://{sts}")}}}))
    .expect("JSON");
    spec = json!({"provider": "eventbridge", "config": spec});
    let spec = serde_json::from_value(spec).expect("a good connection");
    let destination = destination(&spec, false, json!({}));
    for _ in 0..3 {
        assert_eq!(
            single(deliver(&destination, &[event("1")]).await).verdict,
            Verdict::Delivered
        );
    }
    let long = event::Event::builder("x".repeat(200), "s".repeat(200), "t").data(event::Data::json("{}"));
    let long = long.build().expect("a good event");
    assert_eq!(single(deliver(&destination, &[long]).await).verdict, Verdict::Delivered);
    let asked = asked.lock().expect("no test panics while holding it");
    assert_eq!(asked.len(), 2);
    let form = String::from_utf8_lossy(&asked[0].body).into_owned();
    assert!(
        form.contains("Action=AssumeRole&") && form.contains("ExternalId=the-bus"),
        "{form}"
    );
    assert!(form.contains("RoleSessionName=trunkline"), "{form}");
    let log = log.lock().expect("no test panics while holding it");
    assert_eq!(log.len(), 5, "three, one refused, one again");
    assert!(header(&log[4].headers, "authorization").contains("ASIA1"));
}

#[tokio::test]
async fn a_role_that_is_not_given_is_said_in_words_and_tried_again() {
    let denied = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized to perform sts:AssumeRole</Message></Error></ErrorResponse>";
    let (sts, _) = serve(move |_| answer(403, denied)).await;
    let (address, log) = serve(|_| answer(200, TAKEN)).await;
    let spec = json!({"provider": "eventbridge", "config": {"aws": {"region": "eu-central-1", "endpoint": format!("http://{address}"),
        "credentials": {"type": "static", "access_key_id": "AKIDEXAMPLE", "secret_access_key": "s"},
        "assume_role": {"role_arn": "arn:aws:iam::123456789012:role/events", "sts_endpoint": format!("http://{sts}")}}}});
    let destination = destination(
        &serde_json::from_value(spec).expect("a good connection"),
        false,
        json!({}),
    );
    let outcome = single(deliver(&destination, &[event("1")]).await);
    assert_eq!(
        (outcome.verdict, outcome.reason.as_str()),
        (Verdict::Retry { after: None }, "aws_credentials")
    );
    assert!(outcome.detail.contains("sts:AssumeRole"), "{}", outcome.detail);
    assert!(log.lock().expect("no test panics while holding it").is_empty());
}

/// The guard holds for the chain's own requests: STS behind a private address is not asked.
#[tokio::test]
async fn the_credential_chain_goes_where_deliveries_may_go() {
    let (sts, asked) = serve(|_| answer(200, "")).await;
    let spec = json!({"provider": "sqs", "config": {"queue": "https://sqs.eu-central-1.amazonaws.com/1/q", "aws": {"region": "eu-central-1",
        "credentials": {"type": "static", "access_key_id": "AKIDEXAMPLE", "secret_access_key": "s"},
        "assume_role": {"role_arn": "arn:aws:iam::123456789012:role/events", "sts_endpoint": format!("http://localhost:{}", sts.port())}}}});
    let spec = serde_json::from_value(spec).expect("a good connection");
    let closed = connector::Client::new(connector::Settings::default()).expect("default settings");
    let access = crate::aws::Access::new(&closed, &spec, false).expect("it can be made ready");
    let refused = access.credentials.get(std::time::Duration::from_secs(5)).await;
    let refused = refused.expect_err("there is no way").outcome();
    assert!(refused.detail.contains("allow_networks"), "{}", refused.detail);
    assert!(asked.lock().expect("no test panics while holding it").is_empty());
}
