//! Endpoints that fail and bounds that are reached.

use crate::support::{Reply, World, event, fails, ok, one_partition, subscription};
use control::resources::ResourceKind;
use delivery::{DeadSelection, DeliveryState, Verdict};
use serde_json::json;
use std::{sync::atomic::Ordering::Relaxed, time::Duration};
use store::Store as _;

const HOUR: Duration = Duration::from_secs(3_600);

/// Check 26.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_down_for_an_hour_parks_next_to_nothing_and_then_gets_everything() {
    let world = World::new().await;
    world
        .subscribe(
            "all",
            json!({"delivery": {"retry": {"schedule": ["0s", "5s", "30s", "2m"]}}}),
        )
        .await;
    world.endpoint.script(|_| fails());
    for id in 0..300 {
        world.publish(&id.to_string()).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(HOUR).await;
    let status = world.status("all");
    assert_eq!(status.state, "backing-off");
    assert!(
        status.parked < 120,
        "one for each failed probe at most: {}",
        status.parked
    );
    let attempts = world.endpoint.received().len();
    assert!(attempts < 200, "a breaker spares the endpoint: {attempts}");
    world.endpoint.script(|_| ok());
    world
        .until("everything", |world| world.endpoint.delivered().len() == 300)
        .await;
    assert!(world.endpoint.delivered().values().all(|count| *count == 1));
    assert_eq!(
        world.core.readiness(),
        Ok(()),
        "a failing endpoint never fails readiness"
    );
}

/// Check 29.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_asks_for_patience_gets_it() {
    let world = World::new().await;
    world
        .subscribe("all", json!({"delivery": {"retry": {"schedule": ["0s", "1s"]}}}))
        .await;
    let after = Some(Duration::from_secs(120));
    world.endpoint.script(move |received| match received.number {
        1 => Reply {
            verdict: Verdict::Retry { after },
            ..ok()
        },
        _ => ok(),
    });
    world.publish("1").await;
    world.delivered("all", 1).await;
    let received = world.endpoint.received();
    assert!(received[1].at - received[0].at >= 120_000);
}

/// Check 29.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_gone_pauses_the_lane_and_keeps_the_event() {
    let world = World::new().await;
    world.subscribe("all", json!({})).await;
    world.endpoint.script(|_| Reply {
        verdict: Verdict::Gone,
        ..ok()
    });
    world.publish("1").await;
    world
        .until("the pause", |world| world.status("all").state == "paused-gone")
        .await;
    world.publish("2").await;
    tokio::time::sleep(HOUR).await;
    assert_eq!(world.endpoint.received().len(), 1);
    world.endpoint.script(|_| ok());
    world.core.resume("default", "all").await.unwrap();
    world.delivered("all", 2).await;
    let number = world
        .endpoint
        .received()
        .iter()
        .filter(|received| received.id == "1")
        .map(|received| received.number)
        .max();
    assert_eq!(number, Some(2), "its attempts are remembered");
}

/// Check 27.
#[tokio::test(start_paused = true)]
async fn used_attempts_and_age_make_dead_letters_with_reason_and_count() {
    let world = World::new().await;
    let policy = json!({"delivery": {"retry": {"schedule": ["0s", "1s"], "attempts": 3}}});
    world.subscribe("attempts", policy).await;
    world
        .subscribe(
            "age",
            json!({"delivery": {"retry": {"schedule": ["0s", "20s"], "age": "1m"}}}),
        )
        .await;
    world.endpoint.script(|_| fails());
    world.publish("1").await;
    world
        .until("both deaths", |world| {
            world.status("attempts").dead + world.status("age").dead == 2
        })
        .await;
    let dead = world
        .core
        .dead_letters("default", DeadSelection::default(), None, 10)
        .await
        .unwrap();
    assert!(
        dead.iter()
            .all(|dead| dead.delivery.reason == "http_503" && dead.event_id == "1")
    );
    assert_eq!(
        dead.iter().map(|dead| dead.delivery.attempts).max(),
        Some(dead[1].delivery.attempts).max(Some(3))
    );
    let before = world.endpoint.received().len();
    tokio::time::sleep(HOUR).await;
    assert_eq!(world.endpoint.received().len(), before);
    let story = world.story("1").await.unwrap();
    assert!(
        story
            .subscriptions
            .iter()
            .all(|one| one.state == DeliveryState::DeadLettered)
    );
}

/// Check 31: memory bounded, and nobody waits for somebody else's endpoint.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_never_answers_costs_nobody_anything_and_memory_stays_bounded() {
    let world = World::with(|settings| settings.lane.span_bytes = 64 << 10).await;
    world.subscribe("healthy", json!({})).await;
    world.subscribe("stuck", json!({"delivery": {"timeout": "5m"}})).await;
    world.endpoint.script(|received| match received.subscription.as_str() {
        "stuck" => Reply { delay: HOUR, ..ok() },
        _ => ok(),
    });
    let text = "x".repeat(4 << 10);
    let mut most = 0;
    for id in 0..200 {
        let before = world.clock.now();
        world
            .publish_event(event(&id.to_string(), "order", json!({"text": text})))
            .await;
        world.delivered("healthy", id + 1).await;
        assert!(world.clock.now() - before <= 20);
        most = most.max(world.core.metrics().lanes_bytes);
    }
    assert!(most <= (64 << 10) + 2 * (5 << 10), "{most} bytes are held");
    assert_eq!(world.status("stuck").lag_events, 200);
}

#[tokio::test(start_paused = true)]
async fn at_the_bound_of_parked_deliveries_the_lane_stops_and_nothing_is_lost() {
    let world = World::with(|settings| settings.lane.parked_events = 3).await;
    world
        .subscribe(
            "all",
            json!({"delivery": {"concurrency": 1, "retry": {"schedule": ["0s", "1m"]}}}),
        )
        .await;
    // One in three fails: too few to open the breaker.
    world.endpoint.script(|received| {
        if received.number == 1 && received.id.parse::<u32>().unwrap() % 3 == 0 {
            fails()
        } else {
            ok()
        }
    });
    for id in 0..30 {
        world.publish(&id.to_string()).await;
    }
    world
        .until("the stop", |world| world.status("all").state == "stopped")
        .await;
    assert_eq!(world.status("all").parked, 3);
    world
        .until("everything", |world| world.endpoint.delivered().len() == 30)
        .await;
    world.until("emptiness", |world| world.status("all").parked == 0).await;
    assert_eq!(world.status("all").state, "running");
}

#[tokio::test(start_paused = true)]
async fn at_the_bound_of_dead_letters_the_lane_stops_until_there_is_room() {
    let world = World::with(|settings| settings.lane.dead_events = 2).await;
    world.subscribe("all", json!({"delivery": {"concurrency": 1}})).await;
    world.endpoint.script(|_| Reply {
        verdict: Verdict::Refused,
        ..ok()
    });
    for id in 0..5 {
        world.publish(&id.to_string()).await;
    }
    world
        .until("the stop", |world| world.status("all").state == "stopped")
        .await;
    assert_eq!(world.status("all").dead, 2);
    world.endpoint.script(|_| ok());
    assert_eq!(world.discard(DeadSelection::default()).await.unwrap(), 2);
    world.delivered("all", 3).await;
    world.settle().await;
    assert_eq!(world.endpoint.delivered().len(), 3);
    assert_eq!(world.status("all").lag_events, 0);
}

#[tokio::test(start_paused = true)]
async fn a_failing_key_parks_the_rest_of_itself_only_and_keeps_its_order() {
    let world = World::new().await;
    world
        .put(
            ResourceKind::EventType,
            "order",
            json!({"routes": [{"topic": "events", "key": "key"}]}),
        )
        .await;
    let retry = json!({"schedule": ["0s", "20s"]});
    world
        .subscribe("ordered", json!({"delivery": {"ordering": "key", "retry": retry}}))
        .await;
    world.endpoint.script(|received| {
        if received.id == "a0" && received.number < 3 {
            fails()
        } else {
            ok()
        }
    });
    for id in 0..4 {
        for key in ["a", "b"] {
            world
                .publish_event(event(&format!("{key}{id}"), "order", json!({"key": key})))
                .await;
        }
    }
    world
        .until("parking", |world| world.status("ordered").parked == 4)
        .await;
    assert_eq!(world.endpoint.delivered_ids("ordered"), ["b0", "b1", "b2", "b3"]);
    world.delivered("ordered", 8).await;
    assert_eq!(world.endpoint.delivered_ids("ordered")[4..], ["a0", "a1", "a2", "a3"]);
    world
        .until("emptiness", |world| world.status("ordered").parked == 0)
        .await;
}

#[tokio::test(start_paused = true)]
async fn parked_keys_survive_a_crash_in_order() {
    let mut world = World::new().await;
    world
        .put(
            ResourceKind::EventType,
            "order",
            json!({"routes": [{"topic": "events", "key": "key"}]}),
        )
        .await;
    let retry = json!({"schedule": ["0s", "1m"]});
    world
        .subscribe("ordered", json!({"delivery": {"ordering": "key", "retry": retry}}))
        .await;
    world.endpoint.script(|received| {
        if received.number == 1 && received.id == "0" {
            fails()
        } else {
            ok()
        }
    });
    for id in 0..4 {
        world
            .publish_event(event(&id.to_string(), "order", json!({"key": "k"})))
            .await;
    }
    world
        .until("parking", |world| world.status("ordered").parked == 4)
        .await;
    world.crash().await;
    world.delivered("ordered", 4).await;
    world.settle().await;
    assert_eq!(world.endpoint.delivered_ids("ordered"), ["0", "1", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept_and_a_lane_behind_it_loses_nothing() {
    let world = World::with(|settings| settings.lane.span_events = 10).await;
    world.subscribe("slow", json!({"delivery": {"rate": "10/s"}})).await;
    for id in 0..100 {
        world.publish(&id.to_string()).await;
    }
    world.delivered("slow", 100).await;
    let received = world.endpoint.received();
    let taken = received[99].at - received[0].at;
    assert!(
        (8_900..=12_000).contains(&taken),
        "{taken} ms for a burst of ten and ninety more"
    );
    assert_eq!(world.endpoint.delivered().len(), 100);
}

#[tokio::test(start_paused = true)]
async fn an_idle_core_writes_nothing() {
    let world = World::new().await;
    world.subscribe("all", json!({})).await;
    world.publish("1").await;
    world.delivered("all", 1).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let before = world.store.applies();
    tokio::time::sleep(HOUR).await;
    assert_eq!(world.store.applies(), before);
}

#[tokio::test(start_paused = true)]
async fn delivered_events_cost_no_row() {
    let world = World::new().await;
    world.subscribe("all", json!({})).await;
    let before = world.store.applies();
    for id in 0..500 {
        world.publish(&id.to_string()).await;
    }
    world.delivered("all", 500).await;
    world.settle().await;
    assert!(
        world.store.applies() - before <= 5,
        "{} transactions",
        world.store.applies() - before
    );
    assert!(world.store.lanes().await.unwrap().iter().all(|row| row.follows_tail));
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_cannot_be_made_is_not_resumed_and_loses_nothing() {
    let world = World::new().await;
    world.subscribe("all", json!({})).await;
    let connection = json!({"provider": "webhook", "config": {"url": "https://example.com/other"}});
    world.unmakeable.store(true, Relaxed);
    world.put(ResourceKind::Connection, "endpoint", connection).await;
    world.publish("1").await;
    world.settle().await;
    world.core.resume("default", "all").await.unwrap();
    world.settle().await;
    assert_eq!(world.status("all").state, "stopped");
    assert_eq!(world.status("all").in_flight, 0);
    assert!(world.endpoint.received().is_empty());
    let connection = json!({"provider": "webhook", "config": {"url": "https://example.com/third"}});
    world.unmakeable.store(false, Relaxed);
    world.put(ResourceKind::Connection, "endpoint", connection).await;
    world.delivered("all", 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_is_sent_out_again_waits_for_its_key_and_is_delivered_once() {
    let world = World::new().await;
    one_partition(&world).await;
    world
        .subscribe("ordered", json!({"delivery": {"ordering": "key"}}))
        .await;
    let keyed = |id: &str| event(id, "order", json!({"key": "k"}));
    world.endpoint.script(|received| Reply {
        verdict: match (received.id.as_str(), received.number) {
            ("0", 1) => Verdict::Refused,
            _ => Verdict::Delivered,
        },
        delay: Duration::from_secs(10),
    });
    world.publish_event(keyed("0")).await;
    world.until("burial", |world| world.status("ordered").dead == 1).await;
    world.publish_event(keyed("1")).await;
    world.publish_event(keyed("2")).await;
    world
        .until("the next one", |world| world.status("ordered").in_flight == 1)
        .await;
    world.endpoint.script(|_| Reply {
        delay: Duration::from_secs(10),
        ..ok()
    });
    let before = world.store.applies();
    world.redrive(DeadSelection::default()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let written = world.store.applies() - before;
    assert!(written < 10, "{written} transactions while its key is busy");
    world.delivered("ordered", 3).await;
    world.settle().await;
    assert_eq!(
        world.endpoint.delivered_ids("ordered"),
        ["1", "0", "2"],
        "it takes turns with what came later"
    );
    assert_eq!((world.status("ordered").parked, world.status("ordered").dead), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_order_by_key_that_is_switched_on_holds_for_what_was_under_way_then() {
    let world = World::new().await;
    one_partition(&world).await;
    world.subscribe("all", json!({})).await;
    world
        .endpoint
        .script(|received| match (received.id.as_str(), received.number) {
            ("0", 1) => Reply {
                delay: Duration::from_secs(3),
                ..fails()
            },
            _ => ok(),
        });
    world.publish_event(event("0", "order", json!({"key": "k"}))).await;
    world
        .until("the first", |world| world.status("all").in_flight == 1)
        .await;
    let ordered = subscription(json!({"delivery": {"ordering": "key"}}));
    world.put(ResourceKind::Subscription, "all", ordered).await;
    for id in 1..5 {
        world
            .publish_event(event(&id.to_string(), "order", json!({"key": "k"})))
            .await;
    }
    world.delivered("all", 5).await;
    assert_eq!(world.endpoint.delivered_ids("all"), ["0", "1", "2", "3", "4"]);
}

#[tokio::test(start_paused = true)]
async fn a_second_shutdown_waits_for_the_first() {
    let world = World::new().await;
    world.subscribe("all", json!({})).await;
    world.endpoint.script(|_| Reply {
        delay: Duration::from_secs(5),
        ..ok()
    });
    world.publish("1").await;
    world
        .until("the attempt", |world| world.status("all").in_flight == 1)
        .await;
    let before = world.clock.now();
    let shutdown = || world.core.shutdown(Duration::from_secs(10));
    tokio::join!(shutdown(), async {
        shutdown().await;
        assert!(world.clock.now() - before >= 4_000);
    });
    assert_eq!(world.endpoint.delivered().len(), 1);
}
