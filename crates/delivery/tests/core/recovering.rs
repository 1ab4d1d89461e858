//! What comes right by itself, and what is left behind when it cannot: lanes that did not start, endpoints that are gone,
//! versions that nothing needs, a journal that lost its tail.

use crate::support::{Reply, World, event, fails, ok, one_partition, subscription};
use control::{Action, Change, Precondition, resources::ResourceKind};
use delivery::{DeadSelection, DeliveryState, Verdict};
use serde_json::json;
use std::{sync::atomic::Ordering::Relaxed, time::Duration};
use store::{Kind, RangeReason, Store as _};

const HOUR: Duration = Duration::from_secs(3_600);

fn change(name: &str, action: Action) -> Change {
    Change {
        bus: "default".to_owned(),
        kind: ResourceKind::Subscription,
        name: name.to_owned(),
        action,
        precondition: Precondition::Any,
        by: control::audit::Actor::System("a test"),
    }
}

async fn versions(world: &World) -> usize {
    let documents = world.store.documents().await.unwrap();
    let versions = documents
        .iter()
        .filter(|document| document.kind == Kind::SubscriptionVersion);
    versions.count()
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_could_not_be_started_starts_by_itself_and_misses_nothing() {
    let world = World::new().await;
    world.subscribe("other", json!({})).await;
    world.orders.refuses_marks.store(true, Relaxed);
    world.subscribe("late", json!({})).await;
    let status = world.status("late");
    assert_eq!(status.state, "stopped");
    assert!(status.reason.unwrap().contains("could not be started"));
    for id in 0..3 {
        world.publish(&id.to_string()).await;
    }
    let refused = world
        .core
        .change(change("late", Action::Put(subscription(json!({"types": ["order"]})))))
        .await;
    assert!(
        matches!(refused, Err(delivery::Error::Store(_))),
        "where it stands is not known: {refused:?}"
    );
    world.delivered("other", 3).await;
    tokio::time::sleep(Duration::from_secs(90)).await;
    let unready = world.core.readiness().unwrap_err();
    assert!(unready.contains("\"late\""), "{unready}");
    world.orders.refuses_marks.store(false, Relaxed);
    world.delivered("late", 3).await;
    world.settle().await;
    assert_eq!(world.status("late").state, "running");
    assert_eq!(world.core.readiness(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_whose_deletion_cannot_be_written_goes_on_where_it_stood() {
    let mut world = World::new().await;
    world.subscribe("kept", json!({})).await;
    world.publish("1").await;
    world.delivered("kept", 1).await;
    world.settle().await;
    world.store.fail_next(store::Error::OutOfSpace);
    world.orders.refuses_marks.store(true, Relaxed);
    let deleted = world.core.change(change("kept", Action::Delete)).await;
    assert!(matches!(deleted, Err(delivery::Error::Store(_))), "{deleted:?}");
    world.publish("2").await;
    world.settle().await;
    // The tail has moved on, and is saved; the lane that waits to be started has its own position.
    world.orders.refuses_marks.store(false, Relaxed);
    world.crash().await;
    world.delivered("kept", 2).await;
    world.settle().await;
    assert_eq!(world.endpoint.delivered_ids("kept"), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_gone_is_not_asked_again_by_a_restart_but_when_it_is_resumed() {
    let mut world = World::new().await;
    world.subscribe("all", json!({})).await;
    world.endpoint.script(|_| Reply {
        verdict: Verdict::Gone,
        ..ok()
    });
    world.publish("1").await;
    world
        .until("the pause", |world| world.status("all").state == "paused-gone")
        .await;
    tokio::task::yield_now().await;
    for is_crash in [true, false] {
        match is_crash {
            true => world.crash().await,
            false => world.restart().await,
        }
        world.publish(if is_crash { "2" } else { "3" }).await;
        tokio::time::sleep(HOUR).await;
        assert_eq!(world.status("all").state, "paused-gone");
        assert_eq!(world.endpoint.received().len(), 1);
    }
    world.endpoint.script(|_| ok());
    world.core.resume("default", "all").await.unwrap();
    world.delivered("all", 3).await;
    world.settle().await;
    world.crash().await;
    world.publish("4").await;
    world.delivered("all", 4).await;
}

#[tokio::test(start_paused = true)]
async fn subscriptions_are_deleted_side_by_side_and_keep_no_other_change_waiting() {
    let world = World::new().await;
    for number in 0..10 {
        world.subscribe(&format!("slow{number}"), json!({})).await;
    }
    world.endpoint.script(|_| Reply { delay: HOUR, ..ok() });
    world.publish("1").await;
    world
        .until("the attempts", |world| {
            (0..10).all(|number| world.status(&format!("slow{number}")).in_flight == 1)
        })
        .await;
    let before = world.clock.now();
    let delete = |number| {
        let change = change(&format!("slow{number}"), Action::Delete);
        async { world.core.change(change).await.unwrap() }
    };
    let deletions = futures_util::future::join_all((0..10).map(delete));
    let meanwhile = async {
        world.subscribe("meanwhile", json!({})).await;
        assert!(world.clock.now() - before < 100, "it waited for others to go");
        // The same name waits for its predecessor to be gone.
        world.subscribe("slow0", json!({})).await;
        assert!(world.clock.now() - before >= 2_900);
    };
    tokio::join!(deletions, meanwhile);
    let taken = world.clock.now() - before;
    assert!(taken < 4_000, "{taken} ms for ten");
    let mut names: Vec<_> = world.core.status("default").into_iter().map(|(name, _)| name).collect();
    names.sort();
    assert_eq!(names, ["meanwhile", "slow0"]);
    assert_eq!(world.core.readiness(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn an_earlier_version_is_kept_while_a_parked_row_names_it_and_goes_then() {
    let world = World::new().await;
    one_partition(&world).await;
    let retry = json!({"retry": {"schedule": ["0s", "12h"], "attempts": 2}});
    let spec = |number: u32| json!({"types": ["order", format!("t{number}")], "delivery": retry});
    world.subscribe("all", spec(0)).await;
    world.endpoint.script(|_| fails());
    world.publish("parked").await;
    world.until("parking", |world| world.status("all").parked == 1).await;
    world.endpoint.script(|_| ok());
    for number in 1..40 {
        world.publish(&number.to_string()).await;
        world.settle().await;
        world
            .put(ResourceKind::Subscription, "all", subscription(spec(number)))
            .await;
    }
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(
        versions(&world).await,
        16 + 1,
        "those that stories tell of, and the first"
    );
    let story = world.story("parked").await.unwrap();
    let first = story.subscriptions[0].version;
    tokio::time::sleep(20 * HOUR).await;
    assert_eq!(world.status("all").parked, 0);
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(versions(&world).await, 16);
    let story = world.story("39").await.unwrap();
    assert_ne!(story.subscriptions[0].version, first);
    assert_eq!(story.subscriptions[0].matched, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn versions_that_something_needs_are_all_kept_up_to_a_bound_that_refuses_more() {
    let mut world = World::new().await;
    let spec = |number: u32| json!({"types": [format!("t{number}"), "order"]});
    world.subscribe("all", spec(0)).await;
    world.endpoint.script(|_| Reply {
        verdict: Verdict::Refused,
        ..ok()
    });
    let mut refused = None;
    for number in 1..300 {
        world.publish(&number.to_string()).await;
        world
            .until("burial", |world| world.status("all").dead == u64::from(number))
            .await;
        let put = Action::Put(subscription(spec(number)));
        if let Err(error) = world.core.change(change("all", put)).await {
            refused = Some((number, error));
            break;
        }
    }
    let (number, error) = refused.unwrap();
    assert_eq!(number, 257);
    assert!(error.to_string().contains("256 earlier versions"), "{error}");
    world.crash().await;
    assert_eq!(versions(&world).await, 256);
    world.discard(DeadSelection::default()).await.unwrap();
    world.settle().await;
    world
        .put(ResourceKind::Subscription, "all", subscription(spec(300)))
        .await;
    assert_eq!(versions(&world).await, 16 + 1);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_is_sent_out_again_gets_its_turn_however_busy_its_key_is() {
    let world = World::new().await;
    one_partition(&world).await;
    world
        .subscribe("ordered", json!({"delivery": {"ordering": "key"}}))
        .await;
    world.endpoint.script(|_| Reply {
        verdict: Verdict::Refused,
        ..ok()
    });
    let keyed = |id: &str| event(id, "order", json!({"key": "k"}));
    world.publish_event(keyed("dead")).await;
    world.until("burial", |world| world.status("ordered").dead == 1).await;
    world.endpoint.script(|_| Reply {
        delay: Duration::from_millis(100),
        ..ok()
    });
    for id in 0..50 {
        world.publish_event(keyed(&id.to_string())).await;
    }
    world.delivered("ordered", 5).await;
    world.redrive(DeadSelection::default()).await.unwrap();
    // There is never a gap.
    for id in 50..100 {
        world.publish_event(keyed(&id.to_string())).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.delivered("ordered", 101).await;
    let ids = world.endpoint.delivered_ids("ordered");
    let place = ids.iter().position(|id| id == "dead").unwrap();
    assert!(place < 8, "it came as number {place}");
    let others: Vec<u32> = ids.iter().filter_map(|id| id.parse().ok()).collect();
    assert_eq!(others, (0..100).collect::<Vec<_>>(), "and the others kept their order");
    assert_eq!(
        world.status("ordered").counters.parked,
        0,
        "nothing else had to be parked"
    );
}

/// A journal that was restored from an older copy than the store.
#[tokio::test(start_paused = true)]
async fn what_is_parked_or_dead_beyond_the_end_of_a_shortened_journal_goes_with_a_record() {
    let mut world = World::new().await;
    one_partition(&world).await;
    let delivery = json!({"ordering": "key", "concurrency": 1, "retry": {"schedule": ["0s", "12h"]}});
    world.subscribe("ordered", json!({"delivery": delivery})).await;
    let keyed = |id: &str, key: &str| event(id, "order", json!({"key": key}));
    world.endpoint.script(|received| Reply {
        verdict: match received.id.as_str() {
            "lost dead" => Verdict::Refused,
            "lost parked" => Verdict::Retry { after: None },
            _ => Verdict::Delivered,
        },
        ..ok()
    });
    for id in 0..5 {
        world.publish_event(keyed(&id.to_string(), "other")).await;
    }
    world.publish_event(keyed("lost dead", "other")).await;
    world.publish_event(keyed("lost parked", "k")).await;
    world
        .until("both", |world| {
            (world.status("ordered").parked, world.status("ordered").dead) == (1, 1)
        })
        .await;
    world.lose_journal().await;
    world.endpoint.script(|_| ok());
    let id = world.status("ordered").id;
    let ranges = world.store.ranges(id).await.unwrap();
    let ranges: Vec<_> = ranges
        .iter()
        .map(|range| (range.from, range.to, range.matched, range.reason))
        .collect();
    assert_eq!(ranges, [(5, 7, Some(2), RangeReason::Damaged)]);
    // Of the same key, at offsets below the one that was parked and at its own.
    for id in 0..8 {
        world.publish_event(keyed(&format!("new {id}"), "k")).await;
    }
    world.delivered("ordered", 13).await;
    world.settle().await;
    let status = world.status("ordered");
    assert_eq!((status.parked, status.dead, status.lag_events), (0, 0, 0));
    let story = world.story("new 5").await.unwrap();
    assert_eq!(
        story.subscriptions[0].state,
        DeliveryState::Delivered,
        "the range is not about the new one"
    );
}

/// What it could want is settled, and it is open to nothing: what it does not want is no lag.
#[tokio::test(start_paused = true)]
async fn a_lane_that_takes_nothing_has_no_lag_in_what_it_does_not_want() {
    let mut world = World::new().await;
    for id in 0..10 {
        world.publish(&id.to_string()).await;
    }
    let paused = json!({"types": ["wanted"], "enabled": false, "start": "earliest"});
    world.subscribe("paused", paused).await;
    world.subscribe("gone", json!({"types": ["wanted"]})).await;
    world.settle().await;
    assert_eq!(world.status("paused").lag_events, 0);
    world.endpoint.script(|_| Reply {
        verdict: Verdict::Gone,
        ..ok()
    });
    world.publish_event(event("w", "wanted", json!({}))).await;
    for id in 10..20 {
        world.publish(&id.to_string()).await;
    }
    world.settle().await;
    let lag = |world: &World, name| (world.status(name).lag_events > 0, world.status(name).lag_seconds > 0.0);
    assert_eq!([lag(&world, "paused"), lag(&world, "gone")], [(true, true); 2]);
    world.restart().await;
    world.settle().await;
    assert_eq!(
        [lag(&world, "paused"), lag(&world, "gone")],
        [(true, true); 2],
        "and how old it is is known after a restart as well"
    );
    tokio::time::sleep(Duration::from_secs(100)).await;
    let other = json!({"types": ["wanted", "other"], "enabled": false});
    world
        .put(ResourceKind::Subscription, "paused", subscription(other))
        .await;
    world.settle().await;
    assert!(
        world.status("paused").lag_seconds > 100.0,
        "nor does a change make it younger"
    );
    world.endpoint.script(|_| ok());
    world.core.resume("default", "gone").await.unwrap();
    world.delivered("gone", 1).await;
    world.settle().await;
    assert_eq!(world.status("gone").lag_events, 0);
}

#[tokio::test(start_paused = true)]
async fn a_lane_whose_endpoint_is_down_has_no_lag_once_what_it_wanted_is_parked() {
    let world = World::new().await;
    let retry = json!({"retry": {"schedule": ["0s", "1h"]}});
    world
        .subscribe("all", json!({"types": ["wanted"], "delivery": retry}))
        .await;
    world.endpoint.script(|_| fails());
    for id in 0..5 {
        world.publish_event(event(&format!("w{id}"), "wanted", json!({}))).await;
        world.publish(&id.to_string()).await;
    }
    world.until("parking", |world| world.status("all").parked == 5).await;
    world.publish("last").await;
    world.settle().await;
    let status = world.status("all");
    assert_eq!(
        (status.state, status.lag_events, status.lag_seconds),
        ("backing-off", 0, 0.0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_store_that_takes_no_positions_fails_readiness_until_it_does() {
    let world = World::new().await;
    world.subscribe("all", json!({})).await;
    for _ in 0..100 {
        world.store.fail_next(store::Error::OutOfSpace);
    }
    world.publish("1").await;
    world.delivered("all", 1).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(world.core.readiness(), Ok(()));
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert!(
        world
            .core
            .readiness()
            .unwrap_err()
            .contains("positions cannot be saved")
    );
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.core.readiness(), Ok(()));
}
