//! One request: send, and say what the answer means. A topic takes all events of a request or none.

use super::{config::Shared, wire};
use crate::{
    claim_check::{Carries, ClaimCheck},
    dry_run,
    outcomes::{ANSWER_BYTES_MAX, delivered, unanswered},
    webhook::verdict,
};
use bytes::Bytes;
use control::{
    limits::BATCH_EVENTS_MAX,
    resources::{EventGridSchema, OutcomeOverride, SubscriptionSpec},
};
use delivery::{Attempt, BoxFuture, Destination, Limits, Member, Outcome, Outcomes, Verdict};
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::Full;
use std::{collections::BTreeMap, sync::Arc};
use tokio::time::Instant;

/// A topic, for one subscription.
pub struct EventGrid {
    shared: Arc<Shared>,
    outcomes: BTreeMap<u16, OutcomeOverride>,
    claim_check: Option<ClaimCheck>,
}

impl EventGrid {
    /// What its connection's subscriptions share is made before.
    pub fn new(shared: Arc<Shared>, subscription: &SubscriptionSpec) -> EventGrid {
        EventGrid {
            shared,
            outcomes: subscription.delivery.outcomes.clone(),
            claim_check: None,
        }
    }

    /// Of events that are too large, sends where they are: on a server that is reached at this address (empty: nobody said).
    #[must_use]
    pub fn on(mut self, public_url: &Arc<str>, subscription: &SubscriptionSpec) -> EventGrid {
        let carries = match self.shared.schema {
            EventGridSchema::CloudEvents => Carries::Attributes,
            EventGridSchema::EventGrid => Carries::Data,
        };
        self.claim_check = ClaimCheck::of(subscription, public_url, carries);
        self
    }

    async fn try_once(&self, attempt: &Attempt<'_>, end: Instant) -> Outcomes {
        let now = attempt.now;
        let write = |members: &[Member<'_>]| wire::array(self.shared.schema, members, now);
        let written = match &self.claim_check {
            Some(claim_check) => claim_check.write(attempt, write),
            None => write(attempt.members),
        };
        let array = match written {
            Ok(array) => array,
            Err(unfit) => return unfit.outcomes(),
        };
        let sent = array.sent;
        let outcome = self.shared.post(array.body, &self.outcomes, now, end).await;
        Outcomes::Whole { sent, outcome }
    }
}

impl Shared {
    /// Posts a body; what became of it.
    pub(super) async fn post(
        &self,
        body: Vec<u8>,
        outcomes: &BTreeMap<u16, OutcomeOverride>,
        now: i64,
        end: Instant,
    ) -> Outcome {
        let mut request: Request<Bytes> = match wire::request(self, body, now) {
            Ok(request) => request,
            Err(refused) => return unanswered(&refused),
        };
        if self.webhook.dry_run {
            if self.webhook.tokens.is_some() {
                let token = HeaderValue::from_static("Bearer token");
                request.headers_mut().insert(header::AUTHORIZATION, token);
            }
            return dry_run::outcome(&request);
        }
        let head = match self.webhook.send(request.map(Full::new), end).await {
            Ok(head) => head,
            Err(outcome) => return outcome,
        };
        let status = head.status;
        match verdict(status, &head.headers, outcomes, now) {
            Verdict::Delivered => {
                head.discard();
                delivered(status)
            }
            verdict => Outcome {
                verdict,
                status: Some(status.as_u16()),
                reason: format!("http_{}", status.as_u16()),
                detail: format!("the topic answered {status}{}", meaning(status)),
                answer: head.read(ANSWER_BYTES_MAX).await.0,
            },
        }
    }
}

/// What Event Grid means by a status.
pub(super) fn meaning(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => ": an event is not what the topic's schema says (config.schema), or breaks a rule",
        401 => ": it does not accept the key, the signature or the token",
        403 => ": the application lacks the role EventGrid Data Sender, or the topic's firewall refuses this address",
        404 => ": there is no such topic at this endpoint",
        413 => ": the request is too large",
        429 => ": more events than the topic takes at a time",
        503 => ": the service is not there for now",
        _ => "",
    }
}

impl Destination for EventGrid {
    fn limits(&self) -> Limits {
        Limits {
            events: usize::try_from(BATCH_EVENTS_MAX).unwrap_or(usize::MAX),
            bytes: wire::REQUEST_BYTES_MAX,
        }
    }

    fn attempt<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Outcomes> {
        let end = Instant::now() + attempt.timeout;
        Box::pin(async move { self.try_once(&attempt, end).await })
    }
}
