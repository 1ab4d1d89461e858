//! What became of the copies of an event's dead letters, for its story.

use super::Known;
use crate::{
    CopyStory, DeliveryState,
    copies::{COPIES, key_of},
    inner::Inner,
};
use store::{AttemptOutcome, Parked, SubscriptionId};

/// A subscription's part; `None`: there was none, as far as is known.
pub async fn tell(
    inner: &Inner,
    subscription: SubscriptionId,
    known: &Known,
) -> Result<Option<CopyStory>, store::Error> {
    let of_copies = |attempt: &&store::Attempt| attempt.replay == COPIES && attempt.subscription == subscription;
    let attempts: Vec<_> = known.attempts.iter().filter(of_copies).cloned().collect();
    let mut waits: Option<Parked> = None;
    for dead in &known.dead {
        let delivery = &dead.delivery;
        if delivery.key.subscription == subscription && delivery.key.replay != COPIES {
            let key = key_of(delivery.key, delivery.due);
            let rows = inner.store.parked_at(key.partition, key.offset).await?;
            waits = waits.or(rows.into_iter().find(|row| row.key == key));
        }
    }
    let is_dead = known.dead.iter().any(|dead| {
        let key = dead.delivery.key;
        key.subscription == subscription && key.replay == COPIES
    });
    let was_delivered = attempts
        .iter()
        .any(|attempt| attempt.outcome == AttemptOutcome::Delivered);
    let state = match waits {
        Some(row) => DeliveryState::Parked { due: row.due },
        None if is_dead => DeliveryState::DeadLettered,
        None if was_delivered => DeliveryState::Delivered,
        // That of an earlier death may wait still: where its row is, is not known any more.
        None if !attempts.is_empty() => DeliveryState::Pending,
        None => return Ok(None),
    };
    Ok(Some(CopyStory { state, attempts }))
}
