//! From publish to the endpoint, and what happens when it fails.

use crate::support::{World, event, fails, ok};
use control::resources::ResourceKind;
use delivery::{DeadSelection, DeliveryState, Verdict};
use serde_json::json;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_published_event_arrives_at_once_with_a_stable_message_id() {
    let world = World::new().await;
    world.subscribe("all", json!({})).await;
    let before = world.clock.now();
    world.publish("1").await;
    world.delivered("all", 1).await;
    let received = &world.endpoint.received()[0];
    assert!(received.at - before <= 1, "no polling between the sync and the attempt");
    assert_eq!(
        received.message_id,
        event::identity::webhook_id("default", "/shop", "1", "all", 0)
    );
}

#[tokio::test(start_paused = true)]
async fn only_what_matches_is_delivered() {
    let world = World::new().await;
    world
        .subscribe(
            "paid",
            json!({"types": ["order.*"], "filter": {"eventbridge": {"detail": {"status": ["paid"]}}}}),
        )
        .await;
    world
        .publish_event(event("1", "order.changed", json!({"status": "paid"})))
        .await;
    world
        .publish_event(event("2", "order.changed", json!({"status": "open"})))
        .await;
    world
        .publish_event(event("3", "other", json!({"status": "paid"})))
        .await;
    world.delivered("paid", 1).await;
    world.settle().await;
    assert_eq!(world.endpoint.delivered_ids("paid"), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn a_failing_delivery_is_tried_again_in_memory_and_then_parked() {
    let world = World::new().await;
    world
        .subscribe("all", json!({"delivery": {"retry": {"schedule": ["0s", "1s", "1m"]}}}))
        .await;
    world
        .endpoint
        .script(|received| if received.number < 4 { fails() } else { ok() });
    world.publish("1").await;
    world.until("parking", |world| world.status("all").parked == 1).await;
    world.delivered("all", 1).await;
    world.until("unparking", |world| world.status("all").parked == 0).await;
    let times: Vec<_> = world.endpoint.received().iter().map(|received| received.at).collect();
    let waits: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        (500..=1_600).contains(&waits[0]) && (30_000..=91_000).contains(&waits[1]),
        "{waits:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_is_a_dead_letter_at_once_and_a_redrive_sends_it_with_the_same_id() {
    let world = World::new().await;
    world.subscribe("all", json!({})).await;
    world.endpoint.script(|_| crate::support::Reply {
        verdict: Verdict::Refused,
        ..ok()
    });
    world.publish("1").await;
    world.until("burial", |world| world.status("all").dead == 1).await;
    let dead = world
        .core
        .dead_letters("default", DeadSelection::default(), None, 10)
        .await
        .unwrap();
    assert_eq!(
        (
            dead[0].event_id.as_str(),
            dead[0].delivery.reason.as_str(),
            dead[0].delivery.attempts
        ),
        ("1", "http_422", 1)
    );

    world.endpoint.script(|_| ok());
    assert_eq!(world.redrive(DeadSelection::default()).await.unwrap(), 1);
    world.delivered("all", 1).await;
    world.settle().await;
    let received = world.endpoint.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].message_id, received[1].message_id);
    assert_eq!((world.status("all").dead, world.status("all").parked), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_story_tells_who_matched_and_every_attempt() {
    let world = World::new().await;
    world
        .subscribe("all", json!({"delivery": {"retry": {"schedule": ["0s", "1s"]}}}))
        .await;
    world.subscribe("none", json!({"types": ["nothing"]})).await;
    world
        .endpoint
        .script(|received| if received.number < 2 { fails() } else { ok() });
    world.publish("1").await;
    world.delivered("all", 1).await;
    world.settle().await;
    let story = world.story("1").await.unwrap();
    let all = story
        .subscriptions
        .iter()
        .find(|one| one.subscription == "all")
        .unwrap();
    assert_eq!((all.state, all.attempts.len()), (DeliveryState::Delivered, 2));
    let none = story
        .subscriptions
        .iter()
        .find(|one| one.subscription == "none")
        .unwrap();
    assert_eq!(none.state, DeliveryState::NotConcerned);
    assert!(
        none.matched.as_ref().unwrap_err().contains("type"),
        "{:?}",
        none.matched
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_subscription_sees_nothing_from_before_or_everything_that_is_kept() {
    let world = World::new().await;
    world.publish("old").await;
    world.subscribe("now", json!({})).await;
    world.subscribe("earliest", json!({"start": "earliest"})).await;
    world.publish("new").await;
    world.delivered("earliest", 2).await;
    world.delivered("now", 1).await;
    world.settle().await;
    assert_eq!(world.endpoint.delivered_ids("now"), ["new"]);
    assert_eq!(world.endpoint.delivered_ids("earliest").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn after_a_good_end_and_after_a_crash_nothing_is_missing() {
    let mut world = World::new().await;
    world.subscribe("all", json!({})).await;
    for id in 0..20 {
        world.publish(&format!("a{id}")).await;
    }
    world.delivered("all", 20).await;
    world.restart().await;
    world.settle().await;
    assert_eq!(world.endpoint.received().len(), 20, "a good end repeats nothing");
    for id in 0..20 {
        world.publish(&format!("b{id}")).await;
    }
    world.crash().await;
    world.until("all", |world| world.endpoint.delivered().len() == 40).await;
    world.settle().await;
    assert!(world.endpoint.delivered().values().all(|count| *count <= 2));
}

#[tokio::test(start_paused = true)]
async fn a_paused_subscription_goes_on_from_where_it_stopped() {
    let world = World::new().await;
    world.subscribe("all", json!({})).await;
    world.publish("1").await;
    world.delivered("all", 1).await;
    world
        .put(
            ResourceKind::Subscription,
            "all",
            crate::support::subscription(json!({"enabled": false})),
        )
        .await;
    world.publish("2").await;
    world.settle().await;
    assert_eq!(world.endpoint.delivered_ids("all"), ["1"]);
    assert_eq!(world.status("all").state, "paused");
    world
        .put(
            ResourceKind::Subscription,
            "all",
            crate::support::subscription(json!({})),
        )
        .await;
    world.delivered("all", 2).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.endpoint.delivered_ids("all"), ["1", "2"]);
}

/// Ten thousand subscriptions that match nothing must not make every save look at ten thousand lanes.
#[tokio::test(start_paused = true)]
async fn positions_are_saved_at_the_cost_of_the_lanes_that_moved() {
    const RESTING: u64 = 50;
    const EVENTS: u64 = 10;
    let world = World::new().await;
    world.subscribe("moves", json!({})).await;
    for number in 0..RESTING {
        world
            .subscribe(&format!("rests-{number}"), json!({"types": ["other.*"]}))
            .await;
    }
    // What is saved of new lanes is written by a first save, and found to be written by a second one.
    for id in ["first", "second"] {
        world.publish(id).await;
        world.settle().await;
    }
    let before = world.core.metrics().positions_checked;
    assert!(before > RESTING, "new lanes are looked at");
    for number in 0..EVENTS {
        world.publish(&number.to_string()).await;
        world.settle().await;
    }
    assert_eq!(world.endpoint.delivered_ids("moves").len() as u64, EVENTS + 2);
    let checked = world.core.metrics().positions_checked - before;
    assert!(
        (1..=2 * EVENTS).contains(&checked),
        "{checked} looks for {EVENTS} events of one lane"
    );
}
