//! A subscription that goes on from now: what is passed over is counted, recorded, and told in each event's story.

use crate::support::{Reply, World, event, fails, ok, one_partition, subscription};
use control::{audit::Deed, resources::ResourceKind};
use delivery::{DeliveryState, Verdict};
use serde_json::json;
use std::time::Duration;
use store::{RangeReason, Store as _};

async fn pause(world: &World, name: &str, paused: bool, more: serde_json::Value) {
    let mut body = subscription(more);
    body["enabled"] = json!(!paused);
    world.put(ResourceKind::Subscription, name, body).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_paused_subscription_has_waiting_is_skipped_counted_and_told_and_nothing_behind_it_is() {
    let mut world = World::new().await;
    let wanted = json!({"types": ["order"]});
    world.subscribe("all", wanted.clone()).await;
    world.subscribe("other", json!({})).await;
    world.publish("before").await;
    world.delivered("all", 1).await;
    world.settle().await;
    pause(&world, "all", true, wanted.clone()).await;
    for id in 0..20 {
        world.publish(&format!("skipped-{id}")).await;
        world
            .publish_event(event(&format!("unwanted-{id}"), "refund", json!({})))
            .await;
    }
    let skipped = world.core.skip_to_now("default", "all", None).await.unwrap();
    assert_eq!((skipped.events, skipped.parked), (20, 0));
    assert!((20..=40).contains(&skipped.records), "{skipped:?}");
    let again = world.core.skip_to_now("default", "all", None).await.unwrap();
    assert_eq!((again.events, again.records), (0, 0), "there is nothing left");
    world.publish("after").await;
    world.crash().await;
    pause(&world, "all", false, wanted).await;
    world.delivered("all", 2).await;
    world.delivered("other", 42).await;
    world.settle().await;
    assert_eq!(world.endpoint.delivered_ids("all"), ["before", "after"]);
    for (id, expected) in [
        ("before", DeliveryState::Delivered),
        ("skipped-7", DeliveryState::Skipped),
        ("unwanted-7", DeliveryState::NotConcerned),
        ("after", DeliveryState::Delivered),
    ] {
        let story = world.story(id).await.unwrap();
        let of_all = story
            .subscriptions
            .iter()
            .find(|one| one.subscription == "all")
            .unwrap();
        assert_eq!(of_all.state, expected, "{id}");
    }
    let ranges = world.store.ranges(world.status("all").id).await.unwrap();
    assert!(ranges.iter().all(|range| range.reason == RangeReason::Skipped));
    assert_eq!(ranges.iter().filter_map(|range| range.matched).sum::<u64>(), 20);
}

#[tokio::test(start_paused = true)]
async fn what_was_delivered_out_of_order_or_is_parked_or_dead_is_not_skipped() {
    let world = World::new().await;
    one_partition(&world).await;
    let more = json!({"topics": ["orders"], "delivery": {"retry": {"schedule": ["0s", "1m"]}}});
    world.subscribe("all", more.clone()).await;
    world.endpoint.script(|received| match received.id.as_str() {
        "parked" => fails(),
        "dead" => Reply {
            verdict: Verdict::Refused,
            ..ok()
        },
        // In memory, and holding the position.
        "waits" => Reply {
            verdict: Verdict::Retry {
                after: Some(Duration::from_secs(5)),
            },
            ..ok()
        },
        _ => ok(),
    });
    let slow = json!({"topics": ["orders"], "delivery": {"retry": {"schedule": ["0s", "5s"]}}});
    for id in ["parked", "dead"] {
        world.publish(id).await;
    }
    world
        .until("the rows", |world| {
            let status = world.status("all");
            (status.parked, status.dead) == (1, 1)
        })
        .await;
    world.subscribe("all", slow).await;
    for id in ["waits", "fine"] {
        world.publish(id).await;
    }
    world.delivered("all", 1).await;
    let skipped = world.core.skip_to_now("default", "all", None).await.unwrap();
    assert_eq!((skipped.events, skipped.parked), (1, 1));
    world.endpoint.script(|_| ok());
    world.publish("after").await;
    world.delivered("all", 3).await;
    world.settle().await;
    let mut delivered = world.endpoint.delivered_ids("all");
    delivered.sort();
    assert_eq!(delivered, ["after", "fine", "parked"]);
    for (id, expected) in [
        ("dead", DeliveryState::DeadLettered),
        ("waits", DeliveryState::Skipped),
        ("fine", DeliveryState::Delivered),
        ("parked", DeliveryState::Delivered),
    ] {
        assert_eq!(world.story(id).await.unwrap().subscriptions[0].state, expected, "{id}");
    }
    assert_eq!(world.status("all").counters.skipped, 1);
}

#[tokio::test(start_paused = true)]
async fn attempts_that_take_long_are_not_cut_off_and_nothing_is_skipped() {
    let world = World::new().await;
    world.subscribe("all", json!({"delivery": {"timeout": "5m"}})).await;
    let two_minutes = Duration::from_secs(120);
    world.endpoint.script(move |_| Reply {
        delay: two_minutes,
        ..ok()
    });
    world.publish("1").await;
    world
        .until("the attempt", |world| world.status("all").in_flight == 1)
        .await;
    let act = || Some(world.act(Deed::Resumed));
    let refused = world.core.skip_to_now("default", "all", act()).await;
    assert!(
        matches!(&refused, Err(delivery::Error::Refused(refusal)) if refusal.code == "subscription_busy"),
        "{refused:?}"
    );
    world.publish("2").await;
    world.delivered("all", 2).await;
    assert!(world.core.skip_to_now("default", "nothing", act()).await.is_err());
    assert_eq!(world.trail_of("dead-letters").await.len(), 0);
    world.core.skip_to_now("default", "all", act()).await.unwrap();
    assert_eq!(world.trail_of("dead-letters").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_skips_nothing_and_the_subscription_goes_on() {
    let world = World::new().await;
    world.subscribe("all", json!({})).await;
    pause(&world, "all", true, json!({})).await;
    world.publish("1").await;
    world.settle().await;
    world.store.fail_next(store::Error::OutOfSpace);
    let act = Some(world.act(Deed::Resumed));
    let failed = world.core.skip_to_now("default", "all", act).await;
    assert!(matches!(failed, Err(delivery::Error::Store(_))), "{failed:?}");
    assert_eq!(world.trail_of("dead-letters").await.len(), 0);
    pause(&world, "all", false, json!({})).await;
    world.delivered("all", 1).await;
}
