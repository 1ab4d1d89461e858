//! One attempt: send, and say what the answer means.

use super::{config::Prepared, outcome, wire};
use bytes::Bytes;
use connector::{Client, Head, SendError, Timeouts};
use control::resources::{SubscriptionSpec, WebhookConfig};
use delivery::{Attempt, BoxFuture, Destination, Outcome, Verdict};
use std::time::Duration;

/// Kept of a failed answer, for whoever looks for the reason.
const ANSWER_BYTES_MAX: usize = 4 << 10;
/// How long the beginning of a failed answer is waited for, beyond the attempt's timeout.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(1);

/// An HTTP endpoint of a subscription.
pub struct Webhook {
    client: Client,
    prepared: Prepared,
}

impl Webhook {
    /// Checks the configuration, its secrets plain. The error is a sentence without secrets.
    pub fn new(client: Client, config: &WebhookConfig, subscription: &SubscriptionSpec) -> Result<Webhook, String> {
        let prepared = Prepared::new(client.guard(), config, subscription)?;
        Ok(Webhook { client, prepared })
    }

    async fn try_once(&self, attempt: Attempt<'_>) -> Outcome {
        let request = match wire::request(&self.prepared, &attempt) {
            Ok(request) => request,
            Err(refused) => return unanswered(&refused),
        };
        let timeouts = Timeouts {
            first_byte: attempt.timeout,
            total: attempt.timeout + ANSWER_WAIT_MAX,
        };
        match self.client.send_head(request, timeouts).await {
            Ok(head) => self.answered(head, attempt.now).await,
            Err(error) => unanswered(&error),
        }
    }

    async fn answered(&self, head: Head, now: i64) -> Outcome {
        let status = head.status;
        let verdict = outcome::verdict(status, &head.headers, &self.prepared.outcomes, now);
        if verdict == Verdict::Delivered {
            head.discard();
            return Outcome {
                verdict,
                status: Some(status.as_u16()),
                reason: String::new(),
                detail: String::new(),
                answer: Bytes::new(),
            };
        }
        let (answer, _) = head.read(ANSWER_BYTES_MAX).await;
        Outcome {
            verdict,
            status: Some(status.as_u16()),
            reason: format!("http_{}", status.as_u16()),
            detail: format!("the endpoint answered {status}"),
            answer,
        }
    }
}

/// No answer is about the endpoint, or about the way there: never about the event.
fn unanswered(error: &SendError) -> Outcome {
    Outcome {
        verdict: Verdict::Retry { after: None },
        status: None,
        reason: error.code().to_owned(),
        detail: error.to_string(),
        answer: Bytes::new(),
    }
}

impl Destination for Webhook {
    fn attempt<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(self.try_once(attempt))
    }
}
