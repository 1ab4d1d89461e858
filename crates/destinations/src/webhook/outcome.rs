//! What an answer means for a delivery. Pure.

use super::results::Said;
use crate::outcomes::{beginning, delivered};
use bytes::Bytes;
use control::resources::OutcomeOverride;
use delivery::{Outcome, Verdict};
use http::{HeaderMap, StatusCode, header};
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

/// A `Retry-After` beyond this is cut to it: the longest wait of the default schedule.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(12 * 3600);

/// What a status means; `now` is wall time in seconds, for a `Retry-After` that is a date.
pub(crate) fn verdict(
    status: StatusCode,
    headers: &HeaderMap,
    outcomes: &BTreeMap<u16, OutcomeOverride>,
    now: i64,
) -> Verdict {
    let retry = || Verdict::Retry {
        after: retry_after(headers, now),
    };
    match outcomes.get(&status.as_u16()) {
        Some(OutcomeOverride::Delivered) => return Verdict::Delivered,
        Some(OutcomeOverride::Refused) => return Verdict::Refused,
        Some(OutcomeOverride::Retry) => return retry(),
        None => {}
    }
    match status.as_u16() {
        200..=299 => Verdict::Delivered,
        400 | 413 | 414 | 415 | 422 => Verdict::Refused,
        410 => Verdict::Gone,
        _ => retry(),
    }
}

/// What is said of one event of a batch, where the whole was answered with `whole`. An event's own status means what it means for
/// a whole answer, but that 410 is about this event, not about the endpoint.
pub(crate) fn of_event(
    said: Option<Said>,
    whole: StatusCode,
    outcomes: &BTreeMap<u16, OutcomeOverride>,
    body: &Bytes,
) -> Outcome {
    let Some(said) = said else { return delivered(whole) };
    let status = StatusCode::from_u16(said.status).expect("it was checked to be from 200 to 599");
    let verdict = match verdict(status, &HeaderMap::new(), outcomes, 0) {
        Verdict::Delivered => return delivered(status),
        Verdict::Gone => Verdict::Refused,
        Verdict::Retry { .. } => Verdict::Retry {
            after: said
                .retry_after
                .map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX)),
        },
        Verdict::Refused => Verdict::Refused,
    };
    let words = if said.error.is_empty() { "" } else { ": " };
    Outcome {
        verdict,
        status: Some(said.status),
        reason: format!("http_{}", said.status),
        detail: format!("the endpoint said {status} of this event{words}{}", said.error),
        answer: beginning(body),
    }
}

/// Seconds or an HTTP date in any of the three forms of RFC 9110; anything else is no wish.
fn retry_after(headers: &HeaderMap, now: i64) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().unwrap_or(u64::MAX)
    } else {
        let due = httpdate::parse_http_date(text).ok()?;
        let due = due.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
        due.saturating_sub(u64::try_from(now).unwrap_or(0))
    };
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn after(value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::RETRY_AFTER,
            HeaderValue::from_str(value).expect("a header value"),
        );
        // 1994-11-06T08:49:00Z
        retry_after(&headers, 784_111_740)
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_bounded() {
        assert_eq!(after("120"), Some(Duration::from_secs(120)));
        assert_eq!(after(" 0 "), Some(Duration::ZERO));
        assert_eq!(after("99999999999999999999999"), Some(RETRY_AFTER_MAX));
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(after(date), Some(Duration::from_secs(37)), "{date}");
        }
        assert_eq!(after("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(after("Thu, 31 Dec 9998 23:59:59 GMT"), Some(RETRY_AFTER_MAX));
        for no_wish in ["", "-5", "1.5", "soon", "+5"] {
            assert_eq!(after(no_wish), None, "{no_wish}");
        }
    }

    /// The table of DESIGN, "Outcomes".
    #[test]
    fn every_status_means_what_the_design_says() {
        for status in 100..=999 {
            let expected = match status {
                200..=299 => Verdict::Delivered,
                400 | 413 | 414 | 415 | 422 => Verdict::Refused,
                410 => Verdict::Gone,
                _ => Verdict::Retry { after: None },
            };
            let code = StatusCode::from_u16(status).expect("a status");
            assert_eq!(
                verdict(code, &HeaderMap::new(), &BTreeMap::new(), 0),
                expected,
                "{status}"
            );
        }
    }

    #[test]
    fn a_subscription_can_say_otherwise() {
        let outcomes = BTreeMap::from([
            (409, OutcomeOverride::Delivered),
            (404, OutcomeOverride::Refused),
            (410, OutcomeOverride::Retry),
            (400, OutcomeOverride::Retry),
        ]);
        let verdict = |status| {
            verdict(
                StatusCode::from_u16(status).expect("a status"),
                &HeaderMap::new(),
                &outcomes,
                0,
            )
        };
        assert_eq!(verdict(409), Verdict::Delivered);
        assert_eq!(verdict(404), Verdict::Refused);
        assert_eq!(verdict(410), Verdict::Retry { after: None });
        assert_eq!(verdict(400), Verdict::Retry { after: None });
        assert_eq!(verdict(422), Verdict::Refused);
    }
}
