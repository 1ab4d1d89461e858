//! The lane that delivers a subscription's copies: started beside the subscription's own where copies are asked for or are left,
//! and stopped with it. It is fed by what burials write, not from the journal.

use super::{COPIES, topic::EVENTS_MAX, topic::ToTopic};
use crate::{
    Destination,
    inbox::{Inbox, Unsaved},
    inner::Inner,
    lane::{Config, Input, Lane, Restored},
    lane_handle::{Command, LaneHandle, Target},
    lane_task::{Role, Spawn},
    restore,
};
use control::{
    Bus, Subscription,
    resources::{Batch, DeadLetterSpec, DeliveryPolicy, Exponential, RetryPolicy},
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use store::{Holdings, SubscriptionId};
use tokio::sync::mpsc;

/// Requests with copies at once: dead letters are few, and one target may serve many subscriptions.
const CONCURRENCY: u32 = 4;
/// Waits between attempts grow to this: a target that is well again has its copies soon, one that is down costs little.
const WAIT_MAX: Duration = Duration::from_secs(5 * 60);
/// A copy is never given up for its age: as long as anybody plans.
const PATIENCE: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);

/// What is left of copies, if the lane is to run. To be asked before the subscription's own lane starts: the rows of copies
/// are none of its.
pub async fn held(inner: &Inner, subscription: &Subscription) -> Result<Option<Holdings>, store::Error> {
    let held = inner.store.replay_holdings(subscription.id, COPIES).await?;
    let is_wanted = subscription.spec.dead_letter.is_some() || held.parked > 0;
    Ok(is_wanted.then_some(held))
}

/// From now on the rows of copies, if there are or may be any, are their lane's; `parked` is all that the subscription has.
pub async fn claim_held(inner: &Inner, subscription: &Subscription, parked: u64) -> Result<(), store::Error> {
    let has_rows = async || Ok::<_, store::Error>(held(inner, subscription).await?.is_some());
    if subscription.spec.dead_letter.is_some() || (parked > 0 && has_rows().await?) {
        inner.replaying.enter(subscription.id, COPIES);
    }
    Ok(())
}

/// Starts the lane; `owner` is the subscription's own.
pub fn start(inner: &Inner, bus: &Bus, subscription: &Subscription, held: Holdings, owner: LaneHandle) {
    inner.replaying.enter(subscription.id, COPIES);
    let (room, _) = mpsc::unbounded_channel();
    let bounds = inner.settings.lane;
    let (node, unsaved) = (Arc::clone(&inner.node_bytes), Arc::new(Unsaved::default()));
    let mut inbox = Inbox::new(subscription.id, bounds, node, room, unsaved);
    inbox.counters = inner.copies.counters(subscription.id);
    let (config, target) = made(inner, bus, subscription);
    let dead = &owner.inbox.counters;
    let restored = Restored {
        windows: HashMap::new(),
        holdings: Holdings {
            dead: dead.dead_now.load(std::sync::atomic::Ordering::Relaxed),
            dead_bytes: dead.dead_bytes_now.load(std::sync::atomic::Ordering::Relaxed),
            ..held
        },
        orders: Vec::new(),
        is_gone: false,
    };
    let now = inner.settings.clock.now();
    let lane = Lane::new(Config::clone(&config), restored, Arc::clone(&inbox.counters), now);
    let stream = subscription.id ^ (u64::from(COPIES) << 32);
    let handle = LaneHandle::spawn(Spawn {
        inner,
        bus: bus.id,
        role: Role::Replay { number: COPIES, owner },
        lane,
        inbox: Arc::new(inbox),
        config,
        target,
        stream,
    });
    inner.replaying.started(subscription.id, COPIES, handle.clone());
    inner.copies.set_lane(subscription.id, handle);
}

/// The subscription or a connection changed. One that had no copies may want them now.
pub fn reconfigure(inner: &Inner, bus: &Bus, subscription: &Subscription) {
    if let Some(lane) = inner.copies.lane(subscription.id) {
        let (config, target) = made(inner, bus, subscription);
        lane.send(Command::Configure(config, target));
    } else if subscription.spec.dead_letter.is_some()
        && let Some(owner) = inner.lane(subscription.id)
    {
        start(inner, bus, subscription, Holdings::default(), owner);
    }
}

/// Lets copies go on that their target, or a bound, has stopped.
pub fn resume(inner: &Inner, subscription: SubscriptionId) {
    if let Some(lane) = inner.copies.lane(subscription) {
        lane.send(Command::Step(Input::Resume));
    }
}

/// Ends a subscription's lane of copies; what waits stays in the store.
pub async fn stop(inner: &Inner, subscription: SubscriptionId, grace: Duration) {
    if let Some(lane) = inner.copies.remove(subscription) {
        lane.stop(grace).await;
    }
}

/// Ends all of them at once.
pub fn abort(inner: &Inner) {
    inner.copies.lanes().iter().for_each(LaneHandle::abort);
}

fn made(inner: &Inner, bus: &Bus, subscription: &Subscription) -> (Box<Config>, Result<Arc<Target>, String>) {
    let target = match &subscription.spec.dead_letter {
        Some(spec) => target(inner, bus, subscription, spec),
        None => Err("the subscription says no more where copies of its dead letters go".to_owned()),
    };
    let limits = target
        .as_ref()
        .map_or(crate::Limits::ONE, |target| target.destination.limits());
    let config = Config {
        subscription: subscription.id,
        replay: COPIES,
        created: subscription.created,
        // A subscription that a person holds has its copies delivered all the same: they go elsewhere.
        enabled: true,
        policy: policy(subscription),
        limits,
        bounds: inner.settings.lane,
        copies: None,
    };
    (Box::new(config), target)
}

/// Where copies go.
fn target(inner: &Inner, bus: &Bus, subscription: &Subscription, spec: &DeadLetterSpec) -> Result<Arc<Target>, String> {
    let Some(connection) = &spec.connection else {
        return to_topic(inner, bus, subscription, spec.topic.as_deref().unwrap_or_default());
    };
    let mut other = subscription.clone();
    other.spec.connection.clone_from(connection);
    other.spec.target = spec.target.clone().unwrap_or_default();
    other.spec.delivery = policy(subscription);
    // A copy is the event as it was received, with what is known of its death.
    other.transform = None;
    restore::target(inner, bus, &other)
}

fn to_topic(inner: &Inner, bus: &Bus, subscription: &Subscription, name: &str) -> Result<Arc<Target>, String> {
    let topic = bus
        .topics
        .get(name)
        .ok_or_else(|| format!("topic {name:?} does not exist"))?;
    let destination: Arc<dyn Destination> = Arc::new(ToTopic::new(Arc::clone(&inner.journal), bus.id, topic));
    Ok(Arc::new(Target {
        destination,
        bus: bus.name.clone(),
        origin: bus.name.clone(),
        subscription: subscription.name.clone(),
        timeout: subscription.spec.delivery.timeout,
        replay: None,
        shaping: None,
    }))
}

fn policy(subscription: &Subscription) -> DeliveryPolicy {
    let is_topic = subscription
        .spec
        .dead_letter
        .as_ref()
        .is_some_and(|spec| spec.topic.is_some());
    let events = if is_topic { EVENTS_MAX } else { 1 };
    DeliveryPolicy {
        concurrency: if is_topic { 1 } else { CONCURRENCY },
        timeout: subscription.spec.delivery.timeout,
        retry: RetryPolicy {
            schedule: Vec::new(),
            exponential: Some(Exponential {
                first: Duration::from_secs(1),
                factor: 2.0,
                max: WAIT_MAX,
                jitter: 0.5,
            }),
            attempts: None,
            age: PATIENCE,
        },
        batch: Batch {
            events: Some(events),
            ..Batch::default()
        },
        ..DeliveryPolicy::default()
    }
}
