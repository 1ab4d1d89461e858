//! Changes while events flow: versions, topics, routes, deletion.

use crate::support::{Reply, World, event, ok, subscription};
use control::resources::ResourceKind;
use delivery::PublishError;
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use store::{RangeReason, Store as _};

#[tokio::test(start_paused = true)]
async fn a_new_version_applies_from_where_the_lane_has_read_to_and_the_old_one_below() {
    let mut world = World::new().await;
    world.subscribe("some", json!({"types": ["a"]})).await;
    world.endpoint.script(|_| Reply {
        delay: Duration::from_secs(30),
        ..ok()
    });
    world.publish_event(event("a1", "a", json!({}))).await;
    world.publish_event(event("b1", "b", json!({}))).await;
    world.settle().await;
    world
        .put(
            ResourceKind::Subscription,
            "some",
            subscription(json!({"types": ["b"]})),
        )
        .await;
    world.publish_event(event("a2", "a", json!({}))).await;
    world.publish_event(event("b2", "b", json!({}))).await;
    world.settle().await;
    // Nothing has been answered: the re-read after the crash asks the version in force for each offset.
    world.crash().await;
    world.endpoint.script(|_| ok());
    world.delivered("some", 2).await;
    world.settle().await;
    let mut ids = world.endpoint.delivered_ids("some");
    ids.sort();
    assert_eq!(ids, ["a1", "b2"]);
    let story = world.story("a1").await.unwrap();
    assert_eq!(
        story.subscriptions[0].matched,
        Ok(()),
        "the version that was in force tells"
    );
}

#[tokio::test(start_paused = true)]
async fn a_deleted_subscription_gets_nothing_any_more_and_what_it_lacks_is_recorded() {
    let world = World::new().await;
    world.subscribe("gone", json!({})).await;
    world.subscribe("stays", json!({})).await;
    world.endpoint.script(|received| match received.subscription.as_str() {
        "gone" => Reply {
            delay: Duration::from_secs(10),
            ..ok()
        },
        _ => ok(),
    });
    let id = world.status("gone").id;
    for event in 0..3 {
        world.publish(&event.to_string()).await;
    }
    world.delivered("stays", 3).await;
    let before = world.clock.now();
    world.delete(ResourceKind::Subscription, "gone").await;
    assert!(world.clock.now() - before <= 5_000);
    world.publish("later").await;
    world.delivered("stays", 4).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(world.endpoint.delivered_ids("gone").is_empty());
    let ranges = world.store.ranges(id).await.unwrap();
    assert!(!ranges.is_empty() && ranges.iter().all(|range| range.reason == RangeReason::Discarded));
    assert_eq!(ranges.iter().map(|range| range.to - range.from).sum::<u64>(), 3);
    assert_eq!(world.core.status("default").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_publishes_to_a_bus_while_it_is_deleted_is_told_that_it_is_not_there() {
    let world = Arc::new(World::new().await);
    let stop = Arc::new(AtomicBool::new(false));
    let publishers: Vec<_> = (0..2)
        .map(|publisher| {
            let (world, stop) = (Arc::clone(&world), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut kept = 0;
                for count in 0.. {
                    if stop.load(Relaxed) {
                        break;
                    }
                    let event = event(&format!("{publisher} {count}"), "order", json!({}));
                    match world.core.publish("brief", vec![event]).await {
                        Ok(_) => kept += 1,
                        Err(PublishError::UnknownBus(_)) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                    tokio::task::yield_now().await;
                }
                kept
            })
        })
        .collect();
    for _ in 0..100 {
        world.put(ResourceKind::Bus, "brief", json!({})).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
        world.delete(ResourceKind::Bus, "brief").await;
    }
    stop.store(true, Relaxed);
    for publisher in publishers {
        assert!(publisher.await.unwrap() > 0);
    }
}

/// Check 34.
#[tokio::test(start_paused = true)]
async fn a_new_subscription_gets_every_event_that_is_published_after_it_was_created() {
    let world = World::new().await;
    for round in 0..10 {
        world.publish(&format!("before {round}")).await;
        world.subscribe(&format!("s{round}"), json!({})).await;
        world.publish(&format!("after {round}")).await;
    }
    world.settle().await;
    for round in 0..10 {
        let ids = world.endpoint.delivered_ids(&format!("s{round}"));
        assert!(ids.contains(&format!("after {round}")) && !ids.contains(&format!("before {round}")));
        assert_eq!(ids.len(), 1 + 2 * (9 - round));
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_bus_subscription_sees_each_event_once_and_new_topics_too() {
    let world = World::new().await;
    world.subscribe("whole", json!({})).await;
    world.put(ResourceKind::Topic, "a", json!({"partitions": 2})).await;
    world.put(ResourceKind::Topic, "b", json!({"partitions": 2})).await;
    world
        .put(
            ResourceKind::EventType,
            "order",
            json!({"routes": [{"topic": "a"}, {"topic": "b"}]}),
        )
        .await;
    world.subscribe("only-b", json!({"topics": ["b"]})).await;
    world.publish("1").await;
    world.delivered("whole", 1).await;
    world.delivered("only-b", 1).await;
    world.settle().await;
    assert_eq!(world.endpoint.delivered_ids("whole"), ["1"]);
    assert_eq!(world.endpoint.delivered_ids("only-b"), ["1"]);
    let story = world.story("1").await.unwrap();
    assert_eq!(
        story
            .stored
            .iter()
            .map(|stored| stored.topic.as_str())
            .collect::<Vec<_>>(),
        ["a", "b"]
    );
}

#[tokio::test(start_paused = true)]
async fn types_without_an_enabled_route_and_unknown_ones_are_refused_where_the_bus_says_so() {
    let world = World::new().await;
    world
        .put(
            ResourceKind::EventType,
            "order",
            json!({"routes": [{"topic": "events", "enabled": false}]}),
        )
        .await;
    let refused = |result: Result<_, PublishError>| match result {
        Err(PublishError::Rejected(rejected)) => rejected.iter().map(|one| (one.index, one.code)).collect::<Vec<_>>(),
        other => panic!("{:?}", other.map(|_: Vec<delivery::Published>| ())),
    };
    let events = vec![event("1", "other", json!({})), event("2", "order", json!({}))];
    assert_eq!(
        refused(world.core.publish("default", events).await),
        [(1, "type_disabled")]
    );
    let mut body = serde_json::Map::new();
    body.insert("unknown_types".to_owned(), json!("refuse"));
    world.put(ResourceKind::Bus, "default", body.into()).await;
    assert_eq!(
        refused(
            world
                .core
                .publish("default", vec![event("1", "other", json!({}))])
                .await
        ),
        [(0, "type_unknown")]
    );
    assert!(world.story("1").await.is_none(), "none was kept");
    assert!(matches!(
        world.core.publish("nowhere", vec![]).await,
        Err(PublishError::UnknownBus(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_is_answered_with_the_first_ones_place_and_delivered_once() {
    let world = World::new().await;
    world.subscribe("all", json!({})).await;
    let first = world.publish("1").await;
    let second = world.publish("1").await;
    assert_eq!(
        (first.position, first.duplicate, second.position, second.duplicate),
        (second.position, false, first.position, true)
    );
    world.settle().await;
    assert_eq!(world.endpoint.delivered_ids("all"), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_topic_takes_its_records_with_it() {
    let world = World::new().await;
    world.put(ResourceKind::Topic, "orders", json!({"partitions": 1})).await;
    world
        .put(
            ResourceKind::EventType,
            "order",
            json!({"routes": [{"topic": "orders"}]}),
        )
        .await;
    world.subscribe("whole", json!({})).await;
    world.publish("1").await;
    world.delivered("whole", 1).await;
    world
        .put(
            ResourceKind::EventType,
            "order",
            json!({"routes": [{"topic": "events"}]}),
        )
        .await;
    world.delete(ResourceKind::Topic, "orders").await;
    assert!(world.story("1").await.is_none());
    world.publish("2").await;
    world.delivered("whole", 2).await;
}

/// Check 34: what is published while a subscription is being made is read from where it starts.
#[tokio::test(start_paused = true)]
async fn a_subscription_that_is_made_while_events_come_in_misses_none_of_them() {
    let world = World::new().await;
    world.subscribe("other", json!({})).await;
    world.orders.marks_delay.store(100, Relaxed);
    let subscribed = async {
        world.subscribe("earliest", json!({"start": "earliest"})).await;
        world.subscribe("now", json!({})).await;
    };
    let published = async {
        for id in 0..100 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            world.publish(&id.to_string()).await;
        }
    };
    tokio::join!(subscribed, published);
    world.delivered("earliest", 100).await;
    world.settle().await;
    assert_eq!(world.endpoint.delivered_ids("earliest").len(), 100);
    let ids = world.endpoint.delivered_ids("now").into_iter();
    let ids: std::collections::BTreeSet<u32> = ids.map(|id| id.parse().unwrap()).collect();
    let first = *ids.first().unwrap();
    assert!(first < 80, "it was made while events came in");
    assert_eq!(ids.len() as u32, 100 - first, "everything since its start");
}

/// A copy is skipped by a version that reads the primary topic; that must not be the first one that is asked.
#[tokio::test(start_paused = true)]
async fn topics_of_a_lane_that_lags_change_and_no_event_falls_between_the_versions() {
    for (before, after) in [(json!(["b"]), json!(["a", "b"])), (json!(["a", "b"]), json!(["b"]))] {
        let world = World::new().await;
        for topic in ["a", "b"] {
            world.put(ResourceKind::Topic, topic, json!({"partitions": 1})).await;
        }
        let routes = json!({"routes": [{"topic": "a"}, {"topic": "b"}]});
        world.put(ResourceKind::EventType, "order", routes).await;
        world
            .subscribe("lags", json!({"topics": before, "enabled": false}))
            .await;
        for id in 0..5 {
            world.publish(&id.to_string()).await;
        }
        world.settle().await;
        let changed = subscription(json!({"topics": after}));
        world.put(ResourceKind::Subscription, "lags", changed).await;
        world.publish("5").await;
        world.delivered("lags", 6).await;
        world.settle().await;
        assert_eq!(world.endpoint.delivered().len(), 6);
        assert!(world.endpoint.delivered().values().all(|count| *count == 1));
    }
}

/// A journal that was restored from an older copy than the store.
#[tokio::test(start_paused = true)]
async fn positions_beyond_the_end_of_the_journal_swallow_nothing_that_is_published_then() {
    let mut world = World::new().await;
    world.put(ResourceKind::Topic, "orders", json!({"partitions": 1})).await;
    let routes = json!({"routes": [{"topic": "orders"}]});
    world.put(ResourceKind::EventType, "order", routes).await;
    for id in 0..10 {
        world.publish(&format!("old {id}")).await;
    }
    world.subscribe("late", json!({})).await;
    world.subscribe("paused", json!({"enabled": false})).await;
    world.publish("one more").await;
    world.delivered("late", 1).await;
    world.settle().await;
    world.lose_journal().await;
    for id in 0..3 {
        world.publish(&format!("new {id}")).await;
    }
    world.delivered("late", 4).await;
    world
        .put(ResourceKind::Subscription, "paused", subscription(json!({})))
        .await;
    world.delivered("paused", 3).await;
    // And a crash does not bring the old positions back.
    world.crash().await;
    world.publish("newest").await;
    world.delivered("paused", 4).await;
}
