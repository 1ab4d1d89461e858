//! Tries a connection with one harmless, authenticated request, an array without events, and says in words what is wrong.

use super::{act::meaning, config::Shared, wire};
use crate::webhook::step_of;
use connector::Client;
use control::resources::EventGridConfig;
use delivery::{ConnectionTest, Member, Record, TestReport, TestStep, Verdict};
use event::{Data, Event};
use http::StatusCode;
use ring::rand::{SecureRandom, SystemRandom};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// For the whole test.
const TIME_MAX: Duration = Duration::from_secs(15);
/// The type of the event that is sent on request.
const TEST_TYPE: &str = "io.trunkline.connection.test";

/// Tries a connection whose secrets are plain; `now` in seconds since the epoch.
pub async fn test(client: &Client, config: &EventGridConfig, how: ConnectionTest, now: i64) -> TestReport {
    let mut report = TestReport::default();
    let shared = match Shared::new(client, config, false) {
        Ok(shared) => shared,
        Err(reason) => {
            report
                .steps
                .push(TestStep::failed("configuration", "misconfigured", reason));
            return report;
        }
    };
    let is_event = how == ConnectionTest::Event;
    let body = match is_event {
        true => with_event(&shared, now),
        false => b"[]".to_vec(),
    };
    let outcome = shared
        .post(body, &BTreeMap::new(), now, Instant::now() + TIME_MAX)
        .await;
    report.status = outcome.status;
    let status = outcome.status.and_then(|status| StatusCode::from_u16(status).ok());
    report.steps.push(match (outcome.verdict, status) {
        (Verdict::Delivered, _) if is_event => TestStep::good("answer", "the topic took the test event".to_owned()),
        (Verdict::Delivered, _) => TestStep::good("answer", "the topic took the credentials".to_owned()),
        // Who reads the request has let it in.
        (Verdict::Refused, Some(StatusCode::BAD_REQUEST)) if !is_event => TestStep::good(
            "answer",
            "the topic took the credentials; try with an event to be sure".to_owned(),
        ),
        (_, Some(status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN))) => TestStep::failed(
            "credentials",
            "auth",
            format!("the topic answered {status}{}", meaning(status)),
        ),
        _ => TestStep::failed(step_of(&outcome), &outcome.reason, outcome.detail.clone()),
    });
    report
}

/// An event of Trunkline's own.
fn with_event(shared: &Shared, now: i64) -> Vec<u8> {
    let mut random = [0; 16];
    // A receiver that deduplicates takes two tests for one at worst.
    let _ = SystemRandom::new().fill(&mut random);
    let id = format!("test-{:032x}", u128::from_be_bytes(random));
    let event = Event::builder(id.as_str(), "/trunkline", TEST_TYPE).data(Data::json(r#"{"test":true}"#));
    let event = event.build().expect("its attributes are ours");
    let view = event.view();
    let member = Member {
        event: &view,
        record: &Record::new(None, None, std::iter::empty()),
        message_id: &id,
        number: 1,
        accepted: 0,
    };
    let array = wire::array(shared.schema, &[member], now);
    array.map_or_else(|_| b"[]".to_vec(), |array| array.body)
}
