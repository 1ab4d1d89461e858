//! One request: write the entries, send, and say what became of each.

use super::{
    access::{Access, Call},
    answer::Answer,
    eventbridge,
    fill::Unfit,
    kinesis, lambda, sns, sqs,
};
use crate::{
    claim_check::{Carries, ClaimCheck},
    dry_run,
};
use control::{
    limits::{AWS_ENTRIES_MAX, KINESIS_RECORDS_MAX},
    resources::{ConnectionSpec, SubscriptionSpec, TargetMode},
};
use delivery::{Attempt, BoxFuture, Destination, Limits, Member, Outcomes};
use std::sync::Arc;
use tokio::time::Instant;

/// One of Amazon's services, for one subscription.
pub struct Aws {
    access: Arc<Access>,
    pub(super) writer: Writer,
    claim_check: Option<ClaimCheck>,
}

/// Events as the service's entries, and its answer as what became of them.
pub(super) enum Writer {
    EventBridge(eventbridge::Writer),
    Sqs(sqs::Writer),
    Sns(sns::Writer),
    Kinesis(kinesis::Writer),
    Lambda(lambda::Writer),
}

impl Aws {
    /// What its connection's subscriptions share is made before.
    pub fn new(
        access: Arc<Access>,
        connection: &ConnectionSpec,
        subscription: &SubscriptionSpec,
    ) -> Result<Aws, String> {
        Ok(Aws {
            access,
            writer: Writer::new(connection, subscription)?,
            claim_check: None,
        })
    }

    /// Of events that are too large, sends where they are: on a server that is reached at this address (empty: nobody said).
    #[must_use]
    pub fn on(mut self, public_url: &Arc<str>, subscription: &SubscriptionSpec) -> Aws {
        let carries = match (&self.writer, subscription.target.mode) {
            (_, Some(TargetMode::Data)) | (Writer::EventBridge(_), None) => Carries::Data,
            _ => Carries::Attributes,
        };
        self.claim_check = ClaimCheck::of(subscription, public_url, carries);
        self
    }

    pub(super) async fn try_once(&self, attempt: &Attempt<'_>, end: Instant) -> Outcomes {
        let members = attempt.members;
        let write = |members: &[Member<'_>]| self.writer.write(members);
        let written = match &self.claim_check {
            Some(claim_check) => claim_check.write(attempt, write),
            None => write(members),
        };
        let (call, sent) = match written {
            Ok(written) => written,
            Err(unfit) => return unfit.outcomes(),
        };
        let whole = |outcome| Outcomes::Whole { sent, outcome };
        match self.access.send(call, end).await {
            Ok(answer) => match answer.failure() {
                Some(outcome) => whole(outcome),
                None => self.writer.read(&answer, &members[..sent]),
            },
            Err(outcome) if outcome.reason == dry_run::REASON => Outcomes::Each(vec![outcome; sent]),
            Err(outcome) => whole(outcome),
        }
    }
}

impl Writer {
    pub(super) fn new(connection: &ConnectionSpec, subscription: &SubscriptionSpec) -> Result<Writer, String> {
        Ok(match connection {
            ConnectionSpec::EventBridge(config) => Self::EventBridge(eventbridge::Writer::new(config, subscription)),
            ConnectionSpec::Sqs(config) => Self::Sqs(sqs::Writer::new(config, subscription)?),
            ConnectionSpec::Sns(config) => Self::Sns(sns::Writer::new(config, subscription)?),
            ConnectionSpec::Kinesis(config) => Self::Kinesis(kinesis::Writer::new(config, subscription)?),
            ConnectionSpec::Lambda(config) => Self::Lambda(lambda::Writer::new(config, subscription)),
            _ => return Err("the connection is not to one of Amazon's services".to_owned()),
        })
    }

    fn events_max(&self) -> usize {
        let entries = match self {
            Self::EventBridge(_) | Self::Sqs(_) | Self::Sns(_) => AWS_ENTRIES_MAX,
            Self::Kinesis(_) => KINESIS_RECORDS_MAX,
            Self::Lambda(writer) => return writer.events_max(),
        };
        usize::try_from(entries).unwrap_or(usize::MAX)
    }

    /// The request, and how many members it holds.
    pub(super) fn write(&self, members: &[Member<'_>]) -> Result<(Call, usize), Unfit> {
        match self {
            Self::EventBridge(writer) => writer.write(members),
            Self::Sqs(writer) => writer.write(members),
            Self::Sns(writer) => writer.write(members),
            Self::Kinesis(writer) => writer.write(members),
            Self::Lambda(writer) => writer.write(members),
        }
    }

    fn read(&self, answer: &Answer, members: &[Member<'_>]) -> Outcomes {
        let sent = members.len();
        let said = match self {
            Self::EventBridge(_) => eventbridge::Writer::read(answer, sent),
            Self::Sqs(_) => sqs::Writer::read(answer, sent),
            Self::Sns(_) => sns::Writer::read(answer, sent),
            Self::Kinesis(_) => kinesis::Writer::read(answer, sent),
            Self::Lambda(writer) => return writer.read(answer, members),
        };
        match said {
            Ok(said) => Outcomes::Each(answer.each(said)),
            Err(why) => Outcomes::Whole {
                sent,
                outcome: answer.unclear(why),
            },
        }
    }
}

impl Destination for Aws {
    fn limits(&self) -> Limits {
        Limits {
            events: self.writer.events_max(),
            bytes: usize::MAX,
        }
    }

    fn attempt<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Outcomes> {
        let end = Instant::now() + attempt.timeout;
        Box::pin(async move { self.try_once(&attempt, end).await })
    }
}
