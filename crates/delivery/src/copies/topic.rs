//! A topic as the place where copies of dead letters go: the records as they are, appended and synced. It has no endpoint that
//! could be down, but a journal that may be out of space.

use crate::{Attempt, BoxFuture, Destination, Limits, Member, Outcome, Outcomes, Verdict, intake::identity_of};
use bytes::Bytes;
use control::Topic;
use event::identity;
use journal::{Append, Deduplicate, Entry, Journal, PartitionId, TopicId};
use std::sync::Arc;

/// Records of one append: what a crash may publish twice.
pub const EVENTS_MAX: u32 = 100;
const BYTES_MAX: usize = 4 << 20;

/// Appends to one topic.
pub struct ToTopic {
    journal: Arc<dyn Journal>,
    topic: TopicId,
    partitions: u32,
}

impl ToTopic {
    /// To this topic of a bus.
    pub fn new(journal: Arc<dyn Journal>, bus: store::BusId, topic: &Topic) -> Self {
        Self {
            journal,
            topic: TopicId { bus, topic: topic.id },
            partitions: topic.spec.partitions.max(1),
        }
    }

    fn entry(&self, member: &Member<'_>) -> Entry {
        let (source, id) = (member.event.source(), member.event.id());
        let index = match member.record.view(0, 0).key {
            Some(key) => identity::partition_for_key(key, self.partitions),
            None => identity::partition_for_identity(source, id, self.partitions),
        };
        let partition = PartitionId {
            topic: self.topic,
            index,
        };
        Entry {
            identity: Some(identity_of(source, id)),
            deduplicate: Deduplicate::No,
            records: vec![(partition, member.record.clone())],
        }
    }
}

impl Destination for ToTopic {
    fn limits(&self) -> Limits {
        Limits {
            events: EVENTS_MAX as usize,
            bytes: BYTES_MAX,
        }
    }

    fn attempt<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Outcomes> {
        Box::pin(async move {
            let entries = attempt.members.iter().map(|member| self.entry(member)).collect();
            let appended = match self.journal.append(Append { entries }) {
                Ok(durable) => durable.await.map(drop),
                Err(error) => Err(error),
            };
            Outcomes::all(&attempt, outcome(appended))
        })
    }
}

/// Nothing that a journal says is about the event.
fn outcome(appended: Result<(), journal::Error>) -> Outcome {
    let (verdict, reason, detail) = match appended {
        Ok(()) => (Verdict::Delivered, "", String::new()),
        Err(error) => (Verdict::Retry { after: None }, "journal", error.to_string()),
    };
    Outcome {
        verdict,
        status: None,
        reason: reason.to_owned(),
        detail,
        answer: Bytes::new(),
    }
}
