//! Tries a connection with one harmless, authenticated request and says in words what is wrong.

use super::{
    access::{Access, Call},
    act::Aws,
    credentials::Source,
    errors::Service,
    eventbridge, kinesis, lambda, sns, sqs,
};
use crate::{
    dry_run,
    outcomes::{delivered, failed},
};
use connector::Client;
use control::resources::{AwsAccountConfig, ConnectionSpec, SubscriptionSpec};
use delivery::{Attempt, ConnectionTest, Member, Outcome, Record, TestReport, TestStep, Verdict};
use event::{Data, Event};
use ring::rand::{SecureRandom, SystemRandom};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// For the whole test.
const TIME_MAX: Duration = Duration::from_secs(15);
/// The type of the event that is sent on request.
const TEST_TYPE: &str = "io.trunkline.connection.test";

/// Tries a connection whose secrets are plain. With an event, it is sent as a delivery would be (or, in a dry run, not); else
/// the service is asked for what the connection names.
pub async fn test(client: &Client, spec: &ConnectionSpec, dry_run: bool, how: ConnectionTest) -> TestReport {
    let mut report = TestReport::default();
    let is_event = how == ConnectionTest::Event;
    let access = match Access::new(client, spec, dry_run && is_event) {
        Ok(access) => Arc::new(access),
        Err(reason) => {
            let step = TestStep::failed("configuration", "misconfigured", reason);
            report.steps.push(step);
            return report;
        }
    };
    let end = Instant::now() + TIME_MAX;
    if !access.dry_run {
        match access.credentials.get(TIME_MAX).await {
            Ok(_) => report
                .steps
                .push(TestStep::good("credentials", "there are credentials".to_owned())),
            Err(none) => {
                report.failed("credentials", &none.outcome());
                return report;
            }
        }
    }
    let service = access.service;
    let outcome = match is_event {
        true => with_event(access, spec, end).await,
        false => look(&access, spec, end).await,
    };
    report.status = outcome.status;
    report.steps.push(match outcome.verdict {
        Verdict::Delivered if outcome.reason == dry_run::REASON => TestStep::good("answer", outcome.detail),
        Verdict::Delivered => TestStep::good("answer", good(service, how)),
        _ => bad(service, how, &outcome),
    });
    report
}

/// Tries a connection to an account: whether there are credentials. What they may do only its subscriptions know to ask.
pub async fn test_account(client: &Client, config: &AwsAccountConfig) -> TestReport {
    let mut report = TestReport::default();
    let source = match Source::new(client, &config.aws) {
        Ok(source) => source,
        Err(reason) => {
            let step = TestStep::failed("configuration", "misconfigured", reason);
            report.steps.push(step);
            return report;
        }
    };
    match source.get(TIME_MAX).await {
        Ok(_) => {
            let words = "there are credentials; what they may do is seen when a subscription delivers";
            report.steps.push(TestStep::good("credentials", words.to_owned()));
        }
        Err(none) => report.failed("credentials", &none.outcome()),
    }
    report
}

async fn look(access: &Access, spec: &ConnectionSpec, end: Instant) -> Outcome {
    let call = match probe(spec) {
        Ok(call) => call,
        Err(outcome) => return outcome,
    };
    match access.send(call, end).await {
        Ok(answer) => answer.failure().unwrap_or_else(|| delivered(answer.status)),
        Err(outcome) => outcome,
    }
}

fn probe(spec: &ConnectionSpec) -> Result<Call, Outcome> {
    Ok(match spec {
        ConnectionSpec::EventBridge(config) => eventbridge::Writer::probe(config),
        ConnectionSpec::Sqs(config) => sqs::Writer::probe(config),
        ConnectionSpec::Sns(config) => sns::Writer::probe(config),
        ConnectionSpec::Kinesis(config) => kinesis::Writer::probe(config),
        ConnectionSpec::Lambda(config) => lambda::Writer::probe(config),
        _ => {
            return Err(misconfigured(
                "the connection is not to one of Amazon's services".to_owned(),
            ));
        }
    })
}

/// An event of Trunkline's own, as a subscription without a target would send it.
async fn with_event(access: Arc<Access>, spec: &ConnectionSpec, end: Instant) -> Outcome {
    let mut random = [0; 16];
    // A receiver that deduplicates takes two tests for one at worst.
    let _ = SystemRandom::new().fill(&mut random);
    let id = format!("test-{:032x}", u128::from_be_bytes(random));
    let event = Event::builder(id.as_str(), "/trunkline", TEST_TYPE).data(Data::json(r#"{"test":true}"#));
    let event = event.build().expect("its attributes are ours");
    let subscription: SubscriptionSpec = serde_json::from_value(serde_json::json!({"connection": "test"}))
        .expect("a subscription needs no more than its connection");
    let aws = match Aws::new(access, spec, &subscription) {
        Ok(aws) => aws,
        Err(reason) => return misconfigured(reason),
    };
    let member = Member {
        event: &event.view(),
        record: &Record::new(None, None, std::iter::empty()),
        message_id: &id,
        number: 1,
        accepted: 0,
    };
    let attempt = Attempt {
        members: &[member],
        subscription: "test",
        origin: "test",
        now: 0,
        timeout: TIME_MAX,
        replay: None,
    };
    let outcomes = aws.try_once(&attempt, end).await;
    let first = outcomes.of(0).cloned();
    first.unwrap_or_else(|| misconfigured("nothing was sent".to_owned()))
}

fn misconfigured(detail: String) -> Outcome {
    failed(Verdict::Retry { after: None }, "misconfigured", detail)
}

/// The step at which there was no answer.
fn step_of(outcome: &Outcome) -> &'static str {
    match outcome.reason.as_str() {
        "refused_address" => "address",
        "dns" => "name",
        "connect" | "timeout_connect" => "connect",
        "tls" => "tls",
        "aws_credentials" => "credentials",
        _ => "answer",
    }
}

/// What a failure says about the connection: not more than it can.
fn bad(service: Service, how: ConnectionTest, outcome: &Outcome) -> TestStep {
    let code = outcome.reason.strip_prefix("aws_").unwrap_or_default();
    let (name, needs) = (service.name(), service.permission());
    if DENIED.contains(&code) {
        // Looking needs a permission of its own; only Lambda looks with the one that delivering needs.
        return match how == ConnectionTest::Event || service == Service::Lambda {
            true => {
                let words = format!("{}; delivering needs {needs}", outcome.detail);
                TestStep::failed("permission", "permission", words)
            }
            false => {
                let words = format!(
                    "{name} took the credentials, but does not let them look (delivering needs {needs} only); try with an event to be sure"
                );
                TestStep::good("permission", words)
            }
        };
    }
    if MISSING.contains(&code) {
        return TestStep::failed("resource", "missing", outcome.detail.clone());
    }
    if CREDENTIALS.contains(&code) {
        return TestStep::failed("credentials", "credentials", outcome.detail.clone());
    }
    TestStep::failed(step_of(outcome), &outcome.reason, outcome.detail.clone())
}

fn good(service: Service, how: ConnectionTest) -> String {
    let name = service.name();
    match how {
        ConnectionTest::Event => format!("{name} took the test event"),
        _ if service == Service::Lambda => format!("{name} says that the function is there and may be invoked"),
        _ => format!("{name} says that what the connection names is there"),
    }
}

/// Errors that say that the permission is missing.
const DENIED: [&str; 4] = [
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "NotAuthorized",
];
/// Errors that say that the bus, queue, topic, stream or function is not there.
const MISSING: [&str; 4] = [
    "AWS.SimpleQueueService.NonExistentQueue",
    "NotFound",
    "QueueDoesNotExist",
    "ResourceNotFoundException",
];
/// Errors that say that the credentials are not good.
const CREDENTIALS: [&str; 8] = [
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];
