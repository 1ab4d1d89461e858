//! Data that goes: retention and its hold, damaged files, topics that are deleted, the history of attempts.

use crate::support::{Reply, World, fails, ok, one_partition, subscription};
use control::resources::ResourceKind;
use delivery::{DeadSelection, DeliveryState};
use journal::{Journal as _, PartitionId, TopicId};
use serde_json::json;
use std::{sync::atomic::Ordering::Relaxed, time::Duration};
use store::{RangeReason, Store as _};

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn that_a_dead_letter_was_discarded_is_known_as_long_as_its_event_is_kept() {
    let world = World::with(|settings| settings.retention_interval = Duration::from_secs(60)).await;
    let document = json!({"partitions": 1, "retention": {"age": "1h", "hold": "2h"}});
    world.put(ResourceKind::Topic, "orders", document).await;
    let routes = json!({"routes": [{"topic": "orders"}]});
    world.put(ResourceKind::EventType, "order", routes).await;
    let retry = json!({"schedule": ["0s"], "attempts": 1, "age": "1h"});
    world.subscribe("all", json!({"delivery": {"retry": retry}})).await;
    world.endpoint.script(|_| fails());
    for id in 0..3 {
        world.publish(&id.to_string()).await;
    }
    world.until("the deaths", |world| world.status("all").dead == 3).await;
    assert_eq!(world.discard(DeadSelection::default()).await.unwrap(), 3);
    let id = world.status("all").id;
    let ranges = world.store.ranges(id).await.unwrap();
    assert_eq!((ranges[0].reason, ranges[0].matched), (RangeReason::Discarded, Some(3)));
    tokio::time::sleep(2 * HOUR).await;
    assert!(world.story("1").await.is_none(), "it is not kept any more");
    assert_eq!(world.store.ranges(id).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn what_retention_takes_from_a_subscription_is_counted_and_recorded_first() {
    let world = World::with(|settings| settings.retention_interval = Duration::from_secs(60)).await;
    let retention = json!({"age": "1h", "hold": "2h"});
    world
        .put(
            ResourceKind::Topic,
            "orders",
            json!({"partitions": 1, "retention": retention}),
        )
        .await;
    world
        .put(
            ResourceKind::EventType,
            "order",
            json!({"routes": [{"topic": "orders"}]}),
        )
        .await;
    world
        .subscribe(
            "paused",
            json!({"enabled": false, "types": ["order"], "delivery": {"retry": {"age": "1h"}}}),
        )
        .await;
    world
        .subscribe("all", json!({"delivery": {"retry": {"age": "1h"}}}))
        .await;
    for id in 0..5 {
        world.publish(&id.to_string()).await;
    }
    world.delivered("all", 5).await;
    tokio::time::sleep(HOUR + HOUR / 2).await;
    assert!(
        world.store.ranges(world.status("paused").id).await.unwrap().is_empty(),
        "it is held"
    );
    tokio::time::sleep(HOUR).await;
    let ranges = world.store.ranges(world.status("paused").id).await.unwrap();
    assert_eq!(ranges.len(), 1, "{ranges:?}");
    assert_eq!((ranges[0].reason, ranges[0].matched), (RangeReason::Expired, Some(5)));
    assert_eq!(world.status("paused").counters.given_up, 5);
    assert!(world.store.ranges(world.status("all").id).await.unwrap().is_empty());
    world
        .put(
            ResourceKind::Subscription,
            "paused",
            subscription(json!({"types": ["order"], "delivery": {"retry": {"age": "1h"}}})),
        )
        .await;
    world.publish("new").await;
    world.delivered("paused", 1).await;
    assert_eq!(world.endpoint.delivered_ids("paused"), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_past_a_short_age_goes_also_from_a_segment_that_still_grows() {
    let world = World::with(|settings| settings.retention_interval = Duration::from_secs(60)).await;
    let partition = one_partition(&world).await;
    let document = json!({"partitions": 1, "retention": {"age": "1h", "hold": "2h"}});
    world.put(ResourceKind::Topic, "orders", document).await;
    world
        .subscribe("all", json!({"delivery": {"retry": {"age": "1h"}}}))
        .await;
    let start = || world.journal.bounds(partition).unwrap().start;
    for id in 0..3 {
        world.publish(&id.to_string()).await;
        tokio::time::sleep(HOUR / 3).await;
    }
    world.delivered("all", 3).await;
    // The first is older than an hour; the others keep its segment growing.
    tokio::time::sleep(Duration::from_secs(180)).await;
    assert_eq!(start(), 1);
    tokio::time::sleep(HOUR).await;
    assert_eq!(start(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_range_is_recorded_and_everything_else_serves() {
    let world = World::new().await;
    world.put(ResourceKind::Topic, "orders", json!({"partitions": 1})).await;
    world
        .put(
            ResourceKind::EventType,
            "order",
            json!({"routes": [{"topic": "orders"}]}),
        )
        .await;
    for id in 0..10 {
        world.publish(&id.to_string()).await;
    }
    let topic = world.core.model().buses["default"].topics["orders"].id;
    let partition = PartitionId {
        topic: TopicId {
            bus: world.core.model().buses["default"].id,
            topic,
        },
        index: 0,
    };
    assert_eq!(world.journal.bounds(partition).unwrap().high_water, 10);
    world.journal.inject_damage(partition, 3, 6, "a test");
    world.subscribe("late", json!({"start": "earliest"})).await;
    world.delivered("late", 7).await;
    world.settle().await;
    assert_eq!(world.endpoint.delivered().len(), 7);
    let ranges = world.store.ranges(world.status("late").id).await.unwrap();
    assert_eq!(
        ranges
            .iter()
            .map(|range| (range.from, range.to, range.reason))
            .collect::<Vec<_>>(),
        [(3, 6, RangeReason::Damaged)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_cannot_be_read_for_rests_and_keeps_nobody_else_from_catching_up() {
    let world = World::new().await;
    let partition = one_partition(&world).await;
    for id in 0..10 {
        world.publish(&id.to_string()).await;
    }
    world.subscribe("later", json!({"enabled": false})).await;
    for id in 10..20 {
        world.publish(&id.to_string()).await;
    }
    world.settle().await;
    world.journal.inject_damage(partition, 3, 6, "a test");
    world.orders.refuses_ranges.store(true, Relaxed);
    world.subscribe("stuck", json!({"start": "earliest"})).await;
    world.delivered("stuck", 3).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let refused = world.orders.refused.load(Relaxed);
    assert!((1..10).contains(&refused), "{refused} tries in ten seconds");
    world
        .put(ResourceKind::Subscription, "later", subscription(json!({})))
        .await;
    world.delivered("later", 10).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(world.core.readiness().is_err(), "somebody has to look at this");
    world.orders.refuses_ranges.store(false, Relaxed);
    world.delivered("stuck", 17).await;
    assert_eq!(world.core.readiness(), Ok(()));
}

/// A lane that always has something in flight is waited for; its neighbour on the topic keeps its accounts.
#[tokio::test(start_paused = true)]
async fn the_hold_ends_also_for_a_lane_that_moves_slowly() {
    let world = World::new().await;
    let retention = json!({"age": "1h", "hold": "2h"});
    world
        .put(
            ResourceKind::Topic,
            "orders",
            json!({"partitions": 1, "retention": retention}),
        )
        .await;
    let routes = json!({"routes": [{"topic": "orders"}]});
    world.put(ResourceKind::EventType, "order", routes).await;
    let slow = json!({"types": ["order"], "delivery": {"concurrency": 1, "timeout": "5m", "retry": {"age": "1h"}}});
    world.subscribe("slow", slow).await;
    world.endpoint.script(|_| Reply {
        delay: Duration::from_secs(240),
        ..ok()
    });
    for id in 0..100 {
        world.publish(&id.to_string()).await;
    }
    tokio::time::sleep(2 * HOUR + HOUR / 2).await;
    let given_up = world.status("slow").counters.given_up;
    let delivered = world.endpoint.delivered_ids("slow").len() as u64;
    assert_eq!(given_up + delivered, 100);
    assert!(
        given_up > 50 && delivered > 25,
        "{given_up} given up, {delivered} delivered"
    );
    let ranges = world.store.ranges(world.status("slow").id).await.unwrap();
    assert_eq!(ranges.iter().map(|range| range.matched.unwrap()).sum::<u64>(), given_up);
    world.endpoint.script(|_| ok());
    world.publish("new").await;
    world.delivered("slow", delivered as usize + 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_goes_leaves_nothing_behind_in_a_lane() {
    let world = World::with(|settings| settings.lane.span_events = 10).await;
    one_partition(&world).await;
    world.subscribe("all", json!({})).await;
    world.endpoint.script(|_| fails());
    for id in 0..30 {
        world.publish(&id.to_string()).await;
    }
    world
        .until("the breaker", |world| world.status("all").state == "backing-off")
        .await;
    let routes = json!({"routes": [{"topic": "events"}]});
    world.put(ResourceKind::EventType, "order", routes).await;
    world.delete(ResourceKind::Topic, "orders").await;
    world.endpoint.script(|_| ok());
    for id in 0..30 {
        world.publish(&format!("new {id}")).await;
    }
    world
        .until("the new ones", |world| {
            let ids = world.endpoint.delivered_ids("all");
            ids.iter().filter(|id| id.starts_with("new")).count() == 30
        })
        .await;
    world.settle().await;
    let ranges = world.store.ranges(world.status("all").id).await.unwrap();
    assert!(ranges.iter().any(|range| range.reason == RangeReason::Discarded));
    assert_eq!(world.core.metrics().lanes_bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_kept_as_long_as_the_operator_says_and_todays_always() {
    const DAY: Duration = Duration::from_secs(24 * 3_600);
    let world = World::with(|settings| settings.attempts_keep = 2 * DAY).await;
    world.subscribe("all", json!({})).await;
    world.publish("1").await;
    world.delivered("all", 1).await;
    let attempts = || async {
        let story = world.story("1").await.unwrap();
        story.subscriptions[0].attempts.len()
    };
    assert_eq!(attempts().await, 1);
    for _ in 0..48 {
        tokio::time::sleep(HOUR).await;
    }
    assert_eq!(attempts().await, 1);
    for _ in 0..48 {
        tokio::time::sleep(HOUR).await;
    }
    assert_eq!(attempts().await, 0);
    assert_eq!(
        world.story("1").await.unwrap().subscriptions[0].state,
        DeliveryState::Delivered
    );
}
