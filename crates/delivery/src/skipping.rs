//! A subscription that goes on from now: what lies between where it stands and the ends of its partitions is counted, recorded
//! and passed over, as retention does with what it takes, but for one subscription, and on a person's word.

use crate::{
    Error, Skipped,
    changes::Request,
    inner::Inner,
    lane_handle::LaneHandle,
    matching::stored,
    retention::{Trim, count, known},
    router::{Message, Place},
    told::not_found,
};
use control::{Refusal, audit::Act, refusal::Class};
use futures_util::future::join_all;
use journal::PartitionId;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use store::{LaneRow, Operation, Range, RangeReason, SubscriptionId};
use tokio::{sync::oneshot, time::timeout};

/// How long attempts in flight are waited for: a person waits. What takes longer is to be paused first.
const IN_FLIGHT_WAIT_MAX: Duration = Duration::from_secs(30);

/// What is to be recorded and passed over. The lane is frozen meanwhile.
#[derive(Debug)]
pub struct Skip {
    bus: store::BusId,
    lane: LaneHandle,
    parts: Vec<Part>,
    act: Option<Act>,
}

/// A partition's part.
#[derive(Debug)]
struct Part {
    place: Place,
    to: u64,
    matched: u64,
}

/// Everything that is acknowledged when this is called is skipped, and nothing that is published after it has returned. It goes
/// on by itself when its caller goes, so that the lane is always thawed.
pub async fn skip_to_now(inner: &Arc<Inner>, bus: &str, name: &str, act: Option<Act>) -> Result<Skipped, Error> {
    let model = inner.model.load_full();
    let bus = model.bus(bus)?;
    let missing = || not_found(format!("subscription {name:?} does not exist"));
    let id = bus.subscriptions.get(name).ok_or_else(missing)?.id;
    let (inner, bus) = (Arc::clone(inner), bus.id);
    let skipping = tokio::spawn(async move {
        let places = inner.freeze(id).await?;
        let skipped = skip(&inner, bus, id, places, act).await;
        let thaw = Message::Thaw {
            subscription: id,
            rules: None,
            cursors: BTreeMap::new(),
        };
        inner.tell_router(thaw).await?;
        skipped
    });
    skipping.await.map_err(|_| Error::Closing)?
}

async fn skip(
    inner: &Inner,
    bus: store::BusId,
    id: SubscriptionId,
    places: Vec<Place>,
    act: Option<Act>,
) -> Result<Skipped, Error> {
    let unstarted = || {
        let detail = "its lane does not run yet; try again when it does".to_owned();
        Refusal::new("subscription_busy", Class::InUse, detail)
    };
    let lane = inner.lane(id).filter(|_| !places.is_empty()).ok_or_else(unstarted)?;
    let ends: BTreeMap<PartitionId, u64> = places
        .iter()
        .map(|place| Ok((place.partition, inner.journal.bounds(place.partition)?.high_water)))
        .collect::<Result<_, Error>>()?;
    let settled = settled(&lane, &ends).await?;
    let rules = inner.view.rules(id).ok_or_else(unstarted)?;
    // What was in flight may have been delivered.
    let places = inner.places().await?.remove(&id).unwrap_or_default();
    let mut parts = Vec::new();
    for place in places {
        let Some(to) = ends.get(&place.partition).copied().filter(|to| *to > place.position) else {
            continue;
        };
        let trim = Trim {
            partition: place.partition,
            to,
        };
        let from = place.position.max(place.floor);
        let matched = count(inner, &rules, from, trim, &settled[&place.partition]).await?;
        parts.push(Part { place, to, matched });
    }
    let skipped = Skipped {
        events: parts.iter().map(|part| part.matched).sum(),
        records: parts.iter().map(|part| part.to - part.place.position).sum(),
        parked: lane.inbox.counters.parked_now.load(Relaxed),
    };
    let (reply, recorded) = oneshot::channel();
    let skip = Box::new(Skip { bus, lane, parts, act });
    inner.request(Request::Skip(skip, reply)).await?;
    recorded.await.map_err(|_| Error::Closing)??;
    Ok(skipped)
}

/// What the lane has settled above its positions, once nothing is in flight.
async fn settled(
    lane: &LaneHandle,
    ends: &BTreeMap<PartitionId, u64>,
) -> Result<BTreeMap<PartitionId, BTreeSet<u64>>, Error> {
    let of = |(partition, to): (&PartitionId, &u64)| {
        let (partition, to) = (*partition, *to);
        async move { Some((partition, known(lane, stored(partition), to).await?)) }
    };
    let all = timeout(IN_FLIGHT_WAIT_MAX, join_all(ends.iter().map(of)));
    let busy = || {
        let detail =
            "attempts are in flight that take long; pause the subscription, and try again when they have ended";
        Refusal::new("subscription_busy", Class::InUse, detail.to_owned())
    };
    let all = all.await.map_err(|_| busy())?;
    let all: Option<BTreeMap<_, _>> = all.into_iter().collect();
    all.ok_or(Error::Closing)
}

impl Skip {
    /// Records it all in one transaction, and has the router go on behind it. By the task of changes, so that the subscription
    /// does not go meanwhile.
    pub async fn record(self, inner: &Inner) -> Result<(), Error> {
        let subscription = self.lane.inbox.subscription;
        let is_same = inner
            .lane(subscription)
            .is_some_and(|lane| Arc::ptr_eq(&lane.inbox, &self.lane.inbox));
        if !is_same {
            return Err(not_found("the subscription was deleted meanwhile".to_owned()).into());
        }
        let operations: Vec<Operation> = self
            .parts
            .iter()
            .flat_map(|part| recorded(inner, subscription, part))
            .chain(self.act.as_ref().map(|act| act.operation(inner.journal.now())))
            .collect();
        if !operations.is_empty() {
            inner.store.apply(self.bus, operations).await?;
        }
        let events: u64 = self.parts.iter().map(|part| part.matched).sum();
        self.lane.inbox.counters.skipped.fetch_add(events, Relaxed);
        tracing::warn!(subscription, events, "a person has skipped what was unsettled");
        let (done, skipped) = oneshot::channel();
        let skip = Message::SkipTo {
            subscription,
            places: self.parts.iter().map(|part| (part.place.partition, part.to)).collect(),
            done,
        };
        inner.tell_router(skip).await?;
        skipped.await.map_err(|_| Error::Closing)
    }
}

fn recorded(inner: &Inner, subscription: SubscriptionId, part: &Part) -> [Operation; 2] {
    let partition = stored(part.place.partition);
    let range = Range {
        subscription,
        partition,
        from: part.place.position,
        to: part.to,
        matched: Some(part.matched),
        reason: RangeReason::Skipped,
        recorded: inner.settings.clock.now(),
    };
    let row = LaneRow {
        subscription,
        partition,
        position: part.to,
        floor: part.place.floor,
        follows_tail: false,
    };
    [Operation::RecordRange(range), Operation::SaveLane(row)]
}
