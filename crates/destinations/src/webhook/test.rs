//! Tries a connection with one harmless request and says in words what is wrong. It delivers no event unless it is asked to
//! send its own.

use super::{config::Shared, outcome};
use crate::outcomes::unanswered;
use bytes::Bytes;
use connector::Client;
use control::counted;
use control::resources::WebhookConfig;
use delivery::{ConnectionTest, Outcome, TestReport, TestStep, Verdict};
use event::{Data, Event, http_binding};
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use ring::rand::{SecureRandom, SystemRandom};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// For each step.
const STEP_TIME_MAX: Duration = Duration::from_secs(15);
/// The type of the event that is sent on request.
const TEST_TYPE: &str = "io.trunkline.connection.test";
/// A certificate that ends sooner is warned of.
const CERTIFICATE_WARNING: Duration = Duration::from_secs(30 * 86_400);

/// Tries a connection whose secrets are plain; `now` in seconds since the epoch.
pub async fn test(client: &Client, config: &WebhookConfig, how: ConnectionTest, now: i64) -> TestReport {
    let mut report = TestReport::default();
    let shared = match Shared::new(client, config) {
        Ok(shared) => shared,
        Err(reason) => {
            report
                .steps
                .push(TestStep::failed("configuration", "misconfigured", reason));
            return report;
        }
    };
    report.steps.extend(certificate(config, now));
    let (Some(()), Some(())) = (token(&shared, &mut report).await, ask(&shared, &mut report).await) else {
        return report;
    };
    request(&shared, how, now, &mut report).await;
    report
}

/// What is to be said of the client's certificate.
fn certificate(config: &WebhookConfig, now: i64) -> Option<TestStep> {
    let pem = config.tls.as_ref()?.certificate.as_deref()?;
    let ends = connector::certificate_ends(pem)?;
    let left = ends.saturating_sub(now);
    let days = counted((left / 86_400).max(0).cast_unsigned(), "day");
    Some(if left <= 0 {
        TestStep::failed(
            "certificate",
            "certificate_ended",
            "the client's certificate has ended".to_owned(),
        )
    } else if left < CERTIFICATE_WARNING.as_secs().cast_signed() {
        TestStep::good(
            "certificate",
            format!("the client's certificate ends in {days}: replace it soon"),
        )
    } else {
        TestStep::good("certificate", format!("the client's certificate ends in {days}"))
    })
}

async fn token(shared: &Shared, report: &mut TestReport) -> Option<()> {
    let Some(tokens) = &shared.tokens else { return Some(()) };
    match tokens.get(STEP_TIME_MAX).await {
        Ok(_) => report
            .steps
            .push(TestStep::good("token", "the token endpoint gave a token".to_owned())),
        Err(refused) => {
            report.failed("token", &refused.outcome());
            return None;
        }
    }
    Some(())
}

async fn ask(shared: &Shared, report: &mut TestReport) -> Option<()> {
    let (Some(consent), Ok(uri)) = (&shared.consent, shared.uri()) else {
        return Some(());
    };
    match consent.ask(&shared.client, uri, STEP_TIME_MAX).await {
        Ok(allowed) => {
            let rate = allowed.rate.map_or("any rate".to_owned(), |rate| {
                format!("{} per minute", counted(rate.into(), "request"))
            });
            report.steps.push(TestStep::good(
                "handshake",
                format!("the endpoint allows deliveries, at {rate}"),
            ));
            Some(())
        }
        Err(refused) => {
            report
                .steps
                .push(TestStep::failed("handshake", &refused.code(), refused.to_string()));
            None
        }
    }
}

async fn request(shared: &Shared, how: ConnectionTest, now: i64, report: &mut TestReport) {
    let request = match build(shared, how, now) {
        Ok(request) => request,
        Err(error) => return report.failed("address", &unanswered(&error)),
    };
    match shared.send(request, Instant::now() + STEP_TIME_MAX).await {
        Err(outcome) => report.failed(step_of(&outcome), &outcome),
        Ok(head) => {
            let verdict = outcome::verdict(head.status, &head.headers, &BTreeMap::new(), now);
            report.status = Some(head.status.as_u16());
            let said = judge(head.status, how, verdict);
            head.discard();
            report.steps.push(match said {
                Ok(words) => TestStep::good("answer", words),
                Err((code, words)) => TestStep::failed("answer", code, words),
            });
        }
    }
}

/// The step at which there was no answer.
pub(crate) fn step_of(outcome: &Outcome) -> &'static str {
    match outcome.reason.as_str() {
        "refused_address" => "address",
        "dns" => "name",
        "connect" | "timeout_connect" => "connect",
        "tls" => "tls",
        reason if reason.starts_with("token_") => "token",
        _ => "answer",
    }
}

/// What a status says about the connection: not more than it can.
fn judge(status: StatusCode, how: ConnectionTest, verdict: Verdict) -> Result<String, (&'static str, String)> {
    let is_event = how == ConnectionTest::Event;
    let wrong = |code, words: &str| Err((code, format!("the endpoint answered {status}: {words}")));
    match status.as_u16() {
        200..=299 => Ok(format!("the endpoint answered {status}")),
        300..=399 => wrong("redirect", "redirects are not followed; give the final URL"),
        401 | 403 => wrong(
            "auth",
            "it does not accept the credentials (config.auth, config.headers, config.tls)",
        ),
        404 => wrong("path", "there is nothing at this path"),
        405 | 501 if !is_event => Ok(format!(
            "the endpoint is there and answered {status}: it does not take {how}; try with an event to be sure"
        )),
        410 => wrong("gone", "it says that it is gone for good"),
        500..=599 => wrong("server", "it fails by itself"),
        _ if is_event && verdict == Verdict::Refused => wrong("refused", "it does not take the test event"),
        _ if is_event => wrong("status", "a delivery would be tried again"),
        _ => Ok(format!(
            "the endpoint is there and answered {status}; try with an event to be sure"
        )),
    }
}

fn build(shared: &Shared, how: ConnectionTest, now: i64) -> Result<Request<Full<Bytes>>, connector::SendError> {
    let mut request = Request::new(Full::default());
    *request.uri_mut() = shared.uri()?.clone();
    *request.headers_mut() = shared.headers.clone();
    match how {
        ConnectionTest::Head => *request.method_mut() = Method::HEAD,
        ConnectionTest::Options => *request.method_mut() = Method::OPTIONS,
        ConnectionTest::Event => return Ok(with_event(request, shared, now)),
    }
    Ok(request)
}

/// An event of Trunkline's own, as deliveries of mode `binary` are.
fn with_event(mut request: Request<Full<Bytes>>, shared: &Shared, now: i64) -> Request<Full<Bytes>> {
    let mut random = [0; 16];
    // A receiver that deduplicates takes two tests for one at worst.
    let _ = SystemRandom::new().fill(&mut random);
    let id = format!("test-{:032x}", u128::from_be_bytes(random));
    let event = Event::builder(id.as_str(), "/trunkline", TEST_TYPE).data(Data::json(r#"{"test":true}"#));
    let event = event.build().expect("its attributes are ours");
    let view = event.view();
    http_binding::encode_binary_into(&view, request.headers_mut());
    let body = Bytes::copy_from_slice(view.data().unwrap_or_default());
    super::wire::sign(shared, &id, now, &body, request.headers_mut());
    *request.method_mut() = Method::POST;
    *request.body_mut() = Full::new(body);
    request
}
