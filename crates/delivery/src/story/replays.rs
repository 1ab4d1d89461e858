//! The part of replays in an event's story: each delivery of each of them, also into subscriptions of other buses.

use super::{Copy, Known};
use crate::{DeliveryState, ReplayState as State, ReplayStory, inner::Inner, matching::stored};
use control::Model;
use std::collections::BTreeSet;
use store::{AttemptOutcome, DeliveryKey, Partition, SubscriptionId};

/// All of them, by replay and subscription.
pub fn tell(inner: &Inner, copies: &[Copy], known: &Known) -> Vec<ReplayStory> {
    let places: BTreeSet<(Partition, u64)> = copies
        .iter()
        .map(|copy| (stored(copy.position.partition), copy.position.offset))
        .collect();
    let parked = known.parked.iter().map(|row| row.key);
    let dead = known.dead.iter().map(|row| row.delivery.key);
    let attempts = known.attempts.iter().map(key_of);
    let is_here = |key: &DeliveryKey| key.replay > 0 && places.contains(&(key.partition, key.offset));
    let keys: BTreeSet<(u32, SubscriptionId, DeliveryKey)> = parked
        .chain(dead)
        .chain(attempts)
        .filter(is_here)
        .map(|key| (key.replay, key.subscription, key))
        .collect();
    let model = inner.model.load();
    keys.into_iter()
        .map(|(_, _, key)| one(inner, &model, key, known))
        .collect()
}

fn key_of(attempt: &store::Attempt) -> DeliveryKey {
    DeliveryKey {
        subscription: attempt.subscription,
        partition: attempt.partition,
        offset: attempt.offset,
        replay: attempt.replay,
    }
}

fn one(inner: &Inner, model: &Model, key: DeliveryKey, known: &Known) -> ReplayStory {
    let replay = inner.replays.get(key.replay);
    let attempts: Vec<_> = known
        .attempts
        .iter()
        .filter(|attempt| key_of(attempt) == key)
        .cloned()
        .collect();
    let was_delivered = attempts
        .iter()
        .any(|attempt| attempt.outcome == AttemptOutcome::Delivered);
    let buried_none = replay.as_ref().is_some_and(|replay| {
        let document = replay.document();
        document.state == State::Completed && document.counts.dead_lettered == 0
    });
    let parked = known.parked.iter().find(|row| row.key == key);
    let is_dead = known.dead.iter().any(|dead| dead.delivery.key == key);
    let state = match parked {
        Some(row) => DeliveryState::Parked { due: row.due },
        None if is_dead => DeliveryState::DeadLettered,
        None if was_delivered => DeliveryState::Delivered,
        None if replay.as_ref().is_some_and(|replay| !replay.is_over()) => DeliveryState::Pending,
        // All that a completed one leaves is a dead letter or was delivered: a crash may lose the last second of successes. Where
        // there were dead letters, those that are gone were discarded, as far as is known.
        None if buried_none && !was_refused(&attempts) => DeliveryState::Delivered,
        None => DeliveryState::Discarded,
    };
    let (bus, subscription) = names(model, key.subscription);
    ReplayStory {
        // One that is kept no more is told by its number.
        replay: replay.map_or_else(|| format!("replay-{}", key.replay), |replay| replay.name.clone()),
        bus,
        subscription,
        state,
        attempts,
    }
}

/// Whether the last thing that is known of a delivery is that the event was not wanted: that made a dead letter.
fn was_refused(attempts: &[store::Attempt]) -> bool {
    let last = attempts.iter().max_by_key(|attempt| attempt.started);
    last.is_some_and(|attempt| matches!(attempt.outcome, AttemptOutcome::Refused | AttemptOutcome::Failed))
}

fn names(model: &Model, id: SubscriptionId) -> (String, String) {
    let of_bus = |bus: &std::sync::Arc<control::Bus>| {
        let found = bus.subscriptions.values().find(|subscription| subscription.id == id)?;
        Some((bus.name.clone(), found.name.clone()))
    };
    model.buses.values().find_map(of_bus).unwrap_or_default()
}
