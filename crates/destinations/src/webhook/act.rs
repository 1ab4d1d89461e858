//! One request: send, and say what the answer means.

use crate::{
    dry_run,
    outcomes::{ANSWER_BYTES_MAX, delivered, unanswered},
};

use super::{
    config::{Prepared, Shared},
    outcome,
    parameters::Secrets,
    results::{self, RESULTS_BYTES_MAX},
    validation::Gate,
    wire::{self, Written},
};
use bytes::Bytes;
use connector::{BodyEnd, Head, Timeouts};
use control::resources::SubscriptionSpec;
use delivery::{Attempt, BoxFuture, Destination, Limits, Member, Outcome, Outcomes, Verdict};
use event::media_type;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::Full;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long the beginning of a failed answer is waited for, beyond the attempt's timeout.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(1);

/// An HTTP endpoint of a subscription.
pub struct Webhook {
    prepared: Prepared,
    /// Of an endpoint that is asked first, as Event Grid asks.
    gate: Option<Gate>,
}

impl Webhook {
    /// What its connection's subscriptions share is made before.
    pub fn new(shared: Arc<Shared>, subscription: &SubscriptionSpec) -> Result<Webhook, String> {
        Ok(Webhook {
            prepared: Prepared::new(shared, subscription)?,
            gate: None,
        })
    }

    /// The same, but that the endpoint is asked first, as Event Grid asks.
    pub fn behind(self, gate: Gate) -> Webhook {
        Webhook {
            gate: Some(gate),
            ..self
        }
    }

    async fn try_once(&self, attempt: Attempt<'_>) -> Outcomes {
        let end = Instant::now() + attempt.timeout;
        if self.prepared.shared.dry_run {
            return self.shown(&attempt);
        }
        if let Some(gate) = &self.gate
            && let Err(after) = gate.pass(&self.prepared.shared, &attempt, end).await
        {
            return Outcomes::NotNow { after };
        }
        if let Err(refused) = self.permitted(end).await {
            return match refused {
                NotYet::Wait(after) => Outcomes::NotNow { after },
                NotYet::Failed(outcome) => Outcomes::all(&attempt, outcome),
            };
        }
        let Written { request, sent } = match wire::request(&self.prepared, &attempt, Secrets::Sent) {
            Ok(written) => written,
            Err(none) => return none,
        };
        match self.prepared.shared.send(request.map(Full::new), end).await {
            Ok(head) => self.answered(head, &attempt.members[..sent], attempt.now).await,
            Err(outcome) => Outcomes::Whole { sent, outcome },
        }
    }

    /// The request that would be sent; nobody is asked for a token or for consent.
    fn shown(&self, attempt: &Attempt<'_>) -> Outcomes {
        match wire::request(&self.prepared, attempt, Secrets::Masked) {
            Ok(Written { mut request, sent }) => {
                if self.prepared.shared.tokens.is_some() {
                    let headers = request.headers_mut();
                    headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer token"));
                }
                let outcome = dry_run::outcome(&request);
                Outcomes::Whole { sent, outcome }
            }
            Err(none) => none,
        }
    }

    /// Whether the endpoint wants a request now, where it is to be asked.
    async fn permitted(&self, end: Instant) -> Result<(), NotYet> {
        let shared = &self.prepared.shared;
        let (Some(consent), Ok(uri)) = (&shared.consent, shared.uri()) else {
            return Ok(());
        };
        let allowed = consent.ensure(&shared.client, uri, left(end)).await;
        let allowed = allowed.map_err(|refused| {
            NotYet::Failed(Outcome {
                verdict: Verdict::Retry { after: None },
                status: None,
                reason: refused.code(),
                detail: refused.to_string(),
                answer: Bytes::new(),
            })
        })?;
        consent.take(allowed).map_err(NotYet::Wait)
    }

    async fn answered(&self, head: Head, members: &[Member<'_>], now: i64) -> Outcomes {
        let status = head.status;
        let verdict = outcome::verdict(status, &head.headers, &self.prepared.outcomes, now);
        if verdict == Verdict::Delivered && self.prepared.form.holds_several() && is_json(&head.headers) {
            return self.read_results(head, members).await;
        }
        let sent = members.len();
        let outcome = match verdict {
            Verdict::Delivered => {
                head.discard();
                delivered(status)
            }
            _ => Outcome {
                verdict,
                status: Some(status.as_u16()),
                reason: format!("http_{}", status.as_u16()),
                detail: format!("the endpoint answered {status}"),
                answer: head.read(ANSWER_BYTES_MAX).await.0,
            },
        };
        Outcomes::Whole { sent, outcome }
    }

    /// What a receiver says of single events counts; one that cannot be heard to the end may have said that some failed.
    async fn read_results(&self, head: Head, members: &[Member<'_>]) -> Outcomes {
        let status = head.status;
        let (body, end) = head.read(RESULTS_BYTES_MAX).await;
        let unclear = |detail: String| Outcomes::Whole {
            sent: members.len(),
            outcome: Outcome {
                verdict: Verdict::Retry { after: None },
                status: Some(status.as_u16()),
                reason: "batch_results".to_owned(),
                detail,
                answer: body.slice(..body.len().min(ANSWER_BYTES_MAX)),
            },
        };
        match end {
            BodyEnd::Whole => {}
            BodyEnd::Truncated => return unclear(format!("the answer has more than {RESULTS_BYTES_MAX} bytes")),
            BodyEnd::Late => return unclear("the answer did not end in time".to_owned()),
            BodyEnd::Broken(error) => return unclear(format!("the answer broke off: {error}")),
        }
        let ids: Vec<&str> = members.iter().map(|member| member.message_id).collect();
        match results::read(&body, &ids) {
            Ok(Some(said)) => {
                let of_one = |said| outcome::of_event(said, status, &self.prepared.outcomes, &body);
                Outcomes::Each(said.into_iter().map(of_one).collect())
            }
            Ok(None) => Outcomes::Whole {
                sent: members.len(),
                outcome: delivered(status),
            },
            Err(unusable) => unclear(format!("the results in the answer cannot be used: {unusable}")),
        }
    }
}

/// Whether an answer says that it is JSON, `application/problem+json` and the like included.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.is_some_and(media_type::is_json)
}

/// Why no request is made.
enum NotYet {
    Wait(Duration),
    Failed(Outcome),
}

fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}

impl Shared {
    /// Sends a request with a token, where the connection has such. A token that is not taken is renewed once.
    pub(crate) async fn send(&self, mut request: Request<Full<Bytes>>, end: Instant) -> Result<Head, Outcome> {
        let Some(tokens) = &self.tokens else {
            return self.send_once(request, end).await;
        };
        let token = tokens.get(left(end)).await.map_err(|refused| refused.outcome())?;
        let mut again = request.clone();
        request.headers_mut().insert(header::AUTHORIZATION, token.value.clone());
        let head = self.send_once(request, end).await?;
        if head.status != StatusCode::UNAUTHORIZED {
            return Ok(head);
        }
        head.discard();
        tokens.refused(&token);
        let token = tokens.get(left(end)).await.map_err(|refused| refused.outcome())?;
        again.headers_mut().insert(header::AUTHORIZATION, token.value.clone());
        self.send_once(again, end).await
    }

    async fn send_once(&self, request: Request<Full<Bytes>>, end: Instant) -> Result<Head, Outcome> {
        let left = left(end);
        let timeouts = Timeouts {
            first_byte: left,
            total: left + ANSWER_WAIT_MAX,
        };
        let sent = self.client.send_head(request, timeouts).await;
        sent.map_err(|error| unanswered(&error))
    }
}

impl Destination for Webhook {
    fn limits(&self) -> Limits {
        self.prepared.form.limits()
    }

    fn attempt<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Outcomes> {
        Box::pin(self.try_once(attempt))
    }
}
