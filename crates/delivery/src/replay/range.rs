//! From places that people name to offsets. It reads indexes, no records.

use super::document::{Document, Loss, LossReason, Stretch};
use crate::{Error, inner::Inner, restore::partitions_of};
use control::{
    Bus, Refusal, Topic,
    resources::{End, Offsets, ReplaySpec, Start},
};
use journal::PartitionId;
use std::sync::Arc;

/// Fills a document's stretches, and its losses where what is asked for is gone already.
pub async fn resolve(inner: &Inner, bus: &Bus, topics: &[Arc<Topic>], document: &mut Document) -> Result<(), Error> {
    check(inner, bus, topics, &document.spec)?;
    for topic in topics {
        for partition in partitions_of(bus, topic) {
            let Some((from, to)) = stretch(inner, topic, partition, &document.spec).await? else {
                continue;
            };
            let start = inner.journal.bounds(partition)?.start;
            if from < start.min(to) {
                document.lost(Loss {
                    topic: topic.id,
                    partition: partition.index,
                    from,
                    to: start.min(to),
                    reason: LossReason::Expired,
                });
            }
            document.stretches.push(Stretch {
                topic: topic.id,
                partition: partition.index,
                from,
                to,
                at: from.max(start).min(to),
            });
        }
    }
    Ok(())
}

fn check(inner: &Inner, bus: &Bus, topics: &[Arc<Topic>], spec: &ReplaySpec) -> Result<(), Refusal> {
    if let Start::Time(from) = &spec.from
        && from.0 > inner.journal.now()
    {
        return Err(Refusal::invalid(
            "/from/time",
            format!("{from} lies ahead: nothing is there to replay"),
        ));
    }
    for (at, offsets) in [
        ("/from/offsets", spec.from.offsets()),
        ("/to/offsets", spec.to.offsets()),
    ] {
        if let Some(offsets) = offsets {
            bus.check_offsets(at, offsets, topics)?;
        }
    }
    Ok(())
}

/// The offsets of one partition; `None`: nothing of it belongs to the replay. It ends where the journal ends now.
async fn stretch(
    inner: &Inner,
    topic: &Topic,
    partition: PartitionId,
    spec: &ReplaySpec,
) -> Result<Option<(u64, u64)>, Error> {
    let journal = &inner.journal;
    let bounds = journal.bounds(partition)?;
    let named = |offsets: &Offsets| {
        offsets
            .get(&topic.name)
            .and_then(|offsets| offsets.get(&partition.index))
            .copied()
    };
    let from = match &spec.from {
        Start::Now => None,
        Start::Earliest => Some(bounds.start),
        Start::Time(time) => Some(journal.offset_at(partition, time.0).await?),
        Start::Offsets(offsets) => named(offsets),
    };
    let to = match &spec.to {
        End::Now => bounds.high_water,
        End::Time(time) => journal.offset_at(partition, time.0).await?,
        End::Offsets(offsets) => named(offsets).unwrap_or(bounds.high_water),
    };
    let to = to.min(bounds.high_water);
    Ok(from.filter(|from| *from < to).map(|from| (from, to)))
}
